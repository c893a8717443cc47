use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use prost::Message;
use proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use proto::rpc;
use tonic::{Code, Status};

use crate::harness::s3::FaultyS3;
use crate::harness::spans::{chain, request, text, trace_hex};
use crate::harness::{Server, eventually};

/// Spans of each trace.
const SPANS: u8 = 20;

/// What the program may ever take here. Idle it takes a quarter of this; half of it is what may be in flight at once.
const MEMORY_MAX: u64 = 300 << 20;

struct Cold {
    s3: FaultyS3,
}

impl Cold {
    async fn start() -> Self {
        Self { s3: FaultyS3::start("traces", "key", "secret").await }
    }

    fn serve(&self, data: &std::path::Path, arguments: &[&str]) -> Server {
        let variables = [
            ("AWS_ENDPOINT_URL", self.s3.endpoint.as_str()),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_REGION", "us-east-1"),
        ];
        Server::start_with(data, &[&["--cold", "s3://traces"], arguments].concat(), &variables)
    }
}

/// A trace whose spans are all of one operation, with attributes as instrumentation writes them.
fn operation(number: u64, name: &str) -> ExportTraceServiceRequest {
    let mut spans = chain(number, SPANS);
    for (at, span) in spans.iter_mut().enumerate() {
        name.clone_into(&mut span.name);
        let unique = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(at as u64);
        span.attributes = vec![
            text("dbaas.instance.id", &format!("pg-{:08x}", unique % 5_000)),
            text("dbaas.request.id", &format!("{unique:016x}{:016x}", unique.rotate_left(23))),
        ];
    }
    request("agent", spans)
}

fn expect_hint(refusal: &Status) {
    assert_eq!(refusal.code(), Code::ResourceExhausted, "{refusal:?}");
    let details = rpc::Status::decode(refusal.details()).expect("google.rpc.Status");
    assert!(details.details.iter().any(|detail| detail.type_url == rpc::RetryInfo::TYPE_URL), "{details:?}");
}

async fn expect_all(server: &Server, acknowledged: impl Iterator<Item = u64>) {
    for number in acknowledged {
        assert_eq!(server.trace(&trace_hex(number)).await["span_count"], SPANS, "trace {number}");
    }
}

async fn expect_total(server: &Server, traces: usize) {
    let found = server.get_json("/api/v1/search?start=2026-11-23T00:00:00Z&end=2026-11-25T00:00:00Z&limit=1000").await;
    assert_eq!(found["total"].as_u64(), Some(traces as u64));
    for trace in found["traces"].as_array().expect("traces") {
        assert_eq!(trace["span_count"], SPANS, "{trace}");
    }
}

/// With a dead object store, what waits fills the hot tier up to its limit: health checks are refused first, failovers
/// last, nothing that was acknowledged is lost, and all goes on by itself when the store is back.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_object_store_fills_the_hot_tier_and_recovers() {
    let cold = Cold::start().await;
    let data = tempfile::tempdir().expect("a folder");
    let arguments = [
        "--window-spans-max",
        "1500",
        "--window-bytes-max",
        "400000",
        "--windows-in-memory-max",
        "1",
        "--hot-bytes-max",
        "900000",
    ];
    let server = cold.serve(data.path(), &arguments);
    cold.s3.fail(true);

    // The order in which kinds of work are refused, each sent in turn until nothing is accepted.
    let kinds = ["health check", "base backup", "failover"];
    let mut client = server.client().await;
    let mut acknowledged = Vec::new();
    let mut refused: Vec<(&str, String)> = Vec::new();
    let mut number = 0;
    while refused.len() < kinds.len() {
        for kind in kinds {
            if refused.iter().any(|(other, _)| *other == kind) {
                continue;
            }
            match client.export(operation(number, kind)).await {
                Ok(_) => acknowledged.push(number),
                Err(refusal) => {
                    expect_hint(&refusal);
                    refused.push((kind, refusal.message().to_owned()));
                }
            }
            number += 1;
        }
        assert!(number < 20_000, "nothing is ever refused");
    }
    let order: Vec<_> = refused.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(order, kinds);
    for (_, message) in &refused {
        assert!(message.contains("hot_bytes_max") && message.contains("object store"), "{message}");
    }
    assert!(server.metric("spanhold_store_windows_spilled").await >= 5.0);
    assert!(server.memory_peak() < MEMORY_MAX, "{} bytes", server.memory_peak());
    let metrics = server.get("/metrics").await;
    for priority in ["low", "up_to_medium", "any"] {
        let line = format!("spanhold_ingest_refused_total{{limit=\"hot_bytes_max\",priority=\"{priority}\"}} ");
        assert!(metrics.contains(&line), "no {line} in\n{metrics}");
    }
    let response = reqwest::Client::new()
        .post(format!("{}/v1/traces", server.otlp_http))
        .header("content-type", "application/x-protobuf")
        .body(operation(number, "failover").encode_to_vec())
        .send()
        .await
        .expect("answers");
    assert_eq!(response.status().as_u16(), 429);
    assert!(response.headers().contains_key("retry-after"));
    expect_all(&server, acknowledged.iter().copied().step_by(7)).await;
    expect_total(&server, acknowledged.len()).await;

    // A kill in the middle of it changes nothing.
    server.kill();
    let began = Instant::now();
    let server = cold.serve(data.path(), &arguments);
    assert!(server.metric("spanhold_store_windows_spilled").await >= 5.0);
    // The object store that is away costs a start its patience, not more.
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    expect_all(&server, acknowledged.iter().copied().step_by(7)).await;
    assert!(server.client().await.export(operation(number, "failover")).await.is_err());

    cold.s3.fail(false);
    eventually("room", async || server.client().await.export(operation(number, "health check")).await.is_ok()).await;
    acknowledged.push(number);
    server.offloaded(5.0).await;
    expect_all(&server, acknowledged.iter().copied().step_by(3)).await;
    expect_total(&server, acknowledged.len()).await;
    assert!(server.memory_peak() < MEMORY_MAX, "{} bytes", server.memory_peak());
}

/// Sends traces one after the other, again when told to; says how many were accepted.
async fn send_for(
    address: String,
    first: u64,
    stride: u64,
    stop: Arc<AtomicBool>,
    refusals: Arc<AtomicU64>,
) -> Vec<u64> {
    let connect = proto::otlp::collector::trace::v1::trace_service_client::TraceServiceClient::connect(address);
    let mut client = connect.await.expect("connects");
    let (mut number, mut kept) = (first, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        match client.export(operation(number, "failover")).await {
            Ok(_) => {
                kept.push(number);
                number += stride;
            }
            Err(refusal) => {
                expect_hint(&refusal);
                refusals.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    kept
}

async fn send_from_many(server: &Server, senders: u64, time: Duration) -> (Vec<u64>, u64) {
    let (stop, refusals) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let sending: Vec<_> = (0..senders)
        .map(|sender| {
            tokio::spawn(send_for(server.otlp_grpc.clone(), sender, senders, Arc::clone(&stop), Arc::clone(&refusals)))
        })
        .collect();
    tokio::time::sleep(time).await;
    stop.store(true, Ordering::Relaxed);
    let mut kept = Vec::new();
    for sender in sending {
        kept.extend(sender.await.expect("no panic"));
    }
    (kept, refusals.load(Ordering::Relaxed))
}

/// A slow object store takes what it can; what comes faster waits, each span is found once all the time, and memory does
/// not grow with what waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_object_store_slows_nothing_else() {
    let cold = Cold::start().await;
    cold.s3.delay(Duration::from_millis(500));
    let data = tempfile::tempdir().expect("a folder");
    let arguments = [
        "--window-spans-max",
        "4000",
        "--windows-in-memory-max",
        "1",
        "--window-age-max",
        "1s",
        "--hot-bytes-max",
        "1",
    ];
    let server = cold.serve(data.path(), &arguments);
    let (kept, refusals) = send_from_many(&server, 4, Duration::from_secs(6)).await;
    assert_eq!(refusals, 0, "there is room for all of it");
    assert!(server.metric("spanhold_store_windows_spilled").await > 0.0);
    expect_all(&server, kept.iter().copied().step_by(kept.len() / 50 + 1)).await;
    expect_total(&server, kept.len()).await;
    assert!(server.memory_peak() < MEMORY_MAX, "{} bytes", server.memory_peak());
    cold.s3.delay(Duration::ZERO);
    eventually("offload", async || server.metric("spanhold_store_windows_spilled").await == 0.0).await;
    expect_total(&server, kept.len()).await;
}

/// More senders than the program has room for: some are told to wait, none is forgotten, and memory stays.
#[tokio::test(flavor = "multi_thread")]
async fn ten_times_too_many_senders_are_served_in_turn() {
    let data = tempfile::tempdir().expect("a folder");
    let arguments = ["--in-flight-bytes-max", "60000", "--window-spans-max", "20000"];
    let server = Server::start(data.path(), &arguments);
    let (kept, refusals) = send_from_many(&server, 200, Duration::from_secs(5)).await;
    assert!(refusals > 0, "the limit is never reached");
    assert!(kept.len() > 200, "{} kept", kept.len());
    assert!(server.memory_peak() < MEMORY_MAX, "{} bytes", server.memory_peak());
    // As soon as there is room again, all are welcome.
    server.send(operation(1_000_000, "health check")).await;
    expect_all(&server, kept.iter().copied().step_by(kept.len() / 50 + 1)).await;
    expect_total(&server, kept.len() + 1).await;
}

/// Spans in memory when the program dies are back soon after the next start, however many windows wait besides.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_full_windows_takes_seconds() {
    const WINDOW_SPANS: u64 = 100_000;
    const REQUEST_TRACES: u64 = 100;
    let data = tempfile::tempdir().expect("a folder");
    // No block can go where a file is.
    let cold = data.path().join("cold");
    std::fs::create_dir_all(cold.join("tenant=default")).expect("a folder");
    std::fs::write(cold.join("tenant=default/spans"), "in the way").expect("a file");
    let server = Server::start(data.path(), &[]);
    let mut client = server.client().await;
    // Six full windows wait, four of them in memory; the open one is nearly full.
    let traces = (7 * WINDOW_SPANS - 2_000) / u64::from(SPANS);
    for first in (0..traces).step_by(REQUEST_TRACES as usize) {
        let mut batch = ExportTraceServiceRequest::default();
        for number in first..first + REQUEST_TRACES {
            batch.resource_spans.extend(operation(number, "failover").resource_spans);
        }
        client.export(batch).await.expect("accepted");
    }
    eventually("windows on disk", async || server.metric("spanhold_store_windows_waiting").await == 6.0).await;
    assert!(server.memory_peak() < MEMORY_MAX, "{} bytes", server.memory_peak());
    server.kill();
    let began = Instant::now();
    let server = Server::start(data.path(), &[]);
    let took = began.elapsed();
    expect_all(&server, (0..traces).step_by(977)).await;
    expect_total(&server, traces as usize).await;
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert!(server.memory_peak() < MEMORY_MAX, "{} bytes", server.memory_peak());
}
