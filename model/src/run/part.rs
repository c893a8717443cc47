//! What one trace says about one run. Kept by the store, so fields are only ever added with a new version of its format.

use proto::{SpanId, TraceId, UnixNanos};
use serde::{Deserialize, Serialize};

use super::RunId;
use crate::OperationClass;
use crate::rules::Phase;
use crate::self_time::Interval;

/// Spans with a phase that a part keeps: the outermost ones, when a trace has more.
pub const PHASE_SPANS_MAX: usize = 512;

/// Stretches of `other` that a part keeps, the earliest ones.
pub const OTHER_MAX: usize = 256;

/// Distinct steps that a part keeps, the earliest ones.
pub const STEPS_MAX: usize = 64;

/// Ids that a part keeps: more than that are not those of one run.
pub const IDS_MAX: usize = 16;

/// Linked traces that a part keeps.
pub const LINKS_MAX: usize = 50;

/// Start markers without their span that a part keeps, the latest ones.
pub const PENDING_MAX: usize = 32;

/// How much of a run a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartKind {
    /// The operation itself, or what a root that is still to come will turn out to be.
    Operation,
    /// Steps of an operation whose own spans are elsewhere, such as a rejoin in a trace of its own. A run of its own only
    /// when nothing else turns up, and then not counted as a failover.
    Steps,
    /// Work of another kind that links to, or has the id of, a run, such as a reconcile loop. Never a run of its own.
    Linked,
}

/// What one trace says about one run. Absent texts were not sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunPart {
    /// Which trace. With [`Self::top`], it names the part.
    pub trace_id: TraceId,
    /// The topmost span of the run in the trace, received or only named as a parent.
    pub top: SpanId,
    /// How much of the run it is.
    pub kind: PartKind,
    /// Of the operation. [`OperationClass::Other`] for linked work that fits any class.
    pub class: OperationClass,
    /// `service.name` of the topmost span that was received.
    pub service: String,
    /// Name of that span, or `dbaas.operation` where the topmost span has not been received and others tell.
    pub operation: String,
    /// What the emitter calls the run; sorted.
    pub ids: Vec<RunId>,
    /// Traces that spans of the part link to; sorted, at most [`LINKS_MAX`].
    pub links: Vec<TraceId>,
    /// To whom it happens.
    pub subject: Subject,
    /// Of a failover: what set it off.
    pub trigger: Trigger,
    /// Of a failover: `dbaas.failover.cause`.
    pub cause: Option<String>,
    /// How it ended, as far as the trace says.
    pub outcome: Outcome,
    /// `dbaas.failover.attempt` or `dbaas.operation.attempt`, counted from 1.
    pub attempt: Option<u32>,
    /// The error of the topmost span, else the first error below it.
    pub error: Option<RunError>,
    /// Start of the topmost span, else the earliest start that is known.
    pub start: UnixNanos,
    /// End of the topmost span; `None` until it has been received.
    pub end: Option<UnixNanos>,
    /// The latest time that any span tells, start markers included.
    pub last_activity: UnixNanos,
    /// Whether the topmost span has been received (rather than a start marker, or a child that names it).
    pub has_top: bool,
    /// Time points that spans or events name themselves.
    pub points: TimePoints,
    /// Spans with a phase of the class, by start; at most [`PHASE_SPANS_MAX`].
    pub spans: Vec<PhaseSpan>,
    /// When spans without a phase, below the topmost and not below one with a phase, were active: disjoint, by start; at most
    /// [`OTHER_MAX`].
    pub other: Vec<Interval>,
    /// What is directly below the topmost span, by first start and name; at most [`STEPS_MAX`].
    pub steps: Vec<Step>,
    /// Started and, as far as is known, not ended: by start; at most [`PENDING_MAX`].
    pub pending: Vec<Pending>,
    /// Wall time in which something was waited for: the union of spans that wait.
    pub wait_nanos: i64,
    /// Wall time in which a span below the topmost was active and none waited.
    pub work_nanos: i64,
    /// Of a backup or restore.
    pub backup: Option<Box<BackupFigures>>,
    /// `dbaas.failover.data_loss.bytes`
    pub data_loss_bytes: Option<u64>,
    /// `dbaas.failover.slo_ms`, in nanoseconds.
    pub slo_nanos: Option<i64>,
    /// Spans received; start markers are none.
    pub span_count: u64,
    /// Of these, spans with status `Error`.
    pub error_count: u64,
    /// A limit of this module cut something off.
    pub is_cut: bool,
}

/// To whom a run happens. Texts as sent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Subject {
    /// `dbaas.instance.id`
    pub instance: Option<String>,
    /// `cloud.region`
    pub region: Option<String>,
    /// `cloud.availability_zone`
    pub zone: Option<String>,
    /// `db.system.name`
    pub engine: Option<String>,
    /// `dbaas.engine.version`
    pub engine_version: Option<String>,
    /// `dbaas.plan`
    pub plan: Option<String>,
    /// `dbaas.tenant.id`
    pub tenant: Option<String>,
    /// `service.version` of the service that controls the operation.
    pub controller_version: Option<String>,
    /// `dbaas.failover.old_primary`
    pub old_primary: Option<String>,
    /// `dbaas.failover.new_primary`
    pub new_primary: Option<String>,
}

/// What set a failover off. New ones go to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// Not told by an attribute nor by a name; counted as unplanned.
    #[default]
    Unknown,
    /// Somebody wanted another primary, and the old one was well: a switchover.
    Planned,
    /// A fault.
    Unplanned,
    /// Somebody wanted it at once, whatever the old primary does.
    Forced,
    /// A fault was caused to see what happens.
    Drill,
}

impl Trigger {
    /// Every trigger.
    pub const ALL: [Self; 5] = [Self::Unknown, Self::Planned, Self::Unplanned, Self::Forced, Self::Drill];

    /// Whether the old primary took part, so that nothing has to be detected. Everything else is measured like a fault.
    #[must_use]
    pub const fn is_planned(self) -> bool {
        matches!(self, Self::Planned)
    }

    /// The name in attributes and in the HTTP API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Planned => "planned",
            Self::Unplanned => "unplanned",
            Self::Forced => "forced",
            Self::Drill => "drill",
        }
    }
}

/// How a run ended. New ones go to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Not known (yet).
    #[default]
    Unknown,
    /// It did what it was for.
    Success,
    /// It did not.
    Failed,
    /// It was given up before anything was changed.
    Aborted,
    /// What had been changed was changed back.
    RolledBack,
}

impl Outcome {
    /// The name in attributes and in the HTTP API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Aborted => "aborted",
            Self::RolledBack => "rolled_back",
        }
    }
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunError {
    /// `error.type` or `exception.type`; empty when only a message was sent.
    pub kind: String,
    /// The status message or `exception.message`, shortened.
    pub message: String,
    /// Name of the span that says so.
    pub span_name: String,
}

/// Time points of a failover that a span or an event names itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TimePoints {
    /// T0: last good write, or first symptom.
    pub fault: Option<UnixNanos>,
    /// T1: the problem is declared.
    pub detected: Option<UnixNanos>,
    /// T2: the decision is taken.
    pub acted: Option<UnixNanos>,
    /// T3: the old primary accepts no more writes.
    pub fenced: Option<UnixNanos>,
    /// T4: a candidate is chosen, and that is durable.
    pub elected: Option<UnixNanos>,
    /// T5: the new primary accepts writes.
    pub promoted: Option<UnixNanos>,
    /// T6: the endpoint points to it.
    pub routable: Option<UnixNanos>,
    /// T7: a client has written.
    pub restored: Option<UnixNanos>,
    /// T8: replicas follow, the old primary is one of them.
    pub redundant: Option<UnixNanos>,
}

/// A span with a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PhaseSpan {
    /// First instant.
    pub start: UnixNanos,
    /// First instant after it.
    pub end: UnixNanos,
    /// Which.
    pub span_id: SpanId,
    /// Its own phase: by attribute or name, not that of an ancestor.
    pub phase: Phase,
    /// Steps down from the topmost span of the part.
    pub depth: u16,
    /// Its status is `Error`.
    pub is_failed: bool,
}

/// Whether a step waits for something else or is itself at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// It does something.
    #[default]
    Work,
    /// It waits: for a slot, a quota, a scheduler, another process.
    Wait,
}

/// Spans of one name directly below the topmost span.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Step {
    /// First start.
    pub start: UnixNanos,
    /// The spans' name.
    pub name: String,
    /// Last end.
    pub end: UnixNanos,
    /// The sum of their durations.
    pub total_nanos: i64,
    /// How many spans: polls and retries repeat.
    pub count: u32,
    /// Of these, spans with status `Error`.
    pub failed_count: u32,
    /// Of the first span.
    pub kind: StepKind,
}

/// A start marker whose span has not been received.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pending {
    /// When the span started.
    pub start: UnixNanos,
    /// The span that is to come.
    pub span_id: SpanId,
    /// Its name.
    pub name: String,
    /// Its phase, if it has one.
    pub phase: Option<Phase>,
    /// Steps down from the topmost span of the part; 0 for that span itself.
    pub depth: u16,
    /// Whether it waits or works.
    pub kind: StepKind,
}

/// Of a backup or restore: the attributes `dbaas.backup.*`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BackupFigures {
    /// `.type`: full, diff, incr, snapshot or wal.
    pub kind: Option<String>,
    /// `.method`: the tool.
    pub method: Option<String>,
    /// `.compression`
    pub compression: Option<String>,
    /// `.target`: the class of the store, no URL.
    pub target: Option<String>,
    /// `.parent_id`
    pub parent_id: Option<String>,
    /// `.size_bytes`: logical.
    pub size_bytes: Option<u64>,
    /// `.stored_bytes`
    pub stored_bytes: Option<u64>,
    /// `.changed_bytes`
    pub changed_bytes: Option<u64>,
    /// `.wal_bytes`
    pub wal_bytes: Option<u64>,
    /// `.files`
    pub files: Option<u64>,
    /// `.workers`
    pub workers: Option<u32>,
    /// `.throttled_ms`, in nanoseconds.
    pub throttled_nanos: Option<i64>,
    /// `.retries`
    pub retries: Option<u32>,
    /// The sum of the durations of all innermost copying or downloading spans: what one worker would have needed.
    pub serial_copy_nanos: i64,
}
