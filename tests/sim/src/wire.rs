//! From the model's messages to the chain's, and from the chain's answers to the model's.

use crate::actors::CAST;
use crate::model::escrow::Paid;
use crate::model::{Amount, Attribute, BidId, Details, Fault, Id, Msg, Record, Reply, Spec, Tx, Who};
use client::tx::{Signer, Unsigned, any};
use prost::Message;
use proto::cosmos::bank::v1beta1::{Input, MsgMultiSend, MsgSend, Output};
use proto::cosmos::base::abci::v1beta1::TxMsgData;
use proto::cosmos::base::v1beta1::Coin;
use proto::virtengine::base::v1 as base;
use proto::virtengine::{deployment::v1 as d, encryption::v1 as k, escrow::v1 as e, market::v1 as m, provider::v1 as p};
use proto::{Any, duration, duration_millis, millis, timestamp};
use sha2::{Digest, Sha256};

pub const CHAIN: &str = "sim-1";
const ALGORITHM: &str = "X25519-XSalsa20-Poly1305";

pub fn coin(amount: &Amount) -> Option<Coin> {
    let coin = |denom: &str, amount: String| Some(Coin { denom: denom.into(), amount });
    match amount {
        Amount::Uve(n) => coin("uve", n.to_string()),
        Amount::Other(n) => coin("uother", n.to_string()),
        Amount::Text(text) => coin("uve", text.clone()),
        Amount::None => None,
    }
}

pub fn attributes(list: &[Attribute]) -> Vec<base::Attribute> {
    list.iter().map(|(k, v)| base::Attribute { key: format!("k{k}"), value: format!("v{v}") }).collect()
}

fn addresses(list: &[Who]) -> Vec<String> {
    list.iter().map(|who| CAST.address(*who)).collect()
}

fn details(details: &Details) -> Option<p::Details> {
    let address = |who: Option<Who>| who.map_or(String::new(), |who| CAST.address(who));
    Some(p::Details {
        name: if details.named { "Someone".into() } else { " ".into() },
        contact: "someone@example.com".into(),
        attributes: attributes(&details.attributes),
        operator: address(details.operator),
        payout: address(details.payout),
        ..Default::default()
    })
}

fn group(number: usize, spec: &Spec) -> d::GroupSpec {
    let [cpu_milli, memory, storage, gpu] = spec.unit;
    let signed_by = base::SignedBy { all_of: addresses(&spec.all_of), any_of: addresses(&spec.any_of) };
    d::GroupSpec {
        name: format!("group-{number}"),
        requirements: Some(base::PlacementRequirements { signed_by: Some(signed_by), attributes: attributes(&spec.attributes) }),
        resources: vec![base::ResourceUnit {
            id: 1,
            cpu_milli,
            memory,
            storage: vec![base::Storage { name: "default".into(), size: storage, attributes: Vec::new() }],
            gpu,
            count: spec.count,
            ..Default::default()
        }],
        price: coin(&spec.price),
        reclamation_window: spec.reclaim.map(duration),
    }
}

pub fn bid_id(bid: &BidId) -> base::BidId {
    let BidId { id: Id { owner, dseq }, gseq, oseq, provider } = *bid;
    base::BidId { owner: CAST.address(owner), dseq, gseq, oseq, provider: CAST.address(provider) }
}

fn record(record: &Record) -> e::UsageRecord {
    let [cpu_milli_seconds, memory_byte_seconds, storage_byte_seconds, gpu_seconds] = record.claim.used;
    e::UsageRecord {
        lease_id: Some(bid_id(&record.bid)),
        sequence: record.claim.sequence,
        start_time: Some(timestamp(record.claim.start)),
        end_time: Some(timestamp(record.claim.end)),
        resources: Some(e::ResourceTotals { cpu_milli_seconds, memory_byte_seconds, storage_byte_seconds, gpu_seconds }),
    }
}

fn public_key(owner: Who, key: u8) -> Vec<u8> {
    Sha256::digest(format!("recipient key {owner} {key}")).to_vec()
}

fn fingerprint(owner: Who, key: u8) -> String {
    hex::encode(&Sha256::digest(public_key(owner, key))[..20])
}

fn envelope(recipients: &[(Who, u8)]) -> k::Envelope {
    let sealed = |(who, key): &(Who, u8)| k::SealedKey {
        fingerprint: fingerprint(*who, *key),
        ephemeral_public_key: vec![9; 32],
        nonce: vec![1; 24],
        sealed_key: vec![2; 48],
    };
    k::Envelope {
        algorithm: ALGORITHM.into(),
        recipients: recipients.iter().map(sealed).collect(),
        nonce: vec![3; 24],
        ciphertext: vec![4; 40],
    }
}

fn message(signer: Who, msg: &Msg) -> Any {
    let owner = CAST.address(signer);
    let hash = |length: &usize| vec![7; *length];
    match msg {
        Msg::Send { to, amount } => {
            any(&MsgSend { from_address: owner, to_address: CAST.address(*to), amount: coin(amount).into_iter().collect() })
        }
        Msg::MultiSend { total, outputs } => any(&MsgMultiSend {
            inputs: vec![Input { address: owner, coins: coin(total).into_iter().collect() }],
            outputs: outputs
                .iter()
                .map(|(to, n)| Output { address: CAST.address(*to), coins: coin(&Amount::Uve(*n)).into_iter().collect() })
                .collect(),
        }),
        Msg::CreateProvider { details: x, deposit } => any(&p::MsgCreateProvider { owner, details: details(x), deposit: coin(deposit) }),
        Msg::UpdateProvider { details: x } => any(&p::MsgUpdateProvider { owner, details: details(x) }),
        Msg::SetStatus { status } => any(&p::MsgSetProviderStatus { owner, status: *status }),
        Msg::DeleteProvider => any(&p::MsgDeleteProvider { owner }),
        Msg::Sign { provider, attributes: list } => {
            any(&p::MsgSignProviderAttributes { auditor: owner, provider: CAST.address(*provider), attributes: attributes(list) })
        }
        Msg::Unsign { provider } => any(&p::MsgDeleteSignedAttributes { auditor: owner, provider: CAST.address(*provider) }),
        Msg::RegisterKey { key, expires } => any(&k::MsgRegisterRecipientKey {
            owner,
            algorithm: ALGORITHM.to_lowercase(),
            public_key: public_key(signer, *key),
            label: String::new(),
            expires_at: expires.map(timestamp),
        }),
        Msg::RotateKey { old, key, expires } => any(&k::MsgRotateRecipientKey {
            owner,
            fingerprint: fingerprint(signer, *old),
            algorithm: ALGORITHM.into(),
            public_key: public_key(signer, *key),
            label: "new".into(),
            expires_at: expires.map(timestamp),
        }),
        Msg::RevokeKey { key } => any(&k::MsgRevokeRecipientKey { owner, fingerprint: fingerprint(signer, *key) }),
        Msg::RelabelKey { key, length } => {
            any(&k::MsgRelabelRecipientKey { owner, fingerprint: fingerprint(signer, *key), label: "x".repeat(*length) })
        }
        Msg::CreateDeployment { dseq, groups, deposit, hash: length } => any(&d::MsgCreateDeployment {
            owner,
            dseq: *dseq,
            groups: groups.iter().enumerate().map(|(i, spec)| group(i, spec)).collect(),
            hash: hash(length),
            deposit: coin(deposit),
        }),
        Msg::UpdateDeployment { dseq, hash: length } => any(&d::MsgUpdateDeployment { owner, dseq: *dseq, hash: hash(length) }),
        Msg::CloseDeployment { dseq } => any(&d::MsgCloseDeployment { owner, dseq: *dseq }),
        Msg::CloseGroup { dseq, gseq } => any(&d::MsgCloseGroup { owner, dseq: *dseq, gseq: *gseq }),
        Msg::PauseGroup { dseq, gseq } => any(&d::MsgPauseGroup { owner, dseq: *dseq, gseq: *gseq }),
        Msg::StartGroup { dseq, gseq } => any(&d::MsgStartGroup { owner, dseq: *dseq, gseq: *gseq }),
        Msg::CreateBid { bid, price, deposit } => {
            any(&m::MsgCreateBid { signer: owner, bid_id: Some(bid_id(bid)), price: coin(price), deposit: coin(deposit) })
        }
        Msg::CloseBid { bid, reason } => any(&m::MsgCloseBid { signer: owner, bid_id: Some(bid_id(bid)), reason: *reason }),
        Msg::CreateLease { bid } => any(&m::MsgCreateLease { owner, bid_id: Some(bid_id(bid)) }),
        Msg::CloseLease { bid, reoffer } => any(&m::MsgCloseLease { owner, lease_id: Some(bid_id(bid)), reoffer: *reoffer }),
        Msg::StartReclaim { bid } => any(&m::MsgStartReclaim { signer: owner, lease_id: Some(bid_id(bid)) }),
        Msg::SendManifest { bid, recipients } => {
            any(&m::MsgSendManifest { owner, lease_id: Some(bid_id(bid)), envelope: Some(envelope(recipients)) })
        }
        Msg::Deposit { id, amount } => any(&e::MsgDeposit {
            depositor: owner,
            deployment_id: Some(base::DeploymentId { owner: CAST.address(id.owner), dseq: id.dseq }),
            amount: coin(amount),
        }),
        Msg::WithdrawSpare { dseq } => any(&e::MsgWithdrawSpare { owner, dseq: *dseq }),
        Msg::SubmitUsage { records } => any(&e::MsgSubmitUsage { signer: owner, records: records.iter().map(record).collect() }),
    }
}

/// The signed bytes of a transaction.
pub fn encode(tx: &Tx, account_number: u64, sequence: u64) -> Vec<u8> {
    let unsigned = Unsigned {
        messages: tx.msgs.iter().map(|msg| message(tx.signer, msg)).collect(),
        memo: if tx.fault == Some(Fault::Memo) { "x".repeat(257) } else { String::new() },
        timeout_height: if tx.fault == Some(Fault::Timeout) { 1 } else { 0 },
        gas: if tx.fault == Some(Fault::Gas) { 1 } else { 1_000_000_000 },
        fee: if tx.fee == 0 { Vec::new() } else { coin(&Amount::Uve(tx.fee)).into_iter().collect() },
    };
    let signer = Signer { chain_id: CHAIN.into(), account_number, sequence, public_key: CAST.public_key(tx.signer) };
    unsigned.sign_with(&signer, |bytes| {
        let mut signature = CAST.sign(tx.signer, bytes);
        if tx.fault == Some(Fault::Signature) {
            signature[40] ^= 1;
        }
        signature
    })
}

fn amount(coin: Option<&Coin>) -> Option<u64> {
    coin.filter(|c| c.denom == "uve")?.amount.parse().ok()
}

/// The answers in a transaction's data; None if they are not what the messages' answers look like.
pub fn replies(data: &[u8]) -> Option<Vec<Reply>> {
    let data = TxMsgData::decode(data).ok()?;
    data.msg_responses.iter().map(reply).collect()
}

fn reply(any: &Any) -> Option<Reply> {
    let bytes = &any.value[..];
    Some(match any.type_url.rsplit('.').next()? {
        "MsgCreateDeploymentResponse" => Reply::Dseq(d::MsgCreateDeploymentResponse::decode(bytes).ok()?.dseq),
        "MsgStartGroupResponse" => Reply::Oseq(d::MsgStartGroupResponse::decode(bytes).ok()?.oseq),
        "MsgCloseLeaseResponse" => Reply::Oseq(m::MsgCloseLeaseResponse::decode(bytes).ok()?.oseq),
        "MsgWithdrawSpareResponse" => Reply::Spare(amount(e::MsgWithdrawSpareResponse::decode(bytes).ok()?.amount.as_ref())?),
        "MsgSubmitUsageResponse" => {
            let results = e::MsgSubmitUsageResponse::decode(bytes).ok()?.results;
            let paid = |r: &e::UsageResult| {
                Some(Paid {
                    settled: millis(r.settled.as_ref()?)?,
                    served: duration_millis(r.served.as_ref()?)?,
                    uve: amount(r.paid.as_ref())?,
                    duplicate: r.duplicate,
                })
            };
            Reply::Usage(results.iter().map(paid).collect::<Option<_>>()?)
        }
        _ => Reply::Done,
    })
}
