//! What a span stands for: class, phase, waiting or working, noise, and whether it has a run of its own.
//!
//! Owns the rules, those that ship and those that users add under `[operations]`, and the explanation of what they come to.
//! Precedence, for each answer by itself: an attribute of the span, a rule with the exact name, a rule with a pattern (the
//! users' rules before those that ship), the nearest mapped ancestor, else `other`. Looks at one span and the names above
//! it; what spans come to together is told in [`crate::run`].

mod phase;

pub use phase::{Phase, PhaseError};
