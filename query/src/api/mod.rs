//! The handlers, a file per subject: read the parameters, ask the store, render.

pub(crate) mod backups;
pub(crate) mod breakdown;
pub(crate) mod classify;
pub(crate) mod delete;
pub(crate) mod failovers;
pub(crate) mod inspect;
pub(crate) mod operations;
pub(crate) mod retention;
pub(crate) mod runs;
pub(crate) mod search;
pub(crate) mod services;
pub(crate) mod slow;
pub(crate) mod timeline;
pub(crate) mod trace;

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use model::rules::Rules;
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
    pub(crate) rules: Rules,
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

pub(crate) fn to_json(value: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(value).map_err(|error| Problem::internal(format!("the answer could not be rendered: {error}")))
}

pub(crate) fn body(content_type: &'static str, bytes: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static(content_type))], bytes).into_response()
}

const HOUR_NANOS: i64 = 3_600 * 1_000_000_000;
const DAY_NANOS: i64 = 24 * HOUR_NANOS;

pub(crate) const JSON: &str = "application/json";
