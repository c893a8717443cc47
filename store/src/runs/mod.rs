//! Runs: executions of operations that matter one by one, kept in a table that follows the spans as they come.
//!
//! What a trace says about runs is a function of its spans ([`model::run::parts_of`]), so the table is one too: whenever spans of
//! a trace come that may matter, the whole trace is read again and what it says takes the place of what it said before. Order, duplicates and
//! hours of delay make no difference, and nothing is ever closed.
//!
//! ```text
//! windows ─▶ scan: which traces may matter, what do health checks and writes say of instances
//!               └▶ worker: read the trace ─▶ parts ─▶ table (RocksDB) ─▶ runs joined, failovers measured
//!                                                        └▶ offload: what changed ─▶ runs/….parquet, named by the manifest
//! ```
//!
//! **Durability.** Nothing here is logged. The table is written to its files before a window counts as offloaded, with the traces that are
//! still to be looked at; after a crash the windows that are not offloaded are scanned again. A new node loads the table from the files that
//! manifests name, whoever wrote them.
//!
//! Never holds up what receives spans; decides nothing about what a run is.

mod batch;
pub(crate) mod file;
mod group;
mod interest;
pub(crate) mod item;
mod keys;
pub(crate) mod load;
mod marks;
mod query;
mod row;
mod scan;
pub(crate) mod table;
#[cfg(test)]
mod tests;
mod todo;
pub(crate) mod worker;

pub use query::{Baseline, RunRequest, RunsFound};
pub use row::RunSummary;
pub(crate) use table::RunTable;
pub(crate) use worker::{RunWorker, RunWorkerParts};

use crate::Error;

fn corrupt(what: &str, why: impl std::fmt::Display) -> Error {
    Error::Corrupt { what: format!("the table of runs, {what}"), why: why.to_string() }
}
