use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
};

use serde_json::{Value, json};
use tendermint_proto::v0_38::abci::{
    Event, EventAttribute, RequestQuery, ResponseCommit, ResponseInitChain, ResponsePrepareProposal, ResponseQuery,
};

use super::*;

/// A state of keys and values from transactions `key=value`. Clones, and what is built from a clone after a
/// "restart", share what was committed.
#[derive(Clone, Default)]
struct KeyValues {
    disk: Arc<Mutex<Committed>>,
    /// Validators that InitChain answers.
    validators: Vec<ValidatorUpdate>,
    pending: Arc<Mutex<Option<Committed>>>,
}

#[derive(Clone, Default)]
struct Committed {
    height: i64,
    rows: BTreeMap<String, String>,
}

impl Committed {
    fn hash(&self) -> Bytes {
        Bytes::copy_from_slice(&Sha256::digest(format!("{:?}", self.rows)))
    }
}

fn row(tx: &Bytes) -> Option<(String, String)> {
    let (key, value) = std::str::from_utf8(tx).ok()?.split_once('=')?;
    Some((key.into(), value.into()))
}

impl KeyValues {
    /// What is left of it after a crash.
    fn restarted(&self) -> Self {
        Self { pending: Arc::default(), ..self.clone() }
    }
}

impl Application for KeyValues {
    fn info(&self, _: RequestInfo) -> ResponseInfo {
        let disk = self.disk.lock();
        ResponseInfo {
            data: "rows".into(),
            version: "1".into(),
            app_version: 1,
            last_block_height: disk.height,
            last_block_app_hash: disk.hash(),
        }
    }

    fn init_chain(&self, request: RequestInitChain) -> ResponseInitChain {
        assert_eq!(request.app_state_bytes, r#"{"b":1,"a":[]}"#);
        ResponseInitChain { app_hash: Committed::default().hash(), validators: self.validators.clone(), ..Default::default() }
    }

    fn check_tx(&self, request: RequestCheckTx) -> ResponseCheckTx {
        // `once` is refused when it has been set.
        let known = |(key, _): &(String, String)| key == "once" && self.disk.lock().rows.contains_key(key);
        let code = match row(&request.tx) {
            Some(row) if !known(&row) => 0,
            _ => 7,
        };
        ResponseCheckTx { code, log: "checked".into(), gas_wanted: 1, ..Default::default() }
    }

    fn prepare_proposal(&self, request: RequestPrepareProposal) -> ResponsePrepareProposal {
        assert!(request.height == 1 || request.local_last_commit.is_some_and(|c| c.votes.len() == 1));
        ResponsePrepareProposal { txs: request.txs }
    }

    fn finalize_block(&self, request: RequestFinalizeBlock) -> ResponseFinalizeBlock {
        let mut next = self.disk.lock().clone();
        assert_eq!(request.height, next.height + 1);
        next.height = request.height;
        let tx_results = request
            .txs
            .iter()
            .map(|tx| {
                let (key, value) = row(tx).expect("checked");
                let attribute = EventAttribute { key: "key".into(), value: key.clone(), index: true };
                next.rows.insert(key, value);
                let events = vec![Event { r#type: "app".into(), attributes: vec![attribute] }];
                ExecTxResult { events, ..Default::default() }
            })
            .collect();
        let app_hash = next.hash();
        *self.pending.lock() = Some(next);
        ResponseFinalizeBlock { tx_results, app_hash, ..Default::default() }
    }

    fn commit(&self) -> ResponseCommit {
        *self.disk.lock() = self.pending.lock().take().expect("a block was executed");
        ResponseCommit::default()
    }

    fn query(&self, request: RequestQuery) -> ResponseQuery {
        let disk = self.disk.lock();
        let value = disk.rows.get(std::str::from_utf8(&request.data).unwrap_or_default());
        ResponseQuery { key: request.data, value: value.cloned().unwrap_or_default().into(), height: disk.height, ..Default::default() }
    }
}

fn validator_json(seed: u8) -> Value {
    let info = validator_info(seed);
    json!({
        "address": json::hex(info.address.as_bytes()),
        "pub_key": json::public_key(info.pub_key),
        "power": "10",
        "name": "",
    })
}

fn validator_info(seed: u8) -> validator::Info {
    let points = [
        "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29",
        "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c",
    ];
    let key = tendermint::PublicKey::from_raw_ed25519(&hex::decode(points[usize::from(seed)]).unwrap());
    validator::Info::new(key.unwrap(), 10u32.into())
}

fn home(validators: &[Value]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("config")).unwrap();
    let genesis = json!({
        "genesis_time": "2025-01-02T03:04:05.5Z",
        "chain_id": "test-1",
        "initial_height": "1",
        "consensus_params": {
            "block": {"max_bytes": "22020096", "max_gas": "-1"},
            "evidence": {"max_age_num_blocks": "100000", "max_age_duration": "172800000000000", "max_bytes": "1048576"},
            "validator": {"pub_key_types": ["ed25519"]},
            "version": {"app": "0"},
            "abci": {"vote_extensions_enable_height": "0"},
        },
        "validators": validators,
        "app_hash": "",
        "app_state": {"b": 1, "a": []},
    });
    std::fs::write(genesis_file(dir.path()), genesis.to_string()).unwrap();
    dir
}

fn solo(home: &Path) -> Solo {
    Solo {
        home: home.to_path_buf(),
        rpc: "127.0.0.1:0".parse().unwrap(),
        moniker: "test".into(),
        block_time: Duration::from_millis(200),
        min_block_time: Duration::from_millis(10),
    }
}

fn open(home: &Path, app: &KeyValues) -> anyhow::Result<Chain<KeyValues>> {
    Chain::open(solo(home), app.clone())
}

fn refused(home: &Path, app: &KeyValues) -> String {
    format!("{:#}", open(home, app).err().expect("an error"))
}

fn add(chain: &Chain<KeyValues>, tx: &'static str) {
    assert_eq!(chain.check_tx(tx.into()).unwrap().code, 0);
}

#[test]
fn headers_link_blocks_and_carry_the_state_of_the_block_before() {
    let home = home(&[validator_json(0)]);
    let chain = open(home.path(), &KeyValues::default()).unwrap();
    add(&chain, "a=1");
    for _ in 0..3 {
        chain.make_block().unwrap();
    }
    let store = chain.store.read();
    let block = |height| store.block(height).unwrap().unwrap();
    let result = |height| store.result(height).unwrap().unwrap();
    assert_eq!(block(1).txs, ["a=1"]);
    assert_eq!(block(1).header.app_hash, Committed::default().hash());
    assert_eq!(json::header_time(&block(1).header), "2025-01-02T03:04:05.5Z");
    for height in [2, 3] {
        let (before, header) = (block(height - 1), block(height).header);
        assert_eq!(header.app_hash, result(height - 1).app_hash);
        assert_eq!(header.last_block_id, Some(block_id(&before)));
        assert!(Time::try_from(header.time.unwrap()).unwrap() > before.header.time.unwrap().try_into().unwrap());
        let hashed = tendermint::block::Header::try_from(header).unwrap().hash();
        assert_eq!(block(height).hash, hashed.as_bytes());
    }
}

#[test]
fn a_crash_between_any_two_steps_loses_nothing_that_was_decided() {
    for steps in 0..=3 {
        let home = home(&[validator_json(0)]);
        let app = KeyValues::default();
        {
            let chain = open(home.path(), &app).unwrap();
            add(&chain, "a=1");
            chain.make_block().unwrap();
            add(&chain, "b=2");
            let block = chain.propose().unwrap();
            if steps > 0 {
                chain.store.write().decide(block.clone()).unwrap();
            }
            let response = chain.finalize(&block).unwrap();
            if steps > 1 {
                chain.store.write().conclude(response).unwrap();
            }
            if steps > 2 {
                app.commit();
            }
        }
        let app = app.restarted();
        let chain = open(home.path(), &app).unwrap();
        let expected = if steps == 0 { 1 } else { 2 };
        assert_eq!((chain.state.read().height, app.disk.lock().height), (expected, expected), "{steps} steps");
        chain.make_block().unwrap();
        assert_eq!(app.disk.lock().height, expected + 1);
    }
}

#[test]
fn an_application_that_lost_everything_gets_all_blocks_again() {
    let home = home(&[validator_json(0)]);
    let app = KeyValues::default();
    let chain = open(home.path(), &app).unwrap();
    add(&chain, "a=1");
    chain.make_block().unwrap();
    add(&chain, "b=2");
    chain.make_block().unwrap();
    drop(chain);
    let empty = KeyValues::default();
    open(home.path(), &empty).unwrap();
    assert_eq!(empty.disk.lock().rows, app.disk.lock().rows);
    assert_eq!(empty.disk.lock().height, 2);
}

#[test]
fn networks_of_several_validators_and_foreign_data_are_refused() {
    let two = home(&[validator_json(0), validator_json(1)]);
    assert!(refused(two.path(), &KeyValues::default()).contains("2 validators"));

    let updates: Vec<_> = [0, 1].map(|seed| ValidatorUpdate { pub_key: Some(validator_info(seed).pub_key.into()), power: 10 }).into();
    let none = home(&[]);
    assert!(refused(none.path(), &KeyValues::default()).contains("makes 0 validators"));
    let by_app = |validators: &[ValidatorUpdate]| KeyValues { validators: validators.to_vec(), ..Default::default() };
    let fresh = home(&[]);
    assert!(refused(fresh.path(), &by_app(&updates)).contains("makes 2 validators"));
    let fresh = home(&[]);
    open(fresh.path(), &by_app(&updates[..1])).unwrap();

    let one = home(&[validator_json(0)]);
    let app = KeyValues::default();
    open(one.path(), &app).unwrap().make_block().unwrap();
    let elsewhere = home(&[validator_json(0)]);
    assert!(refused(elsewhere.path(), &app).contains("ran on another engine"));
    open(elsewhere.path(), &KeyValues::default()).unwrap();
    assert!(refused(elsewhere.path(), &app).contains("not of one node"));

    let file = genesis_file(one.path());
    let changed = std::fs::read_to_string(&file).unwrap().replace("test-1", "test-2");
    std::fs::write(&file, changed).unwrap();
    assert!(refused(one.path(), &app).contains("not the one that the chain in data/solo began with"));
    std::fs::write(&file, "{}").unwrap();
    assert!(refused(one.path(), &app).contains("genesis.json"));
    std::fs::remove_file(&file).unwrap();
    assert!(refused(one.path(), &app).contains("virtengine init"));
}

#[test]
fn an_application_that_answers_differently_the_second_time_is_stopped() {
    let home = home(&[validator_json(0)]);
    let app = KeyValues::default();
    {
        let chain = open(home.path(), &app).unwrap();
        let block = chain.propose().unwrap();
        chain.store.write().decide(block.clone()).unwrap();
        let mut response = chain.finalize(&block).unwrap();
        response.app_hash = "other".into();
        chain.store.write().conclude(response).unwrap();
    }
    assert!(refused(home.path(), &app.restarted()).contains("was executed with app hash"));
}

#[test]
fn what_became_invalid_leaves_the_mempool_after_a_block() {
    let home = home(&[validator_json(0)]);
    let chain = open(home.path(), &KeyValues::default()).unwrap();
    assert_eq!(chain.check_tx("malformed".into()).unwrap().code, 7);
    assert_eq!(chain.check_tx("malformed".into()).unwrap().code, 7, "it may be tried again");
    add(&chain, "once=1");
    chain.make_block().unwrap();
    assert_eq!(chain.check_tx("once=1".into()).unwrap_err(), "tx already exists in cache");

    add(&chain, "later=1");
    let waiting = Waiting { hash: [9; 32], tx: "once=2".into(), gas: 1 };
    let block = chain.propose().unwrap();
    chain.mempool.lock().push(waiting);
    chain.store.write().decide(block.clone()).unwrap();
    assert_eq!(block.txs, ["later=1"]);
    drop(block);
    assert_eq!(chain.mempool.lock().len(), 2);
    // Both are decided upon here: one is committed, the other refused.
    let chain = {
        let app = chain.app();
        drop(chain);
        open(home.path(), &app.restarted()).unwrap()
    };
    chain.mempool.lock().push(Waiting { hash: [9; 32], tx: "once=2".into(), gas: 1 });
    chain.mempool.lock().update(&HashSet::new(), |w| chain.app().check_tx(check_request(&w.tx, CheckTxType::Recheck)).code == 0);
    assert!(chain.mempool.lock().is_empty());
}

/// One HTTP exchange; the status and the body.
fn http(address: SocketAddr, head: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(
        stream,
        "{head} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: {length}\r\nContent-Type: application/json\r\n\r\n{body}"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.into())
}

fn get(address: SocketAddr, uri: &str) -> Value {
    serde_json::from_str(&http(address, &format!("GET {uri}"), "").1).unwrap()
}

fn post(address: SocketAddr, body: Value) -> Value {
    serde_json::from_str(&http(address, "POST /", &body.to_string()).1).unwrap()
}

fn ask(address: SocketAddr, method: &str, params: Value) -> Value {
    let mut answer = post(address, json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}));
    assert_eq!(answer["id"], 7);
    assert!(answer["error"].is_null(), "{method}: {answer}");
    answer["result"].take()
}

/// Runs the engine while `f` talks to it.
fn running(home: &Path, app: KeyValues, f: impl FnOnce(SocketAddr) + Send + 'static) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (ready, address) = tokio::sync::oneshot::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let client = std::thread::spawn(move || {
        f(address.blocking_recv().unwrap());
        stop.send(()).unwrap();
    });
    let ran = runtime.block_on(solo(home).run(
        app,
        |address| ready.send(address).unwrap(),
        // A client that panicked ends it, too.
        async { stopped.await.unwrap_or_default() },
    ));
    client.join().unwrap();
    ran.unwrap();
}

/// The paths of a document with the kinds of their values. What is null or an empty list says nothing.
fn shape(path: &str, value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Null => {}
        Value::Bool(_) => drop(found.insert(format!("{path}: flag"))),
        Value::Number(_) => drop(found.insert(format!("{path}: number"))),
        Value::String(_) => drop(found.insert(format!("{path}: string"))),
        Value::Array(items) => items.iter().for_each(|item| shape(&format!("{path}[]"), item, found)),
        Value::Object(fields) => {
            for (key, value) in fields {
                shape(&format!("{path}.{key}"), value, found);
            }
        }
    }
}

#[test]
fn answers_have_the_shape_of_those_of_cometbft() {
    let home = home(&[validator_json(0)]);
    running(home.path(), KeyValues::default(), |address| {
        let committed = ask(address, "broadcast_tx_commit", json!({"tx": "YT1i"}));
        let height = committed["height"].clone();
        let hash = "42144F3939C3FFBBF0BF8B1F12AFFB5C23A4C5BD41E0FF672D54A5754F062058";
        assert_eq!(committed["hash"], hash);
        let mut ours = Map::from_iter([("broadcast_tx_commit".to_owned(), committed)]);
        let base64_hash = json::base64(hex::decode(hash).unwrap());
        for (method, params) in [
            ("broadcast_tx_sync", json!({"tx": "Yz1k"})),
            ("broadcast_tx_async", json!(["ZT1m"])),
            ("num_unconfirmed_txs", json!({})),
            ("unconfirmed_txs", json!({"limit": "5"})),
            ("tx", json!({"hash": base64_hash, "prove": false})),
            ("tx_search", json!({"query": format!("tx.hash='{hash}'"), "page": "1"})),
            ("block", json!({"height": height})),
            ("block_results", json!({"height": height})),
            ("status", json!([])),
            ("health", Value::Null),
            ("abci_info", json!({})),
            ("validators", json!({})),
            ("genesis", json!({})),
            ("abci_query", json!({"path": "/x", "data": "61", "height": "0", "prove": false})),
        ] {
            ours.insert(method.into(), ask(address, method, params));
        }
        assert_eq!(ours["tx"], ours["tx_search"]["txs"][0]);
        assert_eq!(ours["abci_query"]["response"]["value"], "Yg==");
        let theirs: Map = serde_json::from_str(include_str!("testdata/cometbft-0.38.25.json")).unwrap();
        for (method, theirs) in &theirs {
            let (mut a, mut b) = (BTreeSet::new(), BTreeSet::new());
            shape(method, &ours[method], &mut a);
            shape(method, theirs, &mut b);
            // Nobody signs here; the applications differ; two transactions may be in a block already.
            let skip = |path: &String| ["signatures", "app_state", "unconfirmed_txs.txs"].iter().any(|part| path.contains(part));
            let differ: Vec<_> = a.symmetric_difference(&b).filter(|path| !skip(path)).collect();
            assert!(differ.is_empty(), "{method}: {differ:?}");
        }
    });
}

#[test]
fn transactions_are_found_by_their_events_page_by_page() {
    let home = home(&[validator_json(0)]);
    running(home.path(), KeyValues::default(), |address| {
        let heights: Vec<Value> =
            ["YT1i", "Yz1k", "YT1j"].iter().map(|tx| ask(address, "broadcast_tx_commit", json!({"tx": tx}))["height"].clone()).collect();
        let search = |query: &str, more: Value| {
            let mut params = more;
            params["query"] = query.into();
            let found = ask(address, "tx_search", params);
            let txs = found["txs"].as_array().unwrap().iter().map(|tx| tx["height"].clone()).collect::<Vec<_>>();
            (txs, found["total_count"].as_str().unwrap().to_owned())
        };
        let [first, _, last] = &heights[..] else { panic!("{heights:?}") };
        assert_eq!(search("app.key='a'", json!({})), (vec![first.clone(), last.clone()], "2".into()));
        assert_eq!(search("app.key CONTAINS 'a'", json!({"order_by": "desc", "per_page": "1"})), (vec![last.clone()], "2".into()));
        assert_eq!(search("app.key EXISTS", json!({"page": "2", "per_page": "2"})), (vec![last.clone()], "3".into()));
        let after = format!("app.key='a' AND tx.height > {}", first.as_str().unwrap());
        assert_eq!(search(&after, json!({})), (vec![last.clone()], "1".into()));
        assert_eq!(ask(address, "block_search", json!({"query": "app.key EXISTS"}))["total_count"], "0", "events of the block itself");
        let two = ask(address, "block_search", json!({"query": "block.height <= 2", "order_by": "asc"}));
        assert_eq!((&two["total_count"], &two["blocks"][1]["block"]["header"]["height"]), (&json!("2"), &json!("2")));
        assert_eq!(ask(address, "header", json!({"height": "2"}))["header"], two["blocks"][1]["block"]["header"]);
    });
}

type Map = serde_json::Map<String, Value>;

#[test]
fn blocks_come_by_themselves_and_at_once_when_something_waits() {
    let home = home(&[validator_json(0)]);
    let app = KeyValues::default();
    running(home.path(), app.clone(), |address| {
        let height = || -> i64 {
            let status = ask(address, "status", json!({}));
            status["sync_info"]["latest_block_height"].as_str().unwrap().parse().unwrap()
        };
        while height() < 2 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let started = Instant::now();
        for i in 0..5 {
            let tx = json::base64(format!("k{i}=v"));
            assert_ne!(ask(address, "broadcast_tx_commit", json!({"tx": tx}))["height"], "0");
        }
        assert!(started.elapsed() < Duration::from_millis(5 * 200), "each waits for less than a block time");
        let refused = ask(address, "broadcast_tx_commit", json!({"tx": "bm9uc2Vuc2U="}));
        assert_eq!((&refused["check_tx"]["code"], &refused["height"]), (&json!(7), &json!("0")));
    });
    assert!(app.disk.lock().rows.len() == 5);
    // And it resumes.
    running(home.path(), app.restarted(), |address| {
        assert_eq!(get(address, "/abci_query?path=%22/%22&data=%22k3%22")["result"]["response"]["value"], "dg==");
        ask(address, "broadcast_tx_commit", json!({"tx": "YT1i"}));
    });
    assert!(app.disk.lock().rows.len() == 6);
}

#[test]
fn mistakes_are_answered_as_cometbft_answers_them() {
    let home = home(&[validator_json(0)]);
    running(home.path(), KeyValues::default(), |address| {
        let error = |method: &str, params: Value| {
            let answer = post(address, json!({"jsonrpc": "2.0", "id": "x", "method": method, "params": params}));
            assert_eq!((&answer["id"], &answer["result"]), (&json!("x"), &Value::Null), "{answer}");
            (answer["error"]["code"].as_i64().unwrap(), answer["error"]["data"].as_str().unwrap_or_default().to_owned())
        };
        ask(address, "broadcast_tx_commit", json!({"tx": "YT1i"}));
        for (method, params, code, data) in [
            ("nonsense", json!({}), -32601, ""),
            ("tx", json!(["only one"]), -32602, "expected 2 parameters ([hash prove]), got 1"),
            ("tx", json!({"hash": "?"}), -32602, "hash: expected a string of base64"),
            ("tx", json!({"hash": "AA=="}), -32603, "tx (00) not found"),
            ("block", json!({"height": "x"}), -32602, "height: expected a 64-bit integer"),
            ("block", json!({"height": "0"}), -32603, "height must be greater than 0, but got 0"),
            ("block", json!({"height": "9999"}), -32603, "height 9999 must be less than or equal to the current"),
            ("block_results", json!({"height": "-1"}), -32603, "height must be greater than 0"),
            ("abci_query", json!({"data": "0x61"}), -32602, "data: expected a string of hex"),
            ("broadcast_tx_sync", json!({"tx": "YT1i"}), -32603, "tx already exists in cache"),
            ("tx_search", json!({"query": "tx.height~1"}), -32603, "expected tx.hash='HEX', tx.height"),
            ("block_search", json!({"query": "block.height=1", "order_by": "up"}), -32603, "expected order_by to be either"),
            ("tx_search", json!({"query": "tx.hash='00'", "page": "7"}), -32603, "page should be within [1, 1] range, given 7"),
            ("tx_search", json!("x"), -32602, "params: expected an object or an array"),
        ] {
            let (got, text) = error(method, params);
            assert!(got == code && text.contains(data), "{method}: {got} {text}");
        }
        let both = post(address, json!([{"id": 1, "method": "health"}, {"method": "health"}, {"id": 2, "method": "health"}]));
        assert_eq!((both.as_array().unwrap().len(), &both[1]["id"]), (2, &json!(2)));

        let (status, body) = http(address, "POST /", "x");
        assert!(status == 500 && body.contains("-32700"), "{status} {body}");
        assert_eq!(http(address, "GET /nonsense", "").0, 404);
        assert_eq!(http(address, "GET /tx?hash=0x00", "").0, 500);
        assert_eq!(get(address, "/tx?hash=xyz")["error"]["code"], -32602);
        let query = "/tx_search?query=%22tx.hash='42144F3939C3FFBBF0BF8B1F12AFFB5C23A4C5BD41E0FF672D54A5754F062058'%22";
        assert_eq!(get(address, query)["result"]["total_count"], "1");
        assert_eq!(get(address, "/block?height=1")["id"], -1);
    });
}

#[test]
fn a_taken_rpc_port_is_named() {
    let home = home(&[validator_json(0)]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut solo = solo(home.path());
    solo.rpc = taken.local_addr().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let run = solo.clone().run(KeyValues::default(), |_| {}, std::future::pending());
    let error = runtime.block_on(run).unwrap_err().to_string();
    assert!(error.contains(&solo.rpc.to_string()), "{error}");
}
