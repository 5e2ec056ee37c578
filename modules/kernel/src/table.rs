//! Collections. Rows and their indexes are written by `save` and `remove` alone, so an index cannot drift.

use crate::page::MAX_EXAMINED;
use crate::state::{KIND_INDEX, KIND_ROW};
use crate::{Bytes, Ctx, Fault, Key, Page, Value, View};
use proto::cosmos::base::query::v1beta1::PageResponse;
use std::{cell::RefCell, marker::PhantomData};

/// The right to one module's keys. Neither Clone nor Copy: [`Registry::claim`] makes one per name.
///
/// ```compile_fail,E0599
/// let mut r = kernel::Registry::default(); let ns = r.claim("a", 1); let _two = (ns.clone(), ns);
/// ```
#[derive(Debug)]
pub struct Namespace {
    store: u8,
    used: RefCell<Vec<(u8, u8)>>,
}

/// Hands out namespaces, one per store. Only `app` may call [`Registry::claim`]: clippy's `disallowed-methods` refuses it elsewhere.
#[derive(Debug, Default)]
pub struct Registry(Vec<(&'static str, u8)>);

impl Registry {
    pub fn claim(&mut self, store: &'static str, id: u8) -> Namespace {
        assert!(!self.0.iter().any(|(n, i)| *n == store || *i == id), "store {store}/{id} is taken");
        self.0.push((store, id));
        Namespace { store: id, used: RefCell::default() }
    }

    /// Names and ids of the stores that were claimed.
    pub fn stores(&self) -> &[(&'static str, u8)] {
        &self.0
    }
}

impl Namespace {
    /// kind ‖ store id ‖ n: what follows the first two bytes is the key inside the store, and n its first byte.
    fn prefix(&self, kind: u8, n: u8) -> Bytes {
        let taken = self.used.borrow().contains(&(kind, n));
        assert!(!taken, "two collections under {n}");
        self.used.borrow_mut().push((kind, n));
        vec![kind, self.store, n]
    }
}

/// Most keys fit, so that they do not grow while they are put together.
const KEY_SIZE: usize = 48;

fn join<K: Key>(prefix: &[u8], key: &K) -> Bytes {
    let mut out = Vec::with_capacity(KEY_SIZE);
    out.extend(prefix);
    key.put(&mut out);
    out
}

/// The first key after everything that starts with `prefix`.
fn after_prefix(prefix: &[u8]) -> Bytes {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    unreachable!("a prefix begins with its kind, which is 0 or 1")
}

/// One row.
pub struct Item<V> {
    key: Bytes,
    _v: PhantomData<fn() -> V>,
}

impl<V: Value> Item<V> {
    pub fn new(ns: &Namespace, n: u8) -> Self {
        Item { key: ns.prefix(KIND_ROW, n), _v: PhantomData }
    }

    pub fn get(&self, view: &View) -> Result<Option<V>, Fault> {
        view.read(&self.key)?.map(|b| V::decode(&b).ok_or(Fault::Corrupt("item"))).transpose()
    }

    pub fn save(&self, ctx: &mut Ctx, value: &V) -> Result<(), Fault> {
        ctx.write(self.key.clone(), Some(value.encode()))
    }

    pub fn remove(&self, ctx: &mut Ctx) -> Result<(), Fault> {
        ctx.write(self.key.clone(), None)
    }
}

/// The entries to remove and to add when a row changes; None when the index does not change.
type IndexFn<K, V> = Box<dyn Fn(&K, Option<&V>, Option<&V>) -> Option<(Option<Bytes>, Option<Bytes>)> + Send + Sync>;

/// Rows by key, and the indexes that follow them.
pub struct Table<K, V> {
    rows: Bytes,
    indexes: Vec<IndexFn<K, V>>,
    _kv: PhantomData<fn() -> (K, V)>,
}

impl<K: Key + 'static, V: Value + 'static> Table<K, V> {
    pub fn new(ns: &Namespace, n: u8) -> Self {
        Table { rows: ns.prefix(KIND_ROW, n), indexes: Vec::new(), _kv: PhantomData }
    }

    /// An index that messages or hooks iterate (a queue): committed under the root like any row.
    pub fn queue<I: Key + 'static>(&mut self, ns: &Namespace, n: u8, f: fn(&K, &V) -> Option<I>) -> Index<I, K> {
        self.add_index(ns.prefix(KIND_ROW, n), f, Tail::whole())
    }

    /// An index that only queries use: beside the tree.
    pub fn index<I: Key + 'static>(&mut self, ns: &Namespace, n: u8, f: fn(&K, &V) -> Option<I>) -> Index<I, K> {
        self.add_index(ns.prefix(KIND_INDEX, n), f, Tail::whole())
    }

    /// As [`Table::index`], with entries that do not repeat what the index key says of the row's key.
    pub fn index_with<I: Key + 'static>(&mut self, ns: &Namespace, n: u8, f: fn(&K, &V) -> Option<I>, tail: Tail<I, K>) -> Index<I, K> {
        self.add_index(ns.prefix(KIND_INDEX, n), f, tail)
    }

    fn add_index<I: Key + 'static>(&mut self, prefix: Bytes, f: fn(&K, &V) -> Option<I>, tail: Tail<I, K>) -> Index<I, K> {
        let (p, put) = (prefix.clone(), tail.put);
        self.indexes.push(Box::new(move |k, old, new| {
            let (was, is) = (old.and_then(|v| f(k, v)), new.and_then(|v| f(k, v)));
            let entry = |i: I| {
                let mut key = join(&p, &i);
                put(k, &mut key);
                key
            };
            (was != is).then(|| (was.map(entry), is.map(entry)))
        }));
        Index { prefix, tail }
    }

    pub fn get(&self, view: &View, key: &K) -> Result<Option<V>, Fault> {
        view.read(&join(&self.rows, key))?.map(|b| V::decode(&b).ok_or(Fault::Corrupt("row"))).transpose()
    }

    /// Reads part of a row, without decoding the rest: `f` is given the row's bytes.
    pub fn peek<T>(&self, view: &View, key: &K, f: impl FnOnce(&[u8]) -> Option<T>) -> Result<Option<T>, Fault> {
        view.read(&join(&self.rows, key))?.map(|b| f(&b).ok_or(Fault::Corrupt("row"))).transpose()
    }

    pub fn has(&self, view: &View, key: &K) -> Result<bool, Fault> {
        Ok(view.read(&join(&self.rows, key))?.is_some())
    }

    pub fn save(&self, ctx: &mut Ctx, key: &K, value: &V) -> Result<(), Fault> {
        self.put(ctx, key, Some(value))
    }

    pub fn remove(&self, ctx: &mut Ctx, key: &K) -> Result<(), Fault> {
        self.put(ctx, key, None)
    }

    fn put(&self, ctx: &mut Ctx, key: &K, value: Option<&V>) -> Result<(), Fault> {
        let old = if self.indexes.is_empty() { None } else { self.get(ctx, key)? };
        self.replace(ctx, key, old.as_ref(), value)
    }

    /// As [`Table::save`] (or [`Table::remove`] when `new` is None), for a caller that has just read the row and hands it
    /// over as `old`: spares the indexes a second read.
    pub fn replace(&self, ctx: &mut Ctx, key: &K, old: Option<&V>, new: Option<&V>) -> Result<(), Fault> {
        for (remove, add) in self.indexes.iter().filter_map(|f| f(key, old, new)) {
            if let Some(entry) = remove {
                ctx.write(entry, None)?;
            }
            if let Some(entry) = add {
                ctx.write(entry, Some(vec![1]))?;
            }
        }
        ctx.write(join(&self.rows, key), new.map(V::encode))
    }

    /// Up to `limit` rows after `after` (from the start when None), in key order.
    pub fn page(&self, view: &View, after: Option<&K>, limit: usize) -> Result<Vec<(K, V)>, Fault> {
        self.page_under(view, &(), after, limit)
    }

    /// As [`Table::page`], of the rows whose keys begin with `part`.
    pub fn page_under<P: Key>(&self, view: &View, part: &P, after: Option<&K>, limit: usize) -> Result<Vec<(K, V)>, Fault> {
        let prefix = join(&self.rows, part);
        let lo = after.map_or(prefix.clone(), |k| {
            let mut lo = join(&self.rows, k);
            lo.push(0);
            lo
        });
        let rows = view.scan(&lo, &after_prefix(&prefix), false, limit)?;
        rows.iter().map(|(k, v)| self.decode(k, v)).collect()
    }

    fn decode(&self, key: &[u8], value: &[u8]) -> Result<(K, V), Fault> {
        let k = K::take(&mut &key[self.rows.len()..]).ok_or(Fault::Corrupt("key"))?;
        Ok((k, V::decode(value).ok_or(Fault::Corrupt("row"))?))
    }

    /// A client's page of the rows under `part` that `keep` accepts.
    pub fn list<P: Key>(
        &self,
        view: &View,
        part: &P,
        page: &Page,
        keep: impl Fn(&K, &V) -> bool,
    ) -> Result<(Vec<(K, V)>, PageResponse), Fault> {
        list(view, &join(&self.rows, part), page, |k, v| {
            let (k, v) = self.decode(k, v)?;
            Ok(keep(&k, &v).then_some((k, v)))
        })
    }
}

/// A typed handle on one index of a table: read only, but for what is set aside.
pub struct Index<I, K> {
    prefix: Bytes,
    tail: Tail<I, K>,
}

/// What follows the index key in an entry, so that the row's key can be read from both.
pub struct Tail<I, K> {
    pub put: fn(&K, &mut Bytes),
    pub take: fn(&I, &mut &[u8]) -> Option<K>,
}

impl<I, K: Key> Tail<I, K> {
    /// The row's key.
    fn whole() -> Self {
        Tail { put: |key, out| key.put(out), take: |_, b| K::take(b) }
    }
}

impl<I: Key, K: Key + 'static> Index<I, K> {
    fn decode(&self, key: &[u8]) -> Result<(I, K), Fault> {
        let mut rest = &key[self.prefix.len()..];
        let mut read = || {
            let index = I::take(&mut rest)?;
            let key = (self.tail.take)(&index, &mut rest)?;
            Some((index, key))
        };
        read().ok_or(Fault::Corrupt("index"))
    }

    fn entry(&self, index: &I, key: &K) -> Bytes {
        let mut entry = join(&self.prefix, index);
        (self.tail.put)(key, &mut entry);
        entry
    }

    /// Whether the row stands under this index key.
    pub fn has(&self, view: &View, index: &I, key: &K) -> Result<bool, Fault> {
        Ok(view.read(&self.entry(index, key))?.is_some())
    }

    /// Up to `limit` keys of the rows that stand under `part`, a whole index key or the first parts of one.
    pub fn page<P: Key>(&self, view: &View, part: &P, limit: usize) -> Result<Vec<K>, Fault> {
        let prefix = join(&self.prefix, part);
        let rows = view.scan(&prefix, &after_prefix(&prefix), false, limit)?;
        rows.iter().map(|(k, _)| Ok(self.decode(k)?.1)).collect()
    }

    /// As [`Index::page`], from the end.
    pub fn last<P: Key>(&self, view: &View, part: &P, limit: usize) -> Result<Vec<K>, Fault> {
        let prefix = join(&self.prefix, part);
        let rows = view.scan(&prefix, &after_prefix(&prefix), true, limit)?;
        rows.iter().map(|(k, _)| Ok(self.decode(k)?.1)).collect()
    }

    /// In index order, up to and including `max`: what is due in a queue. Costs what it returns.
    pub fn upto(&self, view: &View, max: &I, limit: usize) -> Result<Vec<(I, K)>, Fault> {
        let rows = view.scan(&self.prefix, &after_prefix(&join(&self.prefix, max)), false, limit)?;
        rows.iter().map(|(k, _)| self.decode(k)).collect()
    }

    /// Takes an entry off a queue whatever its row says: for an item that cannot be handled because its row cannot be read.
    pub fn drop_entry(&self, ctx: &mut Ctx, index: &I, key: &K) -> Result<(), Fault> {
        ctx.write(self.entry(index, key), None)
    }

    /// A client's page of the rows under `part` that `keep` accepts, in index order.
    pub fn list<P: Key, V: Value + 'static>(
        &self,
        view: &View,
        table: &Table<K, V>,
        part: &P,
        page: &Page,
        keep: impl Fn(&K, &V) -> bool,
    ) -> Result<(Vec<(K, V)>, PageResponse), Fault> {
        list(view, &join(&self.prefix, part), page, |k, _| {
            let (_, k) = self.decode(k)?;
            let v = table.get(view, &k)?.ok_or(Fault::Corrupt("index entry without row"))?;
            Ok(keep(&k, &v).then_some((k, v)))
        })
    }
}

/// The shared walk of lists: bounded in what it returns and in what it looks at. The page key is the rest of the first
/// key of the next page after `prefix`.
fn list<T>(
    view: &View,
    prefix: &[u8],
    page: &Page,
    accept: impl Fn(&[u8], &[u8]) -> Result<Option<T>, Fault>,
) -> Result<(Vec<T>, PageResponse), Fault> {
    const CHUNK: usize = 128;
    let (mut lo, mut hi) = (prefix.to_vec(), after_prefix(prefix));
    if !page.key.is_empty() {
        let mut from = prefix.to_vec();
        from.extend(&page.key);
        if page.reverse {
            from.push(0);
            hi = from;
        } else {
            lo = from;
        }
    }
    let (mut out, mut skip, mut total, mut next_key, mut examined) = (Vec::new(), page.offset, 0u64, Vec::new(), 0);
    'walk: loop {
        let rows = view.scan(&lo, &hi, page.reverse, CHUNK)?;
        for (key, value) in &rows {
            let full = out.len() as u64 == page.limit;
            // A total is counted up to the same bound as the page itself.
            if examined == MAX_EXAMINED || (full && !page.count_total) {
                if next_key.is_empty() {
                    next_key = key[prefix.len()..].to_vec();
                }
                break 'walk;
            }
            examined += 1;
            let Some(row) = accept(key, value)? else { continue };
            total += 1;
            if skip > 0 {
                skip -= 1;
            } else if !full {
                out.push(row);
            } else if next_key.is_empty() {
                next_key = key[prefix.len()..].to_vec();
            }
        }
        match rows.last() {
            Some((key, _)) if rows.len() == CHUNK => {
                if page.reverse {
                    hi = key.clone();
                } else {
                    lo = key.clone();
                    lo.push(0);
                }
            }
            _ => break,
        }
    }
    Ok((out, Page::response(next_key, if page.count_total { total } else { 0 })))
}
