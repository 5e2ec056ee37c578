//! Public keys of accounts, single and multisig, and the signatures that a transaction brings for them.

use kernel::{Address, Error};
use prost::Message;
use proto::Any;
use proto::cosmos::crypto::multisig::LegacyAminoPubKey;
use proto::cosmos::crypto::multisig::v1beta1::{CompactBitArray, MultiSignature};
use proto::cosmos::tx::v1beta1::{ModeInfo, mode_info};
use ripemd::Ripemd160;
use sha2::{Digest, Sha256};

/// SIGN_MODE_DIRECT
pub const DIRECT: i32 = 1;
/// SIGN_MODE_LEGACY_AMINO_JSON
pub const AMINO_JSON: i32 = 127;

const SECP256K1: &str = "/cosmos.crypto.secp256k1.PubKey";
const MULTISIG: &str = "/cosmos.crypto.multisig.LegacyAminoPubKey";
/// Multi-signatures within multi-signatures, and signatures in one, as Cosmos SDK bounds them.
const MAX_DEPTH: u32 = 2;
const MAX_BREADTH: usize = 32;

/// A key that an account can have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// Compressed secp256k1.
    Single([u8; 33]),
    /// So many of these must sign; one may be a multisig key itself.
    Multi { threshold: u32, keys: Vec<Key> },
}

impl Key {
    /// The error says which keys there are.
    pub fn decode(any: &Any) -> Result<Key, String> {
        Key::nested(any, MAX_DEPTH)
    }

    fn nested(any: &Any, depth: u32) -> Result<Key, String> {
        match any.type_url.as_str() {
            SECP256K1 => {
                let key = proto::cosmos::crypto::secp256k1::PubKey::decode(&any.value[..]).map_err(|e| e.to_string())?.key;
                let len = key.len();
                key.try_into().map(Key::Single).map_err(|_| format!("expected a {SECP256K1} of 33 bytes, got {len}"))
            }
            MULTISIG => {
                let depth = depth.checked_sub(1).ok_or("multisig keys are nested too deep")?;
                let LegacyAminoPubKey { threshold, public_keys } =
                    Message::decode(&any.value[..]).map_err(|e: prost::DecodeError| e.to_string())?;
                let count = public_keys.len();
                if count > MAX_BREADTH || threshold == 0 || threshold as usize > count {
                    return Err(format!(
                        "a multisig key of {count} keys with threshold {threshold}: expected 1 to {MAX_BREADTH} keys and a threshold within"
                    ));
                }
                let keys = public_keys.iter().map(|key| Key::nested(key, depth)).collect::<Result<_, _>>()?;
                Ok(Key::Multi { threshold, keys })
            }
            other => Err(format!("expected a key of type {SECP256K1} or {MULTISIG}, got {other:?}")),
        }
    }

    /// RIPEMD-160(SHA-256(key)), and for a multisig key the first 20 bytes of SHA-256 of its amino encoding.
    pub fn address(&self) -> Address {
        match self {
            Key::Single(key) => Address::new(&Ripemd160::digest(Sha256::digest(key))),
            Key::Multi { .. } => Address::new(&Sha256::digest(self.amino())[..20]),
        }
        .expect("20 bytes")
    }

    /// The amino encoding: a prefix that names the type, then the key.
    pub fn amino(&self) -> Vec<u8> {
        match self {
            Key::Single(key) => [&[0xeb, 0x5a, 0xe9, 0x87, 33], &key[..]].concat(),
            Key::Multi { threshold, keys } => {
                let mut out = vec![0x22, 0xc1, 0xf7, 0xe2, 0x08];
                prost::encoding::encode_varint(u64::from(*threshold), &mut out);
                for key in keys {
                    let key = key.amino();
                    out.push(0x12);
                    prost::encoding::encode_varint(key.len() as u64, &mut out);
                    out.extend(key);
                }
                out
            }
        }
    }

    /// How many single keys there are in it.
    pub fn count(&self) -> u64 {
        match self {
            Key::Single(_) => 1,
            Key::Multi { keys, .. } => keys.iter().map(Key::count).sum(),
        }
    }
}

/// What a signer brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signed {
    Single {
        mode: i32,
        signature: Vec<u8>,
    },
    /// Which of a multisig key's members have signed, and their signatures in the keys' order.
    Multi {
        bits: Vec<bool>,
        parts: Vec<Signed>,
        bytes: Vec<u8>,
    },
}

impl Signed {
    /// From a signer's mode and bytes. Without a mode it is a single signature of an unspecified one.
    pub fn decode(mode: Option<&ModeInfo>, bytes: Vec<u8>) -> Result<Signed, Error> {
        Signed::nested(mode, bytes, MAX_DEPTH)
    }

    fn nested(mode: Option<&ModeInfo>, bytes: Vec<u8>, depth: u32) -> Result<Signed, Error> {
        let refuse = |log: &str| Error::new("sdk", 2, format!("{log}: tx parse error"));
        let multi = match mode.and_then(|m| m.sum.as_ref()) {
            None => return Ok(Signed::Single { mode: 0, signature: bytes }),
            Some(mode_info::Sum::Single(single)) => return Ok(Signed::Single { mode: single.mode, signature: bytes }),
            Some(mode_info::Sum::Multi(multi)) => multi,
        };
        let depth = depth.checked_sub(1).ok_or_else(|| refuse("max depth of 2 reached"))?;
        let MultiSignature { signatures } = MultiSignature::decode(&bytes[..]).map_err(|e| refuse(&format!("multi-signature: {e}")))?;
        // What is signed must not have a second form.
        if (MultiSignature { signatures: signatures.clone() }).encode_to_vec() != bytes {
            return Err(refuse("rejected unrecognized fields found in MultiSignature"));
        }
        if signatures.len() != multi.mode_infos.len() || signatures.len() > MAX_BREADTH {
            let (got, modes) = (signatures.len(), multi.mode_infos.len());
            return Err(refuse(&format!(
                "multi-signature: {got} signatures with {modes} modes: expected as many, and at most {MAX_BREADTH}"
            )));
        }
        let parts = multi.mode_infos.iter().zip(signatures).map(|(mode, bytes)| Signed::nested(Some(mode), bytes, depth));
        let parts = parts.collect::<Result<_, _>>()?;
        let bits = bits(multi.bitarray.as_ref()).ok_or_else(|| refuse("multi-signature: malformed bit array"))?;
        Ok(Signed::Multi { bits, parts, bytes })
    }

    /// True if all signatures in it are of SIGN_MODE_LEGACY_AMINO_JSON.
    pub fn is_amino(&self) -> bool {
        match self {
            Signed::Single { mode, .. } => *mode == AMINO_JSON,
            Signed::Multi { parts, .. } => parts.iter().all(Signed::is_amino),
        }
    }

    /// True where a wallet left a place for a signature, to have gas estimated.
    pub fn is_incomplete(&self) -> bool {
        match self {
            Signed::Single { signature, .. } => signature.is_empty(),
            Signed::Multi { parts, .. } => parts.is_empty() || parts.iter().any(Signed::is_incomplete),
        }
    }

    /// Every signature in it, and after its parts the whole of a multi-signature: what events tell.
    pub fn flatten(&self) -> Vec<&[u8]> {
        match self {
            Signed::Single { signature, .. } => vec![signature],
            Signed::Multi { parts, bytes, .. } => parts.iter().flat_map(Signed::flatten).chain([&bytes[..]]).collect(),
        }
    }
}

fn bits(array: Option<&CompactBitArray>) -> Option<Vec<bool>> {
    let CompactBitArray { extra_bits_stored, elems } = array?;
    let count = match (elems.len(), *extra_bits_stored as usize) {
        (0, 0) => 0,
        (bytes, 0) => bytes * 8,
        (bytes @ 1.., extra @ 1..8) => (bytes - 1) * 8 + extra,
        _ => return None,
    };
    (count <= MAX_BREADTH).then(|| (0..count).map(|i| elems[i / 8] & (0x80 >> (i % 8)) != 0).collect())
}

/// A single signature that has to hold.
#[derive(Debug, PartialEq, Eq)]
pub struct Part<'a> {
    pub key: [u8; 33],
    pub mode: i32,
    pub signature: &'a [u8],
    /// What the SDK says when it does not.
    pub failure: String,
}

/// The single signatures by which `key` signs; an error where they cannot be enough, in the words of Cosmos SDK.
pub fn parts<'a>(key: &Key, signed: &'a Signed) -> Result<Vec<Part<'a>>, String> {
    let mut out = Vec::with_capacity(1);
    collect(key, signed, None, &mut out)?;
    Ok(out)
}

fn collect<'a>(key: &Key, signed: &'a Signed, index: Option<usize>, out: &mut Vec<Part<'a>>) -> Result<(), String> {
    match (key, signed) {
        (Key::Single(key), Signed::Single { mode, signature }) => {
            let failure = match index {
                None => "unable to verify single signer signature".to_string(),
                Some(index) => format!("unable to verify signature at index {index}"),
            };
            out.push(Part { key: *key, mode: *mode, signature, failure });
            Ok(())
        }
        (Key::Multi { threshold, keys }, Signed::Multi { bits, parts, .. }) => {
            if bits.len() != keys.len() {
                return Err(format!("bit array size is incorrect, expecting: {}", keys.len()));
            }
            let set = bits.iter().filter(|bit| **bit).count();
            let threshold = *threshold as usize;
            if parts.len() < threshold || parts.len() != set {
                return match set < threshold {
                    true => Err(format!("not enough signatures set, have {set}, expected {threshold}")),
                    false => Err(format!("signature size is incorrect {}", parts.len())),
                };
            }
            let signing = keys.iter().zip(bits).enumerate().filter(|(_, (_, bit))| **bit);
            for ((index, (key, _)), part) in signing.zip(parts) {
                collect(key, part, Some(index), out)?;
            }
            Ok(())
        }
        (Key::Single(_), Signed::Multi { .. }) => Err("expected a single signature, got a multi-signature".into()),
        (Key::Multi { .. }, Signed::Single { .. }) => Err("expected a multi-signature, got a single signature".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn single(byte: u8) -> Key {
        Key::Single([byte; 33])
    }

    fn signature(mode: i32) -> Signed {
        Signed::Single { mode, signature: vec![7; 64] }
    }

    fn two_of_three(bits: &[bool], parts: usize) -> Result<usize, String> {
        let key = Key::Multi { threshold: 2, keys: vec![single(1), single(2), single(3)] };
        let signed = Signed::Multi { bits: bits.to_vec(), parts: vec![signature(AMINO_JSON); parts], bytes: vec![] };
        parts_of(&key, &signed)
    }

    fn parts_of(key: &Key, signed: &Signed) -> Result<usize, String> {
        parts(key, signed).map(|p| p.len())
    }

    #[test]
    fn a_multisig_needs_as_many_signatures_as_its_threshold_and_bits_that_say_whose() {
        assert_eq!(two_of_three(&[true, false, true], 2), Ok(2));
        assert_eq!(two_of_three(&[true, true, true], 3), Ok(3));
        assert_eq!(two_of_three(&[true, false, false], 1), Err("not enough signatures set, have 1, expected 2".into()));
        assert_eq!(two_of_three(&[true, true, false], 1), Err("signature size is incorrect 1".into()));
        assert_eq!(two_of_three(&[true, true], 2), Err("bit array size is incorrect, expecting: 3".into()));
        assert!(parts_of(&single(1), &Signed::Multi { bits: vec![], parts: vec![], bytes: vec![] }).is_err());
    }

    #[test]
    fn bits_are_read_from_the_highest_and_must_fit_their_bytes() {
        let array = |extra_bits_stored, elems: &[u8]| bits(Some(&CompactBitArray { extra_bits_stored, elems: elems.to_vec() }));
        assert_eq!(array(3, &[0b1010_0000]), Some(vec![true, false, true]));
        assert_eq!(array(0, &[0x80]).map(|b| b.len()), Some(8));
        assert_eq!((array(3, &[]), array(8, &[0]), array(0, &[0; 200]), bits(None)), (None, None, None, None));
    }
}
