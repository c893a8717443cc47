//! What the rules would drop now of what is in the cold tier, without dropping it.

use std::sync::Arc;

use arrow::compute::concat_batches;
use object_store::ObjectStore;
use proto::UnixNanos;

use super::{Fates, Retention, RuleFates};
use crate::cold::sieve::Sieve;
use crate::cold::{BlockIndexes, reader};
use crate::view::View;
use crate::{BlockEntry, Error};

/// Spans that a dry run reads; older blocks than fit are left out.
pub const DRY_RUN_SPANS_MAX: u64 = 2_000_000;

/// What a dry run found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DryRun {
    /// In the order of the rules.
    pub rules: Vec<RuleFates>,
    /// Blocks that were looked at.
    pub blocks: usize,
    /// Blocks of the asked time that were not, because of [`DRY_RUN_SPANS_MAX`].
    pub blocks_left_out: usize,
}

impl Retention {
    /// Holds each block that was received since `since` against the rules as if it were rewritten now. One at a time for the whole
    /// store, the newest blocks first.
    pub(crate) async fn dry_run(
        self: &Arc<Self>,
        view: &View,
        objects: &Arc<dyn ObjectStore>,
        indexes: &BlockIndexes,
        since: UnixNanos,
        now: UnixNanos,
    ) -> Result<DryRun, Error> {
        let _one_at_a_time = self.dry_run.lock().await;
        let blocks = view.manifests.values().flat_map(|manifest| &manifest.blocks);
        let mut blocks: Vec<&Arc<BlockEntry>> = blocks.filter(|block| block.received() >= since).collect();
        blocks.sort_by_key(|block| std::cmp::Reverse(block.received()));
        let rules = self.policy.rules().iter();
        let rules = rules.map(|rule| RuleFates { rule: rule.name().to_owned(), fates: Fates::default() });
        let mut run = DryRun { rules: rules.collect(), ..DryRun::default() };
        let mut spans = 0;
        for block in blocks {
            spans += block.spans;
            if spans > DRY_RUN_SPANS_MAX {
                run.blocks_left_out += 1;
                continue;
            }
            for (sum, one) in run.rules.iter_mut().zip(self.of_one(view, objects, indexes, block, now).await?) {
                sum.fates += one.fates;
            }
            run.blocks += 1;
        }
        Ok(run)
    }

    async fn of_one(
        self: &Arc<Self>,
        view: &View,
        objects: &Arc<dyn ObjectStore>,
        indexes: &BlockIndexes,
        block: &Arc<BlockEntry>,
        now: UnixNanos,
    ) -> Result<Vec<RuleFates>, Error> {
        let locator = indexes.locator(block).await?;
        let footer = indexes.footer(block).await?;
        let rows = reader::retention_columns(objects, block, footer).await?;
        let mut sieve = self.of_blocks(view, &[(Arc::clone(block), locator)], now);
        let span_bytes = block.bytes as f64 / block.spans.max(1) as f64;
        let work = move || {
            if let Some(first) = rows.first() {
                sieve.sift(&concat_batches(first.schema_ref(), &rows)?)?;
            }
            Ok(sieve.into_fates(span_bytes))
        };
        tokio::task::spawn_blocking(work).await.map_err(|error| Error::Block(format!("a dry run failed: {error}")))?
    }
}

impl std::ops::AddAssign for Fates {
    fn add_assign(&mut self, other: Self) {
        self.kept_spans += other.kept_spans;
        self.dropped_spans += other.dropped_spans;
        self.held_spans += other.held_spans;
        self.kept_bytes += other.kept_bytes;
        self.dropped_bytes += other.dropped_bytes;
        self.held_bytes += other.held_bytes;
    }
}
