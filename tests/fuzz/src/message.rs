//! Random messages of any type that the descriptors know, well formed on the wire and odd in their values.

use crate::mutate::number_text;
use prost::Message;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

/// Messages within messages; deeper ones stay empty.
const DEPTH: u32 = 5;

/// Makes messages whose texts are often those of `words`.
pub struct Messages<'a> {
    pub words: &'a [String],
    /// What `google.protobuf.Any` holds.
    pub any: &'a [MessageDescriptor],
}

impl Messages<'_> {
    pub fn bytes(&self, of: &MessageDescriptor, rng: &mut StdRng) -> Vec<u8> {
        self.message(of, rng, 0).encode_to_vec()
    }

    fn message(&self, of: &MessageDescriptor, rng: &mut StdRng, depth: u32) -> DynamicMessage {
        let mut out = DynamicMessage::new(of.clone());
        if of.full_name() == "google.protobuf.Any" {
            if let Some(inner) = self.any.choose(rng).filter(|_| depth < DEPTH) {
                let value = self.message(inner, rng, depth + 1).encode_to_vec();
                out.set_field_by_name("type_url", Value::String(format!("/{}", inner.full_name())));
                out.set_field_by_name("value", Value::Bytes(value.into()));
            }
            return out;
        }
        // Mostly whole messages: those with something missing end early.
        let fill = *[0.5, 0.95, 1.0].choose(rng).expect("some");
        for field in of.fields().collect::<Vec<_>>() {
            if !rng.gen_bool(fill) || depth >= DEPTH && matches!(field.kind(), Kind::Message(_)) {
                continue;
            }
            let value = if field.is_map() {
                Value::Map([(MapKey::String(self.text(rng)), self.value(&map_value(&field), rng, depth))].into())
            } else if field.is_list() {
                Value::List((0..rng.gen_range(0..=3)).map(|_| self.value(&field, rng, depth)).collect())
            } else {
                self.value(&field, rng, depth)
            };
            // A map whose keys are no texts keeps none.
            let _ = out.try_set_field(&field, value);
        }
        out
    }

    fn value(&self, field: &FieldDescriptor, rng: &mut StdRng, depth: u32) -> Value {
        let small: u8 = rng.gen_range(0..4);
        let wide = |rng: &mut StdRng| *[0, 1, 7, 60, u64::from(u32::MAX), i64::MAX as u64, u64::MAX].choose(rng).expect("some");
        let number = |rng: &mut StdRng| if small > 0 { u64::from(small) } else { wide(rng) };
        match field.kind() {
            Kind::Bool => Value::Bool(rng.r#gen()),
            Kind::Double => Value::F64(rng.r#gen()),
            Kind::Float => Value::F32(rng.r#gen()),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(number(rng) as i32),
            Kind::Uint32 | Kind::Fixed32 => Value::U32(number(rng) as u32),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(number(rng) as i64),
            Kind::Uint64 | Kind::Fixed64 => Value::U64(number(rng)),
            Kind::Enum(_) => Value::EnumNumber(if rng.gen_bool(0.9) { small.into() } else { i32::MAX }),
            Kind::Bytes => Value::Bytes((0..*[0, 1, 20, 32, 33, 64].choose(rng).expect("some")).map(|_| rng.r#gen()).collect()),
            Kind::String => Value::String(self.named(field.name(), rng)),
            Kind::Message(of) => Value::Message(self.message(&of, rng, depth + 1)),
        }
    }

    /// Texts as the field's name suggests, mostly.
    fn named(&self, name: &str, rng: &mut StdRng) -> String {
        if rng.gen_bool(0.2) {
            return self.text(rng);
        }
        match name {
            "denom" => "uve".into(),
            "amount" | "shares" | "rate" | "max" => number_text(rng).into(),
            _ if name.contains("validator") => self.pick(rng, "virtenginevaloper1"),
            _ => self.pick(rng, "virtengine1"),
        }
    }

    fn pick(&self, rng: &mut StdRng, prefix: &str) -> String {
        let fitting: Vec<&String> = self.words.iter().filter(|w| w.starts_with(prefix)).collect();
        fitting.choose(rng).map(|w| (*w).clone()).unwrap_or_default()
    }

    fn text(&self, rng: &mut StdRng) -> String {
        match rng.gen_range(0..10) {
            0 => number_text(rng).into(),
            1 => "\u{1F600}\u{0}\u{202e}".into(),
            2 => "x".repeat(300),
            3 => String::new(),
            _ => self.words.choose(rng).cloned().unwrap_or_default(),
        }
    }
}

fn map_value(field: &FieldDescriptor) -> FieldDescriptor {
    match field.kind() {
        Kind::Message(entry) => entry.map_entry_value_field(),
        other => unreachable!("a map of {other:?}"),
    }
}
