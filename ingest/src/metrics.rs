//! What receiving counts. Every metric's name is in this file: `spanhold_ingest_<thing>_<unit>`.
//!
//! Counters are registered without `_total`; OpenMetrics' text format adds it.
//! The share of bad spans is `spans_rejected / (spans_accepted + spans_rejected)`; the compression ratio of senders is
//! `decompressed_bytes / received_bytes`.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::accept::{Accepted, Transport};
use crate::refusal::Refusal;

const REQUESTS: &str = "spanhold_ingest_requests";
const REQUEST_DURATION: &str = "spanhold_ingest_request_duration_seconds";
const PREPARE: &str = "spanhold_ingest_prepare_seconds";
const REFUSED: &str = "spanhold_ingest_refused";
const RECEIVED_BYTES: &str = "spanhold_ingest_received_bytes";
const DECOMPRESSED_BYTES: &str = "spanhold_ingest_decompressed_bytes";
const SPANS_ACCEPTED: &str = "spanhold_ingest_spans_accepted";
const SPANS_REJECTED: &str = "spanhold_ingest_spans_rejected";
const IN_FLIGHT_REQUESTS: &str = "spanhold_ingest_in_flight_requests";
const IN_FLIGHT_BYTES: &str = "spanhold_ingest_in_flight_bytes";

/// The counters of one receiver. Cheap to clone; clones share their values.
#[derive(Debug, Clone)]
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    request_duration: Family<TransportLabels, Histogram, fn() -> Histogram>,
    prepare: Histogram,
    received_bytes: Family<TransportLabels, Counter>,
    decompressed_bytes: Family<TransportLabels, Counter>,
    refused: Family<RefusedLabels, Counter>,
    spans_accepted: Counter,
    spans_rejected: Family<ReasonLabels, Counter>,
    /// Kept up to date by [`crate::admit`].
    pub(crate) in_flight_requests: Gauge,
    /// Kept up to date by [`crate::admit`].
    pub(crate) in_flight_bytes: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    transport: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusedLabels {
    limit: &'static str,
    priority: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TransportLabels {
    transport: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

impl Metrics {
    /// Creates the metrics and registers them.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            request_duration: Family::new_with_constructor(duration_histogram),
            // 4 µs to 4 s: a few spans, and the largest request.
            prepare: Histogram::new(exponential_buckets(0.000_004, 4.0, 11)),
            received_bytes: Family::default(),
            decompressed_bytes: Family::default(),
            refused: Family::default(),
            spans_accepted: Counter::default(),
            spans_rejected: Family::default(),
            in_flight_requests: Gauge::default(),
            in_flight_bytes: Gauge::default(),
        };
        // What is counted later is 0 until then, and not unknown.
        let (limit, priority) = (store::pressure::Limit::InFlightBytes.name(), "any");
        drop(metrics.refused.get_or_create(&RefusedLabels { limit, priority }));
        registry.register(REQUESTS, "Export requests answered, by transport and outcome", metrics.requests.clone());
        registry.register(
            REQUEST_DURATION,
            "Time from the request's headers to its answer",
            metrics.request_duration.clone(),
        );
        registry.register(PREPARE, "Time to check a request, cut and compress it", metrics.prepare.clone());
        registry.register(
            REFUSED,
            "Requests refused at a limit, by limit and by the priority of what was refused",
            metrics.refused.clone(),
        );
        registry.register(RECEIVED_BYTES, "Request bodies read, as sent", metrics.received_bytes.clone());
        registry.register(DECOMPRESSED_BYTES, "Request bodies after decompression", metrics.decompressed_bytes.clone());
        registry.register(SPANS_ACCEPTED, "Spans made durable", metrics.spans_accepted.clone());
        registry.register(SPANS_REJECTED, "Spans left out, by reason", metrics.spans_rejected.clone());
        registry.register(IN_FLIGHT_REQUESTS, "Requests not yet answered", metrics.in_flight_requests.clone());
        registry.register(IN_FLIGHT_BYTES, "Bytes held by requests not yet answered", metrics.in_flight_bytes.clone());
        metrics.begin_at_zero();
        metrics
    }

    /// What is counted later is 0 until then, and not unknown.
    fn begin_at_zero(&self) {
        for transport in [Transport::Grpc, Transport::Http] {
            let accepted = RequestLabels { transport: transport.name(), outcome: "accepted" };
            drop(self.requests.get_or_create(&accepted));
            drop(self.request_duration.get_or_create(&labels(transport)));
            drop(self.received_bytes.get_or_create(&labels(transport)));
            drop(self.decompressed_bytes.get_or_create(&labels(transport)));
        }
        for reason in ["trace_id", "span_id", "parent_span_id", "other"] {
            drop(self.spans_rejected.get_or_create(&ReasonLabels { reason }));
        }
    }

    pub(crate) fn count_prepared(&self, took: Duration) {
        self.prepare.observe(took.as_secs_f64());
    }

    pub(crate) fn count_received(&self, transport: Transport, bytes: usize) {
        self.received_bytes.get_or_create(&labels(transport)).inc_by(bytes as u64);
    }

    pub(crate) fn count_decompressed(&self, transport: Transport, bytes: usize) {
        self.decompressed_bytes.get_or_create(&labels(transport)).inc_by(bytes as u64);
    }

    pub(crate) fn count_outcome(&self, transport: Transport, outcome: &Result<Accepted, Refusal>, took: Duration) {
        let name = match outcome {
            Ok(accepted) if accepted.rejections.is_empty() => "accepted",
            Ok(_) => "partial",
            Err(refusal) => refusal.outcome(),
        };
        self.requests.get_or_create(&RequestLabels { transport: transport.name(), outcome: name }).inc();
        self.request_duration.get_or_create(&labels(transport)).observe(took.as_secs_f64());
        if let Err(Refusal::Overloaded(overload)) = outcome {
            let labels = RefusedLabels { limit: overload.limit().name(), priority: overload.refused() };
            self.refused.get_or_create(&labels).inc();
        }
        if let Ok(accepted) = outcome {
            self.spans_accepted.inc_by(accepted.span_count as u64);
            for (reason, count) in accepted.rejections.reasons() {
                self.spans_rejected.get_or_create(&ReasonLabels { reason: reason_class(reason) }).inc_by(count as u64);
            }
        }
    }
}

const fn labels(transport: Transport) -> TransportLabels {
    TransportLabels { transport: transport.name() }
}

/// From 0.5 ms, what a sync on a fast disk takes, to 16 s, when every exporter has given up.
fn duration_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.000_5, 2.0, 16))
}

/// Few values, whatever senders do: the reason itself holds numbers that they choose.
fn reason_class(reason: &str) -> &'static str {
    if reason.starts_with("trace id") {
        "trace_id"
    } else if reason.starts_with("span id") {
        "span_id"
    } else if reason.starts_with("parent span id") {
        "parent_span_id"
    } else {
        "other"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_was_counted() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let mut rejections = proto::Rejections::default();
        rejections.add("span id is all zero".to_owned());
        let partial = Accepted { span_count: 3, rejections };
        metrics.count_outcome(Transport::Grpc, &Ok(partial), Duration::from_millis(1));
        metrics.count_outcome(Transport::Http, &Err(Refusal::Crashed), Duration::from_millis(1));
        metrics.count_received(Transport::Http, 20);
        let full = store::Overload::full(store::Pressure::new(store::Limit::HotBytes, 1, 1));
        metrics.count_outcome(Transport::Http, &Err(full.into()), Duration::from_millis(1));

        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
        for line in [
            "spanhold_ingest_requests_total{transport=\"grpc\",outcome=\"partial\"} 1",
            "spanhold_ingest_requests_total{transport=\"http\",outcome=\"crashed\"} 1",
            "spanhold_ingest_requests_total{transport=\"http\",outcome=\"overloaded\"} 1",
            "spanhold_ingest_refused_total{limit=\"hot_bytes_max\",priority=\"any\"} 1",
            "spanhold_ingest_spans_accepted_total 3",
            "spanhold_ingest_spans_rejected_total{reason=\"span_id\"} 1",
            "spanhold_ingest_received_bytes_total{transport=\"http\"} 20",
            "spanhold_ingest_request_duration_seconds_count{transport=\"grpc\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }
}
