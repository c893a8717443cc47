//! Which parts belong to one run.
//!
//! 1. Parts of one class with the same id.
//! 2. Failovers of one instance, without ids that differ, of which one begins within the merge window after the start of another
//!    that is still going on or did not succeed: attempts, or one attempt that two services traced apart.
//! 3. An operation that links to another of its class, without ids that differ.
//! 4. Steps and linked work join the operation that they have an id of or link to, over at most [`LINK_DEPTH_MAX`] links, or
//!    steps of a failover the one that went on in the same instance.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proto::TraceId;

use super::joined::{LINK_DEPTH_MAX, PARTS_MAX, Run};
use super::merge::run_of;
use super::part::{Outcome, PartKind, RunPart};
use super::{RunIdKind, RunKey};
use crate::OperationClass;
use crate::rules::Settings;

/// Puts parts together to runs, earliest first. Depends on the set of parts only. Parts that are only linked work and belong to
/// nothing here make no run.
#[must_use]
pub fn join(parts: Vec<RunPart>, settings: &Settings) -> Vec<Run> {
    let mut parts = parts;
    keep_fullest(&mut parts);
    parts.sort_by(|a, b| order(a).cmp(&order(b)));
    let mut groups = Groups::new(parts.len());
    join_by_id(&parts, &mut groups);
    join_attempts(&parts, settings, &mut groups);
    join_linked_operations(&parts, &mut groups);
    attach(&parts, settings, &mut groups);

    let mut runs: BTreeMap<usize, Vec<RunPart>> = BTreeMap::new();
    let group_of: Vec<usize> = (0..parts.len()).map(|index| groups.find(index)).collect();
    for (part, group) in parts.into_iter().zip(group_of) {
        let members = runs.entry(group).or_default();
        if members.len() < PARTS_MAX {
            members.push(part);
        }
    }
    let mut runs: Vec<Run> = runs.into_values().filter_map(run_of).collect();
    runs.sort_by_key(|run| (run.start, run.reference()));
    runs
}

/// Of several answers about the same topmost span, only the fullest stays.
fn keep_fullest(parts: &mut Vec<RunPart>) {
    let name = |part: &RunPart| (part.trace_id, part.top, part.class);
    parts.sort_by(|a, b| {
        let fullest = (b.has_top, b.span_count, b.last_activity).cmp(&(a.has_top, a.span_count, a.last_activity));
        name(a).cmp(&name(b)).then(fullest)
    });
    parts.dedup_by(|later, earlier| name(later) == name(earlier));
}

/// Operations before what belongs to them, by start. No two parts are equal in it, so the result does not depend on the order in which they
/// came.
fn order(part: &RunPart) -> impl Ord {
    (part.kind, part.start, part.trace_id, part.top, part.class)
}

impl RunPart {
    /// What the part is filed under. Two parts of one run share a key, or each shares one with a third of the run.
    #[must_use]
    pub fn keys(&self, settings: &Settings) -> Vec<RunKey> {
        let ids = self.ids.iter().cloned().map(RunKey::Id);
        let traces = std::iter::once(self.trace_id).chain(self.links.iter().copied()).map(RunKey::Trace);
        let mut keys: Vec<RunKey> = ids.chain(traces).collect();
        if self.class == OperationClass::Failover
            && let Some(instance) = &self.subject.instance
        {
            let width = settings.merge_window_nanos.max(1);
            let first = self.start.as_i64() / width;
            // The stretch in which something else may begin and still belong to it, held to a few windows.
            let last = self.last_activity.as_i64() / width + 1;
            let windows = first..=last.clamp(first + 1, first.saturating_add(WINDOWS_MAX));
            keys.extend(windows.map(|window| RunKey::Instance { instance: instance.clone(), window }));
        }
        keys
    }

    fn has_id_in_conflict_with(&self, other: &Self) -> bool {
        let own = |part: &Self| -> BTreeSet<(RunIdKind, String)> {
            let of_class = part.ids.iter().filter(|id| id.kind.class() == Some(part.class));
            of_class.map(|id| (id.kind, id.value.clone())).collect()
        };
        let (ids, others) = (own(self), own(other));
        !ids.is_empty() && !others.is_empty() && ids.is_disjoint(&others)
    }

    fn is_operation(&self) -> bool {
        self.kind == PartKind::Operation
    }
}

/// Merge windows that a long failover is filed under.
const WINDOWS_MAX: i64 = 8;

/// Disjoint sets of parts, each named by its earliest member.
struct Groups {
    leader: Vec<usize>,
}

impl Groups {
    fn new(count: usize) -> Self {
        Self { leader: (0..count).collect() }
    }

    fn find(&mut self, member: usize) -> usize {
        let mut at = member;
        while self.leader[at] != at {
            self.leader[at] = self.leader[self.leader[at]];
            at = self.leader[at];
        }
        at
    }

    fn unite(&mut self, a: usize, b: usize) {
        let (a, b) = (self.find(a), self.find(b));
        self.leader[a.max(b)] = a.min(b);
    }
}

fn join_by_id(parts: &[RunPart], groups: &mut Groups) {
    let mut first_with: HashMap<(OperationClass, RunIdKind, &str, Option<&str>), usize> = HashMap::new();
    for (index, part) in parts.iter().enumerate() {
        if part.class == OperationClass::Other {
            continue;
        }
        for id in &part.ids {
            // One request may do something to many instances.
            let instance = part.subject.instance.as_deref().filter(|_| id.kind == RunIdKind::Request);
            if id.kind == RunIdKind::Request && instance.is_none() {
                continue;
            }
            let same = *first_with.entry((part.class, id.kind, &id.value, instance)).or_insert(index);
            if !part.has_id_in_conflict_with(&parts[same]) {
                groups.unite(same, index);
            }
        }
    }
}

fn join_attempts(parts: &[RunPart], settings: &Settings, groups: &mut Groups) {
    let mut of_instance: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, part) in parts.iter().enumerate() {
        if part.class == OperationClass::Failover
            && part.is_operation()
            && let Some(instance) = &part.subject.instance
        {
            of_instance.entry(instance).or_default().push(index);
        }
    }
    for failovers in of_instance.values() {
        for pair in failovers.windows(2) {
            if are_attempts(&parts[pair[0]], &parts[pair[1]], settings) {
                groups.unite(pair[0], pair[1]);
            }
        }
    }
}

/// Whether `next`, which begins later, is another attempt of what `earlier` tried.
fn are_attempts(earlier: &RunPart, next: &RunPart, settings: &Settings) -> bool {
    if earlier.has_id_in_conflict_with(next) || earlier.trigger.is_planned() != next.trigger.is_planned() {
        return false;
    }
    let overlap = earlier.end.is_some_and(|end| next.start < end);
    let is_close = next.start.nanos_since(earlier.start) < settings.merge_window_nanos;
    is_close && (overlap || earlier.outcome != Outcome::Success)
}

fn join_linked_operations(parts: &[RunPart], groups: &mut Groups) {
    let of_trace = by_trace(parts);
    for (index, part) in parts.iter().enumerate().filter(|(_, part)| part.is_operation()) {
        for trace_id in &part.links {
            let linked = of_trace.get(trace_id).into_iter().flatten().copied();
            let fits = |&other: &usize| {
                parts[other].is_operation()
                    && parts[other].class == part.class
                    && !part.has_id_in_conflict_with(&parts[other])
            };
            if let Some(other) = nearest(parts, part, linked.filter(fits)) {
                groups.unite(index, other);
            }
        }
    }
}

fn by_trace(parts: &[RunPart]) -> HashMap<TraceId, Vec<usize>> {
    let mut of_trace: HashMap<TraceId, Vec<usize>> = HashMap::new();
    for (index, part) in parts.iter().enumerate() {
        of_trace.entry(part.trace_id).or_default().push(index);
    }
    of_trace
}

/// Of several runs in one trace, the last that began before the part, else the first.
fn nearest(parts: &[RunPart], part: &RunPart, candidates: impl Iterator<Item = usize>) -> Option<usize> {
    let candidates: Vec<usize> = candidates.collect();
    let before = candidates.iter().copied().filter(|&other| parts[other].start <= part.start);
    before.max_by_key(|&other| (parts[other].start, std::cmp::Reverse(other))).or_else(|| candidates.first().copied())
}

/// Lets steps and linked work join operations: over ids, then over links, then by instance and time.
fn attach(parts: &[RunPart], settings: &Settings, groups: &mut Groups) {
    let mut depth: Vec<Option<usize>> = parts.iter().map(|part| part.is_operation().then_some(0)).collect();
    attach_by_id(parts, groups, &mut depth);
    attach_by_links(parts, groups, &mut depth);
    attach_by_instance(parts, settings, groups, &depth);
}

fn attach_by_id(parts: &[RunPart], groups: &mut Groups, depth: &mut [Option<usize>]) {
    let mut with_id: HashMap<(RunIdKind, &str), Vec<usize>> = HashMap::new();
    for (index, part) in parts.iter().enumerate().filter(|(_, part)| part.is_operation()) {
        for id in part.ids.iter().filter(|id| id.kind != RunIdKind::Request) {
            with_id.entry((id.kind, &id.value)).or_default().push(index);
        }
    }
    for (index, part) in parts.iter().enumerate() {
        for id in &part.ids {
            if depth[index].is_some() {
                break;
            }
            let owners = with_id.get(&(id.kind, id.value.as_str())).into_iter().flatten().copied();
            let fits = owners.filter(|&owner| can_attach(part, &parts[owner]));
            if let Some(owner) = nearest(parts, part, fits) {
                groups.unite(owner, index);
                depth[index] = Some(0);
            }
        }
    }
}

fn can_attach(part: &RunPart, to: &RunPart) -> bool {
    part.class == to.class || part.class == OperationClass::Other || to.class == OperationClass::Other
}

/// Links lead both ways, one more step in every round.
fn attach_by_links(parts: &[RunPart], groups: &mut Groups, depth: &mut [Option<usize>]) {
    let of_trace = by_trace(parts);
    let mut linking_to: HashMap<TraceId, Vec<usize>> = HashMap::new();
    for (index, part) in parts.iter().enumerate() {
        for trace_id in &part.links {
            linking_to.entry(*trace_id).or_default().push(index);
        }
    }
    for round in 1..=LINK_DEPTH_MAX {
        let mut found: Vec<(usize, usize)> = Vec::new();
        for (index, part) in parts.iter().enumerate().filter(|(index, _)| depth[*index].is_none()) {
            let forward = part.links.iter().filter_map(|trace_id| of_trace.get(trace_id)).flatten();
            let backward = linking_to.get(&part.trace_id).into_iter().flatten();
            let reached = forward.chain(backward).copied().filter(|&other| {
                other != index && depth[other].is_some_and(|depth| depth < round) && can_attach(part, &parts[other])
            });
            if let Some(other) = nearest(parts, part, reached) {
                found.push((index, other));
            }
        }
        for (index, other) in found {
            groups.unite(other, index);
            depth[index] = Some(round);
        }
    }
}

fn attach_by_instance(parts: &[RunPart], settings: &Settings, groups: &mut Groups, depth: &[Option<usize>]) {
    let mut of_instance: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, part) in parts.iter().enumerate() {
        if part.is_operation()
            && part.class == OperationClass::Failover
            && let Some(instance) = &part.subject.instance
        {
            of_instance.entry(instance).or_default().push(index);
        }
    }
    for (index, part) in parts.iter().enumerate() {
        if depth[index].is_some() || part.kind != PartKind::Steps {
            continue;
        }
        let Some(failovers) = part.subject.instance.as_deref().and_then(|instance| of_instance.get(instance)) else {
            continue;
        };
        let fits = failovers.iter().copied().filter(|&failover| {
            let failover = &parts[failover];
            let until = failover.last_activity.saturating_add(settings.merge_window_nanos);
            !part.has_id_in_conflict_with(failover) && (failover.start..=until).contains(&part.start)
        });
        if let Some(failover) = nearest(parts, part, fits) {
            groups.unite(failover, index);
        }
    }
}
