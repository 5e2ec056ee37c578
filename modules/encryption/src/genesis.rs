//! The `encryption` section of the genesis document.

use crate::types::{check_key, check_label};
use crate::{Encryption, fingerprint};
use kernel::{Ctx, Error, Genesis, Text, View, read_genesis, write_genesis};
use proto::virtengine::encryption::v1::{GenesisState, Params};

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
        Ok(())
    }

    pub(crate) fn export(&self, view: &View) -> Result<Genesis, Error> {
        let keys = self.keys.page(view, None, usize::MAX)?.into_iter().map(|(_, key)| key).collect();
        write_genesis(&GenesisState { params: Some(self.params(view)?), keys })
    }
}
