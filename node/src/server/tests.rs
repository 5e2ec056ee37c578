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
    let app = App::open(dir, app::Config::default()).unwrap();
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
    for height in 1..=2 {
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
    for bad in ["-1", "x", "9223372036854775808"] {
        assert_eq!(fail(BALANCE, balance_of_alice(), Some(bad)).await.0, 3, "{bad}");
    }
    let missing = proto::cosmos::auth::v1beta1::QueryAccountRequest { address: nobody() }.encode_to_vec();
    let (code, text) = fail("/cosmos.auth.v1beta1.Query/Account", missing, None).await;
    assert_eq!((code, text), (5, format!("account {} not found", nobody())));
    assert_eq!(fail(BALANCE, vec![0xff], None).await.0, 3);
    assert_eq!(fail("/cosmos.none.v1.Query/X", vec![], None).await, (12, "unknown service cosmos.none.v1.Query".into()));
    let (code, text) = fail("/cosmos.bank.v1beta1.Query/X", vec![], None).await;
    assert_eq!((code, text.as_str()), (12, "unknown method X for service cosmos.bank.v1beta1.Query"));
    assert_eq!(fail(BALANCE, vec![0; api::MAX_REQUEST + 1], None).await.0, 11);
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
    let (status, _, _) = node.http(Method::GET, &balances, &[("x-cosmos-block-height", "x")], "").await;
    assert_eq!(status, 400);
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
    assert_eq!(answer.log, "rpc error: code = InvalidArgument desc = invalid empty tx");
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
