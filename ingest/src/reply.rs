//! Outcome to bytes: gRPC status or HTTP status, the message in the request's own format, and when to retry.
//!
//! Source: OTLP specification, "Response" of OTLP/gRPC and of OTLP/HTTP. What clients send again after a failure:
//!
//! | gRPC | HTTP |
//! |---|---|
//! | `UNAVAILABLE`, `ABORTED`, `CANCELLED`, `DEADLINE_EXCEEDED`, `OUT_OF_RANGE`, `DATA_LOSS` | 429, 502, 503, 504 |
//! | `RESOURCE_EXHAUSTED`, if and only if it comes with `RetryInfo` | |
//!
//! All else makes them drop the data, so a broken store answers `UNAVAILABLE` and 503: its senders' data is good.

use std::fmt::Write;
use std::time::Duration;

use axum::body::Body;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use prost::Message;
use proto::otlp::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use proto::rpc::{Any, RetryInfo, Status};
use serde_json::json;
use tonic::Code;

use crate::accept::Accepted;
use crate::body::Format;
use crate::frame::frame;
use crate::refusal::Refusal;

/// Distinct reasons that a partial success names; more would be a list nobody reads.
const REASONS_MAX: usize = 5;

/// Longest message to a client. gRPC sends it in a header, percent-encoded, and clients cap their headers at 8 kB or so.
const MESSAGE_BYTES_MAX: usize = 1_024;

/// What [`crate::body::Encoding`] takes, in gRPC's words.
const GRPC_ACCEPT_ENCODING: &str = "identity,gzip,zstd,deflate";

/// `google.rpc.BadRequest`, which OTLP asks for beside a 400.
#[derive(Clone, PartialEq, Message)]
struct BadRequest {
    #[prost(message, repeated, tag = "1")]
    field_violations: Vec<FieldViolation>,
}

/// `google.rpc.BadRequest.FieldViolation`.
#[derive(Clone, PartialEq, Message)]
struct FieldViolation {
    #[prost(string, tag = "1")]
    field: String,
    #[prost(string, tag = "2")]
    description: String,
}

const BAD_REQUEST_TYPE_URL: &str = "type.googleapis.com/google.rpc.BadRequest";

/// The answer of OTLP/gRPC to a request that was kept.
pub(crate) fn grpc_accepted(accepted: &Accepted) -> Response<Body> {
    let message = frame(&response(accepted).encode_to_vec());
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::from(message).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut reply = Response::new(Body::new(body));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    reply
}

/// The answer of OTLP/gRPC to a request that was refused.
pub(crate) fn grpc_refused(refusal: &Refusal) -> Response<Body> {
    let status = status(refusal);
    let details = status.encode_to_vec();
    let mut reply = tonic::Status::with_details(code(refusal), status.message, details.into()).into_http::<Body>();
    if matches!(refusal, Refusal::UnsupportedEncoding(_)) {
        reply.headers_mut().insert("grpc-accept-encoding", HeaderValue::from_static(GRPC_ACCEPT_ENCODING));
    }
    // gRPC reserves HTTP's own codes for peers that do not speak gRPC at all.
    match refusal {
        Refusal::UnsupportedType(_) => *reply.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Refusal::UnsupportedMethod(_) => *reply.status_mut() = StatusCode::METHOD_NOT_ALLOWED,
        _ => {}
    }
    reply
}

/// The answer of OTLP/HTTP to a request that was kept.
pub(crate) fn http_accepted(format: Format, accepted: &Accepted) -> Response<Body> {
    let response = response(accepted);
    let body = match (format, &response.partial_success) {
        (Format::Protobuf, _) => response.encode_to_vec(),
        (Format::Json, None) => b"{}".to_vec(),
        (Format::Json, Some(partial)) => {
            // 64-bit integers are strings in proto3's JSON mapping.
            let rejected_spans = partial.rejected_spans.to_string();
            json!({"partialSuccess": {"rejectedSpans": rejected_spans, "errorMessage": partial.error_message}})
                .to_string()
                .into_bytes()
        }
    };
    http_reply(StatusCode::OK, format, body)
}

/// The answer of OTLP/HTTP to a request that was refused. Without a known request format it is in JSON, for people.
pub(crate) fn http_refused(format: Option<Format>, refusal: &Refusal) -> Response<Body> {
    let status = status(refusal);
    let format = format.unwrap_or(Format::Json);
    let body = match format {
        Format::Protobuf => status.encode_to_vec(),
        Format::Json => {
            json!({"code": status.code, "message": status.message, "details": json_details(refusal, &status.message)})
                .to_string()
                .into_bytes()
        }
    };
    let mut reply = http_reply(http_status(refusal), format, body);
    if let Some(delay) = refusal.retry_after() {
        reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(whole_seconds(delay)));
    }
    if matches!(refusal, Refusal::UnsupportedMethod(_)) {
        reply.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    }
    reply
}

fn http_reply(status: StatusCode, format: Format, body: Vec<u8>) -> Response<Body> {
    let mut reply = Response::new(Body::from(body));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    reply
}

/// The one table of codes.
const fn code(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::Undecodable(_) | Refusal::UnsupportedType(_) => Code::InvalidArgument,
        Refusal::TooLarge { .. } | Refusal::Overloaded(_) => Code::ResourceExhausted,
        Refusal::UnsupportedEncoding(_) | Refusal::UnsupportedMethod(_) | Refusal::UnknownPath => Code::Unimplemented,
        Refusal::Slow(_) => Code::DeadlineExceeded,
        Refusal::Interrupted(_) => Code::Cancelled,
        Refusal::Unavailable { .. } | Refusal::Broken { .. } => Code::Unavailable,
        Refusal::Protocol(_) | Refusal::Crashed => Code::Internal,
    }
}

/// The one table of statuses.
const fn http_status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::Undecodable(_) | Refusal::Protocol(_) | Refusal::Interrupted(_) => StatusCode::BAD_REQUEST,
        Refusal::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::UnsupportedType(_) | Refusal::UnsupportedEncoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Refusal::UnsupportedMethod(_) => StatusCode::METHOD_NOT_ALLOWED,
        Refusal::UnknownPath => StatusCode::NOT_FOUND,
        Refusal::Slow(_) => StatusCode::REQUEST_TIMEOUT,
        Refusal::Overloaded(_) => StatusCode::TOO_MANY_REQUESTS,
        Refusal::Unavailable { .. } | Refusal::Broken { .. } => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::Crashed => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn status(refusal: &Refusal) -> Status {
    let message = cap(refusal.to_string());
    let mut details = Vec::new();
    if let Some(delay) = refusal.retry_after() {
        let retry_delay = proto::rpc::Duration { seconds: delay.as_secs() as i64, nanos: delay.subsec_nanos() as i32 };
        let info = RetryInfo { retry_delay: Some(retry_delay) };
        details.push(Any { type_url: RetryInfo::TYPE_URL.to_owned(), value: info.encode_to_vec() });
    }
    if matches!(refusal, Refusal::Undecodable(_)) {
        let violation = FieldViolation { field: String::new(), description: message.clone() };
        let bad_request = BadRequest { field_violations: vec![violation] };
        details.push(Any { type_url: BAD_REQUEST_TYPE_URL.to_owned(), value: bad_request.encode_to_vec() });
    }
    Status { code: code(refusal) as i32, message, details }
}

/// The details of [`status`] in proto3's JSON mapping of `Any`, `Duration` and the rest.
fn json_details(refusal: &Refusal, message: &str) -> Vec<serde_json::Value> {
    let mut details = Vec::new();
    if let Some(delay) = refusal.retry_after() {
        let retry_delay = format!("{}s", delay.as_secs_f64());
        details.push(json!({"@type": RetryInfo::TYPE_URL, "retryDelay": retry_delay}));
    }
    if matches!(refusal, Refusal::Undecodable(_)) {
        let violations = json!([{"description": message}]);
        details.push(json!({"@type": BAD_REQUEST_TYPE_URL, "fieldViolations": violations}));
    }
    details
}

/// `Retry-After` counts in seconds; less than one would read as "at once".
fn whole_seconds(delay: Duration) -> u64 {
    (delay.as_secs() + u64::from(delay.subsec_nanos() > 0)).max(1)
}

fn response(accepted: &Accepted) -> ExportTraceServiceResponse {
    if accepted.rejections.is_empty() {
        // OTLP: `partial_success` must stay unset when all is well.
        return ExportTraceServiceResponse { partial_success: None };
    }
    let partial_success = ExportTracePartialSuccess {
        rejected_spans: accepted.rejections.total() as i64,
        error_message: explain(accepted),
    };
    ExportTraceServiceResponse { partial_success: Some(partial_success) }
}

/// `2 of 10 spans rejected: span id is all zero (1), trace id must be 16 bytes …, got 3 bytes (1)`.
fn explain(accepted: &Accepted) -> String {
    let rejected = accepted.rejections.total();
    let mut reasons: Vec<(&str, usize)> = accepted.rejections.reasons().collect();
    reasons.sort_unstable_by(|(reason_a, count_a), (reason_b, count_b)| {
        count_b.cmp(count_a).then_with(|| reason_a.cmp(reason_b))
    });

    let mut message = format!("{rejected} of {} spans rejected: ", accepted.span_count + rejected);
    for (position, (reason, count)) in reasons.iter().take(REASONS_MAX).enumerate() {
        let separator = if position == 0 { "" } else { ", " };
        // Writing to a String does not fail.
        let _ = write!(message, "{separator}{reason} ({count})");
    }
    if reasons.len() > REASONS_MAX {
        let _ = write!(message, ", and {} other reasons", reasons.len() - REASONS_MAX);
    }
    cap(message)
}

/// Cuts a message at a character boundary.
fn cap(mut message: String) -> String {
    if message.len() > MESSAGE_BYTES_MAX {
        let mut end = MESSAGE_BYTES_MAX;
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        message.push('…');
    }
    message
}

#[cfg(test)]
mod tests;
