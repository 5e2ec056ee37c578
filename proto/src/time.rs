//! Block time, milliseconds since the epoch, and its forms on the wire.

use crate::{Duration, Timestamp};

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
