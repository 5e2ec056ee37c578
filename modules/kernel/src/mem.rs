//! A committed state in memory, for tests and for the simulation.

use crate::{Base, Bytes, Fault, Writes};
use std::collections::BTreeMap;

#[derive(Debug, Clone, Default)]
pub struct MemBase(BTreeMap<Bytes, Bytes>);

impl MemBase {
    pub fn apply(&mut self, writes: Writes) {
        for (key, value) in writes {
            match value {
                Some(value) => self.0.insert(key, value),
                None => self.0.remove(&key),
            };
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        self.0.iter()
    }
}

impl Base for MemBase {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Fault> {
        Ok(self.0.get(key).cloned())
    }

    fn scan(&self, lo: &[u8], hi: &[u8], reverse: bool, limit: usize) -> Result<Vec<(Bytes, Bytes)>, Fault> {
        if lo >= hi {
            return Ok(Vec::new());
        }
        let range = self.0.range(lo.to_vec()..hi.to_vec()).map(|(k, v)| (k.clone(), v.clone()));
        Ok(if reverse { range.rev().take(limit).collect() } else { range.take(limit).collect() })
    }
}
