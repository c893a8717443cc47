//! How much may be in flight: a place per request and bytes in memory, held until the answer.
//!
//! Nothing waits here. Whoever does not fit is refused with a retry hint, because a queue in front of a full store only
//! turns memory into latency.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus_client::metrics::gauge::Gauge;

use store::{Limit, Overload, Pressure};

use crate::Settings;
use crate::refusal::Refusal;

/// Counts what is in flight against the limits.
#[derive(Debug)]
pub(crate) struct Gate {
    requests: Limited,
    bytes: Limited,
}

/// A counter that stops at its limit, and shows itself in the metrics.
#[derive(Debug)]
struct Limited {
    kind: Limit,
    used: AtomicUsize,
    limit: usize,
    gauge: Gauge,
}

/// A place in flight, and the bytes charged to it. Dropping it gives both back.
#[derive(Debug)]
pub(crate) struct Permit {
    gate: Arc<Gate>,
    bytes: usize,
}

impl Gate {
    /// The gauges show requests and bytes in flight.
    pub(crate) fn new(settings: &Settings, requests: Gauge, bytes: Gauge) -> Arc<Self> {
        Arc::new(Self {
            requests: Limited::new(Limit::InFlightRequests, settings.in_flight_requests_max, requests),
            bytes: Limited::new(Limit::InFlightBytes, settings.in_flight_bytes_max, bytes),
        })
    }

    /// Takes a place for one request.
    pub(crate) fn enter(self: &Arc<Self>) -> Result<Permit, Refusal> {
        self.requests.take(1)?;
        Ok(Permit { gate: Arc::clone(self), bytes: 0 })
    }

    /// How much of the nearer limit is in use.
    pub(crate) fn pressure(&self) -> Pressure {
        self.requests.pressure().max(self.bytes.pressure())
    }
}

impl Permit {
    /// Charges memory that is about to be used.
    pub(crate) fn hold(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.gate.bytes.take(bytes)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Gives back memory that was freed.
    pub(crate) fn release(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.gate.bytes.give_back(bytes);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.bytes.give_back(self.bytes);
        self.gate.requests.give_back(1);
    }
}

impl Limited {
    fn new(kind: Limit, limit: usize, gauge: Gauge) -> Self {
        Self { kind, used: AtomicUsize::new(0), limit, gauge }
    }

    fn take(&self, amount: usize) -> Result<(), Refusal> {
        let add = |used: usize| used.checked_add(amount).filter(|&sum| sum <= self.limit);
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        match taken {
            Ok(_before) => {
                self.gauge.inc_by(amount as i64);
                Ok(())
            }
            Err(used) => {
                let pressure = Pressure::new(self.kind, used as u64, self.limit as u64);
                Err(Overload::full(pressure).into())
            }
        }
    }

    fn pressure(&self) -> Pressure {
        Pressure::new(self.kind, self.used.load(Ordering::Relaxed) as u64, self.limit as u64)
    }

    fn give_back(&self, amount: usize) {
        self.used.fetch_sub(amount, Ordering::Relaxed);
        self.gauge.dec_by(amount as i64);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn gate(requests: usize, bytes: usize) -> Arc<Gate> {
        let settings = Settings { in_flight_requests_max: requests, in_flight_bytes_max: bytes, ..Settings::default() };
        Gate::new(&settings, Gauge::default(), Gauge::default())
    }

    #[test]
    fn refuses_one_request_too_many_until_one_is_answered() {
        let gate = gate(2, 10);
        let first = gate.enter().expect("a free place");
        let _second = gate.enter().expect("a free place");
        let refusal = gate.enter().expect_err("no place left");
        assert_eq!(refusal.retry_after(), Some(Duration::from_secs(1)));
        let expected = "in_flight_requests_max is reached (2 of 2): send more slowly, or raise the limit";
        assert_eq!(refusal.to_string(), expected);
        assert_eq!(gate.pressure().percent(), 100);
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
        assert_eq!((gate.requests.gauge.get(), gate.bytes.gauge.get()), (2, 10));
        drop(first);
        drop(second);
        assert_eq!((gate.requests.gauge.get(), gate.bytes.gauge.get()), (0, 0));
    }

    #[test]
    fn a_sum_beyond_the_word_size_is_refused() {
        let gate = gate(1, usize::MAX);
        let mut permit = gate.enter().expect("a free place");
        permit.hold(1).expect("1 byte");
        assert!(permit.hold(usize::MAX).is_err());
    }
}
