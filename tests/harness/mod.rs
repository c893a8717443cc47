//! The program as a child process on ports of its own, and the few requests that tests make.

pub(crate) mod blocks;
pub(crate) mod disk;
pub(crate) mod otlp_json;
pub(crate) mod post;
pub(crate) mod rich;
pub(crate) mod s3;
pub(crate) mod s3_process;
pub(crate) mod spans;
pub(crate) mod traffic;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use proto::otlp::collector::trace::v1::trace_service_client::TraceServiceClient;
use proto::otlp::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use serde_json::Value;
use tonic::transport::Channel;

/// Longest that any step of a test may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    lines: Receiver<String>,
    pub(crate) otlp_grpc: String,
    pub(crate) otlp_http: String,
    pub(crate) http: String,
}

impl Server {
    /// Starts a server on `data`, with further arguments.
    pub(crate) fn start(data: &Path, arguments: &[&str]) -> Self {
        Self::start_with(data, arguments, &[])
    }

    /// Starts a server with further environment variables.
    pub(crate) fn start_with(data: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_spanhold"))
            .arg("serve")
            .arg("--data-dir")
            .arg(data)
            .args([
                "--otlp-grpc-listen",
                "127.0.0.1:0",
                "--otlp-http-listen",
                "127.0.0.1:0",
                "--http-listen",
                "127.0.0.1:0",
            ])
            .args(arguments)
            .env("SPANHOLD_LOG", "warn")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stdout = child.stdout.take().expect("piped");
        // Read to its end, so that the program can always write.
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut addresses = std::collections::HashMap::new();
        while let Ok(line) = lines.recv_timeout(PATIENCE) {
            if line == "ready" {
                break;
            }
            if let Some((name, address)) = line.strip_prefix("listening ").and_then(|line| line.split_once('=')) {
                addresses.insert(name.to_owned(), format!("http://{address}"));
            }
        }
        let mut address = |name: &str| addresses.remove(name).unwrap_or_else(|| panic!("no {name} before the end"));
        let (otlp_grpc, otlp_http, http) = (address("otlp_grpc"), address("otlp_http"), address("http"));
        Self { child, lines, otlp_grpc, otlp_http, http }
    }

    /// Waits until the program has stopped at the point that `SPANHOLD_STOP_AT` names.
    pub(crate) async fn stopped_at(&self, point: &str) {
        let expected = format!("stopped at={point}");
        eventually(&expected, async || self.lines.try_iter().any(|line| line == expected)).await;
    }

    /// The most memory that the process ever had, in bytes.
    pub(crate) fn memory_peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }

    /// The most memory that it ever had in use, bytes.
    pub(crate) fn peak_memory_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        line.and_then(|kilobytes| kilobytes.parse::<u64>().ok()).expect("Linux tells") << 10
    }

    /// SIGKILL: no chance to finish anything.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// SIGTERM, and the exit code.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill runs").success());
        self.child.wait().expect("it ends").code()
    }

    pub(crate) async fn client(&self) -> TraceServiceClient<Channel> {
        TraceServiceClient::connect(self.otlp_grpc.clone()).await.expect("connects")
    }

    /// Sends over gRPC; panics unless it is accepted whole.
    pub(crate) async fn send(&self, request: ExportTraceServiceRequest) {
        let response = self.client().await.export(request).await.expect("accepted").into_inner();
        assert_eq!(response, ExportTraceServiceResponse::default(), "accepted whole");
    }

    /// GET, with the status.
    pub(crate) async fn try_get(&self, path: &str) -> (u16, String) {
        let response = reqwest::get(format!("{}{path}", self.http)).await.expect("answers");
        (response.status().as_u16(), response.text().await.expect("text"))
    }

    /// GET that must succeed.
    pub(crate) async fn get(&self, path: &str) -> String {
        let (status, body) = self.try_get(path).await;
        assert_eq!(status, 200, "GET {path}: {body}");
        body
    }

    /// GET of JSON that must succeed.
    pub(crate) async fn get_json(&self, path: &str) -> Value {
        serde_json::from_str(&self.get(path).await).expect("JSON")
    }

    /// A trace; panics when it is unknown.
    pub(crate) async fn trace(&self, id: &str) -> Value {
        self.get_json(&format!("/api/v1/traces/{id}")).await
    }

    /// The value of a metric without labels.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let metrics = self.get("/metrics").await;
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no metric {name} in\n{metrics}")).parse().expect("a number")
    }

    /// Waits until `blocks` blocks are in the cold tier and no window waits.
    pub(crate) async fn offloaded(&self, blocks: f64) {
        eventually("offload", async || {
            self.metric("spanhold_store_cold_blocks").await >= blocks
                && self.metric("spanhold_store_windows_waiting").await == 0.0
        })
        .await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone after kill and terminate.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for a condition; panics when it takes too long.
pub(crate) async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while std::time::Instant::now() < deadline {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what} did not happen within {PATIENCE:?}");
}

/// A tool that `scripts/test-tools.sh` installs.
pub(crate) fn tool(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run `make test`, or `scripts/test-tools.sh` and source the file that it names")
    })
}

/// The spans of a trace by name.
pub(crate) fn span<'a>(trace: &'a Value, name: &str) -> &'a Value {
    let spans = trace["spans"].as_array().expect("spans");
    let mut found = spans.iter().filter(|span| span["name"] == name);
    let span = found.next().unwrap_or_else(|| panic!("no span {name:?} in {trace:#}"));
    assert!(found.next().is_none(), "several spans {name:?}");
    span
}

/// A number of nanoseconds, which JSON has as text.
pub(crate) fn nanos(value: &Value) -> i64 {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{value} is no nanoseconds"))
}
