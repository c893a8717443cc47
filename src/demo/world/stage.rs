//! What an operation of the world is made from, and what comes of it.
//!
//! Owns the way from draws to spans and truth of one operation. Knows neither other operations nor delivery.

use std::time::Duration;

use proto::{TraceId, UnixNanos};

use super::pathology::{Pathologies, Pathology};
use super::sweep::Mark;
use super::truth::{RunTruth, distinct_ids};
use crate::demo::dice::Dice;
use crate::demo::fleet::{Fleet, Instance};
use crate::demo::span::{Draft, EmittedSpan, Handle, LinkTarget, TraceBuilder};

/// Errors are so many times as frequent in a region that has lost a zone.
const STORM_ERROR_FACTOR: f64 = 40.0;

/// A region in trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Storm {
    pub(super) region: usize,
    pub(super) zone: &'static str,
    pub(super) from: UnixNanos,
    pub(super) to: UnixNanos,
}

/// What is the same for all operations of a world.
#[derive(Debug, Clone, Copy)]
pub(super) struct Habits {
    pub(super) pathologies: Pathologies,
    /// From when pods get ready more slowly in the canary region.
    pub(super) regression_since: UnixNanos,
    pub(super) storm: Option<Storm>,
}

/// An operation that is about to happen.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    pub(super) fleet: &'a Fleet,
    pub(super) dice: &'a mut Dice,
    pub(super) habits: &'a Habits,
    pub(super) start: UnixNanos,
    /// Position of the instance it is about.
    pub(super) position: usize,
}

impl<'a> Stage<'a> {
    /// The instance it is about.
    pub(super) fn instance(&self) -> &'a Instance {
        &self.fleet.instances[self.position]
    }

    /// A trace about the instance that starts `offset` after the operation.
    pub(super) fn script(&mut self, offset: Duration) -> Script {
        let start = after(self.start, offset);
        Script { trace: TraceBuilder::new(self.dice, start).about(&self.instance().id), marks: Vec::new() }
    }

    /// The truth of an operation that starts with it.
    pub(super) fn run(&self, class: &'static str, operation: &str) -> RunTruth {
        RunTruth::new(class, operation, self.start, self.fleet, self.instance())
    }

    /// A lognormal time, its median in seconds.
    pub(super) fn secs(&mut self, median_secs: f64, sigma: f64) -> Duration {
        self.dice.lognormal(Duration::from_secs_f64(median_secs), sigma)
    }

    /// A lognormal time, its median in milliseconds.
    pub(super) fn millis(&mut self, median_ms: f64, sigma: f64) -> Duration {
        self.secs(median_ms / 1e3, sigma)
    }

    /// The pause between two steps: scheduling, queues, a round trip.
    pub(super) fn gap(&mut self) -> Duration {
        self.millis(15.0, 0.6)
    }

    /// Whether a pathology is on.
    pub(super) fn has(&self, pathology: Pathology) -> bool {
        self.habits.pathologies.has(pathology)
    }

    /// How often something fails here and now that usually fails with this probability.
    pub(super) fn error_share(&self, usual: f64) -> f64 {
        let region = self.instance().region;
        let is_stormy =
            self.habits.storm.is_some_and(|s| s.region == region && s.from <= self.start && self.start < s.to);
        if is_stormy { (usual * STORM_ERROR_FACTOR).min(0.9) } else { usual }
    }
}

/// A trace that is being made, with the spans that are phases.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) trace: TraceBuilder,
    marks: Vec<(Handle, &'static str)>,
}

impl Script {
    /// Says that a span is the work of a phase.
    pub(super) fn mark(&mut self, span: Handle, phase: &'static str) {
        self.marks.push((span, phase));
    }

    /// Adds a span at `*at` that is a phase, and moves `*at` to its end.
    pub(super) fn phase(&mut self, at: &mut Duration, phase: &'static str, draft: Draft) -> Handle {
        let span = self.trace.then(at, draft);
        self.mark(span, phase);
        span
    }

    /// The times of all phases so far.
    pub(super) fn marks(&self) -> Vec<Mark> {
        let marks = self.marks.iter().map(|(span, phase)| {
            let (start, end) = self.trace.interval(*span);
            Mark { phase, start, end, depth: self.trace.depth(*span) }
        });
        marks.collect()
    }

    /// The time at an offset from the start of the trace.
    pub(super) fn time(&self, offset: Duration) -> UnixNanos {
        after(self.trace.start(), offset)
    }

    /// What a link to a span holds.
    pub(super) fn target(&self, span: Handle) -> LinkTarget {
        self.trace.target(span)
    }

    /// The finished spans.
    pub(super) fn finish(self) -> Vec<EmittedSpan> {
        self.trace.finish()
    }
}

/// A time in which an instance does not serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outage {
    pub(super) from: UnixNanos,
    pub(super) to: UnixNanos,
    /// Whether nobody looks: no health check shows it.
    pub(super) is_silent: bool,
}

/// An operation that was made.
#[derive(Debug, Default)]
pub(super) struct Made {
    pub(super) spans: Vec<EmittedSpan>,
    /// Spans that are about it and not of it, such as failing health checks.
    pub(super) beside: Vec<EmittedSpan>,
    /// What happened; none of a high-rate operation.
    pub(super) run: Option<RunTruth>,
    /// Class of its roots, where the root's name does not say otherwise.
    pub(super) class: &'static str,
    /// When the instance did not serve.
    pub(super) outage: Option<Outage>,
    /// Whether the standby is the primary from now on.
    pub(super) is_promoted: bool,
    /// Distinct pathologies that the operation itself had.
    pub(super) pathologies: Vec<Pathology>,
}

impl Made {
    /// Spans of a high-rate operation.
    pub(super) fn frequent(class: &'static str, spans: Vec<EmittedSpan>) -> Self {
        Self { spans, class, ..Self::default() }
    }

    /// An operation with its truth: completes what follows from the spans. `main` is the trace that comes first, if not that of the
    /// first span.
    pub(super) fn run(mut run: RunTruth, main: Option<TraceId>, spans: Vec<EmittedSpan>) -> Self {
        let others = spans.iter().filter_map(|emitted| TraceId::from_bytes(&emitted.span.trace_id).ok());
        run.trace_ids = distinct_ids(main.into_iter().chain(others));
        if run.run_id.is_empty() {
            run.run_id = run.trace_ids.first().cloned().unwrap_or_default();
        }
        Self { spans, class: run.class, run: Some(run), ..Self::default() }
    }
}

/// The time a while later.
pub(super) fn after(time: UnixNanos, duration: Duration) -> UnixNanos {
    time.saturating_add(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
}
