//! `cosmos.bank.v1beta1.Query`.

use crate::Bank;
use crate::types::{to_proto, validate_denom};
use kernel::{Address, Error, Page, Text, View, Word};
use proto::cosmos::bank::v1beta1::*;
use proto::cosmos::base::query::v1beta1::{PageRequest, PageResponse};
use proto::cosmos::base::v1beta1::Coin;

fn address(text: &str) -> Result<Address, Error> {
    text.parse().map_err(|e| Error::invalid_request(format!("invalid address: {e}")))
}

fn denom(text: &str) -> Result<(), Error> {
    validate_denom(text).map_err(Error::invalid_request)
}

fn page(request: Option<&PageRequest>) -> Result<Page, Error> {
    Page::new(request).map_err(|e| Error::invalid_request(format!("paginate: {e}")))
}

impl Bank {
    fn coin(&self, view: &View, owner: &str, of: String) -> Result<Option<Coin>, Error> {
        let amount = self.balance(view, &address(owner)?, &of)?;
        Ok(Some(to_proto(of, amount)))
    }

    fn coins(&self, view: &View, owner: &str, request: Option<&PageRequest>) -> Result<(Vec<Coin>, PageResponse), Error> {
        let (rows, next) = self.balances.list(view, &address(owner)?, &page(request)?, |_, _| true)?;
        Ok((rows.into_iter().map(|((_, denom), amount)| to_proto(denom.0, amount.0)).collect(), next))
    }

    pub fn query_balance(&self, view: &View, req: QueryBalanceRequest) -> Result<QueryBalanceResponse, Error> {
        denom(&req.denom)?;
        Ok(QueryBalanceResponse { balance: self.coin(view, &req.address, req.denom)? })
    }

    pub fn query_all_balances(&self, view: &View, req: QueryAllBalancesRequest) -> Result<QueryAllBalancesResponse, Error> {
        let (mut balances, pagination) = self.coins(view, &req.address, req.pagination.as_ref())?;
        if req.resolve_denom {
            for coin in &mut balances {
                if let Some(metadata) = self.metadata.get(view, &Text(coin.denom.clone()))? {
                    coin.denom = metadata.display;
                }
            }
        }
        Ok(QueryAllBalancesResponse { balances, pagination: Some(pagination) })
    }

    /// Nothing locks balances on this chain: all are spendable.
    pub fn query_spendable_balances(
        &self,
        view: &View,
        req: QuerySpendableBalancesRequest,
    ) -> Result<QuerySpendableBalancesResponse, Error> {
        let (balances, pagination) = self.coins(view, &req.address, req.pagination.as_ref())?;
        Ok(QuerySpendableBalancesResponse { balances, pagination: Some(pagination) })
    }

    pub fn query_spendable_balance_by_denom(
        &self,
        view: &View,
        req: QuerySpendableBalanceByDenomRequest,
    ) -> Result<QuerySpendableBalanceByDenomResponse, Error> {
        denom(&req.denom)?;
        Ok(QuerySpendableBalanceByDenomResponse { balance: self.coin(view, &req.address, req.denom)? })
    }

    pub fn query_total_supply(&self, view: &View, req: QueryTotalSupplyRequest) -> Result<QueryTotalSupplyResponse, Error> {
        let (rows, next) = self.supply.list(view, &(), &page(req.pagination.as_ref())?, |_, _| true)?;
        let supply = rows.into_iter().map(|(denom, amount)| to_proto(denom.0, amount.0)).collect();
        Ok(QueryTotalSupplyResponse { supply, pagination: Some(next) })
    }

    pub fn query_supply_of(&self, view: &View, req: QuerySupplyOfRequest) -> Result<QuerySupplyOfResponse, Error> {
        denom(&req.denom)?;
        let amount = self.supply(view, &req.denom)?;
        Ok(QuerySupplyOfResponse { amount: Some(to_proto(req.denom, amount)) })
    }

    pub fn query_params(&self, view: &View, _: QueryParamsRequest) -> Result<QueryParamsResponse, Error> {
        Ok(QueryParamsResponse { params: Some(self.params(view)?) })
    }

    pub fn query_denoms_metadata(&self, view: &View, req: QueryDenomsMetadataRequest) -> Result<QueryDenomsMetadataResponse, Error> {
        let (rows, next) = self.metadata.list(view, &(), &page(req.pagination.as_ref())?, |_, _| true)?;
        Ok(QueryDenomsMetadataResponse { metadatas: rows.into_iter().map(|(_, m)| m).collect(), pagination: Some(next) })
    }

    pub fn query_denom_metadata(&self, view: &View, req: QueryDenomMetadataRequest) -> Result<QueryDenomMetadataResponse, Error> {
        denom(&req.denom)?;
        let not_found = || Error::not_found(format!("client metadata for denom {}", req.denom));
        let metadata = self.metadata.get(view, &Text(req.denom.clone()))?.ok_or_else(not_found)?;
        Ok(QueryDenomMetadataResponse { metadata: Some(metadata) })
    }

    pub fn query_denom_metadata_by_query_string(
        &self,
        view: &View,
        req: QueryDenomMetadataByQueryStringRequest,
    ) -> Result<QueryDenomMetadataByQueryStringResponse, Error> {
        let found = self.query_denom_metadata(view, QueryDenomMetadataRequest { denom: req.denom })?;
        Ok(QueryDenomMetadataByQueryStringResponse { metadata: found.metadata })
    }

    pub fn query_denom_owners(&self, view: &View, req: QueryDenomOwnersRequest) -> Result<QueryDenomOwnersResponse, Error> {
        denom(&req.denom)?;
        let page = page(req.pagination.as_ref())?;
        let (rows, next) = self.owners.list(view, &self.balances, &Word(req.denom), &page, |_, _| true)?;
        let owner = |((owner, denom), amount): ((Address, Text), crate::types::Amount)| DenomOwner {
            address: owner.to_string(),
            balance: Some(to_proto(denom.0, amount.0)),
        };
        Ok(QueryDenomOwnersResponse { denom_owners: rows.into_iter().map(owner).collect(), pagination: Some(next) })
    }

    pub fn query_denom_owners_by_query(
        &self,
        view: &View,
        req: QueryDenomOwnersByQueryRequest,
    ) -> Result<QueryDenomOwnersByQueryResponse, Error> {
        let QueryDenomOwnersByQueryRequest { denom, pagination } = req;
        let QueryDenomOwnersResponse { denom_owners, pagination } =
            self.query_denom_owners(view, QueryDenomOwnersRequest { denom, pagination })?;
        Ok(QueryDenomOwnersByQueryResponse { denom_owners, pagination })
    }

    /// The switches of the named denominations that have one; without names, all of them.
    pub fn query_send_enabled(&self, view: &View, req: QuerySendEnabledRequest) -> Result<QuerySendEnabledResponse, Error> {
        let mut send_enabled = Vec::new();
        if !req.denoms.is_empty() {
            for denom in req.denoms {
                if let Some(switch) = self.send_enabled.get(view, &Text(denom.clone()))? {
                    send_enabled.push(SendEnabled { denom, enabled: switch.0 });
                }
            }
            return Ok(QuerySendEnabledResponse { send_enabled, pagination: None });
        }
        let (rows, next) = self.send_enabled.list(view, &(), &page(req.pagination.as_ref())?, |_, _| true)?;
        send_enabled.extend(rows.into_iter().map(|(denom, switch)| SendEnabled { denom: denom.0, enabled: switch.0 }));
        Ok(QuerySendEnabledResponse { send_enabled, pagination: Some(next) })
    }
}
