//! What Spanhold reports against what really happened: the generator writes the truth beside the spans that it sends.
//!
//! `make accuracy` runs the long one and prints the figures.

mod compare;

use std::time::Duration;

use proto::UnixNanos;
use serde_json::Value;
use spanhold::demo::world::pathology::{Pathologies, Pathology};
use spanhold::demo::world::{Output, Profile, World, WorldSettings};
use tonic::Code;

use self::compare::Accuracy;
use crate::harness::{Server, eventually};

const DAY: i64 = 86_400_000_000_000;
/// 2026-11-01, midnight.
const FROM: i64 = 1_793_491_200_000_000_000;

/// Small windows, so that runs are spread over many, and merges.
const ARGUMENTS: [&str; 6] = ["--window-age-max", "1s", "--window-spans-max", "20000", "--merge-inputs-min", "4"];

fn settings(days: i64, instances: usize, failovers_per_day: f64, pathologies: Pathologies) -> WorldSettings {
    WorldSettings {
        seed: 7,
        profile: Profile::Ctl,
        instances,
        from: UnixNanos::from_i64(FROM),
        to: UnixNanos::from_i64(FROM + days * DAY),
        thin: 5_000.0,
        failovers_per_day: Some(failovers_per_day),
        pathologies,
        is_drained: true,
    }
}

/// Sends the world; the server is killed when a part of the spans is there, and started again.
async fn send(
    mut server: Server,
    data: &std::path::Path,
    settings: WorldSettings,
    kill_after: usize,
) -> (Server, Vec<Value>) {
    let (mut truths, mut spans, mut is_killed) = (Vec::new(), 0, false);
    let mut client = server.client().await.max_decoding_message_size(64 << 20);
    for output in World::new(settings) {
        let batch = match output {
            Output::Truth(truth) => {
                truths.push(serde_json::to_value(&truth).expect("JSON"));
                continue;
            }
            Output::Batch(batch) if batch.is_malformed => continue,
            Output::Batch(batch) => batch,
        };
        if spans >= kill_after && !is_killed {
            is_killed = true;
            server.kill();
            server = Server::start(data, &ARGUMENTS);
            client = server.client().await;
        }
        while let Err(status) = client.export(batch.request.clone()).await {
            assert!(matches!(status.code(), Code::Unavailable | Code::ResourceExhausted), "{status:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        spans += batch.span_count;
    }
    assert!(is_killed, "only {spans} spans");
    (server, truths)
}

/// Pages of a list, day by day.
async fn all_runs(server: &Server, days: i64) -> Vec<Value> {
    let mut runs = Vec::new();
    for day in -2..days + 4 {
        let (start, end) = (FROM + day * DAY, FROM + (day + 1) * DAY);
        let page = server.get_json(&format!("/api/v1/runs?start={start}&end={end}&limit=1000")).await;
        assert!(page["total"].as_u64().expect("a number") <= 1_000, "one page a day");
        runs.extend(page["runs"].as_array().expect("a list").iter().cloned());
    }
    runs
}

async fn measure(days: i64, instances: usize, failovers_per_day: f64, kill_after: usize) -> Accuracy {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let server = Server::start(&data, &ARGUMENTS);
    // Clocks that are off move spans into other hours, and what is lost cannot be counted: both have tests of their own.
    let pathologies = Pathology::ALL.into_iter().filter(|pathology| *pathology != Pathology::ClockSkew);
    let pathologies = pathologies.fold(Pathologies::NONE, Pathologies::with);
    let settings = settings(days, instances, failovers_per_day, pathologies);
    let (server, truths) = send(server, &data, settings, kill_after).await;
    eventually("everything offloaded", async || {
        server.metric("spanhold_store_windows_waiting").await == 0.0
            && server.metric("spanhold_store_open_window_spans").await == 0.0
    })
    .await;
    assert!(server.metric("spanhold_store_merges_total").await > 0.0, "merges are part of it");

    let of_kind = |kind: &str| truths.iter().filter(|truth| truth["kind"] == kind).collect::<Vec<_>>();
    let mut accuracy = Accuracy::default();
    compare::runs(&of_kind("run"), &all_runs(&server, days).await, &mut accuracy);
    let range = format!("start={}&end={}", FROM - 2 * DAY, FROM + (days + 4) * DAY);
    let report = server.get_json(&format!("/api/v1/failovers?{range}&rows=failovers&limit=10000")).await;
    let failovers: Vec<_> = of_kind("run").into_iter().filter(|run| run["class"] == "failover").collect();
    compare::failovers(&failovers, report["failovers"].as_array().expect("a list"), &mut accuracy);
    let operations = server.get_json(&format!("/api/v1/operations?{range}&limit=1000&root=true")).await;
    compare::operations(&of_kind("operation"), operations["operations"].as_array().expect("a list"), &mut accuracy);
    accuracy
}

fn expect(accuracy: &Accuracy) {
    assert!(accuracy.classes.f1() >= 0.98, "{accuracy}\n{accuracy:#?}");
    assert!(accuracy.false_failovers.is_empty() && accuracy.missed_failovers.is_empty(), "{accuracy}\n{accuracy:#?}");
    assert!(accuracy.unexplained_unknown_t0.is_empty(), "{accuracy}\n{accuracy:#?}");
    assert!(accuracy.phase_error_p95() <= 0.02, "{accuracy}\n{accuracy:#?}");
    assert!(accuracy.wrong_counts.is_empty(), "{accuracy}\n{accuracy:#?}");
    assert!(accuracy.percentile_error <= 0.01, "{accuracy}\n{accuracy:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_are_what_really_happened_also_after_a_crash_and_merges() {
    expect(&measure(4, 40, 20.0, 40_000).await);
}

/// `make accuracy`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes"]
async fn reports_of_a_month_are_what_really_happened() {
    let accuracy = measure(30, 100, 30.0, 400_000).await;
    std::io::Write::write_all(&mut std::io::stdout(), accuracy.to_string().as_bytes()).expect("a terminal");
    expect(&accuracy);
}
