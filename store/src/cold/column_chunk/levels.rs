//! Which rows of a column have values: Parquet's repetition and definition levels.
//!
//! Source: <https://parquet.apache.org/docs/file-format/nestedencoding/>. Of what the format allows, only what a block has: columns that every
//! row has, columns that may be null, and fields of structures in lists that may be null and are never empty.

use std::ops::Range;

use arrow::buffer::NullBuffer;

use super::hybrid::{self, Hybrid};

/// Rows, and the values that each has.
#[derive(Debug, Clone, Copy)]
pub(super) enum Levels<'a> {
    /// One value in each row.
    Required,
    /// One value in each row that is not null, if any is. Values of other rows are there and mean nothing.
    Optional(Option<&'a NullBuffer>),
    /// The values from the row's offset to the next; null where there are none.
    List(&'a [i32]),
}

impl Levels<'_> {
    /// Calls `each` with stretches of values that rows have.
    pub(super) fn each_run(self, rows: Range<usize>, mut each: impl FnMut(Range<usize>)) {
        match self {
            Self::Required | Self::Optional(None) => each(rows),
            Self::Optional(Some(valid)) => {
                for (start, end) in valid.slice(rows.start, rows.len()).valid_slices() {
                    each(rows.start + start..rows.start + end);
                }
            }
            Self::List(offsets) => each(offsets[rows.start] as usize..offsets[rows.end] as usize),
        }
    }

    /// How many values rows have.
    pub(super) fn count(self, rows: Range<usize>) -> usize {
        match self {
            Self::Required | Self::Optional(None) => rows.len(),
            Self::Optional(Some(valid)) => rows.len() - valid.slice(rows.start, rows.len()).null_count(),
            Self::List(offsets) => (offsets[rows.end] - offsets[rows.start]) as usize,
        }
    }

    /// Appends the levels of rows as a data page of version 1 begins with them, and says how many there are.
    pub(super) fn put(self, rows: Range<usize>, out: &mut Vec<u8>) -> usize {
        match self {
            Self::Required => rows.len(),
            Self::Optional(None) => {
                put_runs(1, out, |levels| levels.put(1, rows.len()));
                rows.len()
            }
            Self::Optional(Some(valid)) => {
                let valid = valid.slice(rows.start, rows.len());
                with_length(out, |out| hybrid::put_bits(&valid.inner().sliced(), rows.len(), out));
                rows.len()
            }
            Self::List(offsets) => {
                let lengths = || offsets[rows.start..=rows.end].windows(2).map(|pair| (pair[1] - pair[0]) as usize);
                // A value repeats its row unless it is the first.
                put_runs(1, out, |levels| {
                    for length in lengths() {
                        levels.put(0, 1);
                        levels.put(1, length.saturating_sub(1));
                    }
                });
                // 0 is no list, 1 an empty one, 2 a value.
                put_runs(2, out, |levels| {
                    for length in lengths() {
                        levels.put(if length == 0 { 0 } else { 2 }, length.max(1));
                    }
                });
                lengths().map(|length| length.max(1)).sum()
            }
        }
    }
}

/// Levels of `width` bits, behind their length.
fn put_runs(width: u32, out: &mut Vec<u8>, put: impl FnOnce(&mut Hybrid<'_>)) {
    with_length(out, |out| {
        let mut levels = Hybrid::new(width, out);
        put(&mut levels);
        levels.finish();
    });
}

/// Appends something behind its length.
fn with_length(out: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    out.extend_from_slice(&[0; 4]);
    put(out);
    let length = (out.len() - begin - 4) as u32;
    out[begin..begin + 4].copy_from_slice(&length.to_le_bytes());
}
