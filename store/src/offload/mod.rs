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
//! A failing object store is tried again until it answers, a full disk until it has space; meanwhile windows wait, a few in
//! memory and the others on disk only ([`spill`]), and past [`crate::Settings::hot_bytes_max`] the writer refuses. Windows
//! go in order, so the manifest can say "through".

pub(crate) mod retire;
pub(crate) mod spill;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};
use rocksdb::WriteBatch;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;

use self::retire::Retirer;
use crate::background::Background;
use crate::clock::Clock;
use crate::cold::{BlockEntry, BlockIndexes, EncodedBlock, Origin, complete, encode};
use crate::delete::Sweeper;
use crate::health::Health;
use crate::hot::{HotWindow, index, lookup};
use crate::manifest::{Editor, OfWindow};
use crate::metrics::Metrics;
use crate::points::{Point, Probe};
use crate::pressure::Gauges;
use crate::retention::{Retention, RetentionSieve};
use crate::rollup::compactor::{Figures, entry_of_new};
use crate::rollup::{self, Resolution, RollupEntry, RollupKind};
use crate::runs::item::ItemKey;
use crate::runs::{self, RunWorker};
use crate::steps::Bones;
use crate::steps::earlier::{CountedSteps, StepCounter};
use crate::view::Views;
use crate::window::LiveWindow;
use crate::{Error, Settings};

/// Blocks from this size on are put in parts, so that a slow or torn connection costs one part.
pub(crate) const MULTIPART_BYTES: usize = 16 << 20;

/// How often it is looked whether deleted traces are gone.
const FORGET_INTERVAL: Duration = Duration::from_secs(60);

/// What moving windows needs.
pub(crate) struct Offloader {
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
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) retirer: Arc<Retirer>,
    pub(crate) retention: Arc<Retention>,
    pub(crate) sweeper: Sweeper,
    pub(crate) steps: Arc<StepCounter>,
    pub(crate) runs: Arc<RunWorker>,
    /// Told after each window.
    pub(crate) offloaded: Arc<Notify>,
    /// Who makes its blocks.
    pub(crate) origin: Origin,
    /// Told too: there may be enough blocks to merge.
    pub(crate) merges: Arc<Notify>,
}

/// What becomes of a window.
struct Encoded {
    /// `None` when nothing is to be derived from it.
    bones: Option<Arc<Bones>>,
    rollup: Figures,
    rollup_file: Bytes,
    /// `None` when nothing is left of the window.
    block: Option<EncodedBlock>,
    /// What decided about its traces.
    sieve: RetentionSieve,
}

impl Offloader {
    /// Offloads windows as they come, until none can come any more.
    pub(crate) async fn run(self, mut sealed: UnboundedReceiver<Arc<HotWindow>>) {
        let mut refresh = tokio::time::interval(self.settings.manifest_refresh);
        refresh.reset();
        let mut forget = tokio::time::interval(FORGET_INTERVAL);
        forget.reset();
        loop {
            tokio::select! {
                window = sealed.recv() => match window {
                    Some(window) => {
                        if let Err(error) = self.offload(&window).await {
                            self.metrics.poisoned.set(1);
                            self.health.poison(&error);
                            return;
                        }
                    }
                    None => return,
                },
                _ = refresh.tick() => self.refresh().await,
                _ = forget.tick() => self.forget_deletes().await,
            }
        }
    }

    async fn offload(&self, window: &Arc<HotWindow>) -> Result<(), Error> {
        let started = Instant::now();
        let id = window.id;
        let manifest = self.retry("reading the manifests", || self.editor.current()).await?;
        let (mut made, mut exported) = (OfWindow::default(), Vec::new());
        // A start without the object store does not know which windows are offloaded; those need their index all the same.
        let is_new = id > manifest.offloaded_through;
        let encoded = self.retry("writing a window to its file", || self.encode(window, is_new)).await?;
        if let Some(encoded) = encoded {
            match encoded.bones {
                Some(bones) => {
                    made.steps = self.count_steps(bones).await?;
                    (made.runs, exported) = self.put_runs().await?;
                }
                None => self.steps.remember_offloaded(window),
            }
            made.rollup = self.put_rollup(RollupKind::Spans, encoded.rollup, encoded.rollup_file).await?;
            match encoded.block {
                Some(block) => made.block = Some(self.put(block, encoded.sieve, window).await?),
                None => drop(encoded.sieve.finish(0.0)),
            }
        } else {
            self.steps.remember_offloaded(window);
        }
        self.retry("committing the manifest", || {
            self.editor.edit(
                |manifest| {
                    let is_new = id > manifest.offloaded_through;
                    is_new.then(|| manifest.with_window(id, &made))
                },
                |view| {
                    view.live.retain(|live| live.hot.id != id);
                    view.spilled.retain(|spilled| spilled.hot.id != id);
                },
                Point::BlockCommitted,
            )
        })
        .await?;
        self.probe.reached(Point::BlockShown);
        if let Some(entry) = &made.runs {
            self.runs.exported(&exported, &entry.path);
        }
        window.set_offloaded(self.clock.now());
        self.gauges.remove_waiting(window.logged_bytes());
        self.metrics.windows_waiting.dec();
        self.metrics.offload_seconds.observe(started.elapsed().as_secs_f64());
        self.offloaded.notify_one();
        self.merges.notify_one();
        self.retirer.retire();
        Ok(())
    }

    /// Writes the window's index and, if it is `wanted`, makes its block.
    async fn encode(&self, window: &Arc<HotWindow>, wanted: bool) -> Result<Option<Encoded>, Error> {
        let mut sieve = self.retention.of_window(&self.views.load(), self.clock.now());
        let metrics = self.metrics.clone();
        let (probe, window) = (Arc::clone(&self.probe), Arc::clone(window));
        let runs = self.settings.derive_operations.then(|| Arc::clone(&self.runs));
        let in_memory = self.views.load().live.iter().find(|live| live.hot.id == window.id).cloned();
        let work = move || {
            let live = in_memory.map_or_else(|| rebuild(&window), Ok)?;
            let columns = live.read();
            if window.filter().is_none() {
                index::write(&window, &columns, WriteBatch::default())?;
            }
            window.group.flush()?;
            probe.reached(Point::WindowFlushed);
            if !wanted {
                return Ok(None);
            }
            if let Some(runs) = &runs {
                runs.settle(window.id, &columns)?;
            }
            let order = encode::order(&columns);
            let started = Instant::now();
            // Counted before anything is dropped.
            let rollup = rollup::window::of_window(&columns, |row| order.has(row));
            metrics.rollup_seconds.observe(started.elapsed().as_secs_f64());
            let rollup_file = rollup::file::encode(&rollup)?;
            let rollup = Figures::of(&rollup);
            let started = Instant::now();
            let block = encode::encode(&columns, &order, &mut sieve)?;
            metrics.encode_seconds.observe(started.elapsed().as_secs_f64());
            // After the encoder has given its memory back.
            let bones = runs.map(|_| Arc::new(Bones::of_window(window.id, &columns, &order)));
            Ok(Some(Encoded { bones, rollup, rollup_file, block, sieve }))
        };
        self.background.run(work).await
    }

    async fn put(&self, block: EncodedBlock, sieve: RetentionSieve, window: &HotWindow) -> Result<BlockEntry, Error> {
        let (mut entry, bytes) = BlockEntry::of_new(&self.origin, block, vec![window.id]);
        entry.retention = Some(sieve.finish(entry.bytes as f64 / entry.spans as f64));
        self.retry("putting a block", || put_block(&*self.objects, &entry, bytes.clone())).await?;
        self.probe.reached(Point::BlockPut);
        if let Err(error) = self.indexes.put(&entry, &bytes.slice(entry.index_offset as usize..)) {
            if !error.passes_by_itself() {
                return Err(error);
            }
            tracing::debug!(%error, block = %entry.id, "no local copy of a block's index; it is read from the block");
        }
        self.metrics.offloaded_spans.inc_by(entry.spans);
        self.metrics.offloaded_bytes.inc_by(entry.bytes);
        Ok(entry)
    }

    /// Counts where the time of a window's operations went.
    async fn count_steps(&self, bones: Arc<Bones>) -> Result<Option<RollupEntry>, Error> {
        let count = || async { self.steps.of_window(&self.views.load(), &bones, &self.background).await };
        let CountedSteps { rollup, file } = self.retry("counting steps", count).await?;
        let entry = self.put_rollup(RollupKind::Steps, Figures::of_steps(&rollup), file).await?;
        // Before the view says that the window is in a block.
        self.steps.remember(bones);
        Ok(entry)
    }

    /// What has become known of runs since the last time, with the versions that are put.
    async fn put_runs(&self) -> Result<(Option<RollupEntry>, Vec<(ItemKey, u64)>), Error> {
        let runs = Arc::clone(&self.runs);
        let encode = move || {
            let items = runs.changed()?;
            let figures = Figures::of_runs(&items, Resolution::Minute);
            let file = if items.is_empty() { Bytes::new() } else { runs::file::encode(&items)? };
            Ok((figures, file, items.iter().map(|item| (item.key, item.version)).collect()))
        };
        let (figures, file, items) = self.background.run(encode).await?;
        Ok((self.put_rollup(RollupKind::Runs, figures, file).await?, items))
    }

    async fn put_rollup(&self, kind: RollupKind, rollup: Figures, bytes: Bytes) -> Result<Option<RollupEntry>, Error> {
        let entry = entry_of_new(kind, &self.origin, rollup, &bytes, 1, self.clock.now().as_i64());
        if let Some(entry) = &entry {
            let path = Path::from(entry.path.as_str());
            self.retry("putting a rollup", || put_object(&*self.objects, &path, bytes.clone())).await?;
        }
        Ok(entry)
    }

    /// Learns what other writers committed. Their failures are theirs; ours shows when we commit.
    async fn refresh(&self) {
        if let Err(error) = self.editor.refresh().await {
            self.metrics.object_store_errors.inc();
            tracing::debug!(%error, "could not read the manifests of other writers");
        }
    }

    /// What is not forgotten now is looked at again later.
    async fn forget_deletes(&self) {
        if let Err(error) = self.sweeper.sweep(self.clock.now()).await {
            self.metrics.object_store_errors.inc();
            tracing::debug!(%error, "could not forget deletes");
        }
    }

    /// Tries until the object store answers and the disk has space; any other failure is passed on.
    async fn retry<T, F: Future<Output = Result<T, Error>>>(
        &self,
        what: &'static str,
        attempt: impl Fn() -> F,
    ) -> Result<T, Error> {
        let mut pause = self.settings.retry_pause_min;
        loop {
            match attempt().await {
                Err(error) if error.passes_by_itself() => {
                    match &error {
                        Error::DiskFull(_) => self.gauges.set_disk_is_full(&error),
                        _ => drop(self.metrics.object_store_errors.inc()),
                    }
                    if pause == self.settings.retry_pause_min {
                        tracing::warn!(%error, what, "a window cannot be offloaded yet, trying again");
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(self.settings.retry_pause_max);
                }
                other => return other,
            }
        }
    }
}

/// The columns of a window that is not in memory, from its batches.
pub(crate) fn rebuild(window: &Arc<HotWindow>) -> Result<Arc<LiveWindow>, Error> {
    let live = LiveWindow::new(Arc::clone(window), 0);
    lookup::all_batches(window, |number, request| {
        live.write().push_batch(number, &request);
        Ok(())
    })?;
    Ok(live)
}

/// Puts a block and looks whether it is there in full: the hot tier will rely on it.
pub(crate) async fn put_block(objects: &dyn ObjectStore, entry: &BlockEntry, bytes: Bytes) -> Result<(), Error> {
    put_object(objects, &Path::from(entry.path.as_str()), bytes).await
}

/// Puts an object under a fresh name and looks whether it is there in full.
pub(crate) async fn put_object(objects: &dyn ObjectStore, path: &Path, bytes: Bytes) -> Result<(), Error> {
    let length = bytes.len() as u64;
    if bytes.len() < MULTIPART_BYTES {
        objects.put(path, bytes.into()).await?;
    } else {
        let upload = objects.put_multipart(path).await?;
        let mut write = WriteMultipart::new(upload);
        write.put(bytes);
        write.finish().await?;
    }
    complete::check_put(objects, path, length).await
}
