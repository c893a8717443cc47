use std::sync::Arc;
use std::time::{Duration, Instant};

use model::Span as ModelSpan;
use object_store::memory::InMemory;
use prost::Message;
use proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use proto::otlp::common::v1::any_value::Value as Wire;
use proto::otlp::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue as WireKeyValue, KeyValueList};
use proto::otlp::resource::v1::Resource as WireResource;
use proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span};
use proto::{TraceId, UnixNanos};

use super::*;

mod rollups;
use crate::{Components, PreparedRequest, Settings, Store};

mod spilled;
mod steps;

pub(crate) fn attribute(key: &str, value: Wire) -> WireKeyValue {
    WireKeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..WireKeyValue::default() }
}

pub(crate) fn text(text: &str) -> Wire {
    Wire::StringValue(text.to_owned())
}

pub(crate) fn trace_id(number: u64) -> TraceId {
    // Spread over the id space, as random ids are.
    let spread = (u128::from(number) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    TraceId::from_bytes(&spread.to_be_bytes()).expect("not zero")
}

pub(crate) fn plain_span(trace: u64, span_id: u8, parent: u8, start: u64, duration: u64) -> Span {
    Span {
        trace_id: trace_id(trace).as_bytes().to_vec(),
        span_id: vec![span_id; 8],
        parent_span_id: if parent == 0 { Vec::new() } else { vec![parent; 8] },
        name: format!("op {span_id}"),
        start_time_unix_nano: start,
        end_time_unix_nano: start + duration,
        ..Span::default()
    }
}

/// A span that uses everything OTLP has.
pub(crate) fn rich_span(trace: u64) -> Span {
    let map = KeyValueList { values: vec![attribute("$odd", text("x")), attribute("n", Wire::IntValue(3))] };
    let list = ArrayValue { values: vec![AnyValue { value: Some(text("a")) }, AnyValue { value: None }] };
    Span {
        trace_state: "k=v".into(),
        flags: 0x101,
        kind: 3,
        attributes: vec![
            attribute("db.system.name", text("postgresql")),
            attribute("rows", Wire::IntValue(-7)),
            attribute("ratio", Wire::DoubleValue(0.1)),
            attribute("nan", Wire::DoubleValue(f64::INFINITY)),
            attribute("cached", Wire::BoolValue(true)),
            attribute("raw", Wire::BytesValue(vec![0, 255])),
            attribute("list", Wire::ArrayValue(list)),
            attribute("map", Wire::KvlistValue(map)),
            attribute("twice", text("first")),
            attribute("twice", text("second")),
            attribute("mixed", Wire::IntValue(1)),
        ],
        dropped_attributes_count: 1,
        events: vec![
            span::Event { time_unix_nano: 5, name: "first".into(), ..span::Event::default() },
            span::Event {
                time_unix_nano: u64::MAX,
                name: "exception".into(),
                attributes: vec![attribute("exception.message", text("boom \"quoted\""))],
                dropped_attributes_count: 2,
            },
        ],
        dropped_events_count: 3,
        links: vec![span::Link {
            trace_id: vec![9; 16],
            span_id: vec![1, 2],
            trace_state: "l=1".into(),
            attributes: vec![attribute("why", Wire::BytesValue(vec![1]))],
            dropped_attributes_count: 4,
            flags: 1,
        }],
        dropped_links_count: 5,
        status: Some(Status { code: 2, message: "failed".into() }),
        ..plain_span(trace, 7, 9, 1_000_000, 500)
    }
}

pub(crate) fn request(service: &str, spans: Vec<Span>) -> PreparedRequest {
    let resource = WireResource {
        attributes: vec![attribute("service.name", text(service)), attribute("host.cpu", Wire::IntValue(4))],
        dropped_attributes_count: 6,
        ..WireResource::default()
    };
    let scope = InstrumentationScope { name: "lib".into(), version: "1.2".into(), ..InstrumentationScope::default() };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, schema_url: "https://scope".into() }];
    let all = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans,
            schema_url: "https://resource".into(),
        }],
    };
    let (checked, rejected) = proto::check::check(all.encode_to_vec()).expect("valid");
    assert!(rejected.is_empty(), "{rejected:?}");
    PreparedRequest::new(checked).expect("compresses")
}

pub(crate) struct Fixture {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) objects: Arc<InMemory>,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), objects: Arc::new(InMemory::new()) }
    }

    pub(crate) fn settings(&self) -> Settings {
        let mut settings = Settings::new(self.folder.path().join("hot"));
        settings.window_age_max = Duration::from_secs(3600);
        // These tests count blocks.
        settings.merge_inputs_min = usize::MAX;
        settings
    }

    pub(crate) async fn open(&self, settings: Settings) -> Store {
        Store::open(settings, Components::new(Arc::clone(&self.objects) as _)).await.expect("opens")
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
        limit: 1000,
    }
}

pub(crate) async fn offloaded(reader: &Reader, blocks: usize) {
    until("offload", async || {
        let view = reader.shared.views.load();
        super::blocks(&view).count() == blocks && view.live.len() == 1
    })
    .await;
}

pub(crate) fn no_hot(mut settings: Settings) -> Settings {
    settings.hot_bytes_max = 0;
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn a_span_is_the_same_hot_cold_and_recovered() {
    let fixture = Fixture::new();
    let store = fixture.open(fixture.settings()).await;
    // Enough others that the rich span's keys are rare, and some are frequent.
    for number in 0..20 {
        let spans = (0..50).map(|at| {
            let mut span = plain_span(1_000 + number * 50 + at, 1, 0, 1_000 + at, 10);
            span.attributes = vec![attribute("db.system.name", text("mysql")), attribute("mixed", text("word"))];
            span
        });
        store.writer().append(request("other", spans.collect())).await.expect("kept");
    }
    store
        .writer()
        .append(request("control-api", vec![rich_span(1), plain_span(1, 9, 0, 900_000, 2_000_000)]))
        .await
        .expect("kept");
    let hot = store.reader().trace(trace_id(1)).await.expect("readable");
    assert_eq!(hot.len(), 2);
    assert_eq!((hot[1].name.as_str(), hot[1].service(), hot[1].attributes.len()), ("op 7", "control-api", 11));
    close(store).await;

    let mut settings = no_hot(fixture.settings());
    settings.window_spans_max = 1;
    let store = fixture.open(settings).await;
    let recovered = store.reader().trace(trace_id(1)).await.expect("readable");
    offloaded(&store.reader(), 1).await;
    until("retirement", async || store.reader().shared.views.load().hot.len() == 1).await;
    let cold = store.reader().trace(trace_id(1)).await.expect("readable");
    // As text, because NaN-safe, and because Arcs are compared by content.
    assert_eq!(format!("{hot:#?}"), format!("{recovered:#?}"));
    assert_eq!(format!("{hot:#?}"), format!("{cold:#?}"));
    let services = store.reader().services().await.expect("readable");
    let counts: Vec<_> =
        services.iter().map(|service| (service.name.as_str(), service.span_count, service.error_count)).collect();
    assert_eq!(counts, [("control-api", 2, 1), ("other", 1000, 0)]);
    close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_is_seen_exactly_once_while_it_moves() {
    let fixture = Fixture::new();
    let mut settings = no_hot(fixture.settings());
    settings.window_spans_max = 200;
    settings.windows_waiting_max = 1_000;
    let store = fixture.open(settings).await;
    let (writer, reader) = (store.writer(), store.reader());
    let written = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let total = 300u64;
    let writing = tokio::spawn({
        let written = Arc::clone(&written);
        async move {
            for number in 0..total {
                let spans = (1..=10).map(|span| plain_span(number, span, span - 1, 1_000 + number, 100)).collect();
                writer.append(request("svc", spans)).await.expect("kept");
                written.store(number + 1, std::sync::atomic::Ordering::SeqCst);
            }
        }
    });
    let mut looks = 0;
    while written.load(std::sync::atomic::Ordering::SeqCst) < total || looks < 50 {
        let acknowledged = written.load(std::sync::atomic::Ordering::SeqCst);
        for number in [0, acknowledged / 2, acknowledged.saturating_sub(1)] {
            if acknowledged > 0 {
                let spans = reader.trace(trace_id(number)).await.expect("readable");
                assert_eq!(spans.len(), 10, "trace {number} of {acknowledged}");
            }
        }
        let found = reader.search(&any_time()).await.expect("readable");
        assert!(found.total <= total as usize);
        for summary in &found.traces {
            assert!(summary.span_count <= 10, "{} spans", summary.span_count);
        }
        looks += 1;
    }
    writing.await.expect("no panic");
    until("visibility", async || reader.search(&any_time()).await.expect("readable").total == total as usize).await;
    let found = reader.search(&any_time()).await.expect("readable");
    assert!(found.traces.iter().all(|summary| summary.span_count == 10));
    assert!(found.traces.is_sorted_by_key(|summary| std::cmp::Reverse(summary.start)));
    assert!(super::blocks(&reader.shared.views.load()).count() >= 10, "windows moved meanwhile");
    close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_sends_of_a_span_the_later_end_counts() {
    let fixture = Fixture::new();
    let mut settings = no_hot(fixture.settings());
    settings.window_spans_max = 2;
    let store = fixture.open(settings).await;
    let (writer, reader) = (store.writer(), store.reader());
    let check = async |ends: u64| {
        let spans = reader.trace(trace_id(1)).await.expect("readable");
        let span: [ModelSpan; 1] = spans.try_into().expect("one span");
        assert_eq!(span[0].end.as_u64(), ends);
        until("visibility", async || reader.search(&any_time()).await.expect("readable").total == 1).await;
        let found = reader.search(&any_time()).await.expect("readable");
        assert_eq!((found.traces[0].span_count, found.traces[0].error_count), (1, 0));
    };
    writer.append(request("a", vec![plain_span(1, 1, 0, 100, 50)])).await.expect("kept");
    check(150).await;
    // Twice in one window, then again in another.
    writer.append(request("a", vec![plain_span(1, 1, 0, 100, 90)])).await.expect("kept");
    offloaded(&reader, 1).await;
    check(190).await;
    writer.append(request("a", vec![plain_span(1, 1, 0, 100, 70)])).await.expect("kept");
    check(190).await;
    writer.append(request("a", vec![plain_span(1, 1, 0, 100, 95)])).await.expect("kept");
    offloaded(&reader, 2).await;
    check(195).await;
    close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn search_orders_exactly_over_windows_and_blocks() {
    const SECOND: u64 = 1_000_000_000;
    let fixture = Fixture::new();
    let mut settings = no_hot(fixture.settings());
    settings.window_spans_max = 3;
    let store = fixture.open(settings).await;
    let (writer, reader) = (store.writer(), store.reader());
    let mut failing = plain_span(4, 2, 1, 350 * SECOND, SECOND);
    failing.status = Some(Status { code: 2, message: String::new() });
    // Trace 1 begins in the first block, long before its later span in the second one.
    for (service, spans) in [
        (
            "a",
            vec![
                plain_span(1, 1, 0, 10 * SECOND, SECOND),
                plain_span(2, 1, 0, 20 * SECOND, SECOND),
                plain_span(3, 1, 0, 30 * SECOND, 5 * SECOND),
            ],
        ),
        ("b", vec![plain_span(1, 2, 1, 300 * SECOND, SECOND), plain_span(4, 1, 0, 340 * SECOND, 2 * SECOND), failing]),
        ("c", vec![plain_span(5, 1, 99, 320 * SECOND, 3 * SECOND)]),
    ] {
        writer.append(request(service, spans)).await.expect("kept");
    }
    offloaded(&reader, 2).await;
    until("visibility", async || reader.search(&any_time()).await.expect("readable").total == 5).await;

    let check = async |request: SearchRequest, total: usize, expected: &[u64]| {
        let found = reader.search(&request).await.expect("readable");
        let ids: Vec<_> = found.traces.iter().map(|summary| summary.trace_id).collect();
        let expected: Vec<_> = expected.iter().map(|number| trace_id(*number)).collect();
        assert_eq!((found.total, ids), (total, expected), "{request:?}");
    };
    let at = |seconds: u64| UnixNanos::from_wire(seconds * SECOND);
    check(any_time(), 5, &[4, 5, 3, 2, 1]).await;
    check(SearchRequest { order: SearchOrder::Slowest, ..any_time() }, 5, &[1, 4, 3, 5, 2]).await;
    check(SearchRequest { limit: 2, ..any_time() }, 5, &[4, 5]).await;
    // Trace 1 matches by its late span, and is the oldest all the same.
    let late = SearchRequest { start: at(250), ..any_time() };
    check(late.clone(), 3, &[4, 5, 1]).await;
    check(SearchRequest { limit: 1, ..late.clone() }, 3, &[4]).await;
    check(SearchRequest { order: SearchOrder::Slowest, limit: 1, ..late.clone() }, 3, &[1]).await;
    check(SearchRequest { trace_duration_min_nanos: Some(100 * SECOND as i64), ..late }, 1, &[1]).await;
    check(SearchRequest { service: Some("b".into()), name: Some("op 2".into()), ..any_time() }, 2, &[4, 1]).await;
    check(SearchRequest { service: Some("nobody".into()), ..any_time() }, 0, &[]).await;
    check(SearchRequest { error: Some(true), ..any_time() }, 1, &[4]).await;
    check(SearchRequest { span_duration_min_nanos: Some(3 * SECOND as i64), ..any_time() }, 2, &[5, 3]).await;
    check(SearchRequest { root_only: true, ..any_time() }, 4, &[4, 3, 2, 1]).await;

    let found = reader.search(&SearchRequest { service: Some("c".into()), ..any_time() }).await.expect("readable");
    assert_eq!(found.traces[0].root, None);
    assert_eq!(found.traces[0].first, Entry { service: "c".into(), name: "op 1".into() });
    let found = reader.search(&SearchRequest { error: Some(true), ..any_time() }).await.expect("readable");
    assert_eq!(found.traces[0].root, Some(Entry { service: "b".into(), name: "op 1".into() }));
    assert_eq!(
        (found.traces[0].span_count, found.traces[0].error_count, found.traces[0].duration_nanos),
        (2, 1, 11 * SECOND as i64)
    );
    close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bucket_alone_answers_on_a_new_node() {
    let fixture = Fixture::new();
    let mut settings = fixture.settings();
    settings.window_spans_max = 1;
    let store = fixture.open(settings).await;
    store.writer().append(request("a", vec![rich_span(1)])).await.expect("kept");
    offloaded(&store.reader(), 1).await;
    let before = store.reader().trace(trace_id(1)).await.expect("readable");
    close(store).await;

    let other = Fixture { folder: tempfile::tempdir().expect("a folder"), objects: Arc::clone(&fixture.objects) };
    let store = other.open(other.settings()).await;
    let after = store.reader().trace(trace_id(1)).await.expect("readable");
    assert_eq!(format!("{before:?}"), format!("{after:?}"));
    assert_eq!(store.reader().search(&any_time()).await.expect("readable").total, 1);
    close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn past_its_limits_the_store_refuses_and_recovers() {
    let fixture = Fixture::new();
    let mut settings = fixture.settings();
    settings.in_flight_bytes_max = 1;
    let store = fixture.open(settings).await;
    // A request beyond the budget passes alone.
    store.writer().append(request("a", vec![rich_span(1)])).await.expect("kept");
    let writer = store.writer();
    until("a free budget", async || writer.budget_used() == 0).await;
    let held = writer.hold_budget(1);
    let refused = store.writer().append(request("a", vec![rich_span(2)])).await.expect_err("over the limit");
    assert!(matches!(refused.kind(), crate::ErrorKind::Overloaded { .. }), "{refused}");
    drop(held);
    store.writer().append(request("a", vec![rich_span(2)])).await.expect("kept");
    close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_closing_nothing_is_accepted_and_nothing_is_lost() {
    let fixture = Fixture::new();
    let store = fixture.open(fixture.settings()).await;
    let writer = store.writer();
    let appends: Vec<_> = (0..50u64)
        .map(|number| {
            let writer = writer.clone();
            tokio::spawn(async move { (number, writer.append(request("a", vec![rich_span(number)])).await.is_ok()) })
        })
        .collect();
    tokio::task::yield_now().await;
    close(store).await;
    let mut kept = Vec::new();
    for append in appends {
        let (number, ok) = append.await.expect("no panic");
        if ok {
            kept.push(number);
        }
    }
    assert!(writer.append(request("a", vec![rich_span(99)])).await.is_err());
    // The folder is free when nobody can ask any more.
    drop(writer);
    let store = fixture.open(fixture.settings()).await;
    for number in kept {
        assert_eq!(store.reader().trace(trace_id(number)).await.expect("readable").len(), 1, "{number}");
    }
    close(store).await;
}
