//! Answers about deployments, as of the queried block.

use crate::{Deployments, Error};
use escrow::{AccountId, Funds};
use kernel::{Address, DeploymentId, GroupId, Index, Key, Page, View};
use proto::cosmos::base::query::v1beta1::PageResponse;
use proto::virtengine::base::v1 as base;
use proto::virtengine::deployment::v1 as wire;
use wire::{deployment::State, group};

type Rows = (Vec<(DeploymentId, wire::Deployment)>, PageResponse);

impl Deployments {
    pub fn query_deployment(&self, view: &View, r: wire::QueryDeploymentRequest) -> Result<wire::QueryDeploymentResponse, kernel::Error> {
        let id = base::DeploymentId { owner: r.owner, dseq: r.dseq };
        let id = DeploymentId::try_from(&id).map_err(kernel::Error::invalid_request)?;
        let row = self.get(view, &id)?.ok_or_else(|| kernel::Error::not_found(Error::NotFound(id)))?;
        self.with_groups(view, id, row)
    }

    /// Newest first; `reverse` turns it.
    pub fn query_deployments(
        &self,
        view: &View,
        r: wire::QueryDeploymentsRequest,
    ) -> Result<wire::QueryDeploymentsResponse, kernel::Error> {
        let mut page = Page::new(r.pagination.as_ref()).map_err(kernel::Error::invalid_request)?;
        page.reverse = !page.reverse;
        let state = State::try_from(r.state)
            .map_err(|_| kernel::Error::invalid_request(format!("state: expected active or closed, got {}", r.state)))?;
        let keep = |id: &DeploymentId, row: &wire::Deployment| {
            (r.dseq == 0 || id.dseq == r.dseq) && (state == State::Unspecified || row.state() == state)
        };
        let (rows, pagination) = if !r.owner.is_empty() {
            let owner = r.owner.parse().map_err(|e| kernel::Error::invalid_request(format!("owner: {e}")))?;
            match r.dseq {
                0 => self.deployments.list(view, &owner, &page, keep)?,
                dseq => self.deployments.list(view, &DeploymentId { owner, dseq }, &page, keep)?,
            }
        } else if r.dseq != 0 {
            self.list(view, &self.by_dseq, &r.dseq, &page, keep)?
        } else if state != State::Unspecified {
            self.list(view, &self.by_state, &(state as u8), &page, keep)?
        } else {
            self.list(view, &self.by_time, &(), &page, keep)?
        };
        let deployments = rows.into_iter().map(|(id, row)| self.with_groups(view, id, row)).collect::<Result<_, _>>()?;
        Ok(wire::QueryDeploymentsResponse { deployments, pagination: Some(pagination) })
    }

    fn list<I: Key, P: Key>(
        &self,
        view: &View,
        index: &Index<I, DeploymentId>,
        part: &P,
        page: &Page,
        keep: impl Fn(&DeploymentId, &wire::Deployment) -> bool,
    ) -> Result<Rows, kernel::Error> {
        Ok(index.list(view, &self.deployments, part, page, keep)?)
    }

    fn with_groups(&self, view: &View, id: DeploymentId, row: wire::Deployment) -> Result<wire::QueryDeploymentResponse, kernel::Error> {
        let mut groups = Vec::new();
        for (group_id, group) in self.groups(view, &id)? {
            groups.push(self.shown(view, &group_id, group)?);
        }
        Ok(wire::QueryDeploymentResponse {
            deployment: Some(wire::Deployment { deployment_id: Some(id.into()), ..row }),
            groups,
            escrow_account: self.escrow.status(view, &AccountId::Deployment(id))?,
        })
    }

    /// A group as queries show it: without funds while the account behind it is depleted, paused once the grace period is
    /// over, although no block may have come to it.
    fn shown(&self, view: &View, id: &GroupId, mut group: wire::Group) -> Result<wire::Group, kernel::Error> {
        if group.state() == group::State::Open {
            match self.escrow.funds(view, &id.deployment)? {
                Funds::Enough => {}
                Funds::Depleted => group.set_state(group::State::InsufficientFunds),
                Funds::Ended(leases) if leases.iter().any(|lease| lease.order.group == *id) => group.set_state(group::State::Paused),
                Funds::Ended(_) => {}
            }
        }
        Ok(group)
    }

    pub fn query_group(&self, view: &View, r: wire::QueryGroupRequest) -> Result<wire::QueryGroupResponse, kernel::Error> {
        let id = base::GroupId { owner: r.owner, dseq: r.dseq, gseq: r.gseq };
        let id = GroupId::try_from(&id).map_err(kernel::Error::invalid_request)?;
        let group = self.group(view, &id)?.ok_or_else(|| kernel::Error::not_found(Error::GroupNotFound(id)))?;
        Ok(wire::QueryGroupResponse { group: Some(self.shown(view, &id, group)?) })
    }

    /// Groups by owner, deployment and state. There is no index of states: a filtered page looks at a bounded number of rows
    /// and says where to go on.
    pub fn query_groups(&self, view: &View, r: wire::QueryGroupsRequest) -> Result<wire::QueryGroupsResponse, kernel::Error> {
        let wrong = |e: String| kernel::Error::invalid_request(e);
        let page = Page::new(r.pagination.as_ref()).map_err(wrong)?;
        let expected = "open, paused, closed or insufficient_funds";
        let state = group::State::try_from(r.state).map_err(|_| wrong(format!("state: expected {expected}, got {}", r.state)))?;
        let keep = |id: &GroupId, row: &wire::Group| {
            state == group::State::Unspecified || self.shown(view, id, row.clone()).is_ok_and(|row| row.state() == state)
        };
        let owner = || r.owner.parse::<Address>().map_err(|e| wrong(format!("owner: {e}")));
        let (rows, pagination) = match (r.owner.is_empty(), r.dseq) {
            (true, 0) => self.groups.list(view, &(), &page, keep)?,
            (true, _) => return Err(wrong("dseq: expected together with owner".into())),
            (false, 0) => self.groups.list(view, &owner()?, &page, keep)?,
            (false, dseq) => self.groups.list(view, &DeploymentId { owner: owner()?, dseq }, &page, keep)?,
        };
        let shown = |(id, row): (GroupId, wire::Group)| self.shown(view, &id, wire::Group { group_id: Some(id.into()), ..row });
        Ok(wire::QueryGroupsResponse { groups: rows.into_iter().map(shown).collect::<Result<_, _>>()?, pagination: Some(pagination) })
    }

    pub fn query_params(&self, view: &View, _: wire::QueryParamsRequest) -> Result<wire::QueryParamsResponse, kernel::Error> {
        Ok(wire::QueryParamsResponse { params: Some(self.params(view)?.into()) })
    }
}
