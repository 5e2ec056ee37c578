//! One function per message. The signer is authenticated before: it is who the message's signer field names.

use crate::close::Deposit;
use crate::types::{Requirement, Task, capabilities, check_manifest_timeout, may_leave, ms, order_state, price};
use crate::{Budget, Error, Market, change};
use deployment::types::{address, amount, quoted, reserved, uve};
use escrow::{AccountId, Record};
use kernel::{Address, BidId, Ctx, DeploymentId, Fault, GroupId, Number, OrderId, View};
use prost::Message;
use proto::virtengine::base::v1 as base;
use proto::virtengine::deployment::v1::{self as deployment_wire, GroupSpec, group};
use proto::virtengine::encryption::v1::{Envelope, recipient_key};
use proto::virtengine::escrow::v1 as escrow_wire;
use proto::virtengine::market::v1 as wire;
use proto::virtengine::provider::v1::Provider;
use proto::{duration, duration_millis, millis, timestamp};
use sha2::{Digest, Sha256};
use wire::{Reason, bid, lease, order};

/// Rows that one message writes to close bids before it leaves the rest to the end of the block: some 100 bids, so that
/// the largest deployment can be closed within a block's gas.
const MESSAGE_ROWS: u64 = 1500;
/// Records in one message; each is a few rows.
const MAX_RECORDS: usize = 100;
/// An envelope is for the provider, the tenant and a few more.
const MAX_RECIPIENTS: usize = 8;
/// Bytes of XSalsa20's nonce, of an X25519 key, of a sealed 32-byte key with its tag, and of a tag.
const NONCE: usize = 24;
const PUBLIC_KEY: usize = 32;
const SEALED_KEY: usize = 48;
const TAG: usize = 16;

fn bid_id(field: &str, id: Option<&base::BidId>) -> Result<BidId, Error> {
    let id = id.ok_or_else(|| Error::invalid(field, "an id", "none"))?;
    BidId::try_from(id).map_err(|problem| Error::Id(format!("{field}.{problem}")))
}

fn deployment_id(owner: &str, dseq: u64) -> Result<DeploymentId, Error> {
    let id = base::DeploymentId { owner: owner.into(), dseq };
    DeploymentId::try_from(&id).map_err(Error::Id)
}

fn group_id(owner: &str, dseq: u64, gseq: u32) -> Result<GroupId, Error> {
    let id = base::GroupId { owner: owner.into(), dseq, gseq };
    GroupId::try_from(&id).map_err(Error::Id)
}

/// The signer must be the tenant that the id names.
fn check_tenant(owner: &str, id: &BidId) -> Result<(), Error> {
    let (tenant, got) = (id.owner(), address("owner", owner)?);
    if got == tenant { Ok(()) } else { Err(Error::NotTenant { tenant, got }) }
}

fn group_state(state: group::State) -> &'static str {
    match state {
        group::State::Unspecified => "unspecified",
        group::State::Open => "open",
        group::State::Paused => "paused",
        group::State::Closed => "closed",
        group::State::InsufficientFunds => "insufficient_funds",
    }
}

// --- deployments

impl Market {
    /// Opens an account with the deposit and an order for each group.
    pub fn create_deployment(
        &self,
        ctx: &mut Ctx,
        msg: deployment_wire::MsgCreateDeployment,
    ) -> Result<deployment_wire::MsgCreateDeploymentResponse, Error> {
        let owner = address("owner", &msg.owner)?;
        let deposit = amount("deposit", msg.deposit.as_ref(), self.deployments.params(ctx)?.min_deposit)?;
        let prices: Vec<u64> = msg.groups.iter().map(|g| price(g.price.as_ref())).collect();
        let id = self.deployments.create(ctx, owner, msg.dseq, msg.groups, msg.hash)?;
        self.escrow.open(ctx, AccountId::Deployment(id), &owner, &owner, deposit)?;
        for (gseq, price) in (1..).zip(prices) {
            self.open_order(ctx, &id.group(gseq), price)?;
        }
        Ok(deployment_wire::MsgCreateDeploymentResponse { dseq: id.dseq })
    }

    /// Names another manifest; the groups stay as they are.
    pub fn update_deployment(
        &self,
        ctx: &mut Ctx,
        msg: deployment_wire::MsgUpdateDeployment,
    ) -> Result<deployment_wire::MsgUpdateDeploymentResponse, Error> {
        let id = deployment_id(&msg.owner, msg.dseq)?;
        self.deployments.set_hash(ctx, &id, msg.hash)?;
        Ok(deployment_wire::MsgUpdateDeploymentResponse {})
    }

    /// Closes everything under the deployment; what nobody can claim any more goes back to the depositors.
    pub fn close_deployment(
        &self,
        ctx: &mut Ctx,
        msg: deployment_wire::MsgCloseDeployment,
    ) -> Result<deployment_wire::MsgCloseDeploymentResponse, Error> {
        let id = deployment_id(&msg.owner, msg.dseq)?;
        self.deployments.require_active(ctx, &id)?;
        self.touch(ctx, &id)?;
        let budget = Budget::new(ctx, MESSAGE_ROWS);
        self.end_deployment(ctx, &id, &budget)?;
        Ok(deployment_wire::MsgCloseDeploymentResponse {})
    }

    /// The group of an active deployment, whose account is up to date.
    fn touched_group(&self, ctx: &mut Ctx, owner: &str, dseq: u64, gseq: u32) -> Result<(GroupId, deployment_wire::Group), Error> {
        let id = group_id(owner, dseq, gseq)?;
        self.deployments.require_active(ctx, &id.deployment)?;
        self.deployments.require_group(ctx, &id)?;
        self.touch(ctx, &id.deployment)?;
        Ok((id, self.deployments.require_group(ctx, &id)?))
    }

    /// Ends a group for good.
    pub fn close_group(&self, ctx: &mut Ctx, msg: deployment_wire::MsgCloseGroup) -> Result<deployment_wire::MsgCloseGroupResponse, Error> {
        let (id, group) = self.touched_group(ctx, &msg.owner, msg.dseq, msg.gseq)?;
        if group.state() == group::State::Closed {
            return Err(Error::GroupState { id, state: "closed", expected: "open or paused" });
        }
        let budget = Budget::new(ctx, MESSAGE_ROWS);
        self.end_offer(ctx, &id, &group, &budget)?;
        self.set_group(ctx, &id, group::State::Closed)?;
        Ok(deployment_wire::MsgCloseGroupResponse {})
    }

    /// Takes a group off the market until it is started again.
    pub fn pause_group(&self, ctx: &mut Ctx, msg: deployment_wire::MsgPauseGroup) -> Result<deployment_wire::MsgPauseGroupResponse, Error> {
        let (id, group) = self.touched_group(ctx, &msg.owner, msg.dseq, msg.gseq)?;
        if group.state() != group::State::Open {
            return Err(Error::GroupState { id, state: group_state(group.state()), expected: "open" });
        }
        let budget = Budget::new(ctx, MESSAGE_ROWS);
        self.end_offer(ctx, &id, &group, &budget)?;
        self.set_group(ctx, &id, group::State::Paused)?;
        Ok(deployment_wire::MsgPauseGroupResponse {})
    }

    /// Offers a paused group again, if the account could pay for it.
    pub fn start_group(&self, ctx: &mut Ctx, msg: deployment_wire::MsgStartGroup) -> Result<deployment_wire::MsgStartGroupResponse, Error> {
        let (id, group) = self.touched_group(ctx, &msg.owner, msg.dseq, msg.gseq)?;
        if group.state() != group::State::Paused {
            return Err(Error::GroupState { id, state: group_state(group.state()), expected: "paused" });
        }
        let ceiling = price(group.spec.as_ref().and_then(|spec| spec.price.as_ref()));
        self.escrow.runway_ok(ctx, &id.deployment, ceiling)?;
        self.set_group(ctx, &id, group::State::Open)?;
        let oseq = self.open_order(ctx, &id, ceiling)?;
        Ok(deployment_wire::MsgStartGroupResponse { oseq })
    }
}

// --- bids and leases

impl Market {
    /// The order, if bids and leases can still be made on it.
    fn open_order_row(&self, view: &View, id: &OrderId) -> Result<wire::Order, Error> {
        let row = self.order(view, id)?;
        match row.state() {
            order::State::Open if ms(row.expires_at.as_ref()) > view.time() => Ok(row),
            order::State::Open => Err(Error::OrderNotOpen { id: *id, state: "expired" }),
            state => Err(Error::OrderNotOpen { id: *id, state: order_state(state) }),
        }
    }

    fn spec(&self, view: &View, id: &GroupId) -> Result<GroupSpec, Error> {
        Ok(self.deployments.require_group(view, id)?.spec.ok_or(Fault::Corrupt("a group without spec"))?)
    }

    /// What a group asks of its provider, each with the reason why this one does not meet it.
    pub(crate) fn placement(&self, view: &View, owner: &Address, provider: &Provider, spec: &GroupSpec) -> Result<Vec<Requirement>, Error> {
        let asked = spec.requirements.clone().unwrap_or_default();
        let unmet = self.providers.matches(view, owner, provider, &asked)?;
        let reason = |is: &dyn Fn(&provider::Mismatch) -> bool| unmet.iter().find(|m| is(m)).map(ToString::to_string);
        let mut all = Vec::new();
        for a in &asked.attributes {
            let same = |m: &provider::Mismatch| matches!(m, provider::Mismatch::Attribute { key, .. } if *key == a.key);
            all.push(Requirement { text: format!("attribute {}={}", a.key, a.value), reason: reason(&same) });
        }
        let signed_by = asked.signed_by.unwrap_or_default();
        for auditor in &signed_by.all_of {
            let same = |m: &provider::Mismatch| matches!(m, provider::Mismatch::NotSignedBy(missing) if missing == auditor);
            all.push(Requirement { text: format!("signed by {auditor}"), reason: reason(&same) });
        }
        if !signed_by.any_of.is_empty() {
            let same = |m: &provider::Mismatch| matches!(m, provider::Mismatch::NotSignedByAny(_));
            all.push(Requirement { text: format!("signed by any of {}", signed_by.any_of.join(", ")), reason: reason(&same) });
        }
        all.extend(capabilities(&spec.resources, &provider.attributes));
        Ok(all)
    }

    /// Refuses a provider that does not meet what the order asks for, naming all of it.
    fn check_match(&self, view: &View, id: &BidId, provider: &Provider, spec: &GroupSpec) -> Result<(), Error> {
        let all = self.placement(view, &id.provider, provider, spec)?;
        let unmet: Vec<String> = all.into_iter().filter_map(|r| r.reason).collect();
        if unmet.is_empty() { Ok(()) } else { Err(Error::Mismatch { id: id.order, unmet }) }
    }

    /// Offers to serve an open order; the deposit is held until the bid closes.
    pub fn create_bid(&self, ctx: &mut Ctx, msg: wire::MsgCreateBid) -> Result<wire::MsgCreateBidResponse, Error> {
        let signer = address("signer", &msg.signer)?;
        let id = bid_id("bid_id", msg.bid_id.as_ref())?;
        self.providers.may_act(ctx, &signer, &id.provider)?;
        let provider = self.providers.require_active(ctx, &id.provider)?;
        if id.provider == id.owner() || signer == id.owner() {
            return Err(Error::OwnOrder(id.order));
        }
        let order = self.open_order_row(ctx, &id.order)?;
        let spec = self.spec(ctx, &id.order.group)?;
        let (asked, ceiling) = (amount("price", msg.price.as_ref(), 1)?, price(spec.price.as_ref()));
        if asked > ceiling {
            return Err(Error::invalid("price", format!("at most {ceiling}uve, the order's price"), format!("{asked}uve")));
        }
        let params = self.params(ctx)?;
        let deposit = amount("deposit", msg.deposit.as_ref(), params.bid_min_deposit)?;
        if let Some(earlier) = self.bids.get(ctx, &id)? {
            return Err(Error::DuplicateBid { id, state: earlier.state() });
        }
        self.check_match(ctx, &id, &provider, &spec)?;
        if order.open_bids >= params.order_max_bids {
            self.displace(ctx, &id.order, asked, order.open_bids)?;
        } else {
            change(ctx, &self.orders, &id.order, &order, |order| order.open_bids += 1)?;
        }

        let arrival = self.arrivals.get(ctx)?.map_or(1, |n| n.0);
        self.arrivals.save(ctx, &Number(arrival + 1))?;
        self.escrow.open(ctx, AccountId::Bid(id), &id.provider, &id.provider, deposit)?;
        self.providers.hold(ctx, &id.provider)?;
        let row = wire::Bid {
            state: bid::State::Open.into(),
            price: Some(uve(asked)),
            deposit: Some(uve(deposit)),
            created_at: Some(timestamp(ctx.time())),
            arrival,
            ..Default::default()
        };
        self.bids.replace(ctx, &id, None, Some(&row))?;
        ctx.emit(&wire::EventBidCreated { bid_id: Some(id.into()), price: Some(uve(asked)) });
        Ok(wire::MsgCreateBidResponse {})
    }

    /// Makes room on a full order: its dearest bid, of equals the youngest, loses against a strictly cheaper one.
    fn displace(&self, ctx: &mut Ctx, id: &OrderId, asked: u64, bids: u32) -> Result<(), Error> {
        let (last, row) = self.dearest(ctx, id)?.ok_or(Fault::Corrupt("an order counts bids that it does not have"))?;
        let dearest = price(row.price.as_ref());
        if asked >= dearest {
            return Err(Error::OrderFull { id: *id, bids, dearest, price: asked });
        }
        self.end_open_bid(ctx, &last, bid::State::Lost)
    }

    pub(crate) fn dearest(&self, view: &View, id: &OrderId) -> Result<Option<(BidId, wire::Bid)>, Error> {
        let Some(last) = self.open_bids.last(view, id, 1)?.pop() else { return Ok(None) };
        let row = self.bid(view, &last)?;
        Ok(Some((last, row)))
    }

    /// Withdraws an open bid, or leaves a lease.
    pub fn close_bid(&self, ctx: &mut Ctx, msg: wire::MsgCloseBid) -> Result<wire::MsgCloseBidResponse, Error> {
        let signer = address("signer", &msg.signer)?;
        let id = bid_id("bid_id", msg.bid_id.as_ref())?;
        let reason = match Reason::try_from(msg.reason) {
            Ok(Reason::None) => Reason::Unspecified,
            Ok(reason @ (Reason::Unstable | Reason::Decommission | Reason::Unspecified | Reason::ManifestTimeout)) => reason,
            _ => {
                let expected = "unstable (10000), decommission (10001), unspecified (10002) or manifest_timeout (10003)";
                return Err(Error::invalid("reason", expected, msg.reason.to_string()));
            }
        };
        self.providers.may_act(ctx, &signer, &id.provider)?;
        self.bid(ctx, &id)?;
        self.touch(ctx, &id.deployment())?;
        match self.bid(ctx, &id)?.state() {
            bid::State::Open => {
                self.end_open_bid(ctx, &id, bid::State::Closed)?;
                self.count_closed(ctx, &id.order, 1)?;
            }
            bid::State::Active => self.leave(ctx, &id, reason)?,
            state => return Err(Error::BidOver { id, state }),
        }
        Ok(wire::MsgCloseBidResponse {})
    }

    fn leave(&self, ctx: &mut Ctx, id: &BidId, reason: Reason) -> Result<(), Error> {
        let (params, lease) = (self.params(ctx)?, self.lease(ctx, id)?);
        if reason == Reason::ManifestTimeout {
            check_manifest_timeout(&lease, &params, ctx.time())?;
        }
        let window = self.spec(ctx, &id.order.group)?.reclamation_window.as_ref().and_then(duration_millis);
        let kept = may_leave(&lease, window, &params, reason, ctx.time());
        self.end_lease(ctx, id, reason, if kept { Deposit::Refund } else { Deposit::Forfeit })?;
        self.set_group(ctx, &id.order.group, group::State::Paused)
    }

    /// Accepts a bid: its payment starts now, all other bids lose.
    pub fn create_lease(&self, ctx: &mut Ctx, msg: wire::MsgCreateLease) -> Result<wire::MsgCreateLeaseResponse, Error> {
        let id = bid_id("bid_id", msg.bid_id.as_ref())?;
        check_tenant(&msg.owner, &id)?;
        let order = self.open_order_row(ctx, &id.order)?;
        let bid = self.bid(ctx, &id)?;
        if bid.state() != bid::State::Open {
            return Err(Error::BidNotOpen { id, state: bid.state() });
        }
        let group = self.deployments.require_group(ctx, &id.order.group)?;
        if group.state() != group::State::Open {
            return Err(Error::GroupState { id: id.order.group, state: group_state(group.state()), expected: "open" });
        }
        let provider = self.providers.require_active(ctx, &id.provider)?;
        self.check_match(ctx, &id, &provider, &self.spec(ctx, &id.order.group)?)?;
        self.touch(ctx, &id.deployment())?;
        self.escrow.open_payment(ctx, &id, price(bid.price.as_ref()))?;

        change(ctx, &self.bids, &id, &bid, |bid| bid.set_state(bid::State::Active))?;
        for other in self.open_bids.page(ctx, &id.order, usize::MAX)? {
            self.end_open_bid(ctx, &other, bid::State::Lost)?;
        }
        self.unschedule(ctx, ms(order.expires_at.as_ref()), Task::Expire(id.order))?;
        if self.bids.page_under(ctx, &id.order, None, 2)?.len() > 1 {
            let prune_at = ctx.time().saturating_add(self.params(ctx)?.closed_retention);
            self.schedule(ctx, prune_at, Task::Prune(id.order))?;
        }
        change(ctx, &self.orders, &id.order, &order, |order| {
            order.set_state(order::State::Active);
            order.open_bids = 0;
        })?;
        let row = wire::Lease {
            state: lease::State::Active.into(),
            price: bid.price.clone(),
            created_at: Some(timestamp(ctx.time())),
            ..Default::default()
        };
        self.leases.replace(ctx, &id, None, Some(&row))?;
        ctx.emit(&wire::EventLeaseCreated { lease_id: Some(id.into()), price: bid.price });
        Ok(wire::MsgCreateLeaseResponse {})
    }

    /// The active lease of an id, whose account is up to date.
    fn touched_lease(&self, ctx: &mut Ctx, id: &BidId) -> Result<wire::Lease, Error> {
        if self.lease(ctx, id)?.state() == lease::State::Active {
            self.touch(ctx, &id.deployment())?;
        }
        let row = self.lease(ctx, id)?;
        if row.state() == lease::State::Active { Ok(row) } else { Err(Error::LeaseClosed(*id)) }
    }

    /// Ends a lease; the group is offered again only if the message asks for it.
    pub fn close_lease(&self, ctx: &mut Ctx, msg: wire::MsgCloseLease) -> Result<wire::MsgCloseLeaseResponse, Error> {
        let id = bid_id("lease_id", msg.lease_id.as_ref())?;
        check_tenant(&msg.owner, &id)?;
        self.touched_lease(ctx, &id)?;
        self.end_lease(ctx, &id, Reason::Owner, Deposit::Refund)?;
        let group = &id.order.group;
        let oseq = if msg.reoffer {
            self.open_order(ctx, group, price(self.spec(ctx, group)?.price.as_ref()))?
        } else {
            self.set_group(ctx, group, group::State::Paused)?;
            0
        };
        Ok(wire::MsgCloseLeaseResponse { oseq })
    }

    /// A provider announces that it wants its resources back.
    pub fn start_reclaim(&self, ctx: &mut Ctx, msg: wire::MsgStartReclaim) -> Result<wire::MsgStartReclaimResponse, Error> {
        let signer = address("signer", &msg.signer)?;
        let id = bid_id("lease_id", msg.lease_id.as_ref())?;
        self.providers.may_act(ctx, &signer, &id.provider)?;
        let row = self.touched_lease(ctx, &id)?;
        if self.spec(ctx, &id.order.group)?.reclamation_window.is_none() {
            return Err(Error::NoReclamation(id.order.group));
        }
        if row.reclaim_at.is_some() {
            return Err(Error::ReclaimStarted(id));
        }
        let now = ctx.time();
        change(ctx, &self.leases, &id, &row, |row| row.reclaim_at = Some(timestamp(now)))?;
        ctx.emit(&wire::EventReclaimStarted { lease_id: Some(id.into()) });
        Ok(wire::MsgStartReclaimResponse {})
    }

    /// Puts a sealed manifest on an active lease, in place of the last one.
    pub fn send_manifest(&self, ctx: &mut Ctx, msg: wire::MsgSendManifest) -> Result<wire::MsgSendManifestResponse, Error> {
        let id = bid_id("lease_id", msg.lease_id.as_ref())?;
        check_tenant(&msg.owner, &id)?;
        let row = self.touched_lease(ctx, &id)?;
        let envelope = msg.envelope.ok_or_else(|| Error::invalid("envelope", "an envelope", "none"))?;
        let envelope = self.check_envelope(ctx, &id.provider, envelope)?;
        self.manifests.save(ctx, &id, &envelope)?;
        if row.manifest_at.is_none() {
            let now = ctx.time();
            change(ctx, &self.leases, &id, &row, |row| row.manifest_at = Some(timestamp(now)))?;
        }
        ctx.emit(&wire::EventManifestSent { lease_id: Some(id.into()) });
        Ok(wire::MsgSendManifestResponse {})
    }

    /// The envelope, well formed, with the algorithm's canonical name and the provider among its recipients.
    fn check_envelope(&self, view: &View, provider: &Address, mut envelope: Envelope) -> Result<Envelope, Error> {
        let max = self.params(view)?.max_envelope_bytes as usize;
        if envelope.encoded_len() > max {
            let got = format!("{} bytes", envelope.encoded_len());
            return Err(Error::invalid("envelope", format!("at most {max} bytes"), got));
        }
        if !envelope.algorithm.eq_ignore_ascii_case(encryption::ALGORITHM) {
            return Err(Error::invalid("envelope.algorithm", encryption::ALGORITHM, quoted(&envelope.algorithm)));
        }
        envelope.algorithm = encryption::ALGORITHM.into();
        let bytes = |field: String, got: usize, expected: usize| match got == expected {
            true => Ok(()),
            false => Err(Error::invalid(field, format!("{expected} bytes"), format!("{got} bytes"))),
        };
        bytes("envelope.nonce".into(), envelope.nonce.len(), NONCE)?;
        if envelope.ciphertext.len() <= TAG {
            let got = format!("{} bytes", envelope.ciphertext.len());
            return Err(Error::invalid("envelope.ciphertext", format!("more than the {TAG} bytes of a tag"), got));
        }
        if !(1..=MAX_RECIPIENTS).contains(&envelope.recipients.len()) {
            let got = envelope.recipients.len().to_string();
            return Err(Error::invalid("envelope.recipients", format!("1 to {MAX_RECIPIENTS}"), got));
        }
        let mut for_provider = false;
        for (i, recipient) in envelope.recipients.iter().enumerate() {
            let at = format!("envelope.recipients[{i}]");
            bytes(format!("{at}.ephemeral_public_key"), recipient.ephemeral_public_key.len(), PUBLIC_KEY)?;
            bytes(format!("{at}.nonce"), recipient.nonce.len(), NONCE)?;
            bytes(format!("{at}.sealed_key"), recipient.sealed_key.len(), SEALED_KEY)?;
            let hex = recipient.fingerprint.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            if !hex || recipient.fingerprint.len() != 40 {
                return Err(Error::invalid(format!("{at}.fingerprint"), "40 lower-case hex digits", quoted(&recipient.fingerprint)));
            }
            // A deprecated key still decrypts: it may have been rotated while the envelope was on its way.
            let key = self.encryption.get(view, provider, &recipient.fingerprint)?;
            for_provider |= key.is_some_and(|key| matches!(key.state(), recipient_key::State::Active | recipient_key::State::Deprecated));
        }
        if !for_provider {
            let expected = format!("a recipient key of provider {provider} that is ACTIVE");
            return Err(Error::invalid("envelope.recipients", expected, "other keys"));
        }
        Ok(envelope)
    }
}

// --- money

impl Market {
    /// Adds money to a deployment's account; anyone may.
    pub fn deposit(&self, ctx: &mut Ctx, msg: escrow_wire::MsgDeposit) -> Result<escrow_wire::MsgDepositResponse, Error> {
        let depositor = address("depositor", &msg.depositor)?;
        let id = msg.deployment_id.ok_or_else(|| Error::invalid("deployment_id", "an id", "none"))?;
        let id = deployment_id(&id.owner, id.dseq)?;
        let sum = amount("amount", msg.amount.as_ref(), self.escrow.params(ctx)?.min_topup)?;
        self.deployments.require_active(ctx, &id)?;
        self.touch(ctx, &id)?;
        self.escrow.deposit(ctx, AccountId::Deployment(id), &depositor, sum)?;
        Ok(escrow_wire::MsgDepositResponse {})
    }

    /// Gives back what exceeds the runway.
    pub fn withdraw_spare(
        &self,
        ctx: &mut Ctx,
        msg: escrow_wire::MsgWithdrawSpare,
    ) -> Result<escrow_wire::MsgWithdrawSpareResponse, Error> {
        let id = deployment_id(&msg.owner, msg.dseq)?;
        self.deployments.require_active(ctx, &id)?;
        self.touch(ctx, &id)?;
        let amount = self.escrow.withdraw_spare(ctx, &id)?;
        Ok(escrow_wire::MsgWithdrawSpareResponse { amount: Some(uve(amount)) })
    }

    /// Pays for what was served in the periods of the records; all of them or none.
    pub fn submit_usage(&self, ctx: &mut Ctx, msg: escrow_wire::MsgSubmitUsage) -> Result<escrow_wire::MsgSubmitUsageResponse, Error> {
        let signer = address("signer", &msg.signer)?;
        if !(1..=MAX_RECORDS).contains(&msg.records.len()) {
            return Err(Error::invalid("records", format!("1 to {MAX_RECORDS}"), msg.records.len().to_string()));
        }
        let mut results = Vec::with_capacity(msg.records.len());
        for (i, record) in msg.records.iter().enumerate() {
            let at = format!("records[{i}]");
            let id = bid_id(&format!("{at}.lease_id"), record.lease_id.as_ref())?;
            results.push(self.submit_record(ctx, &signer, id, record).map_err(|why| match why {
                Error::Store(_) => why,
                why => Error::Record { at, lease: id.into(), why: why.into() },
            })?);
        }
        Ok(escrow_wire::MsgSubmitUsageResponse { results })
    }

    fn submit_record(
        &self,
        ctx: &mut Ctx,
        signer: &Address,
        id: BidId,
        record: &escrow_wire::UsageRecord,
    ) -> Result<escrow_wire::UsageResult, Error> {
        self.providers.may_act(ctx, signer, &id.provider)?;
        self.lease(ctx, &id)?;
        let time = |name: &str, t: Option<&proto::Timestamp>| {
            let expected = "a time after 1970";
            let t = t.ok_or_else(|| Error::invalid(name, expected, "none"))?;
            millis(t).ok_or_else(|| Error::invalid(name, expected, format!("{}s and {}ns", t.seconds, t.nanos)))
        };
        let (start_ms, end_ms) = (time("start_time", record.start_time.as_ref())?, time("end_time", record.end_time.as_ref())?);
        let used = record.resources.as_ref().ok_or_else(|| Error::invalid("resources", "totals", "none"))?;
        let spec = self.spec(ctx, &id.order.group)?;
        let reserved = reserved(&spec.resources).ok_or(Fault::Corrupt("resources of a group overflow"))?;

        self.touch(ctx, &id.deployment())?;
        let payout = self.providers.payout(ctx, &id.provider)?;
        let hash = Sha256::digest(record.encode_to_vec()).into();
        let claim = Record { sequence: record.sequence, start_ms, end_ms, served_ms: reserved.served_ms(used), hash };
        let outcome = self.escrow.record(ctx, &id, claim, &payout)?;
        self.settle(ctx, &id.deployment())?;
        Ok(escrow_wire::UsageResult {
            lease_id: Some(id.into()),
            sequence: record.sequence,
            settled: Some(timestamp(outcome.settled_ms)),
            served: Some(duration(outcome.served_ms)),
            paid: Some(uve(outcome.paid_uve)),
            duplicate: outcome.duplicate,
        })
    }
}
