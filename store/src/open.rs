//! Starts and stops the store: recovery first, then the workers; the reverse to stop.

use std::path::PathBuf;
use std::sync::mpsc;
use std::sync::{Arc, mpsc::Receiver};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use object_store::ObjectStore;
use prometheus_client::registry::Registry;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::background::Background;
use crate::budget::Budget;
use crate::clock::{Clock, SystemClock};
use crate::cold::{BlockId, BlockIndexes};
use crate::health::Health;
use crate::hot::commit::{Committed, Committer, OpenWindow, build_columns};
use crate::hot::db::WindowId;
use crate::hot::{HotDb, HotWindow, index, lookup};
use crate::manifest::editor::LOCAL_MANIFEST;
use crate::manifest::{Editor, EditorParts, Manifest, ManifestStore, Manifests};
use crate::metrics::Metrics;
use crate::offload::Offloader;
use crate::points::{NoProbe, Probe};
use crate::progress::Progress;
use crate::view::{View, Views};
use crate::window::LiveWindow;
use crate::writer::Shared;
use crate::{Error, Reader, Settings, Writer};

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
    health: Health,
    metrics: Metrics,
    budget: Budget,
    threads: Vec<JoinHandle<()>>,
    offloader: tokio::task::JoinHandle<()>,
}

impl Store {
    /// Opens the store, recovers what was acknowledged, and starts its workers.
    ///
    /// # Errors
    /// When the hot tier cannot be opened (another process has it, damage, permissions).
    pub async fn open(settings: Settings, components: Components) -> Result<Self, Error> {
        let (db, window_ids) = HotDb::open(&settings.hot_dir)?;
        let writer_id = writer_id(&db)?;
        let epoch = next_epoch(&db)?;
        let manifests = ManifestStore::new(Arc::clone(&components.objects), writer_id.clone());
        let (known, manifest_is_loaded) = load_manifests(&manifests, &db, &writer_id).await?;
        let manifest = known.get(&writer_id).cloned().unwrap_or_else(|| Arc::new(Manifest::empty(writer_id.clone())));

        let metrics = Metrics::default();
        let recovered = recover(&db, &window_ids, &manifest, &*components.clock)?;
        metrics.windows_waiting.set(recovered.live.len() as i64);
        let last = window_ids.last().copied().unwrap_or_default().max(manifest.offloaded_through);
        let open = open_window(&db, last + 1, settings.window_spans_max)?;
        let waiting = recovered.live.clone();
        let views = Views::new(View {
            live: recovered.live.into_iter().chain([Arc::clone(&open)]).collect(),
            hot: recovered.hot.into_iter().chain([Arc::clone(&open.hot)]).collect(),
            manifests: known,
        });

        let health = Health::default();
        let budget = Budget::new(settings.in_flight_bytes_max);
        let indexes = Arc::new(BlockIndexes::new(Arc::clone(&db), Arc::clone(&components.objects)));
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
            views: Arc::clone(&views),
            health: health.clone(),
            metrics: metrics.clone(),
            probe: Arc::clone(&components.probe),
            progress: progress.clone(),
            next: committed,
            window: OpenWindow::new(open),
        };
        let editor_parts = EditorParts {
            store: manifests,
            db: Arc::clone(&db),
            local_root: components.local_root,
            views: Arc::clone(&views),
            metrics: metrics.clone(),
            probe: Arc::clone(&components.probe),
        };
        let editor = Arc::new(Editor::new(editor_parts, manifest, manifest_is_loaded, epoch));
        let offloader = Offloader {
            db,
            objects: Arc::clone(&components.objects),
            indexes: Arc::clone(&indexes),
            editor,
            views: Arc::clone(&views),
            clock: components.clock,
            settings: settings.clone(),
            health: health.clone(),
            metrics: metrics.clone(),
            probe: components.probe,
            background: Arc::new(Background::start("store-offload")?),
        };
        let writer = Writer::new(Shared {
            batches: std::sync::Mutex::new(Some(batches)),
            budget: budget.clone(),
            health: health.clone(),
            views: Arc::clone(&views),
            settings,
        });
        Ok(Self {
            writer,
            reader: Reader::new(views, components.objects, indexes, writer_id, progress.clone()),
            health,
            metrics,
            budget,
            threads: start_threads(committer, batches_in, committed_in, sealed, progress)?,
            offloader: tokio::spawn(offloader.run(sealed_in)),
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
    }

    /// Brings gauges up to date that nobody else does.
    pub fn observe_metrics(&self) {
        self.metrics.in_flight_bytes.set(self.budget.used() as i64);
    }

    /// Refuses further batches, finishes those that were accepted, and stops the workers. Windows that are not offloaded
    /// by `deadline` are offloaded after the next start.
    pub async fn close(self, deadline: Instant) {
        self.health.close();
        self.writer.disconnect();
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
        let stop = self.offloader.abort_handle();
        if tokio::time::timeout_at(deadline.into(), self.offloader).await.is_err() {
            stop.abort();
        }
    }
}

fn start_threads(
    committer: Committer,
    batches: Receiver<crate::hot::commit::Append>,
    committed: Receiver<Committed>,
    sealed: UnboundedSender<Arc<LiveWindow>>,
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
        start("store-columns", Box::new(move || build_columns(&committed, &sealed, &progress)))?,
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
        Ok(Ok(manifests)) => return Ok((manifests, true)),
        Ok(Err(Error::Cold(error))) => error.to_string(),
        Ok(Err(error)) => return Err(error),
        Err(_) => format!("no answer within {MANIFEST_DEADLINE:?}"),
    };
    tracing::warn!(error = failure, "object store does not answer, starting with what is known locally");
    let mut manifests = Manifests::new();
    if let Some(json) = db.meta(LOCAL_MANIFEST)? {
        let manifest: Manifest = serde_json::from_slice(&json).map_err(|error| Error::Corrupt {
            what: "the local copy of the manifest".to_owned(),
            why: error.to_string(),
        })?;
        manifests.insert(writer.to_owned(), Arc::new(manifest));
    }
    Ok((manifests, false))
}

struct Recovered {
    live: Vec<Arc<LiveWindow>>,
    hot: Vec<Arc<HotWindow>>,
}

/// Sorts out the windows found on disk: those that the manifest covers stay for trace-by-id until they are retired, the
/// others are turned into columns again and wait to be offloaded, empty ones go.
fn recover(
    db: &Arc<HotDb>,
    window_ids: &[WindowId],
    manifest: &Manifest,
    clock: &dyn Clock,
) -> Result<Recovered, Error> {
    let mut recovered = Recovered { live: Vec::new(), hot: Vec::new() };
    for id in window_ids {
        let hot = HotWindow::new(Arc::clone(db), *id);
        if *id <= manifest.offloaded_through {
            match index::read_filter(&hot)? {
                Some(filter) => {
                    hot.set_filter(filter);
                    hot.set_offloaded(clock.now());
                    recovered.hot.push(hot);
                }
                // Written before windows had an index of this kind. The manifest covers it.
                None => hot.retire(),
            }
            continue;
        }
        let live = LiveWindow::new(Arc::clone(&hot), 0);
        lookup::all_batches(&hot, |number, request| {
            live.write().push_batch(number, &request);
            Ok(())
        })?;
        let spans = live.read().len();
        if spans == 0 {
            hot.retire();
            continue;
        }
        tracing::info!(window = id, spans, "recovered a window");
        recovered.hot.push(hot);
        recovered.live.push(live);
    }
    Ok(recovered)
}

fn open_window(db: &Arc<HotDb>, id: WindowId, spans: u64) -> Result<Arc<LiveWindow>, Error> {
    db.create_window(id)?;
    Ok(LiveWindow::new(HotWindow::new(Arc::clone(db), id), spans))
}
