//! Reads spans of one block: one trace with one GET, or the columns of a search.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use model::Span;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowSelection, RowSelector};
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::ChunkReader;
use proto::TraceId;

use super::block::BlockEntry;
use super::chunks::Chunks;
use super::index::Footer;
use super::pages::{self, Inflater, Selection};
use super::{checksum, decode, schema};
use crate::Error;

/// The spans that a block has of a trace in `row_groups`, which must be consecutive and not empty: one GET.
pub(crate) async fn spans_of_trace(
    objects: &Arc<dyn ObjectStore>,
    entry: &BlockEntry,
    footer: Arc<Footer>,
    row_groups: Range<usize>,
    trace_id: TraceId,
) -> Result<Vec<Span>, Error> {
    let ranges = row_groups.clone().map(|number| byte_range(&footer, number, None));
    let Some(range) = ranges.reduce(|all, one| all.start.min(one.start)..all.end.max(one.end)) else {
        return Ok(Vec::new());
    };
    let bytes = objects.get_range(&Path::from(entry.path.as_str()), range.clone()).await?;
    let chunks = Chunks::new(entry.bytes, vec![(range.start, bytes)]);
    let owner = entry.clone();
    blocking(move || {
        verify(&owner, &footer, &chunks, row_groups.clone(), None)?;
        let row_groups: Vec<usize> = row_groups.collect();
        let inflater = Inflater::new()?;
        let found = rows_of_trace(&footer, chunks.clone(), &row_groups, trace_id, &inflater)?;
        let Some(rows) = found else { return Ok(Vec::new()) };
        let batch_rows = rows.len();
        let rows = RowSelection::from(vec![RowSelector::skip(rows.start), RowSelector::select(rows.len())]);
        let selection = Selection { row_groups, columns: ProjectionMask::all(), rows: Some(rows), batch_rows };
        let reader = pages::open(chunks, &footer.metadata, selection, &inflater)?;
        decode::decode(&collect(reader)?)
    })
    .await
}

/// The columns of [`schema::SEARCH_COLUMNS`] of a whole block, row group by row group.
pub(crate) async fn search_columns(
    objects: &Arc<dyn ObjectStore>,
    entry: &BlockEntry,
    footer: Arc<Footer>,
) -> Result<Vec<RecordBatch>, Error> {
    let path = Path::from(entry.path.as_str());
    let row_groups = 0..footer.metadata.metadata().num_row_groups();
    let ranges: Vec<_> =
        row_groups.clone().map(|number| byte_range(&footer, number, Some(&schema::SEARCH_COLUMNS))).collect();
    let parts = objects.get_ranges(&path, &ranges).await?;
    let parts = ranges.iter().map(|range| range.start).zip(parts).collect();
    let chunks = Chunks::new(entry.bytes, parts);
    let owner = entry.clone();
    blocking(move || {
        verify(&owner, &footer, &chunks, row_groups.clone(), Some(&schema::SEARCH_COLUMNS))?;
        columns_of(&footer, chunks, row_groups, &schema::SEARCH_COLUMNS)
    })
    .await
}

/// All that retention may look at, of a whole block, row group by row group: every column but the events.
pub(crate) async fn retention_columns(
    objects: &Arc<dyn ObjectStore>,
    entry: &BlockEntry,
    footer: Arc<Footer>,
) -> Result<Vec<RecordBatch>, Error> {
    let path = Path::from(entry.path.as_str());
    let row_groups = 0..footer.metadata.metadata().num_row_groups();
    let ranges: Vec<_> = row_groups.clone().map(|number| byte_range(&footer, number, None)).collect();
    let parts = objects.get_ranges(&path, &ranges).await?;
    let parts = ranges.iter().map(|range| range.start).zip(parts).collect();
    let chunks = Chunks::new(entry.bytes, parts);
    let owner = entry.clone();
    blocking(move || {
        verify(&owner, &footer, &chunks, row_groups.clone(), None)?;
        let fields = footer.metadata.parquet_schema().root_schema().get_fields();
        let columns: Vec<&str> =
            fields.iter().map(|field| field.name()).filter(|name| *name != schema::EVENTS).collect();
        columns_of(&footer, chunks, row_groups, &columns)
    })
    .await
}

fn columns_of(
    footer: &Footer,
    chunks: Chunks,
    row_groups: Range<usize>,
    columns: &[&str],
) -> Result<Vec<RecordBatch>, Error> {
    let (row_groups, columns) = (row_groups.collect(), projection(footer, columns));
    let selection = Selection { row_groups, columns, rows: None, batch_rows: schema::ROW_GROUP_ROWS };
    let reader = pages::open(chunks, &footer.metadata, selection, &Inflater::new()?)?;
    Ok(reader.collect::<Result<Vec<_>, _>>()?)
}

/// Runs decoding where it does not hold up requests.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::Block(format!("decoding failed: {error}")))?
}

/// Makes sure that what was fetched is what was written: whole row groups, or the columns of a search.
fn verify(
    entry: &BlockEntry,
    footer: &Footer,
    chunks: &Chunks,
    row_groups: Range<usize>,
    columns: Option<&[&str]>,
) -> Result<(), Error> {
    for number in row_groups {
        let Some(written) = footer.checksums.get(number) else { continue };
        let written = if columns.is_some() { written.search } else { written.whole };
        let place = byte_range(footer, number, columns);
        let bytes = chunks.get_bytes(place.start, (place.end - place.start) as usize)?;
        checksum::verify(entry, place, &bytes, written)?;
    }
    Ok(())
}

/// Where a row group's columns lie.
pub(crate) fn byte_range(footer: &Footer, row_group: usize, columns: Option<&[&str]>) -> Range<u64> {
    place_of(footer.metadata.metadata().row_group(row_group), columns)
}

/// Where a row group's columns lie; they are contiguous.
pub(crate) fn place_of(row_group: &RowGroupMetaData, columns: Option<&[&str]>) -> Range<u64> {
    let (mut first, mut last) = (u64::MAX, 0);
    for column in row_group.columns() {
        let root = column.column_path().parts().first().map(String::as_str).unwrap_or_default();
        if columns.is_none_or(|columns| columns.contains(&root)) {
            let (start, length) = column.byte_range();
            first = first.min(start);
            last = last.max(start + length);
        }
    }
    first..last
}

/// The rows of a trace within the given row groups: they are sorted by trace id, so they are consecutive.
fn rows_of_trace(
    footer: &Footer,
    chunks: Chunks,
    row_groups: &[usize],
    trace_id: TraceId,
    inflater: &Inflater,
) -> Result<Option<Range<usize>>, Error> {
    let selection = Selection {
        row_groups: row_groups.to_vec(),
        columns: projection(footer, &[schema::TRACE_ID]),
        rows: None,
        batch_rows: schema::ROW_GROUP_ROWS * row_groups.len().max(1),
    };
    let reader = pages::open(chunks, &footer.metadata, selection, inflater)?;
    let batch = collect(reader)?;
    let ids = decode::column(&batch, schema::TRACE_ID)?;
    let ids = arrow::array::AsArray::as_fixed_size_binary_opt(ids).ok_or_else(|| Error::Corrupt {
        what: "a block".to_owned(),
        why: "trace ids are not fixed-size binary".to_owned(),
    })?;
    let rows: Vec<usize> = (0..batch.num_rows()).collect();
    let wanted = &trace_id.as_bytes()[..];
    let first = rows.partition_point(|row| ids.value(*row) < wanted);
    let last = rows.partition_point(|row| ids.value(*row) <= wanted);
    Ok((first < last).then_some(first..last))
}

fn projection(footer: &Footer, columns: &[&str]) -> ProjectionMask {
    let roots = footer.metadata.parquet_schema().root_schema().get_fields().iter().enumerate();
    let wanted = roots.filter(|(_, field)| columns.contains(&field.name())).map(|(at, _)| at);
    ProjectionMask::roots(footer.metadata.parquet_schema(), wanted)
}

fn collect(reader: ParquetRecordBatchReader) -> Result<RecordBatch, Error> {
    let schema = arrow::array::RecordBatchReader::schema(&reader);
    let batches = reader.collect::<Result<Vec<_>, _>>()?;
    Ok(concat_batches(&schema, &batches)?)
}
