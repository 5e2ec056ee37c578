//! Addresses as bech32 texts, one text per address.

use crate::Bytes;
use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32, Hrp};

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
    let parsed = CheckedHrpstring::new::<Bech32>(text).map_err(|e| format!("decoding bech32 failed: {e}"))?;
    let hrp = parsed.hrp();
    if hrp.as_str() != prefix {
        return Err(format!("invalid Bech32 prefix; expected {prefix}, got {hrp}"));
    }
    let raw: Bytes = parsed.byte_iter().collect();
    // Capitals and padding that is not zero would give an address a second text.
    if bech32_encode(prefix, &raw) != text {
        return Err("decoding bech32 failed: expected lower case and zero padding".into());
    }
    Ok(raw)
}
