//! gRPC reflection, v1 and v1alpha: their messages are the same on the wire. What is not found is answered within the
//! stream, which goes on; tools that look several symbols up over one stream rely on it.

use super::api::SERVICES;
use axum::body::Body;
use http::{Request as HttpRequest, Response as HttpResponse};
use prost_reflect::{DescriptorPool, FileDescriptor};
use std::collections::HashSet;
use std::pin::Pin;
use std::sync::LazyLock;
use tokio_stream::{Stream, StreamExt};
use tonic::codec::ProstCodec;
use tonic::server::{Grpc, StreamingService};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{
    ErrorResponse, ExtensionNumberResponse, FileDescriptorResponse, ListServiceResponse, ServerReflectionRequest, ServerReflectionResponse,
    ServiceResponse,
};

/// A question is a name; nobody needs more.
const MAX_QUESTION: usize = 64 << 10;

/// Services that every gRPC server of ours has besides [`SERVICES`].
const OWN: [&str; 3] = ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let mut pool = proto::descriptors().clone();
    for set in [
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ] {
        pool.decode_file_descriptor_set(set).expect("descriptors of the libraries are valid");
    }
    pool
});

pub fn serves(path: &str) -> bool {
    matches!(
        path,
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo" | "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    )
}

pub async fn answer(request: HttpRequest<Body>) -> HttpResponse<tonic::body::Body> {
    Grpc::new(ProstCodec::<ServerReflectionResponse, ServerReflectionRequest>::default())
        .apply_max_message_size_config(Some(MAX_QUESTION), None)
        .streaming(Reflection, request)
        .await
}

struct Reflection;

impl StreamingService<ServerReflectionRequest> for Reflection {
    type Response = ServerReflectionResponse;
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<ServerReflectionResponse, Status>> + Send>>;
    type Future = std::future::Ready<Result<Response<Self::ResponseStream>, Status>>;

    #[allow(clippy::result_large_err)] // tonic's own error
    fn call(&mut self, request: Request<Streaming<ServerReflectionRequest>>) -> Self::Future {
        let mut sent = HashSet::new();
        let answers = request.into_inner().map(move |question| question.map(|q| respond(q, &mut sent)));
        std::future::ready(Ok(Response::new(Box::pin(answers))))
    }
}

fn respond(question: ServerReflectionRequest, sent: &mut HashSet<String>) -> ServerReflectionResponse {
    let answer = match &question.message_request {
        Some(request) => look_up(request, sent),
        None => Err(error(Code::InvalidArgument, "message_request: expected one, got none")),
    };
    ServerReflectionResponse {
        valid_host: question.host.clone(),
        original_request: Some(question),
        message_response: Some(answer.unwrap_or_else(MessageResponse::ErrorResponse)),
    }
}

fn error(code: Code, message: impl Into<String>) -> ErrorResponse {
    ErrorResponse { error_code: code as i32, error_message: message.into() }
}

fn look_up(request: &MessageRequest, sent: &mut HashSet<String>) -> Result<MessageResponse, ErrorResponse> {
    let absent = |what: &str, name: &str| error(Code::NotFound, format!("{what} not found: {name}"));
    Ok(match request {
        MessageRequest::ListServices(_) => MessageResponse::ListServicesResponse(ListServiceResponse {
            service: SERVICES.iter().chain(&OWN).map(|name| ServiceResponse { name: name.to_string() }).collect(),
        }),
        MessageRequest::FileByFilename(name) => files(POOL.get_file_by_name(name).ok_or_else(|| absent("file", name))?, sent),
        MessageRequest::FileContainingSymbol(name) => {
            files(file_of(name.trim_start_matches('.')).ok_or_else(|| absent("symbol", name))?, sent)
        }
        MessageRequest::FileContainingExtension(r) => {
            let (extended, number) = (r.containing_type.as_str(), r.extension_number);
            let message = POOL.get_message_by_name(extended).ok_or_else(|| absent("type", extended))?;
            let extension = u32::try_from(number).ok().and_then(|n| message.get_extension(n));
            let found = extension.ok_or_else(|| absent("extension", &format!("{number} of {extended}")))?;
            files(found.parent_file(), sent)
        }
        MessageRequest::AllExtensionNumbersOfType(name) => {
            let message = POOL.get_message_by_name(name).ok_or_else(|| absent("type", name))?;
            MessageResponse::AllExtensionNumbersResponse(ExtensionNumberResponse {
                base_type_name: name.clone(),
                extension_number: message.extensions().map(|e| e.number() as i32).collect(),
            })
        }
    })
}

/// The file that defines a service, method, message, field, oneof, enum, enum value or extension.
fn file_of(symbol: &str) -> Option<FileDescriptor> {
    let top = POOL
        .get_service_by_name(symbol)
        .map(|s| s.parent_file())
        .or_else(|| POOL.get_message_by_name(symbol).map(|m| m.parent_file()))
        .or_else(|| POOL.get_enum_by_name(symbol).map(|e| e.parent_file()))
        .or_else(|| POOL.get_extension_by_name(symbol).map(|e| e.parent_file()));
    if top.is_some() {
        return top;
    }
    let (parent, name) = symbol.rsplit_once('.')?;
    let service = POOL.get_service_by_name(parent).filter(|s| s.methods().any(|m| m.name() == name));
    let message = POOL.get_message_by_name(parent).filter(|m| m.get_field_by_name(name).is_some() || m.oneofs().any(|o| o.name() == name));
    service
        .map(|s| s.parent_file())
        .or_else(|| message.map(|m| m.parent_file()))
        // Values of an enum are named beside it, not within it.
        .or_else(|| POOL.all_enums().find(|e| e.values().any(|v| v.full_name() == symbol)).map(|e| e.parent_file()))
}

/// The file, then all that it imports and that this stream has not sent yet.
fn files(file: FileDescriptor, sent: &mut HashSet<String>) -> MessageResponse {
    let mut out = Vec::new();
    let mut left = vec![file];
    while let Some(file) = left.pop() {
        if sent.insert(file.name().to_owned()) || out.is_empty() {
            out.push(file.encode_to_vec());
            left.extend(file.dependencies());
        }
    }
    MessageResponse::FileDescriptorResponse(FileDescriptorResponse { file_descriptor_proto: out })
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;

    fn ask(request: MessageRequest) -> MessageResponse {
        let question = ServerReflectionRequest { host: String::new(), message_request: Some(request) };
        respond(question, &mut HashSet::new()).message_response.unwrap()
    }

    #[test]
    fn every_kind_of_symbol_is_found_with_what_its_file_imports() {
        for (symbol, file) in [
            ("cosmos.bank.v1beta1.Query", "cosmos/bank/v1beta1/query.proto"),
            ("cosmos.bank.v1beta1.Query.Balance", "cosmos/bank/v1beta1/query.proto"),
            (".cosmos.bank.v1beta1.QueryBalanceRequest", "cosmos/bank/v1beta1/query.proto"),
            ("cosmos.bank.v1beta1.QueryBalanceRequest.denom", "cosmos/bank/v1beta1/query.proto"),
            ("cosmos.tx.v1beta1.BROADCAST_MODE_SYNC", "cosmos/tx/v1beta1/service.proto"),
            ("google.api.http", "google/api/annotations.proto"),
            ("grpc.health.v1.Health", "health.proto"),
        ] {
            let MessageResponse::FileDescriptorResponse(found) = ask(MessageRequest::FileContainingSymbol(symbol.into())) else {
                panic!("{symbol}")
            };
            let files: Vec<_> =
                found.file_descriptor_proto.iter().map(|f| prost_types::FileDescriptorProto::decode(&f[..]).unwrap()).collect();
            assert!(files[0].name().ends_with(file), "{symbol}: {}", files[0].name());
            let names: HashSet<_> = files.iter().map(|f| f.name()).collect();
            assert!(files.iter().flat_map(|f| &f.dependency).all(|d| names.contains(d.as_str())), "{symbol}");
        }
    }

    #[test]
    fn an_unknown_symbol_is_an_error_message_with_code_5() {
        let MessageResponse::ErrorResponse(e) = ask(MessageRequest::FileContainingSymbol("cosmos.Nothing".into())) else { panic!() };
        assert_eq!((e.error_code, e.error_message.as_str()), (5, "symbol not found: cosmos.Nothing"));
    }

    #[test]
    fn only_services_that_are_served_are_listed() {
        let MessageResponse::ListServicesResponse(list) = ask(MessageRequest::ListServices(String::new())) else { panic!() };
        assert_eq!(list.service.len(), SERVICES.len() + OWN.len());
        assert!(list.service.iter().all(|s| POOL.get_service_by_name(&s.name).is_some()));
    }
}
