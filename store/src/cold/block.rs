//! What the manifest says about one block.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use proto::{TraceId, UnixNanos};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{EncodedBlock, checksum, paths};
use crate::retention::BlockRetention;

/// Names a block for good: a ULID, so that names sort by time of creation and never collide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlockId(ulid::Ulid);

impl BlockId {
    /// A new id.
    #[must_use]
    pub fn generate() -> Self {
        Self(ulid::Ulid::new())
    }

    /// When it was made, by the system's clock, to the millisecond.
    pub(crate) fn made_at(self) -> UnixNanos {
        UnixNanos::from_system(self.0.datetime())
    }

    /// As if made at another time.
    #[cfg(test)]
    pub(crate) fn generate_at(time: UnixNanos) -> Self {
        Self(ulid::Ulid::from_parts(time.as_u64() / 1_000_000, ulid::Ulid::new().random()))
    }
}

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for BlockId {
    type Err = ulid::DecodeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        ulid::Ulid::from_string(text).map(Self)
    }
}

/// Who makes a block: what a later start of the program needs to know to tell blocks that nobody will ever commit from
/// those that are about to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The writer.
    pub(crate) writer: String,
    /// Which start of the program on the writer's data folder, counted from 1.
    pub(crate) epoch: u32,
}

/// One block: where it is and what it can hold. Everything needed to decide that a block need not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockEntry {
    /// Which block.
    pub id: BlockId,
    /// Path of the Parquet file, relative to the cold tier's URL.
    pub path: String,
    /// Size of the file.
    pub bytes: u64,
    /// Where in the file the row groups end; the locator and the footer lie between here and the end.
    pub index_offset: u64,
    /// Where in the file the footer begins; blocks of format version 1 have no locator before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub footer_offset: Option<u64>,
    /// CRC-32 of all that lies behind the row groups; blocks of format version 1 have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index_crc32: Option<u32>,
    /// Windows of the writer that together have all of its spans; none when some are in no window that is known.
    pub windows: Vec<u64>,
    /// Spans.
    pub spans: u64,
    /// Traces that have a span here.
    pub traces: u64,
    /// First start of any span, Unix nanoseconds.
    pub start_min: i64,
    /// Last start of any span, Unix nanoseconds.
    pub start_max: i64,
    /// Last end of any span, Unix nanoseconds; blocks of format version 1 do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_max: Option<i64>,
    /// Lowest trace id.
    #[serde(with = "hex_id")]
    pub trace_id_min: TraceId,
    /// Highest trace id.
    #[serde(with = "hex_id")]
    pub trace_id_max: TraceId,
    /// What it tells about retention; blocks of earlier versions do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<BlockRetention>,
}

impl BlockEntry {
    /// The entry of a block that was just encoded, under a new name, with the bytes to put there.
    pub(crate) fn of_new(origin: &Origin, block: EncodedBlock, windows: Vec<u64>) -> (Self, Bytes) {
        let id = BlockId::generate();
        let path = paths::block(origin, id, block.start_min);
        Self::of_named(id, path.as_ref(), block, windows)
    }

    /// The entry of a block that was just encoded, with those of its bytes that are not at `path` yet.
    pub(crate) fn of_named(id: BlockId, path: &str, block: EncodedBlock, windows: Vec<u64>) -> (Self, Bytes) {
        let entry = Self {
            id,
            path: path.to_owned(),
            bytes: block.size,
            index_offset: block.index_offset,
            footer_offset: Some(block.footer_offset),
            index_crc32: Some(checksum::of(block.index())),
            windows,
            spans: block.spans,
            traces: block.traces,
            start_min: block.start_min,
            start_max: block.start_max,
            end_max: Some(block.end_max),
            trace_id_min: block.trace_id_min,
            trace_id_max: block.trace_id_max,
            retention: None,
        };
        (entry, Bytes::from(block.bytes))
    }

    /// When all of its spans had arrived, or later.
    pub(crate) fn received(&self) -> UnixNanos {
        let told = self.retention.as_ref().map(|told| told.received);
        told.map_or_else(|| self.id.made_at(), UnixNanos::from_i64)
    }

    /// When a rule may drop something of it, Unix nanoseconds.
    pub(crate) fn rewrite_at(&self) -> Option<UnixNanos> {
        self.retention.as_ref()?.rewrite_at.map(UnixNanos::from_i64)
    }
}

mod hex_id {
    use super::{Deserialize, Deserializer, Serializer, TraceId};

    pub(super) fn serialize<S: Serializer>(id: &TraceId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TraceId, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
