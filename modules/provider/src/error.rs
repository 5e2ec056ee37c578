//! Refusals of the registry. Codes are never reused.

use kernel::{Address, Fault};

pub const CODESPACE: &str = "provider";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0} is not a provider: register it with tx provider create")]
    NotAProvider(Address),
    #[error("{0} is a provider already: change it with tx provider update")]
    Exists(Address),
    #[error("provider {0} is INACTIVE: set it ACTIVE with tx provider set-status")]
    Inactive(Address),
    #[error("{signer} is neither provider {owner} nor its operator")]
    NotOperator { signer: Address, owner: Address },
    #[error("{field}: {problem}")]
    Invalid { field: &'static str, problem: String },
    #[error("provider {0} has {1} open bids or unsettled leases: close them first")]
    Held(Address, u64),
    #[error("attributes of {provider} are signed by {limit} auditors already, which is the limit")]
    TooManyAuditors { provider: Address, limit: u32 },
    #[error("auditor {auditor} has not signed attributes of {provider}")]
    NotSigned { provider: Address, auditor: Address },
    #[error(transparent)]
    Escrow(escrow::Error),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Error {
    pub(crate) fn invalid(field: &'static str, problem: impl Into<String>) -> Self {
        Error::Invalid { field, problem: problem.into() }
    }
}

impl From<escrow::Error> for Error {
    fn from(e: escrow::Error) -> Self {
        Error::Escrow(e)
    }
}

impl From<Error> for kernel::Error {
    fn from(e: Error) -> Self {
        let code = match &e {
            Error::NotAProvider(_) => 2,
            Error::Exists(_) => 3,
            Error::Inactive(_) => 4,
            Error::NotOperator { .. } => 5,
            Error::Invalid { .. } => 6,
            Error::Held(..) => 7,
            Error::TooManyAuditors { .. } => 8,
            Error::NotSigned { .. } => 9,
            Error::Escrow(_) | Error::Fault(_) => 1,
        };
        match e {
            Error::Escrow(e) => e.into(),
            Error::Fault(fault) => fault.into(),
            e => kernel::Error::new(CODESPACE, code, e.to_string()),
        }
    }
}
