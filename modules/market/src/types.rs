//! Pure rules of the market: parameters, who may leave when, what an order asks for.

use crate::Error;
use deployment::types::{amount, parse_amount, uve, whole_millis};
use kernel::{Address, Bytes, DeploymentId, Key, OrderId};
use proto::virtengine::base::v1::{Attribute, ResourceUnit};
use proto::virtengine::market::v1 as wire;
use proto::{Duration, Timestamp, duration, millis};
use std::fmt;
use wire::{Reason, bid, order};

/// Most bids that a genesis may allow on one order: creating a lease settles them all in one transaction.
const MAX_ORDER_BIDS: u32 = 100;
/// Largest envelope that a genesis may allow.
const MAX_ENVELOPE: u32 = 1 << 20;

/// The parameters, checked; times in ms, amounts in uve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params {
    pub bid_min_deposit: u64,
    pub order_ttl: u64,
    pub closed_retention: u64,
    pub min_lease_time: u64,
    pub manifest_timeout: u64,
    pub order_max_bids: u32,
    pub max_envelope_bytes: u32,
    /// Rows written by all queues of one block together. The default keeps a block in which everything falls due below
    /// 100 ms of the application's time (`scripts/bench.sh market`).
    pub end_block_budget: u32,
}

const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;

impl Default for Params {
    fn default() -> Self {
        Params {
            bid_min_deposit: 500_000,
            order_ttl: DAY,
            closed_retention: 30 * DAY,
            min_lease_time: 10 * MINUTE,
            manifest_timeout: 5 * MINUTE,
            order_max_bids: 20,
            max_envelope_bytes: 64 << 10,
            end_block_budget: 1_000,
        }
    }
}

/// What is left out takes its default.
impl TryFrom<&wire::Params> for Params {
    type Error = Error;
    fn try_from(p: &wire::Params) -> Result<Self, Error> {
        let d = Params::default();
        Ok(Params {
            bid_min_deposit: p.bid_min_deposit.as_ref().map_or(Ok(d.bid_min_deposit), |c| amount("params.bid_min_deposit", Some(c), 1))?,
            order_ttl: time("params.order_ttl", p.order_ttl.as_ref(), d.order_ttl)?,
            closed_retention: time("params.closed_retention", p.closed_retention.as_ref(), d.closed_retention)?,
            min_lease_time: time("params.min_lease_time", p.min_lease_time.as_ref(), d.min_lease_time)?,
            manifest_timeout: time("params.manifest_timeout", p.manifest_timeout.as_ref(), d.manifest_timeout)?,
            order_max_bids: number("params.order_max_bids", p.order_max_bids, d.order_max_bids, MAX_ORDER_BIDS)?,
            max_envelope_bytes: number("params.max_envelope_bytes", p.max_envelope_bytes, d.max_envelope_bytes, MAX_ENVELOPE)?,
            end_block_budget: number("params.end_block_budget", p.end_block_budget, d.end_block_budget, u32::MAX)?,
        })
    }
}

impl From<Params> for wire::Params {
    fn from(p: Params) -> Self {
        wire::Params {
            bid_min_deposit: Some(uve(p.bid_min_deposit)),
            order_ttl: Some(duration(p.order_ttl)),
            closed_retention: Some(duration(p.closed_retention)),
            min_lease_time: Some(duration(p.min_lease_time)),
            manifest_timeout: Some(duration(p.manifest_timeout)),
            order_max_bids: p.order_max_bids,
            max_envelope_bytes: p.max_envelope_bytes,
            end_block_budget: p.end_block_budget,
        }
    }
}

fn time(field: &str, d: Option<&Duration>, default: u64) -> Result<u64, Error> {
    let Some(d) = d else { return Ok(default) };
    let ms = whole_millis(d).filter(|ms| (1..=3650 * DAY).contains(ms));
    ms.ok_or_else(|| Error::invalid(field, "whole milliseconds, 1 ms to 10 years", format!("{}s and {}ns", d.seconds, d.nanos)))
}

fn number(field: &str, n: u32, default: u32, max: u32) -> Result<u32, Error> {
    match n {
        0 => Ok(default),
        n if n <= max => Ok(n),
        n => Err(Error::invalid(field, format!("1 to {max}"), n.to_string())),
    }
}

/// What the end of a block has to look at when its time has come. Of one time, the order of variants is the order of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// Open bids of a closed order that were too many for one go.
    CloseBids(OrderId),
    /// An order that nobody took.
    Expire(OrderId),
    /// Bids that lost against a lease.
    Prune(OrderId),
    /// A closed order with its bids and lease leaves the state.
    RemoveOrder(OrderId),
    /// A deployment without an open group is closed.
    CloseIdle(DeploymentId),
    /// A closed deployment leaves the state.
    RemoveDeployment(DeploymentId),
    /// An escrow account with something due. Escrow keeps that queue; here it is only what can be stuck.
    Account(DeploymentId),
    /// A recipient key, by owner and fingerprint, that expires. Encryption keeps that queue; here, too, it can only be stuck.
    ExpireKey(Address, [u8; FINGERPRINT]),
}

/// Bytes of a recipient key's fingerprint.
const FINGERPRINT: usize = 20;

impl Task {
    pub const QUEUES: [&str; 8] = [
        "closed_order_bids",
        "order_expiry",
        "lost_bids",
        "closed_orders",
        "idle_deployments",
        "closed_deployments",
        "due_accounts",
        "recipient_keys",
    ];

    pub fn expire_key(due: &encryption::Due) -> Self {
        let mut fingerprint = [0; FINGERPRINT];
        // Only a damaged row has another form; what is stuck is then named by its owner.
        let _ = hex::decode_to_slice(&due.fingerprint, &mut fingerprint);
        Task::ExpireKey(due.owner, fingerprint)
    }

    fn tag(&self) -> u8 {
        match self {
            Task::CloseBids(_) => 0,
            Task::Expire(_) => 1,
            Task::Prune(_) => 2,
            Task::RemoveOrder(_) => 3,
            Task::CloseIdle(_) => 4,
            Task::RemoveDeployment(_) => 5,
            Task::Account(_) => 6,
            Task::ExpireKey(..) => 7,
        }
    }

    /// The queue's name in events and in the list of stuck items.
    pub fn queue(&self) -> &'static str {
        Task::QUEUES[self.tag() as usize]
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Task::CloseBids(id) | Task::Expire(id) | Task::Prune(id) | Task::RemoveOrder(id) => id.fmt(f),
            Task::CloseIdle(id) | Task::RemoveDeployment(id) | Task::Account(id) => id.fmt(f),
            Task::ExpireKey(owner, fingerprint) => write!(f, "{owner}/{}", hex::encode(fingerprint)),
        }
    }
}

impl Key for Task {
    fn put(&self, out: &mut Bytes) {
        out.push(self.tag());
        match self {
            Task::CloseBids(id) | Task::Expire(id) | Task::Prune(id) | Task::RemoveOrder(id) => id.put(out),
            Task::CloseIdle(id) | Task::RemoveDeployment(id) | Task::Account(id) => id.put(out),
            Task::ExpireKey(owner, fingerprint) => {
                owner.put(out);
                out.extend(fingerprint);
            }
        }
    }

    fn take(b: &mut &[u8]) -> Option<Self> {
        Some(match u8::take(b)? {
            0 => Task::CloseBids(OrderId::take(b)?),
            1 => Task::Expire(OrderId::take(b)?),
            2 => Task::Prune(OrderId::take(b)?),
            3 => Task::RemoveOrder(OrderId::take(b)?),
            4 => Task::CloseIdle(DeploymentId::take(b)?),
            5 => Task::RemoveDeployment(DeploymentId::take(b)?),
            6 => Task::Account(DeploymentId::take(b)?),
            7 => {
                let owner = Address::take(b)?;
                let (fingerprint, rest) = b.split_first_chunk()?;
                *b = rest;
                Task::ExpireKey(owner, *fingerprint)
            }
            _ => return None,
        })
    }
}

/// The first bytes of a key, for lists under a part of an id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part(pub Bytes);

impl Key for Part {
    fn put(&self, out: &mut Bytes) {
        out.extend(&self.0);
    }
    fn take(_: &mut &[u8]) -> Option<Self> {
        None
    }
}

/// The price in uve per hour of a row that was checked when it was written.
pub fn price(coin: Option<&proto::cosmos::base::v1beta1::Coin>) -> u64 {
    coin.and_then(|c| parse_amount(&c.amount)).unwrap_or(0)
}

/// A time of a row that was checked when it was written; in ms.
pub fn ms(t: Option<&Timestamp>) -> u64 {
    t.and_then(millis).unwrap_or(0)
}

/// Whether a provider that leaves now keeps its bid's deposit.
///
/// A lease must have lasted `min_lease_time`; where the group asks for notice, that too must have passed since it was given.
/// Leaving because no manifest came in time is free.
pub fn may_leave(lease: &wire::Lease, window: Option<u64>, params: &Params, reason: Reason, now: u64) -> bool {
    let lasted = now >= ms(lease.created_at.as_ref()).saturating_add(params.min_lease_time);
    let noticed = window.is_none_or(|w| lease.reclaim_at.as_ref().and_then(millis).is_some_and(|at| now >= at.saturating_add(w)));
    reason == Reason::ManifestTimeout || (lasted && noticed)
}

/// Refuses `manifest_timeout` before the time is over, and when a manifest came in time.
pub fn check_manifest_timeout(lease: &wire::Lease, params: &Params, now: u64) -> Result<(), Error> {
    let deadline = ms(lease.created_at.as_ref()).saturating_add(params.manifest_timeout);
    if lease.manifest_at.as_ref().and_then(millis).is_some_and(|at| at <= deadline) {
        return Err(Error::invalid("reason", "another reason than manifest_timeout", "a manifest in time"));
    }
    if now < deadline {
        let left = deadline - now;
        return Err(Error::invalid("reason", "manifest_timeout only when no manifest came in time", format!("{left} ms before that time")));
    }
    Ok(())
}

/// One thing that an order asks of a provider; `reason` says why it is not met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    pub text: String,
    pub reason: Option<String>,
}

/// Prefix of the attributes in which a provider says what its hardware can do.
const CAPABILITIES: &str = "capabilities/";

/// What resource units ask for beyond amounts. A GPU asks for any one of its attributes as `capabilities/gpu/<key>`; a
/// volume asks for all of its attributes together under one `capabilities/storage/<name>/`.
pub fn capabilities(units: &[ResourceUnit], offered: &[Attribute]) -> Vec<Requirement> {
    let mut all = Vec::new();
    let mut ask = |text: String, met: bool, why: &str| {
        if !all.iter().any(|r: &Requirement| r.text == text) {
            all.push(Requirement { reason: (!met).then(|| format!("{text}: {why}")), text });
        }
    };
    let listed = |attributes: &[Attribute]| attributes.iter().map(|a| format!("{}={}", a.key, a.value)).collect::<Vec<_>>().join(", ");
    for unit in units {
        if !unit.gpu_attributes.is_empty() {
            let has = |a: &Attribute| {
                offered
                    .iter()
                    .any(|o| o.value == a.value && o.key.strip_prefix(CAPABILITIES).and_then(|k| k.strip_prefix("gpu/")) == Some(&a.key))
            };
            let met = unit.gpu_attributes.iter().any(has);
            ask(format!("gpu any of {}", listed(&unit.gpu_attributes)), met, "the provider's capabilities/gpu/… name none of them");
        }
        for volume in unit.storage.iter().filter(|v| !v.attributes.is_empty()) {
            let met = storage_classes(offered).any(|class| volume.attributes.iter().all(|a| has_storage(offered, class, a)));
            ask(format!("storage {}", listed(&volume.attributes)), met, "no capabilities/storage/… of the provider has all of it");
        }
    }
    all
}

fn storage_classes(offered: &[Attribute]) -> impl Iterator<Item = &str> {
    offered.iter().filter_map(|o| Some(o.key.strip_prefix(CAPABILITIES)?.strip_prefix("storage/")?.split_once('/')?.0))
}

fn has_storage(offered: &[Attribute], class: &str, asked: &Attribute) -> bool {
    let key = format!("{CAPABILITIES}storage/{class}/{}", asked.key);
    offered.iter().any(|o| o.key == key && o.value == asked.value)
}

/// States as queries and errors show them.
pub fn order_state(state: order::State) -> &'static str {
    match state {
        order::State::Unspecified => "unspecified",
        order::State::Open => "open",
        order::State::Active => "active",
        order::State::Closed => "closed",
    }
}

pub fn bid_state(state: bid::State) -> &'static str {
    match state {
        bid::State::Unspecified => "unspecified",
        bid::State::Open => "open",
        bid::State::Active => "active",
        bid::State::Lost => "lost",
        bid::State::Closed => "closed",
    }
}
