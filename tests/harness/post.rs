//! OTLP over HTTP by hand: bodies that no client library would send.

use std::io::Write;

use http::StatusCode;

use super::Server;

pub(crate) const PROTOBUF: &str = "application/x-protobuf";
pub(crate) const JSON: &str = "application/json";

/// Posts a body; gives status, content type and body of the answer.
pub(crate) async fn post(
    server: &Server,
    kind: &str,
    encoding: Option<&str>,
    body: Vec<u8>,
) -> (StatusCode, String, Vec<u8>) {
    let mut post = reqwest::Client::new().post(format!("{}/v1/traces", server.otlp_http)).header("content-type", kind);
    if let Some(encoding) = encoding {
        post = post.header("content-encoding", encoding);
    }
    let response = post.body(body).send().await.expect("answers");
    let kind = response.headers().get("content-type").map(|kind| kind.to_str().expect("text").to_owned());
    (response.status(), kind.unwrap_or_default(), response.bytes().await.expect("a body").to_vec())
}

/// Compresses: `gzip`, `deflate` or `zstd`.
pub(crate) fn packed(encoding: &str, bytes: &[u8]) -> Vec<u8> {
    match encoding {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).expect("memory");
            encoder.finish().expect("memory")
        }
        "deflate" => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).expect("memory");
            encoder.finish().expect("memory")
        }
        _ => zstd::encode_all(bytes, 1).expect("memory"),
    }
}
