use std::sync::Arc;

use model::{Resource, Scope};

use super::super::fixture::{attribute, full_span, resource, span_id};
use super::*;

#[test]
fn json_and_protobuf_say_the_same() {
    let child = Span { parent_span_id: Some(span_id(1)), ..full_span(2) };
    let spans = vec![full_span(1), child];
    let groups = group(&spans);
    let json = serde_json::to_string(&TracesData::of(&groups)).expect("memory takes everything");
    let read: otlp::trace::v1::TracesData = serde_json::from_str(&json).expect("the generated types read it");
    assert_eq!(read, to_message(&groups));
    assert_eq!(read.resource_spans[0].scope_spans[0].spans[1].parent_span_id, [0, 0, 0, 0, 0, 0, 0, 1]);
}

#[test]
fn numbers_that_json_lacks_are_not_lost() {
    let spans = vec![Span { attributes: vec![attribute("ratio", Value::Double(f64::NAN))], ..full_span(1) }];
    let json = serde_json::to_string(&TracesData::of(&group(&spans))).expect("memory takes everything");
    assert!(json.contains(r#"{"key":"ratio","value":{"doubleValue":"NaN"}}"#), "{json}");
}

#[test]
fn spans_are_grouped_by_resource_and_scope() {
    let scope = |name: &str| Arc::new(Scope { name: name.to_owned(), ..Scope::default() });
    let at = |number, resource: Arc<Resource>, scope| Span { resource, scope, ..full_span(number) };
    // Equal resources in different allocations, as from two batches, are one.
    let spans = vec![
        at(1, resource("api"), scope("http")),
        at(2, resource("agent"), scope("http")),
        at(3, resource("api"), scope("grpc")),
        at(4, resource("api"), scope("http")),
        at(5, Arc::new(Resource::clone(&resource("agent"))), scope("http")),
        at(6, Arc::new(Resource { dropped_attributes_count: 9, ..Resource::clone(&resource("api")) }), scope("http")),
    ];
    let message = to_message(&group(&spans));
    let ids: Vec<Vec<Vec<u8>>> = message
        .resource_spans
        .iter()
        .map(|resource| {
            let of_scope =
                |scope: &otlp::trace::v1::ScopeSpans| scope.spans.iter().map(|span| span.span_id[7]).collect();
            resource.scope_spans.iter().map(of_scope).collect()
        })
        .collect();
    assert_eq!(ids, [vec![vec![1, 4], vec![3]], vec![vec![2, 5]], vec![vec![6]]]);
}
