//! The same blocks on replicas that differ in threads and in what they have seen before: every result, event and app
//! hash is the same. The hashes are golden: a change of what blocks do shows here first.

use app::{App, Config};
use bytes::Bytes;
use client::keys::{HdPath, Mnemonic, SecretKey};
use client::tx::{Signer, Unsigned, any};
use proto::Timestamp;
use proto::cosmos::bank::v1beta1::MsgSend;
use proto::cosmos::base::v1beta1::Coin;
use proto::virtengine::provider::v1::{Details, MsgCreateProvider};
use serde_json::json;
use tendermint_abci::Application;
use tendermint_proto::v0_38::abci::{RequestCheckTx, RequestFinalizeBlock, RequestInitChain, ResponseFinalizeBlock};

const CHAIN: &str = "replicas-1";
const PHRASE: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
const ACCOUNTS: u32 = 24;
const BLOCKS: u64 = 5;

fn keys() -> Vec<SecretKey> {
    let phrase = Mnemonic::parse(PHRASE).unwrap();
    (0..ACCOUNTS).map(|i| SecretKey::derive(&phrase, &HdPath::bip44(118, 0, i).unwrap()).unwrap()).collect()
}

fn coin(amount: u64) -> Option<Coin> {
    Some(Coin { denom: "uve".into(), amount: amount.to_string() })
}

/// Sends of every account, a provider that registers, a send that nobody can pay, and bytes that are no transaction.
fn block(keys: &[SecretKey], height: u64) -> Vec<Bytes> {
    let sequence = height - 1;
    let mut txs: Vec<Bytes> = keys
        .iter()
        .enumerate()
        .map(|(i, key)| {
            let from = key.address().to_string();
            let to = keys[(i + 7) % keys.len()].address().to_string();
            let amount = if i == 3 { u64::MAX } else { 1 + i as u64 };
            let message = match (i, height) {
                (5, 1) => any(&MsgCreateProvider {
                    owner: from,
                    details: Some(Details { name: "Five".into(), contact: "five@example.com".into(), ..Details::default() }),
                    deposit: coin(1_000_000_000),
                }),
                _ => any(&MsgSend { from_address: from, to_address: to, amount: coin(amount).into_iter().collect() }),
            };
            let tx = Unsigned { gas: 300_000, fee: coin(7_500).into_iter().collect(), ..Unsigned::new(vec![message]) };
            let signer = Signer { chain_id: CHAIN.into(), account_number: 1 + i as u64, sequence, public_key: key.public_key().to_bytes() };
            tx.sign(&signer, key).into()
        })
        .collect();
    txs.push(Bytes::from_static(b"no transaction"));
    txs
}

/// Runs the blocks; `warm` lets the mempool see the transactions before.
fn run(threads: usize, warm: bool) -> Vec<ResponseFinalizeBlock> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    pool.install(|| {
        let app = App::open(dir.path(), Config::default()).unwrap();
        let keys = keys();
        let addresses: Vec<String> = keys.iter().map(|k| k.address().to_string()).collect();
        let accounts: Vec<_> = addresses
            .iter()
            .map(|a| json!({ "@type": "/cosmos.auth.v1beta1.BaseAccount", "address": a, "pub_key": null, "account_number": "0", "sequence": "0" }))
            .collect();
        let balances: Vec<_> =
            addresses.iter().map(|a| json!({ "address": a, "coins": [{ "denom": "uve", "amount": "5000000000" }] })).collect();
        let state = json!({ "auth": { "accounts": accounts }, "bank": { "balances": balances } });
        let time = |height: u64| Some(Timestamp { seconds: 1_800_000_000 + height as i64, nanos: 0 });
        app.init_chain(RequestInitChain {
            chain_id: CHAIN.into(),
            time: time(0),
            app_state_bytes: state.to_string().into_bytes().into(),
            initial_height: 1,
            ..Default::default()
        });
        (1..=BLOCKS)
            .map(|height| {
                let txs = block(&keys, height);
                if warm && height > 1 {
                    app.prefetch(&txs);
                    for tx in &txs {
                        app.check_tx(RequestCheckTx { tx: tx.clone(), r#type: 0 });
                    }
                }
                let request = RequestFinalizeBlock { height: height as i64, time: time(height), txs, ..Default::default() };
                if warm {
                    // A proposal that was executed and given up leaves nothing behind.
                    let other = RequestFinalizeBlock { txs: Vec::new(), ..request.clone() };
                    app.finalize_block(other);
                }
                let response = app.finalize_block(request);
                app.commit();
                assert_eq!(app.broken().unwrap(), Vec::<String>::new());
                response
            })
            .collect()
    })
}

#[test]
fn replicas_agree_on_every_result_event_and_hash_whatever_their_threads_and_caches() {
    let one = run(1, false);
    assert_eq!(one, run(4, true));
    assert_eq!(one, run(2, false));
    let codes: Vec<u32> = one[0].tx_results.iter().map(|r| r.code).collect();
    assert_eq!(codes.iter().filter(|c| **c == 0).count(), ACCOUNTS as usize - 1, "{codes:?}");
    assert_eq!((codes[3], codes[ACCOUNTS as usize]), (5, 2));
    let hashes: String = one.iter().map(|r| format!("{}\n", hex::encode(&r.app_hash))).collect();
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/app-hashes.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(golden, &hashes).unwrap();
    }
    assert_eq!(hashes, std::fs::read_to_string(golden).unwrap(), "UPDATE_GOLDEN=1 accepts a change that is meant");
}
