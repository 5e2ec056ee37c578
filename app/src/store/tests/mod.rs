mod history;
mod measure;
mod open;
mod proofs;
mod tree;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use kernel::{Base, Bytes, Fault, Writes};

use super::{Hash, Options, Store, Tuning};

type Rows = BTreeMap<Bytes, Bytes>;

fn tuning() -> Tuning {
    Tuning { cache_bytes: 1 << 20, sync: false, ..Tuning::default() }
}

/// Three stores, of which the tests leave the last one empty.
fn options(tuning: Tuning) -> Options {
    Options { stores: vec![(1, "acc"), (2, "bank"), (0xff, "market")], tuning }
}

fn open_with(dir: &Path, tuning: Tuning) -> Store {
    Store::open(dir, options(tuning)).expect("opens")
}

fn open(dir: &Path) -> Store {
    open_with(dir, tuning())
}

fn commit(store: &Store, height: u64, writes: &Writes) -> Hash {
    let staged = store.stage(writes).expect("staged");
    let hash = staged.app_hash();
    store.commit(height, writes, staged, &[(b"height".into(), height.to_be_bytes().into())]).expect("committed");
    assert_eq!(store.committed(), (height, hash));
    hash
}

fn put(key: &[u8], value: &[u8]) -> (Bytes, Option<Bytes>) {
    (key.into(), Some(value.into()))
}

fn delete(key: &[u8]) -> (Bytes, Option<Bytes>) {
    (key.into(), None)
}

fn apply(rows: &mut Rows, writes: &Writes) {
    for (key, value) in writes {
        match value {
            Some(value) => rows.insert(key.clone(), value.clone()),
            None => rows.remove(key),
        };
    }
}

fn all(base: &Arc<dyn Base>) -> Result<Rows, Fault> {
    Ok(base.scan(&[], &[2], false, usize::MAX)?.into_iter().collect())
}

/// Writes of block `height` over 100 keys of both kinds and two stores: some inserted, some overwritten, some deleted.
fn block(height: u64) -> Writes {
    let mut seed = height;
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as u8
    };
    (0..20)
        .map(|_| {
            let key = vec![next() % 2, 1 + next() % 2, next() % 25];
            (key, (next() % 4 > 0).then(|| vec![next(), next()]))
        })
        .collect()
}
