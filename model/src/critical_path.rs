//! The critical path: for each span, how long the end of the trace had to wait for it.
//!
//! Walks back from the end: a span waited for the child that ended last before the instant at hand, and was itself at work
//! between that end and the instant. Children that ran beside it on the way were not waited for. The figures of a root and
//! everything below it add up to the root's duration. Never recurses, as traces can be as deep as they are long.
//!
//! Source: CRISP (Zhang et al., USENIX ATC 2022), with children clipped to their parents as clocks and asynchronous work need.

use proto::UnixNanos;

use crate::Trace;
use crate::self_time::Interval;

/// For each node of [`Trace::nodes`], nanoseconds that the end of the trace waited for the node itself, its children apart.
#[must_use]
pub fn critical_nanos(trace: &Trace) -> Vec<i64> {
    let children = Children::of(trace);
    let mut nanos = vec![0_i64; trace.nodes.len()];
    // Stretches to be settled, each with the node that they belong to.
    let mut stack: Vec<(usize, Interval)> = Vec::new();
    let whole = Interval { start: trace.summary.start, end: trace.summary.end };
    // Between roots nothing is known to have been at work.
    let _between_roots = waited_for(trace, &children.tops, whole, &mut stack);
    while let Some((index, stretch)) = stack.pop() {
        nanos[index] += waited_for(trace, children.of_node(index), stretch, &mut stack);
    }
    nanos
}

/// Pushes the children that were waited for within the stretch, each with the stretch in which it was; returns the rest.
fn waited_for(trace: &Trace, by_end: &[usize], stretch: Interval, stack: &mut Vec<(usize, Interval)>) -> i64 {
    let mut own = 0;
    let mut at = stretch.end;
    for &child in by_end {
        let child_interval = trace.nodes[child].interval();
        let end = child_interval.end.min(stretch.end);
        let start = child_interval.start.max(stretch.start);
        if end > at || start >= end {
            continue;
        }
        own += at.nanos_since(end);
        stack.push((child, Interval { start, end }));
        at = start;
    }
    own + at.nanos_since(stretch.start).max(0)
}

/// The children of every node, the last to end first; of two the longer one first.
struct Children {
    tops: Vec<usize>,
    children: Vec<usize>,
    /// Where in `children` those of each node begin.
    first: Vec<usize>,
}

impl Children {
    fn of(trace: &Trace) -> Self {
        let nodes = &trace.nodes;
        let by_end = |indexes: &mut Vec<usize>| {
            let key = |&index: &usize| -> (std::cmp::Reverse<UnixNanos>, UnixNanos, usize) {
                let interval = nodes[index].interval();
                (std::cmp::Reverse(interval.end), interval.start, index)
            };
            indexes.sort_unstable_by_key(key);
        };
        let mut tops: Vec<usize> = (0..nodes.len()).filter(|&index| nodes[index].parent.is_none()).collect();
        by_end(&mut tops);
        let mut below: Vec<usize> = (0..nodes.len()).filter(|&index| nodes[index].parent.is_some()).collect();
        by_end(&mut below);
        // Counting sort by parent keeps the order by end within each.
        let mut first = vec![0; nodes.len() + 1];
        for parent in below.iter().filter_map(|&index| nodes[index].parent) {
            first[parent + 1] += 1;
        }
        for index in 1..first.len() {
            first[index] += first[index - 1];
        }
        let mut children = vec![0; below.len()];
        let mut next = first.clone();
        for index in below {
            if let Some(parent) = nodes[index].parent {
                children[next[parent]] = index;
                next[parent] += 1;
            }
        }
        Self { tops, children, first }
    }

    fn of_node(&self, index: usize) -> &[usize] {
        &self.children[self.first[index]..self.first[index + 1]]
    }
}

#[cfg(test)]
mod tests;
