//! OTLP/JSON: whatever is accepted becomes a request that `proto::check` takes, and a request that opentelemetry-proto
//! writes as JSON is read as the same request.

#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message;
use proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use proto::otlp::common::v1::any_value::Value;
use proto::otlp::common::v1::{AnyValue, KeyValue};

/// What JSON may grow by as protobuf: an enum of `-1` takes ten bytes.
const GROWTH_MAX: usize = 2;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(protobuf) = ingest::fuzzing::json(bytes) {
        assert!(protobuf.len() <= GROWTH_MAX * bytes.len(), "{} bytes became {}", bytes.len(), protobuf.len());
        let request = ExportTraceServiceRequest::decode(&protobuf[..]).expect("what was written decodes");
        proto::check::check(protobuf).expect("what was written is accepted");
        survives_json(&request);
    }
    if let Ok(request) = ExportTraceServiceRequest::decode(bytes) {
        survives_json(&request);
    }
});

fn survives_json(request: &ExportTraceServiceRequest) {
    if !all_attributes(request).all(is_writable) {
        return;
    }
    let json = serde_json::to_vec(request).expect("memory");
    match ingest::fuzzing::json(&json) {
        Ok(protobuf) => {
            let read = ExportTraceServiceRequest::decode(&protobuf[..]).expect("what was written decodes");
            assert_eq!(&read, request, "{}", String::from_utf8_lossy(&json));
        }
        // JSON nests deeper than protobuf for the same value, and both have a limit.
        Err(why) => assert!(why.contains("recursion limit"), "{why} in {}", String::from_utf8_lossy(&json)),
    }
}

fn all_attributes(request: &ExportTraceServiceRequest) -> impl Iterator<Item = &KeyValue> {
    let resources = request.resource_spans.iter().filter_map(|spans| spans.resource.as_ref());
    let scopes = request.resource_spans.iter().flat_map(|spans| &spans.scope_spans);
    let scopes = scopes.filter_map(|spans| spans.scope.as_ref());
    let spans = spanhold_fuzz::spans(request).flat_map(|span| {
        let events = span.events.iter().flat_map(|event| &event.attributes);
        let links = span.links.iter().flat_map(|link| &link.attributes);
        span.attributes.iter().chain(events).chain(links)
    });
    let shared = resources.flat_map(|resource| &resource.attributes).chain(scopes.flat_map(|scope| &scope.attributes));
    shared.chain(spans)
}

/// Whether the serialiser of opentelemetry-proto can write it: no empty values, no doubles beyond JSON's, nothing that
/// only profiles use.
fn is_writable(attribute: &KeyValue) -> bool {
    attribute.key_strindex == 0 && attribute.value.as_ref().is_some_and(is_writable_value)
}

fn is_writable_value(value: &AnyValue) -> bool {
    match &value.value {
        None | Some(Value::StringValueStrindex(_)) => false,
        Some(Value::DoubleValue(number)) => number.is_finite(),
        Some(Value::ArrayValue(array)) => array.values.iter().all(is_writable_value),
        Some(Value::KvlistValue(map)) => map.values.iter().all(is_writable),
        Some(_) => true,
    }
}
