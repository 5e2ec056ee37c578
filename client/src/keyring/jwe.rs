//! The encryption of keyring items: compact JWE (RFC 7516) with PBES2-HS256+A128KW and A256GCM (RFC 7518).
//!
//! Only this one combination: it is what Cosmos binaries in Go write.

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, Key, KeyInit, Nonce};
use aes_kw::KekAes128;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use rand::RngCore;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

const ALG: &str = "PBES2-HS256+A128KW";
const ENC: &str = "A256GCM";

/// PBKDF2 iterations of what is written: the peers' number.
const ITERATIONS: u32 = 8192;
/// The most that is accepted when reading, as the peers do: a planted file must not stall its reader.
pub const MAX_ITERATIONS: u32 = 1_300_000;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum JweError {
    #[error("is not a keyring item ({0})")]
    Malformed(&'static str),
    #[error("is encrypted with {0:?}, expected {ALG} and {ENC}")]
    Unsupported(String),
    #[error("asks for {0} PBKDF2 iterations, expected 1 to {MAX_ITERATIONS}")]
    Iterations(u64),
    #[error("does not decrypt: it was written under another passphrase, or is damaged")]
    Decrypt,
}

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    /// When it was written; not read.
    #[serde(default)]
    created: String,
    enc: String,
    p2c: u64,
    p2s: String,
    /// Extensions that would change the meaning of the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zip: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crit: Option<serde_json::Value>,
}

/// Encrypts under a fresh content key, itself wrapped under the passphrase.
pub fn encrypt(passphrase: &str, plaintext: &[u8]) -> String {
    let mut salt = [0u8; 16];
    let mut iv = [0u8; 12];
    let mut content_key = Zeroizing::new([0u8; 32]);
    OsRng.fill_bytes(&mut salt);
    OsRng.fill_bytes(&mut iv);
    OsRng.fill_bytes(content_key.as_mut());

    let header = Header {
        alg: ALG.into(),
        created: humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string(),
        enc: ENC.into(),
        p2c: ITERATIONS.into(),
        p2s: BASE64URL.encode(salt),
        zip: None,
        crit: None,
    };
    let header = BASE64URL.encode(serde_json::to_string(&header).expect("strings and numbers"));
    let mut wrapped_key = [0u8; 40];
    wrapping_key(passphrase, &salt, ITERATIONS)
        .wrap(content_key.as_ref(), &mut wrapped_key)
        .expect("the buffer has the length of a wrapped 32-byte key");
    let mut sealed = Aes256Gcm::new(Key::<Aes256Gcm>::from_slice(content_key.as_ref()))
        .encrypt(Nonce::from_slice(&iv), Payload { msg: plaintext, aad: header.as_bytes() })
        .expect("keyring items are far below AES-GCM's limit");
    let tag = sealed.split_off(plaintext.len());
    let [wrapped_key, iv, sealed, tag] = [&wrapped_key[..], &iv, &sealed, &tag].map(|part| BASE64URL.encode(part));
    format!("{header}.{wrapped_key}.{iv}.{sealed}.{tag}")
}

/// Decrypts what [`encrypt`] or a Go binary wrote.
pub fn decrypt(passphrase: &str, token: &str) -> Result<Zeroizing<Vec<u8>>, JweError> {
    let parts: Vec<&str> = token.trim().split('.').collect();
    let [header64, wrapped_key, iv, sealed, tag] = parts[..] else {
        return Err(JweError::Malformed("expected five parts with dots between"));
    };
    let raw = |part: &str| BASE64URL.decode(part).map_err(|_| JweError::Malformed("a part is not base64url"));
    let header: Header =
        serde_json::from_slice(&raw(header64)?).map_err(|_| JweError::Malformed("its header lacks alg, enc, p2c or p2s"))?;
    if header.alg != ALG || header.enc != ENC || header.zip.is_some() || header.crit.is_some() {
        return Err(JweError::Unsupported(format!("{} {}", header.alg, header.enc)));
    }
    let iterations = u32::try_from(header.p2c).ok().filter(|n| (1..=MAX_ITERATIONS).contains(n)).ok_or(JweError::Iterations(header.p2c))?;
    let (wrapped_key, iv, tag) = (raw(wrapped_key)?, raw(iv)?, raw(tag)?);
    if wrapped_key.len() != 40 || iv.len() != 12 || tag.len() != 16 {
        return Err(JweError::Malformed("a part has the wrong length"));
    }
    let mut content_key = Zeroizing::new([0u8; 32]);
    wrapping_key(passphrase, &raw(&header.p2s)?, iterations).unwrap(&wrapped_key, content_key.as_mut()).map_err(|_| JweError::Decrypt)?;
    let sealed = [raw(sealed)?, tag].concat();
    Aes256Gcm::new(Key::<Aes256Gcm>::from_slice(content_key.as_ref()))
        .decrypt(Nonce::from_slice(&iv), Payload { msg: &sealed, aad: header64.as_bytes() })
        .map(Zeroizing::new)
        .map_err(|_| JweError::Decrypt)
}

/// RFC 7518, 4.8: PBKDF2 over `alg ‖ 0 ‖ salt`.
fn wrapping_key(passphrase: &str, salt: &[u8], iterations: u32) -> KekAes128 {
    let salt = [ALG.as_bytes(), &[0], salt].concat();
    let mut key = Zeroizing::new([0u8; 16]);
    pbkdf2::pbkdf2_hmac::<Sha256>(passphrase.as_bytes(), &salt, iterations, key.as_mut());
    KekAes128::from(*key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encrypted_decrypts_under_its_passphrase_alone() {
        let token = encrypt("correct horse", b"payload");
        assert_eq!(decrypt("correct horse", &token).unwrap().as_slice(), b"payload");
        assert_eq!(decrypt("wrong", &token), Err(JweError::Decrypt));
        assert_ne!(token, encrypt("correct horse", b"payload"));
    }

    #[test]
    fn any_changed_part_is_noticed() {
        let token = encrypt("pass", b"payload");
        for (i, _) in token.split('.').enumerate() {
            let mut parts: Vec<String> = token.split('.').map(String::from).collect();
            let old = parts[i].remove(4);
            parts[i].insert(4, if old == 'A' { 'B' } else { 'A' });
            assert!(decrypt("pass", &parts.join(".")).is_err(), "part {i}");
        }
    }

    fn with_header(from: &str, to: &str) -> String {
        let token = encrypt("pass", b"payload");
        let (header, rest) = token.split_once('.').unwrap();
        let header = String::from_utf8(BASE64URL.decode(header).unwrap()).unwrap();
        assert!(header.contains(from));
        format!("{}.{rest}", BASE64URL.encode(header.replace(from, to)))
    }

    #[test]
    fn too_many_iterations_are_refused_before_any_is_done() {
        for n in ["1300001", "4294967297", "18446744073709551615", "0"] {
            let token = with_header("8192", n);
            assert_eq!(decrypt("pass", &token), Err(JweError::Iterations(n.parse().unwrap())));
        }
        assert!(matches!(decrypt("pass", &with_header("8192", "-1")), Err(JweError::Malformed(_))));
    }

    #[test]
    fn other_algorithms_are_refused_by_name() {
        let e = decrypt("pass", &with_header("A256GCM", "A128GCM")).unwrap_err();
        assert!(e.to_string().contains("A128GCM"), "{e}");
        assert!(matches!(decrypt("pass", &with_header("\"alg\"", "\"zip\":\"DEF\",\"alg\"")), Err(JweError::Unsupported(_))));
    }

    #[test]
    fn malformed_tokens_are_errors() {
        for bad in ["", "a.b.c", "....", "e30.e30.e30.e30.e30", "!.!.!.!.!"] {
            assert!(matches!(decrypt("pass", bad), Err(JweError::Malformed(_))), "{bad}");
        }
    }
}
