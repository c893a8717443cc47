use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use http::{Method, Request, StatusCode};
use tower::ServiceExt;

use super::*;
use crate::routes::tests::router;

/// Path and method, with the operation.
fn operations(document: &Value) -> BTreeMap<(String, String), &Value> {
    let paths = document["paths"].as_object().expect("paths").iter();
    let operations = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().expect("methods").iter();
        methods.map(move |(method, operation)| ((path.clone(), method.to_ascii_uppercase()), operation))
    });
    operations.collect()
}

fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => {
            let pointer = reference.strip_prefix('#').expect("a reference into the document");
            document.pointer(pointer).unwrap_or_else(|| panic!("{reference} is nowhere"))
        }
        None => value,
    }
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(entries) => {
            if let Some(Value::String(reference)) = entries.get("$ref") {
                found.insert(reference.clone());
            }
            entries.values().for_each(|value| references(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// The path with something valid in the place of each parameter.
fn filled(path: &str) -> String {
    path.replace("{trace_id}", "0af7651916cd43dd8448eb211c80319c")
        .replace("{run_id}", "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331")
        .replace("{instance}", "pg-1")
}

async fn ask(method: &str, uri: &str) -> (StatusCode, String) {
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    let request = Request::builder().method(method).uri(uri).body(Body::empty()).expect("a request");
    let (_kept, router) = router().await;
    let response = router.oneshot(request).await.expect("the router never fails");
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[test]
fn references_lead_somewhere_and_everything_is_referred_to() {
    let document = joined().expect("JSON");
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for reference in &found {
        resolve(&document, &json!({ "$ref": reference }));
    }
    for kind in ["schemas", "parameters", "responses"] {
        for name in document["components"][kind].as_object().expect("components").keys() {
            assert!(found.contains(&format!("#/components/{kind}/{name}")), "{kind} {name} is used nowhere");
        }
    }
}

#[tokio::test]
async fn every_path_and_method_is_described_and_no_other() {
    let document = joined().expect("JSON");
    let described = operations(&document);
    let known: BTreeSet<&str> = crate::routes::paths().into_iter().map(|(path, _)| path).collect();
    let paths: BTreeSet<&str> = described.keys().map(|(path, _)| path.as_str()).collect();
    assert_eq!(known, paths);
    for path in paths {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let (status, _) = ask(method, &filled(path)).await;
            let is_described = described.contains_key(&(path.to_owned(), method.to_owned()));
            assert_eq!(status != StatusCode::METHOD_NOT_ALLOWED, is_described, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn every_parameter_is_described_and_no_other() {
    let document = joined().expect("JSON");
    for ((path, method), operation) in operations(&document) {
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let parameters: Vec<&Value> = parameters.iter().map(|parameter| resolve_owned(&document, parameter)).collect();
        let in_query = parameters.iter().filter(|parameter| parameter["in"] == "query");
        let described: BTreeSet<&str> =
            in_query.clone().map(|parameter| parameter["name"].as_str().expect("a name")).collect();
        let required = in_query.filter(|parameter| parameter["required"] == true);
        let mut query: Vec<String> = required
            .map(|parameter| {
                format!(
                    "{}={}",
                    parameter["name"].as_str().expect("a name"),
                    parameter["example"].as_str().unwrap_or("x")
                )
            })
            .collect();
        query.push("no_such_parameter=1".to_owned());
        let (status, text) = ask(&method, &format!("{}?{}", filled(&path), query.join("&"))).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{method} {path}: {text}");
        let problem: Value = serde_json::from_str(&text).expect("a problem");
        let detail = problem["detail"].as_str().expect("a detail");
        let (_, known) = detail.split_once("this path takes ").unwrap_or_else(|| panic!("{method} {path}: {detail}"));
        let known: BTreeSet<&str> = known.split(", ").filter(|name| *name != "none").collect();
        assert_eq!(known, described, "{method} {path}");
    }
}

fn resolve_owned<'a>(document: &'a Value, parameter: &Value) -> &'a Value {
    match parameter["$ref"].as_str() {
        Some(reference) => document.pointer(&reference[1..]).expect("a component"),
        None => Box::leak(Box::new(parameter.clone())),
    }
}
