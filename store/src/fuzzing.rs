//! What the fuzz targets in `fuzz/` call: the parts of the store that read what an object store gave back.
//!
//! No part of the crate's interface; it may change with any commit.

use std::sync::Arc;

use bytes::Bytes;
use model::Span;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use proto::{CheckedRequest, TraceId};

use crate::cold::index::BlockIndex;
use crate::cold::{BlockEntry, BlockId, encode, paths, reader};
use crate::window::Columns;
use crate::{Error, Manifest, convert, manifest};

/// Reads the JSON of a manifest.
///
/// # Errors
/// When it is not one.
pub fn manifest(json: &[u8]) -> Result<Manifest, Error> {
    manifest::commit::parse(&paths::manifest("fuzz", 1), json)
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
        columns.push_request(request);
        let block = encode::encode(&columns)?.ok_or_else(|| Error::Block("no span to encode".to_owned()))?;
        let id = BlockId::generate();
        let entry = BlockEntry {
            id,
            path: paths::block(id, block.start_min).to_string(),
            bytes: block.bytes.len() as u64,
            index_offset: block.index_offset,
            windows: vec![1],
            spans: block.spans,
            traces: block.traces,
            start_min: block.start_min,
            start_max: block.start_max,
            trace_id_min: block.trace_id_min,
            trace_id_max: block.trace_id_max,
        };
        Ok(Self { entry, bytes: block.bytes })
    }

    /// Reads it as a query does on a node that has never seen it: the index, the spans of each trace, the columns of a
    /// search. Wants a tokio runtime.
    ///
    /// # Errors
    /// When it is damaged.
    pub async fn read(&self, trace_ids: &[TraceId]) -> Result<Vec<Span>, Error> {
        let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let path = Path::from(self.entry.path.as_str());
        objects.put(&path, Bytes::copy_from_slice(&self.bytes).into()).await?;
        let end = objects.get_range(&path, self.entry.index_offset..self.entry.bytes).await?;
        let index = Arc::new(BlockIndex::parse(&self.entry, end)?);
        let mut spans = Vec::new();
        for trace_id in trace_ids {
            spans.extend(reader::spans_of_trace(&objects, &self.entry, Arc::clone(&index), *trace_id).await?);
        }
        reader::search_columns(&objects, &self.entry, index).await?;
        Ok(spans)
    }
}

/// The spans of one trace in a request, in the form and order in which [`Block::read`] gives them.
#[must_use]
pub fn spans(request: &CheckedRequest, trace_id: TraceId) -> Vec<Span> {
    let mut spans = Vec::new();
    convert::spans_of_trace(request.bytes(), trace_id, &mut spans);
    spans.sort_by_key(|span| (span.start, span.span_id));
    spans
}
