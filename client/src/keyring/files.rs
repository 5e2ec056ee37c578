//! A directory of encrypted items, one file each, and the passphrase that opens it.

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use zeroize::Zeroizing;

use super::KeyringError;
use super::jwe;
use super::prompt::Prompt;
use super::store::{Store, unwrap, wrap};

/// The shortest passphrase, in bytes, as Go's Cosmos binaries have it.
pub const MIN_PASSPHRASE: usize = 8;
/// bcrypt reads no more; a longer passphrase would be cut in silence.
const MAX_PASSPHRASE: usize = 72;
const ATTEMPTS: usize = 3;
/// Cost of the hash in `keyhash`, as the peers choose it.
const KEYHASH_COST: u32 = 10;

pub struct Files {
    dir: PathBuf,
    /// Asks for the passphrase; none when it is fixed from the start.
    prompt: Arc<dyn Prompt>,
    passphrase: Mutex<Option<Zeroizing<String>>>,
}

impl Store for Files {
    fn place(&self) -> String {
        self.dir.display().to_string()
    }

    fn place_of(&self, item: &str) -> String {
        self.path(item).display().to_string()
    }

    fn contains(&self, item: &str) -> Result<bool, KeyringError> {
        let path = self.path(item);
        path.try_exists().map_err(|e| KeyringError::io(&path, e))
    }

    fn get(&self, item: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KeyringError> {
        let path = self.path(item);
        let token = match fs::read_to_string(&path) {
            Ok(token) => token,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(KeyringError::io(&path, e)),
        };
        read(&path, &token, &self.unlock()?).map(Some)
    }

    fn create(&self, item: &str, data: &[u8]) -> Result<bool, KeyringError> {
        match self.write(item, data, false) {
            Err(KeyringError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            result => result.map(|()| true),
        }
    }

    fn replace(&self, item: &str, data: &[u8]) -> Result<(), KeyringError> {
        self.write(item, data, true)
    }

    fn remove(&self, item: &str) -> Result<(), KeyringError> {
        let path = self.path(item);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(KeyringError::io(&path, e)),
            _ => Ok(()),
        }
    }

    /// A missing directory holds none.
    fn items(&self, suffix: &str) -> Result<Vec<String>, KeyringError> {
        let error = |e| KeyringError::io(&self.dir, e);
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
            Err(e) => return Err(error(e)),
        };
        let mut items = vec![];
        for entry in entries {
            let name = entry.map_err(error)?.file_name();
            items.extend(name.to_str().map(unescape).filter(|n| n.ends_with(suffix)));
        }
        items.sort();
        Ok(items)
    }
}

impl Files {
    pub fn new(dir: PathBuf, prompt: Arc<dyn Prompt>, fixed: Option<&str>) -> Self {
        let passphrase = Mutex::new(fixed.map(|p| Zeroizing::new(p.into())));
        Self { dir, prompt, passphrase }
    }

    fn write(&self, item: &str, data: &[u8], replace: bool) -> Result<(), KeyringError> {
        let token = jwe::encrypt(&self.unlock()?, wrap(item, data).as_bytes());
        self.write_file(&self.path(item), token.as_bytes(), replace)
    }

    /// Writes a whole file or none, readable by its owner alone.
    fn write_file(&self, path: &Path, bytes: &[u8], replace: bool) -> Result<(), KeyringError> {
        let error = |e| KeyringError::io(path, e);
        self.create_dir()?;
        // Created with mode 0600.
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(&self.dir).map_err(error)?;
        file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(error)?;
        if replace { file.persist(path) } else { file.persist_noclobber(path) }.map_err(|e| error(e.error))?;
        fs::File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(error)
    }

    fn create_dir(&self) -> Result<(), KeyringError> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir).map_err(|e| KeyringError::io(&self.dir, e))
    }

    /// The passphrase, asked for once per process.
    fn unlock(&self) -> Result<Zeroizing<String>, KeyringError> {
        let mut passphrase = self.passphrase.lock().unwrap_or_else(PoisonError::into_inner);
        if passphrase.is_none() {
            *passphrase = Some(self.ask()?);
        }
        Ok(passphrase.clone().expect("just set"))
    }

    fn ask(&self) -> Result<Zeroizing<String>, KeyringError> {
        let keyhash_path = self.dir.join("keyhash");
        let keyhash = match fs::read_to_string(&keyhash_path) {
            Ok(hash) => Some(hash),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(KeyringError::io(&keyhash_path, e)),
        };
        // Keys whose keyhash got lost are still the measure of a passphrase.
        let witness = if keyhash.is_none() { self.items(".info")?.into_iter().next() } else { None };

        for attempt in 1..=ATTEMPTS {
            let passphrase = match self.prompt.secret(&format!("Enter keyring passphrase (attempt {attempt}/{ATTEMPTS}):")) {
                // The earlier answers were wrong; that the input holds no more of them is not the news.
                Err(super::PromptError::Ended(_)) if attempt > 1 => break,
                answer => answer?,
            };
            if passphrase.len() < MIN_PASSPHRASE {
                self.prompt.notice(&format!("passphrase must be at least {MIN_PASSPHRASE} characters"));
                continue;
            }
            if let Some(keyhash) = &keyhash {
                let corrupt = |_| KeyringError::corrupt(&keyhash_path.display().to_string(), "is not a bcrypt hash");
                if bcrypt::verify(passphrase.as_bytes(), keyhash.trim()).map_err(corrupt)? {
                    return Ok(passphrase);
                }
                self.prompt.notice("incorrect passphrase");
                continue;
            }
            if passphrase.len() > MAX_PASSPHRASE {
                self.prompt.notice(&format!("passphrase must be at most {MAX_PASSPHRASE} bytes"));
                continue;
            }
            if let Some(item) = &witness {
                let path = self.path(item);
                let token = fs::read_to_string(&path).map_err(|e| KeyringError::io(&path, e))?;
                if read(&path, &token, &passphrase).is_err() {
                    self.prompt.notice("incorrect passphrase");
                    continue;
                }
            } else if *self.prompt.secret("Re-enter keyring passphrase:")? != *passphrase {
                self.prompt.notice("passphrases do not match");
                continue;
            }
            let hash = bcrypt::hash_with_salt(passphrase.as_bytes(), KEYHASH_COST, rand::random())
                .expect("cost and length are within bcrypt's limits")
                .format_for_version(bcrypt::Version::TwoA);
            self.write_file(&keyhash_path, hash.as_bytes(), false)?;
            return Ok(passphrase);
        }
        Err(KeyringError::Passphrase)
    }

    fn path(&self, item: &str) -> PathBuf {
        self.dir.join(escape(item))
    }
}

fn read(path: &Path, token: &str, passphrase: &str) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
    let place = path.display().to_string();
    let json = jwe::decrypt(passphrase, token).map_err(|e| KeyringError::corrupt(&place, &e.to_string()))?;
    unwrap(&json, &place)
}

/// An item's file name: `/` and `%` as percent escapes.
fn escape(item: &str) -> String {
    item.replace('%', "%25").replace('/', "%2F")
}

/// The item of a file name; every valid escape counts, others stay.
fn unescape(file: &str) -> String {
    let mut bytes = Vec::with_capacity(file.len());
    let mut rest = file.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = (first == b'%').then(|| tail.get(..2)).flatten();
        let byte = escaped.and_then(|hex| hex::decode(hex).ok()).map(|b| b[0]);
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_as_file_names() {
        for (name, file) in [("team/carol 100%", "team%2Fcarol 100%25"), ("../x", "..%2Fx"), ("plain", "plain")] {
            assert_eq!(escape(name), file);
            assert_eq!(unescape(file), name);
        }
        assert_eq!(unescape("%zz%2"), "%zz%2");
    }
}
