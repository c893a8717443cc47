//! The one way to ask: hot and cold as a single set of spans, each span once.
//!
//! Every question waits until the columns have what was acknowledged before it, takes one [`View`] and answers from it, so that a window on its way to the cold tier is neither
//! missed nor seen twice. Callers cannot tell which tier a span is in.

mod fold;
pub mod request;
mod rollups;
mod scan;
mod search;
mod spilled;
#[cfg(test)]
mod tests;
mod trace;

use std::sync::Arc;

use model::Span;
use object_store::ObjectStore;
use proto::TraceId;
pub use request::*;
pub(crate) use trace::batches_of;

use crate::Error;
use crate::clock::Clock;
use crate::cold::catalog::Catalog;
use crate::cold::{BlockEntry, BlockIndexes, encode};
use crate::inspect::Inspector;
use crate::metrics::Metrics;
use crate::progress::Progress;
use crate::retention::{DryRun, Retention, RetentionReport};
use crate::view::{View, Views};

/// Asks the store. Cheap to clone; cannot write.
#[derive(Clone)]
pub struct Reader {
    shared: Arc<Shared>,
}

/// What a [`Reader`] works with.
pub(crate) struct Shared {
    pub(crate) views: Arc<Views>,
    pub(crate) objects: Arc<dyn ObjectStore>,
    pub(crate) indexes: Arc<BlockIndexes>,
    /// This node among the writers of the bucket.
    pub(crate) writer: String,
    pub(crate) progress: Progress,
    pub(crate) retention: Arc<Retention>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
}

impl Reader {
    pub(crate) fn new(parts: Shared) -> Self {
        Self { shared: Arc::new(parts) }
    }

    /// A look at what is where, for whoever runs the store.
    #[must_use]
    pub fn inspector(&self) -> Inspector {
        Inspector::new(Arc::clone(&self.shared))
    }

    /// For tests of other modules.
    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
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

    /// How many spans there were and how long they took, by service, name, kind and root, over all that was ever received: what
    /// retention dropped is counted too. A span that was sent twice counts once when both came in one window, else twice.
    ///
    /// # Errors
    /// When a tier cannot be read.
    pub async fn rollups(&self, request: &RollupRequest) -> Result<Rollups, Error> {
        self.shared.progress.catch_up().await;
        self.shared.rollups(request).await
    }

    /// All services, by name. A span that was sent twice, in two windows, counts twice here, and spans of deleted traces count
    /// until their block is rewritten.
    ///
    /// # Errors
    /// When a tier cannot be read.
    pub async fn services(&self) -> Result<Vec<ServiceSummary>, Error> {
        self.shared.progress.catch_up().await;
        let view = self.shared.views.load();
        let mut catalog = Catalog::default();
        for window in &view.live {
            let columns = window.read();
            let stays = |row: &usize| !view.deleted.contains(columns.traces.id_of_row(*row));
            catalog.merge(&match view.deleted.is_empty() {
                true => encode::catalog(&columns, 0..columns.len()),
                false => encode::catalog(&columns, (0..columns.len()).filter(stays)),
            });
        }
        catalog.merge(&spilled::catalog(&view.spilled).await?);
        for block in blocks(&view) {
            catalog.merge(&self.shared.indexes.footer(block).await?.catalog);
        }
        Ok(catalog.into_summaries())
    }

    /// The retention rules in force, and what each did with spans since the store was opened.
    #[must_use]
    pub fn retention(&self) -> RetentionReport {
        self.shared.retention.report()
    }

    /// What the retention rules would do now with the blocks that were received in the last `back_nanos` nanoseconds.
    ///
    /// # Errors
    /// When the cold tier cannot be read.
    pub async fn retention_dry_run(&self, back_nanos: i64) -> Result<DryRun, Error> {
        let shared = &self.shared;
        let now = shared.clock.now();
        let since = now.saturating_add(back_nanos.saturating_neg());
        shared.retention.dry_run(&shared.views.load(), &shared.objects, &shared.indexes, since, now).await
    }
}

/// All blocks of a view, of every writer.
fn blocks(view: &View) -> impl Iterator<Item = &Arc<BlockEntry>> {
    view.manifests.values().flat_map(|manifest| &manifest.blocks)
}
