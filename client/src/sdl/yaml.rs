//! YAML text as a tree that remembers where each value stands, within bounds: a hostile file is refused before it costs
//! memory or time.

use super::Problem;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A file is at most this long; what it turns into must fit a 64 KiB envelope.
pub(super) const MAX_BYTES: usize = 256 * 1024;
/// Nesting of lists and mappings. A deployment file needs eleven.
const MAX_DEPTH: usize = 32;
/// Values in the tree, every use of an alias counted in full.
const MAX_NODES: usize = 20_000;
/// Characters of a mapping's key.
const MAX_KEY: usize = 128;

/// Line and column, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pos {
    pub line: usize,
    pub column: usize,
}

impl From<Marker> for Pos {
    fn from(marker: Marker) -> Self {
        Pos { line: marker.line(), column: marker.col() + 1 }
    }
}

#[derive(Debug)]
pub(super) struct Node {
    pub pos: Pos,
    pub value: Value,
    /// Values in this tree, itself included.
    size: usize,
}

#[derive(Debug)]
pub(super) enum Value {
    Null,
    /// `plain` is text without quotes, which YAML may take for a number or a boolean.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Rc<Node>>),
    Map(Vec<Entry>),
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub key: String,
    pub pos: Pos,
    pub value: Rc<Node>,
}

/// A list or mapping whose end has not been read.
struct Open {
    pos: Pos,
    anchor: usize,
    size: usize,
    items: Items,
}

enum Items {
    List(Vec<Rc<Node>>),
    Map { entries: Vec<Entry>, first: BTreeMap<String, usize>, key: Option<(String, Pos)>, merged: Vec<Entry> },
}

/// Reads the one document of `text`. A file that is not YAML, or too large, has no tree; duplicate keys leave one.
pub(super) fn load(text: &str, problems: &mut Vec<Problem>) -> Option<Rc<Node>> {
    if text.len() > MAX_BYTES {
        problems.push(Problem::new(
            Pos { line: 1, column: 1 },
            "",
            format!("expected a file of at most {MAX_BYTES} bytes, got {}", text.len()),
        ));
        return None;
    }
    // Editors put one there; it is no part of the text.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // The parser takes it for the end of the file.
    if let Some(at) = text.find('\0') {
        let before = &text[..at];
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        let pos = Pos { line: before.matches('\n').count() + 1, column: before[start..].chars().count() + 1 };
        problems.push(Problem::new(pos, "", "expected text, got a NUL character".to_owned()));
        return None;
    }
    let mut loader = Loader { problems, open: Vec::new(), anchors: BTreeMap::new(), nodes: 0, root: None };
    if let Err((pos, message)) = loader.run(text) {
        let problem = Problem::new(pos, &loader.path(), message);
        loader.problems.push(problem);
        return None;
    }
    loader.root
}

struct Loader<'p> {
    problems: &'p mut Vec<Problem>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Rc<Node>>,
    nodes: usize,
    root: Option<Rc<Node>>,
}

/// Errors end the reading; the loader knows their path.
type Outcome<T = ()> = Result<T, (Pos, String)>;

fn fault<T>(pos: Pos, message: impl Into<String>) -> Outcome<T> {
    Err((pos, message.into()))
}

impl Loader<'_> {
    fn run(&mut self, text: &str) -> Outcome {
        for event in Parser::new_from_str(text) {
            let (event, span) = match event {
                Ok(event) => event,
                Err(error) => {
                    return fault((*error.marker()).into(), format!("not valid YAML: {}", error.info()));
                }
            };
            let pos = Pos::from(span.start);
            match event {
                Event::DocumentStart(_) if self.root.is_some() => {
                    return fault(pos, "expected one YAML document, got another");
                }
                Event::Scalar(text, style, anchor, tag) => {
                    let text_tag = check_tag(tag, pos, &["str", "int", "float", "bool", "null"])?;
                    self.scalar(text, style == ScalarStyle::Plain && !text_tag, anchor, pos)?;
                }
                Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                    Some(node) => self.attach(node, pos)?,
                    None => {
                        return fault(pos, "expected an alias of a complete value, got one that contains itself");
                    }
                },
                Event::SequenceStart(anchor, tag) => {
                    check_tag(tag, pos, &["seq"])?;
                    self.open(pos, anchor, Items::List(Vec::new()))?;
                }
                Event::MappingStart(anchor, tag) => {
                    check_tag(tag, pos, &["map"])?;
                    let (entries, merged) = (Vec::new(), Vec::new());
                    self.open(pos, anchor, Items::Map { entries, first: BTreeMap::new(), key: None, merged })?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.close()?,
                _ => {}
            }
        }
        match self.root {
            Some(_) => Ok(()),
            None => fault(Pos { line: 1, column: 1 }, "expected a deployment file, got an empty one"),
        }
    }

    /// The path of the value being read.
    fn path(&self) -> String {
        let mut path = String::new();
        for open in &self.open {
            match &open.items {
                Items::List(items) => path.push_str(&format!("[{}]", items.len())),
                Items::Map { key: Some((key, _)), .. } => path = super::read::join(&path, key),
                Items::Map { key: None, .. } => {}
            }
        }
        path
    }

    fn scalar(&mut self, text: Cow<str>, plain: bool, anchor: usize, pos: Pos) -> Outcome {
        if let Some(Open { items: Items::Map { key: key @ None, .. }, .. }) = self.open.last_mut() {
            if text.chars().nth(MAX_KEY).is_some() {
                return fault(pos, format!("expected a key of at most {MAX_KEY} characters, got a longer one"));
            }
            *key = Some((text.into_owned(), pos));
            return Ok(());
        }
        let value = match text.as_ref() {
            "" | "~" | "null" | "Null" | "NULL" if plain => Value::Null,
            _ => Value::Scalar { text: text.into_owned(), plain },
        };
        self.complete(Node { pos, value, size: 1 }, anchor)
    }

    fn open(&mut self, pos: Pos, anchor: usize, items: Items) -> Outcome {
        if self.open.len() == MAX_DEPTH {
            return fault(pos, format!("expected at most {MAX_DEPTH} nested lists and mappings, got more"));
        }
        if let Some(Open { items: Items::Map { key: None, .. }, .. }) = self.open.last() {
            return fault(pos, "expected a name as key, got a list or mapping");
        }
        self.open.push(Open { pos, anchor, size: 1, items });
        Ok(())
    }

    fn close(&mut self) -> Outcome {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let value = match open.items {
            Items::List(items) => Value::List(items),
            Items::Map { mut entries, first, merged, .. } => {
                // A merged key yields to the mapping's own and to those merged before it.
                let mut known: std::collections::BTreeSet<String> = first.into_keys().collect();
                entries.extend(merged.into_iter().filter(|entry| known.insert(entry.key.clone())));
                Value::Map(entries)
            }
        };
        self.complete(Node { pos: open.pos, value, size: open.size }, open.anchor)
    }

    fn complete(&mut self, node: Node, anchor: usize) -> Outcome {
        let (pos, node) = (node.pos, Rc::new(node));
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        self.attach(node, pos)
    }

    /// Puts a complete value, or one that an alias repeats, where it belongs.
    fn attach(&mut self, node: Rc<Node>, pos: Pos) -> Outcome {
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        parent.size = parent.size.saturating_add(node.size);
        self.nodes += 1;
        if parent.size.max(self.nodes) > MAX_NODES {
            return fault(pos, format!("expected at most {MAX_NODES} values, aliases counted in full, got more"));
        }
        match &mut parent.items {
            Items::List(items) => items.push(node),
            Items::Map { key: None, .. } => {
                return fault(pos, "expected a name as key, got an alias");
            }
            Items::Map { entries, first, key: key @ Some(_), merged } => {
                let (key, key_pos) = key.take().unwrap_or_else(|| (String::new(), pos));
                if key == "<<" {
                    merged.extend(merge(&node, pos)?);
                } else if let Some(&line) = first.get(&key) {
                    let message = format!("expected each key once, got it again after line {line}");
                    let path = super::read::join(&self.path(), &key);
                    self.problems.push(Problem::new(key_pos, &path, message));
                } else {
                    first.insert(key.clone(), key_pos.line);
                    entries.push(Entry { key, pos: key_pos, value: node });
                }
            }
        }
        Ok(())
    }
}

/// The entries that `<<: *base` or `<<: [*one, *two]` brings.
fn merge(node: &Node, pos: Pos) -> Outcome<Vec<Entry>> {
    match &node.value {
        Value::Map(entries) => Ok(entries.clone()),
        Value::List(items) if items.iter().all(|item| matches!(item.value, Value::Map(_))) => Ok(items
            .iter()
            .filter_map(|item| if let Value::Map(entries) = &item.value { Some(entries) } else { None })
            .flatten()
            .cloned()
            .collect()),
        _ => fault(pos, "expected a mapping or a list of mappings after `<<`, got another value"),
    }
}

/// Only YAML's own tags of the right kind are known. Returns whether the value is declared to be text.
fn check_tag(tag: Option<Cow<Tag>>, pos: Pos, allowed: &[&str]) -> Outcome<bool> {
    match tag {
        None => Ok(false),
        Some(tag) if tag.is_yaml_core_schema() && allowed.contains(&tag.suffix.as_str()) => Ok(tag.suffix == "str"),
        Some(_) => fault(
            pos,
            format!("expected no tag, or one of {}, got another", allowed.iter().map(|t| format!("!!{t}")).collect::<Vec<_>>().join(", ")),
        ),
    }
}
