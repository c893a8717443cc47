//! Counts and latencies over both tiers, restarts and joined rollups.

use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::rollup::Resolution;
use crate::{Clock, Sketch};

const HOUR: i64 = Resolution::Hour.nanos();
const DAY: i64 = Resolution::Day.nanos();
/// 2026-11-23T20:00:00Z.
const START: i64 = 1_795_464_000_000_000_000;

/// A clock that tests move.
#[derive(Clone)]
struct Hands(Arc<AtomicI64>);

impl Clock for Hands {
    fn now(&self) -> UnixNanos {
        UnixNanos::from_i64(self.0.load(Ordering::SeqCst))
    }
}

fn any() -> RollupRequest {
    RollupRequest { start: UnixNanos::ZERO, end: UnixNanos::MAX, service: None, name: None, root_only: false }
}

fn timed(trace: u64, span_id: u8, parent: u8, start: i64, duration: u64) -> Span {
    Span { name: format!("op {}", span_id % 3), ..plain_span(trace, span_id, parent, start as u64, duration) }
}

/// Spans, sum and spread by service and name.
fn told(rollups: &Rollups) -> Vec<(String, String, u64, i64, Sketch)> {
    let row = |row: &RollupRow| {
        let totals = &row.totals;
        (row.service.clone(), row.name.clone(), totals.spans, totals.sum_nanos, totals.sketch.clone())
    };
    rollups.rows.iter().map(row).collect()
}

fn files(reader: &Reader) -> Vec<(Resolution, u64)> {
    let view = reader.shared.views.load();
    let of = |manifest: &Arc<crate::Manifest>| {
        manifest.rollups.iter().map(|entry| (entry.resolution, entry.windows)).collect::<Vec<_>>()
    };
    view.manifests.values().flat_map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_span_is_counted_once_hot_cold_and_after_a_restart() {
    let fixture = Fixture::new();
    let mut settings = no_hot(fixture.settings());
    settings.window_spans_max = 10;
    let store = fixture.open(settings.clone()).await;
    // Each window has a span twice.
    let mut expected_sum = 0;
    for window in 0..3u64 {
        let mut spans: Vec<_> = (1..=9)
            .map(|id| {
                let duration = 1_000 * (window * 10 + u64::from(id));
                expected_sum += duration as i64;
                timed(window, id, id - 1, START + i64::from(id), duration)
            })
            .collect();
        spans.push(spans[4].clone());
        store.writer().append(request("api", spans)).await.expect("kept");
        offloaded(&store.reader(), window as usize + 1).await;
    }
    store.writer().append(request("pooler", vec![timed(9, 1, 0, START, 7)])).await.expect("kept");
    let reader = store.reader();
    let before = reader.rollups(&any()).await.expect("readable");
    let spans = |rollups: &Rollups| rollups.rows.iter().map(|row| row.totals.spans).sum::<u64>();
    let sum = |rollups: &Rollups| rollups.rows.iter().map(|row| row.totals.sum_nanos).sum::<i64>();
    assert_eq!((spans(&before), sum(&before)), (28, expected_sum + 7));
    assert_eq!(files(&reader).len(), 3);

    let roots = reader.rollups(&RollupRequest { root_only: true, ..any() }).await.expect("readable");
    assert_eq!(spans(&roots), 4);
    let of_pooler = RollupRequest { service: Some("pooler".into()), ..any() };
    assert_eq!(spans(&reader.rollups(&of_pooler).await.expect("readable")), 1);
    let of_name = RollupRequest { name: Some("op 0".into()), ..any() };
    assert_eq!(spans(&reader.rollups(&of_name).await.expect("readable")), 9);
    let minute = |start, end| RollupRequest {
        start: UnixNanos::from_i64(START + start),
        end: UnixNanos::from_i64(START + end),
        ..any()
    };
    let inside = reader.rollups(&minute(30_000_000_000, 31_000_000_000)).await.expect("readable");
    assert_eq!((inside.start.as_i64(), inside.end.as_i64(), spans(&inside)), (START, START + 60_000_000_000, 28));
    let after = reader.rollups(&minute(60_000_000_000, 61_000_000_000)).await.expect("readable");
    assert_eq!((after.resolution, spans(&after)), (Resolution::Minute, 0));

    drop(reader);
    close(store).await;
    let store = fixture.open(settings).await;
    let restarted = store.reader().rollups(&any()).await.expect("readable");
    assert_eq!(told(&restarted), told(&before));
    close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_is_sent_again_in_a_later_window_counts_once() {
    let fixture = Fixture::new();
    let mut settings = no_hot(fixture.settings());
    settings.window_spans_max = 3;
    let spans = || (1..=3).map(|id| timed(7, id, id - 1, START, 1_000)).collect();
    let counts = async |store: &Store, root_only| {
        let rollups = store.reader().rollups(&RollupRequest { root_only, ..any() }).await.expect("readable");
        rollups.rows.iter().map(|row| row.totals.spans).sum::<u64>()
    };
    let store = fixture.open(settings.clone()).await;
    for window in 1..=2 {
        store.writer().append(request("api", spans())).await.expect("kept");
        offloaded(&store.reader(), window).await;
    }
    assert_eq!((counts(&store, true).await, counts(&store, false).await), (1, 6));
    close(store).await;
    // Without steps roots are counted as all spans are.
    settings.derive_operations = false;
    let store = fixture.open(settings).await;
    assert_eq!(counts(&store, true).await, 2);
    close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn joined_rollups_say_the_same_by_minute_hour_and_day() {
    let fixture = Fixture::new();
    let mut settings = no_hot(fixture.settings());
    settings.window_spans_max = 3;
    let hands = Hands(Arc::new(AtomicI64::new(START)));
    let components =
        Components { clock: Arc::new(hands.clone()), ..Components::new(Arc::clone(&fixture.objects) as _) };
    let store = Store::open(settings, components).await.expect("opens");
    let reader = store.reader();
    let windows = std::cell::Cell::new(0);
    let add = async |now: i64| {
        hands.0.store(START + now, Ordering::SeqCst);
        let number = windows.replace(windows.get() + 1);
        let spans = (1..=3).map(|id| timed(number, id, id - 1, START + now, 1_000 << (number % 20)));
        store.writer().append(request("api", spans.collect())).await.expect("kept");
        offloaded(&store.reader(), number as usize + 1).await;
    };
    for minute in 0..5 {
        add(minute * 60_000_000_000).await;
    }
    assert_eq!(files(&reader), vec![(Resolution::Minute, 1); 5]);
    let request = || RollupRequest { end: UnixNanos::from_i64(START + HOUR), ..any() };
    let before = reader.rollups(&request()).await.expect("readable");
    let check = async |expected: &[(Resolution, u64)]| {
        until("joining", async || files(&reader) == expected).await;
        let after = reader.rollups(&request()).await.expect("readable");
        assert_eq!(told(&after), told(&before));
        after
    };

    add(HOUR).await;
    check(&[(Resolution::Minute, 5), (Resolution::Minute, 1)]).await;
    add(3 * DAY).await;
    let hours = check(&[(Resolution::Hour, 6), (Resolution::Minute, 1)]).await;
    assert_eq!(hours.resolution, Resolution::Hour);
    // The hour after is not in it: it has a row of its own.
    assert_eq!(hours.end.as_i64(), START + HOUR);

    add(100 * DAY).await;
    until("days", async || files(&reader)[0] == (Resolution::Day, 7)).await;
    let days = reader.rollups(&request()).await.expect("readable");
    assert_eq!(days.resolution, Resolution::Day);
    // Days cannot be cut into hours: the sixth window, an hour later, is in it.
    assert_eq!(days.end.as_i64() % DAY, 0);
    assert_eq!(days.rows.iter().map(|row| row.totals.spans).sum::<u64>(), 18);
    let all = reader.rollups(&any()).await.expect("readable");
    assert_eq!(all.rows.iter().map(|row| row.totals.spans).sum::<u64>(), 8 * 3);
    drop(reader);
    close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_is_in_a_rollup_and_a_block_or_in_neither() {
    let fixture = Fixture::new();
    let mut settings = no_hot(fixture.settings());
    settings.window_spans_max = 3;
    let store = fixture.open(settings.clone()).await;
    for number in 0..6 {
        let spans = (1..=3).map(|id| timed(number, id, id - 1, START, 1_000)).collect();
        store.writer().append(request("api", spans)).await.expect("kept");
        // While it moves, every answer has it once.
        let rollups = store.reader().rollups(&any()).await.expect("readable");
        assert_eq!(rollups.rows.iter().map(|row| row.totals.spans).sum::<u64>(), 3 * (number + 1));
    }
    offloaded(&store.reader(), 6).await;
    let view = store.reader().shared.views.load();
    for manifest in view.manifests.values() {
        let spans = |counted: &mut dyn Iterator<Item = u64>| counted.sum::<u64>();
        assert_eq!(
            spans(&mut manifest.blocks.iter().map(|block| block.spans)),
            spans(&mut manifest.rollups.iter().map(|rollup| rollup.spans))
        );
        assert_eq!(manifest.objects().count(), manifest.blocks.len() + manifest.rollups.len() + manifest.steps.len());
        assert!(manifest.rollups.iter().all(|rollup| rollup.path.starts_with("tenant=default/rollups/2026-11-23/")));
    }
    drop(view);
    close(store).await;
}
