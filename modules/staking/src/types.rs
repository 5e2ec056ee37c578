//! Decimals, keys, and the rules of one validator.

use crate::Error;
use kernel::Address;
use prost::Message;
use proto::cosmos::crypto::ed25519::PubKey;
use proto::cosmos::staking::v1beta1::{BondStatus, CommissionRates, Description, Validator};
use proto::{Any, Timestamp};
use sha2::{Digest, Sha256};
use std::fmt;

/// Base coins per unit of consensus power.
pub const POWER_REDUCTION: u128 = 1_000_000;

const ED25519_URL: &str = "/cosmos.crypto.ed25519.PubKey";
const ONE: i128 = 1_000_000_000_000_000_000;

/// A number in units of 10⁻¹⁸; on the wire the digits of that integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dec(i128);

impl Dec {
    pub const ZERO: Dec = Dec(0);
    pub const ONE: Dec = Dec(ONE);

    pub fn from_wire(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        is_plain.then(|| text.parse().ok().map(Dec))?
    }

    pub fn to_wire(self) -> String {
        self.0.to_string()
    }

    /// None above about 1.7 × 10²⁰.
    pub fn from_int(n: u128) -> Option<Self> {
        i128::try_from(n).ok()?.checked_mul(ONE).map(Dec)
    }

    /// The number if it is whole and not negative.
    pub fn to_int(self) -> Option<u128> {
        if self.0 % ONE == 0 { u128::try_from(self.0 / ONE).ok() } else { None }
    }
}

impl fmt::Display for Dec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, n) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        write!(f, "{sign}{}.{:018}", n / ONE.unsigned_abs(), n % ONE.unsigned_abs())
    }
}

/// The 32 bytes of an ed25519 key, the only kind that may make blocks.
pub fn consensus_key(any: &Any) -> Result<[u8; 32], Error> {
    if any.type_url != ED25519_URL {
        return Err(Error::PubKeyType { got: any.type_url.clone() });
    }
    let key = PubKey::decode(any.value.as_slice()).map_err(|e| Error::InvalidPubKey(e.to_string()))?.key;
    let len = key.len();
    key.try_into().map_err(|_| Error::InvalidPubKey(format!("expected 32 bytes, got {len}")))
}

/// The first 20 bytes of the key's SHA-256: how blocks name a validator.
pub fn consensus_address_of(key: &[u8; 32]) -> Address {
    Address::new(&Sha256::digest(key)[..20]).expect("20 bytes")
}

pub(crate) fn key_of(v: &Validator) -> Option<[u8; 32]> {
    consensus_key(v.consensus_pubkey.as_ref()?).ok()
}

pub(crate) fn consensus_address(v: &Validator) -> Option<Address> {
    key_of(v).map(|key| consensus_address_of(&key))
}

/// Stake in base coins.
pub(crate) fn tokens(v: &Validator) -> Option<u128> {
    bank::types::parse_amount(&v.tokens)
}

pub(crate) fn is_bonded(v: &Validator) -> bool {
    v.status() == BondStatus::Bonded
}

/// The power it has if it is among the strongest; None if it can have none.
pub(crate) fn potential_power(v: &Validator) -> Option<u64> {
    let power = u64::try_from(tokens(v)? / POWER_REDUCTION).ok()?;
    (power > 0 && !v.jailed).then_some(power)
}

/// When an unbonding validator is no longer liable, in milliseconds since the epoch.
pub(crate) fn unbonding_ends(v: &Validator) -> Option<u64> {
    if v.status() != BondStatus::Unbonding {
        return None;
    }
    let t = v.unbonding_time.as_ref()?;
    let ms = t.seconds.checked_mul(1000)?.checked_add(i64::from(t.nanos) / 1_000_000)?;
    Some(u64::try_from(ms).unwrap_or(0))
}

/// Milliseconds since the epoch on the wire.
pub(crate) fn timestamp(ms: u64) -> Timestamp {
    let nanos = i32::try_from(ms % 1000).expect("below 1000") * 1_000_000;
    Timestamp { seconds: i64::try_from(ms / 1000).unwrap_or(i64::MAX), nanos }
}

/// Rates lie between 0 and 1, the rate and its daily change at or below the highest rate.
pub fn check_commission(rates: &CommissionRates) -> Result<Dec, Error> {
    let parse = |name, text: &str| {
        Dec::from_wire(text)
            .ok_or_else(|| Error::Invalid(format!("commission.{name}: expected a decimal in units of 10^-18, got {text:?}")))
    };
    let rate = parse("rate", &rates.rate)?;
    let max_rate = parse("max_rate", &rates.max_rate)?;
    let max_change_rate = parse("max_change_rate", &rates.max_change_rate)?;
    if rate < Dec::ZERO || max_rate < Dec::ZERO {
        Err(Error::CommissionNegative)
    } else if max_rate > Dec::ONE {
        Err(Error::CommissionHuge)
    } else if rate > max_rate {
        Err(Error::CommissionAboveMaxRate)
    } else if max_change_rate < Dec::ZERO {
        Err(Error::ChangeRateNegative)
    } else if max_change_rate > max_rate {
        Err(Error::ChangeRateAboveMaxRate)
    } else {
        Ok(rate)
    }
}

/// Lengths in bytes are those of Cosmos SDK; a moniker is required.
pub fn check_description(d: &Description) -> Result<(), Error> {
    if d.moniker.trim().is_empty() {
        return Err(Error::Invalid("description.moniker: expected a name, got none".into()));
    }
    let all = [
        ("moniker", &d.moniker, 70),
        ("identity", &d.identity, 3000),
        ("website", &d.website, 140),
        ("security contact", &d.security_contact, 140),
        ("details", &d.details, 280),
    ];
    match all.iter().find(|(_, text, max)| text.len() > *max) {
        Some((name, text, max)) => Err(Error::Invalid(format!("invalid {name} length; got: {}, max: {max}", text.len()))),
        None => Ok(()),
    }
}
