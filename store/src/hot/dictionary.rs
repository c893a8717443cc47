//! What batches have in common, kept once for many of them: a batch is too short to repeat much by itself.
//!
//! A dictionary is raw text of some batches that came one after the other. It is made anew every [`RENEW_BYTES`], so it follows
//! what is sent. A batch names the one it was compressed with; [`super::Group`] keeps it beside the batch, written in the same step.
//!
//! Never trains anything: text as it came costs a copy, and saves what `cargo bench --bench layouts` prints.

use std::fmt;
use std::hash::{DefaultHasher, Hasher};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwapOption;
use zstd::zstd_safe::{CDict, DDict};

use super::corrupt;
use crate::Error;

/// Bytes of a dictionary: zstd's own advice is about 100 kB.
const DICTIONARY_BYTES: usize = 96 << 10;

/// What one batch gives to it: the resource, and some dozen spans.
const SAMPLE_BYTES: usize = 8 << 10;

/// Text after which another dictionary is made: three hundred thousand spans or so.
const RENEW_BYTES: usize = 64 << 20;

/// How a dictionary itself is kept: once for many batches, so it may take a millisecond.
const ZSTD_LEVEL: i32 = 3;

/// A damaged length cannot ask for more.
const DICTIONARY_BYTES_MAX: usize = 1 << 20;

/// A hash of its text names a dictionary, so that no batch is ever read with another one.
pub(crate) type DictionaryId = u64;

/// Compresses with a dictionary.
pub(crate) struct Dictionary {
    pub(crate) id: DictionaryId,
    /// As it is kept.
    pub(crate) packed: Vec<u8>,
    pub(crate) encoder: CDict<'static>,
}

impl fmt::Debug for Dictionary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dictionary").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Makes the dictionaries of new batches.
#[derive(Default)]
pub(crate) struct Dictionaries {
    current: ArcSwapOption<Dictionary>,
    next: Mutex<Next>,
}

#[derive(Default)]
struct Next {
    /// Text that is still to be seen before the next one is begun.
    rest_bytes: usize,
    text: Vec<u8>,
}

impl Dictionaries {
    /// The one to compress with; `None` before enough was seen.
    pub(crate) fn current(&self) -> Option<Arc<Dictionary>> {
        self.current.load_full()
    }

    /// Learns from the text of a batch; `level` is what it compresses with.
    pub(crate) fn see(&self, text: &[u8], level: i32) {
        // Who finds it taken has nothing to add that the other has not.
        let Ok(mut next) = self.next.try_lock() else { return };
        next.rest_bytes = next.rest_bytes.saturating_sub(text.len());
        if next.rest_bytes > 0 {
            return;
        }
        next.text.extend_from_slice(&text[..text.len().min(SAMPLE_BYTES)]);
        if next.text.len() < DICTIONARY_BYTES {
            return;
        }
        let text = std::mem::take(&mut next.text);
        next.rest_bytes = RENEW_BYTES;
        let Ok(packed) = zstd::bulk::compress(&text, ZSTD_LEVEL) else { return };
        let Some(encoder) = CDict::try_create(&text, level) else { return };
        let mut hasher = DefaultHasher::new();
        hasher.write(&text);
        self.current.store(Some(Arc::new(Dictionary { id: hasher.finish(), packed, encoder })));
    }
}

/// Reads a dictionary back.
pub(crate) fn decoder(packed: &[u8]) -> Result<DDict<'static>, Error> {
    let text = zstd::bulk::decompress(packed, DICTIONARY_BYTES_MAX).map_err(|_| corrupt("a dictionary is damaged"))?;
    DDict::try_create(&text).ok_or_else(|| corrupt("a dictionary cannot be used"))
}
