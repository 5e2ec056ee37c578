//! What clients reach besides CometBFT's RPC: gRPC and REST. Both are two forms of one table of calls, [`Api`], which
//! `abci_query` shares: queries go to the application, what needs blocks or transactions goes through CometBFT's RPC.

mod api;
mod grpc;
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
use listener::Listener;
use services::{Local, NoRemote, Services};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long open requests may take when the node stops. Streams such as reflection end only when they are cut.
const STOP_TIME: Duration = Duration::from_secs(5);

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
    #[error(transparent)]
    Rpc(#[from] RpcError),
}

fn advice(source: &io::Error, setting: &str) -> String {
    match source.kind() {
        io::ErrorKind::AddrInUse => format!("another program has that port: stop it, or set another address with {setting}"),
        _ => format!("set another address with {setting}"),
    }
}

/// The running servers.
pub struct Servers {
    app: App,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    /// As bound: port 0 in the configuration takes any.
    pub grpc: Option<SocketAddr>,
    pub rest: Option<SocketAddr>,
}

impl Servers {
    /// Listens on every address before it serves any, and lets `abci_query` answer the same services. Must be called
    /// within a Tokio runtime of several threads, which `abci_query` uses too.
    pub async fn start(app: App, config: Config) -> Result<Self, StartError> {
        let grpc = bind("gRPC", config.grpc, "grpc.address in app.toml or --grpc.address").await?;
        let rest = bind("REST", config.rest, "api.address in app.toml or --api.address").await?;
        let services = Services::new(app.clone(), Rpc::new(&config.rpc_url)?);
        app.set_remote(Arc::new(Local::new(services.clone())));
        let api = Api::new(app.clone(), services);

        let (stop, stopped) = watch::channel(false);
        let mut servers = Servers { app, stop, tasks: Vec::new(), grpc: None, rest: None };
        if let Some((listener, address)) = grpc {
            servers.grpc = Some(address);
            servers.tasks.push(tokio::spawn(grpc::serve(listener, api.clone(), stopping(stopped.clone()))));
            tracing::info!(%address, "gRPC server");
        }
        if let Some((listener, address)) = rest {
            servers.rest = Some(address);
            servers.tasks.push(tokio::spawn(rest::serve(listener, api, stopping(stopped))));
            tracing::info!(%address, "REST server");
        }
        Ok(servers)
    }

    /// Accepts nothing more, lets open requests finish for a moment, and returns when all is closed.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        for mut task in std::mem::take(&mut self.tasks) {
            if tokio::time::timeout(STOP_TIME, &mut task).await.is_err() {
                task.abort();
            }
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // The remote holds the application, which holds the remote; without this the store would never close.
        self.app.set_remote(Arc::new(NoRemote));
        for task in &self.tasks {
            task.abort();
        }
    }
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
