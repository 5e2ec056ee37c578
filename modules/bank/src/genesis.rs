//! Balances, supply and metadata of the genesis document, as Cosmos SDK's commands write them, in and out.

use crate::types::{Amount, Coins, Flag, coins_text, parse_coins, to_proto, validate_denom};
use crate::{Bank, Error};
use kernel::{Address, Ctx, Fault, Key, Table, Text, Value, View};
use proto::cosmos::bank::v1beta1::{Balance, GenesisState, Metadata, Params, SendEnabled};
use std::collections::{BTreeMap, BTreeSet};

impl Bank {
    #[allow(deprecated)] // switches stood in the params of old documents
    pub(crate) fn init(&self, ctx: &mut Ctx, state: GenesisState) -> Result<(), Error> {
        let params = state.params.unwrap_or(Params { send_enabled: Vec::new(), default_send_enabled: true });
        if !params.send_enabled.is_empty() && !state.send_enabled.is_empty() {
            return Err(Error::Genesis("send_enabled defined in both the send_enabled field and in params".into()));
        }
        self.default_send_enabled.save(ctx, &Flag(params.default_send_enabled))?;
        let mut seen = BTreeSet::new();
        for switch in params.send_enabled.into_iter().chain(state.send_enabled) {
            validate_denom(&switch.denom).map_err(Error::Genesis)?;
            if !seen.insert(switch.denom.clone()) {
                return Err(Error::Genesis(format!("duplicate send enabled found: '{}'", switch.denom)));
            }
            self.send_enabled.save(ctx, &Text(switch.denom), &Flag(switch.enabled))?;
        }

        let mut seen = BTreeSet::new();
        let mut total = BTreeMap::<String, u128>::new();
        for balance in &state.balances {
            let of = |reason: String| Error::Genesis(format!("balance of {}: {reason}", balance.address));
            let owner: Address = balance.address.parse().map_err(of)?;
            if !seen.insert(owner) {
                return Err(of("duplicate".into()));
            }
            let coins = parse_coins(&balance.coins).map_err(|e| of(e.to_string()))?;
            for (denom, amount) in &coins {
                let sum = total.entry(denom.clone()).or_default();
                *sum = sum.checked_add(*amount).ok_or_else(|| Error::Overflow(denom.clone()))?;
            }
            self.add(ctx, &owner, &coins)?;
        }
        let total: Coins = total.into_iter().collect();
        let given = parse_coins(&state.supply).map_err(|e| Error::Genesis(format!("supply: {e}")))?;
        if !given.is_empty() && given != total {
            let (given, total) = (coins_text(&given), coins_text(&total));
            return Err(Error::Genesis(format!("genesis supply is incorrect, expected {given}, got {total}")));
        }
        for (denom, amount) in total {
            self.supply.save(ctx, &Text(denom), &Amount(amount))?;
        }

        let mut seen = BTreeSet::new();
        for metadata in &state.denom_metadata {
            check(metadata).map_err(|e| Error::Genesis(format!("denom_metadata of {:?}: {e}", metadata.base)))?;
            if !seen.insert(&metadata.base) {
                return Err(Error::Genesis(format!("duplicate client metadata for denom {}", metadata.base)));
            }
            self.metadata.save(ctx, &Text(metadata.base.clone()), metadata)?;
        }
        Ok(())
    }

    pub(crate) fn export(&self, view: &View) -> Result<GenesisState, Fault> {
        let mut balances: Vec<Balance> = Vec::new();
        let mut last = None;
        each(&self.balances, view, |(owner, denom), amount| {
            if last != Some(owner) {
                balances.push(Balance { address: owner.to_string(), coins: Vec::new() });
                last = Some(owner);
            }
            let balance = balances.last_mut().expect("pushed above");
            balance.coins.push(to_proto(denom.0, amount.0));
        })?;
        let (mut supply, mut denom_metadata, mut send_enabled) = (Vec::new(), Vec::new(), Vec::new());
        each(&self.supply, view, |denom, amount| supply.push(to_proto(denom.0, amount.0)))?;
        each(&self.metadata, view, |_, metadata| denom_metadata.push(metadata))?;
        each(&self.send_enabled, view, |denom, switch| {
            send_enabled.push(SendEnabled { denom: denom.0, enabled: switch.0 });
        })?;
        let params = Some(self.params(view)?);
        Ok(GenesisState { params, balances, supply, denom_metadata, send_enabled })
    }

    #[allow(deprecated)]
    pub(crate) fn params(&self, view: &View) -> Result<Params, Fault> {
        Ok(Params { send_enabled: Vec::new(), default_send_enabled: self.is_send_enabled_by_default(view)? })
    }

    /// The denominations whose balances do not add up to the supply, and the balances that are zero.
    pub(crate) fn unbalanced(&self, view: &View) -> Result<Vec<String>, Fault> {
        let (mut total, mut out) = (BTreeMap::<String, Option<u128>>::new(), Vec::new());
        each(&self.balances, view, |(owner, denom), amount| {
            if amount.0 == 0 {
                out.push(format!("the balance of {owner} in {} is a row with zero", denom.0));
            }
            let sum = total.entry(denom.0).or_insert(Some(0));
            *sum = sum.and_then(|s| s.checked_add(amount.0));
        })?;
        each(&self.supply, view, |denom, amount| {
            let sum = total.remove(&denom.0).unwrap_or(Some(0));
            if sum != Some(amount.0) {
                out.push(format!("the supply of {} is {}, its balances add up to {sum:?}", denom.0, amount.0));
            }
        })?;
        out.extend(total.into_keys().map(|denom| format!("{denom} has balances and no supply")));
        Ok(out)
    }
}

/// Visits every row of a table in order.
fn each<K: Key + 'static, V: Value + 'static>(table: &Table<K, V>, view: &View, mut visit: impl FnMut(K, V)) -> Result<(), Fault> {
    let mut last = None;
    loop {
        let rows = table.page(view, last.as_ref(), 1000)?;
        let Some((key, _)) = rows.last() else { return Ok(()) };
        last = Some(key.clone());
        rows.into_iter().for_each(|(key, value)| visit(key, value));
    }
}

/// The rules of Cosmos SDK for what wallets show: the base unit first, exponents rising, the display unit among them.
fn check(m: &Metadata) -> Result<(), String> {
    if m.name.trim().is_empty() {
        return Err("name field cannot be blank".into());
    }
    if m.symbol.trim().is_empty() {
        return Err("symbol field cannot be blank".into());
    }
    validate_denom(&m.base).map_err(|e| format!("base: {e}"))?;
    validate_denom(&m.display).map_err(|e| format!("display: {e}"))?;
    let mut seen = BTreeSet::new();
    for (i, unit) in m.denom_units.iter().enumerate() {
        validate_denom(&unit.denom).map_err(|e| format!("denom_units: {e}"))?;
        if i == 0 && (unit.denom != m.base || unit.exponent != 0) {
            return Err(format!("the first of denom_units must be {} with exponent 0", m.base));
        }
        if i > 0 && unit.exponent <= m.denom_units[i - 1].exponent {
            return Err("denom_units must be sorted by rising exponent".into());
        }
        if !seen.insert(&unit.denom) {
            return Err(format!("duplicate denomination unit {}", unit.denom));
        }
        let aliases: BTreeSet<_> = unit.aliases.iter().map(|a| a.trim()).filter(|a| !a.is_empty()).collect();
        if aliases.len() != unit.aliases.len() {
            return Err(format!("aliases of {} must be unique and not blank", unit.denom));
        }
    }
    if !seen.contains(&m.display) {
        return Err(format!("denom_units must contain the display denom '{}'", m.display));
    }
    Ok(())
}
