//! Applies the rules of [`model::retention`] where blocks are written: when a window is offloaded and when blocks are merged.
//!
//! Owns what a decision needs beside the traces at hand: incidents of other blocks (kept in their entries), what failed last,
//! how long operations take. Decides through a [`Sieve`](crate::cold::sieve::Sieve); never writes a block, never changes a
//! manifest. `docs/retention.md` tells users about it.

mod counts;
mod dry_run;
mod due;
mod facts;
mod failing;
mod latencies;
mod record;
mod sieve;
#[cfg(test)]
mod tests;
mod values;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::Classifier;
use model::retention::{Needs, Policy};
use prometheus_client::registry::Registry;
use proto::UnixNanos;

pub use counts::Fates;
pub use dry_run::{DRY_RUN_SPANS_MAX, DryRun};
pub(crate) use due::due_for_rewrite;
pub use record::{BlockRetention, Failing, Incident};
pub(crate) use sieve::RetentionSieve;
use sieve::{Input, Source};

use crate::BlockEntry;
use crate::cold::locator::Locator;
use crate::view::View;
use counts::Counts;
use facts::Keys;
use failing::FailingOperations;
use latencies::Latencies;

/// What one rule did, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleFates {
    /// Name of the rule.
    pub rule: String,
    /// What becomes of spans.
    pub fates: Fates,
}

/// The rules in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionReport {
    /// How long, after the last span of a trace arrived, nothing of it is dropped. Nanoseconds.
    pub hold_nanos: i64,
    /// In their order: the rule in words, and what it did since the start.
    pub rules: Vec<(String, RuleFates)>,
}

/// The rules, and what is remembered between blocks.
pub(crate) struct Retention {
    policy: Policy,
    needs: Needs,
    fingerprint: u64,
    classifier: Classifier,
    keys: Keys,
    counts: Counts,
    memory: Mutex<Memory>,
    /// Held by the one dry run that goes on.
    dry_run: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Memory {
    failing: FailingOperations,
    latencies: Latencies,
}

impl Retention {
    /// Goes on from `blocks`, this writer's, in the order in which they were written.
    pub(crate) fn new(policy: Policy, blocks: &[Arc<BlockEntry>]) -> Arc<Self> {
        let mut memory = Memory::default();
        let newest = blocks.iter().max_by_key(|block| block.windows.last().copied());
        if let Some(told) = newest.and_then(|block| block.retention.as_ref()) {
            memory.failing.restore(&told.failing);
        }
        Arc::new(Self {
            needs: policy.needs(),
            fingerprint: policy.fingerprint(),
            classifier: Classifier::default(),
            keys: Keys::of(&policy),
            counts: Counts::default(),
            memory: Mutex::new(memory),
            dry_run: tokio::sync::Mutex::default(),
            policy,
        })
    }

    /// For a window that is offloaded.
    pub(crate) fn of_window(self: &Arc<Self>, view: &View, now: UnixNanos) -> RetentionSieve {
        let record = BlockRetention { received: now.as_i64(), ..BlockRetention::default() };
        self.sieve(view, Source::Window, now, record, now)
    }

    /// For blocks that are rewritten as one, with the locator of each.
    pub(crate) fn of_blocks(
        self: &Arc<Self>,
        view: &View,
        blocks: &[(Arc<BlockEntry>, Arc<Locator>)],
        now: UnixNanos,
    ) -> RetentionSieve {
        let mut record = BlockRetention::default();
        let mut inputs = Vec::with_capacity(blocks.len());
        let received = blocks.iter().map(|(block, _)| block.received()).max().unwrap_or(now);
        record.received = received.as_i64();
        for (block, locator) in blocks {
            let told = block.retention.clone();
            if let Some(told) = &told {
                record.add_incidents(told.incidents.iter().cloned());
                record.add_state_changes(told.state_changes.iter().copied());
            }
            let is_decided = told.as_ref().is_some_and(|told| told.decided_by == Some(self.fingerprint));
            let locator = Arc::clone(locator);
            inputs.push(Input { locator, received: block.received(), is_decided, retention: told });
        }
        let newest = blocks.iter().max_by_key(|(block, _)| block.windows.last().copied());
        if let Some(told) = newest.and_then(|(block, _)| block.retention.as_ref()) {
            record.set_failing(told.failing.clone());
        }
        self.sieve(view, Source::Blocks(inputs), received, record, now)
    }

    fn sieve(
        self: &Arc<Self>,
        view: &View,
        source: Source,
        received: UnixNanos,
        mut record: BlockRetention,
        now: UnixNanos,
    ) -> RetentionSieve {
        let is_held = now.nanos_since(received) < self.policy.hold_nanos();
        record.decided_by = (!is_held).then_some(self.fingerprint);
        let has_incidents =
            |block: &&Arc<BlockEntry>| block.retention.as_ref().is_some_and(|told| !told.incidents.is_empty());
        let blocks = view.manifests.values().flat_map(|manifest| &manifest.blocks);
        RetentionSieve {
            retention: Arc::clone(self),
            deleted: Arc::clone(&view.deleted),
            others: blocks.filter(has_incidents).cloned().collect(),
            source,
            received,
            now,
            record,
            spans: vec![[0; 3]; self.policy.rules().len()],
            deleted_spans: 0,
        }
    }

    /// The rules, and what they did.
    pub(crate) fn report(&self) -> RetentionReport {
        let rules = self.policy.rules().iter().zip(self.policy.explain());
        let rules = rules.map(|(rule, explained)| {
            let fates = self.counts.of(rule.name());
            (explained, RuleFates { rule: rule.name().to_owned(), fates })
        });
        RetentionReport { hold_nanos: self.policy.hold_nanos(), rules: rules.collect() }
    }

    /// Adds the metrics to `registry`.
    pub(crate) fn register(&self, registry: &mut Registry) {
        // What is counted later is 0 until then, and not unknown.
        for rule in self.policy.rules() {
            let _ = self.counts.of(rule.name());
        }
        self.counts.register(registry);
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
