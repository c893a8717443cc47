//! What happens at the limits: nothing is dropped in silence, and what was charged is given back.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;
use proto::rpc::Status;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Settings;
use crate::testing::{Receiver, request, span};

async fn post(receiver: &Receiver, encoding: &str, body: Vec<u8>) -> reqwest::Response {
    reqwest::Client::new()
        .post(format!("http://{}/v1/traces", receiver.http))
        .header("content-type", "application/x-protobuf")
        .header("content-encoding", encoding)
        .body(body)
        .send()
        .await
        .expect("an answer")
}

fn metric(receiver: &Receiver, line_start: &str) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &receiver.registry).expect("text");
    let line = text.lines().find(|line| line.starts_with(line_start));
    line.unwrap_or_else(|| panic!("no {line_start} in\n{text}")).rsplit(' ').next().expect("a value").to_owned()
}

#[tokio::test]
async fn too_large_is_413_before_and_after_decompression() {
    let settings = Settings { request_bytes_max: 1 << 20, decompressed_bytes_max: 2 << 20, ..Settings::default() };
    let receiver = Receiver::start(settings).await;

    let reply = post(&receiver, "identity", vec![0; 3 << 20]).await;
    assert_eq!(reply.status().as_u16(), 413);
    let status = Status::decode(reply.bytes().await.expect("a body")).expect("google.rpc.Status");
    assert_eq!(status.code, 8);
    assert!(status.message.contains("request_bytes_max"), "{}", status.message);

    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(&vec![0; 100 << 20]).expect("in memory");
    let bomb = gzip.finish().expect("in memory");
    assert!(bomb.len() < 1 << 20);
    let reply = post(&receiver, "gzip", bomb).await;
    assert_eq!(reply.status().as_u16(), 413);
    assert!(!reply.headers().contains_key("retry-after"));
    let status = Status::decode(reply.bytes().await.expect("a body")).expect("google.rpc.Status");
    assert!(status.message.contains("decompressed_bytes_max"), "{}", status.message);

    assert_eq!(metric(&receiver, "spanhold_ingest_requests_total{transport=\"http\",outcome=\"too_large\"}"), "2");
    assert_eq!(metric(&receiver, "spanhold_ingest_in_flight_bytes"), "0");
    assert_eq!(metric(&receiver, "spanhold_ingest_in_flight_requests"), "0");
}

#[tokio::test]
async fn a_chunked_body_is_cut_at_the_limit() {
    let settings = Settings { request_bytes_max: 1_000, ..Settings::default() };
    let receiver = Receiver::start(settings).await;
    let mut socket = TcpStream::connect(receiver.http).await.expect("connected");
    let head = "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                transfer-encoding: chunked\r\n\r\n";
    socket.write_all(head.as_bytes()).await.expect("sent");
    // No last chunk ever: the answer comes at the limit, not at the end.
    for _ in 0..3 {
        socket.write_all(format!("200\r\n{}\r\n", "x".repeat(0x200)).as_bytes()).await.expect("sent");
    }
    let mut reply = Vec::new();
    socket.read_to_end(&mut reply).await.expect("an answer");
    assert!(reply.starts_with(b"HTTP/1.1 413 "), "{}", String::from_utf8_lossy(&reply));
}

#[tokio::test]
async fn a_slow_sender_loses_its_place() {
    let settings =
        Settings { body_read_timeout: Duration::from_millis(200), in_flight_requests_max: 1, ..Settings::default() };
    let receiver = Receiver::start(settings).await;
    let mut slow = TcpStream::connect(receiver.http).await.expect("connected");
    let head = "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    slow.write_all(head.as_bytes()).await.expect("sent");
    while metric(&receiver, "spanhold_ingest_in_flight_requests") != "1" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let body = request(vec![span(1)]).encode_to_vec();
    let refused = post(&receiver, "identity", body.clone()).await;
    assert_eq!(refused.status().as_u16(), 429);
    assert_eq!(refused.headers()["retry-after"], "1");

    let mut reply = Vec::new();
    slow.read_to_end(&mut reply).await.expect("an answer");
    assert!(reply.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&reply));
    assert_eq!(post(&receiver, "identity", body).await.status().as_u16(), 200);
}

#[tokio::test]
async fn a_sender_that_goes_away_gives_its_place_back() {
    let settings = Settings { in_flight_requests_max: 1, ..Settings::default() };
    let receiver = Receiver::start(settings).await;
    let mut gone = TcpStream::connect(receiver.http).await.expect("connected");
    let head = "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    gone.write_all(head.as_bytes()).await.expect("sent");
    while metric(&receiver, "spanhold_ingest_in_flight_requests") != "1" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(gone);
    let body = request(vec![span(1)]).encode_to_vec();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while post(&receiver, "identity", body.clone()).await.status().as_u16() != 200 {
        assert!(tokio::time::Instant::now() < deadline, "the place is still taken");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_full_store_refuses_before_anything_is_read() {
    let receiver = Receiver::start(Settings::default()).await;
    let full = store::Overload::full(store::Pressure::new(store::Limit::HotBytes, 2, 2));
    receiver.store.refuse_all(Some(full.into()));
    // Neither gzip nor OTLP: whoever looks at it answers 400.
    let refused = post(&receiver, "gzip", vec![7; 1_000]).await;
    assert_eq!(refused.status().as_u16(), 429);
    assert_eq!(refused.headers()["retry-after"], "5");
    let status = Status::decode(refused.bytes().await.expect("a body")).expect("google.rpc.Status");
    assert!(status.message.starts_with("hot_bytes_max is reached (2 of 2): "), "{}", status.message);
    assert_eq!(metric(&receiver, "spanhold_ingest_refused_total{limit=\"hot_bytes_max\",priority=\"any\"}"), "1");
    assert_eq!(metric(&receiver, "spanhold_ingest_received_bytes_total{transport=\"http\"}"), "0", "nothing was read");

    receiver.store.refuse_all(None);
    assert_eq!(post(&receiver, "gzip", vec![7; 1_000]).await.status().as_u16(), 400);
}

#[tokio::test]
async fn a_request_that_matters_too_little_is_checked_and_not_kept() {
    let receiver = Receiver::start(Settings::default()).await;
    let near = store::Pressure::new(store::Limit::DiskFree, 75, 100).check(store::Priority::Low).expect_err("refused");
    receiver.store.refuse_requests(near.into());
    let refused = post(&receiver, "identity", request(vec![span(1)]).encode_to_vec()).await;
    assert_eq!(refused.status().as_u16(), 429);
    assert_eq!(refused.headers()["retry-after"], "5");
    // What cannot be repaired by waiting is said even so.
    assert_eq!(post(&receiver, "identity", vec![0xff; 10]).await.status().as_u16(), 400);
    assert_eq!(metric(&receiver, "spanhold_ingest_refused_total{limit=\"disk_free_min\",priority=\"low\"}"), "1");
    assert_eq!(metric(&receiver, "spanhold_ingest_in_flight_bytes"), "0");
    assert!(receiver.store.requests().is_empty());
}

#[tokio::test]
async fn counts_spans_and_bytes() {
    let receiver = Receiver::start(Settings::default()).await;
    let mut zero = span(3);
    zero.span_id = vec![0; 8];
    let body = request(vec![span(1), span(2), zero]).encode_to_vec();
    let length = body.len().to_string();
    assert_eq!(post(&receiver, "identity", body).await.status().as_u16(), 200);
    assert_eq!(metric(&receiver, "spanhold_ingest_spans_accepted_total"), "2");
    assert_eq!(metric(&receiver, "spanhold_ingest_spans_rejected_total{reason=\"span_id\"}"), "1");
    assert_eq!(metric(&receiver, "spanhold_ingest_received_bytes_total{transport=\"http\"}"), length);
    assert_eq!(metric(&receiver, "spanhold_ingest_requests_total{transport=\"http\",outcome=\"partial\"}"), "1");
}
