//! The money behind deployments, bids and providers: one mechanism for reserving and for metering.
//!
//! Time passing **reserves** money at the full price, a usage record **pays** for what was served and gives the rest of
//! its period back. Three sums per account, R = Σ rate and S = Σ rate · settled over running payments and
//! F = Σ rate · (stop − settled) over stopped ones that may still report, say what is free at any time, so nothing is
//! done per lease as time passes, and no account is ever overdrawn, however late anybody looks:
//!
//! ```text
//! spendable(t) = balance − (R · min(t, due) − S) − F          due = ⌊(balance − F + S) / R⌋ when R > 0
//! ```
//!
//! Whoever touches an account brings it up to date first ([`Escrow::touch`]): it stops everything at `due` if that has
//! come, then releases what final windows held that have ended, then resumes suspended leases if the money covers their
//! runway, then, when the grace period is over, ends them. What time alone changes next stands in a queue that is
//! committed with the state; [`Escrow::due`] is all that the end of a block asks. Touching costs what changed: payments
//! that stop or resume together are those of one deployment's groups, of which there are at most 20, and each final
//! window was paid for by the transaction or the block item that stopped a payment.
//!
//! What the specification leaves open, and what was chosen:
//!
//! * After the grace period the account stays open with what is left, without payments, so that the deployment lives on
//!   with paused groups and a later start needs no new account. (An open account without payments may be emptied by its
//!   owner.)
//! * A further deposit goes behind those of others that came before it; a depositor has up to four places in the list, and what
//!   exceeds them joins the newest of these, so that the list stays short. The owner always has a place.
//! * Spare money goes back as it would at the end, the newest deposits first and each to its depositor, whoever asks for it.
//! * Fractions returned by finished payments are spent after all deposits.
//! * While a payment that money stopped may still report and a later one runs, a record belongs to the first that its
//!   start reaches. What it skips is a gap and goes back to the tenant at once.
//! * How long a final window or a grace period lasts is fixed when it begins; parameters changed later do not move it.
//! * A record shorter than the minimum is one of which too little counts, after clipping.
//!
//! Escrow knows nothing of leases but their ids and rates. It has no end of block of its own: market asks what is due.
//! A caller that must act on [`Happened::GraceOver`] touches before it asks for anything else.

mod book;
mod broken;
mod error;
mod genesis;
mod ops;
mod query;
pub mod types;

pub use error::Error;
pub use types::{
    Account, AccountId, AccountState, Funds, Happened, Meter, MeterState, Outcome, Params, Payment, PaymentState, Record, Reserved,
};

use auth::Auth;
use bank::Bank;
use book::{Act, Book};
use kernel::{
    Address, BidId, Ctx, DENOM, DeploymentId, Fault, Genesis, Index, Item, Key, Module, Namespace, Table, Tail, View, module_address,
};
use proto::virtengine::escrow::v1 as wire;
use std::sync::Arc;

/// The module account that holds all of it.
pub const MODULE_ACCOUNT: &str = "escrow";

pub struct Escrow {
    bank: Arc<Bank>,
    auth: Arc<Auth>,
    params: Item<wire::Params>,
    accounts: Table<AccountId, Account>,
    /// When time alone changes an account next.
    queue: Index<u64, AccountId>,
    meters: Table<BidId, Meter>,
    /// Leases that run or are suspended.
    live: Index<DeploymentId, BidId>,
    /// Leases with a stopped payment that may still report, by the end of its final window.
    windows: Index<(DeploymentId, u64), BidId>,
    by_provider: Index<(Address, DeploymentId), BidId>,
}

impl Escrow {
    pub fn new(ns: Namespace, bank: Arc<Bank>, auth: Arc<Auth>) -> Self {
        let mut accounts = Table::new(&ns, 1);
        let mut meters = Table::new(&ns, 2);
        Escrow {
            bank,
            auth,
            params: Item::new(&ns, 0),
            queue: accounts.queue(&ns, 3, |_, a: &Account| a.queued()),
            live: meters.queue(&ns, 4, |k: &BidId, m: &Meter| (m.state != MeterState::Closed).then(|| k.deployment())),
            windows: meters.queue(&ns, 5, |k: &BidId, m: &Meter| m.window().map(|at| (k.deployment(), at))),
            by_provider: meters.index_with(
                &ns,
                6,
                |k: &BidId, _| Some((k.provider, k.deployment())),
                Tail {
                    put: |k, out| (k.order.group.gseq, k.order.oseq).put(out),
                    take: |(provider, deployment), b| Some(deployment.group(u32::take(b)?).order(u32::take(b)?).bid(*provider)),
                },
            ),
            accounts,
            meters,
        }
    }

    pub fn params(&self, view: &View) -> Result<Params, Fault> {
        let row = self.params.get(view)?.unwrap_or_default();
        Params::try_from(&row).map_err(|_| Fault::Corrupt("escrow parameters"))
    }

    /// Whether money may leave escrow for an address: not for a module's, least of all escrow's own, which would then hold
    /// more than it owes.
    pub fn may_receive(&self, view: &View, to: &Address) -> Result<bool, Fault> {
        Ok(self.auth.kind(view, to)? != Some(auth::Kind::Module))
    }

    /// The account's row, not brought up to date.
    pub fn account(&self, view: &View, id: &AccountId) -> Result<Option<Account>, Fault> {
        self.accounts.get(view, id)
    }

    /// Whose deposits escrow holds as providers.
    pub fn providers(&self, view: &View) -> Result<Vec<Address>, Fault> {
        let provider = |(id, _)| if let AccountId::Provider(owner) = id { Some(owner) } else { None };
        Ok(genesis::all(&self.accounts, view)?.into_iter().filter_map(provider).collect())
    }

    /// The lease's row, not brought up to date.
    pub fn meter(&self, view: &View, lease: &BidId) -> Result<Option<Meter>, Fault> {
        self.meters.get(view, lease)
    }

    /// The account and those of its leases that a touch may change, touched in memory.
    fn load(&self, view: &View, id: &AccountId) -> Result<Option<Book>, Fault> {
        let Some(account) = self.accounts.get(view, id)? else { return Ok(None) };
        let now = view.time();
        if now >= types::MAX_TIME {
            return Err(Fault::Corrupt("block time after the year 9999"));
        }
        let is_due = account.next_at != 0 && account.next_at <= now;
        let mut book = Book::new(*id, account.clone(), self.params(view)?, now);
        if let AccountId::Deployment(id) = id {
            if is_due || account.state == AccountState::Depleted {
                self.load_live(view, &mut book, id)?;
            }
            if is_due && account.frozen > 0 {
                self.load_ended(view, &mut book, id)?;
            }
        }
        book.old_account = Some(account);
        book.touch()?;
        Ok(Some(book))
    }

    fn load_live(&self, view: &View, book: &mut Book, id: &DeploymentId) -> Result<(), Fault> {
        for lease in self.live.page(view, id, usize::MAX)? {
            self.load_meter(view, book, &lease)?;
        }
        Ok(())
    }

    /// The meters with final windows that have ended, looking one beyond.
    fn load_ended(&self, view: &View, book: &mut Book, id: &DeploymentId) -> Result<(), Fault> {
        let mut limit = 1;
        loop {
            let leases = self.windows.page(view, id, limit)?;
            for lease in &leases {
                self.load_meter(view, book, lease)?;
            }
            let window = leases.last().and_then(|lease| book.meters[lease].window());
            if leases.len() < limit || window.is_none_or(|ends| ends > book.now) {
                return Ok(());
            }
            limit *= 4;
        }
    }

    /// False if the lease never had a payment.
    fn load_meter(&self, view: &View, book: &mut Book, lease: &BidId) -> Result<bool, Fault> {
        if book.meters.contains_key(lease) {
            return Ok(true);
        }
        let meter = self.meters.get(view, lease)?;
        let found = meter.is_some();
        meter.into_iter().for_each(|meter| book.add(*lease, meter));
        Ok(found)
    }

    /// The account behind a lease, with the lease's meter.
    fn load_lease(&self, view: &View, lease: &BidId) -> Result<Book, Error> {
        let id = AccountId::Deployment(lease.deployment());
        let mut book = self.load(view, &id)?.ok_or_else(|| Error::AccountNotFound(id.into()))?;
        if !self.load_meter(view, &mut book, lease)? {
            return Err(Error::LeaseNotFound((*lease).into()));
        }
        Ok(book)
    }

    /// Writes what changed, moves the money and announces it. The only place that writes rows of living accounts.
    fn store(&self, ctx: &mut Ctx, mut book: Book) -> Result<Vec<Happened>, Error> {
        let mut changed = book.old_account.as_ref() != Some(&book.account);
        for (lease, meter) in &book.meters {
            let old = book.old_meters.get(lease);
            if old != Some(meter) {
                self.meters.replace(ctx, lease, old, Some(meter))?;
                changed = true;
            }
        }
        if changed {
            book.account.next_at = self.next_at(ctx, &book.id, &book.account)?;
            book.account.stuck = false;
            self.accounts.replace(ctx, &book.id, book.old_account.as_ref(), Some(&book.account))?;
        }
        self.act(ctx, book.acts)?;
        Ok(book.happened)
    }

    fn next_at(&self, view: &View, id: &AccountId, account: &Account) -> Result<u64, Fault> {
        let window = match id {
            // Whatever may still report is frozen, so nothing frozen means no window.
            AccountId::Deployment(id) if account.frozen > 0 => {
                let first = self.windows.page(view, id, 1)?;
                let meter = first.first().map(|lease| self.meters.get(view, lease)).transpose()?.flatten();
                meter.and_then(|m| m.window())
            }
            _ => None,
        };
        Ok(account.next(window))
    }

    fn act(&self, ctx: &mut Ctx, acts: Vec<Act>) -> Result<(), Error> {
        for act in acts {
            match act {
                Act::Emit(emit) => emit(ctx),
                Act::Send(to, uve) => self.send(ctx, &module_address(MODULE_ACCOUNT), &to, uve).map_err(|e| match e {
                    bank::Error::Fault(fault) => fault,
                    _ => Fault::Corrupt("escrow's module account holds less than escrow owes"),
                })?,
            }
        }
        Ok(())
    }

    fn send(&self, ctx: &mut Ctx, from: &Address, to: &Address, uve: u64) -> Result<(), bank::Error> {
        self.bank.send(ctx, from, to, &[(DENOM.to_string(), uve.into())])
    }
}

impl Module for Escrow {
    fn name(&self) -> &'static str {
        "escrow"
    }

    fn init_genesis(&self, ctx: &mut Ctx, genesis: &Genesis) -> Result<(), kernel::Error> {
        Ok(self.init(ctx, kernel::read_genesis(genesis)?)?)
    }

    fn export_genesis(&self, view: &View) -> Result<Genesis, kernel::Error> {
        kernel::write_genesis(&self.export(view)?)
    }

    fn broken(&self, view: &View) -> Result<Vec<String>, kernel::Error> {
        Ok(self.violations(view)?)
    }
}
