//! How the rules as written become a [`Policy`]: everything that can be wrong with them is found here.

mod text;

pub(super) use text::PolicyText;
use text::{
    AttributeText, ConditionText, FallbackText, KeepText, LatencyText, NeighbourText, RuleText, SelectorText,
    SpanCountText, StatusText, StringAttributeText,
};

use super::error::{PolicyError, RuleProblem};
use super::explain::written;
use super::facts::INSTANCE_ATTRIBUTE;
use super::policy::{
    ATTRIBUTE_KEYS_MAX, AttributeTest, CONDITIONS_MAX, Condition, Fallback, HOLD_MAX_NANOS, Keep, RETAIN_MAX_NANOS,
    RETAIN_MIN_NANOS, RULES_MAX, Rule, Selector, ValueTest,
};
use super::sampling::Percentage;
use super::{Policy, StatusSet};
use crate::duration::parse_nanos;
use crate::wildcard::Wildcard;
use crate::{ClassSet, StatusCode};

impl TryFrom<PolicyText> for Policy {
    type Error = PolicyError;

    fn try_from(text: PolicyText) -> Result<Self, PolicyError> {
        let hold_nanos = match &text.hold {
            Some(hold) => duration("hold", hold, 0, HOLD_MAX_NANOS).map_err(PolicyError::Hold)?,
            None => Policy::default_hold_nanos(),
        };
        let mut reader = RuleReader { hold_nanos, keys: Vec::new(), conditions: 0 };
        let rules = match text.rules {
            Some(rules) => reader.rules(rules)?,
            None => reader.default_rules()?,
        };
        if reader.keys.len() > ATTRIBUTE_KEYS_MAX {
            return Err(PolicyError::TooManyKeys { count: reader.keys.len(), most: ATTRIBUTE_KEYS_MAX });
        }
        let policy = Policy::new(hold_nanos, rules, reader.keys);
        check_names(policy.rules())?;
        Ok(policy)
    }
}

/// Names are told apart, and every rule can be reached.
fn check_names(rules: &[Rule]) -> Result<(), PolicyError> {
    for (index, rule) in rules.iter().enumerate() {
        if rule.name.is_empty() {
            return Err(PolicyError::Unnamed { position: index + 1 });
        }
        let before = &rules[..index];
        if before.iter().any(|earlier| earlier.name == rule.name) {
            return Err(PolicyError::Duplicate { rule: rule.name.clone() });
        }
        if let Some(earlier) = before.iter().find(|earlier| earlier.selector.matches_everything()) {
            return Err(PolicyError::Unreachable { rule: rule.name.clone(), earlier: earlier.name.clone() });
        }
    }
    Ok(())
}

/// Turns texts into rules and gathers the attribute keys on the way.
struct RuleReader {
    hold_nanos: i64,
    keys: Vec<String>,
    /// Of the rule at hand.
    conditions: usize,
}

impl RuleReader {
    fn rules(&mut self, texts: Vec<RuleText>) -> Result<Vec<Rule>, PolicyError> {
        if texts.len() > RULES_MAX {
            return Err(PolicyError::TooManyRules { count: texts.len(), most: RULES_MAX });
        }
        texts.into_iter().map(|text| self.named_rule(text)).collect()
    }

    fn named_rule(&mut self, text: RuleText) -> Result<Rule, PolicyError> {
        let name = text.name.clone();
        self.rule(text).map_err(|problem| PolicyError::Rule { rule: name, problem })
    }

    /// The default rules hold only while the hold is not shorter than their windows.
    fn default_rules(&self) -> Result<Vec<Rule>, PolicyError> {
        let rules = Policy::default_rules();
        for rule in &rules {
            if let Keep::If { any, .. } = &rule.keep {
                for condition in any {
                    if let Condition::Neighbour { window_nanos, .. } = condition {
                        self.check_window(*window_nanos)
                            .map_err(|problem| PolicyError::Rule { rule: rule.name.clone(), problem })?;
                    }
                }
            }
        }
        Ok(rules)
    }

    fn rule(&mut self, text: RuleText) -> Result<Rule, RuleProblem> {
        self.conditions = 0;
        let selector = self.selector(text.selector)?;
        let retain_nanos = retain("retain", text.retain.as_deref())?;
        if text.keep.is_some() && text.fallback.is_some() {
            return Err(RuleProblem::ElseWithoutKeepIf);
        }
        let keep = match (text.keep, text.keep_if) {
            (Some(_), Some(_)) => return Err(RuleProblem::KeepTwice),
            (None, None) => return Err(RuleProblem::NoKeep),
            (Some(KeepText::All), None) => Keep::All,
            (Some(KeepText::None), None) if retain_nanos.is_some() => return Err(RuleProblem::RetainOfNothing),
            (Some(KeepText::None), None) => Keep::None,
            (None, Some(any)) => {
                Keep::If { any: self.conditions("keep_if", any)?, fallback: fallback(text.fallback, retain_nanos)? }
            }
        };
        Ok(Rule { name: text.name, selector, keep, retain_nanos })
    }

    fn selector(&mut self, text: SelectorText) -> Result<Selector, RuleProblem> {
        Ok(Selector {
            classes: classes(&text.class)?,
            services: wildcards(&text.service),
            operations: wildcards(&text.operation),
            attributes: text.attribute.into_iter().map(|text| self.attribute(text)).collect::<Result<_, _>>()?,
        })
    }

    fn attribute(&mut self, text: AttributeText) -> Result<AttributeTest, RuleProblem> {
        let AttributeText { key, values, exists, min_value, max_value } = text;
        let test = match (values, exists, min_value.or(max_value)) {
            (Some(values), None, None) => ValueTest::Text { values: wildcards(&values), is_inverted: false },
            (None, Some(exists), None) => ValueTest::Exists(exists),
            (None, None, Some(_)) => number(&key, min_value, max_value)?,
            _ => return Err(RuleProblem::AttributeTest { key }),
        };
        if matches!(&test, ValueTest::Text { values, .. } if values.is_empty()) {
            return Err(RuleProblem::AttributeTest { key });
        }
        Ok(AttributeTest { key: self.key(key)?, test })
    }

    fn conditions(&mut self, field: &'static str, texts: Vec<ConditionText>) -> Result<Vec<Condition>, RuleProblem> {
        if texts.is_empty() {
            return Err(RuleProblem::NoCondition { field });
        }
        texts.into_iter().map(|text| self.condition(text)).collect()
    }

    fn condition(&mut self, text: ConditionText) -> Result<Condition, RuleProblem> {
        self.conditions += 1;
        if self.conditions > CONDITIONS_MAX {
            return Err(RuleProblem::TooManyConditions { most: CONDITIONS_MAX });
        }
        match text {
            ConditionText::StatusCode(text) => statuses(text).map(Condition::Status),
            ConditionText::Latency(text) => latency(&text),
            ConditionText::StateChange(asked) => asked_for("state_change", asked, Condition::StateChange),
            ConditionText::Neighbour(text) => self.neighbour(text),
            ConditionText::LinkedOrParented(asked) => {
                asked_for("linked_or_parented", asked, Condition::LinkedOrParented)
            }
            ConditionText::StringAttribute(text) => self.string_attribute(text),
            ConditionText::NumericAttribute(text) => {
                let test = number(&text.key, text.min_value, text.max_value)?;
                Ok(Condition::Attribute(AttributeTest { key: self.key(text.key)?, test }))
            }
            ConditionText::BooleanAttribute(text) => {
                Ok(Condition::Attribute(AttributeTest { key: self.key(text.key)?, test: ValueTest::Bool(text.value) }))
            }
            ConditionText::SpanCount(text) => span_count(&text),
            ConditionText::And(all) => self.conditions("and", all).map(Condition::And),
            ConditionText::Not(inner) => {
                let inner = self.condition(*inner)?;
                if has_chance(&inner) {
                    return Err(RuleProblem::ProbabilisticInNot);
                }
                Ok(Condition::Not(Box::new(inner)))
            }
            ConditionText::Probabilistic(text) => percentage(text.sampling_percentage).map(Condition::Probabilistic),
        }
    }

    fn string_attribute(&mut self, text: StringAttributeText) -> Result<Condition, RuleProblem> {
        if text.values.is_empty() {
            return Err(RuleProblem::AttributeTest { key: text.key });
        }
        let test = ValueTest::Text { values: wildcards(&text.values), is_inverted: text.invert_match };
        Ok(Condition::Attribute(AttributeTest { key: self.key(text.key)?, test }))
    }

    fn neighbour(&self, text: NeighbourText) -> Result<Condition, RuleProblem> {
        if let Some(same) = text.same.filter(|same| same != INSTANCE_ATTRIBUTE) {
            return Err(RuleProblem::Same(same));
        }
        let of = classes(&text.of)?;
        if of == ClassSet::EMPTY {
            return Err(RuleProblem::NeighbourOfNothing);
        }
        let window_nanos = duration("window", &text.window, 0, HOLD_MAX_NANOS)?;
        self.check_window(window_nanos)?;
        Ok(Condition::Neighbour { of, window_nanos })
    }

    fn check_window(&self, window_nanos: i64) -> Result<(), RuleProblem> {
        if window_nanos > self.hold_nanos {
            return Err(RuleProblem::WindowBeyondHold {
                window: written(window_nanos),
                hold: written(self.hold_nanos),
            });
        }
        Ok(())
    }

    /// The place of the key among those that the store collects.
    fn key(&mut self, key: String) -> Result<usize, RuleProblem> {
        if key.is_empty() {
            return Err(RuleProblem::EmptyKey);
        }
        Ok(self.keys.iter().position(|known| *known == key).unwrap_or_else(|| {
            self.keys.push(key);
            self.keys.len() - 1
        }))
    }
}

fn wildcards(texts: &[String]) -> Vec<Wildcard> {
    texts.iter().map(|text| Wildcard::new(text)).collect()
}

fn classes(texts: &[String]) -> Result<ClassSet, RuleProblem> {
    texts.iter().map(|text| text.parse().map_err(RuleProblem::Class)).collect()
}

fn statuses(text: StatusText) -> Result<StatusSet, RuleProblem> {
    let names = match text {
        StatusText::One(name) => vec![name],
        StatusText::Many(names) | StatusText::Collector { status_codes: names } => names,
    };
    if names.is_empty() {
        return Err(RuleProblem::NoCondition { field: "status_code" });
    }
    names
        .into_iter()
        .map(|name| match name.as_str() {
            "ERROR" => Ok(StatusCode::Error),
            "OK" => Ok(StatusCode::Ok),
            "UNSET" => Ok(StatusCode::Unset),
            _ => Err(RuleProblem::Status(name)),
        })
        .collect()
}

fn latency(text: &LatencyText) -> Result<Condition, RuleProblem> {
    match (text.threshold_ms, text.percentile) {
        (Some(threshold_ms), None) => Ok(Condition::Latency { threshold_nanos: i64::from(threshold_ms) * 1_000_000 }),
        (None, Some(percentile)) if percentile > 0.0 && percentile < 100.0 => Ok(Condition::Percentile(percentile)),
        (None, Some(value)) => Err(RuleProblem::Percentile { value }),
        _ => Err(RuleProblem::Latency),
    }
}

fn span_count(text: &SpanCountText) -> Result<Condition, RuleProblem> {
    if text.min_spans.is_none() && text.max_spans.is_none() {
        return Err(RuleProblem::SpanCount);
    }
    let (min, max) = (text.min_spans.unwrap_or(0), text.max_spans.unwrap_or(u64::MAX));
    if min > max {
        return Err(RuleProblem::EmptyRange { what: "span_count".to_owned(), least: min as f64, most: max as f64 });
    }
    Ok(Condition::SpanCount { min, max })
}

fn number(key: &str, min_value: Option<f64>, max_value: Option<f64>) -> Result<ValueTest, RuleProblem> {
    if min_value.is_none() && max_value.is_none() {
        return Err(RuleProblem::AttributeTest { key: key.to_owned() });
    }
    let (min, max) = (min_value.unwrap_or(f64::NEG_INFINITY), max_value.unwrap_or(f64::INFINITY));
    // Written so that NaN, which TOML can tell, is refused too.
    if min <= max {
        Ok(ValueTest::Number { min, max })
    } else {
        Err(RuleProblem::EmptyRange { what: format!("attribute `{key}`"), least: min, most: max })
    }
}

fn fallback(text: Option<FallbackText>, retain_nanos: Option<i64>) -> Result<Fallback, RuleProblem> {
    let Some(text) = text else {
        return Ok(Fallback { share: Percentage::ZERO, retain_nanos });
    };
    let of_its_own = retain("else.retain", text.retain.as_deref())?;
    Ok(Fallback { share: percentage(text.sampling_percentage)?, retain_nanos: of_its_own.or(retain_nanos) })
}

fn percentage(value: f64) -> Result<Percentage, RuleProblem> {
    Percentage::new(value).ok_or(RuleProblem::Percentage { value })
}

fn asked_for(name: &'static str, asked: bool, condition: Condition) -> Result<Condition, RuleProblem> {
    if asked { Ok(condition) } else { Err(RuleProblem::AskedForNothing { condition: name }) }
}

fn has_chance(condition: &Condition) -> bool {
    match condition {
        Condition::Probabilistic(_) => true,
        Condition::And(all) => all.iter().any(has_chance),
        Condition::Not(inner) => has_chance(inner),
        _ => false,
    }
}

fn retain(field: &'static str, text: Option<&str>) -> Result<Option<i64>, RuleProblem> {
    text.map(|text| duration(field, text, RETAIN_MIN_NANOS, RETAIN_MAX_NANOS)).transpose()
}

/// Nanoseconds, both ends allowed.
fn duration(field: &'static str, text: &str, least: i64, most: i64) -> Result<i64, RuleProblem> {
    let nanos = parse_nanos(text).map_err(|source| RuleProblem::Duration { field, source })?;
    if !(least..=most).contains(&nanos) {
        let (least, most) = (written(least), written(most));
        return Err(RuleProblem::DurationRange { field, value: text.to_owned(), least, most });
    }
    Ok(nanos)
}

#[cfg(test)]
mod tests;
