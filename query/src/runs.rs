//! What the API asks of runs: lists with how each stands, and runs in full.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::{StreamExt, TryStreamExt};
use model::failover::FailoverFacts;
use model::run::{Run, RunRef, RunState};
use proto::UnixNanos;
use store::{Baseline, Reader, RunRequest, RunSummary, RunsFound, StepRequest, StepRows, StepTotals, Steps};

use crate::limits::{BASELINES_MAX, RUNS_AT_ONCE};
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
    let operations = unfinished_operations(reader, &request).await?;
    let baselines = Arc::new(Baselines::read(reader, operations, now).await?);
    let known = Arc::clone(&baselines);
    request.baseline = Arc::new(move |service, operation, step| known.p95(service, operation, step));
    Ok((reader.runs(&request).await?, baselines))
}

/// Operations of the unfinished runs that match, at most [`BASELINES_MAX`].
async fn unfinished_operations(reader: &Reader, request: &RunRequest) -> Result<BTreeSet<(String, String)>, Problem> {
    let may_be_unfinished = request.states.is_empty() || request.states.iter().any(|state| UNFINISHED.contains(state));
    if !may_be_unfinished {
        return Ok(BTreeSet::new());
    }
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let writes = Arc::clone(&seen);
    // Each unfinished run asks for its baseline, and with one without end none of them is stuck: nothing is read in full.
    let baseline: Baseline = Arc::new(move |service, operation, _| {
        let mut seen = writes.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() < BASELINES_MAX {
            seen.insert((service.to_owned(), operation.to_owned()));
        }
        Some(i64::MAX)
    });
    reader.runs(&RunRequest { states: vec![RunState::Stuck], baseline, limit: 1, ..request.clone() }).await?;
    let operations = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(operations)
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
        operations: BTreeSet<(String, String)>,
        now: UnixNanos,
    ) -> Result<Self, Problem> {
        let read = futures::stream::iter(operations).map(async |(service, operation)| {
            let request = StepRequest {
                start: now.saturating_add(-BASELINE_NANOS),
                end: now,
                service: Some(service.clone()),
                operation: Some(operation.clone()),
                rows: StepRows::Steps,
            };
            let steps = reader.steps(&request).await?;
            Ok::<_, Problem>(((service, operation), p95_by_name(&steps)))
        });
        Ok(Self { of_operation: read.buffered(RUNS_AT_ONCE).try_collect().await? })
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
