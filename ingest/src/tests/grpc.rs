//! OTLP/gRPC with tonic's generated client, and with a plain HTTP/2 client where a generated one cannot misbehave.

use std::time::Duration;

use prost::Message;
use proto::otlp::collector::trace::v1::trace_service_client::TraceServiceClient;
use proto::otlp::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use proto::rpc::{RetryInfo, Status};
use tonic::Code;
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;

use crate::Settings;
use crate::frame::frame;
use crate::testing::{Receiver, request, span};

async fn client(receiver: &Receiver) -> TraceServiceClient<Channel> {
    TraceServiceClient::connect(format!("http://{}", receiver.grpc)).await.expect("connected")
}

/// The body of a gRPC call by hand.
async fn call(receiver: &Receiver, headers: &[(&str, &str)], body: Vec<u8>) -> reqwest::Response {
    let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    call_path(receiver, path, headers, body).await
}

async fn call_path(receiver: &Receiver, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> reqwest::Response {
    let client = reqwest::Client::builder().http2_prior_knowledge().build().expect("a client");
    let mut post = client.post(format!("http://{}{path}", receiver.grpc)).header("te", "trailers");
    for (name, value) in headers {
        post = post.header(*name, *value);
    }
    post.body(body).send().await.expect("an answer")
}

fn grpc_status(reply: &reqwest::Response) -> &str {
    reply.headers()["grpc-status"].to_str().expect("ASCII")
}

const GRPC: (&str, &str) = ("content-type", "application/grpc");

#[tokio::test]
async fn accepts_every_encoding_of_the_generated_client() {
    let receiver = Receiver::start(Settings::default()).await;
    let sent = request(vec![span(1), span(2)]);
    let encodings = [None, Some(CompressionEncoding::Gzip), Some(CompressionEncoding::Zstd)];
    for encoding in encodings {
        let mut client = client(&receiver).await;
        if let Some(encoding) = encoding {
            client = client.send_compressed(encoding);
        }
        let reply = client.export(sent.clone()).await.expect("accepted");
        assert_eq!(reply.into_inner(), ExportTraceServiceResponse { partial_success: None });
    }
    assert_eq!(receiver.store.requests(), vec![sent.clone(), sent.clone(), sent]);
    receiver.stop().await;
}

#[tokio::test]
async fn a_large_compressed_request_arrives_whole() {
    let receiver = Receiver::start(Settings::default()).await;
    let spans = (0..20_000).map(|number| crate::testing::span((number % 250) as u8)).collect();
    let sent = request(spans);
    assert!(sent.encoded_len() > 1 << 20);
    let mut client = client(&receiver).await.send_compressed(CompressionEncoding::Zstd);
    client.export(sent.clone()).await.expect("accepted");
    assert_eq!(receiver.store.requests(), vec![sent]);
}

#[tokio::test]
async fn an_empty_request_succeeds_and_keeps_nothing() {
    let receiver = Receiver::start(Settings::default()).await;
    let reply = client(&receiver).await.export(ExportTraceServiceRequest::default()).await.expect("accepted");
    assert_eq!(reply.into_inner().partial_success, None);
    assert_eq!(receiver.store.requests(), Vec::new());
}

#[tokio::test]
async fn a_bad_span_is_rejected_alone() {
    let receiver = Receiver::start(Settings::default()).await;
    let mut zero = span(3);
    zero.span_id = vec![0; 8];
    let sent = request(vec![span(1), zero, span(2)]);
    let reply = client(&receiver).await.export(sent).await.expect("accepted").into_inner();
    let partial = reply.partial_success.expect("partial success");
    assert_eq!(partial.rejected_spans, 1);
    assert_eq!(partial.error_message, "1 of 3 spans rejected: span id is all zero (1)");
    assert_eq!(receiver.store.requests(), vec![request(vec![span(1), span(2)])]);
}

#[tokio::test]
async fn a_request_of_only_bad_spans_is_a_partial_success() {
    let receiver = Receiver::start(Settings::default()).await;
    let mut short = span(3);
    short.trace_id = vec![1; 8];
    let reply = client(&receiver).await.export(request(vec![short])).await.expect("accepted").into_inner();
    assert_eq!(reply.partial_success.expect("partial success").rejected_spans, 1);
    assert_eq!(receiver.store.requests(), Vec::new());
}

#[tokio::test]
async fn bytes_that_do_not_decode_are_an_invalid_argument() {
    let receiver = Receiver::start(Settings::default()).await;
    let valid = request(vec![span(1)]).encode_to_vec();
    let cases = [
        ("not protobuf", frame(b"\xff\xff\xff")),
        ("cut protobuf", frame(&valid[..valid.len() - 1])),
        ("no message", Vec::new()),
        ("a cut frame", frame(&valid)[..20].to_vec()),
        ("two messages", [frame(&valid), frame(&valid)].concat()),
    ];
    for (name, body) in cases {
        let reply = call(&receiver, &[GRPC], body).await;
        assert_eq!((reply.status().as_u16(), grpc_status(&reply)), (200, "3"), "{name}");
    }
    let mut not_gzip = frame(b"not gzip");
    not_gzip[0] = 1;
    let reply = call(&receiver, &[GRPC, ("grpc-encoding", "gzip")], not_gzip).await;
    assert_eq!(grpc_status(&reply), "3");
    assert_eq!(receiver.store.requests(), Vec::new());
}

#[tokio::test]
async fn an_unknown_encoding_is_answered_with_the_known_ones() {
    let receiver = Receiver::start(Settings::default()).await;
    let reply = call(&receiver, &[GRPC, ("grpc-encoding", "snappy")], frame(b"")).await;
    assert_eq!(grpc_status(&reply), "12");
    assert_eq!(reply.headers()["grpc-accept-encoding"], "identity,gzip,zstd,deflate");
}

#[tokio::test]
async fn a_compressed_message_needs_an_encoding() {
    let receiver = Receiver::start(Settings::default()).await;
    let reply = call(&receiver, &[GRPC], vec![1, 0, 0, 0, 0]).await;
    assert_eq!(grpc_status(&reply), "13");
}

#[tokio::test]
async fn what_is_not_the_trace_service_is_unimplemented() {
    let receiver = Receiver::start(Settings::default()).await;
    let path = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
    let reply = call_path(&receiver, path, &[GRPC], frame(b"")).await;
    assert_eq!((reply.status().as_u16(), grpc_status(&reply)), (200, "12"));
    let reply = call(&receiver, &[("content-type", "application/json")], frame(b"")).await;
    assert_eq!(reply.status().as_u16(), 415);
}

#[tokio::test]
async fn too_large_is_resource_exhausted_without_a_retry_hint() {
    let settings = Settings { request_bytes_max: 10_000, decompressed_bytes_max: 20_000, ..Settings::default() };
    let receiver = Receiver::start(settings).await;
    let plain = request((0..200).map(span).collect());
    assert!(plain.encoded_len() > 10_000 && plain.encoded_len() < 20_000);
    let bomb = request(vec![proto::otlp::trace::v1::Span { name: "0".repeat(5 << 20), ..span(1) }]);

    let status = client(&receiver).await.export(plain.clone()).await.expect_err("too large as sent");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().contains("request_bytes_max"), "{}", status.message());
    let details = Status::decode(status.details()).expect("google.rpc.Status");
    assert!(details.details.is_empty(), "a hint would make the client try for ever");

    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
        let mut client = client(&receiver).await.send_compressed(encoding);
        client.export(plain.clone()).await.expect("fits when compressed");
        let bomb = bomb.clone();
        let status = client.export(bomb).await.expect_err("a bomb");
        assert_eq!(status.code(), Code::ResourceExhausted, "{encoding}: {}", status.message());
        assert!(status.message().contains("decompressed_bytes_max"), "{}", status.message());
    }
    assert_eq!(receiver.store.requests().len(), 2);
}

#[tokio::test]
async fn a_full_or_closing_store_says_when_to_come_back() {
    let receiver = Receiver::start(Settings::default()).await;
    let mut client = client(&receiver).await;
    let full = store::Error::from(store::Overload::full(store::Pressure::new(store::Limit::InFlightBytes, 10, 9)));
    let broken = store::Error::Poisoned("disk".to_owned());
    for (failure, code) in
        [(full, Code::ResourceExhausted), (store::Error::Closing, Code::Unavailable), (broken, Code::Unavailable)]
    {
        receiver.store.fail_with(Some(failure.clone()));
        let status = client.export(request(vec![span(1)])).await.expect_err("refused");
        assert_eq!(status.code(), code, "{failure:?}");
        let details = Status::decode(status.details()).expect("google.rpc.Status");
        let hint = RetryInfo::decode(details.details[0].value.as_slice()).expect("RetryInfo").retry_delay;
        assert!(hint.is_some_and(|delay| delay.seconds >= 1), "{failure:?}");
        assert!(!status.message().contains("disk"), "what is wrong inside is for the log");
    }
    receiver.store.fail_with(None);
    client.export(request(vec![span(1)])).await.expect("accepted again");
}

#[tokio::test]
async fn many_calls_share_a_connection() {
    let receiver = Receiver::start(Settings::default()).await;
    let client = client(&receiver).await;
    let calls = (0..100_u8).map(|number| {
        let mut client = client.clone();
        async move { client.export(request(vec![span(number)])).await }
    });
    for reply in futures::future::join_all(calls).await {
        reply.expect("accepted");
    }
    assert_eq!(receiver.store.requests().len(), 100);
    drop(client);
    tokio::time::timeout(Duration::from_secs(10), receiver.stop()).await.expect("stops when idle");
}
