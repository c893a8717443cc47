//! The one thread that writes to the hot tier: it groups waiting batches, syncs once, answers all of them.
//!
//! Owns the open window: only this thread adds to it and seals it, so a sealed window takes no late write.
//! After the answer a batch goes on to be turned into columns; a full queue there shows as bytes in flight.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use rocksdb::WriteBatch;
use tokio::sync::oneshot;

use super::db::WindowId;
use super::keys::BatchNumber;
use super::{Group, HotDb, HotWindow, keys};
use crate::budget::Permit;
use crate::clock::Clock;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::offload::spill::Spiller;
use crate::points::{Point, Probe};
use crate::prepare::PreparedRequest;
use crate::pressure::Gauges;
use crate::progress::Progress;
use crate::view::Views;
use crate::window::LiveWindow;
use crate::{Error, Settings};

/// Compressed bytes that one sync may serve: what a disk writes in a few milliseconds.
const GROUP_BYTES_MAX: usize = 4 << 20;

/// Pause between attempts to seal a window that was to be sealed already.
const SEAL_AGAIN: Duration = Duration::from_secs(1);

/// How long answers wait for the offload of a window before the next one fills, when as many wait in memory as may. Making
/// columns a second time costs more than senders lose by waiting, but an object store that does not answer must not stop them.
const PATIENCE: Duration = Duration::from_secs(1);

/// A request on its way in.
pub(crate) struct Append {
    pub(crate) request: PreparedRequest,
    pub(crate) permit: Permit,
    pub(crate) done: oneshot::Sender<Result<(), Error>>,
}

/// What happens after the answer, in the order of the hot tier.
pub(crate) enum Committed {
    /// A request of this window is durable; its first batch has this number.
    Request(Arc<LiveWindow>, PreparedRequest, BatchNumber, Permit),
    /// No more batches of this window will come.
    Sealed(Arc<LiveWindow>),
}

/// The writing thread's state.
pub(crate) struct Committer {
    pub(crate) db: Arc<HotDb>,
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) views: Arc<Views>,
    pub(crate) health: Health,
    pub(crate) metrics: Metrics,
    pub(crate) probe: Arc<dyn Probe>,
    pub(crate) progress: Progress,
    pub(crate) next: Sender<Committed>,
    pub(crate) window: OpenWindow,
    /// Never used before, not even for a window whose creation failed half-way.
    pub(crate) next_window: WindowId,
    pub(crate) gauges: Arc<Gauges>,
}

/// The window that batches are added to.
pub(crate) struct OpenWindow {
    live: Arc<LiveWindow>,
    batches: u64,
    spans: u64,
    bytes: u64,
    /// When the first batch came.
    since: Option<Instant>,
    /// The disk had no space for the next window; not to be tried again before.
    seal_after: Option<Instant>,
}

impl OpenWindow {
    pub(crate) const fn new(live: Arc<LiveWindow>) -> Self {
        Self { live, batches: 0, spans: 0, bytes: 0, since: None, seal_after: None }
    }
}

impl Committer {
    /// Serves requests until all senders are gone.
    pub(crate) fn run(mut self, batches: &Receiver<Append>) {
        loop {
            match batches.recv_timeout(self.until_too_old()) {
                Ok(first) => self.commit(first, batches),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.window_is_full()
                && let Err(error) = self.seal()
            {
                self.window.seal_after = Some(Instant::now() + SEAL_AGAIN);
                self.fail(&error);
            }
        }
    }

    fn commit(&mut self, first: Append, appends: &Receiver<Append>) {
        let mut bytes = first.request.logged_bytes();
        let mut group = vec![first];
        while bytes < GROUP_BYTES_MAX
            && let Ok(append) = appends.try_recv()
        {
            bytes += append.request.logged_bytes();
            group.push(append);
        }
        self.metrics.commit_requests.observe(group.len() as f64);
        let started = Instant::now();
        let written = self.health.check().or_else(closing_is_fine).and_then(|()| self.write(&group));
        self.metrics.commit_seconds.observe(started.elapsed().as_secs_f64());
        if let Err(error) = &written
            && !self.health.is_poisoned()
        {
            self.fail(error);
        }
        for Append { request, permit, done } in group {
            if written.is_ok() {
                let first_batch = self.count(&request);
                self.progress.commit();
                // The receiver ends after this thread.
                let next = Committed::Request(Arc::clone(&self.window.live), request, first_batch, permit);
                let _ = self.next.send(next);
            }
            // A client that went away does not hear it.
            let _ = done.send(written.clone());
        }
    }

    fn write(&self, group: &[Append]) -> Result<(), Error> {
        let hot = &self.window.live.hot;
        let family = hot.group.family()?;
        let mut batch = WriteBatch::default();
        let pieces = group.iter().flat_map(|append| append.request.pieces());
        let dictionaries = pieces.clone().filter_map(|piece| piece.dictionary.as_deref());
        let added = hot.group.add_dictionaries(&family, dictionaries, &mut batch);
        for (number, piece) in (self.window.batches..).zip(pieces) {
            batch.put_cf(&family, keys::batch(hot.id, number), &piece.value);
        }
        self.db.write_synced(batch)?;
        hot.group.has(added);
        self.probe.reached(Point::BatchesSynced);
        self.metrics.commits.inc();
        Ok(())
    }

    /// Adds a durable request to the window; says which number its first batch has.
    fn count(&mut self, request: &PreparedRequest) -> BatchNumber {
        let (spans, bytes) = (request.span_count() as u64, request.bytes().len() as u64);
        let first_batch = self.window.batches;
        self.window.since.get_or_insert_with(Instant::now);
        self.window.batches += request.pieces().len() as u64;
        self.window.spans += spans;
        self.window.bytes += bytes;
        self.metrics.batches.inc();
        self.metrics.spans.inc_by(spans);
        self.metrics.batch_bytes.inc_by(bytes);
        self.metrics.open_window_spans.set(self.window.spans as i64);
        self.window.live.hot.grow(request.logged_bytes() as u64);
        self.gauges.add_waiting(request.logged_bytes() as u64);
        first_batch
    }

    fn until_too_old(&self) -> Duration {
        // Nothing can grow old before a batch comes.
        let Some(since) = self.window.since else { return Duration::from_secs(3600) };
        let left = self.settings.window_age_max.saturating_sub(since.elapsed());
        let must_wait = self.window.seal_after.is_some() || self.is_behind();
        if must_wait { left.max(SEAL_AGAIN) } else { left }
    }

    fn window_is_full(&self) -> bool {
        let window = &self.window;
        if window.seal_after.is_some_and(|after| Instant::now() < after) {
            return false;
        }
        let is_old = || window.since.is_some_and(|since| since.elapsed() >= self.settings.window_age_max);
        window.spans >= self.settings.window_spans_max
            || window.bytes >= self.settings.window_bytes_max
            || (is_old() && !self.is_behind())
    }

    /// Whether windows wait on disk only: one more window would wait with them, so the open one may as well fill up.
    fn is_behind(&self) -> bool {
        !self.views.load().spilled.is_empty()
    }

    /// Waits while offloading goes on and is slower than receiving.
    fn wait_for_offload(&self) {
        let started = Instant::now();
        let sealed_max = self.settings.windows_in_memory_max;
        // The last live one is open: it is about to be sealed.
        self.views.wait(PATIENCE, |view| view.live.len() <= sealed_max || !view.spilled.is_empty());
        self.metrics.seal_wait_seconds.observe(started.elapsed().as_secs_f64());
    }

    fn seal(&mut self) -> Result<(), Error> {
        self.wait_for_offload();
        let id = self.next_window;
        self.next_window += 1;
        let live = LiveWindow::new(HotWindow::new(self.group_of(id)?, id), self.settings.window_spans_max);
        let sealed = std::mem::replace(&mut self.window, OpenWindow::new(Arc::clone(&live)));
        self.views.change(|view| {
            view.hot.push(Arc::clone(&live.hot));
            view.live.push(live);
        });
        self.probe.reached(Point::WindowSealed);
        self.metrics.open_window_spans.set(0);
        self.metrics.windows_waiting.inc();
        // The receiver ends after this thread.
        let _ = self.next.send(Committed::Sealed(sealed.live));
        Ok(())
    }

    /// The group of the window after the open one.
    fn group_of(&self, next: WindowId) -> Result<Arc<Group>, Error> {
        let (group, now) = (&self.window.live.hot.group, self.clock.now());
        if group.is_full(&self.settings, now, self.is_behind()) {
            return Group::create(&self.db, next, now);
        }
        Ok(Arc::clone(group))
    }

    fn fail(&self, error: &Error) {
        if error.passes_by_itself() {
            self.gauges.set_disk_is_full(error);
            return;
        }
        self.metrics.poisoned.set(1);
        self.health.poison(error);
    }
}

/// What was accepted before the store began to close is still written.
fn closing_is_fine(error: Error) -> Result<(), Error> {
    match error {
        Error::Closing => Ok(()),
        error => Err(error),
    }
}

/// Turns durable requests into columns and passes sealed windows on, until the writing thread is gone.
pub(crate) fn build_columns(committed: &Receiver<Committed>, spiller: &Spiller, progress: &Progress) {
    for step in committed {
        match step {
            Committed::Request(window, request, first_batch, permit) => {
                window.write().push_request(&request, first_batch);
                progress.build();
                drop(permit);
            }
            Committed::Sealed(window) => spiller.sealed(&window),
        }
    }
    progress.end();
}
