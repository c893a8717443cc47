use std::collections::BTreeMap;
use std::time::Instant;

use model::SpanKind;
use prost::Message;
use proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use proto::otlp::common::v1::any_value::Value as Wire;
use proto::otlp::common::v1::{AnyValue, KeyValue};
use proto::otlp::resource::v1::Resource;
use proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proto::{TraceId, UnixNanos};

use super::table::Table;
use super::window::of_window;
use super::*;
use crate::cold::encode;
use crate::cold::sieve::Everything;
use crate::window::Columns;

const MINUTE: i64 = Resolution::Minute.nanos();
/// 2026-11-23T20:00:00Z.
const START: i64 = 1_795_464_000_000_000_000;

/// Numbers that look random and are the same each time.
struct Noise(u64);

impl Noise {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

fn span(trace: u64, id: u64, parent: u64, name: &str, start: i64, duration: i64) -> Span {
    let bytes = |id: u64| if id == 0 { Vec::new() } else { id.to_be_bytes().to_vec() };
    Span {
        trace_id: (u128::from(trace) + 1).to_be_bytes().to_vec(),
        span_id: bytes(id),
        parent_span_id: bytes(parent),
        name: name.to_owned(),
        kind: 2,
        start_time_unix_nano: start as u64,
        end_time_unix_nano: (start + duration) as u64,
        ..Span::default()
    }
}

fn failed(span: Span) -> Span {
    Span { status: Some(Status { code: 2, message: String::new() }), ..span }
}

fn window(service: &str, spans: Vec<Span>) -> Columns {
    let name = AnyValue { value: Some(Wire::StringValue(service.to_owned())) };
    let attribute = KeyValue { key: "service.name".to_owned(), value: Some(name), ..KeyValue::default() };
    let resource = Resource { attributes: vec![attribute], ..Resource::default() };
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let all = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() }],
    };
    let mut columns = Columns::default();
    columns.push_batch(0, &all.encode_to_vec());
    columns
}

fn counted(columns: &Columns) -> Rollup {
    let order = encode::order(columns);
    of_window(columns, |row| order.has(row))
}

fn spans_of(rollup: &Rollup) -> u64 {
    rollup.rows.iter().map(|row| row.totals.spans).sum()
}

fn compact<'a>(rows: impl IntoIterator<Item = &'a Row>, resolution: Resolution) -> Rollup {
    let mut table = Table::new(usize::MAX);
    for row in rows {
        table.add(resolution.floor(row.start), row);
    }
    table.into_rollup(resolution)
}

fn through_a_file(rollup: &Rollup) -> Rollup {
    let mut table = Table::new(usize::MAX);
    let file = file::encode(rollup).expect("encodes");
    file::each_row(file, |row| table.add_view(row.start, row)).expect("what was written");
    table.into_rollup(rollup.resolution)
}

#[test]
fn spans_are_counted_by_minute_name_and_root_and_once() {
    let second = 1_000_000_000;
    let rollup = counted(&window(
        "api",
        vec![
            span(1, 1, 0, "Create", START, 2 * second),
            failed(span(1, 2, 1, "Create", START + second, 5)),
            span(2, 3, 0, "Create", START + 59 * second, 3 * second),
            span(3, 4, 0, "Create", START + 60 * second, -7),
            // Sent again, then with a later end, which counts.
            span(2, 3, 0, "Create", START + 59 * second, 3 * second),
            failed(span(2, 3, 0, "Create", START + 59 * second, 4 * second)),
        ],
    ));
    let seen: Vec<_> = rollup
        .rows
        .iter()
        .map(|row| {
            let Totals { spans, errors, sum_nanos, min_nanos, max_nanos, .. } = row.totals;
            (row.is_root, (row.start - START) / MINUTE, spans, errors, sum_nanos, min_nanos, max_nanos)
        })
        .collect();
    assert_eq!(
        seen,
        [(false, 0, 1, 1, 5, 5, 5), (true, 0, 2, 1, 6 * second, 2 * second, 4 * second), (true, 1, 1, 0, 0, 0, 0),]
    );
    assert!(rollup.rows.iter().all(|row| row.service == "api" && row.name == "Create" && row.kind == SpanKind::Server));
    assert_eq!(rollup.rows[1].totals.slowest, TraceId::from_bytes(&3u128.to_be_bytes()).expect("not zero"));
    assert_eq!(rollup.resolution, Resolution::Minute);
}

/// A window of some names, an hour long, with what its rollup must say: durations and errors by name.
fn noise(seed: u64, spans: u64) -> (Columns, BTreeMap<String, (Vec<i64>, u64)>) {
    let mut noise = Noise(seed);
    let mut expected: BTreeMap<String, (Vec<i64>, u64)> = BTreeMap::new();
    let mut sent = Vec::new();
    for number in 0..spans {
        let name = format!("op {}", noise.next(7));
        let duration = 1_000 + (1i64 << noise.next(34)) + noise.next(1_000_000) as i64;
        let start = START + noise.next(3_600) as i64 * 1_000_000_000;
        let mut span = span(number / 5, number + 1, number % 5, &name, start, duration);
        let (durations, errors) = expected.entry(name).or_default();
        durations.push(duration);
        if noise.next(9) == 0 {
            span = failed(span);
            *errors += 1;
        }
        if noise.next(11) == 0 {
            sent.push(span.clone());
        }
        sent.push(span);
    }
    (window("api", sent), expected)
}

fn check(rollup: &Rollup, expected: &BTreeMap<String, (Vec<i64>, u64)>) {
    let mut by_name: BTreeMap<&str, Totals> = BTreeMap::new();
    for row in &rollup.rows {
        by_name.entry(&row.name).and_modify(|totals| totals.merge(&row.totals)).or_insert_with(|| row.totals.clone());
    }
    assert_eq!(by_name.keys().copied().collect::<Vec<_>>(), expected.keys().map(String::as_str).collect::<Vec<_>>());
    for (name, (durations, errors)) in expected {
        let totals = &by_name[name.as_str()];
        let mut durations = durations.clone();
        durations.sort_unstable();
        assert_eq!((totals.spans, totals.errors), (durations.len() as u64, *errors), "{name}");
        assert_eq!(totals.sum_nanos, durations.iter().sum::<i64>());
        assert_eq!((totals.min_nanos, Some(&totals.max_nanos)), (durations[0], durations.last()));
        for quantile in [0.5, 0.9, 0.95, 0.99] {
            let exact = durations[(quantile * (durations.len() - 1) as f64) as usize];
            let found = totals.quantile_nanos(quantile);
            assert!(
                (found - exact).abs() as f64 <= exact as f64 * RELATIVE_ERROR,
                "{name} {quantile}: {found} {exact}"
            );
        }
    }
}

#[test]
fn counts_and_percentiles_survive_files_and_joining() {
    let (one, mut expected) = noise(1, 20_000);
    let (other, of_other) = noise(2, 5_000);
    let rollups = [counted(&one), counted(&other)];
    check(&rollups[0], &expected);
    for (name, (durations, errors)) in of_other {
        let (all, all_errors) = expected.entry(name).or_default();
        all.extend(durations);
        *all_errors += errors;
    }
    let read = rollups.each_ref().map(through_a_file);
    assert_eq!(read, rollups);
    let rows = || read.iter().flat_map(|rollup| &rollup.rows);
    let before = rows().count();
    for resolution in Resolution::ALL {
        let joined = compact(rows(), resolution);
        check(&joined, &expected);
        assert!(joined.rows.len() < before && joined.rows.iter().all(|row| row.start % resolution.nanos() == 0));
        assert_eq!(through_a_file(&joined), joined);
        // In steps it is the same as at once.
        let minutes = compact(rows(), Resolution::Minute);
        assert_eq!(compact(&minutes.rows, resolution), joined);
    }
}

#[test]
fn names_that_are_ids_are_counted_together() {
    let spans = NAMES_PER_SERVICE_MAX as u64 + 500;
    let mut sent: Vec<_> = (0..spans).map(|id| span(id, id + 1, 0, &format!("GET /{id}"), START, 10)).collect();
    sent.extend((0..3).map(|id| span(id, id + spans + 1, 0, "ready", START, 10)));
    let rollup = counted(&window("api", sent));
    assert_eq!(spans_of(&rollup), spans + 3);
    assert_eq!(rollup.rows.len(), NAMES_PER_SERVICE_MAX + 1);
    let other = rollup.rows.iter().find(|row| row.name == OTHER_NAMES).expect("a row for the rest");
    assert_eq!(other.totals.spans, 501);
    assert!(rollup.rows.iter().any(|row| row.name == "ready" && row.totals.spans == 3));
    // Two windows with other ids each do not make it more.
    let mut renamed = rollup.clone();
    renamed.rows.iter_mut().filter(|row| row.name.starts_with("GET")).for_each(|row| row.name.push('x'));
    let joined = compact(rollup.rows.iter().chain(&renamed.rows), Resolution::Minute);
    assert_eq!((spans_of(&joined), joined.rows.len()), (2 * (spans + 3), NAMES_PER_SERVICE_MAX + 1));
}

#[test]
fn clocks_all_over_the_place_make_coarse_rows() {
    let sent = (0..20_000).map(|id| span(id, id + 1, 0, "op", id as i64 * MINUTE, 10)).collect();
    let rollup = counted(&window("api", sent));
    assert_eq!((rollup.resolution, spans_of(&rollup)), (Resolution::Hour, 20_000));
    assert_eq!(rollup.rows.len(), 20_000usize.div_ceil(60));
    let extremes = window("api", vec![span(1, 1, 0, "op", 0, i64::MAX), span(2, 2, 0, "op", i64::MAX, 0)]);
    let rollup = counted(&extremes);
    assert_eq!((rollup.rows.len(), rollup.rows[0].totals.max_nanos), (2, i64::MAX));
    assert_eq!(through_a_file(&rollup), rollup);
}

#[test]
fn a_full_table_loses_no_count() {
    let mut table = Table::new(3);
    let rollup =
        counted(&window("api", (0..9).map(|id| span(id, id + 1, 0, &format!("op {id}"), START, 10)).collect()));
    for row in &rollup.rows {
        table.add(0, row);
    }
    for service in 0..50 {
        let row = Row { service: format!("service {service}"), ..rollup.rows[0].clone() };
        table.add(0, &row);
    }
    assert!(table.names_are_folded());
    let folded = table.into_rollup(Resolution::Day);
    assert_eq!(spans_of(&folded), 59);
    assert!(folded.rows.len() <= 2 * 3 + 1, "{} rows", folded.rows.len());
}

#[test]
fn what_is_no_rollup_is_refused() {
    for bytes in [&b""[..], b"PAR1", &[0; 100]] {
        assert!(file::each_row(bytes::Bytes::from_static(bytes), |_| Ok(())).is_err());
    }
    let (window, _) = noise(3, 10);
    let block = encode::encode(&window, &encode::order(&window), &mut Everything).expect("encodes").expect("spans");
    let error = file::each_row(block.bytes.into(), |_| Ok(())).expect_err("a block is no rollup").to_string();
    assert!(error.contains("format version"), "{error}");
}

#[test]
fn the_columns_are_those_that_other_readers_were_promised() {
    let file = file::encode(&counted(&window("api", vec![span(1, 1, 0, "op", START, 10)]))).expect("encodes");
    let reader = parquet::file::serialized_reader::SerializedFileReader::new(file).expect("Parquet");
    let metadata = parquet::file::reader::FileReader::metadata(&reader).file_metadata();
    let mut text = Vec::new();
    parquet::schema::printer::print_schema(&mut text, metadata.schema());
    let expected = "message arrow_schema {
  REQUIRED INT64 start_unix_nano;
  REQUIRED INT64 resolution_nano;
  REQUIRED BYTE_ARRAY service (STRING);
  REQUIRED BYTE_ARRAY name (STRING);
  REQUIRED BYTE_ARRAY kind (STRING);
  REQUIRED BOOLEAN is_root;
  REQUIRED INT64 spans;
  REQUIRED INT64 errors;
  REQUIRED INT64 sum_nano;
  REQUIRED INT64 min_nano;
  REQUIRED INT64 max_nano;
  REQUIRED BYTE_ARRAY sketch;
  REQUIRED FIXED_LEN_BYTE_ARRAY (16) exemplar_trace_id;
}
";
    assert_eq!(String::from_utf8(text).expect("text"), expected);
    let version =
        metadata.key_value_metadata().and_then(|pairs| pairs.iter().find(|pair| pair.key == "spanhold.rollup"));
    assert_eq!(version.and_then(|pair| pair.value.as_deref()), Some("1"));
}

/// How long counting takes: `cargo test --release --workspace nanoseconds_per_span -- --ignored --nocapture`.
#[test]
#[ignore = "measures"]
#[expect(clippy::print_stdout, reason = "that is its result")]
fn nanoseconds_per_span() {
    let mut noise = Noise(7);
    let spans = 100_000;
    let sent = (0..spans)
        .map(|number| {
            let name = format!("op {}", noise.next(300).min(noise.next(300)));
            let duration = 1_000 + (1i64 << noise.next(30)) + noise.next(1_000_000) as i64;
            let start = START + noise.next(90) as i64 * 1_000_000_000;
            span(number / 6, number + 1, number % 6, &name, start, duration)
        })
        .collect();
    let columns = window("api", sent);
    let order = encode::order(&columns);
    let mut best = f64::MAX;
    let mut rows = 0;
    for _ in 0..20 {
        let started = Instant::now();
        let rollup = of_window(&columns, |row| order.has(row));
        best = best.min(started.elapsed().as_nanos() as f64 / spans as f64);
        rows = rollup.rows.len();
    }
    let bytes = file::encode(&counted(&columns)).expect("encodes").len();
    println!("{best:.1} ns a span, {rows} rows, {:.2} bytes a span", bytes as f64 / spans as f64);
    assert_eq!(UnixNanos::from_i64(START).as_i64(), START);
}
