//! A rollup as a Parquet file, and back. `docs/format.md` explains the columns to other readers.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, DictionaryArray, FixedSizeBinaryArray, Int64Array, RecordBatch,
};
use arrow::buffer::Buffer;
use arrow::datatypes::{Field, Int32Type, Schema};
use bytes::Bytes;
use model::SpanKind;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use proto::TraceId;

use super::table::RowView;
use super::{Rollup, Row, corrupt};
use crate::Error;
use crate::cold::decode::{self, Words};
use crate::cold::pages::{self, Inflater, Selection};

/// Says that a Parquet file is a rollup of ours, and of which version.
const FORMAT_KEY: &str = "spanhold.rollup";
/// Version of the format.
const FORMAT_VERSION: &str = "1";

const START: &str = "start_unix_nano";
const RESOLUTION: &str = "resolution_nano";
const SERVICE: &str = "service";
const NAME: &str = "name";
const KIND: &str = "kind";
const IS_ROOT: &str = "is_root";
const SPANS: &str = "spans";
const ERRORS: &str = "errors";
const SUM: &str = "sum_nano";
const MIN: &str = "min_nano";
const MAX: &str = "max_nano";
const SKETCH: &str = "sketch";
const EXEMPLAR: &str = "exemplar_trace_id";

/// Columns whose values mostly differ: a dictionary would only be in the way.
const PLAIN: [&str; 6] = [START, SUM, MIN, MAX, SKETCH, EXEMPLAR];

/// Rollups are small and kept for long.
const ZSTD_LEVEL: i32 = 3;

/// Rows that are decoded at once.
const BATCH_ROWS: usize = 8_192;

/// Writes a rollup.
///
/// # Errors
/// When Parquet's writer refuses.
pub(crate) fn encode(rollup: &Rollup) -> Result<Bytes, Error> {
    let rows = &rollup.rows;
    let int64 =
        |value: &dyn Fn(&Row) -> i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values(rows.iter().map(value))) };
    let words = |value: &dyn for<'a> Fn(&'a Row) -> &'a str| -> ArrayRef {
        Arc::new(rows.iter().map(value).collect::<DictionaryArray<Int32Type>>())
    };
    let sketches = rows.iter().map(|row| row.totals.sketch.to_bytes());
    let exemplars: Vec<u8> = rows.iter().flat_map(|row| *row.totals.slowest.as_bytes()).collect();
    let resolution = rollup.resolution.nanos();
    let columns: Vec<(&str, ArrayRef)> = vec![
        (START, int64(&|row| row.start)),
        (RESOLUTION, int64(&|_| resolution)),
        (SERVICE, words(&|row| &row.service)),
        (NAME, words(&|row| &row.name)),
        (KIND, words(&|row| row.kind.name())),
        (IS_ROOT, Arc::new(BooleanArray::from_iter(rows.iter().map(|row| Some(row.is_root))))),
        (SPANS, int64(&|row| row.totals.spans as i64)),
        (ERRORS, int64(&|row| row.totals.errors as i64)),
        (SUM, int64(&|row| row.totals.sum_nanos)),
        (MIN, int64(&|row| row.totals.min_nanos)),
        (MAX, int64(&|row| row.totals.max_nanos)),
        (SKETCH, Arc::new(BinaryArray::from_iter_values(sketches))),
        (EXEMPLAR, Arc::new(FixedSizeBinaryArray::try_new(TraceId::LEN as i32, Buffer::from_vec(exemplars), None)?)),
    ];
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), false)).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?;
    let options = ArrowWriterOptions::new().with_properties(properties()).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), batch.schema(), options)?;
    writer.write(&batch)?;
    Ok(writer.into_inner()?.into())
}

fn properties() -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_created_by(format!("spanhold {}", env!("CARGO_PKG_VERSION")))
        .set_key_value_metadata(Some(vec![KeyValue::new(FORMAT_KEY.to_owned(), FORMAT_VERSION.to_owned())]))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL).unwrap_or_default()))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true);
    for column in [START, SERVICE] {
        properties = properties.set_column_statistics_enabled(path(column), EnabledStatistics::Chunk);
    }
    for column in PLAIN {
        properties = properties.set_column_dictionary_enabled(path(column), false);
    }
    properties.build()
}

fn path(column: &str) -> ColumnPath {
    ColumnPath::new(vec![column.to_owned()])
}

/// Calls `each` with every row of a file.
///
/// # Errors
/// When it is no rollup, or `each` fails.
pub(crate) fn each_row(
    file: Bytes,
    mut each: impl for<'a> FnMut(&RowView<'a>) -> Result<(), Error>,
) -> Result<(), Error> {
    let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())?;
    let pairs = metadata.metadata().file_metadata().key_value_metadata();
    let version = pairs.and_then(|pairs| pairs.iter().find(|pair| pair.key == FORMAT_KEY)?.value.as_deref());
    if version != Some(FORMAT_VERSION) {
        return Err(corrupt(&format!("format version {version:?}, this program reads {FORMAT_VERSION}")));
    }
    let row_groups = (0..metadata.metadata().num_row_groups()).collect();
    let all = Selection { row_groups, columns: ProjectionMask::all(), rows: None, batch_rows: BATCH_ROWS };
    for batch in pages::open(file, &metadata, all, &Inflater::new()?)? {
        each_of(&batch?, &mut each)?;
    }
    Ok(())
}

fn each_of(batch: &RecordBatch, each: &mut impl for<'a> FnMut(&RowView<'a>) -> Result<(), Error>) -> Result<(), Error> {
    let int64 = |name| decode::int64(batch, name);
    let (starts, spans, errors) = (int64(START)?, int64(SPANS)?, int64(ERRORS)?);
    let (sums, mins, maxs) = (int64(SUM)?, int64(MIN)?, int64(MAX)?);
    let (services, names, kinds) = (Words::new(batch, SERVICE)?, Words::new(batch, NAME)?, Words::new(batch, KIND)?);
    let roots = decode::column(batch, IS_ROOT)?.as_boolean_opt().ok_or_else(|| corrupt("is_root is no boolean"))?;
    let sketches =
        decode::column(batch, SKETCH)?.as_binary_opt::<i32>().ok_or_else(|| corrupt("sketch is not binary"))?;
    let exemplars = decode::binary(batch, EXEMPLAR)?;
    if batch.columns().iter().any(|column| column.null_count() > 0) {
        return Err(corrupt("a value is missing"));
    }
    let kinds_by_key: Vec<SpanKind> = kinds.distinct().map(decode::kind).collect::<Result<_, _>>()?;
    let count = |number: i64| u64::try_from(number).map_err(|_| corrupt("a count is negative"));
    for row in 0..batch.num_rows() {
        each(&RowView {
            start: starts.value(row),
            service: services.value(row),
            name: names.value(row),
            kind: kinds_by_key[kinds.key(row)],
            is_root: roots.value(row),
            spans: count(spans.value(row))?,
            errors: count(errors.value(row))?,
            sum_nanos: sums.value(row),
            min_nanos: mins.value(row),
            max_nanos: maxs.value(row),
            sketch: sketches.value(row),
            slowest: decode::id(exemplars.value(row), TraceId::from_bytes)?,
        })?;
    }
    Ok(())
}
