//! Pure rules: what a group may ask for, and how amounts and times are read.

use crate::Error;
use escrow::Reserved;
use kernel::{Address, DENOM};
use proto::cosmos::base::v1beta1::Coin;
use proto::virtengine::base::v1::{Attribute, PlacementRequirements, ResourceUnit, endpoint};
use proto::virtengine::deployment::v1 as wire;
use proto::{Duration, duration_millis};
use std::collections::BTreeSet;

/// Bytes of a SHA-256 digest.
const HASH_BYTES: usize = 32;
/// Bytes of a group's or a volume's name: what a Kubernetes label may hold.
const MAX_NAME: usize = 63;
/// Bytes of an attribute's key or value, so that a list of them stays a few kilobytes.
const MAX_ATTRIBUTE_TEXT: usize = 256;
/// Attributes in one list, as many as a provider may have.
const MAX_ATTRIBUTES: usize = 100;
/// Auditors in one list; matching reads a row for each.
const MAX_AUDITORS: usize = 16;
/// Volumes of one resource unit.
const MAX_VOLUMES: usize = 16;
/// Endpoints of one resource unit.
const MAX_ENDPOINTS: usize = 100;
/// Longest notice that a group may ask for before its resources are reclaimed: 365 days, in ms.
const MAX_RECLAMATION: u64 = 365 * 24 * 3_600_000;

/// The parameters, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params {
    /// In uve.
    pub min_deposit: u64,
    pub max_groups: u32,
    pub max_resources_per_group: u32,
}

impl Default for Params {
    fn default() -> Self {
        Params { min_deposit: 500_000, max_groups: 20, max_resources_per_group: 20 }
    }
}

/// What is left out takes its default.
impl TryFrom<&wire::Params> for Params {
    type Error = Error;
    fn try_from(p: &wire::Params) -> Result<Self, Error> {
        let default = Params::default();
        Ok(Params {
            min_deposit: p.min_deposit.as_ref().map_or(Ok(default.min_deposit), |c| amount("params.min_deposit", Some(c), 1))?,
            max_groups: bounded("params.max_groups", p.max_groups, default.max_groups, 1000)?,
            max_resources_per_group: bounded(
                "params.max_resources_per_group",
                p.max_resources_per_group,
                default.max_resources_per_group,
                1000,
            )?,
        })
    }
}

impl From<Params> for wire::Params {
    fn from(p: Params) -> Self {
        wire::Params { min_deposit: Some(uve(p.min_deposit)), max_groups: p.max_groups, max_resources_per_group: p.max_resources_per_group }
    }
}

/// `n`, or the default for 0; at most `max`.
fn bounded(field: &str, n: u32, default: u32, max: u32) -> Result<u32, Error> {
    match n {
        0 => Ok(default),
        n if n <= max => Ok(n),
        n => Err(Error::invalid(field, format!("1 to {max}"), n.to_string())),
    }
}

/// What a whole group reserves, Σ count × unit; None when a sum does not fit 64 bits.
pub fn reserved(units: &[ResourceUnit]) -> Option<Reserved> {
    let mut sum = Reserved::default();
    for unit in units {
        let add = |sum: &mut u128, one: u64| -> Option<()> {
            *sum = sum.checked_add(u128::from(one) * u128::from(unit.count)).filter(|sum| *sum <= u64::MAX.into())?;
            Some(())
        };
        add(&mut sum.cpu_milli, unit.cpu_milli)?;
        add(&mut sum.memory, unit.memory)?;
        add(&mut sum.gpu, unit.gpu)?;
        for volume in &unit.storage {
            add(&mut sum.storage, volume.size)?;
        }
    }
    Some(sum)
}

/// The hash of a manifest: SHA-256, so 32 bytes.
pub fn check_hash(hash: &[u8]) -> Result<(), Error> {
    if hash.len() != HASH_BYTES {
        return Err(Error::invalid("hash", "the 32 bytes of the manifest's SHA-256", format!("{} bytes", hash.len())));
    }
    Ok(())
}

/// Everything that can be said about a deployment's groups without reading the state.
pub fn check_groups(groups: &[wire::GroupSpec], params: &Params) -> Result<(), Error> {
    check_count("groups", groups.len(), 1, params.max_groups as usize)?;
    let mut names = BTreeSet::new();
    for (i, group) in groups.iter().enumerate() {
        let at = format!("groups[{i}]");
        check_group(&at, group, params)?;
        if !names.insert(&group.name) {
            return Err(Error::invalid(format!("{at}.name"), "a name of its own", quoted(&group.name)));
        }
    }
    Ok(())
}

fn check_group(at: &str, group: &wire::GroupSpec, params: &Params) -> Result<(), Error> {
    check_text(&format!("{at}.name"), &group.name, MAX_NAME)?;
    amount(&format!("{at}.price"), group.price.as_ref(), 1)?;
    if let Some(window) = &group.reclamation_window {
        let ms = whole_millis(window).filter(|ms| (1..=MAX_RECLAMATION).contains(ms));
        ms.ok_or_else(|| {
            let got = format!("{}s and {}ns", window.seconds, window.nanos);
            Error::invalid(format!("{at}.reclamation_window"), "whole milliseconds, more than none, at most 365 days", got)
        })?;
    }
    if let Some(requirements) = &group.requirements {
        check_requirements(&format!("{at}.requirements"), requirements)?;
    }
    check_count(&format!("{at}.resources"), group.resources.len(), 1, params.max_resources_per_group as usize)?;
    let mut ids = BTreeSet::new();
    for (i, unit) in group.resources.iter().enumerate() {
        let at = format!("{at}.resources[{i}]");
        check_unit(&at, unit)?;
        if !ids.insert(unit.id) {
            return Err(Error::invalid(format!("{at}.id"), "a number of its own", unit.id.to_string()));
        }
    }
    match reserved(&group.resources) {
        Some(_) => Ok(()),
        None => Err(Error::invalid(format!("{at}.resources"), "sums below 2^64", "more")),
    }
}

fn check_requirements(at: &str, requirements: &PlacementRequirements) -> Result<(), Error> {
    check_attributes(&format!("{at}.attributes"), &requirements.attributes)?;
    let Some(signed_by) = &requirements.signed_by else { return Ok(()) };
    for (name, auditors) in [("all_of", &signed_by.all_of), ("any_of", &signed_by.any_of)] {
        let at = format!("{at}.signed_by.{name}");
        check_count(&at, auditors.len(), 0, MAX_AUDITORS)?;
        let mut seen = BTreeSet::new();
        for (i, auditor) in auditors.iter().enumerate() {
            address(&format!("{at}[{i}]"), auditor)?;
            if !seen.insert(auditor) {
                return Err(Error::invalid(format!("{at}[{i}]"), "each auditor once", quoted(auditor)));
            }
        }
    }
    Ok(())
}

fn check_unit(at: &str, unit: &ResourceUnit) -> Result<(), Error> {
    let from_one = |name: &str, n: u64| match n {
        0 => Err(Error::invalid(format!("{at}.{name}"), "at least 1", "0")),
        _ => Ok(()),
    };
    from_one("id", unit.id.into())?;
    from_one("count", unit.count.into())?;
    from_one("cpu_milli", unit.cpu_milli)?;
    from_one("memory", unit.memory)?;
    check_count(&format!("{at}.storage"), unit.storage.len(), 1, MAX_VOLUMES)?;
    let mut names = BTreeSet::new();
    for (i, volume) in unit.storage.iter().enumerate() {
        from_one(&format!("storage[{i}].size"), volume.size)?;
        check_attributes(&format!("{at}.storage[{i}].attributes"), &volume.attributes)?;
        if volume.name.len() > MAX_NAME || !names.insert(&volume.name) {
            let expected = format!("a name of its own of at most {MAX_NAME} bytes");
            return Err(Error::invalid(format!("{at}.storage[{i}].name"), expected, quoted(&volume.name)));
        }
    }
    check_attributes(&format!("{at}.gpu_attributes"), &unit.gpu_attributes)?;
    if unit.gpu == 0 && !unit.gpu_attributes.is_empty() {
        return Err(Error::invalid(format!("{at}.gpu_attributes"), "none without a gpu", unit.gpu_attributes.len().to_string()));
    }
    check_count(&format!("{at}.endpoints"), unit.endpoints.len(), 0, MAX_ENDPOINTS)?;
    for (i, endpoint) in unit.endpoints.iter().enumerate() {
        if endpoint::Kind::try_from(endpoint.kind).is_err() {
            return Err(Error::invalid(
                format!("{at}.endpoints[{i}].kind"),
                "shared_http, random_port or leased_ip",
                endpoint.kind.to_string(),
            ));
        }
    }
    Ok(())
}

fn check_attributes(at: &str, attributes: &[Attribute]) -> Result<(), Error> {
    check_count(at, attributes.len(), 0, MAX_ATTRIBUTES)?;
    let mut keys = BTreeSet::new();
    for (i, attribute) in attributes.iter().enumerate() {
        check_text(&format!("{at}[{i}].key"), &attribute.key, MAX_ATTRIBUTE_TEXT)?;
        check_text(&format!("{at}[{i}].value"), &attribute.value, MAX_ATTRIBUTE_TEXT)?;
        if !keys.insert(&attribute.key) {
            return Err(Error::invalid(format!("{at}[{i}].key"), "each key once", quoted(&attribute.key)));
        }
    }
    Ok(())
}

fn check_count(field: &str, n: usize, min: usize, max: usize) -> Result<(), Error> {
    if (min..=max).contains(&n) {
        return Ok(());
    }
    let expected = if min == 0 { format!("at most {max}") } else { format!("{min} to {max}") };
    Err(Error::invalid(field, expected, n.to_string()))
}

fn check_text(field: &str, text: &str, max: usize) -> Result<(), Error> {
    if text.is_empty() || text.len() > max || text.chars().any(char::is_control) {
        return Err(Error::invalid(field, format!("1 to {max} bytes of text"), quoted(text)));
    }
    Ok(())
}

/// A text of the user's for an error message, cut to a readable length.
pub fn quoted(text: &str) -> String {
    const MAX: usize = 80;
    match text.char_indices().nth(MAX) {
        Some((cut, _)) => format!("{:?}… ({} bytes)", &text[..cut], text.len()),
        None => format!("{text:?}"),
    }
}

/// The address in a field of a message.
pub fn address(field: &str, text: &str) -> Result<Address, Error> {
    text.parse().map_err(|e| Error::invalid(field, "an account address", format!("{} ({e})", quoted(text))))
}

/// Whole uve in a field of a message, at least `min`.
pub fn amount(field: &str, coin: Option<&Coin>, min: u64) -> Result<u64, Error> {
    let expected = || format!("a whole number of {DENOM} from {min} to {}", u64::MAX);
    let coin = coin.ok_or_else(|| Error::invalid(field, expected(), "none"))?;
    let amount = if coin.denom == DENOM { parse_amount(&coin.amount).filter(|n| *n >= min) } else { None };
    amount.ok_or_else(|| Error::invalid(field, expected(), quoted(&format!("{}{}", coin.amount, coin.denom))))
}

/// Decimal digits without sign or leading zeros; None otherwise, or when it does not fit.
pub fn parse_amount(text: &str) -> Option<u64> {
    let canonical = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| canonical)
}

pub fn uve(amount: u64) -> Coin {
    Coin { denom: DENOM.into(), amount: amount.to_string() }
}

/// A duration as milliseconds; None when negative, malformed or finer than that.
pub fn whole_millis(d: &Duration) -> Option<u64> {
    duration_millis(d).filter(|_| d.nanos % 1_000_000 == 0)
}
