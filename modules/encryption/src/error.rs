//! Refusals about recipient keys. Codes are never reused.

use kernel::{Address, Fault};

pub const CODESPACE: &str = "encryption";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{field}: {problem}")]
    Invalid { field: &'static str, problem: String },
    #[error("public_key: {owner} has registered the key {fingerprint} already")]
    Exists { owner: Address, fingerprint: String },
    #[error("fingerprint: {owner} has no key {fingerprint}")]
    NotFound { owner: Address, fingerprint: String },
    #[error("fingerprint: key {fingerprint} is {state}, expected {expected}")]
    WrongState { fingerprint: String, state: &'static str, expected: &'static str },
    #[error("{owner} has {limit} keys that are not revoked or expired, which is the limit: revoke one first")]
    TooMany { owner: Address, limit: u32 },
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Error {
    pub(crate) fn invalid(field: &'static str, problem: impl Into<String>) -> Self {
        Error::Invalid { field, problem: problem.into() }
    }
}

impl From<Error> for kernel::Error {
    fn from(e: Error) -> Self {
        let code = match &e {
            Error::Invalid { .. } => 2,
            Error::Exists { .. } => 3,
            Error::NotFound { .. } => 4,
            Error::WrongState { .. } => 5,
            Error::TooMany { .. } => 6,
            Error::Fault(_) => 1,
        };
        match e {
            Error::Fault(fault) => fault.into(),
            e => kernel::Error::new(CODESPACE, code, e.to_string()),
        }
    }
}
