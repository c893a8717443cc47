//! Which batches of a sealed window have spans of a trace.
//!
//! While a window is in memory its columns tell; this is what stays when it leaves memory. Made once, from the columns,
//! before the window's memtable is written to its file, so it needs no log and no row per trace.
//!
//! | key | value |
//! |---|---|
//! | `f` | a [`TraceFilter`] of the window's traces |
//! | `i` + page number (4 bytes, big-endian) | for each of up to [`PAGE_TRACES`] traces, in the filter's order: how many batches, the first, and how far each further one is from the one before, as LEB128 varints |

use proto::TraceId;
use rocksdb::WriteBatch;

use super::keys::{self, BatchNumber};
use super::{HotWindow, corrupt};
use crate::cold::filter::{self, TraceFilter};
use crate::window::Columns;
use crate::{Error, varint};

/// Traces of one page: a lookup reads one page of about a kilobyte.
const PAGE_TRACES: usize = 256;

/// Writes the index of a window that has these columns, and what is in `batch`, in one step.
pub(crate) fn write(window: &HotWindow, columns: &Columns, mut batch: WriteBatch) -> Result<(), Error> {
    let ids = columns.traces.ids().iter().zip(0..);
    let mut traces: Vec<(u64, Vec<BatchNumber>)> =
        ids.map(|(trace_id, number)| (filter::hash(*trace_id), columns.batches_of(number))).collect();
    traces.sort_unstable();
    let hashes: Vec<u64> = traces.iter().map(|(hash, _)| *hash).collect();
    let filter = TraceFilter::new(&hashes);

    let family = window.group.family()?;
    batch.put_cf(&family, keys::filter(window.id), filter.as_bytes());
    let mut page = Vec::new();
    for (number, of_page) in traces.chunks(PAGE_TRACES).enumerate() {
        page.clear();
        for (_, batches) in of_page {
            encode(batches, &mut page);
        }
        batch.put_cf(&family, keys::page(window.id, number as u32), &page);
    }
    window.group.db.write_unlogged(batch)?;
    window.set_filter(filter);
    Ok(())
}

/// Reads a window's filter back after a restart; `None` when the window has none.
pub(crate) fn read_filter(window: &HotWindow) -> Result<Option<TraceFilter>, Error> {
    let bytes = window.group.db.rocks().get_cf(&window.group.family()?, keys::filter(window.id))?;
    bytes.map(|bytes| TraceFilter::parse(bytes.into())).transpose()
}

/// The batches that may have spans of a trace, ascending; by mistake, once in half a million, those of another trace.
pub(crate) fn batches_of(
    window: &HotWindow,
    filter: &TraceFilter,
    trace_id: TraceId,
) -> Result<Vec<BatchNumber>, Error> {
    let mut batches = Vec::new();
    for number in filter.find(filter::hash(trace_id)) {
        let (rocks, family) = (window.group.db.rocks(), window.group.family()?);
        let page = rocks
            .get_pinned_cf(&family, keys::page(window.id, (number / PAGE_TRACES) as u32))?
            .ok_or_else(|| corrupt("a page of a window's index is missing"))?;
        let mut rest = &page[..];
        for _ in 0..number % PAGE_TRACES {
            decode(&mut rest, |_| {})?;
        }
        decode(&mut rest, |batch| batches.push(batch))?;
    }
    batches.sort_unstable();
    batches.dedup();
    Ok(batches)
}

fn encode(batches: &[BatchNumber], out: &mut Vec<u8>) {
    varint::put(batches.len() as u64, out);
    let mut last = 0;
    for batch in batches {
        varint::put(batch - last, out);
        last = *batch;
    }
}

fn decode(rest: &mut &[u8], mut each: impl FnMut(BatchNumber)) -> Result<(), Error> {
    let mut batch = 0;
    let mut take = || varint::take(rest).ok_or_else(|| corrupt("a page of a window's index is cut off"));
    for _ in 0..take()? {
        batch += take()?;
        each(batch);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_batches_round_trip() {
        let lists: [&[BatchNumber]; 4] = [&[0], &[], &[3, 4, 300, 70_000], &[u64::MAX]];
        let mut page = Vec::new();
        for list in lists {
            encode(list, &mut page);
        }
        let mut rest = &page[..];
        for list in lists {
            let mut found = Vec::new();
            decode(&mut rest, |batch| found.push(batch)).expect("what was written");
            assert_eq!(found, list);
        }
        assert!(rest.is_empty());
        assert!(decode(&mut &[5u8, 0x80][..], |_| {}).is_err());
    }
}
