//! Counts the roots that were sent, with all of their durations, so that percentiles are exact.

use std::collections::BTreeMap;
use std::time::Duration;

use proto::UnixNanos;
use proto::otlp::trace::v1::status::StatusCode;

use super::truth::{OperationTruth, Truth};
use crate::demo::span::EmittedSpan;

const HOUR: Duration = Duration::from_secs(3_600);
/// Distinct services and names; statements as names have no bound. Further ones are counted as [`OVERFLOW`].
const NAMES_MAX: usize = 20_000;
const OVERFLOW: &str = "(more names)";

/// What was counted under one service, name and class.
#[derive(Debug, Default)]
struct Hour {
    durations: Vec<i64>,
    errors: u64,
    failed: u64,
}

/// Roots by service, name and class, and by the hour in which they started.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<(&'static str, String, &'static str), BTreeMap<UnixNanos, Hour>>);

impl Tally {
    /// Counts a root. `has_failed` says what happened, whatever the span's status says.
    pub(super) fn count(&mut self, root: &EmittedSpan, class: &'static str, has_failed: bool) {
        let mut key = (root.emitter.service, root.span.name.clone(), class);
        if self.0.len() >= NAMES_MAX && !self.0.contains_key(&key) {
            key.1 = OVERFLOW.to_owned();
        }
        let start = i64::try_from(root.span.start_time_unix_nano).unwrap_or(i64::MAX);
        let end = i64::try_from(root.span.end_time_unix_nano).unwrap_or(i64::MAX);
        let hour = i64::try_from(HOUR.as_nanos()).unwrap_or(i64::MAX);
        let counted = self.0.entry(key).or_default().entry(UnixNanos::from_i64(start / hour * hour)).or_default();
        counted.durations.push((end - start).max(0));
        counted.errors += u64::from(is_error(root));
        counted.failed += u64::from(has_failed);
    }

    /// Everything that was counted: each operation over the whole time, then by hour.
    pub(super) fn into_truth(self) -> impl Iterator<Item = Truth> {
        self.0.into_iter().flat_map(|((service, name, class), hours)| {
            let mut lines = Vec::with_capacity(hours.len() + 1);
            let mut whole = Hour::default();
            for (start, hour) in hours {
                whole.durations.extend(&hour.durations);
                whole.errors += hour.errors;
                whole.failed += hour.failed;
                lines.push(Truth::OperationHour(operation(service, &name, class, Some(start), hour)));
            }
            lines.insert(0, Truth::Operation(operation(service, &name, class, None, whole)));
            lines
        })
    }
}

/// Whether a span's status is ERROR.
pub(super) fn is_error(emitted: &EmittedSpan) -> bool {
    emitted.span.status.as_ref().is_some_and(|status| status.code == StatusCode::Error as i32)
}

fn operation(
    service: &'static str,
    name: &str,
    class: &'static str,
    hour_unix_nano: Option<UnixNanos>,
    mut hour: Hour,
) -> OperationTruth {
    hour.durations.sort_unstable();
    let durations = &hour.durations;
    let quantile = |quantile: f64| durations[(quantile * (durations.len() - 1) as f64) as usize];
    OperationTruth {
        service,
        name: name.to_owned(),
        class,
        hour_unix_nano,
        count: durations.len() as u64,
        errors: hour.errors,
        failed: hour.failed,
        total_nanos: durations.iter().sum(),
        p50_nanos: quantile(0.5),
        p95_nanos: quantile(0.95),
        p99_nanos: quantile(0.99),
        max_nanos: quantile(1.0),
    }
}
