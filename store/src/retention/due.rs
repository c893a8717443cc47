//! Which blocks are worth rewriting for what would go. Decides, does not act.

use proto::{TraceId, UnixNanos};

use crate::BlockEntry;
use crate::delete::DeletedTraces;

/// Rewriting a block takes reading and writing all of it, so times at which something is due are rounded up to this part of
/// how long it stayed: a block is rewritten at most about as often per time to stay.
const ROUNDING: i64 = 8;

/// Whether a rewrite of this block alone would drop something: a rule's time has come, or it has spans of a deleted trace.
///
/// `may_have` is the block's locator; it is asked only for deleted traces that lie between the block's first and last.
pub(crate) fn due_for_rewrite(
    entry: &BlockEntry,
    deleted: &DeletedTraces,
    may_have: impl Fn(TraceId) -> bool,
    now: UnixNanos,
) -> bool {
    let is_time = entry.rewrite_at().is_some_and(|at| at <= now);
    is_time || deleted.between(entry.trace_id_min, entry.trace_id_max).any(may_have)
}

/// When something is due that stays for `stay_nanos` and until `until`, both in nanoseconds: not before, and a little later
/// together with others.
pub(super) fn rounded_up(until: i64, stay_nanos: i64) -> i64 {
    let step = (stay_nanos / ROUNDING).max(1);
    let over = until.rem_euclid(step);
    if over == 0 { until } else { until.saturating_add(step - over) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retention::BlockRetention;

    fn entry(rewrite_at: Option<i64>) -> BlockEntry {
        let retention = BlockRetention { rewrite_at, ..BlockRetention::default() };
        let json = serde_json::json!({
            "id": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "path": "p", "bytes": 1, "index_offset": 1, "windows": [1], "spans": 1,
            "traces": 1, "start_min": 0, "start_max": 0,
            "trace_id_min": "10000000000000000000000000000000", "trace_id_max": "20000000000000000000000000000000",
            "retention": retention,
        });
        serde_json::from_value(json).expect("an entry")
    }

    fn deleted(ids: &[&str]) -> DeletedTraces {
        ids.iter().map(|id| id.parse().expect("an id")).collect()
    }

    #[test]
    fn due_by_time_or_by_a_deleted_trace_that_it_has() {
        let now = UnixNanos::from_i64(100);
        let none = DeletedTraces::default();
        let due = |at, deleted: &DeletedTraces, has| due_for_rewrite(&entry(at), deleted, |_| has, now);
        assert!(due(Some(100), &none, false) && due(Some(7), &none, false));
        assert!(!due(Some(101), &none, true) && !due(None, &none, true));
        let inside = deleted(&["18000000000000000000000000000000"]);
        assert!(due(None, &inside, true));
        assert!(!due(None, &inside, false), "the locator says no");
        let outside = deleted(&["28000000000000000000000000000000", "0800000000000000000000000000000f"]);
        assert!(!due(None, &outside, true), "the locator is not asked");
    }

    #[test]
    fn what_is_due_at_about_the_same_time_is_due_together() {
        assert_eq!(rounded_up(1_601, 800), 1_700);
        assert_eq!(rounded_up(1_699, 800), 1_700);
        assert_eq!(rounded_up(1_700, 800), 1_700);
        assert_eq!((rounded_up(5, 0), rounded_up(i64::MAX, 1_600)), (5, i64::MAX));
    }
}
