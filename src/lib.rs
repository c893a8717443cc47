//! The parts of the `spanhold` binary.

pub mod demo;
pub mod load;
