//! The end of a block: what is due, within one budget of rows written.
//!
//! Only the heads of queues are read, so a block in which nothing is due costs the same however many leases run. Each item
//! runs atomically. One that errs is set aside with an event: it is neither swallowed, nor tried for ever, nor fatal.

use crate::types::{Task, ms};
use crate::{Budget, Error, Market};
use deployment_wire::{deployment::State as DeploymentState, group};
use kernel::{Ctx, DeploymentId, Fault, OrderId};
use proto::virtengine::deployment::v1 as deployment_wire;
use proto::virtengine::market::v1 as wire;
use std::collections::BTreeSet;
use wire::{bid, order};

/// Items read from a queue at once.
const CHUNK: usize = 100;
/// When something that was not ready is looked at again: one hour, in ms.
const LATER: u64 = 3_600_000;

impl Market {
    pub(crate) fn run_due(&self, ctx: &mut Ctx) -> Result<(), Error> {
        let budget = Budget::new(ctx, self.params(ctx)?.end_block_budget.into());
        self.run_accounts(ctx, &budget)?;
        self.run_tasks(ctx, &budget)?;
        self.run_keys(ctx, &budget)
    }

    /// Recipient keys that expire.
    fn run_keys(&self, ctx: &mut Ctx, budget: &Budget) -> Result<(), Error> {
        while budget.left(ctx) {
            let due = self.encryption.due(ctx, CHUNK)?;
            if due.is_empty() {
                break;
            }
            for key in due {
                if !budget.left(ctx) {
                    break;
                }
                if let Err(error) = ctx.atomic(|ctx| self.encryption.expire(ctx, &key)) {
                    self.set_aside(ctx, Task::expire_key(&key), error.into())?;
                    self.encryption.set_aside(ctx, &key)?;
                }
            }
        }
        Ok(())
    }

    /// Escrow accounts that ran dry, whose grace is over or whose final windows have ended.
    fn run_accounts(&self, ctx: &mut Ctx, budget: &Budget) -> Result<(), Error> {
        let mut seen = BTreeSet::new();
        while budget.left(ctx) {
            let due = self.escrow.due(ctx, CHUNK)?;
            if due.is_empty() {
                break;
            }
            for id in due {
                if !budget.left(ctx) {
                    break;
                }
                let item = |ctx: &mut Ctx| match seen.insert(id) {
                    true => self.touch(ctx, &id),
                    false => Err(Error::Unfinished(format!("the account of {id} stays due"))),
                };
                if let Err(error) = ctx.atomic(item) {
                    self.set_aside(ctx, Task::Account(id), error)?;
                    self.escrow.set_aside(ctx, &id)?;
                }
            }
        }
        Ok(())
    }

    fn run_tasks(&self, ctx: &mut Ctx, budget: &Budget) -> Result<(), Error> {
        let mut chunk = 1; // most blocks find nothing due at the head
        while budget.left(ctx) {
            let now = ctx.time();
            let due = self.due.page(ctx, None, chunk)?;
            let mut none = true;
            for ((at, task), _) in due {
                if at > now || !budget.left(ctx) {
                    break;
                }
                none = false;
                self.unschedule(ctx, at, task)?;
                if let Err(error) = ctx.atomic(|ctx| self.run(ctx, task, budget)) {
                    self.set_aside(ctx, task, error)?;
                }
            }
            if none {
                break;
            }
            chunk = CHUNK;
        }
        Ok(())
    }

    /// Moves an item that cannot be handled to the stuck ones. A failing disk is nobody's fault: that one is fatal.
    fn set_aside(&self, ctx: &mut Ctx, task: Task, error: Error) -> Result<(), Error> {
        if matches!(error, Error::Store(Fault::Io(_))) {
            return Err(error);
        }
        let row = wire::StuckItem { queue: task.queue().into(), item: task.to_string(), error: error.to_string() };
        self.stuck.save(ctx, &task, &row)?;
        ctx.emit(&wire::EventItemStuck { queue: row.queue, item: row.item, error: row.error });
        Ok(())
    }

    fn run(&self, ctx: &mut Ctx, task: Task, budget: &Budget) -> Result<(), Error> {
        match task {
            Task::CloseBids(id) if !self.orders.has(ctx, &id)? => Ok(()),
            Task::CloseBids(id) => self.close_bids(ctx, &id, budget),
            Task::Expire(id) => {
                self.end_open_order(ctx, &id, budget)?;
                self.set_group(ctx, &id.group, group::State::Paused)
            }
            Task::Prune(id) => self.prune(ctx, &id, budget),
            Task::RemoveOrder(id) => self.remove_order(ctx, &id, budget),
            Task::CloseIdle(id) => {
                self.touch(ctx, &id)?;
                self.end_deployment(ctx, &id, budget)
            }
            Task::RemoveDeployment(id) => self.remove_deployment(ctx, &id),
            Task::Account(id) => self.touch(ctx, &id),
            // Encryption keeps that queue.
            Task::ExpireKey(..) => Ok(()),
        }
    }

    /// Takes bids that are over out of the state, one at least; false when the budget ended first.
    fn remove_bids(&self, ctx: &mut Ctx, id: &OrderId, budget: &Budget) -> Result<bool, Error> {
        let mut after = None;
        loop {
            let rows = self.bids.page_under(ctx, id, after.as_ref(), CHUNK)?;
            let Some((last, _)) = rows.last() else { return Ok(true) };
            after = Some(*last);
            for (id, row) in rows {
                if matches!(row.state(), bid::State::Lost | bid::State::Closed) {
                    self.bids.replace(ctx, &id, Some(&row), None)?;
                    if !budget.left(ctx) {
                        return Ok(false);
                    }
                }
            }
        }
    }

    fn prune(&self, ctx: &mut Ctx, id: &OrderId, budget: &Budget) -> Result<(), Error> {
        // An order that has closed since goes as a whole.
        let active = self.orders.get(ctx, id)?.is_some_and(|row| row.state() == order::State::Active);
        if active && !self.remove_bids(ctx, id, budget)? {
            self.schedule(ctx, ctx.time(), Task::Prune(*id))?;
        }
        Ok(())
    }

    fn remove_order(&self, ctx: &mut Ctx, id: &OrderId, budget: &Budget) -> Result<(), Error> {
        if self.order(ctx, id)?.open_bids > 0 {
            // So much was due that its bids were not all closed before now.
            self.close_bids(ctx, id, budget)?;
            return Ok(self.schedule(ctx, ctx.time(), Task::RemoveOrder(*id))?);
        }
        if let Some((lease, _)) = self.lease_of(ctx, id)? {
            self.settle(ctx, &id.group.deployment)?;
            if !self.lease(ctx, &lease)?.settled {
                return Ok(self.schedule(ctx, ctx.time().saturating_add(LATER), Task::RemoveOrder(*id))?);
            }
            self.escrow.remove_lease(ctx, &lease)?;
            self.leases.remove(ctx, &lease)?;
        }
        if !self.remove_bids(ctx, id, budget)? {
            return Ok(self.schedule(ctx, ctx.time(), Task::RemoveOrder(*id))?);
        }
        self.orders.remove(ctx, id)?;
        ctx.emit(&wire::EventOrderRemoved { order_id: Some((*id).into()) });
        Ok(())
    }

    fn remove_deployment(&self, ctx: &mut Ctx, id: &DeploymentId) -> Result<(), Error> {
        let orders_left = !self.orders.page_under(ctx, id, None, 1)?.is_empty();
        if orders_left || !self.escrow.is_settled(ctx, id)? {
            return Ok(self.schedule(ctx, ctx.time().saturating_add(LATER), Task::RemoveDeployment(*id))?);
        }
        self.escrow.remove(ctx, id)?;
        Ok(self.deployments.remove(ctx, id)?)
    }

    /// What the queues must hold according to the rows; genesis builds them from it and invariants compare.
    pub(crate) fn order_tasks(&self, ctx: &kernel::View, id: &OrderId, row: &wire::Order) -> Result<Vec<(u64, Task)>, Error> {
        let retention = self.params(ctx)?.closed_retention;
        let mut tasks = Vec::new();
        match row.state() {
            order::State::Open => tasks.push((ms(row.expires_at.as_ref()), Task::Expire(*id))),
            order::State::Active => {
                let others = self.bids.page_under(ctx, id, None, 2)?.len() > 1;
                if let Some((_, lease)) = self.lease_of(ctx, id)?.filter(|_| others) {
                    tasks.push((ms(lease.created_at.as_ref()).saturating_add(retention), Task::Prune(*id)));
                }
            }
            order::State::Closed => {
                let closed = ms(row.closed_at.as_ref());
                tasks.push((closed.saturating_add(retention), Task::RemoveOrder(*id)));
                if row.open_bids > 0 {
                    tasks.push((ctx.time(), Task::CloseBids(*id)));
                }
            }
            order::State::Unspecified => {}
        }
        Ok(tasks)
    }

    pub(crate) fn deployment_task(&self, id: &DeploymentId, row: &deployment_wire::Deployment, retention: u64) -> Option<(u64, Task)> {
        match row.state() {
            DeploymentState::Closed => Some((ms(row.closed_at.as_ref()).saturating_add(retention), Task::RemoveDeployment(*id))),
            _ => deployment::closes_at(row).map(|at| (at, Task::CloseIdle(*id))),
        }
    }
}
