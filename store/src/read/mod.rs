//! The one way to ask: hot and cold as a single set of spans, each span once.
//!
//! Every question waits until the columns have what was acknowledged before it, takes one [`View`] and answers from it, so that a window on its way to the cold tier is neither
//! missed nor seen twice. Callers cannot tell which tier a span is in.

mod fold;
pub mod request;
mod scan;
mod search;
#[cfg(test)]
pub(crate) mod tests;
mod trace;

use std::sync::Arc;

use model::Span;
use object_store::ObjectStore;
use proto::TraceId;
pub use request::*;

use crate::Error;
use crate::cold::catalog::Catalog;
use crate::cold::{BlockEntry, BlockIndexes, encode};
use crate::manifest::Editor;
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
    /// Knows when other nodes have replaced blocks.
    editor: Arc<Editor>,
    /// This node among the writers of the bucket.
    writer: String,
    progress: Progress,
}

impl Reader {
    pub(crate) fn new(
        views: Arc<Views>,
        objects: Arc<dyn ObjectStore>,
        indexes: Arc<BlockIndexes>,
        editor: Arc<Editor>,
        writer: String,
        progress: Progress,
    ) -> Self {
        Self { shared: Arc::new(Shared { views, objects, indexes, editor, writer, progress }) }
    }

    /// Every span of a trace, each once (of two with the same id the later end wins), by start; empty when unknown.
    ///
    /// # Errors
    /// When a tier cannot be read.
    pub async fn trace(&self, id: TraceId) -> Result<Vec<Span>, Error> {
        self.shared.progress.catch_up().await;
        let view = self.shared.views.load();
        match self.shared.trace(&view, id).await {
            Err(error) => {
                let view = self.shared.after(error).await?;
                self.shared.trace(&view, id).await
            }
            answer => answer,
        }
    }

    /// What is asked now.
    #[cfg(test)]
    pub(crate) fn view(&self) -> Arc<View> {
        self.shared.views.load()
    }

    /// The traces that match, in exact order.
    ///
    /// # Errors
    /// When a tier cannot be read.
    pub async fn search(&self, request: &SearchRequest) -> Result<SearchResult, Error> {
        self.shared.progress.catch_up().await;
        let view = self.shared.views.load();
        match self.shared.search(&view, request).await {
            Err(error) => {
                let view = self.shared.after(error).await?;
                self.shared.search(&view, request).await
            }
            answer => answer,
        }
    }

    /// All services, by name. A span that was sent twice, in two windows, counts twice here.
    ///
    /// # Errors
    /// When a tier cannot be read.
    pub async fn services(&self) -> Result<Vec<ServiceSummary>, Error> {
        self.shared.progress.catch_up().await;
        let view = self.shared.views.load();
        match self.shared.services(&view).await {
            Err(error) => {
                let view = self.shared.after(error).await?;
                self.shared.services(&view).await
            }
            answer => answer,
        }
    }
}

impl Shared {
    /// The view with which to ask once more, when `error` says that a block is gone: it was merged, or left by age,
    /// longer ago than [`crate::Settings::orphan_grace`].
    async fn after(&self, error: Error) -> Result<Arc<View>, Error> {
        let Error::Cold(cause) = &error else { return Err(error) };
        let object_store::Error::NotFound { path, .. } = &**cause else { return Err(error) };
        self.editor.refresh().await?;
        let newer = self.views.load();
        if blocks(&newer).any(|block| path.ends_with(&block.path)) {
            let why = "the manifest names it, and the object store does not have it".to_owned();
            return Err(Error::Corrupt { what: format!("block {path}"), why });
        }
        Ok(newer)
    }

    async fn services(&self, view: &View) -> Result<Vec<ServiceSummary>, Error> {
        let mut catalog = Catalog::default();
        for window in &view.live {
            let columns = window.read();
            catalog.merge(&encode::catalog(&columns, 0..columns.len()));
        }
        for block in blocks(view) {
            catalog.merge(&self.indexes.footer(block).await?.catalog);
        }
        Ok(catalog.into_summaries())
    }
}

/// All blocks of a view, of every writer.
fn blocks(view: &View) -> impl Iterator<Item = &Arc<BlockEntry>> {
    view.manifests.values().flat_map(|manifest| &manifest.blocks)
}
