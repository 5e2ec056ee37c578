//! The end of blocks: expiry, depletion, retention, the shared budget and items that err.

use crate::world::*;
use kernel::{BidId, Key, Module};
use proto::virtengine::deployment::v1::{self as d, deployment, group};
use proto::virtengine::encryption::v1 as k;
use proto::virtengine::market::v1::{self as m, Reason, bid, lease, order};

#[test]
fn an_order_that_nobody_takes_expires_with_its_bids() {
    let mut w = World::new();
    w.register_paul();
    let id = w.deploy_lab();
    let bid = w.make_bid(id.group(1).order(1), paul(), 50);
    w.block(HOUR - 1);
    assert_eq!(w.order(bid.order).state(), order::State::Open);
    w.block(1);
    assert_eq!(w.event_names(), ["EventOrderClosed", "EventAccountClosed", "EventRefunded", "EventBidClosed", "EventGroupPaused"]);
    assert_eq!((w.order(bid.order).state(), w.bid(bid).state()), (order::State::Closed, bid::State::Closed));
    assert_eq!(w.group_state(id, 1), group::State::Paused);
    assert_eq!((w.spent(paul()), w.holds(paul())), (1_000_000_000, 0));
}

#[test]
fn a_lease_keeps_its_order_from_expiring() {
    let mut w = World::new();
    let id = w.lab_lease();
    w.block(2 * HOUR);
    assert_eq!((w.order(id.order).state(), w.lease_state(id)), (order::State::Active, lease::State::Active));
}

/// A lease at 6 VE an hour behind 0.5 VE: dry after five minutes.
fn short_of_money(w: &mut World) -> BidId {
    w.register_paul();
    let id = w.deploy(alice(), vec![d::GroupSpec { price: uve(6_000_000), ..lab_group() }], 500_000);
    let bid = w.make_bid(id.group(1).order(1), paul(), 6_000_000);
    w.make_lease(bid);
    bid
}

/// As [`short_of_money`], five minutes later, when all of it was earned.
fn dry(w: &mut World) -> BidId {
    let id = short_of_money(w);
    let start = w.time;
    w.block(5 * MINUTE);
    let all = record(id, 1, start, start + 5 * MINUTE, 1000);
    w.ok(|w, ctx| w.market.submit_usage(ctx, submit(paul(), vec![all])));
    assert_eq!((w.balance(peter()) - PURSE, w.spendable(id.deployment())), (500_000, 0));
    id
}

#[test]
fn a_lease_whose_account_ran_dry_is_shown_without_funds_until_money_comes() {
    let mut w = World::new();
    let id = short_of_money(&mut w);
    w.block(5 * MINUTE - 1);
    assert_eq!(w.lease_state(id), lease::State::Active);
    let listed = |w: &World, state: lease::State| {
        let r = m::QueryLeasesRequest { state: state.into(), provider: paul().to_string(), ..Default::default() };
        w.market.query_leases(&w.view(), r).expect("a list").leases.len()
    };
    assert_eq!((listed(&w, lease::State::Active), listed(&w, lease::State::InsufficientFunds)), (1, 0));
    w.time += 1; // nobody has looked at the account yet
    assert_eq!((listed(&w, lease::State::Active), listed(&w, lease::State::InsufficientFunds)), (0, 1));
    w.block(0);
    assert_eq!(w.count_events("EventAccountDepleted"), 1);
    assert_eq!((w.lease_state(id), w.group_state(id.deployment(), 1)), (lease::State::InsufficientFunds, group::State::InsufficientFunds));
    w.top_up(id.deployment(), bob(), 1_000_000);
    assert_eq!((w.lease_state(id), w.group_state(id.deployment(), 1)), (lease::State::Active, group::State::Open));
}

#[test]
fn after_the_grace_period_the_leases_close_and_their_groups_are_paused() {
    let mut w = World::new();
    let id = dry(&mut w);
    w.block(10 * MINUTE - 1);
    assert_eq!(w.lease_state(id), lease::State::InsufficientFunds);
    w.block(1);
    let row = w.lease(id).lease.expect("shown");
    assert_eq!((row.state(), row.reason()), (lease::State::Closed, Reason::InsufficientFunds));
    assert_eq!(w.group_state(id.deployment(), 1), group::State::Paused);
    assert_eq!((w.bid(id).state(), w.spent(paul())), (bid::State::Closed, 1_000_000_000));
    assert_eq!(w.deployment(id.deployment()).deployment.expect("shown").state(), deployment::State::Active);
}

#[test]
fn what_a_provider_does_not_report_lets_a_dry_account_resume() {
    let mut w = World::new();
    let id = short_of_money(&mut w);
    w.block(5 * MINUTE);
    assert_eq!(w.lease_state(id), lease::State::InsufficientFunds);
    w.block(5 * MINUTE); // the final window is over, the money is the tenant's again
    assert_eq!((w.count_events("EventAccountResumed"), w.lease_state(id)), (1, lease::State::Active));
}

#[test]
fn a_message_after_the_grace_period_finds_the_lease_closed_before_the_block_ends() {
    let mut w = World::new();
    let id = dry(&mut w);
    w.time += 10 * MINUTE;
    let shown = w.lease(id).lease.expect("shown");
    assert_eq!((shown.state(), shown.reason(), shown.closed_at), (lease::State::Closed, Reason::InsufficientFunds, at(w.time)));
    assert_eq!(w.group_state(id.deployment(), 1), group::State::Paused);
    let msg = m::MsgCloseLease { owner: alice().to_string(), lease_id: Some(id.into()), reoffer: false };
    assert_eq!(w.refused(|w, ctx| w.market.close_lease(ctx, msg)), format!("lease {id} is closed: expected active"));
}

#[test]
fn a_deployment_without_an_open_group_is_closed_after_the_retention_and_refunded() {
    let mut w = World::new();
    let id = w.deploy_lab();
    w.block(HOUR); // the order expires
    assert_eq!(w.deployment(id).deployment.expect("shown").closes_at, at(w.time + HOUR));
    w.block(HOUR - 1);
    assert_eq!(w.deployment(id).deployment.expect("shown").state(), deployment::State::Active);
    w.block(1);
    assert_eq!(w.deployment(id).deployment.expect("shown").state(), deployment::State::Closed);
    assert_eq!(w.spent(alice()), 0);
}

#[test]
fn a_group_that_starts_in_time_keeps_its_deployment() {
    let mut w = World::new();
    let id = w.deploy_lab();
    w.block(HOUR);
    w.block(HOUR - 1);
    let msg = d::MsgStartGroup { owner: alice().to_string(), dseq: id.dseq, gseq: 1 };
    w.ok(|w, ctx| w.market.start_group(ctx, msg));
    assert_eq!(w.deployment(id).deployment.expect("shown").closes_at, None);
    w.block(HOUR - 1);
    assert_eq!(w.deployment(id).deployment.expect("shown").state(), deployment::State::Active);
}

/// Keys of the state that belong to escrow, deployment and market, without their indexes' values.
fn rows(w: &World) -> Vec<Vec<u8>> {
    w.base.iter().map(|(key, _)| key.clone()).filter(|key| matches!(key[1], 4 | 7 | 8)).collect()
}

#[test]
fn closed_objects_leave_the_state_and_nothing_stays_but_the_owners_highest_number() {
    let mut w = World::new();
    (0..3).for_each(|n| w.register(provider(n)));
    w.register_paul();
    let before = rows(&w);
    let id = w.deploy_lab();
    let bids: Vec<BidId> = (0..3).map(|n| w.make_bid(id.group(1).order(1), provider(n), 60 - u64::from(n))).collect();
    let displaced = bids[0];
    let cheapest = w.make_bid(id.group(1).order(1), paul(), 10);
    assert_eq!(w.bid(displaced).state(), bid::State::Lost);
    w.make_lease(cheapest);
    w.block(HOUR);
    let order = w.order(cheapest.order);
    assert_eq!(order.state(), order::State::Active);
    let of_order = m::QueryBidsRequest { owner: alice().to_string(), dseq: id.dseq, gseq: 1, oseq: 1, ..Default::default() };
    let left = w.market.query_bids(&w.view(), of_order).expect("a list").bids;
    assert_eq!(left.len(), 1, "bids that lost leave while the lease goes on");
    w.end_deployment(id);
    w.block(HOUR - 1);
    assert_eq!(w.lease_state(cheapest), lease::State::Closed, "a closed lease is shown until the retention has passed");
    w.block(1);
    assert_eq!((w.count_events("EventOrderRemoved"), w.count_events("EventDeploymentRemoved")), (1, 1));
    let after = rows(&w);
    let extra: Vec<_> = after.iter().filter(|key| !before.contains(key)).collect();
    let mut last_dseq = vec![0, 7, 4];
    alice().put(&mut last_dseq);
    assert_eq!(extra, [&last_dseq]);
    assert_eq!(after.len(), before.len() + 1);
    assert_eq!(w.spent(alice()) + w.spent(peter()) + w.spent(paul()), 1_000_000_000, "a provider's deposit is all that is out");
}

/// A world in which one block may write this many rows.
fn with_budget(rows: u32) -> World {
    let mut genesis = params();
    genesis["market"]["params"]["end_block_budget"] = rows.into();
    genesis["market"]["params"]["order_max_bids"] = 30.into();
    World::with(genesis)
}

#[test]
fn work_that_exceeds_the_budget_goes_on_in_the_next_block() {
    let mut w = with_budget(100);
    (0..30).for_each(|n| w.register(provider(n)));
    let order = w.deploy_lab().group(1).order(1);
    let bids: Vec<BidId> = (0..30).map(|n| w.make_bid(order, provider(n), 50)).collect();
    w.block(HOUR);
    let open = |w: &World| bids.iter().filter(|id| w.bid(**id).state() == bid::State::Open).count();
    assert_eq!(w.order(order).state(), order::State::Closed, "the order itself closes at once");
    let mut left = open(&w);
    assert!((1..30).contains(&left), "{left} bids are left for later blocks");
    while left > 0 {
        w.block(SECOND);
        assert!(open(&w) < left, "every block does some of it");
        left = open(&w);
    }
    assert!(bids.iter().all(|id| w.spent(id.provider) == 1_000_000_000));
    w.block(HOUR);
    let mut blocks = 0;
    while w.count_events("EventDeploymentClosed") == 0 {
        w.block(SECOND);
        blocks += 1;
    }
    w.block(HOUR);
    while w.count_events("EventDeploymentRemoved") == 0 {
        w.block(SECOND);
        blocks += 1;
    }
    assert!(blocks < 30, "the budget delays and does not stall");
}

#[test]
fn the_smallest_budget_handles_one_item_in_each_block() {
    let mut w = with_budget(1);
    let ids: Vec<_> = (0..5).map(|_| w.deploy_lab()).collect();
    for done in 1..=5 {
        w.block(if done == 1 { HOUR } else { SECOND });
        let closed = ids.iter().filter(|id| w.order(id.group(1).order(1)).state() == order::State::Closed).count();
        assert_eq!(closed, done);
    }
}

#[test]
fn closing_a_deployment_with_more_bids_than_one_message_may_close_goes_on_at_the_ends_of_blocks() {
    let mut w = World::with({
        let mut genesis = params();
        genesis["market"]["params"]["order_max_bids"] = 50.into();
        genesis
    });
    (0..50).for_each(|n| w.register(provider(n)));
    let groups = (1..=5).map(|n| d::GroupSpec { name: n.to_string(), ..lab_group() }).collect();
    let id = w.deploy(alice(), groups, 10_000_000);
    let mut bids = vec![];
    for gseq in 1..=5 {
        bids.extend((0..50).map(|n| w.make_bid(id.group(gseq).order(1), provider(n), 50)));
    }
    w.end_deployment(id);
    let open = |w: &World| bids.iter().filter(|id| w.bid(**id).state() == bid::State::Open).count();
    assert!(open(&w) > 0, "some are left for the ends of the next blocks");
    for _ in 0..2 {
        w.block(SECOND);
    }
    assert_eq!(open(&w), 0);
    assert!((0..50).all(|n| w.spent(provider(n)) == 1_000_000_000));
}

#[test]
fn an_item_that_errs_is_set_aside_with_an_event_and_stops_nothing_else() {
    let mut w = World::new();
    w.register_paul();
    let (broken, other) = (w.deploy_lab(), w.deploy_lab());
    let bid = w.make_bid(broken.group(1).order(1), paul(), 50);
    // The bid's deposit vanishes from escrow: its order cannot be closed any more.
    let mut key = vec![0, 4, 1];
    escrow::AccountId::Bid(bid).put(&mut key);
    w.base.apply([(key, None)].into());
    let mut ctx = {
        w.time += HOUR;
        w.ctx()
    };
    w.market.end_block(&mut ctx).expect("it is not fatal");
    w.events = ctx.take_events();
    w.base.apply(ctx.into_writes());
    assert_eq!((w.count_events("EventItemStuck"), w.count_events("EventOrderClosed")), (1, 1));
    assert_eq!(w.order(bid.order).state(), order::State::Open, "nothing of the item was kept");
    assert_eq!(w.order(other.group(1).order(1)).state(), order::State::Closed);
    let stuck = &w.export()["market"]["stuck"][0];
    assert_eq!((stuck["queue"].as_str(), stuck["item"].as_str()), (Some("order_expiry"), Some(&*bid.order.to_string())));
    let mut ctx = w.ctx();
    w.market.end_block(&mut ctx).expect("it is not fatal");
    assert!(ctx.take_events().is_empty(), "it is not tried again");
}

#[test]
fn a_key_and_an_account_whose_rows_cannot_be_read_are_set_aside_and_stop_nothing_else() {
    let mut w = World::new();
    let register = |w: &mut World, owner: kernel::Address, byte: u8| {
        let msg = k::MsgRegisterRecipientKey {
            owner: owner.to_string(),
            algorithm: encryption::ALGORITHM.into(),
            public_key: vec![byte; 32],
            expires_at: at(START + MINUTE),
            ..Default::default()
        };
        w.ok(|w, ctx| w.encryption.register(ctx, msg)).fingerprint
    };
    let (broken, _) = (register(&mut w, alice(), 42), register(&mut w, bob(), 43));
    let lease = short_of_money(&mut w);
    let (mut key, mut account) = (vec![0, 6, 1], vec![0, 4, 1]);
    (alice(), kernel::Text(broken.clone())).put(&mut key);
    escrow::AccountId::Deployment(lease.deployment()).put(&mut account);
    w.base.apply([(key, None), (account, Some(vec![0xff]))].into());
    w.time += 5 * MINUTE;
    for stuck in [2, 0] {
        let mut ctx = w.ctx();
        w.market.end_block(&mut ctx).expect("it is not fatal");
        w.events = ctx.take_events();
        w.base.apply(ctx.into_writes());
        assert_eq!((w.count_events("EventItemStuck"), w.count_events("EventRecipientKeyExpired")), (stuck, stuck / 2));
    }
    let stuck = w.market.export_genesis(&w.view()).expect("the state can be exported")["stuck"].clone();
    let named = |i: usize| (stuck[i]["queue"].clone(), stuck[i]["item"].clone());
    assert_eq!(named(0), ("due_accounts".into(), lease.deployment().to_string().into()));
    assert_eq!(named(1), ("recipient_keys".into(), format!("{}/{broken}", alice()).into()));
}

#[test]
fn an_empty_block_costs_the_same_whatever_runs() {
    let mut w = World::new();
    let empty = w.block(SECOND);
    assert!(w.event_names().is_empty());
    (0..20).for_each(|n| w.register(provider(n)));
    for n in 0..20 {
        let id = w.deploy(account(1 + n % 5), vec![lab_group()], 10_000_000);
        let bid = w.make_bid(id.group(1).order(1), provider(n), 50);
        w.make_lease(bid);
    }
    // Reading the head of a queue that is not due costs a row, whether there is one entry or a million.
    let busy = w.block(SECOND);
    assert!(busy - empty < 2000, "{empty} gas without leases, {busy} with twenty");
    for n in 0..20 {
        let id = w.deploy(account(1 + n % 5), vec![lab_group()], 10_000_000);
        let bid = w.make_bid(id.group(1).order(1), provider(n), 50);
        w.make_lease(bid);
    }
    assert_eq!(w.block(SECOND), busy);
}

#[test]
fn recipient_keys_expire_at_the_end_of_a_block() {
    let mut w = World::new();
    let msg = k::MsgRegisterRecipientKey {
        owner: paul().to_string(),
        algorithm: encryption::ALGORITHM.into(),
        public_key: vec![42; 32],
        label: "gateway".into(),
        expires_at: at(START + MINUTE),
    };
    w.ok(|w, ctx| w.encryption.register(ctx, msg));
    w.block(MINUTE);
    assert_eq!(w.event_names(), ["EventRecipientKeyExpired"]);
}
