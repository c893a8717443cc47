use std::time::Instant;

use proto::UnixNanos;

use super::super::fixture::{EPOCH_NANOS, full_span, span_id};
use super::*;

fn rendered(spans: Vec<Span>) -> serde_json::Value {
    let trace = model::assemble(spans).expect("there are spans");
    let json = serde_json::to_string(&Trace::of(&trace)).expect("memory takes everything");
    serde_json::from_str(&json).expect("what was written is JSON")
}

#[test]
fn a_trace_as_the_contract_has_it() {
    let child = Span {
        parent_span_id: Some(span_id(1)),
        attributes: Vec::new(),
        events: Vec::new(),
        links: Vec::new(),
        status: StatusCode::Unset,
        status_message: String::new(),
        end: UnixNanos::from_i64(EPOCH_NANOS + 400),
        ..full_span(2)
    };
    let every_type = serde_json::json!([
        {"key": "array", "value": {"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "two"}, {}]}}},
        {"key": "bool", "value": {"boolValue": true}},
        {"key": "bytes", "value": {"bytesValue": "AP8="}},
        {"key": "double", "value": {"doubleValue": 0.1}},
        {"key": "empty", "value": {}},
        {"key": "int", "value": {"intValue": "9223372036854775807"}},
        {"key": "map", "value": {"kvlistValue": {"values": [{"key": "inner", "value": {"boolValue": false}}]}}},
    ]);
    let expected = serde_json::json!({
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "complete": true,
        "start_unix_nano": "1795464000000000000",
        "end_unix_nano": "1795464000000001000",
        "duration_nano": "1000",
        "root": {"span_id": "0000000000000001", "service": "agent", "name": "Backup"},
        "span_count": 2,
        "error_count": 1,
        "services": [{"name": "agent", "span_count": 2, "self_time_nano": "1000"}],
        "warnings": [],
        "resources": [{
            "attributes": [{"key": "service.name", "value": {"stringValue": "agent"}}],
            "dropped_attributes_count": 1, "schema_url": "https://opentelemetry.io/schemas/1.44.0",
        }],
        "scopes": [{
            "name": "agent/backup", "version": "1.2.0",
            "attributes": [{"key": "scoped", "value": {"boolValue": true}}],
            "dropped_attributes_count": 7, "schema_url": "https://example.com/scope",
        }],
        "spans": [
            {
                "span_id": "0000000000000001", "parent_span_id": null, "depth": 0, "placeholder": false,
                "service": "agent", "name": "Backup", "kind": "server",
                "start_unix_nano": "1795464000000000000", "end_unix_nano": "1795464000000001000",
                "duration_nano": "1000", "self_time_nano": "600",
                "status": {"code": "error", "message": "bucket is gone"},
                "attributes": every_type,
                "events": [{
                    "time_unix_nano": "1795464000000000005", "name": "backup completed",
                    "attributes": [{"key": "backup.size_bytes", "value": {"intValue": "42"}}],
                    "dropped_attributes_count": 3,
                }],
                "links": [{
                    "trace_id": "01010101010101010101010101010101", "span_id": "0202020202020202",
                    "trace_state": "linked=1", "attributes": every_type, "dropped_attributes_count": 5, "flags": 1,
                }],
                "resource": 0, "scope": 0, "trace_state": "vendor=1", "flags": 257,
                "dropped_attributes_count": 2, "dropped_events_count": 4, "dropped_links_count": 6,
                "warnings": [],
            },
            {
                "span_id": "0000000000000002", "parent_span_id": "0000000000000001", "depth": 1, "placeholder": false,
                "service": "agent", "name": "Backup", "kind": "server",
                "start_unix_nano": "1795464000000000000", "end_unix_nano": "1795464000000000400",
                "duration_nano": "400", "self_time_nano": "400",
                "status": {"code": "unset", "message": ""},
                "attributes": [], "events": [], "links": [],
                "resource": 0, "scope": 0, "trace_state": "vendor=1", "flags": 257,
                "dropped_attributes_count": 2, "dropped_events_count": 4, "dropped_links_count": 6,
                "warnings": [],
            },
        ],
    });
    assert_eq!(rendered(vec![child, full_span(1)]), expected);
}

#[test]
fn placeholders_and_warnings() {
    let backwards =
        Span { parent_span_id: Some(span_id(9)), end: UnixNanos::from_i64(EPOCH_NANOS - 5), ..full_span(2) };
    let trace = rendered(vec![backwards]);
    assert_eq!((&trace["complete"], &trace["root"], &trace["span_count"]), (&false.into(), &().into(), &1.into()));
    assert_eq!(
        trace["warnings"],
        serde_json::json!([
            {"code": "missing_parent", "span_id": "0000000000000009",
             "message": "span 0000000000000009 is named as a parent and was not received"},
            {"code": "end_before_start", "span_id": "0000000000000002",
             "message": "span 0000000000000002 ends before it starts"},
        ])
    );
    assert_eq!(
        trace["spans"][0],
        serde_json::json!({
            "span_id": "0000000000000009", "parent_span_id": null, "depth": 0, "placeholder": true,
            "service": "", "name": "", "kind": "unspecified",
            "start_unix_nano": "1795464000000000000", "end_unix_nano": "1795464000000000000",
            "duration_nano": "0", "self_time_nano": "0",
            "status": {"code": "unset", "message": ""},
            "attributes": [], "events": [], "links": [],
            "resource": null, "scope": null, "trace_state": "", "flags": 0,
            "dropped_attributes_count": 0, "dropped_events_count": 0, "dropped_links_count": 0,
            "warnings": [],
        })
    );
    assert_eq!(trace["spans"][1]["parent_span_id"], "0000000000000009");
    assert_eq!(trace["spans"][1]["end_unix_nano"], "1795463999999999995", "as sent");
    assert_eq!(trace["spans"][1]["warnings"], serde_json::json!(["end_before_start"]));
}

#[test]
fn a_search_and_the_services_as_the_contract_has_them() {
    let entry = |service: &str, name: &str| Entry { service: service.to_owned(), name: name.to_owned() };
    let found = store::SearchResult {
        traces: vec![TraceSummary {
            trace_id: full_span(1).trace_id,
            start: UnixNanos::from_i64(EPOCH_NANOS),
            duration_nanos: 5,
            root: None,
            first: entry("agent", "initdb"),
            span_count: 3,
            error_count: 1,
            services: vec!["agent".to_owned(), "api".to_owned()],
        }],
        total: 1_284,
    };
    assert_eq!(
        serde_json::to_value(SearchResult::of(&found)).expect("memory takes everything"),
        serde_json::json!({"total": 1284, "traces": [{
            "trace_id": "0af7651916cd43dd8448eb211c80319c", "start_unix_nano": "1795464000000000000",
            "duration_nano": "5", "root": null, "first": {"service": "agent", "name": "initdb"},
            "span_count": 3, "error_count": 1, "services": ["agent", "api"],
        }]})
    );

    let services = [ServiceSummary {
        name: "agent".to_owned(),
        span_count: 3,
        error_count: 1,
        last_seen: UnixNanos::from_i64(7),
        operations: vec![OperationSummary { name: "initdb".to_owned(), span_count: 2 }],
    }];
    assert_eq!(
        serde_json::to_value(Services::of(&services)).expect("memory takes everything"),
        serde_json::json!({"services": [{
            "name": "agent", "span_count": 3, "error_count": 1, "last_seen_unix_nano": "7",
            "operations": [{"name": "initdb", "span_count": 2}],
        }]})
    );
}

#[test]
fn a_trace_of_100_000_spans_is_quick() {
    const COUNT: u64 = 100_000;
    let spans: Vec<Span> =
        (1..=COUNT).map(|n| Span { parent_span_id: Some(span_id(n / 2 + COUNT)), ..full_span(n) }).collect();
    let began = Instant::now();
    let trace = model::assemble(spans).expect("there are spans");
    let json = serde_json::to_vec(&Trace::of(&trace)).expect("memory takes everything");
    assert!(json.len() > 1_000 * COUNT as usize);
    // 1.3 s on a busy core, for spans far richer than usual; the limit is for a quadratic slip, not for a noisy machine.
    assert!(began.elapsed().as_secs() < 20, "took {:?}", began.elapsed());
}
