use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use proto::otlp::collector::trace::v1::trace_service_client::TraceServiceClient;

use crate::harness::spans::{chain, request, text, trace_hex};
use crate::harness::{Server, eventually};

/// Sends traces one after the other until the server is gone; says which were acknowledged.
async fn send_until_it_dies(address: String, first: u64, stride: u64, acknowledged: Arc<AtomicU64>) -> Vec<u64> {
    let mut kept = Vec::new();
    let Ok(mut client) = TraceServiceClient::connect(address).await else { return kept };
    let mut number = first;
    while client.export(request("svc", chain(number, 5))).await.is_ok() {
        kept.push(number);
        acknowledged.fetch_add(1, Ordering::SeqCst);
        number += stride;
    }
    kept
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_after_a_kill_and_nothing_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    // Small windows, so that kills fall into seals, offloads, commits and retirements too.
    let arguments = ["--window-spans-max", "150", "--hot-bytes-max", "100000", "--windows-waiting-max", "100"];
    let mut kept = Vec::new();
    for round in 0..6u64 {
        let server = Server::start(folder.path(), &arguments);
        let acknowledged = Arc::new(AtomicU64::new(0));
        let senders: Vec<_> = (0..4)
            .map(|sender| {
                let first = round * 1_000_000 + sender;
                tokio::spawn(send_until_it_dies(server.otlp_grpc.clone(), first, 4, Arc::clone(&acknowledged)))
            })
            .collect();
        let enough = 60 + round * 37;
        eventually("some traffic", async || acknowledged.load(Ordering::SeqCst) >= enough).await;
        server.kill();
        for sender in senders {
            kept.extend(sender.await.expect("no panic"));
        }
    }
    assert!(kept.len() >= 6 * 60, "only {} traces were acknowledged", kept.len());

    let server = Server::start(folder.path(), &arguments);
    for number in &kept {
        let trace = server.trace(&trace_hex(*number)).await;
        assert_eq!(trace["span_count"], 5, "trace {number}");
    }
    let found = server.get_json("/api/v1/search?start=2026-11-23T00:00:00Z&end=2026-11-25T00:00:00Z&limit=1000").await;
    // A trace that was written but whose answer was lost may be there as well: at most one per sender and round.
    let total = found["total"].as_u64().expect("a number") as usize;
    assert!((kept.len()..=kept.len() + 24).contains(&total), "{total} found, {} acknowledged", kept.len());
    for trace in found["traces"].as_array().expect("traces") {
        assert_eq!(trace["span_count"], 5, "{trace}");
    }

    // Wherever a kill fell, a window is counted in memory or in a rollup, not in both and not in neither.
    let counted = server
        .get_json("/api/v1/operations?start=2026-11-23T00:00:00Z&end=2026-11-25T00:00:00Z&limit=1000&root=false")
        .await;
    let operations = counted["operations"].as_array().expect("operations");
    let spans: u64 = operations.iter().filter_map(|operation| operation["span_count"].as_u64()).sum();
    assert_eq!(spans, found["total"].as_u64().expect("a number") * 5, "{counted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_clean_and_quick_under_load() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &["--shutdown-deadline", "10s"]);
    let acknowledged = Arc::new(AtomicU64::new(0));
    let sender = tokio::spawn(send_until_it_dies(server.otlp_grpc.clone(), 0, 1, Arc::clone(&acknowledged)));
    eventually("some traffic", async || acknowledged.load(Ordering::SeqCst) >= 50).await;
    let started = Instant::now();
    let code = tokio::task::spawn_blocking(move || server.terminate()).await.expect("no panic");
    assert_eq!(code, Some(0));
    assert!(started.elapsed() < Duration::from_secs(12), "took {:?}", started.elapsed());
    let kept = sender.await.expect("no panic");

    let server = Server::start(folder.path(), &[]);
    for number in kept {
        assert_eq!(server.trace(&trace_hex(number)).await["span_count"], 5, "trace {number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_the_same_folder_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let _first = Server::start(folder.path(), &[]);
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_spanhold"))
        .args(["serve", "--data-dir"])
        .arg(folder.path())
        .args([
            "--otlp-grpc-listen",
            "127.0.0.1:0",
            "--otlp-http-listen",
            "127.0.0.1:0",
            "--http-listen",
            "127.0.0.1:0",
        ])
        .output()
        .expect("runs");
    assert!(!second.status.success());
    let words = String::from_utf8_lossy(&second.stderr);
    assert!(words.contains("LOCK") || words.contains("lock"), "{words}");
}

/// Nearly as many spans as a window may have.
const FULL_WINDOW_TRACES: u64 = 4_950;
const SPANS_PER_TRACE: u8 = 20;

/// What the project promises is 3 s on a machine of its own; here other tests run beside it.
const RESTART_MAX: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stderr, reason = "the figure is for whoever runs the test")]
async fn a_full_open_window_is_back_within_seconds() {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["--window-age-max", "1h"];
    let server = Server::start(folder.path(), &arguments);
    for first in (0..FULL_WINDOW_TRACES).step_by(50) {
        let mut spans: Vec<_> = (first..first + 50).flat_map(|number| chain(number, SPANS_PER_TRACE)).collect();
        for (at, span) in spans.iter_mut().enumerate() {
            span.attributes.push(text("db.system.name", "postgresql"));
            span.attributes.push(text("dbaas.instance.id", &format!("instance-{:08}", at % 97)));
            span.attributes.push(text("db.query.summary", "SELECT orders"));
        }
        server.send(request("svc", spans)).await;
    }
    let spans = server.metric("spanhold_store_open_window_spans").await;
    assert_eq!(spans, (FULL_WINDOW_TRACES * u64::from(SPANS_PER_TRACE)) as f64, "all in one open window");
    server.kill();

    let started = Instant::now();
    let server = Server::start(folder.path(), &arguments);
    let last = server.trace(&trace_hex(FULL_WINDOW_TRACES - 1)).await;
    let took = started.elapsed();
    eprintln!("restart with {spans} spans in the open window, up to the first answer: {took:?}");
    assert_eq!(last["span_count"], SPANS_PER_TRACE);
    assert!(took < RESTART_MAX, "took {took:?}");
}
