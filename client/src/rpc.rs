//! A node's JSON-RPC: queries by gRPC path over `abci_query`, and broadcasting.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use prost::Message;
use serde_json::{Value, json};
use std::time::Duration;

/// The longest answer that is read: a page of a thousand rows fits many times over.
const MAX_ANSWER: usize = 64 << 20;
/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    #[error("node address {0:?}: expected http://host:port or tcp://host:port")]
    Address(String),
    #[error("hash {0:?}: expected 64 hex digits")]
    Hash(String),
    #[error("cannot reach the node at {url}: {reason}; is it running? Set another with --node or VIRTENGINE_NODE")]
    Unreachable { url: String, reason: String },
    #[error("the node at {url} gave an answer that is not JSON-RPC: {reason}")]
    Protocol { url: String, reason: String },
    /// The node's own error, for example of an unknown transaction.
    #[error("{message}{}{data}", if .data.is_empty() { "" } else { ": " })]
    Node { code: i64, message: String, data: String },
    /// A query that was refused.
    #[error("{log}")]
    Query { code: u32, codespace: String, log: String },
}

/// A connection to a node's RPC port; cheap to clone.
#[derive(Clone)]
pub struct Rpc {
    url: String,
    /// The height that queries ask at; 0 is the newest.
    height: u64,
    http: Client<HttpConnector, Full<Bytes>>,
}

/// What a node said to a transaction before it is in a block.
#[derive(Debug, Clone)]
pub struct Broadcast {
    pub code: u32,
    pub codespace: String,
    pub log: String,
    /// Upper-case hex.
    pub hash: String,
}

impl Rpc {
    /// `http://host:port` or `tcp://host:port`.
    pub fn new(node: &str) -> Result<Self, RpcError> {
        let rest = node.strip_prefix("http://").or_else(|| node.strip_prefix("tcp://"));
        let rest = rest.filter(|r| !r.is_empty()).ok_or_else(|| RpcError::Address(node.into()))?;
        let url = format!("http://{}", rest.trim_end_matches('/'));
        url.parse::<hyper::Uri>().map_err(|_| RpcError::Address(node.into()))?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Ok(Rpc { url, height: 0, http: Client::builder(TokioExecutor::new()).build(connector) })
    }

    /// The same connection, with queries of the state at this height; 0 is the newest.
    pub fn at(self, height: u64) -> Self {
        Rpc { height, ..self }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Calls a method; parameters as CometBFT names them.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, RpcError> {
        let unreachable = |reason: String| RpcError::Unreachable { url: self.url.clone(), reason };
        let protocol = |reason: String| RpcError::Protocol { url: self.url.clone(), reason };
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let request = hyper::Request::post(&self.url)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|e| unreachable(e.to_string()))?;
        let answer = async {
            let response = self.http.request(request).await.map_err(|e| unreachable(cause(&e)))?;
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
            Ok(body.map_err(|e| protocol(e.to_string()))?.to_bytes())
        };
        let bytes =
            tokio::time::timeout(TIMEOUT, answer).await.map_err(|_| unreachable(format!("no answer within {} s", TIMEOUT.as_secs())))??;
        let mut value: Value = serde_json::from_slice(&bytes).map_err(|e| protocol(e.to_string()))?;
        if let Some(error) = value.get("error").filter(|e| !e.is_null()) {
            let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default().to_string();
            return Err(RpcError::Node {
                code: error.get("code").and_then(Value::as_i64).unwrap_or(0),
                message: text("message"),
                data: text("data"),
            });
        }
        value.get_mut("result").map(Value::take).ok_or_else(|| protocol("neither result nor error".into()))
    }

    /// Asks a gRPC path with encoded bytes. Returns the encoded answer.
    pub async fn query_bytes(&self, path: &str, data: &[u8]) -> Result<Vec<u8>, RpcError> {
        let params = json!({ "path": path, "data": hex::encode(data), "height": self.height.to_string(), "prove": false });
        let result = self.call("abci_query", params).await?;
        let response = &result["response"];
        let code = response["code"].as_u64().unwrap_or(0) as u32;
        let text = |name: &str| response[name].as_str().unwrap_or_default();
        if code != 0 {
            return Err(RpcError::Query { code, codespace: text("codespace").into(), log: plain(text("log")).into() });
        }
        BASE64_STANDARD.decode(text("value")).map_err(|e| RpcError::Protocol { url: self.url.clone(), reason: format!("value: {e}") })
    }

    /// As [`Rpc::query_bytes`], with messages.
    pub async fn query<Q: Message, A: Message + Default>(&self, path: &str, request: &Q) -> Result<A, RpcError> {
        let bytes = self.query_bytes(path, &request.encode_to_vec()).await?;
        A::decode(&bytes[..]).map_err(|e| RpcError::Protocol { url: self.url.clone(), reason: format!("{path}: {e}") })
    }

    pub async fn status(&self) -> Result<Value, RpcError> {
        self.call("status", json!({})).await
    }

    /// The chain id that the node says it serves.
    pub async fn chain_id(&self) -> Result<String, RpcError> {
        Ok(self.status().await?["node_info"]["network"].as_str().unwrap_or_default().to_string())
    }

    /// Hands a transaction to the mempool; `wait` until it was checked, or not even that.
    pub async fn broadcast(&self, tx: &[u8], wait: bool) -> Result<Broadcast, RpcError> {
        let method = if wait { "broadcast_tx_sync" } else { "broadcast_tx_async" };
        let result = self.call(method, json!({ "tx": BASE64_STANDARD.encode(tx) })).await?;
        let text = |name: &str| result[name].as_str().unwrap_or_default().to_string();
        Ok(Broadcast {
            code: result["code"].as_u64().unwrap_or(0) as u32,
            codespace: text("codespace"),
            log: text("log"),
            hash: text("hash"),
        })
    }

    /// A transaction in a block, by its hash in hex; None while it is in none.
    pub async fn tx(&self, hash: &str) -> Result<Option<Value>, RpcError> {
        match self.call("tx", json!({ "hash": BASE64_STANDARD.encode(hash_bytes(hash)?), "prove": false })).await {
            Ok(value) => Ok(Some(value)),
            Err(RpcError::Node { data, message, .. }) if data.contains("not found") || message.contains("not found") => Ok(None),
            Err(e) => Err(e),
        }
    }
}

/// A hash of 64 hex digits.
pub fn hash_bytes(hex: &str) -> Result<[u8; 32], RpcError> {
    hex::decode(hex).ok().and_then(|raw| raw.try_into().ok()).ok_or_else(|| RpcError::Hash(hex.into()))
}

/// The SDK's code of a transaction that the mempool, or a recent block, has already.
pub const IN_CACHE: u32 = 19;

/// What CometBFT's mempool refuses without asking the application, as the code of codespace `sdk` that the SDK's clients give it.
pub fn mempool_code(said: &str) -> Option<u32> {
    let said = said.to_lowercase();
    let codes = [("tx already exists in cache", IN_CACHE), ("mempool is full", 20), ("tx too large", 21)];
    codes.iter().find(|(words, _)| said.contains(words)).map(|(_, code)| *code)
}

/// What a node says to a refused query, without what `abci_query` puts around a gRPC status: the status before it, and
/// behind it the name of the error that the SDK makes of the status.
fn plain(log: &str) -> &str {
    let Some((_, message)) = log.strip_prefix("rpc error: code = ").and_then(|rest| rest.split_once(" desc = ")) else { return log };
    let ends = [": unknown request", ": invalid request", ": key not found", ": unauthorized"];
    ends.iter().find_map(|end| message.strip_suffix(end)).unwrap_or(message)
}

/// The innermost reason, which says most: "Connection refused" rather than "client error".
fn cause(e: &dyn std::error::Error) -> String {
    let mut e = e;
    while let Some(source) = e.source() {
        e = source;
    }
    e.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_without_its_grpc_status() {
        assert_eq!(plain("rpc error: code = NotFound desc = account x not found: key not found"), "account x not found");
        assert_eq!(plain("rpc error: code = Unknown desc = a: unknown request: unknown request"), "a: unknown request");
        assert_eq!(plain("unknown query path: unknown request"), "unknown query path: unknown request");
    }

    #[test]
    fn a_hash_has_64_hex_digits() {
        assert_eq!(hash_bytes(&"aB".repeat(32)).unwrap(), [0xab; 32]);
        for text in ["", "00", "zz", &"0x".repeat(32), &"00".repeat(33)] {
            assert_eq!(hash_bytes(text).unwrap_err().to_string(), format!("hash {text:?}: expected 64 hex digits"));
        }
    }

    #[tokio::test]
    async fn a_node_that_is_away_is_named_with_the_way_out() {
        assert!(matches!(Rpc::new("localhost:26657"), Err(RpcError::Address(_))));
        let rpc = Rpc::new("tcp://127.0.0.1:1").unwrap();
        let text = rpc.status().await.unwrap_err().to_string();
        assert!(text.contains("http://127.0.0.1:1") && text.contains("--node"), "{text}");
    }
}
