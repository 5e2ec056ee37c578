//! Fuzzing on the stable toolchain: seeded mutation of a committed corpus and of random messages of every type, guided by
//! what each input came to. An input whose outcome is new is kept and mutated further. A panic, anywhere in the process,
//! and an input that takes too long are findings.
//!
//! Coverage is not measured, so this finds less per hour than libFuzzer would; that needs a nightly compiler.

mod message;
mod mutate;
mod targets;

pub use targets::{NAMES, Target, target};

use anyhow::{Context, Result, bail};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// An input may take this long, on a busy machine too.
const TOO_LONG: Duration = Duration::from_secs(20);
/// Inputs that are mutated further; the oldest go first.
const KEPT: usize = 4000;

/// The panic of any thread, as its hook saw it: a server's thread would keep it to itself.
static PANIC: Mutex<Option<String>> = Mutex::new(None);

/// Remembers panics, and prints them.
pub fn watch_panics() {
    std::panic::set_hook(Box::new(|info| {
        let text = format!("{info}\n{}", std::backtrace::Backtrace::force_capture());
        eprintln!("{text}");
        PANIC.lock().unwrap_or_else(|e| e.into_inner()).get_or_insert(text);
    }));
}

/// Where a target's committed inputs are.
pub fn corpus_dir(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name)
}

/// Committed inputs in the order of their names.
pub fn corpus(name: &str) -> Result<Vec<Vec<u8>>> {
    let dir = corpus_dir(name);
    let list = std::fs::read_dir(&dir).with_context(|| dir.display().to_string())?;
    let mut files = list.map(|f| Ok(f?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    files.into_iter().map(|f| std::fs::read(&f).with_context(|| f.display().to_string())).collect()
}

/// Runs one input; what it came to, or why it is a finding.
pub fn run_one(target: &mut dyn Target, input: &[u8]) -> Result<String, String> {
    let start = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| target.run(input)));
    if let Some(panic) = PANIC.lock().unwrap_or_else(|e| e.into_inner()).take() {
        return Err(panic);
    }
    let outcome = outcome.map_err(|_| "a panic without a message".to_string())?;
    match start.elapsed() {
        long if long > TOO_LONG => Err(format!("took {} s", long.as_secs())),
        _ => Ok(class(&outcome)),
    }
}

/// An outcome without what differs from input to input: numbers, addresses, quoted texts.
fn class(outcome: &str) -> String {
    let mut quoted = false;
    let plain: String = outcome.chars().inspect(|c| quoted ^= *c == '"').map(|c| if c.is_ascii_alphabetic() { c } else { ' ' }).collect();
    let words: Vec<&str> = plain.split_whitespace().filter(|w| (2..16).contains(&w.len())).take(8).collect();
    words.join(" ")
}

/// What a run did.
pub struct Summary {
    pub inputs: u64,
    pub outcomes: BTreeSet<String>,
    /// Inputs of outcomes that no input of the corpus has.
    pub new: Vec<Vec<u8>>,
}

/// Fuzzes for a while. Fails at the first finding, which is written to a file that the error names.
pub fn fuzz(name: &str, time: Duration, seed: u64) -> Result<Summary> {
    let mut target = target(name)?;
    let mut rng = StdRng::seed_from_u64(seed);
    let mut kept = corpus(name)?;
    kept.extend(target.seeds());
    let mut summary = Summary { inputs: 0, outcomes: BTreeSet::new(), new: Vec::new() };
    for input in &kept {
        let outcome = run_one(&mut *target, input).or_else(|why| finding(name, input, &why))?;
        summary.outcomes.insert(outcome);
    }
    let start = Instant::now();
    while start.elapsed() < time {
        let mut input = match target.fresh(&mut rng).filter(|_| rng.gen_bool(0.4)) {
            Some(fresh) => fresh,
            None => kept.choose(&mut rng).cloned().unwrap_or_default(),
        };
        if rng.gen_bool(0.75) {
            target.mutate(&mut input, &mut rng, &kept);
        }
        let outcome = run_one(&mut *target, &input).or_else(|why| finding(name, &input, &why))?;
        summary.inputs += 1;
        if summary.outcomes.insert(outcome) {
            summary.new.push(input.clone());
            if kept.len() == KEPT {
                kept.swap_remove(rng.gen_range(0..KEPT));
            }
            kept.push(input);
        }
    }
    Ok(summary)
}

fn finding(name: &str, input: &[u8], why: &str) -> Result<String> {
    let file = std::env::temp_dir().join(format!("fuzz-{name}-{:016x}", digest(input)));
    std::fs::write(&file, input)?;
    bail!("{name}: {why}\nThe input is in {0}; replay it with: cargo run --release -p fuzz -- {name} --replay {0}", file.display())
}

/// FNV-1a, for names of files.
pub fn digest(input: &[u8]) -> u64 {
    input.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}
