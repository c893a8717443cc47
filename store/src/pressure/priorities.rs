//! How much a request matters: as much as its most important span. Asked only under pressure.

use model::class::CLASS_ATTRIBUTES;
use model::{Classifier, Priority};
use proto::CheckedRequest;
use proto::view::{self, ResourceSpansView, ResourceView, SpanView, ValueView};
use quick_cache::sync::Cache;

/// Distinct (service, span name) whose priority is remembered. A fleet has hundreds; senders that put ids into names
/// have any number, and cost a classification each.
const KNOWN_MAX: usize = 4_096;

/// Longest (service, span name) that is remembered, in bytes: with the above half a megabyte at most.
const KNOWN_BYTES_MAX: usize = 128;

/// Tells priorities.
pub(crate) struct Priorities {
    classifier: Classifier,
    known: Cache<Box<str>, Priority>,
}

impl Default for Priorities {
    fn default() -> Self {
        Self { classifier: Classifier::default(), known: Cache::new(KNOWN_MAX) }
    }
}

impl Priorities {
    /// The highest priority of any span; looks no further than the first that has the highest there is.
    pub(crate) fn highest(&self, request: &CheckedRequest) -> Priority {
        let mut highest = Priority::Low;
        let mut key = String::new();
        for resource_spans in view::resource_spans(request.bytes()) {
            let service = service(&resource_spans);
            for span in resource_spans.scope_spans().flat_map(|scope_spans| scope_spans.spans()) {
                highest = highest.max(self.of_span(service, &span, &mut key));
                if highest == Priority::High {
                    return highest;
                }
            }
        }
        highest
    }

    fn of_span(&self, service: &str, span: &SpanView<'_>, key: &mut String) -> Priority {
        let name = span.name.as_str();
        let classify = |attribute| self.classifier.classify(service, name, attribute).priority();
        if let Some(class) = class_attribute(span) {
            return classify(Some(class));
        }
        if service.len() + name.len() > KNOWN_BYTES_MAX {
            return classify(None);
        }
        key.clear();
        key.push_str(service);
        key.push('\0');
        key.push_str(name);
        if let Some(known) = self.known.get(key.as_str()) {
            return known;
        }
        let priority = classify(None);
        self.known.insert(key.as_str().into(), priority);
        priority
    }
}

fn service<'a>(resource_spans: &ResourceSpansView<'a>) -> &'a str {
    let mut attributes = ResourceView(resource_spans.resource).attributes();
    match attributes.find(|attribute| attribute.key.as_str() == "service.name").map(|attribute| attribute.value) {
        Some(ValueView::String(service)) => service.as_str(),
        _ => "",
    }
}

/// The attribute that says what class a span has: the most telling one.
fn class_attribute<'a>(span: &SpanView<'a>) -> Option<&'a str> {
    let mut found: [Option<&str>; CLASS_ATTRIBUTES.len()] = [None; CLASS_ATTRIBUTES.len()];
    for attribute in span.attributes() {
        let place = CLASS_ATTRIBUTES.iter().position(|key| key.as_bytes() == attribute.key.as_bytes());
        if let (Some(place), ValueView::String(text)) = (place, attribute.value) {
            found[place] = Some(text.as_str());
        }
    }
    found.into_iter().flatten().next()
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
    use proto::otlp::common::v1::{AnyValue, KeyValue, any_value};
    use proto::otlp::resource::v1::Resource;
    use proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span};

    use super::*;

    fn attribute(key: &str, text: &str) -> KeyValue {
        let value = Some(AnyValue { value: Some(any_value::Value::StringValue(text.to_owned())) });
        KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
    }

    fn highest(priorities: &Priorities, service: &str, spans: &[(&str, Option<&str>)]) -> Priority {
        let span = |(name, class): &(&str, Option<&str>)| Span {
            trace_id: vec![1; 16],
            span_id: vec![1; 8],
            name: (*name).to_owned(),
            attributes: class.map(|class| attribute("dbaas.operation.class", class)).into_iter().collect(),
            ..Span::default()
        };
        let scope_spans = vec![ScopeSpans { spans: spans.iter().map(span).collect(), ..ScopeSpans::default() }];
        let resource = Resource { attributes: vec![attribute("service.name", service)], ..Resource::default() };
        let resource_spans = vec![ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() }];
        let bytes = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        priorities.highest(&proto::check::check(bytes).expect("valid").0)
    }

    #[test]
    fn a_request_matters_as_its_most_important_span_does() {
        let priorities = Priorities::default();
        // Twice: the second time from memory.
        for _ in 0..2 {
            assert_eq!(highest(&priorities, "agent", &[("health check", None)]), Priority::Low);
            assert_eq!(
                highest(&priorities, "agent", &[("health check", None), ("base backup", None)]),
                Priority::Medium
            );
            assert_eq!(highest(&priorities, "agent", &[("health check", None), ("failover", None)]), Priority::High);
        }
        assert_eq!(highest(&priorities, "agent", &[("health check", Some("failover"))]), Priority::High);
        assert_eq!(highest(&priorities, "agent", &[("failover", Some("health_check"))]), Priority::Low);
        assert_eq!(highest(&priorities, "agent", &[]), Priority::Low);
    }

    #[test]
    fn names_without_end_take_no_memory_without_end() {
        let priorities = Priorities::default();
        for number in 0..2 * KNOWN_MAX {
            highest(&priorities, "agent", &[(&format!("job {number}"), None)]);
        }
        assert!(priorities.known.len() <= KNOWN_MAX, "{}", priorities.known.len());
        let before = priorities.known.len();
        highest(&priorities, "agent", &[(&"x".repeat(KNOWN_BYTES_MAX), None)]);
        assert_eq!(priorities.known.len(), before);
    }
}
