//! `cosmos.feegrant.v1beta1.Query`.

use crate::Feegrant;
use kernel::{Address, Error, Page, View};
use proto::cosmos::base::query::v1beta1::PageRequest;
use proto::cosmos::feegrant::v1beta1::*;

fn address(text: &str) -> Result<Address, Error> {
    text.parse().map_err(|e: String| Error::plain(e))
}

fn page(request: Option<&PageRequest>) -> Result<Page, Error> {
    Page::new(request).map_err(Error::invalid_request)
}

impl Feegrant {
    pub fn query_allowance(&self, view: &View, req: QueryAllowanceRequest) -> Result<QueryAllowanceResponse, Error> {
        let key = (address(&req.grantee)?, address(&req.granter)?);
        let grant = self.allowances.get(view, &key)?.ok_or_else(|| Error::internal(crate::Error::NotFound))?;
        Ok(QueryAllowanceResponse { allowance: Some(grant) })
    }

    pub fn query_allowances(&self, view: &View, req: QueryAllowancesRequest) -> Result<QueryAllowancesResponse, Error> {
        let page = page(req.pagination.as_ref())?;
        let (rows, next) = self.allowances.list(view, &address(&req.grantee)?, &page, |_, _| true)?;
        Ok(QueryAllowancesResponse { allowances: rows.into_iter().map(|(_, grant)| grant).collect(), pagination: Some(next) })
    }

    pub fn query_allowances_by_granter(
        &self,
        view: &View,
        req: QueryAllowancesByGranterRequest,
    ) -> Result<QueryAllowancesByGranterResponse, Error> {
        let page = page(req.pagination.as_ref())?;
        let (rows, next) = self.by_granter.list(view, &self.allowances, &address(&req.granter)?, &page, |_, _| true)?;
        Ok(QueryAllowancesByGranterResponse { allowances: rows.into_iter().map(|(_, grant)| grant).collect(), pagination: Some(next) })
    }
}
