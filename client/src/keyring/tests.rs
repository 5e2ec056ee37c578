//! The keyring as its users meet it, and beside what a Go binary of Cosmos SDK v0.53 wrote (`testdata`).

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use tempfile::TempDir;

use super::*;
use crate::address::Prefix;
use crate::keys::tests::{ABANDON, ABANDON_24, key};

const PASS: &str = "test passphrase";
const ALICE: &str = "virtengine19rl4cm2hmr8afy4kldpxz3fka4jguq0a6mvv5p";

/// What was written to a prompt's output.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Vec<u8>>>);

impl Write for Shown {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shown {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn prompt(answers: &[&str]) -> (Arc<dyn Prompt>, Shown) {
    let shown = Shown::default();
    let mut lines: Vec<String> = answers.iter().rev().map(|a| format!("{a}\n")).collect();
    let read = move |line: &mut String| Ok(lines.pop().inspect(|l| line.push_str(l)).map_or(0, |l| l.len()));
    (Arc::new(LinePrompt::new(read, shown.clone())), shown)
}

fn file_keyring(home: &Path, answers: &[&str]) -> Keyring {
    Keyring::open(Backend::File, home, prompt(answers).0)
}

fn test_keyring(home: &Path) -> Keyring {
    Keyring::open(Backend::Test, home, prompt(&[]).0)
}

fn mnemonic(phrase: &str) -> Option<Mnemonic> {
    Some(Mnemonic::parse(phrase).unwrap())
}

fn hd() -> HdPath {
    HdPath::default()
}

fn golden(backend: Backend, answers: &[&str]) -> Keyring {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/keyring/testdata");
    Keyring::open(backend, &home, prompt(answers).0)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap())
        .map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap()))
        .collect();
    all.sort();
    all
}

#[test]
fn a_fresh_file_keyring_asks_twice_and_a_later_process_once() {
    let home = TempDir::new().unwrap();
    let (p, shown) = prompt(&[PASS, PASS]);
    let keyring = Keyring::open(Backend::File, home.path(), p);
    keyring.add("alice", mnemonic(ABANDON), &hd()).unwrap();
    keyring.add("bob", None, &hd()).unwrap();
    assert_eq!(shown.text(), "Enter keyring passphrase (attempt 1/3):\nRe-enter keyring passphrase:\n");

    let (p, shown) = prompt(&[PASS]);
    let keyring = Keyring::open(Backend::File, home.path(), p);
    assert_eq!(keyring.list().unwrap().len(), 2);
    assert_eq!(keyring.get("alice").unwrap().address().to_string(), ALICE);
    assert_eq!(keyring.get(ALICE).unwrap().name, "alice");
    assert_eq!(shown.text(), "Enter keyring passphrase (attempt 1/3):\n");
}

#[test]
fn files_are_the_peers_and_private() {
    let home = TempDir::new().unwrap();
    file_keyring(home.path(), &[PASS, PASS]).add("alice", mnemonic(ABANDON), &hd()).unwrap();
    let dir = home.path().join("keyring-file");
    let names: Vec<_> = files(&dir).into_iter().map(|f| f.0).collect();
    assert_eq!(names, ["28ff5c6d57d8cfd492b6fb42614536ed648e01fd.address", "alice.info", "keyhash"]);
    assert_eq!(mode(&dir), 0o700);
    for name in names {
        assert_eq!(mode(&dir.join(name)), 0o600);
    }
    assert!(fs::read_to_string(dir.join("keyhash")).unwrap().starts_with("$2a$10$"));
}

#[test]
fn an_empty_keyring_directory_works_and_lists_nothing_without_asking() {
    let home = TempDir::new().unwrap();
    fs::create_dir(home.path().join("keyring-file")).unwrap();
    let keyring = file_keyring(home.path(), &[PASS, PASS]);
    assert!(keyring.list().unwrap().is_empty());
    assert!(matches!(keyring.get("alice"), Err(KeyringError::NotFound { .. })));
    assert!(matches!(keyring.get(ALICE), Err(KeyringError::NotFound { .. })));
    keyring.add("alice", None, &hd()).unwrap();
    let (record, mnemonic) = keyring.add("bob", None, &hd()).unwrap();
    assert_eq!(SecretKey::derive(&mnemonic, &hd()).unwrap().address(), record.address());
}

#[test]
fn the_test_keyring_asks_for_nothing() {
    let home = TempDir::new().unwrap();
    let (p, shown) = prompt(&[]);
    let keyring = Keyring::open(Backend::Test, &home.path().join("not/there/yet"), p);
    keyring.add("alice", mnemonic(ABANDON), &hd()).unwrap();
    let dir = home.path().join("not/there/yet/keyring-test");
    let same = Keyring::open_dir(Backend::Test, &dir, prompt(&[]).0);
    assert_eq!(same.list().unwrap(), keyring.list().unwrap());
    assert_eq!(mode(&dir), 0o700);
    assert!(!dir.join("keyhash").exists());
    assert_eq!(shown.text(), "");
}

#[test]
fn an_existing_name_or_address_is_refused_and_nothing_changes() {
    let home = TempDir::new().unwrap();
    let keyring = test_keyring(home.path());
    keyring.add("alice", mnemonic(ABANDON), &hd()).unwrap();
    let before = files(&home.path().join("keyring-test"));
    let error = |name, phrase| keyring.add(name, mnemonic(phrase), &hd()).err().unwrap().to_string();
    assert!(error("alice", ABANDON_24).contains("key \"alice\" already exists in"));
    assert_eq!(error("bob", ABANDON), format!("address {ALICE} already belongs to key \"alice\" in this keyring"));
    assert!(keyring.add("alice", None, &hd()).is_err());
    assert_eq!(files(&home.path().join("keyring-test")), before);
}

#[test]
fn names_that_cannot_be_told_from_addresses_or_files_are_refused() {
    let home = TempDir::new().unwrap();
    let keyring = test_keyring(home.path());
    let long = "x".repeat(65);
    for name in ["", "  ", " alice", "a\nb", "a\0", ALICE, "alice.info", "alice.address", &long] {
        assert!(matches!(keyring.add(name, None, &hd()), Err(KeyringError::Name { .. })), "{name:?}");
    }
    assert!(!home.path().join("keyring-test").exists());
}

#[test]
fn a_wrong_passphrase_has_three_attempts() {
    let (p, shown) = prompt(&["wrong one", "short", "wrong two", PASS]);
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/keyring/testdata");
    let keyring = Keyring::open(Backend::File, &home, p);
    assert!(matches!(keyring.get("alice"), Err(KeyringError::Passphrase)));
    assert_eq!(
        shown.text(),
        "Enter keyring passphrase (attempt 1/3):\nincorrect passphrase\n\
         Enter keyring passphrase (attempt 2/3):\npassphrase must be at least 8 characters\n\
         Enter keyring passphrase (attempt 3/3):\nincorrect passphrase\n"
    );
    assert!(golden(Backend::File, &["wrong one", PASS]).get("alice").is_ok());
    assert!(matches!(golden(Backend::File, &["wrong one"]).get("alice"), Err(KeyringError::Passphrase)));
}

#[test]
fn a_new_passphrase_must_be_long_enough_and_repeated() {
    let home = TempDir::new().unwrap();
    let (p, shown) = prompt(&["short", PASS, "another passphrase", PASS, PASS]);
    let keyring = Keyring::open(Backend::File, home.path(), p);
    keyring.add("alice", None, &hd()).unwrap();
    assert!(shown.text().contains("passphrases do not match"));

    let home = TempDir::new().unwrap();
    let too_long = "x".repeat(73);
    let keyring = file_keyring(home.path(), &[&too_long, "short", "short"]);
    assert!(matches!(keyring.add("alice", None, &hd()), Err(KeyringError::Passphrase)));
    assert!(!home.path().join("keyring-file").exists());
}

#[test]
fn a_missing_line_is_an_error_that_names_the_prompt() {
    let home = TempDir::new().unwrap();
    let error = |answers: &[&str]| file_keyring(home.path(), answers).add("alice", None, &hd()).err().unwrap().to_string();
    assert_eq!(error(&[]), "input ended at the prompt \"Enter keyring passphrase (attempt 1/3):\": expected one more line there");
    assert!(error(&[PASS]).contains("Re-enter keyring passphrase:"));
    assert!(!home.path().join("keyring-file").exists());
}

#[test]
fn a_lost_keyhash_is_made_anew_from_a_passphrase_that_opens_the_keys() {
    let home = TempDir::new().unwrap();
    file_keyring(home.path(), &[PASS, PASS]).add("alice", None, &hd()).unwrap();
    fs::remove_file(home.path().join("keyring-file/keyhash")).unwrap();
    assert!(file_keyring(home.path(), &["something else"]).get("alice").is_err());
    assert!(!home.path().join("keyring-file/keyhash").exists());
    assert!(file_keyring(home.path(), &["something else", PASS]).get("alice").is_ok());
    assert!(file_keyring(home.path(), &[PASS]).get("alice").is_ok());
}

#[test]
fn keys_can_be_renamed_and_deleted() {
    let home = TempDir::new().unwrap();
    let keyring = test_keyring(home.path());
    keyring.add("alice", mnemonic(ABANDON), &hd()).unwrap();
    keyring.add("bob", mnemonic(ABANDON_24), &hd()).unwrap();
    assert!(matches!(keyring.rename("alice", "bob"), Err(KeyringError::Exists { .. })));
    assert!(matches!(keyring.rename("carol", "dave"), Err(KeyringError::NotFound { .. })));
    keyring.rename("alice", "team/alice").unwrap();
    assert!(matches!(keyring.get("alice"), Err(KeyringError::NotFound { .. })));
    assert_eq!(keyring.get(ALICE).unwrap(), keyring.get("team/alice").unwrap());
    keyring.delete("team/alice").unwrap();
    assert!(matches!(keyring.delete("team/alice"), Err(KeyringError::NotFound { .. })));
    assert_eq!(keyring.list().unwrap().iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["bob"]);
    assert_eq!(files(&home.path().join("keyring-test")).len(), 2);
    keyring.add("alice", mnemonic(ABANDON), &hd()).unwrap();
}

#[test]
fn what_go_wrote_is_read() {
    let keyring = golden(Backend::File, &[PASS]);
    let records = keyring.list().unwrap();
    let found: Vec<_> = records.iter().map(|r| (r.name.as_str(), r.record_type.as_str(), r.address().to_string())).collect();
    let expected = [
        ("alice", "local", ALICE),
        ("bob", "local", "virtengine1kjnlaar8npevnjz85e5tnruk3skrtc8xlecaha"),
        ("multi", "multi", "virtengine1fds09hvjhrnnghfumkjc65xf443n0rzr9xdzpe"),
        ("offline", "offline", "virtengine1neyy3lf7kjfs8pm5880g6hjgltngu69qelq867"),
        ("team/carol 100%", "local", "virtengine1jrkmdcwgq94uaamx6zax2luewlhf7u4k6r8qak"),
    ]
    .map(|(n, t, a)| (n, t, a.to_string()));
    assert_eq!(found, expected);
    for (record, (name, _, address)) in records.iter().zip(&expected) {
        assert_eq!(keyring.get(name).unwrap(), *record);
        assert_eq!(keyring.get(address).unwrap(), *record);
    }
    assert_eq!(
        records[2].output(Prefix::Account).pubkey,
        r#"{"@type":"/cosmos.crypto.multisig.LegacyAminoPubKey","threshold":2,"public_keys":[{"@type":"/cosmos.crypto.secp256k1.PubKey","key":"Ak9OKtmcNNYLm6YoPJQxqEGK+GcyEpYfl6d7Y3f80Fti"},{"@type":"/cosmos.crypto.secp256k1.PubKey","key":"AoNLJpNAnH3JGVwTogUn0F85qJUo40f6jVfv3anltOmg"}]}"#
    );
    assert_eq!(golden(Backend::Test, &[]).list().unwrap(), records[..1]);
}

#[test]
fn signatures_are_those_that_go_makes() {
    let (signature, public_key) = golden(Backend::Test, &[]).sign("alice", b"message").unwrap();
    assert_eq!(
        hex::encode(signature),
        "87da15a6eb231777ec25c6e06676a18aa3b7b401ee28086a3992a701a0b5512a\
         3d95c388785e23c2fd28bf097bbed769968f32a4145eb7fd39edf87a28534ada"
    );
    assert!(public_key.verify(b"message", &signature));
}

#[test]
fn keys_without_a_secret_do_not_sign() {
    let keyring = golden(Backend::File, &[PASS]);
    for name in ["multi", "offline"] {
        let error = keyring.sign(name, b"message").unwrap_err();
        assert!(error.to_string().contains("its private key is not in this keyring"), "{error}");
    }
}

#[test]
fn members_of_a_multisig_key_are_added_by_their_public_keys() {
    let home = TempDir::new().unwrap();
    let keyring = test_keyring(home.path());
    keyring.add("alice", mnemonic(ABANDON), &hd()).unwrap();
    let bob = key(ABANDON_24, 3, 7).public_key();
    let record = keyring.add_offline("bob", &bob.to_json()).unwrap();
    assert_eq!((record.record_type, record.address()), (RecordType::Offline, bob.address()));
    assert!(matches!(keyring.add_offline("again", &bob.to_json()), Err(KeyringError::AddressExists { .. })));
    assert_eq!(keyring.add_offline("carol", "{}").unwrap_err().to_string().split(',').next(), Some("public key lacks \"@type\""));
    assert!(matches!(keyring.sign("bob", b"message"), Err(KeyringError::NoSecret { .. })));
    let multi = keyring.add_multisig("multi", 2, &["alice".into(), "bob".into()], false).unwrap();
    assert_eq!(multi.address().to_string(), "virtengine1fds09hvjhrnnghfumkjc65xf443n0rzr9xdzpe");
    // Elsewhere it is known by its public key alone.
    let elsewhere = TempDir::new().unwrap();
    let known = test_keyring(elsewhere.path()).add_offline("multi", &multi.public_key.to_json()).unwrap();
    assert_eq!(known.public_key, multi.public_key);
}

#[test]
fn one_damaged_key_does_not_hide_the_others() {
    let home = TempDir::new().unwrap();
    let (p, shown) = prompt(&[]);
    let keyring = Keyring::open(Backend::Test, home.path(), p);
    keyring.add("alice", mnemonic(ABANDON), &hd()).unwrap();
    fs::write(home.path().join("keyring-test/bob.info"), "rubbish").unwrap();
    assert_eq!(keyring.list().unwrap().len(), 1);
    assert!(shown.text().contains("bob.info is not a keyring item"), "{}", shown.text());
    assert!(matches!(keyring.get("bob"), Err(KeyringError::Corrupt { .. })));
}

#[test]
fn a_planted_item_cannot_stall_its_reader() {
    let home = TempDir::new().unwrap();
    let keyring = test_keyring(home.path());
    keyring.add("alice", mnemonic(ABANDON), &hd()).unwrap();
    let path = home.path().join("keyring-test/alice.info");
    let token = fs::read_to_string(&path).unwrap();
    let (header, rest) = token.split_once('.').unwrap();
    let b64 = base64::prelude::BASE64_URL_SAFE_NO_PAD;
    let header = String::from_utf8(b64.decode(header).unwrap()).unwrap().replace("8192", "4000000000");
    fs::write(&path, format!("{}.{rest}", b64.encode(header))).unwrap();
    let error = keyring.get("alice").unwrap_err().to_string();
    assert!(error.contains("4000000000 PBKDF2 iterations"), "{error}");
}

#[test]
fn armoured_keys_go_out_and_come_in() {
    let home = TempDir::new().unwrap();
    let keyring = test_keyring(home.path());
    keyring.add("alice", mnemonic(ABANDON), &hd()).unwrap();
    let armor = keyring.export_armored("alice", PASS).unwrap();
    assert!(matches!(keyring.export_armored("alice", "short"), Err(KeyringError::ShortPassphrase)));
    assert!(matches!(keyring.import_armored("again", &armor, PASS), Err(KeyringError::AddressExists { .. })));
    keyring.delete("alice").unwrap();
    assert!(matches!(keyring.import_armored("bob", &armor, "wrong"), Err(KeyringError::Armor(_))));
    assert_eq!(keyring.import_armored("bob", &armor, PASS).unwrap().address().to_string(), ALICE);
}

#[test]
fn backends_are_told_by_name() {
    assert_eq!("file".parse::<Backend>().unwrap(), Backend::File);
    let error = "kwallet".parse::<Backend>().unwrap_err().to_string();
    assert_eq!(error, "unknown keyring backend \"kwallet\", expected test, file or os");
}

/// Runs itself again with another session bus: a test cannot change its own environment.
#[test]
fn without_a_secret_service_the_backend_os_says_what_to_do() {
    let nowhere = "unix:path=/nowhere/bus";
    if std::env::var("DBUS_SESSION_BUS_ADDRESS").as_deref() != Ok(nowhere) {
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", "keyring::tests::without_a_secret_service_the_backend_os_says_what_to_do", "--nocapture"]);
        let output = again.env("DBUS_SESSION_BUS_ADDRESS", nowhere).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let keyring = Keyring::open(Backend::Os, Path::new("/"), prompt(&[]).0);
    let list = || keyring.list().unwrap_err().to_string();
    // Commands that talk to a node use the keyring inside of a runtime.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for error in [list(), runtime.block_on(async { list() }), keyring.add("alice", None, &hd()).err().unwrap().to_string()] {
        assert!(error.starts_with("keyring backend \"os\": no secret service answers on the session's D-Bus ("), "{error}");
        assert!(error.ends_with("or use --keyring-backend file"), "{error}");
    }
}

#[test]
fn recipient_keys_are_read_in_every_form() {
    let keyring = golden(Backend::File, &[PASS]);
    let derived = key(ABANDON, 0, 0).recipient_secret().public_key();
    assert_eq!(keyring.x25519_public("alice").unwrap(), derived);
    let json = keyring.get("alice").unwrap().public_key.to_json();
    let base64 = BASE64_STANDARD.encode(derived.to_bytes());
    let hex = hex::encode(derived.to_bytes());
    for text in [&json, &format!(" {json}\n"), &base64, base64.trim_end_matches('='), &hex, &hex.to_uppercase()] {
        assert_eq!(parse_recipient_key(text, &keyring).unwrap(), derived, "{text}");
    }
}

#[test]
fn what_is_no_recipient_key_is_refused_by_name() {
    let keyring = golden(Backend::File, &[PASS]);
    let error = |text: &str| parse_recipient_key(text, &keyring).unwrap_err().to_string();
    for (text, says) in [
        ("{\"@type\":", "is not valid JSON"),
        (r#"{"@type":"/cosmos.crypto.ed25519.PubKey","key":"AA=="}"#, "ed25519"),
        ("", "has 0 bytes"),
        ("not a key!", "neither base64 nor hex"),
        (&hex::encode([9; 31]), "31 bytes, expected the 32"),
        (&BASE64_STANDARD.encode([9; 33]), "33 bytes, expected the 32"),
        (&hex::encode([0; 32]), "low-order point"),
        (&key(ABANDON_24, 0, 0).public_key().to_json(), "the keyring holds no key"),
        (&keyring.get("offline").unwrap().public_key.to_json(), "the keyring holds no key"),
    ] {
        assert!(error(text).contains(says), "{text}: {}", error(text));
    }
}

/// Runs `keys …` of a Cosmos SDK v0.53 binary whose path is in `VIRTENGINE_GO_PEER`.
fn go_keys(peer: &str, home: &Path, input: &str, arguments: &[&str]) -> (bool, String) {
    let mut child = Command::new(peer)
        .env("PEER_PREFIX", "virtengine")
        .arg("keys")
        .args(arguments)
        .args(["--keyring-backend", "file", "--home"])
        .arg(home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_go_binary_works_on_what_we_wrote_and_back() {
    let Ok(peer) = std::env::var("VIRTENGINE_GO_PEER") else {
        eprintln!("skipped: VIRTENGINE_GO_PEER names no Cosmos SDK binary");
        return;
    };
    let home = TempDir::new().unwrap();
    let ours = file_keyring(home.path(), &[PASS, PASS]);
    ours.add("alice", mnemonic(ABANDON), &hd()).unwrap();
    ours.add("team/bob 1%", None, &hd()).unwrap();
    ours.rename("team/bob 1%", "bob").unwrap();
    let pass = format!("{PASS}\n");

    let outputs: Vec<_> = ours.list().unwrap().iter().map(|r| r.output(Prefix::Account)).collect();
    let (ok, listed) = go_keys(&peer, home.path(), &pass, &["list"]);
    assert!(ok);
    assert_eq!(listed.trim(), to_yaml(&outputs).trim());
    let (ok, shown) = go_keys(&peer, home.path(), &pass, &["show", ALICE, "--output", "json"]);
    assert!(ok);
    assert_eq!(shown.trim(), outputs[0].to_json());
    assert!(!go_keys(&peer, home.path(), "a wrong one\n", &["show", "alice"]).0);

    // Armour, both ways.
    let armor = home.path().join("bob.armor");
    let bob = ours.get("bob").unwrap().address();
    fs::write(&armor, ours.export_armored("bob", "armor-pass").unwrap()).unwrap();
    ours.delete("bob").unwrap();
    let (ok, _) = go_keys(&peer, home.path(), &format!("armor-pass\n{pass}"), &["import", "bob2", armor.to_str().unwrap()]);
    assert!(ok);
    assert_eq!(ours.get("bob2").unwrap().address(), bob);
    let (ok, _) = go_keys(&peer, home.path(), &pass, &["rename", "bob2", "carol", "--yes"]);
    assert!(ok);
    assert_eq!(ours.get(&bob.to_string()).unwrap().name, "carol");

    // A key that Go makes signs here; a key that we delete is gone there.
    let (ok, _) = go_keys(&peer, home.path(), &pass, &["add", "dave"]);
    assert!(ok);
    let (signature, public_key) = ours.sign("dave", b"message").unwrap();
    assert!(public_key.verify(b"message", &signature));
    ours.delete("dave").unwrap();
    assert!(!go_keys(&peer, home.path(), &pass, &["show", "dave"]).0);
}
