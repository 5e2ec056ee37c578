//! Who trusts a header alone can verify a balance, and that there is none: with CometBFT's light client and Go's ics23
//! library (tests/light), and with Rust's.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use e2e::{Network, binary, root, run};
use ics23::{CommitmentProof, HostFunctionsManager, ProofSpec, commitment_proof::Proof};
use prost::Message;
use serde_json::Value;
use std::process::Command;

/// A key of the bank's store: 02 ‖ length ‖ address ‖ denomination, in hex.
fn balance_key(address: &str) -> String {
    let denom: String = "uve".bytes().map(|b| format!("{b:02x}")).collect();
    format!("02{:02x}{address}{denom}", address.len() / 2).to_lowercase()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).expect("hex")).collect()
}

struct Chain {
    network: Network,
    specs_file: std::path::PathBuf,
    specs: Vec<ProofSpec>,
}

impl Chain {
    fn start() -> Chain {
        let network = Network::start("proofs", 2, 4000);
        let json = run(Command::new(binary("virtengine")).args(["debug", "proof-specs"]), "").json();
        let specs_file = network.data.join("specs.json");
        std::fs::write(&specs_file, json.to_string()).expect("a file");
        let specs = serde_json::from_value(json).expect("proof specs");
        Chain { network, specs_file, specs }
    }

    fn key_of(&self, name: &str) -> String {
        let address = self.network.address(name);
        let parsed = self.network.virtengine(&["keys", "parse", &address, "--output", "json"]).json();
        balance_key(parsed["bytes"].as_str().expect("hex"))
    }

    /// What the light client says: the value in hex, or `absent`.
    fn light(&self, key: &str, height: u64) -> String {
        let program = self.network.data.join("light-verify");
        let built = run(Command::new("go").args(["build", "-o"]).arg(&program).arg(".").current_dir(root().join("tests/light")), "");
        assert_eq!(built.code, Some(0), "{}", built.stderr);
        let mut command = Command::new(program);
        command.args(["--rpc", &self.network.url(0), "--witness", &self.network.url(1), "--chain-id", "virtengine-localnet-1"]);
        command.args(["--store", "bank", "--key", key, "--height", &height.to_string(), "--specs"]).arg(&self.specs_file);
        run(&mut command, "").ok().trim().into()
    }

    /// What Rust's ics23 library says, under the app hash of the next header.
    fn ics23(&self, key: &str, height: u64) -> Option<Vec<u8>> {
        self.network.wait_for(0, height + 1);
        let path = format!("abci_query?path=%22/store/bank/key%22&data=0x{key}&height={height}&prove=true");
        let answer = self.network.rpc(0, &path).expect("an answer")["response"].take();
        let data = |v: &Value| BASE64_STANDARD.decode(v.as_str().unwrap_or_default()).expect("base64");
        let [inner, outer] = &answer["proofOps"]["ops"].as_array().expect("proofs")[..] else { panic!("{answer}") };
        assert_eq!((&inner["type"], &outer["type"]), (&"ics23:jmt".into(), &"ics23:jmt".into()));
        assert_eq!(data(&outer["key"]), b"bank");
        let proof = |op: &Value| CommitmentProof::decode(&data(&op["data"])[..]).expect("a proof");
        let (inner, outer) = (proof(inner), proof(outer));
        let app_hash = bytes(&self.network.app_hash(0, height + 1).expect("a header"));
        let Some(Proof::Exist(store)) = &outer.proof else { panic!("{outer:?}") };
        let store_root = store.value.clone();
        assert!(ics23::verify_membership::<HostFunctionsManager>(&outer, &self.specs[1], &app_hash, b"bank", &store_root));
        let (value, key) = (data(&answer["value"]), bytes(key));
        let none = value.is_empty();
        let holds = match none {
            true => ics23::verify_non_membership::<HostFunctionsManager>(&inner, &self.specs[0], &store_root, &key),
            false => ics23::verify_membership::<HostFunctionsManager>(&inner, &self.specs[0], &store_root, &key, &value),
        };
        assert!(holds, "{answer}");
        (!none).then_some(value)
    }
}

#[test]
fn a_balance_and_its_absence_are_proved_to_the_stock_libraries() {
    let chain = Chain::start();
    let alice = chain.network.address("alice");
    chain.network.tx(&["bank", "send", "bob", &alice, "12345uve"]);
    let balance = chain.network.balance(&alice).to_string();
    let height = chain.network.height(0).expect("node 0");
    let key = chain.key_of("alice");
    assert_eq!(chain.ics23(&key, height), Some(balance.clone().into_bytes()));
    assert_eq!(bytes(&chain.light(&key, height)), balance.as_bytes());

    let nobody = balance_key(&"00".repeat(20));
    assert_eq!(chain.ics23(&nobody, height), None);
    assert_eq!(chain.light(&nobody, height), "absent");
}
