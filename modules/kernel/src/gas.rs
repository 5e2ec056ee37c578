//! Gas: a deterministic measure of the work a transaction causes. The costs are those of Cosmos SDK's store, so that
//! clients' rules of thumb hold.

use crate::Fault;
use std::cell::Cell;

/// Costs in gas.
pub mod cost {
    pub const READ: u64 = 1000;
    pub const READ_BYTE: u64 = 3;
    pub const WRITE: u64 = 2000;
    pub const WRITE_BYTE: u64 = 30;
    pub const DELETE: u64 = 1000;
    pub const NEXT: u64 = 30;
    /// Per byte of a transaction.
    pub const TX_BYTE: u64 = 10;
    /// Per secp256k1 signature.
    pub const SIGNATURE: u64 = 1000;
}

/// Counts gas against a limit. Spent gas is never given back, so running out is sticky.
#[derive(Debug)]
pub struct Gas {
    used: Cell<u64>,
    limit: Cell<u64>,
}

impl Gas {
    pub fn new(limit: u64) -> Self {
        Gas { used: Cell::new(0), limit: Cell::new(limit) }
    }

    pub fn unlimited() -> Self {
        Gas::new(u64::MAX)
    }

    pub fn used(&self) -> u64 {
        self.used.get()
    }

    pub fn limit(&self) -> u64 {
        self.limit.get()
    }

    pub fn charge(&self, amount: u64, location: &'static str) -> Result<(), Fault> {
        let used = self.used.get().saturating_add(amount);
        self.used.set(used);
        if used > self.limit.get() {
            return Err(Fault::OutOfGas { location, wanted: self.limit.get(), used });
        }
        Ok(())
    }

    /// Starts over with another limit, for the next transaction.
    pub fn reset(&self, limit: u64) {
        self.used.set(0);
        self.limit.set(limit);
    }
}
