//! The servers as clients meet them: over sockets, in front of a real application with one committed block.

use super::api::SERVICES;
use super::*;
use axum::http::{HeaderMap, Method};
use bytes::{Buf, BufMut, Bytes};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use prost::Message;
use proto::cosmos::bank::v1beta1::{QueryBalanceRequest, QueryBalanceResponse};
use serde_json::{Value, json};
use std::str::FromStr;
use tendermint_abci::Application;
use tendermint_proto::v0_38::abci::{RequestFinalizeBlock, RequestInitChain, RequestQuery};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataValue;
use tonic_reflection::pb::v1 as reflection_v1;

/// Servers in front of a chain at height 2, where ALICE has a million.
struct Node {
    servers: Servers,
    app: App,
    _dir: tempfile::TempDir,
}

fn alice() -> String {
    kernel::bech32_encode(kernel::ACCOUNT_PREFIX, &[7; 20])
}

fn nobody() -> String {
    kernel::bech32_encode(kernel::ACCOUNT_PREFIX, &[8; 20])
}

fn app_at_height_2(dir: &std::path::Path) -> App {
    app_at(dir, 2, app::Config::default())
}

fn app_at(dir: &std::path::Path, newest: i64, config: app::Config) -> App {
    let app = App::open(dir, config).unwrap();
    let account = json!({ "@type": "/cosmos.auth.v1beta1.BaseAccount", "address": alice() });
    let state = json!({
        "auth": { "accounts": [account] },
        "bank": { "balances": [{ "address": alice(), "coins": [{ "denom": "uve", "amount": "1000000" }] }] },
    });
    let time = tendermint_proto::google::protobuf::Timestamp { seconds: 1_900_000_000, nanos: 0 };
    app.init_chain(RequestInitChain {
        time: Some(time),
        chain_id: "test-1".into(),
        app_state_bytes: state.to_string().into(),
        initial_height: 1,
        ..Default::default()
    });
    for height in 1..=newest {
        let time = tendermint_proto::google::protobuf::Timestamp { seconds: time.seconds + height, nanos: 0 };
        app.finalize_block(RequestFinalizeBlock { height, time: Some(time), ..Default::default() });
        app.commit();
    }
    app
}

impl Node {
    /// CometBFT's RPC is where nobody listens, unless the test says so.
    async fn start() -> Node {
        Node::with_rpc("http://127.0.0.1:1").await
    }

    async fn with_rpc(rpc_url: &str) -> Node {
        let dir = tempfile::tempdir().unwrap();
        let app = app_at_height_2(dir.path());
        Node::of(app, dir, rpc_url).await
    }

    async fn of(app: App, dir: tempfile::TempDir, rpc_url: &str) -> Node {
        let any = Some("127.0.0.1:0".parse().unwrap());
        let config = Config { grpc: any, rest: any, rpc_url: rpc_url.into() };
        Node { servers: Servers::start(app.clone(), config).await.unwrap(), app, _dir: dir }
    }

    async fn http(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, HeaderMap, String) {
        let url = format!("http://{}{path}", self.servers.rest.unwrap());
        let mut request = hyper::Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let client = Client::builder(TokioExecutor::new()).build_http();
        let response = client.request(request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        (head.status.as_u16(), head.headers, text)
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let (status, _, body) = self.http(Method::GET, path, &[], "").await;
        (status, serde_json::from_str(&body).unwrap())
    }

    async fn post(&self, path: &str, body: &str) -> (u16, Value) {
        let (status, _, body) = self.http(Method::POST, path, &[], body).await;
        (status, serde_json::from_str(&body).unwrap())
    }

    async fn channel(&self) -> tonic::transport::Channel {
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", self.servers.grpc.unwrap())).unwrap();
        endpoint.connect().await.unwrap()
    }

    /// A unary call with raw bytes: the answer and the height that it came with.
    async fn grpc(&self, path: &str, data: Vec<u8>, height: Option<&str>) -> Result<(Bytes, String), tonic::Status> {
        let mut client = tonic::client::Grpc::new(self.channel().await);
        client.ready().await.unwrap();
        let mut request = tonic::Request::new(Bytes::from(data));
        if let Some(height) = height {
            request.metadata_mut().insert("x-cosmos-block-height", MetadataValue::from_str(height).unwrap());
        }
        let response = client.unary(request, http::uri::PathAndQuery::from_str(path).unwrap(), Raw).await?;
        let height = response.metadata().get("x-cosmos-block-height").unwrap().to_str().unwrap().to_owned();
        Ok((response.into_inner(), height))
    }
}

#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;
    fn encoder(&mut self) -> Raw {
        Raw
    }
    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = tonic::Status;
    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), tonic::Status> {
        out.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = tonic::Status;
    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, tonic::Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

const BALANCE: &str = "/cosmos.bank.v1beta1.Query/Balance";

fn balance_of_alice() -> Vec<u8> {
    QueryBalanceRequest { address: alice(), denom: "uve".into() }.encode_to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balance_is_answered_over_grpc_with_the_height_it_is_true_for() {
    let node = Node::start().await;
    for (asked, answered) in [(None, "2"), (Some("0"), "2"), (Some("2"), "2"), (Some("1"), "1")] {
        let (bytes, height) = node.grpc(BALANCE, balance_of_alice(), asked).await.unwrap();
        assert_eq!(QueryBalanceResponse::decode(bytes).unwrap().balance.unwrap().amount, "1000000");
        assert_eq!(height, answered);
    }
    node.servers.stop().await;
}

/// Heights that no chain has, and what is said to them.
const BAD_HEIGHTS: [(&str, &str); 4] = [
    ("-1", "codespace sdk code 18: invalid request: cannot query with height < 0; please provide a valid height"),
    (
        "soon",
        "codespace sdk code 18: invalid request: Baseapp.RegisterGRPCServer: invalid height header \"x-cosmos-block-height\": \
         strconv.ParseInt: parsing \"soon\": invalid syntax",
    ),
    (
        "",
        "codespace sdk code 18: invalid request: Baseapp.RegisterGRPCServer: invalid height header \"x-cosmos-block-height\": \
         strconv.ParseInt: parsing \"\": invalid syntax",
    ),
    (
        "9223372036854775808",
        "codespace sdk code 18: invalid request: Baseapp.RegisterGRPCServer: invalid height header \"x-cosmos-block-height\": \
         strconv.ParseInt: parsing \"9223372036854775808\": value out of range",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn grpc_errors_have_the_codes_that_clients_expect() {
    let node = Node::start().await;
    let fail = async |path: &str, data: Vec<u8>, height: Option<&str>| {
        let status = node.grpc(path, data, height).await.unwrap_err();
        (status.code() as i32, status.message().to_owned())
    };
    let (code, text) = fail(BALANCE, balance_of_alice(), Some("99")).await;
    assert_eq!(code, 2);
    assert!(text.starts_with("codespace sdk code 26: invalid height: cannot query with height in the future"), "{text}");
    for (bad, refusal) in BAD_HEIGHTS {
        assert_eq!(fail(BALANCE, balance_of_alice(), Some(bad)).await, (2, refusal.into()), "{bad}");
    }
    let missing = proto::cosmos::auth::v1beta1::QueryAccountRequest { address: nobody() }.encode_to_vec();
    let (code, text) = fail("/cosmos.auth.v1beta1.Query/Account", missing, None).await;
    assert_eq!((code, text), (5, format!("account {} not found", nobody())));
    assert_eq!(fail(BALANCE, vec![0xff], None).await.0, 3);
    assert_eq!(fail("/cosmos.none.v1.Query/X", vec![], None).await, (12, "unknown service cosmos.none.v1.Query".into()));
    let (code, text) = fail("/cosmos.bank.v1beta1.Query/X", vec![], None).await;
    assert_eq!((code, text.as_str()), (12, "unknown method X for service cosmos.bank.v1beta1.Query"));
    assert_eq!(fail(BALANCE, vec![0; api::MAX_REQUEST + 1], None).await.0, 11);
    #[allow(deprecated)]
    let search = proto::cosmos::tx::v1beta1::GetTxsEventRequest { events: vec!["tx.height=1".into()], ..Default::default() };
    let (code, text) = fail("/cosmos.tx.v1beta1.Service/GetTxsEvent", search.encode_to_vec(), None).await;
    assert_eq!((code, text.as_str()), (13, "query cannot be empty"));
    // A node whose engine is away says so without telling where it was looked for.
    let (code, text) = fail("/cosmos.base.tendermint.v1beta1.Service/GetSyncing", vec![], None).await;
    assert_eq!(code, 14);
    assert!(!text.contains("127.0.0.1"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn reflection_goes_on_after_an_unknown_symbol() {
    use reflection_v1::server_reflection_request::MessageRequest;
    use reflection_v1::server_reflection_response::MessageResponse;
    let node = Node::start().await;
    for version in ["v1", "v1alpha"] {
        let ask = |request| reflection_v1::ServerReflectionRequest { host: String::new(), message_request: Some(request) };
        let questions = vec![
            ask(MessageRequest::FileContainingSymbol("cosmos.Nothing".into())),
            ask(MessageRequest::FileContainingSymbol("cosmos.bank.v1beta1.Query".into())),
            ask(MessageRequest::ListServices(String::new())),
        ];
        let mut client = tonic::client::Grpc::new(node.channel().await);
        client.ready().await.unwrap();
        let path = format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo").parse().unwrap();
        let codec = tonic::codec::ProstCodec::<_, reflection_v1::ServerReflectionResponse>::default();
        let answers = client.streaming(tonic::Request::new(tokio_stream::iter(questions)), path, codec).await.unwrap();
        let mut answers = answers.into_inner();
        let mut next = async || answers.message().await.unwrap().unwrap().message_response.unwrap();
        assert!(matches!(next().await, MessageResponse::ErrorResponse(e) if e.error_code == 5));
        assert!(matches!(next().await, MessageResponse::FileDescriptorResponse(_)));
        let MessageResponse::ListServicesResponse(list) = next().await else { panic!() };
        assert!(list.service.iter().any(|s| s.name == "virtengine.market.v1.Query"));
        assert!(!list.service.iter().any(|s| s.name == "cosmos.gov.v1.Query"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_told_for_the_node_and_each_service() {
    let node = Node::start().await;
    let mut client = tonic_health::pb::health_client::HealthClient::new(node.channel().await);
    for service in SERVICES.into_iter().chain([""]) {
        let request = tonic_health::pb::HealthCheckRequest { service: service.into() };
        assert_eq!(client.check(request).await.unwrap().into_inner().status, 1, "{service}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rest_answers_as_the_gateway_does() {
    let node = Node::start().await;
    let balances = format!("/cosmos/bank/v1beta1/balances/{}", alice());
    let (status, headers, body) = node.http(Method::GET, &balances, &[("x-cosmos-block-height", "1")], "").await;
    assert_eq!((status, headers["content-type"].as_bytes()), (200, b"application/json".as_slice()));
    assert_eq!(headers["x-cosmos-block-height"], "1");
    assert_eq!(headers["grpc-metadata-x-cosmos-block-height"], "1");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["balances"], json!([{ "denom": "uve", "amount": "1000000" }]));
    assert_eq!(body["pagination"], json!({ "next_key": null, "total": "1" }));

    let (status, body) = node.get(&format!("/cosmos/auth/v1beta1/accounts/{}", nobody())).await;
    assert_eq!((status, &body), (404, &json!({ "code": 5, "message": format!("account {} not found", nobody()), "details": [] })));
    let not_implemented = json!({ "code": 12, "message": "Not Implemented", "details": [] });
    for path in ["/ibc/apps/transfer/v1/params", "/", "/cosmos/gov/v1/proposals"] {
        assert_eq!(node.get(path).await, (501, not_implemented.clone()), "{path}");
    }
    assert_eq!(node.get("/cosmos/bank/v1beta1/spendable_balances/test").await.0, 400);
    let (status, body) = node.get("/cosmos/auth/v1beta1/accounts/xyz").await;
    assert_eq!((status, &body["code"]), (500, &json!(2)));
    let (status, body) = node.get(&format!("{balances}?pagination.limit=ten")).await;
    assert_eq!((status, &body["code"]), (400, &json!(3)));
    let (_, body) = node.get(&format!("{balances}?pagination.limit=1&unknown=1")).await;
    assert_eq!(body["pagination"]["total"], "0");
    let (_, body) = node.get(&format!("{balances}?pagination.limit=1&pagination.countTotal=true")).await;
    assert_eq!(body["pagination"]["total"], "1");

    let (status, _, body) = node.http(Method::GET, &balances, &[("x-cosmos-block-height", "9")], "").await;
    assert_eq!(status, 500);
    assert!(body.contains("codespace sdk code 26: invalid height: cannot query with height in the future"), "{body}");
    for (bad, refusal) in BAD_HEIGHTS {
        let (status, _, body) = node.http(Method::GET, &balances, &[("x-cosmos-block-height", bad)], "").await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, body), (500, json!({ "code": 2, "message": refusal, "details": [] })));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said_as_cosmos_sdk_says_it() {
    let node = Node::start().await;
    let (alice, nobody) = (alice(), nobody());
    let [a, b] = [[7; 20], [8; 20]].map(|raw| kernel::bech32_encode(kernel::VALIDATOR_PREFIX, &raw));
    let staking = "/cosmos/staking/v1beta1";
    for (path, status, code, message) in [
        (
            format!("/cosmos/authz/v1beta1/grants?granter={alice}&grantee={nobody}&msg_type_url=/x"),
            500,
            2,
            "codespace authz code 2: authorization not found: authorization not found for /x type".to_owned(),
        ),
        (format!("/cosmos/feegrant/v1beta1/allowance/{alice}/{nobody}"), 500, 13, "fee-grant not found: not found".into()),
        (format!("{staking}/validators/{a}"), 404, 5, format!("validator {a} not found")),
        (format!("{staking}/validators/xyz"), 500, 2, "decoding bech32 failed: invalid bech32 string length 3".into()),
        (format!("{staking}/delegators/{alice}/validators/{a}"), 500, 13, "no delegation for (address, validator) tuple".into()),
        (
            format!("{staking}/delegators/{alice}/redelegations?src_validator_addr={a}&dst_validator_addr={b}"),
            500,
            13,
            format!("rpc error: code = NotFound desc = redelegation not found for delegator address {alice} from validator address {a}"),
        ),
    ] {
        assert_eq!(node.get(&path).await, (status, json!({ "code": code, "message": message, "details": [] })), "{path}");
    }
    let (status, answer) = node.get(&format!("{staking}/delegators/{alice}/redelegations?src_validator_addr={a}")).await;
    assert_eq!((status, &answer["redelegation_responses"]), (200, &json!([])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_height_that_is_pruned_is_told_from_one_to_come() {
    let dir = tempfile::tempdir().unwrap();
    let store = app::store::Tuning { query_versions: 2, proof_versions: 2, ..Default::default() };
    let app = app_at(dir.path(), 5, app::Config { store, ..Default::default() });
    let node = Node::of(app, dir, "http://127.0.0.1:1").await;
    let begins = "codespace sdk code 38: not found: failed to load state at height 2; ";
    let status = node.grpc(BALANCE, balance_of_alice(), Some("2")).await.unwrap_err();
    let text = status.message();
    assert!(status.code() as i32 == 2 && text.starts_with(begins) && text.ends_with(" (latest height: 5)"), "{text}");
    // Services that the engine answers look at the height as well.
    for path in ["/cosmos/bank/v1beta1/params", "/cosmos/base/tendermint/v1beta1/node_info"] {
        let (status, _, body) = node.http(Method::GET, path, &[("x-cosmos-block-height", "2")], "").await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert!(status == 500 && body["code"] == 2 && body["message"].as_str().unwrap().starts_with(begins), "{body}");
    }
    assert_eq!(node.grpc(BALANCE, balance_of_alice(), Some("4")).await.unwrap().1, "4");
}

/// What alice sends to have a transfer's gas estimated, before `change`.
fn estimate(change: impl Fn(&mut Value)) -> String {
    let amount = json!([{ "denom": "uve", "amount": "5" }]);
    let send = json!({ "@type": "/cosmos.bank.v1beta1.MsgSend", "from_address": alice(), "to_address": nobody(), "amount": amount });
    let mut tx = json!({
        "body": { "messages": [send] },
        "auth_info": {
            "signer_infos": [{ "mode_info": { "single": { "mode": "SIGN_MODE_DIRECT" } }, "sequence": "0" }],
            "fee": { "amount": [], "gas_limit": "0" },
        },
        "signatures": [""],
    });
    change(&mut tx);
    json!({ "tx": tx }).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_estimate_needs_no_fee_key_mode_or_signature() {
    let node = Node::start().await;
    let mode = |number: i32| move |tx: &mut Value| tx["auth_info"]["signer_infos"][0]["mode_info"]["single"]["mode"] = json!(number);
    let bodies = [
        estimate(|_| ()),
        estimate(|tx| tx["auth_info"]["fee"] = Value::Null),
        estimate(|tx| tx["signatures"][0] = json!("anVuaw==")),
        estimate(mode(0)),
        estimate(mode(99)),
    ];
    for body in bodies {
        let (status, answer) = node.post("/cosmos/tx/v1beta1/simulate", &body).await;
        assert_eq!((status, &answer["gas_info"]["gas_wanted"]), (200, &json!("18446744073709551615")), "{answer}");
        assert!(answer["gas_info"]["gas_used"].as_str().unwrap().parse::<u64>().unwrap() > 20_000, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_estimate_of_what_cannot_work_is_an_unknown_error_with_the_reason() {
    let node = Node::start().await;
    let message = |message: Value| estimate(move |tx| tx["body"]["messages"] = message.clone());
    let exec = json!([{ "@type": "/cosmos.authz.v1beta1.MsgExec", "grantee": alice(), "msgs": [] }]);
    let fee = json!([{ "denom": "uve", "amount": "1000001" }]);
    let cases = [
        (
            estimate(|tx| tx["auth_info"]["signer_infos"][0]["sequence"] = json!("7")),
            "account sequence mismatch, expected 0, got 7: incorrect account sequence with gas used: '",
        ),
        (
            estimate(|tx| tx["auth_info"]["fee"]["amount"] = fee.clone()),
            "spendable balance 1000000uve is smaller than 1000001uve: insufficient funds with gas used: '",
        ),
        (
            estimate(|tx| tx["auth_info"]["fee"]["gas_limit"] = json!("9223372036854775808")),
            "invalid gas supplied; 9223372036854775808 > 9223372036854775807: invalid request with gas used: '0'",
        ),
        (
            estimate(|tx| tx["body"]["memo"] = json!("x".repeat(257))),
            "maximum number of characters is 256 but received 257 characters: memo too large with gas used: '",
        ),
        (
            estimate(|tx| tx["body"]["timeout_height"] = json!("1")),
            "block height: 3, timeout height: 1: tx timeout height with gas used: '",
        ),
        (estimate(|tx| tx["signatures"] = json!([])), "no signatures supplied with gas used: '0'"),
        (message(json!([])), "must contain at least one message: invalid request with gas used: '0'"),
        (message(exec), "messages cannot be empty: invalid request with gas used: '"),
    ];
    for (body, reason) in cases {
        let (status, answer) = node.post("/cosmos/tx/v1beta1/simulate", &body).await;
        assert_eq!((status, &answer["code"]), (500, &json!(2)), "{answer}");
        assert!(answer["message"].as_str().unwrap().contains(reason), "{answer}");
    }
    let (status, answer) = node.post("/cosmos/tx/v1beta1/simulate", r#"{"tx_bytes":"AQID"}"#).await;
    assert_eq!((status, &answer["code"]), (500, &json!(2)));
    assert!(answer["message"].as_str().unwrap().ends_with(": tx parse error with gas used: '0'"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_are_encoded_and_decoded_over_rest() {
    let node = Node::start().await;
    let (encode, decode) = ("/cosmos/tx/v1beta1/encode", "/cosmos/tx/v1beta1/decode");
    let (status, encoded) = node.post(encode, &estimate(|tx| tx["body"]["memo"] = json!("hello"))).await;
    assert_eq!(status, 200, "{encoded}");
    let (status, decoded) = node.post(decode, &encoded.to_string()).await;
    assert_eq!(status, 200, "{decoded}");
    let body = &decoded["tx"]["body"];
    assert_eq!((&body["memo"], &body["messages"][0]["to_address"]), (&json!("hello"), &json!(nobody())));
    assert_eq!(node.post(encode, &decoded.to_string()).await, (200, encoded));
    for (path, message) in [(encode, "invalid empty tx"), (decode, "invalid empty tx bytes")] {
        assert_eq!(node.post(path, "{}").await, (400, json!({ "code": 3, "message": message, "details": [] })));
    }
    let (status, answer) = node.post(decode, r#"{"tx_bytes":"AQID"}"#).await;
    assert_eq!((status, &answer["code"]), (500, &json!(2)));
    assert!(answer["message"].as_str().unwrap().starts_with("codespace sdk code 2: tx parse error: "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn posted_bodies_are_read_as_the_gateway_reads_them() {
    let node = Node::start().await;
    let simulate = "/cosmos/tx/v1beta1/simulate";
    for body in ["", "{}"] {
        let (status, body) = node.post(simulate, body).await;
        assert_eq!((status, body), (400, json!({ "code": 3, "message": "empty txBytes is not allowed", "details": [] })));
    }
    for body in ["{", "[]", "{\"bytes\":1}", "{\"tx_bytes\":\"?\"}"] {
        let (status, answer) = node.post(simulate, body).await;
        assert_eq!((status, &answer["code"]), (400, &json!(3)), "{body}");
    }
    // The content type does not matter.
    let (status, _, _) = node.http(Method::POST, simulate, &[("content-type", "text/plain")], "{}").await;
    assert_eq!(status, 400);
    let (status, answer) = node.post("/cosmos/tx/v1beta1/txs", r#"{"tx_bytes":"AQ==","mode":"BROADCAST_MODE_BLOCK"}"#).await;
    let text = "unsupported return type unspecified; supported types: sync, async";
    assert_eq!((status, answer), (500, json!({ "code": 2, "message": text, "details": [] })));
    let (status, answer) = node.get("/cosmos/tx/v1beta1/txs?events=a").await;
    assert_eq!((status, answer), (500, json!({ "code": 13, "message": "query cannot be empty", "details": [] })));
    let (status, answer) = node.get(simulate).await;
    assert_eq!((status, &answer["message"]), (501, &json!("Method Not Allowed")));
    let (status, answer) = node.post("/cosmos/tx/v1beta1/encode/amino", "{}").await;
    assert_eq!((status, &answer["code"]), (501, &json!(12)));
}

#[tokio::test(flavor = "multi_thread")]
async fn any_site_may_ask_and_read_the_height() {
    let node = Node::start().await;
    let path = "/cosmos/bank/v1beta1/params";
    let preflight = [
        ("origin", "https://a.example"),
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "x-cosmos-block-height"),
    ];
    let (status, headers, _) = node.http(Method::OPTIONS, path, &preflight, "").await;
    assert_eq!((status, &headers["access-control-allow-origin"]), (200, &"*".parse().unwrap()));
    let (_, headers, _) = node.http(Method::GET, path, &[("origin", "https://a.example")], "").await;
    assert_eq!(headers["access-control-allow-origin"], "*");
    assert!(headers["access-control-expose-headers"].to_str().unwrap().contains("x-cosmos-block-height"));
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_served() {
    let node = Node::start().await;
    let (status, document) = node.get("/swagger/openapi.json").await;
    assert_eq!((status, &document["openapi"]), (200, &json!("3.0.3")));
    let (status, headers, _) = node.http(Method::GET, "/swagger", &[], "").await;
    assert_eq!(status, 200);
    assert!(headers["content-type"].to_str().unwrap().starts_with("text/html"));
    let (status, specs) = node.get("/virtengine/proofs/v1/specs").await;
    assert_eq!((status, specs.as_array().unwrap().len()), (200, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_of_a_served_service_is_answered_and_no_other() {
    let node = Node::start().await;
    for service in SERVICES {
        assert!(proto::descriptors().get_service_by_name(service).is_some(), "{service}");
    }
    let mut unanswered = Vec::new();
    for service in proto::descriptors().services() {
        let name = service.full_name().to_owned();
        for method in service.methods() {
            let path = format!("/{name}/{}", method.name());
            let here = super::services::serves(&path);
            let known = here || !matches!(node.app.query(&path, &[], 0), Err(e) if e.log.starts_with("unknown query path"));
            if known != SERVICES.contains(&name.as_str()) {
                unanswered.push(path);
            }
        }
    }
    assert!(unanswered.is_empty(), "{unanswered:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_services_answer_over_abci_query() {
    let node = Node::start().await;
    let ask = async |path: &str, data: Vec<u8>| {
        let (app, request) = (node.app.clone(), RequestQuery { path: path.into(), data: data.into(), ..Default::default() });
        tokio::task::spawn_blocking(move || Application::query(&app, request)).await.unwrap()
    };
    let answer = ask("/cosmos.tx.v1beta1.Service/BroadcastTx", Vec::new()).await;
    assert_eq!((answer.code, answer.codespace.as_str()), (18, "sdk"));
    assert_eq!(answer.log, "rpc error: code = InvalidArgument desc = invalid empty tx: invalid request");
    let answer = ask("/cosmos.tx.v1beta1.Service/GetTx", Vec::new()).await;
    assert_eq!(
        (answer.code, answer.log.as_str()),
        (18, "rpc error: code = InvalidArgument desc = tx hash cannot be empty: invalid request")
    );
    let answer = ask("/cosmos.base.tendermint.v1beta1.Service/GetSyncing", Vec::new()).await;
    assert_eq!(answer.code, 6);
    assert!(answer.log.starts_with("rpc error: code = Unavailable desc = "), "{}", answer.log);
    let nested = proto::cosmos::base::tendermint::v1beta1::AbciQueryRequest {
        path: "/cosmos.base.tendermint.v1beta1.Service/ABCIQuery".into(),
        ..Default::default()
    };
    let answer = ask("/cosmos.base.tendermint.v1beta1.Service/ABCIQuery", nested.encode_to_vec()).await;
    assert_eq!(answer.code, 18, "{}", answer.log);
    let inner = proto::cosmos::base::tendermint::v1beta1::AbciQueryRequest { path: "/app/version".into(), ..Default::default() };
    let answer = ask("/cosmos.base.tendermint.v1beta1.Service/ABCIQuery", inner.encode_to_vec()).await;
    let answer = proto::cosmos::base::tendermint::v1beta1::AbciQueryResponse::decode(answer.value).unwrap();
    assert_eq!(answer.value, app::VERSION.as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named_with_the_setting_that_changes_it() {
    let node = Node::start().await;
    let dir = tempfile::tempdir().unwrap();
    let app = app_at_height_2(dir.path());
    for (grpc, rest, setting) in [(node.servers.grpc, None, "grpc.address"), (None, node.servers.rest, "api.address")] {
        let config = Config { grpc, rest, rpc_url: "http://127.0.0.1:1".into() };
        let text = Servers::start(app.clone(), config).await.err().unwrap().to_string();
        let port = grpc.or(rest).unwrap().port().to_string();
        assert!(text.contains(&port) && text.contains(setting), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_server_lets_go_of_ports_and_store() {
    let node = Node::start().await;
    let (grpc, rest) = (node.servers.grpc.unwrap(), node.servers.rest.unwrap());
    node.servers.stop().await;
    for address in [grpc, rest] {
        TcpListener::bind(address).await.unwrap();
    }
    drop(node.app);
    App::open(node._dir.path(), app::Config::default()).unwrap();
}
