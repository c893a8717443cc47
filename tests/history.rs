use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use crate::harness::{Server, nanos};

type Operations = BTreeMap<(String, String), Value>;

fn by_name(operations: impl IntoIterator<Item = Value>) -> Operations {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    operations.into_iter().map(|it| ((text(&it["service"]), text(&it["name"])), it)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_of_days_arrives_and_its_truth_is_what_the_server_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&folder.path().join("data"), &[]);
    let truth = folder.path().join("truth.jsonl");
    let output = Command::new(env!("CARGO_BIN_EXE_spanhold"))
        .args(["demo", "--profile", "mixed", "--instances", "30", "--thin", "5000", "--drain"])
        .args(["--from", "2026-11-20T00:00:00Z", "--to", "2026-11-22T12:00:00Z", "--failovers-per-day", "40"])
        .args(["--pathologies", "root-last,links,mixed-conventions,attribute-abuse,error-shapes,retries"])
        .args(["--endpoint", &server.otlp_grpc, "--http-endpoint", &server.otlp_http, "--truth"])
        .arg(&truth)
        .output()
        .expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let lines: Vec<Value> = std::fs::read_to_string(&truth)
        .expect("the truth")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let of_kind = |kind: &'static str| lines.iter().filter(move |line| line["kind"] == kind).cloned();
    assert_eq!(lines[0]["kind"], "world");
    let spans_sent: u64 = of_kind("run").filter_map(|run| run["spans_sent"].as_u64()).sum();
    assert!(spans_sent > 60_000 && server.metric("spanhold_ingest_spans_accepted_total").await > spans_sent as f64);

    let path = "/api/v1/operations?start=2026-11-19T00:00:00Z&end=2026-11-26T00:00:00Z&limit=1000&root=true";
    let answer = server.get_json(path).await;
    let found = by_name(answer["operations"].as_array().expect("a list").iter().cloned());
    let expected = by_name(of_kind("operation"));
    assert!(expected.len() > 30 && expected.len() < 1_000, "{} operations", expected.len());
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (key, truth) in expected {
        let operation = &found[&key];
        assert_eq!(operation["span_count"], truth["count"], "{key:?}");
        assert_eq!(operation["error_count"], truth["errors"], "{key:?}");
        assert_eq!(nanos(&operation["total_time_nano"]), truth["total_nanos"].as_i64().expect("a sum"), "{key:?}");
        for (field, exact) in [("p50_nano", "p50_nanos"), ("p95_nano", "p95_nanos"), ("p99_nano", "p99_nanos")] {
            let exact = truth[exact].as_i64().expect("a duration");
            let found = nanos(&operation[field]);
            assert!((found - exact).abs() as f64 <= exact as f64 * 0.01 + 0.5, "{key:?} {field}: {found}, not {exact}");
        }
    }

    // A run's main trace is there, whole.
    let complete =
        |run: &Value| run["class"] == "failover" && run["trace_ids"].as_array().is_some_and(|ids| ids.len() == 1);
    let run = of_kind("run").find(complete).expect("a failover in one trace");
    let trace_id = run["trace_ids"][0].as_str().expect("an id");
    assert_eq!(server.trace(trace_id).await["span_count"], run["spans_sent"], "{trace_id}");
}
