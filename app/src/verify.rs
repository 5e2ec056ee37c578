//! Signatures, verified once and in parallel. What is remembered are only successes of a pure function of key, sign
//! bytes and signature, and it is consulted exactly where verification would run: gas and the order of errors do not
//! depend on it.

use parking_lot::Mutex;
use secp256k1::{Message, PublicKey, Secp256k1, VerifyOnly, ecdsa::Signature};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};

/// Entries of one generation; two are kept. 32 bytes each, so about 10 MB at most.
const GENERATION: usize = 100_000;

/// SHA-256(key ‖ SHA-256(sign bytes) ‖ signature).
pub type Claim = [u8; 32];

/// One signature that has to hold.
#[derive(Debug, Clone)]
pub struct Task {
    pub claim: Claim,
    key: [u8; 33],
    digest: [u8; 32],
    signature: Vec<u8>,
}

impl Task {
    pub fn new(key: [u8; 33], sign_bytes: &[u8], signature: &[u8]) -> Self {
        let digest: [u8; 32] = Sha256::digest(sign_bytes).into();
        let claim = Sha256::new().chain_update(key).chain_update(digest).chain_update(signature).finalize().into();
        Task { claim, key, digest, signature: signature.to_vec() }
    }
}

pub struct Verifier {
    secp: Secp256k1<VerifyOnly>,
    known: Mutex<Known>,
    keys: Mutex<Keys>,
}

/// Points of compressed keys: the square root that finds one is a tenth of a verification.
#[derive(Default)]
struct Keys {
    young: HashMap<[u8; 33], PublicKey>,
    old: HashMap<[u8; 33], PublicKey>,
}

/// Keys of one generation, of about 100 bytes each.
const KEYS: usize = 20_000;

#[derive(Default)]
struct Known {
    young: HashSet<Claim>,
    old: HashSet<Claim>,
    /// Verified ahead of their CheckTx, and not yet accepted.
    ahead: HashSet<Claim>,
}

impl Default for Verifier {
    fn default() -> Self {
        Verifier { secp: Secp256k1::verification_only(), known: Mutex::default(), keys: Mutex::default() }
    }
}

impl Verifier {
    /// Whether the signature holds; high-s is refused, as is whatever does not parse.
    pub fn verify(&self, task: &Task) -> bool {
        let (Some(key), Ok(signature)) = (self.point(&task.key), Signature::from_compact(&task.signature)) else {
            return false;
        };
        self.secp.verify_ecdsa(Message::from_digest(task.digest), &signature, &key).is_ok()
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

    pub fn knows(&self, claim: &Claim) -> bool {
        let known = self.known.lock();
        known.young.contains(claim) || known.old.contains(claim) || known.ahead.contains(claim)
    }

    /// Remembers the signatures of a transaction that was accepted.
    pub fn remember(&self, claims: impl IntoIterator<Item = Claim>) {
        let mut known = self.known.lock();
        if known.young.len() >= GENERATION {
            known.old = std::mem::take(&mut known.young);
        }
        known.young.extend(claims);
    }

    /// Replaces what was verified ahead.
    pub fn set_ahead(&self, claims: HashSet<Claim>) {
        self.known.lock().ahead = claims;
    }
}
