//! From the wire to the model: one span of an accepted request as a [`model::Span`].
//!
//! Used where whole spans are asked for; the columns of a window are filled straight from the view.

use std::sync::Arc;

use model::{Event, KeyValue, Link, Resource, Scope, Span, SpanKind, StatusCode, Value};
use proto::TraceId;
use proto::view::{
    self, KeyValueView, ResourceSpansView, ResourceView, ScopeSpansView, ScopeView, SpanView, ValueView,
};

/// The spans of one trace in an accepted request.
pub(crate) fn spans_of_trace(request: &[u8], trace_id: TraceId, spans: &mut Vec<Span>) {
    for resource_spans in view::resource_spans(request) {
        let mut shared_resource = None;
        for scope_spans in resource_spans.scope_spans() {
            let mut shared_scope = None;
            for span in scope_spans.spans_of(trace_id) {
                let resource = shared_resource.get_or_insert_with(|| Arc::new(resource(&resource_spans)));
                let scope = shared_scope.get_or_insert_with(|| Arc::new(scope(&scope_spans)));
                spans.push(convert_span(&span, Arc::clone(resource), Arc::clone(scope)));
            }
        }
    }
}

/// A resource with the schema URL of its `ResourceSpans`.
pub(crate) fn resource(spans: &ResourceSpansView<'_>) -> Resource {
    let view = ResourceView(spans.resource);
    Resource {
        attributes: attributes(view.attributes()),
        dropped_attributes_count: view.dropped_attributes_count(),
        schema_url: spans.schema_url.to_owned(),
    }
}

fn scope(spans: &ScopeSpansView<'_>) -> Scope {
    let view = ScopeView(spans.scope);
    Scope {
        name: view.name().to_owned(),
        version: view.version().to_owned(),
        attributes: attributes(view.attributes()),
        dropped_attributes_count: view.dropped_attributes_count(),
        schema_url: spans.schema_url.to_owned(),
    }
}

fn convert_span(span: &SpanView<'_>, resource: Arc<Resource>, scope: Arc<Scope>) -> Span {
    Span {
        trace_id: span.trace_id,
        span_id: span.span_id,
        parent_span_id: span.parent_span_id,
        trace_state: span.trace_state.to_owned(),
        flags: span.flags,
        name: span.name.as_str().to_owned(),
        kind: SpanKind::from_wire(span.kind),
        start: span.start,
        end: span.end,
        status: StatusCode::from_wire(span.status_code),
        status_message: span.status_message.to_owned(),
        attributes: attributes(span.attributes()),
        dropped_attributes_count: span.dropped_attributes_count,
        events: span
            .events()
            .map(|event| Event {
                time: event.time,
                name: event.name.to_owned(),
                attributes: attributes(event.attributes()),
                dropped_attributes_count: event.dropped_attributes_count,
            })
            .collect(),
        dropped_events_count: span.dropped_events_count,
        links: span
            .links()
            .map(|link| Link {
                trace_id: link.trace_id.to_vec(),
                span_id: link.span_id.to_vec(),
                trace_state: link.trace_state.to_owned(),
                attributes: attributes(link.attributes()),
                dropped_attributes_count: link.dropped_attributes_count,
                flags: link.flags,
            })
            .collect(),
        dropped_links_count: span.dropped_links_count,
        resource,
        scope,
    }
}

/// Attributes sorted by key, as every [`Span`] has them.
pub(crate) fn attributes<'a>(views: impl Iterator<Item = KeyValueView<'a>>) -> Vec<KeyValue> {
    let mut attributes: Vec<_> =
        views.map(|view| KeyValue { key: view.key.as_str().to_owned(), value: value(view.value) }).collect();
    sort_attributes(&mut attributes);
    attributes
}

/// By key; values under the same key keep their order.
pub(crate) fn sort_attributes(attributes: &mut [KeyValue]) {
    attributes.sort_by(|a, b| a.key.cmp(&b.key));
}

fn value(view: ValueView<'_>) -> Value {
    match view {
        ValueView::Empty => Value::Empty,
        ValueView::String(text) => Value::String(text.as_str().to_owned()),
        ValueView::Bool(flag) => Value::Bool(flag),
        ValueView::Int(number) => Value::Int(number),
        ValueView::Double(number) => Value::Double(number),
        ValueView::Bytes(bytes) => Value::Bytes(bytes.to_vec()),
        ValueView::Array(array) => Value::Array(array.values().map(value).collect()),
        ValueView::Map(map) => Value::Map(
            map.entries()
                .map(|entry| KeyValue { key: entry.key.as_str().to_owned(), value: value(entry.value) })
                .collect(),
        ),
    }
}
