//! The state on disk and its commitment: the newest version flat in RocksDB, older versions as what was overwritten,
//! and Merkle trees of the last versions in memory. docs/store.md describes the layout.
//!
//! [`Store::stage`] computes the app hash of a block and writes nothing; [`Store::commit`] writes everything in one
//! atomic batch. One thread stages and commits; any number read, each a version that does not move. What keys and values
//! mean is not known here.

mod cache;
mod db;
mod error;
mod forest;
mod history;
mod proof;
#[cfg(test)]
mod tests;
mod tree;

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::Arc,
};

use kernel::{Base, Bytes, KIND_ROW, Writes};
use parking_lot::{Mutex, RwLock};
use rayon::prelude::*;
use rocksdb::{DB, ErrorKind, WriteBatch, WriteOptions};

pub use error::{Error, Unavailable};
pub use proof::{OP_TYPE, Proof, ProofOp, specs, specs_json};
pub use tree::Hash;

use cache::Cache;
use db::{CHANGES, HISTORY, META, PREIMAGES, STATE, Snap, column};
use forest::Forest;
use history::{Changes, Keys, Past};
use tree::{Cost, PARALLEL, join, sha256};

/// Rows of [`META`]: ours begin with 0, those of the application with 1.
const TIP: &[u8] = b"\x00tip";
const NAME: &[u8] = b"\x00store";
const EXTRA: &[u8] = b"\x01";
/// How rows are laid out; first in the row of the tip, so that a binary refuses what it would misread.
const LAYOUT: u8 = 1;
/// Entries of the history that a commit drops beyond as many as it writes: what a full block left does not hold up an
/// empty one, and what is behind is caught up with.
const PRUNED_BESIDE: usize = 4_000;

/// What a store holds and how it is kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// Id (second byte of a key) and name (the key of its root under the app hash) of each store.
    pub stores: Vec<(u8, &'static str)>,
    pub tuning: Tuning,
}

/// A node's own settings. They may change from one start to the next and do not change any app hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tuning {
    /// Newest versions that can be proved: at least 1, at most `query_versions`.
    pub proof_versions: u64,
    /// Memory for trees of older versions, in bytes: under heavy load fewer than `proof_versions` can be proved, but
    /// always the last two.
    pub proof_bytes: usize,
    /// Newest versions that can be read, at least 2.
    pub query_versions: u64,
    /// Memory for what was read lately, in bytes: half for rows, half for blocks of the database.
    pub cache_bytes: usize,
    /// Wait at commit until the disk has it. Without, a power failure may lose the last blocks, never parts of one.
    pub sync: bool,
    /// Create the store if the directory is missing or empty.
    pub create: bool,
}

impl Default for Tuning {
    fn default() -> Self {
        Tuning { proof_versions: 100, proof_bytes: 32 << 20, query_versions: 1_000, cache_bytes: 48 << 20, sync: true, create: true }
    }
}

/// A block's effect on the commitment, not yet written.
pub struct Staged {
    base: u64,
    forest: Forest,
    cost: Cost,
    keys: Vec<u64>,
    /// The values before the block, in the order of its writes.
    old: Vec<Option<Bytes>>,
}

impl Staged {
    /// The app hash once this is committed.
    pub fn app_hash(&self) -> Hash {
        self.forest.app_hash()
    }
}

/// Figures for metrics.
#[derive(Debug, Clone)]
pub struct Stats {
    pub height: u64,
    pub oldest_query: u64,
    pub oldest_proof: u64,
    /// Versions that cannot be read any more and whose history is not dropped yet.
    pub unpruned: u64,
    /// Keys under the root, per store.
    pub keys: Vec<(&'static str, u64)>,
    /// Nodes of the newest tree, in bytes, without the allocator's overhead.
    pub tree_bytes: usize,
    /// Nodes that only older versions hold, in bytes, without the allocator's overhead.
    pub old_tree_bytes: usize,
    /// Tables on disk, in bytes.
    pub disk_bytes: u64,
}

/// What was committed last. Immutable: a reader keeps the one it began with.
struct Tip {
    height: u64,
    snap: Arc<Snap>,
    /// The provable versions; the last is that of `height`.
    forests: VecDeque<Arc<Forest>>,
    oldest: u64,
    pruned: Pruned,
    keys: Vec<u64>,
    tree_bytes: usize,
}

/// How far the history is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pruned {
    /// The last commit whose entries are gone.
    height: u64,
    /// Where the keys begin, in the row of the next one's changes, whose entries are still there.
    next: u64,
}

impl Tip {
    fn forest(&self) -> &Forest {
        self.forests.back().expect("the newest version is always kept")
    }

    fn oldest_proof(&self) -> u64 {
        (self.height + 1).saturating_sub(self.forests.len() as u64)
    }

    fn at(&self, height: u64) -> Result<Arc<dyn Base>, Unavailable> {
        if height == self.height {
            return Ok(self.snap.clone());
        }
        self.check("values", height, self.oldest)?;
        Ok(Arc::new(Past { snap: self.snap.clone(), height }))
    }

    fn check(&self, what: &'static str, height: u64, oldest: u64) -> Result<(), Unavailable> {
        if self.height == 0 || height < oldest || height > self.height {
            return Err(Unavailable { what, height, oldest, newest: self.height });
        }
        Ok(())
    }
}

/// The store. Shared by reference; reads never wait for a commit.
pub struct Store {
    db: Arc<DB>,
    cache: Arc<Cache>,
    stores: Vec<(u8, &'static str)>,
    tuning: Tuning,
    tip: RwLock<Arc<Tip>>,
    committing: Mutex<()>,
}

impl Store {
    /// Opens a store and rebuilds its trees, about a second per million keys; the root must be the app hash that was
    /// committed.
    pub fn open(dir: impl Into<PathBuf>, options: Options) -> Result<Self, Error> {
        let dir = dir.into();
        Self::load(&dir, options).map_err(|error| match error {
            Error::Database(error) if error.kind() == ErrorKind::Corruption => Error::Damaged { dir, reason: error.into_string() },
            Error::Corrupt(reason) | Error::Fault(kernel::Fault::Corrupt(reason)) => {
                Error::Damaged { dir, reason: format!("{reason} does not decode") }
            }
            error => error,
        })
    }

    fn load(dir: &Path, Options { stores, mut tuning }: Options) -> Result<Self, Error> {
        tuning.query_versions = tuning.query_versions.max(2);
        tuning.proof_versions = tuning.proof_versions.clamp(1, tuning.query_versions);
        let db = Arc::new(db::open(dir, tuning.create, tuning.cache_bytes / 2)?);
        let (height, app_hash, oldest, pruned) = match db.get(TIP)? {
            None => (0, tree::EMPTY, 0, Pruned { height: 0, next: 0 }),
            Some(tip) => parse_tip(&tip).ok_or_else(|| {
                let reason = format!(
                    "it is not laid out as this version of the program does (layout {LAYOUT}); use the one that wrote it, or \
                     delete the data and let the node replay the chain"
                );
                Error::Foreign { dir: dir.into(), reason }
            })?,
        };
        let cache = Arc::new(Cache::new(height, tuning.cache_bytes / 2));
        let snap = Arc::new(Snap::new(db.clone(), height, cache.clone()));

        for row in snap.rows(META, NAME, &[NAME, &[0xff, 0xff]].concat(), false) {
            let (key, name) = row?;
            let known = |(id, known): &(u8, &str)| key.ends_with(&[*id]) && known.as_bytes() == name;
            if !stores.iter().any(known) {
                let reason = format!(
                    "it has a store {} with the id {}, which this binary does not",
                    String::from_utf8_lossy(&name),
                    key[key.len() - 1],
                );
                return Err(Error::Foreign { dir: dir.into(), reason });
            }
        }

        let (forest, keys, tree_bytes) = Forest::rebuild(&stores, &snap)?;
        expect_root(dir, height, &forest, app_hash)?;
        let mut forests = VecDeque::from([Arc::new(forest)]);
        let mut bytes = 0;
        for height in (oldest..height).rev() {
            if forests.len() as u64 == tuning.proof_versions || bytes > tuning.proof_bytes && forests.len() > 1 {
                break;
            }
            let (older, app_hash, cost) = undo(&stores, &snap, &forests[0], height)?;
            expect_root(dir, height, &older, app_hash)?;
            bytes += cost.made;
            forests[0] = Arc::new(Forest { replaced: cost.made, ..(*forests[0]).clone() });
            forests.push_front(Arc::new(older));
        }
        drop_old(&mut forests, &tuning);

        let tip = Arc::new(Tip { height, snap, forests, oldest, pruned, keys, tree_bytes });
        Ok(Store { db, cache, stores, tuning, tip: RwLock::new(tip), committing: Mutex::new(()) })
    }

    fn tip(&self) -> Arc<Tip> {
        self.tip.read().clone()
    }

    /// The height committed last, 0 if there is none.
    pub fn height(&self) -> u64 {
        self.tip().height
    }

    /// The app hash committed last.
    pub fn app_hash(&self) -> Hash {
        self.tip().forest().app_hash()
    }

    /// Height and app hash of the same commit.
    pub fn committed(&self) -> (u64, Hash) {
        let tip = self.tip();
        (tip.height, tip.forest().app_hash())
    }

    /// The version committed last.
    pub fn latest(&self) -> Arc<dyn Base> {
        self.tip().snap.clone()
    }

    /// The version of a height.
    pub fn at(&self, height: u64) -> Result<Arc<dyn Base>, Unavailable> {
        self.tip().at(height)
    }

    /// What the application stored beside the state with the last commits.
    pub fn meta(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Ok(self.tip().snap.get(META, &[EXTRA, key].concat())?)
    }

    /// Computes what a block would commit. Nothing is written, and a block may be staged any number of times.
    pub fn stage(&self, writes: &Writes) -> Result<Staged, Error> {
        let tip = self.tip();
        let mut rows = Vec::with_capacity(writes.len());
        for (key, value) in writes {
            self.check(key, value.as_deref()).map_err(|reason| Error::Refused { key: key.clone(), reason })?;
            if key[0] == KIND_ROW {
                rows.push((&key[..], value.as_deref()));
            }
        }
        let ((forest, cost), old) = join(writes.len(), || tip.forest().update(&self.stores, &rows), || self.read(&tip.snap, writes));
        let old = old?;
        let mut keys = tip.keys.clone();
        for ((key, new), old) in writes.iter().zip(&old).filter(|((key, _), _)| key[0] == KIND_ROW) {
            let at = self.stores.iter().position(|(id, _)| *id == key[1]).expect("checked");
            keys[at] = keys[at] + u64::from(new.is_some()) - u64::from(old.is_some());
        }
        Ok(Staged { base: tip.height, forest, cost, keys, old })
    }

    fn check(&self, key: &[u8], value: Option<&[u8]>) -> Result<(), &'static str> {
        match key {
            [0 | 1, id, _, ..] if !self.stores.iter().any(|(known, _)| known == id) => Err("unknown store id"),
            [KIND_ROW, _, _, ..] if value.is_some_and(<[u8]>::is_empty) => Err("an empty value cannot be proved"),
            [0 | 1, _, _, ..] => Ok(()),
            _ => Err("expected kind 0 or 1, store id and a key that is not empty"),
        }
    }

    /// The committed values of the keys of `writes`.
    fn read(&self, snap: &Snap, writes: &Writes) -> Result<Vec<Option<Bytes>>, Error> {
        let mut values: Vec<Option<Option<Bytes>>> = writes.keys().map(|key| snap.cached(key)).collect();
        let missing: Vec<&Bytes> = writes.keys().zip(&values).filter(|(_, value)| value.is_none()).map(|(key, _)| key).collect();
        let state = column(&self.db, STATE);
        let read = |keys: &[&Bytes]| -> Vec<Result<Option<Bytes>, rocksdb::Error>> {
            let values = self.db.batched_multi_get_cf(state, keys.iter().copied(), true);
            values.into_iter().map(|value| Ok(value?.map(|value| value.to_vec()))).collect()
        };
        let mut found =
            if missing.len() < PARALLEL { read(&missing) } else { missing.par_chunks(PARALLEL).flat_map_iter(read).collect() }.into_iter();
        let values = values.iter_mut().map(|value| value.take().map_or_else(|| found.next().expect("one each"), Ok));
        Ok(values.collect::<Result<_, _>>()?)
    }

    /// Writes a staged block as `height` in one atomic batch: rows, indexes, what they overwrite, key preimages, the
    /// height, the app hash and `extra`, which [`Store::meta`] reads; and prunes. The first height may be any.
    pub fn commit(&self, height: u64, writes: &Writes, staged: Staged, extra: &[(Bytes, Bytes)]) -> Result<(), Error> {
        let _one = self.committing.lock();
        let tip = self.tip();
        if staged.base != tip.height || staged.old.len() != writes.len() {
            return Err(Error::Stale { staged: staged.base, height: tip.height });
        }
        let first = tip.height == 0;
        if height == 0 || !first && height != tip.height + 1 {
            return Err(Error::Height { expected: tip.height + 1, height });
        }

        let db = &*self.db;
        let [meta, state, history, changed, preimages] = [META, STATE, HISTORY, CHANGES, PREIMAGES].map(|name| column(db, name));
        let mut batch = WriteBatch::default();
        let mut changes = Changes { app_hash: tip.forest().app_hash(), keys: Vec::with_capacity(writes.len()) };
        for ((key, new), old) in writes.iter().zip(&staged.old).filter(|((_, new), old)| new != old) {
            match new {
                Some(value) => batch.put_cf(state, key, value),
                None => batch.delete_cf(state, key),
            }
            if key[0] == KIND_ROW && (old.is_none() || new.is_none()) {
                let preimage = preimage(key);
                if new.is_none() {
                    batch.delete_cf(preimages, &preimage);
                    batch.put_cf(preimages, former(preimage, height), &key[2..]);
                } else {
                    batch.put_cf(preimages, preimage, &key[2..]);
                }
            }
            // Nothing can be read before the first version.
            if !first {
                batch.put_cf(history, history::entry(key, height), history::overwritten(old.as_deref()));
                changes.keys.push((key.clone(), new.is_none()));
            }
        }
        let (mut oldest, mut pruned) = (height, Pruned { height, next: 0 });
        if !first {
            batch.put_cf(changed, height.to_be_bytes(), changes.encode());
            oldest = (height + 1).saturating_sub(self.tuning.query_versions).max(tip.oldest);
            pruned = self.prune(&tip, oldest, changes.keys.len() + PRUNED_BESIDE, &mut batch)?;
        }
        for (id, name) in staged.forest.appeared(tip.forest(), &self.stores) {
            batch.put_cf(meta, [NAME, &[*id]].concat(), name);
        }
        for (key, value) in extra {
            batch.put_cf(meta, [EXTRA, key].concat(), value);
        }
        batch.put_cf(meta, TIP, encode_tip(height, staged.app_hash(), oldest, pruned));

        let mut options = WriteOptions::default();
        options.set_sync(self.tuning.sync);
        db.write_opt(batch, &options)?;

        let mut forests = if first { VecDeque::new() } else { tip.forests.clone() };
        forests.push_back(Arc::new(Forest { replaced: staged.cost.dropped, ..staged.forest }));
        drop_old(&mut forests, &self.tuning);
        self.cache.advance(height, writes);
        let snap = Arc::new(Snap::new(self.db.clone(), height, self.cache.clone()));
        let tree_bytes = tip.tree_bytes + staged.cost.made - staged.cost.dropped;
        let next = Tip { height, snap, forests, oldest, pruned, keys: staged.keys, tree_bytes };
        *self.tip.write() = Arc::new(next);
        Ok(())
    }

    /// Drops entries of the history that no version from `oldest` on needs: at most `limit`, a version counted as one more.
    fn prune(&self, tip: &Tip, oldest: u64, mut limit: usize, batch: &mut WriteBatch) -> Result<Pruned, Error> {
        let [history, changed, preimages] = [HISTORY, CHANGES, PREIMAGES].map(|name| column(&self.db, name));
        let mut pruned = tip.pruned;
        while pruned.height < oldest && limit > 0 {
            let height = pruned.height + 1;
            let row = tip.snap.get(CHANGES, &height.to_be_bytes())?.ok_or(Error::Corrupt("the history"))?;
            let mut keys = Keys::new(&row, pruned.next)?;
            for change in keys.by_ref().take(limit) {
                let (key, deleted) = change?;
                // Each is written once, so the lighter kind of deletion will do.
                batch.single_delete_cf(history, history::entry(key, height));
                if deleted && key[0] == KIND_ROW {
                    batch.single_delete_cf(preimages, former(preimage(key), height));
                }
                limit -= 1;
            }
            pruned.next = keys.position();
            if keys.is_empty() {
                batch.delete_cf(changed, height.to_be_bytes());
                pruned = Pruned { height, next: 0 };
                limit = limit.saturating_sub(1);
            }
        }
        Ok(pruned)
    }

    /// Proves what the version of a height says about a key of a store. Verifies with [`specs`] against the app hash
    /// of that height, which is in the header of the next.
    pub fn prove(&self, height: u64, store: &str, key: &[u8]) -> Result<Proof, Error> {
        let tip = self.tip();
        let stores = &self.stores;
        let at = stores.iter().position(|(_, name)| *name == store);
        let at = at.ok_or_else(|| Error::UnknownStore(store.into()))?;
        tip.check("proofs", height, tip.oldest_proof())?;
        let forest = &tip.forests[tip.forests.len() - 1 - (tip.height - height) as usize];
        let base = tip.at(height)?;
        let (value, proof) = proof::prove(&forest.trees[at], key, |hash| {
            let preimage = [&[stores[at].0], &hash[..]].concat();
            let row = tip.snap.rows(PREIMAGES, &preimage, &former(preimage.clone(), u64::MAX), false).next().transpose()?;
            let (_, key) = row.ok_or(Error::Corrupt("the preimage of a key hash is missing"))?;
            let row = base.get(&[&[KIND_ROW, stores[at].0], &key[..]].concat())?;
            Ok((key, row.ok_or(Error::Corrupt("the row of a leaf is missing"))?))
        })?;
        let (_, root) = proof::prove(&forest.root, store.as_bytes(), |hash| {
            let at = stores.iter().position(|(_, name)| sha256(name.as_bytes()) == *hash).expect("a store's name");
            Ok((stores[at].1.into(), forest.trees[at].root().into()))
        })?;
        let ops = vec![ProofOp::new(key, &proof), ProofOp::new(store.as_bytes(), &root)];
        Ok(Proof { value, ops })
    }

    pub fn stats(&self) -> Stats {
        let tip = self.tip();
        let disk = [META, STATE, HISTORY, CHANGES, PREIMAGES]
            .iter()
            .filter_map(|name| self.db.property_int_value_cf(column(&self.db, name), "rocksdb.total-sst-files-size").ok().flatten());
        Stats {
            height: tip.height,
            oldest_query: tip.oldest,
            oldest_proof: tip.oldest_proof(),
            unpruned: tip.oldest - tip.pruned.height,
            keys: self.stores.iter().map(|(_, name)| *name).zip(tip.keys.iter().copied()).collect(),
            tree_bytes: tip.tree_bytes,
            old_tree_bytes: old_tree_bytes(&tip.forests),
            disk_bytes: disk.sum(),
        }
    }
}

/// The trees of `height` out of those of the version after, and the app hash that they must have.
fn undo(stores: &[(u8, &str)], snap: &Snap, newer: &Forest, height: u64) -> Result<(Forest, Hash, Cost), Error> {
    let lost = || Error::Corrupt("the history");
    let changes = Changes::decode(&snap.get(CHANGES, &(height + 1).to_be_bytes())?.ok_or_else(lost)?)?;
    let read = |(key, _): &(Bytes, bool)| {
        let old = snap.get(HISTORY, &history::entry(key, height + 1))?.ok_or_else(lost)?;
        Ok((key.clone(), history::parse_overwritten(&old)?))
    };
    let rows = changes.keys.par_iter().filter(|(key, _)| key.starts_with(&[KIND_ROW])).map(read);
    let rows = rows.collect::<Result<Vec<_>, Error>>()?;
    let rows: Vec<_> = rows.iter().map(|(key, value)| (&key[..], value.as_deref())).collect();
    let (older, cost) = newer.update(stores, &rows);
    Ok((older, changes.app_hash, cost))
}

fn expect_root(dir: &Path, height: u64, forest: &Forest, app_hash: Hash) -> Result<(), Error> {
    let root = forest.app_hash();
    if root == app_hash {
        return Ok(());
    }
    let [root, app_hash] = [root, app_hash].map(hex::encode);
    let reason = format!("the rows of height {height} have the root {root} and the app hash is {app_hash}");
    Err(Error::Damaged { dir: dir.into(), reason })
}

/// Drops the trees of the oldest versions that are too many or take too much memory.
fn drop_old(forests: &mut VecDeque<Arc<Forest>>, tuning: &Tuning) {
    while forests.len() as u64 > tuning.proof_versions || forests.len() > 2 && old_tree_bytes(forests) > tuning.proof_bytes {
        forests.pop_front();
    }
}

fn old_tree_bytes(forests: &VecDeque<Arc<Forest>>) -> usize {
    forests.iter().skip(1).map(|forest| forest.replaced).sum()
}

fn encode_tip(height: u64, app_hash: Hash, oldest: u64, pruned: Pruned) -> Bytes {
    let mut row = [&[LAYOUT], &app_hash[..]].concat();
    row.extend([height, oldest, pruned.height, pruned.next].iter().flat_map(|number| number.to_be_bytes()));
    row
}

fn parse_tip(row: &[u8]) -> Option<(u64, Hash, u64, Pruned)> {
    let (app_hash, numbers) = row.strip_prefix(&[LAYOUT])?.split_first_chunk()?;
    let numbers: &[u8; 32] = numbers.try_into().ok()?;
    let (numbers, _) = numbers.as_chunks();
    let [height, oldest, pruned, next] = [0, 1, 2, 3].map(|i| u64::from_be_bytes(numbers[i]));
    (pruned <= oldest && oldest <= height).then_some((height, *app_hash, oldest, Pruned { height: pruned, next }))
}

/// Key of [`PREIMAGES`] for a key of the flat state.
fn preimage(key: &[u8]) -> Bytes {
    [&[key[1]], &sha256(&key[2..])[..]].concat()
}

/// Key of [`PREIMAGES`] for a key that the commit of `height` deleted.
fn former(mut preimage: Bytes, height: u64) -> Bytes {
    preimage.extend(height.to_be_bytes());
    preimage
}
