//! A span with something in every field.

use std::sync::Arc;

use model::{Event, KeyValue, Link, Resource, Scope, Span, SpanKind, StatusCode, Value};
use proto::{SpanId, TraceId, UnixNanos};

/// 2026-11-23T20:00:00Z.
pub(crate) const EPOCH_NANOS: i64 = 1_795_464_000_000_000_000;

pub(crate) fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value }
}

pub(crate) fn span_id(number: u64) -> SpanId {
    SpanId::from_bytes(&number.to_be_bytes()).expect("not zero")
}

pub(crate) fn resource(service: &str) -> Arc<Resource> {
    Arc::new(Resource {
        attributes: vec![attribute("service.name", Value::String(service.to_owned()))],
        dropped_attributes_count: 1,
        schema_url: "https://opentelemetry.io/schemas/1.44.0".to_owned(),
    })
}

pub(crate) fn full_span(number: u64) -> Span {
    let every_type = vec![
        attribute("array", Value::Array(vec![Value::Int(1), Value::String("two".to_owned()), Value::Empty])),
        attribute("bool", Value::Bool(true)),
        attribute("bytes", Value::Bytes(vec![0, 255])),
        attribute("double", Value::Double(0.1)),
        attribute("empty", Value::Empty),
        attribute("int", Value::Int(i64::MAX)),
        attribute("map", Value::Map(vec![attribute("inner", Value::Bool(false))])),
    ];
    Span {
        trace_id: "0af7651916cd43dd8448eb211c80319c".parse::<TraceId>().expect("a valid id"),
        span_id: span_id(number),
        parent_span_id: None,
        trace_state: "vendor=1".to_owned(),
        flags: 257,
        name: "Backup".to_owned(),
        kind: SpanKind::Server,
        start: UnixNanos::from_i64(EPOCH_NANOS),
        end: UnixNanos::from_i64(EPOCH_NANOS + 1_000),
        status: StatusCode::Error,
        status_message: "bucket is gone".to_owned(),
        attributes: every_type.clone(),
        dropped_attributes_count: 2,
        events: vec![Event {
            time: UnixNanos::from_i64(EPOCH_NANOS + 5),
            name: "backup completed".to_owned(),
            attributes: vec![attribute("backup.size_bytes", Value::Int(42))],
            dropped_attributes_count: 3,
        }],
        dropped_events_count: 4,
        links: vec![Link {
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            trace_state: "linked=1".to_owned(),
            attributes: every_type,
            dropped_attributes_count: 5,
            flags: 1,
        }],
        dropped_links_count: 6,
        resource: resource("agent"),
        scope: Arc::new(Scope {
            name: "agent/backup".to_owned(),
            version: "1.2.0".to_owned(),
            attributes: vec![attribute("scoped", Value::Bool(true))],
            dropped_attributes_count: 7,
            schema_url: "https://example.com/scope".to_owned(),
        }),
    }
}
