//! The authorizations and what each allows.

use crate::Error;
use bank::parse_coins;
use bank::types::minus;
use prost::Message;
use proto::cosmos::authz::v1beta1::GenericAuthorization;
use proto::cosmos::bank::v1beta1::{MsgSend, SendAuthorization};
use proto::{Any, any};
use std::collections::BTreeSet;

const SEND: &str = "/cosmos.bank.v1beta1.MsgSend";

/// What a grantee may do in the granter's name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Authorization {
    /// Any message of one type.
    Generic(GenericAuthorization),
    /// Sends up to a limit, to some receivers only where they are listed.
    Send(SendAuthorization),
}

/// What becomes of a grant that was used.
#[derive(Debug, PartialEq)]
pub(crate) enum Used {
    Stays,
    Changes(Authorization),
    Ends,
}

impl Authorization {
    pub fn unpack(any: &Any) -> Result<Self, Error> {
        let malformed = |e: prost::DecodeError| Error::Type(format!("authorization: {e}"));
        match any.type_url.as_str() {
            "/cosmos.authz.v1beta1.GenericAuthorization" => {
                GenericAuthorization::decode(any.value.as_slice()).map(Authorization::Generic).map_err(malformed)
            }
            "/cosmos.bank.v1beta1.SendAuthorization" => {
                SendAuthorization::decode(any.value.as_slice()).map(Authorization::Send).map_err(malformed)
            }
            "/cosmos.staking.v1beta1.StakeAuthorization" => {
                Err(Error::Unsupported("StakeAuthorization: no message of this chain delegates yet"))
            }
            other => Err(Error::Type(format!("authorization: expected a GenericAuthorization or SendAuthorization, got {other:?}"))),
        }
    }

    pub fn pack(&self) -> Any {
        match self {
            Authorization::Generic(a) => any(a),
            Authorization::Send(a) => any(a),
        }
    }

    /// The type of message that it allows.
    pub fn type_url(&self) -> &str {
        match self {
            Authorization::Generic(a) => &a.msg,
            Authorization::Send(_) => SEND,
        }
    }

    pub fn validate(&self) -> Result<(), Error> {
        match self {
            Authorization::Generic(a) if a.msg.is_empty() => Err(Error::Request("msg type cannot be empty")),
            Authorization::Generic(_) => Ok(()),
            Authorization::Send(a) => {
                if a.spend_limit.is_empty() {
                    return Err(Error::Coins("spend limit cannot be nil".into()));
                }
                parse_coins(&a.spend_limit).map_err(|e| Error::Coins(format!("spend limit must be positive: {e}")))?;
                let mut seen = BTreeSet::new();
                if a.allow_list.iter().all(|address| seen.insert(address)) { Ok(()) } else { Err(Error::Duplicate) }
            }
        }
    }

    /// Uses it for one message, which is of its type.
    pub fn accept(&self, message: &Any) -> Result<Used, Error> {
        let Authorization::Send(a) = self else { return Ok(Used::Stays) };
        let send = MsgSend::decode(message.value.as_slice()).map_err(|_| Error::Type("type mismatch".into()))?;
        let amount = parse_coins(&send.amount).map_err(|e| Error::Coins(e.to_string()))?;
        let spend_limit = minus(&a.spend_limit, &amount).ok_or(Error::SpendLimit)?;
        if !a.allow_list.is_empty() && !a.allow_list.contains(&send.to_address) {
            return Err(Error::Receiver(send.to_address));
        }
        if spend_limit.is_empty() {
            return Ok(Used::Ends);
        }
        Ok(Used::Changes(Authorization::Send(SendAuthorization { spend_limit, allow_list: a.allow_list.clone() })))
    }
}
