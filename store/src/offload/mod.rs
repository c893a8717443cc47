//! Moves sealed windows to the cold tier, one after the other.
//!
//! | step | a crash after it leaves |
//! |---|---|
//! | 1. write the window's index, then its memtable to its file | the window; it is offloaded after the next start |
//! | 2. encode the block | the same |
//! | 3. put the block, look whether it is there | the same, and an orphaned object that no manifest names |
//! | 4. commit the manifest | the window in the hot tier, known as offloaded at the next start |
//! | 5. swap the view, keep a local copy of the manifest | the same |
//! | 6. retire windows by age and bytes | windows that are retired after the next start |
//!
//! A failing object store is tried again until it answers; meanwhile windows wait, and past
//! [`crate::Settings::windows_waiting_max`] the writer refuses. Windows go in order, so the manifest can say "through".

mod retire;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::background::Background;
use crate::clock::Clock;
use crate::cold::{BlockEntry, BlockIndexes, EncodedBlock, encode};
use crate::health::Health;
use crate::hot::{HotDb, index};
use crate::manifest::Editor;
use crate::metrics::Metrics;
use crate::points::{Point, Probe};
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

/// What moving windows needs.
pub(crate) struct Offloader {
    pub(crate) db: Arc<HotDb>,
    pub(crate) objects: Arc<dyn ObjectStore>,
    pub(crate) indexes: Arc<BlockIndexes>,
    pub(crate) editor: Arc<Editor>,
    pub(crate) views: Arc<Views>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
    pub(crate) health: Health,
    pub(crate) metrics: Metrics,
    pub(crate) probe: Arc<dyn Probe>,
    pub(crate) background: Arc<Background>,
}

impl Offloader {
    /// Offloads windows as they come, until none can come any more.
    pub(crate) async fn run(self, mut sealed: UnboundedReceiver<Arc<LiveWindow>>) {
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

    async fn offload(&self, window: Arc<LiveWindow>) -> Result<(), Error> {
        let started = Instant::now();
        let id = window.hot.id;
        let manifest = self.retry("reading the manifests", || self.editor.current()).await?;
        let entry = if id > manifest.offloaded_through {
            match self.encode(Arc::clone(&window)).await? {
                Some(block) => Some(self.put(block, &window).await?),
                None => None,
            }
        } else {
            None
        };
        self.retry("committing the manifest", || {
            self.editor.edit(
                |manifest| (id > manifest.offloaded_through).then(|| manifest.with_window(id, entry.clone())),
                |view| view.live.retain(|live| live.hot.id != id),
                Point::BlockCommitted,
            )
        })
        .await?;
        self.probe.reached(Point::BlockShown);
        window.hot.set_offloaded(self.clock.now());
        self.metrics.windows_waiting.dec();
        self.metrics.offload_seconds.observe(started.elapsed().as_secs_f64());
        self.retire();
        Ok(())
    }

    async fn encode(&self, window: Arc<LiveWindow>) -> Result<Option<EncodedBlock>, Error> {
        let (db, probe) = (Arc::clone(&self.db), Arc::clone(&self.probe));
        let work = move || {
            let columns = window.read();
            let traces = columns.traces.ids().iter().zip(0..).map(|(id, number)| (*id, columns.batches_of(number)));
            index::write(&window.hot, traces)?;
            db.flush_window(window.hot.id)?;
            probe.reached(Point::WindowFlushed);
            encode::encode(&columns)
        };
        self.background.run(work).await
    }

    async fn put(&self, block: EncodedBlock, window: &LiveWindow) -> Result<BlockEntry, Error> {
        let (entry, bytes) = BlockEntry::of_new(block, vec![window.hot.id]);
        self.retry("putting a block", || put_block(&*self.objects, &entry, bytes.clone())).await?;
        self.probe.reached(Point::BlockPut);
        self.indexes.put(&entry, &bytes.slice(entry.index_offset as usize..))?;
        self.metrics.offloaded_spans.inc_by(entry.spans);
        self.metrics.offloaded_bytes.inc_by(entry.bytes);
        Ok(entry)
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
        self.probe.reached(Point::WindowsRetired);
    }

    /// Learns what other writers committed. Their failures are theirs; ours shows when we commit.
    async fn refresh(&self) {
        if let Err(error) = self.editor.refresh().await {
            self.metrics.object_store_errors.inc();
            tracing::debug!(%error, "could not read the manifests of other writers");
        }
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

/// Puts a block and looks whether it is there in full: the hot tier will rely on it.
pub(crate) async fn put_block(objects: &dyn ObjectStore, entry: &BlockEntry, bytes: Bytes) -> Result<(), Error> {
    let path = Path::from(entry.path.as_str());
    if bytes.len() < MULTIPART_BYTES {
        objects.put(&path, bytes.into()).await?;
    } else {
        let upload = objects.put_multipart(&path).await?;
        let mut write = WriteMultipart::new(upload);
        write.put(bytes);
        write.finish().await?;
    }
    let there = objects.head(&path).await?.size;
    if there != entry.bytes {
        let source = format!("{path} was put with {} bytes and has {there}", entry.bytes).into();
        return Err(object_store::Error::Generic { store: "object store", source }.into());
    }
    Ok(())
}
