//! The vocabulary of the state machine: what every module is written in.
//!
//! [`View`] reads one version of the state, [`Ctx`] is a view plus writes, events and gas. A module owns a
//! [`Namespace`], builds its [`Item`]s, [`Table`]s and [`Index`]es from it and keeps them private, so no other module
//! can write its rows. [`Module`] is what the application needs of each. There is no I/O here, no thread, no clock.

mod address;
mod error;
mod event;
mod gas;
mod id;
mod key;
mod mem;
mod module;
mod page;
mod state;
mod table;
mod text;

pub use address::{ACCOUNT_PREFIX, Address, CONSENSUS_PREFIX, VALIDATOR_PREFIX, module_address};
pub use error::{Error, Fault, GRPC};
pub use event::Event;
pub use gas::{Gas, cost};
pub use id::{BidId, DeploymentId, GroupId, MAX_DSEQ, OrderId};
pub use key::{Key, Moment, Number, Text, Value, Word};
pub use mem::MemBase;
pub use module::{Genesis, Module, read_genesis, read_genesis as section, write_genesis};
pub use page::{MAX_PAGE, Page};
pub use state::{Base, BlockInfo, Ctx, KIND_INDEX, KIND_ROW, View, Writes};
pub use table::{Index, Item, Namespace, Registry, Table, Tail};
pub use text::{bech32_decode, bech32_encode};

/// Keys and values of the flat state.
pub type Bytes = Vec<u8>;

/// The base denomination, 10⁻⁶ of a VE.
pub const DENOM: &str = "uve";
