//! Addresses as bech32 texts, one text per address.

use crate::Bytes;
use bech32::primitives::decode::CheckedHrpstring;
use bech32::primitives::iter::Fe32IterExt;
use bech32::{Bech32, Fe32, Hrp};

/// The text of `raw` under a lowercase prefix.
pub fn bech32_encode(prefix: &str, raw: &[u8]) -> String {
    let hrp = Hrp::parse(prefix).expect("a constant prefix");
    bech32::encode_lower::<Bech32>(hrp, raw).expect("short enough for bech32")
}

/// The bytes of a text with this prefix; the error says what was expected.
pub fn bech32_decode(prefix: &str, text: &str) -> Result<Bytes, String> {
    if text.is_empty() {
        return Err("empty address string is not allowed".into());
    }
    let failed = |reason: String| format!("decoding bech32 failed: {reason}");
    let parsed = CheckedHrpstring::new::<Bech32>(text).map_err(|e| failed(reason(text).unwrap_or_else(|| e.to_string())))?;
    let hrp = parsed.hrp();
    if hrp.as_str() != prefix {
        return Err(format!("invalid Bech32 prefix; expected {prefix}, got {hrp}"));
    }
    // Capitals and padding that is not zero would give an address a second text.
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) || parsed.validate_segwit_padding().is_err() {
        return Err(failed("expected lower case and zero padding".into()));
    }
    Ok(parsed.byte_iter().collect())
}

/// Why a text is not bech32, in the words of Cosmos SDK; None for a reason that it does not have.
fn reason(text: &str) -> Option<String> {
    const CHECKSUM: usize = 6;
    if !(8..=1023).contains(&text.len()) {
        return Some(format!("invalid bech32 string length {}", text.len()));
    }
    let (mut lower, mut upper) = (false, false);
    for byte in text.bytes() {
        if !byte.is_ascii_graphic() {
            return Some(format!("invalid character in string: '{}'", char::from(byte)));
        }
        lower |= byte.is_ascii_lowercase();
        upper |= byte.is_ascii_uppercase();
        if lower && upper {
            return Some("string not all lowercase or all uppercase".into());
        }
    }
    let text = text.to_ascii_lowercase();
    let (prefix, data) = match text.rsplit_once('1') {
        Some((prefix, data)) if !prefix.is_empty() && data.len() >= CHECKSUM => (prefix, data),
        Some((prefix, _)) => return Some(format!("invalid separator index {}", prefix.len())),
        None => return Some("invalid separator index -1".into()),
    };
    if let Some(c) = data.chars().find(|c| Fe32::from_char(*c).is_err()) {
        return Some(format!("invalid character not part of charset: {}", u32::from(c)));
    }
    let (data, got) = data.split_at(data.len() - CHECKSUM);
    let groups = data.chars().filter_map(|c| Fe32::from_char(c).ok());
    let whole: String = groups.with_checksum::<Bech32>(&Hrp::parse(prefix).ok()?).chars().collect();
    let expected = &whole[whole.len() - CHECKSUM..];
    (expected != got).then(|| format!("invalid checksum (expected {expected} got {got})"))
}
