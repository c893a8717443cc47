//! Every knob of the store: unit, default, reason.

use std::path::PathBuf;
use std::time::Duration;

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
    /// Sealed windows that may wait for the object store, wherever they wait, before appends are refused. Each has a column
    /// family. While more than `windows_in_memory_max` wait, windows are sealed when they are full, not when they are old,
    /// so that time alone does not fill this.
    pub windows_waiting_max: usize,
    /// Sealed windows that wait in memory, up to `window_spans_max` spans each; others wait on disk only, where they are
    /// found by trace id as fast and are searched more slowly.
    pub windows_in_memory_max: usize,
    /// OTLP bytes accepted and not yet turned into columns before appends are refused.
    pub in_flight_bytes_max: u64,
    /// How long offloaded windows stay in the hot tier, so that recent traces need no object-store request.
    pub hot_retention: Duration,
    /// Bytes of windows in the hot tier. Offloaded windows leave when there are more, the oldest first; when those that wait
    /// come to more by themselves, appends are refused. As much as may wait in memory may always wait.
    pub hot_bytes_max: u64,
    /// Bytes that must be free on the disk of the hot tier; with less, appends are refused. Room for what is accepted
    /// between two looks at the disk and for what RocksDB has in memory.
    pub disk_free_min: u64,
    /// How often the manifests of other writers are read again.
    pub manifest_refresh: Duration,
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
            windows_waiting_max: 250,
            windows_in_memory_max: 4,
            in_flight_bytes_max: 32 << 20,
            hot_retention: Duration::from_secs(3600),
            hot_bytes_max: 4 << 30,
            disk_free_min: 256 << 20,
            manifest_refresh: Duration::from_secs(30),
        }
    }

    /// Bytes of windows that may wait for the object store.
    pub(crate) fn waiting_bytes_max(&self) -> u64 {
        let in_memory = (self.windows_in_memory_max as u64 + 1).saturating_mul(self.window_bytes_max);
        self.hot_bytes_max.max(in_memory)
    }
}
