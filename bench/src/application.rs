//! The application alone, through the calls that CometBFT makes: what a transaction costs in each phase.

use crate::load;
use anyhow::{Context, ensure};
use app::{App, Config, GasPrices};
use bytes::Bytes;
use serde_json::json;
use std::time::{Duration, Instant};
use tendermint_abci::Application;
use tendermint_proto::google::protobuf::Timestamp;
use tendermint_proto::v0_38::abci::{
    RequestCheckTx, RequestFinalizeBlock, RequestInitChain, RequestPrepareProposal, RequestProcessProposal,
};

const CHAIN: &str = "bench-1";
/// CheckTx requests that are read from the socket at once.
const BATCH: usize = 64;

#[derive(Default)]
struct Phase {
    wall: Duration,
    cpu: Duration,
}

/// User and system time of this process.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = [11, 12].iter().filter_map(|i| fields.get(*i)?.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

impl Phase {
    fn time<T>(&mut self, f: impl FnOnce() -> T) -> T {
        let (wall, before) = (Instant::now(), cpu());
        let result = f();
        self.wall += wall.elapsed();
        self.cpu += cpu().saturating_sub(before);
        result
    }

    fn json(&self, txs: usize) -> serde_json::Value {
        let per = |d: Duration| (d.as_secs_f64() * 1e8 / txs as f64).round() / 100.0;
        json!({ "wall_us": per(self.wall), "cpu_us": per(self.cpu) })
    }
}

pub fn run(accounts: usize, blocks: usize, txs_per_block: usize) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let config = Config { min_gas_prices: GasPrices::parse("0.025uve").expect("a price"), ..Config::default() };
    let app = App::open(dir.path(), config).map_err(|e| anyhow::anyhow!("{e}"))?;
    let keys = load::keys(accounts);
    let balances: Vec<_> = load::accounts(accounts).as_array().context("a list")?.clone();
    let accs: Vec<_> = keys
        .iter()
        .map(|k| json!({ "@type": "/cosmos.auth.v1beta1.BaseAccount", "address": k.address.to_string(), "pub_key": null, "account_number": "0", "sequence": "0" }))
        .collect();
    let state = json!({ "auth": { "accounts": accs }, "bank": { "balances": balances } });
    let time = |height: usize| Some(Timestamp { seconds: 1_800_000_000 + height as i64, nanos: 0 });
    app.init_chain(RequestInitChain {
        chain_id: CHAIN.into(),
        time: time(0),
        app_state_bytes: state.to_string().into_bytes().into(),
        initial_height: 1,
        ..Default::default()
    });
    let finalize =
        |height: usize, txs: Vec<Bytes>| RequestFinalizeBlock { height: height as i64, time: time(height), txs, ..Default::default() };
    app.finalize_block(finalize(1, Vec::new()));
    app.commit();

    let [mut check, mut proposal, mut block, mut commit] = [Phase::default(), Phase::default(), Phase::default(), Phase::default()];
    let rounds = (blocks * txs_per_block).div_ceil(accounts);
    let all: Vec<Bytes> = load::sends(CHAIN, 1, &keys, 0..rounds).into_iter().take(blocks * txs_per_block).map(Bytes::from).collect();
    let count = all.len();
    for (i, txs) in all.chunks(txs_per_block).enumerate() {
        let height = i + 2;
        check.time(|| -> anyhow::Result<()> {
            for batch in txs.chunks(BATCH) {
                app.prefetch(batch);
                for tx in batch {
                    let answer = app.check_tx(RequestCheckTx { tx: tx.clone(), r#type: 0 });
                    ensure!(answer.code == 0, "CheckTx: {}", answer.log);
                }
            }
            Ok(())
        })?;
        proposal.time(|| {
            app.prepare_proposal(RequestPrepareProposal { txs: txs.to_vec(), max_tx_bytes: i64::MAX, ..Default::default() });
            app.process_proposal(RequestProcessProposal { txs: txs.to_vec(), ..Default::default() });
        });
        let answer = block.time(|| app.finalize_block(finalize(height, txs.to_vec())));
        ensure!(answer.tx_results.iter().all(|r| r.code == 0), "a transaction failed");
        commit.time(|| app.commit());
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
