//! Builds the spans of one trace and hands them out per sender.
//!
//! Owns the step from "this service did that, from here to there" to OTLP messages. Pure: times and ids are passed in.

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

/// `flags` of a sampled span whose parent is in the same process: W3C's "sampled" in the low byte, and OTLP's
/// "has is_remote" (bit 8).
const FLAGS_SAMPLED_LOCAL: u32 = 0x101;
/// The same with "is_remote" (bit 9): the parent is in another process.
const FLAGS_SAMPLED_REMOTE: u32 = 0x301;

const INSTANCE_ID: &str = "dbaas.instance.id";
/// Threads of a service, and the number of the first.
const WORKER_THREADS: u64 = 16;
const FIRST_THREAD_ID: u64 = 20;

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

/// The spans of one trace, while they are being made.
#[derive(Debug)]
pub struct TraceBuilder {
    trace_id: TraceId,
    start: UnixNanos,
    drafts: Vec<(SpanId, Draft)>,
    ids: Dice,
    instance_id: Option<String>,
    has_threads: bool,
}

impl TraceBuilder {
    /// A trace with a new id that starts at `start`.
    #[must_use]
    pub fn new(dice: &mut Dice, start: UnixNanos) -> Self {
        let mut ids = dice.fork();
        Self { trace_id: ids.trace_id(), start, drafts: Vec::new(), ids, instance_id: None, has_threads: false }
    }

    /// Puts `dbaas.instance.id` on every span that has none, as a service does that knows what it works on.
    #[must_use]
    pub fn about(mut self, instance_id: &str) -> Self {
        self.instance_id = Some(instance_id.to_owned());
        self
    }

    /// Puts `thread.id` and `thread.name` on every span, as several SDKs do by themselves.
    #[must_use]
    pub fn with_threads(mut self) -> Self {
        self.has_threads = true;
        self
    }

    /// The trace's id.
    #[must_use]
    pub fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// When the trace starts.
    #[must_use]
    pub fn start(&self) -> UnixNanos {
        self.start
    }

    /// Offset of a span's start.
    #[must_use]
    pub fn start_of(&self, span: Handle) -> Duration {
        self.drafts[span.0].1.start
    }

    /// What a link to this span holds.
    #[must_use]
    pub fn target(&self, span: Handle) -> LinkTarget {
        LinkTarget { trace_id: self.trace_id, span_id: self.drafts[span.0].0 }
    }

    /// Adds a span.
    pub fn add(&mut self, draft: Draft) -> Handle {
        self.drafts.push((self.ids.span_id(), draft));
        Handle(self.drafts.len() - 1)
    }

    /// Adds a span that starts at `*at`, and moves `*at` to its end.
    pub fn then(&mut self, at: &mut Duration, draft: Draft) -> Handle {
        let draft = draft.at(*at);
        *at += draft.duration;
        self.add(draft)
    }

    /// Lets a span end at `end` after the start of the trace.
    pub fn end(&mut self, span: Handle, end: Duration) {
        let draft = &mut self.drafts[span.0].1;
        draft.duration = end.saturating_sub(draft.start);
    }

    /// Changes a span that was added before.
    pub fn change(&mut self, span: Handle, change: impl FnOnce(Draft) -> Draft) {
        let draft = self.drafts[span.0].1.clone();
        self.drafts[span.0].1 = change(draft);
    }

    /// The finished spans.
    #[must_use]
    pub fn finish(mut self) -> Vec<EmittedSpan> {
        self.complete_attributes();
        let span_ids: Vec<SpanId> = self.drafts.iter().map(|(id, _)| *id).collect();
        let mut spans = Vec::with_capacity(self.drafts.len());
        for (span_id, draft) in self.drafts {
            let at = |offset: Duration| {
                let nanos = i64::try_from(offset.as_nanos()).unwrap_or(i64::MAX);
                self.start.saturating_add(nanos).saturating_add(draft.emitter.clock_skew_nanos)
            };
            let parent_span_id = match draft.parent {
                Parent::None => Vec::new(),
                Parent::Span(parent) => span_ids[parent.0].as_bytes().to_vec(),
                Parent::LowHalfOfTraceId => self.trace_id.as_bytes()[8..].to_vec(),
            };
            let has_remote_parent = draft.kind == SpanKind::Server && draft.parent != Parent::None;
            let end = draft.start + draft.duration;
            let span = Span {
                trace_id: self.trace_id.as_bytes().to_vec(),
                span_id: span_id.as_bytes().to_vec(),
                parent_span_id,
                flags: if has_remote_parent { FLAGS_SAMPLED_REMOTE } else { FLAGS_SAMPLED_LOCAL },
                name: draft.name.into_owned(),
                kind: draft.kind as i32,
                start_time_unix_nano: at(draft.start).as_u64(),
                end_time_unix_nano: at(end).as_u64(),
                attributes: draft.attributes,
                events: draft
                    .events
                    .into_iter()
                    .map(|(offset, name, attributes)| Event {
                        time_unix_nano: at(draft.start + offset).as_u64(),
                        name: name.to_owned(),
                        attributes,
                        ..Event::default()
                    })
                    .collect(),
                links: draft.links.into_iter().map(link).collect(),
                status: Some(draft.status),
                ..Span::default()
            };
            let ready = at(end + draft.delay);
            spans.push(EmittedSpan { emitter: draft.emitter, scope: draft.scope, ready, span });
        }
        spans
    }
}

impl TraceBuilder {
    fn complete_attributes(&mut self) {
        for (_, draft) in &mut self.drafts {
            if let Some(instance_id) = &self.instance_id
                && !draft.attributes.iter().any(|attribute| attribute.key == INSTANCE_ID)
            {
                draft.attributes.push(key_value(INSTANCE_ID, instance_id.into()));
            }
            if self.has_threads {
                let worker = self.ids.below(WORKER_THREADS);
                draft.attributes.push(key_value("thread.id", Fact::from(FIRST_THREAD_ID + worker)));
                draft.attributes.push(key_value("thread.name", Fact::from(format!("worker-{worker}"))));
            }
        }
    }
}

/// Groups spans by sender and scope, both in the order of their first span.
#[must_use]
pub fn resource_spans(spans: impl IntoIterator<Item = EmittedSpan>) -> Vec<ResourceSpans> {
    let mut groups: Vec<ResourceSpans> = Vec::new();
    let mut group_of_emitter: std::collections::HashMap<usize, usize> = std::collections::HashMap::new();
    for emitted in spans {
        let group = *group_of_emitter.entry(emitted.emitter.id).or_insert_with(|| {
            groups.push(ResourceSpans { resource: Some(emitted.emitter.resource.clone()), ..ResourceSpans::default() });
            groups.len() - 1
        });
        let scopes = &mut groups[group].scope_spans;
        let known = scopes.iter_mut().find(|known| known.scope.as_ref().is_some_and(|s| s.name == emitted.scope));
        match known {
            Some(scope_spans) => scope_spans.spans.push(emitted.span),
            None => scopes.push(ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: emitted.scope.into_owned(),
                    version: emitted.emitter.version.clone(),
                    ..InstrumentationScope::default()
                }),
                spans: vec![emitted.span],
                ..ScopeSpans::default()
            }),
        }
    }
    groups
}

fn link(target: LinkTarget) -> Link {
    Link {
        trace_id: target.trace_id.as_bytes().to_vec(),
        span_id: target.span_id.as_bytes().to_vec(),
        flags: FLAGS_SAMPLED_REMOTE,
        ..Link::default()
    }
}
