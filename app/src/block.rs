//! Executing transactions and blocks on a [`Ctx`]. Nothing here writes to disk.

use crate::ante::{self, Mode};
use crate::msg::module_of;
use crate::tx::CheckedTx;
use crate::verify::Verifier;
use crate::{Modules, Msg};
use kernel::{Ctx, Error, Event};
use prost::Message;
use proto::Any;
use proto::cosmos::base::abci::v1beta1::TxMsgData;
use std::collections::BTreeSet;
use tendermint_proto::v0_38::abci::{self as abci, EventAttribute, ExecTxResult};

/// What a transaction did.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    pub result: Option<Error>,
    pub responses: Vec<Any>,
    pub events: Vec<Tagged>,
    pub gas_wanted: u64,
    pub gas_used: u64,
}

/// An event and the index of the message that it belongs to.
pub type Tagged = (Event, Option<usize>);

/// Runs checks and, unless it is for the mempool, the messages. A failed check leaves nothing; a failed message leaves fee
/// and sequence. Checks alone have no events.
pub fn run_tx(on: &Modules, ctx: &mut Ctx, tx: &CheckedTx, mode: &Mode, verifier: &Verifier) -> Outcome {
    let execute = matches!(mode, Mode::Deliver | Mode::Simulate);
    let simulate = matches!(mode, Mode::Simulate);
    let unmetered = simulate || ctx.height() == 0;
    ctx.begin(if unmetered { u64::MAX } else { tx.fee.gas_limit });
    ctx.take_events();
    ctx.set_quiet(!execute);
    let mut out = Outcome { gas_wanted: if simulate { u64::MAX } else { tx.fee.gas_limit }, ..Outcome::default() };
    if let Err(e) = ctx.atomic(|ctx| ante::run(on, ctx, tx, mode, verifier)) {
        out.result = Some(e);
        out.gas_used = ctx.gas().used();
        return out;
    }
    out.events = ctx.take_events().into_iter().map(|e| (e, None)).collect();
    if execute {
        let executed = ctx.atomic(|ctx| -> Result<(Vec<Any>, Vec<Tagged>), Error> {
            let (mut responses, mut events) = (Vec::new(), Vec::new());
            for (index, (type_url, msg)) in tx.msgs.iter().enumerate() {
                responses.push(run_msg(on, ctx, index, type_url, msg, &mut events)?);
            }
            Ok((responses, events))
        });
        match executed {
            Ok((responses, events)) => {
                out.responses = responses;
                out.events.extend(events);
            }
            Err(e) => out.result = Some(e),
        }
    }
    out.gas_used = ctx.gas().used();
    out
}

fn run_msg(on: &Modules, ctx: &mut Ctx, index: usize, type_url: &str, msg: &Msg, events: &mut Vec<Tagged>) -> Result<Any, Error> {
    let sender = msg.signer()?;
    let response = msg
        .clone()
        .run(on, ctx)
        .map_err(|e| Error { log: format!("failed to execute message; message index: {index}: {}", e.log), ..e })?;
    let mut attributes = vec![("action", type_url.to_string()), ("sender", sender.to_string())];
    let module = module_of(type_url);
    if !module.is_empty() {
        attributes.push(("module", module.to_string()));
    }
    events.push((Event::Plain { kind: "message", attributes }, Some(index)));
    events.extend(ctx.take_events().into_iter().map(|e| (e, Some(index))));
    Ok(response)
}

/// Which attributes CometBFT indexes for searches. Part of no hash: each node chooses.
#[derive(Debug, Clone, Default)]
pub struct IndexEvents(BTreeSet<String>);

impl IndexEvents {
    /// `type.key` of each attribute to index. None at all means the default: every attribute but amounts, fees and
    /// message numbers, which nobody searches for and which take almost half of the index.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        IndexEvents(names.into_iter().collect())
    }

    fn has(&self, kind: &str, key: &str) -> bool {
        match self.0.is_empty() {
            true => !matches!(key, "amount" | "fee" | "msg_index"),
            false => self.0.contains(&format!("{kind}.{key}")),
        }
    }
}

/// The events as ABCI carries them.
pub fn abci_events(events: Vec<Tagged>, on: &IndexEvents) -> Vec<abci::Event> {
    events
        .into_iter()
        .map(|(event, index)| {
            let (r#type, attributes) = event.flatten();
            let tag = index.map(|i| ("msg_index".to_string(), i.to_string()));
            let attribute = |(key, value): (String, String)| EventAttribute { index: on.has(&r#type, &key), key, value };
            let attributes = attributes.into_iter().chain(tag).map(attribute).collect();
            abci::Event { r#type, attributes }
        })
        .collect()
}

impl Outcome {
    /// The bytes of `TxMsgData`.
    pub fn data(&self) -> Vec<u8> {
        TxMsgData { msg_responses: self.responses.clone(), ..TxMsgData::default() }.encode_to_vec()
    }

    pub fn into_result(self, on: &IndexEvents) -> ExecTxResult {
        let data = if self.result.is_none() { self.data().into() } else { Default::default() };
        let (code, log, codespace) = match self.result {
            Some(e) => (e.code, e.log, e.codespace.to_string()),
            None => (0, String::new(), String::new()),
        };
        ExecTxResult {
            code,
            data,
            log,
            info: String::new(),
            gas_wanted: i64::try_from(self.gas_wanted).unwrap_or(i64::MAX),
            gas_used: i64::try_from(self.gas_used).unwrap_or(i64::MAX),
            events: abci_events(self.events, on),
            codespace,
        }
    }
}
