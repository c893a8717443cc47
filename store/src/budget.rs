//! Bytes that were accepted and are still being worked on, against what the settings allow.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::Error;
use crate::pressure::{ALL_REFUSED_PERCENT, Limit, MEDIUM_REFUSED_PERCENT, Overload, Pressure};

/// Counts bytes in flight.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    used: Arc<AtomicU64>,
    allowed: u64,
    /// A request did not fit, and not much was given back since. What is in use comes near the limit, seldom to it: without
    /// this, requests would be read and checked only to find that they do not fit.
    refusing: Arc<AtomicBool>,
}

/// Bytes in flight, given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    used: Arc<AtomicU64>,
    bytes: u64,
}

impl Budget {
    pub(crate) fn new(allowed: u64) -> Self {
        Self { used: Arc::default(), allowed, refusing: Arc::default() }
    }

    /// Takes `bytes`. A request larger than the whole budget passes when nothing else is in flight, so that no setting
    /// makes an acceptable request impossible.
    pub(crate) fn take(&self, bytes: u64) -> Result<Permit, Error> {
        let fits = |used: u64| (used == 0 || used + bytes <= self.allowed).then_some(used + bytes);
        match self.used.fetch_update(Ordering::AcqRel, Ordering::Relaxed, fits) {
            Ok(_) => Ok(Permit { used: Arc::clone(&self.used), bytes }),
            Err(used) => {
                self.refusing.store(true, Ordering::Relaxed);
                Err(Overload::full(Pressure::new(Limit::InFlightBytes, used, self.allowed)).into())
            }
        }
    }

    /// Whether receiving is so busy that whatever can wait should.
    pub(crate) fn is_half_used(&self) -> bool {
        self.used() > self.allowed / 2
    }

    /// How much of the budget is in use.
    pub(crate) fn pressure(&self) -> Pressure {
        let pressure = Pressure::new(Limit::InFlightBytes, self.used(), self.allowed);
        if !self.refusing.load(Ordering::Relaxed) || pressure.percent() >= ALL_REFUSED_PERCENT {
            return pressure;
        }
        if pressure.percent() < MEDIUM_REFUSED_PERCENT {
            self.refusing.store(false, Ordering::Relaxed);
            return pressure;
        }
        Pressure::new(Limit::InFlightBytes, self.allowed, self.allowed)
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
        let full = Overload::full(Pressure::new(Limit::InFlightBytes, 8, 10));
        assert!(matches!(budget.take(3), Err(Error::Overloaded(overload)) if overload == full));
        drop(first);
        let huge = budget.take(50).expect("alone, anything fits");
        assert!(budget.take(1).is_err());
        drop(huge);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn after_a_refusal_some_room_must_be_given_back() {
        let budget = Budget::new(100);
        let _held = budget.take(80).expect("fits");
        let more = budget.take(9).expect("fits");
        assert_eq!(budget.pressure().percent(), 89);
        assert!(budget.take(20).is_err());
        assert_eq!(budget.pressure().percent(), 100);
        drop(more);
        assert_eq!(budget.pressure().percent(), 80);
        let _more = budget.take(9).expect("fits");
        assert_eq!(budget.pressure().percent(), 89);
    }
}
