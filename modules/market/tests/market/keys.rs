//! Recipient keys: registered, rotated, revoked, relabelled, expired.

use crate::world::*;
use encryption::{ALGORITHM, fingerprint};
use kernel::Address;
use proto::Timestamp;
use proto::virtengine::encryption::v1::{recipient_key::State, *};

/// A key that is one, told from others by its first byte.
fn public_key(n: u8) -> Vec<u8> {
    vec![n; 32]
}

fn name(n: u8) -> String {
    fingerprint(&public_key(n))
}

fn new(n: u8) -> MsgRegisterRecipientKey {
    MsgRegisterRecipientKey { owner: paul().to_string(), algorithm: ALGORITHM.into(), public_key: public_key(n), ..Default::default() }
}

fn register(w: &mut World, n: u8) {
    assert_eq!(w.ok(|w, ctx| w.encryption.register(ctx, new(n))).fingerprint, name(n));
}

fn refused(change: impl FnOnce(&mut MsgRegisterRecipientKey)) -> String {
    let mut msg = new(9);
    change(&mut msg);
    World::new().refused(|w, ctx| w.encryption.register(ctx, msg))
}

fn rotate(w: &mut World, owner: Address, old: u8, to: u8) -> Result<MsgRotateRecipientKeyResponse, kernel::Error> {
    let MsgRegisterRecipientKey { algorithm, public_key, label, expires_at, .. } = new(to);
    let msg = MsgRotateRecipientKey { owner: owner.to_string(), fingerprint: name(old), algorithm, public_key, label, expires_at };
    w.run(|w, ctx| w.encryption.rotate(ctx, msg))
}

fn revoke(w: &mut World, owner: Address, n: u8) -> Result<MsgRevokeRecipientKeyResponse, kernel::Error> {
    w.run(|w, ctx| w.encryption.revoke(ctx, MsgRevokeRecipientKey { owner: owner.to_string(), fingerprint: name(n) }))
}

fn state(w: &World, n: u8) -> State {
    w.encryption.get(&w.view(), &paul(), &name(n)).expect("the row can be read").expect("the key is there").state()
}

fn chosen(w: &World) -> Option<String> {
    w.encryption.active_key(&w.view(), &paul()).expect("rows can be read").map(|key| key.fingerprint)
}

#[test]
fn an_algorithm_is_matched_without_regard_to_case_and_stored_canonically() {
    let mut w = World::new();
    w.ok(|w, ctx| w.encryption.register(ctx, MsgRegisterRecipientKey { algorithm: ALGORITHM.to_lowercase(), ..new(9) }));
    let [key] = &w.encryption.keys_of(&w.view(), &paul()).expect("a list")[..] else { panic!("one key") };
    assert_eq!((key.algorithm.as_str(), key.state()), (ALGORITHM, State::Active));
    assert_eq!(refused(|m| m.algorithm = "RSA".into()), "algorithm: expected X25519-XSalsa20-Poly1305, got \"RSA\"");
}

#[test]
fn a_key_of_another_length_or_of_low_order_is_refused() {
    assert_eq!(refused(|m| m.public_key = vec![9; 31]), "public_key: expected 32 bytes, got 31");
    assert_eq!(refused(|m| m.public_key = vec![]), "public_key: expected 32 bytes, got 0");
    assert_eq!(refused(|m| m.public_key = vec![0; 32]), "public_key: expected an X25519 public key, got a point of low order");
}

#[test]
fn a_label_that_is_too_long_is_refused() {
    assert_eq!(refused(|m| m.label = "l".repeat(129)), "label: expected at most 128 bytes, got 129");
}

#[test]
fn a_key_that_has_expired_before_it_is_registered_is_refused() {
    assert_eq!(
        refused(|m| m.expires_at = at(START)),
        "expires_at: expected a time after the block's, 2023-11-14T22:13:20Z, got 2023-11-14T22:13:20Z"
    );
    for seconds in [-1, i64::MIN] {
        assert_eq!(refused(|m| m.expires_at = Some(Timestamp { seconds, nanos: 0 })), "expires_at: expected a time after 1970");
    }
}

#[test]
fn the_same_key_again_is_refused_whatever_became_of_the_first() {
    let mut w = World::new();
    register(&mut w, 9);
    let expected = format!("public_key: {} has registered the key {} already", paul(), name(9));
    assert_eq!(w.refused(|w, ctx| w.encryption.register(ctx, new(9))), expected);
    revoke(&mut w, paul(), 9).expect("it is active");
    assert_eq!(w.refused(|w, ctx| w.encryption.register(ctx, new(9))), expected);
    let msg = MsgRegisterRecipientKey { owner: bob().to_string(), ..new(9) };
    w.ok(|w, ctx| w.encryption.register(ctx, msg)); // fingerprints are unique per owner
}

#[test]
fn more_keys_than_the_limit_are_refused_until_one_is_revoked() {
    let mut w = World::new();
    (1..=16).for_each(|n| register(&mut w, n));
    let refusal = w.refused(|w, ctx| w.encryption.register(ctx, new(17)));
    assert_eq!(refusal, format!("{} has 16 keys that are not revoked or expired, which is the limit: revoke one first", paul()));
    revoke(&mut w, paul(), 3).expect("it is active");
    register(&mut w, 17);
}

#[test]
fn a_rotated_key_still_decrypts_and_is_no_longer_chosen() {
    let mut w = World::new();
    register(&mut w, 1);
    w.block(SECOND);
    rotate(&mut w, paul(), 1, 2).expect("it is active");
    assert_eq!((state(&w, 1), state(&w, 2), chosen(&w)), (State::Deprecated, State::Active, Some(name(2))));
    assert_eq!(w.event_names(), ["EventRecipientKeyRotated"]);
}

#[test]
fn only_an_active_key_of_ones_own_is_rotated() {
    let mut w = World::new();
    register(&mut w, 1);
    assert_eq!(rotate(&mut w, bob(), 1, 2).expect_err("not bob's").log, format!("fingerprint: {} has no key {}", bob(), name(1)));
    rotate(&mut w, paul(), 1, 2).expect("it is active");
    let again = rotate(&mut w, paul(), 1, 3).expect_err("it is deprecated").log;
    assert_eq!(again, format!("fingerprint: key {} is DEPRECATED, expected ACTIVE", name(1)));
}

#[test]
fn a_revoked_key_stays_revoked_and_belongs_to_its_owner_alone() {
    let mut w = World::new();
    register(&mut w, 1);
    assert!(revoke(&mut w, bob(), 1).expect_err("not bob's").log.contains("has no key"));
    revoke(&mut w, paul(), 1).expect("it is active");
    let again = revoke(&mut w, paul(), 1).expect_err("again").log;
    assert_eq!(again, format!("fingerprint: key {} is REVOKED, expected ACTIVE or DEPRECATED", name(1)));
    assert_eq!((state(&w, 1), chosen(&w)), (State::Revoked, None));
}

#[test]
fn a_key_is_relabelled_by_its_owner_alone() {
    let mut w = World::new();
    register(&mut w, 1);
    let relabel = |w: &mut World, owner: Address, label: &str| {
        let msg = MsgRelabelRecipientKey { owner: owner.to_string(), fingerprint: name(1), label: label.into() };
        w.run(|w, ctx| w.encryption.relabel(ctx, msg))
    };
    relabel(&mut w, paul(), "gateway").expect("it is in order");
    assert_eq!(w.encryption.keys_of(&w.view(), &paul()).expect("a list")[0].label, "gateway");
    assert!(relabel(&mut w, bob(), "x").expect_err("not bob's").log.contains("has no key"));
    assert!(relabel(&mut w, paul(), &"l".repeat(129)).expect_err("too long").log.contains("expected at most 128 bytes"));
}

#[test]
fn an_expired_key_is_neither_chosen_nor_rotated_nor_revoked() {
    let mut w = World::new();
    w.ok(|w, ctx| w.encryption.register(ctx, MsgRegisterRecipientKey { expires_at: at(START + MINUTE), ..new(1) }));
    w.block(MINUTE - 1);
    assert_eq!(chosen(&w), Some(name(1)));
    w.block(1);
    assert_eq!((state(&w, 1), chosen(&w)), (State::Expired, None));
    assert!(rotate(&mut w, paul(), 1, 2).expect_err("expired").log.contains("is EXPIRED, expected ACTIVE"));
    assert!(revoke(&mut w, paul(), 1).expect_err("expired").log.contains("is EXPIRED, expected ACTIVE or DEPRECATED"));
}
