//! The JSON of `GET /api/v1/runs` and of one run.

use model::run::{Pending, Run, RunError, RunId, RunPart, RunRef, RunState, Step, StepKind, Subject};
use proto::{SpanId, TraceId, UnixNanos};
use serde::{Serialize, Serializer};
use store::RunSummary;

use super::json::{Each, Shown, Text64};

/// The answer, fields in the order of `docs/http-api.md`.
#[derive(Serialize)]
pub(crate) struct Runs {
    as_of_unix_nano: Text64,
    start_unix_nano: Text64,
    end_unix_nano: Text64,
    total: usize,
    has_more: bool,
    runs: Vec<RunRow>,
}

impl Runs {
    /// `total` runs match, or more, of which `runs` are shown.
    pub(crate) fn of(
        as_of: UnixNanos,
        (start, end): (UnixNanos, UnixNanos),
        (total, has_more): (usize, bool),
        runs: Vec<RunRow>,
    ) -> Self {
        let (start_unix_nano, end_unix_nano) = (start.into(), end.into());
        Self { as_of_unix_nano: as_of.into(), start_unix_nano, end_unix_nano, total, has_more, runs }
    }
}

/// How a run stands, and what it is held against.
#[derive(Clone, Copy)]
pub(crate) struct Standing {
    pub(crate) as_of: UnixNanos,
    pub(crate) state: RunState,
    /// The p95 of what the run is at; `None` while too little is known.
    pub(crate) usual_p95_nanos: Option<i64>,
}

/// One run of a list.
pub(crate) struct RunRow {
    run: RunSummary,
    standing: Standing,
}

impl RunRow {
    pub(crate) fn of(run: RunSummary, standing: Standing) -> Self {
        Self { run, standing }
    }
}

impl Serialize for RunRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { run, standing } = self;
        RunView {
            run_id: Shown(run.run),
            class: run.class.name(),
            service: &run.service,
            operation: &run.operation,
            state: standing.state.name(),
            outcome: run.outcome.name(),
            start_unix_nano: run.start.into(),
            end_unix_nano: run.end.map(Text64::from),
            last_activity_unix_nano: run.last_activity.into(),
            duration_nano: Text64(run.end.unwrap_or(standing.as_of).nanos_since(run.start).max(0)),
            idle_nano: Text64(standing.as_of.nanos_since(run.last_activity).max(0)),
            subject: SubjectView::of(&run.subject),
            attempts: run.attempts,
            current_step: run.current.as_ref().filter(|_| run.end.is_none()).map(PendingView::of),
            usual_step_p95_nano: standing.usual_p95_nanos.map(Text64),
            error: run.error.as_ref().map(ErrorView::of),
            span_count: run.span_count,
            error_count: run.error_count,
            trace_ids: Each(&run.trace_ids, Shown),
        }
        .serialize(serializer)
    }
}

#[derive(Serialize)]
struct RunView<'a> {
    run_id: Shown<RunRef>,
    class: &'static str,
    service: &'a str,
    operation: &'a str,
    state: &'static str,
    outcome: &'static str,
    start_unix_nano: Text64,
    end_unix_nano: Option<Text64>,
    last_activity_unix_nano: Text64,
    duration_nano: Text64,
    idle_nano: Text64,
    #[serde(flatten)]
    subject: SubjectView<'a>,
    attempts: u32,
    current_step: Option<PendingView<'a>>,
    usual_step_p95_nano: Option<Text64>,
    error: Option<ErrorView<'a>>,
    span_count: u64,
    error_count: u64,
    trace_ids: Each<'a, TraceId, Shown<&'a TraceId>>,
}

/// One run in full.
#[derive(Serialize)]
pub(crate) struct RunDetail<'a> {
    as_of_unix_nano: Text64,
    #[serde(flatten)]
    row: RunRow,
    wait_nano: Text64,
    work_nano: Text64,
    is_cut: bool,
    trigger: &'static str,
    cause: Option<&'a str>,
    old_primary: Option<&'a str>,
    new_primary: Option<&'a str>,
    is_failover: bool,
    ids: Vec<IdView<'a>>,
    parts: Each<'a, RunPart, PartView<'a>>,
}

impl<'a> RunDetail<'a> {
    /// `is_failover`: whether `GET /api/v1/failovers` counts it.
    pub(crate) fn of(run: &'a Run, summary: RunSummary, standing: Standing, is_failover: bool) -> Self {
        let sum = |of: fn(&RunPart) -> i64| Text64(run.parts.iter().map(of).fold(0, i64::saturating_add));
        let mut ids: Vec<&RunId> = run.parts.iter().flat_map(|part| &part.ids).collect();
        ids.sort_unstable();
        ids.dedup();
        Self {
            as_of_unix_nano: standing.as_of.into(),
            row: RunRow::of(summary, standing),
            wait_nano: sum(|part| part.wait_nanos),
            work_nano: sum(|part| part.work_nanos),
            is_cut: run.parts.iter().any(|part| part.is_cut),
            trigger: run.trigger.name(),
            cause: run.cause.as_deref(),
            old_primary: run.subject.old_primary.as_deref(),
            new_primary: run.subject.new_primary.as_deref(),
            is_failover,
            ids: ids.into_iter().map(IdView::of).collect(),
            parts: parts(run),
        }
    }
}

/// What the run is made of.
pub(crate) fn parts(run: &Run) -> Each<'_, RunPart, PartView<'_>> {
    Each(&run.parts, PartView::of)
}

/// To whom it happened.
#[derive(Serialize)]
pub(crate) struct SubjectView<'a> {
    instance: Option<&'a str>,
    region: Option<&'a str>,
    zone: Option<&'a str>,
    engine: Option<&'a str>,
    engine_version: Option<&'a str>,
    plan: Option<&'a str>,
    tenant: Option<&'a str>,
    controller_version: Option<&'a str>,
}

impl<'a> SubjectView<'a> {
    pub(crate) fn of(subject: &'a Subject) -> Self {
        Self {
            instance: subject.instance.as_deref(),
            region: subject.region.as_deref(),
            zone: subject.zone.as_deref(),
            engine: subject.engine.as_deref(),
            engine_version: subject.engine_version.as_deref(),
            plan: subject.plan.as_deref(),
            tenant: subject.tenant.as_deref(),
            controller_version: subject.controller_version.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct IdView<'a> {
    attribute: &'static str,
    value: &'a str,
}

impl<'a> IdView<'a> {
    fn of(id: &'a RunId) -> Self {
        Self { attribute: id.kind.attribute(), value: &id.value }
    }
}

/// What went wrong.
#[derive(Serialize)]
pub(crate) struct ErrorView<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    message: &'a str,
    span_name: &'a str,
}

impl<'a> ErrorView<'a> {
    pub(crate) fn of(error: &'a RunError) -> Self {
        Self { kind: &error.kind, message: &error.message, span_name: &error.span_name }
    }
}

/// Something that has begun and not ended.
#[derive(Serialize)]
struct PendingView<'a> {
    name: &'a str,
    span_id: Shown<SpanId>,
    start_unix_nano: Text64,
    phase: Option<&'static str>,
    kind: StepKind,
}

impl<'a> PendingView<'a> {
    fn of(pending: &'a Pending) -> Self {
        Self {
            name: &pending.name,
            span_id: Shown(pending.span_id),
            start_unix_nano: pending.start.into(),
            phase: pending.phase.map(model::rules::Phase::name),
            kind: pending.kind,
        }
    }
}

/// What one trace says.
#[derive(Serialize)]
pub(crate) struct PartView<'a> {
    trace_id: Shown<TraceId>,
    span_id: Shown<SpanId>,
    kind: model::run::PartKind,
    service: &'a str,
    operation: &'a str,
    start_unix_nano: Text64,
    end_unix_nano: Option<Text64>,
    last_activity_unix_nano: Text64,
    has_top: bool,
    outcome: &'static str,
    attempt: Option<u32>,
    span_count: u64,
    error_count: u64,
    steps: Each<'a, Step, StepView<'a>>,
    pending: Each<'a, Pending, PendingView<'a>>,
}

impl<'a> PartView<'a> {
    fn of(part: &'a RunPart) -> Self {
        Self {
            trace_id: Shown(part.trace_id),
            span_id: Shown(part.top),
            kind: part.kind,
            service: &part.service,
            operation: &part.operation,
            start_unix_nano: part.start.into(),
            end_unix_nano: part.end.map(Text64::from),
            last_activity_unix_nano: part.last_activity.into(),
            has_top: part.has_top,
            outcome: part.outcome.name(),
            attempt: part.attempt,
            span_count: part.span_count,
            error_count: part.error_count,
            steps: Each(&part.steps, StepView::of),
            pending: Each(&part.pending, PendingView::of),
        }
    }
}

/// Spans of one name directly below the topmost one.
#[derive(Serialize)]
struct StepView<'a> {
    name: &'a str,
    kind: StepKind,
    start_unix_nano: Text64,
    end_unix_nano: Text64,
    total_time_nano: Text64,
    count: u32,
    error_count: u32,
}

impl<'a> StepView<'a> {
    fn of(step: &'a Step) -> Self {
        Self {
            name: &step.name,
            kind: step.kind,
            start_unix_nano: step.start.into(),
            end_unix_nano: step.end.into(),
            total_time_nano: Text64(step.total_nanos),
            count: step.count,
            error_count: step.failed_count,
        }
    }
}
