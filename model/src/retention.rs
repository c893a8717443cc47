//! Which traces are kept, and for how long: ordered rules in the vocabulary of the OpenTelemetry collector's `tail_sampling`.
//!
//! Owns the rules as configured ([`Policy`]), what a decision looks at ([`TraceFacts`], [`Context`]), and the decision
//! ([`decide`]). Never drops anything itself, and never reads a clock: the store asks when it writes or merges blocks, counts
//! per rule, and acts. `docs/retention.md` tells users about it.

mod config;
mod decide;
mod error;
mod explain;
mod facts;
mod policy;
mod sampling;
mod surroundings;

pub use decide::{Decision, Outcome, decide};
pub use error::{PolicyError, RuleProblem};
pub(crate) use explain::written;
pub use facts::{
    Context, Episode, FactValue, Health, INSTANCE_ATTRIBUTE, LatencyPercentile, StateKey, StatusSet, TraceFacts,
};
pub use policy::{
    ATTRIBUTE_KEYS_MAX, CONDITIONS_MAX, HOLD_MAX_NANOS, Needs, Policy, RETAIN_MAX_NANOS, RETAIN_MIN_NANOS, RULES_MAX,
    Rule,
};
pub use sampling::{RANDOMNESS_BITS, randomness};
pub use surroundings::{EPISODE_NANOS_MAX, PERCENTILE_TRACES_MIN, state_changes};

#[cfg(test)]
mod fixture;
