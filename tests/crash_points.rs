use std::path::Path;

use serde_json::Value;
use store::Point;

use crate::harness::Server;
use crate::harness::spans::{chain, request};
use crate::harness::traffic::{SPANS, Traffic, expect_kept};

/// Traces that are sent to each server: many windows.
const TRACES: u64 = 400;

/// Small windows, and none that stays in the hot tier when it is offloaded.
const SMALL_WINDOWS: [&str; 6] = ["--window-spans-max", "100", "--hot-bytes-max", "0", "--windows-waiting-max", "100"];

/// At which reach of each point to kill, so that there is something from before; `None` for what this program never
/// reaches.
fn reach(point: Point) -> Option<u64> {
    match point {
        Point::BatchesSynced => Some(30),
        Point::WindowSealed
        | Point::WindowFlushed
        | Point::BlockPut
        | Point::BlockCommitted
        | Point::BlockShown
        | Point::WindowsRetired => Some(3),
        Point::RollupsJoined | Point::MergedPut | Point::MergeCommitted => Some(1),
        // Objects are swept after a grace that is longer than this test. This traffic deletes nothing.
        Point::OrphanSwept | Point::DeletesCommitted => None,
    }
}

/// Kills the program at every point, each time with a folder of its own; what was acknowledged is there after the next
/// start and the one after that, each span once, and moves to the cold tier as if nothing had been.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_point_loses_nothing_and_doubles_nothing() {
    let mut killed = 0;
    for point in Point::ALL {
        let Some(reach) = reach(point) else { continue };
        let folder = tempfile::tempdir().expect("a folder");
        let stop = format!("{point}:{reach}");
        let server = Server::start_with(folder.path(), &SMALL_WINDOWS, &[("SPANHOLD_STOP_AT", &stop)]);
        let traffic = Traffic::start(&server, 0, TRACES);
        server.stopped_at(point.name()).await;
        server.kill();
        let mut kept = traffic.end().await;
        assert!(!kept.is_empty(), "{point}: nothing was acknowledged");

        let server = Server::start(folder.path(), &SMALL_WINDOWS);
        expect_kept(&server, &kept).await;
        // Enough for one more window, so that the last one moves too.
        for number in TRACES..TRACES + 100 / u64::from(SPANS) {
            server.send(request("svc", chain(number, SPANS))).await;
            kept.push(number);
        }
        server.offloaded(1.0).await;
        expect_kept(&server, &kept).await;
        expect_whole_blocks(&folder.path().join("cold"));
        let code = tokio::task::spawn_blocking(move || server.terminate()).await.expect("no panic");
        assert_eq!(code, Some(0), "{point}");

        let server = Server::start(folder.path(), &SMALL_WINDOWS);
        expect_kept(&server, &kept).await;
        killed += 1;
    }
    assert!(killed >= 7, "only {killed} points");
}

/// What the newest manifest names is there in full, and no window is named twice.
fn expect_whole_blocks(cold: &Path) {
    let writers = std::fs::read_dir(cold.join("tenant=default/manifest")).expect("a folder of manifests");
    for writer in writers {
        let manifests = std::fs::read_dir(writer.expect("readable").path()).expect("a folder");
        let newest = manifests.map(|file| file.expect("readable").path()).max().expect("a manifest");
        let manifest: Value = serde_json::from_slice(&std::fs::read(&newest).expect("readable")).expect("JSON");
        let mut windows = Vec::new();
        for block in manifest["blocks"].as_array().expect("blocks") {
            let path = cold.join(block["path"].as_str().expect("a path"));
            let bytes = std::fs::metadata(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).len();
            assert_eq!(block["bytes"].as_u64(), Some(bytes), "{}", path.display());
            windows.extend(block["windows"].as_array().expect("windows").iter().map(|it| it.as_u64().expect("an id")));
        }
        let named = windows.len();
        windows.sort_unstable();
        windows.dedup();
        assert_eq!(named, windows.len(), "a window is in two blocks: {manifest:#}");
    }
}

/// A stop at a place that does not exist is a mistake in a test, and is said.
#[test]
fn an_unknown_point_ends_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let ended = std::process::Command::new(env!("CARGO_BIN_EXE_spanhold"))
        .args(["serve", "--otlp-grpc-listen", "127.0.0.1:0", "--otlp-http-listen", "127.0.0.1:0"])
        .args(["--http-listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder.path())
        .env("SPANHOLD_STOP_AT", "nowhere")
        .output()
        .expect("runs");
    assert!(!ended.status.success());
    let words = String::from_utf8_lossy(&ended.stderr);
    assert!(words.contains("SPANHOLD_STOP_AT=nowhere") && words.contains("block-put"), "{words}");
}
