//! Traces whose spans come in several windows are counted as if they had come in one: over both tiers, restarts, resends and
//! joined rollups.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::rollup::Resolution;
use crate::steps::NO_ROOT;
use crate::{Clock, STEP_ATTRIBUTES};

const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = Resolution::Hour.nanos();
/// 2026-11-23T20:00:00Z.
const START: i64 = 1_795_464_000 * SECOND;

/// A clock that tests move.
#[derive(Clone)]
struct Hands(Arc<AtomicI64>);

impl Hands {
    fn new() -> Self {
        Self(Arc::new(AtomicI64::new(START)))
    }

    fn to(&self, since_start: i64) {
        self.0.store(START + since_start, Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> UnixNanos {
        UnixNanos::from_i64(self.0.load(Ordering::SeqCst))
    }
}

/// Numbers that look random and are the same each time.
struct Noise(u64);

impl Noise {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

fn asked(rows: StepRows) -> StepRequest {
    StepRequest { start: UnixNanos::ZERO, end: UnixNanos::MAX, service: None, operation: None, rows }
}

/// Service, operation, path and attribute of a row.
type Place = (String, String, Vec<String>, Option<(&'static str, String)>);

/// Spans, errors, sums and percentiles of rows.
type Told = BTreeMap<Place, (u64, u64, [i64; 3], Vec<i64>)>;

/// All that is exact of all rows: what is joined, and of what extremes are not asked.
async fn told(reader: &Reader) -> Told {
    let mut told = BTreeMap::new();
    for rows in [StepRows::Operations, StepRows::Values, StepRows::Steps] {
        let steps = reader.steps(&asked(rows)).await.expect("readable");
        assert!(!steps.is_folded);
        for row in steps.rows {
            let totals = row.totals;
            assert_eq!(totals.durations.count(), totals.spans);
            assert_eq!(totals.self_times.count(), totals.spans);
            let sums = [totals.sum_nanos, totals.self_nanos, totals.critical_nanos];
            let percentiles = [0.0, 0.5, 0.9, 1.0].map(|share| totals.durations.quantile_nanos(share).expect("spans"));
            let percentiles = percentiles.to_vec();
            let key = (row.service, row.operation, row.path, row.attribute);
            told.insert(key, (totals.spans, totals.errors, sums, percentiles));
        }
    }
    told
}

/// Traces of up to 12 spans, all of which come in the end: parents anywhere, some missing, names few.
fn traces(noise: &mut Noise, count: u64) -> Vec<Span> {
    let mut spans = Vec::new();
    for trace in 0..count {
        let start = noise.next(40) as i64 * SECOND;
        for id in 1..=1 + noise.next(12) as u8 {
            let parent = if id == 1 && noise.next(8) > 0 { 0 } else { noise.next(14) as u8 };
            let parent = if parent == id { 0 } else { parent };
            let begin = START + start + noise.next(5_000) as i64 * 1_000_000;
            let mut span = plain_span(trace, id, parent, begin as u64, noise.next(9_000) * 1_000_000);
            span.name = format!("op {}", noise.next(5));
            span.attributes = vec![attribute("dbaas.instance.id", text(["db-1", "db-2"][noise.next(2) as usize]))];
            if noise.next(6) == 0 {
                span.status = Some(Status { code: 2, message: String::new() });
            }
            spans.push(span);
        }
    }
    spans
}

/// Puts spans into a random order, and some in twice: as they are, or with a later end, which is then that of both.
fn scattered(noise: &mut Noise, spans: &mut [Span]) -> Vec<Span> {
    let mut scattered = Vec::new();
    for span in spans.iter_mut() {
        match noise.next(10) {
            0 => scattered.push(span.clone()),
            1 => {
                scattered.push(span.clone());
                span.end_time_unix_nano += 1 + noise.next(3_000_000_000);
            }
            _ => {}
        }
        scattered.push(span.clone());
    }
    for at in (1..scattered.len()).rev() {
        scattered.swap(at, noise.next(at as u64 + 1) as usize);
    }
    scattered
}

async fn one_window(spans: &[Span]) -> Told {
    let fixture = Fixture::new();
    let store = fixture.open(fixture.settings()).await;
    store.writer().append(request("api", spans.to_vec())).await.expect("kept");
    let told = told(&store.reader()).await;
    close(store).await;
    told
}

/// Sends spans in windows of 25, and compares on the way and after restarts with what one window would say.
async fn check(seed: u64, hot: bool, merges: bool) {
    let mut noise = Noise(seed);
    let mut spans = traces(&mut noise, 40);
    let sent = scattered(&mut noise, &mut spans);
    let expected = one_window(&spans).await;

    let fixture = Fixture::new();
    let mut settings = if hot { fixture.settings() } else { no_hot(fixture.settings()) };
    settings.window_spans_max = 25;
    if merges {
        settings.merge_inputs_min = 2;
    }
    let hands = Hands::new();
    hands.to(60 * SECOND);
    let components =
        || Components { clock: Arc::new(hands.clone()), ..Components::new(Arc::clone(&fixture.objects) as _) };
    let mut store = Store::open(settings.clone(), components()).await.expect("opens");
    for (number, chunk) in sent.chunks(7).enumerate() {
        store.writer().append(request("api", chunk.to_vec())).await.expect("kept");
        match noise.next(9) {
            0 => {
                close(store).await;
                store = Store::open(settings.clone(), components()).await.expect("opens");
            }
            1 => {
                let so_far: Vec<_> = sent[..(number * 7 + chunk.len())].to_vec();
                let last_of_each = one_window(&so_far).await;
                assert_eq!(told(&store.reader()).await, last_of_each, "seed {seed}, after {number} requests");
            }
            _ => {}
        }
    }
    assert_eq!(told(&store.reader()).await, expected, "seed {seed}");
    close(store).await;
    let store = Store::open(settings, components()).await.expect("opens");
    assert_eq!(told(&store.reader()).await, expected, "seed {seed}, after a restart");
    close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_windows_count_as_one_with_all_in_the_hot_tier() {
    for seed in 0..8 {
        check(seed, true, false).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_windows_count_as_one_from_blocks_and_merged_ones() {
    for seed in 0..6 {
        check(100 + seed, false, seed % 2 == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_span_that_is_a_day_late_is_counted_with_its_trace() {
    let fixture = Fixture::new();
    let mut settings = no_hot(fixture.settings());
    settings.window_spans_max = 2;
    let hands = Hands::new();
    let components =
        Components { clock: Arc::new(hands.clone()), ..Components::new(Arc::clone(&fixture.objects) as _) };
    let store = Store::open(settings, components).await.expect("opens");
    let at = |trace, id, parent, start: i64, duration: i64| {
        plain_span(trace, id, parent, (START + start) as u64, duration as u64)
    };
    let add = async |spans: Vec<Span>| {
        store.writer().append(request("api", spans)).await.expect("kept");
    };
    add(vec![at(1, 1, 0, 0, 10 * SECOND), at(1, 3, 2, 2 * SECOND, SECOND)]).await;
    offloaded(&store.reader(), 1).await;
    // So many others that nothing of it is in memory any more.
    let many = (0..crate_recent_spans() as u64 / 2 + 2).map(|trace| at(trace + 10, 1, 0, HOUR, SECOND));
    let mut many: Vec<_> = many.collect();
    hands.to(2 * HOUR);
    for chunk in many.chunks_mut(20_000) {
        add(chunk.to_vec()).await;
    }
    hands.to(24 * HOUR);
    let of = async || {
        let steps = store.reader().steps(&asked(StepRows::Steps)).await.expect("readable");
        let of_trace = steps.rows.into_iter().map(|row| (row.operation, row.path, row.totals.spans));
        of_trace.collect::<Vec<_>>()
    };
    assert_eq!(of().await, [(NO_ROOT.to_owned(), vec!["op 3".to_owned()], 1)]);
    add(vec![at(1, 2, 1, SECOND, 5 * SECOND), at(5, 1, 0, 23 * HOUR, SECOND)]).await;
    let expected = [
        ("op 1".to_owned(), vec!["op 2".to_owned()], 1),
        ("op 1".to_owned(), vec!["op 2".to_owned(), "op 3".to_owned()], 1),
    ];
    assert_eq!(of().await, expected, "live or not");
    until("offload", async || store.reader().shared.views.load().live.len() == 1).await;
    assert_eq!(of().await, expected);
    close(store).await;
}

const fn crate_recent_spans() -> usize {
    crate::steps::earlier::RECENT_SPANS_MAX
}

#[tokio::test(flavor = "multi_thread")]
async fn joined_rollups_take_back_what_was_counted_too_early() {
    let fixture = Fixture::new();
    let mut settings = no_hot(fixture.settings());
    settings.window_spans_max = 2;
    let hands = Hands::new();
    let components =
        Components { clock: Arc::new(hands.clone()), ..Components::new(Arc::clone(&fixture.objects) as _) };
    let store = Store::open(settings, components).await.expect("opens");
    let reader = store.reader();
    let mut roots = Vec::new();
    for number in 0..4u64 {
        let begin = (START + number as i64 * 60 * SECOND) as u64;
        hands.to(number as i64 * 60 * SECOND);
        let steps = [2, 3].map(|id| plain_span(number, id, 1, begin, 1_000 * u64::from(id)));
        store.writer().append(request("api", steps.to_vec())).await.expect("kept");
        offloaded(&reader, number as usize + 1).await;
        roots.push(plain_span(number, 1, 0, begin, 10_000));
    }
    for (at, pair) in roots.chunks(2).enumerate() {
        store.writer().append(request("api", pair.to_vec())).await.expect("kept");
        offloaded(&reader, 5 + at).await;
    }
    let before = told(&reader).await;
    let counts: Vec<_> =
        before.iter().map(|((_, operation, path, _), row)| (operation.as_str(), path.len(), row.0)).collect();
    assert_eq!(counts, [("op 1", 0, 4), ("op 1", 1, 4), ("op 1", 1, 4)]);
    let files = || {
        let view = reader.shared.views.load();
        let of =
            |manifest: &Arc<crate::Manifest>| manifest.steps.iter().map(|entry| entry.resolution).collect::<Vec<_>>();
        view.manifests.values().flat_map(of).collect::<Vec<_>>()
    };
    assert_eq!(files().len(), 6);
    for (now, resolution) in
        [(HOUR, Resolution::Minute), (24 * HOUR, Resolution::Hour), (40 * 24 * HOUR, Resolution::Day)]
    {
        hands.to(now);
        let others = [1, 2].map(|id| plain_span(now as u64, id, id - 1, (START + now) as u64, 1));
        store.writer().append(request("other", others.to_vec())).await.expect("kept");
        until("joining", async || files().first() == Some(&resolution) && files().len() <= 4).await;
        let of_api: Told = told(&reader).await.into_iter().filter(|((service, ..), _)| service == "api").collect();
        assert_eq!(of_api, before, "by {resolution:?}");
    }
    drop(reader);
    close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_has_what_was_asked_for() {
    let fixture = Fixture::new();
    let store = fixture.open(fixture.settings()).await;
    let begin = START as u64;
    let mut root = plain_span(1, 1, 0, begin, 4_000);
    root.attributes = vec![attribute("cloud.region", text("eu-1")), attribute("db.system", text("mysql"))];
    let spans = vec![root, plain_span(1, 2, 1, begin, 1_000), plain_span(2, 7, 0, begin, 9)];
    store.writer().append(request("api", spans)).await.expect("kept");
    store
        .writer()
        .append(request("pooler", vec![plain_span(3, 1, 0, begin + 120_000_000_000, 5)]))
        .await
        .expect("kept");
    let ask = async |request: StepRequest| store.reader().steps(&request).await.expect("readable").rows;
    let roots = ask(asked(StepRows::Operations)).await;
    let names: Vec<_> = roots.iter().map(|row| (row.service.as_str(), row.operation.as_str())).collect();
    assert_eq!(names, [("api", "op 1"), ("api", "op 7"), ("pooler", "op 1")]);
    assert!(roots.iter().all(|row| row.path.is_empty() && row.attribute.is_none()));
    assert_eq!((roots[0].totals.max_nanos, roots[0].totals.self_nanos), (4_000, 3_000));
    assert_eq!(roots[0].totals.slowest, Some(trace_id(1)));
    let values = ask(asked(StepRows::Values)).await;
    let values: Vec<_> = values.iter().map(|row| row.attribute.clone().expect("a value")).collect();
    assert_eq!(values, [("cloud.region", "eu-1".to_owned()), (STEP_ATTRIBUTES[2][0], "mysql".to_owned())]);
    let of_api = StepRequest { service: Some("api".into()), operation: Some("op 1".into()), ..asked(StepRows::Steps) };
    let steps = ask(of_api.clone()).await;
    assert_eq!((steps.len(), steps[0].path.clone()), (1, vec!["op 2".to_owned()]));
    assert_eq!(ask(StepRequest { service: Some("pooler".into()), ..of_api }).await, []);
    let later = StepRequest { start: UnixNanos::from_i64(START + 60 * SECOND), ..asked(StepRows::Operations) };
    assert_eq!(ask(later).await.len(), 1);
    close(store).await;
}
