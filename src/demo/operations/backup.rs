//! Backups with their events, restores, and the shipping of WAL.

use std::time::Duration;

use proto::otlp::trace::v1::span::SpanKind;

use super::{Method, Scene, about, backup_tool, call};
use crate::demo::fleet::Engine;
use crate::demo::span::{Draft, EmittedSpan, Fact, key_value};

/// Backups that fail. Several times the model's 1.5 %, so that a demo has one to show.
const BACKUP_FAILED_SHARE: f64 = 0.06;
const RESTORE_FAILED_SHARE: f64 = 0.06;
/// What a host reads, compresses and uploads per second.
const COPY_BYTES_PER_SEC: f64 = 180e6;
const RESTORE_BYTES_PER_SEC: f64 = 260e6;
/// A backup is uploaded in parts; each is a span.
const PART_BYTES: u64 = 4 << 30;
const PARTS_MAX: u64 = 64;
/// Stored bytes per byte of the database.
const COMPRESSED_SHARE: f64 = 0.38;
/// WAL pushes whose first try fails.
const WAL_RETRY_SHARE: f64 = 0.02;

/// A backup of an instance, taken from its last node.
pub fn backup(scene: &mut Scene<'_>) -> Vec<EmittedSpan> {
    let instance = scene.fleet.any_instance(scene.dice);
    let runner = scene.fleet.service(instance.region, "backup-runner");
    let agent = &instance.nodes[instance.nodes.len() - 1].agent;
    let is_full = scene.dice.chance(0.3);
    let changed_bytes = if is_full { instance.size_bytes } else { instance.size_bytes / 12 + 1 };
    let stored_bytes = (changed_bytes as f64 * COMPRESSED_SHARE) as u64;
    let fails = scene.dice.chance(BACKUP_FAILED_SHARE);
    let mut trace = scene.trace().about(&instance.id);
    let mut at = Duration::ZERO;
    let phase = |draft: Draft, phase: &'static str| draft.with("dbaas.backup.phase", phase);

    let root = about(Draft::new(runner, "Backup"), instance, "backup")
        .with("dbaas.backup.id", format!("bk-{}", scene.dice.hex(10)))
        .with("dbaas.backup.type", if is_full { "full" } else { "incr" })
        .with("dbaas.backup.method", backup_tool(instance.engine))
        .with("dbaas.backup.target", "s3-standard");
    let root = trace.add(root);
    let queue = Draft::new(runner, "Wait for slot").under(root).lasting(scene.around_secs(3.0, 1.0));
    trace.then(&mut at, phase(queue, "queue").with("dbaas.step.kind", "wait"));

    let method = Method { from: runner, to: agent, name: "dbaas.agent.v1.Agent/TakeBackup" };
    let mut work_at = at + super::HOP;
    let called = call(&mut trace, &mut at, root, &method, Duration::ZERO);
    let server = called.server;
    let checkpoint = Draft::new(agent, "checkpoint").under(server).lasting(scene.around_secs(6.0, 0.9));
    trace.then(&mut work_at, phase(checkpoint, "checkpoint"));
    let copy_start = work_at;
    let copy = trace.add(phase(Draft::new(agent, "copy data").under(server).at(work_at), "copy"));
    let parts = changed_bytes.div_ceil(PART_BYTES).min(PARTS_MAX);
    let mean_part = Duration::from_secs_f64(changed_bytes as f64 / parts as f64 / COPY_BYTES_PER_SEC);
    for part in 0..parts {
        let upload = Draft::new(agent, "upload part")
            .kind(SpanKind::Client)
            .under(copy)
            .lasting(scene.dice.lognormal(mean_part, 0.4));
        let upload = upload.with("dbaas.backup.part", part).with("dbaas.backup.stored_bytes", stored_bytes / parts);
        let upload = trace.then(&mut work_at, upload.with("server.address", "s3.example.net"));
        if fails && part == parts / 2 {
            trace.change(upload, |draft| draft.failed("UploadFailed", "503 Slow Down after 5 tries"));
            break;
        }
    }
    trace.end(copy, work_at);
    trace.change(copy, |draft| draft.event(Duration::ZERO, starting_event(instance.engine), Vec::new()));
    if fails {
        trace.change(copy, |draft| draft.status_error("upload failed"));
        trace.end(server, work_at);
        trace.change(server, |draft| draft.failed("BackupFailed", "upload of a part failed"));
    } else {
        let wal = Draft::new(agent, "wait for WAL archive").under(server).lasting(scene.around_secs(1.5, 0.9));
        trace.then(&mut work_at, phase(wal, "wal_wait").with("dbaas.step.kind", "wait"));
        trace.end(server, work_at);
        let completed = vec![
            key_value("backup.size_bytes", Fact::from(changed_bytes)),
            key_value("backup.stored_bytes", Fact::from(stored_bytes)),
            key_value("backup.copy_seconds", Fact::from((work_at - copy_start).as_secs_f64())),
        ];
        let since_server_start = work_at - trace.start_of(server);
        trace.change(server, |draft| draft.event(since_server_start, "backup completed", completed));
    }
    at = work_at + super::HOP;
    trace.end(called.client, at);
    if fails {
        trace.end(root, at);
        trace.change(root, |draft| draft.with("dbaas.backup.outcome", "failed").status_error("backup failed"));
        return trace.finish();
    }
    let verify = Draft::new(runner, "verify backup").under(root).lasting(scene.around_secs(2.0, 0.6));
    trace.then(&mut at, phase(verify, "verify"));
    let expire = Draft::new(runner, "expire old backups").under(root).lasting(scene.around_secs(0.8, 0.7));
    trace.then(&mut at, phase(expire, "expire"));
    trace.end(root, at);
    trace.change(root, |draft| {
        draft.with("dbaas.backup.size_bytes", changed_bytes).with("dbaas.backup.outcome", "success")
    });
    trace.finish()
}

fn starting_event(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgresql => "starting pg_basebackup",
        Engine::Mysql => "starting xtrabackup",
        Engine::Mongodb => "starting pbm",
    }
}

/// An instance is made again from a backup, up to a point in time.
pub fn restore(scene: &mut Scene<'_>) -> Vec<EmittedSpan> {
    let instance = scene.fleet.any_instance(scene.dice);
    let workflow = scene.fleet.service(instance.region, "workflow-engine");
    let agent = &instance.primary().agent;
    let download = Duration::from_secs_f64(instance.size_bytes as f64 * COMPRESSED_SHARE / RESTORE_BYTES_PER_SEC);
    let mut trace = scene.trace().about(&instance.id);
    let mut at = Duration::ZERO;
    let root = about(Draft::new(workflow, "RestoreInstance"), instance, "restore");
    let root = trace.add(root.with("dbaas.backup.id", format!("bk-{}", scene.dice.hex(10))));
    let phases: [(&'static str, &'static str, Duration); 7] = [
        ("provision", "Provision host", scene.around_secs(25.0, 0.5)),
        ("download", "restore/pgbackrest", scene.dice.lognormal(download, 0.3)),
        ("wal_fetch", "Fetch WAL", scene.around_secs(12.0, 0.8)),
        ("replay", "Replay WAL", scene.around_secs(40.0, 1.0)),
        ("promote", "restore/start-postgres", scene.around_secs(3.0, 0.5)),
        ("post_config", "restore/reopen-pooler", scene.around_secs(1.0, 0.5)),
        ("verify", "Verify restored data", scene.around_secs(2.0, 0.6)),
    ];
    let fails = scene.dice.chance(RESTORE_FAILED_SHARE);
    for (phase, name, work) in phases {
        let emitter = if matches!(phase, "provision" | "verify") { workflow } else { agent };
        let draft = Draft::new(emitter, name).under(root).lasting(work).with("dbaas.restore.phase", phase);
        let span = trace.then(&mut at, draft.with("dbaas.instance.id", &instance.id));
        if fails && phase == "wal_fetch" {
            let message = "WAL segment 00000003000000A4000000F1 is missing from the archive";
            trace.change(span, |draft| draft.failed("MissingWal", message));
            trace.change(root, |draft| draft.status_error(message));
            break;
        }
    }
    trace.end(root, at);
    trace.finish()
}

/// A WAL segment goes to the archive.
pub fn wal_push(scene: &mut Scene<'_>) -> Vec<EmittedSpan> {
    let instance = scene.fleet.any_instance_of(Engine::Postgresql, scene.dice);
    let agent = &instance.primary().agent;
    let mut trace = scene.trace().about(&instance.id);
    let mut at = scene.around_ms(2.0, 0.5);
    let segment = format!("00000001{}", scene.dice.hex(16).to_uppercase());
    let root =
        Draft::new(agent, "wal_push").with("dbaas.operation", "wal_push").with("dbaas.instance.id", &instance.id);
    let root = trace.add(root.with("dbaas.wal.segment", segment));
    let is_retried = scene.dice.chance(WAL_RETRY_SHARE);
    for try_number in 0..=u64::from(is_retried) {
        let put = Draft::new(agent, "PUT object").client().under(root).lasting(scene.around_ms(170.0, 0.9));
        let put =
            trace.then(&mut at, put.with("http.request.method", "PUT").with("http.request.resend_count", try_number));
        if is_retried && try_number == 0 {
            trace.change(put, |draft| draft.failed("SlowDown", "503 Slow Down"));
            at += Duration::from_millis(200);
        }
    }
    trace.end(root, at);
    trace.finish()
}
