//! Bech32 texts (BIP 173) of lowercase prefixes. Written here because every transaction reads and writes several, and a
//! table per step takes a tenth of the time of the `bech32` crate, which the tests hold this against.

use crate::Bytes;

const CHARSET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const CHECKSUM_LEN: usize = 6;
/// Cosmos SDK's limit; BIP 173 has 90.
const MAX_LEN: usize = 1023;

/// Five-bit values of characters; 255 for those that are none.
const VALUES: [u8; 256] = {
    let (mut table, mut i) = ([255; 256], 0);
    while i < 32 {
        table[CHARSET[i] as usize] = i as u8;
        i += 1;
    }
    table
};

/// What the five bits that leave the checksum's register put back into it.
const FEEDBACK: [u32; 32] = {
    let generator = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];
    let (mut table, mut i) = ([0; 32], 0);
    while i < 32 * 5 {
        if (i / 5) >> (i % 5) & 1 == 1 {
            table[i / 5] ^= generator[i % 5];
        }
        i += 1;
    }
    table
};

fn step(register: u32, value: u8) -> u32 {
    ((register & 0x1ff_ffff) << 5) ^ u32::from(value) ^ FEEDBACK[(register >> 25) as usize]
}

fn register_of(prefix: &[u8]) -> u32 {
    let high = prefix.iter().fold(1, |r, c| step(r, c >> 5));
    prefix.iter().fold(step(high, 0), |r, c| step(r, c & 31))
}

/// The text of `raw` under a lowercase prefix.
pub fn bech32_encode(prefix: &str, raw: &[u8]) -> String {
    let mut out = Vec::with_capacity(prefix.len() + 1 + raw.len().div_ceil(5) * 8 + CHECKSUM_LEN);
    out.extend(prefix.as_bytes());
    out.push(b'1');
    let mut register = register_of(prefix.as_bytes());
    let mut put = |value: u8| {
        register = step(register, value);
        out.push(CHARSET[value as usize]);
    };
    let (mut bits, mut held) = (0u32, 0);
    for byte in raw {
        bits = bits << 8 | u32::from(*byte);
        held += 8;
        while held >= 5 {
            held -= 5;
            put((bits >> held & 31) as u8);
        }
    }
    if held > 0 {
        put((bits << (5 - held) & 31) as u8);
    }
    let checksum = [0; CHECKSUM_LEN].into_iter().fold(register, step) ^ 1;
    out.extend((0..CHECKSUM_LEN).rev().map(|i| CHARSET[(checksum >> (5 * i) & 31) as usize]));
    String::from_utf8(out).expect("ASCII")
}

/// The bytes of a text with this prefix; the error says what was expected. Capitals are refused, so that bytes have one text.
pub fn bech32_decode(prefix: &str, text: &str) -> Result<Bytes, String> {
    if text.is_empty() {
        return Err("empty address string is not allowed".into());
    }
    let (found, raw) = decode(text.as_bytes()).map_err(|e| format!("decoding bech32 failed: {e}"))?;
    if found != prefix.len() || !text.starts_with(prefix) {
        return Err(format!("invalid Bech32 prefix; expected {prefix}, got {}", &text[..found]));
    }
    Ok(raw)
}

/// The length of the prefix, and the bytes.
fn decode(text: &[u8]) -> Result<(usize, Bytes), String> {
    if text.len() < 8 || text.len() > MAX_LEN {
        return Err(format!("invalid bech32 string length {}", text.len()));
    }
    if let Some(c) = text.iter().find(|c| !(33..=126).contains(*c) || c.is_ascii_uppercase()) {
        return Err(format!("invalid character in string: {:?}", char::from(*c)));
    }
    let end = text.iter().rposition(|c| *c == b'1').filter(|end| *end > 0).ok_or("no prefix")?;
    let (prefix, data) = (&text[..end], &text[end + 1..]);
    let groups = data.len().checked_sub(CHECKSUM_LEN).ok_or("no checksum")?;
    let mut register = register_of(prefix);
    let mut raw = Vec::with_capacity(groups * 5 / 8);
    let (mut bits, mut held) = (0u32, 0);
    for (i, c) in data.iter().enumerate() {
        let value = VALUES[*c as usize];
        if value == 255 {
            return Err(format!("invalid character not part of charset: {:?}", char::from(*c)));
        }
        register = step(register, value);
        if i < groups {
            bits = bits << 5 | u32::from(value);
            held += 5;
            if held >= 8 {
                held -= 8;
                raw.push((bits >> held & 255) as u8);
            }
        }
    }
    if register != 1 {
        return Err("invalid checksum".into());
    }
    // Else two texts would name one account.
    if held >= 5 || bits & ((1 << held) - 1) != 0 {
        return Err("invalid incomplete group".into());
    }
    Ok((end, raw))
}
