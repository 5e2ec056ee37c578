//! A node of a test's own that makes its blocks alone, and the command line in a home of its own.

use crate::{Run, binary, eventually, run};
use serde_json::Value;
use std::ops::Deref;
use std::path::Path;
use std::process::{Child, Command};

/// A home directory with a `test` keyring; results and errors of its commands are JSON.
pub struct Home {
    dir: tempfile::TempDir,
    url: String,
}

impl Default for Home {
    fn default() -> Self {
        Home::on("http://127.0.0.1:1")
    }
}

impl Home {
    /// A home whose commands ask the node at `url`.
    pub fn on(url: &str) -> Home {
        Home { dir: tempfile::tempdir().expect("a folder"), url: url.into() }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary("virtengine"));
        command.args(args).env("VIRTENGINE_HOME", self.path()).env("VIRTENGINE_KEYRING_BACKEND", "test");
        command.env("VIRTENGINE_NODE", &self.url).env("VIRTENGINE_OUTPUT", "json");
        command
    }

    pub fn ve(&self, args: &[&str], input: &str) -> Run {
        run(&mut self.command(args), input)
    }

    pub fn query(&self, args: &[&str]) -> Value {
        self.ve(&[&["query"], args].concat(), "").json()
    }

    pub fn tx(&self, from: &str, args: &[&str]) -> Run {
        self.ve(&[&["tx"], args, &["--from", from, "--yes"]].concat(), "")
    }

    /// The answer to the one message of a transaction that has to succeed.
    pub fn response(&self, from: &str, args: &[&str]) -> Value {
        self.tx(from, args).json()["responses"][0].take()
    }

    pub fn address(&self, name: &str) -> String {
        self.ve(&["keys", "show", name, "-a"], "").ok().trim().into()
    }

    /// Writes a file into the home; returns its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    }
}

/// A node, ended when dropped.
pub struct Node {
    home: Home,
    child: Option<Child>,
}

impl Deref for Node {
    type Target = Home;

    fn deref(&self) -> &Home {
        &self.home
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop();
    }
}

fn free_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").to_string()
}

impl Node {
    /// A node of the chain `NAME-1`, whose home has the key `validator` and these, each with 5,000,000 VE. `change` may
    /// change the genesis document before they are in it.
    pub fn start(name: &str, keys: &[&str], change: impl FnOnce(&mut Value)) -> Node {
        Node::start_every("1s", name, keys, change)
    }

    /// A node that makes a block every `block_time`.
    pub fn start_every(block_time: &str, name: &str, keys: &[&str], change: impl FnOnce(&mut Value)) -> Node {
        let address = free_address();
        let mut node = Node { home: Home::on(&format!("http://{address}")), child: None };
        node.ve(&["init", name, "--chain-id", &format!("{name}-1")], "").ok();
        let path = node.path().join("config/genesis.json");
        let mut genesis = serde_json::from_str(&std::fs::read_to_string(&path).expect("genesis")).expect("JSON");
        change(&mut genesis);
        std::fs::write(&path, genesis.to_string()).expect("genesis is written");
        for key in [&["validator"], keys].concat() {
            node.ve(&["keys", "add", key], "").ok();
            node.ve(&["genesis", "add-genesis-account", key, "5000000000000uve"], "").ok();
        }
        node.ve(&["genesis", "gentx", "validator", "1000000000uve"], "").ok();
        node.ve(&["genesis", "collect-gentxs"], "").ok();
        let mut start = node.command(&["start", "--engine", "solo", "--block-time", block_time, "--rpc.laddr", &address]);
        start.args(["--grpc.address", &free_address(), "--api.address", &free_address(), "--log-level", "warn"]);
        node.child = Some(start.spawn().expect("the node starts"));
        eventually("the first block", || (node.ve(&["query", "block", "1"], "").code == Some(0)).then_some(()));
        node
    }

    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// What an address has, in uve.
    pub fn balance(&self, address: &str) -> u128 {
        crate::number(&self.query(&["bank", "balances", address, "--denom", "uve"])["balance"]["amount"])
    }
}
