//! Deletes objects that no manifest names, when nobody can be reading them any more. See [`super`] for how they are told.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use proto::UnixNanos;

use super::worker::Merger;
use crate::Error;
use crate::cold::{BlockEntry, BlockId, Origin, paths};
use crate::points::Point;
use crate::view::View;

/// What is to be deleted, and when.
pub(super) struct Sweep {
    gone: Vec<Gone>,
    started: UnixNanos,
    /// Whether what earlier starts of the program left is known.
    has_looked_back: bool,
    /// When local copies of block indexes were last looked through.
    tidied: UnixNanos,
}

/// An object that the manifest does not name any more.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Gone {
    id: BlockId,
    path: String,
    since: UnixNanos,
}

impl Sweep {
    /// At a start of the program.
    pub(super) const fn new(now: UnixNanos) -> Self {
        Self { gone: Vec::new(), started: now, has_looked_back: false, tidied: now }
    }

    /// The manifest does not name these blocks since `now`, and never will again.
    pub(super) fn add<'a>(&mut self, blocks: impl IntoIterator<Item = &'a Arc<BlockEntry>>, now: UnixNanos) {
        self.gone.extend(blocks.into_iter().map(|block| Gone { id: block.id, path: block.path.clone(), since: now }));
    }

    /// Takes out what has been gone for `grace`.
    fn take_due(&mut self, now: UnixNanos, grace: Duration) -> Vec<Gone> {
        self.gone.extract_if(.., |gone| is_over(gone.since, now, grace)).collect()
    }
}

fn is_over(since: UnixNanos, now: UnixNanos, grace: Duration) -> bool {
    now.nanos_since(since) >= i64::try_from(grace.as_nanos()).unwrap_or(i64::MAX)
}

/// Whether an object is a block of an earlier start of the program that `own` is, which the manifest does not name.
fn is_left_behind(path: &Path, own: &Origin, named: &HashSet<&str>) -> Option<BlockId> {
    let (origin, id) = paths::parse_block(path)?;
    (origin.writer == own.writer && origin.epoch < own.epoch && !named.contains(path.as_ref())).then_some(id)
}

/// Paths of all blocks in a view, of every writer.
fn named(view: &View) -> HashSet<&str> {
    view.manifests.values().flat_map(|manifest| &manifest.blocks).map(|block| block.path.as_str()).collect()
}

impl Merger {
    pub(super) async fn sweep(&self, sweep: &mut Sweep) -> Result<(), Error> {
        let (now, grace) = (self.parts.clock.now(), self.parts.settings.orphan_grace);
        if !sweep.has_looked_back && is_over(sweep.started, now, grace) && self.parts.editor.has_committed().await {
            self.look_back(sweep).await?;
        }
        let due = sweep.take_due(now, grace);
        if !due.is_empty() {
            let rest = self.delete(due).await;
            sweep.gone.extend(rest.1);
            rest.0?;
        }
        if is_over(sweep.tidied, now, grace) {
            let view = self.parts.views.load();
            let known: HashSet<BlockId> =
                view.manifests.values().flat_map(|manifest| &manifest.blocks).map(|block| block.id).collect();
            self.parts.indexes.retain(|id| known.contains(&id))?;
            sweep.tidied = now;
        }
        Ok(())
    }

    /// Finds what earlier starts of the program left, and removes their old manifests.
    async fn look_back(&self, sweep: &mut Sweep) -> Result<(), Error> {
        let mut objects = self.parts.objects.list(Some(&paths::blocks()));
        let view = self.parts.views.load();
        let named = named(&view);
        let mut found = Vec::new();
        while let Some(object) = objects.try_next().await? {
            if let Some(id) = is_left_behind(&object.location, &self.parts.origin, &named) {
                found.push(Gone { id, path: object.location.to_string(), since: sweep.started });
            }
        }
        let manifests = self.parts.editor.sweep_manifests().await?;
        self.parts.metrics.swept_objects.inc_by(manifests as u64);
        sweep.gone.extend(found);
        sweep.has_looked_back = true;
        Ok(())
    }

    /// Deletes what no manifest of anybody names; gives back what is still there after a failure.
    async fn delete(&self, mut due: Vec<Gone>) -> (Result<(), Error>, Vec<Gone>) {
        if let Err(error) = self.parts.editor.refresh().await {
            return (Err(error), due);
        }
        let view = self.parts.views.load();
        let named = named(&view);
        while let Some(gone) = due.pop() {
            if named.contains(gone.path.as_str()) {
                tracing::error!(path = gone.path, "a block that was gone is named again, it stays");
                continue;
            }
            match self.parts.objects.delete(&Path::from(gone.path.as_str())).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => {
                    due.push(gone);
                    return (Err(error.into()), due);
                }
            }
            self.parts.metrics.swept_objects.inc();
            self.parts.probe.reached(Point::OrphanSwept);
            if let Err(error) = self.parts.indexes.remove(gone.id) {
                return (Err(error), due);
            }
        }
        (Ok(()), due)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn origin(writer: u8, epoch: u32) -> Origin {
        Origin { writer: format!("writer{writer}"), epoch }
    }

    proptest! {
        /// Whoever made an object: it is left behind only if it is ours, of an earlier start, and not named.
        #[test]
        fn only_unnamed_blocks_of_our_earlier_starts_are_left_behind(
            objects in proptest::collection::vec((0u8..3, 1u32..6, any::<bool>()), 0..40),
            own in (0u8..3, 1u32..6),
        ) {
            let own = origin(own.0, own.1);
            let objects: Vec<_> = objects
                .into_iter()
                .map(|(writer, epoch, is_named)| {
                    let (by, id) = (origin(writer, epoch), BlockId::generate());
                    (paths::block(&by, id, 0), by, id, is_named)
                })
                .collect();
            let named: HashSet<&str> =
                objects.iter().filter(|object| object.3).map(|object| object.0.as_ref()).collect();
            for (path, by, id, is_named) in &objects {
                let expected = by.writer == own.writer && by.epoch < own.epoch && !is_named;
                prop_assert_eq!(is_left_behind(path, &own, &named), expected.then_some(*id));
            }
        }
    }

    #[test]
    fn nothing_goes_before_its_grace() {
        let at = |seconds: i64| UnixNanos::from_i64(seconds * 1_000_000_000);
        let mut sweep = Sweep::new(at(0));
        let gone = |since| Gone { id: BlockId::generate(), path: format!("{since}"), since: at(since) };
        sweep.gone = vec![gone(10), gone(20), gone(30)];
        let grace = Duration::from_secs(15);
        assert!(sweep.take_due(at(24), grace).is_empty());
        let due = sweep.take_due(at(35), grace);
        assert_eq!(due.iter().map(|gone| gone.path.as_str()).collect::<Vec<_>>(), ["10", "20"]);
        assert_eq!(sweep.gone.len(), 1);
    }
}
