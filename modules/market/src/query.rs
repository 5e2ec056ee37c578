//! Answers about orders, bids and leases, as of the queried block. A list reads one index or one prefix and filters the
//! rest; it is bounded in what it returns and in what it looks at.

use crate::types::{Part, bid_state, order_state, price};
use crate::{Error, Market};
use escrow::Funds;
use kernel::{Address, BidId, Index, Key, OrderId, Page, Table, Value, View};
use proto::cosmos::base::query::v1beta1::{PageRequest, PageResponse};
use proto::virtengine::base::v1 as base;
use proto::virtengine::market::v1 as wire;
use proto::virtengine::provider::v1::provider;
use wire::{bid, lease, order};

fn not_found(error: Error) -> kernel::Error {
    match error {
        Error::OrderNotFound(_) | Error::BidNotFound(_) | Error::LeaseNotFound(_) => kernel::Error::not_found(error),
        error => error.into(),
    }
}

/// The parts of an id that a list is filtered by; what is empty or zero matches everything.
struct Filter {
    owner: Option<Address>,
    dseq: u64,
    gseq: u32,
    oseq: u32,
    provider: Option<Address>,
    page: Page,
}

impl Filter {
    fn new(owner: &str, dseq: u64, gseq: u32, oseq: u32, provider: &str, page: Option<&PageRequest>) -> Result<Self, kernel::Error> {
        let address = |field: &str, text: &str| match text {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|e| kernel::Error::invalid_request(format!("{field}: {e}"))),
        };
        Ok(Filter {
            owner: address("owner", owner)?,
            dseq,
            gseq,
            oseq,
            provider: address("provider", provider)?,
            page: Page::new(page).map_err(kernel::Error::invalid_request)?,
        })
    }

    fn accepts(&self, id: &OrderId) -> bool {
        let group = &id.group;
        self.owner.is_none_or(|owner| owner == id.owner())
            && (self.dseq == 0 || self.dseq == group.deployment.dseq)
            && (self.gseq == 0 || self.gseq == group.gseq)
            && (self.oseq == 0 || self.oseq == id.oseq)
    }

    fn accepts_bid(&self, id: &BidId) -> bool {
        self.accepts(&id.order) && self.provider.is_none_or(|provider| provider == id.provider)
    }

    /// The part of a key that the filter fixes from its beginning.
    fn part(&self, owner: &Address) -> Part {
        let mut out = owner.to_bytes();
        if self.dseq != 0 {
            self.dseq.put(&mut out);
            for seq in [self.gseq, self.oseq] {
                if seq == 0 {
                    return Part(out);
                }
                seq.put(&mut out);
            }
            if let Some(provider) = self.provider {
                provider.put(&mut out);
            }
        }
        Part(out)
    }
}

/// The indexes that bids and leases both have.
struct Indexes<'a> {
    by_provider: &'a Index<Address, BidId>,
    by_provider_state: &'a Index<(Address, u8), BidId>,
    by_dseq: &'a Index<u64, BidId>,
    by_state: &'a Index<u8, BidId>,
}

type Listed<V> = Result<(Vec<(BidId, V)>, PageResponse), kernel::Error>;

impl Indexes<'_> {
    /// A page of the filtered rows in the stored state (0 = all) that `keep` accepts.
    fn list<V: Value + 'static>(
        &self,
        view: &View,
        table: &Table<BidId, V>,
        f: &Filter,
        state: u8,
        keep: impl Fn(&BidId, &V) -> bool,
    ) -> Listed<V> {
        let keep = |id: &BidId, row: &V| f.accepts_bid(id) && keep(id, row);
        Ok(match (f.owner, f.provider, f.dseq, state) {
            (Some(owner), ..) => table.list(view, &f.part(&owner), &f.page, keep)?,
            (None, Some(provider), _, 0) => self.by_provider.list(view, table, &provider, &f.page, keep)?,
            (None, Some(provider), _, state) => self.by_provider_state.list(view, table, &(provider, state), &f.page, keep)?,
            (None, None, 0, 0) => table.list(view, &(), &f.page, keep)?,
            (None, None, 0, state) => self.by_state.list(view, table, &state, &f.page, keep)?,
            (None, None, dseq, _) => self.by_dseq.list(view, table, &dseq, &f.page, keep)?,
        })
    }
}

impl Market {
    fn order_id(owner: String, dseq: u64, gseq: u32, oseq: u32) -> Result<OrderId, kernel::Error> {
        OrderId::try_from(&base::OrderId { owner, dseq, gseq, oseq }).map_err(kernel::Error::invalid_request)
    }

    fn bid_id(owner: String, dseq: u64, gseq: u32, oseq: u32, provider: String) -> Result<BidId, kernel::Error> {
        BidId::try_from(&base::BidId { owner, dseq, gseq, oseq, provider }).map_err(kernel::Error::invalid_request)
    }

    /// An order as queries show it, with its group's spec.
    fn shown_order(&self, view: &View, id: &OrderId, row: wire::Order) -> Result<wire::Order, kernel::Error> {
        let spec = self.deployments.group(view, &id.group)?.and_then(|group| group.spec);
        Ok(wire::Order { order_id: Some((*id).into()), spec, ..row })
    }

    pub fn query_order(&self, view: &View, r: wire::QueryOrderRequest) -> Result<wire::QueryOrderResponse, kernel::Error> {
        let id = Self::order_id(r.owner, r.dseq, r.gseq, r.oseq)?;
        let row = self.order(view, &id).map_err(not_found)?;
        Ok(wire::QueryOrderResponse { order: Some(self.shown_order(view, &id, row)?) })
    }

    pub fn query_orders(&self, view: &View, r: wire::QueryOrdersRequest) -> Result<wire::QueryOrdersResponse, kernel::Error> {
        let f = Filter::new(&r.owner, r.dseq, r.gseq, r.oseq, "", r.pagination.as_ref())?;
        let state = order::State::try_from(r.state)
            .map_err(|_| kernel::Error::invalid_request(format!("state: expected open, active or closed, got {}", r.state)))?;
        let mut attributes = Vec::new();
        for text in &r.attributes {
            attributes.push(
                text.split_once('=')
                    .ok_or_else(|| kernel::Error::invalid_request(format!("attributes: expected key=value, got {text:?}")))?,
            );
        }
        let keep = |id: &OrderId, row: &wire::Order| {
            f.accepts(id) && (state == order::State::Unspecified || row.state() == state) && self.asks_for(view, id, &attributes)
        };
        let (rows, pagination) = if let Some(owner) = f.owner {
            self.orders.list(view, &f.part(&owner), &f.page, keep)?
        } else if f.dseq != 0 {
            self.orders_by_dseq.list(view, &self.orders, &f.dseq, &f.page, keep)?
        } else if state != order::State::Unspecified {
            self.orders_by_state.list(view, &self.orders, &(state as u8), &f.page, keep)?
        } else {
            self.orders.list(view, &(), &f.page, keep)?
        };
        let orders = rows.into_iter().map(|(id, row)| self.shown_order(view, &id, row)).collect::<Result<_, _>>()?;
        Ok(wire::QueryOrdersResponse { orders, pagination: Some(pagination) })
    }

    /// Whether an order requires all of these attributes; a group that cannot be read is not shown.
    fn asks_for(&self, view: &View, id: &OrderId, attributes: &[(&str, &str)]) -> bool {
        if attributes.is_empty() {
            return true;
        }
        let Ok(Some(group)) = self.deployments.group(view, &id.group) else { return false };
        let asked = group.spec.and_then(|spec| spec.requirements).unwrap_or_default().attributes;
        attributes.iter().all(|(key, value)| asked.iter().any(|a| a.key == *key && a.value == *value))
    }

    pub fn query_bid(&self, view: &View, r: wire::QueryBidRequest) -> Result<wire::QueryBidResponse, kernel::Error> {
        let id = Self::bid_id(r.owner, r.dseq, r.gseq, r.oseq, r.provider)?;
        let row = self.bid(view, &id).map_err(not_found)?;
        Ok(wire::QueryBidResponse { bid: Some(wire::Bid { bid_id: Some(id.into()), ..row }) })
    }

    pub fn query_bids(&self, view: &View, r: wire::QueryBidsRequest) -> Result<wire::QueryBidsResponse, kernel::Error> {
        let f = Filter::new(&r.owner, r.dseq, r.gseq, r.oseq, &r.provider, r.pagination.as_ref())?;
        let state = bid::State::try_from(r.state)
            .map_err(|_| kernel::Error::invalid_request(format!("state: expected open, active, lost or closed, got {}", r.state)))?;
        let indexes = Indexes {
            by_provider: &self.bids_by_provider,
            by_provider_state: &self.bids_by_provider_state,
            by_dseq: &self.bids_by_dseq,
            by_state: &self.bids_by_state,
        };
        let keep = |_: &BidId, row: &wire::Bid| state == bid::State::Unspecified || row.state() == state;
        let (rows, pagination) = indexes.list(view, &self.bids, &f, state as u8, keep)?;
        let bids = rows.into_iter().map(|(id, row)| wire::Bid { bid_id: Some(id.into()), ..row }).collect();
        Ok(wire::QueryBidsResponse { bids, pagination: Some(pagination) })
    }

    /// A lease as queries show it: without funds while the account that pays is depleted, closed once the grace period is
    /// over, although no block may have come to it.
    fn shown_lease(&self, view: &View, id: &BidId, mut row: wire::Lease) -> Result<wire::Lease, kernel::Error> {
        let shown = self.shown_state(view, id, &row)?;
        if shown == lease::State::Closed && row.state() == lease::State::Active {
            row.set_reason(wire::Reason::InsufficientFunds);
            row.closed_at = Some(proto::timestamp(view.time()));
        }
        row.set_state(shown);
        Ok(wire::Lease { lease_id: Some((*id).into()), ..row })
    }

    fn shown_state(&self, view: &View, id: &BidId, row: &wire::Lease) -> Result<lease::State, kernel::Error> {
        let stored = row.state();
        if stored != lease::State::Active {
            return Ok(stored);
        }
        Ok(match self.escrow.funds(view, &id.deployment())? {
            Funds::Enough => stored,
            Funds::Depleted => lease::State::InsufficientFunds,
            Funds::Ended(leases) if leases.contains(id) => lease::State::Closed,
            Funds::Ended(_) => stored,
        })
    }

    pub fn query_lease(&self, view: &View, r: wire::QueryLeaseRequest) -> Result<wire::QueryLeaseResponse, kernel::Error> {
        let id = Self::bid_id(r.owner, r.dseq, r.gseq, r.oseq, r.provider)?;
        let row = self.lease(view, &id).map_err(not_found)?;
        Ok(wire::QueryLeaseResponse {
            lease: Some(self.shown_lease(view, &id, row)?),
            payments: self.escrow.payments_of(view, &id)?,
            manifest: self.manifests.get(view, &id)?,
        })
    }

    pub fn query_leases(&self, view: &View, r: wire::QueryLeasesRequest) -> Result<wire::QueryLeasesResponse, kernel::Error> {
        let f = Filter::new(&r.owner, r.dseq, r.gseq, r.oseq, &r.provider, r.pagination.as_ref())?;
        let state = lease::State::try_from(r.state).map_err(|_| {
            kernel::Error::invalid_request(format!("state: expected active, closed or insufficient_funds, got {}", r.state))
        })?;
        let stored = if state == lease::State::InsufficientFunds { lease::State::Active } else { state };
        let indexes = Indexes {
            by_provider: &self.leases_by_provider,
            by_provider_state: &self.leases_by_provider_state,
            by_dseq: &self.leases_by_dseq,
            by_state: &self.leases_by_state,
        };
        let keep = |id: &BidId, row: &wire::Lease| {
            state == lease::State::Unspecified
                || (row.state() == stored && self.shown_state(view, id, row).is_ok_and(|shown| shown == state))
        };
        let (rows, pagination) = indexes.list(view, &self.leases, &f, stored as u8, keep)?;
        let leases = rows.into_iter().map(|(id, row)| self.shown_lease(view, &id, row)).collect::<Result<_, _>>()?;
        Ok(wire::QueryLeasesResponse { leases, pagination: Some(pagination) })
    }

    pub fn query_params(&self, view: &View, _: wire::QueryParamsRequest) -> Result<wire::QueryParamsResponse, kernel::Error> {
        Ok(wire::QueryParamsResponse { params: Some(self.params(view)?.into()) })
    }

    /// Each thing that stands between a provider and a bid on an order, met or not, and why.
    pub fn query_match(&self, view: &View, r: wire::QueryMatchRequest) -> Result<wire::QueryMatchResponse, kernel::Error> {
        let id = Self::bid_id(r.owner, r.dseq, r.gseq, r.oseq, r.provider)?;
        let order = self.order(view, &id.order).map_err(not_found)?;
        let group = self.deployments.require_group(view, &id.order.group)?;
        let mut requirements = Vec::new();
        let mut ask = |requirement: String, reason: Option<String>| {
            requirements.push(wire::Requirement { requirement, met: reason.is_none(), reason: reason.unwrap_or_default() });
        };
        let (state, expired) = (order.state(), crate::types::ms(order.expires_at.as_ref()) <= view.time());
        let closed = match state {
            order::State::Open => expired.then_some("expired"),
            state => Some(order_state(state)),
        };
        ask("order open".into(), closed.map(|state| format!("order {} is {state}", id.order)));
        ask("another account's order".into(), (id.provider == id.owner()).then(|| "the provider is the tenant".into()));
        let earlier = self.bids.get(view, &id)?;
        ask("no bid by this provider yet".into(), earlier.map(|bid| format!("its bid is {}", bid_state(bid.state()))));
        let spec = group.spec.unwrap_or_default();
        let params = self.params(view)?;
        // What a bid chooses for itself can always be met.
        ask(format!("a price of at most {}uve per hour", price(spec.price.as_ref())), None);
        ask(format!("a deposit of at least {}uve", params.bid_min_deposit), None);
        let max = params.order_max_bids;
        if order.open_bids >= max {
            let dearest = self.dearest(view, &id.order)?.map_or(0, |(_, row)| price(row.price.as_ref()));
            ask(
                format!("a price below {dearest}uve, because the order has its {max} bids"),
                (dearest <= 1).then(|| "no price is lower".into()),
            );
        }
        let found = self.providers.get(view, &id.provider)?;
        let register = || format!("{} is not a provider: register it with tx provider create", id.provider);
        ask("registered provider".into(), found.is_none().then(register));
        if let Some(found) = &found {
            let active = found.status() == provider::Status::Active;
            ask("provider ACTIVE".into(), (!active).then(|| "it is INACTIVE".into()));
        }
        // Who is not registered yet sees what it would have to offer.
        for one in self.placement(view, &id.provider, &found.unwrap_or_default(), &spec)? {
            ask(one.text, one.reason);
        }
        Ok(wire::QueryMatchResponse { matches: requirements.iter().all(|r| r.met), requirements })
    }
}
