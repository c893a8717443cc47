//! Batches of the hot tier: what was accepted comes back to the bit and is cut without a loss, and a damaged batch is an
//! error or is read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message;
use proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use proto::strip::{self, Scratch, Stripped};

/// Bytes of one edit: where, with what.
const EDIT_BYTES: usize = 3;

// The first byte says how many edits follow; then comes a request.
fuzz_target!(|input: &[u8]| {
    drop(store::fuzzing::unpack_batch(input));
    let Some((&edits, rest)) = input.split_first() else { return };
    let Some((edits, request)) = rest.split_at_checked(usize::from(edits) * EDIT_BYTES) else { return };
    let Some((checked, _)) = spanhold_fuzz::checked(request) else { return };
    let mut value = store::fuzzing::pack_batch(&checked).expect("memory");
    assert_eq!(store::fuzzing::unpack_batch(&value).expect("as it was written"), checked.bytes());
    survives_cutting(checked.bytes());

    let mut parts = Stripped::default();
    strip::strip(checked.bytes(), &mut Scratch::default(), &mut parts).expect("accepted");
    for edit in edits.chunks_exact(EDIT_BYTES) {
        let at = usize::from(u16::from_le_bytes([edit[0], edit[1]]));
        damage(&mut value, at, edit[2]);
        // zstd would hide most of what happens to these.
        damage(&mut parts.text, at, edit[2]);
        if let Some(number) = at.checked_rem(parts.parents.len()).and_then(|at| parts.parents.get_mut(at)) {
            *number ^= u32::from(edit[2]) << (at % 32);
        }
        if let Some(number) = at.checked_rem(parts.traces.len()).and_then(|at| parts.traces.get_mut(at)) {
            *number ^= u32::from(edit[2]) << (at % 32);
        }
    }
    drop(store::fuzzing::unpack_batch(&value));
    drop(strip::restore(&parts, checked.bytes().len()));
});

fn damage(bytes: &mut [u8], at: usize, with: u8) {
    if let Some(byte) = at.checked_rem(bytes.len()).and_then(|at| bytes.get_mut(at)) {
        *byte ^= with;
    }
}

/// Cut after every span, and after some: each piece has whole spans with their resource and scope.
fn survives_cutting(request: &[u8]) {
    let whole = ExportTraceServiceRequest::decode(request).expect("accepted");
    for piece_bytes in [1, 200] {
        let (mut pieces, mut counted) = (Vec::new(), 0);
        proto::split::split(request, piece_bytes, |piece, spans| {
            let piece = ExportTraceServiceRequest::decode(piece).expect("a request of its own");
            assert_eq!(spanhold_fuzz::spans(&piece).count(), spans);
            counted += spans;
            pieces.push(piece);
        });
        assert_eq!(counted, spanhold_fuzz::spans(&whole).count());
        let uncut: Vec<_> = each_span(&whole).collect();
        assert_eq!(pieces.iter().flat_map(each_span).collect::<Vec<_>>(), uncut);
    }
}

/// Every span with what surrounds it, as bytes, for a NaN is not equal to itself.
fn each_span(request: &ExportTraceServiceRequest) -> impl Iterator<Item = [Vec<u8>; 5]> {
    request.resource_spans.iter().flat_map(|resource_spans| {
        resource_spans.scope_spans.iter().flat_map(move |scope_spans| {
            scope_spans.spans.iter().map(move |span| {
                [
                    span.encode_to_vec(),
                    scope_spans.scope.clone().unwrap_or_default().encode_to_vec(),
                    scope_spans.schema_url.clone().into_bytes(),
                    resource_spans.resource.clone().unwrap_or_default().encode_to_vec(),
                    resource_spans.schema_url.clone().into_bytes(),
                ]
            })
        })
    })
}
