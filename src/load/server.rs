//! A `spanhold serve` in a process of its own, and what Linux tells about that process.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, io};

use std::os::unix::fs::MetadataExt;

use super::LoadError;

/// A server that is not ready after this long is not going to be.
const READY_DEADLINE: Duration = Duration::from_secs(60);
/// Longer than the server's own deadline for stopping (20 s).
const STOP_DEADLINE: Duration = Duration::from_secs(30);
const STOP_POLL: Duration = Duration::from_millis(20);
/// Short, so that the rest is offloaded soon after the last request. Under load windows fill before.
const WINDOW_AGE_MAX: &str = "2s";
/// `/proc/PID/stat` counts in ticks of 10 ms on every Linux (`USER_HZ`).
const TICKS_PER_SEC: u64 = 100;
/// `st_blocks` counts in these, whatever the file system's own block size.
const STAT_BLOCK_BYTES: u64 = 512;

/// What the names of threads begin with that no sender waits for.
pub(super) const BACKGROUND_THREADS: [&str; 5] =
    ["store-columns", "store-offload", "store-merge", "store-join", "rocksdb:"];

/// The threads that rewrite what was committed before: blocks and rollups.
pub(super) const MERGE_THREADS: [&str; 2] = ["store-merge", "store-join"];

/// How long offloaded windows stay in the hot tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retention {
    /// Long enough for the whole run.
    Default,
    /// They go at once, so that lookups are answered by the cold tier.
    ColdOnly,
}

/// A running server. Killed when dropped.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    http_client: reqwest::Client,
    /// Address of OTLP over gRPC.
    pub(super) otlp_grpc: String,
    /// Address of the HTTP API.
    pub(super) http: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder for the server's data, removed when dropped.
#[derive(Debug)]
pub(super) struct DataDir(PathBuf);

impl DataDir {
    pub(super) fn new() -> Result<Self, LoadError> {
        let path = env::temp_dir().join(format!("spanhold-load-{}", std::process::id()));
        fs::create_dir_all(&path).map_err(LoadError::io(format!("data folder {}", path.display())))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        // A leftover in the folder for temporary files does no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The server's binary: as given, or in the folder of this program or above it (cargo puts benches into `deps`).
pub(super) fn binary(given: Option<&Path>) -> Result<PathBuf, LoadError> {
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    let this = env::current_exe().map_err(LoadError::io("this program's path"))?;
    let mut candidates = this.ancestors().skip(1).take(2).map(|folder| folder.join("spanhold"));
    candidates.find(|candidate| candidate.is_file()).ok_or_else(|| {
        LoadError::Server("no spanhold binary found; build it (cargo build --release) or set SPANHOLD_BIN".to_owned())
    })
}

impl Server {
    /// Starts the binary on ports of its own and waits until it is ready.
    pub(super) async fn start(binary: &Path, data_dir: &Path, retention: Retention) -> Result<Self, LoadError> {
        Self::start_with(binary, data_dir, retention, &[]).await
    }

    /// The same, with further `options` of `spanhold serve`.
    pub(super) async fn start_with(
        binary: &Path,
        data_dir: &Path,
        retention: Retention,
        options: &[&str],
    ) -> Result<Self, LoadError> {
        let mut command = Command::new(binary);
        command.arg("serve").arg("--data-dir").arg(data_dir);
        for listener in ["--otlp-grpc-listen", "--otlp-http-listen", "--http-listen"] {
            command.args([listener, "127.0.0.1:0"]);
        }
        command.args(["--window-age-max", WINDOW_AGE_MAX]);
        if retention == Retention::ColdOnly {
            command.args(["--hot-retention", "1ms"]);
        }
        let mut child = command
            .args(options)
            .env("SPANHOLD_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(LoadError::io(format!("starting {}", binary.display())))?;
        let stdout = child.stdout.take();
        let mut server =
            Self { child, http_client: reqwest::Client::new(), otlp_grpc: String::new(), http: String::new() };
        let Some(stdout) = stdout else {
            return Err(LoadError::Server("the server has no standard output".to_owned()));
        };
        let lines = tokio::task::spawn_blocking(move || read_until_ready(stdout));
        let lines = match tokio::time::timeout(READY_DEADLINE, lines).await {
            Ok(Ok(lines)) => lines.map_err(LoadError::io("the server's standard output"))?,
            Ok(Err(error)) => return Err(LoadError::Server(error.to_string())),
            Err(_) => return Err(LoadError::TooSlow("the server is not ready", READY_DEADLINE)),
        };
        server.otlp_grpc = listener(&lines, "otlp_grpc")?;
        server.http = listener(&lines, "http")?;
        Ok(server)
    }

    /// CPU time that all its threads have used.
    pub(super) fn cpu_time(&self) -> Result<Duration, LoadError> {
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = fs::read_to_string(&path).map_err(LoadError::io(path))?;
        let ticks = cpu_ticks(&stat).ok_or_else(|| LoadError::Server(format!("unknown form of stat: {stat}")))?;
        Ok(Duration::from_millis(ticks * 1_000 / TICKS_PER_SEC))
    }

    /// CPU time of the threads whose names begin with one of `names`.
    pub(super) fn cpu_time_of(&self, names: &[&str]) -> Result<Duration, LoadError> {
        let folder = format!("/proc/{}/task", self.child.id());
        let mut ticks = 0;
        for thread in fs::read_dir(&folder).map_err(LoadError::io(folder.clone()))? {
            let path = thread.map_err(LoadError::io(folder.clone()))?.path().join("stat");
            // A thread may have ended since the folder was read.
            let Ok(stat) = fs::read_to_string(&path) else { continue };
            if thread_name(&stat).is_some_and(|name| names.iter().any(|known| name.starts_with(known))) {
                ticks += cpu_ticks(&stat).unwrap_or_default();
            }
        }
        Ok(Duration::from_millis(ticks * 1_000 / TICKS_PER_SEC))
    }

    /// The most memory that was resident at any time so far.
    pub(super) fn peak_memory_bytes(&self) -> Result<u64, LoadError> {
        self.memory_bytes("VmHWM")
    }

    /// The memory that is resident now.
    pub(super) fn resident_memory_bytes(&self) -> Result<u64, LoadError> {
        self.memory_bytes("VmRSS")
    }

    fn memory_bytes(&self, field: &str) -> Result<u64, LoadError> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(&path).map_err(LoadError::io(path))?;
        memory_bytes(&status, field).ok_or_else(|| LoadError::Server(format!("status has no {field}")))
    }

    /// Whether all of `span_count` spans are in the cold tier.
    pub(super) async fn is_offloaded(&self, span_count: u64) -> Result<bool, LoadError> {
        let metrics = self.metrics().await?;
        let is_idle = metric(&metrics, "spanhold_store_windows_waiting")? == 0.0
            && metric(&metrics, "spanhold_store_open_window_spans")? == 0.0
            && metric(&metrics, "spanhold_store_in_flight_bytes")? == 0.0;
        Ok(is_idle && metric(&metrics, "spanhold_store_offloaded_spans_total")? >= span_count as f64)
    }

    /// Bytes of all that the manifests name: blocks and rollups. What merges replaced is not among them.
    pub(super) async fn named_cold_bytes(&self) -> Result<u64, LoadError> {
        let metrics = self.metrics().await?;
        let blocks = metric(&metrics, "spanhold_store_cold_bytes")?;
        Ok((blocks + metric(&metrics, "spanhold_store_rollup_bytes")?) as u64)
    }

    /// Blocks that the manifests name.
    pub(super) async fn cold_blocks(&self) -> Result<u64, LoadError> {
        Ok(metric(&self.metrics().await?, "spanhold_store_cold_blocks")? as u64)
    }

    /// Requests so far that read from the object store, successful or not.
    pub(super) async fn object_gets(&self) -> Result<u64, LoadError> {
        const GETS: &str = "spanhold_store_object_requests_total{operation=\"get\"";
        let metrics = self.metrics().await?;
        let gets = metrics.lines().filter_map(|line| line.strip_prefix(GETS)?.rsplit_once(' ')?.1.parse::<u64>().ok());
        Ok(gets.sum())
    }

    /// Whether only the cold tier can answer.
    pub(super) async fn is_hot_tier_empty(&self) -> Result<bool, LoadError> {
        let metrics = self.metrics().await?;
        // The open window is always there.
        Ok(metric(&metrics, "spanhold_store_hot_windows")? <= 1.0)
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    pub(super) async fn stop(mut self) -> Result<(), LoadError> {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().map_err(LoadError::io("kill"))?;
        let began = Instant::now();
        loop {
            match self.child.try_wait().map_err(LoadError::io("waiting for the server"))? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(LoadError::Server(format!("the server ended with {status}"))),
                None if began.elapsed() > STOP_DEADLINE => {
                    return Err(LoadError::TooSlow("the server has not stopped", STOP_DEADLINE));
                }
                None => tokio::time::sleep(STOP_POLL).await,
            }
        }
    }

    async fn metrics(&self) -> Result<String, LoadError> {
        let url = format!("http://{}/metrics", self.http);
        Ok(self.http_client.get(url).send().await?.error_for_status()?.text().await?)
    }
}

/// What the files under `folder` take on disk, as `du` counts it.
pub(super) fn disk_bytes(folder: &Path) -> Result<u64, LoadError> {
    sum_blocks(folder).map_err(LoadError::io(folder.display().to_string()))
}

fn sum_blocks(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // A file may be deleted between the listing and this look at it.
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += if metadata.is_dir() { sum_blocks(&entry.path())? } else { metadata.blocks() * STAT_BLOCK_BYTES };
    }
    Ok(bytes)
}

/// The server's lines up to `ready`, or up to its end.
fn read_until_ready(stdout: impl io::Read) -> io::Result<Vec<String>> {
    use io::BufRead;
    let mut lines = Vec::new();
    for line in io::BufReader::new(stdout).lines() {
        let line = line?;
        if line == "ready" {
            return Ok(lines);
        }
        lines.push(line);
    }
    Err(io::Error::other(format!("it ended before it was ready, having said {lines:?}")))
}

fn listener(lines: &[String], name: &str) -> Result<String, LoadError> {
    let prefix = format!("listening {name}=");
    let address = lines.iter().find_map(|line| line.strip_prefix(&prefix));
    address.map(str::to_owned).ok_or_else(|| LoadError::Server(format!("the server did not say {prefix}ADDRESS")))
}

/// `utime + stime` of `/proc/PID/stat` (proc(5): fields 14 and 15; the name in field 2 may hold spaces).
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Field 2 of `/proc/PID/task/TID/stat`.
fn thread_name(stat: &str) -> Option<&str> {
    Some(stat.split_once('(')?.1.rsplit_once(')')?.0)
}

/// A field of `/proc/PID/status` that is in KiB.
fn memory_bytes(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// The value of a metric without labels.
fn metric(metrics: &str, name: &str) -> Result<f64, LoadError> {
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value
        .and_then(|value| value.trim().parse().ok())
        .ok_or_else(|| LoadError::Server(format!("/metrics has no {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_that_of_a_name_with_spaces_too() {
        let stat = "4242 (a) b) S 1 4242 4242 0 -1 4194560 1000 0 0 0 250 50 0 0 20 0 8 0 100 1000000 500";
        assert_eq!((cpu_ticks(stat), thread_name(stat)), (Some(300), Some("a) b")));
        assert_eq!(cpu_ticks("nonsense"), None);
    }

    #[test]
    fn this_process_has_used_memory() {
        let status = fs::read_to_string("/proc/self/status").expect("Linux");
        assert!(memory_bytes(&status, "VmHWM").expect("the peak") > 1 << 20);
    }

    #[test]
    fn a_metric_is_found_by_its_whole_name() {
        let metrics = "# TYPE a_b gauge\na_b_c 7\na_b 3\na_b_total 9.5\n";
        assert_eq!(metric(metrics, "a_b").ok(), Some(3.0));
        assert_eq!(metric(metrics, "a_b_total").ok(), Some(9.5));
        assert!(metric(metrics, "a").is_err());
    }

    #[test]
    fn addresses_are_read_from_the_lines() {
        let text = "listening otlp_grpc=127.0.0.1:1\nlistening http=127.0.0.1:2\nready\n";
        let lines = read_until_ready(text.as_bytes()).expect("ready");
        assert_eq!(listener(&lines, "http").ok().as_deref(), Some("127.0.0.1:2"));
        assert!(listener(&lines, "otlp_http").is_err());
        assert!(read_until_ready("listening http=1\n".as_bytes()).is_err(), "it ended early");
    }
}
