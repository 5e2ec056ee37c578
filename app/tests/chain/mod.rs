//! A chain in one process, driven through ABCI, for the tests beside it.
#![allow(dead_code)] // each test uses its part

use app::store::Tuning;
use app::{App, Config, GasPrices};
use bytes::Bytes;
use client::keys::{HdPath, Mnemonic, SecretKey};
use prost::{Message, Name};
use proto::cosmos::base::v1beta1::Coin;
use proto::cosmos::tx::v1beta1::{AuthInfo, Fee, SignerInfo, Tx, TxBody};
use proto::{Any, Timestamp};
use serde_json::{Value, json};
use tendermint_abci::Application;
use tendermint_proto::v0_38::abci::{ExecTxResult, RequestCheckTx, RequestFinalizeBlock, RequestInitChain, ResponseCheckTx};

pub const CHAIN: &str = "virtengine-test-1";
/// Block time of height 0, in seconds.
pub const START: i64 = 1_800_000_000;
const PHRASE: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
/// What every account of genesis has.
pub const FUNDS: u128 = 1_000_000_000;

pub fn key(index: u32) -> SecretKey {
    SecretKey::derive(&Mnemonic::parse(PHRASE).unwrap(), &HdPath::bip44(118, 0, index).unwrap()).unwrap()
}

pub fn address(index: u32) -> String {
    key(index).address().to_string()
}

pub fn coins(amount: u64) -> Vec<Coin> {
    if amount == 0 { Vec::new() } else { vec![Coin { denom: "uve".into(), amount: amount.to_string() }] }
}

pub fn any<M: Message + Name>(message: &M) -> Any {
    client::tx::any(message)
}

pub fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanos: 0 })
}

/// An unsigned transaction with 300,000 gas for 7,500 uve.
pub fn unsigned(messages: Vec<Any>) -> Tx {
    let fee = Fee { amount: coins(7_500), gas_limit: 300_000, ..Fee::default() };
    Tx {
        body: Some(TxBody { messages, ..TxBody::default() }),
        auth_info: Some(AuthInfo { fee: Some(fee), ..AuthInfo::default() }),
        signatures: Vec::new(),
    }
}

pub fn fee(tx: &mut Tx) -> &mut Fee {
    tx.auth_info.as_mut().unwrap().fee.as_mut().unwrap()
}

pub fn body(tx: &mut Tx) -> &mut TxBody {
    tx.body.as_mut().unwrap()
}

pub struct Chain {
    pub app: App,
    pub height: i64,
    pub time: i64,
    _dir: tempfile::TempDir,
}

impl Chain {
    /// A chain on which the keys 0 to 3 and `more` have money; account numbers are 1, 2, ….
    pub fn new(more: &[String]) -> Chain {
        Chain::with(more, Tuning::default())
    }

    pub fn with(more: &[String], store: Tuning) -> Chain {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { min_gas_prices: GasPrices::parse("0.025uve").unwrap(), store, ..Config::default() };
        let app = App::open(dir.path(), config).unwrap();
        let all: Vec<String> = (0..4).map(address).chain(more.iter().cloned()).collect();
        let account = |a: &String| json!({ "@type": "/cosmos.auth.v1beta1.BaseAccount", "address": a });
        let balance = |a: &String| json!({ "address": a, "coins": [{ "denom": "uve", "amount": FUNDS.to_string() }] });
        let state = json!({
            "auth": { "accounts": all.iter().map(account).collect::<Vec<_>>() },
            "bank": { "balances": all.iter().map(balance).collect::<Vec<_>>() },
        });
        app.init_chain(RequestInitChain {
            chain_id: CHAIN.into(),
            time: at(START),
            app_state_bytes: state.to_string().into_bytes().into(),
            initial_height: 1,
            ..Default::default()
        });
        let mut chain = Chain { app, height: 0, time: START, _dir: dir };
        chain.block(&[]);
        chain
    }

    /// A block with these transactions, five seconds after the last one.
    pub fn block(&mut self, txs: &[Vec<u8>]) -> Vec<ExecTxResult> {
        self.height += 1;
        self.time += 5;
        let txs = txs.iter().map(|tx| Bytes::from(tx.clone())).collect();
        let request = RequestFinalizeBlock { height: self.height, time: at(self.time), txs, ..Default::default() };
        let results = self.app.finalize_block(request).tx_results;
        self.app.commit();
        assert_eq!(self.app.broken().unwrap(), Vec::<String>::new());
        results
    }

    pub fn check(&self, tx: &[u8]) -> ResponseCheckTx {
        self.app.check_tx(RequestCheckTx { tx: Bytes::from(tx.to_vec()), r#type: 0 })
    }

    /// The transaction's outcome in a block of its own; CheckTx must agree on whether its signers and fee are in order.
    pub fn deliver(&mut self, tx: &[u8]) -> ExecTxResult {
        self.block(&[tx.to_vec()]).remove(0)
    }

    /// The answer to a query as JSON; the error's log if it was refused.
    pub fn query(&self, path: &str, request: Value) -> Result<Value, String> {
        let (service, method) = path.trim_start_matches('/').split_once('/').unwrap();
        let method = proto::descriptors().get_service_by_name(service).unwrap().methods().find(|m| m.name() == method).unwrap();
        let bytes = proto::json::from_value(method.input().full_name(), &request).unwrap();
        let answer = self.app.query(path, &bytes, 0).map_err(|e| e.log)?;
        Ok(proto::json::to_value(method.output().full_name(), &answer.value).unwrap())
    }

    pub fn balance(&self, address: &str) -> u128 {
        let request = json!({ "address": address, "denom": "uve" });
        let answer = self.query("/cosmos.bank.v1beta1.Query/Balance", request).unwrap();
        answer["balance"]["amount"].as_str().unwrap().parse().unwrap()
    }

    /// Account number and sequence.
    pub fn numbers(&self, address: &str) -> (u64, u64) {
        let answer = self.query("/cosmos.auth.v1beta1.Query/AccountInfo", json!({ "address": address })).unwrap();
        let number = |name: &str| answer["info"][name].as_str().unwrap().parse().unwrap();
        (number("account_number"), number("sequence"))
    }
}

/// Kinds of the events, and the attributes of one kind.
pub fn kinds(result: &ExecTxResult) -> Vec<&str> {
    result.events.iter().map(|e| e.r#type.as_str()).collect()
}

pub fn attribute<'a>(result: &'a ExecTxResult, kind: &str, key: &str) -> Vec<&'a str> {
    let events = result.events.iter().filter(|e| e.r#type == kind);
    events.flat_map(|e| &e.attributes).filter(|a| a.key == key).map(|a| a.value.as_str()).collect()
}

pub fn info(key: &client::keyring::AccountKey, mode: proto::cosmos::tx::v1beta1::ModeInfo, sequence: u64) -> SignerInfo {
    SignerInfo { public_key: Some(client::sign::key_any(key)), mode_info: Some(mode), sequence }
}
