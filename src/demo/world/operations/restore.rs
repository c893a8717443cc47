//! Restores: an instance is made again from a backup, up to a point in time.

use std::time::Duration;

use super::reconcile;
use crate::demo::operations::about;
use crate::demo::span::Draft;
use crate::demo::world::stage::{Made, Stage};
use crate::demo::world::truth::{BytesTruth, Outcome};

const FAILED_SHARE: f64 = 0.04;
const RESTORE_BYTES_PER_SEC: f64 = 125e6;
const COMPRESSED_SHARE: f64 = 0.38;
/// WAL of a day, as a share of the database, and how fast it is replayed.
const WAL_SHARE: f64 = 0.25;
const REPLAY_BYTES_PER_SEC: f64 = 52e6;
/// Parts of a download and segments of a fetch, each a span.
const DOWNLOAD_PARTS: u32 = 60;
const WAL_PARTS: u32 = 30;
const WORKERS: u64 = 4;

/// A restore of the instance.
pub(in crate::demo::world) fn restore(stage: &mut Stage<'_>) -> Made {
    let instance = stage.instance();
    let workflow = stage.fleet.service(instance.region, "workflow-engine");
    let agent = &instance.primary().agent;
    let size = instance.size_bytes as f64;
    let download = stage.dice.lognormal(Duration::from_secs_f64(size / RESTORE_BYTES_PER_SEC), 0.3);
    let wal_bytes = size * WAL_SHARE * stage.dice.between(0.1, 1.9);
    let phases: [(&'static str, &'static str, Duration); 8] = [
        ("provision", "provision host", stage.secs(35.0, 0.5)),
        ("download", "restore/pgbackrest", download),
        ("apply_base", "apply base backup", stage.secs(20.0, 0.6)),
        ("wal_fetch", "fetch WAL", stage.secs(25.0, 0.8)),
        ("replay", "replay WAL", stage.dice.lognormal(Duration::from_secs_f64(wal_bytes / REPLAY_BYTES_PER_SEC), 0.4)),
        ("promote", "restore/start-postgres", stage.secs(3.0, 0.5)),
        ("post_config", "restore/reopen-pooler", stage.secs(1.0, 0.5)),
        ("verify", "verify restored data", stage.secs(2.0, 0.6)),
    ];
    let share = stage.error_share(FAILED_SHARE);
    let fails = stage.dice.chance(share);
    let mut run = stage.run("restore", "RestoreInstance");
    run.run_id = format!("rs-{}", stage.dice.hex(10));
    run.bytes = Some(BytesTruth {
        backup_type: "full",
        size_bytes: instance.size_bytes,
        stored_bytes: (size * COMPRESSED_SHARE) as u64,
        workers: WORKERS,
        is_slow_peer: false,
    });
    let mut script = stage.script(Duration::ZERO);
    let root = about(Draft::new(workflow, "RestoreInstance"), instance, "restore");
    let root = script.trace.add(
        root.with("dbaas.request.id", &run.run_id)
            .with("dbaas.backup.type", "full")
            .with("dbaas.backup.size_bytes", instance.size_bytes),
    );
    let mut at = Duration::ZERO;
    for (phase, name, work) in phases {
        let emitter = if matches!(phase, "provision" | "verify") { workflow } else { agent };
        let draft = Draft::new(emitter, name).under(root).lasting(work).with("dbaas.restore.phase", phase);
        let start = at;
        let span = script.phase(&mut at, phase, draft);
        let (part, parts) = match phase {
            "download" => ("download part", DOWNLOAD_PARTS),
            "wal_fetch" => ("GET segment", WAL_PARTS),
            _ => ("", 0),
        };
        for number in 0..parts {
            let draft = Draft::new(agent, part).client().under(span).at(start + work / parts * number);
            script.trace.add(draft.lasting(work / parts).with("server.address", "s3.example.net"));
        }
        if fails && phase == "wal_fetch" {
            let message = "WAL segment 00000003000000A4000000F1 is missing from the archive";
            script.trace.change(span, |draft| draft.failed("MissingWal", message));
            script.trace.change(root, |draft| draft.status_error(message));
            run.outcome = Outcome::Failed;
            break;
        }
        at += stage.gap();
    }
    let outcome = if fails { "failed" } else { "success" };
    script.trace.end(root, at);
    script.trace.change(root, |draft| draft.with("dbaas.operation.outcome", outcome));
    let end = script.time(at);
    run.end_unix_nano = Some(end);
    run.attribute(&script.marks(), end);
    let cause = script.target(root);
    let mut spans = script.finish();
    spans.extend(reconcile::caused(stage, end, cause));
    Made::run(run, None, spans)
}
