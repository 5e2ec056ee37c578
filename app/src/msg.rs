//! Every message that a transaction may hold, its signer, and the module that handles it. Matches are exhaustive, so
//! the compiler lists what a new message still lacks.

use crate::Modules;
use kernel::{Address, Ctx, Error};
use prost::{Message, Name};
use proto::Any;
use proto::cosmos::authz::v1beta1::{MsgExec, MsgExecResponse, MsgGrant, MsgRevoke};
use proto::cosmos::bank::v1beta1::{MsgMultiSend, MsgMultiSendResponse, MsgSend, MsgSendResponse};
use proto::cosmos::feegrant::v1beta1::{MsgGrantAllowance, MsgPruneAllowances, MsgRevokeAllowance};
use proto::cosmos::staking::v1beta1::{MsgCreateValidator, MsgCreateValidatorResponse};
use proto::virtengine::{deployment::v1 as d, encryption::v1 as k, escrow::v1 as e, market::v1 as m, provider::v1 as p};

#[derive(Debug, Clone)]
pub enum Msg {
    Send(MsgSend),
    MultiSend(MsgMultiSend),
    CreateValidator(Box<MsgCreateValidator>),
    GrantAllowance(MsgGrantAllowance),
    RevokeAllowance(MsgRevokeAllowance),
    PruneAllowances(MsgPruneAllowances),
    Grant(MsgGrant),
    Revoke(MsgRevoke),
    Exec(Exec),
    CreateProvider(p::MsgCreateProvider),
    UpdateProvider(p::MsgUpdateProvider),
    SetProviderStatus(p::MsgSetProviderStatus),
    DeleteProvider(p::MsgDeleteProvider),
    SignProviderAttributes(p::MsgSignProviderAttributes),
    DeleteSignedAttributes(p::MsgDeleteSignedAttributes),
    RegisterRecipientKey(k::MsgRegisterRecipientKey),
    RotateRecipientKey(k::MsgRotateRecipientKey),
    RevokeRecipientKey(k::MsgRevokeRecipientKey),
    RelabelRecipientKey(k::MsgRelabelRecipientKey),
    CreateDeployment(d::MsgCreateDeployment),
    UpdateDeployment(d::MsgUpdateDeployment),
    CloseDeployment(d::MsgCloseDeployment),
    CloseGroup(d::MsgCloseGroup),
    PauseGroup(d::MsgPauseGroup),
    StartGroup(d::MsgStartGroup),
    CreateBid(m::MsgCreateBid),
    CloseBid(m::MsgCloseBid),
    CreateLease(m::MsgCreateLease),
    CloseLease(m::MsgCloseLease),
    StartReclaim(m::MsgStartReclaim),
    SendManifest(m::MsgSendManifest),
    Deposit(e::MsgDeposit),
    WithdrawSpare(e::MsgWithdrawSpare),
    SubmitUsage(e::MsgSubmitUsage),
}

/// MsgExec with its messages decoded.
#[derive(Debug, Clone)]
pub struct Exec {
    grantee: String,
    messages: Vec<(Any, Msg)>,
}

fn parse_error(log: impl std::fmt::Display) -> Error {
    Error::new("sdk", 2, format!("{log}: tx parse error"))
}

fn decode<M: Message + Default>(any: &Any) -> Result<M, Error> {
    M::decode(&any.value[..]).map_err(parse_error)
}

fn reply<M: Message + Name>(response: M) -> Any {
    proto::any(&response)
}

impl Msg {
    pub fn decode(any: &Any) -> Result<Msg, Error> {
        Ok(match any.type_url.as_str() {
            "/cosmos.bank.v1beta1.MsgSend" => Msg::Send(decode(any)?),
            "/cosmos.bank.v1beta1.MsgMultiSend" => Msg::MultiSend(decode(any)?),
            "/cosmos.staking.v1beta1.MsgCreateValidator" => Msg::CreateValidator(Box::new(decode(any)?)),
            "/cosmos.feegrant.v1beta1.MsgGrantAllowance" => Msg::GrantAllowance(decode(any)?),
            "/cosmos.feegrant.v1beta1.MsgRevokeAllowance" => Msg::RevokeAllowance(decode(any)?),
            "/cosmos.feegrant.v1beta1.MsgPruneAllowances" => Msg::PruneAllowances(decode(any)?),
            "/cosmos.authz.v1beta1.MsgGrant" => Msg::Grant(decode(any)?),
            "/cosmos.authz.v1beta1.MsgRevoke" => Msg::Revoke(decode(any)?),
            "/cosmos.authz.v1beta1.MsgExec" => Msg::Exec(Exec::decode(any)?),
            "/virtengine.provider.v1.MsgCreateProvider" => Msg::CreateProvider(decode(any)?),
            "/virtengine.provider.v1.MsgUpdateProvider" => Msg::UpdateProvider(decode(any)?),
            "/virtengine.provider.v1.MsgSetProviderStatus" => Msg::SetProviderStatus(decode(any)?),
            "/virtengine.provider.v1.MsgDeleteProvider" => Msg::DeleteProvider(decode(any)?),
            "/virtengine.provider.v1.MsgSignProviderAttributes" => Msg::SignProviderAttributes(decode(any)?),
            "/virtengine.provider.v1.MsgDeleteSignedAttributes" => Msg::DeleteSignedAttributes(decode(any)?),
            "/virtengine.encryption.v1.MsgRegisterRecipientKey" => Msg::RegisterRecipientKey(decode(any)?),
            "/virtengine.encryption.v1.MsgRotateRecipientKey" => Msg::RotateRecipientKey(decode(any)?),
            "/virtengine.encryption.v1.MsgRevokeRecipientKey" => Msg::RevokeRecipientKey(decode(any)?),
            "/virtengine.encryption.v1.MsgRelabelRecipientKey" => Msg::RelabelRecipientKey(decode(any)?),
            "/virtengine.deployment.v1.MsgCreateDeployment" => Msg::CreateDeployment(decode(any)?),
            "/virtengine.deployment.v1.MsgUpdateDeployment" => Msg::UpdateDeployment(decode(any)?),
            "/virtengine.deployment.v1.MsgCloseDeployment" => Msg::CloseDeployment(decode(any)?),
            "/virtengine.deployment.v1.MsgCloseGroup" => Msg::CloseGroup(decode(any)?),
            "/virtengine.deployment.v1.MsgPauseGroup" => Msg::PauseGroup(decode(any)?),
            "/virtengine.deployment.v1.MsgStartGroup" => Msg::StartGroup(decode(any)?),
            "/virtengine.market.v1.MsgCreateBid" => Msg::CreateBid(decode(any)?),
            "/virtengine.market.v1.MsgCloseBid" => Msg::CloseBid(decode(any)?),
            "/virtengine.market.v1.MsgCreateLease" => Msg::CreateLease(decode(any)?),
            "/virtengine.market.v1.MsgCloseLease" => Msg::CloseLease(decode(any)?),
            "/virtengine.market.v1.MsgStartReclaim" => Msg::StartReclaim(decode(any)?),
            "/virtengine.market.v1.MsgSendManifest" => Msg::SendManifest(decode(any)?),
            "/virtengine.escrow.v1.MsgDeposit" => Msg::Deposit(decode(any)?),
            "/virtengine.escrow.v1.MsgWithdrawSpare" => Msg::WithdrawSpare(decode(any)?),
            "/virtengine.escrow.v1.MsgSubmitUsage" => Msg::SubmitUsage(decode(any)?),
            unknown => return Err(parse_error(format_args!("unable to resolve type URL {unknown}"))),
        })
    }

    /// Who must have signed, as text in the message: MsgMultiSend and MsgCreateValidator have rules of their own.
    fn signer_text(&self) -> Result<String, Error> {
        Ok(match self {
            Msg::Send(x) => &x.from_address,
            Msg::MultiSend(x) => match &x.inputs[..] {
                [one] => &one.address,
                _ => return Err(Error::new("sdk", 18, "inputs: exactly one is expected: multiple senders not allowed")),
            },
            Msg::CreateValidator(x) => {
                return Address::from_validator(&x.validator_address)
                    .map(|a| a.to_string())
                    .map_err(|e| Error::new("sdk", 7, format!("validator_address: {e}: invalid address")));
            }
            Msg::GrantAllowance(x) => &x.granter,
            Msg::RevokeAllowance(x) => &x.granter,
            Msg::PruneAllowances(x) => &x.pruner,
            Msg::Grant(x) => &x.granter,
            Msg::Revoke(x) => &x.granter,
            Msg::Exec(x) => &x.grantee,
            Msg::CreateProvider(x) => &x.owner,
            Msg::UpdateProvider(x) => &x.owner,
            Msg::SetProviderStatus(x) => &x.owner,
            Msg::DeleteProvider(x) => &x.owner,
            Msg::SignProviderAttributes(x) => &x.auditor,
            Msg::DeleteSignedAttributes(x) => &x.auditor,
            Msg::RegisterRecipientKey(x) => &x.owner,
            Msg::RotateRecipientKey(x) => &x.owner,
            Msg::RevokeRecipientKey(x) => &x.owner,
            Msg::RelabelRecipientKey(x) => &x.owner,
            Msg::CreateDeployment(x) => &x.owner,
            Msg::UpdateDeployment(x) => &x.owner,
            Msg::CloseDeployment(x) => &x.owner,
            Msg::CloseGroup(x) => &x.owner,
            Msg::PauseGroup(x) => &x.owner,
            Msg::StartGroup(x) => &x.owner,
            Msg::CreateBid(x) => &x.signer,
            Msg::CloseBid(x) => &x.signer,
            Msg::CreateLease(x) => &x.owner,
            Msg::CloseLease(x) => &x.owner,
            Msg::StartReclaim(x) => &x.signer,
            Msg::SendManifest(x) => &x.owner,
            Msg::Deposit(x) => &x.depositor,
            Msg::WithdrawSpare(x) => &x.owner,
            Msg::SubmitUsage(x) => &x.signer,
        }
        .clone())
    }

    pub fn signer(&self) -> Result<Address, Error> {
        let text = self.signer_text()?;
        text.parse().map_err(|e| Error::new("sdk", 7, format!("signer address: {e}: invalid address")))
    }

    /// Runs the message; the answer is what goes into `TxMsgData`.
    pub fn run(self, on: &Modules, ctx: &mut Ctx) -> Result<Any, Error> {
        Ok(match self {
            Msg::Send(x) => {
                on.bank.msg_send(ctx, x)?;
                reply(MsgSendResponse {})
            }
            Msg::MultiSend(x) => {
                on.bank.msg_multi_send(ctx, x)?;
                reply(MsgMultiSendResponse {})
            }
            Msg::CreateValidator(x) => {
                on.staking.create_validator(ctx, *x)?;
                reply(MsgCreateValidatorResponse {})
            }
            Msg::GrantAllowance(x) => reply(on.feegrant.grant(ctx, x)?),
            Msg::RevokeAllowance(x) => reply(on.feegrant.revoke(ctx, x)?),
            Msg::PruneAllowances(x) => reply(on.feegrant.prune_allowances(ctx, x)?),
            Msg::Grant(x) => reply(on.authz.grant(ctx, x)?),
            Msg::Revoke(x) => reply(on.authz.revoke(ctx, x)?),
            Msg::Exec(x) => reply(x.run(on, ctx)?),
            Msg::CreateProvider(x) => reply(on.provider.create(ctx, x)?),
            Msg::UpdateProvider(x) => reply(on.provider.update(ctx, x)?),
            Msg::SetProviderStatus(x) => reply(on.provider.set_status(ctx, x)?),
            Msg::DeleteProvider(x) => reply(on.provider.delete(ctx, x)?),
            Msg::SignProviderAttributes(x) => reply(on.provider.sign_attributes(ctx, x)?),
            Msg::DeleteSignedAttributes(x) => reply(on.provider.delete_signed_attributes(ctx, x)?),
            Msg::RegisterRecipientKey(x) => reply(on.encryption.register(ctx, x)?),
            Msg::RotateRecipientKey(x) => reply(on.encryption.rotate(ctx, x)?),
            Msg::RevokeRecipientKey(x) => reply(on.encryption.revoke(ctx, x)?),
            Msg::RelabelRecipientKey(x) => reply(on.encryption.relabel(ctx, x)?),
            Msg::CreateDeployment(x) => reply(on.market.create_deployment(ctx, x)?),
            Msg::UpdateDeployment(x) => reply(on.market.update_deployment(ctx, x)?),
            Msg::CloseDeployment(x) => reply(on.market.close_deployment(ctx, x)?),
            Msg::CloseGroup(x) => reply(on.market.close_group(ctx, x)?),
            Msg::PauseGroup(x) => reply(on.market.pause_group(ctx, x)?),
            Msg::StartGroup(x) => reply(on.market.start_group(ctx, x)?),
            Msg::CreateBid(x) => reply(on.market.create_bid(ctx, x)?),
            Msg::CloseBid(x) => reply(on.market.close_bid(ctx, x)?),
            Msg::CreateLease(x) => reply(on.market.create_lease(ctx, x)?),
            Msg::CloseLease(x) => reply(on.market.close_lease(ctx, x)?),
            Msg::StartReclaim(x) => reply(on.market.start_reclaim(ctx, x)?),
            Msg::SendManifest(x) => reply(on.market.send_manifest(ctx, x)?),
            Msg::Deposit(x) => reply(on.market.deposit(ctx, x)?),
            Msg::WithdrawSpare(x) => reply(on.market.withdraw_spare(ctx, x)?),
            Msg::SubmitUsage(x) => reply(on.market.submit_usage(ctx, x)?),
        })
    }
}

impl Exec {
    fn decode(any: &Any) -> Result<Exec, Error> {
        let MsgExec { grantee, msgs } = decode(any)?;
        let messages = msgs.into_iter().map(|any| Ok((any.clone(), Msg::decode(&any)?))).collect::<Result<_, Error>>()?;
        Ok(Exec { grantee, messages })
    }

    /// Runs the messages, each granted to the grantee by its signer or the grantee's own. Its events tell which it was.
    fn run(self, on: &Modules, ctx: &mut Ctx) -> Result<MsgExecResponse, Error> {
        let grantee: Address =
            self.grantee.parse().map_err(|e| Error::new("sdk", 7, format!("invalid grantee address: {e}: invalid address")))?;
        if self.messages.is_empty() {
            return Err(Error::invalid_request("messages cannot be empty"));
        }
        let mut results = Vec::with_capacity(self.messages.len());
        for (index, (any, msg)) in self.messages.into_iter().enumerate() {
            let granter = msg.signer()?;
            if granter != grantee {
                on.authz.use_grant(ctx, &granter, &grantee, &any)?;
            }
            let before = ctx.events().len();
            let failed = |e: Error| Error { log: format!("failed to execute message; message {}: {}", any.type_url, e.log), ..e };
            results.push(msg.run(on, ctx).map_err(failed)?.value);
            ctx.mark_events(before, "authz_msg_index", &index.to_string());
        }
        Ok(MsgExecResponse { results })
    }
}

/// Whether a transaction may hold messages of this type.
pub fn is_message(type_url: &str) -> bool {
    Msg::decode(&Any { type_url: type_url.into(), value: Vec::new() }).is_ok()
}

/// The module in a type URL, as the `message` event names it: `/cosmos.bank.v1beta1.MsgSend` → `bank`.
pub fn module_of(type_url: &str) -> &str {
    type_url.trim_start_matches('/').split('.').nth(1).unwrap_or_default()
}
