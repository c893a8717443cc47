//! Failovers: how long each took, where the time went, and what all of them come to.
//!
//! Owns the time points T0 to T8 and the measures between them, the phases of the time without a primary, and the report
//! over many failovers. Knows runs only ([`crate::run`]) and what other traces say about an instance ([`HealthMark`]).

mod mark;

pub use mark::HealthMark;
pub(crate) use mark::is_failed;
