//! One span, complete and owned: what the store hands out and what the trace tree is made of.
//!
//! Owns no computation over several spans; that is the tree's.

use std::sync::Arc;

use proto::{SpanId, TraceId, UnixNanos};

/// Where a resource without `service.name` is filed; the name that the OpenTelemetry SDKs fall back to.
pub const UNKNOWN_SERVICE: &str = "unknown_service";

/// An attribute value: OTLP's `AnyValue`.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value was set.
    Empty,
    /// Text.
    String(String),
    /// True or false.
    Bool(bool),
    /// Signed 64-bit integer.
    Int(i64),
    /// IEEE 754 double, NaN and infinities included.
    Double(f64),
    /// Arbitrary bytes.
    Bytes(Vec<u8>),
    /// A list, possibly of mixed types.
    Array(Vec<Value>),
    /// A nested map.
    Map(Vec<KeyValue>),
}

/// One attribute.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyValue {
    /// The attribute's name.
    pub key: String,
    /// Its value.
    pub value: Value,
}

/// Who emitted a span: OTLP's `Resource` with the schema URL of its `ResourceSpans`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Resource {
    /// Sorted by key.
    pub attributes: Vec<KeyValue>,
    /// How many more attributes the sender had.
    pub dropped_attributes_count: u32,
    /// Of the enclosing `ResourceSpans`.
    pub schema_url: String,
}

impl Resource {
    /// `service.name`, or [`UNKNOWN_SERVICE`].
    #[must_use]
    pub fn service(&self) -> &str {
        match find(&self.attributes, "service.name") {
            Some(Value::String(name)) if !name.is_empty() => name,
            _ => UNKNOWN_SERVICE,
        }
    }
}

/// Which library emitted a span: OTLP's `InstrumentationScope` with the schema URL of its `ScopeSpans`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scope {
    /// Usually the library's name.
    pub name: String,
    /// The library's version.
    pub version: String,
    /// Sorted by key.
    pub attributes: Vec<KeyValue>,
    /// How many more attributes the sender had.
    pub dropped_attributes_count: u32,
    /// Of the enclosing `ScopeSpans`.
    pub schema_url: String,
}

/// OTLP's `SpanKind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SpanKind {
    /// Not told, or a number that OTLP does not define.
    #[default]
    Unspecified,
    /// An operation within the application.
    Internal,
    /// The handling side of a request.
    Server,
    /// The asking side of a request.
    Client,
    /// The sending side of a message.
    Producer,
    /// The receiving side of a message.
    Consumer,
}

impl SpanKind {
    /// From OTLP's number; an unknown one is [`SpanKind::Unspecified`], as the specification asks.
    #[must_use]
    pub const fn from_wire(number: i32) -> Self {
        match number {
            1 => Self::Internal,
            2 => Self::Server,
            3 => Self::Client,
            4 => Self::Producer,
            5 => Self::Consumer,
            _ => Self::Unspecified,
        }
    }

    /// OTLP's number.
    #[must_use]
    pub const fn to_wire(self) -> i32 {
        self as i32
    }

    /// Lower-case name, as the HTTP API writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }
}

/// OTLP's `Status.StatusCode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum StatusCode {
    /// Not told: the default of every SDK.
    #[default]
    Unset,
    /// The application called it a success.
    Ok,
    /// An error.
    Error,
}

impl StatusCode {
    /// From OTLP's number; an unknown one is [`StatusCode::Unset`].
    #[must_use]
    pub const fn from_wire(number: i32) -> Self {
        match number {
            1 => Self::Ok,
            2 => Self::Error,
            _ => Self::Unset,
        }
    }

    /// OTLP's number.
    #[must_use]
    pub const fn to_wire(self) -> i32 {
        self as i32
    }

    /// Lower-case name, as the HTTP API writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unset => "unset",
            Self::Ok => "ok",
            Self::Error => "error",
        }
    }
}

/// Something that happened during a span.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When.
    pub time: UnixNanos,
    /// What; `exception` for a recorded error.
    pub name: String,
    /// Sorted by key.
    pub attributes: Vec<KeyValue>,
    /// How many more attributes the sender had.
    pub dropped_attributes_count: u32,
}

/// A pointer to a span of the same or another trace.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// The other span's trace. Raw bytes: a link to nothing valid is kept as it came.
    pub trace_id: Vec<u8>,
    /// The other span.
    pub span_id: Vec<u8>,
    /// W3C `tracestate` of the other span.
    pub trace_state: String,
    /// Sorted by key.
    pub attributes: Vec<KeyValue>,
    /// How many more attributes the sender had.
    pub dropped_attributes_count: u32,
    /// W3C trace flags.
    pub flags: u32,
}

/// One span with its resource and scope.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// Itself.
    pub span_id: SpanId,
    /// Its parent as sent; `None` when the sender gave none or all zeros.
    pub parent_span_id: Option<SpanId>,
    /// W3C `tracestate`.
    pub trace_state: String,
    /// W3C trace flags and OTLP's `is_remote` bits.
    pub flags: u32,
    /// The operation.
    pub name: String,
    /// Which side of a request it is.
    pub kind: SpanKind,
    /// When it began.
    pub start: UnixNanos,
    /// When it ended, as sent: may lie before the start.
    pub end: UnixNanos,
    /// Outcome.
    pub status: StatusCode,
    /// What went wrong, if anything.
    pub status_message: String,
    /// Sorted by key.
    pub attributes: Vec<KeyValue>,
    /// How many more attributes the sender had.
    pub dropped_attributes_count: u32,
    /// In the sender's order.
    pub events: Vec<Event>,
    /// How many more events the sender had.
    pub dropped_events_count: u32,
    /// In the sender's order.
    pub links: Vec<Link>,
    /// How many more links the sender had.
    pub dropped_links_count: u32,
    /// Shared among the spans of one sender.
    pub resource: Arc<Resource>,
    /// Shared among the spans of one library.
    pub scope: Arc<Scope>,
}

impl Span {
    /// Nanoseconds from start to end; 0 when the end lies before the start.
    #[must_use]
    pub fn duration_nanos(&self) -> i64 {
        self.end.nanos_since(self.start).max(0)
    }

    /// A broken or stepped clock: the span is kept, and flagged.
    #[must_use]
    pub fn ends_before_start(&self) -> bool {
        self.end < self.start
    }

    /// `service.name` of its resource.
    #[must_use]
    pub fn service(&self) -> &str {
        self.resource.service()
    }

    /// The value of an attribute of the span itself.
    #[must_use]
    pub fn attribute(&self, key: &str) -> Option<&Value> {
        find(&self.attributes, key)
    }
}

fn find<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    attributes.iter().find(|attribute| attribute.key == key).map(|attribute| &attribute.value)
}
