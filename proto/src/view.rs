//! OTLP messages read in place: each view borrows the request's bytes and finds its fields when asked.
//!
//! For bytes that [`crate::check`] accepted. On others nothing breaks, but fields after the first malformed one are
//! missing. Field numbers: opentelemetry-proto `trace/v1`, `common/v1`, `resource/v1`.

use crate::wire::{Field, Fields};
use crate::{SpanId, TraceId, UnixNanos};

/// A `string` whose bytes were checked before, and are not looked at again until the text is asked for: most of what a request has
/// was in the one before it, and comparing bytes tells that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    /// As it was sent.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The text; empty when it was not checked and is none.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        std::str::from_utf8(self.0).unwrap_or_default()
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(text.as_bytes())
    }
}

/// `ExportTraceServiceRequest` and `TracesData`: a list of [`ResourceSpansView`].
pub fn resource_spans(request: &[u8]) -> impl Iterator<Item = ResourceSpansView<'_>> {
    messages(request, 1).map(ResourceSpansView::new)
}

/// `ResourceSpans`.
#[derive(Debug, Clone, Copy)]
pub struct ResourceSpansView<'a> {
    message: &'a [u8],
    /// The bytes of the `Resource`; empty when none was sent.
    pub resource: &'a [u8],
    /// Schema of the resource.
    pub schema_url: &'a str,
}

impl<'a> ResourceSpansView<'a> {
    fn new(message: &'a [u8]) -> Self {
        let mut view = Self { message, resource: &[], schema_url: "" };
        for (number, field) in Fields::new(message) {
            match number {
                1 => view.resource = field.bytes().unwrap_or_default(),
                3 => view.schema_url = field.str().unwrap_or_default(),
                _ => {}
            }
        }
        view
    }

    /// The spans by scope.
    pub fn scope_spans(&self) -> impl Iterator<Item = ScopeSpansView<'a>> + use<'a> {
        messages(self.message, 2).map(ScopeSpansView::new)
    }
}

/// `ScopeSpans`.
#[derive(Debug, Clone, Copy)]
pub struct ScopeSpansView<'a> {
    message: &'a [u8],
    /// The bytes of the `InstrumentationScope`; empty when none was sent.
    pub scope: &'a [u8],
    /// Schema of the scope.
    pub schema_url: &'a str,
}

impl<'a> ScopeSpansView<'a> {
    fn new(message: &'a [u8]) -> Self {
        let mut view = Self { message, scope: &[], schema_url: "" };
        for (number, field) in Fields::new(message) {
            match number {
                1 => view.scope = field.bytes().unwrap_or_default(),
                3 => view.schema_url = field.str().unwrap_or_default(),
                _ => {}
            }
        }
        view
    }

    /// The spans.
    pub fn spans(&self) -> impl Iterator<Item = SpanView<'a>> + use<'a> {
        messages(self.message, 2).filter_map(SpanView::new)
    }

    /// The spans of one trace; the others are passed over by their first bytes.
    pub fn spans_of(&self, trace_id: TraceId) -> impl Iterator<Item = SpanView<'a>> + use<'a> {
        let spans = messages(self.message, 2).filter(move |span| may_be_of(span, trace_id));
        spans.filter_map(SpanView::new).filter(move |span| span.trace_id == trace_id)
    }
}

/// Whether a span may be of a trace. Every SDK writes the trace id first.
fn may_be_of(span: &[u8], trace_id: TraceId) -> bool {
    const TAG_AND_LENGTH: [u8; 2] = [1 << 3 | 2, TraceId::LEN as u8];
    match span.strip_prefix(&TAG_AND_LENGTH) {
        Some(rest) => rest.starts_with(trace_id.as_bytes()),
        None => true,
    }
}

/// `Resource`: attributes and the count of dropped ones.
#[derive(Debug, Clone, Copy)]
pub struct ResourceView<'a>(pub &'a [u8]);

impl<'a> ResourceView<'a> {
    /// The resource's attributes.
    pub fn attributes(&self) -> impl Iterator<Item = KeyValueView<'a>> + use<'a> {
        messages(self.0, 1).map(KeyValueView::new)
    }

    /// How many more attributes the sender had.
    #[must_use]
    pub fn dropped_attributes_count(&self) -> u32 {
        last_varint(self.0, 2) as u32
    }
}

/// `InstrumentationScope`.
#[derive(Debug, Clone, Copy)]
pub struct ScopeView<'a>(pub &'a [u8]);

impl<'a> ScopeView<'a> {
    /// The library's name.
    #[must_use]
    pub fn name(&self) -> &'a str {
        last_str(self.0, 1)
    }

    /// The library's version.
    #[must_use]
    pub fn version(&self) -> &'a str {
        last_str(self.0, 2)
    }

    /// The scope's attributes.
    pub fn attributes(&self) -> impl Iterator<Item = KeyValueView<'a>> + use<'a> {
        messages(self.0, 3).map(KeyValueView::new)
    }

    /// How many more attributes the sender had.
    #[must_use]
    pub fn dropped_attributes_count(&self) -> u32 {
        last_varint(self.0, 4) as u32
    }
}

/// `Span`, its single fields found in one pass; lists are read when asked for.
#[derive(Debug, Clone, Copy)]
pub struct SpanView<'a> {
    message: &'a [u8],
    /// From the first attribute on; they stand together behind the other fields in what SDKs write.
    from_attributes: &'a [u8],
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// Itself.
    pub span_id: SpanId,
    /// `None` when none, or all zeros, was sent.
    pub parent_span_id: Option<SpanId>,
    /// W3C `tracestate`.
    pub trace_state: &'a str,
    /// W3C trace flags and `is_remote` bits.
    pub flags: u32,
    /// The operation.
    pub name: Text<'a>,
    /// `SpanKind` as sent.
    pub kind: i32,
    /// When it began.
    pub start: UnixNanos,
    /// When it ended.
    pub end: UnixNanos,
    /// `Status.code` as sent.
    pub status_code: i32,
    /// `Status.message`.
    pub status_message: &'a str,
    /// How many more attributes the sender had.
    pub dropped_attributes_count: u32,
    /// How many more events the sender had.
    pub dropped_events_count: u32,
    /// How many more links the sender had.
    pub dropped_links_count: u32,
    /// Whether [`Self::events`] has any.
    pub has_events: bool,
    /// Whether [`Self::links`] has any.
    pub has_links: bool,
}

impl<'a> SpanView<'a> {
    /// Reads a span; `None` when an id is not valid.
    #[must_use]
    pub fn new(message: &'a [u8]) -> Option<Self> {
        let (mut trace_id, mut span_id, mut ids_are_first) = (None, None, true);
        let mut fields = Fields::new(message);
        while trace_id.is_none() || span_id.is_none() {
            match fields.try_next() {
                Ok(Some((1, Field::Bytes(bytes)))) => trace_id = TraceId::from_bytes(bytes).ok(),
                Ok(Some((2, Field::Bytes(bytes)))) => span_id = SpanId::from_bytes(bytes).ok(),
                Ok(Some(_)) => ids_are_first = false,
                Ok(None) | Err(_) => return None,
            }
        }
        // As every SDK writes them.
        if !ids_are_first {
            fields = Fields::new(message);
        }
        let mut view = Self {
            message,
            from_attributes: &[],
            trace_id: trace_id?,
            span_id: span_id?,
            parent_span_id: None,
            trace_state: "",
            flags: 0,
            name: Text::default(),
            kind: 0,
            start: UnixNanos::ZERO,
            end: UnixNanos::ZERO,
            status_code: 0,
            status_message: "",
            dropped_attributes_count: 0,
            dropped_events_count: 0,
            dropped_links_count: 0,
            has_events: false,
            has_links: false,
        };
        let mut from_here = fields.rest();
        while let Ok(Some((number, field))) = fields.try_next() {
            match (number, field) {
                (9, Field::Bytes(_)) if view.from_attributes.is_empty() => view.from_attributes = from_here,
                (9, Field::Bytes(_)) => {}
                (3, Field::Bytes(_)) => view.trace_state = field.str().unwrap_or_default(),
                (4, Field::Bytes(bytes)) => view.parent_span_id = SpanId::from_bytes(bytes).ok(),
                (5, Field::Bytes(name)) => view.name = Text(name),
                (6, Field::Varint(number)) => view.kind = number as i32,
                (7, Field::Fixed64(nanos)) => view.start = UnixNanos::from_wire(nanos),
                (8, Field::Fixed64(nanos)) => view.end = UnixNanos::from_wire(nanos),
                (10, Field::Varint(number)) => view.dropped_attributes_count = number as u32,
                (11, Field::Bytes(_)) => view.has_events = true,
                (12, Field::Varint(number)) => view.dropped_events_count = number as u32,
                (13, Field::Bytes(_)) => view.has_links = true,
                (14, Field::Varint(number)) => view.dropped_links_count = number as u32,
                (15, Field::Bytes(status)) => {
                    view.status_message = last_str(status, 2);
                    view.status_code = last_varint(status, 3) as i32;
                }
                (16, Field::Fixed32(flags)) => view.flags = flags,
                _ => {}
            }
            from_here = fields.rest();
        }
        Some(view)
    }

    /// The span's attributes.
    pub fn attributes(&self) -> impl Iterator<Item = KeyValueView<'a>> + use<'a> {
        messages(self.from_attributes, 9).map(KeyValueView::new)
    }

    /// The span's events.
    pub fn events(&self) -> impl Iterator<Item = EventView<'a>> + use<'a> {
        messages(self.message, 11).map(EventView::new)
    }

    /// The span's links.
    pub fn links(&self) -> impl Iterator<Item = LinkView<'a>> + use<'a> {
        messages(self.message, 13).map(LinkView::new)
    }
}

/// `Span.Event`.
#[derive(Debug, Clone, Copy)]
pub struct EventView<'a> {
    message: &'a [u8],
    /// When.
    pub time: UnixNanos,
    /// What.
    pub name: &'a str,
    /// How many more attributes the sender had.
    pub dropped_attributes_count: u32,
}

impl<'a> EventView<'a> {
    fn new(message: &'a [u8]) -> Self {
        let mut view = Self { message, time: UnixNanos::ZERO, name: "", dropped_attributes_count: 0 };
        for (number, field) in Fields::new(message) {
            match (number, field) {
                (1, Field::Fixed64(nanos)) => view.time = UnixNanos::from_wire(nanos),
                (2, Field::Bytes(_)) => view.name = field.str().unwrap_or_default(),
                (4, Field::Varint(number)) => view.dropped_attributes_count = number as u32,
                _ => {}
            }
        }
        view
    }

    /// The event's attributes.
    pub fn attributes(&self) -> impl Iterator<Item = KeyValueView<'a>> + use<'a> {
        messages(self.message, 3).map(KeyValueView::new)
    }
}

/// `Span.Link`. Its ids are not checked: a link to nothing valid is kept as it came.
#[derive(Debug, Clone, Copy)]
pub struct LinkView<'a> {
    message: &'a [u8],
    /// The other span's trace.
    pub trace_id: &'a [u8],
    /// The other span.
    pub span_id: &'a [u8],
    /// W3C `tracestate` of the other span.
    pub trace_state: &'a str,
    /// How many more attributes the sender had.
    pub dropped_attributes_count: u32,
    /// W3C trace flags.
    pub flags: u32,
}

impl<'a> LinkView<'a> {
    fn new(message: &'a [u8]) -> Self {
        let mut view =
            Self { message, trace_id: &[], span_id: &[], trace_state: "", dropped_attributes_count: 0, flags: 0 };
        for (number, field) in Fields::new(message) {
            match (number, field) {
                (1, Field::Bytes(bytes)) => view.trace_id = bytes,
                (2, Field::Bytes(bytes)) => view.span_id = bytes,
                (3, Field::Bytes(_)) => view.trace_state = field.str().unwrap_or_default(),
                (5, Field::Varint(number)) => view.dropped_attributes_count = number as u32,
                (6, Field::Fixed32(flags)) => view.flags = flags,
                _ => {}
            }
        }
        view
    }

    /// The link's attributes.
    pub fn attributes(&self) -> impl Iterator<Item = KeyValueView<'a>> + use<'a> {
        messages(self.message, 4).map(KeyValueView::new)
    }
}

/// `KeyValue`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KeyValueView<'a> {
    /// The attribute's name.
    pub key: Text<'a>,
    /// Its value.
    pub value: ValueView<'a>,
}

impl<'a> KeyValueView<'a> {
    fn new(message: &'a [u8]) -> Self {
        let mut view = Self { key: Text::default(), value: ValueView::Empty };
        for (number, field) in Fields::new(message) {
            match number {
                1 => view.key = Text(field.bytes().unwrap_or_default()),
                2 => view.value = ValueView::new(field.bytes().unwrap_or_default()),
                _ => {}
            }
        }
        view
    }
}

/// `AnyValue`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ValueView<'a> {
    /// None of the variants was set.
    Empty,
    /// Text.
    String(Text<'a>),
    /// True or false.
    Bool(bool),
    /// Signed 64-bit integer.
    Int(i64),
    /// IEEE 754 double.
    Double(f64),
    /// A list.
    Array(ArrayView<'a>),
    /// A nested map.
    Map(MapView<'a>),
    /// Arbitrary bytes.
    Bytes(&'a [u8]),
}

impl<'a> ValueView<'a> {
    fn new(message: &'a [u8]) -> Self {
        let mut value = Self::Empty;
        for (number, field) in Fields::new(message) {
            match (number, field) {
                (1, Field::Bytes(text)) => value = Self::String(Text(text)),
                (2, Field::Varint(number)) => value = Self::Bool(number != 0),
                (3, Field::Varint(number)) => value = Self::Int(number as i64),
                (4, Field::Fixed64(bits)) => value = Self::Double(f64::from_bits(bits)),
                (5, Field::Bytes(list)) => value = Self::Array(ArrayView(list)),
                (6, Field::Bytes(map)) => value = Self::Map(MapView(map)),
                (7, Field::Bytes(bytes)) => value = Self::Bytes(bytes),
                _ => {}
            }
        }
        value
    }
}

/// `ArrayValue`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArrayView<'a>(&'a [u8]);

impl<'a> ArrayView<'a> {
    /// The elements.
    pub fn values(&self) -> impl Iterator<Item = ValueView<'a>> + use<'a> {
        messages(self.0, 1).map(ValueView::new)
    }
}

/// `KeyValueList`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapView<'a>(&'a [u8]);

impl<'a> MapView<'a> {
    /// The entries.
    pub fn entries(&self) -> impl Iterator<Item = KeyValueView<'a>> + use<'a> {
        messages(self.0, 1).map(KeyValueView::new)
    }
}

fn messages(message: &[u8], wanted: u32) -> impl Iterator<Item = &[u8]> {
    Fields::new(message).filter_map(move |(number, field)| match field {
        Field::Bytes(bytes) if number == wanted => Some(bytes),
        _ => None,
    })
}

fn last_str(message: &[u8], wanted: u32) -> &str {
    let mut text = "";
    for (number, field) in Fields::new(message) {
        if number == wanted {
            text = field.str().unwrap_or_default();
        }
    }
    text
}

fn last_varint(message: &[u8], wanted: u32) -> u64 {
    let mut value = 0;
    for (number, field) in Fields::new(message) {
        if number == wanted {
            value = field.varint().unwrap_or_default();
        }
    }
    value
}
