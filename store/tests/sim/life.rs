//! One run of the program: a store with a runtime of its own, as a process has one.
//!
//! A crash is a copy of the hot tier's folder at that instant: exactly what a killed process leaves to the next one. The
//! store itself then ends on the folder that nobody looks at any more, so nothing that it does on its way out counts.
//! (RocksDB writes its memory to files when it is closed; a crash does not.) A power cut, which also loses what was
//! written and not synced, is not simulated.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use prometheus_client::registry::Registry;
use proto::UnixNanos;
use store::{Clock, Components, Error, Point, Probe, Settings, Store};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::gate::{Gate, SimStore};
use crate::quiet;

/// Longest that anything may take that waits for nobody: real time, on a machine that does other things too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The clock of all lives, moved by hand.
#[derive(Debug)]
pub(crate) struct SimClock(AtomicI64);

impl SimClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(1_795_464_000_000_000_000)))
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_nanos() as i64, Ordering::SeqCst);
    }
}

impl Clock for SimClock {
    fn now(&self) -> UnixNanos {
        UnixNanos::from_i64(self.0.load(Ordering::SeqCst))
    }
}

/// A new folder for a hot tier, in memory where the system has a place for that: nothing here outlives the test.
pub(crate) fn new_folder() -> TempDir {
    let in_memory = Path::new("/dev/shm");
    let made = if in_memory.is_dir() { tempfile::tempdir_in(in_memory) } else { tempfile::tempdir() };
    made.expect("a folder")
}

/// Copies the files of a hot tier as a process that is killed now would leave them.
fn copy_as_killed(from: &Path) -> TempDir {
    let to = new_folder();
    let hot = to.path().join("hot");
    std::fs::create_dir(&hot).expect("a folder");
    for entry in std::fs::read_dir(from).expect("the hot tier's folder") {
        let entry = entry.expect("readable");
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == "LOCK" || name.starts_with("LOG") {
            continue;
        }
        let copy = hot.join(&name);
        // Table files never change. A file that is gone by now was not needed any more.
        let copied = if name.ends_with(".sst") {
            std::fs::hard_link(entry.path(), copy)
        } else {
            std::fs::copy(entry.path(), copy).map(|_| ())
        };
        assert!(copied.is_ok() || !entry.path().exists(), "{name}: {copied:?}");
    }
    to
}

/// Stops the life at a point: where the store's own threads reach it they wait, on the simulation's thread the folder is
/// copied at once.
pub(crate) struct SimProbe {
    folder: std::path::PathBuf,
    main: ThreadId,
    state: Mutex<ProbeState>,
    over: Condvar,
}

#[derive(Default)]
struct ProbeState {
    armed: Option<Point>,
    reached: Option<Point>,
    is_over: bool,
    left: Option<TempDir>,
    counts: BTreeMap<&'static str, u64>,
}

impl SimProbe {
    fn state(&self) -> MutexGuard<'_, ProbeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life ends when the store next reaches `point`.
    pub(crate) fn arm(&self, point: Option<Point>) {
        self.state().armed = point;
    }

    /// The point at which the life ends.
    pub(crate) fn reached(&self) -> Option<Point> {
        self.state().reached
    }

    /// How often a point was reached.
    pub(crate) fn count(&self, point: Point) -> u64 {
        self.state().counts.get(point.name()).copied().unwrap_or_default()
    }

    fn end(&self) {
        self.state().is_over = true;
        self.over.notify_all();
    }
}

impl Probe for SimProbe {
    fn reached(&self, point: Point) {
        let mut state = self.state();
        *state.counts.entry(point.name()).or_default() += 1;
        if state.armed != Some(point) || state.is_over {
            return;
        }
        (state.armed, state.reached) = (None, Some(point));
        if std::thread::current().id() == self.main {
            drop(state);
            while !quiet::look().all_sleep {
                std::thread::yield_now();
            }
            self.state().left = Some(copy_as_killed(&self.folder));
            return;
        }
        while !state.is_over {
            state = self.over.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A running store.
pub(crate) struct Life {
    pub(crate) runtime: Runtime,
    pub(crate) probe: Arc<SimProbe>,
    pub(crate) settings: Settings,
    folder: TempDir,
    store: Option<Store>,
    registry: Registry,
}

impl Life {
    /// Starts in `folder`; the store is there when [`Self::finish_opening`] says so.
    pub(crate) fn new(folder: TempDir, mut settings: Settings) -> Self {
        settings.hot_dir = folder.path().join("hot");
        let probe = SimProbe {
            folder: settings.hot_dir.clone(),
            main: std::thread::current().id(),
            state: Mutex::default(),
            over: Condvar::new(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        Self { runtime, probe: Arc::new(probe), settings, folder, store: None, registry: Registry::default() }
    }

    /// Begins to open the store.
    pub(crate) fn open(
        &self,
        objects: Arc<SimStore>,
        clock: Arc<SimClock>,
    ) -> tokio::task::JoinHandle<Result<Store, Error>> {
        let probe: Arc<dyn Probe> = Arc::clone(&self.probe) as _;
        let components = Components { clock, probe, ..Components::new(objects) };
        self.runtime.spawn(Store::open(self.settings.clone(), components))
    }

    pub(crate) fn opened(&mut self, store: Store) {
        let mut registry = Registry::default();
        store.register_metrics(&mut registry);
        (self.registry, self.store) = (registry, Some(store));
    }

    /// The store, once it is open.
    pub(crate) fn store(&self) -> &Store {
        self.store.as_ref().expect("it is open")
    }

    /// The value of one of the store's metrics.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        self.store().observe_metrics();
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("text");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no metric {name} in\n{text}")).parse().expect("a number")
    }

    /// Runs everything that can run, until all that is left waits at the gate. `owes` tells what must come there.
    pub(crate) fn settle(&self, gate: &Gate, owes: impl Fn(&Self) -> Option<&'static str>) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        self.runtime.block_on(async {
            let mut last = None;
            loop {
                for _ in 0..4 {
                    tokio::task::yield_now().await;
                }
                let now = (quiet::look(), gate.arrived());
                if now.0.all_sleep && last == Some(now) {
                    let Some(owed) = owes(self) else { return Ok(()) };
                    if Instant::now() > deadline {
                        return Err(format!("{owed}; nothing moves"));
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                } else if !now.0.all_sleep {
                    std::thread::sleep(Duration::from_micros(20));
                }
                last = Some(now);
            }
        })
    }

    /// Has timers fire: what failed is tried again after a pause of 1 ms.
    pub(crate) fn pause(&self) {
        self.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(3)).await });
    }

    /// Ends as a killed process does; returns the folder as it was at that instant.
    pub(crate) fn kill(self) -> TempDir {
        let left = self.probe.state().left.take();
        let left = left.unwrap_or_else(|| copy_as_killed(&self.settings.hot_dir));
        self.probe.end();
        drop(self.store);
        drop(self.runtime);
        await_quiet();
        left
    }

    /// Ends as a process that was asked to does.
    pub(crate) fn close(mut self) -> TempDir {
        if let Some(store) = self.store.take() {
            self.runtime.block_on(store.close(Instant::now() + Duration::from_millis(20)));
        }
        drop(self.runtime);
        await_quiet();
        self.folder
    }
}

/// Waits until the threads of a store that was dropped have let go of its folder.
fn await_quiet() {
    let deadline = Instant::now() + PATIENCE;
    let mut last = None;
    while Instant::now() < deadline {
        let now = quiet::look();
        if now.all_sleep && last == Some(now) {
            return;
        }
        last = Some(now);
        std::thread::sleep(Duration::from_micros(50));
    }
}
