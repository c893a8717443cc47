//! What a query may cost: how long it may take, and how many run at once.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::problem::Problem;

/// Traces that a search lists when it is not told how many: what a page shows.
pub(crate) const SEARCH_TRACES_DEFAULT: usize = 50;

/// Traces that a search lists at most: further ones are found by narrowing the time range.
pub(crate) const SEARCH_TRACES_MAX: usize = 1_000;

/// Traces that one delete takes at most: it is a commit of all their ids, and finding them is a search.
pub(crate) const DELETE_TRACES_MAX: usize = 1_000;

/// Ids that the answer to a delete names.
pub(crate) const DELETE_TRACES_SHOWN_MAX: usize = 100;

/// How far back a dry run of the retention rules looks when it is not told: what arrived in a day.
pub(crate) const DRY_RUN_HOURS_DEFAULT: usize = 24;

/// How far back it looks at most. What it reads is bounded by the store.
pub(crate) const DRY_RUN_HOURS_MAX: usize = 720;

/// Operations that are listed when it is not told how many: those that matter on a page.
pub(crate) const OPERATIONS_DEFAULT: usize = 100;

/// Operations that are listed at most.
pub(crate) const OPERATIONS_MAX: usize = 1_000;

/// Traces that are read at once for one question.
pub(crate) const TRACES_AT_ONCE: usize = 8;

/// Runs that are read in full at once for one question: each is a handful of lookups in the hot tier.
pub(crate) const RUNS_AT_ONCE: usize = 4;

/// Runs of a list that are counted: the newest. What is beyond is told, not counted, as each costs a lookup.
pub(crate) const RUNS_COUNTED_MAX: usize = 1_000;

/// Backups and restores that are read in full to be each other's peers: the newest.
pub(crate) const PEERS_MAX: usize = 5_000;

/// Operations of which it is looked up how long their steps usually take, for one answer.
pub(crate) const BASELINES_MAX: usize = 64;

/// Traces that are looked through for spans of one instance: those that began last.
pub(crate) const TIMELINE_TRACES_MAX: usize = 1_000;

/// Spans above a span that are asked for its class and phase, the nearest.
pub(crate) const CLASSIFY_ABOVE_MAX: usize = 64;

/// Runs that are listed when it is not told how many.
pub(crate) const RUNS_DEFAULT: usize = 100;

/// Runs that are listed at most.
pub(crate) const RUNS_MAX: usize = 1_000;

/// Failovers that a report lists when it is not told how many.
pub(crate) const FAILOVERS_DEFAULT: usize = 1_000;

/// Failovers that a report lists at most: those of a year of a large fleet.
pub(crate) const FAILOVERS_MAX: usize = 10_000;

/// What failovers are grouped by at most: more makes groups of one.
pub(crate) const GROUP_BY_MAX: usize = 3;

/// Backups and restores that are listed when it is not told how many.
pub(crate) const BACKUPS_DEFAULT: usize = 100;

/// Backups and restores that are listed at most.
pub(crate) const BACKUPS_MAX: usize = 1_000;

/// Slow traces that are read to find out what slows them.
pub(crate) const SLOW_TRACES_MAX: usize = 100;

/// Other traces that they are held against.
pub(crate) const OTHER_TRACES_MAX: usize = 200;

/// Entries of a time line when it is not told how many.
pub(crate) const TIMELINE_DEFAULT: usize = 1_000;

/// Entries of a time line at most.
pub(crate) const TIMELINE_MAX: usize = 10_000;

/// Attributes that a span is described with to be classified.
pub(crate) const CLASSIFY_ATTRIBUTES_MAX: usize = 64;

/// Limits of the query side.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long one query may take before it is given up with a 504. Longer than a cold search over days, shorter than the
    /// minute after which proxies hang up.
    pub deadline: Duration,
    /// Queries that run at once. Each holds the spans of its answer in memory.
    pub concurrent_max: usize,
    /// How long a query may wait for its turn before it is refused with a 503: a burst passes, a jam is told.
    pub wait_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(30), concurrent_max: 16, wait_max: Duration::from_secs(2) }
    }
}

/// Enforces [`Limits`]. Clones share the limit.
#[derive(Clone)]
pub(crate) struct Gate {
    limits: Limits,
    turns: Arc<Semaphore>,
}

impl Gate {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, turns: Arc::new(Semaphore::new(limits.concurrent_max)) }
    }

    /// Runs `query` when it is its turn, and not longer than allowed.
    pub(crate) async fn run<T>(&self, query: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
        let Ok(Ok(_turn)) = timeout(self.limits.wait_max, self.turns.acquire()).await else {
            return Err(Problem::unavailable(
                format!("{} queries are running, as many as may run at once: ask again", self.limits.concurrent_max),
                self.limits.wait_max,
            ));
        };
        timeout(self.limits.deadline, query).await.unwrap_or_else(|_| {
            Err(Problem::timeout(format!(
                "no answer within {} s: ask for a shorter time range, or raise the deadline of queries",
                self.limits.deadline.as_secs_f64()
            )))
        })
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use http::StatusCode;

    use super::*;

    fn gate() -> Gate {
        Gate::new(Limits { deadline: Duration::from_millis(20), concurrent_max: 1, wait_max: Duration::from_millis(5) })
    }

    #[tokio::test]
    async fn a_slow_query_is_given_up() {
        let problem = gate().run(std::future::pending::<Result<(), Problem>>()).await.expect_err("it never ends");
        assert_eq!(problem.into_response().status(), StatusCode::GATEWAY_TIMEOUT);
    }

    #[tokio::test]
    async fn one_too_many_is_refused_and_the_turn_comes_back() {
        let gate = gate();
        let (slow, refused) = tokio::join!(
            gate.run(std::future::pending::<Result<(), Problem>>()),
            gate.run(std::future::ready(Ok(()))),
        );
        assert!(slow.is_err());
        assert_eq!(refused.expect_err("no turn").into_response().status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(gate.run(std::future::ready(Ok(1))).await, Ok(1));
    }
}
