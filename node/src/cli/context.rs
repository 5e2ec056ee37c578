//! Settings that every command shares: a flag counts over the environment, the environment over `client.toml`, and
//! that over the defaults.

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use client::keyring::{Backend, Keyring, Prompt, console};
use client::rpc::Rpc;
use serde::Deserialize;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const DEFAULT_NODE: &str = "http://localhost:26657";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    Json,
    Text,
}

#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The directory of keys, configuration and data [default: ~/.virtengine]
    #[arg(long, global = true, env = "VIRTENGINE_HOME", value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// The node's RPC address, http:// or tcp:// [default: http://localhost:26657]
    #[arg(long, global = true, env = "VIRTENGINE_NODE", value_name = "URL")]
    pub node: Option<String>,
    /// The chain to sign for [default: what the node says]
    #[arg(long, global = true, env = "VIRTENGINE_CHAIN_ID", value_name = "ID")]
    pub chain_id: Option<String>,
    /// Where keys are kept: file, test, or os for the session's secret service [default: file]
    #[arg(long, global = true, env = "VIRTENGINE_KEYRING_BACKEND", value_name = "BACKEND")]
    pub keyring_backend: Option<String>,
    /// The directory that holds the keyring's folder, which the backend os has no need of [default: the home]
    #[arg(long, global = true, env = "VIRTENGINE_KEYRING_DIR", value_name = "DIR")]
    pub keyring_dir: Option<PathBuf>,
    /// How results are printed [default: text]
    #[arg(long, short, global = true, env = "VIRTENGINE_OUTPUT", value_name = "FORMAT")]
    pub output: Option<Output>,
}

/// `config/client.toml`, in the SDK's names.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct ClientToml {
    chain_id: String,
    keyring_backend: String,
    output: Option<Output>,
    node: String,
    broadcast_mode: String,
    gas: String,
    gas_adjustment: String,
    gas_prices: String,
}

pub struct Context {
    pub home: PathBuf,
    pub node: String,
    chain_id: Option<String>,
    backend: String,
    keyring_dir: PathBuf,
    pub output: Output,
    pub broadcast_mode: Option<String>,
    pub gas: Option<String>,
    pub gas_adjustment: Option<String>,
    pub gas_prices: Option<String>,
    pub prompt: Arc<dyn Prompt>,
}

fn filled(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

impl Context {
    pub fn load(global: Global) -> anyhow::Result<Self> {
        let home = match global.home {
            Some(home) => home,
            None => std::env::home_dir().context("no home directory is known: give one with --home")?.join(".virtengine"),
        };
        let path = home.join("config/client.toml");
        let file = match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).with_context(|| path.display().to_string())?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => ClientToml::default(),
            Err(e) => return Err(e).with_context(|| path.display().to_string()),
        };
        Ok(Context {
            node: global.node.or(filled(file.node)).unwrap_or_else(|| DEFAULT_NODE.into()),
            chain_id: global.chain_id.or(filled(file.chain_id)),
            backend: global.keyring_backend.or(filled(file.keyring_backend)).unwrap_or_else(|| "file".into()),
            keyring_dir: global.keyring_dir.unwrap_or_else(|| home.clone()),
            output: global.output.or(file.output).unwrap_or(Output::Text),
            broadcast_mode: filled(file.broadcast_mode),
            gas: filled(file.gas),
            gas_adjustment: filled(file.gas_adjustment),
            gas_prices: filled(file.gas_prices),
            prompt: console(),
            home,
        })
    }

    pub fn keyring(&self) -> anyhow::Result<Keyring> {
        let backend: Backend = self.backend.parse()?;
        Ok(Keyring::open(backend, &self.keyring_dir, self.prompt.clone()))
    }

    pub fn rpc(&self) -> anyhow::Result<Rpc> {
        Ok(Rpc::new(&self.node)?)
    }

    pub fn config_dir(&self) -> PathBuf {
        self.home.join("config")
    }

    pub fn genesis_path(&self) -> PathBuf {
        self.config_dir().join("genesis.json")
    }

    /// The chain id that was set, if any was.
    pub fn set_chain_id(&self) -> Option<&str> {
        self.chain_id.as_deref()
    }

    /// The chain to sign for: what was set, else what the node says; an error when the two differ.
    pub async fn chain_id(&self, rpc: &Rpc) -> anyhow::Result<String> {
        let served = rpc.chain_id().await?;
        match &self.chain_id {
            Some(set) if *set != served => {
                bail!(
                    "chain id: the node at {} serves {served:?}, but {set:?} is set (--chain-id, VIRTENGINE_CHAIN_ID or client.toml)",
                    rpc.url()
                )
            }
            _ => Ok(served),
        }
    }

    /// Prints a result: YAML, or JSON on one line.
    pub fn print(&self, value: &Value) {
        match self.output {
            Output::Json => say(value),
            Output::Text => say(proto::yaml::to_string(value)),
        }
    }
}

/// Prints a result on lines of their own. A reader that has gone, like `head` when it has enough, ends the command.
pub fn say(text: impl std::fmt::Display) {
    use std::io::Write;
    let text = text.to_string();
    let mut out = std::io::stdout().lock();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    if let Err(e) = write!(out, "{text}{end}").and_then(|()| out.flush()) {
        if e.kind() == std::io::ErrorKind::BrokenPipe {
            std::process::exit(0);
        }
        eprintln!("Error: standard output: {e}");
        std::process::exit(1);
    }
}

/// Reads a file; the error names it.
pub fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

pub fn read_json(path: &Path) -> anyhow::Result<Value> {
    serde_json::from_str(&read(path)?).with_context(|| format!("{} is not JSON", path.display()))
}

/// Writes a file in one step, so that a crash leaves the old or the new one.
pub fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let at = || format!("cannot write {}", path.display());
    let part = path.with_extension("part");
    std::fs::write(&part, text).with_context(at)?;
    std::fs::rename(&part, path).with_context(at)
}
