//! Writes the column chunks of a block: pages of version 1, with a dictionary where one pays.
//!
//! Parquet's own writer makes a compressor for each page and looks each value up among those it has seen, by hashing it: a third of what
//! offloading a window cost. Here one compressor and one set of buffers serve all chunks, keys of Arrow dictionaries are renumbered without
//! looking at the texts, and other values are only hashed while few of them differ.
//!
//! Which column gets which encoding is [`schema::layout`]'s. Never decides what is in a block, and reads nothing back.
//!
//! Source of the layout: <https://parquet.apache.org/docs/file-format/data-pages/>.

mod dictionary;
mod hybrid;
mod levels;
#[cfg(test)]
mod tests;
mod values;

use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use bytes::Bytes;
use parquet::basic::{Compression, Encoding};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::FixedLenByteArray;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::schema::{self, Layout};
use super::writer::Effort;
use crate::Error;
use dictionary::Dictionary;
pub(super) use dictionary::pays;
use hybrid::Hybrid;
use levels::Levels;
use values::{Packed, Values};

/// A column chunk, ready to be appended to a row group.
pub(super) struct ColumnChunk {
    pub(super) bytes: Bytes,
    pub(super) close: ColumnCloseResult,
}

/// Makes column chunks, one after the other.
pub(super) struct ColumnChunks {
    compressor: zstd::bulk::Compressor<'static>,
    compression: Compression,
    effort: Effort,
    dictionary: Dictionary,
    /// The pages of a chunk.
    pages: Vec<u8>,
    /// What goes into a page.
    plain: Vec<u8>,
    /// The same, compressed.
    packed: Vec<u8>,
    /// Numbers before their bytes are brought together.
    numbers: Vec<u8>,
}

/// A column without what is around it.
#[derive(Clone, Copy)]
struct Leaf<'a> {
    rows: usize,
    levels: Levels<'a>,
    values: Values<'a>,
}

/// How the values of a chunk are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Split,
    Dictionary,
}

impl ColumnChunks {
    pub(super) fn new(effort: Effort) -> Result<Self, Error> {
        Ok(Self {
            compressor: zstd::bulk::Compressor::default(),
            effort,
            compression: schema::zstd(),
            dictionary: Dictionary::default(),
            pages: Vec::new(),
            plain: Vec::new(),
            packed: Vec::new(),
            numbers: Vec::new(),
        })
    }

    /// Appends the chunks of one column, of a list one for each field, to those of the columns before it. `columns` describes all of
    /// the block.
    ///
    /// # Errors
    /// When it is no column of a block.
    pub(super) fn encode(
        &mut self,
        columns: &[ColumnDescPtr],
        array: &ArrayRef,
        chunks: &mut Vec<ColumnChunk>,
    ) -> Result<(), Error> {
        if !matches!(array.data_type(), DataType::List(_)) {
            let is_nullable = columns.get(chunks.len()).is_some_and(|column| column.max_def_level() > 0);
            let levels = if is_nullable { Levels::Optional(array.nulls()) } else { Levels::Required };
            let leaf = Leaf { rows: array.len(), levels, values: Values::of(array)? };
            return self.push(columns, leaf, chunks);
        }
        let lists = array.as_list::<i32>();
        let fields =
            lists.values().as_struct_opt().ok_or_else(|| Error::Block("a list of no structures".to_owned()))?;
        for field in fields.columns() {
            let levels = Levels::List(lists.value_offsets());
            self.push(columns, Leaf { rows: lists.len(), levels, values: Values::of(field)? }, chunks)?;
        }
        Ok(())
    }

    fn push(&mut self, columns: &[ColumnDescPtr], leaf: Leaf<'_>, chunks: &mut Vec<ColumnChunk>) -> Result<(), Error> {
        let unknown = || Error::Block("a column is not in the block's schema".to_owned());
        chunks.push(self.chunk(columns.get(chunks.len()).ok_or_else(unknown)?, leaf)?);
        Ok(())
    }

    fn chunk(&mut self, column: &ColumnDescPtr, leaf: Leaf<'_>) -> Result<ColumnChunk, Error> {
        let layout = match column.path().parts() {
            [name] => schema::layout(name),
            _ => Layout::Dictionary,
        };
        let all = |each: &mut dyn FnMut(Range<usize>)| leaf.levels.each_run(0..leaf.rows, each);
        let form = match layout {
            Layout::Split => Form::Split,
            Layout::Dictionary if self.dictionary.number(leaf.values, all) => Form::Dictionary,
            _ => Form::Plain,
        };
        let is_compressed = layout != Layout::Random;
        let level = schema::zstd_level(self.effort, layout);
        self.compressor.set_compression_level(level).map_err(|error| failed(&error))?;
        let mut pages = Pages::new(std::mem::take(&mut self.pages));
        if form == Form::Dictionary {
            self.put_dictionary(leaf.values, &mut pages)?;
        }
        let data_offset = pages.sink.bytes_written() as i64;
        let (mut levels, mut taken) = (0, 0);
        for begin in (0..leaf.rows).step_by(schema::PAGE_ROWS) {
            let rows = begin..(begin + schema::PAGE_ROWS).min(leaf.rows);
            self.plain.clear();
            let of_page = leaf.levels.put(rows.clone(), &mut self.plain);
            levels += of_page;
            self.put_values(leaf, rows, form, &mut taken);
            let page = Page::DataPage {
                buf: match is_compressed {
                    true => self.compressed()?,
                    false => Bytes::copy_from_slice(&self.plain),
                },
                num_values: of_page as u32,
                encoding: encoding(form),
                def_level_encoding: Encoding::RLE,
                rep_level_encoding: Encoding::RLE,
                statistics: None,
            };
            pages.write(CompressedPage::new(page, self.plain.len()))?;
        }
        let mut encodings = vec![Encoding::RLE, encoding(form)];
        if form == Form::Dictionary {
            encodings.push(Encoding::PLAIN);
        }
        let mut metadata = ColumnChunkMetaData::builder(column.clone())
            .set_compression(if is_compressed { self.compression } else { Compression::UNCOMPRESSED })
            .set_encodings(encodings)
            .set_num_values(levels as i64)
            .set_total_uncompressed_size(pages.uncompressed as i64)
            .set_total_compressed_size(pages.sink.bytes_written() as i64)
            .set_dictionary_page_offset((form == Form::Dictionary).then_some(0))
            .set_data_page_offset(data_offset);
        if let Some(statistics) = statistics(column, leaf.values) {
            metadata = metadata.set_statistics(statistics);
        }
        let bytes_written = pages.sink.bytes_written() as u64;
        self.pages = pages.sink.into_inner()?;
        let close = ColumnCloseResult {
            bytes_written,
            rows_written: leaf.rows as u64,
            metadata: metadata.build()?,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        Ok(ColumnChunk { bytes: Bytes::copy_from_slice(&self.pages), close })
    }

    fn put_dictionary(&mut self, values: Values<'_>, pages: &mut Pages) -> Result<(), Error> {
        self.plain.clear();
        for at in &self.dictionary.distinct {
            values.put(*at as usize, &mut self.plain);
        }
        let page = Page::DictionaryPage {
            buf: self.compressed()?,
            num_values: self.dictionary.distinct.len() as u32,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        pages.write(CompressedPage::new(page, self.plain.len()))
    }

    /// Appends the values of some rows to the page. `taken` counts the indexes that earlier pages have.
    fn put_values(&mut self, leaf: Leaf<'_>, rows: Range<usize>, form: Form, taken: &mut usize) {
        let Self { plain, numbers, dictionary, .. } = self;
        match (form, leaf.values) {
            (Form::Dictionary, _) => {
                let width = dictionary.width();
                plain.push(width as u8);
                let end = *taken + leaf.levels.count(rows);
                let mut indexes = Hybrid::new(width, plain);
                dictionary.indexes[*taken..end].iter().for_each(|index| indexes.put(*index, 1));
                indexes.finish();
                *taken = end;
            }
            (Form::Split, Values::Fixed(width, _)) => {
                numbers.clear();
                leaf.levels.each_run(rows, |run| leaf.values.put_run(run, numbers));
                values::split(width, numbers, plain);
            }
            (_, Values::Bits(bits)) => {
                let mut packed = Packed::default();
                leaf.levels.each_run(rows, |run| run.for_each(|at| packed.put(bits.value(at), plain)));
                packed.finish(plain);
            }
            _ => leaf.levels.each_run(rows, |run| leaf.values.put_run(run, plain)),
        }
    }

    fn compressed(&mut self) -> Result<Bytes, Error> {
        self.packed.clear();
        self.packed.reserve(zstd::zstd_safe::compress_bound(self.plain.len()));
        self.compressor.compress_to_buffer(&self.plain, &mut self.packed).map_err(|error| failed(&error))?;
        Ok(Bytes::copy_from_slice(&self.packed))
    }
}

const fn encoding(form: Form) -> Encoding {
    match form {
        Form::Plain => Encoding::PLAIN,
        Form::Split => Encoding::BYTE_STREAM_SPLIT,
        Form::Dictionary => Encoding::RLE_DICTIONARY,
    }
}

/// Least and greatest value of a column that readers choose row groups by.
fn statistics(column: &ColumnDescPtr, values: Values<'_>) -> Option<Statistics> {
    let is_told = matches!(column.path().parts(), [name] if schema::HAS_STATISTICS.contains(&name.as_str()));
    let Values::Fixed(width, bytes) = values else { return None };
    let each = bytes.chunks_exact(width);
    if !is_told || bytes.is_empty() {
        return None;
    }
    if width == size_of::<i64>() {
        let numbers = each.filter_map(|bytes| Some(i64::from_le_bytes(bytes.try_into().ok()?)));
        return Some(Statistics::int64(numbers.clone().min(), numbers.max(), None, Some(0), false));
    }
    let id = |bytes: Option<&[u8]>| bytes.map(|bytes| FixedLenByteArray::from(bytes.to_vec()));
    Some(Statistics::fixed_len_byte_array(id(each.clone().min()), id(each.max()), None, Some(0), false))
}

/// Pages of a chunk, and how long they were before compression, headers included.
struct Pages {
    sink: TrackedWrite<Vec<u8>>,
    uncompressed: usize,
}

impl Pages {
    /// None yet; `room` is for their bytes.
    fn new(mut room: Vec<u8>) -> Self {
        room.clear();
        Self { sink: TrackedWrite::new(room), uncompressed: 0 }
    }

    fn write(&mut self, page: CompressedPage) -> Result<(), Error> {
        self.uncompressed += SerializedPageWriter::new(&mut self.sink).write_page(page)?.uncompressed_size;
        Ok(())
    }
}

fn failed(error: &std::io::Error) -> Error {
    Error::Block(format!("compressing a page: {error}"))
}
