//! Every knob of the store: unit, default, reason.

use std::path::PathBuf;
use std::time::Duration;

use model::retention::Policy;
use model::rules::Rules;

/// What the store is told at start. Data only; components (object store) are passed beside it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Folder of the hot tier.
    pub hot_dir: PathBuf,
    /// A window is sealed when its first batch is this old.
    pub window_age_max: Duration,
    /// A window is sealed at this many spans: what one block holds and what memory holds per window.
    pub window_spans_max: u64,
    /// A window is sealed at this many bytes of OTLP before compression.
    pub window_bytes_max: u64,
    /// Sealed windows that may wait for the object store, wherever they wait, before appends are refused. Each keeps a filter of
    /// its traces in memory. While more than `windows_in_memory_max` wait, windows are sealed when they are full, not when they
    /// are old, so that time alone does not fill this.
    pub windows_waiting_max: usize,
    /// Sealed windows that wait in memory, up to `window_spans_max` spans each. With as many, answers wait up to a second for
    /// the next offload; if there is none, further windows wait on disk only, where they are found by trace id as fast and
    /// are searched more slowly.
    pub windows_in_memory_max: usize,
    /// OTLP bytes accepted and not yet turned into columns before appends are refused.
    pub in_flight_bytes_max: u64,
    /// How long offloaded windows stay in the hot tier, so that recent traces need no object-store request; up to a sixteenth
    /// longer, for they leave some at a time.
    pub hot_retention: Duration,
    /// Bytes of windows in the hot tier. Offloaded windows leave when there are more, the oldest first; when those that wait
    /// come to more by themselves, appends are refused. As much as may wait in memory may always wait.
    pub hot_bytes_max: u64,
    /// Bytes that must be free on the disk of the hot tier; with less, appends are refused. Room for what is accepted
    /// between two looks at the disk and for what RocksDB has in memory.
    pub disk_free_min: u64,
    /// How often the manifests of other writers are read again.
    pub manifest_refresh: Duration,
    /// Which traces are kept, and for how long.
    pub retention: Policy,
    /// How long counts and latencies are kept by the minute: long enough to compare today with yesterday.
    pub rollup_minute_retention: Duration,
    /// How long counts and latencies are kept by the hour, and by the day from then on: a quarter, to compare weeks.
    pub rollup_hour_retention: Duration,
    /// What operations are, which of them have runs, and what their parts are called.
    pub operations: Rules,
    /// Whether runs and the steps of operations are derived. Without, spans are received, kept, searched and counted all the same.
    pub derive_operations: bool,
    /// How long runs are kept, after their last activity: a year and a month, to compare with the year before.
    pub run_retention: Duration,
    /// How long the steps of operations are kept by the minute: an operation has dozens of steps, so shorter than their counts.
    pub step_minute_retention: Duration,
    /// How long the steps of operations are kept by the hour, and by the day from then on: a deploy and the week before it.
    pub step_hour_retention: Duration,
    /// Pause before a request that the object store did not answer is sent again; doubled each time.
    pub retry_pause_min: Duration,
    /// The longest such pause.
    pub retry_pause_max: Duration,
    /// How often the store looks for blocks to merge, beside after each offload.
    pub merge_interval: Duration,
    /// Blocks of about one size and the same days from which on they are merged; `usize::MAX`: never.
    pub merge_inputs_min: usize,
    /// Size of a merged block at most, about.
    pub merge_block_bytes_max: u64,
    /// How long objects stay after the manifest ceased to name them: longer than any query, and than other nodes take to
    /// read the manifest again.
    pub orphan_grace: Duration,
    /// How long spans stay in the cold tier, from their end; block by block. `None`: for ever.
    pub cold_retention: Option<Duration>,
    /// Bytes of this writer's blocks that stay in the cold tier; the oldest go first. `None`: all.
    pub cold_bytes_max: Option<u64>,
}

impl Settings {
    /// The defaults, with the hot tier in `hot_dir`.
    #[must_use]
    pub fn new(hot_dir: PathBuf) -> Self {
        Self {
            hot_dir,
            window_age_max: Duration::from_secs(60),
            window_spans_max: 100_000,
            window_bytes_max: 32 << 20,
            windows_waiting_max: 500,
            windows_in_memory_max: 2,
            in_flight_bytes_max: 32 << 20,
            hot_retention: Duration::from_secs(3600),
            hot_bytes_max: 4 << 30,
            disk_free_min: 256 << 20,
            manifest_refresh: Duration::from_secs(30),
            retention: Policy::default(),
            rollup_minute_retention: Duration::from_secs(48 * 3600),
            rollup_hour_retention: Duration::from_secs(90 * 86_400),
            operations: Rules::default(),
            derive_operations: true,
            run_retention: Duration::from_secs(400 * 86_400),
            step_minute_retention: Duration::from_secs(12 * 3600),
            step_hour_retention: Duration::from_secs(14 * 86_400),
            retry_pause_min: Duration::from_millis(200),
            retry_pause_max: Duration::from_secs(10),
            merge_interval: Duration::from_secs(30),
            merge_inputs_min: 8,
            merge_block_bytes_max: 256 << 20,
            orphan_grace: Duration::from_secs(15 * 60),
            cold_retention: None,
            cold_bytes_max: None,
        }
    }

    /// Bytes of windows that may wait for the object store.
    pub(crate) fn waiting_bytes_max(&self) -> u64 {
        let in_memory = (self.windows_in_memory_max as u64 + 1).saturating_mul(self.window_bytes_max);
        self.hot_bytes_max.max(in_memory)
    }
}
