//! One version of the whole commitment: a tree per store, and over them the root tree of store name → root.
//!
//! A store without keys is not in the root tree, so a binary that knows one more store computes the same app hash
//! until that store is written to.

use kernel::KIND_ROW;
use rayon::prelude::*;

use super::{
    Error,
    db::{STATE, Snap},
    tree::{Cost, Hash, Leaf, PARALLEL, Tree, Update, sha256},
};

/// Rows read before they are hashed in parallel.
const CHUNK: usize = 16_384;

/// A row: key of the flat state and value, or none to delete it.
pub type Row<'a> = (&'a [u8], Option<&'a [u8]>);

#[derive(Clone)]
pub struct Forest {
    /// In the order of the store list.
    pub trees: Vec<Tree>,
    pub root: Tree,
    /// Bytes of nodes of the version before that are not in this one.
    pub replaced: usize,
}

impl Forest {
    pub fn app_hash(&self) -> Hash {
        self.root.root()
    }

    /// The version after some rows, which are ascending and of stores in the list.
    pub fn update(&self, stores: &[(u8, &str)], rows: &[Row<'_>]) -> (Forest, Cost) {
        let mut next = Forest { replaced: 0, ..self.clone() };
        let mut batch = Vec::new();
        let mut total = Cost::default();
        for rows in rows.chunk_by(|(a, _), (b, _)| a[1] == b[1]) {
            let id = rows[0].0[1];
            let at = stores.iter().position(|(known, _)| *known == id).expect("a store in the list");
            let (tree, cost) = self.trees[at].update(&updates(rows));
            let name = sha256(stores[at].1.as_bytes());
            batch.push(match tree.is_empty() {
                true => Update::Delete(name),
                false => Update::Put(Leaf::new(name, &tree.root())),
            });
            next.trees[at] = tree;
            total += cost;
        }
        batch.sort_unstable_by(|a, b| a.key().cmp(b.key()));
        let (root, cost) = self.root.update(&batch);
        next.root = root;
        total += cost;
        (next, total)
    }

    /// The newest version out of its rows, with the number of keys per store and the bytes of all nodes.
    pub fn rebuild(stores: &[(u8, &str)], snap: &Snap) -> Result<(Forest, Vec<u64>, usize), Error> {
        let built = stores.par_iter().map(|(id, _)| {
            let mut rows = snap.rows(STATE, &[KIND_ROW, *id], &end(*id), false);
            let mut leaves = Vec::new();
            loop {
                let chunk = rows.by_ref().take(CHUNK).collect::<Result<Vec<_>, _>>()?;
                leaves.par_extend(chunk.par_iter().map(|(key, value)| Leaf::new(sha256(&key[2..]), value)));
                if chunk.len() < CHUNK {
                    break;
                }
            }
            leaves.par_sort_unstable_by_key(|leaf| leaf.key);
            let (tree, cost) = Tree::build(&leaves);
            Ok((tree, leaves.len() as u64, cost.made - cost.dropped))
        });
        let built = built.collect::<Result<Vec<_>, Error>>()?;
        let mut bytes: usize = built.iter().map(|(_, _, bytes)| bytes).sum();
        let keys = built.iter().map(|(_, keys, _)| *keys).collect();
        let mut leaves: Vec<Leaf> = stores
            .iter()
            .zip(&built)
            .filter(|(_, (tree, ..))| !tree.is_empty())
            .map(|((_, name), (tree, ..))| Leaf::new(sha256(name.as_bytes()), &tree.root()))
            .collect();
        leaves.sort_unstable_by_key(|leaf| leaf.key);
        let (root, cost) = Tree::build(&leaves);
        bytes += cost.made - cost.dropped;
        let trees = built.into_iter().map(|(tree, ..)| tree).collect();
        Ok((Forest { trees, root, replaced: 0 }, keys, bytes))
    }

    /// Stores that were empty in the version before and are not here.
    pub fn appeared<'a>(&self, before: &Forest, stores: &'a [(u8, &'static str)]) -> Vec<&'a (u8, &'static str)> {
        let trees = before.trees.iter().zip(&self.trees);
        stores.iter().zip(trees).filter(|(_, (old, new))| old.is_empty() && !new.is_empty()).map(|(store, _)| store).collect()
    }
}

/// The batch for one store's tree.
fn updates(rows: &[Row<'_>]) -> Vec<Update> {
    let update = |(key, value): &Row<'_>| Update::new(&key[2..], *value);
    if rows.len() < PARALLEL {
        let mut batch: Vec<Update> = rows.iter().map(update).collect();
        batch.sort_unstable_by(|a, b| a.key().cmp(b.key()));
        batch
    } else {
        let mut batch: Vec<Update> = rows.par_iter().with_min_len(PARALLEL / 4).map(update).collect();
        batch.par_sort_unstable_by(|a, b| a.key().cmp(b.key()));
        batch
    }
}

/// The first key after a store's rows.
fn end(id: u8) -> Vec<u8> {
    id.checked_add(1).map_or(vec![KIND_ROW + 1], |next| vec![KIND_ROW, next])
}
