//! Parses the command line and runs one command.

use std::process::ExitCode;

use clap::Parser;
use spanhold::cli::{Cli, Command};
use spanhold::{config, demo, inspect, report, retention, serve, telemetry, trace};

mod memory;

fn main() -> ExitCode {
    memory::give_back_soon();
    let cli = Cli::parse();
    telemetry::init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let outcome = runtime.block_on(async {
        match cli.command.unwrap_or(Command::Serve(cli.serve)) {
            Command::Serve(options) => serve::run(config::load(options)?, serve::terminated()).await,
            Command::CheckConfig(options) => config::check(options),
            Command::Demo(options) => demo::run(options, serve::terminated()).await.map_err(Into::into),
            Command::Retention(options) => retention::run(options).await.map_err(Into::into),
            Command::Operations(options) => report::operations(options).await.map_err(Into::into),
            Command::Runs(options) => report::runs(options).await.map_err(Into::into),
            Command::Failovers(options) => report::failovers(options).await.map_err(Into::into),
            Command::Classify(options) => report::classify(options).await.map_err(Into::into),
            Command::Inspect(options) => inspect::run(options).await.map_err(Into::into),
            Command::Trace(options) => trace::run(options).await.map_err(Into::into),
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&*error),
    }
}

#[expect(clippy::print_stderr, reason = "the last words of a command go to its terminal, whatever the log level")]
fn failed(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("spanhold: {error}");
    ExitCode::FAILURE
}
