//! One rule, checked and compiled.

use regex::Regex;

use super::Phase;
use crate::run::StepKind;
use crate::wildcard::Wildcard;
use crate::{KeyValue, OperationClass, Value, semconv};

/// What a rule is for and what it says. Of several that match, the first that says something about a question answers it.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) is_shipped: bool,
    /// Whole names, `*` for anything; empty for any name, unless there is a regular expression.
    pub(super) spans: Vec<Wildcard>,
    /// On the name as lower-case words.
    pub(super) span_regex: Option<Regex>,
    /// Empty for any service.
    pub(super) services: Vec<Wildcard>,
    /// Empty for any scope.
    pub(super) scopes: Vec<Wildcard>,
    /// All must apply.
    pub(super) attributes: Vec<AttributeTest>,
    pub(super) says: Says,
}

/// What a rule says of a span that it matches.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Says {
    pub(super) class: Option<OperationClass>,
    pub(super) phase: Option<Phase>,
    pub(super) step: Option<StepKind>,
    pub(super) is_noise: Option<bool>,
    pub(super) has_run: Option<bool>,
}

/// How a rule matches a name: exact ones go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Precision {
    Exact,
    Pattern,
}

#[derive(Debug, Clone)]
pub(super) struct AttributeTest {
    /// The newest name of the key.
    pub(super) key: String,
    pub(super) test: ValueTest,
}

#[derive(Debug, Clone)]
pub(super) enum ValueTest {
    OneOf(Vec<Wildcard>),
    Exists(bool),
}

impl Rule {
    /// Whether service, scope and name are meant; `words` is the name as lower-case words.
    pub(super) fn matches_name(&self, service: &str, scope: &str, name: &str, words: &str) -> Option<Precision> {
        let any =
            |texts: &[Wildcard], text: &str| texts.is_empty() || texts.iter().any(|wildcard| wildcard.matches(text));
        if !any(&self.services, service) || !any(&self.scopes, scope) {
            return None;
        }
        if self.spans.iter().any(|wildcard| wildcard.as_str() == name) {
            return Some(Precision::Exact);
        }
        let by_pattern = self.spans.iter().any(|wildcard| wildcard.matches(name))
            || self.span_regex.as_ref().is_some_and(|regex| regex.is_match(words));
        let asks_for_name = !self.spans.is_empty() || self.span_regex.is_some();
        (by_pattern || !asks_for_name).then_some(Precision::Pattern)
    }

    /// Whether the span's attributes are as the rule wants them.
    pub(super) fn matches_attributes(&self, attributes: &[KeyValue], resource: &[KeyValue]) -> bool {
        self.attributes.iter().all(|test| {
            let value = semconv::lookup(attributes, &test.key).or_else(|| semconv::lookup(resource, &test.key));
            test.test.holds(value)
        })
    }
}

impl ValueTest {
    fn holds(&self, value: Option<&Value>) -> bool {
        match self {
            Self::Exists(wanted) => value.is_some() == *wanted,
            Self::OneOf(wanted) => {
                value.and_then(semconv::text).is_some_and(|text| wanted.iter().any(|wildcard| wildcard.matches(&text)))
            }
        }
    }
}
