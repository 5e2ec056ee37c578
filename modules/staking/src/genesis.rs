//! Validators of the genesis document, in and out. Those of a new chain come from its genesis transactions, which the
//! application executes after all modules have read their part; then the end of block makes the first set.

use crate::types::{self, Dec, check_commission, is_bonded};
use crate::{BONDED_POOL, Error, NOT_BONDED_POOL, POOL_PERMISSIONS, Staking};
use kernel::{Address, Ctx, DENOM, Fault, View};
use proto::Duration;
use proto::cosmos::staking::v1beta1::{BondStatus, GenesisState, LastValidatorPower, Params, Validator};
use std::collections::{BTreeMap, BTreeSet};

/// Those of Cosmos SDK: three weeks, 100 validators.
pub(crate) fn default_params() -> Params {
    Params {
        unbonding_time: Some(Duration { seconds: 21 * 24 * 3600, nanos: 0 }),
        max_validators: 100,
        max_entries: 7,
        historical_entries: 10_000,
        bond_denom: DENOM.to_string(),
        min_commission_rate: Dec::ZERO.to_wire(),
    }
}

fn check(params: &Params) -> Result<(), String> {
    if params.unbonding_time.as_ref().is_none_or(|d| d.seconds <= 0) {
        return Err("params.unbonding_time: expected at least a second".into());
    }
    if params.max_validators == 0 || params.max_entries == 0 {
        return Err("params.max_validators and params.max_entries: expected a number from 1, got 0".into());
    }
    bank::types::validate_denom(&params.bond_denom).map_err(|e| format!("params.bond_denom: {e}"))?;
    match Dec::from_wire(&params.min_commission_rate) {
        Some(rate) if (Dec::ZERO..=Dec::ONE).contains(&rate) => Ok(()),
        _ => Err(format!("params.min_commission_rate: expected 0 to 10^18, got {:?}", params.min_commission_rate)),
    }
}

fn check_validator(v: &Validator) -> Result<(Address, u128), String> {
    let operator = Address::from_validator(&v.operator_address)?;
    let tokens = types::tokens(v).ok_or_else(|| format!("tokens: expected decimal digits, got {:?}", v.tokens))?;
    types::consensus_key(v.consensus_pubkey.as_ref().ok_or("consensus_pubkey: expected a key, got none")?).map_err(|e| e.to_string())?;
    if Dec::from_wire(&v.delegator_shares) != Dec::from_int(tokens) {
        return Err(format!("delegator_shares: expected {tokens}, for a share is worth one coin; slashed validators are not supported"));
    }
    if v.status() == BondStatus::Unspecified {
        return Err("status: expected BOND_STATUS_UNBONDED, _UNBONDING or _BONDED".into());
    }
    if v.jailed && is_bonded(v) {
        return Err("bonded and jailed".into());
    }
    if tokens == 0 && v.status() != BondStatus::Unbonding {
        return Err("bonded or unbonded with zero delegator shares".into());
    }
    let rates = v.commission.as_ref().and_then(|c| c.commission_rates.as_ref()).ok_or("commission: expected rates, got none")?;
    check_commission(rates).map_err(|e| e.to_string())?;
    Ok((operator, tokens))
}

impl Staking {
    pub(crate) fn init(&self, ctx: &mut Ctx, state: GenesisState) -> Result<(), Error> {
        let params = state.params.unwrap_or_else(default_params);
        check(&params).map_err(Error::Genesis)?;
        self.params.save(ctx, &params)?;
        if !state.unbonding_delegations.is_empty() || !state.redelegations.is_empty() {
            return Err(Error::Genesis("unbonding_delegations and redelegations are not supported: expected none".into()));
        }

        let (mut bonded, mut not_bonded) = (0u128, 0u128);
        let mut missing = BTreeMap::new();
        for v in &state.validators {
            let of = |reason: String| Error::Genesis(format!("validator {:?}: {reason}", v.operator_address));
            let (operator, tokens) = check_validator(v).map_err(of)?;
            if missing.insert(operator, tokens).is_some() {
                return Err(of("duplicate operator".into()));
            }
            let consensus = types::consensus_address(v).ok_or(Fault::Corrupt("validator key"))?;
            if self.operator_of(ctx, &consensus)?.is_some() {
                return Err(of("duplicate consensus_pubkey".into()));
            }
            let pool = if is_bonded(v) { &mut bonded } else { &mut not_bonded };
            *pool = pool.checked_add(tokens).ok_or_else(|| of("tokens: the sum exceeds 2^128".into()))?;
            self.validators.replace(ctx, &operator, None, Some(v))?;
        }

        for d in &state.delegations {
            let of = |reason: String| Error::Genesis(format!("delegation of {} to {}: {reason}", d.delegator_address, d.validator_address));
            let delegator: Address = d.delegator_address.parse().map_err(of)?;
            let validator = Address::from_validator(&d.validator_address).map_err(of)?;
            let shares = Dec::from_wire(&d.shares).and_then(Dec::to_int).filter(|n| *n > 0);
            let shares = shares.ok_or_else(|| of(format!("shares: expected a whole number above 0, got {:?}", d.shares)))?;
            let rest = missing.get_mut(&validator).ok_or_else(|| of("no such validator".into()))?;
            *rest = rest.checked_sub(shares).ok_or_else(|| of("more shares than the validator has".into()))?;
            if self.delegations.has(ctx, &(delegator, validator))? {
                return Err(of("duplicate".into()));
            }
            self.delegations.replace(ctx, &(delegator, validator), None, Some(d))?;
        }
        if let Some((operator, rest)) = missing.iter().find(|(_, rest)| **rest > 0) {
            return Err(Error::Genesis(format!("validator {}: {rest} of its shares belong to no delegation", operator.to_validator())));
        }

        for (name, expected) in [(BONDED_POOL, bonded), (NOT_BONDED_POOL, not_bonded)] {
            let pool = self.auth.ensure_module(ctx, name, &POOL_PERMISSIONS)?;
            let balance = self.bank.balance(ctx, &pool, &params.bond_denom)?;
            if balance != expected {
                return Err(Error::Genesis(format!("{name} holds {balance}{}, its validators have {expected}", params.bond_denom)));
            }
        }
        self.check_bonded(ctx, &state.last_validator_powers, state.exported)
    }

    /// The set is made anew at the end of genesis; that must not unseat a validator that the document calls bonded.
    fn check_bonded(&self, ctx: &Ctx, powers: &[LastValidatorPower], exported: bool) -> Result<(), Error> {
        let strongest: BTreeSet<_> = self.strongest(ctx)?.into_iter().map(|(operator, _)| operator.to_validator()).collect();
        let mut bonded = BTreeSet::new();
        for (_, v) in self.validators.page(ctx, None, usize::MAX)? {
            if is_bonded(&v) {
                if !strongest.contains(&v.operator_address) {
                    return Err(Error::Genesis(format!("validator {} is bonded and not among the strongest", v.operator_address)));
                }
                bonded.insert(v.operator_address);
            }
        }
        let powerful: BTreeSet<_> = powers.iter().map(|p| p.address.clone()).collect();
        if exported && powerful != bonded {
            return Err(Error::Genesis("last_validator_powers: expected one for each bonded validator".into()));
        }
        Ok(())
    }

    pub(crate) fn export(&self, view: &View) -> Result<GenesisState, Fault> {
        let powers = self.last_powers(view)?;
        let power = |(operator, power): (Address, u64)| {
            let power = i64::try_from(power).map_err(|_| Fault::Corrupt("validator power"))?;
            Ok(LastValidatorPower { address: operator.to_validator(), power })
        };
        Ok(GenesisState {
            params: Some(self.params(view)?),
            last_total_power: self.total_power.get(view)?.map_or(0, |n| n.0).to_string().into_bytes(),
            last_validator_powers: powers.into_iter().map(power).collect::<Result<_, Fault>>()?,
            validators: self.validators.page(view, None, usize::MAX)?.into_iter().map(|(_, v)| v).collect(),
            delegations: self.delegations.page(view, None, usize::MAX)?.into_iter().map(|(_, d)| d).collect(),
            unbonding_delegations: Vec::new(),
            redelegations: Vec::new(),
            exported: true,
        })
    }
}
