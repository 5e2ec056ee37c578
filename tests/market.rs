//! The command line of a tenant and a provider, on a node that makes its blocks alone: from a deployment file to the
//! statement of what has long left the state.

use e2e::{Node, Run, eventually, run};
use serde_json::{Value, json};
use std::process::Command;

const FILE: &str = r#"version: "2.0"
services:
  web:
    image: nginx:alpine
    env: [PASSWORD=hunter2]
    expose: [{port: 80, to: [{global: true}]}]
profiles:
  compute: {web: {resources: {cpu: {units: 0.5}, memory: {size: 512Mi}, storage: {size: 1Gi}}}}
  placement:
    dcloud:
      attributes: {region: local}
      pricing: {web: {denom: uve, amount: 36000000}}
deployment: {web: {dcloud: {profile: web, count: 1}}}
"#;

/// A node with a tenant and a provider, and seconds where a network has hours, so that the test sees the end of everything.
fn start() -> Node {
    Node::start("market", &["tenant", "provider"], |genesis| {
        let params = json!({
            "escrow": {
                "min_runway": "1s", "min_usage_interval": "1s", "final_usage_window": "4s", "depletion_grace": "4s", "usage_cutoff": "20s",
            },
            "market": { "closed_retention": "21s", "min_lease_time": "1s", "manifest_timeout": "1s" },
        });
        for (module, values) in params.as_object().expect("an object") {
            for (name, value) in values.as_object().expect("an object") {
                genesis["app_state"][module]["params"][name] = value.clone();
            }
        }
    })
}

fn total(statement: &Value, name: &str) -> u64 {
    statement["totals"][name]["amount"].as_str().map_or(0, |a| a.parse().expect("a number"))
}

#[test]
fn from_a_deployment_file_to_the_statement_of_what_has_left_the_state() {
    let node = start();
    let (tenant, provider) = (node.address("tenant"), node.address("provider"));
    let file = node.write("web.yaml", FILE);
    deployment_files(&node, &file);

    let details = ["--name", "P", "--contact", "p@example.com", "--attribute", "region=local", "--deposit", "1000000000uve"];
    node.tx("provider", &[&["provider", "create"], &details[..]].concat()).ok();
    node.tx("tenant", &["deployment", "create", &file, "--deposit", "10000000uve"]).ok();
    for (attribute, orders) in [("region=local", 1), ("region=mars", 0)] {
        let found = node.query(&["market", "orders", "--state", "open", "--attribute", attribute]);
        assert_eq!(found["orders"].as_array().map(Vec::len), Some(orders), "{found}");
    }
    node.tx(
        "provider",
        &["market", "bid", "create", "--owner", &tenant, "--dseq", "1", "--price", "36000000uve", "--deposit", "500000uve"],
    )
    .ok();
    node.tx("tenant", &["market", "lease", "create", "--dseq", "1", "--provider", &provider]).ok();
    let lease = ["--owner", &tenant, "--dseq", "1", "--provider", &provider];
    envelopes(&node, &file, &lease);
    usage(&node, &tenant, &provider, &lease);

    node.tx("tenant", &["deployment", "close", "--dseq", "1"]).ok();
    eventually("the deployment leaves the state", || {
        let gone = node.ve(&["query", "deployment", "get", "--owner", &tenant, "--dseq", "1"], "").code != Some(0);
        gone.then_some(())
    });
    let statement = node.query(&["escrow", "statement", "--owner", &tenant, "--dseq", "1"]);
    let [deposited, paid, returned] = ["deposited", "paid_for_usage", "returned"].map(|name| total(&statement, name));
    assert_eq!((deposited, paid, deposited - paid), (10_000_000, 30_000, returned), "{statement}");
    let at_end_of_block = |e: &&Value| e["txhash"] == "" && e["event"] == "EventRefunded";
    assert_eq!(statement["entries"].as_array().map(|e| e.iter().filter(at_end_of_block).count()), Some(1), "{statement}");
    let own = node.query(&["escrow", "statement", "--provider", &provider]);
    assert_eq!((total(&own, "paid_for_usage"), total(&own, "deposited"), total(&own, "returned")), (30_000, 1_000_500_000, 500_000));
    let income = node.query(&["escrow", "income", "--provider", &provider]);
    assert_eq!((&income["total"]["amount"], &income["leases"][0]["lease_id"]["dseq"]), (&json!("30000"), &json!("1")), "{income}");
}

fn deployment_files(node: &Node, file: &str) {
    let valid = node.ve(&["sdl", "validate", file], "").json();
    assert_eq!(valid["groups"][0], json!({ "name": "dcloud", "price_per_hour": "36000000uve" }));
    let hash = node.ve(&["sdl", "hash", file], "").json();
    assert_eq!(hash["hex"], valid["manifest_hash"]);
    assert_eq!(node.ve(&["sdl", "groups", file], "").json()[0]["requirements"]["attributes"][0]["value"], "local");
    assert_eq!(node.ve(&["sdl", "manifest", file], "").json()[0]["services"][0]["env"], json!(["PASSWORD=hunter2"]));
    let wrong = node.write("wrong.yaml", &FILE.replace("port: 80", "port: 0"));
    let message = node.ve(&["sdl", "validate", &wrong], "").refused();
    assert!(message.contains("wrong.yaml:6:21: services.web.expose[0].port: expected"), "{message}");
}

fn envelopes(node: &Node, file: &str, lease: &[&str]) {
    let send = |file: &str| node.tx("tenant", &["market", "manifest", "send", file, "--dseq", "1", "--provider", lease[5]]);
    assert!(send(file).refused().contains("no ACTIVE recipient key"));
    let key = node.ve(&["keys", "show", "provider", "--pubkey"], "").ok();
    node.tx("provider", &["encryption", "register-recipient-key", "--public-key", key.trim()]).ok();
    let other = node.write("other.yaml", &FILE.replace("nginx:alpine", "nginx:1"));
    assert!(send(&other).refused().contains("tx deployment update"));
    send(file).ok();
    let manifest = node.ve(&["sdl", "manifest", file], "").ok();
    let open = |args: &[&str], lease: &[&str], from: &str, input: &str| {
        node.ve(&[&["encryption", "open"], args, lease, &["--from", from]].concat(), input)
    };
    for party in ["provider", "tenant"] {
        assert_eq!(open(&[], lease, party, "").ok(), manifest.trim());
    }
    assert!(open(&[], lease, "validator", "").refused().contains("not sealed to the key"));
    let sealed = node.ve(&[&["encryption", "seal", "-"], lease].concat(), "a secret").ok();
    assert_eq!(open(&["-"], lease, "provider", &sealed).ok(), "a secret");
    let elsewhere = [lease[0], lease[1], "--dseq", "2", lease[4], lease[5]];
    assert!(open(&["-"], &elsewhere, "provider", &sealed).refused().contains("was sealed for the lease"));
}

/// A file of two records, sent twice: each counts once.
fn usage(node: &Node, tenant: &str, provider: &str, lease: &[&str]) {
    let payment = || node.query(&[&["escrow", "payment"], lease].concat())["payments"][0].clone();
    let start = payment()["settled"].as_str().expect("a time").to_string();
    let later = |seconds: u32| {
        let added = run(Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%S.%3NZ", "-d"]).arg(format!("{start} + {seconds} seconds")), "");
        added.ok().trim().to_string()
    };
    let record = |from: u32, to: u32| {
        // Half of the reserved CPU: of three seconds at 10,000 uve a second one and a half are paid.
        json!({
            "lease_id": { "owner": tenant, "dseq": "1", "gseq": 1, "oseq": 1, "provider": provider },
            "start_time": later(from), "end_time": later(to),
            "resources": { "cpu_milli_seconds": 750, "memory_byte_seconds": u64::MAX, "storage_byte_seconds": u64::MAX },
        })
    };
    let file = node.write("usage.json", &json!([record(0, 3), record(3, 6)]).to_string());
    eventually("six seconds have passed", || {
        let now = node.query(&["block"])["block"]["header"]["time"].as_str().unwrap_or_default().to_string();
        (now > later(7)).then_some(())
    });
    let results = |run: Run| run.json()["responses"][0]["results"].clone();
    let submit = || results(node.tx("provider", &["escrow", "submit-usage", &file]));
    let first = submit();
    assert_eq!((&first[0]["paid"]["amount"], &first[1]["sequence"]), (&json!("15000"), &json!("2")), "{first}");
    let again = submit();
    assert_eq!(
        (again.as_array().map(Vec::len), &again[0]["duplicate"], &again[0]["sequence"]),
        (Some(1), &json!(true), &json!("2")),
        "{again}"
    );
    assert_eq!(payment()["lease_paid"]["amount"], "30000");
}

#[test]
fn a_genesis_file_of_another_chain_is_refused() {
    let mut node = start();
    node.stop();
    let path = node.path().join("config/genesis.json");
    let genesis = std::fs::read_to_string(&path).expect("genesis");
    std::fs::write(&path, genesis.replace("market-1", "other-7")).expect("genesis is written");
    let any = ["--rpc.laddr", "127.0.0.1:0", "--grpc.address", "127.0.0.1:0", "--api.address", "127.0.0.1:0"];
    let message = node.ve(&[&["start", "--engine", "solo"][..], &any].concat(), "").refused();
    assert!(message.contains("other-7") && message.contains("market-1") && message.contains("--home"), "{message}");
}
