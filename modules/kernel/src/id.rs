//! The ids of the market's objects. They are `Copy` and order as their key bytes do.

use crate::{Address, Bytes, Key};
use proto::virtengine::base::v1 as wire;
use std::fmt;

/// A dseq is below this, so that JSON numbers hold it exactly.
pub const MAX_DSEQ: u64 = 1 << 53;

/// One deployment of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeploymentId {
    pub owner: Address,
    pub dseq: u64,
}

/// One placement of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupId {
    pub deployment: DeploymentId,
    pub gseq: u32,
}

/// A request for bids on a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OrderId {
    pub group: GroupId,
    pub oseq: u32,
}

/// A provider's offer on an order, and the lease that it becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BidId {
    pub order: OrderId,
    pub provider: Address,
}

impl DeploymentId {
    pub fn group(self, gseq: u32) -> GroupId {
        GroupId { deployment: self, gseq }
    }
}

impl GroupId {
    pub fn order(self, oseq: u32) -> OrderId {
        OrderId { group: self, oseq }
    }
}

impl OrderId {
    pub fn owner(&self) -> Address {
        self.group.deployment.owner
    }
    pub fn bid(self, provider: Address) -> BidId {
        BidId { order: self, provider }
    }
}

impl BidId {
    pub fn owner(&self) -> Address {
        self.order.owner()
    }
    pub fn deployment(&self) -> DeploymentId {
        self.order.group.deployment
    }
}

impl Key for DeploymentId {
    fn put(&self, out: &mut Bytes) {
        self.owner.put(out);
        self.dseq.put(out);
    }
    fn take(b: &mut &[u8]) -> Option<Self> {
        Some(DeploymentId { owner: Address::take(b)?, dseq: u64::take(b)? })
    }
}

impl Key for GroupId {
    fn put(&self, out: &mut Bytes) {
        self.deployment.put(out);
        self.gseq.put(out);
    }
    fn take(b: &mut &[u8]) -> Option<Self> {
        Some(GroupId { deployment: DeploymentId::take(b)?, gseq: u32::take(b)? })
    }
}

impl Key for OrderId {
    fn put(&self, out: &mut Bytes) {
        self.group.put(out);
        self.oseq.put(out);
    }
    fn take(b: &mut &[u8]) -> Option<Self> {
        Some(OrderId { group: GroupId::take(b)?, oseq: u32::take(b)? })
    }
}

impl Key for BidId {
    fn put(&self, out: &mut Bytes) {
        self.order.put(out);
        self.provider.put(out);
    }
    fn take(b: &mut &[u8]) -> Option<Self> {
        Some(BidId { order: OrderId::take(b)?, provider: Address::take(b)? })
    }
}

impl fmt::Display for DeploymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.dseq)
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.deployment, self.gseq)
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.group, self.oseq)
    }
}

impl fmt::Display for BidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.order, self.provider)
    }
}

impl From<DeploymentId> for wire::DeploymentId {
    fn from(id: DeploymentId) -> Self {
        wire::DeploymentId { owner: id.owner.to_string(), dseq: id.dseq }
    }
}

impl From<GroupId> for wire::GroupId {
    fn from(id: GroupId) -> Self {
        wire::GroupId { owner: id.deployment.owner.to_string(), dseq: id.deployment.dseq, gseq: id.gseq }
    }
}

impl From<OrderId> for wire::OrderId {
    fn from(id: OrderId) -> Self {
        let group = id.group;
        wire::OrderId { owner: id.owner().to_string(), dseq: group.deployment.dseq, gseq: group.gseq, oseq: id.oseq }
    }
}

impl From<BidId> for wire::BidId {
    fn from(id: BidId) -> Self {
        let group = id.order.group;
        wire::BidId {
            owner: id.owner().to_string(),
            dseq: group.deployment.dseq,
            gseq: group.gseq,
            oseq: id.order.oseq,
            provider: id.provider.to_string(),
        }
    }
}

/// The only doors in from the wire; the error names the field.
impl TryFrom<&wire::DeploymentId> for DeploymentId {
    type Error = String;
    fn try_from(id: &wire::DeploymentId) -> Result<Self, String> {
        Ok(DeploymentId { owner: owner(&id.owner)?, dseq: dseq(id.dseq)? })
    }
}

impl TryFrom<&wire::GroupId> for GroupId {
    type Error = String;
    fn try_from(id: &wire::GroupId) -> Result<Self, String> {
        let deployment = DeploymentId { owner: owner(&id.owner)?, dseq: dseq(id.dseq)? };
        Ok(deployment.group(from_one("gseq", id.gseq)?))
    }
}

impl TryFrom<&wire::OrderId> for OrderId {
    type Error = String;
    fn try_from(id: &wire::OrderId) -> Result<Self, String> {
        let deployment = DeploymentId { owner: owner(&id.owner)?, dseq: dseq(id.dseq)? };
        Ok(deployment.group(from_one("gseq", id.gseq)?).order(from_one("oseq", id.oseq)?))
    }
}

impl TryFrom<&wire::BidId> for BidId {
    type Error = String;
    fn try_from(id: &wire::BidId) -> Result<Self, String> {
        let deployment = DeploymentId { owner: owner(&id.owner)?, dseq: dseq(id.dseq)? };
        let order = deployment.group(from_one("gseq", id.gseq)?).order(from_one("oseq", id.oseq)?);
        Ok(order.bid(id.provider.parse().map_err(|e| format!("provider: {e}"))?))
    }
}

fn owner(text: &str) -> Result<Address, String> {
    text.parse().map_err(|e| format!("owner: {e}"))
}

fn dseq(n: u64) -> Result<u64, String> {
    if n == 0 || n >= MAX_DSEQ {
        return Err(format!("dseq: expected 1 to {}, got {n}", MAX_DSEQ - 1));
    }
    Ok(n)
}

fn from_one(name: &str, n: u32) -> Result<u32, String> {
    if n == 0 {
        return Err(format!("{name}: expected a number from 1, got 0"));
    }
    Ok(n)
}
