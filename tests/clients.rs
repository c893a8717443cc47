use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::harness::{Server, tool};

/// What a client says that it sent: the last line of its output. See `tests/clients/README.md`.
fn report(output: &str) -> Value {
    serde_json::from_str(output.lines().last().unwrap_or_default()).unwrap_or_else(|error| panic!("{error}: {output}"))
}

fn run(command: &mut Command) -> Value {
    let output = command.output().expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    report(&String::from_utf8(output.stdout).expect("text"))
}

fn sorted(attributes: &Value) -> Vec<Value> {
    let mut attributes = attributes.as_array().expect("a list").clone();
    attributes.sort_by(|a, b| a["key"].as_str().cmp(&b["key"].as_str()));
    attributes
}

/// Compares a span with what its SDK was told.
fn check_span(trace: &Value, sent: &Value, resource: &Value) {
    let spans = trace["spans"].as_array().expect("spans");
    let got = spans.iter().find(|span| span["span_id"] == sent["span_id"]);
    let got = got.unwrap_or_else(|| panic!("{} is missing", sent["name"]));
    for field in ["parent_span_id", "service", "name", "kind", "start_unix_nano", "end_unix_nano", "status"] {
        assert_eq!(got[field], sent[field], "{field} of {}", sent["name"]);
    }
    assert_eq!(got["attributes"], Value::Array(sorted(&sent["attributes"])), "attributes of {}", sent["name"]);
    let (events, sent_events) = (got["events"].as_array().expect("a list"), sent["events"].as_array().expect("a list"));
    assert_eq!(events.len(), sent_events.len(), "events of {}", sent["name"]);
    for (event, sent) in events.iter().zip(sent_events) {
        assert_eq!((&event["name"], &event["time_unix_nano"]), (&sent["name"], &sent["time_unix_nano"]));
        assert_eq!(event["attributes"], Value::Array(sorted(&sent["attributes"])), "{}", sent["name"]);
    }
    let (links, sent_links) = (got["links"].as_array().expect("a list"), sent["links"].as_array().expect("a list"));
    assert_eq!(links.len(), sent_links.len(), "links of {}", sent["name"]);
    for (link, sent) in links.iter().zip(sent_links) {
        assert_eq!((&link["trace_id"], &link["span_id"]), (&sent["trace_id"], &sent["span_id"]));
        assert_eq!(link["attributes"], Value::Array(sorted(&sent["attributes"])));
    }
    let scope = &trace["scopes"][got["scope"].as_u64().expect("an index") as usize];
    assert_eq!((&scope["name"], &scope["version"]), (&sent["scope"]["name"], &sent["scope"]["version"]));
    let of = &trace["resources"][got["resource"].as_u64().expect("an index") as usize];
    assert_eq!(of["attributes"], Value::Array(sorted(resource)), "resource of {}", sent["name"]);
}

/// Go over gRPC in two processes, Python over HTTP with protobuf, JavaScript over HTTP with JSON: one trace.
#[tokio::test(flavor = "multi_thread")]
async fn three_sdks_in_four_processes_make_one_trace() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]);

    let mut agent = Command::new(tool("SPANHOLD_TEST_GO_AGENT"))
        .args(["-commands", "2"])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &server.otlp_grpc)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the agent starts");
    let mut said = BufReader::new(agent.stdout.take().expect("piped"));
    let mut line = String::new();
    said.read_line(&mut line).expect("text");
    let address = line.trim().strip_prefix("listening ").unwrap_or_else(|| panic!("not an address: {line}"));

    let control_plane = run(Command::new(tool("SPANHOLD_TEST_GO_CONTROLPLANE"))
        .args(["-agent", address])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &server.otlp_grpc));
    let mut rest = String::new();
    said.read_to_string(&mut rest).expect("text");
    assert!(agent.wait().expect("it ends").success());
    let agent = report(&rest);

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/python/provision.py");
    let python = run(Command::new(tool("SPANHOLD_TEST_PYTHON"))
        .arg(script)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &server.otlp_http)
        .env("TRACEPARENT", control_plane["traceparent"].as_str().expect("text")));
    let script = Path::new(&tool("SPANHOLD_TEST_JS_DIR")).join("console.js");
    let javascript = run(Command::new(tool("SPANHOLD_TEST_NODE"))
        .arg(script)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &server.otlp_http)
        .env("TRACEPARENT", python["traceparent"].as_str().expect("text")));

    let trace = server.trace(control_plane["trace_id"].as_str().expect("text")).await;
    let mut expected = 0;
    for client in [&control_plane, &agent, &python, &javascript] {
        assert_eq!(client["trace_id"], trace["trace_id"], "{}", client["client"]);
        for span in client["spans"].as_array().expect("spans") {
            check_span(&trace, span, &client["resource"]);
            expected += 1;
        }
    }
    assert_eq!(trace["span_count"], expected);
    assert!(expected >= 12, "only {expected} spans");
    assert_eq!(trace["complete"], true);
    assert_eq!(trace["root"]["name"], "CreateBackup");

    // The parts that the product exists for, by name.
    let named = |name: &str| {
        let spans = trace["spans"].as_array().expect("spans");
        spans.iter().find(|span| span["name"] == name).unwrap_or_else(|| panic!("no {name}")).clone()
    };
    let backup = named("agent.ExecuteBackup");
    let done = &backup["events"].as_array().expect("events").iter().find(|event| event["name"] == "backup completed");
    let size = &done.expect("the event")["attributes"][0];
    assert_eq!(size["key"], "backup.size_bytes");
    assert!(size["value"]["intValue"].is_string(), "{size}");
    let failed = named("agent.UploadBackup");
    assert_eq!(failed["status"]["code"], "error");
    assert_eq!(failed["events"][0]["name"], "exception");
    assert!(trace["spans"].as_array().expect("spans").iter().all(|span| span["placeholder"] == false));
}
