//! Creating, changing and closing deployments and their groups.

use crate::world::*;
use ::deployment::{Params, types::check_groups};
use kernel::{DeploymentId, MAX_DSEQ};
use proto::virtengine::base::v1 as base;
use proto::virtengine::deployment::v1::{self as d, deployment, group};
use proto::virtengine::market::v1::{bid, order};

fn create(msg: d::MsgCreateDeployment) -> impl FnOnce(&World, &mut kernel::Ctx) -> Result<u64, market::Error> {
    move |w, ctx| Ok(w.market.create_deployment(ctx, msg)?.dseq)
}

fn lab(deposit: u64) -> d::MsgCreateDeployment {
    create_deployment(alice(), vec![lab_group()], deposit)
}

fn two_groups() -> Vec<d::GroupSpec> {
    vec![lab_group(), d::GroupSpec { name: "second".into(), ..lab_group() }]
}

#[test]
fn a_deployment_opens_an_account_and_an_order_for_each_group() {
    let mut w = World::new();
    let id = w.deploy(alice(), two_groups(), 10_000_000);
    assert_eq!(w.event_names(), ["EventDeploymentCreated", "EventAccountOpened", "EventOrderCreated", "EventOrderCreated"]);
    assert_eq!(w.spent(alice()), 10_000_000);
    assert_eq!(w.spendable(id), 10_000_000);
    let shown = w.deployment(id);
    assert_eq!(shown.deployment.expect("shown").state(), deployment::State::Active);
    assert_eq!(shown.groups.len(), 2);
    for gseq in 1..=2 {
        assert_eq!(w.group_state(id, gseq), group::State::Open);
        let order = w.order(id.group(gseq).order(1));
        assert_eq!(order.state(), order::State::Open);
        assert_eq!(order.spec.expect("queries show the spec").price, uve(100));
    }
}

#[test]
fn numbers_count_from_one_per_owner() {
    let mut w = World::new();
    for (owner, expected) in [(alice(), 1), (alice(), 2), (bob(), 1), (alice(), 3)] {
        assert_eq!(w.deploy(owner, vec![lab_group()], 500_000), DeploymentId { owner, dseq: expected });
    }
}

#[test]
fn a_number_of_the_tenants_own_must_exceed_all_before() {
    let mut w = World::new();
    assert_eq!(w.ok(create(d::MsgCreateDeployment { dseq: 7, ..lab(500_000) })), 7);
    for dseq in [1, 6, 7] {
        let log = w.refused(create(d::MsgCreateDeployment { dseq, ..lab(500_000) }));
        assert!(log.starts_with("dseq: expected 0 or 8 to") && log.ends_with(&format!("got {dseq}")), "{log}");
    }
    assert_eq!(w.deploy_lab().dseq, 8);
}

#[test]
fn a_number_is_not_given_twice_even_after_the_deployment_has_left_the_state() {
    let mut w = World::new();
    let id = w.deploy_lab();
    w.end_deployment(id);
    w.block(HOUR);
    assert_eq!(w.count_events("EventDeploymentRemoved"), 1);
    assert_eq!(w.deploy_lab().dseq, 2);
}

#[test]
fn a_number_from_2_to_the_53_on_is_refused() {
    let mut w = World::new();
    for dseq in [MAX_DSEQ, u64::MAX] {
        let log = w.refused(create(d::MsgCreateDeployment { dseq, ..lab(500_000) }));
        assert!(log.contains(&format!("to {}", MAX_DSEQ - 1)), "{log}");
    }
    assert_eq!(w.ok(create(d::MsgCreateDeployment { dseq: MAX_DSEQ - 1, ..lab(500_000) })), MAX_DSEQ - 1);
    w.refused(create(lab(500_000)));
}

#[test]
fn a_missing_small_or_foreign_deposit_is_refused() {
    let mut w = World::new();
    let cases = [
        (None, "got none"),
        (uve(499_999), "got \"499999uve\""),
        (coin("0", "uve"), "got \"0uve\""),
        (coin("500000", "atom"), "got \"500000atom\""),
        (coin("-500000", "uve"), "got \"-500000uve\""),
        (coin("+500000", "uve"), "got \"+500000uve\""),
        (coin("0500000", "uve"), "got \"0500000uve\""),
        (coin("", "uve"), "got \"uve\""),
        (coin("18446744073709551616", "uve"), "got \"18446744073709551616uve\""),
    ];
    for (deposit, got) in cases {
        let log = w.refused(create(d::MsgCreateDeployment { deposit, ..lab(0) }));
        assert_eq!(log, format!("deposit: expected a whole number of uve from 500000 to 18446744073709551615, {got}"));
    }
    let log = w.refused(create(lab(u64::MAX)));
    assert!(log.contains("insufficient funds"), "{log}");
}

#[test]
fn a_hash_that_is_no_sha_256_is_refused() {
    let mut w = World::new();
    for hash in [vec![], vec![1; 31], vec![1; 33]] {
        let log = w.refused(create(d::MsgCreateDeployment { hash, ..lab(500_000) }));
        assert!(log.starts_with("hash: expected the 32 bytes"), "{log}");
    }
}

/// A change to the lab's group, and the field that the refusal names.
type Case = (&'static str, fn(&mut d::GroupSpec));

#[test]
fn a_group_that_breaks_a_rule_is_refused_by_field() {
    let cases: &[Case] = &[
        ("groups[0].name", |g| g.name.clear()),
        ("groups[0].name", |g| g.name = "x".repeat(64)),
        ("groups[0].name", |g| g.name = "a\nb".into()),
        ("groups[0].price", |g| g.price = None),
        ("groups[0].price", |g| g.price = uve(0)),
        ("groups[0].price", |g| g.price = coin("-1", "uve")),
        ("groups[0].price", |g| g.price = coin("100", "atom")),
        ("groups[0].reclamation_window", |g| g.reclamation_window = window(0)),
        ("groups[0].reclamation_window", |g| g.reclamation_window = window(366 * DAY)),
        ("groups[0].reclamation_window", |g| g.reclamation_window = Some(proto::Duration { seconds: 1, nanos: 1 })),
        ("groups[0].reclamation_window", |g| g.reclamation_window = Some(proto::Duration { seconds: -1, nanos: 0 })),
        ("groups[0].reclamation_window", |g| g.reclamation_window = Some(proto::Duration { seconds: i64::MAX, nanos: 0 })),
        ("groups[0].requirements.attributes[1].key", |g| requirements(g).attributes.push(attribute("region", "other"))),
        ("groups[0].requirements.attributes[1].key", |g| requirements(g).attributes.push(attribute("", "x"))),
        ("groups[0].requirements.attributes[1].value", |g| requirements(g).attributes.push(attribute("x", &"y".repeat(257)))),
        ("groups[0].requirements.attributes", |g| {
            requirements(g).attributes = (0..101).map(|n| attribute(&n.to_string(), "x")).collect();
        }),
        ("groups[0].requirements.signed_by.all_of[0]", |g| {
            requirements(g).signed_by = Some(base::SignedBy { all_of: vec!["nobody".into()], any_of: vec![] });
        }),
        ("groups[0].requirements.signed_by.any_of[1]", |g| {
            requirements(g).signed_by = Some(base::SignedBy { all_of: vec![], any_of: vec![bob().to_string(); 2] });
        }),
        ("groups[0].resources", |g| g.resources.clear()),
        ("groups[0].resources", |g| g.resources = (1..=21).map(|id| base::ResourceUnit { id, ..g.resources[0].clone() }).collect()),
        ("groups[0].resources[0].id", |g| g.resources[0].id = 0),
        ("groups[0].resources[1].id", |g| g.resources.push(g.resources[0].clone())),
        ("groups[0].resources[0].count", |g| g.resources[0].count = 0),
        ("groups[0].resources[0].cpu_milli", |g| g.resources[0].cpu_milli = 0),
        ("groups[0].resources[0].memory", |g| g.resources[0].memory = 0),
        ("groups[0].resources[0].storage", |g| g.resources[0].storage.clear()),
        ("groups[0].resources[0].storage[0].size", |g| g.resources[0].storage[0].size = 0),
        ("groups[0].resources[0].storage[1].name", |g| {
            let volume = g.resources[0].storage[0].clone();
            g.resources[0].storage.push(volume);
        }),
        ("groups[0].resources[0].gpu_attributes", |g| g.resources[0].gpu_attributes = vec![attribute("vendor/nvidia", "true")]),
        ("groups[0].resources[0].endpoints[0].kind", |g| {
            g.resources[0].endpoints = vec![base::Endpoint { kind: 3, sequence_number: 0 }];
        }),
        ("groups[0].resources", |g| {
            g.resources[0].memory = u64::MAX;
            g.resources[0].count = 2;
        }),
        ("groups[0].resources", |g| {
            g.resources[0].cpu_milli = u64::MAX;
            g.resources.push(base::ResourceUnit { id: 2, ..g.resources[0].clone() });
        }),
    ];
    let mut w = World::new();
    for (field, change) in cases {
        let mut group = lab_group();
        change(&mut group);
        let log = w.refused(create(create_deployment(alice(), vec![group], 500_000)));
        assert!(log.starts_with(&format!("{field}: expected ")) && log.contains(", got "), "{field}: {log}");
    }
}

fn requirements(group: &mut d::GroupSpec) -> &mut base::PlacementRequirements {
    group.requirements.as_mut().expect("the lab's group has some")
}

#[test]
fn no_groups_too_many_and_groups_of_one_name_are_refused() {
    let mut w = World::new();
    let numbered = |n: u32| d::GroupSpec { name: n.to_string(), ..lab_group() };
    let mut refused = |groups: Vec<d::GroupSpec>| w.refused(create(create_deployment(alice(), groups, 500_000)));
    assert_eq!(refused(vec![]), "groups: expected 1 to 20, got 0");
    assert_eq!(refused((0..21).map(numbered).collect()), "groups: expected 1 to 20, got 21");
    assert_eq!(refused(vec![lab_group(), lab_group()]), "groups[1].name: expected a name of its own, got \"dcloud\"");
    assert!(check_groups(&(0..20).map(numbered).collect::<Vec<_>>(), &Params::default()).is_ok());
}

#[test]
fn an_update_names_another_manifest_and_nothing_else() {
    let mut w = World::new();
    let id = w.deploy_lab();
    let before = w.deployment(id);
    let update = |hash: Vec<u8>| d::MsgUpdateDeployment { owner: alice().to_string(), dseq: id.dseq, hash };
    w.ok(|w, ctx| w.market.update_deployment(ctx, update(vec![9; 32])));
    assert_eq!(w.event_names(), ["EventDeploymentUpdated"]);
    let after = w.deployment(id);
    assert_eq!(after.deployment.as_ref().expect("shown").hash, vec![9; 32]);
    assert_eq!(after.groups, before.groups);
    let log = w.refused(|w, ctx| w.market.update_deployment(ctx, update(vec![9; 5])));
    assert!(log.starts_with("hash: expected the 32 bytes"), "{log}");
}

#[test]
fn another_accounts_deployment_is_not_found() {
    let mut w = World::new();
    let id = w.deploy_lab();
    let (owner, dseq) = (bob().to_string(), id.dseq);
    let expected = format!("deployment {owner}/1 not found");
    let o = owner.clone();
    assert_eq!(w.refused(|w, ctx| w.market.close_deployment(ctx, d::MsgCloseDeployment { owner: o, dseq })), expected);
    let o = owner.clone();
    assert_eq!(w.refused(|w, ctx| w.market.update_deployment(ctx, d::MsgUpdateDeployment { owner: o, dseq, hash: vec![1; 32] })), expected);
    assert_eq!(w.refused(|w, ctx| w.market.pause_group(ctx, d::MsgPauseGroup { owner, dseq, gseq: 1 })), expected);
}

#[test]
fn closing_a_deployment_closes_all_below_it_and_refunds_everybody() {
    let mut w = World::new();
    w.register_paul();
    w.register(provider(1));
    let id = w.deploy(alice(), two_groups(), 10_000_000);
    let leased = w.make_bid(id.group(1).order(1), paul(), 50);
    w.make_lease(leased);
    let open = w.make_bid(id.group(2).order(1), provider(1), 60);
    w.end_deployment(id);
    assert_eq!(w.deployment(id).deployment.expect("shown").state(), deployment::State::Closed);
    for gseq in 1..=2 {
        assert_eq!(w.group_state(id, gseq), group::State::Closed);
        assert_eq!(w.order(id.group(gseq).order(1)).state(), order::State::Closed);
    }
    assert_eq!((w.bid(leased).state(), w.bid(open).state()), (bid::State::Closed, bid::State::Closed));
    assert_eq!((w.spent(paul()), w.spent(provider(1))), (1_000_000_000, 1_000_000_000), "bid deposits are back");
    assert_eq!(w.spent(alice()), 0, "no time has passed");
    let log = w.refused(|w, ctx| w.market.close_deployment(ctx, d::MsgCloseDeployment { owner: alice().to_string(), dseq: id.dseq }));
    assert_eq!(log, format!("deployment {id} is closed"));
}

#[test]
fn a_closed_deployment_refuses_every_change() {
    let mut w = World::new();
    let id = w.deploy_lab();
    w.end_deployment(id);
    let (owner, dseq, gseq) = (alice().to_string(), id.dseq, 1);
    let expected = format!("deployment {id} is closed");
    let o = || owner.clone();
    let update = d::MsgUpdateDeployment { owner: o(), dseq, hash: vec![1; 32] };
    assert_eq!(w.refused(|w, ctx| w.market.update_deployment(ctx, update)), expected);
    assert_eq!(w.refused(|w, ctx| w.market.close_group(ctx, d::MsgCloseGroup { owner: o(), dseq, gseq })), expected);
    assert_eq!(w.refused(|w, ctx| w.market.pause_group(ctx, d::MsgPauseGroup { owner: o(), dseq, gseq })), expected);
    assert_eq!(w.refused(|w, ctx| w.market.start_group(ctx, d::MsgStartGroup { owner: o(), dseq, gseq })), expected);
    let deposit = proto::virtengine::escrow::v1::MsgDeposit { depositor: o(), deployment_id: Some(id.into()), amount: uve(500_000) };
    assert_eq!(w.refused(|w, ctx| w.market.deposit(ctx, deposit)), expected);
}

fn pause(w: &mut World, id: DeploymentId, gseq: u32) -> Result<(), kernel::Error> {
    let msg = d::MsgPauseGroup { owner: id.owner.to_string(), dseq: id.dseq, gseq };
    w.run(|w, ctx| w.market.pause_group(ctx, msg)).map(drop)
}

fn start(w: &mut World, id: DeploymentId, gseq: u32) -> Result<u32, kernel::Error> {
    let msg = d::MsgStartGroup { owner: id.owner.to_string(), dseq: id.dseq, gseq };
    w.run(|w, ctx| w.market.start_group(ctx, msg)).map(|r| r.oseq)
}

fn close(w: &mut World, id: DeploymentId, gseq: u32) -> Result<(), kernel::Error> {
    let msg = d::MsgCloseGroup { owner: id.owner.to_string(), dseq: id.dseq, gseq };
    w.run(|w, ctx| w.market.close_group(ctx, msg)).map(drop)
}

#[test]
fn a_paused_group_closes_its_order_and_starts_again_with_the_next() {
    let mut w = World::new();
    w.register_paul();
    let id = w.deploy_lab();
    let bid = w.make_bid(id.group(1).order(1), paul(), 50);
    pause(&mut w, id, 1).expect("an open group can be paused");
    assert_eq!(w.event_names().last().expect("events"), "EventGroupPaused");
    assert_eq!(w.group_state(id, 1), group::State::Paused);
    assert_eq!(w.order(id.group(1).order(1)).state(), order::State::Closed);
    assert_eq!(w.bid(bid).state(), bid::State::Closed);
    assert_eq!(start(&mut w, id, 1).expect("a paused group can be started"), 2);
    assert_eq!(w.group_state(id, 1), group::State::Open);
    assert_eq!(w.order(id.group(1).order(2)).state(), order::State::Open);
}

#[test]
fn pausing_a_group_with_a_lease_closes_the_lease() {
    let mut w = World::new();
    let lease = w.lab_lease();
    pause(&mut w, lease.deployment(), 1).expect("an open group can be paused");
    assert_eq!(w.lease_state(lease), proto::virtengine::market::v1::lease::State::Closed);
    assert_eq!(w.spent(paul()), 1_000_000_000, "the bid's deposit is back");
}

#[test]
fn groups_change_only_between_the_states_that_there_are() {
    let mut w = World::new();
    let id = w.deploy(alice(), two_groups(), 10_000_000);
    let group = id.group(1);
    assert_eq!(start(&mut w, id, 1).expect_err("open").log, format!("group {group} is open: expected paused"));
    pause(&mut w, id, 1).expect("open");
    assert_eq!(pause(&mut w, id, 1).expect_err("paused").log, format!("group {group} is paused: expected open"));
    close(&mut w, id, 1).expect("paused");
    assert_eq!(close(&mut w, id, 1).expect_err("closed").log, format!("group {group} is closed: expected open or paused"));
    assert_eq!(start(&mut w, id, 1).expect_err("closed").log, format!("group {group} is closed: expected paused"));
    assert_eq!(pause(&mut w, id, 1).expect_err("closed").log, format!("group {group} is closed: expected open"));
    assert_eq!(pause(&mut w, id, 3).expect_err("unknown").log, format!("group {} not found", id.group(3)));
    close(&mut w, id, 2).expect("an open group can be closed");
    assert_eq!(w.order(id.group(2).order(1)).state(), order::State::Closed);
    assert_eq!(w.deployment(id).deployment.expect("shown").state(), deployment::State::Active, "closing cascades downwards only");
}

#[test]
fn a_group_is_not_started_without_runway_at_its_price() {
    let mut w = World::with(with_runway());
    let group = d::GroupSpec { price: uve(600_000), ..lab_group() };
    let id = w.deploy(alice(), vec![group], 500_000);
    pause(&mut w, id, 1).expect("open");
    let log = start(&mut w, id, 1).expect_err("an hour costs more than there is").log;
    assert!(log.contains("deposit 100000uve more"), "{log}");
    w.top_up(id, alice(), 100_000);
    assert_eq!(start(&mut w, id, 1).expect("now it does"), 2);
}

fn with_runway() -> serde_json::Value {
    let mut genesis = params();
    genesis["escrow"]["params"]["min_runway"] = "3600s".into();
    genesis
}
