//! Types docs/lab.md into a shell, passphrases included, and checks what each command shows.

use e2e::{Block, Network, Shell, Typed, binary, blocks, commands, number, root, run};
use serde_json::{Value, json};
use std::process::Command;

const PASSPHRASE: &str = "correct horse battery";
const DEPOSIT: u128 = 100_000_000_000;
const FUNDS: u128 = 200_000_000_000;

struct Lab {
    network: Network,
    shell: Shell,
    home: tempfile::TempDir,
    alice: String,
    provider: String,
    dseq: String,
    /// Fees that the provider has paid.
    fees: u128,
    /// What alice owned before the step.
    before: u128,
    lease_start: String,
}

/// What a block's commands have to show. Each gets the commands of its block.
type Check = fn(&mut Lab, &[Typed]);

const CHECKS: &[(&str, Check)] = &[
    ("workspace", |_, _| {}),
    ("keys", keys),
    ("fund", fund),
    ("balance", balance),
    ("config", config),
    ("register", register),
    ("recipient-key", recipient_key),
    ("checklist-1", checklist_1),
    ("manifest", |_, _| {}),
    ("deployment", deployment),
    ("orders", orders),
    ("bid", bid),
    ("bids", bids),
    ("lease", lease),
    ("leases", leases),
    ("checklist-3", checklist_3),
    ("usage-too-early", usage_too_early),
    ("usage", usage),
    ("close", close),
    ("closed", closed),
    ("refund", refund),
    ("trouble-orders", trouble_orders),
    ("trouble-bids", trouble_bids),
    ("trouble-usage", trouble_usage),
];

#[test]
fn the_lab_works_as_it_is_written() {
    let network = Network::running_or_start("lab", 4, 1000);
    let home = tempfile::tempdir().expect("a home");
    std::fs::create_dir(home.path().join("virtengine-lab")).expect("a folder");
    std::os::unix::fs::symlink(root(), home.path().join("virtengine-lab/virtengine")).expect("a link");
    let (data, offset, node) = (network.data.display().to_string(), network.offset.to_string(), network.url(0));
    // VIRTENGINE_NODE stands in for the standard port where a command names no node.
    let env = [("LOCALNET_DATA", data.as_str()), ("LOCALNET_PORT_OFFSET", offset.as_str()), ("VIRTENGINE_NODE", node.as_str())];
    let shell = Shell::open(home.path(), &env, PASSPHRASE);
    let alice = network.address("alice");
    let before = network.balance(&alice);
    let mut lab =
        Lab { network, shell, home, alice, provider: String::new(), dseq: String::new(), fees: 0, before, lease_start: String::new() };

    status_is_healthy(&mut lab);
    binaries_answer();
    let guide = std::fs::read_to_string(root().join("docs/lab.md")).expect("docs/lab.md");
    let typed: Vec<Block> = blocks(&guide).into_iter().filter(|b| b.info.starts_with("lab=")).collect();
    let names: Vec<&str> = typed.iter().map(|b| &b.info[4..]).collect();
    assert_eq!(names, CHECKS.iter().map(|c| c.0).collect::<Vec<_>>(), "the guide's blocks and this test's checks");
    for (block, (name, check)) in typed.iter().zip(CHECKS) {
        eprintln!("{name}: {}", block.headings.last().map_or("", String::as_str));
        let shown: Vec<Typed> = commands(&block.text).iter().map(|c| lab.type_in(c)).collect();
        if let Some(failed) = shown.iter().find(|t| t.code != 0 && !name.ends_with("too-early")) {
            panic!("exit code {}: {}\n{}{}", failed.code, failed.command, failed.terminal, failed.stdout);
        }
        check(&mut lab, &shown);
    }
}

impl Lab {
    /// Types a command as the guide has it, with what a reader puts in the place of `<…>`.
    fn type_in(&mut self, command: &str) -> Typed {
        let mut text = command.to_string();
        for (placeholder, value) in [
            ("<paste-your-provider-address>", &self.provider),
            ("<provider-address>", &self.provider),
            ("<alice-address-from-above>", &self.alice),
            ("<dseq-from-above>", &self.dseq),
        ] {
            text = text.replace(placeholder, value);
        }
        // The network of this test may be at other ports than a developer's.
        self.shell.run(&text.replace("localhost:26657", &format!("localhost:{}", self.network.port(26657, 0))))
    }

    fn provider_balance(&self) -> u128 {
        self.network.balance(&self.provider)
    }

    fn lease(&self) -> Value {
        let id = ["market", "lease", "get", "--owner", &self.alice, "--dseq", &self.dseq, "--provider", &self.provider];
        self.network.query(&id)
    }

    fn escrow(&self) -> Value {
        self.network.query(&["escrow", "account", "--owner", &self.alice, "--dseq", &self.dseq])["accounts"][0].take()
    }
}

/// The output of the command that holds these words.
fn of<'a>(shown: &'a [Typed], words: &str) -> &'a Typed {
    shown.iter().find(|t| t.command.contains(words)).unwrap_or_else(|| panic!("no command with {words:?}"))
}

/// The hash of a transaction that was shown as YAML, with code 0 and nothing else on standard output.
fn hash(typed: &Typed) -> String {
    let line = |field: &str| typed.stdout.lines().find_map(|l| l.strip_prefix(field)).unwrap_or_else(|| panic!("no {field} in {typed:?}"));
    assert_eq!(line("code: "), "0", "{typed:?}");
    for field in ["height: ", "gas_used: ", "events:"] {
        line(field);
    }
    assert!(typed.terminal.contains("gas estimate: ") && !typed.stdout.contains("gas estimate"), "{typed:?}");
    line("txhash: ").trim_matches('"').to_string()
}

fn rows(typed: &Typed) -> Vec<Value> {
    serde_json::from_str(&typed.stdout).unwrap_or_else(|e| panic!("{e}: {typed:?}"))
}

fn includes(row: &Value, part: Value) {
    match (row, &part) {
        (Value::Object(_), Value::Object(fields)) => fields.iter().for_each(|(k, v)| includes(&row[k], v.clone())),
        (Value::Array(rows), Value::Array(parts)) if rows.len() == parts.len() => {
            rows.iter().zip(parts).for_each(|(r, p)| includes(r, p.clone()));
        }
        _ => assert_eq!(row, &part),
    }
}

fn status_is_healthy(lab: &mut Lab) {
    let status = lab.network.script(&["status"]).ok();
    assert!(status.contains("healthy") && status.contains("node0") && status.contains("node3"), "{status}");
}

fn binaries_answer() {
    for name in ["virtengine", "virtengined"] {
        assert!(!run(Command::new(binary(name)).arg("version"), "").ok().trim().is_empty());
    }
}

fn keys(lab: &mut Lab, shown: &[Typed]) {
    let asked: Vec<usize> = shown.iter().map(|t| t.asked).filter(|n| *n > 0).collect();
    assert_eq!(asked, [2, 1, 1, 1], "a new passphrase is asked for twice, an old one once");
    let added = of(shown, "keys add provider-operator");
    assert!(added.stdout.contains("name: provider-operator") && added.stdout.contains("type: local"), "{added:?}");
    let words = added.terminal.lines().map(|l| l.split_whitespace().count()).filter(|n| *n == 24).count();
    assert_eq!(words, 1, "the mnemonic, once: {added:?}");
    assert!(added.terminal.contains("Important"), "{added:?}");
    lab.provider = of(shown, "echo \"Provider address").stdout.trim_start_matches("Provider address: ").trim().into();
    assert!(lab.provider.starts_with("virtengine1") && !lab.provider.contains(char::is_whitespace), "{}", lab.provider);
    let public = of(shown, "echo \"Encryption pubkey").stdout.trim_start_matches("Encryption pubkey: ").trim();
    let public: Value = serde_json::from_str(public).expect("one line of JSON");
    assert_eq!(public["@type"], "/cosmos.crypto.secp256k1.PubKey");
    use std::os::unix::fs::PermissionsExt;
    let file = lab.home.path().join("provider-lab/provider-home/keyring-file/provider-operator.info");
    assert_eq!(file.metadata().expect("the key's file").permissions().mode() & 0o777, 0o600);
}

fn fund(lab: &mut Lab, shown: &[Typed]) {
    let fee = lab.network.fee(&hash(of(shown, "tx bank send")));
    let gas = lab.network.query(&["tx", &hash(of(shown, "tx bank send"))])["gas_wanted"].as_str().and_then(|g| g.parse::<u128>().ok());
    assert_eq!(Some(fee), gas.map(|g| (g * 25).div_ceil(1000)), "the fee is gas × 0.025, rounded up");
    assert_eq!(lab.provider_balance(), FUNDS);
}

fn balance(_: &mut Lab, shown: &[Typed]) {
    let text = &of(shown, "bank balances").stdout;
    assert!(text.starts_with("balances:\n- amount: \"200000000000\"\n  denom: uve\n"), "{text}");
    assert!(text.lines().skip(3).all(|l| l.starts_with("pagination:") || l.starts_with(' ')), "{text}");
}

fn config(lab: &mut Lab, _: &[Typed]) {
    let text = std::fs::read_to_string(lab.home.path().join("provider-lab/provider-home/config/config.yaml")).expect("the file");
    assert!(text.contains("kubeconfig: \"${HOME}/.kube/config\"") && text.ends_with("path: \"/metrics\"\n"), "{text}");
}

fn register(lab: &mut Lab, shown: &[Typed]) {
    lab.fees += lab.network.fee(&hash(of(shown, "tx provider create")));
    let rows = rows(of(shown, "provider list"));
    let own = rows.iter().find(|r| r["owner"] == lab.provider.as_str()).expect("the provider");
    let (contact, website) = ("provider-lab@example.com", "https://lab-provider.example.com");
    includes(own, json!({ "name": "Lab-Provider-1", "contact": contact, "website": website, "status": "ACTIVE" }));
    includes(own, json!({ "attributes": [{ "key": "region", "value": "local" }] }));
    assert_eq!(lab.provider_balance(), FUNDS - DEPOSIT - lab.fees);
}

fn recipient_key(lab: &mut Lab, shown: &[Typed]) {
    lab.fees += lab.network.fee(&hash(of(shown, "register-recipient-key")));
    let all = lab.network.query(&["encryption", "recipient-keys"]);
    let one = lab.network.query(&["encryption", "recipient-keys", &lab.provider]);
    let keys = |v: &Value| v.as_object().and_then(|o| o.values().find_map(Value::as_array).cloned()).expect("a list");
    assert!(keys(&all).len() >= keys(&one).len());
    let [key] = &keys(&one)[..] else { panic!("{one}") };
    includes(key, json!({ "owner": lab.provider, "algorithm": "X25519-XSalsa20-Poly1305", "state": "ACTIVE" }));
    includes(key, json!({ "label": "Lab Provider Order Decryption Key" }));
    assert!(key["fingerprint"].as_str().is_some_and(|f| f.len() == 40 && f.bytes().all(|b| b.is_ascii_hexdigit())), "{key}");
}

fn checklist_1(lab: &mut Lab, shown: &[Typed]) {
    let list = &of(shown, "keys list").stdout;
    assert!(list.contains("provider-operator") && list.contains("provider-encryption"), "{list}");
    assert!(of(shown, "bank balances").stdout.contains(&(FUNDS - DEPOSIT - lab.fees).to_string()));
    assert!(of(shown, "recipient-keys").stdout.contains("fingerprint: "));
}

fn deployment(lab: &mut Lab, shown: &[Typed]) {
    let fee = lab.network.fee(&hash(of(shown, "deployment create")));
    lab.dseq = of(shown, "echo \"Deployment").stdout.trim_start_matches("Deployment sequence: ").trim().into();
    assert!(lab.dseq.parse::<u64>().is_ok_and(|n| n > 0), "{:?}", lab.dseq);
    assert_eq!(lab.network.balance(&lab.alice), lab.before - 10_000_000 - fee);
    includes(&lab.escrow(), json!({ "state": "open", "balance": { "denom": "uve", "amount": "10000000" } }));
    let deployment = lab.network.query(&["deployment", "get", "--owner", &lab.alice, "--dseq", &lab.dseq]);
    includes(&deployment, json!({ "deployment": { "state": "active" } }));
    assert_eq!(deployment["groups"].as_array().map(Vec::len), Some(1));
    lab.before = lab.network.balance(&lab.alice);
}

fn orders(lab: &mut Lab, shown: &[Typed]) {
    let rows = rows(of(shown, "order list"));
    let own = rows.iter().find(|r| r["order_id"]["owner"] == lab.alice.as_str() && r["order_id"]["dseq"] == lab.dseq.as_str());
    let own = own.expect("alice's order");
    includes(own, json!({ "order_id": { "gseq": 1, "oseq": 1 }, "state": "open" }));
    let [unit] = &own["spec"]["resources"].as_array().expect("resources")[..] else { panic!("{own}") };
    let size = |v: &Value| v.as_str().and_then(|t| t.parse::<u64>().ok());
    assert_eq!(size(&unit["memory"]), Some(512 << 20), "{unit}");
    assert!(unit.to_string().contains(&(1u64 << 30).to_string()) && unit.to_string().contains("500"), "{unit}");
}

fn bid(lab: &mut Lab, shown: &[Typed]) {
    lab.fees += lab.network.fee(&hash(of(shown, "bid create")));
    assert_eq!(lab.provider_balance(), FUNDS - DEPOSIT - 5_000_000 - lab.fees);
    assert_eq!(of(shown, "echo").stdout, "Bid submitted!\n");
}

fn id(lab: &Lab) -> Value {
    json!({ "owner": lab.alice, "dseq": lab.dseq, "gseq": 1, "oseq": 1, "provider": lab.provider })
}

fn bids(lab: &mut Lab, shown: &[Typed]) {
    let rows = rows(of(shown, "bid list"));
    assert_eq!(rows.len(), 1);
    includes(&rows[0], json!({ "bid_id": id(lab), "state": "open", "price": { "denom": "uve", "amount": "50" } }));
}

fn lease(lab: &mut Lab, shown: &[Typed]) {
    let fee = lab.network.fee(&hash(of(shown, "lease create")));
    assert_eq!(lab.network.balance(&lab.alice), lab.before - fee);
    lab.before -= fee;
    for kind in ["order", "bid"] {
        let filter = ["market", kind, "list", "--owner", &lab.alice, "--dseq", &lab.dseq, "--state", "active"];
        let list = lab.network.query(&filter);
        assert_eq!(list[format!("{kind}s")].as_array().map(Vec::len), Some(1), "{list}");
    }
}

fn leases(lab: &mut Lab, shown: &[Typed]) {
    let rows = rows(of(shown, "lease list"));
    includes(&rows[0], json!({ "lease_id": id(lab), "state": "active", "price": { "denom": "uve", "amount": "50" } }));
    lab.lease_start = rows[0]["created_at"].as_str().expect("a time").into();
    // Balance, what is reserved as of now, and how long the money lasts.
    let account = lab.network.query(&["escrow", "account", "--owner", &lab.alice, "--provider", &lab.provider])["accounts"][0].take();
    includes(&account, json!({ "state": "open", "payments": [{ "state": "running" }] }));
    let hours: f64 = account["hours_left"].as_str().and_then(|h| h.parse().ok()).expect("hours");
    assert!((199_990.0..=200_000.0).contains(&hours), "10000000uve at 50uve per hour: {account}");
}

fn checklist_3(lab: &mut Lab, shown: &[Typed]) {
    assert!(of(shown, "deployment list").stdout.contains("state: active"));
    let open = lab.network.query(&["market", "order", "list", "--state", "open", "--owner", &lab.alice, "--dseq", &lab.dseq]);
    assert_eq!(open["orders"], json!([]), "an order with a lease is not open");
    for words in ["bid list", "lease list"] {
        assert!(of(shown, words).stdout.contains(&lab.provider), "{words}");
    }
}

fn usage_too_early(lab: &mut Lab, shown: &[Typed]) {
    let refused = of(shown, "submit-usage");
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""), "{refused:?}");
    let second = &lab.lease_start[..19];
    assert!(refused.terminal.contains(second), "the message names the lease's start, {second}: {refused:?}");
    assert!(shown.iter().all(|t| t.code == 0 || t.command.contains("submit-usage")), "{shown:?}");
}

fn usage(lab: &mut Lab, shown: &[Typed]) {
    let submitted = of(shown, "submit-usage");
    lab.fees += lab.network.fee(&hash(submitted));
    assert!(submitted.stdout.contains("settled"), "the answer says where the next record starts: {submitted:?}");
    let payment = lab.escrow()["payments"][0].take();
    assert!(payment["settled"].as_str().expect("a time") > lab.lease_start.as_str(), "{payment}");
    assert_eq!(payment["next_sequence"], "2");
    // The same file again is the same record: it succeeds and changes nothing.
    let again = submitted.command.clone();
    let again = lab.type_in(&again);
    assert_eq!(again.code, 0, "{again:?}");
    lab.fees += lab.network.fee(&hash(&again));
    assert_eq!(lab.escrow()["payments"][0]["next_sequence"], "2");
}

fn close(lab: &mut Lab, shown: &[Typed]) {
    let fee = lab.network.fee(&hash(of(shown, "lease close")));
    lab.before -= fee;
    includes(&lab.lease()["lease"], json!({ "state": "closed", "reason": "owner" }));
    let paid = number(&lab.escrow()["paid"]["amount"]);
    assert_eq!(lab.provider_balance(), FUNDS - DEPOSIT - lab.fees + paid, "the bid's deposit is back");
    let group = lab.network.query(&["deployment", "group", "get", "--owner", &lab.alice, "--dseq", &lab.dseq]);
    includes(&group["group"], json!({ "state": "paused" }));
    let orders = lab.network.query(&["market", "order", "list", "--owner", &lab.alice, "--dseq", &lab.dseq, "--state", "open"]);
    assert_eq!(orders["orders"], json!([]), "it is not offered again");
    let id = ["tx", "market", "lease", "close", "--owner", &lab.alice, "--dseq", &lab.dseq, "--provider", &lab.provider];
    let twice = lab.network.virtengine(&[&id[..], &["--from", "alice", "--yes"]].concat()).refused();
    assert!(twice.contains("closed"), "{twice}");
}

fn closed(lab: &mut Lab, shown: &[Typed]) {
    let text = &of(shown, "--state closed").stdout;
    assert!(text.contains("state: closed") && text.contains("reason: owner") && text.contains(&lab.provider), "{text}");
}

/// The provider may still report the seconds between its record and the close: their reserve waits, all else is back.
fn refund(lab: &mut Lab, shown: &[Typed]) {
    let fee = lab.network.fee(&hash(of(shown, "deployment close")));
    let account = lab.escrow();
    let held = number(&account["balance"]["amount"]);
    let back = lab.network.balance(&lab.alice) + fee - lab.before;
    assert!(held <= 2, "some seconds at 50uve per hour: {account}");
    let rest = 10_000_000 - number(&account["paid"]["amount"]) - back - held;
    assert!(rest <= 1, "deposit = paid + returned + held, but for a fraction: {account}");
    // Both sides' bills, from the events that CometBFT has indexed.
    let statement = lab.network.query(&["escrow", "statement", "--owner", &lab.alice, "--dseq", &lab.dseq]);
    assert_eq!(number(&statement["totals"]["deposited"]["amount"]), 10_000_000, "{statement}");
    let income = lab.network.query(&["escrow", "income", "--provider", &lab.provider]);
    assert_eq!(number(&income["total"]["amount"]), number(&account["paid"]["amount"]), "{income}");
}

fn trouble_orders(lab: &mut Lab, shown: &[Typed]) {
    let status: Value = serde_json::from_str(&of(shown, "curl").stdout).expect("JSON");
    let height = number(&status["result"]["sync_info"]["latest_block_height"]) as u64;
    lab.network.wait_for(0, height + 1);
    assert!(of(shown, "provider list").stdout.contains("status: ACTIVE"));
}

fn trouble_bids(lab: &mut Lab, shown: &[Typed]) {
    let text = &of(shown, "bid list").stdout;
    assert!(text.contains("state: closed") && text.contains(&lab.provider), "{text}");
}

fn trouble_usage(lab: &mut Lab, shown: &[Typed]) {
    assert!(of(shown, "escrow account").stdout.starts_with("accounts:"));
    assert!(of(shown, "lease list").stdout.contains("state: closed"));
    let nobody = lab.network.query(&["escrow", "account", "--owner", &lab.alice, "--provider", &lab.alice]);
    assert_eq!(nobody["accounts"], json!([]));
}
