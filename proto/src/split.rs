//! Cuts an export request into smaller ones, so that a reader who wants one trace need not decompress all of it.
//!
//! For bytes that [`crate::check`] accepted. A piece is an `ExportTraceServiceRequest` of its own: it repeats the
//! resource and the scope of its spans. Spans keep their order and their bytes.

use crate::wire::{Field, Fields};

/// `resource_spans` of a request, `scope_spans` of those, `spans` of those; all length-delimited, so one byte each.
const RESOURCE_SPANS: u32 = 1;
const SCOPE_SPANS: u32 = 2;
const SPANS: u32 = 2;

/// Bytes of a length that is filled in when its message is complete. Protobuf allows a varint to be longer than it
/// needs to be; four bytes reach 256 MiB, far beyond any accepted request.
const LENGTH_BYTES: usize = 4;

/// Calls `each` with pieces of `request` and the number of spans in each. A piece ends with the span that makes it
/// `piece_bytes` long or longer.
pub fn split(request: &[u8], piece_bytes: usize, each: impl FnMut(&[u8], usize)) {
    let mut cutter = Cutter { piece: Vec::with_capacity(piece_bytes + piece_bytes / 4), spans: 0, open: None, each };
    let (mut resource_head, mut scope_head) = (Vec::new(), Vec::new());
    for (_, resource_spans) in raw_fields(request).filter(|(field, _)| is_message(field, RESOURCE_SPANS)) {
        let resource_spans = payload(resource_spans);
        copy_all_but(resource_spans, SCOPE_SPANS, &mut resource_head);
        for (_, scope_spans) in raw_fields(resource_spans).filter(|(field, _)| is_message(field, SCOPE_SPANS)) {
            let scope_spans = payload(scope_spans);
            copy_all_but(scope_spans, SPANS, &mut scope_head);
            for (_, span) in raw_fields(scope_spans).filter(|(field, _)| is_message(field, SPANS)) {
                cutter.push(span, &resource_head, &scope_head);
                if cutter.piece.len() >= piece_bytes {
                    cutter.cut();
                }
            }
            cutter.close();
        }
    }
    cutter.cut();
}

/// A piece as it grows.
struct Cutter<F> {
    piece: Vec<u8>,
    spans: usize,
    /// Where the lengths of the unfinished `ResourceSpans` and `ScopeSpans` go.
    open: Option<(usize, usize)>,
    each: F,
}

impl<F: FnMut(&[u8], usize)> Cutter<F> {
    fn push(&mut self, span: &[u8], resource_head: &[u8], scope_head: &[u8]) {
        if self.open.is_none() {
            let resource = self.begin(RESOURCE_SPANS);
            self.piece.extend_from_slice(resource_head);
            let scope = self.begin(SCOPE_SPANS);
            self.piece.extend_from_slice(scope_head);
            self.open = Some((resource, scope));
        }
        self.piece.extend_from_slice(span);
        self.spans += 1;
    }

    /// Starts a message; says where its length goes.
    fn begin(&mut self, number: u32) -> usize {
        self.piece.push((number << 3 | 2) as u8);
        let at = self.piece.len();
        self.piece.extend_from_slice(&[0; LENGTH_BYTES]);
        at
    }

    fn close(&mut self) {
        let Some((resource, scope)) = self.open.take() else { return };
        let end = self.piece.len();
        for at in [resource, scope] {
            let mut length = end - at - LENGTH_BYTES;
            for (position, byte) in self.piece[at..at + LENGTH_BYTES].iter_mut().enumerate() {
                let more = position + 1 < LENGTH_BYTES;
                *byte = (length & 0x7f) as u8 | if more { 0x80 } else { 0 };
                length >>= 7;
            }
        }
    }

    fn cut(&mut self) {
        self.close();
        if self.spans > 0 {
            (self.each)(&self.piece, self.spans);
        }
        self.piece.clear();
        self.spans = 0;
    }
}

/// Each field with its bytes, tag included.
fn raw_fields(message: &[u8]) -> impl Iterator<Item = ((u32, Field<'_>), &[u8])> {
    let mut fields = Fields::new(message);
    std::iter::from_fn(move || {
        let before = fields.rest();
        let field = fields.next()?;
        Some((field, &before[..before.len() - fields.rest().len()]))
    })
}

fn is_message((number, field): &(u32, Field<'_>), wanted: u32) -> bool {
    *number == wanted && matches!(field, Field::Bytes(_))
}

/// The content of a length-delimited field.
fn payload(raw: &[u8]) -> &[u8] {
    match Fields::new(raw).next() {
        Some((_, Field::Bytes(bytes))) => bytes,
        _ => &[],
    }
}

fn copy_all_but(message: &[u8], left_out: u32, out: &mut Vec<u8>) {
    out.clear();
    for (field, raw) in raw_fields(message) {
        if !is_message(&field, left_out) {
            out.extend_from_slice(raw);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::collector::trace::v1::ExportTraceServiceRequest;
    use crate::otlp::common::v1::InstrumentationScope;
    use crate::otlp::resource::v1::Resource;
    use crate::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span};
    use prost::Message;

    fn request(resources: u32, scopes: u32, spans: u32) -> ExportTraceServiceRequest {
        let span = |number: u32| Span { trace_id: vec![7; 16], name: format!("span {number}"), ..Span::default() };
        let scope = |number: u32| ScopeSpans {
            scope: Some(InstrumentationScope { name: format!("scope {number}"), ..InstrumentationScope::default() }),
            spans: (0..spans).map(span).collect(),
            schema_url: "scope schema".to_owned(),
        };
        let resource = |number: u32| ResourceSpans {
            resource: Some(Resource { dropped_attributes_count: number + 1, ..Resource::default() }),
            scope_spans: (0..scopes).map(scope).collect(),
            schema_url: "schema".to_owned(),
        };
        ExportTraceServiceRequest { resource_spans: (0..resources).map(resource).collect() }
    }

    /// Every span with its resource and scope.
    fn flat(request: &ExportTraceServiceRequest) -> Vec<(Resource, String, InstrumentationScope, String, Span)> {
        let mut all = Vec::new();
        for of_resource in &request.resource_spans {
            for of_scope in &of_resource.scope_spans {
                for span in &of_scope.spans {
                    all.push((
                        of_resource.resource.clone().unwrap_or_default(),
                        of_resource.schema_url.clone(),
                        of_scope.scope.clone().unwrap_or_default(),
                        of_scope.schema_url.clone(),
                        span.clone(),
                    ));
                }
            }
        }
        all
    }

    #[test]
    fn pieces_have_all_spans_in_order_with_their_resource_and_scope() {
        for (resources, scopes, spans) in [(1, 1, 1), (3, 2, 50), (1, 1, 400), (5, 0, 0), (2, 3, 1)] {
            let whole = request(resources, scopes, spans);
            for piece_bytes in [1, 100, 1_000, 1 << 20] {
                let mut found = Vec::new();
                split(&whole.encode_to_vec(), piece_bytes, |piece, count| {
                    let piece = ExportTraceServiceRequest::decode(piece).expect("valid protobuf");
                    let spans = flat(&piece);
                    assert_eq!(spans.len(), count);
                    found.extend(spans);
                });
                assert_eq!(found, flat(&whole), "{resources} {scopes} {spans} at {piece_bytes}");
            }
        }
    }

    #[test]
    fn pieces_are_about_as_long_as_asked() {
        let whole = request(1, 1, 2_000).encode_to_vec();
        let mut lengths = Vec::new();
        split(&whole, 4_000, |piece, _| lengths.push(piece.len()));
        let last = lengths.pop().expect("at least one");
        assert!(lengths.iter().all(|length| (4_000..4_100).contains(length)), "{lengths:?}");
        assert!(last < 4_100);
    }
}
