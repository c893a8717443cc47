//! The time as the store sees it: passed in, so that tests can move it.

use std::time::SystemTime;

use proto::UnixNanos;

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// The present.
    fn now(&self) -> UnixNanos;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixNanos {
        UnixNanos::from_system(SystemTime::now())
    }
}
