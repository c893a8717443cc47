//! Reads one input of a merge from its first row to its last: one row group is fetched at a time, a few pages of it are
//! decompressed.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, SchemaRef};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReader};
use tokio::runtime::Handle;

use super::family::Row;
use super::gather::memory_bytes;
use super::unify::{self, Unified, corrupt};
use crate::Error;
use crate::cold::chunks::Chunks;
use crate::cold::index::Footer;
use crate::cold::pages::{self, Inflater, Selection};
use crate::cold::{BlockEntry, checksum, complete, decode, reader, schema};

/// Rows that are read at once: few, as the input whose rows reach least far is read on first.
const BATCH_ROWS: usize = 1_024;

/// Where a row's parent is.
#[derive(Debug, Clone, Copy)]
enum Parent {
    /// In this row of the block.
    Row(i64),
    /// A span that the block does not have; 0 for none.
    Span(u64),
}

/// A row that was read and not yet taken.
#[derive(Debug, Clone, Copy)]
struct Key {
    trace: u128,
    start: i64,
    end: i64,
    span: u64,
    parent: Parent,
    batch: u64,
    at: u32,
}

/// One input and what was read of it.
pub(super) struct Cursor {
    pub(super) entry: Arc<BlockEntry>,
    objects: Arc<dyn ObjectStore>,
    handle: Handle,
    inflater: Inflater,
    footer: Arc<Footer>,
    metadata: ArrowReaderMetadata,
    next_row_group: usize,
    reader: Option<ParquetRecordBatchReader>,
    is_at_end: bool,
    /// Rows that were read and not taken.
    keys: VecDeque<Key>,
    /// The row of the block that `keys` begins with.
    first_row: i64,
    /// The carried columns of the batches that have those rows.
    batches: VecDeque<Vec<ArrayRef>>,
    /// What each batch takes in memory.
    batch_bytes: VecDeque<usize>,
    /// The number of the first of them.
    first_batch: u64,
}

impl Cursor {
    /// At the first row. `handle` runs the requests to the object store, `inflater` is that of all inputs.
    pub(super) fn new(
        entry: Arc<BlockEntry>,
        footer: Arc<Footer>,
        objects: Arc<dyn ObjectStore>,
        handle: Handle,
        inflater: Inflater,
    ) -> Result<Self, Error> {
        let metadata = unify::with_dictionaries(footer.metadata.metadata())?;
        let rows = footer.metadata.metadata().file_metadata().num_rows();
        if u64::try_from(rows).ok() != Some(entry.spans) {
            return Err(corrupt(format!("it has {rows} rows, the manifest says {}", entry.spans)));
        }
        Ok(Self {
            entry,
            objects,
            handle,
            inflater,
            footer,
            metadata,
            next_row_group: 0,
            reader: None,
            is_at_end: false,
            keys: VecDeque::new(),
            first_row: 0,
            batches: VecDeque::new(),
            batch_bytes: VecDeque::new(),
            first_batch: 0,
        })
    }

    /// The block's columns as they are read.
    pub(super) fn columns(&self) -> SchemaRef {
        Arc::clone(self.metadata.schema())
    }

    /// Whether all rows were read; some may not be taken yet.
    pub(super) const fn is_at_end(&self) -> bool {
        self.is_at_end
    }

    /// The trace of the last row that was read and not taken. Further rows of it may follow.
    pub(super) fn last_trace(&self) -> Option<u128> {
        self.keys.back().map(|key| key.trace)
    }

    /// How many of the read rows belong to traces before `end`; all of them if there is none.
    pub(super) fn rows_before(&self, end: Option<u128>) -> usize {
        end.map_or(self.keys.len(), |end| self.keys.partition_point(|key| key.trace < end))
    }

    /// Batches that have rows which are not taken, with their carried columns.
    pub(super) fn batches(&self) -> impl Iterator<Item = &Vec<ArrayRef>> {
        self.batches.iter()
    }

    /// What [`Self::batches`] take in memory.
    pub(super) fn memory_bytes(&self) -> usize {
        self.batch_bytes.iter().sum()
    }

    /// Reads a few more rows.
    pub(super) fn read(&mut self, unified: &Unified) -> Result<(), Error> {
        while !self.is_at_end {
            if let Some(reader) = &mut self.reader {
                if let Some(rows) = reader.next() {
                    return self.push(&rows?, unified);
                }
                self.reader = None;
            }
            self.open_row_group()?;
        }
        Ok(())
    }

    fn open_row_group(&mut self) -> Result<(), Error> {
        let number = self.next_row_group;
        if number >= self.footer.metadata.metadata().num_row_groups() {
            self.is_at_end = true;
            return Ok(());
        }
        let range = reader::byte_range(&self.footer, number, None);
        let path = Path::from(self.entry.path.as_str());
        let bytes = self.handle.block_on(self.objects.get_range(&path, range.clone()))?;
        let bytes = complete::check_answer(&path, range.end - range.start, bytes)?;
        if let Some(written) = self.footer.checksums.get(number) {
            checksum::verify(&self.entry, range.clone(), &bytes, written.whole)?;
        }
        let chunks = Chunks::new(self.entry.bytes, vec![(range.start, bytes)]);
        let selection =
            Selection { row_groups: vec![number], columns: ProjectionMask::all(), rows: None, batch_rows: BATCH_ROWS };
        self.reader = Some(pages::open(chunks, &self.metadata, selection, &self.inflater)?);
        self.next_row_group += 1;
        Ok(())
    }

    fn push(&mut self, rows: &RecordBatch, unified: &Unified) -> Result<(), Error> {
        let trace_ids = decode::binary(rows, schema::TRACE_ID)?;
        let span_ids = decode::binary(rows, schema::SPAN_ID)?;
        let parents = decode::binary(rows, schema::PARENT_SPAN_ID)?;
        let distances = decode::column(rows, schema::PARENT_ROW_DISTANCE)?;
        let wrong_type = || corrupt(format!("parents have type {}", distances.data_type()));
        let distances = distances.as_primitive_opt::<Int32Type>().ok_or_else(wrong_type)?;
        let trace_starts = decode::int64(rows, schema::TRACE_START)?;
        let offsets = decode::int64(rows, schema::START_OFFSET)?;
        let durations = decode::int64(rows, schema::DURATION)?;
        let batch = self.first_batch + self.batches.len() as u64;
        let first_row = self.first_row + self.keys.len() as i64;
        for at in 0..rows.num_rows() {
            let trace = u128::from_be_bytes(array(trace_ids.value(at))?);
            let start = trace_starts.value(at).saturating_add(offsets.value(at));
            let key = Key {
                trace,
                start,
                end: start.saturating_add(durations.value(at)),
                span: u64::from_be_bytes(array(span_ids.value(at))?),
                parent: if distances.is_valid(at) {
                    Parent::Row(first_row + at as i64 - i64::from(distances.value(at)))
                } else if parents.is_valid(at) {
                    Parent::Span(u64::from_be_bytes(array(parents.value(at))?))
                } else {
                    Parent::Span(0)
                },
                batch,
                at: at as u32,
            };
            if self.last_trace().is_some_and(|last| last > trace) {
                return Err(corrupt("its rows are out of order".to_owned()));
            }
            self.keys.push_back(key);
        }
        let carried = unified.adopt(rows)?;
        self.batch_bytes.push_back(memory_bytes(&carried));
        self.batches.push_back(carried);
        Ok(())
    }

    /// Adds the first `count` rows, whole traces, to `rows`; `first_slot` is the number that [`Row::batch`] begins with.
    pub(super) fn copy(&self, count: usize, first_slot: usize, rows: &mut Vec<Row>) -> Result<(), Error> {
        for key in self.keys.range(..count) {
            let parent = match key.parent {
                Parent::Span(id) => id,
                Parent::Row(row) => {
                    let at = usize::try_from(row - self.first_row).ok();
                    let parent = at.and_then(|at| self.keys.get(at)).filter(|parent| parent.trace == key.trace);
                    parent.ok_or_else(|| corrupt(format!("row {row} is no parent in its trace")))?.span
                }
            };
            rows.push(Row {
                trace: key.trace,
                start: key.start,
                span: key.span,
                end: key.end,
                parent,
                batch: (first_slot as u64 + key.batch - self.first_batch) as u32,
                at: key.at,
            });
        }
        Ok(())
    }

    /// The first `count` rows were taken.
    pub(super) fn advance(&mut self, count: usize) {
        self.keys.drain(..count);
        self.first_row += count as i64;
        let next = self.keys.front().map_or(self.first_batch + self.batches.len() as u64, |key| key.batch);
        let taken = (next - self.first_batch) as usize;
        self.batches.drain(..taken);
        self.batch_bytes.drain(..taken);
        self.first_batch = next;
    }
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Error> {
    bytes.try_into().map_err(|_| corrupt(format!("an id has {} bytes", bytes.len())))
}
