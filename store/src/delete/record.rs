//! Deleted traces as the manifest keeps them, and as readers look them up.

use std::collections::BTreeSet;
use std::sync::Arc;

use proto::TraceId;
use serde::{Deserialize, Serialize};

use crate::hex_ids;
use crate::manifest::{Manifest, Manifests};

/// Traces that were deleted at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delete {
    /// When, by the clock of the node that was asked, Unix nanoseconds.
    pub at: i64,
    /// Which ones, ascending.
    #[serde(with = "hex_ids")]
    pub traces: Vec<TraceId>,
}

/// All traces whose delete stands, of all writers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DeletedTraces {
    ids: BTreeSet<TraceId>,
}

impl DeletedTraces {
    /// Those of all manifests.
    pub(crate) fn of(manifests: &Manifests) -> Self {
        manifests
            .values()
            .flat_map(|manifest| &manifest.deletes)
            .flat_map(|delete| delete.traces.iter().copied())
            .collect()
    }

    /// Whether no delete stands.
    pub(crate) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Whether the trace is deleted.
    pub(crate) fn contains(&self, id: TraceId) -> bool {
        self.ids.contains(&id)
    }

    /// Those from one trace id to another, both included.
    pub(crate) fn between(&self, first: TraceId, last: TraceId) -> impl Iterator<Item = TraceId> + use<'_> {
        // A range that ends before it begins would panic; a damaged manifest must not.
        self.ids.range(first..=last.max(first)).copied()
    }
}

impl FromIterator<TraceId> for DeletedTraces {
    fn from_iter<T: IntoIterator<Item = TraceId>>(ids: T) -> Self {
        Self { ids: ids.into_iter().collect() }
    }
}

impl Manifest {
    /// With the deletes of further traces; `None` when all of them are deleted already.
    pub(crate) fn with_deletes(&self, traces: &[TraceId], at: i64) -> Option<Self> {
        let known: BTreeSet<TraceId> = self.deletes.iter().flat_map(|delete| delete.traces.iter().copied()).collect();
        let new: BTreeSet<TraceId> = traces.iter().copied().filter(|id| !known.contains(id)).collect();
        if new.is_empty() {
            return None;
        }
        let mut next = self.clone();
        next.deletes.push(Arc::new(Delete { at, traces: new.into_iter().collect() }));
        Some(next)
    }

    /// Without the deletes of these traces; `None` when there are none of them.
    pub(crate) fn without_deletes(&self, gone: &BTreeSet<TraceId>) -> Option<Self> {
        let mut next = self.clone();
        next.deletes.clear();
        for delete in &self.deletes {
            let traces: Vec<TraceId> = delete.traces.iter().copied().filter(|id| !gone.contains(id)).collect();
            if !traces.is_empty() {
                next.deletes.push(Arc::new(Delete { at: delete.at, traces }));
            }
        }
        (next.deletes != self.deletes).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> TraceId {
        TraceId::from_bytes(&[number; 16]).expect("not zero")
    }

    #[test]
    fn deletes_come_and_go_with_the_manifest() {
        let none = Manifest::empty("w".to_owned());
        let json = serde_json::to_string(&none).expect("JSON");
        assert!(!json.contains("deletes"), "{json}");

        let two = none.with_deletes(&[id(2), id(1), id(2)], 7).expect("new");
        assert_eq!(*two.deletes[0], Delete { at: 7, traces: vec![id(1), id(2)] });
        assert_eq!(two.with_deletes(&[id(1)], 8), None);
        let three = two.with_deletes(&[id(1), id(3)], 8).expect("new");
        let json = serde_json::to_string(&three).expect("JSON");
        assert_eq!(serde_json::from_str::<Manifest>(&json).expect("what was written"), three);

        let manifests = Manifests::from([("w".to_owned(), Arc::new(three.clone()))]);
        let deleted = DeletedTraces::of(&manifests);
        assert!(deleted.contains(id(3)) && !deleted.contains(id(4)));
        assert_eq!(deleted.between(id(2), id(9)).collect::<Vec<_>>(), [id(2), id(3)]);
        assert_eq!(deleted.between(id(9), id(1)).count(), 0);

        let one = three.without_deletes(&[id(1), id(3), id(9)].into()).expect("changed");
        assert_eq!(one.deletes.len(), 1);
        assert_eq!(one.deletes[0].traces, [id(2)]);
        assert_eq!(one.without_deletes(&[id(1)].into()), None);
    }
}
