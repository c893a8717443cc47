//! What attributes of any span of a run tell about it. Of several that tell the same thing the outermost is believed, and of
//! sizes the largest: parts of a backup tell their own.

use proto::UnixNanos;

use super::part::{BackupFigures, RunPart};
use super::read::{owned_text, time};
use crate::{Event, KeyValue, OperationClass, Resource, Value, semconv};

const MS_NANOS: i64 = 1_000_000;

/// What is gathered beside the part itself.
#[derive(Default)]
pub(super) struct Figures {
    backup: BackupFigures,
}

impl Figures {
    pub(super) fn read_attributes(&mut self, attributes: &[KeyValue], part: &mut RunPart) {
        for KeyValue { key, value } in attributes {
            let Some(rest) = key.strip_prefix("dbaas.") else {
                read_subject(semconv::canonical(key), value, part);
                continue;
            };
            if let Some(rest) = rest.strip_prefix("failover.") {
                read_failover(rest, value, part);
            } else if let Some(rest) = rest.strip_prefix("backup.") {
                read_backup(rest, value, &mut self.backup);
            } else if rest == "operation.attempt" {
                read_attempt(value, part);
            } else {
                read_subject(semconv::canonical(key), value, part);
            }
        }
    }

    /// Events name time points: `dbaas.failover.fenced`.
    pub(super) fn read_events(&mut self, events: &[Event], part: &mut RunPart) {
        for event in events {
            if let Some(point) = event.name.strip_prefix("dbaas.failover.") {
                read_point(point, event.time, part);
            }
            self.read_attributes(&event.attributes, part);
        }
    }

    pub(super) fn read_resource(&mut self, resource: &Resource, part: &mut RunPart) {
        for KeyValue { key, value } in &resource.attributes {
            read_subject(semconv::canonical(key), value, part);
        }
    }

    /// What is known of a backup or restore; `None` for other classes, and when nothing is.
    pub(super) fn backup(self, class: OperationClass, serial_copy_nanos: i64) -> Option<Box<BackupFigures>> {
        let figures = BackupFigures { serial_copy_nanos, ..self.backup };
        let has_backup = matches!(class, OperationClass::Backup | OperationClass::Restore);
        (has_backup && figures != BackupFigures::default()).then(|| Box::new(figures))
    }
}

fn read_subject(key: &str, value: &Value, part: &mut RunPart) {
    let subject = &mut part.subject;
    let target = match key {
        "dbaas.instance.id" => &mut subject.instance,
        "cloud.region" => &mut subject.region,
        "cloud.availability_zone" => &mut subject.zone,
        "db.system.name" => &mut subject.engine,
        "dbaas.engine.version" => &mut subject.engine_version,
        "dbaas.plan" => &mut subject.plan,
        "dbaas.tenant.id" => &mut subject.tenant,
        _ => return,
    };
    if target.is_none() {
        *target = owned_text(value);
    }
}

fn read_failover(key: &str, value: &Value, part: &mut RunPart) {
    let set = |target: &mut Option<String>| {
        if target.is_none() {
            *target = owned_text(value);
        }
    };
    match key {
        "cause" => set(&mut part.cause),
        "old_primary" => set(&mut part.subject.old_primary),
        "new_primary" => set(&mut part.subject.new_primary),
        "attempt" => read_attempt(value, part),
        "data_loss.bytes" => part.data_loss_bytes = part.data_loss_bytes.max(count(value)),
        "slo_ms" => part.slo_nanos = part.slo_nanos.or(semconv::integer(value).map(|ms| ms.saturating_mul(MS_NANOS))),
        _ => {
            if let Some(point) = key.strip_suffix("_time")
                && let Some(time) = time(value)
            {
                read_point(point, time, part);
            }
        }
    }
}

/// The number of the last attempt.
fn read_attempt(value: &Value, part: &mut RunPart) {
    let attempt = semconv::integer(value).and_then(|attempt| u32::try_from(attempt).ok());
    part.attempt = part.attempt.max(attempt.filter(|attempt| *attempt > 0));
}

/// Of several times the earliest up to the decision, and the latest from then on: a second attempt counts.
fn read_point(name: &str, time: UnixNanos, part: &mut RunPart) {
    let points = &mut part.points;
    match name {
        "fault" => points.fault = Some(points.fault.map_or(time, |known| known.min(time))),
        "detected" => points.detected = Some(points.detected.map_or(time, |known| known.min(time))),
        "acted" => points.acted = Some(points.acted.map_or(time, |known| known.min(time))),
        "fenced" => points.fenced = points.fenced.max(Some(time)),
        "elected" => points.elected = points.elected.max(Some(time)),
        "promoted" => points.promoted = points.promoted.max(Some(time)),
        "routable" => points.routable = points.routable.max(Some(time)),
        "restored" => points.restored = points.restored.max(Some(time)),
        "redundant" => points.redundant = points.redundant.max(Some(time)),
        _ => {}
    }
}

fn read_backup(key: &str, value: &Value, backup: &mut BackupFigures) {
    let text = |target: &mut Option<String>| {
        if target.is_none() {
            *target = owned_text(value);
        }
    };
    let small = || count(value).and_then(|number| u32::try_from(number).ok());
    match key {
        "type" => text(&mut backup.kind),
        "method" => text(&mut backup.method),
        "compression" => text(&mut backup.compression),
        "target" => text(&mut backup.target),
        "parent_id" => text(&mut backup.parent_id),
        "size_bytes" => backup.size_bytes = backup.size_bytes.max(count(value)),
        "stored_bytes" => backup.stored_bytes = backup.stored_bytes.max(count(value)),
        "changed_bytes" => backup.changed_bytes = backup.changed_bytes.max(count(value)),
        "wal_bytes" => backup.wal_bytes = backup.wal_bytes.max(count(value)),
        "files" => backup.files = backup.files.max(count(value)),
        "workers" => backup.workers = backup.workers.max(small()),
        "retries" => backup.retries = backup.retries.max(small()),
        "throttled_ms" => {
            let nanos = semconv::integer(value).map(|ms| ms.saturating_mul(MS_NANOS));
            backup.throttled_nanos = backup.throttled_nanos.max(nanos);
        }
        _ => {}
    }
}

fn count(value: &Value) -> Option<u64> {
    semconv::integer(value).and_then(|number| u64::try_from(number).ok())
}
