//! The body of a request: what its headers say it is, reading it within limits, and decompressing it within limits.
//!
//! Memory is charged to the request's [`Permit`] before it is used, so a small body that unpacks to gigabytes is refused
//! when it passes the limit, not after it has filled the memory.

use std::io::Read;
use std::time::Duration;

use axum::body::Body;
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use http_body_util::BodyExt;

use crate::admit::Permit;
use crate::refusal::Refusal;

/// Largest zstd window: 8 MiB, the least that RFC 8878 asks decoders to support and the most that levels up to 19 use.
/// A frame may ask for gigabytes, which the decoder would allocate before the first byte comes out.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Bytes decompressed per step: large enough to amortise the call, small enough that clearing them costs nothing.
const STEP_BYTES: usize = 64 << 10;

/// What spans usually shrink by; a first guess that saves copies.
const EXPECTED_RATIO: usize = 4;

/// First allocation for a body of declared length, so that a header alone cannot take the memory of a largest request.
const FIRST_BYTES_MAX: usize = 1 << 20;

/// How an export request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Protobuf,
    Json,
}

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Zstd,
    Deflate,
}

impl Format {
    /// The content type of request and reply.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }

    /// From `Content-Type`; parameters such as `charset` are ignored.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let Some(value) = headers.get(CONTENT_TYPE) else {
            return Err(Refusal::UnsupportedType("(none)".to_owned()));
        };
        let text = String::from_utf8_lossy(value.as_bytes());
        let essence = text.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("application/x-protobuf")
            || essence.eq_ignore_ascii_case("application/protobuf")
        {
            Ok(Self::Protobuf)
        } else if essence.eq_ignore_ascii_case("application/json") {
            Ok(Self::Json)
        } else {
            Err(Refusal::UnsupportedType(shorten(essence)))
        }
    }
}

impl Encoding {
    /// From `Content-Encoding`.
    pub(crate) fn of_http(headers: &HeaderMap) -> Result<Self, Refusal> {
        Self::of(headers, &CONTENT_ENCODING)
    }

    /// From `grpc-encoding`.
    pub(crate) fn of_grpc(headers: &HeaderMap) -> Result<Self, Refusal> {
        Self::of(headers, &HeaderName::from_static("grpc-encoding"))
    }

    fn of(headers: &HeaderMap, name: &HeaderName) -> Result<Self, Refusal> {
        let mut encoding = Self::Identity;
        for value in headers.get_all(name) {
            let text = String::from_utf8_lossy(value.as_bytes());
            let known = match text.trim().to_ascii_lowercase().as_str() {
                "" | "identity" | "none" => continue,
                "gzip" | "x-gzip" => Self::Gzip,
                "zstd" => Self::Zstd,
                "deflate" => Self::Deflate,
                _ => return Err(Refusal::UnsupportedEncoding(shorten(&text))),
            };
            if encoding != Self::Identity {
                return Err(Refusal::UnsupportedEncoding("applied twice".to_owned()));
            }
            encoding = known;
        }
        Ok(encoding)
    }
}

/// A header's value as part of a message.
fn shorten(text: &str) -> String {
    text.chars().take(64).collect()
}

/// Reads a whole body of at most `bytes_max`, within `timeout`.
pub(crate) async fn read(
    body: &mut Body,
    headers: &HeaderMap,
    bytes_max: usize,
    timeout: Duration,
    permit: &mut Permit,
) -> Result<Vec<u8>, Refusal> {
    let too_large = Refusal::TooLarge { stage: "as sent", setting: "request_bytes_max", limit: bytes_max };
    let declared = declared_length(headers);
    if declared.is_some_and(|length| length > bytes_max) {
        return Err(too_large);
    }
    let reading = async {
        let mut bytes = Vec::with_capacity(declared.unwrap_or_default().min(FIRST_BYTES_MAX));
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Refusal::Interrupted(error.to_string()))?;
            let Some(chunk) = frame.data_ref() else { continue };
            if chunk.len() > bytes_max - bytes.len() {
                return Err(too_large);
            }
            permit.hold(chunk.len())?;
            bytes.extend_from_slice(chunk);
        }
        Ok(bytes)
    };
    match tokio::time::timeout(timeout, reading).await {
        Ok(result) => result,
        Err(_elapsed) => Err(Refusal::Slow(timeout)),
    }
}

/// Reads and forgets what is left of a refused body, up to `bytes_max` and `timeout`. An HTTP/1 client that is still
/// sending when the connection closes sees a reset instead of the reason.
pub(crate) async fn discard(body: &mut Body, bytes_max: usize, timeout: Duration) {
    let reading = async {
        let mut left = bytes_max;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, bytes::Bytes::len);
            match left.checked_sub(length) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // Out of time is as good as read: the reply goes out either way.
    let _ = tokio::time::timeout(timeout, reading).await;
}

fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Decompresses a body to at most `bytes_max`. What comes in stays charged to the permit only as what comes out.
pub(crate) fn decompress(
    encoding: Encoding,
    compressed: Vec<u8>,
    bytes_max: usize,
    permit: &mut Permit,
) -> Result<Vec<u8>, Refusal> {
    if compressed.is_empty() {
        return Ok(compressed);
    }
    let input = compressed.as_slice();
    let decompressed = match encoding {
        Encoding::Identity if input.len() > bytes_max => return Err(decompressed_too_large(bytes_max)),
        Encoding::Identity => return Ok(compressed),
        Encoding::Gzip => read_all("gzip", MultiGzDecoder::new(input), input.len(), bytes_max, permit),
        Encoding::Deflate if has_zlib_header(input) => {
            read_all("deflate", ZlibDecoder::new(input), input.len(), bytes_max, permit)
        }
        Encoding::Deflate => read_all("deflate", DeflateDecoder::new(input), input.len(), bytes_max, permit),
        Encoding::Zstd => {
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(input).map_err(|error| undecodable("zstd", &error))?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|error| undecodable("zstd", &error))?;
            read_all("zstd", decoder, input.len(), bytes_max, permit)
        }
    }?;
    permit.release(compressed.len());
    Ok(decompressed)
}

/// `deflate` means the zlib format (RFC 9110, 8.4.1.2), but some senders leave its two-byte header out.
fn has_zlib_header(input: &[u8]) -> bool {
    let Some(&[method, flags]) = input.first_chunk::<2>() else { return false };
    method & 0x0f == 8 && u16::from_be_bytes([method, flags]).is_multiple_of(31)
}

fn read_all(
    name: &str,
    mut decoder: impl Read,
    compressed_bytes: usize,
    bytes_max: usize,
    permit: &mut Permit,
) -> Result<Vec<u8>, Refusal> {
    let mut output = Vec::new();
    let mut next_capacity = compressed_bytes.saturating_mul(EXPECTED_RATIO).max(STEP_BYTES);
    loop {
        if output.len() > bytes_max {
            return Err(decompressed_too_large(bytes_max));
        }
        let held = output.capacity();
        if output.len() == held {
            // One byte more than allowed, to tell "just fits" from "too large".
            let capacity = next_capacity.min(bytes_max + 1);
            permit.hold(capacity - held)?;
            output.reserve_exact(capacity - held);
            next_capacity = capacity.saturating_mul(2);
        }
        let filled = output.len();
        output.resize(output.capacity().min(filled + STEP_BYTES), 0);
        let count = decoder.read(&mut output[filled..]).map_err(|error| undecodable(name, &error))?;
        output.truncate(filled + count);
        if count == 0 {
            return Ok(output);
        }
    }
}

fn decompressed_too_large(limit: usize) -> Refusal {
    Refusal::TooLarge { stage: "after decompression", setting: "decompressed_bytes_max", limit }
}

fn undecodable(encoding: &str, error: &std::io::Error) -> Refusal {
    Refusal::Undecodable(format!("{encoding}: {error}"))
}

#[cfg(test)]
mod tests;
