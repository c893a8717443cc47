//! `proto::check`: accepts what prost accepts, and keeps of it all but the spans with bad ids.

#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message;
use proto::otlp::collector::trace::v1::ExportTraceServiceRequest;

fuzz_target!(|bytes: &[u8]| {
    let Some((checked, expected)) = spanhold_fuzz::checked(bytes) else { return };
    let kept = ExportTraceServiceRequest::decode(checked.bytes()).expect("what was kept decodes");
    // As bytes, for a NaN is not equal to itself.
    assert_eq!(kept.encode_to_vec(), expected.encode_to_vec());

    let (again, rejections) = proto::check::check(checked.bytes().to_vec()).expect("what was kept is accepted");
    assert_eq!((again.bytes(), rejections.is_empty()), (checked.bytes(), true), "and nothing more is left out");
});
