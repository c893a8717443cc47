//! Keeps the table up to date: which traces are to be looked at, when, and looking at them.
//!
//! A trace is looked at soon after spans of it came, and the larger it is the longer not again. CPU work is done on a thread of
//! its own; what is to be looked at is bounded, and beyond that remembered on disk.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use model::failover::{FailoverFacts, HealthMark};
use model::rules::Rules;
use model::run::parts_of;
use object_store::ObjectStore;
use proto::TraceId;
use tokio::sync::Notify;

use super::item::{Item, ItemKey, PartKey};
use super::load;
use super::marks::Marks;
use super::scan::Scanner;
use super::table::{Changed, RunTable};
use crate::background::Background;
use crate::clock::Clock;
use crate::hot::db::WindowId;
use crate::metrics::Metrics;
use crate::read::Shared;
use crate::view::View;
use crate::window::Columns;
use crate::{Error, Reader, Settings};

/// How often new rows are gone over.
const TICK: Duration = Duration::from_millis(250);

/// Traces that are looked at without a look at whether the store closes: some milliseconds.
const TOGETHER: usize = 100;

/// How often files of other writers are looked for, in [`TICK`]s, beside at the start.
const TICKS_PER_LOAD: u64 = 80;

/// How often what is too old is removed, in [`TICK`]s.
const TICKS_PER_EXPIRY: u64 = 14_400;

/// Traces that are looked at in one tick.
const PER_TICK: usize = 1_000;

/// Traces that wait in memory to be looked at; others wait on disk.
const WAITING_MAX: usize = 100_000;

/// Traces of which it is known that they said something: a million of them take 20 MB.
const KNOWN_MAX: usize = 1 << 20;

/// For each span that a trace has it is left alone for as long after it was looked at, so that following a trace of any size takes
/// a hundredth of a CPU.
const REST_PER_SPAN: Duration = Duration::from_micros(500);

/// A trace that could not be read is read again after this.
const AFTER_FAILURE: Duration = Duration::from_secs(10);

/// How long after their last activity traces are looked at whenever a span of them comes, whatever the span is, nanoseconds.
const KNOWN_NANOS: i64 = 26 * 3_600 * 1_000_000_000;

/// How long what was seen of instances that failed is kept for failovers that are told about later, nanoseconds.
const MARKS_NANOS: i64 = 48 * 3_600 * 1_000_000_000;

/// Failovers that are measured again when more is seen of their instance, the latest ones.
const WATCHED_MAX: usize = 4_096;

/// What the worker works with.
pub(crate) struct RunWorkerParts {
    pub(crate) table: Arc<RunTable>,
    pub(crate) rules: Rules,
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    pub(crate) objects: Arc<dyn ObjectStore>,
    /// Its thread.
    pub(crate) background: Background,
}

/// Follows the spans.
pub(crate) struct RunWorker {
    parts: RunWorkerParts,
    state: Mutex<State>,
    /// Set when the store closes.
    stop: AtomicBool,
    closing: Notify,
}

struct State {
    scanner: Scanner,
    marks: Marks,
    waiting: HashMap<TraceId, Waiting, RandomState>,
    /// Those that are being looked at: what they say is not in the table yet.
    looking: HashMap<TraceId, Waiting, RandomState>,
    /// Until when large traces are left alone.
    resting: HashMap<TraceId, Instant, RandomState>,
    known: HashSet<TraceId, RandomState>,
    watched: HashMap<String, Vec<Watched>, RandomState>,
    /// Failovers of whose instances more was seen.
    to_measure: HashSet<PartKey, RandomState>,
    /// Some traces wait on disk only.
    has_more: bool,
}

/// A trace that is to be looked at.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    due: Instant,
    /// It was before the program started: what was joined of it may be gone.
    again: bool,
    is_noted: bool,
}

/// A failover, and the time in which more may be seen of its instance, Unix nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Watched {
    part: PartKey,
    from: i64,
    to: i64,
}

impl RunWorker {
    /// Goes on from the table.
    ///
    /// # Errors
    /// When the hot tier fails.
    pub(crate) fn new(parts: RunWorkerParts) -> Result<Arc<Self>, Error> {
        let mut state = State {
            scanner: Scanner::new(parts.rules.clone()),
            marks: Marks::default(),
            waiting: HashMap::default(),
            looking: HashMap::default(),
            resting: HashMap::default(),
            known: HashSet::default(),
            watched: HashMap::default(),
            to_measure: HashSet::default(),
            has_more: false,
        };
        let since = parts.clock.now().as_i64().saturating_sub(KNOWN_NANOS);
        parts.table.each_active_trace(since, |trace| {
            if state.known.len() < KNOWN_MAX {
                state.known.insert(trace);
            }
        })?;
        state.wait_again(&parts.table)?;
        for facts in parts.table.failovers(proto::UnixNanos::from_i64(since), proto::UnixNanos::MAX)? {
            state.watch(&facts, parts.table.settings().look_back_nanos);
        }
        Ok(Arc::new(Self { parts, state: Mutex::new(state), stop: AtomicBool::new(false), closing: Notify::new() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has [`Self::run`] end after the trace that it is at. The others are looked at after the next start.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.closing.notify_one();
    }

    /// Follows the spans until it is stopped; not at all when nothing is to be derived.
    pub(crate) async fn run(self: Arc<Self>, reader: Reader) {
        if !self.parts.settings.derive_operations {
            return;
        }
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for tick in 0u64.. {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.closing.notified() => return,
            }
            if tick % TICKS_PER_LOAD == 0 {
                self.tell(self.load(reader.shared()).await, "what other writers know of runs cannot be read");
            }
            if tick % TICKS_PER_EXPIRY == TICKS_PER_EXPIRY - 1 {
                self.tell(self.expire().await, "old runs cannot be removed");
            }
            self.tell(self.follow(&reader).await, "runs cannot be followed");
        }
    }

    fn tell(&self, outcome: Result<(), Error>, what: &str) {
        if let Err(error) = outcome {
            self.parts.metrics.run_errors.inc();
            tracing::warn!(%error, "{what}, trying again");
        }
    }

    async fn load(&self, shared: &Shared) -> Result<(), Error> {
        let view = shared.views.load();
        let loaded = load::load(&self.parts.table, &view, &self.parts.objects, &self.parts.background).await?;
        if loaded > 0 {
            tracing::info!(files = loaded, "loaded runs from the cold tier");
        }
        Ok(())
    }

    async fn expire(self: &Arc<Self>) -> Result<(), Error> {
        let this = Arc::clone(self);
        let expire = move || {
            let now = this.parts.clock.now().as_i64();
            let kept = i64::try_from(this.parts.settings.run_retention.as_nanos()).unwrap_or(i64::MAX);
            this.parts.table.expire(now.saturating_sub(kept), now.saturating_sub(MARKS_NANOS))?;
            let mut known = HashSet::default();
            this.parts.table.each_active_trace(now.saturating_sub(KNOWN_NANOS), |trace| {
                known.insert(trace);
            })?;
            let mut state = this.state();
            state.known = known;
            state.watched.retain(|_, failovers| {
                failovers.retain(|one| one.to >= now.saturating_sub(KNOWN_NANOS));
                !failovers.is_empty()
            });
            Ok(())
        };
        self.parts.background.run(expire).await
    }

    /// Goes over new rows, and looks at the traces whose time has come.
    pub(super) async fn follow(self: &Arc<Self>, reader: &Reader) -> Result<(), Error> {
        let view = reader.shared().views.load();
        let this = Arc::clone(self);
        let mut due = self.parts.background.run(move || this.scan_live(&view)).await?;
        while !due.is_empty() && !self.stop.load(Ordering::Relaxed) {
            let (this, of_reader) = (Arc::clone(self), reader.clone());
            let some = due.split_off(due.len().saturating_sub(TOGETHER));
            let left = self.parts.background.run(move || this.look_into_hot(of_reader.shared(), some)).await?;
            self.look_into_blocks(reader, left).await?;
        }
        let this = Arc::clone(self);
        self.parts.background.run(move || this.measure_again()).await
    }

    /// Looks at traces of which everything is in the hot tier; gives the others.
    fn look_into_hot(&self, shared: &Shared, due: Vec<(TraceId, Waiting)>) -> Result<Vec<(TraceId, Waiting)>, Error> {
        let view = shared.views.load();
        let mut left = Vec::new();
        for (trace_id, waiting) in due {
            match shared.trace_in_hot(&view, trace_id) {
                Ok(Some(spans)) => self.look_at(trace_id, waiting, spans)?,
                // What cannot be read is tried again, and told, as for the others.
                Ok(None) | Err(_) => left.push((trace_id, waiting)),
            }
        }
        Ok(left)
    }

    async fn look_into_blocks(self: &Arc<Self>, reader: &Reader, due: Vec<(TraceId, Waiting)>) -> Result<(), Error> {
        for (trace_id, waiting) in due {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            match reader.trace(trace_id).await {
                Ok(spans) => {
                    let this = Arc::clone(self);
                    let look = move || this.look_at(trace_id, waiting, spans);
                    self.parts.background.run(look).await?;
                }
                Err(error) => {
                    self.state().looked_at(trace_id);
                    self.state().wait(trace_id, Waiting { due: Instant::now() + AFTER_FAILURE, ..waiting });
                    self.tell(Err(error), "a trace that may be a run cannot be read");
                }
            }
        }
        Ok(())
    }

    /// Goes over the new rows of all windows; gives the traces whose time has come.
    fn scan_live(&self, view: &View) -> Result<Vec<(TraceId, Waiting)>, Error> {
        let started = Instant::now();
        for live in &view.live {
            self.scan(live.hot.id, &live.read())?;
        }
        let mut state = self.state();
        if state.waiting.is_empty() && state.has_more {
            state.wait_again(&self.parts.table)?;
        }
        let now = Instant::now();
        let due: Vec<_> = state.waiting.iter().filter(|(_, waiting)| waiting.due <= now).take(PER_TICK).collect();
        let due: Vec<_> = due.into_iter().map(|(trace, waiting)| (*trace, *waiting)).collect();
        for (trace, waiting) in &due {
            state.waiting.remove(trace);
            state.looking.insert(*trace, *waiting);
        }
        // A window that was offloaded meanwhile is not gone over again.
        state.scanner.retain(|window| view.live.iter().any(|live| live.hot.id == window));
        state.resting.retain(|_, until| *until > now);
        self.parts.metrics.runs_waiting.set(state.to_look_at());
        self.parts.metrics.run_scan_seconds.observe(started.elapsed().as_secs_f64());
        Ok(due)
    }

    fn scan(&self, window: WindowId, columns: &Columns) -> Result<(), Error> {
        let mut kept = Vec::new();
        let mut guard = self.state();
        let state = &mut *guard;
        let (known, looking) = (&state.known, &state.looking);
        // One that is being looked at was read before these rows, and is not known until that is done.
        let is_known = |trace| known.contains(&trace) || looking.contains_key(&trace);
        let found = state.scanner.scan(window, columns, is_known);
        for mark in &found.marks {
            state.marks.add(mark, &mut kept);
            state.note_seen(mark);
        }
        let (now, mut beyond) = (Instant::now(), Vec::new());
        for trace in found.traces {
            let due = state.resting.get(&trace).copied().unwrap_or(now);
            if !state.wait(trace, Waiting { due, again: false, is_noted: false }) {
                beyond.push(trace);
            }
        }
        // Before anybody else can see that these rows have been gone over.
        self.parts.table.note_traces(beyond.into_iter())?;
        self.parts.table.add_marks(&kept)
    }

    /// A window is about to be offloaded: whatever is not known of it yet is remembered on disk, so that no crash can hide it.
    ///
    /// # Errors
    /// When the hot tier fails.
    pub(crate) fn settle(&self, window: WindowId, columns: &Columns) -> Result<(), Error> {
        self.scan(window, columns)?;
        let noted: Vec<TraceId> = {
            let mut state = self.state();
            state.scanner.retain(|other| other != window);
            let State { waiting, looking, .. } = &mut *state;
            let waiting = waiting.iter_mut().chain(looking).filter(|(_, waiting)| !waiting.is_noted);
            let noted = waiting.map(|(trace, waiting)| (*trace, waiting.is_noted = true).0).collect();
            self.parts.metrics.runs_waiting.set(state.to_look_at());
            noted
        };
        self.parts.table.note_traces(noted.into_iter())?;
        self.parts.table.flush()
    }

    /// What the cold tier does not have yet.
    ///
    /// # Errors
    /// When the hot tier fails.
    pub(crate) fn changed(&self) -> Result<Vec<Item>, Error> {
        self.parts.table.changed_items()
    }

    /// The cold tier has these now, in the file at `path`.
    pub(crate) fn exported(&self, items: &[(ItemKey, u64)], path: &str) {
        // If it fails they go there once more.
        if let Err(error) = self.parts.table.forget_changed(items, Some(path)) {
            tracing::debug!(%error, "runs that are in the cold tier will be written there again");
        }
    }

    fn look_at(&self, trace_id: TraceId, waiting: Waiting, spans: Vec<model::Span>) -> Result<(), Error> {
        let started = Instant::now();
        let rest = REST_PER_SPAN.saturating_mul(spans.len().min(1 << 20) as u32);
        let parts = model::assemble(spans).map(|trace| parts_of(&trace, &self.parts.rules)).unwrap_or_default();
        let seen = |instance: &str, from, to| self.state().marks.of(instance, from, to);
        let changed = self.parts.table.replace(trace_id, &parts, waiting.again, &seen)?;
        if self.state().looked_at(trace_id) {
            self.parts.table.forget_trace(trace_id)?;
        }
        self.parts.metrics.runs_looked_at.inc();
        self.parts.metrics.run_seconds.observe(started.elapsed().as_secs_f64());
        let mut state = self.state();
        if !parts.is_empty() && state.known.len() < KNOWN_MAX {
            state.known.insert(trace_id);
        }
        if rest > TICK {
            state.resting.insert(trace_id, Instant::now() + rest);
        }
        state.learn(&changed, self.parts.table.settings().look_back_nanos);
        Ok(())
    }

    fn measure_again(&self) -> Result<(), Error> {
        let parts: Vec<PartKey> = self.state().to_measure.drain().collect();
        if parts.is_empty() {
            return Ok(());
        }
        let seen = |instance: &str, from, to| self.state().marks.of(instance, from, to);
        let changed = self.parts.table.measure_again(&parts, &seen)?;
        self.state().learn(&changed, self.parts.table.settings().look_back_nanos);
        Ok(())
    }
}

impl State {
    /// Traces in memory that wait or are being looked at.
    fn to_look_at(&self) -> i64 {
        (self.waiting.len() + self.looking.len()) as i64
    }

    /// Whether there is room for a trace to wait in memory.
    fn wait(&mut self, trace: TraceId, waiting: Waiting) -> bool {
        if self.waiting.len() >= WAITING_MAX && !self.waiting.contains_key(&trace) {
            self.has_more = true;
            return false;
        }
        let known = self.waiting.entry(trace).or_insert(waiting);
        known.due = known.due.min(waiting.due);
        known.again |= waiting.again;
        true
    }

    /// A trace has been looked at; whether it need not be again.
    fn looked_at(&mut self, trace: TraceId) -> bool {
        self.looking.remove(&trace);
        let again = self.waiting.get_mut(&trace);
        // What was noted of it may have been for the time before.
        again.map(|waiting| waiting.is_noted = false).is_none()
    }

    /// Takes traces from disk.
    fn wait_again(&mut self, table: &RunTable) -> Result<(), Error> {
        let noted = table.noted_traces(WAITING_MAX)?;
        self.has_more = noted.len() >= WAITING_MAX;
        let now = Instant::now();
        for trace in noted {
            self.wait(trace, Waiting { due: now, again: true, is_noted: true });
        }
        Ok(())
    }

    fn learn(&mut self, changed: &Changed, look_back_nanos: i64) {
        for facts in &changed.failovers {
            self.watch(facts, look_back_nanos);
        }
    }

    fn watch(&mut self, facts: &FailoverFacts, look_back_nanos: i64) {
        let Some(instance) = &facts.subject.instance else { return };
        let class = model::OperationClass::Failover;
        let part = PartKey { trace_id: facts.run.trace_id, top: facts.run.top, class };
        let from = facts.start.saturating_add(look_back_nanos.saturating_neg()).as_i64();
        let to = facts.timeline.end.saturating_add(look_back_nanos).as_i64();
        if self.watched.len() >= WATCHED_MAX && !self.watched.contains_key(instance) {
            let oldest = self.watched.iter().min_by_key(|(_, failovers)| failovers.iter().map(|one| one.to).max());
            if let Some(oldest) = oldest.map(|(instance, _)| instance.clone()) {
                self.watched.remove(&oldest);
            }
        }
        let of_instance = self.watched.entry(instance.clone()).or_default();
        of_instance.retain(|one| one.part != part);
        of_instance.push(Watched { part, from, to });
    }

    fn note_seen(&mut self, mark: &HealthMark) {
        let at = mark.at.as_i64();
        let Some(failovers) = self.watched.get(&mark.instance) else { return };
        let concerned = failovers.iter().filter(|one| (one.from..=one.to).contains(&at));
        self.to_measure.extend(concerned.map(|one| one.part));
    }
}
