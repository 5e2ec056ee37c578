//! Simulating transactions: beside the mempool's state, which it must not touch, and with what clients leave out.

mod chain;

use chain::*;
use client::keyring::AccountKey;
use client::sign::{SignMode, SignerData, encode, sign_bytes, single_mode};
use proto::Any;
use proto::cosmos::bank::v1beta1::MsgSend;
use proto::cosmos::tx::v1beta1::Tx;
use serde_json::{Value, json};

fn send(from: u32, amount: u64) -> Any {
    any(&MsgSend { from_address: address(from), to_address: address(30), amount: coins(amount) })
}

fn signed(signer: u32, sequence: u64, messages: Vec<Any>) -> Tx {
    let mut tx = unsigned(messages);
    let secret = key(signer);
    let data = SignerData { chain_id: CHAIN.into(), account_number: u64::from(signer) + 1, sequence };
    tx.auth_info.as_mut().unwrap().signer_infos =
        vec![info(&AccountKey::Single(secret.public_key()), single_mode(SignMode::Direct), sequence)];
    tx.signatures = vec![secret.sign(&sign_bytes(&tx, SignMode::Direct, &data).unwrap()).to_vec()];
    tx
}

fn simulate(chain: &Chain, tx: &Tx) -> Result<Value, String> {
    use base64::Engine;
    let bytes = base64::prelude::BASE64_STANDARD.encode(encode(tx));
    chain.query("/cosmos.tx.v1beta1.Service/Simulate", json!({ "tx_bytes": bytes }))
}

#[test]
fn a_simulation_between_checked_transactions_leaves_nothing_behind() {
    let chain = Chain::new(&[]);
    for sequence in 0..4 {
        // Few writes before many, and many before few.
        for (signer, messages) in [(0, 1), (1, 8)] {
            let tx = signed(signer, sequence, vec![send(signer, 5); messages]);
            for other in 0..3 {
                let next = if other < signer { sequence + 1 } else { sequence };
                let answer = simulate(&chain, &signed(other, if other == 2 { 0 } else { next }, vec![send(other, 7); 9 - messages]));
                assert!(answer.is_ok(), "{answer:?}");
            }
            let checked = chain.check(&encode(&tx));
            assert_eq!(checked.code, 0, "{}", checked.log);
        }
    }
    let first = chain.check(&encode(&signed(2, 0, vec![send(2, 1)])));
    assert_eq!(first.code, 0, "{}", first.log);
}

#[test]
fn fees_of_nothing_are_no_fee_and_not_a_mistake() {
    let chain = Chain::new(&[]);
    let mut tx = signed(0, 0, vec![send(0, 5)]);
    fee(&mut tx).amount = vec![proto::cosmos::base::v1beta1::Coin { denom: "uve".into(), amount: "0".into() }];
    tx.signatures = vec![Vec::new()];
    let answer = simulate(&chain, &tx).unwrap();
    assert!(answer["gas_info"]["gas_used"].as_str().unwrap().parse::<u64>().unwrap() > 20_000);
    assert_eq!(answer["gas_info"]["gas_wanted"], u64::MAX.to_string());
    // The mempool still wants its price.
    assert_eq!(chain.check(&encode(&tx)).code, 13);
}
