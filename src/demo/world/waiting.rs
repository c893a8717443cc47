//! Spans that are not ready to be sent yet.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use proto::UnixNanos;

use super::afflict::Parcel;

/// Parcels by when they are ready, then by when they were made.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    later: BinaryHeap<Reverse<Entry>>,
    /// Those that are ready, in order.
    ready: Vec<Parcel>,
    sequence: u64,
}

#[derive(Debug)]
struct Entry {
    order: (UnixNanos, u64),
    parcel: Parcel,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order.cmp(&other.order)
    }
}

impl Waiting {
    pub(super) fn push(&mut self, parcel: Parcel) {
        let order = (parcel.emitted.ready, self.sequence);
        self.later.push(Reverse(Entry { order, parcel }));
        self.sequence += 1;
    }

    /// When the next parcel is ready that was not looked at yet.
    pub(super) fn next_ready(&self) -> Option<UnixNanos> {
        self.later.peek().map(|Reverse(entry)| entry.order.0)
    }

    /// How many parcels are ready at `now`; looks no further than `enough`.
    pub(super) fn ready_count(&mut self, now: UnixNanos, enough: usize) -> usize {
        while self.ready.len() < enough {
            let is_ready = self.later.peek().is_some_and(|Reverse(entry)| entry.order.0 <= now);
            match self.later.pop() {
                Some(Reverse(entry)) if is_ready => self.ready.push(entry.parcel),
                Some(entry) => {
                    self.later.push(entry);
                    break;
                }
                None => break,
            }
        }
        self.ready.len()
    }

    /// Takes all that are ready at `now`.
    pub(super) fn take(&mut self, now: UnixNanos) -> Vec<Parcel> {
        self.ready_count(now, usize::MAX);
        std::mem::take(&mut self.ready)
    }
}
