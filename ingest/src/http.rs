//! OTLP/HTTP: takes `POST /v1/traces` apart and wraps its outcome.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::routing::any;
use http::{HeaderMap, Method, Response, Version};

use crate::accept::{Envelope, Ingest, Transport};
use crate::body::{self, Encoding, Format};
use crate::cors;
use crate::refusal::Refusal;
use crate::reply;

/// OTLP's default path for traces.
const TRACES_PATH: &str = "/v1/traces";

/// How long a refused HTTP/1 client may go on sending before it gets its answer and the connection closes: enough for a
/// body that is on its way, too little to be worth holding a connection for.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// How much it may go on sending, in largest requests. Reading costs no memory, and who oversteps the limit usually
/// does so by a little.
const DISCARD_REQUESTS: usize = 4;

/// Serves OTLP/HTTP.
pub fn http_router(ingest: Ingest) -> Router {
    Router::new().route(TRACES_PATH, any(traces)).fallback(unknown).with_state(ingest)
}

async fn traces(State(ingest): State<Ingest>, request: Request) -> Response<Body> {
    let (parts, mut body) = request.into_parts();
    let origins = &ingest.settings().browser_origins;
    if parts.method == Method::OPTIONS
        && let Some(preflight) = cors::preflight(origins, &parts.headers)
    {
        return preflight;
    }
    let format = Format::of(&parts.headers);
    let envelope = envelope(&parts.method, &parts.headers, format.clone());
    let outcome = ingest.accept(Transport::Http, envelope, &parts.headers, &mut body).await;
    let mut reply = match (&format, &outcome) {
        (Ok(format), Ok(accepted)) => reply::http_accepted(*format, accepted),
        (format, Err(refusal)) => reply::http_refused(format.as_ref().ok().copied(), refusal),
        (Err(refusal), Ok(_)) => reply::http_refused(None, refusal),
    };
    if parts.version < Version::HTTP_2 && outcome.as_ref().is_err_and(is_still_sending) {
        let bytes_max = ingest.settings().request_bytes_max.saturating_mul(DISCARD_REQUESTS);
        body::discard(&mut body, bytes_max, DISCARD_TIMEOUT).await;
    }
    cors::allow(origins, &parts.headers, reply.headers_mut());
    reply
}

/// Whether a refused client may be in the middle of its body, and would miss the answer if the connection closed now.
fn is_still_sending(refusal: &Refusal) -> bool {
    !matches!(refusal, Refusal::Slow(_) | Refusal::Interrupted(_))
}

async fn unknown(headers: HeaderMap) -> Response<Body> {
    reply::http_refused(Format::of(&headers).ok(), &Refusal::UnknownPath)
}

fn envelope(method: &Method, headers: &HeaderMap, format: Result<Format, Refusal>) -> Result<Envelope, Refusal> {
    if method != Method::POST {
        return Err(Refusal::UnsupportedMethod(method.to_string()));
    }
    Ok(Envelope { format: format?, encoding: Encoding::of_http(headers)? })
}
