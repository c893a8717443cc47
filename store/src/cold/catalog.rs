//! Which services and span names a set of spans has, counted: kept in each block's metadata.

use std::collections::BTreeMap;

use proto::UnixNanos;
use serde::{Deserialize, Serialize};

use crate::read::{OPERATIONS_PER_SERVICE_MAX, OperationSummary, ServiceSummary};

/// Counts per service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Catalog {
    services: BTreeMap<String, ServiceCounts>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct ServiceCounts {
    spans: u64,
    errors: u64,
    last_start: i64,
    operations: BTreeMap<String, u64>,
}

impl Catalog {
    /// Counts `spans` spans of one name, of which `errors` failed and the last started at `last_start`.
    pub(crate) fn add(&mut self, service: &str, operation: &str, spans: u64, errors: u64, last_start: i64) {
        let counts = self.service(service);
        counts.spans += spans;
        counts.errors += errors;
        counts.last_start = counts.last_start.max(last_start);
        *counts.operations.entry(operation.to_owned()).or_default() += spans;
    }

    /// Adds all counts of `other`.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (name, counts) in &other.services {
            let service = self.service(name);
            service.spans += counts.spans;
            service.errors += counts.errors;
            service.last_start = service.last_start.max(counts.last_start);
            for (operation, spans) in &counts.operations {
                *service.operations.entry(operation.clone()).or_default() += spans;
            }
        }
    }

    /// Keeps the most frequent operations of each service only; totals stay exact.
    pub(crate) fn truncate(&mut self) {
        for counts in self.services.values_mut() {
            if counts.operations.len() > OPERATIONS_PER_SERVICE_MAX {
                let most = most_frequent(std::mem::take(&mut counts.operations));
                counts.operations = most.into_iter().collect();
            }
        }
    }

    /// As the reader answers it.
    pub(crate) fn into_summaries(self) -> Vec<ServiceSummary> {
        let summary = |(name, counts): (String, ServiceCounts)| ServiceSummary {
            name,
            span_count: counts.spans,
            error_count: counts.errors,
            last_seen: UnixNanos::from_i64(counts.last_start),
            operations: most_frequent(counts.operations)
                .into_iter()
                .map(|(name, span_count)| OperationSummary { name, span_count })
                .collect(),
        };
        self.services.into_iter().map(summary).collect()
    }

    fn service(&mut self, name: &str) -> &mut ServiceCounts {
        self.services.entry(name.to_owned()).or_default()
    }
}

fn most_frequent(operations: BTreeMap<String, u64>) -> Vec<(String, u64)> {
    let mut operations: Vec<_> = operations.into_iter().collect();
    operations.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    operations.truncate(OPERATIONS_PER_SERVICE_MAX);
    operations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_and_names_are_bounded() {
        let mut catalog = Catalog::default();
        for number in 0..OPERATIONS_PER_SERVICE_MAX as u64 + 5 {
            catalog.add("pooler", &format!("op {number}"), 1, 0, 7);
        }
        catalog.add("pooler", "op 3", 9, 2, 5);
        let mut merged = Catalog::default();
        merged.merge(&catalog);
        merged.merge(&catalog);
        merged.truncate();
        let [service] = &merged.into_summaries()[..] else { panic!("one service") };
        assert_eq!((service.span_count, service.error_count), (2 * (1_005 + 9), 4));
        assert_eq!(service.last_seen, UnixNanos::from_i64(7));
        assert_eq!(service.operations.len(), OPERATIONS_PER_SERVICE_MAX);
        assert_eq!(service.operations[0], OperationSummary { name: "op 3".into(), span_count: 20 });
    }
}
