//! Older versions: every commit keeps the values it overwrites.
//!
//! Column `history`: encode(key) ‖ height → the value of `key` before `height`, so the value at height h is that of
//! the first entry after h, or the newest if there is none. The encoding keeps the order of keys and none is a prefix
//! of another: 0x00 becomes 0x00 0xff, and 0x00 0x00 ends the key.
//!
//! Column `changes`: height → the app hash before it and the keys it changed, to undo and to prune it.
//! Heights are 8 bytes, big endian.

use std::{cmp::Ordering, sync::Arc};

use kernel::{Base, Bytes, Fault};
use rocksdb::DBRawIterator;

use super::{
    Error,
    db::{HISTORY, STATE, Snap, fault},
    tree::Hash,
};

const HEIGHT: usize = size_of::<u64>();
const CORRUPT: Fault = Fault::Corrupt("an entry of the history");

fn encode(key: &[u8]) -> Bytes {
    let zeros = key.iter().filter(|byte| **byte == 0).count();
    let mut out = Vec::with_capacity(key.len() + zeros + 2 + HEIGHT);
    for byte in key {
        out.push(*byte);
        if *byte == 0 {
            out.push(0xff);
        }
    }
    out.extend([0, 0]);
    out
}

fn decode(encoded: &[u8]) -> Option<Bytes> {
    let mut rest = encoded.strip_suffix(&[0, 0])?.iter();
    let mut key = Vec::with_capacity(encoded.len());
    while let Some(byte) = rest.next() {
        key.push(*byte);
        if *byte == 0 && rest.next() != Some(&0xff) {
            return None;
        }
    }
    Some(key)
}

/// Key of the entry that a commit at `height` writes.
pub fn entry(key: &[u8], height: u64) -> Bytes {
    at(encode(key), height)
}

fn at(mut encoded: Bytes, height: u64) -> Bytes {
    encoded.extend(height.to_be_bytes());
    encoded
}

/// Value of an entry: 0 if the key was absent, 1 ‖ value.
pub fn overwritten(value: Option<&[u8]>) -> Bytes {
    value.map_or(vec![0], |value| [&[1], value].concat())
}

pub fn parse_overwritten(bytes: &[u8]) -> Result<Option<Bytes>, Fault> {
    match bytes {
        [0] => Ok(None),
        [1, value @ ..] => Ok(Some(value.to_vec())),
        _ => Err(CORRUPT),
    }
}

/// The first entry of `key` after `height`: the value at that height, if it was changed since.
pub fn first_after(snap: &Snap, key: &[u8], height: u64) -> Result<Option<Option<Bytes>>, Fault> {
    let encoded = encode(key);
    let mut cursor = snap.cursor(HISTORY, &at(encoded.clone(), height + 1), &beyond(encoded));
    cursor.seek_to_first();
    match cursor.value() {
        Some(value) => parse_overwritten(value).map(Some),
        None => cursor.status().map(|()| None).map_err(fault),
    }
}

/// The first possible key after all entries of a key.
fn beyond(mut encoded: Bytes) -> Bytes {
    *encoded.last_mut().expect("ends in 0x00 0x00") = 1;
    encoded
}

/// What one commit changed.
pub struct Changes {
    /// Before the commit.
    pub app_hash: Hash,
    /// Keys, ascending, and whether the commit deleted them.
    pub keys: Vec<(Bytes, bool)>,
}

impl Changes {
    pub fn encode(&self) -> Bytes {
        let mut out = self.app_hash.to_vec();
        for (key, deleted) in &self.keys {
            out.push(u8::from(*deleted));
            out.extend(u32::try_from(key.len()).expect("a key below 4 GiB").to_be_bytes());
            out.extend(key);
        }
        out
    }

    pub fn decode(row: &[u8]) -> Result<Self, Error> {
        let keys = Keys::new(row, 0)?;
        let keys = keys.map(|change| change.map(|(key, deleted)| (key.to_vec(), deleted))).collect::<Result<_, _>>()?;
        Ok(Changes { app_hash: *row.first_chunk().ok_or(BROKEN)?, keys })
    }
}

const BROKEN: Error = Error::Corrupt("a row of the changes");

/// The keys in a row of the changes, as in [`Changes`]. After an error it stays where it is.
pub struct Keys<'a> {
    row: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Keys<'a> {
    /// Those from a position on.
    pub fn new(row: &'a [u8], position: u64) -> Result<Self, Error> {
        let (_, row) = row.split_first_chunk::<{ size_of::<Hash>() }>().ok_or(BROKEN)?;
        let rest = usize::try_from(position).ok().and_then(|at| row.get(at..)).ok_or(BROKEN)?;
        Ok(Keys { row, rest })
    }

    /// Of the next key.
    pub fn position(&self) -> u64 {
        (self.row.len() - self.rest.len()) as u64
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn step(&mut self) -> Option<(&'a [u8], bool)> {
        let (deleted, tail) = self.rest.split_first()?;
        let (size, tail) = tail.split_first_chunk()?;
        let (key, tail) = tail.split_at_checked(u32::from_be_bytes(*size) as usize)?;
        self.rest = tail;
        Some((key, *deleted != 0))
    }
}

impl<'a> Iterator for Keys<'a> {
    type Item = Result<(&'a [u8], bool), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.is_empty()).then(|| self.step().ok_or(BROKEN))
    }
}

/// The state as it was after `height`, read from a later snapshot.
pub struct Past {
    pub snap: Arc<Snap>,
    pub height: u64,
}

impl Base for Past {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Fault> {
        match first_after(&self.snap, key, self.height)? {
            Some(value) => Ok(value),
            None => self.snap.get(STATE, key).map_err(fault),
        }
    }

    fn scan(&self, lo: &[u8], hi: &[u8], reverse: bool, limit: usize) -> Result<Vec<(Bytes, Bytes)>, Fault> {
        let mut found = Vec::new();
        if lo >= hi {
            return Ok(found);
        }
        let mut rows = self.snap.rows(STATE, lo, hi, reverse).peekable();
        let mut cursor = self.snap.cursor(HISTORY, &encode(lo), &encode(hi));
        if reverse {
            cursor.seek_to_last()
        } else {
            cursor.seek_to_first()
        }
        let mut changed = Changed { cursor, height: self.height, reverse }.peekable();
        while found.len() < limit {
            let next = match (rows.peek(), changed.peek()) {
                (None, None) => break,
                (Some(Err(_)), _) | (Some(_), None) => Ordering::Less,
                (_, Some(Err(_))) | (None, Some(_)) => Ordering::Greater,
                (Some(Ok((row, _))), Some(Ok((key, _)))) if reverse => key.cmp(row),
                (Some(Ok((row, _))), Some(Ok((key, _)))) => row.cmp(key),
            };
            let row = if next.is_le() { rows.next().transpose().map_err(fault)? } else { None };
            if next.is_lt() {
                found.extend(row);
            } else if let Some((key, Some(value))) = changed.next().transpose()? {
                found.push((key, value));
            }
        }
        Ok(found)
    }
}

/// The keys of the history that changed after `height`, with their values at that height.
struct Changed<'a> {
    cursor: DBRawIterator<'a>,
    height: u64,
    reverse: bool,
}

impl Changed<'_> {
    fn step(&mut self) -> Result<Option<(Bytes, Option<Bytes>)>, Fault> {
        while let Some(entry) = self.cursor.key() {
            let (encoded, height) = entry.split_last_chunk::<HEIGHT>().ok_or(CORRUPT)?;
            let (encoded, height) = (encoded.to_vec(), u64::from_be_bytes(*height));
            let key = decode(&encoded).ok_or(CORRUPT)?;
            // Ascending, the cursor stands on the oldest entry of a key, descending on its newest.
            if self.reverse && height <= self.height {
                self.cursor.seek_for_prev(&encoded);
                continue;
            }
            if self.reverse || height <= self.height {
                self.cursor.seek(at(encoded.clone(), self.height + 1));
            }
            let value = match self.cursor.item() {
                Some((entry, value)) if entry.starts_with(&encoded) => parse_overwritten(value)?,
                _ => continue,
            };
            if self.reverse {
                self.cursor.seek_for_prev(&encoded);
            } else {
                self.cursor.seek(beyond(encoded));
            }
            return Ok(Some((key, value)));
        }
        self.cursor.status().map(|()| None).map_err(fault)
    }
}

impl Iterator for Changed<'_> {
    type Item = Result<(Bytes, Option<Bytes>), Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn encoded_keys_sort_as_the_keys_and_read_back(
            a in prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(0xff), any::<u8>()], 0..6),
            b in prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(0xff), any::<u8>()], 0..6),
            heights: (u64, u64),
        ) {
            prop_assert_eq!(entry(&a, heights.0).cmp(&entry(&b, heights.1)), (&a, heights.0).cmp(&(&b, heights.1)));
            prop_assert!(a == b || !encode(&b).starts_with(&encode(&a)));
            prop_assert_eq!(decode(&encode(&a)), Some(a.clone()));
        }

        #[test]
        fn changes_read_back_and_damaged_ones_do_not_panic(keys: Vec<(Bytes, bool)>, cut: prop::sample::Index) {
            let row = Changes { app_hash: [7; 32], keys: keys.clone() }.encode();
            prop_assert_eq!(Changes::decode(&row).expect("whole").keys, keys);
            let _: Result<Changes, Error> = Changes::decode(&row[..cut.index(row.len())]);
        }
    }
}
