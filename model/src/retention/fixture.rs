//! Facts and policies for tests, made in few words.

use proto::{TraceId, UnixNanos};

use super::{Policy, StatusSet, TraceFacts};
use crate::fixture::EPOCH_NANOS;
use crate::{ClassSet, OperationClass, StatusCode};

pub(super) const MS: i64 = 1_000_000;
pub(super) const SECOND: i64 = 1_000 * MS;
pub(super) const MINUTE: i64 = 60 * SECOND;
pub(super) const DAY: i64 = 24 * 60 * MINUTE;

/// So many nanoseconds after the time at which tests begin.
pub(super) fn at(nanos: i64) -> UnixNanos {
    UnixNanos::from_i64(EPOCH_NANOS + nanos)
}

pub(super) fn trace_id(number: u128) -> TraceId {
    TraceId::from_bytes(&number.to_be_bytes()).expect("not zero")
}

/// From a policy's own table, without the `retention.` of the configuration file.
pub(super) fn policy(toml: &str) -> Policy {
    toml::from_str(toml).expect("a policy")
}

/// A trace of one span, complete and without an error, that begins so many nanoseconds after the tests do, takes 5 ms, and
/// is received at once.
pub(super) fn facts<'a>(number: u128, class: OperationClass, operation: &'a str, start: i64) -> TraceFacts<'a> {
    TraceFacts {
        trace_id: trace_id(number),
        service: "a-service",
        operation,
        class,
        classes: ClassSet::EMPTY.with(class),
        has_root: true,
        is_linked: false,
        statuses: StatusSet::EMPTY.with(StatusCode::Unset),
        start: at(start),
        end: at(start + 5 * MS),
        received: at(start + 5 * MS),
        span_count: 1,
        instance: None,
        attributes: Vec::new(),
        state_changed: false,
        kept_before: false,
        weight: 1.0,
    }
}

/// A health check of an instance.
pub(super) fn check(number: u128, instance: &str, start: i64) -> TraceFacts<'_> {
    TraceFacts { instance: Some(instance), ..facts(number, OperationClass::HealthCheck, "HealthCheck", start) }
}

impl TraceFacts<'_> {
    /// The same with an error.
    pub(super) fn failed(self) -> Self {
        Self { statuses: self.statuses.with(StatusCode::Error), ..self }
    }

    /// The same with another duration, received when it ended.
    pub(super) fn lasting(self, nanos: i64) -> Self {
        let end = self.start.saturating_add(nanos);
        Self { end, received: end, ..self }
    }
}
