//! What a `DELETE` did, in JSON.

use proto::TraceId;
use serde::Serialize;

use super::json::{Each, Shown};

/// How many traces, and which, as far as they are shown.
#[derive(Serialize)]
pub(crate) struct Deleted<'a> {
    dry_run: bool,
    /// All of them.
    traces: usize,
    /// The first of them.
    trace_ids: Each<'a, TraceId, Shown<&'a TraceId>>,
}

impl<'a> Deleted<'a> {
    pub(crate) fn of(traces: usize, shown: &'a [TraceId], dry_run: bool) -> Self {
        Self { dry_run, traces, trace_ids: Each(shown, Shown) }
    }
}
