use std::sync::Arc;

use arrow::array::{
    BooleanArray, DictionaryArray, FixedSizeBinaryArray, Float64Array, Int32Array, Int64Array, ListArray, RecordBatch,
    StringArray, StructArray, UInt32Array, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{cast, concat};
use arrow::datatypes::{Field, Int32Type, Schema};
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use proptest::prelude::*;

use super::*;

/// Writes a column in row groups of `rows`.
fn file_of(name: &str, array: &ArrayRef, is_nullable: bool, rows: usize) -> Bytes {
    let columns = Schema::new(vec![Field::new(name, array.data_type().clone(), is_nullable)]);
    let description = ArrowSchemaConverter::new().convert(&columns).expect("a schema");
    let mut writer =
        SerializedFileWriter::new(Vec::new(), description.root_schema_ptr(), Arc::default()).expect("a file");
    let mut encoder = ColumnChunks::new(Effort::Offload).expect("zstd");
    for offset in (0..array.len()).step_by(rows) {
        let slice = array.slice(offset, rows.min(array.len() - offset));
        let mut chunks = Vec::new();
        encoder.encode(description.columns(), &slice, &mut chunks).expect("encodes");
        let mut row_group = writer.next_row_group().expect("a row group");
        for ColumnChunk { bytes, close } in chunks {
            row_group.append_column(&bytes, close).expect("fits");
        }
        row_group.close().expect("is complete");
    }
    writer.into_inner().expect("a file").into()
}

/// Reads the only column of a file with Parquet's own reader.
fn read(file: Bytes, data_type: &DataType) -> ArrayRef {
    let reader = ParquetRecordBatchReader::try_new(file, 1_000).expect("opens");
    let batches: Vec<RecordBatch> = reader.map(|batch| batch.expect("reads")).collect();
    let columns: Vec<ArrayRef> =
        batches.iter().map(|batch| cast(batch.column(0), data_type).expect("the same type")).collect();
    concat(&columns.iter().map(AsRef::as_ref).collect::<Vec<_>>()).expect("fit together")
}

fn check(name: &str, array: impl Array + 'static, is_nullable: bool) {
    let array: ArrayRef = Arc::new(array);
    let plain = match array.data_type() {
        DataType::Dictionary(..) => DataType::Utf8,
        other => other.clone(),
    };
    let expected = cast(&array, &plain).expect("the same type");
    for rows in [7, 5_000, 32_768] {
        assert!(*read(file_of(name, &array, is_nullable, rows), &plain) == *expected, "{name} by {rows}: {plain}");
    }
}

const ROWS: usize = 20_000;

fn is_there(row: usize) -> bool {
    row % 100 < 30 || row % 7 == 1
}

fn numbers(distinct: i64) -> impl Iterator<Item = i64> {
    (0..ROWS as i64)
        .map(move |row| row.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64) % distinct)
        .map(|number| number.wrapping_mul(1_000_003))
}

#[test]
fn numbers_are_read_back_whatever_their_layout() {
    for distinct in [1, 50, 5_000, i64::MAX] {
        for name in ["other", schema::TRACE_START, schema::DURATION] {
            check(name, Int64Array::from_iter_values(numbers(distinct)), false);
        }
        let some = numbers(distinct).enumerate().map(|(row, number)| is_there(row).then_some(number));
        check("other", some.collect::<Int64Array>(), true);
        let doubles = numbers(distinct).map(|number| f64::from_bits(number as u64 & !(1 << 62)));
        check("other", Float64Array::from_iter_values(doubles), true);
        check("other", numbers(distinct).map(|number| number as i32).collect::<Int32Array>(), false);
        check("other", numbers(distinct).map(|number| number as u32).collect::<UInt32Array>(), false);
    }
}

#[test]
fn ids_and_truth_values_are_read_back() {
    let ids = || (0..ROWS as u64).map(|row| (row / 5).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    for name in [schema::SPAN_ID, "other"] {
        check(name, FixedSizeBinaryArray::try_from_iter(ids()).expect("ids"), false);
    }
    let some = ids().enumerate().map(|(row, id)| is_there(row).then_some(id));
    let some = FixedSizeBinaryArray::try_from_sparse_iter_with_size(some, 8).expect("ids");
    check(schema::PARENT_SPAN_ID, some, true);
    let flags = |row| is_there(row).then_some(row % 3 == 0);
    check("other", (0..ROWS).map(flags).collect::<BooleanArray>(), true);
    check("other", (0..ROWS).map(|row| Some(row % 5 > 1)).collect::<BooleanArray>(), true);
}

#[test]
fn texts_are_read_back_with_a_dictionary_and_without() {
    let words = |distinct: usize| (0..ROWS).map(move |row| (row * 7_919 % distinct).to_string());
    for distinct in [1, 1_000, ROWS] {
        check("other", words(distinct).map(Some).collect::<StringArray>(), false);
        let some = words(distinct).enumerate().map(|(row, word)| is_there(row).then_some(word));
        check("other", some.collect::<StringArray>(), true);
        let keys: Vec<String> = words(distinct).collect();
        let dictionary: DictionaryArray<Int32Type> = keys.iter().map(String::as_str).collect();
        check("other", dictionary, false);
    }
    // Too long for a dictionary.
    let long = (0..3_000).map(|row| (row % 3 > 0).then(|| format!("{:01000}", row / 2)));
    let long: Vec<Option<String>> = long.collect();
    let dictionary: DictionaryArray<Int32Type> = long.iter().map(Option::as_deref).collect();
    check("other", dictionary, true);
    check("other", StringArray::from(long), true);
    for data_type in [DataType::Utf8, schema::dictionary(), DataType::Int64] {
        check("other", new_null_array(&data_type, ROWS), true);
    }
}

#[test]
fn lists_are_read_back() {
    let lengths: Vec<usize> = (0..ROWS).map(|row| if is_there(row) { row % 4 } else { 0 }).collect();
    let count = lengths.iter().sum::<usize>();
    let times = Int64Array::from_iter_values((0..count as i64).map(|row| row * row));
    let text = |distinct: usize| -> ArrayRef {
        Arc::new(StringArray::from_iter_values((0..count).map(|row| (row % distinct).to_string())))
    };
    let dropped = UInt32Array::from_iter_values((0..count as u32).map(|row| row % 2));
    let columns = vec![Arc::new(times) as ArrayRef, text(3), text(count), Arc::new(dropped)];
    let fields = &schema::EVENT_FIELDS;
    let events = StructArray::try_new((*fields).clone(), columns, None).expect("structures");
    let valid: NullBuffer = lengths.iter().map(|length| *length > 0).collect::<Vec<_>>().into();
    let item = Arc::new(schema::list_item(fields));
    let lists = ListArray::try_new(item, OffsetBuffer::from_lengths(lengths), Arc::new(events), Some(valid));
    check(schema::EVENTS, lists.expect("lists"), true);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn runs_of_texts_are_read_back(
        runs in proptest::collection::vec((proptest::option::of(0u32..300), 1usize..400), 1..60),
        rows in prop_oneof![Just(7_usize), Just(5_000), Just(20_000)],
    ) {
        let run = |(text, count): (Option<u32>, usize)| std::iter::repeat_n(text.map(|text| format!("ü{text}")), count);
        let values: Vec<_> = runs.into_iter().flat_map(run).collect();
        let words: DictionaryArray<Int32Type> = values.iter().map(Option::as_deref).collect();
        let expected: ArrayRef = Arc::new(StringArray::from(values));
        for array in [Arc::new(words) as ArrayRef, Arc::clone(&expected)] {
            prop_assert_eq!(&read(file_of("other", &array, true, rows), &DataType::Utf8), &expected);
        }
    }
}

#[test]
fn statistics_tell_the_least_and_the_greatest() {
    let told = |name: &str, array: ArrayRef| {
        let file = SerializedFileReader::new(file_of(name, &array, false, ROWS)).expect("opens");
        let statistics = file.metadata().row_group(0).column(0).statistics().cloned()?;
        Some((statistics.min_bytes_opt()?.to_vec(), statistics.max_bytes_opt()?.to_vec()))
    };
    let numbers = || Arc::new(Int64Array::from(vec![3, -4, 9, 0]));
    let expected = Some(((-4_i64).to_le_bytes().to_vec(), 9_i64.to_le_bytes().to_vec()));
    assert_eq!(told(schema::DURATION, numbers()), expected);
    assert_eq!(told("other", numbers()), None);
    let ids = FixedSizeBinaryArray::try_from_iter([[2_u8; 16], [7; 16], [1; 16]].into_iter()).expect("ids");
    assert_eq!(told(schema::TRACE_ID, Arc::new(ids)), Some((vec![1; 16], vec![7; 16])));
}
