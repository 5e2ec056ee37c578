//! The JSON-RPC methods that the command line, the provider daemon and simple clients need, as CometBFT 0.38 answers
//! them: POST with JSON-RPC at `/`, GET with query parameters at `/method` (quotes have to be percent-encoded there).

use std::{collections::HashMap, ops::RangeInclusive, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Path, Query as UriQuery, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tendermint::Time;
use tendermint_abci::Application;
use tendermint_proto::v0_38::abci::{ExecTxResult, RequestQuery};
use tokio::sync::watch;

use super::{
    BLOCK_PROTOCOL, COMETBFT_VERSION, Chain, P2P_PROTOCOL, call, json, request_info,
    search::Query,
    store::{Block, TxHash},
};

/// `rpc.max_body_bytes` of CometBFT.
const MAX_BODY: usize = 1_000_000;
/// `rpc.timeout_broadcast_tx_commit` of CometBFT.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(10);
/// Transactions in one answer: what is asked for at the most, and what is given unasked.
const MAX_PER_PAGE: i64 = 100;
const PER_PAGE: i64 = 30;

/// Methods and the names of their parameters in order.
const METHODS: &[(&str, &[&str])] = &[
    ("abci_info", &[]),
    ("abci_query", &["path", "data", "height", "prove"]),
    ("block", &["height"]),
    ("block_by_hash", &["hash"]),
    ("block_results", &["height"]),
    ("block_search", &["query", "page", "per_page", "order_by"]),
    ("broadcast_tx_async", &["tx"]),
    ("broadcast_tx_commit", &["tx"]),
    ("broadcast_tx_sync", &["tx"]),
    ("genesis", &[]),
    ("header", &["height"]),
    ("health", &[]),
    ("num_unconfirmed_txs", &[]),
    ("status", &[]),
    ("tx", &["hash", "prove"]),
    ("tx_search", &["query", "prove", "page", "per_page", "order_by"]),
    ("unconfirmed_txs", &["limit"]),
    ("validators", &["height", "page", "per_page"]),
];

/// Serves until `height` turns negative.
pub async fn serve<A: Application>(
    listener: tokio::net::TcpListener,
    chain: Arc<Chain<A>>,
    mut height: watch::Receiver<i64>,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/", get(list).post(by_json))
        .route("/{method}", get(by_uri))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(chain);
    axum::serve(listener, router)
        .with_graceful_shutdown(async move {
            // An error means that the chain is gone.
            height.wait_for(|height| *height < 0).await.map(drop).ok();
        })
        .await
}

async fn list() -> String {
    METHODS.iter().map(|(name, args)| format!("/{name}?{}\n", args.join("=_&"))).collect()
}

async fn by_uri<A: Application>(
    State(chain): State<Arc<Chain<A>>>,
    Path(method): Path<String>,
    UriQuery(params): UriQuery<HashMap<String, String>>,
) -> Response {
    if !METHODS.iter().any(|(name, _)| *name == method) {
        return (StatusCode::NOT_FOUND, "404 page not found\n").into_response();
    }
    let id = json!(-1);
    match execute(chain, method, Params::Uri(params)).await {
        Ok(result) => Json(success(&id, result)).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, Json(error.response(&id))).into_response(),
    }
}

async fn by_json<A: Application>(State(chain): State<Arc<Chain<A>>>, body: Bytes) -> Response {
    let requests = match serde_json::from_slice(&body) {
        Ok(Value::Array(requests)) => requests,
        Ok(request) => vec![request],
        Err(e) => {
            let error = Error { code: -32700, message: "Parse error. Invalid JSON", data: format!("error unmarshaling request: {e}") };
            return (StatusCode::INTERNAL_SERVER_ERROR, Json(error.response(&Value::Null))).into_response();
        }
    };
    let mut responses = Vec::new();
    for request in requests {
        // A notification is not answered.
        let Some(id) = request.get("id").filter(|id| !id.is_null()).cloned() else {
            continue;
        };
        let outcome = match request.get("method").and_then(Value::as_str) {
            None => Err(Error::invalid_request("method: expected a string")),
            Some(method) => match params(method, request.get("params")) {
                Ok(params) => execute(Arc::clone(&chain), method.to_owned(), params).await,
                Err(error) => Err(error),
            },
        };
        responses.push(match outcome {
            Ok(result) => success(&id, result),
            Err(error) => error.response(&id),
        });
    }
    match responses.len() {
        0 => StatusCode::OK.into_response(),
        1 => Json(responses.remove(0)).into_response(),
        _ => Json(responses).into_response(),
    }
}

fn success(id: &Value, result: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

/// Named or positional parameters by name.
fn params(method: &str, given: Option<&Value>) -> Result<Params, Error> {
    let Some((_, names)) = METHODS.iter().find(|(name, _)| *name == method) else {
        return Err(Error::method_not_found());
    };
    match given {
        None | Some(Value::Null) => Ok(Params::Json(Map::new())),
        Some(Value::Object(map)) => Ok(Params::Json(map.clone())),
        Some(Value::Array(list)) if list.is_empty() || list.len() == names.len() => {
            Ok(Params::Json(names.iter().map(ToString::to_string).zip(list.iter().cloned()).collect()))
        }
        Some(Value::Array(list)) => {
            Err(Error::invalid(format!("expected {} parameters ([{}]), got {}", names.len(), names.join(" "), list.len())))
        }
        Some(_) => Err(Error::invalid("params: expected an object or an array")),
    }
}

struct Error {
    code: i32,
    message: &'static str,
    data: String,
}

impl Error {
    fn invalid(data: impl Into<String>) -> Self {
        let data = format!("error converting params to arguments: {}", data.into());
        Self { code: -32602, message: "Invalid params", data }
    }

    fn invalid_request(data: &str) -> Self {
        Self { code: -32600, message: "Invalid Request", data: data.into() }
    }

    fn method_not_found() -> Self {
        Self { code: -32601, message: "Method not found", data: String::new() }
    }

    fn internal(data: impl Into<String>) -> Self {
        Self { code: -32603, message: "Internal error", data: data.into() }
    }

    fn response(&self, id: &Value) -> Value {
        let mut error = json!({"code": self.code, "message": self.message});
        if !self.data.is_empty() {
            error["data"] = self.data.clone().into();
        }
        json!({"jsonrpc": "2.0", "id": id, "error": error})
    }
}

impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        Self::internal(format!("{error:#}"))
    }
}

enum Params {
    Json(Map<String, Value>),
    Uri(HashMap<String, String>),
}

/// How bytes are written in JSON.
#[derive(Clone, Copy)]
enum Encoding {
    Base64,
    Hex,
}

impl Params {
    fn json(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Json(map) => map.get(name).filter(|value| !value.is_null()),
            Self::Uri(_) => None,
        }
    }

    fn uri(&self, name: &str) -> Option<&str> {
        match self {
            Self::Json(_) => None,
            Self::Uri(map) => map.get(name).map(String::as_str).filter(|text| !text.is_empty()),
        }
    }

    fn number(&self, name: &str) -> Result<Option<i64>, Error> {
        let parsed = match (self.json(name), self.uri(name)) {
            (Some(Value::String(text)), _) => text.parse().ok(),
            (Some(value), _) => value.as_i64(),
            (_, Some(text)) => text.trim_matches('"').parse().ok(),
            (None, None) => return Ok(None),
        };
        parsed.map(Some).ok_or_else(|| Error::invalid(format!("{name}: expected a 64-bit integer")))
    }

    fn flag(&self, name: &str) -> Result<bool, Error> {
        match (self.json(name), self.uri(name)) {
            (Some(Value::Bool(flag)), _) => Ok(*flag),
            (_, Some("true")) => Ok(true),
            (None, None) | (_, Some("false")) => Ok(false),
            _ => Err(Error::invalid(format!("{name}: expected true or false"))),
        }
    }

    fn text(&self, name: &str) -> Result<String, Error> {
        if let Some(value) = self.json(name) {
            let text = value.as_str().map(str::to_owned);
            return text.ok_or_else(|| Error::invalid(format!("{name}: expected a string")));
        }
        let bytes = self.quoted(name)?;
        String::from_utf8(bytes.unwrap_or_default()).map_err(|_| Error::invalid(format!("{name}: expected UTF-8")))
    }

    fn bytes(&self, name: &str, encoding: Encoding) -> Result<Bytes, Error> {
        let Some(value) = self.json(name) else {
            return Ok(self.quoted(name)?.unwrap_or_default().into());
        };
        let text = value.as_str();
        let (decoded, expected) = match encoding {
            Encoding::Base64 => (text.and_then(|t| BASE64_STANDARD.decode(t).ok()), "base64"),
            Encoding::Hex => (text.and_then(|t| hex::decode(t).ok()), "hex"),
        };
        decoded.map(Bytes::from).ok_or_else(|| Error::invalid(format!("{name}: expected a string of {expected}")))
    }

    /// A query parameter: `"text"` as it is, or `0x…` in hex.
    fn quoted(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let Some(text) = self.uri(name) else {
            return Ok(None);
        };
        let value = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some(digits) => hex::decode(digits).ok(),
            None => serde_json::from_str::<String>(text).ok().map(String::into_bytes),
        };
        value.map(Some).ok_or_else(|| Error::invalid(format!("{name}: expected \"text\" or 0x and hex digits")))
    }
}

async fn execute<A: Application>(chain: Arc<Chain<A>>, method: String, params: Params) -> Result<Value, Error> {
    if method == "broadcast_tx_commit" {
        return broadcast_tx_commit(chain, params).await;
    }
    // The application may take its time.
    tokio::task::spawn_blocking(move || chain.answer(&method, &params)).await.map_err(|e| Error::internal(e.to_string()))?
}

async fn broadcast_tx_commit<A: Application>(chain: Arc<Chain<A>>, params: Params) -> Result<Value, Error> {
    let tx = params.bytes("tx", Encoding::Base64)?;
    let hash: TxHash = Sha256::digest(&tx).into();
    let mut height = chain.height.subscribe();
    let checking = Arc::clone(&chain);
    let checked = tokio::task::spawn_blocking(move || checking.check_tx(tx))
        .await
        .map_err(|e| Error::internal(e.to_string()))?
        .map_err(|e| Error::internal(format!("error on broadcastTxCommit: {e}")))?;
    let answer = |result: &ExecTxResult, height: i64| {
        json!({
            "check_tx": json::check_tx(&checked),
            "tx_result": json::tx_result(result),
            "hash": json::hex(hash),
            "height": height.to_string(),
        })
    };
    if checked.code != 0 {
        return Ok(answer(&ExecTxResult::default(), 0));
    }
    let committed = async {
        loop {
            if let Some(found) = chain.committed(&hash)? {
                return Ok(found);
            }
            if height.changed().await.is_err() || *height.borrow() < 0 {
                return Err(Error::internal("the node stops"));
            }
        }
    };
    let committed = tokio::time::timeout(COMMIT_TIMEOUT, committed)
        .await
        .map_err(|_| Error::internal("timed out waiting for tx to be included in a block"))?;
    let Committed { height, result, .. } = committed?;
    Ok(answer(&result, height))
}

struct Committed {
    height: i64,
    index: usize,
    tx: Bytes,
    result: ExecTxResult,
}

impl<A: Application> Chain<A> {
    fn answer(&self, method: &str, params: &Params) -> Result<Value, Error> {
        match method {
            "abci_info" => {
                let app = self.app();
                Ok(json!({"response": json::info(&call("Info", || app.info(request_info())))}))
            }
            "abci_query" => {
                let request = RequestQuery {
                    path: params.text("path")?,
                    data: params.bytes("data", Encoding::Hex)?,
                    height: params.number("height")?.unwrap_or_default(),
                    prove: params.flag("prove")?,
                };
                let app = self.app();
                Ok(json!({"response": json::query(&call("Query", || app.query(request)))}))
            }
            "block" => {
                let height = self.height_of(params)?;
                Ok(json::block(&self.block(height)?))
            }
            "block_by_hash" => {
                let hash = params.bytes("hash", Encoding::Base64)?;
                let heights = self.first..=self.state.read().height;
                let found = heights.rev().map(|height| self.block(height)).find(|b| b.as_ref().map_or(true, |b| b.hash == hash));
                Ok(found.transpose()?.map_or_else(|| json!({"block_id": json::block_id(None), "block": null}), |block| json::block(&block)))
            }
            "header" => {
                let height = self.height_of(params)?;
                Ok(json!({"header": json::block(&self.block(height)?)["block"]["header"].take()}))
            }
            "block_results" => {
                let height = self.height_of(params)?;
                let result = self.store.read().result(height)?;
                let result = result.ok_or_else(|| Error::internal(format!("no results of block {height}")))?;
                Ok(json::block_results(height, &result))
            }
            "broadcast_tx_async" | "broadcast_tx_sync" => {
                let tx = params.bytes("tx", Encoding::Base64)?;
                let hash = json::hex(Sha256::digest(&tx));
                let checked = self.check_tx(tx).map_err(Error::internal)?;
                if method == "broadcast_tx_async" {
                    return Ok(json!({"code": 0, "data": "", "log": "", "codespace": "", "hash": hash}));
                }
                Ok(json!({
                    "code": checked.code,
                    "data": json::hex(&checked.data),
                    "log": checked.log,
                    "codespace": checked.codespace,
                    "hash": hash,
                }))
            }
            "genesis" => Ok(json!({"genesis": self.genesis_json})),
            "health" => Ok(json!({})),
            "num_unconfirmed_txs" => Ok(self.unconfirmed(None)),
            "status" => self.status(),
            "tx" => {
                let hash = params.bytes("hash", Encoding::Base64)?;
                refuse_proof(params)?;
                let found = self.committed_bytes(&hash)?;
                found.map(|found| tx(&hash, &found)).ok_or_else(|| Error::internal(format!("tx ({}) not found", json::hex(&hash))))
            }
            "tx_search" => {
                refuse_proof(params)?;
                let query = Query::parse(&params.text("query")?).map_err(Error::internal)?;
                let mut found = self.search_txs(&query)?;
                if descending(params, "asc")? {
                    found.reverse();
                }
                let (page, total) = page(params, found)?;
                let txs: Vec<_> = page.iter().map(|found| tx(&Sha256::digest(&found.tx), found)).collect();
                Ok(json!({"txs": txs, "total_count": total}))
            }
            "block_search" => {
                let query = Query::parse(&params.text("query")?).map_err(Error::internal)?;
                let mut found = self.search_blocks(&query)?;
                if descending(params, "desc")? {
                    found.reverse();
                }
                let (page, total) = page(params, found)?;
                let blocks = page.into_iter().map(|height| self.block(height).map(|b| json::block(&b)));
                Ok(json!({"blocks": blocks.collect::<Result<Vec<_>, _>>()?, "total_count": total}))
            }
            "unconfirmed_txs" => Ok(self.unconfirmed(Some(params.number("limit")?.unwrap_or(PER_PAGE)))),
            "validators" => {
                let state = self.state.read();
                let height = params.number("height")?.unwrap_or(state.height + 1);
                self.check_height(height, state.height + 1)?;
                let validators: Vec<_> = state.validators(height).iter().map(json::validator).collect();
                let count = validators.len().to_string();
                Ok(json!({"block_height": height.to_string(), "validators": validators, "count": count, "total": count}))
            }
            _ => Err(Error::method_not_found()),
        }
    }

    /// The parameter `height`; the last committed block without it.
    fn height_of(&self, params: &Params) -> Result<i64, Error> {
        let last = self.state.read().height;
        let height = params.number("height")?.unwrap_or(last);
        self.check_height(height, last)?;
        Ok(height)
    }

    fn check_height(&self, height: i64, last: i64) -> Result<(), Error> {
        if height <= 0 {
            return Err(Error::internal(format!("height must be greater than 0, but got {height}")));
        }
        if height > last {
            return Err(Error::internal(format!("height {height} must be less than or equal to the current blockchain height {last}")));
        }
        if height < self.first {
            let first = self.first;
            return Err(Error::internal(format!("height {height} is not available, lowest height is {first}")));
        }
        Ok(())
    }

    fn block(&self, height: i64) -> Result<Block, Error> {
        self.store.read().block(height)?.ok_or_else(|| Error::internal(format!("no block {height}")))
    }

    /// The committed blocks that a query may look at.
    fn heights(&self, query: &Query) -> RangeInclusive<i64> {
        self.first.max(*query.heights.start())..=self.state.read().height.min(*query.heights.end())
    }

    fn search_txs(&self, query: &Query) -> Result<Vec<Committed>, Error> {
        let mut found = Vec::new();
        if let Some(hash) = &query.hash {
            let one = self.committed_bytes(hash)?;
            found.extend(one.filter(|one| query.heights.contains(&one.height) && query.accepts(&one.result.events)));
            return Ok(found);
        }
        for height in self.heights(query) {
            let Some(results) = self.store.read().result(height)? else { continue };
            let matching: Vec<_> = results.tx_results.into_iter().enumerate().filter(|(_, r)| query.accepts(&r.events)).collect();
            if matching.is_empty() {
                continue;
            }
            let txs = self.block(height)?.txs;
            let committed = |(index, result): (usize, _)| Some(Committed { height, index, tx: txs.get(index)?.clone(), result });
            found.extend(matching.into_iter().filter_map(committed));
        }
        Ok(found)
    }

    fn search_blocks(&self, query: &Query) -> Result<Vec<i64>, Error> {
        let mut found = Vec::new();
        for height in self.heights(query) {
            let result = self.store.read().result(height)?;
            found.extend(result.filter(|r| query.accepts(&r.events)).map(|_| height));
        }
        Ok(found)
    }

    fn committed_bytes(&self, hash: &[u8]) -> Result<Option<Committed>, Error> {
        match hash.try_into() {
            Ok(hash) => self.committed(hash),
            Err(_) => Ok(None),
        }
    }

    /// A transaction of a block that the application has committed.
    fn committed(&self, hash: &TxHash) -> Result<Option<Committed>, Error> {
        let last = self.state.read().height;
        let store = self.store.read();
        let Some((height, index)) = store.tx(hash).filter(|(height, _)| *height <= last) else {
            return Ok(None);
        };
        let tx = store.block(height)?.and_then(|block| block.txs.get(index).cloned());
        let result = store.result(height)?.and_then(|result| result.tx_results.get(index).cloned());
        Ok(tx.zip(result).map(|(tx, result)| Committed { height, index, tx, result }))
    }

    fn unconfirmed(&self, limit: Option<i64>) -> Value {
        let mempool = self.mempool.lock();
        let txs = limit.map(|limit| {
            let limit = if limit < 1 { PER_PAGE } else { limit.min(MAX_PER_PAGE) };
            mempool.iter().take(limit as usize).map(|w| json::base64(&w.tx)).collect::<Vec<_>>()
        });
        json!({
            "n_txs": txs.as_ref().map_or(mempool.len(), Vec::len).to_string(),
            "total": mempool.len().to_string(),
            "total_bytes": mempool.bytes().to_string(),
            "txs": txs,
        })
    }

    fn status(&self) -> Result<Value, Error> {
        let state = self.state.read();
        let store = self.store.read();
        let mut sync = Map::new();
        for (prefix, height) in [("latest", state.height), ("earliest", self.first)] {
            let block = store.block(height)?.filter(|_| height <= state.height);
            let header = block.as_ref().map(|b| &b.header);
            let mut put = |key: &str, value: String| sync.insert(format!("{prefix}_{key}"), value.into());
            put("block_hash", block.as_ref().map(|b| json::hex(&b.hash)).unwrap_or_default());
            put("app_hash", header.map(|h| json::hex(&h.app_hash)).unwrap_or_default());
            put("block_height", header.map_or(0, |h| h.height).to_string());
            put("block_time", header.map_or_else(|| json::time(Time::unix_epoch()), json::header_time));
        }
        sync.insert("catching_up".into(), false.into());
        let validator = state.validators(state.height + 1).first();
        let validator = validator.ok_or_else(|| Error::internal("no validator is left"))?;
        let address = format!("tcp://{}", self.config.rpc);
        Ok(json!({
            "node_info": {
                "protocol_version": {
                    "p2p": P2P_PROTOCOL.to_string(),
                    "block": BLOCK_PROTOCOL.to_string(),
                    "app": self.app_version.to_string(),
                },
                "id": hex::encode(validator.address.as_bytes()),
                "listen_addr": "",
                "network": self.genesis.chain_id,
                "version": COMETBFT_VERSION,
                "channels": "",
                "moniker": self.config.moniker,
                "other": {"tx_index": "on", "rpc_address": address},
            },
            "sync_info": sync,
            "validator_info": {
                "address": json::hex(validator.address.as_bytes()),
                "pub_key": json::public_key(validator.pub_key),
                "voting_power": validator.power().to_string(),
            },
        }))
    }
}

fn tx(hash: &[u8], found: &Committed) -> Value {
    json!({
        "hash": json::hex(hash),
        "height": found.height.to_string(),
        "index": found.index,
        "tx_result": json::tx_result(&found.result),
        "tx": json::base64(&found.tx),
    })
}

fn refuse_proof(params: &Params) -> Result<(), Error> {
    if params.flag("prove")? {
        return Err(Error::internal("prove: the solo engine has no proofs of transactions; use CometBFT"));
    }
    Ok(())
}

/// The order that is asked for; CometBFT's default differs from method to method.
fn descending(params: &Params, default: &str) -> Result<bool, Error> {
    match params.text("order_by")?.as_str() {
        "" => Ok(default == "desc"),
        "asc" => Ok(false),
        "desc" => Ok(true),
        _ => Err(Error::internal("expected order_by to be either `asc` or `desc` or empty")),
    }
}

/// The page that is asked for, and how many there are in all.
fn page<T>(params: &Params, all: Vec<T>) -> Result<(Vec<T>, String), Error> {
    let size = params.number("per_page")?.filter(|size| *size > 0).unwrap_or(PER_PAGE).min(MAX_PER_PAGE) as usize;
    let (total, pages) = (all.len(), all.len().div_ceil(size).max(1));
    let page = params.number("page")?.unwrap_or(1);
    match usize::try_from(page).ok().filter(|page| (1..=pages).contains(page)) {
        Some(page) => Ok((all.into_iter().skip((page - 1) * size).take(size).collect(), total.to_string())),
        None => Err(Error::internal(format!("page should be within [1, {pages}] range, given {page}"))),
    }
}
