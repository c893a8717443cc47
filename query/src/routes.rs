//! Every path of the API, on one screen.

use std::sync::Arc;

use axum::Router;
use axum::extract::MatchedPath;
use axum::middleware;
use axum::routing::{any, delete, get};
use store::{Clock, Deleter, Reader};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;

use crate::api::{self, Asked};
use crate::limits::{Gate, Limits};
use crate::metrics::{self, Metrics};
use crate::problem::Problem;

/// The API over `reader`; what is to be deleted goes to `deleter`. `clock` tells what `now` means in a query.
pub fn routes(reader: Reader, deleter: Deleter, clock: Arc<dyn Clock>, limits: Limits, metrics: Metrics) -> Router {
    Router::new()
        .route("/api/v1/traces/{trace_id}", get(api::trace::trace).delete(api::delete::trace))
        .route("/api/v1/traces/{trace_id}/otlp", get(api::trace::otlp))
        .route("/api/v1/traces", delete(api::delete::matching))
        .route("/api/v1/retention", get(api::retention::rules))
        .route("/api/v1/retention/dry-run", get(api::retention::dry_run))
        .route("/api/v1/search", get(api::search::search))
        .route("/api/v1/services", get(api::services::services))
        .route("/api/v1/operations", get(api::operations::operations))
        .route("/api/v1/inspect", get(api::inspect::inspect))
        .route("/api/{*path}", any(no_such_path))
        .method_not_allowed_fallback(wrong_method)
        .with_state(Asked { reader, deleter, clock, gate: Gate::new(limits) })
        // A trace of 100,000 spans is 60 MB of JSON and 4 MB compressed; the fastest level already does that.
        .route_layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
        .route_layer(middleware::from_fn_with_state(metrics, metrics::count))
}

async fn no_such_path() -> Problem {
    Problem::not_found("there is no such path; docs/http-api.md lists those that exist")
}

async fn wrong_method(path: Option<MatchedPath>) -> Problem {
    Problem::wrong_method(match path.as_ref().map(MatchedPath::as_str) {
        Some("/api/v1/traces") => "this path answers DELETE only",
        Some("/api/v1/traces/{trace_id}") => "this path answers GET, HEAD and DELETE only",
        _ => "this path answers GET and HEAD only",
    })
}
