//! What a keyring's backend does: it keeps small named items, in the form that Go's Cosmos binaries give them.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::KeyringError;

/// Named items, private to their user.
pub trait Store: Send + Sync {
    /// Where the items are, for errors.
    fn place(&self) -> String;

    /// Where one item is, for errors.
    fn place_of(&self, item: &str) -> String;

    fn contains(&self, item: &str) -> Result<bool, KeyringError>;

    /// The item's data, none if there is no such item. The user is asked for a passphrase only if there is one.
    fn get(&self, item: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KeyringError>;

    /// Writes an item; false, and nothing is changed, if there is one of this name.
    fn create(&self, item: &str, data: &[u8]) -> Result<bool, KeyringError>;

    /// Writes an item, in place of another of its name if need be.
    fn replace(&self, item: &str, data: &[u8]) -> Result<(), KeyringError>;

    /// Removes an item; one that is not there is no error.
    fn remove(&self, item: &str) -> Result<(), KeyringError>;

    /// The names of all items that end with `suffix`, sorted.
    fn items(&self, suffix: &str) -> Result<Vec<String>, KeyringError>;
}

/// An item as it is kept: the JSON of 99designs' keyring.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    key: String,
    /// Base64.
    data: String,
    #[serde(default)]
    label: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    keychain_not_trust_application: bool,
    #[serde(default)]
    keychain_not_synchronizable: bool,
}

impl Drop for Item {
    fn drop(&mut self) {
        self.data.zeroize();
    }
}

/// The JSON that is kept for `data`.
pub fn wrap(item: &str, data: &[u8]) -> Zeroizing<String> {
    let item = Item {
        key: item.into(),
        data: BASE64_STANDARD.encode(data),
        label: String::new(),
        description: String::new(),
        keychain_not_trust_application: false,
        keychain_not_synchronizable: false,
    };
    Zeroizing::new(serde_json::to_string(&item).expect("strings and booleans"))
}

/// The data that is in the JSON found at `place`.
pub fn unwrap(json: &[u8], place: &str) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
    serde_json::from_slice::<Item>(json)
        .ok()
        .and_then(|item| BASE64_STANDARD.decode(&item.data).ok())
        .map(Zeroizing::new)
        .ok_or_else(|| KeyringError::corrupt(place, "does not hold a keyring item"))
}
