//! Questions about now: every answer is what a touch at the view's block time would find, and nothing is written.

use crate::Escrow;
use crate::error::Error;
use crate::types::*;
use kernel::{Address, BidId, DeploymentId, Fault, Page, View};
use proto::cosmos::base::query::v1beta1::PageResponse;
use proto::virtengine::escrow::v1 as wire;
use std::cell::RefCell;

/// Finished leases that a status shows, besides all that may still cost something.
const MAX_FINISHED: usize = 100;

impl Escrow {
    pub fn query_params(&self, view: &View, _: wire::QueryParamsRequest) -> Result<wire::QueryParamsResponse, kernel::Error> {
        Ok(wire::QueryParamsResponse { params: Some((&self.params(view)?).into()) })
    }

    /// The accounts of deployments; with a provider, of those that have or had a lease with it.
    pub fn query_accounts(&self, view: &View, req: wire::QueryAccountsRequest) -> Result<wire::QueryAccountsResponse, kernel::Error> {
        let wrong = |e: String| kernel::Error::invalid_request(e);
        let owner = filter("owner", &req.owner).map_err(wrong)?;
        let provider = filter("provider", &req.provider).map_err(wrong)?;
        let page = Page::new(req.pagination.as_ref()).map_err(wrong)?;
        let (ids, pagination) = match (owner, provider, req.dseq) {
            (None, _, 1..) => return Err(wrong("dseq: expected together with owner".into())),
            (Some(owner), provider, dseq @ 1..) => {
                let id = DeploymentId { owner, dseq };
                let dealt = match provider {
                    Some(provider) => !self.by_provider.page(view, &(provider, id), 1)?.is_empty(),
                    None => true,
                };
                (if dealt { vec![id] } else { vec![] }, PageResponse::default())
            }
            (Some(owner), Some(provider), 0) => self.accounts_with(view, &(provider, owner), &page)?,
            (None, Some(provider), 0) => self.accounts_with(view, &provider, &page)?,
            (Some(owner), None, 0) => self.accounts_of(view, &(DEPLOYMENTS, owner), &page)?,
            (None, None, 0) => self.accounts_of(view, &DEPLOYMENTS, &page)?,
        };
        let statuses = ids.into_iter().map(|id| self.status(view, &AccountId::Deployment(id)));
        let accounts = statuses.filter_map(Result::transpose).collect::<Result<_, _>>()?;
        Ok(wire::QueryAccountsResponse { accounts, pagination: Some(pagination) })
    }

    fn accounts_of<P: kernel::Key>(&self, view: &View, part: &P, page: &Page) -> Result<(Vec<DeploymentId>, PageResponse), Fault> {
        let (rows, pagination) = self.accounts.list(view, part, page, |_, _| true)?;
        let deployment = |(id, _)| if let AccountId::Deployment(id) = id { Some(id) } else { None };
        Ok((rows.into_iter().filter_map(deployment).collect(), pagination))
    }

    /// Each account once, at its first lease in the index.
    fn accounts_with<P: kernel::Key>(&self, view: &View, part: &P, page: &Page) -> Result<(Vec<DeploymentId>, PageResponse), Fault> {
        let fault = RefCell::new(None);
        let is_first = |lease: &BidId, _: &Meter| match self.by_provider.page(view, &(lease.provider, lease.deployment()), 1) {
            Ok(first) => first == [*lease],
            Err(e) => {
                fault.replace(Some(e));
                false
            }
        };
        let (rows, pagination) = self.by_provider.list(view, &self.meters, part, page, is_first)?;
        match fault.into_inner() {
            Some(e) => Err(e),
            None => Ok((rows.into_iter().map(|(lease, _)| lease.deployment()).collect(), pagination)),
        }
    }

    /// An account and its payments as of now, in whole uve rounded down; None if there is no such account.
    pub fn status(&self, view: &View, id: &AccountId) -> Result<Option<wire::AccountStatus>, Error> {
        let Some(mut book) = self.load(view, id)? else { return Ok(None) };
        if let AccountId::Deployment(id) = id {
            self.load_live(view, &mut book, id)?;
            for lease in self.windows.page(view, id, MAX_FINISHED)? {
                self.load_meter(view, &mut book, &lease)?;
            }
            for (lease, _) in self.meters.page_under(view, id, None, MAX_FINISHED)? {
                self.load_meter(view, &mut book, &lease)?;
            }
        }
        let (a, now) = (&book.account, book.now);
        let due = a.due();
        let depleted = a.state == AccountState::Depleted;
        let deposit = |d: &Deposit| wire::DepositStatus { depositor: d.depositor.to_string(), amount: Some(coin(whole_uve(d.grains))) };
        Ok(Some(wire::AccountStatus {
            id: Some(book.id.into()),
            owner: a.owner.to_string(),
            state: a.state.into(),
            balance: Some(coin(whole_uve(a.balance))),
            reserved: Some(coin(whole_uve(a.held(now) + a.frozen))),
            spendable: Some(coin(whole_uve(a.spendable(now)))),
            paid: Some(coin(a.paid)),
            depletes_at: due.map(timestamp),
            hours_left: due.map_or(String::new(), |due| hours(due.saturating_sub(now))),
            deposits: a.deposits.iter().map(deposit).collect(),
            payments: book.meters.iter().flat_map(|(lease, m)| statuses(lease, m, now)).collect(),
            depleted_at: depleted.then(|| timestamp(book.ran_out())),
            grace_ends: depleted.then(|| timestamp(a.grace_ends)),
            missing: depleted.then(|| coin(book.missing())),
        }))
    }

    /// The payments of a lease as of now: those that may still report, oldest first, and the newest in any case. Empty if
    /// the lease never had one.
    pub fn payments_of(&self, view: &View, lease: &BidId) -> Result<Vec<wire::PaymentStatus>, Error> {
        let meter = self.meter_now(view, lease)?;
        Ok(meter.map_or(Vec::new(), |meter| statuses(lease, &meter, view.time())))
    }
}

/// First byte of the keys of deployments' accounts.
const DEPLOYMENTS: u8 = 1;

fn filter(field: &str, text: &str) -> Result<Option<Address>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|e| format!("{field}: {e}"))
}

/// Two decimals, rounded down.
fn hours(ms: u64) -> String {
    let hundredths = ms / 36_000;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

fn statuses(lease: &BidId, meter: &Meter, now: u64) -> Vec<wire::PaymentStatus> {
    let status = |p: &Payment| wire::PaymentStatus {
        lease_id: Some((*lease).into()),
        number: p.number,
        state: p.state().into(),
        price: Some(coin(meter.rate)),
        reserved: Some(coin(whole_uve(grains(meter.rate, p.stop.unwrap_or(now).saturating_sub(p.settled))))),
        paid: Some(coin(p.paid)),
        opened_at: Some(timestamp(p.opened)),
        stopped_at: p.stop.map(timestamp),
        settled: Some(timestamp(p.settled)),
        next_sequence: meter.last_sequence + 1,
        lease_paid: Some(coin(meter.paid)),
        last_hash: meter.last_hash.map_or_else(Vec::new, |hash| hash.to_vec()),
    };
    meter.payments.iter().map(status).collect()
}
