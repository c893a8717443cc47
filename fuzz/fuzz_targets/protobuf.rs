//! `proto::check`: accepts what prost accepts, and keeps of it all but the spans with bad ids.

#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use prost::Message;
use proto::otlp::collector::trace::v1::ExportTraceServiceRequest;

fuzz_target!(|bytes: &[u8]| {
    let Some((checked, expected)) = spanhold_fuzz::checked(bytes) else { return };
    let kept = ExportTraceServiceRequest::decode(checked.bytes()).expect("what was kept decodes");
    // As bytes, for a NaN is not equal to itself.
    assert_eq!(kept.encode_to_vec(), expected.encode_to_vec());
    let trace_ids: BTreeSet<_> = spanhold_fuzz::spans(&expected).map(|span| span.trace_id.clone()).collect();
    assert!(checked.trace_ids().iter().map(|id| id.as_bytes().to_vec()).eq(trace_ids), "distinct and sorted");

    let (again, rejections) = proto::check::check(checked.bytes().to_vec()).expect("what was kept is accepted");
    assert_eq!((again.bytes(), rejections.is_empty()), (checked.bytes(), true), "and nothing more is left out");
});
