//! When what happens: the kinds of operations, their rates, and the queue of those to come.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use proto::{TraceId, UnixNanos};

use super::pathology::Pathology;
use super::{Profile, WorldSettings};

const SECS_PER_HOUR: f64 = 3_600.0;
const SECS_PER_DAY: f64 = 86_400.0;
/// The model's rates are those of so many instances.
const MODEL_INSTANCES: f64 = 1_000.0;
/// Cycles per second of the controllers that find nothing to do: one per region.
const RECOVERY_CYCLES_PER_SEC: f64 = 4.0;
const FAILOVERS_PER_DAY: f64 = 3.0;
const PLANNED_SHARE: f64 = 0.85;
/// In the minute after a zone is lost everything frequent comes so many times as often.
pub(super) const SURGE_FACTOR: f64 = 7.0;

/// What happens again and again, at random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Statement,
    HealthCheck,
    WalPush,
    ApiRequest,
    Reconcile,
    AgentCommand,
    RecoveryCycle,
    Backup,
    Create,
    Change,
    Restore,
    Planned,
    Unplanned,
}

impl Kind {
    pub(super) const ALL: [Self; 13] = [
        Self::Statement,
        Self::HealthCheck,
        Self::WalPush,
        Self::ApiRequest,
        Self::Reconcile,
        Self::AgentCommand,
        Self::RecoveryCycle,
        Self::Backup,
        Self::Create,
        Self::Change,
        Self::Restore,
        Self::Planned,
        Self::Unplanned,
    ];

    /// Whether it is thinned out, and surges.
    pub(super) const fn is_frequent(self) -> bool {
        matches!(
            self,
            Self::Statement
                | Self::HealthCheck
                | Self::WalPush
                | Self::ApiRequest
                | Self::Reconcile
                | Self::AgentCommand
                | Self::RecoveryCycle
        )
    }

    /// How often it happens per second in a world.
    pub(super) fn per_second(self, settings: &WorldSettings) -> f64 {
        let scale = settings.instances as f64 / MODEL_INSTANCES;
        let failovers = settings.failovers_per_day.unwrap_or(FAILOVERS_PER_DAY * scale) / SECS_PER_DAY;
        let rate = match self {
            Self::Statement if settings.profile == Profile::Ctl => 0.0,
            Self::Statement => 2_000.0 * scale,
            Self::HealthCheck => 100.0 * scale,
            Self::WalPush => 16.7 * scale,
            Self::ApiRequest => 20.0 * scale,
            Self::Reconcile => 3.0 * scale,
            Self::AgentCommand => 5.0 * scale,
            Self::RecoveryCycle if settings.pathologies.has(Pathology::NameNoise) => RECOVERY_CYCLES_PER_SEC,
            Self::RecoveryCycle => 0.0,
            Self::Backup => settings.instances as f64 / SECS_PER_DAY,
            Self::Create => 20.0 * scale / SECS_PER_HOUR,
            Self::Change => 40.0 * scale / SECS_PER_HOUR,
            Self::Restore => 5.0 * scale / SECS_PER_DAY,
            Self::Planned => failovers * PLANNED_SHARE,
            Self::Unplanned => failovers * (1.0 - PLANNED_SHARE),
        };
        if self.is_frequent() { rate / settings.thin } else { rate }
    }
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// One of a kind, after which another one follows.
    Usual(Kind),
    /// One more of a kind, in the minute after a zone is lost.
    Surge(Kind),
    /// The primary of an instance is lost with its zone.
    LostZone(usize),
    /// An instance fails over again, and its controller goes on with the trace of the first time.
    Reused(usize, TraceId),
    /// A backup with a span per file.
    PerFile(u64),
}

/// Events to come, the next one first.
#[derive(Debug, Default)]
pub(super) struct Queue {
    events: BinaryHeap<Reverse<(UnixNanos, u64, Event)>>,
    sequence: u64,
}

impl Queue {
    pub(super) fn push(&mut self, at: UnixNanos, event: Event) {
        self.events.push(Reverse((at, self.sequence, event)));
        self.sequence += 1;
    }

    /// The next event that is not later than `until`.
    pub(super) fn pop(&mut self, until: UnixNanos) -> Option<(UnixNanos, Event)> {
        let is_due = self.events.peek().is_some_and(|Reverse((at, ..))| *at <= until);
        if !is_due {
            return None;
        }
        self.events.pop().map(|Reverse((at, _, event))| (at, event))
    }
}
