//! Rollups: how many spans there were of each kind, and how long they took, counted before anything is dropped.
//!
//! Made from a window's spans, each once, when the window is offloaded, and committed in the same manifest as its block: a
//! window is counted in both or in neither. A row is a minute, service, span name, kind, and whether the span is a root;
//! older rows are joined into hours and days ([`plan`]). The files are promised in `docs/format.md`.
//!
//! Never looks at attributes, never reads a block, and never decides what is kept.

pub(crate) mod compactor;
pub(crate) mod entry;
pub(crate) mod file;
pub(crate) mod plan;
pub(crate) mod sketch;
pub(crate) mod table;
#[cfg(test)]
mod tests;
pub(crate) mod totals;
pub(crate) mod window;

pub use entry::{Resolution, RollupEntry};
pub use sketch::{RELATIVE_ERROR, Sketch};
pub use totals::Totals;

use crate::Error;

/// Stands for all span names of a service beyond [`NAMES_PER_SERVICE_MAX`].
pub const OTHER_NAMES: &str = "(other names)";

/// Stands for all services beyond what an answer can hold.
pub const OTHER_SERVICES: &str = "(other services)";

/// Span names that each service has in one rollup, the most frequent: a sender that puts ids into names has millions.
pub(crate) const NAMES_PER_SERVICE_MAX: usize = 1_000;

/// What rollups there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RollupKind {
    /// Spans by name, of this module.
    Spans,
    /// Spans by their place in operations, of [`crate::steps`].
    Steps,
    /// Runs, of [`crate::runs`]: no counts, but joined and kept alike.
    Runs,
}

/// A row of a rollup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// Begin of the minute, hour or day in which the spans started, Unix nanoseconds.
    pub(crate) start: i64,
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) kind: model::SpanKind,
    pub(crate) is_root: bool,
    pub(crate) totals: Totals,
}

/// Rows of one resolution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rollup {
    pub(crate) resolution: Resolution,
    /// By service, name, kind and root, then start: like beside like, which compresses and is found by service.
    pub(crate) rows: Vec<Row>,
}

fn corrupt(why: &str) -> Error {
    Error::Corrupt { what: "a rollup".to_owned(), why: why.to_owned() }
}
