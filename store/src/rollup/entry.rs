//! What the manifest says about one rollup, and how long the time of its rows is.

use serde::{Deserialize, Serialize};

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
}

impl RollupEntry {
    /// Whether a row of it may cover a part of `start..end`.
    #[must_use]
    pub const fn overlaps(&self, start: i64, end: i64) -> bool {
        self.start_min < end && start < self.start_max.saturating_add(self.resolution.nanos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
