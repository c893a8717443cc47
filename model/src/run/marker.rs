//! Start markers: spans that only say that another span has begun.
//!
//! Two conventions are known. Logfire sends a *pending span* of its own id, whose parent is the span that is to come and whose
//! attribute tells that span's parent. With `dbaas.span.state` the span itself is sent when it starts, and once more, with the
//! same id and a later end, when it has ended.

use proto::SpanId;

use crate::{Span, Value};

/// What kind of a start marker a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    /// It announces its parent, which will have this parent, or none.
    OfParent { parent: Option<SpanId> },
    /// It announces itself.
    OfItself,
}

/// Whether the span only says that a span has begun: it is in no latency.
#[must_use]
pub fn is_start_marker(span: &Span) -> bool {
    of(span).is_some()
}

/// `None` for an ordinary span.
pub(super) fn of(span: &Span) -> Option<Marker> {
    let mut is_pending = false;
    let mut parent = None;
    for attribute in &span.attributes {
        let Value::String(value) = &attribute.value else { continue };
        match attribute.key.as_str() {
            "dbaas.span.state" if value == "started" => return Some(Marker::OfItself),
            "logfire.span_type" => is_pending = value == "pending_span",
            "logfire.pending_parent_id" => parent = value.parse().ok(),
            _ => {}
        }
    }
    (is_pending && span.parent_span_id.is_some()).then_some(Marker::OfParent { parent })
}
