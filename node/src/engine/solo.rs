//! A block producer of one, in this process: no votes, no peers, no CometBFT.
//!
//! It makes the calls that CometBFT makes, in its order, to the same application, and keeps what it decided in
//! [`store`], from which a restart replays what the application has not committed. Headers are hashed as CometBFT's
//! are, but nobody signs them: what verifies headers needs a network on CometBFT.

use std::{
    collections::{BTreeMap, HashSet},
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use parking_lot::{Condvar, Mutex, RwLock};
use prost::Message;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tendermint::{Time, consensus, merkle::simple_hash_from_byte_vectors, validator};
use tendermint_abci::Application;
use tendermint_proto::v0_38::{
    abci::{
        CheckTxType, CommitInfo, ExecTxResult, ExtendedCommitInfo, ExtendedVoteInfo, RequestCheckTx, RequestFinalizeBlock, RequestInfo,
        RequestInitChain, RequestPrepareProposal, RequestProcessProposal, ResponseCheckTx, ResponseFinalizeBlock, ResponseInfo, Validator,
        ValidatorUpdate, VoteInfo, response_process_proposal::ProposalStatus,
    },
    types::{BlockId, BlockIdFlag, BlockParams, ConsensusParams, HashedParams, Header, PartSetHeader},
    version::Consensus,
};
use tokio::sync::watch;

use self::{
    mempool::{Mempool, Waiting},
    store::{Block, Start, Store, TxHash},
};
use super::{COMETBFT_VERSION, genesis_file};
use crate::abci::LastWord;

mod json;
mod mempool;
mod rpc;
mod search;
mod store;
#[cfg(test)]
mod tests;

/// `version.BlockProtocol` of CometBFT 0.38.
const BLOCK_PROTOCOL: u64 = 11;
/// `version.P2PProtocol` of CometBFT 0.38.
const P2P_PROTOCOL: u64 = 8;
/// `version.ABCIVersion` of CometBFT 0.38.
const ABCI_VERSION: &str = "2.0.0";
/// What a block may hold besides transactions: its header and the votes of one validator, rounded up.
const BLOCK_OVERHEAD: i64 = 2048;
/// `types.MaxBlockSizeBytes`: what `max_bytes` = -1 stands for.
const MAX_BLOCK_BYTES: i64 = 100 << 20;

/// How blocks are made.
#[derive(Clone, Debug)]
pub struct Solo {
    pub home: PathBuf,
    /// Where the JSON-RPC server listens.
    pub rpc: SocketAddr,
    /// Shown by `status`.
    pub moniker: String,
    /// From one block to the next while nothing waits.
    pub block_time: Duration,
    /// From one block to the next while transactions wait.
    pub min_block_time: Duration,
}

impl Solo {
    pub const BLOCK_TIME: Duration = Duration::from_secs(1);
    pub const MIN_BLOCK_TIME: Duration = Duration::from_millis(100);

    /// Makes blocks and serves RPC until `stop` resolves; `ready` hears the RPC server's address once it answers.
    ///
    /// # Errors
    /// The genesis is missing, malformed or for several validators; the data directory belongs to another chain or
    /// engine; the RPC port is taken; the disk fails; the application contradicts itself.
    pub async fn run<A: Application>(self, app: A, ready: impl FnOnce(SocketAddr), stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let listener = tokio::net::TcpListener::bind(self.rpc)
            .await
            .with_context(|| format!("RPC address {}: stop what has it, or choose another", self.rpc))?;
        let address = listener.local_addr()?;
        let chain = tokio::task::spawn_blocking(move || Chain::open(self, app)).await??;
        let chain = Arc::new(chain);

        let (ended, mut end) = watch::channel(None);
        let producer = {
            let chain = Arc::clone(&chain);
            std::thread::Builder::new().name("solo".into()).spawn(move || {
                let result = chain.produce();
                // Nobody listens once the node stops.
                ended.send(Some(result.is_ok())).ok();
                result
            })?
        };
        let stopping = chain.height.subscribe();
        let server = tokio::spawn(rpc::serve(listener, Arc::clone(&chain), stopping));
        ready(address);
        tokio::select! {
            () = stop => {}
            _ = end.wait_for(Option::is_some) => {}
        }
        chain.stop();
        let result = tokio::task::spawn_blocking(move || producer.join().expect("a panic aborts")).await?;
        drop(chain);
        server.await??;
        result
    }
}

/// What the genesis file says, as far as the engine needs it.
#[derive(Deserialize)]
struct Genesis {
    genesis_time: Time,
    chain_id: String,
    #[serde(default)]
    initial_height: serde_json::Value,
    consensus_params: consensus::Params,
    validators: Option<Vec<validator::Info>>,
    #[serde(default)]
    app_hash: String,
    #[serde(default)]
    app_state: serde_json::Value,
}

impl Genesis {
    fn initial_height(&self) -> anyhow::Result<i64> {
        let height = match &self.initial_height {
            serde_json::Value::Null => Some(1),
            serde_json::Value::String(text) => text.parse().ok(),
            other => other.as_i64(),
        };
        let height = height.filter(|h| *h >= 0);
        // CometBFT takes 0 for the default, too.
        Ok(height.with_context(|| format!("initial_height: expected a number, got {}", self.initial_height))?.max(1))
    }
}

/// What the chain has come to, after a committed block.
struct State {
    height: i64,
    time: Time,
    block_id: Option<BlockId>,
    app_hash: Bytes,
    results_hash: Vec<u8>,
    params: ConsensusParams,
    /// Sets by the height from which they are in force; the last one may lie ahead.
    validators: BTreeMap<i64, Vec<validator::Info>>,
}

impl State {
    fn validators(&self, height: i64) -> &[validator::Info] {
        self.validators.range(..=height).next_back().map_or(&[], |(_, set)| set)
    }

    fn max_bytes(&self) -> i64 {
        let max = self.params.block.as_ref().map_or(-1, |b| b.max_bytes);
        if max < 0 { MAX_BLOCK_BYTES } else { max }
    }

    fn max_gas(&self) -> i64 {
        self.params.block.as_ref().map_or(-1, |b| b.max_gas)
    }

    /// What the application has to know of the votes for the block before `height`: all signed.
    fn last_votes(&self, height: i64) -> Vec<VoteInfo> {
        if self.block_id.is_none() {
            return Vec::new();
        }
        self.validators(height - 1)
            .iter()
            .map(|v| VoteInfo {
                validator: Some(Validator { address: v.address.as_bytes().to_vec().into(), power: v.power.into() }),
                block_id_flag: BlockIdFlag::Commit.into(),
            })
            .collect()
    }
}

/// One chain: the application, what is on disk, what waits, and where it stands.
struct Chain<A> {
    config: Solo,
    genesis: Genesis,
    genesis_json: serde_json::Value,
    app: Mutex<A>,
    app_version: u64,
    first: i64,
    store: RwLock<Store>,
    mempool: Mutex<Mempool>,
    state: RwLock<State>,
    /// Wakes the producer: something waits, or it shall stop.
    wake: Condvar,
    stopping: AtomicBool,
    /// The last committed height; -1 tells those who wait that there will be no more.
    height: watch::Sender<i64>,
}

impl<A: Application> Chain<A> {
    fn open(config: Solo, app: A) -> anyhow::Result<Self> {
        let file = genesis_file(&config.home);
        let text = std::fs::read(&file).with_context(|| format!("{}: virtengine init makes a new node's files", file.display()))?;
        let genesis: Genesis = serde_json::from_slice(&text).with_context(|| file.display().to_string())?;
        let first = genesis.initial_height().with_context(|| file.display().to_string())?;

        let dir = config.home.join("data/solo");
        std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
        let mut store = Store::open(&dir.join("chain"), first)?;

        let info = call("Info", || app.info(request_info()));
        let hash = Bytes::copy_from_slice(&Sha256::digest(&text));
        let state = start(&app, &genesis, &info, &mut store, &hash, first)?;
        let mut chain = Self {
            genesis_json: serde_json::from_slice(&text)?,
            height: watch::Sender::new(state.height),
            app: Mutex::new(app),
            app_version: info.app_version,
            mempool: Mutex::default(),
            store: RwLock::new(store),
            state: RwLock::new(state),
            wake: Condvar::new(),
            stopping: AtomicBool::new(false),
            config,
            genesis,
            first,
        };
        chain.replay(&info)?;
        chain.height.send_replace(chain.state.get_mut().height);
        Ok(chain)
    }

    /// Gives the application the blocks that it has not committed.
    fn replay(&mut self, info: &ResponseInfo) -> anyhow::Result<()> {
        let last = self.store.read().height();
        ensure!(
            info.last_block_height <= last,
            "the application is at height {} and the blocks in {} end at {last}: they are not of one node",
            info.last_block_height,
            self.config.home.join("data/solo").display()
        );
        for height in self.first..=last {
            let block = self.store.read().block(height)?.context("a block in the store")?;
            let stored = self.store.read().result(height)?;
            let response = match stored {
                Some(stored) if height <= info.last_block_height => stored,
                stored => {
                    tracing::info!(height, "replaying a block");
                    let response = self.finalize(&block)?;
                    match stored {
                        Some(stored) => ensure!(
                            stored.app_hash == response.app_hash,
                            "block {height} was executed with app hash {} and now with {}",
                            hex::encode_upper(&stored.app_hash),
                            hex::encode_upper(&response.app_hash)
                        ),
                        None => self.store.write().conclude(response.clone())?,
                    }
                    call("Commit", || self.app().commit());
                    response
                }
            };
            self.advance(&block, &response)?;
        }
        let state = self.state.read();
        ensure!(
            info.last_block_height == 0 || info.last_block_height != state.height || info.last_block_app_hash == state.app_hash,
            "the application's hash of height {} is {}, the stored blocks say {}",
            state.height,
            hex::encode_upper(&info.last_block_app_hash),
            hex::encode_upper(&state.app_hash)
        );
        Ok(())
    }

    /// A clone shares the application's state.
    fn app(&self) -> A {
        self.app.lock().clone()
    }

    fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        // Under the lock that the producer checks under, so that it cannot miss this.
        drop(self.mempool.lock());
        self.wake.notify_all();
        self.height.send_replace(-1);
    }

    /// Makes blocks until stopped.
    fn produce(&self) -> anyhow::Result<()> {
        let mut last = Instant::now().checked_sub(self.config.block_time).unwrap_or_else(Instant::now);
        loop {
            let mut mempool = self.mempool.lock();
            loop {
                if self.stopping.load(Ordering::SeqCst) {
                    return Ok(());
                }
                let pause =
                    if mempool.is_empty() { self.config.block_time } else { self.config.min_block_time.min(self.config.block_time) };
                if last.elapsed() >= pause {
                    break;
                }
                self.wake.wait_until(&mut mempool, last + pause);
            }
            drop(mempool);
            last = Instant::now();
            self.make_block()?;
        }
    }

    fn make_block(&self) -> anyhow::Result<()> {
        let block = self.propose()?;
        self.store.write().decide(block.clone())?;
        let response = self.finalize(&block)?;
        self.store.write().conclude(response.clone())?;

        let committed = block.txs.iter().map(|tx| Sha256::digest(tx).into()).collect::<HashSet<TxHash>>();
        let mut mempool = self.mempool.lock();
        let app = self.app();
        call("Commit", || app.commit());
        self.advance(&block, &response)?;
        mempool.update(&committed, |waiting| {
            let request = check_request(&waiting.tx, CheckTxType::Recheck);
            call("CheckTx", || app.check_tx(request)).code == 0
        });
        drop(mempool);
        let height = block.header.height;
        tracing::info!(
            target: "solo",
            height,
            txs = block.txs.len(),
            app_hash = %hex::encode_upper(&response.app_hash),
            "committed block"
        );
        // A stop that came meanwhile has the last word.
        self.height.send_if_modified(|current| {
            let goes_on = *current >= 0;
            if goes_on {
                *current = height;
            }
            goes_on
        });
        Ok(())
    }

    fn propose(&self) -> anyhow::Result<Block> {
        let state = self.state.read();
        let height = state.height + 1;
        let time = if state.block_id.is_none() {
            state.time
        } else {
            // Times rise from block to block, whatever the clock does.
            let least = state.time.checked_add(Duration::from_millis(1)).context("block time")?;
            Time::now().max(least)
        };
        let validators = state.validators(height);
        let next_validators_hash = hash_of(state.validators(height + 1));
        let proposer = Bytes::copy_from_slice(validators.first().context("no validator is left")?.address.as_bytes());
        let max_tx_bytes = state.max_bytes() - BLOCK_OVERHEAD;
        let txs = self.mempool.lock().reap(max_tx_bytes, state.max_gas());
        let votes = state.last_votes(height);

        let app = self.app();
        let request = RequestPrepareProposal {
            max_tx_bytes,
            txs,
            local_last_commit: Some(ExtendedCommitInfo {
                round: 0,
                votes: votes
                    .iter()
                    .map(|v| ExtendedVoteInfo { validator: v.validator.clone(), block_id_flag: v.block_id_flag, ..Default::default() })
                    .collect(),
            }),
            misbehavior: Vec::new(),
            height,
            time: Some(time.into()),
            next_validators_hash: next_validators_hash.clone().into(),
            proposer_address: proposer.clone(),
        };
        let txs = call("PrepareProposal", || app.prepare_proposal(request)).txs;
        let size: i64 = txs.iter().map(|tx| mempool::framed(tx.len())).sum();
        ensure!(size <= max_tx_bytes, "PrepareProposal returned {size} bytes of transactions, asked for {max_tx_bytes}");

        let block_params = state.params.block.unwrap_or(BlockParams { max_bytes: -1, max_gas: -1 });
        let hashed = HashedParams { block_max_bytes: block_params.max_bytes, block_max_gas: block_params.max_gas };
        let header = Header {
            version: Some(Consensus { block: BLOCK_PROTOCOL, app: self.app_version }),
            chain_id: self.genesis.chain_id.clone(),
            height,
            time: Some(time.into()),
            last_block_id: state.block_id.clone(),
            // Nobody signs: the commit of every block is empty.
            last_commit_hash: merkle_root(&[]),
            data_hash: merkle_root(&txs.iter().map(|tx| Sha256::digest(tx).to_vec()).collect::<Vec<_>>()),
            validators_hash: hash_of(validators),
            next_validators_hash: next_validators_hash.clone(),
            consensus_hash: Sha256::digest(hashed.encode_to_vec()).to_vec(),
            app_hash: state.app_hash.to_vec(),
            last_results_hash: state.results_hash.clone(),
            evidence_hash: merkle_root(&[]),
            proposer_address: proposer.to_vec(),
        };
        let hash = tendermint::block::Header::try_from(header.clone()).context("block header")?.hash();
        let block = Block { header, hash: hash.as_bytes().to_vec().into(), txs };

        let request = RequestProcessProposal {
            txs: block.txs.clone(),
            proposed_last_commit: Some(CommitInfo { round: 0, votes }),
            misbehavior: Vec::new(),
            hash: block.hash.clone(),
            height,
            time: Some(time.into()),
            next_validators_hash: next_validators_hash.into(),
            proposer_address: proposer,
        };
        let status = call("ProcessProposal", || app.process_proposal(request)).status;
        ensure!(status == i32::from(ProposalStatus::Accept), "the application refuses its own proposal of block {height}");
        Ok(block)
    }

    /// Executes a block on top of the current state.
    fn finalize(&self, block: &Block) -> anyhow::Result<ResponseFinalizeBlock> {
        let header = &block.header;
        let votes = self.state.read().last_votes(header.height);
        let request = RequestFinalizeBlock {
            txs: block.txs.clone(),
            decided_last_commit: Some(CommitInfo { round: 0, votes }),
            misbehavior: Vec::new(),
            hash: block.hash.clone(),
            height: header.height,
            time: header.time,
            next_validators_hash: header.next_validators_hash.clone().into(),
            proposer_address: header.proposer_address.clone().into(),
        };
        let response = call("FinalizeBlock", || self.app().finalize_block(request));
        ensure!(
            response.tx_results.len() == block.txs.len(),
            "FinalizeBlock answered {} results for {} transactions",
            response.tx_results.len(),
            block.txs.len()
        );
        Ok(response)
    }

    /// Makes the executed block the current state.
    fn advance(&self, block: &Block, response: &ResponseFinalizeBlock) -> anyhow::Result<()> {
        let mut state = self.state.write();
        let height = block.header.height;
        state.height = height;
        state.time = block.header.time.context("block time")?.try_into()?;
        state.block_id = Some(block_id(block));
        state.app_hash = response.app_hash.clone();
        state.results_hash = results_hash(&response.tx_results);
        if let Some(changed) = &response.consensus_param_updates {
            update_params(&mut state.params, changed);
        }
        if !response.validator_updates.is_empty() {
            let mut set = state.validators(height + 1).to_vec();
            update_validators(&mut set, &response.validator_updates)?;
            if set.len() > 1 {
                tracing::warn!(
                    height,
                    "the network has {} validators now; this engine goes on to make blocks without their votes",
                    set.len()
                );
            }
            // As in CometBFT, in force from the block after the next.
            state.validators.insert(height + 2, set);
        }
        Ok(())
    }

    /// Checks a transaction and lets it wait for a block.
    ///
    /// # Errors
    /// CometBFT's message where it is not even checked.
    fn check_tx(&self, tx: Bytes) -> Result<ResponseCheckTx, String> {
        let hash: TxHash = Sha256::digest(&tx).into();
        let mut mempool = self.mempool.lock();
        mempool.admit(hash, &tx)?;
        let app = self.app();
        let response = call("CheckTx", || app.check_tx(check_request(&tx, CheckTxType::New)));
        if response.code == 0 {
            mempool.push(Waiting { hash, tx, gas: response.gas_wanted });
            self.wake.notify_one();
        } else {
            mempool.forget(&hash);
        }
        Ok(response)
    }
}

/// The state before the first block, from the genesis and the application's answer to it.
fn start<A: Application>(
    app: &A,
    genesis: &Genesis,
    info: &ResponseInfo,
    store: &mut Store,
    genesis_hash: &Bytes,
    first: i64,
) -> anyhow::Result<State> {
    let given = genesis.validators.as_deref().unwrap_or_default();
    ensure!(given.len() <= 1, "the genesis has {} validators: the solo engine runs networks of one", given.len());
    let mut params: ConsensusParams = genesis.consensus_params.clone().into();

    if let Some(start) = store.start() {
        ensure!(start.genesis == genesis_hash, "the genesis file is not the one that the chain in data/solo began with");
    }
    let response = match store.start() {
        Some(start) if info.last_block_height > 0 => start.response.clone(),
        None if info.last_block_height > 0 => {
            bail!("the application is at height {}, but data/solo holds no chain: it ran on another engine", info.last_block_height)
        }
        known => {
            let response = call("InitChain", || app.init_chain(init_chain(genesis, &params, given, first)));
            match known {
                Some(start) => {
                    ensure!(start.response.app_hash == response.app_hash, "InitChain answers another app hash than when the chain began")
                }
                None => store.begin(Start { genesis: genesis_hash.clone(), response: response.clone() })?,
            }
            response
        }
    };

    if let Some(changed) = &response.consensus_params {
        update_params(&mut params, changed);
    }
    let mut validators = given.to_vec();
    if !response.validators.is_empty() {
        validators.clear();
        update_validators(&mut validators, &response.validators)?;
    }
    ensure!(validators.len() == 1, "the genesis makes {} validators: the solo engine runs networks of exactly one", validators.len());
    let app_hash =
        if response.app_hash.is_empty() { hex::decode(&genesis.app_hash).context("genesis app_hash")?.into() } else { response.app_hash };
    Ok(State {
        height: first - 1,
        time: genesis.genesis_time,
        block_id: None,
        app_hash,
        results_hash: merkle_root(&[]),
        params,
        validators: BTreeMap::from([(first, validators)]),
    })
}

fn init_chain(genesis: &Genesis, params: &ConsensusParams, validators: &[validator::Info], first: i64) -> RequestInitChain {
    RequestInitChain {
        time: Some(genesis.genesis_time.into()),
        chain_id: genesis.chain_id.clone(),
        consensus_params: Some(params.clone()),
        validators: validators.iter().map(|v| ValidatorUpdate { pub_key: Some(v.pub_key.into()), power: v.power.into() }).collect(),
        app_state_bytes: match &genesis.app_state {
            serde_json::Value::Null => Bytes::new(),
            state => state.to_string().into(),
        },
        initial_height: first,
    }
}

fn request_info() -> RequestInfo {
    RequestInfo {
        version: COMETBFT_VERSION.into(),
        block_version: BLOCK_PROTOCOL,
        p2p_version: P2P_PROTOCOL,
        abci_version: ABCI_VERSION.into(),
    }
}

fn check_request(tx: &Bytes, kind: CheckTxType) -> RequestCheckTx {
    RequestCheckTx { tx: tx.clone(), r#type: kind.into() }
}

/// Calls into the application; see [`LastWord`].
fn call<T>(name: &'static str, f: impl FnOnce() -> T) -> T {
    let _last_word = LastWord(name);
    f()
}

fn block_id(block: &Block) -> BlockId {
    // Blocks are not split into parts here; the header's hash stands for the only one.
    let parts = PartSetHeader { total: 1, hash: block.hash.to_vec() };
    BlockId { hash: block.hash.to_vec(), part_set_header: Some(parts) }
}

fn merkle_root(leaves: &[Vec<u8>]) -> Vec<u8> {
    simple_hash_from_byte_vectors::<Sha256>(leaves).to_vec()
}

fn hash_of(validators: &[validator::Info]) -> Vec<u8> {
    validator::Set::without_proposer(validators.to_vec()).hash().as_bytes().to_vec()
}

/// The root over what is the same on every node.
fn results_hash(results: &[ExecTxResult]) -> Vec<u8> {
    let leaves: Vec<_> = results
        .iter()
        .map(|r| {
            let certain =
                ExecTxResult { code: r.code, data: r.data.clone(), gas_wanted: r.gas_wanted, gas_used: r.gas_used, ..Default::default() };
            certain.encode_to_vec()
        })
        .collect();
    merkle_root(&leaves)
}

fn update_params(params: &mut ConsensusParams, changed: &ConsensusParams) {
    fn set<T: Clone>(to: &mut Option<T>, from: &Option<T>) {
        if from.is_some() {
            to.clone_from(from);
        }
    }
    set(&mut params.block, &changed.block);
    set(&mut params.evidence, &changed.evidence);
    set(&mut params.validator, &changed.validator);
    set(&mut params.version, &changed.version);
    set(&mut params.abci, &changed.abci);
}

/// Sets powers, removes those whose power is 0, and sorts as CometBFT does.
fn update_validators(set: &mut Vec<validator::Info>, updates: &[ValidatorUpdate]) -> anyhow::Result<()> {
    for update in updates {
        let update: validator::Update = update.clone().try_into().context("validator update")?;
        let changed = validator::Info::new(update.pub_key, update.power);
        set.retain(|v| v.address != changed.address);
        if changed.power() > 0 {
            set.push(changed);
        }
    }
    set.sort_by_key(|v| (std::cmp::Reverse(v.power), v.address));
    Ok(())
}
