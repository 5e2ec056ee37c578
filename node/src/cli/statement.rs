//! Billing history from events: what moved into and out of escrow, for both sides, also of what has left the state.
//! Blocks and transactions are found by CometBFT's indexes, those of the end of a block too.

use anyhow::{Context as _, bail};
use clap::Args;
use client::rpc::Rpc;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Rows of one answer of a search, the most that CometBFT gives.
const PER_PAGE: u64 = 100;
const ESCROW: &str = "virtengine.escrow.v1.";

/// The events that move money, with the attribute that names whose it is.
const MOVEMENTS: [(&str, &str); 6] = [
    ("EventAccountOpened", "id"),
    ("EventDeposited", "id"),
    ("EventUsageSettled", "lease_id"),
    ("EventSpareWithdrawn", "id"),
    ("EventRefunded", "id"),
    ("EventDepositForfeited", "id"),
];

/// A range of blocks.
#[derive(Args, Default)]
pub struct Heights {
    /// Blocks from this height on
    #[arg(long, value_name = "HEIGHT")]
    from_height: Option<u64>,
    /// Blocks up to this height
    #[arg(long, value_name = "HEIGHT")]
    to_height: Option<u64>,
}

#[derive(Args)]
#[command(group(clap::ArgGroup::new("party").required(true).multiple(true).args(["owner", "provider"])))]
pub struct Filter {
    /// The tenant: its deployments' accounts; together with --provider what is between the two
    #[arg(long)]
    owner: Option<String>,
    /// The provider: what it was paid, and its deposits
    #[arg(long)]
    provider: Option<String>,
    /// Only this deployment
    #[arg(long)]
    dseq: Option<u64>,
    #[command(flatten)]
    heights: Heights,
}

/// One event where it happened. Events of a block's end come after those of its transactions.
struct Happened {
    /// Upper-case hex; empty at the end of a block.
    txhash: String,
    kind: &'static str,
    fields: Map<String, Value>,
}

/// Height, place in the block, place among the events there.
type Place = (u64, u64, usize);

impl Happened {
    fn text(&self, field: &str) -> &str {
        self.fields.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    /// The account's or the lease's id.
    fn id(&self) -> &Value {
        self.fields.get("id").or(self.fields.get("lease_id")).unwrap_or(&Value::Null)
    }

    fn amount(&self) -> u128 {
        let coin = self.fields.get("amount").or(self.fields.get("paid"));
        coin.and_then(|c| c["amount"].as_str()).and_then(|a| a.parse().ok()).unwrap_or(0)
    }

    /// Whose money is in the account: `deployment`, `bid` or `provider`.
    fn account(&self) -> &str {
        if self.kind == "EventUsageSettled" { "deployment" } else { self.id()["kind"].as_str().unwrap_or_default() }
    }
}

/// Whether an event belongs on the statement: of a tenant what its deployments' accounts got, paid and gave back, of a
/// provider its income and its own deposits, of both what is between them.
fn concerns(event: &Happened, owner: Option<&str>, provider: Option<&str>, dseq: Option<u64>) -> bool {
    let id = event.id();
    let names = |field: &str, who: &str| id[field].as_str() == Some(who);
    if dseq.is_some_and(|dseq| id["dseq"].as_str().and_then(|d| d.parse().ok()) != Some(dseq)) {
        return false;
    }
    let usage = event.kind == "EventUsageSettled";
    let of_provider = |p: &str| match event.account() {
        "deployment" => usage && names("provider", p),
        "bid" => names("provider", p),
        _ => names("owner", p),
    };
    match (owner, provider) {
        (Some(o), Some(p)) => names("owner", o) && names("provider", p),
        (Some(o), None) => names("owner", o) && (event.account() == "deployment" || event.text("recipient") == o),
        (None, Some(p)) => of_provider(p),
        (None, None) => false,
    }
}

pub async fn statement(rpc: &Rpc, filter: &Filter) -> anyhow::Result<Value> {
    let (owner, provider) = (filter.owner.as_deref(), filter.provider.as_deref());
    let mut events = collect(rpc, &MOVEMENTS, owner, provider, &filter.heights).await?;
    events.retain(|_, event| concerns(event, owner, provider, filter.dseq));
    let mut totals: BTreeMap<&str, u128> = BTreeMap::new();
    let (mut rows, mut time) = (Vec::new(), (0, Value::Null));
    for ((height, ..), event) in &events {
        if time.0 != *height {
            time = (*height, block_time(rpc, *height).await?);
        }
        let (total, from, to) = match event.kind {
            "EventUsageSettled" => ("paid_for_usage", "escrow", event.text("payout")),
            "EventAccountOpened" | "EventDeposited" => ("deposited", event.text("depositor"), "escrow"),
            "EventDepositForfeited" => ("forfeited", "escrow", event.text("recipient")),
            _ => ("returned", "escrow", event.text("depositor")),
        };
        *totals.entry(total).or_default() += event.amount();
        let mut row = json!({
            "time": time.1,
            "height": height.to_string(),
            "txhash": event.txhash,
            "event": event.kind,
            "account": event.account(),
            "id": event.id(),
            "from": from,
            "to": to,
            "amount": uve(event.amount()),
        });
        for field in ["sequence", "start_time", "end_time", "served"] {
            if let Some(value) = event.fields.get(field) {
                row[field] = value.clone();
            }
        }
        rows.push(row);
    }
    let totals: Map<String, Value> = totals.into_iter().map(|(name, sum)| (name.into(), uve(sum))).collect();
    Ok(json!({ "entries": rows, "totals": totals }))
}

pub async fn income(rpc: &Rpc, provider: &str, heights: &Heights) -> anyhow::Result<Value> {
    let mut events = collect(rpc, &[("EventUsageSettled", "lease_id")], None, Some(provider), heights).await?;
    events.retain(|_, event| concerns(event, None, Some(provider), None));
    let mut leases: BTreeMap<String, (Value, u128, u64)> = BTreeMap::new();
    for event in events.values() {
        let (_, paid, records) = leases.entry(event.id().to_string()).or_insert((event.id().clone(), 0, 0));
        *paid += event.amount();
        *records += 1;
    }
    let total = leases.values().map(|(_, paid, _)| paid).sum();
    let leases: Vec<Value> = leases
        .into_values()
        .map(|(id, paid, records)| json!({ "lease_id": id, "paid": uve(paid), "records": records.to_string() }))
        .collect();
    Ok(json!({ "provider": provider, "total": uve(total), "leases": leases }))
}

fn uve(amount: u128) -> Value {
    json!({ "denom": kernel::DENOM, "amount": amount.to_string() })
}

/// The events of these kinds that name one of the parties, in the order in which they happened.
async fn collect(
    rpc: &Rpc,
    kinds: &[(&'static str, &str)],
    owner: Option<&str>,
    provider: Option<&str>,
    heights: &Heights,
) -> anyhow::Result<BTreeMap<Place, Happened>> {
    heights.check()?;
    // Whichever party is asked for stands in the id; with both, one of them finds it all.
    let party = provider.or(owner).context("expected --owner or --provider")?;
    party.parse::<client::address::Address>().map_err(|e| anyhow::anyhow!("{party}: {e}"))?;
    let (mut found, mut blocks, mut txs) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
    for (kind, key) in kinds {
        let asked = format!("{ESCROW}{kind}.{key} CONTAINS '{party}'");
        for tx in search(rpc, "tx_search", "txs", &heights.limit("tx", &asked)).await? {
            let place = (number(&tx["height"])?, tx["index"].as_u64().context("tx_search: a transaction has no index")?);
            if txs.insert(place) {
                let hash = tx["hash"].as_str().unwrap_or_default();
                add(&mut found, kinds, &tx["tx_result"]["events"], place, hash);
            }
        }
        for block in search(rpc, "block_search", "blocks", &heights.limit("block", &asked)).await? {
            blocks.insert(number(&block["block"]["header"]["height"])?);
        }
    }
    for height in blocks {
        let results = rpc.call("block_results", json!({ "height": height.to_string() })).await?;
        add(&mut found, kinds, &results["finalize_block_events"], (height, u64::MAX), "");
    }
    Ok(found)
}

/// Adds the events of these kinds, each with its attributes read back from JSON.
fn add(found: &mut BTreeMap<Place, Happened>, kinds: &[(&'static str, &str)], events: &Value, (height, index): (u64, u64), hash: &str) {
    for (nth, event) in events.as_array().into_iter().flatten().enumerate() {
        let name = event["type"].as_str().and_then(|name| name.strip_prefix(ESCROW));
        let Some((kind, _)) = kinds.iter().find(|(kind, _)| Some(*kind) == name) else { continue };
        let field = |a: &Value| Some((a["key"].as_str()?.to_string(), serde_json::from_str(a["value"].as_str()?).ok()?));
        let fields = event["attributes"].as_array().into_iter().flatten().filter_map(field).collect();
        found.insert((height, index, nth), Happened { txhash: hash.into(), kind, fields });
    }
}

impl Heights {
    fn check(&self) -> anyhow::Result<()> {
        match (self.from_height, self.to_height) {
            (Some(from), Some(to)) if to < from => bail!("--to-height {to}: expected at least --from-height, {from}"),
            _ => Ok(()),
        }
    }

    fn limit(&self, what: &str, query: &str) -> String {
        let from = self.from_height.map(|h| format!(" AND {what}.height >= {h}"));
        let to = self.to_height.map(|h| format!(" AND {what}.height <= {h}"));
        format!("{query}{}{}", from.unwrap_or_default(), to.unwrap_or_default())
    }
}

/// All rows of a search, page by page.
async fn search(rpc: &Rpc, method: &str, rows: &str, query: &str) -> anyhow::Result<Vec<Value>> {
    let mut all = Vec::new();
    for page in 1u64.. {
        let params = json!({ "query": query, "page": page.to_string(), "per_page": PER_PAGE.to_string(), "order_by": "asc" });
        let mut answer = rpc.call(method, params).await.with_context(|| format!("{method}: the node must index events"))?;
        let total = number(&answer["total_count"])?;
        let Value::Array(found) = answer[rows].take() else { bail!("{method}: the node's answer has no {rows}") };
        all.extend(found);
        if all.len() as u64 >= total || page * PER_PAGE >= total {
            break;
        }
    }
    Ok(all)
}

pub async fn block_time(rpc: &Rpc, height: u64) -> anyhow::Result<Value> {
    Ok(rpc.call("header", json!({ "height": height.to_string() })).await?["header"]["time"].take())
}

fn number(value: &Value) -> anyhow::Result<u64> {
    value.as_str().and_then(|text| text.parse().ok()).with_context(|| format!("expected a number, got {value}"))
}
