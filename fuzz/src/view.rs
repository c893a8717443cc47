//! Compares what `proto::view` reads with what prost decoded, field by field.

use proto::UnixNanos;
use proto::otlp::common::v1::any_value::Value;
use proto::otlp::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use proto::otlp::resource::v1::Resource;
use proto::otlp::trace::v1::span::{Event, Link};
use proto::otlp::trace::v1::{ResourceSpans, Span};
use proto::view::{EventView, KeyValueView, LinkView, ResourceSpansView, ResourceView, ScopeView, SpanView, ValueView};

/// Compares one resource and all of its spans.
///
/// # Panics
/// At the first difference.
pub fn same_resource_spans(view: &ResourceSpansView<'_>, decoded: &ResourceSpans) {
    assert_eq!(view.schema_url, decoded.schema_url);
    same_resource(ResourceView(view.resource), &decoded.resource.clone().unwrap_or_default());
    pairs(view.scope_spans(), &decoded.scope_spans, |view, decoded| {
        assert_eq!(view.schema_url, decoded.schema_url);
        same_scope(ScopeView(view.scope), &decoded.scope.clone().unwrap_or_default());
        pairs(view.spans(), &decoded.spans, |view, decoded| same_span(&view, decoded));
    });
}

/// Calls `same` with each view and what prost has in its place; there must be as many of both.
pub fn pairs<V, D>(views: impl Iterator<Item = V>, decoded: &[D], same: impl Fn(V, &D)) {
    let mut decoded = decoded.iter();
    for view in views {
        same(view, decoded.next().expect("the view has more than prost"));
    }
    assert!(decoded.next().is_none(), "prost has more than the view");
}

fn same_resource(view: ResourceView<'_>, decoded: &Resource) {
    assert_eq!(view.dropped_attributes_count(), decoded.dropped_attributes_count);
    same_attributes(view.attributes(), &decoded.attributes);
}

fn same_scope(view: ScopeView<'_>, decoded: &InstrumentationScope) {
    assert_eq!((view.name(), view.version()), (&decoded.name[..], &decoded.version[..]));
    assert_eq!(view.dropped_attributes_count(), decoded.dropped_attributes_count);
    same_attributes(view.attributes(), &decoded.attributes);
}

fn same_span(view: &SpanView<'_>, decoded: &Span) {
    let status = decoded.status.clone().unwrap_or_default();
    assert_eq!(view.trace_id.as_bytes()[..], decoded.trace_id[..]);
    assert_eq!(view.span_id.as_bytes()[..], decoded.span_id[..]);
    let parent = view.parent_span_id.map(|id| id.as_bytes().to_vec());
    assert_eq!(parent, Some(decoded.parent_span_id.clone()).filter(|id| id.iter().any(|byte| *byte != 0)));
    assert_eq!((view.name.as_str(), view.trace_state), (&decoded.name[..], &decoded.trace_state[..]));
    assert_eq!((view.kind, view.flags), (decoded.kind, decoded.flags));
    assert_eq!(view.start, clamped(decoded.start_time_unix_nano));
    assert_eq!(view.end, clamped(decoded.end_time_unix_nano));
    assert_eq!((view.status_code, view.status_message), (status.code, &status.message[..]));
    assert_eq!(
        (view.dropped_attributes_count, view.dropped_events_count, view.dropped_links_count),
        (decoded.dropped_attributes_count, decoded.dropped_events_count, decoded.dropped_links_count)
    );
    assert_eq!((view.has_events, view.has_links), (!decoded.events.is_empty(), !decoded.links.is_empty()));
    same_attributes(view.attributes(), &decoded.attributes);
    pairs(view.events(), &decoded.events, |view, decoded| same_event(&view, decoded));
    pairs(view.links(), &decoded.links, |view, decoded| same_link(&view, decoded));
}

fn same_event(view: &EventView<'_>, decoded: &Event) {
    assert_eq!(view.time, clamped(decoded.time_unix_nano));
    assert_eq!((view.name, view.dropped_attributes_count), (&decoded.name[..], decoded.dropped_attributes_count));
    same_attributes(view.attributes(), &decoded.attributes);
}

fn same_link(view: &LinkView<'_>, decoded: &Link) {
    assert_eq!((view.trace_id, view.span_id), (&decoded.trace_id[..], &decoded.span_id[..]));
    assert_eq!((view.trace_state, view.flags), (&decoded.trace_state[..], decoded.flags));
    assert_eq!(view.dropped_attributes_count, decoded.dropped_attributes_count);
    same_attributes(view.attributes(), &decoded.attributes);
}

fn same_attributes<'a>(views: impl Iterator<Item = KeyValueView<'a>>, decoded: &[KeyValue]) {
    pairs(views, decoded, |view, decoded| {
        assert_eq!(view.key.as_str(), decoded.key);
        same_value(view.value, decoded.value.as_ref());
    });
}

fn same_value(view: ValueView<'_>, decoded: Option<&AnyValue>) {
    match (view, decoded.and_then(|value| value.value.as_ref())) {
        // An index into the dictionary of a profile, which spans have none of, reads as empty.
        (ValueView::Empty, None | Some(Value::StringValueStrindex(_))) => {}
        (ValueView::String(view), Some(Value::StringValue(decoded))) => assert_eq!(view.as_str(), decoded),
        (ValueView::Bool(view), Some(Value::BoolValue(decoded))) => assert_eq!(view, *decoded),
        (ValueView::Int(view), Some(Value::IntValue(decoded))) => assert_eq!(view, *decoded),
        (ValueView::Double(view), Some(Value::DoubleValue(decoded))) => assert_eq!(view.to_bits(), decoded.to_bits()),
        (ValueView::Bytes(view), Some(Value::BytesValue(decoded))) => assert_eq!(view, decoded),
        (ValueView::Array(view), Some(Value::ArrayValue(decoded))) => {
            pairs(view.values(), &decoded.values, |view, decoded| same_value(view, Some(decoded)));
        }
        (ValueView::Map(view), Some(Value::KvlistValue(decoded))) => same_attributes(view.entries(), &decoded.values),
        (view, decoded) => panic!("the view has {view:?}, prost {decoded:?}"),
    }
}

/// What `UnixNanos` promises of times after the year 2262.
fn clamped(nanos: u64) -> UnixNanos {
    UnixNanos::from_i64(i64::try_from(nanos).unwrap_or(i64::MAX))
}
