//! Accounts: who may sign, with which key, number and sequence, and the accounts in which modules keep money.
//!
//! Rows are what clients prove: `01 ‖ address` → `Any` of a `BaseAccount` or `ModuleAccount`.

mod error;
mod genesis;
mod query;
mod types;

pub use error::Error;
pub use types::{Account, Kind, ModuleInfo};

use kernel::{Address, Ctx, Fault, Genesis, Index, Item, Module, Namespace, Number, Table, View, Word, module_address};
use proto::{Any, cosmos::auth::v1beta1::Params};
use types::AccountKey;

/// The module account that fees go to. Its number is 0, because some clients cannot read that number of a user.
pub const FEE_COLLECTOR: &str = "fee_collector";

/// The accounts of the chain.
pub struct Auth {
    params: Item<Params>,
    accounts: Table<AccountKey, Any>,
    by_number: Index<u64, AccountKey>,
    by_module: Index<Word, AccountKey>,
    next_number: Item<Number>,
}

impl Auth {
    pub fn new(ns: Namespace) -> Self {
        let mut accounts = Table::new(&ns, 1);
        Auth {
            params: Item::new(&ns, 0),
            by_number: accounts.index(&ns, 3, |_, row| types::number(row)),
            by_module: accounts.index(&ns, 4, |_, row| types::module_name(row).map(Word)),
            accounts,
            next_number: Item::new(&ns, 2),
        }
    }

    pub fn params(&self, view: &View) -> Result<Params, Fault> {
        Ok(self.params.get(view)?.unwrap_or_else(genesis::default_params))
    }

    pub fn account(&self, view: &View, address: &Address) -> Result<Option<Account>, Fault> {
        self.accounts.peek(view, &AccountKey(*address), |row| Account::decode(*address, row))
    }

    /// Whether there is an account and of which kind, for the price of one read and no decoding.
    pub fn kind(&self, view: &View, address: &Address) -> Result<Option<Kind>, Fault> {
        self.accounts.peek(view, &AccountKey(*address), Kind::decode)
    }

    /// The account of `address`, made with the next number if there is none.
    pub fn ensure(&self, ctx: &mut Ctx, address: &Address) -> Result<Account, Fault> {
        match self.account(ctx, address)? {
            Some(account) => Ok(account),
            None => self.create(ctx, address),
        }
    }

    /// Makes the account of an address that has none; false for a module's, which no user may give anything.
    pub fn ensure_user(&self, ctx: &mut Ctx, address: &Address) -> Result<bool, Fault> {
        match self.kind(ctx, address)? {
            Some(kind) => Ok(kind == Kind::User),
            None => self.create(ctx, address).map(|_| true),
        }
    }

    /// Makes the account of an address that has none.
    pub fn create(&self, ctx: &mut Ctx, address: &Address) -> Result<Account, Fault> {
        let number = self.next_number.get(ctx)?.map_or(0, |n| n.0);
        let account = Account::new(*address, number);
        self.next_number.save(ctx, &Number(number.checked_add(1).ok_or(Fault::Corrupt("account numbers"))?))?;
        self.accounts.replace(ctx, &AccountKey(*address), None, Some(&account.encode()))?;
        Ok(account)
    }

    /// Saves an account that [`Auth::account`], [`Auth::ensure`] or [`Auth::create`] gave; its address and number stay.
    pub fn save(&self, ctx: &mut Ctx, account: &Account) -> Result<(), Fault> {
        let row = account.encode();
        self.accounts.replace(ctx, &AccountKey(account.address), Some(&row), Some(&row))
    }

    /// The address of a module's account, made if there is none. Money that was sent there before stays there.
    pub fn ensure_module(&self, ctx: &mut Ctx, name: &str, permissions: &[&str]) -> Result<Address, Fault> {
        let address = module_address(name);
        let mut account = self.ensure(ctx, &address)?;
        if account.module.is_none() {
            let plain = account.encode();
            let permissions = permissions.iter().map(|p| p.to_string()).collect();
            account.module = Some(ModuleInfo { name: name.to_string(), permissions });
            self.accounts.replace(ctx, &AccountKey(address), Some(&plain), Some(&account.encode()))?;
        }
        Ok(address)
    }
}

impl Module for Auth {
    fn name(&self) -> &'static str {
        "auth"
    }

    fn init_genesis(&self, ctx: &mut Ctx, genesis: &Genesis) -> Result<(), kernel::Error> {
        Ok(self.init(ctx, kernel::read_genesis(genesis)?)?)
    }

    fn export_genesis(&self, view: &View) -> Result<Genesis, kernel::Error> {
        kernel::write_genesis(&self.export(view)?)
    }

    fn broken(&self, view: &View) -> Result<Vec<String>, kernel::Error> {
        let next = self.next_number.get(view)?.map_or(0, |n| n.0);
        let mut out = Vec::new();
        self.each(view, |key, row| {
            let number = types::number(&row);
            if number.is_none_or(|n| n >= next) {
                out.push(format!("account {} has number {number:?}, the next one is {next}", key.0));
            }
        })?;
        Ok(out)
    }
}
