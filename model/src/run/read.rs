//! Single attributes of spans, as runs need them.

use jiff::Timestamp;
use proto::{TraceId, UnixNanos};

use super::part::{Outcome, RunError, Trigger};
use super::{RunId, RunIdKind};
use crate::class::{CLASS_ATTRIBUTES, Words};
use crate::failover::is_failed;
use crate::{Span, Value, semconv};

/// Bytes of an error's message that are kept.
const MESSAGE_BYTES_MAX: usize = 256;

/// Bytes of any other text that are kept: ids and names are shorter, and a run is kept for years.
const TEXT_BYTES_MAX: usize = 128;

pub(super) fn has_class_attribute(span: &Span) -> bool {
    CLASS_ATTRIBUTES.iter().any(|key| span.attribute(key).is_some())
}

pub(super) fn failover_id(span: &Span) -> Option<&Value> {
    span.attribute(RunIdKind::Failover.attribute())
}

/// A text of the span or its resource.
pub(super) fn text(span: &Span, key: &str) -> Option<String> {
    semconv::of_span(span, key).and_then(owned_text)
}

/// The text that a value is, shortened.
pub(super) fn owned_text(value: &Value) -> Option<String> {
    semconv::text(value).map(|text| shortened(&text, TEXT_BYTES_MAX).to_owned())
}

/// The span's name, shortened.
pub(super) fn name(span: &Span) -> String {
    shortened(&span.name, TEXT_BYTES_MAX).to_owned()
}

/// The span's service, shortened.
pub(super) fn service(span: &Span) -> String {
    shortened(span.service(), TEXT_BYTES_MAX).to_owned()
}

fn shortened(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// The ids that the span has of runs.
pub(super) fn ids(span: &Span) -> impl Iterator<Item = RunId> {
    RunIdKind::ALL.into_iter().filter_map(|kind| {
        let value = span.attribute(kind.attribute()).and_then(owned_text)?;
        Some(RunId { kind, value })
    })
}

/// The other traces that the span links to.
pub(super) fn linked_traces(span: &Span) -> impl Iterator<Item = TraceId> {
    let linked = span.links.iter().filter_map(|link| TraceId::from_bytes(&link.trace_id).ok());
    linked.filter(|trace_id| *trace_id != span.trace_id)
}

/// A point in time however it was sent: RFC 3339, or a number since 1970 in seconds, milliseconds, microseconds or
/// nanoseconds, told apart by its size.
pub(super) fn time(value: &Value) -> Option<UnixNanos> {
    match value {
        Value::Int(number) => Some(by_magnitude(i128::from(*number) * 1_000_000_000)),
        // A double of seconds is exact to a fraction of a microsecond, which is all that such a sender can mean.
        Value::Double(number) if number.is_finite() && *number > 0.0 => {
            Some(by_magnitude((*number * 1_000_000.0) as i128 * 1_000))
        }
        Value::String(text) => time_of_text(text.trim()),
        _ => None,
    }
    .filter(|time| *time > UnixNanos::ZERO)
}

fn time_of_text(text: &str) -> Option<UnixNanos> {
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return i64::try_from(timestamp.as_nanosecond()).ok().map(UnixNanos::from_i64);
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let digits = format!("{:0<9}", &fraction[..fraction.len().min(9)]);
    let fraction: i128 = digits.parse().ok()?;
    Some(by_magnitude(i128::from(whole) * 1_000_000_000 + fraction))
}

/// From a number in billionths of its unit, whichever unit that is.
fn by_magnitude(billionths: i128) -> UnixNanos {
    const UNITS: [i128; 3] = [1, 1_000, 1_000_000];
    // 10^11 seconds are the year 5138, 10^11 milliseconds are 1973.
    let limit = 100_000_000_000 * 1_000_000_000_i128;
    let mut limit_of_unit = limit;
    for divisor in UNITS {
        if billionths < limit_of_unit {
            return UnixNanos::from_i64(i64::try_from(billionths / divisor).unwrap_or(i64::MAX));
        }
        limit_of_unit *= 1_000;
    }
    UnixNanos::from_i64(i64::try_from(billionths / 1_000_000_000).unwrap_or(i64::MAX))
}

const OUTCOME_ATTRIBUTES: [&str; 6] = [
    "dbaas.failover.outcome",
    "dbaas.backup.outcome",
    "dbaas.restore.outcome",
    "dbaas.operation.outcome",
    "cicd.pipeline.result",
    "result",
];

/// How the operation of this span ended, as its attributes tell.
pub(super) fn outcome(span: &Span) -> Outcome {
    let told = OUTCOME_ATTRIBUTES.iter().filter_map(|key| span.attribute(key).and_then(semconv::text));
    told.map(|text| outcome_of_text(&text)).find(|outcome| *outcome != Outcome::Unknown).unwrap_or_default()
}

fn outcome_of_text(text: &str) -> Outcome {
    match Words::of(text).text() {
        "success" | "succeeded" | "successful" | "ok" | "completed" | "done" => Outcome::Success,
        "failed" | "failure" | "error" | "timeout" | "timed out" | "action failed" => Outcome::Failed,
        "aborted" | "abort" | "cancelled" | "canceled" | "cancellation" | "skip" | "skipped" => Outcome::Aborted,
        "rolled back" | "rollback" | "reverted" => Outcome::RolledBack,
        _ => Outcome::Unknown,
    }
}

/// What set a failover off, as the attribute of this span tells.
pub(super) fn told_trigger(span: &Span) -> Trigger {
    let told = span.attribute("dbaas.failover.trigger").and_then(semconv::text);
    told.map_or(Trigger::Unknown, |text| match Words::of(&text).text() {
        "planned" | "planned failover" | "planned switchover" | "switchover" | "manual" | "maintenance" => {
            Trigger::Planned
        }
        "unplanned" | "automatic" | "auto" | "failure" => Trigger::Unplanned,
        "forced" | "forced failover" | "forced switchover" => Trigger::Forced,
        "drill" | "chaos" | "test" => Trigger::Drill,
        _ => Trigger::Unknown,
    })
}

/// Names of operations that nobody does without having planned them.
const PLANNED_WORDS: [&str; 5] = ["planned", "switchover", "switch over", "graceful", "failback"];

/// What set a failover off, by the name of its operation.
pub(super) fn named_trigger(operation: &str) -> Trigger {
    let words = Words::of(operation);
    let text = format!(" {} ", words.text());
    let is_planned = PLANNED_WORDS.iter().any(|word| text.contains(&format!(" {word} ")));
    if is_planned && !text.contains(" unplanned ") { Trigger::Planned } else { Trigger::Unknown }
}

/// The error of a span that failed.
pub(super) fn error(span: &Span) -> Option<RunError> {
    if !is_failed(span) {
        return None;
    }
    let exception = span.events.iter().rev().find(|event| event.name == "exception");
    let of_exception = |key: &str| {
        let value = exception.and_then(|event| semconv::lookup(&event.attributes, key));
        value.and_then(semconv::text)
    };
    let kind = semconv::lookup(&span.attributes, "error.type").and_then(semconv::text);
    let kind = kind.or_else(|| of_exception("exception.type")).unwrap_or_default();
    let message = if span.status_message.is_empty() {
        of_exception("exception.message").unwrap_or_default().into_owned()
    } else {
        span.status_message.clone()
    };
    Some(RunError {
        kind: shortened(&kind, TEXT_BYTES_MAX).to_owned(),
        message: shortened(&message, MESSAGE_BYTES_MAX).to_owned(),
        span_name: shortened(&span.name, TEXT_BYTES_MAX).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_whatever_unit() {
        let expected = UnixNanos::from_i64(1_795_464_000_500_000_000);
        for value in [
            Value::String("2026-11-23T20:00:00.5Z".to_owned()),
            Value::String("1795464000.5".to_owned()),
            Value::String("1795464000500".to_owned()),
            Value::Int(1_795_464_000_500),
            Value::Int(1_795_464_000_500_000),
            Value::Int(1_795_464_000_500_000_000),
            Value::Double(1_795_464_000.5),
        ] {
            assert_eq!(time(&value), Some(expected), "{value:?}");
        }
        assert_eq!(time(&Value::Int(1_795_464_000)), Some(UnixNanos::from_i64(1_795_464_000_000_000_000)));
        for value in [
            Value::String("yesterday".to_owned()),
            Value::String("12.x".to_owned()),
            Value::Bool(true),
            Value::Double(f64::NAN),
            Value::Int(0),
            Value::Int(-5),
        ] {
            assert_eq!(time(&value), None, "{value:?}");
        }
    }

    #[test]
    fn names_tell_a_planned_failover() {
        for name in ["Switchover", "VtctldServer.PlannedReparentShard", "graceful-master-takeover", "failback"] {
            assert_eq!(named_trigger(name), Trigger::Planned, "{name}");
        }
        for name in ["Failover", "VtctldServer.EmergencyReparentShard", "recovery/attempt", "UnplannedFailover"] {
            assert_eq!(named_trigger(name), Trigger::Unknown, "{name}");
        }
    }
}
