//! How the rules as written become [`Rules`]: everything that can be wrong with them is found here.

use regex::RegexBuilder;

use super::error::{RuleProblem, RulesError};
use super::rule::{AttributeTest, Rule, Says, ValueTest};
use super::text::{AttributeText, OperationsText, RuleText};
use super::{Rules, Settings, shipped};
use crate::duration::parse_nanos;
use crate::retention::written;
use crate::run::StepKind;
use crate::wildcard::Wildcard;
use crate::{ClassSet, semconv};

/// Rules that users may add: each distinct name is held against every one of them, once.
pub const RULES_MAX: usize = 500;

/// Bytes that one compiled regular expression may take.
const REGEX_BYTES_MAX: usize = 1 << 20;

const SECOND_NANOS: i64 = 1_000_000_000;
const DAY_NANOS: i64 = 86_400 * SECOND_NANOS;

/// Longest duration of `[operations]`: what lasts longer is not one operation.
const DURATION_MAX_NANOS: i64 = 90 * DAY_NANOS;

/// Longest look-back and merge window: failovers further apart have nothing to do with each other.
const WINDOW_MAX_NANOS: i64 = 3_600 * SECOND_NANOS;

impl TryFrom<OperationsText> for Rules {
    type Error = RulesError;

    fn try_from(text: OperationsText) -> Result<Self, RulesError> {
        let OperationsText { runs, merge_window, look_back, lost_after, stuck_after, rules } = text;
        let mut settings = Settings::default();
        if let Some(runs) = runs {
            settings.run_classes =
                runs.iter().map(|class| class.parse().map_err(RulesError::Runs)).collect::<Result<ClassSet, _>>()?;
        }
        set(&mut settings.merge_window_nanos, "merge_window", merge_window, (SECOND_NANOS, WINDOW_MAX_NANOS))?;
        set(&mut settings.look_back_nanos, "look_back", look_back, (SECOND_NANOS, WINDOW_MAX_NANOS))?;
        set(&mut settings.lost_after_nanos, "lost_after", lost_after, (60 * SECOND_NANOS, DURATION_MAX_NANOS))?;
        set(&mut settings.stuck_after_nanos, "stuck_after", stuck_after, (SECOND_NANOS, DURATION_MAX_NANOS))?;
        Ok(Self::new(settings, checked(rules)?))
    }
}

fn set(
    target: &mut i64,
    field: &'static str,
    text: Option<String>,
    (least, most): (i64, i64),
) -> Result<(), RulesError> {
    let Some(text) = text else { return Ok(()) };
    let nanos = parse_nanos(&text).map_err(|source| RulesError::Duration { field, source })?;
    if !(least..=most).contains(&nanos) {
        let (least, most) = (written(least), written(most));
        return Err(RulesError::DurationRange { field, value: text, least, most });
    }
    *target = nanos;
    Ok(())
}

fn checked(texts: Vec<RuleText>) -> Result<Vec<Rule>, RulesError> {
    if texts.len() > RULES_MAX {
        return Err(RulesError::TooMany { count: texts.len(), most: RULES_MAX });
    }
    let mut rules: Vec<Rule> = Vec::with_capacity(texts.len());
    for (index, text) in texts.into_iter().enumerate() {
        if text.name.is_empty() {
            return Err(RulesError::Unnamed { position: index + 1 });
        }
        if rules.iter().any(|rule| rule.name == text.name) {
            return Err(RulesError::Duplicate { rule: text.name });
        }
        let name = text.name.clone();
        rules.push(rule(text).map_err(|problem| RulesError::Rule { rule: name, problem })?);
    }
    rules.extend(shipped::rules());
    Ok(rules)
}

fn rule(text: RuleText) -> Result<Rule, RuleProblem> {
    let RuleText { name, selector, class, phase, step, noise, run } = text;
    let says = Says {
        class: class.map(|class| class.parse()).transpose()?,
        phase: phase.map(|phase| phase.parse()).transpose()?,
        step: step.map(step_kind).transpose()?,
        is_noise: noise,
        has_run: run,
    };
    if says == Says::default() {
        return Err(RuleProblem::SaysNothing);
    }
    let span_regex = selector.span_regex.as_deref().map(compiled).transpose()?;
    let rule = Rule {
        name,
        is_shipped: false,
        spans: wildcards(&selector.span),
        span_regex,
        services: wildcards(&selector.service),
        scopes: wildcards(&selector.scope),
        attributes: selector.attribute.into_iter().map(attribute).collect::<Result<_, _>>()?,
        says,
    };
    let matches_everything = rule.spans.is_empty()
        && rule.span_regex.is_none()
        && rule.services.is_empty()
        && rule.scopes.is_empty()
        && rule.attributes.is_empty();
    if matches_everything { Err(RuleProblem::MatchesEverything) } else { Ok(rule) }
}

fn compiled(text: &str) -> Result<regex::Regex, RuleProblem> {
    let built = RegexBuilder::new(text).size_limit(REGEX_BYTES_MAX).build();
    built.map_err(|error| RuleProblem::Regex(error.to_string()))
}

fn step_kind(text: String) -> Result<StepKind, RuleProblem> {
    match text.as_str() {
        "work" => Ok(StepKind::Work),
        "wait" => Ok(StepKind::Wait),
        _ => Err(RuleProblem::Step(text)),
    }
}

fn attribute(text: AttributeText) -> Result<AttributeTest, RuleProblem> {
    let AttributeText { key, values, exists } = text;
    if key.is_empty() {
        return Err(RuleProblem::EmptyKey);
    }
    let test = match (values, exists) {
        (Some(values), None) if !values.is_empty() => ValueTest::OneOf(wildcards(&values)),
        (None, Some(exists)) => ValueTest::Exists(exists),
        _ => return Err(RuleProblem::AttributeTest { key }),
    };
    Ok(AttributeTest { key: semconv::canonical(&key).to_owned(), test })
}

fn wildcards(texts: &[String]) -> Vec<Wildcard> {
    texts.iter().map(|text| Wildcard::new(text)).collect()
}
