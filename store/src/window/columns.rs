//! The spans of one window, column by column, in order of arrival. One row is one span.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use proto::view::{self, ResourceSpansView, ResourceView, ScopeSpansView, ScopeView, SpanView};
use proto::{SpanId, TraceId};

use super::attributes::AttributeTable;
use super::intern::{Interner, TextId};
use super::sparse::Sparse;
use super::traces::{TraceNumber, TraceTable};
use crate::hot::keys::BatchNumber;
use crate::prepare::PreparedRequest;
use crate::{convert, json};

/// A resource or scope as its block keeps it.
pub(crate) struct ResourceRow {
    /// JSON, see `docs/format.md`.
    pub(crate) json: TextId,
    /// `service.name`.
    pub(crate) service: TextId,
}

/// One event of one row.
pub(crate) struct EventRow {
    pub(crate) time_unix_nano: i64,
    pub(crate) name: TextId,
    /// JSON of the attributes.
    pub(crate) attributes: TextId,
    pub(crate) dropped_attributes_count: u32,
}

/// One link of one row.
pub(crate) struct LinkRow {
    pub(crate) trace_id: Box<[u8]>,
    pub(crate) span_id: Box<[u8]>,
    pub(crate) trace_state: TextId,
    /// JSON of the attributes.
    pub(crate) attributes: TextId,
    pub(crate) dropped_attributes_count: u32,
    pub(crate) flags: u32,
}

/// The rows of a window. All vectors but the sparse ones have one element per row.
#[derive(Default)]
pub(crate) struct Columns {
    pub(crate) texts: Interner,
    pub(crate) traces: TraceTable,
    /// The first row of each batch, ascending.
    batches: Vec<(u32, BatchNumber)>,
    pub(crate) span_id: Vec<SpanId>,
    pub(crate) parent_span_id: Vec<Option<SpanId>>,
    pub(crate) start: Vec<i64>,
    pub(crate) end: Vec<i64>,
    pub(crate) name: Vec<TextId>,
    pub(crate) kind: Vec<u8>,
    pub(crate) status: Vec<u8>,
    pub(crate) flags: Vec<u32>,
    /// Index into `resources`.
    pub(crate) resource: Vec<u32>,
    /// JSON of the scope, see `docs/format.md`.
    pub(crate) scope: Vec<TextId>,
    pub(crate) trace_state: Sparse<TextId>,
    pub(crate) status_message: Sparse<TextId>,
    pub(crate) dropped_attributes_count: Sparse<u32>,
    pub(crate) dropped_events_count: Sparse<u32>,
    pub(crate) dropped_links_count: Sparse<u32>,
    pub(crate) attributes: AttributeTable,
    pub(crate) events: Sparse<EventRow>,
    pub(crate) links: Sparse<LinkRow>,
    pub(crate) resources: Vec<ResourceRow>,
    known_resources: HashMap<Box<[u8]>, u32, RandomState>,
    known_scopes: HashMap<Box<[u8]>, TextId, RandomState>,
    scratch: String,
    key_scratch: Vec<u8>,
}

/// Rows that room is made for at most: a setting far beyond what windows reach must not ask for all memory.
const ROOM_ROWS_MAX: usize = 1 << 20;

impl Columns {
    /// With room for `rows` rows, so that columns do not move while they grow.
    pub(crate) fn with_capacity(rows: usize) -> Self {
        let rows = rows.min(ROOM_ROWS_MAX);
        Self {
            traces: TraceTable::with_capacity(rows),
            span_id: Vec::with_capacity(rows),
            parent_span_id: Vec::with_capacity(rows),
            start: Vec::with_capacity(rows),
            end: Vec::with_capacity(rows),
            name: Vec::with_capacity(rows),
            kind: Vec::with_capacity(rows),
            status: Vec::with_capacity(rows),
            flags: Vec::with_capacity(rows),
            resource: Vec::with_capacity(rows),
            scope: Vec::with_capacity(rows),
            ..Self::default()
        }
    }

    /// Rows there are.
    pub(crate) fn len(&self) -> usize {
        self.traces.len()
    }

    /// Adds the spans of a durable request, whose first batch has the number `batch`.
    pub(crate) fn push_request(&mut self, request: &PreparedRequest, batch: BatchNumber) {
        let mut row = self.len() as u32;
        for (number, piece) in (batch..).zip(request.pieces()) {
            self.batches.push((row, number));
            row += piece.spans;
        }
        self.push_spans(request.bytes());
    }

    /// Adds the spans of a batch that the hot tier gives back.
    pub(crate) fn push_batch(&mut self, batch: BatchNumber, request: &[u8]) {
        self.batches.push((self.len() as u32, batch));
        self.push_spans(request);
    }

    /// The batches that have spans of a trace, ascending.
    pub(crate) fn batches_of(&self, trace: TraceNumber) -> Vec<BatchNumber> {
        let batch_of = |row: u32| {
            let after = self.batches.partition_point(|(first, _)| *first <= row);
            Some(self.batches.get(after.checked_sub(1)?)?.1)
        };
        let mut batches: Vec<_> = self.traces.rows(trace).filter_map(batch_of).collect();
        batches.dedup();
        batches.reverse();
        batches
    }

    fn push_spans(&mut self, request: &[u8]) {
        for resource_spans in view::resource_spans(request) {
            let resource = self.resource(&resource_spans);
            for scope_spans in resource_spans.scope_spans() {
                let scope = self.scope(&scope_spans);
                for span in scope_spans.spans() {
                    self.push_span(&span, resource, scope);
                }
            }
        }
    }

    /// Whether a span of `trace_id` with this parent is a root: without a parent, or with the low half of its trace id
    /// as the parent, which is how pg_tracing says that there is none.
    pub(crate) fn is_root(trace_id: TraceId, parent: Option<SpanId>) -> bool {
        parent.is_none() || parent == trace_id.low_half()
    }

    fn push_span(&mut self, span: &SpanView<'_>, resource: u32, scope: TextId) {
        let row = self.len() as u32;
        self.traces.push(span.trace_id);
        self.span_id.push(span.span_id);
        self.parent_span_id.push(span.parent_span_id);
        self.start.push(span.start.as_i64());
        self.end.push(span.end.as_i64());
        let name = self.texts.intern(span.name);
        self.name.push(name);
        self.kind.push(model::SpanKind::from_wire(span.kind).to_wire() as u8);
        self.status.push(model::StatusCode::from_wire(span.status_code).to_wire() as u8);
        self.flags.push(span.flags);
        self.resource.push(resource);
        self.scope.push(scope);
        if !span.trace_state.is_empty() {
            self.trace_state.push(row, self.texts.intern(span.trace_state));
        }
        if !span.status_message.is_empty() {
            self.status_message.push(row, self.texts.intern(span.status_message));
        }
        for (column, count) in [
            (&mut self.dropped_attributes_count, span.dropped_attributes_count),
            (&mut self.dropped_events_count, span.dropped_events_count),
            (&mut self.dropped_links_count, span.dropped_links_count),
        ] {
            if count > 0 {
                column.push(row, count);
            }
        }
        self.attributes.push(&mut self.texts, row, name, span.attributes());
        if span.has_events {
            self.push_events(row, span);
        }
        if span.has_links {
            self.push_links(row, span);
        }
    }

    fn push_events(&mut self, row: u32, span: &SpanView<'_>) {
        for event in span.events() {
            self.scratch.clear();
            json::write_attributes(&mut self.scratch, event.attributes());
            self.events.push(
                row,
                EventRow {
                    time_unix_nano: event.time.as_i64(),
                    name: self.texts.intern(event.name),
                    attributes: self.texts.intern(self.scratch.as_str()),
                    dropped_attributes_count: event.dropped_attributes_count,
                },
            );
        }
    }

    fn push_links(&mut self, row: u32, span: &SpanView<'_>) {
        for link in span.links() {
            self.scratch.clear();
            json::write_attributes(&mut self.scratch, link.attributes());
            self.links.push(
                row,
                LinkRow {
                    trace_id: link.trace_id.into(),
                    span_id: link.span_id.into(),
                    trace_state: self.texts.intern(link.trace_state),
                    attributes: self.texts.intern(self.scratch.as_str()),
                    dropped_attributes_count: link.dropped_attributes_count,
                    flags: link.flags,
                },
            );
        }
    }

    /// The number of a resource; the JSON is made once per distinct resource, not per request.
    fn resource(&mut self, spans: &ResourceSpansView<'_>) -> u32 {
        self.key_scratch.clear();
        self.key_scratch.extend_from_slice(spans.schema_url.as_bytes());
        self.key_scratch.push(0);
        self.key_scratch.extend_from_slice(spans.resource);
        if let Some(known) = self.known_resources.get(&self.key_scratch[..]) {
            return *known;
        }
        let view = ResourceView(spans.resource);
        self.scratch.clear();
        write_shared_json(
            &mut self.scratch,
            &[("schema_url", spans.schema_url)],
            view.dropped_attributes_count(),
            |out| json::write_attributes(out, view.attributes()),
        );
        let json = self.texts.intern(self.scratch.as_str());
        let service = self.texts.intern(convert::resource(spans).service());
        let number = self.resources.len() as u32;
        self.resources.push(ResourceRow { json, service });
        self.known_resources.insert(self.key_scratch.clone().into(), number);
        number
    }

    fn scope(&mut self, spans: &ScopeSpansView<'_>) -> TextId {
        self.key_scratch.clear();
        self.key_scratch.extend_from_slice(spans.schema_url.as_bytes());
        self.key_scratch.push(0);
        self.key_scratch.extend_from_slice(spans.scope);
        if let Some(known) = self.known_scopes.get(&self.key_scratch[..]) {
            return *known;
        }
        let view = ScopeView(spans.scope);
        self.scratch.clear();
        write_shared_json(
            &mut self.scratch,
            &[("name", view.name()), ("version", view.version()), ("schema_url", spans.schema_url)],
            view.dropped_attributes_count(),
            |out| json::write_attributes(out, view.attributes()),
        );
        let json = self.texts.intern(self.scratch.as_str());
        self.known_scopes.insert(self.key_scratch.clone().into(), json);
        json
    }
}

/// A resource or scope as an object: its texts unless empty, the count of dropped attributes unless 0, its attributes.
fn write_shared_json(
    out: &mut String,
    texts: &[(&str, &str)],
    dropped_attributes_count: u32,
    write_attributes: impl FnOnce(&mut String),
) {
    use std::fmt::Write;
    out.push('{');
    for (key, text) in texts.iter().filter(|(_, text)| !text.is_empty()) {
        let _ = write!(out, "\"{key}\":");
        json::write_string(out, text);
        out.push(',');
    }
    if dropped_attributes_count > 0 {
        let _ = write!(out, "\"dropped_attributes_count\":{dropped_attributes_count},");
    }
    out.push_str("\"attributes\":");
    let before = out.len();
    write_attributes(out);
    if out.len() == before {
        out.push_str("{}");
    }
    out.push('}');
}
