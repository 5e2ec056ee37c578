//! Views over committed rows and a block's writes, transactions and their undoing, gas, and pages of lists, against a
//! `BTreeMap` as the model.
#![allow(clippy::disallowed_methods)] // tests are their own `app`

use kernel::{BlockInfo, Ctx, Fault, Gas, Index, MemBase, Number, Page, Registry, Table, View, cost};
use proptest::prelude::*;
use proto::cosmos::base::query::v1beta1::PageRequest;
use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

struct Rows {
    table: Table<u64, Number>,
    by_value: Index<u64, u64>,
    newest: Index<Reverse<u64>, u64>,
}

fn rows() -> Rows {
    let ns = Registry::default().claim("test", 1);
    let mut table = Table::new(&ns, 0);
    Rows {
        by_value: table.queue(&ns, 1, |_, v: &Number| Some(v.0)),
        newest: table.index(&ns, 2, |k, v| (v.0 % 2 == 0).then_some(Reverse(*k))),
        table,
    }
}

fn ctx(base: MemBase) -> Ctx {
    Ctx::new(View::new(Arc::new(base), BlockInfo::default(), Gas::unlimited()))
}

/// Applies what is to be committed, then what is only written; None deletes.
fn state(rows: &Rows, committed: &[(u64, Option<u64>)], written: &[(u64, Option<u64>)]) -> (Ctx, BTreeMap<u64, u64>) {
    let (mut base, mut model) = (MemBase::default(), BTreeMap::new());
    let mut c = ctx(base.clone());
    for (i, (key, value)) in committed.iter().chain(written).enumerate() {
        if i == committed.len() {
            base.apply(c.into_writes());
            c = ctx(base.clone());
        }
        match value {
            Some(value) => {
                rows.table.save(&mut c, key, &Number(*value)).unwrap();
                model.insert(*key, *value);
            }
            None => {
                rows.table.remove(&mut c, key).unwrap();
                model.remove(key);
            }
        }
    }
    (c, model)
}

fn plain(rows: Vec<(u64, Number)>) -> Vec<(u64, u64)> {
    rows.into_iter().map(|(k, v)| (k, v.0)).collect()
}

fn changes() -> impl Strategy<Value = Vec<(u64, Option<u64>)>> {
    prop::collection::vec((0..40u64, prop::option::of(0..9u64)), 0..60)
}

proptest! {
    #[test]
    fn scans_see_the_newest_write_and_no_deleted_row(committed in changes(), written in changes(), after in prop::option::of(0..40u64), limit in 1..45usize) {
        let rows = rows();
        let (c, model) = state(&rows, &committed, &written);
        for key in 0..40 {
            prop_assert_eq!(rows.table.get(&c, &key).unwrap().map(|v| v.0), model.get(&key).copied());
        }
        let expected: Vec<_> = model.iter().filter(|(k, _)| after.is_none_or(|a| **k > a)).take(limit).map(|(k, v)| (*k, *v)).collect();
        prop_assert_eq!(plain(rows.table.page(&c, after.as_ref(), limit).unwrap()), expected);
    }

    #[test]
    fn indexes_hold_exactly_what_the_rows_say(committed in changes(), written in changes(), limit in 1..45usize, max in 0..9u64) {
        let rows = rows();
        let (c, model) = state(&rows, &committed, &written);
        let mut by_value: Vec<_> = model.iter().map(|(k, v)| (*v, *k)).collect();
        by_value.sort_unstable();
        let keys: Vec<_> = by_value.iter().map(|(_, k)| *k).collect();
        prop_assert_eq!(rows.by_value.page(&c, &(), limit).unwrap(), keys.iter().take(limit).copied().collect::<Vec<_>>());
        prop_assert_eq!(rows.by_value.last(&c, &(), limit).unwrap(), keys.iter().rev().take(limit).copied().collect::<Vec<_>>());
        let due: Vec<_> = by_value.iter().filter(|(v, _)| *v <= max).take(limit).copied().collect();
        prop_assert_eq!(rows.by_value.upto(&c, &max, limit).unwrap(), due);
        let newest: Vec<_> = model.iter().rev().filter(|(_, v)| **v % 2 == 0).map(|(k, _)| *k).collect();
        prop_assert_eq!(rows.newest.page(&c, &(), 100).unwrap(), newest);
    }

    #[test]
    fn pages_by_key_visit_every_accepted_row_once_in_either_direction(committed in changes(), written in changes(), limit in 1..9u64, reverse: bool) {
        let rows = rows();
        let (c, model) = state(&rows, &committed, &written);
        let mut expected: Vec<_> = model.into_iter().filter(|(_, v)| *v != 3).collect();
        if reverse {
            expected.reverse();
        }
        let (mut got, mut key) = (Vec::new(), Vec::new());
        loop {
            let request = PageRequest { key, offset: 0, limit, count_total: false, reverse };
            let (page, next) = rows.table.list(&c, &(), &Page::new(Some(&request)).unwrap(), |_, v| v.0 != 3).unwrap();
            prop_assert!(page.len() as u64 <= limit);
            got.extend(plain(page));
            if next.next_key.is_empty() {
                break;
            }
            key = next.next_key;
        }
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn a_failed_transaction_leaves_no_trace(committed in changes(), before in changes(), failed in changes()) {
        let rows = rows();
        let (mut c, model) = state(&rows, &committed, &before);
        let writes = c.writes();
        let result: Result<(), Fault> = c.atomic(|c| {
            for (key, value) in &failed {
                match value {
                    Some(value) => rows.table.save(c, key, &Number(*value))?,
                    None => rows.table.remove(c, key)?,
                }
            }
            c.emit_plain("fact", Vec::new);
            Err(Fault::Corrupt("told to fail"))
        });
        prop_assert!(result.is_err());
        prop_assert!(c.events().is_empty());
        prop_assert_eq!(c.writes(), writes);
        prop_assert_eq!(plain(rows.table.page(&c, None, 100).unwrap()), model.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn an_inner_failure_undoes_only_the_inner_transaction() {
    let rows = rows();
    let mut c = ctx(MemBase::default());
    let result: Result<(), Fault> = c.atomic(|c| {
        rows.table.save(c, &1, &Number(1))?;
        c.emit_plain("outer", Vec::new);
        let inner: Result<(), Fault> = c.atomic(|c| {
            rows.table.save(c, &1, &Number(2))?;
            c.emit_plain("inner", Vec::new);
            Err(Fault::Corrupt("told to fail"))
        });
        assert!(inner.is_err());
        Ok(())
    });
    result.unwrap();
    assert_eq!(rows.table.get(&c, &1).unwrap(), Some(Number(1)));
    assert_eq!(c.events().len(), 1);
}

#[test]
fn an_outer_failure_undoes_inner_successes() {
    let rows = rows();
    let mut c = ctx(MemBase::default());
    let result: Result<(), Fault> = c.atomic(|c| {
        c.atomic(|c| rows.table.save(c, &1, &Number(1)))?;
        Err(Fault::Corrupt("told to fail"))
    });
    assert!(result.is_err());
    assert!(c.writes().is_empty());
}

#[test]
fn gas_stays_spent_after_a_failure_and_running_out_is_sticky() {
    let rows = rows();
    let mut c = ctx(MemBase::default());
    c.begin(10_000);
    let failed: Result<(), Fault> = c.atomic(|c| {
        rows.table.save(c, &1, &Number(1))?;
        Err(Fault::Corrupt("told to fail"))
    });
    assert!(failed.is_err());
    let used = c.gas().used();
    assert!(used > cost::WRITE, "{used}");
    let spend = |c: &Ctx| c.gas().charge(20_000, "test");
    assert_eq!(spend(&c), Err(Fault::OutOfGas { location: "test", wanted: 10_000, used: used + 20_000 }));
    assert!(rows.table.get(&c, &1).is_err(), "whatever follows fails too");
    c.begin(10_000);
    assert_eq!(c.gas().used(), 0);
    assert_eq!(rows.table.get(&c, &1).unwrap(), None);
}

#[test]
fn reading_and_writing_cost_what_cosmos_sdk_asks() {
    let ns = Registry::default().claim("test", 1);
    let table: Table<u64, Number> = Table::new(&ns, 0);
    let mut c = ctx(MemBase::default());
    // A key is kind, store, collection and eight bytes; a value is eight bytes.
    table.save(&mut c, &1, &Number(1)).unwrap();
    assert_eq!(c.gas().used(), cost::WRITE + cost::WRITE_BYTE * 19);
    c.begin(u64::MAX);
    table.get(&c, &1).unwrap();
    assert_eq!(c.gas().used(), cost::READ + cost::READ_BYTE * 19);
    c.begin(u64::MAX);
    table.remove(&mut c, &1).unwrap();
    assert_eq!(c.gas().used(), cost::DELETE);
}

#[test]
fn the_first_page_counts_the_total_and_a_page_with_a_limit_does_not() {
    let rows = rows();
    let committed: Vec<_> = (0..250).map(|k| (k, Some(k))).collect();
    let (c, _) = state(&rows, &committed, &[]);
    let list = |request: Option<PageRequest>| {
        let (page, next) = rows.table.list(&c, &(), &Page::new(request.as_ref()).unwrap(), |_, _| true).unwrap();
        (page.iter().map(|(k, _)| *k).collect::<Vec<_>>(), next)
    };
    let (page, next) = list(None);
    assert_eq!((page.len(), next.total, next.next_key.clone()), (100, 250, 100u64.to_be_bytes().to_vec()));
    let (page, next) = list(Some(PageRequest { limit: 3, ..Default::default() }));
    assert_eq!((page, next.total, next.next_key), (vec![0, 1, 2], 0, 3u64.to_be_bytes().to_vec()));
    let (page, next) = list(Some(PageRequest { limit: 3, offset: 248, count_total: true, ..Default::default() }));
    assert_eq!((page, next.total, next.next_key), (vec![248, 249], 250, vec![]));
    let (page, _) = list(Some(PageRequest { limit: 2, offset: 1, reverse: true, ..Default::default() }));
    assert_eq!(page, vec![248, 247]);
    let (page, _) = list(Some(PageRequest { limit: 5000, ..Default::default() }));
    assert_eq!(page.len(), 250);
    assert!(Page::new(Some(&PageRequest { offset: 1, key: vec![1], ..Default::default() })).is_err());
}

#[test]
fn a_number_is_no_prefix_of_a_longer_one() {
    let ns = Registry::default().claim("test", 1);
    let table: Table<(u64, u64), Number> = Table::new(&ns, 0);
    let mut c = ctx(MemBase::default());
    table.save(&mut c, &(12, 1), &Number(1)).unwrap();
    table.save(&mut c, &(123, 1), &Number(2)).unwrap();
    assert_eq!(table.page_under(&c, &12u64, None, 10).unwrap(), vec![((12, 1), Number(1))]);
}

#[test]
#[should_panic(expected = "store a/2 is taken")]
fn a_store_name_is_claimed_once() {
    let mut registry = Registry::default();
    registry.claim("a", 1);
    registry.claim("a", 2);
}

#[test]
#[should_panic(expected = "two collections under 0")]
fn a_prefix_belongs_to_one_collection() {
    let ns = Registry::default().claim("test", 1);
    let _first: Table<u64, Number> = Table::new(&ns, 0);
    let _second: Table<u64, Number> = Table::new(&ns, 0);
}
