//! Transactions that say more than the chain understands are refused.

use prost::Message;
use proto::cosmos::bank::v1beta1::MsgSend;
use proto::cosmos::base::v1beta1::Coin;
use proto::cosmos::tx::v1beta1::{AuthInfo, Fee, ModeInfo, SignerInfo, TxBody, TxRaw, mode_info};
use proto::strict::{self, Error};
use proto::{Any, any, cosmos};

fn send() -> Any {
    let amount = vec![Coin { denom: "uve".into(), amount: "5".into() }];
    any(&MsgSend { from_address: "ve1a".into(), to_address: "ve1b".into(), amount })
}

fn body() -> Vec<u8> {
    TxBody { messages: vec![send()], memo: "hi".into(), ..Default::default() }.encode_to_vec()
}

fn auth_info() -> AuthInfo {
    let mode_info = Some(ModeInfo { sum: Some(mode_info::Sum::Single(mode_info::Single { mode: 1 })) });
    let public_key = Some(any(&cosmos::crypto::secp256k1::PubKey { key: vec![2; 33] }));
    AuthInfo {
        signer_infos: vec![SignerInfo { public_key, mode_info, sequence: 3 }],
        fee: Some(Fee { gas_limit: 9, ..Default::default() }),
        ..Default::default()
    }
}

fn raw(body_bytes: Vec<u8>) -> Vec<u8> {
    TxRaw { body_bytes, auth_info_bytes: auth_info().encode_to_vec(), signatures: vec![vec![7; 64]] }.encode_to_vec()
}

/// The field `number` with the bytes `value`.
fn field(number: u32, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::bytes::encode(number, &value.to_vec(), &mut bytes);
    bytes
}

fn refusal(tx: &[u8]) -> String {
    strict::transaction(tx).unwrap_err().to_string()
}

#[test]
fn a_plain_transaction_passes_and_its_parts_are_the_received_bytes() {
    let tx = raw(body());
    let parts = strict::transaction(&tx).unwrap();
    assert_eq!((parts.body, parts.auth_info), (body().as_slice(), auth_info().encode_to_vec().as_slice()));
    assert_eq!(parts.signatures, [[7; 64]]);
    assert!(!parts.non_critical);
}

#[test]
fn an_unknown_field_is_refused_wherever_it_is() {
    let body_error = r#"errUnknownField "cosmos.tx.v1beta1.TxBody": {TagNum: 9, WireType:"bytes"}"#;
    assert_eq!(refusal(&raw([body(), field(9, b"x")].concat())), body_error);

    let mut message = send();
    message.value.extend(field(4, b"x"));
    let nested = TxBody { messages: vec![message], ..Default::default() }.encode_to_vec();
    assert_eq!(refusal(&raw(nested)), r#"errUnknownField "cosmos.bank.v1beta1.MsgSend": {TagNum: 4, WireType:"bytes"}"#);

    let in_any = [field(1, &[send().encode_to_vec(), field(3, b"x")].concat())].concat();
    assert_eq!(refusal(&raw(in_any)), r#"errUnknownField "google.protobuf.Any": {TagNum: 3, WireType:"bytes"}"#);

    let outside = [raw(body()), field(4, b"x")].concat();
    assert_eq!(refusal(&outside), r#"errUnknownField "cosmos.tx.v1beta1.TxRaw": {TagNum: 4, WireType:"bytes"}"#);

    let auth_info_bytes = [auth_info().encode_to_vec(), field(1030, b"x")].concat();
    let tx = TxRaw { body_bytes: body(), auth_info_bytes, signatures: vec![] }.encode_to_vec();
    assert_eq!(refusal(&tx), r#"errUnknownField "cosmos.tx.v1beta1.AuthInfo": {TagNum: 1030, WireType:"bytes"}"#);
}

#[test]
fn an_unknown_field_with_bit_11_is_reported_in_the_body() {
    let tx = raw([body(), field(1024 + 6, b"x")].concat());
    assert!(strict::transaction(&tx).unwrap().non_critical);
    let tx = raw([body(), field(2048, b"x")].concat());
    assert!(matches!(strict::transaction(&tx), Err(Error::UnknownField { number: 2048, .. })));
}

#[test]
fn a_wrong_wire_type_is_refused() {
    let tx = raw([field(3, b"x")].concat());
    assert_eq!(refusal(&tx), r#"Mismatched "cosmos.tx.v1beta1.TxBody": {TagNum: 3, GotWireType: "bytes" != WantWireType: "varint"}"#);
    let mut group = body();
    prost::encoding::encode_varint(1030 << 3 | 3, &mut group);
    assert_eq!(refusal(&raw(group)), "could not consume field value for tagNum: 1030; cannot parse reserved wire type");
}

#[test]
fn a_singular_field_that_comes_twice_is_refused() {
    let tx = raw([body(), field(2, b"other memo")].concat());
    assert_eq!(refusal(&tx), r#"duplicate field "cosmos.tx.v1beta1.TxBody": {TagNum: 2}"#);
    let single_and_multi = [field(1, &[8, 1]), field(2, b"")].concat();
    let auth_info_bytes = field(1, &field(2, &single_and_multi));
    let tx = TxRaw { body_bytes: body(), auth_info_bytes, signatures: vec![] }.encode_to_vec();
    assert_eq!(refusal(&tx), r#"duplicate field "cosmos.tx.v1beta1.ModeInfo": {TagNum: 2}"#);
}

#[test]
fn the_outer_encoding_is_canonical() {
    let (body, auth_info) = (field(1, &body()), field(2, &auth_info().encode_to_vec()));
    let signature = field(3, &[7; 64]);
    let swapped = [auth_info.clone(), body.clone(), signature.clone()].concat();
    assert_eq!(refusal(&swapped), "txRaw must follow ADR-027, got tagNum 1 after tagNum 2");
    let twice = [body.clone(), body.clone(), auth_info, signature].concat();
    assert_eq!(refusal(&twice), r#"duplicate field "cosmos.tx.v1beta1.TxRaw": {TagNum: 1}"#);
    let long_length = [0x0a, 0x82, 0x00, 0x12, 0x00];
    assert_eq!(refusal(&long_length), "length prefix varint for tagNum 1 is not as short as possible, read 2, only need 1");
    let long_tag = [0x8a, 0x00, 0x00];
    assert_eq!(refusal(&long_tag), "length prefix varint for tagNum 1 is not as short as possible, read 2, only need 1");
}

#[test]
fn a_type_that_is_not_compiled_in_is_refused() {
    for type_url in ["/x.Y", "", "cosmos.bank.v1beta1.MsgSend", "type.googleapis.com/cosmos.bank.v1beta1.MsgSend"] {
        let message = Any { type_url: type_url.into(), value: vec![] };
        let body = TxBody { messages: vec![message], ..Default::default() }.encode_to_vec();
        assert_eq!(refusal(&raw(body)), format!("unable to resolve type URL {type_url}"));
    }
}

#[test]
fn nesting_is_bounded() {
    let nest_any = |depth| {
        let mut message = send();
        for _ in 0..depth {
            message = any(&message);
        }
        raw(TxBody { messages: vec![message], ..Default::default() }.encode_to_vec())
    };
    assert!(strict::transaction(&nest_any(strict::MAX_ANY_DEPTH - 1)).is_ok());
    assert_eq!(refusal(&nest_any(2_000)), "recursion limit reached");

    let nest_mode = |depth| {
        let mut mode = vec![];
        for _ in 0..depth {
            mode = field(2, &field(2, &mode));
        }
        let auth_info_bytes = field(1, &field(2, &mode));
        TxRaw { body_bytes: body(), auth_info_bytes, signatures: vec![] }.encode_to_vec()
    };
    let deep = nest_mode(strict::MAX_DEPTH / 2 - 2);
    let parts = strict::transaction(&deep).unwrap();
    assert!(AuthInfo::decode(parts.auth_info).is_ok(), "what passes can be decoded");
    assert_eq!(refusal(&nest_mode(strict::MAX_DEPTH / 2)), "recursion limit reached");
}

#[test]
fn truncated_and_changed_bytes_never_panic_and_what_passes_can_be_decoded() {
    let tx = raw(body());
    for end in 0..tx.len() {
        let _outcome = strict::transaction(&tx[..end]);
    }
    for i in 0..tx.len() {
        for byte in 0..=255 {
            let mut changed = tx.clone();
            changed[i] = byte;
            if let Ok(parts) = strict::transaction(&changed) {
                let raw = TxRaw::decode(changed.as_slice()).unwrap();
                assert_eq!((parts.body, parts.auth_info), (raw.body_bytes.as_slice(), raw.auth_info_bytes.as_slice()));
            }
        }
    }
}
