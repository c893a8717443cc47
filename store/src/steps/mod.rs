//! Steps: where the time of each operation goes, counted before anything is dropped.
//!
//! A *step* is a place in an operation: the path of span names from its root. A row counts the spans of one step whose root
//! started in one minute (hour, day), by `service.version` of the root; further rows count roots by the value of an attribute.
//! Rows are made when a window is offloaded and committed in the same manifest as its block, as rollups are; older ones are joined
//! into hours and days by the same worker. The files are promised in `docs/format.md`.
//!
//! **Traces in several windows.** A window counts its traces as they are together with what came before it, and takes back what
//! was counted before: rows are *changes*. So after the last window of a trace it is counted as if it had come in one, and a span
//! that was sent again changes nothing. See [`earlier`] for how the spans before are found, and for the limits of that.
//!
//! Never decides what is kept, and never looks at attributes but those of [`ATTRIBUTES`] and those that mark a span as not ended.

mod bones;
pub(crate) mod earlier;
pub(crate) mod file;
mod search;
mod seen;
mod shape;
mod spread;
pub(crate) mod table;
#[cfg(test)]
mod tests;
mod totals;

pub(crate) use bones::Bones;
pub use totals::StepTotals;

use crate::Error;
use crate::rollup::Resolution;
use totals::Change;

/// The operation of spans whose root has not been received: they are counted with the spans below them, under the service of the
/// topmost one that is known.
pub const NO_ROOT: &str = "(no root)";

/// Stands for steps beyond [`STEPS_PER_OPERATION_MAX`] and below [`DEPTH_MAX`].
pub const OTHER_STEPS: &str = "(other steps)";

/// Stands for values of an attribute beyond [`VALUES_MAX`].
pub const OTHER_VALUES: &str = "(other values)";

/// The attributes by whose values roots are counted, each with its older names. Looked for in the root, then in its resource.
pub const ATTRIBUTES: [&[&str]; 4] = [
    &["cloud.region"],
    &["cloud.availability_zone", "cloud.zone"],
    &["db.system.name", "db.system", "dbaas.engine"],
    &["dbaas.instance.id"],
];

/// Names below a root that are told apart; a chain of 100,000 spans is no path.
pub(crate) const DEPTH_MAX: u8 = 32;

/// Steps of one operation in one rollup.
pub(crate) const STEPS_PER_OPERATION_MAX: u32 = 1_000;

/// Operations of one service in one rollup.
pub(crate) const OPERATIONS_PER_SERVICE_MAX: u32 = 1_000;

/// Values of one attribute that each operation has in one rollup: instances are many, and one that matters has its runs.
pub(crate) const VALUES_MAX: u32 = 256;

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// Begin of the minute, hour or day in which the topmost span started, Unix nanoseconds.
    pub(crate) start: i64,
    /// `service.name` of the root.
    pub(crate) service: String,
    /// Name of the root, or [`NO_ROOT`].
    pub(crate) operation: String,
    /// Names below the root as a JSON array of texts; `[]` is the root itself.
    pub(crate) path: String,
    /// `service.name` of the step; of several the first in alphabetical order.
    pub(crate) step_service: String,
    /// `None` counts by `service.version` of the root, else by the attribute with this place in [`ATTRIBUTES`].
    pub(crate) attribute: Option<u8>,
    /// The version or value; `None` where there is none.
    pub(crate) value: Option<String>,
    pub(crate) change: Change,
}

/// Rows of one resolution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StepRollup {
    pub(crate) resolution: Resolution,
    /// In the order of a file: see [`table::order`].
    pub(crate) rows: Vec<Row>,
}

fn corrupt(why: &str) -> Error {
    Error::Corrupt { what: "a rollup of steps".to_owned(), why: why.to_owned() }
}
