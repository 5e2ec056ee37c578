//! One function per query.

use crate::Providers;
use kernel::{Address, Error, Page, View};
use proto::virtengine::provider::v1::*;

fn bad(log: impl std::fmt::Display) -> Error {
    Error::new("sdk", 18, format!("{log}: invalid request"))
}

impl Providers {
    fn shown(&self, view: &View, owner: &Address, mut provider: Provider) -> Result<Provider, Error> {
        provider.holds = self.holds(view, owner)?;
        Ok(provider)
    }

    pub fn query_provider(&self, view: &View, req: QueryProviderRequest) -> Result<QueryProviderResponse, Error> {
        let owner: Address = req.owner.parse().map_err(|e| bad(format_args!("owner: {e}")))?;
        let provider =
            self.get(view, &owner)?.ok_or_else(|| Error::new("sdk", 22, format!("provider {owner} not found: key not found")))?;
        Ok(QueryProviderResponse { provider: Some(self.shown(view, &owner, provider)?) })
    }

    pub fn query_providers(&self, view: &View, req: QueryProvidersRequest) -> Result<QueryProvidersResponse, Error> {
        let page = Page::new(req.pagination.as_ref()).map_err(bad)?;
        let (rows, pagination) = match u8::try_from(req.status).map_err(|_| bad("status: unknown"))? {
            0 => self.rows.list(view, &(), &page, |_, _| true)?,
            status => self.by_status.list(view, &self.rows, &status, &page, |_, _| true)?,
        };
        let providers = rows.into_iter().map(|(owner, p)| self.shown(view, &owner, p)).collect::<Result<_, _>>()?;
        Ok(QueryProvidersResponse { providers, pagination: Some(pagination) })
    }

    pub fn query_signed_attributes(&self, view: &View, req: QuerySignedAttributesRequest) -> Result<QuerySignedAttributesResponse, Error> {
        let provider: Address = req.provider.parse().map_err(|e| bad(format_args!("provider: {e}")))?;
        let page = Page::new(req.pagination.as_ref()).map_err(bad)?;
        let (rows, pagination) = self.signed.list(view, &provider, &page, |_, _| true)?;
        let signed_attributes = rows.into_iter().map(|(_, row)| row).collect();
        Ok(QuerySignedAttributesResponse { signed_attributes, pagination: Some(pagination) })
    }

    pub fn query_params(&self, view: &View, _: QueryParamsRequest) -> Result<QueryParamsResponse, Error> {
        Ok(QueryParamsResponse { params: Some(self.params(view)?.into()) })
    }
}
