//! Trace by id among many blocks: every request is a window, every window a block, nothing is merged, and the hot tier
//! has forgotten all of it.

use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use proto::{TraceId, UnixNanos};

use super::report::Percentiles;
use super::server::{self, Retention, Server};
use super::workload::{self, Arrangement, Workload, WorkloadSettings};
use super::{LoadError, POLL_PERIOD, client};

/// Blocks of one request each come at the rate of commits.
const OFFLOAD_DEADLINE: Duration = Duration::from_secs(600);

/// Options of a run.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "blocks", about = "Measures trace by id among many blocks of the cold tier")]
pub struct BlocksOptions {
    /// The server's binary [default: beside this one's folder]
    #[arg(long, env = "SPANHOLD_BIN")]
    pub server: Option<PathBuf>,
    /// Blocks, about, of about 1,000 spans each
    #[arg(long, default_value_t = 1_000)]
    pub blocks: usize,
    /// Traces to look up that are there, and as many that are not
    #[arg(long, default_value_t = 1_000)]
    pub lookups: usize,
    /// Given by `cargo bench` and of no effect
    #[arg(long, hide = true)]
    pub bench: bool,
}

/// What a run came to.
#[derive(Debug, Clone)]
pub struct BlocksReport {
    /// Blocks that the manifest names.
    pub blocks: u64,
    /// Spans in them.
    pub spans: u64,
    /// Ids that are there, each asked for the first time.
    pub present: Lookups,
    /// Ids that are nowhere.
    pub absent: Lookups,
    /// The server's peak memory while it was asked.
    pub peak_memory_bytes: u64,
}

/// Some lookups.
#[derive(Debug, Clone, Copy)]
pub struct Lookups {
    /// Times from request to answer.
    pub times: Percentiles,
    /// Requests to the object store, all together.
    pub gets: u64,
}

/// Does the whole run, and tells on `progress` what it is doing.
///
/// # Errors
/// When the server fails, or answers wrongly.
pub async fn run_blocks(options: &BlocksOptions, progress: &mut impl Write) -> Result<BlocksReport, LoadError> {
    let mut say = |text: String| writeln!(progress, "{text}").map_err(LoadError::io("progress"));
    let binary = server::binary(options.server.as_deref())?;
    let workload = Workload::new(&WorkloadSettings {
        seed: 1,
        end: UnixNanos::from_system(SystemTime::now()),
        span_count: options.blocks * workload::REQUEST_SPANS,
        arrangement: Arrangement::Whole,
        lookup_count: options.lookups,
    });
    let data_dir = server::DataDir::new()?;
    let each_is_a_window = ["--window-spans-max", "1", "--merge-inputs-min", "1000000"];
    let server = Server::start_with(&binary, data_dir.path(), Retention::ColdOnly, &each_is_a_window).await?;
    say(format!("sending {} requests, each a window", workload.requests.len()))?;
    client::send(&server.otlp_grpc, &workload.requests, 1).await?;
    let began = Instant::now();
    while !(server.is_offloaded(workload.span_count).await? && server.is_hot_tier_empty().await?) {
        if began.elapsed() > OFFLOAD_DEADLINE {
            return Err(LoadError::TooSlow("not everything is offloaded", OFFLOAD_DEADLINE));
        }
        tokio::time::sleep(POLL_PERIOD).await;
    }
    server.stop().await?;

    let server = Server::start_with(&binary, data_dir.path(), Retention::ColdOnly, &each_is_a_window).await?;
    let blocks = server.cold_blocks().await?;
    say(format!("asking for {} traces among {blocks} blocks, and for as many that are nowhere", options.lookups))?;
    // Locators are read from the local copies once.
    let (first, rest) = workload.lookups.split_at(1.min(workload.lookups.len()));
    client::look_up(&server.http, first).await?;
    let before = server.object_gets().await?;
    let times = client::look_up(&server.http, rest).await?;
    let present = Lookups { times: Percentiles::of(times), gets: server.object_gets().await? - before };
    let nowhere: Vec<TraceId> = workload::absent_ids(options.lookups);
    let before = server.object_gets().await?;
    let times = client::look_up_absent(&server.http, &nowhere).await?;
    let absent = Lookups { times: Percentiles::of(times), gets: server.object_gets().await? - before };
    let peak_memory_bytes = server.peak_memory_bytes()?;
    server.stop().await?;
    Ok(BlocksReport { blocks, spans: workload.span_count, present, absent, peak_memory_bytes })
}

impl fmt::Display for BlocksReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, value: String| writeln!(f, "{name:<44}{value:>28}");
        row("blocks, spans", format!("{}, {}", self.blocks, self.spans))?;
        for (name, lookups) in [("present", &self.present), ("absent", &self.absent)] {
            let (times, gets) = (lookups.times, lookups.gets);
            row(&format!("{name} trace by id, p50 / p99 / max"), times.to_string())?;
            row(&format!("{name}: lookups, requests to the object store"), format!("{}, {gets}", times.count))?;
        }
        row("peak memory", format!("{:.0} MB", self.peak_memory_bytes as f64 / 1e6))
    }
}
