//! How much may be in flight: a place per request and bytes in memory, held until the answer.
//!
//! Nothing waits here. Whoever does not fit is refused with a retry hint, because a queue in front of a full store only
//! turns memory into latency.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::{Settings, refusal::Refusal};

/// What is in flight clears within a few syncs; exporters double this by themselves.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Counts what is in flight against the limits.
#[derive(Debug)]
pub(crate) struct Gate {
    requests: AtomicUsize,
    requests_max: usize,
    bytes: AtomicUsize,
    bytes_max: usize,
}

/// A place in flight, and the bytes charged to it. Dropping it gives both back.
#[derive(Debug)]
pub(crate) struct Permit {
    gate: Arc<Gate>,
    bytes: usize,
}

impl Gate {
    pub(crate) fn new(settings: &Settings) -> Arc<Self> {
        Arc::new(Self {
            requests: AtomicUsize::new(0),
            requests_max: settings.in_flight_requests_max,
            bytes: AtomicUsize::new(0),
            bytes_max: settings.in_flight_bytes_max,
        })
    }

    /// Takes a place for one request.
    pub(crate) fn enter(self: &Arc<Self>) -> Result<Permit, Refusal> {
        take(&self.requests, 1, self.requests_max)
            .map_err(|used| overloaded("in_flight_requests_max", used, self.requests_max))?;
        Ok(Permit { gate: Arc::clone(self), bytes: 0 })
    }

    /// Requests and bytes in flight.
    pub(crate) fn in_flight(&self) -> (usize, usize) {
        (self.requests.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

impl Permit {
    /// Charges memory that is about to be used.
    pub(crate) fn hold(&mut self, bytes: usize) -> Result<(), Refusal> {
        let gate = &self.gate;
        take(&gate.bytes, bytes, gate.bytes_max)
            .map_err(|used| overloaded("in_flight_bytes_max", used, gate.bytes_max))?;
        self.bytes += bytes;
        Ok(())
    }

    /// Gives back memory that was freed.
    pub(crate) fn release(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.gate.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.gate.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Adds to a counter unless that passes the limit; then says what is in use.
fn take(counter: &AtomicUsize, amount: usize, limit: usize) -> Result<(), usize> {
    let add = |used: usize| used.checked_add(amount).filter(|&sum| sum <= limit);
    counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).map(|_| ())
}

fn overloaded(setting: &str, used: usize, allowed: usize) -> Refusal {
    Refusal::Overloaded {
        message: format!("{setting} is reached ({used} of {allowed}): slow down and send again"),
        retry_after: RETRY_AFTER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(requests: usize, bytes: usize) -> Arc<Gate> {
        let settings =
            Settings { in_flight_requests_max: requests, in_flight_bytes_max: bytes, ..Settings::default() };
        Gate::new(&settings)
    }

    #[test]
    fn refuses_one_request_too_many_until_one_is_answered() {
        let gate = gate(2, 10);
        let first = gate.enter().expect("a free place");
        let _second = gate.enter().expect("a free place");
        let refusal = gate.enter().expect_err("no place left");
        assert_eq!(refusal.retry_after(), Some(RETRY_AFTER));
        assert_eq!(
            refusal.to_string(),
            "in_flight_requests_max is reached (2 of 2): slow down and send again"
        );
        drop(first);
        assert!(gate.enter().is_ok());
    }

    #[test]
    fn counts_bytes_until_they_are_given_back() {
        let gate = gate(2, 10);
        let mut first = gate.enter().expect("a free place");
        let mut second = gate.enter().expect("a free place");
        first.hold(6).expect("6 of 10");
        second.hold(4).expect("10 of 10");
        assert!(second.hold(1).is_err());
        first.release(2);
        second.hold(2).expect("10 of 10");
        assert_eq!(gate.in_flight(), (2, 10));
        drop(first);
        drop(second);
        assert_eq!(gate.in_flight(), (0, 0));
    }

    #[test]
    fn a_sum_beyond_the_word_size_is_refused() {
        let gate = gate(1, usize::MAX);
        let mut permit = gate.enter().expect("a free place");
        permit.hold(1).expect("1 byte");
        assert!(permit.hold(usize::MAX).is_err());
    }
}
