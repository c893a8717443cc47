//! Durations as people write and read them: `250ms` in, `83.5 s` out.

use std::fmt;

/// The text was not a duration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DurationError {
    /// Not a number followed by a unit.
    Form(String),
    /// More than [`i64::MAX`] nanoseconds, which is 292 years.
    TooLong(String),
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(text) => write!(
                f,
                "`{text}` is no duration: write a number and one of the units ns, us, ms, s, m, h, d, such as `250ms`"
            ),
            Self::TooLong(text) => write!(f, "`{text}` is longer than the 292 years that can be told"),
        }
    }
}

impl std::error::Error for DurationError {}

const MICROSECOND: i64 = 1_000;
const MILLISECOND: i64 = 1_000 * MICROSECOND;
const SECOND: i64 = 1_000 * MILLISECOND;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// What can be written behind a number. `µ` is the micro sign and the Greek letter, which look alike.
const UNITS_IN: [(&str, i64); 9] = [
    ("ns", 1),
    ("us", MICROSECOND),
    ("\u{b5}s", MICROSECOND),
    ("\u{3bc}s", MICROSECOND),
    ("ms", MILLISECOND),
    ("s", SECOND),
    ("m", MINUTE),
    ("h", HOUR),
    ("d", DAY),
];

/// Reads `250ms`, `1.5s`, `2m`, `1h`, `7d`, `500us` or `100ns` as nanoseconds. Fractions of a nanosecond are cut off.
///
/// # Errors
/// When the text is something else, negative, or too long for an `i64`.
pub fn parse_nanos(text: &str) -> Result<i64, DurationError> {
    let malformed = || DurationError::Form(text.to_owned());
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(malformed)?;
    let (number, unit) = text.split_at(unit_at);
    let (_, unit_nanos) = UNITS_IN.iter().find(|(name, _)| *name == unit).ok_or_else(malformed)?;
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) => (whole, fraction),
        None => (number, "0"),
    };
    if whole.is_empty() || fraction.is_empty() || fraction.contains('.') {
        return Err(malformed());
    }

    let too_long = || DurationError::TooLong(text.to_owned());
    let whole: i64 = whole.parse().map_err(|_| too_long())?;
    let whole_nanos = whole.checked_mul(*unit_nanos).ok_or_else(too_long)?;
    whole_nanos.checked_add(fraction_nanos(fraction, *unit_nanos)).ok_or_else(too_long)
}

/// The part behind the decimal point, in whole nanoseconds.
fn fraction_nanos(digits: &str, unit_nanos: i64) -> i64 {
    let mut nanos: i128 = 0;
    let mut scale: i128 = 1;
    // Sixteen digits tell a nanosecond within a day; further ones cannot change the result by more than one.
    for digit in digits.bytes().take(16) {
        nanos = nanos * 10 + i128::from(digit - b'0');
        scale *= 10;
    }
    (nanos * i128::from(unit_nanos) / scale) as i64
}

/// Shows nanoseconds with three significant digits: `83.5 s`, `4.80 ms`, `612 µs`, `0 ns`.
///
/// Seconds go up to 999 (as in `83.5 s`, where `1.39 min` would be hard to compare), then come minutes, hours and days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(pub i64);

/// Largest first; a unit is used when the value, rounded to three digits, is at least the given number of nanoseconds.
const UNITS_OUT: [(&str, i64, i64); 7] = [
    ("d", DAY, 100 * HOUR),
    ("h", HOUR, 100 * MINUTE),
    ("min", MINUTE, 1_000 * SECOND),
    ("s", SECOND, SECOND),
    ("ms", MILLISECOND, MILLISECOND),
    ("\u{b5}s", MICROSECOND, MICROSECOND),
    ("ns", 1, 0),
];

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = i128::from(self.0.unsigned_abs());
        let sign = if self.0 < 0 { "-" } else { "" };
        let mut text = format!("{sign}{magnitude} ns");
        // From the smallest unit up: rounding may carry a value over the edge of its unit (999.6 µs are 1.00 ms), so the
        // edge is held against what the smaller unit would show.
        let mut rounded = magnitude;
        for (name, unit_nanos, from_nanos) in UNITS_OUT.iter().rev().skip(1) {
            if rounded < i128::from(*from_nanos) {
                break;
            }
            let (digits, shown_nanos) = three_digits(magnitude, i128::from(*unit_nanos));
            rounded = shown_nanos;
            text = format!("{sign}{digits} {name}");
        }
        f.pad(&text)
    }
}

/// The value in its unit with three significant digits, and the nanoseconds that this stands for.
fn three_digits(nanos: i128, unit_nanos: i128) -> (String, i128) {
    for (decimals, scale) in [(2usize, 100i128), (1, 10)] {
        let scaled = (nanos * scale + unit_nanos / 2) / unit_nanos;
        if scaled < 1_000 {
            let text = format!("{}.{:0decimals$}", scaled / scale, scaled % scale);
            return (text, scaled * unit_nanos / scale);
        }
    }
    let whole = (nanos + unit_nanos / 2) / unit_nanos;
    (whole.to_string(), whole * unit_nanos)
}

#[cfg(test)]
mod tests;
