//! Tells whether the bytes of a block are those that were written, before Parquet's reader looks at them.
//!
//! That reader believes what it reads: one wrong byte can make it give wrong values, panic, ask for 200 GB, or never
//! come to an end, and a thread that never ends cannot be stopped. `fuzz/fuzz_targets/block.rs` found all of these.
//!
//! CRC-32 as gzip and PNG have it. Blocks of format version 1 have none and are read as they are.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::block::BlockEntry;
use crate::Error;

/// The checksums of one row group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RowGroupChecksums {
    /// Of the columns that a search reads, [`super::schema::SEARCH_COLUMNS`].
    pub(crate) search: u32,
    /// Of all of it.
    pub(crate) whole: u32,
}

/// The checksum of `bytes`.
pub(crate) fn of(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// Compares `bytes`, which lie at `at` in a block, with what they were when it was written.
///
/// # Errors
/// When they are others.
pub(crate) fn verify(entry: &BlockEntry, at: Range<u64>, bytes: &[u8], written: u32) -> Result<(), Error> {
    let read = of(bytes);
    if read == written {
        return Ok(());
    }
    let why = format!("bytes {at:?} are damaged: their checksum is {read:08x}, and was {written:08x}");
    Err(Error::Corrupt { what: format!("block {}", entry.id), why })
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use proto::TraceId;
    use proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
    use proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span};

    use super::*;
    use crate::fuzzing::{Block, spans};

    /// Parquet's magic at the front, which says nothing of this block.
    const MAGIC_BYTES: usize = 4;

    #[tokio::test]
    async fn a_damaged_byte_is_told_wherever_it_is() {
        let span =
            |id: u8| Span { trace_id: vec![7; 16], span_id: vec![id; 8], name: format!("{id}"), ..Span::default() };
        let scope_spans = vec![ScopeSpans { spans: (1..50).map(span).collect(), ..ScopeSpans::default() }];
        let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
        let request = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        let (request, _) = proto::check::check(request).expect("valid");
        let trace_id = TraceId::from_bytes(&[7; 16]).expect("not zero");

        let whole = Block::encode(&request).expect("encodes");
        assert_eq!(whole.read(&[trace_id]).await.expect("not damaged"), spans(&request, trace_id));
        for at in (MAGIC_BYTES..whole.bytes.len()).step_by(3) {
            let mut damaged = whole.clone();
            damaged.bytes[at] ^= 1 << (at % 8);
            let read = damaged.read(&[trace_id]).await;
            assert!(matches!(read, Err(Error::Corrupt { .. })), "byte {at} of {}: {read:?}", whole.bytes.len());
        }
    }
}
