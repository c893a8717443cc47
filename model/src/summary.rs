//! What a list shows of a trace: root, extent, counts, and who spent the time.

use std::collections::HashMap;

use proto::UnixNanos;

use crate::{Node, StatusCode};

/// Figures of a whole trace. Placeholders count neither as spans nor as a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// First start of any span.
    pub start: UnixNanos,
    /// Last end of any span; not before the start.
    pub end: UnixNanos,
    /// Where in [`crate::Trace::nodes`] the earliest root stands; `None` while no root was received.
    pub root: Option<usize>,
    /// Spans received, each once.
    pub span_count: usize,
    /// Of these, spans with status `Error`.
    pub error_count: usize,
    /// Who spent the time, most self time first, then by name.
    pub services: Vec<ServiceShare>,
}

/// What one service did in a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceShare {
    /// `service.name`.
    pub name: String,
    /// Its spans.
    pub span_count: usize,
    /// The sum of their self times, nanoseconds. Spans of one service that run side by side add up, so this can exceed the
    /// trace's duration.
    pub self_time_nanos: i64,
}

impl Summary {
    /// Sums up nodes in tree order.
    pub(crate) fn of(nodes: &[Node]) -> Self {
        let mut start = UnixNanos::MAX;
        let mut end = UnixNanos::ZERO;
        let mut span_count = 0;
        let mut error_count = 0;
        let mut shares: HashMap<&str, ServiceShare> = HashMap::new();
        for node in nodes {
            let Some(span) = &node.span else {
                continue;
            };
            let interval = node.interval();
            start = start.min(interval.start);
            end = end.max(interval.end);
            span_count += 1;
            error_count += usize::from(span.status == StatusCode::Error);
            let service = span.service();
            let share = shares.entry(service).or_insert_with(|| ServiceShare::none_of(service));
            share.span_count += 1;
            share.self_time_nanos = share.self_time_nanos.saturating_add(node.self_time_nanos);
        }
        let mut services: Vec<ServiceShare> = shares.into_values().collect();
        services.sort_unstable_by(|a, b| (b.self_time_nanos, &a.name).cmp(&(a.self_time_nanos, &b.name)));
        let root = nodes.iter().position(|node| node.is_root);
        Self { start, end, root, span_count, error_count, services }
    }

    /// Whether a root was received. Without one, what is known may be a part of the trace only.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.root.is_some()
    }

    /// Nanoseconds from the first start to the last end.
    #[must_use]
    pub fn duration_nanos(&self) -> i64 {
        self.end.nanos_since(self.start).max(0)
    }
}

impl ServiceShare {
    fn none_of(service: &str) -> Self {
        Self { name: service.to_owned(), span_count: 0, self_time_nanos: 0 }
    }
}
