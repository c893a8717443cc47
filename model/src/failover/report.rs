//! The report over many failovers: groups, exact order statistics, attainment, and the period before.
//!
//! Folds [`FailoverFacts`] only, so that ten thousand of them take milliseconds. Planned and unplanned are never in one group:
//! the one is measured from a decision, the other from a fault.

mod group;
mod options;
mod week;

use std::collections::BTreeMap;

use proto::UnixNanos;
use serde::Serialize;

pub use group::{
    Attainment, Before, Distribution, Group, LIST_ALL_BELOW, MeasureReport, PhaseReport, WORST_MAX, WorstFailover,
};
pub use options::{GroupBy, GroupByError, ReportOptions, SLO_BARS_MAX};

use super::facts::FailoverFacts;
use super::timeline::T0Source;
use group::fold;

/// A share of unattributed time above this is told: the phases then say little.
pub const UNATTRIBUTED_SHARE_MAX: f64 = 0.1;

/// What all failovers of a period come to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// When it was made: later spans may change it.
    pub as_of: UnixNanos,
    /// First instant of the period; failovers belong to it by their start.
    pub start: UnixNanos,
    /// First instant after it.
    pub end: UnixNanos,
    /// First instant of the period before, which is as long and ends where this one starts.
    pub before_start: UnixNanos,
    /// What the groups are by.
    pub group_by: Vec<GroupBy>,
    /// How much is known of the failovers.
    pub completeness: Completeness,
    /// By key, unplanned before planned.
    pub groups: Vec<Group>,
}

/// How much is known of the failovers of a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Completeness {
    /// All.
    pub failovers: usize,
    /// Whose root has not been received (yet): in no figure but this one and the groups' `running`.
    pub unfinished: usize,
    /// Finished ones whose T0 is not known, so that the time without writes is not either.
    pub unknown_t0: usize,
    /// Finished ones with more than [`UNATTRIBUTED_SHARE_MAX`] of their time unattributed.
    pub unattributed: usize,
    /// Finished ones by where T0 comes from, in the order of [`T0Source::ALL`].
    pub t0_sources: [usize; T0Source::ALL.len()],
}

/// Groups the failovers that began in the period, and compares with those of the period before. `facts` may hold any others,
/// in any order.
#[must_use]
pub fn report(facts: &[FailoverFacts], options: &ReportOptions) -> Report {
    let length = options.end.nanos_since(options.start).max(0);
    let before_start = options.start.saturating_add(-length);
    let mut completeness = Completeness::default();
    let mut groups: BTreeMap<GroupKey<'_>, Members<'_>> = BTreeMap::new();
    for failover in facts.iter().filter(|failover| (before_start..options.end).contains(&failover.start)) {
        let is_now = failover.start >= options.start;
        if is_now {
            completeness.add(failover);
        }
        let members = groups.entry(GroupKey::of(failover, &options.group_by)).or_default();
        if is_now {
            members.now.push(failover);
        } else {
            members.before.push(failover);
        }
    }
    let groups = groups.into_iter().filter(|(_, members)| !members.now.is_empty());
    let groups = groups.map(|(key, members)| fold(key.values, key.is_planned, &members.now, &members.before, options));
    Report {
        as_of: options.as_of,
        start: options.start,
        end: options.end,
        before_start,
        group_by: options.group_by.clone(),
        completeness,
        groups: groups.collect(),
    }
}

impl Completeness {
    fn add(&mut self, failover: &FailoverFacts) {
        self.failovers += 1;
        if !failover.has_ended {
            self.unfinished += 1;
            return;
        }
        let source = failover.t0_source();
        self.unknown_t0 += usize::from(source == T0Source::Unknown);
        let place = T0Source::ALL.iter().position(|of_all| *of_all == source);
        self.t0_sources[place.unwrap_or(T0Source::ALL.len() - 1)] += 1;
        let total = failover.phases.total();
        let unattributed = failover.phases.unattributed as f64;
        self.unattributed += usize::from(total > 0 && unattributed > UNATTRIBUTED_SHARE_MAX * total as f64);
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct GroupKey<'a> {
    values: Vec<Option<std::borrow::Cow<'a, str>>>,
    is_planned: bool,
}

impl<'a> GroupKey<'a> {
    /// Weeks of the period before have no counterpart in this one, so that a group by week has nothing to compare with.
    fn of(failover: &'a FailoverFacts, group_by: &[GroupBy]) -> Self {
        let values = group_by.iter().map(|by| by.value(failover)).collect();
        Self { values, is_planned: failover.trigger.is_planned() }
    }
}

#[derive(Default)]
struct Members<'a> {
    now: Vec<&'a FailoverFacts>,
    before: Vec<&'a FailoverFacts>,
}
