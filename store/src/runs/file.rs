//! Items as a Parquet file, and back. `docs/format.md` explains the columns to other readers.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, DictionaryArray, FixedSizeBinaryArray, Int64Array, RecordBatch,
};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use bytes::Bytes;
use model::OperationClass;
use model::run::{RunPart, RunRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use proto::{SpanId, TraceId};

use super::corrupt;
use super::item::{self, Item, ItemKey, PartKey};
use crate::Error;
use crate::cold::decode::{self, Words};

/// Says that a Parquet file has runs of ours, and of which version.
const FORMAT_KEY: &str = "spanhold.runs";
/// Version of the format.
const FORMAT_VERSION: &str = "1";

const TRACE_ID: &str = "trace_id";
const TOP: &str = "top_span_id";
const KIND: &str = "kind";
const CLASS: &str = "class";
const VERSION: &str = "version";
const AT: &str = "last_activity_unix_nano";
const START: &str = "start_unix_nano";
const DURATION: &str = "duration_nano";
const SERVICE: &str = "service";
const OPERATION: &str = "operation";
const INSTANCE: &str = "instance";
const OUTCOME: &str = "outcome";
const BODY: &str = "body";

/// What a row is.
const KINDS: [&str; 2] = ["part", "evidence"];

/// Runs are kept for long.
const ZSTD_LEVEL: i32 = 5;

/// Rows that are decoded at once: up to 15 kB each.
const BATCH_ROWS: usize = 512;

/// Writes items.
///
/// # Errors
/// When one cannot be read, or Parquet's writer refuses.
pub(crate) fn encode(items: &[Item]) -> Result<Bytes, Error> {
    let parts = items.iter().map(|item| match item.key {
        ItemKey::Part(_) => item::part(&item.body),
        ItemKey::Evidence(_) => Ok(None),
    });
    let parts: Vec<Option<RunPart>> = parts.collect::<Result<_, _>>()?;
    let ids = |value: &dyn Fn(&Item) -> Vec<u8>, length: usize| -> Result<ArrayRef, Error> {
        let bytes: Vec<u8> = items.iter().flat_map(value).collect();
        Ok(Arc::new(FixedSizeBinaryArray::try_new(length as i32, Buffer::from_vec(bytes), None)?))
    };
    let int64 =
        |value: &dyn Fn(&Item) -> i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values(items.iter().map(value))) };
    let of_part = |value: &dyn Fn(&RunPart) -> Option<i64>| -> ArrayRef {
        Arc::new(parts.iter().map(|part| value(part.as_ref()?)).collect::<Int64Array>())
    };
    let words = |value: &dyn for<'a> Fn(&'a RunPart) -> Option<&'a str>| -> ArrayRef {
        Arc::new(parts.iter().map(|part| value(part.as_ref()?)).collect::<DictionaryArray<Int32Type>>())
    };
    let names = |value: &dyn Fn(&Item) -> &'static str| -> ArrayRef {
        Arc::new(items.iter().map(value).collect::<DictionaryArray<Int32Type>>())
    };
    let columns: Vec<(&str, ArrayRef)> = vec![
        (TRACE_ID, ids(&|item| name_of(&item.key).0.as_bytes().to_vec(), TraceId::LEN)?),
        (TOP, ids(&|item| name_of(&item.key).1.as_bytes().to_vec(), SpanId::LEN)?),
        (KIND, names(&|item| KINDS[usize::from(matches!(item.key, ItemKey::Evidence(_)))])),
        (CLASS, names(&|item| name_of(&item.key).2.name())),
        (VERSION, int64(&|item| item.version as i64)),
        (AT, int64(&|item| item.at)),
        (START, of_part(&|part| Some(part.start.as_i64()))),
        (DURATION, of_part(&|part| Some(part.end?.nanos_since(part.start).max(0)))),
        (SERVICE, words(&|part| Some(&part.service))),
        (OPERATION, words(&|part| Some(&part.operation))),
        (INSTANCE, words(&|part| part.subject.instance.as_deref())),
        (OUTCOME, words(&|part| Some(part.outcome.name()))),
        (BODY, Arc::new(BinaryArray::from_iter_values(items.iter().map(|item| &item.body)))),
    ];
    let is_nullable = |name| [START, DURATION, SERVICE, OPERATION, INSTANCE, OUTCOME].contains(&name);
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), is_nullable(*name))).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?;
    let options = ArrowWriterOptions::new().with_properties(properties()).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), batch.schema(), options)?;
    writer.write(&batch)?;
    Ok(writer.into_inner()?.into())
}

/// Trace, topmost span and class of an item.
const fn name_of(key: &ItemKey) -> (TraceId, SpanId, OperationClass) {
    match key {
        ItemKey::Part(PartKey { trace_id, top, class }) => (*trace_id, *top, *class),
        ItemKey::Evidence(RunRef { trace_id, top }) => (*trace_id, *top, OperationClass::Failover),
    }
}

fn properties() -> WriterProperties {
    let version = KeyValue::new(FORMAT_KEY.to_owned(), FORMAT_VERSION.to_owned());
    WriterProperties::builder()
        .set_created_by(format!("spanhold {}", env!("CARGO_PKG_VERSION")))
        .set_key_value_metadata(Some(vec![version]))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL).unwrap_or_default()))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .build()
}

/// Calls `each` with the items of a file, some hundred at a time.
///
/// # Errors
/// When it is no file of runs, or `each` fails.
pub(crate) fn each_batch(file: Bytes, mut each: impl FnMut(Vec<Item>) -> Result<(), Error>) -> Result<(), Error> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
    let pairs = builder.metadata().file_metadata().key_value_metadata();
    let version = pairs.and_then(|pairs| pairs.iter().find(|pair| pair.key == FORMAT_KEY)?.value.as_deref());
    if version != Some(FORMAT_VERSION) {
        return Err(corrupt("a file", format!("format version {version:?}, this program reads {FORMAT_VERSION}")));
    }
    for batch in builder.with_batch_size(BATCH_ROWS).build()? {
        each(items(&batch?)?)?;
    }
    Ok(())
}

fn items(batch: &RecordBatch) -> Result<Vec<Item>, Error> {
    let (trace_ids, tops) = (decode::binary(batch, TRACE_ID)?, decode::binary(batch, TOP)?);
    let (kinds, classes) = (Words::new(batch, KIND)?, Words::new(batch, CLASS)?);
    let (versions, ats) = (decode::int64(batch, VERSION)?, decode::int64(batch, AT)?);
    let bodies = match decode::column(batch, BODY)?.data_type() {
        DataType::Binary => decode::column(batch, BODY)?.as_binary::<i32>(),
        other => return Err(corrupt("a file", format!("column {BODY} has type {other}"))),
    };
    let item = |row: usize| {
        let trace_id = decode::id(trace_ids.value(row), TraceId::from_bytes)?;
        let top = decode::id(tops.value(row), SpanId::from_bytes)?;
        let key = if kinds.value(row) == KINDS[1] {
            ItemKey::Evidence(RunRef { trace_id, top })
        } else {
            let named = |class: &OperationClass| class.name() == classes.value(row);
            let class = OperationClass::ALL.into_iter().find(named);
            let class = class.ok_or_else(|| corrupt("a file", "it has a class that there is not"))?;
            ItemKey::Part(PartKey { trace_id, top, class })
        };
        let version = u64::try_from(versions.value(row)).map_err(|_| corrupt("a file", "a version is negative"))?;
        Ok(Item { key, version, at: ats.value(row), body: bodies.value(row).to_vec() })
    };
    (0..batch.num_rows()).map(item).collect()
}
