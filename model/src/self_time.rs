//! Self time: how long a span was busy with something that no child of it accounts for.
//!
//! Children overlap (parallel steps), run past their parent (skewed clocks, asynchronous work) or end before they start
//! (broken clocks), so nothing may be computed by adding durations. What counts is the *union* of the children, clipped to
//! the span.

use proto::UnixNanos;
use serde::{Deserialize, Serialize};

/// A stretch of time; empty when the end is not after the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Interval {
    /// First instant.
    pub start: UnixNanos,
    /// First instant after it.
    pub end: UnixNanos,
}

/// Nanoseconds of `span` that none of `children` covers: never negative, never more than the span's duration.
///
/// Sorts `children`, which costs nothing when they already stand in order of start.
#[must_use]
pub fn uncovered_nanos(span: Interval, children: &mut [Interval]) -> i64 {
    children.sort_unstable();
    let mut uncovered_nanos = 0;
    // Everything before this instant is accounted for, by a child or as self time.
    let mut settled = span.start;
    for child in children {
        let gap_end = child.start.min(span.end);
        if gap_end > settled {
            uncovered_nanos += gap_end.nanos_since(settled);
            settled = gap_end;
        }
        settled = settled.max(child.end.min(span.end));
    }
    uncovered_nanos + span.end.nanos_since(settled).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(start: i64, end: i64) -> Interval {
        Interval { start: UnixNanos::from_i64(start), end: UnixNanos::from_i64(end) }
    }

    fn uncovered(children: &[(i64, i64)]) -> i64 {
        let mut children: Vec<Interval> = children.iter().map(|&(start, end)| interval(start, end)).collect();
        uncovered_nanos(interval(100, 200), &mut children)
    }

    #[test]
    fn a_leaf_is_all_self_time() {
        assert_eq!(uncovered(&[]), 100);
    }

    #[test]
    fn overlapping_children_count_once() {
        assert_eq!(uncovered(&[(110, 150), (120, 160)]), 50);
        assert_eq!(uncovered(&[(120, 130), (110, 150)]), 60);
        assert_eq!(uncovered(&[(110, 120), (110, 120), (120, 130)]), 80);
    }

    #[test]
    fn what_a_child_does_outside_of_its_parent_does_not_count() {
        assert_eq!(uncovered(&[(0, 110), (190, 900)]), 80);
        assert_eq!(uncovered(&[(0, 100), (200, 900), (0, 50), (900, 950)]), 100);
        assert_eq!(uncovered(&[(0, 900)]), 0);
    }

    #[test]
    fn a_child_that_ends_before_it_starts_covers_nothing() {
        assert_eq!(uncovered(&[(150, 120)]), 100);
        assert_eq!(uncovered(&[(150, 120), (140, 160)]), 80);
    }

    #[test]
    fn extremes_do_not_wrap() {
        let all = Interval { start: UnixNanos::ZERO, end: UnixNanos::MAX };
        assert_eq!(uncovered_nanos(all, &mut []), i64::MAX);
        assert_eq!(uncovered_nanos(all, &mut [all]), 0);
        let inside_out = Interval { start: UnixNanos::MAX, end: UnixNanos::ZERO };
        assert_eq!(uncovered_nanos(inside_out, &mut [all]), 0);
    }
}
