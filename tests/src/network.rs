//! A localnet of a test's own, and commands on it.

use crate::{binary, root};
use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long something that will happen may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// A running localnet with data and ports of its own; stopped when dropped.
pub struct Network {
    pub data: PathBuf,
    pub offset: u16,
    owned: bool,
}

/// What a command did.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// The result of a command that has to succeed.
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }

    pub fn json(self) -> Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
    }

    /// The message of a command that has to fail, and to leave standard output alone. The exit code is 1, or 2 where the
    /// arguments themselves make no sense.
    pub fn refused(self) -> String {
        assert!(matches!(self.code, Some(1 | 2)), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        self.stderr
    }
}

/// Runs a command to its end; `input` is its standard input.
pub fn run(command: &mut Command, input: &str) -> Run {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    // A command that asks nothing may end before it is told anything.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("a child that can be waited for");
    Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Network {
    /// A fresh network. `offset` moves its ports; tests that may run at one time need different ones.
    pub fn start(name: &str, validators: u8, offset: u16) -> Network {
        let data = std::env::temp_dir().join("virtengine-e2e").join(name);
        let network = Network { data, offset, owned: true };
        network.script(&["reset", "--yes"]).ok();
        let run = network.script_with(&["start"], &[("VALIDATORS", &validators.to_string())]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        network
    }

    /// The network that runs already where the environment says so, else a fresh one.
    pub fn running_or_start(name: &str, validators: u8, offset: u16) -> Network {
        if std::env::var_os("E2E_RUNNING_NETWORK").is_none() {
            return Network::start(name, validators, offset);
        }
        let data = std::env::var_os("LOCALNET_DATA").map_or_else(|| root().join("localnet/data"), PathBuf::from);
        let offset = std::fs::read_to_string(data.join("port-offset")).expect("a network").trim().parse().expect("a number");
        Network { data, offset, owned: false }
    }

    pub fn script(&self, args: &[&str]) -> Run {
        self.script_with(args, &[])
    }

    fn script_with(&self, args: &[&str], env: &[(&str, &str)]) -> Run {
        let mut command = Command::new(root().join("scripts/localnet.sh"));
        command.args(args).env("LOCALNET_DATA", &self.data).env("LOCALNET_PORT_OFFSET", self.offset.to_string());
        command.env_remove("VALIDATORS").envs(env.iter().copied());
        run(&mut command, "")
    }

    /// The port of a node that it has at `base` on node 0 without an offset.
    pub fn port(&self, base: u16, node: u16) -> u16 {
        base + self.offset + 100 * node
    }

    pub fn url(&self, node: u16) -> String {
        format!("http://localhost:{}", self.port(26657, node))
    }

    pub fn home(&self, node: u16) -> PathBuf {
        self.data.join(format!("node{node}"))
    }

    /// `virtengine` with the localnet's keyring, against node 0.
    pub fn virtengine(&self, args: &[&str]) -> Run {
        self.virtengine_with(args, "")
    }

    pub fn virtengine_with(&self, args: &[&str], input: &str) -> Run {
        let mut command = Command::new(binary("virtengine"));
        command.args(args).env("VIRTENGINE_NODE", self.url(0)).env("VIRTENGINE_CHAIN_ID", "virtengine-localnet-1");
        command.env("VIRTENGINE_HOME", self.data.join("client")).env("VIRTENGINE_KEYRING_BACKEND", "test");
        run(&mut command, input)
    }

    /// A transaction that has to succeed, as JSON.
    pub fn tx(&self, args: &[&str]) -> Value {
        let result = self.virtengine(&[&["tx"], args, &["--yes", "--output", "json"]].concat()).json();
        assert_eq!(result["code"], 0, "{result}");
        result
    }

    pub fn query(&self, args: &[&str]) -> Value {
        self.virtengine(&[&["query"], args, &["--output", "json"]].concat()).json()
    }

    pub fn address(&self, key: &str) -> String {
        self.virtengine(&["keys", "show", key, "-a"]).ok().trim().into()
    }

    /// What an address can spend, in uve.
    pub fn balance(&self, address: &str) -> u128 {
        let balances = self.query(&["bank", "balances", address]);
        let all = balances["balances"].as_array().expect("a list");
        all.iter().find(|c| c["denom"] == "uve").map_or(0, |c| number(&c["amount"]))
    }

    /// What a transaction cost, in uve.
    pub fn fee(&self, hash: &str) -> u128 {
        let tx = self.query(&["tx", hash]);
        let events = tx["events"].as_array().expect("events");
        let fee = events.iter().filter(|e| e["type"] == "tx").find_map(|e| attribute(e, "fee")).expect("a fee");
        fee.strip_suffix("uve").expect("uve").parse().expect("a number")
    }

    /// CometBFT's answer to a GET; None where there is none.
    pub fn rpc(&self, node: u16, path: &str) -> Option<Value> {
        let url = format!("{}/{path}", self.url(node));
        let run = run(Command::new("curl").args(["--silent", "--max-time", "3", &url]), "");
        serde_json::from_str::<Value>(&run.stdout).ok().map(|mut v| v["result"].take()).filter(|v| !v.is_null())
    }

    /// The newest block's height, if the node answers.
    pub fn height(&self, node: u16) -> Option<u64> {
        Some(number(&self.rpc(node, "status")?["sync_info"]["latest_block_height"]) as u64)
    }

    pub fn app_hash(&self, node: u16, height: u64) -> Option<String> {
        Some(self.rpc(node, &format!("block?height={height}"))?["block"]["header"]["app_hash"].as_str()?.into())
    }

    /// Waits for a height; returns the one that was reached.
    pub fn wait_for(&self, node: u16, height: u64) -> u64 {
        let mut reached = 0;
        eventually(&format!("node {node} reaches height {height}"), || {
            reached = self.height(node)?;
            (reached >= height).then_some(())
        });
        reached
    }

    /// The processes of a node by name: `virtengine`, `cometbft`.
    pub fn processes(&self, node: u16) -> Vec<(String, u32)> {
        let home = self.home(node).display().to_string();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse() else { continue };
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let args: Vec<_> = line.split(|b| *b == 0).map(String::from_utf8_lossy).collect();
            if args.get(1).is_some_and(|a| a == "start") && args.iter().any(|a| *a == home) {
                found.push((args[0].rsplit('/').next().unwrap_or_default().to_string(), pid));
            }
        }
        found.sort();
        found
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if !self.owned {
            return;
        }
        if std::thread::panicking() {
            for node in 0..20 {
                if let Ok(log) = std::fs::read_to_string(self.home(node).join("node.log")) {
                    let lines: Vec<_> = log.lines().collect();
                    eprintln!("--- the end of node{node}'s log:\n{}", lines[lines.len().saturating_sub(15)..].join("\n"));
                }
            }
        }
        self.script(&["stop"]);
    }
}

/// Milliseconds since 1970 of an RFC 3339 time.
pub fn millis(time: &str) -> u64 {
    run(Command::new("date").args(["-u", "+%s%3N", "-d", time]), "").ok().trim().parse().expect("a number")
}

/// A number that JSON holds as text.
pub fn number(value: &Value) -> u128 {
    value.as_str().and_then(|t| t.parse().ok()).unwrap_or_else(|| panic!("expected digits in quotes, got {value}"))
}

fn attribute<'a>(event: &'a Value, key: &str) -> Option<&'a str> {
    event["attributes"].as_array()?.iter().find(|a| a["key"] == key)?["value"].as_str()
}

/// Asks until there is an answer, and fails when that takes too long.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(since.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain until {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}
