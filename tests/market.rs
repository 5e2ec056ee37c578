//! The command line of a tenant and a provider, on a node that makes its blocks alone: from a deployment file to the
//! statement of what has long left the state.

use e2e::{Node, Run, eventually, millis, run};
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

const KEYS: [&str; 3] = ["tenant", "provider", "operator"];

/// A node whose windows last seconds where a network's last hours, so that the test sees the end of everything.
fn start() -> Node {
    let escrow = json!({
        "min_runway": "1s", "min_usage_interval": "1s", "final_usage_window": "4s", "depletion_grace": "4s", "usage_cutoff": "20s",
    });
    let market = json!({ "closed_retention": "21s", "min_lease_time": "1s", "manifest_timeout": "1s" });
    with(&json!({ "escrow": escrow, "market": market }), "1s")
}

/// A node whose modules have these parameters.
fn with(params: &Value, block_time: &str) -> Node {
    Node::start_every(block_time, "market", &KEYS, |genesis| {
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
    another_manifest(&node, &file, &lease);

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
    let foreign = node.write("foreign.yaml", &FILE.replace("denom: uve", "denom: uakt"));
    let taken = node.ve(&["sdl", "validate", &foreign], "").json();
    assert_eq!((&taken["valid"], &taken["groups"][0]), (&json!(true), &json!({ "name": "dcloud" })), "{taken}");
    let warning = taken["warnings"][0].as_str().expect("a warning");
    assert!(warning.contains("foreign.yaml:12:30: profiles.placement.dcloud.pricing.web.denom: expected uve, got uakt"), "{warning}");
    let create = |file: &str| node.tx("tenant", &["deployment", "create", file, "--deposit", "10000000uve"]).refused();
    assert!(create(&foreign).contains("expected uve, got uakt"));
    // What was written for Akash, where it is.
    for folder in std::fs::read_dir(e2e::root().join("../shared/conformance/sdl/valid")).into_iter().flatten().flatten() {
        let input = folder.path().join("input.yaml").display().to_string();
        assert_eq!(node.ve(&["sdl", "validate", &input], "").json()["valid"], true, "{input}");
    }
    let large = node.write("large.yaml", &FILE.replace("hunter2", &"x".repeat(64 << 10)));
    let warning = node.ve(&["sdl", "validate", &large], "").json()["warnings"][0].to_string();
    assert!(warning.contains("manifest: expected at most 65536 bytes when it is sealed, got 6"), "{warning}");
    assert!(create(&large).contains("manifest: expected at most 65536 bytes"));
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
    let keys: Vec<String> = (10..19).flat_map(|n| ["--recipient".into(), format!("{n}").repeat(32)]).collect();
    let many: Vec<&str> = keys.iter().map(String::as_str).collect();
    let refused = node.ve(&[&["encryption", "seal", "-"], lease, &many[..]].concat(), "a secret").refused();
    assert!(refused.contains("1 to 8 recipients, got 9"), "{refused}");
}

fn another_manifest(node: &Node, file: &str, lease: &[&str]) {
    let other = node.write("other.yaml", &FILE.replace("nginx:alpine", "nginx:1"));
    let open = || node.ve(&[&["encryption", "open"], lease, &["--from", "provider"]].concat(), "");
    // A new manifest is announced, and the one on the lease is no longer what the deployment names.
    node.tx("tenant", &["deployment", "update", &other, "--dseq", "1"]).ok();
    let stale = open().refused();
    let hash = |file: &str| node.ve(&["sdl", "hash", file], "").json()["hex"].as_str().expect("hex").to_string();
    assert!(stale.contains(&hash(file)) && stale.contains(&hash(&other)) && stale.contains("tx market manifest send"), "{stale}");
    node.tx("tenant", &["market", "manifest", "send", &other, "--dseq", "1", "--provider", lease[5]]).ok();
    assert_eq!(open().ok(), node.ve(&["sdl", "manifest", &other], "").ok().trim());
    let bigger = node.write("bigger.yaml", &FILE.replace("units: 0.5", "units: 1"));
    let refused = node.tx("tenant", &["deployment", "update", &bigger, "--dseq", "1"]).refused();
    assert!(refused.contains(r#"groups[0].resources[0].cpu_milli: the chain has \"500\", the file \"1000\""#), "{refused}");
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

/// A chain that goes on from an export begins where the exported one ended. A block may have come after `last`.
fn assert_time_goes_on(last: &Value, exported: &Value) {
    let [at, next] =
        [&last["height"], &exported["initial_height"]].map(|h| h.as_str().and_then(|h| h.parse::<u64>().ok()).expect("a height"));
    let [time, begins] = [&last["time"], &exported["genesis_time"]].map(|t| t.as_str().expect("a time").to_string());
    assert!(next > at && begins[..19] >= time[..19], "{last}: {begins} at {next}");
    if next == at + 1 {
        assert_eq!(millis(&begins), millis(&time));
    }
}

#[test]
fn a_genesis_file_of_another_chain_is_refused() {
    let mut node = start();
    let last = node.query(&["block"])["block"]["header"].take();
    node.stop();
    let exported = node.ve(&["export"], "").json();
    assert_time_goes_on(&last, &exported);
    let path = node.path().join("config/genesis.json");
    let genesis = std::fs::read_to_string(&path).expect("genesis");
    std::fs::write(&path, genesis.replace("market-1", "other-7")).expect("genesis is written");
    let any = ["--rpc.laddr", "127.0.0.1:0", "--grpc.address", "127.0.0.1:0", "--api.address", "127.0.0.1:0"];
    let message = node.ve(&[&["start", "--engine", "solo"][..], &any].concat(), "").refused();
    assert!(message.contains("other-7") && message.contains("market-1") && message.contains("--home"), "{message}");
}

/// The parts of a pass over all commands that change the market.
struct Pass {
    node: Node,
    tenant: String,
    provider: String,
    auditor: String,
}

#[test]
fn every_command_of_tenants_providers_and_auditors_works_as_typed() {
    // Money moves into and out of escrow although nobody may send any.
    let params = json!({
        "bank": { "default_send_enabled": false },
        "escrow": {
            "min_runway": "1s", "min_usage_interval": "0.010s", "final_usage_window": "4s", "depletion_grace": "600s", "usage_cutoff": "600s",
        },
        "market": { "closed_retention": "601s", "min_lease_time": "1s", "manifest_timeout": "1s" },
    });
    let node = with(&params, "250ms");
    let [tenant, provider, auditor] = ["tenant", "provider", "validator"].map(|name| node.address(name));
    let sent = node.ve(&["tx", "bank", "send", "tenant", &provider, "1uve", "--yes"], "").refused();
    assert!(sent.contains("send transactions are disabled"), "{sent}");
    let pass = Pass { node, tenant, provider, auditor };
    pass.registry();
    pass.keys();
    pass.usage();
    pass.money();
    pass.ends();
    pass.refusals();
}

impl Pass {
    fn tx(&self, from: &str, args: &[&str]) -> Value {
        self.node.response(from, args)
    }

    fn owned(&self) -> Value {
        self.node.query(&["provider", "get", &self.provider])["provider"].take()
    }

    /// The arguments that name the lease on a group's order.
    fn lease<'a>(&'a self, gseq: &'a str, oseq: &'a str) -> [&'a str; 10] {
        ["--owner", &self.tenant, "--dseq", "1", "--gseq", gseq, "--oseq", oseq, "--provider", &self.provider]
    }

    fn order_state(&self, gseq: &str, oseq: &str) -> String {
        let order = self.node.query(&[&["market", "order", "get"][..], &self.lease(gseq, oseq)[..8]].concat());
        order["order"]["state"].as_str().expect("a state").into()
    }

    fn lease_row(&self, gseq: &str) -> Value {
        self.node.query(&[&["market", "lease", "get"][..], &self.lease(gseq, "1")[..]].concat())["lease"].take()
    }

    fn account(&self) -> Value {
        self.node.query(&["escrow", "account", "--owner", &self.tenant, "--dseq", "1"])["accounts"][0].take()
    }

    /// Two groups, of which the first asks for an auditor's word, and a provider that comes to match them.
    fn registry(&self) {
        let place = |name: &str, more: &str| format!("    {name}:\n{more}      pricing: {{web: {{denom: uve, amount: 36000}}}}\n");
        let first = format!("      attributes: {{region: local}}\n      signedBy: {{allOf: [{}]}}\n", self.auditor);
        let (head, tail) = FILE.split_once("    dcloud:\n").expect("a placement");
        let tail = tail.split_once("deployment:").expect("a deployment").1;
        let tail = tail.replace("count: 1}", "count: 1}, edge: {profile: web, count: 1}");
        let text = format!("{head}{}{}deployment:{tail}reclamation: {{min_window: 1s}}\n", place("dcloud", &first), place("edge", ""));
        let file = self.node.write("two.yaml", &text);
        self.tx("tenant", &["deployment", "create", &file, "--deposit", "20000000uve"]);
        let order = format!("{}/1/1/1", self.tenant);
        let unmet = || {
            let found = self.node.query(&["market", "match", "--order", &order, "--provider", &self.provider]);
            let rows = found["requirements"].as_array().expect("a list").iter();
            let unmet: Vec<_> = rows.filter(|r| r["met"] == false).map(|r| r["requirement"].as_str().expect("text").to_string()).collect();
            assert_eq!(found["matches"], json!(unmet.is_empty()), "{found}");
            unmet
        };
        let signed = format!("signed by {}", self.auditor);
        assert_eq!(unmet(), ["registered provider", "attribute region=local", &signed]);

        let operator = self.node.address("operator");
        let details = ["--name", "P", "--contact", "p@example.com", "--website", "https://p.example.com", "--attribute", "region=moon"];
        let keys = ["--operator", &operator, "--payout", &self.auditor, "--deposit", "1000000000uve"];
        self.tx("provider", &[&["provider", "create"][..], &details[..], &keys].concat());
        let before = self.owned();
        self.tx("provider", &["provider", "update", "--name", "P2", "--attribute", "region=local"]);
        let after = self.owned();
        assert_eq!((&after["name"], &after["attributes"][0]["value"]), (&json!("P2"), &json!("local")));
        for kept in ["contact", "website", "operator", "payout", "gateway_fingerprint", "host_uri", "deposit"] {
            assert_eq!(after[kept], before[kept], "{kept} was not given");
        }
        self.tx("provider", &["provider", "update", "--website", "", "--payout", "", "--no-attributes"]);
        let emptied = self.owned();
        assert_eq!((&emptied["website"], &emptied["payout"], &emptied["attributes"]), (&json!(""), &json!(""), &json!([])), "{emptied}");
        assert_eq!((&emptied["name"], &emptied["operator"]), (&json!("P2"), &json!(operator)));
        self.tx("provider", &["provider", "update", "--attribute", "region=local"]);

        for status in ["inactive", "ACTIVE"] {
            self.tx("provider", &["provider", "set-status", status]);
            assert_eq!(self.owned()["status"], status.to_uppercase());
        }
        let vouched = || self.node.query(&["provider", "signed-attributes", &self.provider])["signed_attributes"].take();
        let sign = || self.tx("validator", &["provider", "sign-attributes", &self.provider, "--attribute", "region=local"]);
        sign();
        assert_eq!(vouched()[0]["auditor"], self.auditor);
        assert!(unmet().is_empty());
        self.tx("validator", &["provider", "delete-signed-attributes", &self.provider]);
        assert_eq!((vouched(), unmet()), (json!([]), vec![signed]));
        sign();

        for (gseq, from) in [("1", "operator"), ("2", "provider")] {
            let id = self.lease(gseq, "1");
            self.tx(from, &[&["market", "bid", "create"][..], &id[..], &["--price", "36000uve", "--deposit", "500000uve"]].concat());
            self.tx("tenant", &[&["market", "lease", "create"][..], &id[..]].concat());
        }
        for groups in [&["market", "groups"][..], &["market", "group", "list"], &["deployment", "groups"]] {
            let found = self.node.query(&[groups, &["--owner", &self.tenant, "--state", "open"]].concat());
            assert_eq!(found["groups"].as_array().map(Vec::len), Some(2), "{found}");
        }
    }

    fn keys(&self) {
        let listed = || -> Vec<(String, String)> {
            let found = self.node.query(&["encryption", "recipient-keys", &self.provider]);
            let text = |v: &Value| v.as_str().expect("text").to_string();
            found["keys"].as_array().expect("a list").iter().map(|k| (text(&k["state"]), text(&k["label"]))).collect()
        };
        let register = |key: &str| {
            let done = self.tx("provider", &["encryption", "register-recipient-key", "--public-key", key, "--label", "first"]);
            done["fingerprint"].as_str().expect("a fingerprint").to_string()
        };
        let old = register(&"09".repeat(32));
        self.tx("provider", &["encryption", "relabel-recipient-key", "--fingerprint", &old, "--label", "old"]);
        let other = "0a".repeat(32);
        let rotate = ["encryption", "rotate-recipient-key", "--fingerprint", &old, "--label", "new", "--public-key", &other];
        let new = self.tx("provider", &rotate)["fingerprint"].as_str().expect("a fingerprint").to_string();
        self.tx("provider", &["encryption", "revoke-recipient-key", "--fingerprint", &new]);
        let mut states = listed();
        states.sort();
        assert_eq!(states, [("DEPRECATED", "old"), ("REVOKED", "new")].map(|(state, label)| (state.to_string(), label.to_string())));
    }

    /// More records than one message takes, and one among them that overlaps.
    fn usage(&self) {
        const STEP: u64 = 10;
        let payment = || self.node.query(&[&["escrow", "payment"][..], &self.lease("1", "1")[..]].concat())["payments"][0].take();
        let start = millis(payment()["settled"].as_str().expect("a time"));
        let record = |from: u64, to: u64| {
            json!({
                "lease_id": { "owner": self.tenant, "dseq": "1", "gseq": 1, "oseq": 1, "provider": self.provider },
                "start_time": proto::shown_time(start + from), "end_time": proto::shown_time(start + to),
                "resources": { "cpu_milli_seconds": (to - from) / 2, "memory_byte_seconds": u64::MAX, "storage_byte_seconds": u64::MAX },
            })
        };
        let records: Vec<Value> = (0..101).map(|n| record(n * STEP, (n + 1) * STEP)).collect();
        eventually("all of it has passed", || {
            let now = self.node.query(&["block"])["block"]["header"]["time"].as_str().map(millis)?;
            (now > start + 110 * STEP).then_some(())
        });
        let file = self.node.write("many.json", &json!(records).to_string());
        let done = self.node.tx("operator", &["escrow", "submit-usage", &file]).json();
        let results = |message: usize| done["responses"][message]["results"].as_array().map(Vec::len);
        assert_eq!((results(0), results(1), results(2)), (Some(100), Some(1), None), "{done}");
        let paid = payment();
        assert_eq!((&paid["next_sequence"], &paid["lease_paid"]["amount"]), (&json!("102"), &json!("10")), "101 times a tenth of a uve");

        let overlapping = json!([record(101 * STEP, 105 * STEP), record(104 * STEP, 109 * STEP)]);
        let file = self.node.write("overlapping.json", &overlapping.to_string());
        let refused = self.node.tx("operator", &["escrow", "submit-usage", &file]).refused();
        let named = format!(
            "records[1] of lease {}/1/1/1/{}: start_time: expected {}",
            self.tenant,
            self.provider,
            proto::shown_time(start + 105 * STEP)
        );
        assert!(refused.contains(&named), "{refused}");
    }

    /// What is taken back runs the account dry, and what it says is missing resumes it.
    fn money(&self) {
        let back = self.tx("tenant", &["escrow", "withdraw-spare", "--dseq", "1"]);
        assert!(back["amount"]["amount"].as_str().and_then(|a| a.parse().ok()).is_some_and(|a: u64| a > 19_000_000), "{back}");
        let dry = eventually("the runway is over", || Some(self.account()).filter(|a| a["state"] == "depleted"));
        assert!(dry["depleted_at"].is_string() && dry["grace_ends"].is_string() && dry["depletes_at"].is_null(), "{dry}");
        let found = self.node.query(&["market", "groups", "--owner", &self.tenant, "--state", "insufficient_funds"]);
        assert_eq!(found["groups"].as_array().map(Vec::len), Some(2), "{found}");
        let missing = format!("{}uve", dry["missing"]["amount"].as_str().expect("an amount"));
        self.tx("tenant", &["escrow", "deposit", "--dseq", "1", "--amount", &missing]);
        let open = self.account();
        assert_eq!((&open["state"], &open["depleted_at"], &open["missing"]), (&json!("open"), &Value::Null, &Value::Null), "{open}");
    }

    fn ends(&self) {
        let second = self.lease("2", "1");
        self.tx("provider", &[&["market", "lease", "reclaim"][..], &second[..]].concat());
        assert!(self.lease_row("2")["reclaim_at"].is_string());
        self.tx("provider", &[&["market", "bid", "close"][..], &second[..], &["--reason", "unstable"]].concat());
        let left = self.lease_row("2");
        assert_eq!((&left["state"], &left["reason"]), (&json!("closed"), &json!("unstable")));
        let group = |what: &str| self.tx("tenant", &["deployment", "group", what, "--dseq", "1", "--gseq", "2"]);
        let state = || {
            let found = self.node.query(&["market", "group", "get", "--owner", &self.tenant, "--dseq", "1", "--gseq", "2"]);
            found["group"]["state"].as_str().expect("a state").to_string()
        };
        assert_eq!(state(), "paused");
        assert_eq!(
            (group("start")["oseq"].take(), state(), self.order_state("2", "2")),
            (json!(2), "open".to_string(), "open".to_string())
        );
        group("pause");
        assert_eq!((state(), self.order_state("2", "2")), ("paused".to_string(), "closed".to_string()));
        group("start");
        group("close");
        assert_eq!((state(), self.order_state("2", "3")), ("closed".to_string(), "closed".to_string()));

        let again = self.tx("tenant", &[&["market", "lease", "close"][..], &self.lease("1", "1")[..], &["--reoffer"]].concat());
        assert_eq!((&again["oseq"], self.order_state("1", "2")), (&json!(2), "open".to_string()));
        let bid = self.lease("1", "2");
        self.tx("operator", &[&["market", "bid", "create"][..], &bid[..], &["--price", "1uve", "--deposit", "500000uve"]].concat());
        let early = self.node.tx("provider", &["provider", "delete"]).refused();
        assert!(early.contains("open bids or unsettled leases"), "{early}");
        self.tx("operator", &[&["market", "bid", "close"][..], &bid[..]].concat());
        let closed = self.node.query(&["market", "bids", "--provider", &self.provider, "--state", "closed"]);
        assert_eq!(closed["bids"].as_array().map(Vec::len), Some(3), "{closed}");

        self.tx("tenant", &["deployment", "close", "--dseq", "1"]);
        eventually("all is settled and the provider may leave", || {
            let run = self.node.tx("provider", &["provider", "delete"]);
            (run.code == Some(0)).then_some(())
        });
        assert!(self.node.ve(&["query", "provider", "get", &self.provider], "").refused().contains("not found"));
    }

    /// Arguments that make no sense are refused by name.
    fn refusals(&self) {
        let refused = |args: &[&str], why: &str| {
            let message = self.node.ve(args, "").refused();
            assert!(message.contains(why), "{args:?}: {message}");
        };
        refused(&["query", "market", "orders", "--page", "0"], "--page");
        refused(&["query", "market", "groups", "--dseq", "1"], "--owner");
        let heights = ["query", "escrow", "income", "--provider", &self.provider, "--from-height", "10", "--to-height", "5"];
        refused(&heights, "--to-height 5: expected at least --from-height, 10");
        let deposit = ["tx", "escrow", "deposit", "--dseq", "1", "--from", "tenant", "--yes", "--amount", "99999999999999999999999uve"];
        refused(&deposit, "amount: expected a whole number of uve from 100000 to 18446744073709551615, got");
    }
}
