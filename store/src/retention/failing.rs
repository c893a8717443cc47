//! Which operations failed when they last ran, so that the first run that goes well again is seen as a change.

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;
use model::retention::{Health, StateKey, TraceFacts};

use super::record::Failing;

/// Operations remembered; further ones are not known to fail. Those of a fleet that fails as a whole.
const OPERATIONS_MAX: usize = 16_384;

/// By instance or service, then by operation: the start of the failed run, Unix nanoseconds.
#[derive(Debug, Default)]
pub(super) struct FailingOperations {
    subjects: HashMap<String, HashMap<String, i64>>,
    len: usize,
}

impl FailingOperations {
    /// Goes on from what a block's entry remembers.
    pub(super) fn restore(&mut self, failing: &[Failing]) {
        for one in failing {
            self.insert(&one.subject, &one.operation, one.start);
        }
    }

    /// The last health before these traces of their operations, where it is known.
    pub(super) fn of<'a>(&self, facts: &[TraceFacts<'a>]) -> HashMap<StateKey<'a>, Health> {
        if self.subjects.is_empty() {
            return HashMap::new();
        }
        let keys = facts.iter().map(StateKey::of);
        keys.filter(|key| self.has(key)).map(|key| (key, Health::Failing)).collect()
    }

    /// Takes the last run of each operation.
    pub(super) fn learn(&mut self, facts: &[TraceFacts<'_>]) {
        let mut last: HashMap<StateKey<'_>, &TraceFacts<'_>> = HashMap::new();
        let failed: HashSet<StateKey<'_>, RandomState> =
            facts.iter().filter(|one| one.has_error()).map(StateKey::of).collect();
        if failed.is_empty() && self.subjects.is_empty() {
            return;
        }
        for one in facts {
            let key = StateKey::of(one);
            if !failed.contains(&key) && !self.has(&key) {
                continue;
            }
            let known = last.entry(key).or_insert(one);
            if (known.start, known.trace_id) < (one.start, one.trace_id) {
                *known = one;
            }
        }
        for (key, one) in last {
            match one.health() {
                Health::Failing => self.insert(key.subject, key.operation, one.start.as_i64()),
                Health::Well => self.remove(&key),
            }
        }
    }

    /// All of them.
    pub(super) fn list(&self) -> Vec<Failing> {
        let of_subject = |(subject, operations): (&String, &HashMap<String, i64>)| {
            let one = |(operation, start): (&String, &i64)| Failing {
                subject: subject.clone(),
                operation: operation.clone(),
                start: *start,
            };
            operations.iter().map(one).collect::<Vec<_>>()
        };
        self.subjects.iter().flat_map(of_subject).collect()
    }

    fn has(&self, key: &StateKey<'_>) -> bool {
        self.subjects.get(key.subject).is_some_and(|operations| operations.contains_key(key.operation))
    }

    fn insert(&mut self, subject: &str, operation: &str, start: i64) {
        if let Some(known) = self.subjects.get_mut(subject).and_then(|known| known.get_mut(operation)) {
            *known = start;
        } else if self.len < OPERATIONS_MAX {
            self.len += 1;
            self.subjects.entry(subject.to_owned()).or_default().insert(operation.to_owned(), start);
        }
    }

    fn remove(&mut self, key: &StateKey<'_>) {
        let Some(operations) = self.subjects.get_mut(key.subject) else { return };
        self.len -= usize::from(operations.remove(key.operation).is_some());
        if operations.is_empty() {
            self.subjects.remove(key.subject);
        }
    }
}
