//! Holds the rows of a block against the rules and against what was deleted.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{BooleanArray, BooleanBufferBuilder, RecordBatch};
use model::retention::{Context, Decision, Episode, Outcome, TraceFacts, decide, state_changes};
use proto::UnixNanos;

use super::counts::{Fate, Fates};
use super::due::rounded_up;
use super::facts::{Gathered, gather};
use super::record::{BlockRetention, Incident};
use super::{Retention, RuleFates};
use crate::cold::locator::Locator;
use crate::cold::sieve::Sieve;
use crate::delete::DeletedTraces;
use crate::{BlockEntry, Error};

/// Where rows come from.
pub(super) enum Source {
    /// One window, all of it at once.
    Window,
    /// Blocks, in any number of pieces.
    Blocks(Vec<Input>),
}

/// A block that rows come from.
pub(super) struct Input {
    /// Tells which traces are in it, one in many thousands by mistake.
    pub(super) locator: Arc<Locator>,
    pub(super) received: UnixNanos,
    /// The policy in force decided to keep all of it.
    pub(super) is_decided: bool,
    pub(super) retention: Option<BlockRetention>,
}

/// Decides which traces of a window, or of blocks, stay. For one new block, from its first row to its last.
pub(crate) struct RetentionSieve {
    pub(super) retention: Arc<Retention>,
    pub(super) deleted: Arc<DeletedTraces>,
    /// Blocks with incidents, whoever wrote them.
    pub(super) others: Vec<Arc<BlockEntry>>,
    pub(super) source: Source,
    /// When all rows had arrived.
    pub(super) received: UnixNanos,
    pub(super) now: UnixNanos,
    pub(super) record: BlockRetention,
    pub(super) spans: Vec<[u64; 3]>,
    pub(super) deleted_spans: u64,
}

impl Sieve for RetentionSieve {
    fn reads(&self, column: &str) -> bool {
        self.retention.keys.are_read_from(column)
    }

    fn sift(&mut self, rows: &RecordBatch) -> Result<Option<BooleanArray>, Error> {
        if rows.num_rows() == 0 {
            return Ok(None);
        }
        let retention = Arc::clone(&self.retention);
        let gathered = gather(rows, &retention.keys, &retention.classifier)?;
        let mut facts = gathered.facts(self.received);
        let decisions = self.decide(&mut facts);
        Ok(self.mask(rows.num_rows(), &gathered, &facts, &decisions))
    }
}

impl RetentionSieve {
    /// What the new block's entry is to remember. Counts what was decided; `span_bytes` is what a span takes in a block, about.
    pub(crate) fn finish(self, span_bytes: f64) -> BlockRetention {
        let bytes = |spans: u64| (spans as f64 * span_bytes) as u64;
        for (rule, spans) in self.retention.policy.rules().iter().zip(&self.spans) {
            for (fate, spans) in FATES.into_iter().zip(*spans) {
                if spans > 0 {
                    self.retention.counts.add(rule.name(), fate, spans, bytes(spans));
                }
            }
        }
        self.retention.counts.add_deleted(self.deleted_spans);
        self.record
    }

    /// What was decided, without counting it.
    pub(super) fn into_fates(self, span_bytes: f64) -> Vec<RuleFates> {
        let rules = self.retention.policy.rules().iter().zip(&self.spans);
        rules
            .map(|(rule, spans)| {
                let mut fates = Fates::default();
                for (fate, spans) in FATES.into_iter().zip(*spans) {
                    fates.add(fate, spans, (spans as f64 * span_bytes) as u64);
                }
                RuleFates { rule: rule.name().to_owned(), fates }
            })
            .collect()
    }

    fn decide(&mut self, facts: &mut [TraceFacts<'_>]) -> Vec<Decision> {
        let retention = Arc::clone(&self.retention);
        match &self.source {
            Source::Window => {
                self.note_state_changes(facts);
                self.record.add_incidents(incidents(&retention, facts));
            }
            Source::Blocks(inputs) => {
                apply_inputs(facts, inputs);
                // Only blocks that an earlier version wrote do not tell.
                if inputs.iter().any(|input| input.retention.is_none()) {
                    self.record.add_incidents(incidents(&retention, facts));
                }
            }
        }
        let memory = Arc::clone(&retention);
        let percentile = move |service: &str, operation: &str, percentile: f64| {
            memory.memory().latencies.percentile(service, operation, percentile)
        };
        let context = Context {
            episodes: episodes(&retention, &self.others, &self.record.incidents, facts),
            latency_percentile: Some(&percentile),
            ..Context::default()
        };
        let decisions = decide(&retention.policy, facts, &context, self.now);
        if matches!(self.source, Source::Window) && retention.needs.latency_percentiles {
            let mut memory = retention.memory();
            for one in facts.iter().filter(|one| one.has_root) {
                memory.latencies.add(one.service, one.operation, one.duration_nanos());
            }
        }
        decisions
    }

    /// Sees changes of state while the window's runs and what failed before them are at hand: at merges, runs between them may be
    /// gone.
    fn note_state_changes(&mut self, facts: &mut [TraceFacts<'_>]) {
        if !self.retention.needs.last_health {
            return;
        }
        let last_health = self.retention.memory().failing.of(facts);
        let changed = state_changes(facts, &Context { last_health, ..Context::default() });
        for (one, changed) in facts.iter_mut().zip(changed) {
            one.state_changed = changed;
        }
        let mut memory = self.retention.memory();
        memory.failing.learn(facts);
        self.record.set_failing(memory.failing.list());
        drop(memory);
        self.record.add_state_changes(facts.iter().filter(|one| one.state_changed).map(|one| one.trace_id));
    }

    /// Counts the decisions and turns them into rows that stay; `None` when all do.
    fn mask(
        &mut self,
        row_count: usize,
        gathered: &Gathered,
        facts: &[TraceFacts<'_>],
        decisions: &[Decision],
    ) -> Option<BooleanArray> {
        let mut mask = BooleanBufferBuilder::new(row_count);
        let mut kept_rows = 0;
        for ((trace, facts), decision) in gathered.traces.iter().zip(facts).zip(decisions) {
            let rows = trace.rows.len();
            let is_deleted = self.deleted.contains(trace.trace_id);
            let stays = !is_deleted && decision.outcome != Outcome::Drop;
            mask.append_n(rows, stays);
            kept_rows += if stays { rows } else { 0 };
            if is_deleted {
                self.deleted_spans += rows as u64;
                continue;
            }
            self.spans[decision.rule][fate(decision.outcome) as usize] += rows as u64;
            if let Some(due) = self.due(facts, decision.outcome) {
                self.record.note_due(due);
            }
        }
        (kept_rows < row_count).then(|| BooleanArray::new(mask.finish(), None))
    }

    /// When this trace is to be decided about again, Unix nanoseconds.
    fn due(&self, facts: &TraceFacts<'_>, outcome: Outcome) -> Option<i64> {
        match outcome {
            Outcome::Drop | Outcome::Keep { until: None } => None,
            Outcome::Hold => {
                let hold_nanos = self.retention.policy.hold_nanos();
                Some(rounded_up(facts.received.saturating_add(hold_nanos).as_i64(), hold_nanos))
            }
            Outcome::Keep { until: Some(until) } => {
                let from = facts.end.max(facts.start).min(facts.received);
                Some(rounded_up(until.as_i64(), until.nanos_since(from)))
            }
        }
    }
}

/// The order in which [`RetentionSieve::spans`] has them.
const FATES: [Fate; 3] = [Fate::Kept, Fate::Dropped, Fate::Held];

const fn fate(outcome: Outcome) -> Fate {
    match outcome {
        Outcome::Keep { .. } => Fate::Kept,
        Outcome::Drop => Fate::Dropped,
        Outcome::Hold => Fate::Held,
    }
}

/// What the blocks that the traces come from tell about them.
fn apply_inputs(facts: &mut [TraceFacts<'_>], inputs: &[Input]) {
    for one in facts {
        let of_trace = || inputs.iter().filter(|input| !input.locator.row_groups_of(one.trace_id).is_empty());
        let received = of_trace().map(|input| input.received).max();
        let kept_before = of_trace().any(|input| input.is_decided);
        let state_changed =
            of_trace().filter_map(|input| input.retention.as_ref()).any(|told| told.has_changed(one.trace_id));
        one.received = received.unwrap_or(one.received);
        (one.kept_before, one.state_changed) = (kept_before, state_changed);
    }
}

/// What the traces have of operations that some rule asks for neighbours of.
fn incidents(retention: &Retention, facts: &[TraceFacts<'_>]) -> Vec<Incident> {
    let asked = retention.needs.episodes;
    let mut incidents = Vec::new();
    for one in facts {
        let Some(instance) = one.instance else { continue };
        for class in one.classes.with(one.class).iter().filter(|class| asked.contains(*class)) {
            let (start, end) = (one.start.as_i64(), one.end.as_i64());
            incidents.push(Incident { class, instance: instance.to_owned(), start, end });
        }
    }
    incidents
}

/// Incidents of other blocks, and of earlier pieces of these, near the traces.
fn episodes<'a>(
    retention: &Retention,
    others: &'a [Arc<BlockEntry>],
    own: &'a [Incident],
    facts: &[TraceFacts<'a>],
) -> Vec<Episode<'a>> {
    let window_nanos = retention.needs.window_nanos;
    let Some(start) = facts.iter().map(|one| one.start).min() else { return Vec::new() };
    let end = facts.iter().map(|one| one.end).max().unwrap_or(start);
    let (start, end) = (start.saturating_add(-window_nanos), end.saturating_add(window_nanos));
    let of_others = others.iter().filter_map(|block| block.retention.as_ref()).flat_map(|told| &told.incidents);
    let mut episodes = Vec::new();
    for incident in of_others.chain(own).filter(|incident| incident.meets(start, end)) {
        let episode = |instance| Episode {
            class: incident.class,
            instance,
            start: UnixNanos::from_i64(incident.start),
            end: UnixNanos::from_i64(incident.end),
        };
        if incident.instance.is_empty() {
            let instances: HashSet<&str> = facts.iter().filter_map(|one| one.instance).collect();
            episodes.extend(instances.into_iter().map(episode));
        } else {
            episodes.push(episode(&incident.instance));
        }
    }
    episodes
}
