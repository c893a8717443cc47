//! Spans from web pages: the cross-origin rules (Fetch standard, "CORS protocol"), for the origins of
//! [`crate::Settings::browser_origins`] only.

use axum::body::Body;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

/// How long a browser may remember the answer to a preflight: two hours, the most that Chromium honours.
const MAX_AGE_SECS: &str = "7200";

/// The answer to a preflight request; `None` when it is none, or its origin is not allowed.
pub(crate) fn preflight(origins: &[String], request: &HeaderMap) -> Option<Response<Body>> {
    let origin = allowed_origin(origins, request)?;
    request.get(ACCESS_CONTROL_REQUEST_METHOD)?;
    let mut reply = Response::new(Body::empty());
    *reply.status_mut() = StatusCode::NO_CONTENT;
    let headers = reply.headers_mut();
    insert_origin(headers, origin);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE_SECS));
    // SDKs add headers of their users' choice, tokens among them; which ones matter is decided by who reads them.
    if let Some(names) = request.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    Some(reply)
}

/// Lets the page read the reply, if its origin is allowed.
pub(crate) fn allow(origins: &[String], request: &HeaderMap, reply: &mut HeaderMap) {
    if let Some(origin) = allowed_origin(origins, request) {
        insert_origin(reply, origin);
    }
}

fn allowed_origin<'a>(origins: &[String], request: &'a HeaderMap) -> Option<&'a HeaderValue> {
    let origin = request.get(ORIGIN)?;
    let allowed = origins.iter().any(|allowed| allowed == "*" || allowed.as_bytes() == origin.as_bytes());
    allowed.then_some(origin)
}

fn insert_origin(headers: &mut HeaderMap, origin: &HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(VARY, HeaderValue::from_static("origin"));
}
