use super::*;
use crate::OperationClass;
use crate::fixture::build::{Build, SECOND, nanos};
use crate::rules::{Phase, Rules, Settings};
use crate::run::{Outcome, join, parts_of};

const GIB: i64 = 1 << 30;

fn facts(build: &Build) -> BackupFacts {
    let parts = parts_of(&build.trace(), &Rules::default());
    let runs = join(parts, &Settings::default());
    assert_eq!(runs.len(), 1);
    BackupFacts::of(&runs[0]).expect("a backup")
}

/// 64 GiB with two workers; copying takes so many seconds.
fn backup(trace: u8, copy: f64) -> Build {
    let copied = 12.0 + copy;
    Build::new(trace)
        .add(1, 0, "Backup", "backup-runner", 0.0, copied + 8.0)
        .with("dbaas.backup.id", i64::from(trace))
        .with("dbaas.instance.id", "pg-1")
        .with("cloud.region", "eu-1")
        .with("db.system.name", "postgresql")
        .with("dbaas.backup.type", "full")
        .with("dbaas.backup.size_bytes", 64 * GIB)
        .with("dbaas.backup.stored_bytes", 16 * GIB)
        .with("dbaas.backup.wal_bytes", 500_000_000_i64)
        .with("dbaas.backup.workers", 2_i64)
        .add(2, 1, "queue", "backup-runner", 0.0, 10.0)
        .add(3, 1, "pg_backup_start", "agent", 10.0, 12.0)
        .add(4, 1, "Copy files", "agent", 12.0, copied)
        .add(5, 4, "Upload part", "agent", 12.0, copied)
        .add(6, 4, "Upload part", "agent", 12.0, 12.0 + copy / 2.0)
        .add(7, 1, "pg_backup_stop", "agent", copied, copied + 1.0)
        .add(8, 1, "wait for WAL archive", "agent", copied + 1.0, copied + 6.0)
        .add(9, 1, "verify checksums", "agent", copied + 6.0, copied + 8.0)
}

#[test]
fn phases_rates_and_parallel_work() {
    let facts = facts(&backup(1, 200.0));
    let seconds: Vec<(Phase, f64)> = facts.phases.iter().map(|rate| (rate.phase, rate.nanos as f64 / 1e9)).collect();
    let expected = [
        (Phase::Queue, 10.0),
        (Phase::Checkpoint, 2.0),
        (Phase::Copy, 200.0),
        (Phase::Stop, 1.0),
        (Phase::WalWait, 5.0),
        (Phase::Verify, 2.0),
    ];
    assert_eq!(seconds, expected);
    let rate = |phase| facts.phases.iter().find(|rate| rate.phase == phase).and_then(|rate| rate.megabytes_per_second);
    assert!((rate(Phase::Copy).expect("bytes are known") - 64.0 * 1_073.741_824 / 200.0).abs() < 1e-6);
    assert_eq!(rate(Phase::WalWait), Some(100.0));
    assert_eq!(rate(Phase::Queue), None);
    assert_eq!(facts.parallel_efficiency(), Some(0.75), "300 s of work within 200 s by two workers");
    assert_eq!(facts.compression_ratio(), Some(4.0));
    assert_eq!(facts.queue_share(), Some(10.0 / 220.0));
    assert_eq!(facts.seconds_per_gib(), Some(220.0 / 64.0));
    assert_eq!((facts.outcome, facts.duration_nanos), (Outcome::Success, Some(nanos(220.0))));
}

#[test]
fn phases_add_up_to_the_duration() {
    let build = backup(1, 200.0).add(20, 1, "something else", "agent", 220.0, 220.0).without(&[8, 3]);
    let facts = facts(&build);
    let phases: i64 = facts.phases.iter().map(|rate| rate.nanos).sum();
    assert_eq!(Some(phases + facts.other_nanos + facts.unattributed_nanos), facts.duration_nanos);
    assert_eq!(facts.unattributed_nanos, 7 * SECOND);
}

#[test]
fn the_slow_one_stands_out_among_its_peers() {
    let mut all: Vec<BackupFacts> = [(1, 200.0), (2, 205.0), (3, 195.0), (4, 210.0), (5, 190.0), (6, 900.0)]
        .map(|(trace, copy)| facts(&backup(trace, copy)))
        .into();
    let mut elsewhere = all[5].clone();
    elsewhere.subject.region = Some("us-1".to_owned());
    let mut failed = all[0].clone();
    failed.outcome = Outcome::Failed;
    all.extend([elsewhere, failed]);
    let rows = against_peers(&all);
    assert_eq!(rows.len(), 7, "a failed one is no peer");
    let slow = &rows[0];
    assert_eq!((slow.run, slow.peers, slow.key.size_log2_gib), (all[5].run, 6, 6));
    // Of 210, 215, 220, 225, 230 and 920 s the median is 222.5 s, and the median deviation 7.5 s.
    let z = slow.z.expect("enough peers");
    assert!((z - 0.674_5 * (920.0 - 222.5) / 7.5).abs() < 1e-6, "{z}");
    let (phase, beyond) = slow.slowest_phase.expect("copying");
    assert_eq!(phase, Phase::Copy);
    assert!((beyond - (900.0 - 202.5) / 64.0).abs() < 1e-9);
    assert_eq!(rows.last().map(|row| (row.peers, row.z)), Some((1, None)), "alone in its region");
}

#[test]
fn a_restore_by_its_phases() {
    let build = Build::new(1)
        .add(1, 0, "restore", "multipooler", 0.0, 100.0)
        .with("dbaas.backup.size_bytes", 10 * GIB)
        .with("dbaas.backup.stored_bytes", 5_000_000_000_i64)
        .add(2, 1, "restore/pgbackrest", "multipooler", 0.0, 50.0)
        .add(3, 1, "restore/reconfigure-archive", "multipooler", 50.0, 51.0)
        .add(4, 1, "restore/start-postgres", "multipooler", 51.0, 60.0)
        .add(5, 1, "restore/reopen-pooler", "multipooler", 60.0, 62.0);
    let facts = facts(&build);
    assert_eq!(facts.class, OperationClass::Restore);
    let seconds: Vec<(Phase, i64)> = facts.phases.iter().map(|rate| (rate.phase, rate.nanos / SECOND)).collect();
    assert_eq!(seconds, [(Phase::Download, 50), (Phase::Promote, 9), (Phase::PostConfig, 3)]);
    assert_eq!(facts.phases[0].megabytes_per_second, Some(100.0));
}
