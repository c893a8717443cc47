//! The command line. Flags, `SPANHOLD_*` variables and the TOML file say the same things in the same words.

use clap::{Args, Parser, Subcommand};

use crate::config::ServeOptions;
use crate::demo::DemoOptions;
use crate::inspect::InspectOptions;
use crate::report::{ClassifyOptions, FailoverOptions, OperationOptions, RunOptions};

/// A self-hosted, lightweight trace backend for database-as-a-service platforms.
#[derive(Debug, Parser)]
#[command(name = "spanhold", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do; `serve` when left out.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options of `serve`.
    #[command(flatten)]
    pub serve: ServeOptions,
}

/// One command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Receive, keep and serve spans (the default).
    Serve(ServeOptions),
    /// Send the traces of a small, made-up DBaaS fleet to a server.
    Demo(DemoOptions),
    /// Print one trace as a tree.
    Trace(TraceOptions),
    /// Tell where the time of operations goes.
    Operations(OperationOptions),
    /// Tell what goes on, what is stuck, and what has been.
    Runs(RunOptions),
    /// Report on failovers.
    Failovers(FailoverOptions),
    /// Tell which rule makes what of a span, and why.
    Classify(ClassifyOptions),
    /// Tell what the retention rules of a server would drop now.
    Retention(RetentionOptions),
    /// Show windows, manifests and blocks, and where a trace is.
    Inspect(InspectOptions),
    /// Read the configuration, say what is wrong with it or what follows from it, and end.
    CheckConfig(ServeOptions),
}

/// Options of `spanhold trace`.
#[derive(Debug, Args)]
pub struct TraceOptions {
    /// Trace id: 32 hex digits.
    pub id: String,
    /// Address of a server's HTTP API.
    #[arg(long, env = "SPANHOLD_URL", default_value = "http://127.0.0.1:4319")]
    pub url: String,
}

/// Options of `spanhold retention`.
#[derive(Debug, Args)]
pub struct RetentionOptions {
    /// Look at what arrived in so many hours.
    #[arg(long, default_value_t = 24)]
    pub hours: u64,
    /// Address of a server's HTTP API.
    #[arg(long, env = "SPANHOLD_URL", default_value = "http://127.0.0.1:4319")]
    pub url: String,
}
