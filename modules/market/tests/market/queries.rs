//! Lists and single answers.

use crate::world::*;
use kernel::BidId;
use proto::cosmos::base::query::v1beta1::PageRequest;
use proto::virtengine::deployment::v1::{self as d, deployment, group};
use proto::virtengine::market::v1::{self as m, bid, lease, order};
use proto::virtengine::provider::v1 as p;

/// Alice and bob have two deployments each, on whose orders two providers have bid; alice's first is leased.
fn market() -> (World, Vec<BidId>) {
    let mut w = World::new();
    (0..2).for_each(|n| w.register(provider(n)));
    let mut bids = vec![];
    for owner in [alice(), bob()] {
        for _ in 0..2 {
            let id = w.deploy(owner, vec![lab_group()], 10_000_000);
            bids.extend((0..2).map(|n| w.make_bid(id.group(1).order(1), provider(n), 50)));
        }
    }
    w.make_lease(bids[0]);
    (w, bids)
}

fn bids(w: &World, r: m::QueryBidsRequest) -> Vec<BidId> {
    let answer = w.market.query_bids(&w.view(), r).expect("a list");
    answer.bids.iter().map(|b| BidId::try_from(b.bid_id.as_ref().expect("an id")).expect("a valid id")).collect()
}

#[test]
fn bids_are_listed_by_every_part_of_their_id_and_by_state() {
    let (w, all) = market();
    let any = m::QueryBidsRequest::default;
    assert_eq!(bids(&w, any()), all);
    assert_eq!(bids(&w, m::QueryBidsRequest { owner: alice().to_string(), ..any() }), all[..4]);
    assert_eq!(bids(&w, m::QueryBidsRequest { owner: alice().to_string(), dseq: 2, ..any() }), all[2..4]);
    let whole = m::QueryBidsRequest { owner: bob().to_string(), dseq: 1, gseq: 1, oseq: 1, provider: provider(1).to_string(), ..any() };
    assert_eq!(bids(&w, whole), all[5..6]);
    assert_eq!(bids(&w, m::QueryBidsRequest { dseq: 1, ..any() }), [all[0], all[1], all[4], all[5]], "of all owners");
    assert_eq!(bids(&w, m::QueryBidsRequest { dseq: 2, gseq: 1, oseq: 2, ..any() }), []);
    let of_provider = m::QueryBidsRequest { provider: provider(0).to_string(), ..any() };
    assert_eq!(bids(&w, of_provider.clone()), [all[0], all[2], all[4], all[6]]);
    assert_eq!(bids(&w, m::QueryBidsRequest { state: bid::State::Active.into(), ..of_provider.clone() }), [all[0]]);
    assert_eq!(bids(&w, m::QueryBidsRequest { state: bid::State::Open.into(), dseq: 2, ..of_provider }), [all[2], all[6]]);
    assert_eq!(bids(&w, m::QueryBidsRequest { state: bid::State::Lost.into(), ..any() }), [all[1]]);
    assert_eq!(bids(&w, m::QueryBidsRequest { state: bid::State::Closed.into(), ..any() }), []);
}

#[test]
fn orders_are_listed_by_id_state_and_attribute() {
    let (w, all) = market();
    let list = |r: m::QueryOrdersRequest| {
        let answer = w.market.query_orders(&w.view(), r).expect("a list");
        answer.orders.iter().map(|o| kernel::OrderId::try_from(o.order_id.as_ref().expect("an id")).expect("valid")).collect::<Vec<_>>()
    };
    let any = m::QueryOrdersRequest::default;
    let orders = [all[0].order, all[2].order, all[4].order, all[6].order];
    assert_eq!(list(any()), orders);
    assert_eq!(list(m::QueryOrdersRequest { state: order::State::Open.into(), ..any() }), orders[1..]);
    assert_eq!(list(m::QueryOrdersRequest { owner: alice().to_string(), state: order::State::Active.into(), ..any() }), orders[..1]);
    assert_eq!(list(m::QueryOrdersRequest { dseq: 2, ..any() }), [orders[1], orders[3]]);
    let local = vec!["region=local".to_string()];
    assert_eq!(list(m::QueryOrdersRequest { state: order::State::Open.into(), attributes: local, ..any() }), orders[1..]);
    assert_eq!(list(m::QueryOrdersRequest { attributes: vec!["region=moon".into()], ..any() }), []);
}

#[test]
fn leases_are_listed_by_provider_and_state() {
    let (mut w, all) = market();
    w.make_lease(all[2]);
    w.end_lease(all[2], false);
    let list = |w: &World, r: m::QueryLeasesRequest| {
        let answer = w.market.query_leases(&w.view(), r).expect("a list");
        answer.leases.iter().map(|l| BidId::try_from(l.lease_id.as_ref().expect("an id")).expect("valid")).collect::<Vec<_>>()
    };
    let any = m::QueryLeasesRequest::default;
    let of_provider = m::QueryLeasesRequest { provider: provider(0).to_string(), ..any() };
    assert_eq!(list(&w, of_provider.clone()), [all[0], all[2]]);
    assert_eq!(list(&w, m::QueryLeasesRequest { state: lease::State::Active.into(), ..of_provider.clone() }), [all[0]]);
    assert_eq!(list(&w, m::QueryLeasesRequest { state: lease::State::Closed.into(), ..any() }), [all[2]]);
    assert_eq!(list(&w, m::QueryLeasesRequest { state: lease::State::InsufficientFunds.into(), ..any() }), []);
    assert_eq!(list(&w, m::QueryLeasesRequest { provider: provider(1).to_string(), ..any() }), []);
}

#[test]
fn groups_are_listed_by_owner_deployment_and_state_as_shown() {
    let mut w = World::new();
    w.register_paul();
    let two = vec![lab_group(), d::GroupSpec { name: "second".into(), ..lab_group() }];
    let dear = d::GroupSpec { price: uve(30_000_000), ..lab_group() };
    let (one, other) = (w.deploy(alice(), two, 10_000_000), w.deploy(bob(), vec![dear], 1_000_000));
    w.ok(|w, ctx| w.market.pause_group(ctx, d::MsgPauseGroup { owner: alice().to_string(), dseq: one.dseq, gseq: 2 }));
    let bid = w.make_bid(other.group(1).order(1), paul(), 30_000_000);
    w.make_lease(bid);
    w.block(3 * MINUTE);
    let list = |r: d::QueryGroupsRequest| {
        let answer = w.deployments.query_groups(&w.view(), r).expect("a list");
        answer
            .groups
            .iter()
            .map(|g| (kernel::GroupId::try_from(g.group_id.as_ref().expect("an id")).expect("valid"), g.state()))
            .collect::<Vec<_>>()
    };
    let any = d::QueryGroupsRequest::default;
    let (open, paused) = ((one.group(1), group::State::Open), (one.group(2), group::State::Paused));
    let dry = (other.group(1), group::State::InsufficientFunds);
    let of_alice = d::QueryGroupsRequest { owner: alice().to_string(), ..any() };
    let mut all: Vec<_> = vec![open, paused, dry];
    all.sort_by_key(|(id, _)| *id);
    assert_eq!(list(any()), all);
    assert_eq!(list(of_alice.clone()), [open, paused]);
    assert_eq!(list(d::QueryGroupsRequest { dseq: 9, ..of_alice.clone() }), []);
    assert_eq!(list(d::QueryGroupsRequest { dseq: one.dseq, state: group::State::Paused.into(), ..of_alice }), [paused]);
    assert_eq!(list(d::QueryGroupsRequest { state: group::State::InsufficientFunds.into(), ..any() }), [dry]);
    let error = w.deployments.query_groups(&w.view(), d::QueryGroupsRequest { dseq: 1, ..any() }).expect_err("whose?");
    assert_eq!((error.code, error.log.as_str()), (18, "dseq: expected together with owner: invalid request"));
}

#[test]
fn deployments_come_newest_first_and_reverse_turns_it() {
    let mut w = World::new();
    let mut made = vec![];
    for owner in [alice(), bob(), alice(), bob()] {
        w.block(SECOND);
        made.push(w.deploy(owner, vec![lab_group()], 500_000));
    }
    w.end_deployment(made[1]);
    let list = |r: d::QueryDeploymentsRequest| {
        let answer = w.deployments.query_deployments(&w.view(), r).expect("a list");
        let id = |d: &d::QueryDeploymentResponse| d.deployment.as_ref().and_then(|d| d.deployment_id.clone()).expect("an id");
        answer.deployments.iter().map(|d| kernel::DeploymentId::try_from(&id(d)).expect("valid")).collect::<Vec<_>>()
    };
    let any = d::QueryDeploymentsRequest::default;
    assert_eq!(list(any()), [made[3], made[2], made[1], made[0]]);
    let oldest_first = Some(PageRequest { reverse: true, ..Default::default() });
    assert_eq!(list(d::QueryDeploymentsRequest { pagination: oldest_first, ..any() }), made);
    assert_eq!(list(d::QueryDeploymentsRequest { owner: alice().to_string(), ..any() }), [made[2], made[0]]);
    assert_eq!(list(d::QueryDeploymentsRequest { owner: alice().to_string(), dseq: 1, ..any() }), [made[0]]);
    assert_eq!(list(d::QueryDeploymentsRequest { dseq: 1, ..any() }), [made[1], made[0]]);
    assert_eq!(list(d::QueryDeploymentsRequest { state: deployment::State::Closed.into(), ..any() }), [made[1]]);
    let active = deployment::State::Active.into();
    assert_eq!(list(d::QueryDeploymentsRequest { owner: bob().to_string(), state: active, ..any() }), [made[3]]);
    let first = d::QueryDeploymentsRequest { pagination: Some(PageRequest { limit: 3, ..Default::default() }), ..any() };
    let page = w.deployments.query_deployments(&w.view(), first).expect("a page");
    let key = page.pagination.expect("there is more").next_key;
    let next = d::QueryDeploymentsRequest { pagination: Some(PageRequest { key, limit: 3, ..Default::default() }), ..any() };
    assert_eq!((page.deployments.len(), list(next)), (3, vec![made[0]]));
}

#[test]
fn pages_of_a_filtered_list_join_without_gaps() {
    let (w, all) = market();
    let mut found = vec![];
    let mut key = vec![];
    loop {
        let pagination = Some(PageRequest { key, limit: 1, ..Default::default() });
        let r = m::QueryBidsRequest { state: bid::State::Open.into(), owner: bob().to_string(), pagination, ..Default::default() };
        let answer = w.market.query_bids(&w.view(), r).expect("a page");
        found.extend(answer.bids.iter().map(|b| BidId::try_from(b.bid_id.as_ref().expect("an id")).expect("valid")));
        key = answer.pagination.expect("a page says what follows").next_key;
        if key.is_empty() {
            break;
        }
    }
    assert_eq!(found, all[4..]);
}

#[test]
fn what_is_not_there_is_said_to_be_missing_and_a_bad_filter_to_be_bad() {
    let (w, all) = market();
    let view = w.view();
    let error = w.market.query_order(&view, m::QueryOrderRequest { owner: alice().to_string(), dseq: 9, gseq: 1, oseq: 1 });
    let error = error.expect_err("there is none");
    assert_eq!((error.codespace, error.code), ("sdk", 22));
    assert_eq!(error.log, format!("order {}/9/1/1 not found: key not found", alice()));
    let error = w.market.query_lease(&view, m::QueryLeaseRequest { owner: "x".into(), dseq: 1, gseq: 1, oseq: 1, provider: String::new() });
    assert_eq!(error.expect_err("no address").code, 18);
    let error = w.market.query_bids(&view, m::QueryBidsRequest { state: 9, ..Default::default() }).expect_err("no state");
    assert_eq!((error.code, error.log.contains("state: expected open, active, lost or closed, got 9")), (18, true));
    let error = w.market.query_bids(&view, m::QueryBidsRequest { owner: "x".into(), ..Default::default() }).expect_err("no address");
    assert!(error.code == 18 && error.log.starts_with("owner: "), "{}", error.log);
    let r = d::QueryDeploymentRequest { owner: bob().to_string(), dseq: 77 };
    let error = w.deployments.query_deployment(&view, r).expect_err("there is none");
    assert_eq!((error.code, error.log), (22, format!("deployment {}/77 not found: key not found", bob())));
    let r = d::QueryGroupRequest { owner: bob().to_string(), dseq: 1, gseq: 2 };
    assert_eq!(w.deployments.query_group(&view, r).expect_err("there is none").code, 22);
    assert_eq!(w.bid(all[1]).state(), bid::State::Lost);
}

#[test]
fn a_match_lists_each_requirement_met_or_not_and_why() {
    let (mut w, all) = market();
    let ask = |w: &World, id: BidId| {
        let base = proto::virtengine::base::v1::BidId::from(id);
        let r = m::QueryMatchRequest { owner: base.owner, dseq: base.dseq, gseq: base.gseq, oseq: base.oseq, provider: base.provider };
        w.market.query_match(&w.view(), r).expect("an answer")
    };
    w.register_paul();
    let fits = ask(&w, all[2].order.bid(paul()));
    assert!(fits.matches && fits.requirements.iter().all(|r| r.met && r.reason.is_empty()), "{fits:#?}");
    for named in ["a price of at most 100uve per hour", "a deposit of at least 500000uve", "attribute region=local"] {
        assert!(fits.requirements.iter().any(|r| r.requirement == named), "{named}: {fits:#?}");
    }
    w.register_with(provider(5), p::Details { attributes: vec![attribute("region", "moon")], ..Default::default() });
    let reasons = |id: BidId| {
        let answer = ask(&w, id);
        assert!(!answer.matches);
        answer.requirements.into_iter().filter(|r| !r.met).map(|r| r.reason).collect::<Vec<_>>().join("; ")
    };
    assert!(reasons(all[2].order.bid(provider(5))).contains("moon"));
    assert_eq!(reasons(all[2]), "its bid is open");
    let stranger = reasons(all[2].order.bid(account(200)));
    assert!(stranger.contains("register it with tx provider create"), "{stranger}");
    assert!(stranger.contains("region: the order asks for \"local\", the provider has none"), "what it will have to offer: {stranger}");
    assert!(reasons(all[0].order.bid(paul())).contains("is active"));
    assert!(reasons(all[2].order.bid(alice())).contains("the provider is the tenant"));
}
