//! Signing transactions that are kept as JSON: one key at a time, several signers, and the members of a multisig key.

use crate::keyring::AccountKey;
use crate::keys::{PublicKey, SECP256K1_PUBKEY};
use crate::tx::TxError;
use prost::Message;
use proto::Any;
use proto::amino;
use proto::cosmos::crypto::multisig::LegacyAminoPubKey;
use proto::cosmos::crypto::multisig::v1beta1::{CompactBitArray, MultiSignature};
use proto::cosmos::crypto::secp256k1::PubKey;
use proto::cosmos::tx::v1beta1::{AuthInfo, Fee, ModeInfo, SignDoc, SignerInfo, Tx, TxBody, TxRaw, mode_info};

/// What is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignMode {
    /// The transaction's bytes.
    Direct = 1,
    /// Its text, which hardware wallets show and which does not change when others sign too.
    AminoJson = 127,
}

/// Whose signature it is: numbers that are signed along.
#[derive(Debug, Clone)]
pub struct SignerData {
    pub chain_id: String,
    pub account_number: u64,
    pub sequence: u64,
}

/// A key as transactions hold it.
pub fn key_any(key: &AccountKey) -> Any {
    let single =
        |key: &PublicKey| Any { type_url: SECP256K1_PUBKEY.into(), value: PubKey { key: key.to_bytes().to_vec() }.encode_to_vec() };
    match key {
        AccountKey::Single(key) => single(key),
        AccountKey::Multi { threshold, keys } => {
            let key = LegacyAminoPubKey { threshold: *threshold, public_keys: keys.iter().map(single).collect() };
            Any { type_url: "/cosmos.crypto.multisig.LegacyAminoPubKey".into(), value: key.encode_to_vec() }
        }
    }
}

/// The mode of a single signature.
pub fn single_mode(mode: SignMode) -> ModeInfo {
    ModeInfo { sum: Some(mode_info::Sum::Single(mode_info::Single { mode: mode as i32 })) }
}

fn body(tx: &Tx) -> TxBody {
    tx.body.clone().unwrap_or_default()
}

fn auth(tx: &Tx) -> AuthInfo {
    tx.auth_info.clone().unwrap_or_default()
}

/// The bytes to broadcast.
pub fn encode(tx: &Tx) -> Vec<u8> {
    let (body_bytes, auth_info_bytes) = (body(tx).encode_to_vec(), auth(tx).encode_to_vec());
    TxRaw { body_bytes, auth_info_bytes, signatures: tx.signatures.clone() }.encode_to_vec()
}

/// The bytes that a signer of `tx` signs.
pub fn sign_bytes(tx: &Tx, mode: SignMode, signer: &SignerData) -> Result<Vec<u8>, TxError> {
    let SignerData { chain_id, account_number, sequence } = signer.clone();
    let (body, auth) = (body(tx), auth(tx));
    match mode {
        SignMode::Direct => {
            let doc = SignDoc { body_bytes: body.encode_to_vec(), auth_info_bytes: auth.encode_to_vec(), chain_id, account_number };
            Ok(doc.encode_to_vec())
        }
        SignMode::AminoJson => {
            if !body.extension_options.is_empty() || !body.non_critical_extension_options.is_empty() {
                return Err(TxError::Sign("SIGN_MODE_LEGACY_AMINO_JSON does not support protobuf extension options".into()));
            }
            let fee = auth.fee.unwrap_or_else(Fee::default);
            amino::sign_bytes(&amino::SignDoc {
                chain_id: &chain_id,
                account_number,
                sequence,
                fee: &fee,
                memo: &body.memo,
                messages: &body.messages,
                timeout_height: body.timeout_height,
                unordered: body.unordered,
                timeout_timestamp: body.timeout_timestamp.as_ref(),
            })
            .map_err(|e| TxError::Sign(format!("amino JSON: {e}")))
        }
    }
}

/// Puts a signer into the transaction, in place of what it had of the same key, or behind the signers that `before` names;
/// returns its place.
pub fn put(tx: &mut Tx, info: SignerInfo, signature: Vec<u8>, before: impl Fn(&Any) -> bool) -> usize {
    let auth = tx.auth_info.get_or_insert_default();
    tx.signatures.resize(auth.signer_infos.len(), Vec::new());
    match auth.signer_infos.iter().position(|i| i.public_key == info.public_key) {
        Some(index) => {
            auth.signer_infos[index] = info;
            tx.signatures[index] = signature;
            index
        }
        None => {
            let index = auth.signer_infos.iter().filter(|i| i.public_key.as_ref().is_some_and(&before)).count();
            auth.signer_infos.insert(index, info);
            tx.signatures.insert(index, signature);
            index
        }
    }
}

/// The key of a signer info.
pub fn account_key(any: &Any) -> Result<AccountKey, TxError> {
    let single = |any: &Any| {
        let key = PubKey::decode(&any.value[..]).ok().filter(|_| any.type_url == SECP256K1_PUBKEY);
        let wrong = || TxError::Sign(format!("public key of type {:?}: expected secp256k1", any.type_url));
        PublicKey::from_bytes(&key.ok_or_else(wrong)?.key).map_err(|e| TxError::Sign(e.to_string()))
    };
    match any.type_url.as_str() {
        "/cosmos.crypto.multisig.LegacyAminoPubKey" => {
            let key = LegacyAminoPubKey::decode(&any.value[..]).map_err(|e| TxError::Sign(e.to_string()))?;
            Ok(AccountKey::Multi { threshold: key.threshold, keys: key.public_keys.iter().map(single).collect::<Result<_, _>>()? })
        }
        _ => single(any).map(AccountKey::Single),
    }
}

/// The members' signatures as one of the multisig key: those of keys that are not members are refused, as are too few.
pub fn combine(key: &AccountKey, mut signed: Vec<(PublicKey, SignMode, Vec<u8>)>) -> Result<(ModeInfo, Vec<u8>), TxError> {
    let AccountKey::Multi { threshold, keys } = key else { return Err(TxError::Sign("expected a multisig key".into())) };
    let (mut elems, mut mode_infos, mut signatures) = (vec![0u8; keys.len().div_ceil(8)], Vec::new(), Vec::new());
    for (index, member) in keys.iter().enumerate() {
        if let Some(found) = signed.iter().position(|(key, ..)| key == member) {
            let (_, mode, signature) = signed.remove(found);
            elems[index / 8] |= 0x80 >> (index % 8);
            mode_infos.push(single_mode(mode));
            signatures.push(signature);
        }
    }
    if let Some((stranger, ..)) = signed.first() {
        return Err(TxError::Sign(format!("the signature of {} is not of a member of the multisig key", stranger.address())));
    }
    if signatures.len() < *threshold as usize {
        return Err(TxError::Sign(format!("{} of {threshold} signatures are there: expected {threshold}", signatures.len())));
    }
    let bitarray = Some(CompactBitArray { extra_bits_stored: (keys.len() % 8) as u32, elems });
    let mode = ModeInfo { sum: Some(mode_info::Sum::Multi(mode_info::Multi { bitarray, mode_infos })) };
    Ok((mode, MultiSignature { signatures }.encode_to_vec()))
}

/// Whether the signature of a signer info holds.
pub fn holds(tx: &Tx, info: &SignerInfo, signature: &[u8], signer: &SignerData) -> Result<bool, TxError> {
    let key = account_key(info.public_key.as_ref().ok_or_else(|| TxError::Sign("a signer without public key".into()))?)?;
    let one = |key: &PublicKey, info: Option<&ModeInfo>, signature: &[u8]| -> Result<bool, TxError> {
        let mode = mode_of(info)?;
        let bytes = sign_bytes(tx, mode, signer)?;
        Ok(signature.try_into().is_ok_and(|signature| key.verify(&bytes, signature)))
    };
    match (&key, info.mode_info.as_ref().and_then(|m| m.sum.as_ref())) {
        (AccountKey::Single(key), _) => one(key, info.mode_info.as_ref(), signature),
        (AccountKey::Multi { threshold, keys }, Some(mode_info::Sum::Multi(multi))) => {
            let signatures = MultiSignature::decode(signature).map_err(|e| TxError::Sign(e.to_string()))?.signatures;
            let elems = multi.bitarray.as_ref().map(|b| b.elems.as_slice()).unwrap_or_default();
            let members = keys.iter().enumerate().filter(|(i, _)| elems.get(i / 8).is_some_and(|e| e & (0x80 >> (i % 8)) != 0));
            let members: Vec<_> = members.map(|(_, key)| key).collect();
            if members.len() != signatures.len() || members.len() != multi.mode_infos.len() || members.len() < *threshold as usize {
                return Ok(false);
            }
            for ((key, info), signature) in members.into_iter().zip(&multi.mode_infos).zip(&signatures) {
                if !one(key, Some(info), signature)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (AccountKey::Multi { .. }, _) => Ok(false),
    }
}

/// The mode of a single signature, if it is one that this chain takes.
pub fn mode_of(info: Option<&ModeInfo>) -> Result<SignMode, TxError> {
    match info.and_then(|m| m.sum.as_ref()) {
        Some(mode_info::Sum::Single(single)) if single.mode == SignMode::Direct as i32 => Ok(SignMode::Direct),
        Some(mode_info::Sum::Single(single)) if single.mode == SignMode::AminoJson as i32 => Ok(SignMode::AminoJson),
        _ => Err(TxError::Sign("sign mode: expected SIGN_MODE_DIRECT or SIGN_MODE_LEGACY_AMINO_JSON".into())),
    }
}
