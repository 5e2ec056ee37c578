//! One function per query.

use crate::Encryption;
use kernel::{Address, Error, Page, View};
use proto::virtengine::encryption::v1::*;

fn bad(log: impl std::fmt::Display) -> Error {
    Error::new("sdk", 18, format!("{log}: invalid request"))
}

impl Encryption {
    pub fn query_recipient_keys(&self, view: &View, req: QueryRecipientKeysRequest) -> Result<QueryRecipientKeysResponse, Error> {
        let page = Page::new(req.pagination.as_ref()).map_err(bad)?;
        let keep = |key: &RecipientKey| req.state == 0 || key.state == req.state;
        let (rows, pagination) = if req.owner.is_empty() {
            self.keys.list(view, &(), &page, |_, key| keep(key))?
        } else {
            let owner: Address = req.owner.parse().map_err(|e| bad(format_args!("owner: {e}")))?;
            self.keys.list(view, &owner, &page, |_, key| keep(key))?
        };
        Ok(QueryRecipientKeysResponse { keys: rows.into_iter().map(|(_, key)| key).collect(), pagination: Some(pagination) })
    }

    pub fn query_params(&self, view: &View, _: QueryParamsRequest) -> Result<QueryParamsResponse, Error> {
        Ok(QueryParamsResponse { params: Some(self.params(view)?) })
    }
}
