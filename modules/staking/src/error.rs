//! What staking refuses, in the words and codes of Cosmos SDK.

use crate::types::Dec;
use kernel::Fault;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("validator already exist for this operator address; must use new validator operator address")]
    OperatorExists,
    #[error("validator already exist for this pubkey; must use new validator pubkey")]
    PubKeyExists,
    #[error("got: {got}, expected: [ed25519]: validator pubkey type is not supported")]
    PubKeyType { got: String },
    #[error("commission must be positive")]
    CommissionNegative,
    #[error("commission cannot be more than 100%")]
    CommissionHuge,
    #[error("commission cannot be more than the max rate")]
    CommissionAboveMaxRate,
    #[error("commission change rate must be positive")]
    ChangeRateNegative,
    #[error("commission change rate cannot be more than the max rate")]
    ChangeRateAboveMaxRate,
    #[error("validator's self delegation must be greater than their minimum self delegation")]
    SelfDelegationBelowMinimum,
    #[error("empty validator public key")]
    NoPubKey,
    #[error("cannot set validator commission to less than minimum rate of {0}: commission cannot be less than min rate")]
    CommissionBelowMinimum(Dec),
    #[error("invalid validator address: {0}: invalid address")]
    InvalidAddress(String),
    #[error("pubkey: {0}: invalid pubkey")]
    InvalidPubKey(String),
    /// The field, what was expected and what was there.
    #[error("{0}: invalid request")]
    Invalid(String),
    /// A message that this chain does not execute yet.
    #[error("{0} is not available on this chain: feature not supported")]
    NotSupported(&'static str),
    /// A genesis document that contradicts itself.
    #[error("genesis: staking: {0}: invalid request")]
    Genesis(String),
    #[error(transparent)]
    Bank(#[from] bank::Error),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<Error> for kernel::Error {
    fn from(e: Error) -> Self {
        let (codespace, code) = match e {
            Error::OperatorExists => ("staking", 4),
            Error::PubKeyExists => ("staking", 5),
            Error::PubKeyType { .. } => ("staking", 6),
            Error::CommissionNegative => ("staking", 9),
            Error::CommissionHuge => ("staking", 10),
            Error::CommissionAboveMaxRate => ("staking", 11),
            Error::ChangeRateNegative => ("staking", 13),
            Error::ChangeRateAboveMaxRate => ("staking", 14),
            Error::SelfDelegationBelowMinimum => ("staking", 16),
            Error::NoPubKey => ("staking", 39),
            Error::CommissionBelowMinimum(_) => ("staking", 40),
            Error::InvalidAddress(_) => ("sdk", 7),
            Error::InvalidPubKey(_) => ("sdk", 8),
            Error::Invalid(_) | Error::Genesis(_) => ("sdk", 18),
            Error::NotSupported(_) => ("sdk", 37),
            Error::Bank(bank) => return bank.into(),
            Error::Fault(fault) => return fault.into(),
        };
        kernel::Error::new(codespace, code, e.to_string())
    }
}
