//! What can go wrong with the store, in words for the operator.

use std::path::PathBuf;

/// A version that is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("version {height} does not exist: {what} are kept for heights {oldest} to {newest}")]
pub struct Unavailable {
    /// "values" or "proofs": fewer versions can be proved than read.
    pub what: &'static str,
    pub height: u64,
    pub oldest: u64,
    pub newest: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no store in {}", .0.display())]
    Missing(PathBuf),
    #[error(
        "the store in {} is in use by another process: stop that node, or give this one a home directory of its own",
        .0.display()
    )]
    Locked(PathBuf),
    #[error(
        "the store in {} is damaged: {reason}; restore it from a backup or a snapshot, or delete it and let the node replay the chain",
        dir.display()
    )]
    Damaged { dir: PathBuf, reason: String },
    #[error("the store in {} is of another chain or binary: {reason}", dir.display())]
    Foreign { dir: PathBuf, reason: String },
    #[error("height {expected} must be committed next, not {height}")]
    Height { expected: u64, height: u64 },
    #[error("the block was staged on height {staged} or with other writes, and the store is at height {height}")]
    Stale { staged: u64, height: u64 },
    #[error("key {} cannot be stored: {reason}", hex::encode(key))]
    Refused { key: Vec<u8>, reason: &'static str },
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error("no such store: {0}")]
    UnknownStore(String),
    #[error("the store is empty: neither presence nor absence can be proved")]
    NothingToProve,
    #[error("corrupt state: {0}")]
    Corrupt(&'static str),
    #[error("store: {0}")]
    Database(#[from] rocksdb::Error),
    #[error("store: {0}")]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Fault(#[from] kernel::Fault),
}
