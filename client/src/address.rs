//! Addresses as text: bech32 with VirtEngine's prefixes, 20 bytes for keys and 32 for derived accounts.
//!
//! Only the form is checked here; whether an account exists is the chain's to say.

use std::fmt;
use std::str::FromStr;

use bech32::primitives::decode::{CheckedHrpstring, CheckedHrpstringError};
use bech32::{Bech32, Hrp};

/// What a bech32 string stands for, told by its human-readable part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    Account,
    AccountPub,
    Operator,
    OperatorPub,
    Consensus,
    ConsensusPub,
}

impl Prefix {
    /// In the order in which `keys parse` prints them.
    pub const ALL: [Prefix; 6] =
        [Prefix::Account, Prefix::AccountPub, Prefix::Operator, Prefix::OperatorPub, Prefix::Consensus, Prefix::ConsensusPub];

    /// The human-readable part.
    pub const fn as_str(self) -> &'static str {
        match self {
            Prefix::Account => "virtengine",
            Prefix::AccountPub => "virtenginepub",
            Prefix::Operator => "virtenginevaloper",
            Prefix::OperatorPub => "virtenginevaloperpub",
            Prefix::Consensus => "virtenginevalcons",
            Prefix::ConsensusPub => "virtenginevalconspub",
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Prefix::Account => "an account address",
            Prefix::AccountPub => "an account public key",
            Prefix::Operator => "a validator operator address",
            Prefix::OperatorPub => "a validator operator public key",
            Prefix::Consensus => "a validator consensus address",
            Prefix::ConsensusPub => "a validator consensus public key",
        }
    }

    fn from_hrp(hrp: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.as_str() == hrp)
    }
}

/// The longest address that Cosmos chains know.
const MAX_BYTES: usize = 255;

/// Why a text is no address of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("address is empty, expected {expected}1…", expected = .0.as_str())]
    Empty(Prefix),
    #[error("address {text:?} is not bech32 ({reason}), expected {expected}1…", expected = .expected.as_str())]
    NotBech32 { text: String, reason: String, expected: Prefix },
    #[error("address {text:?} is {found}, expected {} ({}1…)", .expected.describe(), .expected.as_str())]
    WrongPrefix { text: String, found: String, expected: Prefix },
    #[error("address has {0} bytes, expected 20 or 32")]
    Length(usize),
    #[error("{0} bytes are too many for bech32, expected at most {MAX_BYTES}")]
    TooLong(usize),
}

/// The bytes of an account's, an operator's or a consensus address: 20 or 32.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    len: u8,
    bytes: [u8; 32],
}

impl Address {
    /// # Errors
    /// Any length but 20 and 32.
    pub fn new(raw: &[u8]) -> Result<Self, AddressError> {
        if raw.len() != 20 && raw.len() != 32 {
            return Err(AddressError::Length(raw.len()));
        }
        let mut bytes = [0; 32];
        bytes[..raw.len()].copy_from_slice(raw);
        Ok(Self { len: raw.len() as u8, bytes })
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// The address under `prefix`; `Display` prints it as an account's.
    pub fn to_bech32(&self, prefix: Prefix) -> String {
        write(prefix, self.as_bytes())
    }

    /// Reads an address that must stand under `expected`.
    ///
    /// # Errors
    /// Bad bech32, another prefix, or a length other than 20 and 32 bytes.
    pub fn parse_as(expected: Prefix, text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Err(AddressError::Empty(expected));
        }
        let (hrp, bytes) = decode(text).map_err(|reason| AddressError::NotBech32 { text: text.into(), reason, expected })?;
        if hrp != expected.as_str() {
            let found = Prefix::from_hrp(&hrp).map_or_else(|| format!("of another chain (prefix {hrp:?})"), |p| p.describe().to_string());
            return Err(AddressError::WrongPrefix { text: text.into(), found, expected });
        }
        Self::new(&bytes)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    /// Reads an account address, `virtengine1…`.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse_as(Prefix::Account, text)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_bech32(Prefix::Account))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Bech32 of any bytes under one of our prefixes.
///
/// # Errors
/// More than 255 bytes.
pub fn encode(prefix: Prefix, bytes: &[u8]) -> Result<String, AddressError> {
    if bytes.len() > MAX_BYTES {
        return Err(AddressError::TooLong(bytes.len()));
    }
    Ok(write(prefix, bytes))
}

fn write(prefix: Prefix, bytes: &[u8]) -> String {
    let hrp = Hrp::parse_unchecked(prefix.as_str());
    bech32::encode_lower::<Bech32>(hrp, bytes).expect("at most 255 bytes are within bech32's code length")
}

/// The lower-case human-readable part and the bytes of any bech32 text; the checksum is verified, bech32m is refused.
///
/// # Errors
/// A sentence saying what is wrong with the text.
pub fn decode(text: &str) -> Result<(String, Vec<u8>), String> {
    let parsed = CheckedHrpstring::new::<Bech32>(text).map_err(|e| match e {
        CheckedHrpstringError::Checksum(_) => "the checksum does not match: a character is wrong or missing".to_string(),
        CheckedHrpstringError::Parse(e) => e.to_string(),
        e => e.to_string(),
    })?;
    Ok((parsed.hrp().to_lowercase(), parsed.byte_iter().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "virtengine19rl4cm2hmr8afy4kldpxz3fka4jguq0a6mvv5p";

    fn twenty() -> Address {
        Address::new(&[7; 20]).unwrap()
    }

    #[test]
    fn addresses_of_20_and_32_bytes_print_and_parse_under_every_prefix() {
        for raw in [vec![1u8; 20], (0..32).collect()] {
            let a = Address::new(&raw).unwrap();
            for prefix in Prefix::ALL {
                let text = a.to_bech32(prefix);
                assert!(text.starts_with(&format!("{}1", prefix.as_str())));
                assert_eq!(Address::parse_as(prefix, &text).unwrap(), a);
                assert_eq!(Address::parse_as(prefix, &text.to_uppercase()).unwrap(), a);
            }
        }
    }

    #[test]
    fn other_lengths_are_refused() {
        for n in [0, 19, 21, 33] {
            assert_eq!(Address::new(&vec![0; n]), Err(AddressError::Length(n)));
            assert!(encode(Prefix::Account, &vec![0; n]).unwrap().parse::<Address>().is_err());
        }
        assert_eq!(encode(Prefix::Account, &[0; 256]), Err(AddressError::TooLong(256)));
    }

    #[test]
    fn errors_name_what_was_expected() {
        let e = |t: &str| t.parse::<Address>().unwrap_err().to_string();
        assert_eq!(e(""), "address is empty, expected virtengine1…");
        let valoper = twenty().to_bech32(Prefix::Operator);
        assert_eq!(e(&valoper), format!("address {valoper:?} is a validator operator address, expected an account address (virtengine1…)"));
        let cosmos = "cosmos19rl4cm2hmr8afy4kldpxz3fka4jguq0auqdal4";
        assert_eq!(
            e(cosmos),
            format!("address {cosmos:?} is of another chain (prefix \"cosmos\"), expected an account address (virtengine1…)")
        );
        let broken = twenty().to_string().replace('q', "p");
        assert!(e(&broken).contains("the checksum does not match"), "{}", e(&broken));
        assert!(e("alice").contains("is not bech32"));
    }

    #[test]
    fn bech32m_is_not_an_address() {
        let hrp = Hrp::parse("virtengine").unwrap();
        let text = bech32::encode::<bech32::Bech32m>(hrp, &[7; 20]).unwrap();
        assert!(text.parse::<Address>().is_err());
    }

    #[test]
    fn the_account_form_is_the_default() {
        let a: Address = TEXT.parse().unwrap();
        assert_eq!(a.to_string(), TEXT);
        assert_eq!(format!("{a:?}"), TEXT);
    }
}
