//! OTLP/gRPC: takes a unary `Export` call apart and wraps its outcome.
//!
//! The service is written by hand, not generated, and speaks gRPC's framing itself ([`crate::frame`], a page of code).
//! tonic's codec could hand over raw bytes too, but it answers a message over its limit with `OUT_OF_RANGE`, which OTLP
//! clients send again and again, and one that does not decompress with `INTERNAL`; it has one limit for the size before and
//! after decompression, decompresses on the thread that serves the connection, and reads the message before anything can
//! be refused. Here both transports share one way of reading, limiting and decompressing; tonic still listens
//! ([`crate::serve`]) and writes the status headers.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::routing::any;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Response};

use crate::accept::{Envelope, Ingest, Transport};
use crate::body::{Encoding, Format};
use crate::refusal::Refusal;
use crate::reply;

/// gRPC's path is the full name of the service and the method.
const EXPORT_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Serves OTLP/gRPC. Needs HTTP/2, as [`crate::serve`] offers it.
pub fn grpc_router(ingest: Ingest) -> Router {
    Router::new().route(EXPORT_PATH, any(export)).fallback(unknown).with_state(ingest)
}

async fn export(State(ingest): State<Ingest>, request: Request) -> Response<Body> {
    let (parts, mut body) = request.into_parts();
    let envelope = envelope(&parts.method, &parts.headers);
    match ingest.accept(Transport::Grpc, envelope, &parts.headers, &mut body).await {
        Ok(accepted) => reply::grpc_accepted(&accepted),
        Err(refusal) => reply::grpc_refused(&refusal),
    }
}

async fn unknown() -> Response<Body> {
    reply::grpc_refused(&Refusal::UnknownPath)
}

fn envelope(method: &Method, headers: &HeaderMap) -> Result<Envelope, Refusal> {
    if method != Method::POST {
        return Err(Refusal::UnsupportedMethod(method.to_string()));
    }
    let content_type = headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let content_type = content_type.unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if essence != "application/grpc" && essence != "application/grpc+proto" {
        return Err(Refusal::UnsupportedType(essence.chars().take(64).collect()));
    }
    Ok(Envelope { format: Format::Protobuf, encoding: Encoding::of_grpc(headers)? })
}
