//! A run: what its parts come to.

use proto::{SpanId, TraceId, UnixNanos};
use serde::{Deserialize, Serialize};

use super::part::{Outcome, PartKind, Pending, RunError, RunPart, Subject, Trigger};
use crate::OperationClass;

/// Parts of one run that are looked at: the earliest ones. A run of more traces than that is told by these.
pub const PARTS_MAX: usize = 50;

/// Links that are followed from the operation itself.
pub const LINK_DEPTH_MAX: usize = 3;

/// What names a run: the earliest trace of the operation itself, and its topmost span there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunRef {
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub top: SpanId,
}

impl std::fmt::Display for RunRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.trace_id, self.top)
    }
}

/// The text names no run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no run: write a trace id and a span id with a hyphen between them")]
pub struct RunRefError(
    /// What was written.
    pub String,
);

impl std::str::FromStr for RunRef {
    type Err = RunRefError;

    fn from_str(text: &str) -> Result<Self, RunRefError> {
        let parsed = text
            .split_once('-')
            .and_then(|(trace_id, top)| Some(Self { trace_id: trace_id.parse().ok()?, top: top.parse().ok()? }));
        parsed.ok_or_else(|| RunRefError(text.to_owned()))
    }
}

/// One execution of an operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// What it is made of: the operation's own parts first, each kind by start. Never empty.
    pub parts: Vec<RunPart>,
    /// Of the operation.
    pub class: OperationClass,
    /// To whom it happens: of every text the first that a part has.
    pub subject: Subject,
    /// Of a failover: the first that is known.
    pub trigger: Trigger,
    /// Of a failover: the first that was told.
    pub cause: Option<String>,
    /// That of the last attempt.
    pub outcome: Outcome,
    /// That of the last attempt that failed.
    pub error: Option<RunError>,
    /// When the operation began.
    pub start: UnixNanos,
    /// When it ended; `None` while the topmost span of an attempt has not been received.
    pub end: Option<UnixNanos>,
    /// The latest time that any part tells.
    pub last_activity: UnixNanos,
    /// How often it was tried, as far as is known: at least 1.
    pub attempts: u32,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Its root has not been received, and there was activity of late.
    Running,
    /// Its root has not been received, and its step takes longer than it ever should.
    Stuck,
    /// It came to an end, and did what it was for.
    Done,
    /// It came to an end, and did not do what it was for; one that was rolled back is one of these.
    Failed,
    /// Its root has not been received, and will not be: nothing has been heard of it for long.
    Lost,
}

impl RunState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Running, Self::Stuck, Self::Done, Self::Failed, Self::Lost];

    /// The name in the HTTP API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stuck => "stuck",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Lost => "lost",
        }
    }
}

/// How long a step usually takes: by service, operation and the step's name, the p95 in nanoseconds. Without a step's name: of
/// the slowest step of the operation. `None` where too little is known.
pub type StepBaseline<'a> = dyn Fn(&str, &str, Option<&str>) -> Option<i64> + 'a;

/// Times the p95 of a step after which a run counts as stuck in it.
const STUCK_FACTOR: i64 = 3;

impl Run {
    /// What names the run.
    #[must_use]
    pub fn reference(&self) -> RunRef {
        let main = self.main();
        RunRef { trace_id: main.trace_id, top: main.top }
    }

    /// The part that gives the run its name.
    #[must_use]
    pub fn main(&self) -> &RunPart {
        &self.parts[0]
    }

    /// Whether it is only steps whose operation was not received: shown, and not counted as an operation.
    #[must_use]
    pub fn is_detached(&self) -> bool {
        self.main().kind != PartKind::Operation
    }

    /// The traces that it is made of, each once, the operation's own first.
    #[must_use]
    pub fn trace_ids(&self) -> Vec<TraceId> {
        let mut trace_ids = Vec::new();
        for part in &self.parts {
            if !trace_ids.contains(&part.trace_id) {
                trace_ids.push(part.trace_id);
            }
        }
        trace_ids
    }

    /// Nanoseconds from start to end, or to `now` while it has no end.
    #[must_use]
    pub fn duration_nanos(&self, now: UnixNanos) -> i64 {
        self.end.unwrap_or(now).nanos_since(self.start).max(0)
    }

    /// What it is at, as far as start markers tell: the latest, of two the inner one.
    #[must_use]
    pub fn current(&self) -> Option<&Pending> {
        let pending = self.parts.iter().flat_map(|part| &part.pending);
        pending
            .filter(|pending| pending.depth > 0)
            .max_by_key(|pending| (pending.start, pending.depth, pending.span_id))
    }

    /// How it stands at `now`.
    #[must_use]
    pub fn state(&self, now: UnixNanos, settings: &crate::rules::Settings, baseline: &StepBaseline<'_>) -> RunState {
        let progress = Progress {
            end: self.end,
            outcome: self.outcome,
            last_activity: self.last_activity,
            service: &self.main().service,
            operation: &self.main().operation,
            step: self.current().map(|pending| pending.name.as_str()),
        };
        progress.state(now, settings, baseline)
    }
}

/// What tells how a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// See [`Run::end`].
    pub end: Option<UnixNanos>,
    /// See [`Run::outcome`].
    pub outcome: Outcome,
    /// See [`Run::last_activity`].
    pub last_activity: UnixNanos,
    /// `service.name` of the operation.
    pub service: &'a str,
    /// Name of the operation.
    pub operation: &'a str,
    /// What it is at; see [`Run::current`].
    pub step: Option<&'a str>,
}

impl Progress<'_> {
    /// How the run stands at `now`.
    #[must_use]
    pub fn state(&self, now: UnixNanos, settings: &crate::rules::Settings, baseline: &StepBaseline<'_>) -> RunState {
        if self.end.is_some() {
            return match self.outcome {
                Outcome::Failed | Outcome::Aborted | Outcome::RolledBack => RunState::Failed,
                Outcome::Success | Outcome::Unknown => RunState::Done,
            };
        }
        let idle_nanos = now.nanos_since(self.last_activity);
        if idle_nanos > settings.lost_after_nanos {
            return RunState::Lost;
        }
        let p95_nanos = baseline(self.service, self.operation, self.step).unwrap_or(0);
        let patience_nanos = p95_nanos.saturating_mul(STUCK_FACTOR).max(settings.stuck_after_nanos);
        if idle_nanos > patience_nanos { RunState::Stuck } else { RunState::Running }
    }
}
