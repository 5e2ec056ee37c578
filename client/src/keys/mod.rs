//! Account keys: BIP-39 mnemonics, BIP-44 derivation, secp256k1 signatures as Cosmos chains verify them.
//!
//! Secrets are wiped when dropped, have no `Debug` and do not leave this crate but by an export.

mod recipient;

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bip32::{ChildNumber, DerivationPath, XPrv};
use bip39::Language;
use k256::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
use k256::ecdsa::{Signature, SigningKey, VerifyingKey};
use rand::RngCore;
use rand::rngs::OsRng;
use ripemd::Ripemd160;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::address::Address;

pub use recipient::{RECIPIENT_KEY_DOMAIN, RecipientKey, RecipientKeyError, RecipientSecret};

/// The `@type` of a secp256k1 public key.
pub const SECP256K1_PUBKEY: &str = "/cosmos.crypto.secp256k1.PubKey";

/// Coin type of SLIP-44 that Cosmos wallets derive with.
pub const COIN_TYPE: u32 = 118;

/// Why a key cannot be made. Never holds key material or words of a mnemonic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("mnemonic has {0} words, expected 12, 15, 18, 21 or 24")]
    WordCount(usize),
    #[error("word {0} of the mnemonic is not in the English BIP-39 list")]
    UnknownWord(usize),
    #[error("mnemonic's checksum does not match: a word is wrong or out of order")]
    MnemonicChecksum,
    #[error("derivation path {path:?} is not valid ({reason}), expected a form like m/44'/118'/0'/0/0")]
    Path { path: String, reason: String },
    #[error("derivation index {0} is too large, expected less than 2147483648")]
    Index(u32),
    #[error("this path gives no valid key, choose another account or index")]
    Derivation,
    #[error("private key must be 32 bytes between 1 and the order of secp256k1")]
    PrivateKey,
    #[error("public key must be a compressed secp256k1 point of 33 bytes")]
    PublicKey,
}

/// An English BIP-39 mnemonic of 12 to 24 words.
pub struct Mnemonic(bip39::Mnemonic);

impl Mnemonic {
    /// 24 words from the operating system's randomness.
    pub fn generate() -> Self {
        let mut entropy = Zeroizing::new([0u8; 32]);
        OsRng.fill_bytes(entropy.as_mut());
        Self(bip39::Mnemonic::from_entropy(entropy.as_ref()).expect("32 bytes are valid entropy"))
    }

    /// Reads words separated by any white space.
    ///
    /// # Errors
    /// Names the position of an unknown word, never the word.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        bip39::Mnemonic::parse_in_normalized(Language::English, text).map(Self).map_err(|e| match e {
            bip39::Error::BadWordCount(n) => KeyError::WordCount(n),
            bip39::Error::UnknownWord(i) => KeyError::UnknownWord(i + 1),
            _ => KeyError::MnemonicChecksum,
        })
    }

    /// The words, to be shown once to their owner.
    pub fn phrase(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(24 * 9));
        for word in self.0.words() {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
        }
        text
    }
}

/// A BIP-32 path; `m/44'/118'/0'/0/0` by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HdPath(DerivationPath);

impl HdPath {
    /// `m/44'/coin_type'/account'/0/index`, as BIP-44 has it.
    ///
    /// # Errors
    /// A number of 2^31 or more.
    pub fn bip44(coin_type: u32, account: u32, index: u32) -> Result<Self, KeyError> {
        let step = |i, hardened| ChildNumber::new(i, hardened).map_err(|_| KeyError::Index(i));
        let mut path = DerivationPath::default();
        path.extend([step(44, true)?, step(coin_type, true)?, step(account, true)?, step(0, false)?, step(index, false)?]);
        Ok(Self(path))
    }
}

impl Default for HdPath {
    fn default() -> Self {
        Self::bip44(COIN_TYPE, 0, 0).expect("small numbers")
    }
}

impl FromStr for HdPath {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        text.parse().map(Self).map_err(|e: bip32::Error| KeyError::Path { path: text.into(), reason: e.to_string() })
    }
}

impl fmt::Display for HdPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An account's private key. Signs; gives its scalar to nobody outside this crate.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key at `path` under `mnemonic`, without a BIP-39 passphrase.
    ///
    /// # Errors
    /// The path gives no valid key (probability 2^-127).
    pub fn derive(mnemonic: &Mnemonic, path: &HdPath) -> Result<Self, KeyError> {
        let seed = Zeroizing::new(mnemonic.0.to_seed_normalized(""));
        let key = XPrv::derive_from_path(seed.as_ref(), &path.0).map_err(|_| KeyError::Derivation)?;
        Ok(Self(key.private_key().clone()))
    }

    /// # Errors
    /// Not 32 bytes, zero, or not below the order of the group.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        // `from_slice` would pad shorter ones.
        let bytes: &[u8; 32] = bytes.try_into().map_err(|_| KeyError::PrivateKey)?;
        SigningKey::from_bytes(bytes.into()).map(Self).map_err(|_| KeyError::PrivateKey)
    }

    pub(crate) fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes().into())
    }

    pub fn public_key(&self) -> PublicKey {
        PublicKey(*self.0.verifying_key())
    }

    pub fn address(&self) -> Address {
        self.public_key().address()
    }

    /// Signs SHA-256 of `bytes`: what Cosmos transactions carry.
    pub fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.sign_digest(&Sha256::digest(bytes).into())
    }

    /// Signs a 32-byte digest: RFC 6979, low s, `r ‖ s`.
    pub fn sign_digest(&self, digest: &[u8; 32]) -> [u8; 64] {
        let signature: Signature = self.0.sign_prehash(digest).expect("a 32-byte digest can be signed");
        signature.normalize_s().unwrap_or(signature).to_bytes().into()
    }

    /// The X25519 key that belongs to this account; see [`RecipientSecret`].
    pub fn recipient_secret(&self) -> RecipientSecret {
        RecipientSecret::derive(self)
    }
}

/// A secp256k1 public key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// # Errors
    /// Anything but a compressed point of 33 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.len() != 33 {
            return Err(KeyError::PublicKey);
        }
        VerifyingKey::from_sec1_bytes(bytes).map(Self).map_err(|_| KeyError::PublicKey)
    }

    /// Compressed, as transactions and key files carry it.
    pub fn to_bytes(&self) -> [u8; 33] {
        self.0.to_encoded_point(true).as_bytes().try_into().expect("a compressed point has 33 bytes")
    }

    /// RIPEMD-160 of SHA-256 of the compressed key.
    pub fn address(&self) -> Address {
        Address::new(&Ripemd160::digest(Sha256::digest(self.to_bytes()))).expect("RIPEMD-160 has 20 bytes")
    }

    /// Whether `signature` is the key's over SHA-256 of `bytes`. A high s is refused, as on chain.
    pub fn verify(&self, bytes: &[u8], signature: &[u8; 64]) -> bool {
        Signature::from_slice(signature)
            .is_ok_and(|s| s.normalize_s().is_none() && self.0.verify_prehash(&Sha256::digest(bytes), &s).is_ok())
    }

    /// One line of JSON, as `keys show --pubkey` prints it.
    pub fn to_json(&self) -> String {
        format!(r#"{{"@type":"{SECP256K1_PUBKEY}","key":"{}"}}"#, BASE64_STANDARD.encode(self.to_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", hex::encode(self.to_bytes()))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub const ABANDON: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
    pub const ABANDON_24: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
        abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon art";

    pub fn key(phrase: &str, account: u32, index: u32) -> SecretKey {
        let path = HdPath::bip44(COIN_TYPE, account, index).unwrap();
        SecretKey::derive(&Mnemonic::parse(phrase).unwrap(), &path).unwrap()
    }

    #[test]
    fn well_known_mnemonics_give_the_addresses_that_cosmos_wallets_give() {
        for (phrase, account, index, address) in [
            (ABANDON, 0, 0, "virtengine19rl4cm2hmr8afy4kldpxz3fka4jguq0a6mvv5p"),
            (ABANDON, 0, 1, "virtengine1jrkmdcwgq94uaamx6zax2luewlhf7u4k6r8qak"),
            (ABANDON_24, 3, 7, "virtengine1kjnlaar8npevnjz85e5tnruk3skrtc8xlecaha"),
        ] {
            assert_eq!(key(phrase, account, index).address().to_string(), address);
        }
        assert_eq!(
            key(ABANDON, 0, 0).public_key().to_json(),
            r#"{"@type":"/cosmos.crypto.secp256k1.PubKey","key":"Ak9OKtmcNNYLm6YoPJQxqEGK+GcyEpYfl6d7Y3f80Fti"}"#
        );
    }

    #[test]
    fn a_new_mnemonic_has_24_words_and_recovers_its_key() {
        let m = Mnemonic::generate();
        let phrase = m.phrase();
        assert_eq!(phrase.split(' ').count(), 24);
        let again = Mnemonic::parse(&format!("  {}\n", phrase.replace(' ', "  "))).unwrap();
        let path = HdPath::default();
        assert_eq!(SecretKey::derive(&m, &path).unwrap().address(), SecretKey::derive(&again, &path).unwrap().address());
        assert_ne!(*phrase, *Mnemonic::generate().phrase());
    }

    #[test]
    fn a_bad_mnemonic_is_refused_without_repeating_it() {
        let err = |t: &str| Mnemonic::parse(t).err().unwrap();
        assert_eq!(err("abandon about"), KeyError::WordCount(2));
        assert_eq!(err(""), KeyError::WordCount(0));
        assert_eq!(err(&ABANDON.replacen("abandon", "virtengine", 2)), KeyError::UnknownWord(1));
        assert_eq!(err(&ABANDON.replace("about", "abandon")), KeyError::MnemonicChecksum);
        assert!(!err(&ABANDON.replace("about", "secretword")).to_string().contains("secretword"));
    }

    #[test]
    fn paths_print_and_parse() {
        assert_eq!(HdPath::default().to_string(), "m/44'/118'/0'/0/0");
        assert_eq!(HdPath::bip44(118, 3, 7).unwrap(), "m/44'/118'/3'/0/7".parse().unwrap());
        assert_eq!(HdPath::bip44(118, 1 << 31, 0), Err(KeyError::Index(1 << 31)));
        assert!("44/118".parse::<HdPath>().unwrap_err().to_string().contains("m/44'/118'/0'/0/0"));
    }

    #[test]
    fn signatures_are_deterministic_low_s_and_verify() {
        let k = key(ABANDON, 0, 0);
        for n in 0..64u8 {
            let signature = k.sign(&[n]);
            assert_eq!(signature, k.sign(&[n]));
            assert!(k.public_key().verify(&[n], &signature));
            assert!(!k.public_key().verify(&[n, 0], &signature));
            let high = high_s(&signature);
            assert!(!k.public_key().verify(&[n], &high));
        }
    }

    /// The same signature with n − s.
    fn high_s(signature: &[u8; 64]) -> [u8; 64] {
        let s = Signature::from_slice(signature).unwrap();
        Signature::from_scalars(s.r().to_bytes(), (-*s.s()).to_bytes()).unwrap().to_bytes().into()
    }

    #[test]
    fn the_rfc_6979_vector_of_secp256k1_holds() {
        // Private key 1, message "Satoshi Nakamoto": the vector that Bitcoin implementations share.
        let k = SecretKey::from_bytes(&hex::decode(format!("{:0>64}", "1")).unwrap()).unwrap();
        assert_eq!(
            hex::encode(k.sign(b"Satoshi Nakamoto")),
            "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8\
             2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5"
        );
    }

    #[test]
    fn bad_keys_are_refused() {
        for bad in [vec![0; 32], vec![0xff; 32], vec![1; 31]] {
            assert!(SecretKey::from_bytes(&bad).is_err());
        }
        assert!(PublicKey::from_bytes(&[2; 32]).is_err());
        assert!(PublicKey::from_bytes(&[5; 33]).is_err());
    }
}
