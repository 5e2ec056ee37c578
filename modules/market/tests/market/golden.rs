//! Genesis in and out, and the keys of the state, which must not change by accident.

use crate::world::*;
use kernel::{KIND_INDEX, KIND_ROW, Module};
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write;

/// A state with something of everything.
fn busy() -> World {
    let mut w = World::new();
    let lease = w.lab_lease();
    w.register(provider(1));
    let open = w.deploy(bob(), vec![lab_group()], 10_000_000);
    w.make_bid(open.group(1).order(1), paul(), 60);
    w.make_bid(open.group(1).order(1), provider(1), 60);
    let closed = w.deploy(alice(), vec![lab_group()], 500_000);
    let other = w.make_bid(closed.group(1).order(1), provider(1), 60);
    w.make_lease(other);
    w.block(MINUTE);
    w.end_deployment(closed);
    let idle = w.deploy(bob(), vec![lab_group()], 500_000);
    let msg = proto::virtengine::deployment::v1::MsgPauseGroup { owner: bob().to_string(), dseq: idle.dseq, gseq: 1 };
    w.ok(|w, ctx| w.market.pause_group(ctx, msg));
    assert!(w.holds(paul()) == 2 && w.lease(lease).lease.is_some());
    w
}

#[test]
fn a_state_that_is_exported_and_imported_is_the_same() {
    let w = busy();
    let document = w.export();
    let mut again = World::empty();
    again.time = w.time;
    again.init(&document);
    assert_eq!(again.export(), document);
    let of = |w: &World, stores: [u8; 2]| {
        w.base.iter().filter(|(k, _)| stores.contains(&k[1])).map(|(k, v)| (k.clone(), v.clone())).collect::<Vec<_>>()
    };
    assert_eq!(of(&again, [7, 8]), of(&w, [7, 8]), "rows, queues and indexes");
}

#[test]
fn a_missing_section_means_the_defaults_of_the_design() {
    let mut w = World::empty();
    w.init(&json!({}));
    let document = w.export();
    let params = &document["market"]["params"];
    assert_eq!(params["bid_min_deposit"], json!({"denom": "uve", "amount": "500000"}));
    assert_eq!((&params["order_ttl"], &params["closed_retention"]), (&json!("86400s"), &json!("2592000s")));
    assert_eq!(
        (&params["order_max_bids"], &params["max_envelope_bytes"], &params["end_block_budget"]),
        (&json!(20), &json!(65536), &json!(1000))
    );
    assert_eq!((&params["min_lease_time"], &params["manifest_timeout"]), (&json!("600s"), &json!("300s")));
    let params = &document["provider"]["params"];
    assert_eq!((&params["min_deposit"]["amount"], &params["max_attributes"]), (&json!("1000000000"), &json!(100)));
    assert_eq!(document["encryption"]["params"]["max_keys_per_account"], json!(16));
    let params = &document["deployment"]["params"];
    assert_eq!(params["min_deposit"], json!({"denom": "uve", "amount": "500000"}));
    assert_eq!((&params["max_groups"], &params["max_resources_per_group"]), (&json!(20), &json!(20)));
}

#[test]
fn parameters_that_break_a_rule_are_refused_by_name() {
    let cases = [
        ("market", json!({"order_max_bids": 101}), "params.order_max_bids: expected 1 to 100, got 101"),
        (
            "market",
            json!({"closed_retention": "3600s"}),
            "params.closed_retention: expected more than final_usage_window, which is 3600000 ms",
        ),
        ("market", json!({"closed_retention": "86400s"}), "params.closed_retention: expected more than depletion_grace"),
        ("market", json!({"order_ttl": "-1s"}), "params.order_ttl: expected whole milliseconds"),
        (
            "market",
            json!({"bid_min_deposit": {"denom": "atom", "amount": "5"}}),
            "params.bid_min_deposit: expected a whole number of uve from 1 to ",
        ),
        ("market", json!({"max_envelope_bytes": 1 << 21}), "params.max_envelope_bytes: expected 1 to 1048576, got 2097152"),
        ("escrow", json!({"max_depositors": 101}), "genesis: escrow: params: max_depositors: expected 2 to 100, got 101"),
        ("escrow", json!({"min_usage_interval": "86401s"}), "genesis: escrow: params: usage_cutoff: expected at least min_usage_interval"),
        ("escrow", json!({"min_runway": "35s"}), "genesis: escrow: params: final_usage_window: expected at most 100 × min_runway"),
        ("escrow", json!({"min_topup": {"denom": "atom", "amount": "1"}}), "genesis: escrow: params: min_topup: expected an amount in uve"),
        ("escrow", json!({"depletion_grace": "0s"}), "genesis: escrow: params: depletion_grace: expected whole milliseconds"),
        ("provider", json!({"max_auditors": 1001}), "params.max_auditors: expected 1 to 1000, got 1001"),
        ("provider", json!({"min_deposit": {"denom": "uve", "amount": "0"}}), "params.min_deposit: expected at least 1uve, got 0uve"),
        ("provider", json!({"default_attributes": [{"key": "", "value": "x"}]}), "params.default_attributes: a key is empty"),
        ("encryption", json!({"max_keys_per_account": 129}), "params.max_keys_per_account: expected 1 to 128, got 129"),
        ("deployment", json!({"max_groups": 1001}), "params.max_groups: expected 1 to 1000, got 1001"),
        (
            "deployment",
            json!({"min_deposit": {"denom": "uve", "amount": "0"}}),
            "params.min_deposit: expected a whole number of uve from 1 to ",
        ),
    ];
    for (section, params, expected) in cases {
        let w = World::empty();
        let mut ctx = w.ctx();
        let mut refusal = None;
        for module in w.modules() {
            let genesis = if module.name() == section { json!({"params": params}) } else { json!(null) };
            if let Err(error) = module.init_genesis(&mut ctx, &genesis) {
                refusal.get_or_insert(error.log);
            }
        }
        let refusal = refusal.expect(expected);
        assert!(refusal.starts_with(expected), "{refusal}");
    }
}

#[test]
fn a_document_that_contradicts_itself_is_refused() {
    let w = busy();
    let mut document = w.export();
    document["market"]["orders"][0]["open_bids"] = 7.into();
    let again = World::empty();
    let mut ctx = again.ctx();
    let results: Vec<_> =
        again.modules().iter().map(|m: &std::sync::Arc<dyn Module>| m.init_genesis(&mut ctx, &document[m.name()])).collect();
    let refusal = results.into_iter().find_map(Result::err).expect("the count is wrong");
    assert!(refusal.log.contains("counts 7 open bids and has 0"), "{}", refusal.log);
}

/// One line for each kind of key: the first of it in key order, with its value, in hex.
#[test]
fn keys_and_values_of_the_state_are_as_ever() {
    let w = busy();
    let mut seen = BTreeSet::new();
    let mut text = String::new();
    for (key, value) in w.base.iter().filter(|(key, _)| matches!(key[1], 7 | 8)) {
        if seen.insert(key[..3].to_vec()) {
            let kind = match key[0] {
                KIND_ROW => "row",
                KIND_INDEX => "index",
                _ => "unknown",
            };
            let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
            writeln!(text, "{kind} {:02x} {} = {}", key[1], hex(&key[2..]), hex(value)).expect("a string takes it");
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/state.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &text).expect("the golden file can be written");
    }
    let golden = std::fs::read_to_string(path).expect("the golden file is there");
    assert!(golden == text, "the state's keys or values changed; if that is meant, set UPDATE_GOLDEN=1\n{text}");
}

#[test]
fn an_open_lease_takes_less_than_two_kilobytes_of_state() {
    let mut w = World::new();
    w.register_paul();
    let lease = |w: &mut World| {
        let id = w.deploy_lab();
        let bid = w.make_bid(id.group(1).order(1), paul(), 50);
        w.make_lease(bid);
    };
    lease(&mut w); // what there is once per account and chain
    let size = |w: &World, kind: u8| w.base.iter().filter(|(k, _)| k[0] == kind).map(|(k, v)| k.len() + v.len()).sum::<usize>();
    let before = [KIND_ROW, KIND_INDEX].map(|kind| size(&w, kind));
    for _ in 0..10 {
        lease(&mut w);
    }
    let [rows, indexes] = [KIND_ROW, KIND_INDEX].map(|kind| (size(&w, kind) - before[kind as usize]) / 10);
    println!("{rows} bytes of rows and {indexes} of indexes");
    assert!(rows + indexes < 2000, "{rows} bytes of rows and {indexes} of indexes");
}
