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

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::sync::Notify;

use super::plan::{self, Job, Kept};
use super::table::Table;
use super::{Rollup, RollupEntry, file};
use crate::Error;
use crate::background::Background;
use crate::clock::Clock;
use crate::cold::{BlockId, Origin, paths};
use crate::manifest::Editor;
use crate::merge::Orphans;
use crate::metrics::Metrics;
use crate::offload::put_object;
use crate::points::Point;

/// How often rows are looked at that may have grown old.
const INTERVAL: Duration = Duration::from_secs(60);

/// What joining rollups needs.
pub(crate) struct Compactor {
    pub(crate) editor: Arc<Editor>,
    pub(crate) objects: Arc<dyn ObjectStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) kept: Kept,
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
        loop {
            let manifest = self.editor.current().await?;
            let Some(job) = plan::next(&manifest.rollups, self.clock.now(), self.kept) else { return Ok(()) };
            self.carry_out(job).await?;
        }
    }

    async fn carry_out(&self, job: Job) -> Result<(), Error> {
        let Job { inputs, resolution } = job;
        let mut table = Table::new(usize::MAX);
        for input in &inputs {
            let bytes = self.objects.get(&Path::from(input.path.as_str())).await?.bytes().await?;
            let add = move || {
                file::each_row(bytes, |row| table.add_view(resolution.floor(row.start), row))?;
                Ok(table)
            };
            table = self.background.run(add).await?;
        }
        let (rollup, bytes) = self
            .background
            .run(move || {
                let rollup = table.into_rollup(resolution);
                let bytes = file::encode(&rollup)?;
                Ok((rollup, bytes))
            })
            .await?;
        let offloaded_at = inputs.iter().map(|input| input.offloaded_at).max().unwrap_or_default();
        let windows = inputs.iter().map(|input| input.windows).sum();
        let Some(entry) = entry_of_new(&self.origin, &rollup, &bytes, windows, offloaded_at) else { return Ok(()) };
        put_object(&*self.objects, &Path::from(entry.path.as_str()), bytes).await?;
        let manifest = self
            .editor
            .edit(|manifest| manifest.with_joined_rollups(&inputs, entry), |_| {}, Point::RollupsJoined)
            .await?;
        let is_gone = |input: &&Arc<RollupEntry>| manifest.rollups.iter().all(|rollup| rollup.path != input.path);
        let gone = inputs.iter().filter(is_gone).map(|input| (None, input.path.clone()));
        self.orphans.add(gone, self.clock.now());
        self.metrics.rollups_joined.inc_by(inputs.len() as u64);
        Ok(())
    }
}

/// The manifest's entry of a rollup under a new name; `None` when it has no rows.
pub(crate) fn entry_of_new(
    origin: &Origin,
    rollup: &Rollup,
    bytes: &Bytes,
    windows: u64,
    offloaded_at: i64,
) -> Option<RollupEntry> {
    let starts = || rollup.rows.iter().map(|row| row.start);
    let (start_min, start_max) = starts().min().zip(starts().max())?;
    Some(RollupEntry {
        path: paths::rollup(origin, BlockId::generate(), start_min).to_string(),
        bytes: bytes.len() as u64,
        resolution: rollup.resolution,
        rows: rollup.rows.len() as u64,
        spans: rollup.rows.iter().map(|row| row.totals.spans).sum(),
        windows,
        start_min,
        start_max,
        offloaded_at,
    })
}
