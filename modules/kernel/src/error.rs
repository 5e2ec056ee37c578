//! Two kinds of failure: [`Error`], which a user caused and reads, and [`Fault`], which the store answers instead of a value.

use std::fmt;

/// What the store itself can answer instead of a value. Passes through every module unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The transaction's gas is spent; `location` is what it was spent on, in the words of Cosmos SDK.
    #[error("out of gas in location: {location}; gasWanted: {wanted}, gasUsed: {used}: out of gas")]
    OutOfGas { location: &'static str, wanted: u64, used: u64 },
    /// A row that we wrote does not decode, or an invariant of the state does not hold.
    #[error("corrupt state: {0}")]
    Corrupt(&'static str),
    /// The database failed.
    #[error("store: {0}")]
    Io(String),
}

/// Codespace of failures that only queries have: the code is a status of gRPC's that no code of the codespace `sdk` stands for.
pub const GRPC: &str = "grpc";

/// A refusal with the codespace and code that clients see. Codes are never reused for another meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    pub codespace: &'static str,
    pub code: u32,
    pub log: String,
}

impl Error {
    pub fn new(codespace: &'static str, code: u32, log: impl Into<String>) -> Self {
        Error { codespace, code, log: log.into() }
    }

    /// Cosmos SDK's answer to a query for what is not there: codespace `sdk`, code 22.
    pub fn not_found(what: impl fmt::Display) -> Self {
        Error::new("sdk", 22, format!("{what}: key not found"))
    }

    /// Cosmos SDK's answer to a bad argument: codespace `sdk`, code 18.
    pub fn invalid_request(what: impl fmt::Display) -> Self {
        Error::new("sdk", 18, format!("{what}: invalid request"))
    }

    /// Cosmos SDK's answer to a query that failed with gRPC's status `Unknown`: codespace `sdk`, code 6.
    pub fn unknown_request(what: impl fmt::Display) -> Self {
        Error::new("sdk", 6, format!("{what}: unknown request"))
    }

    /// A query's failure that Cosmos SDK gives neither a code nor a gRPC status, as for an address that cannot be read.
    pub fn plain(what: impl fmt::Display) -> Self {
        Error::new(GRPC, 2, what.to_string())
    }

    /// A query's failure to which Cosmos SDK gives gRPC's status `Internal`, though it is the request's fault.
    pub fn internal(what: impl fmt::Display) -> Self {
        Error::new(GRPC, 13, what.to_string())
    }

    /// True for failures that are ours or the disk's and not the user's.
    pub fn is_fault(&self) -> bool {
        self.codespace == "undefined"
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.log)
    }
}

impl std::error::Error for Error {}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::OutOfGas { .. } => Error::new("sdk", 11, fault.to_string()),
            Fault::Corrupt(_) | Fault::Io(_) => Error::new("undefined", 1, fault.to_string()),
        }
    }
}
