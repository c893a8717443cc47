use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span};
use proptest::prelude::*;

use super::*;
use crate::view;

fn span(trace_id: u8, span_id: u8) -> Span {
    Span { trace_id: vec![trace_id; 16], span_id: vec![span_id; 8], name: format!("s{span_id}"), ..Span::default() }
}

fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }],
    }
}

fn nested(levels: usize) -> Span {
    let mut value = AnyValue { value: Some(Value::IntValue(1)) };
    for _ in 0..levels {
        value = AnyValue { value: Some(Value::ArrayValue(ArrayValue { values: vec![value] })) };
    }
    let attribute = KeyValue { key: "deep".into(), value: Some(value), ..KeyValue::default() };
    Span { attributes: vec![attribute], ..span(1, 1) }
}

#[test]
fn an_empty_request_is_fine() {
    let (checked, rejections) = check(Vec::new()).expect("an empty message is valid protobuf");
    assert_eq!((checked.span_count(), rejections.total()), (0, 0));
}

#[test]
fn a_valid_request_is_kept_as_it_came() {
    let bytes = request(vec![span(2, 1), span(1, 2), span(2, 3)]).encode_to_vec();
    let (checked, rejections) = check(bytes.clone()).expect("valid");
    assert_eq!(checked.bytes(), bytes);
    assert_eq!(checked.span_count(), 3);
    assert!(rejections.is_empty());
}

#[test]
fn a_bad_span_is_left_out_alone() {
    let short_trace = Span { trace_id: vec![1; 8], ..span(1, 2) };
    let zero_span = Span { span_id: vec![0; 8], ..span(1, 3) };
    let odd_parent = Span { parent_span_id: vec![1; 4], ..span(1, 4) };
    let zero_parent = Span { parent_span_id: vec![0; 8], ..span(1, 5) };
    let bytes = request(vec![span(1, 1), short_trace, zero_span, odd_parent, zero_parent]).encode_to_vec();
    let (checked, rejections) = check(bytes).expect("valid protobuf");
    assert_eq!(checked.span_count(), 2);
    assert_eq!(rejections.total(), 3);
    let reasons: Vec<_> = rejections.reasons().collect();
    assert_eq!(
        reasons,
        [
            ("parent span id must be empty or 8 bytes, got 4", 1),
            ("span id is all zero", 1),
            ("trace id must be 16 bytes (32 hex digits), got 8 bytes", 1),
        ]
    );
    let names: Vec<_> = view::resource_spans(checked.bytes())
        .flat_map(|spans| spans.scope_spans().collect::<Vec<_>>())
        .flat_map(|spans| spans.spans().map(|span| span.name.as_str()).collect::<Vec<_>>())
        .collect();
    assert_eq!(names, ["s1", "s5"]);
}

#[test]
fn many_bad_spans_cost_no_memory_and_few_words() {
    // Two bytes each.
    let empty_spans = vec![Span::default(); 500_000];
    let (checked, rejections) = check(request(empty_spans).encode_to_vec()).expect("valid protobuf");
    assert_eq!((checked.span_count(), rejections.total()), (0, 500_000));
    let parents = (0..100).map(|length| Span { parent_span_id: vec![1; 9 + length], ..span(1, 1) }).collect();
    let (_, rejections) = check(request(parents).encode_to_vec()).expect("valid protobuf");
    assert_eq!((rejections.total(), rejections.reasons().count()), (100, REASONS_MAX + 1));
}

#[test]
fn bytes_that_are_no_request_are_refused() {
    let invalid_utf8 = {
        let mut bytes = request(vec![span(1, 1)]).encode_to_vec();
        let at = bytes.windows(2).position(|pair| pair == b"s1").expect("the name");
        bytes[at] = 0xff;
        bytes
    };
    for bytes in [b"{}".to_vec(), vec![0x0a, 0xff], invalid_utf8] {
        assert!(check(bytes.clone()).is_err(), "{bytes:?}");
    }
}

#[test]
fn what_protobuf_would_merge_is_merged() {
    let one = ResourceSpans {
        resource: Some(Resource { dropped_attributes_count: 7, ..Resource::default() }),
        ..ResourceSpans::default()
    };
    let mut inner = one.encode_to_vec();
    inner.extend(request(vec![span(1, 1)]).resource_spans[0].encode_to_vec());
    inner.extend(
        ResourceSpans {
            resource: Some(Resource { attributes: vec![KeyValue::default()], ..Resource::default() }),
            ..ResourceSpans::default()
        }
        .encode_to_vec(),
    );
    let mut bytes = vec![0x0a, u8::try_from(inner.len()).expect("short")];
    bytes.extend(inner);
    let (checked, _) = check(bytes).expect("valid");
    let spans = view::resource_spans(checked.bytes()).next().expect("one");
    let resource = view::ResourceView(spans.resource);
    assert_eq!((resource.dropped_attributes_count(), resource.attributes().count()), (7, 1));
}

#[test]
fn nesting_is_bounded_as_in_prost() {
    for levels in [1, 40, 46, 47, 48, 49, 60, 200] {
        let bytes = request(vec![nested(levels)]).encode_to_vec();
        let by_prost = ExportTraceServiceRequest::decode(&bytes[..]).is_ok();
        assert_eq!(check(bytes).is_ok(), by_prost, "{levels} levels");
    }
}

fn any_value() -> impl Strategy<Value = Option<AnyValue>> {
    let leaf = prop_oneof![
        Just(None),
        ".{0,8}".prop_map(|text| Some(Value::StringValue(text))),
        any::<bool>().prop_map(|flag| Some(Value::BoolValue(flag))),
        any::<i64>().prop_map(|number| Some(Value::IntValue(number))),
        any::<f64>().prop_map(|number| Some(Value::DoubleValue(number))),
        proptest::collection::vec(any::<u8>(), 0..4).prop_map(|bytes| Some(Value::BytesValue(bytes))),
    ]
    .prop_map(|value| AnyValue { value });
    let value = leaf.prop_recursive(3, 8, 3, |inner| {
        proptest::collection::vec(inner, 0..3)
            .prop_map(|values| AnyValue { value: Some(Value::ArrayValue(ArrayValue { values })) })
    });
    proptest::option::of(value)
}

fn any_span() -> impl Strategy<Value = Span> {
    let ids = (1..5u8, 1..9u8, prop_oneof![Just(vec![]), Just(vec![3; 8]), Just(vec![0; 8])]);
    let attributes = proptest::collection::vec((".{0,6}", any_value()), 0..4);
    (ids, any::<(u64, u64, i32, u32)>(), attributes, ".{0,9}", 0..4i32).prop_map(
        |((trace_id, span_id, parent_span_id), (start, end, kind, flags), attributes, message, code)| Span {
            parent_span_id,
            start_time_unix_nano: start,
            end_time_unix_nano: end,
            kind,
            flags,
            attributes: attributes
                .into_iter()
                .map(|(key, value)| KeyValue { key, value, ..KeyValue::default() })
                .collect(),
            events: vec![span::Event { name: message.clone(), time_unix_nano: end, ..span::Event::default() }],
            links: vec![span::Link { trace_id: vec![1; 3], flags, ..span::Link::default() }],
            status: Some(Status { message, code }),
            ..span(trace_id, span_id)
        },
    )
}

fn same_value(view: view::ValueView<'_>, value: Option<&AnyValue>) -> bool {
    use view::ValueView as V;
    match (view, value.and_then(|value| value.value.as_ref())) {
        (V::Empty, None) => true,
        (V::String(a), Some(Value::StringValue(b))) => a.as_str() == b,
        (V::Bool(a), Some(Value::BoolValue(b))) => a == *b,
        (V::Int(a), Some(Value::IntValue(b))) => a == *b,
        (V::Double(a), Some(Value::DoubleValue(b))) => a.to_bits() == b.to_bits(),
        (V::Bytes(a), Some(Value::BytesValue(b))) => a == b,
        (V::Array(a), Some(Value::ArrayValue(b))) => {
            let a: Vec<_> = a.values().collect();
            a.len() == b.values.len() && a.iter().zip(&b.values).all(|(a, b)| same_value(*a, Some(b)))
        }
        _ => false,
    }
}

proptest! {
    #[test]
    fn the_view_sees_what_prost_sees(spans in proptest::collection::vec(any_span(), 0..6)) {
        let (checked, rejections) = check(request(spans.clone()).encode_to_vec()).expect("valid");
        prop_assert!(rejections.is_empty());
        let views: Vec<_> = view::resource_spans(checked.bytes())
            .flat_map(|resource| resource.scope_spans().collect::<Vec<_>>())
            .flat_map(|scope| scope.spans().collect::<Vec<_>>())
            .collect();
        prop_assert_eq!(views.len(), spans.len());
        for (view, span) in views.iter().zip(&spans) {
            prop_assert_eq!(&view.trace_id.as_bytes()[..], &span.trace_id[..]);
            prop_assert_eq!(&view.span_id.as_bytes()[..], &span.span_id[..]);
            prop_assert_eq!(view.parent_span_id.is_some(), span.parent_span_id == vec![3; 8]);
            prop_assert_eq!((view.name.as_str(), view.kind, view.flags), (&span.name[..], span.kind, span.flags));
            prop_assert_eq!(view.start, crate::UnixNanos::from_wire(span.start_time_unix_nano));
            prop_assert_eq!(view.end, crate::UnixNanos::from_wire(span.end_time_unix_nano));
            let status = span.status.as_ref().expect("always set");
            prop_assert_eq!((view.status_code, view.status_message), (status.code, &status.message[..]));
            let attributes: Vec<_> = view.attributes().collect();
            prop_assert_eq!(attributes.len(), span.attributes.len());
            for (view, attribute) in attributes.iter().zip(&span.attributes) {
                prop_assert_eq!(view.key.as_str(), &attribute.key);
                prop_assert!(same_value(view.value, attribute.value.as_ref()));
            }
            prop_assert_eq!(view.events().map(|event| event.name).collect::<Vec<_>>(), vec![&status.message[..]]);
            prop_assert_eq!(view.links().map(|link| link.trace_id).collect::<Vec<_>>(), vec![&[1u8; 3][..]]);
        }
    }

    /// Whatever the bytes: what prost refuses is refused, what it accepts is accepted.
    #[test]
    fn accepts_what_prost_accepts(spans in proptest::collection::vec(any_span(), 0..3), flips in proptest::collection::vec((any::<u16>(), any::<u8>()), 0..4)) {
        let mut bytes = request(spans).encode_to_vec();
        for (at, byte) in flips {
            if !bytes.is_empty() {
                let at = usize::from(at) % bytes.len();
                bytes[at] = byte;
            }
        }
        prop_assert_eq!(check(bytes.clone()).is_ok(), ExportTraceServiceRequest::decode(&bytes[..]).is_ok());
    }
}
