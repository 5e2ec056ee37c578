//! The allowances and what each allows.

use crate::Error;
use bank::types::minus;
use bank::{Coins, parse_coins};
use kernel::Moment;
use prost::Message;
use proto::cosmos::base::v1beta1::Coin;
use proto::cosmos::feegrant::v1beta1::{AllowedMsgAllowance, BasicAllowance, PeriodicAllowance};
use proto::{Any, Timestamp, any};
use std::cmp::Ordering;

/// What a granter pays for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Allowance {
    Basic(BasicAllowance),
    Periodic(PeriodicAllowance),
    /// Another allowance, for these messages only.
    Messages(Box<Allowance>, Vec<String>),
}

/// Go's zero time, which stands for an absent Timestamp that must be there.
const ZERO_TIME: Timestamp = Timestamp { seconds: -62_135_596_800, nanos: 0 };

fn positive(coins: &[Coin], what: &str) -> Result<Coins, Error> {
    parse_coins(coins).map_err(|e| Error::Coins(format!("{what}: {}", e.to_string().trim_end_matches(": invalid coins"))))
}

impl Allowance {
    pub fn unpack(any: &Any) -> Result<Self, Error> {
        fn decode<M: Message + Default>(any: &Any) -> Result<M, Error> {
            M::decode(any.value.as_slice()).map_err(|e| Error::Unknown(e.to_string()))
        }
        Ok(match any.type_url.as_str() {
            "/cosmos.feegrant.v1beta1.BasicAllowance" => Allowance::Basic(decode(any)?),
            "/cosmos.feegrant.v1beta1.PeriodicAllowance" => Allowance::Periodic(decode(any)?),
            "/cosmos.feegrant.v1beta1.AllowedMsgAllowance" => {
                let AllowedMsgAllowance { allowance, allowed_messages } = decode(any)?;
                let inner = Allowance::unpack(&allowance.ok_or(Error::NoAllowance)?)?;
                Allowance::Messages(Box::new(inner), allowed_messages)
            }
            other => {
                let known = "BasicAllowance, PeriodicAllowance or AllowedMsgAllowance of cosmos.feegrant.v1beta1";
                return Err(Error::Unknown(format!("expected a {known}, got {other:?}")));
            }
        })
    }

    pub fn pack(&self) -> Any {
        match self {
            Allowance::Basic(basic) => any(basic),
            Allowance::Periodic(periodic) => any(periodic),
            Allowance::Messages(inner, messages) => {
                any(&AllowedMsgAllowance { allowance: Some(inner.pack()), allowed_messages: messages.clone() })
            }
        }
    }

    pub fn expires_at(&self) -> Option<&Timestamp> {
        match self {
            Allowance::Basic(basic) => basic.expiration.as_ref(),
            Allowance::Periodic(periodic) => periodic.basic.as_ref().and_then(|b| b.expiration.as_ref()),
            Allowance::Messages(inner, _) => inner.expires_at(),
        }
    }

    /// Whether it makes sense by itself.
    pub fn validate(&self) -> Result<(), Error> {
        match self {
            Allowance::Basic(basic) => validate_basic(basic),
            Allowance::Periodic(periodic) => {
                let basic = periodic.basic.clone().unwrap_or_default();
                validate_basic(&basic)?;
                let limit = positive(&periodic.period_spend_limit, "spend amount is invalid")?;
                if limit.is_empty() {
                    return Err(Error::Coins("spend limit must be positive".into()));
                }
                positive(&periodic.period_can_spend, "can spend amount is invalid")?;
                let total = positive(&basic.spend_limit, "spend amount is invalid")?;
                if !total.is_empty() && limit.iter().any(|(denom, _)| !total.iter().any(|(d, _)| d == denom)) {
                    return Err(Error::Coins("period spend limit has different currency than basic spend limit".into()));
                }
                let period = periodic.period.unwrap_or_default();
                if period.seconds < 0 || period.nanos < 0 {
                    return Err(Error::Duration("negative clock step"));
                }
                if !(0..1_000_000_000).contains(&period.nanos) || period.seconds > 9_223_372_035 {
                    return Err(Error::Duration("period: expected at most 292 years"));
                }
                match periodic.period_reset.as_ref().map(Moment::new) {
                    Some(None) => Err(Error::Duration("period_reset: expected a time in the years 1 to 9999")),
                    _ => Ok(()),
                }
            }
            Allowance::Messages(_, messages) if messages.is_empty() => Err(Error::NoMessages),
            Allowance::Messages(inner, _) => inner.validate(),
        }
    }

    /// Pays a fee out of it at block time `now`, in milliseconds. True if nothing is left of it and it goes.
    pub fn accept(&mut self, now: u64, fee: &[(String, u128)], messages: &[&str]) -> Result<bool, Error> {
        match self {
            Allowance::Basic(basic) => {
                if expired(basic.expiration.as_ref(), now) {
                    return Err(Error::Expired("basic allowance"));
                }
                spend(&mut basic.spend_limit, fee, "basic allowance")
            }
            Allowance::Periodic(periodic) => {
                let basic = periodic.basic.get_or_insert_default();
                if expired(basic.expiration.as_ref(), now) {
                    return Err(Error::Expired("absolute limit"));
                }
                start_period(periodic, now);
                periodic.period_can_spend = minus(&periodic.period_can_spend, fee).ok_or(Error::Exceeded("period limit"))?;
                let basic = periodic.basic.get_or_insert_default();
                spend(&mut basic.spend_limit, fee, "absolute limit")
            }
            Allowance::Messages(inner, allowed) => {
                if !messages.iter().all(|m| allowed.iter().any(|a| a == m)) {
                    return Err(Error::MessageNotAllowed);
                }
                inner.accept(now, fee, messages)
            }
        }
    }
}

fn validate_basic(basic: &BasicAllowance) -> Result<(), Error> {
    positive(&basic.spend_limit, "send amount is invalid")?;
    match &basic.expiration {
        Some(time) if time.seconds < 0 => Err(Error::Duration("expiration time cannot be negative")),
        Some(time) if Moment::new(time).is_none() => Err(Error::Duration("expiration: expected a time before the year 10000")),
        _ => Ok(()),
    }
}

fn expired(expiration: Option<&Timestamp>, now: u64) -> bool {
    expiration.is_some_and(|time| proto::cmp_millis(time, now) == Ordering::Less)
}

/// No limit at all is never used up.
fn spend(limit: &mut Vec<Coin>, fee: &[(String, u128)], which: &'static str) -> Result<bool, Error> {
    if limit.is_empty() {
        return Ok(false);
    }
    *limit = minus(limit, fee).ok_or(Error::Exceeded(which))?;
    Ok(limit.is_empty())
}

/// Begins the next period if it is time: one period after the last one began, or from now on when that has passed too.
fn start_period(periodic: &mut PeriodicAllowance, now: u64) {
    let reset = periodic.period_reset.unwrap_or(ZERO_TIME);
    if proto::cmp_millis(&reset, now) == Ordering::Greater {
        return;
    }
    let total = &periodic.basic.get_or_insert_default().spend_limit;
    let limit = parse_coins(&periodic.period_spend_limit).unwrap_or_default();
    periodic.period_can_spend = match minus(total, &limit) {
        None if !total.is_empty() => total.clone(),
        _ => periodic.period_spend_limit.clone(),
    };
    let mut next = later(&reset, periodic);
    if proto::cmp_millis(&next, now) == Ordering::Less {
        next = later(&proto::timestamp(now), periodic);
    }
    periodic.period_reset = Some(next);
}

/// One period after `time`. Periods are validated, so neither part can overflow.
fn later(time: &Timestamp, periodic: &PeriodicAllowance) -> Timestamp {
    let period = periodic.period.unwrap_or_default();
    let nanos = time.nanos.saturating_add(period.nanos);
    Timestamp {
        seconds: time.seconds.saturating_add(period.seconds).saturating_add(i64::from(nanos / 1_000_000_000)),
        nanos: nanos % 1_000_000_000,
    }
}
