//! Starting, and what survives a stop at any point.

use std::{
    fs,
    path::{Path, PathBuf},
};

use kernel::Writes;

use super::{super::*, Rows, all, apply, block, commit, open, options, put, tuning};

fn models(heights: u64) -> Vec<Rows> {
    let mut versions = vec![Rows::new()];
    for height in 1..=heights {
        let mut rows = versions[versions.len() - 1].clone();
        apply(&mut rows, &block(height));
        versions.push(rows);
    }
    versions
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("listed") {
        let entry = entry.expect("listed");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
    }
}

fn files(dir: &Path, suffix: &str) -> Vec<PathBuf> {
    let paths = fs::read_dir(dir).expect("listed").map(|entry| entry.expect("listed").path());
    let mut paths: Vec<_> = paths.filter(|path| path.to_string_lossy().ends_with(suffix)).collect();
    paths.sort();
    paths
}

/// A store opened from damaged files is whole at some height, or refuses.
fn check_whole(dir: &Path, versions: &[Rows]) -> Result<u64, Error> {
    let store = Store::open(dir, options(tuning()))?;
    let height = store.height();
    assert_eq!(all(&store.latest())?, versions[height as usize]);
    assert_eq!(store.meta(b"height")?, (height > 0).then(|| height.to_be_bytes().to_vec()));
    for past in store.stats().oldest_query.max(1)..height {
        assert_eq!(all(&store.at(past).expect("kept"))?, versions[past as usize]);
    }
    commit(&store, height + 1, &block(height + 1));
    Ok(height)
}

#[test]
fn a_restart_loses_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let versions = models(40);
    let mut before = (0, tree::EMPTY);
    for height in 1..=40 {
        let store = open(dir.path());
        assert_eq!(store.committed(), before);
        assert_eq!(all(&store.latest()).expect("read"), versions[height as usize - 1]);
        before = (height, commit(&store, height, &block(height)));
        if height.is_multiple_of(7) {
            store.db.flush().expect("flushed");
        }
    }
    assert_eq!(check_whole(dir.path(), &versions).expect("opens"), 40);
}

#[test]
fn what_is_staged_and_not_committed_leaves_no_trace() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let hash = commit(&store, 1, &block(1));
    let staged = store.stage(&block(2)).expect("staged");
    assert_ne!(staged.app_hash(), hash);
    assert_eq!(store.committed(), (1, hash));
    drop(store);
    assert_eq!(open(dir.path()).committed(), (1, hash));
}

#[test]
fn a_block_staged_again_replaces_the_former() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    commit(&store, 1, &block(1));
    let other = store.stage(&block(3)).expect("staged");
    let first = store.stage(&block(2)).expect("staged").app_hash();
    let second = store.stage(&block(2)).expect("staged");
    assert_eq!(first, second.app_hash());
    assert_ne!(first, other.app_hash());
    store.commit(2, &block(2), second, &[]).expect("committed");
    assert!(matches!(store.commit(3, &block(3), other, &[]), Err(Error::Stale { staged: 1, height: 2 })));
}

#[test]
fn heights_are_committed_one_after_the_other() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let attempt = |height: u64| store.commit(height, &Writes::new(), store.stage(&Writes::new()).expect("staged"), &[]);
    assert!(matches!(attempt(0), Err(Error::Height { .. })));
    attempt(1_000).expect("the first height may be any");
    for height in [999, 1_000, 1_002] {
        assert!(matches!(attempt(height), Err(Error::Height { expected: 1_001, .. })));
    }
    attempt(1_001).expect("the next");
}

#[test]
fn a_log_cut_anywhere_in_the_last_commit_opens_at_the_height_before() {
    let dir = tempfile::tempdir().expect("a directory");
    let versions = models(6);
    let store = open(dir.path());
    let mut lengths = Vec::new();
    for height in 1..=5 {
        commit(&store, height, &block(height));
        lengths.push(fs::metadata(&files(dir.path(), ".log")[0]).expect("the log").len());
    }
    drop(store);
    let [before, after] = [lengths[3], lengths[4]];
    assert!(after > before + 100);
    for length in (before..=after).step_by(37).chain([after]) {
        let crashed = tempfile::tempdir().expect("a directory");
        copy(dir.path(), crashed.path());
        let log = &files(crashed.path(), ".log")[0];
        fs::File::options().write(true).open(log).and_then(|log| log.set_len(length)).expect("cut");
        let height = check_whole(crashed.path(), &versions).expect("opens");
        assert_eq!(height, if length == after { 5 } else { 4 });
    }
}

#[test]
fn damaged_files_are_noticed_or_do_no_harm() {
    let dir = tempfile::tempdir().expect("a directory");
    let versions = models(9);
    let store = open(dir.path());
    for height in 1..=8 {
        commit(&store, height, &block(height));
        if u64::is_multiple_of(height, 3) {
            store.db.flush().expect("flushed");
        }
    }
    drop(store);
    let mut refused = 0;
    for suffix in [".sst", ".log", "MANIFEST-000005", "CURRENT"] {
        for file in files(dir.path(), suffix) {
            let bytes = fs::read(&file).expect("read");
            for at in (0..bytes.len()).step_by(bytes.len() / 12 + 1) {
                let damaged = tempfile::tempdir().expect("a directory");
                copy(dir.path(), damaged.path());
                let mut bytes = bytes.clone();
                bytes[at] ^= 0x55;
                fs::write(damaged.path().join(file.file_name().expect("a name")), bytes).expect("written");
                match check_whole(damaged.path(), &versions) {
                    Ok(height) => assert!(height >= 6, "flushed at 6, opened at {height}"),
                    Err(Error::Damaged { .. }) => refused += 1,
                    Err(error) => panic!("{}: {error}", file.display()),
                }
            }
        }
    }
    assert!(refused > 20, "{refused}");
}

#[test]
fn a_row_changed_behind_our_back_is_noticed() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    commit(&store, 1, &[put(b"\0\x01k", b"v")].into());
    store.db.put_cf(column(&store.db, STATE), b"\0\x01k", b"w").expect("written");
    drop(store);
    let error = Store::open(dir.path(), options(tuning())).err().expect("refused").to_string();
    assert!(error.contains("is damaged: the rows of height 1 have the root"), "{error}");
}

#[test]
fn a_store_of_another_layout_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    commit(&store, 1, &block(1));
    let tip = store.db.get(TIP).expect("read").expect("written");
    drop(store);
    for other in [[&[LAYOUT + 1], &tip[1..]].concat(), tip[1..41].to_vec()] {
        let db = db::open(dir.path(), false, 1 << 20).expect("opens");
        db.put(TIP, &other).expect("written");
        drop(db);
        let error = Store::open(dir.path(), options(tuning())).err().expect("refused").to_string();
        assert!(error.contains("is of another chain or binary: it is not laid out as this version"), "{error}");
    }
}

#[test]
fn a_store_that_is_missing_in_use_or_incomplete_says_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let refusal = |dir: &Path, create: bool| Store::open(dir, options(Tuning { create, ..tuning() })).err().expect("refused").to_string();
    let missing = dir.path().join("data");
    assert_eq!(refusal(&missing, false), format!("there is no store in {}", missing.display()));
    assert!(!missing.exists());

    let store = open(&missing);
    let expected = format!("the store in {} is in use by another process: stop that node", missing.display());
    assert!(refusal(&missing, true).starts_with(&expected));
    commit(&store, 1, &block(1));
    drop(store);
    assert_eq!(open(&missing).height(), 1);

    fs::remove_file(missing.join("CURRENT")).expect("removed");
    assert!(refusal(&missing, true).contains("is damaged: the file CURRENT is missing"));
}

#[test]
fn stores_may_be_added_and_not_taken_away_or_renamed() {
    let dir = tempfile::tempdir().expect("a directory");
    let open = |stores: &[(u8, &'static str)]| Store::open(dir.path(), Options { stores: stores.into(), tuning: tuning() });
    let store = open(&[(1, "acc"), (2, "bank")]).expect("opens");
    let hash = commit(&store, 1, &block(1));
    drop(store);

    let store = open(&[(1, "acc"), (3, "gov"), (2, "bank")]).expect("opens");
    assert_eq!(store.committed(), (1, hash));
    let added = commit(&store, 2, &[put(b"\0\x03k", b"v")].into());
    assert_ne!(added, hash);
    drop(store);

    for wrong in [&[(1, "acc"), (2, "bank")][..], &[(1, "acc"), (2, "bank"), (3, "authz")]] {
        let error = open(wrong).err().expect("refused").to_string();
        assert!(error.contains("it has a store gov with the id 3, which this binary does not"), "{error}");
    }
    assert_eq!(open(&[(3, "gov"), (2, "bank"), (1, "acc")]).expect("opens").committed(), (2, added));
}

#[test]
fn keys_and_values_that_cannot_be_proved_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    for (row, reason) in [
        (put(b"\0\x01k", b""), "an empty value"),
        (put(b"\0\x01", b"v"), "a key that is not empty"),
        (put(b"\x02\x01k", b"v"), "kind 0 or 1"),
        (put(b"\0\x09k", b"v"), "unknown store id"),
    ] {
        let error = store.stage(&[row].into()).err().expect("refused").to_string();
        assert!(error.contains(reason), "{error}");
    }
}
