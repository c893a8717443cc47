//! Where an operation spends its time: a trace folded into steps, and slow traces held against the rest.
//!
//! A step is a place in an operation: the path of span names from its root. Spans of one step in one trace are repeats of it
//! (polls, retries, a query per row), counted and added up. Owns what one trace contributes and the comparison of cohorts; never
//! keeps sums over many traces, which is the store's.

mod cohort;
mod step;

pub use cohort::{
    ATTRIBUTES_MAX, AttributeLift, CohortReport, CohortTrace, STEP_ROWS_MAX, StepChange, StepRow, compare,
};
pub use step::{PATH_DEPTH_MAX, STEPS_MAX, StepShare, TraceBreakdown, break_down, step_name};

#[cfg(test)]
mod tests;
