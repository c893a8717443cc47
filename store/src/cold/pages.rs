//! Reads pages of Parquet files with one decompressor for all columns.
//!
//! Parquet's reader makes a compressor and a decompressor for every column chunk that is open, a hundred kilobytes: a merge has
//! some fifty columns of each of its inputs open, a list of operations a dozen columns of hundreds of small files. Here that
//! reader takes the pages as they lie, told that they are not compressed, and they are decompressed on the way to their column.
//! Only what this program writes is read: pages of version 1, each one zstd frame that tells its size, or stored as they are.
//!
//! Never looks into a page.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReader, RowGroups, RowSelection};
use parquet::arrow::{ProjectionMask, parquet_to_arrow_field_levels};
use parquet::basic::Compression;
use parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::ChunkReader;
use parquet::file::serialized_reader::SerializedPageReader;
use zstd::bulk::Decompressor;
use zstd::zstd_safe::get_frame_content_size;

/// Bytes of a page: Parquet counts them in 32 bits.
const PAGE_BYTES_MAX: u64 = i32::MAX as u64;

/// Decompresses one page after the other. A clone is the same one.
#[derive(Clone)]
pub(crate) struct Inflater(Arc<Mutex<Decompressor<'static>>>);

impl Inflater {
    /// Takes its memory with the first page.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(Arc::new(Mutex::new(Decompressor::new()?))))
    }

    fn inflate(&self, frame: &Bytes) -> Result<Bytes> {
        if frame.is_empty() {
            return Ok(frame.clone());
        }
        let told = get_frame_content_size(frame).ok().flatten().filter(|size| *size <= PAGE_BYTES_MAX);
        let size = told.ok_or_else(|| ParquetError::General("a page does not tell its size".to_owned()))?;
        let mut page = Vec::with_capacity(size as usize);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).decompress_to_buffer(frame, &mut page)?;
        Ok(page.into())
    }
}

/// What to read of a file.
pub(crate) struct Selection {
    /// Numbers of row groups.
    pub(crate) row_groups: Vec<usize>,
    pub(crate) columns: ProjectionMask,
    /// Which rows of the row groups; `None` for all.
    pub(crate) rows: Option<RowSelection>,
    /// Rows of a batch, at the most.
    pub(crate) batch_rows: usize,
}

/// A reader of a part of `file`, whose `metadata` also says how columns are shown.
///
/// # Errors
/// When the metadata contradicts itself.
pub(crate) fn open<T: ChunkReader + 'static>(
    file: T,
    metadata: &ArrowReaderMetadata,
    selection: Selection,
    inflater: &Inflater,
) -> Result<ParquetRecordBatchReader> {
    let Selection { row_groups, columns, rows, batch_rows } = selection;
    let schema = metadata.parquet_schema();
    let levels = parquet_to_arrow_field_levels(schema, columns, Some(metadata.schema().fields()))?;
    let pages = Pages {
        file: Arc::new(file),
        metadata: Arc::clone(metadata.metadata()),
        row_groups,
        inflater: inflater.clone(),
    };
    ParquetRecordBatchReader::try_new_with_row_groups(&levels, &pages, batch_rows, rows)
}

/// Pages of some row groups.
struct Pages<T> {
    file: Arc<T>,
    metadata: Arc<ParquetMetaData>,
    row_groups: Vec<usize>,
    inflater: Inflater,
}

impl<T: ChunkReader + 'static> RowGroups for Pages<T> {
    fn num_rows(&self) -> usize {
        self.row_groups().map(|group| group.num_rows() as usize).sum()
    }

    fn column_chunks(&self, column: usize) -> Result<Box<dyn PageIterator>> {
        let mut chunks = Vec::with_capacity(self.row_groups.len());
        for group in self.row_groups() {
            let chunk = group.column(column).clone();
            let is_stored = chunk.compression() == Compression::UNCOMPRESSED;
            let chunk = chunk.into_builder().set_compression(Compression::UNCOMPRESSED).build()?;
            let raw = SerializedPageReader::new(Arc::clone(&self.file), &chunk, group.num_rows() as usize, None)?;
            let inflater = (!is_stored).then(|| self.inflater.clone());
            chunks.push(PagesOfChunk { raw, inflater });
        }
        Ok(Box::new(Chunks(chunks.into_iter())))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(self.row_groups.iter().map(|number| self.metadata.row_group(*number)))
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }
}

/// The chunks of one column.
struct Chunks<T: ChunkReader>(std::vec::IntoIter<PagesOfChunk<T>>);

impl<T: ChunkReader + 'static> Iterator for Chunks<T> {
    type Item = Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|chunk| Ok(Box::new(chunk) as Box<dyn PageReader>))
    }
}

impl<T: ChunkReader + 'static> PageIterator for Chunks<T> {}

/// The pages of one chunk.
struct PagesOfChunk<T: ChunkReader> {
    raw: SerializedPageReader<T>,
    /// `None` when they are stored as they are.
    inflater: Option<Inflater>,
}

impl<T: ChunkReader + 'static> Iterator for PagesOfChunk<T> {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl<T: ChunkReader + 'static> PageReader for PagesOfChunk<T> {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let mut page = self.raw.get_next_page()?;
        if let (Some(page), Some(inflater)) = (&mut page, &self.inflater) {
            match page {
                Page::DataPage { buf, .. } | Page::DictionaryPage { buf, .. } => *buf = inflater.inflate(buf)?,
                Page::DataPageV2 { .. } => return Err(ParquetError::NYI("a page of version 2".to_owned())),
            }
        }
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.raw.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.raw.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.raw.at_record_boundary()
    }
}
