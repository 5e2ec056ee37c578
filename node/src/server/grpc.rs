//! gRPC: one handler for every unary method, over raw bytes, with health and reflection beside it.

use super::api::{Api, Form, HEIGHT_HEADER, MAX_REQUEST, SERVICES, requested_height};
use super::limits::{Call, Gate, Limits, admit};
use super::reflection;
use super::status::{Code, Status};
use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use bytes::{Buf, BufMut, Bytes};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, UnaryService};
use tonic::service::Routes;
use tonic_health::ServingStatus;

/// Before each message: whether it is compressed, and its length.
const PREFIX: usize = 5;

pub async fn routes(api: Api, limits: Limits) -> Router {
    let (reporter, health) = tonic_health::server::health_reporter();
    for service in SERVICES {
        reporter.set_service_status(service, ServingStatus::Serving).await;
    }
    let gate = Gate { limits, longest: PREFIX + MAX_REQUEST, too_long: Code::OutOfRange, stream: reflection::serves, refuse };
    let routes = Routes::new(health).into_axum_router().fallback(move |request| dispatch(api.clone(), request));
    routes.layer(from_fn_with_state(gate, admit))
}

fn refuse(status: Status) -> Response {
    tonic::Status::from(status).into_http()
}

async fn dispatch(api: Api, request: Request) -> http::Response<tonic::body::Body> {
    let path = request.uri().path().to_owned();
    if reflection::serves(&path) {
        return reflection::answer(request).await;
    }
    // Answers are bounded by the pages and blocks that they are made of.
    Grpc::new(Raw).apply_max_message_size_config(Some(MAX_REQUEST), Some(usize::MAX)).unary(Unary { api, path }, request).await
}

struct Unary {
    api: Api,
    path: String,
}

impl UnaryService<Bytes> for Unary {
    type Response = Bytes;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<tonic::Response<Bytes>, tonic::Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let (api, path) = (self.api.clone(), self.path.clone());
        Box::pin(async move {
            let height = match request.metadata().get(HEIGHT_HEADER) {
                None => 0,
                Some(value) => requested_height(Some(value.to_str().unwrap_or("text that is not ASCII")))?,
            };
            let call = request.extensions().get::<Call>().cloned();
            let call = call.ok_or_else(|| Status::new(Code::Internal, "the call was not admitted"))?;
            let answer = api.call(&call, &path, request.into_inner(), height, Form::Protobuf).await?;
            let mut response = tonic::Response::new(answer.body);
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
    type Error = tonic::Status;

    fn encode(&mut self, message: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), tonic::Status> {
        out.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = tonic::Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, tonic::Status> {
        Ok(Some(message.copy_to_bytes(message.remaining())))
    }
}
