//! The one way to ask: hot and cold as a single set of spans, each span once.
//!
//! Every question waits until the columns have what was acknowledged before it, takes one [`View`] and answers from it, so that a window on its way to the cold tier is neither
//! missed nor seen twice. Callers cannot tell which tier a span is in.

mod fold;
pub mod request;
mod scan;
mod search;
#[cfg(test)]
mod tests;
mod trace;

use std::sync::Arc;

use model::Span;
use object_store::ObjectStore;
use proto::TraceId;
pub use request::*;

use crate::Error;
use crate::cold::catalog::Catalog;
use crate::cold::{BlockEntry, BlockIndexes, encode};
use crate::progress::Progress;
use crate::view::{View, Views};

/// Asks the store. Cheap to clone; cannot write.
#[derive(Clone)]
pub struct Reader {
    shared: Arc<Shared>,
}

struct Shared {
    views: Arc<Views>,
    objects: Arc<dyn ObjectStore>,
    indexes: Arc<BlockIndexes>,
    /// This node among the writers of the bucket.
    writer: String,
    progress: Progress,
}

impl Reader {
    pub(crate) fn new(
        views: Arc<Views>,
        objects: Arc<dyn ObjectStore>,
        indexes: Arc<BlockIndexes>,
        writer: String,
        progress: Progress,
    ) -> Self {
        Self { shared: Arc::new(Shared { views, objects, indexes, writer, progress }) }
    }

    /// Every span of a trace, each once (of two with the same id the later end wins), by start; empty when unknown.
    ///
    /// # Errors
    /// When a tier cannot be read.
    pub async fn trace(&self, id: TraceId) -> Result<Vec<Span>, Error> {
        self.shared.progress.catch_up().await;
        self.shared.trace(&self.shared.views.load(), id).await
    }

    /// The traces that match, in exact order.
    ///
    /// # Errors
    /// When a tier cannot be read.
    pub async fn search(&self, request: &SearchRequest) -> Result<SearchResult, Error> {
        self.shared.progress.catch_up().await;
        self.shared.search(request).await
    }

    /// All services, by name. A span that was sent twice, in two windows, counts twice here.
    ///
    /// # Errors
    /// When a tier cannot be read.
    pub async fn services(&self) -> Result<Vec<ServiceSummary>, Error> {
        self.shared.progress.catch_up().await;
        let view = self.shared.views.load();
        let mut catalog = Catalog::default();
        for window in &view.live {
            let columns = window.read();
            catalog.merge(&encode::catalog(&columns, 0..columns.len()));
        }
        for block in blocks(&view) {
            catalog.merge(&self.shared.indexes.footer(block).await?.catalog);
        }
        Ok(catalog.into_summaries())
    }
}

/// All blocks of a view, of every writer.
fn blocks(view: &View) -> impl Iterator<Item = &Arc<BlockEntry>> {
    view.manifests.values().flat_map(|manifest| &manifest.blocks)
}
