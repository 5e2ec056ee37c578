//! Coins: what may be written as one, and how amounts are stored.

use crate::Error;
use kernel::{Bytes, Value};
use proto::cosmos::base::v1beta1::Coin;

/// Denominations and amounts: sorted by denomination, each once, all above zero.
pub type Coins = Vec<(String, u128)>;

/// An amount as its row: decimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Amount(pub u128);

impl Value for Amount {
    fn encode(&self) -> Bytes {
        self.0.to_string().into_bytes()
    }
    fn decode(b: &[u8]) -> Option<Self> {
        parse_amount(std::str::from_utf8(b).ok()?).map(Amount)
    }
}

/// A switch as its row: one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flag(pub bool);

impl Value for Flag {
    fn encode(&self) -> Bytes {
        vec![self.0.into()]
    }
    fn decode(b: &[u8]) -> Option<Self> {
        match b {
            [0] => Some(Flag(false)),
            [1] => Some(Flag(true)),
            _ => None,
        }
    }
}

/// Decimal digits without sign or leading zeros, at most 2^128 - 1.
pub fn parse_amount(text: &str) -> Option<u128> {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    is_plain.then(|| text.parse().ok())?
}

/// A letter, then 2 to 127 letters, digits or `/:._-`, as in Cosmos SDK.
pub fn validate_denom(denom: &str) -> Result<(), String> {
    let b = denom.as_bytes();
    let is_inner = |c: &u8| c.is_ascii_alphanumeric() || b"/:._-".contains(c);
    if (3..=128).contains(&b.len()) && b[0].is_ascii_alphabetic() && b.iter().all(is_inner) {
        Ok(())
    } else {
        Err(format!("invalid denom: {denom}"))
    }
}

/// One coin above zero; the error is the reason in the words of Cosmos SDK.
fn checked(coin: &Coin) -> Result<(String, u128), String> {
    validate_denom(&coin.denom)?;
    match parse_amount(&coin.amount) {
        Some(0) => Err(format!("coin 0{} amount is not positive", coin.denom)),
        Some(amount) => Ok((coin.denom.clone(), amount)),
        None if coin.amount.starts_with('-') => Err(format!("coin {}{} amount is not positive", coin.amount, coin.denom)),
        None => Err(format!("amount of {}: expected decimal digits below 2^128, got {:?}", coin.denom, coin.amount)),
    }
}

pub fn parse_coin(coin: &Coin) -> Result<(String, u128), Error> {
    checked(coin).map_err(|reason| Error::InvalidCoins(format!("{reason}: {}{}", coin.amount, coin.denom)))
}

/// Coins that are sorted, unique and above zero; none at all is fine. The error says which is not and quotes all.
pub fn parse_coins(coins: &[Coin]) -> Result<Coins, Error> {
    let parse = || {
        let mut out = Coins::with_capacity(coins.len());
        for coin in coins {
            let coin = checked(coin)?;
            match out.last() {
                Some((last, _)) if coin.0 == *last => return Err(format!("duplicate denomination {}", coin.0)),
                Some((last, _)) if coin.0 < *last => return Err(format!("denomination {} is not sorted", coin.0)),
                _ => out.push(coin),
            }
        }
        Ok(out)
    };
    parse().map_err(|reason: String| {
        let all: Vec<_> = coins.iter().map(|c| format!("{}{}", c.amount, c.denom)).collect();
        Error::InvalidCoins(format!("{reason}: {}", all.join(",")))
    })
}

/// As [`parse_coins`], and at least one.
pub(crate) fn parse_some_coins(coins: &[Coin]) -> Result<Coins, Error> {
    if coins.is_empty() {
        return Err(Error::InvalidCoins("amount is empty".into()));
    }
    parse_coins(coins)
}

/// `5uve,7x`.
pub fn coins_text(coins: &[(String, u128)]) -> String {
    let mut out = String::new();
    for (denom, amount) in coins {
        if !out.is_empty() {
            out.push(',');
        }
        out += &amount.to_string();
        out += denom;
    }
    out
}

/// What remains of a limit; None where something is not in it or would fall below zero. Zero amounts leave.
pub fn minus(from: &[Coin], spent: &[(String, u128)]) -> Option<Vec<Coin>> {
    let mut left = parse_coins(from).ok()?;
    for (denom, amount) in spent {
        let (_, have) = left.iter_mut().find(|(d, _)| d == denom)?;
        *have = have.checked_sub(*amount)?;
    }
    Some(left.into_iter().filter(|(_, amount)| *amount > 0).map(|(denom, amount)| to_proto(denom, amount)).collect())
}

pub(crate) fn to_proto(denom: String, amount: u128) -> Coin {
    Coin { denom, amount: amount.to_string() }
}
