//! What one backup or restore comes to.

use proto::UnixNanos;
use serde::{Deserialize, Serialize};

use crate::OperationClass;
use crate::failover::sweep_with;
use crate::rules::Phase;
use crate::run::{BackupFigures, Outcome, PhaseSpan, Run, RunRef, Subject};
use crate::self_time::Interval;

const BYTES_PER_GIB: f64 = 1_073_741_824.0;
const BYTES_PER_MB: f64 = 1e6;
const NANOS_PER_SECOND: f64 = 1e9;

/// One backup or restore as reports see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackupFacts {
    /// Which run.
    pub run: RunRef,
    /// [`OperationClass::Backup`] or [`OperationClass::Restore`].
    pub class: OperationClass,
    /// To whom it happened.
    pub subject: Subject,
    /// How it ended.
    pub outcome: Outcome,
    /// When it began.
    pub start: UnixNanos,
    /// From start to end, nanoseconds; `None` while it has no end.
    pub duration_nanos: Option<i64>,
    /// Sizes and settings as sent.
    pub figures: BackupFigures,
    /// Phases that took any time, in their usual order.
    pub phases: Vec<PhaseRate>,
    /// Wall time in which only spans without a phase were active, nanoseconds.
    pub other_nanos: i64,
    /// Wall time in which no span was active.
    pub unattributed_nanos: i64,
}

/// A phase of a backup or restore.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PhaseRate {
    /// Which.
    pub phase: Phase,
    /// Wall time in which it was the innermost, nanoseconds.
    pub nanos: i64,
    /// Megabytes (10^6) per second, of the bytes that the phase has to move; `None` where it moves none that are known.
    pub megabytes_per_second: Option<f64>,
}

impl BackupFacts {
    /// What a run comes to; `None` when it is of another class.
    #[must_use]
    pub fn of(run: &Run) -> Option<Self> {
        if !matches!(run.class, OperationClass::Backup | OperationClass::Restore) {
            return None;
        }
        let figures = run.parts.iter().find_map(|part| part.backup.as_deref().cloned()).unwrap_or_default();
        let spans: Vec<PhaseSpan> = run.parts.iter().flat_map(|part| part.spans.iter().copied()).collect();
        let other: Vec<Interval> = run.parts.iter().flat_map(|part| part.other.iter().copied()).collect();
        let mut nanos = vec![0_i64; Phase::of_class(run.class).len()];
        let (mut other_nanos, mut unattributed_nanos) = (0, 0);
        sweep_with(run.start, run.end.unwrap_or(run.last_activity), &spans, &other, |phase, is_other, passed| {
            let place = phase.and_then(|phase| Phase::of_class(run.class).iter().position(|known| *known == phase));
            match place {
                Some(place) => nanos[place] += passed,
                None if is_other || phase.is_some() => other_nanos += passed,
                None => unattributed_nanos += passed,
            }
        });
        let phases = Phase::of_class(run.class).iter().zip(nanos).filter(|(_, nanos)| *nanos > 0);
        let phases = phases.map(|(&phase, nanos)| PhaseRate::of(phase, nanos, &figures)).collect();
        Some(Self {
            run: run.reference(),
            class: run.class,
            subject: run.subject.clone(),
            outcome: if run.end.is_some() { run.outcome } else { Outcome::Unknown },
            start: run.start,
            duration_nanos: run.end.map(|end| end.nanos_since(run.start).max(0)),
            figures,
            phases,
            other_nanos,
            unattributed_nanos,
        })
    }

    /// Bytes of the database as it is laid out, as far as they were told.
    #[must_use]
    pub fn size_bytes(&self) -> Option<u64> {
        self.figures.size_bytes.or(self.figures.stored_bytes).filter(|bytes| *bytes > 0)
    }

    /// Seconds for each GiB of [`Self::size_bytes`]: what peers are compared by.
    #[must_use]
    pub fn seconds_per_gib(&self) -> Option<f64> {
        let gib = self.size_bytes()? as f64 / BYTES_PER_GIB;
        Some(self.duration_nanos? as f64 / NANOS_PER_SECOND / gib)
    }

    /// The same of one phase; 0 for one that took no time.
    #[must_use]
    pub fn phase_seconds_per_gib(&self, phase: Phase) -> Option<f64> {
        let gib = self.size_bytes()? as f64 / BYTES_PER_GIB;
        let nanos = self.phases.iter().find(|rate| rate.phase == phase).map_or(0, |rate| rate.nanos);
        Some(nanos as f64 / NANOS_PER_SECOND / gib)
    }

    /// Bytes of the database over bytes kept: 3 is a third.
    #[must_use]
    pub fn compression_ratio(&self) -> Option<f64> {
        let stored = self.figures.stored_bytes.filter(|bytes| *bytes > 0)?;
        let read = self.figures.changed_bytes.or(self.figures.size_bytes)?;
        Some(read as f64 / stored as f64)
    }

    /// How much of its workers the copying kept busy: the time that one worker would have needed, over the wall time times the
    /// workers. 1 is perfect; above 1 the workers are more than was told.
    #[must_use]
    pub fn parallel_efficiency(&self) -> Option<f64> {
        let is_copy = |rate: &&PhaseRate| matches!(rate.phase, Phase::Copy | Phase::Download);
        let wall: i64 = self.phases.iter().filter(is_copy).map(|rate| rate.nanos).sum();
        let workers = self.figures.workers.filter(|workers| *workers > 0)?;
        let serial = self.figures.serial_copy_nanos;
        (wall > 0 && serial > 0).then(|| serial as f64 / (wall as f64 * f64::from(workers)))
    }

    /// The share of its time that it waited for its turn.
    #[must_use]
    pub fn queue_share(&self) -> Option<f64> {
        let duration = self.duration_nanos.filter(|nanos| *nanos > 0)?;
        let queued = self.phases.iter().find(|rate| rate.phase == Phase::Queue).map_or(0, |rate| rate.nanos);
        Some(queued as f64 / duration as f64)
    }
}

impl PhaseRate {
    fn of(phase: Phase, nanos: i64, figures: &BackupFigures) -> Self {
        let bytes = match phase {
            Phase::Copy => figures.changed_bytes.or(figures.size_bytes).or(figures.stored_bytes),
            Phase::Download => figures.stored_bytes.or(figures.size_bytes),
            Phase::ApplyBase => figures.size_bytes.or(figures.stored_bytes),
            Phase::WalWait | Phase::WalFetch | Phase::Replay => figures.wal_bytes,
            _ => None,
        };
        let seconds = nanos as f64 / NANOS_PER_SECOND;
        let megabytes_per_second = bytes.map(|bytes| bytes as f64 / BYTES_PER_MB / seconds);
        Self { phase, nanos, megabytes_per_second }
    }
}
