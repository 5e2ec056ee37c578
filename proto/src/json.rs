//! Messages as JSON the way the Cosmos SDK's REST and command line show them: names as in the .proto files and in their
//! order, defaults present, 64-bit integers as text, enums as names, bytes in base64, `Any` as `{"@type": …}`, `cosmos.Dec`
//! as a fraction with 18 decimals. Where prost's view and Go's differ, Go's is shown: absent bytes are `null`, and messages
//! marked `gogoproto.nullable = false` are there with their defaults.

use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use prost::encoding::{encode_varint, encoded_len_varint};
use serde_json::{Map, Value, json};

use crate::schema::{BYTES, FIXED32, FIXED64, Field, Kind, Message, Scalar, Schema, VARINT, WellKnown, schema};
use crate::wire::{Raw, Reader, WireError};

/// Messages within messages; the same in both directions.
pub(crate) const MAX_DEPTH: u32 = 100;

/// Decimals of `cosmos.Dec`.
const DEC_PLACES: usize = 18;

/// Accepts base64 with and without padding.
pub(crate) const BASE64: GeneralPurpose =
    GeneralPurpose::new(&ALPHABET, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// What could not be converted, and where it lies: `fee.amount[0].denom: expected text, got 5`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}{problem}", path, if path.is_empty() { "" } else { ": " })]
pub struct Error {
    path: String,
    problem: String,
}

impl Error {
    pub(crate) fn new(problem: impl Into<String>) -> Error {
        Error { path: String::new(), problem: problem.into() }
    }

    fn expected(what: &str, got: &Value) -> Error {
        Error::new(format!("expected {what}, got {got}"))
    }

    pub(crate) fn at(mut self, name: &str) -> Error {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{name}{dot}{}", self.path);
        self
    }

    pub(crate) fn at_index(mut self, index: usize) -> Error {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("[{index}]{dot}{}", self.path);
        self
    }
}

impl From<WireError> for Error {
    fn from(error: WireError) -> Error {
        Error::new(format!("malformed message: {error}"))
    }
}

/// A message as JSON.
pub fn to_json<M: prost::Message + prost::Name>(message: &M) -> Result<Value, Error> {
    to_value(&M::full_name(), &message.encode_to_vec())
}

/// A message from JSON.
pub fn from_json<M: prost::Message + prost::Name + Default>(value: &Value) -> Result<M, Error> {
    let bytes = from_value(&M::full_name(), value)?;
    M::decode(bytes.as_slice()).map_err(|e| Error::new(e.to_string()))
}

/// The encoded message of the given full name as JSON. Fields that it does not know are left out; of a singular field
/// that occurs twice the last one counts.
pub fn to_value(full_name: &str, bytes: &[u8]) -> Result<Value, Error> {
    Ok(Value::Object(show(message_named(full_name)?, bytes, MAX_DEPTH)?))
}

/// The encoding of the message of the given full name from JSON. Takes names in snake_case and camelCase, integers as
/// numbers or text, enums by name or number. Fields come in the order of their numbers.
pub fn from_value(full_name: &str, value: &Value) -> Result<Vec<u8>, Error> {
    parse(message_named(full_name)?, value, MAX_DEPTH)
}

fn message_named(full_name: &str) -> Result<&'static Message, Error> {
    let schema = schema();
    let index = schema.index(full_name).ok_or_else(|| Error::new(format!("unknown message {full_name}")))?;
    Ok(&schema.messages[index])
}

/// The message behind a type URL. Only the last segment counts, as everywhere in protobuf.
pub(crate) fn resolve(type_url: &str) -> Option<&'static Message> {
    let name = type_url.rsplit('/').next().unwrap_or(type_url);
    schema().index(name).map(|index| &schema().messages[index])
}

// --- encoding → JSON

fn show(message: &Message, bytes: &[u8], depth: u32) -> Result<Map<String, Value>, Error> {
    let depth = depth.checked_sub(1).ok_or_else(|| Error::new("nested too deep"))?;
    let mut values: Vec<Option<Value>> = vec![None; message.fields.len()];
    let mut reader = Reader(bytes);
    while !reader.is_empty() {
        let (number, wire_type) = reader.tag()?;
        let raw = reader.value(wire_type)?;
        let Some(index) = message.index_of(number) else {
            continue;
        };
        let field = &message.fields[index];
        let expected = wire_type == field.kind.wire_type();
        if field.list {
            let items = values[index].get_or_insert_with(|| json!([])).as_array_mut().expect("a list");
            if expected {
                let item = show_one(field, raw, depth).map_err(|e| e.at_index(items.len()).at(&field.name))?;
                items.push(item);
            } else if let Raw::Bytes(packed) = raw {
                let mut packed = Reader(packed);
                while !packed.is_empty() {
                    let raw = packed.value(field.kind.wire_type())?;
                    items.push(show_one(field, raw, depth).map_err(|e| e.at_index(items.len()).at(&field.name))?);
                }
            } else {
                return Err(Error::new(format!("wire type {wire_type} does not fit")).at(&field.name));
            }
        } else if expected {
            if field.oneof.is_some() {
                for (_, value) in message.fields.iter().zip(&mut values).filter(|(f, _)| f.oneof == field.oneof) {
                    *value = None;
                }
            }
            values[index] = Some(show_one(field, raw, depth).map_err(|e| e.at(&field.name))?);
        } else {
            return Err(Error::new(format!("wire type {wire_type} does not fit")).at(&field.name));
        }
    }
    let mut shown = Map::with_capacity(values.len());
    for (field, value) in message.fields.iter().zip(values) {
        if let Some(value) = value {
            shown.insert(field.name.clone(), value);
        } else if field.oneof.is_none() {
            shown.insert(field.name.clone(), show_default(field, depth)?);
        }
    }
    Ok(shown)
}

fn show_default(field: &Field, depth: u32) -> Result<Value, Error> {
    if field.list {
        return Ok(json!([]));
    }
    match field.kind {
        _ if field.optional => Ok(Value::Null),
        Kind::Message(m) if field.always => match schema().messages[m].well_known {
            // Go's zero time
            Some(WellKnown::Timestamp) => Ok(json!("0001-01-01T00:00:00Z")),
            _ => show_message(m, &[], depth),
        },
        Kind::Message(_) => Ok(Value::Null),
        Kind::Bytes if field.scalar == Scalar::Plain => Ok(Value::Null),
        Kind::String | Kind::Bytes => show_one(field, Raw::Bytes(&[]), depth),
        _ => show_one(field, Raw::Number(0), depth),
    }
}

fn show_one(field: &Field, raw: Raw, depth: u32) -> Result<Value, Error> {
    Ok(match (raw, field.kind) {
        // A cast to the width of the type is what the encoding prescribes.
        (Raw::Number(n), Kind::Int32 | Kind::Sfixed32) => json!(n as i32),
        (Raw::Number(n), Kind::Uint32 | Kind::Fixed32) => json!(n as u32),
        (Raw::Number(n), Kind::Sint32) => json!(zigzag(u64::from(n as u32)) as i32),
        (Raw::Number(n), Kind::Int64 | Kind::Sfixed64) => json!((n as i64).to_string()),
        (Raw::Number(n), Kind::Uint64 | Kind::Fixed64) => json!(n.to_string()),
        (Raw::Number(n), Kind::Sint64) => json!(zigzag(n).to_string()),
        (Raw::Number(n), Kind::Float) => json!(f32::from_bits(n as u32)),
        (Raw::Number(n), Kind::Double) => json!(f64::from_bits(n)),
        (Raw::Number(n), Kind::Bool) => json!(n != 0),
        (Raw::Number(n), Kind::Enum(e)) => match schema().enums[e].name_of(n as i32) {
            Some(name) => json!(name),
            None => json!(n as i32),
        },
        (Raw::Bytes(bytes), Kind::Message(m)) => show_message(m, bytes, depth)?,
        (Raw::Bytes(bytes), Kind::String | Kind::Bytes) if field.scalar == Scalar::Dec => {
            json!(fraction(text(bytes)?)?)
        }
        (Raw::Bytes(b""), Kind::String | Kind::Bytes) if field.scalar == Scalar::Int => json!("0"),
        (Raw::Bytes(bytes), Kind::String) => json!(text(bytes)?),
        (Raw::Bytes(bytes), Kind::Bytes) if field.scalar == Scalar::Int => json!(text(bytes)?),
        (Raw::Bytes(bytes), Kind::Bytes) => json!(BASE64.encode(bytes)),
        _ => return Err(Error::new("the wire type does not fit")),
    })
}

fn show_message(index: usize, bytes: &[u8], depth: u32) -> Result<Value, Error> {
    let message = &schema().messages[index];
    match message.well_known {
        None => Ok(Value::Object(show(message, bytes, depth)?)),
        Some(WellKnown::Any) => show_any(bytes, depth),
        Some(WellKnown::Timestamp) => {
            let (seconds, nanos) = seconds_and_nanos(bytes)?;
            Ok(json!(check_timestamp(prost_types::Timestamp { seconds, nanos })?.to_string()))
        }
        Some(WellKnown::Duration) => {
            let (seconds, nanos) = seconds_and_nanos(bytes)?;
            Ok(json!(check_duration(prost_types::Duration { seconds, nanos })?.to_string()))
        }
    }
}

fn show_any(bytes: &[u8], depth: u32) -> Result<Value, Error> {
    let (type_url, value) = crate::wire::any(bytes)?;
    let type_url = text(type_url)?;
    let mut shown = Map::from_iter([("@type".to_owned(), json!(type_url))]);
    match resolve(type_url) {
        None => {
            shown.insert("value".into(), json!(BASE64.encode(value)));
        }
        Some(message) if message.well_known.is_some() => {
            let index = schema().index(&message.name).expect("resolved");
            let depth = depth.checked_sub(1).ok_or_else(|| Error::new("nested too deep"))?;
            shown.insert("value".into(), show_message(index, value, depth)?);
        }
        Some(message) => shown.extend(show(message, value, depth)?),
    }
    Ok(Value::Object(shown))
}

pub(crate) fn zigzag(n: u64) -> i64 {
    ((n >> 1) as i64) ^ -((n & 1) as i64)
}

pub(crate) fn text(bytes: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|_| Error::new("not UTF-8"))
}

/// Field 1 and 2 of a `Timestamp` or a `Duration`.
pub(crate) fn seconds_and_nanos(bytes: &[u8]) -> Result<(i64, i32), Error> {
    let mut reader = Reader(bytes);
    let (mut seconds, mut nanos) = (0, 0);
    while !reader.is_empty() {
        let (number, wire_type) = reader.tag()?;
        match (number, reader.value(wire_type)?) {
            (1, Raw::Number(n)) => seconds = n as i64,
            (2, Raw::Number(n)) => nanos = n as i32,
            _ => {}
        }
    }
    Ok((seconds, nanos))
}

/// The range that RFC 3339 can write: the years 1 to 9999.
pub(crate) fn check_timestamp(t: prost_types::Timestamp) -> Result<prost_types::Timestamp, Error> {
    let fits = (-62_135_596_800..=253_402_300_799).contains(&t.seconds) && (0..1_000_000_000).contains(&t.nanos);
    fits.then_some(t).ok_or_else(|| Error::new("time outside the years 1 to 9999"))
}

/// The range of `google.protobuf.Duration`: ±10,000 years, both parts with the same sign.
fn check_duration(d: prost_types::Duration) -> Result<prost_types::Duration, Error> {
    let fits = (-315_576_000_000..=315_576_000_000).contains(&d.seconds)
        && (-999_999_999..=999_999_999).contains(&d.nanos)
        && (d.seconds == 0 || d.nanos == 0 || (d.seconds < 0) == (d.nanos < 0));
    fits.then_some(d).ok_or_else(|| Error::new("duration out of range"))
}

/// `cosmos.Dec` from the wire (an integer of 10⁻¹⁸) as a fraction. An unset one is `0`, as in Go.
pub(crate) fn fraction(wire: &str) -> Result<String, Error> {
    if wire.is_empty() {
        return Ok("0".into());
    }
    let (sign, digits) = wire.strip_prefix('-').map_or(("", wire), |digits| ("-", digits));
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Error::new(format!("expected an integer of 10^-18, got {wire:?}")));
    }
    let digits = format!("{:0>1$}", digits.trim_start_matches('0'), DEC_PLACES + 1);
    let (whole, decimals) = digits.split_at(digits.len() - DEC_PLACES);
    Ok(format!("{sign}{whole}.{decimals}"))
}

// --- JSON → encoding

fn parse(message: &Message, value: &Value, depth: u32) -> Result<Vec<u8>, Error> {
    let object = value.as_object().ok_or_else(|| Error::expected("an object", value))?;
    parse_fields(message, object.iter(), depth)
}

fn parse_fields<'v>(message: &Message, members: impl Iterator<Item = (&'v String, &'v Value)>, depth: u32) -> Result<Vec<u8>, Error> {
    let depth = depth.checked_sub(1).ok_or_else(|| Error::new("nested too deep"))?;
    let mut given: Vec<(&Field, &Value)> = Vec::new();
    for (name, value) in members {
        let field = message.field_named(name).map(|index| &message.fields[index]).ok_or_else(|| unknown_field(message, name))?;
        if value.is_null() {
            continue;
        }
        let same = |other: &Field| other.number == field.number || (field.oneof.is_some() && other.oneof == field.oneof);
        if let Some((other, _)) = given.iter().find(|(other, _)| same(other)) {
            return Err(Error::new(format!("given together with {:?}; only one may be", other.name)).at(name));
        }
        given.push((field, value));
    }
    given.sort_by_key(|(field, _)| field.number);
    let mut out = Vec::new();
    for (field, value) in given {
        if field.list {
            parse_list(field, value, depth, &mut out)
        } else {
            parse_one(field, value, depth).map(|one| {
                if field.oneof.is_some() || field.optional || matches!(field.kind, Kind::Message(_)) || !one.is_default() {
                    one.write(field, &mut out);
                }
            })
        }
        .map_err(|e| e.at(&field.name))?;
    }
    Ok(out)
}

fn unknown_field(message: &Message, name: &str) -> Error {
    let known: Vec<_> = message.fields.iter().map(|f| f.name.as_str()).collect();
    let known = if known.is_empty() { "it has none".to_owned() } else { format!("its fields are {}", known.join(", ")) };
    Error::new(format!("unknown field {name:?} in {}; {known}", message.name))
}

fn parse_list(field: &Field, value: &Value, depth: u32, out: &mut Vec<u8>) -> Result<(), Error> {
    let items = value.as_array().ok_or_else(|| Error::expected("a list", value))?;
    let items = items.iter().enumerate().map(|(i, item)| parse_one(field, item, depth).map_err(|e| e.at_index(i)));
    if field.kind.wire_type() == BYTES {
        for item in items {
            item?.write(field, out);
        }
    } else {
        let mut packed = Vec::new();
        for item in items {
            item?.write_value(&mut packed);
        }
        if !packed.is_empty() {
            Encoded::Bytes(packed).write(field, out);
        }
    }
    Ok(())
}

/// A value ready for the wire.
enum Encoded {
    Varint(u64),
    Fixed32(u32),
    Fixed64(u64),
    Bytes(Vec<u8>),
}

impl Encoded {
    fn is_default(&self) -> bool {
        match self {
            Encoded::Varint(n) | Encoded::Fixed64(n) => *n == 0,
            Encoded::Fixed32(n) => *n == 0,
            Encoded::Bytes(b) => b.is_empty(),
        }
    }

    fn write(&self, field: &Field, out: &mut Vec<u8>) {
        let wire_type = match self {
            Encoded::Varint(_) => VARINT,
            Encoded::Fixed32(_) => FIXED32,
            Encoded::Fixed64(_) => FIXED64,
            Encoded::Bytes(_) => BYTES,
        };
        encode_varint(u64::from(field.number) << 3 | u64::from(wire_type), out);
        self.write_value(out);
    }

    fn write_value(&self, out: &mut Vec<u8>) {
        match self {
            Encoded::Varint(n) => encode_varint(*n, out),
            Encoded::Fixed32(n) => out.extend(n.to_le_bytes()),
            Encoded::Fixed64(n) => out.extend(n.to_le_bytes()),
            Encoded::Bytes(b) => {
                out.reserve(encoded_len_varint(b.len() as u64) + b.len());
                encode_varint(b.len() as u64, out);
                out.extend(b);
            }
        }
    }
}

fn parse_one(field: &Field, value: &Value, depth: u32) -> Result<Encoded, Error> {
    Ok(match field.kind {
        // The encoding sign-extends negative 32-bit integers to 64.
        Kind::Int32 => Encoded::Varint(i64::from(integer::<i32>(value, "a 32-bit integer")?) as u64),
        Kind::Int64 => Encoded::Varint(integer::<i64>(value, "a 64-bit integer")? as u64),
        Kind::Uint32 => Encoded::Varint(integer::<u32>(value, "an unsigned 32-bit integer")?.into()),
        Kind::Uint64 => Encoded::Varint(integer(value, "an unsigned 64-bit integer")?),
        Kind::Sint32 => {
            let n: i32 = integer(value, "a 32-bit integer")?;
            Encoded::Varint(((n << 1) ^ (n >> 31)) as u32 as u64)
        }
        Kind::Sint64 => {
            let n: i64 = integer(value, "a 64-bit integer")?;
            Encoded::Varint(((n << 1) ^ (n >> 63)) as u64)
        }
        Kind::Fixed32 => Encoded::Fixed32(integer(value, "an unsigned 32-bit integer")?),
        Kind::Sfixed32 => Encoded::Fixed32(integer::<i32>(value, "a 32-bit integer")? as u32),
        Kind::Fixed64 => Encoded::Fixed64(integer(value, "an unsigned 64-bit integer")?),
        Kind::Sfixed64 => Encoded::Fixed64(integer::<i64>(value, "a 64-bit integer")? as u64),
        Kind::Float => Encoded::Fixed32((value.as_f64().ok_or_else(|| Error::expected("a number", value))? as f32).to_bits()),
        Kind::Double => Encoded::Fixed64(value.as_f64().ok_or_else(|| Error::expected("a number", value))?.to_bits()),
        Kind::Bool => Encoded::Varint(value.as_bool().ok_or_else(|| Error::expected("true or false", value))?.into()),
        Kind::Enum(e) => Encoded::Varint(i64::from(enum_number(e, value)?) as u64),
        Kind::String | Kind::Bytes if field.scalar == Scalar::Dec => Encoded::Bytes(dec(value)?.into_bytes()),
        Kind::Bytes if field.scalar == Scalar::Plain => Encoded::Bytes(bytes(value)?),
        Kind::String | Kind::Bytes => {
            let text = value.as_str().ok_or_else(|| Error::expected("text", value))?;
            Encoded::Bytes(text.as_bytes().to_vec())
        }
        Kind::Message(m) => Encoded::Bytes(parse_message(schema(), m, value, depth)?),
    })
}

fn parse_message(schema: &'static Schema, index: usize, value: &Value, depth: u32) -> Result<Vec<u8>, Error> {
    let message = &schema.messages[index];
    let text = |what| value.as_str().ok_or_else(|| Error::expected(what, value));
    match message.well_known {
        None => parse(message, value, depth),
        Some(WellKnown::Any) => parse_any(value, depth),
        Some(WellKnown::Timestamp) => {
            let what = "a time such as \"2030-01-02T03:04:05Z\"";
            let time = text(what)?.parse().map_err(|_| Error::expected(what, value))?;
            Ok(prost::Message::encode_to_vec(&check_timestamp(time)?))
        }
        Some(WellKnown::Duration) => {
            let what = "a duration in seconds such as \"3600s\"";
            let duration = text(what)?.parse().map_err(|_| Error::expected(what, value))?;
            Ok(prost::Message::encode_to_vec(&check_duration(duration)?))
        }
    }
}

fn parse_any(value: &Value, depth: u32) -> Result<Vec<u8>, Error> {
    let object = value.as_object().ok_or_else(|| Error::expected("an object with \"@type\"", value))?;
    if object.is_empty() {
        return Ok(Vec::new());
    }
    let type_url = object.get("@type").and_then(Value::as_str).ok_or_else(|| Error::expected("an object with \"@type\"", value))?;
    let message = resolve(type_url).ok_or_else(|| Error::new(format!("unable to resolve type URL {type_url}")))?;
    let members = object.iter().filter(|(name, _)| *name != "@type");
    let inner = if message.well_known.is_some() {
        let index = schema().index(&message.name).expect("resolved");
        let depth = depth.checked_sub(1).ok_or_else(|| Error::new("nested too deep"))?;
        parse_message(schema(), index, object.get("value").unwrap_or(&Value::Null), depth)?
    } else {
        parse_fields(message, members, depth)?
    };
    let any = crate::Any { type_url: type_url.to_owned(), value: inner };
    Ok(prost::Message::encode_to_vec(&any))
}

fn integer<T: std::str::FromStr + TryFrom<i128>>(value: &Value, what: &str) -> Result<T, Error> {
    let parsed = match value {
        Value::String(s) => s.parse().ok(),
        Value::Number(n) => n.as_i128().and_then(|n| T::try_from(n).ok()),
        _ => None,
    };
    parsed.ok_or_else(|| Error::expected(what, value))
}

fn enum_number(index: usize, value: &Value) -> Result<i32, Error> {
    let kind = &schema().enums[index];
    let number = match value {
        Value::String(name) => kind.number_of(name).or_else(|| name.parse().ok()),
        other => other.as_i64().and_then(|n| n.try_into().ok()),
    };
    number.ok_or_else(|| {
        let names: Vec<_> = kind.values.iter().map(|(_, name)| name.as_str()).collect();
        Error::new(format!("unknown value {value} of {}; its values are {}", kind.name, names.join(", ")))
    })
}

fn bytes(value: &Value) -> Result<Vec<u8>, Error> {
    let text = value.as_str().ok_or_else(|| Error::expected("base64", value))?;
    decode_base64(text).ok_or_else(|| Error::expected("base64", value))
}

/// Takes the standard and the URL alphabet.
pub(crate) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.replace('-', "+").replace('_', "/")).ok()
}

/// `cosmos.Dec` from a fraction: an integer of 10⁻¹⁸.
fn dec(value: &Value) -> Result<String, Error> {
    let bad = || Error::expected("a decimal fraction with at most 18 decimals, as text", value);
    let text = value.as_str().ok_or_else(bad)?;
    if text.is_empty() {
        return Ok(String::new());
    }
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let dangling = digits.contains('.') && decimals.is_empty();
    if whole.is_empty() || dangling || decimals.len() > DEC_PLACES || !all_digits(whole) || !all_digits(decimals) {
        return Err(bad());
    }
    let integer = format!("{whole}{decimals:0<DEC_PLACES$}");
    match integer.trim_start_matches('0') {
        "" => Ok("0".into()),
        integer => Ok(format!("{sign}{integer}")),
    }
}
