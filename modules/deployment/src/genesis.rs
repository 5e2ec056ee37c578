//! The module's part of the genesis document, and its invariants.

use crate::types::{check_groups, check_hash};
use crate::{Deployments, Error, Params, closes_at};
use kernel::{Address, Ctx, DeploymentId, Genesis, GroupId, Module, Number, View, read_genesis, write_genesis};
use proto::virtengine::deployment::v1 as wire;
use wire::{deployment::State, group};

/// Rows that a walk of the whole state holds in memory at once.
const CHUNK: usize = 500;

impl Module for Deployments {
    fn name(&self) -> &'static str {
        "deployment"
    }

    fn init_genesis(&self, ctx: &mut Ctx, genesis: &Genesis) -> Result<(), kernel::Error> {
        Ok(self.load(ctx, read_genesis(genesis)?)?)
    }

    fn export_genesis(&self, view: &View) -> Result<Genesis, kernel::Error> {
        write_genesis(&self.dump(view)?)
    }

    fn broken(&self, view: &View) -> Result<Vec<String>, kernel::Error> {
        Ok(self.check(view)?)
    }
}

impl Deployments {
    fn load(&self, ctx: &mut Ctx, state: wire::GenesisState) -> Result<(), Error> {
        let params = Params::try_from(&state.params.unwrap_or_default())?;
        self.params.save(ctx, &params.into())?;
        for last in state.last_sequences {
            let owner: Address = last.owner.parse().map_err(Error::Genesis)?;
            self.last_dseq.save(ctx, &owner, &Number(last.dseq))?;
        }
        for row in state.deployments {
            let id = row.deployment_id.clone().unwrap_or_default();
            let id = DeploymentId::try_from(&id).map_err(Error::Genesis)?;
            check_hash(&row.hash)?;
            self.deployments.save(ctx, &id, &wire::Deployment { deployment_id: None, ..row })?;
        }
        for group in state.groups {
            let id = GroupId::try_from(&group.group_id.clone().unwrap_or_default()).map_err(Error::Genesis)?;
            check_groups(group.spec.as_slice(), &params)?;
            self.groups.save(ctx, &id, &wire::Group { group_id: None, ..group })?;
        }
        match self.check(ctx)?.first() {
            Some(broken) => Err(Error::Genesis(broken.clone())),
            None => Ok(()),
        }
    }

    fn dump(&self, view: &View) -> Result<wire::GenesisState, Error> {
        let mut state = wire::GenesisState { params: Some(self.params(view)?.into()), ..Default::default() };
        let mut after = None;
        loop {
            let rows = self.deployments.page(view, after.as_ref(), CHUNK)?;
            let Some((last, _)) = rows.last() else { break };
            after = Some(*last);
            for (id, row) in rows {
                state.groups.extend(self.groups(view, &id)?.into_iter().map(|(_, group)| group));
                state.deployments.push(wire::Deployment { deployment_id: Some(id.into()), ..row });
            }
        }
        let mut after = None;
        loop {
            let rows = self.last_dseq.page(view, after.as_ref(), CHUNK)?;
            let Some((last, _)) = rows.last() else { break };
            after = Some(*last);
            state.last_sequences.extend(rows.into_iter().map(|(owner, n)| wire::LastSequence { owner: owner.to_string(), dseq: n.0 }));
        }
        Ok(state)
    }

    fn check(&self, view: &View) -> Result<Vec<String>, Error> {
        let mut broken = Vec::new();
        let (mut after, mut rows_seen, mut groups_seen) = (None, 0, 0);
        loop {
            let rows = self.deployments.page(view, after.as_ref(), CHUNK)?;
            let Some((last, _)) = rows.last() else { break };
            after = Some(*last);
            for (id, row) in rows {
                rows_seen += 1;
                let groups = self.groups(view, &id)?;
                groups_seen += groups.len();
                let open = groups.iter().filter(|(_, g)| g.state() == group::State::Open).count();
                let numbered = (1..).zip(&groups).all(|(gseq, (id, _))| id.gseq == gseq);
                if groups.len() != row.groups as usize || !numbered {
                    broken.push(format!("deployment {id} says {} groups and has {}", row.groups, groups.len()));
                }
                if open != row.open_groups as usize {
                    broken.push(format!("deployment {id} says {} open groups and has {open}", row.open_groups));
                }
                let active = row.state() == State::Active;
                if (active && open == 0) != closes_at(&row).is_some() {
                    broken.push(format!("deployment {id} has {open} open groups and closes at {:?}", closes_at(&row)));
                }
                if active == row.closed_at.is_some() || (!active && groups.iter().any(|(_, g)| g.state() != group::State::Closed)) {
                    broken.push(format!("deployment {id} is {:?} and its groups or its time of closing are not", row.state()));
                }
                if self.last_dseq.get(view, &id.owner)?.is_none_or(|last| last.0 < id.dseq) {
                    broken.push(format!("deployment {id} is above its owner's highest number"));
                }
                for (index, found) in [
                    ("time", self.indexed(view, &self.by_time, crate::created(&id, &row), id)?),
                    ("state", self.indexed(view, &self.by_state, crate::by_state(&id, &row), id)?),
                    ("dseq", self.indexed(view, &self.by_dseq, crate::by_dseq(&id, &row), id)?),
                ] {
                    if !found {
                        broken.push(format!("deployment {id} is missing from the index by {index}"));
                    }
                }
            }
        }
        if self.groups.page(view, None, usize::MAX)?.len() != groups_seen {
            broken.push("there are groups without a deployment".into());
        }
        for (index, entries) in [
            ("time", self.by_time.page(view, &(), usize::MAX)?.len()),
            ("state", self.by_state.page(view, &(), usize::MAX)?.len()),
            ("dseq", self.by_dseq.page(view, &(), usize::MAX)?.len()),
        ] {
            if entries != rows_seen {
                broken.push(format!("the index by {index} has {entries} entries for {rows_seen} deployments"));
            }
        }
        Ok(broken)
    }

    fn indexed<I: kernel::Key>(
        &self,
        view: &View,
        index: &kernel::Index<I, DeploymentId>,
        key: Option<I>,
        id: DeploymentId,
    ) -> Result<bool, Error> {
        let Some(key) = key else { return Ok(false) };
        Ok(index.has(view, &key, &id)?)
    }
}
