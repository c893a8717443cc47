//! How full the store is, and which spans it still takes at that: the share of each limit in use, the highest counts.
//!
//! | in use | taken are requests with at least one span of |
//! |---|---|
//! | under [`LOW_REFUSED_PERCENT`] | anything |
//! | from there on | medium priority: not health checks alone |
//! | from [`MEDIUM_REFUSED_PERCENT`] on | high priority: failovers, provisioning, restores, API requests |
//! | from [`ALL_REFUSED_PERCENT`] on | nothing |
//!
//! So what is refused first is what is missed least, and what is left of a limit is kept for what matters most. Decides;
//! whoever receives asks, early enough that a refusal costs next to nothing.

mod gauges;
mod priorities;

use std::fmt;
use std::time::Duration;

use model::Priority;

pub(crate) use gauges::Gauges;
pub(crate) use priorities::Priorities;

/// From this share of a limit on, requests with nothing but low-priority spans are refused.
pub const LOW_REFUSED_PERCENT: u64 = 70;

/// From this share of a limit on, requests without any high-priority span are refused.
pub const MEDIUM_REFUSED_PERCENT: u64 = 85;

/// From this share of a limit on, everything is refused.
pub const ALL_REFUSED_PERCENT: u64 = 100;

/// What is in flight clears within a few syncs; exporters double this by themselves.
const RETRY_IN_FLIGHT: Duration = Duration::from_secs(1);

/// An object store that is away, or a full disk, is not back within a second.
const RETRY_FULL: Duration = Duration::from_secs(5);

/// How much of one limit is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pressure {
    limit: Limit,
    used: u64,
    allowed: u64,
}

/// A limit that spans are refused at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Requests that are being received.
    InFlightRequests,
    /// Bytes that are received and not yet searchable.
    InFlightBytes,
    /// Sealed windows that wait for the object store, in number.
    WindowsWaiting,
    /// Windows that wait for the object store, in bytes.
    HotBytes,
    /// What must be left free on the disk of the hot tier, in bytes. Its use is the least that must be left over what is
    /// left, so that it grows as the disk fills.
    DiskFree,
}

impl Limit {
    /// The setting's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InFlightRequests => "in_flight_requests_max",
            Self::InFlightBytes => "in_flight_bytes_max",
            Self::WindowsWaiting => "windows_waiting_max",
            Self::HotBytes => "hot_bytes_max",
            Self::DiskFree => "disk_free_min",
        }
    }

    const fn advice(self) -> &'static str {
        match self {
            Self::InFlightRequests | Self::InFlightBytes => "send more slowly, or raise the limit",
            Self::WindowsWaiting | Self::HotBytes => "the object store does not keep up; repair it, or raise the limit",
            Self::DiskFree => "free space on the disk of the data folder",
        }
    }

    pub(crate) const fn retry_after(self) -> Duration {
        match self {
            Self::InFlightRequests | Self::InFlightBytes => RETRY_IN_FLIGHT,
            Self::WindowsWaiting | Self::HotBytes | Self::DiskFree => RETRY_FULL,
        }
    }
}

impl Pressure {
    /// `used` of `allowed`; of [`Limit::DiskFree`] the least that must be left, and what is left.
    #[must_use]
    pub const fn new(limit: Limit, used: u64, allowed: u64) -> Self {
        Self { limit, used, allowed }
    }

    /// The share in use.
    #[must_use]
    pub fn percent(&self) -> u64 {
        if self.used == 0 {
            return 0;
        }
        let percent = u128::from(self.used) * 100 / u128::from(self.allowed.max(1));
        u64::try_from(percent).unwrap_or(u64::MAX)
    }

    /// The higher of two.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        if other.percent() > self.percent() { other } else { self }
    }

    /// The priority up to which spans are refused; `None` when none are.
    #[must_use]
    pub fn refuses(&self) -> Option<Priority> {
        match self.percent() {
            ALL_REFUSED_PERCENT.. => Some(Priority::High),
            MEDIUM_REFUSED_PERCENT.. => Some(Priority::Medium),
            LOW_REFUSED_PERCENT.. => Some(Priority::Low),
            _ => None,
        }
    }

    /// Whether a request is taken whose most important span has `priority`.
    ///
    /// # Errors
    /// When it is not, with the reason.
    pub fn check(self, priority: Priority) -> Result<(), Overload> {
        match self.refuses() {
            Some(refused) if priority <= refused => Err(Overload { pressure: self, refused }),
            _ => Ok(()),
        }
    }
}

/// Why a request is refused for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overload {
    pressure: Pressure,
    refused: Priority,
}

impl Overload {
    /// A request does not fit into what is left of a limit.
    #[must_use]
    pub const fn full(pressure: Pressure) -> Self {
        Self { pressure, refused: Priority::High }
    }

    /// The limit that is reached.
    #[must_use]
    pub const fn limit(&self) -> Limit {
        self.pressure.limit
    }

    /// What is refused, as metrics name it.
    #[must_use]
    pub const fn refused(&self) -> &'static str {
        match self.refused {
            Priority::Low => "low",
            Priority::Medium => "up_to_medium",
            Priority::High => "any",
        }
    }

    /// The least time to wait before the same is sent again.
    #[must_use]
    pub const fn retry_after(&self) -> Duration {
        self.pressure.limit.retry_after()
    }
}

impl fmt::Display for Overload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pressure { limit, used, allowed } = self.pressure;
        let name = limit.name();
        match self.refused {
            Priority::Low => write!(f, "{name} is near, and these are only health checks")?,
            Priority::Medium => write!(f, "{name} is near, and what is left is kept for more important operations")?,
            Priority::High => write!(f, "{name} is reached")?,
        }
        match limit {
            Limit::DiskFree => write!(f, " ({allowed} bytes are left, {used} must be)")?,
            _ => write!(f, " ({used} of {allowed})")?,
        }
        write!(f, ": {}", limit.advice())
    }
}

impl std::error::Error for Overload {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_checks_go_first_and_failovers_last() {
        let refused = |used| Pressure::new(Limit::HotBytes, used, 1_000).refuses();
        assert_eq!(refused(0), None);
        assert_eq!(refused(699), None);
        assert_eq!((refused(700), refused(849)), (Some(Priority::Low), Some(Priority::Low)));
        assert_eq!((refused(850), refused(999)), (Some(Priority::Medium), Some(Priority::Medium)));
        assert_eq!((refused(1_000), refused(u64::MAX)), (Some(Priority::High), Some(Priority::High)));
        let near = Pressure::new(Limit::HotBytes, 900, 1_000);
        assert!(near.check(Priority::High).is_ok());
        assert!(near.check(Priority::Medium).is_err() && near.check(Priority::Low).is_err());
    }

    #[test]
    fn a_refusal_says_which_limit_and_what_to_do() {
        let text = |limit, used, allowed, priority| {
            Pressure::new(limit, used, allowed).check(priority).expect_err("refused").to_string()
        };
        assert_eq!(
            text(Limit::HotBytes, 5, 5, Priority::High),
            "hot_bytes_max is reached (5 of 5): the object store does not keep up; repair it, or raise the limit"
        );
        assert_eq!(
            text(Limit::DiskFree, 200, 250, Priority::Low),
            "disk_free_min is near, and these are only health checks (250 bytes are left, 200 must be): \
             free space on the disk of the data folder"
        );
    }

    #[test]
    fn the_highest_share_counts_and_odd_limits_do_no_harm() {
        let (half, most) = (Pressure::new(Limit::HotBytes, 5, 10), Pressure::new(Limit::WindowsWaiting, 9, 10));
        assert_eq!((half.max(most), most.max(half)), (most, most));
        assert_eq!(Pressure::new(Limit::WindowsWaiting, 0, 0).percent(), 0);
        assert_eq!(Pressure::new(Limit::DiskFree, 100, 0).refuses(), Some(Priority::High));
        assert_eq!(Pressure::new(Limit::HotBytes, u64::MAX, 1).percent(), u64::MAX);
    }
}
