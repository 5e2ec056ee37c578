//! Random histories against the whole application, foretold by a second implementation.
//!
//! * [`generate`] makes a history out of a seed: parameters, balances, and blocks of transactions at block times from one
//!   millisecond to weeks apart, often exactly when something is due. Messages are those of the market, of deployments,
//!   escrow, providers, recipient keys and the bank, valid and invalid, by many actors.
//! * [`model`] says what each transaction and each block will do. It is written without what makes the chain fast: no
//!   indexes, no queues, no R, S and F; it looks at every lease. It never sees the application.
//! * [`run`] drives the application through InitChain, CheckTx, PrepareProposal, ProcessProposal, FinalizeBlock, Commit,
//!   Query and Info, with restarts, executions that are given up, and export and import in between. After each block every
//!   balance, every result and answer must be as foretold and every invariant must hold; every few blocks so must the
//!   lists of deployments, groups, orders, bids and leases.
//! * One seed in eight is run with so small a budget for the end of blocks that work is left to later blocks. When it is
//!   done cannot be foretold simply; there, sums and invariants must hold, nobody pays more than price × time, and in the
//!   end nothing may be left.
//! * [`shrink`] makes a failing history short.
//!
//! Nothing here decides by itself what is right: where model and chain differ, the specification does.

pub mod actors;
pub mod generate;
pub mod model;
pub mod random;
pub mod run;
pub mod shrink;
pub mod wire;

use generate::{Block, World, history};
use run::{Failure, Stats, run};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once};
use std::time::Duration;

/// How long each history is.
#[derive(Debug, Clone, Copy)]
pub struct Length {
    pub blocks: usize,
    /// Messages per block, on average.
    pub ops: u64,
}

/// A seed that failed.
#[derive(Debug, Clone)]
pub struct Found {
    pub seed: u64,
    pub length: Length,
    pub failure: Failure,
}

impl Found {
    /// The command that shows it again.
    pub fn command(&self) -> String {
        let Length { blocks, ops } = self.length;
        format!("cargo run --release -p sim -- replay --seed {} --blocks {blocks} --ops {ops}", self.seed)
    }

    /// The shortest history that is found in `patience`, as text to read and to run again.
    pub fn short(&self, patience: Duration) -> (Vec<Block>, Failure) {
        let (world, blocks) = history(self.seed, self.length.blocks, self.length.ops);
        shrink::shrink(&world, &blocks, self.failure.clone(), patience)
    }
}

/// One line per block and transaction.
pub fn describe(history: &[Block]) -> String {
    let mut out = String::new();
    for (i, block) in history.iter().enumerate() {
        let flags = [(block.restart, " restart"), (block.reimport, " reimport"), (block.rehearse, " rehearse")];
        let flags: String = flags.iter().filter(|f| f.0).map(|f| f.1).collect();
        out += &format!("block {i}: +{} ms{flags}\n", block.dt);
        for tx in &block.txs {
            out += &format!("  user {}: {:?} fee {} {:?}\n", tx.signer, tx.msgs, tx.fee, tx.fault);
        }
    }
    out
}

/// How often each kind of message is foretold to succeed, and why others are refused.
pub fn tally(world: &World, history: &[Block]) -> BTreeMap<String, u64> {
    let (mut model, mut tally) = (world.model(), BTreeMap::new());
    for block in history {
        model.now += block.dt;
        for tx in &block.txs {
            let outcome = model.deliver(tx).err().unwrap_or("accepted");
            let kind = format!("{:?}", tx.msgs[0]);
            let kind = kind.split([' ', '{']).next().unwrap_or_default();
            *tally.entry(format!("{kind}: {outcome}")).or_default() += 1;
        }
        model.end_block();
    }
    tally
}

/// Runs seeds on `jobs` threads until all are through or one fails; `done` hears of each.
pub fn run_seeds(
    seeds: impl Iterator<Item = u64> + Send,
    length: Length,
    jobs: usize,
    done: impl Fn(u64, Stats) + Sync,
) -> Result<Stats, Found> {
    let (seeds, total, found) = (Mutex::new(seeds), Mutex::new(Stats::default()), Mutex::new(None::<Found>));
    let stop = AtomicBool::new(false);
    let work = || {
        // A pool of one thread: parallelism inside a block would only take cores from other seeds.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool of threads");
        pool.install(|| {
            while !stop.load(Ordering::Relaxed) {
                let Some(seed) = seeds.lock().expect("no panic").next() else { return };
                let (world, blocks) = history(seed, length.blocks, length.ops);
                match run(&world, &blocks) {
                    Ok(stats) => {
                        *total.lock().expect("no panic") += stats;
                        done(seed, stats);
                    }
                    Err(failure) => {
                        stop.store(true, Ordering::Relaxed);
                        found.lock().expect("no panic").get_or_insert(Found { seed, length, failure });
                    }
                }
            }
        });
    };
    std::thread::scope(|scope| (0..jobs).for_each(|_| drop(scope.spawn(work))));
    let total = total.into_inner().expect("no panic");
    match found.into_inner().expect("no panic") {
        Some(found) => Err(found),
        None => Ok(total),
    }
}

/// Panics are failures that are reported in their place; without this each would be printed.
pub fn keep_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(|_| {})));
}
