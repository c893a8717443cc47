//! What is kept of a failover for reports: its measures, its phases, and what it is grouped by.

use proto::UnixNanos;
use serde::{Deserialize, Serialize};

use super::sweep::{PhaseNanos, sweep};
use super::timeline::{T0Source, Timeline, timeline};
use super::{HealthMark, observed_write_gap};
use crate::OperationClass;
use crate::rules::{Phase, Settings};
use crate::run::{Outcome, PartKind, PhaseSpan, Run, RunRef, Subject, Trigger};
use crate::self_time::Interval;

/// Durations of a failover in nanoseconds; `None` where a time point is not known, which is not 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Measures {
    /// T1 - T0; of unplanned failovers.
    pub time_to_detect: Option<i64>,
    /// T2 - T1; of unplanned failovers: queueing, approval, hold.
    pub time_to_act: Option<i64>,
    /// T6 - T2: what the operation's own span shows. T5, T7 or the end stand in for T6 where it is not known.
    pub execution_time: Option<i64>,
    /// T7 - T0, where T0 of a planned failover is the moment in which writes stopped.
    pub write_unavailable: Option<i64>,
    /// Between the last write that succeeded before and the first after, as clients saw it.
    pub observed_write_gap: Option<i64>,
    /// T8 - T3: without a standby.
    pub redundancy_exposure: Option<i64>,
}

/// One failover as reports see it. Small, and made once whenever the run changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailoverFacts {
    /// Which run.
    pub run: RunRef,
    /// When the operation began.
    pub start: UnixNanos,
    /// To whom it happened.
    pub subject: Subject,
    /// What set it off.
    pub trigger: Trigger,
    /// Why.
    pub cause: Option<String>,
    /// How it ended; [`Outcome::Unknown`] while it goes on.
    pub outcome: Outcome,
    /// Whether its root has been received.
    pub has_ended: bool,
    /// How often it was tried.
    pub attempts: u32,
    /// T0 to T8.
    pub timeline: Timeline,
    /// Durations between them.
    pub measures: Measures,
    /// Wall time by phase, from T0 to T7 as far as they are known.
    pub phases: PhaseNanos,
    /// `dbaas.failover.data_loss.bytes`
    pub data_loss_bytes: Option<u64>,
    /// `dbaas.failover.slo_ms`, in nanoseconds.
    pub slo_nanos: Option<i64>,
}

impl FailoverFacts {
    /// What a run comes to; `None` when it is no failover, or only steps of one that was not received.
    #[must_use]
    pub fn of(run: &Run, marks: &[HealthMark], settings: &Settings) -> Option<Self> {
        if run.class != OperationClass::Failover || run.is_detached() {
            return None;
        }
        let timeline = timeline(run, marks, settings);
        let observed = run
            .subject
            .instance
            .as_deref()
            .and_then(|instance| observed_write_gap(marks, instance, timeline.swept(), settings.look_back_nanos));
        Some(Self {
            run: run.reference(),
            start: run.start,
            subject: run.subject.clone(),
            trigger: run.trigger,
            cause: run.cause.clone(),
            outcome: if run.end.is_some() { run.outcome } else { Outcome::Unknown },
            has_ended: run.end.is_some(),
            attempts: run.attempts,
            timeline,
            measures: measures(&timeline, run.trigger, observed),
            phases: phases(run, &timeline),
            data_loss_bytes: run.parts.iter().filter_map(|part| part.data_loss_bytes).max(),
            slo_nanos: run.parts.iter().find_map(|part| part.slo_nanos),
        })
    }

    /// Where T0 comes from.
    #[must_use]
    pub fn t0_source(&self) -> T0Source {
        self.timeline.t0_source
    }
}

impl Timeline {
    /// The time whose phases are told: from T0 to T7. Where T0 is not known from the start of the operation, where T7 is not
    /// known to its end.
    #[must_use]
    pub fn swept(&self) -> Interval {
        let start = self.points.fault.unwrap_or(self.start);
        Interval { start, end: self.points.restored.unwrap_or(self.end).max(start) }
    }
}

fn measures(timeline: &Timeline, trigger: Trigger, observed_write_gap: Option<i64>) -> Measures {
    let points = &timeline.points;
    let between = |from: Option<UnixNanos>, to: Option<UnixNanos>| {
        let nanos = to?.nanos_since(from?);
        (nanos >= 0).then_some(nanos)
    };
    let is_unplanned = !trigger.is_planned();
    let served = points.routable.or(points.promoted).or(points.restored).unwrap_or(timeline.end);
    Measures {
        time_to_detect: between(points.fault, points.detected).filter(|_| is_unplanned),
        time_to_act: between(points.detected, points.acted).filter(|_| is_unplanned),
        execution_time: between(points.acted, Some(served)),
        write_unavailable: between(points.fault, points.restored),
        observed_write_gap,
        redundancy_exposure: between(points.fenced, points.redundant),
    }
}

fn phases(run: &Run, timeline: &Timeline) -> PhaseNanos {
    let mut spans: Vec<PhaseSpan> = run.parts.iter().flat_map(|part| part.spans.iter().copied()).collect();
    spans.extend(detection_before(run, timeline));
    let operation = run.parts.iter().filter(|part| part.kind != PartKind::Linked);
    let other: Vec<Interval> = operation.flat_map(|part| part.other.iter().copied()).collect();
    let Interval { start, end } = timeline.swept();
    sweep(start, end, &spans, &other)
}

/// The fault is known from elsewhere, so the time up to its detection is detection, although no span says so.
fn detection_before(run: &Run, timeline: &Timeline) -> Option<PhaseSpan> {
    let start = timeline.points.fault.filter(|_| !run.trigger.is_planned())?;
    let end = timeline.points.detected?;
    let span_id = run.reference().top;
    Some(PhaseSpan { start, end, span_id, phase: Phase::Detect, depth: 0, is_failed: false })
}
