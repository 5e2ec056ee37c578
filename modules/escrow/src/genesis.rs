//! Accounts and meters of the genesis document, in and out.

use crate::error::Error;
use crate::types::{Account, AccountId, Meter, Params};
use crate::{Escrow, MODULE_ACCOUNT};
use kernel::{BidId, Ctx, Fault, Key, Table, Value, View};
use proto::virtengine::escrow::v1::{self as wire, GenesisState};

impl Escrow {
    /// Takes the rows as they are, and refuses them unless every invariant holds; bank's genesis comes before.
    pub(crate) fn init(&self, ctx: &mut Ctx, state: GenesisState) -> Result<(), Error> {
        let wrong = |what: &str, e: String| Error::Invalid(format!("genesis: escrow: {what}: {e}"));
        let params = state.params.unwrap_or_default();
        let params = Params::try_from(&params).map_err(|e| wrong("params", e))?;
        self.params.save(ctx, &wire::Params::from(&params))?;
        self.auth.ensure_module(ctx, MODULE_ACCOUNT, &[])?;
        for row in &state.accounts {
            let id = row.id.as_ref().ok_or_else(|| wrong("accounts", "id: expected an account".into()))?;
            let id = AccountId::try_from(id).map_err(|e| wrong("accounts", format!("id: {e}")))?;
            let account = Account::try_from(row).map_err(|e| wrong("accounts", format!("{id}: {e}")))?;
            if self.accounts.has(ctx, &id)? {
                return Err(wrong("accounts", format!("{id} occurs twice")));
            }
            self.accounts.save(ctx, &id, &account)?;
        }
        for row in &state.meters {
            let lease = row.lease_id.as_ref().ok_or_else(|| wrong("meters", "lease_id: expected a lease".into()))?;
            let lease = BidId::try_from(lease).map_err(|e| wrong("meters", format!("lease_id: {e}")))?;
            let meter = Meter::try_from(row).map_err(|e| wrong("meters", format!("{lease}: {e}")))?;
            if self.meters.has(ctx, &lease)? {
                return Err(wrong("meters", format!("lease {lease} occurs twice")));
            }
            self.meters.save(ctx, &lease, &meter)?;
        }
        match self.violations(ctx)?.into_iter().next() {
            Some(violation) => Err(wrong("state", violation)),
            None => Ok(()),
        }
    }

    pub(crate) fn export(&self, view: &View) -> Result<GenesisState, Fault> {
        Ok(GenesisState {
            params: Some((&self.params(view)?).into()),
            accounts: all(&self.accounts, view)?.into_iter().map(|(id, a)| wire::Account { id: Some(id.into()), ..(&a).into() }).collect(),
            meters: all(&self.meters, view)?
                .into_iter()
                .map(|(lease, m)| wire::Meter { lease_id: Some(lease.into()), ..(&m).into() })
                .collect(),
        })
    }
}

/// Every row of a table, for exports and checks.
pub(crate) fn all<K: Key + 'static, V: Value + 'static>(table: &Table<K, V>, view: &View) -> Result<Vec<(K, V)>, Fault> {
    table.page(view, None, usize::MAX)
}
