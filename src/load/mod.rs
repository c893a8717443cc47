//! The end-to-end load run behind `make bench`: a real `spanhold serve` in a process of its own, real OTLP/gRPC, and what
//! the kernel says the server used.
//!
//! The steps, in this order: make and encode all requests ([`workload`]), start the server ([`server`]), send everything
//! over a few connections, one request after the other on each ([`client`]), wait until everything is in the cold tier,
//! look up traces in the hot tier, start the server again without a hot tier and look them up in the cold one. Nothing is
//! encoded while anything is measured, so that the generator takes little of the CPU that the server needs.

mod blocks;
mod client;
mod report;
mod server;
mod workload;

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use proto::UnixNanos;

pub use blocks::{BlocksOptions, BlocksReport, run_blocks};
pub use report::Report;
pub use workload::Arrangement;

use report::Percentiles;
use server::{Retention, Server};
use workload::{Workload, WorkloadSettings};

/// Offloading the rest must not take longer than this, or else something hangs.
const OFFLOAD_DEADLINE: Duration = Duration::from_secs(120);
/// How long a fresh server is left alone before its memory is looked at.
const IDLE: Duration = Duration::from_secs(1);
/// Blocks that have not become fewer for so long are not being merged.
const MERGES_QUIET: Duration = Duration::from_secs(5);
/// Requests whose way from the answer to a search is timed.
const VISIBLE_PROBES: usize = 20;
/// How often the server's metrics are read while waiting.
const POLL_PERIOD: Duration = Duration::from_millis(100);

/// Options of a load run.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "load", about = "Measures ingest, offload and trace lookup of a spanhold server, end to end")]
pub struct LoadOptions {
    /// The server's binary [default: beside this one's folder]
    #[arg(long, env = "SPANHOLD_BIN")]
    pub server: Option<PathBuf>,
    /// Spans to send
    #[arg(long, env = "SPANHOLD_LOAD_SPANS", default_value_t = 1_000_000)]
    pub spans: usize,
    /// How traces are spread over requests
    #[arg(long, env = "SPANHOLD_LOAD_ARRANGEMENT", value_enum, default_value_t = Arrangement::Whole)]
    pub arrangement: Arrangement,
    /// gRPC connections, each with one request under way
    #[arg(long, env = "SPANHOLD_LOAD_CONNECTIONS", default_value_t = 4)]
    pub conns: usize,
    /// Traces to look up in each tier
    #[arg(long, default_value_t = 1_000)]
    pub lookups: usize,
    /// Same seed, same spans (but for their times)
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Given by `cargo bench` and of no effect
    #[arg(long, hide = true)]
    pub bench: bool,
}

/// The run could not be done, or the server did something wrong.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The server did not start, ended early or said something unexpected.
    #[error("{0}")]
    Server(String),
    /// A file or process could not be read.
    #[error("{what}: {source}")]
    Io {
        /// Which one.
        what: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// An HTTP request to the server failed.
    #[error("asking the server: {0}")]
    Http(#[from] reqwest::Error),
    /// The server refused a request.
    #[error("export failed: {0}")]
    Export(Box<tonic::Status>),
    /// A connection could not be made.
    #[error("connecting: {0}")]
    Connect(#[from] tonic::transport::Error),
    /// A trace came back with other spans than were sent.
    #[error("trace {trace_id} has {got} spans in the answer, {sent} were sent")]
    WrongAnswer {
        /// Which trace.
        trace_id: String,
        /// Spans sent.
        sent: u64,
        /// Spans in the answer.
        got: u64,
    },
    /// Something took far too long.
    #[error("{0} after {1:?}")]
    TooSlow(&'static str, Duration),
}

impl LoadError {
    fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// Does the whole run, and tells on `progress` what it is doing.
///
/// # Errors
/// When the server fails, or answers wrongly.
pub async fn run(options: &LoadOptions, progress: &mut impl Write) -> Result<Report, LoadError> {
    let mut say = |text: String| writeln!(progress, "{text}").map_err(LoadError::io("progress"));
    let binary = server::binary(options.server.as_deref())?;

    let began = Instant::now();
    let workload = Workload::new(&WorkloadSettings {
        seed: options.seed,
        end: UnixNanos::from_system(SystemTime::now()),
        span_count: options.spans,
        arrangement: options.arrangement,
        lookup_count: options.lookups,
    });
    say(format!("made {} spans in {:.1} s", workload.span_count, began.elapsed().as_secs_f64()))?;

    let data_dir = server::DataDir::new()?;
    let server = Server::start(&binary, data_dir.path(), Retention::Default).await?;
    say(format!("sending to {} ({})", server.otlp_grpc, binary.display()))?;
    tokio::time::sleep(IDLE).await;
    let idle_memory_bytes = server.resident_memory_bytes()?;
    let cpu_before = server.cpu_time()?;
    let sent = client::send(&server.otlp_grpc, &workload.requests, options.conns.max(1)).await?;
    let cpu_answered = server.cpu_time()?.saturating_sub(cpu_before);
    let cpu_background = server.cpu_time_of(&server::BACKGROUND_THREADS)?;

    say("waiting for the offload".to_owned())?;
    let began_waiting = Instant::now();
    while !server.is_offloaded(workload.span_count).await? {
        if began_waiting.elapsed() > OFFLOAD_DEADLINE {
            return Err(LoadError::TooSlow("not everything is offloaded", OFFLOAD_DEADLINE));
        }
        tokio::time::sleep(POLL_PERIOD).await;
    }
    let cpu_offloaded = server.cpu_time()?.saturating_sub(cpu_before);
    let cpu_merging = server.cpu_time_of(&server::MERGE_THREADS)?;
    let peak_memory_bytes = server.peak_memory_bytes()?;
    let hot_bytes = server::disk_bytes(&data_dir.path().join("hot"))?;
    let cold_bytes = server::disk_bytes(&data_dir.path().join("cold"))?;

    say(format!("looking up {} traces in each tier", workload.lookups.len()))?;
    let hot_lookups = look_up(&server, &workload).await?;
    let peak_memory_lookups_bytes = server.peak_memory_bytes()?;
    let visible = client::until_visible(&server.otlp_grpc, &server.http, &workload::probes(VISIBLE_PROBES)).await?;
    say("waiting for merges".to_owned())?;
    let merged_bytes = merged_bytes(&server).await?;
    server.stop().await?;
    let server = Server::start(&binary, data_dir.path(), Retention::ColdOnly).await?;
    let began_waiting = Instant::now();
    while !server.is_hot_tier_empty().await? {
        if began_waiting.elapsed() > OFFLOAD_DEADLINE {
            return Err(LoadError::TooSlow("the hot tier is not empty", OFFLOAD_DEADLINE));
        }
        tokio::time::sleep(POLL_PERIOD).await;
    }
    let cold_lookups = look_up(&server, &workload).await?;
    server.stop().await?;

    Ok(Report {
        arrangement: options.arrangement,
        connections: options.conns.max(1),
        span_count: workload.span_count,
        trace_count: workload.trace_count,
        wire_bytes: workload.wire_bytes(),
        attribute_count: workload.attribute_count,
        resource_count: workload.resource_count,
        request_count: workload.requests.len() as u64,
        wall: sent.wall,
        retries: sent.retries,
        answers: Percentiles::of(sent.answer_times),
        cpu_answered,
        cpu_background,
        cpu_offloaded,
        cpu_merging,
        idle_memory_bytes,
        peak_memory_bytes,
        peak_memory_lookups_bytes,
        hot_bytes,
        cold_bytes,
        merged_bytes,
        visible: Percentiles::of(visible),
        hot_lookups: Percentiles::of(hot_lookups),
        cold_lookups: Percentiles::of(cold_lookups),
    })
}

/// The requests of a run of about `spans` spans, encoded: what the benchmarks of parts work on.
#[must_use]
pub fn requests(spans: usize, arrangement: Arrangement, seed: u64) -> Vec<bytes::Bytes> {
    let end = UnixNanos::from_system(SystemTime::now());
    Workload::new(&WorkloadSettings { seed, end, span_count: spans, arrangement, lookup_count: 0 }).requests
}

/// Bytes of the cold tier when no merge goes on any more.
async fn merged_bytes(server: &Server) -> Result<u64, LoadError> {
    let mut blocks = server.cold_blocks().await?;
    let mut since = Instant::now();
    while since.elapsed() < MERGES_QUIET {
        tokio::time::sleep(POLL_PERIOD).await;
        let now = server.cold_blocks().await?;
        if now != blocks {
            (blocks, since) = (now, Instant::now());
        }
    }
    server.named_cold_bytes().await
}

async fn look_up(server: &Server, workload: &Workload) -> Result<Vec<Duration>, LoadError> {
    client::look_up(&server.http, &workload.lookups).await
}

#[cfg(test)]
mod tests;
