//! What feegrant refuses, in the words and codes of Cosmos SDK.

use kernel::Fault;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Which limit: `basic allowance`, `period limit` or `absolute limit`.
    #[error("{0}: fee limit exceeded")]
    Exceeded(&'static str),
    #[error("{0}: fee allowance expired")]
    Expired(&'static str),
    #[error("{0}: invalid duration")]
    Duration(&'static str),
    #[error("allowance should not be empty: no allowance")]
    NoAllowance,
    #[error("allowed messages shouldn't be empty: allowed messages are empty")]
    NoMessages,
    #[error("message does not exist in allowed messages: message not allowed")]
    MessageNotAllowed,
    #[error("fee-grant not found: not found")]
    NotFound,
    #[error("{0}: invalid coins")]
    Coins(String),
    #[error("{0}: invalid address")]
    Address(String),
    #[error("{0}: invalid request")]
    Request(&'static str),
    #[error("{0} is not allowed to receive funds: unauthorized")]
    Blocked(String),
    /// An `Any` that holds no allowance.
    #[error("allowance: {0}: failed unpacking protobuf message from Any")]
    Unknown(String),
    /// A genesis document that contradicts itself.
    #[error("genesis: feegrant: {0}: invalid request")]
    Genesis(String),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<Error> for kernel::Error {
    fn from(e: Error) -> Self {
        let (codespace, code) = match e {
            Error::Exceeded(_) => ("feegrant", 2),
            Error::Expired(_) => ("feegrant", 3),
            Error::Duration(_) => ("feegrant", 4),
            Error::NoAllowance => ("feegrant", 5),
            Error::NoMessages => ("feegrant", 6),
            Error::MessageNotAllowed => ("feegrant", 7),
            Error::Blocked(_) => ("sdk", 4),
            Error::Address(_) => ("sdk", 7),
            Error::Coins(_) => ("sdk", 10),
            Error::Request(_) | Error::Genesis(_) => ("sdk", 18),
            Error::Unknown(_) => ("sdk", 34),
            Error::NotFound => ("sdk", 38),
            Error::Fault(fault) => return fault.into(),
        };
        kernel::Error::new(codespace, code, e.to_string())
    }
}
