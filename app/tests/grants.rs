//! Fee allowances and grants to act, through blocks: what they allow, how they end, and what is refused.

mod chain;

use chain::*;
use client::keyring::AccountKey;
use client::sign::{SignMode, SignerData, encode, sign_bytes, single_mode};
use proto::cosmos::authz::v1beta1::{GenericAuthorization, Grant, MsgExec, MsgGrant, MsgRevoke};
use proto::cosmos::bank::v1beta1::{MsgSend, SendAuthorization};
use proto::cosmos::feegrant::v1beta1::*;
use proto::{Any, Duration};
use serde_json::json;
use tendermint_proto::v0_38::abci::ExecTxResult;

/// A key without an account at genesis.
const NEWCOMER: u32 = 20;

fn send(from: u32, to: u32, amount: u64) -> Any {
    any(&MsgSend { from_address: address(from), to_address: address(to), amount: coins(amount) })
}

/// Signed by one key, with a fee of 7,500 uve that `granter` pays if there is one.
fn tx(chain: &Chain, signer: u32, granter: Option<u32>, messages: Vec<Any>) -> Vec<u8> {
    let mut tx = unsigned(messages);
    fee(&mut tx).granter = granter.map(address).unwrap_or_default();
    let secret = key(signer);
    let (account_number, sequence) = chain.numbers(&address(signer));
    let data = SignerData { chain_id: CHAIN.into(), account_number, sequence };
    tx.auth_info.as_mut().unwrap().signer_infos =
        vec![info(&AccountKey::Single(secret.public_key()), single_mode(SignMode::AminoJson), sequence)];
    tx.signatures = vec![secret.sign(&sign_bytes(&tx, SignMode::AminoJson, &data).unwrap()).to_vec()];
    encode(&tx)
}

fn run(chain: &mut Chain, signer: u32, messages: Vec<Any>) -> ExecTxResult {
    let bytes = tx(chain, signer, None, messages);
    chain.deliver(&bytes)
}

fn done(chain: &mut Chain, signer: u32, messages: Vec<Any>) -> ExecTxResult {
    let result = run(chain, signer, messages);
    assert_eq!(result.code, 0, "{}", result.log);
    result
}

fn refused(chain: &mut Chain, signer: u32, messages: Vec<Any>) -> (String, u32, String) {
    let result = run(chain, signer, messages);
    (result.codespace, result.code, result.log.trim_start_matches("failed to execute message; message index: 0: ").to_string())
}

fn allow(granter: u32, grantee: u32, allowance: Any) -> Any {
    any(&MsgGrantAllowance { granter: address(granter), grantee: address(grantee), allowance: Some(allowance) })
}

fn basic(limit: u64, expiration: Option<i64>) -> BasicAllowance {
    BasicAllowance { spend_limit: coins(limit), expiration: expiration.and_then(at) }
}

/// What an account may spend on fees of another's, as the query shows it.
fn allowance(chain: &Chain, granter: u32, grantee: u32) -> Result<serde_json::Value, String> {
    let request = json!({ "granter": address(granter), "grantee": address(grantee) });
    chain.query("/cosmos.feegrant.v1beta1.Query/Allowance", request).map(|mut a| a["allowance"]["allowance"].take())
}

#[test]
fn an_allowance_pays_the_fees_of_an_account_that_has_nothing() {
    let mut chain = Chain::new(&[]);
    let result = done(&mut chain, 0, vec![allow(0, NEWCOMER, any(&basic(20_000, None)))]);
    assert!(kinds(&result).contains(&"set_feegrant"));
    let prune = || any(&MsgPruneAllowances { pruner: address(NEWCOMER) });
    for (left, kind) in [("12500", "update_feegrant"), ("5000", "update_feegrant")] {
        let bytes = tx(&chain, NEWCOMER, Some(0), vec![prune()]);
        assert_eq!(chain.check(&bytes).log, "");
        let result = chain.deliver(&bytes);
        assert_eq!(result.code, 0, "{}", result.log);
        assert_eq!(attribute(&result, "tx", "fee_payer"), [address(0)]);
        assert!(kinds(&result).contains(&kind) && kinds(&result).contains(&"use_feegrant"));
        assert_eq!(allowance(&chain, 0, NEWCOMER).unwrap()["spend_limit"][0]["amount"], left);
    }
    let refusal = chain.check(&tx(&chain, NEWCOMER, Some(0), vec![prune()]));
    let names = format!("{} does not allow to pay fees for {}", address(0), address(NEWCOMER));
    assert_eq!((refusal.codespace.as_str(), refusal.code), ("feegrant", 2));
    assert_eq!(refusal.log, format!("{names}: basic allowance: fee limit exceeded"));
    assert_eq!(chain.balance(&address(0)), FUNDS - 3 * 7_500);
}

#[test]
fn an_allowance_that_is_used_up_or_revoked_is_gone() {
    let mut chain = Chain::new(&[]);
    done(&mut chain, 0, vec![allow(0, 1, any(&basic(7_500, None)))]);
    let bytes = tx(&chain, 1, Some(0), vec![send(1, 2, 1)]);
    let result = chain.deliver(&bytes);
    assert_eq!(result.code, 0, "{}", result.log);
    assert!(kinds(&result).contains(&"revoke_feegrant"));
    assert!(allowance(&chain, 0, 1).unwrap_err().contains("not found"));

    done(&mut chain, 0, vec![allow(0, 1, any(&basic(0, None)))]);
    done(&mut chain, 0, vec![any(&MsgRevokeAllowance { granter: address(0), grantee: address(1) })]);
    let again = any(&MsgRevokeAllowance { granter: address(0), grantee: address(1) });
    assert_eq!(refused(&mut chain, 0, vec![again]), ("sdk".into(), 38, "fee-grant not found: not found".into()));
    let refusal = chain.check(&tx(&chain, 1, Some(0), vec![send(1, 2, 1)]));
    assert_eq!(refusal.code, 38);
    assert!(refusal.log.ends_with("fee-grant not found: not found"), "{}", refusal.log);
}

#[test]
fn an_allowance_ends_at_its_expiration_and_is_removed_without_being_used() {
    let mut chain = Chain::new(&[]);
    let end = chain.time + 12;
    done(&mut chain, 0, vec![allow(0, 1, any(&basic(0, Some(end))))]);
    assert!(allowance(&chain, 0, 1).is_ok());
    chain.block(&[]);
    assert!(allowance(&chain, 0, 1).is_ok());
    chain.block(&[]);
    assert!(allowance(&chain, 0, 1).is_err());
    let past = vec![allow(0, 1, any(&basic(0, Some(end))))];
    assert_eq!(refused(&mut chain, 0, past), ("sdk".into(), 18, "expiration is before current block time: invalid request".into()));
}

#[test]
fn a_periodic_allowance_refills_with_each_period_and_not_beyond_its_total() {
    let mut chain = Chain::new(&[]);
    let periodic = PeriodicAllowance {
        basic: Some(basic(20_000, None)),
        period: Some(Duration { seconds: 60, nanos: 0 }),
        period_spend_limit: coins(8_000),
        period_can_spend: coins(8_000),
        period_reset: at(chain.time + 60),
    };
    done(&mut chain, 0, vec![allow(0, 1, any(&periodic))]);
    let pay = |chain: &mut Chain| {
        let bytes = tx(chain, 1, Some(0), vec![send(1, 2, 1)]);
        let result = chain.deliver(&bytes);
        (result.code, result.log.rsplit_once(&address(1)).map(|(_, log)| log.to_string()).unwrap_or_default())
    };
    assert_eq!(pay(&mut chain).0, 0);
    assert_eq!(pay(&mut chain), (2, ": period limit: fee limit exceeded".into()));
    chain.time += 60;
    assert_eq!(pay(&mut chain).0, 0);
    chain.time += 60;
    // 5,000 are left in all, which is what the new period starts with.
    assert_eq!(pay(&mut chain), (2, ": period limit: fee limit exceeded".into()));
}

#[test]
fn an_allowance_for_some_messages_pays_for_no_others() {
    let mut chain = Chain::new(&[]);
    let allowance =
        AllowedMsgAllowance { allowance: Some(any(&basic(0, None))), allowed_messages: vec!["/cosmos.bank.v1beta1.MsgSend".into()] };
    done(&mut chain, 0, vec![allow(0, 1, any(&allowance))]);
    let bytes = tx(&chain, 1, Some(0), vec![send(1, 2, 1)]);
    assert_eq!(chain.deliver(&bytes).code, 0);
    let other = any(&MsgPruneAllowances { pruner: address(1) });
    let refusal = chain.check(&tx(&chain, 1, Some(0), vec![send(1, 2, 1), other]));
    assert_eq!((refusal.codespace.as_str(), refusal.code), ("feegrant", 7));
    assert!(refusal.log.ends_with("message does not exist in allowed messages: message not allowed"), "{}", refusal.log);
}

#[test]
fn allowances_that_make_no_sense_are_refused() {
    let mut chain = Chain::new(&[]);
    done(&mut chain, 0, vec![allow(0, 1, any(&basic(1, None)))]);
    let twice = vec![allow(0, 1, any(&basic(1, None)))];
    assert_eq!(refused(&mut chain, 0, twice), ("sdk".into(), 18, "fee allowance already exists: invalid request".into()));
    let own = vec![allow(0, 0, any(&basic(1, None)))];
    assert_eq!(refused(&mut chain, 0, own), ("sdk".into(), 7, "cannot self-grant fee authorization: invalid address".into()));
    let nothing = AllowedMsgAllowance { allowance: Some(any(&basic(1, None))), allowed_messages: vec![] };
    assert_eq!(refused(&mut chain, 0, vec![allow(0, 2, any(&nothing))]).1, 6);
    let currency = PeriodicAllowance {
        basic: Some(basic(5, None)),
        period_spend_limit: vec![proto::cosmos::base::v1beta1::Coin { denom: "foo".into(), amount: "1".into() }],
        period: Some(Duration { seconds: 60, nanos: 0 }),
        period_reset: at(START),
        ..PeriodicAllowance::default()
    };
    let (codespace, code, log) = refused(&mut chain, 0, vec![allow(0, 2, any(&currency))]);
    assert_eq!((codespace.as_str(), code), ("sdk", 10));
    assert!(log.contains("different currency"), "{log}");
    assert_eq!(refused(&mut chain, 0, vec![allow(0, 2, send(0, 1, 1))]).1, 34);
}

fn grant(granter: u32, grantee: u32, authorization: Any, expiration: Option<i64>) -> Any {
    let grant = Grant { authorization: Some(authorization), expiration: expiration.and_then(at) };
    any(&MsgGrant { granter: address(granter), grantee: address(grantee), grant: Some(grant) })
}

fn sending(limit: u64, to: &[u32]) -> Any {
    any(&SendAuthorization { spend_limit: coins(limit), allow_list: to.iter().map(|i| address(*i)).collect() })
}

fn exec(grantee: u32, msgs: Vec<Any>) -> Any {
    any(&MsgExec { grantee: address(grantee), msgs })
}

fn grants(chain: &Chain, granter: u32, grantee: u32) -> Vec<serde_json::Value> {
    let request = json!({ "granter": address(granter), "grantee": address(grantee) });
    chain.query("/cosmos.authz.v1beta1.Query/Grants", request).unwrap()["grants"].as_array().unwrap().clone()
}

#[test]
fn a_grantee_sends_for_the_granter_up_to_the_limit() {
    let mut chain = Chain::new(&[]);
    let result = done(&mut chain, 0, vec![grant(0, 1, sending(100, &[2]), None)]);
    assert!(kinds(&result).contains(&"cosmos.authz.v1beta1.EventGrant"));
    let result = done(&mut chain, 1, vec![exec(1, vec![send(0, 2, 60)])]);
    assert_eq!(attribute(&result, "transfer", "authz_msg_index"), ["0"]);
    assert_eq!(chain.balance(&address(2)), FUNDS + 60);
    assert_eq!(grants(&chain, 0, 1)[0]["authorization"]["spend_limit"][0]["amount"], "40");

    let over = refused(&mut chain, 1, vec![exec(1, vec![send(0, 2, 41)])]);
    assert_eq!(over, ("sdk".into(), 5, "requested amount is more than spend limit: insufficient funds".into()));
    let other = refused(&mut chain, 1, vec![exec(1, vec![send(0, 3, 1)])]);
    assert_eq!(other, ("sdk".into(), 4, format!("cannot send to {} address: unauthorized", address(3))));

    // The second message fails, so the first one has not happened either.
    assert_eq!(run(&mut chain, 1, vec![exec(1, vec![send(0, 2, 40), send(0, 2, 1)])]).code, 2);
    assert_eq!(chain.balance(&address(2)), FUNDS + 60);
    let result = done(&mut chain, 1, vec![exec(1, vec![send(0, 2, 40)])]);
    assert!(kinds(&result).contains(&"cosmos.authz.v1beta1.EventRevoke"));
    assert!(grants(&chain, 0, 1).is_empty());
}

#[test]
fn every_message_of_an_exec_needs_a_grant_of_its_signer() {
    let mut chain = Chain::new(&[]);
    let generic = any(&GenericAuthorization { msg: "/cosmos.bank.v1beta1.MsgSend".into() });
    done(&mut chain, 0, vec![grant(0, 1, generic, None)]);
    // One's own messages need none.
    done(&mut chain, 1, vec![exec(1, vec![send(0, 2, 5), send(1, 2, 6)])]);
    assert_eq!(chain.balance(&address(2)), FUNDS + 11);
    let (codespace, code, log) = refused(&mut chain, 1, vec![exec(1, vec![send(0, 2, 5), send(3, 2, 6)])]);
    assert_eq!((codespace.as_str(), code), ("authz", 2));
    assert!(log.contains(&format!("granter: {}, grantee: {}", address(3), address(1))), "{log}");
    let nested = exec(1, vec![exec(0, vec![send(0, 2, 7)])]);
    assert_eq!(refused(&mut chain, 1, vec![nested]).1, 2, "an exec of the granter's is a message of its own type");
    assert_eq!(refused(&mut chain, 1, vec![exec(1, vec![])]).2, "messages cannot be empty: invalid request");
}

#[test]
fn a_grant_ends_at_its_expiration_or_when_it_is_revoked() {
    let mut chain = Chain::new(&[]);
    let end = chain.time + 8;
    let generic = || any(&GenericAuthorization { msg: "/cosmos.bank.v1beta1.MsgSend".into() });
    done(&mut chain, 0, vec![grant(0, 1, generic(), Some(end))]);
    assert_eq!(grants(&chain, 0, 1).len(), 1);
    assert_eq!(refused(&mut chain, 1, vec![exec(1, vec![send(0, 2, 5)])]).1, 2, "removed at the begin of this block");
    assert!(grants(&chain, 0, 1).is_empty());
    let (codespace, code, log) = refused(&mut chain, 0, vec![grant(0, 1, generic(), Some(end))]);
    assert_eq!((codespace.as_str(), code), ("authz", 3));
    assert!(log.ends_with("expiration time of authorization should be more than current time"), "{log}");

    done(&mut chain, 0, vec![grant(0, 1, generic(), None)]);
    let revoke = || any(&MsgRevoke { granter: address(0), grantee: address(1), msg_type_url: "/cosmos.bank.v1beta1.MsgSend".into() });
    done(&mut chain, 0, vec![revoke()]);
    assert_eq!(refused(&mut chain, 0, vec![revoke()]).1, 2);
}

#[test]
fn grants_that_make_no_sense_are_refused() {
    let mut chain = Chain::new(&[]);
    let generic = |msg: &str| any(&GenericAuthorization { msg: msg.into() });
    let own = refused(&mut chain, 0, vec![grant(0, 0, generic("/cosmos.bank.v1beta1.MsgSend"), None)]);
    assert_eq!(own, ("authz".into(), 7, "grantee and granter should be different".into()));
    let unknown = refused(&mut chain, 0, vec![grant(0, 1, generic("/cosmos.bank.v1beta1.MsgBurn"), None)]);
    assert_eq!(unknown, ("sdk".into(), 29, "/cosmos.bank.v1beta1.MsgBurn doesn't exist.: invalid type".into()));
    assert_eq!(refused(&mut chain, 0, vec![grant(0, 1, sending(0, &[]), None)]).2, "spend limit cannot be nil: invalid coins");
    assert_eq!(refused(&mut chain, 0, vec![grant(0, 1, sending(5, &[2, 2]), None)]).2, "duplicate entry");
    let stake = any(&proto::cosmos::staking::v1beta1::StakeAuthorization::default());
    assert_eq!(refused(&mut chain, 0, vec![grant(0, 1, stake, None)]).1, 37);
}

#[test]
fn grants_and_allowances_survive_an_export_of_genesis() {
    let mut chain = Chain::new(&[]);
    done(&mut chain, 0, vec![allow(0, 1, any(&basic(5, Some(chain_end())))), grant(0, 1, sending(5, &[]), None)]);
    let state = chain.app.export().unwrap();
    app::check_genesis(CHAIN, &state).unwrap();
    assert_eq!(state["feegrant"]["allowances"][0]["grantee"], address(1));
    assert_eq!(state["authz"]["authorization"][0]["granter"], address(0));
}

fn chain_end() -> i64 {
    START + 1_000_000
}
