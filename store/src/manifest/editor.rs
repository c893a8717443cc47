//! The one place where this node's manifest changes: one change at a time, committed, synced, then shown to readers in
//! a single step with whatever else of the view depends on it.
//!
//! Never tries again by itself: who wants the change does, so that a slow object store holds up nobody else for long.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use object_store::path::Path;
use tokio::sync::Mutex;

use super::{Manifest, ManifestStore, Manifests, keep_newest, sync};
use crate::Error;
use crate::cold::paths;
use crate::hot::HotDb;
use crate::metrics::Metrics;
use crate::points::{Point, Probe};
use crate::view::{View, Views};

/// Key of the local copy of this writer's manifest.
pub(crate) const LOCAL_MANIFEST: &str = "manifest";

/// A start of the program has this many bits of a manifest's number for its own count.
const EPOCH_SHIFT: u32 = 32;

/// Changes the manifest of one writer.
pub(crate) struct Editor {
    store: ManifestStore,
    db: Arc<HotDb>,
    /// Folder of the object store, when it is one: its files are synced, which object stores do by themselves.
    local_root: Option<PathBuf>,
    views: Arc<Views>,
    metrics: Metrics,
    probe: Arc<dyn Probe>,
    /// Numbers of this start of the program begin here.
    first_number: u64,
    state: Mutex<State>,
}

struct State {
    /// The newest that is committed.
    manifest: Arc<Manifest>,
    /// Whether `manifest` was read from the object store, and not just from the local copy.
    is_loaded: bool,
    /// The lowest number under which no put was ever tried: one whose answer was lost may be there.
    next_number: u64,
}

/// What an [`Editor`] works with.
pub(crate) struct EditorParts {
    pub(crate) store: ManifestStore,
    pub(crate) db: Arc<HotDb>,
    pub(crate) local_root: Option<PathBuf>,
    pub(crate) views: Arc<Views>,
    pub(crate) metrics: Metrics,
    pub(crate) probe: Arc<dyn Probe>,
}

impl Editor {
    /// Goes on from `manifest`; `is_loaded` says whether that is what the object store has.
    ///
    /// Numbers begin with `epoch`, which grows with each start of the program: a put of an earlier start that the object
    /// store carries out late stays behind all of this one.
    pub(crate) fn new(parts: EditorParts, manifest: Arc<Manifest>, is_loaded: bool, epoch: u32) -> Self {
        let EditorParts { store, db, local_root, views, metrics, probe } = parts;
        let next_number = u64::from(epoch) << EPOCH_SHIFT;
        let editor = Self {
            store,
            db,
            local_root,
            views,
            metrics,
            probe,
            first_number: next_number,
            state: Mutex::new(State { manifest, is_loaded, next_number }),
        };
        editor.count_cold();
        editor
    }

    /// The newest manifest.
    ///
    /// # Errors
    /// When it is not known yet, because the program started without the object store and that still does not answer.
    pub(crate) async fn current(&self) -> Result<Arc<Manifest>, Error> {
        let mut state = self.state.lock().await;
        self.load(&mut state).await?;
        Ok(Arc::clone(&state.manifest))
    }

    /// Commits what `change` makes of the newest manifest (`None`: leave it), and shows it to readers in the same step
    /// as what `show` does to the view. `committed` is the point between the two. When this fails the change may be committed all the same; making it again is
    /// harmless.
    ///
    /// # Errors
    /// When the object store, the hot tier or the file system refuses.
    pub(crate) async fn edit(
        &self,
        change: impl FnOnce(&Manifest) -> Option<Manifest>,
        show: impl FnOnce(&mut View),
        committed: Point,
    ) -> Result<Arc<Manifest>, Error> {
        let mut state = self.state.lock().await;
        self.load(&mut state).await?;
        if let Some(mut next) = change(&state.manifest) {
            next.number = state.next_number;
            state.next_number += 1;
            self.store.commit(&next).await?;
            self.sync(&state.manifest, &next)?;
            state.manifest = Arc::new(next);
            self.probe.reached(committed);
        }
        let manifest = Arc::clone(&state.manifest);
        self.views.change(|view| {
            view.manifests.insert(manifest.writer.clone(), Arc::clone(&manifest));
            show(view);
        });
        self.count_cold();
        let json =
            serde_json::to_vec(&*manifest).map_err(|error| Error::Block(format!("copying the manifest: {error}")))?;
        match self.db.set_unlogged_meta(LOCAL_MANIFEST, &json) {
            // An older copy names fewer blocks to a start without the object store, until that answers.
            Err(error @ Error::DiskFull(_)) => tracing::debug!(%error, "no local copy of the manifest"),
            other => other?,
        }
        Ok(manifest)
    }

    /// Whether this start of the program has committed a manifest. Until then one of an earlier start, whose put the object
    /// store carries out late, may still become the newest.
    pub(crate) async fn has_committed(&self) -> bool {
        self.state.lock().await.manifest.number >= self.first_number
    }

    /// Removes what earlier starts left of this writer's manifests, see [`ManifestStore::sweep`].
    ///
    /// # Errors
    /// When the object store does not answer.
    pub(crate) async fn sweep_manifests(&self) -> Result<usize, Error> {
        self.store.sweep().await
    }

    /// Learns what other writers committed.
    ///
    /// # Errors
    /// When the object store does not answer.
    pub(crate) async fn refresh(&self) -> Result<(), Error> {
        let manifests = self.store.load().await?;
        let state = self.state.lock().await;
        self.show_others(&state.manifest.writer, &manifests);
        self.count_cold();
        Ok(())
    }

    /// After a start without the object store, learns what was committed before.
    async fn load(&self, state: &mut State) -> Result<(), Error> {
        if state.is_loaded {
            return Ok(());
        }
        let mut manifests: Manifests = self.store.load().await?;
        // A list may lag behind what this node knows that it committed.
        keep_newest(&mut manifests, &state.manifest);
        if let Some(own) = manifests.get(&state.manifest.writer) {
            state.manifest = Arc::clone(own);
        }
        // Readers get our own with the next change, which takes away the window that it may cover in the same step.
        self.show_others(&state.manifest.writer, &manifests);
        state.is_loaded = true;
        Ok(())
    }

    /// Never goes back: a list may lag.
    fn show_others(&self, own: &str, manifests: &Manifests) {
        self.views.change(|view| {
            view.manifests.retain(|writer, _| writer == own || manifests.contains_key(writer));
            for manifest in manifests.values().filter(|manifest| manifest.writer != own) {
                keep_newest(&mut view.manifests, manifest);
            }
        });
    }

    /// Makes the new manifest and the objects that it adds survive a power cut.
    fn sync(&self, before: &Manifest, next: &Manifest) -> Result<(), Error> {
        let Some(root) = &self.local_root else { return Ok(()) };
        let known: HashSet<&str> = before.objects().collect();
        let mut objects: Vec<Path> = next.objects().filter(|path| !known.contains(path)).map(Path::from).collect();
        objects.push(paths::manifest(&next.writer, next.number));
        sync::files(root, objects.iter())
    }

    fn count_cold(&self) {
        let view = self.views.load();
        let blocks = || view.manifests.values().flat_map(|manifest| &manifest.blocks);
        self.metrics.cold_blocks.set(blocks().count() as i64);
        self.metrics.cold_bytes.set(blocks().map(|block| block.bytes).sum::<u64>() as i64);
        let rollups = || view.manifests.values().flat_map(|manifest| &manifest.rollups);
        self.metrics.rollups.set(rollups().count() as i64);
        self.metrics.rollup_bytes.set(rollups().map(|rollup| rollup.bytes).sum::<u64>() as i64);
        let steps = || view.manifests.values().flat_map(|manifest| &manifest.steps);
        self.metrics.steps.set(steps().count() as i64);
        let runs = || view.manifests.values().flat_map(|manifest| &manifest.runs);
        self.metrics.run_files.set(runs().count() as i64);
        self.metrics.run_file_bytes.set(runs().map(|file| file.bytes).sum::<u64>() as i64);
        self.metrics.steps_bytes.set(steps().map(|rollup| rollup.bytes).sum::<u64>() as i64);
    }
}
