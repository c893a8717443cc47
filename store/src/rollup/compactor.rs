//! Joins rollups: one job at a time, after windows were offloaded and as rows grow old.
//!
//! | step | a crash after it leaves |
//! |---|---|
//! | 1. read the inputs, join their rows | nothing |
//! | 2. put the result | an orphaned object that no manifest names |
//! | 3. commit the manifest with the result in place of the inputs | the inputs as orphaned objects |
//!
//! What fails is tried again with the next tick; nothing waits for it. The inputs' objects stay until they are swept, for
//! readers of the manifests before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::ObjectStore;
use object_store::path::Path;
use tokio::sync::Notify;

use super::plan::{self, Job, Kept};
use super::table::Table;
use super::{Resolution, Rollup, RollupEntry, RollupKind, file};
use crate::Error;
use crate::background::Background;
use crate::clock::Clock;
use crate::cold::{BlockId, Origin, checksum, paths};
use crate::manifest::{Editor, Manifest};
use crate::merge::Orphans;
use crate::metrics::Metrics;
use crate::offload::put_object;
use crate::points::Point;
use crate::runs::item::{Item, ItemKey};
use crate::runs::{self, RunTable};
use crate::steps::{self, StepRollup};

/// How often rows are looked at that may have grown old.
const INTERVAL: Duration = Duration::from_secs(60);

/// Files of runs are of one hour for a day, of one day for a month, and of a month then.
const KEPT_RUNS: Kept = Kept { minutes: Duration::from_secs(86_400), hours: Duration::from_secs(30 * 86_400) };

/// What joining rollups needs.
pub(crate) struct Compactor {
    pub(crate) editor: Arc<Editor>,
    pub(crate) objects: Arc<dyn ObjectStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) kept: Kept,
    /// Of rollups of steps.
    pub(crate) kept_steps: Kept,
    /// How long runs stay.
    pub(crate) run_retention: Duration,
    pub(crate) runs: Arc<RunTable>,
    pub(crate) metrics: Metrics,
    pub(crate) background: Arc<Background>,
    pub(crate) origin: Origin,
    /// Told of the inputs, to be deleted later.
    pub(crate) orphans: Orphans,
}

impl Compactor {
    /// Works until it is stopped; `offloaded` tells of each window.
    pub(crate) async fn run(self, offloaded: Arc<Notify>) {
        let mut tick = tokio::time::interval(INTERVAL);
        loop {
            tokio::select! {
                () = offloaded.notified() => {}
                _ = tick.tick() => {}
            }
            if let Err(error) = self.settle().await {
                if matches!(error, Error::Cold(_)) {
                    self.metrics.object_store_errors.inc();
                }
                tracing::warn!(%error, "could not join rollups, trying again later");
                tick.reset();
                tick.tick().await;
            }
        }
    }

    /// Joins what is to be joined now.
    async fn settle(&self) -> Result<(), Error> {
        self.let_runs_go().await?;
        let kinds =
            [(RollupKind::Spans, self.kept), (RollupKind::Steps, self.kept_steps), (RollupKind::Runs, KEPT_RUNS)];
        for (kind, kept) in kinds {
            loop {
                let manifest = self.editor.current().await?;
                let Some(job) = plan::next(manifest.rollups_of(kind), self.clock.now(), kept) else { break };
                self.carry_out(kind, job).await?;
            }
        }
        Ok(())
    }

    /// Takes files out of the manifest of which all runs are too old.
    async fn let_runs_go(&self) -> Result<(), Error> {
        let before = self.oldest_run();
        let manifest = self.editor.current().await?;
        let old: Vec<_> = manifest.runs.iter().filter(|entry| entry.start_max < before).cloned().collect();
        if old.is_empty() {
            return Ok(());
        }
        let change = |manifest: &Manifest| manifest.with_joined_rollups(RollupKind::Runs, &old, None);
        self.editor.edit(change, |_| {}, Point::RollupsJoined).await?;
        self.orphans.add(old.iter().map(|entry| (None, entry.path.clone())), self.clock.now());
        Ok(())
    }

    /// Runs without activity since then are too old, Unix nanoseconds.
    fn oldest_run(&self) -> i64 {
        let kept = i64::try_from(self.run_retention.as_nanos()).unwrap_or(i64::MAX);
        self.clock.now().as_i64().saturating_sub(kept)
    }

    async fn carry_out(&self, kind: RollupKind, job: Job) -> Result<(), Error> {
        let Job { inputs, resolution } = job;
        let (figures, bytes) = match kind {
            RollupKind::Spans => self.join(&inputs, resolution).await?,
            RollupKind::Steps => self.join_steps(&inputs, resolution).await?,
            RollupKind::Runs => self.join_runs(&inputs, resolution).await?,
        };
        let offloaded_at = inputs.iter().map(|input| input.offloaded_at).max().unwrap_or_default();
        let windows = inputs.iter().map(|input| input.windows).sum();
        let entry = entry_of_new(kind, &self.origin, figures, &bytes, windows, offloaded_at);
        if let Some(entry) = &entry {
            if kind == RollupKind::Runs {
                // They are of this node's table.
                self.runs.forget_changed(&[], Some(&entry.path))?;
            }
            put_object(&*self.objects, &Path::from(entry.path.as_str()), bytes).await?;
        }
        let manifest = self
            .editor
            .edit(|manifest| manifest.with_joined_rollups(kind, &inputs, entry), |_| {}, Point::RollupsJoined)
            .await?;
        let is_gone =
            |input: &&Arc<RollupEntry>| manifest.rollups_of(kind).iter().all(|rollup| rollup.path != input.path);
        let gone = inputs.iter().filter(is_gone).map(|input| (None, input.path.clone()));
        self.orphans.add(gone, self.clock.now());
        self.metrics.rollups_joined.inc_by(inputs.len() as u64);
        Ok(())
    }

    async fn join(&self, inputs: &[Arc<RollupEntry>], resolution: Resolution) -> Result<(Figures, Bytes), Error> {
        let mut table = Table::new(usize::MAX);
        for input in inputs {
            let bytes = input.fetch(&*self.objects).await?;
            let add = move || {
                file::each_row(bytes, |row| table.add_view(resolution.floor(row.start), row))?;
                Ok(table)
            };
            table = self.background.run(add).await?;
        }
        let encode = move || {
            let rollup = table.into_rollup(resolution);
            Ok((Figures::of(&rollup), file::encode(&rollup)?))
        };
        self.background.run(encode).await
    }

    /// Of each item the newest version.
    async fn join_runs(&self, inputs: &[Arc<RollupEntry>], resolution: Resolution) -> Result<(Figures, Bytes), Error> {
        let before = self.oldest_run();
        let mut newest: BTreeMap<ItemKey, Item> = BTreeMap::new();
        for input in inputs {
            let bytes = input.fetch(&*self.objects).await?;
            let add = move || {
                runs::file::each_batch(bytes, |items| {
                    for item in items {
                        let is_newer = newest.get(&item.key).is_none_or(|known: &Item| known.version < item.version);
                        if is_newer {
                            newest.insert(item.key, item);
                        }
                    }
                    Ok(())
                })?;
                Ok(newest)
            };
            newest = self.background.run(add).await?;
        }
        let encode = move || {
            let items: Vec<Item> = newest.into_values().filter(|item| item.at >= before).collect();
            Ok((Figures::of_runs(&items, resolution), runs::file::encode(&items)?))
        };
        self.background.run(encode).await
    }

    async fn join_steps(&self, inputs: &[Arc<RollupEntry>], resolution: Resolution) -> Result<(Figures, Bytes), Error> {
        let mut table = steps::table::Table::new(resolution);
        for input in inputs {
            let bytes = input.fetch(&*self.objects).await?;
            let add = move || {
                steps::file::each_row(bytes, &steps::file::Part::ALL, |row| table.add_view(row.start, row))?;
                Ok(table)
            };
            table = self.background.run(add).await?;
        }
        let encode = move || {
            let rollup = table.into_rollup();
            Ok((Figures::of_steps(&rollup), steps::file::encode(&rollup)?))
        };
        self.background.run(encode).await
    }
}

/// What a manifest says of the rows of a rollup.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    resolution: Resolution,
    rows: u64,
    spans: u64,
    /// First and last start of a row; `None` when there is none.
    starts: Option<(i64, i64)>,
}

impl Figures {
    /// Of a rollup.
    pub(crate) fn of(rollup: &Rollup) -> Self {
        let starts = || rollup.rows.iter().map(|row| row.start);
        Self {
            resolution: rollup.resolution,
            rows: rollup.rows.len() as u64,
            spans: rollup.rows.iter().map(|row| row.totals.spans).sum(),
            starts: starts().min().zip(starts().max()),
        }
    }

    /// Of runs; each counts for one.
    pub(crate) fn of_runs(items: &[Item], resolution: Resolution) -> Self {
        let times = || items.iter().map(|item| item.at);
        let rows = items.len() as u64;
        Self { resolution, rows, spans: rows, starts: times().min().zip(times().max()) }
    }

    /// Of a rollup of steps: the spans that it counts are those by version, less those that it takes back.
    pub(crate) fn of_steps(rollup: &StepRollup) -> Self {
        let starts = || rollup.rows.iter().map(|row| row.start);
        let counted = rollup.rows.iter().filter(|row| row.attribute.is_none());
        Self {
            resolution: rollup.resolution,
            rows: rollup.rows.len() as u64,
            spans: counted.map(|row| row.change.spans).sum::<i64>().max(0).unsigned_abs(),
            starts: starts().min().zip(starts().max()),
        }
    }
}

/// The manifest's entry of a rollup under a new name; `None` when it has no rows.
pub(crate) fn entry_of_new(
    kind: RollupKind,
    origin: &Origin,
    figures: Figures,
    bytes: &Bytes,
    windows: u64,
    offloaded_at: i64,
) -> Option<RollupEntry> {
    let Figures { resolution, rows, spans, starts } = figures;
    let (start_min, start_max) = starts?;
    let path = match kind {
        RollupKind::Spans => paths::rollup(origin, BlockId::generate(), start_min),
        RollupKind::Steps => paths::steps(origin, BlockId::generate(), start_min),
        RollupKind::Runs => paths::runs(origin, BlockId::generate(), start_min),
    };
    Some(RollupEntry {
        path: path.to_string(),
        bytes: bytes.len() as u64,
        resolution,
        rows,
        spans,
        windows,
        start_min,
        start_max,
        offloaded_at,
        crc32: Some(checksum::of(bytes)),
    })
}
