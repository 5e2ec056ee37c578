//! Where the course itself is at hand, docs/lab.md must have its commands to the letter, but for what is listed here.

use e2e::{Block, blocks, commands, root};

/// The parts of the course that the lab covers, by heading; commands that need Kubernetes or the daemon are listed below.
const COVERED: &[&str] = &[
    "Exercise 1: Set Up Provider Daemon Locally",
    "Exercise 3: Submit Bids and Create Leases",
    "Step 1: Process Lease and Deploy Workload",
    "Step 5: Simulate Usage Record Submission",
    "Step 7: Terminate Workload (Lease End)",
    "Provider Not Receiving Orders",
    "Bid Not Winning",
    "Usage Submission Failures",
];

/// Words that mark a command of Kubernetes or of the provider daemon, which other guides cover.
const LEFT_OUT: &[&str] = &["kubectl ", "workload-deployment.yaml", "provider.log"];

/// The course's text, and ours.
const REPLACED: &[(&str, &str)] = &[
    ("/deployment-manifest.yaml \\\n    --from alice", "~/provider-lab/deployment-manifest.yaml \\\n    --from alice"),
    // A shell does not know the variables of another.
    (
        "PROVIDER_ADDR=\"<provider-address>\"\nvirtengine tx",
        "DSEQ=\"<dseq-from-above>\"\nPROVIDER_ADDR=\"<provider-address>\"\nvirtengine tx",
    ),
    (
        "# Inside container\nvirtengine tx market lease close",
        "DSEQ=\"<dseq-from-above>\"\nPROVIDER_ADDR=\"<provider-address>\"\nvirtengine tx market lease close",
    ),
    ("# $VIRTENGINE_BIN tx escrow submit-usage ./usage-record.json ...", SUBMIT),
];

const SUBMIT: &str = "$VIRTENGINE_BIN tx escrow submit-usage ./usage-record.json \\
    --from provider-operator \\
    --keyring-backend file \\
    --home ./provider-home \\
    --node http://localhost:26657 \\
    --chain-id virtengine-localnet-1 \\
    --gas auto \\
    --gas-adjustment 1.5 \\
    --gas-prices 0.025uve \\
    --yes";

/// Blocks that the lab adds.
const ADDED: &[&str] = &["checklist-1", "checklist-3", "usage", "closed", "refund"];

fn read(blocks: impl Iterator<Item = Block>) -> Vec<String> {
    blocks.flat_map(|b| commands(&b.text)).filter(|c| LEFT_OUT.iter().all(|words| !c.contains(words))).collect()
}

#[test]
fn the_lab_has_the_courses_commands_to_the_letter() {
    let Ok(mut course) = std::fs::read_to_string(root().join("../shared/seeds/provider-operations-lab.md")) else {
        eprintln!("the course is not at hand: nothing to compare with");
        return;
    };
    for (theirs, ours) in REPLACED {
        assert_eq!(course.matches(theirs).count(), 1, "{theirs}");
        course = course.replace(theirs, ours);
    }
    let course = read(blocks(&course).into_iter().filter(|b| b.headings.iter().any(|h| COVERED.contains(&h.as_str()))));
    let lab = std::fs::read_to_string(root().join("docs/lab.md")).expect("docs/lab.md");
    let typed = blocks(&lab).into_iter().filter(|b| b.info.strip_prefix("lab=").is_some_and(|name| !ADDED.contains(&name)));
    let lab = read(typed);
    for (theirs, ours) in course.iter().zip(&lab) {
        assert_eq!(theirs, ours);
    }
    assert_eq!(course.len(), lab.len());
}
