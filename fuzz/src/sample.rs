//! The request that damaged blocks are made from: a few hundred spans that use every column.

use prost::Message;
use proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use proto::otlp::common::v1::any_value::Value;
use proto::otlp::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use proto::otlp::resource::v1::Resource;
use proto::otlp::trace::v1::span::{Event, Link};
use proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proto::{CheckedRequest, TraceId};

const TRACES: u8 = 20;
const SPANS_PER_TRACE: u8 = 12;

/// 2026-11-23T20:00:00Z.
const START: u64 = 1_795_464_000_000_000_000;

/// Spans of several traces and two services.
///
/// # Panics
/// When it is not accepted, which is an error in here.
#[must_use]
pub fn request() -> CheckedRequest {
    let services = ["control-api", "pooler"];
    let resource_spans = services.iter().enumerate().map(|(number, service)| {
        let spans = (1..=TRACES).flat_map(|trace| (1..=SPANS_PER_TRACE).map(move |id| span(trace, id)));
        let scope =
            InstrumentationScope { name: "lib".into(), version: "1.2".into(), ..InstrumentationScope::default() };
        ResourceSpans {
            resource: Some(Resource {
                attributes: vec![attribute("service.name", text(service))],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(scope),
                spans: spans.filter(|span| usize::from(span.span_id[0] % 2) == number).collect(),
                schema_url: "https://opentelemetry.io/schemas/1.38.0".into(),
            }],
            ..ResourceSpans::default()
        }
    });
    let request = ExportTraceServiceRequest { resource_spans: resource_spans.collect() };
    let (checked, rejections) = proto::check::check(request.encode_to_vec()).expect("accepted");
    assert!(rejections.is_empty(), "{rejections:?}");
    checked
}

/// One of its traces.
///
/// # Panics
/// Never.
#[must_use]
pub fn a_trace_id() -> TraceId {
    TraceId::from_bytes(&[TRACES; 16]).expect("not zero")
}

fn span(trace: u8, id: u8) -> Span {
    let start = START + u64::from(trace) * 1_000_000_000 + u64::from(id) * 1_000_000;
    Span {
        trace_id: vec![trace; 16],
        span_id: vec![id; 8],
        // Each trace has a span whose parent is nowhere.
        parent_span_id: if id == 1 { Vec::new() } else { vec![if id == 7 { 200 } else { id - 1 }; 8] },
        trace_state: if id == 2 { "k=v".into() } else { String::new() },
        flags: 0x101,
        name: format!("step {id}"),
        kind: i32::from(id % 6),
        start_time_unix_nano: start,
        end_time_unix_nano: start + u64::from(id) * 10_000_000,
        attributes: vec![
            attribute("db.system.name", text("postgresql")),
            attribute("db.query.text", text(&format!("SELECT {trace}, {id}"))),
            attribute("rows", Value::IntValue(i64::from(id) - 3)),
            attribute("ratio", Value::DoubleValue(f64::from(id) / 7.0)),
            attribute("cached", Value::BoolValue(id % 2 == 0)),
            attribute(&format!("rare.{trace}.{id}"), nested()),
        ],
        events: (0..id % 3).map(|number| event(start, number)).collect(),
        links: (0..id % 2).map(|number| link(trace, number)).collect(),
        status: Some(Status {
            code: i32::from(id % 3),
            message: if id % 3 == 2 { "failed".into() } else { String::new() },
        }),
        dropped_attributes_count: u32::from(id % 2),
        ..Span::default()
    }
}

fn event(start: u64, number: u8) -> Event {
    Event {
        time_unix_nano: start + u64::from(number),
        name: "exception".into(),
        attributes: vec![attribute("exception.message", text("boom \"quoted\""))],
        dropped_attributes_count: u32::from(number),
    }
}

fn link(trace: u8, number: u8) -> Link {
    Link {
        trace_id: vec![trace + 1; 16],
        span_id: vec![number + 1; 8],
        attributes: vec![attribute("why", Value::BytesValue(vec![1, 255]))],
        ..Link::default()
    }
}

fn nested() -> Value {
    let list = ArrayValue { values: vec![AnyValue { value: Some(text("a")) }, AnyValue { value: None }] };
    Value::KvlistValue(KeyValueList { values: vec![attribute("list", Value::ArrayValue(list))] })
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(text: &str) -> Value {
    Value::StringValue(text.to_owned())
}
