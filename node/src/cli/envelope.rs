//! `virtengine encryption`: sealing to recipient keys and opening, with the lease that a text belongs to inside the seal.
//! Secrets come from files, standard input and the keyring, never from arguments.

use super::context::{Context, say};
use super::query::{BidId, send};
use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Subcommand};
use client::envelope::{self, Envelope, LeaseId};
use client::keyring::parse_recipient_key;
use client::keys::RecipientKey;
use client::rpc::Rpc;
use proto::virtengine::base::v1 as base;
use proto::virtengine::deployment::v1::{QueryDeploymentRequest, QueryDeploymentResponse};
use proto::virtengine::encryption::v1::{QueryRecipientKeysRequest, QueryRecipientKeysResponse, recipient_key::State};
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// The longest text that is sealed, in bytes: more than a chain takes.
const MAX_TEXT: u64 = 16 << 20;

#[derive(Subcommand)]
pub enum Encryption {
    /// Seal a text for a lease; the envelope is printed as JSON
    Seal(Seal),
    /// Open an envelope; what was sealed is written to standard output. A manifest that lies on a lease must be the one that
    /// the lease's deployment names
    Open(Open),
}

#[derive(Args)]
pub struct Seal {
    /// What to seal; - stands for standard input
    file: PathBuf,
    #[command(flatten)]
    lease: BidId,
    /// A public key to seal to: 32 bytes in base64 or hex, or what `keys show --pubkey` prints for a key of this keyring;
    /// several times [default: the provider's newest ACTIVE key]
    #[arg(long, value_name = "KEY")]
    recipient: Vec<String>,
    /// A key of the keyring that can open the envelope, too
    #[arg(long)]
    from: Option<String>,
}

#[derive(Args)]
pub struct Open {
    /// The envelope as JSON; - stands for standard input [default: the manifest that lies on the lease]
    file: Option<PathBuf>,
    #[command(flatten)]
    lease: BidId,
    /// The key of the keyring that it is sealed to
    #[arg(long)]
    from: String,
}

impl Encryption {
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        match self {
            Encryption::Seal(x) => x.run(context).await,
            Encryption::Open(x) => x.run(context).await,
        }
    }
}

impl Seal {
    async fn run(self, context: &Context) -> anyhow::Result<()> {
        let bound = bound_to(context, &self.lease.wire()).await?;
        let mut recipients = Vec::new();
        if self.recipient.is_empty() {
            recipients.push(provider_key(&context.rpc()?, &self.lease.provider).await?);
        } else {
            let keyring = context.keyring()?;
            for text in &self.recipient {
                recipients.push(parse_recipient_key(text, &keyring).context("--recipient")?);
            }
        }
        if let Some(name) = &self.from {
            recipients.push(context.keyring()?.x25519_public(name)?);
        }
        let sealed = seal(&input(&self.file)?, &bound, recipients)?;
        say(proto::json::to_json(&sealed).map_err(|e| anyhow!("{e}"))?);
        Ok(())
    }
}

impl Open {
    async fn run(self, context: &Context) -> anyhow::Result<()> {
        let bound = bound_to(context, &self.lease.wire()).await?;
        let json = match &self.file {
            Some(file) => {
                serde_json::from_slice(&input(file)?).with_context(|| format!("{}: expected an envelope in JSON", file.display()))?
            }
            None => {
                let lease = send(&context.rpc()?, "/virtengine.market.v1.Query/Lease", self.lease.fields()).await?;
                let manifest = lease["manifest"].clone();
                if manifest.is_null() {
                    bail!("no manifest lies on the lease {}: its tenant puts one there with tx market manifest send", bound.lease_id);
                }
                manifest
            }
        };
        let sealed: Envelope = proto::json::from_json(&json).map_err(|e| anyhow!("envelope: {e}"))?;
        let secret = context.keyring()?.recipient_secret(&self.from)?;
        let text = envelope::open(&sealed, &secret, &bound)?;
        if self.file.is_none() {
            let promised = promised_hash(&context.rpc()?, &self.lease.wire()).await?;
            let found = Sha256::digest(&text);
            if found.as_slice() != promised {
                bail!(
                    "the manifest on the lease {} is not the one that its deployment names: expected SHA-256 {}, got {}; its tenant \
                     sends the new one with tx market manifest send",
                    bound.lease_id,
                    hex::encode(promised),
                    hex::encode(found)
                );
            }
        }
        std::io::stdout().write_all(&text)?;
        Ok(())
    }
}

/// The SHA-256 of the manifest that a lease's deployment names.
pub async fn promised_hash(rpc: &Rpc, lease: &base::BidId) -> anyhow::Result<Vec<u8>> {
    let request = QueryDeploymentRequest { owner: lease.owner.clone(), dseq: lease.dseq };
    let answer: QueryDeploymentResponse = rpc.query("/virtengine.deployment.v1.Query/Deployment", &request).await?;
    Ok(answer.deployment.unwrap_or_default().hash)
}

/// What an envelope on this lease is bound to. The chain is the one that is set, else the node's.
pub async fn bound_to(context: &Context, lease: &base::BidId) -> anyhow::Result<envelope::Context> {
    let lease_id = LeaseId::try_from(lease).map_err(|e| anyhow!("lease: {e}"))?;
    let chain_id = match context.set_chain_id() {
        Some(set) => set.to_string(),
        None => context.rpc()?.chain_id().await.context("--chain-id was not given")?,
    };
    Ok(envelope::Context { chain_id, lease_id })
}

/// Seals to these keys, to each once.
pub fn seal(text: &[u8], bound: &envelope::Context, mut recipients: Vec<RecipientKey>) -> anyhow::Result<Envelope> {
    let mut seen = std::collections::BTreeSet::new();
    recipients.retain(|key| seen.insert(key.to_bytes()));
    Ok(envelope::seal(text, bound, &recipients)?)
}

/// The newest ACTIVE key of a provider.
pub async fn provider_key(rpc: &Rpc, provider: &str) -> anyhow::Result<RecipientKey> {
    let request = QueryRecipientKeysRequest { owner: provider.into(), state: State::Active.into(), pagination: None };
    let answer: QueryRecipientKeysResponse = rpc.query("/virtengine.encryption.v1.Query/RecipientKeys", &request).await?;
    let newest = answer.keys.into_iter().max_by_key(|key| key.registered_at.as_ref().and_then(proto::millis));
    let newest = newest.with_context(|| {
        format!("provider {provider} has no ACTIVE recipient key: it registers one with tx encryption register-recipient-key")
    })?;
    Ok(RecipientKey::from_bytes(&newest.public_key)?)
}

fn input(file: &Path) -> anyhow::Result<Vec<u8>> {
    let at = || format!("cannot read {}", file.display());
    let source: Box<dyn Read> = match file.to_str() {
        Some("-") => Box::new(std::io::stdin()),
        _ => Box::new(std::fs::File::open(file).with_context(at)?),
    };
    let mut text = Vec::new();
    source.take(MAX_TEXT + 1).read_to_end(&mut text).with_context(at)?;
    if text.len() as u64 > MAX_TEXT {
        bail!("{}: expected at most {MAX_TEXT} bytes", file.display());
    }
    Ok(text)
}
