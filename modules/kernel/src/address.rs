//! Account addresses and their text.

use crate::text::{bech32_decode, bech32_encode};
use crate::{Bytes, Key};
use sha2::{Digest, Sha256};
use std::{cell::RefCell, fmt, str::FromStr};

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

/// Addresses and texts met lately: a transaction names the same two or three addresses a dozen times, and bech32 takes
/// half a microsecond each time. Both directions are pure functions, so what is remembered changes no result.
struct Recent {
    by_address: Vec<Option<(Address, Box<str>)>>,
    by_text: Vec<Option<(Box<str>, Address)>>,
}

const RECENT: usize = 256;

thread_local! {
    static TEXTS: RefCell<Recent> = RefCell::new(Recent { by_address: vec![None; RECENT], by_text: vec![None; RECENT] });
}

/// The place of an address or text: both end in what differs most.
fn place(bytes: &[u8]) -> usize {
    bytes.iter().rev().take(4).fold(0, |all, byte| all * 31 + usize::from(*byte)) % RECENT
}

impl Recent {
    fn text(&mut self, address: &Address) -> &str {
        let slot = &mut self.by_address[place(address.as_bytes())];
        if slot.as_ref().is_none_or(|(known, _)| known != address) {
            *slot = Some((*address, bech32_encode(ACCOUNT_PREFIX, address.as_bytes()).into()));
        }
        &slot.as_ref().expect("filled above").1
    }

    fn address(&mut self, text: &str) -> Result<Address, String> {
        let at = place(text.as_bytes());
        match &self.by_text[at] {
            Some((known, address)) if **known == *text => Ok(*address),
            _ => {
                let address = Address::from_prefixed(ACCOUNT_PREFIX, text)?;
                self.by_text[at] = Some((text.into(), address));
                self.by_address[place(address.as_bytes())] = Some((address, text.into()));
                Ok(address)
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        TEXTS.with_borrow_mut(|recent| f.write_str(recent.text(self)))
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
        TEXTS.with_borrow_mut(|recent| recent.address(text))
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
