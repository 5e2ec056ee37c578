//! `cosmos.authz.v1beta1.Query`.

use crate::{Authz, Key};
use kernel::{Address, Error, Page, Text, View};
use proto::cosmos::authz::v1beta1::*;
use proto::cosmos::base::query::v1beta1::PageRequest;

fn address(text: &str) -> Result<Address, Error> {
    text.parse().map_err(|e: String| Error::plain(e))
}

fn page(request: Option<&PageRequest>) -> Result<Page, Error> {
    Page::new(request).map_err(Error::invalid_request)
}

fn shown(((granter, grantee, _), grant): (Key, Grant)) -> GrantAuthorization {
    let Grant { authorization, expiration } = grant;
    GrantAuthorization { granter: granter.to_string(), grantee: grantee.to_string(), authorization, expiration }
}

impl Authz {
    pub fn query_grants(&self, view: &View, req: QueryGrantsRequest) -> Result<QueryGrantsResponse, Error> {
        let (granter, grantee) = (address(&req.granter)?, address(&req.grantee)?);
        if !req.msg_type_url.is_empty() {
            let grant = self.grants.get(view, &(granter, grantee, Text(req.msg_type_url.clone())))?;
            let missing = || crate::Error::NotFound(format!("authorization not found for {} type", req.msg_type_url));
            return Ok(QueryGrantsResponse { grants: vec![grant.ok_or_else(missing)?], pagination: None });
        }
        let (rows, next) = self.grants.list(view, &(granter, grantee), &page(req.pagination.as_ref())?, |_, _| true)?;
        Ok(QueryGrantsResponse { grants: rows.into_iter().map(|(_, grant)| grant).collect(), pagination: Some(next) })
    }

    pub fn query_granter_grants(&self, view: &View, req: QueryGranterGrantsRequest) -> Result<QueryGranterGrantsResponse, Error> {
        let (rows, next) = self.grants.list(view, &address(&req.granter)?, &page(req.pagination.as_ref())?, |_, _| true)?;
        Ok(QueryGranterGrantsResponse { grants: rows.into_iter().map(shown).collect(), pagination: Some(next) })
    }

    pub fn query_grantee_grants(&self, view: &View, req: QueryGranteeGrantsRequest) -> Result<QueryGranteeGrantsResponse, Error> {
        let page = page(req.pagination.as_ref())?;
        let (rows, next) = self.by_grantee.list(view, &self.grants, &address(&req.grantee)?, &page, |_, _| true)?;
        Ok(QueryGranteeGrantsResponse { grants: rows.into_iter().map(shown).collect(), pagination: Some(next) })
    }
}
