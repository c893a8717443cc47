//! Every knob of the store: unit, default, reason.

use std::path::PathBuf;
use std::time::Duration;

use model::retention::Policy;

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
    /// Sealed windows that may wait for the object store before appends are refused; each holds up to
    /// `window_spans_max` spans in memory.
    pub windows_waiting_max: usize,
    /// OTLP bytes accepted and not yet turned into columns before appends are refused.
    pub in_flight_bytes_max: u64,
    /// How long offloaded windows stay in the hot tier, so that recent traces need no object-store request.
    pub hot_retention: Duration,
    /// Bytes of offloaded windows that stay in the hot tier; the oldest go first.
    pub hot_bytes_max: u64,
    /// How often the manifests of other writers are read again.
    pub manifest_refresh: Duration,
    /// Which traces are kept, and for how long.
    pub retention: Policy,
    /// How long counts and latencies are kept by the minute: long enough to compare today with yesterday.
    pub rollup_minute_retention: Duration,
    /// How long counts and latencies are kept by the hour, and by the day from then on: a quarter, to compare weeks.
    pub rollup_hour_retention: Duration,
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
            windows_waiting_max: 4,
            in_flight_bytes_max: 32 << 20,
            hot_retention: Duration::from_secs(3600),
            hot_bytes_max: 4 << 30,
            manifest_refresh: Duration::from_secs(30),
            retention: Policy::default(),
            rollup_minute_retention: Duration::from_secs(48 * 3600),
            rollup_hour_retention: Duration::from_secs(90 * 86_400),
        }
    }
}
