//! What can be wrong with the rules as written.

use crate::class::ClassError;
use crate::duration::DurationError;

/// The retention rules cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PolicyError {
    /// More rules than a trace should be held against.
    #[error("retention has {count} rules: at most {most} are allowed, merge some of them")]
    TooManyRules {
        /// How many were given.
        count: usize,
        /// The limit.
        most: usize,
    },
    /// More attribute keys than should be collected for every trace.
    #[error("retention rules look at {count} attribute keys: at most {most} are allowed")]
    TooManyKeys {
        /// How many were given.
        count: usize,
        /// The limit.
        most: usize,
    },
    /// The name is empty.
    #[error("retention rule {position} has an empty name: metrics and reports need one")]
    Unnamed {
        /// Counted from 1.
        position: usize,
    },
    /// Two rules have one name.
    #[error("two retention rules are called `{rule}`: give each a name of its own")]
    Duplicate {
        /// The name.
        rule: String,
    },
    /// An earlier rule matches everything.
    #[error(
        "retention rule `{rule}` is never reached, as `{earlier}` before it matches everything: move `{earlier}` to the end"
    )]
    Unreachable {
        /// The rule.
        rule: String,
        /// The one that matches everything.
        earlier: String,
    },
    /// The hold is no duration.
    #[error("retention hold: {0}")]
    Hold(RuleProblem),
    /// One rule is wrong.
    #[error("retention rule `{rule}`: {problem}")]
    Rule {
        /// Its name.
        rule: String,
        /// What is wrong.
        problem: RuleProblem,
    },
}

/// What is wrong with one rule.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RuleProblem {
    /// An unknown operation class.
    #[error(transparent)]
    Class(#[from] ClassError),
    /// Neither `keep` nor `keep_if`.
    #[error("says not what to keep: write keep = \"all\", keep = \"none\" or keep_if = [...]")]
    NoKeep,
    /// Both `keep` and `keep_if`.
    #[error("has keep and keep_if: write only one of them")]
    KeepTwice,
    /// A list of conditions with nothing in it.
    #[error("{field} is empty: write at least one condition")]
    NoCondition {
        /// `keep_if` or `and`.
        field: &'static str,
    },
    /// Too many conditions, nested ones counted.
    #[error("has more than {most} conditions: split it into several rules")]
    TooManyConditions {
        /// The limit.
        most: usize,
    },
    /// `else` where nothing is left for it.
    #[error("has else without keep_if: else is for traces that meet none of the conditions")]
    ElseWithoutKeepIf,
    /// `retain` where nothing is kept.
    #[error("keeps nothing, so retain says nothing: leave it out")]
    RetainOfNothing,
    /// A share outside of 0 to 100.
    #[error("sampling_percentage = {value}: write a number from 0 to 100")]
    Percentage {
        /// What was given.
        value: f64,
    },
    /// A text that is no duration.
    #[error("{field}: {source}")]
    Duration {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        source: DurationError,
    },
    /// A duration that makes no sense.
    #[error("{field} = \"{value}\": must be {least} to {most}")]
    DurationRange {
        /// Which field.
        field: &'static str,
        /// What was given.
        value: String,
        /// The shortest allowed.
        least: String,
        /// The longest allowed.
        most: String,
    },
    /// Neighbours would be dropped before the operation that they are neighbours of is known.
    #[error("the window of neighbour, {window}, is longer than the hold of {hold}: raise hold to at least {window}")]
    WindowBeyondHold {
        /// The window.
        window: String,
        /// The policy's hold.
        hold: String,
    },
    /// Neighbours of nothing.
    #[error("neighbour has an empty `of`: name the operation classes, such as of = [\"failover\"]")]
    NeighbourOfNothing,
    /// Neighbours by an attribute that is not known of other operations.
    #[error("neighbour has same = \"{0}\": only \"dbaas.instance.id\" is supported")]
    Same(String),
    /// `state_change = false` and the like.
    #[error("{condition} = false asks for nothing: leave it out, or write not = {{ {condition} = true }}")]
    AskedForNothing {
        /// Which condition.
        condition: &'static str,
    },
    /// No OTLP status.
    #[error("status_code `{0}`: write ERROR, OK or UNSET")]
    Status(String),
    /// Neither or both of the two ways to say how slow.
    #[error("latency needs threshold_ms or percentile, and only one of them")]
    Latency,
    /// A percentile outside of what can be told.
    #[error("percentile = {value}: write a number above 0 and below 100")]
    Percentile {
        /// What was given.
        value: f64,
    },
    /// An attribute without a name.
    #[error("an attribute has an empty key")]
    EmptyKey,
    /// An attribute about which nothing, or several things, are said.
    #[error("attribute `{key}` needs one of: values, exists, or min_value and max_value (or one of these two)")]
    AttributeTest {
        /// Which one.
        key: String,
    },
    /// A range with nothing in it.
    #[error("{what}: the least, {least}, is above the most, {most}")]
    EmptyRange {
        /// What is to be in the range.
        what: String,
        /// Its lower end.
        least: f64,
        /// Its upper end.
        most: f64,
    },
    /// A range without an end.
    #[error("span_count needs min_spans, max_spans or both")]
    SpanCount,
    /// Chance cannot be turned around without confusing the weights.
    #[error("probabilistic cannot stand in not: write the percentage that is to be kept")]
    ProbabilisticInNot,
}
