//! The market on the application alone: empty blocks over many leases, many leases that run dry at one time, a lease's
//! life in messages, and pages of long lists.

use crate::api::resident;
use crate::chain::{CHAIN, Chain, Phase, cpu, runnable};
use crate::load::{Key, keys};
use anyhow::{Context, ensure};
use app::store::Tuning;
use bytes::Bytes;
use client::address::Prefix;
use client::tx::any;
use prost::Message;
use proto::cosmos::base::query::v1beta1::PageRequest;
use proto::cosmos::base::v1beta1::Coin;
use proto::virtengine::base::v1::{BidId, PlacementRequirements, ResourceUnit, Storage};
use proto::virtengine::deployment::v1::{GroupSpec, MsgCloseDeployment, MsgCreateDeployment};
use proto::virtengine::escrow::v1::{MsgSubmitUsage, ResourceTotals, UsageRecord};
use proto::virtengine::market::v1::{MsgCreateBid, MsgCreateLease, QueryLeasesRequest, QueryLeasesResponse, lease};
use proto::virtengine::provider::v1::{Details, MsgCreateProvider};
use proto::{Any, timestamp};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tendermint_abci::Application;
use tendermint_proto::v0_38::abci::{RequestCheckTx, ResponseFinalizeBlock};

const FUNDS: u64 = 1 << 60;
const VE: u64 = 1_000_000;
/// uve per hour; with [`DEPOSIT`] a lease runs for ten hours.
const PRICE: u64 = VE / 20;
const DEPOSIT: u64 = VE / 2;
const HOUR_MS: u64 = 3_600_000;
/// Messages of one transaction where transactions are not what is measured.
const PER_TX: usize = 100;
const PER_BLOCK: usize = 2_000;

struct World {
    chain: Chain,
    /// The tenant and the provider, and how many transactions each has sent.
    parties: Vec<(Key, u64)>,
    /// When each lease began.
    leases: Vec<u64>,
}

fn uve(amount: u64) -> Option<Coin> {
    Some(Coin { denom: "uve".into(), amount: amount.to_string() })
}

const TENANT: usize = 0;
const PROVIDER: usize = 1;

impl World {
    fn new() -> anyhow::Result<Self> {
        let chain = Chain::new(2, FUNDS, "")?;
        let mut world = World { chain, parties: keys(2).into_iter().map(|k| (k, 0)).collect(), leases: Vec::new() };
        let details = Details { name: "Bench".into(), contact: "bench@example.com".into(), ..Details::default() };
        let create = MsgCreateProvider { owner: world.text(PROVIDER), details: Some(details), deposit: uve(1000 * VE) };
        let tx = world.tx(PROVIDER, vec![any(&create)]);
        world.chain.block(vec![tx])?;
        Ok(world)
    }

    fn text(&self, party: usize) -> String {
        self.parties[party].0.address.to_bech32(Prefix::Account)
    }

    fn tx(&mut self, party: usize, messages: Vec<Any>) -> Bytes {
        let (key, sequence) = &mut self.parties[party];
        *sequence += 1;
        key.sign(messages, u64::MAX / 2, CHAIN, 1 + party as u64, *sequence - 1).into()
    }

    fn id(&self, dseq: u64) -> Option<BidId> {
        Some(BidId { owner: self.text(TENANT), dseq, gseq: 1, oseq: 1, provider: self.text(PROVIDER) })
    }

    fn deployment(&self) -> Any {
        let resources = ResourceUnit {
            id: 1,
            cpu_milli: 500,
            memory: 512 << 20,
            storage: vec![Storage { name: "default".into(), size: 1 << 30, attributes: vec![] }],
            count: 1,
            ..Default::default()
        };
        let group = GroupSpec {
            name: "web".into(),
            requirements: Some(PlacementRequirements::default()),
            resources: vec![resources],
            price: uve(PRICE),
            reclamation_window: None,
        };
        any(&MsgCreateDeployment { owner: self.text(TENANT), dseq: 0, groups: vec![group], hash: vec![7; 32], deposit: uve(DEPOSIT) })
    }

    fn bid(&self, dseq: u64) -> Any {
        any(&MsgCreateBid { signer: self.text(PROVIDER), bid_id: self.id(dseq), price: uve(PRICE), deposit: uve(DEPOSIT) })
    }

    fn lease(&self, dseq: u64) -> Any {
        any(&MsgCreateLease { owner: self.text(TENANT), bid_id: self.id(dseq) })
    }

    /// All that was reserved.
    fn usage(&self, dseq: u64, start: u64, end: u64) -> Any {
        let seconds = (end - start).div_ceil(1000);
        let used = ResourceTotals {
            cpu_milli_seconds: 500 * seconds,
            memory_byte_seconds: (512 << 20) * seconds,
            storage_byte_seconds: (1 << 30) * seconds,
            gpu_seconds: 0,
        };
        let record = UsageRecord {
            lease_id: self.id(dseq),
            sequence: 1,
            start_time: Some(timestamp(start)),
            end_time: Some(timestamp(end)),
            resources: Some(used),
        };
        any(&MsgSubmitUsage { signer: self.text(PROVIDER), records: vec![record] })
    }

    /// Messages in blocks, `per_tx` to a transaction; what the blocks took, and the answers.
    fn send(&mut self, party: usize, messages: Vec<Any>, per_tx: usize) -> anyhow::Result<(Phase, Vec<ResponseFinalizeBlock>)> {
        let (mut total, mut answers) = (Phase::default(), Vec::new());
        for block in messages.chunks(PER_BLOCK) {
            let txs: Vec<Bytes> = block.chunks(per_tx).map(|some| self.tx(party, some.to_vec())).collect();
            if per_tx == 1 {
                // As on a node: the mempool has verified the signatures.
                self.chain.app.prefetch(&txs);
                for tx in &txs {
                    let answer = self.chain.app.check_tx(RequestCheckTx { tx: tx.clone(), r#type: 0 });
                    ensure!(answer.code == 0, "CheckTx: {}", answer.log);
                }
            }
            let (answer, phase) = self.chain.block(txs)?;
            total.add(&phase);
            answers.push(answer);
        }
        Ok((total, answers))
    }

    /// Goes up to so many leases.
    fn grow(&mut self, leases: u64) -> anyhow::Result<()> {
        loop {
            let count = self.leases.len() as u64;
            if count >= leases {
                return Ok(());
            }
            let next = count + 1..=leases.min(count + PER_BLOCK as u64);
            self.send(TENANT, next.clone().map(|_| self.deployment()).collect(), PER_TX)?;
            self.send(PROVIDER, next.clone().map(|dseq| self.bid(dseq)).collect(), PER_TX)?;
            self.send(TENANT, next.clone().map(|dseq| self.lease(dseq)).collect(), PER_TX)?;
            self.leases.extend(next.map(|_| self.chain.time_ms));
            if self.leases.len().is_multiple_of(100_000) {
                eprintln!("{} leases", self.leases.len());
            }
        }
    }

    fn leases(&self, state: lease::State, pagination: PageRequest) -> anyhow::Result<QueryLeasesResponse> {
        let request = QueryLeasesRequest { state: state.into(), pagination: Some(pagination), ..Default::default() };
        let answer = self.chain.app.query("/virtengine.market.v1.Query/Leases", &request.encode_to_vec(), 0);
        Ok(QueryLeasesResponse::decode(&answer.map_err(|e| anyhow::anyhow!("{}", e.log))?.value[..])?)
    }

    fn keys(&self) -> u64 {
        self.chain.app.store().stats().keys.iter().map(|(_, keys)| keys).sum()
    }
}

/// The median of what 101 calls take.
fn median_us(mut f: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let mut times = Vec::new();
    for _ in 0..101 {
        let start = Instant::now();
        f()?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    Ok((times[50] * 10.0).round() / 10.0)
}

/// Waits until RocksDB has sorted what was written, which is not what an empty block costs; says how long.
fn rest() -> Duration {
    const SECOND: Duration = Duration::from_secs(1);
    let start = Instant::now();
    loop {
        let before = cpu();
        std::thread::sleep(SECOND);
        if cpu().saturating_sub(before) < SECOND / 50 {
            return start.elapsed();
        }
    }
}

/// Empty blocks over 0, 1,000, 100,000 … leases, the memory they take, and pages of their list.
pub fn idle(max: u64) -> anyhow::Result<()> {
    let (mut world, own) = (World::new()?, std::process::id());
    let (mut rows, keys_before, resident_before) = (Vec::new(), world.keys(), resident(own)?);
    for leases in [0, 1_000, 100_000, 1_000_000].into_iter().filter(|n| *n < max).chain([max]) {
        world.grow(leases)?;
        // Each block forgets some of what those so many before it have replaced, and they were full.
        let mut blocks = 0;
        while blocks < Tuning::default().query_versions || world.chain.app.store().stats().unpruned > 0 {
            world.chain.make(Vec::new())?;
            blocks += 1;
        }
        let rest = rest();
        let idle = median_us(|| world.chain.make(Vec::new()).map(drop))?;
        let page = |key: Vec<u8>, reverse| PageRequest { key, reverse, limit: 100, ..Default::default() };
        let mut row = json!({
            "leases": leases, "rest_s": rest.as_secs(), "empty_block_us": idle, "rows": world.keys() - keys_before,
            "resident_mb": resident(own)? / 1_000_000, "resident_before_mb": resident_before / 1_000_000,
        });
        if leases > 0 {
            // The page key of the hundredth row from the end.
            let last = world.leases(lease::State::Active, page(Vec::new(), true))?.pagination.context("pagination")?.next_key;
            row["first_page_us"] = json!(median_us(|| world.leases(lease::State::Active, page(Vec::new(), false)).map(drop))?);
            row["last_page_us"] = json!(median_us(|| world.leases(lease::State::Active, page(last.clone(), false)).map(drop))?);
        }
        eprintln!("{row}");
        rows.push(row);
    }
    print(&json!({ "what": "empty blocks and list pages over leases that run", "runs": rows }))
}

/// Leases that run dry at one time: how long each block takes, until all has been handled and forgotten.
pub fn storm(leases: u64) -> anyhow::Result<()> {
    let mut world = World::new()?;
    let (keys_before, before) = (world.keys(), world.balances()?);
    let start = world.chain.time_ms;
    world.grow(leases)?;
    world.chain.check()?;
    let created = world.chain.time_ms - start;
    // Ten hours of money; a day of grace; thirty days of memory for what has closed, and for deployments that are idle since.
    let mut steps = vec![world.quiesce("depletion", 10 * HOUR_MS + created)?];
    ensure!(steps[0].depleted == leases, "{} of {leases} accounts ran dry", steps[0].depleted);
    // Without it the money would come back as not served, and the leases would run again.
    let end = world.chain.time_ms;
    let usage = (1..=leases).map(|dseq| world.usage(dseq, world.leases[dseq as usize - 1], end)).collect();
    world.send(PROVIDER, usage, PER_TX)?;
    steps.push(world.quiesce("end of grace", 25 * HOUR_MS)?);
    world.chain.check()?;
    let after = world.balances()?;
    let paid = after[PROVIDER] - before[PROVIDER];
    let most = u128::from(leases * DEPOSIT);
    ensure!(paid <= most && paid + u128::from(leases) > most, "{paid} uve were paid for a use of {most}");
    ensure!(after.iter().sum::<u128>() == before.iter().sum(), "money was lost: {before:?} became {after:?}");
    steps.push(world.quiesce("retention", 31 * 24 * HOUR_MS)?);
    steps.push(world.quiesce("retention of idle deployments", 31 * 24 * HOUR_MS)?);
    steps.push(world.quiesce("retention of closed deployments", 31 * 24 * HOUR_MS)?);
    world.chain.check()?;
    let slowest = steps.iter().map(|s| s.slowest_ms).fold(0.0, f64::max);
    let rows_left = world.keys() - keys_before;
    print(
        &json!({ "what": "leases that run dry at one time", "leases": leases, "slowest_block_ms": slowest, "rows_left": rows_left, "steps": steps }),
    )
}

/// The blocks from a jump in time until nothing happens any more.
#[derive(serde::Serialize, Default)]
struct Step {
    what: &'static str,
    blocks: u32,
    mean_ms: f64,
    over_100_ms: u32,
    slowest_ms: f64,
    /// Of the slowest block. Commit is one thread: when it neither runs nor waits for a processor, it waits for the disk.
    finalize_ms: f64,
    commit_ms: f64,
    disk_ms: f64,
    cpu_ms: f64,
    /// The block that took longest without the disk.
    slowest_without_disk_ms: f64,
    #[serde(skip)]
    depleted: u64,
}

impl World {
    fn quiesce(&mut self, what: &'static str, jump_ms: u64) -> anyhow::Result<Step> {
        self.chain.time_ms += jump_ms;
        // Hours have passed.
        rest();
        let (mut step, mut total) = (Step { what, ..Step::default() }, 0.0);
        let ms = |d: Duration| round(d.as_secs_f64() * 1e3);
        loop {
            let [mut finalize, mut commit] = [Phase::default(); 2];
            let answer = finalize.time(|| self.chain.finalize(Vec::new()))?;
            let before = runnable();
            commit.time(|| self.chain.commit());
            let disk = ms(commit.wall.saturating_sub(runnable().saturating_sub(before)));
            if answer.events.is_empty() {
                step.mean_ms = round(total / f64::from(step.blocks.max(1)));
                return Ok(step);
            }
            let wall = ms(finalize.wall + commit.wall);
            step.depleted += answer.events.iter().filter(|e| e.r#type.ends_with("EventAccountDepleted")).count() as u64;
            step.blocks += 1;
            step.over_100_ms += u32::from(wall > 100.0);
            total += wall;
            step.slowest_without_disk_ms = step.slowest_without_disk_ms.max(round(wall - disk));
            if wall > step.slowest_ms {
                (step.slowest_ms, step.finalize_ms, step.commit_ms) = (wall, ms(finalize.wall), ms(commit.wall));
                (step.disk_ms, step.cpu_ms) = (disk, ms(finalize.cpu + commit.cpu));
            }
        }
    }
}

fn round(x: f64) -> f64 {
    (x * 100.0).round() / 100.0
}

impl World {
    fn balances(&self) -> anyhow::Result<Vec<u128>> {
        let view = self.chain.app.view(0).map_err(|e| anyhow::anyhow!("{}", e.log))?;
        let balance = |party| {
            let address = self.text(party).parse().map_err(|e: String| anyhow::anyhow!(e))?;
            Ok(self.chain.app.modules().bank.balance(&view, &address, "uve")?)
        };
        [TENANT, PROVIDER].into_iter().map(balance).collect()
    }
}

/// What each message of a lease's life costs, one message to a transaction, signatures verified before.
pub fn life(leases: u64) -> anyhow::Result<()> {
    let mut world = World::new()?;
    let all = 1..=leases;
    let mut total = Phase::default();
    let mut rows = serde_json::Map::new();
    let mut measure = |name: &str, result: anyhow::Result<(Phase, Vec<ResponseFinalizeBlock>)>| -> anyhow::Result<()> {
        let (phase, _) = result?;
        total.add(&phase);
        rows.insert(name.into(), phase.json(leases as usize));
        Ok(())
    };
    let messages = all.clone().map(|_| world.deployment()).collect();
    measure("create_deployment", world.send(TENANT, messages, 1))?;
    let messages = all.clone().map(|dseq| world.bid(dseq)).collect();
    measure("create_bid", world.send(PROVIDER, messages, 1))?;
    let messages = all.clone().map(|dseq| world.lease(dseq)).collect();
    measure("create_lease", world.send(TENANT, messages, 1))?;
    let start = world.chain.time_ms;
    world.chain.time_ms += HOUR_MS;
    let messages = all.clone().map(|dseq| world.usage(dseq, start, start + HOUR_MS / 2)).collect();
    measure("submit_usage", world.send(PROVIDER, messages, 1))?;
    let owner = world.text(TENANT);
    let messages = all.map(|dseq| any(&MsgCloseDeployment { owner: owner.clone(), dseq })).collect();
    measure("close_deployment", world.send(TENANT, messages, 1))?;
    world.chain.check()?;
    let per_second = |seconds: f64| (5.0 * leases as f64 / seconds).round();
    print(&json!({
        "what": "a lease from deployment to close, µs per message of FinalizeBlock and Commit", "leases": leases, "messages": rows,
        "per_second_of_cpu": per_second(total.cpu.as_secs_f64()), "per_second_of_wall": per_second(total.wall.as_secs_f64()),
    }))
}

fn print(report: &Value) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(report)?);
    Ok(())
}
