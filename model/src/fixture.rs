//! Spans for tests, made in few words.

pub(crate) mod build;
pub(crate) mod emitters;

use std::sync::Arc;

use proto::{SpanId, TraceId, UnixNanos};

use crate::{KeyValue, Resource, Scope, Span, SpanKind, StatusCode, Value};

/// Ends in 8 bytes that no span of a test has, so that no parent is taken for pg_tracing's by chance.
pub(crate) const TRACE_ID: [u8; 16] =
    [0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd, 0x84, 0x48, 0xeb, 0x21, 0x1c, 0x80, 0x31, 0x9c];

/// 2026-11-23T20:00:00Z, when all traces of the tests begin.
pub(crate) const EPOCH_NANOS: i64 = 1_795_464_000_000_000_000;

pub(crate) fn trace_id() -> TraceId {
    TraceId::from_bytes(&TRACE_ID).expect("not zero")
}

pub(crate) fn span_id(number: u64) -> SpanId {
    SpanId::from_bytes(&number.to_be_bytes()).expect("not zero")
}

/// A span of `service` without a parent, from and to so many nanoseconds after [`EPOCH_NANOS`].
pub(crate) fn span(number: u64, name: &str, service: &str, start: i64, end: i64) -> Span {
    let service = KeyValue { key: "service.name".to_owned(), value: Value::String(service.to_owned()) };
    Span {
        trace_id: trace_id(),
        span_id: span_id(number),
        parent_span_id: None,
        trace_state: String::new(),
        flags: 0,
        name: name.to_owned(),
        kind: SpanKind::Internal,
        start: UnixNanos::from_i64(EPOCH_NANOS + start),
        end: UnixNanos::from_i64(EPOCH_NANOS + end),
        status: StatusCode::Unset,
        status_message: String::new(),
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: Vec::new(),
        dropped_events_count: 0,
        links: Vec::new(),
        dropped_links_count: 0,
        resource: Arc::new(Resource { attributes: vec![service], ..Resource::default() }),
        scope: Arc::new(Scope::default()),
    }
}

/// As [`span`], below the span with the number `parent`.
pub(crate) fn child(number: u64, parent: u64, name: &str, service: &str, start: i64, end: i64) -> Span {
    Span { parent_span_id: Some(span_id(parent)), ..span(number, name, service, start, end) }
}

const MS: i64 = 1_000_000;
const US: i64 = 1_000;

/// The control-plane reference trace: an instance is created within 83.5 s. The durations of its steps add up to 85.022 s,
/// as the replica is set up while the database is still being initialised.
pub(crate) fn create_instance() -> Vec<Span> {
    vec![
        span(1, "CreateInstance", "control-api", 0, 83_500 * MS),
        child(2, 1, "API validation", "control-api", 0, 2 * MS),
        child(3, 1, "Quota check", "control-api", 2 * MS, 7 * MS),
        child(4, 1, "Schedule placement", "scheduler", 7 * MS, 22 * MS),
        child(5, 1, "Allocate resources", "provisioner", 22 * MS, 45_022 * MS),
        child(6, 5, "Create PVC", "provisioner", 22 * MS, 3_022 * MS),
        child(7, 5, "Create StatefulSet", "provisioner", 3_022 * MS, 5_022 * MS),
        child(8, 5, "Wait for Pod ready", "provisioner", 5_022 * MS, 45_022 * MS),
        child(9, 1, "Initialize database", "agent", 45_022 * MS, 53_022 * MS),
        child(10, 9, "initdb", "agent", 45_022 * MS, 48_022 * MS),
        child(11, 9, "Apply config", "agent", 48_022 * MS, 49_022 * MS),
        child(12, 9, "Create users", "agent", 49_022 * MS, 49_522 * MS),
        child(13, 1, "Setup replication", "agent", 51_000 * MS, 81_000 * MS),
        child(14, 1, "Register endpoints", "control-api", 81_000 * MS, 83_000 * MS),
    ]
}

/// The data-plane reference trace: one statement within 4.8 ms.
pub(crate) fn select_users() -> Vec<Span> {
    vec![
        span(1, "SELECT * FROM users WHERE id = 42", "sql-proxy", 0, 4_800 * US),
        child(2, 1, "Connection pool acquire", "pooler", 0, 1_000 * US),
        child(3, 1, "Proxy routing", "sql-proxy", 1_000 * US, 1_500 * US),
        child(4, 1, "PostgreSQL query execution", "postgres", 1_500 * US, 4_500 * US),
        child(5, 4, "Parse", "postgres", 1_500 * US, 1_600 * US),
        child(6, 4, "Plan", "postgres", 1_600 * US, 2_100 * US),
        child(7, 4, "Execute", "postgres", 2_100 * US, 4_500 * US),
        child(8, 1, "Result transmission", "sql-proxy", 4_500 * US, 4_800 * US),
    ]
}
