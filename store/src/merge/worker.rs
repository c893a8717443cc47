//! Decides what to merge, has it done, commits it; one after the other.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use object_store::ObjectStore;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Notify, oneshot};

use super::plan;
use super::rewrite::{Failure, Job, Rewritten};
use super::sweep::{Orphans, Sweep};
use crate::background::{Background, Urgency};
use crate::budget::Budget;
use crate::clock::Clock;
use crate::cold::sieve::Sieve;
use crate::cold::{BlockEntry, BlockId, BlockIndexes, Origin};
use crate::delete::DeletedTraces;
use crate::manifest::Editor;
use crate::metrics::Metrics;
use crate::points::{Point, Probe};
use crate::retention::{Retention, RetentionSieve, due_for_rewrite};
use crate::view::{View, Views};
use crate::{Error, Settings};

/// Windows that a merged block names at most. With more it names none, and is read where the hot tier might have done.
const WINDOWS_MAX: usize = 1_024;

/// What merging needs.
pub(crate) struct MergerParts {
    pub(crate) editor: Arc<Editor>,
    pub(crate) objects: Arc<dyn ObjectStore>,
    pub(crate) indexes: Arc<BlockIndexes>,
    pub(crate) views: Arc<Views>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
    pub(crate) metrics: Metrics,
    pub(crate) probe: Arc<dyn Probe>,
    pub(crate) budget: Budget,
    pub(crate) origin: Origin,
    pub(crate) retention: Arc<Retention>,
    /// What is to be deleted later.
    pub(crate) orphans: Orphans,
}

/// Merges the blocks of one writer.
pub(crate) struct Merger {
    pub(super) parts: MergerParts,
    background: Background,
    stop: Arc<AtomicBool>,
    state: Mutex<State>,
}

pub(super) struct State {
    /// Blocks that cannot be merged.
    left_out: HashSet<BlockId>,
    /// Blocks that were rewritten alone for deletes and lost no span, with those deletes: not again because of them.
    kept_whole: HashMap<BlockId, Arc<DeletedTraces>>,
    sweep: Sweep,
}

impl Merger {
    /// Starts its thread.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub(crate) fn start(parts: MergerParts) -> Result<Self, Error> {
        let sweep = Sweep::new(parts.clock.now());
        Ok(Self {
            background: Background::start("store-merge", Urgency::Behind)?,
            stop: Arc::new(AtomicBool::new(false)),
            state: Mutex::new(State { left_out: HashSet::new(), kept_whole: HashMap::new(), sweep }),
            parts,
        })
    }

    /// Merges now and then, and whenever `blocks` says that there is one more, until `closing` ends.
    pub(crate) async fn run(self: Arc<Self>, blocks: Arc<Notify>, mut closing: oneshot::Receiver<()>) {
        let settings = &self.parts.settings;
        let mut pause = None;
        loop {
            tokio::select! {
                _ = &mut closing => return,
                () = tokio::time::sleep(pause.unwrap_or(settings.merge_interval)) => {}
                () = blocks.notified(), if pause.is_none() => {}
            }
            let mut turn = Box::pin(self.run_once());
            let result = tokio::select! {
                result = &mut turn => result,
                _ = &mut closing => {
                    // A commit that is under way ends as it does; a rewrite ends soon.
                    self.stop.store(true, Ordering::Relaxed);
                    let _ = turn.await;
                    return;
                }
            };
            pause = match result {
                Ok(()) => None,
                Err(error) => {
                    tracing::warn!(%error, "merging failed, trying again later");
                    let last: Option<Duration> = pause;
                    let next = last.map_or(settings.retry_pause_min, |last| last * 2);
                    Some(next.min(settings.retry_pause_max.max(settings.retry_pause_min)))
                }
            };
        }
    }

    /// Does all that there is to do now.
    ///
    /// # Errors
    /// When the object store or the hot tier fails. What was committed before stays; the rest is done with the next call.
    pub(crate) async fn run_once(&self) -> Result<(), Error> {
        let mut state = self.state.lock().await;
        let result = self.work(&mut state).await;
        match &result {
            Err(Error::Closing) => return Ok(()),
            Err(Error::Cold(_)) => drop(self.parts.metrics.object_store_errors.inc()),
            _ => {}
        }
        result
    }

    async fn work(&self, state: &mut State) -> Result<(), Error> {
        self.expire().await?;
        loop {
            let manifest = self.parts.editor.current().await?;
            let inputs = self.plan(state, &manifest.blocks).await?;
            if inputs.is_empty() {
                break;
            }
            self.merge(state, &inputs).await?;
        }
        self.sweep(&mut state.sweep).await
    }

    /// Which blocks to rewrite into one.
    async fn plan(&self, state: &mut State, blocks: &[Arc<BlockEntry>]) -> Result<Vec<Arc<BlockEntry>>, Error> {
        let settings = &self.parts.settings;
        let limits = plan::Limits { inputs_min: settings.merge_inputs_min, bytes_max: settings.merge_block_bytes_max };
        state.kept_whole.retain(|id, _| blocks.iter().any(|block| block.id == *id));
        let usable: Vec<_> = blocks.iter().filter(|block| !state.left_out.contains(&block.id)).cloned().collect();
        let due = self.due(state, &usable).await?;
        Ok(plan::merge(&usable, limits, self.parts.clock.now(), |block| due.contains(&block.id)))
    }

    /// Which blocks would lose rows if they were rewritten.
    async fn due(&self, state: &State, blocks: &[Arc<BlockEntry>]) -> Result<HashSet<BlockId>, Error> {
        let (deleted, now) = (Arc::clone(&self.parts.views.load().deleted), self.parts.clock.now());
        let mut due = HashSet::new();
        for block in blocks {
            let may_hide = deleted.between(block.trace_id_min, block.trace_id_max).next().is_some();
            let is_new = || state.kept_whole.get(&block.id).is_none_or(|known| *known != deleted);
            let locator = if may_hide && is_new() { Some(self.parts.indexes.locator(block).await?) } else { None };
            let may_have = |id| locator.as_ref().is_some_and(|locator| !locator.row_groups_of(id).is_empty());
            if due_for_rewrite(block, &deleted, may_have, now) {
                due.insert(block.id);
            }
        }
        Ok(due)
    }

    /// Takes blocks out of the manifest that are past an age or too many.
    async fn expire(&self) -> Result<(), Error> {
        let Settings { cold_retention, cold_bytes_max, .. } = self.parts.settings;
        let manifest = self.parts.editor.current().await?;
        let expired = plan::expired(&manifest.blocks, self.parts.clock.now(), cold_retention, cold_bytes_max);
        if expired.is_empty() {
            return Ok(());
        }
        let gone: Vec<_> = manifest.blocks.iter().filter(|block| expired.contains(&block.id)).cloned().collect();
        let editor = &self.parts.editor;
        editor.edit(|manifest| manifest.without(&expired), |_| {}, Point::MergeCommitted).await?;
        self.parts.metrics.expired_blocks.inc_by(gone.len() as u64);
        tracing::info!(blocks = gone.len(), "blocks left the cold tier by age or bytes");
        self.parts.orphans.add_blocks(&gone, self.parts.clock.now());
        Ok(())
    }

    /// Rewrites and commits. Inputs that cannot be read are left out from now on.
    async fn merge(&self, state: &mut State, inputs: &[Arc<BlockEntry>]) -> Result<(), Error> {
        let started = Instant::now();
        let deleted = Arc::clone(&self.parts.views.load().deleted);
        let rewritten = match self.sieve(inputs).await {
            Ok(sieve) => self.rewrite(inputs, sieve).await,
            Err(failure) => Err(failure),
        };
        let (block, sieve) = match rewritten {
            Ok(rewritten) => rewritten,
            Err(failure) => return self.give_up(state, inputs, failure),
        };
        let merged = match block {
            Some((mut entry, index)) => {
                entry.retention = Some(sieve.finish(entry.bytes as f64 / entry.spans as f64));
                self.parts.probe.reached(Point::MergedPut);
                if let Err(error) = self.parts.indexes.put(&entry, &index) {
                    tracing::debug!(%error, block = %entry.id, "no local copy of a block's index; it is read from the block");
                }
                Some(Arc::new(entry))
            }
            None => {
                drop(sieve.finish(0.0));
                None
            }
        };
        if let ([input], Some(merged)) = (inputs, &merged)
            && input.spans == merged.spans
        {
            state.kept_whole.insert(merged.id, deleted);
        }
        self.commit(inputs, merged.as_ref()).await?;
        self.parts.metrics.merge_seconds.observe(started.elapsed().as_secs_f64());
        Ok(())
    }

    /// Decides which traces of `inputs` stay.
    async fn sieve(&self, inputs: &[Arc<BlockEntry>]) -> Result<RetentionSieve, Failure> {
        let mut with_locators = Vec::with_capacity(inputs.len());
        for entry in inputs {
            let locator = self.parts.indexes.locator(entry).await;
            let locator = locator.map_err(|error| Failure { input: Some(entry.id), error })?;
            with_locators.push((Arc::clone(entry), locator));
        }
        Ok(self.parts.retention.of_blocks(&self.parts.views.load(), &with_locators, self.parts.clock.now()))
    }

    /// Rewrites `inputs` into one block, without what `sieve` leaves out, and puts it.
    pub(super) async fn rewrite<S: Sieve + 'static>(
        &self,
        inputs: &[Arc<BlockEntry>],
        sieve: S,
    ) -> Result<Rewritten<S>, Failure> {
        let mut with_footers = Vec::with_capacity(inputs.len());
        for entry in inputs {
            let footer = self.parts.indexes.footer(entry).await;
            let footer = footer.map_err(|error| Failure { input: Some(entry.id), error })?;
            with_footers.push((Arc::clone(entry), footer));
        }
        let job = Job {
            inputs: with_footers,
            objects: Arc::clone(&self.parts.objects),
            origin: self.parts.origin.clone(),
            windows: windows(&self.parts.views.load(), inputs),
            sieve,
            budget: self.parts.budget.clone(),
            stop: Arc::clone(&self.stop),
            handle: Handle::current(),
        };
        self.background.run(move || Ok(job.run())).await?
    }

    pub(super) async fn commit(
        &self,
        inputs: &[Arc<BlockEntry>],
        merged: Option<&Arc<BlockEntry>>,
    ) -> Result<(), Error> {
        let ids: Vec<BlockId> = inputs.iter().map(|input| input.id).collect();
        // Given up, it would stay open whether the block is named.
        let manifest = self
            .retry("committing a merge", || {
                self.parts.editor.edit(|manifest| manifest.with_merged(&ids, merged), |_| {}, Point::MergeCommitted)
            })
            .await?;
        let now = self.parts.clock.now();
        if manifest.blocks.iter().any(|block| ids.contains(&block.id)) {
            // Some input left meanwhile, so the others stay as they are.
            self.parts.metrics.merge_failures.inc();
            self.parts.orphans.add_blocks(merged, now);
            return Ok(());
        }
        self.parts.orphans.add_blocks(inputs, now);
        let metrics = &self.parts.metrics;
        metrics.merges.inc();
        metrics.merged_spans.inc_by(inputs.iter().map(|input| input.spans).sum());
        metrics.merge_read_bytes.inc_by(inputs.iter().map(|input| input.bytes).sum());
        metrics.merge_written_bytes.inc_by(merged.map_or(0, |merged| merged.bytes));
        Ok(())
    }

    fn give_up(&self, state: &mut State, inputs: &[Arc<BlockEntry>], failure: Failure) -> Result<(), Error> {
        let Failure { input, error } = failure;
        let is_gone = matches!(&error, Error::Cold(cause) if matches!(**cause, object_store::Error::NotFound { .. }));
        match error {
            Error::Closing => return Err(error),
            Error::Cold(_) if !is_gone || input.is_none() => {
                self.parts.metrics.merge_failures.inc();
                return Err(error);
            }
            Error::Cold(_) | Error::Block(_) | Error::Corrupt { .. } => {}
            _ => return Err(error),
        }
        self.parts.metrics.merge_failures.inc();
        let at_fault = |block: &&Arc<BlockEntry>| input.is_none_or(|id| id == block.id);
        for block in inputs.iter().filter(at_fault) {
            tracing::error!(block = %block.id, path = block.path, %error, "a block cannot be merged, leaving it as it is");
            state.left_out.insert(block.id);
        }
        self.parts.metrics.blocks_left_out.set(state.left_out.len() as i64);
        Ok(())
    }

    /// Tries until the object store answers or the store closes.
    async fn retry<T, F: Future<Output = Result<T, Error>>>(
        &self,
        what: &'static str,
        attempt: impl Fn() -> F,
    ) -> Result<T, Error> {
        let settings = &self.parts.settings;
        let mut pause = settings.retry_pause_min;
        loop {
            match attempt().await {
                Err(error @ Error::Cold(_)) => {
                    self.parts.metrics.object_store_errors.inc();
                    tracing::debug!(%error, what, "the object store failed, trying again");
                }
                other => return other,
            }
            if self.stop.load(Ordering::Relaxed) {
                return Err(Error::Closing);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(settings.retry_pause_max);
        }
    }
}

#[cfg(test)]
impl Merger {
    /// Nothing is merged by itself as long as this is held.
    pub(super) async fn hold(&self) -> tokio::sync::MutexGuard<'_, State> {
        self.state.lock().await
    }
}

/// The windows that have all spans of `inputs`, if the hot tier has all of them; see [`BlockEntry::windows`].
fn windows(view: &View, inputs: &[Arc<BlockEntry>]) -> Vec<u64> {
    let is_hot = |id: &u64| view.hot.binary_search_by_key(id, |window| window.id).is_ok();
    if inputs.iter().any(|input| input.windows.is_empty() || !input.windows.iter().all(is_hot)) {
        return Vec::new();
    }
    let mut windows: Vec<u64> = inputs.iter().flat_map(|input| &input.windows).copied().collect();
    windows.sort_unstable();
    windows.dedup();
    if windows.len() > WINDOWS_MAX { Vec::new() } else { windows }
}
