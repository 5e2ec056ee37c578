//! The keyring backend `os` against a real secret service: gnome-keyring's, on a session bus of the test's own.

use e2e::{Run, binary, run};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use zbus::blocking::{Connection, Proxy, connection, fdo::DBusProxy};
use zbus::zvariant::{OwnedObjectPath, OwnedValue, Value};

const SERVICE: &str = "org.freedesktop.secrets";
const COLLECTION: &str = "/org/freedesktop/secrets/collection/virtengine";
const ABANDON: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
const LEGAL: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";

/// A session bus that starts nothing by itself: no other secret service than the test's, and no window that asks.
const BUS: &str = r#"<busconfig>
  <type>session</type>
  <listen>unix:dir=@DIR@</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#;

/// A child that ends with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(command: &mut Command, package: &str) -> Ends {
    let program = command.get_program().to_os_string();
    let child = command.stderr(Stdio::null()).spawn();
    Ends(child.unwrap_or_else(|e| panic!("{program:?}: {e}; this test needs the Debian package {package} (scripts/test.sh installs it)")))
}

struct Session {
    // In this order: the service ends before its bus.
    service: Option<Ends>,
    _bus: Ends,
    address: String,
    dir: TempDir,
}

impl Session {
    fn open() -> Session {
        let dir = tempfile::tempdir().expect("a folder");
        let config = dir.path().join("bus.conf");
        std::fs::write(&config, BUS.replace("@DIR@", &dir.path().display().to_string())).expect("a file");
        let mut daemon = Command::new("dbus-daemon");
        daemon.args(["--nofork", "--nopidfile", "--print-address=1", "--config-file"]).arg(&config).stdout(Stdio::piped());
        let mut bus = start(&mut daemon, "dbus");
        let mut address = String::new();
        BufReader::new(bus.0.stdout.take().expect("piped")).read_line(&mut address).expect("the bus' address");
        Session { service: None, _bus: bus, address: address.trim().into(), dir }
    }

    fn connect(&self) -> Connection {
        connection::Builder::address(self.address.as_str()).and_then(connection::Builder::build).expect("the bus")
    }

    /// gnome-keyring with a login keyring of its own, as after a login.
    fn start_service(&mut self) {
        let home = self.dir.path();
        let mut daemon = Command::new("gnome-keyring-daemon");
        daemon.args(["--foreground", "--unlock", "--components=secrets"]).env("DBUS_SESSION_BUS_ADDRESS", &self.address);
        daemon.env_remove("DISPLAY").env("HOME", home).env("XDG_DATA_HOME", home).env("XDG_RUNTIME_DIR", home);
        let mut service = start(daemon.stdin(Stdio::piped()).stdout(Stdio::null()), "gnome-keyring");
        service.0.stdin.take().expect("piped").write_all(b"the login's password").expect("a daemon that reads it");
        self.service = Some(service);
        let connection = self.connect();
        let bus = DBusProxy::new(&connection).expect("the bus");
        let since = Instant::now();
        while !bus.name_has_owner(SERVICE.try_into().expect("a name")).expect("an answer") {
            assert!(since.elapsed() < Duration::from_secs(20), "gnome-keyring does not come up on the test's bus");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Makes the collection under a password, through the interface that gnome-keyring has where no window can ask for one.
    fn make_collection(&self) {
        let connection = self.connect();
        let service = Proxy::new(&connection, SERVICE, "/org/freedesktop/secrets", "org.freedesktop.Secret.Service").expect("a proxy");
        let (_, session): (OwnedValue, OwnedObjectPath) = service.call("OpenSession", &("plain", Value::from(""))).expect("a session");
        let inner = "org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface";
        let inner = Proxy::new(&connection, SERVICE, "/org/freedesktop/secrets", inner).expect("a proxy");
        let properties = HashMap::from([("org.freedesktop.Secret.Collection.Label", Value::from("virtengine"))]);
        let password = (session, Vec::<u8>::new(), b"its password".to_vec(), "text/plain");
        let made: OwnedObjectPath = inner.call("CreateWithMasterPassword", &(properties, password)).expect("a collection");
        assert_eq!(made.as_str(), COLLECTION);
    }

    fn lock_collection(&self) {
        let connection = self.connect();
        let service = Proxy::new(&connection, SERVICE, "/org/freedesktop/secrets", "org.freedesktop.Secret.Service").expect("a proxy");
        let collection = OwnedObjectPath::try_from(COLLECTION).expect("a path");
        let (locked, _): (Vec<OwnedObjectPath>, OwnedObjectPath) = service.call("Lock", &(vec![&collection],)).expect("an answer");
        assert_eq!(locked, [collection]);
    }

    /// What the service keeps for an item: its label, its attributes and its secret.
    fn kept(&self, item: &str) -> Vec<(String, HashMap<String, String>, serde_json::Value)> {
        let connection = self.connect();
        let service = Proxy::new(&connection, SERVICE, "/org/freedesktop/secrets", "org.freedesktop.Secret.Service").expect("a proxy");
        let (_, session): (OwnedValue, OwnedObjectPath) = service.call("OpenSession", &("plain", Value::from(""))).expect("a session");
        let collection = Proxy::new(&connection, SERVICE, COLLECTION, "org.freedesktop.Secret.Collection").expect("a proxy");
        let paths: Vec<OwnedObjectPath> = collection.call("SearchItems", &HashMap::from([("profile", item)])).expect("an answer");
        let one = |path| {
            let item = Proxy::new(&connection, SERVICE, path, "org.freedesktop.Secret.Item").expect("a proxy");
            let (_, _, secret, _): (OwnedObjectPath, Vec<u8>, Vec<u8>, String) = item.call("GetSecret", &session).expect("a secret");
            let json = serde_json::from_slice(&secret).expect("JSON");
            (item.get_property("Label").expect("a label"), item.get_property("Attributes").expect("attributes"), json)
        };
        paths.into_iter().map(one).collect()
    }

    /// A command of virtengine on this bus.
    fn command(&self, home: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(binary("virtengine"));
        command.args(args).env("DBUS_SESSION_BUS_ADDRESS", &self.address).env("VIRTENGINE_HOME", home);
        command.env_remove("VIRTENGINE_KEYRING_BACKEND").env_remove("VIRTENGINE_KEYRING_DIR");
        command
    }

    fn virtengine(&self, backend: &str, args: &[&str], input: &str) -> Run {
        run(self.command(&self.dir.path().join("home"), args).args(["--keyring-backend", backend]), input)
    }
}

#[test]
fn every_command_does_with_the_secret_service_what_it_does_with_files() {
    let mut session = Session::open();
    session.start_service();
    session.make_collection();
    let path = |name: &str| session.dir.path().join(name).display().to_string();
    let (unsigned, exported) = (path("unsigned.json"), path("key.asc"));
    let address = "virtengine19rl4cm2hmr8afy4kldpxz3fka4jguq0a6mvv5p";
    let both = |args: &[&str], input: &str| {
        let [os, test] = ["os", "test"].map(|backend| session.virtengine(backend, args, input));
        assert_eq!((os.code, &os.stdout, &os.stderr), (test.code, &test.stdout, &test.stderr), "{args:?}");
        os
    };
    assert_eq!(both(&["keys", "list", "--list-names"], "").ok(), "");
    assert!(both(&["keys", "add", "alice", "--recover"], &format!("{ABANDON}\n")).ok().contains(address));
    both(&["keys", "add", "team/bob 1%", "--recover"], &format!("{LEGAL}\n")).ok();
    both(&["keys", "add", "both", "--multisig", "alice,team/bob 1%", "--multisig-threshold", "2"], "").ok();
    let refused = |args: &[&str], input: &str, word: &str| {
        let said = session.virtengine("os", args, input).refused();
        assert!(said.contains(word), "{args:?}: {said}");
    };
    refused(&["keys", "add", "alice"], "", "key \"alice\" already exists in collection \"virtengine\" of the secret service");
    refused(&["keys", "add", "carol", "--recover"], &format!("{ABANDON}\n"), "already belongs to key \"alice\"");
    refused(&["keys", "show", "carol"], "", "no key \"carol\" in collection \"virtengine\"");
    refused(&["keys", "rename", "alice", "both", "--yes"], "", "already exists");

    both(&["keys", "list", "--output", "json"], "").ok();
    both(&["keys", "rename", "team/bob 1%", "bob", "--yes"], "").ok();
    for args in [&["alice", "-a"][..], &["bob", "--pubkey"], &["both", "--output", "json"], &[address, "--bech", "val"]] {
        both(&[&["keys", "show"], args].concat(), "").ok();
    }
    assert_eq!(both(&["keys", "list", "--list-names"], "").ok(), "alice\nbob\nboth\n");

    let offline = ["--offline", "--chain-id", "test-1", "--account-number", "1", "--sequence", "0"];
    let send = ["tx", "bank", "send", "alice", address, "5uve", "--gas", "100000", "--fees", "2500uve", "--generate-only"];
    std::fs::write(&unsigned, both(&[&send[..], &offline].concat(), "").ok()).expect("a file");
    // Deterministic: the same key signs the same.
    let signed = both(&[&["tx", "sign", &unsigned, "--from", "alice", "--output", "json"], &offline[..]].concat(), "").json();
    assert!(signed["signatures"][0].as_str().is_some_and(|s| s.len() == 88), "{signed}");

    std::fs::write(&exported, session.virtengine("os", &["keys", "export", "alice"], "armour pass\n").ok()).expect("a file");
    both(&["keys", "delete", "alice", "bob", "--yes"], "").ok();
    assert_eq!(both(&["keys", "list", "--list-names"], "").ok(), "both\n");
    both(&["keys", "import", "again", &exported], "armour pass\n").ok();
    assert_eq!(both(&["keys", "show", address, "-a"], "").ok().trim(), address);

    // What Go's binaries look for.
    let [(label, attributes, item)] = &session.kept("again.info")[..] else { panic!("one item of this name") };
    assert_eq!((label.as_str(), attributes["profile"].as_str(), &item["Key"]), ("again.info", "again.info", &"again.info".into()));
    assert_eq!(session.kept("28ff5c6d57d8cfd492b6fb42614536ed648e01fd.address").len(), 1);
    assert_eq!(session.kept("alice.info").len(), 0);

    // The environment and client.toml name the backend, too.
    let home = session.dir.path().join("other");
    let names = |command: &mut Command| run(command.args(["keys", "list", "--list-names"]), "").ok();
    assert_eq!(names(session.command(&home, &[]).env("VIRTENGINE_KEYRING_BACKEND", "os")), "again\nboth\n");
    std::fs::create_dir_all(home.join("config")).expect("a folder");
    std::fs::write(home.join("config/client.toml"), "keyring-backend = \"os\"\n").expect("a file");
    assert_eq!(names(&mut session.command(&home, &[])), "again\nboth\n");
    assert!(!home.join("keyring-os").exists() && !session.dir.path().join("home/keyring-os").exists());
}

#[test]
fn what_is_missing_is_named_with_what_to_do() {
    let mut session = Session::open();
    let refused = |session: &Session, args: &[&str], word: &str| {
        let said = session.virtengine("os", args, "").refused();
        assert!(said.contains("keyring backend \"os\": ") && said.contains(word) && said.contains("--keyring-backend file"), "{said}");
    };
    refused(&session, &["keys", "list"], "no secret service answers on the session's D-Bus");
    session.start_service();
    assert_eq!(session.virtengine("os", &["keys", "list", "--list-names"], "").ok(), "");
    refused(&session, &["keys", "add", "alice"], "there is no collection \"virtengine\" of the secret service yet");
    session.make_collection();
    session.virtengine("os", &["keys", "add", "alice"], "").ok();
    session.lock_collection();
    for args in [&["keys", "list"][..], &["keys", "add", "bob"], &["keys", "show", "alice"], &["keys", "delete", "alice", "--yes"]] {
        refused(&session, args, "collection \"virtengine\" of the secret service is locked");
    }
    session.service = None;
    refused(&session, &["keys", "show", "alice"], "no secret service answers");
}
