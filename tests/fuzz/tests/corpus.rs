//! Every committed input once, past findings among them, and a second of fuzzing each: that the targets work at all.

use fuzz::{NAMES, corpus, fuzz, run_one, target, watch_panics};
use std::time::Duration;

#[test]
fn no_input_of_the_corpus_panics_and_each_target_tells_outcomes_apart() {
    watch_panics();
    for name in NAMES {
        let mut target = target(name).unwrap();
        let corpus = corpus(name).unwrap();
        assert!(!corpus.is_empty(), "{name} has no corpus");
        for input in corpus {
            run_one(&mut *target, &input).unwrap_or_else(|why| panic!("{name}: {why}"));
        }
        let summary = fuzz(name, Duration::from_secs(1), 7).unwrap();
        assert!(
            summary.inputs > 10 && summary.outcomes.len() > 5,
            "{name}: {} inputs, {} outcomes",
            summary.inputs,
            summary.outcomes.len()
        );
    }
}
