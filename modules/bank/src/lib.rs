//! Balances: who has how much of what, how it moves, and how much there is.
//!
//! Rows are what clients prove: `02 ‖ len ‖ address ‖ denom` → the amount in decimal digits. No row holds zero, and the
//! balances of a denomination add up to its supply, which fits a u128; so a balance cannot overflow.

mod error;
mod genesis;
mod msg;
mod query;
pub mod types;

pub use error::Error;
pub use types::{Coins, parse_coin, parse_coins};

use auth::{Auth, Kind};
use kernel::{Address, Ctx, Fault, Genesis, Index, Item, Module, Namespace, Table, Text, View, Word};
use proto::cosmos::bank::v1beta1::Metadata;
use std::sync::Arc;
use types::{Amount, Flag, coins_text};

/// The balances of the chain.
pub struct Bank {
    auth: Arc<Auth>,
    supply: Table<Text, Amount>,
    metadata: Table<Text, Metadata>,
    balances: Table<(Address, Text), Amount>,
    owners: Index<Word, (Address, Text)>,
    send_enabled: Table<Text, Flag>,
    default_send_enabled: Item<Flag>,
}

impl Bank {
    pub fn new(ns: Namespace, auth: Arc<Auth>) -> Self {
        let mut balances = Table::new(&ns, 2);
        Bank {
            auth,
            supply: Table::new(&ns, 0),
            metadata: Table::new(&ns, 1),
            owners: balances.index(&ns, 3, |(_, denom): &(Address, Text), _| Some(Word(denom.0.clone()))),
            balances,
            send_enabled: Table::new(&ns, 4),
            default_send_enabled: Item::new(&ns, 5),
        }
    }

    pub fn balance(&self, view: &View, address: &Address, denom: &str) -> Result<u128, Fault> {
        self.read(view, &(*address, Text(denom.to_string())))
    }

    /// How much there is of a denomination.
    pub fn supply(&self, view: &View, denom: &str) -> Result<u128, Fault> {
        Ok(self.supply.get(view, &Text(denom.to_string()))?.map_or(0, |a| a.0))
    }

    /// Moves money and makes the receiver's account if there is none. Neither send-enabled switches nor blocked
    /// addresses matter here: this is what modules and fees move money with. Emits `coin_spent`, `coin_received` and
    /// `transfer`; on an error nothing has changed.
    pub fn send(&self, ctx: &mut Ctx, from: &Address, to: &Address, coins: &[(String, u128)]) -> Result<(), Error> {
        let is_new = self.auth.kind(ctx, to)?.is_none();
        self.transfer(ctx, from, &from.to_string(), to, &to.to_string(), coins)?;
        if is_new {
            self.auth.create(ctx, to)?;
        }
        Ok(())
    }

    /// As [`Bank::send`] between modules: also emits the `message{sender}` with which Cosmos SDK ends each transfer.
    pub fn send_with_message(&self, ctx: &mut Ctx, from: &Address, to: &Address, coins: &[(String, u128)]) -> Result<(), Error> {
        self.send(ctx, from, to, coins)?;
        ctx.emit_plain("message", || vec![("sender", from.to_string())]);
        Ok(())
    }

    /// Moves money into a module's stake, which Cosmos SDK announces without `transfer`.
    pub fn delegate(&self, ctx: &mut Ctx, from: &Address, pool: &Address, coins: &[(String, u128)]) -> Result<(), Error> {
        let amount = coins_text(coins);
        ctx.atomic(|ctx| {
            for (denom, needed) in coins {
                let balance = self.balance(ctx, from, denom)?;
                if balance < *needed {
                    return Err(Error::CannotDelegate { balance: format!("{balance}{denom}"), needed: amount.clone() });
                }
            }
            self.subtract(ctx, from, coins)?;
            ctx.emit_plain("coin_spent", || vec![("spender", from.to_string()), ("amount", amount.clone())]);
            self.add(ctx, pool, coins)?;
            ctx.emit_plain("coin_received", || vec![("receiver", pool.to_string()), ("amount", amount)]);
            Ok(())
        })
    }

    /// Makes money out of nothing, for genesis: refuses what would take the supply of a denomination past a u128.
    pub fn genesis_credit(&self, ctx: &mut Ctx, to: &Address, coins: &[(String, u128)]) -> Result<(), Error> {
        ctx.atomic(|ctx| {
            for (denom, amount) in coins {
                let supply = self.supply(ctx, denom)?;
                let supply = supply.checked_add(*amount).ok_or_else(|| Error::Overflow(denom.clone()))?;
                self.supply.save(ctx, &Text(denom.clone()), &Amount(supply))?;
            }
            self.add(ctx, to, coins)
        })
    }

    /// Moves money and announces it; the texts are those of the addresses.
    fn transfer(
        &self,
        ctx: &mut Ctx,
        from: &Address,
        from_text: &str,
        to: &Address,
        to_text: &str,
        coins: &[(String, u128)],
    ) -> Result<(), Error> {
        ctx.atomic(|ctx| {
            self.subtract(ctx, from, coins)?;
            self.add(ctx, to, coins)
        })?;
        let amount = coins_text(coins);
        ctx.emit_plain("coin_spent", || vec![("spender", from_text.to_string()), ("amount", amount.clone())]);
        ctx.emit_plain("coin_received", || vec![("receiver", to_text.to_string()), ("amount", amount.clone())]);
        ctx.emit_plain("transfer", || vec![("recipient", to_text.to_string()), ("sender", from_text.to_string()), ("amount", amount)]);
        Ok(())
    }

    fn subtract(&self, ctx: &mut Ctx, from: &Address, coins: &[(String, u128)]) -> Result<(), Error> {
        for (denom, amount) in coins {
            let key = (*from, Text(denom.clone()));
            let old = self.read(ctx, &key)?;
            let new = old.checked_sub(*amount).ok_or_else(|| Error::InsufficientFunds {
                spendable: old,
                needed: *amount,
                denom: denom.clone(),
            })?;
            self.set(ctx, &key, old, new)?;
        }
        Ok(())
    }

    fn add(&self, ctx: &mut Ctx, to: &Address, coins: &[(String, u128)]) -> Result<(), Error> {
        for (denom, amount) in coins {
            let key = (*to, Text(denom.clone()));
            let old = self.read(ctx, &key)?;
            let new = old.checked_add(*amount).ok_or_else(|| Error::Overflow(denom.clone()))?;
            self.set(ctx, &key, old, new)?;
        }
        Ok(())
    }

    fn read(&self, view: &View, key: &(Address, Text)) -> Result<u128, Fault> {
        Ok(self.balances.get(view, key)?.map_or(0, |a| a.0))
    }

    /// The only place that writes a balance; zero is no row.
    fn set(&self, ctx: &mut Ctx, key: &(Address, Text), old: u128, new: u128) -> Result<(), Fault> {
        let row = |amount| (amount > 0).then_some(Amount(amount));
        if old == new {
            return Ok(());
        }
        self.balances.replace(ctx, key, row(old).as_ref(), row(new).as_ref())
    }

    fn is_blocked(kind: Option<Kind>) -> bool {
        kind == Some(Kind::Module)
    }
}

impl Module for Bank {
    fn name(&self) -> &'static str {
        "bank"
    }

    fn init_genesis(&self, ctx: &mut Ctx, genesis: &Genesis) -> Result<(), kernel::Error> {
        Ok(self.init(ctx, kernel::read_genesis(genesis)?)?)
    }

    fn export_genesis(&self, view: &View) -> Result<Genesis, kernel::Error> {
        kernel::write_genesis(&self.export(view)?)
    }

    fn broken(&self, view: &View) -> Result<Vec<String>, kernel::Error> {
        Ok(self.unbalanced(view)?)
    }
}
