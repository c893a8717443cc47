//! `proto::view`: reads from the bytes of every accepted request the values that prost reads.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spanhold_fuzz::view::{pairs, same_resource_spans};

fuzz_target!(|bytes: &[u8]| {
    // The view promises not to break on bytes that nobody checked.
    for resource_spans in proto::view::resource_spans(bytes) {
        resource_spans.scope_spans().for_each(|scope| scope.spans().for_each(|span| drop(format!("{span:?}"))));
    }
    if let Some((checked, expected)) = spanhold_fuzz::checked(bytes) {
        pairs(proto::view::resource_spans(checked.bytes()), &expected.resource_spans, |view, decoded| {
            same_resource_spans(&view, decoded);
        });
    }
});
