//! Asks a running server over its HTTP API, for the commands that print an answer.

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
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
    /// The answer is not what this version knows.
    #[error("the server's answer cannot be read: {0}; is it of the same version?")]
    Unknown(#[from] serde_json::Error),
    /// Standard output is closed.
    #[error("printing: {0}")]
    Print(#[from] std::io::Error),
}

/// The body of the answer to a GET of `path` at `url`.
///
/// # Errors
/// When the server does not answer, or refuses.
pub async fn get(url: &str, path: &str) -> Result<String, AskError> {
    get_with(url, path, &[]).await
}

/// The same, with the parameters that have a value.
///
/// # Errors
/// When the server does not answer, or refuses.
pub async fn get_with(url: &str, path: &str, parameters: &[(&str, Option<&str>)]) -> Result<String, AskError> {
    let unreachable = |source| AskError::Unreachable { url: url.to_owned(), source };
    let given: Vec<(&str, &str)> = parameters.iter().filter_map(|(name, value)| Some((*name, (*value)?))).collect();
    let request = reqwest::Client::new().get(format!("{}{path}", url.trim_end_matches('/'))).query(&given);
    let response = request.send().await.map_err(unreachable)?;
    let status = response.status();
    let body = response.text().await.map_err(unreachable)?;
    if !status.is_success() {
        let problem: Option<serde_json::Value> = serde_json::from_str(&body).ok();
        let detail = problem.and_then(|problem| Some(problem.get("detail")?.as_str()?.to_owned()));
        return Err(AskError::Refused(detail.unwrap_or_else(|| format!("the server answered {status}"))));
    }
    Ok(body)
}
