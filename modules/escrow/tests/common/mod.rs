//! A chain of three modules in memory, with a clock.
#![allow(dead_code)] // each test file uses its part

use auth::Auth;
use bank::Bank;
use escrow::types::{Account, AccountId, GRAINS, Happened, Meter, Outcome, Record};
use escrow::{Error, Escrow};
use kernel::*;
use proto::virtengine::escrow::v1 as wire;
use std::sync::Arc;

/// Block time of the first block, in milliseconds.
pub const T0: u64 = 1_700_000_000_000;
pub const SECOND: u64 = 1000;
pub const MINUTE: u64 = 60 * SECOND;
pub const HOUR: u64 = 60 * MINUTE;
/// What everybody has at the start, in uve.
pub const RICH: u64 = 1_000_000_000;

pub fn person(n: u8) -> Address {
    Address::new(&[n; 20]).unwrap()
}
pub fn alice() -> Address {
    person(1)
}
pub fn bob() -> Address {
    person(2)
}
pub fn carol() -> Address {
    person(3)
}
pub fn provider() -> Address {
    person(9)
}
/// Where the provider wants its earnings.
pub fn payout() -> Address {
    person(10)
}
/// Alice's deployment.
pub fn dep() -> DeploymentId {
    DeploymentId { owner: alice(), dseq: 1 }
}
pub fn account() -> AccountId {
    AccountId::Deployment(dep())
}
/// The provider's lease on group `gseq` of alice's deployment.
pub fn lease(gseq: u32) -> BidId {
    dep().group(gseq).order(1).bid(provider())
}

/// Parameters with a runway of 1 minute, windows of 5, grace and cutoff of 10 minutes, records of at least 10 s.
pub fn lab_params() -> serde_json::Value {
    serde_json::json!({
        "min_topup": {"denom": "uve", "amount": "10"}, "min_runway": "60s", "depletion_grace": "600s", "usage_cutoff": "600s",
        "final_usage_window": "300s", "min_usage_interval": "10s", "max_depositors": 3
    })
}

pub struct World {
    pub base: MemBase,
    pub ctx: Ctx,
    pub bank: Arc<Bank>,
    pub escrow: Arc<Escrow>,
    /// Leases that escrow told to close.
    pub evicted: Vec<BidId>,
    /// Check the invariants after each operation, and not only after each block.
    pub each: bool,
}

#[allow(clippy::disallowed_methods)] // a test plays the application
pub fn modules() -> (Arc<Auth>, Arc<Bank>, Arc<Escrow>) {
    let mut registry = Registry::default();
    let auth = Arc::new(Auth::new(registry.claim("acc", 1)));
    let bank = Arc::new(Bank::new(registry.claim("bank", 2), auth.clone()));
    let escrow = Arc::new(Escrow::new(registry.claim("escrow", 4), bank.clone(), auth.clone()));
    (auth, bank, escrow)
}

fn ctx(base: &MemBase, time_ms: u64) -> Ctx {
    let block = BlockInfo { chain_id: "test-1".into(), height: 1, time_ms };
    Ctx::new(View::new(Arc::new(base.clone()), block, Gas::unlimited()))
}

impl World {
    pub fn new(params: serde_json::Value) -> Self {
        let (auth, bank, escrow) = modules();
        let base = MemBase::default();
        let mut ctx = ctx(&base, T0);
        let none = serde_json::Value::Null;
        auth.init_genesis(&mut ctx, &none).unwrap();
        bank.init_genesis(&mut ctx, &none).unwrap();
        for n in 1..=8 {
            bank.genesis_credit(&mut ctx, &person(n), &[(DENOM.into(), RICH.into())]).unwrap();
        }
        bank.genesis_credit(&mut ctx, &provider(), &[(DENOM.into(), RICH.into())]).unwrap();
        escrow.init_genesis(&mut ctx, &serde_json::json!({ "params": params })).unwrap();
        World { base, ctx, bank, escrow, evicted: Vec::new(), each: true }
    }

    /// With [`lab_params`].
    pub fn lab() -> Self {
        World::new(lab_params())
    }

    /// In a lab: alice's deployment with `deposit` uve.
    pub fn funded(deposit: u64) -> Self {
        let mut w = World::lab();
        w.tx(|e, ctx| e.open(ctx, account(), &alice(), &alice(), deposit)).unwrap();
        w
    }

    /// In a lab: alice's deployment with `deposit` uve and a lease that costs 1 uve per second since T0.
    pub fn leased(deposit: u64) -> Self {
        let mut w = World::funded(deposit);
        w.open_payment(1, 3600).unwrap();
        w
    }

    /// Commits, and begins a block at `time` without ending the old one as market would.
    pub fn at(&mut self, time: u64) -> &mut Self {
        let old = std::mem::replace(&mut self.ctx, ctx(&MemBase::default(), time));
        self.base.apply(old.into_writes());
        self.ctx = ctx(&self.base, time);
        self
    }

    /// Ends the block at `time` and all due blocks are one: what market does at the end of a block.
    pub fn block_at(&mut self, time: u64) -> &mut Self {
        self.at(time);
        self.end_block();
        self
    }

    pub fn end_block(&mut self) {
        for id in self.escrow.due(&self.ctx, 1000).unwrap() {
            self.touch_as_market(&id);
        }
        assert_eq!(self.escrow.due(&self.ctx, 1).unwrap(), [], "what was due has been done");
        self.check();
    }

    /// Touches, and closes the leases whose grace is over.
    pub fn touch_as_market(&mut self, id: &DeploymentId) -> Vec<Happened> {
        let happened = self.escrow.touch(&mut self.ctx, id).unwrap();
        for h in &happened {
            if let Happened::GraceOver { leases } = h {
                self.evicted.extend(leases);
                for lease in leases {
                    self.escrow.close_lease(&mut self.ctx, lease).unwrap();
                }
            }
        }
        happened
    }

    /// Runs an operation; a refused one must have written and announced nothing.
    pub fn tx<T>(&mut self, f: impl FnOnce(&Escrow, &mut Ctx) -> Result<T, Error>) -> Result<T, Error> {
        let (writes, events) = (self.ctx.writes(), self.ctx.events().len());
        let escrow = self.escrow.clone();
        let result = f(&escrow, &mut self.ctx);
        match &result {
            Ok(_) if self.each => self.check(),
            Ok(_) => {}
            Err(_) => assert_eq!((self.ctx.writes(), self.ctx.events().len()), (writes, events), "a refusal changed something"),
        }
        result
    }

    /// Every invariant holds.
    pub fn check(&self) {
        assert_eq!(self.escrow.broken(&self.ctx).unwrap(), Vec::<String>::new());
    }

    pub fn deposit(&mut self, who: Address, uve: u64) -> Result<(), Error> {
        self.tx(|e, ctx| e.deposit(ctx, account(), &who, uve))
    }
    pub fn open_payment(&mut self, gseq: u32, price: u64) -> Result<(), Error> {
        self.tx(|e, ctx| e.open_payment(ctx, &lease(gseq), price))
    }
    pub fn close_lease(&mut self, gseq: u32) -> Result<(), Error> {
        self.tx(|e, ctx| e.close_lease(ctx, &lease(gseq)))
    }
    pub fn close(&mut self) -> Result<(), Error> {
        self.tx(|e, ctx| e.close(ctx, account()))
    }

    /// A record of lease 1: times in milliseconds after T0.
    pub fn record(&mut self, sequence: u64, start: u64, end: u64, served_ms: u64) -> Result<Outcome, Error> {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&served_ms.to_be_bytes());
        let record = Record { sequence, start_ms: T0 + start, end_ms: T0.saturating_add(end), served_ms, hash };
        self.tx(|e, ctx| e.record(ctx, &lease(1), record, &payout()))
    }

    pub fn balance(&self, who: Address) -> u64 {
        self.bank.balance(&self.ctx, &who, DENOM).unwrap().try_into().unwrap()
    }
    /// What somebody is short of since genesis.
    pub fn spent(&self, who: Address) -> u64 {
        RICH - self.balance(who)
    }
    /// Whether genesis made them rich.
    pub fn spent_from_start(&self, who: Address) -> bool {
        (1..=9).any(|n| who == person(n))
    }
    pub fn held_by_escrow(&self) -> u64 {
        self.balance(module_address("escrow"))
    }
    pub fn row(&self) -> Account {
        self.escrow.account(&self.ctx, &account()).unwrap().unwrap()
    }
    pub fn meter(&self, gseq: u32) -> Meter {
        self.escrow.meter(&self.ctx, &lease(gseq)).unwrap().unwrap()
    }
    pub fn status(&self) -> wire::AccountStatus {
        self.escrow.status(&self.ctx, &account()).unwrap().unwrap()
    }
    /// Depositors and what they have left, in grains.
    pub fn deposits(&self) -> Vec<(Address, u128)> {
        self.row().deposits.iter().map(|d| (d.depositor, d.grains)).collect()
    }
    /// Kinds of the events since the last call, without bank's.
    pub fn events(&mut self) -> Vec<String> {
        let events = self.ctx.take_events();
        let name = |e: &Event| match e {
            Event::Typed { name, .. } => Some(name.trim_start_matches("virtengine.escrow.v1.Event").to_string()),
            _ => None,
        };
        events.iter().filter_map(name).collect()
    }
}

pub fn uve(n: u64) -> u128 {
    u128::from(n) * GRAINS
}

pub fn amount(coin: &Option<proto::cosmos::base::v1beta1::Coin>) -> u64 {
    let coin = coin.as_ref().unwrap();
    assert_eq!(coin.denom, "uve");
    coin.amount.parse().unwrap()
}
