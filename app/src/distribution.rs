//! `cosmos.distribution.v1beta1.Query`: what wallets ask before they show a delegation. This chain mints nothing and hands
//! no fees out, so rewards, commissions and the community pool are empty, for validators and delegations that exist.

use kernel::{Address, Error, View};
use proto::cosmos::base::query::v1beta1::{PageRequest, PageResponse};
use proto::cosmos::distribution::v1beta1::*;
use proto::cosmos::staking::v1beta1::{
    QueryDelegationRequest, QueryDelegatorDelegationsRequest, QueryDelegatorDelegationsResponse, QueryValidatorRequest,
};
use staking::Staking;

const ZERO: &str = "0";

pub fn params(_: QueryParamsRequest) -> Result<QueryParamsResponse, Error> {
    #[allow(deprecated)]
    let params = Params {
        community_tax: ZERO.into(),
        base_proposer_reward: ZERO.into(),
        bonus_proposer_reward: ZERO.into(),
        withdraw_addr_enabled: false,
    };
    Ok(QueryParamsResponse { params: Some(params) })
}

/// Fails unless there is such a validator; its account's address.
fn validator(staking: &Staking, view: &View, validator_addr: &str) -> Result<Address, Error> {
    staking.query_validator(view, QueryValidatorRequest { validator_addr: validator_addr.into() })?;
    Address::from_validator(validator_addr).map_err(Error::plain)
}

pub fn validator_info(
    staking: &Staking,
    view: &View,
    r: QueryValidatorDistributionInfoRequest,
) -> Result<QueryValidatorDistributionInfoResponse, Error> {
    let operator_address = validator(staking, view, &r.validator_address)?.to_string();
    Ok(QueryValidatorDistributionInfoResponse { operator_address, ..Default::default() })
}

pub fn validator_outstanding_rewards(
    staking: &Staking,
    view: &View,
    r: QueryValidatorOutstandingRewardsRequest,
) -> Result<QueryValidatorOutstandingRewardsResponse, Error> {
    validator(staking, view, &r.validator_address)?;
    Ok(QueryValidatorOutstandingRewardsResponse { rewards: Some(ValidatorOutstandingRewards::default()) })
}

pub fn validator_commission(
    staking: &Staking,
    view: &View,
    r: QueryValidatorCommissionRequest,
) -> Result<QueryValidatorCommissionResponse, Error> {
    validator(staking, view, &r.validator_address)?;
    Ok(QueryValidatorCommissionResponse { commission: Some(ValidatorAccumulatedCommission::default()) })
}

pub fn validator_slashes(staking: &Staking, view: &View, r: QueryValidatorSlashesRequest) -> Result<QueryValidatorSlashesResponse, Error> {
    validator(staking, view, &r.validator_address)?;
    Ok(QueryValidatorSlashesResponse { slashes: Vec::new(), pagination: Some(PageResponse::default()) })
}

pub fn delegation_rewards(
    staking: &Staking,
    view: &View,
    r: QueryDelegationRewardsRequest,
) -> Result<QueryDelegationRewardsResponse, Error> {
    let delegation = QueryDelegationRequest { delegator_addr: r.delegator_address, validator_addr: r.validator_address };
    staking.query_delegation(view, delegation)?;
    Ok(QueryDelegationRewardsResponse { rewards: Vec::new() })
}

/// The validators that an account delegates to, in the order of their addresses.
fn validators_of(staking: &Staking, view: &View, delegator_addr: String) -> Result<Vec<String>, Error> {
    let (mut found, mut key) = (Vec::new(), Vec::new());
    loop {
        let pagination = Some(PageRequest { key, ..Default::default() });
        let request = QueryDelegatorDelegationsRequest { delegator_addr: delegator_addr.clone(), pagination };
        let QueryDelegatorDelegationsResponse { delegation_responses, pagination } = staking.query_delegator_delegations(view, request)?;
        found.extend(delegation_responses.into_iter().filter_map(|r| r.delegation).map(|d| d.validator_address));
        key = pagination.map(|p| p.next_key).unwrap_or_default();
        if key.is_empty() {
            return Ok(found);
        }
    }
}

pub fn delegation_total_rewards(
    staking: &Staking,
    view: &View,
    r: QueryDelegationTotalRewardsRequest,
) -> Result<QueryDelegationTotalRewardsResponse, Error> {
    let validators = validators_of(staking, view, r.delegator_address)?;
    let rewards = validators.into_iter().map(|validator_address| DelegationDelegatorReward { validator_address, reward: Vec::new() });
    Ok(QueryDelegationTotalRewardsResponse { rewards: rewards.collect(), total: Vec::new() })
}

pub fn delegator_validators(
    staking: &Staking,
    view: &View,
    r: QueryDelegatorValidatorsRequest,
) -> Result<QueryDelegatorValidatorsResponse, Error> {
    Ok(QueryDelegatorValidatorsResponse { validators: validators_of(staking, view, r.delegator_address)? })
}

/// An account's own: it cannot be changed.
pub fn delegator_withdraw_address(r: QueryDelegatorWithdrawAddressRequest) -> Result<QueryDelegatorWithdrawAddressResponse, Error> {
    if r.delegator_address.is_empty() {
        return Err(Error::invalid_request("empty delegator address"));
    }
    r.delegator_address.parse::<Address>().map_err(Error::plain)?;
    Ok(QueryDelegatorWithdrawAddressResponse { withdraw_address: r.delegator_address })
}

pub fn community_pool(_: QueryCommunityPoolRequest) -> Result<QueryCommunityPoolResponse, Error> {
    Ok(QueryCommunityPoolResponse { pool: Vec::new() })
}
