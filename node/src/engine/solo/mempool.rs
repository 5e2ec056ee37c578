//! Transactions that wait for a block, in the order in which they came, with CometBFT's default limits and its words.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;

use super::store::TxHash;

/// `mempool.size`: transactions that may wait.
const MAX_TXS: usize = 5000;
/// `mempool.max_tx_bytes`.
const MAX_TX_BYTES: usize = 1 << 20;
/// `mempool.max_txs_bytes`.
const MAX_TXS_BYTES: usize = 1 << 30;
/// `mempool.cache_size`: hashes that are remembered, so that a transaction is not taken twice.
const CACHE: usize = 10_000;

#[derive(Default)]
pub struct Mempool {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    seen: HashSet<TxHash>,
    oldest: VecDeque<TxHash>,
}

pub struct Waiting {
    pub hash: TxHash,
    pub tx: Bytes,
    pub gas: i64,
}

impl Mempool {
    /// Notes that `tx` is about to be checked.
    ///
    /// # Errors
    /// CometBFT's message where it may not be.
    pub fn admit(&mut self, hash: TxHash, tx: &Bytes) -> Result<(), String> {
        let (txs, bytes) = (self.waiting.len(), self.bytes);
        if txs >= MAX_TXS || bytes + tx.len() > MAX_TXS_BYTES {
            return Err(format!("mempool is full: number of txs {txs} (max: {MAX_TXS}), total txs bytes {bytes} (max: {MAX_TXS_BYTES})"));
        }
        if tx.len() > MAX_TX_BYTES {
            return Err(format!("Tx too large. Max size is {MAX_TX_BYTES}, but got {}", tx.len()));
        }
        if !self.seen.insert(hash) {
            return Err("tx already exists in cache".into());
        }
        self.oldest.push_back(hash);
        if self.oldest.len() > CACHE
            && let Some(forgotten) = self.oldest.pop_front()
        {
            self.seen.remove(&forgotten);
        }
        Ok(())
    }

    /// Takes a transaction that was admitted and checked.
    pub fn push(&mut self, waiting: Waiting) {
        self.bytes += waiting.tx.len();
        self.waiting.push_back(waiting);
    }

    /// Lets a transaction that was refused come again.
    pub fn forget(&mut self, hash: &TxHash) {
        if self.seen.remove(hash) {
            self.oldest.retain(|seen| seen != hash);
        }
    }

    /// The first transactions that fit; negative limits mean none.
    pub fn reap(&self, max_bytes: i64, max_gas: i64) -> Vec<Bytes> {
        let (mut bytes, mut gas) = (0_i64, 0_i64);
        self.waiting
            .iter()
            .take_while(|w| {
                bytes = bytes.saturating_add(framed(w.tx.len()));
                gas = gas.saturating_add(w.gas);
                (max_bytes < 0 || bytes <= max_bytes) && (max_gas < 0 || gas <= max_gas)
            })
            .map(|w| w.tx.clone())
            .collect()
    }

    /// Removes what was committed, then whatever `check` refuses.
    pub fn update(&mut self, committed: &HashSet<TxHash>, check: impl Fn(&Waiting) -> bool) {
        for waiting in std::mem::take(&mut self.waiting) {
            if committed.contains(&waiting.hash) {
                self.bytes -= waiting.tx.len();
            } else if check(&waiting) {
                self.waiting.push_back(waiting);
            } else {
                self.bytes -= waiting.tx.len();
                self.forget(&waiting.hash);
            }
        }
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.waiting.iter()
    }
}

/// Bytes that a transaction takes in a block: itself, its length and a tag.
pub fn framed(length: usize) -> i64 {
    (1 + prost::length_delimiter_len(length) + length) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(count: u8) -> Mempool {
        let mut pool = Mempool::default();
        for i in 0..count {
            let tx = Bytes::from(vec![i; 8]);
            pool.admit([i; 32], &tx).unwrap();
            pool.push(Waiting { hash: [i; 32], tx, gas: 10 });
        }
        pool
    }

    #[test]
    fn a_transaction_comes_once_unless_it_was_refused() {
        let mut pool = filled(3);
        let tx = Bytes::from(vec![1; 8]);
        assert_eq!(pool.admit([1; 32], &tx).unwrap_err(), "tx already exists in cache");
        pool.update(&HashSet::from([[0; 32]]), |w| w.hash != [1; 32]);
        assert_eq!((pool.len(), pool.bytes()), (1, 8));
        assert!(pool.admit([0; 32], &tx).is_err(), "committed");
        pool.admit([1; 32], &tx).unwrap();
    }

    #[test]
    fn a_block_takes_the_first_that_fit_by_bytes_and_gas() {
        let pool = filled(5);
        assert_eq!(pool.reap(-1, -1).len(), 5);
        assert_eq!(pool.reap(20, -1), [vec![0; 8], vec![1; 8]]);
        assert_eq!(pool.reap(19, -1).len(), 1);
        assert_eq!(pool.reap(-1, 35).len(), 3);
    }

    #[test]
    fn what_is_too_large_or_too_much_is_refused() {
        let mut pool = Mempool::default();
        let large = Bytes::from(vec![0; MAX_TX_BYTES + 1]);
        assert!(pool.admit([0; 32], &large).unwrap_err().starts_with("Tx too large"));
        for i in 0..MAX_TXS {
            pool.push(Waiting { hash: [0; 32], tx: Bytes::from(vec![i as u8]), gas: 0 });
        }
        assert!(pool.admit([0; 32], &Bytes::new()).unwrap_err().starts_with("mempool is full: number of txs 5000"));
    }
}
