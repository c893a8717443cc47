use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::harness::blocks::{READERS, blocks, copy_folder, repository, run_python, write_blocks};
use crate::harness::otlp_json::{Spans, service, traces_data};
use crate::harness::{Server, nanos, rich};

/// A folder for each version of the format: `cold`, a cold tier as a server of that version left it, and `sent.jsonl.gz`,
/// what it had been sent: OTLP/JSON, one request a line.
const FIXTURES: &str = "tests/fixtures/formats";

const SENT: &str = "sent.jsonl.gz";

fn versions() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(repository(FIXTURES)).expect("fixtures");
    let mut versions: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    versions.sort();
    versions
}

/// The folder of the version that this program writes.
fn current_version(cold: &Path) -> PathBuf {
    let report = run_python(READERS[0], cold, &blocks(cold));
    let version = report["files"][0]["format"].as_str().expect("a version");
    repository(FIXTURES).join(format!("v{version}"))
}

fn sent(version: &Path) -> Spans {
    let file = std::fs::File::open(version.join(SENT)).expect("what was sent");
    let lines = std::io::read_to_string(GzDecoder::new(file)).expect("text");
    let requests: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("OTLP/JSON")).collect();
    assert!(!requests.is_empty(), "{} is empty", version.display());
    Spans::sent(&requests)
}

/// A node that has nothing but that cold tier answers with all that was sent.
async fn check(version: &Path) {
    let sent = sent(version);
    let folder = tempfile::tempdir().expect("a folder");
    let cold = folder.path().join("cold");
    // A start tries what the object store can do, which writes.
    copy_folder(&version.join("cold"), &cold);
    let by = version.display().to_string();
    for reader in READERS {
        let report = run_python(reader, folder.path(), &blocks(&cold));
        Spans::answered(&report["tracesData"]).assert_are(&sent, &format!("{by}, {reader}"));
    }

    let url = format!("file://{}", cold.display());
    let server = Server::start(&folder.path().join("data"), &["--cold", &url]);
    let mut answered = Spans::default();
    for (trace, spans) in sent.traces() {
        answered.extend(&server.get_json(&format!("/api/v1/traces/{trace}/otlp")).await);
        assert_eq!(server.trace(&trace).await["span_count"], spans, "{by}");
    }
    answered.assert_are(&sent, &by);
    let services = server.get_json("/api/v1/services").await;
    let services = services["services"].as_array().expect("a list").iter();
    let names: BTreeSet<&str> = services.filter_map(|service| service["name"].as_str()).collect();
    assert_eq!(names, sent.iter().map(service).collect(), "{by}");
    for name in names {
        let found = server.get_json(&format!("/api/v1/search?start=0&end=2262-01-01T00:00:00Z&service={name}")).await;
        let of_service = sent.iter().filter(|span| service(span) == name && !starts_in_2262(span));
        let traces: BTreeSet<_> = of_service.map(|span| span["span"]["traceId"].as_str()).collect();
        assert_eq!(found["total"], traces.len(), "{by}, {name}");
    }
}

/// After what a search can be asked for.
fn starts_in_2262(span: &Value) -> bool {
    nanos(&span["span"]["startTimeUnixNano"]) == i64::MAX
}

#[tokio::test(flavor = "multi_thread")]
async fn every_version_is_read() {
    let versions = versions();
    assert!(!versions.is_empty(), "no fixtures");
    for version in versions {
        check(&version).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_version_that_is_written_has_a_fixture() {
    let folder = tempfile::tempdir().expect("a folder");
    write_blocks(folder.path(), &[rich::second_block()]).await;
    let current = current_version(&folder.path().join("cold"));
    assert!(current.is_dir(), "no {}: run the test write_the_fixture with --ignored", current.display());
}

/// `cargo test --release --workspace write_the_fixture -- --ignored`, once, when the version was raised.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes the fixture of the current version"]
async fn write_the_fixture() {
    let folder = tempfile::tempdir().expect("a folder");
    let requests = [rich::first_block(), rich::second_block()];
    write_blocks(folder.path(), &requests).await;
    let cold = folder.path().join("cold");
    let version = current_version(&cold);
    assert!(!version.exists(), "{} is there: what was released stays as it is", version.display());
    copy_folder(&cold, &version.join("cold"));
    let file = std::fs::File::create(version.join(SENT)).expect("a file");
    let mut file = GzEncoder::new(file, Compression::best());
    for request in &requests {
        writeln!(file, "{}", traces_data(request)).expect("written");
    }
    file.finish().expect("written");
}
