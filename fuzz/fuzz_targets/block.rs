//! The block reader: a damaged block is an error, or has the spans that were put into it; never other ones, and never the
//! end of the process.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use proto::TraceId;
use spanhold_fuzz::sample;
use store::fuzzing::{Block, locate, spans};
use tokio::runtime::Runtime;

/// Bytes of one edit: what to do, where (little-endian), with what.
const EDIT_BYTES: usize = 6;

struct Sample {
    block: Block,
    /// Any other would be read in the same way.
    trace_id: TraceId,
    runtime: Runtime,
}

impl Sample {
    /// Panics when there are other spans than were put in.
    fn read(&self, block: &Block) -> Result<(), store::Error> {
        let read = self.runtime.block_on(block.read(&[self.trace_id]))?;
        assert_eq!(read, spans(&sample::request(), self.trace_id));
        Ok(())
    }
}

static SAMPLE: LazyLock<Sample> = LazyLock::new(|| {
    let block = Block::encode(&sample::request()).expect("encodes");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("threads");
    let sample = Sample { block, trace_id: sample::a_trace_id(), runtime };
    sample.read(&sample.block).expect("it is not damaged");
    sample
});

fuzz_target!(init: LazyLock::force(&SAMPLE), |edits: &[u8]| {
    let mut block = SAMPLE.block.clone();
    for edit in edits.chunks_exact(EDIT_BYTES) {
        apply(edit, &mut block);
    }
    if (&block.entry, &block.bytes) != (&SAMPLE.block.entry, &SAMPLE.block.bytes) {
        drop(SAMPLE.read(&block));
    }
    // A block's checksum covers its locator, but a copy of it has none.
    if let Ok(row_groups) = locate(edits, SAMPLE.trace_id) {
        assert!(row_groups.start <= row_groups.end && row_groups.end <= edits.len(), "{row_groups:?}");
    }
});

/// Damages one place, counted from the end: there lies what everything else is found by.
fn apply(edit: &[u8], block: &mut Block) {
    let &[what, low, middle, high, with, count] = edit else { return };
    let from_end = u32::from_le_bytes([low, middle, high, 0]) as usize % (block.bytes.len() + 1);
    let at = block.bytes.len() - from_end;
    let end = block.bytes.len().min(at + usize::from(count));
    match what % 8 {
        0 => block.bytes.truncate(at),
        1 => drop(block.bytes.splice(at..at, std::iter::repeat_n(with, count.into()))),
        2 => drop(block.bytes.drain(at..end)),
        3 => block.bytes[at..end].fill(with),
        4 => block.entry.index_offset = block.entry.index_offset.wrapping_add_signed(i64::from(with as i8)),
        5 => block.entry.bytes = block.entry.bytes.wrapping_add_signed(i64::from(with as i8)),
        _ if at < block.bytes.len() => block.bytes[at] ^= with,
        _ => {}
    }
}
