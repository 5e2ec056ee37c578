//! REST paths and the requests that they make.

use prost::Message;
use proto::cosmos::bank::v1beta1::{QueryAllBalancesRequest, QueryDenomOwnersRequest};
use proto::cosmos::base::query::v1beta1::PageRequest;
use proto::cosmos::base::tendermint::v1beta1::AbciQueryRequest;
use proto::cosmos::tx::v1beta1::{GetTxsEventRequest, SimulateRequest};
use proto::rest::{match_route, request_bytes, routes};
use proto::virtengine::market::v1::{QueryOrderRequest, QueryOrdersRequest};
use serde_json::{Value, json};

fn rpc(method: &str, path: &str) -> Option<String> {
    match_route(method, path).map(|(route, _)| route.rpc.clone())
}

fn request(method: &str, path: &str, query: &[(&str, &str)], body: Option<Value>) -> Result<Vec<u8>, String> {
    let (route, params) = match_route(method, path).unwrap();
    let query: Vec<_> = query.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    request_bytes(route, &params, &query, body.as_ref()).map_err(|e| e.to_string())
}

fn get<M: Message + Default>(path: &str, query: &[(&str, &str)]) -> M {
    M::decode(request("GET", path, query, None).unwrap().as_slice()).unwrap()
}

#[test]
fn a_path_finds_its_method() {
    for (path, expected) in [
        ("/cosmos/bank/v1beta1/balances/ve1a", "/cosmos.bank.v1beta1.Query/AllBalances"),
        ("/cosmos/bank/v1beta1/balances/ve1a/by_denom", "/cosmos.bank.v1beta1.Query/Balance"),
        ("/cosmos/bank/v1beta1/denom_owners/ibc/ABC", "/cosmos.bank.v1beta1.Query/DenomOwners"),
        ("/cosmos/bank/v1beta1/denom_owners_by_query", "/cosmos.bank.v1beta1.Query/DenomOwnersByQuery"),
        ("/cosmos/base/tendermint/v1beta1/blocks/latest", "/cosmos.base.tendermint.v1beta1.Service/GetLatestBlock"),
        ("/cosmos/base/tendermint/v1beta1/blocks/7", "/cosmos.base.tendermint.v1beta1.Service/GetBlockByHeight"),
        ("/cosmos/tx/v1beta1/txs/ABCD", "/cosmos.tx.v1beta1.Service/GetTx"),
        ("/virtengine/market/v1/orders/ve1a/1/2/3", "/virtengine.market.v1.Query/Order"),
    ] {
        assert_eq!(rpc("GET", path).as_deref(), Some(expected), "{path}");
    }
    assert_eq!(rpc("POST", "/cosmos/tx/v1beta1/txs").as_deref(), Some("/cosmos.tx.v1beta1.Service/BroadcastTx"));
    for path in ["/ibc/apps/transfer/v1/params", "/cosmos/bank/v1beta1/balances/", "/cosmos/bank/v1beta1/denom_owners", "", "/"] {
        assert_eq!(rpc("GET", path), None, "{path}");
    }
    assert_eq!(rpc("POST", "/cosmos/bank/v1beta1/balances/ve1a"), None);
}

#[test]
fn a_route_names_its_messages() {
    let (route, params) = match_route("GET", "/cosmos/bank/v1beta1/denom_owners/ibc%2FABC").unwrap();
    assert_eq!(route.template, "/cosmos/bank/v1beta1/denom_owners/{denom=**}");
    assert_eq!(route.input, "cosmos.bank.v1beta1.QueryDenomOwnersRequest");
    assert_eq!(route.output, "cosmos.bank.v1beta1.QueryDenomOwnersResponse");
    assert_eq!(params, [("denom".to_string(), "ibc/ABC".to_string())]);
}

#[test]
fn no_two_routes_are_the_same() {
    let mut seen: Vec<_> = routes().iter().map(|r| (&r.method, &r.template)).collect();
    let all = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), all);
    assert!(all > 100);
}

#[test]
fn path_and_query_fill_the_request() {
    let owners: QueryDenomOwnersRequest = get("/cosmos/bank/v1beta1/denom_owners/uve", &[]);
    assert_eq!(owners, QueryDenomOwnersRequest { denom: "uve".into(), pagination: None });

    let query = [
        ("pagination.limit", "10"),
        ("pagination.countTotal", "true"),
        ("pagination.key", "AQI="),
        ("resolve_denom", "1"),
        ("nothing", "x"),
        ("pagination.nothing", "x"),
        ("address", "the path counts"),
    ];
    let balances: QueryAllBalancesRequest = get("/cosmos/bank/v1beta1/balances/ve1a", &query);
    let pagination = PageRequest { key: vec![1, 2], limit: 10, count_total: true, ..Default::default() };
    assert_eq!(balances, QueryAllBalancesRequest { address: "ve1a".into(), pagination: Some(pagination), resolve_denom: true });

    #[allow(deprecated)]
    {
        let txs: GetTxsEventRequest = get("/cosmos/tx/v1beta1/txs", &[("events", "a=1"), ("events", "b=2"), ("order_by", "ORDER_BY_DESC")]);
        assert_eq!((txs.events, txs.order_by), (vec!["a=1".to_string(), "b=2".into()], 2));
    }

    let order: QueryOrderRequest = get("/virtengine/market/v1/orders/ve1a/1/2/3", &[]);
    assert_eq!(order, QueryOrderRequest { owner: "ve1a".into(), dseq: 1, gseq: 2, oseq: 3 });
    let orders: QueryOrdersRequest = get("/virtengine/market/v1/orders", &[("state", "open"), ("dseq", "18446744073709551615")]);
    assert_eq!((orders.state, orders.dseq), (1, u64::MAX));
    let by_number: QueryOrdersRequest = get("/virtengine/market/v1/orders", &[("state", "1")]);
    assert_eq!(by_number.state, 1);
    let bytes: AbciQueryRequest = get("/cosmos/base/tendermint/v1beta1/abci_query", &[("data", "_-8"), ("prove", "false")]);
    assert_eq!(bytes.data, [255, 239]);
}

#[test]
fn a_bad_value_is_refused_by_name() {
    let refused = |path, query| request("GET", path, query, None).unwrap_err();
    let balances = "/cosmos/bank/v1beta1/balances/ve1a";
    assert_eq!(
        refused(balances, &[("pagination.limit", "ten")]),
        r#"parsing field "pagination.limit": expected an unsigned 64-bit integer, got "ten""#
    );
    assert_eq!(
        refused(balances, &[("pagination.reverse", "yes")]),
        r#"parsing field "pagination.reverse": expected true or false, got "yes""#
    );
    assert_eq!(refused(balances, &[("pagination.key", "%")]), r#"parsing field "pagination.key": expected base64, got "%""#);
    assert_eq!(
        refused(balances, &[("pagination.limit", "1"), ("pagination.limit", "2")]),
        r#"too many values for field "pagination.limit""#
    );
    assert_eq!(
        refused("/virtengine/market/v1/orders/a/b/c/d", &[]),
        r#"parsing field "dseq": expected an unsigned 64-bit integer, got "b""#
    );
    assert!(
        refused("/virtengine/market/v1/orders", &[("state", "opened")]).starts_with(r#"parsing field "state": "opened" is not one of "#)
    );
    assert!(refused(balances, &[("pagination", "x")]).starts_with(r#"parsing field "pagination": a message cannot be given"#));
}

#[test]
fn a_body_is_the_request() {
    let simulate = |body| request("POST", "/cosmos/tx/v1beta1/simulate", &[], body);
    #[allow(deprecated)]
    let expected = SimulateRequest { tx: None, tx_bytes: vec![1, 2] };
    for body in [json!({ "tx_bytes": "AQI=" }), json!({ "txBytes": "AQI", "tx": null })] {
        assert_eq!(SimulateRequest::decode(simulate(Some(body)).unwrap().as_slice()).unwrap(), expected);
    }
    assert_eq!(simulate(None).unwrap(), b"");
    assert!(simulate(Some(json!({ "bytes": 1 }))).unwrap_err().starts_with(r#"unknown field "bytes""#));
    assert!(simulate(Some(json!([]))).unwrap_err().starts_with("expected an object"));
}
