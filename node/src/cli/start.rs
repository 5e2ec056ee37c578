//! `virtengine start`: the application, its servers, and the engine that drives it.

use super::Context;
use super::context::read;
use crate::abci::{Prefetch, Server};
use crate::engine::{self, Engine, comet, solo::Solo};
use crate::server::{self, Servers};
use anyhow::{Context as _, anyhow, bail};
use app::{App, GasPrices};
use clap::{Args, ValueEnum};
use serde::Deserialize;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Args)]
pub struct Start {
    /// What makes the blocks
    #[arg(long, value_enum, default_value_t = Engine::Comet)]
    engine: Engine,
    /// CometBFT's binary [default: beside virtengine, or on PATH]
    #[arg(long, value_name = "FILE")]
    cometbft: Option<PathBuf>,
    /// Over app.toml's
    #[arg(long, env = "VIRTENGINE_MINIMUM_GAS_PRICES")]
    minimum_gas_prices: Option<String>,
    /// Where gRPC is served, over app.toml's
    #[arg(long = "grpc.address", value_name = "HOST:PORT")]
    grpc_address: Option<String>,
    /// Where REST is served, over app.toml's
    #[arg(long = "api.address", value_name = "HOST:PORT")]
    api_address: Option<String>,
    /// Where the solo engine serves RPC
    #[arg(long = "rpc.laddr", value_name = "HOST:PORT", default_value = "127.0.0.1:26657")]
    rpc_laddr: String,
    /// From one block to the next under --engine solo
    #[arg(long, default_value = "1s", value_parser = humantime::parse_duration)]
    block_time: std::time::Duration,
    /// error, warn, info, debug or trace
    #[arg(long, env = "VIRTENGINE_LOG_LEVEL", default_value = "info")]
    log_level: String,
    #[arg(long, value_enum, env = "VIRTENGINE_LOG_FORMAT", default_value = "text")]
    log_format: LogFormat,
}

/// `config/app.toml`
#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct AppToml {
    minimum_gas_prices: String,
    index_events: Vec<String>,
    grpc: Listen,
    api: Listen,
    state: State,
}

#[derive(Deserialize)]
#[serde(default)]
struct Listen {
    enable: bool,
    address: String,
}

impl Default for Listen {
    fn default() -> Self {
        Listen { enable: true, address: String::new() }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct State {
    query_versions: u64,
    proof_versions: u64,
}

impl Default for State {
    fn default() -> Self {
        State { query_versions: 1000, proof_versions: 100 }
    }
}

impl Listen {
    fn resolve(&self, setting: &str, flag: Option<&str>, default: &str) -> anyhow::Result<Option<SocketAddr>> {
        let text = match flag {
            Some(flag) => flag,
            None if !self.enable => return Ok(None),
            None if self.address.is_empty() => default,
            None => &self.address,
        };
        resolve(setting, text).map(Some)
    }
}

fn resolve(setting: &str, text: &str) -> anyhow::Result<SocketAddr> {
    let plain = text.trim_start_matches("tcp://").trim_start_matches("http://");
    let found = plain.to_socket_addrs().ok().and_then(|mut all| all.next());
    found.with_context(|| format!("{setting} {text:?}: expected host:port"))
}

impl Prefetch for App {
    fn prefetch(&self, txs: &[bytes::Bytes]) {
        App::prefetch(self, txs);
    }
}

impl Start {
    pub fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        self.log()?;
        let path = context.config_dir().join("app.toml");
        let file: AppToml = match path.exists() {
            true => toml::from_str(&read(&path)?).with_context(|| path.display().to_string())?,
            false => AppToml::default(),
        };
        if !context.genesis_path().exists() {
            bail!(
                "{} does not exist: make a node with virtengine init, or give its directory with --home",
                context.genesis_path().display()
            );
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(self.serve(context, file))?;
        Ok(ExitCode::SUCCESS)
    }

    fn log(&self) -> anyhow::Result<()> {
        let filter =
            tracing_subscriber::EnvFilter::try_new(&self.log_level).map_err(|e| anyhow!("--log-level {:?}: {e}", self.log_level))?;
        let builder = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
        match self.log_format {
            LogFormat::Text => builder.init(),
            LogFormat::Json => builder.json().init(),
        }
        Ok(())
    }

    async fn serve(self, context: Context, file: AppToml) -> anyhow::Result<()> {
        let home = &context.home;
        let grpc = file.grpc.resolve("app.toml: grpc.address", self.grpc_address.as_deref(), "127.0.0.1:9090")?;
        let rest = file.api.resolve("app.toml: api.address", self.api_address.as_deref(), "127.0.0.1:1317")?;
        let prices_text = self.minimum_gas_prices.unwrap_or(file.minimum_gas_prices);
        let min_gas_prices = GasPrices::parse(&prices_text).map_err(|e| anyhow!("minimum-gas-prices: {e}"))?;
        let config = app::Config {
            min_gas_prices,
            min_gas_prices_text: prices_text,
            index_events: app::IndexEvents::new(file.index_events),
            store: app::store::Tuning {
                query_versions: file.state.query_versions,
                proof_versions: file.state.proof_versions,
                ..Default::default()
            },
        };
        // CometBFT is looked for before anything is opened: without it nothing would run.
        let binary = match self.engine {
            Engine::Comet => Some(comet::find(self.cometbft.as_deref())?),
            _ => None,
        };
        let data = home.join("data/application");
        let app = App::open(&data, config).map_err(|e| {
            anyhow!(
                "the chain's state in {} cannot be opened: {e}\nIf another process has it open, stop that. If it is damaged, restore {} \
                 from a copy, or delete all in there but priv_validator_state.json, and the node syncs again.",
                data.display(),
                home.join("data").display()
            )
        })?;
        same_chain(&app, &context)?;
        let rpc_url = match self.engine {
            Engine::Solo => format!("http://{}", resolve("--rpc.laddr", &self.rpc_laddr)?),
            _ => rpc_url(&context)?,
        };
        let servers = Servers::start(app.clone(), server::Config { grpc, rest, rpc_url }).await?;
        tracing::info!(height = app.store().height(), "virtengine {} is open", app::VERSION);

        let mut terminate = signal(SignalKind::terminate())?;
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            tracing::info!("stopping");
        };
        let result = match self.engine {
            Engine::Solo => {
                let solo = Solo {
                    home: home.clone(),
                    rpc: resolve("--rpc.laddr", &self.rpc_laddr)?,
                    moniker: super::init::moniker(&context.config_dir())?,
                    block_time: self.block_time,
                    min_block_time: Solo::MIN_BLOCK_TIME.min(self.block_time),
                };
                solo.run(app.clone(), |address| tracing::info!("RPC at http://{address}"), stop).await
            }
            Engine::Comet | Engine::External => {
                let socket = Server::start(&engine::socket(home), app.clone())?;
                let result = match binary {
                    Some(binary) => {
                        let app = socket.address().clone();
                        let comet = comet::Comet { binary, home: home.clone(), app, log: None, stop_timeout: comet::STOP_TIMEOUT };
                        comet.run(stop).await
                    }
                    None => {
                        tracing::info!("{}", comet::external_hint(home, socket.address()));
                        stop.await;
                        Ok(())
                    }
                };
                tokio::task::spawn_blocking(move || socket.stop()).await?;
                result
            }
        };
        servers.stop().await;
        result
    }
}

/// Refuses a genesis file of another chain than that of the data. CometBFT keeps a copy of its own and would not notice.
fn same_chain(app: &App, context: &Context) -> anyhow::Result<()> {
    #[derive(Deserialize)]
    struct Genesis {
        chain_id: String,
    }
    if app.store().height() == 0 {
        return Ok(());
    }
    let path = context.genesis_path();
    let genesis: Genesis = serde_json::from_str(&read(&path)?).with_context(|| path.display().to_string())?;
    let view = app.view(0).map_err(|e| anyhow!("{e}"))?;
    if view.chain_id() != genesis.chain_id {
        bail!(
            "{} is of chain {:?} and the state in {} of chain {:?}: put the chain's own genesis file back, or give another directory \
             with --home",
            path.display(),
            genesis.chain_id,
            context.home.join("data").display(),
            view.chain_id()
        );
    }
    Ok(())
}

/// Where CometBFT will serve RPC.
fn rpc_url(context: &Context) -> anyhow::Result<String> {
    let path = context.config_dir().join("config.toml");
    let config: toml::Table = read(&path)?.parse().with_context(|| path.display().to_string())?;
    let laddr = config.get("rpc").and_then(|r| r.get("laddr")).and_then(|l| l.as_str()).unwrap_or("tcp://127.0.0.1:26657");
    let address = laddr.trim_start_matches("tcp://").replace("0.0.0.0", "127.0.0.1");
    Ok(format!("http://{address}"))
}
