//! Makes few large blocks of many small ones, and removes what nobody needs any more.
//!
//! | step | a crash after it leaves |
//! |---|---|
//! | 1. rewrite the inputs into one block, put it while it is written | the inputs, and parts of an upload or an orphaned object |
//! | 2. look whether the block is there in full | the inputs, and an orphaned object |
//! | 3. commit the manifest: the block in the place of its inputs | the block; the inputs are orphaned objects |
//! | 4. swap the view | the same |
//! | 5. after [`crate::Settings::orphan_grace`], delete the inputs | fewer orphaned objects |
//!
//! Blocks that are too old, or too many, leave by steps 3 to 5. Readers that hold an older view, and other nodes that know
//! an older manifest, find the inputs until step 5; whoever comes later still takes a new view and asks again.
//!
//! **Orphans.** A block's path names its writer and which start of the program made it. Of what this start made, it knows
//! itself what became orphaned. Of what earlier starts made, everything is orphaned that the manifest does not name, once this
//! start has committed one: nothing of theirs can be committed any more. So no clock and no guess is needed to tell an
//! orphan from a block that is about to be committed, and nobody touches the objects of others.
//!
//! Merging yields to receiving: one merge at a time, on one thread, which pauses while much is in flight. A failing object
//! store is tried again later; spans are received meanwhile. A block that cannot be read is left as it is.

mod cursor;
mod family;
mod gather;
mod plan;
mod rewrite;
mod sweep;
#[cfg(test)]
mod tests;
mod unify;
mod upload;
mod worker;

pub(crate) use sweep::Orphans;
pub(crate) use worker::{Merger, MergerParts};
