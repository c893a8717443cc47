//! What can be asked of the store, and the shape of the answers.

use proto::{TraceId, UnixNanos};

use crate::rollup::{Resolution, Totals};
use crate::steps::StepTotals;

/// Which traces to list. A trace matches when **one span** of it meets every span condition
/// (`start`..`end`, service, name, error, span duration) and the whole trace meets the trace duration.
#[derive(Debug, Clone)]
pub struct SearchRequest {
    /// A matching span starts at or after this.
    pub start: UnixNanos,
    /// A matching span starts before this. [`UnixNanos::MAX`] stands for all times after it too, so that leaves out none.
    pub end: UnixNanos,
    /// `service.name` of the matching span.
    pub service: Option<String>,
    /// Name of the matching span.
    pub name: Option<String>,
    /// Whether the matching span has status `Error`.
    pub error: Option<bool>,
    /// Least duration of the matching span, nanoseconds.
    pub span_duration_min_nanos: Option<i64>,
    /// Least duration of the whole trace (first start to last end, every tier), nanoseconds.
    pub trace_duration_min_nanos: Option<i64>,
    /// Only the root span (no parent) can be the matching span.
    pub root_only: bool,
    /// Order of the answer; exact over all matching traces.
    pub order: SearchOrder,
    /// Most traces to return.
    pub limit: usize,
}

impl SearchRequest {
    /// The latest that a matching span starts.
    pub(crate) fn last_start(&self) -> i64 {
        if self.end == UnixNanos::MAX { i64::MAX } else { self.end.as_i64() - 1 }
    }
}

/// Order of a search's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SearchOrder {
    /// By the trace's first start, latest first.
    #[default]
    Newest,
    /// By the trace's duration, longest first.
    Slowest,
}

/// A search's answer.
#[derive(Debug, Clone, Default)]
pub struct SearchResult {
    /// In the asked order, at most `limit`.
    pub traces: Vec<TraceSummary>,
    /// How many traces match in all, exact.
    pub total: usize,
}

/// A span's service and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `service.name`.
    pub service: String,
    /// The span's name.
    pub name: String,
}

/// One trace of a list, over all tiers.
#[derive(Debug, Clone)]
pub struct TraceSummary {
    /// Which trace.
    pub trace_id: TraceId,
    /// First start of any span.
    pub start: UnixNanos,
    /// First start to last end, nanoseconds, never negative.
    pub duration_nanos: i64,
    /// The span without a parent, if it was seen: the earliest, if there are several.
    pub root: Option<Entry>,
    /// The earliest span: what to show while there is no root.
    pub first: Entry,
    /// Distinct spans.
    pub span_count: u64,
    /// Distinct spans with status `Error`.
    pub error_count: u64,
    /// Distinct services, sorted.
    pub services: Vec<String>,
}

/// Which spans to count.
#[derive(Debug, Clone)]
pub struct RollupRequest {
    /// Spans that start at or after this; taken down to a whole [`Rollups::resolution`].
    pub start: UnixNanos,
    /// Spans that start before this; taken up to a whole [`Rollups::resolution`].
    pub end: UnixNanos,
    /// Only of this `service.name`.
    pub service: Option<String>,
    /// Only with this name.
    pub name: Option<String>,
    /// Only spans without a parent. These count once in whichever windows they came, unless [`crate::Settings::derive_operations`] is
    /// off; other spans count once in each window.
    pub root_only: bool,
}

/// Counts and latencies.
#[derive(Debug, Clone)]
pub struct Rollups {
    /// What is counted starts at or after this.
    pub start: UnixNanos,
    /// What is counted starts before this.
    pub end: UnixNanos,
    /// The coarsest rows that were used: counts are exact for whole minutes, hours or days.
    pub resolution: Resolution,
    /// By service and name.
    pub rows: Vec<RollupRow>,
    /// Whether there were more names than an answer can have, so that the rest is counted as [`crate::OTHER_NAMES`].
    pub names_are_folded: bool,
}

/// The spans of one service and name.
#[derive(Debug, Clone)]
pub struct RollupRow {
    /// `service.name`.
    pub service: String,
    /// Span name, or [`crate::OTHER_NAMES`].
    pub name: String,
    /// Counts and durations.
    pub totals: Totals,
}

/// Which steps to count.
#[derive(Debug, Clone)]
pub struct StepRequest {
    /// Of operations that start at or after this; taken down to a whole [`Steps::resolution`].
    pub start: UnixNanos,
    /// Of operations that start before this; taken up to a whole [`Steps::resolution`].
    pub end: UnixNanos,
    /// Only of operations of this `service.name`.
    pub service: Option<String>,
    /// Only of operations with this name.
    pub operation: Option<String>,
    /// Which rows.
    pub rows: StepRows,
}

/// Which rows of operations there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepRows {
    /// The roots, by version.
    Operations,
    /// The roots, by the values of each of [`crate::STEP_ATTRIBUTES`].
    Values,
    /// Steps below the roots, by version of the root. Those of which the root has not been received have [`crate::NO_ROOT`] for an
    /// operation.
    Steps,
}

/// Where the time of operations goes.
#[derive(Debug, Clone)]
pub struct Steps {
    /// What is counted starts at or after this.
    pub start: UnixNanos,
    /// What is counted starts before this.
    pub end: UnixNanos,
    /// The coarsest rows that were used: counts are exact for whole minutes, hours or days.
    pub resolution: Resolution,
    /// By service, operation and path.
    pub rows: Vec<StepRow>,
    /// Whether there were more operations, steps or values than an answer can have, so that the rest is counted together.
    pub is_folded: bool,
}

/// One step, or the roots with one value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRow {
    /// `service.name` of the root.
    pub service: String,
    /// Name of the root.
    pub operation: String,
    /// Names of the spans below the root, down to the step; empty for the root.
    pub path: Vec<String>,
    /// `service.name` of the step.
    pub step_service: String,
    /// One of [`crate::STEP_ATTRIBUTES`] with its value; `None` in rows by version.
    pub attribute: Option<(&'static str, String)>,
    /// `service.version` of the root; `None` when it has none, and in rows by attribute.
    pub version: Option<String>,
    /// Counts and times.
    pub totals: StepTotals,
}

/// One service, over everything kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSummary {
    /// `service.name`.
    pub name: String,
    /// Spans kept.
    pub span_count: u64,
    /// Spans with status `Error`.
    pub error_count: u64,
    /// Latest start of any of its spans.
    pub last_seen: UnixNanos,
    /// Its span names with their counts, most frequent first; at most [`OPERATIONS_PER_SERVICE_MAX`].
    pub operations: Vec<OperationSummary>,
}

/// One span name of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationSummary {
    /// Span name.
    pub name: String,
    /// Spans kept.
    pub span_count: u64,
}

/// Names listed per service: more would be no list but a dump (a sender that puts ids into span names has millions).
pub const OPERATIONS_PER_SERVICE_MAX: usize = 1_000;
