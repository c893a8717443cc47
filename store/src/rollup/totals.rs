//! What is known of the spans of one row: counts, sums, extremes, spread, and which trace to look at.

use proto::TraceId;

use super::Sketch;

/// Spans counted together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Totals {
    /// Spans.
    pub spans: u64,
    /// Spans with status `Error`.
    pub errors: u64,
    /// All durations together, nanoseconds; stays at `i64::MAX` (292 years) when it would be more.
    pub sum_nanos: i64,
    /// Shortest duration, nanoseconds.
    pub min_nanos: i64,
    /// Longest duration, nanoseconds.
    pub max_nanos: i64,
    /// How the durations are spread.
    pub sketch: Sketch,
    /// The trace of a span with the longest duration.
    pub slowest: TraceId,
}

impl Totals {
    /// Of one span. Ends that lie before their start count as a duration of 0.
    pub(crate) fn of_span(duration_nanos: i64, is_error: bool, trace_id: TraceId) -> Self {
        let duration = duration_nanos.max(0);
        let mut sketch = Sketch::default();
        sketch.add(duration);
        Self {
            spans: 1,
            errors: u64::from(is_error),
            sum_nanos: duration,
            min_nanos: duration,
            max_nanos: duration,
            sketch,
            slowest: trace_id,
        }
    }

    /// Counts one more span.
    pub(crate) fn add_span(&mut self, duration_nanos: i64, is_error: bool, trace_id: impl FnOnce() -> TraceId) {
        let duration = duration_nanos.max(0);
        self.spans += 1;
        self.errors += u64::from(is_error);
        self.sum_nanos = self.sum_nanos.saturating_add(duration);
        self.sketch.add(duration);
        if duration >= self.max_nanos || duration < self.min_nanos {
            self.stretch(duration, duration, trace_id());
        }
    }

    /// Counts all spans of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.sketch.merge(&other.sketch);
        self.merge_counts(other.spans, other.errors, other.sum_nanos);
        self.stretch(other.min_nanos, other.max_nanos, other.slowest);
    }

    /// Adds what is not in the sketch.
    pub(super) fn merge_counts(&mut self, spans: u64, errors: u64, sum_nanos: i64) {
        self.spans = self.spans.saturating_add(spans);
        self.errors = self.errors.saturating_add(errors);
        self.sum_nanos = self.sum_nanos.saturating_add(sum_nanos);
    }

    /// Takes in further extremes. Of two traces with equally long spans the lower id stays, whatever comes first.
    pub(super) fn stretch(&mut self, min_nanos: i64, max_nanos: i64, slowest: TraceId) {
        self.min_nanos = self.min_nanos.min(min_nanos);
        if max_nanos > self.max_nanos || (max_nanos == self.max_nanos && slowest < self.slowest) {
            (self.max_nanos, self.slowest) = (max_nanos, slowest);
        }
    }

    /// A percentile as [`Sketch::quantile_nanos`] has it, held between the shortest and the longest duration.
    #[must_use]
    pub fn quantile_nanos(&self, quantile: f64) -> i64 {
        let found = self.sketch.quantile_nanos(quantile).unwrap_or(self.min_nanos);
        found.max(self.min_nanos).min(self.max_nanos)
    }
}
