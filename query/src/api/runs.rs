//! `GET /api/v1/runs`: executions one by one, unfinished ones too.

use std::collections::BTreeSet;

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, State};
use axum::response::Response;
use http::Uri;
use http::request::Parts;
use model::run::{RunRef, RunState};
use proto::UnixNanos;
use store::{RunRequest, RunSummary};

use super::{Asked, DAY_NANOS, JSON, body, off_the_runtime, to_json};
use crate::limits::{RUNS_COUNTED_MAX, RUNS_DEFAULT, RUNS_MAX};
use crate::params::Params;
use crate::problem::Problem;
use crate::render::runs::{RunDetail, RunRow, Runs, Standing};
use crate::runs::{self, Baselines};

/// What was asked.
struct Request {
    runs: RunRequest,
    /// Rows to show; more are counted.
    limit: usize,
}

/// Lists runs, newest first.
pub(crate) async fn runs(State(asked): State<Asked>, uri: Uri) -> Result<Response, Problem> {
    let as_of = asked.clock.now();
    let Request { runs: request, limit } = read_request(&uri, as_of)?;
    let range = (request.start, request.end);
    let (found, baselines) = asked.gate.run(runs::find(&asked.reader, as_of, request)).await?;
    off_the_runtime(move || {
        let row = |(run, state): &(RunSummary, RunState)| {
            let usual_p95_nanos = baselines.of_current_step(run);
            RunRow::of(run.clone(), Standing { as_of, state: *state, usual_p95_nanos })
        };
        let rows = found.runs.iter().take(limit).map(row).collect();
        Ok(body(JSON, to_json(&Runs::of(as_of, range, (found.runs.len(), found.has_more), rows))?))
    })
    .await
}

/// One run.
pub(crate) async fn run(
    State(asked): State<Asked>,
    RunInPath(reference): RunInPath,
    uri: Uri,
) -> Result<Response, Problem> {
    Params::of(&uri)?.finish()?;
    let as_of = asked.clock.now();
    let query = async {
        let found = runs::one(&asked.reader, reference).await?;
        let (run, facts) = found.ok_or_else(|| unknown(reference))?;
        let main = run.main();
        let operation = BTreeSet::from([(main.service.clone(), main.operation.clone())]);
        let baselines = Baselines::read(&asked.reader, operation, as_of).await?;
        Ok((run, facts.is_some(), baselines))
    };
    let (run, is_failover, baselines) = asked.gate.run(query).await?;
    let settings = *asked.rules.settings();
    off_the_runtime(move || {
        let state = run.state(as_of, &settings, &|service, operation, step| baselines.p95(service, operation, step));
        let summary = RunSummary::of(&run);
        let standing = Standing { as_of, state, usual_p95_nanos: baselines.of_current_step(&summary) };
        Ok(body(JSON, to_json(&RunDetail::of(&run, summary, standing, is_failover))?))
    })
    .await
}

pub(super) fn unknown(reference: RunRef) -> Problem {
    Problem::not_found(format!("no run {reference} is kept"))
}

fn read_request(uri: &Uri, now: UnixNanos) -> Result<Request, Problem> {
    let mut params = Params::of(uri)?;
    let class = params.parsed("class", str::parse)?;
    let states = RunState::ALL.map(|state| (state.name(), state));
    let state = params.choice("state", &states)?;
    let instance = params.text("instance")?;
    let is_unfinished = matches!(state, Some(RunState::Running | RunState::Stuck));
    // Whatever goes on is wanted, however long ago it began.
    let back_nanos = if is_unfinished { now.as_i64() } else { DAY_NANOS };
    let (start, end) = params.range(now, back_nanos)?;
    let limit = params.count("limit", RUNS_MAX)?.unwrap_or(RUNS_DEFAULT);
    params.finish()?;
    let states = Vec::from_iter(state);
    let runs = RunRequest { start, end, class, states, instance, ..RunRequest::newest(RUNS_COUNTED_MAX) };
    Ok(Request { runs, limit })
}

/// The run id of the path.
pub(crate) struct RunInPath(pub(crate) RunRef);

impl<S: Send + Sync> FromRequestParts<S> for RunInPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, state).await;
        let Path(text) = text.map_err(|error| Problem::bad_request(error.body_text()))?;
        text.parse().map(Self).map_err(|error: model::run::RunRefError| Problem::bad_request(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use model::OperationClass;

    use super::*;

    const NOW: UnixNanos = UnixNanos::from_i64(1_795_464_000_000_000_000);

    fn read(query: &str) -> Result<Request, Problem> {
        read_request(&format!("/api/v1/runs?{query}").parse().expect("a valid URI"), NOW)
    }

    #[test]
    fn unfinished_runs_are_wanted_however_old_they_are() {
        let Request { runs, limit } = read("").expect("nothing is required");
        assert_eq!((NOW.nanos_since(runs.start), runs.end, limit), (DAY_NANOS, NOW, RUNS_DEFAULT));
        assert_eq!((runs.class, runs.states, runs.limit), (None, Vec::new(), RUNS_COUNTED_MAX));
        for state in ["running", "stuck"] {
            let request = read(&format!("state={state}")).expect("a state");
            assert_eq!(request.runs.start, UnixNanos::ZERO, "{state}");
        }
        let Request { runs, .. } = read("class=backup&state=failed&instance=pg-1").expect("all are known");
        assert_eq!((runs.class, runs.states), (Some(OperationClass::Backup), vec![RunState::Failed]));
        assert_eq!((runs.instance.as_deref(), NOW.nanos_since(runs.start)), (Some("pg-1"), DAY_NANOS));
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        for query in ["class=lunch", "state=open", "limit=0", "start=now&end=now-1h", "service=x"] {
            assert!(read(query).is_err(), "{query}");
        }
    }
}
