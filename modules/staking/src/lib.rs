//! Validators: who makes blocks, with how much power, and the stake behind it.
//!
//! Validators come from `MsgCreateValidator`, in genesis or later. The `max_validators` with the most stake make blocks;
//! a validator's power is its stake in units of 10⁶ base coins. The stake of those lies in `bonded_tokens_pool`, of all
//! others in `not_bonded_tokens_pool`. Nothing is slashed yet, so a share is always worth one base coin; delegating,
//! undelegating and editing are refused ([`Error::NotSupported`]).

mod error;
mod genesis;
mod msg;
mod query;
pub mod types;
mod validator_set;

pub use error::Error;

use auth::Auth;
use bank::Bank;
use kernel::{Address, Ctx, Fault, Genesis, Index, Item, Module, Namespace, Number, Table, View, module_address};
use proto::cosmos::staking::v1beta1::{Delegation, Params, Validator, ValidatorUpdates};
use std::{cmp::Reverse, sync::Arc};

/// Holds the stake of validators that make blocks.
pub const BONDED_POOL: &str = "bonded_tokens_pool";
/// Holds all other stake.
pub const NOT_BONDED_POOL: &str = "not_bonded_tokens_pool";
const POOL_PERMISSIONS: [&str; 2] = ["burner", "staking"];

/// Validators and delegations of the chain.
pub struct Staking {
    auth: Arc<Auth>,
    bank: Arc<Bank>,
    params: Item<Params>,
    validators: Table<Address, Validator>,
    /// Strongest first, then by address; neither jailed ones nor ones without power.
    by_power: Index<Reverse<u64>, Address>,
    by_consensus_key: Index<Address, Address>,
    /// By the time when they are no longer liable, in milliseconds since the epoch.
    unbonding: Index<u64, Address>,
    /// By delegator, then validator.
    delegations: Table<(Address, Address), Delegation>,
    by_validator: Index<Address, (Address, Address)>,
    /// What the consensus engine was told last.
    powers: Table<Address, Number>,
    total_power: Item<Number>,
    /// What it is to be told at the end of this block; no row when nothing changed.
    updates: Item<ValidatorUpdates>,
}

impl Staking {
    pub fn new(ns: Namespace, auth: Arc<Auth>, bank: Arc<Bank>) -> Self {
        let mut validators = Table::new(&ns, 0x21);
        let mut delegations = Table::new(&ns, 0x31);
        Staking {
            auth,
            bank,
            params: Item::new(&ns, 0x51),
            by_power: validators.queue(&ns, 0x23, |_, v| types::potential_power(v).map(Reverse)),
            by_consensus_key: validators.queue(&ns, 0x22, |_, v| types::consensus_address(v)),
            unbonding: validators.queue(&ns, 0x43, |_, v| types::unbonding_ends(v)),
            validators,
            by_validator: delegations.index(&ns, 0x71, |(_, validator): &(Address, Address), _| Some(*validator)),
            delegations,
            powers: Table::new(&ns, 0x11),
            total_power: Item::new(&ns, 0x12),
            updates: Item::new(&ns, 0x61),
        }
    }

    pub fn params(&self, view: &View) -> Result<Params, Fault> {
        Ok(self.params.get(view)?.unwrap_or_else(genesis::default_params))
    }

    pub fn validator(&self, view: &View, operator: &Address) -> Result<Option<Validator>, Fault> {
        self.validators.get(view, operator)
    }

    /// The operator behind a consensus address (the first 20 bytes of SHA-256 of the consensus key).
    pub fn operator_of(&self, view: &View, consensus: &Address) -> Result<Option<Address>, Fault> {
        Ok(self.by_consensus_key.page(view, consensus, 1)?.pop())
    }

    fn pool(is_bonded: bool) -> Address {
        module_address(if is_bonded { BONDED_POOL } else { NOT_BONDED_POOL })
    }
}

impl Module for Staking {
    fn name(&self) -> &'static str {
        "staking"
    }

    fn init_genesis(&self, ctx: &mut Ctx, genesis: &Genesis) -> Result<(), kernel::Error> {
        Ok(self.init(ctx, kernel::read_genesis(genesis)?)?)
    }

    fn export_genesis(&self, view: &View) -> Result<Genesis, kernel::Error> {
        kernel::write_genesis(&self.export(view)?)
    }

    fn end_block(&self, ctx: &mut Ctx) -> Result<(), kernel::Error> {
        Ok(self.update_validator_set(ctx)?)
    }

    fn broken(&self, view: &View) -> Result<Vec<String>, kernel::Error> {
        Ok(self.unbalanced(view)?)
    }
}
