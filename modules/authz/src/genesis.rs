//! Grants of the genesis document, in and out. One that has expired by then is left out, as in Cosmos SDK.

use crate::{Authz, Error};
use kernel::{Address, Ctx, Fault, Moment, Number, Text, View};
use proto::cosmos::authz::v1beta1::{GenesisState, Grant, GrantAuthorization};
use std::cmp::Ordering;

impl Authz {
    pub(crate) fn init(&self, ctx: &mut Ctx, state: GenesisState) -> Result<(), Error> {
        self.version.save(ctx, &Number(1))?;
        for (index, entry) in state.authorization.into_iter().enumerate() {
            let named = |e: String| Error::Genesis(format!("authorization[{index}]: {e}"));
            let address = |text: &str| text.parse::<Address>().map_err(named);
            let (granter, grantee) = (address(&entry.granter)?, address(&entry.grantee)?);
            let authorization = self.checked(entry.authorization.as_ref()).map_err(|e| named(e.to_string()))?;
            if let Some(time) = &entry.expiration {
                if Moment::new(time).is_none() {
                    return Err(named("expiration: expected a time in the years 1 to 9999".into()));
                }
                if proto::cmp_millis(time, ctx.time()) == Ordering::Less {
                    continue;
                }
            }
            let key = (granter, grantee, Text(authorization.type_url().to_string()));
            let row = Grant { authorization: Some(authorization.pack()), expiration: entry.expiration };
            self.grants.save(ctx, &key, &row)?;
        }
        Ok(())
    }

    pub(crate) fn export(&self, view: &View) -> Result<GenesisState, Fault> {
        let rows = self.grants.page(view, None, usize::MAX)?.into_iter();
        let entry = |((granter, grantee, _), grant): (crate::Key, Grant)| GrantAuthorization {
            granter: granter.to_string(),
            grantee: grantee.to_string(),
            authorization: grant.authorization,
            expiration: grant.expiration,
        };
        Ok(GenesisState { authorization: rows.map(entry).collect() })
    }
}
