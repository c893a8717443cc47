//! The `spanhold` program: wiring, configuration, command line, start and stop.
//!
//! Contains no logic of receiving, keeping or asking; those are `ingest`, `store` and `query`. [`serve`] is the one
//! place that constructs and connects them. [`demo`] is the fleet that `spanhold demo` pretends to be, [`load`] what
//! `make bench` sends.

pub mod ask;
pub mod assets;
pub mod cli;
pub mod cold;
pub mod config;
pub mod demo;
pub mod http;
pub mod inspect;
pub mod load;
pub mod report;
pub mod retention;
pub mod serve;
pub mod stop;
mod table;
pub mod telemetry;
pub mod trace;
