//! Everything on the HTTP port: API, health, metrics, web page.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use prometheus_client::registry::Registry;
use store::Store;
use tower_http::compression::CompressionLayer;

use crate::assets;

/// What health and metrics look at.
pub struct Vitals {
    /// The open store.
    pub store: Arc<Store>,
    /// All metrics of the program.
    pub registry: Registry,
}

/// The routes of the port; `api` has those under `/api/`.
pub fn routes(api: Router, vitals: Vitals) -> Router {
    let own = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(vitals))
        .fallback(get(assets::serve))
        .layer(CompressionLayer::new());
    own.merge(api)
}

/// Ready to accept spans; the reason when not.
async fn ready(State(vitals): State<Arc<Vitals>>) -> Response {
    match vitals.store.check() {
        Ok(()) => "ready\n".into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}

async fn metrics(State(vitals): State<Arc<Vitals>>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    vitals.store.observe_metrics();
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &vitals.registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
