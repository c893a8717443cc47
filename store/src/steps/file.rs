//! A rollup of steps as a Parquet file, and back. `docs/format.md` explains the columns to other readers.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, DictionaryArray, FixedSizeBinaryArray, Int32Array, Int64Array, RecordBatch,
    StringArray,
};
use arrow::buffer::{Buffer, NullBuffer};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use proto::TraceId;

use super::spread::{Spread, bucket_of};
use super::table::section;
use super::totals::{Change, Extremes};
use super::{ATTRIBUTES, Row, StepRollup, corrupt};
use crate::Error;
use crate::cold::{decode, schema};

/// Says that a Parquet file is a rollup of steps of ours, and of which version.
const FORMAT_KEY: &str = "spanhold.steps";
/// Version of the format.
const FORMAT_VERSION: &str = "1";
/// How many row groups each section has, separated by commas.
const SECTIONS_KEY: &str = "spanhold.sections";

const START: &str = "start_unix_nano";
const RESOLUTION: &str = "resolution_nano";
const SERVICE: &str = "service";
const OPERATION: &str = "operation";
const PATH: &str = "path";
const STEP_SERVICE: &str = "step_service";
const ATTRIBUTE: &str = "attribute";
const VALUE: &str = "value";
const SPANS: &str = "spans";
const ERRORS: &str = "errors";
const SUM: &str = "sum_nano";
const CHILD: &str = "child_nano";
const OFF_PATH: &str = "off_path_nano";
const MIN: &str = "min_nano";
const MAX: &str = "max_nano";
const SKETCH: &str = "sketch";
const SELF_SKETCH: &str = "self_sketch";
const EXEMPLAR: &str = "exemplar_trace_id";

/// Columns of few distinct texts.
const WORDS: [&str; 6] = [SERVICE, OPERATION, PATH, STEP_SERVICE, ATTRIBUTE, VALUE];

/// Columns whose values mostly differ: a dictionary would only be in the way.
const PLAIN: [&str; 6] = [START, SUM, MIN, MAX, SKETCH, SELF_SKETCH];

/// Rollups are small and kept for long.
const ZSTD_LEVEL: i32 = 3;

/// Rows that are decoded at once.
const BATCH_ROWS: usize = 8_192;

/// Rows of a row group: who asks for one operation reads the groups that have it.
const ROW_GROUP_ROWS: usize = 16_384;

/// What a row counts, as a file has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowPlace<'a> {
    pub(crate) service: &'a str,
    pub(crate) operation: &'a str,
    pub(crate) path: &'a str,
    pub(crate) step_service: &'a str,
    pub(crate) attribute: Option<u8>,
    pub(crate) value: Option<&'a str>,
}

impl Row {
    /// What it counts.
    pub(crate) fn place(&self) -> RowPlace<'_> {
        RowPlace {
            service: &self.service,
            operation: &self.operation,
            path: &self.path,
            step_service: &self.step_service,
            attribute: self.attribute,
            value: self.value.as_deref(),
        }
    }
}

/// A row as a file has it: texts and sketches where they lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowView<'a> {
    pub(crate) start: i64,
    pub(crate) place: RowPlace<'a>,
    spans: i64,
    errors: i64,
    sum_nanos: i64,
    child_nanos: i64,
    off_path_nanos: i64,
    extremes: Option<Extremes>,
    /// See [`Spread::to_bytes`]; empty where the sum tells it all.
    sketch: &'a [u8],
    /// `None` where it is the same.
    self_sketch: Option<&'a [u8]>,
}

impl RowView<'_> {
    /// Counts what the row does.
    ///
    /// # Errors
    /// When a sketch cannot be read.
    pub(super) fn add_to(&self, change: &mut Change) -> Result<(), Error> {
        let self_nanos = self.sum_nanos.saturating_sub(self.child_nanos);
        let critical_nanos = self_nanos.saturating_sub(self.off_path_nanos);
        change.add_sums(self.spans, self.errors, [self.sum_nanos, self_nanos, critical_nanos]);
        let add = |spread: &mut Spread, bytes: &[u8]| match bytes {
            [] if self.spans == 1 => {
                spread.add(bucket_of(self.sum_nanos), 1);
                Ok(())
            }
            bytes => spread.merge_bytes(bytes),
        };
        if self.self_sketch.is_some() || change.self_times.is_some() {
            add(change.own_self_times(), self.self_sketch.unwrap_or(self.sketch))?;
        }
        add(&mut change.durations, self.sketch)?;
        change.stretch(self.extremes);
        Ok(())
    }
}

/// Writes a rollup.
///
/// # Errors
/// When Parquet's writer refuses.
pub(crate) fn encode(rollup: &StepRollup) -> Result<Bytes, Error> {
    let batch = batch(rollup)?;
    let sections: Vec<usize> = rollup.rows.chunk_by(|a, b| section_of(a) == section_of(b)).map(<[Row]>::len).collect();
    let mut groups = [0; 3];
    for (rows, first) in sections.iter().zip(rollup.rows.chunk_by(|a, b| section_of(a) == section_of(b))) {
        groups[usize::from(section_of(&first[0]))] = rows.div_ceil(ROW_GROUP_ROWS);
    }
    let options = ArrowWriterOptions::new().with_properties(properties(groups)).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), batch.schema(), options)?;
    let mut begin = 0;
    for rows in sections {
        writer.write(&batch.slice(begin, rows))?;
        writer.flush()?;
        begin += rows;
    }
    Ok(writer.into_inner()?.into())
}

fn batch(rollup: &StepRollup) -> Result<RecordBatch, Error> {
    let rows = &rollup.rows;
    let int64 =
        |value: &dyn Fn(&Row) -> i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values(rows.iter().map(value))) };
    let optional =
        |value: &dyn Fn(&Row) -> Option<i64>| -> ArrayRef { Arc::new(rows.iter().map(value).collect::<Int64Array>()) };
    let words = |value: &dyn for<'a> Fn(&'a Row) -> Option<&'a str>| -> ArrayRef {
        Arc::new(rows.iter().map(value).collect::<DictionaryArray<Int32Type>>())
    };
    let told = |row: &Row| row.change.extremes.filter(|_| !is_one(&row.change));
    let self_sketches = rows.iter().map(|row| row.change.self_times.as_ref().map(Spread::to_bytes));
    let columns: Vec<(&str, ArrayRef)> = vec![
        (START, int64(&|row| row.start)),
        (RESOLUTION, int64(&|_| rollup.resolution.nanos())),
        (SERVICE, words(&|row| Some(&row.service))),
        (OPERATION, words(&|row| Some(&row.operation))),
        (PATH, words(&|row| Some(&row.path))),
        (STEP_SERVICE, words(&|row| Some(&row.step_service))),
        (ATTRIBUTE, words(&|row| row.attribute.map(|attribute| ATTRIBUTES[usize::from(attribute)][0]))),
        (VALUE, words(&|row| row.value.as_deref())),
        (SPANS, int64(&|row| row.change.spans)),
        (ERRORS, int64(&|row| row.change.errors)),
        (SUM, int64(&|row| row.change.sum_nanos)),
        (CHILD, int64(&|row| row.change.sum_nanos.saturating_sub(row.change.self_nanos))),
        (OFF_PATH, int64(&|row| row.change.self_nanos.saturating_sub(row.change.critical_nanos))),
        (MIN, optional(&|row| Some(told(row)?.min_nanos))),
        (MAX, optional(&|row| Some(told(row)?.max_nanos))),
        (SKETCH, Arc::new(BinaryArray::from_iter_values(rows.iter().map(sketch)))),
        (SELF_SKETCH, Arc::new(self_sketches.collect::<BinaryArray>())),
        (EXEMPLAR, exemplars(rows)?),
    ];
    let is_nullable = |name| [ATTRIBUTE, VALUE, MIN, MAX, SELF_SKETCH, EXEMPLAR].contains(&name);
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), is_nullable(*name))).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}

fn section_of(row: &Row) -> u8 {
    section(row.path != super::table::ROOT_PATH, row.attribute.is_some())
}

/// Whether the sum tells the only duration that is counted.
fn is_one(change: &Change) -> bool {
    let of_sum = |known: &Extremes| known.min_nanos == change.sum_nanos && known.max_nanos == change.sum_nanos;
    change.spans == 1 && change.extremes.as_ref().is_some_and(of_sum)
}

fn sketch(row: &Row) -> Vec<u8> {
    let change = &row.change;
    let bytes = change.durations.to_bytes();
    let is_told = change.spans == 1 && bytes == Spread::of(change.sum_nanos).to_bytes();
    if is_told { Vec::new() } else { bytes }
}

fn exemplars(rows: &[Row]) -> Result<ArrayRef, Error> {
    let mut bytes = Vec::with_capacity(rows.len() * TraceId::LEN);
    for row in rows {
        let slowest = row.change.extremes.map(|known| known.slowest);
        bytes.extend_from_slice(&slowest.map_or([0; TraceId::LEN], |id| *id.as_bytes()));
    }
    let nulls: NullBuffer = rows.iter().map(|row| row.change.extremes.is_some()).collect();
    Ok(Arc::new(FixedSizeBinaryArray::try_new(TraceId::LEN as i32, Buffer::from_vec(bytes), Some(nulls))?))
}

fn properties(groups: [usize; 3]) -> WriterProperties {
    let sections = groups.map(|groups| groups.to_string()).join(",");
    let told = [(FORMAT_KEY, FORMAT_VERSION.to_owned()), (SECTIONS_KEY, sections)];
    let mut properties = WriterProperties::builder()
        .set_created_by(format!("spanhold {}", env!("CARGO_PKG_VERSION")))
        .set_key_value_metadata(Some(
            told.into_iter().map(|(key, value)| KeyValue::new(key.to_owned(), value)).collect(),
        ))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL).unwrap_or_default()))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_offset_index_disabled(true);
    for column in [START, SERVICE, OPERATION] {
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

/// Which rows of a file are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// All.
    All,
    /// Those of one section, of this service and operation where they are given.
    Section(u8, Option<&'a str>, Option<&'a str>),
}

/// Calls `each` with every row of a part of a file, and perhaps with others.
///
/// # Errors
/// When it is no rollup of steps, or `each` fails.
pub(crate) fn each_row(
    file: Bytes,
    part: Part<'_>,
    mut each: impl for<'a> FnMut(&RowView<'a>) -> Result<(), Error>,
) -> Result<(), Error> {
    let plain = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())?;
    let pairs = plain.metadata().file_metadata().key_value_metadata();
    let told = |key| pairs.and_then(|pairs| pairs.iter().find(|pair| pair.key == key)?.value.as_deref());
    if told(FORMAT_KEY) != Some(FORMAT_VERSION) {
        let version = told(FORMAT_KEY);
        return Err(corrupt(&format!("format version {version:?}, this program reads {FORMAT_VERSION}")));
    }
    let groups = row_groups(&plain, told(SECTIONS_KEY).unwrap_or_default(), part);
    if groups.is_empty() {
        return Ok(());
    }
    let metadata = with_dictionaries(&plain)?;
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata).with_row_groups(groups);
    let reader = builder.with_batch_size(BATCH_ROWS).build()?;
    for batch in reader {
        each_of(&batch?, &mut each)?;
    }
    Ok(())
}

/// Numbers of the row groups that may have rows of a part.
fn row_groups(metadata: &ArrowReaderMetadata, sections: &str, part: Part<'_>) -> Vec<usize> {
    let groups = metadata.metadata().row_groups();
    let Part::Section(wanted, service, operation) = part else { return (0..groups.len()).collect() };
    let counts: Vec<usize> = sections.split(',').filter_map(|count| count.parse().ok()).collect();
    let begin: usize = counts.iter().take(usize::from(wanted)).sum();
    let end = begin + counts.get(usize::from(wanted)).copied().unwrap_or_default();
    let may_have = |at: usize, column: &str, text: Option<&str>| {
        let chunk = groups[at].columns().iter().find(|chunk| chunk.column_path() == &path(column));
        let range = chunk.and_then(|chunk| {
            let told = chunk.statistics()?;
            Some((told.min_bytes_opt()?, told.max_bytes_opt()?))
        });
        match (text, range) {
            (Some(text), Some((min, max))) => min <= text.as_bytes() && text.as_bytes() <= max,
            _ => true,
        }
    };
    let fits =
        |at: &usize| may_have(*at, SERVICE, service) && (service.is_none() || may_have(*at, OPERATION, operation));
    (begin..end.min(groups.len())).filter(fits).collect()
}

fn with_dictionaries(plain: &ArrowReaderMetadata) -> Result<ArrowReaderMetadata, Error> {
    let field = |field: &Arc<Field>| {
        let is_word = WORDS.contains(&field.name().as_str());
        if is_word { field.as_ref().clone().with_data_type(schema::dictionary()) } else { field.as_ref().clone() }
    };
    let fields: Vec<Field> = plain.schema().fields().iter().map(field).collect();
    let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields)));
    Ok(ArrowReaderMetadata::try_new(Arc::clone(plain.metadata()), options)?)
}

/// A column of few distinct texts, some of which may be missing.
struct Texts<'a> {
    keys: &'a Int32Array,
    values: &'a StringArray,
}

impl<'a> Texts<'a> {
    fn new(batch: &'a RecordBatch, name: &str) -> Result<Self, Error> {
        let no_text = || corrupt(&format!("column {name} is no text"));
        let array = decode::column(batch, name)?.as_dictionary_opt::<Int32Type>().ok_or_else(no_text)?;
        Ok(Self { keys: array.keys(), values: array.values().as_string_opt().ok_or_else(no_text)? })
    }

    fn get(&self, row: usize) -> Option<&'a str> {
        self.keys.is_valid(row).then(|| self.values.value(self.keys.value(row) as usize))
    }

    fn required(&self, row: usize) -> Result<&'a str, Error> {
        self.get(row).ok_or_else(|| corrupt("a text is missing"))
    }
}

fn each_of(batch: &RecordBatch, each: &mut impl for<'a> FnMut(&RowView<'a>) -> Result<(), Error>) -> Result<(), Error> {
    let int64 = |name| decode::int64(batch, name);
    let [starts, spans, errors, sums, children, off_paths] = [START, SPANS, ERRORS, SUM, CHILD, OFF_PATH].map(int64);
    let (starts, spans, errors) = (starts?, spans?, errors?);
    let (sums, children, off_paths) = (sums?, children?, off_paths?);
    if [starts, spans, errors, sums, children, off_paths].iter().any(|column| column.null_count() > 0) {
        return Err(corrupt("a number is missing"));
    }
    let (mins, maxs, exemplars) = (int64(MIN)?, int64(MAX)?, decode::binary(batch, EXEMPLAR)?);
    let [services, operations, paths, step_services, attributes, values] = WORDS.map(|name| Texts::new(batch, name));
    let (services, operations, paths) = (services?, operations?, paths?);
    let (step_services, attributes, values) = (step_services?, attributes?, values?);
    let binary = |name: &str| match decode::column(batch, name)?.data_type() {
        DataType::Binary => Ok(decode::column(batch, name)?.as_binary::<i32>()),
        other => Err(corrupt(&format!("column {name} has type {other}"))),
    };
    let (sketches, self_sketches) = (binary(SKETCH)?, binary(SELF_SKETCH)?);
    for row in 0..batch.num_rows() {
        let extremes = if exemplars.is_valid(row) {
            let of = |column: &Int64Array| if column.is_valid(row) { column.value(row) } else { sums.value(row) };
            let slowest = decode::id(exemplars.value(row), TraceId::from_bytes)?;
            Some(Extremes { min_nanos: of(mins), max_nanos: of(maxs), slowest })
        } else {
            None
        };
        each(&RowView {
            start: starts.value(row),
            place: RowPlace {
                service: services.required(row)?,
                operation: operations.required(row)?,
                path: paths.required(row)?,
                step_service: step_services.required(row)?,
                attribute: attributes.get(row).map(attribute).transpose()?,
                value: values.get(row),
            },
            spans: spans.value(row),
            errors: errors.value(row),
            sum_nanos: sums.value(row),
            child_nanos: children.value(row),
            off_path_nanos: off_paths.value(row),
            extremes,
            sketch: sketches.value(row),
            self_sketch: self_sketches.is_valid(row).then(|| self_sketches.value(row)),
        })?;
    }
    Ok(())
}

fn attribute(name: &str) -> Result<u8, Error> {
    let at = ATTRIBUTES.iter().position(|names| names[0] == name);
    at.and_then(|at| u8::try_from(at).ok()).ok_or_else(|| corrupt(&format!("unknown attribute {name:?}")))
}
