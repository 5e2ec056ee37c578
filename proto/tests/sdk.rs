//! Against facts from a Cosmos SDK v0.53 chain: its descriptors, and JSON as its Go code writes it.
//!
//! `sdk-descriptors.txt` has a line per field, enum value and method of what its reflection service lists.
//! `sdk-json.txt` has a line per message: full name, encoding in hex (`-` when empty), JSON.

use std::collections::BTreeSet;

use prost_reflect::{Cardinality, FieldDescriptor, Kind, MessageDescriptor};
use proto::{descriptors, json};

fn unhex(hex: &str) -> Vec<u8> {
    let hex = hex.trim_start_matches('-');
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

#[test]
fn json_of_every_kind_of_message_is_what_go_writes() {
    for line in include_str!("sdk-json.txt").lines() {
        let [name, hex, expected] = line.splitn(3, ' ').collect::<Vec<_>>().try_into().unwrap();
        let expected: serde_json::Value = serde_json::from_str(expected).unwrap();
        let shown = json::to_value(name, &unhex(hex)).unwrap_or_else(|e| panic!("{name} {hex}: {e}"));
        // as text, because the order of fields counts
        assert_eq!(shown.to_string(), expected.to_string(), "{name} {hex}");
    }
}

#[test]
fn json_that_was_shown_can_be_read_back() {
    for line in include_str!("sdk-json.txt").lines() {
        let [name, _, shown] = line.splitn(3, ' ').collect::<Vec<_>>().try_into().unwrap();
        let bytes = json::from_value(name, &serde_json::from_str(shown).unwrap()).unwrap_or_else(|e| panic!("{name} {shown}: {e}"));
        let again = json::to_value(name, &bytes).unwrap();
        assert_eq!(json::from_value(name, &again).unwrap(), bytes, "{name} {shown}");
    }
}

#[test]
fn descriptors_are_those_of_the_sdk() {
    let expected: BTreeSet<&str> = include_str!("sdk-descriptors.txt").lines().collect();
    let mut ours = BTreeSet::new();
    for message in descriptors().all_messages().filter(|m| from_sdk(m.package_name())) {
        describe(&message, &mut ours);
    }
    for e in descriptors().all_enums().filter(|e| from_sdk(e.package_name())) {
        ours.extend(e.values().map(|v| format!("enum {} {} = {}", e.full_name(), v.name(), v.number())));
    }
    for service in descriptors().services().filter(|s| from_sdk(s.package_name())) {
        for m in service.methods() {
            ours.insert(format!("rpc {} {} {} -> {}", service.full_name(), m.name(), m.input().full_name(), m.output().full_name()));
        }
    }
    let missing: Vec<_> = expected.iter().filter(|line| !ours.contains(**line)).collect();
    let extra: Vec<_> = ours.iter().filter(|line| !expected.contains(line.as_str())).collect();
    assert!(missing.is_empty() && extra.is_empty(), "missing: {missing:#?}, not in the SDK: {extra:#?}");
}

fn from_sdk(package: &str) -> bool {
    !package.starts_with("virtengine.") && !package.starts_with("google.protobuf")
}

fn describe(message: &MessageDescriptor, lines: &mut BTreeSet<String>) {
    if message.fields().len() == 0 {
        lines.insert(format!("empty {}", message.full_name()));
    }
    for f in message.fields() {
        let oneof = f.containing_oneof().map(|o| format!(" oneof {}", o.name())).unwrap_or_default();
        let label = match f.cardinality() {
            Cardinality::Repeated => "repeated",
            Cardinality::Required => "required",
            Cardinality::Optional => "optional",
        };
        lines.insert(format!("field {} {label} {} {} = {}{oneof}", message.full_name(), type_name(&f), f.name(), f.number()));
    }
}

fn type_name(f: &FieldDescriptor) -> String {
    match f.kind() {
        Kind::Message(m) => m.full_name().to_owned(),
        Kind::Enum(e) => e.full_name().to_owned(),
        scalar => format!("{scalar:?}"),
    }
}
