//! Allowances of the genesis document, in and out.

use crate::types::Allowance;
use crate::{Error, Feegrant};
use kernel::{Address, Ctx, Fault, Number, View};
use proto::cosmos::feegrant::v1beta1::GenesisState;

impl Feegrant {
    pub(crate) fn init(&self, ctx: &mut Ctx, state: GenesisState) -> Result<(), Error> {
        self.version.save(ctx, &Number(1))?;
        for (index, grant) in state.allowances.into_iter().enumerate() {
            let named = |e: String| Error::Genesis(format!("allowances[{index}]: {e}"));
            let address = |text: &str| text.parse::<Address>().map_err(named);
            let (granter, grantee) = (address(&grant.granter)?, address(&grant.grantee)?);
            let allowance = grant.allowance.ok_or_else(|| named("allowance: missing".into()))?;
            let allowance = Allowance::unpack(&allowance).map_err(|e| named(e.to_string()))?;
            allowance.validate().map_err(|e| named(e.to_string()))?;
            if granter == grantee || self.allowances.has(ctx, &(grantee, granter))? {
                return Err(named("expected two accounts and one allowance between them".into()));
            }
            self.save(ctx, &granter, &grantee, &allowance)?;
        }
        Ok(())
    }

    pub(crate) fn export(&self, view: &View) -> Result<GenesisState, Fault> {
        let rows = self.allowances.page(view, None, usize::MAX)?;
        Ok(GenesisState { allowances: rows.into_iter().map(|(_, grant)| grant).collect() })
    }
}
