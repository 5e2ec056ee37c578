//! The money behind one deployment, told the long way: every question is answered by walking the leases one by one, and
//! the moment at which the money ends is searched for, not computed.

use super::{Env, Ms, Refused, Slot, Who};
use std::collections::BTreeMap;

/// Grains per uve: milliseconds of an hour, so that uve per hour × milliseconds is grains.
pub const UVE: u128 = 3_600_000;

/// One uninterrupted run of a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub opened: Ms,
    /// Up to here it is paid or given back.
    pub settled: Ms,
    pub stop: Option<Ms>,
    /// From here on nothing more can be reported; 0 while it runs.
    pub window_ends: Ms,
    /// Earned, and not a whole uve yet; grains.
    pub fraction: u128,
}

impl Run {
    fn new(now: Ms) -> Self {
        Run { opened: now, settled: now, stop: None, window_ends: 0, fraction: 0 }
    }

    fn is_over(&self) -> bool {
        self.stop == Some(self.settled)
    }

    /// Set aside at `t` for what was not reported yet.
    fn kept(&self, price: u128, t: Ms) -> u128 {
        price * u128::from(self.stop.unwrap_or(t) - self.settled)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Running,
    /// Waits for money.
    Suspended,
    Over,
}

/// What a provider claims to have served.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Claim {
    pub sequence: u64,
    pub start: Ms,
    pub end: Ms,
    /// CPU milli-seconds, memory byte-seconds, storage byte-seconds, GPU seconds.
    pub used: [u64; 4],
}

/// A lease, as far as money is concerned.
#[derive(Debug, Clone)]
pub struct Meter {
    /// uve per hour.
    pub price: u128,
    pub phase: Phase,
    pub runs: Vec<Run>,
    pub last: Option<Claim>,
    /// uve.
    pub paid: u128,
}

impl Meter {
    pub fn is_settled(&self) -> bool {
        self.phase == Phase::Over && self.runs.iter().all(Run::is_over)
    }

    fn kept(&self, t: Ms) -> u128 {
        self.runs.iter().map(|r| r.kept(self.price, t)).sum()
    }

    /// Where the next record starts.
    pub fn expected(&self) -> Ms {
        let last = self.runs.last().expect("a lease begins with a run");
        self.runs.iter().find(|r| !r.is_over()).unwrap_or(last).settled
    }

    /// Stops the run that runs; what is older than the cutoff is given up. Returns the fraction that falls back.
    fn stop(&mut self, at: Ms, env: &Env) -> u128 {
        let run = self.runs.last_mut().expect("a run");
        assert!(run.stop.is_none() && run.settled <= at, "the model stops a run twice or before it was settled");
        run.settled = run.settled.max(at.saturating_sub(env.params.usage_cutoff));
        run.stop = Some(at);
        run.window_ends = env.now + env.params.final_usage_window;
        if run.is_over() { std::mem::take(&mut run.fraction) } else { 0 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Open,
    /// Until its grace is over.
    Depleted(Ms),
    Closed,
}

/// What a record did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paid {
    pub settled: Ms,
    pub served: Ms,
    pub uve: u64,
    pub duplicate: bool,
}

#[derive(Debug, Clone)]
pub struct Account {
    pub owner: Who,
    pub state: State,
    /// In grains, the oldest first.
    pub deposits: Vec<(Who, u128)>,
    /// What finished runs had earned below a whole uve; spent after all deposits.
    pub fractions: u128,
    pub meters: BTreeMap<Slot, Meter>,
    /// Ever paid in, paid for usage and given back; uve.
    pub totals: [u128; 3],
}

impl Account {
    pub fn new(owner: Who) -> Self {
        Account { owner, state: State::Open, deposits: Vec::new(), fractions: 0, meters: BTreeMap::new(), totals: [0; 3] }
    }

    /// Grains in the account.
    pub fn money(&self) -> u128 {
        self.deposits.iter().map(|d| d.1).sum::<u128>() + self.fractions
    }

    /// Grains that escrow owes because of this account.
    pub fn owed(&self) -> u128 {
        self.money() + self.meters.values().flat_map(|m| &m.runs).map(|r| r.fraction).sum::<u128>()
    }

    /// Grains that nobody would have a claim on at `t`; negative when what runs could not run until then.
    pub fn free(&self, t: Ms) -> i128 {
        self.money() as i128 - self.meters.values().map(|m| m.kept(t)).sum::<u128>() as i128
    }

    fn in_phase(&self, phase: Phase) -> Vec<Slot> {
        self.meters.iter().filter(|(_, m)| m.phase == phase).map(|(slot, _)| *slot).collect()
    }

    /// uve per hour of all leases in a phase.
    pub fn cost(&self, phase: Phase) -> u128 {
        self.meters.values().filter(|m| m.phase == phase).map(|m| m.price).sum()
    }

    /// The last millisecond that the money pays for, if that is before `limit`.
    pub fn dry_before(&self, limit: Ms) -> Option<Ms> {
        let running = self.meters.values().filter(|m| m.phase == Phase::Running);
        let mut good = running.map(|m| m.runs.last().expect("a run").settled).max()?;
        if limit <= good || self.free(limit) >= 0 {
            return None;
        }
        let mut bad = limit;
        while bad - good > 1 {
            let middle = good + (bad - good) / 2;
            if self.free(middle) >= 0 { good = middle } else { bad = middle }
        }
        Some(good)
    }

    /// What time alone has changed. Returns the leases that lost their money for good.
    pub fn touch(&mut self, env: &mut Env) -> Vec<Slot> {
        if let Some(dry) = self.dry_before(env.now + 1) {
            for meter in self.meters.values_mut().filter(|m| m.phase == Phase::Running) {
                self.fractions += meter.stop(dry, env);
                meter.phase = Phase::Suspended;
            }
            self.state = State::Depleted(env.now + env.params.depletion_grace);
        }
        for run in self.meters.values_mut().flat_map(|m| &mut m.runs) {
            if run.stop.is_some_and(|stop| stop > run.settled) && run.window_ends <= env.now {
                run.settled = run.stop.expect("stopped");
                self.fractions += std::mem::take(&mut run.fraction);
            }
        }
        self.resume(env);
        let mut lost = Vec::new();
        if matches!(self.state, State::Depleted(until) if until <= env.now) {
            lost = self.in_phase(Phase::Suspended);
            for slot in &lost {
                self.meters.get_mut(slot).expect("listed").phase = Phase::Over;
            }
            self.state = State::Open;
        }
        self.refund(env);
        lost
    }

    /// A depleted account that covers the runway of what waits goes on.
    fn resume(&mut self, env: &Env) {
        let needed = self.cost(Phase::Suspended) * u128::from(env.params.min_runway);
        if !matches!(self.state, State::Depleted(_)) || self.free(env.now) < needed as i128 {
            return;
        }
        self.state = State::Open;
        for meter in self.meters.values_mut().filter(|m| m.phase == Phase::Suspended) {
            meter.phase = Phase::Running;
            meter.runs.retain(|r| !r.is_over());
            meter.runs.push(Run::new(env.now));
        }
    }

    pub fn is_open(&self) -> Result<(), Refused> {
        match self.state {
            State::Open => Ok(()),
            State::Depleted(_) => Err("the account is depleted"),
            State::Closed => Err("the account is closed"),
        }
    }

    /// Whether all that runs and `extra` uve per hour more are paid for the runway.
    pub fn covers(&self, extra: u128, env: &Env) -> Result<(), Refused> {
        self.is_open()?;
        let cost = self.cost(Phase::Running) + extra;
        if cost > u64::MAX.into() {
            return Err("prices add up to too much");
        }
        let needed = cost.checked_mul(env.params.min_runway.into()).and_then(|n| i128::try_from(n).ok());
        if needed.is_none_or(|needed| self.free(env.now) < needed) { Err("the runway is not covered") } else { Ok(()) }
    }

    pub fn open_run(&mut self, slot: Slot, price: u128, env: &Env) -> Result<(), Refused> {
        self.covers(price, env)?;
        self.meters.insert(slot, Meter { price, phase: Phase::Running, runs: vec![Run::new(env.now)], last: None, paid: 0 });
        Ok(())
    }

    pub fn deposit(&mut self, who: Who, uve: u64, env: &mut Env) -> Result<(), Refused> {
        if self.state == State::Closed {
            return Err("the account is closed");
        }
        let mut others: Vec<Who> = self.deposits.iter().map(|d| d.0).filter(|d| *d != self.owner).collect();
        others.sort();
        others.dedup();
        let (others, known) = (others.len(), self.deposits.iter().any(|d| d.0 == who));
        if !known && who != self.owner && others as u64 >= env.params.max_depositors - 1 {
            return Err("there are too many depositors");
        }
        self.pay_in(who, uve, env)?;
        self.resume(env);
        Ok(())
    }

    pub fn pay_in(&mut self, who: Who, uve: u64, env: &mut Env) -> Result<(), Refused> {
        env.ledger.pay(who, super::ESCROW, uve.into())?;
        let grains = u128::from(uve) * UVE;
        // The last in the queue adds to what he has there, and so does who stands in it four times.
        let last = self.deposits.last().is_some_and(|d| d.0 == who);
        let crowded = self.deposits.iter().filter(|d| d.0 == who).count() == 4;
        match self.deposits.iter_mut().rev().find(|d| d.0 == who && (last || crowded)) {
            Some(place) => place.1 += grains,
            None => self.deposits.push((who, grains)),
        }
        self.totals[0] += u128::from(uve);
        Ok(())
    }

    /// Gives whole uve back to depositors, the newest first, and keeps the oldest `keep` grains.
    fn give_back(&mut self, mut keep: u128, env: &mut Env) -> u128 {
        let mut total = 0;
        for (who, grains) in &mut self.deposits {
            let stays = keep.min(*grains);
            keep -= stays;
            let uve = (*grains - stays) / UVE;
            *grains -= uve * UVE;
            env.ledger.release(*who, uve);
            total += uve;
        }
        self.deposits.retain(|d| d.1 > 0);
        self.totals[2] += total;
        total
    }

    /// Of a closed account everything goes that nobody may still claim; the last fractions are the owner's.
    fn refund(&mut self, env: &mut Env) {
        if self.state != State::Closed {
            return;
        }
        let kept: u128 = self.meters.values().map(|m| m.kept(env.now)).sum();
        self.give_back(kept, env);
        if kept == 0 {
            let rest = self.money();
            assert_eq!(rest % UVE, 0, "the model loses a part of a uve");
            self.deposits.clear();
            self.fractions = 0;
            self.totals[2] += rest / UVE;
            env.ledger.release(self.owner, rest / UVE);
        }
    }

    pub fn withdraw_spare(&mut self, env: &mut Env) -> Result<u64, Refused> {
        self.is_open()?;
        let runway = self.cost(Phase::Running) * u128::from(env.params.min_runway);
        let spare = (self.free(env.now) - runway as i128).max(0) as u128;
        match self.give_back(self.money() - spare, env) {
            0 => Err("nothing to spare"),
            uve => Ok(uve as u64),
        }
    }

    /// Ends a lease.
    pub fn end(&mut self, slot: Slot, env: &Env) {
        let meter = self.meters.get_mut(&slot).expect("a lease has a meter");
        if std::mem::replace(&mut meter.phase, Phase::Over) == Phase::Running {
            self.fractions += meter.stop(env.now, env);
        }
        self.resume(env);
    }

    pub fn close(&mut self, env: &mut Env) {
        for meter in self.meters.values_mut() {
            if std::mem::replace(&mut meter.phase, Phase::Over) == Phase::Running {
                self.fractions += meter.stop(env.now, env);
            }
        }
        self.state = State::Closed;
        self.refund(env);
    }

    /// Pays for a record of which `served` ms were really served.
    pub fn record(&mut self, slot: Slot, claim: &Claim, served: Ms, payout: Who, env: &mut Env) -> Result<Paid, Refused> {
        let meter = self.meters.get_mut(&slot).ok_or("no such meter")?;
        let last = meter.last.as_ref().map_or(0, |c| c.sequence);
        if last != 0 && claim.sequence == last {
            return match meter.last.as_ref() == Some(claim) {
                true => Ok(Paid { settled: meter.expected(), served: 0, uve: 0, duplicate: true }),
                false => Err("the sequence is taken"),
            };
        }
        if claim.sequence != last + 1 {
            return Err("the sequence is stale or skips one");
        }
        if claim.end <= claim.start {
            return Err("the period is empty");
        }
        // The first run that the period reaches; what an earlier one could still have been paid is given back.
        let reached = |r: &Run| !r.is_over() && r.stop.is_none_or(|stop| stop > claim.start);
        let i = meter.runs.iter().position(reached).ok_or("no run may still report that")?;
        let (price, run) = (meter.price, &mut meter.runs[i]);
        let limit = run.stop.unwrap_or(env.now);
        if claim.start < run.settled || claim.start >= limit {
            return Err("the period starts too early or too late");
        }
        let from = claim.start.max(limit.saturating_sub(env.params.usage_cutoff));
        let to = claim.end.min(limit);
        if to <= from {
            return Err("the period is too old");
        }
        if to - from < env.params.min_usage_interval && run.stop != Some(to) {
            return Err("the period is too short");
        }
        let served = served.min(to - from);
        let earned = price * u128::from(served);
        run.settled = to;
        run.fraction += earned;
        let uve = run.fraction / UVE;
        run.fraction %= UVE;
        meter.paid += uve;
        meter.last = Some(claim.clone());
        for (n, run) in meter.runs.iter_mut().enumerate() {
            if n < i && !run.is_over() {
                run.settled = run.stop.expect("a later run opened");
            }
            if run.is_over() {
                self.fractions += std::mem::take(&mut run.fraction);
            }
        }
        let mut left = earned;
        for place in &mut self.deposits {
            let part = place.1.min(left);
            place.1 -= part;
            left -= part;
        }
        self.deposits.retain(|d| d.1 > 0);
        self.fractions = self.fractions.checked_sub(left).expect("the model overdraws an account");
        self.totals[1] += uve;
        env.ledger.release(payout, uve);
        self.resume(env);
        self.refund(env);
        let settled = self.meters[&slot].expected();
        Ok(Paid { settled, served, uve: uve as u64, duplicate: false })
    }
}
