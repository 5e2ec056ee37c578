//! YAML as Go's Cosmos command lines print it.

use proto::yaml;
use serde_json::{Value, json};

#[test]
fn keys_are_sorted_and_lists_stand_under_their_key() {
    let balances = json!({ "pagination": { "total": "0", "next_key": null }, "balances": [{ "denom": "uve", "amount": "200000000000" }] });
    let expected = "balances:\n- amount: \"200000000000\"\n  denom: uve\npagination:\n  next_key: null\n  total: \"0\"\n";
    assert_eq!(yaml::to_string(&balances), expected);
}

#[test]
fn shapes_are_those_of_go() {
    let cases: [(Value, &str); 9] = [
        (json!({ "a": [], "b": {}, "c": null, "z": true, "f": 1.5, "g": -3 }), "a: []\nb: {}\nc: null\nf: 1.5\ng: -3\nz: true\n"),
        (json!({ "d": [[1, 2], [3]], "e": [{ "x": { "y1": [1] } }] }), "d:\n- - 1\n  - 2\n- - 3\ne:\n- x:\n    y1:\n    - 1\n"),
        (json!([1, "a", null, { "b": [], "c": {} }]), "- 1\n- a\n- null\n- b: []\n  c: {}\n"),
        (json!([[], {}, [[]]]), "- []\n- {}\n- - []\n"),
        (json!([]), "[]\n"),
        (json!("x"), "x\n"),
        (json!({ "a": ["x\ny", { "k": "x\ny\n" }] }), "a:\n- |-\n  x\n  y\n- k: |\n    x\n    y\n"),
        (json!({ "k": "\na" }), "k: |2-\n\n  a\n"),
        (json!({ "@type": 1, "y": 2, "-": 3 }), "'-': 3\n'@type': 1\n\"y\": 2\n"),
    ];
    for (value, expected) in cases {
        assert_eq!(yaml::to_string(&value), expected);
    }
}

#[test]
fn text_that_would_read_as_something_else_is_quoted() {
    let double = [
        "",
        "~",
        "null",
        "true",
        "yes",
        "No",
        "n",
        "on",
        "1",
        "-1",
        "+1",
        "1.5",
        ".5",
        "5.",
        "0x1f",
        "0b1",
        "0o7",
        "017",
        "1e3",
        "1_000",
        ".inf",
        "-.inf",
        ".nan",
        "12:30",
        "2024-01-02",
        "2024-01-02T03:04:05Z",
        "200000000000",
    ];
    for s in double {
        assert_eq!(yaml::to_string(&json!({ "k": s })), format!("k: \"{s}\"\n"));
    }
    let single = [
        "a: b", "a #b", "#a", "- a", "-", "?", ": a", "*a", "&a", "!a", "|", ">", "%a", "@a", "`a", "\"a", "{a", "[a", "{}", " a", "a ",
        "---", "...",
    ];
    for s in single {
        assert_eq!(yaml::to_string(&json!({ "k": s })), format!("k: '{s}'\n"));
    }
    let plain = [
        "uve",
        "a:b",
        "a#b",
        "-a",
        ":a",
        "it's",
        "a]",
        "a,b",
        "日本",
        "=",
        "/cosmos.bank.v1beta1.MsgSend",
        "virtengine1abc",
        "MA==",
        "0123abc",
        "0x",
        "inf",
        "_1",
    ];
    for s in plain {
        assert_eq!(yaml::to_string(&json!({ "k": s })), format!("k: {s}\n"));
    }
    assert_eq!(yaml::to_string(&json!({ "k": "'a" })), "k: '''a'\n");
    assert_eq!(yaml::to_string(&json!({ "k": "tab\tb" })), "k: \"tab\\tb\"\n");
    assert_eq!(yaml::to_string(&json!({ "k": "trail \nnext" })), "k: \"trail \\nnext\"\n");
}
