//! ICS23 proofs out of a [`Tree`], equal to those of the `jmt` crate, and the specs that verify them.
//!
//! Only hashes are in the tree, so the keys and values of proved rows are looked up by the caller.

use ics23::{CommitmentProof, ExistenceProof, HashOp, InnerOp, InnerSpec, LeafOp, LengthOp, NonExistenceProof, ProofSpec};
use prost::Message;
use serde_json::json;

use super::{
    Error,
    tree::{EMPTY, Hash, INNER_PREFIX, LEAF_PREFIX, Leaf, Tree, bit, sha256},
};

/// Type of both proof operations, as clients of the `jmt` crate know it.
pub const OP_TYPE: &str = "ics23:jmt";

/// One level of a proof, as an ABCI `ProofOp` carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofOp {
    /// [`OP_TYPE`].
    pub r#type: String,
    pub key: Vec<u8>,
    /// An encoded `cosmos.ics23.v1.CommitmentProof`.
    pub data: Vec<u8>,
}

impl ProofOp {
    pub fn new(key: &[u8], proof: &CommitmentProof) -> Self {
        ProofOp { r#type: OP_TYPE.into(), key: key.into(), data: proof.encode_to_vec() }
    }
}

/// What a version of the state says about one key, with its proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The value, or none if the key is absent and its absence is what is proved.
    pub value: Option<Vec<u8>>,
    /// Two: the key under its store's root, then the store's name and root under the app hash.
    pub ops: Vec<ProofOp>,
}

/// Proves `key` present or absent. `row` finds key and value by key hash, for `key` and its neighbours.
/// An empty tree proves nothing: `Error::NothingToProve`.
pub fn prove<F>(tree: &Tree, key: &[u8], row: F) -> Result<(Option<Vec<u8>>, CommitmentProof), Error>
where
    F: Fn(&Hash) -> Result<(Vec<u8>, Vec<u8>), Error>,
{
    use ics23::commitment_proof::Proof::{Exist, Nonexist};
    if tree.is_empty() {
        return Err(Error::NothingToProve);
    }
    let hash = sha256(key);
    let (siblings, leaf) = tree.path(&hash);
    let (value, proof) = match leaf {
        Some(leaf) if leaf.key == hash => {
            let proof = existence(&siblings, leaf, row(&hash)?)?;
            (Some(proof.value.clone()), Exist(proof))
        }
        _ => {
            let neighbour = |hash: Option<Hash>| match hash.map(|hash| (hash, tree.path(&hash))) {
                Some((hash, (siblings, Some(leaf)))) => existence(&siblings, leaf, row(&hash)?).map(Some),
                _ => Ok(None),
            };
            let (left, right) = tree.neighbours(&hash);
            let absent = NonExistenceProof { key: key.into(), left: neighbour(left)?, right: neighbour(right)? };
            (None, Nonexist(absent))
        }
    };
    Ok((value, CommitmentProof { proof: Some(proof) }))
}

fn existence(siblings: &[Hash], leaf: Leaf, (key, value): (Vec<u8>, Vec<u8>)) -> Result<ExistenceProof, Error> {
    if Leaf::new(sha256(&key), &value) != leaf {
        return Err(Error::Corrupt("a row and its leaf in the tree differ"));
    }
    let step = |(depth, sibling): (usize, &Hash)| {
        let mut op = InnerOp { hash: HashOp::Sha256.into(), prefix: INNER_PREFIX.into(), suffix: Vec::new() };
        if bit(&leaf.key, depth) == 1 { &mut op.prefix } else { &mut op.suffix }.extend_from_slice(sibling);
        op
    };
    let path = siblings.iter().enumerate().rev().map(step).collect();
    Ok(ExistenceProof { key, value, leaf: Some(leaf_op()), path })
}

fn leaf_op() -> LeafOp {
    LeafOp {
        hash: HashOp::Sha256.into(),
        prehash_key: HashOp::Sha256.into(),
        prehash_value: HashOp::Sha256.into(),
        length: LengthOp::NoPrefix.into(),
        prefix: LEAF_PREFIX.into(),
    }
}

/// The specs of the two operations of a [`Proof`], in their order. Both are that of the `jmt` crate.
pub fn specs() -> [ProofSpec; 2] {
    let spec = ProofSpec {
        leaf_spec: Some(leaf_op()),
        inner_spec: Some(InnerSpec {
            child_order: vec![0, 1],
            child_size: 32,
            min_prefix_length: INNER_PREFIX.len() as i32,
            max_prefix_length: INNER_PREFIX.len() as i32,
            empty_child: EMPTY.into(),
            hash: HashOp::Sha256.into(),
        }),
        min_depth: 0,
        max_depth: 64,
        prehash_key_before_comparison: true,
    };
    [spec.clone(), spec]
}

/// [`specs`] in protobuf's JSON with the names Cosmos SDK uses, to publish for light clients.
pub fn specs_json() -> serde_json::Value {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let spec = json!({
        "leaf_spec": {
            "hash": "SHA256",
            "prehash_key": "SHA256",
            "prehash_value": "SHA256",
            "length": "NO_PREFIX",
            "prefix": STANDARD.encode(LEAF_PREFIX),
        },
        "inner_spec": {
            "child_order": [0, 1],
            "child_size": 32,
            "min_prefix_length": INNER_PREFIX.len(),
            "max_prefix_length": INNER_PREFIX.len(),
            "empty_child": STANDARD.encode(EMPTY),
            "hash": "SHA256",
        },
        "min_depth": 0,
        "max_depth": 64,
        "prehash_key_before_comparison": true,
    });
    json!([spec, spec])
}
