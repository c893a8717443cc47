//! What is known of a block without reading its spans: its [`Locator`], which every lookup asks, and its [`Footer`],
//! which is needed once something is read.
//!
//! The bytes behind [`BlockEntry::index_offset`] hold both. Copies are kept in the hot tier's database, parsed ones in
//! memory; all are rebuilt from the block with one ranged GET, so nothing here needs to be durable.
//!
//! Blocks of format version 1 have no locator of their own: it is made from Parquet's statistics and Bloom filters.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::statistics::Statistics;
use proto::TraceId;

use super::block::{BlockEntry, BlockId};
use super::catalog::Catalog;
use super::checksum::{self, RowGroupChecksums};
use super::chunks::Chunks;
use super::locator::Locator;
use super::{complete, schema};
use crate::Error;
use crate::hot::HotDb;

/// Memory for locators. A trace takes 25 bits in each block that has it: room for 20 million traces. What does not fit is
/// read from the local copy with each lookup.
const LOCATOR_CACHE_BYTES: u64 = 64 << 20;

/// Memory for parsed footers; what does not fit is parsed again from the local copy.
const FOOTER_CACHE_BYTES: u64 = 16 << 20;

/// A parsed footer takes about this many times what Parquet says of its metadata.
const PARSED_BYTES_PER_BYTE: u64 = 4;

/// Blocks that room is made for at first.
const BLOCKS_ESTIMATE: usize = 1_024;

/// Parquet's metadata of a block, ready to read with, and what the block has in it.
pub(crate) struct Footer {
    pub(crate) metadata: ArrowReaderMetadata,
    pub(crate) catalog: Catalog,
    /// One per row group; empty in blocks of format version 1.
    pub(crate) checksums: Vec<RowGroupChecksums>,
}

impl Footer {
    /// Reads the end of a block's file, which begins at `offset`.
    pub(crate) fn parse(entry: &BlockEntry, offset: u64, end: Bytes) -> Result<Self, Error> {
        let metadata = parse_metadata(entry, &Chunks::new(entry.bytes, vec![(offset, end)]))?;
        let catalog = key_value(&metadata, schema::CATALOG_KEY).unwrap_or_default();
        let catalog = serde_json::from_str(&catalog).map_err(|error| Error::Corrupt {
            what: format!("catalog of block {}", entry.id),
            why: error.to_string(),
        })?;
        let checksums = parse_checksums(entry, &metadata)?;
        Ok(Self { metadata: with_dictionaries(Arc::new(metadata))?, catalog, checksums })
    }
}

/// The locator of a block of format version 1, from all that lies behind its row groups.
fn locator_of_version_1(entry: &BlockEntry, end: Bytes) -> Result<Locator, Error> {
    let chunks = Chunks::new(entry.bytes, vec![(entry.index_offset, end)]);
    let metadata = parse_metadata(entry, &chunks)?;
    let (mut fences, mut filters) = (Vec::new(), Vec::new());
    for row_group in metadata.row_groups() {
        let column = row_group.column(0);
        fences.push(trace_range(column.statistics()).ok_or_else(|| Error::Corrupt {
            what: format!("block {}", entry.id),
            why: "a row group has no trace id range".to_owned(),
        })?);
        filters.push(Sbbf::read_from_column_chunk(column, &chunks)?);
    }
    Ok(Locator::of_version_1(fences, filters))
}

fn parse_metadata(entry: &BlockEntry, chunks: &Chunks) -> Result<ParquetMetaData, Error> {
    let metadata = ParquetMetaDataReader::new().parse_and_finish(chunks)?;
    let format = key_value(&metadata, schema::FORMAT_KEY);
    if format.as_deref().is_none_or(|format| !schema::FORMAT_VERSIONS.contains(&format)) {
        let why = format!("format version {format:?}, this program reads {:?}", schema::FORMAT_VERSIONS);
        return Err(Error::Corrupt { what: format!("block {}", entry.id), why });
    }
    Ok(metadata)
}

fn parse_checksums(entry: &BlockEntry, metadata: &ParquetMetaData) -> Result<Vec<RowGroupChecksums>, Error> {
    let Some(json) = key_value(metadata, schema::CHECKSUMS_KEY) else { return Ok(Vec::new()) };
    let corrupt = |why| Error::Corrupt { what: format!("checksums of block {}", entry.id), why };
    let checksums: Vec<RowGroupChecksums> = serde_json::from_str(&json).map_err(|error| corrupt(error.to_string()))?;
    if checksums.len() != metadata.num_row_groups() {
        return Err(corrupt(format!("there are {} of {} row groups", checksums.len(), metadata.num_row_groups())));
    }
    Ok(checksums)
}

fn key_value(metadata: &ParquetMetaData, key: &str) -> Option<String> {
    let pairs = metadata.file_metadata().key_value_metadata()?;
    pairs.iter().find(|pair| pair.key == key)?.value.clone()
}

fn trace_range(statistics: Option<&Statistics>) -> Option<(TraceId, TraceId)> {
    let statistics = statistics?;
    let first = TraceId::from_bytes(statistics.min_bytes_opt()?).ok()?;
    let last = TraceId::from_bytes(statistics.max_bytes_opt()?).ok()?;
    Some((first, last))
}

/// Has [`schema::DICTIONARY_COLUMNS`] read as dictionaries.
fn with_dictionaries(metadata: Arc<ParquetMetaData>) -> Result<ArrowReaderMetadata, Error> {
    let plain = ArrowReaderMetadata::try_new(Arc::clone(&metadata), ArrowReaderOptions::new())?;
    let fields: Vec<Field> = plain
        .schema()
        .fields()
        .iter()
        .map(|field| {
            let field = field.as_ref().clone();
            if schema::DICTIONARY_COLUMNS.contains(&field.name().as_str()) {
                field.with_data_type(schema::dictionary())
            } else {
                field
            }
        })
        .collect();
    let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields)));
    Ok(ArrowReaderMetadata::try_new(metadata, options)?)
}

/// Gets locators and footers: from memory, from the local copy, or from the block.
pub(crate) struct BlockIndexes {
    db: Arc<HotDb>,
    objects: Arc<dyn ObjectStore>,
    locators: quick_cache::sync::Cache<BlockId, Arc<Locator>, LocatorWeight>,
    footers: quick_cache::sync::Cache<BlockId, Arc<Footer>, FooterWeight>,
}

#[derive(Clone)]
struct LocatorWeight;

impl quick_cache::Weighter<BlockId, Arc<Locator>> for LocatorWeight {
    fn weight(&self, _: &BlockId, locator: &Arc<Locator>) -> u64 {
        locator.memory_bytes() as u64
    }
}

#[derive(Clone)]
struct FooterWeight;

impl quick_cache::Weighter<BlockId, Arc<Footer>> for FooterWeight {
    fn weight(&self, _: &BlockId, footer: &Arc<Footer>) -> u64 {
        footer.metadata.metadata().memory_size() as u64 * PARSED_BYTES_PER_BYTE
    }
}

/// One of the two parts of a block's index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Locator,
    Footer,
}

impl BlockIndexes {
    /// Over the database that keeps local copies, and the object store that has the blocks.
    pub(crate) fn new(db: Arc<HotDb>, objects: Arc<dyn ObjectStore>) -> Self {
        let locators = quick_cache::sync::Cache::with_weighter(BLOCKS_ESTIMATE, LOCATOR_CACHE_BYTES, LocatorWeight);
        let footers = quick_cache::sync::Cache::with_weighter(BLOCKS_ESTIMATE, FOOTER_CACHE_BYTES, FooterWeight);
        Self { db, objects, locators, footers }
    }

    /// Finds the row groups of a trace in a block.
    pub(crate) async fn locator(&self, entry: &BlockEntry) -> Result<Arc<Locator>, Error> {
        if let Some(locator) = self.locators.get(&entry.id) {
            return Ok(locator);
        }
        let locator = Arc::new(parse_locator(entry, self.bytes(entry, Part::Locator).await?)?);
        self.locators.insert(entry.id, Arc::clone(&locator));
        Ok(locator)
    }

    /// What it takes to read a block.
    pub(crate) async fn footer(&self, entry: &BlockEntry) -> Result<Arc<Footer>, Error> {
        if let Some(footer) = self.footers.get(&entry.id) {
            return Ok(footer);
        }
        let footer = Arc::new(parse_footer(entry, self.bytes(entry, Part::Footer).await?)?);
        self.footers.insert(entry.id, Arc::clone(&footer));
        Ok(footer)
    }

    /// Keeps the index of a block that was just read or written: all that lies behind its row groups. On a full disk nothing
    /// is kept, and the next question reads it from the block again.
    pub(crate) fn put(&self, entry: &BlockEntry, end: &Bytes) -> Result<(), Error> {
        for part in [Part::Locator, Part::Footer] {
            let Some(bytes) = cut(entry, part, end) else { continue };
            match self.db.set_block_index(&key(entry.id, part), &bytes) {
                Err(error @ Error::DiskFull(_)) => {
                    tracing::debug!(block = %entry.id, %error, "no local copy of a block's index");
                }
                other => other?,
            }
        }
        Ok(())
    }

    /// Forgets a block that is no more.
    pub(crate) fn remove(&self, id: BlockId) -> Result<(), Error> {
        self.locators.remove(&id);
        self.footers.remove(&id);
        for part in [Part::Locator, Part::Footer] {
            self.db.remove_block_index(&key(id, part))?;
        }
        Ok(())
    }

    /// Forgets all blocks but those for which `stays`. Readers that still need one read it from the block again.
    pub(crate) fn retain(&self, stays: impl Fn(BlockId) -> bool) -> Result<(), Error> {
        for key in self.db.block_index_keys()? {
            let id = key.get(1..).and_then(|id| id.parse().ok());
            if id.is_none_or(|id| !stays(id)) {
                self.db.remove_block_index(&key)?;
                id.map(|id| (self.locators.remove(&id), self.footers.remove(&id)));
            }
        }
        Ok(())
    }

    /// Memory that locators and footers take, in bytes.
    pub(crate) fn memory_bytes(&self) -> (u64, u64) {
        (self.locators.weight(), self.footers.weight())
    }

    async fn bytes(&self, entry: &BlockEntry, part: Part) -> Result<Bytes, Error> {
        // A version 1 block has one range for both.
        let part = if entry.footer_offset.is_none() { Part::Footer } else { part };
        if let Some(copy) = self.db.block_index(&key(entry.id, part))? {
            return Ok(Bytes::from(copy));
        }
        let end = fetch(&*self.objects, entry).await?;
        self.put(entry, &end)?;
        part_of(entry, part, &end)
    }
}

/// All that lies behind a block's row groups, as it was written.
pub(crate) async fn fetch(objects: &dyn ObjectStore, entry: &BlockEntry) -> Result<Bytes, Error> {
    let (path, place) = (Path::from(entry.path.as_str()), entry.index_offset..entry.bytes);
    let end = objects.get_range(&path, place.clone()).await?;
    // The copy is never looked at again, so it must be right.
    let end = complete::check_answer(&path, entry.bytes - entry.index_offset, end)?;
    if let Some(written) = entry.index_crc32 {
        checksum::verify(entry, place, &end, written)?;
    }
    Ok(end)
}

/// Reads both parts of what [`fetch`] got.
pub(crate) fn parse(entry: &BlockEntry, end: &Bytes) -> Result<(Locator, Footer), Error> {
    let part = |part| part_of(entry, if entry.footer_offset.is_none() { Part::Footer } else { part }, end);
    Ok((parse_locator(entry, part(Part::Locator)?)?, parse_footer(entry, part(Part::Footer)?)?))
}

fn parse_locator(entry: &BlockEntry, bytes: Bytes) -> Result<Locator, Error> {
    match entry.footer_offset {
        Some(_) => Locator::parse(bytes),
        None => locator_of_version_1(entry, bytes),
    }
}

fn parse_footer(entry: &BlockEntry, bytes: Bytes) -> Result<Footer, Error> {
    Footer::parse(entry, entry.footer_offset.unwrap_or(entry.index_offset), bytes)
}

fn part_of(entry: &BlockEntry, part: Part, end: &Bytes) -> Result<Bytes, Error> {
    cut(entry, part, end).ok_or_else(|| Error::Corrupt {
        what: format!("the manifest's entry of block {}", entry.id),
        why: "the footer lies outside of the file".to_owned(),
    })
}

/// A part out of all that lies behind the row groups.
fn cut(entry: &BlockEntry, part: Part, end: &Bytes) -> Option<Bytes> {
    let Some(footer_offset) = entry.footer_offset else { return (part == Part::Footer).then(|| end.clone()) };
    let middle = usize::try_from(footer_offset.checked_sub(entry.index_offset)?).ok()?;
    let range = match part {
        Part::Locator => 0..middle,
        Part::Footer => middle..end.len(),
    };
    (range.start <= range.end && range.end <= end.len()).then(|| end.slice(range))
}

fn key(id: BlockId, part: Part) -> String {
    let letter = match part {
        Part::Locator => 'l',
        Part::Footer => 'f',
    };
    format!("{letter}{id}")
}
