//! What one trace contributes to the steps of its operation.

use std::borrow::Cow;
use std::collections::HashMap;

use proto::{TraceId, UnixNanos};

use crate::class::is_statement;
use crate::critical_path::critical_nanos;
use crate::failover::is_failed;
use crate::{Span, Trace, semconv};

/// Names of a path. What is deeper counts to the step at this depth.
pub const PATH_DEPTH_MAX: usize = 16;

/// Distinct steps of one trace. What comes after them counts to the step above it.
pub const STEPS_MAX: usize = 1_024;

/// A trace folded into steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceBreakdown {
    /// Which trace.
    pub trace_id: TraceId,
    /// Service of the root.
    pub service: String,
    /// Name of the root: the operation.
    pub operation: String,
    /// Start of the root.
    pub start: UnixNanos,
    /// Of the root, nanoseconds.
    pub duration_nanos: i64,
    /// Whether the root failed.
    pub is_failed: bool,
    /// The root first, then every step after the one above it.
    pub steps: Vec<StepShare>,
}

/// What one trace spent in one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepShare {
    /// Names from the root on, the root's included.
    pub path: Vec<String>,
    /// Spans of the step: more than 1 where it repeats.
    pub count: u64,
    /// Of these, failed ones.
    pub error_count: u64,
    /// The sum of their durations, nanoseconds.
    pub total_nanos: i64,
    /// The longest of them.
    pub max_nanos: i64,
    /// The sum of their self times.
    pub self_nanos: i64,
    /// How long the end of the trace waited for them. Over all steps of a root this adds up to its duration.
    pub critical_nanos: i64,
}

/// Folds what is below each root that has been received, earliest first. What hangs below no such root is left out, as nobody
/// can say which operation it is a part of.
#[must_use]
pub fn break_down(trace: &Trace) -> Vec<TraceBreakdown> {
    let critical = critical_nanos(trace);
    let mut breakdowns: Vec<TraceBreakdown> = Vec::new();
    // Of each node, the place of its step in the last breakdown; `None` outside of a root.
    let mut step_of: Vec<Option<usize>> = vec![None; trace.nodes.len()];
    let mut known: HashMap<(usize, String), usize> = HashMap::new();
    for (index, node) in trace.nodes.iter().enumerate() {
        if node.is_root
            && let Some(span) = &node.span
        {
            known.clear();
            breakdowns.push(TraceBreakdown::of_root(trace.trace_id, span));
            step_of[index] = Some(0);
        }
        let above = node.parent.and_then(|parent| step_of[parent]);
        let Some(breakdown) = breakdowns.last_mut().filter(|_| node.is_root || above.is_some()) else { continue };
        let step = match (above, &node.span) {
            (None, _) => 0,
            (Some(above), Some(span)) => breakdown.step_below(above, step_name(span), &mut known),
            (Some(above), None) => above,
        };
        step_of[index] = Some(step);
        if let Some(span) = &node.span {
            breakdown.steps[step].add(span, node.self_time_nanos, critical[index]);
        }
    }
    breakdowns
}

impl TraceBreakdown {
    fn of_root(trace_id: TraceId, span: &Span) -> Self {
        let operation = step_name(span).into_owned();
        Self {
            trace_id,
            service: span.service().to_owned(),
            steps: vec![StepShare::new(vec![operation.clone()])],
            operation,
            start: span.start,
            duration_nanos: span.duration_nanos(),
            is_failed: is_failed(span),
        }
    }

    fn step_below(&mut self, above: usize, name: Cow<'_, str>, known: &mut HashMap<(usize, String), usize>) -> usize {
        if self.steps[above].path.len() >= PATH_DEPTH_MAX {
            return above;
        }
        let key = (above, name.into_owned());
        if let Some(step) = known.get(&key) {
            return *step;
        }
        if self.steps.len() >= STEPS_MAX {
            return above;
        }
        let mut path = self.steps[above].path.clone();
        path.push(key.1.clone());
        self.steps.push(StepShare::new(path));
        known.insert(key, self.steps.len() - 1);
        self.steps.len() - 1
    }
}

impl StepShare {
    fn new(path: Vec<String>) -> Self {
        Self { path, count: 0, error_count: 0, total_nanos: 0, max_nanos: 0, self_nanos: 0, critical_nanos: 0 }
    }

    fn add(&mut self, span: &Span, self_nanos: i64, critical_nanos: i64) {
        let duration = span.duration_nanos();
        self.count += 1;
        self.error_count += u64::from(is_failed(span));
        self.total_nanos = self.total_nanos.saturating_add(duration);
        self.max_nanos = self.max_nanos.max(duration);
        self.self_nanos = self.self_nanos.saturating_add(self_nanos);
        self.critical_nanos = self.critical_nanos.saturating_add(critical_nanos);
    }
}

/// The name that a span has as a step. A statement is named by its summary or its verb, and a node of a plan by its kind, which
/// pg_tracing sends as the scope: their names are as many as there are texts and tables.
#[must_use]
pub fn step_name(span: &Span) -> Cow<'_, str> {
    let is_of_plan = span.attribute("plan.cost.total").is_some() || span.attribute("query.query_id").is_some();
    if is_of_plan && !span.scope.name.is_empty() {
        return Cow::Borrowed(&span.scope.name);
    }
    if !is_statement(&span.name) {
        return Cow::Borrowed(&span.name);
    }
    if let Some(summary) = semconv::lookup(&span.attributes, "db.query.summary").and_then(semconv::text) {
        return summary;
    }
    // A summary sent as the name is short: `SELECT users`. Longer ones are statements.
    if span.name.split_whitespace().count() <= 2 {
        return Cow::Borrowed(&span.name);
    }
    let start = span.name.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(0);
    let verb = span.name[start..].split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    Cow::Owned(verb.to_ascii_uppercase())
}
