//! The registry of providers: accounts that sell compute. A provider's deposit is held by escrow while it is registered.
//! What providers bid on and which leases they serve is the market's; here is only a count of what is not settled yet.

mod error;
mod genesis;
mod msg;
mod query;
mod types;

pub use error::Error;
pub use types::{Mismatch, Params};

use escrow::Escrow;
use kernel::{Address, Ctx, Fault, Genesis, Index, Item, Module, Namespace, Number, Table, View};
use proto::virtengine::base::v1::{Attribute, PlacementRequirements};
use proto::virtengine::provider::v1::{self as wire, Details, Provider, SignedAttributes};
use std::sync::Arc;

pub struct Providers {
    params: Item<wire::Params>,
    /// `holds` is not in the row: it changes with every bid.
    rows: Table<Address, Provider>,
    by_status: Index<u8, Address>,
    signed: Table<(Address, Address), SignedAttributes>,
    holds: Table<Address, Number>,
    escrow: Arc<Escrow>,
}

impl Providers {
    pub fn new(ns: Namespace, escrow: Arc<Escrow>) -> Self {
        let mut rows = Table::new(&ns, 1);
        let by_status = rows.index(&ns, 1, |_: &Address, p: &Provider| u8::try_from(p.status).ok());
        Providers { params: Item::new(&ns, 0), rows, by_status, signed: Table::new(&ns, 2), holds: Table::new(&ns, 3), escrow }
    }

    pub fn params(&self, view: &View) -> Result<Params, Fault> {
        let row = self.params.get(view)?.ok_or(Fault::Corrupt("provider params"))?;
        Params::try_from(row).map_err(|_| Fault::Corrupt("provider params"))
    }

    pub fn get(&self, view: &View, owner: &Address) -> Result<Option<Provider>, Fault> {
        self.rows.get(view, owner)
    }

    fn require(&self, view: &View, owner: &Address) -> Result<Provider, Error> {
        self.get(view, owner)?.ok_or(Error::NotAProvider(*owner))
    }

    /// What an owner says of its provider.
    fn check_details(&self, view: &View, details: &Details, params: &Params) -> Result<(), Error> {
        types::check_details(details, params.max_attributes)?;
        match details.payout.parse() {
            Ok(payout) if !self.escrow.may_receive(view, &payout)? => {
                Err(Error::invalid("payout", format!("expected an account of a user, {payout} is a module's")))
            }
            _ => Ok(()),
        }
    }

    /// The provider, if it is registered and ACTIVE.
    pub fn require_active(&self, view: &View, owner: &Address) -> Result<Provider, Error> {
        let provider = self.require(view, owner)?;
        match provider.status() {
            wire::provider::Status::Active => Ok(provider),
            _ => Err(Error::Inactive(*owner)),
        }
    }

    /// The provider, if `signer` is its owner or its operator.
    pub fn may_act(&self, view: &View, signer: &Address, owner: &Address) -> Result<Provider, Error> {
        let provider = self.require(view, owner)?;
        if signer != owner && provider.operator != signer.to_string() {
            return Err(Error::NotOperator { signer: *signer, owner: *owner });
        }
        Ok(provider)
    }

    /// Where the provider's earnings go.
    pub fn payout(&self, view: &View, owner: &Address) -> Result<Address, Fault> {
        match self.get(view, owner)? {
            Some(p) if !p.payout.is_empty() => p.payout.parse().map_err(|_| Fault::Corrupt("payout")),
            _ => Ok(*owner),
        }
    }

    /// Open bids and unsettled leases.
    pub fn holds(&self, view: &View, owner: &Address) -> Result<u64, Fault> {
        Ok(self.holds.get(view, owner)?.map_or(0, |n| n.0))
    }

    /// All providers that are held, and how often.
    pub fn held(&self, view: &View) -> Result<Vec<(Address, u64)>, Fault> {
        Ok(self.holds.page(view, None, usize::MAX)?.into_iter().map(|(owner, n)| (owner, n.0)).collect())
    }

    /// One more bid or lease that must be settled before the provider can be deleted.
    pub fn hold(&self, ctx: &mut Ctx, owner: &Address) -> Result<(), Fault> {
        let n = self.holds(ctx, owner)?.checked_add(1).ok_or(Fault::Corrupt("holds overflow"))?;
        self.holds.save(ctx, owner, &Number(n))
    }

    pub fn release(&self, ctx: &mut Ctx, owner: &Address) -> Result<(), Fault> {
        match self.holds(ctx, owner)?.checked_sub(1).ok_or(Fault::Corrupt("release without hold"))? {
            0 => self.holds.remove(ctx, owner),
            n => self.holds.save(ctx, owner, &Number(n)),
        }
    }

    /// Attributes that `auditor` vouches for.
    pub fn signed_by(&self, view: &View, provider: &Address, auditor: &Address) -> Result<Option<Vec<Attribute>>, Fault> {
        Ok(self.signed.get(view, &(*provider, *auditor))?.map(|row| row.attributes))
    }

    /// What of an order's placement this provider does not meet; empty when it matches.
    ///
    /// An auditor counts if it has signed every attribute that the order asks for.
    pub fn matches(
        &self,
        view: &View,
        owner: &Address,
        provider: &Provider,
        asked: &PlacementRequirements,
    ) -> Result<Vec<Mismatch>, Fault> {
        let mut mismatches = types::missing(&asked.attributes, &provider.attributes);
        let signed_by = asked.signed_by.clone().unwrap_or_default();
        let vouches = |auditor: &String| -> Result<bool, Fault> {
            let Ok(auditor) = auditor.parse() else { return Ok(false) };
            let signed = self.signed_by(view, owner, &auditor)?;
            Ok(signed.is_some_and(|signed| types::missing(&asked.attributes, &signed).is_empty()))
        };
        for auditor in &signed_by.all_of {
            if !vouches(auditor)? {
                mismatches.push(Mismatch::NotSignedBy(auditor.clone()));
            }
        }
        let mut any = signed_by.any_of.is_empty();
        for auditor in &signed_by.any_of {
            any = any || vouches(auditor)?;
        }
        if !any {
            mismatches.push(Mismatch::NotSignedByAny(signed_by.any_of));
        }
        Ok(mismatches)
    }
}

impl Module for Providers {
    fn name(&self) -> &'static str {
        "provider"
    }

    fn init_genesis(&self, ctx: &mut Ctx, genesis: &Genesis) -> Result<(), kernel::Error> {
        self.init(ctx, genesis)
    }

    fn export_genesis(&self, view: &View) -> Result<Genesis, kernel::Error> {
        self.export(view)
    }

    fn broken(&self, view: &View) -> Result<Vec<String>, kernel::Error> {
        Ok(self.check(view)?)
    }
}
