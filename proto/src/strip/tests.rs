use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::otlp::collector::trace::v1::ExportTraceServiceRequest;
use crate::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span};

fn stripped(request: &[u8]) -> Stripped {
    let mut parts = Stripped::default();
    strip(request, &mut Scratch::default(), &mut parts).expect("valid protobuf");
    parts
}

fn request(spans: Vec<Span>) -> Vec<u8> {
    let scope_spans = vec![ScopeSpans { spans, schema_url: "schema".to_owned(), ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn any_span() -> impl Strategy<Value = Span> {
    let bytes = |length: usize| prop_oneof![Just(vec![0; length]), prop::collection::vec(0u8..4, length), Just(vec![])];
    (bytes(16), bytes(8), bytes(8), any::<u64>(), any::<u64>(), ".{0,20}").prop_map(
        |(trace_id, span_id, parent_span_id, start_time_unix_nano, end_time_unix_nano, name)| Span {
            trace_id,
            span_id,
            parent_span_id,
            start_time_unix_nano,
            end_time_unix_nano,
            name,
            ..Span::default()
        },
    )
}

proptest! {
    #[test]
    fn every_request_comes_back_to_the_bit(spans in prop::collection::vec(any_span(), 0..40)) {
        let bytes = request(spans);
        prop_assert_eq!(restore(&stripped(&bytes), bytes.len()), Ok(bytes));
    }

    #[test]
    fn bytes_that_are_no_request_come_back_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut parts = Stripped::default();
        if strip(&bytes, &mut Scratch::default(), &mut parts).is_ok() {
            prop_assert_eq!(restore(&parts, bytes.len()), Ok(bytes));
        }
    }

    #[test]
    fn parts_that_do_not_fit_are_told(
        spans in prop::collection::vec(any_span(), 1..10),
        length in 0usize..2_000,
        text in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let bytes = request(spans);
        let mut parts = stripped(&bytes);
        if length != bytes.len() {
            prop_assert_eq!(restore(&parts, length), Err(Mismatch));
        }
        parts.text = text;
        // Anything but a panic or a lot of memory.
        let _ = restore(&parts, bytes.len());
    }
}

#[test]
fn ids_and_times_are_told_by_what_is_there_already() {
    let span = |trace: u8, id: u8, parent: u8, start: u64| Span {
        trace_id: vec![trace; 16],
        span_id: vec![id; 8],
        parent_span_id: vec![parent; 8],
        start_time_unix_nano: start,
        end_time_unix_nano: start + 5,
        ..Span::default()
    };
    // The child comes first, its parent next; the third has a parent that is elsewhere.
    let parts = stripped(&request(vec![span(1, 1, 2, 100), span(1, 2, 1, 90), span(3, 3, 9, 91)]));
    assert_eq!(parts.trace_ids, [[1; 16], [3; 16]].concat());
    assert_eq!(parts.traces, [0, 0, 1]);
    assert_eq!(parts.span_ids, [[1; 8], [2; 8], [3; 8]].concat());
    assert_eq!(parts.parents, [1, 4, 0]);
    assert_eq!(parts.other_parents, [9; 8]);
    assert_eq!(parts.starts, [200, 19, 2]);
    assert_eq!(parts.ends, [10, 10, 10]);
}
