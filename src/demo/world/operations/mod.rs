//! What happens in the world: each function here makes one operation, its spans and its truth.
//!
//! Pure. Medians, spreads and shares are those of the project's workload model; they are a model, not measurements of any
//! provider. Other than the operations of the small live fleet these are not made rarer or more frequent for show.

pub(super) mod backup;
pub(super) mod change;
pub(super) mod failover;
pub(super) mod frequent;
pub(super) mod health;
pub(super) mod provisioning;
pub(super) mod reconcile;
pub(super) mod restore;
pub(super) mod sql;

#[cfg(test)]
mod tests;
