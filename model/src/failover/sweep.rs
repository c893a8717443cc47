//! Where the wall time went: every instant belongs to one phase, so that phases add up to the time itself.

use std::collections::BTreeSet;

use proto::UnixNanos;
use serde::{Deserialize, Serialize};

use crate::rules::Phase;
use crate::run::PhaseSpan;
use crate::self_time::Interval;

/// Wall time by phase, nanoseconds. Sums up to the interval that was swept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PhaseNanos {
    /// In the order of [`Phase::FAILOVER`].
    pub phases: [i64; Phase::FAILOVER.len()],
    /// A span was active, and none with a phase.
    pub other: i64,
    /// No span was active.
    pub unattributed: i64,
}

impl PhaseNanos {
    /// Of one phase; 0 for one that failovers do not have.
    #[must_use]
    pub fn of(&self, phase: Phase) -> i64 {
        Phase::FAILOVER.iter().position(|of_failover| *of_failover == phase).map_or(0, |place| self.phases[place])
    }

    /// Of everything.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.phases.iter().chain([&self.other, &self.unattributed]).fold(0, |sum, nanos| sum.saturating_add(*nanos))
    }

    /// The phase that took longest; of two the one that comes first in a failover. `None` when none took any time.
    #[must_use]
    pub fn dominant(&self) -> Option<Phase> {
        let longest = self.phases.iter().enumerate().rev().max_by_key(|(_, nanos)| **nanos)?;
        (*longest.1 > 0).then(|| Phase::FAILOVER[longest.0])
    }

    fn add(&mut self, phase: Phase, nanos: i64) {
        if let Some(place) = Phase::FAILOVER.iter().position(|of_failover| *of_failover == phase) {
            self.phases[place] += nanos;
        } else {
            self.other += nanos;
        }
    }
}

/// [`sweep_with`] for failovers.
#[must_use]
pub fn sweep(start: UnixNanos, end: UnixNanos, spans: &[PhaseSpan], other: &[Interval]) -> PhaseNanos {
    let mut nanos = PhaseNanos::default();
    sweep_with(start, end, spans, other, |phase, is_other, passed| match phase {
        Some(phase) => nanos.add(phase, passed),
        None if is_other => nanos.other += passed,
        None => nanos.unattributed += passed,
    });
    nanos
}

/// Gives each instant from `start` to `end` to the innermost active span with a phase; of two equally deep ones to the one that
/// started later; without one to `other` while one of these intervals is active, else to nobody. Tells `settle` each stretch: the
/// phase, whether `other` was active, and the nanoseconds.
pub(crate) fn sweep_with(
    start: UnixNanos,
    end: UnixNanos,
    spans: &[PhaseSpan],
    other: &[Interval],
    mut settle: impl FnMut(Option<Phase>, bool, i64),
) {
    let mut edges: Vec<Edge> = Vec::with_capacity(2 * (spans.len() + other.len()));
    for (index, span) in spans.iter().enumerate() {
        push_edges(&mut edges, Interval { start: span.start, end: span.end }, (start, end), Some(index));
    }
    for interval in other {
        push_edges(&mut edges, *interval, (start, end), None);
    }
    edges.sort_unstable_by_key(|edge| edge.at);

    // The innermost comes last.
    let mut active: BTreeSet<(u16, UnixNanos, usize)> = BTreeSet::new();
    let mut others_active = 0_usize;
    let mut settled = start;
    for edge in edges {
        let passed = edge.at.nanos_since(settled);
        if passed > 0 {
            settle(active.last().map(|(_, _, index)| spans[*index].phase), others_active > 0, passed);
            settled = edge.at;
        }
        match (edge.span, edge.begins) {
            (Some(index), true) => {
                active.insert((spans[index].depth, spans[index].start, index));
            }
            (Some(index), false) => {
                active.remove(&(spans[index].depth, spans[index].start, index));
            }
            (None, true) => others_active += 1,
            (None, false) => others_active -= 1,
        }
    }
    settle(None, false, end.nanos_since(settled).max(0));
}

struct Edge {
    at: UnixNanos,
    /// Which span; `None` for one without a phase.
    span: Option<usize>,
    begins: bool,
}

fn push_edges(edges: &mut Vec<Edge>, interval: Interval, (start, end): (UnixNanos, UnixNanos), span: Option<usize>) {
    let (from, to) = (interval.start.max(start), interval.end.min(end));
    if from < to {
        edges.push(Edge { at: from, span, begins: true });
        edges.push(Edge { at: to, span, begins: false });
    }
}
