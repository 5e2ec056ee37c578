//! The registry: who registers, what it must say, who vouches for it, and how it leaves.

use crate::world::*;
use kernel::Address;
use proto::virtengine::base::v1::Attribute;
use proto::virtengine::provider::v1::*;

const DEPOSIT: u64 = 1_000_000_000;

fn details() -> Details {
    Details { name: "Paul".into(), contact: "paul@example.com".into(), ..Details::default() }
}

fn create(w: &mut World, details: Details) -> Result<MsgCreateProviderResponse, kernel::Error> {
    let msg = MsgCreateProvider { owner: paul().to_string(), details: Some(details), deposit: uve(DEPOSIT) };
    w.run(|w, ctx| w.providers.create(ctx, msg))
}

/// Why a registration with these details is refused.
fn refused(change: impl FnOnce(&mut Details)) -> String {
    let mut changed = details();
    change(&mut changed);
    create(&mut World::new(), changed).expect_err("it breaks a rule").log
}

fn update(w: &mut World, owner: Address, details: Details) -> Result<MsgUpdateProviderResponse, kernel::Error> {
    let msg = MsgUpdateProvider { owner: owner.to_string(), details: Some(details) };
    w.run(|w, ctx| w.providers.update(ctx, msg))
}

fn delete(w: &mut World, owner: Address) -> Result<MsgDeleteProviderResponse, kernel::Error> {
    w.run(|w, ctx| w.providers.delete(ctx, MsgDeleteProvider { owner: owner.to_string() }))
}

fn sign(w: &mut World, auditor: Address, attributes: Vec<Attribute>) -> Result<MsgSignProviderAttributesResponse, kernel::Error> {
    let msg = MsgSignProviderAttributes { auditor: auditor.to_string(), provider: paul().to_string(), attributes };
    w.run(|w, ctx| w.providers.sign_attributes(ctx, msg))
}

fn unsign(w: &mut World, auditor: Address) -> Result<MsgDeleteSignedAttributesResponse, kernel::Error> {
    let msg = MsgDeleteSignedAttributes { auditor: auditor.to_string(), provider: paul().to_string() };
    w.run(|w, ctx| w.providers.delete_signed_attributes(ctx, msg))
}

fn get(w: &World) -> Provider {
    w.providers.get(&w.view(), &paul()).expect("the row can be read").expect("paul is a provider")
}

#[test]
fn a_provider_registers_with_a_deposit_that_escrow_holds_until_it_leaves() {
    let mut w = World::new();
    create(&mut w, details()).expect("it is in order");
    assert_eq!(w.event_names(), ["EventAccountOpened", "EventProviderCreated"]);
    assert_eq!(w.spent(paul()), i128::from(DEPOSIT));
    assert_eq!(get(&w).status(), provider::Status::Active);
    delete(&mut w, paul()).expect("nothing is unsettled");
    assert_eq!(w.event_names(), ["EventAccountClosed", "EventRefunded", "EventProviderDeleted"]);
    assert_eq!(w.spent(paul()), 0);
}

#[test]
fn a_provider_without_attributes_gets_those_that_the_network_gives() {
    let mut w = World::new();
    create(&mut w, details()).expect("it is in order");
    assert_eq!(get(&w).attributes, [attribute("region", "local")]);
    let own = vec![attribute("region", "mars")];
    update(&mut w, paul(), Details { attributes: own.clone(), ..details() }).expect("it is in order");
    assert_eq!(get(&w).attributes, own);
}

#[test]
fn a_second_registration_is_refused() {
    let mut w = World::new();
    create(&mut w, details()).expect("it is in order");
    assert!(create(&mut w, details()).expect_err("again").log.contains("is a provider already"));
}

#[test]
fn a_missing_small_or_foreign_deposit_of_a_provider_is_refused() {
    let mut w = World::new();
    for (deposit, expected) in [
        (None, "deposit: expected an amount in uve, got none"),
        (uve(DEPOSIT - 1), "deposit: expected at least 1000000000uve, got 999999999uve"),
        (coin("1000000000", "atom"), "deposit: expected denom uve, got \"atom\""),
        (coin("18446744073709551616", "uve"), "deposit: expected a whole number of uve below 2^64"),
    ] {
        let msg = MsgCreateProvider { owner: paul().to_string(), details: Some(details()), deposit };
        let refusal = w.refused(|w, ctx| w.providers.create(ctx, msg));
        assert!(refusal.starts_with(expected), "{refusal}");
    }
}

#[test]
fn a_name_and_a_contact_are_required() {
    assert_eq!(refused(|d| d.name.clear()), "name: expected a text, got none");
    assert_eq!(refused(|d| d.contact = "  ".into()), "contact: expected a text, got none");
    assert_eq!(refused(|d| d.name = "n".repeat(257)), "name: expected at most 256 bytes, got 257");
}

#[test]
fn a_url_that_is_not_absolute_is_refused() {
    for url in ["example.com", "/path", "ftp://example.com", "https://", "https://a b"] {
        assert!(refused(|d| d.website = url.into()).starts_with("website: expected an absolute URL"), "{url}");
        assert!(refused(|d| d.host_uri = url.into()).starts_with("host_uri: expected an absolute URL"), "{url}");
    }
}

#[test]
fn an_operator_and_a_payout_that_are_no_addresses_are_refused() {
    assert!(refused(|d| d.operator = "olga".into()).starts_with("operator: expected an account address, got \"olga\" ("));
    assert!(refused(|d| d.payout = "virtengine1".into()).starts_with("payout: "));
}

#[test]
fn a_gateway_fingerprint_that_is_no_sha_256_in_lower_case_hex_is_refused() {
    for print in ["ab".repeat(31), "AB".repeat(32), "zz".repeat(32)] {
        assert!(refused(|d| d.gateway_fingerprint = print.clone()).starts_with("gateway_fingerprint: expected the SHA-256"), "{print}");
    }
    let with = Details { gateway_fingerprint: "ab".repeat(32), ..details() };
    create(&mut World::new(), with).expect("it is in order");
}

#[test]
fn attributes_without_key_with_a_key_twice_or_too_many_are_refused() {
    let many = |n: usize| (0..n).map(|i| attribute(&format!("key-{i}"), "")).collect::<Vec<_>>();
    assert_eq!(refused(|d| d.attributes = vec![attribute("", "x")]), "attributes: a key is empty");
    assert_eq!(refused(|d| d.attributes = vec![attribute("a", "1"), attribute("a", "1")]), "attributes: key \"a\" stands twice");
    assert_eq!(refused(|d| d.attributes = many(101)), "attributes: expected at most 100, got 101");
    assert_eq!(refused(|d| d.attributes = vec![attribute("a", &"v".repeat(257))]), "attributes: expected at most 256 bytes, got 257");
}

#[test]
fn what_only_a_provider_may_do_is_refused_to_others() {
    let mut w = World::new();
    let expected = format!("{} is not a provider: register it with tx provider create", bob());
    assert_eq!(update(&mut w, bob(), details()).expect_err("bob is none").log, expected);
    assert_eq!(delete(&mut w, bob()).expect_err("bob is none").log, expected);
    let msg = MsgSetProviderStatus { owner: bob().to_string(), status: 1 };
    assert_eq!(w.refused(|w, ctx| w.providers.set_status(ctx, msg)), expected);
}

#[test]
fn a_status_that_is_none_is_refused() {
    let mut w = World::new();
    create(&mut w, details()).expect("it is in order");
    for status in [0, 3, -1, i32::MAX] {
        let msg = MsgSetProviderStatus { owner: paul().to_string(), status };
        let refusal = w.refused(|w, ctx| w.providers.set_status(ctx, msg));
        assert_eq!(refusal, format!("status: expected ACTIVE (1) or INACTIVE (2), got {status}"));
    }
}

#[test]
fn a_provider_with_a_lease_that_is_not_settled_cannot_be_deleted() {
    let mut w = World::new();
    let lease = w.lab_lease();
    assert!(delete(&mut w, paul()).expect_err("a lease runs").log.contains("has 1 open bids or unsettled leases"));
    w.block(MINUTE);
    w.end_lease(lease, false);
    assert!(delete(&mut w, paul()).expect_err("it may still report").log.contains("close them first"));
    w.block(5 * MINUTE);
    delete(&mut w, paul()).expect("the final window has passed");
}

#[test]
fn an_auditor_vouches_for_attributes_until_it_takes_that_back() {
    let mut w = World::new();
    w.register_paul();
    let (view, audited) = (World::view, vec![attribute("iso", "27001")]);
    sign(&mut w, bob(), audited.clone()).expect("it is in order");
    assert_eq!(w.providers.signed_by(&view(&w), &paul(), &bob()), Ok(Some(audited)));
    unsign(&mut w, bob()).expect("it was signed");
    assert_eq!(w.providers.signed_by(&view(&w), &paul(), &bob()), Ok(None));
    assert!(unsign(&mut w, bob()).expect_err("again").log.contains("has not signed attributes"));
}

#[test]
fn signatures_on_nothing_of_strangers_and_beyond_the_limit_are_refused() {
    let mut w = World::new();
    let one = || vec![attribute("iso", "27001")];
    assert!(sign(&mut w, bob(), one()).expect_err("paul is none yet").log.contains("is not a provider"));
    w.register_paul();
    assert_eq!(sign(&mut w, bob(), vec![]).expect_err("nothing").log, "attributes: expected at least one, got none");
    for n in 0..32 {
        sign(&mut w, provider(n), one()).expect("there is room");
    }
    let refusal = sign(&mut w, bob(), one()).expect_err("32 have signed").log;
    assert!(refusal.ends_with("are signed by 32 auditors already, which is the limit"), "{refusal}");
    sign(&mut w, provider(0), vec![attribute("iso", "9001")]).expect("a known auditor replaces what it said");
}
