//! What was read lately, in memory.
//!
//! Rows: a point read out of RocksDB takes microseconds, one from here a tenth.
//! Heads of queues: what a queue's first entries were stays in RocksDB as tombstones until it compacts, and every look at
//! the head would walk over all of them; where a collection begins is remembered instead.
//!
//! A value is kept with the height since which it is the newest, so that a reader of an older version passes it by.
//! Commits update what is here and add nothing: a key that a block writes was read by it.

use std::{
    collections::HashMap,
    mem,
    sync::atomic::{AtomicU64, Ordering},
};

use kernel::{Bytes, Writes};
use parking_lot::Mutex;

const SHARDS: usize = 16;
/// Of a row beside key and value: the map's slot and the allocator's rounding.
const OVERHEAD: usize = 100;

pub struct Cache {
    /// Height of the newest version.
    height: AtomicU64,
    shards: [Mutex<Shard>; SHARDS],
    heads: Mutex<HashMap<[u8; PREFIX], Head>>,
    /// Bytes at which a shard drops the rows that were not read since it did so last.
    limit: usize,
}

/// Two generations: what is read moves to the young one; when that is full, the old one is dropped.
#[derive(Default)]
struct Shard {
    young: HashMap<Bytes, Row>,
    old: HashMap<Bytes, Row>,
    bytes: usize,
}

/// The first bytes of all keys of a collection: kind, store, number.
const PREFIX: usize = 3;

/// Since this height there is no key of the collection before `first`.
struct Head {
    since: u64,
    first: Bytes,
}

struct Row {
    since: u64,
    value: Option<Bytes>,
}

impl Cache {
    pub fn new(height: u64, bytes: usize) -> Self {
        Cache { height: height.into(), shards: Default::default(), heads: Mutex::default(), limit: bytes / SHARDS / 2 }
    }

    fn shard(&self, key: &[u8]) -> &Mutex<Shard> {
        &self.shards[usize::from(key.iter().fold(0, |all, byte| all ^ byte)) % SHARDS]
    }

    /// The value at `height`, if it is here: none within if the key is absent.
    pub fn get(&self, key: &[u8], height: u64) -> Option<Option<Bytes>> {
        let mut shard = self.shard(key).lock();
        if let Some(row) = shard.young.get(key) {
            return (row.since <= height).then(|| row.value.clone());
        }
        let (key, row) = shard.old.remove_entry(key)?;
        let value = (row.since <= height).then(|| row.value.clone());
        shard.insert(key, row, self.limit);
        value
    }

    /// Keeps what was read at `height`, unless a newer version is committed already.
    pub fn fill(&self, key: &[u8], value: &Option<Bytes>, height: u64) {
        let mut shard = self.shard(key).lock();
        // Under the lock: if a commit moves on after this, it has yet to visit this shard for the keys it writes.
        if self.height.load(Ordering::SeqCst) == height {
            shard.insert(key.into(), Row { since: height, value: value.clone() }, self.limit);
        }
    }

    /// Where to look for the first key of the collection of which `lo` is the prefix; None if it is not known or `lo` is
    /// something else.
    pub fn head(&self, lo: &[u8], height: u64) -> Option<Bytes> {
        let prefix = <[u8; PREFIX]>::try_from(lo).ok()?;
        let heads = self.heads.lock();
        let head = heads.get(&prefix)?;
        (head.since <= height).then(|| head.first.clone())
    }

    /// Keeps that at `height` the collection of which `lo` is the prefix has no key before `first`.
    pub fn set_head(&self, lo: &[u8], first: &[u8], height: u64) {
        let Ok(prefix) = <[u8; PREFIX]>::try_from(lo) else { return };
        // Only writes to the collection move its head, so it says nothing of what comes after the collection.
        let end = (u32::from_be_bytes([0, prefix[0], prefix[1], prefix[2]]) + 1).to_be_bytes();
        let first = if first.starts_with(lo) { first } else { first.min(&end[1..]) };
        let mut heads = self.heads.lock();
        // Under the lock, as in fill.
        if self.height.load(Ordering::SeqCst) == height {
            heads.insert(prefix, Head { since: height, first: first.into() });
        }
    }

    /// Moves on to what was committed as `height`, before anybody reads that version.
    pub fn advance(&self, height: u64, writes: &Writes) {
        self.height.store(height, Ordering::SeqCst);
        let mut heads = self.heads.lock();
        for (key, value) in writes {
            if let (Some(_), Some(prefix)) = (value, key.first_chunk())
                && let Some(head) = heads.get_mut(prefix)
                && *key < head.first
            {
                head.first.clone_from(key);
            }
            let mut shard = self.shard(key).lock();
            let Shard { young, old, .. } = &mut *shard;
            if let Some(row) = young.get_mut(key).or_else(|| old.get_mut(key)) {
                *row = Row { since: height, value: value.clone() };
            }
        }
    }
}

impl Shard {
    fn insert(&mut self, key: Bytes, row: Row, limit: usize) {
        let bytes = key.len() + row.value.as_ref().map_or(0, Vec::len) + OVERHEAD;
        if self.bytes + bytes > limit {
            self.old = mem::take(&mut self.young);
            self.bytes = 0;
        }
        // A row too large for the cache would only push out the others.
        if bytes <= limit {
            self.bytes += bytes;
            self.young.insert(key, row);
        }
    }
}
