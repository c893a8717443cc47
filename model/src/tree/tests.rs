use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::fixture::{EPOCH_NANOS, TRACE_ID, child, create_instance, select_users, span, span_id, trace_id};
use crate::{ServiceShare, StatusCode};

const MS: i64 = 1_000_000;
const US: i64 = 1_000;

fn assembled(spans: Vec<Span>) -> Trace {
    assemble(spans).expect("there are spans")
}

/// Depth, name (empty for a placeholder), duration and self time of every node.
fn lines(trace: &Trace) -> Vec<(u32, &str, i64, i64)> {
    trace.nodes.iter().map(|node| (node.depth, name(node), node.duration_nanos(), node.self_time_nanos)).collect()
}

fn name(node: &Node) -> &str {
    node.span.as_ref().map_or("", |span| span.name.as_str())
}

fn share(name: &str, span_count: usize, self_time_nanos: i64) -> ServiceShare {
    ServiceShare { name: name.to_owned(), span_count, self_time_nanos }
}

#[test]
fn no_spans_are_no_trace() {
    assert_eq!(assemble(Vec::new()), None);
}

#[test]
fn create_instance_step_by_step() {
    let mut spans = create_instance();
    spans.reverse();
    let trace = assembled(spans);
    assert_eq!(
        lines(&trace),
        [
            (0, "CreateInstance", 83_500 * MS, 500 * MS),
            (1, "API validation", 2 * MS, 2 * MS),
            (1, "Quota check", 5 * MS, 5 * MS),
            (1, "Schedule placement", 15 * MS, 15 * MS),
            (1, "Allocate resources", 45_000 * MS, 0),
            (2, "Create PVC", 3_000 * MS, 3_000 * MS),
            (2, "Create StatefulSet", 2_000 * MS, 2_000 * MS),
            (2, "Wait for Pod ready", 40_000 * MS, 40_000 * MS),
            (1, "Initialize database", 8_000 * MS, 3_500 * MS),
            (2, "initdb", 3_000 * MS, 3_000 * MS),
            (2, "Apply config", 1_000 * MS, 1_000 * MS),
            (2, "Create users", 500 * MS, 500 * MS),
            (1, "Setup replication", 30_000 * MS, 30_000 * MS),
            (1, "Register endpoints", 2_000 * MS, 2_000 * MS),
        ]
    );
    let steps: i64 = trace.nodes.iter().filter(|node| node.depth == 1).map(Node::duration_nanos).sum();
    assert_eq!(steps, 85_022 * MS, "the steps overlap");
    assert_eq!(trace.warnings, []);
    let summary = &trace.summary;
    assert_eq!(summary.root, Some(0));
    assert_eq!((summary.span_count, summary.error_count), (14, 0));
    assert_eq!(summary.duration_nanos(), 83_500 * MS);
    assert_eq!(
        summary.services,
        [
            share("provisioner", 4, 45_000 * MS),
            share("agent", 5, 38_000 * MS),
            share("control-api", 4, 2_507 * MS),
            share("scheduler", 1, 15 * MS),
        ]
    );
}

#[test]
fn select_step_by_step() {
    let trace = assembled(select_users());
    assert_eq!(
        lines(&trace),
        [
            (0, "SELECT * FROM users WHERE id = 42", 4_800 * US, 0),
            (1, "Connection pool acquire", 1_000 * US, 1_000 * US),
            (1, "Proxy routing", 500 * US, 500 * US),
            (1, "PostgreSQL query execution", 3_000 * US, 0),
            (2, "Parse", 100 * US, 100 * US),
            (2, "Plan", 500 * US, 500 * US),
            (2, "Execute", 2_400 * US, 2_400 * US),
            (1, "Result transmission", 300 * US, 300 * US),
        ]
    );
}

#[test]
fn missing_parent_is_the_hull_of_its_children_and_no_root() {
    let trace = assembled(vec![
        child(3, 9, "late", "agent", 30, 90),
        child(2, 9, "early", "agent", 10, 20),
        child(4, 2, "inner", "agent", 12, 15),
    ]);
    assert_eq!(lines(&trace), [(0, "", 80, 0), (1, "early", 10, 7), (2, "inner", 3, 3), (1, "late", 60, 60)]);
    let placeholder = &trace.nodes[0];
    assert_eq!((placeholder.span_id, placeholder.is_root), (span_id(9), false));
    assert_eq!(placeholder.start.as_i64(), EPOCH_NANOS + 10);
    assert_eq!(trace.warnings, [Warning { code: WarningCode::MissingParent, span_id: Some(span_id(9)) }]);
    assert_eq!(trace.warnings[0].to_string(), "span 0000000000000009 is named as a parent and was not received");
    assert!(!trace.summary.is_complete());
    assert_eq!(trace.summary.span_count, 3);
}

#[test]
fn placeholders_stand_among_the_roots() {
    let trace = assembled(vec![
        span(1, "second", "a", 50, 60),
        child(2, 8, "first", "a", 20, 30),
        child(3, 9, "third", "a", 70, 80),
    ]);
    let names: Vec<&str> = lines(&trace).iter().map(|line| line.1).collect();
    assert_eq!(names, ["", "first", "second", "", "third"]);
    assert_eq!(trace.summary.root, Some(2), "a placeholder is no root");
}

#[test]
fn low_half_of_the_trace_id_as_parent_is_no_parent() {
    let low_half = trace_id().low_half().expect("not zero");
    let orphan = Span { parent_span_id: Some(low_half), ..span(1, "Select query", "postgres", 0, 10) };
    let trace = assembled(vec![orphan.clone()]);
    assert_eq!(lines(&trace), [(0, "Select query", 10, 10)]);
    assert!(trace.summary.is_complete() && trace.warnings.is_empty());

    let caller = Span { span_id: low_half, ..span(2, "caller", "app", 0, 20) };
    let trace = assembled(vec![orphan, caller]);
    assert_eq!(lines(&trace), [(0, "caller", 20, 10), (1, "Select query", 10, 10)], "a span of that id is a parent");
    assert_eq!(TRACE_ID[8..], *low_half.as_bytes());
}

#[test]
fn cycles_are_cut_above_their_earliest_span() {
    let trace = assembled(vec![
        child(1, 3, "c1", "a", 20, 30),
        child(2, 1, "c2", "a", 10, 40),
        child(3, 2, "c3", "a", 15, 35),
        child(4, 3, "hangs on", "a", 16, 17),
        child(5, 5, "own parent", "a", 0, 1),
    ]);
    let names: Vec<(u32, &str)> = lines(&trace).iter().map(|line| (line.0, line.1)).collect();
    assert_eq!(names, [(0, "own parent"), (0, "c2"), (1, "c3"), (2, "hangs on"), (2, "c1")]);
    let cycles: Vec<Option<SpanId>> = trace
        .warnings
        .iter()
        .filter(|warning| warning.code == WarningCode::ParentCycle)
        .map(|warning| warning.span_id)
        .collect();
    assert_eq!(cycles, [Some(span_id(5)), Some(span_id(2))]);
    assert!(!trace.summary.is_complete(), "no sender said that one of them has no parent");
}

#[test]
fn of_two_spans_with_one_id_the_later_end_wins() {
    let pending = span(1, "Backup", "agent", 0, 5);
    let done = Span { status: StatusCode::Error, ..span(1, "Backup", "agent", 0, 50) };
    for spans in [vec![pending.clone(), done.clone()], vec![done, pending]] {
        let trace = assembled(spans);
        assert_eq!(lines(&trace), [(0, "Backup", 50, 50)]);
        assert_eq!((trace.summary.span_count, trace.summary.error_count), (1, 1));
    }
}

#[test]
fn odd_times_are_kept_and_flagged() {
    let trace = assembled(vec![
        span(1, "root", "a", 100, 200),
        child(2, 1, "inside", "a", 100, 200),
        child(3, 1, "before", "a", 50, 120),
        child(4, 1, "after", "a", 150, 250),
        child(5, 1, "backwards", "a", 160, 130),
    ]);
    let flags: Vec<(&str, &[WarningCode])> =
        trace.nodes.iter().map(|node| (name(node), node.warnings.as_slice())).collect();
    assert_eq!(
        flags,
        [
            ("root", [].as_slice()),
            ("before", &[WarningCode::OutsideParent]),
            ("inside", &[]),
            ("after", &[WarningCode::OutsideParent]),
            ("backwards", &[WarningCode::EndBeforeStart]),
        ]
    );
    assert_eq!(trace.nodes[4].duration_nanos(), 0);
    assert_eq!(trace.summary.duration_nanos(), 200, "the hull of all spans, not the root's");
    assert_eq!(trace.warnings.len(), 3);
}

#[test]
fn several_roots_are_told_once() {
    let trace = assembled(vec![span(1, "late", "a", 10, 20), span(2, "early", "a", 0, 5)]);
    assert_eq!(trace.warnings, [Warning { code: WarningCode::MultipleRoots, span_id: None }]);
    assert_eq!(trace.summary.root.map(|root| name(&trace.nodes[root])), Some("early"));
}

#[test]
fn a_chain_of_100_000_spans() {
    const LENGTH: u64 = 100_000;
    let mut spans: Vec<Span> =
        (2..=LENGTH).map(|number| child(number, number - 1, "step", "agent", number as i64, 300_000)).collect();
    spans.push(span(1, "first", "agent", 0, 300_000));
    let trace = assembled(spans);
    assert_eq!(trace.nodes.len() as u64, LENGTH);
    assert!(trace.nodes.iter().enumerate().all(|(index, node)| node.depth as usize == index));
    assert_eq!(trace.nodes[1].self_time_nanos, 1);
}

#[test]
fn a_cycle_of_100_000_spans() {
    const LENGTH: u64 = 100_000;
    let spans =
        (0..LENGTH).map(|at| child(at + 1, (at + 1) % LENGTH + 1, "step", "agent", at as i64, 300_000)).collect();
    let trace = assembled(spans);
    assert_eq!((trace.nodes.len() as u64, trace.warnings[0].code), (LENGTH, WarningCode::ParentCycle));
    assert_eq!(trace.nodes[0].span_id, span_id(1));
}

#[test]
fn a_star_of_100_000_spans_and_all_orphaned() {
    const COUNT: u64 = 100_000;
    let star: Vec<Span> = (2..COUNT + 2).map(|n| child(n, 1, "file", "agent", n as i64, n as i64 + 1)).collect();
    let trace = assembled(star);
    assert_eq!((trace.nodes.len() as u64, trace.summary.span_count as u64), (COUNT + 1, COUNT));

    let orphans: Vec<Span> =
        (1..=COUNT).map(|n| child(n, n + 1_000_000, "file", "agent", n as i64, n as i64)).collect();
    let trace = assembled(orphans);
    assert_eq!(trace.nodes.len() as u64, 2 * COUNT);
    assert_eq!(trace.warnings.len() as u64, COUNT);
}

#[test]
fn times_at_both_ends_do_not_wrap() {
    let whole = Span { start: UnixNanos::ZERO, end: UnixNanos::MAX, ..span(1, "whole", "a", 0, 0) };
    let backwards = Span { start: UnixNanos::MAX, end: UnixNanos::ZERO, ..child(2, 1, "backwards", "a", 0, 0) };
    let orphan = Span { start: UnixNanos::MAX, end: UnixNanos::MAX, ..child(3, 9, "orphan", "a", 0, 0) };
    let unset = Span { start: UnixNanos::ZERO, end: UnixNanos::ZERO, ..child(4, 9, "unset", "a", 0, 0) };
    let trace = assembled(vec![whole, backwards, orphan, unset]);
    let all = i64::MAX;
    assert_eq!(
        lines(&trace),
        [(0, "whole", all, all), (1, "backwards", 0, 0), (0, "", all, 0), (1, "unset", 0, 0), (1, "orphan", 0, 0)]
    );
    assert_eq!(trace.summary.services, [share("a", 4, all)]);
}

prop_compose! {
    /// Few ids, so that parents are found, missing, shared and circular; few instants, so that times collide.
    fn any_spans()(parts in prop::collection::vec(
        (1u64..24, prop::option::of(1u64..32), 0i64..40, 0i64..40, 0usize..3), 1..40,
    )) -> Vec<Span> {
        parts.into_iter().map(|(number, parent, start, end, service)| {
            let service = ["a", "b", "c"][service];
            // 31 stands for pg_tracing's way of naming no parent.
            let parent_span_id = match parent {
                Some(31) => trace_id().low_half(),
                other => other.map(span_id),
            };
            Span { parent_span_id, ..span(number, "step", service, start, end) }
        }).collect()
    }
}

fn shuffled_spans() -> impl Strategy<Value = (Vec<Span>, Vec<Span>)> {
    any_spans().prop_flat_map(|spans| (Just(spans.clone()), Just(spans).prop_shuffle()))
}

proptest! {
    #[test]
    fn every_span_stands_in_the_tree_once(spans in any_spans()) {
        let ids: HashSet<SpanId> = spans.iter().map(|span| span.span_id).collect();
        let trace = assembled(spans);
        let placed: Vec<SpanId> = trace.nodes.iter().filter(|node| node.span.is_some()).map(|node| node.span_id).collect();
        prop_assert_eq!(placed.len(), ids.len());
        prop_assert_eq!(placed.iter().copied().collect::<HashSet<_>>(), ids);
        prop_assert_eq!(trace.summary.span_count, placed.len());
    }

    #[test]
    fn self_time_is_within_the_duration(spans in any_spans()) {
        for node in assembled(spans).nodes {
            prop_assert!((0..=node.duration_nanos()).contains(&node.self_time_nanos));
        }
    }

    #[test]
    fn tree_order_holds(spans in any_spans()) {
        let nodes = assembled(spans).nodes;
        for (index, node) in nodes.iter().enumerate() {
            match node.parent {
                None => prop_assert_eq!(node.depth, 0),
                Some(parent) => {
                    prop_assert!(parent < index);
                    prop_assert_eq!(node.depth, nodes[parent].depth + 1);
                    // Everything between a node and its parent is below that parent.
                    prop_assert!(nodes[parent + 1..index].iter().all(|between| between.depth >= node.depth));
                }
            }
            let earlier_sibling = nodes[..index].iter().rev().find(|other| other.parent == node.parent);
            if let Some(sibling) = earlier_sibling {
                prop_assert!((sibling.start, sibling.span_id) < (node.start, node.span_id));
            }
        }
    }

    #[test]
    fn the_order_of_arrival_does_not_matter((spans, shuffled) in shuffled_spans()) {
        // Services are left out of it: two copies of a span that differ in nothing but the resource are told apart by none.
        let same_service = |spans: Vec<Span>| {
            let service = span(1, "", "one", 0, 0).resource;
            spans.into_iter().map(|span| Span { resource: service.clone(), ..span }).collect()
        };
        prop_assert_eq!(assembled(same_service(spans)), assembled(same_service(shuffled)));
    }
}
