//! Bytes that were accepted and are still being worked on, against what the settings allow.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Error;

/// Counts bytes in flight.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    used: Arc<AtomicU64>,
    allowed: u64,
}

/// Bytes in flight, given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    used: Arc<AtomicU64>,
    bytes: u64,
}

impl Budget {
    pub(crate) fn new(allowed: u64) -> Self {
        Self { used: Arc::default(), allowed }
    }

    /// Takes `bytes`. A request larger than the whole budget passes when nothing else is in flight, so that no setting
    /// makes an acceptable request impossible.
    pub(crate) fn take(&self, bytes: u64) -> Result<Permit, Error> {
        let fits = |used: u64| (used == 0 || used + bytes <= self.allowed).then_some(used + bytes);
        match self.used.fetch_update(Ordering::AcqRel, Ordering::Relaxed, fits) {
            Ok(_) => Ok(Permit { used: Arc::clone(&self.used), bytes }),
            Err(used) => Err(Error::Overloaded { limit: "in_flight_bytes_max", used, allowed: self.allowed }),
        }
    }

    /// Whether receiving is so busy that whatever can wait should.
    pub(crate) fn is_half_used(&self) -> bool {
        self.used() > self.allowed / 2
    }

    /// Bytes in flight.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_past_the_limit_and_gives_back() {
        let budget = Budget::new(10);
        let first = budget.take(8).expect("fits");
        assert!(matches!(budget.take(3), Err(Error::Overloaded { used: 8, allowed: 10, .. })));
        drop(first);
        let huge = budget.take(50).expect("alone, anything fits");
        assert!(budget.take(1).is_err());
        drop(huge);
        assert_eq!(budget.used(), 0);
    }
}
