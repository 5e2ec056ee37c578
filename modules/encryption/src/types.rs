//! Pure rules of recipient keys.

use crate::Error;
use sha2::{Digest, Sha256};

/// The one algorithm: NaCl box. Names are matched without regard to case and stored like this.
pub const ALGORITHM: &str = "X25519-XSalsa20-Poly1305";
/// Longest label, in bytes.
const MAX_LABEL: usize = 128;
/// Keys of one account that the state ever holds, revoked and expired ones included; the oldest of those leave first.
pub(crate) const MAX_ROWS_PER_ACCOUNT: usize = 256;

/// Lower-case hex of the first 20 bytes of SHA-256(key).
pub fn fingerprint(key: &[u8]) -> String {
    hex::encode(&Sha256::digest(key)[..20])
}

pub(crate) fn check_algorithm(name: &str) -> Result<(), Error> {
    if !name.eq_ignore_ascii_case(ALGORITHM) {
        return Err(Error::invalid("algorithm", format!("expected {ALGORITHM}, got {name:?}")));
    }
    Ok(())
}

pub(crate) fn check_label(label: &str) -> Result<(), Error> {
    if label.len() > MAX_LABEL {
        return Err(Error::invalid("label", format!("expected at most {MAX_LABEL} bytes, got {}", label.len())));
    }
    Ok(())
}

/// 32 bytes that are not a point of low order: with one of those every shared secret would be zero.
pub(crate) fn check_key(key: &[u8]) -> Result<(), Error> {
    let point: [u8; 32] = key.try_into().map_err(|_| Error::invalid("public_key", format!("expected 32 bytes, got {}", key.len())))?;
    // Clamped scalars are multiples of 8, which takes points of low order to zero.
    if x25519_dalek::x25519([64; 32], point) == [0; 32] {
        return Err(Error::invalid("public_key", "expected an X25519 public key, got a point of low order"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_of_low_order_are_refused() {
        let p_minus_1 = hex::decode("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f").unwrap();
        let order_8 = hex::decode("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800").unwrap();
        let mut one = vec![0; 32];
        one[0] = 1;
        for point in [vec![0; 32], one, p_minus_1, order_8] {
            assert!(check_key(&point).unwrap_err().to_string().contains("low order"));
        }
        assert!(check_key(&[9; 32]).is_ok());
        assert_eq!(check_key(&[9; 31]).unwrap_err().to_string(), "public_key: expected 32 bytes, got 31");
    }
}
