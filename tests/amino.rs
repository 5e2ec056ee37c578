//! Amino JSON sign bytes are those of Cosmos SDK's own encoder (tests/amino, in Go), made from our descriptors and, for
//! the SDK's messages, from the SDK's: for every message that a transaction can hold, with random fields.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use e2e::{root, run};
use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage as _, Value};
use proto::amino::{SignDoc, sign_bytes};
use proto::cosmos::base::v1beta1::Coin;
use proto::cosmos::tx::v1beta1::{AuthInfo, Fee, TxBody};
use proto::{Any, Timestamp};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use serde_json::json;
use std::process::Command;

const ROUNDS: usize = 40;

/// Every message of a `Msg` service.
fn messages() -> Vec<MessageDescriptor> {
    let services = proto::descriptors().services().filter(|s| s.name() == "Msg");
    services.flat_map(|s| s.methods().map(|m| m.input()).collect::<Vec<_>>()).collect()
}

fn option(f: &FieldDescriptor, name: &str) -> Option<Value> {
    let extension = proto::descriptors().get_extension_by_name(name).expect("compiled in");
    let options = f.options();
    options.has_extension(&extension).then(|| options.get_extension(&extension).into_owned())
}

/// What an `Any` of this interface can hold.
fn implementers(interface: &str) -> Vec<MessageDescriptor> {
    let keys = ["cosmos.crypto.secp256k1.PubKey", "cosmos.crypto.ed25519.PubKey", "cosmos.crypto.multisig.LegacyAminoPubKey"];
    let extension = proto::descriptors().get_extension_by_name("cosmos_proto.implements_interface").expect("compiled in");
    let implements = |m: &MessageDescriptor| match m.options().get_extension(&extension).into_owned() {
        Value::List(all) => all.iter().any(|v| v.as_str() == Some(interface)),
        _ => false,
    };
    let found: Vec<_> = match interface {
        "cosmos.crypto.PubKey" => keys.iter().map(|k| proto::descriptors().get_message_by_name(k).expect("compiled in")).collect(),
        _ => proto::descriptors().all_messages().filter(implements).collect(),
    };
    if found.is_empty() { messages() } else { found }
}

fn text(rng: &mut StdRng) -> String {
    const PARTS: [&str; 16] = ["a", "uve", "<b>", "&", "\"", "\\", "\n", "\t", "\u{8}", "\u{1}", "\u{7f}", "\u{2028}", "é", "🦀", "1", " "];
    (0..rng.gen_range(0..6)).map(|_| *PARTS.choose(rng).expect("some")).collect()
}

fn integer(rng: &mut StdRng, negative: bool) -> String {
    let n: u128 = rng.r#gen::<u128>() >> rng.gen_range(0..128);
    if negative && n > 0 && rng.r#gen() { format!("-{n}") } else { n.to_string() }
}

fn scalar(rng: &mut StdRng, f: &FieldDescriptor, depth: u32) -> Value {
    let small = rng.r#gen();
    let number = |rng: &mut StdRng| if small { rng.gen_range(0..3) } else { rng.r#gen::<u64>() };
    let holds = option(f, "cosmos_proto.scalar").and_then(|v| v.as_str().map(str::to_string)).unwrap_or_default();
    match f.kind() {
        Kind::String if holds == "cosmos.Int" => Value::String(integer(rng, false)),
        Kind::String if holds == "cosmos.Dec" => Value::String(integer(rng, true)),
        Kind::Bytes if holds == "cosmos.Int" => Value::Bytes(integer(rng, false).into_bytes().into()),
        Kind::Bytes if holds == "cosmos.Dec" => Value::Bytes(integer(rng, true).into_bytes().into()),
        Kind::String => Value::String(text(rng)),
        Kind::Bytes => Value::Bytes((0..rng.gen_range(0..40)).map(|_| rng.r#gen()).collect::<Vec<u8>>().into()),
        Kind::Bool => Value::Bool(rng.r#gen()),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(number(rng) as i32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(number(rng) as i64),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(number(rng) as u32),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(number(rng)),
        Kind::Float => Value::F32(1.5),
        Kind::Double => Value::F64(1.5),
        Kind::Enum(e) => Value::EnumNumber(e.values().map(|v| v.number()).collect::<Vec<_>>().choose(rng).copied().unwrap_or(0)),
        Kind::Message(m) => Value::Message(filled(rng, &m, option(f, "cosmos_proto.accepts_interface"), depth)),
    }
}

fn filled(rng: &mut StdRng, m: &MessageDescriptor, interface: Option<Value>, depth: u32) -> DynamicMessage {
    let mut message = DynamicMessage::new(m.clone());
    let set = |message: &mut DynamicMessage, name: &str, value| message.set_field_by_name(name, value);
    match m.full_name() {
        "google.protobuf.Any" => {
            let interface = interface.and_then(|v| v.as_str().map(str::to_string)).unwrap_or_default();
            let candidates = implementers(&interface);
            let chosen = candidates.choose(rng).expect("some");
            let inner = filled(rng, chosen, None, depth.saturating_sub(1));
            set(&mut message, "type_url", Value::String(format!("/{}", inner.descriptor().full_name())));
            set(&mut message, "value", Value::Bytes(inner.encode_to_vec().into()));
        }
        "google.protobuf.Timestamp" => {
            set(&mut message, "seconds", Value::I64(rng.gen_range(-62_135_596_800..253_402_300_799)));
            set(&mut message, "nanos", Value::I32(*[0, 1, 120_000_000, 999_999_999].choose(rng).expect("some")));
        }
        "google.protobuf.Duration" => {
            set(&mut message, "seconds", Value::I64(rng.gen_range(0..9_223_372_040)));
            set(&mut message, "nanos", Value::I32(rng.gen_range(0..1_000_000_000)));
        }
        _ => {
            for f in m.fields() {
                let is_message = matches!(f.kind(), Kind::Message(_));
                let wanted = if is_message && !f.is_list() { 0.93 } else { 0.7 };
                let too_deep = depth == 0 && is_message && option(&f, "amino.dont_omitempty").is_none();
                let other_member = f.containing_oneof().is_some_and(|o| o.fields().any(|other| message.has_field(&other)));
                if too_deep || other_member || !rng.gen_bool(wanted) {
                    continue;
                }
                let value = match f.is_list() {
                    true => Value::List((0..rng.gen_range(0..3)).map(|_| scalar(rng, &f, depth.saturating_sub(1))).collect()),
                    false => scalar(rng, &f, depth.saturating_sub(1)),
                };
                message.set_field(&f, value);
            }
        }
    }
    message
}

fn any(message: &DynamicMessage) -> Any {
    Any { type_url: format!("/{}", message.descriptor().full_name()), value: message.encode_to_vec() }
}

#[test]
fn sign_bytes_of_every_message_are_those_of_the_go_sdk() {
    let mut rng = StdRng::seed_from_u64(20_260_101);
    let (mut input, mut expected, mut names) = (String::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for descriptor in messages() {
            let mut messages = vec![any(&filled(&mut rng, &descriptor, None, 4))];
            if rng.gen_bool(0.1) {
                messages.push(messages[0].clone());
            }
            let body = TxBody {
                messages,
                memo: text(&mut rng),
                timeout_height: rng.gen_range(0..2) * rng.r#gen::<u64>(),
                unordered: rng.gen_bool(0.1),
                timeout_timestamp: rng.gen_bool(0.2).then(|| Timestamp { seconds: rng.gen_range(0..4_000_000_000), nanos: 5_000_000 }),
                ..TxBody::default()
            };
            let amount = |rng: &mut StdRng| Coin { denom: "uve".into(), amount: integer(rng, false) };
            let address = |rng: &mut StdRng| if rng.r#gen() { "virtengine1payer".to_string() } else { String::new() };
            let fee = Fee {
                amount: (0..rng.gen_range(0..3)).map(|_| amount(&mut rng)).collect(),
                gas_limit: rng.gen_range(0..3) * 100_000,
                payer: address(&mut rng),
                granter: address(&mut rng),
            };
            let (chain_id, account_number, sequence) = ("chain<1>", rng.gen_range(0..3), rng.gen_range(0..3));
            let doc = SignDoc {
                chain_id,
                account_number,
                sequence,
                fee: &fee,
                memo: &body.memo,
                messages: &body.messages,
                timeout_height: body.timeout_height,
                unordered: body.unordered,
                timeout_timestamp: body.timeout_timestamp.as_ref(),
            };
            expected.push(sign_bytes(&doc).map(|bytes| String::from_utf8(bytes).expect("text")));
            let auth = AuthInfo { fee: Some(fee), ..AuthInfo::default() };
            input += &json!({
                "Body": BASE64_STANDARD.encode(body.encode_to_vec()), "AuthInfo": BASE64_STANDARD.encode(auth.encode_to_vec()),
                "Address": "signer", "ChainID": chain_id, "AccountNumber": account_number, "Sequence": sequence,
            })
            .to_string();
            input.push('\n');
            names.push(descriptor.full_name().to_string());
        }
    }

    let dir = tempfile::tempdir().expect("a directory");
    let (program, descriptors) = (dir.path().join("amino"), dir.path().join("descriptors.bin"));
    std::fs::write(&descriptors, proto::FILE_DESCRIPTOR_SET).expect("a file");
    let built = run(Command::new("go").args(["build", "-o"]).arg(&program).arg(".").current_dir(root().join("tests/amino")), "");
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    let transactions = dir.path().join("transactions");
    std::fs::write(&transactions, input).expect("a file");
    let answer = run(Command::new(&program).arg(&descriptors).arg(&transactions), "");
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    let lines: Vec<&str> = answer.stdout.lines().collect();
    assert_eq!(lines.len(), expected.len());
    let (mut signed, mut refused) = (std::collections::BTreeSet::new(), 0);
    for ((name, ours), theirs) in names.iter().zip(&expected).zip(lines) {
        match ours {
            Ok(ours) => {
                assert_eq!(ours, theirs, "{name}");
                signed.insert(name);
            }
            Err(e) => {
                assert!(theirs.starts_with("error: "), "{name}: refused here ({e}), there: {theirs}");
                refused += 1;
            }
        }
    }
    let never: Vec<_> = names.iter().filter(|n| !signed.contains(n)).collect();
    assert!(never.is_empty(), "never signed: {never:?}");
    println!("{} sign documents of {} messages agree, {refused} of them refused by both", expected.len(), signed.len());
}

#[test]
fn every_message_of_ours_has_an_amino_name_that_ledger_can_hold() {
    let name = proto::descriptors().get_extension_by_name("amino.name").expect("compiled in");
    let mut seen = std::collections::BTreeSet::new();
    for message in messages().into_iter().filter(|m| m.package_name().starts_with("virtengine.")) {
        let text = message.options().get_extension(&name).as_str().unwrap_or_default().to_string();
        assert_eq!(text, format!("virtengine/{}", message.name()));
        assert!(text.len() < 40 && seen.insert(text));
    }
}
