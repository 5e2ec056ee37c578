//! Block time, milliseconds since the epoch, and its forms on the wire.

use crate::{Duration, Timestamp};
use std::cmp::Ordering;

/// Milliseconds since the epoch as a Timestamp.
pub fn timestamp(millis: u64) -> Timestamp {
    Timestamp { seconds: (millis / 1000) as i64, nanos: (millis % 1000) as i32 * 1_000_000 }
}

/// A Timestamp as milliseconds since the epoch, rounded down; None before 1970 or where nanos is out of its range.
pub fn millis(t: &Timestamp) -> Option<u64> {
    let seconds = u64::try_from(t.seconds).ok()?;
    let nanos = u64::try_from(t.nanos).ok().filter(|n| *n < 1_000_000_000)?;
    seconds.checked_mul(1000)?.checked_add(nanos / 1_000_000)
}

/// Milliseconds as a Duration.
pub fn duration(millis: u64) -> Duration {
    Duration { seconds: (millis / 1000) as i64, nanos: (millis % 1000) as i32 * 1_000_000 }
}

/// A Duration as milliseconds, rounded down; None when negative or out of range.
pub fn duration_millis(d: &Duration) -> Option<u64> {
    millis(&Timestamp { seconds: d.seconds, nanos: d.nanos })
}

/// Milliseconds since the epoch as RFC 3339 text, for people.
pub fn shown_time(millis: u64) -> String {
    let Timestamp { seconds, nanos } = timestamp(millis);
    prost_types::Timestamp { seconds, nanos }.to_string()
}

/// Compares a Timestamp with milliseconds since the epoch, without rounding either.
pub fn cmp_millis(t: &Timestamp, millis: u64) -> Ordering {
    let other = timestamp(millis);
    (t.seconds, t.nanos).cmp(&(other.seconds, other.nanos))
}

/// A time as text of 29 bytes that sorts as times do, as Cosmos SDK writes it in keys: `2006-01-02T15:04:05.000000000`.
/// None outside the years 1 to 9999 and where nanos is out of its range.
pub fn sortable(t: &Timestamp) -> Option<String> {
    let time = prost_types::Timestamp { seconds: t.seconds, nanos: t.nanos };
    let time = crate::json::check_timestamp(time).ok()?;
    let whole = prost_types::Timestamp { nanos: 0, ..time }.to_string();
    Some(format!("{}.{:09}", whole.strip_suffix('Z')?, time.nanos))
}
