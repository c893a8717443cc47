//! `GET /api/v1/runs`: executions one by one, unfinished ones too.

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, State};
use axum::response::Response;
use http::Uri;
use http::request::Parts;
use model::failover::FailoverFacts;
use model::run::{Run, RunRef, RunState};
use proto::UnixNanos;

use super::{Asked, DAY_NANOS, JSON, body, off_the_runtime, to_json};
use crate::limits::{RUNS_DEFAULT, RUNS_MAX};
use crate::params::Params;
use crate::problem::Problem;
use crate::render::runs::{RunDetail, RunRow, Runs, Standing};
use crate::runs::{self, Baselines, Wanted};

/// What was asked.
struct Request {
    wanted: Wanted,
    state: Option<RunState>,
    limit: usize,
}

/// Lists runs, newest first.
pub(crate) async fn runs(State(asked): State<Asked>, uri: Uri) -> Result<Response, Problem> {
    let as_of = asked.clock.now();
    let Request { wanted, state, limit } = read_request(&uri, as_of)?;
    let query = async {
        let found = runs::find(&asked.reader, &asked.rules, &wanted).await?;
        let baselines = Baselines::read(&asked.reader, &found, as_of).await?;
        Ok((found, baselines))
    };
    let (found, baselines) = asked.gate.run(query).await?;
    let settings = *asked.rules.settings();
    off_the_runtime(move || {
        let standing = |run: &Run| Standing {
            as_of,
            state: run.state(as_of, &settings, &|service, operation, step| baselines.p95(service, operation, step)),
            usual_p95_nanos: baselines.of_current_step(run),
        };
        let all = found.iter().rev().map(|run| (run, standing(run)));
        let matching: Vec<(&Run, Standing)> =
            all.filter(|(_, standing)| state.is_none_or(|state| standing.state == state)).collect();
        let rows = matching.iter().take(limit).map(|(run, standing)| RunRow::of(run, *standing)).collect();
        Ok(body(JSON, to_json(&Runs::of(as_of, (wanted.start, wanted.end), matching.len(), rows))?))
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
        let found = runs::one(&asked.reader, &asked.rules, reference).await?;
        let run = found.ok_or_else(|| unknown(reference))?;
        let baselines = Baselines::read(&asked.reader, std::slice::from_ref(&run), as_of).await?;
        Ok((run, baselines))
    };
    let (run, baselines) = asked.gate.run(query).await?;
    let settings = *asked.rules.settings();
    off_the_runtime(move || {
        let state = run.state(as_of, &settings, &|service, operation, step| baselines.p95(service, operation, step));
        let standing = Standing { as_of, state, usual_p95_nanos: baselines.of_current_step(&run) };
        let is_failover = FailoverFacts::of(&run, &[], &settings).is_some();
        Ok(body(JSON, to_json(&RunDetail::of(&run, standing, is_failover))?))
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
    Ok(Request { wanted: Wanted { start, end, classes: Vec::from_iter(class), instance }, state, limit })
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
        let Request { wanted, state, limit } = read("").expect("nothing is required");
        assert_eq!((NOW.nanos_since(wanted.start), wanted.end), (DAY_NANOS, NOW));
        assert_eq!((wanted.classes, state, limit), (Vec::new(), None, RUNS_DEFAULT));
        for state in ["running", "stuck"] {
            let request = read(&format!("state={state}")).expect("a state");
            assert_eq!(request.wanted.start, UnixNanos::ZERO, "{state}");
        }
        let Request { wanted, state, .. } = read("class=backup&state=failed&instance=pg-1").expect("all are known");
        assert_eq!((wanted.classes, state), (vec![OperationClass::Backup], Some(RunState::Failed)));
        assert_eq!((wanted.instance.as_deref(), NOW.nanos_since(wanted.start)), (Some("pg-1"), DAY_NANOS));
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        for query in ["class=lunch", "state=open", "limit=0", "start=now&end=now-1h", "service=x"] {
            assert!(read(query).is_err(), "{query}");
        }
    }
}
