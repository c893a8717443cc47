//! Which rollups to join next. Decides, does not act.
//!
//! * Rows of minutes older than [`Kept::minutes`] become rows of hours, rows of hours older than [`Kept::hours`] become rows
//!   of days, so a year is little more than its days.
//! * Rollups of one resolution that were offloaded in the same *period* (an hour of minutes, a day of hours, thirty days of
//!   days) become one, once the period is over; before, whenever [`FAN_IN`] of about the same size are there, so that
//!   each row is rewritten a few times at most however small windows are.

use std::sync::Arc;
use std::time::Duration;

use proto::UnixNanos;

use super::{Resolution, RollupEntry};

/// Rollups of about the same size that are joined before their period is over.
const FAN_IN: usize = 8;

/// Rollups that are joined at once.
const INPUTS_MAX: usize = 64;

/// Rows that are joined at once: some 30 MB of memory.
pub(super) const ROWS_MAX: u64 = 100_000;

/// Bytes that are joined at once, compressed.
const BYTES_MAX: u64 = 16 << 20;

/// How long rows stay as fine as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept {
    /// See [`crate::Settings::rollup_minute_retention`].
    pub(crate) minutes: Duration,
    /// See [`crate::Settings::rollup_hour_retention`].
    pub(crate) hours: Duration,
}

/// Rollups to be replaced by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) inputs: Vec<Arc<RollupEntry>>,
    /// Of the result: that of the inputs, or a coarser one.
    pub(crate) resolution: Resolution,
}

/// What to do next with the rollups of one writer; `None` when all is as it should be.
pub(crate) fn next(entries: &[Arc<RollupEntry>], now: UnixNanos, kept: Kept) -> Option<Job> {
    coarsen(entries, now, kept).or_else(|| join(entries, now))
}

/// Rows that are too fine for their age, oldest first.
fn coarsen(entries: &[Arc<RollupEntry>], now: UnixNanos, kept: Kept) -> Option<Job> {
    for (resolution, age) in [(Resolution::Minute, kept.minutes), (Resolution::Hour, kept.hours)] {
        let old = now.as_i64().saturating_sub(nanos(age));
        let mut inputs: Vec<_> =
            entries.iter().filter(|entry| entry.resolution == resolution && entry.offloaded_at <= old).collect();
        inputs.sort_by_key(|entry| entry.offloaded_at);
        let Some(coarser) = resolution.coarser() else { continue };
        let Some(period) = inputs.first().map(|entry| period(coarser, entry.offloaded_at)) else { continue };
        inputs.retain(|entry| self::period(coarser, entry.offloaded_at) == period);
        return Some(Job { inputs: fitting(&inputs), resolution: coarser });
    }
    None
}

fn join(entries: &[Arc<RollupEntry>], now: UnixNanos) -> Option<Job> {
    let of = |entry: &RollupEntry| (entry.resolution, period(entry.resolution, entry.offloaded_at));
    let mut sorted: Vec<_> = entries.iter().collect();
    sorted.sort_by_key(|entry| (of(entry), entry.windows, entry.rows));
    for same_period in sorted.chunk_by(|a, b| of(a) == of(b)) {
        let (resolution, number) = of(same_period[0]);
        let is_over = period(resolution, now.as_i64()) > number;
        let same_size = same_period.chunk_by(|a, b| size(a) == size(b)).find(|same| same.len() >= FAN_IN);
        let candidates = if is_over { Some(same_period) } else { same_size };
        let inputs = candidates.map(fitting).unwrap_or_default();
        if inputs.len() > 1 {
            return Some(Job { inputs, resolution });
        }
    }
    None
}

/// As many as may be joined at once, at least one.
fn fitting(candidates: &[&Arc<RollupEntry>]) -> Vec<Arc<RollupEntry>> {
    let (mut rows, mut bytes) = (0u64, 0u64);
    let fits = |entry: &&&Arc<RollupEntry>| {
        let is_first = rows == 0;
        rows = rows.saturating_add(entry.rows.max(1));
        bytes = bytes.saturating_add(entry.bytes);
        is_first || (rows <= ROWS_MAX && bytes <= BYTES_MAX)
    };
    candidates.iter().take(INPUTS_MAX).take_while(fits).map(|entry| Arc::clone(entry)).collect()
}

/// The period in which rollups of a resolution are joined.
const fn period(resolution: Resolution, offloaded_at: i64) -> i64 {
    let length = match resolution {
        Resolution::Minute => Resolution::Hour.nanos(),
        Resolution::Hour => Resolution::Day.nanos(),
        Resolution::Day => 30 * Resolution::Day.nanos(),
    };
    offloaded_at.div_euclid(length)
}

/// Each size has [`FAN_IN`] times the windows of the one before.
const fn size(entry: &RollupEntry) -> u32 {
    let windows = if entry.windows == 0 { 1 } else { entry.windows };
    windows.ilog(FAN_IN as u64)
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: Kept = Kept { minutes: Duration::from_secs(48 * 3600), hours: Duration::from_secs(90 * 86_400) };
    const MINUTE: i64 = Resolution::Minute.nanos();
    const HOUR: i64 = Resolution::Hour.nanos();
    const DAY: i64 = Resolution::Day.nanos();

    fn entry(resolution: Resolution, offloaded_at: i64, windows: u64, rows: u64) -> Arc<RollupEntry> {
        let path = format!("{resolution:?}-{offloaded_at}-{windows}");
        Arc::new(RollupEntry {
            path,
            bytes: 1,
            resolution,
            rows,
            spans: rows,
            windows,
            start_min: offloaded_at,
            start_max: offloaded_at,
            offloaded_at,
            crc32: None,
        })
    }

    fn check(entries: &[Arc<RollupEntry>], now: i64, expected: Option<(usize, Resolution)>) {
        let job = next(entries, UnixNanos::from_i64(now), KEPT);
        assert_eq!(job.map(|job| (job.inputs.len(), job.resolution)), expected);
    }

    #[test]
    fn a_period_is_joined_when_it_is_over() {
        let entries: Vec<_> = (0..7).map(|minute| entry(Resolution::Minute, minute * MINUTE, 1, 100)).collect();
        check(&entries, 10 * MINUTE, None);
        check(&entries, HOUR, Some((7, Resolution::Minute)));
        check(&entries[..1], HOUR, None);
        check(&[], HOUR, None);
    }

    #[test]
    fn many_small_ones_are_joined_at_once() {
        let many: Vec<_> = (0..8).map(|second| entry(Resolution::Minute, second, 1, 100)).collect();
        check(&many[..7], MINUTE, None);
        check(&many, MINUTE, Some((8, Resolution::Minute)));
        let mixed: Vec<_> = (0..8).map(|at| entry(Resolution::Minute, at, 1 + 7 * (at as u64 % 2), 100)).collect();
        check(&mixed, MINUTE, None);
    }

    #[test]
    fn old_rows_become_coarser_even_alone() {
        let minutes = [entry(Resolution::Minute, 0, 60, 100), entry(Resolution::Minute, HOUR, 60, 100)];
        check(&minutes, 48 * HOUR - 1, None);
        check(&minutes, 48 * HOUR, Some((1, Resolution::Hour)));
        check(&minutes, 49 * HOUR, Some((2, Resolution::Hour)));
        let hours = [entry(Resolution::Hour, 0, 1_440, 100)];
        check(&hours, 89 * DAY, None);
        check(&hours, 90 * DAY, Some((1, Resolution::Day)));
        check(&[entry(Resolution::Day, 0, 1_440, 100)], 3_650 * DAY, None);
    }

    #[test]
    fn no_more_is_joined_than_fits() {
        let large: Vec<_> = (0..5).map(|at| entry(Resolution::Minute, at, 1, ROWS_MAX / 2)).collect();
        check(&large, HOUR, Some((2, Resolution::Minute)));
        let largest: Vec<_> = (0..5).map(|at| entry(Resolution::Minute, at, 1, ROWS_MAX * 2)).collect();
        check(&largest, HOUR, None);
        check(&largest, 72 * HOUR, Some((1, Resolution::Hour)));
        let many: Vec<_> = (0..1_000).map(|at| entry(Resolution::Minute, at, 1, 1)).collect();
        check(&many, HOUR, Some((INPUTS_MAX, Resolution::Minute)));
    }

    /// Carries jobs out until none is left, as the worker does, and counts how often a row was written.
    fn settle(entries: &mut Vec<Arc<RollupEntry>>, now: i64) -> u64 {
        let mut rows_written = 0;
        while let Some(job) = next(entries, UnixNanos::from_i64(now), KEPT) {
            entries.retain(|entry| !job.inputs.contains(entry));
            let sum = |of: fn(&RollupEntry) -> u64| job.inputs.iter().map(|input| of(input)).sum::<u64>();
            let newest = job.inputs.iter().map(|input| input.offloaded_at).max().expect("an input");
            let rows = sum(|input| input.rows).min(1_000);
            rows_written += rows;
            entries.push(entry(job.resolution, newest, sum(|input| input.windows), rows));
        }
        rows_written
    }

    #[test]
    fn a_year_is_a_few_hundred_rollups() {
        let mut entries = Vec::new();
        let mut most = 0;
        // Four windows an hour, which is enough to see every age.
        for quarter in 0..4 * 24 * 365i64 {
            let now = quarter * 15 * MINUTE;
            entries.push(entry(Resolution::Minute, now, 1, 100));
            settle(&mut entries, now);
            most = most.max(entries.len());
        }
        assert!(most < 200, "{most} at the most");
        assert_eq!(entries.iter().map(|entry| entry.windows).sum::<u64>(), 4 * 24 * 365);
        let days = entries.iter().filter(|entry| entry.resolution == Resolution::Day);
        assert!((9..=12).contains(&days.count()));
    }

    #[test]
    fn windows_by_the_second_are_rewritten_a_few_times_only() {
        let mut entries = Vec::new();
        let (mut most, mut written) = (0, 0);
        for second in 0..7_200i64 {
            let now = second * 1_000_000_000;
            entries.push(entry(Resolution::Minute, now, 1, 1));
            written += settle(&mut entries, now);
            most = most.max(entries.len());
        }
        assert!(most < 70, "{most} at the most");
        assert!(written < 7_200 * 4, "{written} rows written");
    }
}
