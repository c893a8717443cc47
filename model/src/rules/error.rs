//! What can be wrong with the rules as written.

use super::PhaseError;
use crate::class::ClassError;
use crate::duration::DurationError;

/// The rules under `[operations]` cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RulesError {
    /// More rules than a name should be held against.
    #[error("operations has {count} rules: at most {most} are allowed, merge some of them")]
    TooMany {
        /// How many were given.
        count: usize,
        /// The limit.
        most: usize,
    },
    /// The name is empty.
    #[error("operations rule {position} has an empty name: explanations need one")]
    Unnamed {
        /// Counted from 1.
        position: usize,
    },
    /// Two rules have one name.
    #[error("two operations rules are called `{rule}`: give each a name of its own")]
    Duplicate {
        /// The name.
        rule: String,
    },
    /// A class in `runs` that is none.
    #[error("operations runs: {0}")]
    Runs(ClassError),
    /// A duration that is none.
    #[error("operations {field}: {source}")]
    Duration {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        source: DurationError,
    },
    /// A duration that makes no sense.
    #[error("operations {field} = \"{value}\": must be {least} to {most}")]
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
    /// One rule is wrong.
    #[error("operations rule `{rule}`: {problem}")]
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
    /// It would match every span.
    #[error("matches every span: write match = {{ span = [...] }}, span_regex, service, scope or attribute")]
    MatchesEverything,
    /// It says nothing about what it matches.
    #[error("says nothing about what it matches: write class, phase, step, noise or run")]
    SaysNothing,
    /// An unknown operation class.
    #[error(transparent)]
    Class(#[from] ClassError),
    /// An unknown phase.
    #[error(transparent)]
    Phase(#[from] PhaseError),
    /// A step that is neither waiting nor working.
    #[error("step = \"{0}\": write \"work\" or \"wait\"")]
    Step(String),
    /// A regular expression that is none, or too large.
    #[error("span_regex: {0}")]
    Regex(String),
    /// An attribute without a name.
    #[error("an attribute has an empty key")]
    EmptyKey,
    /// An attribute about which nothing, or two things, are said.
    #[error("attribute `{key}` needs values or exists, and only one of them")]
    AttributeTest {
        /// Which one.
        key: String,
    },
}
