//! The keyring: account keys where Go's Cosmos binaries keep theirs, so that both read and write the same ones.
//!
//! `<home>/keyring-file` is encrypted under the user's passphrase, `<home>/keyring-test` under a fixed one, for tests.
//! A key `alice` is the item `alice.info`, a protobuf `cosmos.crypto.keyring.v1.Record`; `<hex address>.address` names
//! the item of an address; `keyhash` is bcrypt of the passphrase, so that a wrong one is noticed before it is used.
//! Each item is a JWE file of mode 0600 (see `jwe`). The backend `os` keeps the same items, but for `keyhash`, in the
//! secret service of the user's session (see `service`). Local secp256k1 keys, multisig keys and public keys alone are made
//! here; ledger keys that other binaries stored are listed, but not signed with. Amino records of SDKs before 0.46 are not read.
//!
//! A passphrase is asked for when it is first needed and at most once per [`Keyring`]. Nothing is opened before its use.

mod armor;
mod files;
mod jwe;
mod prompt;
mod record;
mod service;
mod store;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use zeroize::Zeroizing;

use crate::address::Address;
use crate::keys::{HdPath, KeyError, Mnemonic, PublicKey, RecipientKey, RecipientKeyError, RecipientSecret, SecretKey};

pub use armor::ArmorError;
pub use files::MIN_PASSPHRASE;
pub use prompt::{LinePrompt, Prompt, PromptError, TerminalPrompt, console};
pub use record::{AccountKey, KeyOutput, Record, RecordType, to_yaml};

use files::Files;
use record::Stored;
use service::SecretServiceStore;
use store::Store;

const INFO: &str = ".info";

/// Where keys are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// `keyring-test`: no passphrase is asked for. For tests and local networks.
    Test,
    /// `keyring-file`: encrypted under a passphrase.
    File,
    /// The secret service of the user's session, which unlocks it with the user's login or asks for a password itself.
    Os,
}

impl Backend {
    pub const fn as_str(self) -> &'static str {
        match self {
            Backend::Test => "test",
            Backend::File => "file",
            Backend::Os => "os",
        }
    }
}

impl FromStr for Backend {
    type Err = KeyringError;

    fn from_str(text: &str) -> Result<Self, KeyringError> {
        [Backend::Test, Backend::File, Backend::Os]
            .into_iter()
            .find(|b| b.as_str() == text)
            .ok_or_else(|| KeyringError::UnknownBackend(text.into()))
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why the keyring cannot do what it was asked. Never holds secrets.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    #[error("unknown keyring backend {0:?}, expected test, file or os")]
    UnknownBackend(String),
    #[error(
        "keyring backend \"os\": no secret service answers on the session's D-Bus ({0}); log in where one runs (gnome-keyring, KWallet, KeePassXC), or use --keyring-backend file"
    )]
    NoSecretService(String),
    #[error(
        "keyring backend \"os\": {place} is locked, and its password was not given; unlock it with the desktop's password manager, or use --keyring-backend file"
    )]
    Locked { place: String },
    #[error(
        "keyring backend \"os\": there is no {place} yet, and no password was given to make it; do so on a desktop, where the secret service can ask for one, or use --keyring-backend file"
    )]
    NotMade { place: String },
    #[error("keyring backend \"os\": the secret service failed: {0}")]
    SecretService(String),
    #[error("key name {name:?} {reason}")]
    Name { name: String, reason: &'static str },
    #[error("key {name:?} already exists in {place}; choose another name or delete it first")]
    Exists { name: String, place: String },
    #[error("address {address} already belongs to key {name:?} in this keyring")]
    AddressExists { address: Address, name: String },
    #[error("no key {name:?} in {place}; `keys list` shows those that are there")]
    NotFound { name: String, place: String },
    #[error("key {name:?} is of type {}: its private key is not in this keyring", .record_type.as_str())]
    NoSecret { name: String, record_type: RecordType },
    #[error("multisig key: {0}")]
    Multisig(String),
    #[error("public key {0}")]
    PublicKey(String),
    #[error("no correct keyring passphrase was given")]
    Passphrase,
    #[error("passphrase must be at least {MIN_PASSPHRASE} characters")]
    ShortPassphrase,
    #[error(transparent)]
    Prompt(#[from] PromptError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Armor(#[from] ArmorError),
    #[error("{place} {reason}")]
    Corrupt { place: String, reason: String },
    #[error("{path}: {source}", path = .path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl KeyringError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }

    fn corrupt(place: &str, reason: &str) -> Self {
        Self::Corrupt { place: place.into(), reason: reason.into() }
    }
}

/// Why a text is no recipient key.
#[derive(Debug, thiserror::Error)]
pub enum RecipientKeyTextError {
    #[error("public key {0}")]
    Json(String),
    #[error(
        "the keyring holds no key with this public key (account {0}): the recipient key of an account can be derived only where its private key is"
    )]
    NotInKeyring(Address),
    #[error("public key is neither base64 nor hex of 32 bytes, nor the JSON that `keys show --pubkey` prints")]
    Encoding,
    #[error(transparent)]
    Key(#[from] RecipientKeyError),
    #[error(transparent)]
    Keyring(#[from] KeyringError),
}

/// An open keyring. Can be shared between threads.
pub struct Keyring {
    store: Box<dyn Store>,
    prompt: Arc<dyn Prompt>,
}

impl Keyring {
    /// The keyring of `home`: `keyring-file` or `keyring-test` in it. Neither needs to exist before the first key. The
    /// backend `os` has one keyring for the user, whatever the home.
    pub fn open(backend: Backend, home: &Path, prompt: Arc<dyn Prompt>) -> Self {
        Self::open_dir(backend, &home.join(format!("keyring-{backend}")), prompt)
    }

    /// A keyring by its own directory, which the backend `os` does without.
    pub fn open_dir(backend: Backend, dir: &Path, prompt: Arc<dyn Prompt>) -> Self {
        let files = |fixed| Box::new(Files::new(dir.into(), prompt.clone(), fixed));
        let store: Box<dyn Store> = match backend {
            Backend::Test => files(Some("test")),
            Backend::File => files(None),
            Backend::Os => Box::new(SecretServiceStore::default()),
        };
        Self { store, prompt }
    }

    /// Adds a key from `mnemonic`, or from a new one, which is returned either way.
    ///
    /// # Errors
    /// The name or the address is there already (nothing is changed), the name is not usable, no passphrase, i/o.
    pub fn add(&self, name: &str, mnemonic: Option<Mnemonic>, path: &HdPath) -> Result<(Record, Mnemonic), KeyringError> {
        self.check_new_name(name)?;
        let mnemonic = mnemonic.unwrap_or_else(Mnemonic::generate);
        let record = self.create(name, Stored::local(name, SecretKey::derive(&mnemonic, path)?))?;
        Ok((record, mnemonic))
    }

    /// Adds a multisig key of keys that this keyring holds; `sort` orders them by their addresses, as the peers do.
    ///
    /// # Errors
    /// As [`Keyring::add`]; a member that is unknown or a multisig itself, a threshold that the members cannot reach.
    pub fn add_multisig(&self, name: &str, threshold: u32, members: &[String], sort: bool) -> Result<Record, KeyringError> {
        self.check_new_name(name)?;
        let mut keys = Vec::with_capacity(members.len());
        for member in members {
            match self.get(member)?.public_key {
                AccountKey::Single(key) if !keys.contains(&key) => keys.push(key),
                AccountKey::Single(_) => return Err(KeyringError::Multisig(format!("key {member:?} is named twice"))),
                AccountKey::Multi { .. } => return Err(KeyringError::Multisig(format!("key {member:?} is a multisig key itself"))),
            }
        }
        if threshold == 0 || threshold as usize > keys.len() {
            return Err(KeyringError::Multisig(format!("threshold {threshold}: expected 1 to {}, the number of keys", keys.len())));
        }
        if sort {
            keys.sort_by_key(PublicKey::address);
        }
        self.create(name, Stored::multi(name, threshold, keys))
    }

    /// Adds a public key alone, from the JSON that `keys show --pubkey` prints: of a co-signer, or of a multisig key of others.
    ///
    /// # Errors
    /// As [`Keyring::add`]; what the JSON lacks.
    pub fn add_offline(&self, name: &str, json: &str) -> Result<Record, KeyringError> {
        self.check_new_name(name)?;
        let key = record::account_key_from_json(json).map_err(KeyringError::PublicKey)?;
        self.create(name, Stored::offline(name, key))
    }

    /// The key of this name or, failing that, of this account address.
    ///
    /// # Errors
    /// No such key, wrong passphrase, damaged files.
    pub fn get(&self, name_or_address: &str) -> Result<Record, KeyringError> {
        self.load(name_or_address).map(|stored| stored.record)
    }

    /// All keys in the order of their names. One that cannot be read is told to the prompt and left out.
    ///
    /// # Errors
    /// Wrong passphrase, an unreadable directory.
    pub fn list(&self) -> Result<Vec<Record>, KeyringError> {
        let mut records = vec![];
        for item in self.store.items(INFO)? {
            match self.load_item(&item) {
                Ok(stored) => records.extend(stored.map(|s| s.record)),
                Err(e @ KeyringError::Corrupt { .. }) => self.prompt.notice(&format!("warning: {e}")),
                Err(e) => return Err(e),
            }
        }
        Ok(records)
    }

    /// Removes the key of this name.
    ///
    /// # Errors
    /// No such key, wrong passphrase, i/o.
    pub fn delete(&self, name: &str) -> Result<(), KeyringError> {
        let stored = self.load_name(name)?.ok_or_else(|| self.not_found(name))?;
        self.store.remove(&address_item(&stored.record.address()))?;
        self.store.remove(&info_item(name))
    }

    /// Gives a key another name.
    ///
    /// # Errors
    /// No such key, the new name is taken or not usable, wrong passphrase, i/o.
    pub fn rename(&self, name: &str, new_name: &str) -> Result<Record, KeyringError> {
        self.check_new_name(new_name)?;
        let stored = self.load_name(name)?.ok_or_else(|| self.not_found(name))?.renamed(new_name);
        let address = address_item(&stored.record.address());
        // In this order the key is never without a name.
        if !self.store.create(&info_item(new_name), stored.as_bytes())? {
            return Err(self.exists(new_name));
        }
        self.store.replace(&address, info_item(new_name).as_bytes())?;
        self.store.remove(&info_item(name))?;
        Ok(stored.record)
    }

    /// The key as ASCII armour under `passphrase`, importable by this and by Go's Cosmos binaries.
    ///
    /// # Errors
    /// The passphrase is too short, no such key, its private key is elsewhere.
    pub fn export_armored(&self, name_or_address: &str, passphrase: &str) -> Result<String, KeyringError> {
        if passphrase.len() < MIN_PASSPHRASE {
            return Err(KeyringError::ShortPassphrase);
        }
        Ok(armor::export(&self.signer(name_or_address)?, passphrase))
    }

    /// The private key as hex, protected by nothing.
    ///
    /// # Errors
    /// As [`Keyring::sign`].
    pub fn export_hex(&self, name_or_address: &str) -> Result<Zeroizing<String>, KeyringError> {
        Ok(Zeroizing::new(hex::encode(self.signer(name_or_address)?.to_bytes())))
    }

    /// Adds a key from ASCII armour.
    ///
    /// # Errors
    /// As [`Keyring::add`]; a wrong passphrase or damaged armour.
    pub fn import_armored(&self, name: &str, armor: &str, passphrase: &str) -> Result<Record, KeyringError> {
        self.check_new_name(name)?;
        self.create(name, Stored::local(name, armor::import(armor, passphrase)?))
    }

    /// Signs SHA-256 of `bytes`; the signature is 64 bytes, `r ‖ s`, low s.
    ///
    /// # Errors
    /// No such key, its private key is elsewhere, wrong passphrase.
    pub fn sign(&self, name_or_address: &str, bytes: &[u8]) -> Result<([u8; 64], PublicKey), KeyringError> {
        let key = self.signer(name_or_address)?;
        Ok((key.sign(bytes), key.public_key()))
    }

    /// The key itself, for who signs often: reading it costs some milliseconds each time.
    ///
    /// # Errors
    /// As [`Keyring::sign`].
    pub fn signer(&self, name_or_address: &str) -> Result<SecretKey, KeyringError> {
        let Stored { record, secret, .. } = self.load(name_or_address)?;
        secret.ok_or(KeyringError::NoSecret { name: record.name, record_type: record.record_type })
    }

    /// The X25519 secret derived from a key: opens envelopes sealed to its public half.
    ///
    /// # Errors
    /// As [`Keyring::sign`].
    pub fn recipient_secret(&self, name_or_address: &str) -> Result<RecipientSecret, KeyringError> {
        Ok(self.signer(name_or_address)?.recipient_secret())
    }

    /// The X25519 public key derived from a key.
    ///
    /// # Errors
    /// As [`Keyring::sign`].
    pub fn x25519_public(&self, name_or_address: &str) -> Result<RecipientKey, KeyringError> {
        Ok(self.recipient_secret(name_or_address)?.public_key())
    }

    fn create(&self, name: &str, stored: Stored) -> Result<Record, KeyringError> {
        let address = stored.record.address();
        if let Some(other) = self.load_address(&address)? {
            return Err(KeyringError::AddressExists { address, name: other.record.name });
        }
        let info = info_item(name);
        if !self.store.create(&info, stored.as_bytes())? {
            return Err(self.exists(name));
        }
        // An address whose key is gone may have left its item behind.
        if let Err(e) = self.store.replace(&address_item(&address), info.as_bytes()) {
            let _ = self.store.remove(&info);
            return Err(e);
        }
        Ok(stored.record)
    }

    fn load(&self, name_or_address: &str) -> Result<Stored, KeyringError> {
        let found = match (self.load_name(name_or_address)?, name_or_address.parse()) {
            (Some(stored), _) => Some(stored),
            (None, Ok(address)) => self.load_address(&address)?,
            (None, Err(_)) => None,
        };
        found.ok_or_else(|| self.not_found(name_or_address))
    }

    fn load_name(&self, name: &str) -> Result<Option<Stored>, KeyringError> {
        self.load_item(&info_item(name))
    }

    fn load_address(&self, address: &Address) -> Result<Option<Stored>, KeyringError> {
        let Some(item) = self.store.get(&address_item(address))? else {
            return Ok(None);
        };
        let stored = self.load_item(&String::from_utf8_lossy(&item))?;
        Ok(stored.filter(|s| s.record.address() == *address))
    }

    fn load_item(&self, item: &str) -> Result<Option<Stored>, KeyringError> {
        let Some(bytes) = self.store.get(item)? else {
            return Ok(None);
        };
        let corrupt = |e: record::RecordError| KeyringError::corrupt(&self.store.place_of(item), &e.to_string());
        Stored::decode(bytes).map(Some).map_err(corrupt)
    }

    fn check_new_name(&self, name: &str) -> Result<(), KeyringError> {
        let invalid = |reason| Err(KeyringError::Name { name: name.into(), reason });
        if name.trim().is_empty() {
            return invalid("is empty");
        }
        if name.trim() != name || name.chars().any(char::is_control) {
            return invalid("begins or ends with white space, or holds control characters");
        }
        if name.len() > 64 {
            return invalid("is longer than 64 bytes");
        }
        // Commands take a name or an address, and the peers take a name or a file name.
        if name.ends_with(INFO) || name.ends_with(".address") || name.parse::<Address>().is_ok() {
            return invalid("could be taken for an address or a file of the keyring");
        }
        if self.store.contains(&info_item(name))? {
            return Err(self.exists(name));
        }
        Ok(())
    }

    fn exists(&self, name: &str) -> KeyringError {
        KeyringError::Exists { name: name.into(), place: self.store.place() }
    }

    fn not_found(&self, name: &str) -> KeyringError {
        KeyringError::NotFound { name: name.into(), place: self.store.place() }
    }
}

/// Reads what `--public-key` takes: base64 or hex of an X25519 key, or the JSON of an account key in `keyring`, which
/// stands for the X25519 key derived from it.
///
/// # Errors
/// What is wrong with the text; a JSON key that the keyring does not hold.
pub fn parse_recipient_key(text: &str, keyring: &Keyring) -> Result<RecipientKey, RecipientKeyTextError> {
    let text = text.trim();
    if text.starts_with('{') {
        let address = record::public_key_from_json(text).map_err(RecipientKeyTextError::Json)?.address();
        return match keyring.load_address(&address)? {
            Some(Stored { secret: Some(secret), .. }) => Ok(secret.recipient_secret().public_key()),
            _ => Err(RecipientKeyTextError::NotInKeyring(address)),
        };
    }
    // Hex first: 64 hex digits are base64 too, of 48 bytes.
    let bytes = hex::decode(text)
        .or_else(|_| BASE64_STANDARD.decode(text))
        .or_else(|_| BASE64_STANDARD_NO_PAD.decode(text))
        .map_err(|_| RecipientKeyTextError::Encoding)?;
    Ok(RecipientKey::from_bytes(&bytes)?)
}

fn info_item(name: &str) -> String {
    format!("{name}{INFO}")
}

fn address_item(address: &Address) -> String {
    format!("{}.address", hex::encode(address.as_bytes()))
}

#[cfg(test)]
mod tests;
