//! How a call fails: a gRPC code and a text, made from the application's errors, shown over gRPC, REST and ABCI.

use http::StatusCode;
use kernel::{Error, GRPC};
use serde_json::{Value, json};
pub use tonic::Code;

/// A failed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub code: Code,
    pub message: String,
}

impl Status {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Status { code, message: message.into() }
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Status::new(Code::InvalidArgument, message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Status::new(Code::NotFound, message)
    }

    pub fn unknown(message: impl Into<String>) -> Self {
        Status::new(Code::Unknown, message)
    }

    /// As Cosmos SDK shows an error that has a code and no status: what its codespace and code mean, then what happened.
    pub fn registered(e: &Error) -> Self {
        // Here logs end in what the code means, as in `no such type: authorization not found`.
        let meaning_last = ["sdk", "authz", "bank", "feegrant", "staking"].contains(&e.codespace);
        let text = match e.log.rsplit_once(": ") {
            Some((what, meaning)) if meaning_last => format!("{meaning}: {what}"),
            _ => e.log.clone(),
        };
        Status::unknown(format!("codespace {} code {}: {text}", e.codespace, e.code))
    }

    /// As grpc-gateway maps codes; a failed precondition is deliberately not 412.
    pub fn http(&self) -> StatusCode {
        match self.code {
            Code::Ok => StatusCode::OK,
            Code::Cancelled => StatusCode::REQUEST_TIMEOUT,
            Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
            Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
            Code::PermissionDenied => StatusCode::FORBIDDEN,
            Code::Unauthenticated => StatusCode::UNAUTHORIZED,
            Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
            Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The body of a REST answer.
    pub fn json(&self) -> Value {
        json!({ "code": self.code as i32, "message": self.message, "details": [] })
    }
}

/// The gRPC status that the Cosmos SDK gives for the same error; its messages lack what ABCI logs append.
impl From<Error> for Status {
    fn from(e: Error) -> Self {
        let without = |suffix: &str| e.log.strip_suffix(suffix).unwrap_or(&e.log).to_owned();
        match (e.codespace, e.code) {
            ("sdk", 22) => Status::not_found(without(": key not found")),
            ("sdk", 18) => Status::invalid(without(": invalid request")),
            ("sdk", 6) => Status::unknown(without(": unknown request")),
            (GRPC, code) => Status::new(i32::try_from(code).map_or(Code::Unknown, Code::from_i32), e.log),
            _ if e.is_fault() => Status::new(Code::Internal, e.log),
            _ => Status::registered(&e),
        }
    }
}

/// For `abci_query`.
impl From<Status> for Error {
    fn from(s: Status) -> Self {
        match s.code {
            Code::NotFound => Error::not_found(s.message),
            Code::InvalidArgument => Error::invalid_request(s.message),
            Code::Unknown => Error::unknown_request(s.message),
            code => Error::new(GRPC, code as u32, s.message),
        }
    }
}

impl From<Status> for tonic::Status {
    fn from(s: Status) -> Self {
        tonic::Status::new(s.code, s.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_error_becomes_the_status_that_clients_know() {
        for (error, code, http, message) in [
            (Error::not_found("account x not found"), 5, 404, "account x not found"),
            (Error::invalid_request("empty address"), 3, 400, "empty address"),
            (Error::unknown_request("out of gas"), 2, 500, "out of gas"),
            (Error::plain("decoding bech32 failed"), 2, 500, "decoding bech32 failed"),
            (Error::internal("no delegation"), 13, 500, "no delegation"),
            (
                Error::new("sdk", 26, "cannot query with height in the future: invalid height"),
                2,
                500,
                "codespace sdk code 26: invalid height: cannot query with height in the future",
            ),
            (
                Error::new("authz", 2, "authorization not found for /x type: authorization not found"),
                2,
                500,
                "codespace authz code 2: authorization not found: authorization not found for /x type",
            ),
            (Error::new("authz", 6, "authorization expired"), 2, 500, "codespace authz code 6: authorization expired"),
            (Error::new("escrow", 5, "lease 7: expected active"), 2, 500, "codespace escrow code 5: lease 7: expected active"),
            (Error::new("undefined", 1, "corrupt state: bid"), 13, 500, "corrupt state: bid"),
        ] {
            let status = Status::from(error);
            assert_eq!((status.code as i32, status.http().as_u16(), status.message.as_str()), (code, http, message));
        }
    }
}
