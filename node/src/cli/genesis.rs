//! `virtengine genesis`: the commands that make a network's first state, with the arguments that Cosmos chains take.

use super::Context;
use super::context::{read_json, write};
use super::tx::coins;
use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Subcommand};
use client::address::{Address, Prefix};
use client::tx::{Signer, Unsigned, any};
use prost::Message;
use proto::Any;
use proto::cosmos::base::v1beta1::Coin;
use proto::cosmos::staking::v1beta1::{CommissionRates, Description, MsgCreateValidator};
use proto::cosmos::tx::v1beta1::TxRaw;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Gas of a genesis transaction; nothing is charged for it.
const GENTX_GAS: u64 = 200_000;

#[derive(Subcommand)]
#[allow(clippy::large_enum_variant)] // parsed once
pub enum Genesis {
    /// Give an account money from the start
    AddGenesisAccount {
        /// A key's name or an address
        account: String,
        coins: String,
        /// Add to what the account has already
        #[arg(long)]
        append: bool,
    },
    /// Many accounts from a JSON file: [{"address": …, "coins": [{"denom": …, "amount": …}]}]
    BulkAddGenesisAccount {
        file: PathBuf,
        #[arg(long)]
        append: bool,
    },
    /// Write the transaction with which a validator joins at genesis
    Gentx(Gentx),
    /// Put the transactions of `gentx` into the genesis document
    CollectGentxs {
        /// [default: HOME/config/gentx]
        #[arg(long, value_name = "DIR")]
        gentx_dir: Option<PathBuf>,
    },
    /// Check a genesis document by starting a chain from it in memory
    #[command(visible_alias = "validate-genesis")]
    Validate {
        /// [default: HOME/config/genesis.json]
        file: Option<PathBuf>,
    },
}

#[derive(Args)]
pub struct Gentx {
    /// The validator's key
    key: String,
    /// What it delegates to itself
    amount: String,
    #[arg(long)]
    moniker: Option<String>,
    #[arg(long, default_value = "0.1")]
    commission_rate: String,
    #[arg(long, default_value = "0.2")]
    commission_max_rate: String,
    #[arg(long, default_value = "0.01")]
    commission_max_change_rate: String,
    #[arg(long, default_value = "1")]
    min_self_delegation: String,
    #[arg(long, default_value = "")]
    website: String,
    #[arg(long, default_value = "")]
    identity: String,
    #[arg(long, default_value = "")]
    details: String,
    #[arg(long, default_value = "")]
    security_contact: String,
    /// The node's address for others
    #[arg(long, default_value = "127.0.0.1")]
    ip: String,
    #[arg(long, default_value_t = 26656)]
    p2p_port: u16,
    /// [default: HOME/config/gentx/gentx-NODEID.json]
    #[arg(long, value_name = "FILE")]
    output_document: Option<PathBuf>,
}

/// The genesis document, with a way back to its file.
struct Document {
    path: PathBuf,
    value: Value,
}

impl Document {
    fn open(path: PathBuf) -> anyhow::Result<Self> {
        if !path.exists() {
            bail!("{} does not exist: make it with virtengine init", path.display());
        }
        let value = read_json(&path)?;
        Ok(Document { path, value })
    }

    /// A list under `app_state`, made if missing.
    fn list(&mut self, section: &str, name: &str) -> anyhow::Result<&mut Vec<Value>> {
        let part = &mut self.value["app_state"][section];
        if part.is_null() {
            *part = json!({});
        }
        let list = &mut part[name];
        if list.is_null() {
            *list = json!([]);
        }
        list.as_array_mut().with_context(|| format!("{}: app_state.{section}.{name}: expected a list", self.path.display()))
    }

    fn add_account(&mut self, address: &str, coins: Vec<Coin>, append: bool) -> anyhow::Result<()> {
        let accounts = self.list("auth", "accounts")?;
        let known = accounts.iter().any(|a| a["address"] == json!(address));
        if known && !append {
            bail!("account {address} is in the genesis document already: add to it with --append");
        }
        if !known {
            accounts.push(json!({
                "@type": "/cosmos.auth.v1beta1.BaseAccount", "address": address, "pub_key": null, "account_number": "0", "sequence": "0",
            }));
        }
        let balances = self.list("bank", "balances")?;
        let at = match balances.iter().position(|b| b["address"] == json!(address)) {
            Some(at) => at,
            None => {
                balances.push(json!({ "address": address, "coins": [] }));
                balances.len() - 1
            }
        };
        let held = balances[at]["coins"].as_array_mut().context("bank.balances: coins: expected a list")?;
        merge(held, &coins)?;
        let supply = self.list("bank", "supply")?;
        merge(supply, &coins)
    }

    fn save(&self) -> anyhow::Result<()> {
        write(&self.path, &(serde_json::to_string_pretty(&self.value)? + "\n"))
    }
}

/// Adds coins to a JSON list of coins, sorted by denomination.
fn merge(list: &mut Vec<Value>, coins: &[Coin]) -> anyhow::Result<()> {
    for coin in coins {
        let amount: u128 = coin.amount.parse()?;
        match list.iter_mut().find(|c| c["denom"] == json!(coin.denom)) {
            Some(held) => {
                let before: u128 = held["amount"].as_str().unwrap_or_default().parse().context("amount: expected digits")?;
                held["amount"] = json!(before.checked_add(amount).context("the amounts add up to more than fits")?.to_string());
            }
            None => list.push(json!({ "denom": coin.denom, "amount": coin.amount })),
        }
    }
    list.sort_by(|a, b| a["denom"].as_str().cmp(&b["denom"].as_str()));
    Ok(())
}

impl Genesis {
    pub fn run(self, context: &Context) -> anyhow::Result<()> {
        match self {
            Genesis::AddGenesisAccount { account, coins: text, append } => {
                let coins = coins("coins", &text)?;
                let address = match account.parse::<Address>() {
                    Ok(address) => address.to_bech32(Prefix::Account),
                    Err(_) => context.keyring()?.get(&account)?.address().to_bech32(Prefix::Account),
                };
                let mut document = Document::open(context.genesis_path())?;
                document.add_account(&address, coins, append)?;
                document.save()
            }
            Genesis::BulkAddGenesisAccount { file, append } => {
                let list = read_json(&file)?;
                let list = list.as_array().with_context(|| format!("{}: expected a list", file.display()))?;
                let mut document = Document::open(context.genesis_path())?;
                for (index, row) in list.iter().enumerate() {
                    let at = || format!("{}: entry {index}", file.display());
                    let address = row["address"].as_str().context("address: expected text").with_context(at)?;
                    address.parse::<Address>().map_err(|e| anyhow!("address: {e}")).with_context(at)?;
                    let coins = row["coins"].as_array().into_iter().flatten().map(proto::json::from_json::<Coin>);
                    let coins = coins.collect::<Result<Vec<_>, _>>().map_err(|e| anyhow!("coins: {e}")).with_context(at)?;
                    document.add_account(address, coins, append).with_context(at)?;
                }
                document.save()
            }
            Genesis::Gentx(gentx) => gentx.run(context),
            Genesis::CollectGentxs { gentx_dir } => collect(context, gentx_dir),
            Genesis::Validate { file } => {
                let path = file.unwrap_or_else(|| context.genesis_path());
                validate(&path)?;
                context.hint(format_args!("{} is a valid genesis document", path.display()));
                Ok(())
            }
        }
    }
}

impl Gentx {
    fn run(self, context: &Context) -> anyhow::Result<()> {
        let document = Document::open(context.genesis_path())?;
        let chain_id = document.value["chain_id"].as_str().context("genesis: chain_id: missing")?;
        if let Some(set) = context.set_chain_id().filter(|set| *set != chain_id) {
            bail!("--chain-id {set}: the genesis document is for {chain_id}");
        }
        let amount = super::tx::coin("amount", &self.amount)?;
        let keyring = context.keyring()?;
        let secret = keyring.signer(&self.key)?;
        let address = secret.address();
        let account = address.to_bech32(Prefix::Account);
        let balances = document.value["app_state"]["bank"]["balances"].as_array();
        let coins = balances.into_iter().flatten().find(|b| b["address"] == json!(account)).map(|b| &b["coins"]);
        let held =
            coins.and_then(|c| c.as_array()?.iter().find(|c| c["denom"] == json!(amount.denom))?["amount"].as_str()?.parse::<u128>().ok());
        if held.unwrap_or(0) < amount.amount.parse()? {
            bail!(
                "amount {}: the genesis document gives {account} {}{}: add it with genesis add-genesis-account",
                self.amount,
                held.unwrap_or(0),
                amount.denom
            );
        }
        let node = super::init::NodeKeys::load(&context.config_dir())?;
        let key = proto::cosmos::crypto::ed25519::PubKey { key: node.validator_public.to_vec() };
        let dec = |field: &str, text: &str| -> anyhow::Result<String> {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
            let digits = format!("{whole}{fraction:0<18}");
            if fraction.len() > 18 || whole.is_empty() || digits.parse::<u128>().is_err() {
                bail!("{field} {text:?}: expected a decimal number like 0.1");
            }
            Ok(digits.parse::<u128>()?.to_string())
        };
        #[allow(deprecated)] // delegator_address is still on the wire and left empty
        let msg = MsgCreateValidator {
            description: Some(Description {
                moniker: match self.moniker {
                    Some(moniker) => moniker,
                    None => super::init::moniker(&context.config_dir())?,
                },
                identity: self.identity,
                website: self.website,
                security_contact: self.security_contact,
                details: self.details,
            }),
            commission: Some(CommissionRates {
                rate: dec("--commission-rate", &self.commission_rate)?,
                max_rate: dec("--commission-max-rate", &self.commission_max_rate)?,
                max_change_rate: dec("--commission-max-change-rate", &self.commission_max_change_rate)?,
            }),
            min_self_delegation: self.min_self_delegation,
            delegator_address: String::new(),
            validator_address: address.to_bech32(Prefix::Operator),
            pubkey: Some(Any { type_url: "/cosmos.crypto.ed25519.PubKey".into(), value: key.encode_to_vec() }),
            value: Some(amount),
        };
        let memo = format!("{}@{}:{}", node.id, self.ip, self.p2p_port);
        let tx = Unsigned { memo, gas: GENTX_GAS, ..Unsigned::new(vec![any(&msg)]) };
        let signer = Signer { chain_id: chain_id.into(), account_number: 0, sequence: 0, public_key: secret.public_key().to_bytes() };
        let raw = TxRaw::decode(&tx.sign(&signer, &secret)[..])?;
        let text = serde_json::to_string(&json!({
            "body": proto::json::to_value("cosmos.tx.v1beta1.TxBody", &raw.body_bytes)?,
            "auth_info": proto::json::to_value("cosmos.tx.v1beta1.AuthInfo", &raw.auth_info_bytes)?,
            "signatures": raw.signatures.iter().map(|s| base64::Engine::encode(&base64::prelude::BASE64_STANDARD, s)).collect::<Vec<_>>(),
        }))?;
        let path = self.output_document.unwrap_or_else(|| context.config_dir().join("gentx").join(format!("gentx-{}.json", node.id)));
        std::fs::create_dir_all(path.parent().context("--output-document: expected a file")?)?;
        write(&path, &text)?;
        context.hint(format_args!("genesis transaction written to {}", path.display()));
        Ok(())
    }
}

fn collect(context: &Context, dir: Option<PathBuf>) -> anyhow::Result<()> {
    let dir = dir.unwrap_or_else(|| context.config_dir().join("gentx"));
    let entries = std::fs::read_dir(&dir).with_context(|| format!("{}: make transactions with genesis gentx first", dir.display()))?;
    let mut files: Vec<PathBuf> = entries.map(|e| Ok(e?.path())).collect::<std::io::Result<_>>()?;
    files.retain(|f| f.extension().is_some_and(|e| e == "json"));
    files.sort();
    if files.is_empty() {
        bail!("{}: expected at least one genesis transaction, got none", dir.display());
    }
    let own = super::init::NodeKeys::load(&context.config_dir())?.id;
    let (mut txs, mut peers) = (Vec::new(), Vec::new());
    for file in &files {
        let tx = read_json(file)?;
        let memo = tx["body"]["memo"].as_str().with_context(|| format!("{}: body.memo: expected NODEID@HOST:PORT", file.display()))?;
        if !memo.starts_with(&own) {
            peers.push(memo.to_string());
        }
        txs.push(tx);
    }
    let mut document = Document::open(context.genesis_path())?;
    *document.list("genutil", "gen_txs")? = txs;
    document.save()?;
    super::init::set_peers(&context.config_dir(), &peers.join(","))?;
    validate(&document.path)?;
    context.hint(format_args!("{} genesis transactions collected", files.len()));
    Ok(())
}

/// Starts a chain from the document in a temporary directory.
fn validate(path: &Path) -> anyhow::Result<()> {
    let document = Document::open(path.into())?;
    let at = || format!("{} is refused", path.display());
    let chain_id = document.value["chain_id"].as_str().filter(|id| !id.is_empty() && id.len() <= 50);
    chain_id.context("chain_id: expected a text of 1 to 50 bytes").with_context(at)?;
    let state = document.value["app_state"].as_object().context("app_state: expected an object").with_context(at)?;
    app::check_genesis(chain_id.unwrap_or_default(), state).map_err(|e| anyhow!("{e}")).with_context(at)
}
