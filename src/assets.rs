//! Serves the web page that was built into the binary, or says how to build it.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, Uri, header};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "ui/dist"]
#[allow_missing = true]
struct Page;

/// Where every address of the page leads that is no file: the page finds its way by itself.
const INDEX: &str = "index.html";

/// Names under here carry a hash of their content, so they never change.
const HASHED: &str = "assets/";

const MISSING: &str = "<!doctype html><title>Spanhold</title><p>This binary was built without the web page. \
    Run <code>make ui</code> (needs Node), then build again. The HTTP API works: <code>/api/v1/services</code>.";

/// Nothing from elsewhere, nothing inline but styles, which Svelte sets on elements.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'";

/// Answers any path that no API has.
pub async fn serve(uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    if let Some(file) = Page::get(path) {
        return respond(path, &file);
    }
    if path.starts_with(HASHED) {
        return StatusCode::NOT_FOUND.into_response();
    }
    match Page::get(INDEX) {
        Some(file) => respond(INDEX, &file),
        None => (StatusCode::OK, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], MISSING).into_response(),
    }
}

fn respond(path: &str, file: &rust_embed::EmbeddedFile) -> Response {
    let cache = if path.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response = Response::new(Body::from(file.data.to_vec()));
    let headers = response.headers_mut();
    if let Ok(kind) = HeaderValue::from_str(file.metadata.mimetype()) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// Whether the page is in the binary.
#[must_use]
pub fn has_page() -> bool {
    Page::get(INDEX).is_some()
}
