//! The command line of somebody with keys and coins, on a node that makes its blocks alone: signing in files, by several
//! and offline, fees, looking things up, where settings come from, and what is printed where.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use e2e::{Home, Node, Run, number, run};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

const PASSPHRASE: &str = "correct horse battery";

/// Arguments that make an unsigned transfer.
fn transfer<'a>(from: &'a str, to: &'a str, amount: &'a str) -> Vec<&'a str> {
    vec!["tx", "bank", "send", from, to, amount, "--generate-only"]
}

/// The same without a node.
fn offline_transfer<'a>(from: &'a str, to: &'a str, amount: &'a str) -> Vec<&'a str> {
    [&transfer(from, to, amount)[..], &["--offline", "--gas", "100000", "--fees", "2500uve"]].concat()
}

fn hash(sent: &Value) -> String {
    assert_eq!(sent["code"], 0, "{sent}");
    sent["txhash"].as_str().expect("a hash").into()
}

/// The message of a JSON error that has standard error to itself.
fn error(run: Run) -> String {
    let stderr = run.refused();
    let error: Value = serde_json::from_str(&stderr).unwrap_or_else(|e| panic!("{e}: {stderr}"));
    error["error"].as_str().expect("a text").into()
}

/// Account number and sequence.
fn numbers(node: &Node, address: &str) -> (String, String) {
    let account = node.query(&["auth", "account", address])["account"].take();
    let text = |name: &str| account[name].as_str().expect("a number").to_string();
    (text("account_number"), text("sequence"))
}

// --- files

#[test]
fn a_transaction_in_a_file_is_signed_checked_sent_and_found() {
    let node = Node::start("files", &["alice", "bob"], |_| {});
    let (alice, bob) = (node.address("alice"), node.address("bob"));
    let unsigned = node.ve(&[&transfer("alice", &bob, "7uve")[..], &["--note", "for tea"]].concat(), "").ok();
    let body = serde_json::from_str::<Value>(&unsigned).expect("JSON")["body"].take();
    assert_eq!(body["messages"][0]["amount"], json!([{ "denom": "uve", "amount": "7" }]));
    let file = node.write("unsigned.json", &unsigned);
    assert!(number(&node.ve(&["tx", "simulate", &file], "").json()["gas_used"]) > 20_000);
    let unchecked = node.ve(&["tx", "validate-signatures", &file], "");
    assert_eq!((unchecked.code, unchecked.stderr.contains("signatures validation failed")), (Some(1), true), "{unchecked:?}");

    let online = node.ve(&["tx", "sign", "-", "--from", "alice"], &unsigned).ok();
    let (account, sequence) = numbers(&node, &alice);
    let given = ["--offline", "--chain-id", "files-1", "--account-number", &account, "--sequence", &sequence];
    let away = [&["tx", "sign", &file, "--from", "alice", "--node", "http://127.0.0.1:1"], &given[..]].concat();
    assert_eq!(node.ve(&away, "").ok(), online, "signatures are deterministic");
    assert!(error(node.ve(&["tx", "sign", &file, "--from", "alice", "--offline"], "")).contains("--account-number"));
    assert!(error(node.ve(&["tx", "sign", &file, "--from", "bob"], "")).contains("is no signer of the transaction"));
    let alone = node.ve(&[&away[..], &["--signature-only"]].concat(), "").json();
    let signature = alone["signatures"][0]["data"]["single"]["signature"].as_str().expect("a signature");
    assert_eq!(serde_json::from_str::<Value>(&online).expect("JSON")["signatures"], json!([signature]));

    let signed = node.write("signed.json", &online);
    let checked = node.ve(&["tx", "validate-signatures", &signed], "").json();
    assert_eq!(checked["signatures"][0]["valid"], true, "{checked}");
    let encoded = node.ve(&["tx", "encode", &signed], "").ok();
    let decoded = node.ve(&["tx", "decode", encoded.trim()], "").json();
    assert_eq!(decoded, serde_json::from_str::<Value>(&online).expect("JSON"));
    let bytes = BASE64_STANDARD.decode(encoded.trim()).expect("base64");
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(node.ve(&["tx", "decode", "--hex", &hex], "").json(), decoded);
    assert!(error(node.ve(&["tx", "decode", "zz!"], "")).contains("base64"));

    let forged = node.write("forged.json", &online.replace("for tea", "for me!"));
    assert_eq!(node.ve(&["tx", "validate-signatures", &forged], "").code, Some(1));
    assert!(error(node.ve(&["tx", "broadcast", &forged], "")).contains("signature verification failed"));
    let before = node.balance(&bob);
    let sent = node.ve(&["tx", "broadcast", &signed], "").json();
    assert_eq!(node.balance(&bob), before + 7);
    let again = error(node.ve(&["tx", "broadcast", &signed], ""));
    assert!(again.contains("tx already in mempool") && again.contains("code 19"), "{again}");
    lookups(&node, &hash(&sent), &format!("{alice}/{sequence}"), signature);
    batch(&node, &alice, &bob);
}

/// One transaction, by all that it can be looked up by.
fn lookups(node: &Node, hash: &str, place: &str, signature: &str) {
    let found = node.query(&["tx", hash]);
    assert_eq!((&found["code"], &found["tx"]["@type"]), (&json!(0), &json!("/cosmos.tx.v1beta1.Tx")), "{found}");
    assert_eq!((&found["tx"]["body"]["memo"], &found["tx"]["signatures"]), (&json!("for tea"), &json!([signature])));
    assert_eq!(found["responses"], json!([{ "@type": "/cosmos.bank.v1beta1.MsgSendResponse" }]));
    assert_eq!(node.query(&["tx", "--type", "acc_seq", place]), found);
    assert_eq!(node.query(&["tx", "--type", "signature", signature]), found);
    assert_eq!(node.query(&["wait-tx", hash]), found);
    let height = found["height"].as_str().expect("a height");
    let block = node.query(&["block", height]);
    let time = block["block"]["header"]["time"].as_str().expect("a time");
    let timestamp = found["timestamp"].as_str().expect("a time");
    assert!(time.starts_with(timestamp.trim_end_matches('Z')) && timestamp.len() == "2026-01-31T12:00:00Z".len(), "{time}, {timestamp}");
    let block_hash = block["block_id"]["hash"].as_str().expect("a hash");
    assert_eq!(node.query(&["block", "--type", "hash", block_hash]), block);
    assert_eq!(node.query(&["block", "--height", height]), block);
    let results = node.query(&["block-results", height]);
    assert_eq!((&results["height"], &results["txs_results"][0]["code"]), (&json!(height), &json!(0)));
    let (sender, _) = place.split_once('/').expect("an address");
    let rows = node.query(&["txs", "--query", &format!("message.sender='{sender}' AND tx.height={height}")]);
    assert_eq!((&rows["total_count"], &rows["txs"][0]), (&json!("1"), &found));

    let before = (height.parse::<u64>().expect("a number") - 1).to_string();
    let balance =
        |height: &str| number(&node.query(&["bank", "balances", sender, "--denom", "uve", "--height", height])["balance"]["amount"]);
    assert!(balance(&before) > balance(height));
    for (args, says) in [
        (&["tx", "zz"][..], "hash \"zz\": expected 64 hex digits"),
        (&["wait-tx", "00"], "hash \"00\": expected 64 hex digits"),
        (&["wait-tx", &"00".repeat(32), "--timeout", "1"], "is in no block after 1 s"),
        (&["tx", &"00".repeat(32)], "tx not found"),
        (&["tx", "--type", "acc_seq", &format!("{sender}/999")], "tx not found"),
        (&["tx", hash, "--height", "2"], "--height"),
        (&["block", "--type", "hash", &"00".repeat(32)], "block not found"),
        (&["block", "x"], "height \"x\": expected a number"),
        (&["bank", "balances", sender, "--height", "999999"], "height in the future"),
    ] {
        let message = error(node.ve(&[&["query"], args].concat(), ""));
        assert!(message.contains(says), "{args:?}: {message}");
    }
}

/// Several in one file, a line each.
fn batch(node: &Node, alice: &str, bob: &str) {
    let lines: String = ["1uve", "2uve"].map(|amount| node.ve(&offline_transfer(alice, bob, amount), "").ok()).concat();
    let file = node.write("batch.json", &lines);
    let signed = node.path().join("batch-signed.json").display().to_string();
    assert_eq!(node.ve(&["tx", "sign-batch", &file, "--from", "alice", "--output-document", &signed], "").ok(), "");
    let signed = std::fs::read_to_string(signed).expect("a file");
    assert_eq!(signed.lines().count(), 2);
    for line in signed.lines() {
        hash(&node.ve(&["tx", "broadcast", "-"], line).json());
    }
    let numbers = ["--offline", "--chain-id", "files-1", "--account-number", "1", "--sequence", &u64::MAX.to_string()];
    let message = error(node.ve(&[&["tx", "sign-batch", &file, "--from", "alice"], &numbers[..]].concat(), ""));
    assert!(message.contains("--sequence"), "{message}");
}

#[test]
fn two_of_three_sign_for_a_multisig_key_whose_members_know_each_other_by_public_key() {
    let node = Node::start("multisig", &["alice"], |_| {});
    let alice = node.address("alice");
    let elsewhere = ["bob", "carol"].map(|name| {
        let home = Home::on(node.url());
        home.ve(&["keys", "add", name], "").ok();
        let key = home.ve(&["keys", "show", name, "--pubkey"], "").ok();
        let added = node.ve(&["keys", "add", name, "--pubkey", key.trim()], "").json();
        assert_eq!((&added["type"], added["address"].as_str()), (&json!("offline"), Some(home.address(name).as_str())));
        home
    });
    assert!(error(node.ve(&["keys", "add", "dave", "--pubkey", "{}"], "")).contains("--pubkey: public key lacks \"@type\""));
    let offline = error(node.ve(&["tx", "bank", "send", "bob", &alice, "1uve", "--gas", "1", "--yes"], ""));
    assert!(offline.contains("key \"bob\" is of type offline"), "{offline}");
    node.ve(&["keys", "add", "team", "--multisig", "alice,bob,carol", "--multisig-threshold", "2"], "").ok();
    let team = node.address("team");
    node.ve(&["tx", "bank", "send", "alice", &team, "1000000uve", "--yes"], "").ok();

    let file = node.write("team.json", &node.ve(&transfer("team", &alice, "5uve"), "").ok());
    let sign = |home: &Home, name: &str, flags: &[&str]| {
        let part = home.path().join(format!("{name}.json")).display().to_string();
        let sign = ["tx", "sign", &file, "--from", name, "--multisig", &team, "--output-document", &part];
        home.ve(&[&sign[..], flags].concat(), "").ok();
        part
    };
    let [bob, carol] = &elsewhere;
    let (first, third) = (sign(&node, "alice", &[]), sign(carol, "carol", &[]));
    let few = error(node.ve(&["tx", "multi-sign", &file, "team", &first], ""));
    assert!(few.contains("1 of 2 signatures"), "{few}");
    let other = sign(bob, "bob", &["--sequence", "99"]);
    assert!(error(node.ve(&["tx", "multi-sign", &file, "team", &first, &other], "")).contains("does not hold"));
    let signed = node.write("team-signed.json", &node.ve(&["tx", "multi-sign", &file, "team", &third, &first], "").ok());
    let checked = node.ve(&["tx", "validate-signatures", &signed], "").json();
    assert_eq!((&checked["signers"], &checked["signatures"][0]["valid"]), (&json!([team]), &json!(true)), "{checked}");
    let sent = node.ve(&["tx", "broadcast", &signed], "").json();
    let found = node.query(&["tx", &hash(&sent)]);
    let multi = &found["tx"]["auth_info"]["signer_infos"][0]["mode_info"]["multi"];
    assert_eq!(multi["mode_infos"].as_array().map(Vec::len), Some(2), "{found}");

    // Who has the multisig key alone joins signatures too.
    let key = node.ve(&["keys", "show", "team", "--pubkey"], "").ok();
    let home = Home::on(node.url());
    home.ve(&["keys", "add", "them", "--pubkey", key.trim()], "").ok();
    assert_eq!(home.address("them"), team);
    let next = node.write("team.json", &node.ve(&transfer(&team, &alice, "6uve"), "").ok());
    assert_eq!(next, file);
    let parts = [sign(&node, "alice", &[]), sign(bob, "bob", &[])];
    let signed = home.ve(&["tx", "multi-sign", &file, "them", &parts[0], &parts[1]], "").ok();
    hash(&home.ve(&["tx", "broadcast", "-"], &signed).json());
}

// --- sending

#[test]
fn fees_are_estimated_given_priced_and_paid_by_others() {
    let node = Node::start("fees", &["alice", "bob"], |_| {});
    let (alice, bob) = (node.address("alice"), node.address("bob"));
    let send = |args: &[&str]| node.ve(&[&["tx", "bank", "send", "alice", &bob, "5uve", "--yes"], args].concat(), "");
    let fee = |run: Run| {
        let found = node.query(&["tx", &hash(&run.json())]);
        let mut fee = found["tx"]["auth_info"]["fee"].clone();
        fee["used"] = found["gas_used"].clone();
        fee
    };
    let paid = |fee: &Value| number(&fee["amount"][0]["amount"]);
    let auto = fee(send(&["--gas", "auto", "--gas-adjustment", "2", "--gas-prices", "0.05uve"]));
    let limit = number(&auto["gas_limit"]);
    assert_eq!(paid(&auto), (limit * 5).div_ceil(100), "{auto}");
    assert!((15..=25).contains(&(limit * 10 / number(&auto["used"]))), "{auto}");
    let given = fee(send(&["--gas", "123456", "--fees", "4000uve"]));
    assert_eq!((number(&given["gas_limit"]), paid(&given)), (123_456, 4000));
    let estimate = send(&["--dry-run"]).json();
    let gas = number(&estimate["gas_estimate"]);
    assert_eq!(estimate["fee"], format!("{}uve", (gas * 25).div_ceil(1000)), "{estimate}");
    for (args, says) in [
        (&["--gas", "100000", "--fees", "1uve"][..], "insufficient fee"),
        (&["--fees", "1uve", "--gas-prices", "1uve"], "--gas-prices"),
        (&["--fees", "5uve,5uve"], "--fees: uve is there twice"),
        (&["--gas", "much"], "--gas \"much\": expected a number or auto"),
        (&["--gas-adjustment", "0.5"], "--gas-adjustment 0.5"),
        (&["--offline"], "--gas auto asks the node"),
        (&["--offline", "--dry-run"], "--dry-run asks the node"),
        (&["--timeout-height", "1"], "timeout height"),
    ] {
        let message = error(send(args));
        assert!(message.contains(says), "{args:?}: {message}");
    }
    // The denominations come in the order that the chain asks for.
    let two = node.ve(&offline_transfer("alice", &bob, "5uve,3foo"), "").json();
    let amount = &two["body"]["messages"][0]["amount"];
    assert_eq!((&amount[0]["denom"], &amount[1]["denom"]), (&json!("foo"), &json!("uve")));
    // The node's refusal, without the status around it.
    let message = error(node.ve(&["tx", "bank", "send", "alice", &bob, "9999999999999999uve", "--yes"], ""));
    assert!(message.contains("insufficient funds") && !message.contains("rpc error") && !message.contains("unknown request"), "{message}");

    // Another pays, who signs too.
    let file = node.write("payer.json", &node.ve(&[&transfer("alice", &bob, "11uve")[..], &["--fee-payer", "bob"]].concat(), "").ok());
    let once = node.write("once.json", &node.ve(&["tx", "sign", &file, "--from", "alice"], "").ok());
    let twice = node.write("twice.json", &node.ve(&["tx", "sign", &once, "--from", "bob"], "").ok());
    let before = node.balance(&alice);
    let payer = fee(node.ve(&["tx", "broadcast", &twice], ""));
    assert_eq!((&payer["payer"], node.balance(&alice)), (&json!(bob), before - 11));
    // Another's allowance pays.
    node.tx("bob", &["feegrant", "grant", "bob", &alice, "--spend-limit", "1000000uve"]).ok();
    let before = node.balance(&alice);
    let granted = fee(send(&["--fee-granter", "bob"]));
    assert_eq!((&granted["granter"], node.balance(&alice)), (&json!(bob), before - 5));
}

#[test]
fn what_is_confirmed_can_be_read() {
    let node = Node::start("prompt", &["alice", "bob"], |_| {});
    let bob = node.address("bob");
    let send = ["tx", "bank", "send", "alice", &bob, "5uve", "--note", "for tea"];
    let before = node.balance(&bob);
    let asked = run(node.command(&send).env("VIRTENGINE_OUTPUT", "text"), "n\n").refused();
    for shown in ["'@type': /cosmos.bank.v1beta1.MsgSend", &format!("to_address: {bob}"), "amount: \"5\"", "for tea", "[y/N]", "cancelled"]
    {
        assert!(asked.replace('"', "'").contains(&shown.replace('"', "'")), "{shown}: {asked}");
    }
    let asked = node.ve(&send, "no\n").refused();
    let shown: Value = serde_json::from_str(asked.lines().next().expect("a line")).expect("JSON");
    assert_eq!((&shown["messages"][0]["to_address"], &shown["memo"]), (&json!(bob), &json!("for tea")), "{asked}");
    assert!(node.ve(&send, "").refused().contains("input ended at the prompt"));
    assert_eq!(node.balance(&bob), before);
    hash(&node.ve(&send, "y\n").json());
    assert_eq!(node.balance(&bob), before + 5);
}

#[test]
fn transactions_of_one_account_do_not_wait_for_each_others_blocks() {
    let node = Node::start("in-flight", &["alice", "bob"], |_| {});
    let (alice, bob) = (node.address("alice"), node.address("bob"));
    let (before, (_, sequence)) = (node.balance(&bob), numbers(&node, &alice));
    let send = ["tx", "bank", "send", "alice", &bob, "5uve", "--broadcast-mode", "sync", "--yes"];
    let mut hashes: Vec<String> = (0..4).map(|_| hash(&node.ve(&send, "").json())).collect();
    // At one time, each with its own estimate.
    std::thread::scope(|scope| {
        let sent: Vec<_> = (0..4).map(|_| scope.spawn(|| hash(&node.ve(&send, "").json()))).collect();
        hashes.extend(sent.into_iter().map(|sent| sent.join().expect("it is sent")));
    });
    hashes.push(hash(&node.ve(&[&send[..6], &["--yes"]].concat(), "").json()));
    for hash in &hashes {
        assert_eq!(node.query(&["wait-tx", hash])["code"], 0);
    }
    hashes.sort();
    hashes.dedup();
    assert_eq!((hashes.len(), node.balance(&bob)), (9, before + 45));
    let next = sequence.parse::<u64>().expect("a number") + 9;
    assert_eq!(numbers(&node, &alice).1, next.to_string());
}

// --- settings and output

#[test]
fn a_flag_counts_over_the_environment_and_that_over_client_toml() {
    let home = Home::default();
    home.ve(&["keys", "add", "alice"], "").ok();
    let alice = home.address("alice");
    std::fs::create_dir(home.path().join("config")).expect("a folder");
    // Numbers may stand without quotes, and what is empty is not set.
    let toml = "gas = 111111\ngas-adjustment = 1.5\ngas-prices = \"0.1uve\"\noutput = \"\"\nbroadcast-mode = \"never\"\n";
    home.write("config/client.toml", toml);
    // Gas limit and fee, with these settings in the environment and these flags.
    let made = |env: &[(&str, &str)], flags: &[&str]| {
        let mut command = home.command(&[&["tx", "bank", "send", "alice", &alice, "1uve", "--generate-only", "--offline"], flags].concat());
        let fee = run(command.envs(env.iter().copied()), "").json()["auth_info"]["fee"].take();
        (number(&fee["gas_limit"]), number(&fee["amount"][0]["amount"]))
    };
    assert_eq!(made(&[], &[]), (111_111, 11_112));
    let env = [("VIRTENGINE_GAS", "200000"), ("VIRTENGINE_GAS_PRICES", "0.2uve")];
    assert_eq!(made(&env, &[]), (200_000, 40_000));
    assert_eq!(made(&env, &["--gas", "300000"]), (300_000, 60_000));
    assert_eq!(made(&env, &["--gas-prices", "1uve"]), (200_000, 200_000));
    assert_eq!(made(&env, &["--fees", "7uve"]), (200_000, 7));
    let fees = [("VIRTENGINE_FEES", "9uve"), ("VIRTENGINE_GAS", "")];
    assert_eq!(made(&fees, &[]), (111_111, 9));
    assert_eq!(made(&fees, &["--fees", "8uve"]), (111_111, 8));
    assert_eq!(made(&fees, &["--gas-prices", "1uve"]), (111_111, 111_111));

    let unsigned = ["tx", "escrow", "withdraw-spare", "--dseq", "1", "--generate-only", "--offline"];
    assert!(error(home.ve(&unsigned, "")).contains("--from"));
    let signed = run(home.command(&unsigned).env("VIRTENGINE_FROM", "alice"), "").json();
    assert_eq!(signed["body"]["messages"][0]["owner"], alice);

    let file = home.write("tx.json", &home.ve(&offline_transfer("alice", &alice, "1uve"), "").ok());
    let broadcast = |env: &str, flags: &[&str]| {
        error(run(home.command(&[&["tx", "broadcast", &file], flags].concat()).env("VIRTENGINE_BROADCAST_MODE", env), ""))
    };
    for env in ["", "nor"] {
        let says = if env.is_empty() { "never" } else { env };
        assert!(broadcast(env, &[]).contains(&format!("broadcast mode {says:?}")));
        assert!(broadcast(env, &["--broadcast-mode", "sync"]).contains("cannot reach the node"));
    }
    assert!(broadcast("async", &[]).contains("cannot reach the node"));

    // Which node, and how to print.
    home.write("config/client.toml", "node = \"http://127.0.0.1:2\"\noutput = \"json\"\n");
    let status = |node: Option<&str>, flags: &[&str]| {
        let mut command = home.command(&[&["status"], flags].concat());
        command.env_remove("VIRTENGINE_NODE").env_remove("VIRTENGINE_OUTPUT").envs(node.map(|url| ("VIRTENGINE_NODE", url)));
        error(run(&mut command, ""))
    };
    assert!(status(None, &[]).contains("http://127.0.0.1:2"));
    assert!(status(Some("http://127.0.0.1:3"), &[]).contains("http://127.0.0.1:3"));
    assert!(status(Some("http://127.0.0.1:3"), &["--node", "tcp://127.0.0.1:4"]).contains("http://127.0.0.1:4"));
    home.write("config/client.toml", "output = \"xml\"\n");
    assert!(error(home.ve(&["status"], "")).contains("output \"xml\": expected json or text"));
}

#[test]
fn results_are_yaml_or_json_and_errors_are_json_where_results_are() {
    let node = Node::start("output", &["alice"], |_| {});
    let alice = node.address("alice");
    let plain = |args: &[&str]| run(node.command(args).env_remove("VIRTENGINE_OUTPUT"), "");
    let balance = ["query", "bank", "balances", &alice, "--denom", "uve"];
    assert_eq!(plain(&balance).ok(), "balance:\n  amount: \"5000000000000\"\n  denom: uve\n");
    for flags in [&["--output", "json"][..], &["--output=json"], &["-o", "json"], &["-ojson"], &["-o=json"]] {
        let balance = [&balance[..], flags].concat();
        assert_eq!(plain(&balance).ok(), "{\"balance\":{\"denom\":\"uve\",\"amount\":\"5000000000000\"}}\n");
        // A mistake on the command line, and one that the node finds; the estimate's hint is left out.
        assert!(error(plain(&[&["query", "bank", "balance"], flags].concat())).contains("<ADDRESS>"));
        assert!(error(plain(&[&["query", "nonsense"], flags].concat())).contains("nonsense"));
        assert!(error(plain(&[&["tx", "bank", "send", "alice", &alice, "5foo", "--yes"], flags].concat())).contains("insufficient funds"));
    }
    let text = plain(&["tx", "bank", "send", "alice", &alice, "5uve", "--yes"]);
    assert!(text.stderr.starts_with("gas estimate: ") && text.stdout.contains("code: 0\n"), "{text:?}");
    let message = plain(&["query", "bank", "balances", "xyz"]).refused();
    assert!(message.starts_with("Error: "), "{message}");
    node.write("config/client.toml", "output = \"json\"\n");
    assert!(error(plain(&["query", "nonsense"])).contains("nonsense"));
    plain(&balance).json();

    assert_eq!(plain(&["status"]).json()["node_info"]["network"], "output-1");
    assert!(plain(&["status", "--output", "text"]).ok().contains("network: output-1\n"));
    let version = plain(&["version", "--output", "text"]).ok();
    assert_eq!(plain(&["version"]).json()["version"], version.trim());
    assert!(plain(&["version", "--long", "-o", "text"]).ok().contains("cosmos_sdk_version: "));
}

#[test]
fn readers_that_have_gone_and_arguments_that_are_no_text_end_a_command_quietly() {
    let home = Home::default();
    let closed = || {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        writer
    };
    for command in [&["keys", "mnemonic"][..], &["version"], &["completion", "bash"]] {
        let ended = home.command(command).stdout(closed()).output().expect("the command runs");
        assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(0), ""), "{command:?}");
    }
    for command in [&["query", "bank", "balances", "xyz"][..], &["keys", "show", "nobody"], &["nonsense"]] {
        let ended = home.command(command).stderr(closed()).output().expect("the command runs");
        assert!(matches!(ended.status.code(), Some(1 | 2)) && ended.stdout.is_empty(), "{command:?}: {ended:?}");
    }
    let message = error(run(home.command(&["query", "bank", "balances"]).arg(OsStr::from_bytes(b"\xff")), ""));
    assert!(message.contains("UTF-8"), "{message}");
    for shell in ["bash", "zsh", "fish"] {
        let script = home.ve(&["completion", shell], "").ok();
        assert!(script.contains("validate-signatures") && script.contains("keyring-backend"), "{shell}");
    }
    let script = home.write("completion.bash", &home.ve(&["completion", "bash"], "").ok());
    assert_eq!(run(Command::new("bash").args(["-n", &script]), "").code, Some(0));
}

// --- keys

#[test]
fn keys_come_from_other_paths_and_leave_bare_only_when_that_is_said_twice() {
    let home = Home::default();
    let words = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about\n";
    let second = "virtengine1jrkmdcwgq94uaamx6zax2luewlhf7u4k6r8qak";
    for flags in [&["--index", "1"][..], &["--hd-path", "m/44'/118'/0'/0/1"]] {
        let shown = home.ve(&[&["keys", "add", "k", "--recover", "--dry-run"], flags].concat(), words).json();
        assert_eq!((&shown["address"], &shown["type"]), (&json!(second), &json!("local")));
    }
    assert_eq!(home.ve(&["keys", "list"], "").json(), json!([]));
    home.ve(&["keys", "add", "k", "--recover", "--hd-path", "m/44'/118'/0'/0/1"], words).ok();
    assert_eq!(home.address("k"), second);
    for (args, says) in [
        (&["add", "l", "--ledger"][..], "hardware keys are not supported yet"),
        (&["add", "l", "--hd-path", "x"], "derivation path \"x\""),
        (&["add", "l", "--hd-path", "m/44'", "--index", "1"], "--index"),
        (&["export", "k", "--unarmored-hex"], "--unsafe"),
        (&["export", "k", "--unsafe"], "--unarmored-hex"),
    ] {
        let message = error(home.ve(&[&["keys"], args].concat(), ""));
        assert!(message.contains(says), "{args:?}: {message}");
    }
    let bare = ["keys", "export", "k", "--unarmored-hex", "--unsafe"];
    assert!(home.ve(&bare, "n\n").refused().contains("was not exported"));
    let hex = home.ve(&[&bare[..], &["--yes"]].concat(), "").ok();
    assert!(hex.trim().len() == 64 && hex.trim().chars().all(|c| c.is_ascii_hexdigit()));
    assert_eq!(home.ve(&bare, "y\n").ok(), hex);
}

#[test]
fn a_command_asks_for_the_keyrings_passphrase_once() {
    let home = Home::default();
    let file =
        |args: &[&str], lines: usize| home.ve(&[args, &["--keyring-backend", "file"]].concat(), &format!("{PASSPHRASE}\n").repeat(lines));
    file(&["keys", "add", "alice"], 2).ok();
    file(&["keys", "add", "bob"], 1).ok();
    let address = |name| file(&["keys", "show", name, "-a"], 1).ok().trim().to_string();
    let (alice, bob) = (address("alice"), address("bob"));
    let made = file(&[&offline_transfer("alice", &bob, "1uve")[..], &["--fee-granter", "bob"]].concat(), 1).ok();
    assert_eq!(serde_json::from_str::<Value>(&made).expect("JSON")["auth_info"]["fee"]["granter"], bob);
    let batch = home.write("batch.json", &made.repeat(3));
    let numbers = ["--offline", "--chain-id", "any-1", "--account-number", "4", "--sequence", "7"];
    let signed = file(&[&["tx", "sign-batch", &batch, "--from", &alice], &numbers[..]].concat(), 1).ok();
    let sequence = |line| serde_json::from_str::<Value>(line).expect("JSON")["auth_info"]["signer_infos"][0]["sequence"].take();
    assert_eq!(signed.lines().map(sequence).collect::<Vec<_>>(), ["7", "8", "9"].map(|n| json!(n)));
    let none = file(&[&["tx", "sign-batch", &batch, "--from", &alice], &numbers[..]].concat(), 0).refused();
    assert!(none.contains("input ended at the prompt"), "{none}");
}
