//! Histories out of a seed: parameters, balances, and blocks whose messages mostly make sense. The generator looks at a
//! model of its own to know what would; the application is not asked.

use crate::actors::{COUNT, FIRST_USER, RECEIVERS, USERS};
use crate::model::escrow::{Claim, Phase, UVE};
use crate::model::market::{BidState, Deployment, GroupState, OrderState};
use crate::model::*;
use crate::random::Random;
use serde::{Deserialize, Serialize};

/// The time of genesis.
pub const START: Ms = 1_800_000_000_000;
/// Active deployments from which on new ones are rare, so that states stay small.
const MANY: u64 = 12;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Milliseconds since the last block.
    pub dt: Ms,
    /// Before it, the application is closed and opened again.
    pub restart: bool,
    /// Before it, the state is exported and a new chain starts from it.
    pub reimport: bool,
    /// Another block of this height is executed first and given up.
    pub rehearse: bool,
    pub txs: Vec<Tx>,
}

/// What is the same for all blocks of a history.
#[derive(Debug, Clone)]
pub struct World {
    pub params: Params,
    pub balances: Vec<u128>,
    /// The end of a block cannot do all at once: only sums and invariants can be foretold.
    pub tight: bool,
    /// Times of parameters and blocks are around this.
    unit: Ms,
    /// uve per hour of a usual group.
    price: u64,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let r = &mut Random::new(seed, 1);
        let unit = r.one(&[10, 37, 1_000, 1_000, 60_000, 3_600_000]);
        // What a unit of time costs, in hundredths of a uve.
        let cost = r.one(&[3, 100, 777, 10_000, 1_000_000]);
        let price = (cost * UVE as u64 / 100 / unit).max(1);
        let mut span = |a, b| (unit * r.from(a, b)).saturating_add_signed(r.from(0, 2) as i64 - 1).max(1);
        let (min_runway, depletion_grace, final_usage_window) = (span(1, 6), span(1, 15), span(1, 20));
        let (usage_cutoff, min_lease_time, manifest_timeout) = (span(3, 30), span(1, 10), span(1, 8));
        let (order_ttl, more) = (span(2, 25), span(1, 25));
        let longest = [min_runway, depletion_grace, final_usage_window, usage_cutoff, min_lease_time, manifest_timeout];
        let tight = seed % 8 == 7;
        let params = Params {
            provider_min_deposit: r.from(1, 5_000),
            max_attributes: r.from(2, 4),
            max_auditors: r.from(1, 3),
            default_attributes: if r.percent(50) { vec![(0, 0), (1, 1)] } else { Vec::new() },
            deployment_min_deposit: r.from(1, 3 + cost / 100),
            max_groups: 3,
            bid_min_deposit: r.from(1, 500),
            min_topup: r.from(1, 3 + cost / 100),
            min_runway,
            depletion_grace,
            usage_cutoff,
            final_usage_window,
            min_usage_interval: r.from(1, 2 * unit).min(usage_cutoff),
            max_depositors: r.from(2, 5),
            order_ttl,
            closed_retention: longest.into_iter().max().expect("some") + more,
            min_lease_time,
            manifest_timeout,
            order_max_bids: r.from(1, 6),
            end_block_budget: if tight { r.one(&[1, 7, 30, 100]) } else { 100_000 },
            max_keys: r.from(1, 4),
        };
        let mut balances = vec![0; usize::from(COUNT)];
        for who in FIRST_USER..FIRST_USER + USERS {
            let rich = tight || r.percent(80);
            balances[usize::from(who)] = if rich { 1_000_000_000_000_000 } else { u128::from(r.from(1, 20_000 + cost)) };
        }
        World { params, balances, tight, unit, price }
    }

    pub fn model(&self) -> Model {
        Model::new(self.params.clone(), START, self.balances.clone())
    }
}

/// All blocks of a seed; each has about `ops` messages, some none.
pub fn history(seed: u64, blocks: usize, ops: u64) -> (World, Vec<Block>) {
    let world = World::new(seed);
    let mut g = Generator { r: Random::new(seed, 2), model: world.model(), world: world.clone() };
    let history = (0..blocks).map(|i| g.block(i, ops)).collect();
    (world, history)
}

struct Generator {
    r: Random,
    model: Model,
    world: World,
}

impl Generator {
    fn block(&mut self, number: usize, ops: u64) -> Block {
        let r = &mut self.r;
        let (restart, reimport) = (number > 0 && r.percent(2), number > 1 && r.percent(1));
        let rehearse = r.percent(5);
        let dt = self.dt();
        self.model.now += dt;
        let wanted = match self.r.below(10) {
            0 => 0,
            1 => 2 * ops,
            _ => ops,
        };
        let mut block = Block { dt, restart, reimport, rehearse, txs: Vec::new() };
        let mut count = 0;
        while count < wanted {
            let tx = self.tx();
            count += tx.msgs.len() as u64;
            let _ = self.model.deliver(&tx);
            block.txs.push(tx);
        }
        self.model.end_block();
        block
    }

    /// Usually some units; often just before, at or after something happens; sometimes nearly nothing or weeks.
    fn dt(&mut self) -> Ms {
        let unit = self.world.unit;
        if self.r.percent(40) {
            let mut times = self.times();
            times.sort();
            // What is near is what interrupts.
            times.truncate(6);
            if let Some(at) = self.r.any(&times) {
                return (at + self.r.below(3)).saturating_sub(1 + self.model.now).max(1);
            }
        }
        match self.r.below(50) {
            0..=9 => self.r.from(1, 3),
            10..=29 => self.r.from(1, unit),
            30..=46 => self.r.from(1, 5 * unit),
            47..=48 => self.r.from(1, 60 * unit),
            _ => self.r.from(1, 21 * 24 * 3_600_000),
        }
    }

    /// When time alone will change something.
    fn times(&self) -> Vec<Ms> {
        let p = &self.world.params;
        let mut times = Vec::new();
        for d in self.model.deployments.values() {
            times.extend(d.account.dry_before(self.model.now + 1000 * self.world.unit));
            if let escrow::State::Depleted(until) = d.account.state {
                times.push(until);
            }
            times.extend(d.account.meters.values().flat_map(|m| &m.runs).map(|run| run.window_ends));
            times.extend(d.closes);
            for order in d.orders.values() {
                times.push(if order.state == OrderState::Closed { order.closed + p.closed_retention } else { order.expires });
                if let Some(lease) = order.lease.as_ref().filter(|l| l.closed.is_none()) {
                    times.extend([p.min_lease_time, p.manifest_timeout].map(|ms| lease.created + ms));
                }
            }
        }
        times.extend(self.model.keys.values().filter_map(|k| k.1));
        times.retain(|at| *at > self.model.now);
        times
    }

    fn tx(&mut self) -> Tx {
        let (mut signer, msg) = self.msg();
        let mut msgs = vec![msg];
        while self.r.percent(8) && msgs.len() < 4 {
            msgs.push(self.msg().1);
        }
        if self.r.percent(3) {
            signer = self.user();
        }
        let tight = self.world.tight;
        let fee = match self.r.below(40) {
            _ if tight => 0,
            0 => 1_000_000_000_000_000_000,
            1..=5 => 0,
            _ => self.r.from(1, 30),
        };
        let fault = (!tight && self.r.percent(3)).then(|| {
            let by = self.r.one(&[-2, -1, 1, 2]);
            self.r.one(&[Fault::Sequence(by), Fault::Signature, Fault::Timeout, Fault::Memo, Fault::Gas])
        });
        Tx { signer, fee, fault, checked: self.r.percent(70), msgs }
    }

    // --- who and what

    fn user(&mut self) -> Who {
        FIRST_USER + self.r.below(USERS.into()) as Who
    }

    /// Half of the users are mostly tenants, the other half mostly providers.
    fn tenant(&mut self) -> Who {
        FIRST_USER + self.r.below(u64::from(USERS) / 2) as Who
    }

    fn vendor(&mut self) -> Who {
        self.tenant() + USERS / 2
    }

    fn anybody(&mut self) -> Who {
        self.r.below(COUNT.into()) as Who
    }

    fn id(&mut self, keep: impl Fn(&Deployment) -> bool) -> Id {
        let found: Vec<_> = self.model.deployments.iter().filter(|(_, d)| keep(d)).map(|(id, _)| *id).collect();
        match self.r.any(&found) {
            Some(id) if !self.r.percent(3) => id,
            _ => Id { owner: self.tenant(), dseq: self.r.below(5) },
        }
    }

    fn group(&mut self, state: GroupState) -> (Id, u32) {
        let groups = |d: &Deployment| (1..).zip(&d.groups).filter(|(_, g)| g.state == state).map(|(n, _)| n).collect::<Vec<u32>>();
        let found: Vec<_> = self.model.deployments.iter().flat_map(|(id, d)| groups(d).into_iter().map(|n| (*id, n))).collect();
        match self.r.any(&found) {
            Some(found) if !self.r.percent(5) => found,
            _ => (self.id(|_| true), self.r.below(4) as u32),
        }
    }

    /// A bid that is there, or hardly.
    fn bid(&mut self, keep: impl Fn(&Deployment, Slot, Who) -> bool) -> BidId {
        let mut found = Vec::new();
        for (id, d) in &self.model.deployments {
            for (slot, order) in &d.orders {
                found.extend(order.bids.keys().filter(|who| keep(d, *slot, **who)).map(|provider| BidId {
                    id: *id,
                    gseq: slot.0,
                    oseq: slot.1,
                    provider: *provider,
                }));
            }
        }
        match self.r.any(&found) {
            Some(bid) if !self.r.percent(4) => bid,
            found => {
                let (id, gseq) = found.map_or_else(|| self.group(GroupState::Open), |b| (b.id, b.gseq));
                BidId { id, gseq, oseq: self.r.below(4) as u32, provider: self.vendor() }
            }
        }
    }

    fn bid_in(&mut self, state: BidState) -> BidId {
        self.bid(|d, slot, who| d.orders[&slot].bids[&who].state == state)
    }

    /// The provider, or its operator, or hardly somebody else.
    fn acting(&mut self, provider: Who) -> Who {
        let operator = self.model.providers.get(&provider).and_then(|p| p.details.operator);
        match operator.filter(|who| (FIRST_USER..FIRST_USER + USERS).contains(who)) {
            _ if self.r.percent(2) => self.user(),
            Some(operator) if self.r.percent(40) => operator,
            _ => self.signs(provider),
        }
    }

    /// Somebody with a key.
    fn signs(&mut self, who: Who) -> Who {
        if (FIRST_USER..FIRST_USER + USERS).contains(&who) { who } else { self.user() }
    }

    fn amount(&mut self, n: u64) -> Amount {
        match self.r.below(60) {
            0 => Amount::Other(n),
            1 => Amount::Text(self.r.one(&["", "-1", "01", "1.5", "+3", "18446744073709551616", "x"]).into()),
            2 => Amount::None,
            3 => Amount::Uve(0),
            4 => Amount::Uve(u64::MAX),
            5 => Amount::Uve(1),
            _ => Amount::Uve(n),
        }
    }

    fn attributes(&mut self) -> Vec<Attribute> {
        let n = self.r.one(&[0, 1, 1, 2, 2, 3, 5]);
        let mut list: Vec<Attribute> = (0..n).map(|k| (k, self.r.one(&[0, 1, 1, 1]))).collect();
        if self.r.percent(3) && !list.is_empty() {
            list.push(list[0]);
        }
        list
    }

    fn details(&mut self) -> Details {
        let who = |g: &mut Self, n| if g.r.percent(n) { Some(g.anybody()) } else { None };
        Details {
            named: !self.r.percent(3),
            attributes: if self.r.percent(60) { vec![(0, 1), (1, 1)] } else { self.attributes() },
            operator: if self.r.percent(40) { Some(self.user()) } else { None },
            payout: if self.r.percent(40) { Some(COUNT - 1 - self.r.below(RECEIVERS.into()) as Who) } else { who(self, 30) },
        }
    }

    fn spec(&mut self) -> Spec {
        let price = (self.world.price * self.r.from(1, 200) / 100).max(1);
        let mut unit = [self.r.from(1, 4_000), self.r.from(1, 1 << 33), self.r.from(1, 1 << 36), self.r.one(&[0, 0, 0, 2])];
        if self.r.percent(2) {
            unit[self.r.below(4) as usize] = self.r.one(&[0, u64::MAX]);
        }
        let signed = self.r.percent(8);
        Spec {
            price: self.amount(price),
            attributes: match self.r.below(10) {
                0..=5 => Vec::new(),
                6..=8 => vec![(0, 1)],
                _ => self.attributes(),
            },
            all_of: if signed && self.r.percent(50) { vec![self.vendor()] } else { Vec::new() },
            any_of: if signed { vec![self.vendor(), self.vendor()] } else { Vec::new() },
            reclaim: match self.r.below(40) {
                0..=9 => Some(self.r.from(1, 5 * self.world.unit)),
                10 => Some(0),
                11 => Some(1 << 45),
                _ => None,
            },
            unit,
            count: self.r.one(&[1, 1, 1, 2, 3, 0]).max(u32::from(!self.r.percent(5))),
        }
    }

    /// uve for some units of time of a usual group.
    fn money(&mut self, units: u64) -> u64 {
        let ms = u128::from(self.world.unit * self.r.from(1, units));
        let uve = u128::from(self.world.price) * ms / UVE;
        uve as u64 + self.r.from(1, 3)
    }

    // --- messages

    fn msg(&mut self) -> (Who, Msg) {
        let (mut few, mut offers, mut bids, mut leases, mut meters) = (0, 0, 0, 0, 0);
        for d in self.model.deployments.values() {
            few += u64::from(d.active);
            offers += d.orders.values().filter(|o| o.is_offered(self.model.now)).count();
            bids += d.orders.values().flat_map(|o| o.bids.values()).filter(|b| b.state == BidState::Open).count();
            leases += d.orders.values().filter(|o| o.state == OrderState::Active).count();
            meters += d.account.meters.values().filter(|m| !m.is_settled()).count();
        }
        let providers = self.model.providers.values().filter(|p| p.active).count();
        // Rarely what there is nothing for.
        let if_any = |there: usize, weight: u64| if there > 0 { weight } else { 1 };
        let weights = [
            if few < MANY { 10 } else { 1 },
            if_any(offers.min(providers), 20),
            if_any(bids, 14),
            if_any(meters, 30),
            8,
            3,
            if_any(leases, 3),
            if_any(bids + leases, 4),
            2,
            1,
            2,
            6,
            if_any(leases, 3),
            if_any(leases, 4),
            4,
            1,
            if providers < 5 { 12 } else { 1 },
            1,
            2,
            1,
            1,
            1,
            3,
            1,
        ];
        match self.r.weighted(&weights) {
            0 => self.create_deployment(),
            1 => self.create_bid(),
            2 => {
                let bid = self.bid_in(BidState::Open);
                (self.signs(bid.id.owner), Msg::CreateLease { bid })
            }
            3 => self.usage(),
            4 => {
                let (starved, uve) = (self.r.percent(60), self.money(30));
                let id = self.id(|d| d.active && (!starved || d.account.state != escrow::State::Open));
                let who = if self.r.percent(50) { self.signs(id.owner) } else { self.user() };
                (who, Msg::Deposit { id, amount: self.amount(uve) })
            }
            5 => {
                let id = self.id(|d| d.active);
                (self.signs(id.owner), Msg::WithdrawSpare { dseq: id.dseq })
            }
            6 => {
                let bid = self.bid_in(BidState::Active);
                (self.signs(bid.id.owner), Msg::CloseLease { bid, reoffer: self.r.percent(50) })
            }
            7 => {
                let state = self.r.one(&[BidState::Open, BidState::Active, BidState::Active, BidState::Lost]);
                let bid = self.bid_in(state);
                let reason = self.r.one(&[0, 10_000, 10_000, 10_001, 10_002, 10_003, 10_003, 10_003, 1, 20_000, -1]);
                (self.acting(bid.provider), Msg::CloseBid { bid, reason })
            }
            8 => {
                let id = self.id(|d| d.active);
                (self.signs(id.owner), Msg::CloseDeployment { dseq: id.dseq })
            }
            9 => {
                let state = self.r.one(&[GroupState::Open, GroupState::Paused]);
                let (Id { owner, dseq }, gseq) = self.group(state);
                (self.signs(owner), Msg::CloseGroup { dseq, gseq })
            }
            10 => {
                let (Id { owner, dseq }, gseq) = self.group(GroupState::Open);
                (self.signs(owner), Msg::PauseGroup { dseq, gseq })
            }
            11 => {
                let (Id { owner, dseq }, gseq) = self.group(GroupState::Paused);
                (self.signs(owner), Msg::StartGroup { dseq, gseq })
            }
            12 => {
                let bid = self.bid_in(BidState::Active);
                (self.acting(bid.provider), Msg::StartReclaim { bid })
            }
            13 => self.manifest(),
            14 => (self.user(), Msg::Send { to: self.anybody(), amount: self.cash() }),
            15 => {
                let outputs: Vec<_> = (0..self.r.from(1, 3)).map(|_| (self.anybody(), self.r.below(50))).collect();
                let sum = outputs.iter().map(|o| o.1).sum::<u64>() + u64::from(self.r.percent(10));
                (self.user(), Msg::MultiSend { total: Amount::Uve(sum), outputs })
            }
            16 => {
                let deposit = self.world.params.provider_min_deposit + self.r.below(100);
                let who = if self.r.percent(85) { self.vendor() } else { self.user() };
                (who, Msg::CreateProvider { details: self.details(), deposit: self.amount(deposit) })
            }
            17 => (self.vendor(), Msg::UpdateProvider { details: self.details() }),
            18 => (self.vendor(), Msg::SetStatus { status: self.r.one(&[1, 1, 1, 2, 0, 3]) }),
            19 => (self.vendor(), Msg::DeleteProvider),
            20 => (self.user(), Msg::Sign { provider: self.vendor(), attributes: self.attributes() }),
            21 => (self.user(), Msg::Unsign { provider: self.vendor() }),
            22 => (self.vendor(), self.key()),
            _ => {
                let id = self.id(|_| true);
                (self.signs(id.owner), Msg::UpdateDeployment { dseq: id.dseq, hash: self.r.one(&[32, 32, 31]) })
            }
        }
    }

    fn cash(&mut self) -> Amount {
        let uve = self.r.from(1, 2_000);
        self.amount(uve)
    }

    fn key(&mut self) -> Msg {
        let expires = if self.r.percent(40) { Some(self.model.now + self.r.below(30 * self.world.unit)) } else { None };
        let (key, old) = (self.r.below(200) as u8, self.r.below(200) as u8);
        let of_all: Vec<u8> = self.model.keys.keys().map(|k| k.1).collect();
        let old = self.r.any(&of_all).unwrap_or(old);
        match self.r.below(6) {
            0..=2 => Msg::RegisterKey { key, expires },
            3 => Msg::RotateKey { old, key, expires },
            4 => Msg::RevokeKey { key: old },
            _ => Msg::RelabelKey { key: old, length: self.r.one(&[0, 128, 129]) },
        }
    }

    fn create_deployment(&mut self) -> (Who, Msg) {
        let owner = if self.r.percent(90) { self.tenant() } else { self.user() };
        let last = self.model.last_dseq.get(&owner).copied().unwrap_or(0);
        let dseq = match self.r.below(20) {
            0..=7 => 0,
            8 => last,
            9 => 1 << 53,
            n => last + n - 9,
        };
        let n = self.r.one(&[1, 1, 1, 1, 2, 2, 3, 4, 0]).max(u64::from(!self.r.percent(10)));
        let groups = (0..n).map(|_| self.spec()).collect();
        let deposit = self.world.params.deployment_min_deposit.max(self.money(60));
        (owner, Msg::CreateDeployment { dseq, groups, deposit: self.amount(deposit), hash: self.r.one(&[32, 32, 32, 32, 32, 0]) })
    }

    fn create_bid(&mut self) -> (Who, Msg) {
        let now = self.model.now;
        let mut offers = Vec::new();
        for (id, d) in &self.model.deployments {
            let offered =
                |(slot, o): (&Slot, &market::Order)| o.is_offered(now).then(|| (*id, *slot, d.groups[slot.0 as usize - 1].spec.ceiling()));
            offers.extend(d.orders.iter().filter_map(offered));
        }
        let (id, (gseq, oseq), ceiling) = self.r.any(&offers).unwrap_or((self.id(|_| true), (1, 1), 10));
        let active: Vec<Who> = self.model.providers.iter().filter(|(_, p)| p.active).map(|(who, _)| *who).collect();
        let provider = match self.r.any(&active) {
            Some(who) if !self.r.percent(4) => who,
            _ => self.anybody(),
        };
        let price = match self.r.below(30) {
            0 => ceiling.saturating_add(1),
            1..=6 => ceiling,
            _ => self.r.from(ceiling.div_ceil(2), ceiling),
        };
        let deposit = self.world.params.bid_min_deposit + self.r.below(20);
        let (price, deposit) = (self.amount(price), self.amount(deposit));
        (self.acting(provider), Msg::CreateBid { bid: BidId { id, gseq, oseq, provider }, price, deposit })
    }

    fn manifest(&mut self) -> (Who, Msg) {
        let bid = self.bid_in(BidState::Active);
        let keys: Vec<(Who, u8)> = self.model.keys.keys().filter(|k| k.0 == bid.provider).copied().collect();
        let mut recipients: Vec<_> = self.r.any(&keys).into_iter().collect();
        if self.r.percent(30) {
            recipients.push((self.anybody(), self.r.below(4) as u8));
        }
        (self.signs(bid.id.owner), Msg::SendManifest { bid, recipients })
    }

    fn usage(&mut self) -> (Who, Msg) {
        let open = self.r.percent(85);
        let bid = self.bid(|d, slot, who| {
            let ours = d.orders[&slot].lease.as_ref().is_some_and(|l| l.provider == who);
            ours && (!open || !d.account.meters[&slot].is_settled())
        });
        let mut records = vec![self.record(bid)];
        while self.r.percent(10) && records.len() < 3 {
            let provider = bid.provider;
            let next = self.bid(|d, slot, who| who == provider && d.orders[&slot].lease.as_ref().is_some_and(|l| l.provider == who));
            records.push(self.record(next));
        }
        (self.acting(bid.provider), Msg::SubmitUsage { records })
    }

    fn record(&mut self, bid: BidId) -> Record {
        let (now, unit) = (self.model.now, self.world.unit);
        let found = self.model.deployments.get(&bid.id).and_then(|d| {
            let spec = d.group(bid.gseq).ok()?.spec.clone();
            Some((spec, d.account.meters.get(&bid.slot())?.clone()))
        });
        let Some((spec, meter)) = found else {
            let claim = Claim { sequence: self.r.below(3), start: now.saturating_sub(unit), end: now, used: [self.r.bits() >> 20; 4] };
            return Record { bid, claim };
        };
        let last = meter.last.as_ref().map_or(0, |c| c.sequence);
        if let Some(claim) = meter.last.clone().filter(|_| self.r.percent(6)) {
            return Record { bid, claim };
        }
        let sequence = match self.r.below(30) {
            0 => last,
            1 => last + 2,
            2 => last.saturating_sub(1),
            _ => last + 1,
        };
        let expected = meter.expected();
        let edges: Vec<Ms> = meter.runs.iter().flat_map(|run| [Some(run.opened), Some(run.settled), run.stop]).flatten().collect();
        let start = match self.r.below(20) {
            0 => expected.saturating_sub(self.r.from(1, unit)),
            1 => self.r.one(&edges),
            2 => self.r.one(&edges) + 1,
            3 => expected + self.r.from(1, 3 * unit),
            4 => now.saturating_sub(self.r.below(unit)),
            _ => expected,
        };
        let end = match self.r.below(20) {
            0 => start - self.r.below(2),
            1..=2 => now + self.r.from(0, unit),
            3 => 1 << 50,
            4 => self.r.one(&edges),
            5..=8 => start + self.r.from(1, 6 * unit),
            9 => start + self.model.params.min_usage_interval - self.r.below(2),
            _ => now,
        };
        let period = end.saturating_sub(start).min(1 << 40);
        let served = match self.r.below(8) {
            0 => 0,
            1 => self.r.from(0, period),
            2 => period * 2,
            3 => period.saturating_sub(1),
            4..=5 => period * self.r.below(100) / 100,
            _ => period,
        };
        let used = [0, 1, 2, 3].map(|i| {
            let used = (spec.reserved(i) * u128::from(served)).div_ceil(1000);
            let more = if self.r.percent(30) { u128::from(self.r.below(1 << 30)) } else { 0 };
            u64::try_from(used + more).unwrap_or(u64::MAX)
        });
        let used = if meter.phase == Phase::Over && self.r.percent(5) { [u64::MAX; 4] } else { used };
        Record { bid, claim: Claim { sequence, start, end, used } }
    }
}
