//! Finds runs in the table.

use std::sync::Arc;

use model::OperationClass;
use model::failover::FailoverFacts;
use model::run::RunState;
use proto::UnixNanos;

use super::item;
use super::keys::{self, Key};
use super::row::{Brief, RunSummary};
use super::table::RunTable;
use crate::Error;

/// How long a step usually takes: see [`model::run::StepBaseline`].
pub type Baseline = Arc<dyn Fn(&str, &str, Option<&str>) -> Option<i64> + Send + Sync>;

/// Which runs to list.
#[derive(Clone)]
pub struct RunRequest {
    /// Of operations that began at or after this.
    pub start: UnixNanos,
    /// Of operations that began before this.
    pub end: UnixNanos,
    /// Only of this class.
    pub class: Option<OperationClass>,
    /// Only in one of these states; empty: in any.
    pub states: Vec<RunState>,
    /// Only of this `dbaas.instance.id`.
    pub instance: Option<String>,
    /// How long steps usually take: tells a run that is stuck from one that is not.
    pub baseline: Baseline,
    /// Most runs to return.
    pub limit: usize,
}

impl RunRequest {
    /// All runs, newest first, up to `limit`.
    #[must_use]
    pub fn newest(limit: usize) -> Self {
        Self {
            start: UnixNanos::ZERO,
            end: UnixNanos::MAX,
            class: None,
            states: Vec::new(),
            instance: None,
            baseline: Arc::new(|_, _, _| None),
            limit,
        }
    }
}

/// The answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunsFound {
    /// Newest first, each with how it stands.
    pub runs: Vec<(RunSummary, RunState)>,
    /// Whether there are more.
    pub has_more: bool,
}

impl RunTable {
    /// The runs that match, newest first.
    pub(crate) fn find(&self, request: &RunRequest, now: UnixNanos) -> Result<RunsFound, Error> {
        let ended = |state: &RunState| matches!(state, RunState::Done | RunState::Failed);
        let only_unfinished = !request.states.is_empty() && !request.states.iter().any(ended);
        let prefix = match (&request.instance, only_unfinished, request.class) {
            (Some(instance), ..) => Key::new(keys::INSTANCE).digest(instance.as_bytes()),
            (None, true, _) => Key::new(keys::UNFINISHED),
            (None, false, Some(class)) => Key::new(keys::CLASS).class(class),
            (None, false, None) => Key::new(keys::ALL),
        };
        let has_rows = prefix.as_ref()[0] == keys::ALL;
        // From the latest on; the end itself is not asked for.
        let begin =
            prefix.clone().time_back(if request.end == UnixNanos::MAX { i64::MAX } else { request.end.as_i64() - 1 });
        let at = prefix.as_ref().len();
        let mut found = RunsFound::default();
        self.each_from(&prefix, &begin, |key, value| {
            let start = keys::parse_time_back(key, at)?;
            if start < request.start.as_i64() {
                return Ok(false);
            }
            let row: Option<RunSummary> = if has_rows { Some(item::decode(value)?) } else { None };
            let brief = match &row {
                Some(row) => Brief::of(row),
                None => item::decode(value)?,
            };
            let state = brief.state(now, self.settings(), &*request.baseline);
            if !matches(request, &brief, state) {
                return Ok(true);
            }
            if found.runs.len() >= request.limit {
                found.has_more = true;
                return Ok(false);
            }
            let row = match row {
                Some(row) => Some(row),
                // Gone since: it was joined with others.
                None => self.summary(UnixNanos::from_i64(start), &keys::parse_run(key)?)?,
            };
            found.runs.extend(row.map(|row| (row, state)));
            Ok(true)
        })?;
        Ok(found)
    }

    /// The failovers that began between two times, earliest first.
    pub(crate) fn failovers(&self, start: UnixNanos, end: UnixNanos) -> Result<Vec<FailoverFacts>, Error> {
        let prefix = Key::new(keys::FAILOVER);
        let begin = prefix.clone().time(start.as_i64());
        let mut failovers = Vec::new();
        self.each_from(&prefix, &begin, |_, value| {
            let facts: FailoverFacts = item::decode(value)?;
            let is_in = facts.start < end || end == UnixNanos::MAX;
            if is_in {
                failovers.push(facts);
            }
            Ok(is_in)
        })?;
        Ok(failovers)
    }
}

fn matches(request: &RunRequest, brief: &Brief<'_>, state: RunState) -> bool {
    request.class.is_none_or(|class| class == brief.class)
        && (request.states.is_empty() || request.states.contains(&state))
        && request.instance.as_deref().is_none_or(|instance| brief.instance == Some(instance))
}
