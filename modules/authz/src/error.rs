//! What authz refuses, in the words and codes of Cosmos SDK.

use kernel::Fault;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{0}: authorization not found")]
    NotFound(String),
    #[error("{0}: expiration time of authorization should be more than current time")]
    Expiration(String),
    #[error("authorization expired")]
    Expired,
    #[error("grantee and granter should be different")]
    SelfGrant,
    #[error("requested amount is more than spend limit: insufficient funds")]
    SpendLimit,
    #[error("cannot send to {0} address: unauthorized")]
    Receiver(String),
    #[error("{0} is not allowed to receive funds: unauthorized")]
    Blocked(String),
    #[error("{0}: invalid address")]
    Address(String),
    #[error("{0}: invalid coins")]
    Coins(String),
    #[error("duplicate entry")]
    Duplicate,
    #[error("{0}: invalid request")]
    Request(&'static str),
    #[error("{0}: invalid type")]
    Type(String),
    #[error("{0}: feature not supported")]
    Unsupported(&'static str),
    /// A genesis document that contradicts itself.
    #[error("genesis: authz: {0}: invalid request")]
    Genesis(String),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<Error> for kernel::Error {
    fn from(e: Error) -> Self {
        let (codespace, code) = match e {
            Error::NotFound(_) => ("authz", 2),
            Error::Expiration(_) => ("authz", 3),
            Error::Expired => ("authz", 6),
            Error::SelfGrant => ("authz", 7),
            Error::Receiver(_) | Error::Blocked(_) => ("sdk", 4),
            Error::SpendLimit => ("sdk", 5),
            Error::Address(_) => ("sdk", 7),
            Error::Coins(_) => ("sdk", 10),
            Error::Duplicate => ("bank", 8),
            Error::Request(_) | Error::Genesis(_) => ("sdk", 18),
            Error::Type(_) => ("sdk", 29),
            Error::Unsupported(_) => ("sdk", 37),
            Error::Fault(fault) => return fault.into(),
        };
        kernel::Error::new(codespace, code, e.to_string())
    }
}
