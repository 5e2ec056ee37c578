//! The short simulation: 40 seeds of 100 blocks with 100 messages each.

use sim::{Length, keep_quiet, run_seeds};
use std::time::Duration;

#[test]
fn forty_histories_go_as_foretold() {
    keep_quiet();
    let result = run_seeds(0..40, Length { blocks: 100, ops: 100 }, 2, |_, _| ());
    match result {
        Ok(total) => assert!(total.accepted * 4 > total.messages, "too few messages are accepted: {total:?}"),
        Err(found) => {
            let (short, failure) = found.short(Duration::from_secs(60));
            eprintln!("seed {}, block {}: {}\n{}", found.seed, found.failure.block, found.failure.what, found.command());
            eprintln!("shortest history found: {}\n{}", failure.what, sim::describe(&short));
            std::process::exit(1);
        }
    }
}
