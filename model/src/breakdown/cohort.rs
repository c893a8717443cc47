//! What slow traces have in common that the rest has not.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::step::StepShare;
use crate::stats::{Comparison, LogMoments, SAMPLE_MIN, Share, two_proportions, welch, wilson};

/// Steps that a comparison tells of: those that account for most of the difference.
pub const STEP_ROWS_MAX: usize = 50;

/// Attribute values that a comparison tells of: the most over-represented ones.
pub const ATTRIBUTES_MAX: usize = 20;

/// A step that occurs this many times as often per trace, and at least once more, repeats.
const REPEAT_FACTOR: f64 = 2.0;

/// A step that this share of one cohort has, and at most one in twenty of the other, is new or missing.
const PRESENT_SHARE: f64 = 0.5;
const ABSENT_SHARE: f64 = 0.05;

/// One trace of a cohort.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CohortTrace {
    /// Of its root, nanoseconds.
    pub duration_nanos: i64,
    /// Where it spent the time.
    pub steps: Vec<StepShare>,
    /// Attributes by which it may differ: region, engine, version, instance.
    pub attributes: Vec<(String, String)>,
}

/// Two cohorts compared.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CohortReport {
    /// Slow traces.
    pub slow_count: usize,
    /// The others.
    pub rest_count: usize,
    /// Mean duration of the slow ones, nanoseconds.
    pub slow_mean_nanos: f64,
    /// Mean duration of the others.
    pub rest_mean_nanos: f64,
    /// Steps by how much of the difference they account for, most first.
    pub steps: Vec<StepRow>,
    /// Attribute values that are more frequent among the slow ones than chance would have it, by how much.
    pub attributes: Vec<AttributeLift>,
}

/// What a step has to do with the difference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepRow {
    /// Names from the root on.
    pub path: Vec<String>,
    /// How it differs.
    pub change: StepChange,
    /// Per slow trace, nanoseconds of the critical path.
    pub slow_mean_nanos: f64,
    /// The same per other trace.
    pub rest_mean_nanos: f64,
    /// Of the difference of the mean durations, the part that this step accounts for. All steps together account for all of it.
    pub share_of_difference: f64,
    /// How often it occurs per slow trace.
    pub slow_repeats: f64,
    /// How often it occurs per other trace.
    pub rest_repeats: f64,
    /// Whether the time per trace that has the step differs by more than chance.
    pub comparison: Option<Comparison>,
}

/// How a step differs between the cohorts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepChange {
    /// Only slow traces have it.
    New,
    /// Slow traces lack it.
    Missing,
    /// It occurs more often per trace: a query per row, polls, retries.
    Repeated,
    /// It takes longer.
    Slower,
    /// It takes less time.
    Faster,
    /// It differs by no more than chance.
    Same,
}

/// An attribute value that is over-represented among slow traces.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttributeLift {
    /// The attribute.
    pub key: String,
    /// Its value.
    pub value: String,
    /// Among slow traces.
    pub slow: Share,
    /// Among the others.
    pub rest: Share,
    /// The share among slow traces over that among all.
    pub lift: f64,
    /// How likely that is by chance.
    pub p_value: f64,
}

/// Compares slow traces with the rest; `None` when either is empty.
#[must_use]
pub fn compare(slow: &[CohortTrace], rest: &[CohortTrace]) -> Option<CohortReport> {
    if slow.is_empty() || rest.is_empty() {
        return None;
    }
    let mean = |traces: &[CohortTrace]| {
        traces.iter().map(|trace| trace.duration_nanos as f64).sum::<f64>() / traces.len() as f64
    };
    let (slow_mean_nanos, rest_mean_nanos) = (mean(slow), mean(rest));
    let mut rows = step_rows(slow, rest, slow_mean_nanos - rest_mean_nanos);
    rows.truncate(STEP_ROWS_MAX);
    let mut attributes = attribute_lifts(slow, rest);
    attributes.truncate(ATTRIBUTES_MAX);
    Some(CohortReport {
        slow_count: slow.len(),
        rest_count: rest.len(),
        slow_mean_nanos,
        rest_mean_nanos,
        steps: rows,
        attributes,
    })
}

/// A step in one cohort.
#[derive(Default)]
struct StepSums {
    traces: f64,
    repeats: f64,
    critical_nanos: f64,
    moments: LogMoments,
}

fn sums(traces: &[CohortTrace]) -> BTreeMap<&[String], StepSums> {
    let mut sums: BTreeMap<&[String], StepSums> = BTreeMap::new();
    for step in traces.iter().flat_map(|trace| &trace.steps) {
        let of_step = sums.entry(&step.path).or_default();
        of_step.traces += 1.0;
        of_step.repeats += step.count as f64;
        of_step.critical_nanos += step.critical_nanos as f64;
        of_step.moments.add(step.critical_nanos as f64, 1.0);
    }
    sums
}

fn step_rows(slow: &[CohortTrace], rest: &[CohortTrace], difference: f64) -> Vec<StepRow> {
    let (slow_sums, rest_sums) = (sums(slow), sums(rest));
    let paths: BTreeSet<&[String]> = slow_sums.keys().chain(rest_sums.keys()).copied().collect();
    let nothing = StepSums::default();
    let (slow_count, rest_count) = (slow.len() as f64, rest.len() as f64);
    let rows = paths.into_iter().map(|path| {
        let in_slow = slow_sums.get(path).unwrap_or(&nothing);
        let in_rest = rest_sums.get(path).unwrap_or(&nothing);
        let (slow_mean, rest_mean) = (in_slow.critical_nanos / slow_count, in_rest.critical_nanos / rest_count);
        let comparison = welch(&in_rest.moments, &in_slow.moments);
        StepRow {
            path: path.to_vec(),
            change: change(in_slow, slow_count, in_rest, rest_count, comparison),
            slow_mean_nanos: slow_mean,
            rest_mean_nanos: rest_mean,
            share_of_difference: if difference == 0.0 { 0.0 } else { (slow_mean - rest_mean) / difference },
            slow_repeats: in_slow.repeats / slow_count,
            rest_repeats: in_rest.repeats / rest_count,
            comparison,
        }
    });
    let mut rows: Vec<StepRow> = rows.collect();
    let weight = |row: &StepRow| (row.slow_mean_nanos - row.rest_mean_nanos).abs();
    rows.sort_by(|a, b| weight(b).total_cmp(&weight(a)).then_with(|| a.path.cmp(&b.path)));
    rows
}

fn change(
    in_slow: &StepSums,
    slow_count: f64,
    in_rest: &StepSums,
    rest_count: f64,
    comparison: Option<Comparison>,
) -> StepChange {
    let (slow_share, rest_share) = (in_slow.traces / slow_count, in_rest.traces / rest_count);
    if slow_share >= PRESENT_SHARE && rest_share <= ABSENT_SHARE {
        return StepChange::New;
    }
    if rest_share >= PRESENT_SHARE && slow_share <= ABSENT_SHARE {
        return StepChange::Missing;
    }
    let (slow_repeats, rest_repeats) = (in_slow.repeats / slow_count, in_rest.repeats / rest_count);
    if slow_repeats >= REPEAT_FACTOR * rest_repeats && slow_repeats >= rest_repeats + 1.0 {
        return StepChange::Repeated;
    }
    match comparison.filter(Comparison::is_significant) {
        Some(comparison) if comparison.ratio > 1.0 => StepChange::Slower,
        Some(_) => StepChange::Faster,
        None => StepChange::Same,
    }
}

fn attribute_lifts(slow: &[CohortTrace], rest: &[CohortTrace]) -> Vec<AttributeLift> {
    let (slow_counts, rest_counts) = (value_counts(slow), value_counts(rest));
    let (slow_total, rest_total) = (slow.len() as u64, rest.len() as u64);
    let lifts = slow_counts.iter().filter_map(|(&(key, value), &in_slow)| {
        let in_rest = rest_counts.get(&(key, value)).copied().unwrap_or(0);
        // A value that every trace has, or a handful, tells nothing.
        if (in_slow as f64) < SAMPLE_MIN {
            return None;
        }
        let comparison = two_proportions((in_rest, rest_total), (in_slow, slow_total))?;
        let all = (in_slow + in_rest) as f64 / (slow_total + rest_total) as f64;
        let (slow, rest) = (wilson(in_slow, slow_total)?, wilson(in_rest, rest_total)?);
        let is_over = slow.share > rest.share && comparison.is_significant();
        let (key, value) = (key.to_owned(), value.to_owned());
        is_over.then(|| AttributeLift { key, value, lift: slow.share / all, slow, rest, p_value: comparison.p_value })
    });
    let mut lifts: Vec<AttributeLift> = lifts.collect();
    let order = |lift: &AttributeLift| lift.slow.share - lift.rest.share;
    lifts.sort_by(|a, b| order(b).total_cmp(&order(a)).then_with(|| (&a.key, &a.value).cmp(&(&b.key, &b.value))));
    lifts
}

/// In how many traces each value occurs.
fn value_counts(traces: &[CohortTrace]) -> BTreeMap<(&str, &str), u64> {
    let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for trace in traces {
        let values: BTreeSet<(&str, &str)> =
            trace.attributes.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        for value in values {
            *counts.entry(value).or_default() += 1;
        }
    }
    counts
}
