//! Which offloaded windows leave the hot tier: by age, then by bytes, oldest first. Decides, does not act.

use std::time::Duration;

use proto::UnixNanos;

use crate::hot::db::WindowId;

/// A window that the manifest covers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offloaded {
    pub(crate) id: WindowId,
    pub(crate) since: UnixNanos,
    pub(crate) bytes: u64,
}

/// The windows to retire now; `windows` are in order of age, oldest first.
pub(crate) fn plan(windows: &[Offloaded], now: UnixNanos, retention: Duration, bytes_max: u64) -> Vec<WindowId> {
    let retention = i64::try_from(retention.as_nanos()).unwrap_or(i64::MAX);
    let mut held: u64 = windows.iter().map(|window| window.bytes).sum();
    let mut retired = Vec::new();
    for window in windows {
        if held <= bytes_max && now.nanos_since(window.since) < retention {
            break;
        }
        held -= window.bytes;
        retired.push(window.id);
    }
    retired
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000_000;

    fn check(bytes_max: u64, now_minutes: i64, expected: &[WindowId]) {
        let windows: Vec<_> =
            (1..=4).map(|id| Offloaded { id, since: UnixNanos::from_i64(id as i64 * MINUTE), bytes: 100 }).collect();
        let now = UnixNanos::from_i64(now_minutes * MINUTE);
        assert_eq!(plan(&windows, now, Duration::from_secs(600), bytes_max), expected);
    }

    #[test]
    fn the_oldest_go_first() {
        check(1_000, 5, &[]);
        check(1_000, 12, &[1, 2]);
        check(250, 5, &[1, 2]);
        check(0, 5, &[1, 2, 3, 4]);
        check(250, 13, &[1, 2, 3]);
    }
}
