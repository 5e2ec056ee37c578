//! What the chain must do, worked out a second time and the simplest way: no indexes, no queues, no sums that are kept up
//! to date, no laziness. It sees messages and block times and nothing of the application, so what it says of a balance was
//! said before the block was executed. Only the names of the wire (which reason has which number) are the chain's.

pub mod escrow;
pub mod market;

use escrow::{Claim, Paid};
use market::{BidState, Deployment};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Milliseconds.
pub type Ms = u64;
/// One who has money: an index into the actors.
pub type Who = u16;
/// Group and order of a deployment.
pub type Slot = (u32, u32);
/// Why something is refused, for people who read a replay.
pub type Refused = &'static str;

pub const ESCROW: Who = 0;
pub const COLLECTOR: Who = 1;
/// Numbers of deployments are below this.
const MAX_DSEQ: u64 = 1 << 53;
const YEAR: Ms = 365 * 24 * 3_600_000;

#[derive(Debug, Clone)]
pub struct Params {
    pub provider_min_deposit: u64,
    pub max_attributes: u64,
    pub max_auditors: u64,
    pub default_attributes: Vec<Attribute>,
    pub deployment_min_deposit: u64,
    pub max_groups: u64,
    pub bid_min_deposit: u64,
    pub min_topup: u64,
    pub min_runway: Ms,
    pub depletion_grace: Ms,
    pub usage_cutoff: Ms,
    pub final_usage_window: Ms,
    pub min_usage_interval: Ms,
    pub max_depositors: u64,
    pub order_ttl: Ms,
    pub closed_retention: Ms,
    pub min_lease_time: Ms,
    pub manifest_timeout: Ms,
    pub order_max_bids: u64,
    pub end_block_budget: u64,
    pub max_keys: u64,
}

// --- messages

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Amount {
    Uve(u64),
    /// Of another denomination.
    Other(u64),
    /// In uve, and not in plain digits.
    Text(String),
    None,
}

impl Amount {
    pub fn uve(&self, min: u64) -> Result<u64, Refused> {
        match self {
            Amount::Uve(n) if *n >= min => Ok(*n),
            Amount::Uve(_) => Err("the amount is too small"),
            _ => Err("the amount is not in plain uve"),
        }
    }
}

/// A key and a value, by number.
pub type Attribute = (u8, u8);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    pub named: bool,
    pub attributes: Vec<Attribute>,
    pub operator: Option<Who>,
    pub payout: Option<Who>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    pub price: Amount,
    pub attributes: Vec<Attribute>,
    pub all_of: Vec<Who>,
    pub any_of: Vec<Who>,
    pub reclaim: Option<Ms>,
    /// CPU in thousandths, bytes of memory and storage, GPUs; of each of `count` replicas.
    pub unit: [u64; 4],
    pub count: u32,
}

impl Spec {
    pub fn ceiling(&self) -> u64 {
        self.price.uve(1).unwrap_or(0)
    }

    pub fn reserved(&self, i: usize) -> u128 {
        u128::from(self.unit[i]) * u128::from(self.count)
    }

    fn check(&self) -> Result<(), Refused> {
        self.price.uve(1)?;
        unique(&self.attributes)?;
        if self.reclaim.is_some_and(|ms| ms == 0 || ms > YEAR) {
            return Err("the reclamation window is out of range");
        }
        if self.count == 0 || self.unit[..3].contains(&0) {
            return Err("a resource is missing");
        }
        if (0..4).any(|i| self.reserved(i) > u64::MAX.into()) {
            return Err("resources add up to too much");
        }
        for list in [&self.all_of, &self.any_of] {
            if list.iter().collect::<BTreeSet<_>>().len() < list.len() {
                return Err("an auditor stands twice");
            }
        }
        Ok(())
    }

    /// Milliseconds for which all of the reserved resources together were used.
    pub fn served(&self, used: &[u64; 4]) -> Ms {
        let reserved = (0..4).filter(|i| self.reserved(*i) > 0);
        let least = reserved.map(|i| u128::from(used[i]) * 1000 / self.reserved(i)).min();
        least.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(u64::MAX)
    }
}

fn unique(attributes: &[Attribute]) -> Result<(), Refused> {
    let keys: BTreeSet<u8> = attributes.iter().map(|a| a.0).collect();
    if keys.len() == attributes.len() { Ok(()) } else { Err("an attribute stands twice") }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Id {
    pub owner: Who,
    pub dseq: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BidId {
    pub id: Id,
    pub gseq: u32,
    pub oseq: u32,
    pub provider: Who,
}

impl BidId {
    pub fn slot(&self) -> Slot {
        (self.gseq, self.oseq)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub bid: BidId,
    pub claim: Claim,
}

/// Recipient keys are numbers, each owner's other keys than anybody else's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Msg {
    Send { to: Who, amount: Amount },
    MultiSend { total: Amount, outputs: Vec<(Who, u64)> },
    CreateProvider { details: Details, deposit: Amount },
    UpdateProvider { details: Details },
    SetStatus { status: i32 },
    DeleteProvider,
    Sign { provider: Who, attributes: Vec<Attribute> },
    Unsign { provider: Who },
    RegisterKey { key: u8, expires: Option<Ms> },
    RotateKey { old: u8, key: u8, expires: Option<Ms> },
    RevokeKey { key: u8 },
    RelabelKey { key: u8, length: usize },
    CreateDeployment { dseq: u64, groups: Vec<Spec>, deposit: Amount, hash: usize },
    UpdateDeployment { dseq: u64, hash: usize },
    CloseDeployment { dseq: u64 },
    CloseGroup { dseq: u64, gseq: u32 },
    PauseGroup { dseq: u64, gseq: u32 },
    StartGroup { dseq: u64, gseq: u32 },
    CreateBid { bid: BidId, price: Amount, deposit: Amount },
    CloseBid { bid: BidId, reason: i32 },
    CreateLease { bid: BidId },
    CloseLease { bid: BidId, reoffer: bool },
    StartReclaim { bid: BidId },
    SendManifest { bid: BidId, recipients: Vec<(Who, u8)> },
    Deposit { id: Id, amount: Amount },
    WithdrawSpare { dseq: u64 },
    SubmitUsage { records: Vec<Record> },
}

/// A transaction: one signer, who also pays the fee.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tx {
    pub signer: Who,
    pub fee: u64,
    pub fault: Option<Fault>,
    /// Whether the mempool sees it before its block.
    pub checked: bool,
    pub msgs: Vec<Msg>,
}

/// What is wrong with a transaction before its messages count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    Sequence(i8),
    Signature,
    Timeout,
    Memo,
    Gas,
}

/// What a message answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Done,
    Dseq(u64),
    Oseq(u32),
    Spare(u64),
    Usage(Vec<Paid>),
}

// --- state

#[derive(Debug, Clone, Default)]
pub struct Ledger {
    pub balances: Vec<u128>,
    pub sequences: Vec<u64>,
}

impl Ledger {
    pub fn pay(&mut self, from: Who, to: Who, uve: u128) -> Result<(), Refused> {
        let purse = &mut self.balances[usize::from(from)];
        *purse = purse.checked_sub(uve).ok_or("the balance is too small")?;
        self.balances[usize::from(to)] += uve;
        Ok(())
    }

    /// Money leaves escrow.
    pub fn release(&mut self, to: Who, uve: u128) {
        self.pay(ESCROW, to, uve).expect("the model's escrow holds what it owes");
    }

    /// What happens before the messages of a transaction that was signed with `sequence`.
    pub fn admit(&mut self, tx: &Tx, sequence: u64) -> Result<(), Refused> {
        if !matches!(tx.fault, None | Some(Fault::Sequence(_))) || sequence != self.sequences[usize::from(tx.signer)] {
            return Err("the transaction is at fault");
        }
        self.pay(tx.signer, COLLECTOR, tx.fee.into()).map_err(|_| "the fee is not covered")?;
        self.sequences[usize::from(tx.signer)] += 1;
        Ok(())
    }
}

/// What rules are applied with.
pub struct Env<'a> {
    pub now: Ms,
    pub params: &'a Params,
    pub ledger: &'a mut Ledger,
}

#[derive(Debug, Clone)]
pub struct Provider {
    pub active: bool,
    pub details: Details,
    pub deposit: u64,
    pub signed: BTreeMap<Who, Vec<Attribute>>,
}

impl Provider {
    fn matches(&self, spec: &Spec) -> bool {
        let has = |list: &[Attribute]| spec.attributes.iter().all(|a| list.contains(a));
        let vouched = |auditor: &Who| self.signed.get(auditor).is_some_and(|list| has(list));
        has(&self.details.attributes) && spec.all_of.iter().all(vouched) && (spec.any_of.is_empty() || spec.any_of.iter().any(vouched))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    Active,
    Deprecated,
    Revoked,
    Expired,
}

#[derive(Debug, Clone)]
pub struct Model {
    pub params: Rc<Params>,
    pub now: Ms,
    pub ledger: Ledger,
    pub providers: BTreeMap<Who, Rc<Provider>>,
    pub deployments: BTreeMap<Id, Rc<Deployment>>,
    pub last_dseq: BTreeMap<Who, u64>,
    pub keys: BTreeMap<(Who, u8), (KeyState, Option<Ms>)>,
    pub arrivals: u64,
    /// Fees ever taken.
    pub fees: u128,
}

impl Model {
    pub fn new(params: Params, now: Ms, balances: Vec<u128>) -> Self {
        let sequences = vec![0; balances.len()];
        Model {
            params: Rc::new(params),
            now,
            ledger: Ledger { balances, sequences },
            providers: BTreeMap::new(),
            deployments: BTreeMap::new(),
            last_dseq: BTreeMap::new(),
            keys: BTreeMap::new(),
            arrivals: 0,
            fees: 0,
        }
    }

    /// The sequence that a transaction is signed with, if it comes next.
    pub fn sequence(&self, tx: &Tx) -> u64 {
        let next = self.ledger.sequences[usize::from(tx.signer)];
        if let Some(Fault::Sequence(by)) = tx.fault { next.wrapping_add_signed(by.into()) } else { next }
    }

    /// Runs a transaction: an error says that it fails, and whether the fee is taken shows in the balances.
    pub fn deliver(&mut self, tx: &Tx) -> Result<Vec<Reply>, Refused> {
        let sequence = self.sequence(tx);
        self.ledger.admit(tx, sequence)?;
        self.fees += u128::from(tx.fee);
        let before = self.clone();
        let replies: Result<Vec<_>, _> = tx.msgs.iter().map(|msg| self.message(tx.signer, msg)).collect();
        if replies.is_err() {
            *self = before;
        }
        replies
    }

    /// What time does by itself.
    pub fn end_block(&mut self) {
        let Model { params, now, ledger, deployments, .. } = self;
        let mut env = Env { now: *now, params, ledger };
        let mut due = Vec::new();
        for (id, deployment) in deployments.iter_mut() {
            let deployment = Rc::make_mut(deployment);
            deployment.touch(&mut env);
            due.extend(deployment.due(&env).into_iter().map(|(at, task)| (at, task, *id)));
        }
        due.sort();
        for (_, task, id) in due {
            let deployment = Rc::make_mut(deployments.get_mut(&id).expect("due"));
            if !deployment.run(task, &mut env) {
                deployments.remove(&id);
            }
        }
        for (state, expires) in self.keys.values_mut() {
            if matches!(state, KeyState::Active | KeyState::Deprecated) && expires.is_some_and(|at| at <= self.now) {
                *state = KeyState::Expired;
            }
        }
    }

    /// What must hold of the model itself, so that a mistake here is not looked for in the chain.
    pub fn check(&self) {
        let mut owed = 0;
        for deployment in self.deployments.values() {
            let account = &deployment.account;
            let [paid_in, paid, refunded] = account.totals;
            assert_eq!(paid_in * escrow::UVE, (paid + refunded) * escrow::UVE + account.owed(), "deposits = paid + refunded + held");
            assert!(account.free(self.now) >= 0, "an account is overdrawn");
            owed += account.owed();
            let bids = deployment.orders.values().flat_map(|o| o.bids.values());
            let held = bids.filter(|b| matches!(b.state, BidState::Open | BidState::Active)).map(|b| u128::from(b.deposit)).sum::<u128>();
            owed += held * escrow::UVE;
        }
        owed += self.providers.values().map(|p| u128::from(p.deposit)).sum::<u128>() * escrow::UVE;
        assert_eq!(self.ledger.balances[usize::from(ESCROW)] * escrow::UVE, owed, "escrow holds what it owes");
        assert_eq!(self.ledger.balances[usize::from(COLLECTOR)], self.fees, "the collector has the fees");
    }

    fn env(&mut self) -> Env<'_> {
        Env { now: self.now, params: &self.params, ledger: &mut self.ledger }
    }

    fn on<T>(&mut self, id: Id, f: impl FnOnce(&mut Deployment, &mut Env) -> Result<T, Refused>) -> Result<T, Refused> {
        let deployment = self.deployments.get_mut(&id).ok_or("no such deployment")?;
        let mut env = Env { now: self.now, params: &self.params, ledger: &mut self.ledger };
        f(Rc::make_mut(deployment), &mut env)
    }

    fn on_active<T>(&mut self, id: Id, f: impl FnOnce(&mut Deployment, &mut Env) -> Result<T, Refused>) -> Result<T, Refused> {
        self.on(id, |d, env| {
            d.require_active()?;
            f(d, env)
        })
    }

    fn provider(&self, who: Who) -> Result<Rc<Provider>, Refused> {
        self.providers.get(&who).cloned().ok_or("no such provider")
    }

    fn acting(&self, signer: Who, who: Who) -> Result<Rc<Provider>, Refused> {
        let provider = self.provider(who)?;
        if signer == who || provider.details.operator == Some(signer) { Ok(provider) } else { Err("not the provider or its operator") }
    }

    /// Open bids and leases that are not settled.
    pub fn holds(&self, who: Who) -> usize {
        let orders = self.deployments.values().flat_map(|d| d.orders.values());
        let holds = |o: &market::Order| {
            let bid = o.bids.get(&who).is_some_and(|b| b.state == BidState::Open);
            let lease = o.lease.as_ref().is_some_and(|l| l.provider == who && !l.settled);
            usize::from(bid) + usize::from(lease)
        };
        orders.map(holds).sum()
    }

    fn details(&self, details: &Details) -> Result<(), Refused> {
        if !details.named || details.attributes.len() as u64 > self.params.max_attributes {
            return Err("a name is missing, or there are too many attributes");
        }
        if details.payout.is_some_and(|who| who == ESCROW || who == COLLECTOR) {
            return Err("the payout goes to a module");
        }
        unique(&details.attributes)
    }

    fn send(&mut self, from: Who, to: Who, uve: u64) -> Result<(), Refused> {
        if to == ESCROW || to == COLLECTOR {
            return Err("modules receive nothing from users");
        }
        self.ledger.pay(from, to, uve.into())
    }

    fn message(&mut self, signer: Who, msg: &Msg) -> Result<Reply, Refused> {
        let own = |dseq: &u64| Id { owner: signer, dseq: *dseq };
        match msg {
            Msg::Send { to, amount } => self.send(signer, *to, amount.uve(1)?)?,
            Msg::MultiSend { total, outputs } => {
                let sum: u128 = outputs.iter().map(|o| u128::from(o.1)).sum();
                if u128::from(total.uve(1)?) != sum || outputs.iter().any(|o| o.1 == 0) {
                    return Err("inputs and outputs differ");
                }
                if self.ledger.balances[usize::from(signer)] < sum {
                    return Err("the balance is too small");
                }
                for (to, uve) in outputs {
                    self.send(signer, *to, *uve)?;
                }
            }
            Msg::CreateProvider { details, deposit } => {
                self.details(details)?;
                let deposit = deposit.uve(self.params.provider_min_deposit)?;
                if self.providers.contains_key(&signer) {
                    return Err("the provider exists");
                }
                self.ledger.pay(signer, ESCROW, deposit.into())?;
                let mut details = details.clone();
                if details.attributes.is_empty() {
                    details.attributes = self.params.default_attributes.clone();
                }
                self.providers.insert(signer, Rc::new(Provider { active: true, details, deposit, signed: BTreeMap::new() }));
            }
            Msg::UpdateProvider { details } => {
                self.details(details)?;
                let provider = self.providers.get_mut(&signer).ok_or("no such provider")?;
                Rc::make_mut(provider).details = details.clone();
            }
            Msg::SetStatus { status } => {
                let provider = self.providers.get_mut(&signer).ok_or("no such provider")?;
                if ![1, 2].contains(status) {
                    return Err("no such status");
                }
                Rc::make_mut(provider).active = *status == 1;
            }
            Msg::DeleteProvider => {
                let deposit = self.provider(signer)?.deposit;
                if self.holds(signer) > 0 {
                    return Err("something is not settled");
                }
                self.providers.remove(&signer);
                self.ledger.release(signer, deposit.into());
            }
            Msg::Sign { provider, attributes } => {
                unique(attributes)?;
                let limit = self.params.max_auditors;
                if attributes.is_empty() || attributes.len() as u64 > self.params.max_attributes {
                    return Err("no attributes, or too many");
                }
                let signed = &mut Rc::make_mut(self.providers.get_mut(provider).ok_or("no such provider")?).signed;
                if !signed.contains_key(&signer) && signed.len() as u64 >= limit {
                    return Err("there are too many auditors");
                }
                signed.insert(signer, attributes.clone());
            }
            Msg::Unsign { provider } => {
                let provider = self.providers.get_mut(provider).ok_or("no such provider")?;
                Rc::make_mut(provider).signed.remove(&signer).ok_or("nothing is signed")?;
            }
            Msg::RegisterKey { key, expires } => self.add_key(signer, *key, *expires)?,
            Msg::RotateKey { old, key, expires } => {
                let state = &mut self.keys.get_mut(&(signer, *old)).ok_or("no such key")?.0;
                if *state != KeyState::Active {
                    return Err("the key is not active");
                }
                *state = KeyState::Deprecated;
                self.add_key(signer, *key, *expires)?;
            }
            Msg::RevokeKey { key } => {
                let state = &mut self.keys.get_mut(&(signer, *key)).ok_or("no such key")?.0;
                if !matches!(state, KeyState::Active | KeyState::Deprecated) {
                    return Err("the key is not in use");
                }
                *state = KeyState::Revoked;
            }
            Msg::RelabelKey { key, length } => {
                if *length > 128 || !self.keys.contains_key(&(signer, *key)) {
                    return Err("no such key, or the label is too long");
                }
            }
            Msg::CreateDeployment { dseq, groups, deposit, hash } => return self.create_deployment(signer, *dseq, groups, deposit, *hash),
            Msg::UpdateDeployment { dseq, hash } => self.on_active(own(dseq), |_, _| if *hash == 32 { Ok(()) } else { Err("no hash") })?,
            Msg::CloseDeployment { dseq } => self.on_active(own(dseq), |d, env| {
                d.touch(env);
                d.end(env);
                Ok(())
            })?,
            Msg::CloseGroup { dseq, gseq } => self.on_active(own(dseq), |d, env| d.close_group(*gseq, env))?,
            Msg::PauseGroup { dseq, gseq } => self.on_active(own(dseq), |d, env| d.pause_group(*gseq, env))?,
            Msg::StartGroup { dseq, gseq } => return Ok(Reply::Oseq(self.on_active(own(dseq), |d, env| d.start_group(*gseq, env))?)),
            Msg::CreateBid { bid, price, deposit } => {
                let provider = self.acting(signer, bid.provider)?;
                if !provider.active || signer == bid.id.owner || bid.provider == bid.id.owner {
                    return Err("the provider is inactive or the tenant");
                }
                let (price, deposit) = (price.uve(1)?, deposit.uve(self.params.bid_min_deposit)?);
                self.arrivals += 1;
                let arrival = self.arrivals;
                self.on(bid.id, |d, env| {
                    let matches = provider.matches(&d.group(bid.gseq)?.spec);
                    d.create_bid(bid.slot(), bid.provider, price, deposit, arrival, env)?;
                    if matches { Ok(()) } else { Err("the provider does not match") }
                })?;
            }
            Msg::CloseBid { bid, reason } => {
                self.acting(signer, bid.provider)?;
                let reason = match *reason {
                    0 => market::UNSPECIFIED,
                    reason @ 10_000..=10_003 => reason,
                    _ => return Err("no reason of a provider's"),
                };
                self.on(bid.id, |d, env| d.close_bid(bid.slot(), bid.provider, reason, env))?;
            }
            Msg::CreateLease { bid } => {
                self.tenant(signer, bid)?;
                let provider = self.provider(bid.provider);
                self.on(bid.id, |d, env| {
                    let order = d.orders.get(&bid.slot()).ok_or("no such order")?;
                    let state = order.bids.get(&bid.provider).ok_or("no such bid")?.state;
                    let group = d.group(bid.gseq)?;
                    if !order.is_offered(env.now) || state != BidState::Open || group.state != market::GroupState::Open {
                        return Err("the order, the bid or the group is not open");
                    }
                    let provider = provider?;
                    if !provider.active || !provider.matches(&group.spec) {
                        return Err("the provider is inactive or does not match");
                    }
                    d.create_lease(bid.slot(), bid.provider, env)
                })?;
            }
            Msg::CloseLease { bid, reoffer } => {
                self.tenant(signer, bid)?;
                return Ok(Reply::Oseq(self.on(bid.id, |d, env| d.close_lease(bid.slot(), bid.provider, *reoffer, env))?));
            }
            Msg::StartReclaim { bid } => {
                self.acting(signer, bid.provider)?;
                self.on(bid.id, |d, env| d.start_reclaim(bid.slot(), bid.provider, env))?;
            }
            Msg::SendManifest { bid, recipients } => {
                self.tenant(signer, bid)?;
                let usable = |(who, key): &(Who, u8)| {
                    let state = self.keys.get(&(*who, *key)).map(|k| k.0);
                    *who == bid.provider && matches!(state, Some(KeyState::Active | KeyState::Deprecated))
                };
                let fits = (1..=8).contains(&recipients.len()) && recipients.iter().any(usable);
                self.on(bid.id, |d, env| {
                    let now = env.now;
                    let lease = d.touched_lease(bid.slot(), bid.provider, env)?;
                    lease.manifest.get_or_insert(now);
                    if fits { Ok(()) } else { Err("the envelope is not for the provider") }
                })?;
            }
            Msg::Deposit { id, amount } => {
                let uve = amount.uve(self.params.min_topup)?;
                self.on_active(*id, |d, env| {
                    d.touch(env);
                    d.account.deposit(signer, uve, env)
                })?;
            }
            Msg::WithdrawSpare { dseq } => {
                let spare = self.on_active(own(dseq), |d, env| {
                    d.touch(env);
                    d.account.withdraw_spare(env)
                });
                return Ok(Reply::Spare(spare?));
            }
            Msg::SubmitUsage { records } => {
                if !(1..=100).contains(&records.len()) {
                    return Err("no records, or too many");
                }
                let mut submit = |record: &Record| {
                    let provider = self.acting(signer, record.bid.provider)?;
                    self.on(record.bid.id, |d, env| d.submit(record, &provider, env))
                };
                return Ok(Reply::Usage(records.iter().map(&mut submit).collect::<Result<_, _>>()?));
            }
        }
        Ok(Reply::Done)
    }

    fn tenant(&self, signer: Who, bid: &BidId) -> Result<(), Refused> {
        if signer == bid.id.owner { Ok(()) } else { Err("not the tenant") }
    }

    fn add_key(&mut self, owner: Who, key: u8, expires: Option<Ms>) -> Result<(), Refused> {
        if expires.is_some_and(|at| at <= self.now) || self.keys.contains_key(&(owner, key)) {
            return Err("the key expires at once or is there");
        }
        let usable = |k: &(KeyState, Option<Ms>)| matches!(k.0, KeyState::Active | KeyState::Deprecated);
        if self.keys.range((owner, 0)..=(owner, u8::MAX)).filter(|(_, k)| usable(k)).count() as u64 >= self.params.max_keys {
            return Err("there are too many keys");
        }
        self.keys.insert((owner, key), (KeyState::Active, expires));
        Ok(())
    }

    fn create_deployment(&mut self, owner: Who, dseq: u64, groups: &[Spec], deposit: &Amount, hash: usize) -> Result<Reply, Refused> {
        let deposit = deposit.uve(self.params.deployment_min_deposit)?;
        if hash != 32 || groups.is_empty() || groups.len() as u64 > self.params.max_groups {
            return Err("no hash, no groups, or too many");
        }
        groups.iter().try_for_each(Spec::check)?;
        let last = self.last_dseq.get(&owner).copied().unwrap_or(0);
        let dseq = if dseq == 0 { last + 1 } else { dseq };
        if dseq <= last || dseq >= MAX_DSEQ {
            return Err("the number is not above all that the owner used");
        }
        let mut env = self.env();
        let mut deployment = Deployment::new(owner, groups.to_vec(), &env);
        deployment.account.pay_in(owner, deposit, &mut env)?;
        self.last_dseq.insert(owner, dseq);
        self.deployments.insert(Id { owner, dseq }, Rc::new(deployment));
        Ok(Reply::Dseq(dseq))
    }
}
