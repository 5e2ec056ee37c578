//! What the chain knows of its own blocks: consensus parameters and the newest block's height and time. As rows they
//! have versions, so that a query at an old height has that block's time.

use kernel::{BlockInfo, Bytes, Ctx, Error, Fault, Item, Namespace, Value, View};
use prost::Message;
use tendermint_proto::v0_38::types::ConsensusParams;

pub struct Consensus {
    params: Item<ConsensusParams>,
    block: Item<Stamp>,
}

/// A [`BlockInfo`] as a row: height ‖ time ‖ chain id.
struct Stamp(BlockInfo);

impl Value for Stamp {
    fn encode(&self) -> Bytes {
        let BlockInfo { chain_id, height, time_ms } = &self.0;
        [&height.to_be_bytes()[..], &time_ms.to_be_bytes(), chain_id.as_bytes()].concat()
    }
    fn decode(b: &[u8]) -> Option<Self> {
        let (height, rest) = b.split_first_chunk()?;
        let (time, chain_id) = rest.split_first_chunk()?;
        Some(Stamp(BlockInfo {
            chain_id: String::from_utf8(chain_id.to_vec()).ok()?,
            height: u64::from_be_bytes(*height),
            time_ms: u64::from_be_bytes(*time),
        }))
    }
}

impl Consensus {
    pub fn new(ns: Namespace) -> Self {
        Consensus { params: Item::new(&ns, b'C'), block: Item::new(&ns, b'B') }
    }

    pub fn params(&self, view: &View) -> Result<ConsensusParams, Fault> {
        Ok(self.params.get(view)?.unwrap_or_default())
    }

    pub fn set_params(&self, ctx: &mut Ctx, params: &ConsensusParams) -> Result<(), Fault> {
        match params.encoded_len() {
            0 => Ok(()),
            _ => self.params.save(ctx, params),
        }
    }

    pub fn block(&self, view: &View) -> Result<BlockInfo, Fault> {
        Ok(self.block.get(view)?.map(|s| s.0).unwrap_or_default())
    }

    pub fn set_block(&self, ctx: &mut Ctx, block: BlockInfo) -> Result<(), Error> {
        Ok(self.block.save(ctx, &Stamp(block))?)
    }
}
