use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use proto::otlp::collector::trace::v1::ExportTraceServiceRequest;

use super::*;

const END: UnixNanos = UnixNanos::from_wire(1_763_920_000_000_000_000);

fn workload(arrangement: Arrangement) -> Workload {
    Workload::new(&WorkloadSettings { seed: 7, end: END, span_count: 20_000, arrangement, lookup_count: 100 })
}

fn decoded(workload: &Workload) -> Vec<ExportTraceServiceRequest> {
    let decode = |request: &bytes::Bytes| ExportTraceServiceRequest::decode(request.clone()).expect("OTLP");
    workload.requests.iter().map(decode).collect()
}

/// Requests in which each trace has spans, and all its spans.
fn traces(requests: &[ExportTraceServiceRequest]) -> BTreeMap<Vec<u8>, (BTreeSet<usize>, u64)> {
    let mut traces: BTreeMap<Vec<u8>, (BTreeSet<usize>, u64)> = BTreeMap::new();
    for (position, request) in requests.iter().enumerate() {
        let scopes = request.resource_spans.iter().flat_map(|group| &group.scope_spans);
        for span in scopes.flat_map(|scope| &scope.spans) {
            let (requests, count) = traces.entry(span.trace_id.clone()).or_default();
            requests.insert(position);
            *count += 1;
        }
    }
    traces
}

#[test]
fn whole_traces_are_in_one_request() {
    let workload = workload(Arrangement::Whole);
    let traces = traces(&decoded(&workload));
    assert!(traces.values().all(|(requests, _)| requests.len() == 1));
    assert_eq!(traces.len() as u64, workload.trace_count);
}

#[test]
fn scattered_traces_are_in_several_requests() {
    let workload = workload(Arrangement::Scattered);
    let traces = traces(&decoded(&workload));
    let apart = traces.values().filter(|(requests, _)| requests.len() > 1).count();
    assert!(apart * 2 > traces.len(), "{apart} of {} traces", traces.len());
}

#[test]
fn counts_are_those_of_the_encoded_spans() {
    for arrangement in [Arrangement::Whole, Arrangement::Scattered] {
        let workload = workload(arrangement);
        let traces = traces(&decoded(&workload));
        let span_count: u64 = traces.values().map(|(_, count)| count).sum();
        assert_eq!(workload.span_count, span_count);
        assert!((20_000..22_000).contains(&span_count), "{span_count} spans");
        assert_eq!(workload.lookups.len(), 100);
        for lookup in &workload.lookups {
            assert_eq!(lookup.span_count, traces[lookup.trace_id.as_bytes().as_slice()].1);
        }
    }
}

#[test]
fn the_mix_is_that_of_a_database_platform() {
    let workload = workload(Arrangement::Whole);
    let per_span = |amount: u64| amount as f64 / workload.span_count as f64;
    let attributes = per_span(workload.attribute_count);
    assert!((4.5..6.0).contains(&attributes), "{attributes} attributes per span");
    let bytes = per_span(workload.wire_bytes());
    assert!((260.0..330.0).contains(&bytes), "{bytes} bytes per span");
    let spans_per_trace = workload.span_count as f64 / workload.trace_count as f64;
    assert!((5.0..8.0).contains(&spans_per_trace), "{spans_per_trace} spans per trace");
    assert!(workload.resource_count > 200, "{} resources", workload.resource_count);
}

#[test]
fn a_seed_repeats() {
    assert_eq!(workload(Arrangement::Scattered).requests, workload(Arrangement::Scattered).requests);
}
