//! Usage records from a file, and a deployment file's groups as the chain takes them.

use super::context::{Context, read_json};
use super::query::send;
use anyhow::{Context as _, anyhow, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use client::rpc::Rpc;
use client::sdl::Sdl;
use prost::Message;
use proto::virtengine::base::v1::{self as base, BidId};
use proto::virtengine::deployment::v1::GroupSpec;
use proto::virtengine::escrow::v1::UsageRecord;
use proto::{Duration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::Path;

/// An RFC 3339 time.
pub fn parse_time(text: &str) -> anyhow::Result<Timestamp> {
    let time = humantime::parse_rfc3339(text).with_context(|| format!("time {text:?}: expected RFC 3339, like 2026-01-31T12:00:00Z"))?;
    let since = time.duration_since(std::time::UNIX_EPOCH).context("expected a time after 1970")?;
    Ok(Timestamp { seconds: since.as_secs() as i64, nanos: since.subsec_nanos() as i32 })
}

/// Records that one message takes.
pub const MAX_RECORDS: usize = 100;

/// The records of a file, one or a list. Those without a sequence get their lease's next ones. A lease's last record that
/// comes again keeps its sequence, and what stands before it in the file was accepted with it and is left out, so that to
/// send a file twice, or a longer one later, pays once.
pub async fn records(context: &Context, rpc: &Rpc, file: &Path) -> anyhow::Result<Vec<UsageRecord>> {
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
        let record: UsageRecord = proto::json::from_json(value).map_err(|e| anyhow!("{e}")).with_context(at)?;
        record.lease_id.as_ref().context("lease_id: expected a lease, got none").with_context(at)?;
        records.push(record);
    }
    let mut done: Vec<BidId> = Vec::new();
    while let Some(lease) = records.iter().filter_map(|r| r.lease_id.clone()).find(|id| !done.contains(id)) {
        if records.iter().any(|r| r.lease_id.as_ref() == Some(&lease) && r.sequence == 0) {
            let last = last_record(rpc, &lease).await.with_context(|| file.display().to_string())?;
            let left_out = number(&mut records, &lease, &last);
            if left_out > 0 {
                context.hint(format_args!("left out because the chain has them: {left_out} of the records"));
            }
        }
        done.push(lease);
    }
    Ok(records)
}

/// What the chain has of a lease: the last record's sequence and hash; 0 and nothing before the first.
struct Last {
    sequence: u64,
    hash: Vec<u8>,
}

async fn last_record(rpc: &Rpc, id: &BidId) -> anyhow::Result<Last> {
    let id = json!({ "owner": id.owner, "dseq": id.dseq, "gseq": id.gseq, "oseq": id.oseq, "provider": id.provider });
    let lease = send(rpc, "/virtengine.market.v1.Query/Lease", id).await?;
    let newest = lease["payments"].as_array().and_then(|p| p.last()).context("lease: it has no payment")?;
    let next: u64 = newest["next_sequence"].as_str().and_then(|n| n.parse().ok()).unwrap_or(1);
    let hash = newest["last_hash"].as_str().and_then(|h| BASE64_STANDARD.decode(h).ok()).unwrap_or_default();
    Ok(Last { sequence: next.saturating_sub(1), hash })
}

/// Gives a lease's records without a sequence theirs; how many were left out because the chain has them.
fn number(records: &mut Vec<UsageRecord>, lease: &BidId, last: &Last) -> usize {
    let open = |r: &UsageRecord| r.lease_id.as_ref() == Some(lease) && r.sequence == 0;
    let is_last = |r: &UsageRecord| {
        let numbered = UsageRecord { sequence: last.sequence, ..r.clone() };
        last.sequence > 0 && Sha256::digest(numbered.encode_to_vec()).as_slice() == last.hash
    };
    let known = records.iter().rposition(|r| open(r) && is_last(r));
    let (before, mut index) = (records.len(), 0);
    records.retain(|r| {
        index += 1;
        !(open(r) && known.is_some_and(|known| index <= known))
    });
    let first = last.sequence + u64::from(known.is_none());
    for (sequence, record) in (first..).zip(records.iter_mut().filter(|r| open(r))) {
        record.sequence = sequence;
    }
    before - records.len()
}

/// The groups of a deployment file; an error for each that the chain cannot take.
pub fn group_specs(sdl: &Sdl, file: &Path) -> anyhow::Result<Vec<GroupSpec>> {
    let specs = sdl.specs().map_err(|problems| super::sdl::refused(file, &problems))?;
    let window = sdl.reclamation_seconds().map(|s| Duration { seconds: s as i64, nanos: 0 });
    Ok(specs.into_iter().map(|spec| group_spec(spec, window)).collect())
}

/// The fields in which two messages of one kind differ, each with both values. What is not set is what is empty.
pub fn differences(path: &str, chain: &Value, file: &Value, found: &mut Vec<String>) {
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    };
    let join = |key: &str| if path.is_empty() { key.to_string() } else { format!("{path}.{key}") };
    match (chain, file) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                differences(&join(key), &chain[key], &file[key], found);
            }
        }
        (Value::Object(a), other) if empty(other) => a.iter().for_each(|(key, v)| differences(&join(key), v, &Value::Null, found)),
        (other, Value::Object(b)) if empty(other) => b.iter().for_each(|(key, v)| differences(&join(key), &Value::Null, v, found)),
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                differences(&format!("{path}[{i}]"), a, b, found);
            }
        }
        (a, b) if a == b || (empty(a) && empty(b)) => {}
        (a, b) => found.push(format!("{path}: the chain has {a}, the file {b}")),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(provider: &str) -> BidId {
        BidId { provider: provider.into(), ..Default::default() }
    }

    fn record(provider: &str, start: i64) -> UsageRecord {
        let time = |seconds| Some(Timestamp { seconds, nanos: 0 });
        UsageRecord { lease_id: Some(lease(provider)), start_time: time(start), end_time: time(start + 1), ..Default::default() }
    }

    /// The chain after it has taken this record under this sequence.
    fn after(sequence: u64, record: &UsageRecord) -> Last {
        let hash = Sha256::digest(UsageRecord { sequence, ..record.clone() }.encode_to_vec()).to_vec();
        Last { sequence, hash }
    }

    fn numbered(mut records: Vec<UsageRecord>, last: &Last) -> Vec<(i64, u64)> {
        number(&mut records, &lease("a"), last);
        records.iter().map(|r| (r.start_time.map_or(0, |t| t.seconds), r.sequence)).collect()
    }

    #[test]
    fn the_difference_of_two_groups_is_told_by_field_and_what_is_unset_is_empty() {
        let chain = json!([{ "name": "a", "resources": [{ "cpu_milli": "500", "count": 1 }], "requirements": { "signed_by": null, "attributes": [] } }]);
        let mut file =
            json!([{ "name": "a", "resources": [{ "cpu_milli": "500", "count": 1 }], "requirements": { "signed_by": { "all_of": [] } } }]);
        let found = |file: &Value| {
            let mut found = Vec::new();
            differences("groups", &chain, file, &mut found);
            found
        };
        assert_eq!(found(&file), Vec::<String>::new());
        file[0]["resources"][0]["cpu_milli"] = "1000".into();
        file[0]["requirements"]["signed_by"]["all_of"] = json!(["x"]);
        let expected = [
            r#"groups[0].resources[0].cpu_milli: the chain has "500", the file "1000""#,
            r#"groups[0].requirements.signed_by.all_of: the chain has null, the file ["x"]"#,
        ];
        assert_eq!(found(&file).len(), 2);
        assert!(expected.iter().all(|e| found(&file).iter().any(|f| f == e)), "{:?}", found(&file));
        assert_eq!(found(&json!([])).len(), 1, "another number of groups");
    }

    #[test]
    fn records_without_a_sequence_get_the_next_ones_of_their_lease() {
        let first = Last { sequence: 0, hash: vec![] };
        assert_eq!(numbered(vec![record("a", 1), record("b", 2), record("a", 3)], &first), [(1, 1), (2, 0), (3, 2)]);
        assert_eq!(numbered(vec![record("a", 5)], &after(7, &record("a", 4))), [(5, 8)]);
        let given = UsageRecord { sequence: 9, ..record("a", 5) };
        assert_eq!(numbered(vec![given, record("a", 6)], &after(9, &record("a", 4))), [(5, 9), (6, 10)]);
    }

    #[test]
    fn a_file_that_is_sent_again_keeps_the_last_records_sequence_and_leaves_out_what_came_before_it() {
        let file = [record("a", 1), record("a", 2), record("a", 3)];
        let chain = after(3, &file[2]);
        assert_eq!(numbered(file.to_vec(), &chain), [(3, 3)]);
        let longer = [&file[..], &[record("a", 4)]].concat();
        assert_eq!(numbered(longer, &chain), [(3, 3), (4, 4)]);
    }
}
