//! `virtengine tx feegrant` and `virtengine tx authz`.

use super::context::{Context, read};
use super::tx::{Built, TxFlags, address_of, coins, signer};
use super::usage::parse_time;
use anyhow::{Context as _, bail};
use clap::Subcommand;
use client::tx::any;
use proto::cosmos::authz::v1beta1::{GenericAuthorization, Grant, MsgExec, MsgGrant, MsgRevoke};
use proto::cosmos::bank::v1beta1::SendAuthorization;
use proto::cosmos::feegrant::v1beta1::*;
use proto::cosmos::tx::v1beta1::Tx;
use proto::{Duration, Timestamp};
use std::path::PathBuf;

#[derive(Subcommand)]
#[allow(clippy::large_enum_variant)] // parsed once
pub enum Feegrant {
    /// Let GRANTEE spend on fees what is GRANTER's
    Grant {
        /// A key's name or address; what --from says does not count
        granter: String,
        grantee: String,
        /// In all, like 1000uve; no limit without it
        #[arg(long)]
        spend_limit: Option<String>,
        /// RFC 3339; it does not end without it
        #[arg(long, value_name = "TIME", value_parser = time)]
        expiration: Option<Timestamp>,
        /// Seconds after which --period-limit can be spent again
        #[arg(long, requires = "period_limit")]
        period: Option<i64>,
        #[arg(long, requires = "period")]
        period_limit: Option<String>,
        /// Only for transactions of these messages, with commas
        #[arg(long, value_delimiter = ',', value_name = "TYPE_URLS")]
        allowed_messages: Vec<String>,
        #[command(flatten)]
        flags: TxFlags,
    },
    /// Take an allowance back
    Revoke {
        /// A key's name or address; what --from says does not count
        granter: String,
        grantee: String,
        #[command(flatten)]
        flags: TxFlags,
    },
    /// Remove allowances that have expired
    Prune {
        #[command(flatten)]
        flags: TxFlags,
    },
}

#[derive(Subcommand)]
#[allow(clippy::large_enum_variant)] // parsed once
pub enum Authz {
    /// Let GRANTEE act in the signer's name
    Grant {
        grantee: String,
        /// send or generic
        authorization: String,
        /// What send allows in all, like 1000uve
        #[arg(long)]
        spend_limit: Option<String>,
        /// Whom send may pay, with commas; anybody without it
        #[arg(long, value_delimiter = ',', value_name = "ADDRESSES")]
        allow_list: Vec<String>,
        /// What generic allows, like /cosmos.bank.v1beta1.MsgSend
        #[arg(long, value_name = "TYPE_URL")]
        msg_type: Option<String>,
        /// RFC 3339; it does not end without it
        #[arg(long, value_name = "TIME", value_parser = time)]
        expiration: Option<Timestamp>,
        #[command(flatten)]
        flags: TxFlags,
    },
    /// Take a grant back
    Revoke {
        grantee: String,
        /// Like /cosmos.bank.v1beta1.MsgSend
        msg_type: String,
        #[command(flatten)]
        flags: TxFlags,
    },
    /// Execute, as the grantee, the messages of a transaction that --generate-only made
    Exec {
        file: PathBuf,
        #[command(flatten)]
        flags: TxFlags,
    },
}

/// So many seconds from now.
fn after(seconds: i64) -> anyhow::Result<Timestamp> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let end = i64::try_from(now)?.checked_add(seconds).filter(|_| seconds > 0);
    Ok(Timestamp { seconds: end.context("--period: expected a number of seconds from 1")?, nanos: 0 })
}

fn time(text: &str) -> Result<Timestamp, String> {
    parse_time(text).map_err(|e| format!("{e:#}"))
}

impl Feegrant {
    pub fn build(self, context: &Context) -> anyhow::Result<Built> {
        Ok(match self {
            Feegrant::Grant { granter, grantee, spend_limit, expiration, period, period_limit, allowed_messages, flags } => {
                let from = signer(context, Some(&granter))?;
                let list = |flag: &str, text: Option<String>| text.map_or(Ok(Vec::new()), |t| coins(flag, &t));
                let basic = BasicAllowance { spend_limit: list("--spend-limit", spend_limit)?, expiration };
                let mut allowance = any(&basic);
                if let Some(seconds) = period {
                    let period_spend_limit = list("--period-limit", period_limit)?;
                    allowance = any(&PeriodicAllowance {
                        basic: Some(basic),
                        period: Some(Duration { seconds, nanos: 0 }),
                        period_can_spend: period_spend_limit.clone(),
                        period_spend_limit,
                        period_reset: Some(after(seconds)?),
                    });
                }
                if !allowed_messages.is_empty() {
                    allowance = any(&AllowedMsgAllowance { allowance: Some(allowance), allowed_messages });
                }
                let grantee = address_of(context, "grantee", &grantee)?;
                let msg = MsgGrantAllowance { granter: from.address.clone(), grantee, allowance: Some(allowance) };
                (flags, from, vec![any(&msg)])
            }
            Feegrant::Revoke { granter, grantee, flags } => {
                let from = signer(context, Some(&granter))?;
                let msg = MsgRevokeAllowance { granter: from.address.clone(), grantee: address_of(context, "grantee", &grantee)? };
                (flags, from, vec![any(&msg)])
            }
            Feegrant::Prune { flags } => {
                let from = signer(context, flags.from.as_deref())?;
                let msg = MsgPruneAllowances { pruner: from.address.clone() };
                (flags, from, vec![any(&msg)])
            }
        })
    }
}

impl Authz {
    pub fn build(self, context: &Context) -> anyhow::Result<Built> {
        Ok(match self {
            Authz::Grant { grantee, authorization, spend_limit, allow_list, msg_type, expiration, flags } => {
                let authorization = match authorization.as_str() {
                    "send" => {
                        let spend_limit = coins("--spend-limit", &spend_limit.context("--spend-limit: say how much may be sent")?)?;
                        any(&SendAuthorization { spend_limit, allow_list })
                    }
                    "generic" => any(&GenericAuthorization { msg: msg_type.context("--msg-type: say which message is allowed")? }),
                    other => bail!("authorization {other:?}: expected send or generic"),
                };
                let from = signer(context, flags.from.as_deref())?;
                let grant = Some(Grant { authorization: Some(authorization), expiration });
                let msg = MsgGrant { granter: from.address.clone(), grantee: address_of(context, "grantee", &grantee)?, grant };
                (flags, from, vec![any(&msg)])
            }
            Authz::Revoke { grantee, msg_type, flags } => {
                let from = signer(context, flags.from.as_deref())?;
                let grantee = address_of(context, "grantee", &grantee)?;
                let msg = MsgRevoke { granter: from.address.clone(), grantee, msg_type_url: msg_type };
                (flags, from, vec![any(&msg)])
            }
            Authz::Exec { file, flags } => {
                let value: serde_json::Value = serde_json::from_str(&read(&file)?).with_context(|| file.display().to_string())?;
                let tx: Tx = proto::json::from_json(&value).with_context(|| file.display().to_string())?;
                let from = signer(context, flags.from.as_deref())?;
                let msg = MsgExec { grantee: from.address.clone(), msgs: tx.body.unwrap_or_default().messages };
                (flags, from, vec![any(&msg)])
            }
        })
    }
}
