//! gRPC: one handler for every unary method, over raw bytes, with health and reflection beside it.

use super::api::{Api, HEIGHT_HEADER, MAX_ANSWER, MAX_REQUEST, MAX_TIME, SERVICES, requested_height};
use super::listener::Listener;
use super::reflection;
use axum::body::Body;
use bytes::{Buf, BufMut, Bytes};
use http::{Request as HttpRequest, Response as HttpResponse};
use std::time::Duration;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, UnaryService};
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use tonic_health::ServingStatus;

/// Calls that one connection may have open: what HTTP/2 recommends as the least.
const MAX_STREAMS: u32 = 100;
/// All headers of a request together; ours are a few hundred bytes.
const MAX_HEADERS: u32 = 16 << 10;
/// A connection that does not answer a ping for this long is closed.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Serves until `stop` resolves and open calls are done.
pub async fn serve(listener: Listener, api: Api, stop: impl Future<Output = ()> + Send) {
    let (reporter, health) = tonic_health::server::health_reporter();
    for service in SERVICES {
        reporter.set_service_status(service, ServingStatus::Serving).await;
    }
    let routes = Routes::new(health).into_axum_router().fallback(move |request| dispatch(api.clone(), request));
    let server = tonic::transport::Server::builder()
        .timeout(MAX_TIME * 2) // a call has its own limit; this one ends those whose request never comes
        .max_concurrent_streams(MAX_STREAMS)
        .http2_max_header_list_size(MAX_HEADERS)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .add_routes(Routes::from(routes))
        .serve_with_incoming_shutdown(listener.into_stream(), stop);
    if let Err(e) = server.await {
        tracing::error!(error = %e, "the gRPC server ended");
    }
}

async fn dispatch(api: Api, request: HttpRequest<Body>) -> HttpResponse<tonic::body::Body> {
    let path = request.uri().path().to_owned();
    if reflection::serves(&path) {
        return reflection::answer(request).await;
    }
    Grpc::new(Raw).apply_max_message_size_config(Some(MAX_REQUEST), Some(MAX_ANSWER)).unary(Call { api, path }, request).await
}

struct Call {
    api: Api,
    path: String,
}

impl UnaryService<Bytes> for Call {
    type Response = Bytes;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Response<Bytes>, Status>> + Send>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let (api, path) = (self.api.clone(), self.path.clone());
        Box::pin(async move {
            let height = match request.metadata().get(HEIGHT_HEADER) {
                None => 0,
                Some(value) => requested_height(Some(value.to_str().unwrap_or("text that is not ASCII")))?,
            };
            let answer = api.call(&path, request.into_inner(), height).await?;
            let mut response = Response::new(Bytes::from(answer.value));
            response.metadata_mut().insert(HEIGHT_HEADER, answer.height.into());
            Ok(response)
        })
    }
}

/// Messages as they are on the wire.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(message.copy_to_bytes(message.remaining())))
    }
}
