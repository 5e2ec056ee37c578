//! Reading older versions, against a model that keeps every version whole.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use kernel::{Base, Bytes, Writes};
use proptest::{collection::vec, prelude::*};

use super::{super::*, Rows, all, apply, block, commit, delete, open, open_with, put, tuning};

/// Keys that are prefixes of each other and hold the bytes that the history's encoding treats specially.
fn key() -> impl Strategy<Value = Bytes> {
    let byte = || prop::sample::select(vec![0x00, 0x01, 0xfe, 0xff]);
    (0..2u8, prop::sample::select(vec![1, 2]), vec(byte(), 1..4)).prop_map(|(kind, id, rest)| [&[kind, id], &rest[..]].concat())
}

fn writes() -> impl Strategy<Value = Writes> {
    prop::collection::btree_map(key(), prop::option::weighted(0.7, vec(0..3u8, 1..3)), 0..12)
}

fn check(base: &Arc<dyn Base>, rows: &Rows, keys: &[Bytes]) {
    for key in keys {
        assert_eq!(base.get(key).expect("read").as_ref(), rows.get(key), "{key:?}");
    }
    for lo in keys {
        for hi in keys.iter().filter(|hi| *hi > lo) {
            let expected: Vec<_> = rows.range(lo.clone()..hi.clone()).map(|(k, v)| (k.clone(), v.clone())).collect();
            for limit in [0, 1, 2, usize::MAX] {
                let forward: Vec<_> = expected.iter().take(limit).cloned().collect();
                assert_eq!(base.scan(lo, hi, false, limit).expect("read"), forward);
                let backward: Vec<_> = expected.iter().rev().take(limit).cloned().collect();
                assert_eq!(base.scan(lo, hi, true, limit).expect("read"), backward);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_kept_version_reads_as_it_was(
        first in 1..50u64,
        blocks in vec((writes(), prop::bool::weighted(0.2)), 1..12),
        mut keys in vec(key(), 6),
    ) {
        let dir = tempfile::tempdir().expect("a directory");
        let tuning = Tuning { query_versions: 5, proof_versions: 3, ..tuning() };
        let mut store = open_with(dir.path(), tuning.clone());
        let mut versions: Vec<(Rows, Hash)> = Vec::new();
        keys.extend([vec![0, 1, 0], vec![1, 1, 0], vec![2]]);
        for (height, (writes, reopen)) in (first..).zip(blocks) {
            let mut rows = versions.last().map_or(Rows::new(), |(rows, _)| rows.clone());
            apply(&mut rows, &writes);
            versions.push((rows, commit(&store, height, &writes)));
            if reopen {
                drop(store);
                store = open_with(dir.path(), tuning.clone());
            }
            check(&store.latest(), &versions.last().expect("committed").0, &keys);
            for (past, (rows, hash)) in (first..).zip(&versions) {
                if past + 5 > height {
                    check(&store.at(past).expect("kept"), rows, &keys);
                } else {
                    let gone = Unavailable { what: "values", height: past, oldest: height - 4, newest: height };
                    prop_assert_eq!(store.at(past).err(), Some(gone));
                }
                for key in keys.iter().filter(|key| key.starts_with(&[0, 1])) {
                    match store.prove(past, "acc", &key[2..]) {
                        Ok(proof) => {
                            prop_assert!(past + 3 > height);
                            prop_assert_eq!(proof.value.as_ref(), rows.get(key));
                            super::proofs::verify(&proof, "acc", &key[2..], hash);
                        }
                        Err(Error::Unavailable(_)) => prop_assert!(past + 3 <= height),
                        Err(Error::NothingToProve) => prop_assert!(!rows.keys().any(|key| key.starts_with(&[0, 1]))),
                        Err(error) => prop_assert!(false, "{error}"),
                    }
                }
            }
            prop_assert_eq!(store.at(first - 1).map(drop).is_ok(), false);
            let future = store.at(height + 1).err().expect("not yet committed");
            prop_assert_eq!((future.height, future.newest), (height + 1, height));
            let live: u64 = store.stats().keys.iter().map(|(_, count)| count).sum();
            let rows = &versions.last().expect("committed").0;
            prop_assert_eq!(live as usize, rows.keys().filter(|key| key[0] == 0).count());
        }
    }
}

#[test]
fn a_reader_keeps_its_version_while_blocks_are_committed_and_its_height_is_pruned() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open_with(dir.path(), Tuning { query_versions: 4, ..tuning() });
    let mut versions = vec![Rows::new()];
    for height in 1..=6 {
        let mut rows = versions.last().expect("pushed").clone();
        apply(&mut rows, &block(height));
        versions.push(rows);
        commit(&store, height, &block(height));
    }
    let (old, latest, done) = (store.at(4).expect("kept"), store.latest(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for (base, rows) in [(&old, &versions[4]), (&latest, &versions[6])] {
            let done = &done;
            scope.spawn(move || {
                let mut reads = 0;
                while !done.load(Ordering::Relaxed) || reads < 10 {
                    assert_eq!(all(base).expect("read"), *rows);
                    reads += 1;
                }
            });
        }
        for height in 7..300 {
            commit(&store, height, &block(height));
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(store.at(4).is_err());
}

#[test]
fn every_read_of_a_version_is_of_that_version_while_blocks_are_committed() {
    let dir = tempfile::tempdir().expect("a directory");
    // A cache so small that rows are dropped from it all the time.
    let store = open_with(dir.path(), Tuning { cache_bytes: 100_000, ..tuning() });
    let keys: Vec<Bytes> = (0..300).map(|i| vec![0, 1, (i / 7) as u8, i as u8]).collect();
    let write = |height: u64| keys.iter().map(|key| (key.clone(), Some(height.to_be_bytes().to_vec()))).collect();
    commit(&store, 1, &write(1));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let base = store.latest();
                    let first = base.get(&keys[0]).expect("read");
                    for key in keys.iter().chain(&keys) {
                        assert_eq!(base.get(key).expect("read"), first);
                    }
                }
            });
        }
        for height in 2..400 {
            commit(&store, height, &write(height));
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn pruning_leaves_no_history_and_no_preimage_that_no_kept_version_needs() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open_with(dir.path(), Tuning { query_versions: 3, proof_versions: 3, ..tuning() });
    let mut rows = Rows::new();
    for height in 1..=200 {
        apply(&mut rows, &block(height));
        commit(&store, height, &block(height));
    }
    // Nothing happens, so after as many blocks as are kept there is nothing to keep.
    for height in 201..=203 {
        commit(&store, height, &Writes::new());
    }
    let snap = &store.tip().snap;
    let count = |name: &str| snap.rows(name, &[], &[0xff; 64], false).count();
    assert_eq!((count(HISTORY), count(CHANGES)), (0, 2));
    let expected: std::collections::BTreeSet<Bytes> = rows.keys().filter(|key| key[0] == 0).map(|key| preimage(key)).collect();
    let kept = snap.rows(PREIMAGES, &[], &[0xff; 64], false).map(|row| row.expect("read").0).collect();
    assert_eq!(expected, kept);
}

#[test]
fn what_full_blocks_left_is_dropped_over_some_blocks_and_a_restart_goes_on_where_it_was() {
    const ROWS: usize = 3 * PRUNED_BESIDE;
    let dir = tempfile::tempdir().expect("a directory");
    let tuning = Tuning { query_versions: 3, proof_versions: 3, ..tuning() };
    let mut store = open_with(dir.path(), tuning.clone());
    let key = |i: usize| [&[0, 1], &(i as u32).to_be_bytes()[..]].concat();
    let (mut versions, mut most) = (vec![Rows::new()], 0);
    for height in 1..=16 {
        let writes: Writes = match height {
            2 => (0..ROWS).map(|i| put(&key(i), b"old")).collect(),
            3 => (0..ROWS).filter(|i| i % 5 > 0).map(|i| delete(&key(i))).collect(),
            // What was deleted comes back, and goes again before the deletion is pruned.
            4 => (0..ROWS).filter(|i| i % 5 == 1).map(|i| put(&key(i), b"new")).collect(),
            6 => (0..ROWS).filter(|i| i % 10 == 1).map(|i| delete(&key(i))).collect(),
            _ => [put(&key(ROWS), &[height as u8])].into(),
        };
        let mut rows = versions.last().expect("pushed").clone();
        apply(&mut rows, &writes);
        versions.push(rows);
        let hash = commit(&store, height, &writes);
        if height % 2 == 0 {
            drop(store);
            store = open_with(dir.path(), tuning.clone());
        }
        let stats = store.stats();
        assert_eq!(stats.oldest_query, height.saturating_sub(2).max(1));
        most = most.max(stats.unpruned);
        for past in stats.oldest_query..=height {
            assert_eq!(all(&store.at(past).expect("kept")).expect("read"), versions[past as usize], "{past} at {height}");
        }
        for i in (0..ROWS).step_by(97) {
            let proof = store.prove(height, "acc", &key(i)[2..]).expect("proved");
            super::proofs::verify(&proof, "acc", &key(i)[2..], &hash);
        }
    }
    let snap = &store.tip().snap;
    let count = |name: &str| snap.rows(name, &[], &[0xff; 64], false).count();
    assert_eq!((count(HISTORY), count(CHANGES), store.stats().unpruned), (2, 2, 0));
    assert_eq!(count(PREIMAGES), versions[16].len());
    assert!(most > 2, "{most} versions behind");
}

#[test]
fn a_lowered_number_of_versions_holds_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    for height in 1..=20 {
        commit(&store, height, &block(height));
    }
    drop(store);
    let store = open_with(dir.path(), Tuning { query_versions: 2, ..tuning() });
    assert_eq!(store.stats().oldest_query, 1);
    commit(&store, 21, &block(21));
    let stats = store.stats();
    assert_eq!((stats.oldest_query, stats.oldest_proof, stats.unpruned), (20, 20, 0));
}

#[test]
fn the_head_of_a_collection_is_found_whatever_is_written_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (mut rows, mut readers) = (Rows::new(), Vec::new());
    for height in 1..=300u64 {
        // Two collections of one store: entries come anywhere and go from the front, as in a queue.
        let mut writes: Writes = (0..3).map(|i| put(&[0, 1, 7, (height * 37 + i * 91) as u8, i as u8], b"x")).collect();
        writes.extend((0..height % 3).map(|i| put(&[0, 1, 8, (height * 53 + i) as u8], b"y")));
        let gone = rows.keys().filter(|key| key.starts_with(&[0, 1, 7])).take(height as usize % 6);
        writes.extend(gone.map(|key| delete(key)));
        apply(&mut rows, &writes);
        commit(&store, height, &writes);
        readers.push((store.latest(), rows.clone()));
        if readers.len() > 4 {
            readers.remove(0);
        }
        for (base, rows) in &readers {
            for (lo, hi) in
                [([0, 1, 7], vec![0, 1, 7, 100]), ([0, 1, 7], vec![0, 1, 8]), ([0, 1, 8], vec![0, 1, 9]), ([0, 1, 9], vec![0, 1, 10])]
            {
                for limit in [1, 4, usize::MAX] {
                    let expected: Vec<_> = rows.range(lo.to_vec()..hi.clone()).take(limit).map(|(k, v)| (k.clone(), v.clone())).collect();
                    assert_eq!(base.scan(&lo, &hi, false, limit).unwrap(), expected, "height {height}, {lo:?} to {hi:?}");
                }
            }
        }
    }
}
