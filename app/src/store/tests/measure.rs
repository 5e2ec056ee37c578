//! Figures for docs/store.md: `cargo test --release -p app store::tests::measure -- --ignored --nocapture`.

use std::{
    fs,
    time::{Duration, Instant},
};

use kernel::{Bytes, Writes};

use super::{super::*, open_with};

const KEYS: u64 = 1_000_000;

/// 40 bytes of key and 96 of value.
fn row(i: u64, salt: u64) -> (Bytes, Option<Bytes>) {
    let hash = sha256(&i.to_be_bytes());
    let value = [sha256(&(i + salt).to_be_bytes()), hash, sha256(&salt.to_be_bytes())].concat();
    ([&[0, 1], &hash[..], &i.to_be_bytes()[2..]].concat(), Some(value))
}

/// Resident memory of this process, in MB.
fn resident() -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0
}

/// Processor time of this process with all its threads, in seconds; counted in hundredths.
fn processor() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux");
    let ticks = stat.split_whitespace().skip(13).take(2).map(|ticks| ticks.parse::<f64>().expect("a number"));
    ticks.sum::<f64>() / 100.0
}

/// Prints what `count` rounds take each, in microseconds.
fn time(what: &str, count: u64, mut work: impl FnMut(u64)) {
    let (start, busy) = (Instant::now(), processor());
    (0..count).for_each(&mut work);
    let each = 1e6 / count as f64;
    let (wall, busy) = (start.elapsed().as_secs_f64() * each, (processor() - busy) * each);
    println!("{what}: {wall:.2} µs, processor {busy:.2} µs");
}

/// Prints what blocks of `size` updates of rows that were read before take each.
fn blocks(store: &Store, size: u64, count: u32, sync: bool) {
    let (mut stage, mut commit, mut busy) = (Duration::ZERO, Duration::ZERO, 0.0);
    for _ in 0..count {
        let height = store.height() + 1;
        let writes: Writes = (0..size).map(|i| row((height * 7_919 + i * 101) % KEYS, height)).collect();
        let base = store.latest();
        writes.keys().for_each(|key| drop(base.get(key)));
        let (start, before) = (Instant::now(), processor());
        let staged = store.stage(&writes).expect("staged");
        stage += start.elapsed();
        store.commit(height, &writes, staged, &[]).expect("committed");
        commit += start.elapsed();
        busy += processor() - before;
    }
    let (stage, commit, busy) = (stage / count, (commit - stage) / count, busy * 1e3 / f64::from(count));
    println!("{size} updates, sync {sync}: stage {stage:.2?}, commit {commit:.2?}, processor {busy:.2} ms");
}

#[test]
#[ignore = "a measurement of a minute or more"]
fn commit_memory_and_restart_with_a_million_keys() {
    let dir = tempfile::tempdir().expect("a directory");
    let unsynced = Tuning { sync: false, ..Tuning::default() };
    let store = open_with(dir.path(), unsynced.clone());
    for height in 1..=20 {
        let writes: Writes = (0..KEYS / 20).map(|i| row(i + (height - 1) * (KEYS / 20), 0)).collect();
        let staged = store.stage(&writes).expect("staged");
        store.commit(height, &writes, staged, &[]).expect("committed");
    }
    drop(store);

    let before = resident();
    let (start, busy) = (Instant::now(), processor());
    let store = open_with(dir.path(), Tuning { proof_versions: 1, ..unsynced.clone() });
    println!("restart without older trees: {:.2?}, processor {:.2} s", start.elapsed(), processor() - busy);
    println!("tree {:.1} B/key, resident +{:.0} MB", store.stats().tree_bytes as f64 / KEYS as f64, resident() - before);

    let base = store.latest();
    time("point read, any of a million", 100_000, |i| drop(base.get(&row(i * 7_919 % KEYS, 0).0)));
    time("point read, again and again", 100_000, |i| drop(base.get(&row(i % 1_000, 0).0)));
    time("(making the key of a read)", 100_000, |i| drop(row(i, 0)));
    drop((base, store));

    for sync in [false, true] {
        let store = open_with(dir.path(), Tuning { sync, ..Tuning::default() });
        for (size, count) in [(0, 100), (1, 100), (100, 50), (1_000, 30), (10_000, 30)] {
            blocks(&store, size, count, sync);
        }
        println!("resident +{:.0} MB, {:?}", resident() - before, store.stats());
        if sync {
            time("proof of presence", 1_000, |i| {
                store.prove(store.height() - i % 2, "acc", &row(i * 7_919 % KEYS, 0).0[2..]).expect("proved");
            });
            let past = store.at(store.height() - 50).expect("kept");
            time("point read 50 versions back", 10_000, |i| drop(past.get(&row(i * 7_919 % KEYS, 0).0)));
        }
    }

    let (start, busy) = (Instant::now(), processor());
    let store = open_with(dir.path(), Tuning::default());
    println!("restart with older trees: {:.2?}, processor {:.2} s", start.elapsed(), processor() - busy);
    println!("{:?}", store.stats());
}
