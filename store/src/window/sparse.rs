//! A column in which most rows have no value.

/// Values with their rows, rows ascending. A row may occur more than once.
#[derive(Debug)]
pub(crate) struct Sparse<T> {
    pub(crate) rows: Vec<u32>,
    pub(crate) values: Vec<T>,
}

impl<T> Default for Sparse<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), values: Vec::new() }
    }
}

impl<T> Sparse<T> {
    /// Appends; `row` is never less than the last one.
    pub(crate) fn push(&mut self, row: u32, value: T) {
        debug_assert!(self.rows.last().is_none_or(|last| *last <= row), "rows must ascend");
        self.rows.push(row);
        self.values.push(value);
    }

    /// Values there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The first value of a row.
    pub(crate) fn get(&self, row: u32) -> Option<&T> {
        let at = self.rows.partition_point(|known| *known < row);
        self.values.get(at).filter(|_| self.rows.get(at) == Some(&row))
    }

    /// Values with their rows, from a row on.
    pub(crate) fn iter_from(&self, row: u32) -> impl Iterator<Item = (u32, &T)> {
        let at = self.rows.partition_point(|known| *known < row);
        self.rows[at..].iter().copied().zip(&self.values[at..])
    }

    /// Values with their rows.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.rows.iter().copied().zip(&self.values)
    }

    /// Values of rows that have one before, with their rows.
    pub(crate) fn seconds(&self) -> impl Iterator<Item = (u32, &T)> {
        let repeats = |(_, pair): &(usize, &[u32])| pair[0] == pair[1];
        self.rows.windows(2).enumerate().filter(repeats).map(|(at, pair)| (pair[1], &self.values[at + 1]))
    }
}
