//! The spans of a trace as OTLP's `TracesData`, as they came in: grouped by resource and scope, nothing assembled.
//!
//! The protobuf form goes through the generated messages. The JSON form is written from the model directly: the generated
//! types would turn `NaN` into null.

use std::collections::HashMap;

use model::{Event, KeyValue, Link, Span, Value};
use proto::otlp;
use proto::otlp::common::v1::any_value;
use serde::Serialize;

use super::distinct::Distinct;
use super::json::{Attributes, Each, Hex, Shown, Text64};

/// Spans of one resource.
pub(crate) struct ResourceGroup<'a> {
    resource: &'a model::Resource,
    scopes: Vec<ScopeGroup<'a>>,
}

/// Spans of one scope of a resource.
struct ScopeGroup<'a> {
    scope: &'a model::Scope,
    spans: Vec<&'a Span>,
}

/// Groups spans by resource and scope, each in order of first appearance.
pub(crate) fn group(spans: &[Span]) -> Vec<ResourceGroup<'_>> {
    let mut resources = Distinct::new();
    let mut scopes = Distinct::new();
    let mut groups: Vec<ResourceGroup<'_>> = Vec::new();
    let mut place_of: HashMap<(usize, usize), usize> = HashMap::new();
    for span in spans {
        let resource = resources.index_of(&span.resource, ResourceKey::of);
        let scope = scopes.index_of(&span.scope, ScopeKey::of);
        if resource == groups.len() {
            groups.push(ResourceGroup { resource: &span.resource, scopes: Vec::new() });
        }
        let of_resource = &mut groups[resource].scopes;
        let place = *place_of.entry((resource, scope)).or_insert(of_resource.len());
        if place == of_resource.len() {
            of_resource.push(ScopeGroup { scope: &span.scope, spans: Vec::new() });
        }
        of_resource[place].spans.push(span);
    }
    groups
}

/// What tells two resources apart.
#[derive(Serialize)]
struct ResourceKey<'a>(Attributes<'a>, u32, &'a str);

impl<'a> ResourceKey<'a> {
    fn of(resource: &'a model::Resource) -> Self {
        Self(Attributes(&resource.attributes), resource.dropped_attributes_count, &resource.schema_url)
    }
}

/// What tells two scopes apart.
#[derive(Serialize)]
struct ScopeKey<'a>(&'a str, &'a str, Attributes<'a>, u32, &'a str);

impl<'a> ScopeKey<'a> {
    fn of(scope: &'a model::Scope) -> Self {
        let attributes = Attributes(&scope.attributes);
        Self(&scope.name, &scope.version, attributes, scope.dropped_attributes_count, &scope.schema_url)
    }
}

/// The generated messages, for protobuf.
pub(crate) fn to_message(groups: &[ResourceGroup<'_>]) -> otlp::trace::v1::TracesData {
    let resource_spans = groups.iter().map(|group| otlp::trace::v1::ResourceSpans {
        resource: Some(otlp::resource::v1::Resource {
            attributes: attributes_message(&group.resource.attributes),
            dropped_attributes_count: group.resource.dropped_attributes_count,
            ..Default::default()
        }),
        scope_spans: group.scopes.iter().map(scope_message).collect(),
        schema_url: group.resource.schema_url.clone(),
    });
    otlp::trace::v1::TracesData { resource_spans: resource_spans.collect() }
}

fn scope_message(group: &ScopeGroup<'_>) -> otlp::trace::v1::ScopeSpans {
    otlp::trace::v1::ScopeSpans {
        scope: Some(otlp::common::v1::InstrumentationScope {
            name: group.scope.name.clone(),
            version: group.scope.version.clone(),
            attributes: attributes_message(&group.scope.attributes),
            dropped_attributes_count: group.scope.dropped_attributes_count,
        }),
        spans: group.spans.iter().map(|span| span_message(span)).collect(),
        schema_url: group.scope.schema_url.clone(),
    }
}

fn span_message(span: &Span) -> otlp::trace::v1::Span {
    let events = span.events.iter().map(|event| otlp::trace::v1::span::Event {
        time_unix_nano: event.time.as_u64(),
        name: event.name.clone(),
        attributes: attributes_message(&event.attributes),
        dropped_attributes_count: event.dropped_attributes_count,
    });
    let links = span.links.iter().map(|link| otlp::trace::v1::span::Link {
        trace_id: link.trace_id.clone(),
        span_id: link.span_id.clone(),
        trace_state: link.trace_state.clone(),
        attributes: attributes_message(&link.attributes),
        dropped_attributes_count: link.dropped_attributes_count,
        flags: link.flags,
    });
    otlp::trace::v1::Span {
        trace_id: span.trace_id.as_bytes().to_vec(),
        span_id: span.span_id.as_bytes().to_vec(),
        trace_state: span.trace_state.clone(),
        parent_span_id: span.parent_span_id.map(|id| id.as_bytes().to_vec()).unwrap_or_default(),
        flags: span.flags,
        name: span.name.clone(),
        kind: span.kind.to_wire(),
        start_time_unix_nano: span.start.as_u64(),
        end_time_unix_nano: span.end.as_u64(),
        attributes: attributes_message(&span.attributes),
        dropped_attributes_count: span.dropped_attributes_count,
        events: events.collect(),
        dropped_events_count: span.dropped_events_count,
        links: links.collect(),
        dropped_links_count: span.dropped_links_count,
        status: Some(otlp::trace::v1::Status { message: span.status_message.clone(), code: span.status.to_wire() }),
    }
}

fn attributes_message(attributes: &[KeyValue]) -> Vec<otlp::common::v1::KeyValue> {
    let message = |attribute: &KeyValue| otlp::common::v1::KeyValue {
        key: attribute.key.clone(),
        value: Some(value_message(&attribute.value)),
        ..Default::default()
    };
    attributes.iter().map(message).collect()
}

fn value_message(value: &Value) -> otlp::common::v1::AnyValue {
    let value = match value {
        Value::Empty => None,
        Value::String(text) => Some(any_value::Value::StringValue(text.clone())),
        Value::Bool(flag) => Some(any_value::Value::BoolValue(*flag)),
        Value::Int(number) => Some(any_value::Value::IntValue(*number)),
        Value::Double(number) => Some(any_value::Value::DoubleValue(*number)),
        Value::Bytes(bytes) => Some(any_value::Value::BytesValue(bytes.clone())),
        Value::Array(values) => Some(any_value::Value::ArrayValue(otlp::common::v1::ArrayValue {
            values: values.iter().map(value_message).collect(),
        })),
        Value::Map(entries) => {
            Some(any_value::Value::KvlistValue(otlp::common::v1::KeyValueList { values: attributes_message(entries) }))
        }
    };
    otlp::common::v1::AnyValue { value }
}

/// OTLP/JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TracesData<'a> {
    resource_spans: Each<'a, ResourceGroup<'a>, ResourceSpansView<'a>>,
}

impl<'a> TracesData<'a> {
    pub(crate) fn of(groups: &'a [ResourceGroup<'a>]) -> Self {
        Self { resource_spans: Each(groups, ResourceSpansView::of) }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpansView<'a> {
    resource: ResourceView<'a>,
    scope_spans: Each<'a, ScopeGroup<'a>, ScopeSpansView<'a>>,
    schema_url: &'a str,
}

impl<'a> ResourceSpansView<'a> {
    fn of(group: &'a ResourceGroup<'a>) -> Self {
        Self {
            resource: ResourceView {
                attributes: Attributes(&group.resource.attributes),
                dropped_attributes_count: group.resource.dropped_attributes_count,
            },
            scope_spans: Each(&group.scopes, ScopeSpansView::of),
            schema_url: &group.resource.schema_url,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceView<'a> {
    attributes: Attributes<'a>,
    dropped_attributes_count: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ScopeSpansView<'a> {
    scope: ScopeView<'a>,
    spans: Each<'a, &'a Span, SpanView<'a>>,
    schema_url: &'a str,
}

impl<'a> ScopeSpansView<'a> {
    fn of(group: &'a ScopeGroup<'a>) -> Self {
        Self {
            scope: ScopeView {
                name: &group.scope.name,
                version: &group.scope.version,
                attributes: Attributes(&group.scope.attributes),
                dropped_attributes_count: group.scope.dropped_attributes_count,
            },
            spans: Each(&group.spans, |span| SpanView::of(span)),
            schema_url: &group.scope.schema_url,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ScopeView<'a> {
    name: &'a str,
    version: &'a str,
    attributes: Attributes<'a>,
    dropped_attributes_count: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SpanView<'a> {
    trace_id: Shown<proto::TraceId>,
    span_id: Shown<proto::SpanId>,
    trace_state: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<Shown<proto::SpanId>>,
    flags: u32,
    name: &'a str,
    kind: i32,
    start_time_unix_nano: Text64,
    end_time_unix_nano: Text64,
    attributes: Attributes<'a>,
    dropped_attributes_count: u32,
    events: Each<'a, Event, EventView<'a>>,
    dropped_events_count: u32,
    links: Each<'a, Link, LinkView<'a>>,
    dropped_links_count: u32,
    status: StatusView<'a>,
}

impl<'a> SpanView<'a> {
    fn of(span: &'a Span) -> Self {
        Self {
            trace_id: Shown(span.trace_id),
            span_id: Shown(span.span_id),
            trace_state: &span.trace_state,
            parent_span_id: span.parent_span_id.map(Shown),
            flags: span.flags,
            name: &span.name,
            kind: span.kind.to_wire(),
            start_time_unix_nano: span.start.into(),
            end_time_unix_nano: span.end.into(),
            attributes: Attributes(&span.attributes),
            dropped_attributes_count: span.dropped_attributes_count,
            events: Each(&span.events, EventView::of),
            dropped_events_count: span.dropped_events_count,
            links: Each(&span.links, LinkView::of),
            dropped_links_count: span.dropped_links_count,
            status: StatusView { message: &span.status_message, code: span.status.to_wire() },
        }
    }
}

#[derive(Serialize)]
struct StatusView<'a> {
    message: &'a str,
    code: i32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventView<'a> {
    time_unix_nano: Text64,
    name: &'a str,
    attributes: Attributes<'a>,
    dropped_attributes_count: u32,
}

impl<'a> EventView<'a> {
    fn of(event: &'a Event) -> Self {
        Self {
            time_unix_nano: event.time.into(),
            name: &event.name,
            attributes: Attributes(&event.attributes),
            dropped_attributes_count: event.dropped_attributes_count,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LinkView<'a> {
    trace_id: Hex<'a>,
    span_id: Hex<'a>,
    trace_state: &'a str,
    attributes: Attributes<'a>,
    dropped_attributes_count: u32,
    flags: u32,
}

impl<'a> LinkView<'a> {
    fn of(link: &'a Link) -> Self {
        Self {
            trace_id: Hex(&link.trace_id),
            span_id: Hex(&link.span_id),
            trace_state: &link.trace_state,
            attributes: Attributes(&link.attributes),
            dropped_attributes_count: link.dropped_attributes_count,
            flags: link.flags,
        }
    }
}

#[cfg(test)]
mod tests;
