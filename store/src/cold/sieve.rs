//! Leaves rows out on their way into a block.

use arrow::array::{BooleanArray, RecordBatch};

use crate::Error;

/// Decides which spans a block gets: asked by offload and by merge, whatever it decides by.
pub(crate) trait Sieve: Send {
    /// Which rows of whole, complete traces stay; None: all.
    fn sift(&mut self, rows: &RecordBatch) -> Result<Option<BooleanArray>, Error>;
}
