//! What is fuzzed, and in which language each target speaks.

use crate::message::Messages;
use crate::mutate::{MAX, mutate, number_text};
use anyhow::{Context, Result, bail};
use app::{App, Config};
use client::keys::{HdPath, Mnemonic, SecretKey};
use client::sdl::Sdl;
use node::server::{SERVICES, Servers};
use prost::Message;
use prost_reflect::{MessageDescriptor, MethodDescriptor};
use proto::cosmos::tx::v1beta1::mode_info::{Single, Sum};
use proto::cosmos::tx::v1beta1::{AuthInfo, Fee, ModeInfo, SignerInfo, SimulateRequest, TxBody, TxRaw};
use proto::{Any, Timestamp};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;
use tendermint_abci::Application;
use tendermint_proto::v0_38::abci::{RequestCheckTx, RequestFinalizeBlock, RequestInitChain, RequestProcessProposal, RequestQuery};

pub const NAMES: [&str; 5] = ["tx", "query", "rest", "sdl", "genesis"];
const CHAIN: &str = "virtengine-fuzz-1";
const PHRASE: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

pub trait Target {
    /// Feeds one input in; a text that says what came of it.
    fn run(&mut self, input: &[u8]) -> String;
    /// Inputs to begin with, beside the committed corpus.
    fn seeds(&self) -> Vec<Vec<u8>> {
        Vec::new()
    }
    /// A new input from nothing; None where only mutation makes any.
    fn fresh(&self, _: &mut StdRng) -> Option<Vec<u8>> {
        None
    }
    fn mutate(&self, input: &mut Vec<u8>, rng: &mut StdRng, others: &[Vec<u8>]);
}

pub fn target(name: &str) -> Result<Box<dyn Target>> {
    Ok(match name {
        "tx" => Box::new(Transactions(Chain::new()?)),
        "query" => Box::new(Queries(Chain::new()?)),
        "rest" => Box::new(Rest::start()?),
        "sdl" => Box::new(DeploymentFiles),
        "genesis" => Box::new(Genesis { state: Chain::new()?.app.export()?.into() }),
        _ => bail!("{name}: expected one of {}", NAMES.join(", ")),
    })
}

fn key(index: u32) -> SecretKey {
    let path = HdPath::bip44(118, 0, index).expect("a path");
    SecretKey::derive(&Mnemonic::parse(PHRASE).expect("a mnemonic"), &path).expect("a key")
}

/// A genesis with four accounts.
fn state() -> Value {
    let all: Vec<String> = (0..4).map(|i| key(i).address().to_string()).collect();
    let account = |a: &String| json!({ "@type": "/cosmos.auth.v1beta1.BaseAccount", "address": a });
    let balance = |a: &String| json!({ "address": a, "coins": [{ "denom": "uve", "amount": "1000000000000" }] });
    json!({
        "auth": { "accounts": all.iter().map(account).collect::<Vec<_>>() },
        "bank": { "balances": all.iter().map(balance).collect::<Vec<_>>() },
    })
}

/// An application at height 1.
struct Chain {
    app: App,
    /// Of the accounts of genesis, in the order of their numbers.
    keys: Vec<SecretKey>,
    words: Vec<String>,
    messages: Vec<MessageDescriptor>,
    methods: Vec<MethodDescriptor>,
    _dir: tempfile::TempDir,
}

impl Chain {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let app = App::open(dir.path(), Config::default()).context("the application does not open")?;
        let time = Some(Timestamp { seconds: 1_800_000_000, nanos: 0 });
        app.init_chain(RequestInitChain {
            chain_id: CHAIN.into(),
            time,
            app_state_bytes: serde_json::to_vec(&state())?.into(),
            initial_height: 1,
            ..Default::default()
        });
        app.finalize_block(RequestFinalizeBlock { height: 1, time, ..Default::default() });
        app.commit();
        let keys: Vec<SecretKey> = (0..4).map(key).collect();
        let mut words: Vec<String> = keys.iter().map(|key| key.address().to_string()).collect();
        words.extend(words[..2].iter().filter_map(|a| a.parse().ok()).map(|a: kernel::Address| a.to_validator()).collect::<Vec<_>>());
        words.extend(["uve", "1", "virtengine1", "region", "https://a.example", "2027-01-01T00:00:00Z"].map(String::from));
        let all = proto::descriptors();
        let messages = all.all_messages().filter(|m| m.name().starts_with("Msg") && !m.name().ends_with("Response")).collect();
        let methods = all.services().filter(|s| SERVICES.contains(&s.full_name())).flat_map(|s| s.methods().collect::<Vec<_>>()).collect();
        Ok(Chain { app, keys, words, messages, methods, _dir: dir })
    }

    fn words(&self) -> Vec<&str> {
        self.words.iter().map(String::as_str).collect()
    }

    fn random(&self, of: &MessageDescriptor, rng: &mut StdRng) -> Vec<u8> {
        Messages { words: &self.words, any: &self.messages }.bytes(of, rng)
    }
}

/// Transaction bytes: into the mempool, a proposal, a block that is not committed, and a simulation, which runs messages
/// whatever the signature.
struct Transactions(Chain);

impl Target for Transactions {
    fn run(&mut self, input: &[u8]) -> String {
        let app = &self.0.app;
        let tx = bytes(input);
        let checked = app.check_tx(RequestCheckTx { tx: tx.clone(), r#type: 0 });
        let proposed = app.process_proposal(RequestProcessProposal { txs: vec![tx.clone()], height: 2, ..Default::default() });
        // A block costs as much as all the rest, so every eighth input is in one.
        let block = match crate::digest(input) % 8 {
            0 => {
                let time = Some(Timestamp { seconds: 1_800_000_005, nanos: 0 });
                let block = app.finalize_block(RequestFinalizeBlock { height: 2, time, txs: vec![tx], ..Default::default() });
                assert_eq!(block.tx_results.len(), 1);
                block.tx_results[0].log.clone()
            }
            _ => String::new(),
        };
        let simulated = SimulateRequest { tx_bytes: input.to_vec(), ..Default::default() };
        let simulated = match app.query("/cosmos.tx.v1beta1.Service/Simulate", &simulated.encode_to_vec(), 0) {
            Ok(_) => "runs".into(),
            Err(e) => format!("{} {}", e.codespace, e.log),
        };
        format!("{simulated} {} {} {block}", checked.log, proposed.status)
    }

    fn fresh(&self, rng: &mut StdRng) -> Option<Vec<u8>> {
        // One account does most, so that one signature is often enough.
        let mut words = self.0.words.clone();
        let signer = rng.gen_range(0..4usize);
        words.extend(vec![words[signer].clone(); 12]);
        let messages = Messages { words: &words, any: &self.0.messages };
        let mut body = TxBody::default();
        for _ in 0..rng.gen_range(1..=3) {
            let of = self.0.messages.choose(rng)?;
            body.messages.push(Any { type_url: format!("/{}", of.full_name()), value: messages.bytes(of, rng) });
        }
        let key = &self.0.keys[signer];
        let mode_info = Some(ModeInfo { sum: Some(Sum::Single(Single { mode: 1 })) });
        let public_key = Some(client::sign::key_any(&client::keyring::AccountKey::Single(key.public_key())));
        let auth = AuthInfo {
            signer_infos: vec![SignerInfo { public_key, mode_info, sequence: 0 }],
            fee: Some(Fee { gas_limit: 1_000_000, ..Default::default() }),
            ..Default::default()
        };
        let (body_bytes, auth_info_bytes) = (body.encode_to_vec(), auth.encode_to_vec());
        let doc = proto::cosmos::tx::v1beta1::SignDoc {
            body_bytes: body_bytes.clone(),
            auth_info_bytes: auth_info_bytes.clone(),
            chain_id: CHAIN.into(),
            account_number: signer as u64 + 1,
        };
        let signatures = vec![key.sign(&doc.encode_to_vec()).to_vec()];
        Some(TxRaw { body_bytes, auth_info_bytes, signatures }.encode_to_vec())
    }

    /// Mostly within one message or the signers, with the lengths around it put right.
    fn mutate(&self, input: &mut Vec<u8>, rng: &mut StdRng, others: &[Vec<u8>]) {
        let words = self.0.words();
        let Some(mut raw) = TxRaw::decode(&input[..]).ok().filter(|_| rng.gen_bool(0.8)) else {
            return mutate(input, rng, others, &words);
        };
        match TxBody::decode(&raw.body_bytes[..]) {
            Ok(mut body) if !body.messages.is_empty() && rng.gen_bool(0.7) => {
                let at = rng.gen_range(0..body.messages.len());
                mutate(&mut body.messages[at].value, rng, others, &words);
                raw.body_bytes = body.encode_to_vec();
            }
            _ if rng.gen_bool(0.5) => mutate(&mut raw.auth_info_bytes, rng, others, &words),
            _ => mutate(&mut raw.body_bytes, rng, others, &words),
        }
        *input = raw.encode_to_vec();
    }
}

fn bytes(input: &[u8]) -> prost::bytes::Bytes {
    prost::bytes::Bytes::copy_from_slice(input)
}

/// `abci_query`: `HEIGHT PROVE PATH`, a line feed, and data.
struct Queries(Chain);

impl Target for Queries {
    fn run(&mut self, input: &[u8]) -> String {
        let (head, data) = cut(input);
        let mut head = head.splitn(3, ' ');
        let height = head.next().and_then(|h| h.parse().ok()).unwrap_or(0);
        let prove = head.next() == Some("true");
        let path = head.next().unwrap_or_default().to_owned();
        let answer = Application::query(&self.0.app, RequestQuery { path: path.clone(), data: bytes(data), height, prove });
        match answer.code {
            // The path is part of the text.
            6 => "unknown".into(),
            code => format!("{code} {} {} {path}", answer.codespace, answer.log),
        }
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        ["0 true /store/bank/key\n\x02\x14", "1 false /store/acc/key\n", "0 false /app/version\n", "-1 false /p2p/filter/addr/x\n"]
            .map(|s| s.as_bytes().to_vec())
            .to_vec()
    }

    fn fresh(&self, rng: &mut StdRng) -> Option<Vec<u8>> {
        let method = self.0.methods.choose(rng)?;
        let height = [0, 0, 1, 2, -1, i64::MAX].choose(rng)?;
        let head = format!("{height} {} /{}/{}\n", rng.r#gen::<bool>(), method.parent_service().full_name(), method.name());
        Some([head.as_bytes(), &self.0.random(&method.input(), rng)].concat())
    }

    fn mutate(&self, input: &mut Vec<u8>, rng: &mut StdRng, others: &[Vec<u8>]) {
        let words = self.0.words();
        if rng.gen_bool(0.2) {
            return mutate(input, rng, others, &words);
        }
        let (head, data) = cut(input);
        let (head, mut data) = (format!("{head}\n"), data.to_vec());
        mutate(&mut data, rng, others, &words);
        *input = [head.as_bytes(), &data].concat();
    }
}

/// The first line, and what follows it.
fn cut(input: &[u8]) -> (String, &[u8]) {
    let at = input.iter().position(|b| *b == b'\n').unwrap_or(input.len());
    (String::from_utf8_lossy(&input[..at]).into_owned(), input.get(at + 1..).unwrap_or_default())
}

/// REST over a socket: `METHOD PATH`, a line feed, and a body. There is no CometBFT behind it.
struct Rest {
    chain: Chain,
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
    _servers: Servers,
    _runtime: tokio::runtime::Runtime,
}

impl Rest {
    fn start() -> Result<Self> {
        let chain = Chain::new()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let local = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let config = node::server::Config { grpc: None, rest: local, rpc_url: "http://127.0.0.1:1".into() };
        let servers = runtime.block_on(Servers::start(chain.app.clone(), config))?;
        let address = servers.rest.context("REST has no address")?;
        Ok(Rest { chain, address, stream: None, _servers: servers, _runtime: runtime })
    }

    /// The status of an answer and the start of its body; an error where the server closed the connection.
    fn ask(&mut self, method: &str, path: &str, body: &[u8]) -> std::io::Result<(u16, String)> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(self.address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(Duration::from_secs(60)))?;
                BufReader::new(stream)
            }
        };
        let head = format!("{method} {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.get_mut().write_all(&[head.as_bytes(), body].concat())?;
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest.split(' ').next().and_then(|s| s.parse().ok()).unwrap_or(0);
            } else if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        self.stream = Some(stream);
        Ok((status, String::from_utf8_lossy(&body[..length.min(300)]).into_owned()))
    }
}

impl Target for Rest {
    fn run(&mut self, input: &[u8]) -> String {
        let (head, body) = cut(input);
        let (method, path) = head.split_once(' ').unwrap_or(("GET", &head));
        let word = |c: &char| c.is_ascii_graphic();
        let method: String = method.chars().filter(char::is_ascii_uppercase).take(10).collect();
        let path: String = path.chars().filter(word).collect();
        // Without a body, answers to HEAD cannot be told from what follows.
        let method = if method.is_empty() || method == "HEAD" || method == "CONNECT" { "GET".into() } else { method };
        match self.ask(&method, &path, body) {
            Ok((status, body)) => {
                assert!(status >= 200, "a status of {status}");
                assert!(!body.contains("the query failed in the node"), "{body}");
                // What is asked for counts where it exists.
                let what = if status == 501 { "" } else { path.split(['?', '1']).next().unwrap_or_default() };
                format!("{status} {what} {body}")
            }
            Err(e) => format!("closed {}", e.kind()),
        }
    }

    fn fresh(&self, rng: &mut StdRng) -> Option<Vec<u8>> {
        let routes: Vec<_> =
            proto::rest::routes().iter().filter(|r| r.rpc.split('/').nth(1).is_some_and(|s| SERVICES.contains(&s))).collect();
        let route = routes.choose(rng)?;
        let mut path = String::new();
        for segment in route.template.split('/').skip(1) {
            let word = self.chain.words.choose(rng)?;
            path += "/";
            path += if segment.starts_with('{') { word } else { segment };
        }
        let input = proto::descriptors().get_message_by_name(&route.input)?;
        let fields: Vec<_> = input.fields().collect();
        for (i, field) in fields.iter().enumerate().filter(|_| rng.gen_bool(0.5)).collect::<Vec<_>>() {
            let pages = ["limit", "offset", "key", "count_total", "countTotal", "reverse"];
            let name = match field.name() {
                "pagination" => format!("pagination.{}", pages.choose(rng)?),
                name => name.to_string(),
            };
            let value = if rng.gen_bool(0.5) { number_text(rng) } else { self.chain.words.choose(rng)? };
            path += &format!("{}{name}={value}", if i == 0 || !path.contains('?') { '?' } else { '&' });
        }
        let body = match route.body.is_empty() {
            true => String::new(),
            false => proto::json::to_value(&route.input, &self.chain.random(&input, rng)).ok()?.to_string(),
        };
        Some(format!("{} {path}\n{body}", route.method).into_bytes())
    }

    fn mutate(&self, input: &mut Vec<u8>, rng: &mut StdRng, others: &[Vec<u8>]) {
        let mut words = self.chain.words();
        words.extend(["%00", "%ff", "%2f", "/", "?", "&", "=", "pagination.key=", "{", "}", "[", "\"", "null", "\"@type\":", "..", "%"]);
        mutate(input, rng, others, &words);
    }
}

/// Deployment files.
struct DeploymentFiles;

impl Target for DeploymentFiles {
    fn run(&mut self, input: &[u8]) -> String {
        match Sdl::parse(&String::from_utf8_lossy(input)) {
            Ok(sdl) => {
                // What was accepted can be sent.
                let specs = sdl.specs();
                format!("parses {} {}", specs.is_ok(), sdl.manifest())
            }
            Err(problems) => problems.first().map_or_else(String::new, ToString::to_string),
        }
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        let mut files = Vec::new();
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../client/tests/sdl"), &mut files);
        files
    }

    fn mutate(&self, input: &mut Vec<u8>, rng: &mut StdRng, others: &[Vec<u8>]) {
        let words = [
            "\n",
            "  ",
            "- ",
            ": ",
            "&a ",
            "*a",
            "<<: *a",
            "|",
            "services:",
            "profiles:",
            "count: ",
            "Gi",
            "m",
            "\t",
            "!!str ",
            "{",
            "[",
            "~",
            "---",
        ];
        mutate(input, rng, others, &words);
    }
}

/// The YAML files in a directory and those below, in the order of their names.
fn collect(dir: &Path, files: &mut Vec<Vec<u8>>) {
    let mut list: Vec<_> = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|f| f.path()).collect();
    list.sort();
    for path in list {
        match path.is_dir() {
            true => collect(&path, files),
            false if path.extension().is_some_and(|e| e == "yaml") => files.extend(std::fs::read(&path)),
            false => {}
        }
    }
}

/// The genesis document's `app_state`.
struct Genesis {
    state: Value,
}

impl Target for Genesis {
    fn run(&mut self, input: &[u8]) -> String {
        match serde_json::from_slice(input) {
            Ok(state) => app::check_genesis(CHAIN, &state).map_or_else(|e| e.log, |()| "starts a chain".into()),
            Err(_) => "not an object".into(),
        }
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        vec![self.state.to_string().into_bytes()]
    }

    fn mutate(&self, input: &mut Vec<u8>, rng: &mut StdRng, others: &[Vec<u8>]) {
        let words = ["null", "true", "{}", "[]", "\"\"", "-1", "1e999", "\\u0000", "\"@type\":", ","];
        let Some(mut state) = serde_json::from_slice::<Value>(input).ok().filter(|_| rng.gen_bool(0.8)) else {
            return mutate(input, rng, others, &words);
        };
        for _ in 0..rng.gen_range(1..=3) {
            let other = others.choose(rng).and_then(|o| serde_json::from_slice(o).ok());
            change(&mut state, other.as_ref(), rng);
        }
        *input = state.to_string().into_bytes();
        input.truncate(MAX * 4);
    }
}

/// Another value somewhere in the document.
fn change(value: &mut Value, other: Option<&Value>, rng: &mut StdRng) {
    let deeper = rng.gen_bool(0.9);
    match value {
        Value::Object(map) if deeper && !map.is_empty() => {
            let at = rng.gen_range(0..map.len());
            let key = map.keys().nth(at).cloned().unwrap_or_default();
            if rng.gen_bool(0.05) {
                map.remove(&key);
            } else if let Some(inner) = map.get_mut(&key) {
                change(inner, other.and_then(|o| o.get(&key)), rng);
            }
        }
        Value::Array(list) if deeper && !list.is_empty() => {
            let at = rng.gen_range(0..list.len());
            match rng.gen_range(0..10) {
                0 => drop(list.remove(at)),
                1 => list.push(list[at].clone()),
                _ => change(&mut list[at], other.and_then(|o| o.get(0)), rng),
            }
        }
        _ => {
            *value = match (rng.gen_range(0..8), other) {
                (0, _) => Value::Null,
                (1, _) => json!({}),
                (2, _) => json!([]),
                (3, _) => json!(rng.r#gen::<i64>()),
                (4, _) => json!(""),
                (5, Some(other)) => other.clone(),
                _ => json!(number_text(rng)),
            }
        }
    }
}
