//! How long operations take, roughly, for rules that ask for percentiles. In memory only: after a start nothing is known,
//! and what is not known keeps traces.

use std::collections::{BTreeMap, HashMap};

use model::retention::PERCENTILE_TRACES_MIN;

/// Operations remembered; further ones stay unknown.
const OPERATIONS_MAX: usize = 4_096;

/// Traces after which those so far count half, so that what was usual last month does not decide for ever.
const TRACES_MAX: u64 = 100_000;

/// Buckets per power of two: a percentile is at most 1/16 too high.
const STEPS_LOG2: u32 = 4;

/// Durations by service and root span name.
#[derive(Debug, Default)]
pub(super) struct Latencies {
    services: HashMap<String, HashMap<String, Sketch>>,
    operations: usize,
}

/// Counts of durations in buckets that grow with the duration.
#[derive(Debug, Default)]
struct Sketch {
    counts: BTreeMap<u32, u64>,
    total: u64,
}

impl Latencies {
    /// Counts one trace.
    pub(super) fn add(&mut self, service: &str, operation: &str, nanos: i64) {
        if let Some(sketch) = self.services.get_mut(service).and_then(|known| known.get_mut(operation)) {
            sketch.add(nanos);
        } else if self.operations < OPERATIONS_MAX {
            self.operations += 1;
            let operations = self.services.entry(service.to_owned()).or_default();
            operations.entry(operation.to_owned()).or_default().add(nanos);
        }
    }

    /// The duration in nanoseconds that so many percent do not exceed; `None` while too few are known.
    pub(super) fn percentile(&self, service: &str, operation: &str, percentile: f64) -> Option<i64> {
        self.services.get(service)?.get(operation)?.percentile(percentile)
    }
}

impl Sketch {
    fn add(&mut self, nanos: i64) {
        *self.counts.entry(bucket(nanos.max(0) as u64)).or_default() += 1;
        self.total += 1;
        if self.total >= TRACES_MAX {
            self.counts.values_mut().for_each(|count| *count /= 2);
            self.counts.retain(|_, count| *count > 0);
            self.total = self.counts.values().sum();
        }
    }

    fn percentile(&self, percentile: f64) -> Option<i64> {
        if self.total < PERCENTILE_TRACES_MIN as u64 {
            return None;
        }
        let rank = (percentile / 100.0 * self.total as f64).ceil() as u64;
        let mut counted = 0;
        let reached = self.counts.iter().find(|(_, count)| {
            counted += **count;
            counted >= rank
        });
        reached.or_else(|| self.counts.iter().next_back()).map(|(bucket, _)| highest(*bucket))
    }
}

/// Which bucket a duration is in.
const fn bucket(nanos: u64) -> u32 {
    let exponent = 63 - (nanos | 1).leading_zeros();
    if exponent <= STEPS_LOG2 {
        return nanos as u32;
    }
    let shift = exponent - STEPS_LOG2;
    (shift << STEPS_LOG2) + (nanos >> shift) as u32
}

/// The longest duration of a bucket.
fn highest(bucket: u32) -> i64 {
    let steps = 1 << STEPS_LOG2;
    if bucket < 2 * steps {
        return i64::from(bucket);
    }
    let shift = bucket / steps - 1;
    let mantissa = u128::from(bucket % steps + steps + 1);
    i64::try_from((mantissa << shift) - 1).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_ends_at_most_a_sixteenth_above_what_is_in_it() {
        for nanos in
            (0..200).chain((4..62).flat_map(|bits| [(1 << bits) - 1, 1 << bits, (1 << bits) + 1, 3 << (bits - 1)]))
        {
            let most = highest(bucket(nanos as u64));
            assert!(most >= nanos && most - nanos <= nanos / 16, "{nanos}: {most}");
        }
        assert_eq!(highest(bucket(i64::MAX as u64)), i64::MAX);
    }

    #[test]
    fn percentiles_are_about_right_and_unknown_at_first() {
        let mut latencies = Latencies::default();
        for number in 1..=99 {
            latencies.add("pooler", "SELECT", number * 1_000_000);
        }
        assert_eq!(latencies.percentile("pooler", "SELECT", 50.0), None);
        latencies.add("pooler", "SELECT", 100_000_000);
        for (percentile, millis) in [(1.0, 1), (50.0, 50), (99.0, 99)] {
            let told = latencies.percentile("pooler", "SELECT", percentile).expect("100 are enough");
            let exact = millis * 1_000_000;
            assert!(told >= exact && told <= exact + exact / 16, "{percentile} %: {told}");
        }
        assert_eq!(latencies.percentile("pooler", "UPDATE", 50.0), None);
    }

    #[test]
    fn memory_is_bounded_and_old_durations_fade() {
        let mut latencies = Latencies::default();
        for number in 0..OPERATIONS_MAX + 10 {
            latencies.add("pooler", &format!("op {number}"), 1);
        }
        assert_eq!(latencies.services["pooler"].len(), OPERATIONS_MAX);
        for _ in 0..TRACES_MAX {
            latencies.add("pooler", "op 0", 1_000);
        }
        for _ in 0..TRACES_MAX {
            latencies.add("pooler", "op 0", 1_000_000);
        }
        let median = latencies.percentile("pooler", "op 0", 50.0).expect("known");
        assert!(median >= 1_000_000, "{median}");
        assert!(latencies.services["pooler"]["op 0"].total < TRACES_MAX);
    }
}
