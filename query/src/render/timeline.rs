//! The JSON of `GET /api/v1/instances/{instance}/timeline`.

use model::run::{RunRef, RunState};
use model::{OperationClass, Span};
use proto::{SpanId, TraceId, UnixNanos};
use serde::Serialize;
use store::RunSummary;

use super::json::{Shown, Text64};

/// The answer, fields in the order of `docs/http-api.md`.
#[derive(Serialize)]
pub(crate) struct Timeline<'a> {
    as_of_unix_nano: Text64,
    instance: &'a str,
    start_unix_nano: Text64,
    end_unix_nano: Text64,
    is_cut: bool,
    entries: Vec<Entry>,
}

impl<'a> Timeline<'a> {
    /// Of the entries, which are by start, the first `limit`.
    pub(crate) fn of(
        as_of: UnixNanos,
        instance: &'a str,
        (start, end): (UnixNanos, UnixNanos),
        is_cut: bool,
        mut entries: Vec<Entry>,
        limit: usize,
    ) -> Self {
        entries.sort_by_key(Entry::order);
        let is_cut = is_cut || entries.len() > limit;
        entries.truncate(limit);
        let (start_unix_nano, end_unix_nano) = (start.into(), end.into());
        Self { as_of_unix_nano: as_of.into(), instance, start_unix_nano, end_unix_nano, is_cut, entries }
    }
}

/// Something that happened.
#[derive(Serialize)]
pub(crate) struct Entry {
    start_unix_nano: Text64,
    end_unix_nano: Option<Text64>,
    duration_nano: Text64,
    plane: &'static str,
    kind: &'static str,
    class: &'static str,
    service: String,
    name: String,
    status: &'static str,
    trace_id: Shown<TraceId>,
    span_id: Shown<SpanId>,
    run_id: Option<Shown<RunRef>>,
}

impl Entry {
    /// An execution.
    pub(crate) fn of_run(run: &RunSummary, state: RunState, as_of: UnixNanos) -> Self {
        Self {
            start_unix_nano: run.start.into(),
            end_unix_nano: run.end.map(Text64::from),
            duration_nano: Text64(run.end.unwrap_or(as_of).nanos_since(run.start).max(0)),
            plane: plane(run.class),
            kind: "run",
            class: run.class.name(),
            service: run.service.clone(),
            name: run.operation.clone(),
            status: state.name(),
            trace_id: Shown(run.run.trace_id),
            span_id: Shown(run.run.top),
            run_id: Some(Shown(run.run)),
        }
    }

    /// A span.
    pub(crate) fn of_span(span: &Span, class: OperationClass) -> Self {
        Self {
            start_unix_nano: span.start.into(),
            end_unix_nano: Some(span.end.into()),
            duration_nano: Text64(span.duration_nanos()),
            plane: plane(class),
            kind: "span",
            class: class.name(),
            service: span.service().to_owned(),
            name: span.name.clone(),
            status: span.status.name(),
            trace_id: Shown(span.trace_id),
            span_id: Shown(span.span_id),
            run_id: None,
        }
    }

    /// Which span it is, or the topmost of the run.
    pub(crate) fn span(&self) -> (TraceId, SpanId) {
        (self.trace_id.0, self.span_id.0)
    }

    fn order(&self) -> (i64, bool, TraceId, SpanId) {
        // A run comes before its own spans.
        (self.start_unix_nano.0, self.kind != "run", self.trace_id.0, self.span_id.0)
    }
}

/// The data plane serves users; everything else controls it.
fn plane(class: OperationClass) -> &'static str {
    match class {
        OperationClass::Query | OperationClass::HealthCheck => "data",
        _ => "control",
    }
}
