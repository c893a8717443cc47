//! `GET /api/v1/instances/{instance}/timeline`: everything that happened to one database instance.

use std::collections::HashSet;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use futures::stream::{StreamExt, TryStreamExt};
use http::Uri;
use model::rules::Rules;
use model::{OperationClass, Span, Trace, semconv};
use proto::{SpanId, TraceId, UnixNanos};
use store::{Reader, RunRequest, SearchOrder, SearchRequest};

use super::{Asked, DAY_NANOS, HOUR_NANOS, JSON, body, off_the_runtime, to_json};
use crate::limits::{TIMELINE_DEFAULT, TIMELINE_MAX, TIMELINE_TRACES_MAX, TRACES_AT_ONCE};
use crate::params::Params;
use crate::problem::Problem;
use crate::render::timeline::{Entry, Timeline};
use crate::runs;

const INSTANCE_ATTRIBUTE: &str = "dbaas.instance.id";

/// How long before the asked time a run may have begun and still be looked for.
const RUN_LOOK_BACK_NANOS: i64 = 7 * DAY_NANOS;

/// What was asked.
struct Request {
    start: UnixNanos,
    end: UnixNanos,
    limit: usize,
}

/// Answers with runs and spans.
pub(crate) async fn timeline(
    State(asked): State<Asked>,
    instance: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Problem> {
    let Path(instance) = instance.map_err(|error| Problem::bad_request(error.body_text()))?;
    let as_of = asked.clock.now();
    let request = read_request(&uri, as_of)?;
    let query = async {
        let wanted = RunRequest {
            start: request.start.saturating_add(-RUN_LOOK_BACK_NANOS),
            end: request.end,
            instance: Some(instance.clone()),
            ..RunRequest::newest(TIMELINE_MAX)
        };
        let (mut found, _) = runs::find(&asked.reader, as_of, wanted).await?;
        found.runs.retain(|(run, _)| run.end.unwrap_or(run.last_activity) >= request.start);
        let (spans, is_cut) = spans(&asked.reader, &instance, &request).await?;
        Ok((found.runs, spans, is_cut || found.has_more))
    };
    let (runs, mut entries, is_cut) = asked.gate.run(query).await?;
    off_the_runtime(move || {
        let tops: HashSet<(TraceId, SpanId)> = runs.iter().map(|(run, _)| (run.run.trace_id, run.run.top)).collect();
        // What is a run is not listed as a span once more.
        entries.retain(|entry| !tops.contains(&entry.span()));
        entries.extend(runs.iter().map(|(run, state)| Entry::of_run(run, *state, as_of)));
        let range = (request.start, request.end);
        let timeline = Timeline::of(as_of, &instance, range, is_cut, entries, request.limit);
        Ok(body(JSON, to_json(&timeline)?))
    })
    .await
}

/// The outermost spans that name the instance, and whether there are traces that were not looked through.
async fn spans(reader: &Reader, instance: &str, request: &Request) -> Result<(Vec<Entry>, bool), Problem> {
    let search = SearchRequest {
        start: request.start,
        end: request.end,
        service: None,
        name: None,
        error: None,
        span_duration_min_nanos: None,
        trace_duration_min_nanos: None,
        root_only: false,
        order: SearchOrder::Newest,
        limit: TIMELINE_TRACES_MAX,
    };
    let found = reader.search(&search).await?;
    let is_cut = found.total > found.traces.len();
    let read = futures::stream::iter(found.traces).map(|trace| async move {
        let spans = reader.trace(trace.trace_id).await?;
        let (rules, instance) = (reader.rules().clone(), instance.to_owned());
        let (start, end) = (request.start, request.end);
        let derive = move || {
            let is_within = |span: &Span| span.start < end && span.end >= start;
            model::assemble(spans).map(|trace| entries(&trace, &rules, &instance, is_within)).unwrap_or_default()
        };
        let entries = tokio::task::spawn_blocking(derive).await;
        entries.map_err(|error| Problem::internal(format!("looking for an instance: {error}")))
    });
    let entries: Vec<Vec<Entry>> = read.buffer_unordered(TRACES_AT_ONCE).try_collect().await?;
    Ok((entries.into_iter().flatten().collect(), is_cut))
}

/// The spans of a trace that name the instance while none above them does.
fn entries(trace: &Trace, rules: &Rules, instance: &str, is_within: impl Fn(&Span) -> bool) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut is_named = vec![false; trace.nodes.len()];
    // The class of a span without one is that of the nearest above it.
    let mut classes = vec![OperationClass::Other; trace.nodes.len()];
    for (index, node) in trace.nodes.iter().enumerate() {
        if let Some(parent) = node.parent {
            is_named[index] = is_named[parent];
            classes[index] = classes[parent];
        }
        let Some(span) = &node.span else { continue };
        if let Some(class) = rules.map(span).class() {
            classes[index] = class;
        }
        let named = semconv::of_span(span, INSTANCE_ATTRIBUTE).and_then(semconv::text);
        if is_named[index] || named.is_none_or(|named| named != instance) {
            continue;
        }
        is_named[index] = true;
        if is_within(span) {
            entries.push(Entry::of_span(span, classes[index]));
        }
    }
    entries
}

fn read_request(uri: &Uri, now: UnixNanos) -> Result<Request, Problem> {
    let mut params = Params::of(uri)?;
    let (start, end) = params.range(now, HOUR_NANOS)?;
    let limit = params.count("limit", TIMELINE_MAX)?.unwrap_or(TIMELINE_DEFAULT);
    params.finish()?;
    Ok(Request { start, end, limit })
}
