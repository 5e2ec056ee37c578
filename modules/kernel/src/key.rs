//! Keys and values of collections. A key is self-delimiting and keeps its order as bytes, so that `…/12` is no prefix of `…/123`.

use crate::Bytes;
use prost::Message;
use proto::Timestamp;

pub trait Key: Clone + Ord {
    fn put(&self, out: &mut Bytes);
    /// Reads one key from the front and moves past it.
    fn take(b: &mut &[u8]) -> Option<Self>;

    fn to_bytes(&self) -> Bytes {
        let mut out = Bytes::new();
        self.put(&mut out);
        out
    }
}

/// What a collection stores. Encodings are never empty, because an empty value cannot be proved.
pub trait Value: Sized {
    fn encode(&self) -> Bytes;
    fn decode(b: &[u8]) -> Option<Self>;
}

impl<M: Message + Default> Value for M {
    fn encode(&self) -> Bytes {
        self.encode_to_vec()
    }
    fn decode(b: &[u8]) -> Option<Self> {
        M::decode(b).ok()
    }
}

/// A counter as a value: eight bytes, big-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number(pub u64);

impl Value for Number {
    fn encode(&self) -> Bytes {
        self.0.to_be_bytes().into()
    }
    fn decode(b: &[u8]) -> Option<Self> {
        Some(Number(u64::from_be_bytes(b.try_into().ok()?)))
    }
}

/// A time to the nanosecond, in the form that Cosmos SDK has in keys: `2006-01-02T15:04:05.000000000`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(String);

impl Moment {
    const LEN: usize = 29;

    /// None outside the years 1 to 9999 and where nanos is out of its range.
    pub fn new(time: &Timestamp) -> Option<Self> {
        proto::sortable(time).map(Moment)
    }

    /// The last nanosecond before a block time of `millis`: what is due up to here has expired.
    pub fn before(millis: u64) -> Option<Self> {
        let last = proto::timestamp(millis.checked_sub(1)?);
        Moment::new(&Timestamp { nanos: last.nanos + 999_999, ..last })
    }
}

impl Key for Moment {
    fn put(&self, out: &mut Bytes) {
        out.extend(self.0.as_bytes());
    }
    fn take(b: &mut &[u8]) -> Option<Self> {
        let (text, rest) = b.split_at_checked(Self::LEN)?;
        *b = rest;
        Some(Moment(String::from_utf8(text.to_vec()).ok()?))
    }
}

/// A text that takes the rest of the key: only as the last part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text(pub String);

impl Key for Text {
    fn put(&self, out: &mut Bytes) {
        out.extend(self.0.as_bytes());
    }
    fn take(b: &mut &[u8]) -> Option<Self> {
        let text = String::from_utf8(b.to_vec()).ok()?;
        *b = &[];
        Some(Text(text))
    }
}

/// A text without NUL that other parts follow: its bytes, then a NUL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Word(pub String);

impl Key for Word {
    fn put(&self, out: &mut Bytes) {
        out.extend(self.0.as_bytes());
        out.push(0);
    }
    fn take(b: &mut &[u8]) -> Option<Self> {
        let end = b.iter().position(|c| *c == 0)?;
        let text = String::from_utf8(b[..end].to_vec()).ok()?;
        *b = &b[end + 1..];
        Some(Word(text))
    }
}

impl Key for () {
    fn put(&self, _: &mut Bytes) {}
    fn take(_: &mut &[u8]) -> Option<Self> {
        Some(())
    }
}

impl Key for u8 {
    fn put(&self, out: &mut Bytes) {
        out.push(*self);
    }
    fn take(b: &mut &[u8]) -> Option<Self> {
        let (first, rest) = b.split_first()?;
        *b = rest;
        Some(*first)
    }
}

impl Key for u32 {
    fn put(&self, out: &mut Bytes) {
        out.extend(self.to_be_bytes());
    }
    fn take(b: &mut &[u8]) -> Option<Self> {
        let (head, rest) = b.split_first_chunk()?;
        *b = rest;
        Some(u32::from_be_bytes(*head))
    }
}

impl Key for u64 {
    fn put(&self, out: &mut Bytes) {
        out.extend(self.to_be_bytes());
    }
    fn take(b: &mut &[u8]) -> Option<Self> {
        let (head, rest) = b.split_first_chunk()?;
        *b = rest;
        Some(u64::from_be_bytes(*head))
    }
}

/// Newest first.
impl<K: Key> Key for std::cmp::Reverse<K>
where
    K: Into<u64> + From<u64> + Copy,
{
    fn put(&self, out: &mut Bytes) {
        (!self.0.into()).put(out);
    }
    fn take(b: &mut &[u8]) -> Option<Self> {
        Some(std::cmp::Reverse((!u64::take(b)?).into()))
    }
}

impl<A: Key, B: Key> Key for (A, B) {
    fn put(&self, out: &mut Bytes) {
        self.0.put(out);
        self.1.put(out);
    }
    fn take(b: &mut &[u8]) -> Option<Self> {
        Some((A::take(b)?, B::take(b)?))
    }
}

impl<A: Key, B: Key, C: Key> Key for (A, B, C) {
    fn put(&self, out: &mut Bytes) {
        self.0.put(out);
        self.1.put(out);
        self.2.put(out);
    }
    fn take(b: &mut &[u8]) -> Option<Self> {
        Some((A::take(b)?, B::take(b)?, C::take(b)?))
    }
}
