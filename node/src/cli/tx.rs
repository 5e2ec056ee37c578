//! `virtengine tx`: messages from flags, then one way to estimate, sign, send and wait.

use super::context::{Context, Output, tell};
use super::envelope::{promised_hash, provider_key, seal};
use super::grants::{Authz, Feegrant};
use super::sign::{self, Files, Numbers, Signing};
use super::{sdl, usage};
use anyhow::{Context as _, anyhow, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::{Args, Subcommand, ValueEnum};
use client::address::{Address, Prefix};
use client::envelope;
use client::keyring::{AccountKey, Keyring, KeyringError, Record, parse_recipient_key};
use client::keys::PublicKey;
use client::rpc::{Broadcast, Rpc};
use client::sdl::canonical_json;
use client::sign::{encode, key_any};
use client::tx::{IN_CACHE, TxError, WRONG_SEQUENCE, any, broadcast, public_key, sequence_mismatch, wait};
use proto::Any;
use proto::cosmos::bank::v1beta1::MsgSend;
use proto::cosmos::base::v1beta1::Coin;
use proto::cosmos::tx::v1beta1::{AuthInfo, Fee, Tx as SdkTx, TxBody};
use proto::virtengine::base::v1::{Attribute, BidId, DeploymentId};
use proto::virtengine::{deployment::v1 as d, encryption::v1 as k, escrow::v1 as e, market::v1 as m, provider::v1 as p};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

const DEFAULT_GAS_ADJUSTMENT: f64 = 1.5;
const DEFAULT_GAS_PRICES: &str = "0.025uve";
/// How long the default mode waits for a block.
const WAIT: Duration = Duration::from_secs(60);
/// How often a transaction is signed again because others of its account came first.
pub const RESIGN: u32 = 8;

#[derive(Subcommand)]
pub enum Tx {
    /// Money
    #[command(subcommand)]
    Bank(Bank),
    /// The registry of providers
    #[command(subcommand)]
    Provider(Provider),
    /// Recipient keys
    #[command(subcommand)]
    Encryption(Encryption),
    /// What a tenant wants to run
    #[command(subcommand)]
    Deployment(Deployment),
    /// Bids and leases
    #[command(subcommand)]
    Market(Market),
    /// The money behind deployments, and usage
    #[command(subcommand)]
    Escrow(Escrow),
    /// Allowances that let others spend on fees
    #[command(subcommand)]
    Feegrant(Feegrant),
    /// Grants that let others act
    #[command(subcommand)]
    Authz(Authz),
    #[command(flatten)]
    Files(Files),
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Wait until it is in a block
    Block,
    /// Wait until the mempool has checked it
    Sync,
    /// Do not wait
    Async,
}

/// Flags of every transaction.
#[derive(Args)]
#[command(next_help_heading = "Transaction options")]
pub struct TxFlags {
    /// Who signs: a key's name or address [env: VIRTENGINE_FROM]
    #[arg(long)]
    pub from: Option<String>,
    /// The gas limit, or auto [default: auto] [env: VIRTENGINE_GAS]
    #[arg(long)]
    gas: Option<String>,
    /// What the estimate is multiplied with under --gas auto [default: 1.5] [env: VIRTENGINE_GAS_ADJUSTMENT]
    #[arg(long)]
    gas_adjustment: Option<f64>,
    /// The price of a unit of gas [default: 0.025uve] [env: VIRTENGINE_GAS_PRICES]
    #[arg(long, conflicts_with = "fees")]
    gas_prices: Option<String>,
    /// The fee as a whole, like 5000uve, instead of a price [env: VIRTENGINE_FEES]
    #[arg(long)]
    fees: Option<String>,
    /// Do not ask before sending
    #[arg(long, short)]
    yes: bool,
    /// A note that everybody can read
    #[arg(long, default_value = "")]
    note: String,
    /// [default: block] [env: VIRTENGINE_BROADCAST_MODE]
    #[arg(long, short)]
    broadcast_mode: Option<Mode>,
    #[command(flatten)]
    numbers: Numbers,
    /// What is signed: direct, or amino-json as hardware wallets do [default: direct]
    #[arg(long)]
    sign_mode: Option<Signing>,
    /// Who pays the fee: a key's name or address, who signs too
    #[arg(long)]
    fee_payer: Option<String>,
    /// Whose allowance pays the fee: a key's name or address
    #[arg(long)]
    fee_granter: Option<String>,
    /// Print the unsigned transaction and send nothing
    #[arg(long)]
    generate_only: bool,
    /// Where to write the transaction instead of standard output
    #[arg(long, value_name = "FILE")]
    output_document: Option<PathBuf>,
    /// The last block that may hold it
    #[arg(long, default_value_t = 0)]
    timeout_height: u64,
    /// Print the estimate and send nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Subcommand)]
pub enum Bank {
    /// Send coins
    Send {
        /// A key's name or address; what --from says does not count
        #[arg(id = "sender", value_name = "FROM")]
        from: String,
        /// An address
        to: String,
        /// Like 10uve
        amount: String,
        #[command(flatten)]
        flags: TxFlags,
    },
}

/// What an owner says of its provider.
#[derive(Args)]
pub struct Details {
    /// What people call it
    #[arg(long)]
    name: Option<String>,
    /// How to reach the operator
    #[arg(long)]
    contact: Option<String>,
    /// An absolute URL
    #[arg(long)]
    website: Option<String>,
    /// The gateway's URL
    #[arg(long)]
    host_uri: Option<String>,
    /// key=value, several times
    #[arg(long = "attribute", value_name = "KEY=VALUE", value_parser = attribute)]
    attributes: Vec<Attribute>,
    /// The address of a key that may bid and report in the owner's name
    #[arg(long)]
    operator: Option<String>,
    /// The address where earnings are paid
    #[arg(long)]
    payout: Option<String>,
    /// SHA-256 of the gateway's certificate, in hex
    #[arg(long)]
    gateway_fingerprint: Option<String>,
}

#[derive(Subcommand)]
pub enum Provider {
    /// Register the signer as a provider
    #[command(mut_arg("name", |arg| arg.required(true)), mut_arg("contact", |arg| arg.required(true)))]
    Create {
        #[command(flatten)]
        details: Details,
        /// Held while the provider is registered, like 1000000000uve
        #[arg(long, default_value = "")]
        deposit: String,
        #[command(flatten)]
        flags: TxFlags,
    },
    /// Change what is given, and leave the rest as the chain has it; an empty text takes a detail away
    Update {
        #[command(flatten)]
        details: Details,
        /// Have no attributes any more
        #[arg(long, conflicts_with = "attributes")]
        no_attributes: bool,
        #[command(flatten)]
        flags: TxFlags,
    },
    /// Take part in the market or not: an INACTIVE provider keeps its leases and makes no bids
    SetStatus {
        /// ACTIVE or INACTIVE
        status: String,
        #[command(flatten)]
        flags: TxFlags,
    },
    /// Leave the registry and get the deposit back
    Delete {
        #[command(flatten)]
        flags: TxFlags,
    },
    /// Vouch for a provider's attributes
    SignAttributes {
        /// The provider's address
        provider: String,
        /// key=value, several times
        #[arg(long = "attribute", value_name = "KEY=VALUE", value_parser = attribute, required = true)]
        attributes: Vec<Attribute>,
        #[command(flatten)]
        flags: TxFlags,
    },
    /// Vouch no longer
    DeleteSignedAttributes {
        /// The provider's address
        provider: String,
        #[command(flatten)]
        flags: TxFlags,
    },
}

/// A recipient key.
#[derive(Args)]
pub struct NewKey {
    /// What the key is for
    #[arg(long, default_value = client::envelope::ALGORITHM)]
    algorithm: String,
    /// 32 bytes in base64 or hex, or what `keys show --pubkey` prints for a key of this keyring
    #[arg(long)]
    public_key: String,
    /// A name for people
    #[arg(long, default_value = "")]
    label: String,
    /// RFC 3339; the key does not expire without it
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
}

#[derive(Subcommand)]
#[allow(clippy::large_enum_variant, clippy::enum_variant_names)] // parsed once, and named as the commands are
pub enum Encryption {
    /// Register a key that secrets can be sealed to
    RegisterRecipientKey {
        #[command(flatten)]
        key: NewKey,
        #[command(flatten)]
        flags: TxFlags,
    },
    /// Put a new key in the place of an old one
    RotateRecipientKey {
        /// The old key's
        #[arg(long)]
        fingerprint: String,
        #[command(flatten)]
        key: NewKey,
        #[command(flatten)]
        flags: TxFlags,
    },
    /// Withdraw a key for good: nothing is sealed to it any more
    RevokeRecipientKey {
        /// The key's
        #[arg(long)]
        fingerprint: String,
        #[command(flatten)]
        flags: TxFlags,
    },
    /// Give a key another label
    RelabelRecipientKey {
        /// The key's
        #[arg(long)]
        fingerprint: String,
        /// The new label
        #[arg(long)]
        label: String,
        #[command(flatten)]
        flags: TxFlags,
    },
}

/// A group of the signer's.
#[derive(Args)]
pub struct GroupRef {
    /// The deployment's number
    #[arg(long)]
    dseq: u64,
    /// The group's number
    #[arg(long, default_value_t = 1)]
    gseq: u32,
    #[command(flatten)]
    flags: TxFlags,
}

#[derive(Subcommand)]
pub enum Deployment {
    /// Open a deployment from a deployment file
    Create {
        /// The deployment file
        file: PathBuf,
        /// What its leases are paid from, like 10000000uve
        #[arg(long, default_value = "")]
        deposit: String,
        /// A number of one's own instead of the next one
        #[arg(long, default_value_t = 0)]
        dseq: u64,
        #[command(flatten)]
        flags: TxFlags,
    },
    /// Put a new manifest in the place of the old one; the groups stay as they are
    Update {
        /// The changed deployment file
        file: PathBuf,
        /// The deployment's number
        #[arg(long)]
        dseq: u64,
        #[command(flatten)]
        flags: TxFlags,
    },
    /// Close all and get back what is left
    Close {
        /// The deployment's number
        #[arg(long)]
        dseq: u64,
        #[command(flatten)]
        flags: TxFlags,
    },
    /// The groups of a deployment, one by one
    #[command(subcommand)]
    Group(Group),
}

#[derive(Subcommand)]
pub enum Group {
    /// End a group for good, with its lease
    Close(GroupRef),
    /// Take a group off the market, ending its lease
    Pause(GroupRef),
    /// Offer a paused group again
    Start(GroupRef),
}

/// An order's or lease's id.
#[derive(Args)]
pub struct Id {
    /// The tenant's address
    #[arg(long)]
    owner: Option<String>,
    /// The deployment's number
    #[arg(long)]
    dseq: u64,
    /// The group's number
    #[arg(long, default_value_t = 1)]
    gseq: u32,
    /// The order's number
    #[arg(long, default_value_t = 1)]
    oseq: u32,
    /// The provider's address
    #[arg(long)]
    provider: Option<String>,
}

#[derive(Subcommand)]
pub enum Market {
    /// Offers of providers
    #[command(subcommand)]
    Bid(Bid),
    /// Accepted offers
    #[command(subcommand)]
    Lease(Lease),
    /// What leases are to run
    #[command(subcommand)]
    Manifest(Manifest),
}

#[derive(Subcommand)]
pub enum Manifest {
    /// Seal a deployment file's manifest to the provider of a lease, and put it on the lease
    Send {
        /// The file that the deployment was made from
        file: PathBuf,
        #[command(flatten)]
        id: Id,
        #[command(flatten)]
        flags: TxFlags,
    },
}

#[derive(Subcommand)]
pub enum Bid {
    /// Offer to serve an order
    Create {
        #[command(flatten)]
        id: Id,
        /// Per hour, for the whole group
        #[arg(long)]
        price: String,
        /// Held until the bid is closed, like 500000uve
        #[arg(long)]
        deposit: String,
        #[command(flatten)]
        flags: TxFlags,
    },
    /// Take an offer back, or end the lease that it became
    Close {
        #[command(flatten)]
        id: Id,
        /// unstable, decommission, unspecified or manifest_timeout
        #[arg(long, default_value = "none", hide_default_value = true)]
        reason: String,
        #[command(flatten)]
        flags: TxFlags,
    },
}

#[derive(Subcommand)]
pub enum Lease {
    /// Accept a bid
    Create {
        #[command(flatten)]
        id: Id,
        #[command(flatten)]
        flags: TxFlags,
    },
    /// End a lease, as its tenant
    Close {
        #[command(flatten)]
        id: Id,
        /// Offer the group again at once
        #[arg(long)]
        reoffer: bool,
        #[command(flatten)]
        flags: TxFlags,
    },
    /// Announce, as its provider, that a lease will be closed
    Reclaim {
        #[command(flatten)]
        id: Id,
        #[command(flatten)]
        flags: TxFlags,
    },
}

#[derive(Subcommand)]
pub enum Escrow {
    /// Pay into a deployment's account
    Deposit {
        /// The tenant's address [default: the signer]
        #[arg(long)]
        owner: Option<String>,
        /// The deployment's number
        #[arg(long)]
        dseq: u64,
        /// Like 1000000uve
        #[arg(long)]
        amount: String,
        #[command(flatten)]
        flags: TxFlags,
    },
    /// Take back what exceeds the runway
    WithdrawSpare {
        /// The deployment's number
        #[arg(long)]
        dseq: u64,
        #[command(flatten)]
        flags: TxFlags,
    },
    /// Report what a lease has used, from a JSON file with one record or a list
    SubmitUsage {
        /// The JSON file
        file: PathBuf,
        #[command(flatten)]
        flags: TxFlags,
    },
}

fn attribute(text: &str) -> Result<Attribute, String> {
    let (key, value) = text.split_once('=').ok_or("expected key=value")?;
    Ok(Attribute { key: key.into(), value: value.into() })
}

/// Coins like `10uve,3atom`, in the order that the chain asks for.
pub fn coins(field: &str, text: &str) -> anyhow::Result<Vec<Coin>> {
    sorted(field, text.split(',').map(|part| coin(field, part.trim())).collect::<anyhow::Result<_>>()?)
}

/// The chain takes coins in the order of their denominations, each of which it takes once.
fn sorted(field: &str, mut coins: Vec<Coin>) -> anyhow::Result<Vec<Coin>> {
    coins.sort_by(|a, b| a.denom.cmp(&b.denom));
    match coins.windows(2).find(|pair| pair[0].denom == pair[1].denom) {
        Some(pair) => bail!("{field}: {} is there twice: expected each denomination once", pair[0].denom),
        None => Ok(coins),
    }
}

/// One coin like `50uve`.
pub fn coin(field: &str, text: &str) -> anyhow::Result<Coin> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (amount, denom) = text.split_at(digits);
    let fits = amount.parse::<u128>().is_ok();
    if !fits || !denom.starts_with(|c: char| c.is_ascii_alphabetic()) || denom.contains(|c: char| c.is_whitespace()) {
        bail!("{field} {text:?}: expected a whole number and a denomination, like 5000uve");
    }
    let amount: u128 = amount.parse().expect("checked above");
    Ok(Coin { denom: denom.into(), amount: amount.to_string() })
}

/// The signer of a command: the keyring, the key and its address.
pub struct From {
    pub keyring: Arc<Keyring>,
    /// None for an address that is in no key of the keyring: enough for a transaction that others sign.
    pub record: Option<Record>,
    pub address: String,
}

pub fn signer(context: &Context, name: Option<&str>) -> anyhow::Result<From> {
    let name = name.or(context.from.as_deref()).context("--from: say who signs, with a key's name or address")?;
    let keyring = context.keyring()?;
    let (record, address) = match (keyring.get(name), name.parse::<Address>()) {
        (Ok(record), _) => (Some(record.clone()), record.address()),
        (Err(KeyringError::NotFound { .. }), Ok(address)) => (None, address),
        (Err(e), _) => return Err(e.into()),
    };
    Ok(From { keyring, record, address: address.to_bech32(Prefix::Account) })
}

/// The address of a key's name, or an address as it is.
pub fn address_of(context: &Context, field: &str, text: &str) -> anyhow::Result<String> {
    match text.parse::<Address>() {
        Ok(_) => Ok(text.to_string()),
        Err(_) => {
            let record = context.keyring()?.get(text).with_context(|| format!("{field}: expected a key's name or an address"))?;
            Ok(record.address().to_bech32(Prefix::Account))
        }
    }
}

fn account_address(field: &str, text: &str) -> anyhow::Result<String> {
    text.parse::<Address>().map_err(|e| anyhow!("{field}: {e}"))?;
    Ok(text.to_string())
}

impl Details {
    /// What is not given is as in `known`.
    fn wire(self, known: p::Provider) -> p::Details {
        p::Details {
            name: self.name.unwrap_or(known.name),
            contact: self.contact.unwrap_or(known.contact),
            website: self.website.unwrap_or(known.website),
            host_uri: self.host_uri.unwrap_or(known.host_uri),
            attributes: if self.attributes.is_empty() { known.attributes } else { self.attributes },
            operator: self.operator.unwrap_or(known.operator),
            payout: self.payout.unwrap_or(known.payout),
            gateway_fingerprint: self.gateway_fingerprint.unwrap_or(known.gateway_fingerprint),
        }
    }
}

impl Id {
    /// Tenant or provider that are left out are the signer.
    fn wire(&self, tenant: Option<&str>, provider: Option<&str>) -> anyhow::Result<BidId> {
        let part = |field: &str, set: &Option<String>, default: Option<&str>| match (set, default) {
            (Some(text), _) => account_address(field, text),
            (None, Some(default)) => Ok(default.to_string()),
            (None, None) => bail!("--{field}: expected an address"),
        };
        Ok(BidId {
            owner: part("owner", &self.owner, tenant)?,
            dseq: self.dseq,
            gseq: self.gseq,
            oseq: self.oseq,
            provider: part("provider", &self.provider, provider)?,
        })
    }
}

impl Tx {
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        let rpc = context.rpc()?;
        let (flags, from, messages) = match self {
            Tx::Bank(Bank::Send { from, to, amount, flags }) => {
                let from = signer(context, Some(&from))?;
                let amount = coins("amount", &amount)?;
                let msg = MsgSend { from_address: from.address.clone(), to_address: account_address("to", &to)?, amount };
                (flags, from, vec![any(&msg)])
            }
            Tx::Provider(x) => x.build(context, &rpc).await?,
            Tx::Encryption(x) => x.build(context)?,
            Tx::Deployment(x) => x.build(context, &rpc).await?,
            Tx::Market(x) => x.build(context, &rpc).await?,
            Tx::Escrow(x) => x.build(context, &rpc).await?,
            Tx::Feegrant(x) => x.build(context)?,
            Tx::Authz(x) => x.build(context)?,
            Tx::Files(x) => return x.run(context, &rpc).await,
        };
        flags.send(context, &rpc, from, messages).await
    }
}

pub type Built = (TxFlags, From, Vec<Any>);

impl Provider {
    async fn build(self, context: &Context, rpc: &Rpc) -> anyhow::Result<Built> {
        Ok(match self {
            Provider::Create { details, deposit, flags } => {
                let deposit = coin("--deposit", &deposit)?;
                let from = signer(context, flags.from.as_deref())?;
                let details = details.wire(p::Provider::default());
                let msg = p::MsgCreateProvider { owner: from.address.clone(), details: Some(details), deposit: Some(deposit) };
                (flags, from, vec![any(&msg)])
            }
            Provider::Update { details, no_attributes, flags } => {
                let from = signer(context, flags.from.as_deref())?;
                if flags.offline() {
                    bail!(
                        "--offline: what is not given is asked of the chain; make the transaction with --generate-only and sign it offline"
                    );
                }
                let request = p::QueryProviderRequest { owner: from.address.clone() };
                let answer: p::QueryProviderResponse = rpc.query("/virtengine.provider.v1.Query/Provider", &request).await?;
                let mut details = details.wire(answer.provider.unwrap_or_default());
                if no_attributes {
                    details.attributes.clear();
                }
                let msg = p::MsgUpdateProvider { owner: from.address.clone(), details: Some(details) };
                (flags, from, vec![any(&msg)])
            }
            Provider::SetStatus { status, flags } => {
                let set = p::provider::Status::from_str_name(&status.to_uppercase())
                    .filter(|s| *s != p::provider::Status::Unspecified)
                    .with_context(|| format!("status {status:?}: expected ACTIVE or INACTIVE"))?;
                let from = signer(context, flags.from.as_deref())?;
                let msg = p::MsgSetProviderStatus { owner: from.address.clone(), status: set as i32 };
                (flags, from, vec![any(&msg)])
            }
            Provider::Delete { flags } => {
                let from = signer(context, flags.from.as_deref())?;
                let msg = p::MsgDeleteProvider { owner: from.address.clone() };
                (flags, from, vec![any(&msg)])
            }
            Provider::SignAttributes { provider, attributes, flags } => {
                let from = signer(context, flags.from.as_deref())?;
                let provider = account_address("provider", &provider)?;
                let msg = p::MsgSignProviderAttributes { auditor: from.address.clone(), provider, attributes };
                (flags, from, vec![any(&msg)])
            }
            Provider::DeleteSignedAttributes { provider, flags } => {
                let from = signer(context, flags.from.as_deref())?;
                let provider = account_address("provider", &provider)?;
                let msg = p::MsgDeleteSignedAttributes { auditor: from.address.clone(), provider };
                (flags, from, vec![any(&msg)])
            }
        })
    }
}

impl Encryption {
    fn build(self, context: &Context) -> anyhow::Result<Built> {
        let time = |text: Option<String>| -> anyhow::Result<_> { text.map(|t| usage::parse_time(&t).context("--expires-at")).transpose() };
        let public = |from: &From, key: &NewKey| -> anyhow::Result<Vec<u8>> {
            Ok(parse_recipient_key(&key.public_key, &from.keyring).context("--public-key")?.to_bytes().to_vec())
        };
        Ok(match self {
            Encryption::RegisterRecipientKey { key, flags } => {
                let from = signer(context, flags.from.as_deref())?;
                let public_key = public(&from, &key)?;
                let NewKey { algorithm, label, expires_at, .. } = key;
                let owner = from.address.clone();
                let msg = k::MsgRegisterRecipientKey { owner, algorithm, public_key, label, expires_at: time(expires_at)? };
                (flags, from, vec![any(&msg)])
            }
            Encryption::RotateRecipientKey { fingerprint, key, flags } => {
                let from = signer(context, flags.from.as_deref())?;
                let public_key = public(&from, &key)?;
                let NewKey { algorithm, label, expires_at, .. } = key;
                let owner = from.address.clone();
                let msg = k::MsgRotateRecipientKey { owner, fingerprint, algorithm, public_key, label, expires_at: time(expires_at)? };
                (flags, from, vec![any(&msg)])
            }
            Encryption::RevokeRecipientKey { fingerprint, flags } => {
                let from = signer(context, flags.from.as_deref())?;
                let msg = k::MsgRevokeRecipientKey { owner: from.address.clone(), fingerprint };
                (flags, from, vec![any(&msg)])
            }
            Encryption::RelabelRecipientKey { fingerprint, label, flags } => {
                let from = signer(context, flags.from.as_deref())?;
                let msg = k::MsgRelabelRecipientKey { owner: from.address.clone(), fingerprint, label };
                (flags, from, vec![any(&msg)])
            }
        })
    }
}

/// What the chain would say too late of a deployment file: its manifest is too long to be sent.
async fn check_size(rpc: &Rpc, sdl: &client::sdl::Sdl, file: &Path) -> anyhow::Result<()> {
    let answer: m::QueryParamsResponse = rpc.query("/virtengine.market.v1.Query/Params", &m::QueryParamsRequest {}).await?;
    let max = answer.params.unwrap_or_default().max_envelope_bytes;
    sdl::check_size(sdl, max as usize).with_context(|| file.display().to_string())
}

/// Refuses a file whose groups are not the deployment's: the chain keeps those, whatever the new manifest says.
async fn check_groups(rpc: &Rpc, groups: Vec<d::GroupSpec>, owner: &str, dseq: u64) -> anyhow::Result<()> {
    let request = d::QueryDeploymentRequest { owner: owner.into(), dseq };
    let answer: d::QueryDeploymentResponse = rpc.query("/virtengine.deployment.v1.Query/Deployment", &request).await?;
    let json = |groups: Vec<d::GroupSpec>| -> anyhow::Result<Value> {
        let groups = groups.iter().map(|g| proto::json::to_json(g).map_err(|e| anyhow!("{e}")));
        groups.collect::<anyhow::Result<_>>().map(Value::Array)
    };
    let on_chain = answer.groups.into_iter().map(|g| g.spec.unwrap_or_default()).collect();
    let mut found = Vec::new();
    usage::differences("groups", &json(on_chain)?, &json(groups)?, &mut found);
    if !found.is_empty() {
        bail!("the groups of a deployment cannot be changed, only what runs in them: {}", found.join("; "));
    }
    Ok(())
}

impl Deployment {
    async fn build(self, context: &Context, rpc: &Rpc) -> anyhow::Result<Built> {
        Ok(match self {
            Deployment::Create { file, deposit, dseq, flags } => {
                let deposit = coin("--deposit", &deposit)?;
                let sdl = sdl::parse(&file)?;
                let groups = usage::group_specs(&sdl, &file)?;
                if !flags.offline() && !flags.generate_only {
                    check_size(rpc, &sdl, &file).await?;
                }
                let from = signer(context, flags.from.as_deref())?;
                let (owner, hash) = (from.address.clone(), sdl.manifest_hash().to_vec());
                let msg = d::MsgCreateDeployment { owner, dseq, groups, hash, deposit: Some(deposit) };
                (flags, from, vec![any(&msg)])
            }
            Deployment::Update { file, dseq, flags } => {
                let sdl = sdl::parse(&file)?;
                let from = signer(context, flags.from.as_deref())?;
                if !flags.offline() {
                    check_size(rpc, &sdl, &file).await?;
                    let groups = usage::group_specs(&sdl, &file)?;
                    check_groups(rpc, groups, &from.address, dseq).await.with_context(|| file.display().to_string())?;
                }
                let hash = sdl.manifest_hash().to_vec();
                let msg = d::MsgUpdateDeployment { owner: from.address.clone(), dseq, hash };
                (flags, from, vec![any(&msg)])
            }
            Deployment::Close { dseq, flags } => {
                let from = signer(context, flags.from.as_deref())?;
                let msg = d::MsgCloseDeployment { owner: from.address.clone(), dseq };
                (flags, from, vec![any(&msg)])
            }
            Deployment::Group(Group::Close(GroupRef { dseq, gseq, flags })) => {
                let from = signer(context, flags.from.as_deref())?;
                let msg = d::MsgCloseGroup { owner: from.address.clone(), dseq, gseq };
                (flags, from, vec![any(&msg)])
            }
            Deployment::Group(Group::Pause(GroupRef { dseq, gseq, flags })) => {
                let from = signer(context, flags.from.as_deref())?;
                let msg = d::MsgPauseGroup { owner: from.address.clone(), dseq, gseq };
                (flags, from, vec![any(&msg)])
            }
            Deployment::Group(Group::Start(GroupRef { dseq, gseq, flags })) => {
                let from = signer(context, flags.from.as_deref())?;
                let msg = d::MsgStartGroup { owner: from.address.clone(), dseq, gseq };
                (flags, from, vec![any(&msg)])
            }
        })
    }
}

impl Market {
    async fn build(self, context: &Context, rpc: &Rpc) -> anyhow::Result<Built> {
        Ok(match self {
            Market::Bid(Bid::Create { id, price, deposit, flags }) => {
                let (price, deposit) = (coin("--price", &price)?, coin("--deposit", &deposit)?);
                let from = signer(context, flags.from.as_deref())?;
                let bid_id = id.wire(None, Some(&from.address))?;
                let msg =
                    m::MsgCreateBid { signer: from.address.clone(), bid_id: Some(bid_id), price: Some(price), deposit: Some(deposit) };
                (flags, from, vec![any(&msg)])
            }
            Market::Bid(Bid::Close { id, reason, flags }) => {
                let reason = m::Reason::from_str_name(&reason)
                    .with_context(|| format!("--reason {reason:?}: expected unstable, decommission, unspecified or manifest_timeout"))?;
                let from = signer(context, flags.from.as_deref())?;
                let bid_id = id.wire(None, Some(&from.address))?;
                let msg = m::MsgCloseBid { signer: from.address.clone(), bid_id: Some(bid_id), reason: reason as i32 };
                (flags, from, vec![any(&msg)])
            }
            Market::Lease(Lease::Create { id, flags }) => {
                let from = signer(context, flags.from.as_deref())?;
                let bid_id = id.wire(Some(&from.address), None)?;
                let msg = m::MsgCreateLease { owner: from.address.clone(), bid_id: Some(bid_id) };
                (flags, from, vec![any(&msg)])
            }
            Market::Lease(Lease::Close { id, reoffer, flags }) => {
                let from = signer(context, flags.from.as_deref())?;
                let lease_id = id.wire(Some(&from.address), None)?;
                let msg = m::MsgCloseLease { owner: from.address.clone(), lease_id: Some(lease_id), reoffer };
                (flags, from, vec![any(&msg)])
            }
            Market::Manifest(Manifest::Send { file, id, flags }) => {
                let (from, message) = manifest(context, rpc, &file, &id, &flags).await?;
                (flags, from, vec![message])
            }
            Market::Lease(Lease::Reclaim { id, flags }) => {
                let from = signer(context, flags.from.as_deref())?;
                let lease_id = id.wire(None, Some(&from.address))?;
                let msg = m::MsgStartReclaim { signer: from.address.clone(), lease_id: Some(lease_id) };
                (flags, from, vec![any(&msg)])
            }
        })
    }
}

/// The message that puts a manifest on a lease, sealed to the provider's key and the tenant's own.
async fn manifest(context: &Context, rpc: &Rpc, file: &Path, id: &Id, flags: &TxFlags) -> anyhow::Result<(From, Any)> {
    let sdl = sdl::parse(file)?;
    let from = signer(context, flags.from.as_deref())?;
    let lease_id = id.wire(Some(&from.address), None)?;
    let promised = promised_hash(rpc, &lease_id).await?;
    if promised != sdl.manifest_hash() {
        bail!(
            "{}: its manifest's hash is {}, the deployment's is {}: send the file that the deployment was made from, or announce \
             this one with tx deployment update",
            file.display(),
            hex::encode(sdl.manifest_hash()),
            hex::encode(promised)
        );
    }
    let bound = envelope::Context { chain_id: context.chain_id(rpc).await?, lease_id: (&lease_id).try_into()? };
    let own = from.record.as_ref().context("--from: expected a key of the keyring: the manifest is sealed to it too")?;
    let recipients = vec![provider_key(rpc, &lease_id.provider).await?, from.keyring.x25519_public(&own.name)?];
    let text = Zeroizing::new(canonical_json(&sdl.manifest()).into_bytes());
    let envelope = Some(seal(&text, &bound, recipients)?);
    let message = any(&m::MsgSendManifest { owner: from.address.clone(), lease_id: Some(lease_id), envelope });
    Ok((from, message))
}

impl Escrow {
    async fn build(self, context: &Context, rpc: &Rpc) -> anyhow::Result<Built> {
        Ok(match self {
            Escrow::Deposit { owner, dseq, amount, flags } => {
                let amount = coin("--amount", &amount)?;
                let from = signer(context, flags.from.as_deref())?;
                let owner = owner.map_or(Ok(from.address.clone()), |o| account_address("--owner", &o))?;
                let msg = e::MsgDeposit {
                    depositor: from.address.clone(),
                    deployment_id: Some(DeploymentId { owner, dseq }),
                    amount: Some(amount),
                };
                (flags, from, vec![any(&msg)])
            }
            Escrow::WithdrawSpare { dseq, flags } => {
                let from = signer(context, flags.from.as_deref())?;
                let msg = e::MsgWithdrawSpare { owner: from.address.clone(), dseq };
                (flags, from, vec![any(&msg)])
            }
            Escrow::SubmitUsage { file, flags } => {
                let records = usage::records(context, rpc, &file).await?;
                let from = signer(context, flags.from.as_deref())?;
                let message = |part: &[e::UsageRecord]| any(&e::MsgSubmitUsage { signer: from.address.clone(), records: part.to_vec() });
                let messages = records.chunks(usage::MAX_RECORDS).map(message).collect();
                (flags, from, messages)
            }
        })
    }
}

impl TxFlags {
    /// Estimates, signs, sends and waits, as far as the flags want it.
    pub async fn send(self, context: &Context, rpc: &Rpc, from: From, messages: Vec<Any>) -> anyhow::Result<()> {
        let mut tx = self.unsigned(context, messages)?;
        let simulated = self.set_gas_and_fee(context, rpc, &from, &mut tx).await?;
        let fee = tx.auth_info.as_ref().and_then(|a| a.fee.as_ref()).context("a transaction without fee")?;
        if self.dry_run {
            context.print(&json!({ "gas_estimate": fee.gas_limit.to_string(), "fee": amounts(&fee.amount) }));
            return Ok(());
        }
        if self.generate_only {
            return sign::print_tx(&tx, self.output_document.as_deref());
        }
        let name = from.record.as_ref().map(|r| r.name.clone()).with_context(|| {
            format!("{} is in no key of this keyring: add it, or make an unsigned transaction with --generate-only", from.address)
        })?;
        let key = AccountKey::Single(PublicKey::from_bytes(&public_key(&from.keyring, &name)?)?);
        let secret = from.keyring.signer(&name)?;
        let signers = sign::signers(&tx)?;
        if let Some(other) = signers.iter().find(|s| **s != from.address) {
            bail!("{other} must sign too: make the transaction with --generate-only and have each sign it with tx sign");
        }
        if !self.yes && !self.offline() {
            let mut body = proto::json::to_json(&tx)?["body"].take();
            let mut shown = json!({
                "messages": body["messages"].take(),
                "memo": body["memo"].take(),
                "fee": amounts(&fee.amount),
                "gas": fee.gas_limit.to_string(),
            });
            for (role, address) in [("fee_payer", &fee.payer), ("fee_granter", &fee.granter)] {
                if !address.is_empty() {
                    shown[role] = json!(address);
                }
            }
            tell(match context.output {
                Output::Json => shown.to_string(),
                Output::Text => proto::yaml::to_string(&shown),
            });
            if !context.prompt.confirm("confirm transaction before signing and broadcasting")? {
                bail!("cancelled transaction");
            }
        }
        let mode = self.sign_mode.unwrap_or(Signing::Direct).mode();
        let mut data = self.numbers.data(context, rpc, &from.address).await?;
        if self.numbers.sequence.is_none() {
            data.sequence = data.sequence.max(simulated.unwrap_or(0));
        }
        let mut attempts = 0;
        let sent = loop {
            sign::sign(&mut tx, &key, &secret, mode, &data)?;
            if self.offline() {
                return sign::print_tx(&tx, self.output_document.as_deref());
            }
            match broadcast(rpc, &encode(&tx), self.mode(context)? != Mode::Async).await {
                // The same transaction is in flight already: this is to be another one.
                Err(TxError::Refused { code: IN_CACHE, .. })
                    if self.numbers.sequence.is_none() && attempts < RESIGN && self.mode(context)? != Mode::Block =>
                {
                    attempts += 1;
                    data.sequence += 1;
                }
                // Other transactions of the account are in flight: the mempool knows the next number.
                Err(TxError::Refused { code: WRONG_SEQUENCE, log, .. }) if self.numbers.sequence.is_none() && attempts < RESIGN => {
                    attempts += 1;
                    match sequence_mismatch(&log) {
                        Some((next, _)) if next > data.sequence => data.sequence = next,
                        _ => bail!("{log}"),
                    }
                }
                answer => break answer?,
            }
        };
        report(context, rpc, sent, self.mode(context)?).await
    }

    pub fn offline(&self) -> bool {
        self.numbers.offline
    }

    fn unsigned(&self, context: &Context, messages: Vec<Any>) -> anyhow::Result<SdkTx> {
        let account = |field: &str, text: &Option<String>| text.as_deref().map_or(Ok(String::new()), |t| address_of(context, field, t));
        let fee = Fee {
            payer: account("--fee-payer", &self.fee_payer)?,
            granter: account("--fee-granter", &self.fee_granter)?,
            ..Fee::default()
        };
        let body = TxBody { messages, memo: self.note.clone(), timeout_height: self.timeout_height, ..TxBody::default() };
        Ok(SdkTx { body: Some(body), auth_info: Some(AuthInfo { fee: Some(fee), ..AuthInfo::default() }), signatures: Vec::new() })
    }

    /// Where the node was asked for the gas: the sequence with which the first signer signs.
    async fn set_gas_and_fee(&self, context: &Context, rpc: &Rpc, from: &From, tx: &mut SdkTx) -> anyhow::Result<Option<u64>> {
        if self.dry_run && self.offline() {
            bail!("--dry-run asks the node, which --offline forbids");
        }
        let mut simulated = None;
        let gas = self.gas.clone().or(context.gas.clone()).unwrap_or_else(|| "auto".into());
        let gas_limit = if self.dry_run || (gas == "auto" && !self.offline()) {
            let key = from.record.as_ref().map(|r| key_any(&r.public_key));
            // To move a fee takes gas as well, however small it is.
            self.set_fee(context, tx, 1)?;
            let (used, sequence) = sign::simulate(rpc, tx, key, self.numbers.sequence).await?;
            simulated = Some(sequence);
            let limit = (used as f64 * self.factor(context)?).ceil() as u64;
            if !self.dry_run {
                context.hint(format_args!("gas estimate: {limit}"));
            }
            limit
        } else if gas == "auto" {
            bail!("--gas auto asks the node, which --offline forbids: give --gas a number, like --gas 200000")
        } else {
            gas.parse().with_context(|| format!("--gas {gas:?}: expected a number or auto"))?
        };
        self.set_fee(context, tx, gas_limit)?;
        Ok(simulated)
    }

    fn set_fee(&self, context: &Context, tx: &mut SdkTx, gas_limit: u64) -> anyhow::Result<()> {
        // A price on the command line counts over a fee of the environment, and that over a price from there or client.toml.
        let fees = self.fees.as_ref().or(context.fees.as_ref().filter(|_| self.gas_prices.is_none()));
        let amount = match fees {
            Some(fees) => coins("--fees", fees)?,
            None => {
                let prices = self.gas_prices.as_ref().or(context.gas_prices.as_ref()).map_or(DEFAULT_GAS_PRICES, String::as_str);
                sorted("--gas-prices", app::GasPrices::parse(prices).map_err(|e| anyhow!("--gas-prices: {e}"))?.fee(gas_limit))?
            }
        };
        let fee = tx.auth_info.get_or_insert_default().fee.get_or_insert_default();
        (fee.gas_limit, fee.amount) = (gas_limit, amount);
        Ok(())
    }

    fn factor(&self, context: &Context) -> anyhow::Result<f64> {
        let set = context.gas_adjustment.as_deref().map(str::parse).transpose().context("gas-adjustment: expected a number")?;
        let factor = self.gas_adjustment.or(set).unwrap_or(DEFAULT_GAS_ADJUSTMENT);
        if !(1.0..=100.0).contains(&factor) {
            bail!("--gas-adjustment {factor}: expected a number from 1 to 100");
        }
        Ok(factor)
    }

    fn mode(&self, context: &Context) -> anyhow::Result<Mode> {
        broadcast_mode(self.broadcast_mode, context)
    }
}

/// Flag, then environment or `client.toml`, then block.
pub fn broadcast_mode(flag: Option<Mode>, context: &Context) -> anyhow::Result<Mode> {
    match (flag, context.broadcast_mode.as_deref()) {
        (Some(mode), _) => Ok(mode),
        (None, Some(text)) => Mode::from_str(text, true)
            .map_err(|_| anyhow!("broadcast mode {text:?} in VIRTENGINE_BROADCAST_MODE or client.toml: expected block, sync or async")),
        (None, None) => Ok(Mode::Block),
    }
}

/// Prints what became of a transaction that the mempool took; waits for its block where that is wanted.
pub async fn report(context: &Context, rpc: &Rpc, sent: Broadcast, mode: Mode) -> anyhow::Result<()> {
    if mode != Mode::Block {
        context.print(&json!({ "txhash": sent.hash, "code": sent.code, "codespace": sent.codespace, "raw_log": sent.log }));
        return Ok(());
    }
    let found = shown(&wait(rpc, &sent.hash, WAIT).await?);
    if found["code"] != json!(0) {
        bail!(
            "transaction {} failed in block {}: {} (codespace {}, code {})",
            sent.hash,
            found["height"].as_str().unwrap_or_default(),
            found["raw_log"].as_str().unwrap_or_default(),
            found["codespace"].as_str().unwrap_or_default(),
            found["code"]
        );
    }
    context.print(&found);
    Ok(())
}

/// `10uve,3atom`.
fn amounts(coins: &[Coin]) -> String {
    coins.iter().map(|c| format!("{}{}", c.amount, c.denom)).collect::<Vec<_>>().join(",")
}

/// CometBFT's answer to `tx` as the SDK shows a transaction, with the messages' answers.
pub fn shown(found: &Value) -> Value {
    let result = &found["tx_result"];
    let data = result["data"].as_str().and_then(|d| BASE64_STANDARD.decode(d).ok()).unwrap_or_default();
    let responses =
        proto::json::to_value("cosmos.base.abci.v1beta1.TxMsgData", &data).map(|mut d| d["msg_responses"].take()).unwrap_or(json!([]));
    json!({
        "height": found["height"],
        "txhash": found["hash"],
        "codespace": result["codespace"],
        "code": result["code"],
        "data": hex::encode_upper(&data),
        "raw_log": result["log"],
        "responses": responses,
        "gas_wanted": result["gas_wanted"],
        "gas_used": result["gas_used"],
        "events": result["events"],
    })
}
