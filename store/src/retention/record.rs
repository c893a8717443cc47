//! What a block's entry in the manifest tells about retention: enough to decide about its traces later, when what speaks for
//! them (a failover, the check before) lies in other blocks.

use std::cmp::Reverse;

use model::OperationClass;
use proto::{TraceId, UnixNanos};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::hex_ids;

/// Failovers and the like remembered per block one by one; further ones are joined, see [`join_beyond`].
pub(super) const INCIDENTS_MAX: usize = 256;

/// Traces remembered per block as changes of state, the earliest first. A fleet that fails as a whole has more: those beyond are
/// kept only if they failed or something else speaks for them.
pub(super) const STATE_CHANGES_MAX: usize = 1_024;

/// Operations remembered per block as failing at its end, the latest first.
pub(super) const FAILING_MAX: usize = 256;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockRetention {
    /// When all of its spans had arrived, by the writer's clock, Unix nanoseconds.
    pub received: i64,
    /// When a rule may drop something of it, Unix nanoseconds; `None` for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewrite_at: Option<i64>,
    /// The policy (see [`model::retention::Policy::fingerprint`]) that decided to keep what is in it; `None` while some of it is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<u64>,
    /// Operations in it that some rule asks for neighbours of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incidents: Vec<Incident>,
    /// Traces whose run went the other way than the one before.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "hex_ids")]
    pub state_changes: Vec<TraceId>,
    /// Operations whose last run, when it was written, had an error.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failing: Vec<Failing>,
}

/// Something that happened to an instance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Incident {
    /// What.
    #[serde(with = "class_name")]
    pub class: OperationClass,
    /// To whom; empty for any instance.
    pub instance: String,
    /// First start, Unix nanoseconds.
    pub start: i64,
    /// Last end, Unix nanoseconds.
    pub end: i64,
}

/// An operation whose last run had an error.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Failing {
    /// The instance, or the service when no instance is told.
    pub subject: String,
    /// Span name of the root.
    pub operation: String,
    /// When that run started, Unix nanoseconds.
    pub start: i64,
}

impl BlockRetention {
    /// Remembers the incidents of one more source.
    pub(super) fn add_incidents(&mut self, incidents: impl IntoIterator<Item = Incident>) {
        self.incidents.extend(incidents);
        self.incidents.sort_unstable();
        self.incidents.dedup();
        join_beyond(&mut self.incidents);
    }

    /// Remembers more changes of state, up to the limit.
    pub(super) fn add_state_changes(&mut self, traces: impl IntoIterator<Item = TraceId>) {
        self.state_changes.extend(traces);
        self.state_changes.sort_unstable();
        self.state_changes.dedup();
        self.state_changes.truncate(STATE_CHANGES_MAX);
    }

    /// Remembers what fails now, the latest failures if there are too many.
    pub(super) fn set_failing(&mut self, mut failing: Vec<Failing>) {
        failing.sort_unstable_by_key(|one| Reverse(one.start));
        failing.truncate(FAILING_MAX);
        failing.sort_unstable();
        self.failing = failing;
    }

    /// Whether the trace's run went the other way than the one before.
    pub(super) fn has_changed(&self, trace_id: TraceId) -> bool {
        self.state_changes.binary_search(&trace_id).is_ok()
    }

    /// The rules may drop something at `due`.
    pub(super) fn note_due(&mut self, due: i64) {
        self.rewrite_at = Some(self.rewrite_at.map_or(due, |earlier| earlier.min(due)));
    }
}

/// Past [`INCIDENTS_MAX`] there is one incident per class, of any instance and all the time: too much is kept rather than
/// too little.
fn join_beyond(incidents: &mut Vec<Incident>) {
    if incidents.len() <= INCIDENTS_MAX {
        return;
    }
    let mut joined: Vec<Incident> = Vec::new();
    for incident in incidents.drain(..) {
        match joined.iter_mut().find(|one| one.class == incident.class) {
            Some(one) => {
                one.start = one.start.min(incident.start);
                one.end = one.end.max(incident.end);
            }
            None => joined.push(Incident { instance: String::new(), ..incident }),
        }
    }
    *incidents = joined;
}

impl Incident {
    /// Whether it has to do with anything between the two times.
    pub(super) fn meets(&self, start: UnixNanos, end: UnixNanos) -> bool {
        self.start <= end.as_i64() && start.as_i64() <= self.end.max(self.start)
    }
}

mod class_name {
    use super::{Deserialize, Deserializer, OperationClass, Serializer};

    pub(super) fn serialize<S: Serializer>(class: &OperationClass, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(class.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OperationClass, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incident(number: i64) -> Incident {
        let instance = format!("pg-{number}");
        Incident { class: OperationClass::Failover, instance, start: number, end: number + 10 }
    }

    #[test]
    fn too_many_incidents_become_one_of_any_instance() {
        let mut record = BlockRetention::default();
        record.add_incidents((0..INCIDENTS_MAX as i64).map(incident));
        assert_eq!(record.incidents.len(), INCIDENTS_MAX);
        record.add_incidents([incident(5)]);
        assert_eq!(record.incidents.len(), INCIDENTS_MAX, "known already");
        record.add_incidents([incident(1_000)]);
        let joined = Incident { class: OperationClass::Failover, instance: String::new(), start: 0, end: 1_010 };
        assert_eq!(record.incidents, [joined]);
    }

    #[test]
    fn the_latest_failures_are_remembered() {
        let failing =
            |number: i64| Failing { subject: format!("pg-{number}"), operation: "check".into(), start: number };
        let mut record = BlockRetention::default();
        record.set_failing((0..FAILING_MAX as i64 + 3).map(failing).collect());
        assert_eq!(record.failing.len(), FAILING_MAX);
        assert!(record.failing.iter().all(|one| one.start >= 3));
    }

    #[test]
    fn survives_json_and_says_nothing_when_there_is_nothing() {
        let mut record = BlockRetention { received: 7, ..BlockRetention::default() };
        assert_eq!(serde_json::to_string(&record).expect("JSON"), r#"{"received":7}"#);
        record.add_incidents([incident(1)]);
        record.add_state_changes(["0af7651916cd43dd8448eb211c80319c".parse().expect("an id")]);
        record.decided_by = Some(u64::MAX);
        record.note_due(9);
        record.note_due(12);
        let json = serde_json::to_string(&record).expect("JSON");
        assert_eq!(serde_json::from_str::<BlockRetention>(&json).expect("what was written"), record);
        assert_eq!(record.rewrite_at, Some(9));
    }
}
