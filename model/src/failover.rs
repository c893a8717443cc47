//! Failovers: how long each took, where the time went, and what all of them come to.
//!
//! Owns the time points T0 to T8 and the measures between them, the phases of the time without a primary, and the report
//! over many failovers. Knows runs only ([`crate::run`]) and what other traces say about an instance ([`HealthMark`]).

mod facts;
mod gap;
mod mark;
mod report;
mod sweep;
mod timeline;

pub use facts::{FailoverFacts, Measures};
pub use gap::observed_write_gap;
pub use mark::HealthMark;
pub(crate) use mark::is_failed;
pub use report::{
    Attainment, Before, Completeness, Distribution, Group, GroupBy, GroupByError, LIST_ALL_BELOW, MeasureReport,
    PhaseReport, Report, ReportOptions, SLO_BARS_MAX, UNATTRIBUTED_SHARE_MAX, WORST_MAX, WorstFailover, report,
};
pub(crate) use sweep::sweep_with;
pub use sweep::{PhaseNanos, sweep};
pub use timeline::{T0Source, Timeline, timeline};

#[cfg(test)]
mod tests;
