//! Counts the steps of windows together with what came before them.
//!
//! Nearly all traces are in one window only, and are counted from it. Of the others, what came before is in memory if it came
//! in one of the last windows ([`RECENT_SPANS_MAX`]); else it is read back, from the hot tier or from blocks. Where to look:
//!
//! * windows of the hot tier that may have the trace ([`Seen`]),
//! * blocks whose spans were received when the trace was under way: after its first start, a little less for clocks that disagree,
//!   half an hour less when its root or a parent has not been received, and not longer ago than a day: see [`Search`].
//!
//! That finds all that a late span can change, because spans above, below and beside it end after it starts. What it does not find: a
//! span that starts long after all other spans of its trace were received and have left the hot tier; it is counted without its
//! root. So is one whose trace was dropped by a rule before.
//!
//! A node looks at its own windows and blocks: the spans of one trace are sent to one node.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use futures::stream::{StreamExt, TryStreamExt};
use model::Span;
use object_store::ObjectStore;
use proto::TraceId;

use super::bones::{Bones, Gathered};
use super::search::{Places, Search};
use super::seen::Seen;
use super::shape::{Shaper, Texts};
use super::table::Table;
use super::{StepRollup, file};
use crate::background::Background;
use crate::clock::Clock;
use crate::cold::{BlockEntry, BlockIndexes, encode, reader};
use crate::hot::db::WindowId;
use crate::hot::{HotWindow, index, lookup};
use crate::metrics::Metrics;
use crate::rollup::Resolution;
use crate::view::View;
use crate::window::Columns;
use crate::{Error, convert};

/// Spans of offloaded windows that stay in memory, but at least one window: 7 MB.
pub(crate) const RECENT_SPANS_MAX: usize = 1 << 17;

/// Traces of one window of which something is read back. Beyond it they are counted as if they had not been there before:
/// offloading must not fall behind for good. A second or two.
const READ_BACK_MAX: usize = 20_000;

/// How often something is read that seems to be damaged.
const READ_ATTEMPTS: u32 = 3;

/// Traces that are read back before they are counted.
const READ_TOGETHER: usize = 64;

/// Blocks that are asked at the same time.
const BLOCKS_AT_ONCE: usize = 8;

/// What counting needs.
pub(crate) struct StepCounter {
    objects: Arc<dyn ObjectStore>,
    indexes: Arc<BlockIndexes>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    writer: String,
    memory: Mutex<Memory>,
}

/// What is known of earlier windows.
#[derive(Default)]
struct Memory {
    recent: VecDeque<Arc<Bones>>,
    seen: Seen,
    /// What was last asked for.
    live: Option<Live>,
}

/// Windows that are not offloaded, and what they come to.
struct Live {
    /// With the rows of each: a window only grows, so as many rows are the same ones.
    windows: Vec<(WindowId, usize)>,
    rollup: Arc<StepRollup>,
}

/// A rollup, and its file.
pub(crate) struct CountedSteps {
    pub(crate) rollup: StepRollup,
    pub(crate) file: Bytes,
}

/// Where work is done that takes CPU time.
#[derive(Clone, Copy)]
pub(crate) enum On<'a> {
    /// On a thread of its own.
    Background(&'a Background),
    /// On one of those for work that blocks.
    Blocking,
}

impl On<'_> {
    async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        match self {
            On::Background(background) => background.run(work).await,
            On::Blocking => tokio::task::spawn_blocking(work)
                .await
                .map_err(|error| Error::Block(format!("counting steps: {error}")))?,
        }
    }
}

/// A trace that is not in one window only.
struct Split {
    trace_id: TraceId,
    gathered: Gathered,
    /// Spans of `gathered` that are in earlier windows.
    earlier: usize,
    places: Places,
}

impl StepCounter {
    /// After a start: `offloaded` are the windows that the hot tier has of those that are in blocks.
    pub(crate) fn new(
        objects: Arc<dyn ObjectStore>,
        indexes: Arc<BlockIndexes>,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
        writer: String,
        offloaded: &[Arc<HotWindow>],
    ) -> Arc<Self> {
        let now = clock.now().as_i64();
        let mut memory = Memory::default();
        for window in offloaded {
            match window.filter() {
                Some(filter) => memory.seen.add_filter(window.id, filter, now),
                None => memory.seen.forget(window.id, now),
            }
        }
        Arc::new(Self { objects, indexes, clock, metrics, writer, memory: Mutex::new(memory) })
    }

    /// Counts a window that is about to be offloaded. Call [`Self::remember`] before the view says that it is.
    ///
    /// # Errors
    /// When earlier spans cannot be read.
    pub(crate) async fn of_window(
        self: &Arc<Self>,
        view: &Arc<View>,
        window: &Arc<Bones>,
        background: &Background,
    ) -> Result<CountedSteps, Error> {
        let on = On::Background(background);
        let started = Instant::now();
        let table = self.count(view, vec![Arc::clone(window)], on).await?;
        let counted = on.run(move || {
            let rollup = table.into_rollup();
            let file = file::encode(&rollup)?;
            Ok(CountedSteps { rollup, file })
        });
        let counted = counted.await?;
        self.metrics.steps_seconds.observe(started.elapsed().as_secs_f64());
        Ok(counted)
    }

    /// Counts the windows that are not offloaded, which are in order, as one.
    ///
    /// # Errors
    /// When earlier spans cannot be read.
    pub(crate) async fn of_live(
        self: &Arc<Self>,
        view: &Arc<View>,
        windows: Vec<Arc<Bones>>,
    ) -> Result<Arc<StepRollup>, Error> {
        let asked: Vec<_> = windows.iter().map(|bones| (bones.window, bones.rows)).collect();
        if let Some(live) = &self.memory().live
            && live.windows == asked
        {
            return Ok(Arc::clone(&live.rollup));
        }
        let rollup = Arc::new(self.count(view, windows, On::Blocking).await?.into_rollup());
        self.memory().live = Some(Live { windows: asked, rollup: Arc::clone(&rollup) });
        Ok(rollup)
    }

    /// Keeps what later windows need to know of an offloaded one.
    pub(crate) fn remember(&self, window: Arc<Bones>) {
        let now = self.clock.now().as_i64();
        let mut memory = self.memory();
        let is_known = memory.recent.back().is_some_and(|last| last.window >= window.window);
        if !is_known {
            memory.recent.push_back(window);
        }
        while memory.recent.len() > 1 && memory.recent.iter().map(|bones| bones.len()).sum::<usize>() > RECENT_SPANS_MAX
        {
            let Some(oldest) = memory.recent.pop_front() else { return };
            memory.seen.add(oldest.window, oldest.traces.iter().map(|(trace, _)| *trace), now);
        }
    }

    /// Keeps what is known of a window that turned out to be in a block already.
    pub(crate) fn remember_offloaded(&self, window: &HotWindow) {
        let now = self.clock.now().as_i64();
        let mut memory = self.memory();
        match window.filter() {
            Some(filter) => memory.seen.add_filter(window.id, filter, now),
            None => memory.seen.forget(window.id, now),
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn count(self: &Arc<Self>, view: &Arc<View>, new: Vec<Arc<Bones>>, on: On<'_>) -> Result<Table, Error> {
        let (shared, of_view) = (Arc::clone(self), Arc::clone(view));
        let (mut table, splits) = on
            .run(move || {
                let mut table = Table::new(Resolution::Minute);
                let splits = shared.count_whole(&of_view, &new, &mut table);
                Ok((table, splits))
            })
            .await?;
        let mut left = splits.into_iter();
        loop {
            let mut chunk: Vec<(Split, Vec<Span>)> = Vec::new();
            for split in left.by_ref().take(READ_TOGETHER) {
                let spans = match on {
                    On::Background(_) => self.read_or_skip(&split).await?,
                    On::Blocking => self.read(&split).await?,
                };
                chunk.push((split, spans));
            }
            if chunk.is_empty() {
                return Ok(table);
            }
            let add = move || {
                let mut shaper = Shaper::default();
                for (split, spans) in chunk {
                    count_read(&mut table, &mut shaper, split, &spans);
                }
                Ok(table)
            };
            table = on.run(add).await?;
        }
    }

    /// Counts all traces of which everything is in memory; gives the others.
    fn count_whole(&self, view: &View, new: &[Arc<Bones>], table: &mut Table) -> Vec<Split> {
        let Some(first) = new.iter().map(|bones| bones.window).min() else { return Vec::new() };
        let (recent, search) = {
            let memory = self.memory();
            let recent: Vec<Arc<Bones>> = memory.recent.iter().filter(|bones| bones.window < first).cloned().collect();
            let now = self.clock.now().as_i64();
            let search = Search::new(now, &self.writer, view, &recent, first);
            (recent, search)
        };
        let mut shaper = Shaper::default();
        let mut texts: Vec<Texts> = new.iter().map(|_| Texts::default()).collect();
        let mut cursors: Vec<Cursor<'_>> = recent.iter().chain(new).map(|bones| Cursor { bones, at: 0 }).collect();
        let (mut splits, mut skipped) = (Vec::new(), 0);
        while let Some(trace_id) = cursors[recent.len()..].iter().filter_map(Cursor::trace).min() {
            // Where the trace is, as places in `cursors` and numbers within.
            let mut parts: Parts = Parts::default();
            for (at, cursor) in cursors.iter_mut().enumerate() {
                if let Some(number) = cursor.pass(trace_id) {
                    parts.push((at, number));
                }
            }
            let of_part = |(at, number): &(usize, usize)| cursors[*at].bones.of_trace(*number);
            let mut places = search.places(&self.memory().seen, trace_id, || parts.iter().map(of_part));
            if !places.is_empty() && splits.len() >= READ_BACK_MAX {
                skipped += 1;
                places = Places::default();
            }
            match (&parts[..], places.is_empty()) {
                ([(at, number)], true) => {
                    let at = *at - recent.len();
                    let spans = new[at].of_trace(*number);
                    shaper.count(table, &mut texts[at], trace_id, &new[at], spans, false);
                }
                (parts, is_known) => {
                    let is_earlier = |(at, _): &&(usize, usize)| *at < recent.len();
                    let mut split = Split { trace_id, gathered: Gathered::default(), earlier: 0, places };
                    for (at, number) in parts.iter().take_while(is_earlier) {
                        split.gathered.add_bones(cursors[*at].bones, *number);
                    }
                    split.earlier = split.gathered.len();
                    for (at, number) in parts.iter().skip_while(is_earlier) {
                        split.gathered.add_bones(cursors[*at].bones, *number);
                    }
                    if is_known {
                        count_split(table, &mut shaper, trace_id, &split.gathered, split.earlier);
                    } else {
                        splits.push(split);
                    }
                }
            }
        }
        if skipped > 0 {
            self.metrics.steps_skipped.inc_by(skipped);
            tracing::warn!(traces = skipped, "too many traces were in earlier windows, their steps are counted again");
        }
        self.metrics.steps_read_back.inc_by(splits.len() as u64);
        splits
    }

    /// What is in the places of a trace. A block that is damaged must not keep others from being made.
    async fn read_or_skip(&self, split: &Split) -> Result<Vec<Span>, Error> {
        let mut attempts = 1;
        loop {
            match self.read(split).await {
                Err(error) if !error.passes_by_itself() => {
                    // An answer that was cut short looks like damage.
                    if attempts < READ_ATTEMPTS {
                        attempts += 1;
                        continue;
                    }
                    self.metrics.steps_skipped.inc();
                    let trace_id = split.trace_id;
                    tracing::warn!(%error, %trace_id, "earlier spans cannot be read, their steps are counted again");
                    return Ok(Vec::new());
                }
                other => return other,
            }
        }
    }

    /// What is in the places of a trace.
    async fn read(&self, split: &Split) -> Result<Vec<Span>, Error> {
        let trace_id = split.trace_id;
        let mut spans = Vec::new();
        for window in &split.places.windows {
            let Some(filter) = window.filter() else { continue };
            for request in lookup::batches(window, &index::batches_of(window, filter, trace_id)?)? {
                convert::spans_of_trace(&request, trace_id, &mut spans);
            }
        }
        let mut reads = Vec::new();
        for block in &split.places.blocks {
            reads.push(self.spans_in_block(block, trace_id));
        }
        // In order: of two that end at the same time the earlier one counts.
        let from_blocks: Vec<Vec<Span>> = futures::stream::iter(reads).buffered(BLOCKS_AT_ONCE).try_collect().await?;
        let mut all: Vec<Span> = from_blocks.into_iter().flatten().collect();
        all.append(&mut spans);
        Ok(all)
    }

    async fn spans_in_block(&self, block: &BlockEntry, trace_id: TraceId) -> Result<Vec<Span>, Error> {
        let row_groups = self.indexes.locator(block).await?.row_groups_of(trace_id);
        if row_groups.is_empty() {
            return Ok(Vec::new());
        }
        let footer = self.indexes.footer(block).await?;
        reader::spans_of_trace(&self.objects, block, footer, row_groups, trace_id).await
    }
}

/// Where a trace is, few places each.
type Parts = Vec<(usize, usize)>;

/// Goes through the traces of a window in order.
struct Cursor<'a> {
    bones: &'a Arc<Bones>,
    at: usize,
}

impl Cursor<'_> {
    fn trace(&self) -> Option<TraceId> {
        self.bones.traces.get(self.at).map(|(trace, _)| *trace)
    }

    /// Goes past a trace, and says which number it had here.
    fn pass(&mut self, trace_id: TraceId) -> Option<usize> {
        while self.trace().is_some_and(|trace| trace < trace_id) {
            self.at += 1;
        }
        (self.trace() == Some(trace_id)).then(|| {
            self.at += 1;
            self.at - 1
        })
    }
}

/// Counts a trace of which some spans were read back.
fn count_read(table: &mut Table, shaper: &mut Shaper, split: Split, spans: &[Span]) {
    let Split { trace_id, gathered: in_memory, earlier, .. } = split;
    let mut gathered = Gathered::default();
    spans.iter().for_each(|span| gathered.add_span(span));
    let read = gathered.len();
    gathered.add_all(&in_memory);
    count_split(table, shaper, trace_id, &gathered, read + earlier);
}

/// Counts a trace, and takes back what was counted of its first `earlier` spans.
fn count_split(table: &mut Table, shaper: &mut Shaper, trace_id: TraceId, gathered: &Gathered, earlier: usize) {
    let mut texts = Texts::default();
    let (before, after) = (gathered.first(earlier), gathered.first(gathered.len()));
    if before == after {
        return;
    }
    if !before.is_empty() {
        shaper.count(table, &mut texts, trace_id, gathered.bones(), &before, true);
    }
    shaper.count(table, &mut texts, trace_id, gathered.bones(), &after, false);
}

/// What counting needs of a window.
pub(crate) fn bones_of(window: WindowId, columns: &Columns) -> Arc<Bones> {
    Arc::new(Bones::of_window(window, columns, &encode::order(columns)))
}
