//! Refuses transactions whose bytes say more than the chain understands: unknown fields, repeated singular fields, wrong
//! wire types, too deep nesting. Whoever signed must have seen everything that is executed, and nothing may be appended.
//! The rules are those of ADR-020 and ADR-027 as Cosmos SDK v0.53 applies them, and stricter in refusing duplicates.

use std::sync::LazyLock;

use crate::schema::{BYTES, Kind, Message, Schema, WellKnown, schema};
pub use crate::wire::WireError;
use crate::wire::{Raw, Reader};

/// Messages within messages; below the 100 at which prost stops.
pub const MAX_DEPTH: u32 = 64;

/// `Any`s within `Any`s, as the SDK bounds them (`MaxUnpackAnyRecursionDepth`).
pub const MAX_ANY_DEPTH: u32 = 10;

/// A field number with bit 11 set may be ignored by who does not know it (ADR-020).
const NON_CRITICAL: u32 = 1 << 10;

/// The parts of a transaction, as they were received; signatures are checked over these bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxParts<'a> {
    pub body: &'a [u8],
    pub auth_info: &'a [u8],
    pub signatures: Vec<&'a [u8]>,
    /// The body has unknown non-critical fields; SIGN_MODE_LEGACY_AMINO_JSON does not cover them and must be refused.
    pub non_critical: bool,
}

/// Why bytes were refused; the text is the SDK's, to which it appends `: tx parse error` (codespace sdk, code 2).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("errUnknownField {message:?}: {{TagNum: {number}, WireType:{:?}}}", wire_name(*.wire_type))]
    UnknownField { message: String, number: u32, wire_type: u8 },
    #[error("Mismatched {message:?}: {{TagNum: {number}, GotWireType: {:?} != WantWireType: {:?}}}", wire_name(*.got), wire_name(*.want))]
    WireType { message: String, number: u32, got: u8, want: u8 },
    #[error("duplicate field {message:?}: {{TagNum: {number}}}")]
    Duplicate { message: String, number: u32 },
    #[error("unable to resolve type URL {0}")]
    UnknownType(String),
    #[error("recursion limit reached")]
    TooDeep,
    #[error("txRaw must follow ADR-027, got tagNum {number} after tagNum {previous}")]
    Order { number: u32, previous: u32 },
    #[error("length prefix varint for tagNum {number} is not as short as possible, read {read}, only need {need}")]
    LongVarint { number: u32, read: usize, need: usize },
    #[error("could not consume field value for tagNum: {number}; {error}")]
    Value { number: u32, error: WireError },
    #[error("invalid length; {0}")]
    Tag(WireError),
}

fn wire_name(wire_type: u8) -> String {
    match wire_type {
        0 => "varint".into(),
        1 => "fixed64".into(),
        2 => "bytes".into(),
        3 => "start_group".into(),
        4 => "end_group".into(),
        5 => "fixed32".into(),
        other => format!("unknown type: {other}"),
    }
}

struct TxTypes {
    raw: &'static Message,
    body: &'static Message,
    auth_info: &'static Message,
    any: &'static Message,
}

static TX: LazyLock<TxTypes> = LazyLock::new(|| {
    let message = |name| &schema().messages[schema().index(name).expect("compiled in")];
    TxTypes {
        raw: message("cosmos.tx.v1beta1.TxRaw"),
        body: message("cosmos.tx.v1beta1.TxBody"),
        auth_info: message("cosmos.tx.v1beta1.AuthInfo"),
        any: message("google.protobuf.Any"),
    }
});

/// Checks an encoded `TxRaw` with everything in it, through every `Any`. Afterwards prost decodes its parts without
/// losing anything, except what `non_critical` reports.
pub fn transaction(bytes: &[u8]) -> Result<TxParts<'_>, Error> {
    let mut parts = tx_raw(bytes)?;
    let mut walk = Walk { schema: schema(), allow_non_critical: true, non_critical: false };
    walk.message(TX.body, parts.body, MAX_DEPTH, MAX_ANY_DEPTH)?;
    parts.non_critical = walk.non_critical;
    walk.allow_non_critical = false;
    walk.message(TX.auth_info, parts.auth_info, MAX_DEPTH, MAX_ANY_DEPTH)?;
    Ok(parts)
}

/// Checks an encoded message of the given full name; no unknown field is allowed.
pub fn message(full_name: &str, bytes: &[u8]) -> Result<(), Error> {
    let schema = schema();
    let index = schema.index(full_name).ok_or_else(|| Error::UnknownType(format!("/{full_name}")))?;
    let mut walk = Walk { schema, allow_non_critical: false, non_critical: false };
    walk.typed(index, bytes, MAX_DEPTH, MAX_ANY_DEPTH)
}

/// ADR-027 for `TxRaw`: fields in ascending order, body and auth info at most once, the shortest varints.
fn tx_raw(bytes: &[u8]) -> Result<TxParts<'_>, Error> {
    let raw = TX.raw;
    let mut parts = TxParts { body: &[], auth_info: &[], signatures: Vec::with_capacity(1), non_critical: false };
    let mut reader = Reader(bytes);
    let mut previous = 0;
    while !reader.is_empty() {
        let before = reader.0.len();
        let (number, wire_type) = reader.tag().map_err(Error::Tag)?;
        shortest(number, u64::from(number) << 3, before - reader.0.len())?;
        if raw.index_of(number).is_none() {
            return Err(Error::UnknownField { message: raw.name.clone(), number, wire_type });
        }
        if wire_type != BYTES {
            return Err(Error::WireType { message: raw.name.clone(), number, got: wire_type, want: BYTES });
        }
        if number < previous {
            return Err(Error::Order { number, previous });
        }
        let before = reader.0.len();
        let Raw::Bytes(value) = reader.value(BYTES).map_err(|error| Error::Value { number, error })? else {
            unreachable!("the wire type is bytes")
        };
        shortest(number, value.len() as u64, before - reader.0.len() - value.len())?;
        match number {
            3 => parts.signatures.push(value),
            _ if number == previous => {
                return Err(Error::Duplicate { message: raw.name.clone(), number });
            }
            1 => parts.body = value,
            _ => parts.auth_info = value,
        }
        previous = number;
    }
    Ok(parts)
}

fn shortest(number: u32, value: u64, read: usize) -> Result<(), Error> {
    let need = (64 - (value | 1).leading_zeros()).div_ceil(7) as usize;
    if read == need { Ok(()) } else { Err(Error::LongVarint { number, read, need }) }
}

struct Walk<'s> {
    schema: &'s Schema,
    allow_non_critical: bool,
    non_critical: bool,
}

impl Walk<'_> {
    fn message(&mut self, message: &Message, bytes: &[u8], depth: u32, anys: u32) -> Result<(), Error> {
        let depth = depth.checked_sub(1).ok_or(Error::TooDeep)?;
        let mut reader = Reader(bytes);
        let mut seen = 0;
        while !reader.is_empty() {
            let (number, wire_type) = reader.tag().map_err(Error::Tag)?;
            let field = message.index_of(number).map(|index| &message.fields[index]);
            if let Some(field) = field {
                let want = field.kind.wire_type();
                if wire_type != want && !(field.list && wire_type == BYTES) {
                    return Err(Error::WireType { message: message.name.clone(), number, got: wire_type, want });
                }
                if seen & field.once != 0 {
                    return Err(Error::Duplicate { message: message.name.clone(), number });
                }
                seen |= field.once;
            } else if number & NON_CRITICAL != 0 && self.allow_non_critical {
                self.non_critical = true;
            } else {
                return Err(Error::UnknownField { message: message.name.clone(), number, wire_type });
            }
            let value = reader.value(wire_type).map_err(|error| Error::Value { number, error })?;
            if let (Some(Kind::Message(inner)), Raw::Bytes(value)) = (field.map(|f| f.kind), value) {
                self.typed(inner, value, depth, anys)?;
            }
        }
        Ok(())
    }

    fn typed(&mut self, index: usize, bytes: &[u8], depth: u32, anys: u32) -> Result<(), Error> {
        match &self.schema.messages[index] {
            message if message.well_known == Some(WellKnown::Any) => self.any(bytes, depth, anys),
            message => self.message(message, bytes, depth, anys),
        }
    }

    fn any(&mut self, bytes: &[u8], depth: u32, anys: u32) -> Result<(), Error> {
        let anys = anys.checked_sub(1).ok_or(Error::TooDeep)?;
        self.message(TX.any, bytes, depth, 0)?;
        let (type_url, value) = crate::wire::any(bytes).map_err(Error::Tag)?;
        let unknown = || Error::UnknownType(String::from_utf8_lossy(type_url).into_owned());
        let name = std::str::from_utf8(type_url).ok().and_then(|url| url.strip_prefix('/')).ok_or_else(unknown)?;
        let index = self.schema.index(name).ok_or_else(unknown)?;
        self.typed(index, value, depth, anys)
    }
}
