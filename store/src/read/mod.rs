//! The one way to ask: hot and cold as a single set of spans, each span once.
//!
//! Every question waits until the columns have what was acknowledged before it, takes one [`View`] and answers from it, so that a window on its way to the cold tier is neither
//! missed nor seen twice. Callers cannot tell which tier a span is in.

mod files;
mod fold;
pub mod request;
mod rollups;
mod runs;
mod scan;
mod search;
mod spilled;
mod steps;
#[cfg(test)]
pub(crate) mod tests;
mod trace;

use std::sync::Arc;

use model::Span;
use model::rules::Rules;
use object_store::ObjectStore;
use proto::TraceId;
pub use request::*;
pub(crate) use trace::batches_of;

use crate::Error;
use crate::clock::Clock;
use crate::cold::catalog::Catalog;
use crate::cold::{BlockEntry, BlockIndexes, encode};
use crate::inspect::Inspector;
use crate::manifest::Editor;
use crate::metrics::Metrics;
use crate::progress::Progress;
use crate::retention::{DryRun, Retention, RetentionReport};
use crate::runs::RunTable;
use crate::steps::earlier::StepCounter;
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
    /// Knows when other nodes have replaced blocks.
    pub(crate) editor: Arc<Editor>,
    /// This node among the writers of the bucket.
    pub(crate) writer: String,
    pub(crate) progress: Progress,
    pub(crate) retention: Arc<Retention>,
    pub(crate) steps: Arc<StepCounter>,
    pub(crate) runs: Arc<RunTable>,
    pub(crate) rules: Rules,
    /// Whether there are rollups of steps: see [`crate::Settings::derive_operations`].
    pub(crate) derives_operations: bool,
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

    /// For what follows the spans.
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
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

    /// How many spans there were and how long they took, by service and name, over all that was ever received: what retention
    /// dropped is counted too. For spans that were sent twice see [`RollupRequest::root_only`].
    ///
    /// # Errors
    /// When a tier cannot be read.
    pub async fn rollups(&self, request: &RollupRequest) -> Result<Rollups, Error> {
        self.shared.progress.catch_up().await;
        let view = self.shared.views.load();
        match self.shared.rollups(&view, request).await {
            Err(error) => {
                let view = self.shared.after(error).await?;
                self.shared.rollups(&view, request).await
            }
            answer => answer,
        }
    }

    /// Where the time of operations goes, over all that was ever received: what retention dropped is counted too, and a span that
    /// was sent twice counts once.
    ///
    /// # Errors
    /// When a tier cannot be read.
    pub async fn steps(&self, request: &StepRequest) -> Result<Steps, Error> {
        self.shared.progress.catch_up().await;
        let view = self.shared.views.load();
        match self.shared.steps(&view, request, true).await {
            Err(error) => {
                let view = self.shared.after(error).await?;
                self.shared.steps(&view, request, true).await
            }
            answer => answer,
        }
    }

    /// All services, by name. A span that was sent twice, in two windows, counts twice here, and spans of deleted traces count
    /// until their block is rewritten.
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

impl Shared {
    /// The view with which to ask once more, when `error` says that an object is gone: it was merged, or left by age,
    /// longer ago than [`crate::Settings::orphan_grace`].
    async fn after(&self, error: Error) -> Result<Arc<View>, Error> {
        let Error::Cold(cause) = &error else { return Err(error) };
        let object_store::Error::NotFound { path, .. } = &**cause else { return Err(error) };
        self.editor.refresh().await?;
        let newer = self.views.load();
        if newer.manifests.values().flat_map(|manifest| manifest.objects()).any(|named| path.ends_with(named)) {
            let why = "the manifest names it, and the object store does not have it".to_owned();
            return Err(Error::Corrupt { what: format!("object {path}"), why });
        }
        Ok(newer)
    }

    async fn services(&self, view: &View) -> Result<Vec<ServiceSummary>, Error> {
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
