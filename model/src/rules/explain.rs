//! Which rule answered, and why: for `spanhold classify`.

use std::fmt;

use serde::Serialize;

use super::mapped::{Mapped, Reason};
use super::rule::Precision;
use super::{Phase, Rules};
use crate::class::NameMatch;
use crate::run::StepKind;
use crate::{KeyValue, OperationClass};

/// A span to be explained, as far as somebody tells.
#[derive(Debug, Clone, Copy, Default)]
pub struct SpanContext<'a> {
    /// `service.name`, or empty.
    pub service: &'a str,
    /// Name of the instrumentation scope, or empty.
    pub scope: &'a str,
    /// The span's name.
    pub name: &'a str,
    /// Its attributes.
    pub attributes: &'a [KeyValue],
}

/// What the rules come to for one span.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// Its class.
    pub class: Answer<OperationClass>,
    /// Its phase; `None` where the operation has no phases, `other` where no phase was found.
    pub phase: Option<Answer<Option<Phase>>>,
    /// Whether it waits or works.
    pub step: Answer<StepKind>,
    /// Whether it only looks like an operation.
    pub is_noise: Answer<bool>,
    /// Whether it has a run of its own.
    pub has_run: Answer<bool>,
}

/// An answer and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer<T> {
    /// The answer.
    pub value: T,
    /// Why: a sentence without a full stop.
    pub because: String,
}

impl Rules {
    /// Explains the first span of `chain`; the others are those above it, the nearest first. `None` for an empty chain.
    #[must_use]
    pub fn explain(&self, chain: &[SpanContext<'_>]) -> Option<Explanation> {
        let (span, above) = chain.split_first()?;
        let mapped = self.map_context(span);
        let class = self.class_answer(span, &mapped, above);
        let operation = self.operation_class(&class, above);
        let phase = (!Phase::of_class(operation).is_empty()).then(|| self.phase_answer(operation, &mapped, above));
        let (step, step_reason) = mapped.step_because();
        let (is_noise, noise_reason) = mapped.noise_because();
        let (has_run, run_reason) = mapped.run_because();
        Some(Explanation {
            class,
            phase,
            step: Answer { value: step, because: self.sentence(step_reason, "nothing says that it waits") },
            is_noise: Answer { value: is_noise, because: self.sentence(noise_reason, "no rule says so") },
            has_run: Answer { value: has_run, because: self.sentence(run_reason, "its class has no runs") },
        })
    }

    fn map_context<'a>(&'a self, span: &SpanContext<'a>) -> Mapped<'a> {
        let name = self.of_name(span.service, span.scope, span.name);
        Mapped { compiled: &self.0, name, attributes: span.attributes, resource: &[] }
    }

    fn class_answer(
        &self,
        span: &SpanContext<'_>,
        mapped: &Mapped<'_>,
        above: &[SpanContext<'_>],
    ) -> Answer<OperationClass> {
        if let Some((value, reason)) = mapped.class_because() {
            return Answer { value, because: self.sentence(reason, "") };
        }
        for ancestor in above {
            if let Some((value, reason)) = self.map_context(ancestor).class_because() {
                let because = format!("`{}` above it is {value}: {}", ancestor.name, self.sentence(reason, ""));
                return Answer { value, because };
            }
        }
        match mapped.service_class() {
            Some((value, _)) => Answer { value, because: format!("the name of its service, `{}`", span.service) },
            None => Answer { value: OperationClass::Other, because: "nothing is known of it".to_owned() },
        }
    }

    /// The class of the operation that the span is a part of: the nearest that has phases.
    fn operation_class(&self, own: &Answer<OperationClass>, above: &[SpanContext<'_>]) -> OperationClass {
        let of_ancestors = above.iter().filter_map(|ancestor| self.map_context(ancestor).class());
        let mut classes = std::iter::once(own.value).chain(of_ancestors);
        classes.find(|class| !Phase::of_class(*class).is_empty()).unwrap_or(own.value)
    }

    fn phase_answer(
        &self,
        operation: OperationClass,
        mapped: &Mapped<'_>,
        above: &[SpanContext<'_>],
    ) -> Answer<Option<Phase>> {
        if let Some((phase, reason)) = mapped.phase_because(operation) {
            return Answer { value: Some(phase), because: self.sentence(reason, "") };
        }
        for ancestor in above {
            if let Some((phase, reason)) = self.map_context(ancestor).phase_because(operation) {
                let because = format!("`{}` above it is {phase}: {}", ancestor.name, self.sentence(reason, ""));
                return Answer { value: Some(phase), because };
            }
        }
        Answer { value: None, because: "no rule and no pattern knows its name, nor one above it".to_owned() }
    }

    fn sentence(&self, reason: Reason, otherwise: &str) -> String {
        match reason {
            Reason::Attribute(key) => format!("attribute {key}"),
            Reason::Rule(index, precision) => {
                let rule = &self.0.rules[index];
                let whose = if rule.is_shipped { "shipped rule" } else { "rule" };
                let how = match precision {
                    Precision::Exact => "by the exact name",
                    Precision::Pattern => "by a pattern",
                };
                format!("{whose} `{}`, {how}", rule.name)
            }
            Reason::Name(NameMatch::Form) => "its form: a statement or an HTTP request".to_owned(),
            Reason::Name(NameMatch::Exact) => "the whole name is known".to_owned(),
            Reason::Name(NameMatch::Pattern) => "a part of the name is known".to_owned(),
            Reason::Pattern(pattern) => format!("the shipped pattern {pattern}"),
            Reason::Service => "the name of its service".to_owned(),
            Reason::Nothing => otherwise.to_owned(),
        }
    }
}

impl fmt::Display for Explanation {
    /// One line per answer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "class  {:<14}{}", self.class.value.name(), self.class.because)?;
        if let Some(phase) = &self.phase {
            writeln!(f, "phase  {:<14}{}", phase.value.map_or("other", Phase::name), phase.because)?;
        }
        let step = if self.step.value == StepKind::Wait { "wait" } else { "work" };
        writeln!(f, "step   {step:<14}{}", self.step.because)?;
        writeln!(f, "noise  {:<14}{}", yes_or_no(self.is_noise.value), self.is_noise.because)?;
        write!(f, "run    {:<14}{}", yes_or_no(self.has_run.value), self.has_run.because)
    }
}

fn yes_or_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}
