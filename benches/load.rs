//! `cargo bench --bench load`: the end-to-end load run, small with `-- --spans 20000`. See [`spanhold::load`].

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use spanhold::load::{self, LoadError, LoadOptions};

fn main() -> ExitCode {
    let options = LoadOptions::parse();
    match measure(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing can be done about a closed standard error.
            let _ = writeln!(std::io::stderr(), "load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &LoadOptions) -> Result<(), LoadError> {
    let output = |source| LoadError::Io { what: "standard output".to_owned(), source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(output)?;
    let report = runtime.block_on(load::run(options, &mut std::io::stderr()))?;
    write!(std::io::stdout(), "{report}").map_err(output)
}
