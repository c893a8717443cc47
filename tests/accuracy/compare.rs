//! Compares what the server reports with what the generator did.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use serde_json::Value;

use crate::harness::nanos;

/// Classes whose executions are runs.
const RUN_CLASSES: [&str; 4] = ["failover", "provisioning", "backup", "restore"];

/// How right the reports are.
#[derive(Debug, Default)]
pub(crate) struct Accuracy {
    pub(crate) runs: usize,
    pub(crate) classes: Scores,
    pub(crate) failovers: usize,
    /// Trace ids of failovers that were reported and did not happen.
    pub(crate) false_failovers: Vec<String>,
    /// Run ids of failovers that happened and were not reported.
    pub(crate) missed_failovers: Vec<String>,
    /// Run ids of failovers of which evidence of T0 was sent, and not found.
    pub(crate) unexplained_unknown_t0: Vec<String>,
    /// Per failover, the seconds that are in the wrong phase over the seconds of the outage.
    pub(crate) phase_errors: Vec<(f64, String)>,
    /// Operations whose counts are not exact.
    pub(crate) wrong_counts: Vec<String>,
    pub(crate) operations: usize,
    /// The largest relative error of any percentile.
    pub(crate) percentile_error: f64,
}

/// Found and not found.
#[derive(Debug, Default)]
pub(crate) struct Scores {
    pub(crate) right: usize,
    pub(crate) wrong: usize,
    pub(crate) missed: usize,
}

impl Scores {
    /// Harmonic mean of precision and recall.
    pub(crate) fn f1(&self) -> f64 {
        2.0 * self.right as f64 / (2 * self.right + self.wrong + self.missed).max(1) as f64
    }
}

impl Accuracy {
    /// The error that 95 % of failovers do not exceed.
    pub(crate) fn phase_error_p95(&self) -> f64 {
        let mut errors: Vec<f64> = self.phase_errors.iter().map(|(error, _)| *error).collect();
        errors.sort_by(f64::total_cmp);
        errors.get((errors.len() * 95).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default()
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn trace_ids(run: &Value) -> Vec<&str> {
    run["trace_ids"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Compares runs by their traces.
pub(crate) fn runs(truths: &[&Value], found: &[Value], accuracy: &mut Accuracy) {
    let mut by_trace: HashMap<&str, BTreeSet<&str>> = HashMap::new();
    for run in found {
        for trace in trace_ids(run) {
            by_trace.entry(trace).or_default().insert(text(run, "class"));
        }
    }
    let mut known = BTreeSet::new();
    accuracy.runs = truths.len();
    for truth in truths {
        let class = text(truth, "class");
        known.extend(trace_ids(truth));
        let classes: BTreeSet<&str> =
            trace_ids(truth).into_iter().filter_map(|trace| by_trace.get(trace)).flatten().copied().collect();
        match (classes.contains(class), classes.is_empty()) {
            (true, _) => accuracy.classes.right += 1,
            (false, true) => accuracy.classes.missed += 1,
            (false, false) => {
                accuracy.classes.wrong += 1;
                accuracy.classes.missed += 1;
            }
        }
    }
    let invented = |run: &&Value| {
        RUN_CLASSES.contains(&text(run, "class")) && trace_ids(run).iter().all(|trace| !known.contains(trace))
    };
    accuracy.classes.wrong += found.iter().filter(invented).count();
}

/// Compares failovers one by one.
pub(crate) fn failovers(truths: &[&Value], found: &[Value], accuracy: &mut Accuracy) {
    let mut left: Vec<&Value> = found.iter().collect();
    accuracy.failovers = truths.len();
    for truth in truths {
        let traces = trace_ids(truth);
        let began = truth["t_unix_nano"][2].as_i64().or(truth["start_unix_nano"].as_i64()).expect("a start");
        let distance = |failover: &Value| (nanos(&failover["start_unix_nano"]) - began).abs();
        let best = (0..left.len())
            .filter(|at| traces.contains(&text(left[*at], "trace_id")))
            .min_by_key(|at| distance(left[*at]));
        let id = format!("{} {} {}", text(truth, "run_id"), text(truth, "dialect"), traces.join(","));
        let Some(at) = best else {
            accuracy.missed_failovers.push(id);
            continue;
        };
        let failover = left.swap_remove(at);
        let is_known = failover["t0_source"] != "unknown";
        if !is_known && text(truth, "evidence") != "none" && text(truth, "trigger") == "unplanned" {
            accuracy.unexplained_unknown_t0.push(id.clone());
        }
        if truth["outcome"] == "success" {
            let (error, phases) = phase_error(truth, failover, is_known);
            accuracy.phase_errors.push((error, format!("{id} {phases}")));
        }
    }
    accuracy.false_failovers.extend(left.iter().map(|failover| failover.to_string()));
}

/// Without T0 the report can only be about what came after the decision.
fn phase_error(truth: &Value, failover: &Value, is_t0_known: bool) -> (f64, String) {
    let field = if is_t0_known { "phase_seconds" } else { "execution_phase_seconds" };
    let expected: BTreeMap<&str, f64> = truth[field]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(phase, seconds)| (phase.as_str(), seconds.as_f64().expect("seconds")))
        .collect();
    let total: f64 = expected.values().sum();
    let got: BTreeMap<&str, f64> = failover["phases"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(phase, time)| (phase.trim_end_matches("_nano"), nanos(time) as f64 / 1e9))
        .collect();
    let phases: BTreeSet<&str> = expected.keys().chain(got.keys()).copied().filter(|phase| *phase != "other").collect();
    let of = |times: &BTreeMap<&str, f64>, phase: &str| times.get(phase).copied().unwrap_or_default();
    // The truth knows no spans that are named and not mapped: they are time that no phase has.
    let got_of = |phase: &str| of(&got, phase) + if phase == "unattributed" { of(&got, "other") } else { 0.0 };
    let wrong: f64 = phases.iter().map(|phase| (got_of(phase) - of(&expected, phase)).abs()).sum();
    (wrong / total.max(1e-9), format!("{got:?}, not {expected:?}"))
}

/// Compares counts and percentiles of all root operations.
pub(crate) fn operations(truths: &[&Value], found: &[Value], accuracy: &mut Accuracy) {
    let key = |value: &Value| (text(value, "service").to_owned(), text(value, "name").to_owned());
    let found: HashMap<_, &Value> = found.iter().map(|operation| (key(operation), operation)).collect();
    accuracy.operations = truths.len();
    for truth in truths {
        let Some(operation) = found.get(&key(truth)) else {
            accuracy.wrong_counts.push(format!("{:?} is not reported", key(truth)));
            continue;
        };
        if operation["span_count"] != truth["count"] || operation["error_count"] != truth["errors"] {
            accuracy.wrong_counts.push(format!(
                "{:?}: {} and {} errors, not {} and {}",
                key(truth),
                operation["span_count"],
                operation["error_count"],
                truth["count"],
                truth["errors"]
            ));
        }
        for (field, exact) in [("p50_nano", "p50_nanos"), ("p95_nano", "p95_nanos"), ("p99_nano", "p99_nanos")] {
            let exact = truth[exact].as_i64().expect("a duration");
            let error = (nanos(&operation[field]) - exact).abs() as f64 - 0.5;
            accuracy.percentile_error = accuracy.percentile_error.max(error / exact.max(1) as f64);
        }
    }
}

impl fmt::Display for Accuracy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, value: String| writeln!(f, "{name:<52}{value:>20}");
        row("runs: class F1", format!("{}: {:.4}", self.runs, self.classes.f1()))?;
        row("failovers: false, missed", {
            format!("{}: {}, {}", self.failovers, self.false_failovers.len(), self.missed_failovers.len())
        })?;
        row("T0 unknown although evidence was sent", self.unexplained_unknown_t0.len().to_string())?;
        row("seconds in the wrong phase, p95 of failovers", format!("{:.2} %", self.phase_error_p95() * 100.0))?;
        row("operations: counts that are not exact", format!("{}: {}", self.operations, self.wrong_counts.len()))?;
        row("largest error of a percentile", format!("{:.2} %", self.percentile_error * 100.0))
    }
}
