//! The spans of one trace while they are being made, and how finished ones are grouped into OTLP messages.

use std::collections::HashMap;

use super::*;

/// Threads of a service, and the number of the first.
const WORKER_THREADS: u64 = 16;
const FIRST_THREAD_ID: u64 = 20;

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

    /// Goes on with the id of another trace, as a sender does that forgets to begin a new one.
    #[must_use]
    pub fn in_trace(mut self, trace_id: TraceId) -> Self {
        self.trace_id = trace_id;
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

    /// Start and end of a span by a clock that is right.
    #[must_use]
    pub fn interval(&self, span: Handle) -> (UnixNanos, UnixNanos) {
        let draft = &self.drafts[span.0].1;
        let at = |offset: Duration| self.start.saturating_add(i64::try_from(offset.as_nanos()).unwrap_or(i64::MAX));
        (at(draft.start), at(draft.start + draft.duration))
    }

    /// How many spans of the trace a span is inside of.
    #[must_use]
    pub fn depth(&self, span: Handle) -> usize {
        let mut depth = 0;
        let mut current = span;
        while let Parent::Span(parent) = self.drafts[current.0].1.parent {
            depth += 1;
            current = parent;
        }
        depth
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
    let mut group_of_emitter: HashMap<usize, usize> = HashMap::new();
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
