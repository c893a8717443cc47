//! Moves sealed windows to the cold tier, one after the other.
//!
//! | step | a crash after it leaves |
//! |---|---|
//! | 1. write the window's memtable to its file | the window; it is offloaded after the next start |
//! | 2. encode the block | the same |
//! | 3. put the block | the same, and an orphaned object that no manifest names |
//! | 4. commit the manifest | the window in the hot tier, known as offloaded at the next start |
//! | 5. swap the view, keep a local copy of the manifest | the same |
//! | 6. retire windows by age and bytes | windows that are retired after the next start |
//!
//! A failing object store is tried again until it answers; meanwhile windows wait, and past
//! [`crate::Settings::windows_waiting_max`] the writer refuses. Windows go in order, so the manifest can say "through".

mod retire;
mod sync;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::clock::Clock;
use crate::cold::{BlockEntry, BlockId, BlockIndexes, EncodedBlock, encode, paths};
use crate::health::Health;
use crate::hot::HotDb;
use crate::manifest::{Manifest, ManifestStore};
use crate::metrics::Metrics;
use crate::view::Views;
use crate::window::LiveWindow;
use crate::{Error, Settings};

/// Pauses between attempts to reach the object store.
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_LAST: Duration = Duration::from_secs(10);

/// Blocks from this size on are put in parts, so that a slow or torn connection costs one part.
const MULTIPART_BYTES: usize = 16 << 20;

/// How often retention is looked at while nothing is offloaded.
const RETIRE_INTERVAL: Duration = Duration::from_secs(10);

/// Key of the local copy of this writer's manifest.
pub(crate) const LOCAL_MANIFEST: &str = "manifest";

/// What moving windows needs.
pub(crate) struct Offloader {
    pub(crate) db: Arc<HotDb>,
    pub(crate) objects: Arc<dyn ObjectStore>,
    /// Folder of the object store, when it is one: its files are synced, which object stores do by themselves.
    pub(crate) local_root: Option<PathBuf>,
    pub(crate) indexes: Arc<BlockIndexes>,
    pub(crate) manifests: ManifestStore,
    /// This writer's newest manifest.
    pub(crate) manifest: Arc<Manifest>,
    /// Whether `manifest` was read from the object store, and not just from the local copy.
    pub(crate) manifest_is_loaded: bool,
    pub(crate) views: Arc<Views>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
    pub(crate) health: Health,
    pub(crate) metrics: Metrics,
}

impl Offloader {
    /// Offloads windows as they come, until none can come any more.
    pub(crate) async fn run(mut self, mut sealed: UnboundedReceiver<Arc<LiveWindow>>) {
        let mut retire = tokio::time::interval(RETIRE_INTERVAL);
        let mut refresh = tokio::time::interval(self.settings.manifest_refresh);
        refresh.reset();
        loop {
            tokio::select! {
                window = sealed.recv() => match window {
                    Some(window) => {
                        if let Err(error) = self.offload(window).await {
                            self.metrics.poisoned.set(1);
                            self.health.poison(&error);
                            return;
                        }
                    }
                    None => return,
                },
                _ = retire.tick() => self.retire(),
                _ = refresh.tick() => self.refresh().await,
            }
        }
    }

    async fn offload(&mut self, window: Arc<LiveWindow>) -> Result<(), Error> {
        let started = Instant::now();
        self.load_manifest().await?;
        if window.hot.id > self.manifest.offloaded_through {
            let block = self.encode(Arc::clone(&window)).await?;
            let entry = match block {
                Some(block) => Some(self.put(block, &window).await?),
                None => None,
            };
            let next = self.manifest.with_window(window.hot.id, entry);
            self.retry("committing the manifest", || self.manifests.commit(&next)).await?;
            self.manifest = Arc::new(next);
        }
        self.finish(&window)?;
        self.metrics.offload_seconds.observe(started.elapsed().as_secs_f64());
        self.retire();
        Ok(())
    }

    /// After a start without the object store, learns what was committed before.
    async fn load_manifest(&mut self) -> Result<(), Error> {
        if self.manifest_is_loaded {
            return Ok(());
        }
        let manifests = self.retry("reading the manifests", || self.manifests.load()).await?;
        if let Some(own) = manifests.get(&self.manifest.writer) {
            self.manifest = Arc::clone(own);
        }
        self.views.change(|view| view.manifests = manifests);
        self.manifest_is_loaded = true;
        Ok(())
    }

    async fn encode(&self, window: Arc<LiveWindow>) -> Result<Option<EncodedBlock>, Error> {
        let db = Arc::clone(&self.db);
        let encoded = tokio::task::spawn_blocking(move || {
            db.flush_window(window.hot.id)?;
            encode::encode(&window.read())
        });
        encoded.await.map_err(|error| Error::Block(format!("encoding a block: {error}")))?
    }

    async fn put(&self, block: EncodedBlock, window: &LiveWindow) -> Result<BlockEntry, Error> {
        let id = BlockId::generate();
        let path = paths::block(id, block.start_min);
        let entry = BlockEntry {
            id,
            path: path.to_string(),
            bytes: block.bytes.len() as u64,
            index_offset: block.index_offset,
            windows: vec![window.hot.id],
            spans: block.spans,
            traces: block.traces,
            start_min: block.start_min,
            start_max: block.start_max,
            trace_id_min: block.trace_id_min,
            trace_id_max: block.trace_id_max,
        };
        let bytes = Bytes::from(block.bytes);
        self.retry("putting a block", || put_object(&*self.objects, &path, bytes.clone())).await?;
        self.indexes.put(&entry, &bytes[entry.index_offset as usize..])?;
        self.metrics.offloaded_spans.inc_by(entry.spans);
        self.metrics.offloaded_bytes.inc_by(entry.bytes);
        Ok(entry)
    }

    /// The window's spans are in the cold tier; from here on readers find them there.
    fn finish(&self, window: &LiveWindow) -> Result<(), Error> {
        if let Some(root) = &self.local_root {
            let block = self.manifest.blocks.last().map(|block| Path::from(block.path.as_str()));
            let manifest = paths::manifest(&self.manifest.writer, self.manifest.number);
            sync::files(root, block.iter().chain([&manifest]))?;
        }
        let manifest = Arc::clone(&self.manifest);
        self.views.change(|view| {
            view.live.retain(|live| live.hot.id != window.hot.id);
            view.manifests.insert(manifest.writer.clone(), manifest);
        });
        window.hot.set_offloaded(self.clock.now());
        self.metrics.windows_waiting.dec();
        self.count_cold();
        let json = serde_json::to_vec(&*self.manifest)
            .map_err(|error| Error::Block(format!("copying the manifest: {error}")))?;
        self.db.set_meta(LOCAL_MANIFEST, &json)
    }

    fn retire(&self) {
        let mut offloaded = Vec::new();
        let (mut windows, mut bytes) = (0, 0);
        for window in &self.views.load().hot {
            let window_bytes = self.db.window_bytes(window.id);
            windows += 1;
            bytes += window_bytes;
            if let Some(since) = window.offloaded_at() {
                offloaded.push(retire::Offloaded { id: window.id, since, bytes: window_bytes });
            }
        }
        self.metrics.hot_windows.set(windows);
        self.metrics.hot_bytes.set(bytes as i64);
        let retired =
            retire::plan(&offloaded, self.clock.now(), self.settings.hot_retention, self.settings.hot_bytes_max);
        if retired.is_empty() {
            return;
        }
        self.views.change(|view| {
            view.hot.retain(|window| {
                let stays = !retired.contains(&window.id);
                if !stays {
                    window.retire();
                }
                stays
            });
        });
    }

    /// Learns what other writers committed. Their failures are theirs; ours shows when we commit.
    async fn refresh(&self) {
        match self.manifests.load().await {
            Ok(manifests) => {
                let own = &self.manifest.writer;
                self.views.change(|view| {
                    for (writer, manifest) in manifests.into_iter().filter(|(writer, _)| writer != own) {
                        view.manifests.insert(writer, manifest);
                    }
                });
                self.count_cold();
            }
            Err(error) => {
                self.metrics.object_store_errors.inc();
                tracing::debug!(%error, "could not read the manifests of other writers");
            }
        }
    }

    fn count_cold(&self) {
        let view = self.views.load();
        let blocks = || view.manifests.values().flat_map(|manifest| &manifest.blocks);
        self.metrics.cold_blocks.set(blocks().count() as i64);
        self.metrics.cold_bytes.set(blocks().map(|block| block.bytes).sum::<u64>() as i64);
    }

    /// Tries until the object store answers; any other failure is passed on.
    async fn retry<T, F: Future<Output = Result<T, Error>>>(
        &self,
        what: &'static str,
        attempt: impl Fn() -> F,
    ) -> Result<T, Error> {
        let mut pause = RETRY_FIRST;
        loop {
            match attempt().await {
                Err(error @ Error::Cold(_)) => {
                    self.metrics.object_store_errors.inc();
                    if pause == RETRY_FIRST {
                        tracing::warn!(%error, what, "the object store failed, trying again");
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY_LAST);
                }
                other => return other,
            }
        }
    }
}

async fn put_object(objects: &dyn ObjectStore, path: &Path, bytes: Bytes) -> Result<(), Error> {
    if bytes.len() < MULTIPART_BYTES {
        objects.put(path, bytes.into()).await?;
        return Ok(());
    }
    let upload = objects.put_multipart(path).await?;
    let mut write = WriteMultipart::new(upload);
    write.put(bytes);
    write.finish().await?;
    Ok(())
}
