//! Who makes blocks: recomputed at the end of every block, at the price of reading the set twice.

use crate::types::{self, POWER_REDUCTION, is_bonded, key_of, timestamp};
use crate::{Error, Staking};
use kernel::{Address, Ctx, Fault, Number, View};
use proto::cosmos::staking::v1beta1::{BondStatus, Validator, ValidatorUpdates};
use proto::tendermint::{
    abci::ValidatorUpdate,
    crypto::{PublicKey, public_key::Sum},
};
use std::{cmp::Reverse, collections::BTreeMap};

/// The consensus engine panics above this total.
const MAX_TOTAL_POWER: u64 = (i64::MAX / 8) as u64;
/// Validators that end their liability in one block; more wait for the next.
const MAX_MATURED: usize = 100;

impl Staking {
    /// What to tell the consensus engine at the end of this block: ed25519 keys and their new powers, 0 for those that
    /// leave. After genesis: the whole set.
    pub fn validator_updates(&self, view: &View) -> Result<Vec<([u8; 32], i64)>, Fault> {
        let updates = self.updates.get(view)?.unwrap_or_default().updates;
        let one = |u: ValidatorUpdate| match u.pub_key?.sum? {
            Sum::Ed25519(key) => Some((key.try_into().ok()?, u.power)),
            Sum::Secp256k1(_) => None,
        };
        updates.into_iter().map(|u| one(u).ok_or(Fault::Corrupt("validator update"))).collect()
    }

    pub(crate) fn update_validator_set(&self, ctx: &mut Ctx) -> Result<(), Error> {
        if self.updates.get(ctx)?.is_some() {
            self.updates.remove(ctx)?;
        }
        let mut last = self.last_powers(ctx)?;
        let (mut updates, mut total) = (Vec::new(), 0u64);
        let (mut bonded, mut unbonded) = (0u128, 0u128);
        for (operator, power) in self.strongest(ctx)? {
            total += power;
            if last.remove(&operator) == Some(power) {
                continue;
            }
            let old = self.load(ctx, &operator)?;
            if !is_bonded(&old) {
                bonded = bonded.saturating_add(types::tokens(&old).ok_or(Fault::Corrupt("validator tokens"))?);
                let new = Validator { status: BondStatus::Bonded.into(), ..old.clone() };
                self.validators.replace(ctx, &operator, Some(&old), Some(&new))?;
            }
            updates.push(update(&old, power)?);
            self.powers.save(ctx, &operator, &Number(power))?;
        }
        let unbonding_time = self.params(ctx)?.unbonding_time.map_or(0, |d| u64::try_from(d.seconds).unwrap_or(0));
        for operator in last.into_keys() {
            let old = self.load(ctx, &operator)?;
            unbonded = unbonded.saturating_add(types::tokens(&old).ok_or(Fault::Corrupt("validator tokens"))?);
            let new = Validator {
                status: BondStatus::Unbonding.into(),
                unbonding_height: i64::try_from(ctx.height()).unwrap_or(i64::MAX),
                unbonding_time: Some(timestamp(ctx.time().saturating_add(unbonding_time.saturating_mul(1000)))),
                ..old.clone()
            };
            self.validators.replace(ctx, &operator, Some(&old), Some(&new))?;
            updates.push(update(&old, 0)?);
            self.powers.remove(ctx, &operator)?;
        }
        self.move_stake(ctx, bonded, unbonded)?;
        if !updates.is_empty() {
            self.total_power.save(ctx, &Number(total))?;
            self.updates.save(ctx, &ValidatorUpdates { updates })?;
        }
        self.end_liabilities(ctx)
    }

    /// The validators that are to make blocks, strongest first.
    pub(crate) fn strongest(&self, view: &View) -> Result<Vec<(Address, u64)>, Fault> {
        let max = usize::try_from(self.params(view)?.max_validators).unwrap_or(usize::MAX);
        let mut room = MAX_TOTAL_POWER;
        let fits = |(Reverse(power), operator): (Reverse<u64>, Address)| {
            room = room.checked_sub(power)?;
            Some((operator, power))
        };
        Ok(self.by_power.upto(view, &Reverse(0), max)?.into_iter().map_while(fits).collect())
    }

    /// What the consensus engine was told last.
    pub(crate) fn last_powers(&self, view: &View) -> Result<BTreeMap<Address, u64>, Fault> {
        let rows = self.powers.page(view, None, usize::MAX)?;
        Ok(rows.into_iter().map(|(operator, power)| (operator, power.0)).collect())
    }

    pub(crate) fn load(&self, view: &View, operator: &Address) -> Result<Validator, Fault> {
        self.validators.get(view, operator)?.ok_or(Fault::Corrupt("a validator without row"))
    }

    /// One transfer for all that came and went, so that the pools match the statuses.
    fn move_stake(&self, ctx: &mut Ctx, bonded: u128, unbonded: u128) -> Result<(), Error> {
        let amount = bonded.abs_diff(unbonded);
        if amount > 0 {
            let denom = self.params(ctx)?.bond_denom;
            let (from, to) = (Staking::pool(bonded < unbonded), Staking::pool(bonded > unbonded));
            self.bank.send_with_message(ctx, &from, &to, &[(denom, amount)])?;
        }
        Ok(())
    }

    fn end_liabilities(&self, ctx: &mut Ctx) -> Result<(), Error> {
        for (_, operator) in self.unbonding.upto(ctx, &ctx.time(), MAX_MATURED)? {
            let old = self.load(ctx, &operator)?;
            let new = Validator { status: BondStatus::Unbonded.into(), ..old.clone() };
            self.validators.replace(ctx, &operator, Some(&old), Some(&new))?;
        }
        Ok(())
    }

    /// Where stake, shares, pools and statuses disagree.
    pub(crate) fn unbalanced(&self, view: &View) -> Result<Vec<String>, Fault> {
        let mut out = Vec::new();
        let mut shares = BTreeMap::<String, Option<u128>>::new();
        for (_, d) in self.delegations.page(view, None, usize::MAX)? {
            let sum = shares.entry(d.validator_address).or_insert(Some(0));
            let more = types::Dec::from_wire(&d.shares).and_then(types::Dec::to_int);
            *sum = sum.zip(more).and_then(|(a, b)| a.checked_add(b));
        }
        let last = self.last_powers(view)?;
        let (mut bonded, mut unbonded) = (0u128, 0u128);
        for (operator, v) in self.validators.page(view, None, usize::MAX)? {
            let tokens = types::tokens(&v);
            if shares.remove(&v.operator_address).unwrap_or(Some(0)) != tokens {
                out.push(format!("the shares of {} do not add up to its tokens, {}", v.operator_address, v.tokens));
            }
            if is_bonded(&v) != last.contains_key(&operator) {
                out.push(format!("{} has status {:?} and power {:?}", v.operator_address, v.status(), last.get(&operator)));
            }
            let power = tokens.map(|t| t / POWER_REDUCTION);
            if last.get(&operator).is_some_and(|p| Some(u128::from(*p)) != power) {
                out.push(format!("the power of {} is not its tokens in units of {POWER_REDUCTION}", v.operator_address));
            }
            let sum = if is_bonded(&v) { &mut bonded } else { &mut unbonded };
            *sum = sum.saturating_add(tokens.unwrap_or(0));
        }
        out.extend(shares.into_keys().map(|v| format!("a delegation to {v}, which is no validator")));
        let denom = self.params(view)?.bond_denom;
        for (is_bonded, sum) in [(true, bonded), (false, unbonded)] {
            let pool = self.bank.balance(view, &Staking::pool(is_bonded), &denom)?;
            // Anyone may have given more to a pool before it was a module's account.
            if pool < sum {
                out.push(format!("the pool with bonded = {is_bonded} holds {pool}{denom}, its validators have {sum}"));
            }
        }
        Ok(out)
    }
}

fn update(v: &Validator, power: u64) -> Result<ValidatorUpdate, Fault> {
    let key = key_of(v).ok_or(Fault::Corrupt("validator key"))?;
    let pub_key = Some(PublicKey { sum: Some(Sum::Ed25519(key.to_vec())) });
    Ok(ValidatorUpdate { pub_key, power: i64::try_from(power).map_err(|_| Fault::Corrupt("validator power"))? })
}
