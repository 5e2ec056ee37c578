//! Pure rules of the registry.

use crate::Error;
use kernel::{Address, DENOM};
use proto::cosmos::base::v1beta1::Coin;
use proto::virtengine::base::v1::Attribute;
use proto::virtengine::provider::v1::{self as wire, Details};
use std::fmt;

/// Longest name, contact, key or value, in bytes: rows stay small enough to list.
const MAX_TEXT: usize = 256;
/// Most attributes of a provider and most auditors that a genesis may allow: deleting a provider removes them in one go.
const MAX_ROWS: u32 = 1000;
/// Longest URL, in bytes.
const MAX_URL: usize = 512;

/// Checked parameters; the deposit is in uve.
#[derive(Debug, Clone, PartialEq)]
pub struct Params {
    pub min_deposit: u64,
    pub max_attributes: u32,
    pub max_auditors: u32,
    pub default_attributes: Vec<Attribute>,
}

impl Default for Params {
    fn default() -> Self {
        Params { min_deposit: 1_000_000_000, max_attributes: 100, max_auditors: 32, default_attributes: Vec::new() }
    }
}

/// What is left out takes its default.
impl TryFrom<wire::Params> for Params {
    type Error = Error;
    fn try_from(p: wire::Params) -> Result<Self, Error> {
        let or = Params::default();
        let number = |field, n, or| match n {
            0 => Ok(or),
            n if n <= MAX_ROWS => Ok(n),
            n => Err(Error::invalid(field, format!("expected 1 to {MAX_ROWS}, got {n}"))),
        };
        let params = Params {
            min_deposit: p.min_deposit.as_ref().map_or(Ok(or.min_deposit), |c| uve("params.min_deposit", Some(c)))?,
            max_attributes: number("params.max_attributes", p.max_attributes, or.max_attributes)?,
            max_auditors: number("params.max_auditors", p.max_auditors, or.max_auditors)?,
            default_attributes: p.default_attributes,
        };
        if params.min_deposit == 0 {
            return Err(Error::invalid("params.min_deposit", format!("expected at least 1{DENOM}, got 0{DENOM}")));
        }
        check_attributes("params.default_attributes", &params.default_attributes, params.max_attributes)?;
        Ok(params)
    }
}

impl From<Params> for wire::Params {
    fn from(p: Params) -> Self {
        wire::Params {
            min_deposit: Some(Coin { denom: DENOM.into(), amount: p.min_deposit.to_string() }),
            max_attributes: p.max_attributes,
            max_auditors: p.max_auditors,
            default_attributes: p.default_attributes,
        }
    }
}

/// An amount in uve.
pub(crate) fn uve(field: &'static str, coin: Option<&Coin>) -> Result<u64, Error> {
    let coin = coin.ok_or_else(|| Error::invalid(field, format!("expected an amount in {DENOM}, got none")))?;
    if coin.denom != DENOM {
        return Err(Error::invalid(field, format!("expected denom {DENOM}, got {:?}", coin.denom)));
    }
    let plain = !coin.amount.is_empty() && coin.amount.bytes().all(|b| b.is_ascii_digit());
    let amount = if plain { coin.amount.parse().ok() } else { None };
    amount.ok_or_else(|| Error::invalid(field, format!("expected a whole number of {DENOM} below 2^64, got {:?}", coin.amount)))
}

/// Checks what an owner says of its provider.
pub(crate) fn check_details(details: &Details, max_attributes: u32) -> Result<(), Error> {
    required("name", &details.name)?;
    required("contact", &details.contact)?;
    url("website", &details.website)?;
    url("host_uri", &details.host_uri)?;
    for (field, text) in [("operator", &details.operator), ("payout", &details.payout)] {
        if !text.is_empty() {
            address(field, text)?;
        }
    }
    let print = &details.gateway_fingerprint;
    let hex = print.len() == 64 && print.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !print.is_empty() && !hex {
        return Err(Error::invalid(
            "gateway_fingerprint",
            format!("expected the SHA-256 of a certificate as 64 lower-case hex digits, got {print:?}"),
        ));
    }
    check_attributes("attributes", &details.attributes, max_attributes)
}

pub(crate) fn address(field: &'static str, text: &str) -> Result<Address, Error> {
    text.parse().map_err(|e| Error::invalid(field, format!("expected an account address, got {text:?} ({e})")))
}

fn required(field: &'static str, text: &str) -> Result<(), Error> {
    if text.trim().is_empty() {
        return Err(Error::invalid(field, "expected a text, got none"));
    }
    limit(field, text, MAX_TEXT)
}

fn limit(field: &'static str, text: &str, max: usize) -> Result<(), Error> {
    if text.len() > max {
        return Err(Error::invalid(field, format!("expected at most {max} bytes, got {}", text.len())));
    }
    Ok(())
}

fn url(field: &'static str, text: &str) -> Result<(), Error> {
    limit(field, text, MAX_URL)?;
    let absolute = || {
        let (scheme, rest) = text.split_once("://")?;
        let host = rest.split(['/', '?', '#']).next()?;
        let ok = matches!(scheme, "http" | "https") && !host.is_empty() && text.chars().all(|c| c.is_ascii_graphic());
        ok.then_some(())
    };
    if !text.is_empty() && absolute().is_none() {
        return Err(Error::invalid(field, format!("expected an absolute URL like https://provider.example.com, got {text:?}")));
    }
    Ok(())
}

/// Unique, non-empty keys and short texts.
pub(crate) fn check_attributes(field: &'static str, attributes: &[Attribute], max: u32) -> Result<(), Error> {
    if attributes.len() > max as usize {
        return Err(Error::invalid(field, format!("expected at most {max}, got {}", attributes.len())));
    }
    let mut keys: Vec<&str> = attributes.iter().map(|a| a.key.as_str()).collect();
    keys.sort_unstable();
    if let Some(pair) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Error::invalid(field, format!("key {:?} stands twice", pair[0])));
    }
    for a in attributes {
        if a.key.is_empty() {
            return Err(Error::invalid(field, "a key is empty"));
        }
        limit(field, &a.key, MAX_TEXT)?;
        limit(field, &a.value, MAX_TEXT)?;
    }
    Ok(())
}

/// A requirement of an order that a provider does not meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// The provider lacks the attribute, or has another value.
    Attribute {
        key: String,
        expected: String,
        got: Option<String>,
    },
    NotSignedBy(String),
    NotSignedByAny(Vec<String>),
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mismatch::Attribute { key, expected, got: Some(got) } => {
                write!(f, "attribute {key}: the order asks for {expected:?}, the provider has {got:?}")
            }
            Mismatch::Attribute { key, expected, got: None } => {
                write!(f, "attribute {key}: the order asks for {expected:?}, the provider has none")
            }
            Mismatch::NotSignedBy(auditor) => write!(f, "signedBy: attributes are not signed by {auditor}"),
            Mismatch::NotSignedByAny(auditors) => write!(f, "signedBy: attributes are signed by none of {}", auditors.join(", ")),
        }
    }
}

pub(crate) fn missing(asked: &[Attribute], offered: &[Attribute]) -> Vec<Mismatch> {
    let got = |key: &str| offered.iter().find(|a| a.key == key).map(|a| a.value.clone());
    let lacks = |a: &&Attribute| got(&a.key).as_deref() != Some(&a.value);
    asked.iter().filter(lacks).map(|a| Mismatch::Attribute { key: a.key.clone(), expected: a.value.clone(), got: got(&a.key) }).collect()
}
