//! Requests as tests send them.

use proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use proto::otlp::common::v1::any_value::Value;
use proto::otlp::common::v1::{AnyValue, KeyValue};
use proto::otlp::resource::v1::Resource;
use proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span};

/// 2026-11-23T20:00:00Z.
pub(crate) const START: u64 = 1_795_464_000_000_000_000;

/// An id whose bytes are spread as those of random ids.
pub(crate) fn trace_id(number: u64) -> Vec<u8> {
    (u128::from(number) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes().to_vec()
}

/// [`trace_id`] as the API writes it.
pub(crate) fn trace_hex(number: u64) -> String {
    trace_id(number).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A text attribute.
pub(crate) fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

/// A span of 1 ms; `parent` 0 for a root.
pub(crate) fn span(trace: u64, id: u8, parent: u8) -> Span {
    Span {
        trace_id: trace_id(trace),
        span_id: vec![id; 8],
        parent_span_id: if parent == 0 { Vec::new() } else { vec![parent; 8] },
        name: format!("step {id}"),
        start_time_unix_nano: START + trace * 1_000_000 + u64::from(id),
        end_time_unix_nano: START + trace * 1_000_000 + u64::from(id) + 1_000_000,
        ..Span::default()
    }
}

/// A trace of `spans` spans in a chain.
pub(crate) fn chain(trace: u64, spans: u8) -> Vec<Span> {
    (1..=spans).map(|id| span(trace, id, id - 1)).collect()
}

/// Spans of one service.
pub(crate) fn request(service: &str, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let resource = Resource { attributes: vec![text("service.name", service)], ..Resource::default() };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }],
    }
}
