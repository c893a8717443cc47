use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::harness::spans::{chain, request, trace_hex};
use crate::harness::{Server, eventually};

/// Runs `spanhold inspect`; its output, and whether it worked.
fn inspect(arguments: &[&str]) -> (bool, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_spanhold"))
        .arg("inspect")
        .args(arguments)
        .output()
        .expect("runs");
    let text = if output.status.success() { output.stdout } else { output.stderr };
    (output.status.success(), String::from_utf8(text).expect("text"))
}

fn json(arguments: &[&str]) -> Value {
    let (worked, text) = inspect(&[arguments, &["--json"]].concat());
    assert!(worked, "{arguments:?}: {text}");
    serde_json::from_str(&text).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_and_its_folder_are_seen_from_inside() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &["--window-spans-max", "6"]);
    server.send(request("api", chain(1, 6))).await;
    server.offloaded(1.0).await;
    server.send(request("api", chain(2, 3))).await;
    let trace = trace_hex(2);
    eventually("columns", async || {
        server.get_json(&format!("/api/v1/inspect?trace={trace}")).await["windows"][0]["id"] == 2
    })
    .await;
    let url = server.http.clone();
    let cold = format!("file://{}", folder.path().join("cold").display());
    tokio::task::spawn_blocking(move || {
        let everything = json(&["--url", &url]);
        let states: Vec<_> =
            everything["windows"].as_array().expect("a list").iter().map(|window| &window["state"]).collect();
        assert_eq!(states, ["offloaded", "open"]);
        assert_eq!((&everything["windows"][1]["spans"], &everything["windows"][0]["spans"]), (&3.into(), &Value::Null));
        let manifest = &everything["manifests"][0];
        let (block, rollup) = (&manifest["blocks"][0], &manifest["rollups"][0]);
        assert_eq!((&block["spans"], &block["traces"], &block["windows"]), (&6.into(), &1.into(), &1.into()));
        assert_eq!((&rollup["spans"], &rollup["resolution_nano"]), (&6.into(), &"60000000000".into()));
        assert!(rollup["path"].as_str().is_some_and(|path| path.starts_with("tenant=default/rollups/")));
        // Without the server the folder says the same of what is in it.
        let from_folder = json(&["--cold", &cold]);
        assert_eq!(from_folder["manifests"], everything["manifests"]);
        assert_eq!(from_folder["windows"], Value::Array(Vec::new()));

        let id = block["id"].as_str().expect("an id");
        let detail = json(&["block", id, "--url", &url]);
        assert_eq!(detail, json(&["block", id, "--cold", &cold]));
        assert_eq!(detail["row_groups"][0]["rows"], 6);
        let columns = detail["columns"].as_array().expect("a list");
        let sum: u64 = columns.iter().filter_map(|column| column["compressed_bytes"].as_u64()).sum();
        let (size, index) = (block["bytes"].as_u64().expect("bytes"), block["index_bytes"].as_u64().expect("bytes"));
        assert!(sum <= size - index && sum > 6 * 8, "{sum} of {size}");
        let span_id = columns.iter().find(|column| column["name"] == "span_id").expect("a column");
        assert!(span_id["compressed_bytes"].as_u64().is_some_and(|bytes| bytes >= 48));

        let hot = json(&["trace", &trace_hex(2), "--url", &url]);
        assert_eq!((&hot["windows"][0]["id"], &hot["windows"][0]["batches"]), (&2.into(), &serde_json::json!([0])));
        assert_eq!(hot["blocks"], serde_json::json!([]));
        for places in [json(&["trace", &trace_hex(1), "--url", &url]), json(&["trace", &trace_hex(1), "--cold", &cold])]
        {
            assert_eq!(places["blocks"], serde_json::json!([{"id": id, "row_groups": [0]}]));
        }

        for (arguments, words) in [
            (&["windows"][..], &["offloaded", "open", "state"][..]),
            (&["blocks"], &[id, "B/span", "2026-11-23T"]),
            (&["rollups"], &["minute", "tenant=default/rollups/"]),
            (&["block", id], &["span_id", "row groups: 6 rows", "encodings", "PLAIN"]),
            (&["trace", &trace_hex(1)], &["window 1", "block", "row groups 0"]),
            (&["trace", &trace_hex(9)], &["no window and no block has trace"]),
            (&[], &["writer", "rollups", "open"]),
        ] {
            let (worked, text) = inspect(&[arguments, &["--url", &url]].concat());
            assert!(worked && words.iter().all(|word| text.contains(word)), "{arguments:?}:\n{text}");
        }
        let missing = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
        for arguments in [["block", missing, "--url", &url], ["block", missing, "--cold", &cold]] {
            let (worked, text) = inspect(&arguments);
            assert!(!worked && text.contains("is in a manifest"), "{text}");
        }
        let (worked, text) = inspect(&["--cold", "file:///nowhere/at/all"]);
        assert!(!worked && !Path::new("/nowhere").exists(), "{text}");
    })
    .await
    .expect("no panic");
}

fn operations_page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    std::fs::read_to_string(path).expect("readable")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_explained_and_none_that_there_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]);
    server.get("/api/v1/services").await;
    let metrics = server.get("/metrics").await;
    let told: BTreeSet<&str> =
        metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let page = operations_page();
    // In the page they stand as they are scraped: counters end in `_total`.
    let explained: BTreeSet<&str> = page
        .split('`')
        .filter(|word| word.starts_with("spanhold_"))
        .map(|word| word.split('{').next().unwrap_or(word))
        .map(|word| word.strip_suffix("_total").unwrap_or(word))
        .collect();
    let difference: Vec<_> = told.symmetric_difference(&explained).collect();
    assert!(difference.is_empty() && told.len() > 30, "only in one of /metrics and the page: {difference:?}");
}

#[test]
fn every_setting_is_explained_and_none_that_there_is_not() {
    let help = std::process::Command::new(env!("CARGO_BIN_EXE_spanhold")).args(["serve", "--help"]).output();
    let help = String::from_utf8(help.expect("runs").stdout).expect("text");
    let options: BTreeSet<&str> = help
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("--")?.split(' ').next())
        .filter(|option| *option != "config")
        .collect();
    let page = operations_page();
    let settings = page.split("## Every setting").nth(1).expect("the section");
    let rows = settings.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let explained: BTreeSet<&str> = rows.collect();
    let difference: Vec<_> = options.symmetric_difference(&explained).collect();
    assert!(difference.is_empty() && options.len() > 10, "only in one of --help and the page: {difference:?}");
}
