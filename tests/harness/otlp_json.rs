//! OTLP/JSON as `GET /api/v1/traces/{id}/otlp` writes it, made from the messages that a test sent: written apart from
//! the program, so that the two can disagree. And a comparison of such answers, field by field.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use proto::otlp::common::v1::any_value;
use proto::otlp::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use proto::otlp::resource::v1::Resource;
use proto::otlp::trace::v1::span::{Event, Link};
use proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span};
use serde_json::{Value, json};

/// `TracesData` of a request.
pub(crate) fn traces_data(request: &ExportTraceServiceRequest) -> Value {
    json!({ "resourceSpans": each(&request.resource_spans, resource_spans) })
}

fn each<T>(items: &[T], one: fn(&T) -> Value) -> Value {
    items.iter().map(one).collect()
}

fn resource_spans(spans: &ResourceSpans) -> Value {
    let Resource { attributes, dropped_attributes_count, .. } = spans.resource.clone().unwrap_or_default();
    json!({
        "resource": {"attributes": each(&attributes, key_value), "droppedAttributesCount": dropped_attributes_count},
        "schemaUrl": spans.schema_url,
        "scopeSpans": each(&spans.scope_spans, scope_spans),
    })
}

fn scope_spans(spans: &ScopeSpans) -> Value {
    let InstrumentationScope { name, version, attributes, dropped_attributes_count } =
        spans.scope.clone().unwrap_or_default();
    json!({
        "scope": {
            "name": name,
            "version": version,
            "attributes": each(&attributes, key_value),
            "droppedAttributesCount": dropped_attributes_count,
        },
        "schemaUrl": spans.schema_url,
        "spans": each(&spans.spans, span),
    })
}

fn span(span: &Span) -> Value {
    let status = span.status.clone().unwrap_or_default();
    let mut json = json!({
        "traceId": hex(&span.trace_id),
        "spanId": hex(&span.span_id),
        "traceState": span.trace_state,
        "flags": span.flags,
        "name": span.name,
        "kind": if (0..=5).contains(&span.kind) { span.kind } else { 0 },
        "startTimeUnixNano": time(span.start_time_unix_nano),
        "endTimeUnixNano": time(span.end_time_unix_nano),
        "attributes": each(&span.attributes, key_value),
        "droppedAttributesCount": span.dropped_attributes_count,
        "events": each(&span.events, event),
        "droppedEventsCount": span.dropped_events_count,
        "links": each(&span.links, link),
        "droppedLinksCount": span.dropped_links_count,
        "status": {"message": status.message, "code": if (0..=2).contains(&status.code) { status.code } else { 0 }},
    });
    if span.parent_span_id.iter().any(|byte| *byte != 0) {
        json["parentSpanId"] = hex(&span.parent_span_id).into();
    }
    json
}

fn event(event: &Event) -> Value {
    json!({
        "timeUnixNano": time(event.time_unix_nano),
        "name": event.name,
        "attributes": each(&event.attributes, key_value),
        "droppedAttributesCount": event.dropped_attributes_count,
    })
}

fn link(link: &Link) -> Value {
    json!({
        "traceId": hex(&link.trace_id),
        "spanId": hex(&link.span_id),
        "traceState": link.trace_state,
        "attributes": each(&link.attributes, key_value),
        "droppedAttributesCount": link.dropped_attributes_count,
        "flags": link.flags,
    })
}

fn key_value(attribute: &KeyValue) -> Value {
    json!({"key": attribute.key, "value": any_value(&attribute.value.clone().unwrap_or_default())})
}

fn any_value(value: &AnyValue) -> Value {
    match &value.value {
        None => json!({}),
        Some(any_value::Value::StringValue(text)) => json!({ "stringValue": text }),
        Some(any_value::Value::BoolValue(flag)) => json!({ "boolValue": flag }),
        Some(any_value::Value::IntValue(number)) => json!({ "intValue": number.to_string() }),
        Some(any_value::Value::DoubleValue(number)) if number.is_nan() => json!({"doubleValue": "NaN"}),
        Some(any_value::Value::DoubleValue(f64::INFINITY)) => json!({"doubleValue": "Infinity"}),
        Some(any_value::Value::DoubleValue(f64::NEG_INFINITY)) => json!({"doubleValue": "-Infinity"}),
        Some(any_value::Value::DoubleValue(number)) => json!({ "doubleValue": number }),
        Some(any_value::Value::BytesValue(bytes)) => json!({ "bytesValue": BASE64.encode(bytes) }),
        Some(any_value::Value::ArrayValue(array)) => json!({"arrayValue": {"values": each(&array.values, any_value)}}),
        Some(any_value::Value::KvlistValue(map)) => json!({"kvlistValue": {"values": each(&map.values, key_value)}}),
        Some(other) => panic!("OTLP has no such value in a trace: {other:?}"),
    }
}

/// Later than `i64::MAX` is kept as that.
fn time(nanos: u64) -> String {
    nanos.min(i64::MAX as u64).to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Spans with their resources and scopes, by trace and span id.
#[derive(Default)]
pub(crate) struct Spans(BTreeMap<String, Value>);

impl Spans {
    /// What there must be after these requests, given as [`traces_data`]: of a span that was sent twice, the one that
    /// ends last.
    pub(crate) fn sent<'a>(requests: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut sent = Self::default();
        for request in requests {
            sent.add(request, |known, new| {
                if end(new) > end(known) {
                    *known = new.clone();
                }
            });
        }
        sent
    }

    /// What an answer has; panics when it has a span twice.
    pub(crate) fn answered(traces_data: &Value) -> Self {
        let mut answered = Self::default();
        answered.add(traces_data, |known, _| panic!("twice: {known}"));
        answered
    }

    /// Adds another answer; panics when it has a span that is there already.
    pub(crate) fn extend(&mut self, traces_data: &Value) {
        self.add(traces_data, |known, _| panic!("twice: {known}"));
    }

    fn add(&mut self, traces_data: &Value, twice: impl Fn(&mut Value, &Value)) {
        for of_resource in list(&traces_data["resourceSpans"]) {
            for of_scope in list(&of_resource["scopeSpans"]) {
                for span in list(&of_scope["spans"]) {
                    let key = format!("{}/{}", word(&span["traceId"]), word(&span["spanId"]));
                    let flat = canonical(json!({
                        "resource": of_resource["resource"], "resourceSchemaUrl": of_resource["schemaUrl"],
                        "scope": of_scope["scope"], "scopeSchemaUrl": of_scope["schemaUrl"],
                        "span": span,
                    }));
                    match self.0.entry(key) {
                        Entry::Vacant(entry) => drop(entry.insert(flat)),
                        Entry::Occupied(mut entry) => twice(entry.get_mut(), &flat),
                    }
                }
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The spans, each with `resource`, `resourceSchemaUrl`, `scope`, `scopeSchemaUrl` and `span`.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Value> {
        self.0.values()
    }

    /// How many spans each trace has.
    pub(crate) fn traces(&self) -> BTreeMap<String, u64> {
        let mut traces = BTreeMap::new();
        for span in self.iter() {
            *traces.entry(word(&span["span"]["traceId"]).to_owned()).or_default() += 1;
        }
        traces
    }

    /// Panics at the first field that differs. Fields are compared as text, in which `-0.0` and `0` differ from `0.0`.
    pub(crate) fn assert_are(&self, expected: &Self, by: &str) {
        for (key, span) in &expected.0 {
            let got = self.0.get(key).unwrap_or_else(|| panic!("{by}: {key} is missing, sent was {span:#}"));
            assert_same(got, span, &format!("{by}: {key}"));
        }
        let more = self.0.keys().find(|key| !expected.0.contains_key(*key));
        assert_eq!(more, None, "{by}: a span that nobody sent");
    }
}

/// Objects and lists are gone into, so that the message is about the one value that differs.
fn assert_same(got: &Value, expected: &Value, place: &str) {
    match (got, expected) {
        (Value::Object(got), Value::Object(expected)) => {
            assert!(got.keys().eq(expected.keys()), "{place} has other fields: {got:?}, sent was {expected:?}");
            for (key, expected) in expected {
                assert_same(&got[key], expected, &format!("{place} {key}"));
            }
        }
        (Value::Array(got), Value::Array(expected)) => {
            assert_eq!(got.len(), expected.len(), "{place} is of other length: {got:?}, sent was {expected:?}");
            for (at, (got, expected)) in got.iter().zip(expected).enumerate() {
                assert_same(got, expected, &format!("{place} [{at}]"));
            }
        }
        _ => assert_eq!(got.to_string(), expected.to_string(), "{place}"),
    }
}

/// With attributes in one order: by key, then by type. Values of the same key and type keep theirs.
fn canonical(mut flat: Value) -> Value {
    let sort = |owner: &mut Value| {
        let attributes = owner["attributes"].as_array_mut().expect("attributes");
        attributes.sort_by_cached_key(|attribute| {
            let kind = attribute["value"].as_object().and_then(|value| value.keys().next().cloned());
            (word(&attribute["key"]).to_owned(), kind)
        });
    };
    sort(&mut flat["resource"]);
    sort(&mut flat["scope"]);
    sort(&mut flat["span"]);
    for each in ["events", "links"] {
        flat["span"][each].as_array_mut().expect("a list").iter_mut().for_each(sort);
    }
    flat
}

/// The service that a span is filed under.
pub(crate) fn service(flat: &Value) -> &str {
    let name = list(&flat["resource"]["attributes"]).iter().find(|attribute| attribute["key"] == "service.name");
    let name = name.and_then(|attribute| attribute["value"]["stringValue"].as_str());
    name.filter(|name| !name.is_empty()).unwrap_or("unknown_service")
}

/// When a span ended, Unix nanoseconds.
fn end(flat: &Value) -> i64 {
    super::nanos(&flat["span"]["endTimeUnixNano"])
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list"))
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}
