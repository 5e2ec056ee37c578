//! Usage records and the other messages about money.

use crate::world::*;
use kernel::{Address, BidId, module_address};
use proto::virtengine::deployment::v1 as d;
use proto::virtengine::escrow::v1 as e;
use proto::virtengine::market::v1::lease;
use proto::virtengine::provider::v1 as p;

fn submit_ok(w: &mut World, records: Vec<e::UsageRecord>) -> Vec<e::UsageResult> {
    w.ok(|w, ctx| w.market.submit_usage(ctx, submit(paul(), records))).results
}

fn refused(w: &mut World, records: Vec<e::UsageRecord>) -> String {
    w.refused(|w, ctx| w.market.submit_usage(ctx, submit(paul(), records)))
}

/// The lab's lease after an hour, with windows that let the hour be reported at once.
fn after_an_hour() -> (World, BidId, u64) {
    let mut genesis = params();
    genesis["escrow"]["params"]["usage_cutoff"] = "7200s".into();
    genesis["market"]["params"]["closed_retention"] = "10800s".into();
    let mut w = World::with(genesis);
    let id = w.lab_lease();
    let start = w.time;
    w.block(HOUR);
    (w, id, start)
}

fn earned(w: &World) -> u128 {
    w.balance(peter()) - PURSE
}

#[test]
fn an_hour_of_what_the_lab_reserves_costs_exactly_the_price() {
    let (mut w, id, start) = after_an_hour();
    let hour = record(id, 1, start, start + HOUR, 1000);
    assert_eq!(
        hour.resources,
        Some(e::ResourceTotals {
            cpu_milli_seconds: 1_800_000,
            memory_byte_seconds: 1_932_735_283_200,
            storage_byte_seconds: 3_865_470_566_400,
            gpu_seconds: 0,
        })
    );
    let results = submit_ok(&mut w, vec![hour]);
    assert_eq!(results[0].paid, uve(50));
    assert_eq!(results[0].settled, at(start + HOUR));
    assert_eq!(results[0].served, window(HOUR));
    assert_eq!(earned(&w), 50, "at the payout address");
    assert_eq!(w.spendable(id.deployment()), 10_000_000 - 50);
}

#[test]
fn half_of_one_resource_costs_half_the_price() {
    let (mut w, id, start) = after_an_hour();
    let mut half = record(id, 1, start, start + HOUR, 1000);
    half.resources.as_mut().expect("there").cpu_milli_seconds /= 2;
    assert_eq!(submit_ok(&mut w, vec![half])[0].paid, uve(25));
    assert_eq!(w.spendable(id.deployment()), 10_000_000 - 25, "the rest of the period is spendable again");
}

#[test]
fn more_than_reserved_is_capped() {
    let (mut w, id, start) = after_an_hour();
    let mut most = record(id, 1, start, start + HOUR, 5000);
    most.resources.as_mut().expect("there").gpu_seconds = u64::MAX;
    assert_eq!(submit_ok(&mut w, vec![most])[0].paid, uve(50));
}

#[test]
fn a_reserved_resource_that_was_not_used_costs_nothing() {
    let (mut w, id, start) = after_an_hour();
    let mut none = record(id, 1, start, start + HOUR, 1000);
    none.resources.as_mut().expect("there").storage_byte_seconds = 0;
    assert_eq!(submit_ok(&mut w, vec![none])[0].paid, uve(0));
}

#[test]
fn gpus_and_counts_are_part_of_what_is_reserved() {
    let mut w = World::new();
    w.register_paul();
    let mut group = d::GroupSpec { price: uve(3_600_000), ..lab_group() };
    group.resources[0].gpu = 2;
    group.resources[0].count = 3;
    let deployment = w.deploy(alice(), vec![group], 10_000_000);
    let id = w.make_bid(deployment.group(1).order(1), paul(), 3_600_000);
    w.make_lease(id);
    let start = w.time;
    w.block(10 * MINUTE);
    let mut used = record(id, 1, start, w.time, 3000);
    used.resources.as_mut().expect("there").gpu_seconds = 6 * 300;
    assert_eq!(submit_ok(&mut w, vec![used])[0].served, window(5 * MINUTE), "half of six GPUs for ten minutes");
}

#[test]
fn however_an_hour_is_cut_into_records_it_costs_the_same() {
    let (mut w, id, start) = after_an_hour();
    let cut = |n: u64| record(id, n + 1, start + n * 7 * MINUTE, start + ((n + 1) * 7 * MINUTE).min(HOUR), 1000);
    let results = submit_ok(&mut w, (0..9).map(cut).collect());
    assert_eq!((results.len(), earned(&w)), (9, 50));
}

#[test]
fn the_last_record_again_is_a_no_op_and_other_figures_under_its_sequence_are_refused() {
    let (mut w, id, start) = after_an_hour();
    let first = record(id, 1, start, start + 30 * MINUTE, 1000);
    let paid = submit_ok(&mut w, vec![first.clone()]);
    assert!(!paid[0].duplicate);
    let again = submit_ok(&mut w, vec![first.clone()]);
    assert!(again[0].duplicate);
    assert_eq!((again[0].paid.clone(), again[0].settled), (uve(0), paid[0].settled));
    assert_eq!(earned(&w), 25);
    let named = |what: &str| format!("records[0] of lease {id}: {what}");
    let log = refused(&mut w, vec![record(id, 1, start, start + 30 * MINUTE, 500)]);
    assert!(log.starts_with(&named("sequence: 1 was used")), "{log}");
    submit_ok(&mut w, vec![record(id, 2, start + 30 * MINUTE, start + HOUR, 1000)]);
    assert!(refused(&mut w, vec![first]).starts_with(&named("sequence: 1 is stale")));
    let gap = refused(&mut w, vec![record(id, 4, start + HOUR, start + HOUR + 1, 1)]);
    assert!(gap.starts_with(&named("sequence: expected 3, got 4")), "{gap}");
}

#[test]
fn a_record_that_starts_before_the_lease_is_refused_with_the_expected_start() {
    let (mut w, id, start) = after_an_hour();
    let log = refused(&mut w, vec![record(id, 1, start - HOUR, start, 1000)]);
    assert!(log.starts_with(&format!("records[0] of lease {id}: start_time: expected 2023-11-14T22:13:20Z")), "{log}");
}

#[test]
fn an_end_beyond_block_time_is_clipped_and_a_gap_goes_to_the_tenant() {
    let (mut w, id, start) = after_an_hour();
    let results = submit_ok(&mut w, vec![record(id, 1, start + 30 * MINUTE, start + 2 * HOUR, 1000)]);
    assert_eq!((results[0].paid.clone(), results[0].settled), (uve(25), at(start + HOUR)));
    assert_eq!(w.spendable(id.deployment()), 10_000_000 - 25);
}

#[test]
fn one_refused_record_refuses_them_all() {
    let (mut w, id, start) = after_an_hour();
    let good = record(id, 1, start, start + 30 * MINUTE, 1000);
    let bad = record(id, 2, start, start + HOUR, 1000);
    let log = refused(&mut w, vec![good.clone(), bad]);
    assert!(log.starts_with(&format!("records[1] of lease {id}: start_time: expected ")), "the message says which: {log}");
    assert_eq!(earned(&w), 0);
    submit_ok(&mut w, vec![good]);
}

#[test]
fn malformed_records_are_refused_by_field() {
    let (mut w, id, start) = after_an_hour();
    let good = record(id, 1, start, start + HOUR, 1000);
    type Change = fn(&mut e::UsageRecord);
    let cases: [(&str, Change); 5] = [
        ("start_time: expected a time after 1970, got none", |r| r.start_time = None),
        ("end_time: expected a time after 1970, got none", |r| r.end_time = None),
        ("end_time: expected a time after 1970", |r| r.end_time = Some(proto::Timestamp { seconds: -1, nanos: 0 })),
        ("start_time: expected a time after 1970", |r| r.start_time = Some(proto::Timestamp { seconds: i64::MAX, nanos: 0 })),
        ("resources: expected totals, got none", |r| r.resources = None),
    ];
    for (expected, change) in cases {
        let mut bad = good.clone();
        change(&mut bad);
        let log = refused(&mut w, vec![bad]);
        assert!(log.starts_with(&format!("records[0] of lease {id}: {expected}")), "{log}");
    }
    let nowhere = e::UsageRecord { lease_id: None, ..good.clone() };
    assert_eq!(refused(&mut w, vec![nowhere]), "records[0].lease_id: expected an id, got none");
    assert!(refused(&mut w, vec![record(id, 1, start + HOUR, start + HOUR, 1000)]).contains(": end_time: expected later"));
    assert!(refused(&mut w, vec![record(id, 1, start, start + 5 * SECOND, 1000)]).contains("shorter than 10000 ms"));
    assert_eq!(refused(&mut w, vec![]), "records: expected 1 to 100, got 0");
    assert_eq!(refused(&mut w, vec![good.clone(); 101]), "records: expected 1 to 100, got 101");
    let unknown = id.order.group.order(9).bid(paul());
    assert_eq!(
        refused(&mut w, vec![record(unknown, 1, start, start + HOUR, 1000)]),
        format!("records[0] of lease {unknown}: lease {unknown} not found")
    );
}

#[test]
fn a_record_signed_by_another_than_the_leases_provider_or_its_operator_is_refused() {
    let (mut w, id, start) = after_an_hour();
    w.register(provider(1));
    let hour = record(id, 1, start, start + HOUR, 1000);
    let mut by = |signer: Address| w.run(|w, ctx| w.market.submit_usage(ctx, submit(signer, vec![hour.clone()])));
    for signer in [alice(), provider(1)] {
        assert!(by(signer).expect_err("a stranger").log.contains("is neither provider"));
    }
    by(olga()).expect("the operator reports");
}

#[test]
fn after_the_end_the_last_period_is_reported_and_then_all_is_settled() {
    let (mut w, id, start) = after_an_hour();
    w.end_lease(id, false);
    assert_eq!((w.holds(paul()), w.lease(id).lease.expect("shown").settled), (1, false), "the last hour may still be reported");
    let results = submit_ok(&mut w, vec![record(id, 1, start, start + 2 * HOUR, 1000)]);
    assert_eq!((results[0].paid.clone(), results[0].settled), (uve(50), at(start + HOUR)), "clipped at the end of the lease");
    assert_eq!((w.holds(paul()), w.lease(id).lease.expect("shown").settled), (0, true));
}

#[test]
fn without_a_final_record_all_is_settled_when_the_window_has_passed() {
    let (mut w, id, _) = after_an_hour();
    w.end_lease(id, false);
    w.block(5 * MINUTE - 1);
    assert_eq!(w.holds(paul()), 1);
    w.block(1);
    assert_eq!((w.holds(paul()), w.lease(id).lease.expect("shown").settled), (0, true));
    assert_eq!(w.spendable(id.deployment()), 10_000_000);
}

#[test]
fn the_tenant_gets_back_what_usage_did_not_cost_to_the_uve() {
    let (mut w, id, start) = after_an_hour();
    submit_ok(&mut w, vec![record(id, 1, start, start + HOUR, 1000)]);
    w.end_deployment(id.deployment());
    assert_eq!((w.spent(alice()), earned(&w)), (50, 50));
}

#[test]
fn anybody_deposits_and_gets_the_own_money_back() {
    let mut w = World::new();
    let id = w.deploy_lab();
    w.top_up(id, bob(), 1_000_000);
    assert_eq!(w.spendable(id), 11_000_000);
    w.end_deployment(id);
    assert_eq!((w.spent(alice()), w.spent(bob())), (0, 0));
}

#[test]
fn a_deposit_that_is_small_foreign_or_to_nowhere_is_refused() {
    let mut w = World::new();
    let id = w.deploy_lab();
    let mut refused = |deployment_id, amount| {
        let msg = e::MsgDeposit { depositor: bob().to_string(), deployment_id, amount };
        w.refused(|w, ctx| w.market.deposit(ctx, msg))
    };
    assert_eq!(
        refused(Some(id.into()), uve(99_999)),
        "amount: expected a whole number of uve from 100000 to 18446744073709551615, got \"99999uve\""
    );
    assert_eq!(
        refused(Some(id.into()), coin("100000", "atom")),
        "amount: expected a whole number of uve from 100000 to 18446744073709551615, got \"100000atom\""
    );
    assert_eq!(refused(None, uve(100_000)), "deployment_id: expected an id, got none");
    let unknown = kernel::DeploymentId { owner: bob(), dseq: 1 };
    assert_eq!(refused(Some(unknown.into()), uve(100_000)), format!("deployment {unknown} not found"));
}

#[test]
fn what_exceeds_the_runway_can_be_taken_back_without_closing() {
    let (mut w, id, _) = after_an_hour();
    let deployment = id.deployment();
    let msg = || e::MsgWithdrawSpare { owner: alice().to_string(), dseq: deployment.dseq };
    let amount = w.ok(|w, ctx| w.market.withdraw_spare(ctx, msg())).amount;
    assert_eq!(amount, uve(10_000_000 - 51), "an hour is reserved, a minute of runway stays");
    assert_eq!(w.spent(alice()), 51);
    assert_eq!(w.lease_state(id), lease::State::Active);
    assert!(w.refused(|w, ctx| w.market.withdraw_spare(ctx, msg())).starts_with("nothing to withdraw"));
    let other = e::MsgWithdrawSpare { owner: bob().to_string(), dseq: deployment.dseq };
    assert_eq!(w.refused(|w, ctx| w.market.withdraw_spare(ctx, other)), format!("deployment {}/1 not found", bob()));
}

#[test]
fn earnings_cannot_be_paid_to_a_modules_account() {
    let mut w = World::new();
    let details = |payout: Address| p::Details {
        name: "provider".into(),
        contact: "ops@example.com".into(),
        payout: payout.to_string(),
        ..Default::default()
    };
    for name in [escrow::MODULE_ACCOUNT, auth::FEE_COLLECTOR] {
        let payout = module_address(name);
        let expected = format!("payout: expected an account of a user, {payout} is a module's");
        let create = p::MsgCreateProvider { owner: olga().to_string(), details: Some(details(payout)), deposit: uve(1_000_000_000) };
        assert_eq!(w.refused(|w, ctx| w.providers.create(ctx, create)), expected);
        if name == escrow::MODULE_ACCOUNT {
            w.register(paul());
        }
        let update = p::MsgUpdateProvider { owner: paul().to_string(), details: Some(details(payout)) };
        assert_eq!(w.refused(|w, ctx| w.providers.update(ctx, update)), expected);
    }
}
