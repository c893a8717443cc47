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
        let router = routes(store.reader(), store.deleter(), clock, Limits::default(), metrics);
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
async fn operations_are_counted_and_measured() {
    let fixture = Fixture::new().await;
    let roots = fixture.ask("/api/v1/operations?start=now-5m", &[]).await;
    assert_eq!((roots.status, roots.content_type()), (StatusCode::OK, "application/json"));
    let roots = roots.json();
    assert_eq!((&roots["total"], &roots["relative_error"]), (&1.into(), &0.01.into()), "{roots}");
    let backup = &roots["operations"][0];
    assert_eq!((&backup["service"], &backup["name"]), (&"unknown_service".into(), &"Backup".into()));
    assert_eq!((&backup["span_count"], &backup["error_count"]), (&1.into(), &0.into()));
    for field in ["total_time_nano", "min_nano", "p50_nano", "p99_nano", "max_nano"] {
        assert_eq!(backup[field], "2000000", "{field}");
    }
    assert_eq!(backup["exemplar_trace_id"], TRACE_ID);
    // Six minutes at the most, as the range is taken to whole ones.
    let rate = backup["spans_per_second"].as_f64().expect("a number");
    assert!((1.0 / 361.0..1.0 / 299.0).contains(&rate), "{rate}");
    let nanos = |name: &str| roots[name].as_str().and_then(|text| text.parse::<i64>().ok()).expect("nanoseconds");
    assert_eq!((nanos("start_unix_nano") % 60_000_000_000, nanos("resolution_nano")), (0, 60_000_000_000));
    assert!(nanos("as_of_unix_nano") <= nanos("end_unix_nano"));

    let all = fixture.ask("/api/v1/operations?start=now-5m&root=false", &[]).await.json();
    let names: Vec<_> = (0..2).map(|at| all["operations"][at]["name"].as_str()).collect();
    assert_eq!(names, [Some("Backup"), Some("Upload")]);
    let one = fixture.ask("/api/v1/operations?start=now-5m&root=false&limit=1", &[]).await.json();
    assert_eq!((one["total"].as_u64(), one["operations"].as_array().map(Vec::len)), (Some(2), Some(1)));
    for (query, total) in [("&service=nobody", 0), ("&root=false&operation=Upload", 1), ("&operation=Upload", 0)] {
        let found = fixture.ask(&format!("/api/v1/operations?start=now-5m{query}"), &[]).await.json();
        assert_eq!(found["total"], total, "{query}");
    }
    assert_eq!(fixture.ask("/api/v1/operations?end=now-10m", &[]).await.json()["total"], 0);
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
        ("/api/v1/operations?class=lunch", 400, "`lunch` is no operation class"),
        ("/api/v1/inspect?block=x", 400, "`x` is no block id"),
        ("/api/v1/inspect?block=01ARZ3NDEKTSV4RRFFQ69G5FAV", 404, "no block 01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        ("/api/v1/nothing", 404, "no such path"),
    ];
    for (path, status, detail) in cases {
        let answer = fixture.ask(path, &[]).await;
        let got = answer.problem(StatusCode::from_u16(status).expect("a status"));
        assert!(got.contains(detail), "{path}: {got}");
    }
    for (path, allowed, told) in [
        ("/api/v1/search", "GET,HEAD", "GET and HEAD only"),
        ("/api/v1/traces", "DELETE", "DELETE only"),
        ("/api/v1/traces/0af7651916cd43dd8448eb211c80319c", "GET,HEAD,DELETE", "GET, HEAD and DELETE only"),
    ] {
        let answer = fixture.send("POST", path, &[]).await;
        let detail = answer.problem(StatusCode::METHOD_NOT_ALLOWED);
        assert!(detail.contains(told), "{path}: {detail}");
        assert_eq!(answer.headers[ALLOW], allowed, "{path}");
    }
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_is_deleted_by_its_id() {
    let fixture = Fixture::new().await;
    let path = format!("/api/v1/traces/{TRACE_ID}");
    let dry = fixture.send("DELETE", &format!("{path}?dry_run=true"), &[]).await;
    assert_eq!((dry.status, &dry.json()["traces"], &dry.json()["dry_run"]), (StatusCode::OK, &1.into(), &true.into()));
    assert_eq!(fixture.ask(&path, &[]).await.status, StatusCode::OK);

    let done = fixture.send("DELETE", &path, &[]).await.json();
    assert_eq!((&done["traces"], &done["dry_run"]), (&1.into(), &false.into()));
    assert_eq!(done["trace_ids"], serde_json::json!([TRACE_ID]));
    let gone = fixture.ask(&path, &[]).await;
    assert!(gone.problem(StatusCode::NOT_FOUND).contains("is kept"));
    let again = fixture.send("DELETE", &path, &[]).await;
    assert!(again.problem(StatusCode::NOT_FOUND).contains("is kept"));
    let wrong = fixture.send("DELETE", &format!("{path}?format=tree"), &[]).await;
    assert!(wrong.problem(StatusCode::BAD_REQUEST).contains("this path takes dry_run"));
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_are_deleted_by_what_a_search_finds() {
    let fixture = Fixture::new().await;
    let start = fixture.send("DELETE", "/api/v1/traces?operation=Upload", &[]).await;
    assert!(start.problem(StatusCode::BAD_REQUEST).contains("`start` is missing"));
    let limit = fixture.send("DELETE", "/api/v1/traces?start=now-5m&limit=1", &[]).await;
    assert!(limit.problem(StatusCode::BAD_REQUEST).contains("`limit` is unknown"));
    let none = fixture.send("DELETE", "/api/v1/traces?start=now-5m&operation=Restore", &[]).await;
    assert_eq!((none.status, &none.json()["traces"]), (StatusCode::OK, &0.into()));
    let dry = fixture.send("DELETE", "/api/v1/traces?start=now-5m&operation=Upload&dry_run=true", &[]).await.json();
    assert_eq!((&dry["traces"], &dry["trace_ids"][0]), (&1.into(), &TRACE_ID.into()));
    assert_eq!(fixture.ask("/api/v1/search?start=now-5m", &[]).await.json()["total"], 1);

    let done = fixture.send("DELETE", "/api/v1/traces?start=now-5m&operation=Upload", &[]).await.json();
    assert_eq!((&done["traces"], &done["dry_run"]), (&1.into(), &false.into()));
    assert_eq!(fixture.ask("/api/v1/search?start=now-5m", &[]).await.json()["total"], 0);
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_one_delete_takes_is_refused() {
    let fixture = Fixture::new().await;
    let start = SystemClock.now().as_u64() - 60_000_000_000;
    let span = |number: u128| Span {
        trace_id: number.to_be_bytes().to_vec(),
        span_id: ROOT_ID.to_vec(),
        name: "HealthCheck".to_owned(),
        start_time_unix_nano: start,
        end_time_unix_nano: start + 1,
        ..Span::default()
    };
    let scope_spans = ScopeSpans { spans: (1..=1_001).map(span).collect(), ..ScopeSpans::default() };
    let resource_spans = vec![ResourceSpans { scope_spans: vec![scope_spans], ..ResourceSpans::default() }];
    let request = ExportTraceServiceRequest { resource_spans };
    let (batch, _) = proto::check::check(request.encode_to_vec()).expect("valid OTLP");
    fixture.store.writer().append(PreparedRequest::new(batch).expect("compresses")).await.expect("the store takes it");
    let all = "/api/v1/traces?start=now-5m&operation=HealthCheck";
    for path in [all.to_owned(), format!("{all}&dry_run=true")] {
        let refused = fixture.send("DELETE", &path, &[]).await;
        let detail = refused.problem(StatusCode::BAD_REQUEST);
        assert!(detail.contains("1001 traces match") && detail.contains("narrow"), "{detail}");
    }
    assert_eq!(fixture.ask("/api/v1/search?start=now-5m", &[]).await.json()["total"], 1_002);
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rules_in_force_and_what_they_would_do() {
    let fixture = Fixture::new().await;
    let rules = fixture.ask("/api/v1/retention", &[]).await.json();
    assert_eq!(rules["hold_nano"], "600000000000");
    assert_eq!(rules["rules"][0]["name"], "health-checks");
    let explanation = rules["rules"][0]["explanation"].as_str().expect("text");
    assert!(explanation.starts_with("health-checks: class health_check"), "{explanation}");
    assert_eq!((&rules["rules"][0]["dropped_spans"], &rules["rules"][1]["kept_bytes"]), (&0.into(), &0.into()));

    let run = fixture.ask("/api/v1/retention/dry-run", &[]).await.json();
    assert_eq!((&run["hours"], &run["blocks"], &run["blocks_left_out"]), (&24.into(), &0.into(), &0.into()));
    assert_eq!(run["rules"][1]["name"], "everything-else");
    let far = fixture.ask("/api/v1/retention/dry-run?hours=721", &[]).await;
    assert!(far.problem(StatusCode::BAD_REQUEST).contains("from 1 to 720"));
    let other = fixture.ask("/api/v1/retention?hours=1", &[]).await;
    assert!(other.problem(StatusCode::BAD_REQUEST).contains("this path takes none"));
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
