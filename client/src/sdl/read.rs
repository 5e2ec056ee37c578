//! Takes the values of a deployment file apart: what is wrong is noted with its place, and reading goes on, so that one
//! look at a file shows all its problems.

use super::Problem;
use super::yaml::{Entry, Node, Pos, Value};
use std::fmt::{Display, Write};

/// A value and what problems call it.
#[derive(Clone, Debug)]
pub(super) struct At<'a> {
    pub node: &'a Node,
    pub path: String,
    /// Where its key stands; the value itself when it has none.
    pub key: Pos,
}

impl<'a> At<'a> {
    pub fn root(node: &'a Node) -> Self {
        At { node, path: String::new(), key: node.pos }
    }

    /// The path of a key in this value.
    pub fn join(&self, key: &str) -> String {
        join(&self.path, key)
    }

    fn child(&self, entry: &'a Entry) -> At<'a> {
        At { node: &entry.value, path: self.join(&entry.key), key: entry.pos }
    }

    /// The text of a single value, else nothing.
    pub fn as_text(&self) -> &'a str {
        if let Value::Scalar { text, .. } = &self.node.value { text } else { "" }
    }

    pub fn is_null(&self) -> bool {
        matches!(self.node.value, Value::Null)
    }
}

/// A key's path; one that is not a plain name stands in quotes.
pub(super) fn join(path: &str, key: &str) -> String {
    let simple = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    let key = if simple { key.to_owned() } else { format!("{key:?}") };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

/// A mapping whose keys are all known.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    pub at: At<'a>,
    entries: &'a [Entry],
}

impl<'a> Fields<'a> {
    /// The value of a key, even if it is empty.
    pub fn raw(&self, key: &str) -> Option<At<'a>> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| self.at.child(entry))
    }

    /// The value of a key; one without a value counts as absent.
    pub fn get(&self, key: &str) -> Option<At<'a>> {
        self.raw(key).filter(|at| !at.is_null())
    }
}

/// What is wrong with a file so far.
#[derive(Debug)]
pub(super) struct Reader {
    pub problems: Vec<Problem>,
    /// Unknown keys, when they do not count as problems.
    pub warnings: Option<Vec<Problem>>,
}

impl Reader {
    pub fn problem(&mut self, pos: Pos, path: impl Into<String>, message: impl Into<String>) {
        let problem = Problem::new(pos, &path.into(), message.into());
        if self.problems.len() <= super::MAX_PROBLEMS && !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// The value is not what was expected. Shows a single value: not for what may be a secret.
    pub fn wrong(&mut self, at: &At, expected: impl Display) {
        let got = match &at.node.value {
            Value::Scalar { text, plain } => shown(text, *plain),
            _ => kind(at.node).to_owned(),
        };
        self.problem(at.node.pos, &at.path, format!("expected {expected}, got {got}"));
    }

    /// As `wrong`, without the value.
    pub fn wrong_kind(&mut self, at: &At, expected: impl Display) {
        self.problem(at.node.pos, &at.path, format!("expected {expected}, got {}", kind(at.node)));
    }

    /// A name should be one of `names`: `what`, then the names.
    pub fn unknown<'n>(&mut self, pos: Pos, path: &str, what: &str, got: &str, names: impl Iterator<Item = &'n str> + Clone) {
        if self.problems.len() <= super::MAX_PROBLEMS {
            self.problem(pos, path, format!("expected {what}{}, got {}", choices(got, names), shown(got, true)));
        }
    }

    /// A mapping with these keys only.
    pub fn fields<'a>(&mut self, at: &At<'a>, what: &str, known: &[&str]) -> Option<Fields<'a>> {
        let Value::Map(entries) = &at.node.value else {
            self.wrong_kind(at, format!("{what} (a mapping of {})", known.join(", ")));
            return None;
        };
        let unknown = |entry: &&Entry| !known.contains(&entry.key.as_str());
        for entry in entries.iter().filter(unknown).take(super::MAX_PROBLEMS) {
            let message = format!("expected {}, got an unknown key", choices(&entry.key, known.iter().copied()));
            let problem = Problem::new(entry.pos, &at.join(&entry.key), message);
            self.warnings.as_mut().unwrap_or(&mut self.problems).push(problem);
        }
        Some(Fields { at: at.clone(), entries })
    }

    /// The value of a required key.
    pub fn required<'a>(&mut self, fields: &Fields<'a>, key: &str, expected: impl Display) -> Option<At<'a>> {
        let value = fields.get(key);
        if value.is_none() {
            let pos = fields.raw(key).map_or(fields.at.key, |at| at.node.pos);
            self.problem(pos, fields.at.join(key), format!("expected {expected}, got nothing"));
        }
        value
    }

    /// A mapping with keys of the user's choice, at least one.
    pub fn named<'a>(&mut self, at: &At<'a>, what: &str) -> Vec<(&'a str, At<'a>)> {
        let Value::Map(entries) = &at.node.value else {
            self.wrong_kind(at, format!("a mapping of {what}"));
            return Vec::new();
        };
        if entries.is_empty() {
            self.problem(at.node.pos, &at.path, format!("expected a mapping of {what}, got an empty one"));
        }
        for entry in entries {
            if entry.key.is_empty() || entry.key.chars().any(char::is_control) {
                self.problem(entry.pos, at.join(&entry.key), "expected a name without control characters, got another key");
            }
        }
        entries.iter().map(|entry| (entry.key.as_str(), at.child(entry))).collect()
    }

    pub fn list<'a>(&mut self, at: &At<'a>, what: &str) -> Vec<At<'a>> {
        let Value::List(items) = &at.node.value else {
            self.wrong_kind(at, format!("a list of {what}"));
            return Vec::new();
        };
        let place = |(i, node): (usize, &'a std::rc::Rc<Node>)| At { node, path: format!("{}[{i}]", at.path), key: node.pos };
        items.iter().enumerate().map(place).collect()
    }

    /// Text, which a number or a boolean without quotes is as well.
    pub fn text<'a>(&mut self, at: &At<'a>, expected: impl Display) -> Option<&'a str> {
        let Value::Scalar { text, .. } = &at.node.value else {
            self.wrong_kind(at, expected);
            return None;
        };
        Some(text)
    }

    /// Text that passes `valid`.
    pub fn text_if<'a>(&mut self, at: &At<'a>, expected: impl Display, valid: impl Fn(&str) -> bool) -> Option<&'a str> {
        let text = self.text(at, &expected)?;
        if !valid(text) {
            self.wrong(at, expected);
            return None;
        }
        Some(text)
    }

    /// A list of texts, which may be secrets.
    pub fn texts(&mut self, at: &At, what: &str) -> Vec<String> {
        let items = self.list(at, &format!("{what}s"));
        items.iter().filter_map(|item| self.text(item, format!("a {what}"))).map(str::to_owned).collect()
    }

    /// One of a few words.
    pub fn word<'a>(&mut self, at: &At<'a>, words: &[&str]) -> Option<&'a str> {
        let text = self.text(at, words.join(" or "))?;
        if !words.contains(&text) {
            self.unknown(at.node.pos, &at.path, "", text, words.iter().copied());
            return None;
        }
        Some(text)
    }

    pub fn boolean(&mut self, at: &At, quoted: bool) -> Option<bool> {
        let value = match &at.node.value {
            Value::Scalar { text, plain } if *plain || quoted => match text.as_str() {
                "true" | "True" | "TRUE" => Some(true),
                "false" | "False" | "FALSE" => Some(false),
                _ => None,
            },
            _ => None,
        };
        if value.is_none() {
            self.wrong(at, "true or false");
        }
        value
    }

    /// A whole number without quotes.
    pub fn integer(&mut self, at: &At, min: u32, max: u32) -> Option<u32> {
        let value = match &at.node.value {
            Value::Scalar { text, plain: true } if digits(text) => text.parse().ok(),
            _ => None,
        };
        let value = value.filter(|value| (min..=max).contains(value));
        if value.is_none() {
            self.wrong(at, format!("a whole number from {min} to {max}"));
        }
        value
    }

    /// Milli-CPU of `0.5`, `1` or `500m`; what is less than a milli-CPU is dropped.
    pub fn cpu(&mut self, at: &At) -> Option<u64> {
        const EXPECTED: &str = "CPUs such as 0.5, 1 or 500m, at least 1m";
        let text = self.text(at, EXPECTED)?;
        let milli = match text.strip_suffix('m') {
            Some(milli) => atto(milli).filter(|_| digits(milli)).map(|atto| atto / ATTO),
            None => atto(text).map(|atto| atto / (ATTO / 1000)),
        };
        self.amount(at, milli, EXPECTED)
    }

    /// Bytes of `512Mi`, `1.5G` or `1073741824`; a fraction of a byte is dropped.
    pub fn bytes(&mut self, at: &At) -> Option<u64> {
        const EXPECTED: &str = "a size such as 512Mi or 1G (suffixes k, M, G, T, P, E, Ki, Mi, Gi, Ti, Pi, Ei), at least 1 byte";
        let text = self.text(at, EXPECTED)?;
        let bytes = scaled(text, &SIZES);
        self.amount(at, bytes, EXPECTED)
    }

    fn amount(&mut self, at: &At, value: Option<u128>, expected: &str) -> Option<u64> {
        // Half of u64: sums and products of a few such numbers are the callers' to check, plain comparison is safe.
        let value = value.and_then(|value| u64::try_from(value).ok()).filter(|value| (1..1 << 63).contains(value));
        if value.is_none() {
            self.wrong(at, expected);
        }
        value
    }
}

/// Decimals are kept in units of 10⁻¹⁸.
pub(super) const ATTO: u128 = 1_000_000_000_000_000_000;

const SIZES: [(&str, u32, u128); 13] = [
    ("Ki", 10, 1),
    ("Mi", 20, 1),
    ("Gi", 30, 1),
    ("Ti", 40, 1),
    ("Pi", 50, 1),
    ("Ei", 60, 1),
    ("k", 0, 1_000),
    ("M", 0, 1_000_000),
    ("G", 0, 1_000_000_000),
    ("T", 0, 1_000_000_000_000),
    ("P", 0, 1_000_000_000_000_000),
    ("E", 0, 1_000_000_000_000_000_000),
    ("", 0, 1),
];

/// A decimal with a suffix from a table of suffix, power of two and factor.
fn scaled(text: &str, units: &[(&str, u32, u128)]) -> Option<u128> {
    let (number, shift, factor) = units.iter().find_map(|(suffix, shift, factor)| Some((text.strip_suffix(suffix)?, *shift, *factor)))?;
    Some(atto(number)?.checked_mul(factor << shift)? / ATTO)
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// An unsigned decimal such as `12` or `0.5` in units of 10⁻¹⁸: below 2⁶⁴, at most 18 decimals, nothing rounded.
pub(super) fn atto(text: &str) -> Option<u128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if !digits(whole) || !digits(fraction) || fraction.len() > 18 {
        return None;
    }
    let whole = u128::from(whole.parse::<u64>().ok()?);
    Some(whole * ATTO + format!("{fraction:0<18}").parse::<u128>().ok()?)
}

/// `one of a, b` for a message, with the nearest to what was given.
fn choices<'n>(got: &str, names: impl Iterator<Item = &'n str> + Clone) -> String {
    const SHOWN: usize = 24;
    const COMPARED: usize = 100;
    let mut text = String::new();
    let count = names.clone().count();
    for (i, name) in names.clone().take(SHOWN).enumerate() {
        let _ = match i {
            0 if count == 1 => write!(text, "{name}"),
            0 => write!(text, "one of {name}"),
            _ => write!(text, ", {name}"),
        };
    }
    if count == 0 {
        text.push_str("none, as none is declared");
    } else if count > SHOWN {
        text.push_str(", …");
    }
    let lower = got.to_lowercase();
    let nearest = names.take(COMPARED).map(|name| (strsim::osa_distance(&lower, &name.to_lowercase()), name)).min();
    match nearest {
        Some((distance, name)) if count > 1 && !got.is_empty() && distance <= (got.chars().count() / 3).max(1) => {
            format!("{text} (did you mean {name}?)")
        }
        _ => text,
    }
}

/// A value in a message: short, on one line, quoted as it was.
fn shown(text: &str, plain: bool) -> String {
    const SHOWN: usize = 60;
    let short: String = text.chars().take(SHOWN).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    if plain && !text.chars().any(char::is_control) { format!("{short}{dots}") } else { format!("{short:?}{dots}") }
}

fn kind(node: &Node) -> &'static str {
    match node.value {
        Value::Null => "nothing",
        Value::Scalar { .. } => "a single value",
        Value::List(_) => "a list",
        Value::Map(_) => "a mapping",
    }
}
