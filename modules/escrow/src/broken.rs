//! What is always true of escrow, recomputed from the rows alone.

use crate::genesis::all;
use crate::types::*;
use crate::{Escrow, MODULE_ACCOUNT};
use kernel::{Address, BidId, DENOM, DeploymentId, Fault, Index, Key, View, module_address};
use std::collections::{BTreeMap, BTreeSet};

/// What the meters of one account add up to.
#[derive(Default)]
struct Sums {
    rate: u128,
    settled: u128,
    frozen: u128,
    suspended: u128,
    remainders: u128,
    paid: u128,
    window: Option<u64>,
}

impl Sums {
    fn add(&mut self, m: &Meter) {
        match m.state {
            MeterState::Running => {
                self.rate += u128::from(m.rate);
                self.settled += grains(m.rate, m.last().settled);
            }
            MeterState::Suspended => self.suspended += u128::from(m.rate),
            _ => {}
        }
        self.frozen += m.payments.iter().map(|p| p.frozen(m.rate)).sum::<u128>();
        self.remainders += m.payments.iter().map(|p| u128::from(p.remainder)).sum::<u128>();
        self.paid += u128::from(m.paid);
        self.window = self.window.into_iter().chain(m.window()).min();
    }
}

impl Escrow {
    /// One sentence for each thing that does not hold. Costs as much as there is.
    pub(crate) fn violations(&self, view: &View) -> Result<Vec<String>, Fault> {
        let mut out = Vec::new();
        let (accounts, meters) = (all(&self.accounts, view)?, all(&self.meters, view)?);
        let params = self.params(view)?;

        let mut sums: BTreeMap<DeploymentId, Sums> = BTreeMap::new();
        for (lease, m) in &meters {
            out.extend(meter_violations(lease, m));
            sums.entry(lease.deployment()).or_default().add(m);
        }

        let mut owed = 0;
        for (id, a) in &accounts {
            let s = match id {
                AccountId::Deployment(id) => sums.remove(id).unwrap_or_default(),
                _ => Sums::default(),
            };
            owed += a.balance + s.remainders;
            out.extend(account_violations(id, a, &s, &params, view.time()));
        }
        out.extend(sums.keys().map(|id| format!("the leases of deployment {id} have no account")));

        let balance = self.bank.balance(view, &module_address(MODULE_ACCOUNT), DENOM)?;
        if balance.checked_mul(GRAINS) != Some(owed) {
            out.push(format!("escrow holds {balance}uve and owes {owed} grains"));
        }

        compare(view, &mut out, "due queue", &self.queue, &u64::MAX, accounts.iter().filter_map(|(k, a)| Some((a.queued()?, *k))))?;
        let last = DeploymentId { owner: Address::new(&[u8::MAX; 32]).expect("32 bytes"), dseq: u64::MAX };
        let live = meters.iter().filter(|(_, m)| m.state != MeterState::Closed).map(|(k, _)| (k.deployment(), *k));
        compare(view, &mut out, "index of living leases", &self.live, &last, live)?;
        let windows = meters.iter().filter_map(|(k, m)| Some(((k.deployment(), m.window()?), *k)));
        compare(view, &mut out, "queue of final windows", &self.windows, &(last, u64::MAX), windows)?;
        let providers = meters.iter().map(|(k, _)| ((k.provider, k.deployment()), *k));
        compare(view, &mut out, "index of providers", &self.by_provider, &(last.owner, last), providers)?;
        Ok(out)
    }
}

/// Every entry has its row and the reverse.
fn compare<I: Key, K: Key + 'static>(
    view: &View,
    out: &mut Vec<String>,
    name: &str,
    index: &Index<I, K>,
    max: &I,
    rows: impl Iterator<Item = (I, K)>,
) -> Result<(), Fault> {
    let mut expected: Vec<_> = rows.map(|entry| entry.to_bytes()).collect();
    expected.sort();
    let entries: Vec<_> = index.upto(view, max, usize::MAX)?.into_iter().map(|entry| entry.to_bytes()).collect();
    if entries != expected {
        out.push(format!("the {name} has {} entries, not the {} that the rows say", entries.len(), expected.len()));
    }
    Ok(())
}

fn meter_violations(lease: &BidId, m: &Meter) -> Vec<String> {
    let mut out = Vec::new();
    let mut check = |holds: bool, what: &str| {
        if !holds {
            out.push(format!("lease {lease}: {what}"));
        }
    };
    let (last, earlier) = m.payments.split_last().expect("decoded with at least one");
    check((m.state == MeterState::Running) == last.stop.is_none(), "exactly the running lease has a running payment");
    check(earlier.iter().all(|p| p.state() == PaymentState::Stopped), "an earlier payment is kept only while it may report");
    check(m.payments.windows(2).all(|w| w[0].number < w[1].number && w[0].stop <= Some(w[1].opened)), "payments follow each other");
    check(m.payments.iter().all(|p| u128::from(p.remainder) < GRAINS), "a whole uve was not paid out");
    check(m.payments.iter().all(|p| !p.is_done() || p.remainder == 0), "a finished payment keeps a fraction");
    check(m.payments.iter().all(|p| (p.window_ends == 0) == p.stop.is_none()), "a stop has its final window");
    check((m.last_sequence == 0) == m.last_hash.is_none(), "a record has its hash");
    check(m.payments.iter().map(|p| u128::from(p.paid)).sum::<u128>() <= m.paid.into(), "payments paid more than the lease");
    out
}

fn account_violations(id: &AccountId, a: &Account, s: &Sums, params: &Params, now: u64) -> Vec<String> {
    let mut out = Vec::new();
    let mut check = |holds: bool, what: &str| {
        if !holds {
            out.push(format!("account of {id}: {what}"));
        }
    };
    check(u128::from(a.rate) == s.rate && a.settled == s.settled, "R or S differs from the running payments");
    check(a.frozen == s.frozen, "F differs from the stopped payments");
    check(u128::from(a.suspended_rate) == s.suspended, "the suspended rate differs from the suspended leases");
    check(a.next_at == a.next(s.window), "the next time differs from what the rows say");

    let deposits: u128 = a.deposits.iter().map(|d| d.grains).sum();
    let places = |depositor: &Address| a.deposits.iter().filter(|d| d.depositor == *depositor).count();
    let depositors: BTreeSet<_> = a.deposits.iter().map(|d| d.depositor).collect();
    check(deposits <= a.balance, "deposits exceed the balance");
    check(a.deposits.iter().all(|d| d.grains > 0), "a depositor without money has a place");
    check(depositors.iter().all(|d| places(d) <= MAX_PLACES), "a depositor has too many places");
    check(depositors.len() as u64 <= u64::from(params.max_depositors), "there are too many depositors");
    check(s.settled + a.balance >= s.frozen && a.balance >= a.held(now) + a.frozen, "more is reserved than there is");
    let out_of_it = (u128::from(a.paid) + u128::from(a.refunded)) * GRAINS + a.balance + s.remainders;
    check(u128::from(a.deposited) * GRAINS == out_of_it, "deposits are not what was paid, refunded and is held");
    check(u128::from(a.paid) >= s.paid, "the leases were paid more than the account paid");

    let (open, depleted, closed) = (a.state == AccountState::Open, a.state == AccountState::Depleted, a.state == AccountState::Closed);
    check(depleted == (a.depleted_at != 0) && depleted == (a.grace_ends != 0), "exactly a depleted account has a grace period");
    check(closed == a.closed_at.is_some(), "exactly a closed account has a time of closing");
    check(open || a.rate == 0, "payments run in an account that is not open");
    check(depleted || a.suspended_rate == 0, "leases are suspended in an account that is not depleted");
    check(!closed || a.frozen > 0 || a.balance == 0, "a settled account holds money");
    out
}
