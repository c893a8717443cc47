//! The answers of the rules about one span.

use std::sync::Arc;

use super::name::NameRules;
use super::rule::{Precision, Rule, Says};
use super::{Compiled, MarkKind, Phase};
use crate::class::{CLASS_ATTRIBUTES, NameMatch, Words};
use crate::run::StepKind;
use crate::{KeyValue, OperationClass, semconv};

const STEP_ATTRIBUTE: &str = "dbaas.step.kind";

/// Statements that change something, by `db.operation.name` or the first word of the name.
const WRITES: [&str; 8] = ["insert", "update", "delete", "merge", "replace", "upsert", "copy", "findandmodify"];

/// What the rules say of one span. Nothing is worked out before it is asked for.
pub struct Mapped<'a> {
    pub(super) compiled: &'a Compiled,
    pub(super) name: Arc<NameRules>,
    pub(super) attributes: &'a [KeyValue],
    pub(super) resource: &'a [KeyValue],
}

/// Why an answer is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    Attribute(&'static str),
    Rule(usize, Precision),
    Name(NameMatch),
    Pattern(&'static str),
    Service,
    Nothing,
}

impl Mapped<'_> {
    /// The span's own class: by attribute, rule or name. `None` when only its service or what is above it can tell.
    #[must_use]
    pub fn class(&self) -> Option<OperationClass> {
        self.class_because().map(|(class, _)| class)
    }

    /// The span's class, or that of its service, or `other`.
    #[must_use]
    pub fn class_or_service(&self) -> OperationClass {
        self.class().or(self.name.by_service).unwrap_or(OperationClass::Other)
    }

    /// The span's own phase within an operation of the class: by attribute, rule or name.
    #[must_use]
    pub fn phase(&self, class: OperationClass) -> Option<Phase> {
        self.phase_because(class).map(|(phase, _)| phase)
    }

    /// Whether it waits or works.
    #[must_use]
    pub fn step(&self) -> StepKind {
        self.step_because().0
    }

    /// Whether it only looks like an operation, and did nothing.
    #[must_use]
    pub fn is_noise(&self) -> bool {
        self.noise_because().0
    }

    /// Whether executions of its operation are kept one by one, were it the topmost span.
    #[must_use]
    pub fn has_run(&self) -> bool {
        self.run_because().0
    }

    /// What it tells about the health of an instance, besides how it went.
    #[must_use]
    pub fn mark(&self, name: &str) -> Option<MarkKind> {
        match self.class()? {
            OperationClass::HealthCheck => Some(MarkKind::HealthCheck),
            OperationClass::Query if self.is_write(name) => Some(MarkKind::Write),
            _ => None,
        }
    }

    fn is_write(&self, name: &str) -> bool {
        let operation = semconv::lookup(self.attributes, "db.operation.name").and_then(semconv::text);
        let first = operation.as_deref().unwrap_or(name).split(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
        WRITES.iter().any(|write| write.eq_ignore_ascii_case(first))
    }

    pub(super) fn class_because(&self) -> Option<(OperationClass, Reason)> {
        for key in CLASS_ATTRIBUTES {
            let value = semconv::lookup(self.attributes, key).and_then(semconv::text);
            if let Some(class) = value.and_then(|value| self.compiled.classifier.by_attribute(&value)) {
                return Some((class, Reason::Attribute(key)));
            }
        }
        self.first_rule(|says| says.class).or_else(|| {
            let (class, how) = self.name.by_name?;
            Some((class, Reason::Name(how)))
        })
    }

    pub(super) fn service_class(&self) -> Option<(OperationClass, Reason)> {
        self.name.by_service.map(|class| (class, Reason::Service))
    }

    pub(super) fn phase_because(&self, class: OperationClass) -> Option<(Phase, Reason)> {
        if let Some(key) = phase_attribute(class)
            && let Some(text) = semconv::lookup(self.attributes, key).and_then(semconv::text)
            && let Some(phase) = self.named_phase(class, &text)
        {
            return Some((phase, Reason::Attribute(key)));
        }
        self.first_rule(|says| says.phase.filter(|phase| phase.belongs_to(class))).or_else(|| {
            let (phase, pattern) = self.name.pattern(class)?;
            Some((phase, Reason::Pattern(pattern)))
        })
    }

    /// The attribute's value is a phase, or other words for one.
    fn named_phase(&self, class: OperationClass, text: &str) -> Option<Phase> {
        let exact = text.parse().ok().filter(|phase: &Phase| phase.belongs_to(class));
        exact.or_else(|| self.compiled.phases.phase(class, Words::of(text).text()))
    }

    pub(super) fn step_because(&self) -> (StepKind, Reason) {
        match semconv::lookup(self.attributes, STEP_ATTRIBUTE).and_then(semconv::text).as_deref() {
            Some("wait") => return (StepKind::Wait, Reason::Attribute(STEP_ATTRIBUTE)),
            Some("work") => return (StepKind::Work, Reason::Attribute(STEP_ATTRIBUTE)),
            _ => {}
        }
        self.first_rule(|says| says.step).unwrap_or(if self.name.waits {
            (StepKind::Wait, Reason::Name(NameMatch::Pattern))
        } else {
            (StepKind::Work, Reason::Nothing)
        })
    }

    pub(super) fn noise_because(&self) -> (bool, Reason) {
        self.first_rule(|says| says.is_noise).unwrap_or((false, Reason::Nothing))
    }

    pub(super) fn run_because(&self) -> (bool, Reason) {
        if let Some(answer) = self.first_rule(|says| says.has_run) {
            return answer;
        }
        let class = self.class_because();
        let has_run = class.is_some_and(|(class, _)| self.compiled.settings.run_classes.contains(class));
        (has_run, class.map_or(Reason::Nothing, |(_, reason)| reason))
    }

    fn first_rule<T>(&self, ask: impl Fn(&Says) -> Option<T>) -> Option<(T, Reason)> {
        self.name.rules.iter().find_map(|(precision, index)| {
            let rule: &Rule = &self.compiled.rules[*index];
            let answer = ask(&rule.says)?;
            let applies = rule.matches_attributes(self.attributes, self.resource);
            applies.then_some((answer, Reason::Rule(*index, *precision)))
        })
    }
}

const fn phase_attribute(class: OperationClass) -> Option<&'static str> {
    match class {
        OperationClass::Failover => Some("dbaas.failover.phase"),
        OperationClass::Backup => Some("dbaas.backup.phase"),
        OperationClass::Restore => Some("dbaas.restore.phase"),
        _ => None,
    }
}
