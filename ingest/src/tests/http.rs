//! OTLP/HTTP with reqwest, and with a bare socket where the bytes on the wire matter.

use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use prost::Message;
use proto::otlp::collector::trace::v1::ExportTraceServiceResponse;
use proto::rpc::Status;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Settings;
use crate::testing::{Receiver, request, span};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

async fn post(receiver: &Receiver, headers: &[(&str, &str)], body: Vec<u8>) -> reqwest::Response {
    let mut post = reqwest::Client::new().post(format!("http://{}/v1/traces", receiver.http));
    for (name, value) in headers {
        post = post.header(*name, *value);
    }
    post.body(body).send().await.expect("an answer")
}

fn content_type(reply: &reqwest::Response) -> &str {
    reply.headers()["content-type"].to_str().expect("ASCII")
}

async fn json_of(reply: reqwest::Response) -> Value {
    serde_json::from_slice(&reply.bytes().await.expect("a body")).expect("JSON")
}

async fn status_of(reply: reqwest::Response) -> Status {
    Status::decode(reply.bytes().await.expect("a body")).expect("google.rpc.Status")
}

/// Sends bytes as they are, and returns all that comes back.
async fn raw(receiver: &Receiver, text: &str) -> String {
    let mut socket = TcpStream::connect(receiver.http).await.expect("connected");
    socket.write_all(text.as_bytes()).await.expect("sent");
    let mut reply = Vec::new();
    socket.read_to_end(&mut reply).await.expect("an answer");
    String::from_utf8(reply).expect("text")
}

#[tokio::test]
async fn accepts_protobuf_and_json_in_every_encoding() {
    let receiver = Receiver::start(Settings::default()).await;
    let sent = request(vec![span(1), span(2)]);
    let protobuf = sent.encode_to_vec();
    let json = serde_json::to_vec(&sent).expect("JSON");
    for (content_type_sent, plain) in [(PROTOBUF, protobuf), (JSON, json)] {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&plain).expect("in memory");
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(&plain).expect("in memory");
        let bodies = [
            ("identity", plain.clone()),
            ("gzip", gzip.finish().expect("in memory")),
            ("deflate", zlib.finish().expect("in memory")),
            ("zstd", zstd::encode_all(plain.as_slice(), 1).expect("in memory")),
        ];
        for (encoding, body) in bodies {
            let headers = [("content-type", content_type_sent), ("content-encoding", encoding)];
            let reply = post(&receiver, &headers, body).await;
            assert_eq!(reply.status().as_u16(), 200, "{encoding}");
            assert_eq!(content_type(&reply), content_type_sent);
            let body = reply.bytes().await.expect("a body");
            assert_eq!(&body[..], if content_type_sent == JSON { &b"{}"[..] } else { b"" });
        }
    }
    assert_eq!(receiver.store.requests(), vec![sent; 8]);
    receiver.stop().await;
}

#[tokio::test]
async fn an_empty_body_is_an_empty_request() {
    let receiver = Receiver::start(Settings::default()).await;
    for (content_type, body) in [(PROTOBUF, ""), (JSON, ""), (JSON, "{}"), (JSON, r#"{"resourceSpans":[]}"#)] {
        let reply = post(&receiver, &[("content-type", content_type)], body.into()).await;
        assert_eq!(reply.status().as_u16(), 200, "{content_type} {body}");
    }
    assert_eq!(receiver.store.requests(), Vec::new());
}

#[tokio::test]
async fn content_type_may_have_parameters() {
    let receiver = Receiver::start(Settings::default()).await;
    let reply = post(&receiver, &[("content-type", "application/json; charset=utf-8")], b"{}".to_vec()).await;
    assert_eq!((reply.status().as_u16(), content_type(&reply)), (200, JSON));
}

#[tokio::test]
async fn a_chunked_body_needs_no_length() {
    let receiver = Receiver::start(Settings::default()).await;
    let head = "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\n\
                transfer-encoding: chunked\r\n\r\n";
    let reply = raw(&receiver, &format!("{head}c\r\n{{\"resourceSp\r\n9\r\nans\":[]}} \r\n0\r\n\r\n")).await;
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
}

#[tokio::test]
async fn a_bad_span_is_rejected_alone_in_both_formats() {
    let receiver = Receiver::start(Settings::default()).await;
    let mut short = span(2);
    short.trace_id = vec![1; 3];
    let sent = request(vec![span(1), short]);
    let reason = "1 of 2 spans rejected: trace id must be 16 bytes (32 hex digits), got 3 bytes (1)";

    let reply = post(&receiver, &[("content-type", PROTOBUF)], sent.encode_to_vec()).await;
    assert_eq!(reply.status().as_u16(), 200);
    let reply = ExportTraceServiceResponse::decode(reply.bytes().await.expect("a body")).expect("a response");
    let partial = reply.partial_success.expect("partial success");
    assert_eq!((partial.rejected_spans, partial.error_message.as_str()), (1, reason));

    let reply = post(&receiver, &[("content-type", JSON)], serde_json::to_vec(&sent).expect("JSON")).await;
    assert_eq!(reply.status().as_u16(), 200);
    assert_eq!(json_of(reply).await, json!({"partialSuccess": {"rejectedSpans": "1", "errorMessage": reason}}));

    assert_eq!(receiver.store.requests(), vec![request(vec![span(1)]); 2]);
}

/// What pg_tracing sends: integers as numbers, times in microseconds, a parent that is half of the trace id.
#[tokio::test]
async fn accepts_what_pg_tracing_sends() {
    let receiver = Receiver::start(Settings::default()).await;
    let sent = json!({"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "PostgreSQL_Server"}}]},
        "scopeSpans": [{"scope": {"name": "Planner"}, "spans": [{
            "traceId": "0000000000000000b7ad6b7169203331",
            "spanId": "00f067aa0ba902b7",
            "parentSpanId": "b7ad6b7169203331",
            "name": "Planner", "kind": 2,
            "startTimeUnixNano": "1763928000123456000", "endTimeUnixNano": "1763928000123457000",
            "attributes": [{"key": "plan.rows", "value": {"intValue": 1}}],
            "status": {"code": 1},
        }]}],
    }]});
    let reply = post(&receiver, &[("content-type", JSON)], sent.to_string().into_bytes()).await;
    assert_eq!(json_of(reply).await, json!({}));
    let kept = &receiver.store.requests()[0].resource_spans[0].scope_spans[0].spans[0];
    assert_eq!(kept.parent_span_id, kept.trace_id[8..]);
}

#[tokio::test]
async fn errors_speak_the_format_of_the_request() {
    let receiver = Receiver::start(Settings::default()).await;

    let reply = post(&receiver, &[("content-type", PROTOBUF)], b"\xff\xff".to_vec()).await;
    assert_eq!((reply.status().as_u16(), content_type(&reply)), (400, PROTOBUF));
    let status = status_of(reply).await;
    assert_eq!(status.code, 3);
    assert!(status.message.contains("ExportTraceServiceRequest"), "{}", status.message);

    let reply = post(&receiver, &[("content-type", JSON)], b"{".to_vec()).await;
    assert_eq!((reply.status().as_u16(), content_type(&reply)), (400, JSON));
    let status = json_of(reply).await;
    assert_eq!(status["code"], 3);
    assert!(status["message"].as_str().expect("text").contains("line 1 column 1"), "{status}");

    let reply = post(&receiver, &[("content-type", JSON), ("content-encoding", "gzip")], b"{}".to_vec()).await;
    assert_eq!(reply.status().as_u16(), 400);
}

#[tokio::test]
async fn what_is_not_supported_says_what_is() {
    let receiver = Receiver::start(Settings::default()).await;
    let reply = post(&receiver, &[("content-type", "text/plain")], b"{}".to_vec()).await;
    assert_eq!((reply.status().as_u16(), content_type(&reply)), (415, JSON));
    assert!(json_of(reply).await["message"].as_str().expect("text").contains("application/x-protobuf"));

    let reply = post(&receiver, &[], b"{}".to_vec()).await;
    assert_eq!(reply.status().as_u16(), 415);

    let reply = post(&receiver, &[("content-type", PROTOBUF), ("content-encoding", "br")], b"".to_vec()).await;
    assert_eq!((reply.status().as_u16(), content_type(&reply)), (415, PROTOBUF));
    assert!(status_of(reply).await.message.contains("gzip, zstd, deflate"));

    let reply = reqwest::get(format!("http://{}/v1/traces", receiver.http)).await.expect("an answer");
    assert_eq!(reply.status().as_u16(), 405);
    assert_eq!(reply.headers()["allow"], "POST");

    let url = format!("http://{}/v1/metrics", receiver.http);
    let reply = reqwest::Client::new().post(url).header("content-type", JSON).body("{}").send().await;
    let reply = reply.expect("an answer");
    assert_eq!(reply.status().as_u16(), 404);
    assert!(json_of(reply).await["message"].as_str().expect("text").contains("/v1/traces"));
}

#[tokio::test]
async fn a_full_or_closing_store_says_when_to_come_back() {
    let receiver = Receiver::start(Settings::default()).await;
    let body = request(vec![span(1)]).encode_to_vec();
    let full = store::Error::from(store::Overload::full(store::Pressure::new(store::Limit::WindowsWaiting, 4, 4)));
    let broken = store::Error::Corrupt { what: "CURRENT".to_owned(), why: "torn".to_owned() };
    for (failure, http) in [(full, 429), (store::Error::Closing, 503), (broken, 503)] {
        receiver.store.fail_with(Some(failure.clone()));
        let reply = post(&receiver, &[("content-type", PROTOBUF)], body.clone()).await;
        assert_eq!(reply.status().as_u16(), http, "{failure:?}");
        let seconds: u64 = reply.headers()["retry-after"].to_str().expect("ASCII").parse().expect("seconds");
        assert!(seconds >= 1);
        assert!(!status_of(reply).await.message.contains("torn"), "what is wrong inside is for the log");
    }
    assert_eq!(receiver.store.requests(), Vec::new());
}

#[tokio::test]
async fn browsers_are_let_in_only_from_the_origins_of_the_settings() {
    let browser_origins = vec!["https://app.example".to_owned()];
    let open = Receiver::start(Settings { browser_origins, ..Settings::default() }).await;
    let closed = Receiver::start(Settings::default()).await;
    let preflight = async |receiver: &Receiver, origin: &str| {
        reqwest::Client::new()
            .request(reqwest::Method::OPTIONS, format!("http://{}/v1/traces", receiver.http))
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type,x-token")
            .send()
            .await
            .expect("an answer")
    };
    let reply = preflight(&open, "https://app.example").await;
    assert_eq!(reply.status().as_u16(), 204);
    assert_eq!(reply.headers()["access-control-allow-origin"], "https://app.example");
    assert_eq!(reply.headers()["access-control-allow-headers"], "content-type,x-token");
    assert_eq!(preflight(&open, "https://evil.example").await.status().as_u16(), 405);
    assert_eq!(preflight(&closed, "https://app.example").await.status().as_u16(), 405);

    let headers = [("content-type", JSON), ("origin", "https://app.example")];
    let reply = post(&open, &headers, b"{}".to_vec()).await;
    assert_eq!(reply.headers()["access-control-allow-origin"], "https://app.example");
    assert!(!post(&closed, &headers, b"{}".to_vec()).await.headers().contains_key("access-control-allow-origin"));
}
