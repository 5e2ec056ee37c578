//! Rules of the house that no linter knows.

use e2e::{root, run};
use std::process::Command;

/// The files of the project: committed, or about to be.
fn files() -> Vec<String> {
    let list =
        run(Command::new("git").arg("-C").arg(root()).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]), "").ok();
    list.split('\0').filter(|f| !f.is_empty()).map(Into::into).collect()
}

#[test]
fn no_file_speaks_of_the_machine_it_was_written_on() {
    // Put together here, so that this file does not name them.
    let words = ["/ro", "/wo"].map(|w| format!("{w}{}/", if w == "/ro" { "ot" } else { "rk" }));
    for file in files() {
        let Ok(text) = std::fs::read_to_string(root().join(&file)) else { continue };
        for (number, line) in text.lines().enumerate() {
            assert!(words.iter().all(|w| !line.contains(w.as_str())), "{file}:{}: {line}", number + 1);
        }
    }
}

#[test]
fn the_scripts_pass_shellcheck() {
    let scripts: Vec<_> = files().into_iter().filter(|f| f.ends_with(".sh") || f == ".ci/run").collect();
    assert!(!scripts.is_empty());
    let checked =
        run(Command::new("shellcheck").current_dir(root()).arg("--external-sources").arg("--source-path=SCRIPTDIR").args(scripts), "");
    assert_eq!(checked.code, Some(0), "{}", checked.stdout);
}

#[test]
fn every_planted_bug_can_be_planted() {
    for patch in files().into_iter().filter(|f| f.ends_with(".patch")) {
        let planted = run(Command::new("git").arg("-C").arg(root()).args(["apply", "--check", "--recount", &patch]), "");
        assert_eq!(planted.code, Some(0), "{patch}: {}", planted.stderr);
    }
}

#[test]
fn what_the_documents_link_to_is_there() {
    for file in files().into_iter().filter(|f| f.ends_with(".md")) {
        let text = std::fs::read_to_string(root().join(&file)).expect("a document");
        let folder = root().join(&file).parent().expect("a folder").to_path_buf();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            let local = !target.is_empty() && !target.contains("://");
            assert!(!local || folder.join(target).exists(), "{file} links to {target}");
        }
    }
}

/// The fields of each event that the protos define.
fn events() -> Vec<(String, Vec<String>)> {
    let mut all = Vec::new();
    for file in files().into_iter().filter(|f| f.starts_with("proto/virtengine/") && f.ends_with(".proto")) {
        let text = std::fs::read_to_string(root().join(&file)).expect("a proto");
        for message in text.split("\nmessage Event").skip(1) {
            let (name, rest) = message.split_once(" {").expect("a message");
            let body = rest.split("\n}").next().expect("its end");
            let field = |line: &str| Some(line.trim().split_once(" = ")?.0.split(' ').next_back()?.to_string());
            all.push((format!("Event{name}"), body.lines().filter(|l| !l.trim().starts_with("//")).filter_map(field).collect()));
        }
    }
    all
}

#[test]
fn every_event_is_documented_with_its_fields() {
    let docs = std::fs::read_to_string(root().join("docs/events.md")).expect("docs/events.md");
    let events = events();
    for (name, fields) in &events {
        let row = docs.lines().find(|l| l.starts_with(&format!("| `{name}` |"))).unwrap_or_else(|| panic!("{name} has no row"));
        let listed = row.trim_end_matches(" |").rsplit(" | ").next().expect("the last column");
        assert_eq!(listed, fields.iter().map(|f| format!("`{f}`")).collect::<Vec<_>>().join(", "), "{name}");
    }
    assert_eq!(docs.lines().filter(|l| l.starts_with("| `Event")).count(), events.len(), "rows for events that there are not");
}
