//! What users get wrong: every refusal names the field, says what was expected, ends with a non-zero exit code, prints
//! nothing on standard output and leaves state and money as they were.

use e2e::{Network, Run, binary, millis, root, run};
use std::path::Path;
use std::process::Command;

/// A deployment file in a directory of the test's own.
fn file(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).expect("a file");
    path.display().to_string()
}

/// The lab's deployment file.
fn manifest() -> String {
    let lab = std::fs::read_to_string(root().join("docs/lab.md")).expect("docs/lab.md");
    let block = e2e::blocks(&lab).into_iter().find(|b| b.info == "lab=manifest").expect("the manifest's block");
    let lines: Vec<&str> = block.text.lines().collect();
    lines[1..lines.len() - 1].join("\n") + "\n"
}

#[test]
fn transactions_that_cannot_work_are_refused_by_name_and_change_nothing() {
    let network = Network::start("bad-input", 1, 5000);
    let dir = tempfile::tempdir().expect("a folder");
    let (alice, bob, charlie) = (network.address("alice"), network.address("bob"), network.address("charlie"));
    let good = file(dir.path(), "good.yaml", &manifest());
    let bad = file(dir.path(), "bad.yaml", &manifest().replace("size: 512Mi", "size: 512Mo"));
    let unknown = file(dir.path(), "unknown.yaml", &manifest().replace("image:", "imagge:"));
    network.tx(&["deployment", "create", &good, "--deposit", "10000000uve", "--from", "alice"]);
    let create = ["provider", "create", "--name", "p", "--contact", "p@example.com", "--deposit", "1000000000uve"];
    network.tx(&[&create[..], &["--from", "provider"]].concat());
    let provider = network.address("provider");
    let before = (network.balance(&alice), network.balance(&charlie), network.balance(&provider));
    let without = |flag: &str| {
        let at = create.iter().position(|a| *a == flag).expect("a flag");
        [&create[..at], &create[at + 2..]].concat()
    };
    let with = |flag: &str, value: &'static str| {
        let at = create.iter().position(|a| *a == flag).expect("a flag");
        [&create[..=at], &[value], &create[at + 2..]].concat()
    };
    let order = ["--owner", alice.as_str(), "--dseq", "1"];
    let bid = |price: &'static str, deposit: &'static str| {
        [&["market", "bid", "create"], &order[..], &["--price", price, "--deposit", deposit]].concat()
    };
    let other = ["market", "bid", "create", "--owner", &bob, "--dseq", "7", "--price", "5uve", "--deposit", "5000000uve"].to_vec();
    let lease = ["market", "lease", "create", "--owner", &alice, "--dseq", "1", "--provider", &bob].to_vec();
    let key = |algorithm: &'static str, key: &'static str| {
        vec!["encryption", "register-recipient-key", "--algorithm", algorithm, "--public-key", key]
    };
    let deploy = |file: &'static str, deposit: &'static str| vec!["deployment", "create", file, "--deposit", deposit];
    let leak = |text: &str| -> &'static str { Box::leak(text.to_string().into_boxed_str()) };
    let (good, bad, unknown) = (leak(&good), leak(&bad), leak(&unknown));

    // Arguments of `tx`, who signs, and words of the message.
    let cases: Vec<(Vec<&str>, &str, &[&str])> = vec![
        (vec!["bank", "send", "charlie", &bob, "-5uve"], "", &["-5"]),
        (vec!["bank", "send", "charlie", &bob, "0uve"], "", &["amount"]),
        (vec!["bank", "send", "charlie", &bob, "5"], "", &["amount", "denomination"]),
        (vec!["bank", "send", "charlie", &bob, "99999999999999999uve"], "", &["insufficient funds"]),
        (vec!["bank", "send", "charlie", "virtengine1nobody", "5uve"], "", &["to"]),
        (vec!["bank", "send", "nobody", &bob, "5uve"], "", &["nobody"]),
        (vec!["bank", "send", "charlie", &bob, "5uve", "--sequence", "99"], "", &["account sequence mismatch, expected 0, got 99"]),
        (vec!["bank", "send", "charlie", &bob, "5uve", "--gas", "100000", "--fees", "1uve"], "", &["insufficient fee", "required"]),
        (vec!["bank", "send", "charlie", &bob, "5uve", "--gas", "10"], "", &["out of gas"]),
        (vec!["bank", "send", "charlie", &bob, "5uve", "--chain-id", "other-1"], "", &["other-1", "virtengine-localnet-1"]),
        (with("--deposit", "999999999uve"), "charlie", &["deposit", "1000000000"]),
        (with("--name", ""), "charlie", &["name"]),
        (with("--contact", ""), "charlie", &["contact"]),
        ([&create[..], &["--website", "/relative"]].concat(), "charlie", &["website"]),
        (without("--deposit"), "charlie", &["--deposit"]),
        (create.to_vec(), "provider", &["already"]),
        (deploy(good, ""), "charlie", &["--deposit"]),
        (deploy(good, "499999uve"), "charlie", &["deposit", "500000"]),
        (deploy(good, "5000000atom"), "charlie", &["deposit", "uve"]),
        (deploy(bad, "5000000uve"), "charlie", &["bad.yaml:", "size"]),
        (deploy(unknown, "5000000uve"), "charlie", &["unknown.yaml:", "imagge", "image"]),
        (deploy("/nowhere.yaml", "5000000uve"), "charlie", &["/nowhere.yaml"]),
        (bid("50uve", "5000000uve"), "charlie", &["provider create"]),
        (bid("50uve", "5000000uve"), "alice", &["provider"]),
        (bid("0uve", "5000000uve"), "provider", &["price"]),
        (bid("-1uve", "5000000uve"), "provider", &["--price"]),
        (bid("101uve", "5000000uve"), "provider", &["price", "100"]),
        (bid("50atom", "5000000uve"), "provider", &["price", "uve"]),
        (bid("50uve", "499999uve"), "provider", &["deposit", "500000"]),
        (other, "provider", &["7"]),
        (lease.clone(), "alice", &["bid"]),
        (lease, "charlie", &["owner"]),
        (vec!["deployment", "close", "--dseq", "9"], "alice", &["9"]),
        (vec!["escrow", "deposit", "--owner", &alice, "--dseq", "1", "--amount", "1uve"], "charlie", &["100000"]),
        (key("rot13", "CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), "charlie", &["algorithm", "rot13"]),
        (key("X25519-XSalsa20-Poly1305", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="), "charlie", &["--public-key", "32"]),
        (key("X25519-XSalsa20-Poly1305", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), "charlie", &["low"]),
        (
            key(
                "X25519-XSalsa20-Poly1305",
                r#"{"@type":"/cosmos.crypto.secp256k1.PubKey","key":"A0oAJ8Z7gLwyC1QN2KSUe0lPiGV2U8Xo9zTU+sgNnFGL"}"#,
            ),
            "charlie",
            &["--public-key", "keyring"],
        ),
    ];
    let mut wrong = Vec::new();
    for (args, from, words) in &cases {
        let mut all = [&["tx"], &args[..], &["--yes"]].concat();
        if !from.is_empty() {
            all.extend(["--from", from]);
        }
        let message = network.virtengine(&all).refused();
        let missing = words.iter().filter(|w| !message.to_lowercase().contains(&w.to_lowercase()));
        wrong.extend(missing.map(|word| format!("{}\n  expected {word:?} in: {message}", all.join(" "))));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let after = (network.balance(&alice), network.balance(&charlie), network.balance(&provider));
    assert_eq!(before, after, "nothing was paid and no fee was charged");
    let orders = network.query(&["market", "order", "list", "--owner", &alice]);
    assert_eq!((orders["orders"].as_array().map(Vec::len), &orders["orders"][0]["state"]), (Some(1), &"open".into()));

    // With --output json errors are JSON too.
    let json = network.virtengine(&["tx", "bank", "send", "charlie", "x", "5uve", "--output", "json", "--yes"]).refused();
    assert!(json.starts_with("{\"error\":"), "{json}");
    let flag = network.virtengine(&["tx", "bank", "send", "charlie", &bob, "5uve", "--form", "charlie"]);
    assert!(flag.code == Some(2) && flag.stderr.contains("--form") && flag.stderr.contains("--from"), "{flag:?}");

    what_a_block_refuses_costs_the_fee_alone(&network, &charlie);
    queries_say_what_is_wrong(&network);
    billing_is_exact(&network, &dir.path().join("usage.json"), &alice, &provider);
    the_keyring_protects_what_it_holds(dir.path());
    a_node_says_what_to_do(&network, dir.path());
    the_script_says_what_to_do(&network);
}

/// A transaction that passes the mempool and fails in its block: fee and sequence are spent, nothing else.
fn what_a_block_refuses_costs_the_fee_alone(network: &Network, charlie: &str) {
    let before = network.balance(charlie);
    let bob = network.address("bob");
    let args = ["tx", "bank", "send", "charlie", &bob, "99999999999999999uve", "--gas", "200000", "--yes"];
    let message = network.virtengine(&args).refused();
    assert!(message.contains("failed in block") && message.contains("insufficient funds"), "{message}");
    assert_eq!(network.balance(charlie), before - 5000);
    let account = network.query(&["auth", "account", charlie]);
    assert!(account.to_string().contains("\"sequence\":\"1\""), "{account}");
}

fn queries_say_what_is_wrong(network: &Network) {
    for (args, word) in [
        (&["tx", "00"][..], "64"),
        (&["bank", "balances", "nobody"], "address"),
        (&["market", "order", "list", "--state", "opened"], "opened"),
        (&["market", "lease", "list", "--page-key", "!"], "pagination.key"),
        (&["deployment", "get", "--owner", &network.address("bob"), "--dseq", "5"], "5"),
    ] {
        let message = network.virtengine(&[&["query"], args].concat()).refused();
        assert!(message.contains(word), "{args:?}: {message}");
    }
    let gone = network.virtengine(&["query", "bank", "total-supply", "--node", "http://localhost:1"]).refused();
    assert!(gone.contains("localhost:1"), "{gone}");
}

/// At 60 uve a second: what usage pays, what is refused, and that the tenant gets the rest back, to the uve.
fn billing_is_exact(network: &Network, usage: &Path, alice: &str, provider: &str) {
    let dear = file(usage.parent().expect("a folder"), "dear.yaml", &manifest().replace("amount: 100", "amount: 216000"));
    let mut fees = 0;
    let start = network.balance(alice);
    let mut tenant = |args: &[&str]| {
        let tx = network.tx(&[args, &["--from", "alice"]].concat());
        fees += network.fee(tx["txhash"].as_str().expect("a hash"));
        tx
    };
    tenant(&["deployment", "create", &dear, "--deposit", "100000000uve"]);
    let order = ["--owner", alice, "--dseq", "2"];
    network
        .tx(&[&["market", "bid", "create"], &order[..], &["--price", "216000uve", "--deposit", "5000000uve", "--from", "provider"]]
            .concat());
    let again =
        [&["tx", "market", "bid", "create"], &order[..], &["--price", "5uve", "--deposit", "5000000uve", "--from", "provider", "--yes"]]
            .concat();
    assert!(network.virtengine(&again).refused().contains("bid"));
    let lease = [&order[..], &["--provider", provider]].concat();
    tenant(&[&["market", "lease", "create"], &lease[..]].concat());
    let opened =
        network.query(&[&["market", "lease", "get"], &lease[..]].concat())["lease"]["created_at"].as_str().expect("a time").to_string();

    let record = |start: &str, end: &str| {
        serde_json::json!({
            "lease_id": { "owner": alice, "dseq": "2", "gseq": 1, "oseq": 1, "provider": provider },
            "start_time": start,
            "end_time": end,
            "resources": {
                "cpu_milli_seconds": 500 * 3600,
                "memory_byte_seconds": (512u64 << 20) * 3600,
                "storage_byte_seconds": ((1u64 << 30) * 3600).to_string(),
            },
        })
    };
    let submit = |record: &serde_json::Value, from: &str| -> Run {
        std::fs::write(usage, record.to_string()).expect("a file");
        network.virtengine(&["tx", "escrow", "submit-usage", &usage.display().to_string(), "--from", from, "--yes", "--output", "json"])
    };
    let end = "2999-01-01T00:00:00Z";
    let refused = submit(&record("2020-01-01T00:00:00Z", end), "provider").refused();
    assert!(refused.contains(&opened[..19]), "{refused}");
    let refused = submit(&record(&opened, end), "charlie").refused();
    assert!(refused.contains("provider"), "{refused}");

    e2e::eventually("a block ten seconds after the lease was made", || {
        let status = network.virtengine(&["status"]).json();
        let newest = status["sync_info"]["latest_block_time"].as_str()?.to_string();
        (millis(&newest) >= millis(&opened) + 10_000).then_some(())
    });
    // Far more than there was: capped to the time that has passed. The end is clipped to the block's time.
    let before = network.balance(provider);
    let tx = submit(&record(&opened, end), "provider").json();
    assert_eq!(tx["code"], 0, "{tx}");
    let fee = network.fee(tx["txhash"].as_str().expect("a hash"));
    let account = || network.query(&["escrow", "account", "--owner", alice, "--dseq", "2"])["accounts"][0].take();
    let paid = e2e::number(&account()["paid"]["amount"]);
    assert_eq!(network.balance(provider), before + paid - fee);
    let settled = account()["payments"][0]["settled"].as_str().expect("a time").to_string();
    assert_eq!(paid, u128::from(millis(&settled) - millis(&opened)) * 60 / 1000, "60uve a second from {opened} to {settled}");

    tenant(&[&["market", "lease", "close"], &lease[..]].concat());
    tenant(&["deployment", "close", "--dseq", "2"]);
    // The final record reaches the close: all that is left goes back at once.
    let tx = submit(&record(&settled, end), "provider").json();
    assert_eq!(tx["code"], 0, "{tx}");
    let all = e2e::number(&network.query(&[&["market", "lease", "get"], &lease[..]].concat())["payments"][0]["lease_paid"]["amount"]);
    assert_eq!(network.balance(alice), start - fees - all, "the tenant has paid what usage cost and nothing else");
}

fn the_keyring_protects_what_it_holds(dir: &Path) {
    let keys_in = |home: &str, args: &[&str], input: &str| {
        let mut command = Command::new(binary("virtengine"));
        run(command.arg("keys").args(args).args(["--keyring-backend", "file", "--home"]).arg(dir.join(home)), input)
    };
    let keys = |args: &[&str], input: &str| keys_in("home", args, input);
    let added = keys(&["add", "mine"], "a passphrase\na passphrase\n");
    assert!(!added.stdout.contains("mnemonic") && added.stderr.to_lowercase().contains("passphrase"), "{added:?}");
    let address = added.ok();
    let twice = keys(&["add", "mine"], "a passphrase\ny\n").refused();
    assert!(twice.contains("mine"), "{twice}");
    let shown = keys(&["show", "mine", "-a"], "a passphrase\n").ok();
    assert!(shown.lines().count() == 1 && address.contains(shown.trim()), "nothing was overwritten");
    let wrong = keys(&["show", "mine", "-a"], "another passphrase\nanother passphrase\nanother passphrase\n").refused();
    assert!(wrong.contains("passphrase") && !wrong.contains("another passphrase"), "{wrong}");
    keys_in("other", &["add", "two"], "a passphrase\na different one\n").refused();
}

fn a_node_says_what_to_do(network: &Network, dir: &Path) {
    let start = |home: &Path, more: &[&str]| {
        let mut command = Command::new("timeout");
        command.arg("20").arg(binary("virtengine")).arg("start").arg("--home").arg(home).args(more);
        command.args(["--grpc.address", "127.0.0.1:0", "--api.address", "127.0.0.1:0"]);
        let run = run(&mut command, "");
        assert_eq!(run.code, Some(1), "{run:?}");
        run.stderr
    };
    let message = start(&dir.join("nothing"), &[]);
    assert!(message.contains("virtengine init"), "{message}");

    // A copy of a node that runs has the same ports.
    let copy = dir.join("copy");
    let copied = |from: &str| run(Command::new("cp").arg("-r").arg(network.home(0).join(from)).arg(copy.join(from)), "").ok();
    std::fs::create_dir_all(copy.join("data")).expect("a folder");
    copied("config");
    let message = start(&copy, &[]);
    assert!(message.contains(&network.port(26657, 0).to_string()) && message.contains("port"), "{message}");

    let message = start(&copy, &["--cometbft", "/nowhere/cometbft"]);
    assert!(message.contains("/nowhere/cometbft"), "{message}");

    // The chain's data are not a database.
    std::fs::remove_dir_all(copy.join("data")).expect("a folder");
    std::fs::create_dir_all(copy.join("data")).expect("a folder");
    std::fs::write(copy.join("data/application"), "rubbish").expect("a file");
    let message = start(&copy, &[]);
    assert!(message.contains("data/application"), "{message}");

    let genesis = copy.join("config/genesis.json");
    std::fs::write(&genesis, "{}").expect("a file");
    let validate = run(Command::new(binary("virtengine")).args(["genesis", "validate"]).arg(&genesis), "").refused();
    assert!(validate.contains("chain_id"), "{validate}");
}

fn the_script_says_what_to_do(network: &Network) {
    let asked = network.script(&["reset"]);
    assert!(asked.code == Some(1) && asked.stderr.contains("[y/N]") && asked.stderr.contains("nothing was changed"), "{asked:?}");
    network.script(&["status"]).ok();
    for (args, word) in
        [(&["strat"][..], "unknown command strat"), (&["start", "5"], "takes no arguments"), (&["logs", "7"], "expected one of")]
    {
        let message = network.script(args);
        assert!(message.code == Some(1) && message.stderr.contains(word), "{message:?}");
    }
    network.script(&["stop"]).ok();
    // Another program has a port of the node's.
    let port = network.port(9090, 0);
    let _held = std::net::TcpListener::bind(("127.0.0.1", port)).expect("a free port");
    let message = network.script(&["start"]);
    assert!(message.code == Some(1) && message.stderr.contains(&port.to_string()), "{message:?}");
}
