//! Tests of the whole program: the real binary on port 0, real clients, real object stores. One binary, so that it is
//! linked once.

/// Starts and stops the program and speaks to it.
mod harness;

/// Reports against what really happened.
mod accuracy;
/// The crates depend on each other only as ARCHITECTURE.md says.
mod architecture;
/// The OpenTelemetry SDKs of Go, Python and JavaScript, as their users run them.
mod clients;
/// The cold tier on memory, a folder, and three S3 servers.
mod cold_stores;
/// `kill -9` and what is there afterwards.
mod crash;
/// The program killed at each named place between two steps.
mod crash_points;
/// A full disk, on a file system of its own.
mod disk_full;
/// Blocks of every version of the format are opened.
mod formats;
/// The seeds of the fuzz targets.
mod fuzz_seeds;
/// Days of a platform from `spanhold demo --profile`, held against what it says really happened.
mod history;
/// What no honest client sends, and damaged objects: answered, bounded, harmless.
mod hostile;
/// `spanhold inspect` over a server and over a folder, and what the documents say of metrics and settings.
mod inspect;
/// Blocks as other programs read them: pyarrow and DuckDB.
mod open_files;
/// The API against its own description, by schemathesis.
mod openapi;
/// OTLP to the letter, over gRPC and HTTP.
mod otlp;
/// A real S3 server that is killed and started again.
mod outages;
/// An object store that is away or slow, and more senders than the program has room for.
mod pressure;
/// Traces, search and services over HTTP, and the command line.
mod queries;
/// The two reference traces of the demo, step by step.
mod reference;
/// Runs, failovers and backups over HTTP and on the command line.
mod reports;
/// Counts and latencies over a demo load.
mod rollups;
