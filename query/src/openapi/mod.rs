//! The description of the API as an OpenAPI 3.1 document, one file per subject.
//!
//! Written by hand, because answers are views that are never built as values that a library could describe. The tests here
//! hold it against the paths and parameters that there are; `tests/openapi.rs` holds answers against its schemas.

#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use axum::response::Response;
use http::Uri;
use serde_json::{Map, Value, json};

use crate::api::{JSON, body};
use crate::params::Params;
use crate::problem::Problem;

/// What all subjects share.
const COMMON: &str = include_str!("common.json");

/// Paths and schemas by subject.
const SUBJECTS: [&str; 5] = [
    include_str!("traces.json"),
    include_str!("operations.json"),
    include_str!("runs.json"),
    include_str!("failovers.json"),
    include_str!("server.json"),
];

/// Answers that every path may give, so that no subject has to name them.
const FAILURES: [(&str, &str); 5] = [
    ("400", "BadRequest"),
    ("405", "MethodNotAllowed"),
    ("500", "Internal"),
    ("503", "Unavailable"),
    ("504", "Timeout"),
];

/// `GET /api/v1/openapi.json`.
pub(crate) async fn document(uri: Uri) -> Result<Response, Problem> {
    static TEXT: OnceLock<Result<Vec<u8>, String>> = OnceLock::new();
    Params::of(&uri)?.finish()?;
    let text = TEXT.get_or_init(|| {
        let written = joined().and_then(|document| serde_json::to_vec(&document));
        written.map_err(|error| error.to_string())
    });
    match text {
        Ok(text) => Ok(body(JSON, text.clone())),
        Err(error) => Err(Problem::internal(format!("the description of the API cannot be read: {error}"))),
    }
}

/// All files as one document.
fn joined() -> Result<Value, serde_json::Error> {
    let mut document: Value = serde_json::from_str(COMMON)?;
    let mut paths = Map::new();
    for subject in SUBJECTS {
        let mut subject: Value = serde_json::from_str(subject)?;
        paths.append(entries(&mut subject["paths"]));
        let schemas = &mut document["components"]["schemas"];
        entries(schemas).append(entries(&mut subject["components"]["schemas"]));
    }
    for operation in paths.values_mut().flat_map(|path| entries(path).values_mut()) {
        let responses = entries(&mut operation["responses"]);
        for (status, name) in FAILURES {
            responses.insert(status.to_owned(), json!({ "$ref": format!("#/components/responses/{name}") }));
        }
    }
    document["paths"] = Value::Object(paths);
    Ok(document)
}

/// The entries of an object; of anything else, which the files do not have in these places, an empty object in its place.
fn entries(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(entries) => entries,
        _ => unreachable!("made an object above"),
    }
}
