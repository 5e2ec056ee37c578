//! A key as the keyring keeps it (`cosmos.crypto.keyring.v1.Record`) and as the `keys` commands print it.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use prost::Message;
use serde::Serialize;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use crate::address::{Address, Prefix};
use crate::keys::{PublicKey, SECP256K1_PUBKEY, SecretKey};

const SECP256K1_PRIVKEY: &str = "/cosmos.crypto.secp256k1.PrivKey";
const MULTISIG_PUBKEY: &str = "/cosmos.crypto.multisig.LegacyAminoPubKey";

/// The messages of the file, with the field numbers of Cosmos SDK v0.53.
mod wire {
    use super::{Zeroize, fmt};

    #[derive(Clone, PartialEq, prost::Message)]
    #[prost(skip_debug)]
    pub struct Record {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(message, optional, tag = "2")]
        pub pub_key: Option<Any>,
        #[prost(oneof = "Item", tags = "3, 4, 5, 6")]
        pub item: Option<Item>,
    }

    #[derive(Clone, PartialEq, prost::Oneof)]
    #[prost(skip_debug)]
    pub enum Item {
        #[prost(message, tag = "3")]
        Local(Local),
        /// Holds a derivation path, which is not needed here.
        #[prost(message, tag = "4")]
        Ledger(Empty),
        #[prost(message, tag = "5")]
        Multi(Empty),
        #[prost(message, tag = "6")]
        Offline(Empty),
    }

    #[derive(Clone, PartialEq, prost::Message)]
    #[prost(skip_debug)]
    pub struct Local {
        #[prost(message, optional, tag = "1")]
        pub priv_key: Option<Any>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Empty {}

    /// `google.protobuf.Any`; may hold a private key, so it is wiped.
    #[derive(Clone, PartialEq, prost::Message)]
    #[prost(skip_debug)]
    pub struct Any {
        #[prost(string, tag = "1")]
        pub type_url: String,
        #[prost(bytes = "vec", tag = "2")]
        pub value: Vec<u8>,
    }

    /// `PubKey` and `PrivKey` of secp256k1 alike.
    #[derive(Clone, PartialEq, prost::Message)]
    #[prost(skip_debug)]
    pub struct Key {
        #[prost(bytes = "vec", tag = "1")]
        pub key: Vec<u8>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Multisig {
        #[prost(uint32, tag = "1")]
        pub threshold: u32,
        #[prost(message, repeated, tag = "2")]
        pub public_keys: Vec<Any>,
    }

    impl Drop for Any {
        fn drop(&mut self) {
            self.value.zeroize();
        }
    }

    impl Drop for Key {
        fn drop(&mut self) {
            self.key.zeroize();
        }
    }

    macro_rules! redacted {
        ($($t:ident),*) => {$(
            impl fmt::Debug for $t {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(concat!(stringify!($t), "(…)"))
                }
            }
        )*};
    }
    redacted!(Record, Item, Local, Any, Key);
}

/// Where a key's private part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordType {
    /// In the keyring.
    Local,
    /// On a hardware wallet.
    Ledger,
    /// With the members of a multisig key.
    Multi,
    /// Not here: only the public key is known.
    Offline,
}

impl RecordType {
    pub const fn as_str(self) -> &'static str {
        match self {
            RecordType::Local => "local",
            RecordType::Ledger => "ledger",
            RecordType::Multi => "multi",
            RecordType::Offline => "offline",
        }
    }
}

/// An account's public key: one key, or several of which some must sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountKey {
    Single(PublicKey),
    Multi { threshold: u32, keys: Vec<PublicKey> },
}

impl AccountKey {
    pub fn address(&self) -> Address {
        match self {
            AccountKey::Single(key) => key.address(),
            AccountKey::Multi { threshold, keys } => {
                // SHA-256 of the amino form: prefix, threshold, then each key with its own prefix and length.
                let mut amino = vec![0x22, 0xc1, 0xf7, 0xe2, 0x08];
                prost::encoding::encode_varint(u64::from(*threshold), &mut amino);
                for key in keys {
                    amino.extend([0x12, 38, 0xeb, 0x5a, 0xe9, 0x87, 33]);
                    amino.extend(key.to_bytes());
                }
                Address::new(&Sha256::digest(amino)[..20]).expect("20 bytes")
            }
        }
    }

    /// One line of protobuf JSON with `@type`.
    pub fn to_json(&self) -> String {
        match self {
            AccountKey::Single(key) => key.to_json(),
            AccountKey::Multi { threshold, keys } => {
                let keys: Vec<String> = keys.iter().map(PublicKey::to_json).collect();
                let keys = keys.join(",");
                format!(r#"{{"@type":"{MULTISIG_PUBKEY}","threshold":{threshold},"public_keys":[{keys}]}}"#)
            }
        }
    }
}

/// What the keyring tells about a key. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub name: String,
    pub record_type: RecordType,
    pub public_key: AccountKey,
}

impl Record {
    pub fn address(&self) -> Address {
        self.public_key.address()
    }

    /// The key for printing, its address under `prefix`.
    pub fn output(&self, prefix: Prefix) -> KeyOutput {
        KeyOutput {
            name: self.name.clone(),
            record_type: self.record_type.as_str(),
            address: self.address().to_bech32(prefix),
            pubkey: self.public_key.to_json(),
            mnemonic: None,
        }
    }
}

/// What `keys add`, `show` and `list` print.
#[derive(Clone, Serialize)]
pub struct KeyOutput {
    pub name: String,
    #[serde(rename = "type")]
    pub record_type: &'static str,
    pub address: String,
    /// JSON, as a string.
    pub pubkey: String,
    /// Set by `keys add --output json` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mnemonic: Option<String>,
}

impl Drop for KeyOutput {
    fn drop(&mut self) {
        self.mnemonic.zeroize();
    }
}

impl KeyOutput {
    /// One object on one line.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings only")
    }
}

/// A list of keys as YAML, ending with a newline; `[]` when there are none. Mnemonics are left out.
pub fn to_yaml(keys: &[KeyOutput]) -> String {
    if keys.is_empty() {
        return "[]\n".into();
    }
    keys.iter()
        .map(|k| {
            format!("- address: {}\n  name: {}\n  pubkey: '{}'\n  type: {}\n", k.address, yaml_scalar(&k.name), k.pubkey, k.record_type)
        })
        .collect()
}

/// A name as YAML: plain when nothing in it could be taken for anything else, else quoted.
fn yaml_scalar(text: &str) -> String {
    const WORDS: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if plain { text.into() } else { serde_json::to_string(text).expect("a string") }
}

/// Why an item's bytes are no record that is understood here.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("is not in the protobuf form of Cosmos SDK 0.46 and later; migrate it with `keys migrate` of the binary that wrote it")]
    Encoding,
    #[error("holds no {0}")]
    Missing(&'static str),
    #[error("holds a key of type {0:?}, expected secp256k1 or a multisig of secp256k1 keys")]
    KeyType(String),
    #[error("holds a malformed key")]
    Key,
}

/// A record as it is stored, with its secret if it has one.
pub struct Stored {
    pub record: Record,
    pub secret: Option<SecretKey>,
    bytes: Zeroizing<Vec<u8>>,
}

impl Stored {
    /// A new local key.
    pub fn local(name: &str, secret: SecretKey) -> Self {
        let public_key = secret.public_key();
        let stored = wire::Record {
            name: name.into(),
            pub_key: Some(any(SECP256K1_PUBKEY, &public_key.to_bytes())),
            item: Some(wire::Item::Local(wire::Local { priv_key: Some(any(SECP256K1_PRIVKEY, secret.to_bytes().as_ref())) })),
        };
        let public_key = AccountKey::Single(public_key);
        Self {
            record: Record { name: name.into(), record_type: RecordType::Local, public_key },
            bytes: Zeroizing::new(stored.encode_to_vec()),
            secret: Some(secret),
        }
    }

    /// A multisig key; its members' private keys are elsewhere.
    pub fn multi(name: &str, threshold: u32, keys: Vec<PublicKey>) -> Self {
        Self::public(name, AccountKey::Multi { threshold, keys }, RecordType::Multi, wire::Item::Multi(wire::Empty {}))
    }

    /// A public key alone; who signs with it is elsewhere.
    pub fn offline(name: &str, public_key: AccountKey) -> Self {
        Self::public(name, public_key, RecordType::Offline, wire::Item::Offline(wire::Empty {}))
    }

    fn public(name: &str, public_key: AccountKey, record_type: RecordType, item: wire::Item) -> Self {
        let stored = wire::Record { name: name.into(), pub_key: Some(public_any(&public_key)), item: Some(item) };
        Self { record: Record { name: name.into(), record_type, public_key }, bytes: Zeroizing::new(stored.encode_to_vec()), secret: None }
    }

    pub fn decode(bytes: Zeroizing<Vec<u8>>) -> Result<Self, RecordError> {
        let stored = wire::Record::decode(bytes.as_slice()).map_err(|_| RecordError::Encoding)?;
        let public_key = account_key(stored.pub_key.as_ref().ok_or(RecordError::Missing("public key"))?)?;
        let (record_type, secret) = match &stored.item {
            Some(wire::Item::Local(local)) => {
                let key = local.priv_key.as_ref().ok_or(RecordError::Missing("private key"))?;
                let secret = SecretKey::from_bytes(&key_bytes(key, SECP256K1_PRIVKEY)?.key).map_err(|_| RecordError::Key)?;
                if AccountKey::Single(secret.public_key()) != public_key {
                    return Err(RecordError::Key);
                }
                (RecordType::Local, Some(secret))
            }
            Some(wire::Item::Ledger(_)) => (RecordType::Ledger, None),
            Some(wire::Item::Multi(_)) => (RecordType::Multi, None),
            Some(wire::Item::Offline(_)) => (RecordType::Offline, None),
            None => return Err(RecordError::Missing("kind of key")),
        };
        Ok(Self { record: Record { name: stored.name.clone(), record_type, public_key }, secret, bytes })
    }

    /// The same key under another name, whatever else the record holds.
    pub fn renamed(mut self, name: &str) -> Self {
        // Protobuf lets the last value of a field win, so the rest of the record stays byte for byte.
        prost::encoding::string::encode(1, &name.to_string(), &mut *self.bytes);
        self.record.name = name.into();
        self
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

fn any(type_url: &str, key: &[u8]) -> wire::Any {
    wire::Any { type_url: type_url.into(), value: wire::Key { key: key.into() }.encode_to_vec() }
}

fn public_any(key: &AccountKey) -> wire::Any {
    let single = |key: &PublicKey| any(SECP256K1_PUBKEY, &key.to_bytes());
    match key {
        AccountKey::Single(key) => single(key),
        AccountKey::Multi { threshold, keys } => {
            let multisig = wire::Multisig { threshold: *threshold, public_keys: keys.iter().map(single).collect() };
            wire::Any { type_url: MULTISIG_PUBKEY.into(), value: multisig.encode_to_vec() }
        }
    }
}

fn key_bytes(any: &wire::Any, type_url: &str) -> Result<wire::Key, RecordError> {
    if any.type_url != type_url {
        return Err(RecordError::KeyType(any.type_url.clone()));
    }
    wire::Key::decode(any.value.as_slice()).map_err(|_| RecordError::Key)
}

fn single_key(any: &wire::Any) -> Result<PublicKey, RecordError> {
    PublicKey::from_bytes(&key_bytes(any, SECP256K1_PUBKEY)?.key).map_err(|_| RecordError::Key)
}

fn account_key(any: &wire::Any) -> Result<AccountKey, RecordError> {
    if any.type_url != MULTISIG_PUBKEY {
        return single_key(any).map(AccountKey::Single);
    }
    let multisig = wire::Multisig::decode(any.value.as_slice()).map_err(|_| RecordError::Key)?;
    let keys = multisig.public_keys.iter().map(single_key).collect::<Result<_, _>>()?;
    Ok(AccountKey::Multi { threshold: multisig.threshold, keys })
}

/// The key in the JSON that `keys show --pubkey` prints, of one key or of several.
///
/// # Errors
/// As [`public_key_from_json`].
pub(super) fn account_key_from_json(text: &str) -> Result<AccountKey, String> {
    let json: serde_json::Value = serde_json::from_str(text).map_err(|e| format!("is not valid JSON: {e}"))?;
    if json["@type"] != MULTISIG_PUBKEY {
        return public_key(&json).map(AccountKey::Single);
    }
    let keys: Vec<PublicKey> = json["public_keys"].as_array().into_iter().flatten().map(public_key).collect::<Result<_, _>>()?;
    let threshold = json["threshold"].as_u64().and_then(|t| u32::try_from(t).ok()).filter(|t| (1..=keys.len()).contains(&(*t as usize)));
    let threshold = threshold.ok_or_else(|| format!("has no \"threshold\" from 1 to {}, the number of its \"public_keys\"", keys.len()))?;
    Ok(AccountKey::Multi { threshold, keys })
}

/// The secp256k1 key in the JSON that `keys show --pubkey` prints.
///
/// # Errors
/// A sentence saying what the JSON lacks.
pub(super) fn public_key_from_json(text: &str) -> Result<PublicKey, String> {
    public_key(&serde_json::from_str(text).map_err(|e| format!("is not valid JSON: {e}"))?)
}

fn public_key(json: &serde_json::Value) -> Result<PublicKey, String> {
    match json["@type"].as_str() {
        Some(SECP256K1_PUBKEY) => {}
        Some(other) => {
            return Err(format!("has the \"@type\" {other:?}, expected {SECP256K1_PUBKEY:?}"));
        }
        None => return Err(format!("lacks \"@type\", expected {SECP256K1_PUBKEY:?}")),
    }
    json["key"]
        .as_str()
        .and_then(|key| BASE64_STANDARD.decode(key).ok())
        .and_then(|key| PublicKey::from_bytes(&key).ok())
        .ok_or_else(|| "has no \"key\" that is base64 of a compressed secp256k1 key".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::tests::{ABANDON, ABANDON_24, key};

    const PUBKEY: &str = r#"{"@type":"/cosmos.crypto.secp256k1.PubKey","key":"Ak9OKtmcNNYLm6YoPJQxqEGK+GcyEpYfl6d7Y3f80Fti"}"#;

    #[test]
    fn a_stored_key_decodes_to_itself_and_can_be_renamed() {
        let stored = Stored::local("alice", key(ABANDON, 0, 0));
        let again = Stored::decode(stored.bytes.clone()).unwrap();
        assert_eq!(again.record, stored.record);
        assert_eq!(again.secret.as_ref().unwrap().address(), key(ABANDON, 0, 0).address());
        let renamed = Stored::decode(again.renamed("bob").bytes).unwrap();
        assert_eq!(renamed.record, Record { name: "bob".into(), ..stored.record });
    }

    #[test]
    fn a_record_whose_halves_differ_is_refused() {
        let record = wire::Record {
            name: "x".into(),
            pub_key: Some(any(SECP256K1_PUBKEY, &key(ABANDON, 0, 1).public_key().to_bytes())),
            item: Some(wire::Item::Local(wire::Local { priv_key: Some(any(SECP256K1_PRIVKEY, key(ABANDON, 0, 0).to_bytes().as_ref())) })),
        };
        assert_eq!(Stored::decode(record.encode_to_vec().into()).err(), Some(RecordError::Key));
        assert_eq!(Stored::decode(vec![0xff].into()).err(), Some(RecordError::Encoding));
        assert_eq!(Stored::decode(vec![].into()).err(), Some(RecordError::Missing("public key")));
        assert_eq!(format!("{record:?}"), "Record(…)");
    }

    #[test]
    fn a_multisig_key_has_the_address_that_go_gives_it() {
        let keys = vec![key(ABANDON, 0, 0).public_key(), key(ABANDON_24, 3, 7).public_key()];
        let multi = AccountKey::Multi { threshold: 2, keys };
        assert_eq!(multi.address().to_string(), "virtengine1fds09hvjhrnnghfumkjc65xf443n0rzr9xdzpe");
    }

    #[test]
    fn a_public_key_alone_is_kept_and_read_back() {
        let one = AccountKey::Single(key(ABANDON, 0, 0).public_key());
        let keys = vec![key(ABANDON, 0, 0).public_key(), key(ABANDON_24, 3, 7).public_key()];
        for public_key in [one, AccountKey::Multi { threshold: 2, keys }] {
            assert_eq!(account_key_from_json(&public_key.to_json()).unwrap(), public_key);
            let stored = Stored::offline("carol", public_key.clone());
            let again = Stored::decode(stored.bytes.clone()).unwrap();
            assert!(again.secret.is_none());
            assert_eq!(again.record, Record { name: "carol".into(), record_type: RecordType::Offline, public_key });
        }
        for threshold in ["0", "3", "\"1\""] {
            let json = format!(r#"{{"@type":"{MULTISIG_PUBKEY}","threshold":{threshold},"public_keys":[{PUBKEY},{PUBKEY}]}}"#);
            assert!(account_key_from_json(&json).unwrap_err().contains("from 1 to 2"));
        }
        let without = format!(r#"{{"@type":"{MULTISIG_PUBKEY}","threshold":1,"public_keys":[{{}}]}}"#);
        assert!(account_key_from_json(&without).unwrap_err().contains("lacks \"@type\""));
    }

    #[test]
    fn output_is_what_go_prints() {
        let out = Stored::local("alice", key(ABANDON, 0, 0)).record.output(Prefix::Account);
        let address = "virtengine19rl4cm2hmr8afy4kldpxz3fka4jguq0a6mvv5p";
        assert_eq!(
            to_yaml(std::slice::from_ref(&out)),
            format!("- address: {address}\n  name: alice\n  pubkey: '{PUBKEY}'\n  type: local\n")
        );
        let pubkey = serde_json::to_string(PUBKEY).unwrap();
        assert_eq!(out.to_json(), format!(r#"{{"name":"alice","type":"local","address":"{address}","pubkey":{pubkey}}}"#));
        assert_eq!(to_yaml(&[]), "[]\n");
    }

    #[test]
    fn names_that_yaml_would_misread_are_quoted() {
        assert_eq!(yaml_scalar("provider-operator"), "provider-operator");
        for name in ["yes", "12", "a: b", "- x", "NULL", "é"] {
            assert_eq!(yaml_scalar(name), format!("{name:?}"));
        }
    }

    #[test]
    fn key_json_is_read_back_and_its_faults_are_named() {
        assert_eq!(public_key_from_json(PUBKEY).unwrap(), key(ABANDON, 0, 0).public_key());
        for (json, says) in [
            ("{", "is not valid JSON"),
            ("{}", "lacks \"@type\""),
            (r#"{"@type":"/cosmos.crypto.ed25519.PubKey","key":""}"#, "ed25519"),
            (r#"{"@type":"/cosmos.crypto.secp256k1.PubKey","key":"AAAA"}"#, "\"key\""),
        ] {
            let error = public_key_from_json(json).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
