//! Points in time as senders give them: untrusted, so arithmetic on them never wraps.

/// Nanoseconds since 1970-01-01T00:00:00Z.
///
/// OTLP carries an unsigned 64-bit number. Everything after 2262-04-11 (`i64::MAX` nanoseconds) is a broken clock and is
/// kept as that last instant, so that a time fits the signed 64 bits of Arrow, Parquet and SQL, and differences fit too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixNanos(i64);

impl UnixNanos {
    /// The epoch, and what "not set" looks like on the wire.
    pub const ZERO: Self = Self(0);
    /// The last instant that can be told.
    pub const MAX: Self = Self(i64::MAX);

    /// From the number on the wire; later than [`Self::MAX`] becomes [`Self::MAX`].
    #[must_use]
    pub const fn from_wire(nanos: u64) -> Self {
        if nanos > i64::MAX as u64 { Self::MAX } else { Self(nanos as i64) }
    }

    /// From signed nanoseconds; before the epoch becomes the epoch.
    #[must_use]
    pub const fn from_i64(nanos: i64) -> Self {
        Self(if nanos < 0 { 0 } else { nanos })
    }

    /// The present, by the system's clock.
    #[must_use]
    pub fn from_system(now: std::time::SystemTime) -> Self {
        let since = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }

    /// Nanoseconds, never negative.
    #[must_use]
    pub const fn as_i64(self) -> i64 {
        self.0
    }

    /// Nanoseconds for the wire.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0.unsigned_abs()
    }

    /// Signed nanoseconds from `earlier` to `self`; cannot overflow, as both are in `0..=i64::MAX`.
    #[must_use]
    pub const fn nanos_since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }

    /// Moved by `nanos`, held within the epoch and [`Self::MAX`].
    #[must_use]
    pub const fn saturating_add(self, nanos: i64) -> Self {
        Self::from_i64(self.0.saturating_add(nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_do_not_wrap() {
        assert_eq!(UnixNanos::from_wire(u64::MAX), UnixNanos::MAX);
        assert_eq!(UnixNanos::ZERO.nanos_since(UnixNanos::MAX), -i64::MAX);
        assert_eq!(UnixNanos::MAX.saturating_add(1), UnixNanos::MAX);
        assert_eq!(UnixNanos::ZERO.saturating_add(-1), UnixNanos::ZERO);
    }
}
