//! REST: the routes of the .proto files' HTTP annotations in front of the same calls, answered as grpc-gateway does.

use super::api::{Api, Form, HEIGHT_HEADER, MAX_REQUEST, requested_height};
use super::limits::{Call, Gate, Limits, admit};
use super::openapi;
use super::status::{Code, Status};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Extension, Query, Request};
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, Method, Uri};
use axum::middleware::from_fn_with_state;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use proto::rest;
use serde_json::Value;
use tower_http::cors::{Any, CorsLayer};

/// The longest body: a request in base64 with its JSON around it.
const MAX_BODY: usize = MAX_REQUEST / 3 * 4 + (64 << 10);
/// grpc-gateway shows metadata of answers under this prefix, and takes it from requests.
const GATEWAY_HEIGHT_HEADER: &str = "grpc-metadata-x-cosmos-block-height";
/// The ICS23 specs that light clients of this chain need; not a query, because they are constant.
const PROOF_SPECS: &str = "/virtengine/proofs/v1/specs";

/// Objects, lists and commas in a body: an object takes a hundred times the memory of the few bytes that it may be written with.
const MAX_NODES: usize = 100_000;

pub fn routes(api: Api, limits: Limits) -> Router {
    let exposed = [HEIGHT_HEADER, GATEWAY_HEIGHT_HEADER].map(HeaderName::from_static);
    // Any site may ask: answers are public and no cookie or password is ever looked at.
    let cors = CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::POST, Method::OPTIONS])
        .allow_headers(Any)
        .expose_headers(exposed);
    Router::new()
        .route("/swagger", get(page))
        .route("/swagger/", get(page))
        .route("/swagger/openapi.json", get(|| async { ([(CONTENT_TYPE, "application/json")], openapi::document()) }))
        .route(PROOF_SPECS, get(|| async { ([(CONTENT_TYPE, "application/json")], app::Specs::json()) }))
        .fallback(move |Extension(call), request| gateway(api.clone(), call, request))
        .layer(from_fn_with_state(Gate { limits, longest: MAX_BODY, too_long: Code::InvalidArgument, stream: |_| false, refuse }, admit))
        .layer(cors)
}

async fn page() -> Html<&'static str> {
    Html(openapi::page())
}

async fn gateway(api: Api, call: Call, request: Request) -> Response {
    answer(&api, &call, request).await.unwrap_or_else(refuse)
}

fn refuse(status: Status) -> Response {
    reply(status.json().to_string(), status.http().into_response())
}

async fn answer(api: &Api, call: &Call, request: Request) -> Result<Response, Status> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let Some((route, params)) = rest::match_route(head.method.as_str(), path).filter(|(route, _)| openapi::served(route)) else {
        return Err(no_route(&head.method, path));
    };
    let query = query(&head.uri)?;
    let body = to_bytes(body, MAX_BODY).await.map_err(|e| Status::invalid(format!("body: {e}")))?;
    let data = encode(route, &params, &query, &body)?;
    let height = height(&head.headers)?;
    let answer = api.call(call, &route.rpc, data, height, Form::Json(route.output.clone())).await?;
    let headers = [HEIGHT_HEADER, GATEWAY_HEIGHT_HEADER].map(|name| (name, answer.height.to_string()));
    Ok(reply(answer.body, headers.into_response()))
}

/// A path that exists for another method is told apart, as the gateway does.
fn no_route(method: &Method, path: &str) -> Status {
    let others = ["GET", "POST"].iter().filter(|other| **other != method.as_str());
    let known = others.filter_map(|other| rest::match_route(other, path)).any(|(route, _)| openapi::served(route));
    Status::new(Code::Unimplemented, if known { "Method Not Allowed" } else { "Not Implemented" })
}

fn reply(body: impl Into<Body>, response: Response) -> Response {
    let (mut head, _) = response.into_parts();
    head.headers.insert(CONTENT_TYPE, "application/json".parse().expect("a valid header"));
    Response::from_parts(head, body.into())
}

fn height(headers: &HeaderMap) -> Result<u64, Status> {
    let given = headers.get(HEIGHT_HEADER).or_else(|| headers.get(GATEWAY_HEIGHT_HEADER));
    requested_height(given.map(|value| value.to_str().unwrap_or("text that is not ASCII")))
}

fn query(uri: &Uri) -> Result<Vec<(String, String)>, Status> {
    let query = Query::try_from_uri(uri).map_err(|e| Status::invalid(e.body_text()))?;
    Ok(query.0)
}

/// The request's bytes. A body is JSON whatever the content type says, as the gateway has it; an empty one is an empty request.
fn encode(route: &rest::Route, params: &[(String, String)], query: &[(String, String)], body: &[u8]) -> Result<Bytes, Status> {
    let body: Option<Value> = match route.body.as_str() {
        "" => None,
        _ if body.trim_ascii().is_empty() => None,
        _ if body.iter().filter(|b| matches!(b, b'{' | b'[' | b',')).count() > MAX_NODES => {
            return Err(Status::invalid(format!("body: more than {MAX_NODES} objects, lists and commas")));
        }
        _ => Some(serde_json::from_slice(body).map_err(|e| Status::invalid(format!("body: expected JSON: {e}")))?),
    };
    let data = rest::request_bytes(route, params, query, body.as_ref());
    data.map(Bytes::from).map_err(|e| Status::invalid(e.to_string()))
}
