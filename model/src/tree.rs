//! The tree that the spans of one trace form, however broken what was received is.
//!
//! Owns the repairs, so that nothing after this module has to think of them:
//! 1. of two spans with one id, the one that ends later is the span;
//! 2. a span is a *root* when its sender gave it no parent, or the low half of the trace id as the parent and no such
//!    span exists (what pg_tracing sends for a statement without a caller);
//! 3. a parent that was named and not received becomes a *placeholder*: its interval is the hull of its children, and it
//!    stands where a root would;
//! 4. parents that lead in a circle are cut above the earliest span of the circle.
//!
//! The result depends on the set of spans only, not on their order. Never recurses: chains of 100,000 spans occur (a
//! backup with a span per file), and a chain is as deep as it is long.

use std::collections::HashMap;

use proto::{SpanId, TraceId, UnixNanos};

use crate::self_time::{Interval, uncovered_nanos};
use crate::{Span, Summary};

/// All that was received of one trace, in tree order.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// Which trace.
    pub trace_id: TraceId,
    /// A span before its children, children and roots by (start, span id).
    pub nodes: Vec<Node>,
    /// What is odd about the trace, in tree order; [`WarningCode::MultipleRoots`] comes first.
    pub warnings: Vec<Warning>,
    /// What a list shows of the trace.
    pub summary: Summary,
}

/// One place in the tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The span's id, or for a placeholder the id that its children name.
    pub span_id: SpanId,
    /// What was received; `None` for a placeholder.
    pub span: Option<Span>,
    /// Where in [`Trace::nodes`] the node above stands; `None` at depth 0.
    pub parent: Option<usize>,
    /// Steps down from the top.
    pub depth: u32,
    /// The sender gave it no parent. A placeholder or the cut end of a cycle stands at depth 0 without being a root.
    pub is_root: bool,
    /// As sent; the earliest child's for a placeholder.
    pub start: UnixNanos,
    /// As sent, so it may lie before the start; the latest child's for a placeholder.
    pub end: UnixNanos,
    /// Wall time that no direct child covers; 0 for a placeholder, of which nothing is known.
    pub self_time_nanos: i64,
    /// What is odd about this span.
    pub warnings: Vec<WarningCode>,
}

impl Node {
    /// Nanoseconds from start to end; 0 when the end lies before the start.
    #[must_use]
    pub fn duration_nanos(&self) -> i64 {
        self.end.nanos_since(self.start).max(0)
    }

    /// Its stretch of time; empty at the start when the end lies before it.
    #[must_use]
    pub fn interval(&self) -> Interval {
        Interval { start: self.start, end: self.end.max(self.start) }
    }
}

/// Something odd, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Warning {
    /// What.
    pub code: WarningCode,
    /// Where; `None` when it is about the whole trace.
    pub span_id: Option<SpanId>,
}

/// What can be odd about a span or a trace. None of it keeps a span from being shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WarningCode {
    /// The span ends before it starts: a clock was set back. Kept as sent, with duration 0.
    EndBeforeStart,
    /// The span begins before its parent began or ends after its parent ended: skewed clocks or asynchronous work.
    OutsideParent,
    /// The span's parents lead back to itself.
    ParentCycle,
    /// The span was named as a parent and not received.
    MissingParent,
    /// Several spans have no parent.
    MultipleRoots,
}

impl WarningCode {
    /// The name in the HTTP API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EndBeforeStart => "end_before_start",
            Self::OutsideParent => "outside_parent",
            Self::ParentCycle => "parent_cycle",
            Self::MissingParent => "missing_parent",
            Self::MultipleRoots => "multiple_roots",
        }
    }

    /// What follows "span 00f067aa0ba902b7 " (or "the trace ") in a sentence.
    #[must_use]
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::EndBeforeStart => "ends before it starts",
            Self::OutsideParent => "begins before its parent began or ends after it ended",
            Self::ParentCycle => "has parents that lead back to itself and is shown without a parent",
            Self::MissingParent => "is named as a parent and was not received",
            Self::MultipleRoots => "has several spans without a parent",
        }
    }
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.span_id {
            Some(span_id) => write!(f, "span {span_id} {}", self.code.explanation()),
            None => write!(f, "the trace {}", self.code.explanation()),
        }
    }
}

/// Puts the spans of one trace into tree order; `None` when there are none.
///
/// The trace's id is that of the first span. O(n log n).
#[must_use]
pub fn assemble(spans: Vec<Span>) -> Option<Trace> {
    let trace_id = spans.first()?.trace_id;
    let mut nodes = without_duplicates(spans);
    link_to_parents(&mut nodes, trace_id.low_half());
    set_placeholder_intervals(&mut nodes);
    cut_cycles(&mut nodes);
    let mut nodes = into_tree_order(nodes);
    set_self_times(&mut nodes);
    flag_odd_times(&mut nodes);

    let warnings = collect_warnings(&nodes);
    let summary = Summary::of(&nodes);
    Some(Trace { trace_id, nodes, warnings, summary })
}

/// A node per span id, in no particular order, not linked yet.
fn without_duplicates(spans: Vec<Span>) -> Vec<Node> {
    let mut index_of: HashMap<SpanId, usize> = HashMap::with_capacity(spans.len());
    let mut nodes: Vec<Node> = Vec::with_capacity(spans.len());
    for span in spans {
        let index = *index_of.entry(span.span_id).or_insert(nodes.len());
        match nodes.get_mut(index) {
            None => nodes.push(Node::of(span)),
            Some(node) if node.span.as_ref().is_none_or(|kept| replaces(&span, kept)) => *node = Node::of(span),
            Some(_) => {}
        }
    }
    nodes
}

/// Whether `new` takes the place of `kept`, which has the same id: the later end wins. The rest of the key only makes the
/// choice independent of the order in which the two came.
fn replaces(new: &Span, kept: &Span) -> bool {
    let key = |span: &Span| (span.end, span.start, span.parent_span_id);
    (key(new), &new.name) > (key(kept), &kept.name)
}

/// Sets `parent` (still by position in `nodes`) and `is_root`, and appends the placeholders.
fn link_to_parents(nodes: &mut Vec<Node>, low_half: Option<SpanId>) {
    let mut index_of: HashMap<SpanId, usize> =
        nodes.iter().enumerate().map(|(index, node)| (node.span_id, index)).collect();
    for index in 0..nodes.len() {
        let named = nodes[index].span.as_ref().and_then(|span| span.parent_span_id);
        let parent = named.and_then(|id| index_of.get(&id).copied());
        nodes[index].parent = match (named, parent) {
            (None, _) => None,
            (Some(_), Some(parent)) => Some(parent),
            (Some(id), None) if Some(id) == low_half => None,
            (Some(id), None) => {
                let placeholder = nodes.len();
                nodes.push(Node::placeholder(id));
                index_of.insert(id, placeholder);
                Some(placeholder)
            }
        };
        nodes[index].is_root = nodes[index].parent.is_none();
    }
}

fn set_placeholder_intervals(nodes: &mut [Node]) {
    for index in 0..nodes.len() {
        let child = nodes[index].interval();
        let Some(parent) = nodes[index].parent.filter(|&parent| nodes[parent].span.is_none()) else {
            continue;
        };
        // A new placeholder is inside out (see `Node::placeholder`), so the first child sets both ends.
        let placeholder = &mut nodes[parent];
        placeholder.start = placeholder.start.min(child.start);
        placeholder.end = placeholder.end.max(child.end);
    }
}

/// Takes the parent away from the earliest span of every cycle.
fn cut_cycles(nodes: &mut [Node]) {
    // Which walk up the tree came past a node first, by the node where the walk began.
    let mut walk_past: Vec<Option<usize>> = vec![None; nodes.len()];
    for walk in 0..nodes.len() {
        let mut at = Some(walk);
        while let Some(index) = at.filter(|&index| walk_past[index].is_none()) {
            walk_past[index] = Some(walk);
            at = nodes[index].parent;
        }
        // A walk that meets itself has gone round; one that meets an earlier walk leads where that one led.
        if let Some(met) = at.filter(|&index| walk_past[index] == Some(walk)) {
            cut_cycle_through(met, nodes);
        }
    }
}

fn cut_cycle_through(member: usize, nodes: &mut [Node]) {
    let mut head = member;
    let mut at = nodes[member].parent;
    while let Some(index) = at.filter(|&index| index != member) {
        if (nodes[index].start, nodes[index].span_id) < (nodes[head].start, nodes[head].span_id) {
            head = index;
        }
        at = nodes[index].parent;
    }
    nodes[head].parent = None;
    nodes[head].warnings.push(WarningCode::ParentCycle);
}

/// Moves the nodes into depth-first preorder, with `depth` set and `parent` pointing into the new order.
fn into_tree_order(nodes: Vec<Node>) -> Vec<Node> {
    let mut by_start: Vec<usize> = (0..nodes.len()).collect();
    by_start.sort_unstable_by_key(|&index| (nodes[index].start, nodes[index].span_id));

    // Chains of siblings: filled from the back, so that each chain runs forward in the order of siblings.
    let mut first_child: Vec<Option<usize>> = vec![None; nodes.len()];
    let mut next_sibling: Vec<Option<usize>> = vec![None; nodes.len()];
    let mut first_top = None;
    for &index in by_start.iter().rev() {
        let head = match nodes[index].parent {
            Some(parent) => &mut first_child[parent],
            None => &mut first_top,
        };
        next_sibling[index] = head.replace(index);
    }

    let mut ordered = Vec::with_capacity(nodes.len());
    let mut taken: Vec<Option<Node>> = nodes.into_iter().map(Some).collect();
    // What is still to be visited: position in the old order, the parent's position in the new order, depth.
    let mut stack: Vec<(usize, Option<usize>, u32)> = first_top.map(|index| (index, None, 0)).into_iter().collect();
    while let Some((index, parent, depth)) = stack.pop() {
        let Some(mut node) = taken[index].take() else {
            continue;
        };
        if let Some(sibling) = next_sibling[index] {
            stack.push((sibling, parent, depth));
        }
        if let Some(child) = first_child[index] {
            stack.push((child, Some(ordered.len()), depth + 1));
        }
        node.parent = parent;
        node.depth = depth;
        ordered.push(node);
    }
    ordered
}

fn set_self_times(nodes: &mut [Node]) {
    // Children grouped by parent: counting sort over the parents' positions.
    let mut group_start = vec![0usize; nodes.len() + 1];
    for parent in nodes.iter().filter_map(|node| node.parent) {
        group_start[parent + 1] += 1;
    }
    for index in 1..group_start.len() {
        group_start[index] += group_start[index - 1];
    }
    let nothing = Interval { start: UnixNanos::ZERO, end: UnixNanos::ZERO };
    let mut children = vec![nothing; group_start[nodes.len()]];
    let mut next_free = group_start.clone();
    for node in nodes.iter() {
        if let Some(parent) = node.parent {
            children[next_free[parent]] = node.interval();
            next_free[parent] += 1;
        }
    }
    for (index, node) in nodes.iter_mut().enumerate() {
        if node.span.is_some() {
            node.self_time_nanos =
                uncovered_nanos(node.interval(), &mut children[group_start[index]..group_start[index + 1]]);
        }
    }
}

fn flag_odd_times(nodes: &mut [Node]) {
    for index in 0..nodes.len() {
        if nodes[index].end < nodes[index].start {
            nodes[index].warnings.push(WarningCode::EndBeforeStart);
        }
        let Some(parent) = nodes[index].parent.map(|parent| nodes[parent].interval()) else {
            continue;
        };
        let child = nodes[index].interval();
        if child.start < parent.start || child.end > parent.end {
            nodes[index].warnings.push(WarningCode::OutsideParent);
        }
    }
}

fn collect_warnings(nodes: &[Node]) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if nodes.iter().filter(|node| node.is_root).count() > 1 {
        warnings.push(Warning { code: WarningCode::MultipleRoots, span_id: None });
    }
    for node in nodes {
        if node.span.is_none() {
            warnings.push(Warning { code: WarningCode::MissingParent, span_id: Some(node.span_id) });
        }
        warnings.extend(node.warnings.iter().map(|&code| Warning { code, span_id: Some(node.span_id) }));
    }
    warnings
}

impl Node {
    fn of(span: Span) -> Self {
        Self {
            span_id: span.span_id,
            parent: None,
            depth: 0,
            is_root: false,
            start: span.start,
            end: span.end,
            self_time_nanos: 0,
            warnings: Vec::new(),
            span: Some(span),
        }
    }

    /// With an interval that is inside out, to be grown around the children; there is at least one.
    fn placeholder(span_id: SpanId) -> Self {
        Self {
            span_id,
            span: None,
            parent: None,
            depth: 0,
            is_root: false,
            start: UnixNanos::MAX,
            end: UnixNanos::ZERO,
            self_time_nanos: 0,
            warnings: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
