//! Where the spans of one trace stand: path, self time, critical path. Counts them, or takes them back.
//!
//! The same repairs as [`model::assemble`]'s, on a few numbers per span instead of a tree, because every span received comes
//! through here. What differs: a span without its parent is counted by itself, under [`super::NO_ROOT`], so that where a span counts depends on the
//! spans above it only.
//!
//! **Critical path.** From the end of the topmost span back: it waited for the child that ended last while that ran, and within
//! it the same again; from its start back for the next one. Children that ran beside one on the path were not waited for. What is
//! left is the span's own. All of it together is the duration of the topmost span.

use proto::TraceId;

use super::bones::{self, Bone, Bones, NONE};
use super::table::{PathId, Table};
use super::totals::Counted;

/// Up to so many spans, looking at all of them finds a parent faster than sorting.
const LINEAR_MAX: usize = 16;

/// Room that is used for one trace after the other.
#[derive(Default)]
pub(super) struct Shaper {
    /// Place of the parent, or [`NONE`].
    parents: Vec<u32>,
    /// Where each span counts, once that is known.
    paths: Vec<Option<Place>>,
    /// The walk that came past a span last.
    marks: Vec<u32>,
    by_span: Vec<(u64, u32)>,
    self_nanos: Vec<i64>,
    /// Up to here a span's time is accounted for.
    settled: Vec<i64>,
    critical_nanos: Vec<i64>,
    by_end: Vec<u32>,
    first_child: Vec<u32>,
    next_sibling: Vec<u32>,
    walk: Vec<u32>,
    stack: Vec<(u32, i64, i64)>,
}

/// Where a span counts.
#[derive(Debug, Clone, Copy)]
struct Place {
    path: PathId,
    /// The topmost span above it.
    top: u32,
}

impl Shaper {
    /// Counts the spans of one trace in `table`, or takes them back. `spans` are by start and id, each once; `of` has their
    /// texts, `numbers` what the table calls those.
    pub(super) fn count(
        &mut self,
        table: &mut Table,
        numbers: &mut Texts,
        trace_id: TraceId,
        of: &Bones,
        spans: &[Bone],
        takes_back: bool,
    ) {
        self.find_parents(spans);
        self.find_paths(table, numbers, trace_id, of, spans);
        self.measure(spans);
        for (at, bone) in spans.iter().enumerate() {
            let Some(place) = self.paths[at] else { continue };
            let counted = Counted {
                duration_nanos: duration(bone),
                self_nanos: self.self_nanos[at],
                critical_nanos: self.critical_nanos[at],
                is_error: bone.is_error,
                trace_id,
            };
            let top = &spans[place.top as usize];
            let facts = (top.facts != NONE).then(|| &of.facts[top.facts as usize]);
            let version = facts.map_or(NONE, |facts| numbers.of(table, of, facts.version));
            table.count(place.path, top.start, version, &counted, takes_back);
            if let Some(facts) = facts.filter(|_| place.top as usize == at) {
                for (attribute, value) in (0..).zip(facts.values).filter(|(_, value)| *value != NONE) {
                    let value = numbers.of(table, of, value);
                    table.count_value(place.path, top.start, attribute, value, &counted, takes_back);
                }
            }
        }
    }

    fn find_parents(&mut self, spans: &[Bone]) {
        self.parents.clear();
        if spans.len() <= LINEAR_MAX {
            let find = |bone: &Bone| {
                let found = spans.iter().position(|other| other.span == bone.parent).filter(|_| bone.parent != 0);
                found.map_or(NONE, |at| at as u32)
            };
            self.parents.extend(spans.iter().map(find));
            return;
        }
        self.by_span.clear();
        self.by_span.extend(spans.iter().map(|bone| bone.span).zip(0..));
        self.by_span.sort_unstable();
        for bone in spans {
            let found = self.by_span.binary_search_by_key(&bone.parent, |(span, _)| *span);
            self.parents.push(found.map_or(NONE, |found| self.by_span[found].1));
        }
    }

    /// Finds each span's path from the top down. Parents that lead in a circle are cut above the earliest of it.
    fn find_paths(&mut self, table: &mut Table, numbers: &mut Texts, trace_id: TraceId, of: &Bones, spans: &[Bone]) {
        self.paths.clear();
        self.paths.resize(spans.len(), None);
        self.marks.clear();
        self.marks.resize(spans.len(), 0);
        let mut mark = 0;
        for begin in 0..spans.len() as u32 {
            let mut above = self.walk_up(begin, &mut mark);
            while let Some(at) = self.walk.pop() {
                let bone = &spans[at as usize];
                let (service, name) = (numbers.of(table, of, bone.service), numbers.of(table, of, bone.name));
                let place = match above {
                    Some(Place { path, top }) => Place { path: table.below(path, service, name), top },
                    None if bones::is_root(trace_id, bone.parent) => {
                        Place { path: table.operation(service, name), top: at }
                    }
                    None => {
                        let without_root = table.without_root(service);
                        Place { path: table.below(without_root, service, name), top: at }
                    }
                };
                self.paths[at as usize] = Some(place);
                above = Some(place);
            }
        }
    }

    /// Collects the spans from `begin` up to one whose place is known, which is given, or to the topmost.
    fn walk_up(&mut self, begin: u32, mark: &mut u32) -> Option<Place> {
        loop {
            self.walk.clear();
            *mark += 1;
            let mut at = begin;
            loop {
                if let Some(known) = self.paths[at as usize] {
                    return Some(known);
                }
                if std::mem::replace(&mut self.marks[at as usize], *mark) == *mark {
                    self.cut_circle_through(at);
                    break;
                }
                self.walk.push(at);
                match self.parents[at as usize] {
                    NONE => return None,
                    parent => at = parent,
                }
            }
        }
    }

    fn cut_circle_through(&mut self, member: u32) {
        let (mut earliest, mut at) = (member, self.parents[member as usize]);
        while at != member {
            earliest = earliest.min(at);
            at = self.parents[at as usize];
        }
        self.parents[earliest as usize] = NONE;
    }

    /// Self times and critical paths.
    fn measure(&mut self, spans: &[Bone]) {
        self.self_nanos.clear();
        self.self_nanos.resize(spans.len(), 0);
        self.settled.clear();
        self.settled.extend(spans.iter().map(|bone| bone.start));
        // By start, so that what each child leaves of its parent is settled from the front.
        for (child, parent) in spans.iter().zip(&self.parents).filter(|(_, parent)| **parent != NONE) {
            let parent = *parent as usize;
            let parent_end = end(&spans[parent]);
            let gap_end = child.start.min(parent_end);
            let settled = &mut self.settled[parent];
            if gap_end > *settled {
                self.self_nanos[parent] += gap_end - *settled;
                *settled = gap_end;
            }
            *settled = (*settled).max(end(child).min(parent_end));
        }
        for ((bone, settled), self_nanos) in spans.iter().zip(&self.settled).zip(&mut self.self_nanos) {
            *self_nanos += (end(bone) - settled).max(0);
        }
        self.find_critical_paths(spans);
    }

    fn find_critical_paths(&mut self, spans: &[Bone]) {
        self.critical_nanos.clear();
        self.critical_nanos.resize(spans.len(), 0);
        for chain in [&mut self.first_child, &mut self.next_sibling] {
            chain.clear();
            chain.resize(spans.len(), NONE);
        }
        self.by_end.clear();
        self.by_end.extend(0..spans.len() as u32);
        let by_end = |at: &u32| (end(&spans[*at as usize]), std::cmp::Reverse((spans[*at as usize].start, *at)));
        self.by_end.sort_unstable_by_key(by_end);
        // Each goes before its siblings, so that the latest end comes first, and of two the longer one.
        for at in &self.by_end {
            match self.parents[*at as usize] {
                NONE => self.stack.push((*at, spans[*at as usize].start, end(&spans[*at as usize]))),
                parent => {
                    let first = &mut self.first_child[parent as usize];
                    self.next_sibling[*at as usize] = std::mem::replace(first, *at);
                }
            }
        }
        while let Some((at, from, to)) = self.stack.pop() {
            let mut own_end = to;
            let mut own_nanos = 0;
            let mut child = self.first_child[at as usize];
            while child != NONE && own_end > from {
                let (child_from, child_to) =
                    (spans[child as usize].start.max(from), end(&spans[child as usize]).min(to));
                // What ended after it ran beside it.
                if child_to <= own_end && child_from < child_to {
                    own_nanos += own_end - child_to;
                    self.stack.push((child, child_from, child_to));
                    own_end = child_from;
                }
                child = self.next_sibling[child as usize];
            }
            self.critical_nanos[at as usize] = own_nanos + (own_end - from);
        }
    }
}

/// What a table calls the texts of some [`Bones`].
#[derive(Default)]
pub(super) struct Texts {
    numbers: Vec<u32>,
}

impl Texts {
    fn of(&mut self, table: &mut Table, of: &Bones, text: u32) -> u32 {
        if text == NONE {
            return NONE;
        }
        let at = text as usize;
        if at >= self.numbers.len() {
            self.numbers.resize(of.texts.len().max(at + 1), NONE);
        }
        if self.numbers[at] == NONE {
            self.numbers[at] = table.intern(of.texts.get(text));
        }
        self.numbers[at]
    }
}

const fn end(bone: &Bone) -> i64 {
    if bone.end > bone.start { bone.end } else { bone.start }
}

const fn duration(bone: &Bone) -> i64 {
    end(bone) - bone.start
}
