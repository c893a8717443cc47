//! Numbers the distinct resources and scopes of a trace.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;

/// Distinct values in order of first appearance.
///
/// Spans that came together share an `Arc`, which is the quick way to see that two are the same; the same resource in two
/// batches or tiers has two, which their JSON tells.
pub(crate) struct Distinct<'a, T> {
    values: Vec<&'a T>,
    index_by_address: HashMap<*const T, usize>,
    index_by_json: HashMap<Vec<u8>, usize>,
}

impl<'a, T> Distinct<'a, T> {
    pub(crate) fn new() -> Self {
        Self { values: Vec::new(), index_by_address: HashMap::new(), index_by_json: HashMap::new() }
    }

    /// The number of `value`, a new one if it was not seen yet. `view` gives it a JSON form in which no two values are alike.
    pub(crate) fn index_of<V: Serialize>(&mut self, value: &'a Arc<T>, view: impl FnOnce(&'a T) -> V) -> usize {
        if let Some(&index) = self.index_by_address.get(&Arc::as_ptr(value)) {
            return index;
        }
        // Serialising to memory cannot fail; if it did, values would be told apart by address only.
        let json = serde_json::to_vec(&view(value)).ok();
        let next = self.values.len();
        let index = match json {
            Some(json) => *self.index_by_json.entry(json).or_insert(next),
            None => next,
        };
        if index == next {
            self.values.push(value);
        }
        self.index_by_address.insert(Arc::as_ptr(value), index);
        index
    }

    /// The values by number.
    pub(crate) fn values(&self) -> &[&'a T] {
        &self.values
    }
}
