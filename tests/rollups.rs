use std::collections::BTreeMap;

use proto::UnixNanos;
use proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use serde_json::Value;
use spanhold::demo::span::{EmittedSpan, resource_spans};
use spanhold::demo::traffic::{Traffic, TrafficSettings};

use crate::harness::{Server, nanos};

/// A minute of a platform with about 1,700 spans a second.
const SPANS: usize = 100_000;
const TRACES_PER_SEC: f64 = 280.0;
/// 2026-11-23T20:00:00Z.
const START: UnixNanos = UnixNanos::from_i64(1_795_464_000_000_000_000);

fn demo_spans() -> Vec<EmittedSpan> {
    let mut traffic = Traffic::new(&TrafficSettings {
        seed: 5,
        start: START,
        reference_end: START.saturating_add(60_000_000_000),
        rate: TRACES_PER_SEC,
        has_oddities: false,
    });
    let mut spans = Vec::new();
    while spans.len() < SPANS {
        spans.extend(traffic.next_operation());
    }
    spans
}

/// Durations, in ascending order, and errors, by service and name.
fn expected(spans: &[EmittedSpan], root_only: bool) -> BTreeMap<(String, String), (Vec<i64>, u64)> {
    let mut expected: BTreeMap<(String, String), (Vec<i64>, u64)> = BTreeMap::new();
    for EmittedSpan { emitter, span, .. } in spans {
        // pg_tracing sends the low half of the trace id as the parent of a root.
        let is_root = span.parent_span_id.is_empty() || span.trace_id.ends_with(&span.parent_span_id);
        if root_only && !is_root {
            continue;
        }
        let (durations, errors) = expected.entry((emitter.service.to_owned(), span.name.clone())).or_default();
        durations.push((span.end_time_unix_nano as i64 - span.start_time_unix_nano as i64).max(0));
        *errors += u64::from(span.status.as_ref().is_some_and(|status| status.code == 2));
    }
    expected.values_mut().for_each(|(durations, _)| durations.sort_unstable());
    expected
}

fn check(answer: &Value, expected: &BTreeMap<(String, String), (Vec<i64>, u64)>) {
    let operations = answer["operations"].as_array().expect("a list");
    assert_eq!((answer["total"].as_u64(), operations.len()), (Some(expected.len() as u64), expected.len()));
    let totals: Vec<i64> = operations.iter().map(|operation| nanos(&operation["total_time_nano"])).collect();
    assert!(totals.is_sorted_by(|a, b| a >= b), "those that took most are first");
    for operation in operations {
        let text = |field: &str| operation[field].as_str().expect("text").to_owned();
        let key = (text("service"), text("name"));
        let (durations, errors) = &expected[&key];
        assert_eq!(operation["span_count"], durations.len(), "{key:?}");
        assert_eq!(operation["error_count"], *errors, "{key:?}");
        assert_eq!(nanos(&operation["total_time_nano"]), durations.iter().sum::<i64>(), "{key:?}");
        assert_eq!(nanos(&operation["max_nano"]), durations[durations.len() - 1], "{key:?}");
        for (field, quantile) in [("p50_nano", 0.5), ("p90_nano", 0.9), ("p95_nano", 0.95), ("p99_nano", 0.99)] {
            let exact = durations[(quantile * (durations.len() - 1) as f64) as usize];
            let found = nanos(&operation[field]);
            assert!((found - exact).abs() as f64 <= exact as f64 * 0.01 + 0.5, "{key:?} {field}: {found}, not {exact}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "what a span costs is told to whoever runs it with --nocapture")]
async fn operations_of_a_demo_load_are_exact_hot_and_cold_and_small() {
    let folder = tempfile::tempdir().expect("a folder");
    let spans = demo_spans();
    let most = (spans.len() + 1).to_string();
    // All of it in one window, which is sealed by the span after the last.
    let arguments = ["--window-spans-max", &most, "--window-bytes-max", "1000000000", "--window-age-max", "1h"];
    let server = Server::start(folder.path(), &arguments);
    for batch in spans.chunks(2_000) {
        server.send(ExportTraceServiceRequest { resource_spans: resource_spans(batch.to_vec()) }).await;
    }
    let (all, roots) = (expected(&spans, false), expected(&spans, true));
    let path = |root: bool| {
        format!("/api/v1/operations?start=2026-11-23T00:00:00Z&end=2026-11-25T00:00:00Z&limit=1000&root={root}")
    };
    let hot = server.get_json(&path(false)).await;
    check(&hot, &all);
    check(&server.get_json(&path(true)).await, &roots);

    server.send(ExportTraceServiceRequest { resource_spans: resource_spans(spans[..1].to_vec()) }).await;
    server.offloaded(1.0).await;
    let cold = server.get_json(&path(false)).await;
    // The one that was sent twice into the same window counts once.
    check(&cold, &all);
    assert_eq!(cold["operations"], hot["operations"]);

    let count = spans.len() as f64;
    let bytes = server.metric("spanhold_store_rollup_bytes").await / count;
    let seconds = server.metric("spanhold_store_rollup_seconds_sum").await;
    let rows = &server.get_json("/api/v1/inspect").await["manifests"][0]["rollups"][0]["rows"];
    println!("rollup of {count} spans: {rows} rows, {bytes:.2} bytes and {:.0} ns a span", seconds * 1e9 / count);
    assert!(bytes <= 1.0, "{bytes} bytes a span");
    let steps_bytes = server.metric("spanhold_store_steps_bytes").await / count;
    let steps_seconds = server.metric("spanhold_store_steps_seconds_sum").await;
    let rows = &server.get_json("/api/v1/inspect").await["manifests"][0]["steps"][0]["rows"];
    println!("steps: {rows} rows, {steps_bytes:.2} bytes and {:.0} ns a span", steps_seconds * 1e9 / count);
    let scan_seconds = server.metric("spanhold_store_run_scan_seconds_sum").await;
    let run_seconds = server.metric("spanhold_store_run_seconds_sum").await;
    println!("runs: {:.0} ns a span gone over, {:.0} ns told", scan_seconds * 1e9 / count, run_seconds * 1e9 / count);
    assert!(steps_bytes <= 2.0, "{steps_bytes} bytes a span");

    // After a kill the same is told by the bucket.
    server.kill();
    let server = Server::start(folder.path(), &arguments);
    check(&server.get_json(&path(false)).await, &all);
}
