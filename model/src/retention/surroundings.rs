//! What the conditions ask about other traces: gathered once for all traces of a decision.

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;

use proto::UnixNanos;

use super::{Context, Health, Needs, Policy, StateKey, TraceFacts};
use crate::{ClassSet, OperationClass};

/// How far a failover or another operation reaches as somebody's neighbour: a broken clock that ends one in the year 2262
/// must not keep every health check until then.
pub const EPISODE_NANOS_MAX: i64 = 24 * 3_600 * 1_000_000_000;

/// Traces of an operation among those to be decided, from which on their own percentiles stand in for unknown ones.
pub const PERCENTILE_TRACES_MIN: usize = 100;

/// See the module.
pub(super) struct Surroundings<'a> {
    /// By place of the trace; empty when nobody asks.
    state_changed: Vec<bool>,
    /// Ordered by time and apart from each other, in nanoseconds since the epoch, both ends included.
    episodes: HashMap<(&'a str, OperationClass), Vec<(i64, i64)>>,
    /// Durations in nanoseconds by service and operation, ascending.
    durations: HashMap<(&'a str, &'a str), Vec<i64>>,
    context: &'a Context<'a>,
}

impl<'a> Surroundings<'a> {
    pub(super) fn of(policy: &Policy, traces: &'a [TraceFacts<'a>], context: &'a Context<'a>) -> Self {
        let needs = policy.needs();
        Self {
            state_changed: if needs.last_health { state_changes(traces, context) } else { Vec::new() },
            episodes: episodes(needs, traces, context),
            durations: if needs.latency_percentiles { durations(traces) } else { HashMap::new() },
            context,
        }
    }

    /// Whether the run before this one of the same operation went the other way. Not known is not changed.
    pub(super) fn state_changed(&self, index: usize) -> bool {
        self.state_changed.get(index).copied().unwrap_or(false)
    }

    /// Whether an operation of one of the classes happened to the same instance at most so long before or after the trace.
    /// A trace of such an operation is its own neighbour.
    pub(super) fn has_neighbour(&self, facts: &TraceFacts<'_>, of: ClassSet, window_nanos: i64) -> bool {
        let Some(instance) = facts.instance else {
            return false;
        };
        let from = facts.start.saturating_add(-window_nanos).as_i64();
        let to = facts.end.max(facts.start).saturating_add(window_nanos).as_i64();
        of.iter().any(|class| {
            let episodes = self.episodes.get(&(instance, class)).map_or(&[][..], Vec::as_slice);
            let first = episodes.partition_point(|(_, end)| *end < from);
            episodes.get(first).is_some_and(|(start, _)| *start <= to)
        })
    }

    /// The duration in nanoseconds that so many percent of the trace's operation do not exceed; `None` while too few are known.
    pub(super) fn percentile_nanos(&self, facts: &TraceFacts<'_>, percentile: f64) -> Option<i64> {
        let asked = self.context.latency_percentile.and_then(|ask| ask(facts.service, facts.operation, percentile));
        asked.or_else(|| {
            let durations = self.durations.get(&(facts.service, facts.operation))?;
            let rank = (percentile / 100.0 * durations.len() as f64).ceil() as usize;
            (durations.len() >= PERCENTILE_TRACES_MIN).then(|| durations[rank.clamp(1, durations.len()) - 1])
        })
    }
}

/// For each trace, whether the run before it of the same operation, about the same subject, went the other way. Not known is
/// not changed.
#[must_use]
pub fn state_changes(traces: &[TraceFacts<'_>], context: &Context<'_>) -> Vec<bool> {
    // Where nothing failed nothing changed: few operations are left to be put in order.
    let failed = traces.iter().filter(|facts| facts.has_error()).map(StateKey::of);
    let failing = context.last_health.iter().filter(|(_, health)| **health == Health::Failing).map(|(key, _)| *key);
    let unwell: HashSet<StateKey<'_>, RandomState> = failed.chain(failing).collect();
    if unwell.is_empty() {
        return vec![false; traces.len()];
    }
    let mut order: Vec<usize> =
        (0..traces.len()).filter(|index| unwell.contains(&StateKey::of(&traces[*index]))).collect();
    order.sort_unstable_by_key(|index| {
        let facts = &traces[*index];
        (StateKey::of(facts), facts.start, facts.trace_id)
    });
    let mut changed = vec![false; traces.len()];
    let mut before: Option<(StateKey<'_>, Option<Health>)> = None;
    for index in order {
        let key = StateKey::of(&traces[index]);
        let last = match before {
            Some((of, health)) if of == key => health,
            _ => context.last_health.get(&key).copied(),
        };
        let health = traces[index].health();
        changed[index] = last.is_some_and(|last| last != health);
        before = Some((key, Some(health)));
    }
    changed
}

fn episodes<'a>(
    needs: Needs,
    traces: &[TraceFacts<'a>],
    context: &Context<'a>,
) -> HashMap<(&'a str, OperationClass), Vec<(i64, i64)>> {
    let mut episodes: HashMap<_, Vec<(i64, i64)>> = HashMap::new();
    let mut add = |class, instance, start: UnixNanos, end: UnixNanos| {
        if needs.episodes.contains(class) {
            let end = end.clamp(start, start.saturating_add(EPISODE_NANOS_MAX));
            episodes.entry((instance, class)).or_default().push((start.as_i64(), end.as_i64()));
        }
    };
    for episode in &context.episodes {
        add(episode.class, episode.instance, episode.start, episode.end);
    }
    if needs.episodes != ClassSet::EMPTY {
        for facts in traces {
            if let Some(instance) = facts.instance {
                facts.classes.with(facts.class).iter().for_each(|class| add(class, instance, facts.start, facts.end));
            }
        }
    }
    episodes.values_mut().for_each(join);
    episodes
}

/// Sorts intervals and makes one of those that touch, so that a neighbour is found by search.
fn join(intervals: &mut Vec<(i64, i64)>) {
    intervals.sort_unstable();
    intervals.dedup_by(|later, earlier| {
        let touches = later.0 <= earlier.1;
        if touches {
            earlier.1 = earlier.1.max(later.1);
        }
        touches
    });
}

/// Of traces that no decision was taken on yet: those that were kept are the slow ones.
fn durations<'a>(traces: &[TraceFacts<'a>]) -> HashMap<(&'a str, &'a str), Vec<i64>> {
    let mut durations: HashMap<_, Vec<i64>> = HashMap::new();
    for facts in traces.iter().filter(|facts| !facts.kept_before) {
        durations.entry((facts.service, facts.operation)).or_default().push(facts.duration_nanos());
    }
    durations.values_mut().for_each(|durations| durations.sort_unstable());
    durations
}
