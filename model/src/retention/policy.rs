//! Rules, validated: what [`super::config`] makes of the configuration and [`super::decide`] goes by.

use serde::Deserialize;

use super::config::PolicyText;
use super::sampling::Percentage;
use super::{FactValue, StatusSet, TraceFacts};
use crate::wildcard::Wildcard;
use crate::{ClassSet, OperationClass, StatusCode};

/// Rules of a policy: each trace is held against them one by one.
pub const RULES_MAX: usize = 200;

/// Conditions of a rule, nested ones counted.
pub const CONDITIONS_MAX: usize = 100;

/// Attribute keys that all rules together look at: the store collects their values for every trace that it decides about.
pub const ATTRIBUTE_KEYS_MAX: usize = 64;

const SECOND_NANOS: i64 = 1_000_000_000;
const DAY_NANOS: i64 = 24 * 3_600 * SECOND_NANOS;

/// A longer hold would keep everything for months, which is what `keep = "all"` is for.
pub const HOLD_MAX_NANOS: i64 = 30 * DAY_NANOS;

/// Blocks are not rewritten often enough to keep a shorter promise.
pub const RETAIN_MIN_NANOS: i64 = 60 * SECOND_NANOS;

/// A century: what is to stay longer needs no `retain`.
pub const RETAIN_MAX_NANOS: i64 = 36_500 * DAY_NANOS;

const DEFAULT_HOLD_NANOS: i64 = 600 * SECOND_NANOS;
const DEFAULT_SLOW_NANOS: i64 = SECOND_NANOS / 2;
const DEFAULT_WINDOW_NANOS: i64 = 300 * SECOND_NANOS;

/// Name of the rule that is put behind the others when the last of them does not match everything.
pub(super) const LAST_RULE: &str = "everything-else";

/// Which traces are kept, and for how long.
///
/// The first rule that matches a trace decides. What no rule matches is kept without end.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "PolicyText")]
pub struct Policy {
    hold_nanos: i64,
    rules: Vec<Rule>,
    attribute_keys: Vec<String>,
}

/// One rule of a [`Policy`].
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    pub(super) name: String,
    pub(super) selector: Selector,
    pub(super) keep: Keep,
    /// How long what is kept stays; `None` for ever.
    pub(super) retain_nanos: Option<i64>,
}

/// Which traces a rule is for: all that is told must apply.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Selector {
    /// Empty for any class.
    pub(super) classes: ClassSet,
    /// Empty for any service.
    pub(super) services: Vec<Wildcard>,
    /// Empty for any operation.
    pub(super) operations: Vec<Wildcard>,
    pub(super) attributes: Vec<AttributeTest>,
}

/// What of the selected traces is kept.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Keep {
    All,
    None,
    If { any: Vec<Condition>, fallback: Fallback },
}

/// What of the traces that meet no condition is kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fallback {
    pub(super) share: Percentage,
    /// As [`Rule::retain_nanos`].
    pub(super) retain_nanos: Option<i64>,
}

/// A reason to keep a trace.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition {
    Status(StatusSet),
    /// At least so long.
    Latency {
        threshold_nanos: i64,
    },
    /// Longer than so many percent of the same operation.
    Percentile(f64),
    StateChange,
    Neighbour {
        of: ClassSet,
        window_nanos: i64,
    },
    LinkedOrParented,
    Attribute(AttributeTest),
    /// Both ends belong to it.
    SpanCount {
        min: u64,
        max: u64,
    },
    And(Vec<Condition>),
    Not(Box<Condition>),
    Probabilistic(Percentage),
}

/// What an attribute must be like.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AttributeTest {
    /// Place in [`Policy::attribute_keys`].
    pub(super) key: usize,
    pub(super) test: ValueTest,
}

/// What the values of an attribute must be like, one of them or (`is_inverted`) none.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ValueTest {
    Exists(bool),
    Text {
        values: Vec<Wildcard>,
        is_inverted: bool,
    },
    /// Both ends belong to it.
    Number {
        min: f64,
        max: f64,
    },
    Bool(bool),
}

/// What a policy wants to know about the surroundings of traces, see [`super::Context`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// Operations that some rule asks for neighbours of; empty when none does.
    pub episodes: ClassSet,
    /// How far from a trace, in nanoseconds and either direction, such an operation can be.
    pub window_nanos: i64,
    /// Whether the last health before the traces is asked for.
    pub last_health: bool,
    /// Whether latency percentiles are asked for.
    pub latency_percentiles: bool,
}

impl Default for Policy {
    /// Everything is kept without end, except health checks, which are kept only when there is a problem: they failed, were
    /// slow, changed the state, stand beside a failover of their instance, or belong to another operation.
    fn default() -> Self {
        Self::new(DEFAULT_HOLD_NANOS, Self::default_rules(), Vec::new())
    }
}

impl Policy {
    /// From validated rules. See to it that some rule matches every trace.
    pub(super) fn new(hold_nanos: i64, mut rules: Vec<Rule>, attribute_keys: Vec<String>) -> Self {
        if rules.last().is_none_or(|rule| !rule.selector.matches_everything()) {
            let selector = Selector::default();
            rules.push(Rule { name: LAST_RULE.to_owned(), selector, keep: Keep::All, retain_nanos: None });
        }
        Self { hold_nanos, rules, attribute_keys }
    }

    pub(super) const fn default_hold_nanos() -> i64 {
        DEFAULT_HOLD_NANOS
    }

    pub(super) fn default_rules() -> Vec<Rule> {
        let problems = vec![
            Condition::Status(StatusSet::EMPTY.with(StatusCode::Error)),
            Condition::Latency { threshold_nanos: DEFAULT_SLOW_NANOS },
            Condition::StateChange,
            Condition::Neighbour {
                of: ClassSet::EMPTY.with(OperationClass::Failover),
                window_nanos: DEFAULT_WINDOW_NANOS,
            },
            Condition::LinkedOrParented,
        ];
        let classes = ClassSet::EMPTY.with(OperationClass::HealthCheck);
        vec![Rule {
            name: "health-checks".to_owned(),
            selector: Selector { classes, ..Selector::default() },
            keep: Keep::If { any: problems, fallback: Fallback { share: Percentage::ZERO, retain_nanos: None } },
            retain_nanos: None,
        }]
    }

    /// How long, after the last span of a trace arrived, nothing of it is dropped. Nanoseconds.
    #[must_use]
    pub const fn hold_nanos(&self) -> i64 {
        self.hold_nanos
    }

    /// The rules in order; the last one matches every trace.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The attributes that some rule looks at: what [`TraceFacts::attributes`] must hold, by place in this list.
    #[must_use]
    pub fn attribute_keys(&self) -> &[String] {
        &self.attribute_keys
    }

    /// What of the surroundings some rule looks at.
    #[must_use]
    pub fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        for condition in self.rules.iter().flat_map(Rule::conditions) {
            condition.add_needs(&mut needs);
        }
        needs
    }

    /// Whether no rule ever drops anything, so that no decision needs to be asked for.
    #[must_use]
    pub fn keeps_everything(&self) -> bool {
        self.rules.iter().all(|rule| rule.keep == Keep::All && rule.retain_nanos.is_none())
    }
}

impl Rule {
    /// As configured; unique within a policy.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn conditions(&self) -> &[Condition] {
        match &self.keep {
            Keep::All | Keep::None => &[],
            Keep::If { any, .. } => any,
        }
    }
}

impl Selector {
    pub(super) fn matches_everything(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn matches(&self, facts: &TraceFacts<'_>) -> bool {
        (self.classes == ClassSet::EMPTY || self.classes.contains(facts.class))
            && is_any(&self.services, facts.service)
            && is_any(&self.operations, facts.operation)
            && self.attributes.iter().all(|attribute| attribute.is_met(facts))
    }
}

/// No names at all stand for every name.
fn is_any(names: &[Wildcard], text: &str) -> bool {
    names.is_empty() || names.iter().any(|name| name.matches(text))
}

impl Condition {
    fn add_needs(&self, needs: &mut Needs) {
        match self {
            Self::Percentile(_) => needs.latency_percentiles = true,
            Self::StateChange => needs.last_health = true,
            Self::Neighbour { of, window_nanos } => {
                needs.episodes = needs.episodes.union(*of);
                needs.window_nanos = needs.window_nanos.max(*window_nanos);
            }
            Self::And(all) => all.iter().for_each(|condition| condition.add_needs(needs)),
            Self::Not(inner) => inner.add_needs(needs),
            Self::Status(_)
            | Self::Latency { .. }
            | Self::LinkedOrParented
            | Self::Attribute(_)
            | Self::SpanCount { .. }
            | Self::Probabilistic(_) => {}
        }
    }
}

impl AttributeTest {
    pub(super) fn is_met(&self, facts: &TraceFacts<'_>) -> bool {
        let mut values = facts.attributes.iter().filter(|(key, _)| *key == self.key).map(|(_, value)| value);
        match &self.test {
            ValueTest::Exists(exists) => values.next().is_some() == *exists,
            ValueTest::Text { values: wanted, is_inverted } => {
                values.any(|value| value.is_text(wanted)) != *is_inverted
            }
            ValueTest::Number { min, max } => {
                values.any(|value| value.number().is_some_and(|number| (*min..=*max).contains(&number)))
            }
            ValueTest::Bool(wanted) => values.any(|value| value.bool() == Some(*wanted)),
        }
    }
}

/// Senders do not agree on types: one writes 500, the next "500". What a value says counts.
impl FactValue<'_> {
    fn is_text(&self, wanted: &[Wildcard]) -> bool {
        match self {
            Self::Text(text) => is_any(wanted, text),
            Self::Int(number) => is_any(wanted, &number.to_string()),
            Self::Double(number) => is_any(wanted, &number.to_string()),
            Self::Bool(value) => is_any(wanted, if *value { "true" } else { "false" }),
        }
    }

    fn number(&self) -> Option<f64> {
        match self {
            Self::Text(text) => text.trim().parse().ok(),
            Self::Int(number) => Some(*number as f64),
            Self::Double(number) => Some(*number),
            Self::Bool(_) => None,
        }
    }

    fn bool(&self) -> Option<bool> {
        match self {
            Self::Text(text) => text.parse().ok(),
            Self::Bool(value) => Some(*value),
            Self::Int(_) | Self::Double(_) => None,
        }
    }
}
