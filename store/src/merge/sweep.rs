//! Deletes objects that no manifest names, when nobody can be reading them any more. See [`super`] for how they are told.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

/// Objects that the manifest does not name any more and never will again. Shared by those who take them out of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Orphans {
    gone: Arc<Mutex<Vec<Gone>>>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Gone {
    /// `None` for what is no block.
    id: Option<BlockId>,
    path: String,
    since: UnixNanos,
}

impl Orphans {
    /// Adds objects that are not named since `since`, with their paths and, where they are blocks, their ids.
    pub(crate) fn add(&self, objects: impl IntoIterator<Item = (Option<BlockId>, String)>, since: UnixNanos) {
        let gone = objects.into_iter().map(|(id, path)| Gone { id, path, since });
        self.lock().extend(gone);
    }

    /// Adds blocks that are not named since `since`.
    pub(super) fn add_blocks<'a>(&self, blocks: impl IntoIterator<Item = &'a Arc<BlockEntry>>, since: UnixNanos) {
        self.add(blocks.into_iter().map(|block| (Some(block.id), block.path.clone())), since);
    }

    /// Takes out what has been gone for `grace`.
    fn take_due(&self, now: UnixNanos, grace: Duration) -> Vec<Gone> {
        self.lock().extract_if(.., |gone| is_over(gone.since, now, grace)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Gone>> {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is left to look at.
pub(super) struct Sweep {
    started: UnixNanos,
    /// Whether what earlier starts of the program left is known.
    has_looked_back: bool,
    /// When local copies of block indexes were last looked through.
    tidied: UnixNanos,
}

impl Sweep {
    /// At a start of the program.
    pub(super) const fn new(now: UnixNanos) -> Self {
        Self { started: now, has_looked_back: false, tidied: now }
    }
}

fn is_over(since: UnixNanos, now: UnixNanos, grace: Duration) -> bool {
    now.nanos_since(since) >= i64::try_from(grace.as_nanos()).unwrap_or(i64::MAX)
}

/// Whether an object is of an earlier start of the program that `own` is, and no manifest names it.
fn is_left_behind(path: &Path, own: &Origin, named: &HashSet<&str>) -> Option<BlockId> {
    let (origin, id) = paths::parse_data(path)?;
    (origin.writer == own.writer && origin.epoch < own.epoch && !named.contains(path.as_ref())).then_some(id)
}

/// Paths of all that manifests name, those of every writer.
fn named(view: &View) -> HashSet<&str> {
    view.manifests.values().flat_map(|manifest| manifest.objects()).collect()
}

impl Merger {
    pub(super) async fn sweep(&self, sweep: &mut Sweep) -> Result<(), Error> {
        let (now, grace) = (self.parts.clock.now(), self.parts.settings.orphan_grace);
        if !sweep.has_looked_back && is_over(sweep.started, now, grace) && self.parts.editor.has_committed().await {
            self.look_back(sweep).await?;
        }
        let orphans = &self.parts.orphans;
        let mut due = orphans.take_due(now, grace);
        let result = self.delete(&mut due).await;
        // What is still there after a failure.
        orphans.lock().append(&mut due);
        result?;
        if is_over(sweep.tidied, now, grace) {
            let view = self.parts.views.load();
            let known: HashSet<BlockId> =
                view.manifests.values().flat_map(|manifest| &manifest.blocks).map(|block| block.id).collect();
            self.parts.indexes.retain(|id| known.contains(&id))?;
            sweep.tidied = now;
        }
        Ok(())
    }

    /// Finds what earlier starts of the program left, and removes their old manifests. With a torn manifest among these, nothing
    /// is an orphan for certain, and all stays.
    async fn look_back(&self, sweep: &mut Sweep) -> Result<(), Error> {
        match self.parts.editor.sweep_manifests().await {
            Ok(manifests) => {
                self.parts.metrics.swept_objects.inc_by(manifests as u64);
                self.parts.orphans.add(self.left_behind().await?, sweep.started);
            }
            Err(error @ Error::Corrupt { .. }) => tracing::error!(%error, "what earlier starts left is not swept"),
            Err(error) => return Err(error),
        }
        sweep.has_looked_back = true;
        Ok(())
    }

    async fn left_behind(&self) -> Result<Vec<(Option<BlockId>, String)>, Error> {
        let view = self.parts.views.load();
        let named = named(&view);
        let mut found = Vec::new();
        for prefix in paths::all_data() {
            let mut objects = self.parts.objects.list(Some(&prefix));
            while let Some(object) = objects.try_next().await? {
                if let Some(id) = is_left_behind(&object.location, &self.parts.origin, &named) {
                    found.push((Some(id), object.location.to_string()));
                }
            }
        }
        Ok(found)
    }

    /// Deletes what no manifest of anybody names. `due` is what is still there, if this fails.
    async fn delete(&self, due: &mut Vec<Gone>) -> Result<(), Error> {
        if due.is_empty() {
            return Ok(());
        }
        self.parts.editor.refresh().await?;
        let view = self.parts.views.load();
        let named = named(&view);
        while let Some(gone) = due.pop() {
            if named.contains(gone.path.as_str()) {
                tracing::error!(path = gone.path, "an object that was gone is named again, it stays");
                continue;
            }
            match self.parts.objects.delete(&Path::from(gone.path.as_str())).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => {
                    due.push(gone);
                    return Err(error.into());
                }
            }
            self.parts.metrics.swept_objects.inc();
            self.parts.probe.reached(Point::OrphanSwept);
            if let Some(id) = gone.id {
                self.parts.indexes.remove(id)?;
            }
        }
        Ok(())
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
        let orphans = Orphans::default();
        for since in [10, 20, 30] {
            orphans.add([(None, since.to_string())], at(since));
        }
        let grace = Duration::from_secs(15);
        assert!(orphans.take_due(at(24), grace).is_empty());
        let due = orphans.take_due(at(35), grace);
        assert_eq!(due.iter().map(|gone| gone.path.as_str()).collect::<Vec<_>>(), ["10", "20"]);
        assert_eq!(orphans.lock().len(), 1);
    }
}
