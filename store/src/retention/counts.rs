//! What became of spans, by rule, since the program was started.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::{Registry, Unit};

/// What was decided about a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Kept,
    Dropped,
    Held,
}

impl Fate {
    const ALL: [Self; 3] = [Self::Kept, Self::Dropped, Self::Held];

    const fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Dropped => "dropped",
            Self::Held => "held",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    rule: String,
    outcome: &'static str,
}

/// Spans and bytes by fate. A span counts each time that something is decided about it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fates {
    /// Spans that stayed.
    pub kept_spans: u64,
    /// Spans that went.
    pub dropped_spans: u64,
    /// Spans that would have gone and were too young: they stayed, to be decided about later.
    pub held_spans: u64,
    /// What `kept_spans` took in blocks, about: their share of the block.
    pub kept_bytes: u64,
    /// What `dropped_spans` took, or would have taken.
    pub dropped_bytes: u64,
    /// What `held_spans` take.
    pub held_bytes: u64,
}

impl Fates {
    pub(super) fn add(&mut self, fate: Fate, spans: u64, bytes: u64) {
        let (to_spans, to_bytes) = match fate {
            Fate::Kept => (&mut self.kept_spans, &mut self.kept_bytes),
            Fate::Dropped => (&mut self.dropped_spans, &mut self.dropped_bytes),
            Fate::Held => (&mut self.held_spans, &mut self.held_bytes),
        };
        *to_spans += spans;
        *to_bytes += bytes;
    }
}

/// The metrics, by rule.
#[derive(Debug, Default)]
pub(super) struct Counts {
    spans: Family<Labels, Counter>,
    bytes: Family<Labels, Counter>,
    deleted_spans: Counter,
}

impl Counts {
    /// One decision about many spans.
    pub(super) fn add(&self, rule: &str, fate: Fate, spans: u64, bytes: u64) {
        let labels = Labels { rule: rule.to_owned(), outcome: fate.name() };
        self.spans.get_or_create(&labels).inc_by(spans);
        self.bytes.get_or_create(&labels).inc_by(bytes);
    }

    /// Spans of deleted traces that a block did not get.
    pub(super) fn add_deleted(&self, spans: u64) {
        self.deleted_spans.inc_by(spans);
    }

    /// So far.
    pub(super) fn of(&self, rule: &str) -> Fates {
        let mut fates = Fates::default();
        for fate in Fate::ALL {
            let labels = Labels { rule: rule.to_owned(), outcome: fate.name() };
            fates.add(fate, self.spans.get_or_create(&labels).get(), self.bytes.get_or_create(&labels).get());
        }
        fates
    }

    /// Adds the metrics to `registry`; all begin with `spanhold_retention_`.
    pub(super) fn register(&self, registry: &mut Registry) {
        let retention = registry.sub_registry_with_prefix("spanhold_retention");
        retention.register("spans", "Spans that a rule decided about", self.spans.clone());
        retention.register_with_unit(
            "decided",
            "Size of the spans that a rule decided about",
            Unit::Bytes,
            self.bytes.clone(),
        );
        retention.register("deleted_spans", "Spans of deleted traces that are gone", self.deleted_spans.clone());
    }
}
