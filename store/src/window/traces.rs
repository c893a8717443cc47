//! Which rows belong to which trace.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use proto::TraceId;

/// The number of a trace within one window, in order of arrival.
pub(crate) type TraceNumber = u32;

/// Ends a chain of rows.
const NONE: u32 = u32::MAX;

/// Rows by trace. Each trace id is kept once; the rows of a trace form a chain, latest first.
#[derive(Default)]
pub(crate) struct TraceTable {
    ids: Vec<TraceId>,
    latest_row: Vec<u32>,
    of_row: Vec<TraceNumber>,
    earlier_row: Vec<u32>,
    table: HashTable<TraceNumber>,
    hasher: RandomState,
}

impl TraceTable {
    /// With room for `rows` rows.
    pub(crate) fn with_capacity(rows: usize) -> Self {
        Self { of_row: Vec::with_capacity(rows), earlier_row: Vec::with_capacity(rows), ..Self::default() }
    }

    /// Adds the next row.
    pub(crate) fn push(&mut self, trace_id: TraceId) {
        let number = self.number(trace_id);
        let row = self.of_row.len() as u32;
        self.of_row.push(number);
        self.earlier_row.push(std::mem::replace(&mut self.latest_row[number as usize], row));
    }

    fn number(&mut self, trace_id: TraceId) -> TraceNumber {
        // Senders mostly send the spans of a trace one after the other.
        if let Some(last) = self.of_row.last()
            && self.ids[*last as usize] == trace_id
        {
            return *last;
        }
        let Self { ids, table, hasher, .. } = self;
        let hash = hasher.hash_one(trace_id);
        if let Some(known) = table.find(hash, |number| ids[*number as usize] == trace_id) {
            return *known;
        }
        let number = ids.len() as TraceNumber;
        ids.push(trace_id);
        self.latest_row.push(NONE);
        table.insert_unique(hash, number, |number| hasher.hash_one(ids[*number as usize]));
        number
    }

    /// Rows there are.
    pub(crate) fn len(&self) -> usize {
        self.of_row.len()
    }

    /// The traces, by number.
    pub(crate) fn ids(&self) -> &[TraceId] {
        &self.ids
    }

    /// The number of a row's trace.
    pub(crate) fn number_of_row(&self, row: usize) -> TraceNumber {
        self.of_row[row]
    }

    /// The trace of a row.
    pub(crate) fn id_of_row(&self, row: usize) -> TraceId {
        self.ids[self.of_row[row] as usize]
    }

    /// The number of a trace, if the window has it.
    pub(crate) fn find(&self, trace_id: TraceId) -> Option<TraceNumber> {
        let hash = self.hasher.hash_one(trace_id);
        self.table.find(hash, |number| self.ids[*number as usize] == trace_id).copied()
    }

    /// The rows of a trace, latest first.
    pub(crate) fn rows(&self, number: TraceNumber) -> impl Iterator<Item = u32> + use<'_> {
        let mut next = self.latest_row[number as usize];
        std::iter::from_fn(move || {
            let row = (next != NONE).then_some(next)?;
            next = self.earlier_row[row as usize];
            Some(row)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> TraceId {
        TraceId::from_bytes(&[number; 16]).expect("not zero")
    }

    #[test]
    fn rows_are_found_by_trace() {
        let mut traces = TraceTable::with_capacity(4);
        for number in [1, 1, 2, 1, 3, 3, 2] {
            traces.push(id(number));
        }
        let rows = |number| traces.find(id(number)).map(|found| traces.rows(found).collect::<Vec<_>>());
        assert_eq!(rows(1), Some(vec![3, 1, 0]));
        assert_eq!(rows(2), Some(vec![6, 2]));
        assert_eq!(rows(3), Some(vec![5, 4]));
        assert_eq!(rows(4), None);
        assert_eq!(traces.ids(), [id(1), id(2), id(3)]);
        assert_eq!((traces.len(), traces.id_of_row(6)), (7, id(2)));
    }
}
