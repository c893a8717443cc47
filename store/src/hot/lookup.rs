//! Reads a window's batches back: some of them by number, or all in order.

use rocksdb::{IteratorMode, ReadOptions};

use super::keys::BatchNumber;
use super::{HotWindow, corrupt, keys, value};
use crate::Error;

/// The requests of `window` with these numbers.
pub(crate) fn batches(window: &HotWindow, numbers: &[BatchNumber]) -> Result<Vec<Vec<u8>>, Error> {
    let (rocks, family) = (window.group.db.rocks(), window.group.family()?);
    let read = |number: &BatchNumber| {
        let batch = rocks
            .get_pinned_cf(&family, keys::batch(window.id, *number))?
            .ok_or_else(|| corrupt("a batch that a window's index names is missing"))?;
        value::decode(&batch, |id| window.group.decoder(id))
    };
    numbers.iter().map(read).collect()
}

/// Calls `each` with the number and the request of every batch of `window`, in order of arrival.
pub(crate) fn all_batches(
    window: &HotWindow,
    mut each: impl FnMut(BatchNumber, Vec<u8>) -> Result<(), Error>,
) -> Result<(), Error> {
    let family = window.group.family()?;
    let mut options = ReadOptions::default();
    options.fill_cache(false);
    let (from, to) = keys::batches(window.id);
    options.set_iterate_lower_bound(from);
    options.set_iterate_upper_bound(to);
    for entry in window.group.db.rocks().iterator_cf_opt(&family, options, IteratorMode::Start) {
        let (key, batch) = entry?;
        let number = keys::parse_batch(&key).ok_or_else(|| corrupt("a batch has no number"))?;
        each(number, value::decode(&batch, |id| window.group.decoder(id))?)?;
    }
    Ok(())
}
