//! Deletes traces: hidden from every question at once, gone from the object store when their blocks are next rewritten.
//!
//! | step | a crash after it leaves |
//! |---|---|
//! | 1. commit a manifest that names the traces | them deleted, for all nodes |
//! | 2. swap the view | the same |
//! | 3. later: blocks are rewritten without them, windows retired | fewer of their bytes |
//! | 4. nothing may have them any more: forget the delete | nothing to clean up |
//!
//! Owns what a delete is and when it is forgotten; never touches a block or a window itself.

mod record;
mod sweep;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use proto::TraceId;

use crate::Error;
use crate::clock::Clock;
use crate::manifest::Editor;
use crate::points::Point;
use crate::view::Views;

pub use record::Delete;
pub(crate) use record::DeletedTraces;
pub(crate) use sweep::Sweeper;

/// Deletes that may stand at one time, of one writer. Each takes 35 bytes in every manifest until all of its spans are gone.
pub const DELETED_TRACES_MAX: usize = 20_000;

/// What came of a delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Traces that are hidden from now on and were not before.
    pub deleted: usize,
}

/// Deletes traces. Cheap to clone; can neither write nor read spans.
#[derive(Clone)]
pub struct Deleter {
    editor: Arc<Editor>,
    views: Arc<Views>,
    clock: Arc<dyn Clock>,
}

impl Deleter {
    pub(crate) fn new(editor: Arc<Editor>, views: Arc<Views>, clock: Arc<dyn Clock>) -> Self {
        Self { editor, views, clock }
    }

    /// Deletes traces, whatever this or another node has of them. When this returns `Ok`, no question that is asked of this node
    /// finds them, nor after any crash; other nodes follow when they next read the manifests ([`crate::Settings::manifest_refresh`]).
    /// Spans of them that still arrive are hidden too, for an hour at least.
    ///
    /// Goes on when the caller stops waiting for it.
    ///
    /// # Errors
    /// When too many deletes stand, or the object store does not answer; then it is not known whether they are deleted, and
    /// deleting them again is harmless.
    pub async fn delete_traces(&self, ids: &[TraceId]) -> Result<Receipt, Error> {
        let this = self.clone();
        let ids: Arc<[TraceId]> = ids.into();
        // A commit that is given up half-way would leave open whether it counts.
        let work = tokio::spawn(async move { this.commit(&ids).await });
        work.await.map_err(|error| Error::Block(format!("deleting traces: {error}")))?
    }

    async fn commit(&self, ids: &[TraceId]) -> Result<Receipt, Error> {
        let standing = |deleted: &DeletedTraces| ids.iter().filter(|id| deleted.contains(**id)).count();
        let used = {
            let manifest = self.editor.current().await?;
            let standing: usize = manifest.deletes.iter().map(|delete| delete.traces.len()).sum();
            (standing + ids.len()) as u64
        };
        if used > DELETED_TRACES_MAX as u64 {
            return Err(Error::TooManyDeletes { used, allowed: DELETED_TRACES_MAX as u64 });
        }
        let known = standing(&self.views.load().deleted);
        let now = self.clock.now().as_i64();
        self.editor.edit(|manifest| manifest.with_deletes(ids, now), |_| {}, Point::DeletesCommitted).await?;
        Ok(Receipt { deleted: standing(&self.views.load().deleted).saturating_sub(known) })
    }
}
