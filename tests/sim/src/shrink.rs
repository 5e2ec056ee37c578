//! A short history that still fails: blocks lose their messages, transactions leave, what is special about a block goes.

use crate::generate::{Block, World};
use crate::model::Msg;
use crate::run::{Failure, run};
use std::time::{Duration, Instant};

/// The shortest history found before `patience` is over, and how it fails.
pub fn shrink(world: &World, history: &[Block], failure: Failure, patience: Duration) -> (Vec<Block>, Failure) {
    let mut best = Shrinker { world, history: Vec::new(), failure: failure.clone(), until: Instant::now() + patience };
    best.history = history[..=failure.block.min(history.len() - 1)].to_vec();
    loop {
        let before = size(&best.history);
        best.drop_in_chunks();
        best.simplify();
        if size(&best.history) == before || Instant::now() >= best.until {
            return (best.history, best.failure);
        }
    }
}

fn size(history: &[Block]) -> (usize, usize) {
    (history.len(), history.iter().map(|b| b.txs.iter().map(|tx| tx.msgs.len()).sum::<usize>()).sum())
}

struct Shrinker<'a> {
    world: &'a World,
    history: Vec<Block>,
    failure: Failure,
    until: Instant,
}

impl Shrinker<'_> {
    /// Takes a history over if it fails.
    fn attempt(&mut self, history: Vec<Block>) -> bool {
        if history.is_empty() || history == self.history || Instant::now() >= self.until {
            return false;
        }
        let Err(failure) = run(self.world, &history) else { return false };
        self.history = history;
        self.history.truncate(failure.block + 1);
        self.failure = failure;
        true
    }

    /// Leaves out ever smaller runs of blocks, and then of transactions. A block that leaves gives its time to the next.
    fn drop_in_chunks(&mut self) {
        let mut chunk = self.history.len().div_ceil(2);
        while chunk > 0 {
            let mut at = 0;
            while at < self.history.len() {
                let end = (at + chunk).min(self.history.len());
                let mut rest = self.history.clone();
                let time: u64 = rest.drain(at..end).map(|b| b.dt).sum();
                if let Some(next) = rest.get_mut(at) {
                    next.dt += time;
                }
                if !self.attempt(rest) {
                    at += chunk;
                }
            }
            chunk /= 2;
        }
        let places =
            |h: &[Block]| h.iter().enumerate().flat_map(|(b, block)| (0..block.txs.len()).map(move |t| (b, t))).collect::<Vec<_>>();
        let mut chunk = places(&self.history).len().div_ceil(2);
        while chunk > 0 {
            let mut at = 0;
            loop {
                let all = places(&self.history);
                let Some(gone) = all.get(at..(at + chunk).min(all.len())).filter(|gone| !gone.is_empty()) else { break };
                let mut rest = self.history.clone();
                for (b, t) in gone.iter().rev() {
                    rest[*b].txs.remove(*t);
                }
                if !self.attempt(rest) {
                    at += chunk;
                }
            }
            chunk /= 2;
        }
    }

    fn simplify(&mut self) {
        for b in 0..self.history.len() {
            let plain = |block: &Block| Block { restart: false, reimport: false, rehearse: false, ..block.clone() };
            self.change(b, plain);
            let mut t = 0;
            while self.history.get(b).is_some_and(|block| t < block.txs.len()) {
                self.change(b, |block| {
                    let mut block = block.clone();
                    (block.txs[t].checked, block.txs[t].fault, block.txs[t].fee) = (false, None, 0);
                    block
                });
                let mut m = 0;
                while self.history.get(b).is_some_and(|block| t < block.txs.len() && m < block.txs[t].msgs.len()) {
                    let shorter = self.change(b, |block| {
                        let mut block = block.clone();
                        if block.txs[t].msgs.len() > 1 {
                            block.txs[t].msgs.remove(m);
                        } else if let Msg::SubmitUsage { records } = &mut block.txs[t].msgs[m] {
                            records.truncate(1);
                        }
                        block
                    });
                    m += usize::from(!shorter);
                }
                t += 1;
            }
        }
    }

    fn change(&mut self, b: usize, f: impl FnOnce(&Block) -> Block) -> bool {
        let Some(block) = self.history.get(b) else { return false };
        let mut changed = self.history.clone();
        changed[b] = f(block);
        self.attempt(changed)
    }
}
