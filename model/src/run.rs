//! Runs: one execution of an operation, told by one trace or by several.
//!
//! Owns what a trace says about a run ([`RunPart`]), how the parts of a run find each other ([`RunKey`]), and what they come
//! to. Everything is a function of the set of parts, whatever the order in which their spans came; a run is never closed.

mod derive;
mod figures;
pub(crate) mod intervals;
mod join;
mod joined;
mod key;
mod marker;
mod merge;
mod outline;
mod part;
mod read;
mod tops;

pub use derive::parts_of;
pub use join::join;
pub use joined::{LINK_DEPTH_MAX, PARTS_MAX, Progress, Run, RunRef, RunRefError, RunState, StepBaseline};
pub use key::{RunId, RunIdKind, RunKey};
pub use marker::is_start_marker;
pub use part::{
    BackupFigures, IDS_MAX, LINKS_MAX, OTHER_MAX, Outcome, PENDING_MAX, PHASE_SPANS_MAX, PartKind, Pending, PhaseSpan,
    RunError, RunPart, STEPS_MAX, Step, StepKind, Subject, TimePoints, Trigger,
};

#[cfg(test)]
mod tests;
