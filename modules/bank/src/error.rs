//! What bank refuses, in the words and codes of Cosmos SDK.

use kernel::Fault;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("no inputs to send transaction")]
    NoInputs,
    #[error("no outputs to send transaction")]
    NoOutputs,
    #[error("sum inputs != sum outputs")]
    SumsDiffer,
    #[error("{0} transfers are currently disabled: send transactions are disabled")]
    SendDisabled(String),
    #[error("multiple senders not allowed")]
    MultipleSenders,
    /// The receiver is a module's account.
    #[error("{0} is not allowed to receive funds: unauthorized")]
    Blocked(String),
    #[error("spendable balance {spendable}{denom} is smaller than {needed}{denom}: insufficient funds")]
    InsufficientFunds { spendable: u128, needed: u128, denom: String },
    #[error("failed to delegate; {balance} is smaller than {needed}: insufficient funds")]
    CannotDelegate { balance: String, needed: String },
    #[error("invalid {field} address: {reason}: invalid address")]
    InvalidAddress { field: &'static str, reason: String },
    /// What is wrong with the coins, and the coins.
    #[error("{0}: invalid coins")]
    InvalidCoins(String),
    /// More of a denomination than a u128 holds.
    #[error("the amount of {0} exceeds 2^128 - 1: invalid coins")]
    Overflow(String),
    /// A genesis document that contradicts itself.
    #[error("genesis: bank: {0}: invalid request")]
    Genesis(String),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<Error> for kernel::Error {
    fn from(e: Error) -> Self {
        let (codespace, code) = match e {
            Error::NoInputs => ("bank", 2),
            Error::NoOutputs => ("bank", 3),
            Error::SumsDiffer => ("bank", 4),
            Error::SendDisabled(_) => ("bank", 5),
            Error::MultipleSenders => ("bank", 9),
            Error::Blocked(_) => ("sdk", 4),
            Error::InsufficientFunds { .. } | Error::CannotDelegate { .. } => ("sdk", 5),
            Error::InvalidAddress { .. } => ("sdk", 7),
            Error::InvalidCoins(_) | Error::Overflow(_) => ("sdk", 10),
            Error::Genesis(_) => ("sdk", 18),
            Error::Fault(fault) => return fault.into(),
        };
        kernel::Error::new(codespace, code, e.to_string())
    }
}
