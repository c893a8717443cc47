//! All work on a request before its sync that can be done by many threads at once: cutting it into batches and
//! compressing them.
//!
//! Takes CPU time and does not wait: about a quarter of a millisecond for a thousand spans. The caller chooses the thread.

use std::sync::Arc;

use proto::{CheckedRequest, split};

use crate::Error;
use crate::hot::dictionary::{Dictionaries, Dictionary};
use crate::hot::value::{self, Encoded};

/// Bytes of OTLP in one batch, about: small enough that a trace by id decompresses little, large enough that zstd finds
/// what repeats.
const BATCH_BYTES: usize = 64 << 10;

/// Requests up to this size are one batch: cutting a little off would gain nothing.
const WHOLE_BYTES_MAX: usize = BATCH_BYTES + BATCH_BYTES / 2;

/// A request, ready to be logged.
#[derive(Debug)]
pub struct PreparedRequest {
    request: CheckedRequest,
    pieces: Vec<Piece>,
}

/// A batch of a request as the hot tier keeps it.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) value: Vec<u8>,
    /// What it is read with.
    pub(crate) dictionary: Option<Arc<Dictionary>>,
    /// Spans in it.
    pub(crate) spans: u32,
}

impl PreparedRequest {
    /// Cuts and compresses a request by itself; [`crate::Writer::prepare`] makes it smaller.
    ///
    /// # Errors
    /// When there is no memory for the compression.
    pub fn new(request: CheckedRequest) -> Result<Self, Error> {
        Self::with(request, None)
    }

    pub(crate) fn with(request: CheckedRequest, dictionaries: Option<&Dictionaries>) -> Result<Self, Error> {
        let piece = |bytes: &[u8], spans: usize| {
            let Encoded { value, dictionary } = value::encode(bytes, dictionaries)?;
            Ok(Piece { value, dictionary, spans: spans as u32 })
        };
        let bytes = request.bytes();
        let mut pieces = Vec::new();
        if bytes.len() <= WHOLE_BYTES_MAX {
            pieces.push(piece(bytes, request.span_count())?);
        } else {
            let mut failure = None;
            split::split(bytes, BATCH_BYTES, |bytes, spans| match piece(bytes, spans) {
                Ok(piece) => pieces.push(piece),
                Err(error) => failure = Some(error),
            });
            if let Some(error) = failure {
                return Err(error);
            }
        }
        Ok(Self { request, pieces })
    }

    /// Protobuf of the whole request.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.request.bytes()
    }

    /// Spans in it.
    #[must_use]
    pub const fn span_count(&self) -> usize {
        self.request.span_count()
    }

    /// The batches, in the order of the spans.
    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Bytes that will be logged.
    pub(crate) fn logged_bytes(&self) -> usize {
        self.pieces.iter().map(|piece| piece.value.len()).sum()
    }
}
