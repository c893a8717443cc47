//! Answers as bytes. Borrowed views over `model` and `store` types, written straight to the output: a trace of 100,000
//! spans is never copied into a tree of JSON values.

pub(crate) mod backups;
pub(crate) mod breakdown;
pub(crate) mod classify;
pub(crate) mod deleted;
mod distinct;
pub(crate) mod failover;
pub(crate) mod failover_table;
pub(crate) mod failovers;
mod json;
pub(crate) mod native;
pub(crate) mod operations;
pub(crate) mod otlp;
pub(crate) mod retention;
pub(crate) mod runs;
pub(crate) mod slow;
mod table;
pub(crate) mod timeline;

#[cfg(test)]
mod fixture;
