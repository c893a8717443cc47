//! What `[operations]` says besides rules.

use crate::{ClassSet, OperationClass};

const SECOND_NANOS: i64 = 1_000_000_000;
const HOUR_NANOS: i64 = 3_600 * SECOND_NANOS;

/// Which classes have runs, and how long is long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Classes whose executions are kept one by one.
    pub run_classes: ClassSet,
    /// Failovers of one instance whose roots begin within this time are attempts of one run, nanoseconds.
    pub merge_window_nanos: i64,
    /// How far before a failover its fault is looked for, nanoseconds.
    pub look_back_nanos: i64,
    /// A run without a root is given up this long after its last activity, nanoseconds.
    pub lost_after_nanos: i64,
    /// A run counts as stuck when it has made no progress for three times the p95 of its step, and at least for this long,
    /// nanoseconds.
    pub stuck_after_nanos: i64,
}

impl Default for Settings {
    fn default() -> Self {
        let classes =
            [OperationClass::Failover, OperationClass::Provisioning, OperationClass::Backup, OperationClass::Restore];
        Self {
            run_classes: classes.into_iter().collect(),
            merge_window_nanos: 120 * SECOND_NANOS,
            look_back_nanos: 300 * SECOND_NANOS,
            lost_after_nanos: 24 * HOUR_NANOS,
            stuck_after_nanos: 600 * SECOND_NANOS,
        }
    }
}
