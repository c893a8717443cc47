//! Blocks in a folder, and the Python programs that read them.

use std::path::{Path, PathBuf};
use std::process::Command;

use proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use serde_json::Value;

use super::{Server, eventually, tool};

/// Programs of other people's readers that take blocks back to OTLP, by `docs/format.md` alone.
pub(crate) const READERS: [&str; 2] = ["read_block_pyarrow.py", "read_block_duckdb.py"];

/// A file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Has a server make one block of each request, in its folder `cold`.
pub(crate) async fn write_blocks(data: &Path, requests: &[ExportTraceServiceRequest]) {
    let unmerged = ["--window-spans-max", "1", "--hot-bytes-max", "0", "--merge-inputs-min", "1000000"];
    let server = Server::start(data, &unmerged);
    for (blocks, request) in (1u32..).zip(requests) {
        server.send(request.clone()).await;
        server.offloaded(f64::from(blocks)).await;
        // What a trace says of runs goes to the cold tier with the next block.
        eventually("runs looked at", async || server.metric("spanhold_store_runs_waiting").await == 0.0).await;
    }
    assert_eq!(server.terminate(), Some(0));
}

/// The blocks of a cold tier in the order in which they were written.
pub(crate) fn blocks(cold: &Path) -> Vec<PathBuf> {
    let days = std::fs::read_dir(cold.join("tenant=default/spans")).expect("a cold tier");
    let files = days.flat_map(|day| std::fs::read_dir(day.expect("readable").path()).expect("a folder"));
    let mut blocks: Vec<_> = files.map(|file| file.expect("readable").path()).collect();
    // Names sort by time.
    blocks.sort_by_key(|path| path.file_name().map(ToOwned::to_owned));
    blocks
}

/// What a program of `tests/clients/python` says of files, run in `folder`.
pub(crate) fn run_python(program: &str, folder: &Path, files: &[PathBuf]) -> Value {
    let output = Command::new(tool("SPANHOLD_TEST_PARQUET_PYTHON"))
        .arg(repository("tests/clients/python").join(program))
        .args(files)
        .current_dir(folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("runs");
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Copies a folder with all that is in it.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("readable");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("readable").is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}
