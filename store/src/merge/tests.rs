use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use arrow::array::{BooleanArray, RecordBatch};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use proto::UnixNanos;
use proto::otlp::common::v1::any_value::Value as Wire;
use proto::otlp::trace::v1::Span;

use crate::clock::Clock;
use crate::cold::sieve::Sieve;
use crate::cold::{BlockEntry, BlockId, Origin, decode, paths, schema};
use crate::hot::HotDb;
use crate::manifest::Manifest;
use crate::manifest::editor::LOCAL_MANIFEST;
use crate::read::tests::{
    Fixture, any_time, attribute, close, no_hot, offloaded, plain_span, request, rich_span, text, trace_id, until,
};
use crate::{Components, Error, Reader, ServiceSummary, Settings, Store};

/// Windows of so many spans, all of which end up in blocks only.
fn settings(fixture: &Fixture, window_spans: u64) -> Settings {
    let mut settings = no_hot(fixture.settings());
    settings.window_spans_max = window_spans;
    settings.windows_waiting_max = 1_000;
    settings.merge_inputs_min = 2;
    settings
}

fn blocks(reader: &Reader) -> Vec<Arc<BlockEntry>> {
    reader.shared().views.load().manifests.values().flat_map(|manifest| manifest.blocks.clone()).collect()
}

async fn traces(reader: &Reader, numbers: impl Iterator<Item = u64>) -> Vec<String> {
    let mut found = Vec::new();
    for number in numbers {
        found.push(format!("{:#?}", reader.trace(trace_id(number)).await.expect("readable")));
    }
    found
}

async fn cold(reader: &Reader, count: usize) {
    offloaded(reader, count).await;
    until("retirement", async || reader.shared().views.load().hot.len() == 1).await;
}

/// What was sent, window by window, is read the same before and after it is merged into one block.
async fn survives(windows: Vec<Vec<Span>>, numbers: std::ops::Range<u64>) -> Arc<BlockEntry> {
    let fixture = Fixture::new();
    let store = fixture.open(settings(&fixture, 1)).await;
    let (writer, reader) = (store.writer(), store.reader());
    let held = store.merger().hold().await;
    let count = windows.len();
    for (number, spans) in windows.into_iter().enumerate() {
        writer.append(request(if number % 2 == 0 { "even" } else { "odd" }, spans)).await.expect("kept");
    }
    cold(&reader, count).await;
    let before = traces(&reader, numbers.clone()).await;
    let services = reader.services().await.expect("readable");
    drop(held);
    store.merger().run_once().await.expect("merges");
    let [merged] = blocks(&reader).try_into().expect("one block");
    let after = traces(&reader, numbers.clone()).await;
    for (before, after) in before.iter().zip(&after) {
        // Not as values: a failure would print megabytes.
        let differs = before.bytes().zip(after.bytes()).position(|(a, b)| a != b);
        assert!(before == after, "{differs:?}: {before:.2000}\n{after:.2000}");
    }
    assert_eq!(reader.search(&any_time()).await.expect("readable").total, numbers.count());
    let counted = |services: &[ServiceSummary]| services.iter().map(|service| service.span_count).sum::<u64>();
    let services_after = reader.services().await.expect("readable");
    assert_eq!(counted(&services_after), merged.spans);
    if counted(&services) == merged.spans {
        assert_eq!(services, services_after);
    }
    close(store).await;
    merged
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_split_over_blocks_come_together_unchanged() {
    // Spans of each trace in each window, parents in other windows, some with everything that OTLP has.
    let window = |window: u8| {
        let mut spans: Vec<Span> = (0..60)
            .map(|trace| {
                let mut span =
                    plain_span(trace, 10 + window, if window == 0 { 0 } else { 9 + window }, 1_000 + trace, 5);
                span.attributes = vec![attribute("at", text("here")), attribute("n", Wire::IntValue(trace as i64))];
                span
            })
            .collect();
        if window == 1 {
            spans.extend((0..20).map(rich_span));
            // The parent of the rich ones, which starts after them.
            spans.extend((0..10).map(|trace| plain_span(trace, 9, 200, 2_000_000, 7)));
        }
        spans
    };
    let merged = survives((0..4).map(window).collect(), 0..60).await;
    assert_eq!((merged.spans, merged.traces, merged.windows.len()), (270, 60, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_with_values_of_several_types_keeps_them() {
    let values: [fn(u64) -> Wire; 5] = [
        |n| text(&format!("text {n}")),
        |n| Wire::IntValue(n as i64),
        |n| Wire::DoubleValue(if n == 3 { f64::NEG_INFINITY } else { n as f64 }),
        |n| Wire::BoolValue(n % 2 == 0),
        |n| Wire::BytesValue(vec![n as u8]),
    ];
    let window = |(at, value): (usize, &fn(u64) -> Wire)| {
        let spans = (0..30).map(|trace| {
            let mut span = plain_span(trace, 1 + at as u8, 0, 1_000, 5);
            span.attributes = vec![
                attribute("mixed", value(trace)),
                // Twice under one key, in a column and beside it.
                attribute("twice", value(trace + 1)),
                attribute("twice", text("second")),
                attribute("$strange \"key\"", value(trace)),
            ];
            span
        });
        spans.collect()
    };
    survives(values.iter().enumerate().map(window).collect(), 0..30).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_keys_than_columns_are_kept_beside_them() {
    let window = |window: u64| {
        let spans = (0..20).map(|trace| {
            let mut span = plain_span(trace, 1 + window as u8, 0, 1_000, 5);
            let key = |number: u64| format!("key {}", window * 40 + number);
            span.attributes = (0..60).map(|number| attribute(&key(number), text(&format!("{trace}")))).collect();
            span
        });
        spans.collect()
    };
    survives((0..4).map(window).collect(), 0..20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_longer_than_row_groups_stays_whole() {
    let long = |first: u64| {
        let spans = (first..first + 25_000).map(|number| {
            // Of the span that is in both the second one stays.
            let mut span = plain_span(1, 0, 0, 1_000 + number % 7, if first == 0 { 5 } else { 6 });
            span.span_id = (number + 1).to_be_bytes().to_vec();
            span.parent_span_id = (number / 2 + 1).to_be_bytes().to_vec();
            span
        });
        spans.chain((2..2_000).map(|trace| plain_span(trace, 1 + (first % 2) as u8, 0, 900, 1))).collect::<Vec<_>>()
    };
    let merged = survives(vec![long(0), long(24_999)], 1..2_000).await;
    // One span was in both.
    assert_eq!((merged.spans, merged.traces), (49_999 + 2 * 1_998, 1_999));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_span_in_several_blocks_the_later_end_stays() {
    let window = |duration: u64| vec![plain_span(1, 1, 0, 100, duration), plain_span(2, 1, 0, 100, 5)];
    let merged = survives([50, 90, 70].map(window).to_vec(), 1..3).await;
    assert_eq!((merged.spans, merged.end_max), (2, Some(190)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_is_seen_exactly_once_while_blocks_are_merged() {
    let fixture = Fixture::new();
    let store = fixture.open(settings(&fixture, 100)).await;
    let (writer, reader) = (store.writer(), store.reader());
    let written = Arc::new(AtomicU64::new(0));
    let total = 400u64;
    let writing = tokio::spawn({
        let written = Arc::clone(&written);
        async move {
            for number in 0..total {
                let spans = (1..=10).map(|span| plain_span(number, span, span - 1, 1_000 + number, 100)).collect();
                writer.append(request("svc", spans)).await.expect("kept");
                written.store(number + 1, Ordering::SeqCst);
            }
        }
    });
    let mut looks = 0;
    while written.load(Ordering::SeqCst) < total || looks < 50 {
        let acknowledged = written.load(Ordering::SeqCst);
        for number in [0, acknowledged / 2, acknowledged.saturating_sub(1)].into_iter().filter(|_| acknowledged > 0) {
            let spans = reader.trace(trace_id(number)).await.expect("readable");
            assert_eq!(spans.len(), 10, "trace {number} of {acknowledged}");
        }
        let found = reader.search(&any_time()).await.expect("readable");
        for summary in &found.traces {
            assert!(summary.span_count <= 10, "{} spans", summary.span_count);
        }
        looks += 1;
    }
    writing.await.expect("no panic");
    until("few blocks", async || blocks(&reader).len() < 5).await;
    let found = reader.search(&any_time()).await.expect("readable");
    assert_eq!(found.total, total as usize);
    assert!(found.traces.iter().all(|summary| summary.span_count == 10));
    close(store).await;
}

/// A clock that is moved by hand, from the present on: ids of blocks have the real time in them.
struct TestClock(AtomicI64);

impl TestClock {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(UnixNanos::from_system(std::time::SystemTime::now()).as_i64())))
    }

    fn forward(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000_000_000, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> UnixNanos {
        UnixNanos::from_i64(self.0.load(Ordering::SeqCst))
    }
}

async fn open_at(fixture: &Fixture, clock: &Arc<TestClock>, settings: Settings) -> Store {
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    let components = Components { clock, ..Components::new(Arc::clone(&fixture.objects) as _) };
    Store::open(settings, components).await.expect("opens")
}

async fn objects(fixture: &Fixture) -> Vec<String> {
    let objects: Vec<_> =
        fixture.objects.list(Some(&paths::all_data()[0])).try_collect().await.expect("memory answers");
    objects.into_iter().map(|object| object.location.to_string()).collect()
}

/// One span per window, all of this day, which is not over.
async fn send(store: &Store, windows: std::ops::Range<u64>) {
    const DAY: u64 = 86_400_000_000_000;
    let today = UnixNanos::from_system(std::time::SystemTime::now()).as_u64() / DAY * DAY;
    for number in windows {
        store.writer().append(request("svc", vec![plain_span(number, 1, 0, today + number, 5)])).await.expect("kept");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inputs_are_deleted_after_the_grace_and_nothing_else() {
    let (fixture, clock) = (Fixture::new(), TestClock::new());
    let store = open_at(&fixture, &clock, settings(&fixture, 1)).await;
    let reader = store.reader();
    send(&store, 0..4).await;
    until("a merge", async || blocks(&reader).len() == 1 && reader.shared().views.load().live.len() == 1).await;
    store.merger().run_once().await.expect("waits for the merge to end");
    let named = blocks(&reader)[0].path.clone();
    assert!(objects(&fixture).await.len() > 4, "inputs stay for readers");
    clock.forward(15 * 60 - 60);
    store.merger().run_once().await.expect("sweeps");
    assert!(objects(&fixture).await.len() > 4);
    clock.forward(120);
    store.merger().run_once().await.expect("sweeps");
    assert_eq!(objects(&fixture).await, [named]);
    assert_eq!(reader.search(&any_time()).await.expect("readable").total, 4);
    close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_earlier_starts_left_behind_is_deleted_and_nothing_of_others() {
    let (fixture, clock) = (Fixture::new(), TestClock::new());
    let mut alone = settings(&fixture, 1);
    alone.merge_inputs_min = usize::MAX;
    let store = open_at(&fixture, &clock, alone.clone()).await;
    send(&store, 0..3).await;
    cold(&store.reader(), 3).await;
    let named: Vec<String> = blocks(&store.reader()).iter().map(|block| block.path.clone()).collect();
    let (own, _) = paths::parse_data(&Path::from(named[0].as_str())).expect("a block");
    close(store).await;

    let put = async |origin: &Origin| {
        let path = paths::block(origin, BlockId::generate(), 0);
        fixture.objects.put(&path, "x".into()).await.expect("memory answers");
        path.to_string()
    };
    let orphan = put(&own).await;
    let others = put(&Origin { writer: BlockId::generate().to_string(), epoch: 1 }).await;
    let about_to_be_named = put(&Origin { epoch: own.epoch + 1, ..own.clone() }).await;
    let store = open_at(&fixture, &clock, alone).await;
    clock.forward(16 * 60);
    store.merger().run_once().await.expect("sweeps");
    assert!(objects(&fixture).await.contains(&orphan), "a late commit of an earlier start may still name it");
    send(&store, 3..4).await;
    cold(&store.reader(), 4).await;
    store.merger().run_once().await.expect("sweeps");
    let left = objects(&fixture).await;
    assert!(!left.contains(&orphan));
    assert!(left.contains(&others) && left.contains(&about_to_be_named));
    assert!(named.iter().all(|path| left.contains(path)));
    assert_eq!(store.reader().search(&any_time()).await.expect("readable").total, 4);
    close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_damaged_manifest_may_name_is_deleted() {
    let (fixture, clock) = (Fixture::new(), TestClock::new());
    let mut alone = settings(&fixture, 1);
    alone.merge_inputs_min = usize::MAX;
    let store = open_at(&fixture, &clock, alone.clone()).await;
    send(&store, 0..3).await;
    cold(&store.reader(), 3).await;
    let before = objects(&fixture).await;
    close(store).await;

    // The newest manifest is damaged long after it was committed, and the node's own copy is an older one.
    let manifests = fixture.objects.list(Some(&paths::manifests()));
    let manifests: Vec<_> = manifests.try_collect().await.expect("memory answers");
    let newest = manifests.iter().map(|object| &object.location).max().expect("there are some").clone();
    let whole = fixture.objects.get(&newest).await.expect("is there").bytes().await.expect("is there");
    fixture.objects.put(&newest, whole.slice(..whole.len() / 2).into()).await.expect("memory answers");
    let writer = paths::parse_manifest(&newest).expect("a manifest").0;
    let older = serde_json::to_vec(&Manifest::empty(writer)).expect("JSON");
    let (db, _) = HotDb::open(&alone.hot_dir).expect("opens");
    db.set_unlogged_meta(LOCAL_MANIFEST, &older).expect("written");
    drop(db);
    let store = open_at(&fixture, &clock, alone.clone()).await;
    assert!(blocks(&store.reader()).len() < 3, "the manifest before it counts");
    send(&store, 3..4).await;
    until("a commit", async || blocks(&store.reader()).iter().any(|block| !before.contains(&block.path))).await;
    for _ in 0..2 {
        clock.forward(16 * 60);
        store.merger().run_once().await.expect("sweeps");
    }
    let left = objects(&fixture).await;
    assert!(before.iter().all(|path| left.contains(path)), "{before:?} {left:?}");
    close(store).await;

    // With no doubt left, orphans go.
    fixture.objects.delete(&newest).await.expect("memory answers");
    let store = open_at(&fixture, &clock, alone).await;
    send(&store, 4..5).await;
    until("a commit", async || blocks(&store.reader()).len() == 4).await;
    for _ in 0..2 {
        clock.forward(16 * 60);
        store.merger().run_once().await.expect("sweeps");
    }
    assert_eq!(objects(&fixture).await.len(), 4);
    close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_blocks_leave_by_age_and_by_bytes() {
    let (fixture, clock) = (Fixture::new(), TestClock::new());
    let mut limited = settings(&fixture, 1);
    limited.merge_inputs_min = usize::MAX;
    let store = open_at(&fixture, &clock, limited.clone()).await;
    let now = clock.now().as_u64();
    for (number, age) in [(1, 50), (2, 3_000), (3, 7_000)] {
        let span = plain_span(number, 1, 0, now - age * 1_000_000_000, 5);
        store.writer().append(request("svc", vec![span])).await.expect("kept");
    }
    cold(&store.reader(), 3).await;
    close(store).await;

    limited.cold_retention = Some(Duration::from_secs(5_000));
    let store = open_at(&fixture, &clock, limited.clone()).await;
    store.merger().run_once().await.expect("expires");
    let left = traces(&store.reader(), 1..4).await;
    assert_eq!(left.iter().map(|spans| spans == "[]").collect::<Vec<_>>(), [false, false, true]);
    let bytes = blocks(&store.reader())[0].bytes;
    close(store).await;

    limited.cold_bytes_max = Some(bytes + bytes / 2);
    let store = open_at(&fixture, &clock, limited).await;
    store.merger().run_once().await.expect("expires");
    let left = traces(&store.reader(), 1..4).await;
    assert_eq!(left.iter().map(|spans| spans == "[]").collect::<Vec<_>>(), [false, true, true]);
    close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_knows_an_older_manifest_asks_again() {
    let (fixture, clock) = (Fixture::new(), TestClock::new());
    let store = open_at(&fixture, &clock, settings(&fixture, 1)).await;
    let held = store.merger().hold().await;
    send(&store, 0..3).await;
    cold(&store.reader(), 3).await;

    let other = Fixture { folder: tempfile::tempdir().expect("a folder"), objects: Arc::clone(&fixture.objects) };
    let mut never_again = other.settings();
    never_again.manifest_refresh = Duration::from_secs(3_600);
    let asking = other.open(never_again).await;
    assert_eq!(blocks(&asking.reader()).len(), 3);

    drop(held);
    store.merger().run_once().await.expect("merges");
    clock.forward(16 * 60);
    store.merger().run_once().await.expect("sweeps");
    assert_eq!(objects(&fixture).await.len(), 1);
    assert_eq!(asking.reader().search(&any_time()).await.expect("readable").total, 3);
    assert_eq!(asking.reader().trace(trace_id(1)).await.expect("readable").len(), 1);

    // What is named and gone all the same is told.
    let path = blocks(&store.reader())[0].path.clone();
    fixture.objects.delete(&Path::from(path)).await.expect("memory answers");
    let failed = asking.reader().trace(trace_id(2)).await.expect_err("it is gone");
    assert!(matches!(failed, Error::Corrupt { .. }), "{failed}");
    close(asking).await;
    close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_block_is_left_as_it_is() {
    let fixture = Fixture::new();
    let store = fixture.open(settings(&fixture, 1)).await;
    let held = store.merger().hold().await;
    send(&store, 0..3).await;
    cold(&store.reader(), 3).await;
    let damaged = blocks(&store.reader())[1].clone();
    let zeros = vec![0; damaged.bytes as usize];
    fixture.objects.put(&Path::from(damaged.path.as_str()), zeros.into()).await.expect("memory answers");
    drop(held);
    store.merger().run_once().await.expect("goes on");
    let left = blocks(&store.reader());
    assert_eq!((left.len(), left[0].spans), (2, 2));
    assert_eq!(left[1].id, damaged.id);
    store.merger().run_once().await.expect("goes on");
    assert_eq!(blocks(&store.reader()).len(), 2);
    close(store).await;
}

/// Drops spans with one name.
struct Without(&'static str);

impl Sieve for Without {
    fn reads(&self, _: &str) -> bool {
        false
    }

    fn sift(&mut self, rows: &RecordBatch) -> Result<Option<BooleanArray>, Error> {
        let names = decode::Words::new(rows, schema::NAME)?;
        Ok(Some((0..rows.num_rows()).map(|row| Some(names.value(row) != self.0)).collect()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_a_sieve_leaves_out_are_gone_and_the_others_as_they_were() {
    let fixture = Fixture::new();
    let store = fixture.open(settings(&fixture, 1)).await;
    let reader = store.reader();
    let held = store.merger().hold().await;
    for number in 0..2 {
        let spans = (1..=3).map(|span| plain_span(number, span, span - 1, 1_000 * u64::from(span), 5)).collect();
        store.writer().append(request("svc", spans)).await.expect("kept");
    }
    cold(&reader, 2).await;
    let mut expected = reader.trace(trace_id(1)).await.expect("readable");
    expected.remove(0);
    let inputs = blocks(&reader);
    let (merged, _) = store.merger().rewrite(&inputs, Without("op 1")).await.expect("rewrites");
    let (merged, _) = merged.expect("some stay");
    assert_eq!((merged.spans, merged.start_min), (4, 2_000));
    store.merger().commit(&inputs, Some(&Arc::new(merged))).await.expect("commits");
    let found = reader.trace(trace_id(1)).await.expect("readable");
    assert_eq!(format!("{expected:#?}"), format!("{found:#?}"));

    // The same with all of them: no block is left.
    let inputs = blocks(&reader);
    let (merged, _) = store.merger().rewrite(&inputs, Without("op 2")).await.expect("rewrites");
    store.merger().commit(&inputs, Some(&Arc::new(merged.expect("some stay").0))).await.expect("commits");
    let inputs = blocks(&reader);
    let (merged, _) = store.merger().rewrite(&inputs, Without("op 3")).await.expect("rewrites");
    assert!(merged.is_none());
    store.merger().commit(&inputs, None).await.expect("commits");
    assert!(blocks(&reader).is_empty());
    drop(held);
    close(store).await;
}

/// Prints what merging costs: `cargo test --release --workspace merging_costs -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
#[expect(clippy::print_stderr, reason = "it is for whoever measures")]
async fn merging_costs_little_per_span() {
    let fixture = Fixture::new();
    let mut settings = settings(&fixture, 100_000);
    settings.merge_inputs_min = 8;
    let store = fixture.open(settings).await;
    let held = store.merger().hold().await;
    for batch in 0..800u64 {
        let spans = (0..1_000).map(|at| {
            let number = batch * 1_000 + at;
            let mut span =
                plain_span(number / 8, (number % 8 + 1) as u8, (number % 8) as u8, number * 1_000, number % 977);
            span.span_id = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes().to_vec();
            span.name = format!("op {}", number % 50);
            span.attributes = vec![
                attribute("db.system.name", text("postgresql")),
                attribute("db.query.text", text(&format!("SELECT {}", number % 300))),
                attribute("dbaas.instance.id", text(&format!("pg-{}", number % 1_000))),
                attribute("server.address", text(&format!("10.0.{}.{}", number % 7, number % 200))),
                attribute("rows", Wire::IntValue((number % 1_000) as i64)),
                attribute("cached", Wire::BoolValue(number % 3 == 0)),
            ];
            span
        });
        let name = format!("service {}", batch % 20);
        while store.writer().append(request(&name, spans.clone().collect())).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let reader = store.reader();
    cold(&reader, 8).await;
    let inputs = blocks(&reader);
    let bytes: u64 = inputs.iter().map(|input| input.bytes).sum();
    let started = std::time::Instant::now();
    let (merged, _) = store.merger().rewrite(&inputs, Without("nothing")).await.expect("rewrites");
    let (took, merged) = (started.elapsed(), merged.expect("all stay").0);
    eprintln!(
        "{} spans in {took:?}: {:.2} µs and {:.1} bytes per span, before {:.1}",
        merged.spans,
        took.as_secs_f64() * 1e6 / merged.spans as f64,
        merged.bytes as f64 / merged.spans as f64,
        bytes as f64 / merged.spans as f64
    );
    assert_eq!(merged.spans, 800_000);
    assert!(took < Duration::from_micros(2 * 800_000), "{took:?}");
    drop(held);
    close(store).await;
}
