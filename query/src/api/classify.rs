//! `GET /api/v1/classify`: which rule makes what of a span, and why.

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use model::rules::{Explanation, Rules, SpanContext};
use model::{KeyValue, Span, Trace, Value};
use proto::TraceId;

use super::trace::{parse_id, unknown};
use super::{Asked, JSON, body, off_the_runtime, to_json};
use crate::limits::{CLASSIFY_ABOVE_MAX, CLASSIFY_ATTRIBUTES_MAX};
use crate::params::Params;
use crate::problem::Problem;
use crate::render::classify::{Classified, ClassifiedSpan};

/// What was asked about.
enum Request {
    /// Every span of a trace.
    Trace(TraceId),
    /// A span as described.
    Described { service: String, scope: String, name: String, attributes: Vec<KeyValue> },
}

/// Explains.
pub(crate) async fn classify(State(asked): State<Asked>, uri: Uri) -> Result<Response, Problem> {
    match read_request(&uri)? {
        Request::Trace(id) => {
            let query = async {
                let spans = asked.reader.trace(id).await?;
                let rules = asked.rules.clone();
                off_the_runtime(move || {
                    let trace = model::assemble(spans).ok_or_else(|| unknown(id))?;
                    Ok(body(JSON, to_json(&Classified::of(spans_of(&rules, &trace)))?))
                })
                .await
            };
            asked.gate.run(query).await
        }
        Request::Described { service, scope, name, attributes } => {
            let span = SpanContext { service: &service, scope: &scope, name: &name, attributes: &attributes };
            let explained = asked.rules.explain(&[span]).ok_or_else(|| Problem::internal("nothing was explained"))?;
            Ok(body(JSON, to_json(&Classified::of(vec![ClassifiedSpan::of(None, 0, &span, explained)]))?))
        }
    }
}

/// Every span that was received, in tree order.
fn spans_of<'a>(rules: &Rules, trace: &'a Trace) -> Vec<ClassifiedSpan<'a>> {
    let explained = trace.nodes.iter().filter_map(|node| {
        let span = node.span.as_ref()?;
        let mut chain = vec![context(span)];
        let mut above = node.parent;
        while let Some(parent) = above.map(|parent| &trace.nodes[parent]).filter(|_| chain.len() <= CLASSIFY_ABOVE_MAX)
        {
            chain.extend(parent.span.as_ref().map(context));
            above = parent.parent;
        }
        let explained: Explanation = rules.explain(&chain)?;
        Some(ClassifiedSpan::of(Some(span.span_id), node.depth, &chain[0], explained))
    });
    explained.collect()
}

fn context(span: &Span) -> SpanContext<'_> {
    SpanContext { service: span.service(), scope: &span.scope.name, name: &span.name, attributes: &span.attributes }
}

fn read_request(uri: &Uri) -> Result<Request, Problem> {
    let mut params = Params::of(uri)?;
    let trace_id = params.text("trace_id")?;
    let name = params.text("name")?;
    let (service, scope) = (params.text("service")?, params.text("scope")?);
    let attributes = params.every("attribute", CLASSIFY_ATTRIBUTES_MAX)?;
    params.finish()?;
    match (trace_id, name) {
        (Some(id), None) if service.is_none() && scope.is_none() && attributes.is_empty() => {
            parse_id(&id).map(Request::Trace)
        }
        (None, Some(name)) => Ok(Request::Described {
            service: service.unwrap_or_default(),
            scope: scope.unwrap_or_default(),
            name,
            attributes: attributes.iter().map(|text| attribute(text)).collect::<Result<_, _>>()?,
        }),
        _ => Err(Problem::bad_request(
            "give either `trace_id`, or `name` and what else is known: `service`, `scope`, `attribute=key=value`",
        )),
    }
}

fn attribute(text: &str) -> Result<KeyValue, Problem> {
    let (key, value) = text
        .split_once('=')
        .filter(|(key, _)| !key.is_empty())
        .ok_or_else(|| Problem::bad_request(format!("parameter `attribute`: `{text}` is not key=value")))?;
    Ok(KeyValue { key: key.to_owned(), value: Value::String(value.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Request, Problem> {
        read_request(&format!("/api/v1/classify?{query}").parse().expect("a valid URI"))
    }

    #[test]
    fn a_trace_or_a_description() {
        assert!(matches!(read("trace_id=0af7651916cd43dd8448eb211c80319c"), Ok(Request::Trace(_))));
        let described = read("name=backup&service=agent&attribute=a=b=c&attribute=d=").expect("a description");
        let Request::Described { service, attributes, .. } = described else { panic!("no description") };
        assert_eq!(service, "agent");
        let values: Vec<_> = attributes.iter().map(|one| (one.key.as_str(), &one.value)).collect();
        assert_eq!(values[0], ("a", &Value::String("b=c".to_owned())));
        for query in [
            "",
            "trace_id=0af7",
            "service=a",
            "name=a&attribute=b",
            "name=a&attribute==b",
            "name=a&trace_id=0af7651916cd43dd8448eb211c80319c",
        ] {
            assert!(read(query).is_err(), "{query}");
        }
    }
}
