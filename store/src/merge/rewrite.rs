//! Rewrites several blocks into one, column by column: no row is ever turned into a span.
//!
//! 1. Read the inputs side by side until about a row group's worth of whole traces is there.
//! 2. Bring their rows in order by their ids and times alone; of two rows of a span keep the one that ends last.
//! 3. Gather the other columns in that order, and let a [`Sieve`] leave rows out.
//! 4. Write them, put what was written, go on.
//!
//! In memory are a row group and a few pages of each input, two row groups of the new block, and the parts that are on
//! their way to the object store, however large the blocks are. Where rows are large, row groups become smaller.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::{concat, filter_record_batch};
use bytes::Bytes;
use object_store::ObjectStore;
use object_store::path::Path;
use tokio::runtime::Handle;

use super::cursor::Cursor;
use super::family::{self, Row};
use super::gather::{gather, memory_bytes};
use super::unify::{Unified, corrupt};
use super::upload::Upload;
use crate::Error;
use crate::budget::Budget;
use crate::cold::index::Footer;
use crate::cold::pages::Inflater;
use crate::cold::sieve::Sieve;
use crate::cold::writer::BlockWriter;
use crate::cold::{BlockEntry, BlockId, Effort, Origin, paths, schema};

/// Rows of one trace that are held in memory at once. Blocks with a longer trace are left as they are.
const TRACE_ROWS_MAX: usize = 8 * schema::ROW_GROUP_ROWS;

/// Arrow arrays that are read and not yet written, and again those that are: a row group of spans of 1 kB each.
const MEMORY_BYTES_MAX: usize = 32 << 20;

/// How long to stand back when spans come faster than they are worked off, per row group.
const YIELD: Duration = Duration::from_millis(100);

/// What to rewrite.
pub(super) struct Job<S> {
    /// In order of arrival, each with its footer.
    pub(super) inputs: Vec<(Arc<BlockEntry>, Arc<Footer>)>,
    pub(super) objects: Arc<dyn ObjectStore>,
    pub(super) origin: Origin,
    /// What the new entry's `windows` are.
    pub(super) windows: Vec<u64>,
    pub(super) sieve: S,
    /// What receiving spans has in work: merging yields to it.
    pub(super) budget: Budget,
    /// Set when the store closes.
    pub(super) stop: Arc<AtomicBool>,
    pub(super) handle: Handle,
}

/// The new block, which is put, and all of it that lies behind its row groups; `None` when no row stayed. With the sieve,
/// which knows what it left out.
pub(super) type Rewritten<S> = (Option<(BlockEntry, Bytes)>, S);

/// Why there is no new block.
#[derive(Debug)]
pub(super) struct Failure {
    /// The input at fault, where it is known.
    pub(super) input: Option<BlockId>,
    pub(super) error: Error,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { input: None, error }
    }
}

impl<S: Sieve> Job<S> {
    /// Does it. Takes about a microsecond per span; runs requests to the object store on `handle` and waits for them, so it
    /// must not be called on a thread of the runtime.
    pub(super) fn run(self) -> Result<Rewritten<S>, Failure> {
        let Self { inputs, objects, origin, windows, mut sieve, budget, stop, handle } = self;
        let start_min = inputs.iter().map(|(entry, _)| entry.start_min).min().unwrap_or_default();
        let mut slices = Slices::new(inputs, &objects, &handle)?;
        let id = BlockId::generate();
        let path = paths::block(&origin, id, start_min);
        let mut output = Output::new(&slices.unified, Upload::new(objects, handle, path.clone()))?;
        while let Some(rows) = slices.next(&mut sieve)? {
            output.push(rows)?;
            if budget.is_half_used() {
                std::thread::sleep(YIELD);
            }
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Closing.into());
            }
        }
        Ok((output.finish(id, &path, windows)?, sieve))
    }
}

/// The inputs, trace by trace.
struct Slices {
    cursors: Vec<Cursor>,
    unified: Unified,
}

impl Slices {
    fn new(
        inputs: Vec<(Arc<BlockEntry>, Arc<Footer>)>,
        objects: &Arc<dyn ObjectStore>,
        handle: &Handle,
    ) -> Result<Self, Failure> {
        let inflater = Inflater::new().map_err(Error::from)?;
        let mut cursors = Vec::with_capacity(inputs.len());
        for (entry, footer) in inputs {
            let id = entry.id;
            let cursor = Cursor::new(entry, footer, Arc::clone(objects), handle.clone(), inflater.clone());
            cursors.push(cursor.map_err(|error| Failure { input: Some(id), error })?);
        }
        let columns: Vec<_> = cursors.iter().map(|cursor| (cursor.columns(), cursor.entry.spans)).collect();
        Ok(Self { cursors, unified: Unified::new(&columns)? })
    }

    /// Rows of the new block, of whole traces in order; `None` after the last.
    fn next(&mut self, sieve: &mut dyn Sieve) -> Result<Option<RecordBatch>, Failure> {
        let end = self.fill()?;
        let (mut rows, mut batches) = (Vec::new(), Vec::new());
        for cursor in &self.cursors {
            let slot = batches.len();
            batches.extend(cursor.batches());
            let copied = cursor.copy(cursor.rows_before(end), slot, &mut rows);
            copied.map_err(|error| Failure { input: Some(cursor.entry.id), error })?;
        }
        if rows.is_empty() {
            return Ok(None);
        }
        family::sort(&mut rows);
        let end = cut(&mut rows).or(end);
        family::drop_duplicates(&mut rows);
        let batch = self.assemble(rows, &batches, sieve)?;
        for cursor in &mut self.cursors {
            cursor.advance(cursor.rows_before(end));
        }
        Ok(Some(batch))
    }

    /// Reads until a row group's worth of whole traces is there; gives the trace before which all are whole, `None` when
    /// everything was read.
    fn fill(&mut self) -> Result<Option<u128>, Failure> {
        loop {
            // The input whose rows reach least far limits what is whole.
            let unread = self.cursors.iter().enumerate().filter(|(_, cursor)| !cursor.is_at_end());
            let shortest = unread.map(|(at, cursor)| (cursor.last_trace(), at)).min();
            let Some((end, at)) = shortest else { return Ok(None) };
            let end = end.unwrap_or_default();
            let whole: usize = self.cursors.iter().map(|cursor| cursor.rows_before(Some(end))).sum();
            let memory: usize = self.cursors.iter().map(Cursor::memory_bytes).sum();
            if whole >= schema::ROW_GROUP_ROWS || (whole > 0 && memory >= MEMORY_BYTES_MAX) {
                return Ok(Some(end));
            }
            let all: usize = self.cursors.iter().map(|cursor| cursor.rows_before(None)).sum();
            let cursor = &mut self.cursors[at];
            let failed = |cursor: &Cursor, error| Failure { input: Some(cursor.entry.id), error };
            if all - whole > TRACE_ROWS_MAX {
                let error =
                    corrupt(format!("trace {end:032x} has more than {TRACE_ROWS_MAX} spans, too many to merge"));
                return Err(failed(cursor, error));
            }
            cursor.read(&self.unified).map_err(|error| failed(cursor, error))?;
        }
    }

    fn assemble(
        &self,
        mut rows: Vec<Row>,
        batches: &[&Vec<ArrayRef>],
        sieve: &mut dyn Sieve,
    ) -> Result<RecordBatch, Error> {
        let places: Vec<_> = rows.iter().map(|row| (row.batch as usize, row.at as usize)).collect();
        let mut carried = Vec::with_capacity(self.unified.carried().len());
        for (column, field) in self.unified.carried().iter().enumerate() {
            let arrays: Vec<&ArrayRef> = batches.iter().map(|batch| &batch[column]).collect();
            carried.push(gather(field.data_type(), &arrays, &places)?);
        }
        let batch = self.unified.assemble(&family::key_columns(&rows)?, carried)?;
        let Some(stays) = sieve.sift(&batch)? else { return Ok(batch) };
        let stays = all_known(&stays);
        let batch = filter_record_batch(&batch, &stays)?;
        let mut flags = stays.values().iter();
        rows.retain(|_| flags.next().unwrap_or_default());
        // Parents may have gone, and the first span of a trace.
        let carried = self.unified.carried().iter().filter_map(|field| batch.column_by_name(field.name()).cloned());
        self.unified.assemble(&family::key_columns(&rows)?, carried.collect())
    }
}

/// A row about which the sieve does not know stays.
fn all_known(stays: &BooleanArray) -> BooleanArray {
    stays.iter().map(|stays| Some(stays.unwrap_or(true))).collect()
}

/// Leaves the traces that fit into a row group, or one that does not. Gives the first of those that were cut off.
fn cut(rows: &mut Vec<Row>) -> Option<u128> {
    let end = rows.get(schema::ROW_GROUP_ROWS)?.trace;
    let before = rows.partition_point(|row| row.trace < end);
    let end = if before > 0 { end } else { rows[rows.partition_point(|row| row.trace <= end)..].first()?.trace };
    rows.truncate(rows.partition_point(|row| row.trace < end));
    Some(end)
}

/// The new block.
struct Output {
    writer: BlockWriter,
    upload: Upload,
    /// Rows for the next row group, which is not full yet.
    pending: Vec<RecordBatch>,
    pending_rows: usize,
    pending_bytes: usize,
}

impl Output {
    fn new(unified: &Unified, upload: Upload) -> Result<Self, Error> {
        let writer = BlockWriter::new(&unified.schema, Effort::Merge)?;
        Ok(Self { writer, upload, pending: Vec::new(), pending_rows: 0, pending_bytes: 0 })
    }

    fn push(&mut self, rows: RecordBatch) -> Result<(), Error> {
        let bytes = memory_bytes(rows.columns());
        if self.pending_rows + rows.num_rows() > schema::ROW_GROUP_ROWS || self.pending_bytes + bytes > MEMORY_BYTES_MAX
        {
            self.flush()?;
        }
        self.pending_rows += rows.num_rows();
        self.pending_bytes += bytes;
        self.pending.push(rows);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        let count = std::mem::take(&mut self.pending_rows);
        self.pending_bytes = 0;
        let pending = std::mem::take(&mut self.pending);
        let Some(first) = pending.first() else { return Ok(()) };
        let fields = first.schema().fields().clone();
        // Column by column, and what is encoded is let go.
        let mut pending: Vec<_> = pending.into_iter().map(|rows| rows.columns().to_vec().into_iter()).collect();
        self.writer.write(&fields, count, |_| {
            let parts: Vec<ArrayRef> = pending.iter_mut().filter_map(Iterator::next).collect();
            Ok(concat(&parts.iter().map(AsRef::as_ref).collect::<Vec<_>>())?)
        })?;
        self.upload.push(self.writer.take_written()?)
    }

    fn finish(mut self, id: BlockId, path: &Path, windows: Vec<u64>) -> Result<Option<(BlockEntry, Bytes)>, Error> {
        self.flush()?;
        let Some(block) = self.writer.finish()? else { return Ok(None) };
        let index_bytes = block.index().len();
        let (entry, last) = BlockEntry::of_named(id, path.as_ref(), block, windows);
        let index = last.slice(last.len() - index_bytes..);
        self.upload.finish(&entry, last)?;
        Ok(Some((entry, index)))
    }
}
