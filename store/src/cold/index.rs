//! What is known of a block without reading its spans: footer, fences and filters of its row groups, catalog.
//!
//! The bytes behind [`BlockEntry::index_offset`] hold all of it. A copy is kept in the hot tier's database, parsed ones
//! in memory; both are rebuilt from the block with one ranged GET, so nothing here needs to be durable.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::statistics::Statistics;
use proto::TraceId;

use super::block::BlockEntry;
use super::catalog::Catalog;
use super::chunks::Chunks;
use super::schema;
use crate::Error;
use crate::hot::HotDb;

/// Memory for parsed indexes; what does not fit is parsed again from the local copy.
const INDEX_CACHE_BYTES: u64 = 32 << 20;

/// A parsed index takes about this many times its bytes in the file.
const PARSED_BYTES_PER_BYTE: u64 = 4;

/// A block's index.
pub(crate) struct BlockIndex {
    pub(crate) metadata: ArrowReaderMetadata,
    pub(crate) catalog: Catalog,
    row_groups: Vec<RowGroupIndex>,
}

struct RowGroupIndex {
    first: TraceId,
    last: TraceId,
    filter: Option<Sbbf>,
}

impl BlockIndex {
    /// Reads the end of a block's file, from [`BlockEntry::index_offset`] on.
    pub(crate) fn parse(entry: &BlockEntry, end: Bytes) -> Result<Self, Error> {
        let chunks = Chunks::new(entry.bytes, vec![(entry.index_offset, end)]);
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&chunks)?;
        let format = key_value(&metadata, schema::FORMAT_KEY);
        if format.as_deref() != Some(schema::FORMAT_VERSION) {
            let why = format!("format version {format:?}, this program reads {}", schema::FORMAT_VERSION);
            return Err(Error::Corrupt { what: format!("block {}", entry.id), why });
        }
        let catalog = key_value(&metadata, schema::CATALOG_KEY).unwrap_or_default();
        let catalog = serde_json::from_str(&catalog).map_err(|error| Error::Corrupt {
            what: format!("catalog of block {}", entry.id),
            why: error.to_string(),
        })?;
        let row_groups = metadata
            .row_groups()
            .iter()
            .map(|row_group| {
                let column = row_group.column(0);
                let (first, last) = fences(column.statistics()).ok_or_else(|| Error::Corrupt {
                    what: format!("block {}", entry.id),
                    why: "a row group has no trace id range".to_owned(),
                })?;
                Ok(RowGroupIndex { first, last, filter: Sbbf::read_from_column_chunk(column, &chunks)? })
            })
            .collect::<Result<_, Error>>()?;
        Ok(Self { metadata: with_dictionaries(Arc::new(metadata))?, catalog, row_groups })
    }

    /// The row groups that may have spans of a trace; consecutive, usually none or one.
    pub(crate) fn row_groups_of(&self, trace_id: TraceId) -> Vec<usize> {
        let candidates = self.row_groups.iter().enumerate().filter(|(_, row_group)| {
            row_group.first <= trace_id
                && trace_id <= row_group.last
                && row_group.filter.as_ref().is_none_or(|filter| filter.check(&trace_id.as_bytes()[..]))
        });
        candidates.map(|(number, _)| number).collect()
    }
}

fn key_value(metadata: &ParquetMetaData, key: &str) -> Option<String> {
    let pairs = metadata.file_metadata().key_value_metadata()?;
    pairs.iter().find(|pair| pair.key == key)?.value.clone()
}

fn fences(statistics: Option<&Statistics>) -> Option<(TraceId, TraceId)> {
    let statistics = statistics?;
    let first = TraceId::from_bytes(statistics.min_bytes_opt()?).ok()?;
    let last = TraceId::from_bytes(statistics.max_bytes_opt()?).ok()?;
    Some((first, last))
}

/// Has [`schema::DICTIONARY_COLUMNS`] read as dictionaries.
fn with_dictionaries(metadata: Arc<ParquetMetaData>) -> Result<ArrowReaderMetadata, Error> {
    let plain = ArrowReaderMetadata::try_new(Arc::clone(&metadata), ArrowReaderOptions::new())?;
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let fields: Vec<Field> = plain
        .schema()
        .fields()
        .iter()
        .map(|field| {
            let field = field.as_ref().clone();
            if schema::DICTIONARY_COLUMNS.contains(&field.name().as_str()) {
                field.with_data_type(dictionary.clone())
            } else {
                field
            }
        })
        .collect();
    let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields)));
    Ok(ArrowReaderMetadata::try_new(metadata, options)?)
}

/// Gets indexes: from memory, from the local copy, or from the block.
pub(crate) struct BlockIndexes {
    db: Arc<HotDb>,
    objects: Arc<dyn ObjectStore>,
    parsed: quick_cache::sync::Cache<super::BlockId, Arc<BlockIndex>, Weigher>,
}

#[derive(Clone)]
struct Weigher;

impl quick_cache::Weighter<super::BlockId, Arc<BlockIndex>> for Weigher {
    fn weight(&self, _: &super::BlockId, index: &Arc<BlockIndex>) -> u64 {
        index.metadata.metadata().memory_size() as u64 * PARSED_BYTES_PER_BYTE
    }
}

impl BlockIndexes {
    /// Over the database that keeps local copies, and the object store that has the blocks.
    pub(crate) fn new(db: Arc<HotDb>, objects: Arc<dyn ObjectStore>) -> Self {
        let parsed = quick_cache::sync::Cache::with_weighter(1_024, INDEX_CACHE_BYTES, Weigher);
        Self { db, objects, parsed }
    }

    /// The index of a block.
    pub(crate) async fn get(&self, entry: &BlockEntry) -> Result<Arc<BlockIndex>, Error> {
        if let Some(parsed) = self.parsed.get(&entry.id) {
            return Ok(parsed);
        }
        let end = match self.db.block_index(&entry.id.to_string())? {
            Some(copy) => Bytes::from(copy),
            None => {
                let path = object_store::path::Path::from(entry.path.as_str());
                let end = self.objects.get_range(&path, entry.index_offset..entry.bytes).await?;
                self.db.set_block_index(&entry.id.to_string(), &end)?;
                end
            }
        };
        let index = Arc::new(BlockIndex::parse(entry, end)?);
        self.parsed.insert(entry.id, Arc::clone(&index));
        Ok(index)
    }

    /// Keeps the index of a block that was just written.
    pub(crate) fn put(&self, entry: &BlockEntry, end: &[u8]) -> Result<(), Error> {
        self.db.set_block_index(&entry.id.to_string(), end)
    }
}
