//! What is known of the spans of one row: counts and sums that may be taken back, extremes that may not.

use proto::TraceId;

use super::spread::{Spread, bucket_of};
use crate::rollup::{Sketch, Totals};

/// One span, as it is counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    pub(super) duration_nanos: i64,
    pub(super) self_nanos: i64,
    pub(super) critical_nanos: i64,
    pub(super) is_error: bool,
    pub(super) trace_id: TraceId,
}

/// The longest and the shortest span that were added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extremes {
    pub(crate) min_nanos: i64,
    pub(crate) max_nanos: i64,
    /// The trace of a longest span: of several the lowest id, whatever comes first.
    pub(crate) slowest: TraceId,
}

impl Extremes {
    fn stretch(&mut self, other: &Self) {
        self.min_nanos = self.min_nanos.min(other.min_nanos);
        if (other.max_nanos, self.slowest) > (self.max_nanos, other.slowest) {
            (self.max_nanos, self.slowest) = (other.max_nanos, other.slowest);
        }
    }
}

/// Spans counted together, or the change of what an earlier file counts. Nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) spans: i64,
    pub(crate) errors: i64,
    pub(crate) sum_nanos: i64,
    pub(crate) self_nanos: i64,
    pub(crate) critical_nanos: i64,
    pub(crate) durations: Spread,
    /// `None` while they are the durations: most spans have no children.
    pub(crate) self_times: Option<Spread>,
    /// `None` while nothing was added.
    pub(crate) extremes: Option<Extremes>,
}

impl Change {
    /// Counts a span, or takes it back.
    pub(super) fn count(&mut self, span: &Counted, takes_back: bool) {
        let sign = if takes_back { -1 } else { 1 };
        self.spans += sign;
        self.errors += if span.is_error { sign } else { 0 };
        self.sum_nanos = self.sum_nanos.saturating_add(sign * span.duration_nanos);
        self.self_nanos = self.self_nanos.saturating_add(sign * span.self_nanos);
        self.critical_nanos = self.critical_nanos.saturating_add(sign * span.critical_nanos);
        let bucket = bucket_of(span.duration_nanos);
        let of_self = if span.self_nanos == span.duration_nanos { bucket } else { bucket_of(span.self_nanos) };
        if self.self_times.is_some() || of_self != bucket {
            self.own_self_times().add(of_self, sign);
        }
        self.durations.add(bucket, sign);
        if !takes_back {
            let (min_nanos, max_nanos) = (span.duration_nanos, span.duration_nanos);
            self.stretch(Some(Extremes { min_nanos, max_nanos, slowest: span.trace_id }));
        }
    }

    /// Counts all that `other` does.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.add_sums(other.spans, other.errors, [other.sum_nanos, other.self_nanos, other.critical_nanos]);
        if self.self_times.is_some() || other.self_times.is_some() {
            self.own_self_times().merge(other.self_times.as_ref().unwrap_or(&other.durations));
        }
        self.durations.merge(&other.durations);
        self.stretch(other.extremes);
    }

    /// The self times, from now on apart from the durations.
    pub(super) fn own_self_times(&mut self) -> &mut Spread {
        let Self { durations, self_times, .. } = self;
        self_times.get_or_insert_with(|| durations.clone())
    }

    /// Adds what is in no sketch; the sums are those of durations, self times and critical path.
    pub(super) fn add_sums(&mut self, spans: i64, errors: i64, sums_nanos: [i64; 3]) {
        self.spans = self.spans.saturating_add(spans);
        self.errors = self.errors.saturating_add(errors);
        self.sum_nanos = self.sum_nanos.saturating_add(sums_nanos[0]);
        self.self_nanos = self.self_nanos.saturating_add(sums_nanos[1]);
        self.critical_nanos = self.critical_nanos.saturating_add(sums_nanos[2]);
    }

    /// Takes in further extremes.
    pub(super) fn stretch(&mut self, other: Option<Extremes>) {
        match (&mut self.extremes, other) {
            (Some(known), Some(other)) => known.stretch(&other),
            (known @ None, other) => *known = other,
            (Some(_), None) => {}
        }
    }

    /// Without buckets that came to nothing.
    pub(super) fn tidy(&mut self) {
        self.durations.tidy();
        if let Some(self_times) = &mut self.self_times {
            self_times.tidy();
        }
        self.self_times.take_if(|self_times| *self_times == self.durations);
    }

    /// Whether it changes nothing: what was added was taken back.
    pub(super) fn is_zero(&self) -> bool {
        let sums = [self.spans, self.errors, self.sum_nanos, self.self_nanos, self.critical_nanos];
        sums == [0; 5] && self.durations.is_zero() && self.self_times.as_ref().is_none_or(Spread::is_zero)
    }

    /// What it comes to, when all that was ever counted is in it.
    pub(crate) fn to_totals(&self) -> StepTotals {
        let durations = self.durations.to_sketch();
        let self_times = self.self_times.as_ref().map_or_else(|| durations.clone(), Spread::to_sketch);
        let known = self.extremes.filter(|_| self.spans > 0);
        // An extreme whose span was taken back is told by its bucket, with the error of the percentiles.
        let told = |nanos: i64, share: f64| match self.durations.count_near(nanos) {
            count if count > 0 => nanos,
            _ => durations.quantile_nanos(share).unwrap_or_default(),
        };
        StepTotals {
            spans: self.spans.max(0).unsigned_abs(),
            errors: self.errors.max(0).unsigned_abs(),
            sum_nanos: self.sum_nanos.max(0),
            self_nanos: self.self_nanos.max(0),
            critical_nanos: self.critical_nanos.max(0),
            min_nanos: known.map_or(0, |known| told(known.min_nanos, 0.0)),
            max_nanos: known.map_or(0, |known| told(known.max_nanos, 1.0)),
            slowest: known.map(|known| known.slowest),
            durations,
            self_times,
        }
    }
}

/// What the spans of one row come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepTotals {
    /// Spans.
    pub spans: u64,
    /// Spans with status `Error`.
    pub errors: u64,
    /// All durations together, nanoseconds; an end before the start is a duration of 0.
    pub sum_nanos: i64,
    /// All self times together, nanoseconds: what no child covers.
    pub self_nanos: i64,
    /// All time on the critical path, nanoseconds: how long the ends of the operations had to wait for these spans, those below them
    /// apart. At each instant of an operation that is one span.
    pub critical_nanos: i64,
    /// Shortest duration, nanoseconds. Exact, unless the span turned out to be of another step when more of its trace came:
    /// then within [`crate::RELATIVE_ERROR`]. So is the longest.
    pub min_nanos: i64,
    /// Longest duration, nanoseconds.
    pub max_nanos: i64,
    /// How the durations are spread.
    pub durations: Sketch,
    /// How the self times are spread.
    pub self_times: Sketch,
    /// The trace of a span with the longest duration.
    pub slowest: Option<TraceId>,
}

impl StepTotals {
    /// A percentile of the durations as [`Sketch::quantile_nanos`] has it, held between the shortest and the longest.
    #[must_use]
    pub fn quantile_nanos(&self, quantile: f64) -> i64 {
        let found = self.durations.quantile_nanos(quantile).unwrap_or(self.min_nanos);
        found.max(self.min_nanos).min(self.max_nanos)
    }

    /// Counts and durations alone; `None` when nothing is counted.
    pub(crate) fn into_totals(self) -> Option<Totals> {
        let Self { spans, errors, sum_nanos, min_nanos, max_nanos, durations: sketch, slowest, .. } = self;
        let slowest = slowest.filter(|_| spans > 0)?;
        Some(Totals { spans, errors, sum_nanos, min_nanos, max_nanos, sketch, slowest })
    }

    /// Counts all that `other` does.
    pub fn merge(&mut self, other: &Self) {
        if other.spans == 0 {
            return;
        }
        if self.spans == 0 {
            self.clone_from(other);
            return;
        }
        self.spans = self.spans.saturating_add(other.spans);
        self.errors = self.errors.saturating_add(other.errors);
        self.sum_nanos = self.sum_nanos.saturating_add(other.sum_nanos);
        self.self_nanos = self.self_nanos.saturating_add(other.self_nanos);
        self.critical_nanos = self.critical_nanos.saturating_add(other.critical_nanos);
        self.min_nanos = self.min_nanos.min(other.min_nanos);
        if other.max_nanos > self.max_nanos || (other.max_nanos == self.max_nanos && other.slowest < self.slowest) {
            (self.max_nanos, self.slowest) = (other.max_nanos, other.slowest);
        }
        self.durations.merge(&other.durations);
        self.self_times.merge(&other.self_times);
    }

    /// A percentile of the self times.
    #[must_use]
    pub fn self_quantile_nanos(&self, quantile: f64) -> i64 {
        self.self_times.quantile_nanos(quantile).unwrap_or_default().min(self.max_nanos)
    }
}
