//! Bank sends on the application alone: what a transaction costs in each phase.

use crate::chain::{CHAIN, Chain, Phase};
use crate::load;
use anyhow::ensure;
use bytes::Bytes;
use serde_json::json;
use tendermint_abci::Application;
use tendermint_proto::v0_38::abci::{RequestCheckTx, RequestPrepareProposal, RequestProcessProposal};

/// CheckTx requests that are read from the socket at once.
const BATCH: usize = 64;

pub fn run(accounts: usize, blocks: usize, txs_per_block: usize) -> anyhow::Result<()> {
    let mut chain = Chain::new(accounts, load::FUNDS, "0.025uve")?;
    let [mut check, mut proposal, mut block, mut commit] = [Phase::default(); 4];
    let rounds = (blocks * txs_per_block).div_ceil(accounts);
    let all: Vec<Bytes> =
        load::sends(CHAIN, 1, &load::keys(accounts), 0..rounds).into_iter().take(blocks * txs_per_block).map(Bytes::from).collect();
    let count = all.len();
    for txs in all.chunks(txs_per_block) {
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
        block.time(|| chain.finalize(txs.to_vec()))?;
        commit.time(|| chain.commit());
    }
    let mut total = Phase::default();
    for phase in [&check, &proposal, &block, &commit] {
        total.wall += phase.wall;
        total.cpu += phase.cpu;
    }
    let report = json!({
        "what": "bank sends, application alone, µs per transaction",
        "transactions": count, "accounts": accounts, "per_block": txs_per_block,
        "check": check.json(count), "proposal": proposal.json(count), "finalize": block.json(count), "commit": commit.json(count),
        "total": total.json(count),
    });
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
