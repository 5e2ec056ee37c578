//! Money over the memory store: rows, messages with their refusals and events, genesis and queries.
#![allow(clippy::disallowed_methods)] // tests are their own `app`

use auth::{Auth, FEE_COLLECTOR};
use bank::{Bank, parse_coins};
use kernel::{Address, BlockInfo, Ctx, Error, Gas, MemBase, Module, Registry, View, module_address};
use proto::cosmos::bank::v1beta1::*;
use proto::cosmos::base::query::v1beta1::PageRequest;
use proto::cosmos::base::v1beta1::Coin;
use serde_json::{Value, json};
use std::sync::Arc;

const ALICE: &str = "virtengine1ffnq3th3zv3p540v402ksfneenlkhh9zttvegk";
const BOB: &str = "virtengine1fkzl8u7hdj7mg6lh3xwrrxq55dzajeupaf9vm5";
const VALIDATOR: &str = "virtengine1s0wmz72kkz6pprnzdsjxnqhk2smw9ds82hudmy";

struct Chain {
    auth: Arc<Auth>,
    bank: Bank,
    ctx: Ctx,
}

fn empty() -> Chain {
    let mut registry = Registry::default();
    let auth = Arc::new(Auth::new(registry.claim("acc", 1)));
    let bank = Bank::new(registry.claim("bank", 2), auth.clone());
    let ctx = Ctx::new(View::new(Arc::new(MemBase::default()), BlockInfo::default(), Gas::unlimited()));
    Chain { auth, bank, ctx }
}

/// As Cosmos SDK's `add-genesis-account` leaves it.
fn genesis() -> Value {
    json!({
        "params": {"send_enabled": [], "default_send_enabled": true},
        "balances": [
            {"address": ALICE, "coins": [{"denom": "foo", "amount": "77"}, {"denom": "uve", "amount": "500000000"}]},
            {"address": VALIDATOR, "coins": [{"denom": "uve", "amount": "1000000000000"}]},
        ],
        "supply": [{"denom": "foo", "amount": "77"}, {"denom": "uve", "amount": "1000500000000"}],
        "denom_metadata": [{"description": "", "denom_units": [{"denom": "uve", "exponent": 0, "aliases": []},
            {"denom": "VE0", "exponent": 6, "aliases": ["ve"]}], "base": "uve", "display": "VE0", "name": "VirtEngine",
            "symbol": "VE", "uri": "", "uri_hash": ""}],
        "send_enabled": [{"denom": "foo", "enabled": true}],
    })
}

fn chain() -> Chain {
    let mut c = empty();
    let account = |a: &str| json!({"@type": "/cosmos.auth.v1beta1.BaseAccount", "address": a});
    c.auth.init_genesis(&mut c.ctx, &json!({"accounts": [account(VALIDATOR), account(ALICE)]})).unwrap();
    c.bank.init_genesis(&mut c.ctx, &genesis()).unwrap();
    c
}

fn coin(text: &str) -> Coin {
    let digits = text.bytes().take_while(|b| b.is_ascii_digit() || *b == b'-').count();
    Coin { amount: text[..digits].into(), denom: text[digits..].into() }
}

fn coins(text: &str) -> Vec<Coin> {
    text.split(',').filter(|t| !t.is_empty()).map(coin).collect()
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

impl Chain {
    fn send(&mut self, from: &str, to: &str, amount: &str) -> Result<(), Error> {
        let msg = MsgSend { from_address: from.into(), to_address: to.into(), amount: coins(amount) };
        let bank = &self.bank;
        self.ctx.atomic(|ctx| bank.msg_send(ctx, msg).map(|_| ()).map_err(Error::from))
    }

    fn multi_send(&mut self, from: &[(&str, &str)], to: &[(&str, &str)]) -> Result<(), Error> {
        let inputs = from.iter().map(|(a, c)| Input { address: a.to_string(), coins: coins(c) }).collect();
        let outputs = to.iter().map(|(a, c)| Output { address: a.to_string(), coins: coins(c) }).collect();
        let bank = &self.bank;
        self.ctx.atomic(|ctx| bank.msg_multi_send(ctx, MsgMultiSend { inputs, outputs }).map(|_| ()).map_err(Error::from))
    }

    fn balance(&self, of: &str, denom: &str) -> u128 {
        self.bank.balance(&self.ctx, &address(of), denom).unwrap()
    }

    /// Events as `kind key=value …`, one a line.
    fn events(&mut self) -> String {
        let line = |(kind, attributes): (String, Vec<(String, String)>)| {
            let attributes = attributes.iter().map(|(k, v)| format!(" {k}={v}")).collect::<String>();
            format!("{kind}{attributes}\n")
        };
        let text: String = self.ctx.take_events().into_iter().map(|e| line(e.flatten())).collect();
        text.replace(ALICE, "ALICE").replace(BOB, "BOB").replace(VALIDATOR, "VALIDATOR")
    }

    /// The refusal of a send from alice to bob, which must leave everything as it was.
    fn refused(&mut self, amount: &str) -> (&'static str, u32, String) {
        let before = self.ctx.writes();
        let error = self.send(ALICE, BOB, amount).unwrap_err();
        assert_eq!(self.ctx.writes(), before);
        assert_eq!(self.events(), "");
        (error.codespace, error.code, error.log)
    }
}

fn refused_genesis(change: impl FnOnce(&mut Value)) -> String {
    let (mut document, mut c) = (genesis(), empty());
    change(&mut document);
    c.bank.init_genesis(&mut c.ctx, &document).unwrap_err().log
}

#[test]
fn the_rows_are_those_of_cosmos_sdk() {
    let c = chain();
    let row = |key: &[&[u8]]| c.ctx.writes()[&[&[0, 2], key.concat().as_slice()].concat()].clone().unwrap();
    let alice = address(ALICE);
    assert_eq!(row(&[&[2, 20], alice.as_bytes(), b"uve"]), b"500000000");
    assert_eq!(row(&[&[2, 20], alice.as_bytes(), b"foo"]), b"77");
    assert_eq!(row(&[&[0], b"uve"]), b"1000500000000");
    assert_eq!(row(&[&[4], b"foo"]), [1]);
    let metadata = <Metadata as prost::Message>::decode(row(&[&[1], b"uve"]).as_slice()).unwrap();
    assert_eq!((metadata.base.as_str(), metadata.denom_units[1].exponent), ("uve", 6));
}

#[test]
fn a_send_moves_money_and_says_so_in_cosmos_sdk_s_words() {
    let mut c = chain();
    c.send(ALICE, BOB, "7foo,1000uve").unwrap();
    assert_eq!((c.balance(ALICE, "uve"), c.balance(ALICE, "foo"), c.balance(BOB, "uve"), c.balance(BOB, "foo")), (499999000, 70, 1000, 7));
    // As a Cosmos SDK v0.53 chain emits them.
    assert_eq!(
        c.events(),
        "coin_spent spender=ALICE amount=7foo,1000uve\n\
         coin_received receiver=BOB amount=7foo,1000uve\n\
         transfer recipient=BOB sender=ALICE amount=7foo,1000uve\n\
         message sender=ALICE\n"
    );
    assert_eq!(c.auth.account(&c.ctx, &address(BOB)).unwrap().unwrap().number, 3, "the receiver has an account now");
}

#[test]
fn a_module_s_send_announces_no_message() {
    let mut c = chain();
    let uve = parse_coins(&coins("5uve")).unwrap();
    c.bank.send(&mut c.ctx, &address(ALICE), &address(BOB), &uve).unwrap();
    assert_eq!(
        c.events(),
        "coin_spent spender=ALICE amount=5uve\ncoin_received receiver=BOB amount=5uve\ntransfer recipient=BOB sender=ALICE amount=5uve\n"
    );
}

#[test]
fn a_send_to_oneself_changes_nothing() {
    let mut c = chain();
    c.send(ALICE, ALICE, "500000000uve").unwrap();
    assert_eq!(c.balance(ALICE, "uve"), 500000000);
    assert_eq!(c.bank.broken(&c.ctx).unwrap(), Vec::<String>::new());
}

#[test]
fn a_spent_balance_leaves_no_row() {
    let mut c = chain();
    c.send(ALICE, BOB, "77foo").unwrap();
    let key = [&[0, 2, 2, 20], address(ALICE).as_bytes(), b"foo"].concat();
    assert_eq!(c.ctx.writes()[&key], None);
    let owners = c.bank.query_denom_owners(&c.ctx, QueryDenomOwnersRequest { denom: "foo".into(), pagination: None }).unwrap().denom_owners;
    assert_eq!(owners, [DenomOwner { address: BOB.into(), balance: Some(coin("77foo")) }]);
}

#[test]
fn more_than_there_is_cannot_be_sent() {
    let mut c = chain();
    let refused = c.refused("500000001uve");
    assert_eq!(refused, ("sdk", 5, "spendable balance 500000000uve is smaller than 500000001uve: insufficient funds".into()));
    let refused = c.refused("77foo,500000001uve");
    assert_eq!(refused.1, 5, "the first coin does not move either");
    assert_eq!(c.refused("1bar").2, "spendable balance 0bar is smaller than 1bar: insufficient funds");
}

#[test]
fn malformed_coins_are_refused_by_what_is_wrong() {
    let mut c = chain();
    for (amount, expected) in [
        ("0uve", "coin 0uve amount is not positive: 0uve: invalid coins"),
        ("-5uve", "coin -5uve amount is not positive: -5uve: invalid coins"),
        ("5u!", "invalid denom: u!: 5u!: invalid coins"),
        ("5", "invalid denom: : 5: invalid coins"),
        ("5uve,5uve", "duplicate denomination uve: 5uve,5uve: invalid coins"),
        ("5uve,5foo", "denomination foo is not sorted: 5uve,5foo: invalid coins"),
        ("05uve", "amount of uve: expected decimal digits below 2^128, got \"05\": 05uve: invalid coins"),
        ("", "amount is empty: invalid coins"),
        (
            "340282366920938463463374607431768211456uve",
            "amount of uve: expected decimal digits below 2^128, got \"340282366920938463463374607431768211456\": \
             340282366920938463463374607431768211456uve: invalid coins",
        ),
    ] {
        assert_eq!(c.refused(amount), ("sdk", 10, expected.into()));
    }
    let longest = "a".repeat(128);
    assert!(parse_coins(&[Coin { denom: longest.clone(), amount: "1".into() }]).is_ok());
    assert!(parse_coins(&[Coin { denom: longest + "a", amount: "1".into() }]).is_err());
    for amount in ["", "+1", " 1", "1e3", "１"] {
        assert!(parse_coins(&[Coin { denom: "uve".into(), amount: amount.into() }]).is_err(), "{amount:?}");
    }
}

#[test]
fn an_unreadable_address_is_refused_by_field() {
    let mut c = chain();
    let error = c.send("xyz", BOB, "5uve").unwrap_err();
    assert_eq!((error.codespace, error.code), ("sdk", 7));
    assert!(error.log.starts_with("invalid from address: decoding bech32 failed"), "{}", error.log);
    assert_eq!(c.send(ALICE, "", "5uve").unwrap_err().log, "invalid to address: empty address string is not allowed: invalid address");
}

#[test]
fn a_module_s_account_receives_nothing_from_users_asa_2024_003() {
    let mut c = chain();
    let collector = module_address(FEE_COLLECTOR).to_string();
    let expected = Error::new("sdk", 4, format!("{collector} is not allowed to receive funds: unauthorized"));
    assert_eq!(c.send(ALICE, &collector, "5uve"), Err(expected.clone()));
    assert_eq!(c.multi_send(&[(ALICE, "5uve")], &[(&collector, "5uve")]), Err(expected));
    let uve = parse_coins(&coins("5uve")).unwrap();
    c.bank.send(&mut c.ctx, &address(ALICE), &module_address(FEE_COLLECTOR), &uve).unwrap();
    assert_eq!(c.balance(&collector, "uve"), 5, "fees and modules may");
}

#[test]
fn a_switched_off_denomination_stays_where_it_is() {
    let mut c = empty();
    let mut document = genesis();
    document["params"]["default_send_enabled"] = json!(false);
    c.bank.init_genesis(&mut c.ctx, &document).unwrap();
    let expected = "uve transfers are currently disabled: send transactions are disabled";
    assert_eq!(c.send(ALICE, BOB, "5uve"), Err(Error::new("bank", 5, expected)));
    c.send(ALICE, BOB, "5foo").unwrap();
    let uve = parse_coins(&coins("5uve")).unwrap();
    c.bank.send(&mut c.ctx, &address(ALICE), &address(BOB), &uve).unwrap();
    let params = c.bank.query_params(&c.ctx, QueryParamsRequest {}).unwrap().params.unwrap();
    assert!(!params.default_send_enabled);
}

#[test]
fn one_sender_pays_many_receivers() {
    let mut c = chain();
    c.multi_send(&[(ALICE, "10uve")], &[(BOB, "5uve"), (VALIDATOR, "5uve")]).unwrap();
    assert_eq!((c.balance(BOB, "uve"), c.balance(VALIDATOR, "uve")), (5, 1000000000005));
    // As a Cosmos SDK v0.53 chain emits them.
    assert_eq!(
        c.events(),
        "message sender=ALICE\n\
         coin_spent spender=ALICE amount=10uve\n\
         coin_received receiver=BOB amount=5uve\n\
         transfer recipient=BOB sender=ALICE amount=5uve\n\
         coin_received receiver=VALIDATOR amount=5uve\n\
         transfer recipient=VALIDATOR sender=ALICE amount=5uve\n"
    );
}

#[test]
fn a_multi_send_that_does_not_add_up_is_refused() {
    let mut c = chain();
    let mut refused = |from: &[(&str, &str)], to: &[(&str, &str)]| {
        let before = c.ctx.writes();
        let error = c.multi_send(from, to).unwrap_err();
        assert_eq!(c.ctx.writes(), before);
        (error.codespace, error.code)
    };
    assert_eq!(refused(&[], &[(BOB, "5uve")]), ("bank", 2));
    assert_eq!(refused(&[(ALICE, "5uve")], &[]), ("bank", 3));
    assert_eq!(refused(&[(ALICE, "5uve")], &[(BOB, "6uve")]), ("bank", 4));
    assert_eq!(refused(&[(ALICE, "5uve")], &[(BOB, "5uve"), (BOB, "1foo")]), ("bank", 4));
    assert_eq!(refused(&[(ALICE, "5uve"), (BOB, "5uve")], &[(BOB, "10uve")]), ("bank", 9));
    assert_eq!(refused(&[(ALICE, "5uve")], &[(BOB, "5uve"), ("xyz", "1uve")]), ("sdk", 7));
    assert_eq!(refused(&[(ALICE, "500000001uve")], &[(BOB, "500000001uve")]), ("sdk", 5));
    let most = format!("{}uve", u128::MAX);
    assert_eq!(refused(&[(ALICE, "5uve")], &[(BOB, &most), (BOB, &most)]), ("sdk", 10));
}

#[test]
fn no_supply_passes_the_largest_amount_ghsa_p22h() {
    let mut c = chain();
    let most = [("huge".to_string(), u128::MAX)];
    c.bank.genesis_credit(&mut c.ctx, &address(ALICE), &most).unwrap();
    let before = c.ctx.writes();
    let error: Error = c.bank.genesis_credit(&mut c.ctx, &address(BOB), &[("huge".to_string(), 1)]).unwrap_err().into();
    assert_eq!(error, Error::new("sdk", 10, "the amount of huge exceeds 2^128 - 1: invalid coins"));
    assert_eq!(c.ctx.writes(), before);
    c.send(ALICE, BOB, &format!("{}huge", u128::MAX)).unwrap();
    assert_eq!((c.balance(BOB, "huge"), c.bank.supply(&c.ctx, "huge").unwrap()), (u128::MAX, u128::MAX));
    assert_eq!(c.bank.broken(&c.ctx).unwrap(), Vec::<String>::new());

    let refused = refused_genesis(|g| {
        g["supply"] = json!([]);
        g["balances"][0]["coins"][1]["amount"] = json!(u128::MAX.to_string());
    });
    assert_eq!(refused, "the amount of uve exceeds 2^128 - 1: invalid coins");
}

#[test]
fn a_genesis_that_contradicts_itself_is_refused_by_name() {
    assert_eq!(
        refused_genesis(|g| g["supply"][0]["amount"] = json!("78")),
        "genesis: bank: genesis supply is incorrect, expected 78foo,1000500000000uve, got 77foo,1000500000000uve: invalid request"
    );
    assert!(refused_genesis(|g| g["balances"][1]["address"] = json!(ALICE)).contains(&format!("balance of {ALICE}: duplicate")));
    assert!(refused_genesis(|g| g["balances"][0]["coins"][0]["amount"] = json!("0")).contains("coin 0foo amount is not positive"));
    assert!(refused_genesis(|g| g["denom_metadata"][0]["display"] = json!("VE1")).contains("display denom 'VE1'"));
    assert!(refused_genesis(|g| g["denom_metadata"][0]["symbol"] = json!("")).contains("symbol field cannot be blank"));
    assert!(refused_genesis(|g| g["params"]["send_enabled"] = json!([{"denom": "uve", "enabled": true}])).contains("in params"));
    assert!(refused_genesis(|g| g["send_enabled"] = json!([{"denom": "foo"}, {"denom": "foo"}])).contains("duplicate send enabled"));
}

#[test]
fn a_genesis_without_supply_or_at_all_is_fine() {
    let mut c = empty();
    let mut document = genesis();
    document["supply"] = json!([]);
    c.bank.init_genesis(&mut c.ctx, &document).unwrap();
    assert_eq!(c.bank.supply(&c.ctx, "uve").unwrap(), 1000500000000);
    let mut c = empty();
    c.bank.init_genesis(&mut c.ctx, &Value::Null).unwrap();
    assert!(!c.ctx.writes().is_empty(), "the store can be proved");
}

#[test]
fn an_exported_genesis_makes_the_same_state() {
    let mut a = empty();
    a.bank.init_genesis(&mut a.ctx, &genesis()).unwrap();
    a.bank.genesis_credit(&mut a.ctx, &Address::new(&[9; 32]).unwrap(), &[("uve".into(), 5), ("zzz".into(), 6)]).unwrap();
    let exported = a.bank.export_genesis(&a.ctx).unwrap();
    let mut b = empty();
    b.bank.init_genesis(&mut b.ctx, &exported).unwrap();
    assert_eq!(a.ctx.writes(), b.ctx.writes());
    assert_eq!(b.bank.export_genesis(&b.ctx).unwrap(), exported);
}

#[test]
fn balances_are_queried_as_clients_do() {
    let c = chain();
    let balance = |a: &str, d: &str| c.bank.query_balance(&c.ctx, QueryBalanceRequest { address: a.into(), denom: d.into() });
    assert_eq!(balance(ALICE, "uve").unwrap().balance, Some(coin("500000000uve")));
    assert_eq!(balance(BOB, "uve").unwrap().balance, Some(coin("0uve")));
    assert_eq!(balance(ALICE, "!").unwrap_err(), Error::new("sdk", 18, "invalid denom: !: invalid request"));

    let all = |a: &str, resolve_denom, pagination| {
        c.bank.query_all_balances(&c.ctx, QueryAllBalancesRequest { address: a.into(), pagination, resolve_denom }).unwrap()
    };
    assert_eq!(all(ALICE, false, None).balances, coins("77foo,500000000uve"));
    assert_eq!(all(ALICE, true, None).balances[1], Coin { denom: "VE0".into(), amount: "500000000".into() });
    assert_eq!(all(BOB, false, None).balances, []);
    let first = all(ALICE, false, Some(PageRequest { limit: 1, ..Default::default() }));
    let key = first.pagination.unwrap().next_key;
    let second = all(ALICE, false, Some(PageRequest { limit: 1, key, ..Default::default() }));
    assert_eq!((first.balances, second.balances), (coins("77foo"), coins("500000000uve")));
    assert!(second.pagination.unwrap().next_key.is_empty());

    let spendable =
        |a: &str| c.bank.query_spendable_balances(&c.ctx, QuerySpendableBalancesRequest { address: a.into(), pagination: None });
    assert_eq!(spendable(ALICE).unwrap().balances, coins("77foo,500000000uve"));
    let error = spendable("test").unwrap_err();
    assert_eq!((error.codespace, error.code), ("sdk", 18));
    assert!(error.log.starts_with("invalid address: decoding bech32 failed"), "{}", error.log);
    let request = QuerySpendableBalanceByDenomRequest { address: ALICE.into(), denom: "foo".into() };
    assert_eq!(c.bank.query_spendable_balance_by_denom(&c.ctx, request).unwrap().balance, Some(coin("77foo")));
    let both = PageRequest { offset: 1, key: vec![1], ..Default::default() };
    let request = QueryAllBalancesRequest { address: ALICE.into(), pagination: Some(both), resolve_denom: false };
    assert_eq!(c.bank.query_all_balances(&c.ctx, request).unwrap_err().code, 18);
}

#[test]
fn supply_metadata_owners_and_switches_are_queried_as_clients_do() {
    let c = chain();
    assert_eq!(
        c.bank.query_total_supply(&c.ctx, QueryTotalSupplyRequest { pagination: None }).unwrap().supply,
        coins("77foo,1000500000000uve")
    );
    let supply = |d: &str| c.bank.query_supply_of(&c.ctx, QuerySupplyOfRequest { denom: d.into() }).unwrap().amount.unwrap();
    assert_eq!((supply("uve"), supply("bar")), (coin("1000500000000uve"), coin("0bar")));

    let metadata = |d: &str| c.bank.query_denom_metadata(&c.ctx, QueryDenomMetadataRequest { denom: d.into() });
    assert_eq!(metadata("uve").unwrap().metadata.unwrap().symbol, "VE");
    assert_eq!(metadata("foo").unwrap_err(), Error::new("sdk", 22, "client metadata for denom foo: key not found"));
    let by_query = QueryDenomMetadataByQueryStringRequest { denom: "uve".into() };
    assert_eq!(c.bank.query_denom_metadata_by_query_string(&c.ctx, by_query).unwrap().metadata, metadata("uve").unwrap().metadata);
    assert_eq!(c.bank.query_denoms_metadata(&c.ctx, QueryDenomsMetadataRequest { pagination: None }).unwrap().metadatas.len(), 1);

    let request = QueryDenomOwnersByQueryRequest { denom: "uve".into(), pagination: None };
    let owners = c.bank.query_denom_owners_by_query(&c.ctx, request).unwrap();
    assert_eq!(owners.denom_owners.iter().map(|o| o.address.as_str()).collect::<Vec<_>>(), [ALICE, VALIDATOR]);
    assert_eq!(owners.pagination.unwrap().total, 2);

    let switches = |denoms: &[&str]| {
        let denoms = denoms.iter().map(|d| d.to_string()).collect();
        c.bank.query_send_enabled(&c.ctx, QuerySendEnabledRequest { denoms, pagination: None }).unwrap()
    };
    assert_eq!(switches(&[]).send_enabled, [SendEnabled { denom: "foo".into(), enabled: true }]);
    assert_eq!(switches(&["foo", "uve"]).send_enabled.len(), 1);
    assert_eq!(switches(&["uve"]).send_enabled, []);
}

#[test]
fn a_broken_supply_is_noticed() {
    let mut c = chain();
    assert_eq!(c.bank.broken(&c.ctx).unwrap(), Vec::<String>::new());
    let mut registry = Registry::default();
    let other = Bank::new(registry.claim("bank", 2), c.auth.clone());
    other.init_genesis(&mut c.ctx, &json!({"balances": [{"address": BOB, "coins": [{"denom": "uve", "amount": "1"}]}]})).unwrap();
    assert_eq!(c.bank.broken(&c.ctx).unwrap(), ["the supply of uve is 1, its balances add up to Some(1000500000001)"]);
}
