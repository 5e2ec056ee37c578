//! Grants to act for another account. Rows and events are those of Cosmos SDK:
//! `01 ‖ len ‖ granter ‖ len ‖ grantee ‖ type URL` → `Grant`, and a queue by expiration. Who executes a granted message is
//! the application, which knows all messages.

mod error;
mod genesis;
mod msg;
mod query;
mod types;

pub use error::Error;

use auth::Auth;
use kernel::{Address, Ctx, Fault, Genesis, Index, Item, Module, Moment, Namespace, Number, Table, Text, View};
use proto::Any;
use proto::cosmos::authz::v1beta1::{EventRevoke, Grant};
use std::cmp::Ordering;
use std::sync::Arc;
use types::{Authorization, Used};

/// Expired grants that the begin of a block removes at most.
const PRUNED_PER_BLOCK: usize = 200;

/// Granter, grantee and the type of message.
type Key = (Address, Address, Text);

pub struct Authz {
    auth: Arc<Auth>,
    /// Whether the chain has messages of a type.
    is_message: fn(&str) -> bool,
    grants: Table<Key, Grant>,
    expiry: Index<Moment, Key>,
    by_grantee: Index<Address, Key>,
    /// The layout's version: a row that is always there, so that the store can be proved.
    version: Item<Number>,
}

impl Authz {
    pub fn new(ns: Namespace, auth: Arc<Auth>, is_message: fn(&str) -> bool) -> Self {
        let mut grants = Table::new(&ns, 1);
        Authz {
            auth,
            is_message,
            expiry: grants.queue(&ns, 2, |_: &Key, grant: &Grant| Moment::new(grant.expiration.as_ref()?)),
            by_grantee: grants.index(&ns, 3, |(_, grantee, _): &Key, _: &Grant| Some(*grantee)),
            grants,
            version: Item::new(&ns, 0xff),
        }
    }

    /// Uses the grant by which `grantee` may execute this message of `granter`'s. On an error nothing has changed.
    pub fn use_grant(&self, ctx: &mut Ctx, granter: &Address, grantee: &Address, message: &Any) -> Result<(), Error> {
        let key = (*granter, *grantee, Text(message.type_url.clone()));
        let mut grant = self.grants.get(ctx, &key)?.ok_or_else(|| {
            let url = &message.type_url;
            Error::NotFound(format!("failed to get grant with given granter: {granter}, grantee: {grantee} & msgType: {url} "))
        })?;
        if grant.expiration.as_ref().is_some_and(|time| proto::cmp_millis(time, ctx.time()) == Ordering::Less) {
            return Err(Error::Expired);
        }
        let authorization = grant.authorization.as_ref().ok_or(Fault::Corrupt("a grant without authorization"))?;
        match Authorization::unpack(authorization)?.accept(message)? {
            Used::Stays => {}
            Used::Changes(authorization) => {
                grant.authorization = Some(authorization.pack());
                self.grants.save(ctx, &key, &grant)?;
            }
            Used::Ends => self.end(ctx, &key)?,
        }
        Ok(())
    }

    fn end(&self, ctx: &mut Ctx, key: &Key) -> Result<(), Fault> {
        self.grants.remove(ctx, key)?;
        ctx.emit(&EventRevoke { msg_type_url: key.2.0.clone(), granter: key.0.to_string(), grantee: key.1.to_string() });
        Ok(())
    }
}

impl Module for Authz {
    fn name(&self) -> &'static str {
        "authz"
    }

    fn init_genesis(&self, ctx: &mut Ctx, genesis: &Genesis) -> Result<(), kernel::Error> {
        Ok(self.init(ctx, kernel::read_genesis(genesis)?)?)
    }

    fn export_genesis(&self, view: &View) -> Result<Genesis, kernel::Error> {
        kernel::write_genesis(&self.export(view)?)
    }

    fn begin_block(&self, ctx: &mut Ctx) -> Result<(), kernel::Error> {
        let Some(last) = Moment::before(ctx.time()) else { return Ok(()) };
        for (_, key) in self.expiry.upto(ctx, &last, PRUNED_PER_BLOCK)? {
            self.grants.remove(ctx, &key)?;
        }
        Ok(())
    }
}
