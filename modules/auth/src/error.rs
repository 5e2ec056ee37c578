//! What auth refuses.

use kernel::Fault;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A genesis document that contradicts itself; the text names the account or parameter.
    #[error("genesis: auth: {0}: invalid request")]
    Genesis(String),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<Error> for kernel::Error {
    fn from(e: Error) -> Self {
        match e {
            Error::Genesis(_) => kernel::Error::new("sdk", 18, e.to_string()),
            Error::Fault(fault) => fault.into(),
        }
    }
}
