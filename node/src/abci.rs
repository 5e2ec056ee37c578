//! Serves an ABCI application over unix and TCP sockets.
//!
//! One thread per connection; connections share nothing but the application. Requests are answered in order without
//! waiting for a Flush, and responses leave in one write as soon as no whole request is left to read, so that neither a
//! timer nor Nagle's algorithm stands between two calls. A panic in the application ends the process: half an
//! application is worse than none.

use std::{
    collections::HashMap,
    fmt,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use prost::Message;
use tendermint_abci::Application;
use tendermint_proto::v0_38::abci::{Request, Response, ResponseException, request, response::Value as Answer};

/// Longest request that is read. Blocks are at most 100 MiB in CometBFT; only a genesis state, which comes in one
/// message, can be longer.
pub const MAX_REQUEST: usize = 256 << 20;
/// Bytes taken from a socket at once: some hundred CheckTx requests.
const READ_SIZE: usize = 64 << 10;
/// Responses are written at the latest when they fill this many bytes.
const WRITE_SIZE: usize = 64 << 10;
/// `tendermint.abci.RequestCheckTx.type` of a transaction that has not been checked before.
const CHECK_TX_NEW: i32 = 0;

/// Work that an application can do ahead of the calls, in parallel and without effect on their answers: verifying
/// signatures.
pub trait Prefetch {
    /// Called with the transactions of all new CheckTx requests that were read together, when they are at least two,
    /// before the first of them is answered.
    fn prefetch(&self, _txs: &[Bytes]) {}
}

/// Where to listen: `unix://PATH` or `tcp://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("expected unix://PATH or tcp://IP:PORT, got {text:?}");
        match text.split_once("://") {
            Some(("unix", path)) if !path.is_empty() => Ok(Self::Unix(path.into())),
            Some(("tcp", addr)) => addr.parse().map(Self::Tcp).map_err(|_| expected()),
            _ => Err(expected()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(addr) => write!(f, "tcp://{addr}"),
        }
    }
}

/// A running server. Dropping it leaves the threads running; see [`Server::stop`].
pub struct Server {
    address: Address,
    shared: Arc<Shared>,
    acceptor: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    stopping: AtomicBool,
    next: AtomicU64,
    connections: Mutex<HashMap<u64, (Stream, JoinHandle<()>)>>,
}

impl Server {
    /// Listens and serves `app` until stopped.
    ///
    /// A socket file that nobody serves any more is replaced.
    ///
    /// # Errors
    /// The address cannot be listened on; the message names it.
    pub fn start<A: Application + Prefetch>(address: &Address, app: A) -> io::Result<Self> {
        let listener = Listener::bind(address).map_err(|e| io::Error::new(e.kind(), format!("ABCI socket {address}: {e}")))?;
        let address = match (&listener, address) {
            (Listener::Tcp(l), _) => Address::Tcp(l.local_addr()?),
            (_, address) => address.clone(),
        };
        let shared = Arc::<Shared>::default();
        let acceptor = {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name("abci".into()).spawn(move || accept(&listener, &app, &shared))?
        };
        Ok(Self { address, shared, acceptor })
    }

    /// Where the server listens, with the port that was chosen for port 0.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Closes the socket and all connections; returns when calls that had begun have ended.
    pub fn stop(self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // A connection of our own ends the wait for the next one. Where the socket's file was deleted there is none, and
        // the thread ends with the process.
        if Stream::connect(&self.address).is_ok() {
            self.acceptor.join().expect("the acceptor does not panic");
        }
        if let Address::Unix(path) = &self.address
            && let Err(e) = std::fs::remove_file(path)
        {
            tracing::warn!("removing {}: {e}", path.display());
        }
        let connections = std::mem::take(&mut *self.shared.connections.lock());
        for (stream, _) in connections.values() {
            stream.shutdown();
        }
        for (_, thread) in connections.into_values() {
            thread.join().expect("a panic in a connection aborts");
        }
    }
}

fn accept<A: Application + Prefetch>(listener: &Listener, app: &A, shared: &Arc<Shared>) {
    loop {
        let accepted = listener.accept();
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        if let Err(e) = accepted.and_then(|stream| connect(stream, app.clone(), shared)) {
            tracing::warn!("ABCI connection not accepted: {e}");
            // Out of file descriptors, for instance: it would fail again at once.
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }
}

fn connect<A: Application + Prefetch>(stream: Stream, app: A, shared: &Arc<Shared>) -> io::Result<()> {
    let id = shared.next.fetch_add(1, Ordering::Relaxed);
    let handle = stream.try_clone()?;
    // Held until the entry is there, so that a connection that ends at once still finds what to remove.
    let mut connections = shared.connections.lock();
    let thread = {
        let shared = Arc::clone(shared);
        std::thread::Builder::new().name(format!("abci-{id}")).spawn(move || {
            tracing::debug!(id, "ABCI connection opened");
            match serve(stream, &app) {
                Ok(()) => tracing::debug!(id, "ABCI connection closed"),
                Err(e) => tracing::warn!(id, "ABCI connection failed: {e}"),
            }
            shared.connections.lock().remove(&id);
        })?
    };
    connections.insert(id, (handle, thread));
    Ok(())
}

/// Answers one connection until the client closes it.
fn serve<A: Application + Prefetch>(mut stream: Stream, app: &A) -> io::Result<()> {
    let mut chunk = vec![0; READ_SIZE];
    let mut input = BytesMut::new();
    let mut output = Vec::new();
    loop {
        match stream.read(&mut chunk) {
            Ok(0) if input.is_empty() => return Ok(()),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => input.extend_from_slice(&chunk[..n]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        }
        let mut requests = Vec::new();
        let broken = loop {
            match next_request(&mut input) {
                Ok(Some(request)) => requests.push(request),
                Ok(None) => break None,
                Err(reason) => break Some(reason),
            }
        };
        prefetch(app, &requests);
        for request in requests {
            answer(app, request).encode_length_delimited(&mut output).expect("a vector grows");
            if output.len() >= WRITE_SIZE {
                stream.write_all(&output)?;
                output.clear();
            }
        }
        if let Some(reason) = &broken {
            let exception = Answer::Exception(ResponseException { error: reason.clone() });
            Response { value: Some(exception) }.encode_length_delimited(&mut output).expect("a vector grows");
        }
        stream.write_all(&output)?;
        output.clear();
        output.shrink_to(READ_SIZE);
        if let Some(reason) = broken {
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
    }
}

/// Takes one request off the front of `input`, if a whole one is there.
fn next_request(input: &mut BytesMut) -> Result<Option<request::Value>, String> {
    /// Ten bytes carry any 64-bit length.
    const LONGEST_PREFIX: usize = 10;
    let prefix = &input[..input.len().min(LONGEST_PREFIX)];
    if prefix.len() < LONGEST_PREFIX && prefix.iter().all(|byte| byte & 0x80 != 0) {
        return Ok(None);
    }
    let mut rest = prefix;
    let length = prost::decode_length_delimiter(&mut rest).map_err(|e| format!("message length: {e}"))?;
    if length > MAX_REQUEST {
        return Err(format!("message of {length} bytes: expected at most {MAX_REQUEST}"));
    }
    let start = prefix.len() - rest.len();
    if input.len() < start + length {
        return Ok(None);
    }
    let message = input.split_to(start + length).freeze().slice(start..);
    Request::decode(message)
        .map_err(|e| format!("not an ABCI request: {e}"))?
        .value
        .map(Some)
        .ok_or_else(|| "an ABCI request without content".into())
}

fn prefetch<A: Prefetch>(app: &A, requests: &[request::Value]) {
    let txs: Vec<Bytes> = requests
        .iter()
        .filter_map(|request| match request {
            request::Value::CheckTx(check) if check.r#type == CHECK_TX_NEW => Some(check.tx.clone()),
            _ => None,
        })
        .collect();
    if txs.len() > 1 {
        let _last_word = LastWord("CheckTx");
        app.prefetch(&txs);
    }
}

fn answer<A: Application>(app: &A, request: request::Value) -> Response {
    use request::Value as Call;
    let _last_word = LastWord(name(&request));
    let value = match request {
        Call::Echo(r) => Answer::Echo(app.echo(r)),
        Call::Flush(_) => Answer::Flush(app.flush()),
        Call::Info(r) => Answer::Info(app.info(r)),
        Call::InitChain(r) => Answer::InitChain(app.init_chain(r)),
        Call::Query(r) => Answer::Query(app.query(r)),
        Call::CheckTx(r) => Answer::CheckTx(app.check_tx(r)),
        Call::Commit(_) => Answer::Commit(app.commit()),
        Call::ListSnapshots(_) => Answer::ListSnapshots(app.list_snapshots()),
        Call::OfferSnapshot(r) => Answer::OfferSnapshot(app.offer_snapshot(r)),
        Call::LoadSnapshotChunk(r) => Answer::LoadSnapshotChunk(app.load_snapshot_chunk(r)),
        Call::ApplySnapshotChunk(r) => Answer::ApplySnapshotChunk(app.apply_snapshot_chunk(r)),
        Call::PrepareProposal(r) => Answer::PrepareProposal(app.prepare_proposal(r)),
        Call::ProcessProposal(r) => Answer::ProcessProposal(app.process_proposal(r)),
        Call::ExtendVote(r) => Answer::ExtendVote(app.extend_vote(r)),
        Call::VerifyVoteExtension(r) => Answer::VerifyVoteExtension(app.verify_vote_extension(r)),
        Call::FinalizeBlock(r) => Answer::FinalizeBlock(app.finalize_block(r)),
    };
    Response { value: Some(value) }
}

fn name(request: &request::Value) -> &'static str {
    use request::Value as Call;
    match request {
        Call::Echo(_) => "Echo",
        Call::Flush(_) => "Flush",
        Call::Info(_) => "Info",
        Call::InitChain(_) => "InitChain",
        Call::Query(_) => "Query",
        Call::CheckTx(_) => "CheckTx",
        Call::Commit(_) => "Commit",
        Call::ListSnapshots(_) => "ListSnapshots",
        Call::OfferSnapshot(_) => "OfferSnapshot",
        Call::LoadSnapshotChunk(_) => "LoadSnapshotChunk",
        Call::ApplySnapshotChunk(_) => "ApplySnapshotChunk",
        Call::PrepareProposal(_) => "PrepareProposal",
        Call::ProcessProposal(_) => "ProcessProposal",
        Call::ExtendVote(_) => "ExtendVote",
        Call::VerifyVoteExtension(_) => "VerifyVoteExtension",
        Call::FinalizeBlock(_) => "FinalizeBlock",
    }
}

/// Ends the process when a call into the application unwinds. The panic's own message has been printed by then.
pub(crate) struct LastWord(pub &'static str);

impl Drop for LastWord {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "virtengine: fatal: the application panicked in {}; the process ends. What is on disk is the state of \
                 the last committed block, and a restart resumes from it.",
                self.0
            );
            std::process::abort();
        }
    }
}

enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl Listener {
    fn bind(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp(addr) => Ok(Self::Tcp(TcpListener::bind(addr)?)),
            Address::Unix(path) => {
                remove_stale(path)?;
                let listener = UnixListener::bind(path)?;
                // Who can connect can drive the chain's state.
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
                Ok(Self::Unix(listener))
            }
        }
    }

    fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Unix(l) => Ok(Stream::Unix(l.accept()?.0)),
            Self::Tcp(l) => {
                let (stream, _) = l.accept()?;
                // Answers to pipelined requests must not wait for acknowledgements.
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
        }
    }
}

/// Removes the socket file that a process which was killed leaves behind, and nothing else.
fn remove_stale(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
        Ok(found) if !found.file_type().is_socket() => {
            Err(io::Error::new(io::ErrorKind::AlreadyExists, "the file exists and is not a socket"))
        }
        Ok(_) => match UnixStream::connect(path) {
            Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another process serves this socket; is the node already running?")),
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
            Err(e) => Err(e),
        },
    }
}

enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Stream {
    fn connect(address: &Address) -> io::Result<Self> {
        Ok(match address {
            Address::Unix(path) => Self::Unix(UnixStream::connect(path)?),
            Address::Tcp(addr) => Self::Tcp(TcpStream::connect(addr)?),
        })
    }

    fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Unix(s) => Self::Unix(s.try_clone()?),
            Self::Tcp(s) => Self::Tcp(s.try_clone()?),
        })
    }

    /// Ends reads and writes in progress. It fails only on a connection that is closed already.
    fn shutdown(&self) {
        let closed = match self {
            Self::Unix(s) => s.shutdown(Shutdown::Both),
            Self::Tcp(s) => s.shutdown(Shutdown::Both),
        };
        if let Err(e) = closed {
            tracing::debug!("closing an ABCI connection: {e}");
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(s) => s.read(buf),
            Self::Tcp(s) => s.read(buf),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(s) => s.write(buf),
            Self::Tcp(s) => s.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{process::Command, sync::mpsc, time::Duration};

    use tendermint_proto::v0_38::abci::{RequestCheckTx, RequestEcho, RequestFlush, RequestQuery, ResponseCheckTx, ResponseQuery};

    use super::*;

    /// Answers a CheckTx with its transaction, and counts prefetched ones. The query `panic` panics; `wait` waits.
    #[derive(Clone, Default)]
    struct Mirror {
        prefetched: Arc<AtomicU64>,
        waiting: Option<Arc<(Mutex<mpsc::Receiver<()>>, AtomicBool)>>,
    }

    impl Application for Mirror {
        fn check_tx(&self, request: RequestCheckTx) -> ResponseCheckTx {
            ResponseCheckTx { data: request.tx, ..Default::default() }
        }

        fn query(&self, request: RequestQuery) -> ResponseQuery {
            match request.path.as_str() {
                "panic" => panic!("asked to"),
                "wait" => {
                    let (resume, entered) = &**self.waiting.as_ref().expect("the test set it");
                    entered.store(true, Ordering::SeqCst);
                    resume.lock().recv().expect("the test resumes it");
                }
                _ => {}
            }
            ResponseQuery { value: request.data, ..Default::default() }
        }
    }

    impl Prefetch for Mirror {
        fn prefetch(&self, txs: &[Bytes]) {
            self.prefetched.fetch_add(txs.len() as u64, Ordering::SeqCst);
        }
    }

    fn unix(dir: &tempfile::TempDir) -> Address {
        Address::Unix(dir.path().join("app.sock"))
    }

    fn start(app: Mirror) -> (tempfile::TempDir, Server) {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(&unix(&dir), app).unwrap();
        (dir, server)
    }

    fn check_tx(tx: impl Into<Bytes>) -> request::Value {
        request::Value::CheckTx(RequestCheckTx { tx: tx.into(), r#type: CHECK_TX_NEW })
    }

    fn bytes(requests: impl IntoIterator<Item = request::Value>) -> Vec<u8> {
        let mut out = Vec::new();
        for value in requests {
            Request { value: Some(value) }.encode_length_delimited(&mut out).unwrap();
        }
        out
    }

    /// Reads until the connection closes or `count` responses are there.
    fn responses(stream: &mut Stream, count: usize) -> Vec<Answer> {
        let mut input = BytesMut::new();
        let mut found = Vec::new();
        let mut chunk = [0; 4096];
        while found.len() < count {
            let n = stream.read(&mut chunk).unwrap();
            if n == 0 {
                break;
            }
            input.extend_from_slice(&chunk[..n]);
            loop {
                let mut rest = &input[..];
                let Ok(length) = prost::decode_length_delimiter(&mut rest) else {
                    break;
                };
                let start = input.len() - rest.len();
                if rest.len() < length {
                    break;
                }
                let message = input.split_to(start + length).freeze();
                found.push(Response::decode(message.slice(start..)).unwrap().value.unwrap());
            }
        }
        found
    }

    fn exception(stream: &mut Stream) -> String {
        match responses(stream, 1).pop() {
            Some(Answer::Exception(e)) => {
                assert_eq!(stream.read(&mut [0]).unwrap(), 0, "the connection is closed");
                e.error
            }
            other => panic!("expected an exception, got {other:?}"),
        }
    }

    #[test]
    fn pipelined_requests_are_answered_in_order_and_prefetched_together() {
        let app = Mirror::default();
        let (_dir, server) = start(app.clone());
        let mut stream = Stream::connect(server.address()).unwrap();
        let sent: Vec<String> = (0..10_000).map(|i| format!("tx {i}")).collect();
        let all = bytes(sent.iter().map(|tx| check_tx(tx.clone())));
        let mut writer = stream.try_clone().unwrap();
        let writing = std::thread::spawn(move || writer.write_all(&all).unwrap());
        let got: Vec<String> = responses(&mut stream, sent.len())
            .into_iter()
            .map(|answer| match answer {
                Answer::CheckTx(r) => String::from_utf8(r.data.to_vec()).unwrap(),
                other => panic!("{other:?}"),
            })
            .collect();
        writing.join().unwrap();
        assert_eq!(got, sent);
        assert!(app.prefetched.load(Ordering::SeqCst) > 1000);
        server.stop();
    }

    #[test]
    fn a_lone_check_tx_is_answered_without_a_flush_and_not_prefetched() {
        let app = Mirror::default();
        let (_dir, server) = start(app.clone());
        let mut stream = Stream::connect(server.address()).unwrap();
        stream.write_all(&bytes([check_tx("one")])).unwrap();
        assert!(matches!(&responses(&mut stream, 1)[..], [Answer::CheckTx(r)] if r.data == "one"));
        stream.write_all(&bytes([request::Value::Flush(RequestFlush {})])).unwrap();
        assert!(matches!(responses(&mut stream, 1)[..], [Answer::Flush(_)]));
        assert_eq!(app.prefetched.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_request_in_pieces_and_one_longer_than_the_buffer_are_read_whole() {
        let (_dir, server) = start(Mirror::default());
        let mut stream = Stream::connect(server.address()).unwrap();
        for byte in bytes([check_tx("in pieces")]) {
            stream.write_all(&[byte]).unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(matches!(&responses(&mut stream, 1)[..], [Answer::CheckTx(r)] if r.data == "in pieces"));
        let long = vec![7; 5 * READ_SIZE];
        let mut writer = stream.try_clone().unwrap();
        let request = bytes([check_tx(long.clone())]);
        let writing = std::thread::spawn(move || writer.write_all(&request).unwrap());
        assert!(matches!(&responses(&mut stream, 1)[..], [Answer::CheckTx(r)] if r.data == long));
        writing.join().unwrap();
    }

    #[test]
    fn hostile_bytes_close_their_connection_with_a_reason_and_no_other() {
        let (_dir, server) = start(Mirror::default());
        let mut other = Stream::connect(server.address()).unwrap();
        let too_long = prost_length(MAX_REQUEST + 1);
        for (sent, reason) in [
            (&[0xff; 20][..], "message length"),
            (&too_long[..], "expected at most"),
            (&[3, 0xff, 0xff, 0xff], "not an ABCI request"),
            (&[0], "without content"),
        ] {
            let mut stream = Stream::connect(server.address()).unwrap();
            stream.write_all(sent).unwrap();
            let error = exception(&mut stream);
            assert!(error.contains(reason), "{error}");
        }
        // What came before the garbage is still answered.
        let mut stream = Stream::connect(server.address()).unwrap();
        let mut sent = bytes([check_tx("good")]);
        sent.extend([0]);
        stream.write_all(&sent).unwrap();
        assert!(matches!(responses(&mut stream, 2)[..], [Answer::CheckTx(_), Answer::Exception(_)]));

        other.write_all(&bytes([request::Value::Echo(RequestEcho { message: "here".into() })])).unwrap();
        assert!(matches!(&responses(&mut other, 1)[..], [Answer::Echo(r)] if r.message == "here"));
    }

    fn prost_length(length: usize) -> Vec<u8> {
        let mut out = Vec::new();
        prost::encode_length_delimiter(length, &mut out).unwrap();
        out
    }

    #[test]
    fn a_client_that_vanishes_leaves_the_server_running() {
        let (_dir, server) = start(Mirror::default());
        for sent in [&[][..], &[200][..], &bytes((0..500).map(|_| check_tx(vec![1; 100])))[..]] {
            let mut stream = Stream::connect(server.address()).unwrap();
            stream.write_all(sent).unwrap();
        }
        let mut stream = Stream::connect(server.address()).unwrap();
        stream.write_all(&bytes([check_tx("after")])).unwrap();
        assert_eq!(responses(&mut stream, 1).len(), 1);
    }

    #[test]
    fn connections_do_not_wait_for_each_other_and_a_stop_waits_for_calls() {
        let (resume, waits) = mpsc::channel();
        let waiting = Arc::new((Mutex::new(waits), AtomicBool::new(false)));
        let app = Mirror { waiting: Some(Arc::clone(&waiting)), ..Default::default() };
        let (_dir, server) = start(app);
        let query = |path: &str| request::Value::Query(RequestQuery { path: path.into(), ..Default::default() });
        let mut slow = Stream::connect(server.address()).unwrap();
        slow.write_all(&bytes([query("wait")])).unwrap();
        while !waiting.1.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        let mut quick = Stream::connect(server.address()).unwrap();
        quick.write_all(&bytes([query("")])).unwrap();
        assert_eq!(responses(&mut quick, 1).len(), 1);

        let stopping = std::thread::spawn(move || server.stop());
        assert_eq!(quick.read(&mut [0]).unwrap(), 0, "an idle connection is closed");
        std::thread::sleep(Duration::from_millis(20));
        assert!(!stopping.is_finished());
        resume.send(()).unwrap();
        stopping.join().unwrap();
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_or_another_file_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let address = unix(&dir);
        let Address::Unix(path) = &address else { unreachable!() };
        drop(UnixListener::bind(path).unwrap());
        assert!(path.exists());
        let server = Server::start(&address, Mirror::default()).unwrap();
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);

        let live = Server::start(&address, Mirror::default()).err().unwrap().to_string();
        assert!(live.contains(&address.to_string()) && live.contains("already running"), "{live}");
        server.stop();
        assert!(!path.exists());

        std::fs::write(path, "precious").unwrap();
        let file = Server::start(&address, Mirror::default()).err().unwrap().to_string();
        assert!(file.contains("not a socket"), "{file}");
        assert_eq!(std::fs::read(path).unwrap(), b"precious");
    }

    #[test]
    fn tcp_is_served_too() {
        let server = Server::start(&"tcp://127.0.0.1:0".parse().unwrap(), Mirror::default()).unwrap();
        let mut stream = Stream::connect(server.address()).unwrap();
        stream.write_all(&bytes([check_tx("x")])).unwrap();
        assert_eq!(responses(&mut stream, 1).len(), 1);
        server.stop();
    }

    #[test]
    fn an_address_that_is_neither_unix_nor_tcp_is_refused() {
        for bad in ["", "unix://", "/app.sock", "tcp://localhost", "http://127.0.0.1:1"] {
            assert!(bad.parse::<Address>().unwrap_err().contains("expected unix://PATH or tcp://IP:PORT"));
        }
    }

    #[test]
    fn a_panic_in_the_application_ends_the_process_with_a_last_word() {
        const CHILD: &str = "ABCI_TEST_PANIC";
        if std::env::var_os(CHILD).is_some() {
            let (_dir, server) = start(Mirror::default());
            let mut stream = Stream::connect(server.address()).unwrap();
            let query = RequestQuery { path: "panic".into(), ..Default::default() };
            stream.write_all(&bytes([request::Value::Query(query)])).unwrap();
            responses(&mut stream, 1);
            return; // with success, which the parent does not expect
        }
        let test = "abci::tests::a_panic_in_the_application_ends_the_process_with_a_last_word";
        let child = Command::new(std::env::current_exe().unwrap()).args([test, "--exact", "--nocapture"]).env(CHILD, "1").output().unwrap();
        let stderr = String::from_utf8_lossy(&child.stderr);
        assert!(!child.status.success());
        assert!(stderr.contains("asked to") && stderr.contains("the application panicked in Query"), "{stderr}");
    }
}
