//! `cosmos.auth.v1beta1.Query`.

use crate::types::AccountKey;
use crate::{Account, Auth};
use kernel::{ACCOUNT_PREFIX, Address, Error, MAX_PAGE, Page, View, module_address};
use proto::Any;
use proto::cosmos::auth::v1beta1::*;

/// An address that cannot be read is an error without a status here, unlike in bank.
fn address(text: &str) -> Result<Address, Error> {
    if text.is_empty() {
        return Err(Error::invalid_request("address cannot be empty"));
    }
    text.parse().map_err(|e: String| Error::plain(e))
}

impl Auth {
    fn row(&self, view: &View, address: Address, name: &str) -> Result<Any, Error> {
        self.accounts.get(view, &AccountKey(address))?.ok_or_else(|| not_found(name))
    }

    fn found(&self, view: &View, text: &str) -> Result<Account, Error> {
        self.account(view, &address(text)?)?.ok_or_else(|| not_found(text))
    }

    pub fn query_accounts(&self, view: &View, req: QueryAccountsRequest) -> Result<QueryAccountsResponse, Error> {
        let page = Page::new(req.pagination.as_ref()).map_err(Error::invalid_request)?;
        let (rows, pagination) = self.accounts.list(view, &(), &page, |_, _| true)?;
        let accounts = rows.into_iter().map(|(_, row)| row).collect();
        Ok(QueryAccountsResponse { accounts, pagination: Some(pagination) })
    }

    pub fn query_account(&self, view: &View, req: QueryAccountRequest) -> Result<QueryAccountResponse, Error> {
        let account = self.row(view, address(&req.address)?, &req.address)?;
        Ok(QueryAccountResponse { account: Some(account) })
    }

    pub fn query_account_info(&self, view: &View, req: QueryAccountInfoRequest) -> Result<QueryAccountInfoResponse, Error> {
        Ok(QueryAccountInfoResponse { info: Some(self.found(view, &req.address)?.base()) })
    }

    pub fn query_account_address_by_id(
        &self,
        view: &View,
        req: QueryAccountAddressByIdRequest,
    ) -> Result<QueryAccountAddressByIdResponse, Error> {
        #[allow(deprecated)]
        if req.id != 0 {
            return Err(Error::invalid_request("requesting with id isn't supported, try to request using account-id"));
        }
        match self.by_number.page(view, &req.account_id, 1)?.first() {
            Some(key) => Ok(QueryAccountAddressByIdResponse { account_address: key.0.to_string() }),
            None => Err(Error::not_found(format!("account address not found with account number {}", req.account_id))),
        }
    }

    pub fn query_params(&self, view: &View, _: QueryParamsRequest) -> Result<QueryParamsResponse, Error> {
        Ok(QueryParamsResponse { params: Some(self.params(view)?) })
    }

    pub fn query_module_accounts(&self, view: &View, _: QueryModuleAccountsRequest) -> Result<QueryModuleAccountsResponse, Error> {
        let page = Page { limit: MAX_PAGE, ..Page::default() };
        let (rows, _) = self.by_module.list(view, &self.accounts, &(), &page, |_, _| true)?;
        Ok(QueryModuleAccountsResponse { accounts: rows.into_iter().map(|(_, row)| row).collect() })
    }

    pub fn query_module_account_by_name(
        &self,
        view: &View,
        req: QueryModuleAccountByNameRequest,
    ) -> Result<QueryModuleAccountByNameResponse, Error> {
        if req.name.is_empty() {
            return Err(Error::invalid_request("module name is empty"));
        }
        let row = self.row(view, module_address(&req.name), &req.name)?;
        if crate::types::module_name(&row).is_none() {
            return Err(not_found(&req.name));
        }
        Ok(QueryModuleAccountByNameResponse { account: Some(row) })
    }

    pub fn query_bech32_prefix(&self, _: &View, _: Bech32PrefixRequest) -> Result<Bech32PrefixResponse, Error> {
        Ok(Bech32PrefixResponse { bech32_prefix: ACCOUNT_PREFIX.to_string() })
    }

    pub fn query_address_bytes_to_string(&self, _: &View, req: AddressBytesToStringRequest) -> Result<AddressBytesToStringResponse, Error> {
        let len = req.address_bytes.len();
        let address =
            Address::new(&req.address_bytes).ok_or_else(|| Error::plain(format!("address_bytes: expected 20 or 32 bytes, got {len}")))?;
        Ok(AddressBytesToStringResponse { address_string: address.to_string() })
    }

    pub fn query_address_string_to_bytes(&self, _: &View, req: AddressStringToBytesRequest) -> Result<AddressStringToBytesResponse, Error> {
        let address: Address = req.address_string.trim().parse().map_err(|e: String| Error::plain(e))?;
        Ok(AddressStringToBytesResponse { address_bytes: address.as_bytes().to_vec() })
    }
}

fn not_found(name: &str) -> Error {
    Error::not_found(format!("account {name} not found"))
}
