//! What happened, for clients to index.

use prost::{Message, Name};

/// A fact about a transaction or a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Attributes as plain text, as the Cosmos modules emit them.
    Plain { kind: &'static str, attributes: Vec<(&'static str, String)> },
    /// A message of our protos: kind is its full name, attributes are its fields with values as JSON.
    Typed { name: String, message: Vec<u8> },
    /// Another event with one attribute more.
    Marked { event: Box<Event>, key: &'static str, value: String },
}

impl Event {
    pub fn typed<M: Message + Name>(message: &M) -> Self {
        Event::Typed { name: M::full_name(), message: message.encode_to_vec() }
    }

    /// Kind and attributes as ABCI wants them. Values of typed events are JSON: strings keep their quotes.
    pub fn flatten(self) -> (String, Vec<(String, String)>) {
        match self {
            Event::Plain { kind, attributes } => (kind.to_string(), attributes.into_iter().map(|(k, v)| (k.to_string(), v)).collect()),
            Event::Typed { name, message } => {
                let value = proto::json::to_value(&name, &message).expect("events are messages of our own protos");
                let fields = value.as_object().expect("a message is a JSON object");
                let mut attributes: Vec<_> = fields.iter().map(|(k, v)| (k.clone(), v.to_string())).collect();
                attributes.sort();
                (name, attributes)
            }
            Event::Marked { event, key, value } => {
                let (kind, mut attributes) = event.flatten();
                attributes.push((key.to_string(), value));
                (kind, attributes)
            }
        }
    }
}
