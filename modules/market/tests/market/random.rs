//! Random histories: whatever happens, every invariant holds after each step, and in the end everybody has what is theirs.

use crate::world::*;
use kernel::{Address, BidId, DeploymentId, OrderId};
use proto::virtengine::deployment::v1 as d;
use proto::virtengine::escrow::v1 as e;
use proto::virtengine::market::v1 as m;

/// A small generator (SplitMix64), so that a seed always means the same history.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

struct History {
    w: World,
    r: Random,
    /// Successes and refusals of each message, so that a history that only refuses is noticed.
    accepted: u64,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut r = Random(seed);
        let mut genesis = params();
        genesis["market"]["params"]["end_block_budget"] = r.one(&[1, 40, 300, 10_000]).into();
        let mut w = World::with(genesis);
        (0..5).for_each(|n| w.register(provider(n)));
        History { w, r, accepted: 0 }
    }

    fn tenant(&mut self) -> Address {
        self.r.one(&[alice(), bob()])
    }

    fn deployment(&mut self) -> DeploymentId {
        DeploymentId { owner: self.tenant(), dseq: 1 + self.r.below(6) }
    }

    fn order(&mut self) -> OrderId {
        self.deployment().group(1 + self.r.below(2) as u32).order(1 + self.r.below(3) as u32)
    }

    /// Often one that exists.
    fn bid(&mut self) -> BidId {
        let states = [0, 1, 1, 2, 2, 2];
        let r = m::QueryBidsRequest { state: self.r.one(&states), ..Default::default() };
        let bids = self.w.market.query_bids(&self.w.view(), r).expect("a list").bids;
        if bids.is_empty() || self.r.below(10) == 0 {
            return self.order().bid(provider(self.r.below(6) as u8));
        }
        let n = self.r.below(bids.len() as u64) as usize;
        BidId::try_from(bids[n].bid_id.as_ref().expect("an id")).expect("a valid id")
    }

    fn send<T>(&mut self, f: impl FnOnce(&World, &mut kernel::Ctx) -> Result<T, market::Error>) {
        self.accepted += u64::from(self.w.run(f).is_ok());
    }

    fn step(&mut self) {
        let id = self.deployment();
        let (owner, dseq, gseq) = (id.owner.to_string(), id.dseq, 1 + self.r.below(2) as u32);
        match self.r.below(20) {
            0 | 1 => {
                let price = self.r.one(&[100, 3_000_000, 60_000_000]);
                let mut groups = vec![d::GroupSpec { price: uve(price), ..lab_group() }];
                if self.r.below(3) == 0 {
                    groups.push(d::GroupSpec { name: "more".into(), reclamation_window: window(MINUTE), ..groups[0].clone() });
                }
                let msg = create_deployment(id.owner, groups, 500_000 + self.r.below(3_000_000));
                self.send(|w, ctx| w.market.create_deployment(ctx, msg));
            }
            2 if self.r.below(3) == 0 => self.send(|w, ctx| w.market.close_deployment(ctx, d::MsgCloseDeployment { owner, dseq })),
            3 => self.send(|w, ctx| w.market.pause_group(ctx, d::MsgPauseGroup { owner, dseq, gseq })),
            4 => self.send(|w, ctx| w.market.start_group(ctx, d::MsgStartGroup { owner, dseq, gseq })),
            5 if self.r.below(3) == 0 => self.send(|w, ctx| w.market.close_group(ctx, d::MsgCloseGroup { owner, dseq, gseq })),
            6..=9 => {
                let open = m::QueryOrdersRequest { state: m::order::State::Open.into(), ..Default::default() };
                for order in self.w.market.query_orders(&self.w.view(), open).expect("a list").orders {
                    let id = OrderId::try_from(order.order_id.as_ref().expect("an id")).expect("a valid id");
                    let ceiling: u64 = order.spec.and_then(|s| s.price).map_or(1, |p| p.amount.parse().expect("digits"));
                    let msg = create_bid(id.bid(provider(self.r.below(5) as u8)), 1 + self.r.below(ceiling));
                    self.send(|w, ctx| w.market.create_bid(ctx, msg));
                }
            }
            10 | 11 => {
                let bid = self.bid();
                let msg = m::MsgCreateLease { owner: bid.owner().to_string(), bid_id: Some(bid.into()) };
                self.send(|w, ctx| w.market.create_lease(ctx, msg));
            }
            12 => {
                let bid = self.bid();
                let msg = m::MsgCloseLease { owner: bid.owner().to_string(), lease_id: Some(bid.into()), reoffer: self.r.below(2) == 0 };
                self.send(|w, ctx| w.market.close_lease(ctx, msg));
            }
            13 => {
                let bid = self.bid();
                let reason = self.r.one(&[0, 10000, 10003]);
                let msg = m::MsgCloseBid { signer: bid.provider.to_string(), bid_id: Some(bid.into()), reason };
                self.send(|w, ctx| w.market.close_bid(ctx, msg));
            }
            14 => {
                let lease = self.bid();
                let msg = m::MsgStartReclaim { signer: lease.provider.to_string(), lease_id: Some(lease.into()) };
                self.send(|w, ctx| w.market.start_reclaim(ctx, msg));
            }
            15..=17 => self.report(),
            18 => {
                let depositor = self.r.one(&[alice(), bob(), peter()]).to_string();
                let msg = e::MsgDeposit { depositor, deployment_id: Some(id.into()), amount: uve(100_000 + self.r.below(2_000_000)) };
                self.send(|w, ctx| w.market.deposit(ctx, msg));
            }
            _ => self.send(|w, ctx| w.market.withdraw_spare(ctx, e::MsgWithdrawSpare { owner, dseq })),
        }
        if self.r.below(3) == 0 {
            let ms = self.r.one(&[1, SECOND, 30 * SECOND, MINUTE, 5 * MINUTE, 20 * MINUTE, HOUR]);
            self.w.block(ms);
            assert_eq!(self.w.count_events("EventItemStuck"), 0, "{:?}", self.w.events);
        }
    }

    /// A usage record of a lease, mostly one that follows the last.
    fn report(&mut self) {
        let leases = self.w.market.query_leases(&self.w.view(), m::QueryLeasesRequest::default()).expect("a list").leases;
        if leases.is_empty() {
            return;
        }
        let n = self.r.below(leases.len() as u64) as usize;
        let id = BidId::try_from(leases[n].lease_id.as_ref().expect("an id")).expect("a valid id");
        let payments = self.w.lease(id).payments;
        let next = payments.iter().find(|p| p.state() != e::payment::State::Done).or(payments.last()).expect("a lease has a payment");
        let start = next.settled.as_ref().and_then(proto::millis).expect("a time") + self.r.one(&[0, 0, 0, 5 * SECOND]);
        let record = record(id, next.next_sequence, start, start + self.r.one(&[20 * SECOND, MINUTE, HOUR]), self.r.below(1200));
        self.send(|w, ctx| w.market.submit_usage(ctx, submit(id.provider, vec![record])));
    }

    /// Lets time close and remove everything.
    fn wind_down(&mut self) {
        for _ in 0..2000 {
            let left = self.w.deployments.query_deployments(&self.w.view(), d::QueryDeploymentsRequest::default()).expect("a list");
            if left.deployments.is_empty() {
                return;
            }
            for shown in left.deployments {
                let row = shown.deployment.expect("shown");
                if row.state() == d::deployment::State::Active {
                    let id = row.deployment_id.expect("an id");
                    let msg = d::MsgCloseDeployment { owner: id.owner, dseq: id.dseq };
                    self.send(|w, ctx| w.market.close_deployment(ctx, msg));
                }
            }
            self.w.block(10 * MINUTE);
        }
        panic!("deployments stay in the state");
    }
}

#[test]
fn random_histories_keep_every_invariant_and_end_with_an_empty_state() {
    // More on demand: RANDOM_SEEDS=1000.
    let seeds = std::env::var("RANDOM_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    for seed in 0..seeds {
        println!("seed {seed}");
        let mut h = History::new(seed);
        let purses = |w: &World| (1..=5).chain(100..=150).map(|n| w.balance(account(n))).sum::<u128>();
        let total = purses(&h.w);
        for _ in 0..150 {
            h.step();
        }
        assert!(h.accepted > 5, "only {} messages were accepted", h.accepted);
        h.wind_down();
        assert_eq!(purses(&h.w), total, "every uve is back with somebody");
        let left = h.w.base.iter().filter(|(key, _)| matches!(key[..3], [0, 8, 3..=u8::MAX] | [1, 7 | 8, _])).count();
        assert_eq!(left, 0, "nothing of the market stays in the state");
        assert!((0..5).all(|n| h.w.holds(provider(n)) == 0));
    }
}
