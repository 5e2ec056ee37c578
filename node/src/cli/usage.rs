//! Usage records from a file, and a deployment file's groups as the chain takes them.

use super::context::read_json;
use super::query::send;
use anyhow::{Context as _, anyhow, bail};
use client::rpc::Rpc;
use client::sdl::Sdl;
use proto::virtengine::base::v1 as base;
use proto::virtengine::deployment::v1::GroupSpec;
use proto::virtengine::escrow::v1::UsageRecord;
use proto::{Duration, Timestamp};
use serde_json::{Value, json};
use std::path::Path;

/// An RFC 3339 time.
pub fn parse_time(text: &str) -> anyhow::Result<Timestamp> {
    let time = humantime::parse_rfc3339(text).with_context(|| format!("time {text:?}: expected RFC 3339, like 2026-01-31T12:00:00Z"))?;
    let since = time.duration_since(std::time::UNIX_EPOCH).context("expected a time after 1970")?;
    Ok(Timestamp { seconds: since.as_secs() as i64, nanos: since.subsec_nanos() as i32 })
}

/// The records of a file, one or a list; a missing sequence is the lease's next one.
pub async fn records(rpc: &Rpc, file: &Path) -> anyhow::Result<Vec<UsageRecord>> {
    let list = match read_json(file)? {
        Value::Array(list) => list,
        one => vec![one],
    };
    if list.is_empty() {
        bail!("{}: expected a usage record or a list of them, got none", file.display());
    }
    let mut records: Vec<UsageRecord> = Vec::new();
    for (index, value) in list.iter().enumerate() {
        let at = || format!("{}: record {}", file.display(), index + 1);
        let mut record: UsageRecord = proto::json::from_json(value).map_err(|e| anyhow!("{e}")).with_context(at)?;
        if record.sequence == 0 {
            let before = records.iter().rev().find(|r| r.lease_id == record.lease_id);
            record.sequence = match before {
                Some(before) => before.sequence + 1,
                None => next_sequence(rpc, &record).await.with_context(at)?,
            };
        }
        records.push(record);
    }
    Ok(records)
}

/// The lease's next sequence, or its last one when this is the last record again: a retry stays a retry.
async fn next_sequence(rpc: &Rpc, record: &UsageRecord) -> anyhow::Result<u64> {
    use sha2::{Digest, Sha256};
    let id = record.lease_id.as_ref().context("lease_id: missing")?;
    let id = json!({ "owner": id.owner, "dseq": id.dseq, "gseq": id.gseq, "oseq": id.oseq, "provider": id.provider });
    let lease = send(rpc, "/virtengine.market.v1.Query/Lease", id).await?;
    let newest = lease["payments"].as_array().and_then(|p| p.last()).context("lease: it has no payment")?;
    let next: u64 = newest["next_sequence"].as_str().and_then(|n| n.parse().ok()).unwrap_or(1);
    let again = UsageRecord { sequence: next.saturating_sub(1), ..record.clone() };
    let hash = Sha256::digest(prost::Message::encode_to_vec(&again));
    let last = newest["last_hash"].as_str().and_then(|h| base64::Engine::decode(&base64::prelude::BASE64_STANDARD, h).ok());
    Ok(if last.is_some_and(|last| last == hash.as_slice()) { again.sequence } else { next })
}

/// The groups of a deployment file; an error for each that the chain cannot take.
pub fn group_specs(sdl: &Sdl, file: &Path) -> anyhow::Result<Vec<GroupSpec>> {
    let specs = sdl.specs().map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(|p| p.in_file(file.display())).collect();
        anyhow!("{}", lines.join("\n"))
    })?;
    let window = sdl.reclamation_seconds().map(|s| Duration { seconds: s as i64, nanos: 0 });
    Ok(specs.into_iter().map(|spec| group_spec(spec, window)).collect())
}

fn attributes(pairs: Vec<(String, String)>) -> Vec<base::Attribute> {
    pairs.into_iter().map(|(key, value)| base::Attribute { key, value }).collect()
}

fn group_spec(spec: client::sdl::GroupSpec, reclamation_window: Option<Duration>) -> GroupSpec {
    let resources = spec
        .resources
        .into_iter()
        .map(|r| base::ResourceUnit {
            id: r.id,
            cpu_milli: r.cpu_milli,
            memory: r.memory_bytes,
            storage: r
                .storage
                .into_iter()
                .map(|s| base::Storage { name: s.name, size: s.size_bytes, attributes: attributes(s.attributes) })
                .collect(),
            gpu: r.gpu_units,
            gpu_attributes: attributes(r.gpu_attributes),
            endpoints: r.endpoints.iter().map(|e| base::Endpoint { kind: e.kind as i32, sequence_number: e.sequence_number }).collect(),
            count: r.count,
            cpu_attributes: attributes(r.cpu_attributes),
        })
        .collect();
    let signed_by = base::SignedBy { all_of: spec.signed_by_all, any_of: spec.signed_by_any };
    GroupSpec {
        name: spec.name,
        requirements: Some(base::PlacementRequirements { signed_by: Some(signed_by), attributes: attributes(spec.attributes) }),
        resources,
        price: Some(proto::cosmos::base::v1beta1::Coin { denom: spec.price.denom, amount: spec.price.amount.to_string() }),
        reclamation_window,
    }
}
