//! All spans of one trace.

use futures::stream::{StreamExt, TryStreamExt};
use model::Span;
use proto::TraceId;

use super::Shared;
use crate::cold::{BlockEntry, reader};
use crate::hot::keys::BatchNumber;
use crate::hot::{HotWindow, index, lookup};
use crate::view::View;
use crate::{Error, convert};

/// Blocks that are asked at the same time.
const BLOCKS_AT_ONCE: usize = 8;

impl Shared {
    pub(super) async fn trace(&self, view: &std::sync::Arc<View>, trace_id: TraceId) -> Result<Vec<Span>, Error> {
        if view.deleted.contains(trace_id) {
            return Ok(Vec::new());
        }
        let hot = std::sync::Arc::clone(view);
        let from_hot = tokio::task::spawn_blocking(move || hot_spans(&hot, trace_id));
        let mut spans = from_hot.await.map_err(|error| Error::Block(format!("reading the hot tier: {error}")))??;
        self.metrics.count_lookup("hot", !spans.is_empty());

        // Futures made in a loop: made by a closure they are not provably `Send`, and no server could run them.
        let mut reads = Vec::new();
        for manifest in view.manifests.values() {
            for block in &manifest.blocks {
                if self.is_needed(view, &manifest.writer, block, trace_id) {
                    reads.push(self.spans_in_block(block, trace_id));
                }
            }
        }
        let asks_cold = !reads.is_empty();
        // In order: of two rows of a span that end together the earlier block's counts, as it does when they are merged.
        let from_cold: Vec<Vec<Span>> = futures::stream::iter(reads).buffered(BLOCKS_AT_ONCE).try_collect().await?;
        if asks_cold {
            self.metrics.count_lookup("cold", from_cold.iter().any(|spans| !spans.is_empty()));
        }
        spans.extend(from_cold.into_iter().flatten());
        Ok(each_once(spans))
    }

    /// All spans of a trace, if no block has to be read for them; those that are in columns come from there, see
    /// [`crate::window::spans`].
    pub(crate) fn trace_in_hot(&self, view: &View, trace_id: TraceId) -> Result<Option<Vec<Span>>, Error> {
        if view.deleted.contains(trace_id) {
            return Ok(Some(Vec::new()));
        }
        let mut blocks =
            view.manifests.values().flat_map(|manifest| manifest.blocks.iter().map(|it| (&manifest.writer, it)));
        if blocks.any(|(writer, block)| self.is_needed(view, writer, block, trace_id)) {
            return Ok(None);
        }
        let mut spans = Vec::new();
        for window in &view.hot {
            match view.live.iter().find(|live| live.hot.id == window.id).map(|live| live.read()) {
                Some(columns) => {
                    let trace = columns.traces.find(trace_id);
                    spans.extend(trace.map_or_else(|| Ok(Vec::new()), |trace| columns.spans_of(trace))?);
                }
                None => add_as_sent(view, window, trace_id, &mut spans)?,
            }
        }
        Ok(Some(each_once(spans)))
    }

    async fn spans_in_block(&self, block: &BlockEntry, trace_id: TraceId) -> Result<Vec<Span>, Error> {
        let row_groups = self.indexes.locator(block).await?.row_groups_of(trace_id);
        if row_groups.is_empty() {
            return Ok(Vec::new());
        }
        let footer = self.indexes.footer(block).await?;
        reader::spans_of_trace(&self.objects, block, footer, row_groups, trace_id).await
    }

    /// Whether a block may have spans of a trace that the hot tier does not have.
    fn is_needed(&self, view: &View, writer: &str, block: &BlockEntry, trace_id: TraceId) -> bool {
        may_have(block, trace_id) && !self.is_still_hot(view, writer, block)
    }

    /// Whether the hot tier still has all that a block has, so that the block need not be read.
    fn is_still_hot(&self, view: &View, writer: &str, block: &BlockEntry) -> bool {
        let has = |id: &u64| view.hot.binary_search_by_key(id, |window| window.id).is_ok();
        writer == self.writer && !block.windows.is_empty() && block.windows.iter().all(has)
    }
}

fn may_have(block: &BlockEntry, trace_id: TraceId) -> bool {
    block.trace_id_min <= trace_id && trace_id <= block.trace_id_max
}

fn hot_spans(view: &View, trace_id: TraceId) -> Result<Vec<Span>, Error> {
    let mut spans = Vec::new();
    for window in &view.hot {
        add_as_sent(view, window, trace_id, &mut spans)?;
    }
    Ok(spans)
}

/// Adds what a window's batches have of a trace.
fn add_as_sent(view: &View, window: &HotWindow, trace_id: TraceId, spans: &mut Vec<Span>) -> Result<(), Error> {
    for request in lookup::batches(window, &batches_of(view, window, trace_id)?)? {
        convert::spans_of_trace(&request, trace_id, spans);
    }
    Ok(())
}

/// The batches of a window that have spans of a trace.
pub(crate) fn batches_of(view: &View, window: &HotWindow, trace_id: TraceId) -> Result<Vec<BatchNumber>, Error> {
    if let Some(live) = view.live.iter().find(|live| live.hot.id == window.id) {
        let columns = live.read();
        return Ok(columns.traces.find(trace_id).map_or_else(Vec::new, |trace| columns.batches_of(trace)));
    }
    window.filter().map_or_else(|| Ok(Vec::new()), |filter| index::batches_of(window, filter, trace_id))
}

/// Of spans with the same id the one that ends last; by start.
pub(super) fn each_once(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by_key(|span| (span.span_id, std::cmp::Reverse(span.end)));
    spans.dedup_by_key(|span| span.span_id);
    spans.sort_by_key(|span| (span.start, span.span_id));
    spans
}
