//! JSON as YAML the way Go's Cosmos command lines print it: keys sorted, block style, lists not indented under their key,
//! and text that would read as something else in double quotes. Long lines are not folded.

use std::fmt::Write;

use serde_json::Value;

/// The value as a YAML document that ends with a newline.
pub fn to_string(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(_) | Value::Array(_) if !is_empty(value) => block(&mut out, value, 0),
        _ => {
            inline(&mut out, value, 0);
            out.push('\n');
        }
    }
    out
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(o) => o.is_empty(),
        Value::Array(a) => a.is_empty(),
        _ => false,
    }
}

/// Writes a filled object or list; the cursor stands where its first line starts, `indent` is where the others do.
fn block(out: &mut String, value: &Value, indent: usize) {
    let mut first = true;
    let mut start = |out: &mut String| {
        if !first {
            out.extend(std::iter::repeat_n(' ', indent));
        }
        first = false;
    };
    match value {
        Value::Object(object) => {
            let mut members: Vec<_> = object.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            for (name, value) in members {
                start(out);
                text(out, name, None);
                out.push(':');
                match value {
                    Value::Object(_) if !is_empty(value) => nested(out, value, indent + 2),
                    Value::Array(_) if !is_empty(value) => nested(out, value, indent),
                    _ => {
                        out.push(' ');
                        inline(out, value, indent + 2);
                        out.push('\n');
                    }
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                start(out);
                out.push_str("- ");
                match item {
                    Value::Object(_) | Value::Array(_) if !is_empty(item) => block(out, item, indent + 2),
                    _ => {
                        inline(out, item, indent + 2);
                        out.push('\n');
                    }
                }
            }
        }
        _ => unreachable!("only objects and lists are blocks"),
    }
}

fn nested(out: &mut String, value: &Value, indent: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', indent));
    block(out, value, indent);
}

fn inline(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Number(n) => {
            let _infallible = write!(out, "{n}");
        }
        Value::String(s) => text(out, s, Some(indent)),
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
    }
}

/// Writes text plain where that reads back as the same text; `literal` is the indent of a literal block, where one may stand.
fn text(out: &mut String, s: &str, literal: Option<usize>) {
    let special = s.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{feff}');
    match literal {
        Some(indent) if s.contains('\n') && !special && !s.contains(" \n") && !s.ends_with(' ') => literal_block(out, s, indent),
        _ if s.contains('\n') || special || reads_as_other(s) => {
            out.push_str(&serde_json::to_string(s).expect("text is JSON"));
        }
        _ if is_plain(s) => out.push_str(s),
        _ => {
            out.push('\'');
            out.push_str(&s.replace('\'', "''"));
            out.push('\'');
        }
    }
}

fn literal_block(out: &mut String, s: &str, indent: usize) {
    out.push('|');
    if s.starts_with([' ', '\n']) {
        out.push('2'); // the indent cannot be seen from the first line
    }
    let body = s.strip_suffix('\n');
    match body {
        None => out.push('-'),
        Some(body) if body.ends_with('\n') || body.is_empty() => out.push('+'),
        Some(_) => {}
    }
    for line in body.unwrap_or(s).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            out.extend(std::iter::repeat_n(' ', indent));
            out.push_str(line);
        }
    }
}

/// Whether YAML 1.1 or 1.2 takes the plain text for null, a boolean, a number or a time.
fn reads_as_other(s: &str) -> bool {
    const WORDS: [&str; 11] = ["", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let lower = s.to_ascii_lowercase();
    WORDS.contains(&lower.as_str())
        || is_number(s.strip_prefix(['-', '+']).unwrap_or(s))
        || (s.len() >= 8 && s.as_bytes()[4] == b'-' && s.bytes().all(|b| b.is_ascii_digit() || b"-:.TtZz+ ".contains(&b)))
}

fn is_number(s: &str) -> bool {
    let lower = s.to_ascii_lowercase().replace('_', "");
    if s.starts_with('_') {
        return false;
    }
    let radix = |prefix, radix| lower.strip_prefix(prefix).is_some_and(|d: &str| !d.is_empty() && d.chars().all(|c| c.is_digit(radix)));
    let sexagesimal = lower.contains(':') && lower.split(':').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    let decimal = lower.starts_with(|c: char| c.is_ascii_digit() || c == '.') && lower.parse::<f64>().is_ok();
    decimal || radix("0x", 16) || radix("0o", 8) || radix("0b", 2) || sexagesimal || lower == ".inf" || lower == ".nan"
}

/// Whether the text may stand without quotes inside a block.
fn is_plain(s: &str) -> bool {
    let mut chars = s.chars();
    let first = chars.next().unwrap_or(' ');
    let lone = chars.next().is_none_or(|second| second == ' ');
    let starts_well = match first {
        '-' | '?' | ':' => !lone,
        ' ' | '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => false,
        _ => true,
    };
    let marker = ["---", "..."].iter().any(|m| s.starts_with(m));
    starts_well && !marker && !s.ends_with([' ', ':']) && !s.contains(": ") && !s.contains(" #")
}
