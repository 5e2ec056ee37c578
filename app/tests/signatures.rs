//! Who has signed, how, and who pays: through CheckTx and FinalizeBlock, with the refusals that clients know.

mod chain;

use chain::*;
use client::keyring::AccountKey;
use client::keys::{PublicKey, SecretKey};
use client::sign::{SignMode, SignerData, combine, encode, sign_bytes, single_mode};
use proto::cosmos::bank::v1beta1::MsgSend;
use proto::cosmos::tx::v1beta1::{ModeInfo, Tx, mode_info};

fn send(from: &str, to: &str) -> proto::Any {
    any(&MsgSend { from_address: from.into(), to_address: to.into(), amount: coins(1000) })
}

fn data(chain: &Chain, address: &str) -> SignerData {
    let (account_number, sequence) = chain.numbers(address);
    SignerData { chain_id: CHAIN.into(), account_number, sequence }
}

/// Signed by these keys, in this order, each in its mode.
fn signed(chain: &Chain, mut tx: Tx, signers: &[(&SecretKey, SignMode)]) -> Vec<u8> {
    let auth = tx.auth_info.as_mut().unwrap();
    let numbers: Vec<_> = signers.iter().map(|(key, _)| data(chain, &key.address().to_string())).collect();
    auth.signer_infos = signers
        .iter()
        .zip(&numbers)
        .map(|((key, mode), data)| info(&AccountKey::Single(key.public_key()), single_mode(*mode), data.sequence))
        .collect();
    let signature = |((key, mode), data): (&(&SecretKey, SignMode), &SignerData)| key.sign(&sign_bytes(&tx, *mode, data).unwrap()).to_vec();
    let signatures = signers.iter().zip(&numbers).map(signature).collect();
    encode(&Tx { signatures, ..tx })
}

fn refusal(chain: &Chain, tx: &[u8]) -> (u32, String) {
    let answer = chain.check(tx);
    (answer.code, answer.log)
}

#[test]
fn a_transaction_may_be_signed_over_its_bytes_or_over_its_text() {
    let mut chain = Chain::new(&[]);
    for mode in [SignMode::Direct, SignMode::AminoJson] {
        let mut tx = unsigned(vec![send(&address(0), &address(1))]);
        body(&mut tx).memo = "<memo> & more".into();
        body(&mut tx).timeout_height = 1000;
        let tx = signed(&chain, tx, &[(&key(0), mode)]);
        assert_eq!(chain.check(&tx).code, 0);
        let result = chain.deliver(&tx);
        assert_eq!((result.code, result.log.as_str()), (0, ""));
    }
    assert_eq!(chain.balance(&address(1)), FUNDS + 2000);
}

#[test]
fn a_text_signature_of_another_memo_is_refused_with_the_numbers_to_check() {
    let chain = Chain::new(&[]);
    let tx = unsigned(vec![send(&address(0), &address(1))]);
    let bytes = signed(&chain, tx.clone(), &[(&key(0), SignMode::AminoJson)]);
    let mut other = <Tx as prost::Message>::decode(&bytes[..]).unwrap();
    body(&mut other).memo = "changed".into();
    let expected =
        format!("signature verification failed; please verify account number (1), sequence (0) and chain-id ({CHAIN}): unauthorized");
    assert_eq!(refusal(&chain, &encode(&other)), (4, expected));
}

#[test]
fn a_sign_mode_that_the_chain_does_not_have_is_refused() {
    let chain = Chain::new(&[]);
    let bytes = signed(&chain, unsigned(vec![send(&address(0), &address(1))]), &[(&key(0), SignMode::Direct)]);
    let mut tx = <Tx as prost::Message>::decode(&bytes[..]).unwrap();
    let textual = ModeInfo { sum: Some(mode_info::Sum::Single(mode_info::Single { mode: 2 })) };
    tx.auth_info.as_mut().unwrap().signer_infos[0].mode_info = Some(textual);
    let (code, log) = refusal(&chain, &encode(&tx));
    assert_eq!(code, 4);
    assert!(log.starts_with("signature verification failed; ") && log.contains("sign mode"), "{log}");
}

#[test]
fn several_signers_sign_in_the_order_of_the_messages_and_the_fee_payer_last() {
    let mut chain = Chain::new(&[]);
    let mut tx = unsigned(vec![send(&address(1), &address(2)), send(&address(0), &address(2))]);
    fee(&mut tx).payer = address(3);
    let (a, b, payer) = (key(0), key(1), key(3));
    let wrong = signed(&chain, tx.clone(), &[(&a, SignMode::AminoJson), (&b, SignMode::AminoJson), (&payer, SignMode::AminoJson)]);
    let (code, log) = refusal(&chain, &wrong);
    assert_eq!((code, log), (8, format!("pubKey does not match signer address {} with signer index: 0: invalid pubkey", address(1))));
    let few = signed(&chain, tx.clone(), &[(&b, SignMode::AminoJson), (&a, SignMode::AminoJson)]);
    assert_eq!(refusal(&chain, &few).0, 4);

    let right = signed(&chain, tx, &[(&b, SignMode::AminoJson), (&a, SignMode::Direct), (&payer, SignMode::AminoJson)]);
    let result = chain.deliver(&right);
    assert_eq!(result.code, 0, "{}", result.log);
    assert_eq!(attribute(&result, "tx", "fee_payer"), [address(3)]);
    let sequences: Vec<String> = [1, 0, 3].map(|i| format!("{}/0", address(i))).into();
    assert_eq!(attribute(&result, "tx", "acc_seq"), sequences);
    assert_eq!(chain.balance(&address(3)), FUNDS - 7500);
    assert_eq!((chain.balance(&address(0)), chain.balance(&address(2))), (FUNDS - 1000, FUNDS + 2000));
    assert_eq!([0, 1, 3].map(|i| chain.numbers(&address(i)).1), [1, 1, 1]);
}

fn multisig() -> (AccountKey, Vec<SecretKey>) {
    let members: Vec<SecretKey> = (10..13).map(key).collect();
    (AccountKey::Multi { threshold: 2, keys: members.iter().map(SecretKey::public_key).collect() }, members)
}

/// Signed by these members of the multisig key, each in its mode.
fn multisigned(chain: &Chain, mut tx: Tx, signing: &[(usize, SignMode)]) -> Vec<u8> {
    let (key, members) = multisig();
    let data = data(chain, &key.address().to_string());
    let part = |(member, mode): &(usize, SignMode)| -> (PublicKey, SignMode, Vec<u8>) {
        let secret = &members[*member];
        (secret.public_key(), *mode, secret.sign(&sign_bytes(&tx, *mode, &data).unwrap()).to_vec())
    };
    // The threshold is the chain's to check.
    let AccountKey::Multi { keys, .. } = &key else { unreachable!() };
    let lenient = AccountKey::Multi { threshold: 1, keys: keys.clone() };
    let (mode, signature) = combine(&lenient, signing.iter().map(part).collect()).unwrap();
    tx.auth_info.as_mut().unwrap().signer_infos = vec![info(&key, mode, data.sequence)];
    encode(&Tx { signatures: vec![signature], ..tx })
}

#[test]
fn two_of_three_members_of_a_multisig_account_send_its_money() {
    let (key, _) = multisig();
    let account = key.address().to_string();
    let mut chain = Chain::new(std::slice::from_ref(&account));
    let tx = unsigned(vec![send(&account, &address(0))]);
    let bytes = multisigned(&chain, tx.clone(), &[(0, SignMode::AminoJson), (2, SignMode::AminoJson)]);
    assert_eq!(chain.check(&bytes).log, "");
    let result = chain.deliver(&bytes);
    assert_eq!(result.code, 0, "{}", result.log);
    // The members' signatures, then the whole.
    assert_eq!(attribute(&result, "tx", "signature").len(), 3);
    assert_eq!(chain.balance(&account), FUNDS - 1000 - 7500);
    // The key is known from now on.
    let again = multisigned(&chain, tx, &[(0, SignMode::AminoJson), (1, SignMode::AminoJson), (2, SignMode::AminoJson)]);
    let mut again = <Tx as prost::Message>::decode(&again[..]).unwrap();
    again.auth_info.as_mut().unwrap().signer_infos[0].public_key = None;
    // The text does not cover the signer's key, so it still holds.
    let more = chain.deliver(&encode(&again));
    assert_eq!(more.code, 0, "{}", more.log);
}

#[test]
fn every_signature_of_a_multisig_costs_gas() {
    let (key, _) = multisig();
    let account = key.address().to_string();
    let used = |signing: &[(usize, SignMode)]| {
        let mut chain = Chain::new(std::slice::from_ref(&account));
        let bytes = multisigned(&chain, unsigned(vec![send(&account, &address(0))]), signing);
        let size = bytes.len() as i64;
        chain.deliver(&bytes).gas_used - 10 * size
    };
    let amino = SignMode::AminoJson;
    assert_eq!(used(&[(0, amino), (1, amino), (2, amino)]) - used(&[(0, amino), (1, amino)]), 1000);
}

#[test]
fn a_multisig_without_enough_or_right_signatures_is_refused() {
    let (key, _) = multisig();
    let account = key.address().to_string();
    let chain = Chain::new(std::slice::from_ref(&account));
    let tx = unsigned(vec![send(&account, &address(0))]);
    let few = multisigned(&chain, tx.clone(), &[(1, SignMode::AminoJson)]);
    let numbers = format!("account number (5), sequence (0) and chain-id ({CHAIN})");
    assert_eq!(refusal(&chain, &few), (4, format!("signature verification failed; please verify {numbers}: unauthorized")));

    let bytes = multisigned(&chain, tx.clone(), &[(0, SignMode::AminoJson), (1, SignMode::AminoJson)]);
    let mut changed = <Tx as prost::Message>::decode(&bytes[..]).unwrap();
    fee(&mut changed).amount = coins(7_501);
    assert_eq!(refusal(&chain, &encode(&changed)).0, 4);

    // One signature under the multisig key.
    let AccountKey::Multi { .. } = &key else { unreachable!() };
    let mut single = <Tx as prost::Message>::decode(&bytes[..]).unwrap();
    single.auth_info.as_mut().unwrap().signer_infos[0].mode_info = Some(single_mode(SignMode::AminoJson));
    assert_eq!(refusal(&chain, &encode(&single)).0, 4);
}

#[test]
fn simulation_takes_a_multisig_account_without_signatures() {
    let (key, _) = multisig();
    let account = key.address().to_string();
    let chain = Chain::new(std::slice::from_ref(&account));
    let mut tx = unsigned(vec![send(&account, &address(0))]);
    tx.auth_info.as_mut().unwrap().signer_infos = vec![info(&key, single_mode(SignMode::Direct), 0)];
    tx.signatures = vec![Vec::new()];
    let request = serde_json::json!({ "tx_bytes": base64::Engine::encode(&base64::prelude::BASE64_STANDARD, encode(&tx)) });
    let answer = chain.query("/cosmos.tx.v1beta1.Service/Simulate", request).unwrap();
    let used: u64 = answer["gas_info"]["gas_used"].as_str().unwrap().parse().unwrap();
    assert!(used > 40_000, "{used}");
}

#[test]
fn a_transaction_past_its_height_and_a_long_memo_are_refused_in_the_words_of_the_sdk() {
    let mut chain = Chain::new(&[]);
    for _ in 0..3 {
        chain.block(&[]);
    }
    let mut late = unsigned(vec![send(&address(0), &address(1))]);
    body(&mut late).timeout_height = 2;
    let late = signed(&chain, late, &[(&key(0), SignMode::Direct)]);
    assert_eq!(refusal(&chain, &late), (30, "block height: 5, timeout height: 2: tx timeout height".into()));
    let mut long = unsigned(vec![send(&address(0), &address(1))]);
    body(&mut long).memo = "x".repeat(257);
    let long = signed(&chain, long, &[(&key(0), SignMode::Direct)]);
    assert_eq!(refusal(&chain, &long), (12, "maximum number of characters is 256 but received 257 characters: memo too large".into()));
}

#[test]
fn gas_beyond_what_abci_can_count_is_refused_wherever_the_transaction_comes() {
    use base64::Engine;
    use tendermint_abci::Application;
    use tendermint_proto::v0_38::abci::{RequestProcessProposal, response_process_proposal::ProposalStatus};
    let mut chain = Chain::new(&[]);
    let most = i64::MAX as u64;
    let asking = |chain: &Chain, gas: u64| {
        let mut tx = unsigned(vec![send(&address(0), &address(1))]);
        fee(&mut tx).gas_limit = gas;
        signed(chain, tx, &[(&key(0), SignMode::Direct)])
    };
    let accepted = |chain: &Chain, tx: &[u8]| {
        let request = RequestProcessProposal { txs: vec![tx.to_vec().into()], ..Default::default() };
        chain.app.process_proposal(request).status == ProposalStatus::Accept as i32
    };
    for gas in [most + 1, u64::MAX] {
        let tx = asking(&chain, gas);
        let log = format!("invalid gas supplied; {gas} > {most}: invalid request");
        assert_eq!(refusal(&chain, &tx), (18, log.clone()));
        assert!(!accepted(&chain, &tx));
        let result = chain.deliver(&tx);
        assert_eq!((result.code, result.log.as_str(), result.gas_wanted), (18, log.as_str(), 0));
        let request = serde_json::json!({ "tx_bytes": base64::prelude::BASE64_STANDARD.encode(&tx) });
        let simulated = chain.query("/cosmos.tx.v1beta1.Service/Simulate", request).unwrap_err();
        assert_eq!(simulated, format!("{log} with gas used: '0': unknown request"));
    }
    assert_eq!(chain.numbers(&address(0)).1, 0);
    // Only the node's own price speaks against the most that there is.
    let tx = asking(&chain, most);
    assert_eq!(refusal(&chain, &tx).0, 13);
    assert!(accepted(&chain, &tx));
    let result = chain.deliver(&tx);
    assert_eq!((result.code, result.gas_wanted), (0, i64::MAX), "{}", result.log);
}

#[test]
fn a_missing_fee_and_missing_signatures_are_refused_in_the_words_of_the_sdk() {
    let chain = Chain::new(&[]);
    let bytes = signed(&chain, unsigned(vec![send(&address(0), &address(1))]), &[(&key(0), SignMode::Direct)]);
    let tx = <Tx as prost::Message>::decode(&bytes[..]).unwrap();
    let changed = |change: &dyn Fn(&mut Tx)| {
        let mut tx = tx.clone();
        change(&mut tx);
        refusal(&chain, &encode(&tx))
    };
    assert_eq!(changed(&|tx| tx.auth_info.as_mut().unwrap().fee = None), (18, "missing fee: invalid request".into()));
    assert_eq!(changed(&|tx| tx.signatures.clear()).0, 15);
    let number = |expected, got| (4, format!("wrong number of signers; expected {expected}, got {got}: unauthorized"));
    assert_eq!(changed(&|tx| fee(tx).payer = address(2)), number(2, 1));
    assert_eq!(changed(&|tx| tx.signatures.push(vec![1; 64])), number(1, 2));
    assert_eq!(changed(&|tx| tx.auth_info.as_mut().unwrap().signer_infos.clear()), number(1, 0));
}

#[test]
fn many_transactions_of_one_account_wait_in_the_mempool_in_order() {
    let mut chain = Chain::new(&[]);
    let mut txs = Vec::new();
    for sequence in 0..10 {
        let mut tx = unsigned(vec![send(&address(0), &address(1))]);
        let data = SignerData { chain_id: CHAIN.into(), account_number: 1, sequence };
        let secret = key(0);
        tx.auth_info.as_mut().unwrap().signer_infos =
            vec![info(&AccountKey::Single(secret.public_key()), single_mode(SignMode::AminoJson), sequence)];
        tx.signatures = vec![secret.sign(&sign_bytes(&tx, SignMode::AminoJson, &data).unwrap()).to_vec()];
        let bytes = encode(&tx);
        assert_eq!(chain.check(&bytes).log, "");
        txs.push(bytes);
    }
    assert_eq!(refusal(&chain, &txs[3]), (32, "account sequence mismatch, expected 10, got 3: incorrect account sequence".into()));
    assert!(chain.block(&txs).iter().all(|r| r.code == 0));
}
