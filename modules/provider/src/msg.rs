//! One function per message.

use crate::types::{address, check_attributes, uve};
use crate::{Error, Providers};
use escrow::AccountId;
use kernel::{Ctx, DENOM};
use proto::cosmos::base::v1beta1::Coin;
use proto::virtengine::provider::v1::*;

impl Providers {
    /// Registers the signer; the deposit is held by escrow until it deletes itself.
    pub fn create(&self, ctx: &mut Ctx, msg: MsgCreateProvider) -> Result<MsgCreateProviderResponse, Error> {
        let owner = address("owner", &msg.owner)?;
        if self.get(ctx, &owner)?.is_some() {
            return Err(Error::Exists(owner));
        }
        let params = self.params(ctx)?;
        let details = msg.details.unwrap_or_default();
        self.check_details(ctx, &details, &params)?;
        let deposit = uve("deposit", msg.deposit.as_ref())?;
        if deposit < params.min_deposit {
            return Err(Error::invalid("deposit", format!("expected at least {}{DENOM}, got {deposit}{DENOM}", params.min_deposit)));
        }
        let mut provider = Provider {
            owner: msg.owner,
            status: provider::Status::Active as i32,
            registered_at: Some(proto::timestamp(ctx.time())),
            deposit: Some(Coin { denom: DENOM.into(), amount: deposit.to_string() }),
            ..Provider::default()
        };
        fill(&mut provider, details);
        if provider.attributes.is_empty() {
            provider.attributes = params.default_attributes;
        }
        self.escrow.open(ctx, AccountId::Provider(owner), &owner, &owner, deposit)?;
        self.rows.save(ctx, &owner, &provider)?;
        ctx.emit(&EventProviderCreated { owner: provider.owner, name: provider.name });
        Ok(MsgCreateProviderResponse {})
    }

    /// Replaces the provider's details.
    pub fn update(&self, ctx: &mut Ctx, msg: MsgUpdateProvider) -> Result<MsgUpdateProviderResponse, Error> {
        let owner = address("owner", &msg.owner)?;
        let mut provider = self.require(ctx, &owner)?;
        let details = msg.details.unwrap_or_default();
        self.check_details(ctx, &details, &self.params(ctx)?)?;
        fill(&mut provider, details);
        self.rows.save(ctx, &owner, &provider)?;
        ctx.emit(&EventProviderUpdated { owner: msg.owner });
        Ok(MsgUpdateProviderResponse {})
    }

    /// An INACTIVE provider keeps its leases and makes no bids.
    pub fn set_status(&self, ctx: &mut Ctx, msg: MsgSetProviderStatus) -> Result<MsgSetProviderStatusResponse, Error> {
        let owner = address("owner", &msg.owner)?;
        let mut provider = self.require(ctx, &owner)?;
        if !matches!(msg.status(), provider::Status::Active | provider::Status::Inactive) {
            return Err(Error::invalid("status", format!("expected ACTIVE (1) or INACTIVE (2), got {}", msg.status)));
        }
        provider.status = msg.status;
        self.rows.save(ctx, &owner, &provider)?;
        ctx.emit(&EventProviderStatusSet { owner: msg.owner, status: msg.status });
        Ok(MsgSetProviderStatusResponse {})
    }

    /// Returns the deposit; refused while anything is unsettled.
    pub fn delete(&self, ctx: &mut Ctx, msg: MsgDeleteProvider) -> Result<MsgDeleteProviderResponse, Error> {
        let owner = address("owner", &msg.owner)?;
        self.require(ctx, &owner)?;
        let holds = self.holds(ctx, &owner)?;
        if holds > 0 {
            return Err(Error::Held(owner, holds));
        }
        // Bounded by max_auditors.
        for (key, _) in self.signed.page_under(ctx, &owner, None, usize::MAX)? {
            self.signed.remove(ctx, &key)?;
        }
        self.rows.remove(ctx, &owner)?;
        self.escrow.close(ctx, AccountId::Provider(owner))?;
        ctx.emit(&EventProviderDeleted { owner: msg.owner });
        Ok(MsgDeleteProviderResponse {})
    }

    /// The auditor vouches for these attributes, in place of what it vouched for before.
    pub fn sign_attributes(&self, ctx: &mut Ctx, msg: MsgSignProviderAttributes) -> Result<MsgSignProviderAttributesResponse, Error> {
        let auditor = address("auditor", &msg.auditor)?;
        let provider = address("provider", &msg.provider)?;
        self.require(ctx, &provider)?;
        let params = self.params(ctx)?;
        check_attributes("attributes", &msg.attributes, params.max_attributes)?;
        if msg.attributes.is_empty() {
            return Err(Error::invalid("attributes", "expected at least one, got none"));
        }
        let known = self.signed.has(ctx, &(provider, auditor))?;
        let auditors = self.signed.page_under(ctx, &provider, None, params.max_auditors as usize)?.len();
        if !known && auditors >= params.max_auditors as usize {
            return Err(Error::TooManyAuditors { provider, limit: params.max_auditors });
        }
        let row = SignedAttributes { provider: msg.provider.clone(), auditor: msg.auditor.clone(), attributes: msg.attributes };
        self.signed.save(ctx, &(provider, auditor), &row)?;
        ctx.emit(&EventProviderAttributesSigned { provider: msg.provider, auditor: msg.auditor });
        Ok(MsgSignProviderAttributesResponse {})
    }

    pub fn delete_signed_attributes(
        &self,
        ctx: &mut Ctx,
        msg: MsgDeleteSignedAttributes,
    ) -> Result<MsgDeleteSignedAttributesResponse, Error> {
        let auditor = address("auditor", &msg.auditor)?;
        let provider = address("provider", &msg.provider)?;
        if !self.signed.has(ctx, &(provider, auditor))? {
            return Err(Error::NotSigned { provider, auditor });
        }
        self.signed.remove(ctx, &(provider, auditor))?;
        ctx.emit(&EventProviderAttributesUnsigned { provider: msg.provider, auditor: msg.auditor });
        Ok(MsgDeleteSignedAttributesResponse {})
    }
}

fn fill(provider: &mut Provider, d: Details) {
    provider.name = d.name;
    provider.contact = d.contact;
    provider.website = d.website;
    provider.host_uri = d.host_uri;
    provider.attributes = d.attributes;
    provider.operator = d.operator;
    provider.payout = d.payout;
    provider.gateway_fingerprint = d.gateway_fingerprint;
}
