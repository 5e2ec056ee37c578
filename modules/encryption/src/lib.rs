//! Recipient keys: the X25519 public keys that secrets are sealed to, by owner. Nothing is decrypted here and no
//! randomness is drawn; envelopes are made and opened by clients.

mod error;
mod genesis;
mod msg;
mod query;
mod types;

pub use error::Error;
pub use types::{ALGORITHM, fingerprint};

use kernel::{Address, Ctx, Fault, Genesis, Index, Item, Module, Namespace, Table, Text, View};
use proto::virtengine::encryption::v1::{EventRecipientKeyExpired, Params, RecipientKey, recipient_key::State};

pub struct Encryption {
    params: Item<Params>,
    /// By owner and fingerprint.
    keys: Table<(Address, Text), RecipientKey>,
    /// Keys that will expire, by the millisecond.
    expiry: Index<u64, (Address, Text)>,
}

/// A key whose time has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// In ms.
    at: u64,
    pub owner: Address,
    pub fingerprint: String,
}

impl Encryption {
    pub fn new(ns: Namespace) -> Self {
        let mut keys = Table::new(&ns, 1);
        let expiry = keys.queue(&ns, 2, |_: &(Address, Text), key: &RecipientKey| {
            let usable = matches!(key.state(), State::Active | State::Deprecated);
            if usable { key.expires_at.as_ref().and_then(proto::millis) } else { None }
        });
        Encryption { params: Item::new(&ns, 0), keys, expiry }
    }

    fn params(&self, view: &View) -> Result<Params, Fault> {
        self.params.get(view)?.ok_or(Fault::Corrupt("encryption params"))
    }

    pub fn get(&self, view: &View, owner: &Address, fingerprint: &str) -> Result<Option<RecipientKey>, Fault> {
        self.keys.get(view, &(*owner, Text(fingerprint.into())))
    }

    /// All keys of an account, revoked and expired ones too.
    pub fn keys_of(&self, view: &View, owner: &Address) -> Result<Vec<RecipientKey>, Fault> {
        let rows = self.keys.page_under(view, owner, None, types::MAX_ROWS_PER_ACCOUNT)?;
        Ok(rows.into_iter().map(|(_, key)| key).collect())
    }

    /// The key to seal to: of the ACTIVE ones the newest.
    pub fn active_key(&self, view: &View, owner: &Address) -> Result<Option<RecipientKey>, Fault> {
        let active = self.keys_of(view, owner)?.into_iter().filter(|key| key.state() == State::Active);
        Ok(active.max_by_key(|key| key.registered_at.as_ref().and_then(proto::millis)))
    }

    /// Up to `limit` keys whose time has come, the earliest first: to be expired.
    pub fn due(&self, view: &View, limit: usize) -> Result<Vec<Due>, Fault> {
        let due = self.expiry.upto(view, &view.time(), limit)?;
        Ok(due.into_iter().map(|(at, (owner, Text(fingerprint)))| Due { at, owner, fingerprint }).collect())
    }

    pub fn expire(&self, ctx: &mut Ctx, due: &Due) -> Result<(), Fault> {
        let id = (due.owner, Text(due.fingerprint.clone()));
        let mut key = self.keys.get(ctx, &id)?.ok_or(Fault::Corrupt("expiry without key"))?;
        key.set_state(State::Expired);
        self.keys.save(ctx, &id, &key)?;
        ctx.emit(&EventRecipientKeyExpired { owner: key.owner, fingerprint: key.fingerprint });
        Ok(())
    }

    /// Takes a key that cannot be expired off the queue.
    pub fn set_aside(&self, ctx: &mut Ctx, due: &Due) -> Result<(), Fault> {
        self.expiry.drop_entry(ctx, &due.at, &(due.owner, Text(due.fingerprint.clone())))
    }
}

impl Module for Encryption {
    fn name(&self) -> &'static str {
        "encryption"
    }

    fn init_genesis(&self, ctx: &mut Ctx, genesis: &Genesis) -> Result<(), kernel::Error> {
        self.init(ctx, genesis)
    }

    fn export_genesis(&self, view: &View) -> Result<Genesis, kernel::Error> {
        self.export(view)
    }

    fn broken(&self, view: &View) -> Result<Vec<String>, kernel::Error> {
        Ok(self.check(view)?)
    }
}
