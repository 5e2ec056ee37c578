//! The descriptors as tables, computed once: what JSON, strict decoding and REST look up by message name and field number.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind as ReflectKind, MessageDescriptor, Value};

/// All .proto files of this crate with what they import, as an encoded `google.protobuf.FileDescriptorSet`.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("the build compiled these descriptors"));
static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::new(&POOL));

/// The descriptors of every message and service of this crate.
pub fn descriptors() -> &'static DescriptorPool {
    &POOL
}

pub(crate) fn schema() -> &'static Schema {
    &SCHEMA
}

pub(crate) struct Schema {
    pub messages: Vec<Message>,
    pub enums: Vec<Enum>,
    by_name: HashMap<String, usize>,
}

pub(crate) struct Message {
    pub name: String,
    /// In the order of the .proto file, which is the order of JSON.
    pub fields: Vec<Field>,
    /// Index into `fields` by field number, for the small numbers that nearly all fields have.
    low: Vec<Option<u16>>,
    high: Vec<(u32, u16)>,
    pub well_known: Option<WellKnown>,
}

/// Messages with a JSON form of their own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum WellKnown {
    Any,
    Timestamp,
    Duration,
}

pub(crate) struct Field {
    pub name: String,
    pub json_name: String,
    pub number: u32,
    pub kind: Kind,
    pub list: bool,
    /// Set for members of a oneof: their oneof's index in the message.
    pub oneof: Option<usize>,
    /// A scalar that is `null` in JSON where it is absent (`optional`, or `gogoproto.nullable = true`).
    pub optional: bool,
    /// `optional` in the .proto file: a default that was sent counts as given.
    pub proto3_optional: bool,
    /// What may occur once only: a bit per singular field or oneof. Zero for lists, and past the 64th.
    pub once: u64,
    pub scalar: Scalar,
    /// A message that Go's JSON shows with its defaults even where it is absent (`gogoproto.nullable = false`).
    pub always: bool,
}

/// What a text or bytes field holds, by its `cosmos_proto.scalar`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scalar {
    Plain,
    /// An integer, in JSON too.
    Int,
    /// An integer of 10⁻¹⁸ on the wire, a decimal fraction in JSON.
    Dec,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    String,
    Bytes,
    Enum(usize),
    Message(usize),
}

pub(crate) struct Enum {
    pub name: String,
    pub values: Vec<(i32, String)>,
}

/// Wire types of the encoding.
pub(crate) const VARINT: u8 = 0;
pub(crate) const FIXED64: u8 = 1;
pub(crate) const BYTES: u8 = 2;
pub(crate) const FIXED32: u8 = 5;

impl Kind {
    pub fn wire_type(self) -> u8 {
        match self {
            Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => FIXED64,
            Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => FIXED32,
            Kind::String | Kind::Bytes | Kind::Message(_) => BYTES,
            _ => VARINT,
        }
    }
}

impl Enum {
    pub fn name_of(&self, number: i32) -> Option<&str> {
        self.values.iter().find(|(n, _)| *n == number).map(|(_, name)| name.as_str())
    }

    pub fn number_of(&self, name: &str) -> Option<i32> {
        self.values.iter().find(|(_, n)| n == name).map(|(number, _)| *number)
    }
}

impl Message {
    pub fn index_of(&self, number: u32) -> Option<usize> {
        let index = match self.low.get(number as usize) {
            Some(index) => *index,
            None => self.high.iter().find(|(n, _)| *n == number).map(|(_, index)| *index),
        };
        index.map(usize::from)
    }

    /// A field by its name in the .proto file or in camelCase.
    pub fn field_named(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|f| f.name == name || f.json_name == name)
    }
}

impl Schema {
    pub fn index(&self, full_name: &str) -> Option<usize> {
        self.by_name.get(full_name).copied()
    }

    fn new(pool: &DescriptorPool) -> Schema {
        let by_name: HashMap<_, _> = pool.all_messages().enumerate().map(|(i, m)| (m.full_name().to_owned(), i)).collect();
        let enum_index: HashMap<_, _> = pool.all_enums().enumerate().map(|(i, e)| (e.full_name().to_owned(), i)).collect();
        let options = Options {
            scalar: pool.get_extension_by_name("cosmos_proto.scalar").expect("cosmos_proto is compiled in"),
            nullable: pool.get_extension_by_name("gogoproto.nullable").expect("gogoproto is compiled in"),
        };
        let messages = pool.all_messages().map(|m| message(&m, &by_name, &enum_index, &options)).collect();
        let enums = pool
            .all_enums()
            .map(|e| Enum { name: e.full_name().to_owned(), values: e.values().map(|v| (v.number(), v.name().to_owned())).collect() })
            .collect();
        Schema { messages, enums, by_name }
    }
}

struct Options {
    scalar: prost_reflect::ExtensionDescriptor,
    nullable: prost_reflect::ExtensionDescriptor,
}

/// Field numbers below this are found by index.
const LOW: u32 = 64;

fn message(m: &MessageDescriptor, by_name: &HashMap<String, usize>, enums: &HashMap<String, usize>, options: &Options) -> Message {
    let mut singular = m.oneofs().len();
    let fields: Vec<_> = m
        .descriptor_proto()
        .field
        .iter()
        .map(|f| {
            let f = m.get_field(f.number() as u32).expect("a field of its own message");
            assert!(!f.is_map(), "{}: maps have no canonical encoding", f.full_name());
            let bit = match f.containing_oneof() {
                Some(oneof) => m.oneofs().position(|other| other == oneof).expect("a oneof of its own message"),
                None if f.is_list() => 64,
                None => {
                    singular += 1;
                    singular - 1
                }
            };
            let once = u32::try_from(bit).ok().and_then(|bit| 1u64.checked_shl(bit)).unwrap_or(0);
            field(&f, once, by_name, enums, options)
        })
        .collect();
    let mut low = vec![None; fields.iter().map(|f| f.number + 1).filter(|n| *n <= LOW).max().unwrap_or(0) as usize];
    let mut high = Vec::new();
    for (i, f) in fields.iter().enumerate() {
        match low.get_mut(f.number as usize) {
            Some(slot) => *slot = Some(i as u16),
            None => high.push((f.number, i as u16)),
        }
    }
    let well_known = match m.full_name() {
        "google.protobuf.Any" => Some(WellKnown::Any),
        "google.protobuf.Timestamp" => Some(WellKnown::Timestamp),
        "google.protobuf.Duration" => Some(WellKnown::Duration),
        _ => None,
    };
    Message { name: m.full_name().to_owned(), fields, low, high, well_known }
}

fn field(f: &FieldDescriptor, once: u64, by_name: &HashMap<String, usize>, enums: &HashMap<String, usize>, options: &Options) -> Field {
    let given: DynamicMessage = f.options();
    let option = |extension| given.has_extension(extension).then(|| given.get_extension(extension).into_owned());
    let scalar = match option(&options.scalar) {
        Some(Value::String(s)) if s == "cosmos.Dec" => Scalar::Dec,
        Some(Value::String(s)) if s == "cosmos.Int" => Scalar::Int,
        _ => Scalar::Plain,
    };
    let kind = match f.kind() {
        ReflectKind::Double => Kind::Double,
        ReflectKind::Float => Kind::Float,
        ReflectKind::Int32 => Kind::Int32,
        ReflectKind::Int64 => Kind::Int64,
        ReflectKind::Uint32 => Kind::Uint32,
        ReflectKind::Uint64 => Kind::Uint64,
        ReflectKind::Sint32 => Kind::Sint32,
        ReflectKind::Sint64 => Kind::Sint64,
        ReflectKind::Fixed32 => Kind::Fixed32,
        ReflectKind::Fixed64 => Kind::Fixed64,
        ReflectKind::Sfixed32 => Kind::Sfixed32,
        ReflectKind::Sfixed64 => Kind::Sfixed64,
        ReflectKind::Bool => Kind::Bool,
        ReflectKind::String => Kind::String,
        ReflectKind::Bytes => Kind::Bytes,
        ReflectKind::Message(m) => Kind::Message(by_name[m.full_name()]),
        ReflectKind::Enum(e) => Kind::Enum(enums[e.full_name()]),
    };
    let nullable = option(&options.nullable).and_then(|v| v.as_bool());
    let proto3_optional = f.field_descriptor_proto().proto3_optional();
    let oneof = f.containing_oneof().filter(|_| !proto3_optional);
    Field {
        name: f.name().to_owned(),
        json_name: f.json_name().to_owned(),
        number: f.number(),
        kind,
        list: f.is_list(),
        oneof: oneof.and_then(|oneof| f.parent_message().oneofs().position(|other| other == oneof)),
        optional: proto3_optional || nullable == Some(true),
        proto3_optional,
        once,
        scalar,
        always: nullable == Some(false) && matches!(kind, Kind::Message(_)),
    }
}
