//! The text that SIGN_MODE_LEGACY_AMINO_JSON signs. `tests/amino.rs` at the top compares every message with the Go SDK.

use prost::Message;
use proto::amino::{SignDoc, sign_bytes, to_text};
use proto::cosmos::bank::v1beta1::MsgSend;
use proto::cosmos::base::v1beta1::Coin;
use proto::cosmos::crypto::multisig::LegacyAminoPubKey;
use proto::cosmos::crypto::secp256k1::PubKey;
use proto::cosmos::staking::v1beta1::MsgDelegate;
use proto::cosmos::tx::v1beta1::Fee;
use proto::virtengine::base::v1::BidId;
use proto::virtengine::market::v1::MsgCreateBid;
use proto::{Any, Timestamp, any};

fn text<M: Message + prost::Name>(message: &M) -> Result<String, String> {
    let Any { type_url, value } = any(message);
    to_text(&type_url, &value).map_err(|e| e.to_string())
}

fn coin(amount: &str) -> Coin {
    Coin { denom: "uve".into(), amount: amount.into() }
}

#[test]
fn a_sign_document_is_sorted_and_escaped_and_shows_what_is_given() {
    let message = any(&MsgSend { from_address: "a".into(), to_address: "b".into(), amount: vec![] });
    let doc = SignDoc {
        chain_id: "c-1",
        account_number: 7,
        sequence: 0,
        fee: &Fee { amount: vec![coin("5")], gas_limit: 200_000, payer: "p".into(), granter: String::new() },
        memo: "<&>",
        messages: &[message],
        timeout_height: 9,
        unordered: false,
        timeout_timestamp: Some(&Timestamp { seconds: 0, nanos: 120_000_000 }),
    };
    let expected = concat!(
        r#"{"account_number":"7","chain_id":"c-1","fee":{"amount":[{"amount":"5","denom":"uve"}],"gas":"200000","payer":"p"},"#,
        r#""memo":"\u003c\u0026\u003e","msgs":[{"type":"cosmos-sdk/MsgSend","value":{"amount":[],"from_address":"a","to_address":"b"}}],"#,
        r#""sequence":"0","timeout_height":"9","timeout_timestamp":"1970-01-01T00:00:00.12Z"}"#,
    );
    assert_eq!(String::from_utf8(sign_bytes(&doc).unwrap()).unwrap(), expected);
}

#[test]
fn keys_are_their_bytes_and_thresholds_text() {
    let key = any(&PubKey { key: vec![1, 2, 3] });
    let multisig = LegacyAminoPubKey { threshold: 2, public_keys: vec![key] };
    let expected = concat!(
        r#"{"type":"tendermint/PubKeyMultisigThreshold","value":{"pubkeys":[{"type":"tendermint/PubKeySecp256k1","value":"AQID"}],"#,
        r#""threshold":"2"}}"#
    );
    assert_eq!(text(&multisig).unwrap(), expected);
}

#[test]
fn messages_of_ours_have_short_names() {
    let bid_id = Some(BidId { owner: "o".into(), dseq: 1, gseq: 2, oseq: 0, provider: String::new() });
    let bid = MsgCreateBid { signer: "s".into(), bid_id, price: Some(coin("1")), deposit: None };
    let expected = concat!(
        r#"{"type":"virtengine/MsgCreateBid","value":{"bid_id":{"dseq":"1","gseq":2,"owner":"o"},"#,
        r#""price":{"amount":"1","denom":"uve"},"signer":"s"}}"#
    );
    assert_eq!(text(&bid).unwrap(), expected);
}

#[test]
fn what_has_no_text_is_refused_by_name() {
    let delegate = MsgDelegate { delegator_address: "d".into(), validator_address: "v".into(), amount: None };
    assert_eq!(text(&delegate).unwrap_err(), "amount: must be given: it is never left out of amino JSON");
    assert_eq!(to_text("/x.Y", &[]).unwrap_err().to_string(), "unable to resolve type URL /x.Y");
}
