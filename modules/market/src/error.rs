//! Refusals of the market. Codes are never reused for another meaning.

use crate::types::bid_state;
use kernel::{Address, BidId, Fault, GroupId, OrderId};
use proto::virtengine::market::v1::bid;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{field}: expected {expected}, got {got}")]
    Invalid { field: String, expected: String, got: String },
    /// A part of an id: kernel's text names it.
    #[error("{0}")]
    Id(String),
    #[error("order {0} not found")]
    OrderNotFound(OrderId),
    #[error("order {id} is {state}: expected open")]
    OrderNotOpen { id: OrderId, state: &'static str },
    #[error("bid {0} not found")]
    BidNotFound(BidId),
    #[error("bid {id} is {}: expected open", bid_state(*.state))]
    BidNotOpen { id: BidId, state: bid::State },
    #[error("bid {id} is {}: expected open or active", bid_state(*.state))]
    BidOver { id: BidId, state: bid::State },
    #[error("bid {id} exists and is {}: a provider bids once on an order", bid_state(*.state))]
    DuplicateBid { id: BidId, state: bid::State },
    #[error("order {0} is the provider's own: expected an order of another account")]
    OwnOrder(OrderId),
    #[error("provider does not match order {id}: {}", .unmet.join("; "))]
    Mismatch { id: OrderId, unmet: Vec<String> },
    #[error("order {id} is full with {bids} bids: expected a price below {dearest}uve, got {price}uve")]
    OrderFull { id: OrderId, bids: u32, dearest: u64, price: u64 },
    #[error("lease {0} not found")]
    LeaseNotFound(BidId),
    #[error("lease {0} is closed: expected active")]
    LeaseClosed(BidId),
    #[error("group {id} is {state}: expected {expected}")]
    GroupState { id: GroupId, state: &'static str, expected: &'static str },
    #[error("owner: expected {tenant}, the tenant, got {got}")]
    NotTenant { tenant: Address, got: Address },
    #[error("lease {0} is announced for reclamation already")]
    ReclaimStarted(BidId),
    #[error("group {0} asks for no reclamation notice: close the bid instead")]
    NoReclamation(GroupId),
    #[error("{0}")]
    Genesis(String),
    /// The end of a block looked at something that is not ready; it is tried again later.
    #[error("{0}")]
    Unfinished(String),
    /// One of a message's usage records, with its place and its lease.
    #[error("{at} of lease {lease}: {why}")]
    Record { at: String, lease: Box<BidId>, why: Box<Error> },
    #[error(transparent)]
    Deployment(deployment::Error),
    #[error(transparent)]
    Provider(provider::Error),
    #[error(transparent)]
    Escrow(escrow::Error),
    #[error(transparent)]
    Store(#[from] Fault),
}

impl Error {
    pub(crate) fn invalid(field: impl Into<String>, expected: impl Into<String>, got: impl Into<String>) -> Self {
        Error::Invalid { field: field.into(), expected: expected.into(), got: got.into() }
    }

    fn code(&self) -> u32 {
        match self {
            Error::Invalid { .. } => 2,
            Error::OrderNotFound(_) => 3,
            Error::OrderNotOpen { .. } => 4,
            Error::BidNotFound(_) => 5,
            Error::BidNotOpen { .. } => 6,
            Error::DuplicateBid { .. } => 7,
            Error::OwnOrder(_) => 8,
            Error::Mismatch { .. } => 9,
            Error::OrderFull { .. } => 10,
            Error::LeaseNotFound(_) => 11,
            Error::LeaseClosed(_) => 12,
            Error::GroupState { .. } => 13,
            Error::NotTenant { .. } => 14,
            Error::ReclaimStarted(_) => 15,
            Error::NoReclamation(_) => 16,
            Error::Genesis(_) => 17,
            Error::Unfinished(_) => 18,
            Error::Id(_) => 19,
            Error::BidOver { .. } => 20,
            Error::Record { .. } | Error::Deployment(_) | Error::Provider(_) | Error::Escrow(_) | Error::Store(_) => 1,
        }
    }
}

impl From<deployment::Error> for Error {
    fn from(e: deployment::Error) -> Self {
        match e {
            deployment::Error::Store(fault) => Error::Store(fault),
            deployment::Error::Invalid { field, expected, got } => Error::Invalid { field, expected, got },
            e => Error::Deployment(e),
        }
    }
}

impl From<provider::Error> for Error {
    fn from(e: provider::Error) -> Self {
        match e {
            provider::Error::Fault(fault) => Error::Store(fault),
            e => Error::Provider(e),
        }
    }
}

impl From<escrow::Error> for Error {
    fn from(e: escrow::Error) -> Self {
        match e {
            escrow::Error::Fault(fault) => Error::Store(fault),
            e => Error::Escrow(e),
        }
    }
}

impl From<Error> for kernel::Error {
    fn from(e: Error) -> Self {
        match e {
            Error::Store(fault) => fault.into(),
            Error::Deployment(e) => e.into(),
            Error::Provider(e) => e.into(),
            Error::Escrow(e) => e.into(),
            Error::Record { at, lease, why } => {
                let why = kernel::Error::from(*why);
                kernel::Error { log: format!("{at} of lease {lease}: {}", why.log), ..why }
            }
            e => kernel::Error::new("market", e.code(), e.to_string()),
        }
    }
}
