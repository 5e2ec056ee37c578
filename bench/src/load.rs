//! Accounts whose keys follow from their number, and what they send.

use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use client::address::{Address, Prefix};
use client::tx::{Signer, Unsigned, any};
use k256::ecdsa::{Signature, SigningKey, signature::hazmat::PrehashSigner};
use proto::Any;
use proto::cosmos::bank::v1beta1::MsgSend;
use proto::cosmos::base::v1beta1::Coin;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::Path;

/// What every account has at genesis, in uve.
pub const FUNDS: u64 = 1_000_000_000;
const GAS: u64 = 200_000;
const FEE: u64 = 5_000;

/// The key of account `i`: anybody knows it.
pub struct Key {
    secret: SigningKey,
    pub public: [u8; 33],
    pub address: Address,
}

impl Key {
    pub fn new(i: usize) -> Self {
        let seed = Sha256::digest(format!("load-{i}"));
        let secret = SigningKey::from_slice(&seed).expect("a SHA-256 is a scalar");
        let public: [u8; 33] = secret.verifying_key().to_encoded_point(true).as_bytes().try_into().expect("33 bytes");
        let address = client::keys::PublicKey::from_bytes(&public).expect("a point").address();
        Key { secret, public, address }
    }

    /// A signed send of 1 uve.
    pub fn send(&self, to: &Key, chain_id: &str, account_number: u64, sequence: u64) -> Vec<u8> {
        let coin = |amount: u64| Coin { denom: "uve".into(), amount: amount.to_string() };
        let text = |key: &Key| key.address.to_bech32(Prefix::Account);
        let msg = MsgSend { from_address: text(self), to_address: text(to), amount: vec![coin(1)] };
        self.finish(Unsigned { gas: GAS, fee: vec![coin(FEE)], ..Unsigned::new(vec![any(&msg)]) }, chain_id, account_number, sequence)
    }

    /// Signed messages that pay no fee.
    pub fn sign(&self, messages: Vec<Any>, gas: u64, chain_id: &str, account_number: u64, sequence: u64) -> Vec<u8> {
        self.finish(Unsigned { gas, ..Unsigned::new(messages) }, chain_id, account_number, sequence)
    }

    fn finish(&self, tx: Unsigned, chain_id: &str, account_number: u64, sequence: u64) -> Vec<u8> {
        let signer = Signer { chain_id: chain_id.into(), account_number, sequence, public_key: self.public };
        tx.sign_with(&signer, |bytes| self.sign_digest(&Sha256::digest(bytes).into()))
    }

    /// R ‖ S, with a low S.
    pub fn sign_digest(&self, digest: &[u8; 32]) -> Vec<u8> {
        let signature: Signature = self.secret.sign_prehash(digest).expect("a digest");
        signature.normalize_s().unwrap_or(signature).to_bytes().to_vec()
    }
}

pub fn keys(count: usize) -> Vec<Key> {
    (0..count).into_par_iter().map(Key::new).collect()
}

/// `[{"address": …, "coins": […]}]`
pub fn balances(keys: &[Key], funds: u64) -> serde_json::Value {
    let row =
        |key: &Key| serde_json::json!({ "address": key.address.to_string(), "coins": [{ "denom": "uve", "amount": funds.to_string() }] });
    keys.iter().map(row).collect()
}

/// `rounds` sends of every account, round by round.
pub fn sends(chain_id: &str, first: u64, keys: &[Key], rounds: std::ops::Range<usize>) -> Vec<Vec<u8>> {
    let pairs: Vec<(usize, usize)> = rounds.flat_map(|r| (0..keys.len()).map(move |i| (r, i))).collect();
    pairs.into_par_iter().map(|(r, i)| keys[i].send(&keys[(i + 7) % keys.len()], chain_id, first + i as u64, r as u64)).collect()
}

fn lines(out: &Path, txs: impl Iterator<Item = Vec<u8>>) -> anyhow::Result<()> {
    let file = std::fs::File::create(out).with_context(|| out.display().to_string())?;
    let mut file = std::io::BufWriter::new(file);
    for tx in txs {
        writeln!(file, "{}", BASE64_STANDARD.encode(tx))?;
    }
    Ok(file.flush()?)
}

pub fn write(chain_id: &str, first: u64, accounts: usize, rounds: usize, out: &Path) -> anyhow::Result<()> {
    lines(out, sends(chain_id, first, &keys(accounts), 0..rounds).into_iter())
}

pub fn write_kvs(count: usize, size: usize, out: &Path) -> anyhow::Result<()> {
    lines(out, (0..count).map(|i| format!("{:x<size$}", format!("k{i}=")).into_bytes()))
}
