//! Runs a history against the application and stops at the first thing that is not as foretold.

use crate::actors::{CAST, COUNT, FIRST_USER, RECEIVERS, USERS};
use crate::generate::{Block, World};
use crate::model::market::{BidState, GroupState, OrderState};
use crate::model::{BidId, Ledger, Model, Ms, Msg, Reply, Tx, escrow};
use crate::wire::{self, CHAIN};
use anyhow::{Context, bail, ensure};
use app::{App, Config};
use bytes::Bytes;
use prost::Message;
use proto::cosmos::base::query::v1beta1::PageRequest;
use proto::cosmos::base::v1beta1::Coin;
use proto::virtengine::{base::v1 as base, deployment::v1 as d, market::v1 as m};
use proto::{Timestamp, duration};
use serde_json::{Value, json};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use tempfile::TempDir;
use tendermint_abci::Application;
use tendermint_proto::v0_38::abci::*;

/// Above the heights that expired transactions name.
const FIRST_HEIGHT: i64 = 10;
/// Lists are compared every so many blocks, and after the last.
const LISTS_EVERY: usize = 8;
/// Blocks of a small budget that a history which cannot be foretold has to end in; then the budget is a large one.
const PATIENCE: usize = 50;
/// After so many nothing may be left.
const WIND_DOWN: usize = 200;

/// What went wrong, and in which block.
#[derive(Debug, Clone)]
pub struct Failure {
    pub block: usize,
    pub what: String,
}

/// What a history did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stats {
    pub blocks: u64,
    pub messages: u64,
    pub accepted: u64,
}

impl std::ops::AddAssign for Stats {
    fn add_assign(&mut self, other: Stats) {
        self.blocks += other.blocks;
        self.messages += other.messages;
        self.accepted += other.accepted;
    }
}

/// Runs all blocks; a panic, of the application or of the model, is a failure too.
pub fn run(world: &World, history: &[Block]) -> Result<Stats, Failure> {
    let at = Cell::new(0);
    let outcome = catch_unwind(AssertUnwindSafe(|| -> anyhow::Result<Stats> {
        let mut run = Run::new(world)?;
        for (i, block) in history.iter().enumerate() {
            at.set(i);
            run.block(block)?;
            if i % LISTS_EVERY == LISTS_EVERY - 1 || i + 1 == history.len() {
                run.compare_lists()?;
            }
        }
        if world.tight {
            run.wind_down()?;
        }
        Ok(run.stats)
    }));
    let what = match outcome {
        Ok(Ok(stats)) => return Ok(stats),
        Ok(Err(e)) => format!("{e:#}"),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string()));
            format!("panic: {}", text.unwrap_or_default())
        }
    };
    Err(Failure { block: at.get(), what })
}

/// A lease whose times nobody foretold, and what was paid for it.
struct Meter {
    price: u128,
    since: Ms,
    paid: u128,
}

struct Run<'a> {
    world: &'a World,
    model: Model,
    /// None only while it is being opened again.
    app: Option<App>,
    dir: TempDir,
    height: i64,
    app_hash: Bytes,
    total: u128,
    meters: BTreeMap<BidId, Meter>,
    /// The next import allows the end of a block all that there is to do.
    hurry: bool,
    stats: Stats,
}

fn time(ms: Ms) -> Option<Timestamp> {
    Some(proto::timestamp(ms))
}

/// In memory if the system has such a place.
fn scratch() -> anyhow::Result<TempDir> {
    let memory = std::path::Path::new("/dev/shm");
    Ok(if memory.is_dir() { tempfile::tempdir_in(memory)? } else { tempfile::tempdir()? })
}

fn open(dir: &TempDir) -> anyhow::Result<App> {
    let mut config = Config::default();
    config.store.sync = false;
    config.store.proof_versions = 1;
    config.store.query_versions = 2;
    config.store.cache_bytes = 8 << 20;
    App::open(dir.path(), config).map_err(|e| anyhow::anyhow!("the application does not open: {e}"))
}

/// The genesis document's state.
fn genesis(world: &World) -> Value {
    let p = &world.params;
    let users = FIRST_USER..FIRST_USER + USERS;
    let accounts: Vec<_> = users
        .clone()
        .map(|who| json!({ "@type": "/cosmos.auth.v1beta1.BaseAccount", "address": CAST.address(who), "pub_key": null, "account_number": "0", "sequence": "0" }))
        .collect();
    let uve = |n: u128| json!({ "denom": "uve", "amount": n.to_string() });
    let balances: Vec<_> =
        users.map(|who| json!({ "address": CAST.address(who), "coins": [uve(world.balances[usize::from(who)])] })).collect();
    let span = |ms: Ms| {
        let d = duration(ms);
        format!("{}.{:03}s", d.seconds, d.nanos / 1_000_000)
    };
    let attributes: Vec<_> =
        wire::attributes(&p.default_attributes).into_iter().map(|a| json!({ "key": a.key, "value": a.value })).collect();
    json!({
        "auth": { "accounts": accounts },
        "bank": { "balances": balances },
        "escrow": { "params": {
            "min_topup": uve(p.min_topup.into()), "min_runway": span(p.min_runway), "depletion_grace": span(p.depletion_grace),
            "usage_cutoff": span(p.usage_cutoff), "final_usage_window": span(p.final_usage_window),
            "min_usage_interval": span(p.min_usage_interval), "max_depositors": p.max_depositors,
        }},
        "provider": { "params": {
            "min_deposit": uve(p.provider_min_deposit.into()), "max_attributes": p.max_attributes, "max_auditors": p.max_auditors,
            "default_attributes": attributes,
        }},
        "encryption": { "params": { "max_keys_per_account": p.max_keys }},
        "deployment": { "params": {
            "min_deposit": uve(p.deployment_min_deposit.into()), "max_groups": p.max_groups, "max_resources_per_group": 2,
        }},
        "market": { "params": {
            "bid_min_deposit": uve(p.bid_min_deposit.into()), "order_ttl": span(p.order_ttl), "closed_retention": span(p.closed_retention),
            "min_lease_time": span(p.min_lease_time), "manifest_timeout": span(p.manifest_timeout), "order_max_bids": p.order_max_bids,
            "end_block_budget": p.end_block_budget,
        }},
    })
}

impl<'a> Run<'a> {
    fn new(world: &'a World) -> anyhow::Result<Self> {
        let dir = scratch()?;
        let app = open(&dir)?;
        let model = world.model();
        let mut run = Run {
            world,
            total: model.ledger.balances.iter().sum(),
            model,
            app: Some(app),
            dir,
            height: FIRST_HEIGHT - 1,
            app_hash: Bytes::new(),
            meters: BTreeMap::new(),
            hurry: false,
            stats: Stats::default(),
        };
        run.init(&genesis(world));
        Ok(run)
    }

    fn app(&self) -> &App {
        self.app.as_ref().expect("open")
    }

    fn init(&mut self, state: &Value) {
        let request = RequestInitChain {
            chain_id: CHAIN.into(),
            time: time(self.model.now),
            app_state_bytes: state.to_string().into_bytes().into(),
            initial_height: self.height + 1,
            ..Default::default()
        };
        self.app_hash = self.app().init_chain(request).app_hash;
    }

    /// Ends while a block is executed and not committed; a start must find the last one.
    fn restart(&mut self) -> anyhow::Result<()> {
        self.app().finalize_block(RequestFinalizeBlock { height: self.height + 1, time: time(self.model.now), ..Default::default() });
        self.app = None;
        self.app = Some(open(&self.dir)?);
        let info = self.app().info(RequestInfo::default());
        ensure!(info.last_block_height == self.height, "opened again at height {}, not {}", info.last_block_height, self.height);
        ensure!(info.last_block_app_hash == self.app_hash, "opened again with another app hash");
        Ok(())
    }

    /// A new chain that goes on from the exported state.
    fn reimport(&mut self) -> anyhow::Result<()> {
        let mut state = self.app().export().map_err(|e| anyhow::anyhow!("export: {e}"))?;
        if self.hurry {
            state["market"]["params"]["end_block_budget"] = json!(10_000);
        }
        let dir = scratch()?;
        self.app = Some(open(&dir)?);
        self.dir = dir;
        self.init(&Value::Object(state.clone()));
        Ok(())
    }

    fn block(&mut self, block: &Block) -> anyhow::Result<()> {
        let committed = self.app().store().height() > 0;
        if block.restart && committed {
            self.restart()?;
        }
        if block.reimport && committed {
            self.reimport()?;
        }
        self.height += 1;
        self.model.now += block.dt;

        // What will happen, before any of it does.
        let mut mempool = self.model.ledger.clone();
        let mut foretold = Vec::new();
        for tx in &block.txs {
            let sequence = self.model.sequence(tx);
            let bytes = Bytes::from(wire::encode(tx, 1 + u64::from(tx.signer - FIRST_USER), sequence));
            let admitted = mempool_admits(&mut mempool, tx, sequence);
            foretold.push((tx, bytes, admitted, self.model.deliver(tx)));
        }
        self.model.end_block();
        self.model.check();

        let ready = self.app().store().height() > 0;
        let seen: Vec<_> = foretold.iter().filter(|f| f.0.checked && ready).collect();
        self.app().prefetch(&seen.iter().map(|f| f.1.clone()).collect::<Vec<_>>());
        for (tx, bytes, admitted, _) in seen {
            let answer = self.app().check_tx(RequestCheckTx { tx: bytes.clone(), r#type: 0 });
            ensure!((answer.code == 0) == *admitted, "CheckTx answers {:?}, foretold was {admitted}: {}", answer.log, show(tx));
        }
        let txs: Vec<Bytes> = foretold.iter().map(|f| f.1.clone()).collect();
        self.propose(&txs)?;
        let request = RequestFinalizeBlock { height: self.height, time: time(self.model.now), txs, ..Default::default() };
        if block.rehearse {
            let txs = request.txs.iter().rev().cloned().chain([Bytes::from_static(b"no transaction")]).collect();
            self.app().finalize_block(RequestFinalizeBlock { txs, ..request.clone() });
        }
        let answer = self.app().finalize_block(request);
        self.app_hash = answer.app_hash.clone();
        self.app().commit();
        self.stats.blocks += 1;

        ensure!(answer.tx_results.len() == foretold.len(), "{} results for {} transactions", answer.tx_results.len(), foretold.len());
        for ((tx, .., foretold), result) in foretold.iter().zip(&answer.tx_results) {
            self.stats.messages += tx.msgs.len() as u64;
            self.stats.accepted += if result.code == 0 { tx.msgs.len() as u64 } else { 0 };
            match self.world.tight {
                true => self.overcharged(tx, result)?,
                false => compare_result(tx, foretold, result)?,
            }
        }
        let stuck = answer.events.iter().find(|e| e.r#type.ends_with("EventItemStuck"));
        ensure!(stuck.is_none(), "an item is stuck: {stuck:?}");
        self.compare_balances()?;
        let broken = self.app().broken().map_err(|e| anyhow::anyhow!("invariants: {e}"))?;
        ensure!(broken.is_empty(), "invariants do not hold: {}", broken.join("; "));
        Ok(())
    }

    fn propose(&self, txs: &[Bytes]) -> anyhow::Result<()> {
        let garbage = Bytes::from_static(b"\x0a\x01no transaction");
        let with_garbage: Vec<_> = txs.iter().cloned().chain([garbage]).collect();
        let request = RequestPrepareProposal { txs: with_garbage.clone(), max_tx_bytes: i64::MAX, ..Default::default() };
        ensure!(self.app().prepare_proposal(request).txs == txs, "the proposal does not hold exactly what can be executed");
        let accepts =
            |txs: &[Bytes]| self.app().process_proposal(RequestProcessProposal { txs: txs.to_vec(), ..Default::default() }).status == 1;
        ensure!(accepts(txs), "a proposal of transactions that all parse is refused");
        ensure!(!accepts(&with_garbage), "a proposal with something that does not parse is accepted");
        Ok(())
    }

    fn balance(&self, who: usize) -> anyhow::Result<u128> {
        let key = [&[2], &CAST.raw[who][..], b"uve"].concat();
        let answer =
            Application::query(self.app(), RequestQuery { path: "/store/bank/key".into(), data: key.into(), ..Default::default() });
        ensure!(answer.code == 0, "the balance of {who} cannot be read: {}", answer.log);
        if answer.value.is_empty() { Ok(0) } else { Ok(std::str::from_utf8(&answer.value)?.parse()?) }
    }

    fn compare_balances(&self) -> anyhow::Result<()> {
        let mut sum = 0;
        for who in 0..usize::from(COUNT) {
            let (got, foretold) = (self.balance(who)?, self.model.ledger.balances[who]);
            ensure!(self.world.tight || got == foretold, "{} has {got}uve, foretold were {foretold}uve", name(who));
            sum += got;
        }
        ensure!(sum == self.total, "there are {sum}uve, there were {}uve", self.total);
        Ok(())
    }

    /// Of what cannot be foretold: nobody pays for more than price × time.
    fn overcharged(&mut self, tx: &Tx, result: &ExecTxResult) -> anyhow::Result<()> {
        if result.code != 0 {
            return Ok(());
        }
        let now = self.model.now;
        let replies = wire::replies(&result.data).context("the data is no list of answers")?;
        for (msg, reply) in tx.msgs.iter().zip(replies) {
            if let Msg::CreateLease { bid } = msg {
                let row: m::QueryBidResponse = self.ask("/virtengine.market.v1.Query/Bid", &{
                    let base::BidId { owner, dseq, gseq, oseq, provider } = wire::bid_id(bid);
                    m::QueryBidRequest { owner, dseq, gseq, oseq, provider }
                })?;
                let price = row.bid.and_then(|b| b.price).context("a bid has a price")?.amount.parse()?;
                self.meters.insert(*bid, Meter { price, since: now, paid: 0 });
            }
            if let (Msg::SubmitUsage { records }, Reply::Usage(paid)) = (msg, reply) {
                for (record, paid) in records.iter().zip(paid) {
                    let meter = self.meters.get_mut(&record.bid).context("usage is paid of a lease that nobody made")?;
                    meter.paid += u128::from(paid.uve);
                    let most = meter.price * u128::from(now - meter.since);
                    ensure!(
                        meter.paid * escrow::UVE <= most,
                        "overcharged: {} uve of {:?} after {} ms",
                        meter.paid,
                        record.bid,
                        now - meter.since
                    );
                }
            }
        }
        Ok(())
    }

    fn ask<Q: Message, A: Message + Default>(&self, path: &str, request: &Q) -> anyhow::Result<A> {
        let answer =
            Application::query(self.app(), RequestQuery { path: path.into(), data: request.encode_to_vec().into(), ..Default::default() });
        ensure!(answer.code == 0, "{path}: {}", answer.log);
        Ok(A::decode(answer.value)?)
    }

    /// Everything that is listed, with its state.
    fn lists(&self) -> anyhow::Result<BTreeSet<String>> {
        let page = || Some(PageRequest { limit: 1000, ..Default::default() });
        let mut all = BTreeSet::new();
        let whole = |rows: usize| if rows < 1000 { Ok(()) } else { bail!("more rows than a page holds") };
        let request = d::QueryDeploymentsRequest { pagination: page(), ..Default::default() };
        let rows: d::QueryDeploymentsResponse = self.ask("/virtengine.deployment.v1.Query/Deployments", &request)?;
        whole(rows.deployments.len())?;
        for row in rows.deployments {
            let deployment = row.deployment.unwrap_or_default();
            let id = deployment.deployment_id.clone().unwrap_or_default();
            all.insert(format!("deployment {}/{} {}", id.owner, id.dseq, deployment.state().as_str_name()));
            for group in row.groups {
                all.insert(format!(
                    "group {}/{}/{} {}",
                    id.owner,
                    id.dseq,
                    group.group_id.clone().unwrap_or_default().gseq,
                    group.state().as_str_name()
                ));
            }
        }
        let request = m::QueryOrdersRequest { pagination: page(), ..Default::default() };
        let rows: m::QueryOrdersResponse = self.ask("/virtengine.market.v1.Query/Orders", &request)?;
        whole(rows.orders.len())?;
        for row in rows.orders {
            let id = row.order_id.clone().unwrap_or_default();
            all.insert(format!("order {}/{}/{}/{} {}", id.owner, id.dseq, id.gseq, id.oseq, row.state().as_str_name()));
        }
        let text = |id: &Option<base::BidId>| {
            let id = id.clone().unwrap_or_default();
            format!("{}/{}/{}/{}/{}", id.owner, id.dseq, id.gseq, id.oseq, id.provider)
        };
        let price = |price: &Option<Coin>| price.as_ref().map_or(String::new(), |c| c.amount.clone());
        let request = m::QueryBidsRequest { pagination: page(), ..Default::default() };
        let rows: m::QueryBidsResponse = self.ask("/virtengine.market.v1.Query/Bids", &request)?;
        whole(rows.bids.len())?;
        all.extend(rows.bids.iter().map(|row| format!("bid {} {} {}", text(&row.bid_id), row.state().as_str_name(), price(&row.price))));
        let request = m::QueryLeasesRequest { pagination: page(), ..Default::default() };
        let rows: m::QueryLeasesResponse = self.ask("/virtengine.market.v1.Query/Leases", &request)?;
        whole(rows.leases.len())?;
        all.extend(
            rows.leases
                .iter()
                .map(|row| format!("lease {} {} {} {}", text(&row.lease_id), row.state().as_str_name(), row.reason, price(&row.price))),
        );
        Ok(all)
    }

    fn compare_lists(&self) -> anyhow::Result<()> {
        if self.world.tight {
            return Ok(());
        }
        let (found, foretold) = (self.lists()?, foretold_lists(&self.model));
        let missing: Vec<_> = foretold.difference(&found).cloned().collect();
        let surplus: Vec<_> = found.difference(&foretold).cloned().collect();
        ensure!(missing.is_empty() && surplus.is_empty(), "lists differ: missing {missing:?}, not foretold {surplus:?}");
        Ok(())
    }

    /// Once the tenants close what they have, nothing stays, however little each block may do.
    fn wind_down(&mut self) -> anyhow::Result<()> {
        let p = &self.world.params;
        let dt = p.closed_retention + p.order_ttl + 3_600_000;
        let mut last = Block { dt, ..Block::default() };
        for (at, _) in self.lists()?.iter().filter_map(|line| line.strip_prefix("deployment ")?.split_once(" active")) {
            let (owner, dseq) = at.split_once('/').context("an id has two parts")?;
            let signer = CAST.addresses.iter().position(|a| a == owner).context("a tenant is an actor")? as u16;
            let msgs = vec![Msg::CloseDeployment { dseq: dseq.parse()? }];
            last.txs.push(Tx { signer, fee: 0, fault: None, checked: true, msgs });
        }
        self.block(&last)?;
        for i in 1..=WIND_DOWN {
            self.hurry = i == PATIENCE;
            self.block(&Block { dt, reimport: self.hurry, ..Block::default() })?;
            if i % 10 == 0 && self.lists()?.is_empty() {
                return Ok(());
            }
        }
        bail!("something stays in the state for ever: {:?}", self.lists()?)
    }
}

fn mempool_admits(mempool: &mut Ledger, tx: &Tx, sequence: u64) -> bool {
    tx.checked && mempool.admit(tx, sequence).is_ok()
}

fn show(tx: &Tx) -> String {
    serde_json::to_string(tx).unwrap_or_default()
}

fn name(who: usize) -> String {
    let kind = match who as u16 {
        0 => "escrow".into(),
        1 => "the fee collector".into(),
        n if n >= COUNT - RECEIVERS => format!("receiver {n}"),
        n => format!("user {n}"),
    };
    format!("{kind} ({})", CAST.addresses[who])
}

fn compare_result(tx: &Tx, foretold: &Result<Vec<Reply>, &'static str>, result: &ExecTxResult) -> anyhow::Result<()> {
    match foretold {
        Ok(replies) => {
            ensure!(result.code == 0, "refused ({:?}), foretold to succeed: {}", result.log, show(tx));
            let got = wire::replies(&result.data).context("the data is no list of answers")?;
            ensure!(got == *replies, "answered {got:?}, foretold was {replies:?}: {}", show(tx));
        }
        Err(why) => ensure!(result.code != 0, "accepted, foretold to be refused ({why}): {}", show(tx)),
    }
    Ok(())
}

fn foretold_lists(model: &Model) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (id, d) in &model.deployments {
        let dry = matches!(d.account.state, escrow::State::Depleted(_));
        let at = format!("{}/{}", CAST.address(id.owner), id.dseq);
        all.insert(format!("deployment {at} {}", if d.active { "active" } else { "closed" }));
        for (gseq, group) in (1..).zip(&d.groups) {
            let state = match group.state {
                GroupState::Open if dry => "insufficient_funds",
                GroupState::Open => "open",
                GroupState::Paused => "paused",
                GroupState::Closed => "closed",
            };
            all.insert(format!("group {at}/{gseq} {state}"));
        }
        for ((gseq, oseq), order) in &d.orders {
            let at = format!("{at}/{gseq}/{oseq}");
            let state = match order.state {
                OrderState::Open => "open",
                OrderState::Active => "active",
                OrderState::Closed => "closed",
            };
            all.insert(format!("order {at} {state}"));
            for (who, bid) in &order.bids {
                let state = match bid.state {
                    BidState::Open => "open",
                    BidState::Active => "active",
                    BidState::Lost => "lost",
                    BidState::Closed => "closed",
                };
                all.insert(format!("bid {at}/{} {state} {}", CAST.address(*who), bid.price));
            }
            if let Some(lease) = &order.lease {
                let (state, reason) = match lease.closed {
                    Some((reason, _)) => ("closed", reason),
                    None if dry => ("insufficient_funds", 0),
                    None => ("active", 0),
                };
                let price = order.bids[&lease.provider].price;
                all.insert(format!("lease {at}/{} {state} {reason} {price}", CAST.address(lease.provider)));
            }
        }
    }
    all
}
