//! Queries: one table from gRPC path to function. gRPC, REST and `abci_query` all come through here, each on its own
//! snapshot, none waiting for a block.

use crate::Modules;
use crate::abci::{App, Config};
use crate::ante::Mode;
use crate::block::{Outcome, abci_events, run_tx};
use crate::distribution;
use crate::store::Store;
use crate::tx::CheckedTx;
use kernel::{BlockInfo, Error, Gas, View};
use prost::Message;
use proto::cosmos::base::abci::v1beta1::{GasInfo, Result as SdkResult};
use proto::cosmos::base::node::v1beta1 as node;
use proto::cosmos::tx::v1beta1::{SimulateRequest, SimulateResponse};
use std::fmt::Display;

/// An answer and the height that it is true for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub value: Vec<u8>,
    pub height: u64,
}

/// Services that need what the node keeps (blocks, transactions, peers); None where it has no such path.
pub trait Remote: Send + Sync {
    fn call(&self, path: &str, data: &[u8]) -> Option<Result<Vec<u8>, Error>>;
}

/// The ICS23 specs of our proofs as JSON, one per level.
pub struct Specs;

impl Specs {
    pub fn json() -> String {
        crate::store::specs_json().to_string()
    }
}

fn bad_height(log: impl Display) -> Error {
    Error::new("sdk", 26, format!("{log}: invalid height"))
}

pub(crate) fn unknown_path() -> Error {
    Error::unknown_request("unknown query path")
}

fn call<Req: Message + Default, Res: Message, E: Into<Error>>(
    data: &[u8],
    f: impl FnOnce(Req) -> Result<Res, E>,
) -> Result<Vec<u8>, Error> {
    let request = Req::decode(data).map_err(Error::invalid_request)?;
    Ok(f(request).map_err(Into::into)?.encode_to_vec())
}

impl App {
    /// The state at a height; 0 means the newest.
    pub fn view(&self, height: u64) -> Result<View, Error> {
        let store = self.store();
        let newest = store.height();
        if newest == 0 {
            return Err(bad_height("the node is not ready, please wait for the first block"));
        }
        if height > newest {
            return Err(bad_height(format_args!(
                "cannot query with height in the future; please provide a valid height, at most {newest}"
            )));
        }
        let base = match height {
            0 => store.latest(),
            h if h == newest => store.latest(),
            h => store.at(h).map_err(|e| {
                Error::new("sdk", 38, format!("failed to load state at height {h}; {e} (latest height: {newest}): not found"))
            })?,
        };
        let block = self.modules().consensus.block(&View::new(base.clone(), BlockInfo::default(), Gas::unlimited()))?;
        Ok(View::new(base, block, Gas::unlimited()))
    }

    /// Answers a gRPC path such as `/cosmos.bank.v1beta1.Query/Balance`. Unknown paths are code 6.
    pub fn query(&self, path: &str, data: &[u8], height: u64) -> Result<Answer, Error> {
        if path == "/cosmos.tx.v1beta1.Service/Simulate" {
            let value = call(data, |r| self.simulate(r))?;
            return Ok(Answer { value, height: self.store().height() });
        }
        let view = self.view(height)?;
        let value = match route(self.modules(), self.config(), &view, path, data) {
            Some(answer) => answer?,
            None => match self.remote().and_then(|r| r.call(path, data)) {
                Some(answer) => answer?,
                None => return Err(unknown_path()),
            },
        };
        Ok(Answer { value, height: view.height() })
    }

    /// Runs a transaction on the mempool's state and keeps nothing.
    fn simulate(&self, request: SimulateRequest) -> Result<SimulateResponse, Error> {
        let bytes = match request.tx_bytes.is_empty() {
            false => request.tx_bytes,
            #[allow(deprecated)] // cosmpy still sends it
            true => request.tx.ok_or_else(|| Error::invalid_request("empty txBytes is not allowed"))?.encode_to_vec(),
        };
        // Whatever is wrong with the transaction itself: one status.
        let failed = |e: Error, gas_used: u64| Error::unknown_request(format!("{} with gas used: '{gas_used}'", e.log));
        let tx = CheckedTx::parse(&bytes, true).map_err(|e| failed(e, 0))?;
        let outcome = self.run_simulation(&tx)?;
        if let Some(e) = outcome.result {
            return Err(failed(e, outcome.gas_used));
        }
        let data = outcome.data();
        let Outcome { responses, events, gas_wanted, gas_used, .. } = outcome;
        let events = abci_events(events, &self.config().index_events);
        #[allow(deprecated)]
        let result = SdkResult { data, log: String::new(), events, msg_responses: responses };
        Ok(SimulateResponse { gas_info: Some(GasInfo { gas_wanted, gas_used }), result: Some(result) })
    }

    fn run_simulation(&self, tx: &CheckedTx) -> Result<Outcome, Error> {
        self.with_check(|ctx| {
            let mut outcome = Outcome::default();
            // What checked transactions wrote stays: without this the log of their writes would be cut where ours begins.
            ctx.begin(u64::MAX);
            let undone: Result<(), ()> = ctx.atomic(|ctx| {
                outcome = run_tx(self.modules(), ctx, tx, &Mode::Simulate, self.verifier());
                Err(())
            });
            debug_assert!(undone.is_err());
            outcome
        })
    }

    /// `/store/NAME/key` with or without a proof.
    pub fn query_store(&self, name: &str, key: &[u8], height: u64, prove: bool) -> Result<crate::store::Proof, Error> {
        let store: &Store = self.store();
        let height = if height == 0 { store.height() } else { height };
        if prove && height <= 1 {
            return Err(Error::new("sdk", 18, "cannot query with proof when height <= 1; please provide a valid height: invalid request"));
        }
        let Some((id, _)) = self.modules().stores.iter().find(|(_, n)| *n == name) else {
            return Err(Error::new("store", 4, format!("no such store: {name}: unknown request")));
        };
        if height > store.height() {
            return Err(bad_height("cannot query with height in the future; please provide a valid height"));
        }
        if prove {
            return store.prove(height, name, key).map_err(|e| Error::new("sdk", 26, format!("{e}: invalid height")));
        }
        let base = if height == store.height() { store.latest() } else { store.at(height).map_err(|e| bad_height(e.to_string()))? };
        let mut full = vec![kernel::KIND_ROW, *id];
        full.extend(key);
        Ok(crate::store::Proof { value: base.get(&full)?, ops: Vec::new() })
    }
}

/// The table. None for a path that is not here.
fn route(on: &Modules, config: &Config, view: &View, path: &str, data: &[u8]) -> Option<Result<Vec<u8>, Error>> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    Some(match service {
        "cosmos.auth.v1beta1.Query" => match method {
            "Account" => call(data, |r| on.auth.query_account(view, r)),
            "Accounts" => call(data, |r| on.auth.query_accounts(view, r)),
            "AccountInfo" => call(data, |r| on.auth.query_account_info(view, r)),
            "AccountAddressByID" => call(data, |r| on.auth.query_account_address_by_id(view, r)),
            "Params" => call(data, |r| on.auth.query_params(view, r)),
            "ModuleAccounts" => call(data, |r| on.auth.query_module_accounts(view, r)),
            "ModuleAccountByName" => call(data, |r| on.auth.query_module_account_by_name(view, r)),
            "Bech32Prefix" => call(data, |r| on.auth.query_bech32_prefix(view, r)),
            "AddressBytesToString" => call(data, |r| on.auth.query_address_bytes_to_string(view, r)),
            "AddressStringToBytes" => call(data, |r| on.auth.query_address_string_to_bytes(view, r)),
            _ => return None,
        },
        "cosmos.bank.v1beta1.Query" => match method {
            "Balance" => call(data, |r| on.bank.query_balance(view, r)),
            "AllBalances" => call(data, |r| on.bank.query_all_balances(view, r)),
            "SpendableBalances" => call(data, |r| on.bank.query_spendable_balances(view, r)),
            "SpendableBalanceByDenom" => call(data, |r| on.bank.query_spendable_balance_by_denom(view, r)),
            "TotalSupply" => call(data, |r| on.bank.query_total_supply(view, r)),
            "SupplyOf" => call(data, |r| on.bank.query_supply_of(view, r)),
            "Params" => call(data, |r| on.bank.query_params(view, r)),
            "DenomMetadata" => call(data, |r| on.bank.query_denom_metadata(view, r)),
            "DenomsMetadata" => call(data, |r| on.bank.query_denoms_metadata(view, r)),
            "DenomMetadataByQueryString" => call(data, |r| on.bank.query_denom_metadata_by_query_string(view, r)),
            "DenomOwners" => call(data, |r| on.bank.query_denom_owners(view, r)),
            "DenomOwnersByQuery" => call(data, |r| on.bank.query_denom_owners_by_query(view, r)),
            "SendEnabled" => call(data, |r| on.bank.query_send_enabled(view, r)),
            _ => return None,
        },
        "cosmos.staking.v1beta1.Query" => match method {
            "Validators" => call(data, |r| on.staking.query_validators(view, r)),
            "Validator" => call(data, |r| on.staking.query_validator(view, r)),
            "ValidatorDelegations" => call(data, |r| on.staking.query_validator_delegations(view, r)),
            "ValidatorUnbondingDelegations" => call(data, |r| on.staking.query_validator_unbonding_delegations(view, r)),
            "Delegation" => call(data, |r| on.staking.query_delegation(view, r)),
            "UnbondingDelegation" => call(data, |r| on.staking.query_unbonding_delegation(view, r)),
            "DelegatorDelegations" => call(data, |r| on.staking.query_delegator_delegations(view, r)),
            "DelegatorUnbondingDelegations" => call(data, |r| on.staking.query_delegator_unbonding_delegations(view, r)),
            "Redelegations" => call(data, |r| on.staking.query_redelegations(view, r)),
            "DelegatorValidators" => call(data, |r| on.staking.query_delegator_validators(view, r)),
            "DelegatorValidator" => call(data, |r| on.staking.query_delegator_validator(view, r)),
            "HistoricalInfo" => call(data, |r| on.staking.query_historical_info(view, r)),
            "Pool" => call(data, |r| on.staking.query_pool(view, r)),
            "Params" => call(data, |r| on.staking.query_params(view, r)),
            _ => return None,
        },
        "cosmos.distribution.v1beta1.Query" => match method {
            "Params" => call(data, distribution::params),
            "ValidatorDistributionInfo" => call(data, |r| distribution::validator_info(&on.staking, view, r)),
            "ValidatorOutstandingRewards" => call(data, |r| distribution::validator_outstanding_rewards(&on.staking, view, r)),
            "ValidatorCommission" => call(data, |r| distribution::validator_commission(&on.staking, view, r)),
            "ValidatorSlashes" => call(data, |r| distribution::validator_slashes(&on.staking, view, r)),
            "DelegationRewards" => call(data, |r| distribution::delegation_rewards(&on.staking, view, r)),
            "DelegationTotalRewards" => call(data, |r| distribution::delegation_total_rewards(&on.staking, view, r)),
            "DelegatorValidators" => call(data, |r| distribution::delegator_validators(&on.staking, view, r)),
            "DelegatorWithdrawAddress" => call(data, distribution::delegator_withdraw_address),
            "CommunityPool" => call(data, distribution::community_pool),
            _ => return None,
        },
        "cosmos.feegrant.v1beta1.Query" => match method {
            "Allowance" => call(data, |r| on.feegrant.query_allowance(view, r)),
            "Allowances" => call(data, |r| on.feegrant.query_allowances(view, r)),
            "AllowancesByGranter" => call(data, |r| on.feegrant.query_allowances_by_granter(view, r)),
            _ => return None,
        },
        "cosmos.authz.v1beta1.Query" => match method {
            "Grants" => call(data, |r| on.authz.query_grants(view, r)),
            "GranterGrants" => call(data, |r| on.authz.query_granter_grants(view, r)),
            "GranteeGrants" => call(data, |r| on.authz.query_grantee_grants(view, r)),
            _ => return None,
        },
        "cosmos.consensus.v1.Query" => match method {
            "Params" => on.consensus.params(view).map_err(Error::from).map(|params| {
                // QueryParamsResponse { ConsensusParams params = 1 }
                let mut out = Vec::new();
                prost::encoding::message::encode(1, &params, &mut out);
                out
            }),
            _ => return None,
        },
        "cosmos.base.node.v1beta1.Service" => match method {
            "Config" => call(data, |_: node::ConfigRequest| -> Result<_, Error> { Ok(config.node_config()) }),
            _ => return None,
        },
        "virtengine.provider.v1.Query" => match method {
            "Provider" => call(data, |r| on.provider.query_provider(view, r)),
            "Providers" => call(data, |r| on.provider.query_providers(view, r)),
            "SignedAttributes" => call(data, |r| on.provider.query_signed_attributes(view, r)),
            "Params" => call(data, |r| on.provider.query_params(view, r)),
            _ => return None,
        },
        "virtengine.encryption.v1.Query" => match method {
            "RecipientKeys" => call(data, |r| on.encryption.query_recipient_keys(view, r)),
            "Params" => call(data, |r| on.encryption.query_params(view, r)),
            _ => return None,
        },
        "virtengine.escrow.v1.Query" => match method {
            "Accounts" => call(data, |r| on.escrow.query_accounts(view, r)),
            "Params" => call(data, |r| on.escrow.query_params(view, r)),
            _ => return None,
        },
        "virtengine.deployment.v1.Query" => match method {
            "Deployment" => call(data, |r| on.deployment.query_deployment(view, r)),
            "Deployments" => call(data, |r| on.deployment.query_deployments(view, r)),
            "Group" => call(data, |r| on.deployment.query_group(view, r)),
            "Groups" => call(data, |r| on.deployment.query_groups(view, r)),
            "Params" => call(data, |r| on.deployment.query_params(view, r)),
            _ => return None,
        },
        "virtengine.market.v1.Query" => match method {
            "Order" => call(data, |r| on.market.query_order(view, r)),
            "Orders" => call(data, |r| on.market.query_orders(view, r)),
            "Bid" => call(data, |r| on.market.query_bid(view, r)),
            "Bids" => call(data, |r| on.market.query_bids(view, r)),
            "Lease" => call(data, |r| on.market.query_lease(view, r)),
            "Leases" => call(data, |r| on.market.query_leases(view, r)),
            "Match" => call(data, |r| on.market.query_match(view, r)),
            "Params" => call(data, |r| on.market.query_params(view, r)),
            _ => return None,
        },
        _ => return None,
    })
}
