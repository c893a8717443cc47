//! One group of a report.

use std::borrow::Cow;
use std::collections::BTreeSet;

use proto::UnixNanos;
use serde::Serialize;

use super::options::ReportOptions;
use crate::failover::{FailoverFacts, Measures};
use crate::rules::Phase;
use crate::run::{Outcome, RunRef};
use crate::stats::{Share, nearest_rank, wilson};

/// With fewer values than this, all of them are listed: percentiles of so few say little.
pub const LIST_ALL_BELOW: usize = 20;

/// The longest failovers that a group names.
pub const WORST_MAX: usize = 3;

/// Failovers that have something in common.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// What they have in common, in the order of `group_by`; `None` where it was not told.
    pub key: Vec<Option<String>>,
    /// Whether they were planned.
    pub is_planned: bool,
    /// Finished ones: everything below but `running` is about these.
    pub count: usize,
    /// Those whose root has not been received.
    pub running: usize,
    /// That did what they were for.
    pub success: usize,
    /// That were taken back.
    pub rolled_back: usize,
    /// That failed or were given up.
    pub failed: usize,
    /// That took more than one attempt.
    pub retried: usize,
    /// Whose standby did not come back.
    pub rejoin_failed: usize,
    /// Each measure.
    pub measures: MeasureReport,
    /// Against each bar.
    pub attainment: Vec<Attainment>,
    /// The sum of all times without writes that are known, nanoseconds.
    pub total_unavailable_nanos: i64,
    /// Each phase, in their usual order.
    pub phases: Vec<PhaseReport>,
    /// Wall time of all in which only spans without a phase were active, nanoseconds.
    pub other_nanos: i64,
    /// Wall time of all in which no span was active, nanoseconds.
    pub unattributed_nanos: i64,
    /// The phase that was the longest one most often; of two the one that took more time.
    pub worst_phase_by_count: Option<Phase>,
    /// The phase that took most time of all together.
    pub worst_phase_by_time: Option<Phase>,
    /// The longest without writes, longest first.
    pub worst: Vec<WorstFailover>,
    /// The same group in the period before; `None` when it had no finished failover.
    pub before: Option<Before>,
}

/// What each measure comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MeasureReport {
    /// T7 - T0.
    pub write_unavailable: Distribution,
    /// T1 - T0.
    pub time_to_detect: Distribution,
    /// T2 - T1.
    pub time_to_act: Distribution,
    /// T6 - T2.
    pub execution_time: Distribution,
    /// As clients saw it.
    pub observed_write_gap: Distribution,
    /// T8 - T3.
    pub redundancy_exposure: Distribution,
}

/// Exact order statistics in nanoseconds: nearest rank, so that each is a value that occurred.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Distribution {
    /// Failovers whose value is known.
    pub count: usize,
    /// Median.
    pub p50: Option<i64>,
    /// Not exceeded by 90 %.
    pub p90: Option<i64>,
    /// Not exceeded by 95 %.
    pub p95: Option<i64>,
    /// The largest.
    pub max: Option<i64>,
    /// All of them ascending, when there are fewer than [`LIST_ALL_BELOW`].
    pub all: Option<Vec<i64>>,
}

/// How many failovers were within an objective.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Attainment {
    /// The longest time without writes that is good enough, nanoseconds.
    pub bar_nanos: i64,
    /// Those within it, of all that can be judged. One that failed without writes coming back is not within it; one that did come
    /// back from a fault at an unknown time cannot be judged.
    pub met: Option<Share>,
    /// Distinct instances with a failover beyond it.
    pub instances_in_breach: usize,
}

/// What a phase comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PhaseReport {
    /// Which.
    pub phase: Phase,
    /// Failovers in which it was the longest.
    pub dominated: usize,
    /// Wall time of all together, nanoseconds.
    pub total_nanos: i64,
    /// Per failover, where it took any time.
    pub distribution: Distribution,
}

/// One of the worst.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WorstFailover {
    /// Which.
    pub run: RunRef,
    /// To whom it happened.
    pub instance: Option<String>,
    /// When the operation began.
    pub start: UnixNanos,
    /// How long nobody could write, nanoseconds.
    pub write_unavailable: i64,
    /// What took longest.
    pub dominant: Option<Phase>,
}

/// A group in the period before.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Before {
    /// Finished failovers.
    pub count: usize,
    /// That did what they were for.
    pub success: usize,
    /// T7 - T0.
    pub write_unavailable: Distribution,
    /// Against each bar.
    pub attainment: Vec<Attainment>,
    /// The sum of all times without writes that are known, nanoseconds.
    pub total_unavailable_nanos: i64,
}

pub(super) fn fold(
    key: Vec<Option<Cow<'_, str>>>,
    is_planned: bool,
    now: &[&FailoverFacts],
    before: &[&FailoverFacts],
    options: &ReportOptions,
) -> Group {
    let finished: Vec<&FailoverFacts> = now.iter().copied().filter(|failover| failover.has_ended).collect();
    let phases: Vec<PhaseReport> = Phase::FAILOVER.iter().map(|phase| phase_report(*phase, &finished)).collect();
    let outcomes = |wanted: &[Outcome]| finished.iter().filter(|failover| wanted.contains(&failover.outcome)).count();
    let sum =
        |of: fn(&FailoverFacts) -> i64| finished.iter().fold(0_i64, |sum, failover| sum.saturating_add(of(failover)));
    Group {
        key: key.into_iter().map(|value| value.map(Cow::into_owned)).collect(),
        is_planned,
        count: finished.len(),
        running: now.len() - finished.len(),
        success: outcomes(&[Outcome::Success]),
        rolled_back: outcomes(&[Outcome::RolledBack]),
        failed: outcomes(&[Outcome::Failed, Outcome::Aborted]),
        retried: finished.iter().filter(|failover| failover.attempts > 1).count(),
        rejoin_failed: finished.iter().filter(|failover| failover.timeline.rejoin_failed).count(),
        measures: measure_report(&finished),
        attainment: attainments(&finished, options.bars(is_planned)),
        total_unavailable_nanos: total_unavailable(&finished),
        worst_phase_by_count: worst_phase(&phases, |phase| (phase.dominated as i64, phase.total_nanos)),
        worst_phase_by_time: worst_phase(&phases, |phase| (phase.total_nanos, phase.dominated as i64)),
        phases,
        other_nanos: sum(|failover| failover.phases.other),
        unattributed_nanos: sum(|failover| failover.phases.unattributed),
        worst: worst(&finished),
        before: fold_before(before, options.bars(is_planned)),
    }
}

fn fold_before(before: &[&FailoverFacts], bars: &[i64]) -> Option<Before> {
    let finished: Vec<&FailoverFacts> = before.iter().copied().filter(|failover| failover.has_ended).collect();
    (!finished.is_empty()).then(|| Before {
        count: finished.len(),
        success: finished.iter().filter(|failover| failover.outcome == Outcome::Success).count(),
        write_unavailable: distribution(&finished, |measures| measures.write_unavailable),
        attainment: attainments(&finished, bars),
        total_unavailable_nanos: total_unavailable(&finished),
    })
}

fn measure_report(failovers: &[&FailoverFacts]) -> MeasureReport {
    MeasureReport {
        write_unavailable: distribution(failovers, |measures| measures.write_unavailable),
        time_to_detect: distribution(failovers, |measures| measures.time_to_detect),
        time_to_act: distribution(failovers, |measures| measures.time_to_act),
        execution_time: distribution(failovers, |measures| measures.execution_time),
        observed_write_gap: distribution(failovers, |measures| measures.observed_write_gap),
        redundancy_exposure: distribution(failovers, |measures| measures.redundancy_exposure),
    }
}

fn distribution(failovers: &[&FailoverFacts], measure: fn(&Measures) -> Option<i64>) -> Distribution {
    Distribution::of(failovers.iter().filter_map(|failover| measure(&failover.measures)).collect())
}

impl Distribution {
    /// Of values in any order.
    #[must_use]
    pub fn of(mut values: Vec<i64>) -> Self {
        values.sort_unstable();
        Self {
            count: values.len(),
            p50: nearest_rank(&values, 0.5),
            p90: nearest_rank(&values, 0.9),
            p95: nearest_rank(&values, 0.95),
            max: values.last().copied(),
            all: (values.len() < LIST_ALL_BELOW).then_some(values),
        }
    }
}

/// Of the bars asked for; where none was, of the objective that failovers name themselves, when they agree.
fn attainments(failovers: &[&FailoverFacts], bars: &[i64]) -> Vec<Attainment> {
    if !bars.is_empty() {
        return bars.iter().map(|bar| attainment(failovers, *bar)).collect();
    }
    let told: BTreeSet<i64> = failovers.iter().filter_map(|failover| failover.slo_nanos).collect();
    match told.first() {
        Some(bar) if told.len() == 1 => vec![attainment(failovers, *bar)],
        _ => Vec::new(),
    }
}

fn attainment(failovers: &[&FailoverFacts], bar_nanos: i64) -> Attainment {
    let mut met = 0;
    let mut judged = 0;
    let mut in_breach: BTreeSet<&str> = BTreeSet::new();
    for failover in failovers {
        let Some(is_met) = is_within(failover, bar_nanos) else { continue };
        judged += 1;
        met += u64::from(is_met);
        if !is_met {
            in_breach.extend(failover.subject.instance.as_deref());
        }
    }
    Attainment { bar_nanos, met: wilson(met, judged), instances_in_breach: in_breach.len() }
}

/// `None` when it cannot be judged.
fn is_within(failover: &FailoverFacts, bar_nanos: i64) -> Option<bool> {
    match (failover.measures.write_unavailable, failover.outcome) {
        (Some(nanos), _) => Some(nanos <= bar_nanos),
        (None, Outcome::Failed) if failover.timeline.points.restored.is_none() => Some(false),
        (None, _) => None,
    }
}

fn total_unavailable(failovers: &[&FailoverFacts]) -> i64 {
    let known = failovers.iter().filter_map(|failover| failover.measures.write_unavailable);
    known.fold(0, |sum, nanos| sum.saturating_add(nanos))
}

fn phase_report(phase: Phase, failovers: &[&FailoverFacts]) -> PhaseReport {
    let nanos: Vec<i64> =
        failovers.iter().map(|failover| failover.phases.of(phase)).filter(|nanos| *nanos > 0).collect();
    PhaseReport {
        phase,
        dominated: failovers.iter().filter(|failover| failover.phases.dominant() == Some(phase)).count(),
        total_nanos: nanos.iter().fold(0, |sum, nanos| sum.saturating_add(*nanos)),
        distribution: Distribution::of(nanos),
    }
}

/// The first of those with the highest rank; `None` when no phase took any time.
fn worst_phase(phases: &[PhaseReport], rank: impl Fn(&PhaseReport) -> (i64, i64)) -> Option<Phase> {
    let worst = phases.iter().rev().max_by_key(|phase| rank(phase))?;
    (worst.total_nanos > 0).then_some(worst.phase)
}

fn worst(failovers: &[&FailoverFacts]) -> Vec<WorstFailover> {
    let mut known: Vec<(i64, &FailoverFacts)> =
        failovers.iter().filter_map(|failover| Some((failover.measures.write_unavailable?, *failover))).collect();
    let longest_first =
        |(nanos, failover): &(i64, &FailoverFacts)| (std::cmp::Reverse(*nanos), failover.start, failover.run);
    known.sort_unstable_by_key(longest_first);
    let worst = known.into_iter().take(WORST_MAX).map(|(nanos, failover)| WorstFailover {
        run: failover.run,
        instance: failover.subject.instance.clone(),
        start: failover.start,
        write_unavailable: nanos,
        dominant: failover.phases.dominant(),
    });
    worst.collect()
}
