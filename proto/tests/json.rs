//! JSON as clients of Cosmos chains know it, and what is refused of what they send.

use prost::Message;
use proto::cosmos::bank::v1beta1::{MsgSend, QueryAllBalancesResponse};
use proto::cosmos::base::query::v1beta1::PageResponse;
use proto::cosmos::base::v1beta1::Coin;
use proto::cosmos::staking::v1beta1::CommissionRates;
use proto::cosmos::tx::v1beta1::{AuthInfo, Fee, ModeInfo, SignerInfo, Tx, TxBody, mode_info};
use proto::virtengine::market::v1::Params;
use proto::{Any, Duration, Timestamp, json};
use serde_json::{Value, json};

fn coin(amount: &str) -> Coin {
    Coin { denom: "uve".into(), amount: amount.into() }
}

fn send() -> MsgSend {
    MsgSend { from_address: "ve1a".into(), to_address: "ve1b".into(), amount: vec![coin("5")] }
}

fn refusal(name: &str, value: Value) -> String {
    json::from_value(name, &value).unwrap_err().to_string()
}

#[test]
fn balances_show_amounts_as_text_and_an_absent_key_as_null() {
    let response =
        QueryAllBalancesResponse { balances: vec![coin("200000000000")], pagination: Some(PageResponse { next_key: vec![], total: 1 }) };
    let expected = r#"{"balances":[{"denom":"uve","amount":"200000000000"}],"pagination":{"next_key":null,"total":"1"}}"#;
    assert_eq!(json::to_json(&response).unwrap().to_string(), expected);
    assert_eq!(json::from_json::<QueryAllBalancesResponse>(&serde_json::from_str(expected).unwrap()).unwrap(), response);
}

#[test]
fn a_transaction_shows_its_messages_by_type() {
    let single = mode_info::Single { mode: 1 };
    let tx = Tx {
        body: Some(TxBody {
            messages: vec![Any { type_url: "/cosmos.bank.v1beta1.MsgSend".into(), value: send().encode_to_vec() }],
            timeout_timestamp: Some(Timestamp { seconds: 1_900_000_000, nanos: 120_000_000 }),
            ..Default::default()
        }),
        auth_info: Some(AuthInfo {
            signer_infos: vec![SignerInfo {
                mode_info: Some(ModeInfo { sum: Some(mode_info::Sum::Single(single)) }),
                ..Default::default()
            }],
            fee: Some(Fee { gas_limit: 200_000, ..Default::default() }),
            ..Default::default()
        }),
        signatures: vec![vec![1, 2, 3]],
    };
    let expected = concat!(
        r#"{"body":{"messages":[{"@type":"/cosmos.bank.v1beta1.MsgSend","from_address":"ve1a","to_address":"ve1b","#,
        r#""amount":[{"denom":"uve","amount":"5"}]}],"memo":"","timeout_height":"0","unordered":false,"#,
        r#""timeout_timestamp":"2030-03-17T17:46:40.120Z","extension_options":[],"non_critical_extension_options":[]},"#,
        r#""auth_info":{"signer_infos":[{"public_key":null,"mode_info":{"single":{"mode":"SIGN_MODE_DIRECT"}},"sequence":"0"}],"#,
        r#""fee":{"amount":[],"gas_limit":"200000","payer":"","granter":""},"tip":null},"signatures":["AQID"]}"#,
    );
    assert_eq!(json::to_json(&tx).unwrap().to_string(), expected);
    assert_eq!(json::from_json::<Tx>(&serde_json::from_str(expected).unwrap()).unwrap(), tx);
}

#[test]
fn a_dec_is_an_integer_on_the_wire_and_a_fraction_in_json() {
    let wire = |rate: &str| CommissionRates { rate: rate.into(), ..Default::default() };
    for (integer, fraction) in [
        ("100000000000000000", "0.100000000000000000"),
        ("1", "0.000000000000000001"),
        ("-1500000000000000000", "-1.500000000000000000"),
        ("0", "0.000000000000000000"),
    ] {
        assert_eq!(json::to_json(&wire(integer)).unwrap()["rate"], fraction);
        assert_eq!(json::from_json::<CommissionRates>(&json!({ "rate": fraction })).unwrap(), wire(integer));
    }
    assert_eq!(json::from_json::<CommissionRates>(&json!({ "rate": "0.1" })).unwrap(), wire("100000000000000000"));
    for bad in [json!("1."), json!(".5"), json!("1e3"), json!("0.1234567890123456789"), json!("--1"), json!("١"), json!(0.1)] {
        assert!(refusal("cosmos.staking.v1beta1.CommissionRates", json!({ "rate": bad })).starts_with("rate: expected a decimal fraction"));
    }
    assert!(json::to_json(&wire("0.1")).is_err(), "a fraction on the wire is a mistake of the writer");
}

#[test]
fn durations_are_seconds() {
    let params = Params { order_ttl: Some(Duration { seconds: 1_814_400, nanos: 0 }), ..Default::default() };
    let shown = json::to_json(&params).unwrap();
    assert_eq!(shown["order_ttl"], "1814400s");
    assert_eq!(json::from_json::<Params>(&shown).unwrap(), params);
}

#[test]
fn times_and_durations_out_of_range_are_refused_without_a_panic() {
    for seconds in [i64::MIN, i64::MAX, 253_402_300_800] {
        let body = TxBody { timeout_timestamp: Some(Timestamp { seconds, nanos: -1 }), ..Default::default() };
        assert!(json::to_json(&body).is_err());
        let params = Params { order_ttl: Some(Duration { seconds, nanos: i32::MIN }), ..Default::default() };
        assert!(json::to_json(&params).is_err());
    }
}

#[test]
fn snake_and_camel_case_and_numbers_as_numbers_or_text_are_accepted() {
    let one = json::from_value("cosmos.tx.v1beta1.Fee", &json!({ "gas_limit": "7" })).unwrap();
    let other = json::from_value("cosmos.tx.v1beta1.Fee", &json!({ "gasLimit": 7, "payer": null })).unwrap();
    assert_eq!(one, other);
}

#[test]
fn an_unknown_field_is_refused_by_name_with_the_known_ones() {
    assert_eq!(
        refusal("cosmos.tx.v1beta1.Fee", json!({ "gas": 7 })),
        r#"unknown field "gas" in cosmos.tx.v1beta1.Fee; its fields are amount, gas_limit, payer, granter"#
    );
}

#[test]
fn a_refusal_says_where_it_is() {
    let nested = json!({ "auth_info": { "fee": { "amount": [{ "denom": "uve" }, { "denom": 5 }] } } });
    assert_eq!(refusal("cosmos.tx.v1beta1.Tx", nested), "auth_info.fee.amount[1].denom: expected text, got 5");
    assert_eq!(refusal("cosmos.tx.v1beta1.Fee", json!({ "gas_limit": -1 })), "gas_limit: expected an unsigned 64-bit integer, got -1");
    assert_eq!(
        refusal("cosmos.tx.v1beta1.Fee", json!({ "gas_limit": 1, "gasLimit": 1 })),
        r#"gasLimit: given together with "gas_limit"; only one may be"#
    );
    let mode = json!({ "mode_info": { "single": { "mode": "DIRECT" } } });
    assert!(
        refusal("cosmos.tx.v1beta1.SignerInfo", mode)
            .starts_with(r#"mode_info.single.mode: unknown value "DIRECT" of cosmos.tx.signing.v1beta1.SignMode"#)
    );
}

#[test]
fn an_any_of_an_unknown_type_is_shown_raw_and_refused_as_input() {
    let body = TxBody { messages: vec![Any { type_url: "/x.Y".into(), value: vec![255] }], ..Default::default() };
    let shown = json::to_json(&body).unwrap();
    assert_eq!(shown["messages"][0], json!({ "@type": "/x.Y", "value": "/w==" }));
    assert_eq!(refusal("cosmos.tx.v1beta1.TxBody", shown), "messages[0]: unable to resolve type URL /x.Y");
}

#[test]
fn endless_nesting_is_refused() {
    let mut bytes = Vec::new();
    for _ in 0..5_000 {
        bytes = Any { type_url: "/google.protobuf.Any".into(), value: bytes }.encode_to_vec();
    }
    let body = TxBody { messages: vec![Any::decode(bytes.as_slice()).unwrap()], ..Default::default() };
    assert!(json::to_json(&body).unwrap_err().to_string().ends_with("nested too deep"));
}

#[test]
fn junk_bytes_never_panic() {
    let tx = Tx {
        body: Some(TxBody {
            messages: vec![Any { type_url: "/cosmos.bank.v1beta1.MsgSend".into(), value: send().encode_to_vec() }],
            ..Default::default()
        }),
        ..Default::default()
    };
    let bytes = tx.encode_to_vec();
    for i in 0..bytes.len() {
        for byte in 0..=255 {
            let mut junk = bytes.clone();
            junk[i] = byte;
            let _outcome = json::to_value("cosmos.tx.v1beta1.Tx", &junk);
        }
    }
}
