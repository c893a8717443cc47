//! Which spans of a trace are operations that have runs.

use std::collections::BTreeMap;

use super::outline::{Known, Outline};
use super::part::PartKind;
use super::read;
use crate::rules::Phase;
use crate::{ClassSet, OperationClass};

/// Runs that are told apart within one trace: the first ones.
pub(super) const RUNS_PER_TRACE_MAX: usize = 64;

/// The topmost node of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Top {
    pub(super) index: usize,
    pub(super) class: OperationClass,
    pub(super) kind: PartKind,
}

/// A vote for a run that is to begin at a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// The node is an operation.
    Operation,
    /// Something below the node is a step of an operation; the node is the most that is known of it.
    Around,
}

/// Votes of an attribute against those of names.
const ATTRIBUTE_VOTES: usize = 100;

/// The runs of a trace, in the order of the outline.
pub(super) fn find(outline: &Outline<'_>, classes: ClassSet) -> Vec<Top> {
    let finder = Finder::new(outline, classes);
    let starts = finder.starts();
    finder.tops(&starts)
}

struct Finder<'a> {
    outline: &'a Outline<'a>,
    classes: ClassSet,
    /// The topmost node above each node, or itself.
    top_of: Vec<usize>,
    /// Whether a node above it is noise.
    is_below_noise: Vec<bool>,
    /// The phases of a failover at or below each node, a bit each.
    phases_of: Vec<u32>,
}

impl<'a> Finder<'a> {
    fn new(outline: &'a Outline<'a>, classes: ClassSet) -> Self {
        let count = outline.known.len();
        let mut finder = Self {
            outline,
            classes,
            top_of: (0..count).collect(),
            is_below_noise: vec![false; count],
            phases_of: vec![0; count],
        };
        for &index in &outline.order {
            if let Some(parent) = outline.parent[index] {
                finder.top_of[index] = finder.top_of[parent];
                finder.is_below_noise[index] = finder.is_below_noise[parent] || outline.known[parent].is_noise();
            }
            let mapped = outline.known[index].mapped.as_ref();
            let phase = mapped.and_then(|mapped| mapped.phase(OperationClass::Failover));
            finder.phases_of[index] = phase.map_or(0, bit);
        }
        for &index in outline.order.iter().rev() {
            if let Some(parent) = outline.parent[index] {
                finder.phases_of[parent] |= finder.phases_of[index];
            }
        }
        finder
    }

    /// For each node where a run may begin: how, and its class.
    fn starts(&self) -> Vec<Option<(Start, OperationClass)>> {
        let count = self.outline.known.len();
        let mut starts = vec![None; count];
        let mut votes: BTreeMap<usize, BTreeMap<OperationClass, usize>> = BTreeMap::new();
        let mut enclosing: Vec<Option<usize>> = vec![None; count];
        for &index in &self.outline.order {
            enclosing[index] = self.outline.parent[index].and_then(|parent| enclosing[parent]);
            let Some(class) = self.own_class(index) else { continue };
            let begins = match enclosing[index] {
                Some(top) => starts[top].is_some_and(|(_, around)| self.nests(index, class, top, around)),
                None => match self.place_around(index, class) {
                    Place::Itself => true,
                    Place::Around(around) => {
                        let weight = if self.is_told(index) { ATTRIBUTE_VOTES } else { 1 };
                        *votes.entry(around).or_default().entry(class).or_default() += weight;
                        false
                    }
                    Place::Nowhere => false,
                },
            };
            if begins {
                starts[index] = Some((Start::Operation, class));
                enclosing[index] = Some(index);
            }
        }
        for (index, of_classes) in votes {
            let most = of_classes.into_iter().max_by_key(|(class, votes)| (*votes, std::cmp::Reverse(*class)));
            starts[index] = starts[index].or(most.map(|(class, _)| (Start::Around, class)));
        }
        starts
    }

    /// Carries the votes out: a run begins where it was voted for, unless another of its class is around it.
    fn tops(&self, starts: &[Option<(Start, OperationClass)>]) -> Vec<Top> {
        let mut tops: Vec<Top> = Vec::new();
        let mut enclosing: Vec<ClassSet> = vec![ClassSet::EMPTY; starts.len()];
        for &index in &self.outline.order {
            if let Some(parent) = self.outline.parent[index] {
                enclosing[index] = enclosing[parent];
            }
            let Some((start, class)) = starts[index] else { continue };
            if start == Start::Around && enclosing[index] != ClassSet::EMPTY {
                continue;
            }
            enclosing[index] = enclosing[index].with(class);
            if tops.len() < RUNS_PER_TRACE_MAX {
                tops.push(Top { index, class, kind: self.kind(index, class) });
            }
        }
        tops
    }

    /// The node's own class, if it can have a run.
    fn own_class(&self, index: usize) -> Option<OperationClass> {
        let mapped = self.outline.known[index].mapped.as_ref()?;
        let class = mapped.class().filter(|class| self.classes.contains(*class))?;
        (mapped.has_run() && !mapped.is_noise()).then_some(class)
    }

    /// Whether an attribute tells its class.
    fn is_told(&self, index: usize) -> bool {
        self.outline.known[index].span.is_some_and(read::has_class_attribute)
    }

    fn is_step(&self, index: usize, class: OperationClass) -> bool {
        self.outline.known[index].mapped.as_ref().is_some_and(|mapped| mapped.phase(class).is_some())
    }

    /// Whether a run begins at a node although there is one around it.
    fn nests(&self, index: usize, class: OperationClass, top: usize, around: OperationClass) -> bool {
        if self.is_step(index, class) {
            return false;
        }
        if class == around {
            // One trace id used for two failovers, the second below the first.
            let id = |index: usize| self.outline.known[index].span.and_then(read::failover_id);
            return class == OperationClass::Failover
                && matches!((id(index), id(top)), (Some(inner), Some(outer)) if inner != outer);
        }
        if around != OperationClass::Provisioning {
            return self.is_told(index);
        }
        // Creating an instance sets failover and backups up: only what does it, or says so, is one.
        self.is_told(index) || (class == OperationClass::Failover && self.promotes(index))
    }

    /// Where the run begins of which a node without a run around it is a part.
    fn place_around(&self, index: usize, class: OperationClass) -> Place {
        let is_step = self.is_step(index, class);
        let top = self.top_of[index];
        let root_is_missing = self.outline.known[top].span.is_none();
        if root_is_missing && (is_step || class != OperationClass::Failover) {
            return Place::Around(top);
        }
        match self.outline.parent[index] {
            Some(_) if is_step && self.is_below_noise[index] => Place::Nowhere,
            Some(parent) if is_step => Place::Around(parent),
            _ => Place::Itself,
        }
    }

    fn kind(&self, index: usize, class: OperationClass) -> PartKind {
        let known: &Known<'_> = &self.outline.known[index];
        let is_to_come = known.span.is_none() || known.is_pending;
        if class != OperationClass::Failover || is_to_come {
            return PartKind::Operation;
        }
        let own = known.mapped.as_ref().and_then(|mapped| mapped.phase(class));
        let is_named = known.mapped.as_ref().and_then(|mapped| mapped.class()) == Some(class);
        let follows = matches!(own, Some(Phase::Rejoin | Phase::Verify | Phase::Detect));
        let is_whole = (is_named && own.is_none()) || (!follows && self.promotes(index));
        if is_whole { PartKind::Operation } else { PartKind::Steps }
    }

    /// Whether something is promoted at or below the node, and that is not all that happens.
    fn promotes(&self, top: usize) -> bool {
        let promote = bit(Phase::Promote);
        let phases = self.phases_of[top];
        phases & promote != 0 && phases != promote
    }
}

const fn bit(phase: Phase) -> u32 {
    1 << phase as u32
}

enum Place {
    Itself,
    Around(usize),
    Nowhere,
}
