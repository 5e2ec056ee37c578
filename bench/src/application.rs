//! Bank sends on the application alone: what a transaction costs in each phase.

use crate::chain::{CHAIN, Chain, Phase, micros};
use crate::load;
use anyhow::{Context, ensure};
use bytes::Bytes;
use secp256k1::{Message, PublicKey, Secp256k1, VerifyOnly, ecdsa};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tendermint_abci::Application;
use tendermint_proto::v0_38::abci::{RequestCheckTx, RequestPrepareProposal, RequestProcessProposal};

/// CheckTx requests that are read from the socket at once.
const BATCH: usize = 64;
/// Blocks before those that are measured: memory is asked of the system and accounts are read from the database.
const WARM_UP: usize = 2;

pub fn run(accounts: usize, blocks: usize, txs_per_block: usize) -> anyhow::Result<()> {
    let mut chain = Chain::new(accounts, load::FUNDS, "0.025uve")?;
    let keys = load::keys(accounts);
    let count = (WARM_UP + blocks) * txs_per_block;
    let all: Vec<Bytes> = load::sends(CHAIN, 1, &keys, 0..count.div_ceil(accounts)).into_iter().take(count).map(Bytes::from).collect();
    let signatures = Signatures::of(&keys)?;
    let mut measured = Vec::new();
    for txs in all.chunks(txs_per_block) {
        let mut block = Block { signature: signatures.verify()?, ..Block::default() };
        let [check, proposal, finalize, commit] = &mut block.phases;
        check.time(|| -> anyhow::Result<()> {
            for batch in txs.chunks(BATCH) {
                chain.app.prefetch(batch);
                for tx in batch {
                    let answer = chain.app.check_tx(RequestCheckTx { tx: tx.clone(), r#type: 0 });
                    ensure!(answer.code == 0, "CheckTx: {}", answer.log);
                }
            }
            Ok(())
        })?;
        proposal.time(|| {
            chain.app.prepare_proposal(RequestPrepareProposal { txs: txs.to_vec(), max_tx_bytes: i64::MAX, ..Default::default() });
            chain.app.process_proposal(RequestProcessProposal { txs: txs.to_vec(), ..Default::default() });
        });
        finalize.time(|| chain.finalize(txs.to_vec()))?;
        commit.time(|| chain.commit());
        measured.push(block);
    }
    measured.drain(..WARM_UP);
    let mut mean = Block::default();
    for block in &measured {
        mean.signature += block.signature / u32::try_from(measured.len())?;
        mean.phases.iter_mut().zip(&block.phases).for_each(|(sum, phase)| sum.add(phase));
    }
    measured.sort_by_key(|block| block.total().cpu);
    let [quietest, median] = [0, measured.len() / 2].map(|at| measured.get(at).context("blocks: expected at least one"));
    let report = json!({
        "what": "bank sends, application alone, µs per transaction",
        "transactions": blocks * txs_per_block, "accounts": accounts, "per_block": txs_per_block,
        "mean": mean.json(blocks * txs_per_block), "median_block": median?.json(txs_per_block), "quietest_block": quietest?.json(txs_per_block),
    });
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}

/// CheckTx, proposal, FinalizeBlock and Commit of one block; and what libsecp256k1 took for a signature just before, by
/// which the machine's speed of the moment can be told.
#[derive(Default)]
struct Block {
    signature: Duration,
    phases: [Phase; 4],
}

impl Block {
    fn total(&self) -> Phase {
        let mut total = Phase::default();
        self.phases.iter().for_each(|phase| total.add(phase));
        total
    }

    fn json(&self, count: usize) -> Value {
        let [check, proposal, finalize, commit] = self.phases.map(|phase| phase.json(count));
        json!({
            "check": check, "proposal": proposal, "finalize": finalize, "commit": commit, "total": self.total().json(count),
            "signature_alone_us": micros(self.signature, 1),
        })
    }
}

/// Some signatures of one digest.
struct Signatures {
    secp: Secp256k1<VerifyOnly>,
    digest: Message,
    all: Vec<(PublicKey, ecdsa::Signature)>,
}

impl Signatures {
    fn of(keys: &[load::Key]) -> anyhow::Result<Self> {
        const SAMPLE: usize = 200;
        let digest = [7; 32];
        let signed =
            |key: &load::Key| Ok((PublicKey::from_slice(&key.public)?, ecdsa::Signature::from_compact(&key.sign_digest(&digest))?));
        let all = keys.iter().cycle().take(SAMPLE).map(signed).collect::<anyhow::Result<_>>()?;
        Ok(Signatures { secp: Secp256k1::verification_only(), digest: Message::from_digest(digest), all })
    }

    /// How long libsecp256k1 takes to verify one, on one thread.
    fn verify(&self) -> anyhow::Result<Duration> {
        let start = Instant::now();
        for (key, signature) in &self.all {
            self.secp.verify_ecdsa(self.digest, signature, key)?;
        }
        Ok(start.elapsed() / u32::try_from(self.all.len())?)
    }
}
