//! What is refused leaves no trace: a block with the refused message and a block with a payment that nobody could make
//! end with the same app hash, so that all that is left of either is the signer's fee and sequence.

mod common;

use client::tx::any;
use common::*;
use proto::cosmos::bank::v1beta1::MsgSend;
use proto::cosmos::base::v1beta1::Coin;
use proto::virtengine::base::v1::{BidId, DeploymentId, ResourceUnit};
use proto::virtengine::deployment::v1::*;
use proto::virtengine::encryption::v1::{Envelope, SealedKey, *};
use proto::virtengine::escrow::v1::{MsgDeposit, MsgSubmitUsage, MsgWithdrawSpare, ResourceTotals, UsageRecord};
use proto::virtengine::market::v1::{MsgCloseBid, MsgCloseLease, MsgCreateBid, MsgCreateLease, MsgSendManifest, MsgStartReclaim};
use proto::virtengine::provider::v1::{Details, *};
use proto::{Any, Timestamp};
use serde_json::json;

/// Who plays, by the place of the key.
const ALICE: usize = 0;
const BOB: usize = 1;
/// A provider, for whom OLGA acts.
const PAUL: usize = 2;
const OLGA: usize = 3;
const PETRA: usize = 4;
const STRANGER: usize = 6;

/// The text of the refusal, after which the state is as if an impossible payment had been tried, or nothing.
fn refused(c: &Chain, who: usize, message: Any) -> String {
    let impossible = MsgSend { from_address: c.address(who), to_address: c.address(who), amount: vec![uve(u128::MAX).unwrap()] };
    let (reference, after_fee) = c.execute(vec![c.sign(who, any(&impossible))]);
    assert_eq!((reference[0].code, reference[0].codespace.as_str()), (5, "sdk"), "{}", reference[0].log);
    let (_, untouched) = c.execute(vec![]);
    let (results, hash) = c.execute(vec![c.sign(who, message)]);
    assert_ne!(results[0].code, 0, "accepted, which was not expected");
    assert!(hash == after_fee || hash == untouched, "the state changed: {}", results[0].log);
    results[0].log.clone()
}

fn details() -> Details {
    Details {
        name: "Paul".into(),
        contact: "paul@example.com".into(),
        attributes: vec![attribute("region", "local")],
        ..Details::default()
    }
}

/// The chain that most refusals meet. Paul and Petra are providers. Of alice's deployments 1 has a lease with paul from
/// which a record was paid, 2 an open order with a bid of paul's, 3 is closed; bob's 1 has an order without bids.
struct Scene {
    chain: Chain,
    /// When the lease was made, in ms, and until when it is paid.
    lease_start: u64,
    settled: u64,
    first_record: UsageRecord,
}

fn scene() -> Scene {
    let mut c = Chain::new(json!({
        "escrow": { "params": {
            "min_runway": "60s", "min_usage_interval": "10s", "final_usage_window": "300s", "depletion_grace": "600s",
            "usage_cutoff": "600s", "max_depositors": 3,
        } },
        "encryption": { "params": { "max_keys_per_account": 2 } },
        "market": { "params": { "closed_retention": "3600s", "min_lease_time": "120s", "manifest_timeout": "120s", "order_max_bids": 2 } },
    }));
    let (alice, bob, paul, olga, petra) = (c.address(ALICE), c.address(BOB), c.address(PAUL), c.address(OLGA), c.address(PETRA));
    let with_olga = Details { operator: olga, ..details() };
    c.ok(PAUL, any(&MsgCreateProvider { owner: paul.clone(), details: Some(with_olga), deposit: uve(1_000_000_000) }));
    c.ok(PETRA, any(&MsgCreateProvider { owner: petra, details: Some(details()), deposit: uve(1_000_000_000) }));
    for (who, owner) in [(ALICE, &alice), (ALICE, &alice), (ALICE, &alice), (BOB, &bob)] {
        let msg = MsgCreateDeployment { owner: owner.clone(), dseq: 0, groups: vec![group()], hash: vec![7; 32], deposit: uve(10_000_000) };
        c.ok(who, any(&msg));
    }
    for dseq in [1, 2] {
        c.ok(PAUL, any(&bid(&c, PAUL, ALICE, dseq)));
    }
    c.ok(ALICE, any(&MsgCreateLease { owner: alice.clone(), bid_id: Some(c.id(ALICE, 1, PAUL)) }));
    let lease_start = c.time;
    c.ok(ALICE, any(&MsgCloseDeployment { owner: alice, dseq: 3 }));
    c.ok(PAUL, any(&register(&c, PAUL, 9)));
    c.pass(5 * MINUTE);
    let settled = lease_start + 3 * MINUTE;
    let first_record = record(&c, 1, lease_start, settled);
    c.ok(OLGA, any(&submit(&c, OLGA, vec![first_record.clone()])));
    Scene { chain: c, lease_start, settled, first_record }
}

fn bid(c: &Chain, provider: usize, owner: usize, dseq: u64) -> MsgCreateBid {
    let bid_id = Some(c.id(owner, dseq, provider));
    MsgCreateBid { signer: c.address(provider), bid_id, price: uve(50), deposit: uve(500_000) }
}

fn register(c: &Chain, owner: usize, byte: u8) -> MsgRegisterRecipientKey {
    let algorithm = "X25519-XSalsa20-Poly1305".into();
    MsgRegisterRecipientKey { owner: c.address(owner), algorithm, public_key: vec![byte; 32], ..Default::default() }
}

fn record(c: &Chain, sequence: u64, start: u64, end: u64) -> UsageRecord {
    let seconds = end.saturating_sub(start) / 1000;
    let resources = ResourceTotals {
        cpu_milli_seconds: 500 * seconds,
        memory_byte_seconds: (512 << 20) * seconds,
        storage_byte_seconds: (1 << 30) * seconds,
        gpu_seconds: 0,
    };
    let lease_id = Some(c.id(ALICE, 1, PAUL));
    UsageRecord { lease_id, sequence, start_time: at(start), end_time: at(end), resources: Some(resources) }
}

fn submit(c: &Chain, signer: usize, records: Vec<UsageRecord>) -> MsgSubmitUsage {
    MsgSubmitUsage { signer: c.address(signer), records }
}

/// Each message is refused with this text and leaves no trace.
fn all_refused(c: &Chain, cases: Vec<(usize, Any, &str)>) {
    for (who, message, expected) in cases {
        let name = message.type_url.clone();
        let log = refused(c, who, message);
        assert!(log.contains(expected), "{name}: expected {expected:?}, got {log:?}");
    }
}

#[test]
fn a_registration_that_breaks_a_rule_leaves_no_trace() {
    let s = scene();
    let c = &s.chain;
    let create = |who: usize, change: &dyn Fn(&mut MsgCreateProvider)| {
        let mut msg = MsgCreateProvider { owner: c.address(who), details: Some(details()), deposit: uve(1_000_000_000) };
        change(&mut msg);
        any(&msg)
    };
    let with = |change: &dyn Fn(&mut Details)| {
        let mut changed = details();
        change(&mut changed);
        create(BOB, &|m| m.details = Some(changed.clone()))
    };
    let paul = c.address(PAUL);
    let delete = |who: usize| any(&MsgDeleteProvider { owner: c.address(who) });
    let status = |who: usize, status: i32| any(&MsgSetProviderStatus { owner: c.address(who), status });
    let sign =
        |provider: &str, attributes| any(&MsgSignProviderAttributes { auditor: c.address(BOB), provider: provider.into(), attributes });
    let many = |n: usize| (0..n).map(|i| attribute(&format!("key-{i}"), "")).collect::<Vec<_>>();
    all_refused(
        c,
        vec![
            (PAUL, create(PAUL, &|_| ()), "is a provider already"),
            (BOB, create(PETRA, &|_| ()), "pubKey does not match signer address"),
            (BOB, create(BOB, &|m| m.deposit = None), "deposit: expected an amount in uve, got none"),
            (BOB, create(BOB, &|m| m.deposit = uve(999_999_999)), "expected at least 1000000000uve, got 999999999uve"),
            (BOB, create(BOB, &|m| m.deposit = coin(1_000_000_000, "atom")), "expected denom uve, got \"atom\""),
            (BOB, create(BOB, &|m| m.deposit = uve("-1")), "got \"-1\""),
            (BOB, create(BOB, &|m| m.deposit = uve("1e10")), "got \"1e10\""),
            (BOB, create(BOB, &|m| m.deposit = uve(u128::from(u64::MAX) + 1)), "below 2^64"),
            (BOB, create(BOB, &|m| m.deposit = uve(u64::MAX)), "insufficient funds"),
            (BOB, with(&|d| d.name.clear()), "name: expected a text, got none"),
            (BOB, with(&|d| d.name = "n".repeat(257)), "name: expected at most 256 bytes, got 257"),
            (BOB, with(&|d| d.contact = " ".into()), "contact: expected a text, got none"),
            (BOB, with(&|d| d.website = "example.com".into()), "website: expected an absolute URL"),
            (BOB, with(&|d| d.host_uri = "/x".into()), "host_uri: expected an absolute URL"),
            (BOB, with(&|d| d.operator = "olga".into()), "operator: expected an account address, got \"olga\""),
            (BOB, with(&|d| d.payout = "cosmos1xyz".into()), "payout: expected an account address, got \"cosmos1xyz\""),
            (BOB, with(&|d| d.gateway_fingerprint = "AB".repeat(32)), "gateway_fingerprint: expected the SHA-256"),
            (BOB, with(&|d| d.attributes = vec![attribute("a", "1"), attribute("a", "2")]), "key \"a\" stands twice"),
            (BOB, with(&|d| d.attributes = many(101)), "attributes: expected at most 100, got 101"),
            (BOB, any(&MsgUpdateProvider { owner: c.address(BOB), details: Some(details()) }), "is not a provider"),
            (PAUL, any(&MsgUpdateProvider { owner: paul.clone(), details: None }), "name: expected a text, got none"),
            (BOB, status(BOB, 1), "is not a provider"),
            (PAUL, status(PAUL, 0), "status: expected ACTIVE (1) or INACTIVE (2), got 0"),
            (PAUL, status(PAUL, i32::MAX), "got 2147483647"),
            (BOB, delete(BOB), "is not a provider"),
            (PAUL, delete(PAUL), "has 2 open bids or unsettled leases: close them first"),
            (BOB, sign(&c.address(ALICE), many(1)), "is not a provider"),
            (BOB, sign(&paul, vec![]), "attributes: expected at least one, got none"),
            (BOB, sign(&paul, many(101)), "attributes: expected at most 100, got 101"),
            (BOB, any(&MsgDeleteSignedAttributes { auditor: c.address(BOB), provider: paul }), "has not signed attributes"),
        ],
    );
}

#[test]
fn a_recipient_key_that_breaks_a_rule_leaves_no_trace() {
    let mut s = scene();
    let fingerprint = encryption::fingerprint(&[9; 32]);
    for byte in [10, 11] {
        s.chain.ok(PETRA, any(&register(&s.chain, PETRA, byte)));
    }
    let revoke =
        |c: &Chain, who: usize, fingerprint: &str| any(&MsgRevokeRecipientKey { owner: c.address(who), fingerprint: fingerprint.into() });
    s.chain.ok(PETRA, revoke(&s.chain, PETRA, &encryption::fingerprint(&[10; 32])));
    s.chain.ok(PETRA, any(&register(&s.chain, PETRA, 12)));
    let c = &s.chain;
    let new = |change: &dyn Fn(&mut MsgRegisterRecipientKey)| {
        let mut msg = register(c, BOB, 20);
        change(&mut msg);
        any(&msg)
    };
    let rotate = |who: usize, fingerprint: &str, byte: u8| {
        let MsgRegisterRecipientKey { owner, algorithm, public_key, .. } = register(c, who, byte);
        any(&MsgRotateRecipientKey { owner, fingerprint: fingerprint.into(), algorithm, public_key, ..Default::default() })
    };
    let relabel =
        |who: usize, label: String| any(&MsgRelabelRecipientKey { owner: c.address(who), fingerprint: fingerprint.clone(), label });
    let mut low_order = vec![0; 32];
    low_order[0] = 1;
    all_refused(
        c,
        vec![
            (BOB, new(&|m| m.algorithm = "RSA".into()), "algorithm: expected X25519-XSalsa20-Poly1305, got \"RSA\""),
            (BOB, new(&|m| m.public_key = vec![1; 31]), "public_key: expected 32 bytes, got 31"),
            (BOB, new(&|m| m.public_key = low_order.clone()), "got a point of low order"),
            (BOB, new(&|m| m.label = "l".repeat(129)), "label: expected at most 128 bytes, got 129"),
            (BOB, new(&|m| m.expires_at = at(START)), "expires_at: expected a time after the block's"),
            (BOB, new(&|m| m.expires_at = Some(Timestamp { seconds: -1, nanos: 0 })), "expires_at: expected a time after 1970"),
            (PAUL, any(&register(c, PAUL, 9)), "has registered the key"),
            (PETRA, any(&register(c, PETRA, 13)), "has 2 keys that are not revoked or expired, which is the limit"),
            (PETRA, rotate(PETRA, &encryption::fingerprint(&[10; 32]), 13), "is REVOKED, expected ACTIVE"),
            (BOB, rotate(BOB, &fingerprint, 20), "has no key"),
            (PAUL, rotate(PAUL, &fingerprint, 9), "has registered the key"),
            (BOB, revoke(c, BOB, &fingerprint), "has no key"),
            (PETRA, revoke(c, PETRA, &encryption::fingerprint(&[10; 32])), "is REVOKED, expected ACTIVE or DEPRECATED"),
            (BOB, relabel(BOB, "x".into()), "has no key"),
            (PAUL, relabel(PAUL, "l".repeat(129)), "label: expected at most 128 bytes, got 129"),
        ],
    );
}

#[test]
fn a_deployment_that_breaks_a_rule_leaves_no_trace() {
    let s = scene();
    let c = &s.chain;
    let create = |change: &dyn Fn(&mut MsgCreateDeployment)| {
        let mut msg =
            MsgCreateDeployment { owner: c.address(ALICE), dseq: 0, groups: vec![group()], hash: vec![7; 32], deposit: uve(10_000_000) };
        change(&mut msg);
        any(&msg)
    };
    let with = |change: &dyn Fn(&mut GroupSpec)| {
        let mut changed = group();
        change(&mut changed);
        create(&|m| m.groups = vec![changed.clone()])
    };
    let unit = |change: &dyn Fn(&mut ResourceUnit)| with(&|g| change(&mut g.resources[0]));
    let named = |n: usize| (0..n).map(|i| GroupSpec { name: format!("g{i}"), ..group() }).collect::<Vec<_>>();
    let close = |who: usize, dseq: u64| any(&MsgCloseDeployment { owner: c.address(who), dseq });
    let update = |dseq: u64, hash: Vec<u8>| any(&MsgUpdateDeployment { owner: c.address(ALICE), dseq, hash });
    let start = |who: usize, dseq: u64, gseq: u32| any(&MsgStartGroup { owner: c.address(who), dseq, gseq });
    all_refused(
        c,
        vec![
            (ALICE, create(&|m| m.deposit = None), "deposit: expected a whole number of uve from 500000 to 18446744073709551615, got none"),
            (
                ALICE,
                create(&|m| m.deposit = uve(499_999)),
                "deposit: expected a whole number of uve from 500000 to 18446744073709551615, got ",
            ),
            (
                ALICE,
                create(&|m| m.deposit = coin(10_000_000, "atom")),
                "deposit: expected a whole number of uve from 500000 to 18446744073709551615, got ",
            ),
            (
                ALICE,
                create(&|m| m.deposit = uve("0x10")),
                "deposit: expected a whole number of uve from 500000 to 18446744073709551615, got ",
            ),
            (ALICE, create(&|m| m.deposit = uve(u64::MAX)), "insufficient funds"),
            (ALICE, create(&|m| m.dseq = 3), "dseq: expected 0 or 4 to 9007199254740991"),
            (ALICE, create(&|m| m.dseq = 1 << 53), "dseq: expected 0 or 4 to 9007199254740991"),
            (ALICE, create(&|m| m.dseq = u64::MAX), "got 18446744073709551615"),
            (ALICE, create(&|m| m.hash = vec![]), "hash: expected the 32 bytes of the manifest's SHA-256, got 0 bytes"),
            (ALICE, create(&|m| m.groups.clear()), "groups: expected 1 to 20"),
            (ALICE, create(&|m| m.groups = named(21)), "groups: expected 1 to 20, got 21"),
            (ALICE, create(&|m| m.groups = vec![group(), group()]), "groups[1].name: expected a name of its own"),
            (ALICE, with(&|g| g.price = None), "groups[0].price: expected a whole number of uve from 1 to 18446744073709551615"),
            (ALICE, with(&|g| g.price = uve(0)), "groups[0].price: expected a whole number of uve from 1 to 18446744073709551615"),
            (
                ALICE,
                with(&|g| g.price = coin(100, "uakt")),
                "groups[0].price: expected a whole number of uve from 1 to 18446744073709551615",
            ),
            (
                ALICE,
                with(&|g| g.price = uve(u128::from(u64::MAX) + 1)),
                "groups[0].price: expected a whole number of uve from 1 to 18446744073709551615",
            ),
            (ALICE, with(&|g| g.resources.clear()), "groups[0].resources: expected 1 to 20, got 0"),
            (ALICE, with(&|g| g.resources = vec![g.resources[0].clone(); 21]), "groups[0].resources: expected 1 to 20, got 21"),
            (ALICE, unit(&|u| u.count = 0), "groups[0].resources[0].count: expected at least 1, got 0"),
            (ALICE, unit(&|u| u.cpu_milli = 0), "groups[0].resources[0].cpu_milli: expected at least 1, got 0"),
            (ALICE, unit(&|u| (u.memory, u.count) = (u64::MAX, 2)), "groups[0].resources: expected sums below 2^64"),
            (ALICE, unit(&|u| (u.cpu_milli, u.count) = (u64::MAX, u32::MAX)), "groups[0].resources: expected sums below 2^64"),
            (ALICE, unit(&|u| u.storage.clear()), "groups[0].resources[0].storage: expected 1 to 16, got 0"),
            (ALICE, update(9, vec![1; 32]), "not found"),
            (ALICE, update(1, vec![1; 31]), "hash: expected the 32 bytes"),
            (ALICE, update(3, vec![1; 32]), "is closed"),
            (ALICE, close(ALICE, 3), "is closed"),
            (ALICE, close(ALICE, 0), "dseq"),
            (BOB, close(BOB, 2), "not found"),
            (ALICE, start(ALICE, 2, 1), "is open: expected paused"),
            (ALICE, start(ALICE, 2, 2), "not found"),
            (ALICE, start(ALICE, 3, 1), "is closed"),
            (BOB, start(BOB, 7, 1), "not found"),
            (ALICE, any(&MsgPauseGroup { owner: c.address(ALICE), dseq: 3, gseq: 1 }), "is closed"),
            (ALICE, any(&MsgCloseGroup { owner: c.address(ALICE), dseq: 2, gseq: u32::MAX }), "not found"),
        ],
    );
}

#[test]
fn a_bid_and_a_lease_that_break_a_rule_leave_no_trace() {
    let mut s = scene();
    for provider in [PAUL, PETRA] {
        s.chain.ok(provider, any(&bid(&s.chain, provider, BOB, 1)));
    }
    s.chain
        .ok(STRANGER, any(&MsgCreateProvider { owner: s.chain.address(STRANGER), details: Some(details()), deposit: uve(1_000_000_000) }));
    s.chain.ok(PETRA, any(&bid(&s.chain, PETRA, ALICE, 2)));
    s.chain.ok(PETRA, any(&MsgCloseBid { signer: s.chain.address(PETRA), bid_id: Some(s.chain.id(ALICE, 2, PETRA)), reason: 0 }));
    let c = &s.chain;
    let offer = |change: &dyn Fn(&mut MsgCreateBid)| {
        let mut msg = bid(c, STRANGER, ALICE, 2);
        change(&mut msg);
        any(&msg)
    };
    let on = |m: &mut MsgCreateBid, change: &dyn Fn(&mut BidId)| change(m.bid_id.as_mut().unwrap());
    let leave = |who: usize, bid_id: BidId, reason: i32| any(&MsgCloseBid { signer: c.address(who), bid_id: Some(bid_id), reason });
    let accept = |who: usize, bid_id: BidId| any(&MsgCreateLease { owner: c.address(who), bid_id: Some(bid_id) });
    let end = |who: usize, lease: BidId| any(&MsgCloseLease { owner: c.address(who), lease_id: Some(lease), reoffer: true });
    let reclaim = |who: usize| any(&MsgStartReclaim { signer: c.address(who), lease_id: Some(c.id(ALICE, 1, PAUL)) });
    all_refused(
        c,
        vec![
            (STRANGER, offer(&|m| m.bid_id = None), "bid_id: expected an id, got none"),
            (STRANGER, offer(&|m| on(m, &|id| id.oseq = 0)), "bid_id.oseq"),
            (STRANGER, offer(&|m| on(m, &|id| id.oseq = u32::MAX)), "not found"),
            (STRANGER, offer(&|m| on(m, &|id| id.owner = "alice".into())), "bid_id.owner"),
            (STRANGER, offer(&|m| on(m, &|id| id.dseq = 3)), "is closed: expected open"),
            (STRANGER, offer(&|m| on(m, &|id| id.dseq = 1)), "is active: expected open"),
            (STRANGER, offer(&|m| on(m, &|id| id.provider = c.address(PETRA))), "is neither provider"),
            (STRANGER, offer(&|m| m.price = uve(0)), "price: expected a whole number of uve from 1 to 18446744073709551615"),
            (STRANGER, offer(&|m| m.price = uve(101)), "price: expected at most 100uve, the order's price, got 101uve"),
            (STRANGER, offer(&|m| m.price = uve(u64::MAX)), "price: expected at most 100uve"),
            (STRANGER, offer(&|m| m.price = coin(50, "atom")), "price: expected a whole number of uve from 1 to 18446744073709551615"),
            (STRANGER, offer(&|m| m.price = None), "price: expected a whole number of uve from 1 to 18446744073709551615, got none"),
            (
                STRANGER,
                offer(&|m| m.deposit = uve(499_999)),
                "deposit: expected a whole number of uve from 500000 to 18446744073709551615, got ",
            ),
            (
                STRANGER,
                offer(&|m| m.deposit = coin(500_000, "atom")),
                "deposit: expected a whole number of uve from 500000 to 18446744073709551615, got ",
            ),
            (STRANGER, offer(&|m| m.deposit = uve(u64::MAX)), "insufficient funds"),
            (BOB, any(&bid(c, BOB, ALICE, 2)), "is not a provider"),
            (PAUL, any(&bid(c, PAUL, ALICE, 2)), "a provider bids once on an order"),
            (PETRA, any(&bid(c, PETRA, ALICE, 2)), "exists and is closed: a provider bids once on an order"),
            (STRANGER, any(&bid(c, STRANGER, BOB, 1)), "is full with 2 bids: expected a price below 50uve, got 50uve"),
            (STRANGER, leave(STRANGER, c.id(ALICE, 1, PAUL), 0), "is neither provider"),
            (PAUL, leave(PAUL, c.id(ALICE, 1, PAUL), 1), "reason: expected unstable (10000)"),
            (PAUL, leave(PAUL, c.id(ALICE, 1, PAUL), 20000), "reason: expected unstable (10000)"),
            (PAUL, leave(PAUL, c.id(ALICE, 9, PAUL), 0), "not found"),
            (PETRA, leave(PETRA, c.id(ALICE, 2, PETRA), 0), "is closed: expected open or active"),
            (BOB, accept(BOB, c.id(ALICE, 2, PAUL)), "the tenant, got"),
            (ALICE, accept(ALICE, c.id(ALICE, 2, PETRA)), "is closed: expected open"),
            (ALICE, accept(ALICE, c.id(ALICE, 2, STRANGER)), "not found"),
            (ALICE, accept(ALICE, c.id(ALICE, 1, PAUL)), "is active: expected open"),
            (BOB, end(BOB, c.id(ALICE, 1, PAUL)), "the tenant, got"),
            (PAUL, end(PAUL, c.id(ALICE, 1, PAUL)), "the tenant, got"),
            (ALICE, end(ALICE, c.id(ALICE, 2, PAUL)), "not found"),
            (STRANGER, reclaim(STRANGER), "is neither provider"),
            (PAUL, reclaim(PAUL), "asks for no reclamation notice"),
        ],
    );
}

#[test]
fn an_envelope_that_breaks_a_rule_leaves_no_trace() {
    let s = scene();
    let c = &s.chain;
    let sealed =
        |fingerprint: String| SealedKey { fingerprint, ephemeral_public_key: vec![1; 32], nonce: vec![2; 24], sealed_key: vec![3; 48] };
    let own = sealed(encryption::fingerprint(&[9; 32]));
    let send = |who: usize, dseq: u64, change: &dyn Fn(&mut Envelope)| {
        let mut envelope = Envelope {
            algorithm: "X25519-XSalsa20-Poly1305".into(),
            recipients: vec![own.clone()],
            nonce: vec![4; 24],
            ciphertext: vec![5; 100],
        };
        change(&mut envelope);
        any(&MsgSendManifest { owner: c.address(who), lease_id: Some(c.id(ALICE, dseq, PAUL)), envelope: Some(envelope) })
    };
    let other = encryption::fingerprint(&[8; 32]);
    all_refused(
        c,
        vec![
            (BOB, send(BOB, 1, &|_| ()), "the tenant, got"),
            (ALICE, send(ALICE, 2, &|_| ()), "not found"),
            (ALICE, send(ALICE, 1, &|e| e.ciphertext = vec![0; 64 << 10]), "envelope: expected at most 65536 bytes, got "),
            (ALICE, send(ALICE, 1, &|e| e.algorithm = "none".into()), "envelope.algorithm: expected X25519-XSalsa20-Poly1305"),
            (ALICE, send(ALICE, 1, &|e| e.nonce.truncate(23)), "envelope.nonce: expected 24 bytes, got 23 bytes"),
            (ALICE, send(ALICE, 1, &|e| e.ciphertext.truncate(16)), "envelope.ciphertext: expected more than the 16 bytes of a tag"),
            (ALICE, send(ALICE, 1, &|e| e.recipients.clear()), "envelope.recipients: expected 1 to 8, got 0"),
            (ALICE, send(ALICE, 1, &|e| e.recipients = vec![own.clone(); 9]), "envelope.recipients: expected 1 to 8, got 9"),
            (ALICE, send(ALICE, 1, &|e| e.recipients = vec![sealed(other.clone())]), "a recipient key of provider"),
            (ALICE, send(ALICE, 1, &|e| e.recipients[0].fingerprint.make_ascii_uppercase()), "expected 40 lower-case hex digits"),
            (ALICE, send(ALICE, 1, &|e| e.recipients[0].sealed_key.push(0)), "sealed_key: expected 48 bytes, got 49 bytes"),
        ],
    );
}

#[test]
fn money_that_breaks_a_rule_leaves_no_trace() {
    let mut s = scene();
    let deposit = |c: &Chain, who: usize, dseq: u64, amount: Option<Coin>| {
        let deployment_id = Some(DeploymentId { owner: c.address(ALICE), dseq });
        any(&MsgDeposit { depositor: c.address(who), deployment_id, amount })
    };
    for friend in [10, 11] {
        s.chain.ok(friend, deposit(&s.chain, friend, 1, uve(100_000)));
    }
    let c = &s.chain;
    let withdraw = |who: usize, dseq: u64| any(&MsgWithdrawSpare { owner: c.address(who), dseq });
    all_refused(
        c,
        vec![
            (BOB, deposit(c, BOB, 3, uve(100_000)), "is closed"),
            (BOB, deposit(c, BOB, 9, uve(100_000)), "not found"),
            (BOB, deposit(c, BOB, 0, uve(100_000)), "dseq"),
            (BOB, deposit(c, BOB, 2, None), "amount: expected a whole number of uve from 100000 to 18446744073709551615, got none"),
            (BOB, deposit(c, BOB, 2, uve(99_999)), "amount: expected a whole number of uve from 100000 to 18446744073709551615, got "),
            (BOB, deposit(c, BOB, 2, uve(0)), "amount: expected a whole number of uve from 100000 to 18446744073709551615, got "),
            (BOB, deposit(c, BOB, 2, uve("0100000")), "amount: expected a whole number of uve from 100000 to 18446744073709551615, got "),
            (BOB, deposit(c, BOB, 2, uve(u128::MAX)), "amount: expected a whole number of uve from 100000 to 18446744073709551615, got "),
            (
                BOB,
                deposit(c, BOB, 2, coin(100_000, "atom")),
                "amount: expected a whole number of uve from 100000 to 18446744073709551615, got ",
            ),
            (BOB, deposit(c, BOB, 2, uve(u64::MAX)), "takes more than 18446744073709551615uve in all"),
            (POOR, deposit(c, POOR, 2, uve(100_000)), "insufficient funds"),
            (BOB, deposit(c, BOB, 1, uve(100_000)), "the account has 2 depositors besides its owner"),
            (BOB, withdraw(BOB, 2), "not found"),
            (ALICE, withdraw(ALICE, 3), "is closed"),
        ],
    );
    s.chain.ok(ALICE, any(&MsgWithdrawSpare { owner: s.chain.address(ALICE), dseq: 1 }));
    let again = MsgWithdrawSpare { owner: s.chain.address(ALICE), dseq: 1 };
    all_refused(&s.chain, vec![(ALICE, any(&again), "nothing to withdraw")]);
}

#[test]
fn a_usage_record_that_breaks_a_rule_leaves_no_trace() {
    let s = scene();
    let c = &s.chain;
    let (start, settled, now) = (s.lease_start, s.settled, c.time + SECOND);
    let one = |change: &dyn Fn(&mut UsageRecord)| {
        let mut changed = record(c, 2, settled, now);
        change(&mut changed);
        any(&submit(c, PAUL, vec![changed]))
    };
    let end_of_time = Timestamp { seconds: 253_402_300_799, nanos: 999_999_999 };
    let expected_start = format!("start_time: expected {} or later", escrow::types::Instant(settled));
    let block_time = escrow::types::Instant(now).to_string();
    all_refused(
        c,
        vec![
            (PAUL, any(&submit(c, PAUL, vec![])), "records: expected 1 to 100, got 0"),
            (PAUL, any(&submit(c, PAUL, vec![s.first_record.clone(); 101])), "records: expected 1 to 100, got 101"),
            (STRANGER, any(&submit(c, STRANGER, vec![record(c, 2, settled, now)])), "is neither provider"),
            (ALICE, any(&submit(c, ALICE, vec![record(c, 2, settled, now)])), "is neither provider"),
            (PAUL, one(&|r| r.lease_id = None), "records[0].lease_id: expected an id, got none"),
            (PAUL, one(&|r| r.lease_id.as_mut().unwrap().dseq = 2), "not found"),
            (PAUL, one(&|r| r.resources = None), "resources: expected totals, got none"),
            (PAUL, one(&|r| r.start_time = None), "start_time: expected a time after 1970, got none"),
            (PAUL, one(&|r| r.end_time = Some(Timestamp { seconds: i64::MAX, nanos: 0 })), "end_time: expected a time after 1970"),
            (PAUL, one(&|r| r.end_time = Some(Timestamp { seconds: i64::MIN, nanos: i32::MIN })), "end_time: expected a time after 1970"),
            // Replays: of the last record with other content, of an older sequence; and one that came too early.
            (PAUL, one(&|r| r.sequence = 1), "sequence: 1 was used for a record with other content"),
            (PAUL, one(&|r| r.sequence = 0), "sequence: 0 is stale, the last record has 1"),
            (PAUL, one(&|r| r.sequence = 3), "sequence: expected 2, got 3"),
            (PAUL, one(&|r| r.sequence = u64::MAX), "sequence: expected 2, got 18446744073709551615"),
            // Periods that overlap what is paid, that lie ahead, that are nothing or next to nothing.
            (PAUL, one(&|r| r.start_time = at(settled - 1)), &expected_start),
            (PAUL, one(&|r| r.start_time = at(start)), &expected_start),
            (PAUL, one(&|r| r.start_time = at(0)), &expected_start),
            (PAUL, one(&|r| (r.start_time, r.end_time) = (at(now), at(now + MINUTE))), &block_time),
            (PAUL, one(&|r| (r.start_time, r.end_time) = (at(now + 60 * MINUTE), Some(end_of_time))), &block_time),
            (PAUL, one(&|r| r.end_time = at(settled)), "end_time: expected later than start_time"),
            (PAUL, one(&|r| r.end_time = at(settled - 1)), "end_time: expected later than start_time"),
            (PAUL, one(&|r| r.end_time = at(settled + 9999)), "is shorter than 10000 ms"),
            // One bad record of two refuses both.
            (
                PAUL,
                any(&submit(c, PAUL, vec![record(c, 2, settled, settled + MINUTE), record(c, 3, settled, now)])),
                &format!(
                    "records[1] of lease {}: start_time: expected {} or later",
                    kernel::BidId::try_from(&c.id(ALICE, 1, PAUL)).unwrap(),
                    escrow::types::Instant(settled + MINUTE)
                ),
            ),
        ],
    );
}

#[test]
fn over_reported_usage_is_paid_as_the_whole_period_and_no_more() {
    let mut s = scene();
    let (settled, now) = (s.settled, s.chain.time + SECOND);
    let most = ResourceTotals {
        cpu_milli_seconds: u64::MAX,
        memory_byte_seconds: u64::MAX,
        storage_byte_seconds: u64::MAX,
        gpu_seconds: u64::MAX,
    };
    let full = any(&submit(&s.chain, PAUL, vec![record(&s.chain, 2, settled, now)]));
    let over = any(&submit(&s.chain, PAUL, vec![UsageRecord { resources: Some(most), ..record(&s.chain, 2, settled, now) }]));
    let paid = |c: &Chain, message: &Any| {
        let (results, _) = c.execute(vec![c.sign(PAUL, message.clone())]);
        let settled = results[0].events.iter().find(|e| e.r#type == "virtengine.escrow.v1.EventUsageSettled").expect("it is paid");
        settled.attributes.iter().filter(|a| a.key != "msg_index").map(|a| (a.key.clone(), a.value.clone())).collect::<Vec<_>>()
    };
    assert_eq!(paid(&s.chain, &full), paid(&s.chain, &over));
    s.chain.ok(PAUL, over.clone());
    let (results, again) = s.chain.execute(vec![s.chain.sign(PAUL, over)]);
    assert_eq!(results[0].code, 0, "the last record again is a retry: {}", results[0].log);
    assert!(!results[0].events.iter().any(|e| e.r#type.ends_with("EventUsageSettled")));
    let nothing = MsgSend { from_address: s.chain.address(PAUL), to_address: s.chain.address(PAUL), amount: vec![uve(u128::MAX).unwrap()] };
    assert_eq!(s.chain.execute(vec![s.chain.sign(PAUL, any(&nothing))]).1, again, "and pays nothing again");
}
