//! Validators over the memory store with the real auth and bank: genesis of a Cosmos SDK chain, messages with their
//! refusals, who makes blocks, and queries.
#![allow(clippy::disallowed_methods)] // tests are their own `app`

use auth::Auth;
use bank::Bank;
use kernel::{Address, BlockInfo, Ctx, Error, Gas, MemBase, Module, Registry, View, module_address};
use prost::Message;
use proto::Any;
use proto::cosmos::base::v1beta1::Coin;
use proto::cosmos::staking::v1beta1::*;
use serde_json::{Value, json};
use staking::types::Dec;
use staking::{BONDED_POOL, NOT_BONDED_POOL, Staking};
use std::sync::Arc;

const VALIDATOR: &str = "virtengine1s0wmz72kkz6pprnzdsjxnqhk2smw9ds82hudmy";
const OPERATOR: &str = "virtenginevaloper1s0wmz72kkz6pprnzdsjxnqhk2smw9ds8xkxz3d";
const MS: u64 = 1;
const DAY: u64 = 24 * 3600 * 1000 * MS;

struct Chain {
    auth: Arc<Auth>,
    bank: Arc<Bank>,
    staking: Staking,
    base: MemBase,
    ctx: Ctx,
}

fn ctx(base: &MemBase, height: u64, time_ms: u64) -> Ctx {
    let block = BlockInfo { chain_id: "test-1".into(), height, time_ms };
    Ctx::new(View::new(Arc::new(base.clone()), block, Gas::unlimited()))
}

impl Chain {
    fn new(genesis: &Value) -> Result<Self, Error> {
        let mut registry = Registry::default();
        let auth = Arc::new(Auth::new(registry.claim("acc", 1)));
        let bank = Arc::new(Bank::new(registry.claim("bank", 2), auth.clone()));
        let staking = Staking::new(registry.claim("staking", 3), auth.clone(), bank.clone());
        let base = MemBase::default();
        let mut ctx = ctx(&base, 0, 1_000);
        auth.init_genesis(&mut ctx, &genesis["auth"])?;
        bank.init_genesis(&mut ctx, &genesis["bank"])?;
        staking.init_genesis(&mut ctx, &genesis["staking"])?;
        Ok(Chain { auth, bank, staking, base, ctx })
    }

    fn create(&mut self, msg: MsgCreateValidator) -> Result<(), Error> {
        let staking = &self.staking;
        self.ctx.atomic(|ctx| staking.create_validator(ctx, msg).map(|_| ()).map_err(Error::from))
    }

    /// Ends the block: what the consensus engine is told, as (first byte of the key, power).
    fn end(&mut self) -> Vec<(u8, i64)> {
        self.staking.end_block(&mut self.ctx).unwrap();
        assert_eq!(self.staking.broken(&self.ctx).unwrap(), Vec::<String>::new());
        assert_eq!(self.bank.broken(&self.ctx).unwrap(), Vec::<String>::new());
        let updates = self.staking.validator_updates(&self.ctx).unwrap();
        updates.into_iter().map(|(key, power)| (key[0], power)).collect()
    }

    fn next_block(&mut self, after_ms: u64) {
        let (height, time) = (self.ctx.height() + 1, self.ctx.time() + after_ms);
        let old = std::mem::replace(&mut self.ctx, ctx(&self.base, height, time));
        self.base.apply(old.into_writes());
        self.ctx = ctx(&self.base, height, time);
    }

    fn pools(&self) -> (u128, u128) {
        let pool = |name| self.bank.balance(&self.ctx, &module_address(name), "uve").unwrap();
        (pool(BONDED_POOL), pool(NOT_BONDED_POOL))
    }

    fn status(&self, n: u8) -> BondStatus {
        self.staking.validator(&self.ctx, &operator(n)).unwrap().unwrap().status()
    }

    fn events(&mut self) -> String {
        let line = |(kind, attributes): (String, Vec<(String, String)>)| {
            let attributes = attributes.iter().map(|(k, v)| format!(" {k}={v}")).collect::<String>();
            format!("{kind}{attributes}\n")
        };
        self.ctx.take_events().into_iter().map(|e| line(e.flatten())).collect()
    }
}

fn operator(n: u8) -> Address {
    Address::new(&[n; 20]).unwrap()
}

/// Three funded users, at most two validators.
fn genesis() -> Value {
    let balance = |n| json!({"address": operator(n).to_string(), "coins": [{"denom": "foo", "amount": "9"}, {"denom": "uve", "amount": "1000000000"}]});
    json!({
        "bank": {"balances": [balance(1), balance(2), balance(3)]},
        "staking": {"params": {"unbonding_time": "1814400s", "max_validators": 2, "max_entries": 7, "historical_entries": 10000,
            "bond_denom": "uve", "min_commission_rate": "0.050000000000000000"}},
    })
}

fn chain() -> Chain {
    Chain::new(&genesis()).unwrap()
}

fn key(n: u8) -> Option<Any> {
    let key = proto::cosmos::crypto::ed25519::PubKey { key: vec![n; 32] };
    Some(Any { type_url: "/cosmos.crypto.ed25519.PubKey".into(), value: key.encode_to_vec() })
}

fn percent(n: u64) -> String {
    (n * 10_000_000_000_000_000).to_string()
}

fn uve(amount: u128) -> Option<Coin> {
    Some(Coin { denom: "uve".into(), amount: amount.to_string() })
}

fn create(n: u8, stake: u128) -> MsgCreateValidator {
    #[allow(deprecated)]
    MsgCreateValidator {
        description: Some(Description { moniker: format!("node{n}"), ..Default::default() }),
        commission: Some(CommissionRates { rate: percent(10), max_rate: percent(20), max_change_rate: percent(1) }),
        min_self_delegation: "1".into(),
        delegator_address: String::new(),
        validator_address: operator(n).to_validator(),
        pubkey: key(n),
        value: uve(stake),
    }
}

fn go_genesis() -> Value {
    serde_json::from_str::<Value>(include_str!("go-genesis.json")).unwrap()["app_state"].take()
}

/// The chain that Cosmos SDK's `init`, `add-genesis-account`, `gentx` and `collect-gentxs` describe.
fn go_chain() -> Chain {
    let state = go_genesis();
    let mut c = Chain::new(&state).unwrap();
    let mut msg = state["genutil"]["gen_txs"][0]["body"]["messages"][0].clone();
    msg.as_object_mut().unwrap().remove("@type");
    c.create(proto::json::from_json(&msg).unwrap()).unwrap();
    c
}

#[test]
fn a_genesis_made_by_cosmos_sdk_s_commands_gives_the_state_that_cosmos_sdk_makes_of_it() {
    let mut c = go_chain();
    assert_eq!(c.end(), [(0xe1, 5000)]);
    assert_eq!(c.pools(), (5_000_000_000, 0));
    assert_eq!(c.bank.balance(&c.ctx, &VALIDATOR.parse().unwrap(), "uve").unwrap(), 995_000_000_000);

    // Rows read from a Cosmos SDK v0.53 chain; only the time of genesis differs.
    let row = |key: &str| c.ctx.writes()[&bytes(&format!("0003{key}"))].clone().unwrap();
    let ours = Validator::decode(row("211483ddb17956b0b4108e626c246982f65436e2b607").as_slice()).unwrap();
    let mut theirs = Validator::decode(
        bytes(
            "0a3876697274656e67696e6576616c6f706572317330776d7a37326b6b7a367070726e7a64736a786e71686b32736d7739647338786b787a\
             336412430a1d2f636f736d6f732e63727970746f2e656432353531392e5075624b657912220a20e1f941953c5aa3f66916ecc98836eaaf99\
             30966d9f6823d8ea0aac805a91698920032a0a35303030303030303030321c35303030303030303030303030303030303030303030303030\
             3030303a070a056e6f6465304a00524b0a3b0a12313030303030303030303030303030303030121232303030303030303030303030303030\
             30301a113130303030303030303030303030303030120c0885ac86d80610d6989a8f015a0131",
        )
        .as_slice(),
    )
    .unwrap();
    theirs.commission.as_mut().unwrap().update_time = ours.commission.as_ref().unwrap().update_time;
    assert_eq!(ours, theirs);
    assert_eq!(
        row("311483ddb17956b0b4108e626c246982f65436e2b6071483ddb17956b0b4108e626c246982f65436e2b607"),
        bytes(
            "0a3176697274656e67696e65317330776d7a37326b6b7a367070726e7a64736a786e71686b32736d7739647338326875646d79123876697274\
             656e67696e6576616c6f706572317330776d7a37326b6b7a367070726e7a64736a786e71686b32736d7739647338786b787a33641a1c3530\
             3030303030303030303030303030303030303030303030303030"
        )
    );
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

#[test]
fn module_accounts_get_their_numbers_after_the_users() {
    let c = go_chain();
    let number = |a: Address| c.auth.account(&c.ctx, &a).unwrap().unwrap().number;
    assert_eq!(number(VALIDATOR.parse().unwrap()), 1);
    assert_eq!((number(module_address(BONDED_POOL)), number(module_address(NOT_BONDED_POOL))), (3, 4));
}

#[test]
fn a_new_validator_s_stake_moves_and_is_announced_as_cosmos_sdk_does() {
    let mut c = chain();
    c.create(create(1, 5_000_000)).unwrap();
    let (delegator, operator, not_bonded, bonded) =
        (operator(1), operator(1).to_validator(), module_address(NOT_BONDED_POOL), module_address(BONDED_POOL));
    assert_eq!(
        c.events(),
        format!(
            "coin_spent spender={delegator} amount=5000000uve\n\
             coin_received receiver={not_bonded} amount=5000000uve\n\
             create_validator validator={operator} amount=5000000uve\n"
        )
    );
    assert_eq!((c.pools(), c.status(1)), ((0, 5_000_000), BondStatus::Unbonded));
    assert_eq!(c.end(), [(1, 5)]);
    assert_eq!((c.pools(), c.status(1)), ((5_000_000, 0), BondStatus::Bonded));
    assert_eq!(
        c.events(),
        format!(
            "coin_spent spender={not_bonded} amount=5000000uve\n\
             coin_received receiver={bonded} amount=5000000uve\n\
             transfer recipient={bonded} sender={not_bonded} amount=5000000uve\n\
             message sender={not_bonded}\n"
        )
    );
}

#[test]
fn a_block_in_which_nothing_changed_tells_the_engine_nothing_and_writes_nothing() {
    let mut c = chain();
    c.create(create(1, 5_000_000)).unwrap();
    assert_eq!(c.end().len(), 1);
    c.next_block(1000);
    assert_eq!(c.end(), []);
    c.next_block(1000);
    assert_eq!(c.end(), []);
    assert!(c.ctx.writes().is_empty());
}

#[test]
fn only_the_strongest_make_blocks_and_a_displaced_one_is_liable_for_the_unbonding_time() {
    let mut c = chain();
    c.create(create(1, 5_000_000)).unwrap();
    c.create(create(2, 7_000_000)).unwrap();
    assert_eq!(c.end(), [(2, 7), (1, 5)]);
    c.next_block(1000);
    c.create(create(3, 6_999_999)).unwrap();
    assert_eq!(c.end(), [(3, 6), (1, 0)]);
    assert_eq!((c.pools(), c.status(1)), ((13_999_999, 5_000_000), BondStatus::Unbonding));
    c.next_block(21 * DAY - 1);
    assert_eq!((c.end(), c.status(1)), (vec![], BondStatus::Unbonding));
    c.next_block(1);
    assert_eq!((c.end(), c.status(1)), (vec![], BondStatus::Unbonded));
}

#[test]
fn a_validator_without_power_is_not_told_to_the_engine() {
    let mut c = chain();
    c.create(create(1, 999_999)).unwrap();
    assert_eq!(c.end(), []);
    assert_eq!((c.pools(), c.status(1)), ((0, 999_999), BondStatus::Unbonded));
}

#[test]
fn equal_powers_are_ordered_by_operator() {
    let mut c = chain();
    for n in [3, 2, 1] {
        c.create(create(n, 5_000_000)).unwrap();
    }
    assert_eq!(c.end(), [(1, 5), (2, 5)]);
}

#[test]
fn a_malformed_validator_is_refused_by_name_and_keeps_its_money() {
    type Change = fn(&mut MsgCreateValidator);
    let cases: [(Change, &str, u32, &str); 27] = [
        (
            |m| m.validator_address = operator(1).to_string(),
            "sdk",
            7,
            "invalid validator address: invalid Bech32 prefix; expected virtenginevaloper, got virtengine",
        ),
        (|m| m.pubkey = None, "staking", 39, "empty validator public key"),
        (
            |m| m.pubkey.as_mut().unwrap().type_url = "/cosmos.crypto.secp256k1.PubKey".into(),
            "staking",
            6,
            "got: /cosmos.crypto.secp256k1.PubKey, expected: [ed25519]",
        ),
        (|m| m.pubkey.as_mut().unwrap().value = vec![10, 1, 7], "sdk", 8, "pubkey: expected 32 bytes, got 1"),
        (|m| m.pubkey.as_mut().unwrap().value = vec![255], "sdk", 8, "pubkey: "),
        (|m| m.value = None, "sdk", 18, "value: expected a coin, got none"),
        (|m| m.value = uve(0), "sdk", 18, "invalid delegation amount: coin 0uve amount is not positive"),
        (|m| m.value.as_mut().unwrap().amount = "-5".into(), "sdk", 18, "invalid delegation amount"),
        (|m| m.value.as_mut().unwrap().denom = "foo".into(), "sdk", 18, "invalid coin denomination: got foo, expected uve"),
        (|m| m.value = uve(u128::MAX), "sdk", 18, "value.amount: 340282366920938463463374607431768211455 is too much to stake"),
        (|m| m.value = uve(1_000_000_001), "sdk", 5, "failed to delegate; 1000000000uve is smaller than 1000000001uve: insufficient funds"),
        (|m| m.description = None, "sdk", 18, "empty description"),
        (|m| m.description = Some(Description::default()), "sdk", 18, "description.moniker: expected a name, got none"),
        (|m| m.description.as_mut().unwrap().moniker = "m".repeat(71), "sdk", 18, "invalid moniker length; got: 71, max: 70"),
        (|m| m.description.as_mut().unwrap().identity = "m".repeat(3001), "sdk", 18, "invalid identity length; got: 3001, max: 3000"),
        (|m| m.description.as_mut().unwrap().website = "m".repeat(141), "sdk", 18, "invalid website length; got: 141, max: 140"),
        (
            |m| m.description.as_mut().unwrap().security_contact = "m".repeat(141),
            "sdk",
            18,
            "invalid security contact length; got: 141, max: 140",
        ),
        (|m| m.description.as_mut().unwrap().details = "m".repeat(281), "sdk", 18, "invalid details length; got: 281, max: 280"),
        (|m| m.commission = None, "sdk", 18, "empty commission"),
        (
            |m| m.commission.as_mut().unwrap().rate = "0.1".into(),
            "sdk",
            18,
            "commission.rate: expected a decimal in units of 10^-18, got \"0.1\"",
        ),
        (|m| m.commission.as_mut().unwrap().rate = "-1".into(), "staking", 9, "commission must be positive"),
        (|m| m.commission.as_mut().unwrap().max_rate = percent(101), "staking", 10, "commission cannot be more than 100%"),
        (|m| m.commission.as_mut().unwrap().rate = percent(21), "staking", 11, "commission cannot be more than the max rate"),
        (
            |m| m.commission.as_mut().unwrap().max_change_rate = percent(21),
            "staking",
            14,
            "commission change rate cannot be more than the max rate",
        ),
        (
            |m| m.commission.as_mut().unwrap().rate = percent(4),
            "staking",
            40,
            "cannot set validator commission to less than minimum rate of 0.050000000000000000",
        ),
        (|m| m.min_self_delegation = "0".into(), "sdk", 18, "minimum self delegation must be a positive integer"),
        (
            |m| m.min_self_delegation = "5000001".into(),
            "staking",
            16,
            "validator's self delegation must be greater than their minimum self delegation",
        ),
    ];
    for (change, codespace, code, expected) in cases {
        let (mut c, mut msg) = (chain(), create(1, 5_000_000));
        let before = c.ctx.writes();
        change(&mut msg);
        let error = c.create(msg).unwrap_err();
        assert!(error.log.starts_with(expected), "{} does not start with {expected}", error.log);
        assert_eq!((error.codespace, error.code), (codespace, code), "{}", error.log);
        assert_eq!(c.ctx.writes(), before, "{expected}");
        assert_eq!(c.events(), "", "{expected}");
    }
}

#[test]
fn an_operator_and_a_key_make_one_validator() {
    let mut c = chain();
    c.create(create(1, 5_000_000)).unwrap();
    let mut again = create(1, 5_000_000);
    again.pubkey = key(9);
    assert_eq!(c.create(again).unwrap_err().code, 4);
    let mut same_key = create(2, 5_000_000);
    same_key.pubkey = key(1);
    assert_eq!(c.create(same_key).unwrap_err().code, 5);
    let consensus = staking::types::consensus_address_of(&[1; 32]);
    assert_eq!(c.staking.operator_of(&c.ctx, &consensus).unwrap(), Some(operator(1)));
}

#[test]
fn an_exported_genesis_makes_the_same_validators() {
    let mut a = chain();
    for (n, stake) in [(1, 5_000_000), (2, 7_000_000), (3, 6_000_000)] {
        a.create(create(n, stake)).unwrap();
    }
    a.end();
    let export = |c: &Chain| {
        let modules: [&dyn Module; 3] = [&*c.auth, &*c.bank, &c.staking];
        Value::Object(modules.iter().map(|m| (m.name().to_string(), m.export_genesis(&c.ctx).unwrap())).collect())
    };
    let exported = export(&a);
    assert_eq!(exported["staking"]["last_total_power"], "13");
    assert_eq!(exported["staking"]["exported"], true);
    assert_eq!(exported["staking"]["params"]["unbonding_time"], "1814400s");
    assert_eq!(exported["staking"]["delegations"][0]["shares"], "5000000.000000000000000000");
    let mut b = Chain::new(&exported).unwrap();
    assert_eq!(b.end(), [(2, 7), (3, 6)], "the engine is told all");
    assert_eq!(export(&b), exported);
    assert_eq!(a.ctx.writes(), b.ctx.writes());
}

#[test]
fn a_genesis_that_contradicts_itself_is_refused_by_name() {
    let mut a = chain();
    a.create(create(1, 5_000_000)).unwrap();
    a.create(create(2, 7_000_000)).unwrap();
    a.end();
    let staking = a.staking.export_genesis(&a.ctx).unwrap();
    let document =
        json!({"auth": a.auth.export_genesis(&a.ctx).unwrap(), "bank": a.bank.export_genesis(&a.ctx).unwrap(), "staking": staking});
    Chain::new(&document).map(|_| ()).unwrap();
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 14] = [
        (|s| s["params"]["max_validators"] = json!(0), "params.max_validators"),
        (|s| s["params"]["unbonding_time"] = json!("0s"), "params.unbonding_time"),
        (|s| s["params"]["bond_denom"] = json!("!"), "params.bond_denom: invalid denom: !"),
        (|s| s["params"]["min_commission_rate"] = json!("1.5"), "params.min_commission_rate"),
        (|s| s["validators"][0]["tokens"] = json!("6000000"), "delegator_shares: expected 6000000"),
        (
            |s| s["validators"][0]["status"] = json!("BOND_STATUS_UNBONDED"),
            "bonded_tokens_pool holds 12000000uve, its validators have 7000000",
        ),
        (|s| s["validators"][0]["jailed"] = json!(true), "bonded and jailed"),
        (|s| s["validators"][1] = s["validators"][0].clone(), "duplicate operator"),
        (|s| s["validators"][1]["consensus_pubkey"] = s["validators"][0]["consensus_pubkey"].clone(), "duplicate consensus_pubkey"),
        (|s| s["delegations"][0]["shares"] = json!("5000001.0"), "more shares than the validator has"),
        (|s| s["delegations"] = json!([]), "of its shares belong to no delegation"),
        (|s| s["last_validator_powers"] = json!([]), "last_validator_powers: expected one for each bonded validator"),
        (|s| s["params"]["max_validators"] = json!(1), "is bonded and not among the strongest"),
        (|s| s["redelegations"] = json!([{}]), "redelegations are not supported"),
    ];
    for (change, expected) in cases {
        let mut document = document.clone();
        change(&mut document["staking"]);
        let error = Chain::new(&document).map(|_| ()).unwrap_err();
        assert!(error.log.contains(expected), "{} does not contain {expected}", error.log);
    }
}

#[test]
fn validators_and_delegations_are_queried_as_clients_do() {
    let mut c = go_chain();
    c.end();
    let s = &c.staking;
    let validators = |status: &str| s.query_validators(&c.ctx, QueryValidatorsRequest { status: status.into(), pagination: None });
    assert_eq!(validators("").unwrap().validators.len(), 1);
    assert_eq!(validators("BOND_STATUS_BONDED").unwrap().validators[0].operator_address, OPERATOR);
    assert_eq!(validators("BOND_STATUS_UNBONDED").unwrap().validators.len(), 0);
    assert_eq!(validators("bonded").unwrap_err(), Error::new("sdk", 18, "invalid validator status bonded: invalid request"));

    let validator = |a: &str| s.query_validator(&c.ctx, QueryValidatorRequest { validator_addr: a.into() });
    assert_eq!(validator(OPERATOR).unwrap().validator.unwrap().tokens, "5000000000");
    let nobody = operator(9).to_validator();
    assert_eq!(validator(&nobody).unwrap_err(), Error::new("sdk", 22, format!("validator {nobody} not found: key not found")));
    assert_eq!(validator("").unwrap_err().code, 18);
    assert_eq!(validator("xyz").unwrap_err(), Error::plain("decoding bech32 failed: invalid bech32 string length 3"));

    let expected = DelegationResponse {
        delegation: Some(Delegation {
            delegator_address: VALIDATOR.into(),
            validator_address: OPERATOR.into(),
            shares: Dec::from_int(5_000_000_000).unwrap().to_wire(),
        }),
        balance: uve(5_000_000_000),
    };
    let (delegator_addr, validator_addr) = (VALIDATOR.to_string(), OPERATOR.to_string());
    let delegation = QueryDelegationRequest { delegator_addr: delegator_addr.clone(), validator_addr: validator_addr.clone() };
    assert_eq!(s.query_delegation(&c.ctx, delegation).unwrap().delegation_response, Some(expected.clone()));
    let stranger = QueryDelegationRequest { delegator_addr: operator(9).to_string(), validator_addr: validator_addr.clone() };
    assert_eq!(s.query_delegation(&c.ctx, stranger).unwrap_err().code, 22);
    let of_delegator = QueryDelegatorDelegationsRequest { delegator_addr: delegator_addr.clone(), pagination: None };
    assert_eq!(s.query_delegator_delegations(&c.ctx, of_delegator).unwrap().delegation_responses[0], expected);
    let of_validator = QueryValidatorDelegationsRequest { validator_addr: validator_addr.clone(), pagination: None };
    assert_eq!(s.query_validator_delegations(&c.ctx, of_validator).unwrap().delegation_responses, [expected]);
    let theirs = QueryDelegatorValidatorsRequest { delegator_addr: delegator_addr.clone(), pagination: None };
    assert_eq!(s.query_delegator_validators(&c.ctx, theirs).unwrap().validators.len(), 1);
    let one = QueryDelegatorValidatorRequest { delegator_addr: delegator_addr.clone(), validator_addr: validator_addr.clone() };
    assert_eq!(s.query_delegator_validator(&c.ctx, one).unwrap().validator.unwrap().operator_address, OPERATOR);
    let none = QueryDelegatorValidatorRequest { delegator_addr: operator(9).to_string(), validator_addr: validator_addr.clone() };
    assert_eq!(s.query_delegator_validator(&c.ctx, none).unwrap_err(), Error::internal("no delegation for (address, validator) tuple"));

    let pool = s.query_pool(&c.ctx, QueryPoolRequest {}).unwrap().pool.unwrap();
    assert_eq!((pool.bonded_tokens.as_str(), pool.not_bonded_tokens.as_str()), ("5000000000", "0"));
    assert_eq!(s.query_params(&c.ctx, QueryParamsRequest {}).unwrap().params.unwrap().bond_denom, "uve");

    let request = QueryUnbondingDelegationRequest { delegator_addr: delegator_addr.clone(), validator_addr: validator_addr.clone() };
    assert_eq!(s.query_unbonding_delegation(&c.ctx, request).unwrap_err().code, 22);
    let request = QueryDelegatorUnbondingDelegationsRequest { delegator_addr: delegator_addr.clone(), pagination: None };
    assert!(s.query_delegator_unbonding_delegations(&c.ctx, request).unwrap().unbonding_responses.is_empty());
    let request = QueryValidatorUnbondingDelegationsRequest { validator_addr, pagination: None };
    assert!(s.query_validator_unbonding_delegations(&c.ctx, request).unwrap().unbonding_responses.is_empty());
    let redelegations = |delegator: &str, from: &str, to: &str| {
        let [delegator_addr, src_validator_addr, dst_validator_addr] = [delegator, from, to].map(String::from);
        let request = QueryRedelegationsRequest { delegator_addr, src_validator_addr, dst_validator_addr, pagination: None };
        s.query_redelegations(&c.ctx, request).map(|answer| answer.redelegation_responses.len())
    };
    for (delegator, from, to) in [(VALIDATOR, "", ""), ("", OPERATOR, ""), (VALIDATOR, OPERATOR, "")] {
        assert_eq!(redelegations(delegator, from, to), Ok(0));
    }
    let missing = format!(
        "rpc error: code = NotFound desc = redelegation not found for delegator address {VALIDATOR} from validator address {OPERATOR}"
    );
    assert_eq!(redelegations(VALIDATOR, OPERATOR, &nobody), Err(Error::internal(missing)));
    assert_eq!(redelegations("", "", ""), Err(Error::internal("empty address string is not allowed")));
    assert_eq!(redelegations("", "xyz", ""), Err(Error::internal("decoding bech32 failed: invalid bech32 string length 3")));
    let history = |height| s.query_historical_info(&c.ctx, QueryHistoricalInfoRequest { height }).unwrap_err();
    assert_eq!((history(1).code, history(-1).code), (22, 18));
}

#[test]
fn what_is_not_there_yet_says_so() {
    let error: Error = staking::Error::NotSupported("MsgDelegate").into();
    assert_eq!(error, Error::new("sdk", 37, "MsgDelegate is not available on this chain: feature not supported"));
}

#[test]
fn decimals_are_units_of_ten_to_the_minus_eighteen() {
    assert_eq!(Dec::from_wire("-50000000000000000").unwrap().to_string(), "-0.050000000000000000");
    assert_eq!(Dec::from_int(5).unwrap().to_string(), "5.000000000000000000");
    assert_eq!((Dec::from_wire(""), Dec::from_wire("0.1"), Dec::from_wire("+1"), Dec::from_wire("-")), (None, None, None, None));
    assert_eq!(Dec::from_int(u128::MAX), None);
    assert_eq!((Dec::from_int(7).unwrap().to_int(), Dec::from_wire("1").unwrap().to_int()), (Some(7), None));
}
