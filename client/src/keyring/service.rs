//! The backend `os`: a collection of the freedesktop.org Secret Service (gnome-keyring, KWallet, KeePassXC), reached over
//! the session's D-Bus.
//!
//! It is what the `os` backend of a Go binary named `virtengine` finds and writes there: a collection `virtengine`, and in it
//! an item for each of the keyring's, with the item's name as label and as attribute `profile`, and the JSON of `store` as
//! its secret. On the bus secrets are encrypted under a key agreed with the service.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::thread;

use secret_service::blocking::{Collection, Item, SecretService};
use secret_service::{EncryptionType, Error};
use zeroize::Zeroizing;

use super::KeyringError;
use super::store::{Store, unwrap, wrap};

/// The service name of the Go binaries' keyring: the name of the program.
const COLLECTION: &str = "virtengine";
const PROFILE: &str = "profile";
const CONTENT_TYPE: &str = "application/json";

/// Connected at the first use.
#[derive(Default)]
pub struct SecretServiceStore {
    service: Mutex<Option<SecretService<'static>>>,
}

impl Store for SecretServiceStore {
    fn place(&self) -> String {
        place()
    }

    fn place_of(&self, item: &str) -> String {
        format!("item {item:?} of the {}", place())
    }

    fn contains(&self, item: &str) -> Result<bool, KeyringError> {
        self.with(|service| match unlocked(service)? {
            Some(collection) => Ok(!search(&collection, item)?.is_empty()),
            None => Ok(false),
        })
    }

    fn get(&self, item: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KeyringError> {
        self.with(|service| {
            let Some(collection) = unlocked(service)? else { return Ok(None) };
            let Some(found) = search(&collection, item)?.into_iter().next() else { return Ok(None) };
            // Some services ask for leave item by item.
            if found.is_locked()? {
                found.unlock()?;
            }
            let json = Zeroizing::new(found.get_secret()?);
            unwrap(&json, &self.place_of(item)).map(Some)
        })
    }

    fn create(&self, item: &str, data: &[u8]) -> Result<bool, KeyringError> {
        self.with(|service| {
            let collection = made(service)?;
            let free = search(&collection, item)?.is_empty();
            if free {
                // Should another process be as quick, two of a name are better than one that is lost.
                write(&collection, item, data, false)?;
            }
            Ok(free)
        })
    }

    fn replace(&self, item: &str, data: &[u8]) -> Result<(), KeyringError> {
        self.with(|service| write(&made(service)?, item, data, true))
    }

    fn remove(&self, item: &str) -> Result<(), KeyringError> {
        self.with(|service| {
            let Some(collection) = unlocked(service)? else { return Ok(()) };
            for found in search(&collection, item)? {
                found.delete()?;
            }
            Ok(())
        })
    }

    fn items(&self, suffix: &str) -> Result<Vec<String>, KeyringError> {
        self.with(|service| {
            let Some(collection) = unlocked(service)? else { return Ok(vec![]) };
            let mut items = vec![];
            for item in collection.get_all_items()? {
                items.extend(item.get_attributes()?.remove(PROFILE).filter(|name| name.ends_with(suffix)));
            }
            items.sort();
            items.dedup();
            Ok(items)
        })
    }
}

impl SecretServiceStore {
    /// Works on the service, in a thread of its own: the library blocks on a runtime of its own, which a thread that runs
    /// another runtime must not do.
    fn with<T: Send>(&self, work: impl FnOnce(&SecretService<'_>) -> Result<T, KeyringError> + Send) -> Result<T, KeyringError> {
        let run = || {
            let mut service = self.service.lock().unwrap_or_else(PoisonError::into_inner);
            let service = match &mut *service {
                Some(service) => service,
                none => none.insert(SecretService::connect(EncryptionType::Dh).map_err(|e| KeyringError::NoSecretService(reason(e)))?),
            };
            work(service)
        };
        // The library panics when the service goes away while it asks for a password.
        let gone = |_| Err(KeyringError::SecretService("it went away".into()));
        thread::scope(|scope| scope.spawn(run).join().unwrap_or_else(gone))
    }
}

fn place() -> String {
    format!("collection {COLLECTION:?} of the secret service")
}

/// The collection as it is, none before the first key.
fn find<'a>(service: &'a SecretService<'a>) -> Result<Option<Collection<'a>>, KeyringError> {
    let mut collections = service.get_all_collections()?;
    // Go's binaries go by the path. A service that gives paths of its own choosing keeps the label.
    let path = format!("/org/freedesktop/secrets/collection/{COLLECTION}");
    let by_path = collections.iter().position(|c| c.collection_path.as_str() == path);
    let found = by_path.or_else(|| collections.iter().position(|c| c.get_label().is_ok_and(|label| label == COLLECTION)));
    Ok(found.map(|at| collections.swap_remove(at)))
}

/// The collection, unlocked: the service asks for its password if need be. None before the first key.
fn unlocked<'a>(service: &'a SecretService<'a>) -> Result<Option<Collection<'a>>, KeyringError> {
    let found = find(service)?;
    if let Some(collection) = &found
        && collection.is_locked()?
    {
        collection.unlock()?;
        collection.ensure_unlocked()?;
    }
    Ok(found)
}

/// The collection, unlocked, and made if there is none: the service asks for a password for it.
fn made<'a>(service: &'a SecretService<'a>) -> Result<Collection<'a>, KeyringError> {
    match unlocked(service)? {
        Some(collection) => Ok(collection),
        None => service.create_collection(COLLECTION, "").map_err(|e| match e {
            Error::Prompt => KeyringError::NotMade { place: place() },
            e => e.into(),
        }),
    }
}

fn search<'a>(collection: &'a Collection<'a>, item: &str) -> Result<Vec<Item<'a>>, KeyringError> {
    Ok(collection.search_items(HashMap::from([(PROFILE, item)]))?)
}

fn write(collection: &Collection<'_>, item: &str, data: &[u8], replace: bool) -> Result<(), KeyringError> {
    let json = wrap(item, data);
    collection.create_item(item, HashMap::from([(PROFILE, item)]), json.as_bytes(), replace, CONTENT_TYPE)?;
    Ok(())
}

/// What went wrong, in the words of the bus.
fn reason(error: Error) -> String {
    match error {
        Error::Zbus(e) => e.to_string(),
        Error::ZbusFdo(e) => e.to_string(),
        Error::Unavailable => "DBUS_SESSION_BUS_ADDRESS names none, or none that is there".into(),
        e => e.to_string(),
    }
}

impl From<Error> for KeyringError {
    fn from(error: Error) -> Self {
        match error {
            Error::Locked | Error::Prompt => Self::Locked { place: place() },
            e => Self::SecretService(reason(e)),
        }
    }
}
