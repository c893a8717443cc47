//! What the API asks of runs: lists with how each stands, and runs in full.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures::stream::{StreamExt, TryStreamExt};
use model::failover::FailoverFacts;
use model::run::{Run, RunRef, RunState};
use proto::UnixNanos;
use store::{Reader, RunRequest, RunSummary, RunsFound, StepRequest, StepRows, StepTotals, Steps};

use crate::limits::{BASELINES_MAX, RUNS_AT_ONCE, RUNS_COUNTED_MAX};
use crate::problem::Problem;

/// The time that tells what is usual.
const BASELINE_NANOS: i64 = 7 * 86_400 * 1_000_000_000;

/// A step that was seen less often has no usual duration.
const BASELINE_SPANS_MIN: u64 = 5;

/// States of runs whose topmost span has not been received.
const UNFINISHED: [RunState; 3] = [RunState::Running, RunState::Stuck, RunState::Lost];

/// The runs that match, newest first, and what they are held against.
pub(crate) async fn find(
    reader: &Reader,
    now: UnixNanos,
    mut request: RunRequest,
) -> Result<(RunsFound, Arc<Baselines>), Problem> {
    let may_be_unfinished = request.states.is_empty() || request.states.iter().any(|state| UNFINISHED.contains(state));
    let unfinished = if may_be_unfinished {
        let wanted = RunRequest { states: UNFINISHED.to_vec(), limit: RUNS_COUNTED_MAX, ..request.clone() };
        reader.runs(&wanted).await?.runs
    } else {
        Vec::new()
    };
    let operations = unfinished.iter().map(|(run, _)| (run.service.as_str(), run.operation.as_str()));
    let baselines = Arc::new(Baselines::read(reader, operations.collect(), now).await?);
    let known = Arc::clone(&baselines);
    request.baseline = Arc::new(move |service, operation, step| known.p95(service, operation, step));
    Ok((reader.runs(&request).await?, baselines))
}

/// Runs in full. Those that were joined with others meanwhile are left out.
pub(crate) async fn in_full(reader: &Reader, runs: Vec<RunRef>) -> Result<Vec<Run>, Problem> {
    let read =
        futures::stream::iter(runs).map(async |run| Ok::<_, Problem>(reader.run(run).await?.map(|(run, _)| run)));
    let read: Vec<Option<Run>> = read.buffered(RUNS_AT_ONCE).try_collect().await?;
    Ok(read.into_iter().flatten().collect())
}

/// One run, and what it comes to as a failover; without that when it is none.
pub(crate) async fn one(reader: &Reader, reference: RunRef) -> Result<Option<(Run, Option<FailoverFacts>)>, Problem> {
    let found = reader.run(reference).await?;
    Ok(found.map(|(run, marks)| {
        let facts = FailoverFacts::of(&run, &marks, reader.rules().settings());
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
    /// Of operations by service and name, as the last week was.
    pub(crate) async fn read(
        reader: &Reader,
        operations: BTreeSet<(&str, &str)>,
        now: UnixNanos,
    ) -> Result<Self, Problem> {
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

    /// As [`RunSummary::state`] asks for it.
    pub(crate) fn p95(&self, service: &str, operation: &str, step: Option<&str>) -> Option<i64> {
        let steps = self.of_operation.get(&(service.to_owned(), operation.to_owned()))?;
        match step {
            Some(step) => steps.get(step).copied(),
            None => steps.values().copied().max(),
        }
    }

    /// Of what an unfinished run is at.
    pub(crate) fn of_current_step(&self, run: &RunSummary) -> Option<i64> {
        let step = run.current.as_ref().map(|pending| pending.name.as_str());
        self.p95(&run.service, &run.operation, step).filter(|_| run.end.is_none())
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
