//! Chain data as CometBFT 0.38's RPC writes it: 64-bit numbers are strings, hashes capital hex, other bytes base64.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tendermint::{PublicKey, Time, validator};
use tendermint_proto::v0_38::{
    abci::{Event, ExecTxResult, ResponseCheckTx, ResponseFinalizeBlock, ResponseInfo, ResponseQuery, ValidatorUpdate},
    crypto::{ProofOps, public_key::Sum},
    types::{BlockId, ConsensusParams, Header},
};

use super::store::Block;

pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    hex::encode_upper(bytes)
}

pub fn base64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// Bytes in a protobuf message: null when there are none.
fn bytes(bytes: &[u8]) -> Value {
    if bytes.is_empty() { Value::Null } else { base64(bytes).into() }
}

pub fn info(r: &ResponseInfo) -> Value {
    let mut object = serde_json::Map::new();
    let mut put = |key: &str, filled: bool, value: String| {
        if filled {
            object.insert(key.into(), value.into());
        }
    };
    put("data", !r.data.is_empty(), r.data.clone());
    put("version", !r.version.is_empty(), r.version.clone());
    put("app_version", r.app_version != 0, r.app_version.to_string());
    put("last_block_height", r.last_block_height != 0, r.last_block_height.to_string());
    put("last_block_app_hash", !r.last_block_app_hash.is_empty(), base64(&r.last_block_app_hash));
    object.into()
}

pub fn query(r: &ResponseQuery) -> Value {
    json!({
        "code": r.code,
        "log": r.log,
        "info": r.info,
        "index": r.index.to_string(),
        "key": bytes(&r.key),
        "value": bytes(&r.value),
        "proofOps": r.proof_ops.as_ref().map(proof_ops),
        "height": r.height.to_string(),
        "codespace": r.codespace,
    })
}

fn proof_ops(ops: &ProofOps) -> Value {
    let op = |op: &tendermint_proto::v0_38::crypto::ProofOp| json!({"type": op.r#type, "key": bytes(&op.key), "data": bytes(&op.data)});
    json!({"ops": ops.ops.iter().map(op).collect::<Vec<_>>()})
}

fn events(events: &[Event]) -> Value {
    events
        .iter()
        .map(|event| {
            let attributes = event.attributes.iter().map(|a| json!({"key": a.key, "value": a.value, "index": a.index}));
            json!({"type": event.r#type, "attributes": attributes.collect::<Vec<_>>()})
        })
        .collect()
}

pub fn check_tx(r: &ResponseCheckTx) -> Value {
    json!({
        "code": r.code,
        "data": bytes(&r.data),
        "log": r.log,
        "info": r.info,
        "gas_wanted": r.gas_wanted.to_string(),
        "gas_used": r.gas_used.to_string(),
        "events": events(&r.events),
        "codespace": r.codespace,
    })
}

pub fn tx_result(r: &ExecTxResult) -> Value {
    json!({
        "code": r.code,
        "data": bytes(&r.data),
        "log": r.log,
        "info": r.info,
        "gas_wanted": r.gas_wanted.to_string(),
        "gas_used": r.gas_used.to_string(),
        "events": events(&r.events),
        "codespace": r.codespace,
    })
}

pub fn block_results(height: i64, r: &ResponseFinalizeBlock) -> Value {
    fn list<T>(items: &[T], one: impl Fn(&T) -> Value) -> Value {
        if items.is_empty() { Value::Null } else { items.iter().map(one).collect() }
    }
    json!({
        "height": height.to_string(),
        "txs_results": list(&r.tx_results, tx_result),
        "finalize_block_events": if r.events.is_empty() { Value::Null } else { events(&r.events) },
        "validator_updates": list(&r.validator_updates, validator_update),
        "consensus_param_updates": r.consensus_param_updates.as_ref().map(consensus_params),
        "app_hash": bytes(&r.app_hash),
    })
}

fn validator_update(update: &ValidatorUpdate) -> Value {
    let sum = update.pub_key.as_ref().and_then(|key| key.sum.as_ref()).map(|sum| match sum {
        Sum::Ed25519(key) => json!({"type": "tendermint.crypto.PublicKey_Ed25519", "value": {"ed25519": base64(key)}}),
        Sum::Secp256k1(key) => {
            json!({"type": "tendermint.crypto.PublicKey_Secp256K1", "value": {"secp256k1": base64(key)}})
        }
    });
    let mut object = json!({"pub_key": {"Sum": sum}});
    if update.power != 0 {
        object["power"] = update.power.to_string().into();
    }
    object
}

pub fn consensus_params(p: &ConsensusParams) -> Value {
    let mut object = serde_json::Map::new();
    if let Some(block) = &p.block {
        let value = json!({"max_bytes": block.max_bytes.to_string(), "max_gas": block.max_gas.to_string()});
        object.insert("block".into(), value);
    }
    if let Some(evidence) = &p.evidence {
        let age = evidence.max_age_duration.unwrap_or_default();
        let nanos = i128::from(age.seconds) * 1_000_000_000 + i128::from(age.nanos);
        let value = json!({
            "max_age_num_blocks": evidence.max_age_num_blocks.to_string(),
            "max_age_duration": nanos.to_string(),
            "max_bytes": evidence.max_bytes.to_string(),
        });
        object.insert("evidence".into(), value);
    }
    if let Some(validator) = &p.validator {
        object.insert("validator".into(), json!({"pub_key_types": validator.pub_key_types}));
    }
    if let Some(version) = &p.version {
        object.insert("version".into(), json!({"app": version.app.to_string()}));
    }
    if let Some(abci) = &p.abci {
        let height = abci.vote_extensions_enable_height.to_string();
        object.insert("abci".into(), json!({"vote_extensions_enable_height": height}));
    }
    object.into()
}

pub fn time(time: Time) -> String {
    time.to_rfc3339()
}

pub fn header_time(header: &Header) -> String {
    header.time.and_then(|t| Time::try_from(t).ok()).map(time).unwrap_or_default()
}

pub fn block_id(id: Option<&BlockId>) -> Value {
    let hash = id.map(|id| hex(&id.hash)).unwrap_or_default();
    let parts = id.and_then(|id| id.part_set_header.as_ref());
    json!({
        "hash": hash,
        "parts": {"total": parts.map_or(0, |p| p.total), "hash": parts.map(|p| hex(&p.hash)).unwrap_or_default()},
    })
}

pub fn block(block: &Block) -> Value {
    let header = &block.header;
    let version = header.version.unwrap_or_default();
    json!({
        "block_id": block_id(Some(&super::block_id(block))),
        "block": {
            "header": {
                "version": {"block": version.block.to_string(), "app": version.app.to_string()},
                "chain_id": header.chain_id,
                "height": header.height.to_string(),
                "time": header_time(header),
                "last_block_id": block_id(header.last_block_id.as_ref()),
                "last_commit_hash": hex(&header.last_commit_hash),
                "data_hash": hex(&header.data_hash),
                "validators_hash": hex(&header.validators_hash),
                "next_validators_hash": hex(&header.next_validators_hash),
                "consensus_hash": hex(&header.consensus_hash),
                "app_hash": hex(&header.app_hash),
                "last_results_hash": hex(&header.last_results_hash),
                "evidence_hash": hex(&header.evidence_hash),
                "proposer_address": hex(&header.proposer_address),
            },
            "data": {"txs": block.txs.iter().map(base64).collect::<Vec<_>>()},
            "evidence": {"evidence": []},
            "last_commit": {
                "height": header.last_block_id.as_ref().map_or(0, |_| header.height - 1).to_string(),
                "round": 0,
                "block_id": block_id(header.last_block_id.as_ref()),
                "signatures": [],
            },
        },
    })
}

pub fn public_key(key: PublicKey) -> Value {
    let kind = match key {
        PublicKey::Secp256k1(_) => "tendermint/PubKeySecp256k1",
        _ => "tendermint/PubKeyEd25519",
    };
    json!({"type": kind, "value": base64(key.to_bytes())})
}

pub fn validator(v: &validator::Info) -> Value {
    json!({
        "address": hex(v.address.as_bytes()),
        "pub_key": public_key(v.pub_key),
        "voting_power": v.power().to_string(),
        "proposer_priority": "0",
    })
}
