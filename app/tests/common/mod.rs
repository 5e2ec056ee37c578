//! A chain of one application with a clock, without consensus.
#![allow(dead_code)] // each test file uses its part

use app::{App, Config};
use bytes::Bytes;
use client::keys::{HdPath, Mnemonic, SecretKey};
use client::tx::{Signer, Unsigned};
use prost::Message;
use proto::cosmos::bank::v1beta1::{QueryBalanceRequest, QueryBalanceResponse};
use proto::cosmos::base::v1beta1::Coin;
use proto::virtengine::base::v1::{Attribute, BidId, PlacementRequirements, ResourceUnit, Storage};
use proto::virtengine::deployment::v1::GroupSpec;
use proto::{Any, Timestamp};
use serde_json::{Value, json};
use tendermint_abci::Application;
use tendermint_proto::v0_38::abci::{ExecTxResult, RequestFinalizeBlock, RequestInitChain};

const CHAIN: &str = "test-1";
const PHRASE: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
/// Genesis' time, in ms.
pub const START: u64 = 1_800_000_000_000;
pub const SECOND: u64 = 1000;
pub const MINUTE: u64 = 60 * SECOND;
pub const HOUR: u64 = 60 * MINUTE;
const GAS: u64 = 20_000_000;

/// Has a few uve; the others have 10,000 VE and 5 atom.
pub const POOR: usize = 5;
pub const ACCOUNTS: usize = 30;

/// Accounts go by the places of their keys.
pub struct Chain {
    pub app: App,
    keys: Vec<SecretKey>,
    sequences: Vec<u64>,
    height: i64,
    /// Of the last block, in ms; the next is a second later.
    pub time: u64,
    _dir: tempfile::TempDir,
}

pub fn uve(amount: impl ToString) -> Option<Coin> {
    coin(amount, "uve")
}

pub fn coin(amount: impl ToString, denom: &str) -> Option<Coin> {
    Some(Coin { denom: denom.into(), amount: amount.to_string() })
}

pub fn at(ms: u64) -> Option<Timestamp> {
    Some(Timestamp { seconds: (ms / 1000) as i64, nanos: (ms % 1000) as i32 * 1_000_000 })
}

pub fn attribute(key: &str, value: &str) -> Attribute {
    Attribute { key: key.into(), value: value.into() }
}

/// The lab's group: half a core, 512 MiB, 1 GiB, region local, at most 100 uve per hour.
pub fn group() -> GroupSpec {
    GroupSpec {
        name: "dcloud".into(),
        requirements: Some(PlacementRequirements { signed_by: None, attributes: vec![attribute("region", "local")] }),
        resources: vec![ResourceUnit {
            id: 1,
            cpu_milli: 500,
            memory: 512 << 20,
            storage: vec![Storage { name: "default".into(), size: 1 << 30, attributes: vec![] }],
            count: 1,
            ..Default::default()
        }],
        price: uve(100),
        reclamation_window: None,
    }
}

impl Chain {
    /// With these sections of a genesis document.
    pub fn new(sections: Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let app = App::open(dir.path(), Config::default()).unwrap();
        let phrase = Mnemonic::parse(PHRASE).unwrap();
        let keys: Vec<_> = (0..ACCOUNTS).map(|i| SecretKey::derive(&phrase, &HdPath::bip44(118, 0, i as u32).unwrap()).unwrap()).collect();
        let of = |i: usize| keys[i].address().to_string();
        let account = |i| json!({ "@type": "/cosmos.auth.v1beta1.BaseAccount", "address": of(i) });
        let purse = |i| if i == POOR { "100000" } else { "10000000000" };
        let balance =
            |i| json!({ "address": of(i), "coins": [{ "denom": "atom", "amount": "5" }, { "denom": "uve", "amount": purse(i) }] });
        let mut state = sections;
        state["auth"] = json!({ "accounts": (0..ACCOUNTS).map(account).collect::<Vec<_>>() });
        state["bank"] = json!({ "balances": (0..ACCOUNTS).map(balance).collect::<Vec<_>>() });
        app.init_chain(RequestInitChain {
            chain_id: CHAIN.into(),
            time: at(START),
            app_state_bytes: state.to_string().into_bytes().into(),
            initial_height: 1,
            ..Default::default()
        });
        Chain { app, sequences: vec![0; ACCOUNTS], keys, height: 0, time: START, _dir: dir }
    }

    pub fn address(&self, who: usize) -> String {
        self.keys[who].address().to_string()
    }

    pub fn sign(&self, who: usize, message: Any) -> Bytes {
        let tx = Unsigned { gas: GAS, fee: uve(1000).into_iter().collect(), ..Unsigned::new(vec![message]) };
        let key = &self.keys[who];
        let signer = Signer {
            chain_id: CHAIN.into(),
            account_number: 1 + who as u64,
            sequence: self.sequences[who],
            public_key: key.public_key().to_bytes(),
        };
        tx.sign(&signer, key).into()
    }

    /// What the next block, a second later, would do; nothing is committed.
    pub fn execute(&self, txs: Vec<Bytes>) -> (Vec<ExecTxResult>, Bytes) {
        let request = RequestFinalizeBlock { height: self.height + 1, time: at(self.time + SECOND), txs, ..Default::default() };
        let response = self.app.finalize_block(request);
        (response.tx_results, response.app_hash)
    }

    /// The next block's time, in ms.
    pub fn next_at(&mut self, ms: u64) {
        self.time = ms - SECOND;
    }

    /// A block with nothing in it, `ms` later.
    pub fn pass(&mut self, ms: u64) {
        self.next_at(self.time + ms);
        self.execute(vec![]);
        self.keep();
    }

    pub fn keep(&mut self) {
        self.app.commit();
        self.height += 1;
        self.time += SECOND;
        assert_eq!(self.app.broken().unwrap(), Vec::<String>::new());
    }

    pub fn ok(&mut self, who: usize, message: Any) {
        let (results, _) = self.execute(vec![self.sign(who, message)]);
        assert_eq!(results[0].code, 0, "{}", results[0].log);
        self.keep();
        self.sequences[who] += 1;
    }

    /// The answer to a query, by gRPC path.
    pub fn query<A: Message + Default>(&self, path: &str, request: &impl Message) -> A {
        let answer = self.app.query(path, &request.encode_to_vec(), 0).unwrap_or_else(|e| panic!("{path}: {e}"));
        A::decode(&answer.value[..]).unwrap()
    }

    /// In uve.
    pub fn balance(&self, who: usize) -> u64 {
        let request = QueryBalanceRequest { address: self.address(who), denom: "uve".into() };
        let answer: QueryBalanceResponse = self.query("/cosmos.bank.v1beta1.Query/Balance", &request);
        answer.balance.unwrap().amount.parse().unwrap()
    }

    /// The bid or lease of a provider on the first order of a deployment.
    pub fn id(&self, owner: usize, dseq: u64, provider: usize) -> BidId {
        BidId { owner: self.address(owner), dseq, gseq: 1, oseq: 1, provider: self.address(provider) }
    }
}
