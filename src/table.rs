//! Tables for a terminal. Pure text.

use proto::UnixNanos;

/// Columns as wide as their widest cell; what begins with a digit stands to the right.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
        cells.chain([head[at].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let is_number: Vec<bool> = (0..head.len())
        .map(|at| at > 0 && rows.iter().all(|row| row[at].starts_with(|c: char| c.is_ascii_digit() || c == '-')))
        .collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells: Vec<String> = cells
            .zip(widths.iter().zip(&is_number))
            .map(|(cell, (width, right))| if *right { format!("{cell:>width$}") } else { format!("{cell:<width$}") })
            .collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    let mut text = line(&mut head.iter().copied());
    for row in rows {
        text += &line(&mut row.iter().map(String::as_str));
    }
    text
}

/// A time in text as RFC 3339, to the second.
pub(crate) fn time(unix_nano: &str) -> String {
    let time = unix_nano.parse().ok().map(UnixNanos::from_i64);
    let time = time.and_then(|time| jiff::Timestamp::from_second(time.as_i64() / 1_000_000_000).ok());
    time.map_or_else(|| "?".to_owned(), |time| time.to_string())
}

/// Nanoseconds in text as a duration with three digits: `1.25 s`, `38.0 ms`, `2 min 05 s`; a dash for what is not known.
pub(crate) fn duration(nanos: Option<&str>) -> String {
    const UNITS: [(f64, &str); 3] = [(1e3, "µs"), (1e6, "ms"), (1e9, "s")];
    const MINUTE_NANOS: i64 = 60_000_000_000;
    let Some(nanos) = nanos.and_then(|nanos| nanos.parse::<i64>().ok()) else {
        return "-".to_owned();
    };
    let size = nanos.saturating_abs();
    let sign = if nanos < 0 { "-" } else { "" };
    if size < 1_000 {
        return format!("{nanos} ns");
    }
    if size >= 100 * MINUTE_NANOS {
        return format!("{sign}{} h {:02} min", size / (60 * MINUTE_NANOS), size / MINUTE_NANOS % 60);
    }
    if size >= 2 * MINUTE_NANOS {
        return format!("{sign}{} min {:02} s", size / MINUTE_NANOS, size / 1_000_000_000 % 60);
    }
    // The largest unit of which there is one at least, after rounding.
    let (unit_nanos, unit) =
        UNITS.into_iter().rfind(|(of_unit, _)| size as f64 >= 0.9995 * of_unit).unwrap_or(UNITS[0]);
    let amount = size as f64 / unit_nanos;
    let decimals = if amount < 9.995 { 2 } else { usize::from(amount < 99.95) };
    format!("{sign}{amount:.decimals$} {unit}")
}

/// A share as a percentage; a dash for what is not known.
pub(crate) fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_to_the_right() {
        let rows = vec![vec!["a".to_owned(), "9".to_owned()], vec!["long".to_owned(), "1234567".to_owned()]];
        assert_eq!(table(&["name", "spans"], &rows), "name    spans\na           9\nlong  1234567\n");
        assert_eq!(table(&["name", "spans"], &[]), "name  spans\n");
    }

    #[test]
    fn times_are_told_to_the_second() {
        assert_eq!(time("1795464000999999999"), "2026-11-23T20:00:00Z");
        assert_eq!((time("x").as_str(), time("9223372036854775807").as_str()), ("?", "2262-04-11T23:47:16Z"));
    }

    #[test]
    fn durations_have_three_digits_and_a_unit() {
        for (nanos, text) in [
            ("0", "0 ns"),
            ("999", "999 ns"),
            ("1250", "1.25 µs"),
            ("999999", "1.00 ms"),
            ("38000000", "38.0 ms"),
            ("36300000000", "36.3 s"),
            ("-13300000000", "-13.3 s"),
            ("119000000000", "119 s"),
            ("125000000000", "2 min 05 s"),
            ("9000000000000", "2 h 30 min"),
            ("x", "-"),
        ] {
            assert_eq!(duration(Some(nanos)), text);
        }
        assert_eq!((duration(None).as_str(), percent(None).as_str()), ("-", "-"));
        assert_eq!(percent(Some(0.9)), "90.0 %");
    }
}
