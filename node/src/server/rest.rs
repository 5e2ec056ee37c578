//! REST: the routes of the .proto files' HTTP annotations in front of the same calls, answered as grpc-gateway does.

use super::api::{Api, HEIGHT_HEADER, MAX_REQUEST, MAX_TIME, requested_height};
use super::listener::Listener;
use super::openapi;
use super::status::{Code, Status};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Query, Request};
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, Method, Uri};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use proto::{json, rest};
use serde_json::Value;
use tower_http::cors::{Any, CorsLayer};

/// The longest body: a request in base64 with its JSON around it.
const MAX_BODY: usize = MAX_REQUEST / 3 * 4 + (64 << 10);
/// grpc-gateway shows metadata of answers under this prefix, and takes it from requests.
const GATEWAY_HEIGHT_HEADER: &str = "grpc-metadata-x-cosmos-block-height";
/// The ICS23 specs that light clients of this chain need; not a query, because they are constant.
const PROOF_SPECS: &str = "/virtengine/proofs/v1/specs";

/// Serves until `stop` resolves and open requests are done.
pub async fn serve(listener: Listener, api: Api, stop: impl Future<Output = ()> + Send + 'static) {
    if let Err(e) = axum::serve(listener, router(api)).with_graceful_shutdown(stop).await {
        tracing::error!(error = %e, "the REST server ended");
    }
}

fn router(api: Api) -> Router {
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
        .fallback(move |request| gateway(api.clone(), request))
        .layer(cors)
}

async fn page() -> Html<&'static str> {
    Html(openapi::page())
}

async fn gateway(api: Api, request: Request) -> Response {
    answer(&api, request).await.unwrap_or_else(|status| reply(&status.json(), status.http().into_response()))
}

async fn answer(api: &Api, request: Request) -> Result<Response, Status> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let Some((route, params)) = rest::match_route(head.method.as_str(), path).filter(|(route, _)| openapi::served(route)) else {
        return Err(no_route(&head.method, path));
    };
    let height = height(&head.headers)?;
    let query = query(&head.uri)?;
    let body = match route.body.as_str() {
        "" => None,
        _ => parse(body).await?,
    };
    let data = rest::request_bytes(route, &params, &query, body.as_ref()).map_err(|e| Status::invalid(e.to_string()))?;
    let answer = api.call(&route.rpc, data.into(), height).await?;
    let shown = json::to_value(&route.output, &answer.value).map_err(|e| Status::new(Code::Internal, e.to_string()))?;
    let headers = [HEIGHT_HEADER, GATEWAY_HEIGHT_HEADER].map(|name| (name, answer.height.to_string()));
    Ok(reply(&shown, headers.into_response()))
}

/// A path that exists for another method is told apart, as the gateway does.
fn no_route(method: &Method, path: &str) -> Status {
    let others = ["GET", "POST"].iter().filter(|other| **other != method.as_str());
    let known = others.filter_map(|other| rest::match_route(other, path)).any(|(route, _)| openapi::served(route));
    Status::new(Code::Unimplemented, if known { "Method Not Allowed" } else { "Not Implemented" })
}

fn reply(body: &Value, response: Response) -> Response {
    let (mut head, _) = response.into_parts();
    head.headers.insert(CONTENT_TYPE, "application/json".parse().expect("a valid header"));
    Response::from_parts(head, Body::from(body.to_string()))
}

fn height(headers: &HeaderMap) -> Result<u64, Status> {
    let given = headers.get(HEIGHT_HEADER).or_else(|| headers.get(GATEWAY_HEIGHT_HEADER));
    requested_height(given.map(|value| value.to_str().unwrap_or("text that is not ASCII")))
}

fn query(uri: &Uri) -> Result<Vec<(String, String)>, Status> {
    let query = Query::try_from_uri(uri).map_err(|e| Status::invalid(e.body_text()))?;
    Ok(query.0)
}

/// JSON whatever the content type says, as the gateway has it; an empty body is an empty request.
async fn parse(body: Body) -> Result<Option<Value>, Status> {
    let bytes = tokio::time::timeout(MAX_TIME, to_bytes(body, MAX_BODY)).await;
    let bytes = bytes.map_err(|_| Status::new(Code::DeadlineExceeded, "the body did not arrive in time"))?;
    let bytes = bytes.map_err(|e| Status::invalid(format!("body: {e}; at most {MAX_BODY} bytes are read")))?;
    match bytes.trim_ascii().is_empty() {
        true => Ok(None),
        false => serde_json::from_slice(&bytes).map(Some).map_err(|e| Status::invalid(format!("body: expected JSON: {e}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_with_the_limit() {
        assert_eq!(parse(Body::from(vec![b' '; MAX_BODY])).await, Ok(None));
        let status = parse(Body::from(vec![b' '; MAX_BODY + 1])).await.unwrap_err();
        assert_eq!(status.code, Code::InvalidArgument);
        assert!(status.message.contains(&MAX_BODY.to_string()), "{}", status.message);
    }
}
