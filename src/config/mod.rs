//! Configuration in two steps: as typed ([`ServeOptions`]), then validated ([`Config`]).
//!
//! A flag wins over its `SPANHOLD_*` variable, that over the file, that over the default.

mod options;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use options::ServeOptions;

use crate::cold::{self, ColdError};

/// Loopback: whoever wants spans from elsewhere says so.
const OTLP_GRPC_LISTEN: &str = "127.0.0.1:4317";
const OTLP_HTTP_LISTEN: &str = "127.0.0.1:4318";
const HTTP_LISTEN: &str = "127.0.0.1:4319";
const DATA_DIR: &str = "./spanhold-data";
/// Kubernetes sends SIGKILL 30 s after SIGTERM.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(20);

/// Less would keep blocks so small that there were no end of them.
const MERGE_BLOCK_BYTES_MIN: u64 = 1 << 20;
/// Less would let blocks go before anybody could look at them.
const COLD_RETENTION_MIN: Duration = Duration::from_secs(60);

/// What `serve` runs with, validated.
#[derive(Debug, Clone)]
pub struct Config {
    /// OTLP over gRPC.
    pub otlp_grpc_listen: SocketAddr,
    /// OTLP over HTTP.
    pub otlp_http_listen: SocketAddr,
    /// Web page, HTTP API and metrics.
    pub http_listen: SocketAddr,
    /// URL of the cold tier.
    pub cold: String,
    /// Limits of receiving.
    pub ingest: ingest::Settings,
    /// Limits of keeping.
    pub store: store::Settings,
    /// Time from SIGTERM to the end.
    pub shutdown_deadline: Duration,
}

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("configuration file {path}: {source}")]
    File {
        /// Which file.
        path: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The file is not TOML, or has a key that does not exist.
    #[error("configuration file {path}: {source}")]
    Syntax {
        /// Which file.
        path: String,
        /// What is wrong, with its place.
        source: Box<toml::de::Error>,
    },
    /// An address cannot be parsed.
    #[error("{name} = {value:?}: give an address and a port, such as 127.0.0.1:4317")]
    Address {
        /// Which option.
        name: &'static str,
        /// What was given.
        value: String,
    },
    /// A number that makes no sense.
    #[error("{name} = {value}: must be at least {least}")]
    TooSmall {
        /// Which option.
        name: &'static str,
        /// What was given.
        value: u64,
        /// The least that works.
        least: u64,
    },
    /// Limits that contradict each other.
    #[error(transparent)]
    Ingest(#[from] ingest::SettingsError),
    /// The cold tier's URL.
    #[error(transparent)]
    Cold(#[from] ColdError),
    /// The current folder is gone.
    #[error("data folder {path}: {source}")]
    DataDir {
        /// Which folder.
        path: String,
        /// What went wrong.
        source: std::io::Error,
    },
}

/// Reads the file, if one is named, and validates everything.
///
/// # Errors
/// The first thing that is wrong.
pub fn load(given: ServeOptions) -> Result<Config, ConfigError> {
    let file = match &given.config {
        Some(path) => read_file(path)?,
        None => ServeOptions::default(),
    };
    validate(given.or(file))
}

/// `spanhold check-config`: prints what the configuration comes to, and the retention rules in words.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(given: ServeOptions) -> Result<(), Box<dyn std::error::Error>> {
    use std::io::Write;
    let config = load(given)?;
    cold::open(&config.cold)?;
    let mut out = std::io::stdout();
    writeln!(out, "{config:#?}\n\nretention, the first rule that matches a trace decides:")?;
    for rule in config.store.retention.explain() {
        writeln!(out, "  {rule}")?;
    }
    Ok(())
}

fn read_file(path: &Path) -> Result<ServeOptions, ConfigError> {
    let name = || path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::File { path: name(), source })?;
    toml::from_str(&text).map_err(|source| ConfigError::Syntax { path: name(), source: Box::new(source) })
}

fn validate(options: ServeOptions) -> Result<Config, ConfigError> {
    // Named one by one, so that the compiler asks about each new option.
    let ServeOptions {
        config: _,
        data_dir,
        cold,
        otlp_grpc_listen,
        otlp_http_listen,
        http_listen,
        request_bytes_max,
        decompressed_bytes_max,
        browser_origins,
        window_age_max,
        window_spans_max,
        window_bytes_max,
        windows_waiting_max,
        windows_in_memory_max,
        in_flight_bytes_max,
        hot_retention,
        hot_bytes_max,
        rollup_minute_retention,
        rollup_hour_retention,
        derive_operations,
        run_retention,
        step_minute_retention,
        step_hour_retention,
        disk_free_min,
        merge_interval,
        merge_inputs_min,
        merge_block_bytes_max,
        orphan_grace,
        cold_retention,
        cold_bytes_max,
        shutdown_deadline,
        retention,
        operations,
    } = options;

    let data_dir = absolute(&data_dir.unwrap_or_else(|| PathBuf::from(DATA_DIR)))?;
    let mut store = store::Settings::new(data_dir.join("hot"));
    set(&mut store.window_age_max, window_age_max.map(Into::into));
    set(&mut store.window_spans_max, window_spans_max);
    set(&mut store.window_bytes_max, window_bytes_max);
    set(&mut store.windows_waiting_max, windows_waiting_max);
    set(&mut store.windows_in_memory_max, windows_in_memory_max);
    set(&mut store.in_flight_bytes_max, in_flight_bytes_max);
    set(&mut store.hot_retention, hot_retention.map(Into::into));
    set(&mut store.hot_bytes_max, hot_bytes_max);
    set(&mut store.retention, retention);
    set(&mut store.operations, operations);
    set(&mut store.rollup_minute_retention, rollup_minute_retention.map(Into::into));
    set(&mut store.rollup_hour_retention, rollup_hour_retention.map(Into::into));
    set(&mut store.derive_operations, derive_operations);
    set(&mut store.run_retention, run_retention.map(Into::into));
    set(&mut store.step_minute_retention, step_minute_retention.map(Into::into));
    set(&mut store.step_hour_retention, step_hour_retention.map(Into::into));
    set(&mut store.disk_free_min, disk_free_min);
    set(&mut store.merge_interval, merge_interval.map(Into::into));
    set(&mut store.merge_inputs_min, merge_inputs_min);
    set(&mut store.merge_block_bytes_max, merge_block_bytes_max);
    set(&mut store.orphan_grace, orphan_grace.map(Into::into));
    store.cold_retention = cold_retention.map(Into::into);
    store.cold_bytes_max = cold_bytes_max;
    check_merging(&store)?;
    for (name, value) in [
        ("window-spans-max", store.window_spans_max),
        ("window-bytes-max", store.window_bytes_max),
        ("windows-waiting-max", store.windows_waiting_max as u64),
        ("windows-in-memory-max", store.windows_in_memory_max as u64),
        ("in-flight-bytes-max", store.in_flight_bytes_max),
        ("window-age-max in milliseconds", store.window_age_max.as_millis() as u64),
    ] {
        if value == 0 {
            return Err(ConfigError::TooSmall { name, value, least: 1 });
        }
    }

    let mut ingest = ingest::Settings::default();
    set(&mut ingest.request_bytes_max, request_bytes_max);
    set(&mut ingest.decompressed_bytes_max, decompressed_bytes_max);
    set(&mut ingest.browser_origins, browser_origins);
    ingest.validate()?;

    let address = |name, value: Option<String>, default: &str| {
        let value = value.unwrap_or_else(|| default.to_owned());
        value.parse().map_err(|_| ConfigError::Address { name, value })
    };
    Ok(Config {
        otlp_grpc_listen: address("otlp-grpc-listen", otlp_grpc_listen, OTLP_GRPC_LISTEN)?,
        otlp_http_listen: address("otlp-http-listen", otlp_http_listen, OTLP_HTTP_LISTEN)?,
        http_listen: address("http-listen", http_listen, HTTP_LISTEN)?,
        cold: cold.unwrap_or_else(|| format!("file://{}", data_dir.join("cold").display())),
        ingest,
        store,
        shutdown_deadline: shutdown_deadline.map_or(SHUTDOWN_DEADLINE, Into::into),
    })
}

fn check_merging(store: &store::Settings) -> Result<(), ConfigError> {
    // Whoever reads an object learned of it from a manifest that may be this old, and then asks for at most so long.
    let queries = query::Limits::default();
    let grace_min = store.manifest_refresh * 2 + queries.wait_max + queries.deadline;
    let seconds = |duration: Duration| duration.as_secs();
    for (name, value, least) in [
        ("merge-interval in milliseconds", store.merge_interval.as_millis() as u64, 1),
        ("merge-inputs-min", store.merge_inputs_min as u64, 2),
        ("merge-block-bytes-max", store.merge_block_bytes_max, MERGE_BLOCK_BYTES_MIN),
        ("orphan-grace in seconds", seconds(store.orphan_grace), seconds(grace_min)),
        ("cold-retention in seconds", store.cold_retention.map_or(u64::MAX, seconds), seconds(COLD_RETENTION_MIN)),
        ("cold-bytes-max", store.cold_bytes_max.unwrap_or(u64::MAX), MERGE_BLOCK_BYTES_MIN),
    ] {
        if value < least {
            return Err(ConfigError::TooSmall { name, value, least });
        }
    }
    Ok(())
}

fn set<T>(setting: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *setting = given;
    }
}

fn absolute(path: &Path) -> Result<PathBuf, ConfigError> {
    std::path::absolute(path).map_err(|source| ConfigError::DataDir { path: path.display().to_string(), source })
}

#[cfg(test)]
mod tests;
