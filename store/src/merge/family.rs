//! What makes a row of a block depend on others of its trace: order, duplicates, parents, the trace's start.

use std::cmp::Reverse;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array};

use crate::Error;
use crate::cold::build;

/// One span on its way into the new block. Ids are kept as numbers, which sort as their bytes do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) trace: u128,
    /// Unix nanoseconds.
    pub(super) start: i64,
    pub(super) span: u64,
    /// Unix nanoseconds; may lie before the start.
    pub(super) end: i64,
    /// 0 for none: no span has this id.
    pub(super) parent: u64,
    /// Which of the read batches has its other columns.
    pub(super) batch: u32,
    /// Where in that batch.
    pub(super) at: u32,
}

/// Sorts by trace, start and span; rows of the input that comes first stay first. Input by input they are in order already,
/// which makes this a merge of a few runs.
pub(super) fn sort(rows: &mut [Row]) {
    rows.sort_by_key(|row| (row.trace, row.start, row.span));
}

/// Of rows with the same span keeps the one that ends last; of those the first.
pub(super) fn drop_duplicates(rows: &mut Vec<Row>) {
    let mut dropped: Vec<usize> = Vec::new();
    let mut first = 0;
    let mut by_span: Vec<(u64, Reverse<i64>, usize)> = Vec::new();
    for trace in rows.chunk_by(|a, b| a.trace == b.trace) {
        if trace.len() > 1 {
            by_span.clear();
            by_span.extend((first..).zip(trace).map(|(at, row)| (row.span, Reverse(row.end), at)));
            by_span.sort_unstable();
            for same in by_span.chunk_by(|a, b| a.0 == b.0) {
                dropped.extend(same[1..].iter().map(|(_, _, at)| *at));
            }
        }
        first += trace.len();
    }
    if dropped.is_empty() {
        return;
    }
    dropped.sort_unstable();
    let (mut at, mut next) = (0, dropped.into_iter().peekable());
    rows.retain(|_| {
        let goes = next.next_if_eq(&at).is_some();
        at += 1;
        !goes
    });
}

/// The columns that say which span a row is and how it belongs to others.
pub(super) struct KeyColumns {
    pub(super) trace_id: ArrayRef,
    pub(super) trace_start: ArrayRef,
    pub(super) start_offset: ArrayRef,
    pub(super) duration: ArrayRef,
    pub(super) parent_row_distance: ArrayRef,
    pub(super) parent_span_id: ArrayRef,
    pub(super) span_id: ArrayRef,
}

/// The key columns of sorted rows without duplicates: whole traces.
pub(super) fn key_columns(rows: &[Row]) -> Result<KeyColumns, Error> {
    let mut trace_start = Vec::with_capacity(rows.len());
    let mut start_offset = Vec::with_capacity(rows.len());
    let mut distance: Vec<Option<i32>> = Vec::with_capacity(rows.len());
    let mut parent_span_id: Vec<Option<[u8; 8]>> = Vec::with_capacity(rows.len());
    let mut by_span: Vec<(u64, i32)> = Vec::new();
    for trace in rows.chunk_by(|a, b| a.trace == b.trace) {
        let first = trace[0].start;
        by_span.clear();
        by_span.extend(trace.iter().zip(0..).map(|(row, at)| (row.span, at)));
        by_span.sort_unstable();
        for (row, at) in trace.iter().zip(0i32..) {
            let found = by_span.binary_search_by_key(&row.parent, |(span, _)| *span);
            let parent = found.ok().map(|found| by_span[found].1);
            trace_start.push(first);
            start_offset.push(row.start.saturating_sub(first));
            distance.push(parent.map(|parent| at - parent));
            let is_elsewhere = parent.is_none() && row.parent != 0;
            parent_span_id.push(is_elsewhere.then(|| row.parent.to_be_bytes()));
        }
    }
    let durations = rows.iter().map(|row| row.end.saturating_sub(row.start));
    Ok(KeyColumns {
        trace_id: build::ids(rows.iter().map(|row| row.trace.to_be_bytes()))?,
        trace_start: Arc::new(Int64Array::from(trace_start)),
        start_offset: Arc::new(Int64Array::from(start_offset)),
        duration: Arc::new(Int64Array::from_iter_values(durations)),
        parent_row_distance: Arc::new(Int32Array::from(distance)),
        parent_span_id: build::optional_ids(&parent_span_id)?,
        span_id: build::ids(rows.iter().map(|row| row.span.to_be_bytes()))?,
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Int32Type, Int64Type};

    use super::*;

    fn row(trace: u128, span: u64, parent: u64, start: i64, end: i64) -> Row {
        Row { trace, start, span, end, parent, batch: 0, at: 0 }
    }

    #[test]
    fn of_a_span_the_row_that_ends_last_stays() {
        let mut rows = vec![
            Row { at: 1, ..row(1, 5, 0, 10, 30) },
            Row { at: 2, ..row(1, 5, 0, 20, 40) },
            Row { at: 3, ..row(1, 6, 0, 20, 40) },
            Row { at: 4, ..row(1, 5, 0, 10, 40) },
            Row { at: 5, ..row(2, 5, 0, 10, 30) },
        ];
        sort(&mut rows);
        drop_duplicates(&mut rows);
        assert_eq!(rows.iter().map(|row| row.at).collect::<Vec<_>>(), [4, 3, 5]);
    }

    #[test]
    fn parents_are_found_wherever_they_start() {
        let mut rows = vec![row(1, 3, 2, 30, 40), row(1, 1, 0, 10, 50), row(1, 2, 9, 40, 35), row(2, 1, 3, 7, 8)];
        sort(&mut rows);
        let columns = key_columns(&rows).expect("arrays");
        let distances = columns.parent_row_distance.as_primitive::<Int32Type>();
        let distances: Vec<_> = distances.iter().collect();
        // The second row's parent starts after it; the third's and the fourth's are not here.
        assert_eq!(distances, [None, Some(-1), None, None]);
        let elsewhere = columns.parent_span_id.as_fixed_size_binary();
        assert!(elsewhere.is_null(0) && elsewhere.is_null(1));
        assert_eq!((elsewhere.value(2), elsewhere.value(3)), (&9u64.to_be_bytes()[..], &3u64.to_be_bytes()[..]));
        let numbers = |column: &ArrayRef| column.as_primitive::<Int64Type>().values().to_vec();
        assert_eq!(numbers(&columns.trace_start), [10, 10, 10, 7]);
        assert_eq!(numbers(&columns.start_offset), [0, 20, 30, 0]);
        assert_eq!(numbers(&columns.duration), [40, 10, -5, 1]);
    }
}
