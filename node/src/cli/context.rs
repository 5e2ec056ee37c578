//! Settings that every command shares: a flag counts over the environment, the environment over `client.toml`, and
//! that over the defaults. And the ways to standard output and standard error.

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, ValueEnum};
use client::keyring::{Backend, Keyring, Prompt, console};
use client::rpc::Rpc;
use serde::Deserialize;
use serde_json::Value;
use std::fmt::Display;
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

const DEFAULT_NODE: &str = "http://localhost:26657";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
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

/// `config/client.toml`, in the SDK's names. An empty text is a setting that was not made.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct ClientToml {
    chain_id: String,
    keyring_backend: String,
    output: String,
    node: String,
    broadcast_mode: String,
    gas: Scalar,
    gas_adjustment: Scalar,
    gas_prices: String,
}

/// A number with or without quotes.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Integer(u64),
    Fraction(f64),
}

impl Default for Scalar {
    fn default() -> Self {
        Scalar::Text(String::new())
    }
}

impl Scalar {
    fn text(self) -> Option<String> {
        match self {
            Scalar::Text(text) => filled(text),
            Scalar::Integer(number) => Some(number.to_string()),
            Scalar::Fraction(number) => Some(number.to_string()),
        }
    }
}

impl ClientToml {
    fn read(home: &Path) -> anyhow::Result<Self> {
        let path = home.join("config/client.toml");
        match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).with_context(|| path.display().to_string()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(ClientToml::default()),
            Err(e) => Err(e).with_context(|| path.display().to_string()),
        }
    }

    fn output(&self) -> anyhow::Result<Option<Output>> {
        let wrong = |_| anyhow!("client.toml: output {:?}: expected json or text", self.output);
        (!self.output.is_empty()).then(|| Output::from_str(&self.output, false).map_err(wrong)).transpose()
    }
}

pub struct Context {
    pub home: PathBuf,
    pub node: String,
    chain_id: Option<String>,
    backend: String,
    keyring_dir: PathBuf,
    pub output: Output,
    /// What flag or environment say of the output, for commands whose usual form is another than the one of `client.toml`.
    pub asked_output: Option<Output>,
    /// Settings of transactions, from the environment or `client.toml`; their flags count over them.
    pub from: Option<String>,
    pub broadcast_mode: Option<String>,
    pub gas: Option<String>,
    pub gas_adjustment: Option<String>,
    pub gas_prices: Option<String>,
    pub fees: Option<String>,
    pub prompt: Arc<dyn Prompt>,
    keyring: OnceLock<Arc<Keyring>>,
}

fn filled(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn default_home() -> Option<PathBuf> {
    Some(std::env::home_dir()?.join(".virtengine"))
}

impl Context {
    pub fn load(global: Global) -> anyhow::Result<Self> {
        let home = global.home.or_else(default_home).context("no home directory is known: give one with --home")?;
        let file = ClientToml::read(&home)?;
        let env = |name: &str| std::env::var(format!("VIRTENGINE_{name}")).ok().and_then(filled);
        Ok(Context {
            output: global.output.or(file.output()?).unwrap_or(Output::Text),
            asked_output: global.output,
            node: global.node.or(filled(file.node)).unwrap_or_else(|| DEFAULT_NODE.into()),
            chain_id: global.chain_id.or(filled(file.chain_id)),
            backend: global.keyring_backend.or(filled(file.keyring_backend)).unwrap_or_else(|| "file".into()),
            keyring_dir: global.keyring_dir.unwrap_or_else(|| home.clone()),
            from: env("FROM"),
            broadcast_mode: env("BROADCAST_MODE").or(filled(file.broadcast_mode)),
            gas: env("GAS").or(file.gas.text()),
            gas_adjustment: env("GAS_ADJUSTMENT").or(file.gas_adjustment.text()),
            gas_prices: env("GAS_PRICES").or(filled(file.gas_prices)),
            fees: env("FEES"),
            prompt: console(),
            keyring: OnceLock::new(),
            home,
        })
    }

    /// The keyring, the same one for the whole command: it asks for its passphrase once.
    pub fn keyring(&self) -> anyhow::Result<Arc<Keyring>> {
        if let Some(open) = self.keyring.get() {
            return Ok(open.clone());
        }
        let backend: Backend = self.backend.parse()?;
        let open = Arc::new(Keyring::open(backend, &self.keyring_dir, self.prompt.clone()));
        Ok(self.keyring.get_or_init(|| open).clone())
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

    /// Tells what a person may like to know. Under JSON, standard error is left to the error, unless a person looks at it.
    pub fn hint(&self, text: impl Display) {
        if self.output == Output::Text || std::io::stderr().is_terminal() {
            tell(text);
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
pub fn say(text: impl Display) {
    let text = text.to_string();
    let mut out = std::io::stdout().lock();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    if let Err(e) = write!(out, "{text}{end}").and_then(|()| out.flush()) {
        if e.kind() == std::io::ErrorKind::BrokenPipe {
            std::process::exit(0);
        }
        tell(format_args!("Error: standard output: {e}"));
        std::process::exit(1);
    }
}

/// A line on standard error, if anybody reads it.
pub fn tell(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Whether an error on the command line itself is to be told as JSON: the command line could not be parsed, so that what it
/// says of the output is looked for.
pub fn wants_json(args: &[String]) -> bool {
    let option = |long: &str, short: &str| {
        let mut given = args.iter().enumerate().filter_map(|(i, arg)| match arg {
            arg if arg == long || arg == short => args.get(i + 1).cloned(),
            arg => arg
                .strip_prefix(long)
                .and_then(|rest| rest.strip_prefix('='))
                .or_else(|| arg.strip_prefix(short).map(|rest| rest.trim_start_matches('=')))
                .map(Into::into),
        });
        given.next_back()
    };
    let env = |name| std::env::var(name).ok();
    if let Some(output) = option("--output", "-o").or_else(|| env("VIRTENGINE_OUTPUT")) {
        return output == "json";
    }
    let home = option("--home", "--home=").or_else(|| env("VIRTENGINE_HOME")).map(PathBuf::from).or_else(default_home);
    home.and_then(|home| ClientToml::read(&home).ok()).is_some_and(|file| file.output == "json")
}

/// Reads a file, or standard input for `-`; the error names it.
pub fn read(path: &Path) -> anyhow::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).context("cannot read standard input")?;
        return Ok(text);
    }
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
