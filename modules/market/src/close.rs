//! What closing does: always downwards, from the deployment to its groups, orders, bids and leases, and their money.

use crate::types::{Task, ms};
use crate::{Budget, Error, Market, change};
use escrow::{AccountId, Happened};
use kernel::{BidId, Ctx, DeploymentId, Fault, GroupId, OrderId};
use proto::timestamp;
use proto::virtengine::deployment::v1::{self as deployment_wire, group};
use proto::virtengine::market::v1 as wire;
use wire::{Reason, bid, lease, order};

/// Closed leases of one deployment that one look settles; the next look takes the others.
const SETTLE_AT_ONCE: usize = 100;
/// Bids read at once.
const CHUNK: usize = 50;

/// Where the deposit of a closing bid goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deposit {
    Refund,
    Forfeit,
}

impl Market {
    /// Brings a deployment's account up to date and does what follows from it.
    pub(crate) fn touch(&self, ctx: &mut Ctx, id: &DeploymentId) -> Result<(), Error> {
        for happened in self.escrow.touch(ctx, id)? {
            if let Happened::GraceOver { leases } = happened {
                for lease in leases {
                    self.end_lease(ctx, &lease, Reason::InsufficientFunds, Deposit::Refund)?;
                    self.set_group(ctx, &lease.order.group, group::State::Paused)?;
                }
            }
        }
        self.settle(ctx, id)
    }

    /// Lets go of providers whose closed leases on this deployment can report no more.
    pub(crate) fn settle(&self, ctx: &mut Ctx, id: &DeploymentId) -> Result<(), Error> {
        for lease in self.unsettled.page(ctx, id, SETTLE_AT_ONCE)? {
            if !self.escrow.has_unsettled(ctx, &lease)? {
                let row = self.lease(ctx, &lease)?;
                change(ctx, &self.leases, &lease, &row, |row| row.settled = true)?;
                self.providers.release(ctx, &lease.provider)?;
            }
        }
        Ok(())
    }

    /// Offers a group: opens its next order.
    pub(crate) fn open_order(&self, ctx: &mut Ctx, id: &GroupId, price: u64) -> Result<u32, Error> {
        let oseq = self.deployments.next_oseq(ctx, id)?;
        let id = id.order(oseq);
        let expires = ctx.time().saturating_add(self.params(ctx)?.order_ttl);
        let row = wire::Order {
            state: order::State::Open.into(),
            created_at: Some(timestamp(ctx.time())),
            expires_at: Some(timestamp(expires)),
            ..Default::default()
        };
        self.orders.replace(ctx, &id, None, Some(&row))?;
        self.schedule(ctx, expires, Task::Expire(id))?;
        ctx.emit(&wire::EventOrderCreated { order_id: Some(id.into()), price: Some(deployment::types::uve(price)) });
        Ok(oseq)
    }

    /// Changes a group's state and keeps the time at which its deployment closes for being idle.
    pub(crate) fn set_group(&self, ctx: &mut Ctx, id: &GroupId, state: group::State) -> Result<(), Error> {
        let retention = self.params(ctx)?.closed_retention;
        let idle = self.deployments.set_group_state(ctx, id, state, retention)?;
        if idle.was != idle.is {
            let task = Task::CloseIdle(id.deployment);
            if let Some(was) = idle.was {
                self.unschedule(ctx, was, task)?;
            }
            if let Some(is) = idle.is {
                self.schedule(ctx, is, task)?;
            }
        }
        Ok(())
    }

    /// Closes the deployment, which is active, and everything under it.
    pub(crate) fn end_deployment(&self, ctx: &mut Ctx, id: &DeploymentId, budget: &Budget) -> Result<(), Error> {
        for (group_id, group) in self.deployments.groups(ctx, id)? {
            self.end_offer(ctx, &group_id, &group, budget)?;
        }
        if let Some(idle) = self.deployments.close(ctx, id)? {
            self.unschedule(ctx, idle, Task::CloseIdle(*id))?;
        }
        self.escrow.close(ctx, AccountId::Deployment(*id))?;
        self.settle(ctx, id)?;
        let remove_at = ctx.time().saturating_add(self.params(ctx)?.closed_retention);
        Ok(self.schedule(ctx, remove_at, Task::RemoveDeployment(*id))?)
    }

    /// Closes what an open group has: an order with its bids, or a lease.
    pub(crate) fn end_offer(&self, ctx: &mut Ctx, id: &GroupId, group: &deployment_wire::Group, budget: &Budget) -> Result<(), Error> {
        if group.state() != group::State::Open {
            return Ok(());
        }
        let id = id.order(group.last_order);
        match self.lease_of(ctx, &id)? {
            Some((lease, _)) => self.end_lease(ctx, &lease, Reason::Owner, Deposit::Refund),
            None => self.end_open_order(ctx, &id, budget),
        }
    }

    /// Closes an order that has no lease, and its bids while `budget` lasts; the rest goes on at the end of the block.
    pub(crate) fn end_open_order(&self, ctx: &mut Ctx, id: &OrderId, budget: &Budget) -> Result<(), Error> {
        let row = self.order(ctx, id)?;
        self.unschedule(ctx, ms(row.expires_at.as_ref()), Task::Expire(*id))?;
        self.end_order(ctx, id, row)?;
        self.close_bids(ctx, id, budget)
    }

    fn end_order(&self, ctx: &mut Ctx, id: &OrderId, row: wire::Order) -> Result<(), Error> {
        let now = ctx.time();
        change(ctx, &self.orders, id, &row, |row| {
            row.set_state(order::State::Closed);
            row.closed_at = Some(timestamp(now));
        })?;
        let remove_at = ctx.time().saturating_add(self.params(ctx)?.closed_retention);
        self.schedule(ctx, remove_at, Task::RemoveOrder(*id))?;
        ctx.emit(&wire::EventOrderClosed { order_id: Some((*id).into()) });
        Ok(())
    }

    /// Closes and refunds the open bids of a closed order while `budget` lasts, one at least, so that every block gets on.
    pub(crate) fn close_bids(&self, ctx: &mut Ctx, id: &OrderId, budget: &Budget) -> Result<(), Error> {
        let mut closed = 0;
        loop {
            let open = self.open_bids.page(ctx, id, CHUNK)?;
            let done = open.is_empty();
            for bid in open {
                self.end_open_bid(ctx, &bid, bid::State::Closed)?;
                closed += 1;
                if !budget.left(ctx) {
                    break;
                }
            }
            if done || !budget.left(ctx) {
                let left = self.count_closed(ctx, id, closed)?;
                return if left == 0 { Ok(()) } else { Ok(self.schedule(ctx, ctx.time(), Task::CloseBids(*id))?) };
            }
        }
    }

    /// Takes closed bids off an order's count; returns how many are left.
    pub(crate) fn count_closed(&self, ctx: &mut Ctx, id: &OrderId, closed: u32) -> Result<u32, Error> {
        let row = self.order(ctx, id)?;
        let left = row.open_bids.checked_sub(closed).ok_or(Fault::Corrupt("an order counts fewer bids than it has"))?;
        if closed > 0 {
            change(ctx, &self.orders, id, &row, |row| row.open_bids = left)?;
        }
        Ok(left)
    }

    /// An open bid is lost or closed: its deposit goes back and its provider is free. The order's count is the caller's.
    pub(crate) fn end_open_bid(&self, ctx: &mut Ctx, id: &BidId, state: bid::State) -> Result<(), Error> {
        self.end_bid(ctx, id, state, Deposit::Refund)?;
        Ok(self.providers.release(ctx, &id.provider)?)
    }

    fn end_bid(&self, ctx: &mut Ctx, id: &BidId, state: bid::State, deposit: Deposit) -> Result<(), Error> {
        let row = self.bid(ctx, id)?;
        let now = ctx.time();
        change(ctx, &self.bids, id, &row, |row| {
            row.set_state(state);
            row.closed_at = Some(timestamp(now));
        })?;
        match deposit {
            Deposit::Refund => self.escrow.close(ctx, AccountId::Bid(*id))?,
            Deposit::Forfeit => self.escrow.forfeit(ctx, id, &id.owner())?,
        }
        let bid_id = Some((*id).into());
        match state {
            bid::State::Lost => ctx.emit(&wire::EventBidLost { bid_id }),
            _ => ctx.emit(&wire::EventBidClosed { bid_id }),
        }
        Ok(())
    }

    /// Closes an active lease with its payment, bid and order. Its group is the caller's.
    pub(crate) fn end_lease(&self, ctx: &mut Ctx, id: &BidId, reason: Reason, deposit: Deposit) -> Result<(), Error> {
        let row = self.lease(ctx, id)?;
        if row.state() != lease::State::Active {
            return Err(Error::LeaseClosed(*id));
        }
        self.escrow.close_lease(ctx, id)?;
        let (now, settled) = (ctx.time(), !self.escrow.has_unsettled(ctx, id)?);
        change(ctx, &self.leases, id, &row, |row| {
            row.set_state(lease::State::Closed);
            row.set_reason(reason);
            row.closed_at = Some(timestamp(now));
            row.settled = settled;
        })?;
        if settled {
            self.providers.release(ctx, &id.provider)?;
        }
        if row.manifest_at.is_some() {
            self.manifests.remove(ctx, id)?;
        }
        ctx.emit(&wire::EventLeaseClosed { lease_id: Some((*id).into()), reason: reason.into() });
        self.end_bid(ctx, id, bid::State::Closed, deposit)?;
        let prune_at = ms(row.created_at.as_ref()).saturating_add(self.params(ctx)?.closed_retention);
        self.unschedule(ctx, prune_at, Task::Prune(id.order))?;
        let order = self.order(ctx, &id.order)?;
        self.end_order(ctx, &id.order, order)
    }
}
