//! Finds runs: which traces may be a part of one, and what these come to together.

use std::collections::{BTreeSet, HashMap};

use futures::stream::{StreamExt, TryStreamExt};
use model::OperationClass;
use model::failover::FailoverFacts;
use model::rules::Rules;
use model::run::{Run, RunPart, RunRef};
use proto::{TraceId, UnixNanos};
use store::{Reader, SearchOrder, SearchRequest, StepRequest, StepRows, StepTotals, Steps};

use crate::limits::{BASELINES_MAX, RUN_TRACES_AT_ONCE, RUN_TRACES_MAX};
use crate::problem::Problem;

/// The time that tells what is usual.
const BASELINE_NANOS: i64 = 7 * 86_400 * 1_000_000_000;

/// A step that was seen less often has no usual duration.
const BASELINE_SPANS_MIN: u64 = 5;

/// Which runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// Begun at or after this.
    pub(crate) start: UnixNanos,
    /// Begun before this.
    pub(crate) end: UnixNanos,
    /// Only of these classes; of all when there are none.
    pub(crate) classes: Vec<OperationClass>,
    /// `dbaas.instance.id`
    pub(crate) instance: Option<String>,
}

impl Wanted {
    fn has(&self, run: &Run) -> bool {
        (self.start..self.end).contains(&run.start)
            && (self.classes.is_empty() || self.classes.contains(&run.class))
            && self.instance.as_deref().is_none_or(|wanted| run.subject.instance.as_deref() == Some(wanted))
    }
}

/// The runs that are wanted, earliest first.
pub(crate) async fn find(reader: &Reader, rules: &Rules, wanted: &Wanted) -> Result<Vec<Run>, Problem> {
    let mut trace_ids = BTreeSet::new();
    for service in reader.services().await? {
        for operation in service.operations {
            if !rules.of_name(&service.name, "", &operation.name).may_have_run() {
                continue;
            }
            let request = SearchRequest {
                start: wanted.start.saturating_add(-rules.settings().merge_window_nanos),
                end: wanted.end,
                service: Some(service.name.clone()),
                name: Some(operation.name),
                error: None,
                span_duration_min_nanos: None,
                trace_duration_min_nanos: None,
                root_only: false,
                order: SearchOrder::Newest,
                limit: RUN_TRACES_MAX,
            };
            trace_ids.extend(reader.search(&request).await?.traces.into_iter().map(|trace| trace.trace_id));
        }
    }
    let parts = parts(reader, rules, trace_ids.into_iter().take(RUN_TRACES_MAX).collect()).await?;
    let runs = model::run::join(parts, rules.settings());
    Ok(runs.into_iter().filter(|run| wanted.has(run)).collect())
}

/// One run; `None` when there is none of this name.
pub(crate) async fn one(reader: &Reader, rules: &Rules, reference: RunRef) -> Result<Option<Run>, Problem> {
    let own = parts(reader, rules, vec![reference.trace_id]).await?;
    let Some(part) = own.iter().find(|part| part.top == reference.top) else { return Ok(None) };
    // What belongs to it begins close to it, or is linked.
    let around = rules.settings().lost_after_nanos;
    let wanted = Wanted {
        start: part.start.saturating_add(-around),
        end: part.last_activity.saturating_add(around),
        ..Wanted::default()
    };
    let runs = find(reader, rules, &wanted).await?;
    let is_of_run =
        |run: &Run| run.parts.iter().any(|part| part.trace_id == reference.trace_id && part.top == reference.top);
    Ok(runs.into_iter().find(is_of_run))
}

async fn parts(reader: &Reader, rules: &Rules, trace_ids: Vec<TraceId>) -> Result<Vec<RunPart>, Problem> {
    let read = futures::stream::iter(trace_ids).map(|id| async move {
        let spans = reader.trace(id).await?;
        let rules = rules.clone();
        let derive = move || model::assemble(spans).map(|trace| model::run::parts_of(&trace, &rules));
        let parts = tokio::task::spawn_blocking(derive).await;
        parts.map_err(|error| Problem::internal(format!("deriving runs: {error}")))
    });
    let parts: Vec<Option<Vec<RunPart>>> = read.buffer_unordered(RUN_TRACES_AT_ONCE).try_collect().await?;
    Ok(parts.into_iter().flatten().flatten().collect())
}

/// The failovers that began in a time, earliest first.
pub(crate) async fn failovers(
    reader: &Reader,
    rules: &Rules,
    start: UnixNanos,
    end: UnixNanos,
) -> Result<Vec<FailoverFacts>, Problem> {
    let wanted = Wanted { start, end, classes: vec![OperationClass::Failover], instance: None };
    let runs = find(reader, rules, &wanted).await?;
    Ok(runs.iter().filter_map(|run| FailoverFacts::of(run, &[], rules.settings())).collect())
}

/// One run, and what it comes to as a failover; without that when it is none.
pub(crate) async fn failover(
    reader: &Reader,
    rules: &Rules,
    reference: RunRef,
) -> Result<Option<(Run, Option<FailoverFacts>)>, Problem> {
    let run = one(reader, rules, reference).await?;
    Ok(run.map(|run| {
        let facts = FailoverFacts::of(&run, &[], rules.settings());
        (run, facts)
    }))
}

/// How long steps usually take.
#[derive(Debug, Default)]
pub(crate) struct Baselines {
    /// By service and operation: by the step's name, the p95 in nanoseconds.
    of_operation: HashMap<(String, String), HashMap<String, i64>>,
}

impl Baselines {
    /// Of the operations of unfinished runs, as the last week was.
    pub(crate) async fn read(reader: &Reader, runs: &[Run], now: UnixNanos) -> Result<Self, Problem> {
        let unfinished = runs.iter().filter(|run| run.end.is_none()).map(Run::main);
        let operations: BTreeSet<(&str, &str)> =
            unfinished.map(|part| (part.service.as_str(), part.operation.as_str())).collect();
        let mut of_operation = HashMap::new();
        for (service, operation) in operations.into_iter().take(BASELINES_MAX) {
            let request = StepRequest {
                start: now.saturating_add(-BASELINE_NANOS),
                end: now,
                service: Some(service.to_owned()),
                operation: Some(operation.to_owned()),
                rows: StepRows::Steps,
            };
            let steps = reader.steps(&request).await?;
            of_operation.insert((service.to_owned(), operation.to_owned()), p95_by_name(&steps));
        }
        Ok(Self { of_operation })
    }

    /// As [`Run::state`] asks for it.
    pub(crate) fn p95(&self, service: &str, operation: &str, step: Option<&str>) -> Option<i64> {
        let steps = self.of_operation.get(&(service.to_owned(), operation.to_owned()))?;
        match step {
            Some(step) => steps.get(step).copied(),
            None => steps.values().copied().max(),
        }
    }

    /// Of what an unfinished run is at.
    pub(crate) fn of_current_step(&self, run: &Run) -> Option<i64> {
        let main = run.main();
        let step = run.current().map(|pending| pending.name.as_str());
        self.p95(&main.service, &main.operation, step).filter(|_| run.end.is_none())
    }
}

fn p95_by_name(steps: &Steps) -> HashMap<String, i64> {
    let mut totals: HashMap<&str, StepTotals> = HashMap::new();
    for row in &steps.rows {
        if let Some(name) = row.path.last() {
            totals.entry(name).or_default().merge(&row.totals);
        }
    }
    let known = totals.into_iter().filter(|(_, totals)| totals.spans >= BASELINE_SPANS_MIN);
    known.map(|(name, totals)| (name.to_owned(), totals.quantile_nanos(0.95))).collect()
}
