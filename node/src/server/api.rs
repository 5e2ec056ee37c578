//! The one door to all calls: which services exist, how long a call may take, how many run at once.

use super::limits::Call;
use super::services::{self, Services};
use super::status::{Code, Status};
use app::App;
use bytes::Bytes;
use kernel::Error;
use proto::json;
use std::num::IntErrorKind;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The services that are served, by full name; a test holds them against the application's table.
pub const SERVICES: [&str; 15] = [
    "cosmos.auth.v1beta1.Query",
    "cosmos.authz.v1beta1.Query",
    "cosmos.bank.v1beta1.Query",
    "cosmos.base.node.v1beta1.Service",
    "cosmos.base.tendermint.v1beta1.Service",
    "cosmos.consensus.v1.Query",
    "cosmos.distribution.v1beta1.Query",
    "cosmos.feegrant.v1beta1.Query",
    "cosmos.staking.v1beta1.Query",
    "cosmos.tx.v1beta1.Service",
    "virtengine.deployment.v1.Query",
    "virtengine.encryption.v1.Query",
    "virtengine.escrow.v1.Query",
    "virtengine.market.v1.Query",
    "virtengine.provider.v1.Query",
];

/// The longest request: CometBFT refuses transactions beyond 1 MiB, and queries are far shorter.
pub const MAX_REQUEST: usize = 2 << 20;
/// How long a request may take to arrive, and then a call, waiting included: as long as a call of CometBFT's RPC.
pub const MAX_TIME: Duration = Duration::from_secs(30);
/// Queries of the state that run at once. They compete with block execution for cores, so more would not be faster.
const MAX_QUERIES: usize = 4;
/// Questions to CometBFT that are answered at once. Blocks and searches take a great deal more memory, and count twice.
const MAX_REMOTE: u32 = 4;

/// Metadata of gRPC and header of REST: the height to answer for, and the height that an answer is true for.
pub const HEIGHT_HEADER: &str = "x-cosmos-block-height";

/// How an answer is shown.
pub enum Form {
    Protobuf,
    /// JSON of the message with this name.
    Json(String),
}

impl Form {
    fn show(self, value: Vec<u8>) -> Result<Bytes, Status> {
        let Form::Json(message) = self else { return Ok(value.into()) };
        let shown = json::to_value(&message, &value).map_err(|e| Status::new(Code::Internal, e.to_string()))?;
        Ok(shown.to_string().into())
    }
}

/// An answer as it is sent, and the height that it is true for.
pub struct Shown {
    pub body: Bytes,
    pub height: u64,
}

/// Calls by gRPC path; cheap to clone.
#[derive(Clone)]
pub struct Api {
    app: App,
    services: Services,
    queries: Arc<Semaphore>,
    remote: Arc<Semaphore>,
}

impl Api {
    pub fn new(app: App, services: Services) -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Api { app, services, queries: semaphore(MAX_QUERIES), remote: semaphore(MAX_REMOTE as usize) }
    }

    /// Answers a gRPC path with encoded bytes; height 0 is the newest.
    pub async fn call(&self, call: &Call, path: &str, data: Bytes, height: u64, form: Form) -> Result<Shown, Status> {
        served(path)?;
        let answer = async {
            // Its slot is given back when the answer is counted among those that are sent.
            let (shown, _slot) = match services::serves(path) {
                true => self.remote(path, data, height, form).await?,
                false => self.query(path, data, height, form).await?,
            };
            call.hold(shown.body.len()).await?;
            Ok(shown)
        };
        let late = || Status::new(Code::DeadlineExceeded, format!("no answer within {} s", MAX_TIME.as_secs()));
        tokio::time::timeout(MAX_TIME, answer).await.unwrap_or_else(|_| Err(late()))
    }

    async fn query(&self, path: &str, data: Bytes, height: u64, form: Form) -> Result<(Shown, Slot), Status> {
        let slot = slot(&self.queries, 1).await;
        let (app, path) = (self.app.clone(), path.to_owned());
        blocking(slot, move || {
            let answer = app.query(&path, &data, height)?;
            Ok(Shown { body: form.show(answer.value)?, height: answer.height })
        })
        .await
    }

    async fn remote(&self, path: &str, data: Bytes, height: u64, form: Form) -> Result<(Shown, Slot), Status> {
        let slot = slot(&self.remote, services::weight(path)).await;
        let answer = self.services.answer(path, &data, height).await?;
        blocking(slot, move || Ok(Shown { body: form.show(answer.value)?, height: answer.height })).await
    }
}

type Slot = OwnedSemaphorePermit;

async fn slot(slots: &Arc<Semaphore>, weight: u32) -> Slot {
    slots.clone().acquire_many_owned(weight).await.expect("the semaphore is never closed")
}

/// On a thread that may block. Work whose caller has gone keeps its slot until it is done.
async fn blocking(slot: Slot, work: impl FnOnce() -> Result<Shown, Status> + Send + 'static) -> Result<(Shown, Slot), Status> {
    let done = tokio::task::spawn_blocking(move || work().map(|shown| (shown, slot))).await;
    done.unwrap_or_else(|e| {
        tracing::error!(error = %e, "a query failed in the application");
        Err(Status::new(Code::Internal, "the query failed in the node; its log says why"))
    })
}

/// Refuses what is not served with the words of Go's gRPC server.
fn served(path: &str) -> Result<(), Status> {
    let unimplemented = |message: String| Err(Status::new(Code::Unimplemented, message));
    let Some((service, method)) = path.strip_prefix('/').and_then(|p| p.rsplit_once('/')) else {
        return unimplemented(format!("malformed method name: {path:?}"));
    };
    if !SERVICES.contains(&service) {
        return unimplemented(format!("unknown service {service}"));
    }
    let descriptor = proto::descriptors().get_service_by_name(service).expect("a test looks every service up");
    match descriptor.methods().any(|m| m.name() == method) {
        true => Ok(()),
        false => unimplemented(format!("unknown method {method} for service {service}")),
    }
}

/// The height that a request names; absent and 0 mean the newest. Refusals are in the words of the Go SDK.
pub fn requested_height(value: Option<&str>) -> Result<u64, Status> {
    let Some(text) = value else { return Ok(0) };
    let refused = |what: String| Status::registered(&Error::invalid_request(what));
    let height = text.parse::<i64>().map_err(|e| {
        let reason = match e.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        refused(format!(
            "Baseapp.RegisterGRPCServer: invalid height header {HEIGHT_HEADER:?}: strconv.ParseInt: parsing {text:?}: {reason}"
        ))
    })?;
    u64::try_from(height).map_err(|_| refused("cannot query with height < 0; please provide a valid height".into()))
}
