//! Which offloaded windows leave the hot tier, and their leaving: by age, then by bytes, oldest first; earlier when the
//! disk is nearly full. They leave by the group ([`crate::hot::group`]); one with a window that is in no block never does.

use std::sync::Arc;
use std::time::Duration;

use proto::UnixNanos;

use crate::Settings;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::points::{Point, Probe};
use crate::pressure::Gauges;
use crate::view::Views;

/// How often the disk is asked for.
const INTERVAL: Duration = Duration::from_secs(1);

/// How often windows are looked at while nothing is offloaded and the disk has space, in [`INTERVAL`]s.
const INTERVALS_AT_EASE: u32 = 10;

/// Offloaded windows go early while less is free than this many times [`Settings::disk_free_min`]: well before anything is
/// refused.
const FREE_AT_EASE: u64 = 2;

/// Takes windows out of the hot tier. Goes on while the object store does not answer.
pub(crate) struct Retirer {
    pub(crate) views: Arc<Views>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) metrics: Metrics,
    pub(crate) probe: Arc<dyn Probe>,
}

impl Retirer {
    /// Retires windows as time passes and the disk fills, for ever.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for tick in (0..INTERVALS_AT_EASE).cycle() {
            ticks.tick().await;
            if tick == 0 || self.to_free() > 0 {
                self.retire();
            }
        }
    }

    /// Retires what is to go now.
    pub(crate) fn retire(&self) {
        let view = self.views.load();
        let mut offloaded = Vec::new();
        let mut bytes = 0;
        for windows in view.hot.chunk_by(|one, next| one.group.first == next.group.first) {
            let group = &windows[0].group;
            let group_bytes = group.bytes();
            bytes += group_bytes;
            let since: Option<Vec<UnixNanos>> = windows.iter().map(|window| window.offloaded_at()).collect();
            if let Some(since) = since.and_then(|since| since.into_iter().max()) {
                offloaded.push(Offloaded { group, since, bytes: group_bytes });
            }
        }
        self.metrics.hot_windows.set(view.hot.len() as i64);
        self.metrics.hot_bytes.set(bytes as i64);
        let bounds = Bounds {
            retention: self.settings.hot_retention,
            bytes_max: self.settings.hot_bytes_max.saturating_sub(self.gauges.waiting_bytes()),
            to_free: self.to_free(),
        };
        let retired = plan(&offloaded, self.clock.now(), bounds);
        if retired.is_empty() {
            return;
        }
        for group in &retired {
            group.retire();
        }
        self.views
            .change(|view| view.hot.retain(|window| retired.iter().all(|group| group.first != window.group.first)));
        self.probe.reached(Point::WindowsRetired);
    }

    /// Bytes that are missing on the disk.
    fn to_free(&self) -> u64 {
        let wanted = self.settings.disk_free_min.saturating_mul(FREE_AT_EASE);
        let missing = self.gauges.disk_free().map_or(0, |free| wanted.saturating_sub(free));
        // A full disk of which the file system says that it is not.
        missing.max(u64::from(self.gauges.disk_is_full()))
    }
}

/// A group whose windows the manifest covers, all of them.
#[derive(Debug, Clone, Copy)]
struct Offloaded<G> {
    group: G,
    since: UnixNanos,
    bytes: u64,
}

/// What offloaded windows must keep to.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    retention: Duration,
    bytes_max: u64,
    /// Bytes that the disk is short of.
    to_free: u64,
}

/// The groups to retire now; `groups` are in order of age, oldest first.
fn plan<G: Copy>(groups: &[Offloaded<G>], now: UnixNanos, bounds: Bounds) -> Vec<G> {
    let retention = i64::try_from(bounds.retention.as_nanos()).unwrap_or(i64::MAX);
    let mut held: u64 = groups.iter().map(|group| group.bytes).sum();
    let mut freed = 0;
    let mut retired = Vec::new();
    for group in groups {
        if held <= bounds.bytes_max && freed >= bounds.to_free && now.nanos_since(group.since) < retention {
            break;
        }
        held -= group.bytes;
        freed += group.bytes;
        retired.push(group.group);
    }
    retired
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000_000;

    fn check(bytes_max: u64, to_free: u64, now_minutes: i64, expected: &[i64]) {
        let groups: Vec<_> =
            (1..=4).map(|group| Offloaded { group, since: UnixNanos::from_i64(group * MINUTE), bytes: 100 }).collect();
        let now = UnixNanos::from_i64(now_minutes * MINUTE);
        let bounds = Bounds { retention: Duration::from_secs(600), bytes_max, to_free };
        assert_eq!(plan(&groups, now, bounds), expected);
    }

    #[test]
    fn the_oldest_go_first() {
        check(1_000, 0, 5, &[]);
        check(1_000, 0, 12, &[1, 2]);
        check(250, 0, 5, &[1, 2]);
        check(0, 0, 5, &[1, 2, 3, 4]);
        check(250, 0, 13, &[1, 2, 3]);
    }

    #[test]
    fn a_short_disk_lets_them_go_early() {
        check(1_000, 1, 5, &[1]);
        check(1_000, 101, 5, &[1, 2]);
        check(1_000, 1_000_000, 5, &[1, 2, 3, 4]);
    }
}
