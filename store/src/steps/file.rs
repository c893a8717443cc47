//! A rollup of steps as a Parquet file, and back. `docs/format.md` explains the columns to other readers.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, DictionaryArray, FixedSizeBinaryArray, Int32Array, Int64Array,
    RecordBatch, StringArray,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, RowSelection};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use proto::TraceId;

use super::spread::{Spread, bucket_of};
use super::table::{ROOT_PATH, section};
use super::totals::{Change, Extremes};
use super::{ATTRIBUTES, Row, StepRollup, corrupt};
use crate::Error;
use crate::cold::pages::{self, Inflater, Selection};
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
    section(row.path != ROOT_PATH, row.attribute.is_some())
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

/// Which rows of a file are wanted, and what of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// `None` for all.
    pub(crate) section: Option<u8>,
    pub(crate) service: Option<String>,
    pub(crate) operation: Option<String>,
    /// Whether self times and the critical path are wanted: without them both are taken to be the durations.
    pub(crate) has_self_times: bool,
}

impl Part {
    /// All of a file.
    pub(crate) const ALL: Self = Self { section: None, service: None, operation: None, has_self_times: true };

    /// Whether a row has to do with it.
    pub(crate) fn has(&self, place: &RowPlace<'_>) -> bool {
        let of_row = section(place.path != ROOT_PATH, place.attribute.is_some());
        self.section.is_none_or(|wanted| wanted == of_row)
            && self.service.as_deref().is_none_or(|wanted| wanted == place.service)
            && self.operation.as_deref().is_none_or(|wanted| wanted == place.operation)
    }
}

/// Calls `each` with every row of a part of a file.
///
/// # Errors
/// When it is no rollup of steps, or `each` fails.
pub(crate) fn each_row(
    file: Bytes,
    part: &Part,
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
    let inflater = Inflater::new()?;
    let rows = rows_of(&file, &metadata, &groups, part, &inflater)?;
    if rows.as_ref().is_some_and(|rows| !rows.selects_any()) {
        return Ok(());
    }
    let unread = if part.has_self_times { &[RESOLUTION][..] } else { &[RESOLUTION, CHILD, OFF_PATH, SELF_SKETCH] };
    let columns = columns_of(&metadata, |name| !unread.contains(&name));
    let selection = Selection { row_groups: groups, columns, rows, batch_rows: BATCH_ROWS };
    for batch in pages::open(file, &metadata, selection, &inflater)? {
        each_of(&batch?, part, &mut each)?;
    }
    Ok(())
}

fn columns_of(metadata: &ArrowReaderMetadata, is_read: impl Fn(&str) -> bool) -> ProjectionMask {
    let schema = metadata.parquet_schema();
    let read = schema.columns().iter().enumerate().filter(|(_, column)| is_read(column.name()));
    ProjectionMask::leaves(schema, read.map(|(at, _)| at))
}

/// The rows of a part; `None` when they are all. A group has thousands of rows, and of one operation there are a few: of the
/// others nothing else is decoded.
fn rows_of(
    file: &Bytes,
    metadata: &ArrowReaderMetadata,
    groups: &[usize],
    part: &Part,
    inflater: &Inflater,
) -> Result<Option<RowSelection>, Error> {
    let wanted = [(SERVICE, &part.service), (OPERATION, &part.operation)];
    if wanted.iter().all(|(_, text)| text.is_none()) {
        return Ok(None);
    }
    let columns = columns_of(metadata, |name| wanted.iter().any(|(column, text)| *column == name && text.is_some()));
    let selection = Selection { row_groups: groups.to_vec(), columns, rows: None, batch_rows: BATCH_ROWS };
    let mut filters = Vec::new();
    for batch in pages::open(file.clone(), metadata, selection, inflater)? {
        let batch = batch?;
        let mut rows = BooleanBuffer::new_set(batch.num_rows());
        for (column, text) in wanted {
            if let Some(text) = text {
                rows = &rows & &Texts::new(&batch, column)?.rows_with(text);
            }
        }
        filters.push(BooleanArray::from(rows));
    }
    Ok(Some(RowSelection::from_filters(&filters)))
}

/// Numbers of the row groups that may have rows of a part.
fn row_groups(metadata: &ArrowReaderMetadata, sections: &str, part: &Part) -> Vec<usize> {
    let groups = metadata.metadata().row_groups();
    let Some(wanted) = part.section else { return (0..groups.len()).collect() };
    let (service, operation) = (part.service.as_deref(), part.operation.as_deref());
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

    /// The rows that have `wanted`.
    fn rows_with(&self, wanted: &str) -> BooleanBuffer {
        let wanted: Vec<bool> = self.values.iter().map(|text| text == Some(wanted)).collect();
        let has = |row| self.keys.is_valid(row) && wanted[self.keys.value(row) as usize];
        BooleanBuffer::collect_bool(self.keys.len(), has)
    }
}

fn each_of(
    batch: &RecordBatch,
    part: &Part,
    each: &mut impl for<'a> FnMut(&RowView<'a>) -> Result<(), Error>,
) -> Result<(), Error> {
    let int64 = |name| decode::int64(batch, name);
    let (starts, spans, errors, sums) = (int64(START)?, int64(SPANS)?, int64(ERRORS)?, int64(SUM)?);
    let of_self = part.has_self_times.then(|| Ok::<_, Error>([int64(CHILD)?, int64(OFF_PATH)?])).transpose()?;
    if [starts, spans, errors, sums].into_iter().chain(of_self.into_iter().flatten()).any(|it| it.null_count() > 0) {
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
    let sketches = binary(SKETCH)?;
    let self_sketches = part.has_self_times.then(|| binary(SELF_SKETCH)).transpose()?;
    for row in 0..batch.num_rows() {
        let extremes = if exemplars.is_valid(row) {
            let of = |column: &Int64Array| if column.is_valid(row) { column.value(row) } else { sums.value(row) };
            let slowest = decode::id(exemplars.value(row), TraceId::from_bytes)?;
            Some(Extremes { min_nanos: of(mins), max_nanos: of(maxs), slowest })
        } else {
            None
        };
        let place = RowPlace {
            service: services.required(row)?,
            operation: operations.required(row)?,
            path: paths.required(row)?,
            step_service: step_services.required(row)?,
            attribute: attributes.get(row).map(attribute).transpose()?,
            value: values.get(row),
        };
        if !part.has(&place) {
            continue;
        }
        let [child_nanos, off_path_nanos] = of_self.map_or([0; 2], |columns| columns.map(|column| column.value(row)));
        each(&RowView {
            start: starts.value(row),
            place,
            spans: spans.value(row),
            errors: errors.value(row),
            sum_nanos: sums.value(row),
            child_nanos,
            off_path_nanos,
            extremes,
            sketch: sketches.value(row),
            self_sketch: self_sketches.filter(|column| column.is_valid(row)).map(|column| column.value(row)),
        })?;
    }
    Ok(())
}

fn attribute(name: &str) -> Result<u8, Error> {
    let at = ATTRIBUTES.iter().position(|names| names[0] == name);
    at.and_then(|at| u8::try_from(at).ok()).ok_or_else(|| corrupt(&format!("unknown attribute {name:?}")))
}
