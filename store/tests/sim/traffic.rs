//! Spans as they are sent: small, every one telling which it is.

use model::Span;
use prost::Message;
use proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use proto::otlp::common::v1::any_value::Value;
use proto::otlp::common::v1::{AnyValue, KeyValue};
use proto::otlp::resource::v1::Resource;
use proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span as WireSpan};
use proto::{CheckedRequest, TraceId};

/// Services that the traces are spread over.
const SERVICES: u64 = 4;

/// One version of a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SentSpan {
    pub(crate) trace: u64,
    /// Its number within the trace, from 1.
    pub(crate) span: u8,
    /// Of all versions of all spans.
    pub(crate) number: u64,
    /// Unix nanoseconds.
    pub(crate) start: u64,
    /// Unix nanoseconds; different for each version.
    pub(crate) end: u64,
}

/// An id whose bytes are spread as those of random ids.
pub(crate) fn trace_id(trace: u64) -> TraceId {
    let spread = (u128::from(trace) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    TraceId::from_bytes(&spread.to_be_bytes()).expect("not zero")
}

/// Which service a trace is of.
pub(crate) fn service(trace: u64) -> String {
    format!("service {}", trace % SERVICES)
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

impl SentSpan {
    fn name(&self) -> String {
        format!("step {}", self.span)
    }

    fn text(&self) -> String {
        "s".repeat((self.number % 40) as usize)
    }

    fn to_wire(&self) -> WireSpan {
        WireSpan {
            trace_id: trace_id(self.trace).as_bytes().to_vec(),
            span_id: vec![self.span; 8],
            parent_span_id: if self.span == 1 { Vec::new() } else { vec![self.span - 1; 8] },
            name: self.name(),
            start_time_unix_nano: self.start,
            end_time_unix_nano: self.end,
            attributes: vec![
                attribute("number", Value::IntValue(self.number as i64)),
                attribute("text", Value::StringValue(self.text())),
            ],
            ..WireSpan::default()
        }
    }

    /// Whether `span` says what this version said.
    pub(crate) fn is_told_right(&self, span: &Span) -> Result<(), String> {
        let text = model::Value::String(self.text());
        let is_right = span.name == self.name()
            && span.service() == service(self.trace)
            && span.start.as_u64() == self.start
            && span.end.as_u64() == self.end
            && span.attributes.len() == 2
            && span.attributes.iter().any(|attribute| attribute.key == "text" && attribute.value == text);
        if is_right { Ok(()) } else { Err(format!("a span comes back as it was sent: {self:?} as {span:?}")) }
    }
}

/// The request that carries `spans`.
pub(crate) fn request(spans: &[SentSpan]) -> CheckedRequest {
    let resource_spans = spans.iter().map(|span| ResourceSpans {
        resource: Some(Resource {
            attributes: vec![attribute("service.name", Value::StringValue(service(span.trace)))],
            ..Resource::default()
        }),
        scope_spans: vec![ScopeSpans { spans: vec![span.to_wire()], ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    });
    let all = ExportTraceServiceRequest { resource_spans: resource_spans.collect() };
    let (checked, rejected) = proto::check::check(all.encode_to_vec()).expect("valid");
    assert!(rejected.is_empty(), "{rejected:?}");
    checked
}
