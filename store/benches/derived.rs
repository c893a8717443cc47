//! `cargo bench --bench derived`: how fast what is derived from spans is asked for. A year with 10,000 failovers, 100,000 runs without
//! an end, and 30 days of 1,000 operations with ten steps each; less with `-- 10` (a tenth).

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use model::OperationClass;
use model::run::RunState;
use object_store::local::LocalFileSystem;
use prost::Message;
use proto::UnixNanos;
use proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use proto::otlp::common::v1::any_value::Value;
use proto::otlp::common::v1::{AnyValue, KeyValue};
use proto::otlp::resource::v1::Resource;
use proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span};
use spanhold_store::{
    Clock, Components, PreparedRequest, RollupRequest, RunRequest, Settings, StepRequest, StepRows, Store,
};

extern crate spanhold_store as _;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;
/// 2026-01-01T00:00:00Z.
const BEGIN: i64 = 1_767_225_600 * SECOND;

/// How often each question is asked.
const TIMES: usize = 20;

struct Hands(AtomicI64);

impl Clock for Hands {
    fn now(&self) -> UnixNanos {
        UnixNanos::from_i64(self.0.load(Ordering::Relaxed))
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

fn span(trace: u64, id: u64, parent: u64, name: &str, start: i64, duration: i64) -> Span {
    let spread = (u128::from(trace) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    Span {
        trace_id: spread.to_be_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        parent_span_id: if parent == 0 { Vec::new() } else { parent.to_be_bytes().to_vec() },
        name: name.to_owned(),
        start_time_unix_nano: start as u64,
        end_time_unix_nano: (start + duration) as u64,
        ..Span::default()
    }
}

fn request(service: &str, spans: Vec<Span>) -> PreparedRequest {
    let resource = Resource { attributes: vec![text("service.name", service)], ..Resource::default() };
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() }];
    let (checked, _) =
        proto::check::check(ExportTraceServiceRequest { resource_spans }.encode_to_vec()).expect("valid");
    PreparedRequest::new(checked).expect("compresses")
}

fn failover(trace: u64, start: i64) -> Vec<Span> {
    let steps = [
        ("Fence old primary", 0, 5),
        ("Elect candidate", 5, 3),
        ("Promote standby", 8, 12),
        ("Update endpoint", 20, 30),
    ];
    let step = |(id, (name, at, length)): (u64, (&str, i64, i64))| {
        span(trace, id, 1, name, start + at * SECOND, length * SECOND)
    };
    let mut spans: Vec<Span> = (2..).zip(steps).map(step).collect();
    let mut root = span(trace, 1, 0, "Failover", start, 60 * SECOND);
    root.attributes = vec![
        text("dbaas.operation.class", "failover"),
        text("dbaas.failover.trigger", if trace.is_multiple_of(4) { "unplanned" } else { "planned" }),
        text("dbaas.instance.id", &format!("db-{}", trace % 1_000)),
        text("cloud.region", ["eu-1", "us-1", "ap-1", "sa-1"][trace as usize % 4]),
    ];
    spans.push(root);
    spans
}

fn unfinished(trace: u64, start: i64) -> Vec<Span> {
    let mut step = span(trace, 2, 1, "allocate", start, SECOND);
    step.attributes = vec![text("dbaas.operation.class", "provisioning")];
    vec![step]
}

/// An hour of all operations.
fn operations(hour: u64, count: u64) -> impl Iterator<Item = Vec<Span>> {
    (0..count).map(move |operation| {
        let trace = (1 << 40) + hour * count + operation;
        let start = BEGIN + hour as i64 * HOUR + (operation as i64 % 3_600) * SECOND;
        let name = format!("operation {operation}");
        let mut spans = vec![span(trace, 1, 0, &name, start, 90_000_000 + operation as i64 * 1_000)];
        let step = |id: u64| {
            span(trace, id, 1, &format!("step {id}"), start + id as i64 * 5_000_000, 4_000_000 + (hour * id) as i64)
        };
        spans.extend((2..11).map(step));
        spans
    })
}

struct Bench {
    store: Store,
    hands: Arc<Hands>,
}

impl Bench {
    async fn send(&self, traces: impl Iterator<Item = Vec<Span>>) {
        let mut batch = Vec::new();
        for spans in traces {
            batch.extend(spans);
            if batch.len() >= 1_000 {
                self.append(std::mem::take(&mut batch)).await;
            }
        }
        self.append(batch).await;
    }

    async fn append(&self, spans: Vec<Span>) {
        let prepared = || request("control", spans.clone());
        while self.store.writer().append(prepared()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn settle(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        let started = Instant::now();
        while !is_so().await {
            assert!(started.elapsed() < Duration::from_secs(600), "{what} takes too long");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        say(&format!("{what}: {:.1} s", started.elapsed().as_secs_f64()));
    }
}

fn say(line: &str) {
    // Nothing can be done about a closed standard output.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// The median and the longest of several answers, and what the last one said.
async fn measure(what: &str, ask: impl AsyncFn() -> String) {
    let mut times = Vec::new();
    let mut said = String::new();
    for _ in 0..TIMES {
        let started = Instant::now();
        said = ask().await;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    say(&format!("{what}: p50 {:.1} ms, longest {:.1} ms ({said})", ms(times[TIMES / 2]), ms(times[TIMES - 1])));
}

fn main() {
    let part: u64 = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(1).max(1);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run(part));
}

async fn run(part: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let cold = folder.path().join("cold");
    std::fs::create_dir(&cold).expect("made");
    let hands = Arc::new(Hands(AtomicI64::new(BEGIN)));
    let objects = Arc::new(LocalFileSystem::new_with_prefix(&cold).expect("a folder"));
    let components = Components { clock: Arc::clone(&hands) as _, ..Components::new(objects) };
    let settings = Settings { window_spans_max: 20_000, ..Settings::new(folder.path().join("hot")) };
    let bench = Bench { store: Store::open(settings, components).await.expect("opens"), hands };
    let reader = bench.store.reader();

    let (failovers, open) = (10_000 / part, 100_000 / part);
    let year = 365 * DAY;
    bench.hands.0.store(BEGIN + year, Ordering::Relaxed);
    bench.send((0..failovers).map(|trace| failover(trace, BEGIN + year / failovers as i64 * trace as i64))).await;
    let all = async || reader.failovers(UnixNanos::ZERO, UnixNanos::MAX).await.expect("readable").len() as u64;
    bench.settle("failovers in the table", async || all().await == failovers).await;
    bench
        .send((0..open).map(|trace| unfinished((1 << 30) + trace, BEGIN + year - HOUR - trace as i64 * 1_000_000)))
        .await;
    let states = vec![RunState::Running, RunState::Stuck, RunState::Lost];
    let everything = RunRequest { states: states.clone(), ..RunRequest::newest(usize::MAX) };
    let count = async || reader.runs(&everything).await.expect("readable").runs.len() as u64;
    bench.settle("unfinished runs in the table", async || count().await == open).await;

    measure("facts of all failovers of a year", async || format!("{} failovers", all().await)).await;
    let newest = RunRequest { states, ..RunRequest::newest(100) };
    measure("the newest 100 unfinished runs", async || {
        format!("{} runs", reader.runs(&newest).await.expect("readable").runs.len())
    })
    .await;
    let lost = RunRequest { states: vec![RunState::Lost], class: Some(OperationClass::Provisioning), ..newest.clone() };
    measure("unfinished runs gone through for one that is lost", async || {
        format!("{} runs", reader.runs(&lost).await.expect("readable").runs.len())
    })
    .await;

    let (hours, kinds) = (30 * 24, 1_000 / part);
    for hour in 0..hours {
        bench.hands.0.store(BEGIN + year + hour * HOUR, Ordering::Relaxed);
        bench.send(operations(hour as u64, kinds)).await;
        // The clock goes on when what came is in blocks, as it would.
        let inspector = reader.inspector();
        while inspector
            .windows()
            .iter()
            .filter(|window| window.state == spanhold_store::inspect::WindowState::Sealed)
            .count()
            > 1
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let manifests = || reader.inspector().manifests();
    let sizes = || {
        manifests()
            .iter()
            .flat_map(|manifest| &manifest.steps)
            .map(|entry| (entry.bytes, entry.rows))
            .fold((0, 0), |(b, r), (bytes, rows)| (b + bytes, r + rows))
    };
    say(&format!(
        "rollups of steps: {} files, {} bytes, {} rows",
        manifests().iter().map(|manifest| manifest.steps.len()).sum::<usize>(),
        sizes().0,
        sizes().1
    ));
    bench
        .settle("windows offloaded, rollups joined", async || {
            let before = sizes();
            tokio::time::sleep(Duration::from_secs(1)).await;
            before == sizes()
        })
        .await;
    let (start, end) = (UnixNanos::from_i64(BEGIN), UnixNanos::from_i64(BEGIN + 30 * DAY));
    for (what, root_only) in [("30 days of all operations", true), ("the same, of all spans by name", false)] {
        measure(what, async || {
            let list = RollupRequest { start, end, service: None, name: None, root_only };
            let list = reader.rollups(&list).await.expect("readable");
            format!("{} rows, by the {}", list.rows.len(), list.resolution.name())
        })
        .await;
    }
    let of_one = |rows| StepRequest {
        start,
        end,
        service: Some("control".to_owned()),
        operation: Some("operation 7".to_owned()),
        rows,
    };
    measure("the breakdown of one, with its values", async || {
        let mut count = 0;
        for rows in [StepRows::Operations, StepRows::Steps, StepRows::Values] {
            count += reader.steps(&of_one(rows)).await.expect("readable").rows.len();
        }
        format!("{count} rows")
    })
    .await;
    bench.store.close(Instant::now() + Duration::from_secs(10)).await;
}
