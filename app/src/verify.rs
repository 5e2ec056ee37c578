//! Signatures. Whether one holds is a pure function of key, sign bytes and signature: a [`Claim`] finds out once, on whatever
//! thread asks first, and gas and the order of errors do not depend on when that was.

use parking_lot::Mutex;
use secp256k1::{Message, PublicKey, Secp256k1, VerifyOnly, ecdsa::Signature};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::OnceLock;

/// One signature that has to hold.
#[derive(Debug, Clone)]
pub struct Claim {
    key: [u8; 33],
    digest: [u8; 32],
    signature: Vec<u8>,
    holds: OnceLock<bool>,
}

impl Claim {
    pub fn new(key: [u8; 33], sign_bytes: &[u8], signature: &[u8]) -> Self {
        Claim { key, digest: Sha256::digest(sign_bytes).into(), signature: signature.to_vec(), holds: OnceLock::new() }
    }

    /// Whether the signature holds; high-s is refused, as is whatever does not parse.
    pub fn holds(&self, verifier: &Verifier) -> bool {
        *self.holds.get_or_init(|| verifier.verify(self))
    }

    /// Whether [`Claim::holds`] knows.
    pub fn is_settled(&self) -> bool {
        self.holds.get().is_some()
    }
}

pub struct Verifier {
    secp: Secp256k1<VerifyOnly>,
    keys: Mutex<Keys>,
}

/// Points of compressed keys: the square root that finds one is a tenth of a verification.
#[derive(Default)]
struct Keys {
    young: HashMap<[u8; 33], PublicKey>,
    old: HashMap<[u8; 33], PublicKey>,
}

/// Keys of one generation, of about 100 bytes each; two are kept.
const KEYS: usize = 20_000;

impl Default for Verifier {
    fn default() -> Self {
        Verifier { secp: Secp256k1::verification_only(), keys: Mutex::default() }
    }
}

impl Verifier {
    fn verify(&self, claim: &Claim) -> bool {
        let (Some(key), Ok(signature)) = (self.point(&claim.key), Signature::from_compact(&claim.signature)) else {
            return false;
        };
        self.secp.verify_ecdsa(Message::from_digest(claim.digest), &signature, &key).is_ok()
    }

    fn point(&self, key: &[u8; 33]) -> Option<PublicKey> {
        let keys = self.keys.lock();
        if let Some(point) = keys.young.get(key) {
            return Some(*point);
        }
        let known = keys.old.get(key).copied();
        drop(keys);
        let point = known.or_else(|| PublicKey::from_slice(key).ok())?;
        let mut keys = self.keys.lock();
        if keys.young.len() >= KEYS {
            keys.old = std::mem::take(&mut keys.young);
        }
        keys.young.insert(*key, point);
        Some(point)
    }
}
