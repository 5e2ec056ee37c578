//! Fee allowances: accounts whose fees another account pays, within limits. Rows and events are those of Cosmos SDK:
//! `00 ‖ len ‖ grantee ‖ len ‖ granter` → `Grant`, and a queue by expiration.

mod error;
mod genesis;
mod msg;
mod query;
mod types;

pub use error::Error;

use auth::Auth;
use kernel::{Address, Ctx, Fault, Genesis, Index, Item, Module, Moment, Namespace, Number, Table, View};
use proto::cosmos::feegrant::v1beta1::Grant;
use std::sync::Arc;
use types::Allowance;

/// Expired allowances that the end of a block removes at most.
const PRUNED_PER_BLOCK: usize = 200;

/// Grantee and granter.
type Pair = (Address, Address);

pub struct Feegrant {
    auth: Arc<Auth>,
    allowances: Table<Pair, Grant>,
    expiry: Index<Moment, Pair>,
    by_granter: Index<Address, Pair>,
    /// The layout's version: a row that is always there, so that the store can be proved.
    version: Item<Number>,
}

fn expiry(grant: &Grant) -> Option<Moment> {
    let allowance = Allowance::unpack(grant.allowance.as_ref()?).ok()?;
    Moment::new(allowance.expires_at()?)
}

impl Feegrant {
    pub fn new(ns: Namespace, auth: Arc<Auth>) -> Self {
        let mut allowances = Table::new(&ns, 0);
        Feegrant {
            auth,
            expiry: allowances.queue(&ns, 1, |_: &Pair, grant: &Grant| expiry(grant)),
            by_granter: allowances.index(&ns, 2, |(_, granter): &Pair, _: &Grant| Some(*granter)),
            allowances,
            version: Item::new(&ns, 0xff),
        }
    }

    fn allowance(&self, view: &View, granter: &Address, grantee: &Address) -> Result<Option<Allowance>, Error> {
        let Some(grant) = self.allowances.get(view, &(*grantee, *granter))? else { return Ok(None) };
        let any = grant.allowance.ok_or(Fault::Corrupt("a grant without allowance"))?;
        Ok(Some(Allowance::unpack(&any).map_err(|_| Fault::Corrupt("allowance"))?))
    }

    fn save(&self, ctx: &mut Ctx, granter: &Address, grantee: &Address, allowance: &Allowance) -> Result<(), Fault> {
        let grant = Grant { granter: granter.to_string(), grantee: grantee.to_string(), allowance: Some(allowance.pack()) };
        self.allowances.save(ctx, &(*grantee, *granter), &grant)
    }

    /// Lets `granter` pay `fee` for a transaction of `grantee` with messages of these types; the money is not moved here.
    pub fn use_allowance(
        &self,
        ctx: &mut Ctx,
        granter: &Address,
        grantee: &Address,
        fee: &[(String, u128)],
        messages: &[&str],
    ) -> Result<(), Error> {
        let mut allowance = self.allowance(ctx, granter, grantee)?.ok_or(Error::NotFound)?;
        if allowance.accept(ctx.time(), fee, messages)? {
            self.allowances.remove(ctx, &(*grantee, *granter))?;
            announce(ctx, "revoke_feegrant", granter, grantee);
            announce(ctx, "use_feegrant", granter, grantee);
        } else {
            announce(ctx, "use_feegrant", granter, grantee);
            self.save(ctx, granter, grantee, &allowance)?;
            announce(ctx, "update_feegrant", granter, grantee);
        }
        Ok(())
    }

    /// Removes up to `limit` allowances that have expired.
    fn prune(&self, ctx: &mut Ctx, limit: usize) -> Result<(), Fault> {
        let Some(last) = Moment::before(ctx.time()) else { return Ok(()) };
        for (_, pair) in self.expiry.upto(ctx, &last, limit)? {
            self.allowances.remove(ctx, &pair)?;
        }
        Ok(())
    }
}

fn announce(ctx: &mut Ctx, kind: &'static str, granter: &Address, grantee: &Address) {
    ctx.emit_plain(kind, || vec![("granter", granter.to_string()), ("grantee", grantee.to_string())]);
}

impl Module for Feegrant {
    fn name(&self) -> &'static str {
        "feegrant"
    }

    fn init_genesis(&self, ctx: &mut Ctx, genesis: &Genesis) -> Result<(), kernel::Error> {
        Ok(self.init(ctx, kernel::read_genesis(genesis)?)?)
    }

    fn export_genesis(&self, view: &View) -> Result<Genesis, kernel::Error> {
        kernel::write_genesis(&self.export(view)?)
    }

    fn end_block(&self, ctx: &mut Ctx) -> Result<(), kernel::Error> {
        Ok(self.prune(ctx, PRUNED_PER_BLOCK)?)
    }
}
