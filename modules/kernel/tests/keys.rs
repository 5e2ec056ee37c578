//! Keys keep their order as bytes and come back as they were; an address has one text.

use bech32::primitives::iter::{ByteIterExt, Fe32IterExt};
use bech32::{Bech32, Fe32, Hrp};
use kernel::{ACCOUNT_PREFIX, Address, BidId, DeploymentId, Key, Text, Word, bech32_decode, module_address};
use proptest::prelude::*;
use std::{cmp::Reverse, fmt::Debug};

fn check<K: Key + Debug>(a: K, b: K) -> Result<(), TestCaseError> {
    let (x, y) = (a.to_bytes(), b.to_bytes());
    prop_assert_eq!(a.cmp(&b), x.cmp(&y), "{:?} and {:?}", a, b);
    let mut rest = x.as_slice();
    let back = K::take(&mut rest);
    prop_assert!(back.is_some_and(|k| k == a) && rest.is_empty(), "{:?} does not come back", a);
    Ok(())
}

fn address() -> impl Strategy<Value = Address> {
    any::<[u8; 20]>().prop_map(|raw| Address::new(&raw).unwrap())
}

fn bid() -> impl Strategy<Value = BidId> {
    (address(), any::<u64>(), 0..3u32, 0..3u32, address())
        .prop_map(|(owner, dseq, g, o, provider)| DeploymentId { owner, dseq }.group(g).order(o).bid(provider))
}

proptest! {
    #[test]
    fn keys_keep_their_order_as_bytes(a in bid(), b in bid(), n: u64, m: u64, s in "[a-z/]{0,4}", t in "[a-z/]{0,4}") {
        check(a, b)?;
        check((a.provider, Text(s.clone())), (a.provider, Text(t.clone())))?;
        check((Word(s), n), (Word(t), m))?;
        check(Reverse(n), Reverse(m))?;
    }

    #[test]
    fn no_bytes_make_taking_a_key_panic(bytes: Vec<u8>) {
        let mut b = bytes.as_slice();
        if let Some(id) = BidId::take(&mut b) {
            prop_assert_eq!(id.to_bytes(), &bytes[..bytes.len() - b.len()]);
        }
        let _: Option<(Word, u64)> = Key::take(&mut bytes.as_slice());
    }

    #[test]
    fn texts_are_those_of_the_bech32_crate(raw: Vec<u8>, at: prop::sample::Index, with in "[a-z0-9A-Z ]") {
        let hrp = Hrp::parse(ACCOUNT_PREFIX).unwrap();
        let raw = &raw[..raw.len().min(64)];
        let text = kernel::bech32_encode(ACCOUNT_PREFIX, raw);
        prop_assert_eq!(&text, &bech32::encode::<Bech32>(hrp, raw).unwrap());
        prop_assert_eq!(bech32_decode(ACCOUNT_PREFIX, &text), Ok(raw.to_vec()));
        let at = at.index(text.len());
        let changed = format!("{}{with}{}", &text[..at], &text[at + 1..]);
        prop_assert_eq!(bech32_decode(ACCOUNT_PREFIX, &changed).is_ok(), changed == text, "{}", changed);
    }

    #[test]
    fn no_text_makes_reading_an_address_panic(text in "\\PC{0,60}", tail in "1[qpzry9x8gf2tvdw0s3jn54khce6mua7l]{0,60}") {
        prop_assert!(text.parse::<Address>().is_err());
        let text = format!("virtengine{tail}");
        prop_assert!(text.parse::<Address>().is_err());
    }

    #[test]
    fn an_address_comes_back_from_its_text(a in address()) {
        prop_assert_eq!(a.to_string().parse::<Address>(), Ok(a));
        prop_assert_eq!(Address::from_validator(&a.to_validator()), Ok(a));
    }
}

#[test]
fn a_module_s_address_is_the_hash_of_its_name() {
    assert_eq!(module_address("fee_collector").to_string(), "virtengine17xpfvakm2amg962yls6f84z3kell8c5lkzz3qf");
}

/// The text of these five-bit groups with a right checksum.
fn text(groups: Vec<Fe32>) -> String {
    groups.into_iter().with_checksum::<Bech32>(&Hrp::parse(ACCOUNT_PREFIX).unwrap()).chars().collect()
}

#[test]
fn a_second_text_for_the_same_address_is_refused() {
    let mut groups: Vec<Fe32> = [7; 20].iter().copied().bytes_to_fes().collect();
    assert!(text(groups.clone()).parse::<Address>().is_ok());
    groups.push(Fe32::Q);
    assert!(text(groups).parse::<Address>().is_err(), "an empty group at the end");
    let mut groups: Vec<Fe32> = [0; 32].iter().copied().bytes_to_fes().collect();
    *groups.last_mut().unwrap() = Fe32::P;
    assert!(text(groups).parse::<Address>().is_err(), "padding that is not zero");
    assert!(module_address("a").to_string().to_uppercase().parse::<Address>().is_err(), "capitals");
}

#[test]
fn what_is_wrong_with_an_address_is_said() {
    let other = kernel::bech32_encode("cosmos", &[1; 20]);
    assert_eq!(bech32_decode(ACCOUNT_PREFIX, &other), Err("invalid Bech32 prefix; expected virtengine, got cosmos".into()));
    assert_eq!("".parse::<Address>(), Err("empty address string is not allowed".into()));
    for (text, reason) in [
        ("xyz", "invalid bech32 string length 3"),
        ("1".repeat(1024).as_str(), "invalid bech32 string length 1024"),
        ("virtengine 1qqqqqqqq", "invalid character in string: ' '"),
        ("virtengine1\u{e9}qqqqqqq", "invalid character in string: '\u{c3}'"),
        ("virtengine1QQQQQQQ", "string not all lowercase or all uppercase"),
        ("virtengine", "invalid separator index -1"),
        ("1qqqqqqqqq", "invalid separator index 0"),
        ("virtengine1qqqqq", "invalid separator index 10"),
        ("virtengine1qqqbqqqq", "invalid character not part of charset: 98"),
        ("virtengine17xpfvakm2amg962yls6f84z3kell8c5lkzz3qq", "invalid checksum (expected kzz3qf got kzz3qq)"),
    ] {
        assert_eq!(text.parse::<Address>(), Err(format!("decoding bech32 failed: {reason}")), "{text}");
    }
    let short = kernel::bech32_encode(ACCOUNT_PREFIX, &[1; 19]);
    assert!(short.parse::<Address>().unwrap_err().contains("20 or 32 bytes"));
}
