//! Backups with a span per part, and the shipping of WAL.

use std::time::Duration;

use crate::demo::fleet::Fleet;
use crate::demo::operations::{HOP, Method, about, backup_tool, call};
use crate::demo::span::{Draft, EmittedSpan, Handle};
use crate::demo::world::stage::{Made, Script, Stage};
use crate::demo::world::truth::{BytesTruth, Outcome};

const FAILED_SHARE: f64 = 0.015;
const FULL_SHARE: f64 = 0.9;
/// An incremental backup copies one byte of so many.
const UNCHANGED_FACTOR: u64 = 12;
/// What a host reads, compresses and uploads per second, with all workers; median and spread.
const COPY_BYTES_PER_SEC: f64 = 180e6;
const COPY_SIGMA: f64 = 0.35;
/// Instances whose uploads are slow are every so manieth, and slower by this.
const SLOW_EVERY: usize = 97;
const SLOW_OFFSET: usize = 13;
const SLOW_FACTOR: f64 = 4.0;
/// Workers that copy parts at the same time.
const WORKERS: u64 = 4;
/// A backup has about so many parts.
const PARTS_WANTED: u64 = 120;
const PART_BYTES_MIN: u64 = 64 << 20;
const PART_BYTES_MAX: u64 = 2_560 << 20;
/// Stored bytes per byte of the database.
const COMPRESSED_SHARE: f64 = 0.38;
/// WAL pushes whose first try fails.
const WAL_RETRY_SHARE: f64 = 0.004;

/// Whether the instance at a position is one that is slower than its peers.
pub(in crate::demo::world) const fn is_slow_peer(position: usize) -> bool {
    position % SLOW_EVERY == SLOW_OFFSET
}

/// The ids of the instances that are slower than their peers.
pub(in crate::demo::world) fn slow_peers(fleet: &Fleet) -> Vec<String> {
    let slow = fleet.instances.iter().enumerate().filter(|(position, _)| is_slow_peer(*position));
    slow.map(|(_, instance)| instance.id.clone()).collect()
}

/// A backup of the instance, taken from its last node; with `files`, a span for each of so many files instead of larger parts.
pub(in crate::demo::world) fn backup(stage: &mut Stage<'_>, files: Option<u64>) -> Made {
    let instance = stage.instance();
    let runner = stage.fleet.service(instance.region, "backup-runner");
    let agent = &instance.nodes[instance.nodes.len() - 1].agent;
    let is_full = stage.dice.chance(FULL_SHARE);
    let backup_type = if is_full { "full" } else { "incr" };
    let size_bytes = if is_full { instance.size_bytes } else { instance.size_bytes / UNCHANGED_FACTOR + 1 };
    let stored_bytes = (size_bytes as f64 * COMPRESSED_SHARE) as u64;
    let share = stage.error_share(FAILED_SHARE);
    let fails = stage.dice.chance(share);
    let id = format!("bk-{}", stage.dice.hex(10));
    let is_slow = is_slow_peer(stage.position);
    let mut run = stage.run("backup", "Backup");
    run.run_id.clone_from(&id);
    run.bytes = Some(BytesTruth { backup_type, size_bytes, stored_bytes, workers: WORKERS, is_slow_peer: is_slow });

    let mut script = stage.script(Duration::ZERO);
    let root = about(Draft::new(runner, "Backup"), instance, "backup")
        .with("dbaas.backup.id", &id)
        .with("dbaas.backup.type", backup_type)
        .with("dbaas.backup.method", backup_tool(instance.engine))
        .with("dbaas.backup.workers", WORKERS)
        .with("dbaas.backup.compression", "zstd")
        .with("dbaas.backup.target", "s3-standard");
    let root = script.trace.add(root);
    let mut at = Duration::ZERO;
    let queue = stage.secs(3.0, 1.0);
    phase(&mut script, &mut at, "queue", Draft::new(runner, "wait for slot").under(root).lasting(queue));
    let prepare = stage.millis(300.0, 0.5);
    phase(&mut script, &mut at, "prepare", Draft::new(runner, "choose target").under(root).lasting(prepare));

    let method = Method { from: runner, to: agent, name: "dbaas.agent.v1.Agent/TakeBackup" };
    let mut work_at = at + HOP;
    let called = call(&mut script.trace, &mut at, root, &method, Duration::ZERO);
    let checkpoint = stage.secs(6.0, 0.9);
    let draft = Draft::new(agent, "start backup").under(called.server).lasting(checkpoint);
    phase(&mut script, &mut work_at, "checkpoint", draft);
    copy(stage, &mut script, called.server, &mut work_at, &Copy { size_bytes, stored_bytes, files, is_slow, fails });
    if fails {
        script.trace.change(called.server, |draft| draft.failed("BackupFailed", "upload of a part failed"));
    } else {
        let stop = stage.millis(900.0, 0.6);
        phase(&mut script, &mut work_at, "stop", Draft::new(agent, "stop backup").under(called.server).lasting(stop));
        let wal = stage.secs(1.5, 0.9);
        let draft = Draft::new(agent, "check archive for segments").under(called.server).lasting(wal);
        phase(&mut script, &mut work_at, "wal_wait", draft);
    }
    script.trace.end(called.server, work_at);
    at = work_at + HOP;
    script.trace.end(called.client, at);
    if fails {
        run.outcome = Outcome::Failed;
        script.trace.change(root, |draft| draft.status_error("backup failed"));
    } else {
        let verify = stage.secs(2.0, 0.6);
        phase(&mut script, &mut at, "verify", Draft::new(runner, "verify backup").under(root).lasting(verify));
        let expire = stage.millis(800.0, 0.7);
        phase(&mut script, &mut at, "expire", Draft::new(runner, "expire old backups").under(root).lasting(expire));
    }
    script.trace.end(root, at);
    let outcome = if fails { "failed" } else { "success" };
    script.trace.change(root, |draft| {
        draft
            .with("dbaas.backup.size_bytes", size_bytes)
            .with("dbaas.backup.stored_bytes", stored_bytes)
            .with("dbaas.backup.outcome", outcome)
    });
    let end = script.time(at);
    run.end_unix_nano = Some(end);
    run.attribute(&script.marks(), end);
    Made::run(run, None, script.finish())
}

fn phase(script: &mut Script, at: &mut Duration, phase: &'static str, draft: Draft) -> Handle {
    let draft = draft.with("dbaas.backup.phase", phase);
    let waits = matches!(phase, "queue" | "wal_wait");
    let draft = if waits { draft.with("dbaas.step.kind", "wait") } else { draft };
    script.phase(at, phase, draft)
}

/// What is copied, and how that goes.
struct Copy {
    size_bytes: u64,
    stored_bytes: u64,
    files: Option<u64>,
    is_slow: bool,
    fails: bool,
}

/// Workers copy parts side by side, each one part after the other.
fn copy(stage: &mut Stage<'_>, script: &mut Script, parent: Handle, at: &mut Duration, what: &Copy) {
    let instance = stage.instance();
    let agent = &instance.nodes[instance.nodes.len() - 1].agent;
    let mut bytes_per_sec = COPY_BYTES_PER_SEC * (COPY_SIGMA * stage.dice.normal()).exp();
    if what.is_slow {
        bytes_per_sec /= SLOW_FACTOR;
    }
    let part_bytes = (what.size_bytes / PARTS_WANTED).clamp(PART_BYTES_MIN, PART_BYTES_MAX);
    let parts = what.files.unwrap_or_else(|| what.size_bytes.div_ceil(part_bytes).max(1));
    let part = Duration::from_secs_f64(what.size_bytes as f64 / parts as f64 / (bytes_per_sec / WORKERS as f64));
    let start = *at;
    let copy = script.trace.add(Draft::new(agent, "copy").under(parent).at(start).with("dbaas.backup.phase", "copy"));
    script.mark(copy, "copy");
    let mut lanes = vec![start; WORKERS as usize];
    for number in 0..parts {
        let lane = (number % WORKERS) as usize;
        let lasting = part.mul_f64(stage.dice.between(0.85, 1.15));
        let draft = Draft::new(agent, "upload part").client().under(copy).at(lanes[lane]).lasting(lasting);
        let draft = draft
            .with("dbaas.backup.part", number)
            .with("dbaas.backup.worker", lane as u64)
            .with("dbaas.backup.stored_bytes", what.stored_bytes / parts)
            .with("server.address", "s3.example.net");
        let fails = what.fails && number == parts / 2;
        script.trace.add(if fails { draft.failed("UploadFailed", "503 Slow Down after 5 tries") } else { draft });
        lanes[lane] += lasting;
        if fails {
            break;
        }
    }
    *at = lanes.into_iter().max().unwrap_or(start);
    script.trace.end(copy, *at);
    script.trace.change(copy, |draft| {
        let draft = draft.with("dbaas.backup.size_bytes", what.size_bytes);
        if what.fails { draft.status_error("upload failed") } else { draft }
    });
}

/// A WAL segment goes to the archive.
pub(in crate::demo::world) fn wal_push(stage: &mut Stage<'_>) -> Made {
    let agent = &stage.instance().primary().agent;
    let segment = format!("00000001{}", stage.dice.hex(16).to_uppercase());
    let total = stage.millis(180.0, 1.11);
    let is_retried = stage.dice.chance(WAL_RETRY_SHARE);
    let mut script = stage.script(Duration::ZERO);
    let root = Draft::new(agent, "wal_push").with("dbaas.operation", "wal_push").with("dbaas.wal.segment", segment);
    let root = script.trace.add(root.lasting(total));
    let put = |lasting: Duration, count: i64| {
        let put = Draft::new(agent, "PUT object").client().under(root).lasting(lasting);
        put.with("http.request.method", "PUT").with("http.request.resend_count", count)
    };
    if is_retried {
        script.trace.add(put(total.mul_f64(0.4), 0).failed("SlowDown", "503 Slow Down"));
        script.trace.add(put(total.mul_f64(0.5), 1).at(total.mul_f64(0.45)));
    } else {
        script.trace.add(put(total.mul_f64(0.96), 0));
    }
    let spans: Vec<EmittedSpan> = script.finish();
    Made::frequent("backup", spans)
}
