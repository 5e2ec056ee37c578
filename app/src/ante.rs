//! What happens before a transaction's messages: limits, fee, keys, sequences and signatures, in the order of Cosmos
//! SDK v0.53, so that a transaction with two faults gets the answer that clients know.

use crate::Modules;
use crate::signing::{self, Key, Signed};
use crate::tx::{CheckedTx, GasPrices, Signer};
use crate::verify::{Claim, Verifier};
use auth::{Account, FEE_COLLECTOR};
use kernel::{Address, Ctx, Error, View, cost, module_address};
use std::sync::Arc;

/// How far the checks go.
pub enum Mode<'a> {
    /// Into the mempool: the node's own minimum price counts.
    Check(&'a GasPrices),
    /// Again, after a block: signatures were verified before.
    Recheck(&'a GasPrices),
    /// In a block.
    Deliver,
    Simulate,
}

/// Runs the checks and takes the fee. Call it inside `ctx.atomic`: on an error nothing may stay.
pub fn run(on: &Modules, ctx: &mut Ctx, tx: &CheckedTx, mode: &Mode, verifier: &Verifier) -> Result<(), Error> {
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
    ctx.gas().charge(params.tx_size_cost_per_byte.saturating_mul(tx.bytes.len() as u64), "txSize")?;

    if let Mode::Check(prices) | Mode::Recheck(prices) = mode {
        prices.check(&tx.fee)?;
    }
    // Amounts of nothing are no fee: the SDK's clients estimate gas with such a one.
    let coins = match tx.fee.amount.iter().all(|coin| coin.amount == "0") {
        true => Vec::new(),
        false => bank::types::parse_coins(&tx.fee.amount)
            .map_err(|e| Error::new("sdk", 13, format!("invalid fee amount: {e}: insufficient fee")))?,
    };
    let no_payer = |payer| Error::new("sdk", 9, format!("fee payer address: {payer} does not exist: unknown address"));
    let from = deduct_from(on, ctx, tx, &coins)?;
    let mut payer = None;
    if from == tx.fee_payer {
        payer = Some(on.auth.account(ctx, &from)?.ok_or_else(|| no_payer(from))?);
    } else if on.auth.kind(ctx, &from)?.is_none() {
        return Err(no_payer(from));
    }
    if !coins.is_empty() {
        on.bank.send_with_message(ctx, &from, &module_address(FEE_COLLECTOR), &coins).map_err(Error::from)?;
    }
    ctx.emit_plain("tx", || vec![("fee", bank::types::coins_text(&coins)), ("fee_payer", from.to_string())]);

    let simulate = matches!(mode, Mode::Simulate);
    let mut accounts = Vec::with_capacity(tx.signers.len());
    for (index, signer) in tx.signers.iter().enumerate() {
        let paid = if signer.address == tx.fee_payer { payer.take() } else { None };
        let mut account = match paid {
            Some(account) => account,
            None => on
                .auth
                .account(ctx, &signer.address)?
                .ok_or_else(|| Error::new("sdk", 9, format!("account {} does not exist: unknown address", signer.address)))?,
        };
        let key = signing_key(&mut account, signer, index, simulate)?;
        accounts.push((account, key));
    }
    let count: u64 = tx.signers.iter().zip(&accounts).map(|(s, (_, key))| if s.public_key.is_some() { key.count() } else { 0 }).sum();
    if count.max(tx.signers.len() as u64) > params.tx_sig_limit {
        let log = format!("signatures: {count}, limit: {}: maximum number of signatures exceeded", params.tx_sig_limit);
        return Err(Error::new("sdk", 15, log));
    }
    let cost = params.sig_verify_cost_secp256k1.max(cost::SIGNATURE);
    for (signer, (_, key)) in tx.signers.iter().zip(&accounts) {
        if simulate && signer.signed.is_incomplete() {
            // The bytes that the signature will take, as many as the SDK expects.
            let factor = if matches!(key, Key::Multi { .. }) { params.tx_sig_limit } else { 1 };
            let bytes = (key.amino().len() as u64 + STD_SIGNATURE_BYTES).saturating_mul(factor);
            ctx.gas().charge(params.tx_size_cost_per_byte.saturating_mul(bytes), "txSize")?;
        }
        for _ in 0..signatures_to_pay_for(key, &signer.signed) {
            ctx.gas().charge(cost, "ante verify: secp256k1")?;
        }
    }

    for (signer, (account, key)) in tx.signers.iter().zip(&accounts) {
        if signer.sequence != account.sequence {
            let log =
                format!("account sequence mismatch, expected {}, got {}: incorrect account sequence", account.sequence, signer.sequence);
            return Err(Error::new("sdk", 32, log));
        }
        if matches!(mode, Mode::Simulate | Mode::Recheck(_)) {
            continue;
        }
        // A genesis transaction is signed before its account has a number.
        let number = if ctx.height() == 0 { 0 } else { account.number };
        let unauthorized = |reason: String| {
            let chain_id = ctx.chain_id();
            let what = match signer.signed.is_amino() {
                true => format!("account number ({number}), sequence ({}) and chain-id ({chain_id})", account.sequence),
                false => format!("account number ({number}) and chain-id ({chain_id}): ({reason})"),
            };
            Error::new("sdk", 4, format!("signature verification failed; please verify {what}: unauthorized"))
        };
        for (claim, failure) in claims_of(tx, signer, key, ctx.chain_id(), number).map_err(unauthorized)?.iter() {
            if !claim.holds(verifier) {
                return Err(unauthorized(failure.clone()));
            }
        }
    }
    for (signer, (mut account, _)) in tx.signers.iter().zip(accounts) {
        account.sequence =
            account.sequence.checked_add(1).ok_or_else(|| Error::new("sdk", 32, "sequence: no number left: incorrect account sequence"))?;
        on.auth.save(ctx, &account)?;
        ctx.emit_plain("tx", || vec![("acc_seq", format!("{}/{}", signer.address, signer.sequence))]);
        for signature in signer.signed.flatten() {
            ctx.emit_plain("tx", || vec![("signature", base64(signature))]);
        }
    }
    Ok(())
}

/// Bytes of a signature beside its key in the SDK's estimate: the signature itself, tags and lengths.
const STD_SIGNATURE_BYTES: u64 = 74;

/// Whose money pays the fee: the payer's, or the granter's where an allowance covers it.
fn deduct_from(on: &Modules, ctx: &mut Ctx, tx: &CheckedTx, fee: &[(String, u128)]) -> Result<Address, Error> {
    let Some(granter) = tx.fee_granter else { return Ok(tx.fee_payer) };
    if granter != tx.fee_payer {
        let messages: Vec<&str> = tx.msgs.iter().map(|(type_url, _)| type_url.as_str()).collect();
        on.feegrant.use_allowance(ctx, &granter, &tx.fee_payer, fee, &messages).map_err(|e| {
            let e = Error::from(e);
            // Running out of gas keeps its own words, which clients know.
            match e.code {
                11 if e.codespace == "sdk" => e,
                _ => Error { log: format!("{granter} does not allow to pay fees for {}: {}", tx.fee_payer, e.log), ..e },
            }
        })?;
    }
    Ok(granter)
}

/// The key that an account signs with: the one that it has, or else the one that the transaction brings, which it then has.
fn signing_key(account: &mut Account, signer: &Signer, index: usize, simulate: bool) -> Result<Key, Error> {
    let invalid = |log: String| Error::new("sdk", 8, format!("{log}: invalid pubkey"));
    // The usual case needs no hashing: the key is the account's.
    if let Some(any) = signer.public_key.as_ref().filter(|any| account.pub_key.as_ref() != Some(*any)) {
        let key = Key::decode(any).map_err(|e| invalid(format!("signer index {index}: {e}")));
        let fits = match (key, simulate) {
            (Ok(key), _) if key.address() == account.address => Some(key),
            (_, true) => None,
            (Ok(_), false) => {
                return Err(invalid(format!("pubKey does not match signer address {} with signer index: {index}", account.address)));
            }
            (Err(e), false) => return Err(e),
        };
        if let Some(key) = fits {
            account.pub_key.get_or_insert_with(|| any.clone());
            return Ok(key);
        }
    }
    match &account.pub_key {
        Some(any) => Key::decode(any).map_err(|e| invalid(format!("account {}: {e}", account.address))),
        // As wallets that ask for an estimate before they know the key.
        None if simulate => Ok(Key::Single([2; 33])),
        None => Err(invalid(format!("signer index {index}: expected a public key, got none: pubkey on account is not set"))),
    }
}

/// How many signatures of a key will be verified; where a wallet left them out, as many as there must be.
fn signatures_to_pay_for(key: &Key, signed: &Signed) -> u64 {
    match (key, signed) {
        (Key::Single(_), _) => 1,
        (Key::Multi { keys, .. }, Signed::Multi { bits, parts, .. }) => {
            let set = keys.iter().zip(bits).filter(|(_, bit)| **bit);
            set.zip(parts).map(|((key, _), part)| signatures_to_pay_for(key, part)).sum()
        }
        (Key::Multi { threshold, .. }, Signed::Single { .. }) => u64::from(*threshold),
    }
}

/// What has to hold for a signer, with what to say where it does not.
pub type Claims = Arc<[(Claim, String)]>;

/// The claims of a signer when somebody first asked, and what else they are of.
#[derive(Debug, Clone)]
pub struct Asked {
    key: Key,
    chain_id: String,
    number: u64,
    claims: Claims,
}

impl Asked {
    pub fn is_settled(&self) -> bool {
        self.claims.iter().all(|(claim, _)| claim.is_settled())
    }
}

/// A transaction is asked ahead of CheckTx, in it and in its block: the same, unless its account has changed.
fn claims_of(tx: &CheckedTx, signer: &Signer, key: &Key, chain_id: &str, number: u64) -> Result<Claims, String> {
    if let Some(asked) = signer.asked.get().filter(|a| a.key == *key && a.chain_id == chain_id && a.number == number) {
        return Ok(asked.claims.clone());
    }
    let mut bytes: Vec<(i32, Vec<u8>)> = Vec::with_capacity(1);
    let mut claims = Vec::with_capacity(1);
    for part in signing::parts(key, &signer.signed)? {
        if bytes.iter().all(|(mode, _)| *mode != part.mode) {
            bytes.push((part.mode, tx.sign_bytes(part.mode, chain_id, number, signer.sequence)?));
        }
        let (_, signed) = bytes.iter().find(|(mode, _)| *mode == part.mode).expect("pushed above");
        claims.push((Claim::new(part.key, signed, part.signature), part.failure));
    }
    let claims = Claims::from(claims);
    // Whoever is first stays.
    drop(signer.asked.set(Asked { key: key.clone(), chain_id: chain_id.into(), number, claims: claims.clone() }));
    Ok(claims)
}

/// Finds out whether a transaction's signatures hold, as far as `view` knows the accounts, ahead of the serial path: a
/// guess that turns out wrong costs a verification and nothing else.
pub fn settle(on: &Modules, view: &View, tx: &CheckedTx, verifier: &Verifier) {
    let of_signer = |(index, signer): (usize, &Signer)| {
        let mut account = on.auth.account(view, &signer.address).ok()??;
        let key = signing_key(&mut account, signer, index, false).ok()?;
        claims_of(tx, signer, &key, view.chain_id(), account.number).ok()
    };
    for claims in tx.signers.iter().enumerate().filter_map(of_signer) {
        // The first that does not hold decides.
        let _holds = claims.iter().all(|(claim, _)| claim.holds(verifier));
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
