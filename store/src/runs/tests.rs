//! Runs over both tiers, in any order of arrival, after kills, and on nodes that have nothing but the bucket.

use std::sync::Arc;
use std::time::Duration;

use model::OperationClass;
use model::failover::{FailoverFacts, T0Source};
use model::run::{RunRef, RunState};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use proto::UnixNanos;
use proto::otlp::trace::v1::{Span, span};
use proto::{SpanId, TraceId};

use super::item::{Item, ItemKey, PartKey};
use super::table::{RunTable, nothing_seen};
use super::*;
use crate::fixture::{EPOCH, HOUR, MINUTE, Node, SECOND, append, close, failed, text, trace_id, until};
use crate::hot::HotDb;
use crate::rollup::Resolution;
use crate::{Reader, RunSummary, Settings};

const CLASS: &str = "dbaas.operation.class";
const INSTANCE: &str = "dbaas.instance.id";

/// A span of an operation, so many seconds after the tests begin.
fn step(trace: u64, id: u64, parent: u64, name: &str, from: i64, to: i64) -> Span {
    let bytes = |id: u64| if id == 0 { Vec::new() } else { id.to_be_bytes().to_vec() };
    Span {
        trace_id: trace_id(trace).as_bytes().to_vec(),
        span_id: bytes(id),
        parent_span_id: bytes(parent),
        name: name.to_owned(),
        start_time_unix_nano: (EPOCH + from * SECOND) as u64,
        end_time_unix_nano: (EPOCH + to * SECOND) as u64,
        ..Span::default()
    }
}

fn with(span: Span, attributes: &[(&str, &str)]) -> Span {
    let attributes = attributes.iter().map(|(key, value)| text(key, value));
    Span { attributes: span.attributes.into_iter().chain(attributes).collect(), ..span }
}

/// A failover of an instance, its root last: it begins `at` seconds after the tests and takes a minute.
fn failover(trace: u64, instance: &str, at: i64) -> Vec<Span> {
    let told = [(INSTANCE, instance), ("dbaas.failover.trigger", "unplanned"), ("cloud.region", "eu-1")];
    vec![
        step(trace, 2, 1, "Fence old primary", at, at + 5),
        step(trace, 3, 1, "Elect candidate", at + 5, at + 8),
        step(trace, 4, 1, "Promote standby", at + 8, at + 20),
        step(trace, 5, 1, "Update endpoint", at + 20, at + 50),
        step(trace, 6, 1, "Verify writes", at + 50, at + 60),
        with(with(step(trace, 1, 0, "Failover", at, at + 60), &[(CLASS, "failover")]), &told),
    ]
}

fn provisioning(trace: u64, at: i64) -> Vec<Span> {
    vec![
        with(step(trace, 2, 1, "allocate", at, at + 3), &[(CLASS, "provisioning")]),
        step(trace, 3, 1, "wait for pod", at + 3, at + 40),
        with(step(trace, 1, 0, "CreateInstance", at, at + 50), &[(INSTANCE, "db-7")]),
    ]
}

async fn all(reader: &Reader) -> Vec<(RunSummary, RunState)> {
    reader.runs(&RunRequest::newest(1_000)).await.expect("readable").runs
}

async fn failovers(reader: &Reader) -> Vec<FailoverFacts> {
    reader.failovers(UnixNanos::ZERO, UnixNanos::MAX).await.expect("readable")
}

/// Waits until the runs are as they should be.
async fn wait_for(
    reader: &Reader,
    what: &str,
    is_so: impl Fn(&[(RunSummary, RunState)]) -> bool,
) -> Vec<(RunSummary, RunState)> {
    until(what, async || is_so(&all(reader).await)).await;
    all(reader).await
}

fn reference(trace: u64, top: u64) -> RunRef {
    let top = SpanId::from_bytes(&top.to_be_bytes()).expect("not zero");
    RunRef { trace_id: trace_id(trace), top }
}

/// What a kill leaves: the files and the bucket as they are. What the store still does then is done to others.
fn killed(node: &Node, settings: &Settings) -> (Node, tempfile::TempDir, Settings) {
    let files = || {
        let entries = std::fs::read_dir(&settings.hot_dir).expect("a folder").map(|entry| entry.expect("readable"));
        let known = entries.filter_map(|entry| Some((entry.file_name(), entry.metadata().ok()?.len())));
        known.collect::<std::collections::BTreeMap<_, _>>()
    };
    let paths = |bucket: &InMemory| {
        let listed = futures::executor::block_on_stream(bucket.list(None));
        listed.map(|object| object.expect("listed").location).collect::<std::collections::BTreeSet<_>>()
    };
    loop {
        let left = tempfile::tempdir().expect("a folder");
        let hot = left.path().join("hot");
        std::fs::create_dir(&hot).expect("made");
        let (before, bucket) = (files(), Arc::new(node.objects.fork()));
        let copies = before.keys().filter(|name| *name != "LOCK");
        let all =
            copies.map(|name| std::fs::copy(settings.hot_dir.join(name), hot.join(name))).all(|copy| copy.is_ok());
        // A kill leaves the files of one instant.
        if all && before == files() && paths(&bucket) == paths(&node.objects) {
            return (Node::over(bucket), left, Settings { hot_dir: hot, ..settings.clone() });
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_shows_while_it_goes_on_and_its_end_when_that_comes() {
    let node = Node::new();
    let store = node.open(node.settings()).await;
    let reader = store.reader();
    let mut spans = provisioning(1, 0);
    let root = spans.pop().expect("three");
    append(&store, spans).await;
    let found = wait_for(&reader, "a run without its root", |runs| runs.len() == 1).await;
    let (run, state) = &found[0];
    assert_eq!((run.class, run.end, *state), (OperationClass::Provisioning, None, RunState::Running));
    assert_eq!(run.run, reference(1, 1), "named by the root that is to come");
    node.clock.forward(HOUR);
    assert_eq!(all(&reader).await[0].1, RunState::Stuck);
    node.clock.forward(30 * HOUR);
    assert_eq!(all(&reader).await[0].1, RunState::Lost);
    // Days late.
    append(&store, vec![root]).await;
    let found = wait_for(&reader, "the end", |runs| runs[0].0.end.is_some()).await;
    let (run, state) = &found[0];
    assert_eq!((run.operation.as_str(), *state, found.len()), ("CreateInstance", RunState::Done, 1));
    assert_eq!((run.subject.instance.as_deref(), run.span_count), (Some("db-7"), 3));
    let (joined, _) = reader.run(run.run).await.expect("readable").expect("there");
    assert_eq!((joined.parts.len(), joined.parts[0].steps.len()), (1, 2));
    assert!(reader.run(reference(99, 1)).await.expect("readable").is_none());
    close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_order_and_however_often_killed_the_runs_are_the_same() {
    let mut spans: Vec<Span> =
        (0..4).flat_map(|trace| failover(trace, &format!("db-{trace}"), trace as i64 * 300)).collect();
    spans.extend((10..14).flat_map(|trace| provisioning(trace, trace as i64)));
    // A reconcile loop that is linked to a failover and has a phase of it.
    let link = span::Link { trace_id: trace_id(2).as_bytes().to_vec(), span_id: vec![1; 8], ..span::Link::default() };
    spans.push(Span { links: vec![link], ..step(30, 1, 0, "Rejoin old primary", 670, 700) });
    let in_order = Node::new();
    let store = in_order.open(in_order.settings()).await;
    for one in &spans {
        append(&store, vec![one.clone()]).await;
    }
    let is_all = |runs: &[(RunSummary, RunState)]| {
        runs.len() == 8
            && runs.iter().all(|(run, _)| run.end.is_some())
            && runs.iter().any(|(run, _)| run.trace_ids.len() == 2)
    };
    let expected = wait_for(&store.reader(), "all runs", is_all).await;
    let measured = failovers(&store.reader()).await;
    assert_eq!(measured.len(), 4);
    close(store).await;

    for seed in 1..4u64 {
        let mut node = Node::new();
        let mut sent = spans.clone();
        let mut noise = seed;
        for at in (1..sent.len()).rev() {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            sent.swap(at, (noise >> 33) as usize % (at + 1));
        }
        // Some of it comes twice.
        sent.extend(spans.iter().step_by(3).cloned());
        let mut settings = Settings { window_spans_max: 7, ..node.settings() };
        let mut folders = Vec::new();
        let mut store = node.open(settings.clone()).await;
        for (number, one) in sent.into_iter().enumerate() {
            append(&store, vec![one]).await;
            if number % 11 == 10 {
                if number % 2 == 0 {
                    // Whether it has looked at all of it or not.
                    tokio::time::sleep(Duration::from_millis(300 * seed)).await;
                }
                let (left_node, folder, left) = killed(&node, &settings);
                close(store).await;
                (node, settings) = (left_node, left);
                folders.push(folder);
                store = node.open(settings.clone()).await;
            }
        }
        for _ in 0..100 {
            if all(&store.reader()).await == expected {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        for (got, wanted) in all(&store.reader()).await.iter().zip(&expected) {
            assert_eq!(got, wanted, "seed {seed}");
        }
        assert_eq!(all(&store.reader()).await, expected, "seed {seed}");
        until("the same failovers", async || failovers(&store.reader()).await == measured).await;
        close(store).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_node_knows_all_runs_from_the_bucket() {
    let node = Node::new();
    let settings = Settings { window_spans_max: 6, hot_bytes_max: 0, ..node.settings() };
    let store = node.open(settings.clone()).await;
    for trace in 0..5 {
        append(&store, failover(trace, "db-1", trace as i64 * 1_000)).await;
        wait_for(&store.reader(), "a run", |runs| runs.len() == trace as usize + 1).await;
    }
    // What is found out about a window may go with the next one.
    append(&store, (0..6).map(|id| step(50 + id, 1, 0, "op", 0, 1)).collect()).await;
    let manifest = |reader: &Reader| {
        let manifests = reader.shared().views.load().manifests.clone();
        manifests.values().next().cloned().expect("a manifest")
    };
    let reader = store.reader();
    until("files of runs", async || manifest(&reader).runs.iter().map(|entry| entry.rows).sum::<u64>() >= 5).await;
    let (expected, measured) = (all(&reader).await, failovers(&reader).await);
    assert!(manifest(&reader).runs.iter().all(|entry| entry.path.starts_with("tenant=default/runs/2026-11-2")));
    drop(reader);
    close(store).await;

    let other = Node::over(Arc::clone(&node.objects));
    let store = other.open(other.settings()).await;
    until("the runs of the other node", async || all(&store.reader()).await == expected).await;
    assert_eq!(failovers(&store.reader()).await, measured);
    close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fault_is_found_in_health_checks_before_or_after_the_failover_is_told_about() {
    let check = |trace: u64, at: i64, fails: bool| {
        let span = with(step(trace, 1, 0, "HealthCheck", at, at), &[(INSTANCE, "db-1")]);
        if fails { failed(span) } else { span }
    };
    let checks = |from: u64| {
        let of = move |number: u64| check(from + number, number as i64 * 10 - 100, (6..=12).contains(&number));
        (0..20).map(of).collect::<Vec<_>>()
    };
    // The checks of second -40 to 20 fail, the failover acts at 0.
    for is_late in [false, true] {
        let mut node = Node::new();
        let settings = Settings { window_spans_max: 10, ..node.settings() };
        let store = node.open(settings.clone()).await;
        if is_late {
            append(&store, failover(1, "db-1", 0)).await;
            until("a failover", async || failovers(&store.reader()).await.len() == 1).await;
            let unknown = &failovers(&store.reader()).await[0];
            assert_eq!((unknown.t0_source(), unknown.measures.write_unavailable), (T0Source::Unknown, None));
        }
        append(&store, checks(100)).await;
        let (mut store, mut folders) = (store, Vec::new());
        if !is_late {
            // Hours later, and after a kill.
            tokio::time::sleep(Duration::from_millis(700)).await;
            let (left_node, folder, left) = killed(&node, &settings);
            close(store).await;
            node = left_node;
            folders.push(folder);
            store = node.open(left).await;
            node.clock.forward(3 * HOUR);
            append(&store, failover(1, "db-1", 0)).await;
            until("a failover", async || failovers(&store.reader()).await.len() == 1).await;
        }
        let reader = store.reader();
        until("the fault", async || failovers(&reader).await[0].t0_source() == T0Source::HealthChecks).await;
        let facts = failovers(&reader).await.remove(0);
        assert_eq!(facts.timeline.points.fault, Some(UnixNanos::from_i64(EPOCH - 40 * SECOND)));
        assert_eq!(facts.measures.write_unavailable, Some(100 * SECOND));
        let (_, marks) = reader.run(reference(1, 1)).await.expect("readable").expect("there");
        assert!(marks.iter().filter(|mark| mark.failed).count() >= 7, "{marks:?}");
        drop(reader);
        close(store).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_by_class_state_instance_and_time() {
    let node = Node::new();
    let store = node.open(node.settings()).await;
    let reader = store.reader();
    for trace in 0..6 {
        append(&store, failover(trace, &format!("db-{}", trace % 2), trace as i64 * 1_000)).await;
    }
    append(&store, provisioning(10, 100)).await;
    append(&store, provisioning(11, 200)[..1].to_vec()).await;
    wait_for(&reader, "all", |runs| runs.len() == 8).await;
    let ask = async |change: &dyn Fn(&mut RunRequest)| {
        let mut request = RunRequest::newest(100);
        change(&mut request);
        let found = reader.runs(&request).await.expect("readable");
        (found.runs.iter().map(|(run, _)| (run.start.as_i64() - EPOCH) / SECOND).collect::<Vec<_>>(), found.has_more)
    };
    assert_eq!(ask(&|_| {}).await, (vec![5_000, 4_000, 3_000, 2_000, 1_000, 200, 100, 0], false));
    assert_eq!(ask(&|request| request.limit = 2).await, (vec![5_000, 4_000], true));
    let class = |request: &mut RunRequest| request.class = Some(OperationClass::Provisioning);
    assert_eq!(ask(&class).await, (vec![200, 100], false));
    assert_eq!(ask(&|request| request.states = vec![RunState::Running]).await, (vec![200], false));
    assert_eq!(ask(&|request| request.states = vec![RunState::Stuck]).await, (vec![], false));
    assert_eq!(ask(&|request| request.instance = Some("db-1".into())).await, (vec![5_000, 3_000, 1_000], false));
    let times = |request: &mut RunRequest| {
        request.start = UnixNanos::from_i64(EPOCH + 100 * SECOND);
        request.end = UnixNanos::from_i64(EPOCH + 3_000 * SECOND);
    };
    assert_eq!(ask(&times).await, (vec![2_000, 1_000, 200, 100], false));
    let between =
        reader.failovers(UnixNanos::from_i64(EPOCH + 1_000 * SECOND), UnixNanos::from_i64(EPOCH + 3_000 * SECOND));
    assert_eq!(between.await.expect("readable").len(), 2);
    close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_runs_are_joined_to_the_newest_versions_and_let_go() {
    let node = Node::new();
    let day = Duration::from_secs(86_400);
    let settings = Settings { window_spans_max: 2, hot_bytes_max: 0, run_retention: 40 * day, ..node.settings() };
    let store = node.open(settings).await;
    let reader = store.reader();
    let files = || {
        let view = reader.shared().views.load();
        let runs = view.manifests.values().flat_map(|manifest| manifest.runs.clone());
        runs.map(|entry| (entry.resolution, entry.rows)).collect::<Vec<_>>()
    };
    // The same run in three versions.
    for (number, span) in provisioning(1, 0).into_iter().enumerate() {
        append(&store, vec![span]).await;
        wait_for(&reader, "a version", |runs| runs.first().is_some_and(|(run, _)| run.span_count == number as u64 + 1))
            .await;
        append(&store, vec![step(40 + number as u64, 1, 0, "op", 0, 1)]).await;
        until("its file", async || files().len() == number + 1).await;
    }
    let other = |at: u64| (0..2).map(|id| step(1_000 + at * 2 + id, 1, 0, "op", 0, 1)).collect::<Vec<_>>();
    node.clock.forward(2 * HOUR);
    append(&store, other(1)).await;
    until("joining by the hour", async || files() == [(Resolution::Minute, 1)]).await;
    node.clock.forward(30 * HOUR);
    append(&store, other(2)).await;
    until("joining by the day", async || files() == [(Resolution::Hour, 1)]).await;

    let fresh = Node::over(Arc::clone(&node.objects));
    let second = fresh.open(fresh.settings()).await;
    let found = wait_for(&second.reader(), "the newest version", |runs| runs.len() == 1).await;
    assert_eq!((found[0].0.span_count, found[0].0.end.is_some()), (3, true));
    close(second).await;

    node.clock.forward(60 * 24 * HOUR);
    append(&store, other(3)).await;
    until("letting go", async || files().is_empty()).await;
    drop(reader);
    close(store).await;
}

fn table() -> (tempfile::TempDir, Arc<RunTable>) {
    let folder = tempfile::tempdir().expect("a folder");
    let (db, _) = HotDb::open(folder.path()).expect("opens");
    let settings = *model::rules::Rules::default().settings();
    (folder, RunTable::open(db, settings, Arc::new(crate::SystemClock)).expect("opens"))
}

fn part(trace: u64) -> model::run::RunPart {
    let bytes = crate::fixture::request("control", failover(trace, "db-1", trace as i64 * 1_000));
    let mut spans = Vec::new();
    crate::convert::spans_of_trace(bytes.bytes(), trace_id(trace), &mut spans);
    let trace = model::assemble(spans).expect("spans");
    model::run::parts_of(&trace, &model::rules::Rules::default()).remove(0)
}

#[test]
fn of_two_versions_the_newer_stays_and_what_a_trace_does_not_say_any_more_goes() {
    let (_folder, table) = table();
    let one = part(1);
    let key = ItemKey::Part(PartKey::of(&one));
    table.replace(one.trace_id, std::slice::from_ref(&one), false, &nothing_seen).expect("written");
    let known = table.changed_items().expect("readable");
    assert_eq!((known.len(), known[0].key), (1, key));
    let older = Item { version: known[0].version - 1, body: Vec::new(), ..known[0].clone() };
    table.absorb(&[older]).expect("written");
    assert_eq!(table.find(&RunRequest::newest(10), UnixNanos::MAX).expect("readable").runs.len(), 1);
    // The same again is no change.
    let exported: Vec<_> = known.iter().map(|item| (item.key, item.version)).collect();
    table.forget_changed(&exported, Some("a/path")).expect("written");
    table.replace(one.trace_id, std::slice::from_ref(&one), false, &nothing_seen).expect("written");
    assert_eq!(table.changed_items().expect("readable"), []);
    assert!(table.has_loaded("a/path").expect("readable") && !table.has_loaded("b").expect("readable"));

    table.replace(one.trace_id, &[], false, &nothing_seen).expect("written");
    assert_eq!(table.find(&RunRequest::newest(10), UnixNanos::MAX).expect("readable").runs, []);
    assert_eq!(table.failovers(UnixNanos::ZERO, UnixNanos::MAX).expect("readable"), []);
    let gone = table.changed_items().expect("readable");
    assert!(gone.len() == 1 && gone[0].body.is_empty(), "the cold tier hears of it");
    let newer = Item { version: u64::from(u32::MAX) << 32, ..known[0].clone() };
    table.absorb(&[newer]).expect("written");
    assert_eq!(table.find(&RunRequest::newest(10), UnixNanos::MAX).expect("readable").runs.len(), 1);
    assert_eq!(table.expire(i64::MAX, i64::MAX).expect("written"), 1);
    assert_eq!(table.find(&RunRequest::newest(10), UnixNanos::MAX).expect("readable").runs, []);
}

#[test]
fn traces_that_wait_are_found_again() {
    let (_folder, table) = table();
    let traces: Vec<TraceId> = (0..10).map(trace_id).collect();
    table.note_traces(traces.iter().copied()).expect("written");
    table.forget_trace(traces[3]).expect("written");
    assert_eq!(table.noted_traces(100).expect("readable").len(), 9);
    assert_eq!(table.noted_traces(4).expect("readable").len(), 4);
}

#[test]
fn items_survive_a_file() {
    let items: Vec<Item> = (1..4)
        .map(|trace| {
            let part = part(trace);
            let body = if trace == 3 { Vec::new() } else { item::encode(&part).expect("written") };
            Item { key: ItemKey::Part(PartKey::of(&part)), version: trace, at: MINUTE, body }
        })
        .chain([Item { key: ItemKey::Evidence(reference(9, 9)), version: 5, at: 7, body: vec![1, 0] }])
        .collect();
    let mut read = Vec::new();
    file::each_batch(file::encode(&items).expect("encodes"), |batch| {
        read.extend(batch);
        Ok(())
    })
    .expect("what was written");
    assert_eq!(read, items);
    assert!(file::each_batch(bytes::Bytes::from_static(b"PAR1"), |_| Ok(())).is_err());
    assert!(item::part(&[9, 1]).is_err() && item::part(&[1]).is_err());
}
