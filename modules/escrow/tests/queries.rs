//! What is shown, exported and proved.

mod common;
use common::*;
use escrow::types::timestamp;
use escrow::{AccountId, AccountState, PaymentState};
use kernel::{BidId, DeploymentId, Module};
use proto::cosmos::base::query::v1beta1::PageRequest;
use proto::virtengine::escrow::v1::{QueryAccountsRequest, QueryAccountsResponse, QueryParamsRequest};

#[test]
fn a_status_is_as_of_the_views_time_whoever_touched_the_account_when() {
    let mut w = World::leased(90_000);
    w.deposit(bob(), 360).unwrap();
    w.at(T0 + 200 * SECOND + 500);
    let s = w.status();
    assert_eq!([&s.balance, &s.reserved, &s.spendable, &s.paid].map(amount), [90_360, 200, 90_159, 0]);
    assert_eq!((s.depletes_at, s.hours_left.as_str()), (Some(timestamp(T0 + 90_360 * SECOND)), "25.04"));
    assert_eq!(s.deposits.iter().map(|d| amount(&d.amount)).collect::<Vec<_>>(), [90_000, 360]);
    let [p] = &s.payments[..] else { panic!("one payment") };
    assert_eq!((amount(&p.price), amount(&p.reserved), p.number, p.next_sequence), (3600, 200, 1, 1));
    assert_eq!((p.state(), p.settled, p.stopped_at), (PaymentState::Running, Some(timestamp(T0)), None));
    assert_eq!(w.escrow.payments_of(&w.ctx, &lease(1)), Ok(s.payments));
    assert_eq!(w.row().settled, 3600 * u128::from(T0), "a query writes nothing");
}

#[test]
fn a_status_shows_what_ran_dry_although_nobody_has_looked_yet() {
    let mut w = World::leased(300);
    w.at(T0 + 6 * MINUTE);
    let s = w.status();
    assert_eq!((s.state(), s.depletes_at, s.hours_left.as_str()), (AccountState::Depleted, None, ""));
    assert_eq!((amount(&s.reserved), amount(&s.spendable)), (300, 0));
    assert_eq!((s.depleted_at, s.grace_ends), (Some(timestamp(T0 + 5 * MINUTE)), Some(timestamp(T0 + 16 * MINUTE))));
    assert_eq!(s.payments[0].stopped_at, Some(timestamp(T0 + 5 * MINUTE)));
    assert_eq!(w.escrow.funds(&w.ctx, &dep()), Ok(escrow::Funds::Depleted));
    assert_eq!(w.row().state, AccountState::Open);
}

#[test]
fn a_depleted_account_says_when_it_ran_dry_when_its_leases_close_and_which_deposit_resumes_it() {
    let mut w = World::leased(300);
    let unset = |s: &proto::virtengine::escrow::v1::AccountStatus| s.depleted_at.is_none() && s.grace_ends.is_none() && s.missing.is_none();
    assert!(unset(&w.status()));
    w.block_at(T0 + 6 * MINUTE);
    w.at(T0 + 7 * MINUTE);
    let s = w.status();
    assert_eq!(s.depleted_at, Some(timestamp(T0 + 5 * MINUTE)), "not when a block saw it");
    assert_eq!((s.grace_ends, amount(&s.missing)), (Some(timestamp(T0 + 16 * MINUTE)), 60), "a runway of one minute");
    w.deposit(bob(), 55).unwrap();
    assert_eq!(amount(&w.status().missing), 10, "no deposit is smaller");
    w.deposit(bob(), 10).unwrap();
    assert_eq!((w.status().state(), unset(&w.status())), (AccountState::Open, true));
}

#[test]
fn hours_left_has_two_decimals_rounded_down() {
    let mut w = World::leased(3600 + 71);
    assert_eq!(w.status().hours_left, "1.01");
    w.at(T0 + HOUR);
    assert_eq!(w.status().hours_left, "0.01");
}

#[test]
fn an_account_that_lasts_beyond_the_end_of_time_says_so_with_its_last_moment() {
    let mut w = World::funded(1_000_000_000);
    w.open_payment(1, 1).unwrap();
    let s = w.status();
    assert_eq!(s.depletes_at, Some(timestamp(u64::MAX)));
    assert_eq!(s.hours_left, "1000000000.00");
}

#[test]
fn finished_payments_stay_visible_until_the_lease_is_removed() {
    let mut w = World::leased(300);
    w.at(T0 + 100 * SECOND);
    w.close_lease(1).unwrap();
    w.record(1, 0, 100 * SECOND, 40 * SECOND).unwrap();
    let [p] = &w.status().payments[..] else { panic!("one payment") };
    assert_eq!((p.state(), amount(&p.paid), amount(&p.lease_paid), p.next_sequence), (PaymentState::Done, 40, 40, 2));
}

/// Alice has deployments 1 to 3, bob has 1; the provider serves all, and alice's first with two leases; person 20 serves
/// bob's too.
fn market() -> World {
    let mut w = World::lab();
    let id = |owner, dseq| DeploymentId { owner, dseq };
    for (id, groups) in [(id(alice(), 1), 2), (id(alice(), 2), 1), (id(alice(), 3), 1), (id(bob(), 1), 1)] {
        w.tx(|e, ctx| e.open(ctx, AccountId::Deployment(id), &id.owner, &id.owner, 1000)).unwrap();
        for gseq in 1..=groups {
            w.tx(|e, ctx| e.open_payment(ctx, &id.group(gseq).order(1).bid(provider()), 60)).unwrap();
        }
    }
    let other: BidId = id(bob(), 1).group(2).order(1).bid(person(20));
    w.tx(|e, ctx| e.open_payment(ctx, &other, 60)).unwrap();
    w.tx(|e, ctx| e.open(ctx, AccountId::Bid(other), &person(8), &person(8), 1000)).unwrap();
    w
}

fn list(w: &World, request: QueryAccountsRequest) -> (Vec<(String, u64)>, QueryAccountsResponse) {
    let answer = w.escrow.query_accounts(&w.ctx, request).unwrap();
    let ids = answer.accounts.iter().map(|a| (a.owner.clone(), a.id.as_ref().unwrap().dseq)).collect();
    (ids, answer)
}

#[test]
fn accounts_are_listed_by_owner_provider_or_both_each_once() {
    let w = market();
    let (a, b) = (alice().to_string(), bob().to_string());
    let ask = |owner: &str, provider: &str, dseq| {
        let request = QueryAccountsRequest { owner: owner.into(), provider: provider.into(), dseq, pagination: None };
        list(&w, request).0
    };
    let of = |pairs: &[(&String, u64)]| pairs.iter().map(|(o, d)| (o.to_string(), *d)).collect::<Vec<_>>();
    let all = of(&[(&a, 1), (&a, 2), (&a, 3), (&b, 1)]);
    let (provider, other) = (provider().to_string(), person(20).to_string());
    assert_eq!(ask("", "", 0), all);
    assert_eq!(ask("", &provider, 0), all);
    assert_eq!(ask(&a, "", 0), all[..3]);
    assert_eq!(ask(&a, &provider, 0), all[..3]);
    assert_eq!(ask(&b, &other, 0), all[3..]);
    assert_eq!(ask(&a, &other, 0), []);
    assert_eq!(ask(&a, &provider, 2), all[1..2]);
    assert_eq!(ask(&a, &other, 2), []);
    assert_eq!(ask(&a, "", 9), []);
}

#[test]
fn pages_of_accounts_follow_each_other_without_repeating() {
    let w = market();
    let (mut seen, mut key) = (Vec::new(), Vec::new());
    loop {
        let pagination = Some(PageRequest { key, limit: 1, ..Default::default() });
        let request = QueryAccountsRequest { provider: provider().to_string(), pagination, ..Default::default() };
        let (ids, answer) = list(&w, request);
        seen.extend(ids);
        key = answer.pagination.unwrap().next_key;
        if key.is_empty() {
            break;
        }
    }
    assert_eq!(seen.len(), 4);
    seen.dedup();
    assert_eq!(seen.len(), 4);
}

#[test]
fn bad_arguments_of_a_query_are_named() {
    let w = market();
    let ask = |r: QueryAccountsRequest| w.escrow.query_accounts(&w.ctx, r).unwrap_err();
    let dseq = ask(QueryAccountsRequest { dseq: 1, ..Default::default() });
    assert_eq!((dseq.codespace, dseq.code, dseq.log.as_str()), ("sdk", 18, "dseq: expected together with owner: invalid request"));
    let owner = ask(QueryAccountsRequest { owner: "x".into(), ..Default::default() });
    assert!(owner.log.starts_with("owner: decoding bech32 failed"), "{owner}");
}

/// A world with something of everything.
fn busy() -> World {
    let mut w = market();
    w.at(T0 + 2 * MINUTE);
    w.record(1, 0, MINUTE, 31_234).unwrap();
    w.close_lease(1).unwrap();
    let id = AccountId::Deployment(DeploymentId { owner: alice(), dseq: 2 });
    w.tx(|e, ctx| e.close(ctx, id)).unwrap();
    let poor = DeploymentId { owner: carol(), dseq: 7 };
    w.tx(|e, ctx| e.open(ctx, AccountId::Deployment(poor), &carol(), &carol(), 100)).unwrap();
    w.tx(|e, ctx| e.open_payment(ctx, &poor.group(1).order(3).bid(provider()), 6000)).unwrap();
    w.block_at(T0 + 4 * MINUTE);
    w
}

#[test]
fn what_is_exported_is_what_is_imported() {
    let mut w = busy();
    let exported = w.escrow.export_genesis(&w.ctx).unwrap();
    let escrow = w.escrow.clone();
    let mut fresh = World::lab();
    fresh.at(T0 + 4 * MINUTE);
    let error = escrow.init_genesis(&mut fresh.ctx, &exported).unwrap_err();
    assert!(error.log.contains("escrow holds 0uve and owes"), "{error}");

    let held = w.held_by_escrow();
    let mut fresh = World::lab();
    let to = kernel::module_address("escrow");
    fresh.at(T0 + 4 * MINUTE);
    fresh.bank.genesis_credit(&mut fresh.ctx, &to, &[("uve".into(), held.into())]).unwrap();
    escrow.init_genesis(&mut fresh.ctx, &exported).unwrap();
    assert_eq!(fresh.escrow.export_genesis(&fresh.ctx).unwrap(), exported);
    w.at(T0 + HOUR);
    fresh.at(T0 + HOUR);
    assert_eq!(fresh.escrow.due(&fresh.ctx, 9), w.escrow.due(&w.ctx, 9));
    fresh.end_block();
}

#[test]
fn a_genesis_that_contradicts_itself_is_refused() {
    let w = busy();
    let exported = w.escrow.export_genesis(&w.ctx).unwrap();
    let refusal = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut genesis = exported.clone();
        change(&mut genesis);
        let (_, _, escrow) = modules();
        let mut fresh = World::lab();
        let held = w.held_by_escrow();
        fresh.at(T0 + 4 * MINUTE);
        let to = kernel::module_address("escrow");
        fresh.bank.genesis_credit(&mut fresh.ctx, &to, &[("uve".into(), held.into())]).unwrap();
        escrow.init_genesis(&mut fresh.ctx, &genesis).unwrap_err().log
    };
    type Change<'a> = &'a dyn Fn(&mut serde_json::Value);
    let cases: [(Change, &str); 9] = [
        (&|g| g["accounts"][0]["rate"] = "1".into(), "R or S differs"),
        (&|g| g["accounts"][0]["frozen"] = "1".into(), "F differs"),
        (&|g| g["accounts"][0]["balance"] = "-1".into(), "balance: expected a whole number in decimal digits, got \"-1\""),
        (&|g| g["accounts"][0]["balance"] = u128::MAX.to_string().into(), "expected deposits ≤ balance ≤ deposited"),
        (&|g| g["accounts"][0]["next_at"] = "5".into(), "the next time differs"),
        (&|g| g["accounts"][1] = g["accounts"][0].clone(), "occurs twice"),
        (&|g| g["accounts"] = serde_json::json!([]), "have no account"),
        (&|g| g["meters"][0]["payments"] = serde_json::json!([]), "payments: expected at least one"),
        (&|g| g["params"]["max_depositors"] = 1.into(), "max_depositors: expected 2 to 100, got 1"),
    ];
    for (change, expected) in cases {
        let log = refusal(change);
        assert!(log.starts_with("genesis: escrow: ") && log.contains(expected), "{expected}: {log}");
    }
}

#[test]
fn parameters_have_the_published_defaults_and_are_checked_together() {
    let w = World::new(serde_json::Value::Null);
    let params = w.escrow.query_params(&w.ctx, QueryParamsRequest {}).unwrap().params.unwrap();
    let seconds = |d: Option<proto::Duration>| d.unwrap().seconds;
    assert_eq!(amount(&params.min_topup), 100_000);
    assert_eq!(seconds(params.min_runway), 3600);
    assert_eq!(seconds(params.depletion_grace), 24 * 3600);
    assert_eq!(seconds(params.usage_cutoff), 24 * 3600);
    assert_eq!(seconds(params.final_usage_window), 3600);
    assert_eq!(seconds(params.min_usage_interval), 30);
    assert_eq!(params.max_depositors, 16);
    let refusals = [
        (serde_json::json!({"min_topup": {"denom": "x", "amount": "1"}}), "min_topup: expected an amount in uve"),
        (serde_json::json!({"min_topup": {"denom": "uve", "amount": "0"}}), "min_topup: expected at least 1uve"),
        (serde_json::json!({"min_runway": "0s"}), "min_runway: expected whole milliseconds"),
        (serde_json::json!({"min_runway": "0.0001s"}), "min_runway: expected whole milliseconds"),
        (serde_json::json!({"depletion_grace": "-5s"}), "depletion_grace: expected whole milliseconds"),
        (serde_json::json!({"usage_cutoff": "1s"}), "usage_cutoff: expected at least min_usage_interval"),
        (serde_json::json!({"min_runway": "1s"}), "final_usage_window: expected at most 100 × min_runway"),
    ];
    for (params, expected) in refusals {
        let (_, _, escrow) = modules();
        let mut w = World::lab();
        let log = escrow.init_genesis(&mut w.ctx, &serde_json::json!({ "params": params })).unwrap_err().log;
        assert!(log.contains(expected), "{expected}: {log}");
    }
}

#[test]
fn keys_of_the_store_are_fixed() {
    let mut w = World::leased(300);
    w.at(T0);
    let mut keys: Vec<String> = Vec::new();
    for (key, _) in w.base.iter().filter(|(key, _)| key[1] == 4) {
        keys.push(key.iter().map(|b| format!("{b:02x}")).collect());
    }
    let (a, p) = (format!("14{}", "01".repeat(20)), format!("14{}", "09".repeat(20)));
    let dep = format!("{a}0000000000000001");
    let lease = format!("{dep}0000000100000001{p}");
    let due: String = (T0 + 300 * SECOND).to_be_bytes().iter().map(|b| format!("{b:02x}")).collect();
    let expected = [
        "000400".to_string(),                      // parameters
        format!("00040101{dep}"),                  // account
        format!("000402{lease}"),                  // meter
        format!("000403{due}01{dep}"),             // due queue
        format!("000404{dep}{lease}"),             // living leases
        format!("010406{p}{dep}0000000100000001"), // by provider, beside the tree
    ];
    assert_eq!(keys, expected);
}
