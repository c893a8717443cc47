//! The JSON of `GET /api/v1/backups`.

use model::backup::{BackupFacts, PeerRow, PhaseRate};
use proto::{TraceId, UnixNanos};
use serde::Serialize;

use super::json::{Shown, Text64};

/// The answer, fields in the order of `docs/http-api.md`.
#[derive(Serialize)]
pub(crate) struct Backups<'a> {
    as_of_unix_nano: Text64,
    start_unix_nano: Text64,
    end_unix_nano: Text64,
    total: usize,
    backups: Vec<BackupRow<'a>>,
}

impl<'a> Backups<'a> {
    /// `total` of them match, of which `backups` are shown.
    pub(crate) fn of(
        as_of: UnixNanos,
        (start, end): (UnixNanos, UnixNanos),
        total: usize,
        backups: Vec<BackupRow<'a>>,
    ) -> Self {
        let (start_unix_nano, end_unix_nano) = (start.into(), end.into());
        Self { as_of_unix_nano: as_of.into(), start_unix_nano, end_unix_nano, total, backups }
    }
}

/// One backup or restore.
#[derive(Serialize)]
pub(crate) struct BackupRow<'a> {
    run_id: String,
    trace_id: Shown<TraceId>,
    class: &'static str,
    start_unix_nano: Text64,
    duration_nano: Option<Text64>,
    outcome: &'static str,
    instance: Option<&'a str>,
    region: Option<&'a str>,
    engine: Option<&'a str>,
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    method: Option<&'a str>,
    compression: Option<&'a str>,
    target: Option<&'a str>,
    parent_id: Option<&'a str>,
    size_bytes: Option<u64>,
    stored_bytes: Option<u64>,
    changed_bytes: Option<u64>,
    wal_bytes: Option<u64>,
    files: Option<u64>,
    workers: Option<u32>,
    throttled_nano: Option<Text64>,
    retries: Option<u32>,
    seconds_per_gib: Option<f64>,
    compression_ratio: Option<f64>,
    parallel_efficiency: Option<f64>,
    queue_share: Option<f64>,
    phases: Vec<PhaseView>,
    other_nano: Text64,
    unattributed_nano: Text64,
    peers: Option<PeersView>,
}

impl<'a> BackupRow<'a> {
    pub(crate) fn of(backup: &'a BackupFacts, peers: Option<&PeerRow>) -> Self {
        let figures = &backup.figures;
        let phases = backup.phases.iter().map(|phase| phase.nanos);
        let all_nanos = phases.chain([backup.other_nanos, backup.unattributed_nanos]).fold(0, i64::saturating_add);
        Self {
            run_id: backup.run.to_string(),
            trace_id: Shown(backup.run.trace_id),
            class: backup.class.name(),
            start_unix_nano: backup.start.into(),
            duration_nano: backup.duration_nanos.map(Text64),
            outcome: backup.outcome.name(),
            instance: backup.subject.instance.as_deref(),
            region: backup.subject.region.as_deref(),
            engine: backup.subject.engine.as_deref(),
            kind: figures.kind.as_deref(),
            method: figures.method.as_deref(),
            compression: figures.compression.as_deref(),
            target: figures.target.as_deref(),
            parent_id: figures.parent_id.as_deref(),
            size_bytes: figures.size_bytes,
            stored_bytes: figures.stored_bytes,
            changed_bytes: figures.changed_bytes,
            wal_bytes: figures.wal_bytes,
            files: figures.files,
            workers: figures.workers,
            throttled_nano: figures.throttled_nanos.map(Text64),
            retries: figures.retries,
            seconds_per_gib: backup.seconds_per_gib(),
            compression_ratio: backup.compression_ratio(),
            parallel_efficiency: backup.parallel_efficiency(),
            queue_share: backup.queue_share(),
            phases: backup.phases.iter().map(|phase| PhaseView::of(phase, all_nanos)).collect(),
            other_nano: Text64(backup.other_nanos),
            unattributed_nano: Text64(backup.unattributed_nanos),
            peers: peers.map(PeersView::of),
        }
    }
}

#[derive(Serialize)]
struct PhaseView {
    phase: &'static str,
    time_nano: Text64,
    share: f64,
    megabytes_per_second: Option<f64>,
}

impl PhaseView {
    fn of(phase: &PhaseRate, all_nanos: i64) -> Self {
        Self {
            phase: phase.phase.name(),
            time_nano: Text64(phase.nanos),
            share: phase.nanos as f64 / all_nanos.max(1) as f64,
            megabytes_per_second: phase.megabytes_per_second,
        }
    }
}

#[derive(Serialize)]
struct PeersView {
    count: usize,
    size_gib_min: u64,
    size_gib_max: u64,
    median_seconds_per_gib: f64,
    z: Option<f64>,
    slowest_phase: Option<&'static str>,
    slowest_phase_seconds_per_gib: Option<f64>,
}

impl PeersView {
    fn of(peers: &PeerRow) -> Self {
        let log2 = peers.key.size_log2_gib;
        Self {
            count: peers.peers,
            size_gib_min: if log2 == 0 { 0 } else { 1 << log2 },
            size_gib_max: 2 << log2,
            median_seconds_per_gib: peers.median_seconds_per_gib,
            z: peers.z,
            slowest_phase: peers.slowest_phase.map(|(phase, _)| phase.name()),
            slowest_phase_seconds_per_gib: peers.slowest_phase.map(|(_, seconds)| seconds),
        }
    }
}
