//! What clients reach besides CometBFT's RPC: gRPC and REST. Both are two forms of one table of calls, [`Api`], which
//! `abci_query` shares: queries go to the application, what needs blocks or transactions goes through CometBFT's RPC.

mod api;
mod grpc;
mod limits;
mod listener;
mod openapi;
mod reflection;
mod rest;
mod services;
mod status;
#[cfg(test)]
mod tests;

pub use api::SERVICES;
pub use status::Status;

use api::Api;
use app::App;
use client::rpc::{Rpc, RpcError};
use limits::Limits;
use listener::Listener;
use services::{Local, NoRemote, Services};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long open requests may take when the node stops. Streams such as reflection end only when they are cut.
const STOP_TIME: Duration = Duration::from_secs(5);
/// Threads that talk to clients. What takes long has threads of its own.
const THREADS: usize = 2;
/// How far the priority of the servers' threads is below that of the threads that make blocks, as `nice` has it.
const NICENESS: i32 = 10;

/// Where to listen, and where CometBFT's RPC is. None serves nothing.
#[derive(Debug, Clone)]
pub struct Config {
    pub grpc: Option<SocketAddr>,
    pub rest: Option<SocketAddr>,
    /// `http://host:port` or `tcp://host:port`.
    pub rpc_url: String,
}

/// Why the servers do not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{name} cannot listen on {address}: {source}; {}", advice(.source, .setting))]
    Bind { name: &'static str, address: SocketAddr, setting: &'static str, source: io::Error },
    #[error("the servers' threads cannot be started: {0}")]
    Threads(io::Error),
    #[error(transparent)]
    Rpc(#[from] RpcError),
}

fn advice(source: &io::Error, setting: &str) -> String {
    match source.kind() {
        io::ErrorKind::AddrInUse => format!("another program has that port: stop it, or set another address with {setting}"),
        _ => format!("set another address with {setting}"),
    }
}

/// The running servers, on threads of their own: clients that ask a lot must not hold up blocks.
pub struct Servers {
    app: App,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    runtime: Option<Runtime>,
    /// As bound: port 0 in the configuration takes any.
    pub grpc: Option<SocketAddr>,
    pub rest: Option<SocketAddr>,
}

impl Servers {
    /// Listens on every address before it serves any, and lets `abci_query` answer the same services.
    pub async fn start(app: App, config: Config) -> Result<Self, StartError> {
        let rpc = Rpc::new(&config.rpc_url)?;
        let runtime = runtime().map_err(StartError::Threads)?;
        let started = runtime.spawn(async move {
            let grpc = bind("gRPC", config.grpc, "grpc.address in app.toml or --grpc.address").await?;
            let rest = bind("REST", config.rest, "api.address in app.toml or --api.address").await?;
            let services = Services::new(app.clone(), rpc);
            app.set_remote(Arc::new(Local::new(services.clone())));
            let (api, limits) = (Api::new(app.clone(), services), Limits::new());

            let (stop, stopped) = watch::channel(false);
            let mut servers = Servers { app, stop, tasks: Vec::new(), runtime: None, grpc: None, rest: None };
            if let Some((listener, address)) = grpc {
                servers.grpc = Some(address);
                let routes = grpc::routes(api.clone(), limits.clone()).await;
                servers.tasks.push(tokio::spawn(listener.serve(routes, stopping(stopped.clone()))));
                tracing::info!(%address, "gRPC server");
            }
            if let Some((listener, address)) = rest {
                servers.rest = Some(address);
                servers.tasks.push(tokio::spawn(listener.serve(rest::routes(api, limits), stopping(stopped))));
                tracing::info!(%address, "REST server");
            }
            Ok(servers)
        });
        match started.await {
            Ok(Ok(mut servers)) => {
                servers.runtime = Some(runtime);
                Ok(servers)
            }
            failed => {
                runtime.shutdown_background();
                failed.unwrap_or_else(|e| Err(StartError::Threads(e.into())))
            }
        }
    }

    /// Accepts nothing more, lets open requests finish for a moment, and returns when all is closed.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        for mut task in std::mem::take(&mut self.tasks) {
            if tokio::time::timeout(STOP_TIME, &mut task).await.is_err() {
                task.abort();
            }
        }
        if let Some(runtime) = self.runtime.take() {
            let end = move || runtime.shutdown_timeout(STOP_TIME);
            if tokio::task::spawn_blocking(end).await.is_err() {
                tracing::error!("the servers' threads could not be stopped");
            }
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // The remote holds the application, which holds the remote; without this the store would never close.
        self.app.set_remote(Arc::new(NoRemote));
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn runtime() -> io::Result<Runtime> {
    let lower = || {
        if let Err(e) = rustix::process::nice(NICENESS) {
            tracing::warn!(error = %e, "a thread of the servers keeps the priority of block execution");
        }
    };
    let mut builder = Builder::new_multi_thread();
    builder.enable_all().worker_threads(THREADS).thread_name("server").on_thread_start(lower).build()
}

type Bound = Option<(Listener, SocketAddr)>;

async fn bind(name: &'static str, address: Option<SocketAddr>, setting: &'static str) -> Result<Bound, StartError> {
    let Some(address) = address else { return Ok(None) };
    let failed = |source| StartError::Bind { name, address, setting, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(Some((Listener::new(listener), address)))
}

/// Resolves when the servers shall stop.
async fn stopping(mut stopped: watch::Receiver<bool>) {
    // An error means that the servers were dropped, which is the same.
    drop(stopped.wait_for(|stop| *stop).await);
}
