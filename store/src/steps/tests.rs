//! Held against a truth that knows nothing of windows: [`model::assemble`] over all spans of each trace.

use std::collections::BTreeMap;

use model::Trace;
use proptest::prelude::*;
use prost::Message;
use proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

use super::bones::Bones;
use super::earlier::bones_of;
use super::shape::{Shaper, Texts};
use super::table::Table;
use super::*;
use crate::cold::encode;
use crate::convert;
use crate::fixture::{EPOCH, MINUTE, SECOND, text, trace_id};
use crate::window::Columns;

fn request(service: &str, version: &str, spans: Vec<Span>) -> ResourceSpans {
    let attributes =
        vec![text("service.name", service), text("service.version", version), text("cloud.region", "eu-1")];
    let resource = proto::otlp::resource::v1::Resource { attributes, ..Default::default() };
    ResourceSpans {
        resource: Some(resource),
        scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    }
}

fn columns(resource_spans: Vec<ResourceSpans>) -> (Columns, Vec<u8>) {
    let bytes = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
    let mut columns = Columns::default();
    columns.push_batch(0, &bytes);
    (columns, bytes)
}

fn bones(resource_spans: Vec<ResourceSpans>) -> std::sync::Arc<Bones> {
    bones_of(1, &columns(resource_spans).0)
}

fn counted(bones: &Bones) -> StepRollup {
    let mut table = Table::new(Resolution::Minute);
    let (mut shaper, mut texts) = (Shaper::default(), Texts::default());
    for (number, (trace, _)) in bones.traces.iter().enumerate() {
        shaper.count(&mut table, &mut texts, *trace, bones, bones.of_trace(number), false);
    }
    table.into_rollup()
}

fn span(trace: u64, id: u64, parent: u64, name: &str, start: i64, duration: i64) -> Span {
    let bytes = |id: u64| if id == 0 { Vec::new() } else { id.to_be_bytes().to_vec() };
    Span {
        trace_id: trace_id(trace).as_bytes().to_vec(),
        span_id: bytes(id),
        parent_span_id: bytes(parent),
        name: name.to_owned(),
        start_time_unix_nano: (EPOCH + start) as u64,
        end_time_unix_nano: (EPOCH + start + duration) as u64,
        ..Span::default()
    }
}

/// The critical path by its definition, from the end back.
fn critical(trace: &Trace, at: usize, from: i64, to: i64, found: &mut BTreeMap<usize, i64>) {
    let mut children: Vec<usize> =
        (0..trace.nodes.len()).filter(|child| trace.nodes[*child].parent == Some(at)).collect();
    let by_end = |child: &usize| {
        let interval = trace.nodes[*child].interval();
        (std::cmp::Reverse(interval.end), interval.start, *child)
    };
    children.sort_by_key(by_end);
    let (mut own, mut end) = (0, to);
    for child in children {
        let interval = trace.nodes[child].interval();
        let (start, stop) = (interval.start.as_i64().max(from), interval.end.as_i64().min(to));
        if start < stop && stop <= end {
            own += end - stop;
            critical(trace, child, start, stop, found);
            end = start;
        }
    }
    found.insert(at, own + end - from);
}

/// Spans, errors, durations, self times and time on the critical path by service, operation and path.
type Truth = BTreeMap<(String, String, Vec<String>), (i64, i64, i64, i64, i64)>;

fn truth(traces: &[Trace]) -> Truth {
    let mut truth = Truth::new();
    for trace in traces {
        let mut found = BTreeMap::new();
        let mut paths: Vec<(String, String, Vec<String>)> = Vec::new();
        for (at, node) in trace.nodes.iter().enumerate() {
            let name = node.span.as_ref().map_or_else(String::new, |span| span.name.clone());
            let service = node.span.as_ref().map_or_else(String::new, |span| span.service().to_owned());
            let above = node.parent.filter(|above| trace.nodes[*above].span.is_some());
            let path = match above {
                Some(above) => {
                    let (service, operation, mut path) = paths[above].clone();
                    path.push(name);
                    (service, operation, path)
                }
                None if node.is_root => (service, name, Vec::new()),
                None => (service, NO_ROOT.to_owned(), vec![name]),
            };
            paths.push(path);
            let Some(span) = &node.span else { continue };
            if above.is_none() {
                critical(trace, at, node.start.as_i64(), node.interval().end.as_i64(), &mut found);
            }
            let row = truth.entry(paths[at].clone()).or_default();
            row.0 += 1;
            row.1 += i64::from(span.status == model::StatusCode::Error);
            row.2 += node.duration_nanos();
            row.3 += node.self_time_nanos;
        }
        for (at, nanos) in found {
            truth.get_mut(&paths[at]).expect("counted").4 += nanos;
        }
    }
    truth
}

/// A trace of up to 40 spans whose parents are anywhere: above, beside, missing, or in a circle.
fn any_spans() -> impl Strategy<Value = Vec<Span>> {
    let one = (0u64..4, 1u64..20, 0u64..24, 0usize..4, 0i64..100, -5i64..100, any::<bool>());
    prop::collection::vec(one, 1..40).prop_map(|spans| {
        let of = |(trace, id, parent, name, start, duration, fails): (u64, u64, u64, usize, i64, i64, bool)| Span {
            status: fails.then(|| Status { code: 2, message: String::new() }),
            ..span(trace, id, parent, ["a", "b", "c", "d"][name], start, duration)
        };
        spans.into_iter().map(of).collect()
    })
}

proptest! {
    #[test]
    fn steps_are_those_of_the_tree(spans in any_spans()) {
        let (columns, bytes) = columns(vec![request("api", "1", spans)]);
        let rollup = counted(&bones_of(1, &columns));
        let mut found = Truth::new();
        for row in rollup.rows.iter().filter(|row| row.attribute.is_none()) {
            let path: Vec<String> = serde_json::from_str(&row.path).expect("a list");
            let total = found.entry((row.service.clone(), row.operation.clone(), path)).or_default();
            total.0 += row.change.spans;
            total.1 += row.change.errors;
            total.2 += row.change.sum_nanos;
            total.3 += row.change.self_nanos;
            total.4 += row.change.critical_nanos;
        }
        let trees = (0..4).filter_map(|trace| {
            let mut spans = Vec::new();
            convert::spans_of_trace(&bytes, trace_id(trace), &mut spans);
            // Of two with one id that end together the first one of the window counts; the tree takes another one.
            let order = encode::order(&columns);
            let kept: Vec<_> = order.old_of_new.iter().map(|row| *row as usize).collect();
            let is_kept = |span: &model::Span| kept.iter().any(|row| {
                columns.traces.id_of_row(*row) == span.trace_id && columns.span_id[*row] == span.span_id
                    && columns.start[*row] == span.start.as_i64() && columns.end[*row] == span.end.as_i64()
                    && columns.texts.get(columns.name[*row]) == span.name && columns.parent_span_id[*row] == span.parent_span_id
                    && i32::from(columns.status[*row]) == span.status.to_wire()
            });
            spans.retain(is_kept);
            spans.dedup();
            model::assemble(spans)
        });
        prop_assert_eq!(found, truth(&trees.collect::<Vec<_>>()));
    }

    #[test]
    fn files_and_joining_lose_nothing(spans in any_spans(), other in any_spans()) {
        let rollups = [counted(&bones(vec![request("api", "1", spans)])), counted(&bones(vec![request("db", "2", other)]))];
        for rollup in &rollups {
            let mut table = Table::new(Resolution::Minute);
            let file = file::encode(rollup).expect("encodes");
            file::each_row(file, &file::Part::ALL, |row| table.add_view(row.start, row)).expect("what was written");
            prop_assert_eq!(&table.into_rollup(), rollup);
        }
        for resolution in Resolution::ALL {
            let (mut one, mut two) = (Table::new(resolution), Table::new(resolution));
            for row in rollups.iter().flat_map(|rollup| &rollup.rows) {
                one.add(row.start, row).expect("a path");
            }
            for rollup in rollups.iter().rev() {
                let file = file::encode(rollup).expect("encodes");
                file::each_row(file, &file::Part::ALL, |row| two.add_view(row.start, row)).expect("what was written");
            }
            prop_assert_eq!(one.into_rollup(), two.into_rollup());
        }
    }
}

#[test]
fn a_step_has_count_times_and_critical_path() {
    let spans = vec![
        span(1, 1, 0, "Create", 10 * SECOND, 10 * SECOND),
        span(1, 2, 1, "allocate", 11 * SECOND, 4 * SECOND),
        span(1, 3, 1, "notify", 12 * SECOND, 2 * SECOND),
        span(1, 4, 1, "wait", 15 * SECOND, 5 * SECOND),
        // After its parent's end: counted, and not on the path.
        span(1, 5, 4, "poll", 19 * SECOND, 5 * SECOND),
    ];
    let rollup = counted(&bones(vec![request("api", "1.2", spans)]));
    let of = |path: &str| {
        let is_it = |row: &&Row| row.path == path && row.attribute.is_none();
        let row = rollup.rows.iter().find(is_it).expect("a row");
        assert_eq!((row.operation.as_str(), row.value.as_deref(), row.start), ("Create", Some("1.2"), EPOCH));
        let totals = row.change.to_totals();
        let seconds = |nanos: i64| nanos / SECOND;
        assert_eq!(totals.slowest, Some(trace_id(1)));
        (totals.spans, seconds(totals.sum_nanos), seconds(totals.self_nanos), seconds(totals.critical_nanos))
    };
    assert_eq!(of("[]"), (1, 10, 1, 1));
    assert_eq!(of(r#"["allocate"]"#), (1, 4, 4, 4));
    assert_eq!(of(r#"["notify"]"#), (1, 2, 2, 0));
    assert_eq!(of(r#"["wait"]"#), (1, 5, 4, 4));
    assert_eq!(of(r#"["wait","poll"]"#), (1, 5, 5, 1));
    let by_region: Vec<_> = rollup.rows.iter().filter(|row| row.attribute == Some(0)).collect();
    assert_eq!(by_region.len(), 1, "only the root");
    assert_eq!((by_region[0].value.as_deref(), by_region[0].path.as_str()), (Some("eu-1"), "[]"));
}

#[test]
fn start_markers_count_for_nothing() {
    let marked = |key: &str, value: &str, span: Span| Span { attributes: vec![text(key, value)], ..span };
    let spans = vec![
        span(1, 1, 0, "Create", 0, SECOND),
        marked("logfire.span_type", "pending_span", span(1, 2, 1, "Create", 0, 0)),
        marked("dbaas.span.state", "started", span(1, 3, 1, "wait", 0, 0)),
        marked("dbaas.span.state", "ended", span(1, 4, 1, "wait", 0, 0)),
    ];
    let rollup = counted(&bones(vec![request("api", "1", spans)]));
    assert_eq!(rollup.rows.iter().filter(|row| row.attribute.is_none()).map(|row| row.change.spans).sum::<i64>(), 2);
}

#[test]
fn what_is_too_much_is_counted_together() {
    let mut spans = vec![span(0, 1, 0, "Create", 0, SECOND)];
    spans.extend((0..2_000).map(|id| span(0, id + 2, 1, &format!("step {id}"), 0, SECOND)));
    // A chain.
    spans.extend((0..2_000).map(|id| span(1, id + 1, id, "deeper", 0, SECOND)));
    spans.extend((0..9).map(|id| span(20_000 + id, 1, 0, "Create", 0, SECOND)));
    spans.extend((0..9).map(|id| span(30_000 + id, 1, 0, "deeper", 0, SECOND)));
    spans.extend((0..2_000).map(|id| span(id + 2, 1, 0, &format!("GET /{id}"), 0, SECOND)));
    let values = (0..600).map(|id| Span {
        attributes: vec![text("dbaas.instance.id", &format!("db-{id}"))],
        ..span(id + 5_000, 1, 0, "Check", 0, SECOND)
    });
    spans.extend(values);
    let rollup = counted(&bones(vec![request("api", "1", spans)]));
    let of_versions = || rollup.rows.iter().filter(|row| row.attribute.is_none());
    assert_eq!(of_versions().map(|row| row.change.spans).sum::<i64>(), 1 + 3 * 2_000 + 600 + 18);
    let steps = of_versions().filter(|row| row.operation == "Create").count();
    assert_eq!(steps, 1 + STEPS_PER_OPERATION_MAX as usize + 1);
    let rest = of_versions().find(|row| row.operation == "Create" && row.path.contains(OTHER_STEPS)).expect("a rest");
    assert_eq!(rest.change.spans, 1_000);
    assert_eq!(of_versions().filter(|row| row.operation == "deeper").count(), 1 + usize::from(DEPTH_MAX) + 1);
    let operations = of_versions().filter(|row| row.path == "[]").count();
    assert_eq!(operations, OPERATIONS_PER_SERVICE_MAX as usize + 1);
    let instances: Vec<_> = rollup.rows.iter().filter(|row| row.attribute == Some(3)).collect();
    assert!(instances.len() <= VALUES_MAX as usize + 1, "{}", instances.len());
    assert_eq!(instances.iter().map(|row| row.change.spans).sum::<i64>(), 600);
}

#[test]
fn clocks_all_over_the_place_make_coarse_rows() {
    let spans = (0..80_000).map(|id| span(id, 1, 0, "op", id as i64 * MINUTE, 10)).collect();
    let one = ResourceSpans { resource: None, ..request("api", "1", spans) };
    let rollup = counted(&bones(vec![one]));
    assert_eq!(rollup.resolution, Resolution::Hour);
    assert_eq!(rollup.rows.iter().map(|row| row.change.spans).sum::<i64>(), 80_000);
    assert!(rollup.rows.len() <= 80_000usize.div_ceil(60) + 1);
}

#[test]
fn an_extreme_that_was_taken_back_is_told_by_its_bucket() {
    let rows = |spans| counted(&bones(vec![request("api", "1", spans)])).rows;
    let mut change = Change::default();
    for row in rows(vec![span(1, 1, 0, "op", 0, SECOND), span(2, 1, 0, "op", 0, 9 * SECOND)]).iter().take(1) {
        change.merge(&row.change);
    }
    assert_eq!(change.to_totals().max_nanos, 9 * SECOND);
    let mut back = rows(vec![span(2, 1, 0, "op", 0, 9 * SECOND)]).remove(0).change;
    (back.spans, back.sum_nanos, back.extremes) = (-1, -back.sum_nanos, None);
    let mut taken = super::spread::Spread::default();
    taken.add(super::spread::bucket_of(9 * SECOND), -1);
    back.durations = taken;
    change.merge(&back);
    let totals = change.to_totals();
    assert_eq!(totals.spans, 1);
    assert!((totals.max_nanos - SECOND).abs() <= SECOND / 100, "{}", totals.max_nanos);
}

#[test]
fn what_is_no_rollup_is_refused() {
    for bytes in [&b""[..], b"PAR1", &[0; 100]] {
        assert!(file::each_row(bytes::Bytes::from_static(bytes), &file::Part::ALL, |_| Ok(())).is_err());
    }
}
