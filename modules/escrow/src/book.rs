//! The rules, in memory: one account with those of its leases that take part, at one moment. Nothing here reads or
//! writes state, so a query shows exactly what a transaction would find.

use crate::error::Error;
use crate::types::*;
use kernel::{Address, BidId, Ctx, Fault};
use prost::{Message, Name};
use proto::virtengine::escrow::v1 as wire;
use std::collections::{BTreeMap, BTreeSet};

/// What is to be done once the rules are through.
pub(crate) enum Act {
    /// Whole uve leave escrow.
    Send(Address, u64),
    Emit(Box<dyn FnOnce(&mut Ctx)>),
}

/// An account at `now`. Whoever makes one loads the meters that [`Book::touch`] needs: all that are not closed once the
/// account's `next_at` has come or while it is depleted, and those whose final windows have ended.
pub(crate) struct Book {
    pub id: AccountId,
    pub account: Account,
    pub meters: BTreeMap<BidId, Meter>,
    pub params: Params,
    pub now: u64,
    pub happened: Vec<Happened>,
    pub acts: Vec<Act>,
    /// The rows as they were read.
    pub old_account: Option<Account>,
    pub old_meters: BTreeMap<BidId, Meter>,
}

/// `a − b`, where only our own mistake makes b the larger.
fn less(a: u128, b: u128) -> Result<u128, Fault> {
    a.checked_sub(b).ok_or(Fault::Corrupt("escrow takes more than it holds"))
}

fn less_rate(a: u64, b: u64) -> Result<u64, Fault> {
    a.checked_sub(b).ok_or(Fault::Corrupt("escrow stops more than runs"))
}

impl Book {
    pub fn new(id: AccountId, account: Account, params: Params, now: u64) -> Self {
        let (happened, acts, meters, old_meters) = Default::default();
        Book { id, account, meters, params, now, happened, acts, old_account: None, old_meters }
    }

    pub fn add(&mut self, lease: BidId, meter: Meter) {
        self.old_meters.insert(lease, meter.clone());
        self.meters.insert(lease, meter);
    }

    pub fn spendable(&self) -> u128 {
        self.account.spendable(self.now)
    }

    pub fn emit<M: Message + Name + 'static>(&mut self, event: M) {
        self.acts.push(Act::Emit(Box::new(move |ctx| ctx.emit(&event))));
    }

    fn send(&mut self, to: Address, uve: u64) {
        if uve > 0 {
            self.acts.push(Act::Send(to, uve));
        }
    }

    fn wire_id(&self) -> Option<wire::AccountId> {
        Some(self.id.into())
    }

    fn in_state(&self, state: MeterState) -> Vec<BidId> {
        self.meters.iter().filter(|(_, m)| m.state == state).map(|(lease, _)| *lease).collect()
    }

    // --- time

    /// Brings the account up to date. The order of the steps is part of the rules: another one would make results
    /// depend on who looked when.
    pub fn touch(&mut self) -> Result<(), Fault> {
        // 1. Running dry, with the money as it stood.
        if let Some(due) = self.account.due()
            && due <= self.now
        {
            self.deplete(due)?;
        }
        // 2. Final windows that have ended.
        let leases: Vec<_> = self.meters.keys().copied().collect();
        for lease in leases {
            while let Some(i) = self.ended_window(&lease) {
                self.finish(&lease, i)?;
            }
        }
        // 3. Enough to go on, whatever brought it.
        self.resume()?;
        // 4. Too long without.
        if self.account.state == AccountState::Depleted && self.account.grace_ends <= self.now {
            let leases = self.in_state(MeterState::Suspended);
            for lease in &leases {
                self.meter(lease)?.state = MeterState::Closed;
            }
            self.account.suspended_rate = 0;
            self.happened.push(Happened::GraceOver { leases });
            self.reopen();
        }
        self.refund_if_closed()
    }

    fn deplete(&mut self, due: u64) -> Result<(), Fault> {
        self.account.state = AccountState::Depleted;
        self.account.depleted_at = self.now;
        self.account.grace_ends = self.now + self.params.depletion_grace;
        self.happened.push(Happened::Depleted { at: due });
        self.emit(wire::EventAccountDepleted { id: self.wire_id(), at: Some(timestamp(due)) });
        for lease in self.in_state(MeterState::Running) {
            self.stop(&lease, due)?;
            let meter = self.meter(&lease)?;
            meter.state = MeterState::Suspended;
            let rate = meter.rate;
            self.account.suspended_rate += rate;
        }
        Ok(())
    }

    fn ended_window(&self, lease: &BidId) -> Option<usize> {
        let ended = |p: &Payment| p.state() == PaymentState::Stopped && p.window_ends <= self.now;
        self.meters.get(lease)?.payments.iter().position(ended)
    }

    /// When the money of a depleted account ran out, in ms: the row says when a block saw it.
    pub fn ran_out(&self) -> u64 {
        let suspended = self.meters.values().filter(|m| m.state == MeterState::Suspended);
        suspended.filter_map(|m| m.last().stop).max().unwrap_or(self.account.depleted_at)
    }

    /// The least deposit with which a depleted account resumes, in uve.
    pub fn missing(&self) -> u64 {
        let needed = grains(self.account.suspended_rate, self.params.min_runway).saturating_sub(self.spendable());
        whole_uve(needed + GRAINS - 1).max(self.params.min_topup)
    }

    /// A depleted account that covers the runway of its suspended leases, or has none, is open again.
    fn resume(&mut self) -> Result<(), Fault> {
        let a = &self.account;
        if a.state != AccountState::Depleted || self.spendable() < grains(a.suspended_rate, self.params.min_runway) {
            return Ok(());
        }
        self.happened.push(Happened::Resumed);
        self.reopen();
        self.account.suspended_rate = 0;
        for lease in self.in_state(MeterState::Suspended) {
            let now = self.now;
            let meter = self.meter(&lease)?;
            meter.state = MeterState::Running;
            let number = meter.last().number + 1;
            meter.payments.push(Payment::open(number, now));
            meter.prune();
            self.start(&lease)?;
        }
        Ok(())
    }

    fn reopen(&mut self) {
        self.account.state = AccountState::Open;
        self.account.depleted_at = 0;
        self.account.grace_ends = 0;
        self.emit(wire::EventAccountResumed { id: self.wire_id() });
    }

    // --- payments

    fn meter(&mut self, lease: &BidId) -> Result<&mut Meter, Fault> {
        self.meters.get_mut(lease).ok_or(Fault::Corrupt("escrow did not load a meter"))
    }

    /// Accounts for the last payment of a lease, which has just been opened.
    fn start(&mut self, lease: &BidId) -> Result<(), Fault> {
        let meter = self.meter(lease)?;
        let (rate, number) = (meter.rate, meter.last().number);
        self.account.rate += rate;
        self.account.settled += grains(rate, self.now);
        self.emit(wire::EventPaymentOpened { lease_id: Some((*lease).into()), number, price: Some(coin(rate)) });
        Ok(())
    }

    /// Stops the running payment of a lease at `at`: what is older than the cutoff is released, the rest waits for a
    /// record or for the final window, which counts from now.
    fn stop(&mut self, lease: &BidId, at: u64) -> Result<(), Fault> {
        let (window_ends, oldest) = (self.now + self.params.final_usage_window, at.saturating_sub(self.params.usage_cutoff));
        let meter = self.meter(lease)?;
        let rate = meter.rate;
        let last = meter.payments.len() - 1;
        let p = &mut meter.payments[last];
        let (number, was) = (p.number, p.settled);
        if p.stop.is_some() || was > at {
            return Err(Fault::Corrupt("escrow stops a payment twice or before it was settled"));
        }
        p.settled = was.max(oldest);
        p.stop = Some(at);
        p.window_ends = window_ends;
        let (frozen, done) = (p.frozen(rate), p.is_done());
        self.account.rate = less_rate(self.account.rate, rate)?;
        self.account.settled = less(self.account.settled, grains(rate, was))?;
        self.account.frozen += frozen;
        self.emit(wire::EventPaymentStopped { lease_id: Some((*lease).into()), number, at: Some(timestamp(at)) });
        if done {
            self.finish(lease, last)?;
        }
        Ok(())
    }

    /// Ends the i-th payment of a lease: what it still kept is released, and its last fraction returns to the account.
    fn finish(&mut self, lease: &BidId, i: usize) -> Result<(), Fault> {
        let meter = self.meter(lease)?;
        let p = &mut meter.payments[i];
        let (frozen, fraction) = (p.frozen(meter.rate), std::mem::take(&mut p.remainder));
        p.settled = p.stop.ok_or(Fault::Corrupt("escrow finishes a running payment"))?;
        let event = wire::EventPaymentDone { lease_id: Some((*lease).into()), number: p.number, paid: Some(coin(p.paid)) };
        meter.prune();
        self.account.frozen = less(self.account.frozen, frozen)?;
        self.account.balance += u128::from(fraction);
        self.emit(event);
        Ok(())
    }

    /// Takes grains from the oldest deposits; what they do not cover comes from returned fractions.
    fn spend(&mut self, grains: u128) -> Result<(), Fault> {
        self.account.balance = less(self.account.balance, grains)?;
        let mut left = grains;
        for d in &mut self.account.deposits {
            let part = d.grains.min(left);
            d.grains -= part;
            left -= part;
        }
        self.account.deposits.retain(|d| d.grains > 0);
        Ok(())
    }

    // --- money back

    /// Returns whole uve to depositors, the newest first, so that `keep` grains stay, the oldest money.
    fn give_back(&mut self, mut keep: u128) -> Vec<(Address, u64)> {
        let mut back = Vec::new();
        for d in &mut self.account.deposits {
            let stay = d.grains.min(keep);
            keep -= stay;
            let uve = whole_uve(d.grains - stay);
            d.grains -= u128::from(uve) * GRAINS;
            self.account.balance -= u128::from(uve) * GRAINS;
            self.account.refunded += uve;
            if uve > 0 {
                back.push((d.depositor, uve));
            }
        }
        self.account.deposits.retain(|d| d.grains > 0);
        back.reverse();
        back
    }

    /// A closed account keeps only what may still be reported; at the very end the last fractions are its owner's.
    fn refund_if_closed(&mut self) -> Result<(), Fault> {
        if self.account.state != AccountState::Closed {
            return Ok(());
        }
        let mut back = self.give_back(self.account.frozen);
        let a = &mut self.account;
        if a.frozen == 0 && a.balance > 0 {
            let uve = whole_uve(a.balance);
            a.balance = less(a.balance, u128::from(uve) * GRAINS)?;
            if a.balance != 0 {
                return Err(Fault::Corrupt("escrow is left with a part of a uve"));
            }
            a.deposits.clear();
            a.refunded += uve;
            match back.iter_mut().find(|(to, _)| *to == a.owner) {
                Some((_, sum)) => *sum += uve,
                None => back.push((a.owner, uve)),
            }
        }
        for (to, uve) in back {
            self.send(to, uve);
            self.emit(wire::EventRefunded { id: self.wire_id(), depositor: to.to_string(), amount: Some(coin(uve)) });
        }
        Ok(())
    }

    // --- what callers ask for; each after a touch

    /// Refuses to go on before the caller has learned that leases are to be closed.
    pub fn in_grace(&self) -> Result<(), Error> {
        let over = self.happened.iter().any(|h| matches!(h, Happened::GraceOver { .. }));
        if over { Err(Error::GraceOver(self.id.into())) } else { Ok(()) }
    }

    /// Whether `uve` more from this depositor are welcome.
    pub fn accepts(&self, depositor: &Address, uve: u64) -> Result<(), Error> {
        let a = &self.account;
        if a.deposited.checked_add(uve).is_none() {
            return Err(Error::AmountTooLarge { had: a.deposited });
        }
        let others: BTreeSet<_> = a.deposits.iter().map(|d| d.depositor).filter(|d| *d != a.owner).collect();
        let most = self.params.max_depositors - 1; // one is the owner
        if *depositor != a.owner && !others.contains(depositor) && others.len() as u64 >= u64::from(most) {
            return Err(Error::TooManyDepositors(most));
        }
        Ok(())
    }

    /// Adds money that has arrived, behind what is there: to the newest deposit if that is the same depositor's.
    pub fn deposit(&mut self, depositor: Address, uve: u64) -> Result<(), Fault> {
        let grains = u128::from(uve) * GRAINS;
        let a = &mut self.account;
        a.deposited += uve;
        a.balance += grains;
        let places = a.deposits.iter().filter(|d| d.depositor == depositor).count();
        let newest = a.deposits.iter().rposition(|d| d.depositor == depositor);
        match newest.filter(|i| i + 1 == a.deposits.len() || places >= MAX_PLACES) {
            Some(i) => a.deposits[i].grains += grains,
            None => a.deposits.push(Deposit { depositor, grains }),
        }
        self.resume()
    }

    fn is_open(&self) -> Result<(), Error> {
        match self.account.state {
            AccountState::Open => Ok(()),
            AccountState::Depleted => Err(Error::AccountDepleted(self.id.into())),
            _ => Err(Error::AccountClosed(self.id.into())),
        }
    }

    /// Whether the account covers the runway of all that runs and `extra` uve per hour.
    pub fn covers(&self, extra: u64) -> Result<(), Error> {
        self.is_open()?;
        let a = &self.account;
        let rate = a.rate.checked_add(extra).ok_or(Error::PriceTooLarge)?;
        let (spendable, needed) = (self.spendable(), grains(rate, self.params.min_runway));
        if spendable < needed {
            let missing = whole_uve(needed - spendable + GRAINS - 1);
            return Err(Error::NoRunway { spendable, needed, missing, rate, runway: self.params.min_runway });
        }
        Ok(())
    }

    pub fn open_payment(&mut self, lease: BidId, rate: u64) -> Result<(), Error> {
        self.covers(rate)?;
        let payments = vec![Payment::open(1, self.now)];
        let meter = Meter { state: MeterState::Running, rate, last_sequence: 0, last_hash: None, paid: 0, payments };
        self.meters.insert(lease, meter);
        Ok(self.start(&lease)?)
    }

    /// Ends a lease now. Does nothing when it has ended before.
    pub fn close_lease(&mut self, lease: &BidId) -> Result<(), Fault> {
        let meter = self.meter(lease)?;
        let rate = meter.rate;
        match std::mem::replace(&mut meter.state, MeterState::Closed) {
            MeterState::Running => self.stop(lease, self.now)?,
            MeterState::Suspended => self.account.suspended_rate = less_rate(self.account.suspended_rate, rate)?,
            _ => return Ok(()),
        }
        self.resume()
    }

    /// Ends the account and all its leases now.
    pub fn close(&mut self) -> Result<(), Fault> {
        for lease in self.in_state(MeterState::Running) {
            self.stop(&lease, self.now)?;
        }
        for meter in self.meters.values_mut() {
            meter.state = MeterState::Closed;
        }
        let a = &mut self.account;
        a.state = AccountState::Closed;
        a.closed_at = Some(self.now);
        (a.suspended_rate, a.depleted_at, a.grace_ends) = (0, 0, 0);
        self.emit(wire::EventAccountClosed { id: self.wire_id() });
        self.refund_if_closed()
    }

    /// What exceeds the runway goes back to those who paid it in. The uve that left.
    pub fn withdraw_spare(&mut self) -> Result<u64, Error> {
        self.is_open()?;
        let spendable = self.spendable();
        let spare = spendable.saturating_sub(grains(self.account.rate, self.params.min_runway));
        let back = self.give_back(self.account.balance - spare);
        let total = back.iter().map(|(_, uve)| uve).sum();
        if total == 0 {
            return Err(Error::NothingToSpare(spendable));
        }
        for (to, uve) in back {
            self.send(to, uve);
            self.emit(wire::EventSpareWithdrawn { id: self.wire_id(), depositor: to.to_string(), amount: Some(coin(uve)) });
        }
        Ok(total)
    }

    /// All money to someone else than those who paid it in; the account is at its end.
    pub fn forfeit(&mut self, to: Address) {
        let uve = whole_uve(self.account.balance);
        self.send(to, uve);
        self.emit(wire::EventDepositForfeited { id: self.wire_id(), recipient: to.to_string(), amount: Some(coin(uve)) });
    }

    /// Pays for what a record shows.
    pub fn record(&mut self, lease: &BidId, r: &Record, payout: &Address) -> Result<Outcome, Error> {
        let now = self.now;
        let meter = self.meters.get_mut(lease).ok_or_else(|| Error::LeaseNotFound((*lease).into()))?;
        match meter.last_sequence {
            last if last != 0 && r.sequence == last => {
                if meter.last_hash != Some(r.hash) {
                    return Err(Error::SequenceTaken(last));
                }
                return Ok(Outcome { settled_ms: meter.expected(), served_ms: 0, paid_uve: 0, duplicate: true });
            }
            last if r.sequence < last => return Err(Error::SequenceStale { got: r.sequence, last }),
            last if r.sequence != last + 1 => return Err(Error::SequenceGap { got: r.sequence, expected: last + 1 }),
            _ => {}
        }
        if r.end_ms <= r.start_ms {
            return Err(Error::EmptyRecord { start: Instant(r.start_ms), end: Instant(r.end_ms) });
        }
        // The first payment that the period reaches; those before it belong to the gap.
        let Some(newest) = meter.payments.iter().rfind(|p| !p.is_done()) else { return Err(Error::Settled((*lease).into())) };
        let stopped =
            Error::StartsTooLate { got: Instant(r.start_ms), limit: Instant(newest.stop.unwrap_or(now)), why: "when the lease stopped" };
        let reached = |p: &Payment| !p.is_done() && p.stop.is_none_or(|stop| stop > r.start_ms);
        let i = meter.payments.iter().position(reached).ok_or(stopped)?;
        let rate = meter.rate;
        let p = &meter.payments[i];
        let (was, stop) = (p.settled, p.stop);
        if r.start_ms < was {
            let why = match (was == p.opened, p.number) {
                (true, 1) => "when the lease started",
                (true, _) => "when the lease resumed",
                _ => "up to where the lease is settled",
            };
            return Err(Error::Overlap { got: Instant(r.start_ms), expected: Instant(was), why });
        }
        let limit = stop.unwrap_or(now);
        let from = r.start_ms.max(limit.saturating_sub(self.params.usage_cutoff));
        let to = r.end_ms.min(limit);
        if r.start_ms >= limit {
            return Err(Error::StartsTooLate { got: Instant(r.start_ms), limit: Instant(limit), why: "block time" });
        }
        if to <= from {
            return Err(Error::TooOld { got: Instant(r.end_ms), oldest: Instant(from) });
        }
        if to - from < self.params.min_usage_interval && stop != Some(to) {
            return Err(Error::TooShort { got: to - from, min: self.params.min_usage_interval });
        }

        let served = r.served_ms.min(to - from);
        let earned = grains(rate, served);
        let p = &mut meter.payments[i];
        p.settled = to;
        let whole = u128::from(p.remainder) + earned;
        let uve = whole_uve(whole);
        p.remainder = (whole % GRAINS) as u64;
        p.paid += uve;
        let number = p.number;
        let is_final = stop == Some(to);
        meter.paid += uve;
        meter.last_sequence = r.sequence;
        meter.last_hash = Some(r.hash);
        let released = grains(rate, to - was);
        match stop {
            None => self.account.settled += released,
            Some(_) => self.account.frozen = less(self.account.frozen, released)?,
        }
        self.account.paid += uve;
        self.spend(earned)?;
        self.send(*payout, uve);
        self.emit(wire::EventUsageSettled {
            lease_id: Some((*lease).into()),
            sequence: r.sequence,
            start_time: Some(timestamp(from)),
            end_time: Some(timestamp(to)),
            served: Some(duration(served)),
            paid: Some(coin(uve)),
            payout: payout.to_string(),
        });
        if is_final {
            self.finish(lease, i)?;
        }
        let skipped = |p: &Payment| p.number < number && !p.is_done();
        while let Some(i) = self.meter(lease)?.payments.iter().position(skipped) {
            self.finish(lease, i)?;
        }
        self.resume()?;
        self.refund_if_closed()?;
        let settled_ms = self.meter(lease)?.expected();
        Ok(Outcome { settled_ms, served_ms: served, paid_uve: uve, duplicate: false })
    }
}
