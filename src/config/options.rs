//! The options of `serve` as typed: on the command line, in the environment, in the file.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use model::retention::Policy;
use model::rules::Rules;
use serde::Deserialize;

/// Each option has one name: `--data-dir`, `SPANHOLD_DATA_DIR`, `data-dir = "…"`.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ServeOptions {
    /// TOML file with any of these options.
    #[arg(long, env = "SPANHOLD_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Folder of the hot tier and, by default, of the cold tier [default: ./spanhold-data].
    #[arg(long, env = "SPANHOLD_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Cold tier: file:///folder or s3://bucket/prefix (AWS_* variables give endpoint, region, credentials)
    /// [default: file://DATA_DIR/cold].
    #[arg(long, env = "SPANHOLD_COLD", value_name = "URL")]
    pub cold: Option<String>,
    /// OTLP over gRPC [default: 127.0.0.1:4317].
    #[arg(long, env = "SPANHOLD_OTLP_GRPC_LISTEN", value_name = "ADDRESS")]
    pub otlp_grpc_listen: Option<String>,
    /// OTLP over HTTP [default: 127.0.0.1:4318].
    #[arg(long, env = "SPANHOLD_OTLP_HTTP_LISTEN", value_name = "ADDRESS")]
    pub otlp_http_listen: Option<String>,
    /// Web page, HTTP API and metrics [default: 127.0.0.1:4319].
    #[arg(long, env = "SPANHOLD_HTTP_LISTEN", value_name = "ADDRESS")]
    pub http_listen: Option<String>,
    /// Largest request body as sent, bytes.
    #[arg(long, env = "SPANHOLD_REQUEST_BYTES_MAX", value_name = "BYTES")]
    pub request_bytes_max: Option<usize>,
    /// Largest request body after decompression, bytes.
    #[arg(long, env = "SPANHOLD_DECOMPRESSED_BYTES_MAX", value_name = "BYTES")]
    pub decompressed_bytes_max: Option<usize>,
    /// Origins of web pages that may send spans from a browser; * for any.
    #[arg(long, env = "SPANHOLD_BROWSER_ORIGINS", value_name = "ORIGIN", value_delimiter = ',')]
    pub browser_origins: Option<Vec<String>>,
    /// A window is offloaded when its first batch is this old.
    #[arg(long, env = "SPANHOLD_WINDOW_AGE_MAX", value_name = "DURATION")]
    pub window_age_max: Option<Span>,
    /// A window is offloaded at this many spans.
    #[arg(long, env = "SPANHOLD_WINDOW_SPANS_MAX", value_name = "SPANS")]
    pub window_spans_max: Option<u64>,
    /// A window is offloaded at this many bytes of OTLP.
    #[arg(long, env = "SPANHOLD_WINDOW_BYTES_MAX", value_name = "BYTES")]
    pub window_bytes_max: Option<u64>,
    /// Windows that may wait for the object store, in memory and on disk, before spans are refused.
    #[arg(long, env = "SPANHOLD_WINDOWS_WAITING_MAX", value_name = "WINDOWS")]
    pub windows_waiting_max: Option<usize>,
    /// Windows that wait for the object store in memory; others wait on disk only.
    #[arg(long, env = "SPANHOLD_WINDOWS_IN_MEMORY_MAX", value_name = "WINDOWS")]
    pub windows_in_memory_max: Option<usize>,
    /// Bytes of OTLP accepted and not yet searchable before spans are refused.
    #[arg(long, env = "SPANHOLD_IN_FLIGHT_BYTES_MAX", value_name = "BYTES")]
    pub in_flight_bytes_max: Option<u64>,
    /// How long offloaded windows stay in the hot tier.
    #[arg(long, env = "SPANHOLD_HOT_RETENTION", value_name = "DURATION")]
    pub hot_retention: Option<Span>,
    /// Bytes of windows in the hot tier: offloaded ones leave, and when those that wait come to more spans are refused.
    #[arg(long, env = "SPANHOLD_HOT_BYTES_MAX", value_name = "BYTES")]
    pub hot_bytes_max: Option<u64>,
    /// How long counts and latencies are kept by the minute.
    #[arg(long, env = "SPANHOLD_ROLLUP_MINUTE_RETENTION", value_name = "DURATION")]
    pub rollup_minute_retention: Option<Span>,
    /// How long counts and latencies are kept by the hour; by the day from then on.
    #[arg(long, env = "SPANHOLD_ROLLUP_HOUR_RETENTION", value_name = "DURATION")]
    pub rollup_hour_retention: Option<Span>,
    /// Whether runs and the steps of operations are derived from spans [default: true].
    #[arg(long, env = "SPANHOLD_DERIVE_OPERATIONS", value_name = "BOOL")]
    pub derive_operations: Option<bool>,
    /// How long runs are kept, after their last activity.
    #[arg(long, env = "SPANHOLD_RUN_RETENTION", value_name = "DURATION")]
    pub run_retention: Option<Span>,
    /// How long the steps of operations are kept by the minute.
    #[arg(long, env = "SPANHOLD_STEP_MINUTE_RETENTION", value_name = "DURATION")]
    pub step_minute_retention: Option<Span>,
    /// How long the steps of operations are kept by the hour; by the day from then on.
    #[arg(long, env = "SPANHOLD_STEP_HOUR_RETENTION", value_name = "DURATION")]
    pub step_hour_retention: Option<Span>,
    /// Bytes that must be free on the disk of the hot tier; with less, spans are refused.
    #[arg(long, env = "SPANHOLD_DISK_FREE_MIN", value_name = "BYTES")]
    pub disk_free_min: Option<u64>,
    /// How often to look for blocks to merge, beside after each new one.
    #[arg(long, env = "SPANHOLD_MERGE_INTERVAL", value_name = "DURATION")]
    pub merge_interval: Option<Span>,
    /// Blocks of about one size and the same days from which on they are merged; a quarter of them once the day is over.
    #[arg(long, env = "SPANHOLD_MERGE_INPUTS_MIN", value_name = "BLOCKS")]
    pub merge_inputs_min: Option<usize>,
    /// Size of a merged block at most, about.
    #[arg(long, env = "SPANHOLD_MERGE_BLOCK_BYTES_MAX", value_name = "BYTES")]
    pub merge_block_bytes_max: Option<u64>,
    /// How long objects stay in the cold tier when nothing names them any more: queries and other nodes may still read them.
    #[arg(long, env = "SPANHOLD_ORPHAN_GRACE", value_name = "DURATION")]
    pub orphan_grace: Option<Span>,
    /// How long spans stay in the cold tier at most, whatever the retention rules say [default: for ever].
    #[arg(long, env = "SPANHOLD_COLD_RETENTION", value_name = "DURATION")]
    pub cold_retention: Option<Span>,
    /// Bytes of this node's blocks in the cold tier; past them the oldest leave [default: no limit].
    #[arg(long, env = "SPANHOLD_COLD_BYTES_MAX", value_name = "BYTES")]
    pub cold_bytes_max: Option<u64>,
    /// Time from SIGTERM to the end.
    #[arg(long, env = "SPANHOLD_SHUTDOWN_DEADLINE", value_name = "DURATION")]
    pub shutdown_deadline: Option<Span>,
    /// Which traces are kept, and for how long: rules, so in the file only.
    #[arg(skip)]
    pub retention: Option<Policy>,
    /// What an operation is, and what each span is in it: rules, so in the file only.
    #[arg(skip)]
    pub operations: Option<Rules>,
}

impl ServeOptions {
    /// These options, and those of `file` where nothing else was given.
    pub(super) fn or(self, file: Self) -> Self {
        Self {
            config: self.config,
            data_dir: self.data_dir.or(file.data_dir),
            cold: self.cold.or(file.cold),
            otlp_grpc_listen: self.otlp_grpc_listen.or(file.otlp_grpc_listen),
            otlp_http_listen: self.otlp_http_listen.or(file.otlp_http_listen),
            http_listen: self.http_listen.or(file.http_listen),
            request_bytes_max: self.request_bytes_max.or(file.request_bytes_max),
            decompressed_bytes_max: self.decompressed_bytes_max.or(file.decompressed_bytes_max),
            browser_origins: self.browser_origins.or(file.browser_origins),
            window_age_max: self.window_age_max.or(file.window_age_max),
            window_spans_max: self.window_spans_max.or(file.window_spans_max),
            window_bytes_max: self.window_bytes_max.or(file.window_bytes_max),
            windows_waiting_max: self.windows_waiting_max.or(file.windows_waiting_max),
            windows_in_memory_max: self.windows_in_memory_max.or(file.windows_in_memory_max),
            in_flight_bytes_max: self.in_flight_bytes_max.or(file.in_flight_bytes_max),
            hot_retention: self.hot_retention.or(file.hot_retention),
            hot_bytes_max: self.hot_bytes_max.or(file.hot_bytes_max),
            rollup_minute_retention: self.rollup_minute_retention.or(file.rollup_minute_retention),
            rollup_hour_retention: self.rollup_hour_retention.or(file.rollup_hour_retention),
            derive_operations: self.derive_operations.or(file.derive_operations),
            run_retention: self.run_retention.or(file.run_retention),
            step_minute_retention: self.step_minute_retention.or(file.step_minute_retention),
            step_hour_retention: self.step_hour_retention.or(file.step_hour_retention),
            disk_free_min: self.disk_free_min.or(file.disk_free_min),
            merge_interval: self.merge_interval.or(file.merge_interval),
            merge_inputs_min: self.merge_inputs_min.or(file.merge_inputs_min),
            merge_block_bytes_max: self.merge_block_bytes_max.or(file.merge_block_bytes_max),
            orphan_grace: self.orphan_grace.or(file.orphan_grace),
            cold_retention: self.cold_retention.or(file.cold_retention),
            cold_bytes_max: self.cold_bytes_max.or(file.cold_bytes_max),
            shutdown_deadline: self.shutdown_deadline.or(file.shutdown_deadline),
            retention: self.retention.or(file.retention),
            operations: self.operations.or(file.operations),
        }
    }
}

/// A duration as people write it: `250ms`, `90s`, `2m`, `1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Span(Duration);

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        span.0
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let nanos = model::duration::parse_nanos(text).map_err(|error| error.to_string())?;
        u64::try_from(nanos).map(|nanos| Self(Duration::from_nanos(nanos))).map_err(|error| error.to_string())
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}
