use proptest::prelude::*;

use super::*;

#[test]
fn reads_every_unit() {
    let cases = [
        ("100ns", 100),
        ("500us", 500_000),
        ("500µs", 500_000),
        ("250ms", 250_000_000),
        ("1.5s", 1_500_000_000),
        ("0s", 0),
        ("2m", 120_000_000_000),
        ("1h", 3_600_000_000_000),
        ("7d", 604_800_000_000_000),
        ("0.000000001s", 1),
        ("1.9ns", 1),
    ];
    for (text, nanos) in cases {
        assert_eq!(parse_nanos(text), Ok(nanos), "{text}");
    }
}

#[test]
fn refuses_what_is_no_duration() {
    for text in ["", "250", "ms", "-1s", "1 s", "1.s", ".5s", "1.2.3s", "1w", "1sec", "١s"] {
        assert!(matches!(parse_nanos(text), Err(DurationError::Form(_))), "{text}");
    }
    for text in ["9999999999h", "99999999999999999999999s"] {
        assert!(matches!(parse_nanos(text), Err(DurationError::TooLong(_))), "{text}");
    }
}

#[test]
fn shows_three_digits() {
    let cases = [
        (0, "0 ns"),
        (999, "999 ns"),
        (1_000, "1.00 µs"),
        (612_000, "612 µs"),
        (999_499, "999 µs"),
        (999_500, "1.00 ms"),
        (4_800_000, "4.80 ms"),
        (9_996_000, "10.0 ms"),
        (83_500_000_000, "83.5 s"),
        (999_499_999_999, "999 s"),
        (999_500_000_000, "16.7 min"),
        (5_400_000_000_000, "90.0 min"),
        (6_000_000_000_000, "1.67 h"),
        (360_000_000_000_000, "4.17 d"),
        (i64::MAX, "106752 d"),
        (-1_500_000, "-1.50 ms"),
        (i64::MIN, "-106752 d"),
    ];
    for (nanos, text) in cases {
        assert_eq!(Duration(nanos).to_string(), text, "{nanos}");
    }
}

#[test]
fn pads_like_a_string() {
    assert_eq!(format!("{:>9}|", Duration(83_500_000_000)), "   83.5 s|");
}

proptest! {
    #[test]
    fn what_is_shown_is_within_half_a_percent(nanos in 0i64..i64::MAX / 2, magnitude in 0u32..62) {
        let nanos = nanos >> magnitude;
        let shown = Duration(nanos).to_string().replace(' ', "").replace("min", "m");
        let read = parse_nanos(&shown).expect("what is shown can be read");
        prop_assert!((read - nanos).abs() as f64 <= nanos as f64 * 0.005_001, "{nanos} shown as {shown}");
    }
}
