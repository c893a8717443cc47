//! `cargo bench --bench blocks`: trace by id among 1,000 blocks; fewer with `-- --blocks 100`. See [`spanhold::load`].

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use spanhold::load::{self, BlocksOptions, LoadError};

fn main() -> ExitCode {
    match measure(&BlocksOptions::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing can be done about a closed standard error.
            let _ = writeln!(std::io::stderr(), "blocks: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &BlocksOptions) -> Result<(), LoadError> {
    let output = |source| LoadError::Io { what: "standard output".to_owned(), source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(output)?;
    let report = runtime.block_on(load::run_blocks(options, &mut std::io::stderr()))?;
    write!(std::io::stdout(), "{report}").map_err(output)
}
