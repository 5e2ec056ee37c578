//! An account and its row: `Any` of a `BaseAccount` or `ModuleAccount`.

use kernel::{Address, Bytes, Key};
use prost::{
    Message,
    encoding::{WireType, decode_key, decode_varint},
};
use proto::{
    Any,
    cosmos::auth::v1beta1::{BaseAccount, ModuleAccount},
};

const BASE_URL: &str = "/cosmos.auth.v1beta1.BaseAccount";
const MODULE_URL: &str = "/cosmos.auth.v1beta1.ModuleAccount";

#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    pub address: Address,
    /// Known once the account has signed.
    pub pub_key: Option<Any>,
    pub number: u64,
    /// How many transactions it has signed.
    pub sequence: u64,
    /// Set on the accounts in which modules keep money.
    pub module: Option<ModuleInfo>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleInfo {
    pub name: String,
    pub permissions: Vec<String>,
}

/// What an account is, read from the type of its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    User,
    Module,
}

/// An address as the whole key: its bytes without a length, as Cosmos SDK has it in this store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AccountKey(pub Address);

impl Key for AccountKey {
    fn put(&self, out: &mut Bytes) {
        out.extend(self.0.as_bytes());
    }
    fn take(b: &mut &[u8]) -> Option<Self> {
        Address::new(std::mem::take(b)).map(AccountKey)
    }
}

impl Account {
    pub fn new(address: Address, number: u64) -> Self {
        Account { address, pub_key: None, number, sequence: 0, module: None }
    }

    pub(crate) fn base(&self) -> BaseAccount {
        BaseAccount {
            address: self.address.to_string(),
            pub_key: self.pub_key.clone(),
            account_number: self.number,
            sequence: self.sequence,
        }
    }

    pub(crate) fn encode(&self) -> Any {
        let base = self.base();
        let (url, value) = match &self.module {
            None => (BASE_URL, base.encode_to_vec()),
            Some(ModuleInfo { name, permissions }) => {
                let (name, permissions) = (name.clone(), permissions.clone());
                (MODULE_URL, ModuleAccount { base_account: Some(base), name, permissions }.encode_to_vec())
            }
        };
        Any { type_url: url.to_string(), value }
    }

    /// From the bytes of a row, without copying what is not kept; the address is the key's.
    pub(crate) fn decode(address: Address, row: &[u8]) -> Option<Self> {
        let (url, value) = split(row)?;
        let mut account = Account::new(address, 0);
        let mut base = value;
        if Kind::of(url)? == Kind::Module {
            let (mut name, mut permissions) = (String::new(), Vec::new());
            base = &[];
            fields(value, |number, _, bytes| {
                match number {
                    1 => base = bytes,
                    2 => name = text(bytes)?,
                    3 => permissions.push(text(bytes)?),
                    _ => return None,
                }
                Some(())
            })?;
            account.module = Some(ModuleInfo { name, permissions });
        }
        fields(base, |number, integer, bytes| {
            match number {
                1 => {}
                2 => account.pub_key = Some(Any::decode(bytes).ok()?),
                3 => account.number = integer,
                4 => account.sequence = integer,
                _ => return None,
            }
            Some(())
        })?;
        Some(account)
    }

    /// From an `Any` of a genesis document; the error says what was expected.
    pub(crate) fn from_genesis(any: &Any) -> Result<Self, String> {
        let (base, module) = match any.type_url.as_str() {
            BASE_URL => (BaseAccount::decode(any.value.as_slice()).map_err(|e| e.to_string())?, None),
            MODULE_URL => {
                let m = ModuleAccount::decode(any.value.as_slice()).map_err(|e| e.to_string())?;
                let base = m.base_account.ok_or("a module account without base_account")?;
                (base, Some(ModuleInfo { name: m.name, permissions: m.permissions }))
            }
            url => return Err(format!("account type: expected {BASE_URL} or {MODULE_URL}, got {url}")),
        };
        let address: Address = base.address.parse().map_err(|e| format!("account address {:?}: {e}", base.address))?;
        if let Some(m) = &module
            && address != kernel::module_address(&m.name)
        {
            return Err(format!("address {address} cannot be derived from the module name '{}'", m.name));
        }
        Ok(Account { address, pub_key: base.pub_key, number: base.account_number, sequence: base.sequence, module })
    }
}

impl Kind {
    fn of(url: &[u8]) -> Option<Self> {
        if url == BASE_URL.as_bytes() {
            Some(Kind::User)
        } else if url == MODULE_URL.as_bytes() {
            Some(Kind::Module)
        } else {
            None
        }
    }

    pub(crate) fn decode(row: &[u8]) -> Option<Self> {
        Kind::of(split(row)?.0)
    }
}

/// The account number in a row.
pub(crate) fn number(row: &Any) -> Option<u64> {
    let (mut base, mut out) = (row.value.as_slice(), 0);
    if Kind::of(row.type_url.as_bytes())? == Kind::Module {
        base = first(&row.value, 1)?;
    }
    fields(base, |number, integer, _| {
        if number == 3 {
            out = integer;
        }
        Some(())
    })?;
    Some(out)
}

/// The module's name in a row, if it is a module's.
pub(crate) fn module_name(row: &Any) -> Option<String> {
    (Kind::of(row.type_url.as_bytes())? == Kind::Module).then(|| text(first(&row.value, 2)?))?
}

/// Type and value of the bytes of an `Any`.
fn split(any: &[u8]) -> Option<(&[u8], &[u8])> {
    Some((first(any, 1)?, first(any, 2)?))
}

fn text(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

fn first(message: &[u8], wanted: u32) -> Option<&[u8]> {
    let mut found = None;
    fields(message, |number, _, bytes| {
        if number == wanted {
            found.get_or_insert(bytes);
        }
        Some(())
    })?;
    found
}

/// Walks a message's fields: number, integer (0 unless a varint), bytes (empty unless it has a length).
fn fields<'a>(mut b: &'a [u8], mut visit: impl FnMut(u32, u64, &'a [u8]) -> Option<()>) -> Option<()> {
    while !b.is_empty() {
        let (number, wire) = decode_key(&mut b).ok()?;
        let integer = decode_varint(&mut b).ok()?;
        match wire {
            WireType::Varint => visit(number, integer, &[])?,
            WireType::LengthDelimited => {
                let (bytes, rest) = b.split_at_checked(usize::try_from(integer).ok()?)?;
                b = rest;
                visit(number, 0, bytes)?;
            }
            _ => return None,
        }
    }
    Some(())
}
