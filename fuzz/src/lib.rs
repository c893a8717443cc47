//! What the fuzz targets share: what prost makes of the bytes of a request, as the yardstick of our own readers.
//!
//! Owns no target and no seed. A target panics where ours and prost's reading differ.

pub mod sample;
pub mod view;

use prost::Message;
use proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use proto::otlp::trace::v1::Span;

/// Requests up to this size get the same treatment whether or not prost has to look at them; see `proto::check`.
const BYTES_MAX: usize = 1 << 20;

/// Checks a request and compares the verdict with prost's. Returns what was accepted and what prost says it must be.
///
/// # Panics
/// When the verdicts differ.
#[must_use]
pub fn checked(bytes: &[u8]) -> Option<(proto::CheckedRequest, ExportTraceServiceRequest)> {
    if bytes.len() > BYTES_MAX {
        return None;
    }
    let ours = proto::check::check(bytes.to_vec());
    let prosts = ExportTraceServiceRequest::decode(bytes);
    let (checked, rejections, mut request) = match (ours, prosts) {
        (Ok((checked, rejections)), Ok(request)) => (checked, rejections, request),
        (Err(_), Err(_)) => return None,
        (ours, prosts) => panic!("we say {:?}, prost says {prosts:?}", ours.map(|(checked, _)| checked)),
    };
    let sent = spans(&request).count();
    for scope_spans in request.resource_spans.iter_mut().flat_map(|resource| &mut resource.scope_spans) {
        scope_spans.spans.retain(has_valid_ids);
    }
    let kept = spans(&request).count();
    assert_eq!((checked.span_count(), rejections.total()), (kept, sent - kept), "spans kept and left out");
    Some((checked, request))
}

/// All spans of a request.
pub fn spans(request: &ExportTraceServiceRequest) -> impl Iterator<Item = &Span> {
    request.resource_spans.iter().flat_map(|resource| &resource.scope_spans).flat_map(|scope| &scope.spans)
}

/// The rule of the specification, without the types of `proto::ids`. A parent of zeros means "none" to some senders.
fn has_valid_ids(span: &Span) -> bool {
    span.trace_id.len() == 16
        && span.trace_id.iter().any(|byte| *byte != 0)
        && span.span_id.len() == 8
        && span.span_id.iter().any(|byte| *byte != 0)
        && matches!(span.parent_span_id.len(), 0 | 8)
}
