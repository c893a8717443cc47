//! What the manifest says about one rollup, and how long the time of its rows is.

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::cold::checksum;

/// How long the time is that one row covers. Rows begin at whole minutes, hours and days of Unix time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// As windows are counted.
    Minute,
    /// See [`crate::Settings::rollup_minute_retention`].
    Hour,
    /// See [`crate::Settings::rollup_hour_retention`].
    Day,
}

impl Resolution {
    /// All of them, finest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// Its length in nanoseconds.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        match self {
            Self::Minute => 60_000_000_000,
            Self::Hour => 3_600_000_000_000,
            Self::Day => 86_400_000_000_000,
        }
    }

    /// The begin of the minute, hour or day that has `unix_nano`.
    #[must_use]
    pub const fn floor(self, unix_nano: i64) -> i64 {
        unix_nano - unix_nano.rem_euclid(self.nanos())
    }

    /// The first begin at or after `unix_nano`; the last instant when there is none.
    #[must_use]
    pub const fn ceil(self, unix_nano: i64) -> i64 {
        let floor = self.floor(unix_nano);
        if floor == unix_nano { floor } else { floor.saturating_add(self.nanos()) }
    }

    /// The next coarser one.
    #[must_use]
    pub const fn coarser(self) -> Option<Self> {
        match self {
            Self::Minute => Some(Self::Hour),
            Self::Hour => Some(Self::Day),
            Self::Day => None,
        }
    }
}

/// One rollup: where it is and which times it counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollupEntry {
    /// Path of the Parquet file, relative to the cold tier's URL; also its name, as it is never used again.
    pub path: String,
    /// Size of the file.
    pub bytes: u64,
    /// How long the time of a row is.
    pub resolution: Resolution,
    /// Rows.
    pub rows: u64,
    /// Spans counted.
    pub spans: u64,
    /// Windows counted.
    pub windows: u64,
    /// Begin of the earliest row, Unix nanoseconds.
    pub start_min: i64,
    /// Begin of the latest row, Unix nanoseconds.
    pub start_max: i64,
    /// When the latest of its windows was offloaded, Unix nanoseconds: by this it ages, as spans' own times may be wrong.
    pub offloaded_at: i64,
    /// CRC-32 of the file. `None`: written before 2026-12, when it had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crc32: Option<u32>,
}

impl RollupEntry {
    /// Reads the whole file.
    ///
    /// # Errors
    /// When the object store fails, and when the file is not what was written: Parquet's reader would believe it.
    pub(crate) async fn fetch(&self, objects: &dyn ObjectStore) -> Result<Bytes, Error> {
        let bytes = objects.get(&Path::from(self.path.as_str())).await?.bytes().await?;
        if self.crc32.is_some_and(|written| written != checksum::of(&bytes)) {
            let why = "it is damaged: its checksum is not the one in the manifest".to_owned();
            return Err(Error::Corrupt { what: self.path.clone(), why });
        }
        Ok(bytes)
    }

    /// Whether a row of it may cover a part of `start..end`.
    #[must_use]
    pub const fn overlaps(&self, start: i64, end: i64) -> bool {
        self.start_min < end && start < self.start_max.saturating_add(self.resolution.nanos())
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn a_damaged_file_is_told() {
        let objects = InMemory::new();
        let whole = Bytes::from_static(b"PAR1 and what follows");
        let entry = |crc32| RollupEntry {
            path: "rollups/one.parquet".to_owned(),
            bytes: whole.len() as u64,
            resolution: Resolution::Minute,
            rows: 1,
            spans: 1,
            windows: 1,
            start_min: 0,
            start_max: 0,
            offloaded_at: 0,
            crc32,
        };
        let summed = entry(Some(checksum::of(&whole)));
        let path = Path::from(summed.path.as_str());
        objects.put(&path, whole.clone().into()).await.expect("memory answers");
        assert_eq!(summed.fetch(&objects).await.expect("whole"), whole);
        let mut damaged = whole.to_vec();
        damaged[7] ^= 1;
        objects.put(&path, damaged.into()).await.expect("memory answers");
        assert!(matches!(summed.fetch(&objects).await, Err(Error::Corrupt { .. })));
        assert!(entry(None).fetch(&objects).await.is_ok(), "written before there were checksums");
    }

    #[test]
    fn times_are_cut_at_whole_units_up_to_the_last_instant() {
        for resolution in Resolution::ALL {
            let unit = resolution.nanos();
            assert_eq!((resolution.floor(0), resolution.ceil(0)), (0, 0));
            assert_eq!((resolution.floor(unit - 1), resolution.ceil(1)), (0, unit));
            assert_eq!((resolution.floor(unit), resolution.ceil(unit)), (unit, unit));
            assert!(resolution.floor(i64::MAX) > i64::MAX - unit);
            assert_eq!(resolution.ceil(i64::MAX), i64::MAX);
        }
    }
}
