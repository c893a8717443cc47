use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use proto::otlp::trace::v1::Span;
use proto::otlp::trace::v1::span::Event;
use serde::Serialize;
use serde_json::{Value, json};

use crate::harness::blocks::{READERS, blocks, repository, run_python, write_blocks};
use crate::harness::otlp_json::{Spans, service, traces_data};
use crate::harness::spans::{request, span, text};
use crate::harness::{Server, nanos, rich};

fn sent(requests: &[ExportTraceServiceRequest]) -> Spans {
    let sent: Vec<_> = requests.iter().map(traces_data).collect();
    Spans::sent(&sent)
}

/// Compares what a reader says of files with what was sent.
fn check(reader: &str, folder: &Path, files: &[PathBuf], sent: &Spans) -> Value {
    let report = run_python(reader, folder, files);
    Spans::answered(&report["tracesData"]).assert_are(sent, reader);
    report
}

/// What the metadata of a block says of a service.
#[derive(Default, Serialize)]
struct ServiceCounts<'a> {
    spans: u64,
    errors: u64,
    last_start: i64,
    operations: BTreeMap<&'a str, u64>,
}

/// What the metadata of a block with these spans has to say.
fn catalog(spans: &Spans) -> Value {
    let mut services: BTreeMap<&str, ServiceCounts> = BTreeMap::new();
    for flat in spans.iter() {
        let counts = services.entry(service(flat)).or_default();
        counts.spans += 1;
        counts.errors += u64::from(flat["span"]["status"]["code"] == 2);
        counts.last_start = nanos(&flat["span"]["startTimeUnixNano"]).max(counts.last_start);
        *counts.operations.entry(flat["span"]["name"].as_str().expect("text")).or_default() += 1;
    }
    json!({ "services": services })
}

/// Every type of value everywhere it can be, read by others block by block and over all blocks.
#[tokio::test(flavor = "multi_thread")]
async fn pyarrow_and_duckdb_read_what_was_sent() {
    let folder = tempfile::tempdir().expect("a folder");
    let requests = [rich::first_block(), rich::second_block(), rich::block_of_many_keys()];
    write_blocks(folder.path(), &requests).await;
    let files = blocks(&folder.path().join("cold"));
    assert_eq!(files.len(), requests.len());
    for reader in READERS {
        for (file, request) in files.iter().zip(&requests) {
            let of_block = sent(std::slice::from_ref(request));
            let report = check(reader, folder.path(), std::slice::from_ref(file), &of_block);
            let about = &report["files"][0];
            assert_eq!(about["catalog"], catalog(&of_block), "{reader}");
            let writer = format!("spanhold {}", env!("CARGO_PKG_VERSION"));
            assert_eq!((&about["createdBy"], &about["rowGroups"]), (&json!(writer), &json!(1)), "{reader}");
            assert_eq!(report["found"], json!(of_block.traces()), "{reader}: a search by trace id");
        }
        check(reader, folder.path(), &files, &sent(&requests));
    }

    // The program itself, from the same files.
    let server = Server::start(folder.path(), &[]);
    let (sent, mut answered) = (sent(&requests), Spans::default());
    for trace in sent.traces().keys() {
        answered.extend(&server.get_json(&format!("/api/v1/traces/{trace}/otlp")).await);
    }
    answered.assert_are(&sent, "the program");
}

/// One trace that is longer than a row group; its spans have their parent in the first one.
#[tokio::test(flavor = "multi_thread")]
async fn parents_are_found_across_row_groups() {
    const SPANS: u64 = 70_000;
    let folder = tempfile::tempdir().expect("a folder");
    let all: Vec<_> = (1..=SPANS)
        .map(|number| Span {
            span_id: number.to_be_bytes().to_vec(),
            parent_span_id: if number == 1 { Vec::new() } else { (number / 2).to_be_bytes().to_vec() },
            start_time_unix_nano: number,
            ..span(1, 1, 0)
        })
        .collect();
    let requests: Vec<_> = all.chunks(10_000).map(|spans| request("svc", spans.to_vec())).collect();
    let server = Server::start(folder.path(), &["--window-spans-max", &SPANS.to_string()]);
    for request in &requests {
        server.send(request.clone()).await;
    }
    server.offloaded(1.0).await;
    let (files, sent) = (blocks(&folder.path().join("cold")), sent(&requests));
    assert_eq!((files.len(), sent.len()), (1, SPANS as usize));
    for reader in READERS {
        let report = check(reader, folder.path(), &files, &sent);
        assert!(report["files"][0]["rowGroups"].as_u64().is_some_and(|groups| groups > 1), "{}", report["files"]);
        assert_eq!(report["found"], json!(sent.traces()), "{reader}: a search by trace id");
    }
}

/// A small trace with what the examples of the document ask for.
fn documented() -> ExportTraceServiceRequest {
    let query = |id: u8, parent: u8| Span {
        trace_id: 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes().to_vec(),
        attributes: vec![text("db.system.name", "postgresql")],
        events: vec![Event { name: "retry".to_owned(), ..Event::default() }],
        ..span(8, id, parent)
    };
    let mut spans: Vec<_> = (1..=150).map(|id| query(id, id / 2)).collect();
    spans[3].attributes.push(text("db.query.text", "SELECT 1"));
    let mut request = request("pooler", spans);
    let resource = request.resource_spans[0].resource.as_mut().expect("a resource");
    resource.attributes.push(text("service.version", "1.2.3"));
    request
}

/// An operation that has a run.
fn operation() -> ExportTraceServiceRequest {
    request("control-api", vec![Span { name: "CreateInstance".to_owned(), ..span(9, 1, 0) }])
}

/// What the document shows can be pasted.
#[tokio::test(flavor = "multi_thread")]
async fn the_examples_of_the_document_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let requests = [operation(), rich::first_block(), documented(), rich::second_block()];
    write_blocks(folder.path(), &requests).await;
    let cold = folder.path().join("cold");
    let files = blocks(&cold);
    std::fs::copy(&files[2], folder.path().join("block.parquet")).expect("a copy");
    // In no manifest, so it does not count, though it is there.
    std::fs::copy(&files[0], files[0].with_file_name("left-behind.parquet")).expect("a copy");

    let said = run_python("run_document.py", folder.path(), &[repository("docs/format.md")]);
    let results = said["sql"].as_array().expect("results");
    for result in results {
        let query = result["query"].as_str().expect("SQL");
        let defines = query.starts_with("SET") || query.starts_with("CREATE");
        assert!(defines || result["rows"].as_array().is_some_and(|rows| !rows.is_empty()), "no rows: {query}");
    }
    let row = |columns: &[&str]| json!(columns);
    let has = |wanted: Value| results.iter().any(|it| it["rows"].as_array().is_some_and(|rows| rows.contains(&wanted)));
    assert!(has(row(&["default", "pooler", "150", "150"])), "{results:#?}");
    assert!(has(row(&["SELECT 1", "1.2.3", "1"])), "{results:#?}");
    assert!(has(row(&["pooler", "retry", "150"])), "{results:#?}");
    assert!(said["python"].as_str().is_some_and(|text| text.contains(&i64::MAX.to_string())), "{said}");

    // The view has all spans with their parents and times, each once.
    let (sent, view) = (sent(&requests), said["spans"].as_array().expect("spans"));
    assert_eq!(view.len(), sent.len());
    for (row, flat) in view.iter().zip(sent.iter()) {
        let span = &flat["span"];
        let (start, end) = (nanos(&span["startTimeUnixNano"]), nanos(&span["endTimeUnixNano"]));
        assert_eq!(row, &json!([span["traceId"], span["spanId"], span["parentSpanId"], start, end - start]));
    }
}
