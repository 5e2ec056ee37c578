//! Making, displacing and withdrawing bids.

use crate::world::*;
use kernel::{Address, BidId, OrderId};
use proto::cosmos::base::v1beta1::Coin;
use proto::virtengine::base::v1 as base;
use proto::virtengine::deployment::v1 as d;
use proto::virtengine::market::v1::{self as m, Reason, bid};
use proto::virtengine::provider::v1 as p;

fn refused(w: &mut World, msg: m::MsgCreateBid) -> String {
    w.refused(|w, ctx| w.market.create_bid(ctx, msg))
}

fn set_status(w: &mut World, owner: Address, status: p::provider::Status) {
    let msg = p::MsgSetProviderStatus { owner: owner.to_string(), status: status.into() };
    w.ok(|w, ctx| w.providers.set_status(ctx, msg));
}

/// Paul is registered and alice's lab order is open.
fn market() -> (World, OrderId) {
    let mut w = World::new();
    w.register_paul();
    let order = w.deploy_lab().group(1).order(1);
    (w, order)
}

#[test]
fn a_bid_holds_its_deposit_and_its_provider() {
    let (mut w, order) = market();
    let id = w.make_bid(order, paul(), 50);
    assert_eq!(w.event_names().last().expect("events"), "EventBidCreated");
    let bid = w.bid(id);
    assert_eq!((bid.state(), bid.price, bid.deposit), (bid::State::Open, uve(50), uve(5_000_000)));
    assert_eq!(w.order(order).open_bids, 1);
    assert_eq!(w.spent(paul()), 1_005_000_000);
    assert_eq!(w.holds(paul()), 1);
}

#[test]
fn an_operator_bids_with_the_providers_money() {
    let (mut w, order) = market();
    let msg = m::MsgCreateBid { signer: olga().to_string(), ..create_bid(order.bid(paul()), 50) };
    w.ok(|w, ctx| w.market.create_bid(ctx, msg));
    assert_eq!((w.spent(paul()), w.spent(olga())), (1_005_000_000, 0));
    let msg = m::MsgCloseBid { signer: olga().to_string(), bid_id: Some(order.bid(paul()).into()), reason: 0 };
    w.ok(|w, ctx| w.market.close_bid(ctx, msg));
    assert_eq!((w.spent(paul()), w.spent(olga())), (1_000_000_000, 0));
}

#[test]
fn a_bid_of_an_account_that_is_no_provider_is_refused() {
    let (mut w, order) = market();
    let log = refused(&mut w, create_bid(order.bid(bob()), 50));
    assert_eq!(log, format!("{} is not a provider: register it with tx provider create", bob()));
}

#[test]
fn a_bid_signed_by_neither_the_provider_nor_its_operator_is_refused() {
    let (mut w, order) = market();
    let msg = m::MsgCreateBid { signer: bob().to_string(), ..create_bid(order.bid(paul()), 50) };
    assert_eq!(refused(&mut w, msg), format!("{} is neither provider {} nor its operator", bob(), paul()));
}

#[test]
fn a_bid_of_an_inactive_provider_is_refused() {
    let (mut w, order) = market();
    set_status(&mut w, paul(), p::provider::Status::Inactive);
    let log = refused(&mut w, create_bid(order.bid(paul()), 50));
    assert!(log.contains("is INACTIVE"), "{log}");
    set_status(&mut w, paul(), p::provider::Status::Active);
    w.make_bid(order, paul(), 50);
}

#[test]
fn a_bid_on_an_unknown_closed_or_expired_order_is_refused() {
    let (mut w, order) = market();
    let unknown = order.group.order(2);
    assert_eq!(refused(&mut w, create_bid(unknown.bid(paul()), 50)), format!("order {unknown} not found"));
    w.time += HOUR;
    assert_eq!(refused(&mut w, create_bid(order.bid(paul()), 50)), format!("order {order} is expired: expected open"));
    w.block(0);
    assert_eq!(refused(&mut w, create_bid(order.bid(paul()), 50)), format!("order {order} is closed: expected open"));
}

#[test]
fn a_bid_on_a_leased_order_is_refused() {
    let mut w = World::new();
    let lease = w.lab_lease();
    w.register(provider(1));
    let log = refused(&mut w, create_bid(lease.order.bid(provider(1)), 10));
    assert_eq!(log, format!("order {} is active: expected open", lease.order));
}

#[test]
fn a_price_of_nothing_above_the_order_or_in_another_denom_is_refused() {
    let (mut w, order) = market();
    let cases: [(Option<Coin>, &str); 7] = [
        (None, "price: expected a whole number of uve from 1 to 18446744073709551615, got none"),
        (uve(0), "price: expected a whole number of uve from 1 to 18446744073709551615, got \"0uve\""),
        (coin("-50", "uve"), "price: expected a whole number of uve from 1 to 18446744073709551615, got \"-50uve\""),
        (coin("50", "atom"), "price: expected a whole number of uve from 1 to 18446744073709551615, got \"50atom\""),
        (coin("1.5", "uve"), "price: expected a whole number of uve from 1 to 18446744073709551615, got \"1.5uve\""),
        (
            coin("18446744073709551616", "uve"),
            "price: expected a whole number of uve from 1 to 18446744073709551615, got \"18446744073709551616uve\"",
        ),
        (uve(101), "price: expected at most 100uve, the order's price, got 101uve"),
    ];
    for (price, expected) in cases {
        assert_eq!(refused(&mut w, m::MsgCreateBid { price, ..create_bid(order.bid(paul()), 50) }), expected);
    }
    w.make_bid(order, paul(), 100);
}

#[test]
fn a_missing_small_or_unaffordable_deposit_is_refused() {
    let (mut w, order) = market();
    for (deposit, expected) in [
        (None, "deposit: expected a whole number of uve from 500000 to 18446744073709551615, got none"),
        (uve(499_999), "deposit: expected a whole number of uve from 500000 to 18446744073709551615, got \"499999uve\""),
        (coin("500000", "atom"), "deposit: expected a whole number of uve from 500000 to 18446744073709551615, got \"500000atom\""),
    ] {
        assert_eq!(refused(&mut w, m::MsgCreateBid { deposit, ..create_bid(order.bid(paul()), 50) }), expected);
    }
    let log = refused(&mut w, m::MsgCreateBid { deposit: uve(u64::MAX), ..create_bid(order.bid(paul()), 50) });
    assert!(log.contains("insufficient funds"), "{log}");
}

#[test]
fn a_second_bid_of_a_provider_on_an_order_is_refused_whatever_became_of_the_first() {
    let (mut w, order) = market();
    let id = w.make_bid(order, paul(), 50);
    let expected = |state: &str| format!("bid {id} exists and is {state}: a provider bids once on an order");
    assert_eq!(refused(&mut w, create_bid(id, 40)), expected("open"));
    let msg = m::MsgCloseBid { signer: paul().to_string(), bid_id: Some(id.into()), reason: 0 };
    w.ok(|w, ctx| w.market.close_bid(ctx, msg));
    assert_eq!(refused(&mut w, create_bid(id, 40)), expected("closed"));
}

#[test]
fn a_bid_on_the_providers_own_order_is_refused() {
    let mut w = World::new();
    w.register(alice());
    let order = w.deploy_lab().group(1).order(1);
    let expected = format!("order {order} is the provider's own: expected an order of another account");
    assert_eq!(refused(&mut w, create_bid(order.bid(alice()), 50)), expected);
    w.register_with(provider(1), p::Details { operator: alice().to_string(), ..Default::default() });
    let msg = m::MsgCreateBid { signer: alice().to_string(), ..create_bid(order.bid(provider(1)), 50) };
    assert_eq!(refused(&mut w, msg), expected, "not as a provider's operator either");
}

#[test]
fn an_incomplete_id_is_refused_by_its_part() {
    let (mut w, order) = market();
    let id: base::BidId = order.bid(paul()).into();
    let cases = [
        (None, "bid_id: expected an id, got none"),
        (Some(base::BidId { owner: "alice".into(), ..id.clone() }), "bid_id.owner: "),
        (Some(base::BidId { dseq: 0, ..id.clone() }), "bid_id.dseq: expected 1 to 9007199254740991, got 0"),
        (Some(base::BidId { gseq: 0, ..id.clone() }), "bid_id.gseq: expected a number from 1, got 0"),
        (Some(base::BidId { oseq: 0, ..id.clone() }), "bid_id.oseq: expected a number from 1, got 0"),
        (Some(base::BidId { provider: String::new(), ..id }), "bid_id.provider: "),
    ];
    for (bid_id, part) in cases {
        let log = refused(&mut w, m::MsgCreateBid { bid_id, ..create_bid(order.bid(paul()), 50) });
        assert!(log.starts_with(part), "{log}");
    }
}

#[test]
fn a_provider_without_the_asked_attributes_is_refused_with_each_reason() {
    let mut w = World::new();
    w.register_with(provider(1), p::Details { attributes: vec![attribute("region", "moon")], ..Default::default() });
    let mut group = lab_group();
    let requirements = group.requirements.as_mut().expect("the lab's group has some");
    requirements.attributes.push(attribute("tier", "gold"));
    requirements.signed_by = Some(base::SignedBy { all_of: vec![bob().to_string()], any_of: vec![] });
    let order = w.deploy(alice(), vec![group], 500_000).group(1).order(1);
    let log = refused(&mut w, create_bid(order.bid(provider(1)), 50));
    for part in ["region", "\"moon\"", "tier", "signedBy"] {
        assert!(log.starts_with("provider does not match order") && log.contains(part), "{part}: {log}");
    }
}

#[test]
fn an_auditors_signature_that_the_order_asks_for_is_enough() {
    let mut w = World::new();
    w.register_paul();
    let mut group = lab_group();
    group.requirements.as_mut().expect("the lab's group has some").signed_by =
        Some(base::SignedBy { all_of: vec![], any_of: vec![bob().to_string(), olga().to_string()] });
    let order = w.deploy(alice(), vec![group], 500_000).group(1).order(1);
    refused(&mut w, create_bid(order.bid(paul()), 50));
    let msg = p::MsgSignProviderAttributes {
        auditor: bob().to_string(),
        provider: paul().to_string(),
        attributes: vec![attribute("region", "local")],
    };
    w.ok(|w, ctx| w.providers.sign_attributes(ctx, msg));
    w.make_bid(order, paul(), 50);
}

#[test]
fn capabilities_for_gpus_and_volumes_are_matched() {
    let mut w = World::new();
    let region = attribute("region", "local");
    let fast = [attribute("capabilities/storage/1/class", "beta3"), attribute("capabilities/storage/1/persistent", "true")];
    let gpu = attribute("capabilities/gpu/vendor/nvidia/model/a100", "true");
    w.register_with(provider(1), p::Details { attributes: vec![region.clone()], ..Default::default() });
    w.register_with(provider(2), p::Details { attributes: [vec![region, gpu], fast.to_vec()].concat(), ..Default::default() });
    let mut group = lab_group();
    let unit = &mut group.resources[0];
    unit.gpu = 1;
    unit.gpu_attributes = vec![attribute("vendor/nvidia/model/h100", "true"), attribute("vendor/nvidia/model/a100", "true")];
    unit.storage[0].attributes = vec![attribute("class", "beta3"), attribute("persistent", "true")];
    let order = w.deploy(alice(), vec![group], 500_000).group(1).order(1);
    let log = refused(&mut w, create_bid(order.bid(provider(1)), 50));
    assert!(log.contains("gpu any of vendor/nvidia/model/h100=true") && log.contains("storage class=beta3"), "{log}");
    w.make_bid(order, provider(2), 50);
}

/// An order that holds three bids at most, with bids at these prices.
fn full_order(prices: [u64; 3]) -> (World, [BidId; 3]) {
    let mut w = World::new();
    for n in 0..5 {
        w.register(provider(n));
    }
    let order = w.deploy_lab().group(1).order(1);
    let mut n = 0;
    let bids = prices.map(|price| {
        n += 1;
        w.make_bid(order, provider(n - 1), price)
    });
    (w, bids)
}

#[test]
fn a_full_order_refuses_a_bid_that_is_not_strictly_cheaper_than_its_dearest() {
    let (mut w, [first, ..]) = full_order([60, 80, 70]);
    for price in [80, 90] {
        let log = refused(&mut w, create_bid(first.order.bid(provider(3)), price));
        assert_eq!(log, format!("order {} is full with 3 bids: expected a price below 80uve, got {price}uve", first.order));
    }
}

#[test]
fn a_strictly_cheaper_bid_displaces_the_dearest_which_is_refunded() {
    let (mut w, [first, dearest, _]) = full_order([60, 80, 70]);
    let bid = w.make_bid(first.order, provider(3), 79);
    assert_eq!(w.event_names().iter().filter(|n| n.contains("Bid")).collect::<Vec<_>>(), ["EventBidLost", "EventBidCreated"]);
    assert_eq!((w.bid(bid).state(), w.bid(dearest).state()), (bid::State::Open, bid::State::Lost));
    assert_eq!((w.spent(provider(1)), w.holds(provider(1))), (1_000_000_000, 0));
    assert_eq!(w.order(first.order).open_bids, 3);
}

#[test]
fn of_equally_dear_bids_the_youngest_is_displaced() {
    let (mut w, [oldest, middle, youngest]) = full_order([80, 80, 80]);
    w.make_bid(oldest.order, provider(3), 50);
    assert_eq!([oldest, middle, youngest].map(|id| w.bid(id).state()), [bid::State::Open, bid::State::Open, bid::State::Lost]);
    w.make_bid(oldest.order, provider(4), 60);
    assert_eq!([oldest, middle].map(|id| w.bid(id).state()), [bid::State::Open, bid::State::Lost]);
}

#[test]
fn a_withdrawn_bid_is_refunded_and_makes_room() {
    let (mut w, [first, second, _]) = full_order([60, 80, 70]);
    let msg = m::MsgCloseBid { signer: second.provider.to_string(), bid_id: Some(second.into()), reason: 0 };
    w.ok(|w, ctx| w.market.close_bid(ctx, msg));
    assert_eq!((w.bid(second).state(), w.spent(second.provider), w.holds(second.provider)), (bid::State::Closed, 1_000_000_000, 0));
    w.make_bid(first.order, provider(3), 100);
    assert_eq!(w.order(first.order).open_bids, 3);
}

#[test]
fn a_bid_is_closed_by_its_provider_alone_and_once() {
    let (mut w, order) = market();
    let id = w.make_bid(order, paul(), 50);
    let msg = |signer: Address, reason: i32| m::MsgCloseBid { signer: signer.to_string(), bid_id: Some(id.into()), reason };
    let log = w.refused(|w, ctx| w.market.close_bid(ctx, msg(alice(), 0)));
    assert_eq!(log, format!("{} is neither provider {} nor its operator", alice(), paul()));
    for reason in [1, 2, 9999, 10004, 20000, -1] {
        let log = w.refused(|w, ctx| w.market.close_bid(ctx, msg(paul(), reason)));
        assert!(log.starts_with("reason: expected unstable (10000)") && log.ends_with(&format!("got {reason}")), "{log}");
    }
    w.ok(|w, ctx| w.market.close_bid(ctx, msg(paul(), Reason::Unstable.into())));
    let log = w.refused(|w, ctx| w.market.close_bid(ctx, msg(paul(), 0)));
    assert_eq!(log, format!("bid {id} is closed: expected open or active"));
    let unknown = order.bid(bob());
    let msg = m::MsgCloseBid { signer: bob().to_string(), bid_id: Some(unknown.into()), reason: 0 };
    assert!(w.refused(|w, ctx| w.market.close_bid(ctx, msg)).contains("is not a provider"));
}

#[test]
fn a_provider_with_an_open_bid_cannot_be_deleted() {
    let (mut w, order) = market();
    let id = w.make_bid(order, paul(), 50);
    let delete = || p::MsgDeleteProvider { owner: paul().to_string() };
    w.refused(|w, ctx| w.providers.delete(ctx, delete()));
    let msg = m::MsgCloseBid { signer: paul().to_string(), bid_id: Some(id.into()), reason: 0 };
    w.ok(|w, ctx| w.market.close_bid(ctx, msg));
    w.ok(|w, ctx| w.providers.delete(ctx, delete()));
    assert_eq!(w.spent(paul()), 0);
}

#[test]
fn an_order_without_requirements_takes_any_provider() {
    let mut w = World::new();
    w.register_with(provider(1), p::Details { attributes: vec![attribute("region", "moon")], ..Default::default() });
    let group = d::GroupSpec { requirements: None, ..lab_group() };
    let order = w.deploy(alice(), vec![group], 500_000).group(1).order(1);
    w.make_bid(order, provider(1), 1);
}
