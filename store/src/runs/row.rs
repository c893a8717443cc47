//! What is kept of a run beside its parts, so that lists need not join them.

use model::OperationClass;
use model::rules::Settings;
use model::run::{Outcome, Pending, Progress, Run, RunError, RunRef, RunState, StepBaseline, Subject, Trigger};
use proto::{TraceId, UnixNanos};
use serde::{Deserialize, Serialize};

/// A run as lists show it. [`crate::Reader::run`] has its parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Which run.
    pub run: RunRef,
    /// Of the operation.
    pub class: OperationClass,
    /// `service.name` of the operation.
    pub service: String,
    /// Name of the operation.
    pub operation: String,
    /// To whom it happens.
    pub subject: Subject,
    /// Of a failover: what set it off.
    pub trigger: Trigger,
    /// Of a failover: why.
    pub cause: Option<String>,
    /// How the last attempt ended.
    pub outcome: Outcome,
    /// That of the last attempt that failed.
    pub error: Option<RunError>,
    /// When the operation began.
    pub start: UnixNanos,
    /// When it ended; `None` until the topmost span has been received.
    pub end: Option<UnixNanos>,
    /// The latest time that any part tells.
    pub last_activity: UnixNanos,
    /// How often it was tried, as far as is known.
    pub attempts: u32,
    /// What it is at, as far as start markers tell.
    pub current: Option<Pending>,
    /// Whether it is only steps whose operation was not received.
    pub is_detached: bool,
    /// Traces that it is made of, the operation's own first.
    pub trace_ids: Vec<TraceId>,
    /// Spans received.
    pub span_count: u64,
    /// Of these, spans with status `Error`.
    pub error_count: u64,
}

impl RunSummary {
    /// Of a run in full.
    #[must_use]
    pub fn of(run: &Run) -> Self {
        let main = run.main();
        Self {
            run: run.reference(),
            class: run.class,
            service: main.service.clone(),
            operation: main.operation.clone(),
            subject: run.subject.clone(),
            trigger: run.trigger,
            cause: run.cause.clone(),
            outcome: run.outcome,
            error: run.error.clone(),
            start: run.start,
            end: run.end,
            last_activity: run.last_activity,
            attempts: run.attempts,
            current: run.current().cloned(),
            is_detached: run.is_detached(),
            trace_ids: run.trace_ids(),
            span_count: run.parts.iter().map(|part| part.span_count).sum(),
            error_count: run.parts.iter().map(|part| part.error_count).sum(),
        }
    }

    /// How it stands at `now`.
    #[must_use]
    pub fn state(&self, now: UnixNanos, settings: &Settings, baseline: &StepBaseline<'_>) -> RunState {
        let progress = Progress {
            end: self.end,
            outcome: self.outcome,
            last_activity: self.last_activity,
            service: &self.service,
            operation: &self.operation,
            step: self.current.as_ref().map(|pending| pending.name.as_str()),
        };
        progress.state(now, settings, baseline)
    }
}

/// What a list decides by, without reading the whole run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Brief<'a> {
    pub(crate) class: OperationClass,
    pub(crate) outcome: Outcome,
    pub(crate) end: Option<UnixNanos>,
    pub(crate) last_activity: UnixNanos,
    #[serde(borrow)]
    pub(crate) service: &'a str,
    pub(crate) operation: &'a str,
    pub(crate) step: Option<&'a str>,
    pub(crate) instance: Option<&'a str>,
}

impl<'a> Brief<'a> {
    pub(crate) fn of(run: &'a RunSummary) -> Self {
        Self {
            class: run.class,
            outcome: run.outcome,
            end: run.end,
            last_activity: run.last_activity,
            service: &run.service,
            operation: &run.operation,
            step: run.current.as_ref().map(|pending| pending.name.as_str()),
            instance: run.subject.instance.as_deref(),
        }
    }

    /// How the run stands at `now`.
    pub(crate) fn state(&self, now: UnixNanos, settings: &Settings, baseline: &StepBaseline<'_>) -> RunState {
        let Self { outcome, end, last_activity, service, operation, step, .. } = *self;
        Progress { end, outcome, last_activity, service, operation, step }.state(now, settings, baseline)
    }
}
