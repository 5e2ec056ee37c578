//! Account addresses and their text.

use crate::text::{bech32_decode, bech32_encode};
use crate::{Bytes, Key};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};

/// Bech32 prefix of accounts.
pub const ACCOUNT_PREFIX: &str = "virtengine";
/// Bech32 prefix of validator operators.
pub const VALIDATOR_PREFIX: &str = "virtenginevaloper";
/// Bech32 prefix of consensus keys.
pub const CONSENSUS_PREFIX: &str = "virtenginevalcons";

/// An account's address: 20 bytes, or 32 where a module derived it. Its key form is length ‖ bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    len: u8,
    bytes: [u8; 32],
}

impl Address {
    /// None unless there are 20 or 32 bytes.
    pub fn new(raw: &[u8]) -> Option<Self> {
        if raw.len() != 20 && raw.len() != 32 {
            return None;
        }
        let mut bytes = [0; 32];
        bytes[..raw.len()].copy_from_slice(raw);
        Some(Address { len: raw.len() as u8, bytes })
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len as usize]
    }

    /// The same account as a validator's operator.
    pub fn to_validator(&self) -> String {
        bech32_encode(VALIDATOR_PREFIX, self.as_bytes())
    }

    pub fn from_validator(text: &str) -> Result<Self, String> {
        Address::from_prefixed(VALIDATOR_PREFIX, text)
    }

    fn from_prefixed(prefix: &str, text: &str) -> Result<Self, String> {
        let raw = bech32_decode(prefix, text)?;
        Address::new(&raw).ok_or_else(|| format!("an address has 20 or 32 bytes, {text:?} has {}", raw.len()))
    }
}

/// SHA-256(name)[..20]: where a module keeps money.
pub fn module_address(name: &str) -> Address {
    Address::new(&Sha256::digest(name.as_bytes())[..20]).expect("20 bytes")
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bech32_encode(ACCOUNT_PREFIX, self.as_bytes()))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Address {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Address::from_prefixed(ACCOUNT_PREFIX, text)
    }
}

impl Key for Address {
    fn put(&self, out: &mut Bytes) {
        out.push(self.len);
        out.extend(self.as_bytes());
    }
    fn take(b: &mut &[u8]) -> Option<Self> {
        let (len, rest) = b.split_first()?;
        let raw = rest.get(..*len as usize)?;
        *b = &rest[*len as usize..];
        Address::new(raw)
    }
}
