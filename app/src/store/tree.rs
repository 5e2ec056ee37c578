//! The commitment: a sparse Merkle tree in memory whose roots are those of the `jmt` crate with SHA-256.
//!
//! A leaf is known by the SHA-256 of its key. A subtree without leaves hashes to [`EMPTY`], one with a single leaf to
//! that leaf's hash, any other to the hash of its halves, split by the next bit of the key hashes. Nodes are immutable
//! and shared between versions, so an old version costs only what changed since.
//!
//! Up to [`BUCKET`] neighbouring leaves live in one allocation and their inner hashes are computed when needed: this
//! saves more than a third of the memory of one node per hash. The shape depends on the set of leaves alone.
//! Keys, values and proofs are not known here: see `proof.rs`.

use std::{ops::AddAssign, sync::Arc};

use sha2::{Digest, Sha256};

/// A SHA-256 digest.
pub type Hash = [u8; 32];

/// Hash of a subtree without leaves, from the `jmt` crate.
pub const EMPTY: Hash = *b"SPARSE_MERKLE_PLACEHOLDER_HASH__";
/// Domain separator of leaf hashes, from the `jmt` crate.
pub const LEAF_PREFIX: &[u8] = b"JMT::LeafNode";
/// Domain separator of inner hashes, from the `jmt` crate, spelled as there.
pub const INNER_PREFIX: &[u8] = b"JMT::IntrnalNode";

/// Most leaves in one allocation. Measured with 1M keys, 10,000 updates a version: at 6, 95 bytes per key and 845 per
/// update of an older version; at 4, 110 and 827; at 8, 87 and 885. Time is the same, as long as the processor has
/// instructions for SHA-256.
const BUCKET: usize = 6;
/// From this many updates or leaves on the two halves are worked on in parallel; fewer are done before a thread wakes.
pub const PARALLEL: usize = 256;

/// Allocation header of an `Arc`: two counters.
const ARC: usize = 16;

pub fn sha256(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

fn inner(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update(INNER_PREFIX).chain_update(left).chain_update(right).finalize().into()
}

/// A key's place in the tree and the hash over key and value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    pub key: Hash,
    pub hash: Hash,
}

impl Leaf {
    pub fn new(key: Hash, value: &[u8]) -> Self {
        let hash = Sha256::new().chain_update(LEAF_PREFIX).chain_update(key).chain_update(sha256(value)).finalize();
        Leaf { key, hash: hash.into() }
    }
}

/// A leaf to write or a key hash to delete. A batch is sorted by key hash and has each key once.
pub enum Update {
    Put(Leaf),
    Delete(Hash),
}

impl Update {
    pub fn new(key: &[u8], value: Option<&[u8]>) -> Self {
        let key = sha256(key);
        value.map_or(Update::Delete(key), |value| Update::Put(Leaf::new(key, value)))
    }

    pub fn key(&self) -> &Hash {
        match self {
            Update::Put(leaf) => &leaf.key,
            Update::Delete(key) => key,
        }
    }
}

/// Bytes of nodes that a batch made and those it took out of the newest version. An estimate for metrics and limits:
/// the allocator's overhead is not in it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    pub made: usize,
    pub dropped: usize,
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Cost) {
        self.made += other.made;
        self.dropped += other.dropped;
    }
}

/// One version of a tree. Cheap to clone.
#[derive(Clone)]
pub struct Tree(Node);

#[derive(Clone)]
struct Node {
    hash: Hash,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    /// At most [`BUCKET`] leaves, ascending.
    Bucket(Arc<[Leaf]>),
    /// More than [`BUCKET`] leaves, split by the bit at this depth.
    Branch(Arc<[Node; 2]>),
}

impl Default for Tree {
    fn default() -> Self {
        Tree(Node { hash: EMPTY, kind: Kind::Bucket(Arc::new([])) })
    }
}

impl Tree {
    /// A tree of leaves, ascending by key, each once.
    pub fn build(leaves: &[Leaf]) -> (Self, Cost) {
        let (node, cost) = build(leaves, 0);
        (Tree(node), cost)
    }

    pub fn root(&self) -> Hash {
        self.0.hash
    }

    pub fn is_empty(&self) -> bool {
        self.0.hash == EMPTY
    }

    /// The tree after a batch, ascending by key, each once.
    pub fn update(&self, batch: &[Update]) -> (Self, Cost) {
        debug_assert!(batch.is_sorted_by(|a, b| a.key() < b.key()));
        let (node, cost) = self.0.update(batch, 0);
        (Tree(node), cost)
    }

    /// Hashes beside the way from the root (first) to where `key` is or would be, and the leaf found there: that of
    /// `key`, or of the one key that shares the subtree, or none.
    pub fn path(&self, key: &Hash) -> (Vec<Hash>, Option<Leaf>) {
        let mut siblings = Vec::with_capacity(32);
        let mut node = &self.0;
        loop {
            match &node.kind {
                Kind::Branch(halves) => {
                    let side = bit(key, siblings.len());
                    siblings.push(halves[1 - side].hash);
                    node = &halves[side];
                }
                Kind::Bucket(leaves) => {
                    let mut leaves = &leaves[..];
                    while leaves.len() > 1 {
                        let depth = siblings.len();
                        let halves = split(leaves, depth, |leaf| &leaf.key);
                        let side = bit(key, depth);
                        siblings.push(hash([halves.0, halves.1][1 - side], depth + 1));
                        leaves = [halves.0, halves.1][side];
                    }
                    return (siblings, leaves.first().copied());
                }
            }
        }
    }

    /// Key hashes of the nearest leaves left and right of a key hash that has no leaf.
    pub fn neighbours(&self, key: &Hash) -> (Option<Hash>, Option<Hash>) {
        (self.0.nearest(key, 0, 0), self.0.nearest(key, 1, 0))
    }
}

impl Node {
    fn bytes(&self) -> usize {
        match &self.kind {
            Kind::Bucket(leaves) => ARC + size_of_val(&**leaves),
            Kind::Branch(halves) => ARC + size_of_val(&**halves),
        }
    }

    fn update(&self, batch: &[Update], depth: usize) -> (Node, Cost) {
        if batch.is_empty() {
            return (self.clone(), Cost::default());
        }
        let (node, mut cost) = match &self.kind {
            Kind::Bucket(leaves) => {
                let merged = merge(leaves, batch);
                if merged == **leaves {
                    return (self.clone(), Cost::default());
                }
                build(&merged, depth)
            }
            Kind::Branch(halves) => {
                let (left, right) = split(batch, depth, Update::key);
                let (left, right) = join(batch.len(), || halves[0].update(left, depth + 1), || halves[1].update(right, depth + 1));
                if left.0.hash == halves[0].hash && right.0.hash == halves[1].hash {
                    return (self.clone(), Cost::default());
                }
                branch(left, right)
            }
        };
        cost.dropped += self.bytes();
        (node, cost)
    }

    /// The leaf nearest to `key` on the side given (0: below, 1: above).
    fn nearest(&self, key: &Hash, side: usize, depth: usize) -> Option<Hash> {
        match &self.kind {
            Kind::Bucket(leaves) => {
                let at = leaves.partition_point(|leaf| leaf.key < *key);
                if side == 0 { leaves[..at].last() } else { leaves[at..].first() }.map(|leaf| leaf.key)
            }
            Kind::Branch(halves) => {
                let own = bit(key, depth);
                let found = halves[own].nearest(key, side, depth + 1);
                if own == side { found } else { found.or_else(|| halves[side].edge(1 - side)) }
            }
        }
    }

    /// The outermost leaf on the side given (0: first, 1: last).
    fn edge(&self, side: usize) -> Option<Hash> {
        match &self.kind {
            Kind::Bucket(leaves) => if side == 0 { leaves.first() } else { leaves.last() }.map(|leaf| leaf.key),
            Kind::Branch(halves) => halves[side].edge(side).or_else(|| halves[1 - side].edge(side)),
        }
    }
}

/// The bit that decides at this depth.
pub fn bit(key: &Hash, depth: usize) -> usize {
    usize::from(key[depth / 8] >> (7 - depth % 8) & 1)
}

fn split<T>(items: &[T], depth: usize, key: impl Fn(&T) -> &Hash) -> (&[T], &[T]) {
    items.split_at(items.partition_point(|item| bit(key(item), depth) == 0))
}

pub fn join<A: Send, B: Send>(size: usize, a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send) -> (A, B) {
    if size < PARALLEL { (a(), b()) } else { rayon::join(a, b) }
}

/// Hash of the subtree at `depth` that holds these leaves.
fn hash(leaves: &[Leaf], depth: usize) -> Hash {
    match leaves {
        [] => EMPTY,
        [leaf] => leaf.hash,
        _ => {
            let (left, right) = split(leaves, depth, |leaf| &leaf.key);
            inner(&hash(left, depth + 1), &hash(right, depth + 1))
        }
    }
}

fn build(leaves: &[Leaf], depth: usize) -> (Node, Cost) {
    if leaves.len() <= BUCKET {
        let node = Node { hash: hash(leaves, depth), kind: Kind::Bucket(leaves.into()) };
        let cost = Cost { made: node.bytes(), dropped: 0 };
        return (node, cost);
    }
    let (left, right) = split(leaves, depth, |leaf| &leaf.key);
    let (left, right) = join(leaves.len(), || build(left, depth + 1), || build(right, depth + 1));
    branch(left, right)
}

/// Puts two halves together; if few leaves remain, into one bucket.
fn branch((left, mut cost): (Node, Cost), (right, more): (Node, Cost)) -> (Node, Cost) {
    cost += more;
    let node = match (&left.kind, &right.kind) {
        (Kind::Bucket(a), Kind::Bucket(b)) if a.len() + b.len() <= BUCKET => {
            cost.dropped += left.bytes() + right.bytes();
            let leaves = [&a[..], &b[..]].concat();
            let hash = match &leaves[..] {
                [] => EMPTY,
                [leaf] => leaf.hash,
                _ => inner(&left.hash, &right.hash),
            };
            Node { hash, kind: Kind::Bucket(leaves.into()) }
        }
        _ => Node { hash: inner(&left.hash, &right.hash), kind: Kind::Branch(Arc::new([left, right])) },
    };
    cost.made += node.bytes();
    (node, cost)
}

/// The leaves after a batch, ascending.
fn merge(leaves: &[Leaf], batch: &[Update]) -> Vec<Leaf> {
    let mut merged = Vec::with_capacity(leaves.len() + batch.len());
    let mut old = leaves.iter().peekable();
    for update in batch {
        while let Some(leaf) = old.next_if(|leaf| leaf.key < *update.key()) {
            merged.push(*leaf);
        }
        old.next_if(|leaf| leaf.key == *update.key());
        if let Update::Put(leaf) = update {
            merged.push(*leaf);
        }
    }
    merged.extend(old);
    merged
}
