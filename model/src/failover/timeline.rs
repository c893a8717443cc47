//! The time points of a failover, T0 to T8, and where each comes from.

use std::collections::BTreeMap;

use proto::UnixNanos;
use serde::{Deserialize, Serialize};

use super::HealthMark;
use crate::rules::{MarkKind, Phase, Settings};
use crate::run::{Outcome, PartKind, PhaseSpan, Run, TimePoints};

/// Where the time of the fault comes from, the most trusted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum T0Source {
    /// `dbaas.failover.fault_time`, or an event of that name.
    Attribute,
    /// A span of phase `detect`: the fault is no later than its start.
    DetectSpan,
    /// The first of the health checks that failed in a row.
    HealthChecks,
    /// The first of the writes that failed in a row.
    Writes,
    /// Of a planned failover: the start of the first span of phase `fence`, from which on nobody could write.
    FenceSpan,
    /// No evidence: the time to detect and the time without writes are not known.
    Unknown,
}

impl T0Source {
    /// Every source.
    pub const ALL: [Self; 6] =
        [Self::Attribute, Self::DetectSpan, Self::HealthChecks, Self::Writes, Self::FenceSpan, Self::Unknown];

    /// The name in the HTTP API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Attribute => "attribute",
            Self::DetectSpan => "detect_span",
            Self::HealthChecks => "health_checks",
            Self::Writes => "writes",
            Self::FenceSpan => "fence_span",
            Self::Unknown => "unknown",
        }
    }
}

/// When what happened. What is not known is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// T0 to T8. T0 of a planned failover is the moment when writes stopped.
    pub points: TimePoints,
    /// Where T0 comes from.
    pub t0_source: T0Source,
    /// When the operation itself began.
    pub start: UnixNanos,
    /// When it ended, or its last activity while it goes on.
    pub end: UnixNanos,
    /// The last rejoin failed, so that the instance is without a standby as far as is known.
    pub rejoin_failed: bool,
}

/// The time points of a run. `marks` are those of its instance, in any order; others are passed over.
#[must_use]
pub fn timeline(run: &Run, marks: &[HealthMark], settings: &Settings) -> Timeline {
    let spans = Spans::of(run);
    let told = told_points(run);
    let first_action = spans.first_action();
    let is_early = |span: &&PhaseSpan| first_action.is_none_or(|action| span.start <= action);

    let detected_by_span = spans.of_phase(Phase::Detect).filter(is_early).map(|span| span.end).max();
    let detected = told.detected.or(detected_by_span).unwrap_or(run.start);
    let acted = told.acted.unwrap_or_else(|| {
        if detected <= run.start { run.start } else { first_action.unwrap_or(detected).max(detected) }
    });
    let promoted = told.promoted.or_else(|| spans.last_good_end(Phase::Promote, None));
    let routable = told.routable.or_else(|| spans.last_good_end(Phase::Endpoint, None));
    let (fault, t0_source) = if run.trigger.is_planned() {
        writes_stopped(&told, &spans)
    } else {
        fault(run, &told, &spans, marks, acted, settings)
    };
    let (redundant, rejoin_failed) = rejoin(&told, &spans);
    let points = TimePoints {
        fault,
        detected: Some(detected),
        acted: Some(acted),
        fenced: told.fenced.or_else(|| spans.last_good_end(Phase::Fence, promoted)),
        elected: told.elected.or_else(|| spans.last_good_end(Phase::Elect, promoted)),
        promoted,
        routable,
        restored: told.restored.or_else(|| restored(run, &spans, promoted, routable)),
        redundant,
    };
    Timeline { points, t0_source, start: run.start, end: run.end.unwrap_or(run.last_activity), rejoin_failed }
}

/// Spans of a run with a phase.
struct Spans {
    /// Of the operation and of its steps.
    own: Vec<PhaseSpan>,
    /// Of linked work: asked only for what the operation does not tell.
    linked: Vec<PhaseSpan>,
}

impl Spans {
    fn of(run: &Run) -> Self {
        let of_kind = |is_linked: bool| {
            let parts = run.parts.iter().filter(move |part| (part.kind == PartKind::Linked) == is_linked);
            parts.flat_map(|part| part.spans.iter().copied()).collect()
        };
        Self { own: of_kind(false), linked: of_kind(true) }
    }

    fn of_phase(&self, phase: Phase) -> impl Iterator<Item = &PhaseSpan> {
        let is_of_phase = move |span: &&PhaseSpan| span.phase == phase;
        let in_own = self.own.iter().any(|span| span.phase == phase);
        self.own.iter().chain(self.linked.iter().filter(move |_| !in_own)).filter(is_of_phase)
    }

    /// The first start of anything that changes something.
    fn first_action(&self) -> Option<UnixNanos> {
        const ACTIONS: [Phase; 5] = [Phase::Fence, Phase::Elect, Phase::Catchup, Phase::Promote, Phase::Endpoint];
        self.own.iter().filter(|span| ACTIONS.contains(&span.phase)).map(|span| span.start).min()
    }

    /// The last end of a span of the phase that did not fail and, if told, began before an instant.
    fn last_good_end(&self, phase: Phase, before: Option<UnixNanos>) -> Option<UnixNanos> {
        let good = self.of_phase(phase).filter(|span| !span.is_failed);
        good.filter(|span| before.is_none_or(|before| span.start < before)).map(|span| span.end).max()
    }
}

/// What spans and events of any part name themselves.
fn told_points(run: &Run) -> TimePoints {
    let earliest =
        |point: fn(&TimePoints) -> Option<UnixNanos>| run.parts.iter().filter_map(|part| point(&part.points)).min();
    let latest =
        |point: fn(&TimePoints) -> Option<UnixNanos>| run.parts.iter().filter_map(|part| point(&part.points)).max();
    TimePoints {
        fault: earliest(|points| points.fault),
        detected: earliest(|points| points.detected),
        acted: earliest(|points| points.acted),
        fenced: latest(|points| points.fenced),
        elected: latest(|points| points.elected),
        promoted: latest(|points| points.promoted),
        routable: latest(|points| points.routable),
        restored: latest(|points| points.restored),
        redundant: latest(|points| points.redundant),
    }
}

fn writes_stopped(told: &TimePoints, spans: &Spans) -> (Option<UnixNanos>, T0Source) {
    if told.fault.is_some() {
        return (told.fault, T0Source::Attribute);
    }
    let fenced = spans.of_phase(Phase::Fence).map(|span| span.start).min();
    (fenced, if fenced.is_some() { T0Source::FenceSpan } else { T0Source::Unknown })
}

/// T0 of a failover that nobody planned. A fault after the decision is a skewed clock, and no evidence.
fn fault(
    run: &Run,
    told: &TimePoints,
    spans: &Spans,
    marks: &[HealthMark],
    acted: UnixNanos,
    settings: &Settings,
) -> (Option<UnixNanos>, T0Source) {
    if let Some(fault) = told.fault.filter(|fault| *fault <= acted) {
        return (Some(fault), T0Source::Attribute);
    }
    let detecting = spans.of_phase(Phase::Detect).map(|span| span.start).filter(|start| *start <= acted).min();
    if detecting.is_some() {
        return (detecting, T0Source::DetectSpan);
    }
    let Some(instance) = run.subject.instance.as_deref() else {
        return (None, T0Source::Unknown);
    };
    for (kind, source) in [(MarkKind::HealthCheck, T0Source::HealthChecks), (MarkKind::Write, T0Source::Writes)] {
        let of_kind = marks.iter().filter(|mark| mark.kind == kind && mark.instance == instance);
        let first = first_failing(of_kind, run.subject.old_primary.as_deref(), acted, settings.look_back_nanos);
        if first.is_some() {
            return (first, source);
        }
    }
    (None, T0Source::Unknown)
}

/// The start of the failures in a row that went on at `until`. Nodes are looked at one by one, as standbys go on answering:
/// the old primary if it is among them, else the node that was seen to turn bad last.
fn first_failing<'a>(
    marks: impl Iterator<Item = &'a HealthMark>,
    old_primary: Option<&str>,
    until: UnixNanos,
    look_back_nanos: i64,
) -> Option<UnixNanos> {
    let since = until.saturating_add(-look_back_nanos);
    let mut of_target: BTreeMap<&str, Vec<(UnixNanos, bool)>> = BTreeMap::new();
    for mark in marks.filter(|mark| (since..=until).contains(&mark.at)) {
        of_target.entry(&mark.target).or_default().push((mark.at, mark.failed));
    }
    let streaks = of_target.into_iter().filter_map(|(target, mut marks)| {
        marks.sort_unstable();
        let last_good = marks.iter().rposition(|(_, failed)| !failed);
        let (first, _) = marks.get(last_good.map_or(0, |place| place + 1))?;
        Some((Some(target) == old_primary, last_good.is_some(), *first))
    });
    streaks.max().map(|(_, _, first)| first)
}

/// T7: the end of the first check that succeeded once the endpoint was right, else when that was done, else when the operation
/// was: its sender calls it done when the new primary serves. Where replicas rejoin within it, the promotion tells more.
fn restored(run: &Run, spans: &Spans, promoted: Option<UnixNanos>, routable: Option<UnixNanos>) -> Option<UnixNanos> {
    if matches!(run.outcome, Outcome::RolledBack) {
        // The old primary serves again once the failover has been taken back.
        return run.end;
    }
    let routable = routable.filter(|routable| promoted.is_none_or(|promoted| *routable >= promoted));
    let served = routable.or(promoted);
    let last_promotion = spans.of_phase(Phase::Promote).max_by_key(|span| (span.start, span.end));
    let promotion_failed = last_promotion.is_some_and(|span| span.is_failed);
    if promotion_failed || run.outcome == Outcome::Aborted {
        return None;
    }
    let checks = spans.of_phase(Phase::Verify).filter(|span| !span.is_failed);
    let checks = checks.filter(|span| served.is_none_or(|served| span.end >= served));
    let verified = checks.min_by_key(|span| (span.start, span.depth, span.span_id)).map(|span| span.end);
    let by_end = || run.end.filter(|_| run.outcome == Outcome::Success);
    verified.or(routable).or_else(|| done(run, spans, promoted)).or(promoted).or_else(by_end)
}

/// The end of an operation that succeeded and does no more than move the primary.
fn done(run: &Run, spans: &Spans, promoted: Option<UnixNanos>) -> Option<UnixNanos> {
    let rejoins = spans.own.iter().any(|span| span.phase == Phase::Rejoin);
    let end = run.main().end.filter(|_| run.outcome == Outcome::Success && !rejoins)?;
    promoted.filter(|promoted| *promoted <= end).map(|_| end)
}

/// T8, and whether the last rejoin failed.
fn rejoin(told: &TimePoints, spans: &Spans) -> (Option<UnixNanos>, bool) {
    if told.redundant.is_some() {
        return (told.redundant, false);
    }
    let last = spans.of_phase(Phase::Rejoin).filter(|span| span.depth <= 1 || !span.is_failed);
    let last = last.max_by_key(|span| (span.start, std::cmp::Reverse(span.depth)));
    let has_failed = last.is_some_and(|span| span.is_failed);
    (spans.last_good_end(Phase::Rejoin, None).filter(|_| !has_failed), has_failed)
}
