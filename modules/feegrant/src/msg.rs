//! `cosmos.feegrant.v1beta1.Msg`.

use crate::types::Allowance;
use crate::{Error, Feegrant, announce};
use kernel::{Address, Ctx};
use proto::cosmos::feegrant::v1beta1::*;
use std::cmp::Ordering;

/// Allowances that one message prunes at most.
const PRUNED_PER_MESSAGE: usize = 75;

fn address(field: &str, text: &str) -> Result<Address, Error> {
    text.parse().map_err(|e| Error::Address(format!("{field}: {e}")))
}

impl Feegrant {
    pub fn grant(&self, ctx: &mut Ctx, msg: MsgGrantAllowance) -> Result<MsgGrantAllowanceResponse, Error> {
        let (granter, grantee) = (address("granter", &msg.granter)?, address("grantee", &msg.grantee)?);
        if granter == grantee {
            return Err(Error::Address("cannot self-grant fee authorization".into()));
        }
        if self.allowances.has(ctx, &(grantee, granter))? {
            return Err(Error::Request("fee allowance already exists"));
        }
        let allowance = Allowance::unpack(&msg.allowance.ok_or(Error::NoAllowance)?)?;
        allowance.validate()?;
        // It must exist to sign.
        if !self.auth.ensure_user(ctx, &grantee)? {
            return Err(Error::Blocked(msg.grantee));
        }
        if allowance.expires_at().is_some_and(|time| proto::cmp_millis(time, ctx.time()) == Ordering::Less) {
            return Err(Error::Request("expiration is before current block time"));
        }
        self.save(ctx, &granter, &grantee, &allowance)?;
        announce(ctx, "set_feegrant", &granter, &grantee);
        Ok(MsgGrantAllowanceResponse {})
    }

    pub fn revoke(&self, ctx: &mut Ctx, msg: MsgRevokeAllowance) -> Result<MsgRevokeAllowanceResponse, Error> {
        let (granter, grantee) = (address("granter", &msg.granter)?, address("grantee", &msg.grantee)?);
        if granter == grantee {
            return Err(Error::Address("addresses must be different".into()));
        }
        if !self.allowances.has(ctx, &(grantee, granter))? {
            return Err(Error::NotFound);
        }
        self.allowances.remove(ctx, &(grantee, granter))?;
        announce(ctx, "revoke_feegrant", &granter, &grantee);
        Ok(MsgRevokeAllowanceResponse {})
    }

    /// Anyone may remove what has expired.
    pub fn prune_allowances(&self, ctx: &mut Ctx, msg: MsgPruneAllowances) -> Result<MsgPruneAllowancesResponse, Error> {
        self.prune(ctx, PRUNED_PER_MESSAGE)?;
        ctx.emit_plain("prune_feegrant", || vec![("pruner", msg.pruner)]);
        Ok(MsgPruneAllowancesResponse {})
    }
}
