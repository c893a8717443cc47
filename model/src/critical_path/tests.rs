use proptest::prelude::*;

use super::*;
use crate::fixture::{child, create_instance, span};
use crate::{Span, assemble};

const MS: i64 = 1_000_000;

fn path(spans: Vec<Span>) -> Vec<(String, i64)> {
    let trace = assemble(spans).expect("spans");
    let nanos = critical_nanos(&trace);
    let name = |index: usize| trace.nodes[index].span.as_ref().map_or(String::new(), |span| span.name.clone());
    (0..nanos.len()).map(|index| (name(index), nanos[index])).collect()
}

fn of(path: &[(String, i64)], name: &str) -> i64 {
    path.iter().find(|(of_span, _)| of_span == name).map(|(_, nanos)| *nanos).expect("the span")
}

#[test]
fn what_ran_beside_the_slowest_was_not_waited_for() {
    let path = path(vec![
        span(1, "root", "a", 0, 100),
        child(2, 1, "slow", "a", 10, 80),
        child(3, 1, "fast", "a", 10, 40),
        child(4, 2, "inner", "a", 20, 60),
        child(5, 1, "last", "a", 85, 95),
    ]);
    // root: 95..100, 80..85 and 0..10.
    let expected = [("root", 20), ("slow", 30), ("inner", 40), ("fast", 0), ("last", 10)];
    assert_eq!(path, expected.map(|(name, nanos)| (name.to_owned(), nanos)));
}

#[test]
fn create_instance_waits_for_the_pod() {
    let path = path(create_instance());
    assert_eq!(of(&path, "Wait for Pod ready"), 40_000 * MS);
    assert_eq!(of(&path, "Setup replication"), 30_000 * MS);
    // Replication began at 51.000 s, while the database was still being initialised until 53.022 s: not waited for.
    assert_eq!(of(&path, "Initialize database"), 0);
    assert_eq!(path.iter().map(|(_, nanos)| nanos).sum::<i64>(), 83_500 * MS);
}

#[test]
fn children_outside_of_their_parent_count_within_it_only() {
    let path = path(vec![
        span(1, "root", "a", 100, 200),
        child(2, 1, "early", "a", 50, 120),
        child(3, 1, "asynchronous", "a", 190, 900),
        child(4, 3, "inside", "a", 150, 195),
    ]);
    // The trace ends at 900, and nothing is known of who was at work after the root had ended.
    let expected = [("root", 70), ("early", 20), ("asynchronous", 5), ("inside", 5)];
    assert_eq!(path, expected.map(|(name, nanos)| (name.to_owned(), nanos)));
}

#[test]
fn a_chain_of_100_000_spans_is_walked() {
    let chain = (1..100_000).map(|number| child(number + 1, number, "link", "a", 0, 100));
    let spans = std::iter::once(span(1, "root", "a", 0, 100)).chain(chain).collect();
    assert_eq!(path(spans).last().map(|(_, nanos)| *nanos), Some(100));
}

proptest! {
    #[test]
    fn the_path_below_a_root_takes_as_long_as_the_root(
        shapes in proptest::collection::vec((0_u64..8, 0_i64..100, 0_i64..60), 0..20),
    ) {
        let children = shapes.iter().enumerate().map(|(index, &(parent, start, length))| {
            let number = index as u64 + 2;
            child(number, 1 + parent.min(index as u64), "child", "a", start, start + length)
        });
        let spans: Vec<Span> = std::iter::once(span(1, "root", "a", 20, 120)).chain(children).collect();
        let path = path(spans);
        prop_assert!(path.iter().all(|(_, nanos)| *nanos >= 0));
        prop_assert_eq!(path.iter().map(|(_, nanos)| *nanos).sum::<i64>(), 100);
    }
}
