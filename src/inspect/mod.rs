//! `spanhold inspect`: what a server's store, or a cold tier without a server, looks like inside.
//!
//! A server's data folder is locked by the server, so it is asked over HTTP; `--cold` reads a bucket or folder directly, and
//! changes nothing there.

mod tables;

use std::io::Write;

use clap::{Args, Subcommand};
use query::inspection::{BlockDetail, Inspection, Places};
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::{BlockId, ColdInspector};

use crate::cold::{self, ColdError};

/// Options of `spanhold inspect`.
#[derive(Debug, Args)]
pub struct InspectOptions {
    /// What to show; everything in short when left out.
    #[command(subcommand)]
    pub what: Option<What>,
    /// Address of a server's HTTP API.
    #[arg(long, env = "SPANHOLD_URL", default_value = "http://127.0.0.1:4319", global = true)]
    pub url: String,
    /// Read this cold tier by itself, without a server: file:///folder or s3://bucket/prefix.
    #[arg(long, value_name = "URL", global = true)]
    pub cold: Option<String>,
    /// Print JSON, as `GET /api/v1/inspect` answers it.
    #[arg(long, global = true)]
    pub json: bool,
}

/// One look.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Windows of the hot tier.
    Windows,
    /// Blocks of the cold tier.
    Blocks,
    /// Rollups of the cold tier, with those of steps and the files of runs.
    Rollups,
    /// One block: its row groups, and the size of each column.
    Block {
        /// Block id.
        id: BlockId,
    },
    /// Where the spans of a trace are.
    Trace {
        /// Trace id: 32 hex digits.
        id: proto::TraceId,
    },
}

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// No server at the address, or none that answers.
    #[error(
        "no answer from {url}: {source}; is `spanhold serve` running there? (--url, SPANHOLD_URL; --cold reads without)"
    )]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What went wrong.
        source: reqwest::Error,
    },
    /// The server's own words.
    #[error("{0}")]
    Refused(String),
    /// Another version's answer.
    #[error("the server's answer is not understood: {0}; use the program of the server's version")]
    Answer(#[source] serde_json::Error),
    /// The cold tier's URL.
    #[error(transparent)]
    Url(#[from] ColdError),
    /// The cold tier cannot be read.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// No manifest names it.
    #[error("no block {0} is in a manifest")]
    NoBlock(BlockId),
    /// Standard output is closed.
    #[error("printing: {0}")]
    Print(#[from] std::io::Error),
}

/// Prints what was asked for.
///
/// # Errors
/// When neither server nor cold tier can be asked.
pub async fn run(options: InspectOptions) -> Result<(), InspectError> {
    let source = match &options.cold {
        // Not opened like the server does it: a folder that is missing must not be made.
        Some(url) => Source::Cold(ColdInspector::open(cold::open_existing(url)?.objects).await?),
        None => Source::Server(options.url.trim_end_matches('/').to_owned()),
    };
    match options.what {
        Some(What::Block { id }) => print(&source.block(id).await?, options.json, tables::block),
        Some(What::Trace { id }) => print(&source.trace(id).await?, options.json, tables::places),
        Some(What::Windows) => print(&source.all().await?, options.json, tables::windows),
        Some(What::Blocks) => print(&source.all().await?, options.json, tables::blocks),
        Some(What::Rollups) => print(&source.all().await?, options.json, tables::rollups),
        None => print(&source.all().await?, options.json, tables::all),
    }
}

fn print<T: Serialize>(value: &T, as_json: bool, table: impl Fn(&T) -> String) -> Result<(), InspectError> {
    let text =
        if as_json { serde_json::to_string_pretty(value).map_err(InspectError::Answer)? + "\n" } else { table(value) };
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

/// Who is asked.
enum Source {
    /// A server, by its address.
    Server(String),
    Cold(ColdInspector),
}

impl Source {
    async fn all(&self) -> Result<Inspection, InspectError> {
        match self {
            Self::Server(url) => ask(url, "").await,
            Self::Cold(cold) => Ok(Inspection::of(&[], cold.manifests().iter().map(|manifest| &**manifest))),
        }
    }

    async fn block(&self, id: BlockId) -> Result<BlockDetail, InspectError> {
        match self {
            Self::Server(url) => ask(url, &format!("?block={id}")).await,
            Self::Cold(cold) => {
                let facts = cold.block(id).await?.ok_or(InspectError::NoBlock(id))?;
                Ok(BlockDetail::of(&facts))
            }
        }
    }

    async fn trace(&self, id: proto::TraceId) -> Result<Places, InspectError> {
        match self {
            Self::Server(url) => ask(url, &format!("?trace={id}")).await,
            Self::Cold(cold) => Ok(Places::of(id, cold.trace(id).await?)),
        }
    }
}

async fn ask<T: DeserializeOwned>(url: &str, query: &str) -> Result<T, InspectError> {
    let unreachable = |source| InspectError::Unreachable { url: url.to_owned(), source };
    let response = reqwest::get(format!("{url}/api/v1/inspect{query}")).await.map_err(unreachable)?;
    let status = response.status();
    let body = response.text().await.map_err(unreachable)?;
    if !status.is_success() {
        let problem: Option<serde_json::Value> = serde_json::from_str(&body).ok();
        let detail = problem.and_then(|problem| Some(problem.get("detail")?.as_str()?.to_owned()));
        return Err(InspectError::Refused(detail.unwrap_or_else(|| format!("the server answered {status}"))));
    }
    serde_json::from_str(&body).map_err(InspectError::Answer)
}
