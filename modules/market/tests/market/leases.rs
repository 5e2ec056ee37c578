//! Making and ending leases, leaving them, manifests on them.

use crate::world::*;
use kernel::{Address, BidId};
use proto::virtengine::deployment::v1::{self as d, group};
use proto::virtengine::encryption::v1 as k;
use proto::virtengine::market::v1::{self as m, Reason, bid, lease, order};
use proto::virtengine::provider::v1 as p;

fn create(id: BidId, signer: Address) -> m::MsgCreateLease {
    m::MsgCreateLease { owner: signer.to_string(), bid_id: Some(id.into()) }
}

fn refused(w: &mut World, id: BidId, signer: Address) -> String {
    w.refused(|w, ctx| w.market.create_lease(ctx, create(id, signer)))
}

/// Three providers have bid on alice's lab order.
fn three_bids() -> (World, [BidId; 3]) {
    let mut w = World::new();
    (0..4).for_each(|n| w.register(provider(n)));
    let order = w.deploy_lab().group(1).order(1);
    let bids = [0, 1, 2].map(|n| w.make_bid(order, provider(n), 50 + u64::from(n)));
    (w, bids)
}

#[test]
fn a_lease_opens_its_payment_and_all_other_bids_are_lost_and_refunded() {
    let (mut w, [first, second, third]) = three_bids();
    w.make_lease(second);
    let names = w.event_names();
    assert_eq!((w.count_events("EventBidLost"), w.count_events("EventPaymentOpened")), (2, 1));
    assert_eq!(names.last().expect("events"), "EventLeaseCreated");
    assert_eq!([first, second, third].map(|id| w.bid(id).state()), [bid::State::Lost, bid::State::Active, bid::State::Lost]);
    assert_eq!([first, second, third].map(|id| w.spent(id.provider)), [1_000_000_000, 1_005_000_000, 1_000_000_000]);
    assert_eq!([first, second, third].map(|id| w.holds(id.provider)), [0, 1, 0]);
    let order = w.order(second.order);
    assert_eq!((order.state(), order.open_bids), (order::State::Active, 0));
    let shown = w.lease(second);
    let row = shown.lease.expect("shown");
    assert_eq!((row.state(), row.price), (lease::State::Active, uve(51)));
    assert_eq!(shown.payments.len(), 1);
    assert_eq!(shown.payments[0].price, uve(51));
}

#[test]
fn a_lease_is_made_by_the_tenant_alone() {
    let (mut w, [first, ..]) = three_bids();
    let log = refused(&mut w, first, bob());
    assert_eq!(log, format!("owner: expected {}, the tenant, got {}", alice(), bob()));
}

#[test]
fn a_lease_on_an_unknown_lost_or_closed_bid_is_refused() {
    let (mut w, [first, second, _]) = three_bids();
    let unknown = first.order.bid(bob());
    assert_eq!(refused(&mut w, unknown, alice()), format!("bid {unknown} not found"));
    let msg = m::MsgCloseBid { signer: first.provider.to_string(), bid_id: Some(first.into()), reason: 0 };
    w.ok(|w, ctx| w.market.close_bid(ctx, msg));
    assert_eq!(refused(&mut w, first, alice()), format!("bid {first} is closed: expected open"));
    w.make_bid(first.order, provider(3), 10);
    w.make_lease(second);
    assert_eq!(refused(&mut w, second, alice()), format!("order {} is active: expected open", second.order), "a second lease");
}

#[test]
fn a_lease_on_an_expired_or_closed_order_is_refused() {
    let (mut w, [first, ..]) = three_bids();
    w.time += HOUR;
    assert_eq!(refused(&mut w, first, alice()), format!("order {} is expired: expected open", first.order));
    w.block(0);
    assert_eq!(refused(&mut w, first, alice()), format!("order {} is closed: expected open", first.order));
}

#[test]
fn a_lease_with_a_provider_that_is_inactive_or_matches_no_longer_is_refused() {
    let (mut w, [first, second, _]) = three_bids();
    let msg = p::MsgSetProviderStatus { owner: first.provider.to_string(), status: p::provider::Status::Inactive.into() };
    w.ok(|w, ctx| w.providers.set_status(ctx, msg));
    assert!(refused(&mut w, first, alice()).contains("is INACTIVE"));
    let details = p::Details {
        name: "moved".into(),
        contact: "ops@example.com".into(),
        attributes: vec![attribute("region", "moon")],
        ..Default::default()
    };
    let msg = p::MsgUpdateProvider { owner: second.provider.to_string(), details: Some(details) };
    w.ok(|w, ctx| w.providers.update(ctx, msg));
    let log = refused(&mut w, second, alice());
    assert!(log.starts_with("provider does not match order") && log.contains("moon"), "{log}");
}

#[test]
fn a_lease_without_runway_for_all_running_leases_is_refused() {
    let mut w = World::new();
    (0..2).for_each(|n| w.register(provider(n)));
    // One minute of runway at 30,000,000 uve per hour is all of 500,000 uve.
    let dear = |name: &str| d::GroupSpec { name: name.into(), price: uve(30_000_000), ..lab_group() };
    let id = w.deploy(alice(), vec![dear("one"), dear("two")], 500_000);
    let first = w.make_bid(id.group(1).order(1), provider(0), 29_000_000);
    let second = w.make_bid(id.group(2).order(1), provider(1), 2_000_000);
    w.make_lease(first);
    let log = refused(&mut w, second, alice());
    assert!(log.contains("deposit 16667uve more"), "{log}");
    w.top_up(id, bob(), 100_000);
    w.make_lease(second);
}

#[test]
fn the_tenant_ends_a_lease_and_its_group_is_paused() {
    let mut w = World::new();
    let id = w.lab_lease();
    assert_eq!(w.end_lease(id, false), 0);
    let row = w.lease(id).lease.expect("shown");
    assert_eq!((row.state(), row.reason()), (lease::State::Closed, Reason::Owner));
    assert_eq!((w.bid(id).state(), w.order(id.order).state()), (bid::State::Closed, order::State::Closed));
    assert_eq!(w.group_state(id.deployment(), 1), group::State::Paused);
    assert_eq!(w.spent(paul()), 1_000_000_000, "the bid's deposit is back");
    assert_eq!(w.spendable(id.deployment()), 10_000_000, "no time has passed");
    let msg = m::MsgCloseLease { owner: alice().to_string(), lease_id: Some(id.into()), reoffer: false };
    assert_eq!(w.refused(|w, ctx| w.market.close_lease(ctx, msg)), format!("lease {id} is closed: expected active"));
}

#[test]
fn a_lease_is_ended_by_its_tenant_alone() {
    let mut w = World::new();
    let id = w.lab_lease();
    let msg = m::MsgCloseLease { owner: paul().to_string(), lease_id: Some(id.into()), reoffer: false };
    let log = w.refused(|w, ctx| w.market.close_lease(ctx, msg));
    assert_eq!(log, format!("owner: expected {}, the tenant, got {}", alice(), paul()));
    let unknown = id.order.bid(bob());
    let msg = m::MsgCloseLease { owner: alice().to_string(), lease_id: Some(unknown.into()), reoffer: false };
    assert_eq!(w.refused(|w, ctx| w.market.close_lease(ctx, msg)), format!("lease {unknown} not found"));
}

#[test]
fn a_group_is_offered_again_only_when_the_message_asks_for_it() {
    let mut w = World::new();
    let id = w.lab_lease();
    assert_eq!(w.end_lease(id, true), 2);
    assert_eq!(w.group_state(id.deployment(), 1), group::State::Open);
    assert_eq!(w.order(id.order.group.order(2)).state(), order::State::Open);
    let again = w.make_bid(id.order.group.order(2), paul(), 40);
    w.make_lease(again);
}

fn leave(w: &mut World, id: BidId, reason: Reason) -> Result<(), kernel::Error> {
    let msg = m::MsgCloseBid { signer: olga().to_string(), bid_id: Some(id.into()), reason: reason.into() };
    w.run(|w, ctx| w.market.close_bid(ctx, msg)).map(drop)
}

#[test]
fn a_provider_that_leaves_before_the_shortest_lease_time_forfeits_its_deposit_to_the_tenant() {
    let mut w = World::new();
    let id = w.lab_lease();
    w.block(2 * MINUTE - 1);
    leave(&mut w, id, Reason::Unstable).expect("a provider may leave at any time");
    assert_eq!(w.count_events("EventDepositForfeited"), 1);
    assert_eq!(w.spent(paul()), 1_005_000_000);
    assert_eq!(w.spent(alice()), 10_000_000 - 5_000_000, "on her bank balance, not in escrow");
    let row = w.lease(id).lease.expect("shown");
    assert_eq!((row.state(), row.reason()), (lease::State::Closed, Reason::Unstable));
    assert_eq!(w.group_state(id.deployment(), 1), group::State::Paused);
    assert_eq!(w.bid(id).state(), bid::State::Closed);
}

#[test]
fn a_provider_that_leaves_after_the_shortest_lease_time_keeps_its_deposit() {
    let mut w = World::new();
    let id = w.lab_lease();
    w.block(2 * MINUTE);
    leave(&mut w, id, Reason::None).expect("a provider may leave at any time");
    assert_eq!((w.count_events("EventDepositForfeited"), w.spent(paul())), (0, 1_000_000_000));
    assert_eq!(w.lease(id).lease.expect("shown").reason(), Reason::Unspecified, "none stands for unspecified");
    assert_eq!(leave(&mut w, id, Reason::None).expect_err("closed").log, format!("bid {id} is closed: expected open or active"));
}

#[test]
fn a_provider_without_a_manifest_in_time_leaves_freely_and_not_a_moment_before() {
    let mut genesis = params();
    genesis["market"]["params"]["min_lease_time"] = "600s".into();
    let mut w = World::with(genesis);
    let id = w.lab_lease();
    w.block(2 * MINUTE - 1);
    let log = leave(&mut w, id, Reason::ManifestTimeout).expect_err("too early").log;
    assert!(log.starts_with("reason: expected manifest_timeout only when no manifest came in time"), "{log}");
    w.block(1);
    leave(&mut w, id, Reason::ManifestTimeout).expect("no manifest has come");
    assert_eq!(w.spent(paul()), 1_000_000_000);
}

/// A lease of a group that asks for an hour's notice.
fn with_notice() -> (World, BidId) {
    let mut w = World::new();
    w.register_paul();
    let deployment = w.deploy(alice(), vec![d::GroupSpec { reclamation_window: window(HOUR), ..lab_group() }], 10_000_000);
    let id = w.make_bid(deployment.group(1).order(1), paul(), 50);
    w.make_lease(id);
    (w, id)
}

fn reclaim(w: &mut World, id: BidId, signer: Address) -> Result<(), kernel::Error> {
    let msg = m::MsgStartReclaim { signer: signer.to_string(), lease_id: Some(id.into()) };
    w.run(|w, ctx| w.market.start_reclaim(ctx, msg)).map(drop)
}

#[test]
fn a_provider_that_leaves_before_the_notice_is_over_forfeits_its_deposit() {
    let (mut w, id) = with_notice();
    w.block(DAY);
    reclaim(&mut w, id, paul()).expect("a provider may ask for its resources back");
    assert_eq!(w.event_names(), ["EventReclaimStarted"]);
    w.block(HOUR - 1);
    leave(&mut w, id, Reason::Decommission).expect("a provider may leave at any time");
    assert_eq!(w.spent(paul()), 1_005_000_000);
}

#[test]
fn a_provider_that_leaves_without_notice_forfeits_its_deposit_however_long_the_lease_was() {
    let (mut w, id) = with_notice();
    w.block(DAY);
    leave(&mut w, id, Reason::Decommission).expect("a provider may leave at any time");
    assert_eq!(w.spent(paul()), 1_005_000_000);
}

#[test]
fn a_provider_that_leaves_when_the_notice_is_over_keeps_its_deposit() {
    let (mut w, id) = with_notice();
    reclaim(&mut w, id, olga()).expect("the operator may too");
    assert_eq!(w.lease(id).lease.expect("shown").reclaim_at, at(w.time));
    let log = reclaim(&mut w, id, paul()).expect_err("twice").log;
    assert_eq!(log, format!("lease {id} is announced for reclamation already"));
    w.block(HOUR);
    leave(&mut w, id, Reason::Decommission).expect("a provider may leave at any time");
    assert_eq!(w.spent(paul()), 1_000_000_000);
}

#[test]
fn reclamation_is_refused_without_a_window_by_strangers_and_after_the_end() {
    let mut w = World::new();
    let id = w.lab_lease();
    let log = reclaim(&mut w, id, paul()).expect_err("no window").log;
    assert_eq!(log, format!("group {} asks for no reclamation notice: close the bid instead", id.order.group));
    let (mut w, id) = with_notice();
    assert!(reclaim(&mut w, id, alice()).expect_err("the tenant").log.contains("is neither provider"));
    w.end_lease(id, false);
    assert_eq!(reclaim(&mut w, id, paul()).expect_err("closed").log, format!("lease {id} is closed: expected active"));
}

// --- manifests

/// A lease whose provider has a recipient key, and that key's fingerprint.
fn with_key() -> (World, BidId, String) {
    let mut w = World::new();
    let id = w.lab_lease();
    let msg = k::MsgRegisterRecipientKey {
        owner: paul().to_string(),
        algorithm: encryption::ALGORITHM.into(),
        public_key: vec![42; 32],
        label: "gateway".into(),
        expires_at: None,
    };
    let fingerprint = w.ok(|w, ctx| w.encryption.register(ctx, msg)).fingerprint;
    (w, id, fingerprint)
}

fn envelope(fingerprint: &str) -> k::Envelope {
    let sealed =
        k::SealedKey { fingerprint: fingerprint.into(), ephemeral_public_key: vec![1; 32], nonce: vec![2; 24], sealed_key: vec![3; 48] };
    k::Envelope { algorithm: "x25519-xsalsa20-poly1305".into(), recipients: vec![sealed], nonce: vec![4; 24], ciphertext: vec![5; 100] }
}

fn send(w: &mut World, id: BidId, signer: Address, envelope: Option<k::Envelope>) -> Result<(), kernel::Error> {
    let msg = m::MsgSendManifest { owner: signer.to_string(), lease_id: Some(id.into()), envelope };
    w.run(|w, ctx| w.market.send_manifest(ctx, msg)).map(drop)
}

#[test]
fn a_manifest_lies_on_its_lease_until_the_lease_closes() {
    let (mut w, id, key) = with_key();
    send(&mut w, id, alice(), Some(envelope(&key))).expect("sealed to the provider");
    assert_eq!(w.event_names(), ["EventManifestSent"]);
    let sent_at = w.time;
    let shown = w.lease(id);
    assert_eq!(shown.manifest.expect("it lies there").algorithm, encryption::ALGORITHM, "the canonical name is stored");
    assert_eq!(shown.lease.expect("shown").manifest_at, at(sent_at));
    w.block(MINUTE);
    let other = k::Envelope { ciphertext: vec![6; 17], ..envelope(&key) };
    send(&mut w, id, alice(), Some(other)).expect("a manifest can be replaced");
    let shown = w.lease(id);
    assert_eq!(shown.manifest.expect("it lies there").ciphertext, vec![6; 17]);
    assert_eq!(shown.lease.expect("shown").manifest_at, at(sent_at), "the first one came in time");
    w.end_lease(id, false);
    assert_eq!(w.lease(id).manifest, None);
    assert_eq!(send(&mut w, id, alice(), Some(envelope(&key))).expect_err("closed").log, format!("lease {id} is closed: expected active"));
}

#[test]
fn a_provider_that_got_a_manifest_in_time_cannot_say_that_none_came() {
    let (mut w, id, key) = with_key();
    send(&mut w, id, alice(), Some(envelope(&key))).expect("sealed to the provider");
    w.block(HOUR);
    let log = leave(&mut w, id, Reason::ManifestTimeout).expect_err("it came").log;
    assert_eq!(log, "reason: expected another reason than manifest_timeout, got a manifest in time");
}

#[test]
fn a_manifest_that_the_provider_could_not_open_is_refused() {
    let (mut w, id, key) = with_key();
    assert!(send(&mut w, id, bob(), Some(envelope(&key))).expect_err("a stranger").log.starts_with("owner: expected"));
    type Change = fn(&mut k::Envelope);
    let cases: [(&str, Change); 9] = [
        ("envelope.algorithm", |e| e.algorithm = "AES".into()),
        ("envelope.nonce", |e| e.nonce.clear()),
        ("envelope.ciphertext", |e| e.ciphertext.truncate(16)),
        ("envelope.recipients", |e| e.recipients.clear()),
        ("envelope.recipients", |e| e.recipients = vec![e.recipients[0].clone(); 9]),
        ("envelope.recipients[0].ephemeral_public_key", |e| e.recipients[0].ephemeral_public_key.truncate(31)),
        ("envelope.recipients[0].nonce", |e| e.recipients[0].nonce.push(0)),
        ("envelope.recipients[0].sealed_key", |e| e.recipients[0].sealed_key.clear()),
        ("envelope.recipients[0].fingerprint", |e| e.recipients[0].fingerprint = "xyz".into()),
    ];
    for (field, change) in cases {
        let mut bad = envelope(&key);
        change(&mut bad);
        let log = send(&mut w, id, alice(), Some(bad)).expect_err(field).log;
        assert!(log.starts_with(&format!("{field}: expected ")), "{field}: {log}");
    }
    let log = send(&mut w, id, alice(), Some(k::Envelope { ciphertext: vec![5; 64 << 10], ..envelope(&key) })).expect_err("too large").log;
    assert!(log.starts_with("envelope: expected at most 65536 bytes"), "{log}");
    assert_eq!(send(&mut w, id, alice(), None).expect_err("none").log, "envelope: expected an envelope, got none");
    let log = send(&mut w, id, alice(), Some(envelope(&"ab".repeat(20)))).expect_err("nobody's key").log;
    assert_eq!(log, format!("envelope.recipients: expected a recipient key of provider {} that is ACTIVE, got other keys", paul()));
    let msg = k::MsgRevokeRecipientKey { owner: paul().to_string(), fingerprint: key.clone() };
    w.ok(|w, ctx| w.encryption.revoke(ctx, msg));
    assert!(send(&mut w, id, alice(), Some(envelope(&key))).expect_err("revoked").log.starts_with("envelope.recipients: expected"));
}
