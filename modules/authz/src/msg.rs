//! `cosmos.authz.v1beta1.Msg`, except Exec.

use crate::types::Authorization;
use crate::{Authz, Error};
use kernel::{Address, Ctx, Moment, Text};
use proto::cosmos::authz::v1beta1::*;
use proto::{Any, Timestamp};
use std::cmp::Ordering;

fn accounts(granter: &str, grantee: &str) -> Result<(Address, Address), Error> {
    let address = |field: &str, text: &str| text.parse::<Address>().map_err(|e| Error::Address(format!("invalid {field} address: {e}")));
    let pair = (address("granter", granter)?, address("grantee", grantee)?);
    if pair.0 == pair.1 { Err(Error::SelfGrant) } else { Ok(pair) }
}

/// RFC 3339 without fractions.
fn shown(time: &Timestamp) -> String {
    proto::sortable(time).map_or_else(|| "a time outside the years 1 to 9999".into(), |text| format!("{}Z", &text[..19]))
}

impl Authz {
    pub fn grant(&self, ctx: &mut Ctx, msg: MsgGrant) -> Result<MsgGrantResponse, Error> {
        let (granter, grantee) = accounts(&msg.granter, &msg.grantee)?;
        let grant = msg.grant.unwrap_or_default();
        let authorization = self.checked(grant.authorization.as_ref())?;
        if !self.auth.ensure_user(ctx, &grantee)? {
            return Err(Error::Blocked(msg.grantee));
        }
        if let Some(time) = &grant.expiration
            && (Moment::new(time).is_none() || proto::cmp_millis(time, ctx.time()) != Ordering::Greater)
        {
            let now = shown(&proto::timestamp(ctx.time()));
            return Err(Error::Expiration(format!("expiration must be after the current block time ({now}), got {}", shown(time))));
        }
        let url = authorization.type_url().to_string();
        let row = Grant { authorization: Some(authorization.pack()), expiration: grant.expiration };
        self.grants.save(ctx, &(granter, grantee, Text(url.clone())), &row)?;
        ctx.emit(&EventGrant { msg_type_url: url, granter: msg.granter, grantee: msg.grantee });
        Ok(MsgGrantResponse {})
    }

    /// An authorization that makes sense and is for messages that there are.
    pub(crate) fn checked(&self, any: Option<&Any>) -> Result<Authorization, Error> {
        let authorization = Authorization::unpack(any.ok_or_else(|| Error::Type("authorization is nil".into()))?)?;
        authorization.validate()?;
        if !(self.is_message)(authorization.type_url()) {
            return Err(Error::Type(format!("{} doesn't exist.", authorization.type_url())));
        }
        Ok(authorization)
    }

    pub fn revoke(&self, ctx: &mut Ctx, msg: MsgRevoke) -> Result<MsgRevokeResponse, Error> {
        let (granter, grantee) = accounts(&msg.granter, &msg.grantee)?;
        if msg.msg_type_url.is_empty() {
            return Err(Error::Request("missing msg method name"));
        }
        let key = (granter, grantee, Text(msg.msg_type_url));
        if !self.grants.has(ctx, &key)? {
            let url = key.2.0;
            return Err(Error::NotFound(format!("failed to delete grant of {granter} to {grantee} for {url}")));
        }
        self.end(ctx, &key)?;
        Ok(MsgRevokeResponse {})
    }
}
