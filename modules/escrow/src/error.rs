//! What escrow refuses, and how it says so.

use crate::types::{AccountId, Instant, shown_uve};
use kernel::{BidId, Fault};

/// A refusal leaves state and money as they were. Ids are boxed to keep results small.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("escrow account of {0} not found: key not found")]
    AccountNotFound(Box<AccountId>),
    #[error("escrow account of {0} exists already")]
    AccountExists(Box<AccountId>),
    #[error("escrow account of {0} is closed")]
    AccountClosed(Box<AccountId>),
    #[error("escrow account of {0} is depleted: deposit more first")]
    AccountDepleted(Box<AccountId>),
    #[error("amount: expected at least {min}uve, got {got}uve")]
    AmountTooSmall { got: u64, min: u64 },
    #[error("amount: no escrow account takes more than {}uve in all, this one has had {had}uve", u64::MAX)]
    AmountTooLarge { had: u64 },
    #[error("depositor: the account has {0} depositors besides its owner, and no more are allowed until the money of one is spent")]
    TooManyDepositors(u32),
    #[error("price: expected at least 1uve per hour, got 0")]
    PriceZero,
    #[error("price: the leases of one deployment cost at most {}uve per hour together", u64::MAX)]
    PriceTooLarge,
    #[error(
        "the deployment's escrow account has {} to spend, and {} for {} ms at {rate}uve per hour are needed: deposit {missing}uve more",
        shown_uve(*.spendable), shown_uve(*.needed), .runway
    )]
    NoRunway { spendable: u128, needed: u128, missing: u64, rate: u64, runway: u64 },
    #[error("lease {0} has a payment already")]
    PaymentExists(Box<BidId>),
    #[error("payment of lease {0} not found: key not found")]
    LeaseNotFound(Box<BidId>),
    #[error("nothing to withdraw: the account has {} to spend, and all of it is kept as runway or less than 1uve", shown_uve(*.0))]
    NothingToSpare(u128),
    #[error("sequence: expected {expected}, got {got}")]
    SequenceGap { got: u64, expected: u64 },
    #[error("sequence: {got} is stale, the last record has {last}")]
    SequenceStale { got: u64, last: u64 },
    #[error("sequence: {0} was used for a record with other content")]
    SequenceTaken(u64),
    #[error("start_time: expected {expected} or later, {why}, got {got}")]
    Overlap { got: Instant, expected: Instant, why: &'static str },
    #[error("end_time: expected later than start_time {start}, got {end}")]
    EmptyRecord { start: Instant, end: Instant },
    #[error("start_time: expected before {limit}, {why}, got {got}")]
    StartsTooLate { got: Instant, limit: Instant, why: &'static str },
    #[error("end_time: expected later than {oldest}, because what is older no longer counts, got {got}")]
    TooOld { got: Instant, oldest: Instant },
    #[error("the part of the period that counts, {got} ms, is shorter than {min} ms and does not end with the lease's payment")]
    TooShort { got: u64, min: u64 },
    #[error("lease {0} is settled: its final record has come or its final window has passed")]
    Settled(Box<BidId>),
    #[error("lease {0} may still be paid")]
    Unsettled(Box<BidId>),
    #[error("escrow account of {0} still holds money that is owed")]
    AccountUnsettled(Box<AccountId>),
    #[error("the grace period of the escrow account of {0} is over, its leases close first")]
    GraceOver(Box<AccountId>),
    #[error("{0}")]
    Invalid(String),
    #[error(transparent)]
    Bank(#[from] bank::Error),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<Error> for kernel::Error {
    fn from(error: Error) -> Self {
        let code = match error {
            Error::Fault(fault) => return fault.into(),
            Error::Bank(error) => return error.into(),
            Error::AccountNotFound(_) | Error::LeaseNotFound(_) => return kernel::Error::new("sdk", 22, error.to_string()),
            Error::Invalid(what) => return kernel::Error::invalid_request(what),
            Error::AccountExists(_) => 2,
            Error::AccountClosed(_) => 3,
            Error::AccountDepleted(_) => 4,
            Error::AmountTooSmall { .. } => 5,
            Error::AmountTooLarge { .. } => 6,
            Error::TooManyDepositors(_) => 7,
            Error::PriceZero => 8,
            Error::PriceTooLarge => 9,
            Error::NoRunway { .. } => 10,
            Error::PaymentExists(_) => 11,
            Error::NothingToSpare(_) => 12,
            Error::SequenceGap { .. } => 13,
            Error::SequenceStale { .. } => 14,
            Error::SequenceTaken(_) => 15,
            Error::Overlap { .. } => 16,
            Error::EmptyRecord { .. } => 17,
            Error::StartsTooLate { .. } => 18,
            Error::TooOld { .. } => 19,
            Error::TooShort { .. } => 20,
            Error::Settled(_) => 21,
            Error::Unsettled(_) => 22,
            Error::AccountUnsettled(_) => 23,
            Error::GraceOver(_) => 24,
        };
        kernel::Error::new("escrow", code, error.to_string())
    }
}
