//! End-to-end tests: a real localnet or node, the real command line, a real shell. This is what they share.

mod guide;
mod network;
mod node;
mod shell;

pub use guide::{Block, blocks, commands};
pub use network::{Network, Run, eventually, millis, number, run};
pub use node::{Home, Node};
pub use shell::{Shell, Typed};

use std::path::{Path, PathBuf};

/// The checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the checkout")
}

/// A program of the checkout's.
pub fn binary(name: &str) -> PathBuf {
    root().join(".cache/bin").join(name)
}
