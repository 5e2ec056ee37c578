//! Orders, bids and leases: how a tenant's groups find providers.
//!
//! The market handles every message that touches a deployment, an order, a lease or the account behind them, whatever its
//! proto package, and owns the end of the block: what is due in escrow, orders that expire, closed objects that leave.
//!
//! Choices where the design is silent:
//! * A provider bids once on an order: a closed or lost bid is not made again.
//! * A displaced bid is `lost`. Bids on an order that closes without a lease are `closed`.
//! * An order that has expired takes no bids and makes no lease, also before the end of a block has closed it.
//! * Where a group asks for reclamation notice, a provider that leaves keeps its deposit only after both the notice and
//!   `min_lease_time`. `manifest_timeout` is refused as a reason when it is not true.
//! * Starting a group asks for the runway at the group's highest price; creating a deployment and offering a group again do not.
//! * A provider's hold lasts from its bid until the lease has no payment that may still report.

mod close;
mod due;
mod error;
mod genesis;
mod msg;
mod query;
pub mod types;

pub use error::Error;
pub use types::{Params, Task};

use deployment::Deployments;
use encryption::Encryption;
use escrow::Escrow;
use kernel::{Address, BidId, Ctx, DeploymentId, Fault, Index, Item, Key, Namespace, Number, OrderId, Table, Tail, Value, View};
use proto::virtengine::encryption::v1::Envelope;
use proto::virtengine::market::v1 as wire;
use provider::Providers;
use std::sync::Arc;
use types::price;
use wire::{bid, lease};

/// Of an order, its open bids by price and arrival.
type Rank = (OrderId, u64, u64);

pub struct Market {
    params: Item<wire::Params>,
    arrivals: Item<Number>,
    /// Rows of this and the next two tables do not repeat their ids; an order's spec is its group's.
    orders: Table<OrderId, wire::Order>,
    orders_by_state: Index<u8, OrderId>,
    orders_by_dseq: Index<u64, OrderId>,
    bids: Table<BidId, wire::Bid>,
    open_bids: Index<Rank, BidId>,
    bids_by_state: Index<u8, BidId>,
    bids_by_dseq: Index<u64, BidId>,
    bids_by_provider: Index<Address, BidId>,
    bids_by_provider_state: Index<(Address, u8), BidId>,
    leases: Table<BidId, wire::Lease>,
    /// Closed leases that may still report, by deployment: their providers are held.
    unsettled: Index<DeploymentId, BidId>,
    leases_by_state: Index<u8, BidId>,
    leases_by_dseq: Index<u64, BidId>,
    leases_by_provider: Index<Address, BidId>,
    leases_by_provider_state: Index<(Address, u8), BidId>,
    manifests: Table<BidId, Envelope>,
    /// What the end of a block looks at, by the time in ms from which on it does.
    due: Table<(u64, Task), Number>,
    stuck: Table<Task, wire::StuckItem>,
    deployments: Arc<Deployments>,
    providers: Arc<Providers>,
    escrow: Arc<Escrow>,
    encryption: Arc<Encryption>,
}

fn rank(id: &BidId, row: &wire::Bid) -> Option<Rank> {
    (row.state() == bid::State::Open).then(|| (id.order, price(row.price.as_ref()), row.arrival))
}

fn may_report(id: &BidId, row: &wire::Lease) -> Option<DeploymentId> {
    (row.state() == lease::State::Closed && !row.settled).then(|| id.deployment())
}

fn order_state(_: &OrderId, row: &wire::Order) -> Option<u8> {
    u8::try_from(row.state).ok()
}

fn order_dseq(id: &OrderId, _: &wire::Order) -> Option<u64> {
    Some(id.group.deployment.dseq)
}

fn bid_state(_: &BidId, row: &wire::Bid) -> Option<u8> {
    u8::try_from(row.state).ok()
}

fn lease_state(_: &BidId, row: &wire::Lease) -> Option<u8> {
    u8::try_from(row.state).ok()
}

fn dseq<V>(id: &BidId, _: &V) -> Option<u64> {
    Some(id.deployment().dseq)
}

fn provider_of<V>(id: &BidId, _: &V) -> Option<Address> {
    Some(id.provider)
}

/// An index key that names the provider leaves the order to be said.
fn of_provider() -> Tail<Address, BidId> {
    Tail { put: |id, out| id.order.put(out), take: |provider, b| Some(OrderId::take(b)?.bid(*provider)) }
}

fn of_provider_state() -> Tail<(Address, u8), BidId> {
    Tail { put: |id, out| id.order.put(out), take: |(provider, _), b| Some(OrderId::take(b)?.bid(*provider)) }
}

fn bid_provider_state(id: &BidId, row: &wire::Bid) -> Option<(Address, u8)> {
    Some((id.provider, bid_state(id, row)?))
}

fn lease_provider_state(id: &BidId, row: &wire::Lease) -> Option<(Address, u8)> {
    Some((id.provider, lease_state(id, row)?))
}

impl Market {
    pub fn new(
        ns: Namespace,
        deployments: Arc<Deployments>,
        providers: Arc<Providers>,
        escrow: Arc<Escrow>,
        encryption: Arc<Encryption>,
    ) -> Self {
        let (mut orders, mut bids, mut leases) = (Table::new(&ns, 3), Table::new(&ns, 4), Table::new(&ns, 5));
        Market {
            params: Item::new(&ns, 1),
            arrivals: Item::new(&ns, 2),
            orders_by_state: orders.index(&ns, 1, order_state),
            orders_by_dseq: orders.index(&ns, 2, order_dseq),
            orders,
            open_bids: bids.queue(&ns, 6, rank),
            bids_by_state: bids.index(&ns, 3, bid_state),
            bids_by_dseq: bids.index(&ns, 4, dseq),
            bids_by_provider: bids.index_with(&ns, 5, provider_of, of_provider()),
            bids_by_provider_state: bids.index_with(&ns, 6, bid_provider_state, of_provider_state()),
            bids,
            unsettled: leases.queue(&ns, 7, may_report),
            leases_by_state: leases.index(&ns, 7, lease_state),
            leases_by_dseq: leases.index(&ns, 8, dseq),
            leases_by_provider: leases.index_with(&ns, 9, provider_of, of_provider()),
            leases_by_provider_state: leases.index_with(&ns, 10, lease_provider_state, of_provider_state()),
            leases,
            manifests: Table::new(&ns, 8),
            due: Table::new(&ns, 9),
            stuck: Table::new(&ns, 10),
            deployments,
            providers,
            escrow,
            encryption,
        }
    }

    pub fn params(&self, view: &View) -> Result<Params, Error> {
        self.params.get(view)?.as_ref().map_or_else(|| Ok(Params::default()), Params::try_from)
    }

    fn order(&self, view: &View, id: &OrderId) -> Result<wire::Order, Error> {
        self.orders.get(view, id)?.ok_or(Error::OrderNotFound(*id))
    }

    fn bid(&self, view: &View, id: &BidId) -> Result<wire::Bid, Error> {
        self.bids.get(view, id)?.ok_or(Error::BidNotFound(*id))
    }

    fn lease(&self, view: &View, id: &BidId) -> Result<wire::Lease, Error> {
        self.leases.get(view, id)?.ok_or(Error::LeaseNotFound(*id))
    }

    /// The lease that an order led to: at most one.
    fn lease_of(&self, view: &View, id: &OrderId) -> Result<Option<(BidId, wire::Lease)>, Fault> {
        Ok(self.leases.page_under(view, id, None, 1)?.pop())
    }

    fn schedule(&self, ctx: &mut Ctx, at: u64, task: Task) -> Result<(), Fault> {
        self.due.save(ctx, &(at, task), &Number(1))
    }

    fn unschedule(&self, ctx: &mut Ctx, at: u64, task: Task) -> Result<(), Fault> {
        self.due.remove(ctx, &(at, task))
    }
}

/// Rows that may be written before the rest is left to the end of this or the next block.
#[derive(Debug, Clone, Copy)]
struct Budget {
    until: u64,
}

impl Budget {
    fn new(ctx: &Ctx, rows: u64) -> Self {
        Budget { until: ctx.rows_written().saturating_add(rows) }
    }

    fn left(&self, ctx: &Ctx) -> bool {
        ctx.rows_written() < self.until
    }
}

/// Saves a change to a row that is at hand, and returns it as it is now.
fn change<K: Key + 'static, V: Value + Clone + 'static>(
    ctx: &mut Ctx,
    table: &Table<K, V>,
    id: &K,
    old: &V,
    f: impl FnOnce(&mut V),
) -> Result<V, Fault> {
    let mut new = old.clone();
    f(&mut new);
    table.replace(ctx, id, Some(old), Some(&new))?;
    Ok(new)
}
