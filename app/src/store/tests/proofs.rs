//! Proofs through both levels, as a light client verifies them.

use ics23::{CommitmentProof, HostFunctionsManager};
use jmt::{KeyHash, Sha256Jmt, mock::MockTreeStore};
use prost::Message;

use super::{super::*, block, commit, delete, open, open_with, put, tuning};

/// Verifies a proof as the light client of a wallet or of IBC does: key under store, store under app hash.
pub fn verify(proof: &Proof, store: &str, key: &[u8], app_hash: &Hash) {
    let [first, second] = &proof.ops[..] else { panic!("two operations") };
    assert_eq!((&first.r#type[..], &first.key[..]), ("ics23:jmt", key));
    assert_eq!((&second.r#type[..], &second.key[..]), ("ics23:jmt", store.as_bytes()));
    let [inner, outer] = [first, second].map(|op| CommitmentProof::decode(&op.data[..]).expect("a proof"));
    let [inner_spec, outer_spec] = specs();
    let root = root(&inner);
    let holds = match &proof.value {
        Some(value) => ics23::verify_membership::<HostFunctionsManager>(&inner, &inner_spec, &root, key, value),
        None => ics23::verify_non_membership::<HostFunctionsManager>(&inner, &inner_spec, &root, key),
    };
    assert!(holds, "{store} {key:?}");
    let name = store.as_bytes();
    assert!(ics23::verify_membership::<HostFunctionsManager>(&outer, &outer_spec, &app_hash.to_vec(), name, &root));
}

fn root(proof: &CommitmentProof) -> Vec<u8> {
    use ics23::commitment_proof::Proof::{Exist, Nonexist};
    let exist = match proof.proof.as_ref().expect("a proof") {
        Exist(proof) => proof,
        Nonexist(proof) => proof.left.as_ref().or(proof.right.as_ref()).expect("a neighbour"),
        _ => panic!("neither batched nor compressed"),
    };
    ics23::calculate_existence_root::<HostFunctionsManager>(exist).expect("a root")
}

#[test]
fn the_app_hash_is_the_root_over_names_and_roots_of_the_stores_that_have_keys() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let hash = commit(&store, 1, &[put(b"\0\x01k", b"v"), put(b"\0\x02a", b"1"), put(b"\0\x02b", b"2")].into());
    let tree = |rows: &[(&[u8], &[u8])]| {
        let memory = MockTreeStore::default();
        let set = rows.iter().map(|(key, value)| (KeyHash(sha256(key)), Some(value.to_vec())));
        Sha256Jmt::new(&memory).put_value_set(set, 0).expect("jmt updates").0.0
    };
    let (acc, bank) = (tree(&[(b"k", b"v")]), tree(&[(b"a", b"1"), (b"b", b"2")]));
    assert_eq!(hash, tree(&[(b"acc", &acc), (b"bank", &bank)]));
    assert_eq!(hex::encode(hash), "83988f7eda4540260efd67c5ccb76397a4e526478fb862a2e7aa36053aec03ed");
}

#[test]
fn indexes_are_not_under_the_app_hash() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let hash = commit(&store, 1, &[put(b"\0\x01k", b"v")].into());
    assert_eq!(commit(&store, 2, &[put(b"\x01\x01k", b"")].into()), hash);
    assert_eq!(store.latest().get(b"\x01\x01k").expect("read"), Some(vec![]));
}

#[test]
fn a_key_that_is_deleted_or_written_later_is_proved_as_it_was() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let hashes = [
        commit(&store, 1, &[put(b"\0\x01a", b"1"), put(b"\0\x01b", b"1")].into()),
        commit(&store, 2, &[put(b"\0\x01a", b"2"), delete(b"\0\x01b")].into()),
        commit(&store, 3, &[delete(b"\0\x01a"), put(b"\0\x01c", b"3")].into()),
    ];
    let values: [[Option<&[u8]>; 3]; 3] = [[Some(b"1"), Some(b"1"), None], [Some(b"2"), None, None], [None, None, Some(b"3")]];
    let reopened = || {
        drop(store);
        open(dir.path())
    };
    let store = reopened();
    for (height, (hash, values)) in (1..).zip(hashes.iter().zip(values)) {
        for (key, value) in ["a", "b", "c"].iter().zip(values) {
            let proof = store.prove(height, "acc", key.as_bytes()).expect("proved");
            assert_eq!(proof.value.as_deref(), value);
            verify(&proof, "acc", key.as_bytes(), hash);
        }
    }
}

#[test]
fn what_cannot_be_proved_says_why() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open_with(dir.path(), Tuning { proof_versions: 2, ..tuning() });
    assert!(matches!(store.prove(0, "acc", b"a"), Err(Error::Unavailable(_))));
    for height in 1..=4 {
        commit(&store, height, &block(height));
    }
    let say = |result: Result<Proof, Error>| result.expect_err("refused").to_string();
    assert_eq!(say(store.prove(2, "acc", b"a")), "version 2 does not exist: proofs are kept for heights 3 to 4");
    assert_eq!(say(store.prove(5, "acc", b"a")), "version 5 does not exist: proofs are kept for heights 3 to 4");
    assert_eq!(say(store.prove(4, "gov", b"a")), "no such store: gov");
    assert!(matches!(store.prove(4, "market", b"a"), Err(Error::NothingToProve)));
}

#[test]
fn trees_of_older_versions_stay_within_their_memory() {
    let dir = tempfile::tempdir().expect("a directory");
    let tuning = Tuning { proof_bytes: 20_000, ..tuning() };
    let mut store = open_with(dir.path(), tuning.clone());
    for height in 1..=100 {
        commit(&store, height, &block(height));
        assert!(store.stats().old_tree_bytes <= 20_000);
    }
    for reopened in [false, true] {
        if reopened {
            drop(store);
            store = open_with(dir.path(), tuning.clone());
        }
        let stats = store.stats();
        assert!(stats.old_tree_bytes <= 20_000);
        assert!((2..99).contains(&stats.oldest_proof) && stats.oldest_query == 1, "{stats:?}");
        let hash = store.stage(&Writes::new()).expect("staged").app_hash();
        verify(&store.prove(100, "acc", b"any").expect("proved"), "acc", b"any", &hash);
        store.prove(stats.oldest_proof, "bank", b"any").expect("proved");
    }
}

#[test]
fn any_number_of_threads_gives_the_same_app_hashes() {
    let run = |threads: usize| {
        let dir = tempfile::tempdir().expect("a directory");
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| {
            let store = open(dir.path());
            let blocks = (1..=8u64).map(|height| {
                let key = |i: u64| [&[0, 1 + (i % 2) as u8], &(i * 7 % 5_000).to_be_bytes()[..]].concat();
                let value = |i: u64| (i * height % 11 > 2).then(|| (i * height).to_be_bytes().to_vec());
                commit(&store, height, &(0..3_000 * height).map(|i| (key(i), value(i))).collect())
            });
            blocks.collect::<Vec<Hash>>()
        })
    };
    assert_eq!(run(1), run(8));
}
