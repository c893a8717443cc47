//! Runs and failovers, out of the table that follows the spans.

use std::sync::Arc;

use model::failover::{FailoverFacts, HealthMark};
use model::run::{Run, RunRef};
use proto::UnixNanos;

use super::Reader;
use crate::runs::{RunRequest, RunsFound};
use crate::{Error, runs::RunTable};

impl Reader {
    /// The runs that match, newest first. Spans show here about a second after their answer.
    ///
    /// # Errors
    /// When the hot tier cannot be read.
    pub async fn runs(&self, request: &RunRequest) -> Result<RunsFound, Error> {
        let (request, now) = (request.clone(), self.shared.clock.now());
        self.of_runs(move |table| table.find(&request, now)).await
    }

    /// A run with its parts, and what was seen of its instance around it; `None` when there is none. A run is also found by its other parts.
    ///
    /// # Errors
    /// When the hot tier cannot be read.
    pub async fn run(&self, run: RunRef) -> Result<Option<(Run, Vec<HealthMark>)>, Error> {
        self.of_runs(move |table| table.run(run)).await
    }

    /// The failovers that began between two times, earliest first: what [`model::failover::report`] is made of.
    ///
    /// # Errors
    /// When the hot tier cannot be read.
    pub async fn failovers(&self, start: UnixNanos, end: UnixNanos) -> Result<Vec<FailoverFacts>, Error> {
        self.of_runs(move |table| table.failovers(start, end)).await
    }

    /// The rules by which runs are told.
    #[must_use]
    pub fn rules(&self) -> &model::rules::Rules {
        &self.shared.rules
    }

    async fn of_runs<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&RunTable) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let table = Arc::clone(&self.shared.runs);
        let asked = tokio::task::spawn_blocking(move || ask(&table));
        asked.await.map_err(|error| Error::Block(format!("asking for runs: {error}")))?
    }
}
