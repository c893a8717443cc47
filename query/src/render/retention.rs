//! The retention rules in JSON.

use serde::Serialize;
use store::{Fates, RetentionReport, RuleFates};

/// The rules in force.
#[derive(Serialize)]
pub(crate) struct Rules<'a> {
    hold_nano: super::json::Text64,
    rules: Vec<Rule<'a>>,
}

#[derive(Serialize)]
struct Rule<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<&'a str>,
    kept_spans: u64,
    dropped_spans: u64,
    held_spans: u64,
    kept_bytes: u64,
    dropped_bytes: u64,
    held_bytes: u64,
}

impl<'a> Rule<'a> {
    fn of(rule: &'a RuleFates, explanation: Option<&'a str>) -> Self {
        let Fates { kept_spans, dropped_spans, held_spans, kept_bytes, dropped_bytes, held_bytes } = rule.fates;
        let name = &rule.rule;
        Self { name, explanation, kept_spans, dropped_spans, held_spans, kept_bytes, dropped_bytes, held_bytes }
    }
}

impl<'a> Rules<'a> {
    pub(crate) fn of(report: &'a RetentionReport) -> Self {
        let rules = report.rules.iter().map(|(explained, rule)| Rule::of(rule, Some(explained)));
        Self { hold_nano: super::json::Text64(report.hold_nanos), rules: rules.collect() }
    }
}

/// What the rules would do.
#[derive(Serialize)]
pub(crate) struct DryRun<'a> {
    hours: usize,
    blocks: usize,
    blocks_left_out: usize,
    rules: Vec<Rule<'a>>,
}

impl<'a> DryRun<'a> {
    pub(crate) fn of(run: &'a store::DryRun, hours: usize) -> Self {
        let rules = run.rules.iter().map(|rule| Rule::of(rule, None)).collect();
        Self { hours, blocks: run.blocks, blocks_left_out: run.blocks_left_out, rules }
    }
}
