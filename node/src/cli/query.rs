//! `virtengine query`: each command is one gRPC path, asked over the node's RPC and printed as JSON or YAML.

use super::{Context, statement};
use anyhow::{Context as _, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::{Args, Subcommand, ValueEnum};
use client::rpc::{Rpc, hash_bytes};
use client::tx;
use proto::virtengine::base::v1 as base;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// A query, and the height that it asks at.
#[derive(Args)]
pub struct AtHeight {
    /// The state as of this block, if the node still has it, instead of the newest
    #[arg(id = "at-height", long = "height", global = true, value_name = "HEIGHT")]
    height: Option<u64>,
    #[command(subcommand)]
    query: Query,
}

/// What a transaction is looked up by.
#[derive(Clone, Copy, ValueEnum)]
pub enum TxBy {
    Hash,
    /// A signer's address and sequence, like virtengine1…/7
    #[value(name = "acc_seq")]
    AccSeq,
    /// One of its signatures in base64
    Signature,
}

/// What a block is looked up by.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BlockBy {
    Height,
    Hash,
}

#[derive(Subcommand)]
pub enum Query {
    /// Accounts: keys, numbers, sequences
    #[command(subcommand)]
    Auth(Auth),
    /// Balances and supply
    #[command(subcommand)]
    Bank(Bank),
    /// Validators
    #[command(subcommand)]
    Staking(Staking),
    /// Registered providers
    #[command(subcommand)]
    Provider(Provider),
    /// Recipient keys
    #[command(subcommand)]
    Encryption(Encryption),
    /// Deployments and their groups
    #[command(subcommand)]
    Deployment(Deployment),
    /// Orders, bids and leases
    #[command(subcommand)]
    Market(Market),
    /// The money behind deployments
    #[command(subcommand)]
    Escrow(Escrow),
    /// Allowances that let others spend on fees
    #[command(subcommand)]
    Feegrant(Feegrant),
    /// Grants that let others act
    #[command(subcommand)]
    Authz(Authz),
    /// The parameters of all our modules
    Params,
    /// A transaction by its hash, or what --type says
    Tx {
        hash: String,
        /// What HASH is
        #[arg(long = "type", value_name = "TYPE", default_value = "hash")]
        by: TxBy,
    },
    /// Transactions by their events, like "message.sender='virtengine1…'"
    Txs {
        /// Conditions, joined with AND
        #[arg(long)]
        query: String,
        /// From 1
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        page: u32,
        /// Rows per page, at most 100
        #[arg(long, default_value_t = 30)]
        limit: u32,
        /// asc or desc, by height
        #[arg(long, default_value = "asc")]
        order_by: String,
    },
    /// Wait until a transaction is in a block
    WaitTx {
        /// 64 hex digits
        hash: String,
        /// How long, in seconds
        #[arg(long, default_value_t = 60)]
        timeout: u64,
    },
    /// What the transactions of a block did, and its events
    BlockResults {
        /// The newest when left out
        height: Option<u64>,
    },
    /// A block by its height, or its hash
    Block {
        /// The newest when left out
        height: Option<String>,
        /// What HEIGHT is
        #[arg(long = "type", value_name = "TYPE", default_value = "height")]
        by: BlockBy,
    },
}

/// Pages of a list.
#[derive(Args, Default)]
pub struct Pages {
    /// Rows per page, at most 1000
    #[arg(long)]
    limit: Option<u64>,
    /// Go on where the last page's next_key says
    #[arg(long, value_name = "BASE64")]
    page_key: Option<String>,
    /// The page's number, from 1, instead of a key
    #[arg(long, conflicts_with = "page_key", value_parser = clap::value_parser!(u64).range(1..))]
    page: Option<u64>,
    /// Rows to skip, instead of a key
    #[arg(long, conflicts_with_all = ["page_key", "page"])]
    offset: Option<u64>,
    /// Count all rows
    #[arg(long)]
    count_total: bool,
    /// From the end
    #[arg(long)]
    reverse: bool,
}

impl Pages {
    fn json(&self) -> Value {
        let limit = self.limit.unwrap_or(100);
        let offset = self.offset.unwrap_or_else(|| self.page.unwrap_or(1).saturating_sub(1).saturating_mul(limit));
        json!({ "key": self.page_key, "offset": offset, "limit": limit, "count_total": self.count_total, "reverse": self.reverse })
    }
}

/// The parts of an order's or lease's id; what is left out matches everything.
#[derive(Args, Default)]
pub struct Filter {
    /// The tenant's address
    #[arg(long)]
    owner: Option<String>,
    /// The deployment's number
    #[arg(long)]
    dseq: Option<u64>,
    /// The group's number
    #[arg(long)]
    gseq: Option<u32>,
    /// The order's number
    #[arg(long)]
    oseq: Option<u32>,
    /// open, active, closed; bids also lost, leases also insufficient_funds
    #[arg(long)]
    state: Option<String>,
    #[command(flatten)]
    pages: Pages,
}

#[derive(Args, Default)]
pub struct OrderFilter {
    #[command(flatten)]
    filter: Filter,
    /// key=value that orders require of a provider; of several, all
    #[arg(long = "attribute", value_name = "KEY=VALUE")]
    attributes: Vec<String>,
}

#[derive(Args, Default)]
pub struct ProviderFilter {
    #[command(flatten)]
    filter: Filter,
    /// The provider's address
    #[arg(long)]
    provider: Option<String>,
}

/// A whole id.
#[derive(Args)]
pub struct OrderId {
    /// The tenant's address
    #[arg(long)]
    owner: String,
    /// The deployment's number
    #[arg(long)]
    dseq: u64,
    /// The group's number
    #[arg(long, default_value_t = 1)]
    gseq: u32,
    /// The order's number
    #[arg(long, default_value_t = 1)]
    oseq: u32,
}

/// The id of a bid, or of the lease that it became.
#[derive(Args)]
pub struct BidId {
    #[command(flatten)]
    order: OrderId,
    /// The provider's address
    #[arg(long)]
    pub provider: String,
}

#[derive(Subcommand)]
pub enum Auth {
    /// One account
    Account {
        /// The account's address
        address: String,
    },
    /// All accounts
    Accounts(Pages),
    /// The module's parameters
    Params,
}

#[derive(Subcommand)]
pub enum Bank {
    /// What an account owns
    #[command(visible_alias = "balance")]
    Balances {
        /// The account's address
        address: String,
        /// Only this denomination
        #[arg(long)]
        denom: Option<String>,
        #[command(flatten)]
        pages: Pages,
    },
    /// All that there is
    #[command(visible_alias = "total")]
    TotalSupply(Pages),
    /// Who owns a denomination
    DenomOwners {
        /// Like uve
        denom: String,
        #[command(flatten)]
        pages: Pages,
    },
    /// The module's parameters
    Params,
}

#[derive(Subcommand)]
pub enum Staking {
    /// All validators
    Validators(Pages),
    /// One validator
    Validator {
        /// Its operator address, virtenginevaloper1…
        address: String,
    },
    /// What is bonded and what is not
    Pool,
    /// The module's parameters
    Params,
}

#[derive(Subcommand)]
pub enum Provider {
    /// Providers by their status
    List {
        /// ACTIVE or INACTIVE
        #[arg(long, visible_alias = "state")]
        status: Option<String>,
        #[command(flatten)]
        pages: Pages,
    },
    /// One provider
    Get {
        /// The provider's address
        owner: String,
    },
    /// What auditors vouch for
    SignedAttributes {
        /// The provider's address
        provider: String,
        #[command(flatten)]
        pages: Pages,
    },
    /// The module's parameters
    Params,
}

#[derive(Subcommand)]
pub enum Encryption {
    /// All keys, or one account's
    RecipientKeys {
        /// The account's address
        address: Option<String>,
        /// As ADDRESS
        #[arg(long, conflicts_with = "address")]
        owner: Option<String>,
        /// ACTIVE, DEPRECATED, REVOKED or EXPIRED
        #[arg(long)]
        state: Option<String>,
        #[command(flatten)]
        pages: Pages,
    },
    /// The module's parameters
    Params,
}

#[derive(Subcommand)]
pub enum Deployment {
    /// Deployments with their groups and money, newest first
    List {
        /// The tenant's address
        #[arg(long)]
        owner: Option<String>,
        /// The deployment's number
        #[arg(long)]
        dseq: Option<u64>,
        /// active or closed
        #[arg(long)]
        state: Option<String>,
        #[command(flatten)]
        pages: Pages,
    },
    /// One deployment
    Get {
        /// The tenant's address
        #[arg(long)]
        owner: String,
        /// The deployment's number
        #[arg(long)]
        dseq: u64,
    },
    /// The groups of deployments
    #[command(subcommand)]
    Group(Group),
    /// As `group list`
    Groups(GroupFilter),
    /// The module's parameters
    Params,
}

/// The parts of a group's id; what is left out matches everything.
#[derive(Args)]
pub struct GroupFilter {
    /// The tenant's address
    #[arg(long)]
    owner: Option<String>,
    /// The deployment's number
    #[arg(long, requires = "owner")]
    dseq: Option<u64>,
    /// open, paused, closed or insufficient_funds
    #[arg(long)]
    state: Option<String>,
    #[command(flatten)]
    pages: Pages,
}

impl GroupFilter {
    fn ask(&self) -> Ask {
        let GroupFilter { owner, dseq, state, pages } = self;
        let fields = json!({ "owner": owner, "dseq": dseq, "state": state, "pagination": pages.json() });
        ask("/virtengine.deployment.v1.Query/Groups", fields)
    }
}

#[derive(Subcommand)]
pub enum Group {
    /// Groups by tenant, deployment and state
    List(GroupFilter),
    /// One group
    Get {
        /// The tenant's address
        #[arg(long)]
        owner: String,
        /// The deployment's number
        #[arg(long)]
        dseq: u64,
        /// The group's number
        #[arg(long, default_value_t = 1)]
        gseq: u32,
    },
}

#[derive(Subcommand)]
pub enum Market {
    /// Requests for bids
    #[command(subcommand)]
    Order(Order),
    /// Offers of providers
    #[command(subcommand)]
    Bid(Bid),
    /// Accepted offers
    #[command(subcommand)]
    Lease(Lease),
    /// The groups of deployments
    #[command(subcommand)]
    Group(Group),
    /// As `order list`
    Orders(OrderFilter),
    /// As `bid list`
    Bids(ProviderFilter),
    /// As `lease list`
    Leases(ProviderFilter),
    /// As `group list`
    Groups(GroupFilter),
    /// What stands between a provider and a bid on an order
    Match {
        /// OWNER/DSEQ/GSEQ/OSEQ
        #[arg(long)]
        order: String,
        /// The provider's address
        #[arg(long)]
        provider: String,
    },
    /// The module's parameters
    Params,
}

#[derive(Subcommand)]
pub enum Order {
    /// Orders by tenant, number, state and attributes
    List(OrderFilter),
    /// One order
    Get(OrderId),
}

#[derive(Subcommand)]
pub enum Bid {
    /// Bids by tenant, number, provider and state
    List(ProviderFilter),
    /// One bid
    Get(BidId),
}

#[derive(Subcommand)]
pub enum Lease {
    /// Leases by tenant, number, provider and state
    List(ProviderFilter),
    /// One lease, with its payments and its manifest
    Get(BidId),
}

#[derive(Subcommand)]
pub enum Escrow {
    /// Balances as of now, with when they run out, of the accounts behind leases
    Account {
        /// The tenant's address
        #[arg(long)]
        owner: Option<String>,
        /// The address of a provider that serves or served leases of it
        #[arg(long)]
        provider: Option<String>,
        /// The deployment's number
        #[arg(long)]
        dseq: Option<u64>,
        #[command(flatten)]
        pages: Pages,
    },
    /// What a lease has reserved and been paid, and where its next usage record starts
    Payment(BidId),
    /// Every movement of money of a tenant's deployments or of a provider, from events: also of what has left the state
    Statement(statement::Filter),
    /// What a provider was paid for usage, lease by lease, from events
    Income {
        /// The provider's address
        #[arg(long)]
        provider: String,
        #[command(flatten)]
        heights: statement::Heights,
    },
    /// The module's parameters
    Params,
}

#[derive(Subcommand)]
pub enum Feegrant {
    /// The allowance of one granter to one grantee
    Grant { granter: String, grantee: String },
    /// What an account may spend of others
    GrantsByGrantee {
        grantee: String,
        #[command(flatten)]
        pages: Pages,
    },
    /// What others may spend of an account
    GrantsByGranter {
        granter: String,
        #[command(flatten)]
        pages: Pages,
    },
}

impl Feegrant {
    fn ask(&self) -> Ask {
        match self {
            Feegrant::Grant { granter, grantee } => {
                ask("/cosmos.feegrant.v1beta1.Query/Allowance", json!({ "granter": granter, "grantee": grantee }))
            }
            Feegrant::GrantsByGrantee { grantee, pages } => {
                ask("/cosmos.feegrant.v1beta1.Query/Allowances", json!({ "grantee": grantee, "pagination": pages.json() }))
            }
            Feegrant::GrantsByGranter { granter, pages } => {
                ask("/cosmos.feegrant.v1beta1.Query/AllowancesByGranter", json!({ "granter": granter, "pagination": pages.json() }))
            }
        }
    }
}

#[derive(Subcommand)]
pub enum Authz {
    /// The grants of one granter to one grantee, or the one for a type of message
    Grants {
        granter: String,
        grantee: String,
        msg_type_url: Option<String>,
        #[command(flatten)]
        pages: Pages,
    },
    /// What an account may do for others
    GrantsByGrantee {
        grantee: String,
        #[command(flatten)]
        pages: Pages,
    },
    /// What others may do for an account
    GrantsByGranter {
        granter: String,
        #[command(flatten)]
        pages: Pages,
    },
}

impl Authz {
    fn ask(&self) -> Ask {
        match self {
            Authz::Grants { granter, grantee, msg_type_url, pages } => ask(
                "/cosmos.authz.v1beta1.Query/Grants",
                json!({ "granter": granter, "grantee": grantee, "msg_type_url": msg_type_url, "pagination": pages.json() }),
            ),
            Authz::GrantsByGrantee { grantee, pages } => {
                ask("/cosmos.authz.v1beta1.Query/GranteeGrants", json!({ "grantee": grantee, "pagination": pages.json() }))
            }
            Authz::GrantsByGranter { granter, pages } => {
                ask("/cosmos.authz.v1beta1.Query/GranterGrants", json!({ "granter": granter, "pagination": pages.json() }))
            }
        }
    }
}

impl Group {
    fn ask(&self) -> Ask {
        match self {
            Group::List(filter) => filter.ask(),
            Group::Get { owner, dseq, gseq } => {
                ask("/virtengine.deployment.v1.Query/Group", json!({ "owner": owner, "dseq": dseq, "gseq": gseq }))
            }
        }
    }
}

/// A request: service path, and fields of which None and null are left out.
struct Ask {
    path: &'static str,
    fields: Value,
}

fn ask(path: &'static str, fields: Value) -> Ask {
    Ask { path, fields }
}

impl Filter {
    fn fields(&self) -> Value {
        json!({ "owner": self.owner, "dseq": self.dseq, "gseq": self.gseq, "oseq": self.oseq, "state": self.state, "pagination": self.pages.json() })
    }
}

impl OrderFilter {
    fn fields(&self) -> Value {
        let mut fields = self.filter.fields();
        fields["attributes"] = json!(self.attributes);
        fields
    }
}

impl ProviderFilter {
    fn fields(&self) -> Value {
        let mut fields = self.filter.fields();
        fields["provider"] = json!(self.provider);
        fields
    }
}

impl OrderId {
    fn fields(&self) -> Value {
        json!({ "owner": self.owner, "dseq": self.dseq, "gseq": self.gseq, "oseq": self.oseq })
    }
}

impl BidId {
    pub fn fields(&self) -> Value {
        let mut fields = self.order.fields();
        fields["provider"] = json!(self.provider);
        fields
    }

    pub fn wire(&self) -> base::BidId {
        let OrderId { owner, dseq, gseq, oseq } = &self.order;
        base::BidId { owner: owner.clone(), dseq: *dseq, gseq: *gseq, oseq: *oseq, provider: self.provider.clone() }
    }
}

impl AtHeight {
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        let rpc = context.rpc()?.at(self.height.unwrap_or(0));
        let at_height = self.height.filter(|h| *h > 0).map(|h| h.to_string());
        let page = |pages: &Pages| json!({ "pagination": pages.json() });
        let ask = match &self.query {
            Query::Tx { .. } | Query::Txs { .. } | Query::WaitTx { .. } | Query::Escrow(Escrow::Statement(_) | Escrow::Income { .. })
                if at_height.is_some() =>
            {
                bail!("--height: expected a query of the state or of a block, and this one searches them all")
            }
            Query::Params => return params(context, &rpc).await,
            Query::Tx { hash, by } => {
                let found = transaction(&rpc, hash, *by).await?.with_context(|| format!("tx not found: {hash}"))?;
                context.print(&whole(&rpc, &found, &mut BTreeMap::new()).await?);
                return Ok(());
            }
            Query::WaitTx { hash, timeout } => {
                let found = tx::wait(&rpc, hash, Duration::from_secs(*timeout)).await?;
                context.print(&whole(&rpc, &found, &mut BTreeMap::new()).await?);
                return Ok(());
            }
            Query::Txs { query, page, limit, order_by } => {
                let params = json!({ "query": query, "page": page.to_string(), "per_page": limit.to_string(), "order_by": order_by });
                let mut found = rpc.call("tx_search", params).await?;
                let (mut txs, mut times) = (Vec::new(), BTreeMap::new());
                for found in found["txs"].as_array().into_iter().flatten() {
                    txs.push(whole(&rpc, found, &mut times).await?);
                }
                context.print(&json!({ "total_count": found["total_count"].take(), "page_number": page.to_string(), "limit": limit.to_string(), "txs": txs }));
                return Ok(());
            }
            Query::BlockResults { height } => {
                let height = height.map(|h| h.to_string()).or(at_height);
                context.print(&rpc.call("block_results", height.map_or(json!({}), |h| json!({ "height": h }))).await?);
                return Ok(());
            }
            Query::Feegrant(q) => q.ask(),
            Query::Authz(q) => q.ask(),
            Query::Block { height, by } => {
                let block = match (by, height) {
                    (BlockBy::Hash, Some(hash)) => {
                        rpc.call("block_by_hash", json!({ "hash": BASE64_STANDARD.encode(hash_bytes(hash)?) })).await?
                    }
                    (BlockBy::Hash, None) => bail!("--type hash: expected the hash of a block, got none"),
                    (BlockBy::Height, Some(height)) => {
                        let height: u64 = height.parse().with_context(|| format!("height {height:?}: expected a number"))?;
                        rpc.call("block", json!({ "height": height.to_string() })).await?
                    }
                    (BlockBy::Height, None) => rpc.call("block", at_height.map_or(json!({}), |h| json!({ "height": h }))).await?,
                };
                if block["block"].is_null() {
                    bail!("block not found: {}", height.as_deref().unwrap_or_default());
                }
                context.print(&block);
                return Ok(());
            }
            Query::Auth(q) => match q {
                Auth::Account { address } => ask("/cosmos.auth.v1beta1.Query/Account", json!({ "address": address })),
                Auth::Accounts(p) => ask("/cosmos.auth.v1beta1.Query/Accounts", page(p)),
                Auth::Params => ask("/cosmos.auth.v1beta1.Query/Params", json!({})),
            },
            Query::Bank(q) => match q {
                Bank::Balances { address, denom: Some(denom), .. } => {
                    ask("/cosmos.bank.v1beta1.Query/Balance", json!({ "address": address, "denom": denom }))
                }
                Bank::Balances { address, pages, .. } => {
                    ask("/cosmos.bank.v1beta1.Query/AllBalances", json!({ "address": address, "pagination": pages.json() }))
                }
                Bank::TotalSupply(p) => ask("/cosmos.bank.v1beta1.Query/TotalSupply", page(p)),
                Bank::DenomOwners { denom, pages } => {
                    ask("/cosmos.bank.v1beta1.Query/DenomOwners", json!({ "denom": denom, "pagination": pages.json() }))
                }
                Bank::Params => ask("/cosmos.bank.v1beta1.Query/Params", json!({})),
            },
            Query::Staking(q) => match q {
                Staking::Validators(p) => ask("/cosmos.staking.v1beta1.Query/Validators", page(p)),
                Staking::Validator { address } => ask("/cosmos.staking.v1beta1.Query/Validator", json!({ "validator_addr": address })),
                Staking::Pool => ask("/cosmos.staking.v1beta1.Query/Pool", json!({})),
                Staking::Params => ask("/cosmos.staking.v1beta1.Query/Params", json!({})),
            },
            Query::Provider(q) => match q {
                Provider::List { status, pages } => {
                    ask("/virtengine.provider.v1.Query/Providers", json!({ "status": status, "pagination": pages.json() }))
                }
                Provider::Get { owner } => ask("/virtengine.provider.v1.Query/Provider", json!({ "owner": owner })),
                Provider::SignedAttributes { provider, pages } => {
                    ask("/virtengine.provider.v1.Query/SignedAttributes", json!({ "provider": provider, "pagination": pages.json() }))
                }
                Provider::Params => ask("/virtengine.provider.v1.Query/Params", json!({})),
            },
            Query::Encryption(q) => match q {
                Encryption::RecipientKeys { address, owner, state, pages } => ask(
                    "/virtengine.encryption.v1.Query/RecipientKeys",
                    json!({ "owner": address.as_ref().or(owner.as_ref()), "state": state, "pagination": pages.json() }),
                ),
                Encryption::Params => ask("/virtengine.encryption.v1.Query/Params", json!({})),
            },
            Query::Deployment(q) => match q {
                Deployment::List { owner, dseq, state, pages } => ask(
                    "/virtengine.deployment.v1.Query/Deployments",
                    json!({ "owner": owner, "dseq": dseq, "state": state, "pagination": pages.json() }),
                ),
                Deployment::Get { owner, dseq } => {
                    ask("/virtengine.deployment.v1.Query/Deployment", json!({ "owner": owner, "dseq": dseq }))
                }
                Deployment::Group(group) => group.ask(),
                Deployment::Groups(filter) => filter.ask(),
                Deployment::Params => ask("/virtengine.deployment.v1.Query/Params", json!({})),
            },
            Query::Market(q) => match q {
                Market::Order(Order::List(f)) | Market::Orders(f) => ask("/virtengine.market.v1.Query/Orders", f.fields()),
                Market::Order(Order::Get(id)) => ask("/virtengine.market.v1.Query/Order", id.fields()),
                Market::Bid(Bid::List(f)) | Market::Bids(f) => ask("/virtengine.market.v1.Query/Bids", f.fields()),
                Market::Bid(Bid::Get(id)) => ask("/virtengine.market.v1.Query/Bid", id.fields()),
                Market::Lease(Lease::List(f)) | Market::Leases(f) => ask("/virtengine.market.v1.Query/Leases", f.fields()),
                Market::Lease(Lease::Get(id)) => ask("/virtengine.market.v1.Query/Lease", id.fields()),
                Market::Group(group) => group.ask(),
                Market::Groups(filter) => filter.ask(),
                Market::Match { order, provider } => {
                    let parts: Vec<&str> = order.split('/').collect();
                    let [owner, dseq, gseq, oseq] = parts[..] else {
                        bail!("--order {order:?}: expected OWNER/DSEQ/GSEQ/OSEQ");
                    };
                    let fields = json!({ "owner": owner, "dseq": dseq, "gseq": gseq, "oseq": oseq, "provider": provider });
                    ask("/virtengine.market.v1.Query/Match", fields)
                }
                Market::Params => ask("/virtengine.market.v1.Query/Params", json!({})),
            },
            Query::Escrow(q) => match q {
                Escrow::Account { owner, provider, dseq, pages } => ask(
                    "/virtengine.escrow.v1.Query/Accounts",
                    json!({ "owner": owner, "provider": provider, "dseq": dseq, "pagination": pages.json() }),
                ),
                Escrow::Payment(id) => {
                    let mut lease = send(&rpc, "/virtengine.market.v1.Query/Lease", id.fields()).await?;
                    context.print(&json!({ "payments": lease["payments"].take() }));
                    return Ok(());
                }
                Escrow::Statement(filter) => {
                    context.print(&statement::statement(&rpc, filter).await?);
                    return Ok(());
                }
                Escrow::Income { provider, heights } => {
                    context.print(&statement::income(&rpc, provider, heights).await?);
                    return Ok(());
                }
                Escrow::Params => ask("/virtengine.escrow.v1.Query/Params", json!({})),
            },
        };
        context.print(&send(&rpc, ask.path, ask.fields).await?);
        Ok(())
    }
}

/// Asks a path with JSON and gets JSON: the messages' names come from the descriptors.
pub async fn send(rpc: &Rpc, path: &str, fields: Value) -> anyhow::Result<Value> {
    let (service, method) = path.trim_start_matches('/').split_once('/').expect("a constant path");
    let service = proto::descriptors().get_service_by_name(service).expect("a service of our protos");
    let method = service.methods().find(|m| m.name() == method).expect("a method of our protos");
    let request = proto::json::from_value(method.input().full_name(), &without_null(fields))?;
    let answer = rpc.query_bytes(path, &request).await?;
    Ok(proto::json::to_value(method.output().full_name(), &answer)?)
}

/// Options that were not given are not sent.
fn without_null(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            Value::Object(fields.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, without_null(v))).collect::<Map<_, _>>())
        }
        other => other,
    }
}

async fn params(context: &Context, rpc: &Rpc) -> anyhow::Result<()> {
    let mut all = Map::new();
    for (module, path) in [
        ("auth", "/cosmos.auth.v1beta1.Query/Params"),
        ("bank", "/cosmos.bank.v1beta1.Query/Params"),
        ("staking", "/cosmos.staking.v1beta1.Query/Params"),
        ("provider", "/virtengine.provider.v1.Query/Params"),
        ("encryption", "/virtengine.encryption.v1.Query/Params"),
        ("escrow", "/virtengine.escrow.v1.Query/Params"),
        ("deployment", "/virtengine.deployment.v1.Query/Params"),
        ("market", "/virtengine.market.v1.Query/Params"),
    ] {
        all.insert(module.into(), send(rpc, path, json!({})).await?["params"].take());
    }
    context.print(&Value::Object(all));
    Ok(())
}

/// CometBFT's answer to `tx`; None where there is no such transaction in a block.
async fn transaction(rpc: &Rpc, text: &str, by: TxBy) -> anyhow::Result<Option<Value>> {
    let key = match by {
        TxBy::Hash => return Ok(rpc.tx(text).await?),
        TxBy::AccSeq => "tx.acc_seq",
        TxBy::Signature => "tx.signature",
    };
    if text.contains('\'') {
        bail!("{text:?}: expected no quotes");
    }
    let mut found = rpc.call("tx_search", json!({ "query": format!("{key}='{text}'"), "per_page": "1" })).await?;
    Ok(found["txs"].get_mut(0).map(Value::take))
}

/// A transaction with its content and the time of its block; `times` has those that are known by their heights.
async fn whole(rpc: &Rpc, found: &Value, times: &mut BTreeMap<String, Value>) -> anyhow::Result<Value> {
    let mut shown = super::tx::shown(found);
    let bytes = BASE64_STANDARD.decode(found["tx"].as_str().unwrap_or_default()).context("tx: expected base64")?;
    shown["tx"] = super::sign::decoded(&bytes)?;
    shown["tx"]["@type"] = json!("/cosmos.tx.v1beta1.Tx");
    let height = found["height"].as_str().unwrap_or_default();
    if !times.contains_key(height) {
        // A node may index transactions longer than it keeps blocks.
        let time = statement::block_time(rpc, height.parse()?).await.unwrap_or_default();
        let seconds = time.as_str().map(|t| format!("{}Z", t.trim_end_matches('Z').split('.').next().unwrap_or_default()));
        times.insert(height.into(), json!(seconds));
    }
    shown["timestamp"] = times[height].clone();
    Ok(shown)
}
