use std::collections::BTreeSet;

use proto::otlp::trace::v1::status::StatusCode;

use super::*;
use crate::demo::fleet::INSTANCE_COUNT;
use crate::demo::span::EmittedSpan;

const START: UnixNanos = UnixNanos::from_wire(1_763_920_000_000_000_000);

fn many(operation: fn(&mut Scene<'_>) -> Vec<EmittedSpan>, count: usize) -> Vec<Vec<EmittedSpan>> {
    let fleet = Fleet::new(1, INSTANCE_COUNT);
    let mut dice = Dice::new(1, "operations");
    (0..count).map(|_| operation(&mut Scene { fleet: &fleet, dice: &mut dice, start: START })).collect()
}

fn duration_ms(spans: &[EmittedSpan]) -> f64 {
    let start = spans.iter().map(|s| s.span.start_time_unix_nano).min().expect("spans");
    let end = spans.iter().map(|s| s.span.end_time_unix_nano).max().expect("spans");
    (end - start) as f64 / 1e6
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn has_error(spans: &[EmittedSpan]) -> bool {
    spans.iter().any(|s| s.span.status.as_ref().is_some_and(|status| status.code == StatusCode::Error as i32))
}

fn phases(spans: &[EmittedSpan]) -> BTreeSet<String> {
    let attributes = spans.iter().flat_map(|s| &s.span.attributes);
    attributes
        .filter(|kv| kv.key == "dbaas.failover.phase")
        .map(|kv| format!("{:?}", kv.value.as_ref().and_then(|value| value.value.as_ref())))
        .collect()
}

#[test]
fn medians_are_those_of_the_model() {
    let sql = median(many(sql::statement, 2_000).iter().map(|spans| duration_ms(spans)).collect());
    assert!((3.0..6.0).contains(&sql), "a statement takes {sql} ms");
    let create = median(many(provisioning::create_instance, 500).iter().map(|spans| duration_ms(spans)).collect());
    assert!((70_000.0..100_000.0).contains(&create), "creating takes {create} ms");
    let health = median(many(health::check, 1_000).iter().map(|spans| duration_ms(spans)).collect());
    assert!((3.0..15.0).contains(&health), "a check takes {health} ms");
}

#[test]
fn failovers_have_their_phases_and_outcomes() {
    let planned = many(failover::planned, 200);
    let complete = planned.iter().filter(|spans| phases(spans).len() == 7).count();
    assert!(complete > 150, "only {complete} of 200 show all phases but detection");
    let failed = planned.iter().filter(|spans| has_error(spans)).count();
    assert!((10..120).contains(&failed), "{failed} of 200 have an error");
    let unplanned = many(failover::unplanned, 200);
    assert!(unplanned.iter().any(|spans| phases(spans).len() == 8), "none shows its detection");
    assert!(unplanned.iter().any(|spans| spans.iter().any(|s| s.span.name == "consensus/pg-promote")));
    let health_checks = unplanned.iter().filter(|spans| spans.iter().any(|s| s.span.name == "HealthCheck")).count();
    assert!(health_checks > 150, "{health_checks} of 200 follow failing health checks");
}

#[test]
fn errors_are_recorded_with_an_exception() {
    let agents = many(agent::command, 2_000);
    let failed: Vec<_> = agents.iter().filter(|spans| has_error(spans)).collect();
    assert!((5..60).contains(&failed.len()), "{} of 2000 commands failed", failed.len());
    for spans in failed {
        assert!(spans.iter().any(|s| s.span.events.iter().any(|event| event.name == "exception")));
    }
}

#[test]
fn a_failed_creation_ends_at_its_failed_step() {
    // The reconcile that follows can fail on its own; the root is the first span.
    let is_failed = |spans: &Vec<EmittedSpan>| has_error(&spans[..1]);
    let failed: Vec<_> = many(provisioning::create_instance, 300).into_iter().filter(is_failed).collect();
    assert!(failed.len() > 10, "{} of 300 failed", failed.len());
    for spans in failed {
        assert!(spans.iter().all(|s| s.span.name != "Register endpoints"), "went on after its failure");
    }
}

#[test]
fn losing_a_span_leaves_an_orphan() {
    let fleet = Fleet::new(1, INSTANCE_COUNT);
    let mut dice = Dice::new(1, "oddity");
    let mut shorter = 0;
    for _ in 0..2_000 {
        let mut scene = Scene { fleet: &fleet, dice: &mut dice, start: START };
        let mut spans = sql::statement(&mut scene);
        let count = spans.len();
        oddity::afflict(&mut scene, &mut spans);
        shorter += usize::from(spans.len() < count);
    }
    assert!((1..40).contains(&shorter), "{shorter} of 2000 traces lost a span");
}
