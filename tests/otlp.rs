use http::StatusCode;
use prost::Message;
use proto::otlp::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use proto::otlp::trace::v1::Span;
use proto::rpc;
use serde_json::{Value, json};
use tonic::Code;
use tonic::codec::CompressionEncoding;

use crate::harness::post::{JSON, PROTOBUF, packed, post};
use crate::harness::spans::{chain, request, span, trace_hex};
use crate::harness::{Server, eventually};

struct Fixture {
    server: Server,
    _folder: tempfile::TempDir,
}

fn start(arguments: &[&str]) -> Fixture {
    let folder = tempfile::tempdir().expect("a folder");
    Fixture { server: Server::start(folder.path(), arguments), _folder: folder }
}

async fn span_count(server: &Server, number: u64) -> Value {
    server.trace(&trace_hex(number)).await["span_count"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_encoding_of_every_transport_arrives() {
    let fixture = start(&[]);
    let server = &fixture.server;
    let mut number = 0;
    for encoding in [None, Some(CompressionEncoding::Gzip), Some(CompressionEncoding::Zstd)] {
        let mut client = server.client().await;
        if let Some(encoding) = encoding {
            client = client.send_compressed(encoding);
        }
        client.export(request("grpc", chain(number, 3))).await.expect("accepted");
        assert_eq!(span_count(server, number).await, 3);
        number += 1;
    }
    for encoding in [None, Some("gzip"), Some("zstd"), Some("deflate")] {
        let bytes = request("http", chain(number, 3)).encode_to_vec();
        let body = encoding.map_or_else(|| bytes.clone(), |encoding| packed(encoding, &bytes));
        let (status, kind, answer) = post(server, PROTOBUF, encoding, body).await;
        assert_eq!((status, kind.as_str(), answer.as_slice()), (StatusCode::OK, PROTOBUF, &[][..]), "{encoding:?}");
        assert_eq!(span_count(server, number).await, 3);
        number += 1;

        let text = serde_json::to_vec(&request("json", chain(number, 3))).expect("JSON");
        let body = encoding.map_or_else(|| text.clone(), |encoding| packed(encoding, &text));
        let (status, kind, answer) = post(server, JSON, encoding, body).await;
        assert_eq!((status, kind.as_str()), (StatusCode::OK, JSON), "{}", String::from_utf8_lossy(&answer));
        assert_eq!(span_count(server, number).await, 3);
        number += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_request_succeeds() {
    let fixture = start(&[]);
    fixture.server.send(ExportTraceServiceRequest::default()).await;
    assert_eq!(post(&fixture.server, PROTOBUF, None, Vec::new()).await.0, StatusCode::OK);
    assert_eq!(post(&fixture.server, JSON, None, b"{}".to_vec()).await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_span_is_rejected_alone() {
    let fixture = start(&[]);
    let server = &fixture.server;
    let bad = |span: Span| vec![span, Span { span_id: vec![0; 8], ..Span::default() }];
    let zero = request("svc", [chain(1, 2), bad(Span { trace_id: vec![1; 8], ..span(1, 3, 1) })].concat());
    let response = server.client().await.export(zero.clone()).await.expect("accepted").into_inner();
    let partial = response.partial_success.expect("told");
    assert_eq!(partial.rejected_spans, 2);
    assert!(partial.error_message.contains("16 bytes"), "{}", partial.error_message);
    assert_eq!(span_count(server, 1).await, 2);

    let (status, _, body) = post(server, PROTOBUF, None, zero.encode_to_vec()).await;
    assert_eq!(status, StatusCode::OK);
    let response = ExportTraceServiceResponse::decode(&body[..]).expect("a response");
    assert_eq!(response.partial_success.expect("told").rejected_spans, 2);

    let text = serde_json::to_vec(&zero).expect("JSON");
    let (status, _, body) = post(server, JSON, None, text).await;
    assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&body));
    let response: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(response["partialSuccess"]["rejectedSpans"], "2", "{response}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_decoded_is_told_in_the_requests_own_encoding() {
    let fixture = start(&[]);
    let (status, kind, body) = post(&fixture.server, PROTOBUF, None, b"no protobuf".to_vec()).await;
    assert_eq!((status, kind.as_str()), (StatusCode::BAD_REQUEST, PROTOBUF));
    let error = rpc::Status::decode(&body[..]).expect("google.rpc.Status");
    assert_eq!(error.code, Code::InvalidArgument as i32);
    assert!(!error.message.is_empty());

    let (status, kind, body) = post(&fixture.server, JSON, None, b"{\"resourceSpans\": 7}".to_vec()).await;
    assert_eq!((status, kind.as_str()), (StatusCode::BAD_REQUEST, JSON));
    let error: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(error["code"], Code::InvalidArgument as i32);

    let (status, ..) = post(&fixture.server, "text/plain", None, b"hello".to_vec()).await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let (status, ..) = post(&fixture.server, PROTOBUF, Some("br"), b"hello".to_vec()).await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_large_is_told_before_and_after_decompression_and_harms_nobody() {
    let fixture = start(&["--request-bytes-max", "100000", "--decompressed-bytes-max", "1000000"]);
    let server = &fixture.server;
    // Random-looking, so that it does not compress away.
    let mut large = span(1, 1, 0);
    large.name = (0..200_000u64).map(|at| char::from(33 + (at * at / 7 % 90) as u8)).collect();
    let large = request("svc", vec![large]);
    let (status, ..) = post(server, PROTOBUF, None, large.encode_to_vec()).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let error = server.client().await.export(large).await.expect_err("too large");
    assert_eq!(error.code(), Code::ResourceExhausted, "{error:?}");

    let bomb = vec![0u8; 200_000_000];
    for encoding in ["gzip", "zstd", "deflate"] {
        let (status, ..) = post(server, PROTOBUF, Some(encoding), packed(encoding, &bomb)).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{encoding}");
    }
    let mut repetitive = span(1, 1, 0);
    repetitive.name = "x".repeat(2_000_000);
    let mut client = server.client().await.send_compressed(CompressionEncoding::Gzip);
    let error = client.export(request("svc", vec![repetitive])).await.expect_err("too large");
    assert_eq!(error.code(), Code::ResourceExhausted, "{error:?}");

    server.send(request("svc", chain(2, 3))).await;
    assert_eq!(span_count(server, 2).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_real_emitters_send_is_taken() {
    let fixture = start(&[]);
    let server = &fixture.server;
    // pg_tracing: integers as numbers, microseconds, the low half of the trace id as a parent that does not exist.
    let id = "00000000000000000af7651916cd43dd";
    let body = json!({"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "PostgreSQL_Server"}}]},
        "scopeSpans": [{"scope": {"name": "pg_tracing"}, "spans": [
            {"traceId": id, "spanId": "00000000000000a1", "parentSpanId": "0af7651916cd43dd", "name": "SELECT 1", "kind": 2,
             "startTimeUnixNano": 1795464000000001000u64, "endTimeUnixNano": 1795464000000004000u64,
             "attributes": [{"key": "rows", "value": {"intValue": 1}}, {"key": "none", "value": null}], "status": {"code": 0}},
            {"traceId": id, "spanId": "00000000000000A2", "parentSpanId": "00000000000000a1", "name": "Planner", "kind": 1,
             "startTimeUnixNano": "1795464000000003000", "endTimeUnixNano": "1795464000000002000", "droppedEventsCount": 1,
             "attributes": [], "events": null, "unknownField": {"x": [1]}}
        ]}]
    }]});
    let (status, _, answer) = post(server, JSON, None, body.to_string().into_bytes()).await;
    assert_eq!((status, answer.as_slice()), (StatusCode::OK, &b"{}"[..]), "{}", String::from_utf8_lossy(&answer));
    let trace = server.trace(id).await;
    assert_eq!((&trace["complete"], &trace["span_count"]), (&json!(true), &json!(2)), "{trace:#}");
    assert_eq!(trace["root"]["name"], "SELECT 1");
    assert_eq!(trace["spans"][0]["attributes"][1]["value"]["intValue"], "1");
    let planner = &trace["spans"][1];
    assert_eq!((&planner["duration_nano"], &planner["end_unix_nano"]), (&json!("0"), &json!("1795464000000002000")));
    assert!(planner["warnings"].as_array().expect("a list").contains(&json!("end_before_start")), "{planner:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_clocks_and_huge_values_are_kept_and_harmless() {
    let fixture = start(&["--window-spans-max", "4", "--hot-bytes-max", "0"]);
    let server = &fixture.server;
    let mut spans = chain(1, 4);
    spans[1].start_time_unix_nano = 0;
    spans[1].end_time_unix_nano = u64::MAX;
    spans[2].start_time_unix_nano = u64::MAX;
    spans[2].end_time_unix_nano = 0;
    spans[3].attributes =
        (0..200).map(|at| crate::harness::spans::text(&format!("{at}{}", "k".repeat(64)), &"v".repeat(300))).collect();
    server.send(request("svc", spans)).await;
    let before = server.trace(&trace_hex(1)).await;
    server.offloaded(1.0).await;
    eventually("retirement", async || server.metric("spanhold_store_hot_windows").await <= 1.0).await;
    let after = server.trace(&trace_hex(1)).await;
    assert_eq!(before["spans"], after["spans"]);
    assert_eq!(after["span_count"], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn past_a_limit_the_client_is_told_when_to_try_again() {
    // No object store lets a window go, so windows wait until the limit is reached.
    let folder = tempfile::tempdir().expect("a folder");
    let variables = [
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("AWS_ACCESS_KEY_ID", "k"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("AWS_REGION", "us-east-1"),
    ];
    let arguments = ["--cold", "s3://nowhere", "--window-spans-max", "2", "--windows-waiting-max", "2"];
    let server = Server::start_with(folder.path(), &arguments, &variables);
    let mut accepted = 0;
    let refusal = loop {
        match server.client().await.export(request("svc", chain(accepted, 2))).await {
            Ok(_) => accepted += 1,
            Err(refusal) => break refusal,
        }
        assert!(accepted < 100, "nothing is ever refused");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    assert!(accepted >= 2, "{accepted} accepted");
    assert!(matches!(refusal.code(), Code::ResourceExhausted | Code::Unavailable), "{refusal:?}");
    let details = rpc::Status::decode(refusal.details()).expect("google.rpc.Status");
    assert!(details.details.iter().any(|detail| detail.type_url == rpc::RetryInfo::TYPE_URL), "{details:?}");

    let response = reqwest::Client::new()
        .post(format!("{}/v1/traces", server.otlp_http))
        .header("content-type", PROTOBUF)
        .body(request("svc", chain(500, 2)).encode_to_vec())
        .send()
        .await
        .expect("answers");
    assert!(matches!(response.status().as_u16(), 429 | 503), "{response:?}");
    assert!(response.headers().contains_key("retry-after"));
    // What was accepted is there.
    for number in 0..accepted {
        assert_eq!(span_count(&server, number).await, 2);
    }
}
