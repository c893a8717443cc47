use serde_json::{Value, json};

use crate::harness::spans::{START, chain, request, span, text, trace_hex};
use crate::harness::{Server, eventually};

async fn start_with_data() -> (Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &["--window-spans-max", "6"]);
    let mut failing = span(2, 2, 1);
    failing.status = Some(proto::otlp::trace::v1::Status { code: 2, message: "boom".into() });
    failing.attributes = vec![text("db.system.name", "postgresql")];
    failing.end_time_unix_nano += 5_000_000_000;
    server.send(request("control-api", chain(1, 4))).await;
    server.send(request("pooler", vec![span(2, 1, 0), failing])).await;
    // The parent of this one never comes.
    server.send(request("agent", vec![span(3, 5, 4)])).await;
    server.offloaded(1.0).await;
    eventually("visibility", async || search(&server, "").await["total"] == 3).await;
    (server, folder)
}

async fn search(server: &Server, more: &str) -> Value {
    server.get_json(&format!("/api/v1/search?start={}&end=2026-11-24T00:00:00Z{more}", START / 1_000_000_000)).await
}

fn ids(found: &Value) -> Vec<&str> {
    let traces = found["traces"].as_array().expect("traces");
    traces.iter().map(|trace| trace["trace_id"].as_str().expect("an id")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn search_and_services_answer_over_both_tiers() {
    let (server, _folder) = start_with_data().await;
    let (one, two, three) = (trace_hex(1), trace_hex(2), trace_hex(3));
    let found = search(&server, "").await;
    assert_eq!(ids(&found), [&three, &two, &one]);
    assert_eq!(found["traces"][0]["root"], Value::Null);
    assert_eq!(found["traces"][0]["first"], json!({"service": "agent", "name": "step 5"}));
    assert_eq!(found["traces"][1]["root"], json!({"service": "pooler", "name": "step 1"}));
    assert_eq!((&found["traces"][1]["error_count"], &found["traces"][1]["services"]), (&json!(1), &json!(["pooler"])));

    for (more, expected) in [
        ("&order=slowest&limit=1", vec![&two]),
        ("&service=control-api", vec![&one]),
        ("&service=pooler&operation=step%202", vec![&two]),
        ("&service=control-api&operation=step%209", vec![]),
        ("&error=true", vec![&two]),
        ("&min_duration=1s", vec![&two]),
        ("&min_span_duration=900us&service=agent", vec![&three]),
        ("&root=true", vec![&two, &one]),
    ] {
        assert_eq!(ids(&search(&server, more).await), expected, "{more}");
    }

    let services = server.get_json("/api/v1/services").await;
    let names: Vec<_> =
        services["services"].as_array().expect("a list").iter().map(|service| &service["name"]).collect();
    assert_eq!(names, ["agent", "control-api", "pooler"]);
    assert_eq!(services["services"][2]["error_count"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_parent_is_a_placeholder() {
    let (server, _folder) = start_with_data().await;
    let trace = server.trace(&trace_hex(3)).await;
    assert_eq!((&trace["complete"], &trace["span_count"]), (&json!(false), &json!(1)));
    assert_eq!(
        (&trace["spans"][0]["placeholder"], &trace["spans"][0]["span_id"]),
        (&json!(true), &json!("0404040404040404"))
    );
    assert_eq!((&trace["spans"][1]["depth"], &trace["spans"][1]["name"]), (&json!(1), &json!("step 5")));
    assert_eq!(trace["warnings"][0]["code"], "missing_parent");
}

#[tokio::test(flavor = "multi_thread")]
async fn problems_are_told_as_problem_json() {
    let (server, _folder) = start_with_data().await;
    for (path, status) in [
        (format!("/api/v1/traces/{}", trace_hex(999)), 404),
        ("/api/v1/traces/xyz".to_owned(), 400),
        ("/api/v1/traces/00000000000000000000000000000000".to_owned(), 400),
        (format!("/api/v1/traces/{}/otlp", trace_hex(999)), 404),
        ("/api/v1/search?strat=now".to_owned(), 400),
        ("/api/v1/search?limit=0".to_owned(), 400),
        ("/api/v1/search?order=oldest".to_owned(), 400),
        ("/api/v1/search?start=yesterday".to_owned(), 400),
        ("/api/v1/nothing".to_owned(), 404),
    ] {
        let response = reqwest::get(format!("{}{path}", server.http)).await.expect("answers");
        assert_eq!(response.status().as_u16(), status, "{path}");
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{path}");
        let problem: Value = serde_json::from_str(&response.text().await.expect("text")).expect("JSON");
        assert_eq!(problem["status"], status, "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_come_out_as_otlp_as_they_went_in() {
    use prost::Message;
    use proto::otlp::trace::v1::TracesData;
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]);
    let mut spans = chain(7, 3);
    spans[1].attributes = vec![text("a", "1"), text("b", "2")];
    for span in &mut spans {
        // Unset and not sent mean the same, and come out as unset.
        span.status = Some(proto::otlp::trace::v1::Status::default());
    }
    let sent = request("svc", spans);
    server.send(sent.clone()).await;
    let url = format!("{}/api/v1/traces/{}/otlp", server.http, trace_hex(7));
    let bytes = reqwest::Client::new()
        .get(&url)
        .header("accept", "application/x-protobuf")
        .send()
        .await
        .expect("answers")
        .bytes()
        .await
        .expect("a body");
    let got = TracesData::decode(&bytes[..]).expect("OTLP");
    let spans = |all: &[proto::otlp::trace::v1::ResourceSpans]| all[0].scope_spans[0].spans.clone();
    assert_eq!(spans(&got.resource_spans), spans(&sent.resource_spans));
    assert_eq!(got.resource_spans[0].resource, sent.resource_spans[0].resource);
    let json: TracesData =
        serde_json::from_str(&server.get(&format!("/api/v1/traces/{}/otlp", trace_hex(7))).await).expect("OTLP JSON");
    assert_eq!(json, got);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_prints_the_tree() {
    let (server, _folder) = start_with_data().await;
    let url = server.http.clone();
    let run = |id: String| {
        let url = url.clone();
        let output =
            std::process::Command::new(env!("CARGO_BIN_EXE_spanhold")).args(["trace", &id, "--url", &url]).output();
        output.expect("runs")
    };
    let tree = run(trace_hex(2));
    assert!(tree.status.success());
    let tree = String::from_utf8(tree.stdout).expect("text");
    assert!(
        tree.contains("step 1") && tree.contains("step 2") && tree.contains("5.00 s") && tree.contains("pooler"),
        "{tree}"
    );
    let unknown = run(trace_hex(999));
    assert!(!unknown.status.success());
    assert!(String::from_utf8_lossy(&unknown.stderr).contains(&trace_hex(999)));
}

#[tokio::test(flavor = "multi_thread")]
async fn health_metrics_and_the_page_are_there() {
    let (server, _folder) = start_with_data().await;
    assert_eq!(server.get("/healthz").await, "ok\n");
    assert_eq!(server.get("/readyz").await, "ready\n");
    assert_eq!(server.metric("spanhold_store_spans_total").await, 7.0);
    assert!(server.get("/metrics").await.ends_with("# EOF\n"));
    // Every file that the page names is in the binary.
    let page = server.get("/trace/0af7651916cd43dd8448eb211c80319c").await;
    let mut files = 0;
    for attribute in ["src=\"", "href=\""] {
        for path in page.split(attribute).skip(1).filter_map(|rest| rest.split('"').next()) {
            if path.contains("assets/") {
                server.get(&format!("/{}", path.trim_start_matches(['.', '/']))).await;
                files += 1;
            }
        }
    }
    assert!(files >= 2, "the page was not built into the binary: run `make ui`\n{page}");
    assert_eq!(server.try_get("/assets/nothing.js").await.0, 404);
}
