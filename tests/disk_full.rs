use std::io::Write;
use std::time::Duration;

use prost::Message;
use proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use proto::rpc;
use tonic::{Code, Status};

use crate::harness::disk::SmallDisk;
use crate::harness::spans::{chain, request, text, trace_hex};
use crate::harness::{Server, eventually};

const MIB: u64 = 1 << 20;

/// The disk of these tests; RocksDB alone takes a few MB of it.
const DISK_BYTES: u64 = 96 * MIB;

/// Spans of each trace.
const SPANS: u8 = 3;

fn disk() -> Option<SmallDisk> {
    match SmallDisk::mount(DISK_BYTES) {
        Ok(disk) => Some(disk),
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "skipped: no file system can be mounted here: {why}");
            None
        }
    }
}

/// A trace that takes `bytes` on disk: what it has does not compress.
fn bulky(number: u64, bytes: usize) -> ExportTraceServiceRequest {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let noise: String = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b' ' + (state % 95) as u8)
    })
    .take(bytes)
    .collect();
    let mut spans = chain(number, SPANS);
    spans[0].attributes.push(text("noise", &noise));
    request("svc", spans)
}

/// Sends traces until one is refused; says how, and adds those that were acknowledged.
async fn send_until_refused(server: &Server, bytes: usize, acknowledged: &mut Vec<u64>) -> Status {
    let mut client = server.client().await;
    for _ in 0..2_000 {
        let number = acknowledged.last().map_or(0, |last| last + 1);
        match client.export(bulky(number, bytes)).await {
            Ok(_) => acknowledged.push(number),
            Err(refusal) => return refusal,
        }
    }
    panic!("nothing is ever refused");
}

/// Sends one trace until it is accepted.
async fn send_at_last(server: &Server, acknowledged: &mut Vec<u64>) {
    let number = acknowledged.last().map_or(0, |last| last + 1);
    let client = server.client().await;
    eventually("acceptance", async || client.clone().export(bulky(number, 100)).await.is_ok()).await;
    acknowledged.push(number);
}

async fn expect_all(server: &Server, acknowledged: &[u64]) {
    for number in acknowledged {
        assert_eq!(server.trace(&trace_hex(*number)).await["span_count"], SPANS, "trace {number}");
    }
}

fn expect_hint(refusal: &Status) {
    assert_eq!(refusal.code(), Code::ResourceExhausted, "{refusal:?}");
    assert!(refusal.message().contains("disk_free_min"), "{refusal:?}");
    assert!(!refusal.message().contains("/"), "paths are for the log: {refusal:?}");
    let details = rpc::Status::decode(refusal.details()).expect("google.rpc.Status");
    assert!(details.details.iter().any(|detail| detail.type_url == rpc::RetryInfo::TYPE_URL), "{details:?}");
}

/// Refused before anything fails, as long as nobody else takes what must be left.
#[tokio::test(flavor = "multi_thread")]
async fn a_nearly_full_disk_is_refused_and_goes_on_by_itself() {
    let Some(disk) = disk() else { return };
    let cold = tempfile::tempdir().expect("a folder");
    let cold = format!("file://{}", cold.path().display());
    let least = (24 * MIB).to_string();
    let server = Server::start(disk.path(), &["--cold", &cold, "--disk-free-min", &least, "--window-age-max", "1h"]);
    let mut acknowledged = Vec::new();
    for _ in 0..20 {
        send_at_last(&server, &mut acknowledged).await;
    }
    let ballast = disk.fill(20 * MIB);
    eventually("a look at the disk", async || server.metric("spanhold_store_pressure_percent").await >= 100.0).await;
    let refusal = send_until_refused(&server, 100, &mut acknowledged).await;
    expect_hint(&refusal);
    expect_all(&server, &acknowledged).await;
    assert_eq!(server.metric("spanhold_store_poisoned").await, 0.0);

    ballast.remove();
    send_at_last(&server, &mut acknowledged).await;
    server.kill();
    let server = Server::start(disk.path(), &["--cold", &cold]);
    expect_all(&server, &acknowledged).await;
}

/// When all space is gone all the same, writes fail: they are refused, not acknowledged, and nothing is poisoned.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_stays_readable_and_recovers() {
    let Some(disk) = disk() else { return };
    let cold = tempfile::tempdir().expect("a folder");
    let cold = format!("file://{}", cold.path().display());
    // Windows are sealed, indexed and offloaded in the middle of it.
    let arguments =
        ["--cold", &cold, "--disk-free-min", "0", "--window-spans-max", "300", "--hot-bytes-max", "1000000000"];
    let server = Server::start(disk.path(), &arguments);
    let mut acknowledged = Vec::new();
    for _ in 0..50 {
        send_at_last(&server, &mut acknowledged).await;
    }
    for round in 0..3 {
        let ballast = disk.fill(2 * MIB);
        let refusal = send_until_refused(&server, 40_000, &mut acknowledged).await;
        expect_hint(&refusal);
        expect_all(&server, &acknowledged).await;
        assert_eq!(server.metric("spanhold_store_poisoned").await, 0.0, "round {round}");
        assert_eq!(server.try_get("/readyz").await.0, 200);
        ballast.remove();
        send_at_last(&server, &mut acknowledged).await;
    }
    expect_all(&server, &acknowledged).await;
    let ballast = disk.fill(MIB);
    send_until_refused(&server, 40_000, &mut acknowledged).await;
    server.kill();
    ballast.remove();

    let server = Server::start(disk.path(), &arguments);
    expect_all(&server, &acknowledged).await;
    send_at_last(&server, &mut acknowledged).await;
    server.offloaded(1.0).await;
    expect_all(&server, &acknowledged).await;
}

/// The cold tier's folder is full: windows wait, and move when there is space.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_cold_tier_makes_windows_wait() {
    let Some(disk) = disk() else { return };
    let data = tempfile::tempdir().expect("a folder");
    let cold = format!("file://{}", disk.path().join("cold").display());
    // Blocks are counted here, so none are merged.
    let unmerged = ["--merge-inputs-min", "1000000"];
    let windows = ["--cold", &cold, "--window-spans-max", "30", "--windows-in-memory-max", "1"];
    let arguments = [&windows[..], &unmerged].concat();
    let server = Server::start(data.path(), &arguments);
    let mut acknowledged = Vec::new();
    let ballast = disk.fill(0);
    for _ in 0..100 {
        send_at_last(&server, &mut acknowledged).await;
    }
    eventually("windows on disk", async || server.metric("spanhold_store_windows_spilled").await >= 5.0).await;
    expect_all(&server, &acknowledged).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(server.metric("spanhold_store_cold_blocks").await, 0.0);

    ballast.remove();
    server.offloaded(10.0).await;
    expect_all(&server, &acknowledged).await;
}
