//! Accounts of the genesis document, as Cosmos SDK's commands write them, in and out.

use crate::types::{Account, AccountKey};
use crate::{Auth, Error, FEE_COLLECTOR};
use kernel::{Ctx, Fault, Number, View};
use proto::Any;
use proto::cosmos::auth::v1beta1::{GenesisState, Params};
use std::collections::BTreeSet;

/// Those of Cosmos SDK: characters of a memo, signatures of a transaction, gas per byte and per signature.
pub(crate) fn default_params() -> Params {
    Params {
        max_memo_characters: 256,
        tx_sig_limit: 7,
        tx_size_cost_per_byte: 10,
        sig_verify_cost_ed25519: 590,
        sig_verify_cost_secp256k1: 1000,
    }
}

fn check(params: &Params) -> Result<(), Error> {
    let all = [
        ("max_memo_characters", params.max_memo_characters),
        ("tx_sig_limit", params.tx_sig_limit),
        ("tx_size_cost_per_byte", params.tx_size_cost_per_byte),
        ("sig_verify_cost_ed25519", params.sig_verify_cost_ed25519),
        ("sig_verify_cost_secp256k1", params.sig_verify_cost_secp256k1),
    ];
    match all.iter().find(|(_, value)| *value == 0) {
        Some((name, _)) => Err(Error::Genesis(format!("params.{name}: expected a number from 1, got 0"))),
        None => Ok(()),
    }
}

/// Gives every account its own number and returns the next one. 0 is the fee collector's. In the document of a new chain,
/// which does not hold the fee collector, the others get 1, 2, … in its order: Cosmos SDK's commands count from 0 there.
/// In an exported one a number above 0 stays with the first account that claims it.
fn assign_numbers(accounts: &mut Vec<Account>) -> Result<u64, Error> {
    let collector = kernel::module_address(FEE_COLLECTOR);
    let is_new = accounts.iter().all(|a| a.address != collector);
    if is_new {
        accounts.iter_mut().for_each(|a| a.number = 0);
        accounts.push(Account::new(collector, 0));
    }
    let mut used = BTreeSet::from([0]);
    let mut unnumbered = Vec::new();
    for account in accounts {
        let is_first = account.address == collector && account.number == 0;
        if !is_first && !used.insert(account.number) {
            unnumbered.push(account);
        }
    }
    let mut free = 1..;
    for account in unnumbered {
        account.number = free.find(|n| !used.contains(n)).expect("fewer accounts than numbers");
        used.insert(account.number);
    }
    let highest = used.last().copied().unwrap_or_default();
    highest.checked_add(1).ok_or_else(|| Error::Genesis(format!("account_number {highest} leaves no next number")))
}

impl Auth {
    pub(crate) fn init(&self, ctx: &mut Ctx, state: GenesisState) -> Result<(), Error> {
        let params = state.params.unwrap_or_else(default_params);
        check(&params)?;
        self.params.save(ctx, &params)?;

        let mut accounts = Vec::with_capacity(state.accounts.len() + 1);
        let mut seen = BTreeSet::new();
        for any in &state.accounts {
            let account = Account::from_genesis(any).map_err(Error::Genesis)?;
            if !seen.insert(account.address) {
                return Err(Error::Genesis(format!("duplicate account {}", account.address)));
            }
            accounts.push(account);
        }
        let next = assign_numbers(&mut accounts)?;
        for account in &accounts {
            self.accounts.replace(ctx, &AccountKey(account.address), None, Some(&account.encode()))?;
        }
        self.next_number.save(ctx, &Number(next))?;
        self.ensure_module(ctx, FEE_COLLECTOR, &[])?;
        Ok(())
    }

    pub(crate) fn export(&self, view: &View) -> Result<GenesisState, Fault> {
        let mut accounts = Vec::new();
        self.each(view, |_, row| accounts.push(row))?;
        Ok(GenesisState { params: Some(self.params(view)?), accounts })
    }

    /// Visits every row, in the order of addresses.
    pub(crate) fn each(&self, view: &View, mut visit: impl FnMut(AccountKey, Any)) -> Result<(), Fault> {
        let mut last = None;
        loop {
            let rows = self.accounts.page(view, last.as_ref(), 1000)?;
            let Some((key, _)) = rows.last() else { return Ok(()) };
            last = Some(*key);
            rows.into_iter().for_each(|(key, row)| visit(key, row));
        }
    }
}
