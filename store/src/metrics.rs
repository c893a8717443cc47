//! What the store tells about itself. Names are constants here and nowhere else; all begin with `spanhold_store_`.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
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
    pub(crate) seal_wait_seconds: Histogram,
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
    pub(crate) merges: Total,
    pub(crate) merged_spans: Total,
    pub(crate) merge_read_bytes: Total,
    pub(crate) merge_written_bytes: Total,
    pub(crate) merge_seconds: Histogram,
    pub(crate) merge_failures: Total,
    pub(crate) blocks_left_out: Count,
    pub(crate) expired_blocks: Total,
    pub(crate) swept_objects: Total,
    pub(crate) windows_spilled: Count,
    pub(crate) waiting_bytes: Count,
    pub(crate) disk_free_bytes: Count,
    pub(crate) pressure_percent: Count,
    pub(crate) rollups: Count,
    pub(crate) rollup_bytes: Count,
    pub(crate) rollup_seconds: Histogram,
    pub(crate) rollups_joined: Total,
    pub(crate) steps: Count,
    pub(crate) steps_bytes: Count,
    pub(crate) steps_seconds: Histogram,
    pub(crate) steps_read_back: Total,
    pub(crate) steps_skipped: Total,
    pub(crate) runs_waiting: Count,
    pub(crate) runs_looked_at: Total,
    pub(crate) run_errors: Total,
    pub(crate) run_seconds: Histogram,
    pub(crate) run_scan_seconds: Histogram,
    pub(crate) run_files: Count,
    pub(crate) run_file_bytes: Count,
    pub(crate) commit_requests: Histogram,
    pub(crate) columns_behind: Count,
    pub(crate) encode_seconds: Histogram,
    pub(crate) wal_bytes: Count,
    pub(crate) lookups: Family<Lookup, Total>,
    pub(crate) locator_cache_bytes: Count,
    pub(crate) footer_cache_bytes: Count,
    pub(crate) object_requests: Family<ObjectRequest, Total>,
    pub(crate) object_seconds: Family<Operation, Histogram, fn() -> Histogram>,
    pub(crate) object_bytes: Family<Operation, Total>,
}

/// Where a trace was looked for, and whether anything was there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Lookup {
    tier: &'static str,
    outcome: &'static str,
}

/// A kind of request to the object store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Operation {
    pub(crate) operation: &'static str,
}

/// Requests to the object store, and how they ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ObjectRequest {
    pub(crate) operation: &'static str,
    pub(crate) outcome: &'static str,
}

/// 100 µs to 26 s.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 4.0, 10))
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            spans: Total::default(),
            batches: Total::default(),
            batch_bytes: Total::default(),
            commits: Total::default(),
            commit_seconds: seconds(),
            seal_wait_seconds: seconds(),
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
            merges: Total::default(),
            merged_spans: Total::default(),
            merge_read_bytes: Total::default(),
            merge_written_bytes: Total::default(),
            merge_seconds: seconds(),
            merge_failures: Total::default(),
            blocks_left_out: Count::default(),
            expired_blocks: Total::default(),
            swept_objects: Total::default(),
            windows_spilled: Count::default(),
            waiting_bytes: Count::default(),
            disk_free_bytes: Count::default(),
            pressure_percent: Count::default(),
            rollups: Count::default(),
            rollup_bytes: Count::default(),
            rollup_seconds: seconds(),
            rollups_joined: Total::default(),
            steps: Count::default(),
            steps_bytes: Count::default(),
            steps_seconds: seconds(),
            steps_read_back: Total::default(),
            steps_skipped: Total::default(),
            runs_waiting: Count::default(),
            runs_looked_at: Total::default(),
            run_errors: Total::default(),
            run_seconds: seconds(),
            run_scan_seconds: seconds(),
            run_files: Count::default(),
            run_file_bytes: Count::default(),
            // 1 to 1,024, what ingest lets in at once.
            commit_requests: Histogram::new(exponential_buckets(1.0, 2.0, 11)),
            columns_behind: Count::default(),
            encode_seconds: seconds(),
            wal_bytes: Count::default(),
            lookups: Family::default(),
            locator_cache_bytes: Count::default(),
            footer_cache_bytes: Count::default(),
            object_requests: Family::default(),
            object_seconds: Family::new_with_constructor(seconds),
            object_bytes: Family::default(),
        };
        // What is counted later is 0 until then, and not unknown.
        for tier in ["hot", "cold"] {
            for outcome in ["hit", "absent"] {
                drop(metrics.lookups.get_or_create(&Lookup { tier, outcome }));
            }
        }
        metrics
    }
}

impl Metrics {
    /// A trace was looked for in a tier.
    pub(crate) fn count_lookup(&self, tier: &'static str, is_hit: bool) {
        let outcome = if is_hit { "hit" } else { "absent" };
        self.lookups.get_or_create(&Lookup { tier, outcome }).inc();
    }

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
            "seal_wait",
            "Time that answers waited for an offload before a window was sealed",
            Unit::Seconds,
            self.seal_wait_seconds.clone(),
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
        store.register("rollups", "Rollups in the cold tier", self.rollups.clone());
        store.register_with_unit(
            "rollup",
            "Size of the rollups in the cold tier",
            Unit::Bytes,
            self.rollup_bytes.clone(),
        );
        store.register_with_unit(
            "rollup",
            "Time to count the spans of a window",
            Unit::Seconds,
            self.rollup_seconds.clone(),
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
        self.register_stages(store);
        self.register_merges(store);
        store.register("rollups_joined", "Rollups that became part of a larger one", self.rollups_joined.clone());
        self.register_steps(store);
        self.register_runs(store);
    }
    /// Those of single stages, of lookups and of the object store.
    fn register_stages(&self, store: &mut Registry) {
        store.register("commit_requests", "Requests that one synced write served", self.commit_requests.clone());
        store.register("columns_behind", "Requests answered and not yet searchable", self.columns_behind.clone());
        store.register_with_unit(
            "encode",
            "Time to encode a window as a block",
            Unit::Seconds,
            self.encode_seconds.clone(),
        );
        store.register_with_unit(
            "wal",
            "Size of the hot tier's logs, which a start after a crash reads",
            Unit::Bytes,
            self.wal_bytes.clone(),
        );
        store.register("lookups", "Traces looked for by id, by tier and outcome", self.lookups.clone());
        store.register_with_unit(
            "locator_cache",
            "Memory of the indexes that say which block has a trace",
            Unit::Bytes,
            self.locator_cache_bytes.clone(),
        );
        store.register_with_unit(
            "footer_cache",
            "Memory of parsed footers of blocks",
            Unit::Bytes,
            self.footer_cache_bytes.clone(),
        );
        store.register(
            "object_requests",
            "Requests to the object store, by operation and outcome",
            self.object_requests.clone(),
        );
        store.register_with_unit(
            "object_request",
            "Time of a request to the object store until its answer begins, by operation",
            Unit::Seconds,
            self.object_seconds.clone(),
        );
        store.register_with_unit(
            "object",
            "Bytes read from (get) and written to (put) the object store",
            Unit::Bytes,
            self.object_bytes.clone(),
        );
    }

    /// Those of merging and sweeping.
    fn register_runs(&self, store: &mut Registry) {
        store.register("runs_waiting", "Traces that may be runs and wait to be looked at", self.runs_waiting.clone());
        store.register(
            "runs_looked_at",
            "Times a trace was read to see what runs it tells",
            self.runs_looked_at.clone(),
        );
        store.register("run_errors", "Failed attempts to follow runs", self.run_errors.clone());
        let what = "Time to see what runs a trace tells, without reading it";
        store.register_with_unit("run", what, Unit::Seconds, self.run_seconds.clone());
        let what = "Time to go over new spans for traces that may be runs";
        store.register_with_unit("run_scan", what, Unit::Seconds, self.run_scan_seconds.clone());
        store.register("run_files", "Files of runs in the cold tier", self.run_files.clone());
        let what = "Size of the files of runs in the cold tier";
        store.register_with_unit("run_file", what, Unit::Bytes, self.run_file_bytes.clone());
    }

    fn register_steps(&self, store: &mut Registry) {
        store.register("steps", "Rollups of steps in the cold tier", self.steps.clone());
        let what = "Size of the rollups of steps in the cold tier";
        store.register_with_unit("steps", what, Unit::Bytes, self.steps_bytes.clone());
        let what = "Time to count the steps of a window, reading back included";
        store.register_with_unit("steps", what, Unit::Seconds, self.steps_seconds.clone());
        let what = "Traces of which earlier spans were looked for on disk or in blocks to count their steps";
        store.register("steps_read_back", what, self.steps_read_back.clone());
        let what =
            "Traces whose earlier spans were not looked for because there were too many: their steps are not exact";
        store.register("steps_skipped", what, self.steps_skipped.clone());
    }

    fn register_merges(&self, store: &mut Registry) {
        store.register("merges", "Merges of blocks that were committed", self.merges.clone());
        store.register("merged_spans", "Spans read by committed merges", self.merged_spans.clone());
        store.register_with_unit("merge_read", "Blocks read by merges", Unit::Bytes, self.merge_read_bytes.clone());
        store.register_with_unit(
            "merge_written",
            "Blocks written by merges",
            Unit::Bytes,
            self.merge_written_bytes.clone(),
        );
        store.register_with_unit("merge", "Time of a committed merge", Unit::Seconds, self.merge_seconds.clone());
        store.register("merge_failures", "Merges that were given up", self.merge_failures.clone());
        store.register(
            "blocks_left_out",
            "Blocks that could not be merged and are not tried again until a restart",
            self.blocks_left_out.clone(),
        );
        store.register("expired_blocks", "Blocks that left by age or bytes", self.expired_blocks.clone());
        store.register("swept_objects", "Objects deleted that no manifest named", self.swept_objects.clone());
    }
}
