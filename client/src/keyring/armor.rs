//! Private keys as ASCII armour, in the form that Go's Cosmos binaries export and import.
//!
//! Written: argon2id and ChaCha20-Poly1305. Read: that, and bcrypt with XSalsa20-Poly1305 of older binaries.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::{Aead, KeyInit};
use crypto_secretbox::XSalsa20Poly1305;
use rand::RngCore;
use rand::rngs::OsRng;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::keys::SecretKey;

const BEGIN: &str = "-----BEGIN TENDERMINT PRIVATE KEY-----";
const END: &str = "-----END TENDERMINT PRIVATE KEY-----";
/// Amino's name for a secp256k1 private key, and the length of what follows.
const AMINO_PREFIX: [u8; 5] = [0xe1, 0xb0, 0xf7, 0x9b, 32];
/// Cost of the older binaries' bcrypt.
const BCRYPT_COST: u32 = 12;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArmorError {
    #[error("armoured key is malformed ({0}), expected the output of `keys export`")]
    Malformed(&'static str),
    #[error("armoured key is of type {0:?}, expected secp256k1")]
    Type(String),
    #[error("armoured key uses the key derivation {0:?}, expected argon2 or bcrypt")]
    Kdf(String),
    #[error("wrong passphrase for the armoured key, or it is damaged")]
    Decrypt,
}

/// Encrypts a key under a passphrase.
pub fn export(key: &SecretKey, passphrase: &str) -> String {
    let mut salt = [0u8; 16];
    OsRng.fill_bytes(&mut salt);
    let mut plaintext = Zeroizing::new([0u8; 37]);
    plaintext[..5].copy_from_slice(&AMINO_PREFIX);
    plaintext[5..].copy_from_slice(key.to_bytes().as_ref());
    // The nonce may be fixed: salt, and so the key, are fresh.
    let sealed = ChaCha20Poly1305::new(argon2_key(passphrase, &salt).as_ref().into())
        .encrypt(&Default::default(), plaintext.as_ref())
        .expect("37 bytes can be sealed");

    let mut text = format!("{BEGIN}\nkdf: argon2\nsalt: {}\ntype: secp256k1\n\n", hex::encode_upper(salt));
    for line in BASE64_STANDARD.encode(&sealed).as_bytes().chunks(64) {
        text.extend(line.iter().map(|c| char::from(*c)));
        text.push('\n');
    }
    text + &format!("={}\n{END}\n", BASE64_STANDARD.encode(crc24(&sealed)))
}

/// Decrypts an exported key.
pub fn import(armor: &str, passphrase: &str) -> Result<SecretKey, ArmorError> {
    let mut lines = armor.lines().map(str::trim).skip_while(|l| l.is_empty());
    if lines.next() != Some(BEGIN) {
        return Err(ArmorError::Malformed("the first line differs"));
    }
    let (mut kdf, mut salt, mut key_type) = (None, None, "secp256k1");
    for line in lines.by_ref().take_while(|l| !l.is_empty()) {
        match line.split_once(": ") {
            Some(("kdf", v)) => kdf = Some(v),
            Some(("salt", v)) => salt = Some(v),
            Some(("type", v)) => key_type = v,
            Some(_) => {}
            None => return Err(ArmorError::Malformed("no empty line after its headers")),
        }
    }
    let (mut body, mut checksum, mut ended) = (String::new(), None, false);
    for line in lines {
        match line.strip_prefix('=') {
            _ if line == END => {
                ended = true;
                break;
            }
            Some(sum) => checksum = Some(sum),
            None => body.push_str(line),
        }
    }
    if !ended {
        return Err(ArmorError::Malformed("its last line is missing"));
    }
    let sealed = BASE64_STANDARD.decode(body).map_err(|_| ArmorError::Malformed("its body is not base64"))?;
    if checksum.is_some_and(|sum| sum != BASE64_STANDARD.encode(crc24(&sealed))) {
        return Err(ArmorError::Malformed("its checksum does not match"));
    }
    if key_type != "secp256k1" {
        return Err(ArmorError::Type(key_type.into()));
    }
    let salt: [u8; 16] = salt
        .and_then(|s| hex::decode(s).ok())
        .and_then(|s| s.try_into().ok())
        .ok_or(ArmorError::Malformed("its salt is not 16 bytes of hex"))?;

    let plaintext = match kdf.unwrap_or_default() {
        "argon2" => ChaCha20Poly1305::new(argon2_key(passphrase, &salt).as_ref().into()).decrypt(&Default::default(), &sealed[..]),
        "bcrypt" => {
            let (nonce, sealed) = sealed.split_at_checked(24).ok_or(ArmorError::Malformed("it is too short"))?;
            XSalsa20Poly1305::new(bcrypt_key(passphrase, salt)?.as_ref().into()).decrypt(nonce.into(), sealed)
        }
        other => return Err(ArmorError::Kdf(other.into())),
    };
    let plaintext = Zeroizing::new(plaintext.map_err(|_| ArmorError::Decrypt)?);
    plaintext
        .strip_prefix(&AMINO_PREFIX)
        .and_then(|key| SecretKey::from_bytes(key).ok())
        .ok_or(ArmorError::Malformed("it holds no secp256k1 key"))
}

/// argon2id, 64 MiB, one pass, four lanes.
fn argon2_key(passphrase: &str, salt: &[u8; 16]) -> Zeroizing<[u8; 32]> {
    let params = Params::new(64 * 1024, 1, 4, Some(32)).expect("constant parameters");
    let mut key = Zeroizing::new([0u8; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, key.as_mut())
        .expect("salt and output have valid lengths");
    key
}

/// SHA-256 of the bcrypt hash as text.
fn bcrypt_key(passphrase: &str, salt: [u8; 16]) -> Result<Zeroizing<[u8; 32]>, ArmorError> {
    let hash = bcrypt::hash_with_salt(passphrase, BCRYPT_COST, salt).map_err(|_| ArmorError::Decrypt)?;
    let text = Zeroizing::new(hash.format_for_version(bcrypt::Version::TwoA));
    Ok(Zeroizing::new(Sha256::digest(text.as_bytes()).into()))
}

/// RFC 4880, 6.1.
fn crc24(bytes: &[u8]) -> [u8; 3] {
    let mut crc: u32 = 0x00b7_04ce;
    for byte in bytes {
        crc ^= u32::from(*byte) << 16;
        for _ in 0..8 {
            crc <<= 1;
            if crc & 0x0100_0000 != 0 {
                crc ^= 0x0186_4cfb;
            }
        }
    }
    let [_, a, b, c] = crc.to_be_bytes();
    [a, b, c]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::tests::{ABANDON, key};

    const GO: &str = include_str!("testdata/alice.armor");
    const GO_BCRYPT: &str = include_str!("testdata/alice-bcrypt.armor");

    #[test]
    fn what_go_exported_is_imported() {
        for armor in [GO, GO_BCRYPT] {
            let imported = import(armor, "armor-pass").unwrap();
            assert_eq!(imported.address(), key(ABANDON, 0, 0).address());
        }
    }

    #[test]
    fn an_exported_key_comes_back_under_its_passphrase_alone() {
        let armor = export(&key(ABANDON, 0, 0), "passphrase");
        assert_eq!(import(&armor, "passphrase").unwrap().address(), key(ABANDON, 0, 0).address());
        assert_eq!(import(&armor, "other one").err(), Some(ArmorError::Decrypt));
        assert_eq!(armor.lines().count(), GO.lines().count());
    }

    #[test]
    fn damaged_armour_is_refused_with_the_reason() {
        let err = |t: &str| import(t, "armor-pass").err().unwrap();
        assert_eq!(err(""), ArmorError::Malformed("the first line differs"));
        assert_eq!(err(&GO.replace("=yU91", "=yU92")), ArmorError::Malformed("its checksum does not match"));
        assert_eq!(err(&GO.replace(END, "")), ArmorError::Malformed("its last line is missing"));
        assert_eq!(err(&GO.replace("argon2", "md5")), ArmorError::Kdf("md5".into()));
        assert_eq!(err(&GO.replace("secp256k1", "ed25519")), ArmorError::Type("ed25519".into()));
        assert_eq!(err(&GO.replace("D7DC", "D7D")), ArmorError::Malformed("its salt is not 16 bytes of hex"));
    }
}
