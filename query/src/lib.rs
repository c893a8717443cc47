//! Asking for spans: the HTTP API of `docs/http-api.md`.
//!
//! [`routes`] shows every path. A handler in `api` reads its parameters (`params`, `time_param`), asks the
//! [`store::Reader`] under the limits of [`Limits`], and hands the answer to `render`. Every failure leaves as a `Problem`.
//!
//! Never knows which tier a span is in, never writes spans, and keeps no state between requests. Deletes go through the
//! [`store::Deleter`].

mod api;
mod breakdown;
pub mod inspection;
mod limits;
mod metrics;
mod openapi;
mod params;
mod problem;
mod render;
mod routes;
mod runs;
mod time_param;

pub use limits::Limits;
pub use metrics::Metrics;
pub use routes::routes;
