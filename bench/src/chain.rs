//! The application alone, driven by the calls that CometBFT makes, with a clock of its own.

use crate::load;
use anyhow::ensure;
use app::{App, Config, GasPrices};
use bytes::Bytes;
use proto::Timestamp;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tendermint_abci::Application;
use tendermint_proto::v0_38::abci::{RequestFinalizeBlock, RequestInitChain, ResponseFinalizeBlock};

pub const CHAIN: &str = "bench-1";

/// Wall and processor time that was spent on one thing.
#[derive(Default, Clone, Copy)]
pub struct Phase {
    pub wall: Duration,
    pub cpu: Duration,
}

/// What the threads of this process have spent on processors.
pub fn cpu() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    threads.map(|thread| scheduled(&thread.path(), 1)).sum()
}

/// What this thread has spent on processors and waiting for one.
pub fn runnable() -> Duration {
    scheduled(Path::new("/proc/thread-self"), 2)
}

/// The sum of a thread's first `times`: on processors, waiting for one. Nothing of a thread that has ended.
fn scheduled(thread: &Path, times: usize) -> Duration {
    let all = std::fs::read_to_string(thread.join("schedstat")).unwrap_or_default();
    Duration::from_nanos(all.split_whitespace().take(times).filter_map(|time| time.parse::<u64>().ok()).sum())
}

impl Phase {
    pub fn time<T>(&mut self, f: impl FnOnce() -> T) -> T {
        let before = cpu();
        let wall = Instant::now();
        let result = f();
        self.wall += wall.elapsed();
        self.cpu += cpu().saturating_sub(before);
        result
    }

    pub fn add(&mut self, other: &Phase) {
        self.wall += other.wall;
        self.cpu += other.cpu;
    }

    /// Per transaction or message, in µs.
    pub fn json(&self, count: usize) -> Value {
        json!({ "wall_us": micros(self.wall, count), "cpu_us": micros(self.cpu, count) })
    }
}

/// What each of `count` took, in µs with two places.
pub fn micros(all: Duration, count: usize) -> f64 {
    (all.as_secs_f64() * 1e8 / count as f64).round() / 100.0
}

/// A chain in a directory that goes with it.
pub struct Chain {
    pub app: App,
    pub height: u64,
    pub time_ms: u64,
    _dir: TempDir,
}

impl Chain {
    /// With the accounts of [`load`], each with `funds` uve, numbered from 1, and the mempool's least gas price.
    pub fn new(accounts: usize, funds: u64, price: &str) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let config = Config { min_gas_prices: GasPrices::parse(price).expect("a price"), ..Config::default() };
        let app = App::open(dir.path(), config).map_err(|e| anyhow::anyhow!("{e}"))?;
        let keys = load::keys(accounts);
        let accs: Vec<_> = keys
            .iter()
            .map(|k| json!({ "@type": "/cosmos.auth.v1beta1.BaseAccount", "address": k.address.to_string(), "pub_key": null, "account_number": "0", "sequence": "0" }))
            .collect();
        let state = json!({ "auth": { "accounts": accs }, "bank": { "balances": load::balances(&keys, funds) } });
        let mut chain = Chain { app, height: 0, time_ms: 1_800_000_000_000, _dir: dir };
        chain.app.init_chain(RequestInitChain {
            chain_id: CHAIN.into(),
            time: chain.timestamp(),
            app_state_bytes: state.to_string().into_bytes().into(),
            initial_height: 1,
            ..Default::default()
        });
        chain.block(Vec::new())?;
        Ok(chain)
    }

    fn timestamp(&self) -> Option<Timestamp> {
        Some(proto::timestamp(self.time_ms))
    }

    /// FinalizeBlock alone, a millisecond later; [`Chain::commit`] has to follow.
    pub fn finalize(&mut self, txs: Vec<Bytes>) -> anyhow::Result<ResponseFinalizeBlock> {
        self.height += 1;
        self.time_ms += 1;
        let request = RequestFinalizeBlock { height: self.height as i64, time: self.timestamp(), txs, ..Default::default() };
        let answer = self.app.finalize_block(request);
        if let Some(failed) = answer.tx_results.iter().find(|r| r.code != 0) {
            anyhow::bail!("a transaction failed: {}", failed.log);
        }
        Ok(answer)
    }

    pub fn commit(&self) {
        self.app.commit();
    }

    /// A whole block.
    pub fn make(&mut self, txs: Vec<Bytes>) -> anyhow::Result<ResponseFinalizeBlock> {
        let answer = self.finalize(txs)?;
        self.commit();
        Ok(answer)
    }

    /// A whole block and the time that it took.
    pub fn block(&mut self, txs: Vec<Bytes>) -> anyhow::Result<(ResponseFinalizeBlock, Phase)> {
        let mut phase = Phase::default();
        let answer = phase.time(|| self.make(txs))?;
        Ok((answer, phase))
    }

    /// Fails if money or an index is not as it has to be.
    pub fn check(&self) -> anyhow::Result<()> {
        let broken = self.app.broken().map_err(|e| anyhow::anyhow!("{}", e.log))?;
        ensure!(broken.is_empty(), "broken: {broken:?}");
        Ok(())
    }
}
