//! The block reader: a damaged block is an error or is read, whatever the damage, and never ends the process.

#![no_main]

use std::sync::{LazyLock, Mutex, PoisonError};

use libfuzzer_sys::fuzz_target;
use spanhold_fuzz::sample;
use store::fuzzing::{Block, spans};
use tokio::runtime::Runtime;

/// Bytes of one edit: what to do, where (little-endian), with what.
const EDIT_BYTES: usize = 6;

struct Sample {
    block: Block,
    trace_ids: Vec<proto::TraceId>,
    runtime: Runtime,
}

static SAMPLE: LazyLock<Sample> = LazyLock::new(|| {
    let request = sample::request();
    let block = Block::encode(&request).expect("encodes");
    let trace_ids = sample::trace_ids();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("threads");
    let expected: Vec<_> = trace_ids.iter().flat_map(|id| spans(&request, *id)).collect();
    assert_eq!(runtime.block_on(block.read(&trace_ids)).expect("not damaged"), expected);
    Sample { block, trace_ids, runtime }
});

/// The last panic that was caught.
static LAST_PANIC: Mutex<String> = Mutex::new(String::new());

fuzz_target!(
    init: {
        LazyLock::force(&SAMPLE);
        // libFuzzer's hook would end the process at panics that the reader catches and turns into errors.
        std::panic::set_hook(Box::new(|panic| {
            *LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = panic.to_string();
        }));
    },
    |edits: &[u8]| {
        let mut block = SAMPLE.block.clone();
        for edit in edits.chunks_exact(EDIT_BYTES) {
            apply(edit, &mut block);
        }
        let read = std::panic::catch_unwind(|| SAMPLE.runtime.block_on(block.read(&SAMPLE.trace_ids)));
        if read.is_err() {
            eprintln!("{}", LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner));
            std::process::abort();
        }
    }
);

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
