//! `cosmos.staking.v1beta1.Query`.

use crate::Staking;
use crate::types::Dec;
use kernel::{Address, Error, Fault, Page, View};
use proto::cosmos::base::query::v1beta1::{PageRequest, PageResponse};
use proto::cosmos::base::v1beta1::Coin;
use proto::cosmos::staking::v1beta1::*;

fn validator(text: &str) -> Result<Address, Error> {
    if text.is_empty() {
        return Err(Error::invalid_request("validator address cannot be empty"));
    }
    Address::from_validator(text).map_err(Error::plain)
}

fn delegator(text: &str) -> Result<Address, Error> {
    if text.is_empty() {
        return Err(Error::invalid_request("delegator address cannot be empty"));
    }
    text.parse().map_err(|e: String| Error::plain(e))
}

fn page(request: Option<&PageRequest>) -> Result<Page, Error> {
    Page::new(request).map_err(Error::invalid_request)
}

fn empty(request: Option<&PageRequest>) -> Result<Option<PageResponse>, Error> {
    page(request).map(|_| Some(Page::response(Vec::new(), 0)))
}

impl Staking {
    /// A delegation and what it is worth, one base coin a share.
    fn response(&self, denom: &str, delegation: Delegation) -> Result<DelegationResponse, Fault> {
        let amount = Dec::from_wire(&delegation.shares).and_then(Dec::to_int).ok_or(Fault::Corrupt("delegation shares"))?;
        let balance = Coin { denom: denom.to_string(), amount: amount.to_string() };
        Ok(DelegationResponse { delegation: Some(delegation), balance: Some(balance) })
    }

    fn responses(&self, view: &View, rows: Vec<((Address, Address), Delegation)>) -> Result<Vec<DelegationResponse>, Fault> {
        let denom = self.params(view)?.bond_denom;
        rows.into_iter().map(|(_, d)| self.response(&denom, d)).collect()
    }

    pub fn query_validators(&self, view: &View, req: QueryValidatorsRequest) -> Result<QueryValidatorsResponse, Error> {
        let status = match BondStatus::from_str_name(&req.status) {
            _ if req.status.is_empty() => None,
            Some(status) if status != BondStatus::Unspecified => Some(status),
            _ => return Err(Error::invalid_request(format!("invalid validator status {}", req.status))),
        };
        let page = page(req.pagination.as_ref())?;
        let (rows, next) = self.validators.list(view, &(), &page, |_, v| status.is_none_or(|s| v.status() == s))?;
        Ok(QueryValidatorsResponse { validators: rows.into_iter().map(|(_, v)| v).collect(), pagination: Some(next) })
    }

    pub fn query_validator(&self, view: &View, req: QueryValidatorRequest) -> Result<QueryValidatorResponse, Error> {
        let found = self.validators.get(view, &validator(&req.validator_addr)?)?;
        let not_found = || Error::not_found(format!("validator {} not found", req.validator_addr));
        Ok(QueryValidatorResponse { validator: Some(found.ok_or_else(not_found)?) })
    }

    pub fn query_validator_delegations(
        &self,
        view: &View,
        req: QueryValidatorDelegationsRequest,
    ) -> Result<QueryValidatorDelegationsResponse, Error> {
        let (validator, page) = (validator(&req.validator_addr)?, page(req.pagination.as_ref())?);
        let (rows, next) = self.by_validator.list(view, &self.delegations, &validator, &page, |_, _| true)?;
        Ok(QueryValidatorDelegationsResponse { delegation_responses: self.responses(view, rows)?, pagination: Some(next) })
    }

    pub fn query_delegation(&self, view: &View, req: QueryDelegationRequest) -> Result<QueryDelegationResponse, Error> {
        let key = (delegator(&req.delegator_addr)?, validator(&req.validator_addr)?);
        let (d, v) = (&req.delegator_addr, &req.validator_addr);
        let not_found = || Error::not_found(format!("delegation with delegator {d} not found for validator {v}"));
        let found = self.delegations.get(view, &key)?.ok_or_else(not_found)?;
        let response = self.response(&self.params(view)?.bond_denom, found)?;
        Ok(QueryDelegationResponse { delegation_response: Some(response) })
    }

    pub fn query_delegator_delegations(
        &self,
        view: &View,
        req: QueryDelegatorDelegationsRequest,
    ) -> Result<QueryDelegatorDelegationsResponse, Error> {
        let (delegator, page) = (delegator(&req.delegator_addr)?, page(req.pagination.as_ref())?);
        let (rows, next) = self.delegations.list(view, &delegator, &page, |_, _| true)?;
        Ok(QueryDelegatorDelegationsResponse { delegation_responses: self.responses(view, rows)?, pagination: Some(next) })
    }

    pub fn query_delegator_validators(
        &self,
        view: &View,
        req: QueryDelegatorValidatorsRequest,
    ) -> Result<QueryDelegatorValidatorsResponse, Error> {
        let (delegator, page) = (delegator(&req.delegator_addr)?, page(req.pagination.as_ref())?);
        let (rows, next) = self.delegations.list(view, &delegator, &page, |_, _| true)?;
        let validators = rows.iter().map(|((_, v), _)| self.load(view, v)).collect::<Result<_, Fault>>()?;
        Ok(QueryDelegatorValidatorsResponse { validators, pagination: Some(next) })
    }

    pub fn query_delegator_validator(
        &self,
        view: &View,
        req: QueryDelegatorValidatorRequest,
    ) -> Result<QueryDelegatorValidatorResponse, Error> {
        let key = (delegator(&req.delegator_addr)?, validator(&req.validator_addr)?);
        if !self.delegations.has(view, &key)? {
            return Err(Error::internal("no delegation for (address, validator) tuple"));
        }
        Ok(QueryDelegatorValidatorResponse { validator: Some(self.load(view, &key.1)?) })
    }

    /// Nothing unbonds on this chain yet.
    pub fn query_unbonding_delegation(
        &self,
        _: &View,
        req: QueryUnbondingDelegationRequest,
    ) -> Result<QueryUnbondingDelegationResponse, Error> {
        delegator(&req.delegator_addr)?;
        validator(&req.validator_addr)?;
        let (d, v) = (req.delegator_addr, req.validator_addr);
        Err(Error::not_found(format!("unbonding delegation with delegator {d} not found for validator {v}")))
    }

    pub fn query_validator_unbonding_delegations(
        &self,
        _: &View,
        req: QueryValidatorUnbondingDelegationsRequest,
    ) -> Result<QueryValidatorUnbondingDelegationsResponse, Error> {
        validator(&req.validator_addr)?;
        let pagination = empty(req.pagination.as_ref())?;
        Ok(QueryValidatorUnbondingDelegationsResponse { unbonding_responses: Vec::new(), pagination })
    }

    pub fn query_delegator_unbonding_delegations(
        &self,
        _: &View,
        req: QueryDelegatorUnbondingDelegationsRequest,
    ) -> Result<QueryDelegatorUnbondingDelegationsResponse, Error> {
        delegator(&req.delegator_addr)?;
        let pagination = empty(req.pagination.as_ref())?;
        Ok(QueryDelegatorUnbondingDelegationsResponse { unbonding_responses: Vec::new(), pagination })
    }

    /// Of a delegator from one validator to another, from a validator, or else all of a delegator.
    pub fn query_redelegations(&self, _: &View, req: QueryRedelegationsRequest) -> Result<QueryRedelegationsResponse, Error> {
        let QueryRedelegationsRequest { delegator_addr: delegator, src_validator_addr: from, dst_validator_addr: to, .. } = &req;
        let is_account = |text: &str| text.parse::<Address>().map(|_| ()).map_err(Error::internal);
        let is_validator = |text: &str| Address::from_validator(text).map(|_| ()).map_err(Error::internal);
        match (delegator.is_empty(), from.is_empty(), to.is_empty()) {
            (false, false, false) => {
                is_account(delegator)?;
                is_validator(from)?;
                is_validator(to)?;
                return Err(Error::internal(format_args!(
                    "rpc error: code = NotFound desc = redelegation not found for delegator address {delegator} from validator address {from}"
                )));
            }
            (true, false, true) => is_validator(from)?,
            _ => is_account(delegator)?,
        }
        let pagination = empty(req.pagination.as_ref())?;
        Ok(QueryRedelegationsResponse { redelegation_responses: Vec::new(), pagination })
    }

    /// Old validator sets are kept by the consensus engine, not here.
    pub fn query_historical_info(&self, _: &View, req: QueryHistoricalInfoRequest) -> Result<QueryHistoricalInfoResponse, Error> {
        if req.height < 0 {
            return Err(Error::invalid_request("height cannot be negative"));
        }
        Err(Error::not_found(format!("historical info for height {} not found", req.height)))
    }

    pub fn query_pool(&self, view: &View, _: QueryPoolRequest) -> Result<QueryPoolResponse, Error> {
        let denom = self.params(view)?.bond_denom;
        let tokens = |is_bonded| -> Result<String, Fault> { Ok(self.bank.balance(view, &Staking::pool(is_bonded), &denom)?.to_string()) };
        Ok(QueryPoolResponse { pool: Some(Pool { not_bonded_tokens: tokens(false)?, bonded_tokens: tokens(true)? }) })
    }

    pub fn query_params(&self, view: &View, _: QueryParamsRequest) -> Result<QueryParamsResponse, Error> {
        Ok(QueryParamsResponse { params: Some(self.params(view)?) })
    }
}
