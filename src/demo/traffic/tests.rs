use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::demo::span::resource_spans;
use prost::Message;
use proto::otlp::trace::v1::TracesData;

const START: UnixNanos = UnixNanos::from_wire(1_763_920_000_000_000_000);
const HOUR: Duration = Duration::from_secs(3600);

fn settings(has_oddities: bool) -> TrafficSettings {
    TrafficSettings { seed: 42, start: START, reference_end: after(START, HOUR), rate: 2.0, has_oddities }
}

/// One hour in steps, as the demo sends its history.
fn history(has_oddities: bool) -> Vec<EmittedSpan> {
    let mut traffic = Traffic::new(&settings(has_oddities));
    let mut spans = Vec::new();
    for minute in 1..=60 {
        spans.extend(traffic.advance_to(after(START, Duration::from_secs(60 * minute))));
    }
    spans
}

/// Spans whose parent is neither there nor the low half of the trace id.
fn orphans(spans: &[EmittedSpan]) -> Vec<&EmittedSpan> {
    let ids: BTreeSet<(&[u8], &[u8])> = spans.iter().map(|s| (&s.span.trace_id[..], &s.span.span_id[..])).collect();
    let is_orphan = |s: &&EmittedSpan| {
        let parent = &s.span.parent_span_id[..];
        !parent.is_empty() && parent != &s.span.trace_id[8..] && !ids.contains(&(&s.span.trace_id[..], parent))
    };
    spans.iter().filter(is_orphan).collect()
}

#[test]
fn the_same_seed_and_start_give_the_same_bytes() {
    let bytes = || TracesData { resource_spans: resource_spans(history(true)) }.encode_to_vec();
    assert_eq!(bytes(), bytes());
}

#[test]
fn another_start_gives_other_traces_but_the_same_references() {
    let trace_ids = |start: UnixNanos| -> BTreeSet<Vec<u8>> {
        let reference_end = after(start, Duration::from_secs(300));
        let settings = TrafficSettings { start, reference_end, ..settings(false) };
        let spans = Traffic::new(&settings).advance_to(reference_end);
        spans.into_iter().map(|emitted| emitted.span.trace_id).collect()
    };
    let (first, second) = (trace_ids(START), trace_ids(after(START, HOUR)));
    let common: BTreeSet<Vec<u8>> = first.intersection(&second).cloned().collect();
    let ids = reference::ReferenceIds::of_seed(42);
    let references = [ids.create_instance, ids.select_user].map(|id| id.as_bytes().to_vec());
    assert_eq!(common, BTreeSet::from(references));
}

#[test]
fn ids_are_valid_and_unique() {
    let spans = history(false);
    let mut seen = BTreeSet::new();
    for EmittedSpan { span, .. } in &spans {
        assert!(span.trace_id.len() == 16 && span.trace_id.iter().any(|byte| *byte != 0));
        assert!(span.span_id.len() == 8 && span.span_id.iter().any(|byte| *byte != 0));
        assert!(seen.insert((&span.trace_id, &span.span_id)), "sent twice: {span:?}");
    }
    assert!(spans.len() > 20_000, "only {} spans in an hour", spans.len());
}

#[test]
fn without_oddities_every_parent_comes_once_everything_has_ended() {
    let mut traffic = Traffic::new(&settings(false));
    let mut spans = traffic.advance_to(after(START, HOUR));
    // What is under way ends without anything new beginning.
    spans.extend(std::mem::take(&mut traffic.waiting).into_iter().map(|Reverse(waiting)| waiting.span));
    assert_eq!(orphans(&spans).len(), 0);
}

#[test]
fn children_lie_within_their_parents_but_for_skewed_clocks() {
    let spans = history(false);
    let by_id: BTreeMap<(&[u8], &[u8]), &EmittedSpan> =
        spans.iter().map(|s| ((&s.span.trace_id[..], &s.span.span_id[..]), s)).collect();
    for child in &spans {
        let Some(parent) = by_id.get(&(&child.span.trace_id[..], &child.span.parent_span_id[..])) else { continue };
        assert!(child.span.start_time_unix_nano <= child.span.end_time_unix_nano, "{}", child.span.name);
        if child.emitter.clock_skew_nanos != parent.emitter.clock_skew_nanos {
            continue;
        }
        let is_inside = parent.span.start_time_unix_nano <= child.span.start_time_unix_nano
            && child.span.end_time_unix_nano <= parent.span.end_time_unix_nano;
        assert!(is_inside, "{} is not within {}", child.span.name, parent.span.name);
    }
}

#[test]
fn oddities_are_there_and_light() {
    let spans = history(true);
    let count = spans.len();
    let orphan_count = orphans(&spans).len();
    assert!(orphan_count > 10 && orphan_count < count / 20, "{orphan_count} orphans among {count} spans");
    let distinct: BTreeSet<_> = spans.iter().map(|s| (&s.span.trace_id, &s.span.span_id)).collect();
    assert!(distinct.len() < count, "no span was sent twice");
    let pg_tracing_roots = spans.iter().filter(|s| s.span.parent_span_id == s.span.trace_id[8..]).count();
    assert!(pg_tracing_roots > 10, "{pg_tracing_roots} pg_tracing roots");
    assert!(spans.iter().any(|s| s.emitter.clock_skew_nanos != 0), "no skewed clock");
}

#[test]
fn nothing_is_sent_before_it_has_ended() {
    let mut traffic = Traffic::new(&settings(true));
    for second in 1..600 {
        let now = after(START, Duration::from_secs(second));
        for emitted in traffic.advance_to(now) {
            let skew = emitted.emitter.clock_skew_nanos;
            assert!(emitted.span.end_time_unix_nano <= now.saturating_add(skew).as_u64(), "{}", emitted.span.name);
        }
    }
    assert!(traffic.waiting_count() > 0, "no operation is under way");
}

#[test]
fn an_hour_shows_every_kind_of_operation() {
    let spans = history(true);
    let names: BTreeSet<&str> = spans.iter().map(|emitted| emitted.span.name.as_str()).collect();
    for name in [
        "CreateInstance",
        "SELECT * FROM users WHERE id = 42",
        "Failover",
        "Switchover",
        "Backup",
        "RestoreInstance",
        "HealthCheck",
        "AgentCommand ReloadConfig",
        "dbaas.agent.v1.Agent/RunCommand",
        "GET /v1/instances/{id}",
        "DatabaseCluster.Reconcile",
        "wal_push",
        "recovery/cycle",
    ] {
        assert!(names.contains(name), "no {name} in {names:?}");
    }
    let has_event = |name: &str| spans.iter().any(|s| s.span.events.iter().any(|event| event.name == name));
    assert!(has_event("starting pg_basebackup") && has_event("backup completed") && has_event("exception"));
    assert!(spans.iter().any(|s| !s.span.links.is_empty()), "no links");
}

#[test]
fn the_spans_of_a_trace_come_from_several_senders() {
    let spans = history(false);
    let mut services: BTreeMap<&[u8], BTreeSet<&str>> = BTreeMap::new();
    for emitted in &spans {
        services.entry(&emitted.span.trace_id).or_default().insert(emitted.emitter.service);
    }
    let several = services.values().filter(|services| services.len() > 1).count();
    assert!(several * 2 > services.len(), "{several} of {} traces", services.len());
}
