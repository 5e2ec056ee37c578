//! The services that need blocks, transactions or peers: `cosmos.tx.v1beta1.Service`,
//! `cosmos.base.tendermint.v1beta1.Service` and the status of `cosmos.base.node.v1beta1.Service`, answered through CometBFT's RPC in the words of Cosmos SDK v0.53.

use super::api::MAX_TIME;
use super::status::{Code, Status};
use app::{Answer, App};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use client::rpc::{Rpc, RpcError, mempool_code};
use kernel::{CONSENSUS_PREFIX, Error, bech32_encode};
use prost::{Message, Name};
use proto::Any;
use proto::cosmos::base::abci::v1beta1::TxResponse;
use proto::cosmos::base::node::v1beta1 as node;
use proto::cosmos::base::query::v1beta1::{PageRequest, PageResponse};
use proto::cosmos::base::tendermint::v1beta1 as tm;
use proto::cosmos::crypto::{ed25519, secp256k1};
use proto::cosmos::tx::v1beta1 as tx;
use proto::tendermint::abci::{Event, EventAttribute};
use proto::tendermint::p2p::{DefaultNodeInfo, DefaultNodeInfoOther, ProtocolVersion};
use proto::tendermint::types::{Block, BlockId};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::mpsc;
use tendermint_abci::Application;
use tendermint_proto::v0_38::abci::RequestQuery;
use tokio::runtime::Handle;

/// Rows of a page whose request names no limit; CometBFT allows no more than as many.
const DEFAULT_LIMIT: u64 = 100;
/// JSON-RPC: the method does not exist.
const NO_METHOD: i64 = -32601;

const TX: &str = "cosmos.tx.v1beta1.Service";
const TENDERMINT: &str = "cosmos.base.tendermint.v1beta1.Service";
const NODE: &str = "cosmos.base.node.v1beta1.Service";

/// True for paths that are answered here. Simulation needs the application alone.
pub fn serves(path: &str) -> bool {
    match split(path) {
        Some((TX, method)) => method != "Simulate",
        Some((service, method)) => service == TENDERMINT || (service, method) == (NODE, "Status"),
        None => false,
    }
}

/// What a path that [`serves`] knows counts among those that are answered at once. Broadcasting never waits for readers.
pub fn weight(path: &str) -> u32 {
    match split(path) {
        Some((TX, "BroadcastTx")) => 0,
        Some((_, "GetBlockWithTxs" | "GetTxsEvent" | "GetBlockByHeight" | "GetLatestBlock")) => 2,
        _ => 1,
    }
}

fn split(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix('/')?.split_once('/')
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Services {
    app: App,
    rpc: Rpc,
}

impl Services {
    pub fn new(app: App, rpc: Rpc) -> Self {
        Services { app, rpc }
    }

    /// Answers a path that [`serves`] knows. The height is that of the state that the answer is shown with; 0 means the newest.
    pub async fn answer(&self, path: &str, data: &[u8], height: u64) -> Result<Answer, Status> {
        let height = match height {
            0 => self.app.store().height(),
            height => self.app.view(height)?.height(),
        };
        Ok(Answer { value: self.call(path, data, height).await?, height })
    }

    async fn call(&self, path: &str, data: &[u8], height: u64) -> Result<Vec<u8>, Status> {
        let no_amino = |method: &str| Status::new(Code::Unimplemented, format!("{method}: amino binary is not supported"));
        match split(path) {
            Some((TX, method)) => match method {
                "GetTx" => handle(data, async |r| self.get_tx(r).await).await,
                "GetTxsEvent" => handle(data, async |r| self.get_txs_event(r).await).await,
                "BroadcastTx" => handle(data, async |r| self.broadcast_tx(r).await).await,
                "GetBlockWithTxs" => handle(data, async |r| self.get_block_with_txs(r).await).await,
                "TxDecode" => handle(data, async |r| tx_decode(r)).await,
                "TxEncode" => handle(data, async |r| tx_encode(r)).await,
                "TxEncodeAmino" | "TxDecodeAmino" => Err(no_amino(method)),
                _ => Err(unknown_method(path)),
            },
            Some((TENDERMINT, method)) => match method {
                "GetNodeInfo" => handle(data, async |r| self.get_node_info(r).await).await,
                "GetSyncing" => handle(data, async |r| self.get_syncing(r).await).await,
                "GetLatestBlock" => handle(data, async |r| self.get_latest_block(r).await).await,
                "GetBlockByHeight" => handle(data, async |r| self.get_block_by_height(r).await).await,
                "GetLatestValidatorSet" => handle(data, async |r| self.get_latest_validator_set(r).await).await,
                "GetValidatorSetByHeight" => handle(data, async |r| self.get_validator_set_by_height(r).await).await,
                "ABCIQuery" => handle(data, async |r| self.abci_query(r).await).await,
                _ => Err(unknown_method(path)),
            },
            Some((NODE, "Status")) => handle(data, async |r| self.status(r, height).await).await,
            _ => Err(unknown_method(path)),
        }
    }

    // --- cosmos.base.node.v1beta1.Service

    /// Hashes are those of the block's header, as the SDK has it: what the state was before the block.
    async fn status(&self, _: node::StatusRequest, height: u64) -> Result<node::StatusResponse, Status> {
        let (_, block) = self.block(i64::try_from(height).ok()).await?;
        let header = block.header.unwrap_or_default();
        Ok(node::StatusResponse {
            earliest_store_height: self.app.store().stats().oldest_query,
            height,
            timestamp: header.time,
            app_hash: header.app_hash,
            validator_hash: header.next_validators_hash,
        })
    }

    // --- cosmos.tx.v1beta1.Service

    async fn get_tx(&self, r: tx::GetTxRequest) -> Result<tx::GetTxResponse, Status> {
        if r.hash.is_empty() {
            return Err(Status::invalid("tx hash cannot be empty"));
        }
        hex::decode(&r.hash).map_err(|e| Status::unknown(format!("hash: expected hexadecimal digits: {e}")))?;
        let found = match self.rpc.tx(&r.hash).await {
            // Of another length: no transaction has it.
            Err(RpcError::Hash(_)) => None,
            found => found.map_err(rpc_status)?,
        };
        let found = found.ok_or_else(|| Status::not_found(format!("tx not found: {}", r.hash)))?;
        let time = self.time(number(&found["height"])).await?;
        let (tx, response) = tx_response(&found, &time)?;
        Ok(tx::GetTxResponse { tx: Some(tx), tx_response: Some(response) })
    }

    async fn get_txs_event(&self, r: tx::GetTxsEventRequest) -> Result<tx::GetTxsEventResponse, Status> {
        let internal = |message: String| Status::new(Code::Internal, message);
        if r.query.is_empty() {
            return Err(internal("query cannot be empty".into()));
        }
        let order = match tx::OrderBy::try_from(r.order_by) {
            Ok(tx::OrderBy::Asc) => "asc",
            Ok(tx::OrderBy::Desc) => "desc",
            _ => "",
        };
        let limit = if r.limit == 0 { DEFAULT_LIMIT } else { r.limit };
        let params = json!({
            "query": r.query,
            "prove": false,
            "page": r.page.max(1).to_string(),
            "per_page": limit.to_string(),
            "order_by": order,
        });
        let found = self.rpc.call("tx_search", params).await.map_err(|e| match rpc_status(e) {
            Status { code: Code::Unknown, message } => internal(message),
            other => other,
        })?;
        let mut answer = tx::GetTxsEventResponse { total: number(&found["total_count"]) as u64, ..Default::default() };
        let mut block = (0, String::new());
        for found in found["txs"].as_array().into_iter().flatten() {
            let height = number(&found["height"]);
            if block.0 != height {
                block = (height, self.time(height).await?);
            }
            let (tx, response) = tx_response(found, &block.1)?;
            answer.txs.push(tx);
            answer.tx_responses.push(response);
        }
        Ok(answer)
    }

    async fn broadcast_tx(&self, r: tx::BroadcastTxRequest) -> Result<tx::BroadcastTxResponse, Status> {
        if r.tx_bytes.is_empty() {
            return Err(Status::invalid("invalid empty tx"));
        }
        let wait = match tx::BroadcastMode::try_from(r.mode) {
            Ok(tx::BroadcastMode::Sync) => true,
            Ok(tx::BroadcastMode::Async) => false,
            _ => return Err(Status::unknown("unsupported return type unspecified; supported types: sync, async")),
        };
        let method = if wait { "broadcast_tx_sync" } else { "broadcast_tx_async" };
        let response = match self.rpc.call(method, json!({ "tx": BASE64_STANDARD.encode(&r.tx_bytes) })).await {
            Ok(said) => TxResponse {
                txhash: text(&said["hash"]),
                codespace: text(&said["codespace"]),
                code: number(&said["code"]) as u32,
                data: text(&said["data"]),
                raw_log: text(&said["log"]),
                ..Default::default()
            },
            Err(e) => {
                let said = e.to_string();
                let code = mempool_code(&said).ok_or_else(|| rpc_status(e))?;
                let txhash = hex::encode_upper(Sha256::digest(&r.tx_bytes));
                TxResponse { txhash, codespace: "sdk".into(), code, raw_log: said, ..Default::default() }
            }
        };
        Ok(tx::BroadcastTxResponse { tx_response: Some(response) })
    }

    async fn get_block_with_txs(&self, r: tx::GetBlockWithTxsRequest) -> Result<tx::GetBlockWithTxsResponse, Status> {
        let newest = self.app.store().height() as i64;
        if r.height < 1 || r.height > newest {
            let log = format!(
                "requested height {} but height must not be less than 1 or greater than the current height {newest}: invalid height",
                r.height
            );
            return Err(Status::registered(&Error::new("sdk", 26, log)));
        }
        let (block_id, block) = self.block(Some(r.height)).await?;
        let page = r.pagination.unwrap_or_default();
        let limit = if page.limit == 0 { DEFAULT_LIMIT } else { page.limit };
        let all = block.data.as_ref().map(|d| d.txs.as_slice()).unwrap_or_default();
        let total = all.len() as u64;
        if page.offset >= total && total != 0 {
            let log = format!("out of range: cannot paginate {total} txs with offset {} and limit {limit}", page.offset);
            return Err(Status::registered(&Error::invalid_request(log)));
        }
        let skip = usize::try_from(page.offset).unwrap_or(usize::MAX);
        let take = usize::try_from(limit).unwrap_or(usize::MAX);
        let decode = |bytes: &Vec<u8>| tx::Tx::decode(&bytes[..]).map_err(undecodable);
        let txs = match page.reverse {
            false => all.iter().skip(skip).take(take).map(decode).collect::<Result<_, _>>()?,
            true => all.iter().rev().skip(skip).take(take).map(decode).collect::<Result<_, _>>()?,
        };
        let pagination = PageResponse { next_key: Vec::new(), total };
        Ok(tx::GetBlockWithTxsResponse { txs, block_id: Some(block_id), block: Some(block), pagination: Some(pagination) })
    }

    // --- cosmos.base.tendermint.v1beta1.Service

    async fn get_node_info(&self, _: tm::GetNodeInfoRequest) -> Result<tm::GetNodeInfoResponse, Status> {
        let status = self.rpc.status().await.map_err(rpc_status)?;
        let info = &status["node_info"];
        let unsigned = |value: &Value| number(value) as u64;
        let default_node_info = DefaultNodeInfo {
            protocol_version: Some(ProtocolVersion {
                p2p: unsigned(&info["protocol_version"]["p2p"]),
                block: unsigned(&info["protocol_version"]["block"]),
                app: unsigned(&info["protocol_version"]["app"]),
            }),
            default_node_id: text(&info["id"]),
            listen_addr: text(&info["listen_addr"]),
            network: text(&info["network"]),
            version: text(&info["version"]),
            channels: hex::decode(text(&info["channels"])).unwrap_or_default(),
            moniker: text(&info["moniker"]),
            other: Some(DefaultNodeInfoOther {
                tx_index: text(&info["other"]["tx_index"]),
                rpc_address: text(&info["other"]["rpc_address"]),
            }),
        };
        let application_version = tm::VersionInfo {
            name: "virtengine".into(),
            app_name: "virtengine".into(),
            version: app::VERSION.into(),
            cosmos_sdk_version: app::SDK_VERSION.into(),
            ..Default::default()
        };
        Ok(tm::GetNodeInfoResponse { default_node_info: Some(default_node_info), application_version: Some(application_version) })
    }

    async fn get_syncing(&self, _: tm::GetSyncingRequest) -> Result<tm::GetSyncingResponse, Status> {
        let status = self.rpc.status().await.map_err(rpc_status)?;
        Ok(tm::GetSyncingResponse { syncing: status["sync_info"]["catching_up"].as_bool().unwrap_or(false) })
    }

    async fn get_latest_block(&self, _: tm::GetLatestBlockRequest) -> Result<tm::GetLatestBlockResponse, Status> {
        let (block_id, block) = self.block(None).await?;
        let sdk_block = Some(sdk_block(&block));
        Ok(tm::GetLatestBlockResponse { block_id: Some(block_id), block: Some(block), sdk_block })
    }

    async fn get_block_by_height(&self, r: tm::GetBlockByHeightRequest) -> Result<tm::GetBlockByHeightResponse, Status> {
        self.not_in_the_future(r.height).await?;
        let (block_id, block) = self.block(Some(r.height)).await?;
        let sdk_block = Some(sdk_block(&block));
        Ok(tm::GetBlockByHeightResponse { block_id: Some(block_id), block: Some(block), sdk_block })
    }

    async fn get_latest_validator_set(&self, r: tm::GetLatestValidatorSetRequest) -> Result<tm::GetLatestValidatorSetResponse, Status> {
        let (block_height, validators, pagination) = self.validators(None, r.pagination).await?;
        Ok(tm::GetLatestValidatorSetResponse { block_height, validators, pagination })
    }

    async fn get_validator_set_by_height(
        &self,
        r: tm::GetValidatorSetByHeightRequest,
    ) -> Result<tm::GetValidatorSetByHeightResponse, Status> {
        self.not_in_the_future(r.height).await?;
        let (block_height, validators, pagination) = self.validators(Some(r.height), r.pagination).await?;
        Ok(tm::GetValidatorSetByHeightResponse { block_height, validators, pagination })
    }

    /// The application's own ABCI paths. Services are refused, so that a query cannot contain itself.
    async fn abci_query(&self, r: tm::AbciQueryRequest) -> Result<tm::AbciQueryResponse, Status> {
        match r.path.trim_start_matches('/').split('/').next().unwrap_or_default() {
            "" => return Err(Status::invalid("empty query path")),
            "app" | "store" | "p2p" | "custom" => {}
            other => return Err(Status::invalid(format!("unsupported ABCI query path: {other}"))),
        }
        let (app, request) = (self.app.clone(), RequestQuery { data: r.data.into(), path: r.path, height: r.height, prove: r.prove });
        let answer = tokio::task::spawn_blocking(move || Application::query(&app, request)).await;
        let answer = answer.map_err(|e| Status::new(Code::Internal, e.to_string()))?;
        let op = |op: tendermint_proto::v0_38::crypto::ProofOp| tm::ProofOp { r#type: op.r#type, key: op.key, data: op.data };
        Ok(tm::AbciQueryResponse {
            code: answer.code,
            log: answer.log,
            info: answer.info,
            index: answer.index,
            key: answer.key.to_vec(),
            value: answer.value.to_vec(),
            proof_ops: answer.proof_ops.map(|ops| tm::ProofOps { ops: ops.ops.into_iter().map(op).collect() }),
            height: answer.height,
            codespace: answer.codespace,
        })
    }

    // --- what they share

    async fn not_in_the_future(&self, height: i64) -> Result<(), Status> {
        let status = self.rpc.status().await.map_err(rpc_status)?;
        match height > number(&status["sync_info"]["latest_block_height"]) {
            true => Err(Status::invalid("requested block height is bigger then the chain length")),
            false => Ok(()),
        }
    }

    /// None is the newest block.
    async fn block(&self, height: Option<i64>) -> Result<(BlockId, Block), Status> {
        let mut found = self.rpc.call("block", at(height)).await.map_err(rpc_status)?;
        let malformed = |e: serde_json::Error| Status::new(Code::Internal, format!("CometBFT's block is not understood: {e}"));
        let id = serde_json::from_value(found["block_id"].take()).map_err(malformed)?;
        let block = serde_json::from_value(found["block"].take()).map_err(malformed)?;
        Ok((id, block))
    }

    /// The time of a block, to the second.
    async fn time(&self, height: i64) -> Result<String, Status> {
        let header = match self.rpc.call("header", at(Some(height))).await {
            Ok(found) => text(&found["header"]["time"]),
            Err(RpcError::Node { code: NO_METHOD, .. }) => {
                text(&self.rpc.call("block", at(Some(height))).await.map_err(rpc_status)?["block"]["header"]["time"])
            }
            Err(e) => return Err(rpc_status(e)),
        };
        let seconds = header.split(['.', 'Z']).next().unwrap_or_default();
        Ok(format!("{seconds}Z"))
    }

    async fn validators(
        &self,
        height: Option<i64>,
        page: Option<PageRequest>,
    ) -> Result<(i64, Vec<tm::Validator>, Option<PageResponse>), Status> {
        let page = page.unwrap_or_default();
        let limit = if page.limit == 0 { DEFAULT_LIMIT } else { page.limit };
        let mut params = at(height);
        params["page"] = json!((page.offset / limit + 1).to_string());
        params["per_page"] = json!(limit.to_string());
        let found = self.rpc.call("validators", params).await.map_err(rpc_status)?;
        let validators = found["validators"].as_array().into_iter().flatten().map(validator).collect::<Result<_, _>>()?;
        let pagination = PageResponse { next_key: Vec::new(), total: number(&found["total"]) as u64 };
        Ok((number(&found["block_height"]), validators, Some(pagination)))
    }
}

async fn handle<Q: Message + Default, A: Message>(data: &[u8], f: impl AsyncFnOnce(Q) -> Result<A, Status>) -> Result<Vec<u8>, Status> {
    let request = Q::decode(data).map_err(|e| Status::invalid(e.to_string()))?;
    Ok(f(request).await?.encode_to_vec())
}

fn unknown_method(path: &str) -> Status {
    Status::new(Code::Unimplemented, format!("unknown method {path}"))
}

fn undecodable(e: impl std::fmt::Display) -> Status {
    Status::registered(&Error::new("sdk", 2, format!("{e}: tx parse error")))
}

fn tx_decode(r: tx::TxDecodeRequest) -> Result<tx::TxDecodeResponse, Status> {
    if r.tx_bytes.is_empty() {
        return Err(Status::invalid("invalid empty tx bytes"));
    }
    proto::strict::transaction(&r.tx_bytes).map_err(undecodable)?;
    let tx = tx::Tx::decode(&r.tx_bytes[..]).map_err(undecodable)?;
    Ok(tx::TxDecodeResponse { tx: Some(tx) })
}

/// `Tx` and `TxRaw` are the same on the wire.
fn tx_encode(r: tx::TxEncodeRequest) -> Result<tx::TxEncodeResponse, Status> {
    let tx = r.tx.ok_or_else(|| Status::invalid("invalid empty tx"))?;
    Ok(tx::TxEncodeResponse { tx_bytes: tx.encode_to_vec() })
}

/// A node's own refusal is passed on; where its RPC is and why it does not answer is for the operator alone.
fn rpc_status(e: RpcError) -> Status {
    match e {
        // What went wrong is in the data; the message says only that something did.
        RpcError::Node { data, .. } if !data.is_empty() => Status::unknown(data),
        RpcError::Node { .. } | RpcError::Query { .. } => Status::unknown(e.to_string()),
        RpcError::Address(_) | RpcError::Hash(_) | RpcError::Unreachable { .. } | RpcError::Protocol { .. } => {
            tracing::warn!(error = %e, "CometBFT's RPC does not answer");
            Status::new(Code::Unavailable, "the node's consensus engine does not answer; try again in a moment")
        }
    }
}

fn at(height: Option<i64>) -> Value {
    height.map_or_else(|| json!({}), |h| json!({ "height": h.to_string() }))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// CometBFT writes 64-bit integers as text and shorter ones as numbers.
fn number(value: &Value) -> i64 {
    value.as_str().and_then(|s| s.parse().ok()).or_else(|| value.as_i64()).unwrap_or(0)
}

fn base64(value: &Value) -> Result<Vec<u8>, Status> {
    let bytes = BASE64_STANDARD.decode(value.as_str().unwrap_or_default());
    bytes.map_err(|e| Status::new(Code::Internal, format!("CometBFT's answer is not understood: {e}")))
}

/// A result of `tx` or `tx_search`.
fn tx_response(found: &Value, time: &str) -> Result<(tx::Tx, TxResponse), Status> {
    let bytes = base64(&found["tx"])?;
    let tx = tx::Tx::decode(&bytes[..]).map_err(undecodable)?;
    let result = &found["tx_result"];
    let response = TxResponse {
        height: number(&found["height"]),
        txhash: text(&found["hash"]),
        codespace: text(&result["codespace"]),
        code: number(&result["code"]) as u32,
        data: hex::encode_upper(base64(&result["data"])?),
        raw_log: text(&result["log"]),
        logs: Vec::new(),
        info: text(&result["info"]),
        gas_wanted: number(&result["gas_wanted"]),
        gas_used: number(&result["gas_used"]),
        tx: Some(Any { type_url: "/cosmos.tx.v1beta1.Tx".into(), value: bytes }),
        timestamp: time.to_owned(),
        events: result["events"].as_array().into_iter().flatten().map(event).collect(),
    };
    Ok((tx, response))
}

fn event(value: &Value) -> Event {
    let attribute =
        |a: &Value| EventAttribute { key: text(&a["key"]), value: text(&a["value"]), index: a["index"].as_bool().unwrap_or(false) };
    Event { r#type: text(&value["type"]), attributes: value["attributes"].as_array().into_iter().flatten().map(attribute).collect() }
}

fn validator(value: &Value) -> Result<tm::Validator, Status> {
    let key = base64(&value["pub_key"]["value"])?;
    let (type_url, key) = match value["pub_key"]["type"].as_str() {
        Some("tendermint/PubKeyEd25519") => (ed25519::PubKey::type_url(), ed25519::PubKey { key }.encode_to_vec()),
        Some("tendermint/PubKeySecp256k1") => (secp256k1::PubKey::type_url(), secp256k1::PubKey { key }.encode_to_vec()),
        other => return Err(Status::new(Code::Internal, format!("unknown kind of validator key {other:?}"))),
    };
    let address = hex::decode(text(&value["address"])).unwrap_or_default();
    Ok(tm::Validator {
        address: bech32_encode(CONSENSUS_PREFIX, &address),
        pub_key: Some(Any { type_url, value: key }),
        voting_power: number(&value["voting_power"]),
        proposer_priority: number(&value["proposer_priority"]),
    })
}

/// The block with its proposer's address as text.
fn sdk_block(block: &Block) -> tm::Block {
    let header = block.header.clone().map(|h| tm::Header {
        version: h.version,
        chain_id: h.chain_id,
        height: h.height,
        time: h.time,
        last_block_id: h.last_block_id,
        last_commit_hash: h.last_commit_hash,
        data_hash: h.data_hash,
        validators_hash: h.validators_hash,
        next_validators_hash: h.next_validators_hash,
        consensus_hash: h.consensus_hash,
        app_hash: h.app_hash,
        last_results_hash: h.last_results_hash,
        evidence_hash: h.evidence_hash,
        proposer_address: bech32_encode(CONSENSUS_PREFIX, &h.proposer_address),
    });
    tm::Block { header, data: block.data.clone(), evidence: block.evidence.clone(), last_commit: block.last_commit.clone() }
}

/// The services as `abci_query` reaches them: its thread waits, the call runs on the servers' runtime.
pub struct Local {
    services: Services,
    runtime: Handle,
}

impl Local {
    /// On the current runtime.
    pub fn new(services: Services) -> Self {
        Local { services, runtime: Handle::current() }
    }
}

impl app::Remote for Local {
    fn call(&self, path: &str, data: &[u8]) -> Option<Result<Vec<u8>, Error>> {
        if !serves(path) {
            return None;
        }
        let (services, path, data) = (self.services.clone(), path.to_owned(), Bytes::copy_from_slice(data));
        let (send, receive) = mpsc::sync_channel(1);
        let task = self.runtime.spawn(async move {
            // Nobody listens any more when the time is up.
            drop(send.send(services.answer(&path, &data, 0).await.map(|answer| answer.value)));
        });
        let answer = receive.recv_timeout(MAX_TIME).unwrap_or_else(|_| {
            task.abort();
            Err(Status::new(Code::DeadlineExceeded, format!("no answer within {} s", MAX_TIME.as_secs())))
        });
        Some(answer.map_err(Into::into))
    }
}

/// Stands in when the servers have stopped.
pub struct NoRemote;

impl app::Remote for NoRemote {
    fn call(&self, _: &str, _: &[u8]) -> Option<Result<Vec<u8>, Error>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Json, Router, routing::post};
    use proto::cosmos::tx::v1beta1::{AuthInfo, TxBody};

    /// Answers of CometBFT 0.38.25; its transaction is replaced by one of ours.
    fn recorded() -> Value {
        let mut all: Value = serde_json::from_str(include_str!("../engine/solo/testdata/cometbft-0.38.25.json")).unwrap();
        let tx = json!(BASE64_STANDARD.encode(example().encode_to_vec()));
        all["tx"]["tx"] = tx.clone();
        all["tx"]["tx_result"]["data"] = json!("Eq8=");
        all["tx_search"]["txs"][0]["tx"] = tx.clone();
        all["block"]["block"]["data"]["txs"] = json!([tx]);
        all
    }

    fn example() -> tx::Tx {
        let body = TxBody { memo: "hello".into(), ..Default::default() };
        tx::Tx { body: Some(body), auth_info: Some(AuthInfo::default()), signatures: vec![vec![1; 64]] }
    }

    /// An RPC server that knows nothing but what was recorded.
    async fn services() -> (Services, tempfile::TempDir) {
        let all = recorded();
        let answer = move |Json(request): Json<Value>| async move {
            let method = request["method"].as_str().unwrap();
            let params = &request["params"];
            let node =
                |data: &str| json!({ "jsonrpc": "2.0", "id": 1, "error": { "code": -32603, "message": "Internal error", "data": data } });
            Json(match method {
                "tx" if params["hash"] == "AQ==" => node("tx (01) not found"),
                "tx_search" if params["page"] == "9999" => node("page should be within [1, 19] range, given 9999"),
                "broadcast_tx_sync" if params["tx"] == "AQ==" => node("tx already exists in cache"),
                _ if all.get(method).is_none() => {
                    json!({ "jsonrpc": "2.0", "id": 1, "error": { "code": NO_METHOD, "message": "Method not found" } })
                }
                _ => json!({ "jsonrpc": "2.0", "id": 1, "result": all[method] }),
            })
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/", post(answer))).await });
        let dir = tempfile::tempdir().unwrap();
        let app = App::open(dir.path(), app::Config::default()).unwrap();
        (Services::new(app, Rpc::new(&url).unwrap()), dir)
    }

    /// A service's answer as REST shows it.
    async fn shown<A: Message + Name>(answer: Result<A, Status>) -> Value {
        proto::json::to_json(&answer.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_transaction_is_shown_as_the_sdk_shows_it() {
        let (services, _dir) = services().await;
        let hash = "42144F3939C3FFBBF0BF8B1F12AFFB5C23A4C5BD41E0FF672D54A5754F062058";
        let answer = shown(services.get_tx(tx::GetTxRequest { hash: hash.into() }).await).await;
        let response = &answer["tx_response"];
        assert_eq!((&response["txhash"], &response["height"]), (&json!(hash), &json!("4")));
        assert_eq!((&response["data"], &response["timestamp"]), (&json!("12AF"), &json!("2026-11-21T13:19:15Z")));
        assert_eq!((&response["logs"], &response["raw_log"]), (&json!([]), &json!("")));
        assert_eq!(response["tx"]["@type"], "/cosmos.tx.v1beta1.Tx");
        assert_eq!(response["events"][0]["attributes"][0], json!({ "key": "creator", "value": "Cosmoshi Netowoko", "index": true }));
        let body = &answer["tx"]["body"];
        assert_eq!((&body["memo"], &body["unordered"], &body["timeout_timestamp"]), (&json!("hello"), &json!(false), &Value::Null));
        assert_eq!(answer["tx"]["auth_info"]["tip"], Value::Null);

        let missing = services.get_tx(tx::GetTxRequest { hash: "01".into() }).await.unwrap_err();
        assert_eq!((missing.code, missing.message.as_str()), (Code::NotFound, "tx not found: 01"));
        assert_eq!(services.get_tx(tx::GetTxRequest::default()).await.unwrap_err().code, Code::InvalidArgument);
    }

    #[tokio::test]
    async fn a_search_has_a_total_and_no_pagination() {
        let (services, _dir) = services().await;
        let search = |page| tx::GetTxsEventRequest { query: "tx.height=4".into(), page, ..Default::default() };
        let answer = shown(services.get_txs_event(search(1)).await).await;
        assert_eq!((&answer["total"], &answer["pagination"]), (&json!("1"), &Value::Null));
        assert_eq!(answer["tx_responses"][0]["timestamp"], "2026-11-21T13:19:15Z");
        let late = services.get_txs_event(search(9999)).await.unwrap_err();
        assert_eq!(late.code, Code::Internal);
        assert_eq!(late.message, "page should be within [1, 19] range, given 9999");
    }

    #[tokio::test]
    async fn a_transaction_that_the_mempool_knows_is_an_answer_and_not_an_error() {
        let (services, _dir) = services().await;
        let send = |tx_bytes| tx::BroadcastTxRequest { tx_bytes, mode: tx::BroadcastMode::Sync as i32 };
        let sent = services.broadcast_tx(send(vec![2])).await.unwrap().tx_response.unwrap();
        assert_eq!((sent.code, sent.txhash.as_str()), (0, "7C5817E103F945904273E74D877BD66BE8F06E568C98726A64821625B9CC2475"));
        let again = services.broadcast_tx(send(vec![1])).await.unwrap().tx_response.unwrap();
        assert_eq!((again.code, again.codespace.as_str()), (19, "sdk"));
        assert_eq!(again.txhash, hex::encode_upper(Sha256::digest([1])));
    }

    #[tokio::test]
    async fn blocks_and_validators_name_consensus_addresses() {
        let (services, _dir) = services().await;
        let block = shown(services.get_latest_block(tm::GetLatestBlockRequest {}).await).await;
        assert_eq!(block["block_id"]["hash"], "PWZxCVvZp1zJ0E+OgjFUqzxjXxMHTzFsI8vRoIGCLNE=");
        assert_eq!(block["block"]["header"]["proposer_address"], "R8XyMkQ966Sbcj+KgEU1ZszgUrs=");
        assert!(block["sdk_block"]["header"]["proposer_address"].as_str().unwrap().starts_with("virtenginevalcons1"));
        assert_eq!(block["block"]["last_commit"]["signatures"][0]["block_id_flag"], "BLOCK_ID_FLAG_COMMIT");
        assert_eq!(block["block"]["header"]["time"], "2026-11-21T13:19:15.245314282Z");
        let late = services.get_block_by_height(tm::GetBlockByHeightRequest { height: 6 }).await.unwrap_err();
        assert_eq!(late.code, Code::InvalidArgument);

        let set = shown(services.get_latest_validator_set(tm::GetLatestValidatorSetRequest::default()).await).await;
        assert_eq!((&set["block_height"], &set["pagination"]["total"]), (&json!("6"), &json!("1")));
        assert!(set["validators"][0]["address"].as_str().unwrap().starts_with("virtenginevalcons1"));
        assert_eq!(set["validators"][0]["pub_key"]["@type"], "/cosmos.crypto.ed25519.PubKey");

        let info = shown(services.get_node_info(tm::GetNodeInfoRequest {}).await).await;
        assert_eq!(info["default_node_info"]["version"], "0.38.25");
        assert!(info["application_version"]["cosmos_sdk_version"].as_str().unwrap().starts_with("v0.53."));
    }

    #[tokio::test]
    async fn the_node_tells_the_hashes_of_its_newest_header() {
        let (services, _dir) = services().await;
        let status = shown(services.status(node::StatusRequest {}, 5).await).await;
        let header = &shown(services.get_latest_block(tm::GetLatestBlockRequest {}).await).await["block"]["header"];
        assert_eq!((&status["height"], &status["timestamp"]), (&json!("5"), &header["time"]));
        assert_eq!((&status["app_hash"], &status["validator_hash"]), (&header["app_hash"], &header["next_validators_hash"]));
    }

    #[test]
    fn a_transaction_is_the_same_after_encoding_and_decoding() {
        let encoded = tx_encode(tx::TxEncodeRequest { tx: Some(example()) }).unwrap();
        let decoded = tx_decode(tx::TxDecodeRequest { tx_bytes: encoded.tx_bytes }).unwrap();
        assert_eq!(decoded.tx.unwrap(), example());
        assert_eq!(tx_decode(tx::TxDecodeRequest { tx_bytes: vec![8, 1] }).unwrap_err().code, Code::Unknown);
    }
}
