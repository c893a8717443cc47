//! The API over a real store, without a socket: requests go into the router, answers come out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::{ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, Request, StatusCode};
use object_store::memory::InMemory;
use prometheus_client::registry::Registry;
use prost::Message;
use proto::UnixNanos;
use proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use spanhold_query::{Limits, Metrics, routes};
use store::{Clock, Components, PreparedRequest, Settings, Store, SystemClock};
use tower::ServiceExt;

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
const ROOT_ID: [u8; 8] = [1; 8];

/// A store with one trace of two spans in it, and the API over it.
struct Fixture {
    store: Store,
    router: Router,
    registry: Registry,
    _folder: tempfile::TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let components = Components { clock: Arc::clone(&clock), ..Components::new(Arc::new(InMemory::new())) };
        let store = Store::open(Settings::new(folder.path().join("hot")), components).await.expect("the store opens");
        let (batch, rejected) = proto::check::check(two_spans(clock.now()).encode_to_vec()).expect("valid OTLP");
        assert!(rejected.is_empty());
        store.writer().append(PreparedRequest::new(batch).expect("compresses")).await.expect("the store takes it");

        let metrics = Metrics::default();
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let router = routes(store.reader(), clock, Limits::default(), metrics);
        Self { store, router, registry, _folder: folder }
    }

    async fn ask(&self, path: &str, headers: &[(HeaderName, &str)]) -> Answer {
        self.send("GET", path, headers).await
    }

    async fn send(&self, method: &str, path: &str, headers: &[(HeaderName, &str)]) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let request = request.body(Body::empty()).expect("a valid request");
        let response = self.router.clone().oneshot(request).await.expect("the router never fails");
        let (status, headers) = (response.status(), response.headers().clone());
        let body = to_bytes(response.into_body(), usize::MAX).await.expect("a whole body").to_vec();
        Answer { status, headers, body }
    }

    async fn close(self) {
        self.store.close(Instant::now() + Duration::from_secs(5)).await;
    }
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn content_type(&self) -> &str {
        self.headers[CONTENT_TYPE].to_str().expect("text")
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// The detail of a problem, after a look at its form.
    fn problem(&self, status: StatusCode) -> String {
        let problem = self.json();
        assert_eq!((self.status, self.content_type()), (status, "application/problem+json"), "{problem}");
        assert_eq!(problem["status"], status.as_u16());
        assert_eq!(problem["type"], "about:blank");
        assert_eq!(problem["title"].as_str(), status.canonical_reason());
        problem["detail"].as_str().expect("a detail").to_owned()
    }
}

fn two_spans(now: UnixNanos) -> ExportTraceServiceRequest {
    let start = now.as_u64() - 60_000_000_000;
    let trace_id = TRACE_ID.parse::<proto::TraceId>().expect("a valid id").as_bytes().to_vec();
    let root = Span {
        trace_id: trace_id.clone(),
        span_id: ROOT_ID.to_vec(),
        name: "Backup".to_owned(),
        start_time_unix_nano: start,
        end_time_unix_nano: start + 2_000_000,
        ..Span::default()
    };
    let child = Span {
        trace_id,
        span_id: vec![2; 8],
        parent_span_id: ROOT_ID.to_vec(),
        name: "Upload".to_owned(),
        start_time_unix_nano: start + 500_000,
        end_time_unix_nano: start + 1_000_000,
        ..Span::default()
    };
    let scope_spans = ScopeSpans { spans: vec![root, child], ..ScopeSpans::default() };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { scope_spans: vec![scope_spans], ..ResourceSpans::default() }],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_in_every_form() {
    let fixture = Fixture::new().await;

    let json = fixture.ask(&format!("/api/v1/traces/{TRACE_ID}"), &[]).await;
    assert_eq!((json.status, json.content_type()), (StatusCode::OK, "application/json"));
    let trace = json.json();
    assert_eq!((&trace["span_count"], &trace["complete"]), (&2.into(), &true.into()));
    assert_eq!(trace["spans"][0]["self_time_nano"], "1500000");
    assert_eq!(trace["spans"][1]["name"], "Upload");

    let uuid = fixture.ask("/api/v1/traces/0AF76519-16cd-43dd-8448-eb211c80319c", &[]).await;
    assert_eq!(uuid.body, json.body);

    let tree = fixture.ask(&format!("/api/v1/traces/{TRACE_ID}?format=tree"), &[]).await;
    assert_eq!(tree.content_type(), "text/plain; charset=utf-8");
    let text = String::from_utf8(tree.body).expect("UTF-8");
    assert!(text.contains("2.00 ms   1.50 ms  unknown_service  Backup\n"), "{text}");
    assert!(text.contains("500 µs    500 µs  unknown_service  └─ Upload\n"), "{text}");

    let otlp_path = format!("/api/v1/traces/{TRACE_ID}/otlp");
    let otlp_json = fixture.ask(&otlp_path, &[]).await;
    assert_eq!(otlp_json.content_type(), "application/json");
    let from_json: TracesData = serde_json::from_slice(&otlp_json.body).expect("OTLP/JSON");
    let protobuf = fixture.ask(&otlp_path, &[(ACCEPT, "application/x-protobuf")]).await;
    assert_eq!(protobuf.content_type(), "application/x-protobuf");
    assert_eq!(TracesData::decode(protobuf.body.as_slice()).expect("protobuf"), from_json);
    assert_eq!(from_json.resource_spans[0].scope_spans[0].spans.len(), 2);
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn search_and_services() {
    let fixture = Fixture::new().await;
    // A span is searchable within a second of its answer.
    let deadline = Instant::now() + Duration::from_secs(5);
    let found = loop {
        let found = fixture.ask("/api/v1/search?start=now-5m&operation=Upload", &[]).await.json();
        if found["total"] == 1 || Instant::now() > deadline {
            break found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(found["total"], 1, "{found}");
    assert_eq!(found["traces"][0]["trace_id"], TRACE_ID);
    assert_eq!(found["traces"][0]["root"]["name"], "Backup");
    assert_eq!(found["traces"][0]["duration_nano"], "2000000");
    assert_eq!(fixture.ask("/api/v1/search?end=now-5m", &[]).await.json()["total"], 0);

    let services = fixture.ask("/api/v1/services", &[]).await.json();
    assert_eq!(services["services"][0]["name"], "unknown_service");
    assert_eq!(services["services"][0]["span_count"], 2);
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failure_is_a_problem() {
    let fixture = Fixture::new().await;
    let cases = [
        ("/api/v1/traces/ffffffffffffffffffffffffffffffff", 404, "no span of trace ffffffffffffffffffffffffffffffff"),
        ("/api/v1/traces/ffffffffffffffffffffffffffffffff/otlp", 404, "is kept"),
        ("/api/v1/traces/abc", 400, "`abc` is no trace id"),
        ("/api/v1/traces/00000000000000000000000000000000", 400, "all zero"),
        ("/api/v1/traces/%ff", 400, ""),
        ("/api/v1/traces/0af7651916cd43dd8448eb211c80319c?format=svg", 400, "`svg` is none of: json, tree"),
        ("/api/v1/search?servise=api", 400, "`servise` is unknown"),
        ("/api/v1/search?service=%ff%fe&colour=red", 400, "`colour` is unknown"),
        ("/api/v1/services?limit=1", 400, "`limit` is unknown: this path takes none"),
        ("/api/v1/nothing", 404, "no such path"),
    ];
    for (path, status, detail) in cases {
        let answer = fixture.ask(path, &[]).await;
        let got = answer.problem(StatusCode::from_u16(status).expect("a status"));
        assert!(got.contains(detail), "{path}: {got}");
    }
    let answer = fixture.send("POST", "/api/v1/search", &[]).await;
    assert!(answer.problem(StatusCode::METHOD_NOT_ALLOWED).contains("GET"));
    assert_eq!(answer.headers[ALLOW], "GET,HEAD");
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_compressed_when_asked_and_counted() {
    let fixture = Fixture::new().await;
    let path = format!("/api/v1/traces/{TRACE_ID}");
    for encoding in ["gzip", "zstd"] {
        let answer = fixture.ask(&path, &[(ACCEPT_ENCODING, encoding)]).await;
        assert_eq!(answer.headers[CONTENT_ENCODING], encoding);
    }
    assert!(!fixture.ask(&path, &[]).await.headers.contains_key(CONTENT_ENCODING));
    fixture.ask("/api/v1/search?x=1", &[]).await;

    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &fixture.registry).expect("memory takes everything");
    for line in [
        r#"spanhold_query_requests_total{route="/api/v1/traces/{trace_id}",status="200"} 3"#,
        r#"spanhold_query_requests_total{route="/api/v1/search",status="400"} 1"#,
        r#"spanhold_query_duration_seconds_count{route="/api/v1/traces/{trace_id}"} 3"#,
        "spanhold_query_requests_in_flight 0",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    fixture.close().await;
}
