//! Sets of time: disjoint stretches in order.

use crate::self_time::Interval;

/// The union of any intervals: disjoint, in order, empty ones left out.
pub(crate) fn union(mut intervals: Vec<Interval>) -> Vec<Interval> {
    intervals.retain(|interval| interval.end > interval.start);
    intervals.sort_unstable();
    let mut disjoint: Vec<Interval> = Vec::with_capacity(intervals.len());
    for interval in intervals {
        match disjoint.last_mut() {
            Some(last) if interval.start <= last.end => last.end = last.end.max(interval.end),
            _ => disjoint.push(interval),
        }
    }
    disjoint
}

/// Nanoseconds that disjoint intervals cover.
pub(crate) fn covered_nanos(disjoint: &[Interval]) -> i64 {
    disjoint.iter().fold(0, |sum, interval| sum.saturating_add(interval.end.nanos_since(interval.start)))
}

#[cfg(test)]
mod tests {
    use proto::UnixNanos;

    use super::*;

    #[test]
    fn overlapping_and_touching_intervals_become_one() {
        let interval = |start, end| Interval { start: UnixNanos::from_i64(start), end: UnixNanos::from_i64(end) };
        let all =
            vec![interval(5, 9), interval(1, 3), interval(3, 4), interval(8, 12), interval(20, 20), interval(30, 25)];
        let disjoint = union(all);
        assert_eq!(disjoint, [interval(1, 4), interval(5, 12)]);
        assert_eq!(covered_nanos(&disjoint), 3 + 7);
        assert_eq!(covered_nanos(&union(Vec::new())), 0);
    }
}
