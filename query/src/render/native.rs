//! The JSON of `docs/http-api.md`: one view per object there, fields in the same order.

use model::tree::{Node, Warning};
use model::{Event, Link, ServiceShare, Span, SpanKind, StatusCode, WarningCode};
use proto::{SpanId, TraceId};
use serde::{Serialize, Serializer};
use store::{Entry, OperationSummary, ServiceSummary, TraceSummary};

use super::distinct::Distinct;
use super::json::{Attributes, Each, Hex, Shown, Text64};

/// An assembled trace.
pub(crate) struct Trace<'a> {
    trace: &'a model::Trace,
    resources: Distinct<'a, model::Resource>,
    scopes: Distinct<'a, model::Scope>,
    spans: Vec<Placed<'a>>,
}

/// A node with what it refers to.
struct Placed<'a> {
    node: &'a Node,
    parent: Option<SpanId>,
    /// Numbers of the resource and the scope; `None` for a placeholder.
    origin: Option<(usize, usize)>,
}

impl<'a> Trace<'a> {
    pub(crate) fn of(trace: &'a model::Trace) -> Self {
        let mut resources = Distinct::new();
        let mut scopes = Distinct::new();
        let mut spans = Vec::with_capacity(trace.nodes.len());
        for node in &trace.nodes {
            let parent = node.parent.map(|parent| trace.nodes[parent].span_id);
            let origin = node.span.as_ref().map(|span| {
                let resource = resources.index_of(&span.resource, ResourceView::of);
                (resource, scopes.index_of(&span.scope, ScopeView::of))
            });
            spans.push(Placed { node, parent, origin });
        }
        Self { trace, resources, scopes, spans }
    }
}

impl Serialize for Trace<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let summary = &self.trace.summary;
        let root = summary.root.and_then(|root| self.trace.nodes[root].span.as_ref());
        TraceView {
            trace_id: Shown(self.trace.trace_id),
            complete: summary.is_complete(),
            start_unix_nano: summary.start.into(),
            end_unix_nano: summary.end.into(),
            duration_nano: Text64(summary.duration_nanos()),
            root: root.map(RootView::of),
            span_count: summary.span_count,
            error_count: summary.error_count,
            services: Each(&summary.services, ServiceShareView::of),
            warnings: Each(&self.trace.warnings, WarningView::of),
            resources: Each(self.resources.values(), |resource| ResourceView::of(resource)),
            scopes: Each(self.scopes.values(), |scope| ScopeView::of(scope)),
            spans: Each(&self.spans, SpanView::of),
        }
        .serialize(serializer)
    }
}

#[derive(Serialize)]
struct TraceView<'a> {
    trace_id: Shown<TraceId>,
    complete: bool,
    start_unix_nano: Text64,
    end_unix_nano: Text64,
    duration_nano: Text64,
    root: Option<RootView<'a>>,
    span_count: usize,
    error_count: usize,
    services: Each<'a, ServiceShare, ServiceShareView<'a>>,
    warnings: Each<'a, Warning, WarningView<'a>>,
    resources: Each<'a, &'a model::Resource, ResourceView<'a>>,
    scopes: Each<'a, &'a model::Scope, ScopeView<'a>>,
    spans: Each<'a, Placed<'a>, SpanView<'a>>,
}

#[derive(Serialize)]
struct RootView<'a> {
    span_id: Shown<SpanId>,
    service: &'a str,
    name: &'a str,
}

impl<'a> RootView<'a> {
    fn of(span: &'a Span) -> Self {
        Self { span_id: Shown(span.span_id), service: span.service(), name: &span.name }
    }
}

#[derive(Serialize)]
struct ServiceShareView<'a> {
    name: &'a str,
    span_count: usize,
    self_time_nano: Text64,
}

impl<'a> ServiceShareView<'a> {
    fn of(share: &'a ServiceShare) -> Self {
        Self { name: &share.name, span_count: share.span_count, self_time_nano: Text64(share.self_time_nanos) }
    }
}

#[derive(Serialize)]
struct WarningView<'a> {
    code: &'static str,
    span_id: Option<Shown<SpanId>>,
    message: Shown<&'a Warning>,
}

impl<'a> WarningView<'a> {
    fn of(warning: &'a Warning) -> Self {
        Self { code: warning.code.name(), span_id: warning.span_id.map(Shown), message: Shown(warning) }
    }
}

#[derive(Serialize)]
struct ResourceView<'a> {
    attributes: Attributes<'a>,
    dropped_attributes_count: u32,
    schema_url: &'a str,
}

impl<'a> ResourceView<'a> {
    fn of(resource: &'a model::Resource) -> Self {
        Self {
            attributes: Attributes(&resource.attributes),
            dropped_attributes_count: resource.dropped_attributes_count,
            schema_url: &resource.schema_url,
        }
    }
}

#[derive(Serialize)]
struct ScopeView<'a> {
    name: &'a str,
    version: &'a str,
    attributes: Attributes<'a>,
    dropped_attributes_count: u32,
    schema_url: &'a str,
}

impl<'a> ScopeView<'a> {
    fn of(scope: &'a model::Scope) -> Self {
        Self {
            name: &scope.name,
            version: &scope.version,
            attributes: Attributes(&scope.attributes),
            dropped_attributes_count: scope.dropped_attributes_count,
            schema_url: &scope.schema_url,
        }
    }
}

#[derive(Serialize)]
struct SpanView<'a> {
    span_id: Shown<SpanId>,
    parent_span_id: Option<Shown<SpanId>>,
    depth: u32,
    placeholder: bool,
    service: &'a str,
    name: &'a str,
    kind: &'static str,
    start_unix_nano: Text64,
    end_unix_nano: Text64,
    duration_nano: Text64,
    self_time_nano: Text64,
    status: StatusView<'a>,
    attributes: Attributes<'a>,
    events: Each<'a, Event, EventView<'a>>,
    links: Each<'a, Link, LinkView<'a>>,
    resource: Option<usize>,
    scope: Option<usize>,
    trace_state: &'a str,
    flags: u32,
    dropped_attributes_count: u32,
    dropped_events_count: u32,
    dropped_links_count: u32,
    warnings: Each<'a, WarningCode, &'static str>,
}

impl<'a> SpanView<'a> {
    fn of(placed: &'a Placed<'a>) -> Self {
        let place = Self::placeholder(placed);
        let (Some(span), Some((resource, scope))) = (&placed.node.span, placed.origin) else {
            return place;
        };
        Self {
            placeholder: false,
            service: span.service(),
            name: &span.name,
            kind: span.kind.name(),
            status: StatusView { code: span.status.name(), message: &span.status_message },
            attributes: Attributes(&span.attributes),
            events: Each(&span.events, EventView::of),
            links: Each(&span.links, LinkView::of),
            resource: Some(resource),
            scope: Some(scope),
            trace_state: &span.trace_state,
            flags: span.flags,
            dropped_attributes_count: span.dropped_attributes_count,
            dropped_events_count: span.dropped_events_count,
            dropped_links_count: span.dropped_links_count,
            ..place
        }
    }

    /// The place in the tree, and nothing that only a received span tells.
    fn placeholder(placed: &'a Placed<'a>) -> Self {
        let node = placed.node;
        Self {
            span_id: Shown(node.span_id),
            parent_span_id: placed.parent.map(Shown),
            depth: node.depth,
            placeholder: true,
            service: "",
            name: "",
            kind: SpanKind::Unspecified.name(),
            start_unix_nano: node.start.into(),
            end_unix_nano: node.end.into(),
            duration_nano: Text64(node.duration_nanos()),
            self_time_nano: Text64(node.self_time_nanos),
            status: StatusView { code: StatusCode::Unset.name(), message: "" },
            attributes: Attributes(&[]),
            events: Each(&[], EventView::of),
            links: Each(&[], LinkView::of),
            resource: None,
            scope: None,
            trace_state: "",
            flags: 0,
            dropped_attributes_count: 0,
            dropped_events_count: 0,
            dropped_links_count: 0,
            warnings: Each(&node.warnings, |code| code.name()),
        }
    }
}

#[derive(Serialize)]
struct StatusView<'a> {
    code: &'static str,
    message: &'a str,
}

#[derive(Serialize)]
struct EventView<'a> {
    time_unix_nano: Text64,
    name: &'a str,
    attributes: Attributes<'a>,
    dropped_attributes_count: u32,
}

impl<'a> EventView<'a> {
    fn of(event: &'a Event) -> Self {
        Self {
            time_unix_nano: event.time.into(),
            name: &event.name,
            attributes: Attributes(&event.attributes),
            dropped_attributes_count: event.dropped_attributes_count,
        }
    }
}

#[derive(Serialize)]
struct LinkView<'a> {
    trace_id: Hex<'a>,
    span_id: Hex<'a>,
    trace_state: &'a str,
    attributes: Attributes<'a>,
    dropped_attributes_count: u32,
    flags: u32,
}

impl<'a> LinkView<'a> {
    fn of(link: &'a Link) -> Self {
        Self {
            trace_id: Hex(&link.trace_id),
            span_id: Hex(&link.span_id),
            trace_state: &link.trace_state,
            attributes: Attributes(&link.attributes),
            dropped_attributes_count: link.dropped_attributes_count,
            flags: link.flags,
        }
    }
}

/// What a search found.
#[derive(Serialize)]
pub(crate) struct SearchResult<'a> {
    total: usize,
    traces: Each<'a, TraceSummary, TraceSummaryView<'a>>,
}

impl<'a> SearchResult<'a> {
    pub(crate) fn of(found: &'a store::SearchResult) -> Self {
        Self { total: found.total, traces: Each(&found.traces, TraceSummaryView::of) }
    }
}

#[derive(Serialize)]
struct TraceSummaryView<'a> {
    trace_id: Shown<TraceId>,
    start_unix_nano: Text64,
    duration_nano: Text64,
    root: Option<EntryView<'a>>,
    first: EntryView<'a>,
    span_count: u64,
    error_count: u64,
    services: &'a [String],
}

impl<'a> TraceSummaryView<'a> {
    fn of(summary: &'a TraceSummary) -> Self {
        Self {
            trace_id: Shown(summary.trace_id),
            start_unix_nano: summary.start.into(),
            duration_nano: Text64(summary.duration_nanos),
            root: summary.root.as_ref().map(EntryView::of),
            first: EntryView::of(&summary.first),
            span_count: summary.span_count,
            error_count: summary.error_count,
            services: &summary.services,
        }
    }
}

#[derive(Serialize)]
struct EntryView<'a> {
    service: &'a str,
    name: &'a str,
}

impl<'a> EntryView<'a> {
    fn of(entry: &'a Entry) -> Self {
        Self { service: &entry.service, name: &entry.name }
    }
}

/// All services.
#[derive(Serialize)]
pub(crate) struct Services<'a> {
    services: Each<'a, ServiceSummary, ServiceView<'a>>,
}

impl<'a> Services<'a> {
    pub(crate) fn of(services: &'a [ServiceSummary]) -> Self {
        Self { services: Each(services, ServiceView::of) }
    }
}

#[derive(Serialize)]
struct ServiceView<'a> {
    name: &'a str,
    span_count: u64,
    error_count: u64,
    last_seen_unix_nano: Text64,
    operations: Each<'a, OperationSummary, OperationView<'a>>,
}

impl<'a> ServiceView<'a> {
    fn of(service: &'a ServiceSummary) -> Self {
        Self {
            name: &service.name,
            span_count: service.span_count,
            error_count: service.error_count,
            last_seen_unix_nano: service.last_seen.into(),
            operations: Each(&service.operations, OperationView::of),
        }
    }
}

#[derive(Serialize)]
struct OperationView<'a> {
    name: &'a str,
    span_count: u64,
}

impl<'a> OperationView<'a> {
    fn of(operation: &'a OperationSummary) -> Self {
        Self { name: &operation.name, span_count: operation.span_count }
    }
}

#[cfg(test)]
mod tests;
