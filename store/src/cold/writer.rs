//! Writes one block: row groups as they come, then what finds traces in them, then Parquet's footer.
//!
//! The one place that knows the layout of the file. Offload and merge both write through it, so a merged block differs
//! from others in nothing but its size. All that a manifest says about a block is taken from the rows themselves.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use model::StatusCode;
use parquet::arrow::ArrowSchemaConverter;
use parquet::file::metadata::KeyValue;
use parquet::file::writer::SerializedFileWriter;
use proto::TraceId;

use super::catalog::Catalog;
use super::checksum::{self, RowGroupChecksums};
use super::column_chunk::{ColumnChunk, ColumnChunks};
use super::decode::{self, Words};
use super::filter::{self, TraceFilter};
use super::locator::Locator;
use super::{reader, schema};
use crate::Error;

/// How hard to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// For windows: they are merged soon.
    Offload,
    /// For merged blocks: written once, kept for long.
    Merge,
}

/// A block before it has a name.
pub(crate) struct EncodedBlock {
    /// The Parquet file, without what [`BlockWriter::take_written`] gave.
    pub(crate) bytes: Vec<u8>,
    /// Bytes of the whole file.
    pub(crate) size: u64,
    /// Where in the file the row groups end and the locator begins.
    pub(crate) index_offset: u64,
    /// Where in the file the locator ends and the footer begins.
    pub(crate) footer_offset: u64,
    pub(crate) spans: u64,
    pub(crate) traces: u64,
    pub(crate) start_min: i64,
    pub(crate) start_max: i64,
    pub(crate) end_max: i64,
    pub(crate) trace_id_min: TraceId,
    pub(crate) trace_id_max: TraceId,
}

impl EncodedBlock {
    /// All that lies behind the row groups.
    pub(crate) fn index(&self) -> &[u8] {
        let taken = self.size - self.bytes.len() as u64;
        &self.bytes[(self.index_offset - taken) as usize..]
    }
}

/// A block as it is written.
pub(crate) struct BlockWriter {
    writer: SerializedFileWriter<Vec<u8>>,
    chunks: ColumnChunks,
    /// Bytes that were taken.
    taken: u64,
    facts: Facts,
}

impl BlockWriter {
    /// With the columns of [`schema`] and any of attributes.
    pub(crate) fn new(columns: &Schema, effort: Effort) -> Result<Self, Error> {
        let schema = ArrowSchemaConverter::new().convert(columns)?;
        let properties = Arc::new(schema::writer_properties());
        Ok(Self {
            writer: SerializedFileWriter::new(Vec::new(), schema.root_schema_ptr(), properties)?,
            chunks: ColumnChunks::new(effort)?,
            taken: 0,
            facts: Facts::default(),
        })
    }

    /// Adds `count` rows, sorted by trace id, none before those that were added before. Each column is asked for once, in the order
    /// of the block, and only what a search reads stays in memory until all are encoded.
    pub(crate) fn write(
        &mut self,
        fields: &[impl AsRef<Field>],
        count: usize,
        mut column: impl FnMut(usize) -> Result<ArrayRef, Error>,
    ) -> Result<(), Error> {
        let groups = || {
            (0..count).step_by(schema::ROW_GROUP_ROWS).map(|begin| begin..(begin + schema::ROW_GROUP_ROWS).min(count))
        };
        let mut row_groups: Vec<Vec<ColumnChunk>> = groups().map(|_| Vec::new()).collect();
        let (mut head, mut head_fields) = (Vec::new(), Vec::new());
        for (at, field) in fields.iter().map(AsRef::as_ref).enumerate() {
            let array = column(at)?;
            for (rows, chunks) in groups().zip(&mut row_groups) {
                let array = array.slice(rows.start, rows.len());
                self.chunks.encode(self.writer.schema_descr().columns(), &array, chunks)?;
            }
            if schema::SEARCH_COLUMNS.contains(&field.name().as_str()) {
                head_fields.push(field.clone().with_data_type(array.data_type().clone()));
                head.push(array);
            }
        }
        let bytes: usize = row_groups.iter().flatten().map(|chunk| chunk.bytes.len()).sum();
        // With what stands behind them: the file does not move while it grows.
        self.writer.inner_mut().reserve(bytes + bytes / 16);
        let head = RecordBatch::try_new(Arc::new(Schema::new(head_fields)), head)?;
        for (rows, chunks) in groups().zip(row_groups) {
            self.append(chunks, &head.slice(rows.start, rows.len()))?;
        }
        Ok(())
    }

    /// Adds a row group, of which `rows` has the columns that a search reads.
    fn append(&mut self, chunks: Vec<ColumnChunk>, rows: &RecordBatch) -> Result<(), Error> {
        self.facts.add(rows)?;
        let mut row_group = self.writer.next_row_group()?;
        for ColumnChunk { bytes, close } in chunks {
            row_group.append_column(&bytes, close)?;
        }
        row_group.close()?;
        self.add_checksums()
    }

    fn add_checksums(&mut self) -> Result<(), Error> {
        // What was flushed may still be in a buffer before the bytes.
        self.writer.flush().map_err(|error| Error::Block(format!("writing a block: {error}")))?;
        let bytes = self.writer.inner();
        for row_group in self.writer.flushed_row_groups().iter().skip(self.facts.checksums.len()) {
            let of_columns = |columns: Option<&[&str]>| {
                let place = reader::place_of(row_group, columns);
                let within = (place.start - self.taken) as usize..(place.end - self.taken) as usize;
                bytes.get(within).map(checksum::of)
            };
            let checksums = of_columns(Some(&schema::SEARCH_COLUMNS)).zip(of_columns(None));
            let (search, whole) = checksums.ok_or_else(|| Error::Block("a row group lies nowhere".to_owned()))?;
            self.facts.checksums.push(RowGroupChecksums { search, whole });
        }
        Ok(())
    }

    /// The next bytes of the file, so that not all of it need be in memory.
    pub(crate) fn take_written(&mut self) -> Result<Vec<u8>, Error> {
        self.writer.flush().map_err(|error| Error::Block(format!("writing a block: {error}")))?;
        let written = std::mem::take(self.writer.inner_mut());
        self.taken += written.len() as u64;
        Ok(written)
    }

    /// Completes the file; `None` when it has no rows.
    pub(crate) fn finish(self) -> Result<Option<EncodedBlock>, Error> {
        let Self { mut writer, taken, mut facts, .. } = self;
        let Some(trace_ids) = facts.row_groups.first().map(|first| first.0).zip(facts.last) else { return Ok(None) };
        let index_offset = writer.bytes_written() as u64;
        let traces = facts.hashes.len() as u64;
        facts.hashes.sort_unstable();
        let locator = Locator::new(std::mem::take(&mut facts.row_groups), TraceFilter::new(&facts.hashes));
        writer.write_all(&locator.to_bytes()).map_err(|error| Error::Block(format!("writing a block: {error}")))?;
        let footer_offset = writer.bytes_written() as u64;

        facts.catalog.truncate();
        let catalog = serde_json::to_string(&facts.catalog)
            .map_err(|error| Error::Block(format!("writing the catalog: {error}")))?;
        let checksums = serde_json::to_string(&facts.checksums)
            .map_err(|error| Error::Block(format!("writing the checksums: {error}")))?;
        let place = format!("{index_offset}..{footer_offset}");
        let pairs = [(schema::CATALOG_KEY, catalog), (schema::LOCATOR_KEY, place), (schema::CHECKSUMS_KEY, checksums)];
        for (key, value) in pairs {
            writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
        }
        let bytes = writer.into_inner()?;
        Ok(Some(EncodedBlock {
            size: taken + bytes.len() as u64,
            bytes,
            index_offset,
            footer_offset,
            spans: facts.spans,
            traces,
            start_min: facts.start_min,
            start_max: facts.start_max,
            end_max: facts.end_max,
            trace_id_min: trace_ids.0,
            trace_id_max: trace_ids.1,
        }))
    }
}

/// What the rows so far have in them.
#[derive(Default)]
struct Facts {
    spans: u64,
    start_min: i64,
    start_max: i64,
    end_max: i64,
    /// First and last trace of each row group.
    row_groups: Vec<(TraceId, TraceId)>,
    /// One per trace.
    hashes: Vec<u64>,
    last: Option<TraceId>,
    catalog: Catalog,
    /// One per row group.
    checksums: Vec<RowGroupChecksums>,
}

/// Spans, errors and last start of one service and span name.
type Counts = HashMap<(usize, usize), (u64, u64, i64), RandomState>;

impl Facts {
    fn add(&mut self, rows: &RecordBatch) -> Result<(), Error> {
        let ids = decode::binary(rows, schema::TRACE_ID)?;
        let trace_starts = decode::int64(rows, schema::TRACE_START)?;
        let offsets = decode::int64(rows, schema::START_OFFSET)?;
        let durations = decode::int64(rows, schema::DURATION)?;
        let services = Words::new(rows, schema::SERVICE)?;
        let names = Words::new(rows, schema::NAME)?;
        let statuses = Words::new(rows, schema::STATUS)?;
        let error = statuses.distinct().position(|status| status == StatusCode::Error.name());
        let mut counts = Counts::default();
        if self.spans == 0 {
            (self.start_min, self.start_max, self.end_max) = (i64::MAX, i64::MIN, i64::MIN);
        }
        for row in 0..rows.num_rows() {
            self.note_trace(ids.value(row))?;
            let start = trace_starts.value(row) + offsets.value(row);
            self.start_min = self.start_min.min(start);
            self.start_max = self.start_max.max(start);
            self.end_max = self.end_max.max(start + durations.value(row));
            let (spans, errors, last_start) = counts.entry((services.key(row), names.key(row))).or_default();
            *spans += 1;
            *errors += u64::from(Some(statuses.key(row)) == error);
            *last_start = (*last_start).max(start);
        }
        for ((service, name), (spans, errors, last_start)) in counts {
            self.catalog.add(services.text(service), names.text(name), spans, errors, last_start);
        }
        self.spans += rows.num_rows() as u64;
        let first = decode::id(ids.value(0), TraceId::from_bytes)?;
        let last = decode::id(ids.value(rows.num_rows() - 1), TraceId::from_bytes)?;
        self.row_groups.push((first, last));
        Ok(())
    }

    fn note_trace(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.last.is_some_and(|last| last.as_bytes() == bytes) {
            return Ok(());
        }
        let trace_id = decode::id(bytes, TraceId::from_bytes)?;
        debug_assert!(self.last.is_none_or(|last| last < trace_id), "rows are sorted by trace id");
        self.hashes.push(filter::hash(trace_id));
        self.last = Some(trace_id);
        Ok(())
    }
}
