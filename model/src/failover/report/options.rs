//! What a report is asked for.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use proto::UnixNanos;
use serde::{Deserialize, Serialize};

use super::week::iso_week;
use crate::failover::FailoverFacts;

/// Objectives that a report holds failovers against, per kind: a strict one and a lax one.
pub const SLO_BARS_MAX: usize = 2;

/// What a report is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportOptions {
    /// First instant.
    pub start: UnixNanos,
    /// First instant after the period.
    pub end: UnixNanos,
    /// When the question is asked.
    pub as_of: UnixNanos,
    /// Groups are by these; none for one group each of planned and unplanned failovers.
    pub group_by: Vec<GroupBy>,
    /// Longest time without writes that is good enough, nanoseconds, of unplanned failovers: the first [`SLO_BARS_MAX`] count.
    pub slo_unplanned_nanos: Vec<i64>,
    /// The same of planned ones.
    pub slo_planned_nanos: Vec<i64>,
}

impl ReportOptions {
    /// The bars that failovers of this kind are held against.
    #[must_use]
    pub fn bars(&self, is_planned: bool) -> &[i64] {
        let bars = if is_planned { &self.slo_planned_nanos } else { &self.slo_unplanned_nanos };
        &bars[..bars.len().min(SLO_BARS_MAX)]
    }
}

/// What groups are by. Planned and unplanned are told apart in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupBy {
    /// `cloud.region`
    Region,
    /// `cloud.availability_zone`
    Zone,
    /// `db.system.name`
    Engine,
    /// `dbaas.engine.version`
    EngineVersion,
    /// `dbaas.plan`
    Plan,
    /// `dbaas.tenant.id`
    Tenant,
    /// `dbaas.instance.id`
    Instance,
    /// `dbaas.failover.trigger`
    Trigger,
    /// `dbaas.failover.cause`
    Cause,
    /// `service.version` of the controller
    ControllerVersion,
    /// ISO 8601 week of the start, in UTC
    Week,
}

/// The text is nothing to group by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is nothing to group by: write one of {names}", names = GroupBy::ALL.map(GroupBy::name).join(", "))]
pub struct GroupByError(
    /// What was written.
    pub String,
);

impl GroupBy {
    /// Everything that groups can be by.
    pub const ALL: [Self; 11] = [
        Self::Region,
        Self::Zone,
        Self::Engine,
        Self::EngineVersion,
        Self::Plan,
        Self::Tenant,
        Self::Instance,
        Self::Trigger,
        Self::Cause,
        Self::ControllerVersion,
        Self::Week,
    ];

    /// The name in the HTTP API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Region => "region",
            Self::Zone => "zone",
            Self::Engine => "engine",
            Self::EngineVersion => "engine_version",
            Self::Plan => "plan",
            Self::Tenant => "tenant",
            Self::Instance => "instance",
            Self::Trigger => "trigger",
            Self::Cause => "cause",
            Self::ControllerVersion => "controller_version",
            Self::Week => "week",
        }
    }

    pub(super) fn value(self, failover: &FailoverFacts) -> Option<Cow<'_, str>> {
        let subject = &failover.subject;
        let text = match self {
            Self::Region => &subject.region,
            Self::Zone => &subject.zone,
            Self::Engine => &subject.engine,
            Self::EngineVersion => &subject.engine_version,
            Self::Plan => &subject.plan,
            Self::Tenant => &subject.tenant,
            Self::Instance => &subject.instance,
            Self::Trigger => return Some(Cow::Borrowed(failover.trigger.name())),
            Self::Cause => &failover.cause,
            Self::ControllerVersion => &subject.controller_version,
            Self::Week => return Some(Cow::Owned(iso_week(failover.start))),
        };
        text.as_deref().map(Cow::Borrowed)
    }
}

impl FromStr for GroupBy {
    type Err = GroupByError;

    fn from_str(text: &str) -> Result<Self, GroupByError> {
        Self::ALL.into_iter().find(|by| by.name() == text).ok_or_else(|| GroupByError(text.to_owned()))
    }
}

impl fmt::Display for GroupBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
