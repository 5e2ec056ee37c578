//! A deployment with its groups, orders, bids and leases.

use super::escrow::{Account, Paid};
use super::{Env, Ms, Provider, Record, Refused, Slot, Spec, Who};
use std::collections::BTreeMap;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupState {
    Open,
    Paused,
    Closed,
}

#[derive(Debug, Clone)]
pub struct Group {
    pub state: GroupState,
    pub spec: Spec,
    pub last_order: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OrderState {
    Open,
    Active,
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BidState {
    Open,
    Active,
    Lost,
    Closed,
}

#[derive(Debug, Clone)]
pub struct Bid {
    pub state: BidState,
    pub price: u64,
    pub deposit: u64,
    pub arrival: u64,
}

/// Why a lease ended, as numbers on the wire.
pub const OWNER: i32 = 1;
pub const UNSPECIFIED: i32 = 10_002;
pub const MANIFEST_TIMEOUT: i32 = 10_003;
pub const INSUFFICIENT_FUNDS: i32 = 20_000;

#[derive(Debug, Clone)]
pub struct Lease {
    pub provider: Who,
    pub created: Ms,
    /// Reason and time of its end.
    pub closed: Option<(i32, Ms)>,
    pub manifest: Option<Ms>,
    pub reclaim: Option<Ms>,
    /// Nothing can be reported any more, and somebody has looked since.
    pub settled: bool,
}

#[derive(Debug, Clone)]
pub struct Order {
    pub state: OrderState,
    pub expires: Ms,
    pub closed: Ms,
    pub bids: BTreeMap<Who, Bid>,
    pub lease: Option<Lease>,
}

impl Order {
    fn open_bids(&self) -> impl Iterator<Item = (Who, &Bid)> {
        self.bids.iter().filter(|(_, b)| b.state == BidState::Open).map(|(who, b)| (*who, b))
    }

    /// Whether bids and leases can still be made on it.
    pub fn is_offered(&self, now: Ms) -> bool {
        self.state == OrderState::Open && self.expires > now
    }

    fn end_bid(&mut self, who: Who, state: BidState, to: Who, env: &mut Env) {
        let bid = self.bids.get_mut(&who).expect("listed");
        bid.state = state;
        env.ledger.release(to, bid.deposit.into());
    }

    fn end_open_bids(&mut self, state: BidState, env: &mut Env) {
        for who in self.open_bids().map(|(who, _)| who).collect::<Vec<_>>() {
            self.end_bid(who, state, who, env);
        }
    }
}

/// What the end of a block does by itself, in the order of times and, of one time, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    Expire(Slot),
    Prune(Slot),
    RemoveOrder(Slot),
    CloseIdle,
    Remove,
}

#[derive(Debug, Clone)]
pub struct Deployment {
    pub active: bool,
    pub closed: Ms,
    /// When it closes because no group is open.
    pub closes: Option<Ms>,
    pub groups: Vec<Group>,
    pub orders: BTreeMap<Slot, Order>,
    pub account: Account,
}

impl Deployment {
    pub fn new(owner: Who, specs: Vec<Spec>, env: &Env) -> Self {
        let group = |spec| Group { state: GroupState::Open, spec, last_order: 0 };
        let mut deployment = Deployment {
            active: true,
            closed: 0,
            closes: None,
            groups: specs.into_iter().map(group).collect(),
            orders: BTreeMap::new(),
            account: Account::new(owner),
        };
        for gseq in 1..=deployment.groups.len() as u32 {
            deployment.open_order(gseq, env);
        }
        deployment
    }

    pub fn require_active(&self) -> Result<(), Refused> {
        if self.active { Ok(()) } else { Err("the deployment is closed") }
    }

    pub fn group(&self, gseq: u32) -> Result<&Group, Refused> {
        (gseq as usize).checked_sub(1).and_then(|i| self.groups.get(i)).ok_or("no such group")
    }

    fn set_group(&mut self, gseq: u32, state: GroupState, env: &Env) {
        self.groups[gseq as usize - 1].state = state;
        if self.groups.iter().any(|g| g.state == GroupState::Open) {
            self.closes = None;
        } else if self.closes.is_none() {
            self.closes = Some(env.now + env.params.closed_retention);
        }
    }

    fn open_order(&mut self, gseq: u32, env: &Env) -> u32 {
        let group = &mut self.groups[gseq as usize - 1];
        group.last_order += 1;
        let order =
            Order { state: OrderState::Open, expires: env.now + env.params.order_ttl, closed: 0, bids: BTreeMap::new(), lease: None };
        self.orders.insert((gseq, group.last_order), order);
        group.last_order
    }

    // --- time

    /// Brings the account up to date and ends the leases that lost their money for good.
    pub fn touch(&mut self, env: &mut Env) {
        for slot in self.account.touch(env) {
            self.end_lease(slot, INSUFFICIENT_FUNDS, true, env);
            self.set_group(slot.0, GroupState::Paused, env);
        }
        self.settle();
    }

    fn settle(&mut self) {
        for (slot, order) in &mut self.orders {
            let Some(lease) = order.lease.as_mut().filter(|l| l.closed.is_some() && !l.settled) else { continue };
            lease.settled = self.account.meters[slot].is_settled();
        }
    }

    /// What is due now, with its time.
    pub fn due(&self, env: &Env) -> Vec<(Ms, Task)> {
        let retention = env.params.closed_retention;
        let mut due = Vec::new();
        for (slot, order) in &self.orders {
            match order.state {
                OrderState::Open => due.push((order.expires, Task::Expire(*slot))),
                OrderState::Closed => due.push((order.closed + retention, Task::RemoveOrder(*slot))),
                OrderState::Active => {
                    let lease = order.lease.as_ref().expect("an active order has a lease");
                    due.push((lease.created + retention, Task::Prune(*slot)));
                }
            }
        }
        due.extend(self.closes.filter(|_| self.active).map(|at| (at, Task::CloseIdle)));
        due.extend((!self.active).then_some((self.closed + retention, Task::Remove)));
        due.retain(|(at, _)| *at <= env.now);
        due
    }

    /// Does one thing that is due; false if the deployment leaves.
    pub fn run(&mut self, task: Task, env: &mut Env) -> bool {
        match task {
            Task::Expire(slot) => {
                self.end_open_order(slot, env);
                self.set_group(slot.0, GroupState::Paused, env);
            }
            Task::Prune(slot) => {
                let order = self.orders.get_mut(&slot).expect("due");
                order.bids.retain(|_, b| !matches!(b.state, BidState::Lost | BidState::Closed));
            }
            Task::RemoveOrder(slot) => {
                let order = self.orders.remove(&slot).expect("due");
                assert!(order.lease.is_none_or(|l| l.settled), "the model removes a lease that may still be paid");
                self.account.meters.remove(&slot);
            }
            Task::CloseIdle => {
                self.touch(env);
                self.end(env);
            }
            Task::Remove => {
                assert!(self.orders.is_empty() && self.account.money() == 0, "the model removes a deployment that is not settled");
                return false;
            }
        }
        true
    }

    // --- ends

    /// Closes everything.
    pub fn end(&mut self, env: &mut Env) {
        for gseq in 1..=self.groups.len() as u32 {
            self.end_offer(gseq, env);
            self.groups[gseq as usize - 1].state = GroupState::Closed;
        }
        self.active = false;
        self.closed = env.now;
        self.closes = None;
        self.account.close(env);
        self.settle();
    }

    fn end_offer(&mut self, gseq: u32, env: &mut Env) {
        let group = &self.groups[gseq as usize - 1];
        if group.state != GroupState::Open {
            return;
        }
        let slot = (gseq, group.last_order);
        match self.orders[&slot].lease {
            Some(_) => self.end_lease(slot, OWNER, true, env),
            None => self.end_open_order(slot, env),
        }
    }

    fn end_open_order(&mut self, slot: Slot, env: &mut Env) {
        let order = self.orders.get_mut(&slot).expect("an open order");
        order.end_open_bids(BidState::Closed, env);
        order.state = OrderState::Closed;
        order.closed = env.now;
    }

    /// Ends a lease with its bid and order; the bid's deposit goes back, or to the tenant.
    fn end_lease(&mut self, slot: Slot, reason: i32, refund: bool, env: &mut Env) {
        self.account.end(slot, env);
        let (owner, settled) = (self.account.owner, self.account.meters[&slot].is_settled());
        let order = self.orders.get_mut(&slot).expect("a lease has an order");
        let lease = order.lease.as_mut().expect("a lease");
        assert!(lease.closed.is_none(), "the model ends a lease twice");
        lease.closed = Some((reason, env.now));
        lease.settled = settled;
        let provider = lease.provider;
        order.end_bid(provider, BidState::Closed, if refund { provider } else { owner }, env);
        order.state = OrderState::Closed;
        order.closed = env.now;
    }

    // --- messages; the deployment is there, and active where that is asked for

    pub fn close_group(&mut self, gseq: u32, env: &mut Env) -> Result<(), Refused> {
        self.group(gseq)?;
        self.touch(env);
        if self.group(gseq)?.state == GroupState::Closed {
            return Err("the group is closed");
        }
        self.end_offer(gseq, env);
        self.set_group(gseq, GroupState::Closed, env);
        Ok(())
    }

    pub fn pause_group(&mut self, gseq: u32, env: &mut Env) -> Result<(), Refused> {
        self.group(gseq)?;
        self.touch(env);
        if self.group(gseq)?.state != GroupState::Open {
            return Err("the group is not open");
        }
        self.end_offer(gseq, env);
        self.set_group(gseq, GroupState::Paused, env);
        Ok(())
    }

    pub fn start_group(&mut self, gseq: u32, env: &mut Env) -> Result<u32, Refused> {
        self.group(gseq)?;
        self.touch(env);
        let group = self.group(gseq)?;
        if group.state != GroupState::Paused {
            return Err("the group is not paused");
        }
        self.account.covers(group.spec.ceiling().into(), env)?;
        self.set_group(gseq, GroupState::Open, env);
        Ok(self.open_order(gseq, env))
    }

    /// A bid of a provider that is registered, ACTIVE and matches.
    pub fn create_bid(&mut self, slot: Slot, who: Who, price: u64, deposit: u64, arrival: u64, env: &mut Env) -> Result<(), Refused> {
        let ceiling = self.group(slot.0)?.spec.ceiling();
        let order = self.orders.get_mut(&slot).ok_or("no such order")?;
        if !order.is_offered(env.now) {
            return Err("the order is not open");
        }
        if price == 0 || price > ceiling {
            return Err("the price is not between 1 and the order's");
        }
        if order.bids.contains_key(&who) {
            return Err("the provider has bid before");
        }
        if order.open_bids().count() as u64 >= env.params.order_max_bids {
            let (dearest, bid) = order.open_bids().max_by_key(|(_, b)| (b.price, b.arrival)).expect("a full order");
            if price >= bid.price {
                return Err("the order is full");
            }
            order.end_bid(dearest, BidState::Lost, dearest, env);
        }
        env.ledger.pay(who, super::ESCROW, deposit.into())?;
        order.bids.insert(who, Bid { state: BidState::Open, price, deposit, arrival });
        Ok(())
    }

    pub fn close_bid(&mut self, slot: Slot, who: Who, reason: i32, env: &mut Env) -> Result<(), Refused> {
        let state = |d: &Self| d.orders.get(&slot).and_then(|o| o.bids.get(&who)).map(|b| b.state).ok_or("no such bid");
        state(self)?;
        self.touch(env);
        match state(self)? {
            BidState::Open => self.orders.get_mut(&slot).expect("found").end_bid(who, BidState::Closed, who, env),
            BidState::Active => self.leave(slot, reason, env)?,
            BidState::Lost | BidState::Closed => return Err("the bid is over"),
        }
        Ok(())
    }

    fn leave(&mut self, slot: Slot, reason: i32, env: &mut Env) -> Result<(), Refused> {
        let lease = self.orders[&slot].lease.as_ref().expect("an active bid has a lease");
        let deadline = lease.created + env.params.manifest_timeout;
        let in_vain = reason == MANIFEST_TIMEOUT;
        if in_vain && (lease.manifest.is_some_and(|at| at <= deadline) || env.now < deadline) {
            return Err("a manifest came in time, or still may");
        }
        let lasted = env.now - lease.created >= env.params.min_lease_time;
        let noticed = match self.group(slot.0)?.spec.reclaim {
            None => true,
            Some(notice) => lease.reclaim.is_some_and(|at| env.now - at >= notice),
        };
        self.end_lease(slot, reason, in_vain || lasted && noticed, env);
        self.set_group(slot.0, GroupState::Paused, env);
        Ok(())
    }

    /// Accepts a bid of a provider that is still ACTIVE and matches.
    pub fn create_lease(&mut self, slot: Slot, who: Who, env: &mut Env) -> Result<(), Refused> {
        self.touch(env);
        let order = self.orders.get_mut(&slot).expect("checked");
        self.account.open_run(slot, order.bids[&who].price.into(), env)?;
        order.bids.get_mut(&who).expect("checked").state = BidState::Active;
        order.end_open_bids(BidState::Lost, env);
        order.state = OrderState::Active;
        order.lease = Some(Lease { provider: who, created: env.now, closed: None, manifest: None, reclaim: None, settled: false });
        Ok(())
    }

    /// The lease, which is active once the account is up to date.
    pub fn touched_lease(&mut self, slot: Slot, who: Who, env: &mut Env) -> Result<&mut Lease, Refused> {
        self.lease(slot, who)?;
        self.touch(env);
        let lease = self.orders.get_mut(&slot).and_then(|o| o.lease.as_mut()).ok_or("no such lease")?;
        if lease.closed.is_none() { Ok(lease) } else { Err("the lease is closed") }
    }

    pub fn lease(&self, slot: Slot, who: Who) -> Result<&Lease, Refused> {
        self.orders.get(&slot).and_then(|o| o.lease.as_ref()).filter(|l| l.provider == who).ok_or("no such lease")
    }

    pub fn close_lease(&mut self, slot: Slot, who: Who, reoffer: bool, env: &mut Env) -> Result<u32, Refused> {
        self.touched_lease(slot, who, env)?;
        self.end_lease(slot, OWNER, true, env);
        if reoffer {
            return Ok(self.open_order(slot.0, env));
        }
        self.set_group(slot.0, GroupState::Paused, env);
        Ok(0)
    }

    pub fn start_reclaim(&mut self, slot: Slot, who: Who, env: &mut Env) -> Result<(), Refused> {
        let asked = self.group(slot.0)?.spec.reclaim.is_some();
        let now = env.now;
        let lease = self.touched_lease(slot, who, env)?;
        if !asked || lease.reclaim.is_some() {
            return Err("no notice is asked for, or it was given");
        }
        lease.reclaim = Some(now);
        Ok(())
    }

    pub fn submit(&mut self, record: &Record, provider: &Provider, env: &mut Env) -> Result<Paid, Refused> {
        let slot = record.bid.slot();
        self.lease(slot, record.bid.provider)?;
        let served = self.group(slot.0)?.spec.served(&record.claim.used);
        self.touch(env);
        let payout = provider.details.payout.unwrap_or(record.bid.provider);
        let paid = self.account.record(slot, &record.claim, served, payout, env)?;
        self.settle();
        Ok(paid)
    }
}
