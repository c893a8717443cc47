//! Starts and stops the store: recovery first, then the workers; the reverse to stop.

use std::path::PathBuf;
use std::sync::mpsc;
use std::sync::{Arc, mpsc::Receiver};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use object_store::ObjectStore;
use prometheus_client::registry::Registry;
use proto::UnixNanos;
use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::{Notify, oneshot};

use crate::background::{Background, Urgency};
use crate::budget::Budget;
use crate::clock::{Clock, SystemClock};
use crate::cold::{BlockId, BlockIndexes, Origin};
use crate::delete::{Deleter, Sweeper};
use crate::disk::DiskWatch;
use crate::health::Health;
use crate::hot::commit::{Committed, Committer, OpenWindow, build_columns};
use crate::hot::db::WindowId;
use crate::hot::dictionary::Dictionaries;
use crate::hot::{Group, HotDb, HotWindow};
use crate::manifest::editor::LOCAL_MANIFEST;
use crate::manifest::{Editor, EditorParts, Manifest, ManifestStore, Manifests, keep_newest};
use crate::merge::{Merger, MergerParts, Orphans};
use crate::metered::Metered;
use crate::metrics::Metrics;
use crate::offload::Offloader;
use crate::offload::retire::Retirer;
use crate::offload::spill::Spiller;
use crate::points::{NoProbe, Probe};
use crate::pressure::{Gauges, Priorities};
use crate::progress::Progress;
use crate::recover::Recovered;
use crate::retention::Retention;
use crate::rollup::compactor::Compactor;
use crate::rollup::plan::Kept;
use crate::runs::{RunTable, RunWorker, RunWorkerParts};
use crate::steps::earlier::StepCounter;
use crate::view::{View, Views};
use crate::window::LiveWindow;
use crate::writer::Shared;
use crate::{Error, Reader, Settings, Writer, read};

/// How long a start waits for the object store before it goes on with what is known locally.
const MANIFEST_DEADLINE: Duration = Duration::from_secs(10);

/// Key of this node's writer id.
const WRITER_ID: &str = "writer-id";

/// Key of how often the program was started on this data folder.
const EPOCH: &str = "epoch";

/// What the store works with, beside its settings.
#[derive(Clone)]
pub struct Components {
    /// The cold tier.
    pub objects: Arc<dyn ObjectStore>,
    /// The folder behind `objects`, when it is one: its files are synced.
    pub local_root: Option<PathBuf>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Hears of each step; [`crate::NoProbe`] outside of tests.
    pub probe: Arc<dyn Probe>,
}

impl Components {
    /// With the system's clock, over an object store that is no local folder.
    #[must_use]
    pub fn new(objects: Arc<dyn ObjectStore>) -> Self {
        Self { objects, local_root: None, clock: Arc::new(SystemClock), probe: Arc::new(NoProbe) }
    }
}

/// An open store. Gives out its [`Writer`] and [`Reader`]; must be closed.
pub struct Store {
    writer: Writer,
    reader: Reader,
    deleter: Deleter,
    retention: Arc<Retention>,
    health: Health,
    metrics: Metrics,
    budget: Budget,
    hot: Arc<HotDb>,
    indexes: Arc<BlockIndexes>,
    progress: Progress,
    gauges: Arc<Gauges>,
    views: Arc<Views>,
    threads: Vec<JoinHandle<()>>,
    offloader: tokio::task::JoinHandle<()>,
    #[cfg(test)]
    merger: Arc<Merger>,
    merging: tokio::task::JoinHandle<()>,
    /// Ends merging when it is dropped.
    end_merging: oneshot::Sender<()>,
    /// What goes on for ever.
    housekeeping: Vec<tokio::task::JoinHandle<()>>,
    run_worker: Arc<RunWorker>,
    following: tokio::task::JoinHandle<()>,
    /// What may have a job to end.
    backgrounds: [Arc<Background>; 2],
}

impl Store {
    /// Opens the store, recovers what was acknowledged, and starts its workers.
    ///
    /// # Errors
    /// When the hot tier cannot be opened (another process has it, damage, permissions).
    pub async fn open(settings: Settings, components: Components) -> Result<Self, Error> {
        let metrics = Metrics::default();
        let mut components = components;
        components.objects = Metered::over(components.objects, metrics.clone());
        let (db, groups) = HotDb::open(&settings.hot_dir)?;
        let writer_id = writer_id(&db)?;
        let epoch = next_epoch(&db)?;
        let manifests = ManifestStore::new(Arc::clone(&components.objects), writer_id.clone());
        let (known, manifest_is_loaded) = load_manifests(&manifests, &db, &writer_id).await?;
        let manifest = known.get(&writer_id).cloned().unwrap_or_else(|| Arc::new(Manifest::empty(writer_id.clone())));

        let recovered = Recovered::read(&db, &groups, &manifest, &*components.clock, &settings)?;
        let last = recovered.last.max(manifest.offloaded_through);
        let open = open_window(&db, last + 1, &settings, components.clock.now())?;
        let waiting = recovered.waiting();
        metrics.windows_waiting.set(waiting.len() as i64);
        let gauges = Gauges::new();
        for window in &waiting {
            gauges.add_waiting(window.logged_bytes());
        }
        let offloaded: Vec<Arc<HotWindow>> =
            recovered.hot.iter().filter(|window| window.offloaded_at().is_some()).cloned().collect();
        let views = Views::new(View {
            live: recovered.live.into_iter().chain([Arc::clone(&open)]).collect(),
            spilled: recovered.spilled,
            hot: recovered.hot.into_iter().chain([Arc::clone(&open.hot)]).collect(),
            manifests: known,
            deleted: Arc::default(),
        });

        let health = Health::default();
        let budget = Budget::new(settings.in_flight_bytes_max);
        let indexes = Arc::new(BlockIndexes::new(Arc::clone(&db), Arc::clone(&components.objects)));
        let steps = StepCounter::new(
            Arc::clone(&components.objects),
            Arc::clone(&indexes),
            Arc::clone(&components.clock),
            metrics.clone(),
            writer_id.clone(),
            &offloaded,
        );
        let runs = RunTable::open(Arc::clone(&db), *settings.operations.settings(), Arc::clone(&components.clock))?;
        let run_worker = RunWorker::new(RunWorkerParts {
            table: Arc::clone(&runs),
            rules: settings.operations.clone(),
            settings: settings.clone(),
            clock: Arc::clone(&components.clock),
            metrics: metrics.clone(),
            objects: Arc::clone(&components.objects),
            background: Background::start("store-runs", Urgency::Equal)?,
        })?;
        let (batches, batches_in) = mpsc::channel();
        let (committed, committed_in) = mpsc::channel();
        let (sealed, sealed_in) = unbounded_channel();
        let progress = Progress::new();
        for window in waiting {
            let _ = sealed.send(window);
        }
        let committer = Committer {
            db: Arc::clone(&db),
            settings: settings.clone(),
            clock: Arc::clone(&components.clock),
            views: Arc::clone(&views),
            health: health.clone(),
            metrics: metrics.clone(),
            probe: Arc::clone(&components.probe),
            progress: progress.clone(),
            next: committed,
            next_window: open.hot.id + 1,
            window: OpenWindow::new(open),
            gauges: Arc::clone(&gauges),
        };
        let spiller = Spiller {
            settings: settings.clone(),
            views: Arc::clone(&views),
            gauges: Arc::clone(&gauges),
            health: health.clone(),
            metrics: metrics.clone(),
            next: sealed,
        };
        let editor_parts = EditorParts {
            store: manifests,
            db: Arc::clone(&db),
            local_root: components.local_root,
            views: Arc::clone(&views),
            metrics: metrics.clone(),
            probe: Arc::clone(&components.probe),
        };
        let retention = Retention::new(settings.retention.clone(), &manifest.blocks);
        let editor = Arc::new(Editor::new(editor_parts, manifest, manifest_is_loaded, epoch));
        let origin = Origin { writer: writer_id.clone(), epoch };
        let orphans = Orphans::default();
        let merger = Arc::new(Merger::start(MergerParts {
            editor: Arc::clone(&editor),
            objects: Arc::clone(&components.objects),
            indexes: Arc::clone(&indexes),
            views: Arc::clone(&views),
            clock: Arc::clone(&components.clock),
            settings: settings.clone(),
            metrics: metrics.clone(),
            probe: Arc::clone(&components.probe),
            budget: budget.clone(),
            origin: origin.clone(),
            retention: Arc::clone(&retention),
            orphans: orphans.clone(),
        })?);
        let merges = Arc::new(Notify::new());
        let (end_merging, closing) = oneshot::channel();
        let deleter = Deleter::new(Arc::clone(&editor), Arc::clone(&views), Arc::clone(&components.clock));
        let sweeper = Sweeper {
            editor: Arc::clone(&editor),
            views: Arc::clone(&views),
            indexes: Arc::clone(&indexes),
            writer: writer_id.clone(),
        };
        let clock = Arc::clone(&components.clock);
        let background = Arc::new(Background::start("store-offload", Urgency::Equal)?);
        // Not the offload's: windows wait for that one.
        let joining = Arc::new(Background::start("store-join", Urgency::Behind)?);
        let offloaded = Arc::new(Notify::new());
        let compactor = Compactor {
            editor: Arc::clone(&editor),
            objects: Arc::clone(&components.objects),
            clock: Arc::clone(&components.clock),
            kept: Kept { minutes: settings.rollup_minute_retention, hours: settings.rollup_hour_retention },
            run_retention: settings.run_retention,
            runs: Arc::clone(&runs),
            kept_steps: Kept { minutes: settings.step_minute_retention, hours: settings.step_hour_retention },
            metrics: metrics.clone(),
            background: Arc::clone(&joining),
            origin: origin.clone(),
            orphans,
        };
        let retirer = Arc::new(Retirer {
            views: Arc::clone(&views),
            clock: Arc::clone(&components.clock),
            settings: settings.clone(),
            gauges: Arc::clone(&gauges),
            metrics: metrics.clone(),
            probe: Arc::clone(&components.probe),
        });
        let disk = Arc::new(DiskWatch {
            folder: settings.hot_dir.clone(),
            free_min: settings.disk_free_min,
            db: Arc::clone(&db),
            gauges: Arc::clone(&gauges),
        });
        disk.look();
        let offloader = Offloader {
            objects: Arc::clone(&components.objects),
            indexes: Arc::clone(&indexes),
            editor: Arc::clone(&editor),
            views: Arc::clone(&views),
            clock: components.clock,
            settings: settings.clone(),
            health: health.clone(),
            metrics: metrics.clone(),
            probe: components.probe,
            background: Arc::clone(&background),
            retention: Arc::clone(&retention),
            sweeper,
            steps: Arc::clone(&steps),
            runs: Arc::clone(&run_worker),
            offloaded: Arc::clone(&offloaded),
            gauges: Arc::clone(&gauges),
            retirer: Arc::clone(&retirer),
            origin,
            merges: Arc::clone(&merges),
        };
        let (rules, derives_operations) = (settings.operations.clone(), settings.derive_operations);
        let writer = Writer::new(Shared {
            batches: std::sync::Mutex::new(Some(batches)),
            budget: budget.clone(),
            health: health.clone(),
            views: Arc::clone(&views),
            settings,
            gauges: Arc::clone(&gauges),
            priorities: Priorities::default(),
            dictionaries: Dictionaries::default(),
        });
        let reader = Reader::new(read::Shared {
            views: Arc::clone(&views),
            objects: components.objects,
            indexes: Arc::clone(&indexes),
            editor,
            writer: writer_id,
            progress: progress.clone(),
            retention: Arc::clone(&retention),
            steps,
            runs,
            rules,
            derives_operations,
            clock,
            metrics: metrics.clone(),
        });
        Ok(Self {
            writer,
            reader: reader.clone(),
            deleter,
            retention,
            hot: Arc::clone(&db),
            indexes,
            progress: progress.clone(),
            health,
            metrics,
            budget,
            gauges,
            views,
            threads: start_threads(committer, batches_in, committed_in, spiller, progress)?,
            offloader: tokio::spawn(offloader.run(sealed_in)),
            merging: tokio::spawn(Arc::clone(&merger).run(merges, closing)),
            #[cfg(test)]
            merger,
            end_merging,
            housekeeping: vec![
                tokio::spawn(disk.run()),
                tokio::spawn(retirer.run()),
                tokio::spawn(compactor.run(offloaded)),
            ],
            following: tokio::spawn(Arc::clone(&run_worker).run(reader)),
            run_worker,
            backgrounds: [background, joining],
        })
    }

    /// For whoever receives spans.
    #[must_use]
    pub fn writer(&self) -> Writer {
        self.writer.clone()
    }

    /// For whoever asks for spans.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// For tests that merge when they want to.
    #[cfg(test)]
    pub(crate) fn merger(&self) -> &Merger {
        &self.merger
    }

    /// For whoever may delete traces.
    #[must_use]
    pub fn deleter(&self) -> Deleter {
        self.deleter.clone()
    }

    /// Whether spans are accepted.
    ///
    /// # Errors
    /// The reason why not.
    pub fn check(&self) -> Result<(), Error> {
        self.health.check()
    }

    /// Adds the store's metrics to `registry`.
    pub fn register_metrics(&self, registry: &mut Registry) {
        self.metrics.register(registry);
        self.retention.register(registry);
    }

    /// Brings gauges up to date that nobody else does.
    pub fn observe_metrics(&self) {
        self.metrics.in_flight_bytes.set(self.budget.used() as i64);
        self.metrics.columns_behind.set(self.progress.behind() as i64);
        self.metrics.wal_bytes.set(self.hot.log_bytes() as i64);
        let (locators, footers) = self.indexes.memory_bytes();
        self.metrics.locator_cache_bytes.set(locators as i64);
        self.metrics.footer_cache_bytes.set(footers as i64);
        self.metrics.windows_spilled.set(self.views.load().spilled.len() as i64);
        self.metrics.waiting_bytes.set(self.gauges.waiting_bytes() as i64);
        self.metrics.disk_free_bytes.set(self.gauges.disk_free().map_or(-1, |free| free as i64));
        self.metrics.pressure_percent.set(self.writer.pressure().percent().min(i64::MAX as u64) as i64);
    }

    /// Refuses further batches, finishes those that were accepted, and stops the workers. Windows that are not offloaded
    /// by `deadline` are offloaded after the next start.
    pub async fn close(self, deadline: Instant) {
        self.health.close();
        self.writer.disconnect();
        drop(self.end_merging);
        let threads = tokio::task::spawn_blocking(move || {
            for thread in self.threads {
                if thread.join().is_err() {
                    tracing::error!("a store thread panicked");
                }
            }
        });
        if tokio::time::timeout_at(deadline.into(), threads).await.is_err() {
            tracing::warn!("the store did not finish its batches in time; they were not acknowledged");
        }
        self.run_worker.stop();
        for task in [self.merging, self.offloader, self.following] {
            let stop = task.abort_handle();
            if tokio::time::timeout_at(deadline.into(), task).await.is_err() {
                stop.abort();
            }
        }
        for task in self.housekeeping {
            task.abort();
            // Cancelled, as asked. What it has done half leaves an object that nobody names.
            let _ = task.await;
        }
        for background in self.backgrounds {
            let _ = tokio::time::timeout_at(deadline.into(), background.idle()).await;
        }
    }
}

fn start_threads(
    committer: Committer,
    batches: Receiver<crate::hot::commit::Append>,
    committed: Receiver<Committed>,
    spiller: Spiller,
    progress: Progress,
) -> Result<Vec<JoinHandle<()>>, Error> {
    let start = |name: &str, work: Box<dyn FnOnce() + Send>| {
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(work)
            .map_err(|error| Error::Io { what: format!("starting thread {name}"), why: error.to_string() })
    };
    Ok(vec![
        start("store-commit", Box::new(move || committer.run(&batches)))?,
        start("store-columns", Box::new(move || build_columns(&committed, &spiller, &progress)))?,
    ])
}

/// This node's name among the writers of a bucket; made once per data folder.
fn writer_id(db: &HotDb) -> Result<String, Error> {
    if let Some(id) = db.meta(WRITER_ID)? {
        return String::from_utf8(id)
            .map_err(|error| Error::Corrupt { what: "the writer id".to_owned(), why: error.to_string() });
    }
    let id = BlockId::generate().to_string();
    db.set_unlogged_meta(WRITER_ID, id.as_bytes())?;
    Ok(id)
}

/// Counts the starts of the program on this data folder, from 1.
fn next_epoch(db: &HotDb) -> Result<u32, Error> {
    let last = match db.meta(EPOCH)? {
        Some(bytes) => u32::from_be_bytes(bytes.as_slice().try_into().map_err(|_| Error::Corrupt {
            what: "the count of starts".to_owned(),
            why: format!("it has {} bytes", bytes.len()),
        })?),
        None => 0,
    };
    let epoch = last.saturating_add(1);
    db.set_unlogged_meta(EPOCH, &epoch.to_be_bytes())?;
    Ok(epoch)
}

/// The manifests of the object store or, while that does not answer, this writer's local copy.
async fn load_manifests(store: &ManifestStore, db: &HotDb, writer: &str) -> Result<(Manifests, bool), Error> {
    let load = async {
        let fenced = store.probe_conditional_puts().await?;
        tracing::info!(conditional_puts = fenced, "object store answers");
        store.load().await
    };
    let failure = match tokio::time::timeout(MANIFEST_DEADLINE, load).await {
        Ok(Ok(mut manifests)) => {
            // A list may lag behind what this node knows that it committed.
            if let Some(own) = local_manifest(db)? {
                keep_newest(&mut manifests, &own);
            }
            return Ok((manifests, true));
        }
        Ok(Err(Error::Cold(error))) => error.to_string(),
        Ok(Err(error)) => return Err(error),
        Err(_) => format!("no answer within {MANIFEST_DEADLINE:?}"),
    };
    tracing::warn!(error = failure, "object store does not answer, starting with what is known locally");
    let manifests = local_manifest(db)?.into_iter().map(|own| (writer.to_owned(), own));
    Ok((manifests.collect(), false))
}

/// This writer's manifest as readers last knew it.
fn local_manifest(db: &HotDb) -> Result<Option<Arc<Manifest>>, Error> {
    let Some(json) = db.meta(LOCAL_MANIFEST)? else { return Ok(None) };
    serde_json::from_slice(&json)
        .map(Some)
        .map_err(|error| Error::Corrupt { what: "the local copy of the manifest".to_owned(), why: error.to_string() })
}

fn open_window(db: &Arc<HotDb>, id: WindowId, settings: &Settings, now: UnixNanos) -> Result<Arc<LiveWindow>, Error> {
    let group = Group::create(db, id, now)?;
    Ok(LiveWindow::new(HotWindow::new(group, id), settings.window_spans_max))
}
