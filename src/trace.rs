//! `spanhold trace ID`: asks a server for a trace as text and prints it.

use std::io::Write;

use crate::cli::TraceOptions;

/// Why there is no tree.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// No server at the address, or none that answers.
    #[error("no answer from {url}: {source}; is `spanhold serve` running there? (--url, SPANHOLD_URL)")]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What went wrong.
        source: reqwest::Error,
    },
    /// The server's own words.
    #[error("{0}")]
    Refused(String),
    /// Standard output is closed.
    #[error("printing: {0}")]
    Print(#[from] std::io::Error),
}

/// Prints the tree.
///
/// # Errors
/// When the server does not answer or does not have the trace.
pub async fn run(options: TraceOptions) -> Result<(), TraceError> {
    let url = format!("{}/api/v1/traces/{}?format=tree", options.url.trim_end_matches('/'), options.id.trim());
    let unreachable = |source| TraceError::Unreachable { url: options.url.clone(), source };
    let response = reqwest::get(&url).await.map_err(unreachable)?;
    let status = response.status();
    let body = response.text().await.map_err(unreachable)?;
    if !status.is_success() {
        let problem: Option<serde_json::Value> = serde_json::from_str(&body).ok();
        let detail = problem.and_then(|problem| Some(problem.get("detail")?.as_str()?.to_owned()));
        return Err(TraceError::Refused(detail.unwrap_or_else(|| format!("the server answered {status}"))));
    }
    Ok(std::io::stdout().write_all(body.as_bytes())?)
}
