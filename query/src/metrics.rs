//! What the query side tells about itself. Names are constants here and nowhere else.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Before every name.
const PREFIX: &str = "spanhold_query";
/// `spanhold_query_requests_total{route,status}`.
const REQUESTS: &str = "requests";
/// `spanhold_query_duration_seconds{route}`.
const DURATION: &str = "duration";
/// `spanhold_query_requests_in_flight`.
const REQUESTS_IN_FLIGHT: &str = "requests_in_flight";

/// Handles; clones count together.
#[derive(Debug, Clone)]
pub struct Metrics {
    requests: Family<Outcome, Counter>,
    duration_seconds: Family<Route, Histogram, fn() -> Histogram>,
    requests_in_flight: Gauge,
}

/// The path as it stands in [`crate::routes`], not as it was asked for: ids would make a series each.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    route: String,
    status: u16,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            // 500 µs to 33 s: from a recent trace to the deadline.
            duration_seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.0005, 4.0, 9))),
            requests_in_flight: Gauge::default(),
        }
    }
}

impl Metrics {
    /// Adds all of them to `registry`.
    pub fn register(&self, registry: &mut Registry) {
        let query = registry.sub_registry_with_prefix(PREFIX);
        query.register(REQUESTS, "Requests answered, by route and status", self.requests.clone());
        query.register_with_unit(
            DURATION,
            "Time from a request to its answer, before compression",
            Unit::Seconds,
            self.duration_seconds.clone(),
        );
        query.register(REQUESTS_IN_FLIGHT, "Requests that wait for their answer", self.requests_in_flight.clone());
    }
}

/// Lowers the gauge also when the client hangs up and the request is dropped half-way.
struct InFlight(Gauge);

impl InFlight {
    fn begin(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Middleware that counts a request.
pub(crate) async fn count(State(metrics): State<Metrics>, path: MatchedPath, request: Request, next: Next) -> Response {
    let _in_flight = InFlight::begin(&metrics.requests_in_flight);
    let began = Instant::now();
    let response = next.run(request).await;
    let route = path.as_str().to_owned();
    let seconds = began.elapsed().as_secs_f64();
    metrics.duration_seconds.get_or_create(&Route { route: route.clone() }).observe(seconds);
    metrics.requests.get_or_create(&Outcome { route, status: response.status().as_u16() }).inc();
    response
}
