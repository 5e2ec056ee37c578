//! [`App`]: the application as CometBFT calls it. FinalizeBlock works in memory and writes nothing, so that it can be
//! repeated; Commit writes a block in one batch; Info reports only what Commit wrote.

use crate::ante::{self, Mode};
use crate::block::{IndexEvents, Outcome, abci_events, run_tx};
use crate::query::{Remote, Specs, unknown_path};
use crate::store::{self, Options, Staged, Store};
use crate::tx::{CheckedTx, GasPrices};
use crate::verify::Verifier;
use crate::{AppState, Modules, VERSION, genesis};
use bytes::Bytes;
use kernel::{Base, BlockInfo, Ctx, Error, Event, GRPC, Gas, View, Writes};
use parking_lot::{Mutex, RwLock};
use proto::cosmos::base::node::v1beta1::ConfigResponse;
use rayon::prelude::*;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tendermint_abci::Application;
use tendermint_proto::v0_38::abci::*;
use tendermint_proto::v0_38::crypto::{ProofOp, ProofOps, PublicKey, public_key};

/// Transactions whose signatures a thread verifies before it looks for more; to wake another costs a good part of what it
/// would save on fewer.
const CHUNK: usize = 8;
/// Parsed transactions that are kept between CheckTx and their block, in bytes of the transactions.
const TX_CACHE_BYTES: usize = 16 << 20;

/// A node's own settings; none of them changes what a block does.
#[derive(Debug, Clone, Default)]
pub struct Config {
    pub min_gas_prices: GasPrices,
    /// The text that `min_gas_prices` was parsed from.
    pub min_gas_prices_text: String,
    pub index_events: IndexEvents,
    pub store: store::Tuning,
}

impl Config {
    pub(crate) fn node_config(&self) -> ConfigResponse {
        ConfigResponse {
            minimum_gas_price: self.min_gas_prices_text.clone(),
            pruning_keep_recent: self.store.query_versions.to_string(),
            pruning_interval: "1".into(),
            halt_height: 0,
        }
    }
}

/// Why an application does not open.
pub type OpenError = store::Error;

/// The application; clones share it.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    modules: Modules,
    store: Store,
    verifier: Verifier,
    config: Config,
    remote: RwLock<Option<Arc<dyn Remote>>>,
    /// The mempool's state: the last block plus the pending transactions. None until somebody asks after a block.
    check: Mutex<Option<Ctx>>,
    /// Genesis before the first block is committed.
    genesis: Mutex<Option<(Writes, BlockInfo)>>,
    pending: Mutex<Option<Pending>>,
    parsed: Mutex<TxCache>,
}

/// A block that was executed and not committed.
struct Pending {
    block: BlockInfo,
    writes: Writes,
    staged: Staged,
}

/// Transactions by their bytes.
#[derive(Default)]
struct TxCache {
    young: HashMap<Bytes, Arc<CheckedTx>>,
    old: HashMap<Bytes, Arc<CheckedTx>>,
    bytes: usize,
}

impl TxCache {
    fn insert(&mut self, tx: Arc<CheckedTx>) {
        let size = tx.bytes.len();
        if self.bytes + size > TX_CACHE_BYTES / 2 {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        self.bytes += size;
        self.young.insert(tx.bytes.clone(), tx);
    }

    fn get(&self, bytes: &[u8]) -> Option<Arc<CheckedTx>> {
        self.young.get(bytes).or_else(|| self.old.get(bytes)).cloned()
    }
}

impl App {
    /// Opens the state under `dir`, or makes an empty one.
    pub fn open(dir: &Path, config: Config) -> Result<Self, OpenError> {
        let modules = Modules::new();
        let options = Options { stores: modules.stores.clone(), tuning: config.store.clone() };
        let store = Store::open(dir, options)?;
        Ok(App(Arc::new(Inner {
            modules,
            store,
            verifier: Verifier::default(),
            config,
            remote: RwLock::new(None),
            check: Mutex::new(None),
            genesis: Mutex::new(None),
            pending: Mutex::new(None),
            parsed: Mutex::default(),
        })))
    }

    pub fn modules(&self) -> &Modules {
        &self.0.modules
    }

    pub fn store(&self) -> &Store {
        &self.0.store
    }

    pub fn config(&self) -> &Config {
        &self.0.config
    }

    pub(crate) fn verifier(&self) -> &Verifier {
        &self.0.verifier
    }

    pub(crate) fn remote(&self) -> Option<Arc<dyn Remote>> {
        self.0.remote.read().clone()
    }

    /// Lets `abci_query` answer services of the node.
    pub fn set_remote(&self, remote: Arc<dyn Remote>) {
        *self.0.remote.write() = Some(remote);
    }

    /// Genesis sections of the newest state.
    pub fn export(&self) -> Result<AppState, Error> {
        genesis::export(self.modules(), &self.view(0)?)
    }

    /// Invariants that do not hold in the newest state.
    pub fn broken(&self) -> Result<Vec<String>, Error> {
        self.modules().broken(&self.view(0)?)
    }

    /// Verifies the signatures of transactions that are about to be checked, many of them in parallel.
    pub fn prefetch(&self, txs: &[Bytes]) {
        if txs.len() > CHUNK {
            let (base, block) = self.check_base();
            self.settle_all(txs, &base, &block, |bytes| self.parse(bytes).ok());
        }
    }

    /// Finds out of many transactions, in parallel, whether their signatures hold.
    fn settle_all<T: Sync>(&self, txs: &[T], base: &Arc<dyn Base>, block: &BlockInfo, tx: impl Fn(&T) -> Option<Arc<CheckedTx>> + Sync) {
        let next = AtomicUsize::new(0);
        let work = || {
            let view = View::new(base.clone(), block.clone(), Gas::unlimited());
            while let Some(chunk) = txs.chunks(CHUNK).nth(next.fetch_add(1, Ordering::Relaxed)) {
                for tx in chunk.iter().filter_map(&tx).filter(|tx| !tx.is_settled()) {
                    ante::settle(self.modules(), &view, &tx, self.verifier());
                }
            }
        };
        // This thread takes its share, where rayon's iterators would wake as many others as there are processors.
        rayon::in_place_scope(|scope| {
            let helpers = (rayon::current_num_threads() - 1).min(txs.len().div_ceil(CHUNK).saturating_sub(1));
            (0..helpers).for_each(|_| scope.spawn(|_| work()));
            work();
        });
    }

    /// Parsed once: CheckTx, proposals and blocks share the result.
    fn parse(&self, bytes: &[u8]) -> Result<Arc<CheckedTx>, Error> {
        if let Some(tx) = self.0.parsed.lock().get(bytes) {
            return Ok(tx);
        }
        let tx = Arc::new(CheckedTx::parse(bytes, false)?);
        self.0.parsed.lock().insert(tx.clone());
        Ok(tx)
    }

    /// Those of a block: most were parsed for CheckTx, the others are parsed in parallel.
    fn parse_all(&self, txs: &[Bytes]) -> Vec<Result<Arc<CheckedTx>, Error>> {
        let known: Vec<_> = {
            let parsed = self.0.parsed.lock();
            txs.iter().map(|bytes| parsed.get(bytes)).collect()
        };
        if known.iter().all(Option::is_some) {
            return known.into_iter().flatten().map(Ok).collect();
        }
        txs.par_iter().zip(known).map(|(bytes, known)| known.map_or_else(|| self.parse(bytes), Ok)).collect()
    }

    fn check_base(&self) -> (Arc<dyn Base>, BlockInfo) {
        let base = self.store().latest();
        let view = View::new(base.clone(), BlockInfo::default(), Gas::unlimited());
        let block = match &*self.0.genesis.lock() {
            Some((_, block)) => block.clone(),
            None => self.modules().consensus.block(&view).unwrap_or_default(),
        };
        // What is checked now is meant for the next block.
        (base, BlockInfo { height: block.height + 1, ..block })
    }

    /// Runs `f` on the mempool's state.
    pub(crate) fn with_check<T>(&self, f: impl FnOnce(&mut Ctx) -> T) -> Result<T, Error> {
        if self.store().height() == 0 {
            return Err(Error::new("sdk", 26, "the node is not ready, please wait for the first block: invalid height"));
        }
        let mut check = self.0.check.lock();
        let ctx = check.get_or_insert_with(|| {
            let (base, block) = self.check_base();
            Ctx::new(View::new(base, block, Gas::unlimited()))
        });
        Ok(f(ctx))
    }

    /// The state that a block starts from: the last commit, and genesis before the first one.
    fn block_ctx(&self, block: BlockInfo) -> Ctx {
        let base: Arc<dyn Base> = match &*self.0.genesis.lock() {
            Some((writes, _)) => {
                let mut base = kernel::MemBase::default();
                base.apply(writes.clone());
                Arc::new(base)
            }
            None => self.store().latest(),
        };
        Ctx::new(View::new(base, block, Gas::unlimited()))
    }

    /// Executes a block in memory.
    fn execute(&self, request: &RequestFinalizeBlock) -> Result<ResponseFinalizeBlock, Error> {
        let chain_id = match &*self.0.genesis.lock() {
            Some((_, block)) => block.chain_id.clone(),
            None => self.view(0)?.chain_id().to_string(),
        };
        let block = BlockInfo {
            chain_id,
            height: u64::try_from(request.height).map_err(|_| Error::new("undefined", 1, "negative height"))?,
            time_ms: millis(request.time.as_ref()),
        };
        let on = self.modules();
        let parsed = self.parse_all(&request.txs);
        let mut ctx = self.block_ctx(block.clone());
        self.verify_ahead(&ctx, &parsed);

        let mut events: Vec<(Event, Option<usize>)> = Vec::new();
        ctx.begin(u64::MAX);
        for module in on.ordered() {
            module.begin_block(&mut ctx)?;
        }
        events.extend(ctx.take_events().into_iter().map(|e| (e, None)));
        let index = &self.config().index_events;
        let tx_results = parsed
            .into_iter()
            .map(|tx| match tx {
                Ok(tx) => run_tx(on, &mut ctx, &tx, &Mode::Deliver, self.verifier()).into_result(index),
                Err(e) => Outcome { result: Some(e), ..Outcome::default() }.into_result(index),
            })
            .collect();
        ctx.begin(u64::MAX);
        for module in on.ordered() {
            module.end_block(&mut ctx)?;
        }
        on.consensus.set_block(&mut ctx, block.clone())?;
        events.extend(ctx.take_events().into_iter().map(|e| (e, None)));
        let validator_updates = validator_updates(on.staking.validator_updates(&ctx)?);

        let mut writes = ctx.into_writes();
        if let Some((genesis, _)) = &*self.0.genesis.lock() {
            let mut all = genesis.clone();
            all.extend(writes);
            writes = all;
        }
        let staged = self.store().stage(&writes).map_err(|e| Error::new("undefined", 1, e.to_string()))?;
        let app_hash = staged.app_hash().to_vec().into();
        *self.0.pending.lock() = Some(Pending { block, writes, staged });
        Ok(ResponseFinalizeBlock {
            events: abci_events(events, index),
            tx_results,
            validator_updates,
            consensus_param_updates: None,
            app_hash,
        })
    }

    /// Signatures that CheckTx has not seen, all at once, before the serial part.
    fn verify_ahead(&self, ctx: &Ctx, parsed: &[Result<Arc<CheckedTx>, Error>]) {
        if self.store().height() > 0 && !parsed.iter().flatten().all(|tx| tx.is_settled()) {
            self.settle_all(parsed, &self.store().latest(), ctx.block(), |tx| tx.as_ref().ok().cloned());
        }
    }

    fn max_gas(&self) -> u64 {
        let params = self.view(0).and_then(|v| Ok(self.modules().consensus.params(&v)?)).unwrap_or_default();
        params.block.map_or(u64::MAX, |b| u64::try_from(b.max_gas).unwrap_or(u64::MAX))
    }
}

fn millis(time: Option<&tendermint_proto::google::protobuf::Timestamp>) -> u64 {
    let Some(t) = time else { return 0 };
    u64::try_from(t.seconds).unwrap_or(0).saturating_mul(1000).saturating_add(u64::try_from(t.nanos).unwrap_or(0) / 1_000_000)
}

fn validator_updates(updates: Vec<([u8; 32], i64)>) -> Vec<ValidatorUpdate> {
    updates
        .into_iter()
        .map(|(key, power)| ValidatorUpdate { pub_key: Some(PublicKey { sum: Some(public_key::Sum::Ed25519(key.to_vec())) }), power })
        .collect()
}

fn refused(e: Error) -> ResponseCheckTx {
    ResponseCheckTx { code: e.code, log: e.log, codespace: e.codespace.into(), ..Default::default() }
}

impl Application for App {
    fn info(&self, _: RequestInfo) -> ResponseInfo {
        let store = self.store();
        let height = store.height();
        ResponseInfo {
            data: "virtengine".into(),
            version: VERSION.into(),
            app_version: 1,
            last_block_height: i64::try_from(height).expect("heights are below 2^63"),
            last_block_app_hash: if height == 0 { Default::default() } else { store.app_hash().to_vec().into() },
        }
    }

    fn init_chain(&self, request: RequestInitChain) -> ResponseInitChain {
        let block = BlockInfo { chain_id: request.chain_id.clone(), height: 0, time_ms: millis(request.time.as_ref()) };
        let state: AppState =
            serde_json::from_slice(&request.app_state_bytes).unwrap_or_else(|e| panic!("genesis app_state is not a JSON object: {e}"));
        let on = self.modules();
        let mut ctx = Ctx::new(View::new(Arc::new(kernel::MemBase::default()), block.clone(), Gas::unlimited()));
        let run = |ctx: &mut Ctx| -> Result<Vec<ValidatorUpdate>, Error> {
            genesis::init(on, ctx, &state, self.verifier())?;
            on.consensus.set_params(ctx, &request.consensus_params.clone().unwrap_or_default())?;
            on.consensus.set_block(ctx, block.clone())?;
            Ok(validator_updates(on.staking.validator_updates(ctx)?))
        };
        let validators = run(&mut ctx).unwrap_or_else(|e| panic!("genesis is refused: {e}"));
        let writes = ctx.into_writes();
        let staged = self.store().stage(&writes).unwrap_or_else(|e| panic!("genesis cannot be stored: {e}"));
        let app_hash = staged.app_hash().to_vec().into();
        let first = u64::try_from(request.initial_height).unwrap_or(1).max(1);
        *self.0.genesis.lock() = Some((writes, BlockInfo { height: first - 1, ..block }));
        ResponseInitChain { consensus_params: request.consensus_params, validators, app_hash }
    }

    fn check_tx(&self, request: RequestCheckTx) -> ResponseCheckTx {
        let tx = match self.parse(&request.tx) {
            Ok(tx) => tx,
            Err(e) => return refused(e),
        };
        let prices = &self.config().min_gas_prices;
        let mode = if request.r#type == CheckTxType::Recheck as i32 { Mode::Recheck(prices) } else { Mode::Check(prices) };
        let outcome = match self.with_check(|ctx| run_tx(self.modules(), ctx, &tx, &mode, self.verifier())) {
            Ok(outcome) => outcome,
            Err(e) => return refused(e),
        };
        let clamp = |gas: u64| i64::try_from(gas).unwrap_or(i64::MAX);
        let (gas_wanted, gas_used) = (clamp(outcome.gas_wanted), clamp(outcome.gas_used));
        if let Some(e) = outcome.result {
            return ResponseCheckTx { gas_wanted, gas_used, ..refused(e) };
        }
        ResponseCheckTx { gas_wanted, gas_used, events: Vec::new(), ..Default::default() }
    }

    fn prepare_proposal(&self, request: RequestPrepareProposal) -> ResponsePrepareProposal {
        let (mut bytes, mut gas) = (0u64, 0u64);
        let (max_bytes, max_gas) = (u64::try_from(request.max_tx_bytes).unwrap_or(0), self.max_gas());
        let mut txs = Vec::new();
        let parsed = self.parse_all(&request.txs);
        for (tx, parsed) in request.txs.into_iter().zip(parsed) {
            let Ok(wanted) = parsed.map(|tx| tx.fee.gas_limit) else { continue };
            // As CometBFT counts: a tag and a length before each transaction.
            let size = proposal_size(&tx);
            if bytes + size > max_bytes || gas.saturating_add(wanted) > max_gas {
                break;
            }
            bytes += size;
            gas = gas.saturating_add(wanted);
            txs.push(tx);
        }
        ResponsePrepareProposal { txs }
    }

    fn process_proposal(&self, request: RequestProcessProposal) -> ResponseProcessProposal {
        use response_process_proposal::ProposalStatus;
        // A pure function of bytes and limits, the same for who proposes and who votes.
        let mut txs = self.parse_all(&request.txs).into_iter();
        let gas = txs.try_fold(0, |sum: u64, tx| Ok::<_, Error>(sum.saturating_add(tx?.fee.gas_limit)));
        let fits = gas.is_ok_and(|gas| gas <= self.max_gas());
        let status = if fits { ProposalStatus::Accept } else { ProposalStatus::Reject };
        ResponseProcessProposal { status: status as i32 }
    }

    fn finalize_block(&self, request: RequestFinalizeBlock) -> ResponseFinalizeBlock {
        // An error here is ours or the disk's. To go on would fork; CometBFT replays the block after a restart.
        self.execute(&request).unwrap_or_else(|e| panic!("block {} cannot be executed: {e}", request.height))
    }

    fn commit(&self) -> ResponseCommit {
        let pending = self.0.pending.lock().take().expect("Commit follows FinalizeBlock");
        let height = pending.block.height;
        self.store()
            .commit(height, &pending.writes, pending.staged, &[])
            .unwrap_or_else(|e| panic!("block {height} cannot be written: {e}"));
        *self.0.genesis.lock() = None;
        *self.0.check.lock() = None;
        ResponseCommit { retain_height: 0 }
    }

    fn query(&self, request: RequestQuery) -> ResponseQuery {
        let path = request.path.as_str();
        let Ok(height) = u64::try_from(request.height) else {
            let log = "cannot query with height < 0; please provide a valid height: invalid request";
            return ResponseQuery { code: 18, codespace: "sdk".into(), log: log.into(), ..Default::default() };
        };
        let result = match path.split('/').collect::<Vec<_>>()[..] {
            ["", "store", name, "key"] => self.query_store(name, &request.data, height, request.prove).map(|proof| ResponseQuery {
                key: request.data.clone(),
                value: proof.value.unwrap_or_default().into(),
                height: if height == 0 { self.store().height() as i64 } else { request.height },
                proof_ops: (!proof.ops.is_empty()).then(|| ProofOps {
                    ops: proof.ops.into_iter().map(|op| ProofOp { r#type: op.r#type, key: op.key, data: op.data }).collect(),
                }),
                ..Default::default()
            }),
            ["", "app", "version"] => Ok(ResponseQuery { value: VERSION.into(), codespace: "sdk".into(), ..Default::default() }),
            // A path of ours: what a light client needs to verify the proofs of `/store`.
            ["", "app", "proof-specs"] => Ok(ResponseQuery { value: Specs::json().into(), codespace: "sdk".into(), ..Default::default() }),
            ["", "p2p", ..] => Ok(ResponseQuery::default()),
            _ => self.query(path, &request.data, height).map(|answer| ResponseQuery {
                value: answer.value.into(),
                height: answer.height as i64,
                ..Default::default()
            }),
        };
        result.unwrap_or_else(|e| match (e.code, path.starts_with("/store/")) {
            // The SDK's store says so without a code.
            (26, true) if !request.prove => ResponseQuery {
                log: "version does not exist".into(),
                key: request.data.clone(),
                height: request.height,
                ..Default::default()
            },
            (26, true) => {
                let log = "proof is unexpectedly empty; ensure height has not been pruned: invalid request";
                as_abci(Error::new("sdk", 18, log), path)
            }
            _ => as_abci(e, path),
        })
    }
}

/// gRPC's names of its status codes, from 0.
const GRPC_CODES: &str = "OK Canceled Unknown InvalidArgument DeadlineExceeded NotFound AlreadyExists PermissionDenied ResourceExhausted \
    FailedPrecondition Aborted OutOfRange Unimplemented Internal Unavailable DataLoss Unauthenticated";

/// The codes and texts that the Go SDK gives for errors of a query (its gRPC status mapped back).
fn as_abci(e: Error, path: &str) -> ResponseQuery {
    const NOT_FOUND: (u32, &str) = (22, "key not found");
    const INVALID: (u32, &str) = (18, "invalid request");
    const UNAUTHORIZED: (u32, &str) = (4, "unauthorized");
    const UNKNOWN: (u32, &str) = (6, "unknown request");
    let service = path.contains('.');
    let status = |name: &str, (code, kind): (u32, &str)| {
        let text = e.log.strip_suffix(kind).and_then(|log| log.strip_suffix(": ")).unwrap_or(&e.log);
        (code, "sdk", format!("rpc error: code = {name} desc = {text}: {kind}"))
    };
    let (code, codespace, log) = match (e.codespace, e.code) {
        _ if e == unknown_path() => (e.code, e.codespace, e.log),
        ("store", _) => (e.code, e.codespace, e.log),
        ("sdk", 22) => status("NotFound", NOT_FOUND),
        ("sdk", 18) if service => status("InvalidArgument", INVALID),
        // Of the height, before a service was asked.
        ("sdk", 18 | 26 | 38) => (e.code, "sdk", e.log),
        (GRPC, 2) => (INVALID.0, "sdk", format!("{}: {}", e.log, INVALID.1)),
        (GRPC, code) => {
            let name = GRPC_CODES.split(' ').nth(code as usize).unwrap_or("Unknown");
            let kind = match name {
                "FailedPrecondition" => INVALID,
                "Unauthenticated" => UNAUTHORIZED,
                _ => UNKNOWN,
            };
            status(name, kind)
        }
        _ => status("Unknown", UNKNOWN),
    };
    ResponseQuery { code, codespace: codespace.into(), log, ..Default::default() }
}

/// What a transaction takes in a block: CometBFT counts the list's tag and length as well.
fn proposal_size(tx: &[u8]) -> u64 {
    (1 + prost::encoding::encoded_len_varint(tx.len() as u64) + tx.len()) as u64
}
