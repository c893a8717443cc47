//! Points in time as they are written in a query: RFC 3339, a Unix time, or relative to now.

use model::duration::parse_nanos;
use proto::UnixNanos;

/// The text was not a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no time: write RFC 3339 (`2026-11-23T20:00:00Z`), a Unix time in s, ms, µs or ns, `now` or `now-15m`"
)]
pub(crate) struct TimeError(String);

/// A Unix time below this is in seconds: as seconds it is the year 5138, as milliseconds 1973.
const SECONDS_BELOW: u64 = 100_000_000_000;
/// Below this in milliseconds, by the same two years.
const MILLISECONDS_BELOW: u64 = SECONDS_BELOW * 1_000;
/// Below this in microseconds, by the same two years.
const MICROSECONDS_BELOW: u64 = MILLISECONDS_BELOW * 1_000;

/// Reads a time; `now` is what `now` stands for. What cannot be told (before 1970, after 2262) becomes the nearest that can.
pub(crate) fn parse(text: &str, now: UnixNanos) -> Result<UnixNanos, TimeError> {
    let invalid = || TimeError(text.to_owned());
    if text == "now" {
        return Ok(now);
    }
    if let Some(ago) = text.strip_prefix("now-") {
        let ago_nanos = parse_nanos(ago).map_err(|_| invalid())?;
        return Ok(now.saturating_add(-ago_nanos));
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number = text.parse().map_err(|_| invalid())?;
        return Ok(from_unix(number));
    }
    let timestamp: jiff::Timestamp = text.parse().map_err(|_| invalid())?;
    let nanos = timestamp.as_nanosecond().clamp(0, i128::from(i64::MAX));
    Ok(UnixNanos::from_i64(nanos as i64))
}

fn from_unix(number: u64) -> UnixNanos {
    let nanos_per_unit = match number {
        0..SECONDS_BELOW => 1_000_000_000,
        SECONDS_BELOW..MILLISECONDS_BELOW => 1_000_000,
        MILLISECONDS_BELOW..MICROSECONDS_BELOW => 1_000,
        _ => 1,
    };
    UnixNanos::from_wire(number.saturating_mul(nanos_per_unit))
}

#[cfg(test)]
mod tests;
