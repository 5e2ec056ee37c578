//! Amino JSON: what SIGN_MODE_LEGACY_AMINO_JSON signs, as hardware wallets show it. Derived from the descriptors' `amino`
//! options by the rules of Cosmos SDK's `x/tx/signing/aminojson`: fields sorted by name, defaults left out unless
//! `dont_omitempty`, 64-bit integers as text, enums as numbers, `Any` as `{"type", "value"}`, durations in nanoseconds.
//! A message that those rules have no text for is refused, as there.

use base64::Engine;
use prost::Message as _;
use prost_reflect::{DynamicMessage, ExtensionDescriptor, Value};
use std::sync::LazyLock;

pub use crate::json::Error;
use crate::json::{BASE64, MAX_DEPTH, check_timestamp, fraction, resolve, seconds_and_nanos, text, zigzag};
use crate::schema::{Field, Kind, Message, Scalar, WellKnown, descriptors, schema};
use crate::wire::{Raw, Reader};
use crate::{Any, Timestamp, cosmos::tx::v1beta1::Fee};

/// What is signed beside the messages.
#[derive(Debug, Clone, Copy)]
pub struct SignDoc<'a> {
    pub chain_id: &'a str,
    pub account_number: u64,
    pub sequence: u64,
    pub fee: &'a Fee,
    pub memo: &'a str,
    pub messages: &'a [Any],
    pub timeout_height: u64,
    pub unordered: bool,
    pub timeout_timestamp: Option<&'a Timestamp>,
}

/// The bytes that a signer of SIGN_MODE_LEGACY_AMINO_JSON signs. The error names the field that has no amino form.
pub fn sign_bytes(doc: &SignDoc) -> Result<Vec<u8>, Error> {
    let mut out = format!(r#"{{"account_number":"{}","chain_id":"#, doc.account_number);
    string(&mut out, doc.chain_id);
    out.push_str(r#","fee":{"amount":["#);
    for (i, coin) in doc.fee.amount.iter().enumerate() {
        comma(&mut out, i == 0);
        message_named(&mut out, "cosmos.base.v1beta1.Coin", &coin.encode_to_vec()).map_err(|e| e.at("amount").at("fee"))?;
    }
    out += &format!(r#"],"gas":"{}""#, doc.fee.gas_limit);
    for (name, address) in [("granter", &doc.fee.granter), ("payer", &doc.fee.payer)] {
        if !address.is_empty() {
            out += &format!(r#","{name}":"#);
            string(&mut out, address);
        }
    }
    out.push_str(r#"},"memo":"#);
    string(&mut out, doc.memo);
    out.push_str(r#","msgs":"#);
    out.push_str(if doc.messages.is_empty() { "null" } else { "[" });
    for (i, message) in doc.messages.iter().enumerate() {
        comma(&mut out, i == 0);
        typed(&mut out, &message.type_url, &message.value, MAX_DEPTH).map_err(|e| e.at_index(i).at("messages"))?;
    }
    out.push_str(if doc.messages.is_empty() { "" } else { "]" });
    out += &format!(r#","sequence":"{}""#, doc.sequence);
    if doc.timeout_height > 0 {
        out += &format!(r#","timeout_height":"{}""#, doc.timeout_height);
    }
    if let Some(time) = doc.timeout_timestamp {
        out.push_str(r#","timeout_timestamp":"#);
        timestamp(&mut out, time.seconds, time.nanos).map_err(|e| e.at("timeout_timestamp"))?;
    }
    out.push_str(if doc.unordered { r#","unordered":true}"# } else { "}" });
    Ok(out.into_bytes())
}

/// A message as amino JSON: `{"type":…,"value":…}` with its amino name, or its type URL if it has none.
pub fn to_text(type_url: &str, bytes: &[u8]) -> Result<String, Error> {
    let mut out = String::new();
    typed(&mut out, type_url, bytes, MAX_DEPTH)?;
    Ok(out)
}

// --- the options, computed once, in the order of `schema().messages`

static FORMS: LazyLock<Vec<Form>> = LazyLock::new(|| {
    let pool = descriptors();
    let extension = |name| pool.get_extension_by_name(name).expect("amino is compiled in");
    let get = |options: &DynamicMessage, e: &ExtensionDescriptor| {
        options.has_extension(e).then(|| options.get_extension(e).into_owned()).and_then(|value| match value {
            Value::String(s) => Some(s),
            Value::Bool(b) => Some(b.to_string()),
            _ => None,
        })
    };
    let [name, encoding] = ["amino.name", "amino.message_encoding"].map(extension);
    let [field_encoding, field_name, keep, oneof_name] =
        ["amino.encoding", "amino.field_name", "amino.dont_omitempty", "amino.oneof_name"].map(extension);
    let form = |m: prost_reflect::MessageDescriptor| {
        let message = &schema().messages[schema().index(m.full_name()).expect("of the same pool")];
        let fields = message.fields.iter().enumerate().map(|(index, field)| {
            let descriptor = m.get_field(field.number).expect("of the same message");
            let options = descriptor.options();
            let oneof = descriptor.containing_oneof().map(|o| (camel(o.name()), get(&options, &oneof_name)));
            FieldForm {
                index,
                name: get(&options, &field_name).unwrap_or_else(|| field.name.clone()),
                keep: get(&options, &keep).as_deref() == Some("true"),
                coins: get(&options, &field_encoding).as_deref() == Some("legacy_coins"),
                oneof,
            }
        });
        let mut fields: Vec<FieldForm> = fields.collect();
        fields.sort_by(|a, b| a.sort_name().cmp(b.sort_name()));
        let options = m.options();
        Form { name: get(&options, &name), encoding: get(&options, &encoding).unwrap_or_default(), fields }
    };
    pool.all_messages().map(form).collect()
});

struct Form {
    name: Option<String>,
    encoding: String,
    /// In the order of their names.
    fields: Vec<FieldForm>,
}

struct FieldForm {
    /// Into the message's fields.
    index: usize,
    name: String,
    keep: bool,
    /// An empty list is `[]` and not `null`.
    coins: bool,
    /// The oneof's name as Go has it, and the member's `amino.oneof_name`.
    oneof: Option<(String, Option<String>)>,
}

impl FieldForm {
    fn sort_name(&self) -> &str {
        self.oneof.as_ref().map_or(&self.name, |(name, _)| name)
    }
}

/// `allow_list` → `AllowList`
fn camel(name: &str) -> String {
    let capital = |part: &str| part[..1].to_ascii_uppercase() + &part[1..];
    name.split('_').filter(|part| !part.is_empty()).map(capital).collect()
}

// --- writing

/// Text as Go's JSON writes it: what HTML could take for its own is escaped.
fn string(out: &mut String, text: &str) {
    let json = serde_json::Value::from(text).to_string();
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => *out += &format!("\\u{:04x}", u32::from(c)),
            c => out.push(c),
        }
    }
}

fn comma(out: &mut String, first: bool) {
    if !first {
        out.push(',');
    }
}

fn typed(out: &mut String, type_url: &str, bytes: &[u8], depth: u32) -> Result<(), Error> {
    let message = resolve(type_url).ok_or_else(|| Error::new(format!("unable to resolve type URL {type_url}")))?;
    let index = schema().index(&message.name).expect("resolved");
    *out += match &FORMS[index].name {
        Some(name) => format!(r#"{{"type":"{name}","value":"#),
        None => format!(r#"{{"type":"/{}","value":"#, message.name),
    }
    .as_str();
    value(out, index, bytes, depth)?;
    out.push('}');
    Ok(())
}

fn message_named(out: &mut String, full_name: &str, bytes: &[u8]) -> Result<(), Error> {
    value(out, schema().index(full_name).expect("compiled in"), bytes, MAX_DEPTH)
}

fn value(out: &mut String, index: usize, bytes: &[u8], depth: u32) -> Result<(), Error> {
    let depth = depth.checked_sub(1).ok_or_else(|| Error::new("nested too deep"))?;
    let message = &schema().messages[index];
    match message.well_known {
        Some(WellKnown::Any) => {
            let (type_url, inner) = crate::wire::any(bytes)?;
            return typed(out, text(type_url)?, inner, depth);
        }
        Some(WellKnown::Timestamp) => {
            let (seconds, nanos) = seconds_and_nanos(bytes)?;
            return timestamp(out, seconds, nanos);
        }
        Some(WellKnown::Duration) => return duration(out, bytes),
        None => {}
    }
    let given = read(message, bytes)?;
    match FORMS[index].encoding.as_str() {
        "" => fields(out, index, &given, depth),
        "key_field" => key(out, message, &given),
        "threshold_string" => threshold(out, message, &given, depth),
        other => Err(Error::new(format!("{}: amino encoding {other} is of no message that is signed", message.name))),
    }
}

/// The values of each field, in the order of the message's fields; of a singular field the last one counts.
fn read<'a>(message: &Message, bytes: &'a [u8]) -> Result<Vec<Vec<Raw<'a>>>, Error> {
    let mut given = vec![Vec::new(); message.fields.len()];
    let mut reader = Reader(bytes);
    while !reader.is_empty() {
        let (number, wire_type) = reader.tag()?;
        let raw = reader.value(wire_type)?;
        let Some(index) = message.index_of(number) else { continue };
        let field = &message.fields[index];
        let want = field.kind.wire_type();
        match raw {
            _ if wire_type == want && field.list => given[index].push(raw),
            _ if wire_type == want => {
                for (values, other) in given.iter_mut().zip(&message.fields) {
                    if other.number == field.number || (field.oneof.is_some() && other.oneof == field.oneof) {
                        values.clear();
                    }
                }
                let implicit = field.oneof.is_none() && !field.proto3_optional && !matches!(field.kind, Kind::Message(_));
                if !(implicit && matches!(raw, Raw::Number(0) | Raw::Bytes(b""))) {
                    given[index].push(raw);
                }
            }
            Raw::Bytes(packed) if field.list => {
                let mut packed = Reader(packed);
                while !packed.is_empty() {
                    given[index].push(packed.value(want)?);
                }
            }
            _ => return Err(Error::new(format!("wire type {wire_type} does not fit")).at(&field.name)),
        }
    }
    Ok(given)
}

fn fields(out: &mut String, index: usize, given: &[Vec<Raw>], depth: u32) -> Result<(), Error> {
    let (message, form) = (&schema().messages[index], &FORMS[index]);
    out.push('{');
    let (mut first, mut empty_oneof) = (true, None);
    for f in &form.fields {
        let (field, values) = (&message.fields[f.index], &given[f.index]);
        let at = |e: Error| e.at(&field.name);
        let oneof = match &f.oneof {
            None => None,
            Some((oneof, Some(member))) => Some((oneof, member)),
            Some(_) => return Err(at(Error::new("a member of a oneof without amino.oneof_name"))),
        };
        if values.is_empty() {
            if let Some((name, _)) = oneof
                && empty_oneof != Some(name)
                && message.fields.iter().zip(given).all(|(other, values)| other.oneof != field.oneof || values.is_empty())
            {
                comma(out, first);
                *out += &format!(r#""{name}":null"#);
                (first, empty_oneof) = (false, Some(name));
                continue;
            }
            if !f.keep {
                continue;
            }
        }
        comma(out, first);
        first = false;
        if let Some((oneof, member)) = oneof {
            *out += &format!(r#""{oneof}":{{"type":"{member}","value":{{"#);
        }
        string(out, &f.name);
        out.push(':');
        match values.as_slice() {
            [] if field.list => out.push_str(if f.coins { "[]" } else { "null" }),
            values if field.list => list(out, field, values, depth).map_err(at)?,
            [] => default(out, field).map_err(at)?,
            [.., raw] => one(out, field, *raw, depth).map_err(at)?,
        }
        if oneof.is_some() {
            out.push_str("}}");
        }
    }
    out.push('}');
    Ok(())
}

fn list(out: &mut String, field: &Field, values: &[Raw], depth: u32) -> Result<(), Error> {
    out.push('[');
    for (i, raw) in values.iter().enumerate() {
        comma(out, i == 0);
        one(out, field, *raw, depth).map_err(|e| e.at_index(i))?;
    }
    out.push(']');
    Ok(())
}

fn default(out: &mut String, field: &Field) -> Result<(), Error> {
    match field.kind {
        Kind::Message(_) => Err(Error::new("must be given: it is never left out of amino JSON")),
        Kind::Bytes if field.scalar == Scalar::Plain => {
            out.push_str("null");
            Ok(())
        }
        Kind::String | Kind::Bytes => one(out, field, Raw::Bytes(b""), 0),
        _ => one(out, field, Raw::Number(0), 0),
    }
}

fn one(out: &mut String, field: &Field, raw: Raw, depth: u32) -> Result<(), Error> {
    match (raw, field.kind) {
        // A cast to the width of the type is what the encoding prescribes.
        (Raw::Number(n), Kind::Int32 | Kind::Sfixed32 | Kind::Enum(_)) => *out += &(n as i32).to_string(),
        (Raw::Number(n), Kind::Uint32 | Kind::Fixed32) => *out += &(n as u32).to_string(),
        (Raw::Number(n), Kind::Sint32) => *out += &(zigzag(u64::from(n as u32)) as i32).to_string(),
        (Raw::Number(n), Kind::Int64 | Kind::Sfixed64) => *out += &format!("\"{}\"", n as i64),
        (Raw::Number(n), Kind::Uint64 | Kind::Fixed64) => *out += &format!("\"{n}\""),
        (Raw::Number(n), Kind::Sint64) => *out += &format!("\"{}\"", zigzag(n)),
        (Raw::Number(n), Kind::Bool) => out.push_str(if n != 0 { "true" } else { "false" }),
        (Raw::Bytes(bytes), Kind::Message(m)) => value(out, m, bytes, depth)?,
        (Raw::Bytes(bytes), Kind::String | Kind::Bytes) if field.scalar == Scalar::Dec => {
            string(out, &fraction(plain_integer(text(bytes)?)?)?);
        }
        (Raw::Bytes(b""), Kind::String | Kind::Bytes) if field.scalar == Scalar::Int => out.push_str("\"0\""),
        (Raw::Bytes(bytes), Kind::String) => string(out, text(bytes)?),
        (Raw::Bytes(bytes), Kind::Bytes) if field.scalar == Scalar::Int => string(out, plain_integer(text(bytes)?)?),
        (Raw::Bytes(bytes), Kind::Bytes) => *out += &format!("\"{}\"", BASE64.encode(bytes)),
        _ => return Err(Error::new("has no amino form")),
    }
    Ok(())
}

/// Go reads a leading zero as the sign of another base, so what has one is refused.
fn plain_integer(integer: &str) -> Result<&str, Error> {
    let digits = integer.strip_prefix('-').unwrap_or(integer);
    let plain = digits.bytes().all(|b| b.is_ascii_digit()) && !(digits.len() > 1 && digits.starts_with('0'));
    if plain { Ok(integer) } else { Err(Error::new(format!("expected an integer without leading zeros, got {integer:?}"))) }
}

/// A key stands for its bytes.
fn key(out: &mut String, message: &Message, given: &[Vec<Raw>]) -> Result<(), Error> {
    let index = message.field_named("key").ok_or_else(|| Error::new("a key without the field key"))?;
    match given[index].last() {
        Some(Raw::Bytes(key)) => *out += &format!("\"{}\"", BASE64.encode(key)),
        _ => out.push_str("null"),
    }
    Ok(())
}

/// A multisig key: its threshold is text although it has 32 bits.
fn threshold(out: &mut String, message: &Message, given: &[Vec<Raw>], depth: u32) -> Result<(), Error> {
    let index = |name| message.field_named(name).ok_or_else(|| Error::new("expected a multisig key"));
    let (keys, threshold) = (index("public_keys")?, index("threshold")?);
    out.push_str(r#"{"pubkeys":"#);
    list(out, &message.fields[keys], &given[keys], depth)?;
    let threshold = match given[threshold].last() {
        Some(Raw::Number(n)) => *n as u32,
        _ => 0,
    };
    *out += &format!(r#","threshold":"{threshold}"}}"#);
    Ok(())
}

fn timestamp(out: &mut String, seconds: i64, nanos: i32) -> Result<(), Error> {
    let time = check_timestamp(prost_types::Timestamp { seconds, nanos })?;
    let whole = prost_types::Timestamp { nanos: 0, ..time }.to_string();
    let fraction = format!("{nanos:09}");
    let fraction = fraction.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    *out += &format!("\"{}{dot}{fraction}Z\"", whole.trim_end_matches('Z'));
    Ok(())
}

/// Nanoseconds as text.
fn duration(out: &mut String, bytes: &[u8]) -> Result<(), Error> {
    let (seconds, nanos) = seconds_and_nanos(bytes)?;
    // The bound is Go's, a second short of what fits.
    let total = seconds.checked_mul(1_000_000_000).and_then(|n| n.checked_add(nanos.into())).filter(|_| seconds < 9_223_372_036);
    let total = total.ok_or_else(|| Error::new("duration does not fit 64 bits of nanoseconds"))?;
    *out += &format!("\"{total}\"");
    Ok(())
}
