//! What the fuzz targets in `fuzz/` call: the parts of the store that read what a disk or an object store gave back.
//!
//! No part of the crate's interface; it may change with any commit.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use model::Span;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use proto::{CheckedRequest, TraceId};

use crate::cold::locator::Locator;
use crate::cold::sieve::Everything;
use crate::cold::{BlockEntry, BlockId, Origin, encode, index, paths, reader};
use crate::hot::value;
use crate::window::Columns;
use crate::{Error, Manifest, convert, manifest};

/// Reads the JSON of a manifest.
///
/// # Errors
/// When it is not one.
pub fn manifest(json: &[u8]) -> Result<Manifest, Error> {
    let parsed = manifest::commit::parse(&paths::manifest("fuzz", 1), json)?;
    parsed.ok_or_else(|| Error::Corrupt { what: "a manifest".to_owned(), why: "it is cut off".to_owned() })
}

/// A batch as the hot tier keeps it.
///
/// # Errors
/// When there is no memory for the compression.
pub fn pack_batch(request: &CheckedRequest) -> Result<Vec<u8>, Error> {
    Ok(value::encode(request.bytes(), None)?.value)
}

/// The request of a batch of the hot tier.
///
/// # Errors
/// When it is damaged.
pub fn unpack_batch(value: &[u8]) -> Result<Vec<u8>, Error> {
    value::decode(value, |_| Err(Error::Block("there are no dictionaries".to_owned())))
}

/// The spans of one trace in a request, in the form and order in which [`Block::read`] gives them.
#[must_use]
pub fn spans(request: &CheckedRequest, trace_id: TraceId) -> Vec<Span> {
    let mut spans = Vec::new();
    convert::spans_of_trace(request.bytes(), trace_id, &mut spans);
    spans.sort_by_key(|span| (span.start, span.span_id));
    spans
}

/// The row groups that a block's locator names for a trace.
///
/// # Errors
/// When it is damaged.
pub fn locate(locator: &[u8], trace_id: TraceId) -> Result<Range<usize>, Error> {
    Ok(Locator::parse(Bytes::copy_from_slice(locator))?.row_groups_of(trace_id))
}

/// A block, and what the manifest says about it.
#[derive(Debug, Clone)]
pub struct Block {
    /// The manifest's word.
    pub entry: BlockEntry,
    /// The object.
    pub bytes: Vec<u8>,
}

impl Block {
    /// Encodes the spans of a request.
    ///
    /// # Errors
    /// When there are none.
    pub fn encode(request: &CheckedRequest) -> Result<Self, Error> {
        let mut columns = Columns::default();
        columns.push_batch(1, request.bytes());
        let order = encode::order(&columns);
        let block = encode::encode(&columns, &order, &mut Everything)?
            .ok_or_else(|| Error::Block("no span to encode".to_owned()))?;
        let origin = Origin { writer: BlockId::generate().to_string(), epoch: 1 };
        let (entry, bytes) = BlockEntry::of_new(&origin, block, vec![1]);
        Ok(Self { entry, bytes: bytes.to_vec() })
    }

    /// Reads it as queries do on a node that has never seen it: the index, the spans of each trace, the columns of a
    /// search. Wants a tokio runtime.
    ///
    /// # Errors
    /// When it is damaged.
    pub async fn read(&self, trace_ids: &[TraceId]) -> Result<Vec<Span>, Error> {
        let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let path = Path::from(self.entry.path.as_str());
        objects.put(&path, Bytes::copy_from_slice(&self.bytes).into()).await?;
        let (locator, footer) = index::parse(&self.entry, &index::fetch(&*objects, &self.entry).await?)?;
        let footer = Arc::new(footer);
        let mut spans = Vec::new();
        for trace_id in trace_ids {
            let rows = locator.row_groups_of(*trace_id);
            spans.extend(reader::spans_of_trace(&objects, &self.entry, Arc::clone(&footer), rows, *trace_id).await?);
        }
        reader::search_columns(&objects, &self.entry, footer).await?;
        Ok(spans)
    }
}
