//! Deployments and their groups: what tenants want to run.
//!
//! This module holds the rows and their rules. It handles no messages: whatever touches a deployment opens or closes
//! orders and leases, so `market` drives it.
//!
//! An owner's numbers count from 1. The highest ever used never leaves the state, so that an id never means two things.

mod error;
mod genesis;
mod query;
pub mod types;

pub use error::Error;
pub use types::Params;

use escrow::Escrow;
use kernel::{Address, Ctx, DeploymentId, Fault, GroupId, Index, Item, MAX_DSEQ, Namespace, Number, Table, View};
use proto::virtengine::deployment::v1 as wire;
use proto::{millis, timestamp};
use std::sync::Arc;
use types::{check_groups, check_hash};
use wire::{deployment::State, group};

pub struct Deployments {
    params: Item<wire::Params>,
    deployments: Table<DeploymentId, wire::Deployment>,
    groups: Table<GroupId, wire::Group>,
    last_dseq: Table<Address, Number>,
    by_time: Index<u64, DeploymentId>,
    by_state: Index<(u8, u64), DeploymentId>,
    by_dseq: Index<(u64, u64), DeploymentId>,
    escrow: Arc<Escrow>,
}

/// When a deployment will be closed for being idle, before and after a change of one of its groups; in ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idle {
    pub was: Option<u64>,
    pub is: Option<u64>,
}

fn created(_: &DeploymentId, row: &wire::Deployment) -> Option<u64> {
    row.created_at.as_ref().and_then(millis)
}

fn by_state(id: &DeploymentId, row: &wire::Deployment) -> Option<(u8, u64)> {
    Some((row.state as u8, created(id, row)?))
}

fn by_dseq(id: &DeploymentId, row: &wire::Deployment) -> Option<(u64, u64)> {
    Some((id.dseq, created(id, row)?))
}

impl Deployments {
    pub fn new(ns: Namespace, escrow: Arc<Escrow>) -> Self {
        let mut deployments = Table::new(&ns, 2);
        Deployments {
            params: Item::new(&ns, 1),
            by_time: deployments.index(&ns, 1, created),
            by_state: deployments.index(&ns, 2, by_state),
            by_dseq: deployments.index(&ns, 3, by_dseq),
            deployments,
            groups: Table::new(&ns, 3),
            last_dseq: Table::new(&ns, 4),
            escrow,
        }
    }

    pub fn params(&self, view: &View) -> Result<Params, Error> {
        self.params.get(view)?.as_ref().map_or_else(|| Ok(Params::default()), Params::try_from)
    }

    pub fn get(&self, view: &View, id: &DeploymentId) -> Result<Option<wire::Deployment>, Fault> {
        let row = self.deployments.get(view, id)?;
        Ok(row.map(|row| wire::Deployment { deployment_id: Some((*id).into()), ..row }))
    }

    /// The deployment, unless there is none or it is closed.
    pub fn require_active(&self, view: &View, id: &DeploymentId) -> Result<wire::Deployment, Error> {
        let row = self.get(view, id)?.ok_or(Error::NotFound(*id))?;
        if row.state() != State::Active {
            return Err(Error::Closed(*id));
        }
        Ok(row)
    }

    pub fn group(&self, view: &View, id: &GroupId) -> Result<Option<wire::Group>, Fault> {
        let row = self.groups.get(view, id)?;
        Ok(row.map(|row| wire::Group { group_id: Some((*id).into()), ..row }))
    }

    pub fn require_group(&self, view: &View, id: &GroupId) -> Result<wire::Group, Error> {
        self.group(view, id)?.ok_or(Error::GroupNotFound(*id))
    }

    /// All groups, in the order of the deployment file.
    pub fn groups(&self, view: &View, id: &DeploymentId) -> Result<Vec<(GroupId, wire::Group)>, Fault> {
        let rows = self.groups.page_under(view, id, None, usize::MAX)?; // bounded when the deployment was made
        Ok(rows.into_iter().map(|(id, row)| (id, wire::Group { group_id: Some(id.into()), ..row })).collect())
    }

    /// A new deployment with its groups open; `dseq` 0 takes the owner's next number.
    pub fn create(
        &self,
        ctx: &mut Ctx,
        owner: Address,
        dseq: u64,
        groups: Vec<wire::GroupSpec>,
        hash: Vec<u8>,
    ) -> Result<DeploymentId, Error> {
        check_hash(&hash)?;
        check_groups(&groups, &self.params(ctx)?)?;
        let last = self.last_dseq.get(ctx, &owner)?.map_or(0, |n| n.0);
        let dseq = if dseq == 0 { last + 1 } else { dseq };
        if dseq <= last || dseq >= MAX_DSEQ {
            let expected = format!("0 or {} to {}, above all that {owner} ever used", last + 1, MAX_DSEQ - 1);
            return Err(Error::invalid("dseq", expected, dseq.to_string()));
        }
        let id = DeploymentId { owner, dseq };
        let n = groups.len() as u32;
        let row = wire::Deployment {
            state: State::Active.into(),
            hash: hash.clone(),
            created_at: Some(timestamp(ctx.time())),
            groups: n,
            open_groups: n,
            ..Default::default()
        };
        self.last_dseq.save(ctx, &owner, &Number(dseq))?;
        self.deployments.replace(ctx, &id, None, Some(&row))?;
        for (gseq, spec) in (1..).zip(groups) {
            let group = wire::Group { state: group::State::Open.into(), spec: Some(spec), ..Default::default() };
            self.groups.save(ctx, &id.group(gseq), &group)?;
        }
        ctx.emit(&wire::EventDeploymentCreated { deployment_id: Some(id.into()), hash });
        Ok(id)
    }

    /// The number of the group's next order.
    pub fn next_oseq(&self, ctx: &mut Ctx, id: &GroupId) -> Result<u32, Error> {
        let mut group = self.groups.get(ctx, id)?.ok_or(Error::GroupNotFound(*id))?;
        group.last_order = group.last_order.checked_add(1).ok_or(Fault::Corrupt("order numbers of a group are used up"))?;
        self.groups.save(ctx, id, &group)?;
        Ok(group.last_order)
    }

    /// Changes a group's state. A deployment without an open group closes `retention` ms later.
    pub fn set_group_state(&self, ctx: &mut Ctx, id: &GroupId, state: group::State, retention: u64) -> Result<Idle, Error> {
        let mut group = self.groups.get(ctx, id)?.ok_or(Error::GroupNotFound(*id))?;
        let mut row = self.deployments.get(ctx, &id.deployment)?.ok_or(Error::NotFound(id.deployment))?;
        let old = row.clone();
        let was = closes_at(&row);
        if group.state() == state {
            return Ok(Idle { was, is: was });
        }
        match (group.state() == group::State::Open, state == group::State::Open) {
            (true, false) => row.open_groups = row.open_groups.checked_sub(1).ok_or(Fault::Corrupt("open_groups"))?,
            (false, true) => row.open_groups += 1,
            _ => {}
        }
        group.set_state(state);
        if row.open_groups > 0 {
            row.closes_at = None;
        } else if row.closes_at.is_none() {
            row.closes_at = Some(timestamp(ctx.time().saturating_add(retention)));
        }
        let is = closes_at(&row);
        self.groups.save(ctx, id, &group)?;
        self.deployments.replace(ctx, &id.deployment, Some(&old), Some(&row))?;
        self.announce(ctx, id, state);
        Ok(Idle { was, is })
    }

    fn announce(&self, ctx: &mut Ctx, id: &GroupId, state: group::State) {
        let group_id = Some((*id).into());
        match state {
            group::State::Open => ctx.emit(&wire::EventGroupStarted { group_id }),
            group::State::Paused => ctx.emit(&wire::EventGroupPaused { group_id }),
            group::State::Closed => ctx.emit(&wire::EventGroupClosed { group_id }),
            group::State::Unspecified | group::State::InsufficientFunds => {}
        }
    }

    /// A new manifest for an active deployment; its groups stay as they are.
    pub fn set_hash(&self, ctx: &mut Ctx, id: &DeploymentId, hash: Vec<u8>) -> Result<(), Error> {
        check_hash(&hash)?;
        let row = self.require_active(ctx, id)?;
        self.deployments.save(ctx, id, &wire::Deployment { deployment_id: None, hash: hash.clone(), ..row })?;
        ctx.emit(&wire::EventDeploymentUpdated { deployment_id: Some((*id).into()), hash });
        Ok(())
    }

    /// Closes an active deployment and its groups; their orders are the caller's. Returns when it would have closed by itself.
    pub fn close(&self, ctx: &mut Ctx, id: &DeploymentId) -> Result<Option<u64>, Error> {
        let mut row = self.require_active(ctx, id)?;
        let idle = closes_at(&row);
        for (group_id, mut group) in self.groups(ctx, id)? {
            if group.state() != group::State::Closed {
                group.set_state(group::State::Closed);
                group.group_id = None;
                self.groups.save(ctx, &group_id, &group)?;
                self.announce(ctx, &group_id, group::State::Closed);
            }
        }
        row.set_state(State::Closed);
        row.deployment_id = None;
        row.open_groups = 0;
        row.closes_at = None;
        row.closed_at = Some(timestamp(ctx.time()));
        self.deployments.save(ctx, id, &row)?;
        ctx.emit(&wire::EventDeploymentClosed { deployment_id: Some((*id).into()) });
        Ok(idle)
    }

    /// Takes a closed deployment and its groups out of the state.
    pub fn remove(&self, ctx: &mut Ctx, id: &DeploymentId) -> Result<(), Error> {
        for (group_id, _) in self.groups(ctx, id)? {
            self.groups.remove(ctx, &group_id)?;
        }
        self.deployments.remove(ctx, id)?;
        ctx.emit(&wire::EventDeploymentRemoved { deployment_id: Some((*id).into()) });
        Ok(())
    }

    /// Rows after `after`, for the walks of genesis and invariants.
    pub fn page(&self, view: &View, after: Option<&DeploymentId>, limit: usize) -> Result<Vec<(DeploymentId, wire::Deployment)>, Fault> {
        self.deployments.page(view, after, limit)
    }
}

/// When an idle deployment will be closed, in ms.
pub fn closes_at(row: &wire::Deployment) -> Option<u64> {
    row.closes_at.as_ref().and_then(millis)
}
