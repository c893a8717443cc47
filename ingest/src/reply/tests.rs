use http::header::HeaderName;
use proto::Rejections;

use super::*;

fn rejections(reasons: &[&str]) -> Rejections {
    let mut rejections = Rejections::default();
    for reason in reasons {
        rejections.add((*reason).to_owned());
    }
    rejections
}

fn overloaded() -> Refusal {
    store::Overload::full(store::Pressure::new(store::Limit::HotBytes, 3, 2)).into()
}

fn too_large() -> Refusal {
    Refusal::TooLarge { stage: "as sent", setting: "request_bytes_max", limit: 10 }
}

fn unavailable() -> Refusal {
    Refusal::Unavailable { message: "closing".to_owned(), retry_after: Duration::from_secs(5) }
}

fn broken() -> Refusal {
    Refusal::Broken { retry_after: Duration::from_secs(20) }
}

fn header<'a>(reply: &'a Response<Body>, name: &'static str) -> Option<&'a str> {
    reply.headers().get(HeaderName::from_static(name)).map(|value| value.to_str().expect("ASCII"))
}

async fn bytes(reply: Response<Body>) -> Vec<u8> {
    reply.into_body().collect().await.expect("a body").to_bytes().to_vec()
}

/// What clients do with each refusal is decided by these three columns.
#[test]
fn codes_and_retries() {
    let text = || "x".to_owned();
    let table: [(Refusal, Code, u16, bool); 13] = [
        (Refusal::Undecodable(text()), Code::InvalidArgument, 400, false),
        (too_large(), Code::ResourceExhausted, 413, false),
        (Refusal::UnsupportedType(text()), Code::InvalidArgument, 415, false),
        (Refusal::UnsupportedEncoding(text()), Code::Unimplemented, 415, false),
        (Refusal::UnsupportedMethod(text()), Code::Unimplemented, 405, false),
        (Refusal::UnknownPath, Code::Unimplemented, 404, false),
        (Refusal::Protocol("x"), Code::Internal, 400, false),
        (Refusal::Slow(Duration::from_secs(1)), Code::DeadlineExceeded, 408, false),
        (Refusal::Interrupted(text()), Code::Cancelled, 400, false),
        (overloaded(), Code::ResourceExhausted, 429, true),
        (unavailable(), Code::Unavailable, 503, true),
        (broken(), Code::Unavailable, 503, true),
        (Refusal::Crashed, Code::Internal, 500, false),
    ];
    for (refusal, grpc, http, hint) in table {
        assert_eq!(code(&refusal), grpc, "{refusal:?}");
        assert_eq!(http_status(&refusal).as_u16(), http, "{refusal:?}");
        assert_eq!(http_refused(None, &refusal).headers().contains_key(RETRY_AFTER), hint, "{refusal:?}");
        let has_retry_info = status(&refusal).details.iter().any(|detail| detail.type_url == RetryInfo::TYPE_URL);
        assert_eq!(has_retry_info, hint, "{refusal:?}");
    }
}

#[test]
fn grpc_details_carry_the_retry_delay() {
    let reply = grpc_refused(&overloaded());
    assert_eq!(header(&reply, "grpc-status"), Some("8"));
    let status = tonic::Status::from_header_map(reply.headers()).expect("a status");
    let details = Status::decode(status.details()).expect("google.rpc.Status");
    assert_eq!(details.code, 8);
    assert_eq!(details.message, overloaded().to_string());
    let info = RetryInfo::decode(details.details[0].value.as_slice()).expect("RetryInfo");
    assert_eq!(info.retry_delay, Some(proto::rpc::Duration { seconds: 5, nanos: 0 }));
}

#[test]
fn an_unknown_encoding_is_answered_with_the_known_ones() {
    let reply = grpc_refused(&Refusal::UnsupportedEncoding("snappy".to_owned()));
    assert_eq!(header(&reply, "grpc-status"), Some("12"));
    assert_eq!(header(&reply, "grpc-accept-encoding"), Some("identity,gzip,zstd,deflate"));
}

#[tokio::test]
async fn errors_speak_the_format_of_the_request() {
    let refusal = Refusal::Undecodable("bad tag".to_owned());
    let message = "the request does not decode: bad tag";

    let protobuf = http_refused(Some(Format::Protobuf), &refusal);
    assert_eq!(header(&protobuf, "content-type"), Some("application/x-protobuf"));
    let status = Status::decode(bytes(protobuf).await.as_slice()).expect("google.rpc.Status");
    assert_eq!((status.code, status.message.as_str()), (3, message));
    let bad_request = BadRequest::decode(status.details[0].value.as_slice()).expect("BadRequest");
    assert_eq!(bad_request.field_violations[0].description, message);

    let json = http_refused(Some(Format::Json), &refusal);
    assert_eq!(header(&json, "content-type"), Some("application/json"));
    let status: serde_json::Value = serde_json::from_slice(&bytes(json).await).expect("JSON");
    assert_eq!(
        status,
        json!({"code": 3, "message": message, "details": [{
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"description": message}],
        }]})
    );
}

#[tokio::test]
async fn http_retry_hints() {
    let unavailable = Refusal::Unavailable { message: "closing".to_owned(), retry_after: Duration::from_millis(1_500) };
    let reply = http_refused(Some(Format::Json), &unavailable);
    assert_eq!(header(&reply, "retry-after"), Some("2"));
    let status: serde_json::Value = serde_json::from_slice(&bytes(reply).await).expect("JSON");
    assert_eq!(status["details"][0]["@type"], "type.googleapis.com/google.rpc.RetryInfo");
    assert_eq!(status["details"][0]["retryDelay"], "1.5s");
    assert_eq!(whole_seconds(Duration::ZERO), 1);
    assert_eq!(whole_seconds(Duration::from_secs(3)), 3);
}

#[tokio::test]
async fn success_leaves_partial_success_unset() {
    let accepted = Accepted { span_count: 3, rejections: Rejections::default() };
    assert!(bytes(http_accepted(Format::Protobuf, &accepted)).await.is_empty());
    assert_eq!(bytes(http_accepted(Format::Json, &accepted)).await, b"{}");
    assert_eq!(bytes(grpc_accepted(&accepted)).await, [0, 0, 0, 0, 0]);
}

#[tokio::test]
async fn partial_success_counts_and_names_the_reasons() {
    let reasons = ["span id is all zero", "trace id must be 16 bytes", "span id is all zero"];
    let accepted = Accepted { span_count: 7, rejections: rejections(&reasons) };
    let message = "3 of 10 spans rejected: span id is all zero (2), trace id must be 16 bytes (1)";

    let protobuf = bytes(http_accepted(Format::Protobuf, &accepted)).await;
    let partial = ExportTraceServiceResponse::decode(protobuf.as_slice()).expect("a response").partial_success;
    let expected = ExportTracePartialSuccess { rejected_spans: 3, error_message: message.to_owned() };
    assert_eq!(partial, Some(expected));

    let json: serde_json::Value =
        serde_json::from_slice(&bytes(http_accepted(Format::Json, &accepted)).await).expect("JSON");
    assert_eq!(json, json!({"partialSuccess": {"rejectedSpans": "3", "errorMessage": message}}));
}

#[test]
fn messages_stay_short() {
    let reasons: Vec<String> = (0..9).map(|number| format!("reason {number}")).collect();
    let reasons: Vec<&str> = reasons.iter().map(String::as_str).collect();
    let many = explain(&Accepted { span_count: 0, rejections: rejections(&reasons) });
    assert!(many.starts_with("9 of 9 spans rejected: reason 0 (1), "), "{many}");
    assert!(many.ends_with("reason 4 (1), and 4 other reasons"), "{many}");

    let long = "ü".repeat(2_000);
    let capped = explain(&Accepted { span_count: 0, rejections: rejections(&[&long]) });
    assert!(capped.len() <= MESSAGE_BYTES_MAX + '…'.len_utf8());
    assert!(capped.ends_with("ü…"));
}
