//! What the store tells about itself. Names are constants here and nowhere else; all begin with `spanhold_store_`.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

type Count = Gauge<i64, std::sync::atomic::AtomicI64>;
type Total = Counter<u64, AtomicU64>;

/// Handles; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub(crate) spans: Total,
    pub(crate) batches: Total,
    pub(crate) batch_bytes: Total,
    pub(crate) commits: Total,
    pub(crate) commit_seconds: Histogram,
    pub(crate) in_flight_bytes: Count,
    pub(crate) open_window_spans: Count,
    pub(crate) windows_waiting: Count,
    pub(crate) offloaded_spans: Total,
    pub(crate) offloaded_bytes: Total,
    pub(crate) offload_seconds: Histogram,
    pub(crate) object_store_errors: Total,
    pub(crate) hot_windows: Count,
    pub(crate) hot_bytes: Count,
    pub(crate) cold_blocks: Count,
    pub(crate) cold_bytes: Count,
    pub(crate) poisoned: Count,
    pub(crate) windows_spilled: Count,
    pub(crate) waiting_bytes: Count,
    pub(crate) disk_free_bytes: Count,
    pub(crate) pressure_percent: Count,
}

impl Default for Metrics {
    fn default() -> Self {
        // 100 µs to 26 s.
        let seconds = || Histogram::new(exponential_buckets(0.0001, 4.0, 10));
        Self {
            spans: Total::default(),
            batches: Total::default(),
            batch_bytes: Total::default(),
            commits: Total::default(),
            commit_seconds: seconds(),
            in_flight_bytes: Count::default(),
            open_window_spans: Count::default(),
            windows_waiting: Count::default(),
            offloaded_spans: Total::default(),
            offloaded_bytes: Total::default(),
            offload_seconds: seconds(),
            object_store_errors: Total::default(),
            hot_windows: Count::default(),
            hot_bytes: Count::default(),
            cold_blocks: Count::default(),
            cold_bytes: Count::default(),
            poisoned: Count::default(),
            windows_spilled: Count::default(),
            waiting_bytes: Count::default(),
            disk_free_bytes: Count::default(),
            pressure_percent: Count::default(),
        }
    }
}

impl Metrics {
    /// Adds all of them to `registry`.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let store = registry.sub_registry_with_prefix("spanhold_store");
        store.register("spans", "Spans made durable", self.spans.clone());
        store.register("batches", "Batches made durable", self.batches.clone());
        store.register_with_unit(
            "batch",
            "Batches made durable, before compression",
            Unit::Bytes,
            self.batch_bytes.clone(),
        );
        store.register("commits", "Synced writes of the hot tier; one serves several batches", self.commits.clone());
        store.register_with_unit(
            "commit",
            "Time of a synced write of the hot tier",
            Unit::Seconds,
            self.commit_seconds.clone(),
        );
        store.register_with_unit(
            "in_flight",
            "Accepted and not yet searchable",
            Unit::Bytes,
            self.in_flight_bytes.clone(),
        );
        store.register("open_window_spans", "Spans in the open window", self.open_window_spans.clone());
        store.register("windows_waiting", "Sealed windows that are not offloaded", self.windows_waiting.clone());
        store.register("offloaded_spans", "Spans written to blocks", self.offloaded_spans.clone());
        store.register_with_unit("offloaded", "Size of written blocks", Unit::Bytes, self.offloaded_bytes.clone());
        store.register_with_unit(
            "offload",
            "Time from a sealed window to its committed block",
            Unit::Seconds,
            self.offload_seconds.clone(),
        );
        store.register(
            "object_store_errors",
            "Failed attempts to write a block or a manifest",
            self.object_store_errors.clone(),
        );
        store.register("hot_windows", "Windows in the hot tier", self.hot_windows.clone());
        store.register_with_unit("hot", "Size of the windows in the hot tier", Unit::Bytes, self.hot_bytes.clone());
        store.register("cold_blocks", "Blocks in the cold tier", self.cold_blocks.clone());
        store.register_with_unit("cold", "Size of the blocks in the cold tier", Unit::Bytes, self.cold_bytes.clone());
        store.register(
            "poisoned",
            "1 after a failed background write: nothing is accepted until a restart",
            self.poisoned.clone(),
        );
        store.register(
            "windows_spilled",
            "Sealed windows that are not offloaded and no longer in memory",
            self.windows_spilled.clone(),
        );
        store.register_with_unit(
            "waiting",
            "Batches of windows that are not offloaded, the open one included, as kept on disk",
            Unit::Bytes,
            self.waiting_bytes.clone(),
        );
        store.register_with_unit(
            "disk_free",
            "Left on the disk of the hot tier; -1 when unknown",
            Unit::Bytes,
            self.disk_free_bytes.clone(),
        );
        store.register(
            "pressure_percent",
            "Share of the limit that is nearest; from 70 on health checks are refused, from 100 on everything",
            self.pressure_percent.clone(),
        );
    }
}
