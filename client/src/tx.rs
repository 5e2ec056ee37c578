//! Building, estimating, signing and sending transactions.

use crate::keyring::{AccountKey, Keyring, KeyringError};
use crate::keys::SecretKey;
pub use crate::rpc::IN_CACHE;
use crate::rpc::{Broadcast, Rpc, RpcError, mempool_code};
use prost::Message;
use proto::Any;
pub use proto::any;
use proto::cosmos::auth::v1beta1::{BaseAccount, ModuleAccount, QueryAccountRequest, QueryAccountResponse};
use proto::cosmos::base::v1beta1::Coin;
use proto::cosmos::tx::v1beta1::{
    AuthInfo, Fee, ModeInfo, SignDoc, SignerInfo, SimulateRequest, SimulateResponse, TxBody, TxRaw, mode_info,
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::time::{Duration, Instant};

/// SIGN_MODE_DIRECT
const DIRECT: i32 = 1;
/// The SDK's code of a transaction that is signed with another sequence than the account's next one.
pub const WRONG_SEQUENCE: u32 = 32;
/// How often a transaction that is not in a block yet is asked for.
const POLL: Duration = Duration::from_millis(200);

#[derive(Debug, thiserror::Error)]
pub enum TxError {
    #[error(transparent)]
    Rpc(#[from] RpcError),
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    #[error("{0}")]
    Account(String),
    /// Why something cannot be signed or is not signed rightly.
    #[error("{0}")]
    Sign(String),
    #[error("key {0:?} is a multisig or has no secp256k1 key: it cannot sign alone")]
    NotSingle(String),
    /// The node refused it before a block.
    #[error("transaction {hash} was refused: {log} (codespace {codespace}, code {code})")]
    Refused { hash: String, code: u32, codespace: String, log: String },
    #[error("transaction {hash} is in no block after {seconds} s; it may still come: query tx {hash}")]
    Timeout { hash: String, seconds: u64 },
}

/// Who signs and with which numbers.
#[derive(Debug, Clone)]
pub struct Signer {
    pub chain_id: String,
    pub account_number: u64,
    pub sequence: u64,
    /// Compressed secp256k1.
    pub public_key: [u8; 33],
}

/// A transaction that is not signed yet.
#[derive(Debug, Clone, Default)]
pub struct Unsigned {
    pub messages: Vec<Any>,
    pub memo: String,
    pub timeout_height: u64,
    pub gas: u64,
    pub fee: Vec<Coin>,
}

impl Unsigned {
    pub fn new(messages: Vec<Any>) -> Self {
        Unsigned { messages, ..Unsigned::default() }
    }

    pub fn body(&self) -> TxBody {
        TxBody { messages: self.messages.clone(), memo: self.memo.clone(), timeout_height: self.timeout_height, ..TxBody::default() }
    }

    pub fn auth_info(&self, signer: &Signer) -> AuthInfo {
        let key = proto::cosmos::crypto::secp256k1::PubKey { key: signer.public_key.to_vec() };
        let single = mode_info::Single { mode: DIRECT };
        let info = SignerInfo {
            public_key: Some(Any { type_url: "/cosmos.crypto.secp256k1.PubKey".into(), value: key.encode_to_vec() }),
            mode_info: Some(ModeInfo { sum: Some(mode_info::Sum::Single(single)) }),
            sequence: signer.sequence,
        };
        let fee = Fee { amount: self.fee.clone(), gas_limit: self.gas, ..Fee::default() };
        AuthInfo { signer_infos: vec![info], fee: Some(fee), ..AuthInfo::default() }
    }

    /// The bytes to broadcast, signed by `sign`.
    fn finish<E>(&self, signer: &Signer, sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>) -> Result<Vec<u8>, E> {
        let (body_bytes, auth_info_bytes) = (self.body().encode_to_vec(), self.auth_info(signer).encode_to_vec());
        let doc = SignDoc {
            body_bytes: body_bytes.clone(),
            auth_info_bytes: auth_info_bytes.clone(),
            chain_id: signer.chain_id.clone(),
            account_number: signer.account_number,
        };
        let signature = sign(&doc.encode_to_vec())?;
        Ok(TxRaw { body_bytes, auth_info_bytes, signatures: vec![signature] }.encode_to_vec())
    }

    pub fn sign(&self, signer: &Signer, key: &SecretKey) -> Vec<u8> {
        self.sign_with(signer, |bytes| key.sign(bytes).to_vec())
    }

    /// As [`Unsigned::sign`], by a key that is not of a keyring.
    pub fn sign_with(&self, signer: &Signer, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> Vec<u8> {
        let signed: Result<_, std::convert::Infallible> = self.finish(signer, |bytes| Ok(sign(bytes)));
        signed.unwrap_or_else(|e| match e {})
    }

    /// The gas that the transaction would use now.
    pub async fn simulate(&self, rpc: &Rpc, signer: &Signer) -> Result<u64, TxError> {
        simulate(rpc, self.sign_with(signer, |_| vec![0; 64])).await
    }
}

/// The sequences that a node expected and got, of `account sequence mismatch, expected 7, got 5: …`.
pub fn sequence_mismatch(log: &str) -> Option<(u64, u64)> {
    let (expected, rest) = log.split_once("account sequence mismatch, expected ")?.1.split_once(", got ")?;
    let got = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((expected.parse().ok()?, got.parse().ok()?))
}

/// The single public key of a key in the keyring.
pub fn public_key(keyring: &Keyring, name: &str) -> Result<[u8; 33], TxError> {
    match keyring.get(name)?.public_key {
        AccountKey::Single(key) => Ok(key.to_bytes()),
        _ => Err(TxError::NotSingle(name.into())),
    }
}

/// Account number and sequence of an address.
pub async fn account(rpc: &Rpc, address: &str) -> Result<(u64, u64), TxError> {
    let request = QueryAccountRequest { address: address.into() };
    let response: QueryAccountResponse = match rpc.query("/cosmos.auth.v1beta1.Query/Account", &request).await {
        Err(RpcError::Query { code: 22, .. }) => {
            return Err(TxError::Account(format!("account {address} does not exist on the chain yet: send it something first")));
        }
        answer => answer?,
    };
    let any = response.account.unwrap_or_default();
    let account = match any.type_url.as_str() {
        "/cosmos.auth.v1beta1.ModuleAccount" => ModuleAccount::decode(&any.value[..]).ok().and_then(|m| m.base_account),
        _ => BaseAccount::decode(&any.value[..]).ok(),
    };
    let account = account.ok_or_else(|| TxError::Account(format!("account {address}: unknown kind {}", any.type_url)))?;
    Ok((account.account_number, account.sequence))
}

/// The gas that a transaction would use now; signatures may be empty.
pub async fn simulate(rpc: &Rpc, tx_bytes: Vec<u8>) -> Result<u64, TxError> {
    let request = SimulateRequest { tx_bytes, ..SimulateRequest::default() };
    let response: SimulateResponse = rpc.query("/cosmos.tx.v1beta1.Service/Simulate", &request).await?;
    Ok(response.gas_info.map_or(0, |g| g.gas_used))
}

/// Sends and returns what the mempool said; an error if it refused.
pub async fn broadcast(rpc: &Rpc, tx: &[u8], wait_for_check: bool) -> Result<Broadcast, TxError> {
    let sent = match rpc.broadcast(tx, wait_for_check).await {
        Err(e @ RpcError::Node { .. }) if mempool_code(&e.to_string()) == Some(IN_CACHE) => {
            let hash = hex::encode_upper(Sha256::digest(tx));
            return Err(TxError::Refused { hash, code: IN_CACHE, codespace: "sdk".into(), log: "tx already in mempool".into() });
        }
        answer => answer?,
    };
    match sent.code {
        0 => Ok(sent),
        code => Err(TxError::Refused { hash: sent.hash, code, codespace: sent.codespace, log: sent.log }),
    }
}

/// Waits until a transaction is in a block; the value is CometBFT's answer to `tx`.
pub async fn wait(rpc: &Rpc, hash: &str, timeout: Duration) -> Result<Value, TxError> {
    let start = Instant::now();
    loop {
        if let Some(found) = rpc.tx(hash).await? {
            return Ok(found);
        }
        if start.elapsed() > timeout {
            return Err(TxError::Timeout { hash: hash.into(), seconds: timeout.as_secs() });
        }
        tokio::time::sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_that_a_node_expects_is_read_from_its_refusal() {
        let log = "account sequence mismatch, expected 21, got 20: incorrect account sequence";
        assert_eq!(sequence_mismatch(log), Some((21, 20)));
        assert_eq!(sequence_mismatch(&format!("With gas wanted: '0': {log} [x.go:1]")), Some((21, 20)));
        for other in ["expected 21, got 20", "account sequence mismatch, expected x, got 20", ""] {
            assert_eq!(sequence_mismatch(other), None, "{other}");
        }
    }
}
