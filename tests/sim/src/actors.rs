//! Who takes part: two modules, users with keys, and addresses that only receive.

use crate::model::Who;
use client::address::{Prefix, encode};
use ripemd::Ripemd160;
use secp256k1::{Message, PublicKey, Secp256k1, SecretKey, SignOnly};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

pub const FIRST_USER: Who = 2;
pub const USERS: Who = 16;
/// Addresses without a key; payouts go there.
pub const RECEIVERS: Who = 4;
pub const COUNT: Who = FIRST_USER + USERS + RECEIVERS;

/// All of them, the same in every history.
pub static CAST: LazyLock<Cast> = LazyLock::new(Cast::new);

pub struct Cast {
    pub addresses: Vec<String>,
    /// `len ‖ address`, as keys of the state have it.
    pub raw: Vec<Vec<u8>>,
    keys: Vec<(SecretKey, [u8; 33])>,
    secp: Secp256k1<SignOnly>,
}

impl Cast {
    fn new() -> Self {
        let secp = Secp256k1::signing_only();
        let digest = |text: String| <[u8; 32]>::from(Sha256::digest(text));
        let keys: Vec<_> = (0..USERS)
            .map(|i| {
                let secret = SecretKey::from_byte_array(digest(format!("user {i}"))).expect("a key");
                (secret, PublicKey::from_secret_key(&secp, &secret).serialize())
            })
            .collect();
        let hash160 = |key: &[u8; 33]| Ripemd160::digest(Sha256::digest(key)).to_vec();
        let modules = ["escrow", "fee_collector"].map(|name| digest(name.into())[..20].to_vec());
        let receivers = (0..RECEIVERS).map(|i| digest(format!("receiver {i}"))[..20].to_vec());
        let raw: Vec<_> = modules.into_iter().chain(keys.iter().map(|(_, key)| hash160(key))).chain(receivers).collect();
        let addresses = raw.iter().map(|raw| encode(Prefix::Account, raw).expect("20 bytes")).collect();
        let raw = raw.into_iter().map(|raw| [&[raw.len() as u8][..], &raw].concat()).collect();
        Cast { addresses, raw, keys, secp }
    }

    pub fn address(&self, who: Who) -> String {
        self.addresses[usize::from(who)].clone()
    }

    fn key(&self, who: Who) -> &(SecretKey, [u8; 33]) {
        &self.keys[usize::from(who - FIRST_USER)]
    }

    pub fn public_key(&self, who: Who) -> [u8; 33] {
        self.key(who).1
    }

    pub fn sign(&self, who: Who, bytes: &[u8]) -> Vec<u8> {
        let message = Message::from_digest(Sha256::digest(bytes).into());
        self.secp.sign_ecdsa(message, &self.key(who).0).serialize_compact().to_vec()
    }
}
