//! What really happened, as lines of JSON: the other half of what the generator makes.
//!
//! Owns the records and how they are written. `docs/demo.md` explains the fields to readers.

use std::collections::BTreeMap;

use proto::{TraceId, UnixNanos};
use serde::{Serialize, Serializer};

use super::sweep::{Mark, UNATTRIBUTED, exclusive_nanos};
use crate::demo::fleet::{Fleet, Instance};

/// One line of a truth file.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Truth {
    /// What the world was made from; the first line.
    World(WorldTruth),
    /// An operation that was carried out.
    Run(Box<RunTruth>),
    /// All roots of a name, over the whole time.
    Operation(OperationTruth),
    /// The roots of a name that started within an hour.
    OperationHour(OperationTruth),
    /// How often a pathology struck.
    Pathology(PathologyTruth),
}

/// What the world was made from.
#[derive(Debug, Clone, Serialize)]
pub struct WorldTruth {
    /// The seed.
    pub seed: u64,
    /// The profile's name.
    pub profile: &'static str,
    /// Nothing starts before.
    #[serde(serialize_with = "nanos")]
    pub from_unix_nano: UnixNanos,
    /// Nothing starts after.
    #[serde(serialize_with = "nanos")]
    pub to_unix_nano: UnixNanos,
    /// Database instances.
    pub instances: usize,
    /// One of so many high-rate operations was made.
    pub thin: f64,
    /// Whether what was under way at the end was followed until it was over.
    pub is_drained: bool,
    /// Names of the pathologies that were on.
    pub pathologies: Vec<&'static str>,
    /// The deploy that made `wait_pod_ready` slower.
    pub regression: RegressionTruth,
    /// Instances whose backups are uploaded at a fraction of the usual rate.
    pub slow_backup_instances: Vec<String>,
    /// The availability zone that was lost, and when.
    pub lost_zone: Option<LostZoneTruth>,
}

/// The deploy that made a step slower.
#[derive(Debug, Clone, Serialize)]
pub struct RegressionTruth {
    /// Where.
    pub region: &'static str,
    /// Which service.
    pub service: &'static str,
    /// The first version that is slow; all later ones are.
    pub version: String,
    /// When it was rolled out.
    #[serde(serialize_with = "nanos")]
    pub since_unix_nano: UnixNanos,
    /// Which step.
    pub step: &'static str,
    /// Its time is multiplied by this.
    pub factor: f64,
}

/// The loss of an availability zone.
#[derive(Debug, Clone, Serialize)]
pub struct LostZoneTruth {
    /// Which.
    pub zone: &'static str,
    /// When.
    #[serde(serialize_with = "nanos")]
    pub at_unix_nano: UnixNanos,
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As wanted.
    Success,
    /// Not as wanted.
    Failed,
    /// A failover was undone: the old primary serves again.
    RolledBack,
    /// Its controller crashed.
    Lost,
    /// Not over when the generator stopped.
    Running,
}

/// How the time of the fault can be known from what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// `dbaas.failover.fault_time` on the root.
    Attribute,
    /// A span that covers the detection, in the trace or in a linked one.
    DetectSpan,
    /// Failing health checks of the instance before the failover, and a good one before them.
    HealthChecks,
    /// Nothing.
    None,
}

/// A backup's or restore's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BytesTruth {
    /// `full` or `incr`.
    pub backup_type: &'static str,
    /// Bytes that were copied.
    pub size_bytes: u64,
    /// Bytes that were stored.
    pub stored_bytes: u64,
    /// How many were copied at the same time.
    pub workers: u64,
    /// Whether the instance is one of those that are slower than their peers.
    pub is_slow_peer: bool,
}

/// An operation that was carried out. Times are those of a clock that is right.
#[derive(Debug, Clone, Serialize)]
pub struct RunTruth {
    /// `dbaas.failover.id`, `dbaas.backup.id`, `dbaas.request.id`, or the trace id of senders that know none.
    pub run_id: String,
    /// Operation class.
    pub class: &'static str,
    /// Name of the root span.
    pub operation: String,
    /// Whose way of tracing it is.
    pub dialect: &'static str,
    /// `dbaas.instance.id`.
    pub instance: String,
    /// `cloud.region`.
    pub region: &'static str,
    /// `cloud.availability_zone` of the primary before it.
    pub zone: &'static str,
    /// `dbaas.engine`.
    pub engine: &'static str,
    /// `dbaas.engine.version`.
    pub engine_version: &'static str,
    /// `dbaas.plan`.
    pub plan: &'static str,
    /// `service.version` of the root's sender.
    pub service_version: String,
    /// Start of its first span, health checks before it aside.
    #[serde(serialize_with = "nanos")]
    pub start_unix_nano: UnixNanos,
    /// End of its last span, of linked traces too; `None` while it is running.
    #[serde(serialize_with = "option_nanos")]
    pub end_unix_nano: Option<UnixNanos>,
    /// `planned` or `unplanned`; failovers only.
    pub trigger: Option<&'static str>,
    /// Why it failed over.
    pub cause: Option<&'static str>,
    /// T0 (fault) to T8 (redundant); `None` where it did not happen.
    #[serde(serialize_with = "moments")]
    pub t_unix_nano: [Option<UnixNanos>; 9],
    /// From when writes did not succeed: the fault, or in a planned failover the start of fencing.
    #[serde(serialize_with = "option_nanos")]
    pub writes_stopped_unix_nano: Option<UnixNanos>,
    /// Evidence of T0; failovers only.
    pub evidence: Option<Evidence>,
    /// What the evidence says T0 is: for health checks the start of the first that failed.
    #[serde(serialize_with = "option_nanos")]
    pub evidence_unix_nano: Option<UnixNanos>,
    /// How it ended.
    pub outcome: Outcome,
    /// How many tries it took.
    pub attempts: u32,
    /// Exclusive seconds per phase: of failovers from `writes_stopped` to T7 (or the end), the time before T1 being `detect`; of
    /// others from start to end.
    pub phase_seconds: BTreeMap<&'static str, f64>,
    /// The same by the spans of phases alone: detection without a span is unattributed.
    pub span_phase_seconds: BTreeMap<&'static str, f64>,
    /// The same from T2 on; failovers only.
    pub execution_phase_seconds: BTreeMap<&'static str, f64>,
    /// The phase with the most seconds.
    pub dominant_phase: Option<&'static str>,
    /// Bytes of a backup or restore.
    pub bytes: Option<BytesTruth>,
    /// All traces, the main one first.
    pub trace_ids: Vec<String>,
    /// Spans that were made, without copies and pending ones.
    pub spans_made: u64,
    /// Distinct spans that were sent, likewise.
    pub spans_sent: u64,
    /// Names of the pathologies that changed it.
    pub pathologies: Vec<&'static str>,
}

impl RunTruth {
    /// A success without phases, at `start`.
    #[must_use]
    pub(super) fn new(
        class: &'static str,
        operation: &str,
        start: UnixNanos,
        fleet: &Fleet,
        instance: &Instance,
    ) -> Self {
        Self {
            run_id: String::new(),
            class,
            operation: operation.to_owned(),
            dialect: "generic",
            instance: instance.id.clone(),
            region: fleet.regions[instance.region].name,
            zone: instance.primary().zone,
            engine: instance.engine.system_name(),
            engine_version: instance.engine_version,
            plan: instance.plan,
            service_version: String::new(),
            start_unix_nano: start,
            end_unix_nano: None,
            trigger: None,
            cause: None,
            t_unix_nano: [None; 9],
            writes_stopped_unix_nano: None,
            evidence: None,
            evidence_unix_nano: None,
            outcome: Outcome::Success,
            attempts: 1,
            phase_seconds: BTreeMap::new(),
            span_phase_seconds: BTreeMap::new(),
            execution_phase_seconds: BTreeMap::new(),
            dominant_phase: None,
            bytes: None,
            trace_ids: Vec::new(),
            spans_made: 0,
            spans_sent: 0,
            pathologies: Vec::new(),
        }
    }

    /// Hands the time between start and end out to the phases that `marks` tell.
    pub(super) fn attribute(&mut self, marks: &[Mark], end: UnixNanos) {
        self.phase_seconds = seconds(&exclusive_nanos(marks, self.start_unix_nano, end));
        self.span_phase_seconds = self.phase_seconds.clone();
        self.dominant_phase = dominant(&self.phase_seconds);
    }

    /// Hands the time of a failover out, once T0, T1, T2, T7 and `writes_stopped` are known; `end` stands in for a T7 that did
    /// not come.
    pub(super) fn attribute_failover(&mut self, marks: &[Mark], end: UnixNanos) {
        let [fault, detected, acted, ..] = self.t_unix_nano;
        let until = self.t_unix_nano[7].unwrap_or(end);
        let from = self.writes_stopped_unix_nano.or(acted).unwrap_or(self.start_unix_nano);
        self.span_phase_seconds = seconds(&exclusive_nanos(marks, from, until));
        let mut with_detection = marks.to_vec();
        if let (Some(start), Some(end)) = (fault, detected) {
            with_detection.push(Mark { phase: "detect", start, end, depth: 0 });
        }
        self.phase_seconds = seconds(&exclusive_nanos(&with_detection, from, until));
        self.execution_phase_seconds = seconds(&exclusive_nanos(marks, acted.unwrap_or(from), until));
        self.dominant_phase = dominant(&self.phase_seconds);
    }

    /// Takes back what had not happened by `now`: the operation is still running.
    pub(super) fn interrupt(&mut self, now: UnixNanos) {
        self.outcome = Outcome::Running;
        self.end_unix_nano = None;
        for moment in &mut self.t_unix_nano {
            *moment = moment.filter(|time| *time <= now);
        }
    }
}

/// All roots of a service and name.
#[derive(Debug, Clone, Serialize)]
pub struct OperationTruth {
    /// `service.name`.
    pub service: &'static str,
    /// The root's name.
    pub name: String,
    /// Operation class.
    pub class: &'static str,
    /// Start of the hour.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "option_nanos")]
    pub hour_unix_nano: Option<UnixNanos>,
    /// Roots that were sent, each once.
    pub count: u64,
    /// Those with status ERROR.
    pub errors: u64,
    /// Those that failed, whatever their status says.
    pub failed: u64,
    /// Sum of their durations.
    pub total_nanos: i64,
    /// The duration at position `0.5 * (count - 1)`, rounded down, of all in ascending order; likewise the following.
    pub p50_nanos: i64,
    /// 95 of 100.
    pub p95_nanos: i64,
    /// 99 of 100.
    pub p99_nanos: i64,
    /// The longest.
    pub max_nanos: i64,
}

/// How often a pathology struck.
#[derive(Debug, Clone, Serialize)]
pub struct PathologyTruth {
    /// Which.
    pub name: &'static str,
    /// Operations that it changed.
    pub operations: u64,
    /// Spans that it changed, added or took away.
    pub spans: u64,
}

/// Trace ids as texts, each once, in this order.
pub(super) fn distinct_ids(ids: impl IntoIterator<Item = TraceId>) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for id in ids {
        let text = id.to_string();
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts
}

fn seconds(nanos: &BTreeMap<&'static str, i64>) -> BTreeMap<&'static str, f64> {
    nanos.iter().map(|(phase, nanos)| (*phase, *nanos as f64 / 1e9)).collect()
}

fn dominant(seconds: &BTreeMap<&'static str, f64>) -> Option<&'static str> {
    let phases = seconds.iter().filter(|(phase, _)| **phase != UNATTRIBUTED);
    phases.max_by(|a, b| a.1.total_cmp(b.1)).map(|(phase, _)| *phase)
}

fn nanos<S: Serializer>(time: &UnixNanos, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(time.as_u64())
}

#[expect(clippy::ref_option, reason = "the signature is serde's")]
fn option_nanos<S: Serializer>(time: &Option<UnixNanos>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(UnixNanos::as_u64).serialize(serializer)
}

fn moments<S: Serializer>(times: &[Option<UnixNanos>; 9], serializer: S) -> Result<S::Ok, S::Error> {
    times.map(|time| time.map(UnixNanos::as_u64)).serialize(serializer)
}
