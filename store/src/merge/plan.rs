//! Which blocks to merge, which to rewrite, which to let go. Decides, does not act.
//!
//! Blocks are merged with others of about their size, so that a span is rewritten once each time its block grows by
//! [`TIER_FACTOR`] and not with every block that comes after it. Only blocks whose first and last start lie on the same
//! days are merged: a question about an hour then reads no more of the cold tier than before. Among those, neighbours in
//! order of arrival come together first, as they have the fragments of the same traces.
//!
//! Once a day is over for good, what is left of it is merged whatever its size.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proto::UnixNanos;

use crate::cold::schema::ROW_GROUP_ROWS;
use crate::cold::{BlockEntry, BlockId};

/// Blocks of one tier differ in size by up to this factor.
const TIER_FACTOR: u64 = 8;

/// Blocks below this size times [`TIER_FACTOR`] are all in the lowest tier.
const TIER_BYTES_MIN: u64 = 64 << 10;

/// Blocks merged at once: each has a row group and decompressed pages in memory while it is read.
const INPUTS_MAX: usize = 16;

/// Bytes of the row groups that are in memory at once, one of each input: 16 usual ones take a third of it.
const ROW_GROUPS_BYTES_MAX: u64 = 48 << 20;

/// Spans of a merged block: what its trace filter and the row numbers of readers are sized for.
const SPANS_MAX: u64 = 16 << 20;

/// A day is over for good when this many began after it: late spans have come by then.
const DAYS_UNTIL_OVER: i64 = 2;

const DAY_NANOS: i64 = 86_400_000_000_000;

/// How blocks are chosen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Fewer blocks of a size are left as they are.
    pub(crate) inputs_min: usize,
    /// Size of a merged block at most, about: that of its inputs together.
    pub(crate) bytes_max: u64,
}

/// The blocks to rewrite into one now, oldest first; empty when there is nothing to do. `blocks` are in order of arrival;
/// `is_due` says which are worth rewriting alone, because rows of them would go.
pub(crate) fn merge(
    blocks: &[Arc<BlockEntry>],
    limits: Limits,
    now: UnixNanos,
    is_due: impl Fn(&BlockEntry) -> bool,
) -> Vec<Arc<BlockEntry>> {
    let mut tiers: BTreeMap<(u32, Days), Vec<&Arc<BlockEntry>>> = BTreeMap::new();
    let mut days: BTreeMap<Days, Vec<&Arc<BlockEntry>>> = BTreeMap::new();
    for block in blocks {
        tiers.entry((tier(block.bytes), Days::of(block))).or_default().push(block);
        days.entry(Days::of(block)).or_default().push(block);
    }
    let of_tier = || tiers.values().find_map(|blocks| of_one_size(blocks, limits));
    // No number of blocks is ever enough: only what is due is rewritten.
    let over = |days: &Days| limits.inputs_min < usize::MAX && days.last + DAYS_UNTIL_OVER <= day(now.as_i64());
    let of_day = || days.iter().filter(|(days, _)| over(days)).find_map(|(_, blocks)| left_over(blocks, limits));
    let alone = || blocks.iter().find(|block| is_due(block)).map(|block| vec![block]);
    let chosen = of_tier().or_else(of_day).or_else(alone).unwrap_or_default();
    chosen.into_iter().cloned().collect()
}

/// Blocks that leave the cold tier: by the time of their last span, then by bytes, oldest first.
pub(crate) fn expired(
    blocks: &[Arc<BlockEntry>],
    now: UnixNanos,
    retention: Option<Duration>,
    bytes_max: Option<u64>,
) -> Vec<BlockId> {
    let retention = retention.map_or(i64::MAX, |age| i64::try_from(age.as_nanos()).unwrap_or(i64::MAX));
    let bytes_max = bytes_max.unwrap_or(u64::MAX);
    let mut oldest_first: Vec<_> = blocks.iter().map(|block| (last_end(block), block)).collect();
    oldest_first.sort_by_key(|(end, _)| *end);
    let mut held: u64 = blocks.iter().map(|block| block.bytes).sum();
    let mut expired = Vec::new();
    for (end, block) in oldest_first {
        if held <= bytes_max && now.nanos_since(end) < retention {
            break;
        }
        held -= block.bytes;
        expired.push(block.id);
    }
    expired
}

/// When the last span of a block ended. A sender's clock that is ahead must not keep a block for ever, so it is not later
/// than when the last of them was received.
fn last_end(block: &BlockEntry) -> UnixNanos {
    UnixNanos::from_i64(block.end_max.unwrap_or(block.start_max)).min(block.received())
}

/// The days of a block's first and last start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Days {
    first: i64,
    last: i64,
}

impl Days {
    fn of(block: &BlockEntry) -> Self {
        Self { first: day(block.start_min), last: day(block.start_max) }
    }
}

const fn day(unix_nano: i64) -> i64 {
    unix_nano.div_euclid(DAY_NANOS)
}

fn tier(bytes: u64) -> u32 {
    (bytes / TIER_BYTES_MIN).max(1).ilog2() / TIER_FACTOR.ilog2()
}

/// Enough neighbours of one size, or as many as fit into one block.
fn of_one_size<'a>(blocks: &[&'a Arc<BlockEntry>], limits: Limits) -> Option<Vec<&'a Arc<BlockEntry>>> {
    (0..blocks.len()).map(|first| fitting(&blocks[first..], limits)).find_map(|(run, is_full)| {
        let enough = run.len() >= limits.inputs_min.max(2) || (is_full && run.len() >= 2);
        enough.then(|| run.to_vec())
    })
}

/// Neighbours of which none is so much larger than all others that it would be rewritten for nothing.
fn left_over<'a>(blocks: &[&'a Arc<BlockEntry>], limits: Limits) -> Option<Vec<&'a Arc<BlockEntry>>> {
    (0..blocks.len()).map(|first| fitting(&blocks[first..], limits).0).find_map(|run| {
        let all: u64 = run.iter().map(|block| block.bytes).sum();
        let largest = run.iter().map(|block| block.bytes).max()?;
        (run.len() >= 2 && (all - largest).saturating_mul(TIER_FACTOR) >= largest).then(|| run.to_vec())
    })
}

/// The first of `blocks` that fit into one, and whether the next one did not because of its size.
fn fitting<'b, 'a>(blocks: &'b [&'a Arc<BlockEntry>], limits: Limits) -> (&'b [&'a Arc<BlockEntry>], bool) {
    let (mut bytes, mut spans, mut row_groups) = (0u64, 0u64, 0u64);
    for (count, block) in blocks.iter().enumerate() {
        bytes = bytes.saturating_add(block.bytes);
        spans = spans.saturating_add(block.spans);
        row_groups = row_groups.saturating_add(block.bytes / block.spans.div_ceil(ROW_GROUP_ROWS as u64).max(1));
        if bytes > limits.bytes_max || spans > SPANS_MAX || row_groups > ROW_GROUPS_BYTES_MAX {
            return (&blocks[..count], true);
        }
        if count == INPUTS_MAX {
            return (&blocks[..count], false);
        }
    }
    (blocks, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KB: u64 = 1 << 10;
    const MB: u64 = 1 << 20;

    /// A block of this many bytes with starts on these days, made on the last of them.
    fn block(bytes: u64, days: (i64, i64)) -> Arc<BlockEntry> {
        let made_at = UnixNanos::from_i64((days.1 + 1) * DAY_NANOS);
        let json = serde_json::json!({
            "id": BlockId::generate_at(made_at).to_string(), "path": "p", "bytes": bytes, "index_offset": 1,
            "windows": [1], "spans": bytes / 25, "traces": 1,
            "start_min": days.0 * DAY_NANOS, "start_max": days.1 * DAY_NANOS + 5, "end_max": days.1 * DAY_NANOS + 9,
            "trace_id_min": "10000000000000000000000000000000", "trace_id_max": "20000000000000000000000000000000",
        });
        Arc::new(serde_json::from_value(json).expect("an entry"))
    }

    /// Which of the blocks are merged on day `today`, by position.
    fn merged(today: i64, blocks: &[(u64, (i64, i64))]) -> Vec<usize> {
        let blocks: Vec<_> = blocks.iter().map(|(bytes, days)| block(*bytes, *days)).collect();
        let limits = Limits { inputs_min: 4, bytes_max: 256 * MB };
        let chosen = merge(&blocks, limits, UnixNanos::from_i64(today * DAY_NANOS), |_| false);
        let position = |block: &Arc<BlockEntry>| blocks.iter().position(|other| other.id == block.id).expect("given");
        chosen.iter().map(position).collect()
    }

    #[test]
    fn enough_of_one_size_and_day_are_merged() {
        /// What it is, the bytes and days of each block, and which of them are merged.
        type Case<'a> = (&'a str, &'a [(u64, (i64, i64))], &'a [usize]);
        let today = (9, 9);
        let cases: [Case<'_>; 9] = [
            ("nothing", &[], &[]),
            ("too few", &[(2 * MB, today); 3], &[]),
            ("enough", &[(2 * MB, today); 4], &[0, 1, 2, 3]),
            (
                "the smallest first",
                &[
                    (40 * MB, today),
                    (40 * MB, today),
                    (40 * MB, today),
                    (40 * MB, today),
                    (MB, today),
                    (2 * MB, today),
                    (3 * MB, today),
                    (KB * 600, today),
                ],
                &[4, 5, 6, 7],
            ),
            (
                "all below the lowest size",
                &[(1, today), (KB, today), (100 * KB, today), (400 * KB, today)],
                &[0, 1, 2, 3],
            ),
            ("not of other sizes", &[(MB, today), (100 * MB, today), (MB, today), (MB, today)], &[]),
            ("not of other days", &[(MB, today), (MB, (8, 8)), (MB, today), (MB, (8, 9))], &[]),
            ("no more than fit", &[(100 * MB, today); 5], &[0, 1]),
            ("never one that is full", &[(250 * MB, today); 5], &[]),
        ];
        for (what, blocks, expected) in cases {
            assert_eq!(merged(9, blocks), expected, "{what}");
        }
        assert_eq!(merged(9, &[(MB, today); 40]).len(), INPUTS_MAX);
    }

    #[test]
    fn what_is_left_of_a_day_is_merged_when_it_is_over() {
        let blocks = [(2 * MB, (5, 5)), (15 * MB, (5, 5)), (KB, (5, 5)), (2 * MB, (6, 6))];
        assert_eq!(merged(6, &blocks), [0usize; 0]);
        assert_eq!(merged(7, &blocks), [0, 1, 2]);
        // Not again and again for a little more.
        assert_eq!(merged(30, &[(100 * MB, (5, 5)), (MB, (5, 5))]), [0usize; 0]);
        assert_eq!(merged(30, &[(100 * MB, (5, 5)), (MB, (5, 5)), (2 * MB, (5, 5))]), [1, 2]);
        assert_eq!(merged(30, &[(200 * MB, (5, 5)), (100 * MB, (5, 5))]), [0usize; 0]);
    }

    #[test]
    fn repeated_merges_end_and_leave_few_blocks() {
        let limits = Limits { inputs_min: 8, bytes_max: 256 * MB };
        let mut blocks: Vec<Arc<BlockEntry>> = Vec::new();
        let (mut written, mut rewritten) = (0, 0);
        for _ in 0..2_000 {
            blocks.push(block(2 * MB, (9, 9)));
            written += 2 * MB;
            loop {
                let chosen = merge(&blocks, limits, UnixNanos::from_i64(9 * DAY_NANOS), |_| false);
                let Some(first) = chosen.first() else { break };
                let bytes: u64 = chosen.iter().map(|input| input.bytes).sum();
                rewritten += bytes;
                let at = blocks.iter().position(|block| block.id == first.id).expect("given");
                blocks.insert(at, block(bytes, (9, 9)));
                blocks.retain(|block| chosen.iter().all(|input| input.id != block.id));
            }
        }
        assert!(blocks.len() < 45, "{} blocks of 4 GB", blocks.len());
        assert!(rewritten < written * 3, "each byte was rewritten {} times", rewritten as f64 / written as f64);
    }

    #[test]
    fn a_block_of_which_rows_go_is_rewritten_alone() {
        let blocks = [block(MB, (9, 9)), block(100 * MB, (9, 9))];
        let limits = Limits { inputs_min: 4, bytes_max: 256 * MB };
        let chosen = merge(&blocks, limits, UnixNanos::from_i64(9 * DAY_NANOS), |block| block.bytes > MB);
        assert_eq!(chosen.iter().map(|block| block.id).collect::<Vec<_>>(), [blocks[1].id]);
    }

    #[test]
    fn the_oldest_leave_first() {
        let blocks = [block(100, (7, 7)), block(100, (5, 6)), block(100, (1, 8)), block(100, (6, 5))];
        let gone = |age_days: Option<u64>, bytes_max| {
            let retention = age_days.map(|days| Duration::from_secs(days * 86_400));
            let ids = expired(&blocks, UnixNanos::from_i64(9 * DAY_NANOS), retention, bytes_max);
            ids.iter().map(|id| blocks.iter().position(|block| block.id == *id).expect("given")).collect::<Vec<_>>()
        };
        assert_eq!(gone(None, None), [0usize; 0]);
        assert_eq!(gone(Some(2), None), [3, 1]);
        assert_eq!(gone(Some(30), Some(250)), [3, 1]);
        assert_eq!(gone(Some(2), Some(100)), [3, 1, 0]);
        assert_eq!(gone(None, Some(0)), [3, 1, 0, 2]);
    }

    #[test]
    fn a_clock_that_is_ahead_keeps_no_block_for_ever() {
        let mut ahead = BlockEntry::clone(&block(100, (3, 3)));
        (ahead.start_max, ahead.end_max) = (i64::MAX, Some(i64::MAX));
        let day = Duration::from_secs(86_400);
        let now = |day: i64| UnixNanos::from_i64(day * DAY_NANOS);
        let blocks = [Arc::new(ahead)];
        assert!(expired(&blocks, now(4), Some(day), None).is_empty());
        assert_eq!(expired(&blocks, now(5), Some(day), None), [blocks[0].id]);
    }
}
