//! The module's part of the genesis document, and its invariants. Queues are not in the document: rows say what they hold.

use crate::types::{Task, price};
use crate::{Error, Market, Params};
use escrow::{AccountState, PaymentState};
use kernel::{BidId, Ctx, DeploymentId, Genesis, Index, Key, Module, Number, OrderId, Table, Value, View, read_genesis, write_genesis};
use proto::virtengine::base::v1 as base;
use proto::virtengine::deployment::v1::{deployment, group};
use proto::virtengine::market::v1 as wire;
use std::collections::{BTreeMap, BTreeSet};
use wire::{bid, lease, order};

/// Rows that a walk of the whole state reads at once.
const CHUNK: usize = 500;

impl Module for Market {
    fn name(&self) -> &'static str {
        "market"
    }

    fn init_genesis(&self, ctx: &mut Ctx, genesis: &Genesis) -> Result<(), kernel::Error> {
        Ok(self.load(ctx, read_genesis(genesis)?)?)
    }

    fn export_genesis(&self, view: &View) -> Result<Genesis, kernel::Error> {
        write_genesis(&self.dump(view)?)
    }

    fn end_block(&self, ctx: &mut Ctx) -> Result<(), kernel::Error> {
        Ok(self.run_due(ctx)?)
    }

    fn broken(&self, view: &View) -> Result<Vec<String>, kernel::Error> {
        Ok(self.check(view)?)
    }
}

/// All rows of a table, in chunks.
fn walk<K: Key + 'static, V: Value + 'static>(
    view: &View,
    table: &Table<K, V>,
    mut each: impl FnMut(K, V) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut after = None;
    loop {
        let rows = table.page(view, after.as_ref(), CHUNK)?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        after = Some(last.clone());
        for (key, value) in rows {
            each(key, value)?;
        }
    }
}

fn order_id(id: Option<&base::OrderId>) -> Result<OrderId, Error> {
    OrderId::try_from(id.unwrap_or(&base::OrderId::default())).map_err(Error::Genesis)
}

fn bid_id(id: Option<&base::BidId>) -> Result<BidId, Error> {
    BidId::try_from(id.unwrap_or(&base::BidId::default())).map_err(Error::Genesis)
}

impl Market {
    fn load(&self, ctx: &mut Ctx, state: wire::GenesisState) -> Result<(), Error> {
        let params = Params::try_from(&state.params.unwrap_or_default())?;
        self.check_params(ctx, &params)?;
        self.params.save(ctx, &params.into())?;
        self.arrivals.save(ctx, &Number(state.next_arrival.max(1)))?;
        for row in state.leases {
            let id = bid_id(row.lease_id.as_ref())?;
            self.leases.save(ctx, &id, &wire::Lease { lease_id: None, ..row })?;
        }
        for row in state.bids {
            let id = bid_id(row.bid_id.as_ref())?;
            self.bids.save(ctx, &id, &wire::Bid { bid_id: None, ..row })?;
        }
        for row in state.manifests {
            let id = bid_id(row.lease_id.as_ref())?;
            self.manifests.save(ctx, &id, &row.envelope.unwrap_or_default())?;
        }
        for row in state.orders {
            let id = order_id(row.order_id.as_ref())?;
            let row = wire::Order { order_id: None, spec: None, ..row };
            self.orders.save(ctx, &id, &row)?;
            for (at, task) in self.order_tasks(ctx, &id, &row)? {
                self.schedule(ctx, at, task)?;
            }
        }
        for (id, row) in self.all_deployments(ctx)? {
            if let Some((at, task)) = self.deployment_task(&id, &row, params.closed_retention) {
                self.schedule(ctx, at, task)?;
            }
        }
        match self.check(ctx)?.first() {
            Some(broken) => Err(Error::Genesis(broken.clone())),
            None => Ok(()),
        }
    }

    /// What is closed stays until nothing can be reported or claimed for it.
    fn check_params(&self, view: &View, params: &Params) -> Result<(), Error> {
        let escrow = self.escrow.params(view)?;
        for (name, window) in [
            ("final_usage_window", escrow.final_usage_window),
            ("depletion_grace", escrow.depletion_grace),
            ("usage_cutoff", escrow.usage_cutoff),
            ("min_lease_time", params.min_lease_time),
            ("manifest_timeout", params.manifest_timeout),
        ] {
            if params.closed_retention <= window {
                let expected = format!("more than {name}, which is {window} ms");
                return Err(Error::invalid("params.closed_retention", expected, format!("{} ms", params.closed_retention)));
            }
        }
        Ok(())
    }

    fn all_deployments(&self, view: &View) -> Result<Vec<(DeploymentId, proto::virtengine::deployment::v1::Deployment)>, Error> {
        let mut all: Vec<(DeploymentId, _)> = Vec::new();
        loop {
            let rows = self.deployments.page(view, all.last().map(|(id, _)| id), CHUNK)?;
            if rows.is_empty() {
                return Ok(all);
            }
            all.extend(rows);
        }
    }

    fn dump(&self, view: &View) -> Result<wire::GenesisState, Error> {
        let mut state = wire::GenesisState {
            params: Some(self.params(view)?.into()),
            next_arrival: self.arrivals.get(view)?.map_or(1, |n| n.0),
            ..Default::default()
        };
        walk(view, &self.orders, |id, row| {
            state.orders.push(wire::Order { order_id: Some(id.into()), ..row });
            Ok(())
        })?;
        walk(view, &self.bids, |id, row| {
            state.bids.push(wire::Bid { bid_id: Some(id.into()), ..row });
            Ok(())
        })?;
        walk(view, &self.leases, |id, row| {
            state.leases.push(wire::Lease { lease_id: Some(id.into()), ..row });
            Ok(())
        })?;
        walk(view, &self.manifests, |id, envelope| {
            state.manifests.push(wire::Manifest { lease_id: Some(id.into()), envelope: Some(envelope) });
            Ok(())
        })?;
        walk(view, &self.stuck, |_, row| {
            state.stuck.push(row);
            Ok(())
        })?;
        Ok(state)
    }
}

/// Compares an index with what the rows say it must hold.
struct IndexCheck<'a, I, K> {
    name: &'a str,
    index: &'a Index<I, K>,
    expected: usize,
    missing: Vec<String>,
}

impl<'a, I: Key + 'static, K: Key + 'static> IndexCheck<'a, I, K> {
    fn new(name: &'a str, index: &'a Index<I, K>) -> Self {
        IndexCheck { name, index, expected: 0, missing: Vec::new() }
    }

    fn expect(&mut self, view: &View, entry: Option<I>, key: K, shown: &dyn std::fmt::Display) -> Result<(), Error> {
        let Some(entry) = entry else { return Ok(()) };
        self.expected += 1;
        if !self.index.has(view, &entry, &key)? {
            self.missing.push(format!("{shown} is missing from the index {}", self.name));
        }
        Ok(())
    }

    fn finish(self, view: &View, broken: &mut Vec<String>) -> Result<(), Error> {
        broken.extend(self.missing);
        let found = self.index.page(view, &(), usize::MAX)?.len();
        if found != self.expected {
            broken.push(format!("the index {} has {found} entries for {} rows", self.name, self.expected));
        }
        Ok(())
    }
}

impl Market {
    /// What must always hold, one sentence for each thing that does not.
    fn check(&self, view: &View) -> Result<Vec<String>, Error> {
        let mut broken = Vec::new();
        let mut tasks = BTreeSet::new();
        // Open bids and unsettled leases per provider.
        let mut holds = BTreeMap::new();
        self.check_orders(view, &mut broken, &mut tasks)?;
        self.check_bids(view, &mut broken, &mut holds)?;
        self.check_leases(view, &mut broken, &mut holds)?;
        for (provider, _) in self.providers.held(view)? {
            holds.entry(provider).or_default();
        }
        for (provider, expected) in holds {
            let held = self.providers.holds(view, &provider)?;
            if held != expected {
                broken.push(format!("provider {provider} is held {held} times for {expected} open bids and unsettled leases"));
            }
        }
        self.check_queue(view, &mut broken, tasks)?;
        Ok(broken)
    }

    fn check_orders(&self, view: &View, broken: &mut Vec<String>, tasks: &mut BTreeSet<(u64, Task)>) -> Result<(), Error> {
        let mut by_state = IndexCheck::new("orders by state", &self.orders_by_state);
        let mut by_dseq = IndexCheck::new("orders by dseq", &self.orders_by_dseq);
        walk(view, &self.orders, |id, row| {
            by_state.expect(view, crate::order_state(&id, &row), id, &id)?;
            by_dseq.expect(view, crate::order_dseq(&id, &row), id, &id)?;
            tasks.extend(self.order_tasks(view, &id, &row)?);
            let open = self.open_bids.page(view, &id, usize::MAX)?.len();
            if open != row.open_bids as usize {
                broken.push(format!("order {id} counts {} open bids and has {open}", row.open_bids));
            }
            let live = row.state() != order::State::Closed;
            let group = self.deployments.group(view, &id.group)?.unwrap_or_default();
            if live && (group.state() != group::State::Open || group.last_order != id.oseq) {
                broken.push(format!("order {id} is {:?}, its group is {:?} with order {}", row.state(), group.state(), group.last_order));
            }
            let lease = self.lease_of(view, &id)?.map(|(_, lease)| lease.state());
            let fits = match row.state() {
                order::State::Open => lease.is_none(),
                order::State::Active => lease == Some(lease::State::Active),
                _ => lease != Some(lease::State::Active),
            };
            if !fits {
                broken.push(format!("order {id} is {:?} and its lease is {lease:?}", row.state()));
            }
            if live == row.closed_at.is_some() {
                broken.push(format!("order {id} is {:?} and its time of closing is {:?}", row.state(), row.closed_at));
            }
            Ok(())
        })?;
        by_state.finish(view, broken)?;
        by_dseq.finish(view, broken)
    }

    fn check_bids(&self, view: &View, broken: &mut Vec<String>, holds: &mut BTreeMap<kernel::Address, u64>) -> Result<(), Error> {
        let mut open = IndexCheck::new("open bids", &self.open_bids);
        let mut by_state = IndexCheck::new("bids by state", &self.bids_by_state);
        let mut by_dseq = IndexCheck::new("bids by dseq", &self.bids_by_dseq);
        let mut by_provider = IndexCheck::new("bids by provider", &self.bids_by_provider);
        let mut by_provider_state = IndexCheck::new("bids by provider and state", &self.bids_by_provider_state);
        let next = self.arrivals.get(view)?.map_or(1, |n| n.0);
        walk(view, &self.bids, |id, row| {
            open.expect(view, crate::rank(&id, &row), id, &id)?;
            by_state.expect(view, crate::bid_state(&id, &row), id, &id)?;
            by_dseq.expect(view, crate::dseq(&id, &row), id, &id)?;
            by_provider.expect(view, crate::provider_of(&id, &row), id, &id)?;
            by_provider_state.expect(view, crate::bid_provider_state(&id, &row), id, &id)?;
            let state = row.state();
            if state == bid::State::Open {
                *holds.entry(id.provider).or_default() += 1;
            }
            if self.orders.get(view, &id.order)?.is_none() {
                broken.push(format!("bid {id} is on no order"));
            }
            let leased = self.leases.get(view, &id)?.is_some_and(|lease| lease.state() == lease::State::Active);
            if leased != (state == bid::State::Active) {
                broken.push(format!("bid {id} is {state:?} and its lease is {}active", if leased { "" } else { "not " }));
            }
            let live = matches!(state, bid::State::Open | bid::State::Active);
            if live != self.escrow.status(view, &escrow::AccountId::Bid(id))?.is_some() {
                broken.push(format!("bid {id} is {state:?} and its deposit is {}held", if live { "not " } else { "" }));
            }
            if price(row.price.as_ref()) == 0 || row.arrival == 0 || row.arrival >= next {
                broken.push(format!("bid {id} has the price {:?} and the arrival {}", row.price, row.arrival));
            }
            Ok(())
        })?;
        open.finish(view, broken)?;
        by_state.finish(view, broken)?;
        by_dseq.finish(view, broken)?;
        by_provider.finish(view, broken)?;
        by_provider_state.finish(view, broken)
    }

    fn check_leases(&self, view: &View, broken: &mut Vec<String>, holds: &mut BTreeMap<kernel::Address, u64>) -> Result<(), Error> {
        let mut unsettled = IndexCheck::new("unsettled leases", &self.unsettled);
        let mut by_state = IndexCheck::new("leases by state", &self.leases_by_state);
        let mut by_dseq = IndexCheck::new("leases by dseq", &self.leases_by_dseq);
        let mut by_provider = IndexCheck::new("leases by provider", &self.leases_by_provider);
        let mut by_provider_state = IndexCheck::new("leases by provider and state", &self.leases_by_provider_state);
        walk(view, &self.leases, |id, row| {
            unsettled.expect(view, crate::may_report(&id, &row), id, &id)?;
            by_state.expect(view, crate::lease_state(&id, &row), id, &id)?;
            by_dseq.expect(view, crate::dseq(&id, &row), id, &id)?;
            by_provider.expect(view, crate::provider_of(&id, &row), id, &id)?;
            by_provider_state.expect(view, crate::lease_provider_state(&id, &row), id, &id)?;
            if !row.settled {
                *holds.entry(id.provider).or_default() += 1;
            }
            let active = row.state() == lease::State::Active;
            // As the rows say, which nobody may have brought up to date yet.
            let account = self.escrow.account(view, &escrow::AccountId::Deployment(id.deployment()))?;
            let open = account.is_some_and(|account| account.state == AccountState::Open);
            let payments = self.escrow.meter(view, &id)?.map_or(vec![], |meter| meter.payments);
            let running = payments.iter().filter(|p| p.state() == PaymentState::Running).count();
            if running != usize::from(active && open) {
                broken.push(format!("lease {id} is {:?} and has {running} running payments", row.state()));
            }
            if row.settled && (active || self.escrow.has_unsettled(view, &id)?) {
                broken.push(format!("lease {id} is marked as settled and can still be reported"));
            }
            if self.orders.get(view, &id.order)?.is_none() || self.bids.get(view, &id)?.is_none() {
                broken.push(format!("lease {id} has no order or no bid"));
            }
            if active == row.closed_at.is_some() || (!active && self.manifests.has(view, &id)?) {
                broken.push(format!("lease {id} is {:?} and its time of closing or its manifest says otherwise", row.state()));
            }
            Ok(())
        })?;
        walk(view, &self.manifests, |id, _| {
            if !self.leases.has(view, &id)? {
                broken.push(format!("a manifest lies on {id}, which is no lease"));
            }
            Ok(())
        })?;
        unsettled.finish(view, broken)?;
        by_state.finish(view, broken)?;
        by_dseq.finish(view, broken)?;
        by_provider.finish(view, broken)?;
        by_provider_state.finish(view, broken)
    }

    /// The queue holds what the rows say, except what is stuck, and later where something was not ready.
    fn check_queue(&self, view: &View, broken: &mut Vec<String>, expected: BTreeSet<(u64, Task)>) -> Result<(), Error> {
        let retention = self.params(view)?.closed_retention;
        let mut expected: BTreeMap<Task, u64> = expected.into_iter().map(|(at, task)| (task, at)).collect();
        for (id, row) in self.all_deployments(view)? {
            expected.extend(self.deployment_task(&id, &row, retention).map(|(at, task)| (task, at)));
            let live = row.state() == deployment::State::Active;
            if live && self.escrow.status(view, &escrow::AccountId::Deployment(id))?.is_none() {
                broken.push(format!("deployment {id} has no account"));
            }
        }
        walk(view, &self.due, |(at, task), _| {
            match expected.remove(&task) {
                Some(due) if at >= due || matches!(task, Task::CloseBids(_)) => {}
                // A message was faster; it will find nothing to do.
                None if matches!(task, Task::Prune(_) | Task::CloseBids(_)) => {}
                due => broken.push(format!("{} {task} is queued for {at}, its row says {due:?}", task.queue())),
            }
            Ok(())
        })?;
        walk(view, &self.stuck, |task, _| {
            expected.remove(&task);
            Ok(())
        })?;
        for (task, at) in expected {
            broken.push(format!("{} {task} is due at {at} and not queued", task.queue()));
        }
        Ok(())
    }
}
