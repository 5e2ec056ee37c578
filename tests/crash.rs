//! Nodes are killed under load, networks stopped and started, and a node joins late: nothing is lost, nobody disagrees.

use e2e::{Network, eventually, run};
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

/// Sends small payments one after the other until told to stop; returns how many were committed.
fn load(network: &Network, stop: &AtomicBool) -> u32 {
    let alice = network.address("alice");
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        network.tx(&["bank", "send", "bob", &alice, "1uve"]);
        sent += 1;
    }
    sent
}

fn kill(pids: impl IntoIterator<Item = u32>) {
    let pids: Vec<String> = pids.into_iter().map(|p| p.to_string()).collect();
    run(Command::new("kill").arg("-9").args(pids), "").ok();
}

/// Every node that runs has the same app hash at the highest height that all have.
fn agree(network: &Network, nodes: u16) {
    let common = (0..nodes).map(|n| network.height(n).expect("a node that answers")).min().expect("a node");
    let hashes: Vec<_> = (0..nodes).map(|n| network.app_hash(n, common).expect("a block")).collect();
    assert!(hashes.iter().all(|h| *h == hashes[0]), "app hashes at height {common}: {hashes:?}");
}

#[test]
fn a_node_killed_under_load_comes_back_and_agrees() {
    let network = Network::start("crash", 4, 2000);
    let alice = network.address("alice");
    let before = network.balance(&alice);
    let stop = AtomicBool::new(false);
    let sent = std::thread::scope(|scope| {
        let sender = scope.spawn(|| load(&network, &stop));
        for victims in [&["virtengine"][..], &["cometbft"], &["virtengine", "cometbft"]] {
            let processes = network.processes(3);
            let names: Vec<&str> = processes.iter().map(|p| p.0.as_str()).collect();
            assert_eq!(names, ["cometbft", "virtengine"]);
            kill(processes.iter().filter(|p| victims.contains(&p.0.as_str())).map(|p| p.1));

            let height = network.height(0).expect("node 0");
            network.wait_for(0, height + 3);
            eventually("nothing is left of the node", || network.processes(3).is_empty().then_some(()));
            for base in [26657, 26656, 9090, 1317] {
                let port = network.port(base, 3);
                assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "killed {victims:?}: port {port} is still held");
            }
            let status = network.script(&["status"]);
            assert!(status.code == Some(1) && status.stdout.contains("node3 is stopped"), "{status:?}");

            network.script(&["start"]).ok();
            network.wait_for(3, network.height(0).expect("node 0"));
            agree(&network, 4);
        }
        stop.store(true, Ordering::Relaxed);
        sender.join().expect("the load")
    });
    assert_eq!(network.balance(&alice), before + u128::from(sent), "every committed payment counts, once");
    network.script(&["status"]).ok();
}

#[test]
fn a_network_that_is_stopped_or_loses_power_keeps_all_and_a_fifth_node_joins() {
    let network = Network::start("restart", 4, 3000);
    let alice = network.address("alice");
    let sent = network.tx(&["bank", "send", "bob", &alice, "7uve"]);
    let hash = sent["txhash"].as_str().expect("a hash");
    let balance = network.balance(&alice);

    let height = network.height(0).expect("node 0");
    assert!(network.script(&["stop"]).ok().contains("stopped"));
    assert!((0..4).all(|n| network.processes(n).is_empty()));
    assert_eq!(network.script(&["status"]).code, Some(1));
    network.script(&["start"]).ok();
    assert!(network.height(0) > Some(height));
    assert_eq!(network.query(&["tx", hash])["code"], 0);
    assert_eq!(network.balance(&alice), balance);

    let height = network.height(0).expect("node 0");
    kill((0..4).flat_map(|n| network.processes(n)).map(|p| p.1));
    network.script(&["start"]).ok();
    assert!(network.height(0) > Some(height));
    assert_eq!(network.balance(&alice), balance);
    agree(&network, 4);

    network.script(&["add-node"]).ok();
    agree(&network, 5);
    let status = network.script(&["status"]).ok();
    assert!(status.contains("node4") && status.contains("healthy"), "{status}");
    // A start that finds all running changes nothing.
    let processes: Vec<_> = (0..5).map(|n| network.processes(n)).collect();
    network.script(&["start"]).ok();
    assert_eq!(processes, (0..5).map(|n| network.processes(n)).collect::<Vec<_>>());
}
