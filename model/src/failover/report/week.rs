//! Weeks as ISO 8601 counts them.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use proto::UnixNanos;

/// `2026-W48`, in UTC.
pub(super) fn iso_week(at: UnixNanos) -> String {
    // Every time from the epoch to `UnixNanos::MAX` is one that jiff knows.
    let timestamp = Timestamp::from_nanosecond(i128::from(at.as_i64())).unwrap_or_default();
    let date = timestamp.to_zoned(TimeZone::UTC).date().iso_week_date();
    format!("{}-W{:02}", date.year(), date.week())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weeks_begin_on_mondays_and_years_with_their_first_thursday() {
        for (text, expected) in [
            ("2026-11-23T00:00:00Z", "2026-W48"),
            ("2026-11-22T23:59:59Z", "2026-W47"),
            ("2027-01-01T12:00:00Z", "2026-W53"),
            ("2024-12-30T00:00:00Z", "2025-W01"),
        ] {
            let at: Timestamp = text.parse().expect("a time");
            assert_eq!(iso_week(UnixNanos::from_i64(at.as_nanosecond() as i64)), expected);
        }
        assert_eq!(iso_week(UnixNanos::MAX), "2262-W15");
    }
}
