//! Searches by events, in the part of CometBFT's query language that clients use: conditions joined by AND, each one of
//! `tx.hash='HEX'`, `tx.height` or `block.height` with =, <, <=, > or >= and a number, and `TYPE.KEY` with ='TEXT',
//! CONTAINS 'TEXT' or EXISTS. There is no index: every block in the range of heights is read.

use std::ops::RangeInclusive;
use tendermint_proto::v0_38::abci::Event;

#[derive(Debug, PartialEq, Eq)]
pub struct Query {
    pub hash: Option<Vec<u8>>,
    pub heights: RangeInclusive<i64>,
    events: Vec<(String, Test)>,
}

#[derive(Debug, PartialEq, Eq)]
enum Test {
    Equals(String),
    Contains(String),
    Exists,
}

impl Query {
    /// # Errors
    /// The condition that is not understood.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut query = Query { hash: None, heights: 1..=i64::MAX, events: Vec::new() };
        for condition in conditions(text) {
            query.add(condition).ok_or_else(|| {
                format!(
                    "condition {condition:?}: expected tx.hash='HEX', tx.height or block.height with =, <, <=, > or >= and a number, \
                     or TYPE.KEY with ='TEXT', CONTAINS 'TEXT' or EXISTS"
                )
            })?;
        }
        Ok(query)
    }

    fn add(&mut self, condition: &str) -> Option<()> {
        let end = condition.find(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c)))?;
        let (name, rest) = (&condition[..end], condition[end..].trim());
        match name {
            "tx.hash" => self.hash = Some(hex::decode(quoted(rest.strip_prefix('=')?)?).ok()?),
            "tx.height" | "block.height" => {
                let at = rest.find(|c: char| !"<>=".contains(c))?;
                let height: i64 = rest[at..].trim().parse().ok()?;
                let (low, high) = match &rest[..at] {
                    "=" => (height, height),
                    "<" => (1, height.checked_sub(1)?),
                    "<=" => (1, height),
                    ">" => (height.checked_add(1)?, i64::MAX),
                    ">=" => (height, i64::MAX),
                    _ => return None,
                };
                self.heights = low.max(*self.heights.start())..=high.min(*self.heights.end());
            }
            _ => {
                name.rsplit_once('.')?;
                let test = if rest == "EXISTS" {
                    Test::Exists
                } else if let Some(text) = rest.strip_prefix("CONTAINS") {
                    Test::Contains(quoted(text)?)
                } else {
                    Test::Equals(quoted(rest.strip_prefix('=')?)?)
                };
                self.events.push((name.into(), test));
            }
        }
        Some(())
    }

    /// Whether each condition on events is met by one of them.
    pub fn accepts(&self, events: &[Event]) -> bool {
        self.events.iter().all(|(name, test)| {
            let values = events.iter().filter_map(|event| {
                let key = name.strip_prefix(&event.r#type)?.strip_prefix('.')?;
                event.attributes.iter().find(|a| a.key == key).map(|a| &a.value)
            });
            values.into_iter().any(|value| match test {
                Test::Equals(text) => value == text,
                Test::Contains(text) => value.contains(text.as_str()),
                Test::Exists => true,
            })
        })
    }
}

/// Splits at AND, but not within quotes.
fn conditions(text: &str) -> Vec<&str> {
    let (mut found, mut start, mut inside) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        inside ^= c == '\'';
        if !inside && text[at..].starts_with(" AND ") {
            found.push(text[start..at].trim());
            start = at + " AND ".len();
        }
    }
    found.push(text[start..].trim());
    found
}

/// The text between single quotes.
fn quoted(text: &str) -> Option<String> {
    let inner = text.trim().strip_prefix('\'')?.strip_suffix('\'')?;
    (!inner.contains('\'')).then(|| inner.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tendermint_proto::v0_38::abci::EventAttribute;

    fn event(kind: &str, key: &str, value: &str) -> Event {
        Event { r#type: kind.into(), attributes: vec![EventAttribute { key: key.into(), value: value.into(), index: true }] }
    }

    #[test]
    fn conditions_are_joined_and_quotes_may_hold_anything() {
        let query = Query::parse("tx.height > 4 AND a.b.C.id CONTAINS 'x AND y' AND block.height<=9").unwrap();
        assert_eq!(query.heights, 5..=9);
        assert!(query.accepts(&[event("other", "id", ""), event("a.b.C", "id", "1 x AND y 2")]));
        for events in [&[event("a.b.C", "id", "x")][..], &[event("a.b", "id", "x AND y")], &[event("a.b.C", "key", "x AND y")], &[]] {
            assert!(!query.accepts(events), "{events:?}");
        }
        assert!(Query::parse("a.b='1'").unwrap().accepts(&[event("a", "b", "1")]));
        assert!(Query::parse("a.b EXISTS").unwrap().accepts(&[event("a", "b", "")]));
        assert_eq!(Query::parse("tx.hash = 'aAbB'").unwrap().hash, Some(vec![0xaa, 0xbb]));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for text in ["", "x", "a.b", "a.b=1", "a.b='1", "tx.height='1'", "tx.height~1", "tx.hash='x'", "a='1'", "a.b='1' OR c.d='2'", "é"]
        {
            let error = Query::parse(text).unwrap_err();
            assert!(error.starts_with("condition "), "{text}: {error}");
        }
    }
}
