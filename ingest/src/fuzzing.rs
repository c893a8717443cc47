//! What the fuzz targets in `fuzz/` call: the parts of receiving that read a sender's bytes, without a server around.
//!
//! No part of the crate's interface; it may change with any commit.

use prometheus_client::metrics::gauge::Gauge;

use crate::Settings;
use crate::admit::Gate;
use crate::body::{self, Encoding};
use crate::json;

/// Rewrites OTLP/JSON as protobuf.
///
/// # Errors
/// What is wrong with the text.
pub fn json(text: &[u8]) -> Result<Vec<u8>, String> {
    json::to_protobuf(text)
}

/// Decompresses a body, as its `Content-Encoding` says, to at most `bytes_max`.
///
/// # Errors
/// Why it is refused.
pub fn decompress(content_encoding: &str, body: Vec<u8>, bytes_max: usize) -> Result<Vec<u8>, String> {
    let value = http::HeaderValue::from_str(content_encoding).map_err(|error| error.to_string())?;
    let headers = http::HeaderMap::from_iter([(http::header::CONTENT_ENCODING, value)]);
    let encoding = Encoding::of_http(&headers).map_err(|refusal| refusal.to_string())?;
    // What comes out, doubled while its buffer grows, is all that may be charged.
    let settings = Settings { in_flight_bytes_max: 2 * (bytes_max + 1), ..Settings::default() };
    let gate = Gate::new(&settings, Gauge::default(), Gauge::default());
    let mut permit = gate.enter().map_err(|refusal| refusal.to_string())?;
    body::decompress(encoding, body, bytes_max, &mut permit).map_err(|refusal| refusal.to_string())
}
