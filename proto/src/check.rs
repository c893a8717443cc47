//! Turns the bytes of an OTLP export request into a [`CheckedRequest`]: what may be kept.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;

use crate::TraceId;

/// The wire bytes of an `ExportTraceServiceRequest` in which every span has valid ids.
///
/// Only [`check`] makes one, so whoever holds it need not look again.
#[derive(Debug, Clone)]
pub struct CheckedRequest {
    bytes: Vec<u8>,
    trace_ids: Vec<TraceId>,
    span_count: usize,
}

/// A span that was left out, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Position of the span in the request, counted over all resources and scopes from 0.
    pub index: usize,
    /// The span's name.
    pub name: String,
    /// What is wrong with it.
    pub reason: String,
}

/// The bytes are no `ExportTraceServiceRequest`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an ExportTraceServiceRequest: {0}")]
pub struct Undecodable(pub String);

/// Checks the protobuf bytes of an export request. Spans with a bad id are left out and reported; the rest is kept.
///
/// # Errors
/// When the bytes are not an `ExportTraceServiceRequest`.
pub fn check(_bytes: Vec<u8>) -> Result<(CheckedRequest, Vec<Rejection>), Undecodable> {
    Err(Undecodable(String::new()))
}

/// [`check`] for a request that is decoded already (from JSON).
#[must_use]
pub fn check_decoded(_request: ExportTraceServiceRequest) -> (CheckedRequest, Vec<Rejection>) {
    (CheckedRequest { bytes: Vec::new(), trace_ids: Vec::new(), span_count: 0 }, Vec::new())
}

impl CheckedRequest {
    /// Protobuf of an `ExportTraceServiceRequest`.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The distinct traces in it, sorted.
    #[must_use]
    pub fn trace_ids(&self) -> &[TraceId] {
        &self.trace_ids
    }

    /// Spans in it.
    #[must_use]
    pub const fn span_count(&self) -> usize {
        self.span_count
    }
}
