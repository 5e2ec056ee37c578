//! gRPC and REST of a running node: how long a query takes, what subscribers and long lists do to its blocks, and how much
//! memory clients that mean harm can make it take.

use crate::blast::{blocks, height, send};
use crate::load::Key;
use anyhow::{Context, bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use clap::Args;
use client::address::Prefix;
use client::rpc::Rpc;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body, Frame};
use hyper::client::conn::http2;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use proto::cosmos::auth::v1beta1::QueryAccountRequest;
use proto::cosmos::bank::v1beta1::QueryDenomOwnersRequest;
use proto::cosmos::base::query::v1beta1::PageRequest;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message as WsMessage;

#[derive(Args)]
pub struct Api {
    #[arg(long, default_value = "127.0.0.1:26657")]
    rpc: String,
    #[arg(long, default_value = "127.0.0.1:9090")]
    grpc: String,
    #[arg(long, default_value = "127.0.0.1:1317")]
    rest: String,
    /// The process that serves gRPC and REST: its memory is measured
    #[arg(long)]
    pid: u32,
    /// Blocks of each measurement
    #[arg(long, default_value_t = 20)]
    blocks: u64,
    /// Transactions that are sent per second meanwhile
    #[arg(long, default_value_t = 200)]
    rate: u64,
    /// Signed transactions, of which as many are taken as are needed
    txs: PathBuf,
}

const SUBSCRIBERS: usize = 1000;
const LISTS: usize = 64;
/// Of the longest page.
const ROWS: u64 = 1000;
/// Attackers' connections: more than a server takes.
const ATTACKERS: usize = 600;
const ATTACK: Duration = Duration::from_secs(10);

const ACCOUNT: &str = "/cosmos.auth.v1beta1.Query/Account";
const OWNERS: &str = "/cosmos.bank.v1beta1.Query/DenomOwners";

impl Api {
    pub async fn run(self) -> anyhow::Result<()> {
        let mut report = json!({ "what": "gRPC and REST of one validator", "idle": self.latencies().await? });
        let text = std::fs::read_to_string(&self.txs).with_context(|| self.txs.display().to_string())?;
        let mut txs: Vec<Vec<u8>> = text.lines().map(|line| BASE64_STANDARD.decode(line)).collect::<Result<_, _>>()?;
        txs.reverse();
        self.window(&mut txs).await?; // so that the first window is not of a node that has just started
        let mut windows = serde_json::Map::new();
        let mut note = |name: &str, window: Value| {
            eprintln!("{name}: {window}");
            windows.insert(name.into(), window);
        };
        note("nothing else", self.window(&mut txs).await?);
        let (subscribers, events) = self.subscribe().await?;
        note("1,000 subscriptions", self.window_with(&mut txs, &[("events_per_second", &events)]).await?);
        let (lists, answers) = self.ask_lists();
        let both = self.window_with(&mut txs, &[("events_per_second", &events), ("lists_per_second", &answers)]).await?;
        note("1,000 subscriptions and 64 lists of 1,000 rows at a time", both);
        drop(subscribers);
        note("64 lists of 1,000 rows at a time", self.window_with(&mut txs, &[("lists_per_second", &answers)]).await?);
        drop(lists);
        sleep(Duration::from_secs(2)).await;
        note("nothing else, again", self.window(&mut txs).await?);
        report["blocks"] = Value::Object(windows);
        report["attacks"] = self.attacks().await?;
        println!("{}", serde_json::to_string_pretty(&report)?);
        Ok(())
    }

    /// What one query after the other takes.
    async fn latencies(&self) -> anyhow::Result<Value> {
        let address = Key::new(0).address.to_bech32(Prefix::Account);
        let request = QueryAccountRequest { address: address.clone() }.encode_to_vec();
        let mut grpc = connect_http2(&self.grpc, Reading::All).await?;
        let mut rest = TcpStream::connect(&self.rest).await?;
        rest.set_nodelay(true)?;
        let question = format!("GET /cosmos/auth/v1beta1/accounts/{address} HTTP/1.1\r\nhost: bench\r\n\r\n");
        let (mut over_grpc, mut over_rest) = (Vec::new(), Vec::new());
        for _ in 0..2000 {
            let start = Instant::now();
            let answer = grpc.send_request(call(ACCOUNT, message(&request))).await?;
            ensure!(answer.status() == StatusCode::OK && answer.into_body().collect().await?.to_bytes().len() > 50, "no account over gRPC");
            over_grpc.push(start.elapsed());
            let start = Instant::now();
            rest.write_all(question.as_bytes()).await?;
            let mut answer = [0; 4096];
            let length = rest.read(&mut answer).await?;
            ensure!(answer[..length].starts_with(b"HTTP/1.1 200"), "no account over REST");
            over_rest.push(start.elapsed());
        }
        Ok(json!({ "grpc_account_us": percentiles(over_grpc), "rest_account_us": percentiles(over_rest) }))
    }

    /// Some blocks under a steady load of sends: how far they are apart, and how many transactions they hold.
    async fn window(&self, txs: &mut Vec<Vec<u8>>) -> anyhow::Result<Value> {
        let url = format!("http://{}", self.rpc);
        let rpc = Rpc::new(&url)?;
        let done = Arc::new(AtomicBool::new(false));
        let count = (self.rate * self.blocks * 3) as usize;
        ensure!(txs.len() >= count, "{} has too few transactions", self.txs.display());
        let load = txs.split_off(txs.len() - count);
        let sender = tokio::spawn(steady(url, load, self.rate, done.clone()));
        let first = height(&rpc).await? + 2;
        while height(&rpc).await? < first + self.blocks {
            sleep(Duration::from_millis(200)).await;
        }
        done.store(true, Ordering::Relaxed);
        let unsent = sender.await??;
        txs.extend(unsent);
        let blocks = blocks(&rpc, first, first + self.blocks).await?;
        let mut apart: Vec<_> = blocks.windows(2).map(|pair| Duration::from_millis(pair[1].0 - pair[0].0)).collect();
        apart.sort();
        let seconds = apart.iter().sum::<Duration>().as_secs_f64();
        let committed: u64 = blocks[1..].iter().map(|b| b.1).sum();
        Ok(json!({
            "seconds_per_block": (seconds / self.blocks as f64 * 1000.0).round() / 1000.0,
            "slowest_seconds": apart.last().map(Duration::as_secs_f64),
            "tx_per_second": (committed as f64 / seconds).round(),
        }))
    }

    /// A window in which other clients are served: with how often each of them is.
    async fn window_with(&self, txs: &mut Vec<Vec<u8>>, served: &[(&str, &AtomicU64)]) -> anyhow::Result<Value> {
        let (start, before) = (Instant::now(), served.iter().map(|(_, n)| n.load(Ordering::Relaxed)).collect::<Vec<_>>());
        let mut window = self.window(txs).await?;
        for ((name, n), before) in served.iter().zip(before) {
            let per_second = (n.load(Ordering::Relaxed) - before) as f64 / start.elapsed().as_secs_f64();
            ensure!(per_second >= 1.0, "{name}: nobody was served");
            window[name] = json!(per_second.round());
        }
        Ok(window)
    }

    /// As wallets and explorers subscribe: to one transaction, to headers, to whole blocks. With the number of events so far.
    async fn subscribe(&self) -> anyhow::Result<(JoinSet<()>, Arc<AtomicU64>)> {
        let (mut all, events) = (JoinSet::new(), Arc::new(AtomicU64::new(0)));
        for i in 0..SUBSCRIBERS {
            let query = match i % 5 {
                0 | 1 => format!("tm.event='Tx' AND tx.hash='{i:064X}'"),
                2 | 3 => "tm.event='NewBlockHeader'".into(),
                _ => "tm.event='NewBlock'".into(),
            };
            let (mut socket, _) = tokio_tungstenite::connect_async(format!("ws://{}/websocket", self.rpc)).await?;
            let ask = json!({ "jsonrpc": "2.0", "id": i, "method": "subscribe", "params": [query] });
            futures_util::SinkExt::send(&mut socket, WsMessage::text(ask.to_string())).await?;
            let answer = futures_util::StreamExt::next(&mut socket).await.context("the node closed a subscription")??;
            let answer: Value = serde_json::from_str(answer.to_text()?)?;
            ensure!(answer["error"].is_null(), "subscription {i}: {}", answer["error"]);
            // tungstenite answers CometBFT's pings while it reads.
            let events = events.clone();
            all.spawn(async move {
                while let Some(Ok(message)) = futures_util::StreamExt::next(&mut socket).await {
                    events.fetch_add(u64::from(message.is_text()), Ordering::Relaxed);
                }
            });
        }
        Ok((all, events))
    }

    /// Clients that ask for one long list after the other, half of them over each server.
    fn ask_lists(&self) -> (JoinSet<anyhow::Result<()>>, Arc<AtomicU64>) {
        let answered = Arc::new(AtomicU64::new(0));
        let mut all = JoinSet::new();
        for i in 0..LISTS {
            let (grpc, rest, answered) = (self.grpc.clone(), self.rest.clone(), answered.clone());
            all.spawn(async move {
                if i % 2 == 0 {
                    let mut grpc = connect_http2(&grpc, Reading::All).await?;
                    loop {
                        let answer = grpc.send_request(call(OWNERS, message(&owners()))).await?;
                        ensure!(answer.into_body().collect().await?.to_bytes().len() > 50_000, "a short list");
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                }
                let mut rest = TcpStream::connect(&rest).await?;
                let mut buffer = vec![0; 1 << 16];
                loop {
                    rest.write_all(&list("")).await?;
                    let length = rest.read(&mut buffer).await?;
                    let head = String::from_utf8_lossy(&buffer[..length]).to_lowercase();
                    let (head, body) = head.split_once("\r\n\r\n").context("a head in one piece")?;
                    let whole: usize =
                        head.split_once("content-length: ").context("content-length")?.1.lines().next().unwrap_or_default().parse()?;
                    let mut rest_of_it = vec![0; whole - body.len()];
                    rest.read_exact(&mut rest_of_it).await?;
                    ensure!(whole > 50_000, "a short list");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        (all, answered)
    }

    async fn attacks(&self) -> anyhow::Result<Value> {
        let json_body = format!("[{}{{}}]", r#"{"a":0},"#.repeat(300_000));
        let post = |body: &str, length: usize| {
            let head = "POST /cosmos/tx/v1beta1/simulate HTTP/1.1\r\nhost: bench\r\ncontent-length: ";
            format!("{head}{length}\r\n\r\n{body}").into_bytes()
        };
        let raw: [(&str, Vec<u8>); 5] = [
            ("REST: lists whose answers are not read", list("").repeat(50)),
            ("REST: bodies that never end", post(&"x".repeat(2 << 20), (2 << 20) + 1000)),
            ("REST: bodies of a great many objects", post(&json_body, json_body.len())),
            ("REST: bodies that are too long", post(&"x".repeat(8 << 20), 1 << 40)),
            ("REST: headers that never end", list(&format!("x: {}\r\n", "x".repeat(15_000)))[..15_000].to_vec()),
        ];
        let mut rows = Vec::new();
        let before = resident(self.pid)?;
        for (name, bytes) in raw {
            let attack = |_| raw_attack(self.rest.clone(), Bytes::from(bytes.clone()));
            rows.push(self.attack(name, attack).await?);
        }
        let never_ending = message(&vec![0; (2 << 20) - 100]);
        let never_ending = never_ending.slice(..never_ending.len() - 50);
        let calls: [(&str, &'static str, Bytes, bool, Reading); 5] = [
            ("gRPC: lists behind a window of one byte", OWNERS, message(&owners()), true, Reading::Window(1)),
            ("gRPC: lists that are not read from the socket", OWNERS, message(&owners()), true, Reading::Nothing),
            ("gRPC: requests that never end", ACCOUNT, never_ending, false, Reading::All),
            ("gRPC: reflection streams that stay open", REFLECTION, Bytes::new(), false, Reading::All),
            ("gRPC: watches of a service's health", "/grpc.health.v1.Health/Watch", message(&[]), true, Reading::All),
        ];
        for (name, path, body, ends, reading) in calls {
            let attack = |_| http2_attack(self.grpc.clone(), path, body.clone(), ends, reading);
            rows.push(self.attack(name, attack).await?);
        }
        Ok(json!({ "resident_mb_before": before / 1_000_000, "connections": ATTACKERS, "attacks": rows }))
    }

    /// The most memory that the node takes meanwhile, and how long it takes to answer afterwards.
    async fn attack<F: Future<Output = anyhow::Result<()>> + Send + 'static>(
        &self,
        name: &str,
        attacker: impl Fn(usize) -> F,
    ) -> anyhow::Result<Value> {
        let mut attackers: JoinSet<_> = (0..ATTACKERS).map(attacker).collect();
        let (start, mut most) = (Instant::now(), 0);
        while start.elapsed() < ATTACK {
            most = most.max(resident(self.pid)?);
            sleep(Duration::from_millis(50)).await;
        }
        attackers.abort_all();
        while attackers.join_next().await.is_some() {}
        let start = Instant::now();
        if timeout(Duration::from_secs(60), self.answers()).await.is_err() {
            bail!("{name}: the node answers no more");
        }
        let row = json!({ "attack": name, "resident_mb": most / 1_000_000, "answers_after_ms": start.elapsed().as_millis() as u64 });
        eprintln!("{row}");
        Ok(row)
    }

    /// Until both servers answer.
    async fn answers(&self) {
        let ask = async || -> anyhow::Result<()> {
            let mut grpc = connect_http2(&self.grpc, Reading::All).await?;
            let request = QueryAccountRequest { address: Key::new(0).address.to_bech32(Prefix::Account) }.encode_to_vec();
            let answer = grpc.send_request(call(ACCOUNT, message(&request))).await?.into_body().collect().await?;
            ensure!(answer.to_bytes().len() > 50, "refused");
            let mut rest = TcpStream::connect(&self.rest).await?;
            rest.write_all(b"GET /cosmos/bank/v1beta1/params HTTP/1.1\r\nhost: bench\r\n\r\n").await?;
            let mut answer = [0; 12];
            rest.read_exact(&mut answer).await?;
            ensure!(answer.ends_with(b"200"), "refused");
            Ok(())
        };
        while ask().await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// So many transactions a second until it is done; what was not sent comes back, in the order that `pop` takes them.
async fn steady(url: String, mut txs: Vec<Vec<u8>>, rate: u64, done: Arc<AtomicBool>) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    while !done.load(Ordering::Relaxed) && !txs.is_empty() {
        tick.tick().await;
        let batch = txs.split_off(txs.len().saturating_sub(rate as usize / 10));
        let sent = send(url.clone(), batch.into_iter().rev().collect()).await?;
        ensure!(sent.refused == 0, "refused: {}", sent.first_refusal.unwrap_or_default());
    }
    Ok(txs)
}

fn percentiles(mut times: Vec<Duration>) -> Value {
    times.sort();
    let at = |p: usize| times[times.len() * p / 100].as_micros() as u64;
    json!({ "p50": at(50), "p99": at(99) })
}

fn owners() -> Vec<u8> {
    let pagination = Some(PageRequest { limit: ROWS, ..Default::default() });
    QueryDenomOwnersRequest { denom: "uve".into(), pagination }.encode_to_vec()
}

/// A request for a long list over REST.
fn list(headers: &str) -> Vec<u8> {
    format!("GET /cosmos/bank/v1beta1/denom_owners/uve?pagination.limit={ROWS} HTTP/1.1\r\nhost: bench\r\n{headers}\r\n").into_bytes()
}

/// A message with gRPC's prefix.
fn message(bytes: &[u8]) -> Bytes {
    [&[0], &(bytes.len() as u32).to_be_bytes()[..], bytes].concat().into()
}

fn call(path: &str, body: Bytes) -> Request<Sent> {
    request(path, Full::new(body).map_err(|never| match never {}).boxed())
}

type Sent = http_body_util::combinators::BoxBody<Bytes, Infallible>;

fn request(path: &str, body: Sent) -> Request<Sent> {
    let request = Request::post(format!("http://bench{path}")).header("content-type", "application/grpc").header("te", "trailers");
    request.body(body).expect("a valid request")
}

const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

#[derive(Clone, Copy)]
enum Reading {
    All,
    /// No more than so many bytes of an answer.
    Window(u32),
    /// Any number of bytes is welcome, and none is taken.
    Nothing,
}

async fn connect_http2(address: &str, reading: Reading) -> anyhow::Result<http2::SendRequest<Sent>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut builder = http2::Builder::new(TokioExecutor::new());
    match reading {
        Reading::All => builder.initial_stream_window_size(1 << 20).initial_connection_window_size(1 << 20),
        Reading::Window(bytes) => builder.initial_stream_window_size(bytes),
        Reading::Nothing => builder.initial_stream_window_size((1 << 31) - 1).initial_connection_window_size((1 << 31) - 1),
    };
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        match reading {
            // Long enough to ask.
            Reading::Nothing => {
                let mut connection = Box::pin(connection);
                drop(timeout(Duration::from_millis(500), &mut connection).await);
                sleep(ATTACK).await;
            }
            _ => drop(connection.await),
        }
    });
    Ok(sender)
}

/// One connection with as many calls as the server lets it open, whose answers nobody looks at.
async fn http2_attack(address: String, path: &'static str, body: Bytes, ends: bool, reading: Reading) -> anyhow::Result<()> {
    let mut sender = connect_http2(&address, reading).await?;
    let mut calls = JoinSet::new();
    for _ in 0..200 {
        let body = if ends { Full::new(body.clone()).map_err(|never| match never {}).boxed() } else { unfinished(body.clone()) };
        if timeout(Duration::from_millis(500), sender.ready()).await.is_err() {
            break;
        }
        let answer = sender.send_request(request(path, body));
        calls.spawn(async move {
            let held = answer.await;
            sleep(ATTACK).await;
            drop(held);
        });
    }
    sleep(ATTACK).await;
    Ok(())
}

/// The bytes, and then nothing for ever.
fn unfinished(bytes: Bytes) -> Sent {
    let first = futures_util::stream::once(async move { Ok(Frame::data(bytes)) });
    let all = futures_util::StreamExt::chain(first, futures_util::stream::pending::<Result<Frame<Bytes>, Infallible>>());
    let body = StreamBody::new(all);
    debug_assert!(!body.is_end_stream());
    BodyExt::boxed(body)
}

/// One connection after the other that writes and never reads.
async fn raw_attack(address: String, bytes: Bytes) -> anyhow::Result<()> {
    loop {
        let mut stream = TcpStream::connect(&address).await?;
        // A refusal closes the connection: then the next.
        if timeout(ATTACK, stream.write_all(&bytes)).await.is_ok_and(|written| written.is_ok()) {
            let mut answer = [0; 1];
            drop(timeout(Duration::from_secs(3), stream.read(&mut answer)).await);
            drop(timeout(Duration::from_secs(3), stream.readable()).await);
        }
    }
}

/// Resident memory of a process, in bytes.
pub fn resident(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}
