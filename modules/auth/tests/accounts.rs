//! Accounts over the memory store: rows, numbers, genesis and queries.
#![allow(clippy::disallowed_methods)] // tests are their own `app`

use auth::{Account, Auth, FEE_COLLECTOR, Kind};
use kernel::{Address, BlockInfo, Ctx, Error, Gas, MemBase, Module, Registry, View, module_address};
use proptest::prelude::*;
use prost::Message;
use proto::Any;
use proto::cosmos::auth::v1beta1::*;
use proto::cosmos::base::query::v1beta1::PageRequest;
use serde_json::{Value, json};
use std::sync::Arc;

const ALICE: &str = "virtengine1ffnq3th3zv3p540v402ksfneenlkhh9zttvegk";
const VALIDATOR: &str = "virtengine1s0wmz72kkz6pprnzdsjxnqhk2smw9ds82hudmy";

fn auth() -> Auth {
    Auth::new(Registry::default().claim("acc", 1))
}

fn ctx() -> Ctx {
    Ctx::new(View::new(Arc::new(MemBase::default()), BlockInfo::default(), Gas::unlimited()))
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn key() -> Any {
    let key = proto::cosmos::crypto::secp256k1::PubKey { key: bytes("026f2f3950ab938fa70974894618481609e43fb18d85e08971cdc498c46f97c1e7") };
    Any { type_url: "/cosmos.crypto.secp256k1.PubKey".into(), value: key.encode_to_vec() }
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

/// The row of store 1 under this key of the store.
fn row(ctx: &Ctx, key: &str) -> Vec<u8> {
    ctx.writes()[&[vec![0, 1], bytes(key)].concat()].clone().unwrap()
}

/// As Cosmos SDK's `add-genesis-account` and `collect-gentxs` leave it.
fn go_genesis() -> Value {
    let account = |address: &str, number: &str| json!({"@type": "/cosmos.auth.v1beta1.BaseAccount", "address": address, "pub_key": null, "account_number": number, "sequence": "0"});
    json!({
        "params": {"max_memo_characters": "256", "tx_sig_limit": "7", "tx_size_cost_per_byte": "10",
            "sig_verify_cost_ed25519": "590", "sig_verify_cost_secp256k1": "1000"},
        "accounts": [account(VALIDATOR, "0"), account(ALICE, "1")],
    })
}

fn started() -> (Auth, Ctx) {
    let (auth, mut ctx) = (auth(), ctx());
    auth.init_genesis(&mut ctx, &go_genesis()).unwrap();
    (auth, ctx)
}

fn refusal(genesis: Value) -> String {
    auth().init_genesis(&mut ctx(), &genesis).unwrap_err().log
}

#[test]
fn the_rows_are_those_of_cosmos_sdk() {
    let (auth, mut ctx) = started();
    let mut alice = auth.account(&ctx, &address(ALICE)).unwrap().unwrap();
    (alice.number, alice.sequence, alice.pub_key) = (1, 4, Some(key()));
    auth.save(&mut ctx, &alice).unwrap();
    // Read from a Cosmos SDK v0.53 chain.
    assert_eq!(
        row(&ctx, "014a6608aef113221a55ecabd5682679ccff6bdca2"),
        bytes(
            "0a202f636f736d6f732e617574682e763162657461312e426173654163636f756e74127f0a3176697274656e67696e653166666e71337468\
             337a763370353430763430326b73666e65656e6c6b6868397a74747665676b12460a1f2f636f736d6f732e63727970746f2e736563703235\
             366b312e5075624b657912230a21026f2f3950ab938fa70974894618481609e43fb18d85e08971cdc498c46f97c1e718012004"
        )
    );
    let mut pool = ctx_with_next(2);
    auth.ensure_module(&mut pool, "bonded_tokens_pool", &["burner", "staking"]).unwrap();
    assert_eq!(
        row(&pool, "014fea76427b8345861e80a3540a8a9d936fd39391"),
        bytes(
            "0a222f636f736d6f732e617574682e763162657461312e4d6f64756c654163636f756e74125c0a350a3176697274656e67696e6531666c34\
             3876736e6d73647a637638357135643271347a35616a646861387975336e7167376a7218031212626f6e6465645f746f6b656e735f706f6f\
             6c1a066275726e65721a077374616b696e67"
        )
    );
}

/// A state whose next account has number `users` + 1.
fn ctx_with_next(users: u8) -> Ctx {
    let (auth, mut ctx) = (auth(), ctx());
    let account = |n: u8| json!({"@type": "/cosmos.auth.v1beta1.BaseAccount", "address": Address::new(&[n; 20]).unwrap().to_string()});
    auth.init_genesis(&mut ctx, &json!({"accounts": (0..users).map(account).collect::<Vec<_>>()})).unwrap();
    ctx
}

#[test]
fn the_fee_collector_has_number_0_and_users_count_from_1_in_the_order_of_the_document() {
    let (auth, ctx) = started();
    let number = |a: Address| auth.account(&ctx, &a).unwrap().unwrap().number;
    assert_eq!(number(module_address(FEE_COLLECTOR)), 0);
    assert_eq!((number(address(VALIDATOR)), number(address(ALICE))), (1, 2));
}

#[test]
fn a_null_section_gives_the_defaults_and_the_fee_collector() {
    let (auth, mut ctx) = (auth(), ctx());
    auth.init_genesis(&mut ctx, &Value::Null).unwrap();
    let params = auth.params(&ctx).unwrap();
    assert_eq!((params.max_memo_characters, params.tx_sig_limit, params.tx_size_cost_per_byte), (256, 7, 10));
    assert_eq!(auth.kind(&ctx, &module_address(FEE_COLLECTOR)).unwrap(), Some(Kind::Module));
}

#[test]
fn an_exported_genesis_makes_the_same_state() {
    let (auth_a, mut a) = started();
    let mut alice = auth_a.account(&a, &address(ALICE)).unwrap().unwrap();
    (alice.pub_key, alice.sequence) = (Some(key()), 9);
    auth_a.save(&mut a, &alice).unwrap();
    auth_a.ensure_module(&mut a, "escrow", &[]).unwrap();
    auth_a.ensure(&mut a, &Address::new(&[9; 32]).unwrap()).unwrap();
    let exported = auth_a.export_genesis(&a).unwrap();
    let (auth_b, mut b) = (auth(), ctx());
    auth_b.init_genesis(&mut b, &exported).unwrap();
    assert_eq!(a.writes(), b.writes());
    assert_eq!(auth_b.broken(&b).unwrap(), Vec::<String>::new());
    assert_eq!(exported["accounts"][0]["@type"], "/cosmos.auth.v1beta1.BaseAccount");
}

#[test]
fn a_genesis_that_contradicts_itself_is_refused_by_name() {
    let mut twice = go_genesis();
    twice["accounts"][1]["address"] = json!(VALIDATOR);
    assert!(refusal(twice).contains(&format!("duplicate account {VALIDATOR}")));
    let mut zero = go_genesis();
    zero["params"]["tx_sig_limit"] = json!("0");
    assert!(refusal(zero).contains("params.tx_sig_limit: expected a number from 1, got 0"));
    let mut unknown = go_genesis();
    unknown["accounts"][0] = json!({"@type": "/cosmos.auth.v1beta1.Params"});
    assert!(refusal(unknown).contains("account type: expected /cosmos.auth.v1beta1.BaseAccount"));
    let mut alien = go_genesis();
    alien["accounts"][0]["address"] = json!("cosmos1xyz");
    assert!(refusal(alien).contains("account address \"cosmos1xyz\": decoding bech32 failed"));
    let module = json!({"@type": "/cosmos.auth.v1beta1.ModuleAccount", "base_account": {"address": ALICE}, "name": "escrow"});
    assert!(refusal(json!({"accounts": [module]})).contains("cannot be derived from the module name 'escrow'"));
    assert!(refusal(json!({"acounts": []})).contains("unknown field \"acounts\""));
    let collector = module_address(FEE_COLLECTOR).to_string();
    let last = json!({"accounts": [
        {"@type": "/cosmos.auth.v1beta1.ModuleAccount", "base_account": {"address": collector}, "name": FEE_COLLECTOR},
        {"@type": "/cosmos.auth.v1beta1.BaseAccount", "address": ALICE, "account_number": u64::MAX.to_string()},
    ]});
    assert!(refusal(last).contains("leaves no next number"));
}

#[test]
fn an_address_gets_its_account_and_number_once() {
    let (auth, mut ctx) = started();
    let new = Address::new(&[5; 20]).unwrap();
    assert_eq!(auth.account(&ctx, &new).unwrap(), None);
    assert_eq!(auth.ensure(&mut ctx, &new).unwrap(), Account::new(new, 3));
    assert_eq!(auth.ensure(&mut ctx, &new).unwrap().number, 3);
    assert_eq!(auth.create(&mut ctx, &Address::new(&[6; 20]).unwrap()).unwrap().number, 4);
}

#[test]
fn an_account_is_read_once_from_the_store() {
    let (auth, mut ctx) = started();
    ctx.begin(u64::MAX);
    auth.account(&ctx, &address(ALICE)).unwrap();
    let read = ctx.gas().used();
    assert!((1000..2000).contains(&read), "{read}");
}

#[test]
fn money_sent_to_a_module_s_address_before_it_existed_does_not_stop_the_module() {
    let (auth, mut ctx) = started();
    let escrow = module_address("escrow");
    auth.ensure(&mut ctx, &escrow).unwrap();
    assert_eq!(auth.kind(&ctx, &escrow).unwrap(), Some(Kind::User));
    assert_eq!(auth.ensure_module(&mut ctx, "escrow", &["burner"]).unwrap(), escrow);
    let account = auth.account(&ctx, &escrow).unwrap().unwrap();
    assert_eq!((account.number, account.module.unwrap().permissions), (3, vec!["burner".to_string()]));
    assert_eq!(
        auth.query_module_account_by_name(&ctx, QueryModuleAccountByNameRequest { name: "escrow".into() })
            .unwrap()
            .account
            .unwrap()
            .type_url,
        "/cosmos.auth.v1beta1.ModuleAccount"
    );
}

#[test]
fn a_missing_account_reads_as_clients_expect() {
    let (auth, ctx) = started();
    let nobody = Address::new(&[7; 20]).unwrap().to_string();
    let expected = Error::new("sdk", 22, format!("account {nobody} not found: key not found"));
    assert_eq!(auth.query_account(&ctx, QueryAccountRequest { address: nobody.clone() }), Err(expected.clone()));
    assert_eq!(auth.query_account_info(&ctx, QueryAccountInfoRequest { address: nobody }), Err(expected));
}

#[test]
fn an_unreadable_address_is_an_error_without_a_kind() {
    let (auth, ctx) = started();
    let error = auth.query_account(&ctx, QueryAccountRequest { address: "xyz".into() }).unwrap_err();
    assert_eq!((error.codespace, error.code), ("grpc", 2));
    assert!(error.log.starts_with("decoding bech32 failed"), "{}", error.log);
    let error = auth.query_account(&ctx, QueryAccountRequest { address: String::new() }).unwrap_err();
    assert_eq!((error.codespace, error.code), ("sdk", 18));
}

#[test]
fn accounts_are_found_by_address_number_and_module() {
    let (auth, mut ctx) = started();
    auth.ensure_module(&mut ctx, "bonded_tokens_pool", &[]).unwrap();
    let account = auth.query_account(&ctx, QueryAccountRequest { address: ALICE.into() }).unwrap().account.unwrap();
    let base = BaseAccount::decode(account.value.as_slice()).unwrap();
    assert_eq!((account.type_url.as_str(), base.address.as_str(), base.account_number), ("/cosmos.auth.v1beta1.BaseAccount", ALICE, 2));
    let info = auth.query_account_info(&ctx, QueryAccountInfoRequest { address: ALICE.into() }).unwrap().info.unwrap();
    assert_eq!(info, base);

    #[allow(deprecated)]
    let by_id = |id, account_id| auth.query_account_address_by_id(&ctx, QueryAccountAddressByIdRequest { id, account_id });
    assert_eq!(by_id(0, 2).unwrap().account_address, ALICE);
    assert_eq!(by_id(0, 99).unwrap_err().log, "account address not found with account number 99: key not found");
    assert_eq!(by_id(1, 0).unwrap_err().code, 18);

    let modules = auth.query_module_accounts(&ctx, QueryModuleAccountsRequest {}).unwrap().accounts;
    let names: Vec<_> = modules.iter().map(|m| ModuleAccount::decode(m.value.as_slice()).unwrap().name).collect();
    assert_eq!(names, ["bonded_tokens_pool", "fee_collector"]);
    let by_name = |name: &str| auth.query_module_account_by_name(&ctx, QueryModuleAccountByNameRequest { name: name.into() });
    assert_eq!(by_name("fee_collector").unwrap().account.as_ref(), modules.last());
    assert_eq!(by_name("mint").unwrap_err().log, "account mint not found: key not found");

    let request = PageRequest { limit: 2, ..Default::default() };
    let page = auth.query_accounts(&ctx, QueryAccountsRequest { pagination: Some(request) }).unwrap();
    assert_eq!((page.accounts.len(), page.pagination.unwrap().next_key.is_empty()), (2, false));
    let all = auth.query_accounts(&ctx, QueryAccountsRequest { pagination: None }).unwrap();
    assert_eq!((all.accounts.len(), all.pagination.unwrap().total), (4, 4));
}

#[test]
fn addresses_are_converted_both_ways() {
    let (auth, ctx) = started();
    assert_eq!(auth.query_bech32_prefix(&ctx, Bech32PrefixRequest {}).unwrap().bech32_prefix, "virtengine");
    let address_bytes =
        auth.query_address_string_to_bytes(&ctx, AddressStringToBytesRequest { address_string: ALICE.into() }).unwrap().address_bytes;
    let back = auth.query_address_bytes_to_string(&ctx, AddressBytesToStringRequest { address_bytes }).unwrap();
    assert_eq!(back.address_string, ALICE);
    assert!(auth.query_address_bytes_to_string(&ctx, AddressBytesToStringRequest { address_bytes: vec![1] }).is_err());
}

proptest! {
    #[test]
    fn an_account_comes_back_as_it_was_saved(raw: [u8; 20], sequence: u64, has_key: bool, is_module: bool) {
        let (auth, mut ctx) = started();
        let address = if is_module { auth.ensure_module(&mut ctx, "escrow", &["minter", "burner"]).unwrap() } else { Address::new(&raw).unwrap() };
        let mut account = auth.ensure(&mut ctx, &address).unwrap();
        account.sequence = sequence;
        account.pub_key = has_key.then(key);
        auth.save(&mut ctx, &account).unwrap();
        prop_assert_eq!(auth.account(&ctx, &address).unwrap(), Some(account));
        prop_assert_eq!(auth.kind(&ctx, &address).unwrap(), Some(if is_module { Kind::Module } else { Kind::User }));
    }
}
