//! The figures of a run, and the table that shows them.

use std::fmt;
use std::time::Duration;

use super::workload::Arrangement;

/// Order statistics, exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Percentiles {
    /// How many there were.
    pub count: usize,
    /// Half of them were at most this long.
    pub p50: Duration,
    /// 99 of 100 were at most this long.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

impl Percentiles {
    /// Of these times (nearest rank); all zero when there are none.
    #[must_use]
    pub fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let rank = |percent: usize| {
            let position = (times.len() * percent).div_ceil(100).saturating_sub(1);
            times.get(position).copied().unwrap_or_default()
        };
        Self { count: times.len(), p50: rank(50), p99: rank(99), max: rank(100) }
    }
}

impl fmt::Display for Percentiles {
    /// p50, p99 and maximum.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} / {} / {} ms", ms(self.p50), ms(self.p99), ms(self.max))
    }
}

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Report {
    /// How traces were spread over requests.
    pub arrangement: Arrangement,
    /// gRPC connections.
    pub connections: usize,
    /// Spans sent.
    pub span_count: u64,
    /// Traces sent.
    pub trace_count: u64,
    /// Protobuf bytes sent.
    pub wire_bytes: u64,
    /// Attributes of all spans, without those of resources and events.
    pub attribute_count: u64,
    /// Distinct resources.
    pub resource_count: u64,
    /// Requests sent.
    pub request_count: u64,
    /// From the first request to the last answer.
    pub wall: Duration,
    /// Tries that the server was too busy for.
    pub retries: u64,
    /// From a request to its answer.
    pub answers: Percentiles,
    /// The server's CPU time up to the last answer.
    pub cpu_answered: Duration,
    /// Of that, what threads used that no sender waits for.
    pub cpu_background: Duration,
    /// The server's CPU time until everything was in the cold tier.
    pub cpu_offloaded: Duration,
    /// Of that, what went into merging blocks that were committed before.
    pub cpu_merging: Duration,
    /// The server's memory before the first request.
    pub idle_memory_bytes: u64,
    /// The server's peak memory until then.
    pub peak_memory_bytes: u64,
    /// The same, with the lookups in the hot tier.
    pub peak_memory_lookups_bytes: u64,
    /// Disk that the hot tier takes, everything still in it.
    pub hot_bytes: u64,
    /// Disk that the cold tier takes, with what merges replaced and readers may still read.
    pub cold_bytes: u64,
    /// Bytes of what the manifests name once nothing is merged any more.
    pub merged_bytes: u64,
    /// From an answer to a search that finds the spans.
    pub visible: Percentiles,
    /// Trace by id, answered by the hot tier.
    pub hot_lookups: Percentiles,
    /// Trace by id, answered by the cold tier.
    pub cold_lookups: Percentiles,
}

impl Report {
    /// Spans per second of the CPU time that stands between a request and its durable answer: all threads but those
    /// that make columns and blocks meanwhile.
    #[must_use]
    pub fn spans_per_cpu_sec_answered(&self) -> f64 {
        per_sec(self.span_count, self.cpu_answered.saturating_sub(self.cpu_background))
    }

    /// Spans per second of all CPU time that the server used until the last answer, what goes on behind it included.
    #[must_use]
    pub fn spans_per_cpu_sec_while_sending(&self) -> f64 {
        per_sec(self.span_count, self.cpu_answered)
    }

    /// Spans per second of the server's CPU time until their blocks are committed: everything but merging blocks.
    #[must_use]
    pub fn spans_per_cpu_sec_committed(&self) -> f64 {
        per_sec(self.span_count, self.cpu_offloaded.saturating_sub(self.cpu_merging))
    }

    /// Spans per second of all of the server's CPU time until the last block is committed, merges that went on included.
    #[must_use]
    pub fn spans_per_cpu_sec_offloaded(&self) -> f64 {
        per_sec(self.span_count, self.cpu_offloaded)
    }

    /// Spans per second of wall time, up to the last answer.
    #[must_use]
    pub fn spans_per_sec(&self) -> f64 {
        per_sec(self.span_count, self.wall)
    }

    fn per_span(&self, amount: u64) -> f64 {
        amount as f64 / self.span_count.max(1) as f64
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, value: String| writeln!(f, "{name:<44}{value:>28}");
        let times = Percentiles::to_string;
        row("arrangement", self.arrangement.to_string())?;
        row("spans, traces, resources", format!("{}, {}, {}", self.span_count, self.trace_count, self.resource_count))?;
        row("spans per trace", format!("{:.1}", self.span_count as f64 / self.trace_count.max(1) as f64))?;
        row("attributes per span", format!("{:.1}", self.per_span(self.attribute_count)))?;
        row("wire bytes per span", format!("{:.0}", self.per_span(self.wire_bytes)))?;
        row(
            "requests, connections, retries",
            format!("{}, {}, {}", self.request_count, self.connections, self.retries),
        )?;
        row("spans per server CPU-second, to the answer", format!("{:.0}", self.spans_per_cpu_sec_answered()))?;
        row("the same with what went on behind the answers", format!("{:.0}", self.spans_per_cpu_sec_while_sending()))?;
        row("spans per server CPU-second, block committed", format!("{:.0}", self.spans_per_cpu_sec_committed()))?;
        row("the same with merges that went on meanwhile", format!("{:.0}", self.spans_per_cpu_sec_offloaded()))?;
        row("spans per second, wall", format!("{:.0}", self.spans_per_sec()))?;
        row("answer p50 / p99 / max", times(&self.answers))?;
        row("memory, idle", format!("{:.0} MB", self.idle_memory_bytes as f64 / 1e6))?;
        row("peak memory, ingest and offload", format!("{:.0} MB", self.peak_memory_bytes as f64 / 1e6))?;
        row("peak memory, hot lookups too", format!("{:.0} MB", self.peak_memory_lookups_bytes as f64 / 1e6))?;
        row("hot bytes per span, on disk", format!("{:.1}", self.per_span(self.hot_bytes)))?;
        row("cold bytes per span, merged", format!("{:.1}", self.per_span(self.merged_bytes)))?;
        row("the same with what merges replaced, on disk", format!("{:.1}", self.per_span(self.cold_bytes)))?;
        row("answer to found by search, p50 / p99 / max", times(&self.visible))?;
        row("trace by id, hot, p50 / p99 / max", times(&self.hot_lookups))?;
        row("trace by id, cold, p50 / p99 / max", times(&self.cold_lookups))
    }
}

fn per_sec(count: u64, time: Duration) -> f64 {
    if time.is_zero() { f64::INFINITY } else { count as f64 / time.as_secs_f64() }
}

fn ms(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let millis = |millis| Duration::from_millis(millis);
        let of_200 = Percentiles::of((1..=200).rev().map(millis).collect());
        assert_eq!(of_200, Percentiles { count: 200, p50: millis(100), p99: millis(198), max: millis(200) });
        let of_one = Percentiles::of(vec![millis(7)]);
        assert_eq!(of_one, Percentiles { count: 1, p50: millis(7), p99: millis(7), max: millis(7) });
        assert_eq!(Percentiles::of(Vec::new()), Percentiles::default());
    }
}
