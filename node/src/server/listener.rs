//! Connections of a server: a bounded number with bounded buffers, and none that says nothing for long. A node out of file
//! descriptors or memory could not write its state.

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Open connections of one server; the next wait to be accepted.
const MAX_CONNECTIONS: usize = 500;
/// A connection without a byte in either direction for this long is closed: longer than any answer takes.
const IDLE: Duration = Duration::from_secs(120);
/// Before the next attempt when the system has no descriptor for a connection.
const RETRY: Duration = Duration::from_secs(1);

/// Calls that one HTTP/2 connection may have open.
const MAX_STREAMS: u32 = 50;
/// All headers of a request together; ours are a few hundred bytes. Over HTTP/1 also what is buffered of a body.
const MAX_HEADERS: usize = 16 << 10;
/// Bytes of a request that an HTTP/2 client may send ahead of what was read: per call, and per connection.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 256 << 10;
/// Bytes of an answer to one HTTP/2 call that are buffered while its client does not read.
const SEND_BUFFER: usize = 16 << 10;
/// An HTTP/2 connection that does not answer a ping for this long is closed.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// For the headers of an HTTP/1 request, and between two requests.
const HEADER_TIME: Duration = Duration::from_secs(60);

pub struct Listener {
    listener: TcpListener,
    slots: Arc<Semaphore>,
}

impl Listener {
    pub fn new(listener: TcpListener) -> Self {
        Listener { listener, slots: Arc::new(Semaphore::new(MAX_CONNECTIONS)) }
    }

    /// Serves until `stop` resolves and open requests are done.
    pub async fn serve(self, routes: Router, stop: impl Future<Output = ()> + Send) {
        let mut http = Builder::new(TokioExecutor::new());
        http.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIME).max_buf_size(MAX_HEADERS);
        http.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEADERS as u32)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .keep_alive_interval(KEEPALIVE);
        let service = TowerToHyperService::new(routes);
        let open = GracefulShutdown::new();
        let mut stop = pin!(stop);
        loop {
            let connection = tokio::select! {
                () = &mut stop => break,
                connection = self.next() => connection,
            };
            let served = http.serve_connection(TokioIo::new(connection), service.clone()).into_owned();
            let served = open.watch(served);
            tokio::spawn(async move {
                // What went wrong on a connection is its client's concern.
                drop(served.await);
            });
        }
        drop(self);
        open.shutdown().await;
    }

    async fn next(&self) -> Connection {
        let slot = self.slots.clone().acquire_owned().await.expect("the semaphore is never closed");
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    // Without it answers wait for acknowledgements; a connection that refuses it is as good as closed.
                    if stream.set_nodelay(true).is_ok() {
                        return Connection { stream, idle: Box::pin(sleep(IDLE)), _slot: slot };
                    }
                }
                Err(e) => {
                    tracing::warn!(error = %e, "a connection could not be accepted");
                    sleep(RETRY).await;
                }
            }
        }
    }
}

struct Connection {
    stream: TcpStream,
    idle: Pin<Box<Sleep>>,
    _slot: OwnedSemaphorePermit,
}

impl Connection {
    /// Starts the idle time anew after progress, and fails when it is over.
    fn watch<T>(&mut self, cx: &mut Context<'_>, progress: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if progress.is_ready() {
            self.idle.as_mut().reset(Instant::now() + IDLE);
            return progress;
        }
        self.idle.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let progress = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.watch(cx, progress)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(cx, progress)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch(cx, progress)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
