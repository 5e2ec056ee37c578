//! `sim run` tries many seeds, `sim replay` shows one again. docs/simulation.md says more.

use anyhow::Context;
use clap::Parser;
use sim::generate::{Block, World, history};
use sim::run::{Failure, Stats, run};
use sim::{Found, Length, describe, keep_quiet, run_seeds};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[derive(Parser)]
#[command(about = "Random histories against the whole application")]
enum Cli {
    /// Try seeds until one fails
    Run {
        /// A..B, without B
        #[arg(long, default_value = "0..40", value_parser = seeds)]
        seeds: (u64, u64),
        #[command(flatten)]
        length: Size,
        /// Threads
        #[arg(long, default_value_t = 2)]
        jobs: usize,
        /// Remembers finished seeds, which the next run leaves out
        #[arg(long)]
        progress_file: Option<PathBuf>,
        /// Seconds to look for a short history that fails
        #[arg(long, default_value_t = 120)]
        patience: u64,
    },
    /// Run one seed, or a history that was written down, and show how it fails
    Replay(Replay),
}

#[derive(clap::Args)]
struct Size {
    #[arg(long, default_value_t = 100)]
    blocks: usize,
    /// Messages per block, on average
    #[arg(long, default_value_t = 100)]
    ops: u64,
}

impl From<Size> for Length {
    fn from(size: Size) -> Length {
        Length { blocks: size.blocks, ops: size.ops }
    }
}

#[derive(clap::Args)]
struct Replay {
    #[arg(long)]
    seed: u64,
    #[command(flatten)]
    length: Size,
    /// Blocks as JSON, as a failing run writes them, instead of the seed's own
    #[arg(long)]
    history: Option<PathBuf>,
    /// Look for a shorter history so many seconds
    #[arg(long, default_value_t = 0)]
    patience: u64,
    /// Print every block, and how often what is foretold
    #[arg(long)]
    verbose: bool,
}

fn seeds(text: &str) -> Result<(u64, u64), String> {
    let parse = || {
        let (a, b) = text.split_once("..")?;
        Some((a.parse().ok()?, b.parse().ok()?))
    };
    parse().filter(|(a, b)| a < b).ok_or_else(|| format!("expected a range like 0..40, got {text:?}"))
}

fn main() -> anyhow::Result<ExitCode> {
    keep_quiet();
    match Cli::parse() {
        Cli::Run { seeds, length, jobs, progress_file, patience } => many(seeds, length.into(), jobs, progress_file, patience),
        Cli::Replay(args) => replay(args),
    }
}

fn many((from, to): (u64, u64), length: Length, jobs: usize, progress: Option<PathBuf>, patience: u64) -> anyhow::Result<ExitCode> {
    // A line names length and seed, so that one file serves several runs.
    let line = |seed: u64| format!("{} {} {seed}", length.blocks, length.ops);
    let known: BTreeSet<String> = match &progress {
        Some(path) if path.exists() => {
            std::fs::read_to_string(path)?.lines().map(|l| l.split(" :").next().unwrap_or(l).to_string()).collect()
        }
        _ => BTreeSet::new(),
    };
    let open =
        |path: &PathBuf| std::fs::OpenOptions::new().create(true).append(true).open(path).with_context(|| path.display().to_string());
    let file = Mutex::new(progress.as_ref().map(open).transpose()?);
    let todo: Vec<u64> = (from..to).filter(|seed| !known.contains(&line(*seed))).collect();
    println!("{} of {} seeds are to do", todo.len(), to - from);
    let (start, so_far) = (Instant::now(), Mutex::new((0u64, Stats::default(), Instant::now())));
    let done = |seed: u64, stats: Stats| {
        if let Some(file) = file.lock().expect("no panic").as_mut() {
            let text = format!("{} : {} blocks, {} messages, {} accepted", line(seed), stats.blocks, stats.messages, stats.accepted);
            writeln!(file, "{text}").expect("the progress file can be written");
        }
        let mut so_far = so_far.lock().expect("no panic");
        so_far.0 += 1;
        so_far.1 += stats;
        if so_far.2.elapsed() > Duration::from_secs(10) {
            so_far.2 = Instant::now();
            let rate = so_far.1.blocks as f64 / start.elapsed().as_secs_f64();
            println!("{} seeds, {} blocks, {} messages, {rate:.0} blocks/s", so_far.0, so_far.1.blocks, so_far.1.messages);
        }
    };
    let result = run_seeds(todo.into_iter(), length, jobs, done);
    let seconds = start.elapsed().as_secs_f64();
    match result {
        Ok(total) => {
            let Stats { blocks, messages, accepted } = total;
            println!(
                "nothing found in {blocks} blocks with {messages} messages ({accepted} accepted); {seconds:.0} s, {:.0} blocks/s",
                blocks as f64 / seconds
            );
            Ok(ExitCode::SUCCESS)
        }
        Err(found) => report(&found, patience),
    }
}

fn report(found: &Found, patience: u64) -> anyhow::Result<ExitCode> {
    println!("seed {}, block {}: {}", found.seed, found.failure.block, found.failure.what);
    println!("{}", found.command());
    if patience > 0 {
        let (short, failure) = found.short(Duration::from_secs(patience));
        print_short(found.seed, &short, &failure)?;
    }
    Ok(ExitCode::FAILURE)
}

fn print_short(seed: u64, short: &[Block], failure: &Failure) -> anyhow::Result<()> {
    println!("shortest history found, which fails in block {}: {}\n{}", failure.block, failure.what, describe(short));
    let path = std::env::temp_dir().join(format!("sim-{seed}.json"));
    std::fs::write(&path, serde_json::to_string(short)?)?;
    println!("cargo run --release -p sim -- replay --seed {seed} --history {}", path.display());
    Ok(())
}

fn replay(args: Replay) -> anyhow::Result<ExitCode> {
    let length = Length::from(args.length);
    let (world, mut blocks) = history(args.seed, length.blocks, length.ops);
    if let Some(path) = &args.history {
        blocks = serde_json::from_slice(&std::fs::read(path)?).with_context(|| path.display().to_string())?;
    }
    let World { params, tight, .. } = &world;
    println!("{params:?}{}", if *tight { ", a tight budget" } else { "" });
    if args.verbose {
        println!("{}", describe(&blocks));
        sim::tally(&world, &blocks).iter().for_each(|(what, count)| println!("{count:6} {what}"));
    }
    match run(&world, &blocks) {
        Ok(stats) => println!("nothing found: {stats:?}"),
        Err(failure) => {
            println!("block {}: {}", failure.block, failure.what);
            if args.patience > 0 {
                let (short, failure) = sim::shrink::shrink(&world, &blocks, failure, Duration::from_secs(args.patience));
                print_short(args.seed, &short, &failure)?;
            }
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}
