//! `fuzz TARGET`: see the library.

use anyhow::{Context, Result};
use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Parser)]
struct Args {
    /// What to fuzz
    #[arg(value_parser = fuzz::NAMES)]
    target: String,
    /// For how long
    #[arg(long, env = "FUZZ_SECONDS", default_value_t = 30)]
    seconds: u64,
    /// The same seed tries the same inputs in the same order
    #[arg(long, env = "FUZZ_SEED", default_value_t = 1)]
    seed: u64,
    /// Only run this input, and print what it comes to
    #[arg(long)]
    replay: Option<PathBuf>,
    /// Add at most this many inputs with new outcomes to the corpus
    #[arg(long, default_value_t = 0)]
    keep: usize,
}

fn main() -> ExitCode {
    fuzz::watch_panics();
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("Error: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let name = args.target.as_str();
    if let Some(file) = &args.replay {
        let input = std::fs::read(file).with_context(|| file.display().to_string())?;
        let outcome = fuzz::run_one(&mut *fuzz::target(name)?, &input).map_err(anyhow::Error::msg)?;
        println!("{outcome}");
        return Ok(());
    }
    let summary = fuzz::fuzz(name, Duration::from_secs(args.seconds), args.seed)?;
    println!("{name}: {} inputs, {} outcomes, no panic (seed {})", summary.inputs, summary.outcomes.len(), args.seed);
    // Short and long ones.
    let mut new = summary.new;
    new.retain(|input| input.len() < 8192);
    new.sort_by_key(Vec::len);
    for input in new.iter().step_by(new.len() / args.keep.max(1) + 1).take(args.keep) {
        std::fs::write(fuzz::corpus_dir(name).join(format!("{:016x}", fuzz::digest(input))), input)?;
    }
    Ok(())
}
