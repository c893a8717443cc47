use std::collections::{BTreeMap, BTreeSet, HashMap};

use prost::Message;
use proto::otlp::trace::v1::Span;
use serde_json::Value;

use super::truth::{Evidence, Outcome, RunTruth};
use super::*;

/// 2026-10-01T00:00:00Z.
const FROM: UnixNanos = UnixNanos::from_i64(1_790_812_800_000_000_000);
const HOUR: Duration = Duration::from_secs(3_600);

fn settings(hours: u32, pathologies: Pathologies) -> WorldSettings {
    WorldSettings {
        seed: 7,
        profile: Profile::Mixed,
        instances: 60,
        from: FROM,
        to: after(FROM, HOUR * hours),
        thin: 20_000.0,
        failovers_per_day: Some(60.0),
        pathologies,
        is_drained: true,
    }
}

/// Trace id and span id.
type Ids<'a> = (&'a [u8], &'a [u8]);

/// Everything that a world gives.
#[derive(Default)]
struct Given {
    batches: Vec<Batch>,
    lines: Vec<Value>,
    runs: Vec<RunTruth>,
}

fn given(settings: WorldSettings) -> Given {
    let mut given = Given::default();
    World::new(settings).run(|output| match output {
        Output::Batch(batch) => given.batches.push(batch),
        Output::Truth(truth) => {
            given.lines.push(serde_json::to_value(&truth).expect("JSON"));
            if let Truth::Run(run) = truth {
                given.runs.push(*run);
            }
        }
    });
    given
}

impl Given {
    /// Service and span, in the order of sending; none of a request that is refused.
    fn spans(&self) -> impl Iterator<Item = (String, &Span)> {
        let good = self.batches.iter().filter(|batch| !batch.is_malformed);
        good.flat_map(|batch| &batch.request.resource_spans).flat_map(|group| {
            let service = attribute(&group.resource.as_ref().expect("a resource").attributes, "service.name");
            let spans = group.scope_spans.iter().flat_map(|scope| &scope.spans);
            spans.map(move |span| (service.clone().expect("a name"), span))
        })
    }

    fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.lines.iter().filter(move |line| line["kind"] == kind)
    }

    fn failovers(&self) -> impl Iterator<Item = &RunTruth> {
        self.runs.iter().filter(|run| run.class == "failover")
    }
}

fn attribute(attributes: &[proto::otlp::common::v1::KeyValue], key: &str) -> Option<String> {
    use proto::otlp::common::v1::any_value::Value::StringValue;
    let value = attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()?;
    if let StringValue(text) = value { Some(text.clone()) } else { None }
}

fn nanos(time: Option<UnixNanos>) -> i64 {
    time.expect("a time").as_i64()
}

#[test]
fn the_same_settings_give_the_same_bytes_and_the_same_truth() {
    let run = |settings| {
        let given = given(settings);
        let bodies: Vec<Vec<u8>> = given.batches.iter().map(|batch| batch.body().expect("a body")).collect();
        (bodies, given.lines)
    };
    let settings = settings(30, Pathologies::all());
    let first = run(settings);
    assert!(first == run(settings), "a second run differs");
    assert!(first != run(WorldSettings { seed: 8, ..settings }), "the seed makes no difference");
}

#[test]
fn requests_come_in_the_order_of_virtual_time() {
    let given = given(settings(30, Pathologies::all()));
    assert!(given.batches.is_sorted_by_key(|batch| batch.at));
    assert!(given.batches.iter().all(|batch| batch.span_count <= BATCH_SPANS_MAX));
    let total: usize = given.batches.iter().filter(|batch| !batch.is_malformed).map(|batch| batch.span_count).sum();
    assert_eq!(total, given.spans().count());
}

#[test]
fn every_pathology_strikes() {
    let given = given(WorldSettings { instances: 200, ..settings(72, Pathologies::all()) });
    let struck: BTreeMap<&str, u64> = given
        .of_kind("pathology")
        .map(|line| (line["name"].as_str().expect("a name"), line["operations"].as_u64().expect("a count")))
        .collect();
    for pathology in Pathology::ALL {
        assert!(struck[pathology.name()] > 0, "{} did not strike: {struck:?}", pathology.name());
    }
    let spans: Vec<(String, &Span)> = given.spans().collect();
    let has = |what: &str, is: &dyn Fn(&Span) -> bool| {
        assert!(spans.iter().any(|(_, span)| is(span)), "no span {what}");
    };
    has("of a no-op cycle", &|span| span.name == "recovery/cycle");
    has("with a parent of zeros", &|span| span.parent_span_id == [0; 8]);
    has("with the low half as parent", &|span| {
        span.trace_id.ends_with(&span.parent_span_id) && span.parent_span_id.len() == 8
    });
    has("pending", &|span| attribute(&span.attributes, "logfire.span_type").is_some());
    has("started", &|span| attribute(&span.attributes, "dbaas.span.state").is_some());
    has("with an old key", &|span| span.attributes.iter().any(|attribute| attribute.key == "db.system"));
    has("with 200 attributes", &|span| span.attributes.len() >= 200);
    has("with 64 KiB of text", &|span| span.attributes.iter().any(|attribute| attribute.encoded_len() > 60_000));
    has("that failed by its HTTP status alone", &|span| {
        let codes = span.attributes.iter().filter(|attribute| attribute.key.ends_with("status_code"));
        let is_500 = |attribute: &proto::otlp::common::v1::KeyValue| format!("{:?}", attribute.value).contains("500");
        span.status.as_ref().is_none_or(|status| status.code == 0) && codes.into_iter().any(is_500)
    });
    let mut per_trace: HashMap<&[u8], u64> = HashMap::new();
    spans.iter().for_each(|(_, span)| *per_trace.entry(&span.trace_id).or_default() += 1);
    assert!(per_trace.values().any(|count| *count > 60_000), "no trace of 60,000 spans");
    assert!(per_trace.values().any(|count| (1_450..2_000).contains(count)), "no trace of 1,500 spans");

    let wires: BTreeSet<String> = given.batches.iter().map(|batch| format!("{:?}", batch.wire)).collect();
    assert_eq!(wires.len(), 4, "{wires:?}");
    let malformed: Vec<&Batch> = given.batches.iter().filter(|batch| batch.is_malformed).collect();
    assert!(!malformed.is_empty() && malformed.iter().all(|batch| batch.span_count == 1));
    for batch in malformed {
        let body = batch.body().expect("a body");
        assert!(body.windows(4).any(|window| window == [0xff; 4]), "the text is UTF-8");
    }

    let ids = |run: &RunTruth| run.trace_ids[0].clone();
    let mut traces = BTreeSet::new();
    assert!(given.failovers().any(|run| !traces.insert(ids(run))), "no trace id is used by two failovers");
    assert!(given.failovers().any(|run| run.attempts == 2));
    let lateness = given.batches.iter().flat_map(|batch| {
        let spans =
            batch.request.resource_spans.iter().flat_map(|group| &group.scope_spans).flat_map(|scope| &scope.spans);
        spans.map(|span| batch.at.as_i64() - span.end_time_unix_nano as i64)
    });
    let latest = lateness.max().expect("spans");
    assert!(latest > 24 * 3_600 * 1_000_000_000, "the latest is {} s late", latest / 1_000_000_000);
}

#[test]
fn a_world_without_pathologies_is_clean() {
    let given = given(settings(30, Pathologies::NONE));
    let mut ids = BTreeSet::new();
    let mut parents = Vec::new();
    for (_, span) in given.spans() {
        assert!(ids.insert((span.trace_id.clone(), span.span_id.clone())), "{} was sent twice", span.name);
        assert!(span.links.is_empty());
        if !span.parent_span_id.is_empty() {
            parents.push((span.trace_id.clone(), span.parent_span_id.clone(), span.name.clone()));
        }
    }
    for (trace_id, parent, name) in parents {
        assert!(ids.contains(&(trace_id, parent)), "{name} is an orphan");
    }
    assert!(given.batches.iter().all(|batch| batch.wire == Wire::Grpc && !batch.is_malformed));
    assert_eq!(given.of_kind("pathology").count(), 0);
    assert!(given.runs.iter().all(|run| run.spans_made == run.spans_sent && run.pathologies.is_empty()));
    assert!(given.failovers().all(|run| run.attempts == 1 && run.trace_ids.len() == 1));
}

#[test]
fn phases_add_up_to_the_time_without_writes() {
    let given = given(settings(72, Pathologies::all()));
    let mut count = 0;
    for run in given.failovers().filter(|run| run.t_unix_nano[7].is_some()) {
        count += 1;
        let [fault, detected, acted, fenced, elected, promoted, routable, restored, redundant] = run.t_unix_nano;
        let seconds = |from: Option<UnixNanos>| (nanos(restored) - nanos(from)) as f64 / 1e9;
        let sum = |phases: &BTreeMap<&str, f64>| phases.values().sum::<f64>();
        let is_near = |a: f64, b: f64| (a - b).abs() < 1e-6;
        let unavailable = seconds(run.writes_stopped_unix_nano);
        assert!(is_near(sum(&run.phase_seconds), unavailable), "{run:?}");
        assert!(is_near(sum(&run.span_phase_seconds), unavailable), "{run:?}");
        assert!(is_near(sum(&run.execution_phase_seconds), seconds(acted)), "{run:?}");
        if run.trigger == Some("unplanned") {
            assert!(nanos(fault) < nanos(detected) && nanos(detected) < nanos(acted), "{run:?}");
            let lead = (nanos(run.t_unix_nano[1]) - nanos(run.t_unix_nano[0])) as f64 / 1e9;
            assert!(is_near(run.phase_seconds["detect"], lead), "{run:?}");
        } else {
            assert!(fault.is_none() && detected.is_none() && run.evidence.is_none());
        }
        assert!(nanos(acted) < nanos(fenced) && nanos(acted) < nanos(elected), "{run:?}");
        if run.outcome == Outcome::Success {
            let order = [elected, promoted, routable, restored].map(nanos);
            assert!(order.is_sorted(), "{run:?}");
            assert!(redundant.is_none_or(|redundant| redundant >= restored.expect("a time")), "{run:?}");
        } else {
            assert_eq!((run.outcome, promoted, routable), (Outcome::RolledBack, None, None), "{run:?}");
        }
        assert!(run.dominant_phase.is_some());
    }
    assert!(count > 100, "only {count} failovers");
    for run in given.runs.iter().filter(|run| run.class != "failover") {
        let length = (nanos(run.end_unix_nano) - run.start_unix_nano.as_i64()) as f64 / 1e9;
        let sum: f64 = run.phase_seconds.values().sum();
        assert!((sum - length).abs() < 1e-6, "{run:?}");
    }
}

#[test]
fn evidence_is_what_was_sent() {
    let given = given(settings(96, Pathologies::NONE));
    let spans: Vec<(String, &Span)> = given.spans().collect();
    let mut seen = BTreeSet::new();
    for run in given.failovers().filter(|run| run.trigger == Some("unplanned")) {
        let evidence = run.evidence.expect("evidence");
        seen.insert(format!("{evidence:?}"));
        let fault = nanos(run.t_unix_nano[0]) as u64;
        let own = |span: &&Span| {
            run.trace_ids.contains(&proto::TraceId::from_bytes(&span.trace_id).expect("an id").to_string())
        };
        let has_attribute = spans
            .iter()
            .map(|(_, span)| *span)
            .filter(own)
            .any(|span| attribute(&span.attributes, "dbaas.failover.fault_time").is_some());
        let starts_at_fault = spans
            .iter()
            .map(|(_, span)| *span)
            .filter(own)
            .any(|span| span.start_time_unix_nano == fault && !span.parent_span_id.is_empty());
        let failing = spans.iter().filter(|(_, span)| {
            let is_check = span.name == "HealthCheck" && span.status.as_ref().is_some_and(|status| status.code == 2);
            is_check && attribute(&span.attributes, "dbaas.instance.id").as_ref() == Some(&run.instance)
        });
        let first = failing
            .map(|(_, span)| span.start_time_unix_nano)
            .filter(|at| (fault..fault + 1_000_000_000).contains(at))
            .min();
        assert_eq!(has_attribute, evidence == Evidence::Attribute, "{run:?}");
        assert_eq!(starts_at_fault, evidence == Evidence::DetectSpan, "{run:?}");
        assert_eq!(first.is_some(), evidence != Evidence::None, "{run:?}");
        if evidence == Evidence::HealthChecks {
            assert_eq!(first, run.evidence_unix_nano.map(UnixNanos::as_u64));
        }
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
}

#[test]
fn operations_are_counted_as_they_were_sent() {
    let on = [
        Pathology::Duplicates,
        Pathology::LateSpans,
        Pathology::Links,
        Pathology::PendingSpans,
        Pathology::ErrorShapes,
    ];
    let given = given(settings(48, on.into_iter().fold(Pathologies::NONE, Pathologies::with)));
    // The last end wins, whatever came when.
    let mut last: HashMap<Ids<'_>, (String, &Span)> = HashMap::new();
    for (service, span) in given.spans() {
        let kept = last.entry((&span.trace_id, &span.span_id)).or_insert_with(|| (service, span));
        if span.end_time_unix_nano > kept.1.end_time_unix_nano {
            kept.1 = span;
        }
    }
    let mut expected: BTreeMap<(String, String), (Vec<i64>, u64)> = BTreeMap::new();
    for (service, span) in last.into_values().filter(|(_, span)| span.parent_span_id.is_empty()) {
        let (durations, errors) = expected.entry((service, span.name.clone())).or_default();
        durations.push((span.end_time_unix_nano - span.start_time_unix_nano) as i64);
        *errors += u64::from(span.status.as_ref().is_some_and(|status| status.code == 2));
    }
    let mut hours: HashMap<(String, String), u64> = HashMap::new();
    let key = |line: &Value| {
        (line["service"].as_str().expect("text").to_owned(), line["name"].as_str().expect("text").to_owned())
    };
    for line in given.of_kind("operation_hour") {
        *hours.entry(key(line)).or_default() += line["count"].as_u64().expect("a count");
    }
    let lines: Vec<&Value> = given.of_kind("operation").collect();
    assert_eq!(lines.len(), expected.len());
    for line in lines {
        let (durations, errors) = expected.get_mut(&key(line)).expect("was sent");
        durations.sort_unstable();
        assert_eq!(line["count"], durations.len(), "{line}");
        assert_eq!(line["errors"], *errors, "{line}");
        assert_eq!(line["total_nanos"], durations.iter().sum::<i64>(), "{line}");
        assert_eq!(line["p95_nanos"], durations[(0.95 * (durations.len() - 1) as f64) as usize], "{line}");
        assert_eq!(line["max_nanos"], *durations.last().expect("some"), "{line}");
        assert_eq!(hours[&key(line)], durations.len() as u64);
        assert!(line["failed"].as_u64() >= line["errors"].as_u64(), "{line}");
    }
}

#[test]
fn what_is_under_way_at_the_end_is_running() {
    let all = settings(30, Pathologies::NONE.with(Pathology::RootLast));
    let given = given(WorldSettings { is_drained: false, instances: 400, ..all });
    let to = all.to.as_u64();
    let running: Vec<&RunTruth> = given.runs.iter().filter(|run| run.outcome == Outcome::Running).collect();
    assert!(!running.is_empty());
    for run in running {
        assert!(run.end_unix_nano.is_none() && run.spans_sent < run.spans_made, "{run:?}");
        assert!(run.t_unix_nano.iter().flatten().all(|time| time.as_u64() <= to));
    }
    assert!(given.spans().all(|(_, span)| span.end_time_unix_nano <= to));
}

#[test]
fn a_lost_zone_fails_over_within_two_minutes() {
    let burst =
        WorldSettings { profile: Profile::Burst, instances: 1_000, thin: 100_000.0, ..settings(2, Pathologies::NONE) };
    let given = given(burst);
    let lost: Vec<&RunTruth> = given.failovers().filter(|run| run.cause == Some("az_outage")).collect();
    assert!((250..320).contains(&lost.len()), "{} failovers", lost.len());
    let zone = given.lines[0]["lost_zone"]["zone"].as_str().expect("a zone");
    assert!(lost.iter().all(|run| run.zone == zone));
    let acted: Vec<i64> = lost.iter().map(|run| nanos(run.t_unix_nano[2])).collect();
    let spread = (acted.iter().max().expect("some") - acted.iter().min().expect("some")) / 1_000_000_000;
    assert!((60..=125).contains(&spread), "they act within {spread} s");
}

#[test]
fn the_mix_is_that_of_the_model() {
    let given = given(WorldSettings {
        thin: 100.0,
        profile: Profile::Ctl,
        instances: 100,
        failovers_per_day: None,
        ..settings(24, Pathologies::NONE)
    });
    let count = |class: &str| -> u64 {
        given.of_kind("operation").filter(|line| line["class"] == class).filter_map(|line| line["count"].as_u64()).sum()
    };
    let is_near = |what: &str, found: u64, expected: f64| {
        let tolerance = (4.0 * expected.sqrt()).max(0.03 * expected);
        assert!((found as f64 - expected).abs() < tolerance, "{found} {what}, not {expected}");
    };
    is_near("health checks", count("health_check"), 100.0 * 0.1 * 86_400.0 / 100.0);
    is_near("API requests", count("api"), 20.0 * 0.1 * 86_400.0 / 100.0);
    is_near("agent commands", count("agent_command"), 5.0 * 0.1 * 86_400.0 / 100.0);
    is_near("WAL pushes and backups", count("backup"), 16.7 * 0.1 * 86_400.0 / 100.0 + 100.0);
    assert_eq!(count("query"), 0);
    let runs = |class: &str| given.runs.iter().filter(|run| run.class == class).count() as u64;
    is_near("provisionings", runs("provisioning"), 60.0 * 0.1 * 24.0);
    is_near("backups", runs("backup"), 100.0);
}
