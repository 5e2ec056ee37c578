//! The `encryption` section of the genesis document.

use crate::types::{check_key, check_label};
use crate::{Encryption, fingerprint};
use kernel::{Ctx, Error, Fault, Genesis, Text, View, read_genesis, write_genesis};
use proto::virtengine::encryption::v1::{GenesisState, Params, recipient_key::State};
use std::collections::BTreeMap;

/// Keys per account that are neither revoked nor expired.
const DEFAULT_MAX_KEYS: u32 = 16;

fn bad(log: impl std::fmt::Display) -> Error {
    Error::new("genesis", 1, log.to_string())
}

impl Encryption {
    pub(crate) fn init(&self, ctx: &mut Ctx, genesis: &Genesis) -> Result<(), Error> {
        let state: GenesisState = read_genesis(genesis)?;
        let set = state.params.map_or(0, |params| params.max_keys_per_account);
        let params = Params { max_keys_per_account: if set == 0 { DEFAULT_MAX_KEYS } else { set } };
        if !(1..=128).contains(&params.max_keys_per_account) {
            return Err(bad(format_args!("params.max_keys_per_account: expected 1 to 128, got {}", params.max_keys_per_account)));
        }
        self.params.save(ctx, &params)?;
        for (index, key) in state.keys.into_iter().enumerate() {
            let named = |e: String| bad(format_args!("keys[{index}]: {e}"));
            let owner = key.owner.parse().map_err(|e| named(format!("owner: {e}")))?;
            check_key(&key.public_key).and_then(|()| check_label(&key.label)).map_err(|e| named(e.to_string()))?;
            if key.fingerprint != fingerprint(&key.public_key) {
                return Err(named(format!("fingerprint: expected {}, got {}", fingerprint(&key.public_key), key.fingerprint)));
            }
            self.keys.save(ctx, &(owner, Text(key.fingerprint.clone())), &key)?;
        }
        self.check(ctx)?.first().map_or(Ok(()), |broken| Err(bad(broken)))
    }

    /// What must always hold, one sentence for each thing that does not.
    pub(crate) fn check(&self, view: &View) -> Result<Vec<String>, Fault> {
        let mut broken = Vec::new();
        let mut usable = BTreeMap::<_, u32>::new();
        let mut expiry = Vec::new();
        for (id, key) in self.keys.page(view, None, usize::MAX)? {
            match State::try_from(key.state) {
                Ok(State::Active | State::Deprecated) => {
                    *usable.entry(id.0).or_default() += 1;
                    expiry.extend(key.expires_at.as_ref().and_then(proto::millis).map(|at| (at, id)));
                }
                Ok(State::Revoked | State::Expired) => {}
                Ok(State::Unspecified) | Err(_) => broken.push(format!("key {} of {} has the unknown state {}", id.1.0, id.0, key.state)),
            }
        }
        let most = self.params(view)?.max_keys_per_account;
        let crowded = usable.into_iter().filter(|(_, keys)| *keys > most);
        broken.extend(crowded.map(|(owner, keys)| format!("{owner} has {keys} usable keys, at most {most} are allowed")));
        expiry.sort();
        let queued = self.expiry.upto(view, &u64::MAX, usize::MAX)?;
        if queued.iter().any(|entry| expiry.binary_search(entry).is_err()) {
            broken.push("the expiry queue has an entry that no key has".into());
        }
        Ok(broken)
    }

    pub(crate) fn export(&self, view: &View) -> Result<Genesis, Error> {
        let keys = self.keys.page(view, None, usize::MAX)?.into_iter().map(|(_, key)| key).collect();
        write_genesis(&GenesisState { params: Some(self.params(view)?), keys })
    }
}
