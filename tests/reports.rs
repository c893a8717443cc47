use std::process::Command;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use proto::otlp::common::v1::any_value::Value as AnyValueKind;
use proto::otlp::common::v1::{AnyValue, KeyValue};
use proto::otlp::trace::v1::{Span, Status};
use serde_json::Value;

use crate::harness::spans::{request, span, text, trace_hex};
use crate::harness::{Server, eventually};

const SECOND: u64 = 1_000_000_000;
const MS: u64 = 1_000_000;

/// Traces of failovers, of backups and of the two versions of `CreateInstance`.
const FAILOVER: u64 = 0x100;
const BACKUPS: u64 = 0x200;
const CREATES: u64 = 0x300;
const STUCK: u64 = 0x400;

/// Times are from a whole minute 40 minutes ago.
fn epoch() -> u64 {
    static EPOCH: OnceLock<u64> = OnceLock::new();
    *EPOCH.get_or_init(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        (now / 60 * 60 - 2_400) * SECOND
    })
}

fn int(key: &str, value: i64) -> KeyValue {
    let value = Some(AnyValue { value: Some(AnyValueKind::IntValue(value)) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

/// Numbers of a span and of what it is below, 0 for a root; its name; start and end after the epoch.
fn timed(trace: u64, ids: (u8, u8), name: &str, (start, end): (u64, u64), attributes: Vec<KeyValue>) -> Span {
    let epoch = epoch();
    Span {
        name: name.to_owned(),
        start_time_unix_nano: epoch + start,
        end_time_unix_nano: epoch + end,
        attributes,
        ..span(trace, ids.0, ids.1)
    }
}

/// Detected after 25 s, and over after 36.3 s.
fn failover() -> ExportTraceServiceRequest {
    let attributes = vec![
        text("dbaas.operation", "failover"),
        text("dbaas.failover.trigger", "unplanned"),
        text("dbaas.failover.outcome", "success"),
        text("dbaas.instance.id", "pg-1"),
        text("cloud.region", "eu-1"),
    ];
    let step = |id, name, start: f64, end: f64| {
        timed(FAILOVER, (id, 1), name, ((start * 1e9) as u64, (end * 1e9) as u64), Vec::new())
    };
    let spans = vec![
        timed(FAILOVER, (1, 0), "Failover", (0, 37 * SECOND), attributes),
        step(2, "detect_failure", 0.0, 25.0),
        step(3, "fence_old_primary", 25.0, 27.0),
        step(4, "elect_candidate", 27.0, 28.0),
        step(5, "promote_replica", 28.0, 30.0),
        step(6, "update_dns", 30.0, 36.0),
        step(7, "verify_writes", 36.0, 36.3),
    ];
    request("failover-controller", spans)
}

/// Six of 40 GiB, the last of which takes three times as long.
fn backups() -> ExportTraceServiceRequest {
    let spans = (0..6).flat_map(|number: u64| {
        let seconds = if number == 5 { 600 } else { 190 + number };
        let attributes = vec![
            text("dbaas.operation", "backup"),
            text("dbaas.instance.id", &format!("pg-{number}")),
            text("dbaas.backup.type", "full"),
            text("dbaas.backup.outcome", "success"),
            text("db.system.name", "postgresql"),
            text("cloud.region", "eu-1"),
            int("dbaas.backup.size_bytes", 40 << 30),
        ];
        let trace = BACKUPS + number;
        [
            timed(trace, (1, 0), "backup", (0, seconds * SECOND), attributes),
            timed(trace, (2, 1), "copy", (SECOND, (seconds - 1) * SECOND), Vec::new()),
        ]
    });
    request("backup-runner", spans.collect())
}

/// Thirty in the first ten minutes, and thirty in the next, in which one step takes twice as long.
fn creates() -> ExportTraceServiceRequest {
    let spans = (0..60).flat_map(|number: u64| {
        let is_late = number >= 30;
        let start = if is_late { 600 * SECOND + number * SECOND } else { number * SECOND };
        let wait = if is_late { 200 * MS } else { 100 * MS } + number % 10 * MS;
        let trace = CREATES + number;
        let attributes = vec![text("cloud.region", if number.is_multiple_of(3) { "eu-1" } else { "us-1" })];
        [
            timed(trace, (1, 0), "CreateInstance", (start, start + 100 * MS + wait), attributes),
            timed(trace, (2, 1), "initdb", (start, start + 100 * MS), Vec::new()),
            timed(trace, (3, 1), "wait_pod_ready", (start + 100 * MS, start + 100 * MS + wait), Vec::new()),
        ]
    });
    request("control-api", spans.collect())
}

/// Its root never comes; one step has begun, and one has failed.
fn stuck() -> ExportTraceServiceRequest {
    let started = vec![text("dbaas.span.state", "started"), text("dbaas.operation", "create_instance")];
    let mut failed = timed(STUCK, (3, 1), "initdb", (SECOND, 2 * SECOND), vec![text("dbaas.instance.id", "pg-9")]);
    failed.status = Some(Status { code: 2, message: "no space".to_owned() });
    let spans = vec![
        timed(STUCK, (1, 0), "CreateInstance", (0, 0), started),
        failed,
        timed(STUCK, (2, 1), "wait_pod_ready", (3 * SECOND, 3 * SECOND), vec![text("dbaas.span.state", "started")]),
    ];
    request("control-api", spans)
}

/// All of them, and waits until they can be found.
pub(crate) async fn send_operations(server: &Server) {
    for of in [failover(), backups(), creates(), stuck()] {
        server.send(of).await;
    }
    eventually("runs", async || server.get_json("/api/v1/runs?limit=1000").await["total"].as_u64() >= Some(68)).await;
}

fn seconds(nanos: &Value) -> f64 {
    nanos.as_str().unwrap_or_else(|| panic!("no nanoseconds: {nanos}")).parse::<f64>().expect("a number") / 1e9
}

/// What a command prints, when it works.
fn spanhold(server: &Server, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spanhold"));
    let output = command.args(arguments).args(["--url", &server.http]).output().expect("runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_is_reported_with_its_phases_and_its_time_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]);
    send_operations(&server).await;

    let report = server.get_json("/api/v1/failovers?group_by=region&slo=60s,30s&rows=failovers").await;
    let groups = report["groups"].as_array().expect("groups");
    assert_eq!((groups.len(), &groups[0]["key"]["region"]), (1, &Value::from("eu-1")), "{report:#}");
    let group = &groups[0];
    assert_eq!((&group["is_planned"], &group["count"], &group["success"]), (&false.into(), &1.into(), &1.into()));
    let unavailable = &group["measures"]["write_unavailable"];
    assert!((seconds(&unavailable["p50_nano"]) - 36.3).abs() < 1e-6, "{unavailable}");
    assert_eq!(unavailable["all_nano"].as_array().map(Vec::len), Some(1));
    let met: Vec<f64> =
        group["attainment"].as_array().expect("bars").iter().filter_map(|bar| bar["met"]["share"].as_f64()).collect();
    assert_eq!(met, [1.0, 0.0]);
    assert_eq!(group["worst_phase_by_count"], "detect");
    let failover = &report["failovers"][0];
    assert_eq!((&failover["t0_source"], &failover["instance"]), (&"detect_span".into(), &"pg-1".into()));
    let phases = failover["phases"].as_object().expect("phases");
    assert!((phases.values().map(seconds).sum::<f64>() - 36.3).abs() < 1e-6, "{phases:?}");
    assert!((seconds(&phases["endpoint_nano"]) - 6.0).abs() < 1e-6, "{phases:?}");

    let id = failover["run_id"].as_str().expect("an id");
    let one = server.get_json(&format!("/api/v1/failovers/{id}")).await;
    let points = one["points"].as_array().expect("points");
    assert_eq!((points.len(), &points[7]["name"]), (9, &"restored".into()));
    assert_eq!(points[8]["at_unix_nano"], Value::Null, "nothing rejoined");
    assert_eq!(one["spans"].as_array().expect("spans").len(), 6);
    let (status, why) = server.try_get(&format!("/api/v1/failovers/{}-0101010101010101", trace_hex(BACKUPS))).await;
    assert_eq!(status, 404, "{why}");

    let csv = server.get("/api/v1/failovers?format=csv&rows=failovers").await;
    let lines: Vec<&str> = csv.split("\r\n").collect();
    assert!(lines[0].starts_with("run,start,instance") && lines[1].contains(",36.300,"), "{csv}");
    let markdown = spanhold(&server, &["failovers", "--format", "markdown"]);
    assert!(markdown.starts_with("Failovers from ") && markdown.contains("| unplanned | 1 |"), "{markdown}");
    let table = spanhold(&server, &["failovers", "--group-by", "region", "--slo", "60s"]);
    assert!(table.contains("36.3 s") && table.contains("100.0 % <= 60.0 s") && table.contains("detect"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_show_what_goes_on_and_what_is_stuck() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]);
    send_operations(&server).await;

    let stuck = server.get_json("/api/v1/runs?state=stuck").await;
    assert_eq!(stuck["total"], 1, "{stuck:#}");
    let run = &stuck["runs"][0];
    assert_eq!((&run["class"], &run["instance"]), (&"provisioning".into(), &"pg-9".into()));
    assert_eq!((&run["current_step"]["name"], &run["end_unix_nano"]), (&"wait_pod_ready".into(), &Value::Null));
    assert!(seconds(&run["usual_step_p95_nano"]) > 0.1, "{run:#}");
    let detail = server.get_json(&format!("/api/v1/runs/{}", run["run_id"].as_str().expect("an id"))).await;
    assert_eq!((&detail["state"], &detail["is_failover"]), (&"stuck".into(), &false.into()));
    assert_eq!(detail["parts"][0]["pending"].as_array().map(Vec::len), Some(2), "{detail:#}");
    assert_eq!(server.try_get("/api/v1/runs/nonsense").await.0, 400);

    let table = spanhold(&server, &["runs", "--state", "stuck"]);
    assert!(table.contains("wait_pod_ready") && table.contains("1 of 1 runs"), "{table}");
    let failovers: Value =
        serde_json::from_str(&spanhold(&server, &["runs", "--class", "failover", "--json"])).expect("JSON");
    assert_eq!((&failovers["total"], &failovers["runs"][0]["state"]), (&1.into(), &"done".into()));

    let timeline = server.get_json("/api/v1/instances/pg-1/timeline").await;
    let entries = timeline["entries"].as_array().expect("entries");
    let names: Vec<_> = entries.iter().map(|entry| (entry["kind"].as_str(), entry["name"].as_str())).collect();
    assert!(
        names.contains(&(Some("run"), Some("Failover"))) && names.contains(&(Some("run"), Some("backup"))),
        "{names:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_step_that_got_slower_comes_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]);
    send_operations(&server).await;

    let at = |minutes: u64| epoch() / SECOND + 60 * minutes;
    let periods = format!("start={}&end={}&baseline_start={}&baseline_end={}", at(10), at(20), at(0), at(10));
    let path = format!("/api/v1/operations/breakdown?service=control-api&name=CreateInstance&by=region&{periods}");
    let breakdown = server.get_json(&path).await;
    let operation = &breakdown["operation"];
    assert_eq!((&operation["figures"]["count"], &operation["baseline"]["count"]), (&30.into(), &30.into()));
    assert_eq!(operation["change"]["kind"], "slower");
    let steps = breakdown["steps"].as_array().expect("steps");
    assert_eq!(steps[0]["path"], Value::from(vec!["wait_pod_ready"]), "{steps:#?}");
    let change = &steps[0]["change"];
    assert_eq!((&change["kind"], &change["is_significant"]), (&"slower".into(), &true.into()));
    assert!((seconds(&change["critical_time_per_operation_nano"]) - 0.1).abs() < 0.005, "{change}");
    assert_eq!((&steps[1]["path"][0], &steps[1]["change"]["kind"]), (&"initdb".into(), &"same".into()));
    let shares: f64 = steps.iter().chain([operation]).filter_map(|row| row["figures"]["critical_share"].as_f64()).sum();
    assert!((shares - 1.0).abs() < 1e-6, "{shares}");
    let values: Vec<_> = breakdown["values"].as_array().expect("values").iter().map(|row| &row["value"]).collect();
    assert_eq!(values, ["us-1", "eu-1"]);

    let slow = server
        .get_json(&format!(
            "/api/v1/operations/slow?service=control-api&name=CreateInstance&percentile=50&start={}",
            at(0)
        ))
        .await;
    assert_eq!(slow["steps"][0]["path"], Value::from(vec!["CreateInstance", "wait_pod_ready"]), "{slow:#}");
    assert_eq!(slow["total"], 60);

    let classes = server.get_json(&format!("/api/v1/operations?class=provisioning&start={}", at(0))).await;
    assert_eq!((&classes["total"], &classes["operations"][0]["name"]), (&1.into(), &"CreateInstance".into()));
    let from = at(0).to_string();
    let table = spanhold(&server, &["operations", "steps", "control-api", "CreateInstance", "--start", &from]);
    assert!(table.contains("wait_pod_ready") && table.contains("percentiles within 1 %"), "{table}");
    let table = spanhold(&server, &["operations", "--start", &from]);
    assert!(table.contains("CreateInstance") && table.contains("provisioning"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_backup_is_held_against_its_peers() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]);
    send_operations(&server).await;
    let backups = server.get_json("/api/v1/backups").await;
    assert_eq!(backups["total"], 6, "{backups:#}");
    let worst = &backups["backups"][0];
    assert_eq!((&worst["instance"], &worst["peers"]["count"]), (&"pg-5".into(), &6.into()));
    assert!(worst["peers"]["z"].as_f64() > Some(3.5), "{worst:#}");
    assert_eq!((&worst["peers"]["slowest_phase"], &worst["phases"][0]["phase"]), (&"copy".into(), &"copy".into()));
    let of_one = server.get_json("/api/v1/backups?instance=pg-2&class=backup").await;
    assert_eq!((&of_one["total"], &of_one["backups"][0]["peers"]["count"]), (&1.into(), &6.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_of_the_file_decide_and_are_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("spanhold.toml");
    let rules = "[[operations.rules]]\nname = \"house\"\nmatch = { span = [\"move-leader\"] }\nclass = \"failover\"\n";
    std::fs::write(&file, rules).expect("written");
    let file = file.to_str().expect("text");
    let server = Server::start(&folder.path().join("data"), &["--config", file]);
    let explained = server.get_json("/api/v1/classify?name=move-leader&service=ha").await;
    let class = &explained["spans"][0]["class"];
    assert_eq!(class["value"], "failover");
    assert!(class["because"].as_str().expect("text").contains("`house`"), "{class}");
    assert_eq!(server.try_get("/api/v1/classify").await.0, 400);

    let local = spanhold(&server, &["classify", "--name", "move-leader", "--config", file]);
    assert!(local.contains("failover") && local.contains("`house`"), "{local}");
    server.send(failover()).await;
    eventually("the trace", async || server.try_get(&format!("/api/v1/traces/{}", trace_hex(FAILOVER))).await.0 == 200)
        .await;
    let trace = spanhold(&server, &["classify", "--trace", &trace_hex(FAILOVER)]);
    assert!(trace.contains("phase detect") && trace.contains("phase promote"), "{trace}");
}
