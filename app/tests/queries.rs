//! What `abci_query` answers where something is wrong: the codes and texts that clients of Cosmos SDK know.

mod chain;

use app::store::Tuning;
use chain::*;
use kernel::{Error, GRPC};
use prost::Message;
use proto::cosmos::authz::v1beta1::QueryGrantsRequest;
use proto::cosmos::feegrant::v1beta1::QueryAllowanceRequest;
use proto::cosmos::staking::v1beta1::QueryValidatorRequest;
use proto::cosmos::tx::v1beta1::SimulateRequest;
use std::sync::Arc;
use tendermint_abci::Application;
use tendermint_proto::v0_38::abci::RequestQuery;

/// Code, codespace and log.
fn ask(chain: &Chain, path: &str, data: Vec<u8>, height: i64) -> (u32, String, String) {
    let request = RequestQuery { path: path.into(), data: data.into(), height, prove: false };
    let answer = Application::query(&chain.app, request);
    (answer.code, answer.codespace, answer.log)
}

fn sdk(code: u32, log: impl Into<String>) -> (u32, String, String) {
    (code, "sdk".into(), log.into())
}

#[test]
fn a_refused_query_has_the_code_of_its_status_and_the_text_of_the_sdk() {
    let chain = Chain::new(&[]);
    let ask = |path: &str, data: Vec<u8>| ask(&chain, path, data, 0);
    for path in ["/x", "/cosmos.bank.v1beta1.Query/X", "/cosmos.none.v1.Query/Balance"] {
        assert_eq!(ask(path, vec![]), sdk(6, "unknown query path: unknown request"), "{path}");
    }
    let simulate = "/cosmos.tx.v1beta1.Service/Simulate";
    assert_eq!(ask(simulate, vec![]), sdk(18, "rpc error: code = InvalidArgument desc = empty txBytes is not allowed: invalid request"));
    let empty = SimulateRequest { tx_bytes: client::sign::encode(&unsigned(vec![])), ..Default::default() };
    let log = "must contain at least one message: invalid request with gas used: '0'";
    assert_eq!(ask(simulate, empty.encode_to_vec()), sdk(6, format!("rpc error: code = Unknown desc = {log}: unknown request")));

    let validator = |text: &str| {
        let request = QueryValidatorRequest { validator_addr: text.into() };
        ask("/cosmos.staking.v1beta1.Query/Validator", request.encode_to_vec())
    };
    assert_eq!(validator(""), sdk(18, "rpc error: code = InvalidArgument desc = validator address cannot be empty: invalid request"));
    assert_eq!(validator("xyz"), sdk(18, "decoding bech32 failed: invalid bech32 string length 3: invalid request"));
    let nobody = address(9).parse::<kernel::Address>().unwrap().to_validator();
    let log = format!("rpc error: code = NotFound desc = validator {nobody} not found: key not found");
    assert_eq!(validator(&nobody), sdk(22, log));

    let allowance = QueryAllowanceRequest { granter: address(0), grantee: address(1) };
    let log = "rpc error: code = Internal desc = fee-grant not found: not found: unknown request";
    assert_eq!(ask("/cosmos.feegrant.v1beta1.Query/Allowance", allowance.encode_to_vec()), sdk(6, log));
    let grants = QueryGrantsRequest { granter: address(0), grantee: address(1), msg_type_url: "/x".into(), pagination: None };
    let log = "rpc error: code = Unknown desc = authorization not found for /x type: authorization not found: unknown request";
    assert_eq!(ask("/cosmos.authz.v1beta1.Query/Grants", grants.encode_to_vec()), sdk(6, log));
}

/// Fails with the status that a path ends in.
struct Failing;

impl app::Remote for Failing {
    fn call(&self, path: &str, _: &[u8]) -> Option<Result<Vec<u8>, Error>> {
        let code = path.strip_prefix("/test.Service/")?.parse().ok()?;
        Some(Err(Error::new(GRPC, code, "why")))
    }
}

#[test]
fn every_status_of_a_service_has_its_code() {
    let chain = Chain::new(&[]);
    chain.app.set_remote(Arc::new(Failing));
    for (status, code, log) in [
        (4, 6, "rpc error: code = DeadlineExceeded desc = why: unknown request"),
        (9, 18, "rpc error: code = FailedPrecondition desc = why: invalid request"),
        (12, 6, "rpc error: code = Unimplemented desc = why: unknown request"),
        (14, 6, "rpc error: code = Unavailable desc = why: unknown request"),
        (16, 4, "rpc error: code = Unauthenticated desc = why: unauthorized"),
    ] {
        assert_eq!(ask(&chain, &format!("/test.Service/{status}"), vec![], 0), sdk(code, log));
    }
}

#[test]
fn heights_that_cannot_be_asked_for_are_refused_before_the_service() {
    let mut chain = Chain::with(&[], Tuning { query_versions: 2, proof_versions: 2, ..Tuning::default() });
    for _ in 0..4 {
        chain.block(&[]);
    }
    let at = |height| ask(&chain, "/cosmos.bank.v1beta1.Query/Params", vec![], height);
    assert_eq!((at(4).0, at(5).0, at(0).0), (0, 0, 0));
    let (code, codespace, log) = at(1);
    assert_eq!((code, codespace.as_str()), (38, "sdk"));
    assert!(log.starts_with("failed to load state at height 1; version 1 does not exist"), "{log}");
    assert!(log.ends_with(" (latest height: 5): not found"), "{log}");
    let (code, codespace, log) = at(6);
    assert_eq!((code, codespace.as_str()), (26, "sdk"));
    assert!(log.starts_with("cannot query with height in the future; please provide a valid height"), "{log}");
    assert_eq!(at(-1), sdk(18, "cannot query with height < 0; please provide a valid height: invalid request"));
    // The store has no code for it.
    assert_eq!(ask(&chain, "/store/bank/key", vec![1], 1), (0, String::new(), "version does not exist".into()));
}

#[test]
fn the_proof_specs_are_answered_under_a_path_of_the_application() {
    let chain = Chain::new(&[]);
    let request = RequestQuery { path: "/app/proof-specs".into(), ..Default::default() };
    let specs: serde_json::Value = serde_json::from_slice(&Application::query(&chain.app, request).value).unwrap();
    assert_eq!(specs, app::store::specs_json());
    assert_eq!(specs.as_array().unwrap().len(), 2);
}
