//! The state machine, synchronous: transactions in, blocks of state out. It knows no socket; whatever carries ABCI to
//! it calls [`App`] through `tendermint_abci::Application`.

mod abci;
mod ante;
mod block;
mod consensus;
mod distribution;
mod genesis;
mod modules;
mod msg;
mod query;
mod signing;
pub mod store;
mod tx;
mod verify;

pub use abci::{App, Config, OpenError};
pub use block::IndexEvents;
pub use genesis::{AppState, check as check_genesis};
pub use modules::Modules;
pub use msg::Msg;
pub use query::{Answer, Remote, Specs};
pub use tx::{CheckedTx, GasPrices};

/// What `Info` and `version` report.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The level of the Cosmos API that clients may expect.
pub const SDK_VERSION: &str = "v0.53.4";
