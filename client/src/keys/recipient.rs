//! X25519 recipient keys: what secrets on the chain are sealed to.
//!
//! An account's own recipient key is derived from its secp256k1 private key `k`, so that a mnemonic recovers both:
//!
//! ```text
//! secret = HKDF-SHA256(salt = none, ikm = k as 32 bytes big-endian, info = "virtengine/recipient-key/x25519/v1", 32 bytes)
//! ```
//!
//! The secret is clamped where it is used (RFC 7748). HKDF is one-way: who learns the X25519 secret learns nothing
//! about the account key.

use std::fmt;

use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::SecretKey;

/// The `info` of the derivation. Another one would be another key for every account: never change it.
pub const RECIPIENT_KEY_DOMAIN: &str = "virtengine/recipient-key/x25519/v1";

/// Why 32 bytes, or other bytes, are no recipient key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecipientKeyError {
    #[error("public key has {0} bytes, expected the 32 of an X25519 key")]
    Length(usize),
    #[error("public key is a low-order point of X25519, which would give every sender the same secret")]
    LowOrder,
    #[error("public key is not in canonical form, expected a number below 2^255 - 19")]
    NotCanonical,
}

/// A checked X25519 public key: 32 bytes, canonical, not of low order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RecipientKey([u8; 32]);

impl RecipientKey {
    /// # Errors
    /// Wrong length, a low-order point, a number that is not reduced.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecipientKeyError> {
        let key: [u8; 32] = bytes.try_into().map_err(|_| RecipientKeyError::Length(bytes.len()))?;
        // X25519 multiplies by a multiple of 8, which takes every low-order point, and no other, to zero.
        let any_secret = x25519_dalek::StaticSecret::from([1; 32]);
        if !any_secret.diffie_hellman(&x25519_dalek::PublicKey::from(key)).was_contributory() {
            return Err(RecipientKeyError::LowOrder);
        }
        if !below_field_order(&key) {
            return Err(RecipientKeyError::NotCanonical);
        }
        Ok(Self(key))
    }

    pub fn to_bytes(&self) -> [u8; 32] {
        self.0
    }

    /// Lower-case hex of the first 20 bytes of SHA-256 of the key: its name on chain.
    pub fn fingerprint(&self) -> String {
        hex::encode(&Sha256::digest(self.0)[..20])
    }
}

impl fmt::Debug for RecipientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecipientKey({})", hex::encode(self.0))
    }
}

/// Whether the little-endian number is below 2^255 − 19.
fn below_field_order(key: &[u8; 32]) -> bool {
    key[31] < 0x7f || key[31] == 0x7f && (key[1..31].iter().any(|b| *b != 0xff) || key[0] < 0xed)
}

/// The X25519 secret that belongs to an account. Opens envelopes; shows nobody its bytes.
pub struct RecipientSecret(crypto_box::SecretKey);

impl RecipientSecret {
    pub(super) fn derive(account: &SecretKey) -> Self {
        let mut secret = Zeroizing::new([0u8; 32]);
        Hkdf::<Sha256>::new(None, account.to_bytes().as_ref())
            .expand(RECIPIENT_KEY_DOMAIN.as_bytes(), secret.as_mut())
            .expect("32 bytes are within HKDF's limit");
        Self(crypto_box::SecretKey::from_bytes(*secret))
    }

    pub fn public_key(&self) -> RecipientKey {
        RecipientKey(*self.0.public_key().as_bytes())
    }

    pub(crate) fn as_box_key(&self) -> &crypto_box::SecretKey {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ABANDON, key};
    use super::*;

    #[test]
    fn the_derived_key_is_the_documented_one() {
        let public = key(ABANDON, 0, 0).recipient_secret().public_key();
        // Computed by Go's crypto/hkdf and crypto/ecdh.
        assert_eq!(hex::encode(public.to_bytes()), "f9d7abfe72d174c7a060fe5dcccdd3c3cf405411d71a76ddd81db0636e482e5c");
        assert_eq!(public.fingerprint(), "f6ada77e87f168b670fd05205ebfbec2132c9816");
        assert_eq!(RecipientKey::from_bytes(&public.to_bytes()), Ok(public));
        assert_ne!(public, key(ABANDON, 0, 1).recipient_secret().public_key());
    }

    #[test]
    fn low_order_points_are_refused() {
        for point in [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "0000000000000000000000000000000000000000000000000000000000000080",
        ] {
            let bytes = hex::decode(point).unwrap();
            assert_eq!(RecipientKey::from_bytes(&bytes), Err(RecipientKeyError::LowOrder), "{point}");
        }
    }

    #[test]
    fn other_lengths_and_unreduced_numbers_are_refused() {
        assert_eq!(RecipientKey::from_bytes(&[9; 31]), Err(RecipientKeyError::Length(31)));
        let mut high_bit = [9; 32];
        high_bit[31] |= 0x80;
        let mut unreduced = [0xff; 32];
        (unreduced[0], unreduced[31]) = (0xf6, 0x7f);
        for key in [high_bit, unreduced] {
            assert_eq!(RecipientKey::from_bytes(&key), Err(RecipientKeyError::NotCanonical));
        }
        assert!(RecipientKey::from_bytes(&[9; 32]).is_ok());
    }
}
