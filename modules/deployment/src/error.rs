//! Refusals of deployments. Codes are never reused for another meaning.

use kernel::{DeploymentId, Fault, GroupId};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{field}: expected {expected}, got {got}")]
    Invalid { field: String, expected: String, got: String },
    #[error("deployment {0} not found")]
    NotFound(DeploymentId),
    #[error("group {0} not found")]
    GroupNotFound(GroupId),
    #[error("deployment {0} is closed")]
    Closed(DeploymentId),
    #[error("{0}")]
    Genesis(String),
    #[error(transparent)]
    Store(#[from] Fault),
}

impl Error {
    pub(crate) fn invalid(field: impl Into<String>, expected: impl Into<String>, got: impl Into<String>) -> Self {
        Error::Invalid { field: field.into(), expected: expected.into(), got: got.into() }
    }

    pub fn code(&self) -> u32 {
        match self {
            Error::Store(_) => 1,
            Error::Invalid { .. } => 2,
            Error::NotFound(_) => 3,
            Error::GroupNotFound(_) => 4,
            Error::Closed(_) => 5,
            Error::Genesis(_) => 6,
        }
    }
}

impl From<Error> for kernel::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Store(fault) => fault.into(),
            error => kernel::Error::new("deployment", error.code(), error.to_string()),
        }
    }
}
