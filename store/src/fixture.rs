//! Spans, a clock and a store for tests of retention and deletes.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use object_store::memory::InMemory;
use prost::Message;
use proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use proto::otlp::common::v1::any_value::Value as Wire;
use proto::otlp::common::v1::{AnyValue, KeyValue};
use proto::otlp::resource::v1::Resource;
use proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proto::{TraceId, UnixNanos};

use crate::{BlockEntry, Clock, Components, PreparedRequest, Reader, SearchOrder, SearchRequest, Settings, Store};

pub(crate) const SECOND: i64 = 1_000_000_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;
/// When tests begin, Unix nanoseconds.
pub(crate) const EPOCH: i64 = 1_795_464_000 * SECOND;

/// A clock that stands still until it is moved.
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    pub(crate) fn forward(&self, nanos: i64) {
        self.0.fetch_add(nanos, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> UnixNanos {
        UnixNanos::from_i64(self.0.load(Ordering::Relaxed))
    }
}

/// A node and the bucket that it shares with others.
pub(crate) struct Node {
    folder: tempfile::TempDir,
    pub(crate) objects: Arc<InMemory>,
    pub(crate) clock: Arc<TestClock>,
}

impl Node {
    pub(crate) fn new() -> Self {
        Self::over(Arc::new(InMemory::new()))
    }

    pub(crate) fn over(objects: Arc<InMemory>) -> Self {
        let clock = Arc::new(TestClock(AtomicI64::new(EPOCH)));
        Self { folder: tempfile::tempdir().expect("a folder"), objects, clock }
    }

    /// Windows stay open until they are full.
    pub(crate) fn settings(&self) -> Settings {
        let mut settings = Settings::new(self.folder.path().join("hot"));
        settings.window_age_max = Duration::from_secs(3_600);
        settings.manifest_refresh = Duration::from_millis(50);
        // Who tests merges asks for them.
        settings.merge_inputs_min = usize::MAX;
        settings
    }

    /// Each request is a window of its own, and leaves the hot tier when it is offloaded.
    pub(crate) fn cold_settings(&self) -> Settings {
        Settings { window_spans_max: 1, hot_bytes_max: 0, ..self.settings() }
    }

    pub(crate) async fn open(&self, settings: Settings) -> Store {
        let components =
            Components { clock: Arc::clone(&self.clock) as _, ..Components::new(Arc::clone(&self.objects) as _) };
        Store::open(settings, components).await.expect("opens")
    }
}

pub(crate) async fn close(store: Store) {
    store.close(Instant::now() + Duration::from_secs(10)).await;
}

pub(crate) async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    for _ in 0..500 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not happen in time");
}

/// Waits until all windows but the open one are in blocks or gone.
pub(crate) async fn all_cold(reader: &Reader) {
    until("offload", async || {
        reader.shared().progress.catch_up().await;
        let view = reader.shared().views.load();
        view.live.len() == 1 && view.hot.len() == 1 && view.live[0].read().len() == 0
    })
    .await;
}

/// All blocks there are.
pub(crate) fn blocks(reader: &Reader) -> Vec<Arc<BlockEntry>> {
    reader.shared().views.load().manifests.values().flat_map(|manifest| manifest.blocks.clone()).collect()
}

pub(crate) fn trace_id(number: u64) -> TraceId {
    // Spread over the id space, as random ids are.
    let spread = (u128::from(number) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    TraceId::from_bytes(&spread.to_be_bytes()).expect("not zero")
}

pub(crate) fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Wire::StringValue(value.to_owned()))
}

pub(crate) fn attribute(key: &str, value: Wire) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// A root, so many nanoseconds after the tests begin.
pub(crate) fn root(trace: u64, name: &str, start: i64, duration: i64) -> Span {
    let start = (EPOCH + start) as u64;
    Span {
        trace_id: trace_id(trace).as_bytes().to_vec(),
        span_id: vec![1; 8],
        name: name.to_owned(),
        start_time_unix_nano: start,
        end_time_unix_nano: start + duration as u64,
        ..Span::default()
    }
}

/// A health check of an instance.
pub(crate) fn check(trace: u64, instance: &str, start: i64) -> Span {
    Span { attributes: vec![text("dbaas.instance.id", instance)], ..root(trace, "HealthCheck", start, 5_000_000) }
}

pub(crate) fn failed(span: Span) -> Span {
    Span { status: Some(Status { code: 2, message: String::new() }), ..span }
}

pub(crate) fn request(service: &str, spans: Vec<Span>) -> PreparedRequest {
    let resource = Resource {
        attributes: vec![text("service.name", service), text("deployment.environment.name", "test")],
        ..Resource::default()
    };
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() }];
    let all = ExportTraceServiceRequest { resource_spans };
    let (checked, rejected) = proto::check::check(all.encode_to_vec()).expect("valid");
    assert!(rejected.is_empty(), "{rejected:?}");
    PreparedRequest::new(checked).expect("compresses")
}

pub(crate) async fn append(store: &Store, spans: Vec<Span>) {
    store.writer().append(request("agent", spans)).await.expect("kept");
}

pub(crate) fn any_time() -> SearchRequest {
    SearchRequest {
        start: UnixNanos::ZERO,
        end: UnixNanos::MAX,
        service: None,
        name: None,
        error: None,
        span_duration_min_nanos: None,
        trace_duration_min_nanos: None,
        root_only: false,
        order: SearchOrder::Newest,
        limit: 100_000,
    }
}
