//! What the parts of a run come to.

use proto::UnixNanos;

use super::joined::Run;
use super::part::{Outcome, PartKind, RunPart, Subject, Trigger};

/// A run of the parts of one group; `None` when they are only linked work.
pub(super) fn run_of(mut parts: Vec<RunPart>) -> Option<Run> {
    let leading = parts.iter().map(|part| part.kind).min().filter(|kind| *kind != PartKind::Linked)?;
    let of_operation: Vec<&RunPart> = parts.iter().filter(|part| part.kind == leading).collect();
    let last = of_operation.iter().max_by_key(|part| (part.start, part.trace_id, part.top))?;
    let failed = of_operation.iter().filter(|part| part.error.is_some()).max_by_key(|part| (part.start, part.trace_id));
    let all_ended = of_operation.iter().all(|part| part.has_top);
    let attempt = parts.iter().filter_map(|part| part.attempt).max().unwrap_or(1);
    let run = Run {
        class: of_operation[0].class,
        subject: subject(&parts),
        trigger: parts.iter().map(|part| part.trigger).find(|known| *known != Trigger::Unknown).unwrap_or_default(),
        cause: parts.iter().find_map(|part| part.cause.clone()),
        outcome: outcome(last, &of_operation),
        error: failed.and_then(|part| part.error.clone()),
        start: of_operation.iter().map(|part| part.start).min()?,
        end: of_operation.iter().filter_map(|part| part.end).max().filter(|_| all_ended),
        last_activity: parts.iter().map(|part| part.last_activity).max().unwrap_or(UnixNanos::ZERO),
        attempts: attempt.max(one_after_another(&of_operation)),
        parts: Vec::new(),
    };
    parts.sort_by_key(|part| (part.kind, part.start, part.trace_id, part.top));
    Some(Run { parts, ..run })
}

/// How many of the parts follow each other; those that overlap are one attempt, traced apart. The parts are in order of start.
fn one_after_another(parts: &[&RunPart]) -> u32 {
    let mut count = 0;
    let mut busy_until = UnixNanos::ZERO;
    for part in parts {
        count += u32::from(part.start >= busy_until);
        busy_until = busy_until.max(part.end.unwrap_or(part.last_activity));
    }
    count
}

/// The last attempt decides; an earlier one is asked only while nothing is known of the last.
fn outcome(last: &RunPart, attempts: &[&RunPart]) -> Outcome {
    if last.outcome != Outcome::Unknown || !last.has_top {
        return last.outcome;
    }
    let known = attempts.iter().rev().map(|part| part.outcome).find(|outcome| *outcome != Outcome::Unknown);
    known.unwrap_or_default()
}

fn subject(parts: &[RunPart]) -> Subject {
    let first = |field: fn(&Subject) -> &Option<String>| parts.iter().find_map(|part| field(&part.subject).clone());
    Subject {
        instance: first(|subject| &subject.instance),
        region: first(|subject| &subject.region),
        zone: first(|subject| &subject.zone),
        engine: first(|subject| &subject.engine),
        engine_version: first(|subject| &subject.engine_version),
        plan: first(|subject| &subject.plan),
        tenant: first(|subject| &subject.tenant),
        controller_version: first(|subject| &subject.controller_version),
        old_primary: first(|subject| &subject.old_primary),
        new_primary: first(|subject| &subject.new_primary),
    }
}
