//! The `provider` section of the genesis document.

use crate::types::check_attributes;
use crate::{Params, Providers};
use kernel::{Address, Ctx, Error, Fault, Genesis, Number, View, read_genesis, write_genesis};
use proto::virtengine::provider::v1::{Details, GenesisState, provider::Status};
use std::collections::BTreeSet;

fn bad(log: impl std::fmt::Display) -> Error {
    Error::new("genesis", 1, log.to_string())
}

impl Providers {
    pub(crate) fn init(&self, ctx: &mut Ctx, genesis: &Genesis) -> Result<(), Error> {
        let state: GenesisState = read_genesis(genesis)?;
        let params = match state.params {
            Some(params) => Params::try_from(params)?,
            None => Params::default(),
        };
        self.params.save(ctx, &params.clone().into())?;
        for (index, mut provider) in state.providers.into_iter().enumerate() {
            let named = |e: String| bad(format_args!("providers[{index}]: {e}"));
            let owner: Address = provider.owner.parse().map_err(|e| named(format!("owner: {e}")))?;
            let p = provider.clone();
            let details = Details {
                name: p.name,
                contact: p.contact,
                website: p.website,
                host_uri: p.host_uri,
                attributes: p.attributes,
                operator: p.operator,
                payout: p.payout,
                gateway_fingerprint: p.gateway_fingerprint,
            };
            self.check_details(ctx, &details, &params).map_err(|e| named(e.to_string()))?;
            if provider.holds > 0 {
                self.holds.save(ctx, &owner, &Number(std::mem::take(&mut provider.holds)))?;
            }
            self.rows.save(ctx, &owner, &provider)?;
        }
        for (index, row) in state.signed_attributes.into_iter().enumerate() {
            let named = |e: String| bad(format_args!("signed_attributes[{index}]: {e}"));
            let key = (row.provider.parse().map_err(named)?, row.auditor.parse().map_err(named)?);
            check_attributes("attributes", &row.attributes, params.max_attributes).map_err(|e| named(e.to_string()))?;
            self.signed.save(ctx, &key, &row)?;
        }
        self.check(ctx)?.first().map_or(Ok(()), |broken| Err(bad(broken)))
    }

    /// What must always hold, one sentence for each thing that does not. That holds are right is the market's to say.
    pub(crate) fn check(&self, view: &View) -> Result<Vec<String>, Fault> {
        let mut broken = Vec::new();
        let rows = self.rows.page(view, None, usize::MAX)?;
        let registered: BTreeSet<_> = rows.iter().map(|(owner, _)| *owner).collect();
        let deposits: BTreeSet<_> = self.escrow.providers(view)?.into_iter().collect();
        broken.extend(registered.difference(&deposits).map(|owner| format!("provider {owner} has no deposit in escrow")));
        broken.extend(deposits.difference(&registered).map(|owner| format!("escrow holds a deposit of {owner}, who is no provider")));
        for (owner, row) in rows {
            if !matches!(Status::try_from(row.status), Ok(Status::Active | Status::Inactive)) {
                broken.push(format!("provider {owner} has the unknown status {}", row.status));
            }
        }
        let held = self.held(view)?.into_iter().filter(|(owner, times)| *times == 0 || !registered.contains(owner));
        broken.extend(held.map(|(owner, times)| format!("{owner} is held {times} times and is no provider")));
        Ok(broken)
    }

    pub(crate) fn export(&self, view: &View) -> Result<Genesis, Error> {
        let mut providers = Vec::new();
        for (owner, mut provider) in self.rows.page(view, None, usize::MAX)? {
            provider.holds = self.holds(view, &owner)?;
            providers.push(provider);
        }
        let signed_attributes = self.signed.page(view, None, usize::MAX)?.into_iter().map(|(_, row)| row).collect();
        let state = GenesisState { params: Some(self.params(view)?.into()), providers, signed_attributes };
        write_genesis(&state)
    }
}
