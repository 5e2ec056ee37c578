//! Deployment files: a corpus of right and wrong ones beside this file, prices, hostile input.
//!
//! `SDL_WRITE=1 cargo test --test sdl` writes what is expected of new corpus files, to be read before it is kept.

use client::sdl::{EndpointKind, GroupSpec, Problem, Sdl, canonical_json, hash_manifest};
use proptest::prelude::*;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const LAB: &str = include_str!("sdl/valid/lab/input.yaml");

fn corpus(kind: &str) -> Vec<PathBuf> {
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdl").join(kind))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    paths
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn listed(problems: &[Problem], file: &Path) -> String {
    let name = file.file_name().unwrap().to_string_lossy();
    problems.iter().map(|problem| problem.in_file(&name) + "\n").collect()
}

fn parse(text: &str) -> Sdl {
    Sdl::parse(text).unwrap_or_else(|problems| panic!("{}", listed(&problems, Path::new("input.yaml"))))
}

fn refused(text: &str) -> String {
    listed(&Sdl::parse(text).expect_err("a wrong file was accepted"), Path::new("f.yaml"))
}

fn specs(text: &str) -> Vec<GroupSpec> {
    parse(text).specs().unwrap_or_else(|problems| panic!("{}", listed(&problems, Path::new("input.yaml"))))
}

/// What a corpus file should turn into; `found` is kept if there is nothing yet and this is asked for.
fn expected(path: &Path, found: &str) -> String {
    if std::env::var_os("SDL_WRITE").is_some() && !path.exists() {
        fs::write(path, found).unwrap();
    }
    read(path)
}

fn turns_into_what_stands_beside_it(folder: &Path) {
    let sdl = parse(&read(&folder.join("input.yaml")));
    for (name, value) in [("group-specs.json", sdl.groups()), ("manifest.json", sdl.manifest())] {
        let path = folder.join(name);
        let expected: Value = serde_json::from_str(&expected(&path, &format!("{value:#}\n"))).unwrap();
        assert!(value == expected, "{}:\n{value:#}\nis not\n{expected:#}", path.display());
    }
    assert_eq!(sdl.manifest_hash(), hash_manifest(&serde_json::from_str(&read(&folder.join("manifest.json"))).unwrap()));
}

#[test]
fn each_valid_file_turns_into_the_groups_and_the_manifest_beside_it() {
    for folder in corpus("valid") {
        turns_into_what_stands_beside_it(&folder);
    }
}

#[test]
fn each_invalid_file_is_refused_with_the_errors_beside_it() {
    for path in corpus("invalid").iter().filter(|path| path.extension().is_some_and(|ext| ext == "yaml")) {
        let Err(problems) = Sdl::parse(&read(path)) else { panic!("{} was accepted", path.display()) };
        let found = listed(&problems, path);
        assert_eq!(found, expected(&path.with_extension("txt"), &found), "{}", path.display());
    }
}

#[test]
fn the_shared_conformance_files_are_understood_where_they_are() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/conformance/sdl");
    if !folder.exists() {
        println!("skipped: {} does not exist", folder.display());
        return;
    }
    files(&folder.join("valid")).iter().for_each(|folder| turns_into_what_stands_beside_it(folder));
    for path in files(&folder.join("invalid")) {
        let Err(problems) = Sdl::parse(&read(&path)) else { panic!("{} was accepted", path.display()) };
        print!("{}", listed(&problems, &path));
        for problem in problems {
            assert!(!problem.path.is_empty() && problem.message.starts_with("expected "), "{problem}");
        }
    }
}

#[test]
fn the_labs_file_is_half_a_cpu_and_100_uve_per_hour() {
    let [group] = &specs(LAB)[..] else { panic!("one group expected") };
    assert_eq!((group.name.as_str(), group.attributes.as_slice()), ("dcloud", &[("region".into(), "local".into())][..]));
    assert_eq!((group.price.denom.as_str(), group.price.amount), ("uve", 100));
    let [unit] = &group.resources[..] else { panic!("one resource expected") };
    assert_eq!((unit.id, unit.count, unit.gpu_units), (1, 1, 0));
    assert_eq!((unit.cpu_milli, unit.memory_bytes, unit.storage[0].size_bytes), (500, 536_870_912, 1_073_741_824));
    assert_eq!(unit.endpoints.iter().map(|e| (e.kind, e.sequence_number)).collect::<Vec<_>>(), [(EndpointKind::SharedHttp, 0)]);
}

#[test]
fn the_manifest_hash_is_that_of_json_with_sorted_keys_and_no_white_space() {
    let value: Value = serde_json::from_str(r#"{ "b": [1, {"z": null, "a": "é\n\""}], "a": true }"#).unwrap();
    assert_eq!(canonical_json(&value), r#"{"a":true,"b":[1,{"a":"é\n\"","z":null}]}"#);
    let hex: String = parse(LAB).manifest_hash().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "3c67ca15976d902a2aa24beb2e87833ca31d720b54d4350f28cba4281b8239dd");
}

#[test]
fn only_what_the_provider_runs_changes_the_manifest_hash() {
    let hash = |from: &str, to: &str| parse(&LAB.replace(from, to)).manifest_hash();
    let original = parse(LAB).manifest_hash();
    assert_eq!(hash("amount: 100", "amount: 200"), original);
    assert_eq!(hash("version", "# a comment\nversion"), original);
    assert_ne!(hash("nginx:alpine", "nginx:1"), original);
}

/// Two services in one group, each with its amount and count.
fn two_services(one: (&str, u32), two: (&str, u32)) -> String {
    include_str!("sdl/valid/shared-profile-2.0/input.yaml")
        .replace("    node:\n      resources:", "    node: &node\n      resources:")
        .replace("  placement:", "    other: *node\n  placement:")
        .replace("33.333333333333333333\n", &format!("{}\n        other: {{denom: uve, amount: {}}}\n", one.0, two.0))
        .replace("profile: node\n      count: 1", &format!("profile: other\n      count: {}", two.1))
        .replace("profile: node\n      count: 2", &format!("profile: node\n      count: {}", one.1))
}

#[test]
fn a_groups_price_is_the_sum_of_amounts_by_counts_rounded_up_once() {
    let price = |one, two| specs(&two_services(one, two))[0].price.amount;
    assert_eq!(price(("0.3", 1), ("0.3", 2)), 1, "each rounded up would be 3");
    assert_eq!(price(("0.1", 10), ("1", 1)), 2, "0.1 × 10 is 1 exactly");
    assert_eq!(price(("0.000000000000000001", 1), ("1", 1)), 2);
    assert_eq!(price(("33.333333333333333333", 3), ("0", 1)), 100);
    assert_eq!(price(("18446744073709551614", 1), ("0.5", 2)), u64::MAX);
    assert_eq!(specs(include_str!("sdl/valid/shared-profile-2.1/input.yaml"))[0].price.amount, 100);
}

#[test]
fn a_group_that_costs_nothing_or_more_than_64_bits_is_refused_for_the_chain() {
    for (amount, got) in [("0", "got 0"), ("18446744073709551615", "got more")] {
        let problems = parse(&two_services((amount, 2), (amount, 1))).specs().unwrap_err();
        let listed = listed(&problems, Path::new("f"));
        assert!(listed.contains("profiles.placement.anywhere.pricing.") && listed.trim_end().ends_with(got), "{listed}");
    }
    let most = two_services(("18446744073709551615.999999999999999999", u32::MAX), ("0", 1));
    assert!(parse(&most).specs().is_err());
}

#[test]
fn another_denomination_is_kept_as_written_and_refused_for_the_chain() {
    let sdl = parse(&LAB.replace("uve", "uakt"));
    assert_eq!(sdl.groups()[0]["resources"][0]["price"]["denom"], "uakt");
    let problems = sdl.specs().unwrap_err();
    assert_eq!(
        listed(&problems, Path::new("f.yaml")),
        "f.yaml:25:18: profiles.placement.dcloud.pricing.web.denom: expected uve, got uakt\n"
    );
}

#[test]
fn a_reclamation_window_is_told_in_seconds() {
    assert_eq!(parse(include_str!("sdl/valid/registry/input.yaml")).reclamation_seconds(), Some(5400));
    assert_eq!(parse(LAB).reclamation_seconds(), None);
    assert!(Sdl::parse(&format!("{LAB}reclamation: {{min_window: 99999999999999999999h}}")).is_err());
    assert!(Sdl::parse(&format!("{LAB}reclamation: {{min_window: 9999999999999999h}}")).is_err());
    let year = |more: &str| format!("{LAB}reclamation: {{min_window: 8760h{more}}}\n");
    assert_eq!(parse(&year("")).reclamation_seconds(), Some(365 * 86_400));
    assert!(
        refused(&year("1s")).contains("reclamation.min_window: expected a time such as 24h, 1h30m or 90s, more than 0 and at most 8760h")
    );
}

#[test]
fn groups_come_in_the_order_of_their_names() {
    let places = "    zeta: &place {pricing: {web: {denom: uve, amount: 1}}}\n    alpha: *place\n";
    let uses = "    zeta: {profile: web, count: 1}\n    alpha: {profile: web, count: 1}\n";
    let text = LAB
        .replace("    dcloud:\n      profile: web\n      count: 1\n", uses)
        .replace("  placement:\n", &format!("  placement:\n{places}"));
    let names: Vec<_> = specs(&text).into_iter().map(|group| group.name).collect();
    assert_eq!(names, ["alpha", "zeta"]);
}

#[test]
fn a_byte_order_mark_is_skipped_and_a_nul_character_refused_where_it_stands() {
    assert_eq!(parse(&format!("\u{feff}{LAB}")).manifest(), parse(LAB).manifest());
    assert_eq!(refused(&LAB.replace("nginx:alpine", "é\0")), "f.yaml:4:13: expected text, got a NUL character\n");
    assert_eq!(
        refused(&format!("{LAB}\0services: [")),
        format!("f.yaml:{}:1: expected text, got a NUL character\n", LAB.lines().count() + 1)
    );
}

#[test]
fn lenient_reading_warns_of_unknown_keys_and_refuses_the_rest() {
    let text = LAB.replace("    image:", "    restart: always\n    image:");
    assert!(refused(&text).contains("services.web.restart: expected one of image"));
    let (sdl, warnings) = Sdl::parse_lenient(&text).unwrap();
    assert_eq!(sdl.manifest(), parse(LAB).manifest());
    assert_eq!((warnings.len(), warnings[0].path.as_str(), warnings[0].line), (1, "services.web.restart", 4));
    let problems = Sdl::parse_lenient(&text.replace("port: 80", "port: 0")).unwrap_err();
    assert_eq!((problems.len(), problems[0].path.as_str()), (1, "services.web.expose[0].port"));
}

#[test]
fn secrets_stand_in_no_error_and_no_debug_output() {
    const SECRET: &str = "hunter2hunter2";
    let broken = [
        format!("env: PASSWORD={SECRET}"),
        format!("env: [{{PASSWORD: {SECRET}}}]"),
        format!("env: [{SECRET} =x]"),
        format!("env: [[{SECRET}]]"),
        format!("args: {SECRET}"),
        format!("command: {{sh: {SECRET}}}"),
        format!("credentials: {SECRET}"),
        format!("credentials: {{host: h, username: u, password: [{SECRET}]}}"),
        format!("credentials: {{host: h, username: u, password: {SECRET}, password: {SECRET}}}"),
        format!("credentials: {{host: h, username: u, passwort: {SECRET}}}"),
        format!("credentials: {{host: h, username: u, password: !secret {SECRET}}}"),
    ];
    for line in broken {
        let errors = refused(&LAB.replace("    image:", &format!("    {line}\n    image:")));
        assert!(!errors.contains(SECRET) && errors.contains("services.web."), "{errors}");
    }
    let line = format!("    env: [A={SECRET}]\n    credentials: {{host: h, username: u, password: {SECRET}}}\n    image:");
    assert!(!format!("{:?}", parse(&LAB.replace("    image:", &line))).contains(SECRET));
}

#[test]
fn no_more_than_a_hundred_problems_are_listed() {
    let ports = "      - port: 0\n".repeat(500);
    let problems = Sdl::parse(&LAB.replace("      - port: 80\n", &format!("{ports}      - port: 80\n"))).unwrap_err();
    assert_eq!(problems.len(), 101);
    assert_eq!(problems[100].message, "expected fewer problems, got more than are shown");
}

/// Files made to cost time or memory.
fn hostile() -> Vec<(&'static str, String)> {
    let bomb = (1..12).fold("a0: &a0 [x, x, x, x, x, x, x, x]\n".to_owned(), |text, i| {
        text + &format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 9].join(", "))
    });
    let merges = (1..30).fold("a0: &a0 {k: v}\n".to_owned(), |text, i| {
        text + &format!("a{i}: &a{i} {{<<: [*a{0}, *a{0}], k{i}: [*a{0}, *a{0}]}}\n", i - 1)
    });
    let wide = |line: &dyn Fn(usize) -> String, count| (0..count).map(line).collect::<String>();
    let everywhere = |count| {
        let expose: String = wide(&|i| format!("      - {{port: {}, accept: [h{i}.example.org], to: [{{global: true}}]}}\n", i + 1), 400);
        let places = wide(&|i| format!("    p{i}: {{pricing: {{web: {{denom: uve, amount: 1}}}}}}\n"), count);
        let uses = wide(&|i| format!("    p{i}: {{profile: web, count: 1}}\n"), count);
        LAB.replace("      - port: 80\n        to:\n          - global: true\n", &expose)
            .replace("    dcloud:\n      profile: web\n      count: 1\n", &uses)
            .replace("  placement:\n", &format!("  placement:\n{places}"))
    };
    vec![
        ("aliases of aliases", bomb),
        ("merges of merges", merges),
        ("a merge of many", format!("a: &a {{{}}}\nb: {{<<: [{}]}}", wide(&|i| format!("k{i}: v, "), 5000), vec!["*a"; 5000].join(", "))),
        ("nested lists", "[".repeat(200_000)),
        ("nested mappings", "{a: ".repeat(50_000)),
        ("nested blocks", wide(&|i| format!("{}- a:\n", " ".repeat(i)), 700)),
        ("dashes", "- ".repeat(120_000)),
        ("question marks", "? ".repeat(120_000)),
        ("flow keys", "{? ".repeat(80_000)),
        ("a long key", format!("{}: x", "k".repeat(250_000))),
        ("a long plain text", "word ".repeat(50_000)),
        ("a long quoted text", format!("\"{}\"", "\\x41".repeat(60_000))),
        ("an open quote", format!("a: \"{}", "b\n".repeat(100_000))),
        ("many anchors", wide(&|i| format!("- &a{i} x\n"), 18_000)),
        ("many keys", wide(&|i| format!("k{i}: v\n"), 19_000)),
        ("many equal keys", "k: v\n".repeat(19_000)),
        (
            "many unknown names",
            LAB.replace(
                "    dcloud:\n      profile",
                &(wide(&|i| format!("    q{i:0>80}: {{profile: w{i:0>80}, count: 1}}\n"), 1000) + "    dcloud:\n      profile"),
            ),
        ),
        ("many tags", "!!str ".repeat(40_000)),
        ("a comment", format!("#{}", "c".repeat(260_000))),
        ("too long", " ".repeat(300_000)),
        ("a huge number", LAB.replace("0.5", &"9".repeat(200_000))),
        ("a service everywhere", everywhere(1000)),
        ("null characters", "\0".repeat(200_000)),
        ("percent signs", "%\n".repeat(100_000)),
        ("colons", ": ".repeat(120_000)),
        ("carriage returns", "a\r".repeat(120_000)),
    ]
}

#[test]
fn hostile_files_are_refused_quickly() {
    for (name, text) in hostile() {
        let start = Instant::now();
        let problems = Sdl::parse(&text).expect_err(name);
        let took = start.elapsed();
        assert!(took < Duration::from_secs(1), "{name} took {took:?}");
        assert!(problems.iter().all(|problem| problem.message.len() < 5000 && problem.path.len() < 20_000), "{name}");
    }
}

/// Parsing must end, whatever the bytes, and what it accepts must survive being turned into anything.
fn survives(text: &str) {
    for sdl in [Sdl::parse(text).ok(), Sdl::parse_lenient(text).ok().map(|(sdl, _)| sdl)].into_iter().flatten() {
        let _ = (sdl.groups(), sdl.manifest_hash(), sdl.specs());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        survives(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn random_yaml_never_panics(tokens in prop::collection::vec(prop::sample::select(TOKENS), 0..80)) {
        survives(&tokens.concat());
    }

    #[test]
    fn a_spoilt_file_never_panics(
        file in prop::sample::select(corpus("valid")),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..12usize, prop::sample::select(TOKENS)), 1..6),
    ) {
        let mut text: Vec<char> = read(&file.join("input.yaml")).chars().collect();
        for (at, cut, token) in edits {
            let at = at.index(text.len() + 1);
            let end = (at + cut).min(text.len());
            text.splice(at..end, token.chars());
        }
        survives(&text.into_iter().collect::<String>());
    }
}

const TOKENS: &[&str] = &[
    "",
    " ",
    "  ",
    "\n",
    "\n  ",
    "\n    ",
    "- ",
    "? ",
    ": ",
    ":",
    ",",
    "[",
    "]",
    "{",
    "}",
    "&a ",
    "*a",
    "<<: *a",
    "!!str ",
    "!x ",
    "|\n",
    ">-\n",
    "\"",
    "'",
    "#",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "\t",
    "\r\n",
    "\u{feff}",
    "\u{85}",
    "\0",
    "é",
    "\\u0041",
    "~",
    "null",
    "0",
    "-1",
    "99999999999999999999",
    "0.5",
    "500m",
    "1Gi",
    "true",
    "version: \"2.1\"\n",
    "services:\n",
    "image: a\n",
    "expose:",
    "port: 80",
    "cpu",
    "units",
    "count: 4294967295",
    "uve",
];
