use proptest::prelude::*;

use super::*;

/// 2026-11-23T20:00:00Z.
const NOW_SECS: i64 = 1_795_464_000;
const SECOND: i64 = 1_000_000_000;

fn parsed(text: &str) -> Result<i64, TimeError> {
    parse(text, UnixNanos::from_i64(NOW_SECS * SECOND)).map(UnixNanos::as_i64)
}

#[test]
fn every_form() {
    let cases = [
        ("now", NOW_SECS * SECOND),
        ("now-15m", (NOW_SECS - 900) * SECOND),
        ("now-2h", (NOW_SECS - 7_200) * SECOND),
        ("now-7d", (NOW_SECS - 7 * 86_400) * SECOND),
        ("now-250ms", NOW_SECS * SECOND - SECOND / 4),
        ("2026-11-23T20:00:00Z", NOW_SECS * SECOND),
        ("2026-11-23T21:00:00.5+01:00", NOW_SECS * SECOND + SECOND / 2),
        ("1795464000", NOW_SECS * SECOND),
        ("1795464000123", NOW_SECS * SECOND + 123_000_000),
        ("1795464000123456", NOW_SECS * SECOND + 123_456_000),
        ("1795464000123456789", NOW_SECS * SECOND + 123_456_789),
        ("0", 0),
    ];
    for (text, nanos) in cases {
        assert_eq!(parsed(text), Ok(nanos), "{text}");
    }
}

#[test]
fn what_cannot_be_told_becomes_the_nearest_that_can() {
    assert_eq!(parsed("1969-07-20T20:17:40Z"), Ok(0));
    assert_eq!(parsed("9999-01-01T00:00:00Z"), Ok(i64::MAX));
    assert_eq!(parsed("18446744073709551615"), Ok(i64::MAX));
    assert_eq!(parsed("99999999999"), Ok(i64::MAX), "the year 5138");
    assert_eq!(parsed("now-100000d"), Ok(0));
}

#[test]
fn refuses_what_is_no_time() {
    for text in [
        "",
        "soon",
        "now-",
        "now+1h",
        "now-15",
        "now - 15m",
        "-5",
        "1.5",
        "2026-11-23",
        "2026-11-23T20:00:00",
        "99999999999999999999",
    ] {
        assert!(parsed(text).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn every_unit_of_a_unix_time_means_the_same(secs in 200_000_000i64..9_000_000_000) {
        for (digits, in_unit) in [(0, secs), (3, secs * 1_000), (6, secs * 1_000_000), (9, secs * SECOND)] {
            prop_assert_eq!(parsed(&in_unit.to_string()), Ok(secs * SECOND), "{} more digits", digits);
        }
    }

    #[test]
    fn no_text_panics(text in ".{0,40}") {
        let _ = parsed(&text);
    }
}
