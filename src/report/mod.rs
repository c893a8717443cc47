//! `spanhold operations`, `runs`, `failovers` and `classify`: ask a server, and print tables or its JSON.

mod classify;
mod failovers;
mod operations;
mod runs;

use std::io::Write;

use clap::Args;
use serde::de::DeserializeOwned;

pub use classify::{ClassifyError, ClassifyOptions};
pub use failovers::FailoverOptions;
pub use operations::OperationOptions;
pub use runs::RunOptions;

use crate::ask::{self, AskError};

/// What every report is asked with.
#[derive(Debug, Clone, Args)]
pub struct Asking {
    /// From this time on: RFC 3339, a Unix time, or `now-1d`.
    #[arg(long, value_name = "TIME", global = true)]
    pub start: Option<String>,
    /// Before this time [default: now].
    #[arg(long, value_name = "TIME", global = true)]
    pub end: Option<String>,
    /// Rows at most.
    #[arg(long, value_name = "ROWS", global = true)]
    pub limit: Option<String>,
    /// Address of a server's HTTP API.
    #[arg(long, env = "SPANHOLD_URL", default_value = "http://127.0.0.1:4319", global = true)]
    pub url: String,
    /// Print JSON, as the API answers it.
    #[arg(long, global = true)]
    pub json: bool,
}

impl Asking {
    /// Asks for `path` with the common parameters and `further` ones, and prints the JSON, or the text made of it.
    async fn print<T: DeserializeOwned>(
        &self,
        path: &str,
        further: &[(&str, Option<&str>)],
        render: impl Fn(&T) -> String,
    ) -> Result<(), AskError> {
        let common = [("start", &self.start), ("end", &self.end), ("limit", &self.limit)];
        let mut parameters: Vec<(&str, Option<&str>)> =
            common.into_iter().map(|(name, value)| (name, value.as_deref())).collect();
        parameters.extend_from_slice(further);
        let answer = ask::get_with(&self.url, path, &parameters).await?;
        if self.json { say(&pretty(&answer)?) } else { say(&render(&serde_json::from_str(&answer)?)) }
    }
}

/// JSON for people.
fn pretty(answer: &str) -> Result<String, AskError> {
    let value: serde_json::Value = serde_json::from_str(answer)?;
    Ok(serde_json::to_string_pretty(&value)? + "\n")
}

fn say(text: &str) -> Result<(), AskError> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

/// `spanhold operations`.
///
/// # Errors
/// When the server does not answer or refuses.
pub async fn operations(options: OperationOptions) -> Result<(), AskError> {
    operations::run(&options).await
}

/// `spanhold runs`.
///
/// # Errors
/// When the server does not answer or refuses.
pub async fn runs(options: RunOptions) -> Result<(), AskError> {
    runs::run(&options).await
}

/// `spanhold failovers`.
///
/// # Errors
/// When the server does not answer or refuses.
pub async fn failovers(options: FailoverOptions) -> Result<(), AskError> {
    failovers::run(&options).await
}

/// `spanhold classify`.
///
/// # Errors
/// When the server does not answer or refuses, or the configuration file is wrong.
pub async fn classify(options: ClassifyOptions) -> Result<(), ClassifyError> {
    classify::run(&options).await
}
