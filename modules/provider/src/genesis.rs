//! The `provider` section of the genesis document.

use crate::types::check_attributes;
use crate::{Params, Providers};
use kernel::{Address, Ctx, Error, Genesis, Number, View, read_genesis, write_genesis};
use proto::virtengine::provider::v1::{Details, GenesisState};

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
        Ok(())
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
