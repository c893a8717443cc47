//! The JSON of `GET /api/v1/operations/slow`.

use model::breakdown::{AttributeLift, CohortReport, StepChange, StepRow};
use model::stats::Share;
use proto::{TraceId, UnixNanos};
use serde::Serialize;

use super::json::{Shown, Text64};

/// What was asked, and which traces answer it.
pub(crate) struct Cohorts<'a> {
    pub(crate) as_of: UnixNanos,
    pub(crate) start: UnixNanos,
    pub(crate) end: UnixNanos,
    pub(crate) service: &'a str,
    pub(crate) name: &'a str,
    pub(crate) percentile: usize,
    pub(crate) threshold_nanos: Option<i64>,
    /// Executions that there are.
    pub(crate) total: u64,
    pub(crate) slow: Vec<TraceId>,
    pub(crate) rest: Vec<TraceId>,
}

/// The answer, fields in the order of `docs/http-api.md`.
#[derive(Serialize)]
pub(crate) struct Slow<'a> {
    as_of_unix_nano: Text64,
    start_unix_nano: Text64,
    end_unix_nano: Text64,
    service: &'a str,
    name: &'a str,
    percentile: usize,
    threshold_nano: Option<Text64>,
    total: u64,
    slow_count: usize,
    rest_count: usize,
    slow_mean_nano: Option<Text64>,
    rest_mean_nano: Option<Text64>,
    steps: Vec<StepView<'a>>,
    attributes: Vec<AttributeView<'a>>,
    slow_trace_ids: Vec<Shown<&'a TraceId>>,
    rest_trace_ids: Vec<Shown<&'a TraceId>>,
}

impl<'a> Slow<'a> {
    /// Without a report when a cohort is empty.
    pub(crate) fn of(cohorts: &'a Cohorts<'a>, report: Option<&'a CohortReport>) -> Self {
        Self {
            as_of_unix_nano: cohorts.as_of.into(),
            start_unix_nano: cohorts.start.into(),
            end_unix_nano: cohorts.end.into(),
            service: cohorts.service,
            name: cohorts.name,
            percentile: cohorts.percentile,
            threshold_nano: cohorts.threshold_nanos.map(Text64),
            total: cohorts.total,
            slow_count: cohorts.slow.len(),
            rest_count: cohorts.rest.len(),
            slow_mean_nano: report.map(|report| whole(report.slow_mean_nanos)),
            rest_mean_nano: report.map(|report| whole(report.rest_mean_nanos)),
            steps: report.iter().flat_map(|report| &report.steps).map(StepView::of).collect(),
            attributes: report.iter().flat_map(|report| &report.attributes).map(AttributeView::of).collect(),
            slow_trace_ids: cohorts.slow.iter().map(Shown).collect(),
            rest_trace_ids: cohorts.rest.iter().map(Shown).collect(),
        }
    }
}

#[derive(Serialize)]
struct StepView<'a> {
    path: &'a [String],
    kind: StepChange,
    slow_mean_nano: Text64,
    rest_mean_nano: Text64,
    share_of_difference: f64,
    slow_repeats: f64,
    rest_repeats: f64,
    ratio: Option<f64>,
    p_value: Option<f64>,
}

impl<'a> StepView<'a> {
    fn of(step: &'a StepRow) -> Self {
        Self {
            path: &step.path,
            kind: step.change,
            slow_mean_nano: whole(step.slow_mean_nanos),
            rest_mean_nano: whole(step.rest_mean_nanos),
            share_of_difference: step.share_of_difference,
            slow_repeats: step.slow_repeats,
            rest_repeats: step.rest_repeats,
            ratio: step.comparison.map(|comparison| comparison.ratio),
            p_value: step.comparison.map(|comparison| comparison.p_value),
        }
    }
}

#[derive(Serialize)]
struct AttributeView<'a> {
    key: &'a str,
    value: &'a str,
    lift: f64,
    p_value: f64,
    slow: Share,
    rest: Share,
}

impl<'a> AttributeView<'a> {
    fn of(attribute: &'a AttributeLift) -> Self {
        let AttributeLift { key, value, lift, p_value, slow, rest } = attribute;
        Self { key, value, lift: *lift, p_value: *p_value, slow: *slow, rest: *rest }
    }
}

/// A mean in whole nanoseconds.
fn whole(nanos: f64) -> Text64 {
    Text64(nanos.round() as i64)
}
