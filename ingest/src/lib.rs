//! Receiving spans: OTLP over gRPC and over HTTP, until they are durable in the store or refused with a reason.
//!
//! | what arrives | what happens |
//! |---|---|
//! | gRPC `opentelemetry.proto.collector.trace.v1.TraceService/Export`; identity, gzip, zstd, deflate | accepted |
//! | HTTP `POST /v1/traces`, protobuf or JSON; identity, gzip, zstd, deflate | accepted |
//! | a request without spans, or without a body | succeeds and keeps nothing |
//! | a span whose id is missing, zero or of the wrong length | left out; `partial_success` says how many and why |
//! | a body that does not decode | `INVALID_ARGUMENT`, 400 |
//! | a body over a limit of [`Settings`], before or after decompression | `RESOURCE_EXHAUSTED` without a retry hint, 413 |
//! | an unknown content type or content encoding | 415; for gRPC `UNIMPLEMENTED` and the encodings that work |
//! | more in flight than [`Settings`] or the store allow | `RESOURCE_EXHAUSTED` with `RetryInfo`, 429 with `Retry-After` |
//! | the store is closing or cannot write | `UNAVAILABLE` with `RetryInfo`, 503 with `Retry-After`: nothing is dropped on our account |
//!
//! A request travels one way: [`grpc_router`] or [`http_router`] take it apart, `accept` carries it (admit, read,
//! decompress, check, append), `reply` turns the outcome into bytes.
//!
//! Never reads back what it stored, and never holds a span after its answer.

mod accept;
mod admit;
mod body;
mod cors;
mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod grpc;
mod http;
mod json;
mod metrics;
mod refusal;
mod reply;
mod serve;
mod settings;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use accept::Ingest;
pub use grpc::grpc_router;
pub use http::http_router;
pub use metrics::Metrics;
pub use serve::serve;
pub use settings::{Settings, SettingsError};
