//! The JSON of `GET /api/v1/failovers/{run_id}`.

use model::failover::FailoverFacts;
use model::run::{PartKind, PhaseSpan, Run, RunPart, TimePoints};
use proto::{SpanId, TraceId, UnixNanos};
use serde::Serialize;

use super::failovers::FailoverRow;
use super::json::{Each, Shown, Text64};
use super::runs::{self, ErrorView, PartView};

/// One failover in full.
#[derive(Serialize)]
pub(crate) struct FailoverDetail<'a> {
    as_of_unix_nano: Text64,
    #[serde(flatten)]
    row: FailoverRow<'a>,
    end_unix_nano: Option<Text64>,
    error: Option<ErrorView<'a>>,
    trace_ids: Vec<Shown<TraceId>>,
    points: Vec<PointView>,
    spans: Vec<PhaseSpanView>,
    parts: Each<'a, RunPart, PartView<'a>>,
}

impl<'a> FailoverDetail<'a> {
    pub(crate) fn of(run: &'a Run, facts: &'a FailoverFacts, as_of: UnixNanos) -> Self {
        let of_part = |part: &RunPart| {
            let (trace_id, kind) = (part.trace_id, part.kind);
            part.spans.iter().map(move |span| PhaseSpanView::of(span, trace_id, kind)).collect::<Vec<_>>()
        };
        let mut spans: Vec<PhaseSpanView> = run.parts.iter().flat_map(of_part).collect();
        spans.sort_by_key(|span| (span.start_unix_nano.0, span.depth));
        Self {
            as_of_unix_nano: as_of.into(),
            row: FailoverRow::of(facts),
            end_unix_nano: run.end.map(Text64::from),
            error: run.error.as_ref().map(ErrorView::of),
            trace_ids: run.trace_ids().into_iter().map(Shown).collect(),
            points: points(&facts.timeline.points),
            spans,
            parts: runs::parts(run),
        }
    }
}

#[derive(Serialize)]
struct PointView {
    point: &'static str,
    name: &'static str,
    at_unix_nano: Option<Text64>,
}

fn points(points: &TimePoints) -> Vec<PointView> {
    let TimePoints { fault, detected, acted, fenced, elected, promoted, routable, restored, redundant } = *points;
    let all = [
        ("T0", "fault", fault),
        ("T1", "detected", detected),
        ("T2", "acted", acted),
        ("T3", "fenced", fenced),
        ("T4", "elected", elected),
        ("T5", "promoted", promoted),
        ("T6", "routable", routable),
        ("T7", "restored", restored),
        ("T8", "redundant", redundant),
    ];
    all.map(|(point, name, at)| PointView { point, name, at_unix_nano: at.map(Text64::from) }).into()
}

#[derive(Serialize)]
struct PhaseSpanView {
    trace_id: Shown<TraceId>,
    span_id: Shown<SpanId>,
    phase: &'static str,
    start_unix_nano: Text64,
    end_unix_nano: Text64,
    depth: u16,
    is_error: bool,
    part: PartKind,
}

impl PhaseSpanView {
    fn of(span: &PhaseSpan, trace_id: TraceId, part: PartKind) -> Self {
        Self {
            trace_id: Shown(trace_id),
            span_id: Shown(span.span_id),
            phase: span.phase.name(),
            start_unix_nano: span.start.into(),
            end_unix_nano: span.end.into(),
            depth: span.depth,
            is_error: span.is_failed,
            part,
        }
    }
}
