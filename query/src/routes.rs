//! Every path of the API, on one screen.

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::{any, get};
use store::{Clock, Reader};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;

use crate::api::{self, Asked};
use crate::limits::{Gate, Limits};
use crate::metrics::{self, Metrics};
use crate::problem::Problem;

/// The API over `reader`. `clock` tells what `now` means in a query.
pub fn routes(reader: Reader, clock: Arc<dyn Clock>, limits: Limits, metrics: Metrics) -> Router {
    Router::new()
        .route("/api/v1/traces/{trace_id}", get(api::trace::trace))
        .route("/api/v1/traces/{trace_id}/otlp", get(api::trace::otlp))
        .route("/api/v1/search", get(api::search::search))
        .route("/api/v1/services", get(api::services::services))
        .route("/api/v1/operations", get(api::operations::operations))
        .route("/api/v1/inspect", get(api::inspect::inspect))
        .route("/api/{*path}", any(no_such_path))
        .method_not_allowed_fallback(wrong_method)
        .with_state(Asked { reader, clock, gate: Gate::new(limits) })
        // A trace of 100,000 spans is 60 MB of JSON and 4 MB compressed; the fastest level already does that.
        .route_layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
        .route_layer(middleware::from_fn_with_state(metrics, metrics::count))
}

async fn no_such_path() -> Problem {
    Problem::not_found("there is no such path; docs/http-api.md lists those that exist")
}

async fn wrong_method() -> Problem {
    Problem::wrong_method("this path answers GET and HEAD only")
}
