//! The handlers, a file per subject: read the parameters, ask the store, render.

pub(crate) mod delete;
pub(crate) mod inspect;
pub(crate) mod operations;
pub(crate) mod retention;
pub(crate) mod search;
pub(crate) mod services;
pub(crate) mod trace;

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use store::{Clock, Deleter, Reader};

use crate::limits::Gate;
use crate::problem::Problem;

/// What every handler is given.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) reader: Reader,
    pub(crate) deleter: Deleter,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) gate: Gate,
}

/// Runs what takes milliseconds of CPU (assembling and rendering a large trace) where it holds up no other request.
async fn off_the_runtime<T, F>(work: F) -> Result<T, Problem>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, Problem> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => {
            tracing::error!(%error, "rendering an answer failed");
            Err(Problem::internal("the answer could not be rendered: see the server's log"))
        }
    }
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(value).map_err(|error| Problem::internal(format!("the answer could not be rendered: {error}")))
}

fn body(content_type: &'static str, bytes: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static(content_type))], bytes).into_response()
}

const JSON: &str = "application/json";
