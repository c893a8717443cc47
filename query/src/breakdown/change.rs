//! How a step differs from what it was, and whether that is more than chance.

use model::breakdown::StepChange;
use model::stats::{Comparison, SAMPLE_MIN, two_proportions, welch};
use store::StepTotals;

use super::log_moments;

/// A step that occurs this many times as often per operation, and at least once more, repeats.
const REPEAT_FACTOR: f64 = 2.0;

/// What the rows of a period are shares of.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Scale {
    /// Roots.
    pub(crate) operations: u64,
    /// Self time of all steps and the roots.
    pub(crate) self_nanos: i64,
    /// Time on the critical path of all steps and the roots.
    pub(crate) critical_nanos: i64,
}

impl Scale {
    /// How often something occurs in one operation.
    pub(crate) fn per_operation(&self, count: u64) -> f64 {
        count as f64 / self.operations.max(1) as f64
    }

    /// Nanoseconds of the critical path that something has in one operation.
    fn critical_per_operation(&self, totals: Option<&StepTotals>) -> f64 {
        totals.map_or(0.0, |totals| totals.critical_nanos as f64 / self.operations.max(1) as f64)
    }

    fn all_critical_per_operation(&self) -> f64 {
        self.critical_nanos as f64 / self.operations.max(1) as f64
    }
}

/// How a row differs from the same row of the baseline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Change {
    pub(crate) kind: StepChange,
    pub(crate) is_significant: bool,
    /// Of the geometric means, and how likely that is by chance.
    pub(crate) comparison: Option<Comparison>,
    /// Time on the critical path per operation, more than in the baseline.
    pub(crate) critical_nanos: f64,
    /// Its part of the change of the whole operation; `None` when that did not change.
    pub(crate) share: Option<f64>,
    /// Of the shares of failed spans.
    pub(crate) errors: Option<Comparison>,
}

impl Change {
    /// Of a step: by its self time, so that it does not change because one below it did.
    pub(crate) fn of_step(now: (Option<&StepTotals>, &Scale), before: (Option<&StepTotals>, &Scale)) -> Option<Self> {
        Self::of(now, before, |totals| &totals.self_times)
    }

    /// Of whole operations: by their duration.
    pub(crate) fn of_roots(now: Option<&StepTotals>, before: Option<&StepTotals>) -> Option<Self> {
        let scale = |totals: Option<&StepTotals>| Scale {
            operations: totals.map_or(0, |totals| totals.spans),
            self_nanos: 0,
            critical_nanos: totals.map_or(0, |totals| totals.sum_nanos),
        };
        let (now_scale, before_scale) = (scale(now), scale(before));
        let mut change = Self::of((now, &now_scale), (before, &before_scale), |totals| &totals.durations)?;
        // What steps do with the time is not the question here.
        change.critical_nanos = now_scale.all_critical_per_operation() - before_scale.all_critical_per_operation();
        change.share = None;
        Some(change)
    }

    /// `None` when neither period has it.
    fn of(
        (now, now_scale): (Option<&StepTotals>, &Scale),
        (before, before_scale): (Option<&StepTotals>, &Scale),
        times: fn(&StepTotals) -> &store::Sketch,
    ) -> Option<Self> {
        let critical_nanos = now_scale.critical_per_operation(now) - before_scale.critical_per_operation(before);
        let whole = now_scale.all_critical_per_operation() - before_scale.all_critical_per_operation();
        let share = (whole != 0.0).then(|| critical_nanos / whole);
        let change = |kind, is_significant, comparison| Self {
            kind,
            is_significant,
            comparison,
            critical_nanos,
            share,
            errors: None,
        };
        let (now, before) = match (now, before) {
            (None, None) => return None,
            (Some(now), None) => {
                let presence = presence((0, before_scale), (now.spans, now_scale));
                return Some(change(StepChange::New, presence.is_some_and(|found| found.is_significant()), presence));
            }
            (None, Some(before)) => {
                let presence = presence((before.spans, before_scale), (0, now_scale));
                return Some(change(
                    StepChange::Missing,
                    presence.is_some_and(|found| found.is_significant()),
                    presence,
                ));
            }
            (Some(now), Some(before)) => (now, before),
        };
        let comparison = welch(&log_moments(times(before)), &log_moments(times(now)));
        let errors = two_proportions((before.errors, before.spans), (now.errors, now.spans));
        let (repeats, repeated) = (now_scale.per_operation(now.spans), before_scale.per_operation(before.spans));
        if repeats >= REPEAT_FACTOR * repeated && repeats >= repeated + 1.0 {
            let is_enough = now_scale.operations.min(before_scale.operations) as f64 >= SAMPLE_MIN;
            return Some(Self { errors, ..change(StepChange::Repeated, is_enough, comparison) });
        }
        let kind = match comparison.filter(Comparison::is_significant) {
            Some(comparison) if comparison.ratio > 1.0 => StepChange::Slower,
            Some(_) => StepChange::Faster,
            None => StepChange::Same,
        };
        Some(Self { errors, ..change(kind, kind != StepChange::Same, comparison) })
    }
}

/// Whether more operations have it than had it.
fn presence(before: (u64, &Scale), now: (u64, &Scale)) -> Option<Comparison> {
    let of_operations = |(count, scale): (u64, &Scale)| (count.min(scale.operations), scale.operations);
    two_proportions(of_operations(before), of_operations(now))
}
