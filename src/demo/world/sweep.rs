//! Wall time handed out to phases: each instant to the innermost phase that is under way.
//!
//! Written from the definition, apart from what the server computes, as it is what the server is held against.

use std::collections::BTreeMap;

use proto::UnixNanos;

/// Time that no phase covers.
pub(super) const UNATTRIBUTED: &str = "unattributed";

/// A time in which a phase was worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// The phase.
    pub(super) phase: &'static str,
    /// From here.
    pub(super) start: UnixNanos,
    /// To here.
    pub(super) end: UnixNanos,
    /// How many spans it is inside of.
    pub(super) depth: usize,
}

/// Nanoseconds of `[from, to)` per phase. Each instant belongs to the deepest mark around it, among equally deep ones to the one
/// that started last; without any it is [`UNATTRIBUTED`]. The values add up to `to - from`.
pub(super) fn exclusive_nanos(marks: &[Mark], from: UnixNanos, to: UnixNanos) -> BTreeMap<&'static str, i64> {
    let mut cuts: Vec<UnixNanos> = marks.iter().flat_map(|mark| [mark.start, mark.end]).collect();
    cuts.retain(|cut| *cut > from && *cut < to);
    cuts.extend([from, to]);
    cuts.sort_unstable();
    cuts.dedup();
    let mut nanos = BTreeMap::new();
    for pair in cuts.windows(2) {
        let (start, end) = (pair[0], pair[1]);
        let around = marks.iter().filter(|mark| mark.start <= start && mark.end >= end && mark.start < mark.end);
        let phase = around.max_by_key(|mark| (mark.depth, mark.start)).map_or(UNATTRIBUTED, |mark| mark.phase);
        *nanos.entry(phase).or_insert(0) += end.nanos_since(start);
    }
    nanos
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(phase: &'static str, start: i64, end: i64, depth: usize) -> Mark {
        Mark { phase, start: UnixNanos::from_i64(start), end: UnixNanos::from_i64(end), depth }
    }

    fn swept(marks: &[Mark], from: i64, to: i64) -> Vec<(&'static str, i64)> {
        exclusive_nanos(marks, UnixNanos::from_i64(from), UnixNanos::from_i64(to)).into_iter().collect()
    }

    #[test]
    fn the_innermost_phase_has_the_time() {
        let marks = [mark("fence", 10, 50, 1), mark("catchup", 20, 30, 2)];
        assert_eq!(swept(&marks, 0, 60), [("catchup", 10), ("fence", 30), (UNATTRIBUTED, 20)]);
    }

    #[test]
    fn of_equally_deep_ones_the_later_has_it() {
        let marks = [mark("fence", 0, 50, 1), mark("elect", 40, 60, 1), mark("promote", 55, 58, 1)];
        assert_eq!(swept(&marks, 0, 60), [("elect", 17), ("fence", 40), ("promote", 3)]);
    }

    #[test]
    fn only_the_window_counts() {
        let marks = [mark("rejoin", 0, 100, 1)];
        assert_eq!(swept(&marks, 20, 30), [("rejoin", 10)]);
        assert_eq!(swept(&marks, 30, 30), []);
        assert_eq!(swept(&[], 0, 5), [(UNATTRIBUTED, 5)]);
    }
}
