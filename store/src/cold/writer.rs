//! Writes one block: row groups as they come, then what finds traces in them, then Parquet's footer.
//!
//! The one place that knows the layout of the file. Offload and merge both write through it, so a merged block differs
//! from others in nothing but its size. All that a manifest says about a block is taken from the rows themselves.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use model::StatusCode;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::SerializedFileWriter;
use proto::TraceId;

use super::catalog::Catalog;
use super::checksum::{self, RowGroupChecksums};
use super::decode::{self, Words};
use super::filter::{self, TraceFilter};
use super::locator::Locator;
use super::text_chunk::{self, TextChunk, TextChunks};
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
    texts: TextChunks,
    /// Writes the columns that are not dictionaries.
    others: ArrowRowGroupWriterFactory,
    /// Bytes that were taken.
    taken: u64,
    facts: Facts,
}

/// A column chunk of one or the other origin.
enum Chunk {
    Text(TextChunk),
    Other(ArrowColumnChunk),
}

impl BlockWriter {
    /// With the columns of [`schema`] and any of attributes. `plain` names text columns that no dictionary suits.
    pub(crate) fn new(columns: &SchemaRef, plain: &[String], effort: Effort) -> Result<Self, Error> {
        let properties = Arc::new(schema::writer_properties(plain, effort));
        let is_other = |data_type: &DataType| !matches!(data_type, DataType::Dictionary(..));
        let others: Vec<_> =
            columns.fields().iter().filter(|field| is_other(field.data_type())).map(Arc::clone).collect();
        let others = Arc::new(Schema::new(others));
        // Column writers are made after a file's schema. Nothing is written to this one.
        let nowhere = file_writer(std::io::sink(), &others, &properties)?;
        Ok(Self {
            writer: file_writer(Vec::new(), columns, &properties)?,
            texts: TextChunks::new(schema::zstd_level(effort))?,
            others: ArrowRowGroupWriterFactory::new(&nowhere, others),
            taken: 0,
            facts: Facts::default(),
        })
    }

    /// Adds a row group of at most [`schema::ROW_GROUP_ROWS`] rows, sorted by trace id, none before those of the row
    /// group before it.
    pub(crate) fn write(&mut self, rows: &RecordBatch) -> Result<(), Error> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        self.facts.add(rows)?;
        let chunks = self.chunks(rows)?;
        let mut row_group = self.writer.next_row_group()?;
        for chunk in chunks {
            match chunk {
                Chunk::Text(chunk) => row_group.append_column(&chunk.bytes, chunk.close)?,
                Chunk::Other(chunk) => chunk.append_to_row_group(&mut row_group)?,
            }
        }
        row_group.close()?;
        self.add_checksums()
    }

    /// The column chunks of these rows, in the order of the file.
    fn chunks(&mut self, rows: &RecordBatch) -> Result<Vec<Chunk>, Error> {
        let mut others = self.others.create_column_writers(self.writer.flushed_row_groups().len())?.into_iter();
        let descriptions = self.writer.schema_descr().columns();
        let mut chunks = Vec::with_capacity(descriptions.len());
        for (field, array) in rows.schema_ref().fields().iter().zip(rows.columns()) {
            if let Some((keys, texts)) = text_chunk::dictionary(array) {
                chunks.push(Chunk::Text(self.texts.encode(&descriptions[chunks.len()], keys, texts)?));
                continue;
            }
            for leaf in compute_leaves(field, array)? {
                let mut writer =
                    others.next().ok_or_else(|| Error::Block("a column is not in the block's schema".to_owned()))?;
                writer.write(&leaf)?;
                chunks.push(Chunk::Other(writer.close()?));
            }
        }
        Ok(chunks)
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

fn file_writer<W: std::io::Write + Send>(
    sink: W,
    columns: &Schema,
    properties: &WriterPropertiesPtr,
) -> Result<SerializedFileWriter<W>, Error> {
    let schema = ArrowSchemaConverter::new().convert(columns)?;
    Ok(SerializedFileWriter::new(sink, schema.root_schema_ptr(), Arc::clone(properties))?)
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
