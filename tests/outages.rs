use std::path::Path;
use std::time::Duration;

use proto::otlp::common::v1::any_value::Value;
use proto::otlp::common::v1::{AnyValue, KeyValue};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

use crate::harness::s3_process::S3Process;
use crate::harness::spans::{chain, request, trace_hex};
use crate::harness::traffic::{SPANS, Traffic, expect_kept};
use crate::harness::{Server, eventually};

/// Sends single traces until the open window is sealed and everything is offloaded; says which.
async fn send_until_all_is_cold(server: &Server, first: u64) -> Vec<u64> {
    let mut kept = Vec::new();
    for number in first.. {
        server.send(request("svc", chain(number, SPANS))).await;
        kept.push(number);
        if server.metric("spanhold_store_open_window_spans").await == 0.0 {
            break;
        }
    }
    server.offloaded(1.0).await;
    kept
}

/// Killed under load, a real S3 server costs nothing: spans are accepted up to the limits, then refused with a word when to
/// come back, and when it is there again everything moves, each span once.
#[tokio::test(flavor = "multi_thread")]
async fn an_s3_server_that_is_killed_and_started_again() {
    let mut s3 = S3Process::versitygw().await;
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = [
        "--cold",
        "s3://traces/some/prefix",
        "--window-spans-max",
        "50",
        "--hot-bytes-max",
        "0",
        // Far above what waits while the object store is there.
        "--windows-waiting-max",
        "60",
    ];
    let server = Server::start_with(folder.path(), &arguments, &s3.variables());
    let traffic = Traffic::start(&server, 0, 900);
    eventually("the first blocks", async || server.metric("spanhold_store_cold_blocks").await >= 2.0).await;
    s3.kill();
    // There may have been refusals before, for the object store was slower than the senders.
    let (before, refused_before) = (traffic.acknowledged(), traffic.refused());
    eventually("a refusal", async || traffic.refused() > refused_before).await;
    assert!(traffic.acknowledged() > before, "nothing was accepted while the object store was away");
    let while_away = traffic.acknowledged();
    s3.start_again().await;
    eventually("more traffic", async || traffic.acknowledged() >= while_away + 50).await;
    let mut kept = traffic.end().await;
    // Until then some may be refused.
    server.offloaded(1.0).await;
    kept.extend(send_until_all_is_cold(&server, 1_000).await);
    expect_kept(&server, &kept).await;
    server.kill();

    // The bucket alone.
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start_with(folder.path(), &arguments, &s3.variables());
    expect_kept(&server, &kept).await;
}

/// Whether a file lies anywhere in `folder`.
fn has_file(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| if entry.path().is_dir() { has_file(&entry.path()) } else { true })
}

/// Traces of one large block, and the bytes of each of their spans: 30 MB, well beyond what is put in one piece.
const LARGE_TRACES: u64 = 15;
const NOISE_BYTES: usize = 400_000;

/// An upload in parts that the server did not survive is done again.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_cut_off_is_done_again() {
    let mut s3 = S3Process::versitygw().await;
    let folder = tempfile::tempdir().expect("a folder");
    let window_spans = (LARGE_TRACES * u64::from(SPANS)).to_string();
    let arguments = [
        "--cold",
        "s3://traces",
        "--window-spans-max",
        &window_spans,
        "--window-bytes-max",
        "100000000",
        "--hot-bytes-max",
        "0",
    ];
    let server = Server::start_with(folder.path(), &arguments, &s3.variables());
    let mut dice = StdRng::seed_from_u64(7);
    // What does not compress, so that the block is large too.
    for number in 0..LARGE_TRACES {
        let mut spans = chain(number, SPANS);
        for span in &mut spans {
            let mut noise = vec![0; NOISE_BYTES];
            dice.fill_bytes(&mut noise);
            let value = Some(AnyValue { value: Some(Value::BytesValue(noise)) });
            span.attributes.push(KeyValue { key: "noise".to_owned(), value, ..KeyValue::default() });
        }
        server.send(request("svc", spans)).await;
    }
    // Parts that have come lie here until the upload is complete.
    let parts = s3.folder().join(".sgwtmp/multipart");
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while !has_file(&parts) {
        assert!(std::time::Instant::now() < deadline, "no upload in parts began");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    s3.kill();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(server.metric("spanhold_store_cold_blocks").await, 0.0, "the upload was over before the kill");
    s3.start_again().await;
    server.offloaded(1.0).await;
    for number in 0..LARGE_TRACES {
        assert_eq!(server.trace(&trace_hex(number)).await["span_count"], SPANS, "trace {number}");
    }
    server.kill();
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start_with(folder.path(), &arguments, &s3.variables());
    for number in 0..LARGE_TRACES {
        assert_eq!(server.trace(&trace_hex(number)).await["span_count"], SPANS, "trace {number}");
    }
}
