//! `spanhold trace ID`: asks a server for a trace as text and prints it.

use std::io::Write;

use crate::ask::{self, AskError};
use crate::cli::TraceOptions;

/// Prints the tree.
///
/// # Errors
/// When the server does not answer or does not have the trace.
pub async fn run(options: TraceOptions) -> Result<(), AskError> {
    let body = ask::get(&options.url, &format!("/api/v1/traces/{}?format=tree", options.id.trim())).await?;
    Ok(std::io::stdout().write_all(body.as_bytes())?)
}
