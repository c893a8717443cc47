//! The hot tier: accepted batches in RocksDB, as they came, with an index from trace id to batch.
//!
//! One column family per window, so that a window leaves by dropping its column family: no tombstones, no compaction.
//! A column family's key table:
//!
//! | key | value |
//! |---|---|
//! | `b` + batch number (8 bytes, big-endian) | one batch, see [`value`] |
//! | `t` + trace id (16 bytes) + batch number (8 bytes, big-endian) | empty: the batch has spans of the trace |
//!
//! The default column family holds what belongs to no window, see [`db::HotDb::meta`].
//!
//! Never interprets a span beyond its trace id; columns and answers are made elsewhere.

pub(crate) mod commit;
pub(crate) mod db;
pub(crate) mod keys;
pub(crate) mod lookup;
pub(crate) mod value;
pub(crate) mod window;

pub(crate) use db::HotDb;
pub(crate) use window::HotWindow;
