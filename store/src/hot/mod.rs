//! The hot tier: accepted batches in RocksDB, as they came.
//!
//! A column family holds some consecutive windows, a [`group`]; they leave by dropping it: no tombstones, no compaction.
//! Its key table, every key beginning with the window's id (8 bytes, big-endian):
//!
//! | key | value |
//! |---|---|
//! | `d` + id (8 bytes, big-endian), of window 0 | a dictionary of the group's batches, see [`dictionary`] |
//! | `b` + batch number (8 bytes, big-endian) | one batch, see [`value`] |
//! | `f`, `i` + page number | which batches have spans of a trace, see [`index`]; written when the window leaves memory |
//! | `s` | what is known of a window that waits on disk only, see [`spilled`] |
//!
//! A large request is kept as several batches, so that a trace is read without decompressing all of it. The default
//! column family holds what belongs to no window, see [`db::HotDb::meta`].
//!
//! Never interprets a span beyond its trace id; columns and answers are made elsewhere.

pub(crate) mod commit;
pub(crate) mod db;
pub(crate) mod dictionary;
pub(crate) mod group;
pub(crate) mod index;
pub(crate) mod keys;
pub(crate) mod lookup;
pub(crate) mod spilled;
pub(crate) mod value;
pub(crate) mod window;

pub(crate) use db::HotDb;
pub(crate) use group::Group;
pub(crate) use spilled::SpilledWindow;
pub(crate) use window::HotWindow;

use crate::Error;

fn corrupt(why: &str) -> Error {
    Error::Corrupt { what: "a window of the hot tier".to_owned(), why: why.to_owned() }
}
