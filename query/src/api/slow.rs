//! `GET /api/v1/operations/slow`: what slow traces of an operation have in common.

use axum::extract::State;
use axum::response::Response;
use futures::stream::{StreamExt, TryStreamExt};
use http::Uri;
use model::breakdown::{CohortTrace, break_down, compare};
use model::{Trace, semconv};
use proto::{TraceId, UnixNanos};
use store::{Reader, SearchOrder, SearchRequest, StepRequest, StepRows, StepTotals};

use super::{Asked, HOUR_NANOS, JSON, body, off_the_runtime, to_json};
use crate::limits::{OTHER_TRACES_MAX, SLOW_TRACES_MAX, TRACES_AT_ONCE};
use crate::params::Params;
use crate::problem::Problem;
use crate::render::slow::{Cohorts, Slow};

const PERCENTILE_DEFAULT: usize = 95;
const PERCENTILE_MIN: usize = 50;
const PERCENTILE_MAX: usize = 99;

/// Attributes by which slow traces may differ from others: of the root, else of its resource.
const ATTRIBUTES: [&str; 10] = [
    "cloud.region",
    "cloud.availability_zone",
    "db.system.name",
    "dbaas.engine.version",
    "dbaas.instance.id",
    "dbaas.plan",
    "dbaas.tenant.id",
    "service.version",
    "k8s.node.name",
    "k8s.cluster.name",
];

/// What was asked.
struct Request {
    service: String,
    name: String,
    start: UnixNanos,
    end: UnixNanos,
    percentile: usize,
}

/// Answers with the comparison.
pub(crate) async fn slow(State(asked): State<Asked>, uri: Uri) -> Result<Response, Problem> {
    let as_of = asked.clock.now();
    let request = read_request(&uri, as_of)?;
    let sample = asked.gate.run(Sample::read(&asked.reader, &request)).await?;
    off_the_runtime(move || {
        let (slow, rest) = sample.cohorts();
        let cohorts = Cohorts {
            as_of,
            start: request.start,
            end: request.end,
            service: &request.service,
            name: &request.name,
            percentile: request.percentile,
            threshold_nanos: sample.threshold_nanos,
            total: sample.total,
            slow: slow.iter().map(|one| one.trace_id).collect(),
            rest: rest.iter().map(|one| one.trace_id).collect(),
        };
        let of = |ones: &[&One]| ones.iter().map(|one| one.cohort.clone()).collect::<Vec<CohortTrace>>();
        let report = compare(&of(&slow), &of(&rest)).filter(|_| slow.len().min(rest.len()) > 1);
        Ok(body(JSON, to_json(&Slow::of(&cohorts, report.as_ref()))?))
    })
    .await
}

/// Traces that were read.
struct Sample {
    total: u64,
    /// `None` when nothing is counted.
    threshold_nanos: Option<i64>,
    ones: Vec<One>,
}

/// One execution of the operation.
struct One {
    trace_id: TraceId,
    cohort: CohortTrace,
}

impl Sample {
    async fn read(reader: &Reader, request: &Request) -> Result<Self, Problem> {
        let (total, threshold_nanos) = counted(reader, request).await?;
        let slowest = search(reader, request, SearchOrder::Slowest, SLOW_TRACES_MAX).await?;
        let newest = search(reader, request, SearchOrder::Newest, OTHER_TRACES_MAX).await?;
        let mut ids: Vec<TraceId> = slowest.traces.iter().chain(&newest.traces).map(|trace| trace.trace_id).collect();
        ids.sort_unstable();
        ids.dedup();
        let (service, name) = (&request.service, &request.name);
        let read = futures::stream::iter(ids).map(|id| async move {
            let spans = reader.trace(id).await?;
            let (service, name) = (service.clone(), name.clone());
            let fold = move || model::assemble(spans).map(|trace| ones(&trace, &service, &name)).unwrap_or_default();
            let folded = tokio::task::spawn_blocking(fold).await;
            folded.map_err(|error| Problem::internal(format!("comparing traces: {error}")))
        });
        let ones: Vec<Vec<One>> = read.buffer_unordered(TRACES_AT_ONCE).try_collect().await?;
        let mut ones: Vec<One> = ones.into_iter().flatten().collect();
        ones.sort_by_key(|one| (std::cmp::Reverse(one.cohort.duration_nanos), one.trace_id));
        Ok(Self { total, threshold_nanos, ones })
    }

    /// The slow ones, slowest first, and the others.
    fn cohorts(&self) -> (Vec<&One>, Vec<&One>) {
        let is_slow = |one: &&One| self.threshold_nanos.is_some_and(|nanos| one.cohort.duration_nanos > nanos);
        let (mut slow, mut rest): (Vec<&One>, Vec<&One>) = self.ones.iter().partition(is_slow);
        slow.truncate(SLOW_TRACES_MAX);
        rest.truncate(OTHER_TRACES_MAX);
        (slow, rest)
    }
}

/// How many executions there are, and the percentile over all of them, not only over those that are read.
async fn counted(reader: &Reader, request: &Request) -> Result<(u64, Option<i64>), Problem> {
    let wanted = StepRequest {
        start: request.start,
        end: request.end,
        service: Some(request.service.clone()),
        operation: Some(request.name.clone()),
        rows: StepRows::Operations,
    };
    let mut all = StepTotals::default();
    for row in &reader.steps(&wanted).await?.rows {
        all.merge(&row.totals);
    }
    let threshold = (all.spans > 0).then(|| all.quantile_nanos(request.percentile as f64 / 100.0));
    Ok((all.spans, threshold))
}

async fn search(
    reader: &Reader,
    request: &Request,
    order: SearchOrder,
    limit: usize,
) -> Result<store::SearchResult, Problem> {
    let wanted = SearchRequest {
        start: request.start,
        end: request.end,
        service: Some(request.service.clone()),
        name: Some(request.name.clone()),
        error: None,
        span_duration_min_nanos: None,
        trace_duration_min_nanos: None,
        root_only: true,
        order,
        limit,
    };
    Ok(reader.search(&wanted).await?)
}

/// The executions of the operation in a trace: one, unless its id was used again.
fn ones(trace: &Trace, service: &str, name: &str) -> Vec<One> {
    let roots = trace.nodes.iter().filter(|node| node.is_root).filter_map(|node| node.span.as_ref());
    let of_root = break_down(trace).into_iter().zip(roots);
    // What has only begun has no duration yet.
    let wanted = of_root
        .filter(|(_, root)| root.service() == service && root.name == name && !model::run::is_start_marker(root));
    let one = wanted.map(|(breakdown, root)| {
        let attribute = |key: &&str| {
            let value = semconv::of_span(root, key).and_then(semconv::text)?;
            Some(((*key).to_owned(), value.into_owned()))
        };
        let attributes = ATTRIBUTES.iter().filter_map(attribute).collect();
        let cohort = CohortTrace { duration_nanos: breakdown.duration_nanos, steps: breakdown.steps, attributes };
        One { trace_id: trace.trace_id, cohort }
    });
    one.collect()
}

fn read_request(uri: &Uri, now: UnixNanos) -> Result<Request, Problem> {
    let mut params = Params::of(uri)?;
    let (service, name) = (params.required("service")?, params.required("name")?);
    let (start, end) = params.range(now, HOUR_NANOS)?;
    let percentile = params.count("percentile", PERCENTILE_MAX)?.unwrap_or(PERCENTILE_DEFAULT);
    params.finish()?;
    if percentile < PERCENTILE_MIN {
        let why = format!("parameter `percentile`: slow is what is above {PERCENTILE_MIN} at least");
        return Err(Problem::bad_request(why));
    }
    Ok(Request { service, name, start, end, percentile })
}
