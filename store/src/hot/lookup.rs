//! Reads a window back: the batches of one trace, or all of them in order.

use proto::TraceId;
use rocksdb::{IteratorMode, ReadOptions};

use super::db::HotDb;
use super::{HotWindow, keys, value};
use crate::Error;

/// The requests of `window` that have spans of `trace_id`, in order of arrival.
pub(crate) fn batches_of_trace(window: &HotWindow, trace_id: TraceId) -> Result<Vec<Vec<u8>>, Error> {
    let family = window.db.window(window.id)?;
    let rocks = window.db.rocks();
    let prefix = keys::trace_prefix(trace_id);
    let mut iterator = rocks.raw_iterator_cf_opt(&family, HotDb::prefix_read());
    let mut requests = Vec::new();
    iterator.seek(prefix);
    while let Some(key) = iterator.key() {
        if !key.starts_with(&prefix) {
            break;
        }
        let number = keys::parse_trace(key).ok_or_else(|| corrupt("a trace index key has the wrong length"))?;
        let batch = rocks
            .get_pinned_cf(&family, keys::batch(number))?
            .ok_or_else(|| corrupt("a batch that the trace index names is missing"))?;
        requests.push(value::decode(&batch)?);
        iterator.next();
    }
    iterator.status()?;
    Ok(requests)
}

/// Calls `each` with every request of `window`, in order of arrival.
pub(crate) fn all_batches(window: &HotWindow, mut each: impl FnMut(Vec<u8>) -> Result<(), Error>) -> Result<(), Error> {
    let family = window.db.window(window.id)?;
    let mut options = ReadOptions::default();
    options.set_total_order_seek(true);
    options.fill_cache(false);
    for entry in window.db.rocks().iterator_cf_opt(&family, options, IteratorMode::Start) {
        let (key, batch) = entry?;
        if keys::parse_batch(&key).is_none() {
            break;
        }
        each(value::decode(&batch)?)?;
    }
    Ok(())
}

fn corrupt(why: &str) -> Error {
    Error::Corrupt { what: "a window of the hot tier".to_owned(), why: why.to_owned() }
}
