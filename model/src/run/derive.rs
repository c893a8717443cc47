//! From a trace to what it says about runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proto::{SpanId, UnixNanos};

use super::figures::Figures;
use super::intervals::{covered_nanos, union};
use super::outline::Outline;
use super::part::{
    IDS_MAX, LINKS_MAX, OTHER_MAX, Outcome, PENDING_MAX, PHASE_SPANS_MAX, PartKind, Pending, PhaseSpan, RunPart,
    STEPS_MAX, Step, StepKind, TimePoints, Trigger,
};
use super::tops::{self, Top};
use super::{RunId, RunIdKind, read};
use crate::class::{Words, is_statement};
use crate::failover::is_failed;
use crate::rules::{Phase, Rules};
use crate::self_time::Interval;
use crate::{OperationClass, Resource, Span, Trace};

/// What a trace says about runs: one part per run, in the order of their topmost spans. Empty for most traces.
///
/// A function of the spans only. To be called again with the whole trace whenever spans of it arrive, and to take the place of
/// what was said before.
#[must_use]
pub fn parts_of(trace: &Trace, rules: &Rules) -> Vec<RunPart> {
    let outline = Outline::of(trace, rules);
    let tops = tops::find(&outline, rules.settings().run_classes);
    if tops.is_empty() {
        return linked_part(&outline).into_iter().collect();
    }
    tops.iter().map(|top| gather(&outline, *top, &tops)).collect()
}

/// A trace without an operation of its own may be a part of one elsewhere.
fn linked_part(outline: &Outline<'_>) -> Option<RunPart> {
    let mut is_linked = false;
    let mut has_phase = false;
    let mut class_of_id = None;
    for &index in &outline.order {
        let known = &outline.known[index];
        let Some(span) = known.span else { continue };
        is_linked |= read::linked_traces(span).next().is_some();
        has_phase |= known.mapped.as_ref().is_some_and(|mapped| mapped.phase(OperationClass::Failover).is_some());
        let id = read::ids(span).find(|id| id.kind != RunIdKind::Request);
        class_of_id = class_of_id.or(id.map(|id| id.kind.class().unwrap_or(OperationClass::Other)));
    }
    let class = class_of_id.or((is_linked && has_phase).then_some(OperationClass::Failover))?;
    let index = outline.order.first().copied()?;
    Some(gather(outline, Top { index, class, kind: PartKind::Linked }, &[]))
}

/// Everything below the top but what belongs to another run of the same class.
fn gather(outline: &Outline<'_>, top: Top, tops: &[Top]) -> RunPart {
    let mut gatherer = Gatherer::new(outline, top);
    let other_tops: BTreeSet<usize> = tops
        .iter()
        .filter(|other| other.class == top.class && other.index != top.index)
        .map(|other| other.index)
        .collect();
    for &index in &outline.order {
        if index == top.index {
            gatherer.add_top();
        } else if top.kind == PartKind::Linked && outline.parent[index].is_none() {
            gatherer.add_below(index, 0, None);
        } else if let Some(place) = outline.parent[index].and_then(|parent| gatherer.place_of[parent])
            && !other_tops.contains(&index)
        {
            gatherer.add_below(index, place.depth.saturating_add(1), place.phase);
        }
    }
    gatherer.finish()
}

/// Where a node of the run stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    depth: u16,
    /// Its own phase, or that of the nearest above it that has one.
    phase: Option<Phase>,
}

struct Gatherer<'a> {
    outline: &'a Outline<'a>,
    top: Top,
    part: RunPart,
    /// `None` for nodes that are not of the run.
    place_of: Vec<Option<Place>>,
    figures: Figures,
    /// Whose attributes have been read.
    last_resource: Option<&'a Arc<Resource>>,
    links: BTreeSet<proto::TraceId>,
    steps: BTreeMap<&'a str, Step>,
    other: Vec<Interval>,
    waiting: Vec<Interval>,
    active: Vec<Interval>,
    /// Copies that no span below divides further, while it is not known whether one does.
    copies: BTreeMap<usize, i64>,
    ids: BTreeSet<RunId>,
    top_has_failed: bool,
    is_undone: bool,
}

impl<'a> Gatherer<'a> {
    fn new(outline: &'a Outline<'a>, top: Top) -> Self {
        let trace = outline.trace;
        Self {
            outline,
            top,
            part: empty_part(trace, top),
            place_of: vec![None; outline.known.len()],
            figures: Figures::default(),
            last_resource: None,
            links: BTreeSet::new(),
            steps: BTreeMap::new(),
            other: Vec::new(),
            waiting: Vec::new(),
            active: Vec::new(),
            copies: BTreeMap::new(),
            ids: BTreeSet::new(),
            top_has_failed: false,
            is_undone: false,
        }
    }

    fn add_top(&mut self) {
        let index = self.top.index;
        self.place_of[index] = Some(Place { depth: 0, phase: None });
        let Some(span) = self.outline.known[index].span else { return };
        self.part.service = read::service(span);
        self.part.operation = read::name(span);
        self.part.subject.controller_version = read::text(span, "service.version");
        self.part.outcome = read::outcome(span);
        self.part.start = span.start;
        if let Some(span) = self.outline.ended(index) {
            self.part.has_top = true;
            self.part.end = Some(self.outline.interval(index).end);
            self.part.error = read::error(span);
            self.top_has_failed = is_failed(span);
            // A step that is a trace of its own has its phase from its own name.
            if self.top.kind != PartKind::Operation {
                self.add_phase(index, span, 0, None);
            }
        }
        self.read(index, span, 0);
    }

    fn add_below(&mut self, index: usize, depth: u16, above: Option<Phase>) {
        self.place_of[index] = Some(Place { depth, phase: above });
        let Some(span) = self.outline.known[index].span else { return };
        if self.part.operation.is_empty() {
            self.name_after(span);
        }
        if let Some(ended) = self.outline.ended(index) {
            let phase = self.add_phase(index, ended, depth, above);
            self.add_times(index, ended, depth, phase);
        }
        self.read(index, span, depth);
    }

    /// The topmost span is still to come: what is known of the run is what is below it.
    fn name_after(&mut self, span: &Span) {
        self.part.service = read::service(span);
        self.part.operation = read::text(span, "dbaas.operation").unwrap_or_else(|| self.top.class.name().to_owned());
        self.part.subject.controller_version = read::text(span, "service.version");
    }

    /// Keeps the span if it has a phase; returns the phase that it counts to.
    fn add_phase(&mut self, index: usize, span: &Span, depth: u16, above: Option<Phase>) -> Option<Phase> {
        let own = self.outline.known[index].mapped.as_ref().and_then(|mapped| mapped.phase(self.top.class));
        if let Some(phase) = own {
            let Interval { start, end } = self.outline.interval(index);
            let is_failed = is_failed(span);
            self.part.spans.push(PhaseSpan { start, end, span_id: span.span_id, phase, depth, is_failed });
        }
        let phase = own.or(above);
        if let Some(place) = &mut self.place_of[index] {
            place.phase = phase;
        }
        phase
    }

    fn add_times(&mut self, index: usize, span: &'a Span, depth: u16, phase: Option<Phase>) {
        let interval = self.outline.interval(index);
        let kind = self.step_kind(index);
        self.active.push(interval);
        if kind == StepKind::Wait {
            self.waiting.push(interval);
        }
        // An operation around the operation, and its attempts, are not something that is done within it.
        let mapped = self.outline.known[index].mapped.as_ref();
        let is_operation = mapped.and_then(|mapped| mapped.class()) == Some(self.top.class)
            || span.attributes.iter().any(|attribute| attribute.key.ends_with(".attempt"));
        if phase.is_none() && !is_operation {
            self.other.push(interval);
        }
        if matches!(phase, Some(Phase::Copy | Phase::Download)) {
            if let Some(parent) = self.outline.parent[index] {
                self.copies.remove(&parent);
            }
            self.copies.insert(index, span.duration_nanos());
        }
        let is_direct = self.outline.parent[index] == Some(self.top.index) || depth == 0;
        if is_direct {
            self.add_step(span, interval, kind);
        }
    }

    fn step_kind(&self, index: usize) -> StepKind {
        self.outline.known[index].mapped.as_ref().map_or(StepKind::Work, |mapped| mapped.step())
    }

    fn add_step(&mut self, span: &'a Span, interval: Interval, kind: StepKind) {
        // The outline goes by start among siblings, so the first ones are kept.
        if self.steps.len() == STEPS_MAX && !self.steps.contains_key(span.name.as_str()) {
            self.part.is_cut = true;
            return;
        }
        let step = self.steps.entry(span.name.as_str()).or_insert_with(|| Step {
            start: interval.start,
            name: read::name(span),
            end: interval.end,
            total_nanos: 0,
            count: 0,
            failed_count: 0,
            kind,
        });
        step.start = step.start.min(interval.start);
        step.end = step.end.max(interval.end);
        step.total_nanos = step.total_nanos.saturating_add(span.duration_nanos());
        step.count += 1;
        step.failed_count += u32::from(is_failed(span));
    }

    /// What any span of the run may tell, whether it has ended or not.
    fn read(&mut self, index: usize, span: &'a Span, depth: u16) {
        let known = &self.outline.known[index];
        self.part.last_activity = self.part.last_activity.max(span.start);
        if known.is_pending {
            let phase = known.mapped.as_ref().and_then(|mapped| mapped.phase(self.top.class));
            let span_id = self.outline.trace.nodes[index].span_id;
            let pending =
                Pending { start: span.start, span_id, name: read::name(span), phase, depth, kind: StepKind::Work };
            self.part.pending.push(Pending { kind: self.step_kind(index), ..pending });
        } else {
            self.part.last_activity = self.part.last_activity.max(span.end);
            self.part.span_count += 1;
            self.part.error_count += u64::from(is_failed(span));
            if self.part.error.is_none() && is_failed(span) {
                self.part.error = read::error(span);
            }
        }
        self.is_undone |= is_undo(&span.name) && !is_failed(span);
        if self.part.trigger == Trigger::Unknown {
            self.part.trigger = read::told_trigger(span);
        }
        for id in read::ids(span) {
            if self.ids.len() < IDS_MAX {
                self.ids.insert(id);
            }
        }
        self.links.extend(read::linked_traces(span));
        self.figures.read_attributes(&span.attributes, &mut self.part);
        self.figures.read_events(&span.events, &mut self.part);
        if self.last_resource.is_none_or(|last| !Arc::ptr_eq(last, &span.resource)) {
            self.figures.read_resource(&span.resource, &mut self.part);
            self.last_resource = Some(&span.resource);
        }
    }

    fn finish(mut self) -> RunPart {
        let waiting = union(self.waiting);
        let active = covered_nanos(&union([self.active, waiting.clone()].concat()));
        self.part.wait_nanos = covered_nanos(&waiting);
        self.part.work_nanos = active - self.part.wait_nanos;
        self.part.other = union(self.other);
        self.part.steps = self.steps.into_values().collect();
        self.part.steps.sort_unstable();
        self.part.links = self.links.into_iter().take(LINKS_MAX).collect();
        let copies = self.copies.values().fold(0, |sum: i64, nanos| sum.saturating_add(*nanos));
        self.part.backup = self.figures.backup(self.top.class, copies);
        let part = &mut self.part;
        part.ids = self.ids.into_iter().collect();
        part.last_activity = part.last_activity.max(part.start);
        if self.top.class == OperationClass::Failover && part.trigger == Trigger::Unknown {
            part.trigger = read::named_trigger(&part.operation);
        }
        settle_outcome(part, self.is_undone, self.top_has_failed);
        cut(part);
        self.part
    }
}

/// A name that says that a change is taken back: `TabletManagerClient.UndoDemotePrimary`, `failover/rollback`. A transaction
/// that is rolled back is none.
fn is_undo(name: &str) -> bool {
    let last_part = name.rsplit(['.', '/', ':']).next().unwrap_or(name);
    let words = Words::of(last_part);
    let is_named = words.get(0).is_some_and(|word| matches!(word, "undo" | "rollback" | "revert"));
    (is_named || words.text().starts_with("roll back ")) && !is_statement(name)
}

fn settle_outcome(part: &mut RunPart, is_undone: bool, top_has_failed: bool) {
    if part.outcome != Outcome::Unknown {
        return;
    }
    part.outcome = match (is_undone, part.has_top) {
        (true, _) => Outcome::RolledBack,
        (false, true) if top_has_failed => Outcome::Failed,
        (false, true) => Outcome::Success,
        (false, false) => Outcome::Unknown,
    };
}

/// Holds the lists to their limits.
fn cut(part: &mut RunPart) {
    if part.spans.len() > PHASE_SPANS_MAX {
        // The outermost spans cover most time.
        part.spans.sort_unstable_by_key(|span| (span.depth, *span));
        part.spans.truncate(PHASE_SPANS_MAX);
        part.is_cut = true;
    }
    part.spans.sort_unstable();
    if part.other.len() > OTHER_MAX {
        part.other.truncate(OTHER_MAX);
        part.is_cut = true;
    }
    part.pending.sort_unstable();
    if part.pending.len() > PENDING_MAX {
        part.pending.drain(..part.pending.len() - PENDING_MAX);
        part.is_cut = true;
    }
}

fn empty_part(trace: &Trace, top: Top) -> RunPart {
    let node = &trace.nodes[top.index];
    RunPart {
        trace_id: trace.trace_id,
        top: SpanId::clone(&node.span_id),
        kind: top.kind,
        class: top.class,
        service: String::new(),
        operation: String::new(),
        ids: Vec::new(),
        links: Vec::new(),
        subject: super::part::Subject::default(),
        trigger: Trigger::Unknown,
        cause: None,
        outcome: Outcome::Unknown,
        attempt: None,
        error: None,
        start: node.start,
        end: None,
        last_activity: UnixNanos::ZERO,
        has_top: false,
        points: TimePoints::default(),
        spans: Vec::new(),
        other: Vec::new(),
        steps: Vec::new(),
        pending: Vec::new(),
        wait_nanos: 0,
        work_nanos: 0,
        backup: None,
        data_loss_bytes: None,
        slo_nanos: None,
        span_count: 0,
        error_count: 0,
        is_cut: false,
    }
}
