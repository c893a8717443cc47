//! Reads a window's batches back: some of them by number, or all in order.

use rocksdb::{IteratorMode, ReadOptions};

use super::keys::BatchNumber;
use super::{HotWindow, corrupt, keys, value};
use crate::Error;

/// The requests of `window` with these numbers.
pub(crate) fn batches(window: &HotWindow, numbers: &[BatchNumber]) -> Result<Vec<Vec<u8>>, Error> {
    let family = window.db.window(window.id)?;
    let read = |number: &BatchNumber| {
        let batch = window
            .db
            .rocks()
            .get_pinned_cf(&family, keys::batch(*number))?
            .ok_or_else(|| corrupt("a batch that a window's index names is missing"))?;
        value::decode(&batch)
    };
    numbers.iter().map(read).collect()
}

/// Calls `each` with the number and the request of every batch of `window`, in order of arrival.
pub(crate) fn all_batches(
    window: &HotWindow,
    mut each: impl FnMut(BatchNumber, Vec<u8>) -> Result<(), Error>,
) -> Result<(), Error> {
    let family = window.db.window(window.id)?;
    let mut options = ReadOptions::default();
    options.fill_cache(false);
    for entry in window.db.rocks().iterator_cf_opt(&family, options, IteratorMode::Start) {
        let (key, batch) = entry?;
        let Some(number) = keys::parse_batch(&key) else { break };
        each(number, value::decode(&batch)?)?;
    }
    Ok(())
}
