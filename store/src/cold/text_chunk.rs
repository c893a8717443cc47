//! Writes the column chunks of text columns whose distinct values are known already.
//!
//! Parquet's own writer looks each value up among those it has seen, by hashing its text: a fifth of what offloading a
//! window cost. Here the indexes of the Arrow dictionary are renumbered instead, and no text but the distinct ones is
//! looked at. The pages are as Parquet's writer makes them: a dictionary page and data pages of version 1.
//!
//! Source of the layout: <https://parquet.apache.org/docs/file-format/data-pages/>.

use arrow::array::{Array, ArrayRef, DictionaryArray, StringArray};
use arrow::datatypes::Int32Type;
use bytes::Bytes;
use parquet::basic::{Compression, Encoding};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::hybrid::{Hybrid, width_of};
use super::schema;
use crate::Error;

/// A dictionary with more than this is not written: whoever wants one value has to read all of it.
const DICTIONARY_BYTES_MAX: usize = 1 << 20;

/// A column chunk, ready to be appended to a row group.
pub(super) struct TextChunk {
    pub(super) bytes: Bytes,
    pub(super) close: ColumnCloseResult,
}

/// Makes text chunks, one after the other.
pub(super) struct TextChunks {
    compressor: zstd::bulk::Compressor<'static>,
    compression: Compression,
    /// For each value of the Arrow dictionary its index in the chunk, or [`UNSEEN`].
    index_of: Vec<u32>,
    /// Values of the Arrow dictionary by their index in the chunk.
    distinct: Vec<u32>,
    plain: Vec<u8>,
}

const UNSEEN: u32 = u32::MAX;

/// A text column as an Arrow dictionary; `None` when it is something else.
pub(super) fn dictionary(array: &ArrayRef) -> Option<(&DictionaryArray<Int32Type>, &StringArray)> {
    let keys = array.as_any().downcast_ref::<DictionaryArray<Int32Type>>()?;
    Some((keys, keys.values().as_any().downcast_ref()?))
}

impl TextChunks {
    /// With zstd at `level`.
    pub(super) fn new(level: i32) -> Result<Self, Error> {
        let compressor = zstd::bulk::Compressor::new(level).map_err(|error| failed(&error))?;
        Ok(Self {
            compressor,
            compression: schema::zstd(level),
            index_of: Vec::new(),
            distinct: Vec::new(),
            plain: Vec::new(),
        })
    }

    /// The chunk of `column` with these keys of `texts`.
    pub(super) fn encode(
        &mut self,
        column: &ColumnDescPtr,
        array: &DictionaryArray<Int32Type>,
        texts: &StringArray,
    ) -> Result<TextChunk, Error> {
        self.number(array, texts.len());
        let text_bytes: usize = self.distinct.iter().map(|text| texts.value_length(*text as usize) as usize + 4).sum();
        let is_dictionary = text_bytes <= DICTIONARY_BYTES_MAX;
        let mut chunk = Chunk::default();
        if is_dictionary {
            self.write_dictionary(texts, &mut chunk)?;
        }
        let data_offset = chunk.sink.bytes_written() as i64;
        for offset in (0..array.len()).step_by(schema::PAGE_ROWS) {
            let rows = array.slice(offset, schema::PAGE_ROWS.min(array.len() - offset));
            self.write_page(column, &rows, is_dictionary.then_some(()).ok_or(texts), &mut chunk)?;
        }
        let encodings = match is_dictionary {
            true => vec![Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY],
            false => vec![Encoding::PLAIN, Encoding::RLE],
        };
        let metadata = ColumnChunkMetaData::builder(column.clone())
            .set_compression(self.compression)
            .set_encodings(encodings)
            .set_num_values(array.len() as i64)
            .set_total_uncompressed_size(chunk.uncompressed as i64)
            .set_total_compressed_size(chunk.sink.bytes_written() as i64)
            .set_dictionary_page_offset(is_dictionary.then_some(0))
            .set_data_page_offset(data_offset)
            .build()?;
        let close = ColumnCloseResult {
            bytes_written: chunk.sink.bytes_written() as u64,
            rows_written: array.len() as u64,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        Ok(TextChunk { bytes: chunk.sink.into_inner()?.into(), close })
    }

    /// Numbers the values that occur, in the order in which they do.
    fn number(&mut self, array: &DictionaryArray<Int32Type>, texts: usize) {
        self.index_of.clear();
        self.index_of.resize(texts, UNSEEN);
        self.distinct.clear();
        each_key(array, |key| {
            let index = &mut self.index_of[key as usize];
            if *index == UNSEEN {
                *index = self.distinct.len() as u32;
                self.distinct.push(key);
            }
        });
    }

    fn write_dictionary(&mut self, texts: &StringArray, chunk: &mut Chunk) -> Result<(), Error> {
        self.plain.clear();
        for text in &self.distinct {
            put_text(texts.value(*text as usize), &mut self.plain);
        }
        let page = Page::DictionaryPage {
            buf: self.compressed()?,
            num_values: self.distinct.len() as u32,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        chunk.write(CompressedPage::new(page, self.plain.len()))
    }

    /// Writes some rows: indexes, or the texts themselves where there is no dictionary.
    fn write_page(
        &mut self,
        column: &ColumnDescPtr,
        rows: &DictionaryArray<Int32Type>,
        texts: Result<(), &StringArray>,
        chunk: &mut Chunk,
    ) -> Result<(), Error> {
        self.plain.clear();
        if column.max_def_level() > 0 {
            put_definition_levels(rows, &mut self.plain);
        }
        match texts {
            Ok(()) => {
                let width = width_of(self.distinct.len());
                self.plain.push(width as u8);
                let mut indexes = Hybrid::new(width, &mut self.plain);
                each_key(rows, |key| indexes.put(self.index_of[key as usize], 1));
                indexes.finish();
            }
            Err(texts) => {
                each_key(rows, |key| put_text(texts.value(key as usize), &mut self.plain));
            }
        }
        let page = Page::DataPage {
            buf: self.compressed()?,
            num_values: rows.len() as u32,
            encoding: if texts.is_ok() { Encoding::RLE_DICTIONARY } else { Encoding::PLAIN },
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        chunk.write(CompressedPage::new(page, self.plain.len()))
    }

    fn compressed(&mut self) -> Result<Bytes, Error> {
        Ok(self.compressor.compress(&self.plain).map_err(|error| failed(&error))?.into())
    }
}

/// Pages of a chunk, and how long they were before compression, headers included.
struct Chunk {
    sink: TrackedWrite<Vec<u8>>,
    uncompressed: usize,
}

impl Default for Chunk {
    fn default() -> Self {
        Self { sink: TrackedWrite::new(Vec::new()), uncompressed: 0 }
    }
}

impl Chunk {
    fn write(&mut self, page: CompressedPage) -> Result<(), Error> {
        self.uncompressed += SerializedPageWriter::new(&mut self.sink).write_page(page)?.uncompressed_size;
        Ok(())
    }
}

/// Calls `each` with the keys of rows that have a value.
fn each_key(rows: &DictionaryArray<Int32Type>, mut each: impl FnMut(u32)) {
    let keys = rows.keys().values();
    match rows.nulls() {
        None => keys.iter().for_each(|key| each(*key as u32)),
        Some(valid) => valid.valid_indices().for_each(|row| each(keys[row] as u32)),
    }
}

/// Which rows have a value: 1 or 0 in a hybrid run, behind its length.
fn put_definition_levels(rows: &DictionaryArray<Int32Type>, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0; 4]);
    let mut levels = Hybrid::new(1, out);
    match rows.nulls() {
        None => levels.put(1, rows.len()),
        Some(valid) => {
            let mut row = 0;
            for (start, end) in valid.valid_slices() {
                levels.put(0, start - row);
                levels.put(1, end - start);
                row = end;
            }
            levels.put(0, rows.len() - row);
        }
    }
    levels.finish();
    let length = out.len() as u32 - 4;
    out[..4].copy_from_slice(&length.to_le_bytes());
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn failed(error: &std::io::Error) -> Error {
    Error::Block(format!("compressing a page: {error}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{AsArray, RecordBatch};
    use arrow::compute::cast;
    use arrow::datatypes::{DataType, Field, Schema};
    use parquet::arrow::ArrowSchemaConverter;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
    use parquet::file::writer::SerializedFileWriter;
    use proptest::prelude::*;

    use super::*;

    /// Writes the column in row groups of `rows` and reads it back with Parquet's own reader.
    fn round_trip(values: &[Option<String>], nullable: bool, rows: usize) -> Vec<Option<String>> {
        let array: DictionaryArray<Int32Type> = values.iter().map(Option::as_deref).collect();
        let array: ArrayRef = Arc::new(array);
        let columns = Schema::new(vec![Field::new("text", schema::dictionary(), nullable)]);
        let description = ArrowSchemaConverter::new().convert(&columns).expect("a schema");
        let mut writer =
            SerializedFileWriter::new(Vec::new(), description.root_schema_ptr(), Arc::default()).expect("a file");
        let mut chunks = TextChunks::new(1).expect("zstd");
        for offset in (0..array.len()).step_by(rows) {
            let slice = array.slice(offset, rows.min(array.len() - offset));
            let (keys, texts) = dictionary(&slice).expect("a dictionary");
            let chunk = chunks.encode(&description.column(0), keys, texts).expect("encodes");
            let mut row_group = writer.next_row_group().expect("a row group");
            row_group.append_column(&chunk.bytes, chunk.close).expect("fits");
            row_group.close().expect("is complete");
        }
        let file = Bytes::from(writer.into_inner().expect("a file"));
        let batches: Vec<RecordBatch> =
            ParquetRecordBatchReader::try_new(file, 1_000).expect("opens").map(|batch| batch.expect("reads")).collect();
        let texts = batches.iter().map(|batch| cast(batch.column(0), &DataType::Utf8).expect("text"));
        texts
            .flat_map(|texts| texts.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>())
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn texts_are_read_back_by_parquets_reader(
            runs in proptest::collection::vec((proptest::option::of(0u32..300), 1usize..400), 1..60),
            rows in prop_oneof![Just(7_usize), Just(5_000), Just(20_000)],
        ) {
            let run = |(text, count): (Option<u32>, usize)| std::iter::repeat_n(text.map(|text| format!("ü{text}")), count);
            let values: Vec<_> = runs.into_iter().flat_map(run).collect();
            prop_assert_eq!(round_trip(&values, true, rows), values);
        }
    }

    #[test]
    fn columns_without_nulls_with_nothing_else_and_with_one_text_are_read_back() {
        let cases: [(Vec<Option<String>>, bool); 3] = [
            ((0..20_000).map(|row| Some((row % 1_000).to_string())).collect(), false),
            (vec![None; 20_000], true),
            (vec![Some(String::new()); 20_000], false),
        ];
        for (values, nullable) in cases {
            assert!(round_trip(&values, nullable, 32_768) == values);
        }
    }

    #[test]
    fn texts_that_are_too_long_for_a_dictionary_are_written_one_by_one() {
        let values: Vec<_> = (0..3_000).map(|row| (row % 3 > 0).then(|| format!("{:01000}", row / 2))).collect();
        assert!(round_trip(&values, true, 32_768) == values);
    }
}
