//! A chain without transactions and consensus: the modules, a memory store and a clock.

use auth::Auth;
use bank::Bank;
use deployment::Deployments;
use encryption::Encryption;
use escrow::Escrow;
use kernel::{Address, BidId, BlockInfo, Ctx, DENOM, DeploymentId, Event, Gas, MemBase, Module, OrderId, Registry, View};
use market::Market;
use proto::cosmos::base::v1beta1::Coin;
use proto::virtengine::base::v1 as base;
use proto::virtengine::deployment::v1 as d;
use proto::virtengine::escrow::v1 as e;
use proto::virtengine::market::v1 as m;
use proto::virtengine::provider::v1 as p;
use proto::{Duration, Timestamp};
use provider::Providers;
use serde_json::{Value, json};
use std::sync::Arc;

pub const SECOND: u64 = 1000;
pub const MINUTE: u64 = 60 * SECOND;
pub const HOUR: u64 = 60 * MINUTE;
pub const DAY: u64 = 24 * HOUR;
/// The time of the first block, in ms.
pub const START: u64 = 1_700_000_000_000;
/// What every account has at first, in uve.
pub const PURSE: u128 = 1_000_000_000_000;

pub fn account(n: u8) -> Address {
    Address::new(&[n; 20]).expect("20 bytes")
}

pub fn alice() -> Address {
    account(1)
}
pub fn bob() -> Address {
    account(2)
}
/// The provider of most scenarios; its operator and its payout address.
pub fn paul() -> Address {
    account(3)
}
pub fn olga() -> Address {
    account(4)
}
pub fn peter() -> Address {
    account(5)
}
/// Further providers.
pub fn provider(n: u8) -> Address {
    account(100 + n)
}

pub fn uve(n: u64) -> Option<Coin> {
    coin(&n.to_string(), DENOM)
}

pub fn coin(amount: &str, denom: &str) -> Option<Coin> {
    Some(Coin { denom: denom.into(), amount: amount.into() })
}

pub fn at(ms: u64) -> Option<Timestamp> {
    Some(Timestamp { seconds: (ms / 1000) as i64, nanos: (ms % 1000) as i32 * 1_000_000 })
}

/// The lab's group: half a core, 512 MiB, 1 GiB, region local, at most 100 uve per hour.
pub fn lab_group() -> d::GroupSpec {
    d::GroupSpec {
        name: "dcloud".into(),
        requirements: Some(base::PlacementRequirements { signed_by: None, attributes: vec![attribute("region", "local")] }),
        resources: vec![base::ResourceUnit {
            id: 1,
            cpu_milli: 500,
            memory: 512 << 20,
            storage: vec![base::Storage { name: "default".into(), size: 1 << 30, attributes: vec![] }],
            count: 1,
            ..Default::default()
        }],
        price: uve(100),
        reclamation_window: None,
    }
}

pub fn attribute(key: &str, value: &str) -> base::Attribute {
    base::Attribute { key: key.into(), value: value.into() }
}

pub fn window(ms: u64) -> Option<Duration> {
    Some(Duration { seconds: (ms / 1000) as i64, nanos: (ms % 1000) as i32 * 1_000_000 })
}

pub struct World {
    pub base: MemBase,
    pub time: u64,
    pub height: u64,
    /// Of the last transaction or end of block.
    pub events: Vec<Event>,
    pub auth: Arc<Auth>,
    pub bank: Arc<Bank>,
    pub escrow: Arc<Escrow>,
    pub providers: Arc<Providers>,
    pub encryption: Arc<Encryption>,
    pub deployments: Arc<Deployments>,
    pub market: Arc<Market>,
}

/// Short windows, so that scenarios stay readable: those of a local network, with the default deposits.
pub fn params() -> Value {
    json!({
        "escrow": {"params": {
            "min_runway": "60s", "min_usage_interval": "10s", "final_usage_window": "300s", "depletion_grace": "600s", "usage_cutoff": "600s",
        }},
        "provider": {"params": {
            "min_deposit": {"denom": "uve", "amount": "1000000000"}, "max_attributes": 100, "max_auditors": 32,
            "default_attributes": [{"key": "region", "value": "local"}],
        }},
        "market": {"params": {
            "order_ttl": "3600s", "closed_retention": "3600s", "min_lease_time": "120s", "manifest_timeout": "120s", "order_max_bids": 3,
        }},
    })
}

impl World {
    pub fn new() -> Self {
        World::with(params())
    }

    /// With the given sections of a genesis document; accounts 1 to 5 and 100 to 150 have a full purse.
    pub fn with(genesis: Value) -> Self {
        let mut world = World::empty();
        let rich = (1..=5u8)
            .chain(100..=150)
            .map(|n| json!({"address": account(n).to_string(), "coins": [{"denom": DENOM, "amount": PURSE.to_string()}]}));
        let mut genesis = genesis;
        if genesis["bank"].is_null() {
            genesis["bank"] = json!({"balances": rich.collect::<Vec<_>>()});
        }
        world.init(&genesis);
        world
    }

    #[allow(clippy::disallowed_methods)] // a scenario stands in for the application
    pub fn empty() -> Self {
        let mut registry = Registry::default();
        let auth = Arc::new(Auth::new(registry.claim("acc", 1)));
        let bank = Arc::new(Bank::new(registry.claim("bank", 2), auth.clone()));
        let escrow = Arc::new(Escrow::new(registry.claim("escrow", 4), bank.clone(), auth.clone()));
        let providers = Arc::new(Providers::new(registry.claim("provider", 5), escrow.clone()));
        let encryption = Arc::new(Encryption::new(registry.claim("encryption", 6)));
        let deployments = Arc::new(Deployments::new(registry.claim("deployment", 7), escrow.clone()));
        let market = Market::new(registry.claim("market", 8), deployments.clone(), providers.clone(), escrow.clone(), encryption.clone());
        World {
            base: MemBase::default(),
            time: START,
            height: 1,
            events: vec![],
            auth,
            bank,
            escrow,
            providers,
            encryption,
            deployments,
            market: Arc::new(market),
        }
    }

    pub fn modules(&self) -> [Arc<dyn Module>; 7] {
        [
            self.auth.clone(),
            self.bank.clone(),
            self.escrow.clone(),
            self.providers.clone(),
            self.encryption.clone(),
            self.deployments.clone(),
            self.market.clone(),
        ]
    }

    pub fn init(&mut self, genesis: &Value) {
        let mut ctx = self.ctx();
        for module in self.modules() {
            let section = genesis.get(module.name()).unwrap_or(&Value::Null);
            if let Err(error) = module.init_genesis(&mut ctx, section) {
                panic!("genesis of {}: {error}", module.name());
            }
        }
        self.base.apply(ctx.into_writes());
        self.check();
    }

    pub fn export(&self) -> Value {
        let view = self.view();
        self.modules().iter().map(|m| (m.name().to_string(), m.export_genesis(&view).expect("the state can be exported"))).collect()
    }

    pub fn view(&self) -> View {
        let block = BlockInfo { chain_id: "test-1".into(), height: self.height, time_ms: self.time };
        View::new(Arc::new(self.base.clone()), block, Gas::unlimited())
    }

    pub fn ctx(&self) -> Ctx {
        Ctx::new(self.view())
    }

    /// Runs one transaction; on success its writes are kept, on an error there are none.
    pub fn run<T, E: Into<kernel::Error>>(&mut self, f: impl FnOnce(&World, &mut Ctx) -> Result<T, E>) -> Result<T, kernel::Error> {
        let mut ctx = self.ctx();
        let result = ctx.atomic(|ctx| f(self, ctx).map_err(Into::into));
        self.events = ctx.take_events();
        if result.is_err() {
            assert!(ctx.writes().is_empty(), "a refused transaction changed the state");
            assert!(self.events.is_empty(), "a refused transaction emitted events");
        }
        self.base.apply(ctx.into_writes());
        self.check();
        result
    }

    pub fn ok<T, E: Into<kernel::Error>>(&mut self, f: impl FnOnce(&World, &mut Ctx) -> Result<T, E>) -> T {
        match self.run(f) {
            Ok(value) => value,
            Err(error) => panic!("refused: {error}"),
        }
    }

    /// The text of the refusal.
    pub fn refused<T, E: Into<kernel::Error>>(&mut self, f: impl FnOnce(&World, &mut Ctx) -> Result<T, E>) -> String {
        match self.run(f) {
            Ok(_) => panic!("accepted, which was not expected"),
            Err(error) => error.log,
        }
    }

    /// Ends the block `ms` later; returns the gas that this took.
    pub fn block(&mut self, ms: u64) -> u64 {
        self.time += ms;
        self.height += 1;
        let mut ctx = self.ctx();
        self.market.end_block(&mut ctx).expect("the end of a block does not fail");
        self.events = ctx.take_events();
        let gas = ctx.gas().used();
        self.base.apply(ctx.into_writes());
        self.check();
        gas
    }

    /// Every invariant of every module.
    pub fn check(&self) {
        let view = self.view();
        for module in self.modules() {
            let broken = module.broken(&view).expect("invariants can be read");
            assert!(broken.is_empty(), "{}: {broken:#?}", module.name());
        }
    }

    // --- what scenarios read

    pub fn balance(&self, who: Address) -> u128 {
        self.bank.balance(&self.view(), &who, DENOM).expect("a balance can be read")
    }

    /// uve that `who` has spent and not got back.
    pub fn spent(&self, who: Address) -> i128 {
        PURSE as i128 - self.balance(who) as i128
    }

    /// The short names of the last transaction's typed events, in order.
    pub fn event_names(&self) -> Vec<String> {
        let typed = |e: &Event| match e {
            Event::Typed { name, .. } => Some(name.rsplit('.').next().unwrap_or_default().to_string()),
            _ => None,
        };
        self.events.iter().filter_map(typed).collect()
    }

    pub fn count_events(&self, name: &str) -> usize {
        self.event_names().iter().filter(|n| *n == name).count()
    }

    pub fn deployment(&self, id: DeploymentId) -> d::QueryDeploymentResponse {
        let request = d::QueryDeploymentRequest { owner: id.owner.to_string(), dseq: id.dseq };
        self.deployments.query_deployment(&self.view(), request).expect("the deployment exists")
    }

    pub fn group_state(&self, id: DeploymentId, gseq: u32) -> d::group::State {
        self.deployment(id).groups[gseq as usize - 1].state()
    }

    pub fn order(&self, id: OrderId) -> m::Order {
        let base::OrderId { owner, dseq, gseq, oseq } = id.into();
        let request = m::QueryOrderRequest { owner, dseq, gseq, oseq };
        self.market.query_order(&self.view(), request).expect("the order exists").order.expect("it is in the answer")
    }

    pub fn bid(&self, id: BidId) -> m::Bid {
        let base::BidId { owner, dseq, gseq, oseq, provider } = id.into();
        let request = m::QueryBidRequest { owner, dseq, gseq, oseq, provider };
        self.market.query_bid(&self.view(), request).expect("the bid exists").bid.expect("it is in the answer")
    }

    pub fn lease(&self, id: BidId) -> m::QueryLeaseResponse {
        let base::BidId { owner, dseq, gseq, oseq, provider } = id.into();
        let request = m::QueryLeaseRequest { owner, dseq, gseq, oseq, provider };
        self.market.query_lease(&self.view(), request).expect("the lease exists")
    }

    pub fn lease_state(&self, id: BidId) -> m::lease::State {
        self.lease(id).lease.expect("it is in the answer").state()
    }

    pub fn holds(&self, who: Address) -> u64 {
        self.providers.holds(&self.view(), &who).expect("holds can be read")
    }

    pub fn account(&self, id: DeploymentId) -> e::AccountStatus {
        self.deployment(id).escrow_account.expect("a deployment has an account")
    }

    pub fn spendable(&self, id: DeploymentId) -> u64 {
        self.account(id).spendable.expect("an amount").amount.parse().expect("digits")
    }

    // --- what scenarios do

    /// Registers a provider with the attribute region=local.
    pub fn register(&mut self, owner: Address) {
        self.register_with(owner, p::Details::default());
    }

    pub fn register_with(&mut self, owner: Address, details: p::Details) {
        let details = p::Details { name: "provider".into(), contact: "ops@example.com".into(), ..details };
        let msg = p::MsgCreateProvider { owner: owner.to_string(), details: Some(details), deposit: uve(1_000_000_000) };
        self.ok(|w, ctx| w.providers.create(ctx, msg));
    }

    /// Registers paul, for whom olga acts and peter is paid.
    pub fn register_paul(&mut self) {
        self.register_with(paul(), p::Details { operator: olga().to_string(), payout: peter().to_string(), ..Default::default() });
    }

    pub fn deploy(&mut self, owner: Address, groups: Vec<d::GroupSpec>, deposit: u64) -> DeploymentId {
        let msg = create_deployment(owner, groups, deposit);
        let dseq = self.ok(|w, ctx| w.market.create_deployment(ctx, msg)).dseq;
        DeploymentId { owner, dseq }
    }

    /// Alice's lab deployment with 10 VE.
    pub fn deploy_lab(&mut self) -> DeploymentId {
        self.deploy(alice(), vec![lab_group()], 10_000_000)
    }

    pub fn make_bid(&mut self, order: OrderId, provider: Address, price: u64) -> BidId {
        let id = order.bid(provider);
        let msg = create_bid(id, price);
        self.ok(|w, ctx| w.market.create_bid(ctx, msg));
        id
    }

    pub fn make_lease(&mut self, id: BidId) {
        let msg = m::MsgCreateLease { owner: id.owner().to_string(), bid_id: Some(id.into()) };
        self.ok(|w, ctx| w.market.create_lease(ctx, msg));
    }

    /// A lease between alice and paul at 50 uve per hour.
    pub fn lab_lease(&mut self) -> BidId {
        self.register_paul();
        let deployment = self.deploy_lab();
        let id = self.make_bid(deployment.group(1).order(1), paul(), 50);
        self.make_lease(id);
        id
    }

    pub fn end_lease(&mut self, id: BidId, reoffer: bool) -> u32 {
        let msg = m::MsgCloseLease { owner: id.owner().to_string(), lease_id: Some(id.into()), reoffer };
        self.ok(|w, ctx| w.market.close_lease(ctx, msg)).oseq
    }

    pub fn end_deployment(&mut self, id: DeploymentId) {
        let msg = d::MsgCloseDeployment { owner: id.owner.to_string(), dseq: id.dseq };
        self.ok(|w, ctx| w.market.close_deployment(ctx, msg));
    }

    pub fn top_up(&mut self, id: DeploymentId, depositor: Address, amount: u64) {
        let msg = e::MsgDeposit { depositor: depositor.to_string(), deployment_id: Some(id.into()), amount: uve(amount) };
        self.ok(|w, ctx| w.market.deposit(ctx, msg));
    }
}

pub fn create_deployment(owner: Address, groups: Vec<d::GroupSpec>, deposit: u64) -> d::MsgCreateDeployment {
    d::MsgCreateDeployment { owner: owner.to_string(), dseq: 0, groups, hash: vec![7; 32], deposit: uve(deposit) }
}

pub fn create_bid(id: BidId, price: u64) -> m::MsgCreateBid {
    m::MsgCreateBid { signer: id.provider.to_string(), bid_id: Some(id.into()), price: uve(price), deposit: uve(5_000_000) }
}

/// A record of a lab lease from `start` to `end` that used `thousandths` of what the group reserves.
pub fn record(lease: BidId, sequence: u64, start: u64, end: u64, thousandths: u64) -> e::UsageRecord {
    let used = |reserved: u64| (u128::from(reserved) * u128::from(end - start) * u128::from(thousandths) / 1_000_000) as u64;
    e::UsageRecord {
        lease_id: Some(lease.into()),
        sequence,
        start_time: at(start),
        end_time: at(end),
        resources: Some(e::ResourceTotals {
            cpu_milli_seconds: used(500),
            memory_byte_seconds: used(512 << 20),
            storage_byte_seconds: used(1 << 30),
            gpu_seconds: 0,
        }),
    }
}

pub fn submit(signer: Address, records: Vec<e::UsageRecord>) -> e::MsgSubmitUsage {
    e::MsgSubmitUsage { signer: signer.to_string(), records }
}
