//! What other modules ask of escrow. Each operation touches the account first, in the same block time as everything else
//! of its block, and on an error has written nothing.

use crate::book::Book;
use crate::error::Error;
use crate::types::*;
use crate::{Escrow, MODULE_ACCOUNT};
use kernel::{Address, BidId, Ctx, DeploymentId, Fault, View, module_address};
use proto::virtengine::escrow::v1 as wire;

impl Escrow {
    /// Opens an account with `amount` uve from `depositor`; `owner` gets the last fractions at its end.
    pub fn open(&self, ctx: &mut Ctx, id: AccountId, owner: &Address, depositor: &Address, amount: u64) -> Result<(), Error> {
        if amount == 0 {
            return Err(Error::AmountTooSmall { got: 0, min: 1 });
        }
        if self.accounts.has(ctx, &id)? {
            return Err(Error::AccountExists(id.into()));
        }
        let mut book = Book::new(id, Account::new(*owner), self.params(ctx)?, ctx.time());
        self.send(ctx, depositor, &module_address(MODULE_ACCOUNT), amount)?;
        book.emit(wire::EventAccountOpened { id: Some(id.into()), depositor: depositor.to_string(), amount: Some(coin(amount)) });
        book.deposit(*depositor, amount)?;
        self.store(ctx, book).map(drop)
    }

    /// Adds `amount` uve from `depositor`; a depleted account that then covers its runway resumes.
    pub fn deposit(&self, ctx: &mut Ctx, id: AccountId, depositor: &Address, amount: u64) -> Result<(), Error> {
        let mut book = self.load(ctx, &id)?.ok_or_else(|| Error::AccountNotFound(id.into()))?;
        book.in_grace()?;
        if book.account.state == AccountState::Closed {
            return Err(Error::AccountClosed(id.into()));
        }
        if amount < book.params.min_topup {
            return Err(Error::AmountTooSmall { got: amount, min: book.params.min_topup });
        }
        book.accepts(depositor, amount)?;
        self.send(ctx, depositor, &module_address(MODULE_ACCOUNT), amount)?;
        book.emit(wire::EventDeposited { id: Some(id.into()), depositor: depositor.to_string(), amount: Some(coin(amount)) });
        book.deposit(*depositor, amount)?;
        self.store(ctx, book).map(drop)
    }

    /// Returns what exceeds the runway of the running leases, the newest deposits first; how many uve that was.
    pub fn withdraw_spare(&self, ctx: &mut Ctx, id: &DeploymentId) -> Result<u64, Error> {
        let mut book = self.load_deployment(ctx, id)?;
        book.in_grace()?;
        let total = book.withdraw_spare()?;
        self.store(ctx, book)?;
        Ok(total)
    }

    /// Brings a deployment's account up to date. On [`Happened::GraceOver`], which is told once, the caller closes the leases.
    pub fn touch(&self, ctx: &mut Ctx, id: &DeploymentId) -> Result<Vec<Happened>, Error> {
        let book = self.load_deployment(ctx, id)?;
        self.store(ctx, book)
    }

    /// Starts to pay for a lease, `price` uve per hour, from now on.
    pub fn open_payment(&self, ctx: &mut Ctx, lease: &BidId, price: u64) -> Result<(), Error> {
        if price == 0 {
            return Err(Error::PriceZero);
        }
        let mut book = self.load_deployment(ctx, &lease.deployment())?;
        if self.load_meter(ctx, &mut book, lease)? {
            return Err(Error::PaymentExists((*lease).into()));
        }
        book.in_grace()?;
        book.open_payment(*lease, price)?;
        self.store(ctx, book).map(drop)
    }

    /// Whether a deployment's account is open and covers the runway of its running leases and of `extra_price` more.
    pub fn runway_ok(&self, view: &View, id: &DeploymentId, extra_price: u64) -> Result<(), Error> {
        self.load_deployment(view, id)?.covers(extra_price)
    }

    /// Stops paying for a lease, running or suspended, now. Does nothing if that has happened before.
    pub fn close_lease(&self, ctx: &mut Ctx, lease: &BidId) -> Result<(), Error> {
        let mut book = self.load_lease(ctx, lease)?;
        if book.meters[lease].state == MeterState::Closed && book.old_meters[lease].state == MeterState::Closed {
            return Ok(());
        }
        book.in_grace()?;
        book.close_lease(lease)?;
        self.store(ctx, book).map(drop)
    }

    /// Pays for what a record shows; whole uve go to `payout`.
    pub fn record(&self, ctx: &mut Ctx, lease: &BidId, record: Record, payout: &Address) -> Result<Outcome, Error> {
        let mut book = self.load_lease(ctx, lease)?;
        book.in_grace()?;
        let outcome = book.record(lease, &record, payout)?;
        if !outcome.duplicate {
            self.store(ctx, book)?;
        }
        Ok(outcome)
    }

    /// Closes an account and refunds what is free. A deployment's account keeps what may still be reported until that
    /// is over; any other account is gone.
    pub fn close(&self, ctx: &mut Ctx, id: AccountId) -> Result<(), Error> {
        let mut book = self.load(ctx, &id)?.ok_or_else(|| Error::AccountNotFound(id.into()))?;
        if book.account.state == AccountState::Closed {
            return Err(Error::AccountClosed(id.into()));
        }
        let AccountId::Deployment(deployment) = id else {
            book.close()?;
            self.accounts.remove(ctx, &id)?;
            return self.act(ctx, book.acts);
        };
        book.in_grace()?;
        self.load_live(ctx, &mut book, &deployment)?;
        book.close()?;
        self.store(ctx, book).map(drop)
    }

    /// Gives a bid's deposit to somebody else, the tenant, instead of back; the account is gone.
    pub fn forfeit(&self, ctx: &mut Ctx, bid: &BidId, to: &Address) -> Result<(), Error> {
        let id = AccountId::Bid(*bid);
        let mut book = self.load(ctx, &id)?.ok_or_else(|| Error::AccountNotFound(id.into()))?;
        book.forfeit(*to);
        self.accounts.remove(ctx, &id)?;
        self.act(ctx, book.acts)
    }

    /// Accounts that time alone changes at or before now, the earliest first: to be touched.
    pub fn due(&self, view: &View, limit: usize) -> Result<Vec<DeploymentId>, Fault> {
        let due = self.queue.upto(view, &view.time(), limit)?;
        let deployment = |(_, id)| match id {
            AccountId::Deployment(id) => Ok(id),
            _ => Err(Fault::Corrupt("only a deployment's account is ever due")),
        };
        due.into_iter().map(deployment).collect()
    }

    /// Takes an account that cannot be handled off the due queue, until a touch changes it.
    pub fn set_aside(&self, ctx: &mut Ctx, id: &DeploymentId) -> Result<(), Error> {
        let id = AccountId::Deployment(*id);
        if let Ok(Some(old)) = self.accounts.get(ctx, &id) {
            let new = Account { stuck: true, ..old.clone() };
            return Ok(self.accounts.replace(ctx, &id, Some(&old), Some(&new))?);
        }
        // The queue alone still knows of it.
        for (at, _) in self.queue.upto(ctx, &ctx.time(), usize::MAX)?.into_iter().filter(|(_, due)| *due == id) {
            self.queue.drop_entry(ctx, &at, &id)?;
        }
        Ok(())
    }

    /// How a deployment's account stands as of now. Like the other questions about now, it writes nothing.
    pub fn funds(&self, view: &View, id: &DeploymentId) -> Result<Funds, Fault> {
        let Some(book) = self.load(view, &AccountId::Deployment(*id))? else { return Ok(Funds::Enough) };
        let ended = book.happened.into_iter().find_map(|h| if let Happened::GraceOver { leases } = h { Some(leases) } else { None });
        Ok(match ended {
            Some(leases) => Funds::Ended(leases),
            None if book.account.state == AccountState::Depleted => Funds::Depleted,
            None => Funds::Enough,
        })
    }

    /// Whether a lease waits for money as of now; false if it never had a payment.
    pub fn lease_suspended(&self, view: &View, lease: &BidId) -> Result<bool, Error> {
        Ok(self.meter_now(view, lease)?.is_some_and(|meter| meter.state == MeterState::Suspended))
    }

    /// Whether a lease may still be paid; false if it never had a payment.
    pub fn has_unsettled(&self, view: &View, lease: &BidId) -> Result<bool, Error> {
        Ok(self.meter_now(view, lease)?.is_some_and(|meter| !meter.is_settled()))
    }

    /// A lease's meter as of now.
    pub(crate) fn meter_now(&self, view: &View, lease: &BidId) -> Result<Option<Meter>, Error> {
        match self.load_lease(view, lease) {
            Ok(mut book) => Ok(book.meters.remove(lease)),
            Err(Error::LeaseNotFound(_) | Error::AccountNotFound(_)) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Whether a deployment's account is closed and owes nothing any more; true if there is none.
    pub fn is_settled(&self, view: &View, id: &DeploymentId) -> Result<bool, Error> {
        let account = self.accounts.get(view, &AccountId::Deployment(*id))?;
        Ok(account.is_none_or(|a| a.state == AccountState::Closed && a.balance == 0))
    }

    /// Forgets a settled lease.
    pub fn remove_lease(&self, ctx: &mut Ctx, lease: &BidId) -> Result<(), Error> {
        let meter = self.meters.get(ctx, lease)?.ok_or_else(|| Error::LeaseNotFound((*lease).into()))?;
        if !meter.is_settled() {
            return Err(Error::Unsettled((*lease).into()));
        }
        Ok(self.meters.replace(ctx, lease, Some(&meter), None)?)
    }

    /// Forgets a deployment's settled account and whatever leases of it were not forgotten before.
    pub fn remove(&self, ctx: &mut Ctx, id: &DeploymentId) -> Result<(), Error> {
        let account = AccountId::Deployment(*id);
        if !self.is_settled(ctx, id)? {
            return Err(Error::AccountUnsettled(account.into()));
        }
        loop {
            let meters = self.meters.page_under(ctx, id, None, 100)?;
            for (lease, meter) in &meters {
                self.meters.replace(ctx, lease, Some(meter), None)?;
            }
            if meters.is_empty() {
                break;
            }
        }
        if self.accounts.has(ctx, &account)? {
            self.accounts.remove(ctx, &account)?;
        }
        Ok(())
    }

    fn load_deployment(&self, view: &View, id: &DeploymentId) -> Result<Book, Error> {
        let id = AccountId::Deployment(*id);
        self.load(view, &id)?.ok_or_else(|| Error::AccountNotFound(id.into()))
    }
}
