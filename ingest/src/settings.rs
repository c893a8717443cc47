//! The limits of receiving, each with its unit, default and reason.

use std::time::Duration;

/// Largest request as sent. OTLP recommends 4 MiB for gRPC and 20 MiB for HTTP; collectors batch up to a few MiB,
/// so this leaves room without letting one sender fill the memory.
const REQUEST_BYTES_MAX: usize = 16 << 20;

/// Largest request after decompression: four times the above, what spans usually compress to or better.
const DECOMPRESSED_BYTES_MAX: usize = 64 << 20;

/// One largest request in every shape it takes (sent, decompressed, rewritten from JSON: 144 MiB) and room beside it.
const IN_FLIGHT_BYTES_MAX: usize = 160 << 20;

/// Each request in flight is a task with its buffers (tens of kB), waiting for a shared sync.
const IN_FLIGHT_REQUESTS_MAX: usize = 1_024;

/// SDKs give up after 10 s; whoever needs longer than this holds a place for nothing.
const BODY_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// What receiving is told at start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Largest request body as sent, in bytes. At the limit: 413, `RESOURCE_EXHAUSTED`.
    pub request_bytes_max: usize,
    /// Largest request body after decompression, in bytes. At the limit: 413, `RESOURCE_EXHAUSTED`.
    pub decompressed_bytes_max: usize,
    /// Bytes of all requests not yet answered, counted in every shape that is in memory at once.
    /// At the limit: 429, `RESOURCE_EXHAUSTED` with a retry hint.
    pub in_flight_bytes_max: usize,
    /// Requests not yet answered. At the limit: 429, `RESOURCE_EXHAUSTED` with a retry hint.
    pub in_flight_requests_max: usize,
    /// Time a sender has to deliver the whole body. At the limit: 408, `DEADLINE_EXCEEDED`.
    pub body_read_timeout: Duration,
    /// Origins of web pages that may send spans from a browser (`https://app.example`), or `*` for any.
    /// Empty, the default, answers no cross-origin request.
    pub browser_origins: Vec<String>,
}

/// Settings that cannot work together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The largest request that the size limits allow would be refused forever, with a hint to retry.
    #[error("in_flight_bytes_max is {given}: set it to at least {least}, what one largest request needs")]
    InFlightBytes {
        /// What was set.
        given: usize,
        /// What is needed.
        least: usize,
    },
    /// A limit of zero accepts nothing.
    #[error("{0} is 0: set it to at least 1")]
    Zero(&'static str),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            request_bytes_max: REQUEST_BYTES_MAX,
            decompressed_bytes_max: DECOMPRESSED_BYTES_MAX,
            in_flight_bytes_max: IN_FLIGHT_BYTES_MAX,
            in_flight_requests_max: IN_FLIGHT_REQUESTS_MAX,
            body_read_timeout: BODY_READ_TIMEOUT,
            browser_origins: Vec::new(),
        }
    }
}

impl Settings {
    /// Looks for limits that contradict each other.
    ///
    /// # Errors
    /// Names the setting to change.
    pub fn validate(&self) -> Result<(), SettingsError> {
        let limits = [
            ("request_bytes_max", self.request_bytes_max),
            ("decompressed_bytes_max", self.decompressed_bytes_max),
            ("in_flight_requests_max", self.in_flight_requests_max),
        ];
        for (name, limit) in limits {
            if limit == 0 {
                return Err(SettingsError::Zero(name));
            }
        }
        // A JSON request is in memory as sent and decompressed, then decompressed and as protobuf.
        let least = self.request_bytes_max.max(self.decompressed_bytes_max).saturating_add(self.decompressed_bytes_max);
        if self.in_flight_bytes_max < least {
            return Err(SettingsError::InFlightBytes { given: self.in_flight_bytes_max, least });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_work_together() {
        assert_eq!(Settings::default().validate(), Ok(()));
    }

    #[test]
    fn a_largest_request_must_fit_in_flight() {
        let settings = Settings { in_flight_bytes_max: 100 << 20, ..Settings::default() };
        assert_eq!(settings.validate(), Err(SettingsError::InFlightBytes { given: 100 << 20, least: 128 << 20 }));
        let nothing = Settings { in_flight_requests_max: 0, ..Settings::default() };
        assert_eq!(nothing.validate(), Err(SettingsError::Zero("in_flight_requests_max")));
    }
}
