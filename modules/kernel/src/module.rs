//! What the application needs of every module.

use crate::{Ctx, Error, View};
use prost::{Message, Name};

/// A module's part of the genesis document.
pub type Genesis = serde_json::Value;

/// One ordered array of these drives every hook.
pub trait Module: Send + Sync {
    /// Its name in the genesis document.
    fn name(&self) -> &'static str;

    /// Writes the genesis state; must write at least one row, so that the module's store can be proved.
    fn init_genesis(&self, ctx: &mut Ctx, genesis: &Genesis) -> Result<(), Error>;

    fn export_genesis(&self, view: &View) -> Result<Genesis, Error>;

    fn begin_block(&self, _ctx: &mut Ctx) -> Result<(), Error> {
        Ok(())
    }

    fn end_block(&self, _ctx: &mut Ctx) -> Result<(), Error> {
        Ok(())
    }

    /// The invariants of this module that do not hold, one sentence each.
    fn broken(&self, _view: &View) -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }
}

/// A module's part of the genesis document as its message; null means the defaults. Unknown fields are refused.
pub fn read_genesis<M: Message + Name + Default>(genesis: &Genesis) -> Result<M, Error> {
    if genesis.is_null() {
        return Ok(M::default());
    }
    proto::json::from_json(genesis)
        .map_err(|e| Error::new("sdk", 17, format!("genesis: {}: {e}: failed to unmarshal JSON bytes", M::full_name())))
}

/// A module's message as its part of the genesis document.
pub fn write_genesis<M: Message + Name>(state: &M) -> Result<Genesis, Error> {
    proto::json::to_json(state)
        .map_err(|e| Error::new("sdk", 16, format!("genesis: {}: {e}: failed to marshal JSON bytes", M::full_name())))
}
