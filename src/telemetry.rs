//! The program's own log: to standard error, level by `SPANHOLD_LOG`.

use tracing_subscriber::EnvFilter;

/// Levels and targets, as `tracing_subscriber::EnvFilter` reads them: `info`, `spanhold_store=debug,info`.
const LOG_VARIABLE: &str = "SPANHOLD_LOG";

/// Starts logging. JSON when `SPANHOLD_LOG_FORMAT` is `json`.
pub fn init() {
    let filter = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::env::var("SPANHOLD_LOG_FORMAT").is_ok_and(|format| format == "json") {
        log.json().init();
    } else {
        log.init();
    }
}
