//! What happens before a transaction's messages: limits, fee, keys, sequences and signatures, in the order of Cosmos
//! SDK v0.53, so that a transaction with two faults gets the answer that clients know.

use crate::Modules;
use crate::tx::{CheckedTx, GasPrices, SIGN_MODE_DIRECT};
use crate::verify::{Claim, Task, Verifier};
use auth::{Account, FEE_COLLECTOR};
use kernel::{Address, Ctx, Error, View, cost, module_address};
use prost::Message;
use proto::Any;
use ripemd::Ripemd160;
use sha2::{Digest, Sha256};
use std::collections::HashSet;

const SECP256K1: &str = "/cosmos.crypto.secp256k1.PubKey";

/// How far the checks go.
pub enum Mode<'a> {
    /// Into the mempool: the node's own minimum price counts.
    Check(&'a GasPrices),
    /// Again, after a block: signatures were verified before.
    Recheck(&'a GasPrices),
    /// In a block. Holds the claims that were verified in parallel before.
    Deliver(&'a HashSet<Claim>),
    Simulate,
}

/// Runs the checks and takes the fee. Call it inside `ctx.atomic`: on an error nothing may stay.
/// Returns the signature claims that hold, for the verifier to remember.
pub fn run(on: &Modules, ctx: &mut Ctx, tx: &CheckedTx, mode: &Mode, verifier: &Verifier) -> Result<Vec<Claim>, Error> {
    let params = on.auth.params(ctx)?;
    if tx.timeout_height > 0 && ctx.height() > tx.timeout_height {
        let log = format!("block height: {}, timeout height: {}: tx timeout height", ctx.height(), tx.timeout_height);
        return Err(Error::new("sdk", 30, log));
    }
    let memo = tx.memo.len() as u64;
    if memo > params.max_memo_characters {
        let log = format!("maximum number of characters is {} but received {memo} characters: memo too large", params.max_memo_characters);
        return Err(Error::new("sdk", 12, log));
    }
    ctx.gas().charge(params.tx_size_cost_per_byte.saturating_mul(tx.size as u64), "txSize")?;

    if let Mode::Check(prices) | Mode::Recheck(prices) = mode {
        prices.check(&tx.fee)?;
    }
    let mut payer = on
        .auth
        .account(ctx, &tx.fee_payer)?
        .ok_or_else(|| Error::new("sdk", 9, format!("fee payer address: {} does not exist: unknown address", tx.fee_payer)))?;
    let coins = bank::types::parse_coins(&tx.fee.amount)
        .map_err(|e| Error::new("sdk", 13, format!("invalid fee amount: {e}: insufficient fee")))?;
    if !coins.is_empty() {
        on.bank.send_with_message(ctx, &tx.fee_payer, &module_address(FEE_COLLECTOR), &coins).map_err(Error::from)?;
    }
    let fee = coins.iter().map(|(denom, amount)| format!("{amount}{denom}")).collect::<Vec<_>>().join(",");
    ctx.emit_plain("tx", vec![("fee", fee), ("fee_payer", tx.fee_payer.to_string())]);

    if tx.signers.len() as u64 > params.tx_sig_limit {
        let log = format!("signatures: {}, limit: {}: maximum number of signatures exceeded", tx.signers.len(), params.tx_sig_limit);
        return Err(Error::new("sdk", 15, log));
    }
    let mut claims = Vec::with_capacity(tx.signers.len());
    for (index, signer) in tx.signers.iter().enumerate() {
        let mut account = if signer.address == tx.fee_payer {
            std::mem::replace(&mut payer, Account::new(signer.address, 0))
        } else {
            on.auth
                .account(ctx, &signer.address)?
                .ok_or_else(|| Error::new("sdk", 9, format!("account {} does not exist: unknown address", signer.address)))?
        };
        if account.pub_key.is_none() {
            account.pub_key = public_key(tx, index, matches!(mode, Mode::Simulate))?;
        }
        ctx.gas().charge(params.sig_verify_cost_secp256k1.max(cost::SIGNATURE), "ante verify: secp256k1")?;
        if signer.sequence != account.sequence {
            let log =
                format!("account sequence mismatch, expected {}, got {}: incorrect account sequence", account.sequence, signer.sequence);
            return Err(Error::new("sdk", 32, log));
        }
        if !matches!(mode, Mode::Simulate | Mode::Recheck(_)) {
            // A genesis transaction is signed before its account has a number.
            let number = if ctx.height() == 0 { 0 } else { account.number };
            let task = task(tx, index, &account, number, ctx.chain_id())?;
            let holds = match mode {
                Mode::Deliver(verified) if verified.contains(&task.claim) => true,
                _ => verifier.knows(&task.claim) || verifier.verify(&task),
            };
            if !holds {
                let log = format!(
                    "signature verification failed; please verify account number ({}) and chain-id ({}): (unable to verify single signer signature): unauthorized",
                    account.number,
                    ctx.chain_id()
                );
                return Err(Error::new("sdk", 4, log));
            }
            claims.push(task.claim);
        }
        account.sequence =
            account.sequence.checked_add(1).ok_or_else(|| Error::new("sdk", 32, "sequence: no number left: incorrect account sequence"))?;
        on.auth.save(ctx, &account)?;
        ctx.emit_plain("tx", vec![("acc_seq", format!("{}/{}", signer.address, signer.sequence))]);
    }
    for signer in &tx.signers {
        ctx.emit_plain("tx", vec![("signature", base64(&signer.signature))]);
    }
    Ok(claims)
}

/// The key that the transaction brings for a signer whose key the chain does not know yet.
fn public_key(tx: &CheckedTx, index: usize, simulate: bool) -> Result<Option<Any>, Error> {
    let signer = &tx.signers[index];
    let Some(any) = &signer.public_key else {
        if simulate {
            return Ok(None);
        }
        return Err(Error::new(
            "sdk",
            8,
            format!("signer index {index}: expected a public key, got none: pubkey on account is not set: invalid pubkey"),
        ));
    };
    let key = secp_key(any)
        .ok_or_else(|| Error::new("sdk", 8, format!("signer index {index}: expected a {SECP256K1} of 33 bytes: invalid pubkey")))?;
    if address_of(&key) != signer.address {
        let log = format!("pubKey does not match signer address {} with signer index: {index}: invalid pubkey", signer.address);
        return Err(Error::new("sdk", 8, log));
    }
    Ok(Some(any.clone()))
}

/// The 33 bytes of a secp256k1 key.
pub fn secp_key(any: &Any) -> Option<[u8; 33]> {
    if any.type_url != SECP256K1 {
        return None;
    }
    proto::cosmos::crypto::secp256k1::PubKey::decode(&any.value[..]).ok()?.key.try_into().ok()
}

/// RIPEMD-160(SHA-256(key)).
fn address_of(key: &[u8; 33]) -> Address {
    Address::new(&Ripemd160::digest(Sha256::digest(key))).expect("20 bytes")
}

fn task(tx: &CheckedTx, index: usize, account: &Account, number: u64, chain_id: &str) -> Result<Task, Error> {
    let signer = &tx.signers[index];
    if signer.mode != SIGN_MODE_DIRECT {
        return Err(Error::new("sdk", 4, format!("sign mode {}: expected SIGN_MODE_DIRECT (1): unauthorized", signer.mode)));
    }
    let key =
        account.pub_key.as_ref().and_then(secp_key).ok_or_else(|| Error::new("sdk", 8, "pubkey on account is not set: invalid pubkey"))?;
    Ok(Task::new(key, &tx.sign_bytes(chain_id, number), &signer.signature))
}

/// What a transaction's signatures will have to prove, as far as `view` knows the accounts. For verification ahead of
/// the serial path: a guess that turns out wrong costs a verification and nothing else.
pub fn tasks(on: &Modules, view: &View, tx: &CheckedTx) -> Vec<Task> {
    (0..tx.signers.len())
        .filter_map(|index| {
            let mut account = on.auth.account(view, &tx.signers[index].address).ok()??;
            if account.pub_key.is_none() {
                account.pub_key = public_key(tx, index, false).ok()?;
            }
            task(tx, index, &account, account.number, view.chain_id()).ok()
        })
        .collect()
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
