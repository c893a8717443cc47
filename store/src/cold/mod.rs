//! The cold tier: blocks of spans as Parquet files on an object store, and how they are written and read.
//!
//! A block is immutable; what it holds and how is promised in `docs/format.md`. Which blocks exist is the manifest's
//! business, not this module's.

pub(crate) mod block;
pub(crate) mod build;
pub(crate) mod catalog;
pub(crate) mod checksum;
pub(crate) mod chunks;
mod column_chunk;
pub(crate) mod complete;
pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod filter;
pub(crate) mod index;
pub(crate) mod locator;
pub(crate) mod pages;
pub(crate) mod paths;
pub(crate) mod reader;
pub(crate) mod schema;
pub(crate) mod sieve;
pub(crate) mod writer;

pub(crate) use block::Origin;
pub use block::{BlockEntry, BlockId};
pub(crate) use index::BlockIndexes;
pub(crate) use writer::{Effort, EncodedBlock};
