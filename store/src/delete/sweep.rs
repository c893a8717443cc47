//! Forgets deletes that have nothing left to hide.

use std::collections::BTreeSet;
use std::sync::Arc;

use proto::{TraceId, UnixNanos};

use super::Delete;
use crate::Error;
use crate::cold::{BlockIndexes, filter};
use crate::manifest::Editor;
use crate::points::Point;
use crate::view::{View, Views};

/// How long a delete stands at least, in nanoseconds: longer than spans of its trace are on their way here, or in another node's
/// window that was cut before that node knew.
const STANDS_MIN_NANOS: i64 = 3_600 * 1_000_000_000;

/// Forgets deletes of this writer.
pub(crate) struct Sweeper {
    pub(crate) editor: Arc<Editor>,
    pub(crate) views: Arc<Views>,
    pub(crate) indexes: Arc<BlockIndexes>,
    pub(crate) writer: String,
}

impl Sweeper {
    /// Forgets what can be forgotten now.
    ///
    /// # Errors
    /// When the object store does not answer.
    pub(crate) async fn sweep(&self, now: UnixNanos) -> Result<(), Error> {
        let view = self.views.load();
        let Some(own) = view.manifests.get(&self.writer) else { return Ok(()) };
        let old = old(&own.deletes, now);
        if old.is_empty() {
            return Ok(());
        }
        let mut there = in_hot_tier(&view, &old);
        for block in view.manifests.values().flat_map(|manifest| &manifest.blocks) {
            let mut near = old.range(block.trace_id_min..=block.trace_id_max.max(block.trace_id_min)).peekable();
            if near.peek().is_some() {
                let locator = self.indexes.locator(block).await?;
                there.extend(near.filter(|id| !locator.row_groups_of(**id).is_empty()));
            }
        }
        let gone: BTreeSet<TraceId> = old.difference(&there).copied().collect();
        if gone.is_empty() {
            return Ok(());
        }
        tracing::info!(traces = gone.len(), "deleted traces are gone from all blocks");
        self.editor.edit(|manifest| manifest.without_deletes(&gone), |_| {}, Point::DeletesCommitted).await?;
        Ok(())
    }
}

/// The traces whose delete has stood long enough.
fn old(deletes: &[Arc<Delete>], now: UnixNanos) -> BTreeSet<TraceId> {
    let is_old = |delete: &&Arc<Delete>| now.nanos_since(UnixNanos::from_i64(delete.at)) >= STANDS_MIN_NANOS;
    deletes.iter().filter(is_old).flat_map(|delete| delete.traces.iter().copied()).collect()
}

/// Which of them some window may have.
fn in_hot_tier(view: &View, ids: &BTreeSet<TraceId>) -> BTreeSet<TraceId> {
    let mut there = BTreeSet::new();
    for live in &view.live {
        let columns = live.read();
        there.extend(ids.iter().filter(|id| columns.traces.find(**id).is_some()));
    }
    for window in &view.hot {
        let is_live = view.live.iter().any(|live| live.hot.id == window.id);
        match window.filter() {
            _ if is_live => {}
            Some(traces) => there.extend(ids.iter().filter(|id| traces.may_have(filter::hash(**id)))),
            None => there.extend(ids),
        }
    }
    there
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stood_long_enough_is_looked_at() {
        let id = |number: u8| TraceId::from_bytes(&[number; 16]).expect("not zero");
        let delete = |at: i64, number: u8| Arc::new(Delete { at, traces: vec![id(number)] });
        let deletes = [delete(0, 1), delete(1, 2), delete(STANDS_MIN_NANOS * 2, 3)];
        assert_eq!(old(&deletes, UnixNanos::from_i64(STANDS_MIN_NANOS)), [id(1)].into());
        assert_eq!(old(&deletes, UnixNanos::from_i64(STANDS_MIN_NANOS + 1)), [id(1), id(2)].into());
    }
}
