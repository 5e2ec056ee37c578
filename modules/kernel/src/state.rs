//! Reading and writing the state: [`Base`] is what is committed, [`View`] reads it with this block's writes on top,
//! [`Ctx`] writes.

use crate::{Bytes, Event, Fault, Gas, gas::cost};
use prost::{Message, Name};
#[expect(clippy::disallowed_types, reason = "looked up by key; whatever is listed is put in order first")]
use std::collections::HashMap;
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    ops::{Bound, Deref},
    sync::Arc,
};

/// First byte of a key of the flat state: a row, committed under the root.
pub const KIND_ROW: u8 = 0;
/// First byte of a key of the flat state: an index that only queries use, beside the tree.
pub const KIND_INDEX: u8 = 1;

/// One committed version of the state. A key is kind ‖ store id ‖ key inside the store.
pub trait Base: Send + Sync {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Fault>;
    /// Up to `limit` entries with `lo <= key < hi`, ascending, or descending when `reverse`.
    fn scan(&self, lo: &[u8], hi: &[u8], reverse: bool, limit: usize) -> Result<Vec<(Bytes, Bytes)>, Fault>;
}

/// What a block changes; None deletes.
pub type Writes = BTreeMap<Bytes, Option<Bytes>>;

/// A block's writes while it is executed. Reads of one key, which are most, go by hash; keys are put in order when
/// somebody asks for an order. In a block of transfers nobody does, and a search among keys in order would be a miss of
/// the processor's cache at each step.
#[derive(Default)]
#[expect(clippy::disallowed_types, reason = "as above")]
struct Overlay {
    values: HashMap<Bytes, Option<Bytes>>,
    order: RefCell<Order>,
}

/// All keys of the values, and perhaps some that were taken back since.
#[derive(Default)]
struct Order {
    keys: BTreeSet<Bytes>,
    /// Not among `keys` yet.
    fresh: Vec<Bytes>,
}

impl Overlay {
    fn get(&self, key: &[u8]) -> Option<&Option<Bytes>> {
        self.values.get(key)
    }

    /// Returns what stood there.
    fn insert(&mut self, key: Bytes, value: Option<Bytes>) -> Option<Option<Bytes>> {
        match self.values.get_mut(&key) {
            Some(slot) => Some(std::mem::replace(slot, value)),
            None => {
                self.order.get_mut().fresh.push(key.clone());
                self.values.insert(key, value)
            }
        }
    }

    fn remove(&mut self, key: &[u8]) {
        self.values.remove(key);
    }

    fn sort(&self) {
        let mut order = self.order.borrow_mut();
        let fresh = std::mem::take(&mut order.fresh);
        order.keys.extend(fresh);
    }

    fn writes(&self) -> Writes {
        self.values.iter().map(|(k, v)| (k.clone(), v.clone())).collect()
    }
}

/// The block that a view belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockInfo {
    pub chain_id: String,
    pub height: u64,
    /// Milliseconds since the epoch, from the block's header.
    pub time_ms: u64,
}

/// Reads one version of the state, with what has been written on top of it, and charges gas.
///
/// Send and not Sync (gas is a Cell): every thread and every query makes its own from a shared [`Base`].
pub struct View {
    base: Arc<dyn Base>,
    overlay: Overlay,
    gas: Gas,
    block: BlockInfo,
}

impl View {
    pub fn new(base: Arc<dyn Base>, block: BlockInfo, gas: Gas) -> Self {
        View { base, overlay: Overlay::default(), gas, block }
    }

    /// Block time, in milliseconds since the epoch: the only clock there is.
    pub fn time(&self) -> u64 {
        self.block.time_ms
    }

    pub fn height(&self) -> u64 {
        self.block.height
    }

    pub fn chain_id(&self) -> &str {
        &self.block.chain_id
    }

    pub fn block(&self) -> &BlockInfo {
        &self.block
    }

    pub fn gas(&self) -> &Gas {
        &self.gas
    }

    pub(crate) fn read(&self, key: &[u8]) -> Result<Option<Bytes>, Fault> {
        self.gas.charge(cost::READ, "ReadFlat")?;
        let value = match self.overlay.get(key) {
            Some(value) => value.clone(),
            None => self.base.get(key)?,
        };
        let size = key.len() + value.as_ref().map_or(0, Vec::len);
        self.gas.charge(cost::READ_BYTE * size as u64, "ReadPerByte")?;
        Ok(value)
    }

    /// Up to `limit` live entries in `[lo, hi)`. The newest write wins, deletions hide.
    pub(crate) fn scan(&self, lo: &[u8], hi: &[u8], reverse: bool, limit: usize) -> Result<Vec<(Bytes, Bytes)>, Fault> {
        let mut out = Vec::new();
        if lo >= hi || limit == 0 {
            return Ok(out);
        }
        self.overlay.sort();
        let order = self.overlay.order.borrow();
        let range = order.keys.range::<[u8], _>((Bound::Included(lo), Bound::Excluded(hi)));
        let range: Box<dyn Iterator<Item = &Bytes>> = if reverse { Box::new(range.rev()) } else { Box::new(range) };
        let mut written = range.filter_map(|key| Some((key, self.overlay.get(key)?))).peekable();
        let (mut lo, mut hi) = (lo.to_vec(), hi.to_vec());
        'fetch: loop {
            // Deletions in the overlay can hide what was fetched, so fetch again until the page is full.
            let want = limit - out.len();
            let stored = self.base.scan(&lo, &hi, reverse, want)?;
            let last_fetch = stored.len() < want;
            if let Some((key, _)) = stored.last() {
                if reverse {
                    hi = key.clone();
                } else {
                    lo = key.clone();
                    lo.push(0);
                }
            }
            for (key, value) in stored {
                while let Some((k, v)) = written.next_if(|(k, _)| if reverse { **k > key } else { **k < key }) {
                    self.push(&mut out, k, v.as_ref())?;
                    if out.len() == limit {
                        break 'fetch;
                    }
                }
                match written.next_if(|(k, _)| **k == key) {
                    Some((k, v)) => self.push(&mut out, k, v.as_ref())?,
                    None => self.push(&mut out, &key, Some(&value))?,
                }
                if out.len() == limit {
                    break 'fetch;
                }
            }
            if last_fetch {
                for (k, v) in written.by_ref() {
                    self.push(&mut out, k, v.as_ref())?;
                    if out.len() == limit {
                        break;
                    }
                }
                break;
            }
        }
        Ok(out)
    }

    fn push(&self, out: &mut Vec<(Bytes, Bytes)>, key: &Bytes, value: Option<&Bytes>) -> Result<(), Fault> {
        let size = key.len() + value.map_or(0, Vec::len);
        self.gas.charge(cost::NEXT + cost::READ_BYTE * size as u64, "IterNext")?;
        if let Some(value) = value {
            out.push((key.clone(), value.clone()));
        }
        Ok(())
    }
}

/// A [`View`] plus writes and events. Derefs to View, so whatever reads a View reads a Ctx.
///
/// Everything read from it is owned: no borrow of the state outlives a statement, so a loop may write.
pub struct Ctx {
    view: View,
    undo: Vec<(Bytes, Option<Option<Bytes>>)>,
    events: Vec<Event>,
    quiet: bool,
    rows_written: u64,
}

impl Deref for Ctx {
    type Target = View;
    fn deref(&self) -> &View {
        &self.view
    }
}

impl Ctx {
    pub fn new(view: View) -> Self {
        Ctx { view, undo: Vec::new(), events: Vec::new(), quiet: false, rows_written: 0 }
    }

    /// Announces a fact as a message of our protos.
    pub fn emit<M: Message + Name>(&mut self, event: &M) {
        if !self.quiet {
            self.events.push(Event::typed(event));
        }
    }

    /// Announces a fact as the Cosmos modules do.
    pub fn emit_plain(&mut self, kind: &'static str, attributes: impl FnOnce() -> Vec<(&'static str, String)>) {
        if !self.quiet {
            self.events.push(Event::Plain { kind, attributes: attributes() });
        }
    }

    /// Whether events are not kept, because nobody will ask for them.
    pub fn set_quiet(&mut self, quiet: bool) {
        self.quiet = quiet;
    }

    /// Adds an attribute to every event after the first `from`.
    pub fn mark_events(&mut self, from: usize, key: &'static str, value: &str) {
        let marked = self.events.drain(from..).map(|event| Event::Marked { event: Box::new(event), key, value: value.into() });
        let marked: Vec<_> = marked.collect();
        self.events.extend(marked);
    }

    pub fn events(&self) -> &[Event] {
        &self.events
    }

    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Starts the next transaction (or hook) of the block: its own gas, nothing to undo. Within [`Ctx::atomic`] only where
    /// that began right after another call of this.
    pub fn begin(&mut self, gas_limit: u64) {
        self.undo.clear();
        self.view.gas.reset(gas_limit);
    }

    /// How many rows and index entries were written or deleted, ever: what a hook measures its work in.
    pub fn rows_written(&self) -> u64 {
        self.rows_written
    }

    /// A copy of what was written so far.
    pub fn writes(&self) -> Writes {
        self.view.overlay.writes()
    }

    pub fn into_writes(self) -> Writes {
        self.view.overlay.values.into_iter().collect()
    }

    pub(crate) fn write(&mut self, key: Bytes, value: Option<Bytes>) -> Result<(), Fault> {
        match &value {
            Some(v) if v.is_empty() => return Err(Fault::Corrupt("an empty value cannot be proved")),
            Some(v) => {
                self.gas.charge(cost::WRITE, "WriteFlat")?;
                self.gas.charge(cost::WRITE_BYTE * (key.len() + v.len()) as u64, "WritePerByte")?;
            }
            None => self.gas.charge(cost::DELETE, "Delete")?,
        }
        self.rows_written += 1;
        let old = self.view.overlay.insert(key.clone(), value);
        self.undo.push((key, old));
        Ok(())
    }

    /// Keeps writes and events only if `f` succeeds; gas stays spent. Nests.
    ///
    /// ```compile_fail,E0283
    /// # use kernel::*; struct E; impl From<Fault> for E { fn from(_: Fault) -> E { E } }
    /// # fn g(_: &mut Ctx) -> Result<(), Fault> { Ok(()) }
    /// // The closure must name its error when the result is followed by `?`.
    /// fn f(ctx: &mut Ctx) -> Result<(), E> { ctx.atomic(|ctx| { g(ctx)?; Ok(()) })?; Ok(()) }
    /// ```
    pub fn atomic<T, E>(&mut self, f: impl FnOnce(&mut Ctx) -> Result<T, E>) -> Result<T, E> {
        let (undo, events) = (self.undo.len(), self.events.len());
        let result = f(self);
        if result.is_err() {
            for (key, old) in self.undo.drain(undo..).rev() {
                match old {
                    Some(value) => drop(self.view.overlay.insert(key, value)),
                    None => self.view.overlay.remove(&key),
                }
            }
            self.events.truncate(events);
        }
        result
    }
}
