//! `virtengine init`: the files of a new node. What is not written to `config.toml` is CometBFT's default.

use super::Context;
use super::context::{read, read_json, write};
use anyhow::{Context as _, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::Args;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

#[derive(Args)]
pub struct Init {
    /// The node's name, shown to its peers
    moniker: String,
    /// Replace an existing genesis document and configuration; keys are kept
    #[arg(long)]
    overwrite: bool,
    /// The denomination of staking and fees
    #[arg(long, default_value = kernel::DENOM)]
    default_denom: String,
    /// The height of the first block
    #[arg(long, default_value_t = 1)]
    initial_height: u64,
}

impl Init {
    pub fn run(self, context: &Context) -> anyhow::Result<()> {
        let chain_id = match context.set_chain_id() {
            Some(id) => id.to_string(),
            None => format!("test-chain-{}-1", &hex::encode(rand::random::<[u8; 3]>())),
        };
        let numbered = chain_id.rsplit_once('-').is_some_and(|(name, n)| !name.is_empty() && n.parse::<u64>().is_ok());
        if !numbered || chain_id.len() > 50 {
            bail!("--chain-id {chain_id:?}: expected at most 50 bytes that end in a revision, like mychain-1");
        }
        if self.default_denom != kernel::DENOM {
            bail!("--default-denom {}: this chain's denomination is {}", self.default_denom, kernel::DENOM);
        }
        let genesis = context.genesis_path();
        if genesis.exists() && !self.overwrite {
            bail!("{} exists: replace it with --overwrite", genesis.display());
        }
        let config = context.config_dir();
        let data = context.home.join("data");
        for dir in [&config, &data] {
            std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        }
        std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o700))?;
        let keys = NodeKeys::load_or_create(&config)?;
        let state = data.join("priv_validator_state.json");
        if !state.exists() {
            secret(&state, &json!({ "height": "0", "round": 0, "step": 0 }))?;
        }
        write(&config.join("config.toml"), &CONFIG_TOML.replace("@MONIKER@", &escape(&self.moniker)))?;
        write(&config.join("app.toml"), APP_TOML)?;
        let client = config.join("client.toml");
        if !client.exists() || self.overwrite {
            write(&client, &CLIENT_TOML.replace("@CHAIN_ID@", &chain_id))?;
        }
        write(&genesis, &(serde_json::to_string_pretty(&genesis_document(&chain_id, self.initial_height))? + "\n"))?;
        context.print(
            &json!({ "moniker": self.moniker, "chain_id": chain_id, "node_id": keys.id, "home": context.home.display().to_string() }),
        );
        Ok(())
    }
}

fn escape(text: &str) -> String {
    text.replace(['"', '\\', '\n'], "_")
}

/// Blocks of up to 4 MB and no limit on gas; evidence counts for three weeks, as long as stake is bonded.
fn genesis_document(chain_id: &str, initial_height: u64) -> Value {
    json!({
        "app_name": "virtengine",
        "app_version": app::VERSION,
        "genesis_time": humantime::format_rfc3339_nanos(std::time::SystemTime::now()).to_string(),
        "chain_id": chain_id,
        "initial_height": initial_height.to_string(),
        "consensus_params": {
            "block": { "max_bytes": "4194304", "max_gas": "-1" },
            "evidence": { "max_age_num_blocks": "1814400", "max_age_duration": "1814400000000000", "max_bytes": "1048576" },
            "validator": { "pub_key_types": ["ed25519"] },
            "version": { "app": "1" },
            "abci": { "vote_extensions_enable_height": "0" },
        },
        "app_hash": "",
        "app_state": { "auth": null, "bank": null, "staking": null, "escrow": null, "provider": null, "encryption": null, "deployment": null, "market": null, "feegrant": null, "authz": null, "genutil": { "gen_txs": [] } },
    })
}

/// The node's keys, as far as commands need them.
pub struct NodeKeys {
    /// Hex of the first 20 bytes of SHA-256 of the node's public key.
    pub id: String,
    pub validator_public: [u8; 32],
}

fn public(private: &Value) -> anyhow::Result<[u8; 32]> {
    let bytes = BASE64_STANDARD.decode(private["value"].as_str().unwrap_or_default())?;
    // A private key of CometBFT's is seed ‖ public key.
    bytes.get(32..64).and_then(|b| b.try_into().ok()).context("expected an ed25519 private key of 64 bytes")
}

impl NodeKeys {
    pub fn load(config: &Path) -> anyhow::Result<Self> {
        let key = |name: &str| -> anyhow::Result<[u8; 32]> {
            let path = config.join(name);
            if !path.exists() {
                bail!("{} does not exist: make it with virtengine init", path.display());
            }
            public(&read_json(&path)?["priv_key"]).with_context(|| path.display().to_string())
        };
        let node = key("node_key.json")?;
        Ok(NodeKeys { id: hex::encode(&Sha256::digest(node)[..20]), validator_public: key("priv_validator_key.json")? })
    }

    fn load_or_create(config: &Path) -> anyhow::Result<Self> {
        let node = config.join("node_key.json");
        if !node.exists() {
            let (private, _) = ed25519();
            secret(&node, &json!({ "priv_key": { "type": "tendermint/PrivKeyEd25519", "value": private } }))?;
        }
        let validator = config.join("priv_validator_key.json");
        if !validator.exists() {
            let (private, public) = ed25519();
            secret(
                &validator,
                &json!({
                    "address": hex::encode_upper(&Sha256::digest(public)[..20]),
                    "pub_key": { "type": "tendermint/PubKeyEd25519", "value": BASE64_STANDARD.encode(public) },
                    "priv_key": { "type": "tendermint/PrivKeyEd25519", "value": private },
                }),
            )?;
        }
        NodeKeys::load(config)
    }
}

/// A new key: seed ‖ public key in base64, and the public key.
fn ed25519() -> (String, [u8; 32]) {
    let key = ed25519_consensus::SigningKey::new(rand::rngs::OsRng);
    let public = key.verification_key().to_bytes();
    (BASE64_STANDARD.encode([key.to_bytes(), public].concat()), public)
}

/// Writes a file that only the owner can read.
fn secret(path: &Path, value: &Value) -> anyhow::Result<()> {
    use std::io::Write;
    let at = || format!("cannot write {}", path.display());
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).with_context(at)?;
    writeln!(file, "{}", serde_json::to_string_pretty(value)?).with_context(at)
}

fn edit<T>(config: &Path, f: impl FnOnce(&mut toml_edit::DocumentMut) -> T) -> anyhow::Result<T> {
    let path = config.join("config.toml");
    let mut document: toml_edit::DocumentMut = read(&path)?.parse().with_context(|| path.display().to_string())?;
    let result = f(&mut document);
    write(&path, &document.to_string())?;
    Ok(result)
}

/// Sets `p2p.persistent_peers`; comments stay.
pub fn set_peers(config: &Path, peers: &str) -> anyhow::Result<()> {
    edit(config, |d| d["p2p"]["persistent_peers"] = toml_edit::value(peers))
}

/// The node's name from its configuration.
pub fn moniker(config: &Path) -> anyhow::Result<String> {
    let path = config.join("config.toml");
    let document: toml_edit::DocumentMut = read(&path)?.parse().with_context(|| path.display().to_string())?;
    document.get("moniker").and_then(|m| m.as_str()).map(Into::into).with_context(|| format!("{}: moniker: missing", path.display()))
}

const CONFIG_TOML: &str = r#"# CometBFT. What is not here has CometBFT's default; all settings are in its documentation.

moniker = "@MONIKER@"
log_level = "error"
log_format = "plain"

[rpc]
laddr = "tcp://127.0.0.1:26657"
cors_allowed_origins = []
# Explorers and wallets hold many subscriptions open.
max_open_connections = 2000
max_subscription_clients = 1500
timeout_broadcast_tx_commit = "20s"

[p2p]
laddr = "tcp://0.0.0.0:26656"
persistent_peers = ""
# Both must be turned for several nodes on one address.
addr_book_strict = true
allow_duplicate_ip = false
# Small packets are gathered for this long: CometBFT's default of 100ms delays every vote.
flush_throttle_timeout = "10ms"

[mempool]
size = 20000
cache_size = 40000

[consensus]
timeout_propose = "2s"
timeout_prevote = "500ms"
timeout_precommit = "500ms"
# The time from one block to the next.
timeout_commit = "1s"

[tx_index]
indexer = "kv"

[instrumentation]
prometheus = false
prometheus_listen_addr = "127.0.0.1:26660"
"#;

const APP_TOML: &str = r#"# The application. A flag of virtengine start counts over what is here.

# The least price of a unit of gas for this node's mempool.
minimum-gas-prices = "0.025uve"

# The events' attributes that transactions can be searched by, as "type.key". None: all but amounts, fees and message numbers.
index-events = []

[grpc]
enable = true
address = "127.0.0.1:9090"

[api]
enable = true
address = "tcp://127.0.0.1:1317"

[state]
# Heights at which queries are answered, and at which proofs are given.
query-versions = 1000
proof-versions = 100
"#;

const CLIENT_TOML: &str = r#"# The command line. A flag counts over the environment (VIRTENGINE_…), the environment over what is here.

chain-id = "@CHAIN_ID@"
# file, test or os; empty means file.
keyring-backend = ""
# text or json
output = "text"
node = "tcp://localhost:26657"
# block, sync or async
broadcast-mode = "block"
gas = "auto"
gas-adjustment = "1.5"
gas-prices = "0.025uve"
"#;
