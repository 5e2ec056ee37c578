//! `virtengine tx sign` and its kin: transactions as JSON files that are signed by one after the other, here or on a
//! machine without a network, and sent when all have signed.

use super::context::{Context, read, say, write};
use super::tx::{Mode, RESIGN, broadcast_mode, report, signer};
use anyhow::{Context as _, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::{Args, Subcommand, ValueEnum};
use client::address::Prefix;
use client::keyring::AccountKey;
use client::keys::{PublicKey, SecretKey};
use client::rpc::Rpc;
use client::sign::{SignMode, SignerData, account_key, combine, encode, holds, key_any, mode_of, put, sign_bytes, single_mode};
use client::tx::{account, broadcast, public_key, sequence_mismatch};
use prost::Message;
use proto::Any;
use proto::cosmos::tx::signing::v1beta1::signature_descriptor::{Data, data};
use proto::cosmos::tx::signing::v1beta1::{SignatureDescriptor, SignatureDescriptors};
use proto::cosmos::tx::v1beta1::{ModeInfo, SignerInfo, Tx, TxRaw, mode_info};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Signing {
    /// The transaction's bytes
    Direct,
    /// Its text, as hardware wallets show it: for several signers and members of multisig keys
    AminoJson,
}

impl Signing {
    pub fn mode(self) -> SignMode {
        match self {
            Signing::Direct => SignMode::Direct,
            Signing::AminoJson => SignMode::AminoJson,
        }
    }
}

/// What a signature covers beside the transaction.
#[derive(Args, Clone)]
pub struct Numbers {
    /// Instead of asking the node
    #[arg(long, short)]
    pub sequence: Option<u64>,
    /// Instead of asking the node
    #[arg(long, short)]
    pub account_number: Option<u64>,
    /// Ask no node: --chain-id, --account-number and --sequence say what it would
    #[arg(long)]
    pub offline: bool,
}

impl Numbers {
    pub async fn data(&self, context: &Context, rpc: &Rpc, address: &str) -> anyhow::Result<SignerData> {
        if self.offline {
            let chain_id = context.set_chain_id().context("--offline: give the chain with --chain-id")?.to_string();
            let (Some(account_number), Some(sequence)) = (self.account_number, self.sequence) else {
                bail!("--offline: give --account-number and --sequence, which query auth account {address} shows");
            };
            return Ok(SignerData { chain_id, account_number, sequence });
        }
        let chain_id = context.chain_id(rpc).await?;
        let (number, sequence) = match (self.account_number, self.sequence) {
            (Some(number), Some(sequence)) => (number, sequence),
            (number, sequence) => {
                let known = account(rpc, address).await?;
                (number.unwrap_or(known.0), sequence.unwrap_or(known.1))
            }
        };
        Ok(SignerData { chain_id, account_number: number, sequence })
    }
}

#[derive(Args)]
pub struct How {
    /// Who signs: a key's name or address [env: VIRTENGINE_FROM]
    #[arg(long)]
    from: Option<String>,
    #[command(flatten)]
    numbers: Numbers,
    /// Sign as a member of this multisig key: its name or address
    #[arg(long, value_name = "KEY")]
    multisig: Option<String>,
    /// [default: direct, and amino-json for members of multisig keys and several signers]
    #[arg(long)]
    sign_mode: Option<Signing>,
    /// Print the signature alone
    #[arg(long)]
    signature_only: bool,
    /// Where to write the result instead of standard output
    #[arg(long, value_name = "FILE")]
    output_document: Option<PathBuf>,
}

#[derive(Subcommand)]
pub enum Files {
    /// Sign a transaction that --generate-only made
    Sign {
        /// - stands for standard input, here and wherever a transaction's file is asked for
        file: PathBuf,
        #[command(flatten)]
        how: How,
    },
    /// Sign transactions, one a line, with rising sequences
    SignBatch {
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        how: How,
    },
    /// Join the signatures of a multisig key's members
    #[command(visible_alias = "multisign")]
    MultiSign {
        file: PathBuf,
        /// The multisig key's name
        name: String,
        /// What tx sign --multisig wrote
        #[arg(required = true)]
        signatures: Vec<PathBuf>,
        #[command(flatten)]
        numbers: Numbers,
        #[arg(long)]
        signature_only: bool,
        #[arg(long, value_name = "FILE")]
        output_document: Option<PathBuf>,
    },
    /// Who must sign a transaction, who has, and whether it holds
    ValidateSignatures {
        file: PathBuf,
        #[command(flatten)]
        numbers: Numbers,
    },
    /// Send a signed transaction
    Broadcast {
        file: PathBuf,
        /// [default: block] [env: VIRTENGINE_BROADCAST_MODE]
        #[arg(long, short)]
        broadcast_mode: Option<Mode>,
    },
    /// A transaction's bytes in base64
    Encode { file: PathBuf },
    /// A transaction's bytes as JSON
    Decode {
        /// Base64, or hex with --hex
        bytes: String,
        #[arg(long, short = 'x')]
        hex: bool,
    },
    /// The gas that a transaction would use
    Simulate {
        file: PathBuf,
        /// Instead of asking the node
        #[arg(long, short)]
        sequence: Option<u64>,
    },
}

fn parse(text: &str) -> anyhow::Result<Tx> {
    let value: Value = serde_json::from_str(text).context("expected a transaction as JSON")?;
    Ok(proto::json::from_json(&value)?)
}

fn read_tx(file: &Path) -> anyhow::Result<Tx> {
    parse(&read(file)?).with_context(|| file.display().to_string())
}

fn emit(text: &str, file: Option<&Path>) -> anyhow::Result<()> {
    match file {
        Some(file) => write(file, &format!("{text}\n")),
        None => {
            say(text);
            Ok(())
        }
    }
}

/// Prints a transaction as JSON, the form that all commands here read.
pub fn print_tx(tx: &Tx, file: Option<&Path>) -> anyhow::Result<()> {
    emit(&proto::json::to_json(tx)?.to_string(), file)
}

/// The JSON of an encoded transaction.
pub fn decoded(bytes: &[u8]) -> anyhow::Result<Value> {
    let raw = TxRaw::decode(bytes)?;
    let part = |name, bytes: &[u8]| proto::json::to_value(name, bytes);
    let signatures: Vec<String> = raw.signatures.iter().map(|s| BASE64_STANDARD.encode(s)).collect();
    let (body, auth) = ("cosmos.tx.v1beta1.TxBody", "cosmos.tx.v1beta1.AuthInfo");
    Ok(json!({ "body": part(body, &raw.body_bytes)?, "auth_info": part(auth, &raw.auth_info_bytes)?, "signatures": signatures }))
}

/// The addresses of those who must sign: the messages' signers in their order, then the fee's payer.
pub fn signers(tx: &Tx) -> anyhow::Result<Vec<String>> {
    let mut all: Vec<String> = Vec::new();
    for message in tx.body.iter().flat_map(|b| &b.messages) {
        all.push(app::Msg::decode(message).and_then(|m| m.signer())?.to_string());
    }
    all.extend(tx.auth_info.iter().filter_map(|a| a.fee.as_ref()).map(|f| f.payer.clone()).filter(|p| !p.is_empty()));
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|address| seen.insert(address.clone()));
    if all.is_empty() {
        bail!("the transaction holds no message");
    }
    Ok(all)
}

fn address(key: &Any) -> Option<String> {
    account_key(key).ok().map(|key| key.address().to_bech32(Prefix::Account))
}

/// Puts a signer in its place among the transaction's signers.
fn place(tx: &mut Tx, info: SignerInfo, signature: Vec<u8>) -> anyhow::Result<usize> {
    let order = signers(tx)?;
    let own = info.public_key.as_ref().and_then(address).unwrap_or_default();
    let Some(rank) = order.iter().position(|s| *s == own) else {
        bail!("{own} is no signer of the transaction; its signers are {}", order.join(", "));
    };
    Ok(put(tx, info, signature, |key| address(key).is_some_and(|a| order[..rank].contains(&a))))
}

/// Signs with a key of one's own, in place of an earlier signature of it.
pub fn sign(tx: &mut Tx, key: &AccountKey, secret: &SecretKey, mode: SignMode, data: &SignerData) -> anyhow::Result<()> {
    let info = SignerInfo { public_key: Some(key_any(key)), mode_info: Some(single_mode(mode)), sequence: data.sequence };
    let index = place(tx, info, Vec::new())?;
    tx.signatures[index] = secret.sign(&sign_bytes(tx, mode, data)?).to_vec();
    Ok(())
}

/// The gas that `tx` would use now, signed by all its signers, and the sequence with which the first one signs: behind its
/// transactions that are in no block yet. `key` is the first one's, if it is known, and `sequence` is that sequence if it is
/// given.
pub async fn simulate(rpc: &Rpc, tx: &Tx, mut key: Option<Any>, sequence: Option<u64>) -> anyhow::Result<(u64, u64)> {
    let mut tx = tx.clone();
    let mut infos = Vec::new();
    for (index, signer) in signers(&tx)?.into_iter().enumerate() {
        let sequence = match sequence {
            Some(sequence) if index == 0 => sequence,
            _ => account(rpc, &signer).await?.1,
        };
        infos.push(SignerInfo { public_key: key.take(), mode_info: Some(single_mode(SignMode::Direct)), sequence });
    }
    tx.signatures = vec![Vec::new(); infos.len()];
    let mut attempts = 0;
    loop {
        tx.auth_info.get_or_insert_default().signer_infos = infos.clone();
        let error = match client::tx::simulate(rpc, encode(&tx)).await {
            Ok(used) => return Ok((used, infos[0].sequence)),
            Err(error) => error,
        };
        // The state that a query reads lags behind the one that transactions are checked on, by those that wait for a block.
        let behind = sequence_mismatch(&error.to_string()).filter(|(expected, got)| expected > got && attempts < RESIGN);
        let info = behind.and_then(|(_, got)| infos.iter_mut().skip(usize::from(sequence.is_some())).find(|i| i.sequence == got));
        let (Some((expected, _)), Some(info)) = (behind, info) else { return Err(error.into()) };
        info.sequence = expected;
        attempts += 1;
    }
}

impl How {
    /// Signs one transaction; returns what is to be printed.
    async fn sign(&self, context: &Context, rpc: &Rpc, tx: &mut Tx, offset: u64) -> anyhow::Result<String> {
        let from = signer(context, self.from.as_deref())?;
        let name = &from.record.as_ref().with_context(|| format!("{} is in no key of this keyring", from.address))?.name;
        let key = AccountKey::Single(PublicKey::from_bytes(&public_key(&from.keyring, name)?)?);
        let secret = from.keyring.signer(name)?;
        let account = match &self.multisig {
            Some(text) => super::tx::address_of(context, "--multisig", text)?,
            None => from.address.clone(),
        };
        let mut data = self.numbers.data(context, rpc, &account).await?;
        data.sequence = data.sequence.checked_add(offset).with_context(|| format!("--sequence {}: expected less", data.sequence))?;
        let several = self.multisig.is_some() || signers(tx)?.len() > 1;
        let mode = self.sign_mode.map_or(if several { SignMode::AminoJson } else { SignMode::Direct }, Signing::mode);
        if several && mode == SignMode::Direct {
            bail!("--sign-mode direct: a transaction that several sign is signed with --sign-mode amino-json");
        }
        if self.multisig.is_some() {
            let signature = secret.sign(&sign_bytes(tx, mode, &data)?).to_vec();
            return described(&key, single_mode(mode), signature, data.sequence);
        }
        sign(tx, &key, &secret, mode, &data)?;
        if !self.signature_only {
            return Ok(proto::json::to_json(tx)?.to_string());
        }
        let info = tx.auth_info.iter().flat_map(|a| &a.signer_infos).position(|i| i.public_key == Some(key_any(&key)));
        let signature = info.map(|index| tx.signatures[index].clone()).unwrap_or_default();
        described(&key, single_mode(mode), signature, data.sequence)
    }
}

/// A signature alone, as `cosmos.tx.signing.v1beta1.SignatureDescriptors`.
fn described(key: &AccountKey, mode: ModeInfo, signature: Vec<u8>, sequence: u64) -> anyhow::Result<String> {
    let sum = match mode.sum {
        Some(mode_info::Sum::Multi(multi)) => {
            let parts = proto::cosmos::crypto::multisig::v1beta1::MultiSignature::decode(&signature[..])?.signatures;
            let single = |(info, signature): (&ModeInfo, Vec<u8>)| -> anyhow::Result<Data> {
                Ok(Data { sum: Some(data::Sum::Single(data::Single { mode: mode_of(Some(info))? as i32, signature })) })
            };
            let signatures = multi.mode_infos.iter().zip(parts).map(single).collect::<Result<_, _>>()?;
            data::Sum::Multi(data::Multi { bitarray: multi.bitarray, signatures })
        }
        Some(mode_info::Sum::Single(single)) => data::Sum::Single(data::Single { mode: single.mode, signature }),
        None => bail!("a signature without mode"),
    };
    let descriptor = SignatureDescriptor { public_key: Some(key_any(key)), data: Some(Data { sum: Some(sum) }), sequence };
    Ok(proto::json::to_json(&SignatureDescriptors { signatures: vec![descriptor] })?.to_string())
}

/// The members' signatures of a file that tx sign --multisig wrote.
fn member_signatures(file: &Path) -> anyhow::Result<Vec<(PublicKey, SignMode, Vec<u8>)>> {
    let text = read(file)?;
    let mut all = Vec::new();
    for line in text.lines().filter(|l| !l.trim().is_empty()) {
        let descriptors: SignatureDescriptors = proto::json::from_json(&serde_json::from_str(line)?)?;
        for one in descriptors.signatures {
            let Some(AccountKey::Single(key)) = one.public_key.as_ref().map(account_key).transpose()? else {
                bail!("expected the signature of a single key");
            };
            let Some(data::Sum::Single(single)) = one.data.and_then(|d| d.sum) else { bail!("expected a single signature") };
            let info = ModeInfo { sum: Some(mode_info::Sum::Single(mode_info::Single { mode: single.mode })) };
            all.push((key, mode_of(Some(&info))?, single.signature));
        }
    }
    Ok(all)
}

impl Files {
    pub async fn run(self, context: &Context, rpc: &Rpc) -> anyhow::Result<()> {
        match self {
            Files::Sign { file, how } => {
                let mut tx = read_tx(&file)?;
                let text = how.sign(context, rpc, &mut tx, 0).await?;
                emit(&text, how.output_document.as_deref())
            }
            Files::SignBatch { files, how } => {
                let mut lines = Vec::new();
                for file in &files {
                    for line in read(file)?.lines().filter(|l| !l.trim().is_empty()) {
                        let mut tx = parse(line).with_context(|| format!("{}: transaction {}", file.display(), lines.len() + 1))?;
                        lines.push(how.sign(context, rpc, &mut tx, lines.len() as u64).await?);
                    }
                }
                emit(&lines.join("\n"), how.output_document.as_deref())
            }
            Files::MultiSign { file, name, signatures, numbers, signature_only, output_document } => {
                let mut tx = read_tx(&file)?;
                let record = context.keyring()?.get(&name)?;
                let key = &record.public_key;
                let data = numbers.data(context, rpc, &record.address().to_bech32(Prefix::Account)).await?;
                let mut members = Vec::new();
                for file in &signatures {
                    for (member, mode, signature) in member_signatures(file).with_context(|| file.display().to_string())? {
                        let signed = sign_bytes(&tx, mode, &data)?;
                        let holds = <&[u8; 64]>::try_from(signature.as_slice()).is_ok_and(|s| member.verify(&signed, s));
                        if !holds {
                            let SignerData { chain_id, account_number, sequence } = &data;
                            bail!(
                                "{}: the signature of {} does not hold for account number {account_number}, sequence {sequence} and chain {chain_id}",
                                file.display(),
                                member.address()
                            );
                        }
                        members.push((member, mode, signature));
                    }
                }
                let (mode, signature) = combine(key, members)?;
                if signature_only {
                    return emit(&described(key, mode, signature, data.sequence)?, output_document.as_deref());
                }
                let info = SignerInfo { public_key: Some(key_any(key)), mode_info: Some(mode), sequence: data.sequence };
                place(&mut tx, info, signature)?;
                print_tx(&tx, output_document.as_deref())
            }
            Files::ValidateSignatures { file, numbers } => validate(context, rpc, &read_tx(&file)?, &numbers).await,
            Files::Broadcast { file, broadcast_mode: flag } => {
                let mode = broadcast_mode(flag, context)?;
                let sent = broadcast(rpc, &encode(&read_tx(&file)?), mode != Mode::Async).await?;
                report(context, rpc, sent, mode).await
            }
            Files::Encode { file } => {
                say(BASE64_STANDARD.encode(encode(&read_tx(&file)?)));
                Ok(())
            }
            Files::Decode { bytes, hex } => {
                let bytes = if hex { hex::decode(&bytes).ok() } else { BASE64_STANDARD.decode(&bytes).ok() };
                let bytes = bytes.with_context(|| if hex { "expected hex" } else { "expected base64, or hex with --hex" })?;
                proto::strict::transaction(&bytes)?;
                say(decoded(&bytes)?);
                Ok(())
            }
            Files::Simulate { file, sequence } => {
                let tx = read_tx(&file)?;
                context.print(&json!({ "gas_used": simulate(rpc, &tx, None, sequence).await?.0.to_string() }));
                Ok(())
            }
        }
    }
}

/// Prints who must sign and who has; an error unless all have, rightly.
async fn validate(context: &Context, rpc: &Rpc, tx: &Tx, numbers: &Numbers) -> anyhow::Result<()> {
    let order = signers(tx)?;
    let infos: Vec<&SignerInfo> = tx.auth_info.iter().flat_map(|a| &a.signer_infos).collect();
    let (mut rows, mut good) = (Vec::new(), infos.len() == order.len());
    for (index, info) in infos.iter().enumerate() {
        let own = info.public_key.as_ref().and_then(address).unwrap_or_default();
        let in_order = order.get(index) == Some(&own);
        let mut row = json!({ "address": own, "in_order": in_order });
        // Without the chain's numbers a signature cannot be checked, only its place.
        let known = !numbers.offline || (numbers.account_number.is_some() && numbers.sequence.is_some());
        let mut valid = None;
        if known && in_order {
            let known = numbers.data(context, rpc, &own).await?;
            if known.sequence != info.sequence {
                row["expected_sequence"] = json!(known.sequence.to_string());
                good = false;
            }
            let data = SignerData { sequence: info.sequence, ..known };
            valid = Some(holds(tx, info, tx.signatures.get(index).map(Vec::as_slice).unwrap_or_default(), &data)?);
        }
        row["valid"] = json!(valid);
        good &= in_order && valid != Some(false);
        rows.push(row);
    }
    context.print(&json!({ "signers": order, "signatures": rows }));
    if good { Ok(()) } else { bail!("signatures validation failed: see signatures above") }
}
