//! The tree against its oracle, the `jmt` crate.

use std::collections::BTreeMap;

use ics23::HostFunctionsManager;
use jmt::{KeyHash, Sha256Jmt, mock::MockTreeStore};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};

use super::super::{
    Error,
    proof::{prove, specs, specs_json},
    tree::{Hash, Leaf, Tree, Update, sha256},
};

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads")
}

fn sorted(mut batch: Vec<Update>) -> Vec<Update> {
    batch.sort_unstable_by(|a, b| a.key().cmp(b.key()));
    batch
}

/// Key hashes that often share long prefixes, so that deep and one-sided subtrees come and go.
fn clustered(rng: &mut StdRng) -> Hash {
    let mut key = [0u8; 32];
    let from = *[0, 1, 3, 8, 31].choose(rng).expect("not empty");
    key[from] = 1 << rng.gen_range(0..8);
    key[31] ^= rng.gen_range(0..4);
    key
}

#[test]
fn roots_are_those_of_jmt_over_thousands_of_random_blocks() {
    for seed in 0..60 {
        let mut rng = StdRng::seed_from_u64(seed);
        let store = MockTreeStore::default();
        let oracle = Sha256Jmt::new(&store);
        let (mut tree, mut live) = (Tree::default(), BTreeMap::<Hash, Vec<u8>>::new());
        let (span, size) = (rng.gen_range(1..400u32), rng.gen_range(1..60));
        let mut size_of_tree = Tree::build(&[]).1.made;
        for version in 0..50 {
            let mut block = BTreeMap::new();
            for _ in 0..rng.gen_range(0..=size) {
                let key = match seed % 3 {
                    0 => clustered(&mut rng),
                    _ => sha256(&rng.gen_range(0..span).to_be_bytes()),
                };
                // Some seeds shrink the tree to nothing, others grow it.
                let value = rng.gen_bool([0.4, 0.6, 0.9][version as usize / 17]).then(|| vec![rng.gen_range(0..3); 5]);
                block.insert(key, value);
            }
            let batch = block.iter().map(|(key, value)| match value {
                Some(value) => Update::Put(Leaf::new(*key, value)),
                None => Update::Delete(*key),
            });
            let (next, cost) = tree.update(&batch.collect::<Vec<_>>());
            size_of_tree = size_of_tree + cost.made - cost.dropped;
            tree = next;
            let set = block.iter().map(|(key, value)| (KeyHash(*key), value.clone()));
            let (root, changes) = oracle.put_value_set(set, version).expect("jmt updates");
            store.write_tree_update_batch(changes).expect("jmt writes");
            assert_eq!(tree.root(), root.0, "seed {seed}, version {version}");

            for (key, value) in block {
                match value {
                    Some(value) => live.insert(key, value),
                    None => live.remove(&key),
                };
            }
            let leaves: Vec<Leaf> = live.iter().map(|(key, value)| Leaf::new(*key, value)).collect();
            let (built, cost) = Tree::build(&leaves);
            assert_eq!(built.root(), root.0, "built, seed {seed}, version {version}");
            assert_eq!(cost.made - cost.dropped, size_of_tree, "bytes counted, seed {seed}, version {version}");
        }
    }
}

#[test]
fn large_batches_give_the_root_of_jmt_with_any_number_of_threads() {
    let mut rng = StdRng::seed_from_u64(7);
    let store = MockTreeStore::default();
    let oracle = Sha256Jmt::new(&store);
    let mut trees = [Tree::default(), Tree::default()];
    let pools = [pool(1), pool(8)];
    for version in 0..6 {
        let block: BTreeMap<u32, Option<Vec<u8>>> =
            (0..5_000).map(|_| (rng.gen_range(0..20_000), rng.gen_bool(0.7).then(|| rng.r#gen::<[u8; 8]>().to_vec()))).collect();
        let set = block.iter().map(|(key, value)| (KeyHash(sha256(&key.to_be_bytes())), value.clone()));
        let (root, changes) = oracle.put_value_set(set, version).expect("jmt updates");
        store.write_tree_update_batch(changes).expect("jmt writes");
        for (tree, pool) in trees.iter_mut().zip(&pools) {
            let batch = block.iter().map(|(key, value)| Update::new(&key.to_be_bytes(), value.as_deref())).collect();
            *tree = pool.install(|| tree.update(&sorted(batch)).0);
            assert_eq!(tree.root(), root.0);
        }
    }
}

/// Proves every key of a tree and keys around them with ours and with jmt, compares, verifies, and forges.
fn compare_proofs(rows: &BTreeMap<Vec<u8>, Vec<u8>>, absent: &[Vec<u8>]) -> [usize; 3] {
    let store = MockTreeStore::default();
    let oracle = Sha256Jmt::new(&store);
    let hashed: BTreeMap<Hash, (&Vec<u8>, &Vec<u8>)> = rows.iter().map(|row| (sha256(row.0), row)).collect();
    for (hash, (key, _)) in &hashed {
        store.put_key_preimage(KeyHash(*hash), key);
    }
    let set = hashed.iter().map(|(hash, (_, value))| (KeyHash(*hash), Some(value.to_vec())));
    let changes = oracle.put_value_set(set, 0).expect("jmt updates").1;
    store.write_tree_update_batch(changes).expect("jmt writes");
    let batch = rows.iter().map(|(key, value)| Update::new(key, Some(value))).collect();
    let tree = Tree::default().update(&sorted(batch)).0;
    let find = |hash: &Hash| {
        let (key, value) = hashed[hash];
        Ok((key.clone(), value.clone()))
    };

    let (ours, theirs, root) = (&specs()[0], jmt::ics23_spec(), tree.root().to_vec());
    assert_eq!(*ours, theirs);
    let mut sides = [0; 3];
    for key in rows.keys().chain(absent) {
        let (value, proof) = prove(&tree, key, find).expect("proved");
        assert_eq!((value.clone(), proof.clone()), oracle.get_with_ics23_proof(key.clone(), 0).expect("jmt proves"));
        match value {
            Some(value) => {
                let verify = |value: &[u8]| ics23::verify_membership::<HostFunctionsManager>(&proof, &theirs, &root, key, value);
                assert!(verify(&value));
                assert!(!verify(b"another value"));
            }
            None => {
                let verify = |key: &[u8]| ics23::verify_non_membership::<HostFunctionsManager>(&proof, &theirs, &root, key);
                assert!(verify(key));
                assert!(rows.keys().all(|present| !verify(present)));
                let Some(ics23::commitment_proof::Proof::Nonexist(absence)) = proof.proof else { panic!("absence") };
                sides[usize::from(absence.left.is_some()) + 2 * usize::from(absence.right.is_some()) - 1] += 1;
            }
        }
    }
    sides
}

#[test]
fn proofs_of_presence_and_absence_are_those_of_jmt() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut sides = [0; 3];
    for size in [1, 2, 3, 4, 5, 6, 9, 17, 100] {
        let rows = (0..size).map(|_| (rng.r#gen::<[u8; 6]>().to_vec(), rng.r#gen::<[u8; 9]>().to_vec())).collect();
        let absent: Vec<Vec<u8>> = (0..200).map(|_| rng.r#gen::<[u8; 7]>().to_vec()).collect();
        for (sum, count) in sides.iter_mut().zip(compare_proofs(&rows, &absent)) {
            *sum += count;
        }
    }
    assert!(sides.iter().all(|count| *count > 20), "left of all, right of all, between: {sides:?}");
}

#[test]
fn an_empty_tree_proves_nothing() {
    let unread = |_: &Hash| -> Result<(Vec<u8>, Vec<u8>), Error> { unreachable!("no rows") };
    assert!(matches!(prove(&Tree::default(), b"key", unread), Err(Error::NothingToProve)));
}

#[test]
fn a_row_that_differs_from_its_leaf_is_not_proved() {
    let tree = Tree::default().update(&[Update::new(b"key", Some(b"value"))]).0;
    let proof = prove(&tree, b"key", |_| Ok((b"key".to_vec(), b"other".to_vec())));
    assert!(matches!(proof, Err(Error::Corrupt(_))));
}

#[test]
fn the_root_of_a_known_state_never_changes() {
    let batch = (0..1000u32).map(|i| Update::new(&i.to_be_bytes(), Some(&i.to_le_bytes()))).collect();
    let root = Tree::default().update(&sorted(batch)).0.root();
    assert_eq!(hex::encode(root), "4f0bff474a9a845c68a473ee3a0adc8ecdcf5cf72331788dbb2059d7ca22ce0d");
}

#[test]
fn the_published_specs_are_those_that_verify() {
    let published: Vec<ics23::ProofSpec> = serde_json::from_value(specs_json()).expect("protobuf JSON");
    assert_eq!(published, specs());
}
