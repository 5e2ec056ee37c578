//! What the open calls of both servers may hold together, so that clients cannot fill the node's memory, however many they
//! are: calls, requests while they are received, answers until they are sent. Each is given back when its call ends.

use super::api::MAX_TIME;
use super::status::{Code, Status};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Calls that are open at once; more are refused.
const CALLS: usize = 2000;
/// Streams among them: they last for as long as their client likes.
const STREAMS: usize = 64;
/// What is no longer is not counted: all calls together hold little of it.
const SHORT: usize = 32 << 10;
/// Longer requests that are received or worked on at once; more wait.
const LONG_REQUESTS: usize = 8;
/// KiB of longer answers that wait for their clients to read them; more wait.
const ANSWERS: usize = 96 << 10;
/// For other clients to read their answers.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// Cheap to clone.
#[derive(Clone)]
pub struct Limits {
    calls: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    long_requests: Arc<Semaphore>,
    answers: Arc<Semaphore>,
}

/// One call's share; an extension of its HTTP request.
#[derive(Clone)]
pub struct Call {
    limits: Limits,
    held: Arc<Mutex<Vec<OwnedSemaphorePermit>>>,
}

impl Limits {
    pub fn new() -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Limits {
            calls: semaphore(CALLS),
            streams: semaphore(STREAMS),
            long_requests: semaphore(LONG_REQUESTS),
            answers: semaphore(ANSWERS),
        }
    }

    fn open(&self, stream: bool) -> Result<Call, Status> {
        let (all, most, what) = if stream { (&self.streams, STREAMS, "streams") } else { (&self.calls, CALLS, "calls") };
        let permit = all.clone().try_acquire_owned();
        let permit = permit.map_err(|_| busy(format!("the node has {most} {what} open, which is the most: try again later")))?;
        Ok(Call { limits: self.clone(), held: Arc::new(Mutex::new(vec![permit])) })
    }
}

fn busy(message: String) -> Status {
    Status::new(Code::ResourceExhausted, message)
}

impl Call {
    /// The whole body, of at most so many bytes.
    async fn receive(&self, mut body: Body, most: usize, too_long: Code) -> Result<Bytes, Status> {
        let mut received = BytesMut::new();
        let mut long = false;
        let all = async {
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|e| Status::invalid(format!("the request ended early: {e}")))?;
                let Ok(data) = frame.into_data() else { continue };
                let length = received.len() + data.len();
                if length > most {
                    let text = format!("the request is longer than {most} bytes, which is the most that is read");
                    return Err(Status::new(too_long, text));
                }
                if length > SHORT && !long {
                    let permit = self.limits.long_requests.clone().acquire_owned().await.expect("the semaphore is never closed");
                    self.held.lock().push(permit);
                    long = true;
                }
                received.extend_from_slice(&data);
            }
            Ok(())
        };
        let late = || Status::new(Code::DeadlineExceeded, format!("the request did not arrive within {} s", MAX_TIME.as_secs()));
        timeout(MAX_TIME, all).await.map_err(|_| late())??;
        Ok(received.freeze())
    }

    /// Counts an answer of so many bytes until it has been sent.
    pub async fn hold(&self, bytes: usize) -> Result<(), Status> {
        if bytes <= SHORT {
            return Ok(());
        }
        let kib = (bytes >> 10).min(ANSWERS) as u32;
        let permit = timeout(ANSWER_TIME, self.limits.answers.clone().acquire_many_owned(kib)).await;
        let permit = permit.map_err(|_| busy("too many answers wait for their clients to read them: try again later".into()))?;
        self.held.lock().push(permit.expect("the semaphore is never closed"));
        Ok(())
    }
}

/// How one of the servers admits calls.
#[derive(Clone)]
pub struct Gate {
    pub limits: Limits,
    /// Bytes of a body.
    pub longest: usize,
    /// What a longer one is.
    pub too_long: Code,
    /// Paths whose bodies are streams.
    pub stream: fn(&str) -> bool,
    pub refuse: fn(Status) -> Response,
}

/// Middleware: the handler finds the [`Call`] among the request's extensions, and a body that has arrived.
pub async fn admit(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let stream = (gate.stream)(request.uri().path());
    let admitted = async {
        let call = gate.limits.open(stream)?;
        let (mut head, body) = request.into_parts();
        let body = if stream { body } else { call.receive(body, gate.longest, gate.too_long).await?.into() };
        head.extensions.insert(call.clone());
        Ok((call, Request::from_parts(head, body)))
    };
    match admitted.await {
        Ok((call, request)) => next.run(request).await.map(|body| Body::new(Held { body, _call: call })),
        Err(status) => (gate.refuse)(status),
    }
}

/// An answer that gives back what its call holds when it has been sent, or when its client has gone.
struct Held {
    body: Body,
    _call: Call,
}

impl hyper::body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_with_the_limit() {
        let call = Limits::new().open(false).unwrap();
        let body = |length| Body::from(vec![b' '; length]);
        assert_eq!(call.receive(body(100), 100, Code::OutOfRange).await.map(|b| b.len()), Ok(100));
        let status = call.receive(body(101), 100, Code::OutOfRange).await.unwrap_err();
        assert_eq!(status.code, Code::OutOfRange);
        assert!(status.message.contains("100 bytes"), "{}", status.message);
    }

    #[tokio::test]
    async fn calls_over_the_limit_are_refused_until_others_end() {
        let limits = Limits::new();
        let mut open: Vec<_> = (0..CALLS).map(|_| limits.open(false).unwrap()).collect();
        assert_eq!(limits.open(false).err().map(|s| s.code), Some(Code::ResourceExhausted));
        assert!(limits.open(true).is_ok(), "streams are counted apart");
        open.pop();
        assert!(limits.open(false).is_ok());
    }

    #[tokio::test]
    async fn long_requests_and_answers_wait_until_others_end() {
        let limits = Limits::new();
        let long = || Body::from(vec![0; SHORT + 1]);
        let first: Vec<_> = (0..LONG_REQUESTS).map(|_| limits.open(false).unwrap()).collect();
        for call in &first {
            call.receive(long(), 1 << 20, Code::OutOfRange).await.unwrap();
        }
        let next = limits.open(false).unwrap();
        let moment = Duration::from_millis(50);
        assert!(timeout(moment, next.receive(long(), 1 << 20, Code::OutOfRange)).await.is_err(), "it waits");
        assert!(next.receive(Body::from("short"), 1 << 20, Code::OutOfRange).await.is_ok());
        drop(first);
        next.receive(long(), 1 << 20, Code::OutOfRange).await.unwrap();

        let reader = limits.open(false).unwrap();
        reader.hold(ANSWERS << 10).await.unwrap();
        assert!(timeout(moment, next.hold(1 << 20)).await.is_err(), "it waits");
        next.hold(SHORT).await.unwrap();
        drop(reader);
        next.hold(usize::MAX).await.unwrap();
    }
}
