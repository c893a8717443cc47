//! Every path of the API, on one screen.

use std::sync::Arc;

use axum::Router;
use axum::extract::MatchedPath;
use axum::middleware;
use axum::routing::{MethodRouter, any, delete, get};
use store::{Clock, Deleter, Reader};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;

use crate::api::{self, Asked};
use crate::limits::{Gate, Limits};
use crate::metrics::{self, Metrics};
use crate::openapi;
use crate::problem::Problem;

/// The API over `reader`; what is to be deleted goes to `deleter`. `clock` tells what `now` means in a query.
pub fn routes(reader: Reader, deleter: Deleter, clock: Arc<dyn Clock>, limits: Limits, metrics: Metrics) -> Router {
    let rules = reader.rules().clone();
    paths()
        .into_iter()
        .fold(Router::new(), |router, (path, methods)| router.route(path, methods))
        .route("/api/{*path}", any(no_such_path))
        .method_not_allowed_fallback(wrong_method)
        .with_state(Asked { reader, deleter, clock, rules, gate: Gate::new(limits) })
        // A trace of 100,000 spans is 60 MB of JSON and 4 MB compressed; the fastest level already does that.
        .route_layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
        .route_layer(middleware::from_fn_with_state(metrics, metrics::count))
}

/// Every path that there is. `query/src/openapi` describes them, and a test holds both against each other.
pub(crate) fn paths() -> Vec<(&'static str, MethodRouter<Asked>)> {
    vec![
        ("/api/v1/traces/{trace_id}", get(api::trace::trace).delete(api::delete::trace)),
        ("/api/v1/traces/{trace_id}/otlp", get(api::trace::otlp)),
        ("/api/v1/traces", delete(api::delete::matching)),
        ("/api/v1/search", get(api::search::search)),
        ("/api/v1/services", get(api::services::services)),
        ("/api/v1/operations", get(api::operations::operations)),
        ("/api/v1/operations/breakdown", get(api::breakdown::breakdown)),
        ("/api/v1/operations/slow", get(api::slow::slow)),
        ("/api/v1/runs", get(api::runs::runs)),
        ("/api/v1/runs/{run_id}", get(api::runs::run)),
        ("/api/v1/failovers", get(api::failovers::failovers)),
        ("/api/v1/failovers/{run_id}", get(api::failovers::failover)),
        ("/api/v1/backups", get(api::backups::backups)),
        ("/api/v1/instances/{instance}/timeline", get(api::timeline::timeline)),
        ("/api/v1/classify", get(api::classify::classify)),
        ("/api/v1/retention", get(api::retention::rules)),
        ("/api/v1/retention/dry-run", get(api::retention::dry_run)),
        ("/api/v1/inspect", get(api::inspect::inspect)),
        ("/api/v1/openapi.json", get(openapi::document)),
    ]
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

#[cfg(test)]
pub(crate) mod tests {
    use object_store::memory::InMemory;
    use store::{Components, Settings, Store, SystemClock};

    use super::*;

    /// The API over an empty store, which lives as long as what comes with it.
    pub(crate) async fn router() -> ((Store, tempfile::TempDir), Router) {
        let folder = tempfile::tempdir().expect("a folder");
        let components = Components::new(Arc::new(InMemory::new()));
        let store = Store::open(Settings::new(folder.path().join("hot")), components).await.expect("the store opens");
        let (reader, deleter) = (store.reader(), store.deleter());
        let router = routes(reader, deleter, Arc::new(SystemClock), Limits::default(), Metrics::default());
        ((store, folder), router)
    }
}
