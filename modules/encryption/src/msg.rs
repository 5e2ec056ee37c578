//! One function per message.

use crate::types::{MAX_ROWS_PER_ACCOUNT, check_algorithm, check_key, check_label};
use crate::{ALGORITHM, Encryption, Error, fingerprint};
use kernel::{Address, Ctx, Text};
use proto::Timestamp;
use proto::virtengine::encryption::v1::{recipient_key::State, *};

struct NewKey {
    owner: Address,
    algorithm: String,
    public_key: Vec<u8>,
    label: String,
    expires_at: Option<Timestamp>,
}

fn usable(key: &RecipientKey) -> bool {
    matches!(key.state(), State::Active | State::Deprecated)
}

fn owner(text: &str) -> Result<Address, Error> {
    text.parse().map_err(|e: String| Error::invalid("owner", format!("expected an account address, got {text:?} ({e})")))
}

impl Encryption {
    pub fn register(&self, ctx: &mut Ctx, msg: MsgRegisterRecipientKey) -> Result<MsgRegisterRecipientKeyResponse, Error> {
        let MsgRegisterRecipientKey { owner: who, algorithm, public_key, label, expires_at } = msg;
        let owner = owner(&who)?;
        let fingerprint = self.add(ctx, NewKey { owner, algorithm, public_key, label, expires_at })?;
        ctx.emit(&EventRecipientKeyRegistered { owner: who, fingerprint: fingerprint.clone() });
        Ok(MsgRegisterRecipientKeyResponse { fingerprint })
    }

    /// The old key becomes DEPRECATED: it still decrypts and is no longer chosen.
    pub fn rotate(&self, ctx: &mut Ctx, msg: MsgRotateRecipientKey) -> Result<MsgRotateRecipientKeyResponse, Error> {
        let MsgRotateRecipientKey { owner: who, fingerprint: old, algorithm, public_key, label, expires_at } = msg;
        let owner = owner(&who)?;
        let mut key = self.require(ctx, &owner, &old)?;
        if key.state() != State::Active {
            return Err(Error::WrongState { fingerprint: old, state: key.state().as_str_name(), expected: "ACTIVE" });
        }
        key.set_state(State::Deprecated);
        self.keys.save(ctx, &(owner, Text(old.clone())), &key)?;
        let new = self.add(ctx, NewKey { owner, algorithm, public_key, label, expires_at })?;
        ctx.emit(&EventRecipientKeyRotated { owner: who, old_fingerprint: old, new_fingerprint: new.clone() });
        Ok(MsgRotateRecipientKeyResponse { fingerprint: new })
    }

    pub fn revoke(&self, ctx: &mut Ctx, msg: MsgRevokeRecipientKey) -> Result<MsgRevokeRecipientKeyResponse, Error> {
        let owner = owner(&msg.owner)?;
        let mut key = self.require(ctx, &owner, &msg.fingerprint)?;
        if !usable(&key) {
            return Err(Error::WrongState {
                fingerprint: msg.fingerprint,
                state: key.state().as_str_name(),
                expected: "ACTIVE or DEPRECATED",
            });
        }
        key.set_state(State::Revoked);
        self.keys.save(ctx, &(owner, Text(msg.fingerprint.clone())), &key)?;
        ctx.emit(&EventRecipientKeyRevoked { owner: msg.owner, fingerprint: msg.fingerprint });
        Ok(MsgRevokeRecipientKeyResponse {})
    }

    pub fn relabel(&self, ctx: &mut Ctx, msg: MsgRelabelRecipientKey) -> Result<MsgRelabelRecipientKeyResponse, Error> {
        let owner = owner(&msg.owner)?;
        check_label(&msg.label)?;
        let mut key = self.require(ctx, &owner, &msg.fingerprint)?;
        key.label = msg.label;
        self.keys.save(ctx, &(owner, Text(msg.fingerprint.clone())), &key)?;
        ctx.emit(&EventRecipientKeyRelabeled { owner: msg.owner, fingerprint: msg.fingerprint });
        Ok(MsgRelabelRecipientKeyResponse {})
    }

    fn require(&self, ctx: &Ctx, owner: &Address, fingerprint: &str) -> Result<RecipientKey, Error> {
        self.get(ctx, owner, fingerprint)?.ok_or_else(|| Error::NotFound { owner: *owner, fingerprint: fingerprint.into() })
    }

    fn add(&self, ctx: &mut Ctx, new: NewKey) -> Result<String, Error> {
        let NewKey { owner, algorithm, public_key, label, expires_at } = new;
        check_algorithm(&algorithm)?;
        check_key(&public_key)?;
        check_label(&label)?;
        if let Some(at) = &expires_at {
            let at = proto::millis(at).ok_or_else(|| Error::invalid("expires_at", "expected a time after 1970"))?;
            if at <= ctx.time() {
                let [now, at] = [ctx.time(), at].map(proto::shown_time);
                return Err(Error::invalid("expires_at", format!("expected a time after the block's, {now}, got {at}")));
            }
        }
        let fingerprint = fingerprint(&public_key);
        let id = (owner, Text(fingerprint.clone()));
        if self.keys.has(ctx, &id)? {
            return Err(Error::Exists { owner, fingerprint });
        }
        let limit = self.params(ctx)?.max_keys_per_account;
        let rows = self.keys_of(ctx, &owner)?;
        if rows.iter().filter(|key| usable(key)).count() >= limit as usize {
            return Err(Error::TooMany { owner, limit });
        }
        if rows.len() == MAX_ROWS_PER_ACCOUNT {
            let oldest = rows.iter().filter(|key| !usable(key)).min_by_key(|key| key.registered_at.as_ref().and_then(proto::millis));
            if let Some(oldest) = oldest {
                self.keys.remove(ctx, &(owner, Text(oldest.fingerprint.clone())))?;
            }
        }
        let key = RecipientKey {
            owner: owner.to_string(),
            fingerprint: fingerprint.clone(),
            algorithm: ALGORITHM.into(),
            public_key,
            label,
            state: State::Active as i32,
            registered_at: Some(proto::timestamp(ctx.time())),
            expires_at,
        };
        self.keys.save(ctx, &id, &key)?;
        Ok(fingerprint)
    }
}
