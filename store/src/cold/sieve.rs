//! Leaves rows out on their way into a block.

use arrow::array::{BooleanArray, RecordBatch};

use crate::Error;

/// Decides which spans a block gets: asked by offload and by merge, whatever it decides by.
pub(crate) trait Sieve: Send {
    /// Whether it looks at a column that a search does not read.
    fn reads(&self, column: &str) -> bool;

    /// Which rows of whole, complete traces stay; None: all.
    fn sift(&mut self, rows: &RecordBatch) -> Result<Option<BooleanArray>, Error>;
}

/// Leaves nothing out.
pub(crate) struct Everything;

impl Sieve for Everything {
    fn reads(&self, _: &str) -> bool {
        false
    }

    fn sift(&mut self, _: &RecordBatch) -> Result<Option<BooleanArray>, Error> {
        Ok(None)
    }
}
