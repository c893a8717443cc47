//! A policy in words, for `spanhold check-config` and for whoever wonders why a trace is gone.

use super::policy::{AttributeTest, Condition, Fallback, Keep, Rule, Selector, ValueTest};
use super::{INSTANCE_ATTRIBUTE, Policy, StatusSet};
use crate::wildcard::Wildcard;
use crate::{ClassSet, StatusCode};

/// Largest first, with nanoseconds.
const UNITS: [(&str, i64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// A duration as it is written in the configuration, in the largest unit that needs no fraction.
pub(crate) fn written(nanos: i64) -> String {
    let unit = UNITS.iter().find(|(_, unit_nanos)| nanos != 0 && nanos % unit_nanos == 0);
    unit.map_or_else(|| "0s".to_owned(), |(name, unit_nanos)| format!("{}{name}", nanos / unit_nanos))
}

impl Policy {
    /// One line per rule, in their order, such as `failovers: class failover: all are kept for 400d`.
    #[must_use]
    pub fn explain(&self) -> Vec<String> {
        self.rules().iter().map(|rule| self.explain_rule(rule)).collect()
    }

    /// Tells policies apart that decide differently. Kept with what was decided, it tells whether a decision is still that of
    /// the policy in force; after an update of the program it may differ without need.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let text = format!("{} {:?} {}", self.hold_nanos(), self.attribute_keys(), self.explain().join("\n"));
        // FNV-1a: small, and not about to change.
        text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    fn explain_rule(&self, rule: &Rule) -> String {
        let what = match &rule.keep {
            Keep::All => format!("all are kept {}", how_long(rule.retain_nanos)),
            Keep::None => format!("all are dropped {} after their last span", written(self.hold_nanos())),
            Keep::If { any, fallback } => {
                let any: Vec<String> = any.iter().map(|condition| self.explain_condition(condition)).collect();
                format!(
                    "kept {} when {}; {}",
                    how_long(rule.retain_nanos),
                    any.join(", or "),
                    self.explain_fallback(*fallback)
                )
            }
        };
        format!("{}: {}: {what}", rule.name(), self.explain_selector(&rule.selector))
    }

    fn explain_selector(&self, selector: &Selector) -> String {
        let mut parts = Vec::new();
        if selector.classes != ClassSet::EMPTY {
            parts.push(format!("class {}", classes(selector.classes)));
        }
        if !selector.services.is_empty() {
            parts.push(format!("service {}", either(&selector.services)));
        }
        if !selector.operations.is_empty() {
            parts.push(format!("operation {}", either(&selector.operations)));
        }
        parts.extend(selector.attributes.iter().map(|attribute| self.explain_attribute(attribute)));
        if parts.is_empty() { "every trace".to_owned() } else { parts.join(" and ") }
    }

    fn explain_fallback(&self, fallback: Fallback) -> String {
        let share = fallback.share.percent();
        if share == 0.0 {
            return format!("otherwise dropped {} after the last span", written(self.hold_nanos()));
        }
        format!("of the others {share} % are kept {}", how_long(fallback.retain_nanos))
    }

    fn explain_condition(&self, condition: &Condition) -> String {
        match condition {
            Condition::Status(set) => format!("a span has status {}", statuses(*set)),
            Condition::Latency { threshold_nanos } => format!("it takes at least {}", written(*threshold_nanos)),
            Condition::Percentile(percentile) => format!("it is slower than {percentile} % of its operation"),
            Condition::StateChange => "the run before it went the other way".to_owned(),
            Condition::Neighbour { of, window_nanos } => {
                format!("within {} of {} with the same {INSTANCE_ATTRIBUTE}", written(*window_nanos), classes(*of))
            }
            Condition::LinkedOrParented => "it is part of another operation or linked to one".to_owned(),
            Condition::Attribute(attribute) => self.explain_attribute(attribute),
            Condition::SpanCount { min, max: u64::MAX } => format!("it has at least {min} spans"),
            Condition::SpanCount { min, max } => format!("it has {min} to {max} spans"),
            Condition::And(all) => {
                let all: Vec<String> = all.iter().map(|condition| self.explain_condition(condition)).collect();
                format!("({})", all.join(" and "))
            }
            Condition::Not(inner) => format!("not ({})", self.explain_condition(inner)),
            Condition::Probabilistic(share) => format!("it is among {} % of all by chance", share.percent()),
        }
    }

    fn explain_attribute(&self, attribute: &AttributeTest) -> String {
        let key = self.attribute_keys().get(attribute.key).map_or("", String::as_str);
        match &attribute.test {
            ValueTest::Exists(true) => format!("{key} is set"),
            ValueTest::Exists(false) => format!("{key} is not set"),
            ValueTest::Text { values, is_inverted: false } => format!("{key} is {}", either(values)),
            ValueTest::Text { values, is_inverted: true } => format!("{key} is not {}", either(values)),
            ValueTest::Number { min, max: f64::INFINITY } => format!("{key} is at least {min}"),
            ValueTest::Number { min: f64::NEG_INFINITY, max } => format!("{key} is at most {max}"),
            ValueTest::Number { min, max } => format!("{key} is {min} to {max}"),
            ValueTest::Bool(value) => format!("{key} is {value}"),
        }
    }
}

fn how_long(retain_nanos: Option<i64>) -> String {
    retain_nanos.map_or_else(|| "without end".to_owned(), |nanos| format!("for {}", written(nanos)))
}

fn either(texts: &[Wildcard]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| format!("`{}`", text.as_str())).collect();
    texts.join(" or ")
}

fn classes(set: ClassSet) -> String {
    set.iter().map(|class| class.name()).collect::<Vec<_>>().join(" or ")
}

fn statuses(set: StatusSet) -> String {
    let names = [(StatusCode::Error, "ERROR"), (StatusCode::Ok, "OK"), (StatusCode::Unset, "UNSET")];
    names.iter().filter(|(status, _)| set.contains(*status)).map(|(_, name)| *name).collect::<Vec<_>>().join(" or ")
}
