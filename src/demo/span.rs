//! Builds the spans of one trace and hands them out per sender.
//!
//! Owns the step from "this service did that, from here to there" to OTLP messages. Pure: times and ids are passed in.

mod builder;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use proto::otlp::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use proto::otlp::trace::v1::span::{Event, Link, SpanKind};
use proto::otlp::trace::v1::status::StatusCode;
use proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proto::{SpanId, TraceId, UnixNanos};

use super::dice::Dice;
use super::fleet::Emitter;

pub use builder::{TraceBuilder, resource_spans};

/// `flags` of a sampled span whose parent is in the same process: W3C's "sampled" in the low byte, and OTLP's
/// "has is_remote" (bit 8).
const FLAGS_SAMPLED_LOCAL: u32 = 0x101;
/// The same with "is_remote" (bit 9): the parent is in another process.
const FLAGS_SAMPLED_REMOTE: u32 = 0x301;

const INSTANCE_ID: &str = "dbaas.instance.id";

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// A string.
    Text(Cow<'static, str>),
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// A truth value.
    Bool(bool),
}

impl From<&str> for Fact {
    fn from(value: &str) -> Self {
        Self::Text(Cow::Owned(value.to_owned()))
    }
}

impl From<String> for Fact {
    fn from(value: String) -> Self {
        Self::Text(Cow::Owned(value))
    }
}

impl From<&String> for Fact {
    fn from(value: &String) -> Self {
        Self::Text(Cow::Owned(value.clone()))
    }
}

impl From<i64> for Fact {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u64> for Fact {
    fn from(value: u64) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<f64> for Fact {
    fn from(value: f64) -> Self {
        Self::Double(value)
    }
}

impl From<bool> for Fact {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

/// An OTLP attribute.
#[must_use]
pub fn key_value(key: &str, value: Fact) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(any_value(value)), ..KeyValue::default() }
}

fn any_value(value: Fact) -> AnyValue {
    let value = match value {
        Fact::Text(text) => any_value::Value::StringValue(text.into_owned()),
        Fact::Int(number) => any_value::Value::IntValue(number),
        Fact::Double(number) => any_value::Value::DoubleValue(number),
        Fact::Bool(truth) => any_value::Value::BoolValue(truth),
    };
    AnyValue { value: Some(value) }
}

/// A span with the process that sends it.
#[derive(Debug, Clone, PartialEq)]
pub struct EmittedSpan {
    /// Who sends it.
    pub emitter: Arc<Emitter>,
    /// Instrumentation scope.
    pub scope: Cow<'static, str>,
    /// When its sender has it ready: its end, or later when it is delayed.
    pub ready: UnixNanos,
    /// The span.
    pub span: Span,
}

/// Names a span of the trace that is being built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handle(usize);

/// Where a link points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkTarget {
    /// The other trace.
    pub trace_id: TraceId,
    /// The span in it.
    pub span_id: SpanId,
}

/// What a span says about its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parent {
    None,
    Span(Handle),
    /// pg_tracing's way of saying "none": the low half of the trace id.
    LowHalfOfTraceId,
}

/// A span that is being described. It starts at an offset from the start of the trace.
#[derive(Debug, Clone)]
pub struct Draft {
    emitter: Arc<Emitter>,
    scope: Cow<'static, str>,
    parent: Parent,
    name: Cow<'static, str>,
    kind: SpanKind,
    start: Duration,
    duration: Duration,
    attributes: Vec<KeyValue>,
    /// Offsets from the start of the span.
    events: Vec<(Duration, &'static str, Vec<KeyValue>)>,
    links: Vec<LinkTarget>,
    status: Status,
    delay: Duration,
}

impl Draft {
    /// An internal root span of length 0 at the start of the trace.
    pub fn new(emitter: &Arc<Emitter>, name: impl Into<Cow<'static, str>>) -> Self {
        Self {
            emitter: Arc::clone(emitter),
            scope: Cow::Borrowed(emitter.scope),
            parent: Parent::None,
            name: name.into(),
            kind: SpanKind::Internal,
            start: Duration::ZERO,
            duration: Duration::ZERO,
            attributes: Vec::new(),
            events: Vec::new(),
            links: Vec::new(),
            status: Status::default(),
            delay: Duration::ZERO,
        }
    }

    /// Makes it a child.
    #[must_use]
    pub fn under(mut self, parent: Handle) -> Self {
        self.parent = Parent::Span(parent);
        self
    }

    /// A root as pg_tracing sends it: the parent is the low half of the trace id.
    #[must_use]
    pub fn pg_tracing_root(mut self) -> Self {
        self.parent = Parent::LowHalfOfTraceId;
        self
    }

    /// Sets the kind.
    #[must_use]
    pub fn kind(mut self, kind: SpanKind) -> Self {
        self.kind = kind;
        self
    }

    /// Kind server.
    #[must_use]
    pub fn server(self) -> Self {
        self.kind(SpanKind::Server)
    }

    /// Kind client.
    #[must_use]
    pub fn client(self) -> Self {
        self.kind(SpanKind::Client)
    }

    /// Sets when it starts.
    #[must_use]
    pub fn at(mut self, start: Duration) -> Self {
        self.start = start;
        self
    }

    /// Sets how long it takes.
    #[must_use]
    pub fn lasting(mut self, duration: Duration) -> Self {
        self.duration = duration;
        self
    }

    /// Uses another instrumentation scope than the emitter's own.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<Cow<'static, str>>) -> Self {
        self.scope = scope.into();
        self
    }

    /// Adds an attribute.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Fact>) -> Self {
        self.attributes.push(key_value(key, value.into()));
        self
    }

    /// Adds an event, `at` after the start of the span.
    #[must_use]
    pub fn event(mut self, at: Duration, name: &'static str, attributes: Vec<KeyValue>) -> Self {
        self.events.push((at, name, attributes));
        self
    }

    /// Points to a span of another trace.
    #[must_use]
    pub fn link(mut self, target: LinkTarget) -> Self {
        self.links.push(target);
        self
    }

    /// Fails with an exception, recorded at the end as `RecordError` and `SetStatus` do it.
    #[must_use]
    pub fn failed(mut self, exception_type: &str, message: &str) -> Self {
        let attributes =
            vec![key_value("exception.type", exception_type.into()), key_value("exception.message", message.into())];
        self.events.push((self.duration, "exception", attributes));
        self.attributes.push(key_value("error.type", exception_type.into()));
        self.status_error(message)
    }

    /// Status error without an exception.
    #[must_use]
    pub fn status_error(mut self, message: &str) -> Self {
        self.status = Status { code: StatusCode::Error as i32, message: message.to_owned() };
        self
    }

    /// Status ok.
    #[must_use]
    pub fn status_ok(mut self) -> Self {
        self.status = Status { code: StatusCode::Ok as i32, message: String::new() };
        self
    }

    /// The sender has it ready only this long after its end.
    #[must_use]
    pub fn sent_after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}
