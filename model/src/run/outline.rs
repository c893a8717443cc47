//! A trace as runs see it: start markers put in the place of what they announce, and what lost its parent put below a root.

use std::collections::HashMap;

use proto::SpanId;

use super::marker::{self, Marker};
use crate::rules::{Mapped, Rules};
use crate::self_time::Interval;
use crate::{Node, Span, Trace};

/// The nodes of a trace that count, with the parents that they most likely have.
pub(super) struct Outline<'a> {
    pub(super) trace: &'a Trace,
    /// What is known of each node; by the places in [`Trace::nodes`], as everything here.
    pub(super) known: Vec<Known<'a>>,
    pub(super) parent: Vec<Option<usize>>,
    /// Every node that counts, after its parent.
    pub(super) order: Vec<usize>,
}

/// What is known of a node.
pub(super) struct Known<'a> {
    /// The span, or the marker that announces it; `None` for a span of which only the id is known.
    pub(super) span: Option<&'a Span>,
    /// What the rules say of it.
    pub(super) mapped: Option<Mapped<'a>>,
    /// It has begun, and as far as is known not ended.
    pub(super) is_pending: bool,
    /// A marker whose message has been taken: counts no more.
    is_spent: bool,
    /// The sender said that it has no parent.
    is_root: bool,
}

impl<'a> Outline<'a> {
    pub(super) fn of(trace: &'a Trace, rules: &'a Rules) -> Self {
        let mut known: Vec<Known<'a>> = trace.nodes.iter().map(|node| Known::of(node, rules)).collect();
        let mut parent: Vec<Option<usize>> = trace.nodes.iter().map(|node| node.parent).collect();
        take_markers(trace, rules, &mut known, &mut parent);
        adopt_orphans(trace, &known, &mut parent);
        let order = order(&known, &mut parent);
        Self { trace, known, parent, order }
    }

    /// The node's stretch of time; empty at the start for one that has not ended.
    pub(super) fn interval(&self, index: usize) -> Interval {
        let node = &self.trace.nodes[index];
        match self.known[index].span {
            Some(span) if self.known[index].is_pending => Interval { start: span.start, end: span.start },
            _ => node.interval(),
        }
    }

    /// The span itself, if it has been received and has ended.
    pub(super) fn ended(&self, index: usize) -> Option<&'a Span> {
        self.known[index].span.filter(|_| !self.known[index].is_pending)
    }
}

impl<'a> Known<'a> {
    fn of(node: &'a Node, rules: &'a Rules) -> Self {
        let span = node.span.as_ref();
        Self {
            span,
            mapped: span.map(|span| rules.map(span)),
            is_pending: false,
            is_spent: false,
            is_root: node.is_root && span.is_some(),
        }
    }

    pub(super) fn is_noise(&self) -> bool {
        self.mapped.as_ref().is_some_and(Mapped::is_noise)
    }
}

fn take_markers<'a>(trace: &'a Trace, rules: &'a Rules, known: &mut [Known<'a>], parent: &mut [Option<usize>]) {
    let markers = trace.nodes.iter().enumerate().filter_map(|(index, node)| {
        let span = node.span.as_ref()?;
        Some((index, span, marker::of(span)?))
    });
    let markers: Vec<(usize, &'a Span, Marker)> = markers.collect();
    if markers.is_empty() {
        return;
    }
    let index_of: HashMap<SpanId, usize> =
        trace.nodes.iter().enumerate().map(|(index, node)| (node.span_id, index)).collect();
    for &(index, span, marker) in &markers {
        let announced_parent = match marker {
            Marker::OfItself => {
                known[index].is_pending = true;
                continue;
            }
            Marker::OfParent { parent } => parent,
        };
        let Some(announced) = parent[index] else { continue };
        known[index].is_spent = true;
        if known[announced].span.is_some() {
            continue;
        }
        known[announced].span = Some(span);
        known[announced].mapped = Some(rules.map(span));
        known[announced].is_pending = true;
        known[announced].is_root = announced_parent.is_none();
        parent[announced] = announced_parent.and_then(|id| index_of.get(&id).copied());
    }
    for (index, _, _) in markers {
        if known[index].is_spent {
            give_children_away(index, parent);
        }
    }
}

/// What stands below a spent marker belongs to what the marker announced.
fn give_children_away(marker: usize, parent: &mut [Option<usize>]) {
    let announced = parent[marker];
    for of_child in parent.iter_mut().filter(|of_child| **of_child == Some(marker)) {
        *of_child = announced;
    }
}

/// A span whose parent was lost is most likely below the root that was active when it began. Where no root was received, all
/// such spans are below the one that is to come.
fn adopt_orphans(trace: &Trace, known: &[Known<'_>], parent: &mut [Option<usize>]) {
    let is_top = |index: &usize| parent[*index].is_none() && !known[*index].is_spent;
    let tops: Vec<usize> = (0..known.len()).filter(is_top).collect();
    let roots: Vec<usize> =
        tops.iter().copied().filter(|&index| known[index].is_root && !known[index].is_noise()).collect();
    let orphans = tops.iter().copied().filter(|&index| trace.nodes[index].span.is_none() && !known[index].is_root);
    let orphans: Vec<usize> = orphans.collect();
    let first_orphan = orphans.first().copied();
    for orphan in orphans {
        let start = trace.nodes[orphan].start;
        let before = |root: &&usize| trace.nodes[**root].start <= start;
        let active = |root: &&usize| before(root) && (known[**root].is_pending || trace.nodes[**root].end >= start);
        let adopter = roots.iter().rfind(active).or_else(|| roots.iter().rfind(before)).or_else(|| roots.first());
        parent[orphan] = adopter.copied().or(first_orphan.filter(|&first| first != orphan));
    }
}

/// Every node that counts, parents first. Parents as told by markers may lead in a circle, which is cut.
fn order(known: &[Known<'_>], parent: &mut [Option<usize>]) -> Vec<usize> {
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); known.len()];
    for (index, of_node) in parent.iter().enumerate() {
        if let Some(above) = of_node
            && !known[index].is_spent
        {
            children[*above].push(index);
        }
    }
    let mut order = Vec::with_capacity(known.len());
    let mut is_placed: Vec<bool> = known.iter().map(|node| node.is_spent).collect();
    let mut stack: Vec<usize> = Vec::new();
    let tops = (0..known.len()).filter(|&index| parent[index].is_none()).collect::<Vec<_>>();
    for top in tops.into_iter().chain(0..known.len()) {
        if is_placed[top] {
            continue;
        }
        parent[top] = None;
        is_placed[top] = true;
        stack.push(top);
        while let Some(index) = stack.pop() {
            order.push(index);
            for &child in children[index].iter().rev() {
                if !std::mem::replace(&mut is_placed[child], true) {
                    stack.push(child);
                }
            }
        }
    }
    order
}
